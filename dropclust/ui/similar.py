"""Blocks of the Similar neurons page: Table 2 over seeds, and one stored network against what chance gives."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import streamlit as st

from dropclust.core.similarity import Similarity, agreement, agreement_by_chance
from dropclust.experiments import table2
from dropclust.findings import network
from dropclust.findings.table2 import Table2
from dropclust.service import asked, runs
from dropclust.service.stored import Summary
from dropclust.ui import controls, live, state
from dropclust.ui.explore import no_twins
from dropclust.ui.figures.lines import curves
from dropclust.ui.figures.network import neuron_sheet, nulls_figure


def pictures(said: Table2, command: str) -> None:
    """Rand beside chance, twins, and behind a line each what else is measured."""
    left, right = st.columns(2)
    with left:
        controls.chart(said.rand, curves, "table2-rand", command, height=420)
    with right:
        if said.twins is None:
            no_twins(command)
        else:
            controls.chart(said.twins, curves, "table2-twins", command, height=420)
    for question, info, name in (
        ("With chance taken out?", said.corrected, "corrected"),
        ("Do clusters fire together?", said.firing, "firing"),
    ):
        controls.further(question, info, curves, f"table2-{name}", command, height=420)


def choose_network(recipe: str) -> Summary | None:
    """One stored run, the viewer's own too; when another recipe was chosen, the same run under that one, where it is stored.

    The usual one has the rate that the viewer chose on another page.
    """
    before = st.session_state.get("network of", recipe)
    st.session_state["network of"] = recipe
    shown = live.stored(st.query_params.get("run", ""))
    if before != recipe and shown:
        other = replace(shown.spec, recipe=recipe).key
        if live.stored(other):
            st.query_params["run"] = other
    listed = live.store().list()
    keys = {summary.key for summary in listed}
    usual = table2.shown_spec(state.chosen("rate", 0.55), recipe).key
    return controls.choose_run(listed, usual if usual in keys else table2.shown_spec(0.55, recipe).key)


@lru_cache(maxsize=500)
def by_chance(incoming: tuple[int, ...], outgoing: tuple[int, ...]) -> float:
    """On how many neurons two clusterings of these labels would agree by chance."""
    return agreement_by_chance(incoming, outgoing)


def one_network(run: Summary, layer: int, k: int, bias: bool) -> None:
    """A run's layer: agreement, chance, twins, number of clusters and the neurons themselves."""
    width = run.spec.hidden[layer - 1]
    if width < 2:
        st.info("One neuron alone cannot be clustered.")
        return
    k = min(k, width)
    stored = live.network(run.key)
    if stored is None:
        return
    similar = live.similarity(run.key, layer, k, bias)
    if bias and similar and (without := live.similarity(run.key, layer, k)):
        moved = width - int(agreement(without[0].incoming_labels, similar[0].incoming_labels).sum())
        st.caption(f"The bias moves {moved} of {width} neurons to another cluster by incoming weights.")
    firing = live.firing(run.key, layer, k, bias)
    controls.metrics(network.numbers(similar[0] if similar else None, firing))
    command = runs.command(run.spec)
    if similar:
        found = similar[0]
        sheet = live.sheet(stored, layer, k, similar, firing, bias)
        controls.picture(sheet, neuron_sheet, "similar-neurons", command, halves=width > 20)
        chance = by_chance(tuple(found.incoming_labels.tolist()), tuple(found.outgoing_labels.tolist()))
        st.caption(f"By chance the two clusterings would agree on {chance:.0f}. {network.AGREE}")
        controls.fold(
            "**What do shuffled weights give?**", "nulls", lambda: beside_chance(run.key, layer, k, bias, found, command)
        )
    controls.fold("**How many clusters are there?**", "choices", lambda: how_many(run.key, layer, width))


def beside_chance(key: str, layer: int, k: int, bias: bool, found: Similarity, command: str) -> None:
    """The Rand index beside three answers to what chance gives."""
    if shuffled := live.ask(asked.shuffled(live.origin(key), layer, k, bias), 450):
        controls.chart(network.nulls(found, shuffled), nulls_figure, "nulls", command, whole=True)


def how_many(key: str, layer: int, width: int) -> None:
    """The number of clusters by three criteria."""
    candidates = tuple(c for c in (2, *table2.CLUSTERS) if c < width)
    if candidates and (choices := live.ask(asked.choices(live.origin(key), layer, candidates), 450)):
        picked = network.chosen(choices)
        st.table(picked.table().set_index("clusters").map("{:.4g}".format))
        st.caption(picked.sentence)
