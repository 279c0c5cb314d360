"""Blocks of the Power law page: the law beside its slopes, what they mean, what clusters would give, how it was measured."""

from __future__ import annotations

import streamlit as st

from dropclust.experiments import figure3 as experiment
from dropclust.experiments import paper
from dropclust.findings import figure3
from dropclust.findings.figure3 import Figure3
from dropclust.service.parameter import Parameter
from dropclust.ui import controls
from dropclust.ui.figures import figure3 as draw


def law(shown: Figure3) -> None:
    """MSTD against width with its power laws, and beside it their slopes."""
    left, right = st.columns([3, 2])
    with left:
        controls.chart(shown.logarithmic, draw.power, "power-log", shown.command)
    if not shown.refused:
        with right:
            controls.chart(shown.slopes, draw.slopes, "power-slopes", shown.command)


def meaning(shown: Figure3, claim: str) -> None:
    """The verdict, the questions behind it, and what became of the claim of a straight line."""
    st.markdown(shown.verdict.sentence)
    st.table(shown.verdict.table().set_index("question"))
    st.caption(
        "Intervals are Student's at 95 % over slopes fitted seed by seed; each comparison by itself, all on the widths chosen "
        f"above. The claim, on all widths and with dropout {experiment.CLAIM_RATE:g}: {claim}"
    )


def clusters(shown: Figure3, kappa: Parameter, by: Parameter) -> None:
    """What clusters would give, beside what was measured, and the clusters that are there."""
    st.markdown(
        r"Suppose $h$ neurons in $k \sim h^\kappa$ equal clusters, alike within and unrelated across. Their mean has the "
        r"variance of equation (3), $1/h + (1 - 1/h)\,P\,\sigma$, with $P$ the chance that two neurons **share a cluster**. "
        r"That is about $1/k$, so that MSTD goes as $h^{-\kappa/2}$: equation (4) **corrected**. The paper prints $k/h$, by "
        r"which more clusters would mean more company in each, and so $h^{(\kappa-1)/2}$."
    )
    left, right = st.columns(2)
    with left:
        predicted = figure3.prediction(shown.main, shown.y_title, controls.drag(kappa))
        controls.chart(predicted, draw.prediction, "power-prediction", shown.command, whole=True)
    with right:
        counted = shown.counted[controls.choose(by)]
        controls.chart(counted, draw.counted, "power-clusters", shown.command, whole=True)
    if counted.kappas:
        st.table(counted.formatted())
        st.caption(
            "Clusters are counted by how well they predict held-out weights of layer 1, of 1, 2, 4, 8 and so on. Counted: the "
            "slope of log clusters on log h, seed by seed. Meant: -2 times the slope of the measure, corrected. In brackets: "
            "95 % intervals over seeds."
        )


def measured(shown: Figure3) -> None:
    """Definitions, and what is said of the paper's line."""
    theirs = f" Paper: {paper.CITATION}, {experiment.EXPERIMENT.title}. {figure3.base_note()}" if shown.linear.paper else ""
    st.markdown(
        "Sample a network with its dropout on, and its logits vary from mask to mask: the **MSTD** is the mean of their "
        "standard deviations. The paper finds that it falls with the **width h** of the dropped layer as $h^{-0.35}$, and "
        "reads that as neurons forming clusters (section 4.3.2). Here networks that **never saw dropout** stand beside them. "
        f"{shown.verdict.sentence} Every network is sampled with dropout in layer 1 alone, those trained with dropout in all "
        f"layers too. Open markers: widths that are not fitted.{theirs}"
    )
