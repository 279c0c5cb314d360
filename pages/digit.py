"""Draw a digit: a network reads what a viewer draws, and its masks vote."""

import streamlit as st

from dropclust.findings import glossary, questions
from dropclust.ui import controls, digit, live, state

state.enter(digit.PARAMETERS, ["run"])
st.title(questions.DIGIT, anchor=False, help=glossary.explained("mask", "scaled"))
st.markdown("Draw a digit: the network answers at once, and random masks of it vote.")
digit.page()
controls.damage(live.store())
