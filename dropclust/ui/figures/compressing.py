"""One network made smaller, drawn: a digit through both networks."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.findings.compressing import Digit
from dropclust.findings.meaning import Meaning
from dropclust.ui.figures.lines import lay_out
from dropclust.ui.style import style


def digit(info: Digit) -> go.Figure:
    """Draw both networks' probabilities as bars side by side."""
    figure = go.Figure()
    for name, values, meaning, shape in (
        ("original", info.before, Meaning.BEFORE, ""),
        ("smaller", info.after, Meaning.AFTER, "/"),
    ):
        figure.add_bar(
            x=list(range(len(values))), y=values, name=name, hovertemplate="%{y:.3f}",
            marker={"color": style(meaning).colour, "pattern": {"shape": shape}},
        )  # fmt: skip
    lay_out(figure, f"A {info.truth}, classified by both", "digit", "probability", 340)
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(range=[0, 1])
    return figure.update_layout(barmode="group")
