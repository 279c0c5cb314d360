"""Processes of one thread each, for work that is cut into many parts. It knows nothing of experiments."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType

from dropclust.core.device import VARIABLE

# Numerical libraries read these once, when they are loaded: numpy and scipy each bring an OpenBLAS of their own, scikit-learn
# an OpenMP of its own, and torch's number of threads is none of their business.
ONE_THREAD: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)


@contextmanager
def processes(workers: int, device: str = "auto") -> Iterator[Executor]:
    """A pool of processes with one thread each in everything: small products run faster so than with two threads for one.

    On Linux they are forked from one that has imported everything and read the images, and has no other thread: they start at
    once, and share the memory of both.

    Parameters
    ----------
    workers
        How many; all are started at once, with `ONE_THREAD` in their environment.
    device
        What "auto" means in them. With "cuda" they share the GPU for what pays there, and have greeted it before they begin.
    """
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(["dropclust.service.imported"])
    variables = {**os.environ, **ONE_THREAD, VARIABLE: "auto" if device == "cuda" else device}
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_get_ready, initargs=(variables, device == "cuda"))
    try:
        with _environment(variables):
            for _ in range(workers):  # a process is started for each task that finds none idle, and no other time
                pool.submit(time.sleep, 0.5)
        yield pool
    finally:
        # Stopped half way, what has not begun is dropped and what runs is not waited for.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set them for the children that are started meanwhile, and leave our own as they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _get_ready(variables: Mapping[str, str], gpu: bool) -> None:
    # The process that they are forked from may have been started earlier, in another environment.
    os.environ.clear()
    os.environ.update(variables)
    import torch

    torch.set_num_threads(1)
    if gpu:
        torch.zeros(1, device="cuda")
