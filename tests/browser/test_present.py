"""A lecture: what keys do, what is told of them, and that a screen of any room holds what it shall see."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from dropclust.experiments import table2
from tests.browser.test_pictures import Seen, Visit, address, settle, visit

__all__ = ["address", "visit"]  # fixtures
pytestmark = pytest.mark.browser
EXPLORE = Seen("?guess=off", "canvas", "#rate")
PRESENTED = Seen("?guess=off&present=1", "canvas", "#rate")
_LINES = "group => new Set([...group.querySelectorAll('[role=radio]')].map(each => each.getBoundingClientRect().top)).size"


def presents(page: Page) -> None:
    expect(page.get_by_test_id("stHeader")).to_be_hidden(timeout=60_000)


def test_presenting_begins_at_the_pages_top_tells_its_keys_and_escape_ends_it(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, EXPLORE, address)
    page.locator("#stMain").evaluate("main => main.scrollTo(0, main.scrollHeight)")
    page.keyboard.press("p")
    presents(page)
    keys = page.locator(".lecture-keys")
    expect(keys).to_contain_text("Escape ends the presentation")
    page.wait_for_function("document.getElementById('stMain').scrollTop === 0")
    expect(page.get_by_text("F full screen").last).to_be_attached()
    box, title = keys.bounding_box(), page.locator("h1").bounding_box()
    assert box is not None
    assert title is not None
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= 1400
    assert box["y"] + box["height"] <= title["y"] + title["height"]  # beside the title, over nothing else
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stHeader")).to_be_visible(timeout=60_000)
    expect(page).not_to_have_url(re.compile("present=1"))


def test_keys_scroll_away_and_icons_are_as_large_as_letters_and_again_after_it(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("similar"), address)
    icons = """() => [...document.querySelectorAll('.stTooltipIcon svg')].filter(each => each.checkVisibility())
        .map(each => each.getBoundingClientRect().width)"""
    letters = "parseFloat(getComputedStyle(document.documentElement).fontSize)"
    before = page.evaluate(icons)
    assert len(before) > 1
    assert before == pytest.approx([page.evaluate(letters)] * len(before), abs=1)
    page.keyboard.press("p")
    presents(page)
    page.wait_for_function(f"({icons})().every(width => Math.abs(width - {letters}) < 1 && width > {before[0]} + 3)")
    keys, charts = page.locator(".lecture-keys"), page.locator("[data-testid='stMain'] .js-plotly-plot")
    expect(charts).to_have_count(2)
    page.locator("#stMain").evaluate("main => main.scrollTo(0, 200)")
    expect(keys).not_to_be_in_viewport()
    page.keyboard.press("p")
    expect(page.get_by_test_id("stHeader")).to_be_visible(timeout=60_000)
    page.wait_for_function(f"({icons})().every(width => Math.abs(width - {before[0]}) < 1)")


@pytest.mark.parametrize("name", ["sample?guess=off", "variance?", "similar?"])
@pytest.mark.parametrize("width", [1200, 1400, 1920])
def test_of_a_pair_of_charts_both_have_a_legend_or_neither_and_no_title_crosses_another(
    visit: Visit, address: str, name: str, width: int
) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": width * 9 // 16})
    settle(page, Seen(f"{name}&present=1"), address)
    presents(page)
    page.wait_for_function(
        """() => {
            const charts = [...document.querySelectorAll("[data-testid='stMain'] .js-plotly-plot")].slice(0, 2);
            const box = (chart, part) => chart.querySelector(part).getBoundingClientRect();
            return charts.length === 2 && new Set(charts.map(each => Boolean(each.querySelector(".legend")))).size === 1
                && charts.every(each => box(each, ".g-gtitle").bottom <= box(each, ".g-ytitle").top + 2);
        }"""
    )


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (1920, 1080)])
def test_whose_guess_is_answered_still_sees_which_line_is_which(visit: Visit, address: str, width: int, height: int) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": height})
    settle(page, Seen("sample?present=1"), address)
    presents(page)
    page.get_by_role("button", name="That is my guess").click()
    expect(page.get_by_text(re.compile("^You expected 4 of 8 rates"))).to_be_visible(timeout=60_000)
    legend = page.locator(".st-key-figure1-levels .legend")
    expect(legend).to_contain_text("one mask", timeout=60_000)
    expect(legend).to_contain_text("sampled")
    page.wait_for_timeout(1000)
    box = legend.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= height
    assert box["x"] + box["width"] <= width


def test_a_tour_goes_on_in_a_presentation_and_after_it(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, EXPLORE, address)
    page.locator("[data-do=tour]").click()
    page.keyboard.press("ArrowRight")
    at = page.locator(".tour-at")
    expect(at).to_have_text("2 of 7")
    expect(page).to_have_url(re.compile(r"rate=0\.50&step=2"), timeout=60_000)
    page.keyboard.press("p")
    presents(page)
    expect(at).to_have_text("2 of 7", timeout=60_000)
    expect(at).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(at).to_have_text("3 of 7")
    expect(page).to_have_url(re.compile("step=3"), timeout=60_000)
    page.keyboard.press("p")
    expect(page.get_by_test_id("stHeader")).to_be_visible(timeout=60_000)
    expect(at).to_have_text("3 of 7", timeout=60_000)


def test_a_link_of_the_tour_stays_in_the_presentation_and_shows_the_layer_and_the_network(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("?guess=off&recipe=paper&step=6&present=1", "canvas", "#rate"), address)
    presents(page)
    page.get_by_role("link", name="Compress →").click()
    expect(page.get_by_role("heading", name="Can neurons that act alike be merged?")).to_be_visible(timeout=60_000)
    presents(page)
    chosen = page.get_by_role("radiogroup", name="Hidden layer").get_by_role("radio", checked=True)
    expect(chosen).to_have_text("2", timeout=60_000)
    key = table2.shown_spec(0.5, "paper").key
    expect(page).to_have_url(re.compile(rf"run={key}&compressed_layer=2&present=1"))
    expect(page.get_by_role("combobox", name=re.compile("Network"))).to_have_value(re.compile("paper"))


@pytest.mark.parametrize(
    ("step", "name", "title", "held"),
    [
        (5, "Live →", "Switch dropout on: do copies form?", "layer=3"),
        (7, "Train your own →", "What does dropout do to a network?", "rate=0.50?(&|$)"),
        (7, "Does it hold? →", "Which of the paper's claims hold?", "claims"),
    ],
)
def test_links_of_the_tour_lead_on_with_what_a_control_of_explores_holds_too(
    visit: Visit, address: str, step: int, name: str, title: str, held: str
) -> None:
    page = visit.page
    settle(page, Seen(f"?guess=off&step={step}&layer=3", "canvas", "#rate"), address)
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile(held))
    expect(page.locator("[data-testid='stException']")).to_have_count(0)


def test_every_step_of_the_tour_has_one_room_and_leaves_all_below_it_on_the_screen(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("?guess=off&present=1&step=1", "canvas", "#rate"), address)
    presents(page)
    parts = (".tour", ".slider", ".field")
    rooms = []
    for step in range(1, 8):
        expect(page.locator(".tour-at")).to_have_text(f"{step} of 7")
        page.wait_for_timeout(300)
        rooms.append([page.locator(part).bounding_box() for part in parts])
        charts = [each.bounding_box() for each in page.locator("[data-chart]").all() if each.is_visible()]
        assert len(charts) == 2
        assert all(box["y"] + box["height"] <= 900 for box in (*charts, *rooms[-1]) if box)
        if step == 4:  # the neuron that is pointed at stands before the charts, which keep their place
            page.wait_for_timeout(1500)  # until the neurons have come to rest
            tile = page.locator(".tiles > div").first.bounding_box()
            assert tile is not None
            page.mouse.move(tile["x"] + 5, tile["y"] + 5)
            expect(page.locator(".pair")).to_be_visible()
            assert [each.bounding_box() for each in page.locator("[data-chart]").all() if each.is_visible()] == charts
            page.mouse.move(5, 5)
        page.keyboard.press("PageDown")
    assert all(room == rooms[0] for room in rooms)
    expect(page).to_have_title("Does it hold? · DropClust", timeout=60_000)  # a clicker goes on to where the tour ends


def test_what_stands_in_front_has_the_keys_before_the_tour_and_the_page(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("?guess=off&present=1&step=2", "canvas", "#rate"), address)
    presents(page)
    page.keyboard.press("l")
    panel = page.locator(".st-key-shell-link details[open]")
    expect(panel.get_by_role("img", name="QR code of the link")).to_be_visible(timeout=60_000)
    page.keyboard.press("PageDown")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0, timeout=60_000)
    expect(page.locator(".tour-at")).to_have_text("2 of 7")
    expect(page).to_have_title("Explore · DropClust")


def test_a_clicker_leads_on_from_a_slider_that_has_the_focus_and_a_page_loaded_again_is_presented(
    visit: Visit, address: str
) -> None:
    page = visit.page
    settle(page, Seen("compress?present=1"), address)
    presents(page)
    slider = page.locator(".stSlider input[type=range]").first
    slider.focus()
    before = slider.input_value()
    page.keyboard.press("PageDown")
    expect(page).to_have_title("Draw a digit · DropClust", timeout=60_000)
    expect(page).to_have_url(re.compile("present=1"))
    page.reload()
    presents(page)
    expect(page.locator(".st-key-shell-back a")).to_be_visible(timeout=60_000)
    page.wait_for_timeout(1000)
    page.keyboard.press("PageUp")
    expect(page).to_have_title("Compress · DropClust", timeout=60_000)
    expect(page.locator(".stSlider input[type=range]").first).to_have_value(before, timeout=60_000)
    page.locator("#stMain").focus()
    page.keyboard.press("End")  # a frame around the whole screen would say nothing, and cross what is read
    assert page.evaluate("getComputedStyle(document.getElementById('stMain'), '::before').display") == "none"


def test_who_comes_back_from_where_the_tour_led_finds_its_step_and_is_asked_nothing(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("?step=6", "canvas", "#rate"), address)
    page.get_by_role("link", name="Compress →").click()
    expect(page.get_by_role("heading", name="Can neurons that act alike be merged?")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="See", exact=True).click()
    page.get_by_role("menuitem", name="Explore").click()
    expect(page.locator(".tour-at")).to_have_text("6 of 7", timeout=60_000)
    expect(page.locator(".guess")).to_be_hidden()


@pytest.mark.parametrize("query", ["?guess=off", "?guess=off&present=1"])
def test_a_finger_is_told_of_no_keys(browser: Browser, address: str, query: str) -> None:
    names = ("End presentation", "Full screen") if "present" in query else ("Present",)
    for touch in (True, False):
        context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=touch, is_mobile=touch)
        page = context.new_page()
        settle(page, Seen(query, "canvas", "#rate"), address)
        shown = [page.get_by_role("button", name=name).inner_text() for name in names]
        shown.append(page.get_by_text("Link to this view").inner_text())
        assert [bool(re.search(r"\([A-Z]\)", text)) for text in shown] == [not touch] * len(shown)
        expect(page.locator(".lecture-keys")).to_be_visible(visible=not touch and "present" in query)
        context.close()


def test_a_key_shows_the_link_and_its_code_in_front_and_escape_takes_only_that_away(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, PRESENTED, address)
    presents(page)
    page.keyboard.press("l")
    code = page.get_by_role("img", name="QR code of the link")
    expect(code).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile(r"^http://.*\?guess=off$"))).to_be_visible()  # who scans it is no lecturer
    box = code.bounding_box()
    assert box is not None
    assert box["width"] >= 500
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 900
    page.keyboard.press("Escape")
    expect(code).to_be_hidden()
    presents(page)
    page.locator("#rate").focus()  # nothing is typed into a slider
    page.keyboard.press("l")
    expect(code).to_be_visible(timeout=60_000)
    page.keyboard.press("l")
    expect(code).to_be_hidden()


def test_the_link_is_in_view_on_any_page_says_who_can_open_it_and_leaves_a_presentation_alone(
    visit: Visit, address: str
) -> None:
    page = visit.page
    settle(page, EXPLORE, address)
    page.keyboard.press("l")
    code = page.get_by_role("img", name="QR code of the link")
    expect(code).to_be_visible(timeout=60_000)
    box = code.bounding_box()
    assert box is not None
    assert box["width"] >= 500
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 900
    alone = page.get_by_text("Only this machine can open this address")
    expect(alone).to_contain_text("python -m dropclust dashboard --address 0.0.0.0")
    expect(alone).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(code).to_be_hidden()
    page.keyboard.press("l")
    expect(code).to_be_visible(timeout=60_000)
    page.keyboard.press("p")
    presents(page)
    expect(code).to_be_hidden()


def test_a_keyboard_comes_to_the_controls_and_no_skip_link_covers_the_title(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, PRESENTED, address)
    presents(page)
    for _ in range(4):
        page.keyboard.press("Tab")
        expect(page.get_by_test_id("stSkipToContent")).to_be_hidden()
    assert page.evaluate("document.activeElement.shadowRoot?.activeElement?.id") == "rate"


@pytest.mark.parametrize("query", ["", "?present=1"])
def test_what_stands_where_a_live_run_will_is_plainly_a_preview(visit: Visit, address: str, query: str) -> None:
    page = visit.page
    settle(page, Seen(f"live{query}", ".st-key-live-before img", "[data-testid='stBaseButton-primary']"), address)
    picture, words = page.locator(".st-key-live-before img"), page.get_by_text("Preview. Press Start")
    expect(words).to_be_in_viewport()
    assert float(picture.evaluate("image => getComputedStyle(image).opacity")) < 0.4
    over, under = words.bounding_box(), picture.bounding_box()
    assert over is not None
    assert under is not None
    assert under["y"] < over["y"]
    assert over["y"] + over["height"] < under["y"] + under["height"]


def test_a_key_and_a_button_give_the_page_the_whole_screen_and_take_it_back(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, PRESENTED, address)
    presents(page)
    full = "() => document.fullscreenElement === document.documentElement"
    page.keyboard.press("f")
    page.wait_for_function(full)
    presents(page)
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === null")
    page.get_by_role("button", name="Full screen (F)").click()
    page.wait_for_function(full)


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (1920, 1080)], ids=lambda size: str(size))
@pytest.mark.parametrize("view", ["twins", "paper"])
def test_neurons_and_both_curves_are_whole_in_the_window(
    visit: Visit, address: str, view: str, width: int, height: int
) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": height})
    settle(page, EXPLORE, address)
    before = page.locator(".field").bounding_box()
    settle(page, Seen(f"?guess=off&present=1&rate=0.60&view={view}", "canvas", "#rate"), address)
    presents(page)
    field = page.locator(".field")
    page.wait_for_timeout(500)
    boxes = [each.bounding_box() for each in page.locator("[data-chart] svg").all() if each.is_visible()]
    assert len(boxes) == 2
    for box in (*boxes, field.bounding_box(), page.locator("#rate").bounding_box()):
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
        assert box["x"] + box["width"] <= width
    shown = field.bounding_box()
    assert before is not None
    assert shown is not None
    assert shown["width"] > before["width"]
    for group in page.locator("[data-testid='stMain'] [data-testid='stButtonGroup']").all():
        assert group.evaluate(_LINES) == 1


def test_a_clicker_goes_through_the_tour_and_the_pages_that_it_leads_to(visit: Visit, address: str) -> None:
    """From where it led to, Page Up leads back to its step and Page Down on to the next; from its end Page Down leads on."""
    page = visit.page
    at, live, compress = page.locator(".tour-at"), "Switch dropout on: do copies form?", "Can neurons that act alike be merged?"
    settle(page, Seen("?guess=off&step=5&present=1", "canvas", "#rate"), address)
    presents(page)
    page.get_by_role("link", name="Live →").click()
    expect(page.get_by_role("heading", name=live, level=1)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="On with the tour: Merge the twins")).to_be_visible(timeout=60_000)
    page.keyboard.press("PageUp")
    expect(at).to_have_text("5 of 7", timeout=60_000)
    page.get_by_role("link", name="Live →").click()
    expect(page.get_by_role("heading", name=live, level=1)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="On with the tour: Merge the twins")).to_be_visible(timeout=60_000)
    page.keyboard.press("PageDown")
    expect(at).to_have_text("6 of 7", timeout=60_000)
    page.get_by_role("link", name="Compress →").click()
    expect(page.get_by_role("heading", name=compress, level=1)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="On with the tour: What the paper says, and what holds")).to_be_visible(timeout=60_000)
    page.keyboard.press("PageDown")
    expect(at).to_have_text("7 of 7", timeout=60_000)
    page.keyboard.press("PageDown")
    expect(page.get_by_role("heading", name="Which of the paper's claims hold?", level=1)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="Back to the tour")).to_be_visible(timeout=60_000)
    presents(page)


def test_a_claim_that_is_opened_keeps_the_session_and_the_way_back_to_the_tour(visit: Visit, address: str) -> None:
    page = visit.page
    settle(page, Seen("?guess=off&step=7", "canvas", "#rate"), address)
    page.get_by_role("link", name="Does it hold? →").click(timeout=60_000)
    page.evaluate("window.kept = true")  # until the page is loaded anew
    page.locator("[data-testid='stMain'] a[href*='claim=']").first.click(timeout=60_000)
    expect(page).to_have_url(re.compile("claim="), timeout=60_000)
    expect(page.get_by_role("heading", name="Run it yourself").or_(page.get_by_text("computed once")).first).to_be_visible(
        timeout=60_000
    )
    assert page.evaluate("window.kept")
    page.get_by_role("link", name="Back to the tour").click()
    expect(page.locator(".tour-at")).to_have_text("7 of 7", timeout=60_000)
    assert page.evaluate("document.getElementById('stMain').scrollTop") == 0
    page.get_by_role("button", name="Finish").click()
    expect(page.locator(".tour")).to_be_hidden()
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("menuitem", name="Does it hold?").click()
    expect(page.get_by_role("link", name=re.compile("^Next: "))).to_be_visible(timeout=60_000)
    expect(page).to_have_title("Does it hold? · DropClust", timeout=60_000)
    expect(page.get_by_role("link", name="Back to the tour")).to_have_count(0)  # which was ended
