"""The background queue on real Dask clusters: every transition of a run, and what happens to processes that are killed."""

import contextlib
import itertools
import json
import logging
import os
import shutil
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import FrozenInstanceError, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client
from distributed.security import Security

from dropclust.core.paths import cache_folder
from dropclust.service import cluster, jobs
from dropclust.service.bounds import IDLE_SECONDS, WAITING_IN_ALL, WAITING_OF_ONE, BoundReached
from dropclust.service.jobs import ENDED, TRANSITIONS, Jobs
from dropclust.service.stored import Stored
from tests.service import fakes, light_preload
from tests.service.fakes import MemoryStore, specs

HERE = Path(__file__).parent
LIGHT = str(HERE / "light_preload.py")


class Recorded(Jobs):
    """The queue, with every state that a run was in written down, and its cluster in reach."""

    cluster = None

    def __init__(self, *args, **kwargs):
        self.path: dict[str, list[str]] = {}
        super().__init__(*args, **kwargs)

    def _serve(self, cluster):
        self.cluster = cluster
        super()._serve(cluster)

    def _change(self, record, state=None, **fields):
        path = self.path.setdefault(record.run.key, [record.run.state])
        super()._change(record, state, **fields)
        if state is not None:
            path.append(state)


def fake_queue(store=None, **kwargs):
    kwargs = {"workers": 1, "kept": 0, "calibrate": None, "preload": LIGHT, "stop_seconds": 3.0, "task": fakes.task} | kwargs
    return Recorded(store or MemoryStore(), **kwargs)


def until(predicate, what, seconds=180):
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.002)
    return value


def until_state(queue, spec, *states):
    def there():
        run = queue.get(spec.key)
        assert run.state in states or run.state not in ENDED, f"{run.state}: {run.message}"
        return run if run.state in states else None

    return until(there, " or ".join(states))


def steps(path):
    return list(itertools.pairwise(path))


def processes(queue):
    """What a queue's private cluster consists of: kind -> list."""
    nannies = [psutil.Process(nanny.pid) for nanny in queue.cluster.nannies.values()]
    below = [child for nanny in nannies for child in nanny.children()]
    workers = []
    for child in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spawn_main" in part for part in child.cmdline()):
                workers.append(child)
    return {"scheduler": [psutil.Process(queue.cluster.scheduler.pid)], "nanny": nannies, "worker": workers}


@pytest.fixture(scope="module")
def queue():
    """One cluster of one worker for all tests that leave it usable."""
    queue = fake_queue()
    yield queue
    queue.close()


@pytest.fixture(autouse=True)
def nothing_left_running(request):
    yield
    if "queue" in request.fixturenames:
        queue = request.getfixturevalue("queue")
        for run in queue.runs():
            queue.stop(run.key)
        until(lambda: all(run.state in ENDED for run in queue.runs()), "the end of all runs")


# ---- bounds


class Unstarted(Jobs):
    """A queue that never starts a cluster: what is submitted waits."""

    def start(self):
        """Nothing."""


def test_so_many_runs_of_one_session_may_wait_and_so_many_in_all(monkeypatch):
    monkeypatch.setenv(WAITING_OF_ONE.variable, "3")
    monkeypatch.setenv(WAITING_IN_ALL.variable, "5")
    queue = Unstarted(MemoryStore(), 1)
    waiting = specs("quick", 7)
    for spec in waiting[:3]:
        queue.submit(spec, "ann")
    with pytest.raises(BoundReached, match=r"At most 3 runs of one session may wait, and so many do: stop some, or let them"):
        queue.submit(waiting[3], "ann")
    assert queue.submit(waiting[0], "ann").position == 1  # what waits already still does
    for spec in waiting[3:5]:
        queue.submit(spec, "bob")
    with pytest.raises(BoundReached, match="At most 5 runs may wait in all"):
        queue.submit(waiting[5], "eve")
    queue.stop(waiting[4].key)
    assert queue.submit(waiting[5], "eve").state == "waiting"


def test_all_runs_of_one_session_are_stopped_and_no_others():
    queue = Unstarted(MemoryStore(), 1)
    own, others = specs("quick", 3), specs("quick", 2)
    for spec in own:
        queue.submit(spec, "ann")
    for spec in others:
        queue.submit(spec, "bob")
    assert queue.asked_by("ann") == [spec.key for spec in own]
    assert [run.state for run in queue.stop_all("ann")] == ["stopped"] * 3
    assert queue.asked_by("ann") == []
    assert queue.asked_by("bob") == [spec.key for spec in others]


