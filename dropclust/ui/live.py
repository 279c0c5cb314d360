"""What the server's process holds once for all its viewers: the store, the queue, the shipped tables."""

from __future__ import annotations

import atexit
import gc
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import streamlit as st
from streamlit import runtime

from dropclust.core.cost import Calibration
from dropclust.core.spec import RunSpec
from dropclust.experiments import results, table2
from dropclust.findings import network as findings_of_network
from dropclust.findings import table2 as findings_of_table2
from dropclust.findings import words
from dropclust.findings.guess import Guesses
from dropclust.findings.network import Firing, Neurons
from dropclust.findings.outside import as_text
from dropclust.findings.reading import TestImages
from dropclust.service import asked, drawn, overview
from dropclust.service.bounds import SESSIONS, BoundReached
from dropclust.service.requests import Answer, Origin, Request
from dropclust.service.shared import shared
from dropclust.service.store import Store, open_store
from dropclust.service.stored import Stored
from dropclust.service.tasks import Tasks
from dropclust.ui.explorer import Scene, build_scene

if TYPE_CHECKING:
    from dropclust.core.similarity import Similarity
    from dropclust.service.fresh import FreshRuns
    from dropclust.service.jobs import Jobs, Run

Found = TypeVar("Found")

FIRST_RUNS = 2  # of a page, after which it has loaded what it keeps
FRAMED = 200  # pixels from which on the place that an answer will take is seen as one, by a frame
_ERRORS = MappingProxyType({kind.__name__: kind for kind in (FileNotFoundError, LookupError, ValueError)})


@shared(most=1)
def store() -> Store:
    """The shipped runs and the viewers' own."""
    return open_store()


@shared(most=1)
def queue() -> Jobs:
    """The background queue; its workers start while the page is already up."""
    from dropclust.service.jobs import Jobs

    jobs = Jobs(store(), alive=_connected)
    atexit.register(jobs.close)
    overview.watch(jobs)
    jobs.start()
    return jobs


@shared(most=1)
def fresh_runs() -> FreshRuns:
    """What viewers measure again with seeds of their own, by the queue's workers."""
    from dropclust.service.fresh import FreshRuns

    return FreshRuns(queue())


def submit(specs: Sequence[RunSpec]) -> list[str]:
    """Ask for runs, in the name of this session; returns the keys of those that are taken, and says why no more are."""
    keys: list[str] = []
    try:
        for spec in specs:
            keys.append(queue().submit(spec, session()).key)
    except BoundReached as reached:
        st.warning(f"{reached} Taken: {len(keys)} of {len(specs)}.", icon=":material/hourglass_disabled:")
    return keys


def calibration() -> Calibration | None:
    """How fast this machine's workers train; None until they have tried."""
    measured = queue().calibration
    return Calibration(**measured) if measured else None


@shared(most=32)
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


def stored(key: str) -> Stored | None:
    """The stored run of a key, which may be anything; read, and every byte of it checked, whenever its file has changed."""
    try:
        stamp = store().stamp(key)
    except ValueError:
        return None
    return None if stamp is None else _read(store(), key, stamp)


@lru_cache(maxsize=64)  # all that it depends on are its arguments
def _read(kept: Store, key: str, stamp: tuple[int, ...]) -> Stored | None:
    return kept.get(key)


def run(key: str) -> Run | None:
    """The run of a key: in the queue, ended, or only stored."""
    from dropclust.service.jobs import Run

    for listed in queue().runs():
        if listed.key == key:
            return listed
    found = stored(key)
    if found is None:
        return None
    curve = tuple(dict(point) for point in found.curve)
    return Run(key, found.spec, found.status, curve, seconds=found.seconds, steps=found.steps)


def network(key: str) -> Stored | None:
    """A stored run, every byte of it checked; where there is none, the page says why, in one sentence, and None is returned."""
    if (found := stored(key)) is not None:
        return found
    said: set[str] = st.session_state.setdefault("damage_said", set())
    damaged = [report for report in store().reports if key[:12] in report and report not in said]
    said.update(damaged)
    needed = "a run's key is 64 hex digits, and its network must be in this machine's store."
    why = damaged[-1] if damaged else needed
    st.warning(as_text(f"No run {key[:12]} is known here: {why[:1].lower()}{why[1:]}"), icon=":material/link_off:")
    return None


