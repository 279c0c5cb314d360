"""Table 1's charts against planted trends and literals; the page, with and without its results."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from scipy import stats
from streamlit.testing.v1 import AppTest

from dropclust.core.spec import RECIPES, RunSpec
from dropclust.experiments import paper, results, table1
from dropclust.service import tables
from dropclust.service.jobs import Jobs
from dropclust.service.store import Store
from dropclust.ui import batch, charts, live, runs, state
from dropclust.ui.state import Parameter
from tests.ui.test_pages import finished

ROOT = Path(__file__).resolve().parents[2]


def table(with_=0.3, without=0.1, seeds=4, batches=table1.BATCHES, noise=0.05, recipe="modern") -> pd.DataFrame:
    """Accuracy .9 at batch 16, rising by planted percentage points a doubling; seeds differ in slope and level."""
    rng = np.random.default_rng(5)
    rows = []
    for seed in range(seeds):
        tilt, level = noise * rng.normal(), rng.normal()
        for rate, batch_size in itertools.product(table1.RATES, batches):
            points = (with_ if rate else without) + tilt + noise * (seed - (seeds - 1) / 2) / 5 * bool(rate)
            accuracy = 0.9 + (points * math.log2(batch_size / 16) + level) / 100
            for prediction, gain in (("scaled", 0.0), ("sampled", 0.01)):
                rows.append(
                    {
                        "recipe": recipe, "seed": seed, "dropout": rate, "batch_size": batch_size,
                        "steps": 320_000 // batch_size, "prediction": prediction, "accuracy": accuracy + gain,
                        "cross_entropy": 1 - accuracy,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


# ---- accuracy


def test_accuracy_is_a_mean_over_seeds_of_one_way_to_predict():
    data = table()
    info = batch.accuracy(data, "sampled")
    assert info.rates == (0.4, 0.0)
    for rate, line in zip(info.rates, info.lines, strict=True):
        assert line.x == table1.BATCHES
        for size, mean, high in zip(line.x, line.mean, line.high, strict=True):
            where = (data["dropout"] == rate) & (data["batch_size"] == size) & (data["prediction"] == "sampled")
            values = data.loc[where, "accuracy"]
            assert len(values) == line.n == 4
            assert mean == pytest.approx(values.mean())
            assert high - mean == pytest.approx(stats.t.ppf(0.975, 3) * values.std() / 2)
    first, last = info.lines[0].mean[0], info.lines[0].mean[-1]
    assert info.sentence.startswith(
        f"With dropout 0.4 accuracy is {first:.3f} at batch 16 and {last:.3f} at 512 (paper: 0.765 and 0.836), best at 512; "
        "without dropout"
    )
    assert info.sentence.endswith("sampled, 4 seeds.")


def planted(at_512: float, at_256: float, noise: float) -> pd.DataFrame:
    """Accuracy .9 but for two batch sizes; a seed's level is common to all, and its scatter of one batch size of mean 0."""
    data = table(0, 0, noise=0, seeds=6)
    own = noise * np.where(data["seed"] % 2, 1, -1) * (data["batch_size"].map({256: -1, 512: 1}).fillna(0))
    more = data["batch_size"].map({256: at_256, 512: at_512}).fillna(0)
    return data.assign(accuracy=data["accuracy"] + own + more)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (planted(0.01, 0.0, 0.0), "best at 512; without"),
        (planted(0.01, 0.005, 0.001), "best at 512; without"),
        (planted(0.01, 0.009, 0.004), "no batch size shown to be best; without"),
        (planted(0.001, 0.0, 0.004), "no batch size shown to be best; without"),
        (table(0, 0, noise=0, seeds=1), "no batch size shown to be best; without"),
        (table(batches=(128,)), "no batch size shown to be best; without"),
    ],
)
def test_a_batch_size_is_called_best_only_where_paired_differences_show_it(data, says):
    # The seeds' levels scatter by a percentage point, which would hide all of it if seeds were not paired.
    assert says in batch.accuracy(data, "scaled").sentence


def test_what_the_summed_loss_does_is_said_for_the_recipe_that_takes_it():
    assert RECIPES["paper"].sentence.count("summed loss") == 1
    assert RECIPES["modern"].sentence.count("summed loss") == 0
    assert "on the summed loss of its batch" in batch.accuracy(table(recipe="paper"), "sampled").sentence
    assert "summed" not in batch.accuracy(table(recipe="modern"), "sampled").sentence


