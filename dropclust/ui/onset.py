"""Blocks of the page on when copies form: what is said, made once for all viewers, the guess, and the neurons themselves."""

from __future__ import annotations

from types import MappingProxyType

import streamlit as st

from dropclust.experiments import results
from dropclust.experiments.onset import OTHER_RATES, RATE, WIDE_HIDDEN, Setting
from dropclust.findings import moments, onset
from dropclust.service.shared import shared
from dropclust.ui import controls
from dropclust.ui import moments as component

SETTINGS = MappingProxyType(
    {
        f"rate {RATE:g}": Setting(),
        **{f"rate {rate:g}": Setting(rate=rate) for rate in OTHER_RATES},
        "Gaussian noise": Setting(noise="gaussian"),
        f"{WIDE_HIDDEN[0]} units": Setting(width=WIDE_HIDDEN[0]),
    }
)
SKIPPED = ""


@shared(most=24)
def found(recipe: str, layer: int, setting: str) -> onset.Onset | None:
    """What is said of the shipped table, None where it has no such networks; raises as `dropclust.findings.onset.read`."""
    try:
        return onset.read(recipe, layer=layer, setting=SETTINGS[setting])
    except onset.NothingOfIt:
        return None


@shared(most=4)
def _neurons(recipe: str, layer: int) -> tuple[moments.Moments, bytes]:
    """What is said of the neurons that are shipped, and the file in which a browser gets them."""
    said = moments.read(recipe, layer)
    return said, component.file(said)


def neurons(recipe: str, layer: int, command: str) -> None:
    """The neurons of one network of each course under a time slider; a word where they are not there."""
    st.markdown("**The neurons themselves:** one network of each course; the slider is the time of their training.")
    try:
        said, content = _neurons(recipe, layer)
    except results.ResultError as error:
        st.caption(f"The {recipe} recipe's neurons cannot be shown: {error}")
        return
    component.moments(content, "onset-moments")
    controls.behind(said, "onset-moments", command)


def ask() -> bool:
    """Ask for a guess before the answer is shown, once a session; says whether the question is still open."""
    if "onset guessed" in st.session_state:
        return False
    with st.container(border=True):
        st.markdown(
            "**Guess first.** A network has learnt with dropout for half of its training. Now dropout is switched off, and it "
            "learns on. What happens to the agreement of its two clusterings, the adjusted Rand index?"
        )
        columns = st.columns([2, 2, 2, 1])
        for column, answer in zip(columns, (*onset.ANSWERS, "Skip"), strict=True):
            if column.button(answer.capitalize(), width="stretch"):
                st.session_state["onset guessed"] = answer if answer in onset.ANSWERS else SKIPPED
                st.rerun()
    return True


def answered(said: onset.Onset) -> None:
    """The guess beside what was measured."""
    guess = st.session_state.get("onset guessed", SKIPPED)
    truth = onset.answer(said)
    if guess and truth:
        measured = "no change is shown" if truth == onset.ANSWERS[-1] else truth
        st.markdown(f":material/lightbulb: You expected: {guess}. Measured in layer {said.layer}: {measured}.")
