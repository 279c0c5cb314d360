"""Figure 2's figures show what its findings hold, each in the look of its meaning."""

from __future__ import annotations

import pytest

from dropclust.core.spec import RunSpec
from dropclust.experiments import figure2 as experiment
from dropclust.findings import figure2
from dropclust.findings.meaning import Meaning
from dropclust.findings.own import OwnRun
from dropclust.ui import style
from dropclust.ui.figures import figure2 as figures
from tests.findings.test_figure2 import sources_table, table


def test_a_logarithmic_axis_is_drawn_where_the_findings_say():
    plain, _ = figure2.variance_charts(table(), "scaled", "logits")
    left, _ = figure2.variance_charts(table(span=0.01), "scaled", "logits")
    figure = figures.chart(left)
    assert figure.layout.yaxis.type == "log"
    assert tuple(figure.layout.yaxis.range) == left.y_range
    assert figures.chart(plain).layout.yaxis.type == "linear"


def test_noises_differ_in_colour_and_marker_and_kinds_in_dash_and_paleness():
    pairs = [figure2.variance_charts(table(), way, "logits") for way in figure2.PREDICTIONS]
    pairs += [figure2.sampling_charts(table(), of) for of in figure2.OUTPUTS]
    pairs += [figure2.cross_entropy_charts(table(), way) for way in figure2.PREDICTIONS]
    for info, _ in pairs:
        lines = [trace for trace in figures.chart(info).data if trace.mode == "lines+markers"]
        assert len(lines) == len(info.curves.series)
        assert len({line.line.color for line in lines}) == len(lines)
        assert len({(line.line.dash, line.marker.symbol) for line in lines}) == len(lines)
        assert (
            len({line.marker.color or line.line.color for line in lines[:3]})
            == len({line.marker.symbol for line in lines})
            == 3
        )
        assert {line.line.color for line in lines[:3]} <= set(style.palette())
        assert len({line.line.dash for line in lines}) == (2 if info.kinds else 3)


def test_stored_runs_are_open_markers_of_their_noise():
    specs = [RunSpec(dropout=(0, 0, rate), train_size=10_000) for rate in (0.3, 0.0)]
    runs = tuple(OwnRun("mine", spec.key, spec, 0.9, 0.25) for spec in specs)
    drawn = {trace.name: trace for trace in figures.chart(
        figure2.cross_entropy_charts(table(), "scaled")[0].with_own(runs)
    ).data if trace.name}  # fmt: skip
    own = drawn["stored runs, Bernoulli"]
    assert own.x == (0.3, 0.0)
    assert own.y == (0.25, 0.25)
    assert own.marker.symbol == drawn["Bernoulli"].marker.symbol + "-open"
    assert own.marker.color == style.style(Meaning.OWN_RUN).colour


def test_sources_are_points_with_their_intervals():
    info = figure2.sources(sources_table(), "sampled", "logits")
    drawn = figures.sources(info).data
    assert [trace.name for trace in drawn] == list(info.lines)
    for trace, points in zip(drawn, info.lines.values(), strict=True):
        assert trace.x == tuple(points)
        assert trace.y == tuple(point.mean for point in points.values())
    assert len({trace.marker.color for trace in drawn}) == len({trace.marker.symbol for trace in drawn}) == 3


@pytest.mark.parametrize("models", [1, 2, 3])
@pytest.mark.parametrize("prediction", figure2.PREDICTIONS)
@pytest.mark.parametrize("rates", [(0.0,), (0.4,), experiment.QUICK_RATES])
def test_every_odd_table_is_drawn(models, prediction, rates):
    data = table(models=models)
    shown = figure2.find(data[data["dropout"].isin(rates)], prediction, "logits")
    assert (shown.counts is not None) == (models > 2 and len(rates) > 1)
    for info in (*shown.variance, *shown.sampling, *shown.cross_entropy):
        assert info.sentence
        figure = figures.chart(info)
        assert figure.layout.xaxis.title.text == "dropout rate"
        for line in info.curves.series:
            assert tuple(next(trace for trace in figure.data if trace.name == line.name).y) == line.mean
