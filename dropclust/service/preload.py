"""What each of our Dask processes does before it serves: see to it that it ends with the app, and, in a worker, get warm.

Dask only logs a preload that fails and goes on without it. This one ends the process instead: a worker that is not guarded
would outlive the app for ever, and one that cannot import torch would fail every run in turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

# Names the private folder of the cluster. Only the app sets it, and only for the processes it starts itself.
FOLDER = "DROPCLUST_CLUSTER_FOLDER"

_PR_SET_PDEATHSIG = 1


def dask_setup(server: object) -> None:
    """Dask calls this once in the scheduler, in each nanny and in each worker, before a worker is given anything to do."""
    is_worker = type(server).__name__ == "Worker"
    or_end_process(end_with_nanny if is_worker else end_with_app)
    if is_worker:
        or_end_process(warm)


def or_end_process(step: Callable[[], None]) -> None:
    """Run one step of a preload; when it raises, write why to stderr and end the process at once, with status 1."""
    try:
        step()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def end_with_app() -> None:
    """End this process when the app ends, however it ends: its end of our stdin closes, and a thread waits for that.

    Unlike a signal at the parent's death this works on every system, also when the app died before we came here. The folder
    with the keys goes as well.
    """
    folder = os.environ.get(FOLDER)
    if folder is None:
        return

    def wait() -> None:
        while os.read(0, 1):
            pass
        for _ in range(2):  # a dying worker may still write there
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=wait, name="ends with the app", daemon=True).start()


def end_with_nanny() -> None:
    """On Linux let the kernel kill a worker whose nanny dies, even one that is deep in a computation.

    Elsewhere Dask's own watch on the nanny has to do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def warm() -> None:
    """Import torch, read MNIST, train a few steps and cluster a few neurons, so that the first run and look start at once."""
    import torch

    torch.set_num_threads(1)
    from dropclust.core import metrics, mnist, prediction, training  # noqa: F401
    from dropclust.core.similarity import neuron_similarity
    from dropclust.core.spec import RunSpec

    with contextlib.suppress(OSError):  # a missing file of MNIST is the run's to report, in its own words
        [trained] = training.fit([RunSpec(hidden=(8, 8, 8), examples=1_280)], data=mnist.load(), threads=1)
        if trained.network is not None:
            neuron_similarity(trained.network, 1, 2)
