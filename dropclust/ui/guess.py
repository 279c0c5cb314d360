"""Guess first: what a viewer expected, the answer, and what the class expected before. It knows no page."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dropclust.ui import charts

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
        sentence = f"{what}: {answer:.2f}; by chance alone {chance:.2f}."
    else:
        off = abs(guess - answer)
        hit = "almost exactly" if off < 0.02 else f"{off:.2f} {'above' if guess > answer else 'below'} the answer"
        sentence = f"You expected {guess:.2f}: {hit}. {what}: {answer:.2f}; by chance alone {chance:.2f}."
    if others:
        middle = float(np.median(others))
        sentence += f" {len(others)} earlier guesses of this class lie around {middle:.2f}."
    return Compared(what, guess, answer, chance, others, sentence)


def compared_figure(info: Compared, height: int = 190) -> go.Figure:
    """Draw all of it on one line."""
    figure, colours = go.Figure(), charts.palette()
    # Spread upwards so that equal guesses do not hide each other; the height means nothing.
    order = np.argsort(info.others, kind="stable")
    heights = {int(at): 0.15 + 0.6 * (rank % 7) / 7 for rank, at in enumerate(order)}
    marks = [
        ("earlier guesses", info.others, [heights[i] for i in range(len(info.others))], "circle-open", charts.SECOND, 12),
        ("by chance", (info.chance,), [0.0], "line-ns-open", charts.CHANCE, 26),
        ("answer", (info.answer,), [0.0], "star-diamond", charts.MEASURED, 20),
    ]
    if info.guess is not None:
        marks.append(("your guess", (info.guess,), [0.0], "triangle-up", charts.PAPER, 20))
    for name, x, y, symbol, role, size in marks:
        if len(x):
            marker = {"symbol": symbol, "size": size, "color": colours[role], "line": {"width": 3, "color": colours[role]}}
            figure.add_scatter(x=x, y=y, name=name, mode="markers", marker=marker, hovertemplate="%{x:.2f}")
    charts.lay_out(figure, "", info.what, "", height)
    figure.update_yaxes(visible=False, range=[-0.25, 1])
    figure.update_xaxes(range=[0.45, 1.02])
    figure.update_layout(legend={"y": 1.2, "x": 0}, hovermode="closest", margin={"t": 10})
    return figure
