"""Figure 1's charts: what is drawn is what is said, and lines differ by more than colour."""

import pytest

from dropclust.core.spec import NOISES
from dropclust.findings.figure1 import METRICS, figure1
from dropclust.ui.figures import figure1 as figures
from tests.findings.planted import figure1_table
from tests.ui.figures.looks import differ, looks


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_zero_line_is_drawn_with_the_differences(metric):
    info = figure1(figure1_table(), "dropconnect", metric).differences
    figure = figures.differences(info)
    [zero] = figure.layout.shapes
    assert zero.y0 == zero.y1 == 0
    assert [line.name for line in figure.data if line.name] == [line.name for line in info.series]


def test_a_noise_keeps_its_line_whichever_is_chosen():
    drawn = [looks(figures.differences(figure1(figure1_table(), noise).differences)) for noise in NOISES]
    assert drawn[0] == drawn[1] == drawn[2]
    assert differ(drawn[0])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_ways_to_predict_keep_their_lines(metric):
    shown = figure1(figure1_table(), "bernoulli", metric)
    asked, told = looks(figures.levels(shown.question)), looks(figures.levels(shown.levels))
    assert differ(told)
    assert asked.items() <= told.items()
    assert figures.levels(shown.levels).layout.yaxis.range == ((0, 1) if metric.column == "accuracy" else None)
