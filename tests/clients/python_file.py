"""`tools/python/sarb.py` asks the program: its numbers are those that the program prints, and what it refuses is an Error.

    python tests/clients/python_file.py SARB RUN DATA       # DATA: the data folder of the run, with images/
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools", "python"))
import sarb  # noqa: E402


def refused(call, code, text):
    try:
        call()
    except sarb.Error as error:
        assert error.code == code and text in str(error), f"{error.code}: {error}"
    else:
        raise AssertionError(f"not refused; expected {text!r}")


def main(program, run, data):
    os.environ["SARB"] = os.path.abspath(program)
    names = sarb.categories(run)
    folder = os.path.join(data, "images")
    images = [os.path.join(folder, name) for name in sorted(os.listdir(folder), reverse=True)[:24]]

    scores = sarb.predict(run, images)
    assert scores.shape == (len(images), len(names)) and scores.dtype == np.float32
    said = subprocess.run([program, "predict", run, "--format", "jsonl", *images], check=True, capture_output=True)
    for row, line in zip(scores, map(json.loads, said.stdout.splitlines())):
        printed = {label["name"]: label["probability"] for label in line["labels"]}
        assert np.array_equal(row, np.array([printed[name] for name in names], np.float32)), line["image"]
    one = sarb.predict(run, images[:1], options=["--top", "1"])
    assert np.isnan(one).sum() == len(names) - 1 and np.nanmax(one) == scores[0].max()
    assert sarb.predict(run, []).shape == (0, len(names))

    with tempfile.TemporaryDirectory() as scratch:
        broken = os.path.join(scratch, "brökén.jpg")
        with open(broken, "w") as file:
            file.write("no image")
        paths = [images[0], broken, images[1]]
        refused(lambda: sarb.predict(run, paths), 3, "brökén.jpg")
        held = sarb.predict(run, paths, broken="nan")
        assert np.array_equal(held[[0, 2]], scores[:2]) and np.isnan(held[1]).all()
        refused(lambda: sarb.predict(os.path.join(scratch, "none"), images, broken="nan"), 4, "none")
        refused(lambda: sarb.categories(scratch), None, "not the categories of a run")
        for path in (" a.jpg", "a\nb.jpg", ""):
            try:
                sarb.predict(run, [path])
                raise AssertionError(f"{path!r} is not refused")
            except ValueError:
                pass

    paths, columns, matrix = sarb.labels(os.path.join(data, "train.csv"))
    assert matrix.shape == (len(paths), len(columns)) and matrix.dtype == np.int8
    assert all(os.path.isfile(path) for path in paths) and set(np.unique(matrix)) <= {-1, 0, 1}
    with open(os.path.join(data, "train.csv"), encoding="utf-8") as file:
        header, first = (line.rstrip("\n").split(",") for line in (next(file), next(file)))
    meaning = {"1": 1, "0": -1, "": 0, "?": 0}
    assert columns == header[1:] and [meaning[cell] for cell in first[1:]] == matrix[0].tolist()
    refused(lambda: sarb.labels(os.path.join(data, "gone.csv")), 4, "gone.csv")
    os.environ["SARB"] = "no-such-program"
    refused(lambda: sarb.run("--version"), None, "no such program")
    print(f"{len(images)} images: the numbers of predict --format jsonl; {matrix.shape[0]} rows of labels")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
