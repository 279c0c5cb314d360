"""Boxes on a line are moved apart, as little as may be: where names stand beside what they name."""

from __future__ import annotations

from collections.abc import Sequence

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
