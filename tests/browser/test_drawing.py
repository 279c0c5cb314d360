"""Digits drawn by a real hand, mouse, finger and arrow keys: sent in MNIST's form, and read rightly."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from dropclust.core.network import Network
from dropclust.core.paths import cache_folder
from dropclust.core.prediction import sample, scaled_logits
from dropclust.experiments import table2
from dropclust.service.store import Store

pytestmark = pytest.mark.browser

APP = Path(__file__).with_name("drawing_app.py")
Open = Callable[..., Page]
Point = tuple[float, float]

# Strokes in shares of the canvas, as a hand would make them.
CIRCLE = [(0.5 + 0.2 * math.sin(turn / 12 * math.pi), 0.5 - 0.3 * math.cos(turn / 12 * math.pi)) for turn in range(25)]
STROKES = {
    0: [CIRCLE],
    1: [[(0.53, 0.15), (0.5, 0.85)]],
    7: [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.85)]],
}
# By keys: from the middle a walk to the start, then lines.
HOME = ["ArrowLeft"] * 28 + ["ArrowUp"] * 28 + ["ArrowRight"] * 13 + ["ArrowDown"] * 13
SHIFT = "Shift+Arrow"
KEYS = {
    0: ["ArrowUp"] * 8
    + [SHIFT + way for way in (["Right"] * 2 + ["Down", "Right", "Right", "Down", "Down", "Right"] + ["Down"] * 9)]
    + [SHIFT + way for way in (["Left", "Down", "Down", "Left", "Left", "Down"] + ["Left"] * 4)]
    + [SHIFT + way for way in (["Up", "Left", "Left", "Up", "Up", "Left"] + ["Up"] * 9)]
    + [SHIFT + way for way in (["Right", "Up", "Up", "Right", "Right", "Up"] + ["Right"] * 2)],
    1: ["ArrowUp"] * 7 + ["Shift+ArrowDown"] * 15,
    7: ["ArrowUp"] * 7
    + ["ArrowLeft"] * 5
    + [SHIFT + way for way in (["Right"] * 9 + ["Down", "Down", "Left"] * 5 + ["Down"] * 5)],
}  # fmt: skip

WAIT = 60_000  # milliseconds: the machine may have other things to do
SCROLLED = "document.querySelector('[data-testid=stMain]').scrollTop"


@pytest.fixture(scope="module")
def address(serve: Callable[..., str]) -> str:
    return serve(APP, {})


@pytest.fixture(scope="module")
def network() -> Network:
    stored = Store(cache_folder() / "runs").get(table2.shown_spec(0.4).key)
    assert stored is not None
    return stored.network()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Open]:
    """Open the test page in a context of one's own; at the end no page may have had an error."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def start(query: str = "", width: int = 1400, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"{address}/?{query}")
        expect(canvas(page)).to_be_visible(timeout=WAIT)
        expect(page.get_by_text("Something to scroll to.").first).to_be_visible(timeout=WAIT)
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def canvas(page: Page) -> Locator:
    return page.get_by_label("Draw a digit on 28 by 28 cells")


def at(page: Page, point: Point) -> Point:
    box = canvas(page).bounding_box()
    assert box is not None
    return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]


def by_mouse(page: Page, strokes: Sequence[Sequence[Point]]) -> None:
    for stroke in strokes:
        page.mouse.move(*at(page, stroke[0]))
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*at(page, point), steps=4)
        page.mouse.up()


def by_finger(page: Page, points: Sequence[Point]) -> None:
    """One finger along points of the page, in its pixels."""
    session = page.context.new_cdp_session(page)
    steps = [points[0]]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        steps += [(x + (to_x - x) * part / 5, y + (to_y - y) * part / 5) for part in range(1, 6)]
    for number, (x, y) in enumerate(steps):
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def by_keys(page: Page, keys: Sequence[str]) -> None:
    canvas(page).focus()
    for key in keys:
        page.keyboard.press(key)


