# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "safetensors", "timm", "torch"]
# ///
"""A vision transformer of timm with few channels: the reference.

uv run examples/vit/model.py # writes weights.safetensors and input.npy beside it

`build()` gives the model with the weights of that file, for capture.py and for port.py. All numbers come from a seed. Norms
scale and shift, no bias is zero, and attention is far from uniform, so that an operation that is left out shows.
"""

import pathlib

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

HERE = pathlib.Path(__file__).resolve().parent
SEED = 5


def network():
    return VisionTransformer(img_size=(16, 32), patch_size=8, embed_dim=24, depth=2, num_heads=4, mlp_ratio=2, num_classes=10)


def build():
    weights = load_file(HERE / "weights.safetensors")
    model = network()
    model.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    return model.eval()


def make_weights(random):
    weights = {}
    for name, tensor in network().state_dict().items():
        shape = tuple(tensor.shape)
        if "norm" in name and name.endswith("weight"):
            values = random.uniform(0.6, 1.4, shape)
        elif name.endswith("qkv.weight"):
            values = random.normal(0, 1.3 / np.sqrt(shape[1]), shape)
        elif name.endswith("weight"):
            values = random.normal(0, 0.4 / np.sqrt(np.prod(shape[1:])), shape)
        else:
            values = random.uniform(-0.2, 0.2, shape)
        weights[name] = values.astype(np.float32)
    return weights


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    save_file(make_weights(random), HERE / "weights.safetensors")
    np.save(HERE / "input.npy", random.normal(0, 1, (1, 3, 16, 32)).astype(np.float32))
