"""The page that judges the claims: all of them, filtered, opened, measured again; with tables of all kinds, and none."""

import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dropclust.experiments import results
from dropclust.experiments.claim import Verdict
from dropclust.experiments.experiment import Measured
from dropclust.findings import account, verdicts
from dropclust.service import fresh, tables
from dropclust.service.fresh import FreshRuns
from dropclust.service.shared import forget
from dropclust.ui import live
from tests.service.test_fresh import Queue, Remote, until
from tests.ui.test_pages import Still, open_page, pick, said

ROOT = Path(__file__).resolve().parents[2]
KEY = "figure1.better-than-training"
HOLDS, UNDECIDED = Verdict.HOLDS.value, Verdict.UNDECIDED.value


class Shifted(Queue):
    """Workers that measure nothing: they give the shipped rows of other seeds."""

    calibration = None

    def behind(self, function, experiment, specs, *arguments):
        table = results.read("figure1-modern").table
        seed = specs[0].seed
        part = table[table["seed"] == seed - fresh.FIRST_SEED].assign(seed=seed)
        done = Future()
        done.set_result(Measured({"figure1": part}, ()))
        self.remotes.append(Remote(done))
        return self.remotes[-1]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A copy of the shipped tables, without fresh seeds, and a queue that never starts a cluster."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    shutil.copytree(ROOT / "cache" / "results", tmp_path / "results", ignore=shutil.ignore_patterns("*-from-100.*"))
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    queue = Still(None, workers=2)
    monkeypatch.setattr(live, "queue", lambda: queue)
    runs = FreshRuns(Shifted(), tmp_path / "results" / fresh.FOLDER)
    monkeypatch.setattr(live, "fresh_runs", lambda: runs)
    return tmp_path / "results"


def table_of(app: AppTest) -> str:
    assert not app.exception, app.exception
    return str(app.get("html")[-1].proto.body) if len(app.get("html")) else ""


def tiles_of(app: AppTest) -> str:
    return str(app.get("html")[0].proto.body)


def test_all_claims_are_shown_what_failed_first(root):
    app = open_page("claims.py")
    rows = verdicts.worst_first(verdicts.rows(with_variations=False))
    html = table_of(app)
    places = [html.index(f'claim={row.claim.key}"') for row in rows]
    assert places == sorted(places)
    assert verdicts.summary(rows) in said(app)
    assert verdicts.headlines(rows) in said(app)
    groups = [group for claims in verdicts.by_author(rows).values() for group in verdicts.outcomes(claims).values()]
    places = [tiles_of(app).index(f'claim={row.claim.key}"') for group in groups for row in group]
    assert len(places) == len(rows)
    assert places == sorted(places)
    assert app.selectbox[0].options == [f"{row.number}. {row.claim.statement}" for row in rows]
    for sentence in account.not_reproduced(rows):
        assert sentence in said(app)
    assert not app.error
    assert not app.warning


def test_filters_by_recipe_verdict_and_experiment_are_in_the_address(root):
    app = open_page("claims.py", recipes="paper", verdict="holds", experiment="Figure 1")
    rows = verdicts.chosen(verdicts.rows(with_variations=False), ["paper"], {Verdict.HOLDS}, "figure1")
    html = table_of(app)
    assert html.count("<tr><td>") == len(rows) > 0
    assert "Modern recipe" not in html + tiles_of(app)
    assert "recipes=paper&amp;" in html
    pick(app, "verdict", "all")
    assert table_of(app).count("<tr><td>") > len(rows)


def test_a_filter_that_leaves_nothing_says_so(root):
    assert "No claim has this verdict here." in said(open_page("claims.py", verdict="opposite", experiment="Figure 1"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("verdict", "maybe"), ("recipes", "bread"), ("experiment", "figure9"), ("claim", "x")],
)
def test_a_wrong_address_costs_one_sentence(root, name, value):
    app = open_page("claims.py", **{name: value})
    [warning] = app.warning
    assert value in warning.value
    assert "must be one of" in warning.value
    assert "Shown instead" in warning.value
    assert table_of(app).count("<tr><td>") == len(verdicts.rows(with_variations=False))


def test_what_is_derived_is_not_measured_again(root):
    app = open_page("claims.py", claim="figure3.derivation")
    assert verdicts.ONCE in said(app)
    assert "Run it yourself" not in [head.value for head in app.header]


