"""Whatever pages ask the workers for besides trainings: who waits, what is at work, the answers. It knows no torch and no page.

A task is a small state machine; `TRANSITIONS` is this picture as a table, and nothing moves a task otherwise::

    ask --> waiting --- handed to a worker ---> working --- its worker answers ---> done, failed
             |  | ^                              |  | ^
             |  | '------ its worker is gone ----'  | '--- asked for again ---.
             |  |         (once; then failed)       |                         |
             |  '--- no cluster ---> failed         '--- nobody waits ---> abandoned --- its worker answers ---> done, failed
             |                                                                |
             '--- nobody waits ---> dropped <--- it goes on, or its worker is gone

A task belongs to all who ask for the same: it is known by its request's key, and its answer is kept for the next who asks, as
long as all answers together stay within a bound; those that were not asked for the longest go first. Whoever waits asks again
several times a second. Who does not, has gone: a task that nobody waits for is dropped, and where it keeps a worker for long
all the same, the worker is ended.

As many tasks are handed to Dask as there are workers to spare, so that positions are true and everybody gets a turn. One thread
of its own hands over and collects; `ask`, called from any thread, only changes a task's state and wakes it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from dropclust.service import work
from dropclust.service.bounds import ANSWER_BYTES, MIB, TASK_SECONDS, WAITING_IN_ALL, WAITING_OF_ONE, BoundReached
from dropclust.service.cluster import ClusterError
from dropclust.service.queue import Ahead
from dropclust.service.requests import Request
from dropclust.service.worker import sentence

TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"working", "dropped", "failed"}),
    "working": frozenset({"done", "failed", "waiting", "abandoned"}),
    "abandoned": frozenset({"working", "done", "failed", "dropped"}),
    "done": frozenset(),
    "failed": frozenset(),
    "dropped": frozenset(),
}
UNDER_WAY = frozenset({"working", "abandoned"})

GONE_SECONDS = 15.0  # whoever has not asked for so long does not wait; a browser asks once a second from a hidden tab
LEFT_SECONDS = 3.0  # nor who has asked for something else since, but not for this
CLOSED_SECONDS = 1.0  # nor whose session has ended, unless it comes back
ABANDONED_SECONDS = 10.0  # that a task may go on when nobody waits for it: its answer may be wanted again
FAILED_SECONDS = 20.0  # before a task that failed is tried again
TRIES = 2  # workers that a task may lose
AGAIN_SECONDS = 0.2  # between two questions of one who waits whether the answer is there
AGAIN_MOST = 1.0  # the same in a crowd, where each question takes the others' time
CROWD = 6  # who wait, from which number on they ask less often
_TICK_SECONDS = 0.05
_RESULT_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """A task as it is at one moment.

    Parameters
    ----------
    key, label
        Which; what a viewer reads.
    state
        A key of `TRANSITIONS`.
    position
        Place among what waits, 1 is next; 0 when it does not wait.
    seconds
        For how long it has been at work.
    answer
        When done.
    error, message
        When failed: "FileNotFoundError", "LookupError", "ValueError" or "Exception"; one sentence.
    starting
        Whether it waits because no worker is there yet.
    """

    key: str
    label: str
    state: str
    position: int = 0
    seconds: float = 0.0
    answer: Any = None
    error: str = ""
    message: str = ""
    starting: bool = False


class Queue(Ahead, Protocol):
    """What is needed of `dropclust.service.jobs.Jobs`."""

    @property
    def spare(self) -> int:
        """How many workers have nothing to do; 0 before there are any."""

    @property
    def same_machine(self) -> bool:
        """Whether workers see this machine's files."""

    @property
    def growing(self) -> bool:
        """Whether there will be another worker before long."""

    def expect(self, tasks: int) -> None:
        """Hear how many tasks wait to be handed over."""


