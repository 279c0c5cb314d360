"""Figure 1 as charts: a metric against the rate, and what sampling adds to scaling."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.findings.series import Curves
from dropclust.ui.figures import lines


def levels(info: Curves) -> go.Figure:
    """Draw the ways to predict."""
    return lines.curves(info, 440)


def differences(info: Curves) -> go.Figure:
    """Draw differences with the line where there is none."""
    figure = lines.curves(info, 440)
    lines.level(figure, 0)
    return figure
