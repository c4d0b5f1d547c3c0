#!/usr/bin/env python3
"""Trainings, caches and sweeps that are interrupted at random moments, and whether they end as undisturbed ones do.

    tools/interrupts.py SARB OUT [--minutes 30] [--seed 0]

Generates data by `sarb quickstart` and keeps 48 + 24 of its images. Then, until the time is over, by turns:

- a training of each method on features, IP-Mixup on cached maps: SIGINT, SIGTERM or SIGKILL at random moments, up to
  four times, each followed by the same command with --resume, then until it is done;
- a training that fills an empty cache of feature maps, likewise;
- a sweep of four cells, two at a time, likewise, with the same command again.

Each has to end with the very scores of one that nothing interrupted, bit for bit; every end has to be 0, 75 or the
signal itself. Prints the counts; fails at the first difference, and keeps its folder.
"""

import argparse
import collections
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

METHODS = [
    "linear", "bce", "partial-bce", "asl", "hill", "splc", "large-loss", "role", "em", "sr", "csl", "curriculum", "ml-gcn",
    "ssgrl", "kggr", "sst", "hst", "ip-mixup", "fm-mixup", "sarb",
]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
MOST_INTERRUPTS = 4
SMALL = ["method.network.dim=16", "method.network.joint=8", "method.network.word_width=8"]
# What makes a method begin with what is its own before the few epochs are over.
SETTINGS = {
    "ssgrl": SMALL,
    "kggr": SMALL,
    "sarb": SMALL + ["method.blend_from_epoch=1", "method.prototype_interval=2", "method.prototypes_per_category=3"],
    "fm-mixup": SMALL + ["method.mixing.from_epoch=1"],
    "ip-mixup": ["method.network.dim=16", "method.network.joint=8", "method.mixing.from_epoch=1"],
    "sst": SMALL + ["method.from_epoch=1", "method.pairs.width=8", "method.threshold=0.6", "method.threshold_min=0.5"],
    "hst": SMALL + ["method.from_epoch=1", "method.pairs.width=8", "method.prototype_interval=2",
                    "method.prototypes_per_category=3"],
    "curriculum": ["method.relabel_before=[1, 3]"],
    "ml-gcn": ["method.hidden=32", "method.word_width=8"],
    "csl": ["method.left_out=1", "method.prior_epochs=1"],
    "em": ["method.soft_negatives={share=0.9, from_epoch=1, epochs=2}"],
}
FROZEN = ["data.size_px=32", "backbone.name=resnet-small", "backbone.freeze=all", "backbone.pool=false", "backbone.views=2"]


def write_data(source, folder):
    """48 training and 24 test images of the generated ones, and features of them that carry their labels."""
    folder.mkdir()
    for part, count in [("train", 48), ("test", 24)]:
        header, *rows = (source / f"{part}.csv").read_text().splitlines()
        rows = rows[:count]
        table = [header] + [f"{source.resolve()}/{row}" for row in rows]
        (folder / f"{part}.csv").write_text("\n".join(table) + "\n")
        labels = [[cell == "1" for cell in row.split(",")[1:]] for row in rows]
        noise, values = random.Random(part), []
        for row in labels:
            for positive in (row + 24 * [False])[:24]:
                values += [noise.uniform(-0.5, 0.5) + 3 * (positive and place == 4) for place in range(9)]
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 24, 3, 3), }}"
        head += " " * (63 - (len(head) + 10) % 64) + "\n"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
        (folder / f"{part}.npy").write_bytes(data + struct.pack(f"<{len(values)}f", *values))


class Work:
    """A command, the one that goes on with it, and the files that it is for."""

    def __init__(self, command, again, finish, results):
        self.command, self.again, self.finish, self.results = command, again, finish, results


