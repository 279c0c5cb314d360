"""The queue of runs that train in the background: who waits, who trains, how it ended. It knows no torch and no page.

A run is a small state machine; `TRANSITIONS` is this picture as a table, and nothing moves a run otherwise::

    submit --> waiting --- begins ---> training --- ends ---> done, failed
                  |                     |    |
            its worker is gone        stop   its worker is gone
                  |                     |    |
                  v                     v    v
                lost               stopping lost -- a worker is there --> restarted --- begins ---> training
                                     |                                     |
                                     '--- ends ---> stopped, done, failed  '--- its worker is gone ---> lost

    waiting, lost, restarted       --- stop ---> stopped             nothing was learnt yet
    waiting, training, stopping,
    lost, restarted                --- no cluster, or its worker dies again and again ---> failed
    done, stopped, failed          --- submitted again ---> waiting  done only when the store has lost it

A run that several sessions asked for is stopped when all of them have let go, or for everybody by whoever runs the app.
While it waits, a run is not with Dask yet: as many are handed over as there are workers, so that the position in the queue is
true, everybody who asks gets a fair turn, and a run that nobody has begun is dropped without a word to Dask.

One thread of its own owns the cluster, hears the workers and moves the runs; `submit` and `stop`, called from any thread, only
change a run's state and wake it. It never waits for Dask without a limit.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from dropclust.core.spec import RunSpec
from dropclust.service import worker
from dropclust.service.bounds import WAITING_IN_ALL, WAITING_OF_ONE, BoundReached
from dropclust.service.cluster import (
    PRELOAD,
    Cluster,
    ClusterError,
    ClusterLost,
    PrivateCluster,
    RemoteCluster,
    check_address,
)
from dropclust.service.stored import Stored

TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"training", "lost", "stopped", "failed"}),
    "training": frozenset({"stopping", "done", "lost", "failed"}),
    "stopping": frozenset({"stopped", "done", "failed"}),
    "lost": frozenset({"restarted", "stopped", "failed"}),
    "restarted": frozenset({"training", "lost", "stopped", "failed"}),
    "stopped": frozenset({"waiting"}),
    "failed": frozenset({"waiting"}),
    "done": frozenset({"waiting"}),  # when the store has lost it
}
ENDED = frozenset({"done", "stopped", "failed"})
WAITING = frozenset({"waiting", "lost", "restarted"})

MAX_WORKERS = 8
MAX_RESTARTS = 3
REMEMBERED = 500  # runs that ended in this process and are still listed
UNSTORED = 20  # finished networks that could not be stored and are kept in memory; the oldest go first

_TICK_SECONDS = 0.2
_COUNT_SECONDS = 5.0  # between two questions how many workers there are, when no run waits for one
_RESULT_SECONDS = 30.0  # to fetch a finished network
_FINISH_SECONDS = 120.0  # to measure a network after it was stopped
_NO_WORKER_SECONDS = 120.0  # a cluster without any worker for so long is given up
_LOSSES, _LOSSES_SECONDS = 5, 60.0  # clusters that may be lost in that time before it is given up

_AGAIN, _AGAIN_SOON = "The worker was lost; training started again.", "The worker was lost; training will start again."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run as it is at one moment.

    Parameters
    ----------
    key, spec
        Which run.
    state
        A key of `TRANSITIONS`.
    curve
        The points of the held-out curve so far: step, examples, loss, accuracy, seconds.
    position
        Place in the queue: 0 is training, 1 is next; None when it has ended.
    message
        One sentence for people, or empty.
    restarts
        How often its worker was lost.
    started
        When it last began to train, in seconds since 1970; None before.
    seconds
        Time trained.
    steps
        Gradient steps made.
    version
        Grows with every change of any run, so that an equal number means an equal run; 0 for one that is only stored.
    """

    key: str
    spec: RunSpec
    state: str
    curve: tuple[dict[str, Any], ...] = ()
    position: int | None = None
    message: str = ""
    restarts: int = 0
    started: float | None = None
    seconds: float = 0.0
    steps: int = 0
    version: int = 0


class Store(Protocol):
    """What the queue needs of a store of runs."""

    def get(self, key: str) -> Stored | None:
        """A stored run, or None."""

    def put(self, stored: Stored) -> object:
        """Keep a run."""


