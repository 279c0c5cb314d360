"""What is said of Figure 3 against planted slopes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropclust.core.power_law import clustered_variance
from dropclust.experiments import figure3 as experiment
from dropclust.experiments import paper, results
from dropclust.findings import figure3, verdicts
from dropclust.service import tables

WIDTHS = experiment.WIDTHS
SLOPES = {"first 0.5": -0.22, "first 0.2": -0.25, "all 0.5": -0.3, "none": -0.35, "untrained": 0.0}
KAPPAS = {"first 0.5": 0.5, "first 0.2": 0.4, "all 0.5": 0.75, "none": 0.25, "untrained": 0.0}


def synthetic(
    slopes: Mapping[str, float] = SLOPES, seeds: int = 5, spread: float = 0.02, bend: float = 0.0, recipe: str = "modern"
) -> pd.DataFrame:
    """Power laws of known slopes; a seed shifts the level of all its networks alike, and its slope a little."""
    rng = np.random.default_rng(4)
    rows = []
    for seed in range(seeds):
        level = rng.normal(0, 0.1)
        for trained, slope in slopes.items():
            own = slope + rng.normal(0, spread)
            for h in WIDTHS:
                for rate in experiment.SAMPLED_RATES:
                    mstd = 3 * math.exp(level) * math.sqrt(rate / (1 - rate)) * h**own
                    mstd *= math.exp(bend * math.log(h / 200) ** 2)
                    clusters = round(h ** KAPPAS[trained])
                    rows.append(
                        {
                            "recipe": recipe, "seed": seed, "h": h, "trained": trained, "rate": rate, "mstd": mstd,
                            "relative_mstd": mstd / 4, "clusters": clusters,
                            "clusters_outgoing": 1, "adjusted_rand": 0.2 if clusters > 1 else math.nan,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def own_slope(table: pd.DataFrame, trained: str, seed: int, low: float = 0, high: float = 1e9) -> float:
    part = table[(table["trained"] == trained) & (table["seed"] == seed) & (table["rate"] == 0.5)]
    part = part[(part["h"] >= low) & (part["h"] <= high)]
    return float(stats.linregress(np.log(part["h"]), np.log(part["mstd"])).slope)


def shown(
    table: pd.DataFrame, rate: float = 0.5, measure: str = "MSTD", low: float = 25, high: float = 1600
) -> figure3.Figure3:
    return figure3.find(table, rate, measure, low, high)


# ---- lines


def test_a_line_is_the_mean_of_the_seeds_own_slopes_with_students_interval():
    table = synthetic()
    each = figure3.line(table, "first 0.5", 0.5, "mstd", 25, 1600)
    slopes = [own_slope(table, "first 0.5", seed) for seed in range(5)]
    assert list(each.slopes.values()) == pytest.approx(slopes)
    assert (each.law.slope.low, each.law.slope.high) == pytest.approx(
        stats.t.interval(0.95, 4, np.mean(slopes), stats.sem(slopes))
    )
    assert each.chosen == tuple(map(float, WIDTHS))


def test_points_are_geometric_means_over_seeds():
    table = synthetic()
    each = figure3.line(table, "none", 0.5, "mstd", 25, 1600)
    values = table[(table["trained"] == "none") & (table["rate"] == 0.5) & (table["h"] == 100)]["mstd"]
    at = each.points.at(100.0)
    assert at.mean == pytest.approx(stats.gmean(values))
    low, high = stats.t.interval(0.95, 4, np.log(values).mean(), stats.sem(np.log(values)))
    assert (at.low, at.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_the_range_refits_on_its_widths_only():
    table = synthetic()
    bent = table.assign(mstd=table["mstd"] * np.where(table["h"] > 200, 2.0, 1.0))
    part = figure3.line(bent, "first 0.5", 0.5, "mstd", 25, 200)
    assert part.chosen == (25.0, 50.0, 100.0, 200.0)
    assert part.law.slope.mean == pytest.approx(np.mean([own_slope(table, "first 0.5", seed, high=200) for seed in range(5)]))
    whole = figure3.line(bent, "first 0.5", 0.5, "mstd", 25, 1600)
    assert whole.law.slope.mean > part.law.slope.mean + 0.1
    assert len(part.points.x) == len(WIDTHS)


@pytest.mark.parametrize(("low", "high", "there"), [(25, 50, 2), (100, 100, 1)])
def test_fewer_than_three_widths_are_one_sentence(low, high, there):
    told = shown(synthetic(), low=low, high=high)
    assert told.refused == f"A line needs 3 widths or more, and from {low} to {high} there are {there}."
    assert told.verdict.sentence == f"{told.refused} Without a line there is no verdict."
    assert told.slopes.lines == ()
    assert told.slopes.table().empty


def test_one_seed_has_a_line_and_no_interval():
    told = shown(synthetic(seeds=1))
    assert "(one seed: no interval)" in told.logarithmic.sentence
    assert "one seed: no interval" in told.linear.sentence
    assert told.verdict.sentence == "One seed: no interval, and so no verdict."
    answers = dict(told.verdict.rows)
    assert answers["Is that a straight line?"] == "One seed cannot say."
    assert answers["Is the paper's slope, -0.354, in its interval?"].startswith("One seed cannot say")


def test_a_zero_has_no_logarithm_and_its_width_is_left_out():
    table = synthetic()
    dead = table.assign(mstd=np.where((table["h"] == 400) & (table["seed"] == 1), 0.0, table["mstd"]))
    each = figure3.line(dead, "none", 0.5, "mstd", 25, 1600)
    assert 400.0 not in each.points.x
    assert each.law.slope.mean == pytest.approx(-0.35, abs=0.03)
    nothing = figure3.line(table.assign(mstd=0.0), "none", 0.5, "mstd", 25, 1600)
    assert nothing.law is None
    assert nothing.refused.endswith("At 25, 50, 100, 200, 400, 800, 1600 the value is 0, which has no logarithm.")


def test_a_seed_that_lacks_a_width_is_not_fitted_there():
    table = synthetic()
    table = table[~((table["seed"] == 2) & (table["h"] == 1600))]
    each = figure3.line(table, "none", 0.5, "mstd", 25, 1600)
    assert sorted(each.slopes) == [0, 1, 3, 4]
    assert sorted(figure3.line(table, "none", 0.5, "mstd", 25, 800).slopes) == [0, 1, 2, 3, 4]


# ---- charts


def test_the_main_line_is_of_networks_trained_as_they_are_sampled():
    for rate in experiment.SAMPLED_RATES:
        told = shown(synthetic(), rate)
        assert told.main.training == f"first {rate:g}"
        assert [each.training for each in told.linear.lines] == [f"first {rate:g}", *figure3.CONTROLS]


@pytest.mark.parametrize("hidden", figure3.CONTROLS)
def test_a_toggle_hides_networks_in_charts_captions_and_tables_and_leaves_the_verdict(hidden):
    told = shown(synthetic())
    few = told.showing([training for training in figure3.CONTROLS if training != hidden])
    name = figure3.CONTROLS[hidden]
    questions = {"none": "without dropout in training", "all 0.5": "in all layers", "untrained": "untrained"}
    for there, charts in ((True, told), (False, few)):
        for lines in (charts.linear.lines, charts.logarithmic.lines, charts.slopes.lines, charts.counted["incoming"].lines):
            assert any(each.training == hidden for each in lines) == there
        for info in (charts.linear, charts.logarithmic, charts.slopes, charts.counted["incoming"]):
            assert (name in set(info.table()["networks"])) == there
        assert (name in charts.slopes.sentence) == there
        assert (f"{name[0].upper()}{name[1:]}:" in charts.logarithmic.sentence) == (there and hidden == "none")
        # Networks without clusters have no exponent to count.
        assert (name in charts.counted["incoming"].formatted().index) == (there and hidden != "untrained")
        assert charts.verdict.table()["question"].str.contains(questions[hidden]).any() == there
    assert few.verdict.sentence == told.verdict.sentence
    assert few.main == told.main
    assert len(few.verdict.rows) == len(few.verdict.about) == len(told.verdict.rows) - (2 if hidden == "none" else 1)


def test_the_papers_line_stands_at_every_width_and_its_base_changes_the_level_only():
    told = shown(synthetic())
    assert told.linear.paper[100.0] == pytest.approx(math.exp(0.0958 - 0.3541 * math.log(100)))
    assert figure3.paper_mstd(100, 10) == pytest.approx(10 ** (0.0958 - 0.3541 * math.log10(100)))
    assert figure3.paper_mstd(100, 10) / figure3.paper_mstd(100) == pytest.approx(
        figure3.paper_mstd(1, 10) / figure3.paper_mstd(1)
    )
    assert "it would be 1.13 times as high" in figure3.base_note()


def test_the_paper_is_left_out_where_it_has_no_value():
    told = shown(synthetic(), measure="MSTD / logit spread")
    assert told.linear.paper == {}
    assert told.slopes.paper is None
    assert "paper" not in set(told.linear.table()["networks"])
    for sentence in (told.linear.sentence, told.logarithmic.sentence, told.slopes.sentence):
        assert "paper" not in sentence.lower()
    assert told.slopes.title == "Slopes of MSTD / logit spread"


def test_the_measure_divided_by_the_spread_has_its_own_level_and_here_the_same_slope():
    whole, relative = shown(synthetic()), shown(synthetic(), measure="MSTD / logit spread")
    assert relative.main.points.mean == pytest.approx([value / 4 for value in whole.main.points.mean])
    assert relative.main.law.slope.mean == pytest.approx(whole.main.law.slope.mean)
    assert all("paper" not in question for question, _ in relative.verdict.rows)


def test_the_table_holds_what_is_drawn():
    info = shown(synthetic(), low=50).linear
    table = info.table()
    assert len(table) == 5 * len(WIDTHS)  # four kinds of network and the paper
    one = table[(table["networks"] == "trained without dropout") & (table["h"] == 100)].iloc[0]
    line = next(each for each in info.lines if each.training == "none")
    assert one[info.y_title] == line.points.at(100.0).mean
    assert one["fitted"] == pytest.approx(float(line.law.mstd(100)))
    assert table[table["h"] == 25]["fitted"].isna().all()


def test_slopes_are_listed_with_their_intervals():
    told = shown(synthetic())
    first = told.main.law.slope
    listed = (
        f"95 % intervals over 5 seeds: dropout 0.5 in layer 1 {first.mean:.3f} ({first.low:.3f} to {first.high:.3f}); trained"
    )
    assert listed in told.slopes.sentence
    assert "one seed: no interval: dropout 0.5 in layer 1 -0." in shown(synthetic(seeds=1)).slopes.sentence


def test_doubling_is_said_in_words():
    told = shown(synthetic(spread=1e-9))
    assert "twice as many units multiply it by 0.86" in told.logarithmic.sentence  # 2 ** -0.22


# ---- the verdict


@pytest.mark.parametrize(
    ("dropout", "control", "words"),
    [
        (-0.22, -0.35, "dropout makes it flatter, not steeper: such a slope is no sign"),
        (-0.35, -0.35, "dropout is not shown to make it steeper: such a slope is no sign of clusters made by dropout."),
        (-0.50, -0.35, "though a flatter one: of the slope, only -0.1"),
        (-0.35, 0.00, "shown only for networks trained with dropout, and theirs is steeper: dropout makes it."),
        (0.00, -0.35, "a fall with width is not shown after dropout"),
        (0.30, -0.35, "it rises with width after dropout"),
    ],
)
def test_the_verdict_follows_the_slopes(dropout, control, words):
    table = synthetic({**SLOPES, "first 0.5": dropout, "none": control})
    assert words in shown(table).verdict.sentence


def test_without_a_significant_difference_it_is_left_undecided():
    table = synthetic({**SLOPES, "first 0.5": -0.1, "none": -0.08}, spread=0.02)
    noisy = table.assign(
        mstd=table["mstd"] * np.where(table["trained"] == "none", table["h"] ** (0.06 * (table["seed"] - 2)), 1)
    )
    assert shown(noisy).verdict.sentence.endswith(
        "not significantly different from that of networks trained without: undecided."
    )


def test_slopes_are_compared_seed_by_seed():
    table = synthetic()
    answer = dict(shown(table).verdict.rows)["Does dropout in layer 1 make it steeper?"]
    differences = [own_slope(table, "first 0.5", seed) - own_slope(table, "none", seed) for seed in range(5)]
    low, high = stats.t.interval(0.95, 4, np.mean(differences), stats.sem(differences))
    assert f"{np.mean(differences):.3f} (95 % interval {low:.3f} to {high:.3f}, 5 seeds)" in answer
    assert answer.startswith("No, flatter")


def test_a_bend_is_said():
    assert dict(shown(synthetic()).verdict.rows)["Is that a straight line?"].startswith("No bend found")
    table = synthetic(bend=0.05)
    bent = table.assign(mstd=table["mstd"] * (1 + 0.001 * table["seed"] * np.log(table["h"])))
    assert dict(shown(bent).verdict.rows)["Is that a straight line?"].startswith("No: bent")


def test_a_bend_within_what_the_claim_allows_is_said_to_be_so():
    table = synthetic(bend=0.01)
    bent = table.assign(mstd=table["mstd"] * np.exp(0.001 * (table["seed"] - 2) * np.log(table["h"]) ** 2))
    found = shown(bent)
    answer = dict(found.verdict.rows)["Is that a straight line?"]
    assert answer.startswith("Bent (p")
    assert ", but by less than the 0.05 that the claim of a power law allows" in answer
    change = found.main.law.exponent_change
    assert max(abs(change.low), abs(change.high)) < 0.05


@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_the_bend_is_that_of_the_claim(recipe):
    [first] = [each for each in verdicts.claims(recipe, with_variations=False) if each.claim.key == "figure3.power-law"]
    change, answer = (
        (found := figure3.read(recipe)).main.law.exponent_change,
        dict(found.verdict.rows)["Is that a straight line?"],
    )
    assert (change.mean, change.low, change.high) == pytest.approx(
        (first.first.estimate.mean, first.first.estimate.low, first.first.estimate.high)
    )
    assert not answer.startswith("No")  # the first seeds alone hold the claim
    assert first.first.verdict.value == "holds"


@pytest.mark.parametrize(("slope", "inside"), [(paper.FIGURE_3["slope"], "Yes"), (-0.2, "No")])
def test_the_papers_slope_is_in_the_interval_or_not(slope, inside):
    rows = dict(shown(synthetic({**SLOPES, "first 0.5": slope})).verdict.rows)
    assert rows["Is the paper's slope, -0.354, in its interval?"].startswith(inside)


def test_without_the_control_there_is_no_verdict():
    table = synthetic()
    told = shown(table[table["trained"] != "none"])
    assert told.verdict.sentence == "Without networks trained without dropout on this range there is no verdict."


# ---- clusters


@pytest.mark.parametrize("kappa", [0.1, 0.5, 0.7])
def test_predictions_have_the_slopes_of_equation_4_and_go_through_the_measured_mean(kappa):
    told = shown(synthetic(), low=50, high=400)
    info = figure3.prediction(told.main, told.y_title, kappa)
    h = np.array(told.main.points.x)
    fitted = slice(1, 5)
    for drawn, slope, chance in ((info.corrected, -kappa / 2, "equal"), (info.printed, (kappa - 1) / 2, "printed")):
        assert np.polyfit(np.log(h), np.log(drawn), 1)[0] == pytest.approx(slope)
        assert np.log(drawn)[fitted].mean() == pytest.approx(np.log(told.main.points.mean)[fitted].mean())
        shape = np.sqrt(clustered_variance(h, h**kappa, 0.3, chance, finite=False))
        assert (np.array(drawn) / shape).std() == pytest.approx(0, abs=1e-9)
    assert f"{-kappa / 2:.3f} corrected and {(kappa - 1) / 2:.3f} as printed" in info.sentence


def test_without_a_line_predictions_are_still_drawn():
    told = shown(synthetic(), low=25, high=50)
    assert "measured" not in figure3.prediction(told.main, told.y_title, 0.5).sentence


def test_kappa_is_counted_and_set_beside_what_the_slope_would_mean():
    table = synthetic(spread=0.005)
    info = shown(table).counted["incoming"]
    name, found, implied, difference = info.kappas[0]
    assert name == "dropout 0.5 in layer 1"
    assert found.mean == pytest.approx(0.5, abs=0.03)
    slopes = [own_slope(table, "first 0.5", seed) for seed in range(5)]
    assert implied.mean == pytest.approx(-2 * np.mean(slopes))
    assert difference.mean == pytest.approx(found.mean - implied.mean)
    assert difference.low > 0
    assert "less than is counted" in info.sentence
    assert "adjusted Rand index of 0.20" in info.sentence
    assert info.formatted().shape == (3, 3)  # untrained networks have no clusters
    assert len(info.table()) == 4 * len(WIDTHS)


def test_no_clusters_are_said_to_be_none():
    info = shown(synthetic()).counted["outgoing"]
    assert info.sentence.startswith("By outgoing weights no clusters are found after dropout")
    assert info.kappas == ()


# ---- all of it


def test_a_table_is_read_and_said_without_torch(tmp_path):
    tables.write(tmp_path, results.file_name("figure3", "paper"), synthetic(recipe="paper"), {"command": "again"})
    found = figure3.read("paper", tmp_path)
    assert found.command == "again"
    assert found.sentence.startswith(found.verdict.sentence)
    assert found.slopes.sentence in found.sentence
    columns = ["networks", "slope", "low", "high", "seeds", "widths"]
    expected = shown(synthetic(recipe="paper")).slopes.table()
    pd.testing.assert_frame_equal(found.table()[columns], expected[columns], atol=1e-5)
    assert figure3.read("paper", tmp_path, 0.2).main.training == "first 0.2"
    with pytest.raises(results.ResultError, match="figure3-modern is not there"):
        figure3.read("modern", tmp_path)
    for wrong, sentence in (
        ({"rate": 0.3}, "rate must be one of 0.2, 0.5; got 0.3"),
        ({"measure": "x"}, "measure must be one of"),
    ):
        with pytest.raises(ValueError, match=sentence):
            figure3.read("paper", tmp_path, **wrong)
    lazy = "import sys; from dropclust.findings import figure3; sys.exit('torch' in sys.modules or 'plotly' in sys.modules)"
    subprocess.run([sys.executable, "-c", lazy], check=True)