def sent(page: Page, before: str = "nothing") -> np.ndarray:
    """The 784 numbers that Python heard, once they are others than before."""
    code = page.get_by_test_id("stCode")
    expect(code).not_to_have_text(before, timeout=WAIT)
    image = np.array(json.loads(code.inner_text()), dtype=np.float32)
    assert image.shape == (784,)
    assert image.min() == 0
    assert 0.9 < image.max() <= 1
    return image


def ink(page: Page) -> np.ndarray:
    """The picture on the canvas: how opaque each of its pixels is, 0 to 1."""
    url = canvas(page).evaluate("canvas => canvas.toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    return np.asarray(picture.convert("RGBA"))[..., 3] / 255


def centred(picture: np.ndarray) -> np.ndarray:
    """A picture as MNIST would hold it: the longer side on 20 of 28 cells, the centre of mass from 14 up to 15."""
    places = np.arange(len(picture))
    inked = [np.flatnonzero(picture.any(axis)) for axis in (1, 0)]
    scale = 20 / max(along[-1] + 1 - along[0] for along in inked)
    shares = []
    for axis, along in zip((1, 0), inked, strict=True):
        middle = ((places + 0.5 - along[0]) @ picture.sum(axis) / picture.sum()) * scale
        moved = next(by for by in range(29) if middle + by >= 14 - 1e-6)
        borders = along[0] + (np.arange(29) - moved) / scale
        before = np.clip(borders[:, None] - places, 0, 1)  # how much of each pixel lies before each border
        shares.append(np.diff(before, axis=0) * scale)
    return (shares[0] @ picture @ shares[1].T).ravel()


def reads(network: Network, image: np.ndarray) -> tuple[int, int, float]:
    """What the scaled network reads, what most masks read, and how many of them."""
    x = torch.from_numpy(image)[None]
    votes = sample(network, x).votes[0]
    return int(scaled_logits(network, x).argmax()), int(votes.argmax()), float(votes.max())


def drawn_and_read(page: Page, network: Network, draw: Callable[[int], None]) -> None:
    """Every digit in turn is sent as MNIST would hold what the canvas shows, and is read rightly in every way."""
    for digit in STROKES:
        draw(digit)
        image = sent(page)
        np.testing.assert_allclose(image, centred(ink(page)), atol=6e-4)  # rounded to three decimals
        scaled, voted, share = reads(network, image)
        assert (scaled, voted) == (digit, digit)
        assert share > 0.6
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_test_id("stCode")).to_have_text("nothing", timeout=WAIT)


def test_digits_drawn_by_mouse_are_read_rightly_and_sent_as_mnist_holds_them(open_page: Open, network: Network):
    page = open_page()
    drawn_and_read(page, network, lambda digit: by_mouse(page, STROKES[digit]))


def test_digits_drawn_by_a_finger_are_read_rightly_and_the_page_stays_where_it_is(open_page: Open, network: Network):
    page = open_page(width=400, height=700, has_touch=True, is_mobile=True)

    def draw(digit: int) -> None:
        for stroke in STROKES[digit]:
            by_finger(page, [at(page, point) for point in stroke])
        assert page.evaluate(SCROLLED) == 0

    drawn_and_read(page, network, draw)
    box = canvas(page).bounding_box()
    assert box is not None
    below = box["y"] + box["height"] + 60
    by_finger(page, [(200, below), (200, below - 300)])
    page.wait_for_function(f"({SCROLLED}) > 100")


def test_digits_drawn_by_keys_are_read_rightly(open_page: Open, network: Network):
    page = open_page()

    def draw(digit: int) -> None:
        by_keys(page, [*HOME, *KEYS[digit]])

    drawn_and_read(page, network, draw)


