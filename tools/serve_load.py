"""Loads a server from several clients and says what it answers: throughput, times and refusals at offered loads below and
above what it can do, beside `sarb predict` on the same images.

    python tools/serve_load.py SARB RUN FOLDER [--seconds 10] [--serve-args="--batch-size 8"] [--json]

First finds the capacity with as many clients as places in a batch, each asking again as soon as it is answered (closed
loop); then offers 0.5, 1, 2 and 3 times as much at random moments, whether or not answers come (open loop: a client that
waits for its answer would hide a queue). Needs only Python's standard library; server and clients share the machine's cores.
"""

import argparse
import http.client
import json
import random
import shlex
import subprocess
import threading
import time
from pathlib import Path


def ask(connection: http.client.HTTPConnection, file: bytes) -> int:
    """The status of one answer, read to its end."""
    connection.request("POST", "/v1/predict?top=3", body=file, headers={"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    response.read()
    return response.status


def closed_loop(address: str, files: list[bytes], clients: int, seconds: float) -> float:
    """Images per second with so many clients that each wait for their answer."""
    counts, end = [0] * clients, time.monotonic() + seconds

    def client(at: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        draw = random.Random(at)
        while time.monotonic() < end:
            counts[at] += ask(connection, draw.choice(files)) == 200

    threads = [threading.Thread(target=client, args=(at,)) for at in range(clients)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sum(counts) / seconds


def open_loop(address: str, files: list[bytes], rate: float, seconds: float) -> dict:
    """What comes back of so many images per second, offered at random moments."""
    draw = random.Random(0)
    answers, idle, lock, threads = [], [], threading.Lock(), []

    def client(due: float, file: bytes) -> None:
        with lock:
            connection = idle.pop() if idle else http.client.HTTPConnection(address, timeout=60)
        try:
            status = ask(connection, file)
            with lock:
                idle.append(connection)
        except OSError:
            status = 0
        with lock:
            answers.append((status, time.monotonic() - due))

    begin = time.monotonic()
    due = begin
    while (due := due + draw.expovariate(rate)) < begin + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        threads.append(threading.Thread(target=client, args=(due, draw.choice(files))))
        threads[-1].start()
    [thread.join() for thread in threads]
    took = time.monotonic() - begin
    good = sorted(seconds for status, seconds in answers if status == 200)
    refused = sorted(seconds for status, seconds in answers if status == 503)
    at = lambda times, share: round(1000 * times[min(len(times) - 1, int(share * len(times)))], 1) if times else None
    return {
        "offered_per_s": round(rate, 1),
        "asked": len(answers),
        "answered_per_s": round(len(good) / took, 1),
        "p50_ms": at(good, 0.5),
        "p99_ms": at(good, 0.99),
        "refused_share": round(len(refused) / max(1, len(answers)), 3),
        "refused_p99_ms": at(refused, 0.99),
        "failed": len(answers) - len(good) - len(refused),
    }


def predict_rate(sarb: str, run: str, images: list[Path]) -> float:
    """Images per second of `sarb predict`, without its start."""

    def took(some: list[Path]) -> float:
        begin = time.monotonic()
        command = [sarb, "predict", run, *map(str, some), "--format", "csv", "--quiet"]
        subprocess.run(command, check=True, capture_output=True)
        return time.monotonic() - begin

    return (len(images) - 1) / max(1e-9, took(images) - took(images[:1]))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sarb")
    parser.add_argument("run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--serve-args", default="")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    images = sorted(it for it in arguments.folder.iterdir() if it.suffix in (".jpg", ".png"))[:200]
    files = [image.read_bytes() for image in images]
    alone = predict_rate(arguments.sarb, arguments.run, images)
    command = [arguments.sarb, "serve", f"m={arguments.run}", "--port", "0", "--quiet", *shlex.split(arguments.serve_args)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip().removeprefix("http://")
        closed_loop(address, files, 2, 1.0)
        capacity = closed_loop(address, files, arguments.clients, arguments.seconds)
        loads = [open_loop(address, files, share * capacity, arguments.seconds) for share in (0.5, 1, 2, 3)]
    finally:
        server.terminate()
        server.wait(timeout=60)
    result = {"predict_per_s": round(alone, 1), "capacity_per_s": round(capacity, 1), "clients": arguments.clients, "loads": loads}
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"sarb predict {alone:.1f} images/s; server with {arguments.clients} clients {capacity:.1f}")
    print("| offered | answered | p50 | p99 | refused | p99 of refusals | failed |\n| --- | --- | --- | --- | --- | --- | --- |")
    for load in loads:
        ms = lambda key: "–" if load[key] is None else f"{load[key]:.0f} ms"
        print(
            f"| {load['offered_per_s']:.1f}/s | {load['answered_per_s']:.1f}/s | {ms('p50_ms')} | {ms('p99_ms')} | "
            f"{100 * load['refused_share']:.0f} % | {ms('refused_p99_ms')} | {load['failed']} |"
        )


if __name__ == "__main__":
    main()
