"""Every chart of Table 2 drawn from every odd table; lines of one chart differ in colour, and in dash or marker."""

import math

import pytest

from dropclust.findings import table2
from dropclust.ui.figures.lines import curves
from tests.findings.test_table2 import table, with_twins

CHARTS = ("rand", "adjusted", "accuracy", "corrected", "firing", "twins")


@pytest.mark.parametrize("seeds", [1, 2, 20])
@pytest.mark.parametrize("rates", [(0.4,), (0.0, 0.4, 0.8)])
@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_draws_every_odd_table(name, rates, seeds):
    info = getattr(table2.findings(with_twins(table(rates, seeds)), 1, 5, 100), name).marked(rates[0])
    figure = curves(info)
    drawn = {trace.name: trace for trace in figure.data if trace.name}
    for line in info.series:
        assert tuple(drawn[line.name].y) == line.mean
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == sum(not all(map(math.isnan, line.low)) for line in info.series)
    assert figure.layout.xaxis.title.text == "dropout rate"
    assert figure.layout.yaxis.title.text
    assert len(info.table()) >= len(rates)


@pytest.mark.parametrize("name", CHARTS)
def test_lines_differ_in_colour_and_in_more(name):
    figure = curves(getattr(table2.findings(with_twins(table()), 1, 5, 100), name))
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert len({line.line.color for line in lines}) == len(lines)
    assert len({(line.line.dash, line.marker.symbol) for line in lines}) == len(lines)
