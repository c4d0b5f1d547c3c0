#!/usr/bin/env python3
"""Builds the data folder of the measurements: 12,000 photographs of MS-COCO with complete labels of 18 categories.

    python3 tools/coco18.py --out DATA
    python3 tools/coco18.py --out DATA --from CHECKOUT_OR_ARCHIVE --words coco_glove_word2vec.pkl    # without a network

Needs only Python 3.9. Reads about 390 MB from GitHub, writes 138 MB. Leaves nothing if anything fails.

Sources, each at a pinned commit:
- Photographs and labels: github.com/syf0122/COMP5329_Assignment02, photographs 0 to 7999 to train, 8000 to 11999 to
  test. The repository names no license. MS-COCO's annotations are under CC BY 4.0, its photographs come from Flickr,
  each under the license that its owner chose. `--from` takes a checkout or GitHub's .zip or .tar.gz of that commit.
- Word vectors: data/coco/coco_glove_word2vec.pkl (96 kB) of github.com/megvii-research/ML-GCN, GloVe with 300 numbers
  a category. That repository names no license; GloVe's own vectors are under the PDDL 1.0. `--words` takes the file.
"""
import argparse
import contextlib
import hashlib
import http.client
import pickletools
import re
import signal
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

ARCHIVE = "https://codeload.github.com/syf0122/COMP5329_Assignment02/tar.gz/7c1fe6ff6a8b1498e1cb85e2fa4c3870ffdfefbb"
ML_GCN = "https://raw.githubusercontent.com/megvii-research/ML-GCN/5517d6ff8012ead45c26a07b3a9d960cdaa0b9d1"
WORDS = f"{ML_GCN}/data/coco/coco_glove_word2vec.pkl"
SHA256 = {  # "images" is the sum over the bytes of all photographs, 0.jpg to 11999.jpg
    "train.csv": "afb0bba70cd43264ef0816cd07d011935d23da83e68897158af751d2e164b0b4",
    "test.csv": "aefd0e4caa1b13e2265a5bce8ec037e170783e90b79ac391327ebd7bea76fdeb",
    "words.npy": "8d678f252a388d0ab3a1cd7409337f9a2e5dd35443444c70d41418c029ccca1c",
    "images": "9d52dbb5c876183a17f48f095a43e31c39deb91469d2508723a9e401e9beea18",
}
# The label's number in the source, its name, its place in the alphabetical order of COCO's 80 names.
CATEGORIES = [
    (1, "person", 49), (2, "bicycle", 9), (3, "car", 18), (4, "motorcycle", 44), (5, "airplane", 0), (6, "bus", 16),
    (7, "train", 73), (8, "truck", 74), (9, "boat", 11), (10, "traffic light", 72), (11, "fire hydrant", 31),
    (13, "stop sign", 63), (14, "parking meter", 48), (15, "bench", 8), (16, "bird", 10), (17, "cat", 20),
    (18, "dog", 28), (19, "horse", 37),
]


def opened(path, url):
    return open(path, "rb") if path else urllib.request.urlopen(url, timeout=60)


def files(source):
    """(path, function that reads the file) for every file of the source; of GitHub's archive if there is none."""
    if source and source.is_dir():
        for path in source.glob("data/**/*.*"):
            yield path.relative_to(source).as_posix(), path.read_bytes
    elif source and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                yield name, lambda name=name: archive.read(name)
    else:
        with opened(source, ARCHIVE) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in filter(tarfile.TarInfo.isfile, archive):
                yield member.name, lambda member=member: archive.extractfile(member).read()


def take(source, targets):
    """Copies the files that `targets` names, each to its path there. An archive's outermost folder has any name."""
    for name, read in files(source):
        target = targets.pop("data/" + name.partition("data/")[2], None)
        if target:
            target.write_bytes(read())
            if len(targets) % 2_000 == 0:
                print(f"{len(targets):,} files to go", file=sys.stderr)
        if not targets:
            return
    sys.exit(f"coco18.py: the source ends without {len(targets):,} of the needed files, such as {next(iter(targets))}")


def table(labels, numbers):
    """The CSV text of some photographs. Source lines are `1.jpg,1 19,"A caption"`, or the rest of a caption."""
    text = ",".join(["image", *(name for _, name, _ in CATEGORIES)]) + "\n"
    present = {int(key): set(map(int, ids.split())) for key, ids in re.findall(r"(?m)^(\d+)\.jpg,([\d ]+),", labels)}
    for number in numbers:
        cells = ("01"[label in present.get(number, ())] for label, _, _ in CATEGORIES)
        text += ",".join([f"images/{number}.jpg", *cells]) + "\n"
    return text.encode()


def words(pickled):
    """The bytes of words.npy: the rows of our categories. The pickle is searched for its one array, never executed."""
    array = max((item for _, item, _ in pickletools.genops(pickled) if isinstance(item, bytes)), key=len, default=b"")
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (18, 300), }".ljust(127) + b"\n"
    return header + b"".join(array[1200 * place : 1200 * (place + 1)] for _, _, place in CATEGORIES)


@contextlib.contextmanager
def errors_about(place):
    try:
        yield
    except (OSError, ValueError, EOFError, http.client.HTTPException, tarfile.TarError, zipfile.BadZipFile) as problem:
        sys.exit(f"coco18.py: {place}: {problem}")


def check(name, paths):
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    if digest.hexdigest() != SHA256[name]:
        sys.exit(f"coco18.py: {name} is not the measured one: SHA-256 {digest.hexdigest()}, expected {SHA256[name]}")


def build(scratch, source, pickle_path):
    """Makes the data folder in the temporary folder `scratch` and checks what was written. Returns its path."""
    folder, labels = scratch / "coco18", scratch / "labels.csv"
    images = [folder / f"images/{number}.jpg" for number in range(12_000)]
    (folder / "images").mkdir(parents=True)
    with errors_about(pickle_path or WORDS), opened(pickle_path, WORDS) as stream:
        (folder / "words.npy").write_bytes(words(stream.read()))
    check("words.npy", [folder / "words.npy"])
    with errors_about(source or ARCHIVE):
        take(source, {"data/train.csv": labels, **{f"data/data/{image.name}": image for image in images}})
    for name, numbers in ("train.csv", range(8_000)), ("test.csv", range(8_000, 12_000)):
        (folder / name).write_bytes(table(labels.read_text("utf-8"), numbers))
        check(name, [folder / name])
    check("images", images)
    return folder


def main():
    parser = argparse.ArgumentParser(description="Builds the data folder of the measurements.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--from", dest="source", type=Path, metavar="PATH", help="checkout, .zip or .tar.gz to read")
    parser.add_argument("--words", type=Path, metavar="FILE", help="coco_glove_word2vec.pkl to read")
    arguments = parser.parse_args()
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda *_: sys.exit("coco18.py: stopped, nothing was written"))
    out = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        sys.exit(f"coco18.py: {out} exists already")
    with errors_about(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".coco18-", dir=out.parent) as scratch:
            build(Path(scratch), arguments.source, arguments.words).replace(out)
    print(f"{out}: 8,000 photographs to train, 4,000 to test, words.npy; all equal to the measured ones")


if __name__ == "__main__":
    main()
