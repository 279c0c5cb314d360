"""Experiments' tables on disk: a CSV and, beside it, the conditions under which it was made, as JSON."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dropclust.core.paths import cache_folder, find
from dropclust.service.atomic import sync_folder, write_temporary

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


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


def file_name(table: str, recipe: str, quick: bool = False) -> str:
    """Name of a table's files, without the suffix: quick ones lie beside the full ones and never replace them."""
    return f"{table}-{recipe}{'-quick' if quick else ''}"


def write(root: Path, name: str, table: pd.DataFrame, conditions: dict[str, Any]) -> Path:
    """Write a table and its conditions, each whole or not at all; returns the CSV's path.

    Numbers keep seven significant digits: more than any of them is worth, and equal tables give equal files.
    """
    text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    facts = json.dumps(conditions | {"rows": len(table), "sha256": digest}, indent=1, sort_keys=True)
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{name}.csv"
    for target, content in ((path, text), (path.with_suffix(".json"), facts + "\n")):
        write_temporary(root, content.encode()).replace(target)
    sync_folder(root)
    return path


def read(name: str, root: Path | None = None) -> Result:
    """Read a table.

    Parameters
    ----------
    name
        As `file_name` makes it.
    root
        Folder to look in; when None the user's own results, and the shipped ones where there are none.

    Raises
    ------
    ResultError
        When the table or its conditions are missing or damaged.
    """
    if not _NAME.fullmatch(name):
        raise ResultError(f"a table's name must be small letters, digits and hyphens; got {name!r}")
    path = root / f"{name}.csv" if root else find("results", f"{name}.csv")
    again = f"make it again with: python -m dropclust reproduce {name.split('-')[0]}"
    try:
        content = path.read_bytes()
        conditions = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(f"the table {name} is not there; {again}") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"the table {name} cannot be read ({error}); {again}") from error
    if not isinstance(conditions, dict) or conditions.get("sha256") != hashlib.sha256(content).hexdigest():
        raise ResultError(f"the table {name} is damaged or does not belong to its conditions; {again}")
    return Result(pd.read_csv(io.BytesIO(content)), conditions)
