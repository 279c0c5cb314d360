"""The reliability diagram: accuracy against confidence, and how many images have each confidence."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dropclust.findings.meaning import Meaning
from dropclust.findings.reliability import PREDICTIONS, Reliability
from dropclust.ui.figures import lines
from dropclust.ui.style import style


def reliability(info: Reliability) -> go.Figure:
    """Draw accuracy against confidence with the line on which they are equal, and below it how many images each bin holds."""
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    equal = style(Meaning.CHANCE)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as often correct as sure: perfectly calibrated",
        line={"color": equal.colour, "width": 3, "dash": equal.dash}, hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    for name in info.calibration.errors:
        look, points, bins = style(PREDICTIONS[name]), info.points(name), info.calibration.of(name)
        figure.add_scatter(
            x=[point.confidence for point in points], y=[point.accuracy.mean for point in points], name=name,
            mode="lines+markers", line={"color": look.colour, "width": 3, "dash": look.dash},
            marker={"symbol": look.marker, "size": 10}, hovertemplate="%{y:.3f}", row=1, col=1,
            error_y=lines.bars((point.accuracy for point in points), width=4, thickness=1.5),
        )  # fmt: skip
        figure.add_bar(
            x=[(one.low + one.high) / 2 for one in bins], y=[one.images for one in bins], name=name,
            marker={"color": look.colour}, showlegend=False, hovertemplate="%{y:,}", row=2, col=1,
        )  # fmt: skip
    lines.lay_out(figure, "", "confidence (largest probability)", "", 560)
    figure.update_xaxes(title_text="", row=1, col=1)
    figure.update_yaxes(title_text="share that is correct", range=[0, 1.02], row=1, col=1)
    figure.update_yaxes(title_text="images", type="log", dtick=1, row=2, col=1)
    return figure.update_layout(bargap=0.1)
