"""Line charts, and the layout that all charts share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dropclust.findings.meaning import Meaning
from dropclust.findings.own import OwnRun
from dropclust.findings.series import Curves, Series
from dropclust.ui.style import style


def curves(info: Curves, height: int = 380) -> go.Figure:
    """Draw lines with their intervals as bands, each in the style of its meaning."""
    figure = go.Figure()
    for line in info.series:
        add_line(figure, line)
    if info.points:
        paper = style(Meaning.PAPER)
        figure.add_scatter(
            x=list(info.points), y=list(info.points.values()), name=Meaning.PAPER.value, mode="markers",
            marker={"symbol": paper.marker, "size": 15, "color": paper.colour}, hovertemplate="%{y:.3f}",
        )  # fmt: skip
    if info.marker is not None:
        chosen = style(Meaning.CHOSEN)
        figure.add_vline(info.marker, line={"color": chosen.colour, "width": 2, "dash": chosen.dash})
    lay_out(figure, info.title, info.x_title, info.y_title, height)
    if info.y_range:
        figure.update_yaxes(range=info.y_range)
    if info.y_spans:
        figure.update_yaxes(autorangeoptions={"include": list(info.y_spans)})
    return figure


def add_line(figure: go.Figure, line: Series, dash: str | None = None) -> None:
    """Draw one line with its band; ``dash`` where a chart tells two lines of one meaning apart by it."""
    look = style(line.meaning)
    if not all(map(math.isnan, line.low)):
        figure.add_scatter(
            x=[*line.x, *reversed(line.x)], y=[*line.high, *reversed(line.low)], fill="toself", fillcolor=look.tint(0.18),
            line={"width": 0}, hoverinfo="skip", showlegend=False, mode="lines",
        )  # fmt: skip
    figure.add_scatter(
        x=line.x, y=line.mean, name=line.name, mode="lines+markers",
        line={"color": look.colour, "width": 3, "dash": dash or look.dash}, marker={"symbol": look.marker, "size": 8},
        customdata=list(zip(line.low, line.high, strict=True)),
        hovertemplate="%{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})",
    )  # fmt: skip


def level(figure: go.Figure, y: float) -> None:
    """Draw where there is no difference, or what chance gives."""
    look = style(Meaning.CHANCE)
    figure.add_hline(y, line={"color": look.colour, "width": 2, "dash": "dot"})


def add_own(figure: go.Figure, own: Sequence[OwnRun], x: str, y: str, meaning: Meaning, what: str) -> None:
    """Draw stored runs as open markers of what they are a case of; ``x`` and ``y`` name what of a run is drawn."""
    if own:
        figure.add_scatter(
            x=[getattr(run, x) for run in own], y=[getattr(run, y) for run in own], text=[run.name for run in own],
            name=f"{Meaning.OWN_RUN.value}, {what}", mode="markers", hovertemplate="%{y:.3f}: %{text}",
            marker={
                "symbol": f"{style(meaning).marker}-open", "size": 15, "color": style(Meaning.OWN_RUN).colour,
                "line": {"width": 3},
            },
        )  # fmt: skip


def lay_out(figure: go.Figure, title: str, x_title: str, y_title: str, height: int) -> None:
    """Titles, sizes and legend, the same on every chart."""
    figure.update_layout(
        title={"text": title, "font": {"size": 20}},
        height=height,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        font={"size": 16},
        legend={"orientation": "h", "y": -0.28, "x": 0, "font": {"size": 15}},
        hovermode="x unified",
        uirevision="keep",
        dragmode=False,  # a swipe over a chart scrolls the page
    )
    axis = {"title": {"font": {"size": 16}}, "tickfont": {"size": 15}, "automargin": True, "fixedrange": True}
    figure.update_xaxes(title_text=x_title, **axis)
    figure.update_yaxes(title_text=y_title, **axis)
