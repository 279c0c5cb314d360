"""A guess, the answer and chance on one line, and over it the class's earlier guesses piled up: a histogram that fills."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go

from dropclust.findings.guess import Compared
from dropclust.findings.meaning import Meaning
from dropclust.ui.figures.lines import lay_out
from dropclust.ui.style import style

BINS = 50  # of the axis: guesses in one are piled up


def compared_figure(info: Compared, height: int = 240) -> go.Figure:
    """Draw all of it on one line."""
    figure = go.Figure()
    low, high = (0.45, 1.02) if info.chance is not None else (-3.0, 103.0)  # an index with its chance level, or a count of 100
    # Each guess lies on those that fell into its bin before, so that none hides another and the pile tells how many.
    piles: Counter[int] = Counter()
    heights = []
    for guess in info.others:
        piles[place := round(BINS * guess / (high - low))] += 1
        heights.append(float(piles[place]))
    marks = [
        ("earlier guesses", info.others, heights, Meaning.OTHERS_GUESS, 12),
        ("by chance", () if info.chance is None else (info.chance,), [0.0], Meaning.CHANCE, 26),
        ("answer", (info.answer,), [0.0], Meaning.MEASURED, 20),
    ]
    if info.guess is not None:
        marks.append(("your guess", (info.guess,), [0.0], Meaning.GUESS, 20))
    for name, x, y, meaning, size in marks:
        if len(x):
            look = style(meaning)
            marker = {"symbol": look.marker, "size": size, "color": look.colour, "line": {"width": 3, "color": look.colour}}
            figure.add_scatter(x=x, y=y, name=name, mode="markers", marker=marker, hovertemplate="%{x:.4g}")
    lay_out(figure, "", info.what, "", height)
    figure.update_yaxes(visible=False, range=[-1, 1 + max(6, *piles.values())] if piles else [-1, 7])
    figure.update_xaxes(range=[low, high])
    figure.update_layout(legend={"y": 1.02, "x": 0, "yanchor": "bottom"}, hovermode="closest")
    return figure
