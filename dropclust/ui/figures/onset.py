"""Curves over the time of training, with the moment at which dropout is switched."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves
from dropclust.ui.figures.lines import TEXT, curves
from dropclust.ui.style import style


def over_time(info: Curves, height: int = 420) -> go.Figure:
    """Draw one quantity over the examples shown; the line across is the switch."""
    figure = curves(info, height)
    if info.marker is not None:
        figure.add_annotation(
            x=info.marker, y=1, yref="paper", yanchor="bottom", text="switch", showarrow=False,
            font={"size": TEXT, "color": style(Meaning.CHOSEN).colour},
        )  # fmt: skip
    return figure.update_xaxes(rangemode="tozero")
