"""What the server's process holds once for all its viewers: the store, the queue, the shipped tables."""

from __future__ import annotations

import atexit
import gc
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dropclust.core.cost import Calibration
from dropclust.core.paths import cache_folder
from dropclust.core.spec import RunSpec
from dropclust.experiments import results, table2
from dropclust.service.store import Store, Stored
from dropclust.ui import charts
from dropclust.ui.explorer import Scene, build_scene
from dropclust.ui.guess import Guesses

if TYPE_CHECKING:
    from dropclust.core.similarity import Choice, ShuffledWeights, Similarity
    from dropclust.service.fresh import FreshRuns
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


@st.cache_resource(show_spinner=False)
def fresh_runs() -> FreshRuns:
    """What viewers measure again with seeds of their own, by the queue's workers."""
    from dropclust.service.fresh import FreshRuns

    return FreshRuns(queue())


def calibration() -> Calibration | None:
    """How fast this machine's workers train; None until they have tried."""
    measured = queue().calibration
    return Calibration(**measured) if measured else None


@st.cache_resource(show_spinner=False, max_entries=32)
def result(name: str) -> results.Result:
    """A shipped table, read once; it must not be changed.

    Raises
    ------
    dropclust.experiments.results.ResultError
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


@st.cache_resource(show_spinner=False, max_entries=200)
def table_2(recipe: str, layer: int, k: int, width: int) -> charts.Table2Charts:
    """What is shown of the shipped Table 2, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return charts.table_2(result(results.file_name("table2", recipe)).table, layer, k, width)


@st.cache_resource(show_spinner=False)
def guesses(recipe: str, layer: int, k: int) -> Guesses:
    """What the viewers of this process expected of one question on the Explore page."""
    return Guesses()


def missing(recipe: str, seed: int) -> list[RunSpec]:
    """The networks of Table 2 of one seed that are not stored here."""
    specs = [table2.shown_spec(rate, recipe, seed) for rate in table2.RATES]
    return [spec for spec in specs if store().get(spec.key) is None]


@st.cache_resource(show_spinner="Laying out the neurons", max_entries=24)
def neurons(recipe: str, seed: int, layer: int, k: int) -> pd.DataFrame:
    """The clusters of a layer's neurons at every rate: shipped for one seed, found here for another.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the shipped table is missing or damaged.
    FileNotFoundError
        When another seed is asked for and MNIST is not there.
    """
    if seed == table2.SHOWN_SEED:
        listed = result(results.file_name("table2-neurons", recipe)).table
        return listed[(listed["layer"] == layer) & (listed["k"] == k)]
    from dropclust.core import mnist

    one_thread()
    kept = [_stored(table2.shown_spec(rate, recipe, seed).key) for rate in table2.RATES]
    return pd.concat([table2.neurons(each.network(), mnist.load(), layer, k) for each in kept], ignore_index=True)


@st.cache_resource(show_spinner="Laying out the neurons", max_entries=24)
def scene(recipe: str, seed: int, layer: int, k: int) -> Scene:
    """The explorer's picture of one layer, the same object for all viewers.

    Raises
    ------
    LookupError
        When a network of that seed is not stored here.
    dropclust.experiments.results.ResultError
        When a table is missing or damaged.
    """
    networks = {rate: _stored(table2.shown_spec(rate, recipe, seed).key) for rate in table2.RATES}
    table = result(results.file_name("table2", recipe)).table
    return build_scene(table, neurons(recipe, seed, layer, k), networks, layer, k)


@st.cache_data(show_spinner=False, max_entries=500)
def similarity(key: str, layer: int, k: int, bias: bool = False) -> tuple[Similarity, list[bool]] | None:
    """How far the two clusterings of a stored run's layer agree, and on which neurons; None when the run is not there."""
    from dropclust.core.similarity import agreement, neuron_similarity

    stored = store().get(key)
    if stored is None:
        return None
    found = neuron_similarity(stored, layer, k, bias=bias)
    return found, agreement(found.incoming_labels, found.outgoing_labels).tolist()


@st.cache_data(show_spinner="Shuffling each neuron's weights and clustering again", max_entries=500)
def shuffled(key: str, layer: int, k: int, bias: bool) -> ShuffledWeights:
    """What agreement is left in a stored run's layer when each neuron's own weights are shuffled."""
    from dropclust.core.similarity import incoming, outgoing, shuffled_weights_similarity

    stored = _stored(key)
    vectors = incoming(stored.weights, stored.biases, layer, bias), outgoing(stored.weights, layer)
    return shuffled_weights_similarity(*vectors, k)


@st.cache_data(show_spinner="Choosing the number of clusters in three ways", max_entries=500)
def choices(key: str, layer: int, candidates: tuple[int, ...]) -> dict[str, Choice]:
    """The number of clusters that each criterion prefers for a stored run's incoming weights."""
    from dropclust.core.similarity import choose_k, incoming

    stored = _stored(key)
    vectors = incoming(stored.weights, stored.biases, layer)
    names = {"held-out vectors": "held_out", "Calinski-Harabasz": "calinski_harabasz", "BIC": "bic"}
    return {name: choose_k(vectors, candidates, method) for name, method in names.items()}


@st.cache_data(show_spinner="Looking which neurons fire together", max_entries=500)
def firing(key: str, layer: int, k: int, bias: bool) -> tuple[int, float, float]:
    """Dead neurons of a stored run's layer on the held-out images, and mean correlation within and across clusters.

    The one look that needs images, and so torch, in this process; the first page never takes it.
    """
    from dropclust.core import mnist
    from dropclust.core.prediction import hidden_activations
    from dropclust.core.similarity import activation_correlation, cluster, dead, incoming

    one_thread()
    stored = _stored(key)
    activations = hidden_activations(stored.network(), mnist.load().held_x)[layer - 1].numpy()
    labels = cluster(incoming(stored.weights, stored.biases, layer, bias), k)
    return int(dead(activations).sum()), *activation_correlation(activations, labels)


def _stored(key: str) -> Stored:
    stored = store().get(key)
    if stored is None:
        raise LookupError(f"the run {key[:12]} is not in the store")
    return stored


@st.cache_resource(show_spinner=False)
def one_thread() -> None:
    """Torch computes on one thread in this process: the workers have the cores, and viewers are served side by side.

    Two threads on small products wait for each other as soon as anything else runs.
    """
    import torch

    torch.set_num_threads(1)


@st.cache_resource(show_spinner=False)
def settle() -> None:
    """After the first page's imports: take them out of the garbage collector's sight, which the app runs itself no more.

    Without this every collection walks half a million objects that live as long as the process.
    """
    gc.collect()
    gc.freeze()
