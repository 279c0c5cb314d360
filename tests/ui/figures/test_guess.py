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


def test_equal_guesses_do_not_hide_each_other():
    figure = compared_figure(guess.compare("Rand", None, 0.8, 0.7, (0.75,) * 5))
    heights = next(trace.y for trace in figure.data if trace.name == "earlier guesses")
    assert len(set(heights)) == 5
