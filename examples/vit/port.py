# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "onnxscript", "safetensors", "timm", "torch"]
# ///
"""The model of model.py in ONNX Runtime: exported by torch.onnx, run with every tensor of the graph as an output.

uv run examples/vit/port.py --out examples/vit/port.npz
uv run examples/vit/port.py --bug scale --out examples/vit/bugs/scale.npz

The archive has the names of the ONNX graph. --bug plants a mistake in the graph:

gelu     the MLP of block 0 has the tanh approximation of GELU, timm has erf
scale    the attention of block 1 is not divided by the square root of a head's width
epsilon  the second LayerNorm of block 1 adds 1e-5 to the variance, PyTorch's default, and not 1e-6, timm's
"""

import argparse
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
from model import HERE, build


def set_attribute(node, name, value):
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def plant(bug, graph):
    def nodes(kind):
        return [node for node in graph.node if node.op_type == kind]

    if bug == "gelu":
        set_attribute(nodes("Gelu")[0], "approximate", "tanh")
    elif bug == "epsilon":
        set_attribute(nodes("LayerNormalization")[3], "epsilon", 1e-5)
    elif bug == "scale":  # torch.onnx scales query and key, each by the root of what attention scales by
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), "one"))
        for node in nodes("Mul")[2:]:
            node.input[1] = "one"


def run(model, x):
    """Every tensor that the graph computes, by name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    computed = {name for node in graph.node for name in node.output}
    inner = [value for value in graph.value_info if value.name in computed]
    model.graph.output.extend(inner)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: x})))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bug", choices=("gelu", "scale", "epsilon"))
    parser.add_argument("--out", type=pathlib.Path, required=True)
    asked = parser.parse_args()
    image = np.load(HERE / "input.npy")
    model = torch.onnx.export(build(), (torch.from_numpy(image),), dynamo=True).model_proto
    plant(asked.bug, model.graph)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(asked.out, **run(model, image))
