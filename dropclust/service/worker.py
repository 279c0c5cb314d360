"""One run, seen from the worker process that trains it: a spec comes in, plain arrays and numbers go back.

The app imports this file to name its functions to Dask, so it loads no torch until one of them runs.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
import uuid
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol

from dropclust.core.spec import RunSpec
from dropclust.service.versions import versions

STEPS_SECONDS = 0.25  # between two words about nothing but the number of steps

# The attempts this process is busy with, each with the flag that asks it to stop. `stop` reaches a busy worker from
# outside its task, so the two can only meet in something that belongs to the process.
_BUSY: dict[str, threading.Event] = {}


def run(spec_json: str, attempt: str, topic: str) -> dict[str, Any]:
    """Train one spec and measure the result; a Dask task.

    Parameters
    ----------
    spec_json
        What `RunSpec.to_json` wrote.
    attempt
        Name of this attempt, unique among all attempts of all apps.
    topic
        The Dask topic on which its progress is told.

    Returns
    -------
    dict
        What `outcome` returns; for a run that failed only ``status="failed"`` and ``message``, one sentence. An exception is
        not raised: its type may live in torch, which the app would have to import in order to read it.
    """
    with Attempt(attempt, topic) as here:
        try:
            return outcome(RunSpec.from_json(spec_json), here)
        except Exception as error:
            traceback.print_exc()  # the whole story, in the worker's own log
            return {"status": "failed", "message": sentence(error)}


class Watcher(Protocol):
    """Who follows a training."""

    def point(self, point: dict[str, Any]) -> None:
        """Hear of a new point of the held-out curve."""

    def steps(self, steps: int) -> None:
        """Hear how many steps are made, several times a second."""

    def should_stop(self) -> bool:
        """Say whether to stop; asked every 50 ms."""


def outcome(spec: RunSpec, watcher: Watcher) -> dict[str, Any]:
    """Train one spec and measure it on the test images and on the held-out ones, through the scaled network.

    Parameters
    ----------
    spec
        The run.
    watcher
        Who follows it.

    Returns
    -------
    dict
        ``status`` ("done", "stopped" or "diverged"), ``message``, ``weights`` and ``biases`` (float32 arrays ``[in, out]``
        and ``[out]``; none when diverged), ``curve``, ``metrics``, ``steps``, ``seconds`` and ``versions``.
    """
    from dropclust.core import mnist, training
    from dropclust.core.prediction import evaluate

    data = mnist.load()
    [trained] = training.fit(
        [spec],
        data=data,
        on_point=lambda _, point: watcher.point(asdict(point)),
        on_step=lambda share: watcher.steps(round(share * spec.steps)),
        should_stop=watcher.should_stop,
        threads=1,
    )
    network = trained.network
    measured = evaluate(network, data) if network is not None else {}
    return {
        "status": trained.status,
        "message": f"diverged at step {trained.diverged_at}" if trained.status == "diverged" else "",
        "weights": [weight.numpy() for weight in network.weights] if network is not None else [],
        "biases": [bias.numpy() for bias in network.biases] if network is not None else [],
        "curve": [asdict(each) for each in trained.curve],
        "metrics": measured,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "versions": versions() | {"device": trained.device},
    }


def calibrate() -> dict[str, Any]:
    """How fast this worker trains: the fields of a `dropclust.core.cost.Calibration`."""
    from dropclust.core import calibration

    return asdict(calibration.calibrate())


def stop(attempt: str) -> bool:
    """Ask an attempt that this process is busy with to stop; Dask calls it beside the running task.

    Returns whether the attempt was here.
    """
    flag = _BUSY.get(attempt)
    if flag is not None:
        flag.set()
    return flag is not None


def sentence(error: BaseException) -> str:
    """An exception as one line for people; what we raise ourselves is a sentence already."""
    text = " ".join(str(error).split())
    return text if text and isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {text}".rstrip(": ")


class Attempt:
    """The line between a running task and the app: progress goes out, the wish to stop comes in.

    Each message says which attempt it is about, and which life of it: Dask may start the same attempt a second time on
    another worker, and the points of the two must not mix.
    """

    def __init__(self, attempt: str, topic: str) -> None:
        from distributed import get_worker

        self._worker = get_worker()
        self._attempt, self._topic, self._life = attempt, topic, uuid.uuid4().hex
        self._flag, self._heard, self._said = threading.Event(), False, 0.0

    def __enter__(self) -> Attempt:
        _BUSY[self._attempt] = self._flag
        self._say()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _BUSY.pop(self._attempt, None)

    def point(self, point: dict[str, Any]) -> None:
        """Tell a new point of the curve."""
        self._say(point=point, steps=point["step"])

    def steps(self, steps: int) -> None:
        """Tell how many steps are made, unless something was told a moment ago."""
        if time.monotonic() - self._said > STEPS_SECONDS:
            self._say(steps=steps)

    def should_stop(self) -> bool:
        """Whether somebody asked this attempt to stop; the first yes is told, so that the app waits for what was learnt."""
        if not self._flag.is_set():
            return False
        if not self._heard:
            self._heard = True
            self._say()
        return True

    def _say(self, point: dict[str, Any] | None = None, steps: int = 0) -> None:
        self._said = time.monotonic()
        self._worker.log_event(
            self._topic,
            {
                "attempt": self._attempt,
                "life": self._life,
                "address": self._worker.address,
                "pid": os.getpid(),
                "heard": self._heard,
                "point": point,
                "steps": steps,
            },
        )
