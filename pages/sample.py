"""Sample or scale: Figure 1 made again with paired intervals, and any network's masks beside what ever more of them give."""

import numpy as np
import streamlit as st

from dropclust.core.spec import NOISES
from dropclust.experiments import paper, table2
from dropclust.experiments.figure1 import SAMPLES
from dropclust.service import results
from dropclust.service.stored import Stored
from dropclust.ui import controls, digit, live, runs, sampling, state
from dropclust.ui.state import Parameter, within

RECIPE = controls.RECIPE
NOISE = Parameter("noise", "Noise", "bernoulli", tuple(NOISES), show=sampling.noise_name)
METRIC = Parameter(
    "metric",
    "Measured by",
    "accuracy",
    tuple(sampling.METRICS),
    show=lambda name: sampling.METRICS[name].name,
    help=f"Cross-entropy: minus the log-probability given to the right class, on average. {sampling.CALIBRATION}",
)
ASK = Parameter("guess", "Guess first", "on", ("on", "off"))
DROP = Parameter(
    "drop",
    "Masks on",
    "as trained",
    sampling.DROPS,
    help="On the last hidden layer alone everything has an exact value. Rates it was not trained with are a control.",
)
RATE = Parameter("rate", "Dropout rate", 0.4, step=0.05, **within("dropout"))
MASKS = Parameter("masks", "Masks in these charts", 50, sampling.MASKS)
GUESSED = "sampling_guessed"


