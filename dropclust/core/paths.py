"""Where the project's data lie: what came with it, and the one folder that is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# An installed package brings what stands at the top of a checkout (app.py, pages, settings, data) in a folder of its own.
_INSTALLED = Path(__file__).resolve().parents[1] / "shipped"
_TOP = Path(__file__).resolve().parents[2]


def app_folder() -> Path:
    """The folder of ``app.py``: the top of this checkout, or its copy in the installed package."""
    return _INSTALLED if _INSTALLED.is_dir() else _TOP


def cache_folder() -> Path:
    r"""The folder that holds MNIST, tables and runs, and that is written.

    What the environment variable ``DROPCLUST_CACHE`` names; else ``cache/`` of this checkout; else, for an installed package,
    a folder of the user's own: ``$XDG_DATA_HOME/dropclust`` or ``~/.local/share/dropclust``, on macOS ``~/Library/Application
    Support/dropclust``, on Windows ``%LOCALAPPDATA%\dropclust``.
    """
    if named := os.environ.get("DROPCLUST_CACHE"):
        return Path(named)
    return _TOP / "cache" if shipped_folder() is None else _user_folder() / "dropclust"


def shipped_folder() -> Path | None:
    """What an installed package brought, only ever read; None in a checkout, whose ``cache/`` holds it already."""
    return _INSTALLED / "cache" if _INSTALLED.is_dir() else None


def find(*names: str) -> Path:
    """A file or folder below the cache folder; where the user has none, the one that an installed package brought."""
    own, shipped = cache_folder().joinpath(*names), shipped_folder()
    if shipped is not None and not own.exists() and shipped.joinpath(*names).exists():
        return shipped.joinpath(*names)
    return own


def _user_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
