"""What axe-core finds on every page, and what it cannot: the skip link, the order of Tabs, what is said, the key P."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.test_pictures import PAGES, Seen, Visit, address, settle, visit

__all__ = ["address", "visit"]  # fixtures
pytestmark = pytest.mark.browser
BAD = ("serious", "critical")
# Streamlit's own markup, which nobody here can change: what is found in it is named, so that what is new is seen.
STREAMLITS = {
    "aria-allowed-attr": ("stSlider", "stSelectSlider"),
    "aria-input-field-name": ("stSlider", "stSelectSlider"),
    "nested-interactive": ("stFileUploader", "stExpander"),
    "scrollable-region-focusable": ("stMain", "stCode", "stTable"),
    "color-contrast": ("stTooltipIcon",),
}


def ours(finding: dict[str, Any], page: Page) -> list[str]:
    """Where a finding is, without what is Streamlit's."""
    known = STREAMLITS.get(finding["id"], ())
    places = [node["target"][0] for node in finding["nodes"]]
    inside = "([place, ids]) => ids.some(id => document.querySelector(place)?.closest(`[data-testid='${id}'], .${id}`))"
    return [str(place) for place in places if isinstance(place, list) or not page.evaluate(inside, [place, list(known)])]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("seen", PAGES, ids=lambda seen: seen.address.split("?")[0] or "explore")
def test_nothing_serious_is_found(visit: Visit, address: str, seen: Seen, scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    settle(visit.page, seen, address)
    # Dark changes colours alone: of the rules only the one about contrast could find more than in light.
    rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
    answer = Axe().run(visit.page, options={"resultTypes": ["violations"], **rules}).response
    found = {
        finding["id"]: places
        for finding in answer["violations"]
        if finding["impact"] in BAD and (places := ours(finding, visit.page))
    }
    assert found == {}
    levels = visit.page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(node => +node.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


BATCH = next(seen for seen in PAGES if seen.address == "batch")


def test_the_skip_link_moves_the_focus_into_the_page(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, BATCH, address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#stMain")).to_be_focused()


def test_a_finding_is_said_when_a_control_changed_it_and_not_before(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, BATCH, address)
    said = page.locator(".dropclust-said")
    expect(said).to_have_count(1)
    expect(said).to_have_text("")
    page.get_by_role("radio", name="scaled").click()
    expect(said).to_contain_text("scaled", timeout=60_000)


def test_the_numbers_stand_next_in_the_order_of_tabs_and_make_files(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, BATCH, address)
    numbers = page.locator("[class*='batch-accuracy-numbers'] summary")
    numbers.focus()
    page.keyboard.press("Enter")
    for name in ("CSV", "Chart as SVG", "Chart as PNG"):
        expect(page.get_by_role("button", name=name)).to_be_visible(timeout=60_000)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="CSV")).to_be_focused()
    for kind in ("SVG", "PNG"):
        with page.expect_download() as made:
            page.get_by_role("button", name=f"Chart as {kind}").click()
        assert made.value.suggested_filename == f"batch-accuracy.{kind.lower()}"


def test_a_keyboard_reads_what_the_words_of_a_question_mean(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, BATCH, address)
    page.locator("#stMain").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_text(re.compile(r"^batch size \(the paper's n, section 4\.1\.2, Table 1\): "))).to_be_visible()


def test_p_begins_and_ends_presentation_mode_and_a_clicker_turns_the_page(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, BATCH, address)
    page.keyboard.press("p")
    expect(page.get_by_test_id("stHeader")).to_be_hidden(timeout=60_000)
    expect(page).to_have_url(f"{address}/batch?present=1")
    expect(page.get_by_role("heading", level=2).first).to_be_hidden()
    larger = "() => parseFloat(getComputedStyle(document.querySelector('.xtick text')).fontSize) >= 24"
    page.wait_for_function(larger, timeout=60_000)
    expect(page.get_by_role("button", name=re.compile("End presentation"))).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=60_000)  # the script of the keys is told last
    page.keyboard.press("PageDown")
    expect(page).to_have_title("Model variance · DropClust", timeout=60_000)
    expect(page.get_by_test_id("stHeader")).to_be_hidden()
    page.keyboard.press("p")
    expect(page.get_by_test_id("stHeader")).to_be_visible(timeout=60_000)


def test_a_link_leaves_controls_out_and_gives_itself_as_a_qr_code(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("batch?prediction=scaled&hide=prediction,recipe"), address)
    expect(page.get_by_role("radio", name="scaled")).to_have_count(0)
    expect(page.get_by_role("radio", name="shown")).to_be_visible()
    page.get_by_text("Link to this view").click()
    expect(page.get_by_role("img", name="QR code of the link")).to_be_visible(timeout=60_000)
    expect(page.get_by_text(f"{address}/batch?prediction=scaled&hide=prediction%2Crecipe")).to_be_visible()


def test_a_finger_on_a_chart_scrolls_the_page(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, BATCH, address)
    axes = page.locator(".js-plotly-plot").evaluate_all(
        "all => all.map(({ _fullLayout: { dragmode, xaxis, yaxis } }) => [dragmode, xaxis.fixedrange, yaxis.fixedrange])"
    )
    assert axes == [[False, True, True]] * len(axes)
