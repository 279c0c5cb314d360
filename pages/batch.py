"""Batch size: Table 1 made again with intervals, its trend seed by seed, and what a single run does."""

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.experiments import paper, results, table1
from dropclust.experiments.experiment import Settings
from dropclust.ui import batch, controls, live, runs, state
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


def train_yourself(own: tuple[batch.Own, ...]) -> None:
    """Links that open the Train page with the settings of one run, or with the runs that are stored."""
    stored: dict[tuple[float, int], list[str]] = {}
    for each in own:
        stored.setdefault((each.rate, each.batch), []).append(each.key)
    st.markdown("**Train one of these yourself**: it then appears here as an open marker.")
    template = table1.EXPERIMENT.specs(Settings(recipe, 1))[0]
    for rate, name in batch.NAMES.items():
        spec = replace(template, dropout=(rate,) * 3, precision=RunSpec().precision)
        links = [
            f"[{size} (stored)](train?{urlencode({'run': stored[rate, size]}, doseq=True)})"
            if (rate, size) in stored
            else f"[{size}]({runs.train_link(replace(spec, batch_size=size))})"
            for size in table1.BATCHES
        ]
        st.markdown(f"{name[:1].upper()}{name[1:]}, batch " + ", ".join(links))


state.enter([PREDICTION, RECIPE, PAPER])
st.title("Does a larger batch help more with dropout?")
st.markdown(
    "With dropout every example trains another thinned network, so the gradient of a batch is a guess at the gradient of all "
    "of them. The paper expects **larger batches** to guess better, and so to help more **where dropout is on** (section "
    "4.1.2, Table 1). Every network here sees as many examples as any other, so that a larger batch also means fewer steps."
)
controls.damage(live.store())
columns = st.columns([1, 1, 1, 1])
with columns[0]:
    prediction = controls.choose(PREDICTION)
with columns[1]:
    recipe = controls.choose(RECIPE)
with columns[2]:
    beside = controls.choose(PAPER) == "shown"
found = live.table(results.file_name("table1", recipe))
if found:
    _, command = found
    shown = batch.table_1_of(recipe, prediction, beside)
    own = batch.own_runs(live.store().list(), recipe)
    if shown.trend:
        st.markdown(f"**{shown.trend.verdict}**")
    left, right = st.columns([3, 2])
    with left:
        info = shown.accuracy.with_own(own)
        controls.chart(info, batch.accuracy_figure(info), "batch-accuracy", command)
    with right:
        if shown.trend:
            controls.chart(shown.trend, batch.trend_figure(shown.trend), "batch-trend", command)
        else:
            st.info("A trend needs two batch sizes with dropout and without.")
    st.header("Table 1, made again")
    st.table(shown.again.formatted())
    st.caption(shown.again.sentence + (f" Paper: {paper.CITATION}, Table 1." if beside else ""))
    controls.behind(shown.again, "table1", command)
    if shown.spread:
        st.header("What a single run does")
        controls.chart(shown.spread, batch.spread_figure(shown.spread), "batch-spread", command)
    train_yourself(own)
