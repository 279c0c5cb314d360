"""Numbers as text: the one place where a number, an interval, a count or a share is written for a reader."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dropclust.core.intervals import Interval, side


@dataclass(frozen=True)
class Number:
    """A quantity for a reader: its name, its value as text, and what it is.

    ``change`` is what stands below it, such as its difference to another; ``better`` says whether more of it is good
    ("normal"), bad ("inverse"), or neither.
    """

    name: str
    value: str
    about: str = ""
    change: str = ""
    better: Literal["normal", "inverse", "off"] = "off"


def number(value: float, digits: int = 2, signed: bool = False) -> str:
    """Write a number with a fixed count of digits; what rounds to zero has no sign.

    Examples
    --------
    >>> number(-0.004), number(0.126, signed=True)
    ('0.00', '+0.13')
    """
    if math.isnan(value):
        return "no number"
    value = round(value, digits) + 0.0  # +0.0 takes the sign off a zero
    return f"{value:+.{digits}f}" if signed and value else f"{value:.{digits}f}"


def bare(value: float, digits: int = 2) -> str:
    """Write a share as the paper does, without a leading zero, and a true minus sign before a negative one.

    Examples
    --------
    >>> bare(0.79), bare(-0.014), bare(-0.004), bare(1.0)
    ('.79', '−.01', '.00', '1.00')
    """
    if math.isnan(value):
        return "no number"
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + text.removeprefix("0")


def count(n: int, what: str, plural: str = "") -> str:
    """Write a count with its noun, in the plural where it is one: with an s, or as given.

    Examples
    --------
    >>> count(1, "seed"), count(2_000, "mask")
    ('1 seed', '2,000 masks')
    """
    return f"{n:,} {what if n == 1 else plural or f'{what}s'}"


def amount(value: float, unit: str = "") -> str:
    """Write a plain number with its unit, which is in the singular for one of it.

    Examples
    --------
    >>> amount(1, "percentage points a doubling"), amount(0.5, "points"), amount(0.05)
    ('1 percentage point a doubling', '0.5 points', '0.05')
    >>> amount(1, "of the living neurons")
    '1 of the living neurons'
    """
    if value == 1 and not unit.startswith("of "):
        unit = re.sub(r"s\b", "", unit, count=1)
    return f"{value:g} {unit}".strip()


def listed(items: Iterable[object]) -> str:
    """Join items as people say them.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed([])
    ('a, b and c', 'none')
    """
    *first, last = [str(item) for item in items] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def which(values: Sequence[float]) -> str:
    """Say how many values there are, and which.

    Examples
    --------
    >>> which([0.1, 0.2]), which([])
    ('2 (0.1 and 0.2)', 'none')
    """
    return f"{len(values)} ({listed(f'{value:g}' for value in values)})" if values else "none"


def ends(interval: Interval, digits: int = 2, signed: bool = False) -> str:
    """Write the two ends of an interval: "0.90 to 0.92"; "no interval" where there is none."""
    if math.isnan(interval.low):
        return "no interval"
    return f"{number(interval.low, digits, signed)} to {number(interval.high, digits, signed)}"


def brief(interval: Interval, digits: int = 2, signed: bool = False) -> str:
    """Write a mean and its interval for a cell or a second mention.

    Examples
    --------
    >>> brief(Interval(0.912, 0.905, 0.919, 20, 0.95)), brief(Interval(0.912, math.nan, math.nan, 1, 0.95))
    ('0.91 (0.91 to 0.92)', '0.91')
    """
    mean = number(interval.mean, digits, signed)
    return mean if math.isnan(interval.low) else f"{mean} ({ends(interval, digits, signed)})"


def plus_minus(interval: Interval, digits: int = 2) -> str:
    """Write a mean and half the width of its interval: "0.91 ± 0.01"."""
    if math.isnan(interval.low):
        return number(interval.mean, digits)
    return give_or_take(interval.mean, (interval.high - interval.low) / 2, digits)


def give_or_take(value: float, error: float, digits: int = 2, signed: bool = False) -> str:
    """Write a value and how far it may be off.

    Examples
    --------
    >>> give_or_take(2.104, 0.2), give_or_take(0.5, 0.02, 1, signed=True)
    ('2.10 ± 0.20', '+0.5 ± 0.0')
    """
    return f"{number(value, digits, signed)} ± {number(error, digits)}"


def full(interval: Interval, digits: int = 3, what: str = "seed", signed: bool = False, unit: str = "") -> str:
    """Write a mean, its interval and what it is over, as a sentence needs it once.

    Parameters
    ----------
    interval
        Mean and interval.
    digits
        Digits after the point.
    what
        What one value belongs to, in the singular.
    signed
        Whether a number above zero has its sign, as differences do.
    unit
        Written after the mean.

    Examples
    --------
    >>> full(Interval(0.912, 0.905, 0.919, 20, 0.95))
    '0.912 (95 % interval 0.905 to 0.919, 20 seeds)'
    >>> full(Interval(1.5, math.nan, math.nan, 1, 0.95), 1, signed=True, unit="points")
    '+1.5 points (one seed: no interval)'
    """
    mean = number(interval.mean, digits, signed) + (f" {unit}" if unit else "")
    if math.isnan(interval.low):
        return f"{mean} ({'one' if interval.n == 1 else interval.n} {what}{'' if interval.n == 1 else 's'}: no interval)"
    return f"{mean} ({100 * interval.level:g} % interval {ends(interval, digits, signed)}, {count(interval.n, what)})"


def sides(intervals: Iterable[Interval], level: float = 0.0, what: str = "") -> str:
    """Say at how many settings the whole interval lies below a level, above it, or neither.

    Examples
    --------
    >>> sides([Interval(-1, -2, -0.5, 9, 0.95), Interval(0, -1, 1, 9, 0.95)], what=" rates")
    'lower at 1 of 2 rates, higher at 0, no significant difference at 1'
    """
    found = [side(interval, level) for interval in intervals]
    below, above, neither = (found.count(which) for which in (-1, 1, 0))
    text = f"lower at {below} of {len(found)}{what}, higher at {above}"
    return text + (f", no significant difference at {neither}" if neither else "")


def p_value(p: float) -> str:
    """Write a p-value, as far as anybody cares.

    Examples
    --------
    >>> p_value(0.00001), p_value(0.0312)
    ('p < .001', 'p = .031')
    """
    if math.isnan(p):
        return "no p-value"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def percent(share: float, digits: int = 0, signed: bool = False) -> str:
    """Write a share as a percentage, rounded as `bare` rounds the share itself.

    Examples
    --------
    >>> percent(0.126), percent(0.1, 1, signed=True)
    ('13 %', '+10.0 %')
    >>> percent(0.1135, 1), bare(0.1135, 3)
    ('11.4 %', '.114')
    """
    return f"{number(100 * round(share, digits + 2), digits, signed)} %"


def unbroken(text: str) -> str:
    """The text with each per cent sign kept on its number's line.

    Examples
    --------
    >>> unbroken("95.7 %") == "95.7" + chr(160) + "%"
    True
    """
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def share(value: float) -> str:
    """Write a share from 0 to 1 as a percentage; what is not quite all or nothing does not look so.

    Examples
    --------
    >>> share(0.001), share(0.126), share(0.999), share(1.0)
    ('under 1 %', '13 %', 'over 99 %', '100 %')
    """
    if 0 < value < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 <= value < 1 else percent(value)


def a_digit(digit: int) -> str:
    """Write a digit with its article.

    Examples
    --------
    >>> a_digit(8), a_digit(3)
    ('an 8', 'a 3')
    """
    return f"an {digit}" if digit == 8 else f"a {digit}"


def capital(text: str) -> str:
    """Begin a sentence: the first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def over(n: int, what: str = "seed") -> str:
    """Say once what the intervals of a list are over.

    Examples
    --------
    >>> over(20), over(1)
    ('95 % intervals over 20 seeds', 'one seed: no interval')
    """
    return f"95 % intervals over {count(n, what)}" if n > 1 else f"one {what}: no interval"