@shared(most=200)
def table_2(recipe: str, layer: int, k: int, width: int) -> findings_of_table2.Table2:
    """What is said of the shipped Table 2, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return findings_of_table2.findings(result(results.file_name("table2", recipe)).table, layer, k, width)


@shared(most=400)
def said(experiment: str, recipe: str, **choices: Any) -> Any:
    """What is said of a shipped experiment, made once for all viewers: its module's ``read`` in `dropclust.findings`.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When its table is missing or damaged.
    """
    return import_module(f"dropclust.findings.{experiment}").read(recipe, **choices)


@shared(most=100)
def guesses(*question: Hashable) -> Guesses:
    """What the viewers of this process expected: of one question, all that its key says."""
    return Guesses()


def missing(recipe: str, seed: int) -> list[RunSpec]:
    """The networks of Table 2 of one seed that are not stored here."""
    specs = [table2.shown_spec(rate, recipe, seed) for rate in table2.RATES]
    return [spec for spec in specs if store().get(spec.key) is None]


def neurons(recipe: str, seed: int, layer: int, k: int) -> pd.DataFrame | None:
    """The clusters of a layer's neurons at every rate: shipped for one seed, found by a worker for another, None until then.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the shipped table is missing or damaged.
    FileNotFoundError
        When another seed is asked for and MNIST is not there.
    LookupError
        When a network of another seed is not stored here.
    """
    if seed == table2.SHOWN_SEED:
        return _shipped_neurons(recipe, layer, k)
    networks = tuple(origin(table2.shown_spec(rate, recipe, seed).key) for rate in table2.RATES)
    return ask(asked.neurons(networks, layer, k))


@shared(most=32)
def _shipped_neurons(recipe: str, layer: int, k: int) -> pd.DataFrame:
    listed = result(results.file_name("table2-neurons", recipe)).table
    return listed[(listed["layer"] == layer) & (listed["k"] == k)]


def scene(recipe: str, seed: int, layer: int, k: int) -> Scene | None:
    """The explorer's picture of one layer, the same object for all viewers; None while its neurons are waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    LookupError
        When a network of that seed is not stored here.
    dropclust.experiments.results.ResultError
        When a table is missing or damaged.
    """
    shown = shipped_drawings(recipe, layer) if seed == table2.SHOWN_SEED else None
    if shown and k in shown[1]:
        return _scene(recipe, seed, layer, k, shown[0], shown[1][k])
    networks = tuple(origin(table2.shown_spec(rate, recipe, seed).key) for rate in table2.RATES)
    found = ask(asked.drawing(networks, layer, k))
    return None if found is None else _scene(recipe, seed, layer, k, *found)


shipped_drawings = shared(most=12)(drawn.shipped)


@shared(most=24)
def _scene(recipe: str, seed: int, layer: int, k: int, _neurons: drawn.Layer, _grouping: drawn.Grouping) -> Scene:
    return build_scene(table_2(recipe, layer, k, table2.HIDDEN[layer - 1]), _neurons, _grouping)


# ---- what the workers are asked: the answer, or None while the page shows that it waits ------------------------------------


@shared(most=1)
def tasks() -> Tasks:
    """What viewers ask the queue's workers for besides trainings."""
    made = Tasks(queue(), _connected)
    atexit.register(made.close)
    return made