def ask(found: sampling.Figure1Charts, *question: str) -> bool:
    """Ask for a guess before the answer is shown, then say both; says whether it is still open.

    A guess belongs to its question (recipe, noise, metric): each is asked once a session, unless the address says not to ask.
    """
    given: dict[tuple[str, ...], int] = st.session_state.setdefault(GUESSED, {})
    everybody = sampling.guesses(*question)
    if question in given:
        own = given[question]
        st.success(sampling.answered(own, found.verdict, everybody.others(own)), icon=":material/lightbulb:")
        return False
    asked: bool = state.value(ASK) == "on"
    if asked:
        rates, metric = len(found.verdict.differences), found.verdict.metric.name
        with st.container(border=True):
            st.markdown(
                f"**Guess first.** A network can be **sampled**, the geometric mean of {SAMPLES} random masks, or "
                f"**scaled**, every mask replaced by its mean. With {sampling.noise_name(found.verdict.noise)} noise, at how "
                f"many of {rates} dropout rates is sampling better by {metric}, with its whole 95 % interval?"
            )
            label = "Rates at which sampling is better"
            value = st.slider(label, 0, rates, rates // 2, key=f"guess for {', '.join(question)}")
            yes, no, _ = st.columns([2, 1, 3])
            if yes.button("That is my guess", type="primary", width="stretch"):
                everybody.add(value)
                given[question] = value
                st.rerun()
            if no.button("Skip", width="stretch", help="Ask nothing more."):
                state.put(ASK, "off")
                st.rerun()
    return asked


def experiment(recipe: str, noise: str, metric: str) -> None:
    """Figure 1 over seeds."""
    name = results.file_name("figure1", recipe)
    found = live.table(name)
    if not found:
        return
    table, command = found
    shown = sampling.figure_1_of(recipe, noise, metric)
    if ask(shown, recipe, noise, metric):
        levels = sampling.levels(table, noise, sampling.METRICS[metric], answer=False)
        controls.chart(levels, sampling.curves_figure(levels, 420), "figure1-levels", command)
        return
    left, right = st.columns(2)
    with left:
        controls.chart(shown.levels, sampling.curves_figure(shown.levels, 440), "figure1-levels", command)
    with right:
        controls.chart(shown.difference, sampling.difference_figure(shown.difference, 440), "figure1-difference", command)
    st.caption(f"Paper: {paper.CITATION}, Figure 1, whose values the text does not print.")


def to_all_layers() -> None:
    """Masks that the network never saw, as a control."""
    st.session_state[DROP.name] = "all layers"


@st.fragment
def masks_of(found: sampling.Settling, command: str) -> None:
    """How one network's predictions settle."""
    shown = sampling.settling(found, controls.slide(MASKS))
    image, *columns = st.columns([1, *[2] * len(shown.numbers)])
    image.image(1 - np.array(found.pixels).reshape(28, 28), width=84, caption=f"test image {found.image}", clamp=True)
    for column, (name, value, about) in zip(columns, shown.numbers, strict=True):
        column.metric(name, value, help=about)
    pairs = [
        [(shown.mstd, "mstd", False), (shown.gap, "gap", True)],
        [(shown.logit, "logit", False), (shown.accuracy, "accuracy", False)],
    ]
    for pair in pairs:
        for column, (info, name, log_y) in zip(st.columns(2), pair, strict=True):
            with column:
                controls.chart(info, sampling.settling_figure(info, log_y=log_y), f"settling-{name}", command)
    st.caption(
        f"The first {found.images:,} test images. ± and bands are two Monte Carlo standard errors: of the masks alone, not of "
        "the images or of training."
    )


def one_network(run: Stored) -> None:
    """One stored run, the viewer's own too."""
    left, right = st.columns(2)
    with left:
        drop = controls.choose(DROP)
    rate = RATE.default
    if drop != "as trained":
        with right:
            rate = controls.drag(RATE)
    rates = sampling.rates_for(run.spec, drop, rate)
    try:
        if any(rates):
            if rates != run.spec.dropout:
                st.caption(f"A control: trained with dropout {runs.rates(run.spec)}, sampled with other masks.")
            # Not within the fragment: what that raises cannot be caught here.
            masks_of(sampling.settled(run.key, rates), runs.command(run.spec))
        else:
            st.info(
                "Without dropout every mask is the same, so there is nothing to sample. Masks that this network never saw are "
                "a control."
            )
            if drop == "as trained":
                st.button(f"Sample it at {RATE.default:g} on all layers", on_click=to_all_layers, icon=":material/casino:")
        st.header("How far can its confidence be trusted?")
        info = sampling.reliability(run.key, rates)
        left, right = st.columns([3, 1])
        with left:
            controls.chart(info, sampling.reliability_figure(info), "reliability", runs.command(run.spec))
        with right:
            st.markdown("Expected calibration error")
            for name, error in info.errors.items():
                st.metric(name.capitalize(), f"{100 * error:.2f} points")
            st.caption(sampling.CALIBRATION.partition(": ")[2].capitalize())
    except FileNotFoundError as error:
        st.warning(f"Masks need images: {error}", icon=":material/image_not_supported:")


state.enter([RECIPE, NOISE, METRIC, ASK, DROP, RATE, MASKS])
st.title("Sample or scale?")
st.markdown(
    "Dropout trains a network of many masks. To predict, one can **sample** it: draw masks and take the geometric mean of "
    "the probabilities that they give (section 3.1), which is meant by *sampled* on this page; or **scale** it: replace every "
    "mask by its mean, once. The paper finds sampling generally better. Where, and by how much more than chance?"
)
controls.damage(live.store())
st.header("Figure 1, made again")
columns = st.columns(3)
with columns[0]:
    recipe = controls.choose(RECIPE)
with columns[1]:
    noise = controls.choose(NOISE)
with columns[2]:
    metric = controls.choose(METRIC)
experiment(recipe, noise, metric)
st.header("One network, mask by mask")
st.caption(
    "From here on everything is of the one network chosen here, with the recipe and noise that it was trained with. What is "
    "chosen above is of Figure 1 alone."
)
run = controls.choose_run(live.store().list(), table2.shown_spec(0.4).key)
if run is not None:
    if (stored := live.store().get(run.key)) is None:
        st.warning(f"The run {run.key[:12]} cannot be read: choose another.", icon=":material/healing:")
    else:
        one_network(stored)
        st.header("Draw a digit")
        digit.section(stored)