def test_an_opened_claim_says_everything_and_closes_again(root):
    app = open_page("claims.py", claim=KEY)
    assert [head.value for head in app.header] == [
        "At test time, scaled or sampled, a network classifies more images correctly than with one mask as in training.",
        "Run it yourself",
    ]
    row = next(row for row in verdicts.rows(with_variations=False) if row.claim.key == KEY)
    assert app.selectbox[0].value == KEY
    for recipe in row.findings:  # what stands behind "Numbers" is made when it is opened
        app.session_state[f"forest-{recipe}-numbers"] = True
    app.run()
    for finding in row.findings.values():
        assert verdicts.with_choices(finding).sentence in said(app)
        assert finding.command in [code.value for code in app.code]
    assert "(sample)" in said(app)
    app.selectbox[0].set_value(None).run()
    assert "claim" not in app.query_params
    assert table_of(app)
    app.selectbox[0].set_value("table2.rand-rises").run()
    assert "".join(app.query_params["claim"]) == "table2.rand-rises"


def test_every_claim_opens(root):
    for row in verdicts.rows(with_variations=False):
        app = open_page("claims.py", claim=row.claim.key)
        assert not app.exception
        assert row.claim.statement in [head.value for head in app.header]


def test_it_is_measured_again_and_stands_beside_the_shipped_seeds(root):
    app = open_page("claims.py", claim=KEY)
    before = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    next(button for button in app.button if button.label == "Measure").click().run()
    key = "".join(app.query_params["yours"])
    assert key == "figure1-modern-1000-3-quick"
    until(lambda: live.fresh_runs().get(key).state in fresh.ENDED)
    app = open_page("claims.py", claim=KEY, yours=key)
    text = said(app) + "".join(element.value for element in app.success)
    assert "Your seeds 1000 to 1002, of the coarse grid, say: holds" in text
    assert "seeds 1000 to 1002, of the coarse grid: done" in text
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before


def test_one_that_is_not_known_or_failed_is_one_sentence(root):
    assert "No measurement figure1-modern-7 is known here" in said(open_page("claims.py", claim=KEY, yours="figure1-modern-7"))
    queue = live.fresh_runs()._queue
    queue.ready, queue.failure = False, "Training is not possible now: no scheduler."
    run = live.fresh_runs().start("figure1", "modern", 2)
    until(lambda: live.fresh_runs().get(run.key).state in fresh.ENDED)
    text = said(open_page("claims.py", claim=KEY, yours=run.key))
    assert "failed. Training is not possible now: no scheduler." in text


def test_a_missing_table_is_no_result_with_the_command_and_the_rest_stands(root):
    (root / "figure1-modern.csv").unlink()
    assert "python -m dropclust reproduce figure1" in said(open_page("claims.py", claim=KEY))
    html = table_of(open_page("claims.py"))
    assert "no result here" in html
    assert "opposite" in html


def test_without_any_table_the_page_still_stands(root):
    shutil.rmtree(root)
    html = table_of(open_page("claims.py"))
    assert html.count("no result here") == 2 * len(verdicts.rows(with_variations=False))


def test_quick_tables_alone_make_the_page_again(root):
    for path in [*root.iterdir()]:
        if not path.stem.endswith("-modern") or path.suffix != ".csv":
            path.unlink()
    for path in [*root.iterdir()]:
        found = results.place(path.name, ROOT / "cache" / "results")
        table = results.read(found.stem, found.parent).table
        path.unlink()
        tables.write(root, f"{path.stem}-quick", table, {"command": "python -m dropclust reproduce --quick"})
    html = table_of(open_page("claims.py"))
    assert verdicts.QUICK in html
    assert "opposite" in html
    assert HOLDS in html


def test_one_seed_is_undecided(root):
    found = results.read("figure1-modern")
    tables.write(root, "figure1-modern", found.table[found.table["seed"] == 0], found.conditions)
    text = said(open_page("claims.py", claim=KEY, recipes="modern"))
    assert UNDECIDED in text
    assert "no interval, 1 seed" in text


def test_a_table_that_is_written_meanwhile_is_seen_at_once(root):
    before = table_of(open_page("claims.py")).count("opposite")
    (root / "table1-modern.csv").unlink()
    assert table_of(open_page("claims.py")).count("opposite") < before


def test_seeds_that_cannot_judge_the_claim_are_said_to_be_too_few(root):
    tables.write(
        root / fresh.FOLDER, "figure1-modern-from-1000-quick", results.read("figure1-modern").table.iloc[:2],
        {"settings": {"seeds": 2}, "command": "again"},
    )  # fmt: skip
    text = said(open_page("claims.py", claim=KEY, yours="figure1-modern-1000-2-quick"))
    assert "done, but these rows cannot judge this claim. The full grid, or more seeds, may." in text
    assert "Your seeds" not in text
