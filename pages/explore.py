"""Explore: drag the dropout rate and watch neurons find twins; then what the paper measures of it."""

import streamlit as st

from dropclust.experiments import paper, results, table2
from dropclust.experiments.experiment import Settings
from dropclust.findings import glossary
from dropclust.findings.explorer import QUESTION
from dropclust.findings.tour import PAPER, STEPS, TWINS
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, explore, live, state
from dropclust.ui.trained import LAYER

RATE = Parameter("rate", "Dropout rate", 0.4, table2.RATES, step=0.05, show="{:.2f}".format)
VIEW = Parameter("view", "Shown", TWINS, (TWINS, PAPER))
STEP = Parameter("step", "Step of the tour", 0, tuple(range(len(STEPS) + 1)))
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

COLUMN = f".stColumn:has(.st-key-{CLUSTERS.name})"
WITHOUT_CLUSTERS = f"<style>{COLUMN} {{ display: none; }} {COLUMN} + .stColumn {{ flex-grow: 100; }}</style>"

state.enter([RATE, VIEW, STEP, LAYER, CLUSTERS, RECIPE, SEED, ASK, PLAIN])
st.title(QUESTION, anchor=False, help=glossary.explained("dropout rate", "twins"))
place, below = st.container(), st.container()  # the picture is made after its controls and stands above them
with below:
    columns = st.columns([3, 3, 4, 6], vertical_alignment="bottom")
    with columns[0]:
        layer = controls.choose(LAYER)
    with columns[1]:
        recipe = controls.choose(RECIPE)
    with columns[2]:
        k = controls.choose(CLUSTERS)
    with columns[3]:
        more, made = controls.seldom("More", "more", (SEED, PLAIN), ":material/tune:")
    seed, as_plain = SEED.default, False
    if made:
        with more:
            seed = controls.number(SEED)
            as_plain = controls.choose(PLAIN) == "on"
    controls.damage(live.store())
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
    with place:
        scene = explore.drawn(shown)
        if scene and not as_plain:
            explore.dragged(scene, shown, RATE, VIEW, STEP, ASK)
            if state.value(VIEW) == TWINS:  # which know no clusters; the control is made all the same, for it would forget
                st.html(WITHOUT_CLUSTERS)
        else:
            rate = controls.slide(RATE)
            if scene:
                explore.still(shown, rate, command)
            explore.plain(said, rate, command)
    with below:
        if scene and not as_plain and not explore.is_asking():
            explore.answered()
            explore.numbers(shown, said, scene.readings[scene.rates.index(state.value(RATE))], command)
            explore.take_home(shown)
        st.caption(f"Paper: {paper.CITATION}.")

live.queue()
