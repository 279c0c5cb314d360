"""Weights as small pictures: pixels are pooled, the largest weights have the outermost shades, and letters keep them."""

import numpy as np
import pytest

from dropclust.core.tiles import SHADES, lines_of, shades_of, shown_weights


def test_pixels_are_the_mean_of_four():
    image = np.arange(784, dtype=float).reshape(1, 784)
    assert lines_of(image)[0, 0, 0] == (0 + 1 + 28 + 29) / 4


def test_the_largest_are_the_outermost_shades_but_for_one_in_two_hundred():
    vectors = np.linspace(-1, 1, 2_000).reshape(20, 100)
    shades = shades_of(vectors)
    assert (shades.min(), shades.max()) == (-SHADES, SHADES)
    assert np.abs(shades.reshape(20, 100) / SHADES - vectors).max() <= 0.5 / SHADES + 0.01
    vectors[0, 0] = 1e6  # one alone moves nothing
    assert (shades_of(vectors)[1:] == shades[1:]).mean() > 0.99


def test_no_weights_are_no_ink():
    assert not shades_of(np.zeros((3, 10))).any()


@pytest.mark.parametrize(("layer", "width"), [(1, 784), (2, 5), (3, 10)])
def test_the_first_layer_is_drawn_by_its_pixels_and_others_by_what_they_send(layer, width):
    shapes = (784, 4), (4, 4), (4, 5), (5, 10)
    weights = [np.ones(shape) for shape in shapes]
    assert shown_weights(weights, [np.ones(shape[1]) for shape in shapes], layer).shape[1] == width
