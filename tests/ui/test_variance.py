"""The Model variance page, with and without its results."""

from __future__ import annotations

import pytest
import streamlit as st

from dropclust.findings import figure2
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.ui import live
from tests.findings.test_figure2 import write
from tests.ui.test_batch import open_page
from tests.ui.test_pages import said, unfolded


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder with a made-up Figure 2 and no run."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    write(tmp_path / "results")
    yield tmp_path
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()


def test_the_page_counts_the_claims_and_links_to_training(cache):
    app = unfolded(open_page("variance.py"))
    text = said(app)
    shown = figure2.read()
    assert not app.error
    assert not app.warning
    assert shown.headline in text
    claims = (shown.counts.about, *(f"- {statement} **{seen}**" for statement, seen in shown.counts.rows))
    for sentence in (*claims, shown.variance[0].sentence, shown.sampling[1].sentence, shown.cross_entropy[0].sentence,
        shown.sources.sentence, shown.formula.sentence):  # fmt: skip
        assert sentence in text
    assert "[0.4](train?each=true&rate1=0&rate2=0.4&rate3=0.4&images=10000)" in text


def test_the_address_chooses_what_is_compared_and_its_old_words_still_work(cache):
    shown = figure2.read(prediction="both", output="probabilities")
    for words in (
        {"output": "probabilities", "predictions": "both"},
        {"variance_of": "probabilities", "ways": "both"},
    ):
        assert shown.variance[1].sentence in said(open_page("variance.py", **words))
    for word in ("output", "variance_of"):
        assert "Model variance of must be one of logits, probabilities; the address gave 'odds'" in said(
            open_page("variance.py", **{word: "odds"})
        )


def test_a_missing_table_costs_one_sentence(cache):
    app = open_page("variance.py", recipe="paper")
    assert (
        "The table figure2-paper is not there; make it again with: python -m dropclust reproduce figure2 --recipe paper."
        in said(app)
    )
    assert app.title


def test_the_rest_stands_where_a_further_table_is_missing(cache):
    (cache / "results" / "figure2-sources-modern.csv").unlink()
    app = open_page("variance.py")
    assert "The table figure2-sources-modern is not there; make it again with: python -m dropclust reproduce figure2." in said(
        app
    )
    assert figure2.read().variance[0].sentence in said(app)
    assert not app.error
