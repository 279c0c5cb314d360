"""A run while it trains and after: its curve beside the run before, its neurons, what came of it and its files."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dropclust.core.cost import CURVE_IMAGES
from dropclust.core.spec import TEST_IMAGES
from dropclust.experiments import table2
from dropclust.findings import network, words
from dropclust.findings.outside import as_text
from dropclust.service import runs
from dropclust.service.files import to_bytes
from dropclust.service.jobs import ENDED, Run
from dropclust.service.parameter import Parameter
from dropclust.service.stored import Stored
from dropclust.ui import controls, live
from dropclust.ui.figures.network import learning_figure, neuron_sheet

LAYER = Parameter("layer", "Hidden layer", 2, table2.LAYERS)
CLUSTERS = Parameter("k", "Clusters", 10, table2.CLUSTERS)
PARAMETERS = [LAYER, CLUSTERS]


def shown_runs(keys: list[str]) -> list[Run]:
    """The runs of these keys; a key that nobody knows costs a sentence."""
    found = {key: run for key in keys if (run := live.run(key))}
    unknown = [key for key in keys if key not in found]
    if unknown:
        live.network(unknown[0])  # which says why there is none
    return list(found.values())


def before(keys: list[str]) -> list[str]:
    """What was on the chart before these runs, to compare with; at first the shipped run of the paper's rate."""
    shown: list[str] = st.session_state.setdefault("on the chart", [table2.shown_spec(0.4).key])
    if keys and keys != shown:
        st.session_state["on the chart before"], st.session_state["on the chart"] = shown, keys
    last: list[str] = st.session_state.get("on the chart before", []) if keys else shown
    return [key for key in last if key not in keys and live.stored(key)]


def progress(keys: list[str], last: list[str]) -> None:
    """The curves of these runs, growing while they train, beside the last ones; every half second while any is on its way.

    What stands keeps its place when the training ends: the line above the curve and the button below it are always there.
    """
    found = shown_runs(keys)
    active = [run for run in found if run.state not in ENDED]
    speed = live.calibration()
    if active:
        told = [runs.standing(run, speed.seconds(run.spec) if speed else None) for run in active]
        more = f", and {len(told) - 1} more" if len(told) > 1 else ""
        st.progress(min(share for _, share in told), told[0][0] + more)
    elif found:
        st.progress(1.0, f"**{runs.label(found[0].spec)}**: {network.STATES[found[0].state]}")
    else:
        st.progress(0.0, "Press **Train**: the curve grows here while the network learns.")
    before_now = [run for key in last if (run := live.run(key))]
    info = network.learning(*([(runs.label(run.spec), run.curve) for run in part] for part in (found, before_now)))
    total = max((run.spec.examples for run in (*found, *before_now)), default=1)
    controls.plot(info, learning_figure, "curve-accuracy", what="accuracy", total=total)
    st.markdown(info.sentence)
    with st.container(horizontal=True):
        controls.behind(info, "curve-accuracy", " && ".join(map(runs.command, (run.spec for run in found))), drawn=True)
        stop = st.button("Stop", icon=":material/stop_circle:", help="Keeps what was learnt so far.", disabled=not active)
    if stop:
        for run in active:
            after = live.queue().stop(run.key, live.session())
            if after and after.state not in {*ENDED, "stopping"}:
                st.toast(f"{runs.label(run.spec)}: others asked for it too, so it goes on for them.", icon=":material/group:")
        st.rerun(scope="fragment")
    for run in found:
        if run.state in ENDED and run.message:
            if run.state == "done":  # what happened on the way; nothing is missing
                st.caption(f"{runs.label(run.spec)}: {network.STATES[run.state]}. {as_text(run.message)}")
            else:
                said = f"{words.capital(runs.label(run.spec))}. {network.ended(run.state, as_text(run.message))}"
                st.warning(said, icon=":material/error:")
    if found:
        loss = partial(controls.chart, info, learning_figure, "curve-loss", what="loss", total=total)
        controls.fold("**And the loss?**", "loss", loss)
    if not active and st.session_state.pop("watching", False):
        st.rerun()  # the page around shows what came of it
    if active:
        st.session_state["watching"] = True