@dataclass
class _Record:
    """A run and what only the queue knows of it: who asked, which attempt is under way, where."""

    run: Run
    arrival: int
    submitter: str
    wanted_by: set[str] = field(default_factory=set)  # who asked for it and did not let go
    served: int = -1  # when it was last handed to Dask, counted in such events
    attempt: str | None = None  # None while it is not with Dask
    future: Any = None
    life: str | None = None  # the one whose points count
    past_lives: set[str] = field(default_factory=set)
    address: str = ""
    pid: int = 0
    stopped_by: str = ""
    told: bool = False  # its worker was asked to stop
    deadline: float = 0.0  # for a run that is stopping


class Jobs:
    """The queue, and the cluster that works on it.

    Parameters
    ----------
    store
        Where results go, and where finished runs are found again.
    workers
        How many runs the private cluster trains at once (default: one a core, at most 8).
    kept
        Workers that train no run where there are more, so that small tasks (`dropclust.service.tasks`) are not behind long
        trainings; the private cluster may have so many worker processes more. It starts with one, and has what there is work
        for.
    scheduler
        ``tls://host:port`` of a real Dask cluster to use instead (default: the environment variable DROPCLUST_SCHEDULER).
    alive
        Whether a browser session that asked for a run is still connected.
    task
        What a worker runs: ``task(spec_json, attempt, topic) -> dict`` as `dropclust.service.worker.run`.
    calibrate
        What a worker runs once, when the cluster is there, for `calibration`; None for nothing.
    preload
        What each process of the private cluster runs first: a module, or the path of a .py file.
    stop_seconds
        How long a worker may take to hear that its run shall stop, before it is killed.

    Raises
    ------
    ValueError
        When ``workers`` is not a whole number of 1 or more, or ``scheduler`` is not an address that is safe to use.
    """

    def __init__(
        self,
        store: Store,
        workers: int | None = None,
        scheduler: str | None = None,
        *,
        kept: int = 1,
        alive: Callable[[str], bool] = lambda submitter: True,
        task: Callable[[str, str, str], dict[str, Any]] = worker.run,
        calibrate: Callable[[], Any] | None = worker.calibrate,
        preload: str = PRELOAD,
        stop_seconds: float = 8.0,
    ) -> None:
        if workers is None:
            workers = min(_cores(), MAX_WORKERS)
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
            raise ValueError(f"workers must be a whole number of 1 or more; got {workers!r}")
        scheduler = scheduler or os.environ.get("DROPCLUST_SCHEDULER")
        self._address = check_address(scheduler) if scheduler else None
        self._store, self._workers, self._kept, self._preload = store, workers, kept, preload
        self._alive = alive
        self._task, self._calibrate, self._stop_seconds = task, calibrate, stop_seconds

        self._lock = threading.RLock()  # guards the records, and everything read from them
        self._records: dict[str, _Record] = {}
        self._attempts: dict[str, _Record] = {}
        self._versions, self._arrivals, self._servings = count(1), count(), count()
        self._version = 0

        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()  # None: look around
        self._wanted, self._closing, self._ready = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: str | None = None
        self._cluster: Cluster | None = None  # while it is up
        self._calibration: Any = None
        self._calibrating: Any = None  # the future of it, while there is one
        self._threads = 0  # how many tasks its workers can run at once, when last asked
        self._unstored: dict[str, Stored] = {}
        self._expected = 0  # tasks that wait for a worker

    # ---- for everybody, from any thread

    def start(self) -> None:
        """Bring the cluster up in the background, if it is not up or on its way; returns at once."""
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the background queue is closed")
            if self._failure is not None or self._thread is None:
                self._failure = None
                self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._supervise, name="dropclust-jobs", daemon=True)
                self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a worker is there to train."""
        return self._ready.is_set()

    @property
    def workers(self) -> int:
        """How many runs train at once in the private cluster."""
        return self._workers

    @property
    def threads(self) -> int:
        """How many workers there were when last counted."""
        return self._threads

    @property
    def failure(self) -> str | None:
        """Why there is no cluster, in one sentence; None when there is one, or it is on its way. `submit` tries again."""
        return self._failure

    @property
    def calibration(self) -> Any:
        """What ``calibrate`` returned on a worker; None before."""
        return self._calibration

    @property
    def version(self) -> int:
        """The largest version of any run: while it stays, nothing has changed."""
        return self._version

    @property
    def waits(self) -> bool:
        """Whether a run waits for a worker."""
        with self._lock:
            return any(record.attempt is None for record in self._queue())

    def behind(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Hand a function to a worker, behind all runs; returns Dask's future of what it returns.

        Whoever asks sees to it that runs find a worker: what has begun there is not interrupted.

        Raises
        ------
        dropclust.service.cluster.ClusterError
            When no worker is there at this moment.
        """
        cluster = self._cluster
        try:
            if cluster is None:
                raise ClusterError("no worker is there")
            return cluster.client.submit(function, *arguments, key=f"behind-{uuid.uuid4().hex}", pure=False, priority=-1)
        except ClusterError:
            raise
        except Exception as error:  # whatever a connection raises that breaks this moment
            raise ClusterLost("the Dask scheduler does not answer") from error

    def submit(self, spec: RunSpec, submitter: str = "") -> Run:
        """Ask for a run. One that waits or trains already is shared; one that is done comes from the store.

        A run that was stopped or failed is trained again, from its start; where only storing it failed, that is tried first.

        Parameters
        ----------
        spec
            The run.
        submitter
            Who asks, such as a browser session: each in turn gets the next free worker.

        Raises
        ------
        dropclust.service.bounds.BoundReached
            When the submitter, or everybody together, has too many runs waiting.
        """
        key = spec.key
        if (active := self._share(key, submitter)) is not None:
            return active
        self.store_again(key)
        stored = self._store.get(key)
        with self._lock:
            if (active := self._share(key, submitter)) is not None:
                return active
            if stored is not None and stored.status == "done":
                self._records.pop(key, None)  # what the store has, another process may have put there since
                return self._found(stored)
            self._check_bounds(submitter)
            self.start()
            if key not in self._records:
                self._records[key] = _Record(Run(key, spec, "waiting"), next(self._arrivals), submitter)
            else:
                record = self._records.pop(key)  # to the end of the list
                record.arrival, record.submitter = next(self._arrivals), submitter
                self._records[key] = record
                self._change(record, "waiting", curve=(), message="", restarts=0, started=None, seconds=0.0, steps=0)
            self._records[key].wanted_by = {submitter} - {""}
            self._renumber()
            run = self._records[key].run
        self._inbox.put(None)
        return run

    def get(self, key: str) -> Run | None:
        """The run of that key: in the queue, ended, or only stored; None for one that nobody knows."""
        with self._lock:
            if key in self._records:
                return self._records[key].run
        stored = self._store.get(key) if re.fullmatch(r"[0-9a-f]{64}", key) else None
        return None if stored is None else self._found(stored)

    def unstored(self, key: str) -> Stored | None:
        """A network that was trained but could not be stored, as long as this process keeps it; else None."""
        return self._unstored.get(key)

    def store_again(self, key: str) -> str | None:
        """Store a network that could not be stored; returns why that is still not possible, in one sentence, or None."""
        kept = self._unstored.get(key)
        if kept is None:
            return None
        if (problem := self._put(kept)) is not None:
            return problem
        with self._lock:
            self._unstored.pop(key, None)
            self._records.pop(key, None)  # from now on it is found in the store
            self._version = next(self._versions)
        return None

    def stop(self, key: str, by: str = "") -> Run | None:
        """Ask a run to stop. One that has not begun is dropped at once; one that trains keeps what it learnt so far.

        Parameters
        ----------
        key
            The run.
        by
            Who asks. A run that others asked for too, whose sessions are still there, goes on: it stops when all have let go.
            "" is whoever runs the app: it stops for everybody.
        """
        with self._lock:
            record = self._records.get(key)
            if record is None:
                return None
            record.wanted_by = {other for other in record.wanted_by if other != by and self._alive(other)} if by else set()
            if record.wanted_by:
                return record.run
            record.stopped_by = "whoever asked for it" if by else "whoever runs this app"
            if record.run.state == "training":
                record.told, record.deadline = False, time.monotonic() + self._stop_seconds
                self._change(record, "stopping")
            elif record.run.state in WAITING:
                self._end(record, "stopped", f"It was stopped by {record.stopped_by} before it began.")
            run = record.run
        self._inbox.put(None)
        return run

    def stop_all(self, submitter: str) -> list[Run]:
        """Ask all runs of one submitter that have not ended to stop, as `stop` does; returns them."""
        return [run for key in self.asked_by(submitter) if (run := self.stop(key, submitter))]

    def asked_by(self, submitter: str) -> list[str]:
        """Keys of the runs that one submitter asked for, has not let go and that have not ended."""
        with self._lock:
            return [
                key for key, record in self._records.items() if submitter in record.wanted_by and record.run.state not in ENDED
            ]

    def runs(self) -> list[Run]:
        """What trains, what waits in the order of its turn, and what ended in this process, the latest first."""
        with self._lock:
            runs = [record.run for record in self._records.values()]
        active = sorted((run for run in runs if run.state not in ENDED), key=lambda run: run.position or 0)
        return active + [run for run in reversed(runs) if run.state in ENDED]

    @property
    def same_machine(self) -> bool:
        """Whether the workers see this machine's files: those of the private cluster do."""
        return self._address is None

    @property
    def spare(self) -> int:
        """How many workers have nothing to do, whoever gave it to them; 0 before there are any."""
        cluster = self._cluster
        client = cluster.client if cluster is not None else None
        if client is None or not self.ready:
            return 0
        busy: int = sum(state.status == "pending" for state in list(client.futures.values()))
        return max(0, self._threads - busy)

    def ahead(self, function: Callable[..., Any], *arguments: Any, key: str, topic: str, hear: Callable[[Any], None]) -> Any:
        """Hand a function to a worker, ahead of all runs that wait; returns Dask's future of what it returns.

        Parameters
        ----------
        function, arguments
            What is called.
        key
            Its name with Dask, given to nothing else.
        topic, hear
            A Dask topic, and what is called with each of its events, a pair of time and message.

        Raises
        ------
        dropclust.service.cluster.ClusterError
            When no worker is there at this moment.
        """
        cluster = self._cluster
        client = cluster.client if cluster is not None else None
        if client is None:
            raise ClusterError("no worker is there")
        try:
            client.subscribe_topic(topic, hear)  # asking again is free
            return client.submit(function, *arguments, key=key, pure=False, priority=1)
        except Exception as error:  # whatever a connection raises that breaks this moment
            raise ClusterLost("the Dask scheduler does not answer") from error

    def expect(self, tasks: int) -> None:
        """Hear how many tasks wait to be handed over with `ahead`: more workers are started for them."""
        self._expected = tasks

    @property
    def growing(self) -> bool:
        """Whether there will be another worker before long."""
        cluster = self._cluster
        return cluster is not None and self._threads < min(self._needed(cluster), cluster.size or 0)

    def _needed(self, cluster: Cluster) -> int:
        """How many workers have something to do: as many as there are long works, and for tasks, or to be ready for them."""
        client = cluster.client
        keys = [key for key, state in list(client.futures.items()) if state.status == "pending"] if client is not None else []
        with self._lock:
            waiting = sum(record.attempt is None for record in self._records.values() if record.run.state in WAITING)
            runs = len(self._attempts)
        behind = sum(str(key).startswith(("behind-", "live-")) for key in keys)
        tasks = self._expected + sum(str(key).startswith("task-") for key in keys)
        long = min(waiting + runs + behind, self._workers)
        return long + min(max(tasks, self._kept if long else 0), self._workers + self._kept - long)

    def tell(self, address: str, function: Callable[[str], object], argument: str) -> None:
        """Call a function in the worker process at ``address``, beside what it is busy with; does not wait."""
        cluster = self._cluster
        if cluster is not None and cluster.client is not None:
            cluster.tell(address, function, argument)

    def end_worker(self, address: str, pid: int) -> None:
        """End a worker process at once, whatever it does; another takes its place."""
        cluster = self._cluster
        if cluster is not None:
            cluster.kill(address, pid)

    def close(self) -> None:
        """Let go of the cluster. What trains is given up."""
        with self._lock:
            self._closing.set()
            self._wanted.set()
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join()

    # ---- the state machine; the lock is held

    def _check_bounds(self, submitter: str) -> None:
        waiting = Counter(record.submitter for record in self._records.values() if record.run.state in WAITING)
        if waiting.total() >= (most := WAITING_IN_ALL.value()):
            raise BoundReached(f"At most {most:,} runs may wait in all, and so many do: try again when some are trained.")
        if submitter and waiting[submitter] >= (most := WAITING_OF_ONE.value()):
            raise BoundReached(f"At most {most:,} runs of one session may wait, and so many do: stop some, or let them train.")

    def _share(self, key: str, submitter: str) -> Run | None:
        """The run of that key while it waits or trains, from now on wanted by the submitter too."""
        with self._lock:
            record = self._records.get(key)
            if record is None or record.run.state in ENDED:
                return None
            if submitter:
                record.wanted_by.add(submitter)
            return record.run

    @staticmethod
    def _found(stored: Stored) -> Run:
        return Run(
            stored.spec.key,
            stored.spec,
            stored.status,
            tuple(dict(point) for point in stored.curve),
            seconds=stored.seconds,
            steps=stored.steps,
        )

    def _change(self, record: _Record, state: str | None = None, **fields: Any) -> None:
        if state is not None:
            if state not in TRANSITIONS[record.run.state]:
                raise RuntimeError(f"a run that is {record.run.state} cannot become {state}")
            fields["state"] = state
        self._version = next(self._versions)
        record.run = replace(record.run, **fields, version=self._version)

    def _release(self, record: _Record) -> None:
        """Forget the attempt under way; a worker that still speaks of it is told to stop."""
        if record.attempt is not None:
            del self._attempts[record.attempt]
        if record.future is not None:
            record.future.release()
        record.attempt = record.future = record.life = None
        record.past_lives.clear()

    def _end(self, record: _Record, state: str, message: str = "", **fields: Any) -> None:
        self._release(record)
        self._change(record, state, message=message, **fields)
        run = record.run
        said = f"run {run.key[:12]} {state}: {run.steps:,} of {run.spec.steps:,} steps in {run.seconds:.1f} s"
        _log.info("%s. %s", said, message) if message else _log.info("%s.", said)
        self._records[record.run.key] = self._records.pop(record.run.key)  # the list is in the order of ending
        ended = [key for key, other in self._records.items() if other.run.state in ENDED]
        for key in ended[:-REMEMBERED]:
            del self._records[key]
        self._renumber()

    def _begin(self, record: _Record, message: dict[str, Any]) -> None:
        record.life, record.address, record.pid = message["life"], message["address"], message["pid"]
        record.told = False
        if record.run.state in ("waiting", "restarted"):
            again = _AGAIN if record.run.restarts else ""
            self._change(record, "training", started=time.time(), message=again)
            self._renumber()

    def _lose(self, record: _Record) -> None:
        """Its worker is gone: back to the queue, unless somebody wants it stopped or it happened too often."""
        self._release(record)
        restarts = record.run.restarts + 1
        if record.run.state == "stopping":
            self._end(record, "stopped", "The worker was lost while it stopped, and with it what was learnt.", curve=())
            return
        self._change(record, "lost", restarts=restarts, message=_AGAIN_SOON, curve=(), started=None, seconds=0.0, steps=0)
        if restarts > MAX_RESTARTS:
            self._end(record, "failed", f"Its worker died {restarts} times, so it was given up.")
        self._renumber()

    def _queue(self) -> list[_Record]:
        """What has not begun, in the order of its turn.

        First what is with Dask already, then what was lost; then everybody's first run before anybody's second, counting
        those that train, and among equals whoever was served longest ago.
        """
        waiting = [record for record in self._records.values() if record.run.state in WAITING]
        turns = Counter(record.submitter for record in self._records.values() if record.attempt is not None)
        served: dict[str, int] = {}
        for record in self._records.values():
            served[record.submitter] = max(record.served, served.get(record.submitter, -1))
        turn: dict[int, int] = {}
        for record in sorted(waiting, key=lambda record: record.arrival):
            turn[record.arrival] = turns[record.submitter]
            turns[record.submitter] += record.attempt is None

        def order(record: _Record) -> tuple[bool, bool, int, int, int]:
            here = record.attempt is None
            first = (here, record.run.state != "lost")
            return *first, turn[record.arrival] if here else 0, served[record.submitter], record.arrival

        return sorted(waiting, key=order)

    def _renumber(self) -> None:
        positions = {record.run.key: place for place, record in enumerate(self._queue(), start=1)}
        for record in self._records.values():
            position = None if record.run.state in ENDED else positions.get(record.run.key, 0)
            if record.run.position != position:
                self._change(record, position=position)

    # ---- the thread that owns the cluster

    def _supervise(self) -> None:
        losses: deque[float] = deque(maxlen=_LOSSES)
        while self._wanted.wait() and not self._closing.is_set():
            number = self._workers + self._kept
            cluster = RemoteCluster(self._address) if self._address else PrivateCluster(number, self._preload)
            try:
                cluster.open(self._closing)
                self._cluster = cluster
                self._serve(cluster)
            except ClusterLost as lost:
                now = time.monotonic()
                losses.append(now)
                with self._lock:
                    for record in list(self._attempts.values()):
                        self._lose(record)
                if len(losses) == _LOSSES and now - losses[0] < _LOSSES_SECONDS:
                    self._give_up(f"The background workers keep ending: {lost}.")
            except ClusterError as error:
                self._give_up(f"Training is not possible now: {error}.")
            except Exception as error:  # a defect of ours must not leave everybody waiting
                _log.exception("the background queue failed")
                self._give_up(f"Training is not possible now: {worker.sentence(error)}.")
            finally:
                self._ready.clear()
                self._cluster = self._calibrating = None
                cluster.close()

    def _give_up(self, why: str) -> None:
        with self._lock:
            self._failure = why
            self._wanted.clear()
            for record in list(self._records.values()):
                if record.run.state not in ENDED:
                    self._end(record, "failed", why)

    def _serve(self, cluster: Cluster) -> None:
        topic = f"dropclust-{uuid.uuid4().hex}"
        asked, seen = 0.0, time.monotonic()
        while not self._closing.is_set():
            for message in self._messages():
                self._hear(cluster, message)
            if self._closing.is_set():
                return
            cluster.check()
            cluster.scale(self._needed(cluster))
            if self._collect():
                asked = 0.0  # a worker is gone, so ask again how many there are
            self._press_stops(cluster)
            now = time.monotonic()
            with self._lock:
                wanted = not self.ready or any(record.attempt is None for record in self._queue())
            if now - asked > (_TICK_SECONDS if wanted else _COUNT_SECONDS):
                self._threads, asked = cluster.threads(), now
            if not wanted:
                seen = now
            elif self._threads:
                seen = now
                self._ready.set()
                self._dispatch(cluster, topic, self._threads)
            elif now - seen > _NO_WORKER_SECONDS:
                raise ClusterError("no worker is there")

    def _messages(self) -> list[dict[str, Any]]:
        """What came in, after waiting a little for it."""
        messages: list[dict[str, Any] | None] = []
        with suppress(queue.Empty):
            messages.append(self._inbox.get(timeout=_TICK_SECONDS))
            while True:
                messages.append(self._inbox.get_nowait())
        return [message for message in messages if message is not None]

    def _hear(self, cluster: Cluster, message: dict[str, Any]) -> None:
        with self._lock:
            record = self._attempts.get(message["attempt"])
            if record is not None:
                self._hear_of(record, message)
                return
        cluster.tell(message["address"], worker.stop, message["attempt"])  # dropped just as it began

    def _hear_of(self, record: _Record, message: dict[str, Any]) -> None:
        life, point = message["life"], message["point"]
        if life in record.past_lives:
            return
        if record.life is None:
            self._begin(record, message)
        elif life != record.life:  # Dask saw its worker die and started it again by itself
            record.past_lives.add(record.life)
            if record.run.state == "training":
                self._change(
                    record, "lost", restarts=record.run.restarts + 1, message=_AGAIN_SOON, curve=(), seconds=0.0, steps=0
                )
                self._change(record, "restarted")
            self._begin(record, message)
        if message["heard"]:
            record.deadline = max(record.deadline, time.monotonic() + _FINISH_SECONDS)
        if point is not None and (not record.run.curve or point["step"] > record.run.curve[-1]["step"]):
            self._change(record, curve=(*record.run.curve, point), seconds=point["seconds"])
        if message["steps"] > record.run.steps:
            self._change(record, steps=message["steps"])

    def _dispatch(self, cluster: Cluster, topic: str, threads: int) -> None:
        """Hand over as many runs as there are idle workers, but for what is kept for tasks."""
        if self._calibrate is not None and self._calibrating is None:
            self._calibrating = cluster.client.submit(self._calibrate, key=f"calibrate-{uuid.uuid4().hex}")
        with self._lock:
            busy = len(self._attempts) + (self._calibrating is not None)
            training = max(1, threads - self._kept)
            chosen = [record for record in self._queue() if record.attempt is None][: max(0, training - busy)]
            for record in chosen:
                # A key that no other attempt and no other app has: Dask may still be busy with an earlier attempt.
                record.attempt = f"{record.run.key}-{uuid.uuid4().hex}"
                self._attempts[record.attempt] = record
                record.served = next(self._servings)
                if record.run.state == "lost":
                    self._change(record, "restarted")
                # Asking again is free, and a client that had to connect anew has forgotten it.
                cluster.client.subscribe_topic(topic, lambda event: self._inbox.put(event[1]))
                record.future = cluster.client.submit(
                    self._task, record.run.spec.to_json(), record.attempt, topic, key=record.attempt
                )
                record.future.add_done_callback(lambda _: self._inbox.put(None))
            if chosen:
                self._renumber()

    def _collect(self) -> bool:
        """Take in what Dask has finished with, one way or another; whether a run was lost."""
        lost = False
        if self._calibrating is not None and self._calibrating.done():
            try:
                self._calibration = self._calibrating.result(timeout=_RESULT_SECONDS)
            except Exception:
                _log.warning("no worker could say how fast it trains", exc_info=True)
            self._calibrating = self._calibrate = None  # asked once
        with self._lock:
            finished = [(record, record.future) for record in self._attempts.values() if record.future.done()]
        for record, future in finished:
            result = self._result(future)
            if result is not None and result["status"] == "stopped" and record.run.state != "stopping":
                result = {"status": "failed", "message": "The worker stopped it without being asked."}
            problem = self._keep(record.run.spec, result) if result is not None else None
            with self._lock:
                if record.future is not future:  # stopped in the meantime
                    continue
                if result is None:
                    self._lose(record)
                    lost = True
                    continue
                if record.run.state in ("waiting", "restarted"):  # so quick that its first word is still under way
                    self._change(record, "training", started=time.time())
                self._conclude(record, result, problem)
        return lost

    @staticmethod
    def _result(future: Any) -> dict[str, Any] | None:
        """What a finished task returned; None when its worker is gone."""
        from distributed import CancelledError, KilledWorker, TimeoutError

        try:
            result = future.result(timeout=_RESULT_SECONDS)
        except (KilledWorker, CancelledError, TimeoutError, OSError):
            return None
        except Exception as error:  # the task could not even be loaded there
            return {"status": "failed", "message": worker.sentence(error)}
        return dict(result)

    def _keep(self, spec: RunSpec, result: dict[str, Any]) -> str | None:
        """Store a network; where that is not possible it stays in memory, and why is returned."""
        if result["status"] not in ("done", "stopped"):
            return None
        stored = Stored(
            spec=spec,
            weights=tuple(result["weights"]),
            biases=tuple(result["biases"]),
            curve=list(result["curve"]),
            metrics=result["metrics"],
            status=result["status"],
            steps=result["steps"],
            seconds=result["seconds"],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=result["versions"],
        )
        problem = self._put(stored)
        with self._lock:
            self._unstored.pop(spec.key, None)
            if problem is not None:
                self._unstored[spec.key] = stored
                for key in list(self._unstored)[:-UNSTORED]:
                    del self._unstored[key]
        return problem

    def _put(self, stored: Stored) -> str | None:
        try:
            self._store.put(stored)
        except (OSError, ValueError) as error:
            return f"It was trained but could not be stored: {worker.sentence(error)}."
        return None

    def _conclude(self, record: _Record, result: dict[str, Any], problem: str | None) -> None:
        status = result["status"]
        if status == "failed":
            self._end(record, "failed", result["message"])
            return
        learnt = {
            "curve": tuple(dict(point) for point in result["curve"]),
            "steps": result["steps"],
            "seconds": result["seconds"],
        }
        if status == "diverged" or problem is not None:
            self._end(record, "failed", problem or result["message"], **learnt)
        else:
            message = f"It was stopped by {record.stopped_by} after {result['steps']:,} of {record.run.spec.steps:,} steps."
            self._end(record, status, message if status == "stopped" else record.run.message, **learnt)

    def _press_stops(self, cluster: Cluster) -> None:
        """See to it that a run that shall stop does: ask its worker, and after a while kill it."""
        with self._lock:
            stopping = [record for record in self._attempts.values() if record.run.state == "stopping"]
            for record in stopping:
                if time.monotonic() > record.deadline:
                    address, pid = record.address, record.pid
                    # In this order: Dask would start a task of a killed worker again.
                    self._end(record, "stopped", "Its worker did not answer and was ended; what was learnt is lost.", curve=())
                    cluster.kill(address, pid)
                elif not record.told:
                    record.told = True
                    cluster.tell(record.address, worker.stop, str(record.attempt))


def _cores() -> int:
    """The cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
