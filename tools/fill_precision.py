"""How well `sarb labels fill` keeps its promise, on a data folder whose labels are complete.

python3 tools/fill_precision.py DATA OUT SARB --recipe coco18/linear --weights F [--known 0.1 0.3 0.5] [--masks 5 6 7 8 9]

For each share of known labels and each mask, a run is trained on what the mask leaves known (with --folds 5, if that is
given), its unknown labels are filled, and the filled ones are looked up in DATA/train.csv. Prints a row for each share
and precision: of how many categories something is filled, in how many of these (over all masks) the precision was
reached, the precision over all, and the share of the unknown labels that is filled; first of positives, then of
negatives. Runs that are there are not trained again.

With --chosen P Q labels are not known by chance: of what is there the share P is known, of what is not there Q, in place
of --known. With --audit N, N unknown labels that `labels next --by chance` draws are looked up in DATA/train.csv and
given to `labels fill --audited`.

With --test the images of DATA/test.csv are filled instead, of which nothing is known to the run: `labels fill --data`.
"""
import argparse
import collections
import csv
import json
import os
import random
import subprocess

PRECISIONS = [0.8, 0.9, 0.95, 0.99]


def truth(path):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        header = next(rows)[1:]
        return header, {os.path.basename(row[0]): row[1:] for row in rows}


def filled(path, header, labels):
    """Of each category and label: how many are filled, and how many of them are right."""
    counts = collections.defaultdict(lambda: [0, 0])
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            right = labels[os.path.basename(row["image"])][header.index(row["category"])] == row["label"]
            count = counts[row["category"], row["label"]]
            count[0] += 1
            count[1] += right
    return counts


def chosen(args, known, mask, folder):
    """A data folder in which labels are known by what they say."""
    draw = random.Random(mask)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(args.data, "train.csv"), newline="") as file:
        header, *rows = csv.reader(file)
    with open(os.path.join(folder, "train.csv"), "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        for row in rows:
            image = os.path.join(os.path.abspath(args.data), row[0])
            out.writerow([image, *(cell if draw.random() < known[cell == "0"] else "" for cell in row[1:])])
    return folder


def audited(args, run, labels, header):
    """A table of N unknown labels, looked up."""
    ask, answers = f"{run}-ask.csv", f"{run}-answers.csv"
    command = [args.sarb, "-q", "labels", "next", run, "--by", "chance", "--budget", str(args.audit)]
    subprocess.run([*command, "-o", ask, "--force"], check=True, stdout=subprocess.DEVNULL)
    with open(ask, newline="") as file, open(answers, "w", newline="") as to:
        out = csv.writer(to)
        out.writerow(["image", "category", "label"])
        for row in csv.DictReader(file):
            label = labels[os.path.basename(row["image"])][header.index(row["category"])]
            out.writerow([row["image"], row["category"], label])
    return answers


def unlabeled(args):
    """A table of the test images without their labels."""
    path = os.path.join(args.out, "test.csv")
    with open(os.path.join(args.data, "test.csv"), newline="") as file, open(path, "w", newline="") as to:
        header, *rows = csv.reader(file)
        out = csv.writer(to)
        out.writerow(header)
        for row in rows:
            out.writerow([os.path.join(os.path.abspath(args.data), row[0]), *("" for _ in row[1:])])
    return path


def trained(args, known, mask):
    name = "-".join(map(str, ["chosen", *known] if args.chosen else [known]))
    run = os.path.join(args.out, f"{name}-{mask}")
    if not os.path.exists(os.path.join(run, "oof/out_of_fold.json")):
        command = [args.sarb, "-q", "train", args.recipe, "--weights", args.weights, "--out", run, "--force"]
        if args.chosen:
            command += ["--data", chosen(args, known, mask, f"{run}-data")]
        else:
            command += ["--data", args.data, "--known", str(known), "--mask-seed", str(mask)]
        command += ["--folds", str(args.folds)] if args.folds else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("sarb")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--known", type=float, nargs="+", default=[0.1, 0.3, 0.5])
    parser.add_argument("--masks", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--folds", type=int)
    parser.add_argument("--chosen", type=float, nargs=2, metavar=("P", "Q"))
    parser.add_argument("--audit", type=int, metavar="N")
    parser.add_argument("--test", action="store_true")
    args = parser.parse_args()
    header, labels = truth(os.path.join(args.data, "test.csv" if args.test else "train.csv"))
    os.makedirs(args.out, exist_ok=True)
    others = ["--data", unlabeled(args)] if args.test else []
    print("known precision | positives: categories reached precision filled | negatives")
    for known in [args.chosen] if args.chosen else args.known:
        runs = [trained(args, known, mask) for mask in args.masks]
        for precision in PRECISIONS:
            sums = {label: [0, 0, 0, 0] for label in "10"}
            unknown = 0
            for run in runs:
                out = f"{run}-{precision}.csv"
                command = [args.sarb, "-q", "labels", "fill", run, "--precision", str(precision)]
                command += ["-o", out, "--force", "--json", *others]
                command += ["--audited", audited(args, run, labels, header)] if args.audit else []
                said = subprocess.run(command, check=True, capture_output=True).stdout
                unknown += json.loads(said)["unknown"]
                counts = filled(out.replace(".csv", ".filled.csv"), header, labels)
                for label, total in sums.items():
                    some = [counts[name, label] for name in header if counts[name, label][0]]
                    total[0] += len(some)
                    total[1] += sum(right >= precision * count - 1e-9 for count, right in some)
                    total[2] += sum(count for count, _ in some)
                    total[3] += sum(right for _, right in some)
            cells = [
                f"{some / len(runs):.1f} {100 * reached / max(some, 1):.0f} % "
                f"{100 * right / max(count, 1):.1f} % {100 * count / unknown:.1f} %"
                for some, reached, count, right in (sums["1"], sums["0"])
            ]
            print(known, precision, "|", " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
