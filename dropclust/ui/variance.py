"""Blocks of the Model variance page: what is said of Figure 2, made once for all viewers, its charts in pairs, links."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.experiments import figure2 as experiment
from dropclust.experiments.experiment import Settings
from dropclust.findings import figure2
from dropclust.service import runs
from dropclust.ui import controls
from dropclust.ui.figures import figure2 as figures


@st.cache_resource(show_spinner=False, max_entries=24)
def found(recipe: str, prediction: str, output: str) -> figure2.Figure2:
    """What is said of the shipped Figure 2; raises as `dropclust.findings.figure2.read`."""
    return figure2.read(recipe, prediction=prediction, output=output)


def side_by_side(pair: tuple[figure2.Chart, figure2.Chart], key: str, command: str) -> None:
    """The paper's left and right chart."""
    for column, info, place in zip(st.columns(2), pair, figure2.PLACES.values(), strict=True):
        with column:
            controls.chart(info, figures.chart, f"{key}-{place.replace(' ', '-')}", command)


def train_yourself(recipe: str) -> None:
    """Links that open the Train page with the settings of one model."""
    st.markdown("**Train such a model yourself**: it then appears here as an open marker.")
    template = experiment.EXPERIMENT.specs(Settings(recipe, 1))[0]
    for place, mask in experiment.LAYERS.items():
        specs = {
            rate: replace(template, dropout=(rate * mask[0], rate * mask[1], rate * mask[2]), precision=RunSpec().precision)
            for rate in experiment.RATES
        }
        links = ", ".join(f"[{rate:g}]({runs.train_link(spec)})" for rate, spec in specs.items())
        st.markdown(f"Dropout in {figure2.PLACES[place]}, rate {links}")
