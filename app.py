"""The router: page config and navigation, nothing else."""

from pathlib import Path

import streamlit as st

st.set_page_config("DropClust", page_icon=Path(__file__).parent / "dropclust/ui/icon.png", layout="wide")
st.navigation(
    [
        st.Page("pages/explore.py", title="Explore", icon=":material/bubble_chart:", default=True),
        st.Page("pages/train.py", title="Train", icon=":material/model_training:"),
        st.Page("pages/similar.py", title="Similar neurons", icon=":material/hub:"),
    ],
    position="top",
).run()
