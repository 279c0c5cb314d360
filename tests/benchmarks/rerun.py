"""The server's processor time for a rerun in which nothing changed, beside an empty page's and an older commit's."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("explore", "train", "sample", "batch", "variance", "similar", "power", "compress")
EMPTY = "import streamlit as st\nst.set_page_config('Empty')\nst.title('Nothing')\n"
WARM, RERUNS, ROUNDS = 5, 20, 5
SETTLED = 15.0  # seconds after which the workers have started and tried their speed


class Viewer:
    """One browser session of one page, which names the messages that it holds, as a browser does."""

    def __init__(self, port: int, page: str) -> None:
        self.address, self.page = f"ws://127.0.0.1:{port}/_stcore/stream", page
        self.held: set[str] = set()
        self.received = 0  # bytes of the last run

    async def open(self) -> None:
        """Connect, and run the page until everything is warm."""
        origin = self.address.split("/_st")[0].replace("ws", "http", 1)
        self.socket = await websockets.connect(self.address, subprotocols=["streamlit"], max_size=None, origin=origin)
        for _ in range(WARM):
            await self.rerun()

    async def rerun(self) -> None:
        """Ask for a run and read until it has ended."""
        asked = BackMsg()
        asked.rerun_script.page_name = self.page
        asked.rerun_script.cached_message_hashes.extend(self.held)
        await self.socket.send(asked.SerializeToString())
        self.received = 0
        while True:
            raw = await asyncio.wait_for(self.socket.recv(), 600)
            self.received += len(raw)
            message = ForwardMsg()
            message.ParseFromString(raw)
            if message.metadata.cacheable:
                self.held.add(message.hash)
            if message.delta.new_element.WhichOneof("type") == "exception":
                raise RuntimeError(f"{self.page}: {message.delta.new_element.exception.message}")
            if message.WhichOneof("type") == "script_finished":
                return


class Server:
    """A server of its own, whose processor time is read from the system."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name, self.port = name, free_port()
        self.process = subprocess.Popen(
            [part.format(port=self.port) for part in command], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=5).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"{name} did not start") from None
                time.sleep(0.1)

    def seconds(self) -> float:
        """Processor time used so far, of all its threads and not of its children."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it with all it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def of_commit(commit: str) -> Iterator[Path]:
    """The project's files as they were at a commit."""
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


async def measure(servers: list[Server], pages: tuple[str, ...], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of processor time a rerun, by server and page, one value a round; servers take turns within a round."""
    viewers = {}
    for page in pages:
        for server in servers:
            viewers[server.name, page] = viewer = Viewer(server.port, "" if server.name == "empty" else page)
            await viewer.open()
    await asyncio.sleep(SETTLED)
    found: dict[tuple[str, str], list[float]] = {key: [] for key in viewers}
    for _ in range(rounds):
        for page in pages:
            for server in servers:
                began = server.seconds()
                for _ in range(RERUNS):
                    await viewers[server.name, page].rerun()
                found[server.name, page].append(1000 * (server.seconds() - began) / RERUNS)
    return found


def main() -> None:
    """Print a line a page: milliseconds and how many times the empty page's, medians over rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="a commit that is measured in turns with the files here")
    parser.add_argument("--pages", nargs="+", default=PAGES, choices=PAGES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    app = [sys.executable, "-m", "dropclust", "dashboard", "--port", "{port}", "--no-browser", "--address", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.py").write_text(EMPTY)
        plain = [
            sys.executable, "-m", "streamlit", "run", f"{folder}/empty.py", "--server.port", "{port}",
            "--server.address", "127.0.0.1", "--server.headless", "true",
        ]  # fmt: skip
        servers = [Server("empty", plain, ROOT)]
        try:
            servers.append(Server("now", app, ROOT))
            if not arguments.before:
                report(servers, arguments.pages, asyncio.run(measure(servers, arguments.pages, arguments.rounds)))
                return
            with of_commit(arguments.before) as older:
                servers.append(Server("before", app, older))
                report(servers, arguments.pages, asyncio.run(measure(servers, arguments.pages, arguments.rounds)))
        finally:
            for server in servers:
                server.stop()


def report(servers: list[Server], pages: tuple[str, ...], found: dict[tuple[str, str], list[float]]) -> None:
    """Print the table."""
    names = [server.name for server in servers[1:]]
    print("page      empty ms" + "".join(f"  {name:>6} ms  x empty" for name in names) + ("  now/before" if names[1:] else ""))
    for page in pages:
        empty, *times = (statistics.median(found[name, page]) for name in ("empty", *names))
        line = f"{page:9} {empty:8.1f}" + "".join(f"  {value:9.1f}  {value / empty:7.1f}" for value in times)
        print(line + (f"  {times[0] / times[1]:10.2f}" if times[1:] else ""))


if __name__ == "__main__":
    main()
