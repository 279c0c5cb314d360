"""Processes of one thread each: in torch, BLAS and OpenMP alike, and without a trace in our own environment."""

import os

from dropclust.core.device import VARIABLE
from dropclust.service.pool import ONE_THREAD, processes


def test_every_numerical_library_of_every_process_has_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with processes(2) as pool:
        assert os.environ["OMP_NUM_THREADS"] == "2"
        assert "OPENBLAS_NUM_THREADS" not in os.environ
        for submitted in [pool.submit(threads) for _ in range(4)]:
            found = submitted.result(timeout=120)
            assert len(found) >= 3
            assert set(found.values()) == {1}


def test_all_processes_are_there_from_the_start():
    with processes(3) as pool:
        assert len(pool._processes) == 3


def test_processes_that_are_started_later_have_the_environment_of_then(monkeypatch):
    for value in ("first", "second"):
        monkeypatch.setenv("DROPCLUST_OF_A_TEST", value)
        with processes(1, "cpu") as pool:
            assert pool.submit(os.getenv, "DROPCLUST_OF_A_TEST").result(timeout=120) == value
            assert pool.submit(os.getenv, VARIABLE).result(timeout=120) == "cpu"


def threads() -> dict[str, int]:
    """Threads of each library that is loaded for a group's measurement; a machine may set a limit of its own of one."""
    import sklearn.cluster  # noqa: F401
    import torch
    from threadpoolctl import threadpool_info

    assert {name: os.environ[name] for name in ONE_THREAD} == dict(ONE_THREAD)
    return {"torch": torch.get_num_threads()} | {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
