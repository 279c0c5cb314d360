"""Curves over the time of training, with the moment at which dropout is switched."""

from __future__ import annotations

from textwrap import wrap

import plotly.graph_objects as go

from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves
from dropclust.ui.figures.lines import TEXT, curves
from dropclust.ui.style import style

_UPRIGHT = 26  # letters of an axis's name beside a plot that is as low as a phone shows it


def over_time(info: Curves, height: int = 420) -> go.Figure:
    """Draw one quantity over the examples shown; the line across is the switch."""
    figure = curves(info, height)
    if info.marker is not None:
        figure.add_annotation(
            x=info.marker, xanchor="right", xshift=-4, y=1, yref="paper", yanchor="top", text="switch", showarrow=False,
            font={"size": TEXT, "color": style(Meaning.CHOSEN).colour},
        )  # fmt: skip
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(title_text="<br>".join(wrap(info.y_title, _UPRIGHT)))
    return figure
