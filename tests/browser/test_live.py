"""The Live page in a real browser: dropout is switched on and off under a network that trains, in front of two viewers."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, expect

from dropclust.core.spec import RunSpec
from dropclust.service.store import Store
from tests.browser.test_main_job import ROOT, App

pytestmark = pytest.mark.browser
TITLE = "Switch dropout on: do copies form?"
LONG = 180_000  # milliseconds in which a network has certainly learnt something, also on a busy machine


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    cache = tmp_path_factory.mktemp("cache")
    for name in ("MNIST", "results", "runs"):
        shutil.copytree(ROOT / "cache" / name, cache / name)
    started = App(cache)
    yield started
    started.close()


@pytest.fixture
def context(browser: Browser, app: App) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1400, "height": 900})
    made.set_default_timeout(60_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert errors == []
    expect(opened.get_by_test_id("stException")).to_have_count(0)
    end(opened)


def end(page: Page) -> None:
    """So that no test waits for another's worker."""
    button = page.get_by_role("button", name="End it")
    if button.count() and button.is_enabled():
        button.click()
        expect(status(page)).to_contain_text(re.compile("Ended|Saved"), timeout=LONG)


def begin(page: Page, app: App) -> str:
    """Start a run as fast as it can; returns its link."""
    page.goto(f"{app.url}/live")
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Start", exact=False).first.click()
    expect(page).to_have_url(re.compile(r"live=[0-9a-f]{16}"))
    expect(status(page)).to_contain_text("Training", timeout=LONG)
    page.get_by_label("Images a second").select_option("as fast as it can")
    return page.url


def status(page: Page):
    return page.locator(".steer .status")


def number(page: Page, name: str) -> float:
    text = page.locator(f'[data-number="{name}"]').inner_text()
    return float(text.replace("−", "-")) if re.search(r"\d", text) else -1.0


def until(page: Page, what: str) -> None:
    """Until something holds in the component, in JavaScript that knows it as ``root``."""
    try:
        page.wait_for_function(_holds(what), timeout=LONG)
    except TimeoutError as error:
        error.add_note(f"The page says: {status(page).inner_text()}")
        raise


def _holds(what: str) -> str:
    return f"""() => {{
            const root = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".steer")).find(Boolean)
                ?? document.querySelector(".steer");
            const of = (name) => Number(root.querySelector(`[data-number="${{name}}"]`).textContent.replace("−", "-"));
            const strips = root.querySelector(".strips canvas").dataset;
            return {what};
        }}"""


def step(page: Page) -> int:
    return int(page.locator(".strips canvas").get_attribute("data-step") or 0)


def said_step(page: Page) -> int:
    return int(re.search(r"step ([\d,]+)", status(page).inner_text())[1].replace(",", ""))


