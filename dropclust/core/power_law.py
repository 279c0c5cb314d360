"""The power law of MSTD against width (paper 4.3.2): the line, what clusters would give, what a slope means. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from dropclust.core.intervals import Interval, mean_interval

Floats = npt.NDArray[np.float64]

CHANCES = {
    "equal": "1/k, k equal clusters",
    "printed": "k/h, as printed in the paper",
}


def _chance(chance: str) -> str:
    if chance not in CHANCES:
        raise ValueError(f"chance must be one of {', '.join(CHANCES)}; got {chance!r}")
    return chance


def _numbers(name: str, values: npt.ArrayLike, low: float, high: npt.ArrayLike, allowed: str) -> Floats:
    """The values as float64, refused when one of them lies outside ``low`` to ``high`` or is no number."""
    numbers = np.asarray(values, dtype=np.float64)
    inside = (numbers >= low) & (numbers <= np.asarray(high, dtype=np.float64))
    if not inside.all():
        wrong = np.broadcast_to(numbers, inside.shape)[~inside]
        raise ValueError(f"{name} must be {allowed}; got {float(wrong[0]):g}")
    return numbers


def _layer(h: npt.ArrayLike, k: npt.ArrayLike) -> tuple[Floats, Floats]:
    neurons = _numbers("h", h, 2, 1e12, "2 neurons or more")
    return neurons, _numbers("k", k, 1, neurons, "from 1 cluster to as many as there are neurons")


def same_cluster_chance(h: npt.ArrayLike, k: npt.ArrayLike, chance: str = "equal", finite: bool = True) -> Floats:
    """Chance that two different neurons of a layer share a cluster (between equations (3) and (4) of the paper).

    With k clusters of h / k neurons each, h / k - 1 of the h - 1 others share a neuron's cluster:
    (h/k - 1) / (h - 1), which tends to 1/k. The paper prints k/h, which grows with the number of clusters although more
    clusters mean fewer neighbours.

    Parameters
    ----------
    h
        Neurons, 2 or more; numbers or arrays that broadcast against ``k``.
    k
        Clusters, 1 to h; need not be whole.
    chance
        "equal" (k equal clusters) or "printed".
    finite
        With "equal": (h/k - 1) / (h - 1), or its limit 1/k.

    Raises
    ------
    ValueError
        When ``h``, ``k`` or ``chance`` is not allowed.
    """
    neurons, clusters = _layer(h, k)
    if _chance(chance) == "printed":
        return clusters / neurons
    return (neurons / clusters - 1) / (neurons - 1) if finite else 1 / clusters


def clustered_variance(
    h: npt.ArrayLike, k: npt.ArrayLike, sigma: npt.ArrayLike, chance: str = "equal", finite: bool = True
) -> Floats:
    """Var(h; k, sigma): variance of the mean of h clustered neurons, equations (3) and (4) of the paper.

    The neurons' outputs have mean 0 and variance 1, covariance sigma within a cluster and 0 across. Of the h^2 pairs (i, j)
    in the squared mean, h have i = j and h (h - 1) do not, so with P the chance that two neurons share a cluster

        Var = 1/h + (1 - 1/h) P sigma                                  (3)
            = (1 - sigma)/h + sigma/k      for k equal clusters, exactly
            -> sigma/k ~ h^-kappa          for k ~ h^kappa and large h

    whereas with the printed P = k/h, Var -> sigma k/h ~ h^(kappa - 1)  (4). (The printed (3) has 2/h^2 times a sum over
    j != k, which would count pairs twice; its last step is right.)

    Parameters
    ----------
    h
        Neurons, 2 or more; numbers or arrays that broadcast against ``k`` and ``sigma``.
    k
        Clusters, 1 to h; need not be whole (h ** kappa).
    sigma
        Covariance of two neurons of one cluster, 0 to 1.
    chance
        "equal" (corrected) or "printed", as in `same_cluster_chance`.
    finite
        The exact value for this h, or the leading term P sigma alone.

    Raises
    ------
    ValueError
        When ``h``, ``k``, ``sigma`` or ``chance`` is not allowed.
    """
    neurons, _ = _layer(h, k)
    pairs = same_cluster_chance(h, k, chance, finite) * _numbers("sigma", sigma, 0, 1, "from 0 to 1")
    return 1 / neurons + (1 - 1 / neurons) * pairs if finite else pairs


def slope_from_kappa(kappa: float, chance: str = "equal") -> float:
    """Slope of log MSTD against log h that k ~ h^kappa clusters would give: half that of `clustered_variance` at large h.

    Parameters
    ----------
    kappa
        Exponent of the number of clusters; the paper wants it in (0, 1).
    chance
        "equal": -kappa / 2. "printed": (kappa - 1) / 2.

    Raises
    ------
    ValueError
        When ``chance`` is not allowed.
    """
    return -kappa / 2 if _chance(chance) == "equal" else (kappa - 1) / 2


def kappa_from_slope(slope: float, chance: str = "equal") -> float:
    """Exponent kappa of the number of clusters, k ~ h^kappa, that a slope of log MSTD against log h would mean.

    MSTD is a standard deviation, so MSTD ~ h^slope is Var ~ h^(2 slope). Corrected, Var ~ 1/k ~ h^-kappa, hence
    kappa = -2 slope; as printed, Var ~ k/h ~ h^(kappa - 1), hence kappa = 1 + 2 slope. The paper's slope -0.354 means
    0.71 by the first and 0.29 by the second; both agree only at a slope of -1/4.

    Parameters
    ----------
    slope
        Of log MSTD on log h.
    chance
        "equal" (corrected) or "printed".

    Returns
    -------
    float
        Outside (0, 1) the slope is not one that clusters in the paper's sense can give.

    Raises
    ------
    ValueError
        When ``chance`` is not allowed.
    """
    return -2 * slope if _chance(chance) == "equal" else 1 + 2 * slope


@dataclass(frozen=True)
class PowerLaw:
    """A straight line through log MSTD against log h, and how sure it is.

    Parameters
    ----------
    slope
        Exponent a of MSTD = c h^a: mean over seeds, with its interval.
    intercept
        log c, natural logarithm: mean over seeds, with its interval. (The paper's 0.0958 does not say its base.)
    r_squared
        Of the line through the seeds' mean log MSTD, 0 to 1. Near 1 it does not say that the points lie straight.
    curvature
        Coefficient of (log h)^2 when it is fitted too: mean over seeds, with its interval.
    curvature_p_value
        Of no curvature, Student t over seeds, two-sided. Small: the points are bent, and the exponent depends on the range.
    widths
        The h fitted, in rising order.
    """

    slope: Interval
    intercept: Interval
    r_squared: float
    curvature: Interval
    curvature_p_value: float
    widths: tuple[float, ...]

    @property
    def exponent_change(self) -> Interval:
        """How much the exponent changes for every doubling of h: the curvature times 2 log 2."""
        c, factor = self.curvature, 2 * math.log(2)
        return replace(c, mean=factor * c.mean, low=factor * c.low, high=factor * c.high)

    def mstd(self, h: npt.ArrayLike) -> Floats:
        """The line's MSTD at widths ``h``: exp(intercept) h^slope."""
        line: Floats = self.intercept.mean + self.slope.mean * np.log(np.asarray(h, dtype=np.float64))
        return np.exp(line)


def fit_power_law(h: npt.ArrayLike, mstd_by_seed: npt.ArrayLike) -> PowerLaw:
    """Fit MSTD = c h^a by ordinary least squares of log MSTD on log h, seed by seed (paper Figure 3).

    Each seed gives a line of its own, and the intervals are Student's over seeds (for one seed, NaN ends and p value). Points
    of one seed depend on each other, so residuals about one line would promise too much, and a bootstrap over few seeds covers
    too little. Since all seeds have the same widths, the mean of their slopes is the slope of their mean log MSTD.

    Parameters
    ----------
    h
        Widths ``[w]``, 1 or more each, three or more different ones.
    mstd_by_seed
        MSTD ``[seeds, w]``, above 0.

    Raises
    ------
    ValueError
        When there are fewer than three different widths, an MSTD that is not above 0 (sampling at rate 0 gives that, and it
        has no logarithm), or shapes do not fit.
    """
    widths = _numbers("h", h, 1, 1e12, "widths of 1 or more")
    mstd = np.asarray(mstd_by_seed, dtype=np.float64)
    if widths.ndim != 1:
        raise ValueError(f"h must be a list of widths; got {list(widths.shape)}")
    if len(distinct := np.unique(widths)) < 3:
        raise ValueError(f"h must hold at least three different widths for a line to be judged; got {len(distinct)}")
    if mstd.ndim != 2 or mstd.shape[1] != len(widths) or len(mstd) == 0:
        raise ValueError(f"mstd_by_seed must be [seeds, {len(widths)}], a column a width; got {list(mstd.shape)}")
    if not (np.isfinite(mstd).all() and (mstd > 0).all()):
        raise ValueError(
            "mstd_by_seed must be finite and above 0, for zero has no logarithm (nothing varies at rate 0); "
            f"got {np.min(mstd):g}"
        )
    x, y = np.log(widths), np.log(mstd)  # [w], [seeds, w]
    middle = x.mean()
    slopes = y @ (x - middle) / np.square(x - middle).sum()  # [seeds]
    intercepts = y.mean(axis=1) - slopes * middle
    curvatures = np.polynomial.polynomial.polyfit(x - middle, y.T, 2)[2]  # [seeds]
    slope, intercept, curvature = (mean_interval(values) for values in (slopes, intercepts, curvatures))
    mean = y.mean(axis=0)
    around_mean = np.square(mean - mean.mean()).sum()
    around_line = np.square(mean - intercept.mean - slope.mean * x).sum()
    return PowerLaw(
        slope=slope,
        intercept=intercept,
        r_squared=float(1 - around_line / around_mean) if around_mean > 0 else 0.0,  # a flat line explains nothing
        curvature=curvature,
        curvature_p_value=_p_value_of_zero(curvatures),
        widths=tuple(float(width) for width in distinct),
    )


def _p_value_of_zero(values: Floats) -> float:
    """Two-sided Student t test that the mean is 0; NaN for one value, which cannot say."""
    if len(values) < 2:
        return math.nan
    # Points on a straight line leave only rounding, equal in every seed, which the test would take for a sure bend.
    if np.abs(values).max() < 1e-10:
        return 1.0
    error = values.std(ddof=1) / math.sqrt(len(values))
    return float(2 * stdtr(len(values) - 1, -abs(values.mean()) / error)) if error > 0 else 0.0
