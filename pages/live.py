"""Live: a network trains, and whoever watches switches dropout on and off under it."""

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.findings import glossary, questions
from dropclust.service.bounds import BoundReached
from dropclust.ui import controls, live, state, steering, trained, training
from dropclust.ui.shell import presenting
from dropclust.ui.steer import steer

NONE = (0.0, 0.0, 0.0)
WATCHED = "live run that is watched"


def start() -> None:
    """Offer to start a run of one's own."""
    if live.queue().failure:
        st.error(f"Nothing can be trained now: {live.queue().failure}")
    button, choice = st.columns([1, 4], vertical_alignment="top")
    with choice.expander("Which network"):
        recipe, seed = controls.choose(controls.RECIPE), controls.number(training.FIRST)
    try:
        spec = RunSpec(dropout=NONE, recipe=recipe, seed=seed)
    except ValueError as error:
        st.error(training.in_words(error))
        return
    with button:
        if st.button("Start", type="primary", icon=":material/play_arrow:", width="stretch"):
            try:
                steering.begin(spec)
                st.rerun()
            except BoundReached as reached:
                st.warning(str(reached), icon=":material/hourglass_disabled:")


state.enter([controls.RECIPE, training.FIRST, trained.LAYER], [steering.NAME])
st.title(questions.LIVE, anchor=False, help=glossary.explained("dropout rate", "twins"))
st.markdown("A network learns to read digits. Switch dropout on and watch neurons become twins; switch it off: which stay?")
name = steering.asked()
under_way = steering.steering().under_way()
if not name and len(under_way) == 1:  # the one that the room watches; the address says so, for its link and its code
    name = st.session_state[WATCHED] = st.query_params[steering.NAME] = under_way[0]
if not name or name == st.session_state.get(WATCHED):
    start()
    if under_way:
        links = ", ".join(f"[{other[:6]}](?{steering.NAME}={other})" for other in under_way)
        st.caption(f"Under way, the latest first: {links}. {'One is shown' if name else 'Choose one to watch'}.")
if not name:
    steering.before()
if name:
    steer(name, steering.token(name), "live-run", state.value(trained.LAYER), presenting())
    st.caption(
        "Twins can go while the adjusted Rand index stays: twins say what neurons do, the index how they are wired. "
        "Measured several times a second, so roughly: twins and dead neurons on 1,000 held-out images, clusters by few starts "
        "of k-means with k 10; the band holds 95 % of what permuted labels give. The experiments on the other pages measure "
        "with care."
    )
