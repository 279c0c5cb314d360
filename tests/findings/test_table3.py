"""What is said of Table 3, against literals."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropclust.core import compression
from dropclust.experiments import paper, results
from dropclust.experiments import table3 as experiment
from dropclust.findings import table3
from dropclust.service import tables

LOST = {"paper": 0.16, "least_squares": 0.01, "prune_least_squares": 0.011, "prune": 0.3, "random": 0.5}
SAVED = {"none": 0.0, "first": 0.06, "all": 0.14}  # by dropout, for the paper's method alone


def table(seeds=5, methods=tuple(table3.NAMES), widths=tuple(experiment.UNITS), units=None, saved=SAVED) -> pd.DataFrame:
    """Accuracy .97 before and .97 less `LOST` after; every loss differs between seeds by a thousandth about its mean."""
    rows = []
    for seed, h, trained, method in product(range(seeds), widths, experiment.TRAINED, methods):
        lost = LOST.get(method, 0.05) - (saved[trained] if method == "paper" else 0)
        for left in units or (experiment.UNITS[h],):
            rows.append(
                {
                    "recipe": "modern", "seed": seed, "h": h, "trained": trained, "method": method, "units": left,
                    "width": left, "accuracy_before": 0.97,
                    "accuracy": (0.97 - lost) * left / max(units or [left]) - 0.001 * (seed - (seeds - 1) / 2),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


HALVES = [table()[:0], table(1, ("prune",)), table(2, ("paper",), (700,))]


def test_the_methods_and_controls_are_those_of_the_core():
    assert list(table3.NAMES) == list(compression.METHODS)
    assert tuple(name for name, method in compression.METHODS.items() if method.control) == table3.CONTROLS


def test_table_3_stands_beside_the_papers_numbers():
    info = table3.again(table())
    rows = info.table()
    ours, papers = rows[rows["measured"] == "here"], rows[rows["measured"] == table3.REPORTED]
    assert len(ours) == len(experiment.UNITS) * len(experiment.TRAINED)
    last = ours.iloc[-1]
    assert (last["units"], last["units left"], last["dropout"]) == (700, 177, 0.5)
    assert last["trained"] == "with dropout in all layers"
    assert last["points lost"] == pytest.approx(2.0)
    # Five seeds a tenth of a point apart: Student t with 4 degrees of freedom.
    half = stats.t.ppf(0.975, 4) * np.std([0, 0.1, 0.2, 0.3, 0.4], ddof=1) / math.sqrt(5)
    assert last["high"] - last["points lost"] == pytest.approx(half)
    without = papers[papers["dropout"] == 0]
    assert without["after"].tolist() == [0.740, 0.685, 0.534, 0.657]
    assert papers[papers["dropout"] == 0.5]["points lost"].tolist() == pytest.approx([1.4, 3.2, 5.1, 3.8])
    assert "in 8 of 8 comparisons; in the paper's numbers in 4 of 4" in info.sentence


def test_each_result_of_the_paper_is_shown_once():
    shown = table3.again(table()).formatted()
    assert len(shown) == sum(len(rows) for rows in paper.TABLE_3.values())
    assert shown.loc["700 to 177"].to_numpy().tolist() == [
        ["0", "23.4", "16.0 ± 0.2"],
        ["0.5", "3.8", "10.0 ± 0.2 (layer\N{NO-BREAK SPACE}1), 2.0 ± 0.2 (all)"],
    ]
    some = table()
    alone = table3.again(some[(some["h"] == 400) & (some["trained"] == "all")]).formatted()
    assert alone.to_numpy().tolist() == [["0.5", "1.4", "2.0 ± 0.2 (all)"]]


def test_it_is_said_where_dropout_does_not_help():
    assert "in 0 of 8 comparisons" in table3.again(table(saved=dict.fromkeys(SAVED, 0.0))).sentence
    assert "in 0 of 8 comparisons" in table3.again(table(saved={"none": 0.1, "first": 0.0, "all": 0.0})).sentence
    half = table3.again(table(saved={"none": 0.0, "first": 0.0, "all": 0.1}))
    assert "in 4 of 8 comparisons" in half.sentence


def test_one_seed_has_no_interval_and_no_verdict():
    info = table3.again(table(seeds=1))
    assert info.formatted().loc["700 to 177", "points lost here"].tolist() == [
        "16.0",
        "10.0 (layer\N{NO-BREAK SPACE}1), 2.0 (all)",
    ]
    assert "in 0 of 8 comparisons" in info.sentence
    assert "neither significantly less nor more than without: -14.0 points, one seed." in table3.losses(table(1), 700).sentence


def test_losses_say_what_dropout_and_pruning_do():
    info = table3.losses(table(), 700)
    assert info.sentence == (
        "With dropout in all layers the paper's method loses less than without: -14.0 points (-14.0 to -14.0), paired by seed. "
        "By plain pruning, which merges nothing, that difference is 0.0 points (0.0 to 0.0). Pruning with a least-squares "
        "repair, where nothing is clustered, loses less than the paper's method in 3 of 3 trainings, and as much as clustering "
        "with the same repair, within 0.5 points, in 3 of 3: 1.0 (0.8 to 1.2) clustered and 1.1 (0.9 to 1.3) pruned, with "
        "dropout in all layers. 700 to 177 units, 5 seeds. Points lost by the paper's method: 16.0 (15.8 to 16.2) without "
        "dropout, 10.0 (9.8 to 10.2) with dropout in layer 1, 2.0 (1.8 to 2.2) with dropout in all layers."
    )
    assert len(info.table()) == 27 + 2
    by_name = info.table().set_index(["method", "trained"])["points lost"]
    assert by_name["merge at random", "without dropout"] == pytest.approx(50.0)
    assert by_name["the paper's merging, in the paper"].tolist() == pytest.approx([23.4, 3.8])


def test_it_is_said_where_a_method_leaves_more_units_than_the_others():
    wider = table()
    wider.loc[(wider["method"] == "agreement") & (wider["trained"] != "all"), "width"] += 15
    info = table3.losses(wider, 700)
    assert info.sentence.endswith(
        ' With the method "merge similar nodes" 187 units are left on average: its clusters do not give every number.'
    )
    by_name = info.table().set_index(["method", "trained"])["units left"]
    assert by_name["merge similar nodes"].tolist() == [192, 192, 177]


def test_the_verdicts_follow_the_numbers():
    worse = table(saved={"none": 0.1, "first": 0.1, "all": 0.0})
    assert "loses more than without: +10.0 points" in table3.losses(worse, 700).sentence
    pruned = table()
    pruned.loc[pruned["method"] == "prune_least_squares", "accuracy"] -= 0.02
    sentence = table3.losses(pruned, 700).sentence
    assert "loses less than the paper's method in 2 of 3 trainings" in sentence  # not of 2.0 points
    assert "within 0.5 points, in 0 of 3" in sentence


def test_a_difference_that_seeds_do_not_agree_on_is_no_verdict():
    unsure = table(saved=dict.fromkeys(SAVED, 0.0))
    part = (unsure["method"] == "paper") & (unsure["trained"] == "all")
    unsure.loc[part, "accuracy"] += unsure.loc[part, "seed"].map({0: 0.03, 1: -0.02, 2: 0.03, 3: -0.02, 4: 0.0})
    assert "in 0 of 8 comparisons" in table3.again(unsure).sentence
    sentence = table3.losses(unsure, 700).sentence
    assert "loses neither significantly less nor more than without: -0.4 points (-3.5 to +2.7), paired by seed" in sentence


def test_pairs_are_made_by_seed_and_not_by_row():
    mixed = table().sample(frac=1, random_state=1)
    assert table3.losses(mixed, 700) == table3.losses(table(), 700)
    lacking = table()
    lacking = lacking[~((lacking["trained"] == "all") & (lacking["seed"] == 0))]
    assert "-14.0 points (-14.0 to -14.0), paired by seed" in table3.losses(lacking, 700).sentence


@pytest.mark.parametrize("points", [-9.0, -0.25, 0.0, 1.0, 36.0])
def test_losses_stand_at_their_signed_root(points):
    assert table3.place(points) * abs(table3.place(points)) == pytest.approx(points)


def test_points_and_intervals_of_the_chart_are_those_of_the_table():
    info = table3.losses(table(), 600)
    for row in info.rows:
        assert row.at == pytest.approx(math.sqrt(row.lost.mean))
        assert (row.at + row.plus) ** 2 == pytest.approx(row.lost.high)
        assert (row.at - row.minus) ** 2 == pytest.approx(row.lost.low)
    assert [row.lost for row in info.reported] == pytest.approx([35.8, 5.1])
    assert [row.at**2 for row in info.reported] == pytest.approx([35.8, 5.1])
    without, layer_1, everywhere = (row.row for row in info.rows if row.method == "paper")
    assert [row.row for row in info.reported] == pytest.approx([without, (layer_1 + everywhere) / 2])
    assert {points for _, points in info.ticks} >= {1, 5, 10, 20, 40}


def test_curves_say_from_where_on_the_accuracy_is_kept():
    part = table(methods=("paper", "prune"), widths=(700,), units=experiment.CURVE_UNITS)
    part.loc[(part["method"] == "paper") & (part["units"] >= 100), "accuracy"] = 0.965
    info = table3.kept_curves(part, "all")
    assert [line.name for line in info.series] == ["the paper's merging", "drop neurons"]
    assert info.series[0].x == experiment.CURVE_UNITS
    assert info.points == {177: 0.839}
    assert info.sentence == (
        "Layer 1 of 700 units, trained with dropout in all layers: of the numbers tried, within one point of its own accuracy "
        "from 100 units on (the paper's merging), only with all 700 (drop neurons); 5 seeds."
    )
    alone = table3.kept_curves(part[part["method"] == "prune"], "all")
    assert alone.sentence.endswith("within one point of its own accuracy only with all 700 (drop neurons); 5 seeds.")


def test_a_dip_below_the_tolerance_ends_where_the_accuracy_is_kept():
    assert table3._enough({10: 0.96, 20: 0.90, 30: 0.955, 40: 0.96}, 0.01) == 30
    assert table3._enough({40: 0.96}, 0.01) == 40


@pytest.mark.parametrize("part", HALVES, ids=["none", "one", "few"])
def test_half_a_table_says_what_it_has(part):
    again = table3.again(part)
    assert len(again.formatted()) == sum(row["measured"] == table3.REPORTED for row in again.rows)
    for h in experiment.UNITS:
        info = table3.losses(part, h)
        assert len(info.table()) == len(info.rows) + len(info.reported)
    for trained in experiment.TRAINED:
        assert table3.kept_curves(part, trained).sentence


def test_the_gap_is_said_to_need_no_clusters_where_pruning_shows_it():
    pruned = table()
    pruned.loc[(pruned["method"] == "prune") & (pruned["trained"] == "all"), "accuracy"] += 0.2
    sentence = table3.losses(pruned, 700).sentence
    assert "that difference is -20.0 points (-20.0 to -20.0): such a gap needs no clusters." in sentence
    assert "needs no clusters" not in table3.losses(table(), 700).sentence


def test_tables_are_read_and_said_without_torch(tmp_path):
    with pytest.raises(results.ResultError, match="table3-modern is not there"):
        table3.read("modern", tmp_path)
    tables.write(tmp_path, "table3-modern", table(3), {"command": "again"})
    with pytest.raises(results.ResultError, match="table3-curve-modern is not there"):
        table3.read("modern", tmp_path)
    tables.write(tmp_path, "table3-curve-modern", table(2, widths=(700,), units=experiment.CURVE_UNITS), {"command": "again"})
    found = table3.read("modern", tmp_path, 500)
    assert found.command == "again"
    assert found.sentence == found.losses.sentence == table3.losses(table(3), 500).sentence
    assert len(found.table()) == len(found.again.rows)
    for wrong in ({"h": 300}, {"trained": "some"}):
        with pytest.raises(ValueError, match="must be one of"):
            table3.read("modern", tmp_path, **wrong)
    lazy = "import sys; from dropclust.findings import table3; sys.exit('torch' in sys.modules or 'plotly' in sys.modules)"
    subprocess.run([sys.executable, "-c", lazy], check=True)
