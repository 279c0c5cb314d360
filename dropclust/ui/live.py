"""What the server's process holds once for all its viewers: the store, the queue, the shipped tables."""

from __future__ import annotations

import atexit
import functools
import gc
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import pandas as pd
import streamlit as st

from dropclust.core.cost import Calibration
from dropclust.core.spec import RunSpec
from dropclust.experiments import results, table2
from dropclust.findings import table2 as findings_of_table2
from dropclust.findings import words
from dropclust.findings.guess import Guesses
from dropclust.findings.network import Firing
from dropclust.service import overview
from dropclust.service.store import Stamp, Store, open_store
from dropclust.service.stored import Stored
from dropclust.ui.explorer import Scene, build_scene
from dropclust.ui.outside import as_text

if TYPE_CHECKING:
    from dropclust.core.clustering import Choice
    from dropclust.core.similarity import ShuffledWeights, Similarity
    from dropclust.service.fresh import FreshRuns
    from dropclust.service.jobs import Jobs

Found = TypeVar("Found")


P = ParamSpec("P")
T = TypeVar("T")
FIRST_RUNS = 2  # of a page, after which it has loaded what it keeps
OfRun = Callable[Concatenate[str, P], T]  # computed of the stored run of a key


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The shipped runs and the viewers' own."""
    return open_store()


@st.cache_resource(show_spinner=False)
def queue() -> Jobs:
    """The background queue; its workers start while the page is already up."""
    from dropclust.service.jobs import Jobs

    jobs = Jobs(store())
    atexit.register(jobs.close)
    overview.watch(jobs)
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


def told(read: Callable[[], Found]) -> Found | None:
    """What is read from a table; where that cannot be read, the page says so and None is returned."""
    try:
        return read()
    except results.ResultError as error:
        st.error(f"{words.capital(str(error))}.")
        return None


def table(name: str) -> tuple[pd.DataFrame, str] | None:
    """A shipped table and the command that makes it; where it cannot be read, the page says so and None is returned."""
    found = told(lambda: result(name))
    return (found.table, found.command) if found else None


def network(key: str) -> Stored | None:
    """A stored run, every byte of it checked; where there is none, the page says why, in one sentence, and None is returned."""
    try:
        found = store().get(key)
    except ValueError:
        found = None
    if found is not None:
        return found
    said: set[str] = st.session_state.setdefault("damage_said", set())
    damaged = [report for report in store().reports if key[:12] in report and report not in said]
    said.update(damaged)
    needed = "a run's key is 64 hex digits, and its network must be in this machine's store."
    why = damaged[-1] if damaged else needed
    st.warning(as_text(f"No run {key[:12]} is known here: {why[:1].lower()}{why[1:]}"), icon=":material/link_off:")
    return None


