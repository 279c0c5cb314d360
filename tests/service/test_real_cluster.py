"""A cluster that somebody else runs: Dask's own commands, other folders, TLS from Dask's configuration, no shared disk.

Everything is real here: networks are trained and looked into on workers that see no file of the app, and come back to it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest

from dropclust.__main__ import main
from dropclust.core.similarity import neuron_similarity
from dropclust.core.spec import RunSpec
from dropclust.experiments import results
from dropclust.service import cluster
from dropclust.service.jobs import Jobs
from dropclust.service.requests import Origin, Request
from dropclust.service.store import Store
from dropclust.service.tasks import Task, Tasks
from tests.service.test_jobs import until, until_state

ROOT = Path(__file__).resolve().parents[2]
SHORT = RunSpec(hidden=(20, 12, 8), examples=12_800)
LONG = RunSpec(hidden=(20, 12, 8), batch_size=16, examples=3_000_000)


def configuration(folder: Path) -> dict[str, Any]:
    """Keys for everybody, as whoever runs a cluster names them in Dask's configuration."""
    folder.mkdir()
    security = cluster._write_keys(folder)
    named: dict[str, Any] = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": security["tls_ca_file"],
    }
    for role in ("scheduler", "worker", "client"):
        named[f"distributed.comm.tls.{role}.cert"] = security[f"tls_{role}_cert"]
        named[f"distributed.comm.tls.{role}.key"] = security[f"tls_{role}_key"]
    return named


def nested(configured: dict[str, Any]) -> dict[str, Any]:
    """The same as a file has it: a mapping a level."""
    top: dict[str, Any] = {}
    for name, value in configured.items():
        *levels, last = name.split(".")
        here = top
        for level in levels:
            here = here.setdefault(level, {})
        here[last] = value
    return top


def start(name: str, folder: Path, command: list[str], configured: dict[str, Any]) -> subprocess.Popen[bytes]:
    """One of Dask's own commands, in a folder of its own whose cache holds MNIST's original files and nothing else."""
    home = folder / name
    (home / "cache" / "MNIST").mkdir(parents=True)
    shutil.copytree(ROOT / "cache" / "MNIST" / "raw", home / "cache" / "MNIST" / "raw")
    (home / "dask.yaml").write_text(json.dumps(nested(configured)))  # all JSON is YAML
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DROPCLUST")}
    environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(home), "DROPCLUST_CACHE": str(home / "cache")}
    environment |= {"DASK_CONFIG": str(home / "dask.yaml"), "OMP_NUM_THREADS": "1"}
    with (home / "log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "dask", *command], cwd=home, env=environment, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and two workers; Dask is configured here as a client is."""
    folder = tmp_path_factory.mktemp("elsewhere")
    configured = configuration(folder / "keys")
    file = folder / "scheduler" / "file.json"
    quiet = ["--no-dashboard"]
    scheduler = ["scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), *quiet]
    processes = [start("scheduler", folder, [*scheduler, "--dashboard-address", "127.0.0.1:0"], configured)]
    try:
        found = until(lambda: file.exists() and file.read_text().endswith("}") and json.loads(file.read_text()), "a scheduler")
        worker = ["worker", found["address"], "--protocol", "tls", "--host", "127.0.0.1", "--nthreads", "1", *quiet]
        processes += [start(name, folder, [*worker, "--name", name], configured) for name in ("one", "two")]
        with dask.config.set(configured):
            yield found["address"]
        seen = {path.relative_to(folder).parts[2:] for path in folder.glob("*/cache/**/*") if path.is_file()}
        assert {parts[0] for parts in seen} == {"MNIST"}  # no worker kept a network or a table
    finally:
        for process in processes:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
                child.kill()
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("app") / "runs")


@pytest.fixture(scope="module")
def queue(address: str, store: Store) -> Iterator[Jobs]:
    made = Jobs(store, scheduler=address, calibrate=None)
    yield made
    made.close()


def test_a_network_is_trained_there_and_stored_here(queue: Jobs, store: Store) -> None:
    queue.submit(SHORT)
    run = until_state(queue, SHORT, "done")
    assert len(run.curve) > 1
    stored = store.get(SHORT.key)
    assert stored is not None
    assert (stored.status, stored.steps) == ("done", SHORT.steps)
    assert stored.metrics["test_accuracy"] > 0.3
    until(lambda: queue.threads == 2, "both workers")
    assert not queue.growing  # how many there are is not ours to decide


def test_a_task_takes_the_network_along(queue: Jobs, store: Store) -> None:
    if store.get(SHORT.key) is None:
        queue.submit(SHORT)
        until_state(queue, SHORT, "done")
    tasks = Tasks(queue)
    request = Request("similarity", {"layer": 1, "k": 4, "bias": False}, (Origin.stored(store, SHORT.key),), "Clustering")

    def answered() -> Task | None:
        task = tasks.ask(request)
        assert task.state != "failed", task.message
        return task if task.state == "done" else None

    try:
        found, _ = until(answered, "an answer").answer
    finally:
        tasks.close()
    exact = neuron_similarity(store.get(SHORT.key).network(), 1, 4)
    assert (found.rand, found.incoming_labels.tolist()) == (exact.rand, exact.incoming_labels.tolist())


def test_a_worker_that_is_lost_costs_a_start_and_a_stop_keeps_what_was_learnt(queue: Jobs, store: Store) -> None:
    queue.submit(LONG)
    until(lambda: queue.get(LONG.key).steps > 100, "some steps")
    psutil.Process(queue._records[LONG.key].pid).kill()
    until(lambda: queue.get(LONG.key).restarts == 1, "the loss")
    until(lambda: queue.get(LONG.key).state == "training" and queue.get(LONG.key).steps > 100, "steps of the second start")
    queue.stop(LONG.key)
    run = until_state(queue, LONG, "stopped")
    assert store.get(LONG.key).steps == run.steps > 100


def test_tables_are_made_there_and_lie_here(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    assert main(["reproduce", "table2", "--quick", "--seeds", "1", "--scheduler", address]) == 0
    made = results.read(results.file_name("table2", "modern", quick=True))
    assert set(made.table["seed"]) == {0}