def test_keys_paint_and_erase_and_say_so(open_page: Open):
    page = open_page()
    spoken, code = page.get_by_role("status").filter(has_text="Row"), page.get_by_test_id("stCode")

    def painted() -> np.ndarray:
        cells = ink(page).reshape(28, 20, 28, 20).mean((1, 3))
        assert set(np.unique(cells)) <= {0, 1}
        return np.argwhere(cells == 1)

    by_keys(page, ["ArrowUp", "ArrowLeft", "ArrowLeft"])
    expect(spoken).to_have_text("Row 13, column 12: empty.")
    by_keys(page, ["Space"])
    expect(spoken).to_have_text("Row 13, column 12: painted.")
    assert painted().tolist() == [[12, 11], [12, 12], [13, 11], [13, 12]]
    one = sent(page)
    assert canvas(page).evaluate("canvas => getComputedStyle(canvas).outlineWidth") == "4px"
    box, cursor = canvas(page).bounding_box(), page.locator(".cursor").bounding_box()
    assert box is not None
    assert cursor is not None
    assert page.locator(".cursor").evaluate("cursor => getComputedStyle(cursor).visibility") == "visible"
    assert (cursor["x"] - box["x"]) / box["width"] == pytest.approx(11 / 28, abs=0.002)
    assert (cursor["y"] - box["y"]) / box["height"] == pytest.approx(12 / 28, abs=0.002)
    assert np.argwhere(one.reshape(28, 28) == 1).tolist() == [[y, x] for y in range(4, 24) for x in range(4, 24)]
    by_keys(page, ["ArrowRight"])
    expect(spoken).to_have_text("Row 13, column 13: partly painted.")
    by_keys(page, ["Shift+ArrowDown"])
    expect(spoken).to_have_text("Row 14, column 13: painted.")
    assert len(painted()) == 8
    by_keys(page, ["Space"])
    expect(spoken).to_have_text("Row 14, column 13: empty.")
    assert painted().tolist() == [[12, 11], [12, 12], [12, 13], [13, 11]]
    by_keys(page, ["ArrowUp", "Space", "Space", "ArrowLeft", "Space", "Space"])
    expect(spoken).to_have_text("Row 13, column 12: empty.")
    expect(code).to_have_text("nothing", timeout=WAIT)
    by_keys(page, ["ArrowLeft"] * 20 + ["ArrowUp"] * 20)
    expect(spoken).to_have_text("Row 1, column 1: empty.")
    by_keys(page, ["ArrowRight"] * 30 + ["ArrowDown"] * 30)
    expect(spoken).to_have_text("Row 27, column 27: empty.")
    assert not painted().size


def test_nothing_is_said_to_python_before_a_stroke_ends_nor_by_moving_alone(open_page: Open):
    page = open_page()
    page.mouse.move(*at(page, (0.3, 0.3)))
    page.mouse.down()
    page.mouse.move(*at(page, (0.6, 0.6)), steps=5)
    assert ink(page).any()
    page.wait_for_timeout(500)
    expect(page.get_by_test_id("stCode")).to_have_text("nothing", timeout=WAIT)
    page.mouse.move(*at(page, (1.4, 0.6)), steps=5)  # held by the canvas beyond its edge
    page.mouse.up()
    image = sent(page)
    page.mouse.move(*at(page, (0.2, 0.8)), steps=5)
    by_keys(page, ["ArrowDown"] * 3)
    np.testing.assert_allclose(image, centred(ink(page)), atol=6e-4)


def test_what_lies_far_from_the_centre_of_mass_is_not_cut_off(open_page: Open):
    page = open_page()
    block = [[(0.3 + 0.02 * x, 0.2), (0.3 + 0.02 * x, 0.8)] for x in range(4)]
    by_mouse(page, [*block, [(0.3, 0.5), (0.95, 0.5)]])
    expect(page.get_by_test_id("stCode")).not_to_have_text("nothing", timeout=WAIT)
    page.wait_for_function(
        "() => JSON.parse(document.querySelector('[data-testid=stCode]').innerText).at(15 * 28 + 27) > 0", timeout=WAIT
    )
    across = sent(page).reshape(28, 28).sum(0)
    assert np.flatnonzero(across).tolist() == list(range(8, 28))  # at the edge, though its centre of mass is left of 14
    assert across @ (np.arange(28) + 0.5) / across.sum() < 14


