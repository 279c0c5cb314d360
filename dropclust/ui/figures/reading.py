"""One image under a network's masks, as charts: a bar a class and way to predict, and the way between two digits."""

from __future__ import annotations

import plotly.graph_objects as go

from dropclust.core.spec import OUTPUTS
from dropclust.findings.meaning import Meaning
from dropclust.findings.reading import Answers, votes_name
from dropclust.findings.series import Curves
from dropclust.ui.figures import lines
from dropclust.ui.style import style


def answers(info: Answers) -> go.Figure:
    """Draw a bar a class for each way to predict, which differ in colour and in pattern."""
    reading, classes = info.reading, list(range(OUTPUTS))
    spread = {"array": [error or None for error in reading.votes_error], "thickness": 2, "width": 3}
    bars = (
        ("scaled network", reading.scaled, Meaning.SCALED, "", None),
        ("geometric mean", reading.geometric, Meaning.SAMPLED, ".", None),
        ("arithmetic mean", reading.mean, Meaning.ARITHMETIC, "x", None),
        (
            votes_name(reading.n_samples, "± standard error"),
            reading.votes,
            Meaning.VOTES,
            "/",
            None if reading.n_samples == 1 else spread,
        ),
    )
    figure = go.Figure()
    for name, values, meaning, shape, error_y in bars:
        pattern = {"shape": shape, "fillmode": "overlay", "size": 6, "fgcolor": "white"}
        marker = {"color": style(meaning).colour, "pattern": pattern}
        figure.add_bar(x=classes, y=values, name=name, marker=marker, error_y=error_y, hovertemplate="%{y:.3f}")
    lines.lay_out(figure, "What is it? Scaled, and sampled", "digit", "probability, share of votes", 400)
    figure.update_layout(barmode="group", bargap=0.15, bargroupgap=0)
    figure.update_xaxes(tickvals=classes, range=[-0.6, OUTPUTS - 0.4])
    return figure.update_yaxes(range=[0, 1.05], tickvals=[0, 0.25, 0.5, 0.75, 1])


def turning(info: Curves) -> go.Figure:
    """Draw how one digit becomes another."""
    return lines.curves(info, 400)
