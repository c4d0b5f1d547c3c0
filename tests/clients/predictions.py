"""What `sarb predict --format coco` and its like write is read by the tools that it is for.

    python tests/clients/predictions.py SARB RUN IMAGES         # pycocotools; FiftyOne too where it is installed

The scores are compared with those of `predict --format jsonl`.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile


def predict(program, run, images, *more):
    done = subprocess.run([program, "predict", run, images, "--top", "2", *more], check=True, capture_output=True)
    return done.stdout.decode()


def in_coco(path):
    """Name -> {category: score}, by pycocotools."""
    from pycocotools.coco import COCO

    coco = COCO(path)
    name = {id: os.path.basename(image["file_name"]) for id, image in coco.imgs.items()}
    named = {
        name[id]: {coco.cats[it["category_id"]]["name"]: it["score"] for it in coco.imgToAnns[id]} for id in coco.imgs
    }
    assert all(image["width"] > 0 and image["height"] > 0 for image in coco.imgs.values())
    # As results of a detector they are taken as well.
    results = coco.loadRes(coco.dataset["annotations"])
    assert len(results.anns) == len(coco.anns)
    return named, coco.dataset["info"]["model_version"]


def in_fiftyone(folder):
    """The same by the importer that FiftyOne takes for a FiftyOneDataset of one file, which needs no database."""
    from fiftyone.utils.data.importers import LegacyFiftyOneDatasetImporter

    importer = LegacyFiftyOneDatasetImporter(folder)
    importer.setup()
    named, versions = {}, set()
    for sample in importer:
        assert os.path.isfile(sample.filepath), sample.filepath
        versions.add(sample.predictions.model_version)
        labels = sample.predictions.classifications
        named[os.path.basename(sample.filepath)] = {label.label: label.confidence for label in labels}
    (version,) = versions
    return named, version


def same(found, printed, what):
    assert found.keys() == printed.keys(), f"{what}: {len(found)} images, {len(printed)} printed"
    for image, named in printed.items():
        assert found[image].keys() == named.keys(), f"{what}: {image}"
        for category, probability in named.items():
            assert abs(found[image][category] - probability) < 1e-6, f"{what}: {image} {category}"


def main(program, run, images):
    lines = [json.loads(line) for line in predict(program, run, images, "--format", "jsonl").splitlines()]
    printed = {
        os.path.basename(line["image"]): {label["name"]: label["probability"] for label in line["labels"]}
        for line in lines
    }
    with tempfile.TemporaryDirectory() as folder:
        coco = os.path.join(folder, "coco.json")
        predict(program, run, images, "--format", "coco", "--out", coco)
        named, version = in_coco(coco)
        same(named, printed, "pycocotools")
        said = ["pycocotools"]
        if importlib.util.find_spec("fiftyone"):
            samples = os.path.join(folder, "samples.json")
            predict(program, run, images, "--format", "fiftyone", "--out", samples)
            named, other = in_fiftyone(folder)
            same(named, printed, "FiftyOne")
            assert other == version
            said.append("FiftyOne")
    print(f"{len(printed)} images of {version}: {' and '.join(said)} read what predict prints")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
