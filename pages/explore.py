"""Explore: drag the dropout rate and watch neurons become alike, Rand leave its chance band, accuracy bend."""

import streamlit as st

from dropclust.experiments import paper, results, table2
from dropclust.experiments.experiment import Settings
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, explore, live, state

RATE = Parameter("rate", "Dropout rate", 0.4, table2.RATES, step=0.05, show="{:.2f}".format)
LAYER = Parameter("layer", "Hidden layer", 1, table2.LAYERS)
CLUSTERS = Parameter(
    "k", "Clusters", 10, table2.CLUSTERS,
    help="k of k-means. The paper does not state its own, and the Rand index depends on it.",
)  # fmt: skip
ASK = Parameter("guess", "Guess first", "on", ("on", "off"))
PLAIN = Parameter("plain", "Plain slider", "off", ("off", "on"))
RECIPE = controls.RECIPE
SEED = Parameter(
    "shown_seed", "Seed", table2.SHOWN_SEED, low=0, high=Settings().seeds - 1, step=1, typed=True,
    help="Whose neurons are drawn; the curves are of all.",
)  # fmt: skip

state.enter([RATE, LAYER, CLUSTERS, RECIPE, SEED, ASK, PLAIN])
st.title(table2.EXPERIMENT.question)
st.markdown(
    "**Dropout** switches hidden units, the **neurons**, off at random while a network learns: here MNIST's digits, with "
    f"{'-'.join(map(str, table2.shown_spec(0.0).widths))} units. The paper says that they become **copies**: cluster a "
    "layer by its neurons' incoming weights, and again by their outgoing ones, and the two clusterings agree more the higher "
    "the rate. The **Rand index** is the share of pairs of neurons that both clusterings treat alike, together or apart. Much "
    "of it is chance; **adjusted Rand** takes that out: 0 is chance, 1 is equal. **Twins** need no clusters: two neurons whose "
    "activations rise and fall together, with a correlation above .9."
)
controls.damage(live.store())
columns = st.columns([11, 15, 14, 9, 19], vertical_alignment="bottom")
with columns[0]:
    layer = controls.choose(LAYER)
with columns[1]:
    k = controls.choose(CLUSTERS)
with columns[2]:
    recipe = controls.choose(RECIPE)
with columns[3], st.popover("More", icon=":material/tune:"):
    seed = controls.number(SEED)
    as_plain = controls.choose(PLAIN) == "on"
if seed is None or not SEED.low <= seed <= SEED.high:
    st.warning(
        f"{SEED.label} must be a whole number from {SEED.low} to {SEED.high}; got {seed}. Shown instead: {SEED.default}.",
        icon=":material/pin:",
    )
    seed = SEED.default
shown = explore.Shown(recipe, layer, k, seed)
found = live.table(results.file_name("table2", recipe))
if found:
    _, command = found
    said = live.table_2(recipe, layer, k, table2.HIDDEN[layer - 1])
    with columns[4]:
        explore.answered(shown, said)
    still_open = state.value(ASK) == "on" and explore.ask(shown, said)
    with st.spinner("Laying out the neurons"):  # the first viewer of a choice waits a second or two
        scene = explore.drawn(shown)
    if scene and not as_plain:
        rate = state.value(RATE)
        rate = explore.dragged(scene, rate, still_open)
        state.put(RATE, rate)
        if not still_open:
            st.markdown(f"{scene.readings[scene.rates.index(rate)].sentence} {explore.compared(shown)}")
            if said.twins is None:
                explore.no_twins(command)
            numbers = controls.side_by_side([info for way in explore.WAYS if (info := getattr(said, way))])
            st.caption(f"{numbers.sentence} Paper: {paper.CITATION}.")
            controls.behind(numbers, "explore", command)
    else:
        rate = controls.slide(RATE)
        if scene:
            explore.still(shown, rate, command)
        explore.plain(said, rate, ("accuracy",) if still_open else explore.WAYS, command)
        if not still_open:
            st.markdown(explore.compared(shown))
            st.caption(f"Paper: {paper.CITATION}.")

live.queue()
