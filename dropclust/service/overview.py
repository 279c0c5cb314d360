"""How the running app is doing, in numbers and without names: sessions, queue, workers. It starts nothing."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from dropclust.service.jobs import ENDED

if TYPE_CHECKING:
    from dropclust.service.jobs import Jobs

_lock = threading.Lock()
_queue: Jobs | None = None  # the one that this process serves, once a page has asked for it


def watch(queue: Jobs) -> None:
    """Name the queue that this process serves."""
    global _queue
    with _lock:
        _queue = queue


def overview() -> dict[str, Any]:
    """The state of the app.

    Returns
    -------
    dict
        ``status``: "ok", "starting" until a worker is there, "failed" when there can be none, "idle" before a page was opened;
        ``sessions``: pages that are open; ``queue``: the number of runs in each state; ``workers``: how many there are;
        ``failure``: one sentence, or None.

    Examples
    --------
    >>> sorted(overview())
    ['failure', 'queue', 'sessions', 'status', 'workers']
    """
    queue = _queue
    if queue is None:
        return {"status": "idle", "sessions": _sessions(), "queue": {}, "workers": 0, "failure": None}
    states = Counter(run.state for run in queue.runs())
    status = "failed" if queue.failure else "ok" if queue.ready else "starting"
    return {
        "status": status,
        "sessions": _sessions(),
        "queue": dict(sorted(states.items())),
        "workers": queue.threads if queue.ready else 0,
        "failure": queue.failure,
    }


def stop_all() -> int:
    """Ask everything that waits or trains to stop; returns how many runs that is."""
    queue = _queue
    active = [] if queue is None else [run for run in queue.runs() if run.state not in ENDED]
    for run in active:
        if queue is not None:
            queue.stop(run.key)
    return len(active)


def _sessions() -> int:
    from streamlit import runtime

    return len(runtime.get_instance()._session_mgr.list_active_sessions()) if runtime.exists() else 0
