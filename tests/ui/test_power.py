"""The Power law page on a table whose truth is known."""

from __future__ import annotations

import pytest
import streamlit as st

from dropclust.experiments import results
from dropclust.findings import figure3, verdicts
from dropclust.service import tables
from dropclust.service.shared import forget
from tests.findings.test_figure3 import shown, synthetic
from tests.ui.test_pages import cache, open_page, said, unfolded  # noqa: F401


@pytest.fixture
def table_there(cache):  # noqa: F811
    """The planted table as the shipped one, under both recipes."""
    for recipe in ("modern", "paper"):
        name = results.file_name("figure3", recipe)
        tables.write(cache / "results", name, synthetic(recipe=recipe), {"command": "python -m dropclust reproduce figure3"})
    return cache


def test_the_page_tells_its_story_at_once(table_there):
    app = open_page("power.py")
    text = said(app)
    assert figure3.find(synthetic(), 0.5, "MSTD", 25, 1600).headline in text
    assert not app.warning
    assert not app.error
    assert "such a slope is no sign of clusters made by dropout" in text
    assert "Dropout 0.5 in layer 1: slope -0.2" in text
    assert [toggle.value for toggle in app.toggle] == [True] * len(figure3.CONTROLS)


def test_what_the_slope_means_has_the_verdict_of_the_claim_beside_it(table_there):
    text = said(unfolded(open_page("power.py")))
    assert verdicts.claim_said(verdicts.rows(with_variations=False), figure3.STRAIGHT.key, "modern") in text


def test_the_address_holds_range_rate_and_toggles(table_there):
    app = open_page("power.py", h=["50", "400"], sampled_rate="0.2", none="false", kappa="0.3")
    text = said(app)
    table = synthetic()
    expected = figure3.find(table, 0.2, "MSTD", 50, 400)
    assert expected.showing(["all 0.5", "untrained"]).logarithmic.sentence in text
    assert expected.logarithmic.sentence not in text
    assert app.select_slider[0].value == (50, 400)
    assert app.toggle[0].value is False
    assert "With k ~ h^0.30 clusters" in text  # opened, since the address asks for it


def test_dragging_the_range_refits(table_there):
    bent = synthetic(bend=0.05)
    tables.write(table_there / "results", results.file_name("figure3", "modern"), bent, {"command": "again"})
    app = open_page("power.py")
    whole, part = (figure3.find(bent, 0.5, "MSTD", 25, high).logarithmic.sentence for high in (1600, 100))
    assert whole in said(app)
    app.select_slider[0].set_value((25, 100)).run()
    assert part in said(app)
    assert whole not in said(app)


def test_too_narrow_a_range_costs_one_sentence(table_there):
    app = open_page("power.py", h=["25", "50"])
    assert [info.value for info in app.info] == ["A line needs 3 widths or more, and from 25 to 50 there are 2."]


@pytest.mark.parametrize(
    "asked", [["26", "400"], ["1600", "25"], ["800", "50"], ["400"], ["50", "100", "200"], ["", ""], ["x" * 500]]
)
def test_a_wrong_range_costs_one_sentence_that_tells_what_is_shown(table_there, asked):
    app = open_page("power.py", h=asked)
    [warning] = [warning.value for warning in app.warning]
    low, high = app.select_slider[0].value
    assert warning == (
        "The fitted widths must be two of 25, 50, 100, 200, 400, 800, 1600, the smaller first; the address gave "
        f"{' and '.join(asked)[:40]!r}. Shown instead: {low} to {high}."
    )
    assert shown(synthetic(), low=low, high=high).logarithmic.sentence in said(app)


@pytest.mark.parametrize("asked", [[], ["25", "1600"], ["50", "400"], ["100", "100"]])
def test_a_right_range_costs_none(table_there, asked):
    app = open_page("power.py", h=asked) if asked else open_page("power.py")
    assert not app.warning
    assert app.select_slider[0].value == tuple(map(int, asked or ("25", "1600")))


def test_what_is_said_of_the_papers_line_goes_with_it(table_there):
    for measure, there in (("MSTD", True), ("MSTD / logit spread", False)):
        app = open_page("power.py", measure=measure)
        assert not app.warning
        assert (figure3.base_note() in said(app)) == there


def test_one_seed_on_the_page(table_there):
    name = results.file_name("figure3", "modern")
    tables.write(table_there / "results", name, synthetic(seeds=1), {"command": "again"})
    st.cache_resource.clear()
    forget()
    text = said(open_page("power.py"))
    assert "One seed: no interval, and so no verdict." in text
    assert "nan" not in text


def test_a_missing_table_costs_one_sentence(cache):  # noqa: F811
    (cache / "results" / "figure3-modern.csv").unlink(missing_ok=True)
    assert "The table figure3-modern is not there" in said(open_page("power.py"))
