"""Every page as it is seen: at a phone's, a laptop's and a projector's width, light and dark, kept as pictures.

``DROPCLUST_PICTURES`` names the folder that keeps them; else it is one of pytest's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Serve

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser

SCREENS = {"phone": (390, 844), "laptop": (1400, 900), "projector": (1920, 1080)}
CHART = ".js-plotly-plot .main-svg"
CANVAS = "canvas"
CHOICE = "[data-testid='stMain'] [data-testid='stButtonGroup'], [data-testid='stMain'] [data-testid='stSlider']"


@dataclass(frozen=True)
class Seen:
    """What a page shows; on every screen its picture and control are seen together without scrolling.

    Parameters
    ----------
    address
        Below the app's own.
    picture
        CSS selector of the main picture.
    control
        CSS selector of the control that moves it.
    """

    address: str
    picture: str = CHART
    control: str = CHOICE


START = "[data-testid='stBaseButton-primary']"
PAGES = (
    Seen("?guess=off", CANVAS, "#rate"),
    Seen("live", ".st-key-live-before img", START),
    Seen("onset?copies_guess=off"),
    Seen("train", CHART, START),
    Seen("compress", ".st-key-held-curve .main-svg"),  # made by a worker; charts below it are there before
    Seen("digit", CANVAS, CANVAS),
    Seen("sample?guess=off"),
    Seen("batch"),
    Seen("variance"),
    Seen("similar"),
    Seen("power"),
    Seen("claims", ".tiles"),
)
NARROW = (360, 390, 768, 844, 1024)  # where nothing scrolls sideways, ends in dots or is cut off
DARK = ("phone", "laptop")  # the dark scheme changes colours alone, which no further width shows
SHIFT = 0.05  # of a page that has stood for a second
SMALLEST = 12.0  # pixels of text

_WATCH = """
window.shifted = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries())
    if (!entry.hadRecentInput && window.watched && entry.startTime > window.watched) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
# What is said in letters too small to read; what nobody sees is left out.
_SMALL = """least => [...document.querySelectorAll("[data-testid='stApp'] *")].filter(node => {
  if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) return false;
  if (node.closest(".katex, style, script, .dropclust-said")) return false;
  if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return false;
  const box = node.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && parseFloat(getComputedStyle(node).fontSize) < least;
}).map(node => `${getComputedStyle(node).fontSize}: ${node.textContent.trim().slice(0, 40)}`)"""
_DOTS = """() => [...document.querySelectorAll("[data-testid='stMain'] *")].filter(node => {
  const style = getComputedStyle(node);
  return style.textOverflow === "ellipsis" && style.overflowX !== "visible" && node.scrollWidth > node.clientWidth + 1
    && node.clientWidth > 1 && node.checkVisibility({ visibilityProperty: true }) && node.tagName !== "INPUT";
}).map(node => node.textContent.trim().slice(0, 60))"""
# What is written and cut off: at the edge of its box, at the edge of its chart, or under the chart's buttons.
_CUT = """() => {
  const main = document.querySelector("[data-testid='stMain']"), found = [];
  for (const node of main.querySelectorAll("*")) {
    const { overflowX, clipPath } = getComputedStyle(node);
    const written = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!written || clipPath !== "none" || node.closest("style, script, .katex, svg") || node.clientWidth < 2) continue;
    if (["hidden", "clip"].includes(overflowX) && node.scrollWidth > node.clientWidth + 1)
      found.push(node.textContent.trim().slice(0, 60));
  }
  for (const chart of main.querySelectorAll(".js-plotly-plot")) {
    if (!chart.checkVisibility()) continue; // of a closed fold
    const edge = chart.getBoundingClientRect();
    for (const text of chart.querySelectorAll(".main-svg text")) {
      const box = text.getBoundingClientRect();
      if (box.width && (box.right > edge.right + 2 || box.left < edge.left - 2 || box.bottom > edge.bottom + 2))
        found.push(`beyond its chart: ${text.textContent.slice(0, 60)}`);
    }
    const title = chart.querySelector(".g-gtitle text")?.getBoundingClientRect();
    for (const button of title ? chart.querySelectorAll(".modebar-btn svg") : []) {
      const box = button.getBoundingClientRect();
      if (box.left < title.right && box.right > title.left && box.top < title.bottom && box.bottom > title.top)
        found.push(`under a button: ${chart.querySelector(".g-gtitle text").textContent}`);
    }
  }
  return found;
}"""
_SIDEWAYS = """() => {
  const main = document.querySelector("[data-testid='stMain']");
  return Math.max(document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth);
}"""