class Tester:
    def __init__(self, args):
        self.sarb, self.out, self.random = args.sarb.resolve(), args.out.resolve(), random.Random(args.seed)
        self.counts = collections.Counter()
        self.expected, self.seconds = {}, {}
        start = self.out / "quickstart"
        if not (start / "data/test.csv").exists() or not (start / "trunk.safetensors").exists():
            self.run("quickstart", "--out", start)
        self.trunk, self.data = start / "trunk.safetensors", self.out / "data"
        if not self.data.exists():
            write_data(start / "data", self.data)

    def command(self, *arguments):
        return [str(self.sarb), "--quiet", "--threads", "1", *map(str, arguments)]

    def run(self, *arguments):
        ended = subprocess.run(self.command(*arguments), capture_output=True, text=True)
        if ended.returncode != 0:
            sys.exit(f"sarb {' '.join(map(str, arguments))} ended with {ended.returncode}:\n{ended.stderr}")

    def training(self, method, folder, frozen):
        run, sets = folder / "run", ["train.batch_size=8", "train.epochs=8", "train.learning_rate=0.003"]
        sets += SETTINGS.get(method, [])
        command = ["train", "--method", method, "--known", "0.5", "--data", self.data, "--out", run]
        evaluate = ["evaluate", run, "--bootstrap", "0"]
        if frozen:
            sets, cache = sets + FROZEN, ["--cache", folder / "cache"]
            command += ["--weights", self.trunk] + cache
            evaluate += cache
        else:
            command += ["--features", self.data / "train.npy"]
            evaluate += ["--features", self.data / "test.npy"]
        for setting in sets:
            command += ["--set", setting]
        return Work(command, command + ["--resume"], [evaluate], ["run/evaluation/scores.npy"])

    def sweep(self, folder):
        plan = "known = [0.3, 0.6]\nset = ['train.batch_size=8', 'train.epochs=8', 'train.learning_rate=0.003']\n"
        for method in ["bce", "ssgrl"]:
            (folder / f"{method}.toml").write_text(f"[method]\nname = '{method}'\n")
            sets = SETTINGS.get(method, [])
            plan += f"[[row]]\nname = '{method}'\nrecipe = '{method}.toml'\nset = {sets}\n"
        (folder / "plan.toml").write_text(plan)
        command = ["sweep", folder / "plan.toml", "--data", self.data, "--out", folder / "out", "--jobs", "2"]
        command += ["--features", self.data / "train.npy", "--test-features", self.data / "test.npy"]
        cells = [f"out/runs/{method}/known-{known}/seed-0" for method in ["bce", "ssgrl"] for known in [30, 60]]
        # A cell whose process was killed has failed; a signal to the sweep alone kills none.
        return Work(command, command, [], [f"{cell}/evaluation/scores.npy" for cell in cells])

    def interrupted(self, work, seconds):
        """Runs until it is done, with up to MOST_INTERRUPTS signals on the way."""
        arguments = work.command
        for attempt in range(self.random.randint(1, MOST_INTERRUPTS) + 1):
            process = subprocess.Popen(self.command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if attempt < MOST_INTERRUPTS:
                sent = self.random.choice(SIGNALS)
                try:
                    process.wait(self.random.uniform(0, 1.1 * seconds))
                except subprocess.TimeoutExpired:
                    process.send_signal(sent)
                    self.counts[sent.name] += 1
            _, said = process.communicate()
            if process.returncode == 0:
                return
            self.counts[f"ended with {process.returncode}"] += 1
            if process.returncode not in (75, *(-it for it in SIGNALS)) or "panicked" in said:
                sys.exit(f"{' '.join(self.command(*arguments))}\nended with {process.returncode}:\n{said}")
            arguments = work.again
        self.run(*arguments)

    def once(self, name, make):
        """One interrupted run beside an undisturbed one of the same folder, so that paths are alike."""
        folder = self.out / "work"
        if name not in self.expected:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            work, begun = make(folder), time.monotonic()
            self.run(*work.command)
            self.seconds[name] = time.monotonic() - begun
            for command in work.finish:
                self.run(*command)
            self.expected[name] = [(folder / part).read_bytes() for part in work.results]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        work = make(folder)
        self.interrupted(work, self.seconds[name])
        for command in work.finish:
            self.run(*command)
        found = [(folder / part).read_bytes() for part in work.results]
        if found != self.expected[name]:
            sys.exit(f"{name}: the scores in {folder} are not those of an undisturbed run")
        left = [str(path) for path in folder.rglob(".sarb-*")]
        if left:
            sys.exit(f"{name}: left over: {', '.join(left)}")
        self.counts["ended alike"] += 1
        self.counts["sweeps" if name == "sweep" else "caches filled" if "cache" in name else "trainings"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sarb", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tester, end = Tester(args), time.monotonic() + 60 * args.minutes
    turns = [(method, lambda folder, method=method: tester.training(method, folder, method == "ip-mixup"))
             for method in METHODS]
    turns += [("bce, filling the cache", lambda folder: tester.training("bce", folder, True)), ("sweep", tester.sweep)]
    while time.monotonic() < end:
        for name, make in turns:
            if time.monotonic() < end:
                tester.once(name, make)
    counts = ", ".join(f"{count} {what}" for what, count in sorted(tester.counts.items()))
    print(f"{args.minutes:.0f} minutes, seed {args.seed}: {counts}")


main()
