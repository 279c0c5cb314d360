"""Finished runs on disk, one checked file a run, so that none is trained twice; read with numpy alone, without torch."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shutil
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from dropclust.core.paths import cache_folder, shipped_folder
from dropclust.service.atomic import discard, is_temporary, sync_folder, write_temporary
from dropclust.service.bounds import STORE_BYTES
from dropclust.service.files.common import MAX_FILE_BYTES, LoadError
from dropclust.service.stored import Stored, Summary, from_bytes, read_summary, to_bytes

try:
    import fcntl
except ImportError:  # Windows: threads of one process still wait for each other there, processes do not
    fcntl = None  # type: ignore[assignment]

LIMIT_BYTES = STORE_BYTES.default * STORE_BYTES.unit
RECENT_NS = 100_000_000  # a folder that changed within so long may change again without a sign
FREE_BYTES = 50_000_000  # on the disk, below which nobody should begin to train
STALE_SECONDS = 3600.0  # a temporary file older than this belongs to a writer that died
_KEY = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_SUFFIX = ".safetensors"
_MAX_SHIPPED_BYTES = 2**20

T = TypeVar("T")
Stamp = tuple[int, int, int]  # inode, mtime in ns, size: a file that was not written since
Summaries = list[Summary]
Folders = dict[str, Stamp]


class StoreError(OSError):
    """A run that could not be stored, with one sentence why; what is there is the old file or the new one, whole."""


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _age(item: tuple[Path, os.stat_result]) -> tuple[int, Path]:
    return item[1].st_mtime_ns, item[0]


def _files(entries: Sequence[os.DirEntry[str]]) -> Iterator[tuple[Path, os.stat_result]]:
    """The files among the entries, links among them, folders not."""
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            if not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _read_file(path: Path, read: Callable[[io.BufferedReader, os.stat_result], T]) -> T:
    """Call ``read`` on a regular file of bounded size that is no link.

    Raises
    ------
    LoadError
        When it is anything else.
    OSError
        As the system says; FileNotFoundError when there is none.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise LoadError("is a link, a folder or a device")
    # Should it become a link or a pipe in between: neither followed nor waited for.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_FILE_BYTES:
            raise LoadError(f"has {status.st_size:,} bytes, more than a run's {MAX_FILE_BYTES:,}")
        return read(file, status)


def _summarise(file: io.BufferedReader, status: os.stat_result, key: str) -> tuple[Stamp, Summary]:
    return _stamp(status), read_summary(file, status.st_size, key)


