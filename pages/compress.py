"""Compress: Table 3 made again with every method and control, and a network of one's own made smaller and taken home."""

import streamlit as st

from dropclust.ui import compress, controls, live, state

state.enter(compress.PARAMETERS, compress.CHECKED_LATER)
st.title("Can neurons that act alike be merged?")
st.markdown(
    "If neurons act alike, one can do the work of several: the paper clusters layer 1, replaces each cluster by **one "
    "neuron**, and finds that networks trained with dropout lose little by it (section 4.4). Here its method stands beside "
    "others, and beside **pruning**, which merges nothing."
)
controls.damage(live.store())
st.header("Table 3, made again")
compress.paper_again()
st.header("Make a network smaller")
chosen = compress.choose_source()
if chosen is not None:
    try:
        compress.one_network(chosen)
    except FileNotFoundError as error:
        st.warning(f"Nothing can be merged without images: {error}", icon=":material/image_not_supported:")
