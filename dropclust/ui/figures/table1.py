"""Table 1's figures: what its findings hold, drawn."""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go

from dropclust.core.spec import TEST_IMAGES
from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves
from dropclust.findings.table1 import MEANINGS, NAMES, ON, Accuracy, Spread, Trend
from dropclust.ui.figures import lines
from dropclust.ui.style import style


def accuracy(info: Accuracy, height: int = 460) -> go.Figure:
    """Draw the lines over a logarithmic axis, the paper's values and the stored runs as markers of their own shape."""
    title = f"Accuracy on the {TEST_IMAGES:,} test images"
    figure = lines.curves(Curves(title, "batch size", "accuracy", info.lines, info.sentence), height)
    for rate in info.rates:
        if info.paper[rate]:
            look = style(Meaning.PAPER)
            figure.add_scatter(
                x=list(info.paper[rate]), y=list(info.paper[rate].values()), name=f"paper, {NAMES[rate]}", mode="markers",
                marker={
                    "symbol": look.marker if rate else f"{look.marker}-open", "size": 15, "color": look.colour,
                    "line": {"width": 2},
                },
                hovertemplate="%{y:.3f}",
            )  # fmt: skip
        own = [run for run in info.own if run.rate == rate]
        lines.add_own(figure, own, "batch_size", "accuracy", MEANINGS[rate], NAMES[rate])
    _batch_axis(figure, info.lines[0].x)
    return figure


def _batch_axis(figure: go.Figure, batches: Iterable[float]) -> None:
    labels = {batch: f"{batch:g}" for batch in batches}
    figure.update_xaxes(type="log", tickvals=list(labels), ticktext=list(labels.values()), title_text="batch size (log axis)")


def trend(info: Trend, height: int = 460) -> go.Figure:
    """Draw ours and the paper's slopes as points with their intervals, and no effect as a line."""
    figure = go.Figure()
    names, ours, theirs = zip(*info.rows, strict=True)
    for who, slopes, meaning in (("ours", ours, Meaning.MEASURED), ("paper, fitted", theirs, Meaning.PAPER)):
        if None in slopes:
            continue
        look = style(meaning)
        figure.add_scatter(
            x=names, y=[slope.mean for slope in slopes], name=who, mode="markers",
            marker={"symbol": look.marker, "size": 15, "color": look.colour},
            error_y=lines.bars(slopes, width=10, thickness=3), hovertemplate="%{y:+.2f}",
        )  # fmt: skip
    lines.level(figure, 0)
    lines.lay_out(figure, "What doubling the batch does", "", "percentage points", height)
    figure.update_layout(scattermode="group")
    return figure.update_yaxes(range=info.y_range)


def spread(info: Spread, height: int = 420) -> go.Figure:
    """Draw every seed as a dot and the paper's values as markers."""
    figure, ours, theirs = go.Figure(), style(Meaning.MEASURED), style(Meaning.PAPER)
    figure.add_scatter(
        x=info.batches, y=info.away, text=info.seeds, name="our runs, a seed each", mode="markers",
        marker={"symbol": ours.marker, "size": 9, "color": ours.tint(0.6)},
        hovertemplate="seed %{text}: %{y:+.2f}<extra></extra>",
    )  # fmt: skip
    if info.paper:
        figure.add_scatter(
            x=list(info.paper), y=list(info.paper.values()), name=Meaning.PAPER.value, mode="markers",
            marker={"symbol": theirs.marker, "size": 15, "color": theirs.colour}, hovertemplate="%{y:+.1f}",
        )  # fmt: skip
    lines.level(figure, 0)
    lines.lay_out(figure, f"Off the line, {NAMES[ON]}", "batch size", "percentage points", height)
    figure.update_layout(hovermode="closest")
    _batch_axis(figure, sorted({*info.batches, *info.paper}))
    return figure
