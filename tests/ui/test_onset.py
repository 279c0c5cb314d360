"""The page on when copies form, with and without its table, and the guess before it."""

from __future__ import annotations

import gzip
import json

import pytest
import streamlit as st

from dropclust.experiments.onset import Setting
from dropclust.findings import moments
from dropclust.findings import onset as findings
from dropclust.findings.meaning import Meaning
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.ui import live, onset
from dropclust.ui.figures.onset import over_time
from dropclust.ui.moments import file
from dropclust.ui.style import style
from tests.experiments.test_onset import made_up
from tests.findings.test_moments import neurons
from tests.findings.test_onset import write
from tests.ui.test_batch import open_page, said


@pytest.fixture(scope="module")
def table():
    return made_up(3)


@pytest.fixture
def cache(tmp_path, monkeypatch, table):
    """A cache folder with a made-up table and no run."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    write(tmp_path / "results", table)
    yield tmp_path
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()


def test_the_guess_comes_first_and_is_held_against_the_answer(cache):
    app = open_page("onset.py")
    assert not app.exception
    assert "Guess first" in said(app)
    assert "is switched on, the share" not in said(app)
    [figure] = app.get("plotly_chart")
    ends = [max(line["x"]) for line in json.loads(figure.proto.spec)["data"] if line.get("name") and len(line["x"]) > 1]
    assert sorted(set(ends)) == [160_000, 320_000]  # what was there until the switch, and chance all along
    [button] = [button for button in app.button if button.label == "They agree less"]
    button.click().run()
    shown = findings.read()
    text = said(app)
    assert "Guess first" not in text
    assert findings.answer(shown) == findings.ANSWERS[-1]
    assert "You expected: they agree less. Measured in layer 2: no change is shown." in text
    for sentence in (shown.sentence, shown.charts["twins"].sentence, shown.charts["mstd"].sentence):
        assert sentence in text


@pytest.mark.parametrize("switched", list(onset.SETTINGS))
def test_the_address_chooses_what_is_switched(cache, switched):
    app = open_page("onset.py", copies_guess="off", switched=switched, copies_layer="1")
    assert not app.exception
    assert not app.error
    assert findings.read(layer=1, setting=onset.SETTINGS[switched]).sentence in said(app)


def test_of_a_coarse_table_that_is_said_and_what_it_lacks(cache, table):
    for suffix in ("csv", "json"):
        (cache / "results" / f"onset-modern.{suffix}").unlink()
    write(cache / "results", table[table["width"] == 100], "onset-modern-quick")
    assert "few seeds and a fifth of the images" in said(open_page("onset.py", copies_guess="off"))
    app = open_page("onset.py", copies_guess="off", switched="200 units")
    assert "The table that is here has no such networks." in said(app)


def test_a_missing_table_costs_one_sentence(cache):
    app = open_page("onset.py", copies_guess="off", recipe="paper")
    assert (
        "The table onset-paper is not there; make it again with: python -m dropclust reproduce onset --recipe paper."
        in said(app)
    )
    assert app.title


def test_the_switch_is_marked_and_each_course_looks_its_own(table):
    info = findings.findings(table, "modern", 2, Setting()).charts["adjusted_rand_10"]
    figure = over_time(info)
    [line] = figure.layout.shapes
    assert line.x0 == line.x1 == info.marker
    assert [note.text for note in figure.layout.annotations] == ["switch"]
    lines = [trace for trace in figure.data if trace.name]
    assert [trace.name for trace in lines] == [series.name for series in info.series]
    assert len({(trace.line.color, trace.line.dash) for trace in lines}) == 5
    assert lines[-1].line.color == style(Meaning.CHANCE).colour


def shown_neurons(app):
    return [each for each in app.main if each.type == "bidi_component"]


def test_the_neurons_stand_under_the_courses_that_they_are_of(cache):
    write(cache / "results", neurons(), "onset-neurons-modern")
    app = open_page("onset.py", copies_guess="off")
    assert not app.exception
    [component] = shown_neurons(app)
    assert json.loads(component.proto.json)["file"].endswith(".gz")
    for others in ({"switched": "200 units"}, {"recipe": "paper"}):
        assert not shown_neurons(open_page("onset.py", copies_guess="off", **others))
    assert not shown_neurons(open_page("onset.py"))  # they would answer the question


def test_neurons_that_are_not_there_cost_one_sentence(cache):
    app = open_page("onset.py", copies_guess="off")
    assert not app.exception
    assert not shown_neurons(app)
    [caption] = [each.value for each in app.caption if "cannot be shown" in each.value]
    assert "The modern recipe's neurons cannot be shown: the table onset-neurons-modern is not there" in caption


def test_the_browser_gets_every_course_and_moment(cache):
    said = moments.moments(neurons(), "modern", 2)
    sent = json.loads(gzip.decompress(file(said)))
    assert file(said) == file(moments.moments(neurons(), "modern", 2))
    assert sent["examples"] == list(said.examples)
    assert [course["name"] for course in sent["courses"]] == list(findings.NAMES.values())
    for course, shown in zip(sent["courses"], said.courses.values(), strict=True):
        assert [look["twins"] for look in course["looks"]] == [snapshot.twins for snapshot in shown]


def test_what_is_shipped_reaches_a_browser_in_a_quarter_of_a_million_bytes():
    for layer in (1, 2):
        assert len(file(moments.read(layer=layer))) < 250_000