def stop_all() -> None:
    """Offer to stop everything that this session asked for, where that is more than the page shows a button for."""
    own = live.queue().asked_by(live.session())
    if len(own) > 1 and st.button(f"Stop all mine ({len(own)})", icon=":material/stop_circle:", help="Waiting or training."):
        live.queue().stop_all(live.session())


def finished(keys: list[str]) -> list[Stored]:
    """The networks of these runs; where one that is done has none, the page says why."""
    found = []
    for key in keys:
        run = live.run(key)
        stored = live.network(key) if run and run.state == "done" else live.stored(key)
        if stored:
            found.append(stored)
    return found


def neurons(shown: list[Stored]) -> None:
    """The neurons of one of these runs, how many have a twin, and how far the two clusterings agree."""
    by_name = {runs.title(run): run for run in shown}
    if not by_name:
        st.info("The neurons stand here once a network is trained.")
        return
    one = by_name[st.selectbox("Neurons of", by_name) if len(by_name) > 1 else next(iter(by_name))]
    place = st.container()
    with st.container(horizontal=True):
        layer, k = controls.choose(LAYER), controls.choose(CLUSTERS)
    width = one.spec.hidden[layer - 1]
    with place:
        if width < 2:
            st.info("One neuron alone cannot be clustered.")
            return
        similar = live.similarity(one.key, layer, min(k, width), last=True)
        firing = live.firing(one.key, layer, min(k, width), last=True)
        if similar is None:
            return
        found = similar[0]
        st.markdown(
            f"**{runs.title(one)}, layer {layer}.** {firing.brief if firing else ''} Adjusted Rand in this network "
            f"{found.adjusted_rand:.3f}, where chance gives 0.",
            help=f"Rand index {found.rand:.3f}; by chance {found.chance_rand:.3f}, 95 % of permuted labels "
            f"{found.chance_low:.3f} to {found.chance_high:.3f}; p = {found.p_value:.3f} against permuted labels. "
            f"{network.AGREE}",
        )  # fmt: skip
        sheet = live.sheet(one, layer, min(k, width), similar, firing)
        controls.picture(sheet, neuron_sheet, "run-neurons", runs.command(one.spec), narrow=True)


def unstored(keys: list[str]) -> None:
    """Offer what was trained and could not be stored: to be taken home, and to be stored again."""
    for key in keys:
        kept = live.queue().unstored(key)
        if kept is None:
            continue
        st.caption(f"{runs.label(kept.spec)} is in memory until the app ends.")
        left, right = st.columns(2)
        if left.button("Store it again", key=f"store-{key}", icon=":material/save:", width="stretch"):
            problem = live.queue().store_again(key)
            if problem is None:
                st.rerun()
            st.warning(as_text(problem), icon=":material/error:")
        content = partial(to_bytes, kept, ".safetensors", {"metrics": kept.metrics})
        right.download_button(
            "Download it", content, f"dropclust-{key[:12]}.safetensors",
            key=f"unstored-{key}", on_click="ignore", icon=":material/download:", width="stretch",
        )  # fmt: skip


def results(stored: list[Stored]) -> None:
    """What came of these runs: accuracy, and their files."""
    kinds = [network.outcome(name, alike) for name, alike in runs.alike(stored).items()]
    st.header(kinds[0].name if len(kinds) == 1 else "What came of them")
    if len(kinds) == 1:
        st.markdown(kinds[0].sentence)
        controls.behind(kinds[0], "outcome")
    else:
        together = network.Outcomes(tuple(kinds))
        st.table(together.overview())
        controls.behind(together, "outcomes")
    st.caption(
        f"Test accuracy is the share of the {TEST_IMAGES:,} test images that the scaled network classifies correctly. The "
        f"curve is of {CURVE_IMAGES:,} held-out images, which no network is trained on."
    )
    for one in stored[:1]:
        controls.downloads(one, one.key[:12], {"metrics": one.metrics})