def test_the_papers_values_are_left_out_of_everything():
    data = with_scatter(0.002)
    shown = batch.table_1(data, "sampled", beside=False)
    infos = (shown.accuracy, shown.trend, shown.spread, shown.again)
    for info in infos:
        assert "paper" not in info.sentence.lower()
        assert not [column for column in info.table() if "paper" in column]
    assert not [column for column in shown.again.formatted() if "paper" in column]
    assert shown.trend.verdict == batch.trend(data, "sampled").verdict.split(" The paper prints")[0]
    for figure in (
        batch.accuracy_figure(shown.accuracy), batch.trend_figure(shown.trend), batch.spread_figure(shown.spread)
    ):  # fmt: skip
        assert not [trace.name for trace in figure.data if "paper" in (trace.name or "")]
    # Ours are the same.
    whole = batch.table_1(data, "sampled")
    assert shown.again.formatted().equals(whole.again.formatted()[["steps", "ours, 0.4", "ours, none"]])
    assert [row[1] for row in shown.trend.rows] == [row[1] for row in whole.trend.rows]
    assert shown.trend.y_range[1] < 0.46 < whole.trend.y_range[1]
    assert shown.spread.away == whole.spread.away
    assert "the lowest accuracy is" in shown.spread.sentence


def test_the_numbers_hold_the_papers_values_and_the_stored_runs():
    own = (batch.Own("mine", 0.4, 100, 0.5, "0" * 64),)
    info = batch.accuracy(table(), "scaled").with_own(own)
    shown = info.table()
    assert shown["paper, dropout 0.4"].dropna().tolist() == list(paper.TABLE_1[0.4].values())
    assert shown.iloc[-1]["stored run"] == "mine"
    assert shown.iloc[-1]["batch size"] == 100
    assert shown.iloc[-1]["dropout 0.4"] == 0.5
    assert "1 stored run of one seed each, scaled" in info.sentence


def test_the_figure_shows_the_papers_table_on_a_logarithmic_axis():
    info = batch.accuracy(table(), "sampled").with_own((batch.Own("mine", 0.0, 100, 0.5, "0" * 64),))
    figure = batch.accuracy_figure(info)
    drawn = {trace.name: trace for trace in figure.data if trace.name}
    assert dict(zip(drawn["paper, dropout 0.4"].x, drawn["paper, dropout 0.4"].y, strict=True)) == paper.TABLE_1[0.4]
    assert dict(zip(drawn["paper, no dropout"].x, drawn["paper, no dropout"].y, strict=True)) == paper.TABLE_1[0.0]
    assert (drawn["stored runs, no dropout"].x, drawn["stored runs, no dropout"].y) == ((100,), (0.5,))
    assert "stored runs, dropout 0.4" not in drawn
    assert figure.layout.xaxis.type == "log"
    assert len({trace.marker.symbol for trace in drawn.values()}) == len(drawn)


def summary(spec: RunSpec, status="done", accuracy=0.9) -> SimpleNamespace:
    return SimpleNamespace(spec=spec, key=spec.key, status=status, metrics={"test_accuracy": accuracy})


def test_a_stored_run_is_shown_where_it_belongs_and_nowhere_else():
    fits = [
        RunSpec(batch_size=7),
        RunSpec(dropout=(0, 0, 0), noise="gaussian", seed=9, precision="bfloat16"),
    ]
    strangers = [
        RunSpec(dropout=(0.4, 0.4, 0.3)), RunSpec(dropout=(0.3,) * 3), RunSpec(hidden=(100, 100, 99)), RunSpec(recipe="paper"),
        RunSpec(examples=64_000), RunSpec(noise="gaussian"), RunSpec(train_size=10_000),
    ]  # fmt: skip
    found = batch.own_runs([summary(spec) for spec in (*fits, *strangers)] + [summary(RunSpec(), "stopped")], "modern")
    assert [(each.rate, each.batch, each.accuracy) for each in found] == [(0.4, 7, 0.9), (0.0, 128, 0.9)]
    assert found[0].name == runs.label(fits[0])
    assert [each.key for each in found] == [spec.key for spec in fits]
    assert [each.rate for each in batch.own_runs([summary(spec) for spec in strangers], "paper")] == [0.4]


# ---- the trend


