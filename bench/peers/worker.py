"""Runs one engine on the vision path of Gemma 3n, each time it is told to.

worker.py ENGINE PRECISION --preset NAME --weights F.safetensors --input F --threads N --cache DIR

The input is a picture, or an .npy of several, [B, 3, H, W] in [0, 1].

Answers each line of standard input with one line of JSON:
  run          {"seconds": time of one forward pass, "cpu_seconds": of all threads, "peak_bytes": ...}
  save FILE    {"saved": FILE}: the soft tokens of the last run, f32 .npy
The first line, once everything is loaded, says {"ready": true, "version": ...}. What an engine makes of
the weights is kept in the cache, which is for these weights alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "fixtures" / "generate"))

import numpy as np  # noqa: E402

Run = Callable[[np.ndarray], np.ndarray]


def main() -> int:
    """Loads the engine and serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("precision", choices=["f32", "bf16"])
    parser.add_argument("--preset", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    threading.Thread(target=end_with_the_parent, args=[os.getppid()], daemon=True).start()
    # Libraries print to standard output what is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pixels = read_pixels(arguments.input)
    run, version = ENGINES[arguments.engine](arguments)
    tokens = None
    answer(answers, ready=True, version=version)
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "run":
            started, cpu = time.perf_counter(), time.process_time()
            tokens = run(pixels)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            answer(answers, seconds=seconds, cpu_seconds=cpu, peak_bytes=peak_bytes())
        elif command == "save" and tokens is not None:
            np.save(rest, np.ascontiguousarray(tokens, dtype=np.float32))
            answer(answers, saved=rest)
        else:
            return 2
    return 0


def end_with_the_parent(parent: int) -> None:
    """Ends this process when its parent has ended, whatever it is computing: nobody would read the answer."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def answer(answers: object, **fields: object) -> None:
    """One line of JSON."""
    print(json.dumps(fields), file=answers, flush=True)


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read_pixels(path: Path) -> np.ndarray:
    """`[B, 3, H, W]` in [0, 1]."""
    with path.open("rb") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
    if is_npy:
        return np.ascontiguousarray(np.load(path), dtype=np.float32)
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def torch_model(arguments: argparse.Namespace) -> object:
    """The model in PyTorch, with the weights of the file."""
    import presets
    import torch
    from model import UNUSED_WEIGHTS, build
    from safetensors.torch import load_file

    torch.set_num_threads(arguments.threads)
    model = build(presets.find(arguments.preset))
    prefixes = {
        "model.vision_tower.timm_model.": "timm_model.",
        "model.embed_vision.": "embed_vision.",
    }
    state = {}
    for name, tensor in load_file(arguments.weights).items():
        for theirs, ours in prefixes.items():
            if name.startswith(theirs) and name not in UNUSED_WEIGHTS:
                state[ours + name.removeprefix(theirs)] = tensor
    missing, unexpected = model.load_state_dict(state, strict=False)
    unused = {name.removeprefix("model.") for name in UNUSED_WEIGHTS}
    if unexpected or set(missing) - unused:
        raise ValueError(f"weights of another model: {unexpected} {missing}")
    return model


def torch_engine(arguments: argparse.Namespace, compiled: bool) -> tuple[Run, str]:
    """PyTorch, channels-last, in the precision of its parameters."""
    import torch

    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[arguments.precision]
    model = torch_model(arguments).to(dtype).to(memory_format=torch.channels_last)
    if compiled:
        model = torch.compile(model)

    def run(pixels: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(pixels).to(dtype).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            return model(x).float().numpy()

    return run, torch.__version__


def torch_eager(arguments: argparse.Namespace) -> tuple[Run, str]:
    """PyTorch as it comes."""
    return torch_engine(arguments, compiled=False)


def torch_compile(arguments: argparse.Namespace) -> tuple[Run, str]:
    """PyTorch through its compiler."""
    return torch_engine(arguments, compiled=True)


def torch_autocast(arguments: argparse.Namespace) -> tuple[Run, str]:
    """PyTorch with f32 parameters, dense operations in bf16."""
    import torch

    if arguments.precision != "bf16":
        raise ValueError("autocast is for bf16")
    model = torch_model(arguments).to(memory_format=torch.channels_last)

    def run(pixels: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(pixels).to(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            return model(x).float().numpy()

    return run, torch.__version__


def exported(arguments: argparse.Namespace) -> Path:
    """The model as ONNX, made once for each preset and shape of the input."""
    pixels = read_pixels(arguments.input)
    path = arguments.cache / f"{arguments.preset}-{'x'.join(map(str, pixels.shape))}.onnx"
    if not path.is_file():
        import torch

        arguments.cache.mkdir(parents=True, exist_ok=True)
        pixels = torch.from_numpy(pixels)
        aside = arguments.cache / "unfinished.onnx"
        program = torch.onnx.export(torch_model(arguments), (pixels,), dynamo=True)
        program.save(aside, external_data=False)
        aside.rename(path)
    return path


def onnxruntime_engine(arguments: argparse.Namespace) -> tuple[Run, str]:
    """ONNX Runtime on the CPU."""
    if arguments.precision != "f32":
        raise ValueError("its CPU provider computes convolutions in f32")
    path = exported(arguments)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0], onnxruntime.__version__


def openvino_engine(arguments: argparse.Namespace) -> tuple[Run, str]:
    """OpenVINO on the CPU, for latency."""
    path = exported(arguments)
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": arguments.threads,
        "INFERENCE_PRECISION_HINT": arguments.precision,
    }
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if found != arguments.precision:
        raise ValueError(f"OpenVINO computes in {found} on this CPU, not in {arguments.precision}")
    return lambda pixels: next(iter(compiled(pixels).values())), openvino.get_version()


ENGINES: dict[str, Callable[[argparse.Namespace], tuple[Run, str]]] = {
    "onnxruntime": onnxruntime_engine,
    "openvino": openvino_engine,
    "torch-autocast": torch_autocast,
    "torch-compile": torch_compile,
    "torch-eager": torch_eager,
}

if __name__ == "__main__":
    sys.exit(main())
