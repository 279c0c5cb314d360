"""Claims drawn: every interval is in the picture, every claim in the table, and nothing typed can leave its place."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from dropclust.findings import forest, verdicts
from dropclust.findings.meaning import Meaning
from dropclust.ui.figures import claims as figures
from dropclust.ui.figures import lines
from dropclust.ui.style import style

ROWS = verdicts.rows(with_variations=False)
FINDINGS = [finding for row in ROWS for finding in row.findings.values()]


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: f"{finding.claim.key}-{finding.recipe}")
def test_every_interval_is_drawn_where_it_lies(finding):
    info = forest.forest(verdicts.with_choices(finding))
    figure = figures.forest(info)
    assert [trace.x[0] for trace in figure.data] == [mark.interval.mean for mark in info.marks]
    for trace, mark in zip(figure.data, info.marks, strict=True):
        if not math.isnan(mark.interval.low):
            assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(mark.interval.low)
            assert trace.x[0] + trace.error_x.array[0] == pytest.approx(mark.interval.high)
        assert trace.marker.color == style(mark.meaning).colour
    texts = [annotation.text.replace("<br>", " ") for annotation in figure.layout.annotations]
    assert len([text for text in texts if text]) == len(info.marks)
    svg = ET.fromstring(figures.small(forest.small(finding)))
    colours = [style(mark.meaning).colour for mark in forest.small(finding).marks]
    dots = [shape.get("fill") for shape in svg if shape.tag.endswith(("circle", "rect"))][1:]
    assert dots == colours


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: f"{finding.claim.key}-{finding.recipe}")
def test_the_line_at_zero_crosses_no_label(finding):
    figure = figures.forest(forest.forest(verdicts.with_choices(finding)))
    rows = len(figure.data)
    pixels = (figure.layout.height - 130) / max(1, rows)
    labels = [label for label in figure.layout.annotations if label.text]
    pieces = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert [round(piece.y0) for piece in pieces] == [-place for place in range(rows)]
    for place, piece in enumerate(pieces):
        assert piece.y1 <= piece.y0
        assert pixels * (piece.y0 + place) < labels[place].yshift
        if place + 1 < rows:
            high = labels[place + 1].yshift + 1.25 * lines.TEXT * (1 + labels[place + 1].text.count("<br>"))
            assert pixels * (piece.y1 + place + 1) >= min(high, pixels * (piece.y0 + place + 1))


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: f"{finding.claim.key}-{finding.recipe}")
def test_no_label_reaches_the_interval_of_the_row_before(finding):
    figure = figures.forest(forest.forest(verdicts.with_choices(finding)))
    row = (figure.layout.height - 130) / max(1, len(figure.data))
    for label in figure.layout.annotations:
        if label.text:
            top = label.yshift + 1.5 * lines.TEXT * (1 + label.text.count("<br>"))
            assert row - top >= 1.25 * figure.data[0].marker.size


def test_a_control_is_a_square_and_an_estimate_a_dot():
    finding = next(finding for finding in FINDINGS if finding.judged.control is not None)
    drawn = figures.small(forest.small(finding))
    assert drawn.count("<circle") == 1
    assert drawn.count(f'fill="{style(Meaning.CONTROL).colour}"') == 1


def test_the_table_has_a_row_a_claim_with_verdict_in_words_shape_and_number():
    html = figures.table(ROWS, lambda key: f"?claim={key}")
    table = ET.fromstring(html)
    rows = table.findall("./tbody/tr")
    assert len(rows) == len(ROWS)
    for drawn, row in zip(rows, ROWS, strict=True):
        text = " ".join(drawn.itertext())
        assert row.claim.statement in text
        assert drawn.find("./td/a").get("href") == f"?claim={row.claim.key}"
        for cell, finding in zip(drawn.findall("./td")[1:], row.findings.values(), strict=True):
            said = " ".join(cell.itertext())
            assert verdicts.SHAPES[finding.verdict] in said
            assert finding.verdict.value in said
            assert finding.number in said
            image = cell.find("img")
            assert (image is None) == bool(finding.judged.why)
            assert image is None or image.get("alt") == finding.brief


@pytest.mark.parametrize("recipes", [["modern"], ["modern", "paper"]], ids="-".join)
def test_a_tile_has_its_claims_number_and_shapes_under_what_the_headline_says_of_it(recipes):
    rows = verdicts.chosen(ROWS, recipes)
    drawn = ET.fromstring(f"<div>{figures.tiles(rows, lambda key: f'?claim={key}')}</div>")
    groups = dict(zip([each.text for each in drawn.iter("span")], drawn.iter("ul"), strict=False))
    assert all(what in verdicts.headlines(rows, recipes) for what in groups)
    by_key = {f"?claim={row.claim.key}": row for row in rows}
    tiles = list(drawn.iter("a"))
    assert sorted(tile.get("href") for tile in tiles) == sorted(by_key)
    for tile in tiles:
        row = by_key[tile.get("href")]
        shapes = "".join(verdicts.SHAPES[finding.verdict] for finding in row.findings.values())
        assert "".join(tile.itertext()) == f"{row.number} {shapes}"
        assert row.claim.statement in tile.get("aria-label")
        assert all(finding.verdict.value in tile.get("aria-label") for finding in row.findings.values())
    table = ET.fromstring(figures.table(ROWS))
    assert [cell.text.split(".")[0] for cell in table.findall("./tbody/tr/td[1]")] == [str(row.number) for row in ROWS]
    key = drawn.find("p").text
    assert all(verdicts.recipe_name(recipe) in key for recipe in recipes)


def test_what_would_be_markup_is_text():
    row = ROWS[0]
    sly = replace(row.claim, statement="<script>alert(1)</script>")
    html = figures.table([verdicts.Row(sly, {r: replace(f, claim=sly) for r, f in row.findings.items()})])
    assert "<script>" not in html
    assert not re.search("<a ", html)


def test_no_claims_are_an_empty_table():
    assert ET.fromstring(figures.table([])).findall("./tbody/tr") == []
