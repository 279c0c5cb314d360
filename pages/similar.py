"""Similar neurons: Table 2 made again with every chance level beside it, and any one network looked into."""

import streamlit as st

from dropclust.core.spec import RECIPES
from dropclust.experiments import paper, table2
from dropclust.service import results
from dropclust.ui import charts, controls, live, runs, state
from dropclust.ui.state import Parameter

RECIPE = Parameter("recipe", "Recipe", "modern", tuple(RECIPES), help="How the networks were trained; see the README.")
WIDTH = Parameter("width", "Units a layer", table2.HIDDEN[0], (table2.HIDDEN[0], table2.WIDE_HIDDEN[0]))
LAYER = Parameter("layer", "Hidden layer", 2, table2.LAYERS)
CLUSTERS = Parameter("k", "Clusters", 10, table2.CLUSTERS)
BIAS = Parameter("bias", "Bias among the incoming weights", "without", ("without", "with"))


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


def one_network(layer: int, k: int, bias: bool) -> None:
    """One stored run, the viewer's own too."""
    run = controls.choose_run(live.store().list(), table2.shown_spec(0.55).key)
    if run is None:
        return
    width = run.spec.hidden[layer - 1]
    if width < 2:
        st.info("One neuron alone cannot be clustered.")
        return
    k = min(k, width)
    found, agree = live.similarity(run.key, layer, k, bias)
    try:
        dead, within, across = live.firing(run.key, layer, k, bias)
    except FileNotFoundError as error:
        st.warning(f"Which neurons fire cannot be seen: {error}", icon=":material/image_not_supported:")
        dead = within = across = None
    numbers = st.columns(5)
    numbers[0].metric("Rand index", f"{found.rand:.3f}")
    numbers[1].metric("Rand by chance", f"{found.chance_rand:.3f}", help="Expectation under permuted labels, exact.")
    numbers[2].metric("Adjusted Rand", f"{found.adjusted_rand:.3f}")
    if dead is not None:
        numbers[3].metric("Never fire", f"{dead} of {width}", help="On the held-out images. Dead copies say nothing.")
        numbers[4].metric("Correlation", f"{within:.2f}", f"{within - across:+.2f} than across clusters", delta_color="off")
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
    stored = live.store().get(run.key)
    sheet = charts.neurons(stored.weights, layer, found.incoming_labels, found.outgoing_labels, agree, dead)
    controls.picture(sheet, charts.neuron_sheet(sheet), "similar-neurons", runs.command(run.spec))


state.enter([RECIPE, WIDTH, LAYER, CLUSTERS, BIAS])
st.title("Similar neurons, and what chance gives")
st.markdown(
    "The paper clusters a layer's neurons twice, by **incoming** and by **outgoing** weights, and reads a high **Rand index** "
    "between the two as a sign of copies (section 4.3.1). Most of a Rand index is chance, so chance stands beside it here."
)
controls.damage(live.store())
columns = st.columns(4)
with columns[0]:
    recipe = controls.choose(RECIPE)
with columns[1]:
    layer = controls.choose(LAYER)
with columns[2]:
    k = controls.choose(CLUSTERS)
st.header("Table 2, made again")
experiment(recipe, layer, k)
st.header("One network")
with columns[3]:
    bias = controls.choose(BIAS) == "with"
one_network(layer, k, bias)
