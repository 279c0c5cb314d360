"""Measures every claim again under the choices that the paper leaves open, and writes one table of its statistics."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from dropclust import experiments
from dropclust.experiments import results, sensitivity
from dropclust.experiments.claim import Tables
from dropclust.experiments.sensitivity import Variant
from dropclust.service import tables
from dropclust.service.conditions import circumstances
from dropclust.service.reproduce import reproduce_all

COMMAND = f"python -m dropclust reproduce {sensitivity.NAME}"


def measure(
    variants: Sequence[Variant],
    executor: Executor,
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> Path:
    """Run all experiments under each variant and write the statistic of every claim by seed.

    What is measured is kept until all of these variants are: an interruption costs the groups under way. Variants that the
    table has from before and that are not among these stay in it.

    Parameters
    ----------
    variants
        Which; `dropclust.experiments.sensitivity.chosen` finds them.
    executor
        Where networks are trained and measured.
    root
        Where the table goes; the shipped results when None.
    progress
        Hears how many groups are done, and of how many.
    device
        Where networks are trained, as `dropclust.service.reproduce.reproduce` takes it.

    Returns
    -------
    Path
        The CSV file.
    """
    root = root or results.folder()
    folders = {variant: root / "parts" / sensitivity.NAME / _digest(variant) for variant in variants}
    wanted = {  # one change may make the same networks of both main recipes
        (name, variant.settings, folder): None
        for variant, folder in folders.items()
        for name in experiments.NAMES
        if len(_read(name, variant, folder)) < len(experiments.get(name).judged_tables)
    }
    reproduce_all(list(wanted), executor, progress, device)
    found = [sensitivity.rows(variant, _tables(variant, folder)) for variant, folder in folders.items()]
    with suppress(results.ResultError):
        before = results.read(sensitivity.NAME, root).table
        again = {(variant.recipe, variant.name) for variant in variants}
        stays = [(recipe, name) not in again for recipe, name in zip(before["recipe"], before["variant"], strict=True)]
        found.insert(0, before[stays])
    table = pd.concat([part for part in found if len(part)] or found, ignore_index=True)
    conditions = {"command": COMMAND, "seeds": sensitivity.SEEDS, **circumstances()}
    path = tables.write(root, sensitivity.NAME, table, conditions)
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
    return path


def _digest(variant: Variant) -> str:
    return hashlib.sha256(json.dumps(asdict(variant.settings), sort_keys=True).encode()).hexdigest()[:16]


def _tables(variant: Variant, folder: Path) -> dict[str, Tables]:
    return {name: _read(name, variant, folder) for name in experiments.NAMES}


def _read(name: str, variant: Variant, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of an experiment that are there."""
    settings, found = variant.settings, {}
    for table in experiments.get(name).judged_tables:
        with suppress(results.ResultError):
            file = results.file_name(table, settings.recipe, settings.quick, settings.first_seed)
            found[table] = results.read(file, folder).table
    return found