def test_a_planted_trend_is_found_with_its_interval():
    # Every seed's accuracies lie on a line of known slope, so that the fit is exact and the interval that of the slopes.
    data, seeds, noise = table(0.3, 0.1, noise=0.05), 4, 0.05
    rng = np.random.default_rng(5)
    tilts = [(noise * rng.normal(), rng.normal())[0] for _ in range(seeds)]
    extra = [noise * (seed - 1.5) / 5 for seed in range(seeds)]
    slopes = {0: [0.3 + t + e for t, e in zip(tilts, extra, strict=True)], 1: [0.1 + t for t in tilts]}
    slopes[2] = [a - b for a, b in zip(slopes[0], slopes[1], strict=True)]
    info = batch.trend(data, "scaled")
    for number, (_, ours, _) in enumerate(info.rows):
        half = stats.t.ppf(0.975, 3) * np.std(slopes[number], ddof=1) / 2
        assert ours.mean == pytest.approx(np.mean(slopes[number]))
        assert (ours.low, ours.high) == pytest.approx((ours.mean - half, ours.mean + half))
    # The seeds' common tilt is in both slopes and not in their difference.
    assert info.rows[2][1].high - info.rows[2][1].low < (info.rows[0][1].high - info.rows[0][1].low) / 2


@pytest.mark.parametrize(
    ("with_", "without", "noise", "says"),
    [
        (0.3, 0.1, 0.01, "Here a larger batch helps more where dropout is on, as the paper says: the difference is +0.20 ("),
        (-0.1, -0.3, 0.01, "Here a larger batch costs less where dropout is on, but it does not help there either: "),
        (0.1, 0.3, 0.01, "Here a larger batch helps less where dropout is on, the contrary of what the paper says: "),
        (-0.3, -0.1, 0.01, "Here a larger batch costs more where dropout is on, the contrary of what the paper says: "),
        (-0.1, 0.1, 0.01, "Here a larger batch costs accuracy where dropout is on, the contrary of what the paper says: "),
        (0.3, 0.3, 0.1, "Here a larger batch does the same with dropout as without, as far as can be told: "),
    ],
)
def test_the_verdict_follows_the_interval(with_, without, noise, says):
    assert batch.trend(table(with_, without, noise=noise), "sampled").verdict.startswith(says)


def test_the_verdict_says_where_the_papers_own_difference_lies():
    # The paper's slopes differ by .46 points a doubling.
    # Its interval, of two degrees of freedom fewer than batch sizes, is -2.98 to 3.91.
    fitted = (
        "The paper prints no such number; fitted by us to its Table 1 it is +0.46 (95 % interval -2.98 to +3.91, 6 batch "
        "sizes), which does not show its claim and "
    )
    for with_, noise, lies in ((0.3, 0.01, "holds ours."), (3.9, 1.0, "overlaps ours."), (9.0, 0.01, "lies apart from ours.")):
        assert batch.trend(table(with_, 0.0, noise=noise), "sampled").verdict.endswith(fitted + lies)


def test_one_seed_decides_nothing():
    info = batch.trend(table(seeds=1), "sampled")
    assert info.verdict.startswith("Here one seed cannot tell")
    assert "(one seed: no interval) percentage points for every doubling. The paper prints" in info.verdict
    assert info.verdict.endswith("holds ours.")
    assert "One seed says nothing about how far runs stray." in batch.spread(table(seeds=1), "sampled").sentence


def test_the_papers_own_slopes_are_those_of_a_regression():
    for values in (paper.TABLE_1[0.4], paper.TABLE_1[0.0]):
        ours = batch.fitted_slope(values)
        fit = stats.linregress(np.log2(list(values)), 100 * np.array(list(values.values())))
        half = stats.t.ppf(0.975, 4) * fit.stderr
        assert ours.mean == pytest.approx(fit.slope)
        assert (ours.low, ours.high) == pytest.approx((fit.slope - half, fit.slope + half))
        assert ours.n == 6
    told = "fitted to its Table 1, one run a cell, with the intervals that the scatter about them gives"
    assert batch.trend(table(), "sampled").sentence.endswith(f"{told}, which run off the chart.")
    steep = batch.trend(table(with_=9.0, without=-9.0), "sampled")
    assert steep.y_range[0] < -9
    assert steep.sentence.endswith(f"{told}.")


def test_a_seed_without_all_batch_sizes_is_left_out_of_the_trend():
    data = table()
    short = data[~((data["seed"] == 2) & (data["batch_size"] == 64) & (data["dropout"] == 0))]
    assert {row[1].n for row in batch.trend(short, "sampled").rows} == {3}
    assert batch.trend(data[data["batch_size"] == 64], "sampled") is None
    assert batch.trend(data[data["dropout"] == 0], "sampled") is None


