"""Table 1's findings against planted trends and literals."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropclust.core.spec import MAIN_RECIPES, RECIPES, RunSpec
from dropclust.experiments import paper, results
from dropclust.experiments import table1 as experiment
from dropclust.findings import table1, verdicts
from dropclust.findings.own import OwnRun
from dropclust.service import tables


def table(with_=0.3, without=0.1, seeds=4, batches=experiment.BATCHES, noise=0.05, recipe="modern") -> pd.DataFrame:
    """Accuracy .9 at batch 16, rising by planted percentage points a doubling; seeds differ in slope and level."""
    rng = np.random.default_rng(5)
    rows = []
    for seed in range(seeds):
        tilt, level = noise * rng.normal(), rng.normal()
        for rate, batch_size in itertools.product(experiment.RATES, batches):
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
    info = table1.accuracy(data, "sampled")
    assert info.rates == (0.4, 0.0)
    for rate, line in zip(info.rates, info.lines, strict=True):
        assert line.x == experiment.BATCHES
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
    assert says in table1.accuracy(data, "scaled").sentence


def test_what_the_summed_loss_does_is_said_for_the_recipe_that_takes_it():
    assert RECIPES["paper"].sentence.count("summed loss") == 1
    assert RECIPES["modern"].sentence.count("summed loss") == 0
    assert "on the summed loss of its batch" in table1.accuracy(table(recipe="paper"), "sampled").sentence
    assert "summed" not in table1.accuracy(table(recipe="modern"), "sampled").sentence


def test_the_papers_values_are_left_out_of_everything():
    data = with_scatter(0.002)
    shown = table1.find(data, "sampled", with_paper=False)
    infos = (shown.accuracy, shown.trend, shown.spread, shown.again)
    for info in infos:
        assert "paper" not in info.sentence.lower()
        assert not [column for column in info.table() if "paper" in column]
    assert not [column for column in shown.again.formatted() if "paper" in column]
    assert shown.trend.verdict == table1.trend(data, "sampled").verdict.split(" The paper prints")[0]
    # Ours are the same.
    whole = table1.find(data, "sampled")
    assert shown.again.formatted().equals(whole.again.formatted()[["steps", "ours, 0.4", "ours, none"]])
    assert [row[1] for row in shown.trend.rows] == [row[1] for row in whole.trend.rows]
    assert shown.trend.y_range[1] < 0.46 < whole.trend.y_range[1]
    assert shown.spread.away == whole.spread.away
    assert "the lowest accuracy is" in shown.spread.sentence


def test_the_numbers_hold_the_papers_values_and_the_stored_runs():
    own = (OwnRun("mine", "0" * 64, RunSpec(batch_size=100), 0.5, 0.3),)
    info = table1.accuracy(table(), "scaled").with_own(own)
    shown = info.table()
    assert shown["paper, dropout 0.4"].dropna().tolist() == list(paper.TABLE_1[0.4].values())
    assert shown.iloc[-1]["stored run"] == "mine"
    assert shown.iloc[-1]["batch size"] == 100
    assert shown.iloc[-1]["dropout 0.4"] == 0.5
    assert "1 stored run of one seed each, scaled" in info.sentence


def summary(spec: RunSpec, status="done", accuracy=0.9) -> SimpleNamespace:
    return SimpleNamespace(
        spec=spec, key=spec.key, status=status, metrics={"test_accuracy": accuracy, "test_cross_entropy": 0.3}
    )


def test_a_stored_run_is_shown_where_it_belongs_and_nowhere_else():
    fits = [
        RunSpec(batch_size=7),
        RunSpec(dropout=(0, 0, 0), noise="gaussian", seed=9, precision="bfloat16"),
    ]
    strangers = [
        RunSpec(dropout=(0.4, 0.4, 0.3)), RunSpec(dropout=(0.3,) * 3), RunSpec(hidden=(100, 100, 99)), RunSpec(recipe="paper"),
        RunSpec(examples=64_000), RunSpec(noise="gaussian"), RunSpec(train_size=10_000),
    ]  # fmt: skip
    found = table1.own_runs([summary(spec) for spec in (*fits, *strangers)] + [summary(RunSpec(), "stopped")], "modern", str)
    assert [(each.rate, each.batch_size, each.accuracy) for each in found] == [(0.4, 7, 0.9), (0.0, 128, 0.9)]
    assert found[0].name == str(fits[0])
    assert [each.key for each in found] == [spec.key for spec in fits]
    assert [each.rate for each in table1.own_runs([summary(spec) for spec in strangers], "paper", str)] == [0.4]


# ---- the trend


def test_a_planted_trend_is_found_with_its_interval():
    # Every seed's accuracies lie on a line of known slope, so that the fit is exact and the interval that of the slopes.
    data, seeds, noise = table(0.3, 0.1, noise=0.05), 4, 0.05
    rng = np.random.default_rng(5)
    tilts = [(noise * rng.normal(), rng.normal())[0] for _ in range(seeds)]
    extra = [noise * (seed - 1.5) / 5 for seed in range(seeds)]
    slopes = {0: [0.3 + t + e for t, e in zip(tilts, extra, strict=True)], 1: [0.1 + t for t in tilts]}
    slopes[2] = [a - b for a, b in zip(slopes[0], slopes[1], strict=True)]
    info = table1.trend(data, "scaled")
    for number, (_, ours, _) in enumerate(info.rows):
        half = stats.t.ppf(0.975, 3) * np.std(slopes[number], ddof=1) / 2
        assert ours.mean == pytest.approx(np.mean(slopes[number]))
        assert (ours.low, ours.high) == pytest.approx((ours.mean - half, ours.mean + half))
    # The seeds' common tilt is in both slopes and not in their difference.
    assert info.rows[2][1].high - info.rows[2][1].low < (info.rows[0][1].high - info.rows[0][1].low) / 2


@pytest.mark.parametrize(
    ("with_", "without", "noise", "says"),
    [
        (
            0.3,
            0.1,
            0.01,
            "Here a larger batch helps more where dropout is on: the difference is +0.20 percentage points ",
        ),
        (-0.1, -0.3, 0.01, "Here a larger batch costs less where dropout is on, but it does not help there either: "),
        (0.1, 0.3, 0.01, "Here a larger batch helps less where dropout is on: "),
        (-0.3, -0.1, 0.01, "Here a larger batch costs more where dropout is on: "),
        (-0.1, 0.1, 0.01, "Here a larger batch costs accuracy where dropout is on: "),
        (0.3, 0.3, 0.1, "Here there is no significant difference in what a larger batch does with dropout and without: "),
    ],
)
def test_the_verdict_follows_the_interval(with_, without, noise, says):
    assert table1.trend(table(with_, without, noise=noise), "sampled").verdict.startswith(says)


@pytest.mark.parametrize(
    ("with_", "without", "word"),
    [(0.3, 0.1, "holds"), (0.1, 0.3, "opposite"), (0.25, 0.2, "not seen"), (0.1, 0.15, "not seen")],
)
def test_the_papers_claim_has_the_verdicts_own_word(with_, without, word):
    verdict = table1.trend(table(with_, without, noise=0.01), "sampled").verdict
    assert f"asks for more than 0.1 percentage points a doubling. By these seeds: {word}." in verdict


@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_the_word_is_that_of_the_claim(recipe):
    [found] = [each for each in verdicts.claims(recipe, with_variations=False) if each.claim.key == table1.CLAIM.key]
    assert f"By these seeds: {found.verdict.value}." in table1.read(recipe).trend.verdict


def test_the_verdict_says_where_the_papers_own_difference_lies():
    # The paper's slopes differ by .46 points a doubling.
    # Its interval, of two degrees of freedom fewer than batch sizes, is -2.98 to 3.91.
    fitted = (
        "The paper prints no such number; fitted by us to its Table 1 it is +0.46 (95 % interval -2.98 to +3.91, 6 batch "
        "sizes): its interval does not show its claim and "
    )
    for with_, noise, lies in (
        (0.3, 0.01, "contains ours."),
        (3.9, 1.0, "overlaps ours."),
        (9.0, 0.01, "lies apart from ours."),
    ):
        assert table1.trend(table(with_, 0.0, noise=noise), "sampled").verdict.endswith(fitted + lies)


def test_one_seed_decides_nothing():
    info = table1.trend(table(seeds=1), "sampled")
    assert info.verdict.startswith("Here one seed cannot tell")
    assert "percentage points for every doubling (one seed: no interval). The paper prints" in info.verdict
    assert info.verdict.endswith("contains ours.")
    assert "One seed says nothing about how far runs stray." in table1.spread(table(seeds=1), "sampled").sentence


def test_the_papers_own_slopes_are_those_of_a_regression():
    on, off = (np.array(list(paper.TABLE_1[rate].values())) for rate in (0.4, 0.0))
    for (_, _, theirs), values in zip(table1.trend(table(), "sampled").rows, (on, off, on - off), strict=True):
        fit = stats.linregress(np.log2(list(paper.TABLE_1[0.4])), 100 * values)
        half = stats.t.ppf(0.975, 4) * fit.stderr
        assert theirs.mean == pytest.approx(fit.slope)
        assert (theirs.low, theirs.high) == pytest.approx((fit.slope - half, fit.slope + half))
        assert theirs.n == 6
    told = "fitted to its Table 1, one run a cell, with the intervals that the scatter about them gives"
    assert table1.trend(table(), "sampled").sentence.endswith(f"{told}, which run off the chart.")
    steep = table1.trend(table(with_=9.0, without=-9.0), "sampled")
    assert steep.y_range[0] < -9
    assert steep.sentence.endswith(f"{told}.")


def test_a_seed_without_all_batch_sizes_is_left_out_of_the_trend():
    data = table()
    short = data[~((data["seed"] == 2) & (data["batch_size"] == 64) & (data["dropout"] == 0))]
    assert {row[1].n for row in table1.trend(short, "sampled").rows} == {3}
    assert table1.trend(data[data["batch_size"] == 64], "sampled") is None
    assert table1.trend(data[data["dropout"] == 0], "sampled") is None


def test_the_trends_chart_spans_ours_whole_and_the_papers_points():
    info = table1.trend(table(), "sampled")
    low, high = info.y_range
    for _, ours, theirs in info.rows:
        assert low < ours.low <= ours.high < high
        assert low < theirs.mean < high
    assert info.table()["ours"].tolist() == [row[1].mean for row in info.rows]


# ---- what a single run does


def test_strays_are_distances_from_the_line_through_the_others():
    values = pd.DataFrame([[0.5, 0.6, 0.9, 0.8], [0.1, 0.1, 0.1, 0.1]], columns=[16, 32, 64, 128])
    away = table1.strays(values)
    for row, at in itertools.product(range(2), range(4)):
        others = [i for i in range(4) if i != at]
        fit = stats.linregress([4 + i for i in others], values.iloc[row, others])
        expected = values.iloc[row, at] - fit.intercept - fit.slope * (4 + at)
        assert away.iloc[row, at] == pytest.approx(100 * expected, abs=1e-9)


def with_scatter(deviation: float, seeds: int = 20) -> pd.DataFrame:
    data, rng = table(seeds=seeds, noise=0.0), np.random.default_rng(1)
    return data.assign(accuracy=data["accuracy"] + deviation * rng.normal(size=len(data)))


def test_the_papers_fallen_value_is_measured_against_what_one_more_run_of_ours_would_do():
    data = with_scatter(0.002)
    info = table1.spread(data, "sampled")
    part = data.query("prediction == 'sampled' and dropout == 0.4")
    values = part.pivot(index="seed", columns="batch_size", values="accuracy").to_numpy()  # [20 seeds, 6 batch sizes]
    runs_ = [[values[(row + at) % 20, at] for at in range(6)] for row in range(20)]
    ours = table1.strays(pd.DataFrame(runs_, columns=experiment.BATCHES))[128]
    theirs = table1.strays(pd.DataFrame([paper.TABLE_1[0.4]]))[128].item()
    assert theirs == pytest.approx(-11.07, abs=0.005)
    half = stats.t.ppf(0.975, 19) * math.sqrt(1 + 1 / 20) * ours.std()
    low, high = (f"{ours.mean() + end:+.2f}" for end in (-half, half))
    assert f"the paper's run is outside what a single run does here, {low} to {high} in 95 % of cases" in info.sentence
    assert "11.1 percentage points below the line" in info.sentence
    assert f"the lowest accuracy is {part.query('batch_size == 128')['accuracy'].min():.3f}" in info.sentence
    within = table1.spread(with_scatter(0.08), "sampled")
    assert "the paper's run is within what a single run does here" in within.sentence


def test_runs_of_a_row_have_different_seeds():
    # All runs of a seed are higher or lower by its own amount. A line through runs of one seed would hide it.
    data = with_scatter(0.0)
    level = dict(enumerate(np.random.default_rng(4).normal(0, 0.01, 20)))
    data = data.assign(accuracy=data["accuracy"] + data["seed"].map(level))
    info = table1.spread(data, "sampled")
    alone = data.query("prediction == 'sampled' and dropout == 0.4").pivot(
        index="seed", columns="batch_size", values="accuracy"
    )
    assert table1.strays(alone)[128].std() < 1e-6
    at_128 = [away for size, away in zip(info.batches, info.away, strict=True) if size == 128]
    assert np.std(at_128) > 0.5
    assert [seed for size, seed in zip(info.batches, info.seeds, strict=True) if size == 128] == [*range(3, 20), 0, 1, 2]
    assert sorted(table1.mixed(alone)[512]) == sorted(alone[512])


def test_the_chart_of_single_runs_shows_every_seed():
    info = table1.spread(with_scatter(0.002), "sampled")
    assert len(info.away) == 20 * 6
    shown = info.table()
    assert shown["seeds"].tolist() == [20] * 6
    assert shown["paper"].tolist() == list(info.paper.values())
    for size, deviation in zip(shown["batch size"], shown["std"], strict=True):
        values = [each for at, each in zip(info.batches, info.away, strict=True) if at == size]
        assert deviation == pytest.approx(np.std(values, ddof=1))


def test_runs_without_spread_and_tables_without_the_fallen_batch_are_said():
    # Equal values of all seeds: the distance from the line is 0 for each.
    flat = table().assign(accuracy=0.5)
    assert "no spread to measure it by" in table1.spread(flat, "sampled").sentence
    assert "standard deviation" not in table1.spread(table(batches=(16, 32, 64)), "sampled").sentence
    assert table1.spread(table(batches=(16, 32)), "sampled") is None


# ---- the table


def test_the_table_has_the_papers_form():
    info = table1.again(table(), "sampled")
    assert [row[0] for row in info.rows] == list(paper.TABLE_1[0.4])
    shown = info.formatted()
    assert shown.loc["128", "paper, 0.4"] == "0.697"
    assert shown.loc["512", "steps"] == "625"
    ours = info.rows[3][2][0.4][1]
    assert shown.loc["128", "ours, 0.4"] == f"{ours.mean:.4f} ± {ours.high - ours.mean:.4f}"
    assert info.table()["paper, no dropout"].tolist() == list(paper.TABLE_1[0.0].values())
    gaps = [100 * (ours.mean - reported) for _, _, cells in info.rows for reported, ours in cells.values()]
    assert f"above the paper's in {sum(gap > 0 for gap in gaps)} of 12 cells" in info.sentence
    assert f"{min(gaps):+.1f} to {max(gaps):+.1f} percentage points" in info.sentence


@pytest.mark.parametrize("seeds", [1, 2, 20])
@pytest.mark.parametrize("batches", [(128,), (32, 128, 512), (3, 5, 7), experiment.BATCHES])
@pytest.mark.parametrize("prediction", experiment.PREDICTIONS)
def test_of_every_odd_table_something_is_said(seeds, batches, prediction):
    found = table1.find(table(seeds=seeds, batches=batches), prediction)
    assert found.sentence
    assert len(found.table()) == len(found.again.rows) == len(set(batches) & set(paper.TABLE_1[0.4]))
    assert len(found.again.formatted()) == len(found.again.rows)
    assert (found.trend is None) == (len(batches) < 2)
    assert (found.spread is None) == (len(batches) < 3)


def test_the_shipped_table_is_read_and_said():
    for recipe in MAIN_RECIPES:
        found = table1.read(recipe)
        assert found.sentence == found.trend.verdict
        assert found.command.startswith("python -m dropclust reproduce table1")
        assert f"{found.accuracy.lines[0].n} seeds" in found.sentence


def test_a_table_of_another_version_is_refused(tmp_path):
    tables.write(tmp_path, "table1-modern", table().drop(columns="steps"), {"command": "x"})
    with pytest.raises(results.ResultError, match="has no column steps: another version made it; make it again with"):
        table1.read("modern", tmp_path)
