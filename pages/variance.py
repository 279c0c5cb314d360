"""Model variance: Figure 2 made again, sampling against scaling with what must hold exactly, and cross-entropy."""

import streamlit as st

from dropclust.experiments import figure2, paper
from dropclust.findings.figure2 import OUTPUTS, PREDICTIONS, own_runs
from dropclust.findings.words import capital
from dropclust.service import runs
from dropclust.ui import controls, live, state, variance
from dropclust.ui.figures import figure2 as figures
from dropclust.ui.state import Parameter

OUTPUT = Parameter(
    "output", "Model variance of", "logits", tuple(OUTPUTS), help="The paper does not say which it takes.",
    aliases=("variance_of",),
)  # fmt: skip
PREDICTION = Parameter(
    "predictions", "Prediction", "sampled", tuple(PREDICTIONS), aliases=("ways",),
    help=f"Sampled: geometric mean over {figure2.SAMPLES} masks, whose logits are the masks' mean logits.",
)  # fmt: skip
RECIPE = controls.RECIPE

state.enter([OUTPUT, PREDICTION, RECIPE])
st.title(figure2.EXPERIMENT.question)
st.markdown(
    f"Train networks of one kind on **{figure2.TRAIN_SIZE:,} images of their own for each**, and see how far their predictions "
    f"differ: the **model variance** of section {figure2.EXPERIMENT.section}. The paper finds less of it with dropout, least "
    f"with vanilla dropout, and much less when the masks are sampled than when they are scaled away "
    f"({figure2.EXPERIMENT.title}). Initial weights, order of the images and noise differ as well: their part is shown below."
)
controls.damage(live.store())
columns = st.columns([1, 1, 1, 1])
with columns[0]:
    output = controls.choose(OUTPUT)
with columns[1]:
    prediction = controls.choose(PREDICTION)
with columns[2]:
    recipe = controls.choose(RECIPE)
found = live.told(lambda: variance.found(recipe, prediction, output))
if found:
    if found.counts:
        rows = (f"- {statement} **{seen}**" for statement, seen in found.counts.rows)
        st.markdown("\n".join([found.counts.about, "", *rows]))
    variance.side_by_side(found.variance, "variance", found.command)
    st.caption(
        "Bands are 95 % jackknife intervals over models, on the logarithm. The variance is what the paper's formula gives for "
        f"{figure2.MODELS} models on average. Paper: {paper.CITATION}, {figure2.EXPERIMENT.title}, which prints no numbers."
    )
    with st.expander("Ratios to no dropout, with intervals"):
        st.table(found.ratios.formatted())
        st.caption(found.ratios.sentence)
        controls.behind(found.ratios, "variance-ratios", found.command)
    if found.formula:
        with st.expander("The paper's formula"):
            st.table(found.formula.formatted())
            st.caption(found.formula.sentence)
            controls.behind(found.formula, "variance-formula", found.command)
    if found.sources:
        st.header("Is it the images?")
        controls.chart(found.sources, figures.sources, "variance-sources", found.command)
    for sentence in found.missing:
        st.info(f"{capital(sentence)}.")
    st.header("Is sampling lower than scaling?")
    variance.side_by_side(found.sampling, "sampling", found.command)
    st.header("Cross-entropy of the same models")
    own = own_runs(live.store().list(), recipe, runs.label)
    left, right = (info.with_own(own[place]) for info, place in zip(found.cross_entropy, figure2.LAYERS, strict=True))
    variance.side_by_side((left, right), "cross-entropy", found.command)
    variance.train_yourself(recipe)
