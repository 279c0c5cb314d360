"""Similar neurons: Table 2 made again with every chance level beside it, and any one network looked into."""

import streamlit as st

from dropclust.experiments import paper, results, table2
from dropclust.findings import glossary, questions
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, similar, state

RECIPE = controls.RECIPE
WIDTH = Parameter("width", "Units a layer", table2.HIDDEN[0], (table2.HIDDEN[0], table2.WIDE_HIDDEN[0]))
LAYER = Parameter("similar_layer", "Hidden layer", 2, table2.LAYERS)
CLUSTERS = Parameter("k", "Clusters", 10, table2.CLUSTERS)
BIAS = Parameter(
    "bias", "Bias among the incoming weights", "without", ("without", "with"),
    help="With it, a neuron's bias is one more entry of its incoming weights. The paper clusters weights only.",
)  # fmt: skip

state.enter([RECIPE, WIDTH, LAYER, CLUSTERS, BIAS], ["run"])
st.title(questions.SIMILAR, anchor=False, help=glossary.explained("Rand index", "adjusted Rand index", "twins"))
headline = st.container()
layer = controls.choose(LAYER)
pictures = st.container()
columns = st.columns([2, 2, 2, 1])
with columns[0]:
    recipe = controls.choose(RECIPE)
with columns[1]:
    k = controls.choose(CLUSTERS)
with columns[2]:
    width = controls.choose(WIDTH)
if found := live.table(results.file_name(table2.EXPERIMENT.name, recipe)):
    said, command = live.table_2(recipe, layer, k, width), found[1]
    headline.markdown(said.headline)
    with pictures:
        similar.pictures(said, command)
    controls.fold(
        f"**{table2.EXPERIMENT.title}, made again, {recipe} recipe**", "again",
        lambda: controls.table(said.again, "table2", command, f"Paper: {paper.CITATION}, Table 2."),
    )  # fmt: skip
with st.expander("**How it is measured**"):
    st.markdown(
        "The paper clusters a layer's neurons twice, by **incoming** and by **outgoing** weights. It reads a high **Rand "
        "index** between the two, the share of pairs of neurons that both treat alike, as a sign of copies (section 4.3.1). "
        "Most of a Rand index is chance, so chance stands beside it here. **Twins** ask it without clusters: a neuron that "
        "fires has one when another's activations correlate above .9 with its own."
    )

head = st.container()
left, right = st.columns([3, 1])
with left:
    run = similar.choose_network(recipe)
    controls.damage(live.store())  # of the run that the address asks for
head.header(f"One network, {run.spec.recipe} recipe" if run else "One network")
if run:
    with right:
        bias = controls.choose(BIAS) == "with"
    similar.one_network(run, layer, k, bias)
with headline:
    controls.damage(live.store())
