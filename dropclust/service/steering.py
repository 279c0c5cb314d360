"""Live runs: trainings that viewers steer as they go on. Who steers, what is seen, how each ends. It knows no torch, no page.

A live run is a small state machine; `TRANSITIONS` is this picture as a table, and nothing moves a run otherwise::

    start --> waiting --- a worker begins ---> running <--- play, pause, its last step ---> paused
              ^ | ^                               |                                           |
              | | '------- its worker is gone: it starts again from its schedule -------------'
              '-' the worker is gone before it began
                |                                 |                                           |
                |                                 '--- end, nobody watches, others wait ------'---> stopped
                |
                '--- end ---> stopped                                                             nothing was learnt yet

    waiting, running, paused --- no cluster, its worker dies again and again, it diverged ---> failed
    stopped                  --- save ---> saved                                              a run like any other
    stopped, saved, failed   --- restart ---> waiting

What viewers do becomes commands with numbers, which are sent to the worker until it says that it has followed them; what it
followed is the run's schedule, so that a saved run is a `RunSpec` which trains again to the same bits. Whoever has the token of
a run steers it; everybody else watches, unless it was opened to all.

One thread of its own hands over, hears, resends and ends; `act`, called from any thread, only changes a run and wakes it. What
can be seen is written once for all viewers of a layer, as frames that are sent as they are.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from dropclust.core.spec import Rates, RunSpec
from dropclust.service import steered
from dropclust.service.bounds import LIVE_RUNS, BoundReached
from dropclust.service.cluster import ClusterError
from dropclust.service.queue import Ahead
from dropclust.service.stored import Stored
from dropclust.service.worker import sentence

TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"running", "waiting", "stopped", "failed"}),
    "running": frozenset({"paused", "waiting", "stopped", "failed"}),
    "paused": frozenset({"running", "waiting", "stopped", "failed"}),
    "stopped": frozenset({"saved", "waiting"}),
    "saved": frozenset({"waiting"}),
    "failed": frozenset({"waiting"}),
}
ENDED = frozenset({"stopped", "saved", "failed"})

LAYERS = 3
MAX_UNITS = 256  # a neuron's number is sent as one byte
PACE = (100.0, 1_000_000.0)  # examples a second that may be asked for
UNWATCHED_SECONDS = 600.0  # after which a run that nobody watches ends
YIELD_SECONDS = 120.0  # after which a run makes room when others wait for a worker
MAX_LOSSES = 3
KEPT = 20  # runs that have ended and can still be looked at, or saved
_TICK_SECONDS = 0.2
_RESEND_SECONDS = 1.0
_HELLO_SECONDS = 10.0  # a worker that hears nothing for long ends the run: the app may be gone
_RESULT_SECONDS = 30.0
_END_SECONDS = 30.0  # for a worker to end a run and measure what was learnt
_FRAMES = 32  # kept of each layer, for viewers who are a little behind
_HISTORY = 240  # moments kept of what was measured

_log = logging.getLogger(__name__)


class NotAllowed(ValueError):
    """What was asked for is not allowed, or not now; its text is one sentence for people."""


class Queue(Ahead, Protocol):
    """What is needed of `dropclust.service.jobs.Jobs`."""

    @property
    def waits(self) -> bool:
        """Whether a run waits for a worker."""

    def tell(self, address: str, function: Callable[[str], object], argument: str) -> None:
        """Call a function in a worker beside its task."""


class Store(Protocol):
    """What is needed of a store of runs."""

    def put(self, stored: Stored) -> object:
        """Keep a run."""


@dataclass(frozen=True)
class Frame:
    """What viewers of one layer are sent to come from one version of a run to the next; ``text`` is JSON."""

    before: int
    version: int
    text: str


@dataclass
class _Record:
    """A live run and what only this process knows of it."""

    name: str
    token: str
    spec: RunSpec  # at its longest, with the rates it began with
    state: str = "waiting"
    message: str = ""
    notice: str = ""  # what will happen unless something changes
    open: bool = False
    key: str = ""  # once it is saved
    attempt: str = ""
    future: Any = None
    life: str = ""
    address: str = ""
    pid: int = 0
    end_by: float = math.inf  # when a worker that was asked to end it is ended itself
    heard: int = 0
    sent: int = 0
    commands: list[dict[str, Any]] = field(default_factory=list)  # those the worker has not said to have followed
    resend: float = 0.0
    losses: int = 0
    wants_save: bool = False
    result: dict[str, Any] | None = None
    why: str = ""  # it was ended, in a sentence
    viewers: int = 0
    unwatched: float = field(default_factory=time.monotonic)
    others_wait: float | None = None
    # What can be seen.
    facts: dict[str, Any] = field(default_factory=lambda: {"step": 0, "paused": False, "finished": False, "round": 0})
    pieces: list[list[Any]] = field(default_factory=list)
    dropout: list[float] = field(default_factory=list)
    pace: float | None = None
    looks: list[dict[str, Any]] = field(default_factory=list)  # the last, a part for each layer
    pictures: list[str] = field(default_factory=list)
    history: list[list[float]] = field(default_factory=list)
    version: int = 0
    frames: tuple[deque[Frame], ...] = field(default_factory=lambda: tuple(deque(maxlen=_FRAMES) for _ in range(LAYERS)))
    whole: dict[tuple[int, int], str] = field(default_factory=dict)


class Steering:
    """The live runs of all viewers.

    Parameters
    ----------
    queue
        Whose workers train them.
    store
        Where a saved run goes.
    perform
        What a worker calls, as `dropclust.service.steered.live`.
    unwatched, yielding
        Seconds after which a run ends that nobody watches, or that keeps others waiting.
    """

    def __init__(
        self,
        queue: Queue,
        store: Store,
        perform: Callable[..., dict[str, Any]] = steered.live,
        unwatched: float = UNWATCHED_SECONDS,
        yielding: float = YIELD_SECONDS,
    ) -> None:
        self._queue, self._store, self._perform = queue, store, perform
        self._unwatched, self._yielding = unwatched, yielding
        self._lock = threading.RLock()  # guards the records, and everything read from them
        self._records: dict[str, _Record] = {}
        self._attempts: dict[str, _Record] = {}
        self._topic = f"dropclust-live-{uuid.uuid4().hex}"
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._hello = 0.0

    # ---- for everybody, from any thread

    def start(self, spec: RunSpec, pace: float | None = None) -> tuple[str, str]:
        """Begin a live run; returns its name and the token of whoever steers it.

        Parameters
        ----------
        spec
            The network and the rates it begins with; how many examples it sees is up to its viewers.
        pace
            Examples a second; None for as fast as it can.

        Raises
        ------
        dropclust.service.bounds.BoundReached
            When so many live runs are under way.
        NotAllowed
            When a layer is wider than can be shown, or the pace is not allowed.
        """
        if max(spec.hidden) > MAX_UNITS:
            raise NotAllowed(f"A live run can show layers of at most {MAX_UNITS} units; got {max(spec.hidden):,}.")
        with self._lock:
            self._check_bound()
            record = _Record(secrets.token_hex(8), secrets.token_urlsafe(18), steered.longest(spec), pace=_pace(pace))
            record.dropout = list(record.spec.dropout)
            record.facts |= {"rates": record.dropout, "pace": record.pace}
            self._records[record.name] = record
            self._publish(record)
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._supervise, name="dropclust-live", daemon=True)
                self._thread.start()
        self._wake.set()
        return record.name, record.token

    def act(self, name: str, token: str, action: Mapping[str, Any]) -> None:
        """Do to a run what a viewer asks for.

        Parameters
        ----------
        name, token
            Which run; the token may be anything where the run is open to all.
        action
            ``do``: "play", "pause", "step", "epoch", "restart", "rates" (with three ``rates``), "pace" (with examples a second
            or None), "end", "save", "open" (with true or false: whether all may steer).

        Raises
        ------
        LookupError
            When there is no such run.
        NotAllowed
            When this viewer may not steer it, or what is asked for is not allowed or not possible now.
        """
        with self._lock:
            record = self._of(name)
            owns = secrets.compare_digest(token.encode(), record.token.encode())
            what = action.get("do")
            if not owns and (not record.open or what == "open"):
                raise NotAllowed("Whoever started this run steers it; you are watching.")
            if what == "open":
                record.open = action.get("open") is True
                self._publish(record)
            elif what == "save":
                self._save(record)
            elif what == "restart" and record.state in ENDED:
                self._again(record)
            elif record.state in ENDED:
                raise NotAllowed("This run has ended; start it again first.")
            elif what == "end":
                self._end(record, "It was ended by whoever steers it.")
            else:
                self._command(record, _command(record, action))
        self._wake.set()

    def exists(self, name: str) -> bool:
        """Whether there is a run of that name."""
        with self._lock:
            return name in self._records

    def state(self, name: str) -> str:
        """The state of a run, a key of `TRANSITIONS`; raises `LookupError` when there is none."""
        with self._lock:
            return self._of(name).state

    def under_way(self) -> list[str]:
        """Names of the runs that have not ended, the latest first."""
        with self._lock:
            return [name for name, record in reversed(self._records.items()) if record.state not in ENDED]

    def end_all(self) -> int:
        """Ask everything that is under way to end, by whoever runs the app; returns how many runs that is."""
        with self._lock:
            under_way = [record for record in self._records.values() if record.state not in ENDED]
            for record in under_way:
                self._end(record, "It was ended by whoever runs this app.")
        self._wake.set()
        return len(under_way)

    def enter(self, name: str) -> None:
        """Somebody watches from now on; raises `LookupError` when there is no such run."""
        with self._lock:
            self._of(name).viewers += 1

    def leave(self, name: str) -> None:
        """Somebody does not watch any more."""
        with self._lock:
            record = self._records.get(name)
            if record is not None:
                record.viewers -= 1
                record.unwatched = time.monotonic()

    def frames(self, name: str, layer: int, version: int) -> tuple[int, list[str]]:
        """What a viewer of a layer is sent who has seen a version, 0 for none; and the version that is seen then.

        Raises
        ------
        LookupError
            When there is no such run.
        """
        with self._lock:
            record = self._of(name)
            if version == record.version:
                return version, []
            kept = [frame for frame in record.frames[layer - 1] if frame.before >= version > 0]
            if kept and kept[0].before == version:
                return record.version, [frame.text for frame in kept]
            where = record.version, layer
            if where not in record.whole:
                record.whole = {at: text for at, text in record.whole.items() if at[0] == record.version}
                record.whole[where] = json.dumps(self._all(record, layer), separators=(",", ":"))
            return record.version, [record.whole[where]]

    def close(self) -> None:
        """Let go of everything."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    # ---- the state machine; the lock is held

    def _of(self, name: str) -> _Record:
        record = self._records.get(name)
        if record is None:
            raise LookupError("No live run of that name is known here: it ended a while ago, or the app was started anew.")
        return record

    def _check_bound(self) -> None:
        number = sum(record.state not in ENDED for record in self._records.values())
        if number >= (most := LIVE_RUNS.value()):
            raise BoundReached(f"At most {most} live runs may be under way, and so many are: watch one, or try again later.")

    def _change(self, record: _Record, state: str, message: str = "") -> None:
        if state not in TRANSITIONS[record.state]:
            raise RuntimeError(f"a live run that is {record.state} cannot become {state}")
        record.state, record.message, record.notice = state, message, ""
        if state in ENDED or state == "waiting":
            record.end_by = math.inf
            self._attempts.pop(record.attempt, None)
            if record.future is not None:
                record.future.release()
            record.attempt, record.future, record.address, record.life = "", None, "", ""
        if state in ENDED:
            record.commands.clear()
            ended = [name for name, other in self._records.items() if other.state in ENDED and not other.viewers]
            for name in ended[:-KEPT]:
                del self._records[name]

    def _command(self, record: _Record, command: dict[str, Any]) -> None:
        record.sent += 1
        record.commands.append({"n": record.sent, **command})
        record.resend = 0.0

    def _end(self, record: _Record, why: str) -> None:
        """Ask its worker to end it; one that has none is over at once."""
        record.why = why
        if record.state == "waiting":
            self._change(record, "stopped", why)
            self._publish(record)
        elif not any(command["do"] == "end" for command in record.commands):
            record.end_by = time.monotonic() + _END_SECONDS
            self._command(record, {"do": "end"})

    def _again(self, record: _Record) -> None:
        """From its first step once more, with the rates that hold now."""
        self._check_bound()
        rates = _three(record.facts["rates"])
        record.spec = replace(record.spec, dropout=rates, schedule=())
        record.result, record.key, record.losses, record.wants_save = None, "", 0, False
        record.dropout, record.pieces = list(rates), []
        record.looks, record.pictures, record.history = [], [], []
        record.facts |= {"step": 0, "paused": False, "finished": False, "round": record.facts["round"] + 1}
        record.unwatched = time.monotonic()
        self._change(record, "waiting")
        self._publish(record)

    def _save(self, record: _Record) -> None:
        if record.state == "saved":
            return
        if record.state == "stopped":
            if record.result is None:
                raise NotAllowed("Nothing was learnt yet, so there is nothing to save.")
            self._keep(record)
        elif record.state == "failed" or not record.facts["step"]:
            raise NotAllowed("Nothing was learnt yet, so there is nothing to save.")
        else:
            record.wants_save = True
            self._end(record, "It was saved.")

    def _keep(self, record: _Record) -> None:
        result = record.result
        if result is None:
            return
        spec = RunSpec.from_json(result["spec"])
        try:
            self._store.put(
                Stored(
                    spec=spec,
                    weights=tuple(result["weights"]),
                    biases=tuple(result["biases"]),
                    curve=list(result["curve"]),
                    metrics=result["metrics"],
                    status="done",
                    steps=result["steps"],
                    seconds=result["seconds"],
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    versions=result["versions"],
                )
            )
        except (OSError, ValueError) as error:
            record.message = f"It could not be stored: {sentence(error).rstrip('.')}."
        else:
            record.key = spec.key
            self._change(
                record, "saved", "It is stored: what was done to it is its schedule, which trains to the same bits again."
            )
        self._publish(record)

    def _lose(self, record: _Record) -> None:
        """Its worker is gone: another starts it again from its schedule."""
        record.losses += 1
        done = record.facts["step"]
        if record.losses > MAX_LOSSES:
            self._change(record, "failed", f"Its worker died {record.losses} times, so it was given up.")
        elif record.why and any(command["do"] == "end" for command in record.commands):
            self._change(record, "stopped", "Its worker was lost while it ended, and with it what was learnt.")
        else:
            trained = f"trains it again from its schedule, up to step {done:,}" if done else "begins"
            again = f"The worker was lost. Another {trained}."
            self._change(record, "waiting", again)
        self._publish(record)

    # ---- what can be seen; the lock is held

    def _publish(self, record: _Record, look: bool = False, pieces_from: int | None = None, pictures: bool = False) -> None:
        """Write the frames that bring viewers from the last version to a new one."""
        before, record.version = record.version, record.version + 1
        for layer in range(1, LAYERS + 1):
            part = self._head(record)
            if pieces_from is not None:
                part |= {"dropout": record.dropout, "from": pieces_from, "pieces": record.pieces[pieces_from:]}
            if look:
                part |= {"look": record.looks[layer - 1], "moment": _of_layer(record.history[-1], layer)}
            if pictures:
                part["picture"] = record.pictures[layer - 1]
            text = json.dumps(part, separators=(",", ":"))
            record.frames[layer - 1].append(Frame(before, record.version, text))

    def _head(self, record: _Record) -> dict[str, Any]:
        return {
            "v": record.version,
            "state": record.state,
            "message": record.message,
            "notice": record.notice,
            "open": record.open,
            "key": record.key,
            "savable": record.result is not None,
            "viewers": record.viewers,
            **record.facts,
        }

    def _all(self, record: _Record, layer: int) -> dict[str, Any]:
        spec = record.spec
        return {
            **self._head(record),
            "units": spec.hidden[layer - 1],
            "layer": layer,
            "batch": spec.batch_size,
            "epoch": spec.train_size // spec.batch_size,
            "recipe": spec.recipe,
            "seed": spec.seed,
            "dropout": record.dropout,
            "from": 0,
            "pieces": record.pieces,
            "history": [_of_layer(moment, layer) for moment in record.history],
            "look": record.looks[layer - 1] if record.looks else None,
            "picture": record.pictures[layer - 1] if record.pictures else "",
        }

    def _hear(self, event: tuple[Any, dict[str, Any]]) -> None:
        """A worker says what can be seen."""
        message = event[1]
        with self._lock:
            record = self._attempts.get(message["attempt"])
            if record is None:
                self._queue.tell(message["address"], steered.steer, _ending(message))
                return
            if not record.life:
                record.life, record.address, record.pid = message["life"], message["address"], message["pid"]
                self._wake.set()
            elif record.life != message["life"]:  # Dask began it again by itself, from an older schedule
                self._lose(record)
                return
            self._take_in(record, message)
        self._wake.set()

    def _take_in(self, record: _Record, message: dict[str, Any]) -> None:
        record.heard = max(record.heard, message["heard"])
        record.commands = [command for command in record.commands if command["n"] > record.heard]
        if "catching" in message:
            done, goal = message["catching"]
            record.message = f"The worker was lost. Another trains it again from its schedule: step {done:,} of {goal:,}."
            self._publish(record)
            return
        if "refused" in message:
            record.message = f"{message['refused'][:1].upper()}{message['refused'][1:].rstrip('.')}."
            self._publish(record)
            return
        if "step" not in message:
            return
        if message["round"] != record.facts["round"]:
            record.looks, record.pictures, record.history = [], [], []
        names = ("step", "rates", "paused", "finished", "pace", "round", "speed")
        record.facts |= {name: message[name] for name in names}
        record.pace = message["pace"]
        state, said = "paused" if message["paused"] else "running", self._said(record)
        if record.state == "waiting":
            self._change(record, "running", said)
        if record.state != state:
            self._change(record, state, said)
        pieces_from = self._take_pieces(record, message)
        look = message.get("look")
        if look is not None:
            self._remember(record, look)
        self._publish(record, look is not None, pieces_from, look is not None and "pictures" in look)

    def _said(self, record: _Record) -> str:
        if record.facts["finished"]:
            return f"It has seen {record.spec.examples:,} images, the most that a run may: save it, or start it again."
        if record.losses and record.state == "waiting":
            return "The worker was lost; another trained it again from its schedule, and it goes on where it was."
        return ""

    def _take_pieces(self, record: _Record, message: dict[str, Any]) -> int | None:
        """Take in a schedule; the place of the first piece that is another than before, or None where nothing changed."""
        if "pieces" not in message:
            return None
        before, now = record.pieces, message["pieces"]
        record.pieces, record.dropout = now, message["dropout"]
        same = 0
        while same < min(len(before), len(now)) and before[same] == now[same]:
            same += 1
        return same

    @staticmethod
    def _remember(record: _Record, look: dict[str, Any]) -> None:
        record.looks = [{**part, "loss": look["loss"], "accuracy": look["accuracy"]} for part in look["layers"]]
        record.pictures = look.get("pictures", record.pictures)
        moment = [record.facts["step"], round(look["accuracy"], 4)]
        for name in ("adjusted", "low", "high", "twins", "dead"):
            moment += [part[name] for part in look["layers"]]
        if record.history and record.history[-1][0] == moment[0]:
            record.history.pop()
        record.history.append(moment)
        if len(record.history) > _HISTORY:
            del record.history[1:-1:2]

    # ---- the thread that hands over, hears and ends

    def _supervise(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                idle = all(record.state in ENDED for record in self._records.values())
            self._wake.wait(None if idle else _TICK_SECONDS)
            self._wake.clear()
            try:
                self._step()
            except Exception:  # a defect of ours must not end the only thread that answers
                _log.exception("the live runs could not be moved on")
                self._closing.wait(1.0)

    def _step(self) -> None:
        """Move every run on as far as it can be moved now."""
        self._collect()
        self._watch()
        failure = self._queue.failure
        with self._lock:
            waiting = [record for record in self._records.values() if record.state == "waiting" and not record.attempt]
            for record in waiting if failure is not None else []:
                self._change(record, "failed", failure or "")
                self._publish(record)
        if waiting and failure is None:
            self._queue.start()
            if self._queue.ready:
                for record in waiting:
                    self._hand_over(record)
        self._send()

    def _collect(self) -> None:
        """Take in what workers have finished, one way or another."""
        with self._lock:
            finished = [(r, r.future) for r in self._attempts.values() if r.future is not None and r.future.done()]
        for record, future in finished:
            result = _result(future)
            with self._lock:
                if record.future is not future:
                    continue
                if result is None:
                    self._lose(record)
                elif result["status"] == "failed":
                    self._change(record, "failed", f"{result['message'][:1].upper()}{result['message'][1:].rstrip('.')}.")
                    self._publish(record)
                else:
                    record.result = result if result["status"] == "ended" else None
                    if record.state == "waiting":
                        self._change(record, "running")
                    self._change(record, "stopped", record.why or "Its worker ended it.")
                    if record.wants_save and record.result is not None:
                        self._keep(record)
                    else:
                        self._publish(record)

    def _watch(self) -> None:
        """End what nobody watches, and what keeps others waiting; say so before."""
        now = time.monotonic()
        others = self._queue.waits
        with self._lock:
            for record in self._records.values():
                if record.state in ENDED:
                    continue
                if record.viewers > 0:
                    record.unwatched = now
                elif now - record.unwatched > self._unwatched:
                    minutes = round(self._unwatched / 60)
                    self._end(record, f"Nobody watched it for {minutes} minutes, so it ended.")
                    continue
                if not others:
                    record.others_wait = None
                elif record.others_wait is None:
                    record.others_wait = now
                left = math.inf if record.others_wait is None else record.others_wait + self._yielding - now
                if left <= 0:
                    self._end(record, "Others waited for a worker, so it made room.")
                notice = "" if math.isinf(left) else f"Others wait for a worker: this run makes room in {_rounded(left)}."
                if notice != record.notice:
                    record.notice = notice
                    self._publish(record)

    def _hand_over(self, record: _Record) -> None:
        with self._lock:
            if record.state != "waiting" or record.attempt:
                return
            record.attempt = f"live-{record.name}-{uuid.uuid4().hex}"
            self._attempts[record.attempt] = record
            attempt, done = record.attempt, int(record.facts["step"])
            pieces = tuple((step, _three(rates)) for step, rates in record.pieces)
            spec = replace(record.spec, dropout=_three(record.dropout), schedule=pieces)
            arguments = spec.to_json(), done, bool(record.facts["paused"]), record.pace, record.heard
        try:
            future = self._queue.ahead(
                self._perform, *arguments, attempt, self._topic, key=attempt, topic=self._topic, hear=self._hear
            )
        except ClusterError:  # gone this moment: it comes back, or the queue says why not
            with self._lock:
                if record.attempt == attempt:
                    self._attempts.pop(attempt, None)
                    record.attempt = ""
            return
        with self._lock:
            if record.attempt == attempt:
                record.future = future
        future.add_done_callback(lambda _: self._wake.set())

    def _send(self) -> None:
        """Send the commands that were not followed yet, again after a while; and a word of life."""
        now = time.monotonic()
        hello = now - self._hello > _HELLO_SECONDS
        self._hello = now if hello else self._hello
        telling: list[tuple[str, str]] = []
        with self._lock:
            for record in self._attempts.values():
                if now > record.end_by and record.address:
                    record.end_by = math.inf
                    self._queue.end_worker(record.address, record.pid)
                due = record.commands and now >= record.resend
                if record.address and (due or hello):
                    record.resend = now + _RESEND_SECONDS
                    telling.append((record.address, _message(record.attempt, record.commands)))
        for address, message in telling:
            with suppress(ClusterError):
                self._queue.tell(address, steered.steer, message)


def _three(rates: list[float]) -> Rates:
    first, second, third = rates
    return first, second, third


def _of_layer(moment: list[float], layer: int) -> list[float]:
    """Step, accuracy, adjusted Rand index, its band by chance, twins and dead neurons of one layer."""
    return [*moment[:2], *moment[1 + layer :: LAYERS]]


def _ending(message: dict[str, Any]) -> str:
    """What ends an attempt that nobody knows any more."""
    return _message(message["attempt"], [{"n": message["heard"] + 1, "do": "end"}])


def _message(attempt: str, commands: list[dict[str, Any]]) -> str:
    return json.dumps({"attempt": attempt, "commands": commands})


def _result(future: Any) -> dict[str, Any] | None:
    """What a finished task returned; None when its worker is gone."""
    if future.status == "finished":
        try:
            return dict(future.result(timeout=_RESULT_SECONDS))
        except Exception:  # gone with what it had
            return None
    if future.status != "error":
        return None
    error = future.exception(timeout=_RESULT_SECONDS)
    if type(error).__name__ in {"KilledWorker", "FutureCancelledError", "CancelledError"}:
        return None
    return {"status": "failed", "message": sentence(error)}


def _command(record: _Record, action: Mapping[str, Any]) -> dict[str, Any]:
    """A viewer's wish as a command, checked.

    Raises
    ------
    NotAllowed
        One sentence: what is allowed, what was given.
    """
    what = action.get("do")
    if what in ("play", "pause", "restart"):
        return {"do": what}
    if what == "step":
        return {"do": "step", "steps": 1}
    if what == "epoch":
        return {"do": "step", "steps": record.spec.train_size // record.spec.batch_size}
    if what == "rates":
        try:
            checked = RunSpec(dropout=action.get("rates"))  # type: ignore[arg-type]
        except ValueError as error:
            raise NotAllowed(f"{sentence(error)}.") from None
        return {"do": "rates", "rates": list(checked.dropout)}
    if what == "pace":
        return {"do": "pace", "pace": _pace(action.get("pace"))}
    raise NotAllowed("A live run can be told to play, pause, step, epoch, restart, rates, pace, end, save or open.")


def _pace(value: object) -> float | None:
    low, high = PACE
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise NotAllowed(f"The pace must be from {low:,.0f} to {high:,.0f} examples a second; got {str(value)[:40]}.")
    return float(value)


def _rounded(seconds: float) -> str:
    """A time that is left, in steps of ten seconds, so that not every tick is news."""
    tens = max(10, math.ceil(seconds / 10) * 10)
    return f"{tens} s" if tens < 60 else f"{tens // 60} min {tens % 60} s".removesuffix(" 0 s")
