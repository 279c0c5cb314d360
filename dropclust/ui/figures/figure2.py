"""Figure 2's figures: what its findings hold, drawn."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.findings.figure2 import NAMES, Chart, Sources
from dropclust.findings.meaning import NOISE, Meaning
from dropclust.ui.figures import lines
from dropclust.ui.style import style

_TICKS = [digit * 10.0**power for power in range(-6, 6) for digit in (1, 2, 5)]  # of a logarithmic axis
_PALE = 0.6  # opacity of the lines of a chart's second kind
_MODELS = {"no dropout": Meaning.NO_DROPOUT, "layer 3": Meaning.DROPOUT_LAST, "layers 2 and 3": Meaning.DROPOUT}


def chart(info: Chart) -> go.Figure:
    """Draw a chart: colour and marker tell the noise; where lines are of two kinds, dash and paleness tell the kind."""
    # On a phone the legend of many lines takes much of a chart's height.
    figure = lines.curves(info.curves, 400 if len(info.curves.series) <= len(NOISE) else 500)
    for line, kind in zip(info.curves.series, info.kinds, strict=bool(info.kinds)):
        look = style(line.meaning)
        colour = look.colour if kind == info.kinds[0] else look.tint(_PALE)
        figure.update_traces(line={"dash": style(kind).dash, "color": colour}, selector={"name": line.name})
    for noise, meaning in NOISE.items():
        own = [run for run in info.own if run.spec.noise == noise]
        lines.add_own(figure, own, "rate", "cross_entropy", meaning, NAMES[noise])
    if info.level is not None:
        lines.level(figure, info.level)
    figure.update_yaxes(type="log" if info.logarithmic else "linear", range=info.y_range)
    if info.logarithmic:
        figure.update_yaxes(
            title_text=f"{info.curves.y_title} (log axis)", tickvals=_TICKS, ticktext=[f"{tick:g}" for tick in _TICKS]
        )
    return figure


def sources(info: Sources, height: int = 420) -> go.Figure:
    """Draw model variance by what models differ in as points with their intervals, side by side by rate and place."""
    figure = go.Figure()
    for name, points in info.lines.items():
        look = style(next(meaning for end, meaning in _MODELS.items() if name.endswith(end)))
        figure.add_scatter(
            x=list(points), y=[point.mean for point in points.values()], name=name, mode="markers",
            marker={"symbol": look.marker, "size": 13, "color": look.colour},
            error_y=lines.bars(points.values(), width=8, thickness=2), hovertemplate="%{y:.3f}",
        )  # fmt: skip
    lines.lay_out(figure, "In what do the models differ?", "", f"model variance of {info.output}", height)
    figure.update_layout(scattermode="group")
    return figure.update_yaxes(rangemode="tozero")
