"""Under which conditions a table was made, as it says itself: they name the command that makes it again on any machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dropclust.core.spec import RunSpec
from dropclust.experiments import results
from dropclust.experiments.experiment import Experiment, Settings
from dropclust.service.versions import versions


def command(name: str, settings: Settings) -> str:
    """The command line that makes an experiment's tables again, on any machine.

    A full grid says its precision, which would otherwise be what a short trial finds faster there; a quick one has its own.

    Examples
    --------
    >>> command("table2", Settings(precision="bfloat16"))
    'python -m dropclust reproduce table2 --recipe modern --seeds 20 --precision bfloat16'
    >>> command("table2", Settings("paper", 3, quick=True))
    'python -m dropclust reproduce table2 --recipe paper --seeds 3 --quick'
    """
    words = [f"python -m dropclust reproduce {name} --recipe {settings.recipe} --seeds {settings.seeds}"]
    if settings.first_seed:
        words.append(f"--first-seed {settings.first_seed}")
    if settings.quick:
        words.append("--quick")
    if not settings.quick or settings.precision != Settings(quick=True).precision:
        words.append(f"--precision {settings.precision}")
    return " ".join(words)


def conditions(
    experiment: Experiment,
    name: str,
    settings: Settings,
    specs: Sequence[RunSpec],
    seconds: float,
    groups_measured_earlier: int = 0,
) -> dict[str, Any]:
    """What is stored beside a table.

    Parameters
    ----------
    experiment
        What was measured.
    name
        As it was asked for: the experiment's name, or the path of its file.
    settings
        Recipe, seeds, quick, precision.
    specs
        The networks.
    seconds
        Time it took.
    groups_measured_earlier
        How many groups a run before this one had left.

    Returns
    -------
    dict
        JSON values: ``experiment``, ``settings``, ``command``, ``networks`` (how many), ``seeds`` (which: "0 to 19"), ``masks``
        (how many a network was sampled with; null where none was), ``precision``, ``versions``, ``machine``, ``date``,
        ``seconds``, ``groups_measured_earlier``.
    """
    full, quick = experiment.masks or (None, None)
    return {
        "experiment": experiment.name,
        "settings": asdict(settings),
        "command": command(name, settings),
        "networks": len(specs),
        "seeds": _span({spec.seed for spec in specs}),
        "masks": quick if settings.quick else full,
        "precision": ", ".join(sorted({spec.precision for spec in specs})),
        **circumstances(),
        "seconds": round(seconds, 1),
        "groups_measured_earlier": groups_measured_earlier,
    }


def circumstances() -> dict[str, Any]:
    """Versions, machine and date: under which a table is made."""
    return {
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def check_seeds(experiment: Experiment, settings: Settings, root: Path | None = None) -> None:
    """Refuse to put a table of fewer seeds in the place of one of more.

    Parameters
    ----------
    experiment, settings
        What is about to be made.
    root
        Where tables lie; when None the user's own, and the shipped ones where there are none.

    Raises
    ------
    ValueError
        One sentence. A table that is missing or damaged stands in nobody's way.
    """
    name = results.file_name(experiment.name, settings.recipe, settings.quick, settings.first_seed)
    try:
        before = n_seeds(results.read(name, root).conditions)
    except results.ResultError:
        return
    if before > settings.seeds:
        raise ValueError(
            f"seeds must be {before} or more, for the table {name} has {before}, or --replace be given; got {settings.seeds}"
        )


def n_seeds(conditions: Mapping[str, Any]) -> int:
    """How many seeds the conditions of a table name; 0 where they name none.

    Examples
    --------
    >>> n_seeds({"settings": {"seeds": 20}}), n_seeds({})
    (20, 0)
    """
    settings = conditions.get("settings")
    seeds = settings.get("seeds") if isinstance(settings, Mapping) else None
    return seeds if isinstance(seeds, int) else 0


def _span(seeds: Iterable[int]) -> str:
    """Seeds as text: those that follow each other by their ends."""
    ordered = sorted(seeds)
    if ordered and ordered[-1] - ordered[0] + 1 == len(ordered) > 1:
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(map(str, ordered))