def test_clear_empties_the_canvas(open_page: Open):
    page = open_page()
    by_mouse(page, STROKES[1])
    sent(page)
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_test_id("stCode")).to_have_text("nothing", timeout=WAIT)
    assert not ink(page).any()
    expect(page.get_by_role("status").filter(has_text="The canvas is empty.")).to_have_count(1)


def test_a_drawing_is_still_there_when_the_canvas_comes_back(open_page: Open):
    page = open_page()
    by_mouse(page, STROKES[7])
    image = sent(page)
    page.get_by_role("button", name="Go away").click()
    expect(canvas(page)).to_have_count(0)
    page.get_by_role("button", name="Come back").click()
    np.testing.assert_array_equal(sent(page), image)
    expect(canvas(page)).to_be_visible()
    np.testing.assert_allclose(ink(page).reshape(28, 20, 28, 20).mean((1, 3)).ravel(), image, atol=0.003)


def test_an_image_to_begin_with_is_drawn_and_heard(open_page: Open):
    page = open_page("start=1")
    image = np.array(json.loads(page.get_by_test_id("stCode").inner_text()))
    assert (np.flatnonzero(image) == np.arange(14 * 28 + 10, 14 * 28 + 18)).all()
    np.testing.assert_allclose(ink(page).reshape(28, 20, 28, 20).mean((1, 3)).ravel(), image, atol=0.003)


@pytest.mark.parametrize("width", [400, 1400])
def test_ink_and_ground_follow_the_theme_and_the_canvas_is_wide_enough(open_page: Open, width: int):
    page = open_page(width=width, color_scheme="light")
    by_mouse(page, STROKES[0])
    sent(page)
    colour = """canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const at = [...data.keys()].find((i) => i % 4 === 3 && data[i] === 255);
        const ground = getComputedStyle(canvas).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const light = (three) => three.reduce((sum, each) => sum + each, 0) / 765;
        return [light([...data.slice(at - 3, at)]), light(ground)];
    }"""
    ink_light, ground_light = canvas(page).evaluate(colour)
    assert ink_light < 0.35
    assert ground_light > 0.9
    before = ink(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"canvas => ({colour})(canvas)[0] > 0.8", arg=canvas(page).element_handle())
    assert canvas(page).evaluate(colour)[1] < 0.3
    np.testing.assert_array_equal(ink(page), before)
    box = canvas(page).bounding_box()
    assert box is not None
    assert 280 <= box["width"] == pytest.approx(box["height"])
    assert box["x"] + box["width"] <= width


def test_the_whole_block_reads_what_is_drawn_and_the_address_holds_the_rest(open_page: Open):
    page = open_page("block=0.4")
    expect(page.get_by_text("Nothing is drawn yet. Until then: test image")).to_be_visible(timeout=WAIT)
    by_mouse(page, STROKES[7])
    expect(page.get_by_text(re.compile("^Every way reads a 7: "))).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("Nothing is drawn yet.")).to_have_count(0)
    page.get_by_role("radio", name="half-way").click()
    expect(page.get_by_text("50 % of a typical 4 and 50 % of a typical 9, pixel by pixel.")).to_be_visible(timeout=WAIT)
    expect(page).to_have_url(re.compile("digit=half-way"))
    expect(page.get_by_text("A 4 becomes a 9")).to_be_visible(timeout=WAIT)
    page.get_by_role("radio", name="draw").click()
    expect(page.get_by_text(re.compile("^Every way reads a 7: "))).to_be_visible(timeout=WAIT)
    assert ink(page).any()


def test_a_link_with_wrong_numbers_costs_a_sentence_each(open_page: Open):
    page = open_page("block=0&digit_masks=0&digit_rate=1")
    masks = "Masks that read the digit must be from 1 to 2,000; the address gave '0'. Shown instead: 200."
    expect(page.get_by_text(masks)).to_be_visible()
    expect(page.get_by_text("Dropout rate of the masks must be from 0.05 to 0.95; the address gave '1'.")).to_be_visible()
    expect(page.get_by_text("Nothing is drawn yet. Until then: test image")).to_be_visible(timeout=WAIT)
