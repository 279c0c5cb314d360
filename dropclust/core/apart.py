"""Boxes on a line are moved apart, as little as may be: where names stand beside what they name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def apart(places: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of boxes moved as little as possible, in the sum of squares, so that none lies over another or beyond a limit.

    Parameters
    ----------
    places
        Where the boxes would stand, in ascending order, which they keep.
    heights
        Of the boxes, which fit between the limits together.
    low, high
        Between which they stand.

    Examples
    --------
    >>> apart([10, 12, 50], [8, 8, 8], 0, 100)
    [7.0, 15.0, 50.0]
    >>> apart([1, 2], [8, 8], 0, 100)
    [4.0, 12.0]
    """
    from scipy.optimize import isotonic_regression

    if not len(places):
        return []
    # Less the room of the boxes above it, a place may not come before the one above; with limits the nearest such places are
    # those without, cut at the limits.
    above = np.cumsum(heights) - np.asarray(heights) / 2
    free = isotonic_regression(np.asarray(places) - above).x
    moved: list[float] = (np.clip(free, low, high - sum(heights)) + above).tolist()
    return moved


def astray(places: Sequence[float], moved: Sequence[float], far: float, near: float) -> bool:
    """Whether two boxes stand far from what is one place to the eye: then their order says nothing, and neither is matched.

    Parameters
    ----------
    places
        Where the boxes would stand, in ascending order.
    moved
        Where they stand.
    far
        Beyond which distance from its place a box is not matched with it.
    near
        Below which distance two places are one.

    Examples
    --------
    >>> astray([10, 10, 10, 10], apart([10, 10, 10, 10], [24, 24, 24, 24], 0, 100), 20, 8)
    True
    >>> astray([10, 10], apart([10, 10], [24, 24], 0, 100), 20, 8)
    False
    >>> astray([10, 30, 50], [40, 60, 80], 20, 8)
    False
    """
    lost = [place for place, at in zip(places, moved, strict=True) if abs(place - at) > far]
    return any(below - above < near for above, below in pairwise(lost))
