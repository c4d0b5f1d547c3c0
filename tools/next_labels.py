"""Whether labels that `sarb labels next` asks for teach more than others, on a data folder whose labels are complete.

python3 tools/next_labels.py DATA OUT SARB --recipe coco18/linear --weights F
    [--by label] [--start 0.02] [--budget 0.02] [--rounds 5] [--seeds 0 1 2 3 4]
    [--asks next random entropy]

From DATA/train.csv a random share of the labels is known at the start (whole images with --by image); in each round a
run is trained and evaluated on DATA/test.csv, and labels worth a share --budget of all are bought: those that `sarb
labels next` lists, random ones, or those of the highest entropy of the run's probabilities (of an image: its sum over
the unknown labels). All ways of asking share the start. Prints the mAP after each round, mean over the seeds, with the
least and the greatest difference to random. Rounds that are there (OUT/*.json) are not trained again. Needs NumPy.
"""
import argparse
import csv
import json
import os
import shutil
import subprocess

import numpy as np


def read(path):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        header = next(rows)[1:]
        names, labels = [], []
        for row in rows:
            names.append(os.path.join(os.path.abspath(os.path.dirname(path)), row[0]))
            labels.append([{"1": 1, "0": -1}.get(cell, 0) for cell in row[1:]])
    return header, names, np.array(labels)


def write(path, header, names, labels):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", *header])
        for name, row in zip(names, labels):
            rows.writerow([name, *({1: "1", -1: "0"}.get(value, "") for value in row)])


def entropy(logits):
    p = np.clip(1 / (1 + np.exp(-logits.astype(float))), 1e-9, 1 - 1e-9)
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


class Simulation:
    def __init__(self, args):
        self.args = args
        self.header, self.names, self.truth = read(os.path.join(args.data, "train.csv"))
        self.row_of = {name: row for row, name in enumerate(self.names)}
        images, categories = self.truth.shape
        self.unit = 1 if args.by == "label" else categories
        units = images * categories // self.unit
        self.start, self.budget = (round(share * units) for share in (args.start, args.budget))

    def initial(self, random):
        known = np.zeros(self.truth.shape, bool)
        if self.args.by == "label":
            known.flat[random.permutation(known.size)[:self.start]] = True
        else:
            known[random.permutation(len(known))[:self.start]] = True
        return known

    def trained(self, folder, known):
        """Test mAP of a run trained on what is known."""
        data, run = os.path.join(folder, "data"), os.path.join(folder, "run")
        os.makedirs(data, exist_ok=True)
        write(os.path.join(data, "train.csv"), self.header, self.names, np.where(known, self.truth, 0))
        header, names, labels = read(os.path.join(self.args.data, "test.csv"))
        write(os.path.join(data, "test.csv"), header, names, labels)
        train = ["train", self.args.recipe, "--data", data, "--weights", self.args.weights, "--out", run, "--force"]
        subprocess.run([self.args.sarb, "-q", *train], check=True, stdout=subprocess.DEVNULL)
        evaluated = subprocess.run(
            [self.args.sarb, "-q", "evaluate", run, "--json"], check=True, capture_output=True, text=True)
        return json.loads(evaluated.stdout)["map"]

    def bought(self, ask, run, known, random, seed):
        """The cells that are known after another budget is spent."""
        known = known.copy()
        if ask == "next":
            listed = os.path.join(run, "..", "next.csv")
            command = ["labels", "next", run, "--budget", str(self.budget), "--by", self.args.by]
            command += ["--seed", str(seed)] if self.args.by == "image" else []
            subprocess.run([self.args.sarb, "-q", *command, "-o", listed, "--force"], check=True,
                           stdout=subprocess.DEVNULL)
            with open(listed, newline="") as file:
                for row in csv.DictReader(file):
                    image = os.path.abspath(os.path.join(os.path.dirname(listed), row["image"]))
                    known[self.row_of[image], self.header.index(row["category"])] = True
            return known
        worth = random.random(known.shape)
        if ask == "entropy":
            worth = entropy(np.load(os.path.join(run, "oof/scores.npy")))
        worth = np.where(known, 0, worth)
        if self.args.by == "image":
            worth = worth.sum(1)
            if ask == "random":
                worth = np.where(known.all(1), 0, random.random(len(known)))
            known[np.argsort(-worth, kind="stable")[:self.budget]] = True
        else:
            known.flat[np.argsort(-worth, axis=None, kind="stable")[:self.budget]] = True
        return known

    def curve(self, seed, ask):
        """Test mAP after each round."""
        path = os.path.join(self.args.out, f"{self.args.by}-{ask}-{seed}.json")
        if os.path.exists(path):
            with open(path) as file:
                return json.load(file)
        random = np.random.default_rng(seed)
        known = self.initial(random)
        folder = os.path.join(self.args.out, f"{self.args.by}-{ask}-{seed}")
        curve = []
        for round_ in range(self.args.rounds + 1):
            positives = int((known & (self.truth > 0)).sum())
            curve.append({"known": int(known.sum()), "positives": positives, "map": self.trained(folder, known)})
            if round_ < self.args.rounds:
                known = self.bought(ask, os.path.join(folder, "run"), known, random, seed)
        shutil.rmtree(folder)
        with open(path, "w") as file:
            json.dump(curve, file)
        return curve


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("sarb")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--by", choices=["label", "image"], default="label")
    parser.add_argument("--start", type=float, default=0.02)
    parser.add_argument("--budget", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--asks", nargs="+", choices=["next", "random", "entropy"], default=["next", "random", "entropy"])
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    simulation = Simulation(args)
    curves = {ask: [] for ask in args.asks}
    for seed in args.seeds:
        for ask in args.asks:
            curves[ask].append([point["map"] for point in simulation.curve(seed, ask)])
            print(f"seed {seed} {ask:8}", "  ".join(f"{100 * value:.2f}" for value in curves[ask][-1]), flush=True)
    for ask, values in curves.items():
        values = 100 * np.array(values)
        print(f"{ask:8} mean ", "  ".join(f"{value:.2f}" for value in values.mean(0)))
        if ask != "random" and "random" in curves:
            away = values - 100 * np.array(curves["random"])
            print(f"{'':8} more than random, least to greatest ",
                  "  ".join(f"{low:+.2f}…{high:+.2f}" for low, high in zip(away.min(0), away.max(0))))


if __name__ == "__main__":
    main()
