"""Tasks for the workers: every transition, turns, bounds, what is kept, and that nothing runs on for who has gone."""

from __future__ import annotations

import pytest

from dropclust.service import tasks as module
from dropclust.service.bounds import ANSWER_BYTES, MIB, TASK_SECONDS, WAITING_IN_ALL, WAITING_OF_ONE, BoundReached
from dropclust.service.cluster import ClusterLost
from dropclust.service.jobs import Jobs
from dropclust.service.plain import Plain
from dropclust.service.requests import Origin, Request
from dropclust.service.tasks import TRANSITIONS, Tasks
from tests.findings.test_compressing import made
from tests.service import fakes
from tests.service.fakes import MemoryStore, specs
from tests.service.test_jobs import LIGHT, until, until_state


class FakeFuture:
    """What is used of Dask's future, ended by the test."""

    def __init__(self):
        self.status, self.value, self.calls = "pending", None, []

    def done(self):
        return self.status != "pending"

    def end(self, status="finished", value=None):
        self.status, self.value = status, value

    def result(self, timeout):
        return self.value

    def exception(self, timeout):
        return self.value

    def add_done_callback(self, call):
        """Nothing: the test moves the tasks on."""

    def cancel(self):
        self.calls.append("cancel")

    def release(self):
        self.calls.append("release")


class KilledWorker(Exception):
    """As Dask calls a lost worker."""


class FakeQueue:
    """Workers that do what the test says."""

    def __init__(self, workers=1):
        self.workers, self.failure, self.ready, self.same_machine = workers, None, True, True
        self.growing, self.expected = False, 0
        self.futures, self.handed, self.ended, self.gone = [], [], [], False

    @property
    def spare(self):
        return self.workers - sum(not future.done() for future in self.futures)

    def start(self):
        """Nothing."""

    def expect(self, tasks):
        self.expected = tasks

    def ahead(self, function, *arguments, key, topic, hear):
        if self.gone:
            raise ClusterLost("the Dask scheduler does not answer")
        self.futures.append(FakeFuture())
        self.handed.append(arguments)
        hear((0.0, {"attempt": key, "address": f"tls://{len(self.handed)}", "pid": len(self.handed)}))
        return self.futures[-1]

    def end_worker(self, address, pid):
        self.ended.append((address, pid))


class Recorded(Tasks):
    """Tasks that move when the test says so, with every state written down."""

    def __init__(self, queue, **named):
        super().__init__(queue, **named)
        self.path = {}

    def _begin_thread(self):
        """None: `_step` is the test's."""

    def _change(self, record, state):
        path = self.path.setdefault(record.key, [record.state])
        super()._change(record, state)
        path.append(state)


