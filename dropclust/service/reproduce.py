"""Runs experiments to their end, group by group on many processes, and writes their tables; what is done stays done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments import results
from dropclust.experiments.experiment import Experiment, Measured, Settings
from dropclust.service import own, tables
from dropclust.service.atomic import write_temporary
from dropclust.service.conditions import check_seeds, conditions
from dropclust.service.store import Store
from dropclust.service.stored import Stored

Progress = Callable[[str, int, int], None]  # experiment, groups done, groups in all


def faster_precision(executor: Executor) -> str:
    """The precision that a short trial, there where the networks are trained, finds faster."""
    return executor.submit(_trial).result()


def _trial() -> str:
    from dropclust.core import training

    return training.faster_precision()


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
        Where groups are trained and measured: `dropclust.service.pool.processes`, or the executor of a Dask client.
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
    jobs = [_Job(experiment, name, settings, root) for name, experiment in found.items()]
    futures: dict[Future[Measured], tuple[_Job, int]] = {}
    for job in jobs:
        for number in job.missing:
            futures[executor.submit(job.experiment.measure_group, job.groups[number], settings, 1)] = job, number
    return _collect(jobs, futures, store, progress)


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


@dataclass
class _Job:
    """What is left of one experiment: the groups not yet measured, longest first, so that the last does not wait alone."""

    experiment: Experiment
    name: str  # as it was asked for
    settings: Settings
    root: Path
    groups: list[list[RunSpec]] = field(init=False)
    missing: list[int] = field(init=False)
    parts: Path = field(init=False)
    folders: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.groups = self.experiment.groups(self.settings)
        self.parts = self.root / "parts" / f"{self.experiment.name}-{_digest(self.experiment, self.settings)}"
        self.folders = [self.parts / _group_digest(specs) for specs in self.groups]
        missing = [number for number, folder in enumerate(self.folders) if not folder.is_dir()]
        self.missing = sorted(missing, key=lambda number: -sum(spec.flops for spec in self.groups[number]))

    def write(self, seconds: float) -> list[Path]:
        """Join the parts into the experiment's tables, with their conditions beside them."""
        specs, settings = [spec for group in self.groups for spec in group], self.settings
        facts = conditions(self.experiment, self.name, settings, specs, seconds, len(self.groups) - len(self.missing))
        names = dict.fromkeys(file.stem for folder in self.folders for file in sorted(folder.glob("*.csv")))
        written = []
        for name in names:
            files = [folder / f"{name}.csv" for folder in self.folders]
            table = pd.concat([pd.read_csv(file) for file in files if file.exists()], ignore_index=True)
            file_name = results.file_name(name, settings.recipe, settings.quick, settings.first_seed)
            written.append(tables.write(self.root, file_name, table, facts))
        shutil.rmtree(self.parts, ignore_errors=True)
        return written


def _collect(
    jobs: Sequence[_Job],
    futures: Mapping[Future[Measured], tuple[_Job, int]],
    store: Store | None,
    progress: Progress | None,
) -> list[Path]:
    """Keep what is measured as it comes, and write each experiment's tables once it is complete.

    An experiment's seconds are those since the one before it was complete: the groups of the next fill the processes that the
    last groups of one leave idle.
    """
    left = {job.experiment.name: set(job.missing) for job in jobs}
    written: list[Path] = []
    began, failure = time.monotonic(), None

    def tell(job: _Job) -> None:
        nonlocal began
        name = job.experiment.name
        if progress:
            progress(name, len(job.groups) - len(left[name]), len(job.groups))
        if not left[name]:
            now = time.monotonic()
            written.extend(job.write(now - began))
            began = now

    for job in jobs:
        tell(job)
    for future in as_completed(futures):
        if future.cancelled() or (error := future.exception()) is not None:
            # What the others have measured is kept before the first failure is told.
            failure = failure or (None if future.cancelled() else error)
            for other in futures:
                other.cancel()
            continue
        (job, number), measured = futures[future], future.result()
        if store is not None:
            for trained, metrics in measured.kept:
                store.put(Stored.from_trained(trained, metrics))
        _write_part(job.folders[number], measured.tables)
        left[job.experiment.name].remove(number)
        tell(job)
    if failure is not None:
        raise failure
    return written


def _digest(experiment: Experiment, settings: Settings) -> str:
    # The seeds are left out: asking for more of them keeps those that are done.
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
