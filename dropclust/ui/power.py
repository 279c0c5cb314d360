"""Blocks of the Power law page: what is said of Figure 3 on a range of widths, made once for all viewers, and its charts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dropclust.experiments import figure3 as experiment
from dropclust.experiments import paper
from dropclust.findings import figure3
from dropclust.findings.figure3 import Figure3, Prediction
from dropclust.findings.outside import as_text
from dropclust.ui import controls
from dropclust.ui.figures import figure3 as draw


@st.cache_resource(show_spinner=False, max_entries=200)
def found(recipe: str, rate: float, measure: str, low: float, high: float) -> Figure3:
    """What is said of the shipped Figure 3 on a range of widths; raises as `dropclust.findings.figure3.read`."""
    return figure3.read(recipe, None, rate, measure, low, high)


def range_refused(asked: Sequence[str], shown: tuple[int, int]) -> str:
    """One sentence where an address asks for a range of widths that there is not, of which ``shown`` was made; else none."""
    ends = [experiment.WIDTHS.index(int(text)) for text in asked if text in map(str, experiment.WIDTHS)]
    if not asked or (len(asked) == len(ends) == 2 and ends[0] <= ends[1]):
        return ""
    return (
        f"The fitted widths must be two of {', '.join(map(str, experiment.WIDTHS))}, the smaller first; the address gave "
        f"{as_text(repr(' and '.join(asked)[:40]))}. Shown instead: {shown[0]} to {shown[1]}."
    )


def law(shown: Figure3) -> None:
    """MSTD against width twice, and under it what the slopes say."""
    left, right = st.columns(2)
    with left:
        controls.chart(shown.linear, draw.power, "power-linear", shown.command)
    with right:
        controls.chart(shown.logarithmic, draw.power, "power-log", shown.command)
    theirs = f" Paper: {paper.CITATION}, {experiment.EXPERIMENT.title}. {figure3.base_note()}" if shown.linear.paper else ""
    st.caption(
        "Every network is sampled with dropout in layer 1 alone, those trained with dropout in all layers too. Open markers: "
        f"widths that are not fitted.{theirs}"
    )


def meaning(shown: Figure3) -> None:
    """Slopes with their intervals, and the verdict."""
    st.markdown(f"**{shown.verdict.sentence}**")
    left, right = st.columns([2, 3])
    with left:
        controls.chart(shown.slopes, draw.slopes, "power-slopes", shown.command)
    with right:
        st.table(shown.verdict.table().set_index("question"))
        st.caption(
            "Intervals are Student's at 95 % over slopes fitted seed by seed; each comparison by itself, all on the widths "
            "chosen above."
        )


def predicted(info: Prediction, command: str) -> None:
    """What clusters would give, beside what was measured."""
    controls.chart(info, draw.prediction, "power-prediction", command)


def counted(shown: Figure3, weights: str) -> None:
    """The clusters that are there."""
    info = shown.counted[weights]
    controls.chart(info, draw.counted, "power-clusters", shown.command)


def exponents(shown: Figure3, weights: str) -> None:
    """How the number of clusters grows with width, beside what the slope would mean."""
    info = shown.counted[weights]
    if info.kappas:
        st.table(info.formatted())
        st.caption(
            "Clusters are counted by how well they predict held-out weights of layer 1, of 1, 2, 4, 8 and so on. Counted: the "
            "slope of log clusters on log h, seed by seed. Meant: -2 times the slope of the measure, corrected. In brackets: "
            "95 % intervals over seeds."
        )
