"""The address bar in a real browser: Back and Forward, foreign text, a reverse proxy's base path, a course's frame."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dropclust.core.spec import RunSpec
from tests.browser.conftest import free_port
from tests.browser.test_explorer import thumb
from tests.browser.test_main_job import EXPLORE_TITLE, TRAIN_TITLE, App, visit

ROOT = Path(__file__).resolve().parents[2]
WAIT = 120_000
pytestmark = pytest.mark.browser


def cache_at(folder: Path) -> Path:
    for name in ("MNIST", "results", "runs"):
        shutil.copytree(ROOT / "cache" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    started = App(cache_at(tmp_path_factory.mktemp("cache")))
    yield started
    started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1200})
    context.set_default_timeout(WAIT)
    errors: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    expect(opened.get_by_test_id("stException")).to_have_count(0)
    context.close()
    assert errors == []


def let_go_at(page: Page, rate: str) -> None:
    """Drag the thumb to a rate by one pull: keys on a busy machine come so far apart that each would count as let go."""
    slider = page.get_by_role("slider", name=re.compile("dropout rate"))
    expect(slider).to_be_enabled(timeout=WAIT)
    page.mouse.move(*thumb(page, int(slider.input_value())))
    page.mouse.down()
    page.mouse.move(*thumb(page, round(float(rate) * 20)), steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(rf"rate={re.escape(rate)}"), timeout=WAIT)
    shows(page, rate)


def shows(page: Page, rate: str) -> None:
    """The explorer stands at a rate, and the page tells of it."""
    expect(page.get_by_text(re.compile(rf"^Dropout rate {re.escape(rate)}")).first).to_be_visible(timeout=WAIT)
    slider = page.get_by_role("slider", name=re.compile("dropout rate"))
    expect(slider).to_have_value(str(round(float(rate) * 20)), timeout=WAIT)


def test_back_and_forward_on_explore_go_where_the_viewer_was(app: App, page: Page) -> None:
    visit(page, f"{app.url}/?guess=off", EXPLORE_TITLE)
    let_go_at(page, "0.50")
    let_go_at(page, "0.80")
    page.go_back()
    expect(page).to_have_url(re.compile(r"rate=0\.50"), timeout=WAIT)
    shows(page, "0.50")
    page.go_back()
    expect(page).not_to_have_url(re.compile("rate="), timeout=WAIT)
    shows(page, "0.40")
    page.go_forward()
    shows(page, "0.50")
    let_go_at(page, "0.55")  # and the hand is followed again


@pytest.mark.parametrize("name", ["sample", "similar", "compress"])
def test_the_first_back_leaves_a_page_that_was_only_opened(app: App, page: Page, name: str) -> None:
    visit(page, f"{app.url}/train", TRAIN_TITLE)
    page.goto(f"{app.url}/{name}?guess=off")
    expect(page.get_by_role("combobox", name=re.compile("Network")).first).to_be_visible(timeout=WAIT)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WAIT)
    expect(page).to_have_url(f"{app.url}/{name}?guess=off")
    page.go_back()
    expect(page.get_by_role("heading", name=TRAIN_TITLE)).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize(("name", "group", "value", "kept"), [
    ("compress", "Points of accuracy that you allow to be lost", "2.0", "tolerance=2.0"),
    ("sample?guess=off", "Noise", "Gaussian", "noise=Gaussian"),
])  # fmt: skip
def test_back_from_a_page_of_the_menu_finds_what_was_chosen_and_the_address_says_it(
    app: App, page: Page, name: str, group: str, value: str, kept: str
) -> None:
    page.goto(f"{app.url}/{name}")
    chosen = page.get_by_role("radiogroup", name=group).get_by_role("radio", name=value)
    chosen.click(timeout=WAIT)
    expect(page).to_have_url(re.compile(re.escape(kept)), timeout=WAIT)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WAIT)
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("menuitem", name="Power law").click()
    expect(page).to_have_url(re.compile("/power"), timeout=WAIT)
    expect(page.get_by_test_id("stPlotlyChart").first).to_be_visible(timeout=WAIT)
    page.go_back()
    expect(page).to_have_url(re.compile(rf"/{name.partition('?')[0]}\?.*{re.escape(kept)}"), timeout=WAIT)
    expect(chosen).to_be_checked(timeout=WAIT)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WAIT)
    expect(page).to_have_url(re.compile(re.escape(kept)))


def test_what_comes_along_to_a_page_of_the_menu_stands_in_its_address_too(app: App, page: Page) -> None:
    page.goto(f"{app.url}/batch")
    page.get_by_role("radiogroup", name="Recipe").get_by_role("radio", name="paper").click(timeout=WAIT)
    expect(page).to_have_url(re.compile("recipe=paper"), timeout=WAIT)
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("menuitem", name="Power law").click()
    expect(page).to_have_url(re.compile(r"/power\?recipe=paper"), timeout=WAIT)
    recipe = page.get_by_role("radiogroup", name="Recipe").get_by_role("radio", checked=True)
    expect(recipe).to_have_text("paper", timeout=WAIT)
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("menuitem", name="Does it hold?").click()
    expect(page).to_have_title(re.compile("Does it hold"), timeout=WAIT)
    expect(page.get_by_role("combobox", name="Open a claim")).to_be_visible(timeout=WAIT)
    expect(page).to_have_url(re.compile("/claims$"))  # which has no such control: it shows both
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WAIT)
    page.go_back()
    expect(page).to_have_url(re.compile(r"/power\?recipe=paper"), timeout=WAIT)
    expect(recipe).to_have_text("paper", timeout=WAIT)


def test_a_link_with_a_foreign_picture_shows_letters_and_fetches_nothing(app: App, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit(page, f"{app.url}/train?rate=![a](http://stranger.example/b.png)&![c](http://stranger.example/d.png)=1", TRAIN_TITLE)
    expect(page.get_by_text("![a](http:", exact=False)).to_be_visible()
    expect(page.get_by_text("does not know", exact=False)).to_be_visible()
    expect(page.locator("img[src*=stranger], a[href*=stranger]")).to_have_count(0)
    assert not [url for url in asked if "stranger" in url.split("?")[0]]


# ---- behind a reverse proxy, and in another page's frame


class Proxy:
    """Passes connections on to the app, as a reverse proxy that serves it below a path, and gives one page of its own."""

    def __init__(self, to: int, frame: str) -> None:
        self.port, self._to, self._frame = free_port(), to, frame.encode()
        self._loop, self._up = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._up.wait(10)

    def _serve(self) -> None:
        async def start() -> None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self._up.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /lesson "):
            body = b"<title>Lesson</title><iframe src='" + self._frame + b"' width=1300 height=1100></iframe>"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + body)
            await writer.drain()
            writer.close()
            return
        there, to = await asyncio.open_connection("localhost", self._to)
        to.write(head)
        await asyncio.gather(self._pass(reader, to), self._pass(there, writer))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass  # either side may end first
        finally:
            writer.close()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            passing = asyncio.all_tasks() - {asyncio.current_task()}
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            await asyncio.sleep(0.1)  # in which the sockets close

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The app below a path, as a browser reaches it: by the proxy's address and name alone."""
    app = App(
        cache_at(tmp_path_factory.mktemp("behind")), "--base-path", "course/dropclust", "--host", "school.localhost", "--framed"
    )
    proxy = Proxy(int(app.url.rpartition(":")[2]), "/course/dropclust/compress?embed=true")
    yield proxy
    proxy.close()
    app.close()


