"""Figure 3's charts show what its findings hold, each in the look of its meaning."""

from __future__ import annotations

import numpy as np
import pytest

from dropclust.findings import figure3
from dropclust.ui.figures import figure3 as figures
from dropclust.ui.figures import lines
from dropclust.ui.style import style
from tests.findings.test_figure3 import shown, synthetic


def test_figures_draw_points_lines_and_the_paper():
    told = shown(synthetic(), low=50)
    figure = figures.power(told.logarithmic)
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    points, fitted = figure.data[0], figure.data[1]
    assert list(points.y) == list(told.main.points.mean)
    assert points.marker.symbol[0] == f"{style(told.main.points.meaning).marker}-open"
    assert set(points.marker.symbol[1:]) == {style(told.main.points.meaning).marker}
    assert list(fitted.x) == list(told.main.chosen)
    assert list(fitted.y) == pytest.approx(told.main.law.mstd(told.main.chosen).tolist())
    drawn = figure.data[-1]
    assert (drawn.name, drawn.mode) == ("paper's line", "lines")
    assert dict(zip(drawn.x, drawn.y, strict=True)) == told.logarithmic.paper
    assert figures.power(told.linear).layout.yaxis.type is None
    slopes = figures.slopes(told.slopes)
    assert [trace.x[0] for trace in slopes.data] == [*(each.law.slope.mean for each in told.slopes.lines), -0.3541]
    assert {line.x0 for line in slopes.layout.shapes} == {-0.3541, 0}
    assert slopes.layout.title.text == "Slopes of MSTD"


def test_without_the_papers_slope_only_zero_is_marked():
    told = shown(synthetic(), measure="MSTD / logit spread")
    figure = figures.slopes(told.slopes)
    assert [trace.y[0] for trace in figure.data] == [each.name for each in told.slopes.lines]
    assert {line.x0 for line in figure.layout.shapes} == {0}
    assert "MSTD" not in figure.layout.xaxis.title.text


def test_the_lines_beside_the_slopes_cross_no_name():
    figure = figures.slopes(shown(synthetic()).slopes)
    names = [name.y for name in figure.layout.annotations]
    assert len(figure.layout.shapes) == 2 * len(names)
    pixels = (figure.layout.height - 140) / len(names)  # a row's
    for line in figure.layout.shapes:
        assert line.x0 == line.x1
        row = round(line.y0)
        assert pixels * (row - line.y0) < figure.layout.annotations[0].yshift  # below its own row's name
        assert pixels * (row + 1 - line.y1) > figure.layout.annotations[0].yshift + 1.5 * lines.TEXT  # above the next one's


def test_the_prediction_is_drawn_by_both_readings():
    told = shown(synthetic(), low=50, high=400)
    info = figure3.prediction(told.main, told.y_title, 0.5)
    figure = figures.prediction(info)
    assert [list(trace.y) for trace in figure.data] == [list(told.main.points.mean), list(info.corrected), list(info.printed)]
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data[1:]}) == 2


def test_no_two_kinds_of_network_share_colour_or_marker():
    told = shown(synthetic())
    for figure in (figures.power(told.linear), figures.slopes(told.slopes), figures.counted(told.counted["incoming"])):
        marked = [trace for trace in figure.data if "markers" in trace.mode]
        symbols = [np.atleast_1d(trace.marker.symbol)[0] for trace in marked]
        assert len({trace.marker.color for trace in marked}) == len(set(symbols)) == len(marked) >= 4
    fitted = [trace.line.dash for trace in figures.power(told.logarithmic).data if trace.mode == "lines"]
    assert len(set(fitted[:4])) == 4
    assert len(figures.counted(told.counted["incoming"]).data) == 4


def test_what_has_no_line_and_one_seed_are_drawn_too():
    for told in (shown(synthetic(), low=25, high=50), shown(synthetic(seeds=1))):
        for info in (told.linear, told.logarithmic):
            figures.power(info)
        figures.slopes(told.slopes)
        for info in told.counted.values():
            figures.counted(info)
        figures.prediction(figure3.prediction(told.main, told.y_title, 0.7))
