#!/usr/bin/env python3
"""An hour of training with evaluations beside it, and whether memory stays flat.

    tools/soak.py SARB OUT [--minutes 60]

Generates data by `sarb quickstart`, trains SARB on images that are read, decoded and augmented anew in every epoch,
and meanwhile evaluates the run again and again. Every ten seconds the resident memory and the open files of the
training are noted. Fails if an evaluation fails, or if the median memory of the last quarter is more than 5 % above
that of the second. Linux only.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

RECIPE = [
    "backbone.name=resnet-small", "backbone.freeze=none", "backbone.pool=false", "data.size_px=56",
    "train.batch_size=32", "train.epochs=1000000", "method.network.dim=32", "method.network.joint=16",
]


def memory_mb(process):
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sarb", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=60)
    args = parser.parse_args()
    sarb = args.sarb.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    start = args.out / "quickstart"
    if not (start / "trunk.safetensors").exists():
        subprocess.run([sarb, "--quiet", "quickstart", "--out", start], check=True, stdout=subprocess.DEVNULL)
    run = args.out / "run"
    command = [sarb, "--quiet", "--threads", "1", "train", "--method", "sarb", "--known", "0.3", "--force"]
    command += ["--data", start / "data", "--weights", start / "trunk.safetensors", "--out", run]
    for setting in RECIPE:
        command += ["--set", setting]
    training = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    rows, evaluations, end = [], 0, time.monotonic() + 60 * args.minutes
    with open(args.out / "soak.csv", "w") as log:
        log.write("seconds,mib,files\n")
        begun = time.monotonic()
        while time.monotonic() < end:
            if training.poll() is not None:
                sys.exit(f"the training ended with {training.returncode}")
            files = len(os.listdir(f"/proc/{training.pid}/fd"))
            rows.append((time.monotonic() - begun, memory_mb(training.pid), files))
            log.write(f"{rows[-1][0]:.0f},{rows[-1][1]:.1f},{files}\n")
            log.flush()
            if (run / "checkpoints/best/state.json").exists() and len(rows) % 6 == 0:
                evaluated = subprocess.run(
                    [sarb, "--quiet", "--threads", "1", "evaluate", run, "--bootstrap", "0"],
                    capture_output=True, text=True)
                if evaluated.returncode != 0:
                    sys.exit(f"an evaluation ended with {evaluated.returncode}:\n{evaluated.stderr}")
                evaluations += 1
            time.sleep(10)
    training.terminate()
    code = training.wait()
    if code != 75:
        sys.exit(f"SIGTERM ended the training with {code}, not 75")
    quarter = len(rows) // 4
    early = statistics.median(mib for _, mib, _ in rows[quarter:2 * quarter])
    late = statistics.median(mib for _, mib, _ in rows[-quarter:])
    print(f"{args.minutes:.0f} minutes, {evaluations} evaluations beside the training: {early:.0f} MiB in the second "
          f"quarter, {late:.0f} MiB in the last; {rows[quarter][2]} open files, then {rows[-1][2]}")
    if late > 1.05 * early:
        sys.exit("memory grows")


main()
