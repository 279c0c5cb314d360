"""Batch size: Table 1 made again with intervals, its trend seed by seed, and what a single run does."""

from functools import partial

import streamlit as st

from dropclust.experiments import paper, table1
from dropclust.findings import glossary
from dropclust.findings.table1 import own_runs
from dropclust.service import links, runs
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, state
from dropclust.ui.figures import table1 as figures

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
st.title(table1.EXPERIMENT.question, anchor=False, help=glossary.explained("batch size", "sampled", "scaled"))
headline = st.container()
recipe = controls.choose(RECIPE)
picture, beside = st.columns([3, 2], gap="medium")
left, middle, _ = st.columns([2, 2, 3])
with left:
    prediction = controls.choose(PREDICTION)
with middle:
    with_paper = controls.choose(PAPER) == "shown"
found = live.told(lambda: live.said(table1.EXPERIMENT.name, recipe, prediction=prediction, with_paper=with_paper))
if found:
    headline.markdown(found.headline)
    own = own_runs(live.store().list(), recipe, runs.label)
    with picture:
        controls.chart(found.accuracy.with_own(own), figures.accuracy, "batch-accuracy", found.command)
    with beside:
        if found.trend:
            controls.chart(found.trend, figures.trend, "batch-trend", found.command)
        else:
            st.info("A trend needs two batch sizes with dropout and without.")
    if found.spread:
        question = "What does a single run do?"
        controls.further(question, found.spread, figures.spread, "batch-spread", found.command)
    theirs = f"Paper: {paper.CITATION}, Table 1." if with_paper else ""
    controls.fold(
        f"**{table1.EXPERIMENT.title}, made again**", "again",
        partial(controls.table, found.again, "table1", found.command, theirs),
    )  # fmt: skip
    with st.expander("**How it is measured**"):
        st.markdown(
            "With dropout every example trains another thinned network, so the gradient of a batch is a guess at the gradient "
            "of all of them. The paper expects **larger batches** to guess better, and so to help more **where dropout is on** "
            f"(section {table1.EXPERIMENT.section}, {table1.EXPERIMENT.title}). Every network here sees as many examples as "
            f"any other, so that a larger batch also means fewer steps. {found.sentence}"
        )
    with st.expander("**Train one of these yourself**: it then appears here as an open marker"):
        st.markdown(links.to_table1(own, recipe))
with headline:
    controls.damage(live.store())
