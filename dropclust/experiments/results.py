"""Experiments' tables on disk, read and checked: a CSV and, beside it, the conditions under which it was made, as JSON."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dropclust.core.paths import cache_folder, find
from dropclust.core.spec import MAIN_RECIPES

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PARTS = re.compile(rf"-({'|'.join(MAIN_RECIPES)})(?:-from-(\d+))?(-quick)?$")  # of what `file_name` makes


class ResultError(ValueError):
    """A table that is not there or cannot be read, with one sentence why and the command that makes it."""


@dataclass(frozen=True, eq=False)
class Result:
    """A table and its conditions: command, settings, seeds, versions, machine, date, seconds, SHA-256 of the CSV."""

    table: pd.DataFrame
    conditions: dict[str, Any]

    @property
    def command(self) -> str:
        """The command that makes this table again."""
        return str(self.conditions["command"])


def folder() -> Path:
    """Where tables lie."""
    return cache_folder() / "results"


def stamp() -> tuple[int, int]:
    """Changes with every table that is written there or taken away."""
    if not folder().is_dir():
        return 0, 0
    times = [path.stat().st_mtime_ns for path in folder().iterdir()]
    return len(times), max(times, default=0)


def place(file: str, root: Path | None = None) -> Path:
    """Where a file of that name lies, or would; when ``root`` is None among the user's own results, else the shipped ones."""
    return root / file if root else find("results", file)


def file_name(table: str, recipe: str, quick: bool = False, first_seed: int = 0) -> str:
    """Name of a table's files, without the suffix: quick ones, and other seeds, lie beside the full ones and replace none.

    Examples
    --------
    >>> file_name("table2", "modern"), file_name("table2", "paper", quick=True, first_seed=100)
    ('table2-modern', 'table2-paper-from-100-quick')
    """
    return f"{table}-{recipe}{f'-from-{first_seed}' if first_seed else ''}{'-quick' if quick else ''}"


def read(name: str, root: Path | None = None, columns: Collection[str] = ()) -> Result:
    """Read a table.

    Parameters
    ----------
    name
        As `file_name` makes it.
    root
        Folder to look in; when None the user's own results, and the shipped ones where there are none.
    columns
        What the table must have: one without them was made by another version of the experiment.

    Raises
    ------
    ResultError
        When the table or its conditions are missing or damaged, or a column is missing.
    """
    if not _NAME.fullmatch(name):
        raise ResultError(f"a table's name must be small letters, digits and hyphens; got {name!r}")
    path = place(f"{name}.csv", root)
    again = f"make it again with: {_command(name)}"
    try:
        content = path.read_bytes()
        conditions = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(f"the table {name} is not there; {again}") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"the table {name} cannot be read ({error}); {again}") from error
    if not isinstance(conditions, dict) or conditions.get("sha256") != hashlib.sha256(content).hexdigest():
        raise ResultError(f"the table {name} is damaged or does not belong to its conditions; {again}")
    try:
        table = pd.read_csv(io.BytesIO(content))
    except ValueError as error:
        raise ResultError(f"the table {name} is no table ({error}); {again}") from error
    if missing := [column for column in columns if column not in table]:
        raise ResultError(f"the table {name} has no column {missing[0]}: another version made it; {again}")
    return Result(table, conditions)


def _command(name: str) -> str:
    """The command that makes a table of that name, whether it was ever there or not."""
    words = ["python -m dropclust reproduce", name.split("-")[0]]
    if parts := _PARTS.search(name):
        recipe, first_seed, quick = parts.groups()
        words += [f"--recipe {recipe}"] if recipe != MAIN_RECIPES[0] else []
        words += [f"--first-seed {first_seed}"] if first_seed else []
        words += ["--quick"] if quick else []
    return " ".join(words)
