"""An experiment of one's own: a Python file, named on the command line where one of the paper's experiments could be."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from dropclust import experiments
from dropclust.experiments.experiment import Experiment

_SUFFIX = ".py"
_NAME = re.compile(r"[a-z][a-z0-9]{0,31}")
_WORDS = ("name", "title", "question", "section")


def experiment(name: str) -> Experiment:
    """The paper's experiment of that name, or the one that a Python file declares.

    Parameters
    ----------
    name
        One of `dropclust.experiments.NAMES`, or the path of a file whose ``EXPERIMENT`` is an
        `dropclust.experiments.experiment.Experiment`. The file's folder is added to the end of `sys.path`, so that the
        processes that measure find it too.

    Returns
    -------
    Experiment
        Ready for `dropclust.service.reproduce.reproduce`.

    Raises
    ------
    ValueError
        One sentence, when there is no such experiment, or the file is not one.

    Examples
    --------
    >>> experiment("table2").title
    'Table 2'
    >>> experiment("table9")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: an experiment must be one of figure1, ..., onset, or a Python file; got 'table9'
    """
    if not name.endswith(_SUFFIX):
        try:
            return experiments.get(name)
        except ValueError as error:
            known = ", ".join(experiments.NAMES)
            raise ValueError(f"an experiment must be one of {known}, or a Python file; got {name!r}") from error
    found = getattr(_module(name), "EXPERIMENT", None)
    try:
        found = found() if isinstance(found, type) else found
    except TypeError as error:
        raise ValueError(f"EXPERIMENT of {name} must be complete: {_line(error)}") from error
    if not isinstance(found, Experiment):
        raise ValueError(f"{name} must have an EXPERIMENT that is an Experiment; got {type(found).__name__}")
    if missing := [word for word in _WORDS if not isinstance(getattr(found, word, None), str)]:
        raise ValueError(f"EXPERIMENT of {name} must have a {missing[0]}, which is a text; got none")
    if not _NAME.fullmatch(found.name) or found.name in experiments.NAMES:
        raise ValueError(
            f"EXPERIMENT of {name} must have a name of its own, of at most 32 small letters and digits; got {found.name!r}"
        )
    return found


def files(names: list[str]) -> list[Path]:
    """Those of the names that are files, which workers elsewhere must be sent."""
    return [Path(name).resolve() for name in names if name.endswith(_SUFFIX)]


def _module(name: str) -> ModuleType:
    path = Path(name).resolve()
    if not path.is_file():
        raise ValueError(f"the file of an experiment must be there; got {name!r}")
    if (folder := str(path.parent)) not in sys.path:
        sys.path.append(folder)
    try:
        spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    except ValueError:
        spec = None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path:
        raise ValueError(f"the file of an experiment must have a module's name that no other module has; got {name!r}")
    try:
        return importlib.import_module(path.stem)
    except Exception as error:  # whatever it is, it is the file's, and its author wants to know
        raise ValueError(f"{name} cannot be run: {type(error).__name__}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
