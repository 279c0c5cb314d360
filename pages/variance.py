"""Model variance: Figure 2 made again, sampling against scaling with what must hold exactly, and cross-entropy."""

from functools import partial

import streamlit as st

from dropclust.experiments import figure2, paper
from dropclust.findings import glossary
from dropclust.findings.figure2 import OUTPUTS, PLACES, PREDICTIONS, Chart, own_runs
from dropclust.findings.words import capital
from dropclust.service import links, runs
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, state
from dropclust.ui.figures import figure2 as figures

OUTPUT = Parameter(
    "output", "Model variance of", "logits", tuple(OUTPUTS), help="The paper does not say which it takes.",
    aliases=("variance_of",),
)  # fmt: skip
PREDICTION = Parameter(
    "predictions", "Prediction", "sampled", tuple(PREDICTIONS), aliases=("ways",),
    help=f"Sampled: geometric mean over {figure2.SAMPLES} masks, whose logits are the masks' mean logits.",
)  # fmt: skip
RECIPE = controls.RECIPE


def side_by_side(pair: tuple[Chart, Chart], key: str, command: str, whole: bool = True) -> None:
    """The paper's left and right chart."""
    for column, info, place in zip(st.columns(2), pair, PLACES.values(), strict=True):
        with column:
            controls.chart(info, figures.chart, f"{key}-{place.replace(' ', '-')}", command, whole=whole)


state.enter([OUTPUT, PREDICTION, RECIPE])
st.title(figure2.EXPERIMENT.question, anchor=False, help=glossary.explained("model variance", "sampled", "scaled"))
headline = st.container()
prediction = controls.choose(PREDICTION)
pictures = st.container()
left, middle, _ = st.columns([2, 2, 3])
with left:
    recipe = controls.choose(RECIPE)
with middle:
    output = controls.choose(OUTPUT)
found = live.told(lambda: live.said(figure2.EXPERIMENT.name, recipe, prediction=prediction, output=output))
if found:
    headline.markdown(found.headline)
    with pictures:
        side_by_side(found.variance, "variance", found.command, whole=False)
    controls.fold(
        f"**Is sampling lower than scaling?** {found.sampling[1].brief}", "sampling",
        partial(side_by_side, found.sampling, "sampling", found.command),
    )  # fmt: skip
    if found.sources:
        controls.further("Is it the images?", found.sources, figures.sources, "variance-sources", found.command)
    own = own_runs(live.store().list(), recipe, runs.label)
    pair = tuple(info.with_own(own[place]) for info, place in zip(found.cross_entropy, figure2.LAYERS, strict=True))
    controls.fold(
        f"**What does it cost in cross-entropy?** {pair[1].brief}", "cross-entropy",
        partial(side_by_side, pair, "cross-entropy", found.command),
    )  # fmt: skip
    controls.fold(
        "**Ratios to no dropout, with intervals**", "ratios",
        partial(controls.table, found.ratios, "variance-ratios", found.command),
    )  # fmt: skip
    if found.formula:
        controls.fold(
            "**The paper's formula**", "formula", partial(controls.table, found.formula, "variance-formula", found.command)
        )
    with st.expander("**How it is measured**"):
        st.markdown(
            f"Train networks of one kind on **{figure2.TRAIN_SIZE:,} images of their own for each**, and see how far their "
            f"predictions differ: the **model variance** of section {figure2.EXPERIMENT.section}. The paper finds less of it "
            "with dropout, least with vanilla dropout, and much less when the masks are sampled than when they are scaled away "
            f"({figure2.EXPERIMENT.title}). Initial weights, order of the images and noise differ as well: *Is it the images?* "
            "shows their part."
        )
        if found.counts:
            rows = (f"- {statement} **{seen}**" for statement, seen in found.counts.rows)
            st.markdown("\n".join([found.counts.about, "", *rows]))
        st.markdown(
            "Bands are 95 % jackknife intervals over models, on the logarithm. The variance is what the paper's formula gives "
            f"for {figure2.MODELS} models on average. Paper: {paper.CITATION}, {figure2.EXPERIMENT.title}, which prints no "
            "numbers."
        )
    with st.expander("**Train such a model yourself**: it then appears here as an open marker"):
        st.markdown(links.to_figure2(recipe))
    for sentence in found.missing:
        st.info(f"{capital(sentence)}.")
with headline:
    controls.damage(live.store())
