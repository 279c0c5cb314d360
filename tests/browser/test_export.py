"""The explorer as one file: opened from the disk with the network off, it drags as the app does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dropclust.ui.explorer import export
from tests.ui import synthetic

pytestmark = pytest.mark.browser
MOST_BYTES = 2_000_000


def test_the_file_needs_no_server_and_drags_walks_the_tour_and_changes_layers(browser: Browser, tmp_path: Path):
    scenes = [synthetic.scene(*synthetic.make(layer, 10, seeds=2), layer=layer, k=10) for layer in (1, 2)]
    file = tmp_path / "explorer.html"
    file.write_text(export.html(scenes), encoding="utf-8")
    assert file.stat().st_size < MOST_BYTES
    context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    slider = page.get_by_role("slider", name="dropout rate")
    finding = page.locator('[data-text="finding"]')
    expect(slider).to_be_enabled()
    expect(finding).to_have_text(scenes[1].readings[8].texts["finding"].replace("**", ""))
    expect(page.get_by_role("listbox", name="Neurons of layer 2")).to_be_visible()

    box = slider.bounding_box()
    page.mouse.move(box["x"] + 18 + (box["width"] - 36) * 8 / 18, box["y"] + box["height"] / 2)
    page.mouse.down()
    for index in (9, 11, 14):
        page.mouse.move(box["x"] + 18 + (box["width"] - 36) * index / 18, box["y"] + box["height"] / 2)
        expect(finding).to_have_text(scenes[1].readings[index].texts["finding"].replace("**", ""))
    page.mouse.up()
    expect(page.locator('.field[aria-busy="false"]')).to_have_count(1)

    page.get_by_role("button", name="1", exact=True).click()
    expect(page.get_by_role("listbox", name="Neurons of layer 1")).to_be_visible()
    expect(finding).to_have_text(scenes[0].readings[14].texts["finding"].replace("**", ""))

    page.goto(f"{file.as_uri()}?step=3")
    expect(page.get_by_role("group", name="Guided tour")).to_contain_text("3 of 7")
    expect(finding).to_contain_text("With dropout 0.80")
    expect(page.get_by_role("link", name=re.compile("Train"))).to_have_count(0)
    assert complaints == []
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    context.close()
