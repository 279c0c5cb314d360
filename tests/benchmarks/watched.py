"""How fast a live run trains while a class watches it, beside the same training alone; all in turns on this machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.load.server import DASHBOARD, Server
from tests.load.viewer import Viewer

ROOT = Path(__file__).resolve().parents[2]
WATCHERS, ROUNDS, SECONDS = (1, 30), 3, 8.0
SETTLE = 1.5  # seconds between two turns
ALONE = """
import sys, time, torch
torch.set_num_threads(1)
from dropclust.core import mnist
from dropclust.core.spec import RunSpec
from dropclust.core.training import Training
from dropclust.service.steered import longest
spec = longest(RunSpec(dropout=(0.0, 0.0, 0.0)))
training = Training(spec, mnist.load(), "cpu")
training.step(100)
began, done = time.monotonic(), 0
while time.monotonic() - began < float(sys.argv[1]):
    done += training.step(8)
print(done * spec.batch_size / (time.monotonic() - began))
"""


def alone(seconds: float) -> float:
    """Examples a second of a plain training on one thread, in a process of its own."""
    answer = subprocess.run([sys.executable, "-c", ALONE, str(seconds)], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(answer.stdout)


async def start(port: int) -> tuple[Viewer, str, str]:
    """Start a live run from its page; returns the viewer, the address of the run's feed, and the token that steers it."""
    viewer = Viewer(port, "live")
    await viewer.open()
    await viewer.run(trigger=viewer.named("Start"))
    while True:
        for element in viewer.widgets.values():
            if element.WhichOneof("type") == "bidi_component":
                data = json.loads(element.bidi_component.json or "{}")
                if "feed" in data:
                    return viewer, f"http://127.0.0.1:{port}{data['feed']}", data["token"]
        await asyncio.sleep(0.2)
        await viewer.run()


def act(feed: str, token: str, **action: object) -> None:
    """Steer the run."""
    urllib.request.urlopen(feed, json.dumps({"token": token, **action}).encode(), timeout=30).close()


class Watcher:
    """One browser's stream of a live run: bytes and the latest step."""

    def __init__(self) -> None:
        self.received, self.step, self.round = 0, 0, 0

    async def watch(self, feed: str) -> None:
        """Read the stream until cancelled."""
        host, _, path = feed.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port), limit=2**24)
        writer.write(f"GET /{path}?layer=2 HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                self.received += len(line)
                if line.startswith(b"data:"):
                    self._see(json.loads(line[5:]))
        finally:
            writer.close()

    def _see(self, told: object) -> None:
        """The largest step named anywhere in what was told."""
        if isinstance(told, dict):
            if isinstance(told.get("step"), int):
                self.step = max(self.step, told["step"])
            for part in told.values():
                self._see(part)
        elif isinstance(told, list):
            for part in told:
                self._see(part)


async def watched(
    server: Server, feed: str, token: str, watchers: int, seconds: float, batch: int
) -> tuple[float, float, float]:
    """Examples a second with so many watchers, and per watcher and second the server's kB sent and milliseconds."""
    crowd = [Watcher() for _ in range(watchers)]
    tasks = [asyncio.create_task(one.watch(feed)) for one in crowd]
    act(feed, token, do="pace", pace=None)
    act(feed, token, do="play")
    await asyncio.sleep(SETTLE)
    began, before, bytes_before, used = time.monotonic(), crowd[0].step, sum(one.received for one in crowd), server.seconds()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    speed = (crowd[0].step - before) * batch / elapsed
    kilobytes = (sum(one.received for one in crowd) - bytes_before) / 1e3 / elapsed / watchers
    milliseconds = 1e3 * (server.seconds() - used) / elapsed / watchers
    act(feed, token, do="pause")
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(SETTLE)
    return speed, kilobytes, milliseconds


async def measure(server: Server, rounds: int, seconds: float) -> None:
    """Print a line a number of watchers, medians over rounds."""
    from dropclust.core.spec import RunSpec

    viewer, feed, token = await start(server.port)
    first = Watcher()
    own = asyncio.create_task(first.watch(feed))
    while not first.step:  # the worker comes up
        await asyncio.sleep(SETTLE)
    act(feed, token, do="pause")
    shares: dict[int, list[tuple[float, float, float]]] = {watchers: [] for watchers in WATCHERS}
    for _ in range(rounds):
        undisturbed = await asyncio.to_thread(alone, seconds)
        for watchers in WATCHERS:
            speed, kilobytes, milliseconds = await watched(server, feed, token, watchers, seconds, RunSpec().batch_size)
            shares[watchers].append((speed / undisturbed, kilobytes, milliseconds))
    act(feed, token, do="end")
    own.cancel()
    await viewer.close()
    for watchers, found in shares.items():
        speed, kilobytes, milliseconds = map(statistics.median, zip(*found, strict=True))
        print(
            f"{watchers:3} watching: {speed:.2f} of the speed alone; "
            f"a watcher costs {kilobytes:.1f} kB and {milliseconds:.1f} ms of the server a second"
        )


def main() -> None:
    """Start a server of its own and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each turn")
    given = parser.parse_args()
    server = Server("app", list(DASHBOARD), ROOT)
    try:
        asyncio.run(measure(server, given.rounds, given.seconds))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
