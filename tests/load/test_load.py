"""A class on all pages at once, over real websockets, counted and not timed: `python -m tests.load` tells how long they wait.

No viewer sees an error, the server stays small and never maps torch, and what nobody waits for any more ends.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.load.__main__ import PAGES
from tests.load.server import DASHBOARD, Server, Watch
from tests.load.viewer import Viewer

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has in memory")

SERVER_MB = 450
VIEWERS_A_PAGE, PRESSES, THINK = 2, 3, 0.5
BOMBS = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The app with a store of its own, its caches cold."""
    for name in ("results", "runs"):
        shutil.copytree(ROOT / "cache" / name, tmp_path / name)
    (tmp_path / "MNIST").symlink_to(ROOT / "cache" / "MNIST")
    started = Server("app", list(DASHBOARD), ROOT, {"DROPCLUST_CACHE": str(tmp_path)})
    yield started
    started.stop()


async def visit(viewer: Viewer) -> int:
    """Open a page and press its widgets; returns how often that was answered."""
    await asyncio.sleep(viewer.random.random() * THINK)
    await viewer.open()
    answered = 0
    for _ in range(PRESSES):
        await viewer.think(THINK)
        await viewer.press()
        answered += 1
    await viewer.close()
    return answered


def test_a_class_on_all_pages_sees_no_error_and_the_server_stays_small(server: Server) -> None:
    viewers = [Viewer(server.port, page, seed) for seed in range(VIEWERS_A_PAGE) for page in PAGES]

    async def everybody() -> list[int]:
        return await asyncio.gather(*map(visit, viewers))

    with Watch(server) as watch:
        assert asyncio.run(everybody()) == [PRESSES] * len(viewers)
    assert [error for viewer in viewers for error in viewer.errors] == []
    assert watch.most < SERVER_MB
    assert not watch.torch


def bomb() -> bytes:
    """Ten million zeros in a file of some kilobytes."""
    file = io.BytesIO()
    np.savez_compressed(file, **{"weights.0": np.zeros((784, 12_755), np.float32)})
    return file.getvalue()


def test_twenty_bombs_at_once_hold_up_nobody_and_nothing_runs_on_when_their_sessions_are_gone(server: Server) -> None:
    content = bomb()
    assert len(content) < 100_000
    throwers = [Viewer(server.port, "compress", seed) for seed in range(BOMBS)]
    bystander = Viewer(server.port, "", 0)

    async def throw(viewer: Viewer, number: int) -> None:
        await viewer.open()
        await viewer.settled()
        uploader = next(name for name, element in viewer.widgets.items() if element.WhichOneof("type") == "file_uploader")
        await viewer.upload(uploader, f"bomb-{number}.npz", content + bytes(number))  # each its own file
        await viewer.think(1.0)

    async def all_at_once() -> int:
        await bystander.open()
        throwing = asyncio.gather(*(throw(viewer, number) for number, viewer in enumerate(throwers)))
        answered = 0
        while not throwing.done() or answered < 3:
            await bystander.press()
            await bystander.think(0.2)
            answered += 1
        await throwing
        for viewer in (*throwers, bystander):
            await viewer.close()
        return answered

    with Watch(server) as watch:
        assert asyncio.run(all_at_once()) >= 3
    assert [error for viewer in (*throwers, bystander) for error in viewer.errors] == []
    assert watch.most < SERVER_MB
    assert not watch.torch

    def at_work() -> float:
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in server.workers())

    deadline, before = time.monotonic() + 180, at_work()
    while True:
        time.sleep(2)
        now = at_work()
        if now - before < 0.2:
            break
        assert time.monotonic() < deadline, "workers go on for sessions that are gone"
        before = now
