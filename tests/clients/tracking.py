"""Trains with `--track` against a real MLflow server and asks MLflow's own client what arrived.

    python3 -m venv V && V/bin/pip install mlflow
    V/bin/python tests/clients/tracking.py SARB DATA [--keep]

SARB is the program, DATA a data folder of images, such as the one that `sarb quickstart` leaves. The server and its database are made in a temporary
folder and listen on loopback. Ends with 1 where something differs; `--keep` leaves the server running, to be looked at, until Enter is pressed.
"""

import argparse
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

# Neither sends what it does home, and the server starts no workers for other jobs.
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

from mlflow.entities import Metric  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

# Small networks on small images: what is looked at is what arrives, not what is learned.
SETS = ["data.size_px=32", "backbone.name=resnet-small", "backbone.freeze=none", "backbone.pool=false", "train.batch_size=8"]


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Server:
    """MLflow with a database in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
        self.log = open(folder / "server.log", "a")
        # A session of its own: it starts workers, which end with it.
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True)
        for _ in range(600):
            try:
                if urllib.request.urlopen(f"{self.url}/health", timeout=1).status == 200:
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.2)
        sys.exit(f"the server did not start:\n{(folder / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)


def sarb(program: str, *words: str, code: int = 0) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    return done.stdout + done.stderr


def log_of(run: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [line["row"] for line in lines if line["event"] == kind]


def history(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, key)]


def same(what: str, found: list, expected: list) -> None:
    close = len(found) == len(expected) and all(
        a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=1e-12) for a, b in zip(sorted(found), sorted(expected))
    )
    assert close, (what, found, expected)
    print(f"{what}: {len(found)} points")


def told_whole(client: MlflowClient, run_id: str, run: Path) -> None:
    """Every row of the run's own log, each once."""
    steps = log_of(run, "step")
    place = lambda row: (row["epoch"] - 1) * row["steps"] + row["step"]
    for name, _ in steps[0]["losses"]:
        losses = [(place(row), dict(row["losses"])[name]) for row in steps]
        same(f"loss/{name}", history(client, run_id, f"loss/{name}"), losses)
    rates = [(place(row), row["learning_rate"]) for row in steps]
    same("learning_rate", history(client, run_id, "learning_rate"), rates)
    maps = [(row["epoch"], row["validation_map"]) for row in log_of(run, "epoch")]
    same("validation/mAP", history(client, run_id, "validation/mAP"), maps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sarb")
    parser.add_argument("data")
    parser.add_argument("--keep", action="store_true", help="leave the server running until Enter is pressed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        check(arguments, Path(place))


def check(arguments: argparse.Namespace, place: Path) -> None:
    program, run, port = arguments.sarb, place / "first run", free_port()
    target = f"mlflow=http://127.0.0.1:{port}"
    train = ["train", "--method", "partial-bce", "--data", arguments.data, "--out", str(run), "--known", "0.5", "--quiet"]
    for setting in [*SETS, "train.epochs=2", "train.schedule=constant"]:
        train += ["--set", setting]
    track = ["--track", target, "--track-experiment", "checked by its own client", "--track-tag", "team=vision"]

    said = sarb(program, *train, *track)
    assert "no answer" in said and f"sarb track {run}" in said, said
    print("away: the training ended well")

    server = Server(place, port)
    try:
        client = MlflowClient(server.url)
        sarb(program, "track", str(run), "--to", target, "--quiet")
        experiment = client.get_experiment_by_name("checked by its own client")
        [known] = client.search_runs([experiment.experiment_id])
        told_whole(client, known.info.run_id, run)
        assert (known.info.run_name, known.info.status) == ("first run", "FINISHED"), known.info
        assert known.data.tags["team"] == "vision"
        expected = {"seed": "0", "data.known": "0.5", "method.name": "partial-bce", "train.epochs": "2"}
        assert expected.items() <= known.data.params.items(), known.data.params
        print(f"params: {len(known.data.params)}")

        # Resumed, it is the same run, and has its new epochs.
        train[train.index("train.epochs=2")] = "train.epochs=4"
        sarb(program, *train, "--resume", "--track", target)
        measured = json.loads(sarb(program, "evaluate", str(run), "--json", "--quiet", "--track", target))
        [known] = client.search_runs([experiment.experiment_id])
        told_whole(client, known.info.run_id, run)
        assert known.info.status == "FINISHED" and known.data.params["train.epochs"] == "2"
        for key, value in [("test/mAP", "map"), ("test/OF1", "of1"), ("test/CF1", "cf1")]:
            assert math.isclose(known.data.metrics[key], measured[value], rel_tol=1e-12), (key, known.data.metrics)
        by_category = {f"test/AP/{it['name']}": it["ap"] for it in measured["per_category"] if it["positives"]}
        for key, value in by_category.items():
            assert math.isclose(known.data.metrics[key], value, rel_tol=1e-12), key
        print(f"evaluation: mAP {known.data.metrics['test/mAP']:.3f} and the AP of {len(by_category)} categories")

        files = {file.path for file in client.list_artifacts(known.info.run_id)}
        assert files == {"recipe.toml", "report.html"}, files
        recipe = Path(client.download_artifacts(known.info.run_id, "recipe.toml", str(place))).read_text()
        assert recipe == (run / "recipe.toml").read_text()
        page = Path(client.download_artifacts(known.info.run_id, "report.html", str(place))).read_text()
        assert page.rstrip().endswith("</html>") and "AP by category" not in page[:100]
        print(f"artifacts: recipe.toml, report.html of {len(page) // 1024} KiB")

        # What a lost acknowledgement leads to: the same points with the same times, which its database keeps once.
        points = client.get_metric_history(known.info.run_id, "learning_rate")
        again = [Metric(point.key, point.value, point.timestamp, point.step) for point in points]
        client.log_batch(known.info.run_id, metrics=again)
        assert len(client.get_metric_history(known.info.run_id, "learning_rate")) == len(points)
        print("the same batch again: kept once")

        killed(program, train, target, client, place)
        swept(program, arguments.data, target, client, place)
        if arguments.keep:
            input(f"{server.url} until Enter is pressed")
    finally:
        server.stop()


def killed(program: str, train: list[str], target: str, client: MlflowClient, place: Path) -> None:
    """SIGKILL in the middle, SIGINT after a resume."""
    run = place / "killed"
    train = [str(run) if word == str(place / "first run") else word for word in train]
    train[train.index("train.epochs=4")] = "train.epochs=100000"
    track = ["--track", target, "--track-experiment", "killed"]
    training = subprocess.Popen([program, *train, *track], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    find = lambda: [
        run
        for experiment in [client.get_experiment_by_name("killed")]
        if experiment
        for run in client.search_runs([experiment.experiment_id])
    ]
    wait_for(lambda: any("learning_rate" in run.data.metrics for run in find()))
    training.kill()
    training.wait()
    [before] = find()
    training = subprocess.Popen([program, *train, *track, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    longer = len(client.get_metric_history(before.info.run_id, "learning_rate")) + 3
    wait_for(lambda: len(client.get_metric_history(before.info.run_id, "learning_rate")) >= longer)
    training.send_signal(signal.SIGINT)
    assert training.wait(timeout=120) == 75
    [after] = find()
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "KILLED"), after.info
    told_whole(client, after.info.run_id, run)
    print("killed, resumed and interrupted: one run, each point once")


def swept(program: str, data: str, target: str, client: MlflowClient, place: Path) -> None:
    """A sweep of two cells at once."""
    settings = "[method]\nname = 'partial-bce'\n[data]\nsize_px = 32\n[backbone]\nname = 'resnet-small'\nfreeze = 'none'\npool = false\n[train]\nepochs = 1\n"
    (place / "bce.toml").write_text(settings)
    (place / "plan.toml").write_text("known = [0.5, 0.9]\n[[row]]\nname = 'BCE'\nrecipe = 'bce.toml'\n")
    sweep = ["sweep", str(place / "plan.toml"), "--data", data, "--out", str(place / "two cells"), "--jobs", "2", "--quiet"]
    sarb(program, *sweep, "--track", target)
    experiment = client.get_experiment_by_name("sarb")
    runs = client.search_runs([experiment.experiment_id], "tags.`sarb.sweep` = 'two cells'")
    names = sorted(run.info.run_name for run in runs)
    assert names == ["BCE, 50 % known, seed 0", "BCE, 90 % known, seed 0"], names
    assert all(run.info.status == "FINISHED" and "test/mAP" in run.data.metrics for run in runs)
    print(f"sweep: {', '.join(names)}")


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.2)
    sys.exit("waited two minutes in vain")


if __name__ == "__main__":
    main()
