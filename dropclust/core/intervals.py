"""How sure a number is: Student t intervals, differences and ratios paired by seed, equality within a margin.

Of scipy only `scipy.special` is imported: `scipy.stats` would cost the process that serves pages 23 MB for three formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri, stdtr, stdtrit


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval, in the unit of the values.

    Parameters
    ----------
    mean
        Mean of the values.
    low, high
        Ends of the interval; NaN with one value, equal to the mean when all values are equal.
    n
        How many values there were.
    level
        Confidence level, between 0 and 1.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float

    def text(self, digits: int = 3, of: str = "seed") -> str:
        """Write it for a reader: "0.912 (95 % interval 0.905 to 0.919, 20 seeds)" or "0.912 (one seed: no interval)".

        Parameters
        ----------
        digits
            Digits after the point.
        of
            What one value belongs to, in the singular.
        """
        if self.n == 1:
            return f"{self.mean:.{digits}f} (one {of}: no interval)"
        return (
            f"{self.mean:.{digits}f} ({100 * self.level:g} % interval {self.low:.{digits}f} to {self.high:.{digits}f}, "
            f"{self.n} {of}s)"
        )


@dataclass(frozen=True)
class Equivalence:
    """Whether two means are equal within a margin.

    Parameters
    ----------
    p_value
        The larger of the two one-sided p-values; NaN with one pair.
    difference
        Mean of first minus second, with its interval at level ``1 - 2 alpha``: the means are equivalent exactly when this
        interval lies inside the margin.
    equivalent
        ``p_value < alpha``.
    """

    p_value: float
    difference: Interval
    equivalent: bool


def _numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers; got {values!r}") from error
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"{name} must be a list of at least one number; got the shape {list(numbers.shape)}")
    if not np.isfinite(numbers).all():
        position = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(f"{name} must be finite numbers; got {numbers[position]} at position {position}")
    return numbers


def _share(name: str, value: float, high: float) -> float:
    if not 0 < value < high:
        raise ValueError(f"{name} must be between 0 and {high:g}, both excluded; got {value!r}")
    return float(value)


def _differences(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    first, second = _numbers("a", a), _numbers("b", b)
    if len(first) != len(second):
        raise ValueError(f"a and b must have one value a seed, in the same order; got {len(first)} and {len(second)} values")
    return first - second


def mean_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Mean of independent values and its Student t interval.

    ``mean +- t(1/2 + level/2; n-1) s / sqrt(n)``, with s the standard deviation of divisor n-1. It covers the true mean in
    ``level`` of all cases when the values are normal, at any n from 2 up.

    Parameters
    ----------
    values
        Numbers ``[n]``, one a seed.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        One value says nothing about its spread, so n=1 gives NaN ends. Equal values give ends equal to the mean: no spread was
        seen, which is no proof that there is none.

    Raises
    ------
    ValueError
        For no values, values that are not finite, or a level outside (0, 1).

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6(1).
    """
    numbers, level = _numbers("values", values), _share("level", level, 1)
    n = len(numbers)
    if n == 1:
        return Interval(float(numbers[0]), math.nan, math.nan, 1, level)
    if numbers.min() == numbers.max():  # summing equal values can round, so their spread is not computed
        value = float(numbers[0])
        return Interval(value, value, value, n, level)
    mean = float(numbers.mean())
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(numbers.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, level)


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Mean of ``a - b`` seed by seed, and its Student t interval.

    Pairing takes out what a seed does to both, which common random numbers make large.

    Parameters
    ----------
    a, b
        Numbers ``[n]``, one a seed, the same seeds in the same order.
    level
        Confidence level, between 0 and 1.

    Raises
    ------
    ValueError
        When the lengths differ, and as `mean_interval` does.
    """
    return mean_interval(_differences(a, b), level)


def equivalent(a: npt.ArrayLike, b: npt.ArrayLike, margin: float, alpha: float = 0.05) -> Equivalence:
    """Are two means equal within a margin? Two one-sided t tests, paired by seed.

    Not finding a difference is no evidence of equality; this is. The hypotheses "a - b is margin or more" and "a - b is
    -margin or less" are each tested at ``alpha``, and both must be refused.

    Parameters
    ----------
    a, b
        Numbers ``[n]``, one a seed, the same seeds in the same order.
    margin
        Largest difference of means that counts as none, in the unit of the values, above 0.
    alpha
        Chance of calling means equivalent that are not, between 0 and 0.5.

    Returns
    -------
    Equivalence
        One pair shows nothing: p-value NaN, not equivalent. Differences that are all equal decide by themselves: p-value 0
        inside the margin, 1/2 on it, 1 outside.

    Raises
    ------
    ValueError
        When the lengths differ, a value is not finite, or the margin or alpha is not allowed.

    References
    ----------
    Schuirmann (1987), A comparison of the two one-sided tests procedure and the power approach for assessing the equivalence
    of average bioavailability, Journal of Pharmacokinetics and Biopharmaceutics 15(6), doi:10.1007/BF01068419.
    """
    alpha, margin = _share("alpha", alpha, 0.5), _share("margin", margin, math.inf)
    values = _differences(a, b)
    difference = mean_interval(values, 1 - 2 * alpha)
    beyond = abs(difference.mean) - margin
    if difference.n == 1:
        p_value = math.nan
    elif difference.low == difference.high:
        p_value = 0.5 + 0.5 * float(np.sign(beyond))
    else:
        # The side on which the mean lies has the larger p-value of the two.
        p_value = float(stdtr(difference.n - 1, beyond / (values.std(ddof=1) / math.sqrt(difference.n))))
    return Equivalence(p_value, difference, p_value < alpha)


def side(interval: Interval, level: float = 0.0) -> int:
    """On which side of a level the whole interval lies: 1 above, -1 below, 0 where it holds the level or there is none.

    Examples
    --------
    >>> side(Interval(2.0, 1.5, 2.5, 20, 0.95)), side(Interval(2.0, 1.5, 2.5, 20, 0.95), level=2.0)
    (1, 0)
    """
    return int(interval.low > level) - int(interval.high < level)


def ratio_interval(over: npt.ArrayLike, under: npt.ArrayLike | None = None, level: float = 0.95) -> Interval:
    """Ratio of two means paired by seed, or one mean, with an interval that is never below zero.

    Delta method on the logarithm: log r +- t(1/2 + level/2; n-1) s / sqrt(n), where s is the standard deviation of
    over_i / mean(over) - under_i / mean(under). For jackknife pseudo-values it is the jackknife of the ratio's linear part.

    Parameters
    ----------
    over, under
        Numbers ``[n]``, one a seed, in the same order, with means above 0; ``under`` is 1 when it is None.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        The ends are NaN for one seed, and the ratio as well where a mean is not above 0.

    Examples
    --------
    >>> ratio_interval([2.0, 4.0], [1.0, 2.0]).mean
    2.0
    """
    a = np.asarray(over, dtype=float)
    b = np.ones_like(a) if under is None else np.asarray(under, dtype=float)
    n, tops, bottoms = len(a), float(a.mean()), float(b.mean())
    if min(tops, bottoms) <= 0:
        return Interval(math.nan, math.nan, math.nan, n, level)
    ratio = tops / bottoms
    if n == 1:
        return Interval(ratio, math.nan, math.nan, n, level)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float((a / tops - b / bottoms).std(ddof=1)) / math.sqrt(n)
    return Interval(ratio, ratio * math.exp(-half), ratio * math.exp(half), n, level)


def share_interval(count: int, n: int, level: float = 0.95) -> Interval:
    """A share ``count / n`` and its Wilson score interval, which stays inside [0, 1] at any share (scipy's).

    Raises
    ------
    ValueError
        For ``n`` below 1 or a count that is not from 0 to ``n``.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22(158).

    Examples
    --------
    >>> share_interval(0, 10).low
    0.0
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"a count must be from 0 to n, and n 1 or more; got {count} of {n}")
    z = float(ndtri(0.5 + _share("level", level, 1) / 2))
    middle = (count + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(count * (n - count) / n + z * z / 4)
    # At the very ends the formula gives 0 and 1 but for rounding.
    low, high = (0.0 if count == 0 else middle - half), (1.0 if count == n else middle + half)
    return Interval(count / n, low, high, n, level)


def median_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Median and its distribution-free interval by order statistics, which covers it in at least ``level`` of cases.

    The ends are NaN where order statistics give none: below six values at 95 %.

    Raises
    ------
    ValueError
        For no values, or values that are not finite.

    Examples
    --------
    >>> median_interval([3.0, 1.0, 2.0]).mean
    2.0
    """
    numbers = np.sort(_numbers("values", values))
    n = len(numbers)
    tail = (1 - _share("level", level, 1)) / 2
    below = bdtr(np.arange(n + 1), n, 0.5)  # chance that at most so many of the values lie below the median
    first, last = int(np.searchsorted(below, tail)) - 1, int(np.searchsorted(below, 1 - tail))
    low, high = (numbers[first] if first >= 0 else math.nan), (numbers[last] if last < n else math.nan)
    return Interval(float(np.median(numbers)), float(low), float(high), n, level)


def slope_interval(x: npt.ArrayLike, y: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Slope of one straight line and the interval that the scatter about it gives (least squares).

    Student t with n - 2 degrees of freedom; it takes the trend to be a straight line.

    Parameters
    ----------
    x, y
        Numbers ``[n]``, three or more.
    level
        Confidence level, between 0 and 1.

    Raises
    ------
    ValueError
        For values that are not finite, lists of unequal length, and ``x`` that are all the same.

    Examples
    --------
    >>> slope_interval([0.0, 1.0, 2.0], [0.0, 2.0, 4.0]).mean
    2.0
    """
    at, values = _numbers("x", x), _numbers("y", y)
    n = len(at)
    if len(values) != n or n < 2 or np.ptp(at) == 0:
        raise ValueError(f"a line needs x and y of equal length, and two different x; got {n} x and {len(values)} y")
    from_middle = at - at.mean()
    spread = float(from_middle @ from_middle)
    slope = float(from_middle @ values) / spread
    left = values - values.mean() - slope * from_middle
    half = float(stdtrit(n - 2, 0.5 + level / 2)) * math.sqrt(float(left @ left) / (n - 2) / spread) if n > 2 else math.nan
    return Interval(slope, slope - half, slope + half, n, level)


def prediction_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Mean of independent normal values, and where one more of them lies in ``level`` of all cases.

    ``mean +- t(1/2 + level/2; n-1) s sqrt(1 + 1/n)`` (Whitmore 1986); the ends are NaN for one value.

    Examples
    --------
    >>> round(prediction_interval([0.0, 1.0, 2.0]).high, 2)
    5.97
    """
    numbers = _numbers("values", values)
    n, mean = len(numbers), float(numbers.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, level)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(numbers.std(ddof=1)) * math.sqrt(1 + 1 / n)
    return Interval(mean, mean - half, mean + half, n, level)


def deleted_residuals(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far each value lies from the straight line through the other values of its row (Cook and Weisberg 1982, 2.1).

    The residual about the line through all, divided by 1 - leverage.

    Parameters
    ----------
    x
        Numbers ``[n]``, three or more that differ.
    y
        Numbers ``[rows, n]``.

    Returns
    -------
    array
        ``[rows, n]``, in units of ``y``; below the line is negative.

    Examples
    --------
    >>> deleted_residuals([0, 1, 2], [[0, 1, 5]]).round(6).tolist()
    [[3.0, -1.5, 3.0]]
    """
    at, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    centred = at - at.mean()
    fitted = values.mean(1, keepdims=True) + slopes(at, values)[:, None] * centred
    away: npt.NDArray[np.float64] = (values - fitted) / (1 - 1 / len(at) - centred**2 / (centred @ centred))
    return away


def slopes(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Least-squares slope of each row of ``y`` over the common ``x``.

    Parameters
    ----------
    x
        Numbers ``[n]``, not all equal.
    y
        Numbers ``[rows, n]``.

    Returns
    -------
    array
        ``[rows]``, in units of ``y`` a unit of ``x``.

    Examples
    --------
    >>> slopes([0, 1, 2], [[0, 2, 4], [1, 1, 1]]).tolist()
    [2.0, 0.0]
    """
    centred = np.asarray(x, dtype=float) - np.mean(np.asarray(x, dtype=float))
    found: npt.NDArray[np.float64] = np.asarray(y, dtype=float) @ centred / (centred @ centred)
    return found
