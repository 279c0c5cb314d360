"""The explorer alone on a page, over made-up results: what its browser tests open."""

from __future__ import annotations

import streamlit as st

from dropclust.ui.explorer import Scene, build_scene, explorer
from tests.ui import synthetic

st.set_page_config(layout="wide", initial_sidebar_state="collapsed")


@st.cache_resource
def scene(layer: int, k: int) -> Scene:
    """Build a scene once for all sessions."""
    return build_scene(*synthetic.make(layer, k), layer=layer, k=k)


layer = int(st.query_params.get("layer", "1"))
k = int(st.query_params.get("k", "10"))
shown = scene(layer, k)
start = int(st.query_params.get("start", "8"))
if st.query_params.get("away") != "1":
    index = explorer(shown, start, "explorer")
    st.query_params["start"] = str(index)
    st.write(f"Python heard of {shown.rates[index]:.2f}.")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.write(f"Run {st.session_state.runs}.")
