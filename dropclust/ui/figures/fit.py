"""How a chart suits its width: where there is room, lines bear their names at their ends; else these stand in a legend below.

Both are laid out here, and a chart carries them in its ``meta``; which is shown as the window's width changes is the browser's
to choose (`dropclust/ui/shell/shell.js`). Neither changes the chart's height, so that what stands around it keeps its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from dropclust.core.apart import apart, astray
from dropclust.ui.figures.lines import TEXT
from dropclust.ui.style import ink

PROJECTED = 1.5  # how much larger all is in presentation mode
LEAST_PLOT = 280  # pixels that names leave for the lines, at the least; a plot that has fewer gets a legend
# Pixels at the size TEXT, which grow with it.
_LETTER, _LINE_HEIGHT, _GAP = 8, 20, 4
_UPRIGHT = 7  # of a letter of the y axis's title, which may be a little longer than the plot is high
_MARKER = 8  # what a marker takes of the way from a line's end to its name
_LEFT, _AXIS = 86, 80  # what an axis's title, labels and ticks take to the left of the plot and below it
_ENTRY, _SWATCH, _AROUND = 25, 42, 16  # height of a legend's entry, how much wider than its name it is, and a legend's edges
_ENTRIES = 2  # of a legend, for which a chart's own height has room
_NAME = 22  # letters in one line of a name at a line's end
_EARLY = 0.2  # of the x axis, by which a line may end before the others and still be told by a name at the right
_ROOM = 0.05  # of an axis, beyond what is drawn
_PHONE = 38  # letters that a phone shows in one line
_LEGEND_WIDE = 560  # from which width on a legend's entries stand side by side
_SCREEN = 1200  # the same for a room: a lecture's screen is as wide
_GROWING = frozenset({"size", "width", "thickness", "t", "b", "yshift"})  # of fonts, markers, lines, margins


def fitted(figure: go.Figure) -> go.Figure:
    """The chart with its lines' names at their ends where all fit there, or with room for its legend."""
    legend = figure.layout.legend
    if figure.layout.height is None:  # not laid out as ours are
        return figure
    entries = [trace for trace in figure.data if trace.showlegend is not False and trace.name]
    scale = figure.layout.font.size / TEXT
    if figure.layout.showlegend is False or len(entries) < 2 or legend.yref == "container" or legend.y >= 0:
        return figure.update_yaxes(title_text=_upright(figure, max(_AXIS * scale, figure.layout.margin.b)))
    names = [wrap(trace.name, _PHONE) for trace in entries]
    rows = sum(map(len, names))
    figure.layout.height += scale * _ENTRY * max(0, rows - _ENTRIES)
    narrow = _legend(figure, rows, scale)
    ends = _ends(figure, entries, scale)
    if ends:
        figure.layout.annotations += tuple(ends)
        first = len(figure.layout.annotations) - len(ends)
        right = scale * _LETTER * max(len(line) for trace in entries for line in _name(trace.name)) + figure.layout.margin.r
        least = _LEFT * scale + LEAST_PLOT + right
        visible = [f"annotations[{first + number}].visible" for number in range(len(ends))]
        narrow |= {"showlegend": True, "margin.r": figure.layout.margin.r, **dict.fromkeys(visible, False)}
        wide = {**narrow, "showlegend": False, "margin.b": _AXIS * scale, "margin.r": right, **dict.fromkeys(visible, True)}
        wide["yaxis.title.text"] = _upright(figure, _AXIS * scale)
    else:
        least = _LEGEND_WIDE if scale == 1 else _SCREEN
        letters = max(len(line) for name in names for line in name)
        columns = max(1, int((least - _LEFT * scale) // (scale * (_SWATCH + _LETTER * letters))))
        wide = _legend(figure, math.ceil(len(entries) / columns) * max(map(len, names)), scale)
    for trace, name in zip(entries, names, strict=True):
        trace.name = "<br>".join(name)
    legend.yanchor = "top"
    figure.layout.meta = {
        "least": [round(least), int(figure.layout.height)], "shown": "wide",
        "wide": {**wide, "meta.shown": "wide"}, "narrow": {**narrow, "meta.shown": "narrow"},
    }  # fmt: skip
    figure.update_layout({key.replace(".", "_"): value for key, value in wide.items() if not key.startswith("annotations")})
    return figure


def projected(figure: go.Figure) -> go.Figure:
    """The chart as the back row reads it: all text, lines and markers larger, and so the chart."""

    def grow(node: Any) -> Any:
        if isinstance(node, list | tuple):
            return [grow(each) for each in node]
        if not isinstance(node, dict):
            return node
        return {
            name: value * PROJECTED if name in _GROWING and isinstance(value, int | float) else grow(value)
            for name, value in node.items()
        }

    plain = figure.to_dict()
    plain["layout"].pop("template", None)
    plain["layout"]["height"] *= 1.2
    return fitted(go.Figure(grow(plain)))


def _legend(figure: go.Figure, rows: int, scale: float) -> dict[str, Any]:
    """Room for a legend of so many rows below the axis, so that plotly need not make any: then the plot's size is known."""
    below = scale * (_AXIS + _ENTRY * rows + _AROUND)
    y = -_AXIS * scale / (figure.layout.height - figure.layout.margin.t - below)
    return {"margin.b": below, "legend.y": y, "yaxis.title.text": _upright(figure, below)}


def _upright(figure: go.Figure, below: float) -> str:
    """The y axis's title in lines as long as the plot is high that has so much below it: it runs through no heading."""
    high = (figure.layout.height - figure.layout.margin.t - below) * TEXT / figure.layout.font.size
    return "<br>".join(_name(figure.layout.yaxis.title.text or "", max(1, int(high // _UPRIGHT))))


@dataclass(frozen=True)
class _End:
    """A line's last point, on axes as they are drawn, and the lines of its name."""

    x: float
    y: float
    name: Sequence[str]
    colour: str


def _ends(figure: go.Figure, entries: Sequence[Any], scale: float) -> list[dict[str, Any]]:
    """Names at the ends of lines, as plotly's annotations; none where one has no place: then the legend tells all of them."""
    if not any("lines" in (trace.mode or "") for trace in figure.data if trace.type == "scatter"):
        return []
    logs = figure.layout.xaxis.type == "log", figure.layout.yaxis.type == "log"
    found = [_end(trace, *logs) for trace in entries]
    ends = sorted((end for end in found if end), key=lambda end: -end.y)
    if len(ends) < len(entries):
        return []
    (left, right), (low, high) = reach(figure, "x"), reach(figure, "y")
    height = figure.layout.height - figure.layout.margin.t - _AXIS * scale
    heights = [scale * (_LINE_HEIGHT * len(end.name) + _GAP) for end in ends]
    early = any(end.x < right - _EARLY * (right - left) for end in ends)
    if early or sum(heights) > height or not all(low <= end.y <= high for end in ends):
        return []
    own = [height * (high - end.y) / (high - low) for end in ends]
    places = apart(own, heights, 0, height)
    if astray(own, places, scale * _LINE_HEIGHT, scale * _MARKER):
        return []
    # Where names stand is reckoned on these; and plotly would make room for names within the axes.
    figure.update_xaxes(range=[left, right], autorange=False)
    figure.update_yaxes(range=[low, high], autorange=False)
    return [
        {
            "x": end.x, "y": end.y, "axref": "x", "ax": right, "ay": place - at, "xanchor": "left", "align": "left",
            "text": f'<span style="color:{ink(end.colour)}">{"<br>".join(end.name)}</span>', "font": {"size": scale * TEXT},
            "arrowhead": 0, "arrowwidth": 1.5, "arrowcolor": end.colour, "standoff": scale * _MARKER, "borderpad": 3 * scale,
        }
        for end, at, place in zip(ends, own, places, strict=True)
    ]  # fmt: skip


def _end(trace: Any, log_x: bool, log_y: bool) -> _End | None:
    """Where a line or a row of markers ends; None where it is drawn otherwise."""
    if trace.type != "scatter" or trace.x is None or not all(isinstance(x, int | float) for x in trace.x):
        return None
    points = [
        (math.log10(x) if log_x else x, math.log10(y) if log_y else y)
        for x, y in zip(trace.x, trace.y, strict=True)
        if y is not None and math.isfinite(y) and (x > 0 or not log_x) and (y > 0 or not log_y)
    ]
    colour = trace.line.color if "lines" in trace.mode else trace.marker.color
    if not points or not isinstance(colour, str) or not colour.startswith("#"):
        return None
    x, y = max(points)
    return _End(x, y, _name(trace.name), colour)


def _name(name: str, letters: int = _NAME) -> list[str]:
    """A name in as few lines of so many letters as hold it, of about the same length."""
    whole = name.replace(" %", "\u00a0%")
    lines = wrap(whole, letters)
    return next(even for width in range(1, letters + 1) if len(even := wrap(whole, width)) == len(lines))


def reach(figure: go.Figure, letter: str) -> tuple[float, float]:
    """From where to where an axis goes: the range that it has, or what is drawn and some room, as plotly would choose it.

    Parameters
    ----------
    letter
        Which axis, "x" or "y".

    Returns
    -------
    tuple of float
        Of a logarithmic axis, the logarithms to base 10.
    """
    axis = figure.layout[f"{letter}axis"]
    log, zero = axis.type == "log", axis.rangemode == "tozero"
    given = tuple(axis.range or (None, None))
    if None not in given:
        return given
    drawn = [value for trace in figure.data if trace[letter] is not None for value in _drawn(trace, letter)]
    drawn += [*map(float, axis.autorangeoptions.include or ()), *([0.0] if zero else [])]
    places = [math.log10(value) if log else value for value in drawn if math.isfinite(value) and (value > 0 or not log)]
    low, high = min(places, default=0.0), max(places, default=1.0)
    room = _ROOM * (high - low) or 0.5
    below, above = low - (0 if zero and low == 0 else room), high + room
    return (below if given[0] is None else given[0]), (above if given[1] is None else given[1])


def _drawn(trace: Any, letter: str) -> list[float]:
    """All values that a trace reaches on an axis, with its error bars."""
    values = [math.nan if value is None else float(value) for value in trace[letter]]
    error_bars = getattr(trace, f"error_{letter}", None)
    up, down = (getattr(error_bars, side, None) for side in ("array", "arrayminus"))
    ups = [value + (bar or 0) for value, bar in zip(values, up, strict=True)] if up is not None else []
    downs = [value - (bar or 0) for value, bar in zip(values, down, strict=True)] if down is not None else []
    return [*values, *ups, *downs]
