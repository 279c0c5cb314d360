"""Files that are written whole or not at all, whatever happens to the disk or the process."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_TEMPORARY = (".dropclust-", ".tmp")


def write(path: Path, content: bytes) -> None:
    """Write a file down to the disk, replacing what is there: the old file or the new one, whole.

    Raises
    ------
    OSError
        As the system says.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "note.txt", b"whole")
    ...     [file.read_text() for file in Path(folder).iterdir()]
    ['whole']
    """
    temporary = write_temporary(path.parent, content)
    try:
        temporary.replace(path)
    except BaseException:
        discard(temporary)
        raise
    sync_folder(path.parent)


def write_temporary(folder: Path, content: bytes) -> Path:
    """Write bytes to a new file ``.dropclust-*.tmp`` in ``folder``, down to the disk, ready to be renamed.

    Raises
    ------
    OSError
        As the system says; the file is gone then.
    """
    path = folder / f"{_TEMPORARY[0]}{os.getpid()}-{secrets.token_hex(8)}{_TEMPORARY[1]}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        discard(path)
        raise
    return path


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of one that `write_temporary` makes."""
    return path.name.startswith(_TEMPORARY[0]) and path.name.endswith(_TEMPORARY[1])


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder last through a power cut, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a temporary file if that can be done."""
    with contextlib.suppress(OSError):
        path.unlink()
