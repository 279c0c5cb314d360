"""An experiment measured again with seeds nobody looked at, by the queue's workers and behind its runs. It knows no page."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from dropclust import experiments
from dropclust.core.cost import Calibration
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import results
from dropclust.experiments.experiment import Settings
from dropclust.findings import verdicts, words
from dropclust.service import reproduce, runs
from dropclust.service.cluster import ClusterError
from dropclust.service.queue import Workers
from dropclust.service.worker import sentence

FOLDER = "yours"  # below the tables that travel with the project
FIRST_SEED = 1_000  # above all seeds of tables that travel
SEEDS = 2, 10  # fewest and most
KEPT = 20  # sets of tables; the oldest go first
ENDED = frozenset({"done", "stopped", "failed"})

_TICK_SECONDS = 0.1
_TRIES = 3  # of a group whose worker is lost
_KEY = re.compile(rf"({'|'.join(experiments.NAMES)})-({'|'.join(MAIN_RECIPES)})-(\d{{4,6}})-(\d{{1,2}})(-quick)?")
_SET = re.compile(r"-(?P<recipe>[a-z]+)-from-(?P<first>\d+)(?:-quick)?$")


class Queue(Workers, Protocol):
    """What is needed of `dropclust.service.jobs.Jobs`."""

    @property
    def waits(self) -> bool:
        """Whether a run waits for a worker."""

    @property
    def workers(self) -> int:
        """How many there are."""

    def behind(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Hand a function to a worker, behind all runs; returns Dask's future."""


@dataclass(frozen=True)
class FreshRun:
    """A measurement as it is at one moment.

    ``state`` is "waiting", "measuring", "stopping", or one of `ENDED`; ``done`` of ``total`` groups of networks are measured;
    ``message`` is one sentence for people, or empty.
    """

    experiment: str
    settings: Settings
    state: str = "waiting"
    done: int = 0
    total: int = 0
    message: str = ""

    @property
    def key(self) -> str:
        """Its name in an address: all that was asked for."""
        settings = self.settings
        return f"{self.experiment}-{settings.recipe}-{settings.first_seed}-{settings.seeds}{'-quick' if settings.quick else ''}"

    @property
    def name(self) -> str:
        """What people call it: experiment, recipe, seeds, and whether its grid is the small one."""
        seeds = self.settings.seed_range
        grid = f", {verdicts.QUICK}" if self.settings.quick else ""
        title, recipe = experiments.get(self.experiment).title, verdicts.recipe_name(self.settings.recipe)
        return f"{title}, {recipe}, seeds {seeds[0]} to {seeds[-1]}{grid}"

    @property
    def standing(self) -> str:
        """Its name, and how far it is."""
        doing = {"waiting": "waiting for a worker", "stopping": "stopping"}.get(self.state, "measuring")
        return f"{self.name}: {doing}" + (f", {self.done} of {self.total} groups of networks" if self.total else "")


def expected(experiment: str, settings: Settings, speed: Calibration | None, workers: int) -> str:
    """What a measurement takes, as far as it is known; ``speed`` is None before the machine was calibrated."""
    specs = experiments.get(experiment).specs(settings)
    networks = words.count(len(specs), "network")
    if speed is None:
        return f"{networks}. The workers are starting; the expected time follows."
    seconds = sum(map(speed.seconds, specs)) / max(1, workers - 1)
    return f"{networks}: about {runs.duration(seconds)} of training on this machine, and measuring them on top."


