"""The router: page config and navigation, nothing else."""

from pathlib import Path

import streamlit as st

import dropclust.ui
from dropclust.service import dashboard
from dropclust.ui import live

dashboard.ask_nobody()  # `streamlit run` too must not freeze for all when a foreign page knocks
st.set_page_config("DropClust", page_icon=Path(dropclust.ui.__file__).with_name("icon.png"), layout="wide")
live.admit()
page = st.navigation(
    [
        st.Page("pages/explore.py", title="Explore", icon=":material/bubble_chart:", default=True),
        st.Page("pages/train.py", title="Train", icon=":material/model_training:"),
        st.Page("pages/live.py", title="Live", icon=":material/touch_app:"),
        st.Page("pages/sample.py", title="Sample or scale", icon=":material/casino:"),
        st.Page("pages/batch.py", title="Batch size", icon=":material/stacked_bar_chart:"),
        st.Page("pages/variance.py", title="Model variance", icon=":material/show_chart:"),
        st.Page("pages/similar.py", title="Similar neurons", icon=":material/hub:"),
        st.Page("pages/power.py", title="Power law", icon=":material/trending_down:"),
        st.Page("pages/compress.py", title="Compress", icon=":material/compress:"),
        st.Page("pages/claims.py", title="Does it hold?", icon=":material/fact_check:"),
    ],
    position="top",
)
page.run()
live.settle(page.title)
