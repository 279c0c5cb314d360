"""A guess, the answer, chance and the class's earlier guesses, on one line."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dropclust.findings.guess import Compared
from dropclust.findings.meaning import Meaning
from dropclust.ui.figures.lines import lay_out
from dropclust.ui.style import style


def compared_figure(info: Compared, height: int = 190) -> go.Figure:
    """Draw all of it on one line."""
    figure = go.Figure()
    # Spread upwards so that equal guesses do not hide each other; the height means nothing.
    order = np.argsort(info.others, kind="stable")
    heights = {int(at): 0.15 + 0.6 * (rank % 7) / 7 for rank, at in enumerate(order)}
    marks = [
        ("earlier guesses", info.others, [heights[i] for i in range(len(info.others))], Meaning.OTHERS_GUESS, 12),
        ("by chance", (info.chance,), [0.0], Meaning.CHANCE, 26),
        ("answer", (info.answer,), [0.0], Meaning.MEASURED, 20),
    ]
    if info.guess is not None:
        marks.append(("your guess", (info.guess,), [0.0], Meaning.GUESS, 20))
    for name, x, y, meaning, size in marks:
        if len(x):
            look = style(meaning)
            marker = {"symbol": look.marker, "size": size, "color": look.colour, "line": {"width": 3, "color": look.colour}}
            figure.add_scatter(x=x, y=y, name=name, mode="markers", marker=marker, hovertemplate="%{x:.2f}")
    lay_out(figure, "", info.what, "", height)
    figure.update_yaxes(visible=False, range=[-0.25, 1])
    figure.update_xaxes(range=[0.45, 1.02])
    figure.update_layout(legend={"y": 1.02, "x": 0, "yanchor": "bottom"}, hovermode="closest")
    return figure
