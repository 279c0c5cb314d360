"""The page Compress in a real browser: bring a network, make it smaller, take it home, and read it with plain PyTorch."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect
from safetensors import safe_open
from safetensors.torch import load_file

from dropclust.core import mnist
from dropclust.core.compression import compress, side_by_side
from dropclust.core.network import Network
from dropclust.core.prediction import scaled_logits
from dropclust.experiments import table2
from dropclust.service import files
from dropclust.service.store import Store
from tests.browser.conftest import Serve

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser
TITLE = "Can neurons that act alike be merged?"


@pytest.fixture(scope="module")
def address(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = tmp_path_factory.mktemp("cache")
    for name in ("MNIST", "results", "runs"):
        shutil.copytree(ROOT / "cache" / name, cache / name)
    return serve(ROOT / "app.py", {"DROPCLUST_CACHE": str(cache)}) + "/compress"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1200}, accept_downloads=True)
    context.set_default_timeout(120_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert errors == []
    expect(opened.get_by_test_id("stException")).to_have_count(0)
    context.close()


def visit(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible(timeout=120_000)


def drawn(page: Page) -> None:
    """Until the main chart's finding stands below it, and not only where screen readers hear it."""
    main = page.get_by_test_id("stMainBlockContainer")
    expect(main.get_by_text(re.compile("^On the held-out images"))).to_be_visible(timeout=120_000)


def bring(page: Page, name: str, content: bytes) -> None:
    page.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


