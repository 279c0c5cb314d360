"""How much of everything the app takes on, in one place: each bound with its environment variable and what it is about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import MappingProxyType

MIB = 2**20


class BoundReached(ValueError):
    """More was asked for than a bound allows; its text is one sentence that says the bound."""


@dataclass(frozen=True)
class Bound:
    """A limit that whoever starts the app may set.

    Parameters
    ----------
    variable
        The environment variable that sets it.
    default
        Without it.
    about
        What it limits, with its unit, as `dropclust dashboard --help` says it.
    unit
        What a value is multiplied by: `MIB` where people give MiB.
    """

    variable: str
    default: int
    about: str
    unit: int = 1

    def value(self) -> int:
        """The bound in force, in runs, sessions, seconds or bytes.

        Raises
        ------
        ValueError
            When the environment sets it to something else than a whole number from 1 to 1,000,000,000.

        Examples
        --------
        >>> WAITING_IN_ALL.value()
        500
        """
        text = os.environ.get(self.variable, str(self.default)).strip()
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= 1_000_000_000):
            raise ValueError(f"{self.variable} must be a whole number from 1 to 1,000,000,000; got {text[:40]!r}")
        return int(text) * self.unit


# One click on the Explore page asks for the nineteen networks of a seed.
WAITING_OF_ONE = Bound("DROPCLUST_MAX_WAITING", 20, "runs, and as many other tasks, that one session may have waiting")
WAITING_IN_ALL = Bound("DROPCLUST_MAX_WAITING_IN_ALL", 500, "runs, and as many other tasks, that may wait in all")
TASK_SECONDS = Bound("DROPCLUST_MAX_TASK_SECONDS", 300, "seconds that a task other than a training may take")
ANSWER_BYTES = Bound("DROPCLUST_MAX_ANSWERS_MIB", 24, "MiB of finished answers that the server keeps in memory", MIB)
UPLOAD_BYTES = Bound("DROPCLUST_MAX_UPLOAD_MIB", 64, "MiB of an uploaded file", MIB)
STORE_BYTES = Bound(
    "DROPCLUST_MAX_STORE_MIB", 2_000, "MiB of stored networks on disk; beyond it the oldest of one's own go", MIB
)
LIVE_RUNS = Bound("DROPCLUST_MAX_LIVE", 3, "live runs that train, or are paused, at once")
IDLE_SECONDS = Bound(
    "DROPCLUST_MAX_IDLE_SECONDS", 600, "seconds that a worker without work stays, with its 0.8 GB; one stays always"
)
SESSIONS = Bound("DROPCLUST_MAX_SESSIONS", 300, "browser sessions that are served at once")

_ALL = (
    WAITING_OF_ONE, WAITING_IN_ALL, TASK_SECONDS, ANSWER_BYTES, UPLOAD_BYTES, STORE_BYTES, LIVE_RUNS, IDLE_SECONDS, SESSIONS,
)  # fmt: skip
BOUNDS = MappingProxyType({bound.variable: bound for bound in _ALL})


def check() -> None:
    """Read every bound once, before anything is started; raises `ValueError` as `Bound.value` does."""
    for bound in BOUNDS.values():
        bound.value()


def listed() -> str:
    """All bounds as lines for people: variable, default, what it limits.

    Examples
    --------
    >>> print(listed().splitlines()[0])
    DROPCLUST_MAX_WAITING=20: runs, and as many other tasks, that one session may have waiting
    """
    return "\n".join(f"{bound.variable}={bound.default}: {bound.about}" for bound in BOUNDS.values())
