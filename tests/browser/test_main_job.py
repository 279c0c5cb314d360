"""The main job in a real browser: open the app, train a real network on real MNIST, watch it, stop one, take one home."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dropclust.experiments import results
from dropclust.findings import questions
from dropclust.findings.explorer import QUESTION
from dropclust.service.store import Store
from tests.browser.conftest import START_SECONDS, free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser
EXPLORE_TITLE, TRAIN_TITLE = QUESTION, questions.TRAIN


class App:
    """The dashboard as its own command starts it, over a cache folder of its own."""

    def __init__(self, cache: Path, *arguments: str) -> None:
        self.cache, port = cache, free_port()
        self.log = cache / "log.txt"
        command = [sys.executable, "-m", "dropclust", "dashboard", "--port", str(port), "--no-browser", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DROPCLUST_CACHE": str(cache)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=cache, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.url = f"http://localhost:{port}"
        until = time.monotonic() + START_SECONDS
        while "For you alone" not in self.log.read_text():  # what it says once it answers
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the app did not start: {self.log.read_text()}")
            time.sleep(0.1)

    def close(self) -> None:
        """Interrupt it, as somebody at a terminal does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise


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
    made = browser.new_context(viewport={"width": 1400, "height": 1200}, accept_downloads=True)
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


def visit(page: Page, address: str, title: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=60_000)


def run_keys(page: Page) -> list[str]:
    return re.findall(r"run=([0-9a-f]{64})", page.url)


def start_training(page: Page) -> list[str]:
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page).to_have_url(re.compile(r"run=[0-9a-f]{64}"), timeout=60_000)
    return run_keys(page)


def test_the_first_page_shows_real_results_and_loads_no_torch(app: App, page: Page) -> None:
    visit(page, f"{app.url}/?guess=off", EXPLORE_TITLE)
    expect(page.get_by_role("slider", name=re.compile("dropout rate"))).to_be_enabled()
    rows = results.read("table2-modern").table.query("width == 100 and layer == 2 and k == 10 and dropout == 0.4")
    expect(page.get_by_text(f"{100 * rows['scaled_accuracy'].mean():.1f} %").first).to_be_visible()
    neurons = results.read("table2-neurons-modern").table.query("layer == 2 and k == 10 and dropout == 0.4")
    expect(page.locator(".finding")).to_contain_text(f"With dropout 0.40, {(neurons['twin'] >= 0).sum()} of 100 neurons")
    if sys.platform == "linux":
        mapped = Path(f"/proc/{app.process.pid}/maps").read_text()
        assert "streamlit" in mapped or "numpy" in mapped
        assert "libtorch" not in mapped


def test_a_guess_is_answered(app: App, page: Page) -> None:
    visit(page, app.url, EXPLORE_TITLE)
    expect(page.get_by_text("Guess first.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Dropout rate"))).to_have_count(0)
    page.get_by_role("button", name="That is my guess").click()
    expect(page.locator(".outcome")).to_have_text(re.compile(r"^You expected 50; it is \d+\.$"))
    expect(page.locator(".outcome")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="You expected 50; it is")).to_have_count(1)  # and said aloud
    expect(page.get_by_text("Guess first.")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"rate=0\.60"))
    expect(page.get_by_text(re.compile(r"^Dropout rate 0\.60: Rand \.\d\d, chance"))).to_be_visible()


def test_dragging_changes_the_address_and_a_link_shows_the_same(app: App, page: Page, context: BrowserContext) -> None:
    visit(page, f"{app.url}/?guess=off", EXPLORE_TITLE)
    slider = page.get_by_role("slider", name=re.compile("dropout rate"))
    expect(slider).to_be_enabled()  # its neurons are there: before, it cannot have the focus
    slider.focus()
    for rate in ("0.45", "0.50", "0.55"):  # on a busy machine each press counts as letting go
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(f"rate={re.escape(rate)}"))
    again = context.new_page()
    visit(again, page.url, EXPLORE_TITLE)
    expect(again.get_by_text(re.compile(r"^Dropout rate 0\.55"))).to_be_visible()


def test_a_link_straight_to_a_page_works_on_a_fresh_server(browser: Browser, tmp_path: Path) -> None:
    for name in ("results", "runs"):
        shutil.copytree(ROOT / "cache" / name, tmp_path / name)
    fresh = App(tmp_path)
    try:
        page = browser.new_page()
        visit(page, f"{fresh.url}/train?rate=1", TRAIN_TITLE)
        page.get_by_role("button", name="See", exact=True).click()
        expect(page.get_by_role("menuitem", name="Explore")).to_be_visible()
        expect(page.get_by_text("the address gave '1'. Shown instead: 0.4", exact=False)).to_be_visible()
        page.close()
    finally:
        fresh.close()


