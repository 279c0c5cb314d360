"""Figure 3 drawn: MSTD against width with its power laws, their slopes, what clusters would give, and clusters counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dropclust.findings.figure3 import Counted, Line, PowerChart, Prediction, Slopes
from dropclust.findings.meaning import Meaning
from dropclust.ui.figures.lines import BESIDE_ROW, bars, lay_out, name_rows, upright
from dropclust.ui.style import style

# Of logarithmic axes: two and five beside the tens, since the values span little more than one decade.
_TICKS = tuple(digit * 10.0**exponent for exponent in range(-3, 4) for digit in (1, 2, 5))
_WIDTH = "units of layer 1 (h)"


def power(info: PowerChart) -> go.Figure:
    """Draw points with their intervals and the fitted lines; widths that are not fitted have open markers."""
    figure = go.Figure()
    for line in info.lines:
        _points(figure, line)
        if line.law:
            look = style(line.points.meaning)
            figure.add_scatter(
                x=line.chosen, y=line.law.mstd(line.chosen).tolist(), mode="lines", showlegend=False, hoverinfo="skip",
                line={"color": look.colour, "width": 3, "dash": look.dash},
            )  # fmt: skip
    if info.paper:
        look = style(Meaning.PAPER)
        figure.add_scatter(
            x=list(info.paper), y=list(info.paper.values()), name="paper's line", mode="lines", hovertemplate="%{y:.3g}",
            line={
                "color": look.colour, "width": 4, "dash": look.dash, "shape": "linear" if info.logarithmic else "spline",
            },
        )  # fmt: skip
    lay_out(figure, info.title, _WIDTH, info.y_title, 430)
    if info.logarithmic:
        _logarithmic(figure, sorted({h for line in info.lines for h in line.points.x}))
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


def slopes(info: Slopes) -> go.Figure:
    """Draw each slope with its interval, and the paper's, where it has one, as a line beside all rows."""
    figure = go.Figure()
    names = [line.name for line in info.lines] + (["paper"] if info.paper is not None else [])
    beside = [(row + BESIDE_ROW[0], row + BESIDE_ROW[1]) for row in range(len(names))]
    for line in info.lines:
        assert line.law is not None
        slope, look = line.law.slope, style(line.points.meaning)
        figure.add_scatter(
            x=[slope.mean], y=[line.name], mode="markers", showlegend=False,
            error_x=None if math.isnan(slope.low) else bars([slope], width=10),
            marker={"symbol": look.marker, "size": 15, "color": look.colour}, hovertemplate="%{x:.3f}<extra></extra>",
        )  # fmt: skip
    if info.paper is not None:
        look = style(Meaning.PAPER)
        figure.add_scatter(
            x=[info.paper], y=["paper"], mode="markers", showlegend=False, hovertemplate="%{x:.3f}<extra></extra>",
            marker={"symbol": look.marker, "size": 17, "color": look.colour},
        )  # fmt: skip
        upright(figure, info.paper, beside, {"color": look.colour, "width": 2})
    upright(figure, 0, beside, {"color": style(Meaning.CHANCE).colour, "width": 2})
    lay_out(figure, info.title, "log-log slope", "", 330)
    name_rows(figure, {name: name for name in names}, 140)
    return figure.update_layout(hovermode="closest")


def prediction(info: Prediction) -> go.Figure:
    """Draw the measured points and both lines on logarithmic axes."""
    figure, points = go.Figure(), info.measured.points
    _points(figure, info.measured)
    for name, values, meaning in (
        ("(4) corrected: 1/k", info.corrected, Meaning.THEORY_CORRECTED),
        ("(4) as printed: k/h", info.printed, Meaning.THEORY),
    ):
        look = style(meaning)
        figure.add_scatter(
            x=points.x, y=values, name=name, mode="lines", line={"color": look.colour, "width": 3, "dash": look.dash},
            hovertemplate="%{y:.3g}",
        )  # fmt: skip
    lay_out(figure, f"If there were h^{info.kappa:.2f} clusters", _WIDTH, info.y_title, 430)
    _logarithmic(figure, points.x)
    return figure


def counted(info: Counted) -> go.Figure:
    """Draw the clusters found on logarithmic axes."""
    figure = go.Figure()
    for line in info.lines:
        _points(figure, line)
        figure.data[-1].update(mode="markers+lines", line={"width": 2, "dash": style(line.points.meaning).dash})
    lay_out(figure, f"Clusters by {info.weights} weights", _WIDTH, "clusters found", 430)
    _logarithmic(figure, sorted({h for line in info.lines for h in line.points.x}))
    return figure.update_yaxes(range=[-0.1, None], autorangeoptions={"clipmin": 0.8})


def _points(figure: go.Figure, line: Line) -> None:
    points, look = line.points, style(line.points.meaning)
    unknown = all(map(math.isnan, points.low))
    figure.add_scatter(
        x=points.x, y=points.mean, name=points.name, mode="markers", hovertemplate="%{y:.3g}",
        error_y=None if unknown else bars(map(points.at, points.x), width=5, thickness=2),
        marker={
            "symbol": [look.marker if h in line.chosen else f"{look.marker}-open" for h in points.x],
            "size": 11, "color": look.colour, "line": {"width": 2, "color": look.colour},
        },
    )  # fmt: skip


def _logarithmic(figure: go.Figure, widths: Sequence[float]) -> None:
    figure.update_xaxes(type="log", tickvals=list(widths), ticktext=[f"{h:g}" for h in widths])
    figure.update_yaxes(type="log", tickvals=list(_TICKS), ticktext=[f"{tick:g}" for tick in _TICKS])
