"""What the tests of the store share: small runs, system calls that fail, and processes that save until they are killed."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dropclust.core.spec import RunSpec
from dropclust.service.store import Store
from dropclust.service.stored import Stored

# All calls by which a save can touch the disk.
CALLS = ("open", "write", "fsync", "replace", "close", "mkdir", "unlink", "stat", "fstat", "scandir")


def run(
    seed: int = 0,
    *,
    hidden: tuple[int, int, int] = (8, 6, 5),
    status: str = "done",
    fill: float | None = None,
    **facts: Any,
) -> Stored:
    """A small run; ``fill`` makes all its weights equal, else they are drawn by ``seed``."""
    spec = RunSpec(hidden=hidden, seed=seed)
    random = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        drawn = random.standard_normal(shape, np.float32)
        return drawn if fill is None else np.full(shape, fill, np.float32)

    return Stored(
        **{
            "spec": spec,
            "weights": tuple(array(a, b) for a, b in zip(spec.widths[:-1], spec.widths[1:], strict=True)),
            "biases": tuple(array(b) for b in spec.widths[1:]),
            "curve": [{"step": 1, "examples": 128, "loss": 2.25, "accuracy": 0.125, "seconds": 0.5}],
            "metrics": {"accuracy": 0.25 if fill is None else fill, "rand": 0.75},
            "status": status,
            "steps": spec.steps,
            "seconds": 1.5,
            "created": "2026-01-02T03:04:05.678+00:00",
            "versions": {"torch": "2.9.0", "python": "3.11.7"},
            **facts,
        }
    )


def same(one: Stored, other: Stored | None) -> bool:
    """Whether two runs are equal in every field, arrays bit by bit."""
    if other is None:
        return False
    arrays = zip(one.weights + one.biases, other.weights + other.biases, strict=True)
    rest = [(one.spec, other.spec), (one.curve, other.curve), (one.metrics, other.metrics), (one.versions, other.versions)]
    rest += [((r.status, r.steps, r.seconds, r.created), (s.status, s.steps, s.seconds, s.created)) for r, s in [(one, other)]]
    return all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in arrays) and all(a == b for a, b in rest)


@contextmanager
def failing(monkeypatch: Any, number: int, code: int, names: tuple[str, ...] = CALLS) -> Iterator[list[str]]:
    """Let the ``number``-th of all named calls in `os` fail with an errno, once; yields the calls made so far."""
    made: list[str] = []

    def failing_call(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            if len(made) == number:
                if name == "close":
                    real(*args)  # the system closes a file even where it says that it could not
                raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(os, name, failing_call(name, getattr(os, name)))
        yield made


@contextmanager
def read_only(monkeypatch: Any) -> Iterator[None]:
    """Let every call that would change the disk fail as on a read-only one."""
    real = os.open

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def only_reading(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        return refuse() if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else real(path, flags, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", only_reading)
        for name in ("mkdir", "replace", "rename", "unlink"):
            patch.setattr(os, name, refuse)
        yield


def save_for_ever(root: Path, child: int) -> None:
    """Save the same three runs again and again, each time with other content; say when the first is saved."""
    store = Store(root)
    for turn in range(1_000_000):
        store.put(run((child + turn) % 3, fill=float(child * 1000 + turn % 1000)))
        if turn == 0:
            print("saved", flush=True)


def serve(root: Path) -> None:
    """For each line read, fork a child that saves for ever, say its number, and how it ended once somebody has killed it."""
    for child, _ in enumerate(sys.stdin):
        if (process := os.fork()) == 0:
            save_for_ever(root, child)
        print(process, flush=True)
        _, ended = os.waitpid(process, 0)
        print("ended", os.waitstatus_to_exitcode(ended), flush=True)


def put_many(root: Path, writer: int, turns: int) -> None:
    """One of several processes that write the same runs: every content tells its writer."""
    store = Store(root)
    for turn in range(turns):
        store.put(run(turn % 3, fill=float(writer)))
        time.sleep(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        put_many(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
