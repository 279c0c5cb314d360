"""The Batch size page, with and without its results; parameters that pages share, and links to the Train page."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dropclust.core.spec import RunSpec
from dropclust.experiments import table1 as experiment
from dropclust.findings import table1
from dropclust.service import runs, tables
from dropclust.service.jobs import Jobs
from dropclust.service.parameter import Parameter
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.ui import live, state
from tests.findings.test_table1 import table
from tests.ui.test_pages import finished, said, unfolded

ROOT = Path(__file__).resolve().parents[2]


# ---- links to training


class Still(Jobs):
    """A queue that never starts a cluster: what is submitted waits."""

    def start(self):
        """Nothing."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder with a made-up Table 1 and no run."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    queue = Still(store, workers=1)
    monkeypatch.setattr(live, "queue", lambda: queue)
    for recipe, with_ in (("modern", 0.3), ("paper", -0.3)):
        tables.write(tmp_path / "results", f"table1-{recipe}", table(with_, recipe=recipe), {"command": "make table1"})
    yield tmp_path
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()


def open_page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / name), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(),
        RunSpec(dropout=(0, 0, 0), batch_size=16, recipe="paper", seed=3),
        RunSpec(dropout=(0, 0.2, 0.2), noise="dropconnect", train_size=10_000, hidden=(30, 100, 7), examples=12_800),
    ],
)
def test_a_link_opens_the_train_page_with_the_runs_settings(cache, spec):
    page, _, query = runs.train_link(spec).partition("?")
    assert page == "train"
    app = open_page("train.py", **dict(pair.split("=") for pair in query.split("&")))
    assert not app.warning
    next(button for button in app.button if button.label == "Train").click().run()
    assert [run.spec for run in live.queue().runs()] == [spec]


# ---- the page


def test_the_page_tells_the_verdict_the_table_and_where_to_train(cache):
    app = unfolded(open_page("batch.py"))
    text = said(app)
    shown = table1.read()
    assert app.title[0].value == experiment.EXPERIMENT.question
    assert shown.headline in text
    assert not app.error
    assert not app.warning
    for sentence in (shown.trend.verdict, shown.trend.sentence, shown.accuracy.sentence, shown.spread.sentence):
        assert sentence in text
    [again] = [element.value for element in app.table if "paper, 0.4" in element.value]
    assert again.loc["128", "paper, 0.4"] == "0.697"
    assert "[64](train?rate=0.4&batch=64)" in text
    assert "[16](train?rate=0&batch=16)" in text


def test_the_address_chooses_recipe_and_prediction(cache):
    app = open_page("batch.py", recipe="paper", prediction="scaled", paper="left out")
    text = said(app)
    assert table1.read("paper", prediction="scaled", with_paper=False).trend.verdict in text
    assert "(train?rate=0.4&batch=64&recipe=paper)" in text
    assert "Prediction must be one of sampled, scaled; the address gave 'mean'" in said(
        open_page("batch.py", prediction="mean")
    )


def test_the_papers_values_are_left_out_of_the_page(cache):
    for leave, there in (("shown", True), ("left out", False)):
        app = unfolded(open_page("batch.py", paper=leave))
        assert any("paper, 0.4" in element.value for element in app.table) == there
        for number in ("+0.46", "0.697", "(paper: 0.765"):
            assert (number in said(app)) == there


def test_what_is_stored_is_linked_and_not_an_empty_form(cache):
    stored = [finished(hidden=(100, 100, 100), seed=seed) for seed in (3, 4)]
    for each in stored:
        assert each.spec == RunSpec(seed=each.spec.seed)
        live.store().put(each)
    text = said(open_page("batch.py"))
    [(size, link)] = re.findall(r"\[(\d+) \(stored\)\]\(train\?(.*?)\)", text)
    assert size == "128"
    assert sorted(parse_qs(link)["run"]) == sorted(each.key for each in stored)
    assert "[64](train?rate=0.4&batch=64)" in text
    assert "[128](train?rate=0&batch" not in text  # the default batch size is not in the address
    assert "[128](train?rate=0)" in text


def test_a_missing_table_costs_one_sentence(cache):
    (cache / "results" / "table1-modern.csv").unlink()
    app = open_page("batch.py")
    assert "The table table1-modern is not there; make it again with: python -m dropclust reproduce table1." in said(app)
    assert app.title


class Entered(Exception):
    """A page has declared its parameters."""


def declared(page: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Parameter]:
    """The parameters of a page by name: all that it makes, or hands to `state.enter`, before it shows anything."""
    handed: list[Parameter] = []

    def enter(parameters, also=()):
        handed.extend(parameters)
        raise Entered

    monkeypatch.setattr(state, "enter", enter)
    made: dict[str, object] = {}
    with pytest.raises(Entered):
        exec(compile(page.read_text(encoding="utf-8"), page, "exec"), made)
    return {each.name: each for each in (*handed, *made.values()) if isinstance(each, Parameter)}


@pytest.mark.parametrize("name", sorted(page.stem for page in (ROOT / "pages").glob("*.py")))
def test_a_parameter_means_the_same_on_every_page_that_has_its_name(name, monkeypatch):
    # A widget's value goes with its name to the next page, whose address and widgets would then be at odds.
    pages = {page.stem: declared(page, monkeypatch) for page in (ROOT / "pages").glob("*.py")}
    assert len(pages) > 3
    if name != "digit":  # which asks one network, whatever its recipe
        assert {"recipe", "recipes"} & pages[name].keys()  # one of them, or one or both
    for other, parameters in pages.items():
        # The rate of Explore is no widget of Streamlit's and goes nowhere.
        for shared in (parameters.keys() & pages[name].keys()) - {"rate"}:
            one, two = pages[name][shared], parameters[shared]
            for field in ("default", "options", "low", "high", "step"):
                assert getattr(one, field) == getattr(two, field), (shared, name, other)
            assert [one.show(option) for option in one.options] == [two.show(option) for option in two.options]
