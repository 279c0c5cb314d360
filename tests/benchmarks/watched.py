"""How fast a live run trains while a class watches it, beside the same training alone; all in turns on this machine.

Alone is a plain training of the same run on one thread of a process of its own, which nobody looks at, while the app stands
idle. It is compared twice: by the clock, and by the processor time that an example takes in the process that trains, all its
threads together. The second leaves out what other work on the machine takes and what a run waits for; the first counts.
"""

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

import psutil

from tests.load.server import DASHBOARD, Server
from tests.load.viewer import Viewer

ROOT = Path(__file__).resolve().parents[2]
WATCHERS, ROUNDS, SECONDS = (1, 30), 5, 5.0
SETTLE = 1.0  # seconds between two turns
ALONE = """
import sys, time, torch
torch.set_num_threads(1)
from dropclust.core import mnist
from dropclust.core.spec import RunSpec
from dropclust.core.training import Training
from dropclust.service.steered import longest
spec = longest(RunSpec(dropout=(0.0, 0.0, 0.0)))
data = mnist.load()
print(flush=True)
for line in sys.stdin:
    training = Training(spec, data, "cpu")
    training.step(100)
    began, used, done = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < float(line):
        done += training.step(8)
    examples = done * spec.batch_size
    print(examples / (time.monotonic() - began), examples / (time.process_time() - used), flush=True)
"""


class Alone:
    """A plain training on one thread, in a process of its own that waits between two turns."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", ALONE]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> list[float]:
        assert self.process.stdout is not None
        return [float(number) for number in self.process.stdout.readline().split()]

    def train(self, seconds: float) -> list[float]:
        """Train for so long; returns examples a second by the clock and by processor time."""
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        return self._answer()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def worked(server: Server) -> float:
    """Processor seconds of all workers so far."""
    return sum(sum(psutil.Process(number).cpu_times()[:2]) for number in server.workers())


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
    """One browser's stream of a live run: bytes, and the latest step with when it was heard of."""

    def __init__(self) -> None:
        self.received, self.step, self.seen = 0, 0, 0.0

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
                    self.step, self.seen = json.loads(line[5:])["step"], time.monotonic()
        finally:
            writer.close()


async def watched(
    server: Server, feed: str, token: str, watchers: int, seconds: float, batch: int
) -> tuple[float, float, float, float]:
    """Examples a second with so many watchers, by the clock and by the workers' processor time; and per watcher and second the
    server's kB sent and milliseconds.
    """
    crowd = [Watcher() for _ in range(watchers)]
    tasks = [asyncio.create_task(one.watch(feed)) for one in crowd]
    act(feed, token, do="pace", pace=None)
    act(feed, token, do="restart")  # or it would come to its end within a few turns
    act(feed, token, do="play")
    await asyncio.sleep(SETTLE)
    began, bytes_before = time.monotonic(), sum(one.received for one in crowd)
    before, heard, used, busy = crowd[0].step, crowd[0].seen, server.seconds(), worked(server)
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    speed = (crowd[0].step - before) * batch / (crowd[0].seen - heard)
    by_work = speed * elapsed / (worked(server) - busy)
    kilobytes = (sum(one.received for one in crowd) - bytes_before) / 1e3 / elapsed / watchers
    milliseconds = 1e3 * (server.seconds() - used) / elapsed / watchers
    act(feed, token, do="pause")
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(SETTLE)
    return speed, by_work, kilobytes, milliseconds


async def measure(server: Server, rounds: int, seconds: float) -> None:
    """Print a line a number of watchers, medians over rounds."""
    from dropclust.core.spec import RunSpec

    viewer, feed, token = await start(server.port)
    first = Watcher()
    own = asyncio.create_task(first.watch(feed))
    while not first.step:  # the worker comes up
        await asyncio.sleep(SETTLE)
    act(feed, token, do="pause")
    shares: dict[int, list[tuple[float, float, float, float]]] = {watchers: [] for watchers in WATCHERS}
    alone = Alone()
    try:
        for _ in range(rounds):
            for watchers in WATCHERS:
                undisturbed, by_work_alone = await asyncio.to_thread(alone.train, seconds)
                speed, by_work, *costs = await watched(server, feed, token, watchers, seconds, RunSpec().batch_size)
                shares[watchers].append((speed / undisturbed, by_work / by_work_alone, *costs))
    finally:
        alone.stop()
    act(feed, token, do="end")
    own.cancel()
    await viewer.close()
    for watchers, found in shares.items():
        speed, by_work, kilobytes, milliseconds = map(statistics.median, zip(*found, strict=True))
        print(
            f"{watchers:3} watching: {speed:.2f} of the speed alone, {by_work:.2f} by processor time; "
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
