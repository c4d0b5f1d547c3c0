#!/usr/bin/env python3
"""Exports runs to ONNX and compares what ONNX Runtime says of images with what `sarb predict` says.

    pip install onnx onnxruntime pillow numpy
    python3 tests/clients/onnx_runtime.py SARB IMAGES RUN [RUN ...]

SARB is the program, IMAGES a folder. Images are decoded and resized once, by Pillow, and both sides read the same pixels:
two decoders or resizers differ by one of 255 here and there.
Ends with 1 if a logit is off by more than 0.0001 of the largest, or the file is not what docs/export.md says.
"""
import argparse
import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image

TOLERANCE = 1e-4
# `onnx` is imported where it is needed: hub.py needs the rest.
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def sarb(program, *arguments):
    """What a command prints."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"sarb {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def sample(images, most):
    """Files from all over a folder."""
    files = sorted(file for file in Path(images).rglob("*") if file.suffix.lower() in ENDINGS)
    return files[:: max(1, -(-len(files) // most))]


def resized(files, size, folder):
    """[N, 3, S, S] from 0 to 1, as the file's preprocessing says; the same as PNG files in a folder, in this order."""
    found = []
    for number, file in enumerate(files):
        image = Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        image.save(Path(folder, f"{number:05}.png"), compress_level=1)
        found.append(numpy.asarray(image, numpy.float32) / 255)
    return numpy.stack(found).transpose(0, 3, 1, 2)


def said(program, run, folder, names, decide):
    """Logits of `sarb predict`, [N, C], in the order of the files."""
    lines = sarb(program, "predict", run, folder, "--format", "jsonl", "--quiet", *decide).splitlines()
    rows = {}
    for line in map(json.loads, lines):
        logits = {label["name"]: label["logit"] for label in line["labels"]}
        # With --decide those below their threshold are left out.
        rows[Path(line["image"]).name] = [logits.get(name, numpy.nan) for name in names]
    return numpy.array([rows[name] for name in sorted(rows)], numpy.float32)


def check_file(model, size, categories):
    """What readers rely on."""
    import onnx

    onnx.checker.check_model(model, full_check=True)
    assert [(it.domain, it.version) for it in model.opset_import] == [("", 18)], model.opset_import
    image = model.graph.input[0]
    assert (image.name, image.type.denotation) == ("image", "IMAGE"), image
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["Image.BitmapPixelFormat"] == "Rgb8" and about["Image.ColorSpaceGamma"] == "SRGB", about
    assert about["Image.NominalPixelRange"] == "Normalized_0_1", about
    names = ast.literal_eval(about["names"])
    assert sorted(names) == list(range(categories)), names
    assert ast.literal_eval(about["imgsz"]) == [size, size] and about["task"] == "classify", about
    assert len(json.loads(about["thresholds"])) == categories, about
    return [names[number] for number in range(categories)], about


def compare(program, run, files, decide):
    """Whether the file says what the run says."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "run.onnx")
        sees_places = "descriptor" not in Path(run, "recipe.toml").read_text()
        outputs = "probabilities,logits" + (",attention" if sees_places else "")
        sarb(program, "export", run, "--to", "onnx", "-o", file, "--outputs", outputs, *decide)
        model = onnx.load(file)
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        megabytes = file.stat().st_size / 1e6
    (image,) = session.get_inputs()
    assert image.shape[0] == "batch" and image.shape[1] == 3 and image.shape[2] == image.shape[3], image.shape
    size, categories = image.shape[2], session.get_outputs()[0].shape[1]
    names, about = check_file(model, size, categories)
    with tempfile.TemporaryDirectory() as folder:
        pixels = resized(files, size, folder)
        expected = said(program, run, folder, names, decide)
    found = []
    for start in range(0, len(files), 7):  # A last batch of another size.
        outcome = session.run(None, {"image": pixels[start : start + 7]})
        probabilities, logits = outcome[:2]
        assert numpy.abs(probabilities - 1 / (1 + numpy.exp(-logits))).max() < 1e-6
        if sees_places:
            assert outcome[2].shape[:2] == logits.shape and outcome[2].ndim == 4, outcome[2].shape
        found.append(logits)
    alone = session.run(["logits"], {"image": pixels[:1]})[0]
    assert numpy.abs(alone - found[0][:1]).max() <= TOLERANCE * max(1, numpy.abs(alone).max())
    difference, largest = numpy.nanmax(numpy.abs(numpy.concatenate(found) - expected)), numpy.nanmax(numpy.abs(expected))
    print(
        f"{Path(run).name}: {about['sarb.method']} on {about['sarb.backbone']}, {megabytes:.1f} MB, {len(model.graph.node)} nodes; "
        f"{len(files)} images of {size} px, {categories} categories: logits up to {largest:.3f}, largest difference {difference:.2e}"
    )
    return difference <= TOLERANCE * max(1, largest)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("images")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--most", type=int, default=32, help="images that are compared")
    parser.add_argument("--decide", help="as of sarb export")
    arguments = parser.parse_args()
    decide = ["--decide", arguments.decide] if arguments.decide else []
    files = sample(arguments.images, arguments.most)
    equal = [compare(arguments.program, run, files, decide) for run in arguments.runs]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
