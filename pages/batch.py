"""Batch size: Table 1 made again with intervals, its trend seed by seed, and what a single run does."""

import streamlit as st

from dropclust.experiments import paper, table1
from dropclust.findings.table1 import own_runs
from dropclust.service import runs
from dropclust.ui import batch, controls, live, state
from dropclust.ui.figures import table1 as figures
from dropclust.ui.state import Parameter

PREDICTION = Parameter(
    "prediction",
    "Prediction",
    "sampled",
    ("sampled", "scaled"),
    help=f"Mean over {table1.SAMPLES} masks, or one network with its masks replaced by their mean. Beside its Table 1 the "
    f"paper lists {table1.SAMPLES} samples and says no more.",
)
RECIPE = controls.RECIPE
PAPER = Parameter("paper", "The paper's values", "shown", ("shown", "left out"), help="Without them ours are magnified.")

state.enter([PREDICTION, RECIPE, PAPER])
st.title(table1.EXPERIMENT.question)
st.markdown(
    "With dropout every example trains another thinned network, so the gradient of a batch is a guess at the gradient of all "
    "of them. The paper expects **larger batches** to guess better, and so to help more **where dropout is on** (section "
    f"{table1.EXPERIMENT.section}, {table1.EXPERIMENT.title}). Every network here sees as many examples as any other, so that "
    "a larger batch also means fewer steps."
)
controls.damage(live.store())
columns = st.columns([1, 1, 1, 1])
with columns[0]:
    prediction = controls.choose(PREDICTION)
with columns[1]:
    recipe = controls.choose(RECIPE)
with columns[2]:
    with_paper = controls.choose(PAPER) == "shown"
found = live.told(lambda: batch.found(recipe, prediction, with_paper))
if found:
    own = own_runs(live.store().list(), recipe, runs.label)
    if found.trend:
        st.markdown(f"**{found.trend.verdict}**")
    left, right = st.columns([3, 2])
    with left:
        info = found.accuracy.with_own(own)
        controls.chart(info, figures.accuracy, "batch-accuracy", found.command)
    with right:
        if found.trend:
            controls.chart(found.trend, figures.trend, "batch-trend", found.command)
        else:
            st.info("A trend needs two batch sizes with dropout and without.")
    st.header(f"{table1.EXPERIMENT.title}, made again")
    st.table(found.again.formatted())
    st.caption(found.again.sentence + (f" Paper: {paper.CITATION}, Table 1." if with_paper else ""))
    controls.behind(found.again, "table1", found.command)
    if found.spread:
        st.header("What a single run does")
        controls.chart(found.spread, figures.spread, "batch-spread", found.command)
    batch.train_yourself(own, recipe)
