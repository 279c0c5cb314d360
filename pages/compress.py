"""Compress: a network of the store or of one's own made smaller, proved and taken home; Table 3 made again below."""

import streamlit as st

from dropclust.findings import glossary, questions
from dropclust.ui import compress, controls, live, state

state.enter(compress.PARAMETERS, compress.CHECKED_LATER)
st.title(questions.COMPRESS, anchor=False, help=glossary.explained("compressed units", "pruning", "refitting"))
compress.page()
controls.damage(live.store())