def test_the_trends_chart_spans_ours_whole_and_the_papers_points():
    info = batch.trend(table(), "sampled")
    low, high = info.y_range
    for _, ours, theirs in info.rows:
        assert low < ours.low <= ours.high < high
        assert low < theirs.mean < high
    figure = batch.trend_figure(info)
    assert tuple(figure.layout.yaxis.range) == info.y_range
    ours, theirs = figure.data
    assert tuple(ours.y) == tuple(row[1].mean for row in info.rows)
    assert np.add(ours.y, ours.error_y.array) == pytest.approx([row[1].high for row in info.rows])
    assert np.subtract(theirs.y, theirs.error_y.arrayminus) == pytest.approx([row[2].low for row in info.rows])
    assert info.table()["ours"].tolist() == list(ours.y)


# ---- what a single run does


def test_strays_are_distances_from_the_line_through_the_others():
    values = pd.DataFrame([[0.5, 0.6, 0.9, 0.8], [0.1, 0.1, 0.1, 0.1]], columns=[16, 32, 64, 128])
    away = batch.strays(values)
    for row, at in itertools.product(range(2), range(4)):
        others = [i for i in range(4) if i != at]
        fit = stats.linregress([4 + i for i in others], values.iloc[row, others])
        expected = values.iloc[row, at] - fit.intercept - fit.slope * (4 + at)
        assert away.iloc[row, at] == pytest.approx(100 * expected, abs=1e-9)


def with_scatter(deviation: float, seeds: int = 20) -> pd.DataFrame:
    data, rng = table(seeds=seeds, noise=0.0), np.random.default_rng(1)
    return data.assign(accuracy=data["accuracy"] + deviation * rng.normal(size=len(data)))


def test_the_papers_fallen_value_is_measured_in_our_standard_deviations():
    data = with_scatter(0.002)
    info = batch.spread(data, "sampled")
    part = data.query("prediction == 'sampled' and dropout == 0.4")
    values = part.pivot(index="seed", columns="batch_size", values="accuracy").to_numpy()  # [20 seeds, 6 batch sizes]
    runs_ = [[values[(row + at) % 20, at] for at in range(6)] for row in range(20)]
    ours = batch.strays(pd.DataFrame(runs_, columns=table1.BATCHES))[128]
    theirs = batch.strays(pd.DataFrame([paper.TABLE_1[0.4]]))[128].item()
    assert theirs == pytest.approx(-11.07, abs=0.005)
    assert (
        f"{abs(theirs - ours.mean()) / ours.std():.1f} standard deviations away, outside what a single run does"
        in info.sentence
    )
    assert f"(95 %: {stats.t.ppf(0.975, 19) * math.sqrt(1 + 1 / 20):.1f})" in info.sentence
    assert "11.1 percentage points below the line" in info.sentence
    assert f"the lowest accuracy is {part.query('batch_size == 128')['accuracy'].min():.3f}" in info.sentence
    few = batch.spread(with_scatter(0.002, seeds=4), "sampled")
    assert f"(95 %: {stats.t.ppf(0.975, 3) * math.sqrt(1 + 1 / 4):.1f})" in few.sentence
    within = batch.spread(with_scatter(0.08), "sampled")
    assert "within what a single run does here" in within.sentence


def test_runs_of_a_row_have_different_seeds():
    # All runs of a seed are higher or lower by its own amount. A line through runs of one seed would hide it.
    data = with_scatter(0.0)
    level = dict(enumerate(np.random.default_rng(4).normal(0, 0.01, 20)))
    data = data.assign(accuracy=data["accuracy"] + data["seed"].map(level))
    info = batch.spread(data, "sampled")
    alone = data.query("prediction == 'sampled' and dropout == 0.4").pivot(
        index="seed", columns="batch_size", values="accuracy"
    )
    assert batch.strays(alone)[128].std() < 1e-6
    at_128 = [away for size, away in zip(info.batches, info.away, strict=True) if size == 128]
    assert np.std(at_128) > 0.5
    assert [seed for size, seed in zip(info.batches, info.seeds, strict=True) if size == 128] == [*range(3, 20), 0, 1, 2]
    assert sorted(batch.mixed(alone)[512]) == sorted(alone[512])


def test_the_chart_of_single_runs_shows_every_seed():
    info = batch.spread(with_scatter(0.002), "sampled")
    assert len(info.away) == 20 * 6
    shown = info.table()
    assert shown["seeds"].tolist() == [20] * 6
    assert shown["paper"].tolist() == list(info.paper.values())
    for size, deviation in zip(shown["batch size"], shown["std"], strict=True):
        values = [each for at, each in zip(info.batches, info.away, strict=True) if at == size]
        assert deviation == pytest.approx(np.std(values, ddof=1))
    seeds, theirs = batch.spread_figure(info).data
    assert tuple(seeds.y) == info.away
    assert dict(zip(theirs.x, theirs.y, strict=True)) == info.paper


