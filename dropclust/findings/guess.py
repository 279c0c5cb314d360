"""Guess first: what a viewer expected, the answer, and what the class expected before."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dropclust.findings import words

ALMOST = 0.02  # a guess nearer than this is almost exact; of whole numbers, nearer than 2
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
    """A guess beside the answer.

    Parameters
    ----------
    what
        What was guessed, in words.
    guess
        None for a viewer who skipped it.
    answer
        What is.
    chance
        What chance alone gives; None where there is no such level.
    others
        The class's earlier guesses.
    sentence
        All of it in words.
    """

    what: str
    guess: float | None
    answer: float
    chance: float | None
    others: tuple[float, ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a number shown."""
        rows = [("answer", self.answer)]
        rows += [] if self.chance is None else [("by chance", self.chance)]
        rows += [] if self.guess is None else [("your guess", self.guess)]
        rows += [("an earlier guess", other) for other in self.others]
        return pd.DataFrame(rows, columns=["", self.what])


def compare(
    what: str, guess: float | None, answer: float, chance: float | None, others: tuple[float, ...], digits: int = 2
) -> Compared:
    """Put a guess, the answer, chance and the earlier guesses side by side; ``digits`` after the point are told.

    Examples
    --------
    >>> compare("Neurons with a twin", 30, 44, None, (10, 20), digits=0).sentence
    'You expected 30: 14 below the answer. Neurons with a twin: 44. 2 guesses made here before lie around 15.'
    """
    sentence = ""
    if guess is not None:
        off = abs(guess - answer)
        above = "above" if guess > answer else "below"
        hit = "almost exactly" if off < ALMOST * 10 ** (2 - digits) else f"{words.number(off, digits)} {above} the answer"
        sentence = f"You expected {words.number(guess, digits)}: {hit}. "
    by_chance = "" if chance is None else f"; by chance alone {words.number(chance, digits)}"
    sentence += f"{what}: {words.number(answer, digits)}{by_chance}."
    if others:
        lie = "lies" if len(others) == 1 else "lie"
        middle = words.number(float(np.median(others)), digits)
        # Whose they are is not known: nobody else need have guessed but who asks, earlier.
        sentence += f" {words.count(len(others), 'guess', 'guesses')} made here before {lie} around {middle}."
    return Compared(what, guess, answer, chance, others, sentence)
