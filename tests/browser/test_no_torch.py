"""The process that serves pages never loads torch, whatever is looked at: seen from outside, in what it has mapped."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, expect

from dropclust.experiments import table2
from tests.browser.conftest import Serve

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
MILLISECONDS = 120_000  # for all answers of a page
# What a page shows once everything that it asks the workers for is there.
PAGES = {
    "": r"Guess first",
    f"train?run={table2.shown_spec(0.4).key}": r"Both clusterings agree on",
    "live": r"Which network",
    "onset?copies_guess=off": r"Switched on at half",
    "digit": r"Masks disagree",
    "sample?guess=off": r"probabilities differ by",
    "batch": r"made again",
    "variance": r"Model variance|model variance",
    "similar": r"Each cluster by incoming weights",
    "power": r"such a law too",
    "compress": r"Which neurons merged",
    "claims": r"What was not reproduced",
}


def server(address: str) -> psutil.Process:
    """The process that listens there."""
    port = urlsplit(address).port
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise RuntimeError(f"nobody listens at {address}")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_after_a_walk_over_all_pages_torch_is_not_mapped(browser: Browser, serve: Serve) -> None:
    address = serve(ROOT / "app.py", {})
    page = browser.new_page()
    for path, shown in PAGES.items():
        page.goto(f"{address}/{path}")
        expect(page.get_by_text(re.compile(shown)).first).to_be_visible(timeout=MILLISECONDS)
        expect(page.get_by_text(re.compile("hourglass_top"))).to_have_count(0, timeout=MILLISECONDS)
        expect(page.get_by_test_id("stException")).to_have_count(0)
    page.close()
    mapped = Path(f"/proc/{server(address).pid}/maps").read_text()
    assert "libtorch" not in mapped
    assert "python" in mapped  # it was the right file
