"""What is said about a result: a data frame in, a frozen object with sentence, table and series out. It knows no page.

``findings.table2.read()`` reads a shipped table and says what it shows; ``findings.claims()`` judges every claim of the paper.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dropclust.experiments import NAMES

if TYPE_CHECKING:
    from dropclust.findings.verdicts import claims as claims


def __getattr__(name: str) -> Any:
    if name == "claims":
        return importlib.import_module("dropclust.findings.verdicts").claims
    if name in NAMES:
        return importlib.import_module(f"dropclust.findings.{name}")
    raise AttributeError(f"module 'dropclust.findings' has no attribute {name!r}")