def session() -> str:
    """Who asks: this browser session, so that each viewer in turn gets the next free worker."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    return context.session_id if context else ""


@shared(most=1)
def _sessions() -> dict[str, None]:
    return {}


def admit() -> None:
    """What the router calls first: beyond so many sessions at once a new one reads a sentence in place of a page."""
    own, known = session(), _sessions()
    if own in known:
        return
    for other in list(known):
        if not _connected(other):
            known.pop(other, None)
    if len(known) >= (most := SESSIONS.value()):
        st.error(f"At most {most:,} browser sessions are served at once, and so many are open: try again in a moment.")
        st.stop()
    known[own] = None


def _connected(asker: str) -> bool:
    return not asker or not runtime.exists() or runtime.get_instance().is_active_session(asker)


def origin(key: str) -> Origin:
    """A stored run, for a request; raises `LookupError` when it is not there."""
    return Origin.stored(store(), key)


def ask(request: Request[Answer], height: int = 64, patience: float = 0.0, last: bool = False) -> Answer | None:
    """The workers' answer; None while it is waited for, with its place held and said what it waits for.

    Parameters
    ----------
    request
        The question. Equal ones, whoever asks, are answered once.
    height
        Pixels of what the answer will be drawn as, so that nothing jumps when it is there.
    patience
        Seconds to wait before the page goes on, for what is quick.
    last
        Whether its container holds nothing after it but what is made of the answer, which then stands in its place.

    Raises
    ------
    FileNotFoundError, LookupError, ValueError
        As the function raised it, with its sentence. Whatever else went wrong the page says, and None is returned.
    """
    # One place in the page, waiting or not: a widget after it that moved would be another to the browser, and lose its address.
    place: Any = st if last else st.empty()
    task = None
    with suppress(BoundReached):  # what waits says it, and asks again
        task = tasks().ask(request, session(), patience)
    if task and task.state == "done":
        answer: Answer = task.answer
        return answer
    if task and task.state == "failed":
        if task.error in _ERRORS:
            raise _ERRORS[task.error](task.message)
        place.error(f"{request.label}: {task.message}.", icon=":material/error:")
        return None
    with place.container(height=height, border=height >= FRAMED):
        st.fragment(_wait, run_every=tasks().again)(request)
    return None


def _wait(request: Request[Any]) -> None:
    """Say what is waited for, or why it cannot be yet; once it is there, run the page again."""
    try:
        task = tasks().ask(request, session())
    except BoundReached as reached:  # who moved a slider by many keys asked for as much; what nobody waits for is dropped soon
        st.warning(f"{request.label}: {reached}", icon=":material/hourglass_disabled:")
        return
    if task.state in ("done", "failed"):
        st.rerun()
    where = ""
    if task.starting:
        where = ": the workers are starting"
    elif task.position:
        where = f", number {task.position} in the queue"
    elif task.seconds >= 1:
        where = f", {task.seconds:.0f} s"
    st.caption(f":material/hourglass_top: {request.label}{where}")


def similarity(key: str, layer: int, k: int, bias: bool = False, last: bool = False) -> tuple[Similarity, list[bool]] | None:
    """How far the two clusterings of a stored run's layer agree, and on which neurons."""
    return ask(asked.similarity(origin(key), layer, k, bias), 96, last=last)


def firing(key: str, layer: int, k: int, bias: bool = False, last: bool = False) -> Firing | None:
    """What the neurons of a stored run's layer do; None also where that cannot be seen, and the page says why."""
    try:
        return ask(asked.firing(origin(key), layer, k, bias), last=last)
    except FileNotFoundError as error:
        st.warning(f"Which neurons fire cannot be seen: {error}", icon=":material/image_not_supported:")
        return None


def sheet(
    run: Stored, layer: int, k: int, similar: tuple[Similarity, list[bool]], firing: Firing | None, bias: bool = False
) -> Neurons:
    """A layer's neurons as pictures in their clusters, made once of one answer of `similarity` and one of `firing`."""
    return _sheet(run.key, run.created, layer, k, bias, firing is None, run, similar, firing)


@shared(most=8)
def _sheet(
    key: str,
    created: str,  # tells a run from another training of the same spec
    layer: int,
    k: int,
    bias: bool,
    unseen: bool,
    _run: Stored,
    _similar: tuple[Similarity, list[bool]],
    _firing: Firing | None,
) -> Neurons:
    return findings_of_network.clustered(_run.weights, layer, *_similar, _firing, int(_run.metrics.get(f"dead_{layer}", 0)))


def test_images(last: bool = False) -> TestImages | None:  # noqa: PT028
    """MNIST's test images; None while they are waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    found = ask(asked.test_images(), patience=0.5, last=last)
    return None if found is None else TestImages(*found)


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


@shared(most=1)
def _runs() -> Counter[str]:
    """How often each page ran."""
    return Counter()
