"""Blocks and caches of the page Sample or scale: the guess, Figure 1, one network's masks, and its confidence."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dropclust.core.convergence import Settling
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper, results
from dropclust.experiments.figure1 import EXPERIMENT, SAMPLES
from dropclust.findings import figure1, words
from dropclust.findings.reliability import CALIBRATION_ERROR
from dropclust.findings.series import Curves
from dropclust.findings.settling import settled
from dropclust.service import asked, runs
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, state
from dropclust.ui.figures import figure1 as figure1_figures
from dropclust.ui.figures.reliability import reliability as reliability_figure
from dropclust.ui.figures.settling import settling as settling_figure

ALL_LAYERS, LAST_LAYER, AS_TRAINED = "all layers", "last layer", "as trained"


# ---- Figure 1 ------------------------------------------------------------------------------------------------------------


def ask(comparison: figure1.Comparison, recipe: str, asking: Parameter) -> bool:
    """Ask for a guess before the answer is shown, then say both; says whether it is still open.

    A guess belongs to its question (recipe, noise, metric): each is asked once a session, unless the address says not to ask,
    or the viewer did.
    """
    question = recipe, comparison.noise, comparison.metric.column
    given: dict[tuple[str, str, str], int] = st.session_state.setdefault("sampling_guessed", {})
    everybody = live.guesses(*question)
    if question in given:
        own = given[question]
        st.success(figure1.answered(own, comparison, everybody.others(own)), icon=":material/lightbulb:")
        return False
    asked = state.asks(asking)
    if asked:
        rates, metric = len(comparison.differences), comparison.metric.name
        with st.container(border=True):
            value = st.slider(
                "Rates at which sampling is better", 0, rates, rates // 2, key=f"guess for {', '.join(question)}",
                help=f"By {metric}, with its whole 95 % interval. **Sampled**: the geometric mean of {SAMPLES} random masks. "
                "**Scaled**: every mask replaced by its mean.",
            )  # fmt: skip
            with st.container(horizontal=True):
                if st.button("That is my guess", type="primary"):
                    everybody.add(value)
                    given[question] = value
                    st.rerun()
                if st.button("Skip", help="Ask nothing more."):
                    state.ask_no_more()
                    st.rerun()
    return asked


def experiment(
    recipe: str, noise: str, metric: str, asking: Parameter, headline: DeltaGenerator, pictures: DeltaGenerator
) -> None:
    """Figure 1 over seeds: its answer, or the question, in ``headline``, its charts in ``pictures``."""
    shown = live.told(lambda: live.said(EXPERIMENT.name, recipe, noise=noise, metric=metric))
    found = live.table(results.file_name(EXPERIMENT.name, recipe)) if shown else None
    if not shown or not found:
        return
    command, comparison = found[1], shown.comparison
    with pictures:
        left, right = st.columns(2)
    with right:
        still_open = ask(comparison, recipe, asking)
    if still_open:
        rates = words.count(len(comparison.differences), "dropout rate")
        headline.markdown(f"**Guess first.** At how many of {rates} does sampling beat scaling by {comparison.metric.name}?")
        with left:
            controls.chart(shown.question, figure1_figures.levels, "figure1-levels", command)
    else:
        headline.markdown(shown.headline)
        with left:
            controls.chart(shown.differences, figure1_figures.differences, "figure1-difference", command)
        with right:
            controls.chart(shown.levels, figure1_figures.levels, "figure1-levels", command)
    with st.expander("**How it is measured**"):
        st.markdown(
            "Dropout trains a network of many masks. To predict, one can **sample** it: draw masks and take the geometric mean "
            "of the probabilities that they give (section 3.1), which is meant by *sampled* on this page; or **scale** it: "
            "replace every mask by its mean, once. The paper finds sampling generally better. "
            f"{'' if still_open else shown.overall.sentence} Paper: {paper.CITATION}, {EXPERIMENT.title}, whose values the "
            "text does not print."
        )
        if not still_open:
            controls.behind(shown.overall, "figure1-overall", command)


# ---- one network, mask by mask -------------------------------------------------------------------------------------------


def rates_for(spec: RunSpec, drop: str, rate: float) -> tuple[float, ...]:
    """The rates a network is sampled with: its own, or one rate on all hidden layers or on the last alone."""
    return {AS_TRAINED: spec.final_rates, ALL_LAYERS: (rate, rate, rate), LAST_LAYER: (0.0, 0.0, rate)}[drop]


@st.fragment
def masks_of(settling: Settling | None, masks: Parameter, command: str) -> None:
    """How one network's predictions settle, at the number of masks that the viewer chooses; nothing more until it is known."""
    chosen = controls.slide(masks)  # a widget that is not drawn would forget what was chosen
    if settling is None:
        return
    shown = settled(settling, chosen)
    for column, info, name, log_y in zip(
        st.columns(2), (shown.accuracy, shown.gap), ("accuracy", "gap"), (False, True), strict=True
    ):
        with column:
            controls.chart(info, settling_figure, f"settling-{name}", command, log_y=log_y)
    controls.further("How far does one mask scatter?", shown.mstd, settling_figure, "settling-mstd", command, log_y=False)
    controls.fold(
        f"**And one image?** {controls.brief(shown.logit)}", "settling-logit", lambda: one_image(settling, shown.logit, command)
    )
    controls.metrics(shown.numbers)
    st.caption(
        f"The first {settling.images:,} test images. ± and bands are two Monte Carlo standard errors: of the masks alone, not "
        "of the images or of training."
    )