def test_a_run_that_several_asked_for_stops_when_all_have_let_go():
    connected = {"ann", "bob", "eve"}
    queue = Unstarted(MemoryStore(), 1, alive=connected.__contains__)
    [spec] = specs("quick")
    for submitter in ("ann", "bob", "eve"):
        queue.submit(spec, submitter)
    assert queue.stop(spec.key, "ann").state == "waiting"
    assert queue.asked_by("ann") == []
    assert queue.asked_by("bob") == [spec.key]
    connected.remove("eve")  # who has gone holds nobody up
    stopped = queue.stop(spec.key, "bob")
    assert (stopped.state, stopped.message) == ("stopped", "It was stopped by whoever asked for it before it began.")


def test_whoever_runs_the_app_stops_a_run_for_everybody():
    queue = Unstarted(MemoryStore(), 1)
    [spec] = specs("quick")
    for submitter in ("ann", "bob"):
        queue.submit(spec, submitter)
    assert queue.stop(spec.key).message == "It was stopped by whoever runs this app before it began."


def test_a_folder_of_keys_that_is_deleted_costs_a_start_and_no_run():
    queue = fake_queue()
    try:
        [spec] = specs("slow")
        queue.submit(spec)
        until_state(queue, spec, "training")
        folder = queue.cluster.folder
        assert folder.parent == (cache_folder() / "workers").resolve()  # not among the temporary files
        shutil.rmtree(folder, ignore_errors=True)
        until(lambda: queue.get(spec.key).restarts and queue.get(spec.key).state == "training", "another start")
        assert queue.cluster.folder != folder
    finally:
        queue.close()


# ---- the machine


def test_every_transition_has_a_test_named_for_it():
    named = {f"test_{before}_to_{after}" for before, afters in TRANSITIONS.items() for after in afters}
    assert named <= set(globals())
    assert len(named) == 21


def test_a_transition_that_is_not_in_the_table_is_refused():
    queue = fake_queue()
    [spec] = specs("quick")
    record = jobs._Record(jobs.Run(spec.key, spec, "done"), 0, "")
    with pytest.raises(RuntimeError, match="a run that is done cannot become training"):
        queue._change(record, "training")
    assert record.run.state == "done"


def test_waiting_to_training(queue):
    [spec] = specs("slow")
    run = queue.submit(spec)
    assert (run.key, run.spec, run.state, run.position, run.curve, run.started) == (spec.key, spec, "waiting", 1, (), None)
    before = time.time()
    run = until_state(queue, spec, "training")
    assert run.position == 0
    assert abs(run.started - before) < 40
    grown = until(lambda: (r := queue.get(spec.key)) and len(r.curve) > len(run.curve) + 2 and r, "a curve")
    assert list(grown.curve) == [fakes.point(step) for step in range(1, len(grown.curve) + 1)]
    assert (grown.steps, grown.seconds) == (grown.curve[-1]["step"], grown.curve[-1]["seconds"])
    assert grown.version > run.version


def test_waiting_to_stopped(queue):
    first, second = specs("slow", 2)
    queue.submit(first)
    queue.submit(second)
    until_state(queue, first, "training")
    run = queue.stop(second.key)
    assert (run.state, run.position, run.message) == (
        "stopped",
        None,
        "It was stopped by whoever runs this app before it began.",
    )
    queue.stop(first.key)
    until_state(queue, first, "stopped")
    assert queue.path[second.key] == ["waiting", "stopped"]
    assert queue._store.get(second.key) is None


def test_waiting_to_lost(queue):
    [spec] = specs("dies_before_it_begins")
    queue.submit(spec)
    until_state(queue, spec, "failed")
    assert queue.path[spec.key][:3] == ["waiting", "lost", "restarted"]


def test_waiting_to_failed(tmp_path, monkeypatch):
    """The cluster cannot be started; when its trouble is over, asking again is enough."""
    broken = tmp_path / "broken"
    broken.touch()
    monkeypatch.setenv(light_preload.BROKEN, str(broken))
    queue = fake_queue()
    try:
        [spec] = specs("quick")
        queue.submit(spec)
        run = until_state(queue, spec, "failed")
        assert "the background workers do not start" in run.message
        assert "KeyError: 'a module that nobody has'" in run.message
        assert queue.failure == run.message
        assert not queue.ready
        assert queue.path[spec.key] == ["waiting", "failed"]
        broken.unlink()
        assert queue.submit(spec).state == "waiting"
        assert queue.failure is None
        until_state(queue, spec, "done")
        assert queue.ready
    finally:
        queue.close()


def test_training_to_done(queue):
    [spec] = specs("quick")
    queue.submit(spec)
    run = until_state(queue, spec, "done")
    assert queue.path[spec.key] == ["waiting", "training", "done"]
    assert (run.position, run.message, run.steps, run.seconds, run.restarts) == (None, "", 3, 0.03, 0)
    assert list(run.curve) == [fakes.point(step) for step in (1, 2, 3)]
    stored = queue._store.get(spec.key)
    assert (stored.spec, stored.status, stored.metrics) == (spec, "done", {"test_accuracy": 0.9})
    assert [weight.shape for weight in stored.weights] == [(784, 100), (100, 100), (100, 100), (100, 10)]
    assert all((weight == 0.5).all() for weight in stored.weights)


