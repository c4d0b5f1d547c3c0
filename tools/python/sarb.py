"""The program `sarb` from Python: one file that calls it, to be copied or put on PYTHONPATH. It needs numpy and the
program: on PATH (`pip install` of the wheel puts it there), or where the environment variable SARB says.

    import sarb

    scores = sarb.predict("RUN", ["a.jpg", "b.jpg"])        # [N, C] float32, probabilities in the order of the paths
    names = sarb.categories("RUN")                          # the C columns
    paths, names, matrix = sarb.labels("train.csv")         # [N, C] int8: 1 there, -1 not there, 0 unknown

What the program refuses is a `sarb.Error` with its message and exit code. docs/python.md has Ray Data and Spark.
"""

import json
import os
import subprocess
import tempfile

import numpy as np

__all__ = ["Error", "categories", "labels", "predict", "run"]


class Error(Exception):
    """What the program said on stderr, and its exit code."""

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code


def run(*arguments, stdin=None, accept=(0,)):
    """Runs `sarb` with these arguments; returns its exit code, what it printed, and what it said beside.

    Raises Error where the program is not found or ends with a code that is not among `accept`.
    """
    program = os.environ.get("SARB", "sarb")
    try:
        done = subprocess.run([program, *map(str, arguments)], input=stdin or "", capture_output=True, encoding="utf-8",
                              errors="surrogateescape")
    except FileNotFoundError:
        raise Error(f"{program}: no such program; install the wheel, or let SARB name it") from None
    if done.returncode not in accept:
        raise _error(done.returncode, done.stderr)
    return done.returncode, done.stdout, done.stderr


def categories(run_folder):
    """Names of a run's categories, in the order of the columns of its scores."""
    path = os.path.join(run_folder, "data", "categories.json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)["names"]
    except (OSError, ValueError, KeyError) as error:
        raise Error(f"{path}: not the categories of a run: {error}") from error


def predict(run_folder, paths, broken="raise", options=()):
    """Probabilities of a run's categories in images, [N, C] float32, in the order of `paths`.

    `broken` says what becomes of images that cannot be read: "raise" an Error that names them, or a row of "nan".
    `options` are those of `sarb predict`, such as ["--with", "OTHER"]; what --threshold, --top and --decide leave out
    is NaN.
    """
    if broken not in ("raise", "nan"):
        raise ValueError(f'broken is {broken!r}; expected "raise" or "nan"')
    paths = [_line(path) for path in paths]
    if not paths:
        return np.empty((0, len(categories(run_folder))), np.float32)
    with tempfile.TemporaryDirectory(prefix="sarb-") as folder:
        out = os.path.join(folder, "scores.npy")
        arguments = ["predict", run_folder, "-", "--out", out, "--quiet", *options]
        code, _, said = run(*arguments, stdin="\n".join(paths) + "\n", accept=(0, 3))
        # Images that cannot be read end with 3 as well, but the scores of the others are there.
        if code and (broken == "raise" or not os.path.exists(out)):
            raise _error(code, said)
        return np.load(out)


def labels(source, options=()):
    """Labels of any format that `sarb data convert` reads: paths of the images, names of the categories, and a matrix
    [N, C] int8 of 1 (there), -1 (not there) and 0 (unknown).

    `options` are those of `sarb data convert`, such as ["--unlisted", "unknown"].
    """
    with tempfile.TemporaryDirectory(prefix="sarb-") as folder:
        folder = os.path.realpath(folder)
        out = os.path.join(folder, "labels.npy")
        run("data", "convert", source, "--to", "arrays", "--out", out, "--quiet", *options)
        lines = {}
        for what in ("images", "categories"):
            with open(os.path.join(folder, f"labels.{what}.txt"), encoding="utf-8") as file:
                lines[what] = file.read().splitlines()
        paths = [os.path.normpath(os.path.join(folder, name)) for name in lines["images"]]
        return paths, lines["categories"], np.load(out)


def _line(path):
    """A path as a line of the list that the program reads."""
    path = os.fsdecode(path)
    if path != path.strip() or "\n" in path or "\r" in path or not path:
        raise ValueError(f"{path!r}: a path that begins or ends with a space, or has several lines; rename the file")
    return path


def _error(code, said):
    lines = said.strip().splitlines()
    wrong = [line[6:] for line in lines if line.startswith("sarb: ") and not line.startswith("sarb: warning: ")]
    return Error("\n".join(wrong or lines) or f"sarb ended with {code}", code)
