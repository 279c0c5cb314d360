"""The viewer's own runs on an experiment's chart: which stored runs belong there, whatever store they lie in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Protocol

from dropclust.core.spec import RunSpec
from dropclust.experiments.experiment import Experiment, Settings

_FIELDS = tuple(field.name for field in fields(RunSpec))


class Stored(Protocol):
    """What a store tells of a run."""

    @property
    def key(self) -> str:
        """The run's name."""

    @property
    def spec(self) -> RunSpec:
        """What it is."""

    @property
    def status(self) -> str:
        """Its status, "done" where it was trained to its end."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What `dropclust.core.prediction.evaluate` measured."""


@dataclass(frozen=True)
class OwnRun:
    """A stored run that belongs on a chart: its name for people, its key, and what the scaled network reached."""

    name: str
    key: str
    spec: RunSpec
    accuracy: float
    cross_entropy: float  # nats

    @property
    def rate(self) -> float:
        """The highest dropout rate of its layers."""
        return max(self.spec.dropout)

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return self.spec.batch_size


@lru_cache(maxsize=64)
def template_of(experiment: Experiment, recipe: str) -> RunSpec:
    """The first of an experiment's own runs, from which a viewer's may differ."""
    return experiment.specs(Settings(recipe, 1))[0]


def own_runs(
    stored: Iterable[Stored], template: RunSpec, free: Collection[str], name: Callable[[RunSpec], str]
) -> tuple[OwnRun, ...]:
    """The finished runs that differ from a template in some fields at most.

    Parameters
    ----------
    stored
        Any runs.
    template
        One of the experiment's own.
    free
        Fields of `RunSpec` that may differ. Which noise is not put on makes no difference, so that it is free without dropout.
    name
        Gives a run its name for people.
    """
    found = []
    for run in stored:
        may_differ = {*free, "noise"} if not any(run.spec.dropout) else free
        alike = all(getattr(run.spec, name) == getattr(template, name) for name in _FIELDS if name not in may_differ)
        if run.status == "done" and alike:
            accuracy, cross_entropy = (run.metrics[f"test_{what}"] for what in ("accuracy", "cross_entropy"))
            found.append(OwnRun(name(run.spec), run.key, run.spec, accuracy, cross_entropy))
    return tuple(found)
