"""How one network's predictions settle, as charts over the number of masks."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.findings.series import Curves
from dropclust.ui.figures import lines


def settling(info: Curves, log_y: bool = False) -> go.Figure:
    """Draw curves over the number of masks, which is spread logarithmically; ``log_y`` spreads the other axis so, too."""
    figure = lines.curves(info, 400)
    figure.update_xaxes(type="log", tickvals=[1, 10, 100, 1000], ticktext=["1", "10", "100", "1,000"])
    if log_y:
        figure.update_yaxes(type="log", dtick=1)
    return figure
