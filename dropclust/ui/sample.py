"""Blocks and caches of the page Sample or scale: the guess, Figure 1, one network's masks, and its confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import streamlit as st

from dropclust.core.convergence import Settling
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper, results
from dropclust.experiments.figure1 import EXPERIMENT, SAMPLES
from dropclust.findings import figure1, words
from dropclust.findings.guess import Guesses
from dropclust.findings.reliability import CALIBRATION_ERROR, Reliability
from dropclust.findings.settling import settled
from dropclust.service.requests import Request
from dropclust.ui import controls, live, runs, state
from dropclust.ui.figures import figure1 as figure1_figures
from dropclust.ui.figures.reliability import reliability as reliability_figure
from dropclust.ui.figures.settling import settling as settling_figure
from dropclust.ui.state import Parameter

ALL_LAYERS, LAST_LAYER, AS_TRAINED = "all layers", "last layer", "as trained"
IMAGES = 500  # test images that masks are tried on


# ---- Figure 1 ------------------------------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def guesses(recipe: str, noise: str, metric: str) -> Guesses:
    """At how many rates the viewers of this process expected sampling to be better: of one question, all that its key says."""
    return Guesses()


@st.cache_resource(show_spinner=False, max_entries=50)
def figure1_of(recipe: str, noise: str, metric: str) -> figure1.Figure1:
    """What is said of the shipped Figure 1, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    table = live.result(results.file_name(EXPERIMENT.name, recipe)).table
    return figure1.figure1(table, noise, figure1.METRICS[metric])