def test_training_to_stopping(queue):
    [spec] = specs("slow")
    queue.submit(spec)
    until_state(queue, spec, "training")
    run = queue.stop(spec.key)
    assert (run.state, run.position) == ("stopping", 0)
    assert queue.stop(spec.key).state == "stopping"
    until_state(queue, spec, "stopped")


def test_training_to_lost(queue):
    [spec] = specs("dies_once")
    queue.submit(spec)
    run = until_state(queue, spec, "done")
    assert queue.path[spec.key] == ["waiting", "training", "lost", "restarted", "training", "done"]
    assert (run.restarts, run.message) == (1, "The worker was lost; training started again.")
    assert list(run.curve) == [fakes.point(step) for step in (1, 2, 3)]


def test_training_to_failed(queue):
    diverged, raised, unasked = specs("diverges") + specs("raises") + specs("stops_unasked")
    for spec in (diverged, raised, unasked):
        queue.submit(spec)
    messages = [until_state(queue, spec, "failed").message for spec in (diverged, raised, unasked)]
    assert messages[:2] == ["diverged at step 812", "KeyError: 'nobody expects this'"]
    assert "without being asked" in messages[2]
    assert all(queue.path[spec.key] == ["waiting", "training", "failed"] for spec in (diverged, raised))
    assert not {diverged.key, raised.key, unasked.key} & set(queue._store.runs)
    assert len(queue.get(diverged.key).curve) == 811


def test_stopping_to_stopped(queue):
    [spec] = specs("slow")
    queue.submit(spec)
    until(lambda: queue.get(spec.key).steps > 3, "some steps")
    queue.stop(spec.key)
    run = until_state(queue, spec, "stopped")
    stored = queue._store.get(spec.key)
    assert stored.status == "stopped"
    assert stored.steps == run.steps > 3
    assert len(run.curve) == run.steps == len(stored.curve)
    assert run.message == f"It was stopped by whoever runs this app after {run.steps} of 2,500 steps."


def test_stopping_to_done(queue):
    [spec] = specs("done_anyway")
    queue.submit(spec)
    until_state(queue, spec, "training")
    queue.stop(spec.key)
    until_state(queue, spec, "done")
    assert steps(queue.path[spec.key])[-1] == ("stopping", "done")


def test_stopping_to_failed(queue):
    [spec] = specs("fails_when_stopped")
    queue.submit(spec)
    until_state(queue, spec, "training")
    queue.stop(spec.key)
    assert until_state(queue, spec, "failed").message == "the disk of the worker is full"
    assert steps(queue.path[spec.key])[-1] == ("stopping", "failed")


def test_lost_to_restarted(queue):
    [spec] = specs("slow")
    queue.submit(spec)
    until(lambda: queue.get(spec.key).steps > 5, "some steps")
    processes(queue)["worker"][0].kill()
    lost = until_state(queue, spec, "lost")
    assert (lost.curve, lost.steps, lost.position, lost.restarts) == ((), 0, 1, 1)
    assert lost.message == "The worker was lost; training will start again."
    run = until_state(queue, spec, "training")
    assert steps(queue.path[spec.key])[-2:] == [("lost", "restarted"), ("restarted", "training")]
    assert run.message == "The worker was lost; training started again."


def test_lost_to_stopped(queue):
    [spec] = specs("slow")
    queue.submit(spec)
    until_state(queue, spec, "training")
    processes(queue)["worker"][0].kill()
    until_state(queue, spec, "lost")
    assert queue.stop(spec.key).state == "stopped"
    assert steps(queue.path[spec.key])[-1] == ("lost", "stopped")


def test_lost_to_failed(queue):
    """A run that always kills its worker is given up; the next one is served."""
    deadly, harmless = specs("always_dies") + specs("quick")
    queue.submit(deadly)
    queue.submit(harmless)
    run = until_state(queue, deadly, "failed")
    assert (run.restarts, run.message) == (4, "Its worker died 4 times, so it was given up.")
    assert steps(queue.path[deadly.key])[-1] == ("lost", "failed")
    assert steps(queue.path[deadly.key]).count(("lost", "restarted")) == 3
    until_state(queue, harmless, "done")


def test_restarted_to_training(queue):
    [spec] = specs("dies_once")
    queue.submit(spec)
    until_state(queue, spec, "done")
    assert ("restarted", "training") in steps(queue.path[spec.key])