class FreshRuns:
    """The measurements that viewers asked for.

    Parameters
    ----------
    queue
        Whose workers measure.
    root
        Where the tables go; a folder of their own below the shipped ones when None, which they never replace.
    """

    def __init__(self, queue: Queue, root: Path | None = None) -> None:
        self._queue, self.root = queue, root or results.folder() / FOLDER
        self._lock = threading.Lock()
        self._runs: dict[str, FreshRun] = {}
        self._stops: dict[str, threading.Event] = {}

    def start(self, experiment: str, recipe: str, seeds: int, quick: bool = True) -> FreshRun:
        """Ask for a measurement with seeds that no table has; one that is asked for already, and not ended, is shared.

        Raises
        ------
        ValueError
            For an unknown experiment or recipe, or a number of seeds outside `SEEDS`.
        """
        experiments.get(experiment)
        if recipe not in MAIN_RECIPES:
            raise ValueError(f"recipe must be one of {', '.join(MAIN_RECIPES)}; got {recipe!r}")
        if isinstance(seeds, bool) or not isinstance(seeds, int) or not SEEDS[0] <= seeds <= SEEDS[1]:
            raise ValueError(f"seeds must be a whole number from {SEEDS[0]} to {SEEDS[1]}; got {seeds!r}")
        with self._lock:
            for run in self._runs.values():
                asked = run.experiment, run.settings.recipe, run.settings.seeds, run.settings.quick
                if asked == (experiment, recipe, seeds, quick) and run.state not in ENDED:
                    return run
            settings = Settings(recipe, seeds, quick, first_seed=self._free_seed(experiment, recipe))
            run = FreshRun(experiment, settings)
            for key in [key for key, old in self._runs.items() if old.state in ENDED][: -KEPT or None]:
                del self._runs[key], self._stops[key]
            self._runs[run.key], self._stops[run.key] = run, threading.Event()
        self._queue.start()
        threading.Thread(target=self._work, args=(run.key,), name=f"dropclust-fresh-{run.key}", daemon=True).start()
        return run

    def get(self, key: str) -> FreshRun | None:
        """The measurement of that name; None for one that nobody knows, such as one that a restart of the server ended."""
        with self._lock:
            if key in self._runs:
                return self._runs[key]
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None
        try:
            settings = Settings(parts[2], int(parts[4]), bool(parts[5]), first_seed=int(parts[3]))
            made = results.read(_file(parts[1], settings), self.root)
        except ValueError:  # no such table, or settings that are not allowed
            return None
        if made.conditions.get("settings", {}).get("seeds") != settings.seeds:
            return None
        return FreshRun(parts[1], settings, "done")

    def stop(self, key: str) -> None:
        """Ask a measurement to stop; what is measured is kept for the next time that it is asked for."""
        with self._lock:
            if key in self._runs and self._runs[key].state not in ENDED:
                self._stops[key].set()
                self._runs[key] = replace(self._runs[key], state="stopping")

    def _free_seed(self, experiment: str, recipe: str) -> int:
        """The first seed that no table of the viewers and no measurement under way has."""
        free = FIRST_SEED
        for path in self.root.glob(f"{experiment}-{recipe}-from-*.csv"):
            if found := _SET.search(path.stem):
                free = max(free, int(found["first"]) + SEEDS[1])
        for run in self._runs.values():
            if (run.experiment, run.settings.recipe) == (experiment, recipe) and run.state not in ENDED:
                free = max(free, run.settings.first_seed + SEEDS[1])
        return free

    def _work(self, key: str) -> None:
        """Measure, in a thread that does nothing but wait."""
        run, stop = self._runs[key], self._stops[key]
        lent = _Lent(self._queue, stop)

        def progress(_: str, done: int, total: int) -> None:
            state = "stopping" if stop.is_set() else "measuring" if lent.began else "waiting"
            self._set(key, state=state, done=done, total=total)

        try:
            lent.on_begin = lambda: self._set(key, state="stopping" if stop.is_set() else "measuring")
            reproduce.reproduce([run.experiment], run.settings, lent, self.root, progress=progress)
        except Exception as error:  # whatever it is, the page says it in one sentence
            if stop.is_set():
                self._set(key, state="stopped", message="It was stopped; what was measured is kept.")
            else:
                text = (str(error) if isinstance(error, ClusterError) else sentence(error)).rstrip(".")
                self._set(key, state="failed", message=f"{text}. What was measured is kept, so that starting it again goes on.")
        else:
            self._forget_old()
            self._set(key, state="done")
        finally:
            lent.shutdown()

    def _set(self, key: str, **fields: Any) -> None:
        with self._lock:
            self._runs[key] = replace(self._runs[key], **fields)

    def _forget_old(self) -> None:
        """Delete the oldest sets of tables beyond `KEPT`."""
        sets: dict[str, list[Path]] = {}
        for path in self.root.glob("*.csv"):
            if found := _SET.search(path.stem):
                sets.setdefault(path.name.split("-")[0] + found[0], []).append(path)
        newest = sorted(sets.values(), key=lambda paths: -max(path.stat().st_mtime for path in paths))
        for path in (path for paths in newest[KEPT:] for path in paths):
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)