class Store:
    """The runs of one folder: ``<first two of key>/<key>.safetensors``, each written whole or not at all.

    A file holds the weights as tensors and everything else as one JSON text with two SHA-256 digests, of the tensors and of
    the text. They find damage, not forgery. A file that is cut short, foreign or damaged counts as absent: it is moved to
    ``damaged/`` and said once in `reports`. Threads and processes may use one folder at the same time.

    Parameters
    ----------
    root
        The folder; made by the first `put`. One that cannot be written can still be read. Its text file ``SHIPPED`` names
        the runs that came with the project, a key a line.
    limit_bytes
        How much the folder may hold, 1 or more. Beyond it `put` removes what was set aside and then the runs written first,
        but no shipped one and not the one just written.
    shipped
        Another folder of runs, which came with an installed package: read where ``root`` has none of a key, never written.

    Raises
    ------
    ValueError
        When ``limit_bytes`` is below 1.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.gettempdir() + "/dropclust-no-such-folder")
    >>> store.list(), store.get("0" * 64), store.reports
    ([], None, ())
    """

    def __init__(self, root: str | Path, limit_bytes: int = LIMIT_BYTES, shipped: str | Path | None = None) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes must be 1 or more; got {limit_bytes!r}")
        self.root = Path(root)
        self.limit_bytes = limit_bytes
        self._shipped = None if shipped is None else Store(shipped)
        self._mutex = threading.Lock()
        self._listed: tuple[Folders, Summaries] | None = None
        self._summaries: dict[Path, tuple[Stamp, Summary]] = {}
        self._reports: deque[str] = deque(maxlen=100)
        self._reported: deque[tuple[str, Stamp | None]] = deque(maxlen=1000)

    @property
    def roots(self) -> tuple[Path, Path | None]:
        """The folder of runs, and the one that came with an installed package, if there is one."""
        return self.root, self._shipped.root if self._shipped else None

    @property
    def reports(self) -> tuple[str, ...]:
        """One sentence for each file found damaged or unreadable, oldest first, the last hundred."""
        return tuple(self._reports) + (self._shipped.reports if self._shipped else ())

    @property
    def shipped_keys(self) -> frozenset[str]:
        """The runs that ``SHIPPED`` lists; none when there is no such file."""
        below = self._shipped.shipped_keys if self._shipped else frozenset()
        try:
            return self._read_shipped() | below
        except OSError as error:
            self._report("SHIPPED", None, f"The list of shipped runs could not be read: {error.strerror}.")
            return below

    def get(self, key: str) -> Stored | None:
        """Read a run and check every byte of it.

        Parameters
        ----------
        key
            64 lowercase hex digits.

        Returns
        -------
        Stored or None
            None when there is no such run, or no undamaged one.

        Raises
        ------
        ValueError
            When ``key`` is no key.
        """
        own = self._examine(self._path(key), lambda file, status: from_bytes(file.read(status.st_size), key))
        return own or (self._shipped.get(key) if self._shipped else None)

    def stamp(self, key: str) -> Stamp | None:
        """What changes when a run's file does, to keep what was computed of it no longer; None when there is none.

        Raises
        ------
        ValueError
            When ``key`` is no key.
        """
        try:
            return _stamp(self._path(key).lstat())
        except OSError:
            return self._shipped.stamp(key) if self._shipped else None

    def put(self, stored: Stored) -> Path:
        """Write a run, replacing one of the same key; but one that is done is never replaced by one that was stopped.

        Returns
        -------
        Path
            Where the run of this key lies in the folder, or would lie had it not been stopped while a shipped one is done.

        Raises
        ------
        StoreError
            One sentence, when it cannot be written: what is there is the old file or the new one, whole.
        ValueError
            When its description needs more than 1 MiB, as a curve of some 9,000 points would.
        """
        content = to_bytes(stored)
        path = self._path(stored.key)
        try:
            self._examine(path, lambda file, status: None)  # what is no file at all must not stand in the way
            self._make_folder(path.parent)
            temporary = write_temporary(path.parent, content)
            try:
                with self._locked():
                    if stored.status == "done" or not self._has_done(stored.key):
                        temporary.replace(path)
                        sync_folder(path.parent)
            finally:
                discard(temporary)
        except OSError as error:
            raise StoreError(f"the run {stored.key[:12]} could not be stored: {error.strerror or error}") from error
        self._tidy(path)
        return path

    def obstacle(self) -> str | None:
        """Why a run could not be stored now, in one sentence; None when nothing is known to be in the way."""
        folder = self.root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"networks cannot be stored: the folder {folder.name} cannot be written"
        if (free := shutil.disk_usage(folder).free) < FREE_BYTES:
            return f"networks cannot be stored: {free / 1e6:.0f} MB are free on the disk, and {FREE_BYTES / 1e6:.0f} are needed"
        return None

    def list(self) -> Summaries:
        """All runs, newest first, from their headers alone; while no folder changed, nothing is read again.

        The runs are those of the last time as long as no file came, went or was replaced, by which a folder's time changes. A
        file that is changed where it lies, which no writer here does, is noticed by `get`, and here when its folder changes.
        """
        folders = self._folders()
        if folders is not None and self._listed is not None and self._listed[0] == folders:
            return [*self._listed[1]]
        listed = self._list()
        self._listed = None if folders is None else (folders, listed)
        return [*listed]

    def _folders(self) -> Folders | None:
        """What changes when a file comes, goes or is replaced; None while that is too recent for a time to tell.

        A system's clock for files stands still for some milliseconds, within which two changes look like one.
        """
        found: dict[str, Stamp] = {}
        try:
            found["."] = _stamp(self.root.stat())
            for entry in os.scandir(self.root):
                if _SHARD.fullmatch(entry.name) or entry.name == "SHIPPED":
                    found[entry.name] = _stamp(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            pass
        except OSError:
            return None
        below = self._shipped._folders() if self._shipped else {}
        if below is None or any(time.time_ns() - changed < RECENT_NS for _, changed, _ in found.values()):
            return None
        return found | {f"shipped/{name}": stamp for name, stamp in below.items()}

    def _list(self) -> Summaries:
        shipped = self.shipped_keys
        found: dict[Path, tuple[Stamp, Summary]] = {}
        for path, status in self._runs():
            known = self._summaries.get(path)
            if known is not None and known[0] == _stamp(status):
                found[path] = known
                continue
            if (entry := self._examine(path, functools.partial(_summarise, key=path.stem))) is not None:
                found[path] = entry
        self._summaries = found
        listed = {summary.key: summary for summary in (self._shipped.list() if self._shipped else ())}
        listed |= {summary.key: replace(summary, shipped=summary.key in shipped) for _, summary in found.values()}
        return sorted(listed.values(), key=lambda summary: (datetime.fromisoformat(summary.created), summary.key), reverse=True)

    def _path(self, key: str) -> Path:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"key must be 64 lowercase hex digits; got {str(key)[:80]!r}")
        return self.root / key[:2] / f"{key}{_SUFFIX}"

    def _shards(self) -> Iterator[Path]:
        """The folders of runs; what has such a name and is no folder is set aside."""
        for entry in self._entries(self.root):
            if _SHARD.fullmatch(entry.name):
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
                else:
                    self._set_aside(Path(entry.path), entry.stat(follow_symlinks=False), "is no folder of runs")

    def _runs(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Everything that bears a run's name, whatever it is; what was put into the wrong folder is set aside."""
        for shard in self._shards():
            for entry in self._entries(shard):
                if not entry.name.endswith(_SUFFIX):
                    continue
                with contextlib.suppress(FileNotFoundError):  # another process removed it
                    status = entry.stat(follow_symlinks=False)
                    if _KEY.fullmatch(entry.name.removesuffix(_SUFFIX)) and entry.name.startswith(shard.name):
                        yield Path(entry.path), status
                    else:
                        self._set_aside(Path(entry.path), status, "has a name that no run has there")

    def _entries(self, folder: Path) -> Sequence[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._report(folder.name, None, f"The folder {folder.name} of stored runs could not be read: {error.strerror}.")
            return []

    def _read_shipped(self) -> frozenset[str]:
        try:
            with (self.root / "SHIPPED").open(encoding="ascii", errors="replace") as file:
                lines = file.read(_MAX_SHIPPED_BYTES).split()
        except FileNotFoundError:
            return frozenset()
        if wrong := [line for line in lines if not _KEY.fullmatch(line)]:
            self._report("SHIPPED", None, f"The list of shipped runs holds {wrong[0][:80]!r}, which is no run's key.")
        return frozenset(lines) - set(wrong)

    def _has_done(self, key: str) -> bool:
        """Whether an undamaged run of that key is there and done."""
        try:
            if _read_file(self._path(key), lambda file, status: from_bytes(file.read(status.st_size), key).status == "done"):
                return True
        except (FileNotFoundError, LoadError):
            pass
        return self._shipped is not None and self._shipped._has_done(key)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one, of all threads and processes, that moves files of this folder."""
        with self._mutex:
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)  # the system frees it when the process dies
                yield
            finally:
                os.close(descriptor)

    def _make_folder(self, shard: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            shard.mkdir()
            sync_folder(self.root)

    def _examine(self, path: Path, read: Callable[[io.BufferedReader, os.stat_result], T]) -> T | None:
        """What ``read`` makes of a run's file; None when there is none, or what is wrong with it has become a report."""
        suspect, status = path.parent, None
        try:
            status = suspect.lstat()
            if not stat.S_ISDIR(status.st_mode):
                raise LoadError("is no folder of runs")
            suspect, status = path, path.lstat()
            return _read_file(path, read)
        except FileNotFoundError:
            pass
        except LoadError as error:
            if status is not None:
                self._set_aside(suspect, status, str(error))
        except OSError as error:
            sentence = f"The stored run {path.stem[:12]} could not be read: {error.strerror or error}."
            self._report(path.name, status and _stamp(status), sentence)
        return None

    def _set_aside(self, path: Path, status: os.stat_result, problem: str) -> None:
        """Move a damaged file out of the way, unless somebody has put another there since."""
        try:
            with self._locked():
                if _stamp(path.lstat()) != _stamp(status):
                    return
                folder = self.root / "damaged"
                folder.mkdir(exist_ok=True)
                path.replace(folder / f"{time.time_ns()}-{path.name}")
            done = "it was moved to the folder damaged and counts as not trained"
        except FileNotFoundError:
            return
        except OSError:
            done = "it could not be moved away and counts as not trained"
        self._report(path.name, _stamp(status), f"The stored file {path.name[:12]} {problem}; {done}.")

    def _report(self, name: str, stamp: Stamp | None, sentence: str) -> None:
        if (name, stamp) not in self._reported:
            self._reported.append((name, stamp))
            self._reports.append(sentence)

    def _tidy(self, written: Path) -> None:
        """Remove dead writers' temporary files and, beyond the limit, the oldest files that may go."""
        try:
            shipped = self._read_shipped()
            runs = sorted(self._runs(), key=_age)
            aside = sorted(_files(self._entries(self.root / "damaged")), key=_age)
            dead = [file for shard in self._shards() for file in _files(self._entries(shard)) if is_temporary(file[0])]
            total = sum(status.st_size for _, status in aside + runs)
            with self._locked():
                for path, status in dead:
                    if time.time() - status.st_mtime > STALE_SECONDS:
                        discard(path)
                for path, status in [*aside, *(run for run in runs if run[0].stem not in shipped and run[0] != written)]:
                    if total <= self.limit_bytes:
                        break
                    with contextlib.suppress(FileNotFoundError):  # gone already
                        if _stamp(path.lstat()) == _stamp(status):  # and not written again since
                            path.unlink()
                        total -= status.st_size
        except OSError as error:
            self._report("tidy", None, f"The folder of stored runs could not be tidied: {error.strerror or error}.")


def open_store() -> Store:
    """The project's own runs: the shipped ones and the user's."""
    shipped = shipped_folder()
    return Store(cache_folder() / "runs", STORE_BYTES.value(), shipped=shipped and shipped / "runs")
