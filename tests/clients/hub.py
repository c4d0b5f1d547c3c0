#!/usr/bin/env python3
"""Exports runs as folders for a model hub and compares what PyTorch says of images with what `sarb predict` says.

    pip install torch safetensors pillow numpy
    python3 tests/clients/hub.py SARB IMAGES RUN [RUN ...]
    python3 tests/clients/hub.py SARB IMAGES RUN --torchvision     # a linear head on a ResNet, in torchvision's class
    python3 tests/clients/hub.py SARB IMAGES RUN --official CODE   # SARB in its official class, from a checkout

The folder's own `modeling.py` loads the weights. Ends with 1 if a logit is off by more than 0.0001 of the largest.
"""
import argparse
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file

from onnx_runtime import TOLERANCE, resized, said, sample, sarb


def loaded(folder):
    """The model of a folder, by its own code."""
    spec = importlib.util.spec_from_file_location("modeling", Path(folder, "modeling.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model(folder)


def in_torchvision(folder):
    """The same weights in torchvision's class, which pools all positions."""
    import torchvision

    config = json.loads(Path(folder, "config.json").read_text())
    model = torchvision.models.get_model(config["architecture"], num_classes=config["num_classes"])
    model.load_state_dict(load_file(Path(folder, "model.safetensors")))
    return normalized(model.eval(), config)


def in_official(folder, code):
    """The same weights in the official class of SARB."""
    sys.path.insert(0, code)
    from model.SARB import SARB

    config, weights = json.loads(Path(folder, "config.json").read_text()), load_file(Path(folder, "model.safetensors"))
    dim = weights["changeChannel.0.weight"].shape[0]
    model = SARB(
        weights["inMatrix"].numpy(),
        weights["wordFeatures"].numpy(),
        10,
        imageFeatureDim=dim,
        intermediaDim=weights["SemanticDecoupling.fc1.weight"].shape[0],
        outputDim=dim,
        classNum=config["num_classes"],
        wordFeatureDim=weights["wordFeatures"].shape[1],
        timeStep=config["sarb"]["head"]["steps"],
    )
    missing, surplus = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert set(missing) <= {"alpha", "beta"} and not surplus, (missing, surplus)
    return normalized(model.eval(), config)


def normalized(model, config):
    mean, std = (torch.tensor(config["pretrained_cfg"][key]).view(3, 1, 1) for key in ("mean", "std"))

    def logits(images):
        with torch.no_grad():
            return model((images - mean) / std)

    return logits


def compare(arguments, run, files):
    with tempfile.TemporaryDirectory() as place:
        decide = ["--decide", arguments.decide] if arguments.decide else []
        sarb(arguments.program, "export", run, "--to", "hub", "-o", place, *decide)
        config = json.loads(Path(place, "config.json").read_text())
        if arguments.official:
            model = in_official(place, arguments.official)
        else:
            model = in_torchvision(place) if arguments.torchvision else loaded(place)
    size = config["pretrained_cfg"]["input_size"][1]
    with tempfile.TemporaryDirectory() as folder:
        pixels = torch.from_numpy(resized(files, size, folder).copy())
        expected = said(arguments.program, run, folder, config["label_names"], decide)
    found = [model(pixels[at : at + 8]).numpy() for at in range(0, len(files), 8)]
    difference, largest = numpy.nanmax(numpy.abs(numpy.concatenate(found) - expected)), numpy.nanmax(numpy.abs(expected))
    about = config["sarb"]
    print(
        f"{Path(run).name}: {about['method']} ({about['head']['kind']}) on {config['architecture']}; {len(files)} images of "
        f"{size} px: logits up to {largest:.3f}, largest difference {difference:.2e}"
    )
    return difference <= TOLERANCE * max(1, largest)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("images")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--most", type=int, default=32, help="images that are compared")
    parser.add_argument("--decide", help="as of sarb export")
    parser.add_argument("--torchvision", action="store_true")
    parser.add_argument("--official", metavar="CODE")
    arguments = parser.parse_args()
    files = sample(arguments.images, arguments.most)
    equal = [compare(arguments, run, files) for run in arguments.runs]
    print(f"PyTorch {torch.__version__}")
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
