"""The bars of one image, and the way between two digits, drawn."""

from dropclust.core.uncertainty import MIXES
from dropclust.findings.reading import answers, turning
from dropclust.ui.figures import reading as figures
from tests.findings.planted import reading_of
from tests.ui.figures.looks import differ, looks

READING = reading_of([[0.9, 0.02]] * 3 + [[0.02, 0.9]] * 2, [0.5, 0.4])
ONE = reading_of([[0.7, 0.2]], [0.7, 0.2])


def test_the_bars_are_the_readings_numbers():
    drawn = figures.answers(answers(READING)).data
    assert {bar.name: tuple(bar.y) for bar in drawn} == {
        "scaled network": READING.scaled,
        "geometric mean": READING.geometric,
        "arithmetic mean": READING.mean,
        "votes of 5 masks (± standard error)": READING.votes,
    }
    assert len({bar.marker.pattern.shape for bar in drawn}) == 4  # without colours too
    assert len({bar.marker.color for bar in drawn}) == 4


def test_one_mask_is_one_in_the_chart():
    bars = figures.answers(answers(ONE)).data
    assert bars[-1].name == "vote of the one mask"
    assert bars[-1].error_y.array is None
    assert not [bar.name for bar in bars if "masks" in bar.name]


def test_the_way_is_drawn_with_its_three_lines():
    figure = figures.turning(turning([READING] * len(MIXES), (4, 9)).marked(0.5))
    assert figure.layout.title.text == "A 4 becomes a 9"
    assert differ(looks(figure))
    assert len(looks(figure)) == 3
