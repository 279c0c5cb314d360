"""Blocks of the Batch size page: what is said of Table 1, made once for all viewers, and links to train one of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.experiments import table1 as experiment
from dropclust.experiments.experiment import Settings
from dropclust.findings import table1, words
from dropclust.findings.own import OwnRun
from dropclust.service import runs


@st.cache_resource(show_spinner=False, max_entries=8)
def found(recipe: str, prediction: str, with_paper: bool) -> table1.Table1:
    """What is said of the shipped Table 1; raises as `dropclust.findings.table1.read`."""
    return table1.read(recipe, prediction=prediction, with_paper=with_paper)


def train_yourself(own: Sequence[OwnRun], recipe: str) -> None:
    """Links that open the Train page with the settings of one run, or with the runs that are stored."""
    stored: dict[tuple[float, int], list[str]] = {}
    for run in own:
        stored.setdefault((run.rate, run.batch_size), []).append(run.key)
    st.markdown("**Train one of these yourself**: it then appears here as an open marker.")
    template = experiment.EXPERIMENT.specs(Settings(recipe, 1))[0]
    for rate, name in table1.NAMES.items():
        spec = replace(template, dropout=(rate, rate, rate), precision=RunSpec().precision)
        links = [
            f"[{size} (stored)](train?{urlencode({'run': stored[rate, size]}, doseq=True)})"
            if (rate, size) in stored
            else f"[{size}]({runs.train_link(replace(spec, batch_size=size))})"
            for size in experiment.BATCHES
        ]
        st.markdown(f"{words.capital(name)}, batch " + ", ".join(links))
