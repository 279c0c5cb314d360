"""Sample or scale in a real browser, over the shipped results and runs: masks, recipes, controls, links that cannot be."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dropclust.experiments import table2

ROOT = Path(__file__).resolve().parents[2]
WAIT = 180_000  # a thousand masks on a busy machine
# Streamlit's client looks for its server below a page's own address first.
PROBES = re.compile(r"/sample/_stcore/(health|host-config)$")

pytestmark = pytest.mark.browser
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("cache")
    for name in ("results", "runs", "MNIST"):
        shutil.copytree(ROOT / "cache" / name, cache / name)
    return serve(ROOT / "app.py", {"DROPCLUST_CACHE": str(cache)})


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """Open the page in a context of its own; at the end none may have had an error."""
    contexts, complaints = [], []

    def start(query: str = "guess=off", width: int = 1400, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{message.text} {message.location['url']}")
                if message.type == "error" and not PROBES.search(message.location["url"])
                else None
            ),
        )
        page.goto(f"{address}/sample?{query}")
        expect(page.get_by_text("How far can its confidence be trusted?")).to_be_visible(timeout=WAIT)
        expect(page.get_by_text(re.compile("probabilities differ by|nothing to sample")).first).to_be_visible(timeout=WAIT)
        return page

    yield start
    for context in contexts:
        for page in context.pages:
            expect(page.get_by_test_id("stException")).to_have_count(0, timeout=WAIT)
        context.close()
    assert complaints == []


def spread(page: Page) -> Locator:
    """The metric that tells the spread over masks and its error."""
    return page.get_by_test_id("stMetric").filter(has_text="Spread (MSTD)").get_by_test_id("stMetricValue")


def error_of(text: str) -> float:
    return float(text.split("±")[1])


def marked(page: Page) -> float:
    """Where the first chart of the network has its line: the number of masks chosen."""
    expect(page.locator(".js-plotly-plot").filter(has_text="Accuracy settles")).to_be_visible(timeout=WAIT)
    where: float = page.evaluate(
        """() => [...document.querySelectorAll('.js-plotly-plot')]
            .find(chart => chart.textContent.includes('Accuracy settles')).layout.shapes[0].x0"""
    )
    return where


def test_more_masks_change_the_number_its_error_and_the_line(visit: Visit) -> None:
    page = visit()
    expect(page.get_by_text("50 masks together classify").first).to_be_visible(timeout=WAIT)
    before = spread(page).inner_text()
    assert marked(page) == 50
    page.locator("input[type=range][aria-label='Masks in these charts']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("masks=200"), timeout=WAIT)
    expect(page.get_by_text("200 masks together classify").first).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("50 masks together classify")).to_have_count(0, timeout=WAIT)
    expect(spread(page)).not_to_have_text(before, timeout=WAIT)
    assert error_of(spread(page).inner_text()) == pytest.approx(error_of(before) / 2, abs=0.001)
    page.wait_for_function(
        """() => [...document.querySelectorAll('.js-plotly-plot')]
            .find(chart => chart.textContent.includes('Accuracy settles'))?.layout.shapes[0].x0 === 200"""
    )


def test_a_link_shows_the_same_number_of_masks(visit: Visit) -> None:
    first, second = visit("guess=off&masks=10"), visit("guess=off&masks=10")
    expect(second.get_by_text("10 masks together classify").first).to_be_visible(timeout=WAIT)
    assert spread(first).inner_text() == spread(second).inner_text()


def test_another_recipe_shows_another_figure_1(visit: Visit) -> None:
    page = visit()
    sentence = page.get_by_text(re.compile("^Sampling beats scaling by accuracy at"))
    before = sentence.inner_text()
    page.get_by_role("radio", name="paper").click()
    expect(page).to_have_url(re.compile("recipe=paper"), timeout=WAIT)
    expect(sentence).not_to_have_text(before, timeout=WAIT)


def test_a_guess_is_answered(visit: Visit) -> None:
    page = visit("")
    expect(page.get_by_text(re.compile("^Sampling beats scaling by accuracy at"))).to_have_count(0, timeout=WAIT)
    page.get_by_role("button", name="That is my guess").click()
    expect(page.get_by_text(re.compile("^You expected 4 of 8 rates by accuracy with Bernoulli noise: "))).to_be_visible(
        timeout=WAIT
    )
    expect(page.get_by_text(re.compile("^Sampling beats scaling by accuracy at"))).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("Guess first.")).to_have_count(0, timeout=WAIT)
    page.get_by_role("radio", name="calibration error").click()
    expect(page.get_by_text("Guess first.")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text(re.compile("You expected"))).to_have_count(0, timeout=WAIT)
    page.get_by_role("radio", name="accuracy").click()
    expect(page.get_by_text(re.compile("^You expected 4 of 8 rates by accuracy"))).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("Guess first.")).to_have_count(0, timeout=WAIT)


def test_on_the_last_layer_alone_there_is_an_exact_value(visit: Visit) -> None:
    page = visit()
    page.get_by_text("How far does one mask scatter?").click()
    expect(page.get_by_text(re.compile("by 2,000 other masks")).first).to_be_visible(timeout=WAIT)
    page.get_by_role("radio", name="last layer").click()
    exact = re.compile(r"inside the band; with ever more masks it is exactly \d\.\d\d\d")
    expect(page.get_by_text(exact).first).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("A control: trained with dropout 0.4, sampled with other masks.")).to_be_visible(timeout=WAIT)


def test_a_network_without_dropout_offers_a_control(visit: Visit) -> None:
    page = visit(f"guess=off&run={table2.shown_spec(0.0).key}")
    expect(page.get_by_text("there is nothing to sample", exact=False)).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name=re.compile("Sample it at 0.4")).click()
    expect(page.get_by_text(re.compile("50 masks together classify")).first).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("there is nothing to sample", exact=False)).to_have_count(0, timeout=WAIT)
    expect(page).to_have_url(re.compile("drop=all"), timeout=WAIT)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "masks=0",
            "Masks in these charts must be one of 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000; the address gave '0'. Shown "
            "instead: 50.",
        ),
        ("masks=1000000", "the address gave '1000000'. Shown instead: 50."),
        ("rate=1", "Dropout rate must be from 0.0 to 0.95; the address gave '1'. Shown instead: 0.4."),
    ],
)
def test_a_link_that_cannot_be_costs_one_sentence(visit: Visit, query: str, sentence: str) -> None:
    page = visit(f"guess=off&{query}")
    expect(page.get_by_text(sentence, exact=False)).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("50 masks together classify").first).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (400, "light")])
def test_the_page_is_no_wider_than_its_window(visit: Visit, width: int, scheme: str) -> None:
    page = visit("guess=off", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
