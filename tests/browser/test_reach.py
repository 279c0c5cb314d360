"""Every page by keyboard, by finger, at twice the size, in the system's own colours and without motion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Serve
from tests.browser.test_pictures import PAGES, ROOT, Seen, at_rest, settle, wrong_at

pytestmark = pytest.mark.browser
TABS = 5  # with the skip link's own
FINGER = 44  # pixels
SCREENS = 6  # of a phone, that a page may be long
# Whose main control trains a network or is drawn on: what is said then has tests of its own.
SAID_ELSEWHERE = {"live", "train", "digit"}
each_page = pytest.mark.parametrize("seen", PAGES, ids=lambda seen: seen.address.split("?")[0] or "explore")

_FOCUSED = """control => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return control === node || control.contains(node);
}"""
# What covers the middle of a box; a component's own boxes are asked within it.
_FREE = """control => {
  const { x, y, width, height } = control.getBoundingClientRect();
  const hit = control.getRootNode().elementFromPoint(x + width / 2, y + height / 2);
  return control === hit || control.contains(hit) || hit?.contains(control) === true;
}"""
# What a finger is to meet: not a link within a sentence, not the hundred neurons of a layer (the nearest is taken), and of
# Streamlit's sliders and boxes to tick not their hidden inputs but what is drawn for them.
_SMALL = """least => {
  const MET = "button, summary, select, input, label:has(input), a[href], [role=radio], .stSlider [role=group]";
  const HIDDEN = "input[type=range], input[type=checkbox], input[type=radio]";
  const found = [];
  const walk = root => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) walk(node.shadowRoot);
      if (!node.matches(MET)) continue;
      if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const style = getComputedStyle(node), reach = getComputedStyle(node, "::after");
      if (node.matches("a") && style.display === "inline") continue;
      if (node.matches(HIDDEN) && node.closest(".stSlider, label")) continue;
      if (node.closest("[data-testid='stSidebar'][aria-expanded='false'], [data-testid='stSidebarContent']")) continue;
      let { width, height } = node.getBoundingClientRect();
      if (width < 2 || height < 2) continue;
      if (reach.content !== "none" && reach.position === "absolute") {
        width = Math.max(width, parseFloat(reach.width));
        height = Math.max(height, parseFloat(reach.height));
      }
      if (Math.min(width, height) < least - 0.5)
        found.push(`${(node.ariaLabel ?? node.textContent).trim().slice(0, 40)}: ${width.toFixed()} x ${height.toFixed()}`);
    }
  };
  walk(document);
  return found;
}"""
# Colour is what forced colours take away: the chosen of several segments, and a slider's track, must still be seen.
_UNSEEN = """() => {
  const main = document.querySelector("[data-testid='stMain']"), found = [];
  const ground = getComputedStyle(document.body).backgroundColor;
  for (const group of main.querySelectorAll("[role=radiogroup]")) {
    const radios = [...group.querySelectorAll("[role=radio]")];
    const looks = radios.map(node => [node.ariaChecked, getComputedStyle(node).backgroundColor]);
    const chosen = looks.filter(([on]) => on === "true").map(([, colour]) => colour);
    if (looks.length > chosen.length && looks.some(([on, colour]) => on !== "true" && chosen.includes(colour)))
      found.push(`chosen like others: ${group.ariaLabel}`);
  }
  for (const slider of main.querySelectorAll(".stSlider [role=group]")) {
    const drawn = [...slider.querySelectorAll("*")].filter(node => {
      const { backgroundColor, backgroundImage } = getComputedStyle(node);
      const bare = backgroundImage === "none" && [ground, "rgba(0, 0, 0, 0)"].includes(backgroundColor);
      return !bare && node.getBoundingClientRect().width > 100;
    });
    if (!drawn.length) found.push(`no track: ${slider.ariaLabel}`);
  }
  return found;
}"""
_MOVING = """() => document.getAnimations()
  .filter(each => each.playState === "running" && each.effect.getComputedTiming().duration > 1)
  .map(each => `${each.animationName ?? each.transitionProperty}: ${each.effect.target?.className}`)"""


@pytest.fixture(scope="module")
def address(serve: Serve) -> str:
    """The app over what is shipped."""
    return serve(ROOT / "app.py", {})


@pytest.fixture
def sharp(browser: Browser) -> Iterator[Page]:
    """A laptop's page, of two pixels each, as a browser at 200 % has them."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, device_scale_factor=2)
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page under a finger."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def tabs_to(page: Page, control: Locator) -> int:
    """Tabs from the page's beginning by way of its skip link; one more than may be where they do not lead to it."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#stMain")).to_be_focused()
    for pressed in range(2, TABS + 1):
        page.keyboard.press("Tab")
        if control.evaluate(_FOCUSED):
            return pressed
    return TABS + 1


def change(page: Page, control: Locator) -> None:
    """Change what has the focus by a step: another segment is chosen, or a slider is let go elsewhere."""
    if control.get_by_role("radio").count():
        other = control.get_by_role("radio", checked=False).first
        other.focus()
        page.keyboard.press("Space")
    else:
        page.keyboard.press("ArrowRight" if control.evaluate(_FOCUSED) else "ArrowLeft")


@each_page
def test_a_keyboard_reaches_the_control_at_any_size_without_colour_or_motion_and_hears_what_it_did(
    sharp: Page, address: str, seen: Seen
) -> None:
    page, found = sharp, dict[str, object]()
    page.emulate_media(reduced_motion="reduce")
    settle(page, seen, address)
    control = page.locator(seen.control).first
    if (pressed := tabs_to(page, control)) > TABS:
        found["Tabs to the control"] = pressed
    if seen.address not in SAID_ELSEWHERE:
        said = page.locator(".explorer .spoken" if seen.control == "#rate" else ".dropclust-said")
        before = said.inner_text()
        change(page, control)
        expect(said).not_to_have_text(before, timeout=60_000)
    if moving := page.evaluate(_MOVING):
        found["moving"] = moving
    page.emulate_media(forced_colors="active")
    if unseen := page.evaluate(_UNSEEN):
        found["forced colours"] = unseen
    page.emulate_media(forced_colors="none")
    page.set_viewport_size({"width": 700, "height": 450})
    page.wait_for_timeout(500)
    found |= at_rest(page, lambda: wrong_at(page, 700))
    control.scroll_into_view_if_needed()
    if not control.evaluate(_FREE):
        found["covered at 200 %"] = control.bounding_box()
    assert found == {}


@each_page
def test_a_finger_finds_everything(phone: Page, address: str, seen: Seen) -> None:
    settle(phone, seen, address)
    found = at_rest(phone, lambda: wrong_at(phone, 390))
    if small := phone.evaluate(_SMALL, FINGER):
        found["small"] = small
    if (long := phone.locator("[data-testid='stMain']").evaluate("main => main.scrollHeight / innerHeight")) > SCREENS:
        found["screens"] = long
    assert found == {}


def test_the_list_of_pages_goes_from_a_phone_when_one_is_chosen(phone: Page, address: str) -> None:
    settle(phone, next(seen for seen in PAGES if seen.address.startswith("power")), address)
    phone.get_by_test_id("stExpandSidebarButton").tap()
    link = phone.get_by_test_id("stSidebarNavLink").filter(has_text="Batch size")
    link.tap()
    phone.wait_for_url("**/batch*")
    expect(link).not_to_be_in_viewport()
    expect(phone.get_by_role("heading", level=1)).to_be_in_viewport()
