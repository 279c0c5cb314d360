"""The reliability diagram, drawn; and that a way to predict looks the same on all charts of its page."""

import pytest
import torch

from dropclust.core.uncertainty import calibration
from dropclust.findings import reliability as said
from dropclust.findings.figure1 import METRICS, figure1
from dropclust.findings.settling import settled
from dropclust.ui.figures import figure1 as figures
from dropclust.ui.figures.reliability import reliability
from dropclust.ui.figures.settling import settling
from tests.findings.planted import figure1_table
from tests.findings.planted import settling as planted
from tests.ui.figures.looks import differ, looks

CERTAIN = said.reliability(calibration(dict.fromkeys(said.PREDICTIONS, torch.eye(10)), torch.arange(10)))


def test_bins_of_a_few_images_are_counted_and_not_drawn_as_points():
    probs = torch.full((12, 10), 0.05 / 9)
    probs[:, 0] = 0.95
    probs[0] = 0.05
    probs[0, 0] = 0.55
    info = said.reliability(calibration({"scaled": probs}, torch.zeros(12, dtype=torch.int64)))
    points, bars = reliability(info).data[1:]
    assert list(points.x) == pytest.approx([0.95])
    assert list(bars.y) == [1, 11]


def test_scaled_and_sampled_look_the_same_on_all_charts():
    whole = [figure1(figure1_table(), "bernoulli", metric) for metric in METRICS.values()]
    everywhere = [looks(figures.levels(info)) for shown in whole for info in (shown.levels, shown.question)]
    shown = settled(planted(exact=False), 10)
    everywhere += [looks(settling(info)) for info in (shown.logit, shown.mstd, shown.accuracy)]
    everywhere.append(looks(reliability(CERTAIN)))
    ways = {
        way: {look for chart in everywhere for name, look in chart.items() if name.startswith(begins)}
        for way, begins in (("scaled", "scaled"), ("sampled", ("sampled", "the first masks")), ("one mask", "one mask"))
    }
    assert [len(found) for found in ways.values()] == [1, 1, 1]
    assert len({dash for found in ways.values() for _, dash, _ in found}) == 3
    assert all(differ(chart) for chart in everywhere)
