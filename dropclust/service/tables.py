"""Experiments' tables, written: the CSV and its conditions, each whole or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from dropclust.service.atomic import sync_folder, write_temporary


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
