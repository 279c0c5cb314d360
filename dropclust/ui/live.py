"""What the server's process holds once for all its viewers: the store, the queue, the shipped tables."""

from __future__ import annotations

import atexit
import gc
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dropclust.core.cost import Calibration
from dropclust.core.paths import cache_folder
from dropclust.service import results
from dropclust.service.store import Store

if TYPE_CHECKING:
    from dropclust.core.similarity import Similarity
    from dropclust.service.jobs import Jobs


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The shipped runs and the viewers' own."""
    return Store(cache_folder() / "runs")


@st.cache_resource(show_spinner=False)
def queue() -> Jobs:
    """The background queue; its workers start while the page is already up."""
    from dropclust.service.jobs import Jobs

    jobs = Jobs(store())
    atexit.register(jobs.close)
    jobs.start()
    return jobs


def calibration() -> Calibration | None:
    """How fast this machine's workers train; None until they have tried."""
    measured = queue().calibration
    return Calibration(**measured) if measured else None


@st.cache_resource(show_spinner=False, max_entries=32)
def result(name: str) -> results.Result:
    """A shipped table, read once; it must not be changed.

    Raises
    ------
    dropclust.service.results.ResultError
        When it is missing or damaged.
    """
    return results.read(name)


def table(name: str) -> tuple[pd.DataFrame, str] | None:
    """A shipped table and the command that makes it; where it cannot be read, the page says so and None is returned."""
    try:
        found = result(name)
    except results.ResultError as error:
        st.error(f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return None
    return found.table, found.command


@st.cache_data(show_spinner=False, max_entries=500)
def similarity(key: str, layer: int, k: int) -> tuple[Similarity, list[bool]] | None:
    """How far the two clusterings of a stored run's layer agree, and on which neurons; None when the run is not there."""
    from dropclust.core.similarity import agreement, neuron_similarity

    stored = store().get(key)
    if stored is None:
        return None
    found = neuron_similarity(stored, layer, k)
    return found, agreement(found.incoming_labels, found.outgoing_labels).tolist()


@st.cache_resource(show_spinner=False)
def settle() -> None:
    """After the first page's imports: take them out of the garbage collector's sight, which the app runs itself no more.

    Without this every collection walks half a million objects that live as long as the process.
    """
    gc.collect()
    gc.freeze()
