"""Explore: drag the dropout rate and watch neurons become copies, Rand leave its chance band, accuracy bend."""

import streamlit as st

from dropclust.experiments import table2
from dropclust.service import results
from dropclust.ui import charts, controls, live, state

RATE = state.Parameter("rate", "Dropout rate", 0.4, table2.RATES, step=0.05, show="{:.2f}".format)
LAYER = state.Parameter("layer", "Hidden layer", 1, table2.LAYERS)
CLUSTERS = state.Parameter(
    "k", "Clusters", 10, table2.CLUSTERS, help="k of k-means. The paper does not state its own, and the Rand index hangs on it."
)

state.enter([RATE, LAYER, CLUSTERS])
st.title("Neurons become copies of each other")
st.markdown(
    "**Dropout** switches hidden neurons off at random while a network learns. The paper says that the others answer by "
    "becoming copies: cluster a layer's neurons by what comes **in**, cluster them again by what goes **out**, and the two "
    "clusterings agree more than chance allows. Drag the rate and see."
)
found = live.table(results.file_name("table2", "modern"))
pictures = live.table(results.file_name("table2-neurons", "modern"))

if found and pictures:
    table, command = found
    neurons, _ = pictures
    rate = controls.slide(RATE)
    left, right = st.columns(2)
    with left:
        layer = controls.choose(LAYER)
    with right:
        k = controls.choose(CLUSTERS)

    width = table2.HIDDEN[layer - 1]
    rand = charts.rand_curves(table, layer, k, width, rate)
    adjusted = charts.adjusted_curves(table, layer, k, width, rate)
    accuracy = charts.accuracy_curves(table, width, rate)
    numbers = st.columns(4)
    for column, (label, series) in zip(
        numbers,
        [("Rand index", rand.series[0]), ("Rand by chance", rand.series[1]), ("Adjusted Rand", adjusted.series[0]),
         ("Test accuracy", accuracy.series[0])],
        strict=True,
    ):  # fmt: skip
        here = series.at(rate)
        column.metric(label, f"{here.mean:.3f}", help=here.text())

    stored = live.store().get(table2.shown_spec(rate).key)
    if stored is None:
        st.info(f"The network of rate {rate:.2f} is not stored here; `{command}` trains it again.")
    else:
        part = neurons[(neurons["dropout"] == rate) & (neurons["layer"] == layer) & (neurons["k"] == k)].sort_values("neuron")
        sheet = charts.neurons(
            stored.weights, layer, part["incoming"], part["outgoing"], part["agree"] == 1, int(part["dead"].sum())
        )
        what = "the 28 × 28 weights each looks through" if layer == 1 else "its outgoing weights"
        st.subheader(f"The neurons of layer {layer}: {what}")
        controls.chart(sheet, charts.neuron_sheet(sheet), "neurons", command)

    columns = st.columns(3)
    for column, info, key in zip(columns, (rand, adjusted, accuracy), ("rand", "adjusted", "accuracy"), strict=True):
        with column:
            controls.chart(info, charts.curves(info), key, command)

live.queue()
live.settle()
