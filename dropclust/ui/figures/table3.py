"""Table 3 drawn: points lost by every method, a row a method, on networks of every training."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.table3 import MEANINGS, TRAININGS, Losses
from dropclust.ui.figures.lines import lay_out, name_rows
from dropclust.ui.style import style


def losses(info: Losses) -> go.Figure:
    """Draw a row a method, a point with its interval a training, and what the paper reports as stars."""
    figure = go.Figure()
    for trained, name in TRAININGS.items():
        rows, look = [row for row in info.rows if row.trained == trained], style(MEANINGS[trained])
        figure.add_scatter(
            x=[row.at for row in rows], y=[row.row for row in rows], name=name, mode="markers",
            marker={"symbol": look.marker, "size": 12, "color": look.colour},
            error_x={
                "type": "data", "symmetric": False, "array": [row.plus for row in rows],
                "arrayminus": [row.minus for row in rows], "width": 5,
            },
            customdata=[words.brief(row.lost) for row in rows], hovertemplate="%{customdata} points lost",
        )  # fmt: skip
    look = style(Meaning.PAPER)
    figure.add_scatter(
        x=[row.at for row in info.reported], y=[row.row for row in info.reported], name="reported in the paper", mode="markers",
        marker={"symbol": look.marker, "size": 15, "color": look.colour},
        customdata=[(row.lost, row.trained) for row in info.reported],
        hovertemplate="%{customdata[0]:.1f} points lost %{customdata[1]}",
    )  # fmt: skip
    lay_out(figure, info.title, "points lost (root scale)", "", 640)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(tickvals=[at for at, _ in info.ticks], ticktext=[str(points) for _, points in info.ticks])
    name_rows(figure, {name: row for row, name in info.methods}, 190, row=84, above=30)  # trainings one below the other
    return figure
