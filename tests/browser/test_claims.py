"""The page that judges the claims under a real hand: filtered, opened, measured again by real workers; on a phone, on paper."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments.claim import Verdict
from dropclust.findings import verdicts
from dropclust.service import fresh
from dropclust.ui import report
from tests.browser.conftest import ROOT, Serve

pytestmark = pytest.mark.browser
PATIENCE = 120_000  # milliseconds, for machines with much else to do
ROWS = verdicts.rows(with_variations=False)
OPENED = next(row for row in ROWS if row.claim.key == "figure1.scaling-close")


@pytest.fixture(scope="module")
def address(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("cache")
    (cache / "runs").mkdir()
    for name in ("results", "MNIST"):
        shutil.copytree(ROOT / "cache" / name, cache / name, ignore=shutil.ignore_patterns(fresh.FOLDER, "parts"))
    return f"{serve(ROOT / 'app.py', {'DROPCLUST_CACHE': str(cache)})}/claims"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1200})
    opened.set_default_timeout(PATIENCE)
    opened.goto(address)
    yield opened
    opened.close()


def test_it_is_filtered_and_a_row_opens_and_is_measured_again(page: Page):
    rows = page.locator(".claims tbody tr")
    expect(rows).to_have_count(len(ROWS), timeout=PATIENCE)
    page.get_by_role("radio", name="Figure 1", exact=True).or_(page.get_by_role("button", name="Figure 1", exact=True)).click()
    chosen = verdicts.chosen(ROWS, MAIN_RECIPES, list(Verdict), "figure1")
    expect(rows).to_have_count(len(chosen), timeout=PATIENCE)
    page.get_by_role("link", name=OPENED.claim.statement).last.click()  # its row; tiles come first
    expect(page.get_by_role("heading", name=OPENED.claim.statement)).to_be_visible(timeout=PATIENCE)
    expect(page).to_have_url(re.compile(r"experiment=Figure\+1.*claim=figure1.scaling-close"), timeout=PATIENCE)
    page.get_by_label("Seeds", exact=True).fill("2")
    page.get_by_label("Seeds", exact=True).press("Enter")
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("of the coarse grid: ").first).to_be_visible(timeout=PATIENCE)
    page.reload()
    expect(page.get_by_text("seeds 1000 to 1001, of the coarse grid: done")).to_be_visible(timeout=2 * PATIENCE)
    expect(
        page.get_by_test_id("stMainBlockContainer").get_by_text("Your seeds 1000 to 1001, of the coarse grid, say: ")
    ).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Traceback")).to_have_count(0, timeout=PATIENCE)


def test_a_phone_shows_every_row_whole_and_its_picture_when_it_is_opened(browser: Browser, address: str):
    phone = browser.new_page(viewport={"width": 390, "height": 900})
    phone.goto(address)
    cells = phone.locator(".claims tbody td")
    expect(cells).to_have_count(len(ROWS) * (1 + len(MAIN_RECIPES)), timeout=PATIENCE)
    statement, shape = phone.locator(".claims tbody a").first, phone.locator(".claims .shape").first
    for row in (cells.nth(0), cells.nth(1), cells.nth(2), statement, shape):
        whole(row)
    statement.click()
    picture = phone.locator(".js-plotly-plot .main-svg").first
    expect(picture).to_be_visible(timeout=PATIENCE)
    whole(picture)
    phone.close()


def whole(part: Locator) -> None:
    """Nothing of it is beside a phone's screen."""
    box = part.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_the_report_is_one_printed_page(browser: Browser):
    page = browser.new_page()
    page.set_content(report.html(ROWS))
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) == 1
    page.close()