def test_switched_on_copies_form_and_switched_off_the_rate_is_gone(app: App, page: Page) -> None:
    begin(page, app)
    until(page, "of('accuracy') > 0.9")
    expect(page.get_by_role("radio", name="Layer 2")).to_be_checked()  # the layer that Explore shows first, too
    page.get_by_text("Layer 3").click()
    until(page, "of('twins') >= 0")
    page.get_by_text("Layer 2").click()
    expect(page.locator(".legend")).to_contain_text("the ink that excites the neuron")
    until(page, "of('accuracy') > 0.9 && of('twins') >= 0")
    before = number(page, "twins")
    page.get_by_role("button", name="Switch dropout on").click()
    until(page, "strips.rates === '0.5 0.5 0.5' && strips.changes === '1'")
    until(page, f"of('twins') > {before} + 10 && of('adjusted') > 0.08")
    expect(page.get_by_role("button", name="Switch dropout off")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    until(page, "strips.rates === '0 0 0' && strips.changes === '2'")
    expect(page.get_by_role("button", name="Switch dropout on")).to_be_visible()


def test_pause_pauses_a_step_is_a_step_and_a_reload_finds_it(app: App, page: Page) -> None:
    link = begin(page, app)
    until(page, "Number(strips.step) > 20")
    page.get_by_role("button", name="Pause").click()
    expect(status(page)).to_contain_text("Paused at step")
    paused = said_step(page)  # the strips are drawn a frame later
    until(page, f"Number(strips.step) === {paused}")
    page.wait_for_timeout(700)
    assert step(page) == paused
    page.get_by_role("button", name="1 step").click()
    until(page, f"Number(strips.step) === {paused + 1}")
    page.reload()
    expect(page.get_by_role("button", name="Play")).to_be_enabled()
    until(page, f"Number(strips.step) === {paused + 1}")
    assert page.url == link
    page.get_by_role("slider", name=re.compile("Dropout rate")).focus()
    page.keyboard.press("ArrowRight")
    until(page, "strips.rates === '0.05 0.05 0.05'")
    page.get_by_role("button", name="1 epoch").click()
    until(page, f"Number(strips.step) === {paused + 1 + 429}")
    page.get_by_role("button", name="Restart").click()
    until(page, "strips.step === '0' && strips.changes === '0' && strips.rates === '0.05 0.05 0.05'")


def test_who_comes_back_from_another_page_finds_the_run_and_steers_it(app: App, page: Page) -> None:
    link = begin(page, app)
    page.locator(".st-key-shell-foot .stPageLink a").first.click()
    expect(page.get_by_role("heading", name=TITLE)).to_have_count(0)
    page.get_by_role("button", name="See", exact=True).click()
    page.get_by_role("menuitem", name="Live").click()
    expect(page).to_have_url(link)
    expect(page.get_by_role("button", name="Switch dropout on")).to_be_enabled()


def test_a_second_browser_watches_and_cannot_steer_unless_it_may(app: App, page: Page, browser: Browser) -> None:
    link = begin(page, app)
    other = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    other.set_default_timeout(60_000)
    other.goto(link)
    expect(other.get_by_text("You are watching: whoever started it steers.")).to_be_visible()
    for name in ("Switch dropout on", "Pause", "1 step", "Restart", "Save"):
        expect(other.get_by_role("button", name=name)).to_be_disabled()
    expect(other.get_by_role("button", name="End it")).to_be_hidden()
    other.keyboard.press("Space")
    until(other, "Number(strips.step) > 20 && strips.rates === '0 0 0'")
    expect(page.get_by_text("2 viewers.")).to_be_visible()
    page.get_by_role("button", name="Switch dropout on").click()
    until(other, "strips.rates === '0.5 0.5 0.5'")
    page.get_by_text("everybody with the link may steer").click()
    other.get_by_role("button", name="Switch dropout off").click()
    until(page, "strips.rates === '0 0 0'")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    other.context.close()


def workers(app: App) -> list[psutil.Process]:
    """The worker processes of the dashboard."""
    found = []
    for child in psutil.Process(app.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spawn_main" in part for part in child.cmdline()):
                found.append(child)
    return found


def test_a_worker_is_killed_and_the_run_goes_on_where_it_was(app: App, page: Page) -> None:
    begin(page, app)
    page.get_by_label("Images a second").select_option("1,000 images/s")
    until(page, "Number(strips.step) > 30")
    page.get_by_role("button", name="Switch dropout on").click()
    until(page, "strips.changes === '1'")
    before = step(page)
    for worker in workers(app):
        worker.send_signal(signal.SIGKILL)
    expect(status(page)).to_contain_text("The worker was lost", timeout=LONG)
    until(page, f"Number(strips.step) > {before} && strips.changes === '1' && strips.rates === '0.5 0.5 0.5'")
    expect(status(page)).to_contain_text("it goes on where it was")


def test_a_saved_run_is_a_run_like_any_other(app: App, page: Page) -> None:
    begin(page, app)
    until(page, "Number(strips.step) > 50")
    page.get_by_role("button", name="Switch dropout on").click()
    until(page, "strips.changes === '1' && Number(strips.step) > 150")
    page.get_by_role("button", name="Save").click()
    link = page.get_by_role("link", name="Open it on Train")
    expect(link).to_be_visible(timeout=LONG)
    [key] = re.findall(r"run=([0-9a-f]{64})", link.get_attribute("href") or "")
    stored = Store(app.cache / "runs").get(key)
    assert stored is not None
    assert len(stored.spec.schedule) == 1
    assert stored.spec == RunSpec.from_json(stored.spec.to_json())
    link.click()
    expect(page.get_by_text(re.compile(r"Test accuracy 0\.\d+ \(one seed"))).to_be_visible(timeout=LONG)


def test_a_bad_link_is_a_sentence_and_a_new_run_can_be_started(app: App, page: Page) -> None:
    page.goto(f"{app.url}/live?live=0123456789abcdef")
    expect(page.get_by_text("No live run 0123456789abcdef is known here", exact=False)).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=False)).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_question_controls_and_picture_are_in_view(app: App, browser: Browser, page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    begin(page, app)
    until(page, "of('twins') >= 0")
    for part in (page.get_by_role("heading", name=TITLE), page.get_by_role("button", name="Switch dropout on")):
        expect(part).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("slider", name=re.compile("Dropout rate"))).to_be_in_viewport(ratio=1)
    expect(page.locator(".field canvas")).to_be_in_viewport(ratio=0.3)


@pytest.mark.parametrize(
    ("width", "height", "presenting", "letters"),
    [(1400, 900, False, 16), (1400, 900, True, 24), (1920, 1080, True, 24), (1024, 768, True, 17), (390, 844, False, 12)],
)
def test_neurons_legend_and_strips_are_read_and_where_they_stand_side_by_side_seen_together(
    app: App, page: Page, width: int, height: int, presenting: bool, letters: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    begin(page, app)
    if presenting:
        page.get_by_role("heading", name=TITLE).click()
        page.keyboard.press("p")
        expect(page.get_by_test_id("stHeader")).to_be_hidden()
    until(page, "of('twins') >= 0")
    until(page, f"parseFloat(root.querySelector('.strips canvas').getContext('2d').font) >= {letters}")
    if width >= 1000:
        for part in (".field canvas", ".legend", ".strips canvas"):
            bottom = f"root.querySelector('{part}').getBoundingClientRect().bottom"
            until(page, f"{bottom} > 0 && {bottom} <= {height}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_link_says_which_layer_is_seen_first_and_a_phone_is_told_of_no_key(app: App, page: Page, browser: Browser) -> None:
    link = begin(page, app)
    expect(page.get_by_text("Space switches dropout.")).to_be_visible()
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).new_page()
    phone.set_default_timeout(60_000)
    phone.goto(f"{link}&layer=1")
    expect(phone.get_by_role("radio", name="Layer 1")).to_be_checked()
    until(phone, "of('twins') >= 0")
    page.get_by_text("everybody with the link may steer").click()
    expect(phone.get_by_role("button", name="Switch dropout on")).to_be_enabled()
    expect(phone.get_by_text("Space switches dropout.")).to_be_hidden()
    phone.context.close()


def test_the_server_that_streamlit_run_starts_answers_too(serve, browser: Browser, tmp_path: Path) -> None:
    for name in ("MNIST", "results"):
        shutil.copytree(ROOT / "cache" / name, tmp_path / name)
    address = serve(ROOT / "app.py", {"DROPCLUST_CACHE": str(tmp_path)})
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/live")
    page.get_by_role("button", name="Start", exact=False).first.click()
    expect(status(page)).to_contain_text("Training", timeout=LONG)
    page.close()
