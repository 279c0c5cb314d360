"""The one check that nearly every argument needs, and its sentence."""

from __future__ import annotations

import operator


def whole(name: str, value: object, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, also one of numpy's; a truth value is none.

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise ValueError(f"{name} must be a whole number from {low:,} to {high:,}; got {value!r}")
    return number
