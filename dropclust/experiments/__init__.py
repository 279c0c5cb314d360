"""The paper and what follows from it, a file an experiment: which networks it needs, what it measures, what it claims."""

from __future__ import annotations

import importlib
from typing import Any

from dropclust.experiments.experiment import Experiment

NAMES = ("figure1", "table1", "figure2", "table2", "figure3", "table3", "onset")


def get(name: str) -> Experiment:
    """The experiment of that name.

    Raises
    ------
    ValueError
        When there is none.
    """
    if name not in NAMES:
        raise ValueError(f"an experiment must be one of {', '.join(NAMES)}; got {name!r}")
    experiment: Experiment = importlib.import_module(f"dropclust.experiments.{name}").EXPERIMENT
    return experiment


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return importlib.import_module(f"dropclust.experiments.{name}")
    raise AttributeError(f"module 'dropclust.experiments' has no attribute {name!r}")
