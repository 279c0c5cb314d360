"""Table 3's charts show what its findings hold."""

from __future__ import annotations

import pytest

from dropclust.experiments import table3 as experiment
from dropclust.findings import table3
from dropclust.ui.figures import lines
from dropclust.ui.figures import table3 as figures
from tests.findings.test_table3 import HALVES, table


def test_every_method_and_training_is_drawn_and_the_papers_losses():
    figure = figures.losses(table3.losses(table(), 600))
    assert [len(trace.x) for trace in figure.data] == [9, 9, 9, 2]
    assert [lost for lost, _ in figure.data[-1].customdata] == pytest.approx([35.8, 5.1])
    assert figure.data[0].customdata[0] == "16.00 (15.80 to 16.20)"
    assert len({trace.marker.symbol for trace in figure.data}) == len({trace.marker.color for trace in figure.data}) == 4


def test_no_two_curves_share_colour_or_dash():
    curve = table(2, widths=(700,), units=experiment.CURVE_UNITS)
    drawn = [trace for trace in lines.curves(table3.kept_curves(curve, "all")).data if trace.mode == "lines+markers"]
    assert len(drawn) == len({trace.line.color for trace in drawn}) == len({trace.line.dash for trace in drawn}) == 5


@pytest.mark.parametrize("part", HALVES, ids=["none", "one", "few"])
def test_every_figure_is_drawn_of_half_a_table(part):
    for h in experiment.UNITS:
        figures.losses(table3.losses(part, h)).to_json()
    for trained in experiment.TRAINED:
        lines.curves(table3.kept_curves(part, trained)).to_json()
