"""Figures of one network: its neurons as a sheet of tiles, its Rand index beside chance, its learning curve."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from dropclust.core.tiles import SIDE
from dropclust.findings.meaning import Meaning
from dropclust.findings.network import Learning, Neurons, Nulls
from dropclust.ui.figures.lines import TEXT, lay_out, name_rows
from dropclust.ui.style import palette, style

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_CROSSED = (128, 128, 128, 255)  # at least 3 : 1 on white and on black
_MARKERS = ("circle", "diamond", "square", "triangle-up")


def neuron_sheet(info: Neurons, narrow: bool = False, half: int | None = None) -> bytes:
    """Draw the neurons as a sheet of tiles, a PNG, ``narrow`` or as wide as a page; frames have the colour of their cluster.

    A neuron on which the two clusterings agree has a broad frame, another a thin one; one that never fires is crossed out. A
    ``half`` of them, 0 or 1, is narrow; there are more than 20 then, so that both halves have as many in a row.
    """
    from PIL import Image

    drawn = np.array_split(np.arange(len(info.pictures)), 1 if half is None else 2)[half or 0]
    pictures = _squares(info.pictures[drawn])
    n, height, width = pictures.shape
    columns = min((20 if width < 2 * height else 5) // (1 if half is None and not narrow else 2), n)
    rows, gap = math.ceil(n / columns), 4
    cell_h, cell_w = height + 2 * gap, width + 2 * gap
    sheet = np.zeros((rows * cell_h, columns * cell_w, 4), np.uint8)
    colours = [tuple(int(c[at : at + 2], 16) for at in (1, 3, 5)) for c in palette()]
    for place, i in enumerate(drawn):
        top, left = (place // columns) * cell_h, (place % columns) * cell_w
        tile = np.zeros((cell_h, cell_w, 4), np.uint8)
        frame = tile[1:-1, 1:-1]
        frame[...] = (*colours[info.incoming[i] % len(colours)], 255)
        if not info.agree[i]:
            frame[1:-1, 1:-1] = 0  # a thin frame
        tile[gap:-gap, gap:-gap] = diverging(pictures[place])
        if info.silent is not None and info.silent[i]:
            cross = [np.linspace(gap, size - gap - 1, 4 * (height + width)).round().astype(int) for size in (cell_h, cell_w)]
            tile[cross[0], cross[1]] = tile[cross[0], cross[1][::-1]] = _CROSSED
        sheet[top : top + cell_h, left : left + cell_w] = tile
    buffer = io.BytesIO()
    Image.fromarray(sheet).resize((sheet.shape[1] * 2, sheet.shape[0] * 2), Image.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()


def _squares(pictures: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Few lines of weights stretched to about a square with room between them, as on Live; an image stays as it is."""
    down, across = (max(1, round(SIDE / size)) for size in pictures.shape[1:])
    drawn = pictures.repeat(down, axis=1).repeat(across, axis=2)
    if drawn.shape[1] > down > 1:
        drawn[:, down - 1 :: down] = 0
        drawn = drawn[:, :-1]
    return drawn


def diverging(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers in [-1, 1] as RGBA: blue below 0, nothing at 0, orange above: the palette's first two colours.

    What is near 0 shows the page's ground, so that one picture serves light and dark.
    """
    low, high = (np.array([int(c[at : at + 2], 16) for at in (1, 3, 5)], float) for c in palette()[:2])
    ends = np.where(picture[..., None] < 0, low, high)
    return np.concatenate([ends, 255 * np.abs(picture)[..., None]], axis=-1).astype(np.uint8)


def learning_figure(info: Learning, what: str, total: int, height: int = 340) -> go.Figure:
    """Draw ``what`` ("loss" or "accuracy") of every run over the examples seen; the x axis spans all that will be seen."""
    figure, colours = go.Figure(), palette()
    ghost = style(Meaning.BEFORE)
    for number, name in enumerate(info.names):
        line = {"color": colours[number % len(colours)], "width": 3, "dash": _DASHES[number % len(_DASHES)]}
        if number >= len(info.names) - info.before:
            line = {"color": ghost.tint(0.7), "width": 2, "dash": "dot"}
        figure.add_scatter(
            x=info.examples[number], y=getattr(info, what)[number], name=name, mode="lines", line=line,
            hovertemplate="%{y:.4f}",
        )  # fmt: skip
    unit = "cross-entropy, nats" if what == "loss" else "share of images classified correctly"
    lay_out(figure, f"Held-out {what}", "examples seen", unit, height)
    figure.update_xaxes(range=[0, total])
    named = len(info.names) if len(info.names) > 1 else 0
    # A line a run, below the axis: the legend makes the chart higher, never the plot smaller.
    figure.update_layout(
        showlegend=named > 0, height=height + 24 * named, margin={"b": 60 + 24 * named},
        legend={"orientation": "v", "yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": TEXT}},
    )  # fmt: skip
    return figure.update_yaxes(**({"range": [0, 1]} if what == "accuracy" else {"rangemode": "tozero"}))


def nulls_figure(info: Nulls) -> go.Figure:
    """Draw each row as a point with its band."""
    figure = go.Figure()
    for number, (name, value, low, high) in enumerate(info.rows):
        error = None if math.isnan(low) else {"type": "data", "array": [high - value], "arrayminus": [value - low], "width": 10}
        figure.add_scatter(
            x=[value], y=[name], mode="markers", error_x=error, showlegend=False, hovertemplate="%{x:.3f}<extra></extra>",
            marker={
                "size": 15, "symbol": _MARKERS[number], "color": style(Meaning.CHANCE if number else Meaning.MEASURED).colour,
            },
        )  # fmt: skip
    lay_out(figure, "", info.what, "", 300)
    name_rows(figure, {name: name for name, *_ in info.rows})
    return figure.update_layout(hovermode="closest")
