"""Runs experiments to their end, group by group on many processes, and writes their tables; what is done stays done."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pandas as pd

from dropclust import experiments
from dropclust.core.paths import cache_folder
from dropclust.core.spec import RunSpec
from dropclust.experiments import results
from dropclust.experiments.experiment import Experiment, Measured, Settings
from dropclust.service import tables
from dropclust.service.export import write_temporary
from dropclust.service.store import Store, Stored, versions

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
) -> list[Path]:
    """Run experiments and write their tables and conditions.

    A group that was measured before, under the same settings, is not measured again: an interruption costs the groups under
    way and no more.

    Parameters
    ----------
    names
        Experiments, by name.
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

    Returns
    -------
    list of Path
        The CSV files.

    Raises
    ------
    ValueError
        For an unknown experiment.
    """
    root = root or results.folder()
    jobs = [_Job(experiments.get(name), settings, root) for name in names]
    futures: dict[Future[Measured], tuple[_Job, int]] = {}
    for job in jobs:
        for number in job.missing:
            futures[executor.submit(job.experiment.measure_group, job.groups[number], settings, 1)] = job, number
    return _collect(jobs, futures, store, progress)


def reproduce_all(
    wanted: Sequence[tuple[str, Settings, Path]], executor: Executor, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Run experiments under several settings at once, the longest group of all first; returns the CSV files.

    A group in which a network diverges has no rows: settings that nobody tried before may be too much for it.

    Parameters
    ----------
    wanted
        Experiment, settings, and the folder of its tables, each folder for one kind of settings.
    executor
        Where groups are trained and measured.
    progress
        Hears how many groups are done, and of how many; those that were measured before are left out.
    """
    jobs = [_Job(experiments.get(name), settings, root) for name, settings, root in wanted]
    parts = [(job, number) for job in jobs for number in job.missing]
    parts.sort(key=lambda part: -sum(spec.flops for spec in part[0].groups[part[1]]))
    futures = {
        executor.submit(_measure_or_nothing, job.experiment, job.groups[number], job.settings): (job, number)
        for job, number in parts
    }
    heard = count(1 - len(jobs))  # each job is told of once before its first group

    def tell(*_: object) -> None:
        if progress and (done := next(heard)) > 0:
            progress(done, len(parts))

    return _collect(jobs, futures, None, tell)


def _measure_or_nothing(experiment: Experiment, specs: Sequence[RunSpec], settings: Settings) -> Measured:
    try:
        return experiment.measure_group(specs, settings, 1)
    except ArithmeticError:
        return Measured({}, ())


def command(name: str, settings: Settings) -> str:
    """The command line that makes an experiment's tables."""
    quick = " --quick" if settings.quick else ""
    precision = "" if settings.precision == Settings(quick=settings.quick).precision else f" --precision {settings.precision}"
    first = f" --first-seed {settings.first_seed}" if settings.first_seed else ""
    return f"python -m dropclust reproduce {name} --recipe {settings.recipe} --seeds {settings.seeds}{first}{quick}{precision}"


def circumstances() -> dict[str, object]:
    """Versions, machine and date: under which a table is made."""
    return {
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


@dataclass
class _Job:
    """What is left of one experiment: the groups not yet measured, longest first, so that the last does not wait alone."""

    experiment: Experiment
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
        conditions = {
            "experiment": self.experiment.name,
            "settings": asdict(self.settings),
            "command": command(self.experiment.name, self.settings),
            "networks": sum(map(len, self.groups)),
            "precision": ", ".join(sorted({spec.precision for specs in self.groups for spec in specs})),
            **circumstances(),
            "seconds": round(seconds, 1),
            "groups_measured_earlier": len(self.groups) - len(self.missing),
        }
        names = dict.fromkeys(file.stem for folder in self.folders for file in sorted(folder.glob("*.csv")))
        written = []
        for name in names:
            files = [folder / f"{name}.csv" for folder in self.folders]
            table = pd.concat([pd.read_csv(file) for file in files if file.exists()], ignore_index=True)
            settings = self.settings
            file_name = results.file_name(name, settings.recipe, settings.quick, settings.first_seed)
            written.append(tables.write(self.root, file_name, table, conditions))
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
    left = {id(job): set(job.missing) for job in jobs}
    written: list[Path] = []
    began, failure = time.monotonic(), None

    def tell(job: _Job) -> None:
        nonlocal began
        name = job.experiment.name
        if progress:
            progress(name, len(job.groups) - len(left[id(job)]), len(job.groups))
        if not left[id(job)]:
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
        left[id(job)].remove(number)
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


def default_store() -> Store:
    """The project's own runs."""
    return Store(cache_folder() / "runs")
