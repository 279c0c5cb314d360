"""The explorer alone on a page, over made-up results: what its browser tests open."""

from __future__ import annotations

import streamlit as st

from dropclust.ui.explorer import Scene, explorer
from tests.ui import synthetic

st.set_page_config(layout="wide", initial_sidebar_state="collapsed")


@st.cache_resource
def scene(layer: int, k: int, coarse: bool) -> Scene:
    """Build a scene once for all sessions."""
    made = synthetic.make(layer, k)
    return synthetic.scene(*synthetic.coarser(*made), layer, k // 2) if coarse else synthetic.scene(*made, layer, k)


query = st.query_params
shown = scene(int(query.get("layer", "1")), int(query.get("k", "10")), "coarse" in query)
away = st.session_state.get("away", False)
if not away:
    index = explorer(shown, int(query.get("start", "8")), "explorer")
    query["start"] = str(index)
    st.write(f"Python heard of {shown.rates[index]:.2f}.")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.write(f"Run {st.session_state.runs}.")
st.button("Five clusters", on_click=query.update, kwargs={"coarse": "1"})
st.button("Go away", on_click=st.session_state.update, kwargs={"away": True})
st.button("Come back at 0.10", on_click=lambda: (query.update(start="2"), st.session_state.update(away=False)))