def test_behind_a_proxy_with_a_base_path_everything_is_found(behind: Proxy, page: Page) -> None:
    lost: list[str] = []
    page.on("response", lambda answer: lost.append(answer.url) if answer.status >= 400 else None)
    base = f"http://school.localhost:{behind.port}/course/dropclust"
    visit(page, f"{base}/?guess=off", EXPLORE_TITLE)
    let_go_at(page, "0.50")
    page.get_by_role("button", name="Do", exact=True).click()
    page.get_by_role("menuitem", name="Train").click()
    expect(page.get_by_role("heading", name=TRAIN_TITLE)).to_be_visible(timeout=WAIT)
    expect(page).to_have_url(re.compile(re.escape(f"{base}/train")))
    visit(page, f"{base}/train?rate=0.25", TRAIN_TITLE)
    # Streamlit's client looks for its server below a page's own address first.
    assert not [url for url in lost if not re.search(r"_stcore/(health|host-config)$", url)]


def test_in_the_frame_of_a_page_of_its_site_it_works_and_takes_files(behind: Proxy, page: Page, tmp_path: Path) -> None:
    """As a course's page holds it; in a page of another site the cookie that uploads need goes by https alone."""
    from dropclust import Network, save

    spec = RunSpec(hidden=(9, 8, 7))
    import torch

    draw = torch.Generator().manual_seed(0)
    pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
    network = Network([torch.randn(pair, generator=draw) for pair in pairs], [torch.zeros(n) for _, n in pairs])
    save(network, tmp_path / "mine.npz")
    page.goto(f"http://school.localhost:{behind.port}/lesson")
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name="Can neurons that act alike be merged?")).to_be_visible(timeout=WAIT)
    inside.locator("input[type=file]").first.set_input_files(tmp_path / "mine.npz")
    expect(inside.get_by_text(re.compile(r"Your file: hidden layers 9 - 8 - 7"))).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize("held", ["recipe=paper", "layer=1", "k=20", "recipe=paper&layer=3"])
def test_the_rate_goes_into_an_address_that_widgets_hold_a_part_of(app: App, page: Page, held: str) -> None:
    visit(page, f"{app.url}/?guess=off&{held}", EXPLORE_TITLE)
    let_go_at(page, "0.50")
    let_go_at(page, "0.80")
    for part in held.split("&"):
        assert part in page.url


def test_clusters_are_chosen_where_there_are_clusters_and_the_address_keeps_their_number(app: App, page: Page) -> None:
    visit(page, f"{app.url}/?guess=off&k=20", EXPLORE_TITLE)
    let_go_at(page, "0.50")
    clusters = page.get_by_role("radiogroup", name="Clusters")
    expect(clusters).to_be_hidden()
    at = page.get_by_role("radiogroup", name="Recipe").bounding_box()
    page.get_by_role("button", name="What the paper measures").click()
    expect(clusters.get_by_role("radio", checked=True)).to_have_text("20", timeout=WAIT)
    expect(page.locator(".title")).to_contain_text("in 20 clusters")
    assert page.get_by_role("radiogroup", name="Recipe").bounding_box()["x"] == pytest.approx(at["x"], abs=2)
    expect(page).to_have_url(re.compile(r"k=20\b.*view=paper|view=paper.*k=20\b"))
    page.get_by_role("button", name="What the paper measures").click()
    expect(clusters).to_be_hidden(timeout=WAIT)
    assert "k=20" in page.url
