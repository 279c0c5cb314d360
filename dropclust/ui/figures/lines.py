"""Line charts, and the layout that all charts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from dropclust.core.intervals import Interval
from dropclust.findings.meaning import Meaning
from dropclust.findings.own import OwnRun
from dropclust.findings.series import Curves, Series
from dropclust.ui.style import style

TEXT, TITLE = 16, 18  # pixels, at the least, on any screen
ROW = 64  # pixels of a row with its name above it
BESIDE_ROW = -0.17, 0.34  # the part of a row, from its middle down, that no name reaches: not its own, nor the next row's
_BESIDE_BUTTONS = 34  # letters of a title that stand beside a chart's buttons on a phone
_LINE = 38  # letters that a phone shows in one line


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
    return figure.update_yaxes(range=info.y_range or None, autorangeoptions={"include": info.y_spans})


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


def bars(intervals: Iterable[Interval], **look: float) -> dict[str, Any]:
    """Intervals as plotly takes them for the error bars of points; ``look`` are their width and thickness."""
    reach = [(each.high - each.mean, each.mean - each.low) for each in intervals]
    return {"type": "data", "array": [up for up, _ in reach], "arrayminus": [down for _, down in reach], **look}


def level(figure: go.Figure, y: float) -> None:
    """Draw where there is no difference, or what chance gives."""
    look = style(Meaning.CHANCE)
    figure.add_hline(y, line={"color": look.colour, "width": 2, "dash": look.dash})


def upright(figure: go.Figure, x: float, spans: Iterable[tuple[float, float]], line: Mapping[str, object]) -> None:
    """Draw a vertical line in pieces, one beside each row, so that it crosses no row's name.

    Parameters
    ----------
    figure
        The chart; its rows may be numbers or names, which count from 0.
    x
        Where the line stands.
    spans
        From where to where each piece goes, on the y axis.
    line
        Colour and width, as plotly takes them; the pieces are its dashes.
    """
    for start, end in spans:
        figure.add_shape(type="line", x0=x, x1=x, y0=start, y1=end, line=line)


def name_rows(figure: go.Figure, names: Mapping[str, str | float], height: int = 120, row: int = ROW, above: int = 12) -> None:
    """Write each row's name above it in place of an axis, so that a phone has the whole width for the data.

    Parameters
    ----------
    names
        From what is written to the row's place on the y axis; the first stands on top.
    height
        Pixels of the chart beside its rows.
    row, above
        Pixels of a row, and from its middle up to its name.
    """
    for name, place in names.items():
        figure.add_annotation(
            x=0, xref="paper", xanchor="left", y=place, yshift=above, yanchor="bottom", align="left", showarrow=False,
            text="<br>".join(wrap(escape(name), _LINE)), font={"size": TEXT},
        )  # fmt: skip
    figure.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, autorange=None, range=[len(names) - 0.6, -0.9])
    figure.update_layout(height=height + row * len(names))


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
    """Titles, sizes, legend and buttons, the same on every chart."""
    written = wrap(title, _BESIDE_BUTTONS)
    top = 18 + 24 * max(1, len(written))  # the buttons need a line of their own
    figure.update_layout(
        title={
            "text": "<br>".join(written), "font": {"size": TITLE}, "x": 0, "xref": "container", "xanchor": "left",
            # Plotly's anchor moves up by most of a line for each further line.
            "y": 1 - (8 + 18 * max(0, len(written) - 1)) / height, "yref": "container", "yanchor": "top",
        },
        height=height,
        margin={"l": 10, "r": 10, "t": top, "b": 10},
        font={"size": TEXT},
        hoverlabel={"font": {"size": TEXT}},
        legend={"orientation": "h", "y": -0.28, "yanchor": "top", "x": 0, "font": {"size": TEXT}},
        hovermode="x unified",
        uirevision="keep",
        dragmode=False,  # a swipe over a chart scrolls the page
        modebar={"orientation": "h", "bgcolor": "rgba(0,0,0,0)"},
    )  # fmt: skip
    axis = {"title": {"font": {"size": TEXT}}, "tickfont": {"size": TEXT}, "automargin": True, "fixedrange": True}
    figure.update_xaxes(title_text=x_title, **axis)
    figure.update_yaxes(title_text=y_title, **axis)
