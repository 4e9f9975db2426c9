# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "torch", "xxhash"]
# ///
"""Dumps what every module of a PyTorch model gives, in float64 and in float32, for `set make`.

uv run examples/capture.py my_model.py:build --weights model.pt --input input.npy --out captured

`build()` in my_model.py gives the module, with its weights loaded. Each output becomes DIR/f64/NAME.npy and DIR/f32/NAME.npy
under the module's own name, in the order in which modules end; NAME.call2 is what a module gives when it is called again,
NAME.0 and NAME.1 are the parts of an output of several tensors.
"""

import argparse
import hashlib
import importlib.util
import json
import pathlib

import numpy as np
import torch
import xxhash


def tensors_of(output, name):
    if isinstance(output, torch.Tensor):
        yield name, output
    elif isinstance(output, (tuple, list, dict)):
        parts = output.items() if isinstance(output, dict) else enumerate(output)
        for key, part in parts:
            yield from tensors_of(part, f"{name}.{key}")


def capture(model, x, folder, files):
    """Runs the model and writes what its modules give, with a dump.json that says in which order and of what."""
    folder.mkdir(parents=True)
    calls, records = {}, []

    def keep(name):
        def hook(module, inputs, output):
            calls[name] = calls.get(name, 0) + 1
            called = name if calls[name] == 1 else f"{name}.call{calls[name]}"
            for own, tensor in tensors_of(output, called):
                values = np.ascontiguousarray(tensor.detach().cpu().numpy())
                np.save(folder / f"{own}.npy", values)
                records.append({"file": f"{own}.npy", "xxh3_128": xxhash.xxh3_128_hexdigest(values.tobytes())})

        return hook

    handles = [module.register_forward_hook(keep(name or "output")) for name, module in model.named_modules()]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    hashed = {key: {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for key, path in files.items()}
    record = {"schema_version": 2, "program": f"torch {torch.__version__}", "facts": {"precision": folder.name}}
    (folder / "dump.json").write_text(json.dumps(record | hashed | {"tensors": records}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="FILE.py:FUNCTION")
    for option in ("--weights", "--input", "--out"):
        parser.add_argument(option, type=pathlib.Path, required=True)
    asked = parser.parse_args()
    file, function = asked.model.rsplit(":", 1)
    spec = importlib.util.spec_from_file_location("model_to_capture", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x = torch.from_numpy(np.load(asked.input))
    files = {"weights": asked.weights, "input": asked.input}
    for folder, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        capture(getattr(module, function)().eval().to(dtype), x.to(dtype), asked.out / folder, files)
