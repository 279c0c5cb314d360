"""Where the project's data lie: the one folder that holds MNIST, the shipped results and the runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder ``cache/`` of this checkout, or what the environment variable ``DROPCLUST_CACHE`` names instead."""
    return Path(os.environ.get("DROPCLUST_CACHE") or Path(__file__).resolve().parents[2] / "cache")
