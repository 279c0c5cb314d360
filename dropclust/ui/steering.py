"""The live runs of this process as pages meet them: made once, begun in the name of a session, found by the address."""

from __future__ import annotations

import atexit

import numpy as np
import streamlit as st

from dropclust.core.spec import RunSpec
from dropclust.findings import network
from dropclust.findings.outside import as_text
from dropclust.service import feed, sheet
from dropclust.service.shared import shared
from dropclust.service.steering import Steering
from dropclust.ui import live
from dropclust.ui.figures.network import neuron_sheet
from dropclust.ui.figures.once import draw_once

NAME = "live"  # of the address's parameter that says which run
_LEFT = "live run as it was left"
PACE = 10_000.0  # images a second at which a run begins: an epoch in five seconds, so that its changes can be watched


@shared(most=1)
def steering() -> Steering:
    """The live runs, and the routes by which browsers see and steer them."""
    made = Steering(live.queue(), live.store())
    atexit.register(made.close)
    feed.watch(made)
    feed.answer(str(st.get_option("server.baseUrlPath")).strip("/"))
    return made


def begin(spec: RunSpec) -> None:
    """Start a live run that this browser steers, and put it into the address.

    Raises
    ------
    dropclust.service.bounds.BoundReached
        When so many are under way.
    """
    name, token = steering().start(spec, PACE)
    st.session_state[_kept(name)] = token
    st.query_params[NAME] = name


def before() -> None:
    """Where a run will stand: the neurons of a network that has learnt, and what will be seen."""
    with st.container(key="live-before"):
        if shown := live.shipped_drawings(RunSpec().recipe, 2):
            layer, _ = shown
            pictures = np.maximum(sheet.levels(layer.pictures[layer.rates.index(0.4)], layer.units, *layer.shape), 0)
            one = np.zeros(layer.units, int)  # cluster, as yet
            drawn = network.Neurons(pictures, one, one, one, one > 0, "The neurons of a network that has learnt.")
            st.image(draw_once(neuron_sheet, drawn, None, narrow=True), alt=drawn.sentence, width="stretch")
        st.caption(
            "**Preview. Press Start:** here your network's neurons will stand, each as the ink that excites it, in clusters, "
            "and twins joined."
        )


def token(name: str) -> str:
    """What this session steers a run with; empty when it did not start it."""
    kept: str = st.session_state.get(_kept(name), "")
    return kept


def asked() -> str:
    """Name of the run that the address asks for, if it is known here; the page says so where it is not."""
    name = st.query_params.get(NAME, "")
    if not name and steering().exists(left := st.session_state.get(_LEFT, "")):  # who comes back from another page finds it
        st.query_params[NAME] = name = left
    if not name or steering().exists(name):
        st.session_state[_LEFT] = name
        return name
    st.warning(
        as_text(f"No live run {name[:16]} is known here: it ended a while ago, or the app was started anew. Start another."),
        icon=":material/link_off:",
    )
    return ""


def _kept(name: str) -> str:
    return f"live-token-{name}"
