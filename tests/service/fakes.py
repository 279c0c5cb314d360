"""Trainings that behave well or badly on purpose, and a store in memory; sent to the workers by value."""

import itertools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import cloudpickle
import numpy as np
from distributed import get_worker

from dropclust.core.spec import RunSpec
from dropclust.service import worker

LIMIT_SECONDS = 60  # no fake outlives its test by more


def specs(behaviour, number=1):
    """Runs whose seed says how they behave; each call gives new ones."""
    first = BEHAVIOURS.index(behaviour) * 100_000 + specs.given
    specs.given += number
    return [RunSpec(seed=seed) for seed in range(first, first + number)]


specs.given = 0


def point(step):
    return {"step": step, "examples": 128 * step, "loss": 1 / step, "accuracy": 0.5, "seconds": step / 100}


def result(spec, status="done", steps=3, message=""):
    widths = spec.widths
    return {
        "status": status,
        "message": message,
        "weights": [np.full((a, b), 0.5, np.float32) for a, b in itertools.pairwise(widths)],
        "biases": [np.zeros(b, np.float32) for b in widths[1:]],
        "curve": [point(step) for step in range(1, steps + 1)],
        "metrics": {"test_accuracy": 0.9},
        "steps": steps,
        "seconds": 0.03,
        "versions": {"python": "3"},
    }


def first_time(spec):
    """Whether this is the first process of the cluster that trains this run."""
    try:
        (Path(tempfile.gettempdir()) / spec.key).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def until_stopped(here, first_step=1):
    deadline, step = time.monotonic() + LIMIT_SECONDS, first_step
    while not here.should_stop() and time.monotonic() < deadline:
        here.point(point(step))
        step += 1
        time.sleep(0.02)
    return step - 1


def quick(spec, here):
    for step in (1, 2, 3):
        here.point(point(step))
    return result(spec)


def slow(spec, here):
    return result(spec, "stopped", until_stopped(here))


def slow_to_finish(spec, here):
    steps = until_stopped(here)
    time.sleep(4.5)  # longer than a worker has to hear it
    return result(spec, "stopped", steps)


def deaf(spec, here):
    here.point(point(1))
    time.sleep(LIMIT_SECONDS)
    return result(spec)


def done_anyway(spec, here):
    until_stopped(here)
    return result(spec)


def fails_when_stopped(spec, here):
    until_stopped(here)
    raise ValueError("the disk of the worker is full")


def diverges(spec, here):
    here.point(point(1))
    return {**result(spec, "diverged", 811, "diverged at step 812"), "weights": [], "biases": []}


def raises(spec, here):
    raise KeyError("nobody expects this")


def stops_unasked(spec, here):
    return result(spec, "stopped")


def always_dies(spec, here):
    die()


def dies_once(spec, here):
    if first_time(spec):
        for step in (1, 2, 3, 4, 5):
            here.point(point(step))
        time.sleep(0.5)  # the points are on their way
        die()
    return quick(spec, here)


def begun_again_elsewhere(spec, here):
    """What the app hears when Dask starts a task again by itself, and a word of its first life comes late."""

    def say(life, step):
        message = {"attempt": here._attempt, "life": life, "address": here._worker.address, "pid": os.getpid(), "heard": False}
        get_worker().log_event(here._topic, {**message, "steps": step, "point": point(step)})

    for step in (1, 2, 3):
        here.point(point(step))
    say("second", 1)
    here.point(point(4))
    get_worker().log_event(here._topic, {**message_of_nobody(here), "point": point(9)})
    say("second", 2)
    say("second", 2)
    say("second", 1)
    until = time.monotonic() + LIMIT_SECONDS
    while not here.should_stop() and time.monotonic() < until:
        time.sleep(0.02)
    return result(spec, "stopped")


def message_of_nobody(here):
    return {
        "attempt": "nobody's",
        "life": "nobody's",
        "address": here._worker.address,
        "pid": os.getpid(),
        "heard": False,
        "steps": 9,
    }


def chatty(spec, here):
    for _ in range(40):
        sys.stderr.write("x" * 99_999 + "\n")
    sys.stderr.flush()
    return quick(spec, here)


# These say nothing to the app before they do what they do.


def dies_before_it_begins(spec):
    die()


def silent(spec):
    return result(spec)


def begins_late_after_a_death(spec):
    if not first_time(spec):
        time.sleep(3)


HERALDED = [quick, slow, slow_to_finish, deaf, done_anyway, fails_when_stopped, diverges, raises, stops_unasked]
HERALDED += [always_dies, dies_once, begun_again_elsewhere, chatty]
UNHERALDED = [dies_before_it_begins, silent, begins_late_after_a_death]
BEHAVIOURS = [each.__name__ for each in HERALDED + UNHERALDED]


def task(spec_json, attempt, topic):
    """The fake in place of `worker.run`."""
    spec = RunSpec.from_json(spec_json)
    behave = (HERALDED + UNHERALDED)[spec.seed // 100_000]
    if behave in UNHERALDED:
        returned = behave(spec)
        if returned is not None:
            return returned
        behave = slow
    with worker.Attempt(attempt, topic) as here:
        try:
            return behave(spec, here)
        except Exception as error:
            return {"status": "failed", "message": worker.sentence(error)}


def performs(function, arguments, networks, content, attempt, topic):
    """The fake in place of `work.perform`: says where it is and then answers, or never does."""
    here = get_worker()
    here.log_event(topic, {"attempt": attempt, "address": here.address, "pid": os.getpid()})
    if function == "hangs":
        time.sleep(LIMIT_SECONDS)
    return {"answer": (os.getpid(), arguments), "bytes": 8}


class MemoryStore:
    """A store that can be full."""

    def __init__(self):
        self.runs, self.full = {}, False

    def get(self, key):
        return self.runs.get(key)

    def put(self, stored):
        if self.full:
            raise OSError(28, "No space left on device")
        self.runs[stored.key] = stored


cloudpickle.register_pickle_by_value(sys.modules[__name__])
