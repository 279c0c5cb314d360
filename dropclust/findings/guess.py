"""Guess first: what a viewer expected, the answer, and what the class expected before."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dropclust.findings import words

ALMOST = 0.02  # a guess as near as this is almost exact
REMEMBERED = 500  # guesses of a class, in the server's memory alone


class Guesses:
    """The guesses of all viewers of this process, the oldest forgotten first; safe to use from many sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, value: float) -> None:
        """Remember one."""
        with self._lock:
            self._values.append(value)

    def all(self) -> tuple[float, ...]:
        """All that are remembered, in their order."""
        with self._lock:
            return tuple(self._values)

    def others(self, own: float) -> tuple[float, ...]:
        """All but one's own: one guess of that value is left out, where it is still remembered."""
        values = list(self.all())
        if own in values:
            values.remove(own)
        return tuple(values)


@dataclass(frozen=True)
class Compared:
    """A guess beside the answer; ``guess`` is None for a viewer who skipped it, ``others`` are the class's earlier ones."""

    what: str
    guess: float | None
    answer: float
    chance: float
    others: tuple[float, ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a number shown."""
        rows = [("answer", self.answer), ("by chance", self.chance)]
        rows += [] if self.guess is None else [("your guess", self.guess)]
        rows += [("an earlier guess", other) for other in self.others]
        return pd.DataFrame(rows, columns=["", self.what])


def compare(what: str, guess: float | None, answer: float, chance: float, others: tuple[float, ...]) -> Compared:
    """Put a guess, the answer, chance and the earlier guesses side by side."""
    if guess is None:
        sentence = ""
    else:
        off = abs(guess - answer)
        above = "above" if guess > answer else "below"
        hit = "almost exactly" if off < ALMOST else f"{words.number(off)} {above} the answer"
        sentence = f"You expected {words.number(guess)}: {hit}. "
    sentence += f"{what}: {words.number(answer)}; by chance alone {words.number(chance)}."
    if others:
        lie = "lies" if len(others) == 1 else "lie"
        middle = words.number(float(np.median(others)))
        sentence += f" {words.count(len(others), 'earlier guess', 'earlier guesses')} of this class {lie} around {middle}."
    return Compared(what, guess, answer, chance, others, sentence)
