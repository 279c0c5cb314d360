"""A real dashboard sends what a run of a page says together: its writes to the socket are counted where asyncio makes them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.load.server import Server
from tests.load.viewer import Viewer

ROOT = Path(__file__).resolve().parents[2]
RUNS = 5
# The server's own process, with a line for each write to a websocket: how many messages it holds and who asked for it.
PROGRAM = """
import os, sys
from dropclust.service import delivery
written = delivery._written
async def counted(protocol, payloads):
    sent = protocol.transport.write if protocol is not None else None
    writes = []
    if sent is not None:
        class Counting:
            def write(self, data):
                writes.append(data)
                sent(data)
        class Seen:
            writable, disconnected, close_sent, conn = (
                protocol.writable, protocol.disconnected, protocol.close_sent, protocol.conn
            )
            transport = Counting()
        protocol = Seen()
    done = await written(protocol, payloads)
    with open(os.environ["WRITES"], "a") as log:
        print(done, len(writes), len(payloads), file=log)
    return done
delivery._written = counted
from dropclust.__main__ import main
sys.argv = ["dropclust", "dashboard", "--port", sys.argv[1], "--no-browser", "--address", "127.0.0.1"]
sys.exit(main())
"""


async def visit(port: int) -> int:
    """Look at the first page and ask for it again; returns how many messages came."""
    viewer, came = Viewer(port, ""), 0
    receive = viewer.receive

    async def counted():
        nonlocal came
        message = await receive()
        came += 1
        return message

    viewer.receive = counted  # type: ignore[method-assign]
    await viewer.open()
    await viewer.settled()
    for _ in range(RUNS):
        await viewer.run()
    assert not viewer.errors
    await viewer.close()
    return came


def test_the_dashboard_writes_the_messages_of_a_run_together(tmp_path: Path) -> None:
    log = tmp_path / "writes"
    server = Server("counted", [sys.executable, "-c", PROGRAM, "{port}"], ROOT, {"WRITES": str(log)})
    try:
        came = asyncio.run(visit(server.port))
    finally:
        server.stop()
    lines = [line.split() for line in log.read_text().splitlines()]
    writes = [(taken, int(count), int(messages)) for taken, count, messages in lines]
    assert writes
    assert all(taken == "True" and count == 1 for taken, count, _ in writes), (
        "each handful goes by uvicorn's own way, in one write"
    )
    assert sum(messages for *_, messages in writes) >= came  # nothing went another way
    # However slow the machine is, a run's end and what is said just before it are never on their own way each.
    assert max(messages for *_, messages in writes) > 1
    assert len(writes) < came
