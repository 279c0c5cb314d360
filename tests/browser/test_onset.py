"""The neurons of four networks under a time slider, in a real browser: by keyboard, on a phone, and from layer to layer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dropclust.findings import moments
from dropclust.findings.onset import NAMES
from tests.browser.conftest import Serve

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser
WAIT = 60_000
# The ink on the canvases, so that what moves is seen to move.
_INK = """() => {
  const section = [...document.querySelectorAll("*")].map(each => each.shadowRoot?.querySelector(".moments")).find(Boolean)
    ?? document.querySelector(".moments");
  return [...section.querySelectorAll("canvas")].map(canvas => {
    if (!canvas.width || !canvas.checkVisibility()) return 0;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let i = 3; i < data.length; i += 4) sum += data[i] * ((i % 9973) + 1);
    return sum;
  });
}"""


@pytest.fixture(scope="module")
def address(serve: Serve) -> str:
    return serve(ROOT / "app.py", {})


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(WAIT)
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert errors == []
    context.close()


def said(page: Page, course: int) -> str:
    return page.locator(".moments figcaption").nth(course).inner_text()


def test_the_slider_moves_all_four_by_keyboard_and_says_when(page: Page, address: str) -> None:
    shipped = moments.read()
    page.goto(f"{address}/onset?copies_guess=off")
    slider = page.get_by_label("Moment of the training")
    expect(slider).to_have_attribute("aria-valuetext", "After 320,000 images: 160,000 after the switch", timeout=WAIT)
    expect(page.locator(".moments canvas")).to_have_count(4)
    slider.scroll_into_view_if_needed()
    page.wait_for_function(f"() => ({_INK})().every(Boolean)")
    late = page.evaluate(_INK)
    for number, (course, shown) in enumerate(shipped.courses.items()):
        assert NAMES[course].capitalize() in said(page, number)
        assert f"{shown[-1].twins} have a twin" in said(page, number)
    slider.focus()
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "After 16,000 images: 144,000 before the switch")
    for number, shown in enumerate(shipped.courses.values()):
        assert f"{shown[0].twins} have a twin" in said(page, number)
    page.wait_for_function(f"late => ({_INK})().every((ink, at) => ink && ink !== late[at])", arg=late)
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "After 160,000 images: the switch")


def test_a_moment_looks_the_same_whichever_way_one_comes_to_it(page: Page, address: str) -> None:
    page.goto(f"{address}/onset?copies_guess=off")
    slider = page.get_by_label("Moment of the training")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("after the switch"), timeout=WAIT)
    slider.scroll_into_view_if_needed()
    page.wait_for_function(f"() => ({_INK})().every(Boolean)")
    slider.press("ArrowLeft")
    page.wait_for_timeout(500)
    back = page.evaluate(_INK)
    slider.press("Home")
    page.wait_for_function(f"back => ({_INK})().every((ink, at) => ink && ink !== back[at])", arg=back)
    for _ in range(int(slider.get_attribute("max") or 0) - 1):
        slider.press("ArrowRight")
    page.wait_for_function(f"back => ({_INK})().every((ink, at) => ink === back[at])", arg=back)


def test_the_switch_is_marked_under_the_slider_and_tiles_are_explained(page: Page, address: str) -> None:
    page.goto(f"{address}/onset?copies_guess=off")
    slider = page.get_by_label("Moment of the training")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("after the switch"), timeout=WAIT)
    expect(page.locator(".moments .tile-words")).to_contain_text("drawn as its weights to the next layer")
    slider.scroll_into_view_if_needed()
    marks, rail = page.locator(".moments .marks i"), slider.bounding_box()
    expect(marks).to_have_count(int(slider.get_attribute("max") or 0) + 1)
    switch = page.locator(".moments .marks .switch").bounding_box()
    assert rail is not None
    assert switch is not None
    place = moments.read().examples.index(moments.read().switch) / (len(moments.read().examples) - 1)
    expected = rail["x"] + 8 + place * (rail["width"] - 16)  # the thumb is 16 wide
    assert abs(switch["x"] + switch["width"] / 2 - expected) < 2
    slider.focus()
    when = page.locator(".moments .when").bounding_box()
    assert when is not None
    assert when["y"] + when["height"] <= rail["y"]  # its frame lies within


def test_it_plays_to_the_end_and_stops(page: Page, address: str) -> None:
    page.goto(f"{address}/onset?copies_guess=off")
    slider = page.get_by_label("Moment of the training")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("after the switch"), timeout=WAIT)
    play = page.locator(".moments .play")
    play.click()
    expect(slider).to_have_attribute("aria-valuetext", re.compile("before the switch"))
    expect(play).to_have_attribute("aria-pressed", "true")
    expect(slider).to_have_attribute("aria-valuetext", "After 320,000 images: 160,000 after the switch", timeout=WAIT)
    expect(play).to_have_attribute("aria-pressed", "false")


def test_another_layer_keeps_the_moment(page: Page, address: str) -> None:
    page.goto(f"{address}/onset?copies_guess=off")
    slider = page.get_by_label("Moment of the training")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("after the switch"), timeout=WAIT)
    slider.focus()
    slider.press("Home")
    page.get_by_role("radio", name="1", exact=True).click()
    expect(page.locator(".moments canvas").first).to_have_attribute("aria-label", re.compile("Layer 1:"), timeout=WAIT)
    expect(slider).to_have_attribute("aria-valuetext", "After 16,000 images: 144,000 before the switch")
    expect(page.locator(".moments canvas")).to_have_count(4)


def test_on_a_phone_one_course_is_chosen(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/onset?copies_guess=off")
    shown = page.locator(".moments figure:visible")
    expect(shown).to_have_count(1, timeout=WAIT)
    expect(shown).to_contain_text("Switched on at half")
    page.locator(".moments").get_by_role("radio", name="switched off at half").check()
    expect(shown).to_have_count(1)
    expect(shown).to_contain_text("Switched off at half")
    page.wait_for_function(f"() => ({_INK})().filter(Boolean).length === 1")