def test_runs_without_spread_and_tables_without_the_fallen_batch_are_said():
    # Equal values of all seeds: the distance from the line is 0 for each.
    flat = table().assign(accuracy=0.5)
    assert "no spread to measure it by" in batch.spread(flat, "sampled").sentence
    assert "standard deviation" not in batch.spread(table(batches=(16, 32, 64)), "sampled").sentence
    assert batch.spread(table(batches=(16, 32)), "sampled") is None


# ---- the table


def test_the_table_has_the_papers_form():
    info = batch.again(table(), "sampled")
    assert [row[0] for row in info.rows] == list(paper.TABLE_1[0.4])
    shown = info.formatted()
    assert shown.loc["128", "paper, 0.4"] == "0.697"
    assert shown.loc["512", "steps"] == "625"
    ours = info.rows[3][2][0.4][1]
    assert shown.loc["128", "ours, 0.4"] == f"{ours.mean:.3f} ± {ours.high - ours.mean:.4f}"
    assert info.table()["paper, no dropout"].tolist() == list(paper.TABLE_1[0.0].values())
    gaps = [100 * (ours.mean - reported) for _, _, cells in info.rows for reported, ours in cells.values()]
    assert f"above the paper's in {sum(gap > 0 for gap in gaps)} of 12 cells" in info.sentence
    assert f"{min(gaps):+.1f} to {max(gaps):+.1f} percentage points" in info.sentence


@pytest.mark.parametrize("seeds", [1, 2, 20])
@pytest.mark.parametrize("batches", [(128,), (32, 128, 512), (3, 5, 7), table1.BATCHES])
@pytest.mark.parametrize("prediction", table1.PREDICTIONS)
def test_every_odd_table_is_drawn(seeds, batches, prediction):
    shown = batch.table_1(table(seeds=seeds, batches=batches), prediction)
    assert len(batch.accuracy_figure(shown.accuracy).data) >= 4
    assert len(shown.again.rows) == len(set(batches) & set(paper.TABLE_1[0.4]))
    for info, figure in ((shown.trend, batch.trend_figure), (shown.spread, batch.spread_figure)):
        if info is not None:
            assert len(figure(info).data) == 2
            assert len(info.table())
    assert (shown.trend is None) == (len(batches) < 2)
    assert (shown.spread is None) == (len(batches) < 3)


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
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    queue = Still(store, workers=1)
    monkeypatch.setattr(live, "queue", lambda: queue)
    for recipe, with_ in (("modern", 0.3), ("paper", -0.3)):
        tables.write(tmp_path / "results", f"table1-{recipe}", table(with_, recipe=recipe), {"command": "make table1"})
    yield tmp_path
    st.cache_data.clear()
    st.cache_resource.clear()


def open_page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / name), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def said(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " ".join(element.value for kind in (app.markdown, app.caption, app.warning, app.error, app.info) for element in kind)


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
    app = open_page("batch.py")
    text = said(app)
    shown = batch.table_1(results.read("table1-modern").table, "sampled")
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
    assert batch.table_1(results.read("table1-paper").table, "scaled", beside=False).trend.verdict in text
    assert "(train?rate=0.4&batch=64&recipe=paper)" in text
    assert "Prediction must be one of sampled, scaled; the address gave 'mean'" in said(
        open_page("batch.py", prediction="mean")
    )


def test_the_papers_values_are_left_out_of_the_page(cache):
    for leave, there in (("shown", True), ("left out", False)):
        app = open_page("batch.py", paper=leave)
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

    def enter(parameters):
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
    assert "recipe" in pages[name]
    for other, parameters in pages.items():
        # The rate of Explore is no widget of Streamlit's and goes nowhere.
        for shared in (parameters.keys() & pages[name].keys()) - {"rate"}:
            one, two = pages[name][shared], parameters[shared]
            for field in ("default", "options", "low", "high", "step"):
                assert getattr(one, field) == getattr(two, field), (shared, name, other)
            assert [one.show(option) for option in one.options] == [two.show(option) for option in two.options]


def test_the_markers_are_safe_for_colour_blind_viewers():
    info = batch.accuracy(table(), "sampled")
    colours = [trace.marker.color for trace in batch.accuracy_figure(info).data if trace.mode == "markers"]
    assert set(colours) <= set(charts.palette())
