"""Boxes are moved apart as scikit-learn's isotonic regression with limits would move them."""

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from dropclust.core.apart import apart, astray


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


@pytest.mark.parametrize(
    ("ends", "lost"), [([50] * 4, True), ([50, 51, 52, 53], True), ([50, 50], False), ([20, 60, 110], False)]
)
def test_names_are_lost_where_many_lines_end_together(ends, lost):
    assert astray(ends, apart(ends, [24] * len(ends), 0, 200), far=20, near=8) == lost


def test_names_in_the_order_of_ends_that_are_apart_are_not_lost():
    ends = [100 + 10 * number for number in range(6)]
    moved = apart(ends, [24] * 6, 0, 400)
    assert sum(abs(at - end) > 20 for at, end in zip(moved, ends, strict=True)) >= 2
    assert not astray(ends, moved, far=20, near=8)
