"""What the server's process holds once for all its viewers: the store, the queue, the shipped tables."""

from __future__ import annotations

import atexit
import gc
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dropclust.core.cost import Calibration
from dropclust.core.paths import cache_folder
from dropclust.experiments import table2
from dropclust.service import results
from dropclust.service.store import Store
from dropclust.ui.explorer import Scene, build_scene
from dropclust.ui.guess import Guesses

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


@st.cache_resource(show_spinner=False)
def guesses() -> Guesses:
    """What the viewers of this process expected."""
    return Guesses()


@st.cache_resource(show_spinner="Laying out the neurons", max_entries=24)
def scene(recipe: str, layer: int, k: int) -> Scene | None:
    """The explorer's picture of one layer, the same object for all viewers; None when no network of it is stored.

    Raises
    ------
    dropclust.service.results.ResultError
        When a table is missing or damaged.
    """
    rates = {rate: found for rate in table2.RATES if (found := store().get(table2.shown_spec(rate, recipe).key))}
    table, neurons = (result(results.file_name(name, recipe)).table for name in ("table2", "table2-neurons"))
    return build_scene(table, neurons, rates, layer, k) if rates else None


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
