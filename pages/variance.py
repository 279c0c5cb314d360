"""Model variance: Figure 2 made again, sampling against scaling with what must hold exactly, and cross-entropy."""

from dataclasses import replace

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.experiments import figure2, paper, results
from dropclust.experiments.experiment import Settings
from dropclust.ui import controls, live, runs, state, variance
from dropclust.ui.state import Parameter

OF = Parameter(
    "variance_of", "Model variance of", "logits", tuple(variance.COLUMNS), help="The paper does not say which it takes."
)
PREDICTION = Parameter(
    "ways", "Prediction", "sampled", tuple(variance.WAYS), help=f"Sampled: mean over {figure2.SAMPLES} masks."
)
RECIPE = controls.RECIPE


def side_by_side(pair: tuple[variance.Chart, variance.Chart], key: str, command: str) -> None:
    """The paper's left and right chart."""
    for column, info, place in zip(st.columns(2), pair, variance.PLACES.values(), strict=True):
        with column:
            controls.chart(info, variance.chart_figure(info), f"{key}-{place.replace(' ', '-')}", command)


def train_yourself() -> None:
    """Links that open the Train page with the settings of one model."""
    st.markdown("**Train such a model yourself**: it then appears here as an open marker.")
    template = figure2.EXPERIMENT.specs(Settings(recipe, 1))[0]
    for place, mask in figure2.LAYERS.items():
        specs = {
            rate: replace(template, dropout=(rate * mask[0], rate * mask[1], rate * mask[2]), precision=RunSpec().precision)
            for rate in figure2.RATES
        }
        links = ", ".join(f"[{rate:g}]({runs.train_link(spec)})" for rate, spec in specs.items())
        st.markdown(f"Dropout in {variance.PLACES[place]}, rate {links}")


state.enter([OF, PREDICTION, RECIPE])
st.title("Do models agree more with dropout?")
st.markdown(
    f"Train networks alike in all but their images, **{figure2.TRAIN_SIZE:,} of their own for each**, and see how far their "
    "predictions differ: the **model variance** of section 4.2. The paper finds less of it with dropout, least with vanilla "
    "dropout, and much less when the masks are sampled than when they are scaled away (Figure 2)."
)
controls.damage(live.store())
columns = st.columns([1, 1, 1, 1])
with columns[0]:
    of = controls.choose(OF)
with columns[1]:
    prediction = controls.choose(PREDICTION)
with columns[2]:
    recipe = controls.choose(RECIPE)
found = live.table(results.file_name("figure2", recipe))
if found:
    _, command = found
    shown = variance.figure_2_of(recipe, prediction, of)
    if shown.claims:
        rows = (f"- {claim} **{seen}**" for claim, seen in shown.claims.rows)
        st.markdown("\n".join([shown.claims.about, "", *rows]))
    side_by_side(shown.variance, "variance", command)
    st.caption(
        "Bands are 95 % jackknife intervals over models, on the logarithm. The variance is that of the paper's formula for "
        f"{figure2.MODELS} models. Paper: {paper.CITATION}, Figure 2, which prints no numbers."
    )
    with st.expander("Ratios to no dropout, with intervals"):
        st.table(shown.ratios.formatted())
        st.caption(shown.ratios.sentence)
        controls.behind(shown.ratios, "variance-ratios", command)
    st.header("Is sampling lower than scaling?")
    side_by_side(shown.sampling, "sampling", command)
    st.header("Cross-entropy of the same models")
    own = variance.own_runs(live.store().list(), recipe)
    left, right = (replace(info, own=own[place]) for info, place in zip(shown.cross_entropy, variance.PLACES, strict=True))
    side_by_side((left, right), "cross-entropy", command)
    train_yourself()
