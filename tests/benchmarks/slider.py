"""How long a live run's slider takes to its changed strip, in a browser, while the run trains as fast as it can."""

from __future__ import annotations

import statistics
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, chromium
from tests.load.server import DASHBOARD, Server

ROOT = Path(__file__).resolve().parents[2]
MOVES, PATIENCE = 25, 120_000
MOVE = """async () => {
    const root = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".steer")).find(Boolean)
        ?? document.querySelector(".steer");
    const strips = root.querySelector(".strips canvas").dataset, slider = root.querySelector("input[type=range]");
    const before = strips.rates, from = performance.now();
    slider.value = Number(slider.value) === 0.5 ? 0.2 : 0.5;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    slider.dispatchEvent(new Event("change", { bubbles: true }));
    await new Promise((resolve) => {
        const look = () => (strips.rates === before ? requestAnimationFrame(look) : resolve());
        look();
    });
    return performance.now() - from;
}"""


def moves(page: Page, url: str) -> list[float]:
    """Milliseconds from each move of the slider to the strip that shows it."""
    page.goto(f"{url}/live")
    page.get_by_role("button", name="Start", exact=False).first.click()
    page.locator(".steer .status", has_text="Training").wait_for(timeout=PATIENCE)
    page.get_by_label("Images a second").select_option("as fast as it can")
    found = []
    for _ in range(MOVES):
        page.wait_for_timeout(700)
        found.append(page.evaluate(MOVE))
    page.get_by_role("button", name="End it").click()
    return found


def main() -> None:
    """Print the median and the slowest."""
    server = Server("now", list(DASHBOARD), ROOT)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(playwright), args=CHROMIUM_ARGUMENTS)
            found = moves(browser.new_page(viewport={"width": 1400, "height": 900}), f"http://127.0.0.1:{server.port}")
            browser.close()
    finally:
        server.stop()
    print(
        f"slider to changed strip: median {statistics.median(found):.0f} ms of {len(found)} moves, slowest {max(found):.0f} ms"
    )


if __name__ == "__main__":
    main()
