"""A class on one machine: how long each page's viewers wait, beside as many viewers of an empty Streamlit page.

The table of all pages takes a quarter of an hour. Seconds tell of this machine at this hour; the ratio to the empty page says
more. Each line is measured in turns with its empty page.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.load.server import DASHBOARD, Server, Watch, empty_page
from tests.load.viewer import PATIENCE, Viewer

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("", *sorted(file.stem for file in (ROOT / "pages").glob("*.py") if file.stem != "explore"))
LONGEST = "examples=3000000&batch=16"  # of the trainings beside: as long as may be, a minute or so
TRAININGS = 20  # for each that runs, so that so many run as long as the table takes


async def seconds_of(server: Server, page: str, sessions: int, turns: int, think: float) -> tuple[list[float], list[str]]:
    """What each press of each of so many viewers took, in seconds, and what went wrong."""
    viewers = [Viewer(server.port, page, seed) for seed in range(sessions)]
    times: list[float] = []

    async def visit(viewer: Viewer) -> None:
        await asyncio.sleep(viewer.random.random() * think)
        await viewer.open()
        await viewer.settled()
        for _ in range(turns):
            await viewer.think(think)
            times.append(await viewer.press())
        await viewer.close()

    ended = await asyncio.gather(*map(visit, viewers), return_exceptions=True)
    wrong = [f"{type(each).__name__}: {each}" for each in ended if isinstance(each, BaseException)]
    return times, wrong + [error for viewer in viewers for error in viewer.errors]


async def train(server: Server, number: int) -> None:
    """Ask for more trainings than so many, and wait until so many run; there are enough for as long as the table takes."""
    for seed in range(TRAININGS * number):
        viewer = Viewer(server.port, "train", query=f"{LONGEST}&seed={seed}")
        await viewer.open()
        await viewer.run(trigger=viewer.named("Train"))
        await viewer.close()
    until = time.monotonic() + PATIENCE
    while (running := server.running()) < number:
        if time.monotonic() > until:
            raise TimeoutError(f"{number} trainings must run beside; only {running} do")
        await asyncio.sleep(0.5)


def percentile(times: list[float], share: float) -> float:
    """In milliseconds."""
    return 1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))] if times else float("nan")


def main() -> None:
    """Print the table, a line a page as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="+", default=PAGES, choices=PAGES, help='"" is Explore')
    parser.add_argument("--explore", type=int, default=100, help="viewers of Explore")
    parser.add_argument("--others", type=int, default=30, help="viewers of each other page")
    parser.add_argument("--turns", type=int, default=10, help="presses of each")
    parser.add_argument("--think", type=float, default=2.0, help="seconds between two presses, on average")
    parser.add_argument("--trainings", type=int, default=0, help="that run beside")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = [empty_page(Path(folder))]
        try:
            servers.append(Server("app", list(DASHBOARD), ROOT))
            empty, app = servers
            asyncio.run(train(app, given.trainings))
            print("page      sessions  presses  p50 ms  p95 ms  of the empty page's p50  p95   errors  most MB  libtorch")
            for page in given.pages:
                sessions = given.others if page else given.explore
                with Watch(app) as watch:
                    times, wrong = asyncio.run(seconds_of(app, page, sessions, given.turns, given.think))
                least, _ = asyncio.run(seconds_of(empty, "", sessions, given.turns, given.think))
                p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
                ratios = f"{p50 / percentile(least, 0.5):22.1f}x {p95 / percentile(least, 0.95):5.1f}x"
                line = f"{page or 'explore':9} {sessions:8} {len(times):8} {p50:7.0f} {p95:7.0f} {ratios} {len(wrong):8}"
                print(f"{line} {watch.most:8.0f}  {'mapped' if watch.torch else 'never'}", *wrong[:2], flush=True)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
