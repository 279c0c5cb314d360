"""Lines by colour number, for the charts that do not name what a line means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
import plotly.graph_objects as go

from dropclust.core.intervals import Interval, mean_interval
from dropclust.findings.network import Neurons as Neurons
from dropclust.findings.network import pictures as pictures
from dropclust.ui.figures.network import diverging as diverging
from dropclust.ui.figures.network import neuron_sheet as neuron_sheet
from dropclust.ui.style import palette as palette
from dropclust.ui.style import tint as tint

_MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "cross", "pentagon", "bowtie")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


# What a colour means is the same on every chart.
MEASURED, PAPER, CHANCE, SECOND = 0, 1, 9, 2


@dataclass(frozen=True)
class Series:
    """One line of a chart: a mean with its interval at each x; ``low`` and ``high`` are NaN where there is none."""

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    role: int  # position in the palette

    @classmethod
    def of(cls, name: str, table: pd.DataFrame, x: str, y: str, role: int) -> Series:
        """Mean and 95 % Student t interval of column ``y`` at each value of ``x``; missing values are left out."""
        groups = [(at, table.loc[table[x] == at, y].dropna()) for at in sorted(table[x].unique().tolist())]
        intervals = [(at, mean_interval(values.to_numpy())) for at, values in groups if len(values)]
        return cls(
            name,
            tuple(at for at, _ in intervals),
            tuple(each.mean for _, each in intervals),
            tuple(each.low for _, each in intervals),
            tuple(each.high for _, each in intervals),
            max((each.n for _, each in intervals), default=0),
            role,
        )

    def at(self, x: float) -> Interval:
        """Mean and interval at one of its x."""
        where = self.x.index(x)
        return Interval(self.mean[where], self.low[where], self.high[where], self.n, 0.95)


@dataclass(frozen=True)
class Curves:
    """A chart of lines over a common x.

    ``points`` are the paper's values, ``marker`` the x that a viewer has chosen, ``sentence`` what to see, also the alt text.
    """

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    sentence: str
    points: Mapping[float, float] | None = None
    marker: float | None = None
    y_range: tuple[float, float] | None = None

    def marked(self, x: float) -> Curves:
        """The same with the x that a viewer has chosen."""
        return replace(self, marker=x)

    def table(self) -> pd.DataFrame:
        """What the chart shows, a row an x."""
        columns: dict[str, dict[float, float]] = {}
        for line in self.series:
            for suffix, values in (("", line.mean), (" low", line.low), (" high", line.high)):
                if not all(map(math.isnan, values)):
                    columns[line.name + suffix] = dict(zip(line.x, values, strict=True))
        if self.points:
            columns["paper"] = dict(self.points)
        return pd.DataFrame(columns).rename_axis(self.x_title).sort_index().reset_index()


def curves(info: Curves, height: int = 380) -> go.Figure:
    """Draw lines with their intervals as bands; each line also has a marker shape and a dash of its own."""
    figure, colours = go.Figure(), palette()
    for number, line in enumerate(info.series):
        colour = colours[line.role % len(colours)]
        if not all(map(math.isnan, line.low)):
            figure.add_scatter(
                x=[*line.x, *reversed(line.x)],
                y=[*line.high, *reversed(line.low)],
                fill="toself",
                fillcolor=tint(colour, 0.18),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                mode="lines",
            )
        figure.add_scatter(
            x=line.x,
            y=line.mean,
            name=line.name,
            mode="lines+markers",
            line={"color": colour, "width": 3, "dash": _DASHES[number % len(_DASHES)]},
            marker={"symbol": _MARKERS[number % len(_MARKERS)], "size": 8},
            customdata=list(zip(line.low, line.high, strict=True)),
            hovertemplate="%{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})",
        )
    if info.points:
        figure.add_scatter(
            x=list(info.points),
            y=list(info.points.values()),
            name="paper",
            mode="markers",
            marker={"symbol": "star-diamond", "size": 15, "color": colours[PAPER]},
            hovertemplate="%{y:.3f}",
        )
    if info.marker is not None:
        figure.add_vline(info.marker, line={"color": colours[PAPER], "width": 2, "dash": "dot"})
    lay_out(figure, info.title, info.x_title, info.y_title, height)
    if info.y_range:
        figure.update_yaxes(range=info.y_range)
    return figure


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
    )
    axis = {"title": {"font": {"size": 16}}, "tickfont": {"size": 15}, "automargin": True}
    figure.update_xaxes(title_text=x_title, **axis)
    figure.update_yaxes(title_text=y_title, **axis)
