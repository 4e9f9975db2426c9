"""Makes this reference set: a small residual network, its reference tensors, and a port's dump.

python harness/tests/resnet/make.py [FOLDER]

The network runs twice, in float64 and in float32. The float64 run is the reference; the distance of
the float32 run from it is the noise floor. The port's dump is the float32 run under other names and
in other layouts, as a runtime with channels last would write it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xxhash
from torch import nn

HERE = Path(__file__).resolve().parent
SEED = 3
CLASSES = 10
INPUT_SHAPE = (1, 3, 24, 32)
STEM_STRIDE = 2
STAGES = ((8, 8, 1), (8, 16, 2))  # channels in, channels out, stride of the first block
BLOCKS_PER_STAGE = 2

Tensors = dict[str, np.ndarray]


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class Network(nn.Module):
    """Stem, two stages of blocks, norm, average over the map, classifier."""

    def __init__(self) -> None:
        super().__init__()
        width = STAGES[0][0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, STEM_STRIDE, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.layers = nn.Sequential(*[stage(*sizes) for sizes in STAGES])
        self.norm = nn.BatchNorm2d(STAGES[-1][1])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(STAGES[-1][1], CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.norm(self.layers(self.stem(x)))).flatten(1))


def stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Blocks, of which the first may change the size of the map."""
    rest = [Block(channels_out, channels_out, 1) for _ in range(BLOCKS_PER_STAGE - 1)]
    return nn.Sequential(Block(channels_in, channels_out, stride), *rest)


def make_weights(model: nn.Module, random: np.random.Generator) -> Tensors:
    """A value for every weight and statistic: norms that scale, shift and centre, no bias of zero.

    All are rounded to float16, to which the file owes its size; they are exact in either run.
    """
    weights = {}
    for name, tensor in model.state_dict().items():
        shape = tuple(tensor.shape)
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            values = random.uniform(0.3, 2.0, shape)
        elif name.endswith(("running_mean", "bias")):
            values = random.uniform(0.05, 0.4, shape) * signs(random, shape, 0.5)
        elif len(shape) == 1:
            values = random.uniform(0.5, 1.5, shape) * signs(random, shape, 0.15)
        else:
            values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = values.astype(np.float16)
    return weights


def signs(random: np.random.Generator, shape: tuple[int, ...], negative: float) -> np.ndarray:
    """-1 with probability `negative`, else 1."""
    return np.where(random.random(shape) < negative, -1.0, 1.0)


def make_input(random: np.random.Generator) -> np.ndarray:
    """Waves that differ by channel and direction, a bright spot, noise; around zero."""
    _, channels, height, width = INPUT_SHAPE
    y, x = np.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    maps = []
    for channel in range(channels):
        waves = np.sin(5.1 * x + 2.3 * y + channel) + 0.6 * np.cos((3.7 + channel) * y - 1.9 * x)
        spot = np.exp(-12 * ((x - 0.2 - 0.1 * channel) ** 2 + (y - 0.3) ** 2))
        maps.append(waves + 1.4 * spot)
    pixels = np.stack(maps) + 0.2 * random.standard_normal((channels, height, width))
    return pixels.astype(np.float32).reshape(INPUT_SHAPE)


