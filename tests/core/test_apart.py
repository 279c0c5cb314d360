"""Boxes are moved apart as scikit-learn's isotonic regression with limits would move them."""

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from dropclust.core.apart import apart


@pytest.mark.parametrize("seed", range(30))
def test_boxes_are_moved_as_little_as_may_be(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    heights = rng.uniform(5, 40, n)
    places = np.sort(rng.uniform(-50, 450, n))
    moved = np.array(apart(places.tolist(), heights.tolist(), 0, 400))
    tops, bottoms = moved - heights / 2, moved + heights / 2
    assert (tops[1:] >= bottoms[:-1] - 1e-9).all()
    assert tops[0] >= -1e-9
    assert bottoms[-1] <= 400 + 1e-9
    room = np.cumsum(heights) - heights / 2
    nearest = isotonic_regression(places - room, y_min=0, y_max=400 - heights.sum())
    np.testing.assert_allclose(moved - room, nearest, atol=1e-9)


def test_boxes_that_are_apart_stay():
    assert apart([10, 30, 80], [20, 20, 10], 0, 100) == [10, 30, 80]
    assert apart([], [], 0, 100) == []