class Stopped(Exception):
    """The measurement was asked to stop."""


class _Lent(Executor):
    """Hands groups to the queue's workers: one worker stays free where there are several, and none is taken while a run waits.

    A group that has begun cannot be interrupted, so a run may wait for one group where there is a single worker.
    """

    def __init__(self, queue: Queue, stop: threading.Event) -> None:
        self._queue, self._stop = queue, stop
        self._waiting: deque[_Task] = deque()
        self._under_way: list[_Task] = []
        self._closed = threading.Event()
        self.began = False
        self.on_begin: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._feed, name="dropclust-lent", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Queue a function; arguments by name are not taken."""
        task = _Task(Future(), function, arguments)
        self._waiting.append(task)
        return task.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop handing out; what is under way is dropped."""
        self._closed.set()
        if wait:
            self._thread.join()

    def _feed(self) -> None:
        try:
            self._hand_out()
        except Exception as error:  # a defect of ours must not leave a page waiting
            self._end(error)
            raise

    def _hand_out(self) -> None:
        most = max(1, self._queue.workers - 1)
        while not self._closed.wait(_TICK_SECONDS):
            if self._stop.is_set():
                self._end(Stopped())
            elif self._queue.failure is not None:
                self._end(ClusterError(self._queue.failure))
            else:
                self._collect()
                while self._waiting and len(self._under_way) < most and self._queue.ready and not self._queue.waits:
                    self._hand_over(self._waiting.popleft())
        for task in self._under_way:
            task.drop()

    def _hand_over(self, task: _Task) -> None:
        if not task.begin():
            return
        try:
            task.remote = self._queue.behind(task.function, *task.arguments)
        except ClusterError:  # gone this moment: it comes back, or the queue says why not
            self._waiting.appendleft(task)
            time.sleep(_TICK_SECONDS)
            return
        task.tries += 1
        self._under_way.append(task)
        if not self.began:
            self.began = True
            self.on_begin()

    def _collect(self) -> None:
        for task in [task for task in self._under_way if task.remote.done()]:
            self._under_way.remove(task)
            if task.remote.status == "finished":
                task.future.set_result(task.remote.result(timeout=30))
            elif task.remote.status == "error" and not _worker_lost(error := task.remote.exception(timeout=30)):
                task.future.set_exception(error)
            elif task.tries < _TRIES:  # its worker or the whole cluster is gone
                self._waiting.appendleft(task)
            else:
                task.future.set_exception(ClusterError(f"its worker was lost {_TRIES} times"))

    def _end(self, error: Exception) -> None:
        """Give up all that is left."""
        left = [*self._under_way, *self._waiting]
        self._under_way, self._waiting = [], deque()
        for task in left:
            task.drop()
            if task.begin():
                task.future.set_exception(error)


@dataclass(eq=False)
class _Task:
    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    remote: Any = None  # Dask's future
    tries: int = 0

    def begin(self) -> bool:
        """Whether it is wanted still; from then on it cannot be cancelled."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def drop(self) -> None:
        """Tell Dask that nobody waits for it."""
        if self.remote is not None:
            with suppress(Exception):  # the cluster may be gone
                self.remote.cancel()


def _worker_lost(error: BaseException) -> bool:
    return type(error).__name__ in {"KilledWorker", "FutureCancelledError", "CancelledError"}


def _file(experiment: str, settings: Settings) -> str:
    return results.file_name(experiment, settings.recipe, settings.quick, settings.first_seed)
