"""What a page's address may hold: a parameter, declared once, and what of a text it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from dropclust.core.spec import LIMITS

DECLARED = {"run"}  # names that some page's address may hold, of all pages that were opened in this process
_LARGEST = 2.0**53  # beyond it a browser's numbers are no longer whole


@dataclass(frozen=True)
class Parameter:
    """A piece of a page's state that the address bar holds.

    Parameters
    ----------
    name
        In the address, and key of its widget.
    label
        What a viewer reads.
    default
        Its value when the address says nothing.
    options
        The values allowed; empty when ``low`` and ``high`` say what is.
    low, high, step
        Inclusive limits and step of a number.
    show
        How a value is written for a viewer, and in the address.
    typed
        A number that is typed and may lie outside its limits: its page then says what is allowed, and what was typed stays.
    aliases
        Names that it had in older addresses: read as its own when the address does not have that.
    """

    name: str
    label: str
    default: Any
    options: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    show: Callable[[Any], str] = str
    help: str | None = None
    typed: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        DECLARED.update((self.name, *self.aliases))

    def parse(self, text: str) -> Any:
        """The value that a text of the address stands for.

        Raises
        ------
        ValueError
            One sentence: what is allowed, what was given.
        """
        for option in self.options:
            if text in (self.show(option), str(option)):
                return option
        kind = type(self.default)
        if not self.options:
            try:
                value = kind(text)
            except ValueError:
                value = None
            if value is not None and not abs(value) < _LARGEST:  # nan is not either
                value = None
            limits = None if self.low is None or self.high is None else (self.low, self.high)
            if value is not None and limits and (self.typed or limits[0] <= value <= limits[1]):
                return value
        elif kind is float:  # 0.40 for 0.4
            try:
                number = float(text)
            except ValueError:
                number = None
            for option in self.options:
                if number is not None and abs(option - number) < 1e-9:
                    return option
        raise ValueError(f"{self.label} must be {self._allowed()}; the address gave {text[:40]!r}")

    def _allowed(self) -> str:
        if not self.options:
            return f"from {self.low:,} to {self.high:,}"
        shown = [self.show(option) for option in self.options]
        if len(shown) > 8 and self.step:
            return f"from {shown[0]} to {shown[-1]} in steps of {self.step:g}"
        return f"one of {', '.join(shown)}"


class Limits(TypedDict):
    """The two limits of a number, as `Parameter` takes them."""

    low: float
    high: float


def within(name: str) -> Limits:
    """The limits of a field of a run."""
    low, high = LIMITS[name]
    return {"low": low, "high": high}