def test_train_watch_reload_second_tab_and_download(app: App, page: Page, context: BrowserContext) -> None:
    visit(page, f"{app.url}/train?width1=60&width2=50&width3=40&rate=0.2", TRAIN_TITLE)
    [key] = start_training(page)
    expect(page.get_by_text(re.compile(r"training, step [\d,]+ of 2,500")).first).to_be_visible(timeout=60_000)
    second = context.new_page()
    visit(second, page.url, TRAIN_TITLE)
    expect(second.get_by_text(re.compile(r"Held-out accuracy now: 0\.[5-9]")).first).to_be_visible(timeout=60_000)
    page.reload()
    for tab in (page, second):
        expect(tab.get_by_text(re.compile(r"Test accuracy 0\.9[5-9]\d+ \(one seed: no interval\)"))).to_be_visible(
            timeout=120_000
        )
        expect(tab.get_by_text("Both clusterings agree on")).to_be_visible()
        expect(tab.get_by_role("button", name="Stop")).to_be_disabled()
    with page.expect_download() as wait:
        page.get_by_role("button", name=".npz").click()
    with np.load(wait.value.path()) as file:
        arrays = dict(file)
    description = json.loads(bytes(arrays["dropclust"]))
    assert description["spec"]["hidden"] == [60, 50, 40]
    stored = Store(app.cache / "runs").get(key)
    assert stored is not None
    for layer in range(4):
        assert np.array_equal(arrays[f"weights.{layer}"], stored.weights[layer])
        assert np.array_equal(arrays[f"biases.{layer}"], stored.biases[layer])
    # Somebody with numpy alone gets the accuracy that the page shows.
    from dropclust.core import mnist

    data = mnist.load()
    a = data.test_x.numpy()
    for layer in range(3):
        a = np.maximum(a @ arrays[f"weights.{layer}"] + arrays[f"biases.{layer}"], 0)
    right = (a @ arrays["weights.3"] + arrays["biases.3"]).argmax(1) == data.test_y.numpy()
    shown = page.get_by_text(re.compile(r"Test accuracy 0\.")).first.inner_text()
    assert f"{right.mean():.4f}" in shown


def test_a_stopped_run_keeps_what_it_learnt(app: App, page: Page) -> None:
    visit(page, f"{app.url}/train?examples=2900000&seeds=1", TRAIN_TITLE)
    [key] = start_training(page)
    expect(page.get_by_text(re.compile(r"training, step [1-9]")).first).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("heading", name=re.compile(r"stopped after [\d,]+ examples"))).to_be_visible(timeout=60_000)
    stored = Store(app.cache / "runs").get(key)
    assert stored is not None
    assert stored.status == "stopped"
    assert 0 < stored.steps < stored.spec.steps


def test_a_number_that_is_not_allowed_is_said_keeps_standing_and_trains_nothing(app: App, page: Page) -> None:
    visit(page, f"{app.url}/train", TRAIN_TITLE)
    page.get_by_text("More settings").click()
    field = page.get_by_role("spinbutton", name="Batch size")
    field.fill("100000")
    field.press("Enter")
    expect(page.get_by_text("Batch size must be a whole number from 1 to 4,096; got 100000.")).to_be_visible()
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_disabled()
    expect(page).to_have_url(re.compile("batch=100000"))
    page.reload()
    expect(page.get_by_text("Batch size must be a whole number from 1 to 4,096; got 100000.")).to_be_visible()
    field.fill("64")
    field.press("Enter")
    expect(page.get_by_text("Batch size must be")).to_have_count(0)
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_enabled()


def test_finished_runs_are_listed_and_can_be_compared(app: App, page: Page) -> None:
    [first, second] = [run.key for run in Store(app.cache / "runs").list()][:2]
    visit(page, f"{app.url}/train?run={first}&run={second}", TRAIN_TITLE)
    expect(page.get_by_text(re.compile(r"over 2 runs"))).to_be_visible()
    page.get_by_text(re.compile("Finished runs, newest first")).click()
    expect(page.get_by_role("table").last.get_by_role("link").first).to_have_attribute(
        "href", re.compile(r"\?run=[0-9a-f]{64}")
    )


@pytest.mark.parametrize("name", ["", "train"])
@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (400, "light")])
def test_no_page_is_wider_than_its_window(app: App, browser: Browser, name: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    visit(page, f"{app.url}/{name}?guess=off", TRAIN_TITLE if name else EXPLORE_TITLE)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
