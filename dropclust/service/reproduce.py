"""Runs experiments to their end, group by group on many processes, and writes their tables; what is done stays done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments import results
from dropclust.experiments.experiment import Experiment, Measured, Settings
from dropclust.service import own, tables
from dropclust.service.atomic import write_temporary
from dropclust.service.conditions import check_seeds, conditions
from dropclust.service.store import Store
from dropclust.service.stored import Stored

if TYPE_CHECKING:
    from dropclust.core.training import Trained

# Networks that a GPU trains before the first of them is measured: few at first, for the processes wait, and then twice as many
# from wave to wave.
_FIRST_WAVE, _WAVE = 48, 512

Progress = Callable[[str, int, int], None]  # experiment and recipe, groups done, groups in all


def faster_precision(executor: Executor) -> str:
    """The precision that a short trial, there where the networks are trained, finds faster."""
    return executor.submit(_trial).result()


def _trial() -> str:
    from dropclust.core import calibration

    return calibration.faster_precision()


def reproduce(
    names: Sequence[str],
    settings: Settings | Sequence[Settings],
    executor: Executor,
    root: Path | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
    replace_more: bool = False,
    device: str = "cpu",
) -> list[Path]:
    """Run experiments and write their tables and conditions.

    A group that was measured before, under the same settings, is not measured again: an interruption costs the groups under
    way and no more.

    Parameters
    ----------
    names
        Experiments, by name, or files with one of one's own (`dropclust.service.own.experiment`).
    settings
        Recipe, seeds, quick; or several, of different tables.
    executor
        Where groups are trained and measured: `dropclust.service.pool.processes`, or the executor of a Dask client.
    root
        Where tables go; the project's own results when None.
    store
        Where the networks go that an experiment keeps; nowhere when None.
    progress
        Called after every group.
    replace_more
        Whether a table of more seeds may be replaced by one of fewer.
    device
        Where networks are trained. "cpu": where they are measured, group by group. "cuda": in this process, hundreds at a
        time, while those that are trained are measured by ``executor``. "auto": as each process of ``executor`` finds best.

    Returns
    -------
    list of Path
        The CSV files.

    Raises
    ------
    ValueError
        For an unknown experiment, and for fewer seeds than a table has, unless it is to be replaced.
    """
    root, jobs = root or results.folder(), []
    for one in [settings] if isinstance(settings, Settings) else settings:
        found = prepare(names, one, root, replace_more)
        jobs += [_Job(experiment, name, one, root, device) for name, experiment in found.items()]
    return run(jobs, executor, _Collection(jobs, store, progress), device)


def reproduce_all(
    wanted: Sequence[tuple[str, Settings, Path]],
    executor: Executor,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> list[Path]:
    """Run experiments under several settings at once; returns the CSV files.

    A group in which a network diverges has no rows: settings that nobody tried before may be too much for it.

    Parameters
    ----------
    wanted
        Experiment, settings, and the folder of its tables, each folder for one kind of settings.
    executor, device
        As for `reproduce`.
    progress
        Hears how many groups are done, and of how many; those that were measured before are left out.
    """
    jobs = [_Job(own.experiment(name), name, settings, root, device) for name, settings, root in wanted]
    total, heard = (
        sum(len(job.missing) for job in jobs),
        count(1 - len(jobs)),
    )  # each job is told of once before its first group

    def tell(*_: object) -> None:
        if progress and (done := next(heard)) > 0:
            progress(done, total)

    return run(jobs, executor, _Collection(jobs, None, tell), device, forgiving=True)


def run(jobs: Sequence[_Job], executor: Executor, collection: _Collection, device: str, forgiving: bool = False) -> list[Path]:
    """Train and measure what is missing of all jobs, what takes longest to measure first; see `reproduce`."""
    groups = [_Group(job, number) for job in jobs for number in job.missing]
    if device == "cuda":
        for group in groups:
            if group.job.experiment.on_the_way:
                _submit(executor, collection, group, "cpu", forgiving)
        for group, trained in _trained_on_gpu([group for group in groups if not group.job.experiment.on_the_way]):
            packed = [_Packed(each) for each in trained]
            future = executor.submit(_measure, group.job.experiment, packed, group.job.settings, forgiving)
            collection.add(future, group.job, group.number)
            collection.take_finished()
    else:
        for group in sorted(groups, key=lambda group: -sum(spec.flops for spec in group.specs)) if forgiving else groups:
            _submit(executor, collection, group, device, forgiving)
    return collection.finish()


def _submit(executor: Executor, collection: _Collection, group: _Group, device: str, forgiving: bool) -> None:
    """Have a group trained there where it is measured."""
    job = group.job
    future = executor.submit(_train_and_measure, job.experiment, group.specs, job.settings, device, forgiving)
    collection.add(future, job, group.number)


@dataclass(frozen=True)
class _Group:
    """A group of an experiment that is to be trained and measured."""

    job: _Job
    number: int

    @property
    def specs(self) -> list[RunSpec]:
        return self.job.groups[self.number]

    @property
    def curved(self) -> bool:
        return self.job.experiment.curved(self.specs, self.job.settings)

    @property
    def measuring(self) -> float:
        """Seconds that measuring it takes, about."""
        return sum(self.job.experiment.measuring(spec, self.job.settings) for spec in self.specs)


def _trained_on_gpu(groups: Sequence[_Group]) -> Iterator[tuple[_Group, list[Trained]]]:
    """Train groups, as many at once as a wave may hold, those first that take longest to measure; yields each group."""
    from dropclust.core import training

    most = _FIRST_WAVE
    # Those whose curves are wanted are few: a wave of their own, for a curve costs the others time.
    for curve in (True, False):
        left = deque(sorted((group for group in groups if group.curved == curve), key=lambda group: -group.measuring))
        while left:
            wave = [left.popleft()]
            while left and sum(len(group.specs) for group in (*wave, left[0])) <= most:
                wave.append(left.popleft())
            most = min(2 * most, _WAVE)
            trained = iter(training.fit([spec for group in wave for spec in group.specs], curve=curve, device="cuda"))
            for group in wave:
                yield group, list(islice(trained, len(group.specs)))


class _Packed:
    """A trained network as numpy arrays: torch would send each tensor through shared memory, a file descriptor each."""

    def __init__(self, trained: Trained) -> None:
        self.trained, self.arrays = replace(trained, network=None), None
        if (network := trained.network) is not None:
            self.arrays = [w.numpy() for w in network.weights], [b.numpy() for b in network.biases]

    def unpack(self) -> Trained:
        """The same with its tensors."""
        import torch

        from dropclust.core.network import Network

        if self.arrays is None:
            return self.trained
        weights, biases = ([torch.from_numpy(array) for array in arrays] for arrays in self.arrays)
        return replace(self.trained, network=Network(weights, biases, self.trained.spec))


def _measure(experiment: Experiment, group: Sequence[_Packed], settings: Settings, forgiving: bool) -> Measured:
    return _forgiven(lambda: experiment.measure_trained([packed.unpack() for packed in group], settings), forgiving)


def _train_and_measure(
    experiment: Experiment, specs: Sequence[RunSpec], settings: Settings, device: str, forgiving: bool
) -> Measured:
    return _forgiven(lambda: experiment.measure_group(specs, settings, 1, device), forgiving)


def _forgiven(measure: Callable[[], Measured], forgiving: bool) -> Measured:
    """What is measured: nothing where a network diverges and that is allowed."""
    try:
        return measure()
    except ArithmeticError:
        if not forgiving:
            raise
        return Measured({}, ())


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
    device: str = "cpu"  # where its networks are trained
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
        if self.device == "cuda" and not self.experiment.on_the_way:
            import torch

            facts["machine"] += f", {torch.cuda.get_device_name()}"
        names = dict.fromkeys(file.stem for folder in self.folders for file in sorted(folder.glob("*.csv")))
        written = []
        for name in names:
            files = [folder / f"{name}.csv" for folder in self.folders]
            table = pd.concat([pd.read_csv(file) for file in files if file.exists()], ignore_index=True)
            file_name = results.file_name(name, settings.recipe, settings.quick, settings.first_seed)
            written.append(tables.write(self.root, file_name, table, facts))
        shutil.rmtree(self.parts, ignore_errors=True)
        return written


class _Collection:
    """Keeps what is measured as it comes, and writes each experiment's tables once it is complete.

    An experiment's seconds are those since the one before it was complete: the groups of the next fill the processes that the
    last groups of one leave idle.
    """

    def __init__(self, jobs: Sequence[_Job], store: Store | None, progress: Progress | None) -> None:
        self._store, self._progress = store, progress
        self._pending: dict[Future[Measured], tuple[_Job, int]] = {}
        self._left = {id(job): set(job.missing) for job in jobs}
        self._written: list[Path] = []
        self._began = time.monotonic()
        self._failure: BaseException | None = None
        for job in jobs:
            self._tell(job)

    def add(self, future: Future[Measured], job: _Job, number: int) -> None:
        """Wait for one group of an experiment."""
        self._pending[future] = job, number

    def take_finished(self) -> None:
        """Keep what is measured by now.

        Raises
        ------
        Exception
            What a group raised, once what the others have measured is kept.
        """
        for future in [future for future in self._pending if future.done()]:
            self._take(future)
        if self._failure is not None:
            self.finish()

    def finish(self) -> list[Path]:
        """Wait for all that is left; returns the tables written. Raises what a group raised."""
        for future in as_completed(list(self._pending)):
            self._take(future)
        if self._failure is not None:
            raise self._failure
        return self._written

    def _take(self, future: Future[Measured]) -> None:
        job, number = self._pending.pop(future)
        if future.cancelled() or (error := future.exception()) is not None:
            self._failure = self._failure or (None if future.cancelled() else error)
            for other in self._pending:
                other.cancel()
            return
        measured = future.result()
        if self._store is not None:
            for trained, metrics in measured.kept:
                self._store.put(Stored.from_trained(trained, metrics))
        _write_part(job.folders[number], measured.tables)
        self._left[id(job)].remove(number)
        self._tell(job)

    def _tell(self, job: _Job) -> None:
        left = self._left[id(job)]
        if self._progress:
            self._progress(f"{job.experiment.name}, {job.settings.recipe}", len(job.groups) - len(left), len(job.groups))
        if not left:
            now = time.monotonic()
            self._written += job.write(now - self._began)
            self._began = now


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
