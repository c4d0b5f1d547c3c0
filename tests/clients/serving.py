"""What scripts that ask a server have in common: their arguments, a server of a run, and what `sarb predict` says."""

import argparse
import contextlib
import json
import subprocess
from collections.abc import Iterator

TOLERANCE = 1e-5
MODEL = "m"


def arguments(about: str) -> argparse.Namespace:
    """SARB, RUN and IMAGE… of the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sarb")
    parser.add_argument("run")
    parser.add_argument("images", nargs="+")
    return parser.parse_args()


def predicted(sarb: str, run: str, images: list[str]) -> list[dict[str, float]]:
    """The probability of each category in each image, by the program itself."""
    said = subprocess.run([sarb, "predict", run, *images, "--format", "jsonl", "--quiet"], check=True, capture_output=True)
    lines = map(json.loads, said.stdout.splitlines())
    return [{label["name"]: label["probability"] for label in line["labels"]} for line in lines]


@contextlib.contextmanager
def served(sarb: str, run: str) -> Iterator[str]:
    """The address of a server of a run, which is called `m`; it must end well."""
    server = subprocess.Popen([sarb, "serve", f"{MODEL}={run}", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(server.stdout.readline())["url"]
    finally:
        server.terminate()
        code = server.wait(timeout=60)
    assert code == 0, f"the server ended with {code}"
