"""Writes what the tools named below write of one tiny network, as their own code or formats do it.

    python make.py          # into the folder of this file; takes torch, transformers, safetensors, onnx and numpy

`net/`          model_addition_debugger_context of transformers, its own code
`tagged/`       the layout and content of sglang's dumper, two steps
`stepped/`      the layout of vLLM's intermediate logging, its `torch.save` of bare tensors
`bare/`         hooks with `torch.save(tensor, path)`, among them views, a list and a parameter
`onnx/`         onnx.numpy_helper and onnx.helper.make_tensor
`containers/`   the outputs by np.savez, np.savez_compressed, safetensors and `torch.save` of a dictionary
`npy/`          the same outputs by NumPy, which all others are held against
"""

import io
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from transformers import model_addition_debugger_context

HERE = Path(__file__).resolve().parent


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Linear(3, 3)
        self.act = torch.nn.Tanh()

    def forward(self, x):
        return x + self.act(self.proj(x))


class Split(torch.nn.Module):
    def forward(self, x):
        return x[:, :1], x[:, 1:]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        # In an order of their names that is not that of their execution.
        self.stem = torch.nn.Linear(2, 3)
        self.blocks = torch.nn.ModuleList([Block()])
        self.cut = Split()

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.cut(x)


def outputs(net, x):
    """The outputs of all modules in the order in which they are there."""
    found = {}

    def hook(name):
        return lambda module, inputs, output: found.__setitem__(name, output)

    handles = [m.register_forward_hook(hook(n)) for n, m in net.named_modules() if n]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return found


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def tensors(output):
    return list(output) if isinstance(output, tuple) else [output]


def main():
    torch.manual_seed(7)
    net, x = Net().eval(), torch.randn(2, 2)
    found = outputs(net, x)

    folder = fresh("npy")
    for name, output in found.items():
        np.save(folder / f"{name}.npy", tensors(output)[0].numpy())

    folder = fresh("containers")
    first = {name: tensors(output)[0].contiguous() for name, output in found.items()}
    arrays = {name: tensor.numpy() for name, tensor in first.items()}
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", **arrays)
    save_file(first, folder / "all.safetensors")
    torch.save(first, folder / "all.pt")
    torch.save(first, folder / "legacy.pt", _use_new_zipfile_serialization=False)

    fresh("net")
    with model_addition_debugger_context(net, debug_path=str(HERE / "net"), do_prune_layers=False, use_repr=False):
        net.forward(x)
    (HERE / "net" / "Net_debug_tree_SUMMARY.json").unlink()

    folder = fresh("tagged") / "dump_20261130_101500_abc"
    folder.mkdir()
    index = 0
    for step in (0, 1):
        for name, output in outputs(net, x * (step + 1)).items():
            several = tensors(output)
            for at, value in enumerate(several):
                if step == 0 and name != "stem":
                    continue
                index += 1
                part = f".{at}" if len(several) > 1 else ""
                tags = {
                    "step": step,
                    "rank": 0,
                    "dump_index": index,
                    "name": f"non_intrusive__{name}.output{part}",
                    **({"recompute_status": "disabled"} if step == 0 else {}),
                }
                path = folder / ("___".join(f"{k}={v}" for k, v in tags.items()) + ".pt")
                meta = {**tags, "dims": "t h", "world_rank": 0, "timestamp": 0.5, "args": ["a", None, 1.5]}
                # Through memory, which keeps the long name of the file out of it.
                content = io.BytesIO()
                torch.save({"value": value, "meta": meta}, content)
                path.write_bytes(content.getvalue())

    step = fresh("stepped") / "step_0"
    began = ["stem", "blocks.0", "blocks.0.proj", "blocks.0.act", "cut"]
    for name in began:
        (step / name).mkdir(parents=True)
        output = found[name]
        for at, value in enumerate(tensors(output)):
            part = f"_{at}" if isinstance(output, tuple) else ""
            torch.save(value.clone(), step / name / f"outputs{part}_cpu.pt")
    (step / "stem_1").mkdir()
    torch.save(found["stem"] * 2, step / "stem_1" / "outputs_cpu.pt")
    (step / "module_calls.txt").write_text("".join(f"{name}\n" for name in [*began[:1], "stem_1", *began[1:]]))

    folder = fresh("bare")
    stem = found["stem"]
    torch.save(stem, folder / "stem.pt")
    torch.save(stem.t().contiguous().t(), folder / "transposed.pt")
    torch.save(torch.cat([stem, stem])[2:], folder / "part.pt")
    torch.save(torch.nn.Parameter(stem.clone()), folder / "parameter.pt")
    torch.save(stem, folder / "protocol4.pt", pickle_protocol=4)
    torch.save(stem.double(), folder / "f64.pt")
    torch.save(stem.bfloat16(), folder / "bf16.pt")
    torch.save(list(found["cut"]), folder / "list.pt")
    torch.save((stem, {"inner": stem}), folder / "tuple.pt")
    torch.save(stem, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save([1, 2], folder / "numbers.pt")

    folder = fresh("onnx")
    array = stem.numpy()
    kind = onnx.TensorProto

    def write(name, tensor):
        (folder / f"{name}.pb").write_bytes(tensor.SerializeToString())

    write("raw", numpy_helper.from_array(array))
    write("named", numpy_helper.from_array(array, name="stem"))
    write("float_data", onnx.helper.make_tensor("", kind.FLOAT, array.shape, array.flatten()))
    write("double_data", onnx.helper.make_tensor("", kind.DOUBLE, array.shape, array.astype(np.float64).flatten()))
    write("f16_data", onnx.helper.make_tensor("", kind.FLOAT16, array.shape, array.astype(np.float16).flatten()))
    write("f16", numpy_helper.from_array(array.astype(np.float16)))
    write("bf16_data", onnx.helper.make_tensor("", kind.BFLOAT16, array.shape, array.flatten()))
    write("scalar", numpy_helper.from_array(array[0, 0]))
    write("integers", numpy_helper.from_array(np.arange(3)))
    external = numpy_helper.from_array(array, name="stem")
    onnx.external_data_helper.set_external_data(external, location="weights.bin")
    external.ClearField("raw_data")
    external.data_location = kind.EXTERNAL
    write("external", external)


if __name__ == "__main__":
    main()
