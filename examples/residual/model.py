# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "safetensors", "timm", "torch"]
# ///
"""A residual network of timm with few channels: the reference.

uv run examples/residual/model.py # writes weights.safetensors and input.npy beside it

It has two stages of two blocks; the other two stages of timm's class are empty. `build()` gives the model with the weights of
that file, for capture.py. All numbers come from a seed. BatchNorm's statistics are neither 0 nor 1 and no bias is zero, so that
an operation that is left out shows.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from timm.models.resnet import BasicBlock, ResNet

HERE = pathlib.Path(__file__).resolve().parent
SEED = 5


def network():
    return ResNet(BasicBlock, layers=(2, 2, 0, 0), channels=(8, 12, 12, 12), stem_type="deep", stem_width=4, num_classes=10)


def build():
    weights = load_file(HERE / "weights.safetensors")
    model = network()
    missing, _ = model.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()}, strict=False)
    if not all(name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"not in weights.safetensors: {missing}")
    return model.eval()


def make_weights(random):
    weights = {}
    for name, tensor in network().state_dict().items():
        shape = tuple(tensor.shape)
        if name.endswith("num_batches_tracked"):
            continue  # only training reads it
        if name.endswith("running_var"):
            values = random.uniform(0.3, 2, shape)
        elif name.endswith(("running_mean", "bias")):
            values = random.uniform(0.05, 0.4, shape) * random.choice([-1, 1], shape)
        elif len(shape) == 1:
            values = random.uniform(0.6, 1.4, shape)
        else:
            values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        weights[name] = values.astype(np.float32)
    return weights


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    save_file(make_weights(random), HERE / "weights.safetensors")
    np.save(HERE / "input.npy", random.normal(0, 1, (1, 3, 24, 32)).astype(np.float32))
