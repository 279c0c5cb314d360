"""Figures of one network: sheets of neurons, chance beside its Rand index, learning curves."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dropclust.core import similarity
from dropclust.findings import network
from dropclust.ui.figures.network import diverging, learning_figure, neuron_sheet, nulls_figure
from dropclust.ui.style import palette


@pytest.mark.parametrize("units", [1, 3, 100])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_sheet_shows_every_neuron(layer, units):
    rng = np.random.default_rng(0)
    widths = [784, units, units, units, 10]
    weights = [rng.normal(size=(a, b)).astype(np.float32) for a, b in pairwise(widths)]
    labels = rng.integers(0, min(units, 3), units)
    labels = np.unique(labels, return_inverse=True)[1]
    info = network.neurons(weights, layer, labels, labels, [True] * units)
    sheet = Image.open(io.BytesIO(neuron_sheet(info)))
    columns = min(units, 20)
    lines, entries = info.pictures.shape[1:]
    # pixels that a weight is high and wide, and those between lines
    down, across, room = {
        (28, 28): (1, 1, 0), (4, 25): (6, 1, 1), (1, 10): (28, 3, 0), (1, 3): (28, 9, 0), (1, 1): (28, 28, 0),
    }[lines, entries]  # fmt: skip
    height, width = (down + room) * lines - room + 8, across * entries + 8
    assert sheet.size == (2 * width * columns, 2 * height * -(-units // columns))
    pixels = np.asarray(sheet)[::2, ::2]
    for neuron, shown in enumerate(diverging(info.pictures)):
        top, left = 4 + height * (neuron // columns), 4 + width * (neuron % columns)
        tile = pixels[top : top + height - 8, left : left + width - 8]
        for line in range(lines):  # each weight fills its rectangle
            at = (down + room) * line
            np.testing.assert_array_equal(tile[at : at + down], shown[line].repeat(across, axis=0)[None].repeat(down, axis=0))
            assert not tile[at + down : at + down + room, :, 3].any()  # the page's ground


@pytest.mark.parametrize("units", [21, 45, 100])
def test_two_halves_have_ten_tiles_in_a_row_and_together_all_of_them(units):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(a, b)).astype(np.float32) for a, b in pairwise([784, units, units, units, 10])]
    labels = np.unique(rng.integers(0, 10, units), return_inverse=True)[1]
    info = network.neurons(weights, 1, labels, labels, (rng.random(units) < 0.5).tolist())

    def tiles(image: bytes, count: int) -> list[bytes]:
        pixels = np.asarray(Image.open(io.BytesIO(image)))[::2, ::2]
        columns = pixels.shape[1] // 36
        cells = [
            pixels[36 * row : 36 * row + 36, 36 * at : 36 * at + 36]
            for row in range(len(pixels) // 36)
            for at in range(columns)
        ]
        return [cell.tobytes() for cell in cells[:count]]

    halves = [neuron_sheet(info, half=half) for half in (0, 1)]
    assert {Image.open(io.BytesIO(half)).size[0] for half in halves} == {2 * 10 * 36}
    first, rest = tiles(halves[0], -(-units // 2)), tiles(halves[1], units // 2)
    assert first + rest == tiles(neuron_sheet(info), units)


def test_tiles_of_a_very_wide_layer_stand_five_in_a_row():
    weights = [np.ones((784, 7)), np.ones((7, 7)), np.ones((7, 2_000)), np.ones((2_000, 10))]
    sheet = Image.open(io.BytesIO(neuron_sheet(network.neurons(weights, 2, [0] * 7, [0] * 7, [True] * 7))))
    assert sheet.size == (2 * 5 * (500 + 8), 2 * 2 * (27 + 8))


def test_blue_is_below_zero_and_orange_above():
    low, middle, high = diverging(np.array([-1.0, 0.0, 1.0]))
    assert (low[3], middle[3], high[3]) == (255, 0, 255)
    assert ["#" + bytes(colour[:3].tolist()).hex().upper() for colour in (low, high)] == list(palette()[:2])


@pytest.mark.parametrize("ground", [255, 20])
def test_between_its_ends_a_picture_goes_over_into_the_ground_in_light_and_in_dark(ground):
    shares = np.linspace(-1, 1, 21)
    shown = Image.new("RGBA", (21, 1), (ground,) * 3 + (255,))
    shown.alpha_composite(Image.fromarray(diverging(shares)[None]))
    ends = np.array([[int(c[at : at + 2], 16) for at in (1, 3, 5)] for c in palette()[:2]], float)
    for share, colour in zip(shares, np.asarray(shown)[0, :, :3], strict=True):
        np.testing.assert_allclose(colour, ground + (ends[int(share > 0)] - ground) * abs(share), atol=2)


def test_each_answer_to_what_chance_gives_is_a_point():
    labels = np.repeat([0, 1], 10)
    weak = similarity.ShuffledWeights(0.5, 0.4, 0.6, 0.0, -0.1, 0.1, 39)
    info = network.nulls(similarity.compare(labels, labels), weak)
    figure = nulls_figure(info)
    assert [trace.x[0] for trace in figure.data] == [row[1] for row in info.rows]
    assert len({trace.marker.symbol for trace in figure.data}) == 4


def test_a_curve_spans_all_that_will_be_seen():
    points = [{"examples": at, "loss": loss, "accuracy": 0.5} for at, loss in ((0, 2.3), (1152, 0.5))]
    info = network.learning([("a", points), ("b", [])])
    for what in ("loss", "accuracy"):
        figure = learning_figure(info, what, 2000)
        assert tuple(figure.data[0].y) == getattr(info, what)[0]
        assert tuple(figure.layout.xaxis.range) == (0, 2000)
    assert learning_figure(network.learning([]), "loss", 1).data == ()
