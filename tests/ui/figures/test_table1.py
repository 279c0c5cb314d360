"""Table 1's figures show what its findings hold, each in the look of its meaning."""

from __future__ import annotations

import numpy as np
import pytest

from dropclust.core.spec import RunSpec
from dropclust.experiments import paper
from dropclust.experiments import table1 as experiment
from dropclust.findings import table1
from dropclust.findings.own import OwnRun
from dropclust.ui import style
from dropclust.ui.figures import table1 as figures
from tests.findings.test_table1 import table, with_scatter


def test_the_figure_shows_the_papers_table_on_a_logarithmic_axis():
    info = table1.accuracy(table(), "sampled").with_own(
        (OwnRun("mine", "0" * 64, RunSpec(batch_size=100, dropout=(0, 0, 0)), 0.5, 0.3),)
    )
    figure = figures.accuracy(info)
    drawn = {trace.name: trace for trace in figure.data if trace.name}
    assert dict(zip(drawn["paper, dropout 0.4"].x, drawn["paper, dropout 0.4"].y, strict=True)) == paper.TABLE_1[0.4]
    assert dict(zip(drawn["paper, no dropout"].x, drawn["paper, no dropout"].y, strict=True)) == paper.TABLE_1[0.0]
    assert (drawn["stored runs, no dropout"].x, drawn["stored runs, no dropout"].y) == ((100,), (0.5,))
    assert "stored runs, dropout 0.4" not in drawn
    assert figure.layout.xaxis.type == "log"
    assert len({trace.marker.symbol for trace in drawn.values()}) == len(drawn)


def test_the_papers_values_are_left_out_of_every_figure():
    shown = table1.find(with_scatter(0.002), "sampled", with_paper=False)
    for figure in (
        figures.accuracy(shown.accuracy), figures.trend(shown.trend), figures.spread(shown.spread)
    ):  # fmt: skip
        assert not [trace.name for trace in figure.data if "paper" in (trace.name or "")]


def test_the_trend_is_drawn_with_its_intervals():
    info = table1.trend(table(), "sampled")
    figure = figures.trend(info)
    assert tuple(figure.layout.yaxis.range) == info.y_range
    ours, theirs = figure.data
    assert tuple(ours.y) == tuple(row[1].mean for row in info.rows)
    assert np.add(ours.y, ours.error_y.array) == pytest.approx([row[1].high for row in info.rows])
    assert np.subtract(theirs.y, theirs.error_y.arrayminus) == pytest.approx([row[2].low for row in info.rows])


def test_single_runs_are_drawn_a_seed_each():
    info = table1.spread(with_scatter(0.002), "sampled")
    seeds, theirs = figures.spread(info).data
    assert tuple(seeds.y) == info.away
    assert dict(zip(theirs.x, theirs.y, strict=True)) == info.paper


@pytest.mark.parametrize("seeds", [1, 2, 20])
@pytest.mark.parametrize("batches", [(128,), (32, 128, 512), (3, 5, 7), experiment.BATCHES])
@pytest.mark.parametrize("prediction", experiment.PREDICTIONS)
def test_every_odd_table_is_drawn(seeds, batches, prediction):
    shown = table1.find(table(seeds=seeds, batches=batches), prediction)
    assert len(figures.accuracy(shown.accuracy).data) >= 4
    assert len(shown.again.rows) == len(set(batches) & set(paper.TABLE_1[0.4]))
    for info, figure in ((shown.trend, figures.trend), (shown.spread, figures.spread)):
        if info is not None:
            assert len(figure(info).data) == 2
            assert len(info.table())
    assert (shown.trend is None) == (len(batches) < 2)
    assert (shown.spread is None) == (len(batches) < 3)


def test_marks_differ_in_colour_and_in_marker_and_are_safe_for_colour_blind_viewers():
    runs = tuple(OwnRun("mine", "0" * 64, RunSpec(batch_size=100, dropout=(rate,) * 3), 0.5, 0.3) for rate in (0.4, 0.0))
    drawn = [trace for trace in figures.accuracy(table1.accuracy(table(), "sampled").with_own(runs)).data if trace.name]
    assert len(drawn) == 6
    assert {trace.marker.color or trace.line.color for trace in drawn} <= set(style.palette())
    assert len({trace.marker.symbol for trace in drawn}) == 6
    lines = [trace for trace in drawn if trace.mode == "lines+markers"]
    assert len({trace.line.color for trace in lines}) == len({trace.line.dash for trace in lines}) == 2