def one_image(settling: Settling, info: Curves, command: str) -> None:
    """The image of which the scaled network is least sure, and its logit."""
    left, right = st.columns([1, 5])
    name = f"Test image {settling.image}, {words.a_digit(settling.digit)}"
    left.image(1 - np.array(settling.pixels).reshape(28, 28), name, width=140, clamp=True, alt=f"{name}, as it was written.")
    with right:
        controls.chart(info, settling_figure, "settling-logit", command, whole=True, log_y=False)


def confidence(key: str, spec: RunSpec, rates: tuple[float, ...], command: str) -> None:
    """How far one network's confidence can be trusted."""
    try:
        info = live.ask(asked.confidence(live.origin(key), spec, rates), 560)
    except FileNotFoundError as error:
        st.warning(f"Confidence needs images: {error}", icon=":material/image_not_supported:")
        return
    if info is not None:
        controls.chart(info, reliability_figure, "reliability", command, whole=True)
        st.caption(f"Expected calibration error: {CALIBRATION_ERROR}")


def to_all_layers(drop: Parameter) -> None:
    """Choose masks that the network never saw, as a control."""
    st.session_state[drop.name] = ALL_LAYERS


def one_network(key: str, spec: RunSpec, drop: Parameter, rate: Parameter, masks: Parameter) -> None:
    """One stored run, the viewer's own too: its masks, and its confidence."""
    left, right = st.columns(2)
    with left:
        where = controls.choose(drop)
    at = rate.default
    if where != AS_TRAINED:
        with right:
            at = controls.drag(rate)
    rates, command = rates_for(spec, where, at), runs.command(spec)
    try:
        if any(rates):
            if rates != spec.final_rates:
                st.caption(f"A control: trained with dropout {runs.rates(spec)}, sampled with other masks.")
            # Not within the fragment: what that raises cannot be caught here.
            masks_of(live.ask(asked.settling(live.origin(key), spec, rates), 1_100), masks, command)
        else:
            st.info(
                "Without dropout every mask is the same, so there is nothing to sample. Masks that this network never saw are "
                "a control."
            )
            if where == AS_TRAINED:
                label = f"Sample it at {rate.default:g} on all layers"
                st.button(label, on_click=to_all_layers, args=(drop,), icon=":material/casino:")
    except FileNotFoundError as error:
        st.warning(f"Masks need images: {error}", icon=":material/image_not_supported:")
    label = "**How far can its confidence be trusted?**"
    controls.fold(label, "confidence", lambda: confidence(key, spec, rates, command))