@st.cache_resource(show_spinner=False, max_entries=200)
def table_2(recipe: str, layer: int, k: int, width: int) -> findings_of_table2.Table2:
    """What is said of the shipped Table 2, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return findings_of_table2.findings(result(results.file_name("table2", recipe)).table, layer, k, width)


@st.cache_resource(show_spinner=False)
def guesses(recipe: str, layer: int, k: int) -> Guesses:
    """What the viewers of this process expected of one question on the Explore page."""
    return Guesses()


def missing(recipe: str, seed: int) -> list[RunSpec]:
    """The networks of Table 2 of one seed that are not stored here."""
    specs = [table2.shown_spec(rate, recipe, seed) for rate in table2.RATES]
    return [spec for spec in specs if store().get(spec.key) is None]


@st.cache_resource(show_spinner=False, max_entries=24)  # a spinner would stand where the rate is
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


@st.cache_resource(show_spinner=False, max_entries=24)  # a spinner would stand where the rate is
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
    said = table_2(recipe, layer, k, table2.HIDDEN[layer - 1])
    return build_scene(said, neurons(recipe, seed, layer, k), networks, layer, k)


def of_run(spinner: str | bool = False) -> Callable[[OfRun[P, T]], OfRun[P, T]]:
    """Keep what is computed of a stored run, for all viewers and as long as its file stays the same.

    The function's first argument is the run's key, and it raises `LookupError` when the run is not there: that is not kept.
    """

    def keep(function: OfRun[P, T]) -> OfRun[P, T]:
        @st.cache_data(show_spinner=spinner, max_entries=500)
        @functools.wraps(function)
        def kept(stamp: Stamp | None, key: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return function(key, *args, **kwargs)

        @functools.wraps(function)
        def current(key: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            found: T = kept(store().stamp(key), key, *args, **kwargs)
            return found

        return current

    return keep


@of_run()
def similarity(key: str, layer: int, k: int, bias: bool = False) -> tuple[Similarity, list[bool]]:
    """How far the two clusterings of a stored run's layer agree, and on which neurons.

    Raises
    ------
    LookupError
        When the run is not there.
    """
    from dropclust.core.similarity import agreement, neuron_similarity

    stored = _stored(key)
    found = neuron_similarity(stored, layer, k, bias=bias)
    return found, agreement(found.incoming_labels, found.outgoing_labels).tolist()


@of_run("Shuffling each neuron's weights and clustering again")
def shuffled(key: str, layer: int, k: int, bias: bool) -> ShuffledWeights:
    """What agreement is left in a stored run's layer when each neuron's own weights are shuffled."""
    from dropclust.core.clustering import incoming, outgoing
    from dropclust.core.similarity import shuffled_weights_similarity

    stored = _stored(key)
    vectors = incoming(stored.weights, stored.biases, layer, bias), outgoing(stored.weights, layer)
    return shuffled_weights_similarity(*vectors, k)


@of_run("Choosing the number of clusters in three ways")
def choices(key: str, layer: int, candidates: tuple[int, ...]) -> dict[str, Choice]:
    """The number of clusters that each criterion prefers for a stored run's incoming weights."""
    from dropclust.core.clustering import choose_k, incoming

    stored = _stored(key)
    vectors = incoming(stored.weights, stored.biases, layer)
    names = {"held-out vectors": "held_out", "Calinski-Harabasz": "calinski_harabasz", "BIC": "bic"}
    return {name: choose_k(vectors, candidates, method) for name, method in names.items()}


@of_run("Looking which neurons fire together")
def firing(key: str, layer: int, k: int, bias: bool) -> Firing:
    """What the neurons of a stored run's layer do on the held-out images: the dead, twins, correlation within clusters.

    The one look that needs images, and so torch, in this process; the first page never takes it.
    """
    from dropclust.core import mnist
    from dropclust.core.clustering import cluster, incoming
    from dropclust.core.prediction import hidden_activations
    from dropclust.core.twins import activation_correlation, nearest_cosine, twins_of

    one_thread()
    stored = _stored(key)
    activations = hidden_activations(stored.network(), mnist.load().held_x)[layer - 1].numpy()
    vectors, twins = incoming(stored.weights, stored.biases, layer, bias), twins_of(activations)
    within, across = activation_correlation(activations, cluster(vectors, k))
    cosine = nearest_cosine(vectors[~twins.dead]) if twins.living else float("nan")
    return Firing(int(twins.dead.sum()), len(twins.dead), within, across, twins.number, cosine)


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


def settle(page: str) -> None:
    """After each of a page's first runs: take what it loaded out of the garbage collector's sight, which the app runs no more.

    Without this every collection walks half a million objects that live as long as the process. What a page loads and keeps is
    all there after its second run.
    """
    runs = _runs()
    runs[page] += 1
    if runs[page] <= FIRST_RUNS:
        gc.collect()
        gc.freeze()


@st.cache_resource(show_spinner=False)
def _runs() -> Counter[str]:
    """How often each page ran."""
    return Counter()
