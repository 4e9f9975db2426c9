# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "safetensors"]
# ///
"""The network of model.py in NumPy: channels last, no batch axis, names of its own.

uv run examples/residual/port.py --out examples/residual/port.npz
uv run examples/residual/port.py --bug padding --out examples/residual/bugs/padding.npz

Reads weights.safetensors and input.npy beside it and writes every tensor that it computes, in float32. --bug plants a mistake:

epsilon  the second BatchNorm of stage 1 adds 1e-3 to the variance, as Keras does, and not 1e-5, as PyTorch does
relu     the second block of stage 1 applies ReLU before it adds the shortcut, and not after
padding  the strided convolution of stage 2 is padded below and to the right, as by TensorFlow, and not all around
"""

import argparse
import pathlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).resolve().parent


def pad(x, before, after, value=0):
    return np.pad(x, [(before, after), (before, after), (0, 0)], constant_values=value)


def windows(x, size, stride):
    """[height, width, channels, size, size] of the padded map [height, width, channels]."""
    return sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]


def relu(x):
    return np.maximum(x, 0)


class Port:
    def __init__(self, weights, bug):
        self.weights, self.bug, self.taken = weights, bug, {}

    def keep(self, name, x):
        self.taken[name] = np.ascontiguousarray(x, np.float32)
        return x

    def conv(self, own, name, x, stride=1):
        kernel = self.weights[f"{name}.weight"]  # [out, in, height, width]
        size = kernel.shape[-1]
        before = after = size // 2
        if self.bug == "padding" and name.startswith("layer2") and size == 3 and stride == 2:
            before, after = 0, 1
        places = windows(pad(x, before, after), size, stride)
        return self.keep(own, np.tensordot(places, kernel, axes=([2, 3, 4], [1, 2, 3])))

    def norm(self, own, name, x):
        weight, bias, mean, var = (self.weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        epsilon = 1e-3 if self.bug == "epsilon" and name == "layer1.0.bn2" else 1e-5
        return self.keep(own, (x - mean) / np.sqrt(var + np.float32(epsilon)) * weight + bias)

    def stem(self, x):
        for step, stride in enumerate((2, 1, 1)):
            x = self.conv(f"stem_conv{step}", f"conv1.{3 * step}", x, stride)
            x = self.norm(f"stem_norm{step}", f"conv1.{3 * step + 1}" if step < 2 else "bn1", x)
            x = self.keep(f"stem_relu{step}", relu(x))
        return self.keep("stem_pool", windows(pad(x, 1, 1, -np.inf), 3, 2).max((-2, -1)))

    def block(self, stage, index, x):
        own, name = f"stage{stage}_block{index}", f"layer{stage}.{index}"
        stride = 2 if stage == 2 and index == 0 else 1
        y = self.conv(f"{own}_conv1", f"{name}.conv1", x, stride)
        y = self.keep(f"{own}_relu1", relu(self.norm(f"{own}_norm1", f"{name}.bn1", y)))
        y = self.conv(f"{own}_conv2", f"{name}.conv2", y)
        y = self.norm(f"{own}_norm2", f"{name}.bn2", y)
        if f"{name}.downsample.0.weight" in self.weights:
            x = self.conv(f"{own}_short_conv", f"{name}.downsample.0", x, stride)
            x = self.norm(f"{own}_short_norm", f"{name}.downsample.1", x)
        early = self.bug == "relu" and (stage, index) == (1, 1)
        return self.keep(f"{own}_out", relu(y) + x if early else relu(y + x))

    def run(self, x):
        x = self.stem(x)
        for stage in (1, 2):
            for index in (0, 1):
                x = self.block(stage, index, x)
        x = self.keep("pooled", x.mean((0, 1)))
        self.keep("logits", self.weights["fc.weight"] @ x + self.weights["fc.bias"])
        return self.taken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bug", choices=("epsilon", "relu", "padding"))
    parser.add_argument("--out", type=pathlib.Path, required=True)
    asked = parser.parse_args()
    image = np.load(HERE / "input.npy")[0].transpose(1, 2, 0)
    tensors = Port(load_file(HERE / "weights.safetensors"), asked.bug).run(image)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(asked.out, **tensors)
