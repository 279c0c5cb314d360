"""Runs experiments to their end, group by group on many processes, and writes their tables; what is done stays done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments.experiment import Experiment, Settings
from dropclust.service import own, results
from dropclust.service.atomic import write_temporary
from dropclust.service.conditions import check_seeds, conditions
from dropclust.service.store import Store
from dropclust.service.stored import Stored

Progress = Callable[[str, int, int], None]  # experiment, groups done, groups in all


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """A pool of processes with one torch thread each: small products run faster so than with two threads for one."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        yield pool
    finally:
        # Stopped half way, what has not begun is dropped and what runs is not waited for.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def faster_precision(executor: Executor) -> str:
    """The precision that a short trial, there where the networks are trained, finds faster."""
    return executor.submit(_trial).result()


def _trial() -> str:
    from dropclust.core import training

    return training.faster_precision()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def reproduce(
    names: Sequence[str],
    settings: Settings,
    executor: Executor,
    root: Path | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> list[Path]:
    """Run experiments and write their tables and conditions.

    A group that was measured before, under the same settings, is not measured again: an interruption costs the groups under
    way and no more.

    Parameters
    ----------
    names
        Experiments, by name, or files with one of one's own (`dropclust.service.own.experiment`).
    settings
        Recipe, seeds, quick.
    executor
        Where groups are trained and measured: `processes`, or the executor of a Dask client.
    root
        Where tables go; the project's own results when None.
    store
        Where the networks go that an experiment keeps; nowhere when None.
    progress
        Called after every group.
    replace
        Whether a table of more seeds may be replaced by one of fewer.

    Returns
    -------
    list of Path
        The CSV files.

    Raises
    ------
    ValueError
        For an unknown experiment, and for fewer seeds than a table has, unless it is to be replaced.
    """
    found = prepare(names, settings, root, replace)
    root = root or results.folder()
    written: list[Path] = []
    for name, experiment in found.items():
        written += _one(experiment, name, settings, executor, root, store, progress)
    return written


def prepare(names: Sequence[str], settings: Settings, root: Path | None = None, replace: bool = False) -> dict[str, Experiment]:
    """The experiments by their names, before anything is trained.

    Raises
    ------
    ValueError
        For an unknown experiment, and for fewer seeds than a table has, unless it is to be replaced.
    """
    found = {name: own.experiment(name) for name in names}
    for experiment in found.values():
        if not replace:
            check_seeds(experiment, settings, root)
    return found


def _one(
    experiment: Experiment,
    name: str,
    settings: Settings,
    executor: Executor,
    root: Path,
    store: Store | None,
    progress: Progress | None,
) -> list[Path]:
    groups, began = experiment.groups(settings), time.monotonic()
    parts = root / "parts" / f"{experiment.name}-{_digest(experiment, settings)}"
    folders = [parts / _group_digest(specs) for specs in groups]
    missing = [number for number, folder in enumerate(folders) if not folder.is_dir()]
    done = len(groups) - len(missing)
    if progress:
        progress(experiment.name, done, len(groups))
    futures = {executor.submit(experiment.measure_group, groups[number], settings, 1): number for number in missing}
    failure: BaseException | None = None
    for future in as_completed(futures):
        if future.cancelled() or (error := future.exception()) is not None:
            # What the others have measured is kept before the first failure is told.
            failure = failure or (None if future.cancelled() else error)
            for other in futures:
                other.cancel()
            continue
        measured = future.result()
        if store is not None:
            for trained, metrics in measured.kept:
                store.put(Stored.from_trained(trained, metrics))
        _write_part(folders[futures[future]], measured.tables)
        done += 1
        if progress:
            progress(experiment.name, done, len(groups))
    if failure is not None:
        raise failure
    specs = [spec for group in groups for spec in group]
    facts = conditions(experiment, name, settings, specs, time.monotonic() - began, len(groups) - len(missing))
    tables = dict.fromkeys(file.stem for folder in folders for file in sorted(folder.glob("*.csv")))
    written = []
    for of in tables:
        files = [folder / f"{of}.csv" for folder in folders]
        table = pd.concat([pd.read_csv(file) for file in files if file.exists()], ignore_index=True)
        written.append(results.write(root, results.file_name(of, settings.recipe, settings.quick), table, facts))
    shutil.rmtree(parts, ignore_errors=True)
    return written


def _digest(experiment: Experiment, settings: Settings) -> str:
    # The number of seeds is left out: asking for more seeds keeps those that are done.
    facts = {"version": experiment.version, "recipe": settings.recipe, "quick": settings.quick}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _group_digest(specs: Sequence[RunSpec]) -> str:
    return hashlib.sha256("".join(spec.key for spec in specs).encode()).hexdigest()[:32]


def _write_part(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """A folder that is either there with all its tables, or not there."""
    half = folder.with_name(f"{folder.name}.{os.getpid()}.half")
    half.mkdir(parents=True)
    for name, table in tables.items():
        write_temporary(half, table.to_csv(index=False).encode()).replace(half / f"{name}.csv")
    half.rename(folder)