def ask(comparison: figure1.Comparison, recipe: str, asking: Parameter) -> bool:
    """Ask for a guess before the answer is shown, then say both; says whether it is still open.

    A guess belongs to its question (recipe, noise, metric): each is asked once a session, unless the address says not to ask.
    """
    question = recipe, comparison.noise, comparison.metric.column
    given: dict[tuple[str, str, str], int] = st.session_state.setdefault("sampling_guessed", {})
    everybody = guesses(*question)
    if question in given:
        own = given[question]
        st.success(figure1.answered(own, comparison, everybody.others(own)), icon=":material/lightbulb:")
        return False
    asked = state.asks(asking)
    if asked:
        rates, metric = len(comparison.differences), comparison.metric.name
        with st.container(border=True):
            st.markdown(
                f"**Guess first.** A network can be **sampled**, the geometric mean of {SAMPLES} random masks, or **scaled**, "
                f"every mask replaced by its mean. With {figure1.noise_name(comparison.noise)} noise, at how many of {rates} "
                f"dropout rates is sampling better by {metric}, with its whole 95 % interval?"
            )
            label = "Rates at which sampling is better"
            value = st.slider(label, 0, rates, rates // 2, key=f"guess for {', '.join(question)}")
            yes, no, _ = st.columns([2, 1, 3])
            if yes.button("That is my guess", type="primary", width="stretch"):
                everybody.add(value)
                given[question] = value
                st.rerun()
            if no.button("Skip", width="stretch", help="Ask nothing more."):
                state.ask_no_more()
                st.rerun()
    return asked


def experiment(recipe: str, noise: str, metric: str, asking: Parameter) -> None:
    """Figure 1 over seeds."""
    found = live.table(results.file_name(EXPERIMENT.name, recipe))
    if not found:
        return
    command, shown = found[1], figure1_of(recipe, noise, metric)
    if ask(shown.comparison, recipe, asking):
        controls.chart(shown.question, figure1_figures.levels, "figure1-levels", command)
        return
    st.markdown(shown.overall.sentence)
    controls.behind(shown.overall, "figure1-overall", command)
    left, right = st.columns(2)
    with left:
        controls.chart(shown.levels, figure1_figures.levels, "figure1-levels", command)
    with right:
        controls.chart(shown.differences, figure1_figures.differences, "figure1-difference", command)
    st.caption(f"Paper: {paper.CITATION}, {EXPERIMENT.title}, whose values the text does not print.")


# ---- one network, mask by mask -------------------------------------------------------------------------------------------


def rates_for(spec: RunSpec, drop: str, rate: float) -> tuple[float, ...]:
    """The rates a network is sampled with: its own, or one rate on all hidden layers or on the last alone."""
    return {AS_TRAINED: spec.dropout, ALL_LAYERS: (rate, rate, rate), LAST_LAYER: (0.0, 0.0, rate)}[drop]


def images_for(hidden: Sequence[int]) -> int:
    """How many test images a network is tried on: fewer for a wide one, so that all take seconds."""
    products = hidden[0] * hidden[1] + hidden[1] * hidden[2] + hidden[2] * 10
    return min(IMAGES, max(20, 4 * IMAGES * 21_000 // products))  # 21,000: those of three layers of a hundred


def settling_of(key: str, spec: RunSpec, rates: tuple[float, ...]) -> Settling | None:
    """How a stored run's predictions settle; None while it is waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    LookupError
        When the run is not.
    """
    arguments = {"images": images_for(spec.hidden), "rates": rates, "noise": spec.noise}
    request = Request("settling", arguments, (live.origin(key),), "Drawing masks, a thousand and more")
    return cast("Settling | None", live.ask(request, 1_100))


def reliability_of(key: str, spec: RunSpec, rates: tuple[float, ...]) -> Reliability | None:
    """The reliability diagram of a stored run: scaled, and with masks at the rates the two means of their probabilities.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    LookupError
        When the run is not.
    """
    arguments = {"images": 20 * images_for(spec.hidden), "rates": rates, "n_samples": SAMPLES}
    label = f"Predicting all test images with {SAMPLES} masks"
    return cast("Reliability | None", live.ask(Request("confidence", arguments, (live.origin(key),), label), 560))


@st.fragment
def masks_of(settling: Settling | None, masks: Parameter, command: str) -> None:
    """How one network's predictions settle, at the number of masks that the viewer chooses; nothing more until it is known."""
    chosen = controls.slide(masks)  # a widget that is not drawn would forget what was chosen
    if settling is None:
        return
    shown = settled(settling, chosen)
    image, *columns = st.columns([1, *[2] * len(shown.numbers)])
    image.image(1 - np.array(settling.pixels).reshape(28, 28), width=84, caption=f"test image {settling.image}", clamp=True)
    for column, number in zip(columns, shown.numbers, strict=True):
        column.metric(number.name, number.value, help=number.about)
    pairs = [
        [(shown.mstd, "mstd", False), (shown.gap, "gap", True)],
        [(shown.logit, "logit", False), (shown.accuracy, "accuracy", False)],
    ]
    for pair in pairs:
        for column, (info, name, log_y) in zip(st.columns(2), pair, strict=True):
            with column:
                controls.chart(info, settling_figure, f"settling-{name}", command, log_y=log_y)
    st.caption(
        f"The first {settling.images:,} test images. ± and bands are two Monte Carlo standard errors: of the masks alone, not "
        "of the images or of training."
    )


def confidence(key: str, spec: RunSpec, rates: tuple[float, ...], command: str) -> None:
    """How far one network's confidence can be trusted."""
    info = reliability_of(key, spec, rates)
    if info is None:
        return
    left, right = st.columns([3, 1])
    with left:
        controls.chart(info, reliability_figure, "reliability", command)
    with right:
        st.markdown("Expected calibration error")
        for name, error in info.calibration.errors.items():
            st.metric(name.capitalize(), f"{100 * error:.2f} points")
        st.caption(words.capital(CALIBRATION_ERROR))


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
            if rates != spec.dropout:
                st.caption(f"A control: trained with dropout {runs.rates(spec)}, sampled with other masks.")
            # Not within the fragment: what that raises cannot be caught here.
            masks_of(settling_of(key, spec, rates), masks, command)
        else:
            st.info(
                "Without dropout every mask is the same, so there is nothing to sample. Masks that this network never saw are "
                "a control."
            )
            if where == AS_TRAINED:
                label = f"Sample it at {rate.default:g} on all layers"
                st.button(label, on_click=to_all_layers, args=(drop,), icon=":material/casino:")
        st.header("How far can its confidence be trusted?")
        confidence(key, spec, rates, command)
    except FileNotFoundError as error:
        st.warning(f"Masks need images: {error}", icon=":material/image_not_supported:")