def from_torch(network: Network) -> bytes:
    """The network as somebody with torch would save it: fc1.weight ``[out, in]`` and so on, in an npz."""
    tensors, buffer = files.tensors_of(network), io.BytesIO()
    layers = range(len(tensors) // 2)
    weights = {f"fc{layer + 1}.weight": tensors[f"weights.{layer}"].T for layer in layers}
    np.savez(buffer, **weights, **{f"fc{layer + 1}.bias": tensors[f"biases.{layer}"] for layer in layers})
    return buffer.getvalue()


def test_a_network_is_brought_made_smaller_and_taken_home(address: str, page: Page, tmp_path: Path) -> None:
    stored = Store(ROOT / "cache" / "runs").get(table2.shown_spec(0.4).key)
    assert stored is not None
    network = stored.network()
    visit(page, f"{address}?method=fold&units=33&compressed_layer=2")
    bring(page, "mine.npz", from_torch(network))
    expect(page.get_by_text("Your file: hidden layers 100 - 100 - 100", exact=False)).to_be_visible(timeout=120_000)
    expect(page.get_by_text("100 neurons become 33.", exact=False)).to_be_visible(timeout=120_000)
    drawn(page)  # a run of the page while a file is on its way takes it back
    page.locator(".st-key-compressed-numbers summary").click()  # of what was lost and gained
    accuracy = page.get_by_text(
        re.compile(r"^Hidden layer 2 keeps 33 of 100 neurons\. Test accuracy goes from 0\.")
    ).inner_text()
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").filter(has_text=".safetensors").get_by_role("button").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)

    # Somebody with PyTorch alone.
    tensors = load_file(path)
    data = mnist.load()
    a = data.test_x
    for layer in range(4):
        a = a @ tensors[f"weights.{layer}"] + tensors[f"biases.{layer}"]
        a = torch.relu(a) if layer < 3 else a
    assert tensors["weights.1"].shape == (100, 33)
    expected = compress(network, 2, 33, "fold")
    assert torch.allclose(a, scaled_logits(expected.network, data.test_x), atol=1e-4)

    # Its proof is what the page shows, and names the weights it came from.
    with safe_open(path, "pt") as file:
        proof = json.loads(file.metadata()["dropclust"])["proof"]
    assert proof["original_sha256"] == files.digest(network)
    assert (proof["method"], proof["layer"], proof["units"], proof["seed"]) == ("fold", 2, 33, 0)
    assert proof["accuracy"] == pytest.approx((a.argmax(1) == data.test_y).float().mean().item(), abs=1e-6)
    assert f"from {proof['accuracy_before']:.4f} to {proof['accuracy']:.4f}" in accuracy


def test_a_pickle_costs_one_sentence_and_the_page_goes_on(address: str, page: Page) -> None:
    visit(page, f"{address}?method=prune&units=50")
    bring(page, "net.npz", b"\x80\x04}.")
    expect(page.get_by_text("is a pickle", exact=False)).to_be_visible(timeout=120_000)
    expect(page.get_by_text("100 neurons become 50.", exact=False)).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Traceback", exact=False)).to_have_count(0)


def test_arrow_keys_send_another_digit_and_the_address_follows(address: str, page: Page) -> None:
    visit(page, f"{address}?method=prune&units=50")
    number = page.get_by_role("spinbutton", name="Test image")
    expect(page.get_by_text("Test image 0 shows a 7.", exact=False)).to_be_visible(timeout=120_000)
    number.press("ArrowUp")
    expect(page.get_by_text("Test image 1 shows a 2.", exact=False)).to_be_visible(timeout=120_000)
    expect(page).to_have_url(re.compile(r"image=1(&|$)"))


def test_each_control_of_table_3_stands_over_what_it_changes(address: str, page: Page) -> None:
    visit(page, f"{address}?method=prune&units=50")
    expect(page.get_by_text("100 neurons become 50.", exact=False)).to_be_visible(timeout=120_000)

    def box(locator: Locator) -> dict[str, float]:
        found = locator.bounding_box()
        assert found is not None
        return dict(found)

    again = page.get_by_test_id("stExpander").filter(has_text="Table 3, made again")
    again.get_by_text("Table 3, made again", exact=False).click()
    charts = again.get_by_test_id("stPlotlyChart")
    expect(charts).to_have_count(2, timeout=120_000)
    for chart, label in ((0, "Units before"), (1, "Trained")):
        control, below = box(page.get_by_text(label, exact=True)), box(charts.nth(chart))
        assert control["y"] < below["y"]
        assert below["x"] <= control["x"] < below["x"] + below["width"]
    heading = box(again.get_by_text("Table 3, made again", exact=False))
    recipe, table = box(again.get_by_text("Recipe", exact=True)), box(again.get_by_test_id("stTable").first)
    assert heading["y"] < recipe["y"] < table["y"]
    right = charts.nth(1)
    expect(right).to_contain_text("700 units")
    page.get_by_test_id("stButtonGroup").filter(has_text="400").get_by_role("radio", name="400").click()
    expect(charts.nth(0)).to_contain_text("From 400 to 162 units")
    expect(right).to_contain_text("700 units")


def test_another_method_leaves_as_many_units(address: str, page: Page) -> None:
    stored = Store(ROOT / "cache" / "runs").get(table2.shown_spec(0.4).key)
    assert stored is not None
    found = side_by_side(stored.network(), 1, [50], ["agreement"])["agreement", 50]
    left = found.network.hidden[0]
    visit(page, f"{address}?method=fold&units=50&run={stored.key}")
    expect(page.get_by_text("100 neurons become 50.", exact=False)).to_be_visible(timeout=120_000)
    methods = page.get_by_test_id("stButtonGroup").filter(has_text="merge similar nodes")
    methods.get_by_text("merge similar nodes", exact=True).click()
    expect(page.get_by_role("slider", name="Clusters of each")).to_have_value(str(found.units), timeout=120_000)
    expect(page.get_by_text(f"100 neurons become {left}.", exact=False)).to_be_visible(timeout=120_000)
    expect(page).to_have_url(re.compile(rf"units={found.units}(&|$)"))
    methods.get_by_text("drop neurons", exact=True).click()
    expect(page.get_by_role("slider", name="Units left")).to_have_value(str(left), timeout=120_000)
    expect(page.get_by_text(f"100 neurons become {left}.", exact=False)).to_be_visible(timeout=120_000)


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_the_slider_and_the_picture_it_moves_are_in_the_first_view(
    address: str, browser: Browser, width: int, height: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    visit(page, f"{address}?method=prune&units=50")
    slider = page.get_by_role("slider", name="Units left")
    chart = page.locator(".st-key-held-curve").get_by_test_id("stPlotlyChart")  # charts below it may be there before
    expect(chart).to_be_visible(timeout=120_000)
    for part, share in ((slider, 1.0), (chart, 0.6)):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + share * box["height"] <= height
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (400, "light")])
def test_the_page_is_not_wider_than_its_window(address: str, browser: Browser, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    visit(page, f"{address}?method=prune&units=50")
    expect(page.get_by_text("100 neurons become 50.", exact=False)).to_be_visible(timeout=120_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
