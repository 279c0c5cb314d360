"""A guess beside the answer, drawn."""

import pytest

from dropclust.findings import guess
from dropclust.ui.figures.guess import compared_figure


@pytest.mark.parametrize(("value", "others"), [(0.9, ()), (None, ()), (None, (0.6, 0.8, 0.7)), (0.7, (0.7,))])
def test_every_number_is_drawn(value, others):
    figure = compared_figure(guess.compare("Rand", value, 0.83, 0.77, others))
    drawn = {trace.name: list(trace.x) for trace in figure.data}
    assert drawn["answer"] == [0.83]
    assert drawn.get("your guess") == (None if value is None else [value])
    assert drawn.get("earlier guesses", []) == list(others)
    assert len({trace.marker.color for trace in figure.data}) >= len(figure.data) - 1  # guesses share theirs
    assert len({trace.marker.symbol for trace in figure.data}) == len(figure.data)


def test_guesses_pile_up_where_they_fall_together():
    figure = compared_figure(guess.compare("Rand", None, 0.8, 0.7, (0.75, 0.6, 0.75, 0.752, 0.6)))
    heights = next(trace.y for trace in figure.data if trace.name == "earlier guesses")
    assert list(heights) == [1, 1, 2, 3, 2]


def test_the_pile_of_a_large_class_is_inside_the_chart():
    figure = compared_figure(guess.compare("Rand", None, 0.8, 0.7, (0.75,) * 30))
    assert figure.layout.yaxis.range[1] > 30
