"""README's picture and film, made anew from the app as it is: ``python -m tests.browser.film``.

The film shows Explore while the rate is dragged from none to .8, then Live while dropout is switched on. Both tell time by
what they show and not by a clock, so that a busy machine films the same: one frame for so many milliseconds of the page's own
clock on Explore, and one for so many training steps on Live.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, chromium
from tests.browser.test_main_job import ROOT, App

FOLDER = ROOT / ".readme"
PICTURE, FILM = FOLDER / "explore.png", FOLDER / "film.png"
PICTURE_BYTES, FILM_BYTES = 300_000, 2_000_000
SCREEN, FILMED = {"width": 1400, "height": 900}, {"width": 900, "height": 640}
FRAMES_A_SECOND = 8
PICTURE_COLOURS, FILM_COLOURS = 128, 64
RATES, LAST_RATE, THUMB = 18, 16, 18  # steps of Explore's slider, the one dragged to, and half its thumb in pixels
HELD = 4  # frames that a scene stands still for at its ends
FRAMES_A_RATE = 2
BEFORE, AFTER = 8, 30  # frames of Live without dropout, and with it
STEPS_A_FRAME = 40
BELOW_NAVIGATION = 80  # pixels from the window's top, at which Live's buttons stand
LONG = 180_000  # milliseconds


def main() -> None:
    """Start the app over a copy of what is shipped, film it, and say how large the files are."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name in ("MNIST", "results", "runs"):
            shutil.copytree(ROOT / "cache" / name, Path(folder) / name)
        app = App(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium(playwright), args=CHROMIUM_ARGUMENTS)
        try:
            few_colours([still(browser, app)], PICTURE_COLOURS)[0].save(PICTURE, optimize=True)
            frames = few_colours([*dragged(browser, app), *switched_on(browser, app)], FILM_COLOURS)
        finally:
            browser.close()
            app.close()
    frames[0].save(FILM, save_all=True, append_images=frames[1:], duration=1000 / FRAMES_A_SECOND, loop=0)
    for file, most in ((PICTURE, PICTURE_BYTES), (FILM, FILM_BYTES)):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes, at most {most:,}")


def still(browser: Browser, app: App) -> Image.Image:
    """Explore as it opens on a laptop, after the guess."""
    page = browser.new_page(viewport=SCREEN)
    explore(page, app)
    page.wait_for_timeout(1000)
    return seen(page)


def dragged(browser: Browser, app: App) -> list[Image.Image]:
    """Explore's frames while the rate is dragged from none to .8."""
    page = browser.new_page(viewport=FILMED)
    page.clock.install()
    explore(page, app)
    slider = page.get_by_role("slider", name="dropout rate")
    slider.press("Home")
    page.wait_for_timeout(2000)
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + THUMB, box["y"] + box["height"] / 2)
    page.mouse.down()
    frames = [seen(page)] * HELD
    for rate in range(1, LAST_RATE + 1):
        page.mouse.move(box["x"] + THUMB + (box["width"] - 2 * THUMB) * rate / RATES, box["y"] + box["height"] / 2)
        for _ in range(FRAMES_A_RATE if rate < LAST_RATE else HELD):
            page.clock.run_for(1000 // FRAMES_A_SECOND)
            frames.append(seen(page))
    return frames


def explore(page: Page, app: App) -> None:
    """Open Explore without its question, and wait until all of its neurons are there."""
    page.goto(f"{app.url}/?guess=off")
    expect(page.get_by_role("slider", name="dropout rate")).to_be_enabled(timeout=LONG)
    page.wait_for_load_state("networkidle")


def switched_on(browser: Browser, app: App) -> list[Image.Image]:
    """Live's frames while a network that reads digits well already goes on training, without dropout and then with it."""
    page = browser.new_page(viewport=FILMED)
    page.goto(f"{app.url}/live")
    page.get_by_role("button", name="Start").first.click()
    expect(page.locator(".steer .status")).to_contain_text("Training", timeout=LONG)
    page.get_by_text("Layer 2").click()
    top = page.locator(".helm").evaluate("node => node.getBoundingClientRect().top")
    page.get_by_test_id("stMain").evaluate("(main, by) => main.scrollBy(0, by)", top - BELOW_NAVIGATION)
    until(page, "Number(root.querySelector('[data-number=accuracy]').textContent) > 0.95")
    frames = [later(page) for _ in range(BEFORE)]
    page.get_by_role("button", name="Switch dropout on").click()
    frames += [later(page) for _ in range(AFTER)]
    page.get_by_role("button", name="End it").click()
    expect(page.locator(".steer .status")).to_contain_text(re.compile("Ended|Saved"), timeout=LONG)
    return frames + frames[-1:] * HELD


def later(page: Page) -> Image.Image:
    """What is seen some training steps after the last frame."""
    step = int(page.locator(".strips canvas").get_attribute("data-step") or 0)
    until(page, f"Number(root.querySelector('.strips canvas').dataset.step) >= {step + STEPS_A_FRAME}")
    return seen(page)


def until(page: Page, what: str) -> None:
    """Until something holds in the component, in JavaScript that knows it as ``root``."""
    found = "[...document.querySelectorAll('*')].map(e => e.shadowRoot?.querySelector('.steer')).find(Boolean)"
    page.wait_for_function(f"() => {{ const root = {found}; return root && {what}; }}", timeout=LONG)


def seen(page: Page) -> Image.Image:
    """What the page shows."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def few_colours(frames: list[Image.Image], most: int) -> list[Image.Image]:
    """The same in few colours, chosen for five of them, without dots that stand for a mixture."""
    chosen = [frames[at * (len(frames) - 1) // 4] for at in range(5)]
    width, height = frames[0].size
    strip = Image.new("RGB", (width, height * len(chosen)))
    for at, frame in enumerate(chosen):
        strip.paste(frame, (0, height * at))
    palette = strip.quantize(most, dither=Image.Dither.NONE)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


if __name__ == "__main__":
    main()
