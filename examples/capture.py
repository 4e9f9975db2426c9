# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "torch", "xxhash"]
# ///
"""Dumps what every module of a PyTorch model gives, in float64 and in float32, for `set make`.

uv run examples/capture.py my_model.py:build --weights model.pt --input input.npy --out captured

`build()` in my_model.py gives the module, with its weights loaded. Each output becomes DIR/f64/NAME.npy and DIR/f32/NAME.npy
under the module's own name, in the order in which modules end; NAME.call2 is what a module gives when it is called again,
NAME.out0 and NAME.out1 are the parts of an output of several tensors. Outputs that are no floating-point numbers are left out.
What the model needs beside torch: uv run --with timm examples/capture.py …
"""

import argparse
import hashlib
import importlib.util
import json
import pathlib
import sys

import numpy as np
import torch
import xxhash


def tensors_of(output, name):
    if isinstance(output, torch.Tensor):
        yield name, output
    elif isinstance(output, (tuple, list, dict)):
        parts = output.items() if isinstance(output, dict) else enumerate(output)
        for key, part in parts:
            yield from tensors_of(part, f"{name}.out{key}")


def capture(model, x, folder, files):
    """Runs the model and writes what its modules give, with a dump.json that says in which order and of what."""
    folder.mkdir(parents=True)
    calls, records = {}, []

    def keep(name):
        def hook(module, inputs, output):
            for own, tensor in tensors_of(output, name.replace("/", "_")):
                if not tensor.is_floating_point():
                    print(f"{own}: {tensor.dtype}, left out")
                    continue
                calls[own] = calls.get(own, 0) + 1
                own = own if calls[own] == 1 else f"{own}.call{calls[own]}"
                values = np.ascontiguousarray(tensor.detach().cpu().numpy())
                np.save(folder / f"{own}.npy", values)
                records.append({"file": f"{own}.npy", "xxh3_128": xxhash.xxh3_128_hexdigest(values.tobytes())})

        return hook

    handles = [module.register_forward_hook(keep(name or "model")) for name, module in model.named_modules()]
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
    sys.path.insert(0, str(pathlib.Path(file).resolve().parent))
    missing = [str(path) for path in (asked.weights, asked.input) if not path.is_file()]
    if missing or asked.out.exists():
        sys.exit(f"not there: {', '.join(missing)}" if missing else f"{asked.out}: there already; name another folder")
    spec = importlib.util.spec_from_file_location("model_to_capture", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x = torch.from_numpy(np.load(asked.input))
    files = {"weights": asked.weights, "input": asked.input}
    for folder, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        own = x.to(dtype) if x.is_floating_point() else x  # token ids stay what they are
        capture(getattr(module, function)().eval().to(dtype), own, asked.out / folder, files)