@pytest.fixture(scope="module")
def address(serve: Serve) -> str:
    """The app over what is shipped."""
    return serve(ROOT / "app.py", {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures are kept."""
    named = os.environ.get("DROPCLUST_PICTURES")
    kept = Path(named) if named else tmp_path_factory.mktemp("pictures")
    kept.mkdir(parents=True, exist_ok=True)
    return kept


@dataclass
class Visit:
    """A page in a browser, and what went wrong there."""

    page: Page
    wrong: list[str]


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(120_000)
    context.add_init_script(_WATCH)
    page, wrong = context.new_page(), []
    # Streamlit looks for its own below the page's address first: that one answer is no error.
    page.on(
        "console", lambda said: wrong.append(said.text) if said.type == "error" and "/_stcore/" not in _place(said) else None
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else wrong.append(asked.url))
    yield Visit(page, wrong)
    context.close()


def _place(said: object) -> str:
    return str(getattr(said, "location", {}).get("url", ""))


def settle(page: Page, seen: Seen, address: str) -> None:
    """Open a page and wait until it stands."""
    page.goto(f"{address}/{seen.address}")
    expect(page.get_by_role("heading", level=1)).to_have_count(1, timeout=120_000)
    expect(page.locator(seen.picture).first).to_be_visible(timeout=120_000)
    expect(page.locator("[data-testid='stApp']")).to_have_attribute("data-test-script-state", "notRunning", timeout=120_000)
    page.wait_for_timeout(1000)


def in_view(page: Page, selector: str) -> bool:
    """Whether the first of it begins within the screen, and a good part of it is seen."""
    box, size = page.locator(selector).first.bounding_box(), page.viewport_size
    assert box is not None
    assert size is not None
    seen = min(box["y"] + box["height"], size["height"]) - max(box["y"], 0)
    return seen >= min(box["height"], 0.25 * size["height"])


def wrong_on(page: Page, seen: Seen, screen: str) -> dict[str, object]:
    """What is out of place or too small on a screen."""
    found: dict[str, object] = {}
    heading = page.get_by_role("heading", level=1).bounding_box()
    assert heading is not None
    if heading["y"] > 95:
        found[f"{screen}: title at"] = heading["y"]
    for what in ("picture", "control"):
        if not in_view(page, getattr(seen, what)):
            found[f"{screen}: out of the first screen: {what}"] = page.locator(getattr(seen, what)).first.bounding_box()
    if small := page.evaluate(_SMALL, SMALLEST):
        found[f"{screen}: small"] = small[:5]
    if screen == "phone" and (over := page.evaluate(_SIDEWAYS)) > 0:
        found["phone: sideways"] = over
    return found


def wrong_at(page: Page, width: int) -> dict[str, object]:
    """What scrolls sideways, ends in dots or is cut off at a width."""
    found: dict[str, object] = {}
    if (over := page.evaluate(_SIDEWAYS)) > 0:
        found[f"{width}: sideways"] = over
    if dots := page.evaluate(_DOTS):
        found[f"{width}: dots"] = dots[:5]
    if cut := page.evaluate(_CUT):
        found[f"{width}: cut"] = cut[:5]
    return found


def at_rest(page: Page, look: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What is wrong once charts have followed the window's size, for which a busy machine is given time."""
    for _ in range(20):
        if not (found := look()):
            break
        page.wait_for_timeout(500)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("seen", PAGES, ids=lambda seen: seen.address.split("?")[0] or "explore")
def test_a_page_on_every_screen(visit: Visit, address: str, folder: Path, seen: Seen, scheme: str) -> None:
    page, name = visit.page, seen.address.split("?")[0] or "explore"
    page.emulate_media(color_scheme=scheme)
    settle(page, seen, address)
    # Nothing is touched from here on: what moves now moves by itself.
    page.evaluate("window.watched = performance.now()")
    page.wait_for_timeout(500)
    shifted = page.evaluate("window.shifted")
    found: dict[str, object] = {}
    for screen in SCREENS if scheme == "light" else DARK:
        width, height = SCREENS[screen]
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        found |= at_rest(page, lambda screen=screen: wrong_on(page, seen, screen))
        page.screenshot(path=folder / f"{name}-{screen}-{scheme}.png")
    if scheme == "light":
        for width in NARROW:
            page.set_viewport_size({"width": width, "height": 844})
            page.wait_for_timeout(300)
            found |= at_rest(page, lambda width=width: wrong_at(page, width))
    assert found == {}
    assert shifted <= SHIFT
    assert visit.wrong == []
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.locator("[data-testid='stAlertContentError']")).to_have_count(0)


def test_the_pages_of_the_navigation_are_all_looked_at() -> None:
    files = {path.stem for path in (ROOT / "pages").glob("*.py")}
    assert {seen.address.split("?")[0] or "explore" for seen in PAGES} == files


# Of each chart in view: its plot's box within it, whether names stand at its lines' ends, its legend's top, its axis's end.
_LAID_OUT = """() => [...document.querySelectorAll("[data-testid='stMain'] .js-plotly-plot")]
  .filter(chart => chart.checkVisibility()).map(chart => {
    const top = chart.getBoundingClientRect().top, { w, h } = chart._fullLayout._size;
    const at = (selector, edge) => {
      const found = chart.querySelector(selector);
      return found && found.getBoundingClientRect()[edge] - top;
    };
    return { high: chart.clientHeight, plot: [Math.round(w), Math.round(h)], axis: at(".g-xtitle", "bottom"),
      named: chart.querySelectorAll(".annotation").length, legend: at(".legend", "top"), end: at(".legend", "bottom") };
  })"""


def laid_out(page: Page, width: int) -> list[dict[str, float]]:
    """How charts are laid out at a width, once they have followed it."""
    page.set_viewport_size({"width": width, "height": 900})
    before: list[dict[str, float]] = []
    for _ in range(40):
        page.wait_for_timeout(500)
        now = page.evaluate(_LAID_OUT)
        if now == before:
            break
        before = now
    return before


def test_names_at_the_ends_of_lines_become_a_legend_on_a_phone_and_nothing_moves(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("similar"), address)
    wide, phone = laid_out(page, 1400), laid_out(page, 390)
    assert len(wide) == len(phone) == 2
    assert [chart["named"] for chart in wide] == [3, 3]
    assert [chart["legend"] for chart in wide] == [None, None]
    assert [chart["named"] for chart in phone] == [0, 0]
    for chart, before in zip(phone, wide, strict=True):
        assert chart["high"] == before["high"]
        assert chart["axis"] <= chart["legend"] <= chart["end"] <= chart["high"]
    assert laid_out(page, 1400) == wide
    assert laid_out(page, 390) == phone
    assert visit.wrong == []
