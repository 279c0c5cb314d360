"""The explorer alone on a page, over made-up results: what its browser tests open."""

from __future__ import annotations

import streamlit as st

from dropclust.findings.explorer import QUESTION, question
from dropclust.ui.explorer import Scene, Seen, explorer
from tests.ui import synthetic

st.set_page_config(layout="wide", initial_sidebar_state="collapsed")


@st.cache_resource
def scene(layer: int, k: int, coarse: bool) -> Scene:
    """Build a scene once for all sessions."""
    made = synthetic.make(layer, k)
    return synthetic.scene(*synthetic.coarser(*made), layer, k // 2) if coarse else synthetic.scene(*made, layer, k)


query = st.query_params
st.title(QUESTION)  # as in the app, so that the explorer begins below Streamlit's header
shown = scene(int(query.get("layer", "1")), int(query.get("k", "10")), "coarse" in query)
away = st.session_state.get("away", False)
if not away:
    start = Seen(int(query.get("start", "8")), query.get("view", "twins"), int(query.get("step", "0")))
    asked = question(shown.readings[0]) if "ask" in query else None
    seen = explorer(shown, start, "explorer", asked, present="present" in query)
    if query.get("start") != str(seen.index):
        query["start"] = str(seen.index)
    st.write(f"Python heard of {shown.rates[seen.index]:.2f}.")
    st.write(f"View {seen.view}, step {seen.step}, guess {seen.guess}.")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.write(f"Run {st.session_state.runs}.")
st.button("Five clusters", on_click=query.update, kwargs={"coarse": "1"})
st.button("Go away", on_click=st.session_state.update, kwargs={"away": True})
st.button("Come back at 0.10", on_click=lambda: (query.update(start="2"), st.session_state.update(away=False)))
