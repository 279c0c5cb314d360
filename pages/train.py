"""Train: choose a network, train it on MNIST in the background, watch it learn, take it home."""

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.findings import words
from dropclust.service import runs
from dropclust.service.jobs import ENDED
from dropclust.ui import controls, live, state, trained, training


def shown_keys(specs: list[RunSpec]) -> list[str]:
    """Keys of the runs that the address carries, else of what is chosen, where that was trained before."""
    asked = list(dict.fromkeys(st.query_params.get_all("run")))
    if asked:
        return asked
    stored = {summary.key for summary in live.store().list()}
    return [spec.key for spec in specs if spec.key in stored]


state.enter([*training.PARAMETERS, *trained.PARAMETERS], ["run"])
st.title("Train a network and watch it learn")
said = st.container()
left, right = st.columns([1, 2], gap="large")
with left:
    start = st.container()  # above the settings, so that the curve is in view when it is pressed
    try:
        specs, refusal = training.chosen_specs(), None
    except ValueError as error:
        specs, refusal = [], training.in_words(error)
with start:
    seconds = training.expected_seconds(specs) if specs else None
    if st.button("Train", type="primary", icon=":material/play_arrow:", disabled=not specs, width="stretch"):
        keys = live.submit(specs)
        if keys:
            st.query_params["run"] = keys
            st.session_state["watching"] = True
    if refusal:
        st.error(refusal)
    if obstacle := live.store().obstacle():
        st.warning(f"{words.capital(obstacle)}.", icon=":material/save:")
    if live.queue().failure:
        st.error(f"Nothing can be trained now: {live.queue().failure}")
    elif seconds:
        st.caption(f"Expected time on this machine: about {runs.duration(seconds)}, once its turn has come.")
    elif specs:
        st.caption("The workers are starting; the expected time follows.")
with right:
    keys = shown_keys(specs)
    if not keys:
        st.info("Press **Train**: the curve grows here while the network learns. Or open a finished run below.")
    elif not st.query_params.get_all("run"):
        st.caption("These settings were trained before; this is what came of them. Choose others, and press **Train**.")
    trained.stop_all()
    running = any(run.state not in ENDED for key in keys if (run := live.queue().get(key)))
    st.fragment(trained.progress, run_every=0.5 if running else None)(keys)
    trained.results(keys)

st.divider()
controls.finished(live.store().list())
with said:
    controls.damage(live.store())
