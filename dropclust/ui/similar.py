"""Blocks of the Similar neurons page: Table 2 over seeds, and one stored network against what chance gives."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dropclust.core.similarity import agreement, agreement_by_chance
from dropclust.experiments import paper, table2
from dropclust.findings import network, words
from dropclust.findings.table2 import Table2
from dropclust.service import runs
from dropclust.service.stored import Summary
from dropclust.ui import controls, live
from dropclust.ui.explore import no_twins
from dropclust.ui.figures.lines import curves
from dropclust.ui.figures.network import neuron_sheet, nulls_figure


def experiment(said: Table2, command: str) -> None:
    """Table 2 over seeds."""
    st.table(said.again.formatted())
    st.caption(f"{said.again.sentence} Paper: {paper.CITATION}, Table 2.")
    charts = {"rand": said.rand, "corrected": said.corrected, "twins": said.twins, "firing": said.firing}
    columns = [column for _ in range(2) for column in st.columns(2)]
    for column, (name, info) in zip(columns, charts.items(), strict=True):
        with column:
            if info is None:
                no_twins(command)
            else:
                controls.chart(info, curves, f"table2-{name}", command, height=420)


def choose_network(recipe: str) -> Summary | None:
    """One stored run, the viewer's own too; when another recipe was chosen, the same run under that one, where it is stored."""
    before = st.session_state.get("network of", recipe)
    st.session_state["network of"] = recipe
    shown = runs.stored(live.store(), st.query_params.get("run", ""))
    if before != recipe and shown:
        other = replace(shown.spec, recipe=recipe).key
        if live.store().get(other):
            st.query_params["run"] = other
    return controls.choose_run(live.store().list(), table2.shown_spec(0.55, recipe).key)


@st.cache_data(show_spinner=False, max_entries=500)
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
    try:
        firing = live.firing(run.key, layer, k, bias)
    except FileNotFoundError as error:
        st.warning(f"Which neurons fire cannot be seen: {error}", icon=":material/image_not_supported:")
        firing = None
    numbers = st.columns(6)
    if similar:
        numbers[0].metric("Rand index", f"{similar[0].rand:.3f}")
        numbers[1].metric("Rand by chance", f"{similar[0].chance_rand:.3f}", help="Expectation under permuted labels, exact.")
        numbers[2].metric("Adjusted Rand", f"{similar[0].adjusted_rand:.3f}")
    if firing:
        numbers[3].metric("Twins", f"{firing.with_twin} of {width - firing.dead}", help=firing.sentence)
        numbers[4].metric("Never fire", f"{firing.dead} of {width}", help="On the held-out images. Dead copies say nothing.")
        apart = f"across clusters {words.number(firing.across)}"
        numbers[5].metric("Correlation", words.number(firing.within), apart, delta_color="off")
        st.markdown(firing.sentence)
    left, right = st.columns(2)
    with left:
        shuffled = live.shuffled(run.key, layer, k, bias)
        if similar and shuffled:
            info = network.nulls(similar[0], shuffled)
            controls.chart(info, nulls_figure, "nulls", runs.command(run.spec))
    with right:
        candidates = tuple(c for c in (2, *table2.CLUSTERS) if c < width)
        if candidates and (choices := live.choices(run.key, layer, candidates)):
            picked = network.chosen(choices)
            st.table(picked.table().set_index("clusters").map("{:.4g}".format))
            st.caption(picked.sentence)
    if similar:
        found, agree = similar
        labels = found.incoming_labels.tolist(), found.outgoing_labels.tolist()
        sheet = network.neurons(stored.weights, layer, *labels, agree, firing.dead if firing else None)
        controls.picture(sheet, neuron_sheet, "similar-neurons", runs.command(run.spec))
        chance = by_chance(*map(tuple, labels))
        st.caption(
            f"Clusters of the two clusterings, of one neuron too, are matched one to one; they agree on a neuron when its two "
            f"are a pair: {sum(agree)} of {width}, and {chance:.0f} when labels are permuted."
        )