def load(weights: Tensors) -> Network:
    """The network with these weights, in float32."""
    model = Network()
    state = {name: torch.from_numpy(values.astype(np.float32)) for name, values in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or not all(name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"the weights do not fit the network: {missing}, {unexpected}")
    return model.eval()


def hooked(name: str) -> bool:
    """Whether the output of a module is a reference tensor."""
    parts = name.split(".")
    block = parts[0] == "layers" and len(parts) >= 3
    return name in ("stem", "pool", "head") or (block and parts[3:] in ([], ["conv1"], ["conv2"]))


def run(model: Network, pixels: torch.Tensor) -> Tensors:
    """The outputs of the hooked modules by name, in the order of execution."""
    taken: Tensors = {}

    def hook(name: str) -> Callable[..., None]:
        def take(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            taken[name] = output.detach().clone().numpy()

        return take

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in model.named_modules()
        if hooked(name)
    ]
    with torch.no_grad():
        model(pixels)
    for handle in handles:
        handle.remove()
    return taken


def distance(found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """How far one tensor lies from another, in float64."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    difference = found - expected
    max_abs = float(np.abs(difference).max())
    return {
        "rel_l2": float(np.linalg.norm(difference) / np.linalg.norm(expected)),
        "rel_linf": max_abs / float(np.abs(expected).max()),
        "max_abs": max_abs,
    }


def port_tensors(single: Tensors) -> Tensors:
    """The float32 run as another runtime dumps it.

    It counts blocks over both stages, keeps channels last, hands the rows of a map to its matrix
    product as one axis, and runs a block's first convolution together with what follows it.
    """
    channels_last = {
        name: np.moveaxis(values, 1, -1) for name, values in single.items() if values.ndim == 4
    }
    dump = {"input_layer": channels_last["stem"]}
    for unit in range(len(STAGES) * BLOCKS_PER_STAGE):
        block = f"layers.{unit // BLOCKS_PER_STAGE}.{unit % BLOCKS_PER_STAGE}"
        branch = channels_last[f"{block}.conv2"]
        dump[f"unit_{unit}_branch"] = branch.reshape(branch.shape[0], -1, branch.shape[-1])
        dump[f"unit_{unit}_out"] = channels_last[block]
    dump["pooled"] = channels_last["pool"]
    dump["pooled_view"] = channels_last["pool"].reshape(1, -1)
    dump["logits"] = single["head"]
    return dump


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fingerprint(values: np.ndarray) -> str:
    """XXH3 in 128 bits of a tensor's elements: little-endian, in row-major order."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(values).tobytes())


def save(path: Path, values: np.ndarray) -> Path:
    """Writes a tensor in C order."""
    np.save(path, np.ascontiguousarray(values))
    return path


def pinned_versions() -> dict[str, str]:
    """The installed versions, which must be those of requirements.txt."""
    found = {}
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").split():
        package, wanted = line.split("==")
        # A local part such as +cpu names a build, not another version.
        found[package] = version(package).split("+")[0]
        if found[package] != wanted:
            raise ValueError(f"{package} {found[package]} is installed, {wanted} is needed")
    return found


def main() -> None:
    """Writes the set into a folder, by default the script's own."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    versions = pinned_versions()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in ("reference", "port"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)

    random = np.random.default_rng(SEED)
    weights = make_weights(Network(), random)
    pixels = make_input(random)
    np.savez(folder / "weights.npz", **weights)
    save(folder / "input.npy", pixels)

    model = load(weights)
    single = run(model, torch.from_numpy(pixels))
    double = run(model.double(), torch.from_numpy(pixels).double())

    tensors = []
    for name, values in double.items():
        if values.dtype != np.float64 or single[name].dtype != np.float32:
            raise ValueError(f"'{name}' was computed in {values.dtype} and {single[name].dtype}")
        stored = values.astype(np.float32)
        path = save(folder / "reference" / f"ref_{name}.npy", stored)
        entry = {"name": name, "file": path.name, "shape": list(values.shape)}
        entry |= {"xxh3_128": fingerprint(stored), "noise_floor": distance(single[name], values)}
        tensors.append(entry)
    for name, values in port_tensors(single).items():
        save(folder / "port" / f"dump_{name}.npy", values)

    manifest = {
        "schema_version": 2,
        "set": "resnet",
        "description": "A small residual network, and the dump of a port with channels last.",
        "generator": {
            "tool": "torch",
            "script": "harness/tests/resnet/make.py",
            "arguments": [],
            "seed": SEED,
            "python": platform.python_version(),
            "versions": {package: versions[package] for package in ("numpy", "torch")},
        },
        "settings": {
            "padding_mode": "zeros",
            "stem_stride": STEM_STRIDE,
            "input_size": list(INPUT_SHAPE[2:]),
        },
        "weights": {"file": "weights.npz", "sha256": sha256(folder / "weights.npz")},
        "input": {
            "file": "input.npy",
            "sha256": sha256(folder / "input.npy"),
            "source": "waves, a bright spot and noise, computed by the script",
        },
        "reference": {"folder": "reference", "computed_in": "float64", "stored_in": "float32"},
        "tensors": tensors,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    summarise(tensors, single, double)


def summarise(tensors: list[dict], single: Tensors, double: Tensors) -> None:
    """Prints the floors, and how near the dump comes to the limits that are made of them."""
    worst = {"rel_l2": 0.0, "rel_linf": 0.0}
    heads = " ".join(f"{figure:>9}" for figure in tensors[0]["noise_floor"])
    print(f"{'tensor':20} {heads}  port / floor: rel_l2, rel_linf")
    for tensor in tensors:
        name, floor = tensor["name"], tensor["noise_floor"]
        stored = distance(single[name], double[name].astype(np.float32))
        ratios = {figure: stored[figure] / floor[figure] for figure in worst}
        worst = {figure: max(worst[figure], ratios[figure]) for figure in worst}
        figures = " ".join(f"{figure:9.2e}" for figure in floor.values())
        print(f"{name:20} {figures}  {ratios['rel_l2']:.3f} {ratios['rel_linf']:.3f}")
    highest = {figure: max(tensor["noise_floor"][figure] for tensor in tensors) for figure in worst}
    print("highest floor:", ", ".join(f"{figure} {value:.2e}" for figure, value in highest.items()))
    print(
        "worst port / floor:", ", ".join(f"{figure} {value:.3f}" for figure, value in worst.items())
    )


if __name__ == "__main__":
    main()