class Clock:
    """The time, as far as tasks know."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module, "time", self)

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def queue():
    return FakeQueue()


@pytest.fixture
def tasks(queue, clock):
    return Recorded(queue)


def asked(number=0, function="reading"):
    return Request(function, {"number": number}, label="Classifying it")


def answer(value=7, size=8):
    return {"answer": value, "bytes": size}


def working(tasks, request=None, asker="ann"):
    """A task that is handed over."""
    request = request or asked()
    tasks.ask(request, asker)
    tasks._step()
    assert tasks.ask(request, asker).state == "working"
    return request


def abandoned(tasks, clock):
    request = working(tasks)
    clock.now += module.GONE_SECONDS + 1
    tasks._step()
    assert tasks.path[request.key][-1] == "abandoned"
    return request


# ---- waiting


def test_a_crowd_asks_again_less_often_and_never_less_than_once_a_second(tasks):
    assert tasks.again == module.AGAIN_SECONDS
    for number in range(module.CROWD):
        tasks.ask(asked(number), f"student {number}")
    assert tasks.again == module.AGAIN_SECONDS
    for number in range(module.CROWD, 3 * module.CROWD):
        tasks.ask(asked(0), f"student {number}")  # who waits for what another asked for waits too
    assert tasks.again == pytest.approx(3 * module.AGAIN_SECONDS)
    for number in range(100):
        tasks.ask(asked(number), f"guest {number}")
    assert tasks.again == module.AGAIN_MOST < module.LEFT_SECONDS


def test_nobody_is_kept_waiting_here_where_others_wait_before(tasks, monkeypatch):
    waited = []
    monkeypatch.setattr(module.threading.Event, "wait", lambda self, seconds=None: waited.append(seconds))
    tasks.ask(asked(0), "ann", patience=0.3)
    tasks.ask(asked(1), "ben", patience=0.3)
    tasks.ask(asked(0), "ann", patience=0.3)
    assert waited == [0.3]


# ---- the machine


def test_every_transition_has_a_test_named_for_it():
    named = {f"test_{before}_to_{after}" for before, afters in TRANSITIONS.items() for after in afters}
    assert named <= set(globals())
    assert len(named) == 11


def test_a_transition_that_is_not_in_the_table_is_refused(tasks):
    tasks.ask(asked(), "ann")
    with pytest.raises(RuntimeError, match="a task that is waiting cannot become done"):
        tasks._change(tasks._records[asked().key], "done")


def test_waiting_to_working(tasks, queue, clock):
    assert (tasks.ask(asked(), "ann").state, tasks.ask(asked(), "ann").position) == ("waiting", 1)
    tasks._step()
    clock.now += 2
    task = tasks.ask(asked(), "ann")
    assert (task.state, task.position, task.seconds, task.label) == ("working", 0, 2.0, "Classifying it")
    [handed] = queue.handed
    assert handed[:4] == ("reading", {"number": 0}, (), b"")


def test_it_says_whether_it_waits_for_the_first_worker_or_for_its_turn(tasks, queue):
    queue.ready = False
    assert tasks.ask(asked(0), "ann").starting
    queue.ready, queue.workers = True, 1
    tasks._step()
    assert not tasks.ask(asked(0), "ann").starting
    assert (tasks.ask(asked(1), "ann").state, tasks.ask(asked(1), "ann").starting) == ("waiting", False)


def test_waiting_to_dropped(tasks, queue, clock):
    queue.ready = False
    tasks.ask(asked(), "ann")
    clock.now += module.GONE_SECONDS + 1
    tasks._step()
    assert tasks.path[asked().key] == ["waiting", "dropped"]
    queue.ready = True
    tasks._step()
    assert not queue.handed


def test_waiting_to_failed(tasks, queue, clock):
    queue.ready, queue.failure = False, "Training is not possible now: the workers do not start."
    tasks.ask(asked(), "ann")
    tasks._step()
    task = tasks.ask(asked(), "ann")
    assert (task.state, task.error, task.message) == ("failed", "Exception", queue.failure.rstrip("."))
    clock.now += module.FAILED_SECONDS + 1  # then asking again tries again
    queue.ready, queue.failure = True, None
    assert tasks.ask(asked(), "ann").state == "waiting"
    working(tasks)


def test_working_to_done(tasks, queue):
    request = working(tasks)
    queue.futures[0].end(value=answer("it"))
    tasks._step()
    task = tasks.ask(request, "bob")
    assert (task.state, task.answer) == ("done", "it")
    tasks._step()
    assert len(queue.handed) == 1
    assert queue.futures[0].calls == ["release"]
    assert tasks._records[request.key].request is None  # what was sent is not kept


def test_working_to_failed(tasks, queue):
    request = working(tasks)
    queue.futures[0].end(value={"error": "ValueError", "message": "image must be 784 numbers"})
    tasks._step()
    task = tasks.ask(request, "ann")
    assert (task.state, task.error, task.message) == ("failed", "ValueError", "image must be 784 numbers")


def test_working_to_waiting(tasks, queue):
    request = working(tasks)
    queue.futures[0].end("error", KilledWorker())
    queue.workers = 0  # until another is there
    tasks._queue.ready = False
    tasks._step()
    assert tasks.path[request.key] == ["waiting", "working", "waiting"]
    queue.workers, queue.ready = 1, True
    tasks._step()
    assert tasks.ask(request, "ann").state == "working"
    queue.futures[1].end("cancelled")  # as when the whole cluster is lost
    tasks._step()
    task = tasks.ask(request, "ann")
    assert (task.state, task.message) == (
        "failed", "its worker was lost 2 times; perhaps it needs more memory than there is",
    )  # fmt: skip


def test_working_to_abandoned(tasks, clock):
    abandoned(tasks, clock)


def test_abandoned_to_working(tasks, queue, clock):
    request = abandoned(tasks, clock)
    assert tasks.ask(request, "bob").state == "working"
    assert len(queue.handed) == 1


def test_abandoned_to_done(tasks, queue, clock):
    request = abandoned(tasks, clock)
    queue.futures[0].end(value=answer("late"))
    tasks._step()
    assert tasks.ask(request, "bob").answer == "late"


def test_abandoned_to_failed(tasks, queue, clock):
    request = abandoned(tasks, clock)
    queue.futures[0].end("error", KeyError("nobody expects this"))
    tasks._step()
    assert tasks.ask(request, "bob").message == "KeyError: 'nobody expects this'"


def test_abandoned_to_dropped(tasks, queue, clock):
    request = abandoned(tasks, clock)
    assert not queue.ended
    clock.now += module.ABANDONED_SECONDS + 1
    tasks._step()
    assert tasks.path[request.key][-1] == "dropped"
    assert queue.ended == [("tls://1", 1)]
    assert queue.futures[0].calls == ["cancel"]  # or Dask would start it on another worker
    assert not tasks._records
    assert not tasks._attempts


# ---- who waits


def test_all_who_ask_for_the_same_share_one_task(tasks, queue, clock):
    for asker in ("ann", "bob", "eve"):
        tasks.ask(asked(), asker)
    tasks._step()
    clock.now += 10
    tasks.ask(asked(), "eve")
    clock.now += 10
    tasks._step()
    assert tasks.path[asked().key] == ["waiting", "working"]  # eve waits
    assert len(queue.handed) == 1


def test_who_asks_for_something_else_does_not_wait_any_more(tasks, queue, clock):
    queue.ready = False
    tasks.ask(asked(0), "ann")
    clock.now += module.LEFT_SECONDS + 1
    tasks.ask(asked(1), "ann")
    tasks._step()
    assert list(tasks._records) == [asked(1).key]


def test_a_session_that_ended_does_not_wait_any_more(queue, clock):
    connected = {"ann"}
    tasks = Recorded(queue, alive=connected.__contains__)
    queue.ready = False
    tasks.ask(asked(), "ann")
    clock.now += module.CLOSED_SECONDS + 1
    tasks._step()
    assert tasks.waiting == 1
    connected.clear()
    tasks._step()
    assert tasks.waiting == 0


def test_everybody_has_a_turn_before_anybody_has_a_second(tasks, queue):
    queue.ready = False
    for number in range(3):
        tasks.ask(asked(number), "ann")
    tasks.ask(asked(8), "bob")
    tasks.ask(asked(9), "eve")
    positions = {number: tasks.ask(asked(number), who).position for number, who in [(0, "ann"), (1, "ann"), (2, "ann")]}
    positions |= {8: tasks.ask(asked(8), "bob").position, 9: tasks.ask(asked(9), "eve").position}
    assert positions == {0: 1, 8: 2, 9: 3, 1: 4, 2: 5}
    queue.ready = True
    order = []
    for _ in range(5):
        tasks._step()
        order.append(queue.handed[-1][1]["number"])
        queue.futures[-1].end(value=answer())
    assert order == [0, 8, 9, 1, 2]


def test_no_more_is_handed_over_than_there_are_workers_to_spare(tasks, queue):
    queue.workers = 2
    for number in range(4):
        tasks.ask(asked(number), "ann")
    tasks._step()
    assert (len(queue.handed), tasks.waiting, tasks.under_way) == (2, 2, 2)


def test_a_single_worker_that_trains_has_one_task_to_do_next(tasks, queue):
    queue.workers = 0  # to spare
    for number in range(3):
        tasks.ask(asked(number), "ann")
    tasks._step()
    tasks._step()
    assert len(queue.handed) == 1


def test_where_another_worker_is_on_its_way_no_task_waits_behind_a_training(tasks, queue):
    queue.workers, queue.growing = 0, True
    for number in range(3):
        tasks.ask(asked(number), "ann")
    tasks._step()
    assert (len(queue.handed), queue.expected) == (0, 3)
    queue.workers = 1
    tasks._step()
    assert (len(queue.handed), queue.expected) == (1, 2)


def test_a_cluster_that_is_gone_this_moment_costs_no_try(tasks, queue):
    queue.gone = True
    tasks.ask(asked(), "ann")
    for _ in range(5):
        tasks._step()
    queue.gone = False
    tasks._step()
    assert tasks.ask(asked(), "ann").state == "working"


# ---- bounds


def test_one_session_may_have_so_much_waiting(tasks, queue, clock, monkeypatch):
    monkeypatch.setenv(WAITING_OF_ONE.variable, "3")
    queue.ready = False
    for number in range(3):
        tasks.ask(asked(number), "ann")
    with pytest.raises(BoundReached, match=r"At most 3 tasks of one session may wait, and so many do: try again in a moment\."):
        tasks.ask(asked(3), "ann")
    assert tasks.ask(asked(2), "ann").position == 3  # what waits already still does
    assert tasks.ask(asked(3), "bob").state == "waiting"
    clock.now += module.LEFT_SECONDS + 1
    tasks.ask(asked(0), "ann")  # the others are on another page now, and do not count
    assert tasks.ask(asked(4), "ann").state == "waiting"


def test_so_much_may_wait_in_all(tasks, queue, monkeypatch):
    monkeypatch.setenv(WAITING_IN_ALL.variable, "5")
    queue.ready = False
    for number in range(5):
        tasks.ask(asked(number), f"viewer {number}")
    with pytest.raises(BoundReached, match="At most 5 tasks may wait in all"):
        tasks.ask(asked(5), "ann")


def test_answers_are_kept_within_a_bound_and_the_oldest_go_first(tasks, queue, monkeypatch):
    monkeypatch.setenv(ANSWER_BYTES.variable, "1")
    for number in range(3):
        working(tasks, asked(number))
        queue.futures[-1].end(value=answer(number, size=MIB // 2))
        tasks._step()
        tasks.ask(asked(0), "ann")  # asked for again and again
    assert {key for key, record in tasks._records.items() if record.state == "done"} == {asked(0).key, asked(2).key}
    assert tasks.answer_bytes == MIB
    working(tasks, asked(3))
    queue.futures[-1].end(value=answer(size=2 * MIB))
    tasks._step()
    assert tasks.ask(asked(3), "ann").message == "an answer must have at most 1 MiB to be kept; this has 2.0"


def test_a_task_may_take_so_long(tasks, queue, clock, monkeypatch):
    monkeypatch.setenv(TASK_SECONDS.variable, "30")
    request = working(tasks)
    clock.now += 31
    tasks.ask(request, "ann")
    tasks._step()
    assert tasks.ask(request, "ann").message == "it took longer than the 30 s that a task may take"
    assert queue.ended == [("tls://1", 1)]


def test_twenty_bombs_leave_nothing_behind_when_their_sessions_are_gone(queue, clock):
    connected = {f"viewer {number}" for number in range(20)} | {"ann"}
    tasks = Recorded(queue, alive=connected.__contains__)
    bombs = [Request("read_file", {"name": "net.npz"}, content=bytes([number])) for number in range(20)]
    for number, bomb in enumerate(bombs):
        tasks.ask(bomb, f"viewer {number}")
    tasks._step()
    connected -= {f"viewer {number}" for number in range(20)}
    clock.now += module.CLOSED_SECONDS + 1
    tasks.ask(asked(), "ann")
    tasks._step()
    assert (tasks.waiting, tasks.under_way) == (1, 1)  # ann's, and the one that a worker is at
    clock.now += module.ABANDONED_SECONDS + 1
    tasks.ask(asked(), "ann")
    tasks._step()
    assert queue.ended == [("tls://1", 1)]
    queue.futures[0].end("cancelled")
    tasks._step()
    assert tasks.ask(asked(), "ann").state == "working"
    assert [request[0] for request in queue.handed] == ["read_file", "reading"]


# ---- what is asked


def test_equal_requests_have_equal_keys_and_others_have_others():
    network = Origin.brought(Plain.of(made((6, 5, 4))))
    other = Origin.brought(Plain.of(made((6, 5, 4), seed=1)))
    base = Request("firing", {"layer": 1, "k": 3}, (network,))
    assert base.key == Request("firing", {"k": 3, "layer": 1}, (Origin.brought(Plain.of(made((6, 5, 4)))),), "said").key
    others = [
        Request("similarity", {"layer": 1, "k": 3}, (network,)),
        Request("firing", {"layer": 2, "k": 3}, (network,)),
        Request("firing", {"layer": 1, "k": 3}, (other,)),
        Request("firing", {"layer": 1, "k": 3}, (network, network)),
        Request("firing", {"layer": 1, "k": 3}, (network,), content=b"x"),
    ]
    assert len({base.key, *(request.key for request in others)}) == 6


# ---- on a real cluster


def test_on_a_real_cluster_tasks_pass_trainings_and_what_hangs_is_ended(monkeypatch):
    """One worker of two trains all the time; the other answers, is ended when nobody waits for what it does, and comes back."""
    monkeypatch.setattr(module, "GONE_SECONDS", 1.0)
    monkeypatch.setattr(module, "ABANDONED_SECONDS", 0.5)
    queue = Jobs(MemoryStore(), 1, kept=1, task=fakes.task, calibrate=None, preload=LIGHT)
    tasks = Tasks(queue, perform=fakes.performs)

    def answered(request):
        return until(lambda: (task := tasks.ask(request)).state == "done" and task, "an answer").answer

    try:
        first, second = specs("slow", 2)
        queue.submit(first)
        queue.submit(second)
        until_state(queue, first, "training")
        pid, arguments = answered(asked(1))
        assert (arguments, queue.get(second.key).state) == ({"number": 1}, "waiting")  # a worker is kept for tasks
        hangs = asked(2, "hangs")
        until(lambda: tasks.ask(hangs).state == "working", "a task that hangs")
        until(lambda: tasks.under_way == 0, "its end")
        other, _ = answered(asked(3))
        assert other != pid
        assert queue.get(first.key).state == "training"
        assert tasks.ask(asked(1)).answer[0] == pid  # kept
    finally:
        tasks.close()
        queue.close()
