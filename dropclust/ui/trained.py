"""A run while it trains and after: its curve, what came of it, its neurons and its files."""

from __future__ import annotations

import streamlit as st

from dropclust.core.cost import CURVE_IMAGES
from dropclust.core.spec import TEST_IMAGES
from dropclust.experiments import table2
from dropclust.findings import network
from dropclust.service.jobs import ENDED, Run
from dropclust.service.stored import Stored
from dropclust.ui import controls, live, runs
from dropclust.ui.figures.network import learning_figure, neuron_sheet
from dropclust.ui.figures.once import draw_once
from dropclust.ui.outside import as_text
from dropclust.ui.state import Parameter

LAYER = Parameter("layer", "Hidden layer", 1, table2.LAYERS)
CLUSTERS = Parameter("k", "Clusters", 10, table2.CLUSTERS)
PARAMETERS = [LAYER, CLUSTERS]


def shown_runs(keys: list[str]) -> list[Run]:
    """The runs of these keys; a key that nobody knows costs a sentence."""
    found = {key: run for key in keys if (run := live.queue().get(key))}
    unknown = [key for key in keys if key not in found]
    if unknown:
        live.network(unknown[0])  # which says why there is none
    return list(found.values())


def progress(keys: list[str]) -> None:
    """The curves of these runs, growing while they train; every half second while any is on its way."""
    found = shown_runs(keys)
    active = [run for run in found if run.state not in ENDED]
    speed = live.calibration()
    for run in active:
        text, share = runs.standing(run, speed.seconds(run.spec) if speed else None)
        st.progress(share, text)
    for run in found:
        if run.state in ENDED and run.message:
            said = f"{runs.label(run.spec)}: {network.STATES[run.state]}. {as_text(run.message)}"
            if run.state == "done":  # what happened on the way; nothing is missing
                st.caption(said)
            else:
                st.warning(said, icon=":material/error:")
    if active and st.button("Stop", icon=":material/stop_circle:", help="Keeps what was learnt so far."):
        for run in active:
            after = live.queue().stop(run.key, live.session())
            if after and after.state not in {*ENDED, "stopping"}:
                st.toast(f"{runs.label(run.spec)}: others asked for it too, so it goes on for them.", icon=":material/group:")
        st.rerun(scope="fragment")
    if found:
        info = network.learning([(runs.label(run.spec), run.curve) for run in found])
        total = max(run.spec.examples for run in found)
        for column, what in zip(st.columns(2), ("accuracy", "loss"), strict=True):
            column.plotly_chart(
                draw_once(learning_figure, info, what=what, total=total), key=f"curve-{what}", alt=f"{what}: {info.sentence}",
                config={"displayModeBar": False},
            )  # fmt: skip
        st.markdown(info.sentence)
        controls.behind(info, "curves", " && ".join(map(runs.command, (run.spec for run in found))))
    if not active and st.session_state.pop("watching", False):
        st.rerun()  # the page around shows what came of it
    if active:
        st.session_state["watching"] = True


def stop_all() -> None:
    """Offer to stop everything that this session asked for, where that is more than the page shows a button for."""
    own = live.queue().asked_by(live.session())
    if len(own) > 1 and st.button(f"Stop all mine ({len(own)})", icon=":material/stop_circle:", help="Waiting or training."):
        live.queue().stop_all(live.session())


def finished(key: str) -> Stored | None:
    """The network of a run; where one that is done has none, the page says why."""
    run = live.queue().get(key)
    return live.network(key) if run and run.state == "done" else runs.stored(live.store(), key)


def look_into(one: Stored) -> None:
    """One run: how alike its neurons are, their picture, and its files."""
    left, right = st.columns(2)
    with left:
        layer = controls.choose(LAYER)
    with right:
        k = controls.choose(CLUSTERS)
    width = one.spec.hidden[layer - 1]
    if width < 2:
        st.info("One neuron alone cannot be clustered.")
        return
    k = min(k, width)
    similar = live.similarity(one.key, layer, k)
    if similar is None:
        return
    found, agree = similar
    numbers = st.columns(4)
    numbers[0].metric("Rand index", f"{found.rand:.3f}")
    numbers[1].metric(
        "Rand by chance",
        f"{found.chance_rand:.3f}",
        help=f"95 % of permuted labels: {found.chance_low:.3f} to {found.chance_high:.3f}",
    )
    numbers[2].metric("Adjusted Rand", f"{found.adjusted_rand:.3f}", help=f"p = {found.p_value:.3f} against permuted labels")
    numbers[3].metric("Never fire", f"{one.metrics.get(f'dead_{layer}', float('nan')):.0f} of {width}")
    sheet = network.neurons(
        one.weights, layer, found.incoming_labels.tolist(), found.outgoing_labels.tolist(), agree,
        int(one.metrics.get(f"dead_{layer}", 0)),
    )  # fmt: skip
    controls.picture(sheet, neuron_sheet, "run-neurons", runs.command(one.spec))
    controls.downloads(one, one.key[:12], {"metrics": one.metrics})


def results(keys: list[str]) -> None:
    """What came of these runs: accuracy, similarity, neurons, files."""
    stored = [run for key in keys if (run := finished(key))]
    if not stored:
        return
    kinds = [network.outcome(name, alike) for name, alike in runs.alike(stored).items()]
    if len(kinds) == 1:
        st.header(kinds[0].name)
        st.markdown(kinds[0].sentence)
        controls.behind(kinds[0], "outcome")
    else:
        together = network.Outcomes(tuple(kinds))
        st.header("What came of them")
        st.table(together.overview())
        controls.behind(together, "outcomes")
    st.caption(
        f"Test accuracy is the share of the {TEST_IMAGES:,} test images that the scaled network reads rightly. The curve is of "
        f"{CURVE_IMAGES:,} held-out images, which no network is trained on."
    )
    by_name = {runs.title(run): run for run in stored}
    look_into(by_name[st.selectbox("Look into", by_name) if len(by_name) > 1 else next(iter(by_name))])
