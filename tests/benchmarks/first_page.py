"""Times a viewer's first chart: from the start of the server's process, and for a second visitor."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, chromium, free_port

ROOT = Path(__file__).resolve().parents[2]


def first_chart(context: BrowserContext, url: str) -> float:
    """Go to the page in a new tab; seconds until its first chart is drawn."""
    page = context.new_page()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("figure[data-chart=accuracy] svg path", state="attached")
    # By the browser's own clock, from the start of the navigation: asking from outside costs a tenth of a second.
    took = page.evaluate("performance.getEntriesByName('explorer drawn')[0].startTime") / 1000
    page.close()
    return float(took)


def once(browser: Browser) -> tuple[float, float, float, float]:
    """Seconds until the server answers, the first chart after its start, a second visitor's, and one who was here before."""
    port = free_port()
    command = [sys.executable, "-m", "dropclust", "dashboard", "--port", str(port), "--no-browser"]
    began = time.perf_counter()
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    url = f"http://localhost:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        up = time.perf_counter() - began
        first_chart(browser.new_context(), url)
        first = time.perf_counter() - began
        time.sleep(15)  # the workers have started and tried their speed by then
        second = browser.new_context()  # nothing cached
        return up, first, first_chart(second, url), first_chart(second, url)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(20)


def main() -> None:
    """Print medians over five starts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(playwright), args=CHROMIUM_ARGUMENTS)
        browser.new_page().close()
        times = [once(browser) for _ in range(5)]
        browser.close()
    names = (
        "server answers",
        "first chart after the server's start",
        "first chart for a second visitor, nothing cached",
        "the same who comes back",
    )
    for name, seconds in zip(names, zip(*times, strict=True), strict=True):
        print(f"{name}: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
