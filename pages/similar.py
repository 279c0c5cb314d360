"""Similar neurons: Table 2 made again with every chance level beside it, and any one network looked into."""

from dataclasses import replace

import streamlit as st

from dropclust.core.similarity import agreement, agreement_by_chance
from dropclust.experiments import paper, results, table2
from dropclust.ui import charts, controls, live, runs, state
from dropclust.ui.state import Parameter

RECIPE = controls.RECIPE
WIDTH = Parameter("width", "Units a layer", table2.HIDDEN[0], (table2.HIDDEN[0], table2.WIDE_HIDDEN[0]))
LAYER = Parameter("similar_layer", "Hidden layer", 2, table2.LAYERS)
CLUSTERS = Parameter("k", "Clusters", 10, table2.CLUSTERS)
BIAS = Parameter(
    "bias", "Bias among the incoming weights", "without", ("without", "with"),
    help="With it, a neuron's bias is one more entry of its incoming weights. The paper clusters weights only.",
)  # fmt: skip


def experiment(recipe: str, layer: int, k: int) -> None:
    """Table 2 over seeds."""
    found = live.table(results.file_name("table2", recipe))
    if not found:
        return
    _, command = found
    of = live.table_2(recipe, layer, k, controls.choose(WIDTH))
    st.table(of.again.formatted())
    st.caption(f"{of.again.sentence} Paper: {paper.CITATION}, Table 2.")
    shown = [(of.rand, "table2-rand"), (of.corrected, "table2-corrected"), (of.firing, "table2-firing")]
    for column, (info, key) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            controls.chart(info, charts.curves(info, 420), key, command)


def follow(recipe: str) -> None:
    """When another recipe was chosen, look into the same network trained by it, where that one is stored."""
    before = st.session_state.get("network of", recipe)
    st.session_state["network of"] = recipe
    shown = runs.stored(live.store(), st.query_params.get("run", ""))
    if before != recipe and shown:
        other = replace(shown.spec, recipe=recipe).key
        if live.store().get(other):
            st.query_params["run"] = other


def one_network(recipe: str, layer: int, k: int) -> None:
    """One stored run, the viewer's own too."""
    head = st.container()
    follow(recipe)
    left, right = st.columns([3, 1])
    with left:
        run = controls.choose_run(live.store().list(), table2.shown_spec(0.55, recipe).key)
    head.header(f"One network, {run.spec.recipe} recipe" if run else "One network")
    if run is None:
        return
    stored = live.network(run.key)
    if stored is None:
        return
    with right:
        bias = controls.choose(BIAS) == "with"
    width = run.spec.hidden[layer - 1]
    if width < 2:
        st.info("One neuron alone cannot be clustered.")
        return
    k = min(k, width)
    found, agree = live.similarity(run.key, layer, k, bias)
    if bias:
        without, _ = live.similarity(run.key, layer, k)
        moved = width - int(agreement(without.incoming_labels, found.incoming_labels).sum())
        st.caption(f"The bias moves {moved} of {width} neurons to another cluster by incoming weights.")
    firing = None
    try:
        firing = live.firing(run.key, layer, k, bias)
    except FileNotFoundError as error:
        st.warning(f"Which neurons fire cannot be seen: {error}", icon=":material/image_not_supported:")
    numbers = st.columns(5)
    numbers[0].metric("Rand index", f"{found.rand:.3f}")
    numbers[1].metric("Rand by chance", f"{found.chance_rand:.3f}", help="Expectation under permuted labels, exact.")
    numbers[2].metric("Adjusted Rand", f"{found.adjusted_rand:.3f}")
    if firing is not None:
        dead, within, across = firing
        numbers[3].metric("Never fire", f"{dead} of {width}", help="On the held-out images. Dead copies say nothing.")
        apart = f"across clusters {across:.2f}"
        numbers[4].metric("Correlation", f"{within:.2f}", apart, delta_color="off")
    left, right = st.columns(2)
    with left:
        info = charts.nulls(found, live.shuffled(run.key, layer, k, bias))
        controls.chart(info, charts.nulls_figure(info), "nulls", runs.command(run.spec))
    with right:
        candidates = tuple(c for c in (2, *table2.CLUSTERS) if c < width)
        if candidates:
            picked = charts.chosen(live.choices(run.key, layer, candidates))
            st.table(picked.table().set_index("clusters").style.format("{:.4g}"))
            st.caption(picked.sentence)
    sheet = charts.neurons(stored.weights, layer, found.incoming_labels, found.outgoing_labels, agree, firing and firing[0])
    controls.picture(sheet, charts.neuron_sheet(sheet), "similar-neurons", runs.command(run.spec))
    chance = agreement_by_chance(found.incoming_labels, found.outgoing_labels)
    st.caption(
        f"Clusters of the two clusterings, of one neuron too, are matched one to one; they agree on a neuron when its two are "
        f"a pair: {sum(agree)} of {width}, and {chance:.0f} when labels are permuted."
    )


state.enter([RECIPE, WIDTH, LAYER, CLUSTERS, BIAS])
st.title("Similar neurons, and what chance gives")
st.markdown(
    "The paper clusters a layer's neurons twice, by **incoming** and by **outgoing** weights, and reads a high **Rand index** "
    "between the two as a sign of copies (section 4.3.1). Most of a Rand index is chance, so chance stands beside it here."
)
damaged = st.container()
columns = st.columns(4)
with columns[0]:
    recipe = controls.choose(RECIPE)
with columns[1]:
    layer = controls.choose(LAYER)
with columns[2]:
    k = controls.choose(CLUSTERS)
st.header(f"Table 2, made again, {recipe} recipe")
experiment(recipe, layer, k)
one_network(recipe, layer, k)
with damaged:  # what was found meanwhile too
    controls.damage(live.store())
