"""Train: choose a network, train it on MNIST in the background, watch it learn, take it home."""

from collections.abc import Sequence

import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.findings import glossary, questions, words
from dropclust.service import runs
from dropclust.service.jobs import ENDED
from dropclust.service.stored import Summary
from dropclust.ui import controls, live, state, trained, training


def shown_keys(specs: list[RunSpec], summaries: Sequence[Summary]) -> list[str]:
    """Keys of the runs that the address carries, else of what is chosen, where that was trained before."""
    asked = list(dict.fromkeys(st.query_params.get_all("run")))
    if asked:
        return asked
    stored = {summary.key for summary in summaries}
    return [spec.key for spec in specs if spec.key in stored]


state.enter([*training.PARAMETERS, *trained.PARAMETERS], ["run"])
st.title(questions.TRAIN, anchor=False, help=glossary.explained("dropout rate", "recipe"))
headline = st.container()
left, right = st.columns([2, 7], gap="medium")
rates = left.container()  # the other settings stand below, so that the curve is in view when a run is started
settings, made = controls.seldom(
    "**More settings**: layers, batch size, noise, recipe, seeds", "more-settings", training.FURTHER
)
with settings:
    try:
        specs, refusal = training.chosen_specs(rates, made), None
    except ValueError as error:
        specs, refusal = [], training.in_words(error)
with left:
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
        st.error(f"Nothing can be trained now: {live.queue().failure} Press **Train** to try again.")
    elif seconds:
        st.caption(f"Expected time on this machine: about {runs.duration(seconds)}, once its turn has come.")
    elif specs:
        st.caption("The workers are starting; the expected time follows.")
summaries = live.store().list()
keys = shown_keys(specs, summaries)
last = trained.before(keys)
running = any(run.state not in ENDED for key in keys if (run := live.run(key)))
with right:
    curve, sheet = st.columns([4, 3], gap="medium")
with curve:
    if running:
        st.fragment(trained.progress, run_every=0.5)(keys, last)
    else:
        with st.container():  # as a fragment's, so that nothing moves when it ends
            trained.progress(keys, last)
    trained.stop_all()
    controls.compare(summaries)
trained.unstored(keys)
stored = trained.finished(keys)
with sheet:
    trained.neurons(stored or trained.finished(last))
if stored:
    trained.results(stored)
controls.finished(summaries)
with headline:
    if running:
        st.markdown("It learns now, in the background; the dotted line is what was shown before.")
    elif not keys:
        st.markdown("Press **Train**: the curve grows while the network learns. The dotted line is what was shown before.")
    elif stored:
        st.markdown(f"It classifies {words.percent(stored[0].metrics['test_accuracy'], 1)} of the test images correctly.")
    controls.damage(live.store())
