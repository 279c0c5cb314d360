"""The drawing canvas alone, and the whole block with it, on a page of their own: what their browser tests open."""

from __future__ import annotations

import json

import numpy as np
import streamlit as st

from dropclust.experiments import table2
from dropclust.ui import digit, live
from dropclust.ui.drawing import draw

st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
query = st.query_params
if "block" in query:
    rate = float(query["block"])
    stored = live.store().get(table2.shown_spec(rate).key)
    assert stored is not None
    digit.section(stored)
elif not st.session_state.get("away"):
    if "start" in query and "canvas-kept" not in st.session_state:  # as if it had been drawn before
        kept = np.zeros(784, np.float32)
        kept[14 * 28 + 10 : 14 * 28 + 18] = 0.5
        st.session_state["canvas-kept"] = kept
    image = draw("canvas")
    st.code("nothing" if image is None else json.dumps(image.round(3).astype(float).tolist()), wrap_lines=True)
st.button("Go away", on_click=st.session_state.update, kwargs={"away": True})
st.button("Come back", on_click=st.session_state.update, kwargs={"away": False})
for _ in range(12):
    st.write("Something to scroll to.")
