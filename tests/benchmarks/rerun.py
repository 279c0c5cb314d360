"""The server's processor time for a rerun in which nothing changed, beside an empty page's and an older commit's."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from tests.load.server import DASHBOARD, Server, empty_page
from tests.load.viewer import Viewer

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("explore", "train", "sample", "batch", "variance", "similar", "power", "compress")
WARM, RERUNS, ROUNDS = 5, 60, 5
SETTLED = 15.0  # seconds after which the workers have started and tried their speed


@contextmanager
def of_commit(commit: str) -> Iterator[Path]:
    """The project's files as they were at a commit."""
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # its server is still at work in it
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


async def measure(servers: list[Server], pages: tuple[str, ...], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of processor time a rerun, by server and page, one value a round; servers take turns within a round."""
    viewers = {}
    for page in pages:
        for server in servers:
            first = server.name == "empty" or page == "explore"
            viewers[server.name, page] = viewer = Viewer(server.port, "" if first else page)
            await viewer.open()
            await viewer.settled()  # what it asked the workers for is there: a page that waits is not warm
            for _ in range(WARM):
                await viewer.run()
            if viewer.errors:
                raise RuntimeError(viewer.errors[0])
    await asyncio.sleep(SETTLED)
    found: dict[tuple[str, str], list[float]] = {key: [] for key in viewers}
    for _ in range(rounds):
        for page in pages:
            for server in servers:
                began = server.seconds()
                for _ in range(RERUNS):
                    await viewers[server.name, page].run()
                found[server.name, page].append(1000 * (server.seconds() - began) / RERUNS)
    return found


def main() -> None:
    """Print a line a page: milliseconds and how many times the empty page's, medians over rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="a commit that is measured in turns with the files here")
    parser.add_argument("--pages", nargs="+", default=PAGES, choices=PAGES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = [empty_page(Path(folder))]
        try:
            servers.append(Server("now", list(DASHBOARD), ROOT))
            if not arguments.before:
                report(servers, arguments.pages, asyncio.run(measure(servers, arguments.pages, arguments.rounds)))
                return
            with of_commit(arguments.before) as older:
                servers.append(Server("before", list(DASHBOARD), older))
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
