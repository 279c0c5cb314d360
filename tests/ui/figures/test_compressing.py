"""Charts of one network made smaller show what its findings hold."""

from __future__ import annotations

import numpy as np

from dropclust.findings import compressing
from dropclust.ui.figures import compressing as figures
from dropclust.ui.figures import lines
from tests.findings.test_compressing import answers, choice


def test_both_networks_stand_side_by_side():
    info = compressing.digit(answers(), 4)
    figure = figures.digit(info)
    assert [bars.name for bars in figure.data] == ["original", "smaller"]
    assert np.allclose(figure.data[1].y, info.table()["smaller"])
    assert len({(bars.marker.color, bars.marker.pattern.shape) for bars in figure.data}) == 2


def test_a_method_and_its_controls_differ_in_colour_and_dash():
    others = {name: {5: 0.1, 100: 0.96} for name in ("prune", "prune_least_squares", "random")}
    drawn = [trace for trace in lines.curves(compressing.held_curves(choice(), others, "paper", 40)).data if trace.name]
    assert len(drawn) == len({trace.line.color for trace in drawn}) == len({trace.line.dash for trace in drawn}) == 4