def test_restarted_to_lost(queue):
    [spec] = specs("dies_before_it_begins")
    queue.submit(spec)
    until_state(queue, spec, "failed")
    assert queue.path[spec.key] == ["waiting", *["lost", "restarted"] * 3, "lost", "failed"]


def restarted(queue):
    """A run that was handed to a new worker, which takes three seconds to begin."""
    [spec] = specs("begins_late_after_a_death")
    queue.submit(spec)
    until_state(queue, spec, "training")
    processes(queue)["worker"][0].kill()
    until_state(queue, spec, "restarted")
    return spec


def test_restarted_to_stopped(queue):
    """The race: the new worker begins after the run was dropped. It is told to stop, and is free for the next run."""
    spec, [after] = restarted(queue), specs("quick")
    assert queue.stop(spec.key).state == "stopped"
    queue.submit(after)
    until_state(queue, after, "done")
    assert queue.get(spec.key).state == "stopped"
    assert steps(queue.path[spec.key])[-1] == ("restarted", "stopped")


def test_restarted_to_failed(queue, monkeypatch):
    spec = restarted(queue)

    def fails(self):
        raise cluster.ClusterError("the machine is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(cluster.PrivateCluster, "check", fails)
        run = until_state(queue, spec, "failed")
    assert run.message == queue.failure == "Training is not possible now: the machine is on fire."
    assert steps(queue.path[spec.key])[-1] == ("restarted", "failed")


def test_stopped_to_waiting(queue):
    [spec] = specs("slow")
    queue.submit(spec)
    until(lambda: queue.get(spec.key).steps > 3, "some steps")
    queue.stop(spec.key)
    until_state(queue, spec, "stopped")
    run = queue.submit(spec)
    assert (run.state, run.curve, run.steps, run.message, run.position) == ("waiting", (), 0, "", 1)
    until_state(queue, spec, "training")


def test_failed_to_waiting(queue):
    [spec] = specs("raises")
    queue.submit(spec)
    until_state(queue, spec, "failed")
    assert queue.submit(spec).state == "waiting"
    until_state(queue, spec, "failed")
    assert queue.path[spec.key] == ["waiting", "training", "failed"] * 2


def test_done_to_waiting(queue):
    """Only when the store has lost it."""
    [spec] = specs("quick")
    queue.submit(spec)
    until_state(queue, spec, "done")
    assert queue.submit(spec).state == "done"
    del queue._store.runs[spec.key]
    assert queue.submit(spec).state == "waiting"
    until_state(queue, spec, "done")


# ---- the queue


def test_thirty_who_ask_at_once_train_it_once(queue, monkeypatch):
    [spec] = specs("quick")
    looking, answers = threading.Barrier(30), []

    def nobody_has_it(key):
        looking.wait(20)  # all thirty look before any goes on

    def ask():
        answers.append(queue.submit(spec, submitter=str(threading.get_ident())))

    monkeypatch.setattr(queue._store, "get", nobody_has_it)
    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until_state(queue, spec, "done")
    assert len(answers) == 30
    assert queue.path[spec.key] == ["waiting", "training", "done"]


def at_once(calls):
    """Make all calls at the same moment, each in a thread of its own."""
    barrier, wrong = threading.Barrier(len(calls)), []

    def make(call):
        barrier.wait()
        try:
            call()
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_sixty_who_ask_for_thirty_runs_at_once_train_each_once(queue):
    asked = specs("quick", 30)
    at_once([partial(queue.submit, spec, f"viewer {number}") for number, spec in enumerate(asked * 2)])
    for spec in asked:
        until_state(queue, spec, "done")
    assert [queue.path[spec.key].count("training") for spec in asked] == [1] * 30


def test_twenty_stops_at_once_end_what_trains_and_what_waits(queue):
    asked = specs("slow", 20)
    for number, spec in enumerate(asked):
        queue.submit(spec, f"stopper {number}")
    until_state(queue, asked[0], "training")
    until(lambda: queue.get(asked[0].key).steps > 3, "some steps")
    at_once([partial(queue.stop, spec.key, f"stopper {number}") for number, spec in enumerate(asked)])
    for spec in asked:
        until_state(queue, spec, "stopped")
    assert queue.path[asked[0].key] == ["waiting", "training", "stopping", "stopped"]
    for spec in asked[1:]:  # one may have been handed over as the first one ended
        assert queue.path[spec.key] in (["waiting", "stopped"], ["waiting", "training", "stopping", "stopped"])
    assert queue._store.get(asked[0].key).steps > 3  # what it learnt is kept


def test_everybody_gets_a_fair_turn_and_positions_are_true(queue):
    [blocker], many, [single] = specs("slow"), specs("quick", 3), specs("quick")
    queue.submit(blocker, "teacher")
    until_state(queue, blocker, "training")
    for spec in many:
        queue.submit(spec, "eager")
    before = queue.get(many[1].key)
    queue.submit(single, "late")
    order = [blocker, many[0], single, many[1], many[2]]
    active = [run for run in queue.runs() if run.state not in ENDED]
    assert [run.spec for run in active] == order
    assert [run.position for run in active] == [0, 1, 2, 3, 4]
    assert queue.get(many[1].key).version > before.version == queue.get(many[0].key).version + 1
    queue.stop(blocker.key)
    for spec in order[1:]:
        until_state(queue, spec, "done")
    ended = [run.spec for run in queue.runs()][:5]
    assert ended == list(reversed(order))


def test_a_stored_run_is_found_without_training():
    [done], [stopped] = specs("quick"), specs("slow")
    store = MemoryStore()
    for spec, status in ((done, "done"), (stopped, "stopped")):
        kept = {name: value for name, value in fakes.result(spec, status).items() if name != "message"}
        kept |= {"weights": tuple(kept["weights"]), "biases": tuple(kept["biases"])}
        store.put(Stored(spec=spec, created="2026-01-01T00:00:00+00:00", **kept))
    queue = fake_queue(store)
    run = queue.get(done.key)
    assert (run.state, run.steps, run.position, len(run.curve)) == ("done", 3, None, 3)
    assert queue.submit(done) == run
    assert queue.get(stopped.key).state == "stopped"
    assert queue.runs() == []
    assert not queue.ready
    queue.close()


def test_what_another_process_finished_counts(queue):
    """The queue itself only knows that the run was stopped."""
    [done], [spec] = specs("quick"), specs("slow")
    queue.submit(done)
    until_state(queue, done, "done")
    queue.submit(spec)
    assert queue.stop(spec.key).state in ("stopped", "stopping")
    until_state(queue, spec, "stopped")
    queue._store.runs[spec.key] = replace(queue._store.get(done.key), spec=spec)
    assert queue.submit(spec).state == "done"
    assert queue.get(spec.key).state == "done"


@pytest.mark.parametrize("key", ["", "0" * 64, "0" * 63, "../" * 21 + "x", "é" * 64])
def test_an_unknown_key_is_nobody(key):
    queue = fake_queue()
    assert queue.get(key) is None
    assert queue.stop(key) is None


FULL = "It was trained but could not be stored: [Errno 28] No space left on device."


def test_a_run_that_cannot_be_stored_says_so_and_stays_to_be_stored_again(queue, caplog):
    caplog.set_level(logging.INFO, "dropclust")
    first, second = specs("quick", 2)
    queue._store.full = True
    try:
        for spec in (first, second):
            queue.submit(spec)
            run = until_state(queue, spec, "failed")
        assert queue.store_again(first.key) == FULL
        assert queue.get(first.key).state == "failed"
    finally:
        queue._store.full = False
    assert run.message == FULL
    assert len(run.curve) == 3
    assert f"run {second.key[:12]} failed: 3 of {second.steps:,} steps in 0.0 s. {FULL}" in caplog.messages
    assert queue.unstored(first.key).weights[0][0, 0] == 0.5
    version = queue.version
    assert queue.store_again(first.key) is None
    assert queue.get(first.key).state == "done"
    assert queue.version > version
    assert queue.submit(second).state == "done"  # asked for again, it is stored and not trained again
    assert queue.unstored(first.key) is queue.unstored(second.key) is queue.store_again(first.key) is None
    assert queue._store.get(second.key).steps == 3


def test_a_result_may_be_quicker_than_its_first_word(queue):
    [spec] = specs("silent")
    queue.submit(spec)
    until_state(queue, spec, "done")
    assert queue.path[spec.key] == ["waiting", "training", "done"]


def test_points_of_another_life_do_not_mix(queue):
    [spec] = specs("begun_again_elsewhere")
    queue.submit(spec)
    run = until(lambda: (r := queue.get(spec.key)) and r.steps == 2 and r.restarts and r, "the second life")
    assert list(run.curve) == [fakes.point(1), fakes.point(2)]
    assert (run.restarts, run.message) == (1, "The worker was lost; training started again.")
    assert queue.path[spec.key] == ["waiting", "training", "lost", "restarted", "training"]


def test_a_worker_that_does_not_hear_is_ended(queue):
    [spec], [after] = specs("deaf"), specs("quick")
    queue.submit(spec)
    until_state(queue, spec, "training")
    [before] = processes(queue)["worker"]
    queue.stop(spec.key)
    run = until_state(queue, spec, "stopped")
    assert run.message == "Its worker did not answer and was ended; what was learnt is lost."
    assert queue._store.get(spec.key) is None
    psutil.wait_procs([before], timeout=10)
    assert not before.is_running()
    queue.submit(after)
    until_state(queue, after, "done")


def test_a_worker_that_heard_is_given_time_to_finish(queue):
    [spec] = specs("slow_to_finish")
    queue.submit(spec)
    until(lambda: queue.get(spec.key).steps > 3, "some steps")
    queue.stop(spec.key)
    run = until_state(queue, spec, "stopped")
    assert run.steps == queue._store.get(spec.key).steps > 3


def test_a_flood_on_stderr_freezes_nothing(queue):
    [spec] = specs("chatty")
    queue.submit(spec)
    until_state(queue, spec, "done")
    until(lambda: sum(log.stat().st_size for log in queue.cluster.folder.glob("*.log")) < 2_000_000, "a shorter log")


def test_a_snapshot_is_frozen(queue):
    [spec] = specs("quick")
    run = queue.submit(spec)
    with pytest.raises(FrozenInstanceError):
        run.state = "done"


def test_bad_arguments_are_refused(monkeypatch):
    for workers in (0, -1, True, 1.5, "2"):
        with pytest.raises(ValueError, match="workers must be a whole number of 1 or more; got"):
            fake_queue(workers=workers)
    for address in ("tcp://host:8786", "host:8786", "tls://host", "tls://:8786", "tls://host:port", "tls://", "ws://host:1"):
        with pytest.raises(ValueError, match="scheduler must be tls://host:port"):
            fake_queue(scheduler=address)
    monkeypatch.setenv("DROPCLUST_SCHEDULER", "tcp://host:8786")
    with pytest.raises(ValueError, match="got 'tcp://host:8786'"):
        fake_queue()
    monkeypatch.setenv("DROPCLUST_ALLOW_PLAINTEXT", "1")
    fake_queue()


# ---- processes that die


@pytest.mark.parametrize("kind", ["worker", "nanny", "scheduler"])
def test_a_killed_process_is_replaced_and_the_run_starts_again(queue, kind):
    [spec] = specs("slow")
    queue.submit(spec)
    until(lambda: queue.get(spec.key).steps > 3, "some steps")
    [victim] = processes(queue)[kind]
    [trained_by] = processes(queue)["worker"]
    victim.kill()
    until(lambda: queue.get(spec.key).restarts == 1, "the loss")
    run = until(lambda: (r := queue.get(spec.key)) and r.state == "training" and r.curve and r, "the new start")
    assert run.curve[0] == fakes.point(1)
    assert run.message == "The worker was lost; training started again."
    assert queue.path[spec.key] == ["waiting", "training", "lost", "restarted", "training"]
    until(lambda: not trained_by.is_running(), "the end of the old worker")
    assert {kind: len(found) for kind, found in processes(queue).items()} == {"scheduler": 1, "nanny": 1, "worker": 1}


def test_a_scheduler_that_is_killed_while_nothing_trains_is_replaced(queue):
    [before], [after] = specs("quick"), specs("quick")
    queue.submit(before)
    until_state(queue, before, "done")
    [scheduler] = processes(queue)["scheduler"]
    scheduler.kill()
    until(lambda: not queue.ready, "the loss")
    queue.submit(after)
    until_state(queue, after, "done")
    assert queue.path[after.key] == ["waiting", "training", "done"]


def test_a_run_that_is_stopping_when_its_worker_dies_is_stopped(queue):
    [spec] = specs("deaf")
    queue.submit(spec)
    until_state(queue, spec, "training")
    queue.stop(spec.key)
    processes(queue)["worker"][0].kill()
    run = until_state(queue, spec, "stopped")
    assert run.message == "The worker was lost while it stopped, and with it what was learnt."


def test_closing_ends_every_process_and_removes_the_keys():
    queue = fake_queue(workers=2, calibrate=lambda: {"speed": 3})
    queue.start()
    queue.start()
    assert until(lambda: queue.calibration, "the calibration") == {"speed": 3}
    queue.expect(2)
    until(lambda: len(processes(queue)["worker"]) == 2, "two workers")
    folder, mine = queue.cluster.folder, [process for found in processes(queue).values() for process in found]
    assert len(mine) == 5
    assert folder.is_dir()
    queue.close()
    queue.close()
    assert psutil.wait_procs(mine, timeout=10)[1] == []
    assert not folder.exists()
    assert not queue.ready
    with pytest.raises(RuntimeError, match="closed"):
        queue.submit(specs("quick")[0])


def test_the_app_is_killed_and_nothing_is_left(tmp_path):
    """A real training in a child app: it loads no torch itself, and all its processes and keys go when it is killed.

    Files of the current folder that are named like standard modules are left alone.
    """
    for name in ("random.py", "queue.py", "ssl.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    command = [sys.executable, "-P", str(HERE / "app.py"), str(tmp_path / "runs")]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as app:
        told = json.loads(app.stdout.readline())
        processes = psutil.Process(app.pid).children(recursive=True)
        app.kill()
    assert told["state"] == "done"
    assert told["torch"] is False
    assert 0.5 < told["metrics"]["test_accuracy"] < 1
    parts, layers = ("test", "held_out"), (1, 2, 3)
    expected = {f"{part}_{what}" for part in parts for what in ("accuracy", "cross_entropy")}
    assert told["metrics"].keys() == expected | {f"dead_{layer}" for layer in layers}
    assert len(processes) >= 3
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    until(lambda: not Path(told["folder"]).exists(), "the removal of the keys", 5)


# ---- who may talk to the cluster


def test_keys_are_private_and_every_socket_is_on_the_loopback(queue):
    [spec] = specs("quick")
    queue.submit(spec)
    until_state(queue, spec, "done")
    mine = [process for found in processes(queue).values() for process in found]
    assert stat.S_IMODE(queue.cluster.folder.stat().st_mode) == 0o700
    keys = list(queue.cluster.folder.glob("*.pem"))
    assert len(keys) == 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert not any("PRIVATE KEY" in part for process in mine for part in process.cmdline())
    listening = [c.laddr for p in mine for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    answers = [http(address.port, "/") for address in listening]
    assert set(answers) == {None, 404}  # TLS, and web servers without a page
    for address, answer in zip(listening, answers, strict=True):
        for route in ("/health", "/info/main/workers.html", "/status", "/json/counts.json", "/metrics"):
            assert answer is None or http(address.port, route) == 404


def http(port, route):
    """The status that a web server there answers with; None when there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{route}", timeout=1) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, HTTPException):
        return None


def test_a_stranger_on_the_machine_is_refused(queue):
    [spec] = specs("slow")
    queue.submit(spec)
    until_state(queue, spec, "training")
    address = json.loads((queue.cluster.folder / "scheduler.json").read_text())["address"]
    assert address.startswith("tls://127.0.0.1:")
    for stranger in (address.replace("tls:", "tcp:"), address):
        security = Security.temporary() if stranger.startswith("tls:") else None
        with pytest.raises((OSError, ssl.SSLError)):
            Client(stranger, security=security, timeout=1, set_as_default=False)
    steps_now = queue.get(spec.key).steps
    until(lambda: queue.get(spec.key).steps > steps_now, "further steps")


# ---- a real cluster


def tls_config(security):
    """Dask's own configuration of a client, as somebody with a real cluster has it."""
    names = {"ca-file": "tls_ca_file", "client.cert": "tls_client_cert", "client.key": "tls_client_key"}
    return {f"distributed.comm.tls.{name}": security[field] for name, field in names.items()}


@pytest.fixture
def real_cluster(tmp_path, monkeypatch):
    """A scheduler and a worker that somebody else started, with TLS, and no folder in common with the app."""
    security = cluster._write_keys(tmp_path)
    tls = ["--tls-ca-file", security["tls_ca_file"], "--tls-cert", security["tls_worker_cert"]]
    tls += ["--tls-key", security["tls_worker_key"]]
    file = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "TMPDIR": str(tmp_path)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "env": environment}
    dask_command = [sys.executable, "-m", "dask"]
    scheduler = [*dask_command, "scheduler", *tls, "--protocol", "tls", "--host", "127.0.0.1", "--port", "0"]
    scheduler += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)]
    worker = [*dask_command, "worker", *tls, "--protocol", "tls", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"]
    worker += ["--scheduler-file", str(file), "--local-directory", str(tmp_path)]
    processes = [subprocess.Popen(command, **quiet) for command in (scheduler, worker)]
    try:
        address = until(lambda: file.exists() and file.read_text().endswith("}") and json.loads(file.read_text()), "a start")
        with dask.config.set(tls_config(security)):
            monkeypatch.setenv("DROPCLUST_SCHEDULER", address["address"])
            yield address["address"], processes
    finally:
        for process in processes:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.wait()


def test_a_real_cluster_is_used_and_results_travel_back(real_cluster):
    _, (scheduler, _) = real_cluster
    queue = fake_queue()
    try:
        [done], [lost], [stopped], [deaf], [after] = (specs(name) for name in ("quick", "dies_once", "slow", "deaf", "quick"))
        for spec in (done, lost, stopped, deaf, after):
            queue.submit(spec)
        until_state(queue, done, "done")
        assert queue._store.get(done.key).status == "done"
        run = until_state(queue, lost, "done")
        assert (run.restarts, run.message) == (1, "The worker was lost; training started again.")
        assert queue.path[lost.key] == ["waiting", "training", "lost", "restarted", "training", "done"]
        until(lambda: queue.get(stopped.key).steps > 3, "some steps")
        queue.stop(stopped.key)
        until_state(queue, stopped, "stopped")
        assert queue._store.get(stopped.key).steps > 3
        until_state(queue, deaf, "training")
        queue.stop(deaf.key)
        until_state(queue, deaf, "stopped")
        until_state(queue, after, "done")
        assert not hasattr(queue.cluster, "scheduler")
    finally:
        queue.close()
    assert scheduler.poll() is None


def test_a_real_cluster_that_goes_away_or_never_was_is_said(real_cluster, monkeypatch):
    address, (scheduler, _) = real_cluster
    monkeypatch.setattr(cluster, "_REMOTE_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "_CALL_SECONDS", 1.0)
    queue = fake_queue()
    try:
        [spec] = specs("slow")
        queue.submit(spec)
        until_state(queue, spec, "training")
        scheduler.kill()
        run = until_state(queue, spec, "failed")
        assert run.message.startswith(f"Training is not possible now: no Dask scheduler could be used at {address}: ")
        assert queue.failure == run.message
    finally:
        queue.close()


def test_a_real_cluster_with_other_certificates_is_refused(real_cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "_REMOTE_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "_CALL_SECONDS", 1.0)
    (tmp_path / "other").mkdir()
    other = cluster._write_keys(tmp_path / "other")
    queue = fake_queue()
    try:
        with dask.config.set(tls_config(other)):
            [spec] = specs("quick")
            queue.submit(spec)
            run = until_state(queue, spec, "failed")
        assert "no Dask scheduler could be used at tls://" in run.message
    finally:
        queue.close()


def test_a_real_cluster_without_workers_is_said(real_cluster, monkeypatch):
    _, (_, nanny) = real_cluster
    monkeypatch.setattr(jobs, "_NO_WORKER_SECONDS", 0.5)
    for process in (*psutil.Process(nanny.pid).children(recursive=True), nanny):
        process.kill()
    queue = fake_queue()
    try:
        [spec] = specs("quick")
        queue.submit(spec)
        assert until_state(queue, spec, "failed").message == "Training is not possible now: no worker is there."
        assert not queue.ready
    finally:
        queue.close()


# ---- behind the runs


def test_what_is_handed_over_behind_the_runs_is_done_by_a_worker_and_a_run_beside_it(queue):
    queue.start()
    until(lambda: queue.ready, "a worker")
    assert queue.behind(os.getpid).result(timeout=60) in {process.pid for process in processes(queue)["worker"]}
    assert not queue.waits
    [spec, other] = specs("slow", 2)
    queue.submit(spec)
    queue.submit(other)
    until_state(queue, spec, "training")
    assert queue.waits
    for run in (spec, other):
        queue.stop(run.key)
    until(lambda: not queue.waits, "the end of waiting")


def test_without_a_cluster_nothing_is_handed_over():
    queue = fake_queue()
    with pytest.raises(cluster.ClusterError, match="no worker is there"):
        queue.behind(os.getpid)
    queue.close()


# ---- workers come and go


def test_workers_are_started_for_what_there_is_to_do_and_end_when_they_were_idle(monkeypatch):
    """One at first; one more for a run, so that tasks are not behind it; all that may be for many; one at the end."""
    monkeypatch.setenv(IDLE_SECONDS.variable, "1")
    queue = fake_queue(workers=2, kept=1)
    try:
        queue.start()
        until(lambda: queue.threads == 1, "a worker")
        assert not queue.growing
        first, second, third = specs("slow", 3)
        queue.submit(first)
        until_state(queue, first, "training")
        assert queue.growing  # the one kept for tasks is on its way
        until(lambda: len(queue.cluster.nannies) == 2, "a second worker")
        queue.submit(second)
        queue.submit(third)
        until_state(queue, second, "training")
        until(lambda: len(processes(queue)["worker"]) == 3, "a third worker")
        assert queue.get(third.key).state == "waiting"  # one is kept for tasks
        gone = processes(queue)["nanny"] + processes(queue)["worker"]
        queue.stop(third.key)
        queue.stop(first.key)
        until_state(queue, first, "stopped")
        until(lambda: len(queue.cluster.nannies) == 2, "the end of the worker that nothing needs")
        assert until_state(queue, second, "training").restarts == 0
        queue.stop(second.key)
        until_state(queue, second, "stopped")
        until(lambda: len(queue.cluster.nannies) == 1, "the end of the second")
        until(lambda: sum(map(psutil.Process.is_running, gone)) == 2, "the end of the rest")
        again = specs("quick")[0]
        queue.submit(again)
        assert until_state(queue, again, "done").restarts == 0
    finally:
        queue.close()


def test_tasks_alone_bring_more_workers_and_no_more_than_there_may_be(queue):
    cluster = queue.cluster or until(lambda: queue.start() or queue.cluster, "a cluster")
    queue.expect(5)
    assert queue._needed(cluster) == 1  # this one may have no more
    queue.expect(0)
    assert queue._needed(cluster) == 0
