"""How sure a mean over seeds is: Student t intervals, differences paired by seed, equality within a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit


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
