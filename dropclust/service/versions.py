"""The versions that decide a run's bits."""

from __future__ import annotations

import importlib.metadata
import platform

import dropclust


def versions() -> dict[str, str]:
    """Versions of python and of the packages that decide a run's bits; asks the installed files and imports none.

    Examples
    --------
    >>> sorted(versions())
    ['dropclust', 'numpy', 'python', 'torch']
    """
    return {
        "dropclust": dropclust.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "torch")},
    }
