"""The power law under a real hand: the range of widths is dragged, and the slope with its interval is fitted anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dropclust.experiments import results
from dropclust.findings import figure3
from dropclust.service import tables
from tests.browser.conftest import ROOT, Serve
from tests.findings.test_figure3 import synthetic

pytestmark = pytest.mark.browser
PATIENCE = 60_000  # milliseconds, for machines with much else to do
BENT = synthetic(bend=0.03)


@pytest.fixture(scope="module")
def address(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("cache")
    (cache / "runs").mkdir()
    tables.write(cache / "results", results.file_name("figure3", "modern"), BENT, {"command": "again"})
    return f"{serve(ROOT / 'app.py', {'DROPCLUST_CACHE': str(cache)})}/power"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1200})
    opened.set_default_timeout(PATIENCE)
    opened.goto(address)
    yield opened
    opened.close()


def sentence(low: float, high: float) -> str:
    return figure3.find(BENT, 0.5, "MSTD", low, high).logarithmic.brief


def thumb(page: Page, which: int) -> Locator:
    return page.get_by_role("slider", name="Widths of layer 1 that are fitted").nth(which)


def middle(slider: Locator) -> tuple[float, float]:
    """Middle of a slider's thumb: what a screen reader reads is hidden inside it."""
    box = slider.locator("xpath=../..").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_dragging_the_range_changes_slope_and_interval_and_the_address(page: Page):
    whole, part = sentence(25, 1600), sentence(25, 200)
    assert whole != part
    expect(page.get_by_text(whole)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(part)).to_have_count(0, timeout=PATIENCE)
    expect(page.locator("[data-testid='stApp']")).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE)
    # The seven widths stand at equal distances; 200 is the fourth, half way.
    (left, y), (right, _) = (middle(thumb(page, which)) for which in (0, 1))
    page.mouse.move(right, y)
    page.mouse.down()
    page.mouse.move((left + right) / 2, y, steps=8)
    page.mouse.up()
    expect(page.get_by_text(part)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(whole)).to_have_count(0, timeout=PATIENCE)
    expect(page).to_have_url(re.compile(r"h=25&h=200"), timeout=PATIENCE)
    page.reload()
    expect(page.get_by_text(part)).to_be_visible(timeout=PATIENCE)


def test_keys_narrow_the_range_until_there_is_no_line(page: Page):
    expect(page.get_by_text(sentence(25, 1600))).to_be_visible(timeout=PATIENCE)
    for high in (800, 400, 200, 100):
        thumb(page, 1).press("ArrowLeft")
        expect(page.get_by_text(sentence(25, high))).to_be_visible(timeout=PATIENCE)
    thumb(page, 1).press("ArrowLeft")
    expect(page.get_by_test_id("stAlert").get_by_text("A line needs 3 widths or more")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Traceback")).to_have_count(0, timeout=PATIENCE)


def test_a_control_is_hidden_by_its_toggle_and_the_link_keeps_it(page: Page):
    expect(page.get_by_text(sentence(25, 1600))).to_be_visible(timeout=PATIENCE)
    chart = page.locator(".st-key-power-log")
    expect(chart.get_by_text("not trained")).to_be_visible(timeout=PATIENCE)
    page.get_by_text("Not trained", exact=True).click()
    expect(chart.get_by_text("not trained")).to_have_count(0, timeout=PATIENCE)
    named = chart.get_by_text(re.compile(r"trained without\s*dropout"))  # at its line's end, in two lines
    expect(named.filter(visible=True).first).to_be_visible(timeout=PATIENCE)
    expect(page).to_have_url(re.compile("untrained=false"), timeout=PATIENCE)


def test_a_phone_shows_the_slopes_axis_whole(browser: Browser, address: str):
    phone = browser.new_page(viewport={"width": 400, "height": 900})
    phone.goto(f"{address}?measure=MSTD+%2F+logit+spread")
    chart = phone.locator(".st-key-power-slopes")
    for title in (chart.locator(".xtitle"), chart.locator(".gtitle")):
        expect(title).to_be_visible(timeout=PATIENCE)
        box = title.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 400
    phone.close()
