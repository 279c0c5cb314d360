"""A claim of the paper as data, and how rows judge it: one statistic a seed, a margin fixed beforehand, a rule, a control."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri, stdtr

from dropclust.core.intervals import Interval, mean_interval

LEVEL = 0.95
ALPHA = 1 - LEVEL
POWER = 0.8  # with which the seeds that would decide are reckoned
MOST_SEEDS = 1_000  # more than these are "more than", for nobody runs them

Tables = Mapping[str, pd.DataFrame]
# From an experiment's tables by name to one number a seed; a seed without one is left out.
Statistic = Callable[[Tables], "pd.Series[float]"]


class Rule(Enum):
    """What a statistic must do for its claim to hold; the bound is where a claim turns."""

    MORE = "more than the margin"
    AT_LEAST = "not below zero by more than the margin"
    EQUAL = "zero within the margin"


class Verdict(Enum):
    """What became of a claim."""

    HOLDS = "holds"
    CONTROL_TOO = "holds, but the control shows it too"
    NOT_SEEN = "not seen"
    OPPOSITE = "opposite"
    UNDECIDED = "undecided at this many seeds"
    NO_RESULT = "no result here"


@dataclass(frozen=True)
class Control:
    """The same statistic where the paper's reason is absent: if it is there as well, the reason is not shown by it.

    ``name`` completes "the same of ...".
    """

    name: str
    statistic: Statistic


@dataclass(frozen=True)
class Choice:
    """The claim under another choice that the paper leaves open, on the same rows."""

    name: str
    statistic: Statistic
    control: Control | None = None


@dataclass(frozen=True)
class Claim:
    """One claim, in our words.

    Parameters
    ----------
    key
        The experiment's name, a dot and a few words: stable, for links and tables.
    place
        Where the paper says it; begins with "ours" for what the paper does not say.
    statement
        One sentence that holds or does not.
    statistic
        One number a seed, in ``unit``, positive where the claim points.
    unit
        Of the statistic and the margin.
    margin
        Above 0: what counts as nothing. Fixed before fresh seeds were run.
    reason
        Why this margin.
    rule
        What must hold of the mean statistic.
    what
        What the statistic is, in words that complete "The ... is 1.2 points".
    digits
        Digits of the statistic that are worth writing.
    control
        Where the same must not be seen, or None.
    choices
        The same claim under other choices that the paper leaves open.
    per
        What one value belongs to: a seed, but for what is derived.
    """

    key: str
    place: str
    statement: str
    statistic: Statistic
    unit: str
    margin: float
    reason: str
    rule: Rule
    what: str
    digits: int = 2
    control: Control | None = None
    choices: tuple[Choice, ...] = ()
    per: str = "seed"

    def __post_init__(self) -> None:
        if not 0 < self.margin < math.inf:
            raise ValueError(f"margin of {self.key} must be above 0; got {self.margin!r}")

    @property
    def experiment(self) -> str:
        """The experiment that measures it."""
        return self.key.partition(".")[0]

    @property
    def ours(self) -> bool:
        """Whether we claim it, and not the paper."""
        return self.place.startswith("ours")

    @property
    def bound(self) -> float:
        """Where the claim turns; for EQUAL the upper of the two."""
        return -self.margin if self.rule is Rule.AT_LEAST else self.margin

    def shows(self, interval: Interval) -> bool:
        """Whether a whole interval satisfies the rule."""
        if self.rule is Rule.EQUAL:
            return -self.margin < interval.low and interval.high < self.margin
        return interval.low > self.bound


@dataclass(frozen=True)
class Judgement:
    """What a set of seeds says of a claim.

    Parameters
    ----------
    estimate
        Mean statistic and its 95 % Student t interval.
    control
        The control's, or None.
    p_value
        Two-sided, of the mean lying at its bound; NaN for one seed.
    p_adjusted
        The same after Holm's correction over all claims that were judged with it.
    tests
        How many those were.
    verdict
        What became of it.
    needed
        Seeds with which a mean so far from its bound, with values so spread, would be decided in `POWER` of cases, at the level
        that Holm's correction left for it; None where it is decided or no number of seeds can be reckoned.
    values
        The statistic by seed.
    why
        Why there is no result, else empty.
    """

    claim: Claim
    estimate: Interval
    control: Interval | None
    p_value: float
    p_adjusted: float
    tests: int
    verdict: Verdict
    needed: int | None
    values: Mapping[int, float]
    why: str = ""


def judge(claims: Sequence[Claim], tables: Mapping[str, Tables], missing: Mapping[str, str] | None = None) -> list[Judgement]:
    """Judge claims together, so that Holm's correction guards all of their verdicts at once.

    Each claim is tested at its bound, two-sided, by Student's t over seeds: a mean significantly on the claim's side of it
    makes the claim hold, one on the other side refutes it. Equality is two one-sided tests at half of the level. A claim that
    holds is held against its control: where the control's own 95 % interval satisfies the rule, the claim holds but shows
    nothing of its reason.

    Parameters
    ----------
    claims
        What to judge.
    tables
        By experiment, its tables by name.
    missing
        By experiment, why it has no tables.

    Returns
    -------
    list of Judgement
        In the order of ``claims``.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2).
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6), doi:10.1007/BF01068419.
    """
    found = [_measure(claim, tables.get(claim.experiment, {}), (missing or {}).get(claim.experiment, "")) for claim in claims]
    adjusted = holm([judgement.p_value for judgement in found])
    tests = sum(not math.isnan(judgement.p_value) for judgement in found)
    return [
        judgement if judgement.why else _decide(replace(judgement, p_adjusted=p, tests=tests))
        for judgement, p in zip(found, adjusted, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: the chance of any false alarm among all stays below the level that one is held against.

    NaN stays NaN and does not count.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    adjusted, most = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = most
    return adjusted


def p_at_bound(values: npt.ArrayLike, claim: Claim) -> float:
    """Two-sided p-value of the mean lying at the claim's bound; NaN for one value.

    Values that are all equal decide by themselves: 0 off the bound, 1 on it.
    """
    numbers = np.asarray(values, dtype=float)
    n, mean = len(numbers), float(numbers.mean())
    if n < 2:
        return math.nan
    distance = abs(mean) - claim.margin if claim.rule is Rule.EQUAL else mean - claim.bound
    spread = float(numbers.std(ddof=1)) / math.sqrt(n) if numbers.min() < numbers.max() else 0.0
    if not spread:
        return float(distance == 0)
    # For equality the nearer of the two bounds has the larger of the two one-sided p-values.
    return min(1.0, 2 * float(stdtr(n - 1, -abs(distance) / spread)))


def seeds_needed(estimate: Interval, values: npt.ArrayLike, claim: Claim, alpha: float = ALPHA) -> int | None:
    """Seeds that decide a mean so far from its bound, in `POWER` of cases; None when it lies on it or for one value."""
    numbers = np.asarray(values, dtype=float)
    if len(numbers) < 2:
        return None
    distance = abs(abs(estimate.mean) - claim.margin) if claim.rule is Rule.EQUAL else abs(estimate.mean - claim.bound)
    if not distance:
        return None
    deviations = float(ndtri(1 - alpha / 2) + ndtri(POWER)) * float(numbers.std(ddof=1)) / distance
    return max(2, math.ceil(min(deviations**2, MOST_SEEDS + 1.0)))


def _measure(claim: Claim, tables: Tables, why: str) -> Judgement:
    nothing = Interval(math.nan, math.nan, math.nan, 0, LEVEL)
    try:
        values = _finite(claim.statistic(tables))
        control = _finite(claim.control.statistic(tables)) if claim.control else None
    except (LookupError, ValueError, TypeError, ArithmeticError, RuntimeWarning):
        # A table is missing, or of another shape as one of a coarser grid is, or empty, or not of numbers.
        values, control = pd.Series(dtype=float), None
    if not len(values):
        why = why or "the table has not all the rows that it needs"
        return Judgement(claim, nothing, None, math.nan, math.nan, 0, Verdict.NO_RESULT, None, {}, why)
    estimate = mean_interval(values.to_numpy(), LEVEL)
    return Judgement(
        claim,
        estimate,
        mean_interval(control.to_numpy(), LEVEL) if control is not None and len(control) else None,
        p_at_bound(values.to_numpy(), claim),
        math.nan,
        0,
        Verdict.UNDECIDED,
        None,
        {int(seed): float(value) for seed, value in values.items()},  # type: ignore[call-overload]
        "",
    )


def _finite(values: pd.Series[float]) -> pd.Series[float]:
    return values[np.isfinite(values.astype(float))]


def _decide(judgement: Judgement) -> Judgement:
    claim, estimate = judgement.claim, judgement.estimate
    if not judgement.p_adjusted < ALPHA:  # NaN, of one seed, decides nothing
        # Holm multiplied the p-value, which is the same as a smaller level; and so many seeds as there are did not do.
        alpha = ALPHA * judgement.p_value / judgement.p_adjusted if judgement.p_adjusted else ALPHA
        needed = seeds_needed(estimate, [*judgement.values.values()], claim, alpha)
        return replace(judgement, needed=needed and max(needed, estimate.n + 1))
    on_its_side = abs(estimate.mean) < claim.margin if claim.rule is Rule.EQUAL else estimate.mean > claim.bound
    if on_its_side:
        too = judgement.control is not None and claim.shows(judgement.control)
        verdict = Verdict.CONTROL_TOO if too else Verdict.HOLDS
    elif claim.rule is not Rule.EQUAL and estimate.high < -claim.margin:
        verdict = Verdict.OPPOSITE
    else:
        verdict = Verdict.NOT_SEEN
    return replace(judgement, verdict=verdict, needed=None)
