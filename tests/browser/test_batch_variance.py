"""Batch size and Model variance in a real browser, over made-up tables whose truth is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dropclust.experiments import figure2, table1
from dropclust.findings.figure2 import OUTPUTS
from dropclust.findings.figure2 import find as find_figure2
from dropclust.findings.table1 import find as find_table1
from dropclust.service import tables
from tests.browser.conftest import Serve
from tests.findings import test_figure2, test_table1
from tests.ui import test_power

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser
TITLES = {"batch": table1.EXPERIMENT.question, "variance": figure2.EXPERIMENT.question}
POWER_TITLE = "Is the power law a sign of clusters?"


@pytest.fixture(scope="module")
def address(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The app over Table 1, Figure 2 and Figure 3 of one recipe."""
    cache = tmp_path_factory.mktemp("cache")
    for name, table in (
        ("table1-modern", test_table1.table()),
        ("figure3-modern", test_power.synthetic()),
    ):
        tables.write(cache / "results", name, table, {"command": f"make {name}"})
    test_figure2.write(cache / "results")
    return serve(ROOT / "app.py", {"DROPCLUST_CACHE": str(cache)})


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1200})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert errors == []
    expect(opened.get_by_test_id("stException")).to_have_count(0)
    context.close()


def visit(page: Page, address: str, name: str, query: str = "") -> None:
    page.goto(f"{address}/{name}{query}")
    expect(page.get_by_role("heading", name=TITLES[name])).to_be_visible(timeout=60_000)


def test_the_verdict_follows_the_choice_and_the_address_keeps_it(address: str, page: Page) -> None:
    sampled, scaled = (find_table1(test_table1.table(), way) for way in ("sampled", "scaled"))
    visit(page, address, "batch")
    assert sampled.trend is not None
    expect(page.get_by_text(sampled.headline)).to_be_visible(timeout=60_000)
    page.get_by_text("How it is measured").click()
    expect(page.get_by_text(sampled.trend.verdict)).to_be_visible()
    page.get_by_role("radio", name="scaled").click()
    expect(page.get_by_text(scaled.headline)).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile("prediction=scaled"))
    page.reload()
    expect(page.get_by_text(scaled.headline)).to_be_visible(timeout=60_000)
    expect(page.get_by_role("radio", name="scaled")).to_be_checked()


def test_the_papers_values_are_drawn_and_can_be_left_out(address: str, page: Page) -> None:
    visit(page, address, "batch")
    legend = page.locator(".js-plotly-plot").get_by_text("paper, dropout 0.4").filter(visible=True)  # or at its line's end
    expect(legend).to_be_visible(timeout=60_000)
    page.get_by_role("radio", name="left out").click()
    expect(legend).to_have_count(0, timeout=60_000)
    expect(page.locator(".js-plotly-plot").get_by_text("no dropout").filter(visible=True).first).to_be_visible()
    expect(page.locator(".js-plotly-plot text", has_text="paper,")).to_have_count(0, timeout=60_000)
    expect(page.get_by_text("0.697")).to_have_count(0)


def test_a_link_leads_to_the_train_page_with_the_settings(address: str, page: Page) -> None:
    visit(page, address, "batch")
    page.get_by_text("Train one of these yourself").click()
    link = page.get_by_role("link", name="64").first
    expect(link).to_be_visible(timeout=60_000)
    assert link.evaluate("link => link.href") == f"{address}/train?rate=0.4&batch=64"


def test_logits_and_probabilities_are_one_click_apart(address: str, page: Page) -> None:
    logits, probabilities = (find_figure2(test_figure2.table(), "sampled", of) for of in OUTPUTS)
    visit(page, address, "variance")
    assert logits.counts is not None
    page.get_by_text("How it is measured").click()
    for _, seen in logits.counts.rows:
        expect(page.get_by_text(seen)).to_be_visible(timeout=60_000)
    page.get_by_text("Is sampling lower than scaling?").click()
    expect(page.get_by_text(logits.sampling[0].sentence)).to_be_visible(timeout=60_000)
    page.get_by_role("radio", name="probabilities").click()
    expect(page.get_by_text(probabilities.sampling[0].sentence)).to_be_visible(timeout=60_000)
    expect(page.get_by_text("sampled model variance of logits")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"\?output=probabilities$"))
    page.get_by_text("Ratios to no dropout, with intervals").click()
    expect(page.get_by_text(probabilities.ratios.sentence)).to_be_visible(timeout=60_000)


def test_what_is_chosen_on_one_page_stays_off_the_next(address: str, page: Page) -> None:
    def turn(link: str, title: str) -> None:
        page.get_by_role("button", name="Check", exact=True).click()
        page.get_by_role("menuitem", name=link).click()
        expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=60_000)

    def chosen(*labels: str) -> None:
        for label in labels:
            expect(page.get_by_role("radio", name=label, exact=True)).to_be_checked(timeout=60_000)
        expect(page.get_by_test_id("stAlert")).to_have_count(0)

    def choose(label: str) -> None:
        page.get_by_role("radio", name=label, exact=True).click()
        chosen(label)

    def kept(name: str, *query: str) -> None:
        both = "&".join(query), "&".join(reversed(query))
        expect(page).to_have_url(re.compile("|".join(re.escape(f"/{name}?{each}".rstrip("?")) + "$" for each in both)))

    visit(page, address, "variance")
    choose("both")
    choose("probabilities")
    kept("variance", "predictions=both", "output=probabilities")
    turn("Power law", POWER_TITLE)
    chosen("MSTD", "0.5")
    kept("power")
    choose("0.2")
    choose("MSTD / logit spread")
    kept("power", "sampled_rate=0.2", "measure=MSTD+%2F+logit+spread")
    page.reload()
    chosen("0.2", "MSTD / logit spread")
    kept("power", "sampled_rate=0.2", "measure=MSTD+%2F+logit+spread")
    turn("Model variance", TITLES["variance"])
    choose("logits")
    choose("sampled")
    kept("variance")
    choose("both")
    turn("Batch size", TITLES["batch"])
    chosen("sampled")
    kept("batch")


@pytest.mark.parametrize(("name", "table"), [("batch", "table1"), ("variance", "figure2")])
def test_a_table_that_is_not_there_costs_one_sentence(address: str, page: Page, name: str, table: str) -> None:
    visit(page, address, name, "?recipe=paper")
    expect(page.get_by_text(f"The table {table}-paper is not there")).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("name", TITLES)
def test_a_phone_shows_everything(address: str, browser: Browser, name: str) -> None:
    phone = browser.new_page(viewport={"width": 400, "height": 900}, color_scheme="dark")
    visit(phone, address, name)
    expect(phone.locator(".main-svg").first).to_be_visible(timeout=60_000)
    phone.wait_for_load_state("networkidle")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 400
    for title in phone.locator(".gtitle").all():
        box = title.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 400
    phone.close()
