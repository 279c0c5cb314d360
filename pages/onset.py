"""When do copies form? Dropout switched on or off at half of the training, and what it does to neurons over time."""

import streamlit as st

from dropclust.experiments import onset as experiment
from dropclust.findings import glossary
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, onset, shell, state
from dropclust.ui.figures.onset import over_time

LAYER = Parameter("copies_layer", "Hidden layer", 2, experiment.LAYERS)
SWITCHED = Parameter(
    "switched", "What is switched", next(iter(onset.SETTINGS)), tuple(onset.SETTINGS),
    help="The dropout rate of all three layers of 100, another noise of equal variance, or wider layers.",
)  # fmt: skip
ASK = Parameter("copies_guess", "Guess first", "on", ("on", "off"))
RECIPE = controls.RECIPE

state.enter([RECIPE, LAYER, SWITCHED, ASK])
st.title(experiment.EXPERIMENT.question, anchor=False, help=glossary.explained("twins", "adjusted Rand index"))
st.markdown("Equal networks until **half of their training**: then dropout is switched on in one, and off in another.")
switched = controls.choose(SWITCHED)
pictures = st.container()
left, middle, _ = st.columns([2, 2, 3])
with left:
    recipe = controls.choose(RECIPE)
with middle:
    layer = controls.choose(LAYER)
with pictures:
    picture = st.container()  # before the guess, so that a phone shows both
    still_open = state.value(ASK) == "on" and onset.ask()
said = live.told(lambda: onset.found(recipe, layer, switched))
if still_open:
    if said:
        with picture:
            controls.chart(said.before_switch, over_time, "onset-before", said.command, height=350)
else:
    if said:
        with pictures:
            onset.answered(said)
            for column, name in zip(st.columns(2), ("twins", "adjusted_rand_10"), strict=True):
                with column:
                    controls.chart(said.charts[name], over_time, f"onset-{name}", said.command)
        st.markdown(said.sentence)
        if said.quick:
            st.info("These are few seeds and a fifth of the images: the table of the full grid is not here.")
        st.caption(
            "Twins: living neurons with another whose held-out activations correlate above .9. Bands are 95 % Student t "
            "intervals over seeds. Grey: the end of the band in which 95 % of permuted labels agree."
        )
        if switched == SWITCHED.default:  # the main courses, whose networks are kept
            onset.neurons(recipe, layer, said.command)
        else:
            st.caption(f"Measured here: {said.courses}. The neurons themselves are kept for {SWITCHED.default} alone.")
        with st.expander("What else changes: rank, dead neurons, accuracy, spread over masks, compression"):
            others = [name for name in said.charts if name not in ("twins", "adjusted_rand_10")]
            for column, name in zip([c for _ in others[::2] for c in st.columns(2)], others, strict=False):
                with column:
                    controls.chart(said.charts[name], over_time, f"onset-{name}", said.command)
        with st.expander("From the switch to the end, with intervals, and how soon half is done"):
            st.table(said.formatted())
            controls.behind(said, "onset-changes", said.command)
    elif said is None:
        st.info(lacks := "The table that is here has no such networks.")
        shell.say(lacks)
with st.expander("**How it is measured**"):
    st.markdown(
        "The paper says that a network makes copies **in response to** dropout. Here that is put to the test: networks of one "
        "seed are the same to the last number until **half of their training**, and then dropout is switched on in one, "
        "switched off in another, and left alone in two. What differs from there on is the switch's doing."
    )
