"""The small picture of a layer's neurons: each neuron is in its place, and nothing but a shade is lost."""

import io

import numpy as np
import pytest
from PIL import Image

from dropclust.core.tiles import SHADES, lines_of
from dropclust.service.sheet import ACROSS, sheet


def levels(vectors):
    return np.asarray(Image.open(io.BytesIO(sheet(vectors))).convert("L"), dtype=float)


@pytest.mark.parametrize("d", [784, 100, 41, 40, 10, 1])
@pytest.mark.parametrize("h", [1, 10, 23])
def test_each_neuron_is_in_its_place(h, d):
    vectors = np.random.default_rng(0).uniform(-1, 1, (h, d))
    tiles, page = lines_of(vectors), levels(vectors)
    rows, columns = tiles.shape[1:]
    assert page.shape == (-(-h // ACROSS) * rows, ACROSS * columns)
    scale = np.quantile(np.abs(tiles), 0.995)
    for neuron, tile in enumerate(tiles):
        top, left = neuron // ACROSS * rows, neuron % ACROSS * columns
        there = (page[top : top + rows, left : left + columns] - 128) / 127 * scale
        assert np.abs(there - np.clip(tile, -scale, scale)).max() <= scale / SHADES / 2 + scale * 0.02


def test_a_layer_of_zeros_is_grey():
    assert (levels(np.zeros((5, 20))) == 128).all()


def test_a_layer_of_a_hundred_is_small():
    """A watcher may cost ten thousand bytes a second, and gets a picture every two seconds."""
    assert len(sheet(np.random.default_rng(0).normal(size=(100, 784)))) < 9_500
    assert len(sheet(np.random.default_rng(0).normal(size=(100, 100)))) < 5_500
