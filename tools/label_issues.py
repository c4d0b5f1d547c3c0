"""Flips known labels of a data folder, and compares `sarb labels issues` with cleanlab on the same scores.

python3 tools/label_issues.py flip DATA OUT --share 0.05 [--known 0.5] [--seed 0]
    copies train.csv with a share of its known labels flipped (images stay where they are), and flipped.npy, which are
python3 tools/label_issues.py compare DATA_FLIPPED RUN SARB
    average precision of both rankings of the known labels, and the precision among the first

cleanlab sees what it can take: complete labels are needed, so unknown ones get the label that the scores say, and count
for nothing in the comparison. Needs `pip install cleanlab numpy`.
"""
import argparse
import csv
import json
import os
import subprocess

import numpy as np


def read(path):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        header = next(rows)[1:]
        names, labels = [], []
        for row in rows:
            names.append(row[0])
            labels.append([{"1": 1, "0": -1}.get(cell, 0) for cell in row[1:]])
    return header, names, np.array(labels)


def write(path, header, names, labels):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", *header])
        for name, row in zip(names, labels):
            rows.writerow([name, *({1: "1", -1: "0"}.get(value, "") for value in row)])


def flip(args):
    header, names, labels = read(os.path.join(args.data, "train.csv"))
    random = np.random.default_rng(args.seed)
    labels[random.random(labels.shape) >= args.known] = 0
    flipped = (labels != 0) & (random.random(labels.shape) < args.share)
    os.makedirs(args.out, exist_ok=True)
    folder = os.path.abspath(args.data)
    names = [os.path.relpath(os.path.join(folder, name), args.out) for name in names]
    write(os.path.join(args.out, "train.csv"), header, names, np.where(flipped, -labels, labels))
    np.save(os.path.join(args.out, "flipped.npy"), flipped)
    print(f"{flipped.sum()} of {(labels != 0).sum()} known labels are flipped")


def average_precision(is_hit):
    hits = np.cumsum(is_hit)
    places = np.arange(1, len(is_hit) + 1)
    return float((hits / places)[is_hit].mean())


def compare(args):
    from cleanlab.internal.multilabel_scorer import ClassLabelScorer

    header, names, labels = read(os.path.join(args.run, "oof/train.csv"))
    flipped = np.load(os.path.join(args.data, "flipped.npy"))
    logits = np.load(os.path.join(args.run, "oof/scores.npy"))
    probabilities = 1 / (1 + np.exp(-logits.astype(float)))
    known = labels != 0
    assert flipped.shape == labels.shape and not flipped[~known].any()
    rankings = {}
    command = [args.sarb, "-q", "labels", "issues", args.run, "--top", "0", "--json"]
    issues = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["issues"]
    row_of = {os.path.basename(name): row for row, name in enumerate(names)}
    cells = [(row_of[os.path.basename(i["image"])], header.index(i["category"])) for i in issues]
    rankings["sarb labels issues"] = flipped[tuple(np.array(cells).T)]

    filled = np.where(known, labels > 0, probabilities > 0.5).astype(int)
    for name, scorer in [("self_confidence", ClassLabelScorer.SELF_CONFIDENCE),
                         ("normalized_margin", ClassLabelScorer.NORMALIZED_MARGIN),
                         ("confidence_weighted_entropy", ClassLabelScorer.CONFIDENCE_WEIGHTED_ENTROPY)]:
        quality = np.stack([
            scorer(filled[:, c], np.stack([1 - probabilities[:, c], probabilities[:, c]], 1), adjust_pred_probs=False)
            for c in range(len(header))
        ], 1)
        order = np.argsort(quality[known], kind="stable")
        rankings[f"cleanlab {name}"] = flipped[known][order]
    for name, hits in rankings.items():
        first = "  ".join(f"{k}: {100 * hits[:k].mean():.1f} %" for k in (50, 100, 200, 500))
        print(f"{name:40} AP {100 * average_precision(hits):.1f} %  among the first {first}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    flips = commands.add_parser("flip")
    flips.add_argument("data")
    flips.add_argument("out")
    flips.add_argument("--share", type=float, required=True)
    flips.add_argument("--known", type=float, default=1.0)
    flips.add_argument("--seed", type=int, default=0)
    flips.set_defaults(command=flip)
    compares = commands.add_parser("compare")
    compares.add_argument("data")
    compares.add_argument("run")
    compares.add_argument("sarb")
    compares.set_defaults(command=compare)
    args = parser.parse_args()
    args.command(args)


if __name__ == "__main__":
    main()
