"""A live run, seen from the worker that trains it: commands come in between two steps, what can be seen goes out.

The app imports this file to name its functions to Dask, so it loads no torch until one of them runs.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import traceback
import uuid
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dropclust.core.spec import LIMITS, RunSpec
from dropclust.service.versions import versions
from dropclust.service.worker import sentence

if TYPE_CHECKING:
    from dropclust.core.glance import Glance

CLUSTERS = 10
LOOK_SECONDS = 0.3  # between two looks at the least
LOOK_SHARE = 0.25  # of the time that looks may take: what is left is for training
PICTURE_SECONDS = 2.0  # between two pictures of the neurons
IMAGES = 1_000  # held-out ones behind twins and dead neurons
SLICE_STEPS = 8  # made before the next command is heard
CURVE_POINTS = 200  # kept of the held-out curve
SILENCE_SECONDS = 60.0  # an app that says nothing for so long is gone, and its run ends
_WAIT_SECONDS = 0.05
_CREDIT_SECONDS = 0.5  # of its pace that a run which was held up makes up for

# The live runs of this process. `steer` reaches a busy worker from outside its task, so the two can only meet here.
_HELMS: dict[str, Helm] = {}


def steer(message: str) -> bool:
    """Hand commands to a live run of this process; Dask calls it beside the running task.

    Parameters
    ----------
    message
        JSON: ``attempt``, and ``commands``, each with its number ``n`` and what to ``do``. Those that were sent before may be
        sent again: each is followed once, in the order of their numbers.

    Returns
    -------
    bool
        Whether the run was here.
    """
    told = json.loads(message)
    helm = _HELMS.get(told["attempt"])
    if helm is not None:
        helm.hear(told["commands"])
    return helm is not None


def longest(spec: RunSpec) -> RunSpec:
    """The same run with as many examples as a run may have: a live run ends somewhere before.

    Examples
    --------
    >>> longest(RunSpec(examples=1_280)).examples
    3000000
    """
    low, high = spec.batch_size, int(LIMITS["examples"][1])
    while low < high:
        middle = (low + high + 1) // 2
        try:
            replace(spec, examples=middle, schedule=())
            low = middle
        except ValueError:  # it would take too long
            high = middle - 1
    return replace(spec, examples=low)


def live(spec_json: str, done: int, paused: bool, pace: float | None, heard: int, attempt: str, topic: str) -> dict[str, Any]:
    """Train a run under its viewers' hands, until they end it; a Dask task.

    Parameters
    ----------
    spec_json
        The run at its longest, with the schedule of what was done so far.
    done
        Steps to make first, without a look on the way: those that a lost worker had made.
    paused
        Whether to wait then.
    pace
        Examples a second; None for as fast as it can.
    heard
        Number of the last command that is in the schedule already.
    attempt
        Name of this attempt, unique among all attempts of all apps.
    topic
        The Dask topic on which is told what can be seen.

    Returns
    -------
    dict
        ``status`` "ended" with ``spec`` (as JSON), ``weights``, ``biases``, ``curve``, ``metrics``, ``steps``, ``seconds`` and
        ``versions`` as `dropclust.service.worker.outcome` has them; "unlearnt" for a run without a step; "failed" with a
        ``message``.
    """
    with Helm(attempt, topic, heard) as helm:
        try:
            return _Live(RunSpec.from_json(spec_json), paused, pace, helm).run(done)
        except Exception as error:
            traceback.print_exc()  # the whole story, in the worker's own log
            return {"status": "failed", "message": sentence(error)}


class Helm:
    """The line between a live run and the app.

    Parameters
    ----------
    attempt, topic
        As `live` has them.
    heard
        Number of the last command that was followed.
    """

    def __init__(self, attempt: str, topic: str, heard: int = 0) -> None:
        from distributed import get_worker

        self._worker = get_worker()
        self._attempt, self._topic, self._life = attempt, topic, uuid.uuid4().hex
        self._condition = threading.Condition()
        self._waiting: dict[int, dict[str, Any]] = {}
        self.heard = heard
        self.last_word = time.monotonic()

    def __enter__(self) -> Helm:
        from distributed import secede

        # Its worker takes other tasks beside it: a live run is long, and mostly waits.
        secede()  # type: ignore[no-untyped-call]
        _HELMS[self._attempt] = self
        self.say({})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _HELMS.pop(self._attempt, None)

    def hear(self, commands: Sequence[dict[str, Any]]) -> None:
        """Take in commands, from any thread."""
        with self._condition:
            self.last_word = time.monotonic()
            self._waiting.update({command["n"]: command for command in commands if command["n"] > self.heard})
            self._condition.notify_all()

    def take(self) -> list[dict[str, Any]]:
        """The commands that come next, in order."""
        with self._condition:
            taken = []
            while self.heard + 1 in self._waiting:
                self.heard += 1
                taken.append(self._waiting.pop(self.heard))
            return taken

    def wait(self, seconds: float) -> None:
        """Wait for a command, but not longer."""
        with self._condition:
            if self.heard + 1 not in self._waiting:
                self._condition.wait(seconds)

    def say(self, update: dict[str, Any]) -> None:
        """Tell the app something."""
        self._worker.log_event(
            self._topic,
            {
                "attempt": self._attempt,
                "life": self._life,
                "address": self._worker.address,
                "pid": os.getpid(),
                "heard": self.heard,
                **update,
            },
        )


class _Live:
    """One live run, between its helm and its training."""

    def __init__(self, spec: RunSpec, paused: bool, pace: float | None, helm: Helm) -> None:
        import torch

        from dropclust.core import mnist
        from dropclust.core.training import Training

        torch.set_num_threads(1)  # of this thread of the process: the same bits as a worker's other trainings
        self._helm, self._data = helm, mnist.load()
        self._training = Training(spec, self._data, "cpu")
        self._goal: int | None = 0 if paused else None  # the step to pause at
        self._pace, self._credit, self._credited = pace, 0.0, time.monotonic()
        self._round = 0  # how often it was started again
        self._seen: tuple[Glance, ...] = ()
        self._looks, self._looked_at, self._look_due, self._picture_due = 0, -1, 0.0, 0.0
        self._curve: list[dict[str, float]] = []
        self._seconds = 0.0
        self._told_pieces: object = None
        self._speed: tuple[float, int] = (time.monotonic(), 0)

    @property
    def _paused(self) -> bool:
        done = self._training.step_number
        return self._training.finished or (self._goal is not None and done >= self._goal)

    def run(self, done: int) -> dict[str, Any]:
        self._catch_up(done)
        if self._goal is not None:
            self._goal = done
        was = None
        while True:
            commands = self._helm.take()
            if any(command["do"] == "end" for command in commands):
                return self._outcome()
            for command in commands:
                self._follow(command)
            if commands or self._paused != was:
                was = self._paused
                self._tell()
            now = time.monotonic()
            if now - self._helm.last_word > SILENCE_SECONDS:
                return self._outcome()
            made = self._advance(now)
            if self._training.step_number != self._looked_at and (self._paused or now >= self._look_due):
                self._look()
            elif not made:
                self._helm.wait(_WAIT_SECONDS)

    def _catch_up(self, done: int) -> None:
        said = 0.0
        while (here := self._training.step_number) < done and not self._training.finished:
            self._training.step(min(SLICE_STEPS, done - here))
            if time.monotonic() - said > LOOK_SECONDS:
                said = time.monotonic()
                self._helm.say({"catching": [self._training.step_number, done]})

    def _follow(self, command: dict[str, Any]) -> None:
        what, done = command["do"], self._training.step_number
        if what == "play":
            self._goal = None
        elif what == "pause":
            self._goal = done
        elif what == "step":
            self._goal = done + int(command["steps"])
        elif what == "pace":
            self._pace, self._credit = command["pace"], 0.0
        elif what == "rates":
            try:
                self._training.rates = command["rates"]
            except ValueError as error:  # the 1,001st change, or nothing comes any more
                self._helm.say({"refused": sentence(error)})
        elif what == "restart":
            from dropclust.core.training import Training

            self._training = Training(
                replace(self._training.spec, dropout=self._training.rates, schedule=()), self._data, "cpu"
            )
            self._goal = None if self._goal is None else 0
            self._round += 1
            self._seen, self._looked_at, self._look_due, self._picture_due = (), -1, 0.0, 0.0
            self._curve, self._seconds = [], 0.0

    def _advance(self, now: float) -> int:
        """Make the steps that are due, a few at most; returns how many."""
        elapsed, self._credited = now - self._credited, now
        if self._paused:
            self._credit = 0.0
            return 0
        due = SLICE_STEPS
        if self._pace is not None:
            a_second = self._pace / self._training.spec.batch_size
            self._credit = min(self._credit + elapsed * a_second, max(1.0, _CREDIT_SECONDS * a_second))
            due = min(int(self._credit), SLICE_STEPS)
        if self._goal is not None:
            due = min(due, self._goal - self._training.step_number)
        if due < 1:
            return 0
        made = self._training.step(due)
        self._credit -= made
        self._seconds += time.monotonic() - now
        return made

    def _told(self) -> dict[str, Any]:
        """What changes with every step and command."""
        training, now = self._training, time.monotonic()
        spec = training.spec
        (since, before), done = self._speed, training.step_number
        self._speed = now, done
        update: dict[str, Any] = {
            "step": done,
            "rates": list(training.rates),
            "paused": self._paused,
            "finished": training.finished,
            "pace": self._pace,
            "round": self._round,
            "speed": round(max(0, done - before) * spec.batch_size / max(now - since, 1e-3)),
        }
        pieces = (self._round, spec.dropout, spec.schedule)
        if pieces != self._told_pieces:
            self._told_pieces = pieces
            update["dropout"], update["pieces"] = list(spec.dropout), [[step, list(rates)] for step, rates in spec.schedule]
        return update

    def _tell(self) -> None:
        self._helm.say(self._told())

    def _look(self) -> None:
        """Look at the network as it is, and tell what was seen."""
        import torch

        from dropclust.core import glance
        from dropclust.core.prediction import hidden_activations

        began = time.monotonic()
        training = self._training
        network = training.network()  # raises once it has diverged
        loss, accuracy = training.held_out()
        with torch.inference_mode():
            images = self._data.held_x[:IMAGES]
            activations = [part.numpy() for part in hidden_activations(network, images)]
        weights, biases = [each.numpy() for each in network.weights], [each.numpy() for each in network.biases]
        self._seen = glance.look(weights, biases, activations, CLUSTERS, self._seen, self._looks)
        self._looks, self._looked_at = self._looks + 1, training.step_number
        self._add_point(loss, accuracy)
        update: dict[str, Any] = {"loss": loss, "accuracy": accuracy, "layers": [_packed(each) for each in self._seen]}
        if began >= self._picture_due or self._paused:
            update["pictures"] = [_picture(active, images.numpy()) for active in activations]
            self._picture_due = began + PICTURE_SECONDS
        self._helm.say({**self._told(), "look": update})
        now = time.monotonic()
        self._look_due = now + max(LOOK_SECONDS, (now - began) * (1 / LOOK_SHARE - 1))

    def _add_point(self, loss: float, accuracy: float) -> None:
        done = self._training.step_number
        if self._curve and self._curve[-1]["step"] == done:
            return
        self._curve.append(
            {
                "step": done,
                "examples": done * self._training.spec.batch_size,
                "loss": loss,
                "accuracy": accuracy,
                "seconds": self._seconds,
            }
        )
        if len(self._curve) > CURVE_POINTS:
            del self._curve[1:-1:2]

    def _outcome(self) -> dict[str, Any]:
        from dropclust.core.device import name_of
        from dropclust.core.prediction import evaluate

        training = self._training
        if not training.step_number:
            return {"status": "unlearnt"}
        network = training.network()
        loss, accuracy = training.held_out()
        self._add_point(loss, accuracy)
        import torch

        return {
            "status": "ended",
            "spec": training.so_far.to_json(),
            "weights": [weight.numpy() for weight in network.weights],
            "biases": [bias.numpy() for bias in network.biases],
            "curve": self._curve,
            "metrics": evaluate(network, self._data, "cpu"),
            "steps": training.step_number,
            "seconds": self._seconds,
            "versions": versions() | {"device": name_of(torch.device("cpu"))},
        }


def _bytes64(values: Any) -> str:
    import numpy as np

    return base64.b64encode(np.ascontiguousarray(values, dtype=np.uint8).tobytes()).decode("ascii")


def _packed(seen: Glance) -> dict[str, Any]:
    """A look at a layer as small as it can be sent: a byte a neuron for its cluster, its twin, and three flags."""
    flags = seen.agree * 1 + seen.dead * 2
    return {
        "clusters": _bytes64(seen.incoming),
        "twin": _bytes64(seen.twin),
        "flags": _bytes64(flags),
        "adjusted": round(seen.adjusted_rand, 3),
        "low": round(seen.low, 3),
        "high": round(seen.high, 3),
        "twins": seen.twins,
        "dead": int(seen.dead.sum()),
        "agree": int(seen.agree.sum()),
    }


def _picture(active: Any, pixels: Any) -> str:
    """A layer's neurons by the ink that excites them, from their activations ``[n, h]`` on images ``[n, 784]``."""
    import numpy as np

    from dropclust.core.receptive import ink_of
    from dropclust.service.sheet import sheet

    return base64.b64encode(sheet(np.maximum(ink_of(active, pixels), 0))).decode("ascii")