@dataclass(eq=False)
class _Record:
    key: str
    label: str
    request: Request[Any] | None  # None when it has ended: what was sent, a file perhaps, is not kept
    arrival: int
    state: str = "waiting"
    seen: dict[str, float] = field(default_factory=dict)  # who waits, and when each asked last
    asker: str = ""  # whose turn it takes
    attempt: str = ""
    future: Any = None
    address: str = ""
    pid: int = 0
    tries: int = 0
    since: float = 0.0  # when it was handed over, abandoned or failed
    began: float = 0.0
    answer: Any = None
    size: int = 0
    error: str = ""
    message: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class Tasks:
    """The tasks of all viewers.

    Parameters
    ----------
    queue
        Whose workers do them.
    alive
        Whether a browser session of that name is still connected.
    perform
        What a worker calls, as `dropclust.service.work.perform`.
    """

    def __init__(
        self,
        queue: Queue,
        alive: Callable[[str], bool] = lambda asker: True,
        perform: Callable[..., dict[str, Any]] = work.perform,
    ) -> None:
        self._queue, self._alive, self._perform = queue, alive, perform
        self._lock = threading.RLock()  # guards the records, and everything read from them
        self._records: OrderedDict[str, _Record] = OrderedDict()  # those asked for last at the end
        self._attempts: dict[str, _Record] = {}
        self._latest: dict[str, float] = {}  # when each session asked last, whatever for
        self._served: dict[str, int] = {}
        self._arrivals, self._servings = count(), count(1)
        self._positions: dict[str, int] | None = None
        self._topic = f"dropclust-tasks-{uuid.uuid4().hex}"
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    # ---- for everybody, from any thread

    def ask(self, request: Request[Any], asker: str = "", patience: float = 0.0) -> Task:
        """Ask for an answer, and go on asking until it is there.

        Parameters
        ----------
        request
            The question.
        asker
            Who asks, such as a browser session: each in turn gets the next free worker.
        patience
            Seconds to wait here for the answer, for what is quick; not where others wait before it.

        Raises
        ------
        dropclust.service.bounds.BoundReached
            When the asker, or everybody together, has too much waiting.
        """
        with self._lock:
            now = time.monotonic()
            record = self._records.get(request.key)
            if record is not None and record.state == "failed" and now - record.since > FAILED_SECONDS:
                del self._records[request.key]
                record = None
            self._latest[asker] = now
            if record is None:
                self._check_bounds(asker, now)
                record = self._records[request.key] = _Record(
                    request.key, request.label, request, next(self._arrivals), asker=asker
                )
                self._positions = None
                self._begin_thread()
            self._records.move_to_end(request.key)
            record.seen[asker] = now
            if record.state == "abandoned":
                self._change(record, "working")
            new, alone = record.state == "waiting", self.waiting <= 1
        if new:
            self._wake.set()
        if patience and alone:
            record.ended.wait(patience)
        with self._lock:
            return self._snapshot(record)

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        with self._lock:
            return sum(record.state == "waiting" for record in self._records.values())

    @property
    def again(self) -> float:
        """After how many seconds who waits does well to ask again: a crowd asks less often, for no answer comes sooner."""
        with self._lock:
            askers = {asker for r in self._records.values() if r.state in ("waiting", "working") for asker in r.seen}
        return min(AGAIN_MOST, AGAIN_SECONDS * max(1.0, len(askers) / CROWD))

    @property
    def under_way(self) -> int:
        """How many tasks workers are busy with."""
        return len(self._attempts)

    @property
    def answer_bytes(self) -> int:
        """Size of all answers that are kept."""
        with self._lock:
            return sum(record.size for record in self._records.values())

    def close(self) -> None:
        """Let go of everything."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    # ---- the state machine; the lock is held

    def _check_bounds(self, asker: str, now: float) -> None:
        waiting = [record for record in self._records.values() if record.state == "waiting"]
        if len(waiting) >= (most := WAITING_IN_ALL.value()):
            raise BoundReached(f"At most {most} tasks may wait in all, and so many do: try again in a moment.")
        own = sum(asker in record.seen and not self._gone(record, asker, now) for record in waiting)
        if own >= (most := WAITING_OF_ONE.value()):
            raise BoundReached(f"At most {most} tasks of one session may wait, and so many do: try again in a moment.")

    def _begin_thread(self) -> None:
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._supervise, name="dropclust-tasks", daemon=True)
            self._thread.start()

    def _change(self, record: _Record, state: str) -> None:
        if state not in TRANSITIONS[record.state]:
            raise RuntimeError(f"a task that is {record.state} cannot become {state}")
        record.state, record.since = state, time.monotonic()
        self._positions = None
        if state not in UNDER_WAY:
            self._attempts.pop(record.attempt, None)
            record.attempt, record.future, record.address = "", None, ""
        if not TRANSITIONS[state]:
            record.request = None
            record.ended.set()
        if state == "dropped":
            self._records.pop(record.key, None)

    def _fail(self, record: _Record, error: str, message: str) -> None:
        record.error, record.message = error, message
        self._change(record, "failed")

    def _finish(self, record: _Record, result: dict[str, Any]) -> None:
        if "error" in result:
            self._fail(record, result["error"], result["message"])
            return
        most = ANSWER_BYTES.value()
        if result["bytes"] > most:
            size, allowed = result["bytes"] / MIB, most // MIB
            self._fail(record, "ValueError", f"an answer must have at most {allowed:,} MiB to be kept; this has {size:,.1f}")
            return
        record.answer, record.size = result["answer"], result["bytes"]
        self._change(record, "done")
        left = self.answer_bytes
        for key, other in list(self._records.items()):
            if left <= most:
                break
            if other.state == "done" and other is not record:
                left -= other.size
                del self._records[key]

    def _lose(self, record: _Record) -> None:
        """Its worker is gone: it is tried once more, unless nobody waits."""
        if record.state == "abandoned":
            self._change(record, "dropped")
        elif record.tries < TRIES:
            self._change(record, "waiting")
        else:
            self._fail(record, "Exception", f"its worker was lost {TRIES} times; perhaps it needs more memory than there is")

    def _gone(self, record: _Record, asker: str, now: float) -> bool:
        """Whether who asked for it does not wait any more."""
        asked = record.seen[asker]
        if now - asked > GONE_SECONDS or self._latest.get(asker, 0.0) - asked > LEFT_SECONDS:
            return True
        return now - asked > CLOSED_SECONDS and not self._alive(asker)

    def _order(self) -> list[_Record]:
        """What waits, in the order of its turn: everybody's first before anybody's second, then who was served longest ago."""
        waiting = [record for record in self._records.values() if record.state == "waiting"]
        turns = Counter(record.asker for record in self._attempts.values())
        turn: dict[int, int] = {}
        for record in sorted(waiting, key=lambda record: record.arrival):
            turn[record.arrival] = turns[record.asker]
            turns[record.asker] += 1
        return sorted(waiting, key=lambda each: (turn[each.arrival], self._served.get(each.asker, 0), each.arrival))

    def _snapshot(self, record: _Record) -> Task:
        if self._positions is None:
            self._positions = {each.key: place for place, each in enumerate(self._order(), start=1)}
        return Task(
            record.key,
            record.label,
            record.state,
            self._positions.get(record.key, 0) if record.state == "waiting" else 0,
            time.monotonic() - record.began if record.state in UNDER_WAY else 0.0,
            record.answer,
            record.error,
            record.message,
            record.state == "waiting" and not self._queue.ready,
        )

    # ---- the thread that hands over and collects

    def _supervise(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                busy = any(record.state in UNDER_WAY or record.state == "waiting" for record in self._records.values())
            self._wake.wait(_TICK_SECONDS if busy else None)
            self._wake.clear()
            try:
                self._step()
            except Exception:  # a defect of ours must not end the only thread that answers
                _log.exception("the tasks could not be moved on")
                self._closing.wait(1.0)

    def _step(self) -> None:
        """Move every task on as far as it can be moved now."""
        self._let_go()
        self._collect()
        self._end_overdue()
        failure = self._queue.failure
        if failure is not None and self.waiting:
            with self._lock:
                for record in self._order():
                    self._fail(record, "Exception", failure.rstrip("."))
        self._queue.expect(self.waiting)
        if self.waiting:
            self._queue.start() if failure is None else None
            self._hand_over()
            self._queue.expect(self.waiting)

    def _let_go(self) -> None:
        """Drop or abandon what nobody waits for; forget old failures and sessions."""
        now = time.monotonic()
        with self._lock:
            for key, record in list(self._records.items()):
                if record.state == "failed" and now - record.since > FAILED_SECONDS:
                    del self._records[key]
                if record.state not in ("waiting", "working"):
                    continue
                for asker in [asker for asker in record.seen if self._gone(record, asker, now)]:
                    del record.seen[asker]
                if not record.seen:
                    self._change(record, "dropped" if record.state == "waiting" else "abandoned")
                elif record.asker not in record.seen:
                    record.asker = next(iter(record.seen))
            for asker in [asker for asker, asked in self._latest.items() if now - asked > 4 * GONE_SECONDS]:
                del self._latest[asker]
                self._served.pop(asker, None)

    def _collect(self) -> None:
        """Take in what workers have finished, one way or another."""
        with self._lock:
            finished = [(r, r.future) for r in self._attempts.values() if r.future is not None and r.future.done()]
        for record, future in finished:
            result = self._result(future)
            with self._lock:
                if record.future is not future:
                    continue
                if result is None:
                    self._lose(record)
                else:
                    self._finish(record, result)
            future.release()

    @staticmethod
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
        return {"error": "Exception", "message": sentence(error)}

    def _end_overdue(self) -> None:
        """End the workers of what goes on though nobody waits, and of what takes too long."""
        now, most = time.monotonic(), TASK_SECONDS.value()
        ending: list[tuple[Any, str, int]] = []
        with self._lock:
            for record in list(self._attempts.values()):
                left = record.state == "abandoned" and now - record.since > ABANDONED_SECONDS
                if not (left or now - record.began > most) or record.future is None or record.future.done():
                    continue
                ending.append((record.future, record.address, record.pid))
                if record.state == "abandoned":
                    self._change(record, "dropped")
                else:
                    self._fail(record, "ValueError", f"it took longer than the {most} s that a task may take")
        for future, address, pid in ending:
            with suppress(Exception):  # the cluster may be gone
                future.cancel()  # before the worker is ended: Dask would start it again elsewhere
            if address:
                self._queue.end_worker(address, pid)

    def _hand_over(self) -> None:
        """Give to Dask as many tasks as there are workers to spare, one at least when a worker is there at all."""
        if not self._queue.ready:
            return
        with self._lock:
            # A single worker may be at a training: one task goes to Dask all the same, to be the next thing it does, unless
            # another worker is on its way.
            number = max(self._queue.spare, 0 if self._queue.growing else 1 - len(self._attempts))
            chosen = self._order()[: max(0, number)]
            for record in chosen:
                record.attempt, record.began = f"task-{record.key[:16]}-{uuid.uuid4().hex}", time.monotonic()
                record.tries += 1
                self._attempts[record.attempt] = record
                self._served[record.asker] = next(self._servings)
                self._change(record, "working")
        for record in chosen:
            attempt, request = record.attempt, record.request
            if request is None:
                continue
            try:
                sent = request.sent(self._queue.same_machine)
                future = self._queue.ahead(
                    self._perform, *sent, attempt, self._topic, key=attempt, topic=self._topic, hear=self._hear
                )
            except LookupError as error:
                with self._lock:
                    self._fail(record, "LookupError", str(error))
                continue
            except ClusterError:  # gone this moment: it comes back, or the queue says why not
                with self._lock:
                    record.tries -= 1
                    self._lose(record)
                continue
            with self._lock:
                record.future = future
            future.add_done_callback(lambda _: self._wake.set())

    def _hear(self, event: tuple[Any, dict[str, Any]]) -> None:
        """A worker says that it has begun, and which process it is."""
        message = event[1]
        with self._lock:
            record = self._attempts.get(message["attempt"])
            if record is not None:
                record.address, record.pid = message["address"], message["pid"]
