"""Finished runs on disk, one checked file a run, so that none is trained twice; read with numpy alone, without torch."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import io
import json
import math
import os
import platform
import re
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

import dropclust
from dropclust.core.spec import RunSpec
from dropclust.service.export import (
    MAX_FILE_BYTES,
    Array,
    Header,
    LoadError,
    canonical,
    check_tensors,
    discard,
    is_temporary,
    network_of,
    own_facts,
    pack,
    read_header,
    read_tensors,
    sync_folder,
    tensors_of,
    write_temporary,
)

try:
    import fcntl
except ImportError:  # Windows: threads of one process still wait for each other there, processes do not
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from dropclust.core.network import Network
    from dropclust.core.training import Trained

LIMIT_BYTES = 2_000_000_000
STALE_SECONDS = 3600.0  # a temporary file older than this belongs to a writer that died
FORMAT = "dropclust run 1"
STATUSES = ("done", "stopped")
POINT = ("step", "examples", "loss", "accuracy", "seconds")
_FACTS = {"format", "spec", "curve", "metrics", "status", "steps", "seconds", "created", "versions", "tensors_sha256"}
_KEY = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_SUFFIX = ".safetensors"
_MAX_SHIPPED_BYTES = 2**20

T = TypeVar("T")
Stamp = tuple[int, int, int]  # inode, mtime in ns, size: a file that was not written since


class StoreError(OSError):
    """A run that could not be stored, with one sentence why; what is there is the old file or the new one, whole."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A trained run as it is kept.

    Parameters
    ----------
    spec
        The run.
    weights
        Four float32 arrays ``[in, out]`` of the spec's widths; read-only when they come from the store.
    biases
        Four float32 arrays ``[out]``.
    curve
        Points of the held-out curve: ``step``, ``examples``, ``loss`` (nats), ``accuracy`` (0 to 1), ``seconds``.
    metrics
        Numbers measured on the finished network. Here and in the curve a number that is not finite is kept as NaN.
    status
        "done", or "stopped" when it was ended early and kept what it had learnt.
    steps
        Gradient steps made.
    seconds
        Time that training took.
    created
        When it was finished: ISO 8601, UTC.
    versions
        Of python and the packages that made it.

    Raises
    ------
    ValueError
        One sentence naming the field, what is allowed and what was given.
    """

    spec: RunSpec
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    curve: list[dict[str, float]]
    metrics: dict[str, float]
    status: str
    steps: int
    seconds: float
    created: str
    versions: dict[str, str]

    def __post_init__(self) -> None:
        _check_facts(self.metrics, self.status, self.steps, self.seconds, self.created, self.versions)
        _check_curve(self.curve)
        expected = _shapes(self.spec)
        arrays = self.tensors
        if {name: array.shape for name, array in arrays.items()} != expected:
            shapes = [list(array.shape) for array in arrays.values()]
            raise ValueError(f"weights and biases must have the spec's widths {self.spec.widths}; got {shapes}")
        for name, array in arrays.items():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"{name} must be float32 and finite; got {array.dtype} or a value that is not")

    @property
    def key(self) -> str:
        """The spec's key: 64 hex digits."""
        return self.spec.key

    @property
    def tensors(self) -> dict[str, Array]:
        """Weights and biases by the names they have in a file, ``weights.0`` to ``biases.3``."""
        named = {f"weights.{layer}": array for layer, array in enumerate(self.weights)}
        return named | {f"biases.{layer}": array for layer, array in enumerate(self.biases)}

    def network(self) -> Network:
        """The network, ready to be used; imports torch."""
        return network_of(self.weights, self.biases, self.spec)

    @classmethod
    def from_trained(cls, trained: Trained, metrics: Mapping[str, float]) -> Stored:
        """What training returned, with its metrics, today's date and the versions at hand.

        Raises
        ------
        ValueError
            When the run diverged and left no network.
        """
        if trained.network is None:
            raise ValueError(f"trained must have a network to be stored; got a run that {trained.status}")
        tensors = tensors_of(trained.network)
        layers = range(len(tensors) // 2)
        return cls(
            spec=trained.spec,
            weights=tuple(tensors[f"weights.{layer}"] for layer in layers),
            biases=tuple(tensors[f"biases.{layer}"] for layer in layers),
            curve=[asdict(point) for point in trained.curve],
            metrics=dict(metrics),
            status=trained.status,
            steps=trained.steps,
            seconds=trained.seconds,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            versions=versions() | {"device": trained.device},
        )


@dataclass(frozen=True)
class Summary:
    """What the header of a stored run tells; ``bytes`` is the file's size, ``shipped`` says that it came with the project."""

    spec: RunSpec
    status: str
    metrics: dict[str, float] = field(hash=False)
    steps: int
    seconds: float
    created: str
    bytes: int
    shipped: bool

    @property
    def key(self) -> str:
        """The spec's key: 64 hex digits."""
        return self.spec.key


Summaries = list[Summary]


def versions() -> dict[str, str]:
    """Versions of python and of the packages that decide a run's bits; asks the installed files and imports none."""
    return {
        "dropclust": dropclust.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "torch")},
    }


def _shapes(spec: RunSpec) -> dict[str, tuple[int, ...]]:
    pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
    weights: dict[str, tuple[int, ...]] = {f"weights.{layer}": pair for layer, pair in enumerate(pairs)}
    return weights | {f"biases.{layer}": (width,) for layer, (_, width) in enumerate(pairs)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_curve(curve: object) -> None:
    if not isinstance(curve, list) or not all(
        isinstance(point, dict) and set(point) == set(POINT) and all(map(_is_number, point.values())) for point in curve
    ):
        raise ValueError(f"curve must be a list of points with {', '.join(POINT)}, all numbers; got {str(curve)[:80]}")


def _check_facts(metrics: object, status: object, steps: object, seconds: object, created: object, made_by: object) -> None:
    if not isinstance(metrics, dict) or not all(isinstance(n, str) and _is_number(v) for n, v in metrics.items()):
        raise ValueError(f"metrics must be numbers by name; got {str(metrics)[:80]}")
    if status not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}; got {str(status)[:80]!r}")
    if type(steps) is not int or steps < 0:
        raise ValueError(f"steps must be a whole number from 0; got {str(steps)[:80]!r}")
    if not _is_number(seconds) or not 0 <= seconds < math.inf:  # type: ignore[operator]
        raise ValueError(f"seconds must be a number from 0; got {str(seconds)[:80]!r}")
    try:
        is_utc = datetime.fromisoformat(str(created)).utcoffset() == timedelta(0)
    except ValueError:
        is_utc = False
    if not is_utc:
        raise ValueError(f"created must be an ISO date in UTC; got {str(created)[:80]!r}")
    if not isinstance(made_by, dict) or not all(isinstance(text, str) for text in (*made_by, *made_by.values())):
        raise ValueError(f"versions must be texts by name; got {str(made_by)[:80]}")


def _none_for_nan(numbers: Iterable[float]) -> list[float | None]:
    """JSON has no NaN: null stands for it, and for what is infinite."""
    return [number if math.isfinite(number) else None for number in numbers]


def _nan_for_none(numbers: Iterable[float | None]) -> list[float]:
    return [math.nan if number is None else number for number in numbers]


def _to_bytes(stored: Stored) -> bytes:
    facts = {
        "format": FORMAT,
        "spec": json.loads(stored.spec.to_json()),
        "curve": {name: _none_for_nan(point[name] for point in stored.curve) for name in POINT},
        "metrics": dict(zip(stored.metrics, _none_for_nan(stored.metrics.values()), strict=True)),
        "status": stored.status,
        "steps": stored.steps,
        "seconds": stored.seconds,
        "created": stored.created,
        "versions": stored.versions,
    }
    return pack(facts, stored.tensors)


def _checked(header: Header, key: str) -> dict[str, Any]:
    """Facts of the file that should hold run ``key``, as `Stored` and `Summary` want them, but for the curve."""
    facts = own_facts(header)
    if facts is None or set(facts) != _FACTS or facts["format"] != FORMAT:
        raise LoadError("is no stored run of this version")
    try:
        facts["spec"] = RunSpec.from_json(canonical(facts["spec"]))
        facts["metrics"] = dict(zip(facts["metrics"], _nan_for_none(facts["metrics"].values()), strict=True))
        _check_facts(*(facts[name] for name in ("metrics", "status", "steps", "seconds", "created", "versions")))
    except (AttributeError, TypeError, ValueError) as error:
        raise LoadError(f"has a description that is not allowed: {error}") from error
    if facts["spec"].key != key:
        raise LoadError("holds another run than its name says")
    if {name: entry[1] for name, entry in header.entries.items()} != _shapes(facts["spec"]):
        raise LoadError("has weights of other shapes than its run has")
    return facts


def _from_bytes(data: bytes, key: str) -> Stored:
    header = read_header(io.BytesIO(data), len(data))
    facts = _checked(header, key)
    tensors = read_tensors(header, data)
    check_tensors(facts, tensors)
    layers = range(len(tensors) // 2)
    try:
        columns = [_nan_for_none(facts["curve"][name]) for name in POINT]
        return Stored(
            **{name: facts[name] for name in _FACTS - {"format", "curve", "tensors_sha256"}},
            weights=tuple(tensors[f"weights.{layer}"] for layer in layers),
            biases=tuple(tensors[f"biases.{layer}"] for layer in layers),
            curve=[dict(zip(POINT, values, strict=True)) for values in zip(*columns, strict=True)],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f"has weights or a curve that are not allowed: {error}") from error


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
    facts = _checked(read_header(file, status.st_size), key)
    names = ("spec", "status", "metrics", "steps", "seconds", "created")
    return _stamp(status), Summary(**{name: facts[name] for name in names}, bytes=status.st_size, shipped=False)


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

    Raises
    ------
    ValueError
        When ``limit_bytes`` is below 1.
    """

    def __init__(self, root: str | Path, limit_bytes: int = LIMIT_BYTES) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes must be 1 or more; got {limit_bytes!r}")
        self.root = Path(root)
        self.limit_bytes = limit_bytes
        self._mutex = threading.Lock()
        self._summaries: dict[Path, tuple[Stamp, Summary]] = {}
        self._reports: deque[str] = deque(maxlen=100)
        self._reported: deque[tuple[str, Stamp | None]] = deque(maxlen=1000)

    @property
    def reports(self) -> tuple[str, ...]:
        """One sentence for each file found damaged or unreadable, oldest first, the last hundred."""
        return tuple(self._reports)

    @property
    def shipped_keys(self) -> frozenset[str]:
        """The runs that ``SHIPPED`` lists; none when there is no such file."""
        try:
            return self._read_shipped()
        except OSError as error:
            self._report("SHIPPED", None, f"The list of shipped runs could not be read: {error.strerror}.")
            return frozenset()

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
        return self._examine(self._path(key), lambda file, status: _from_bytes(file.read(status.st_size), key))

    def put(self, stored: Stored) -> Path:
        """Write a run, replacing one of the same key; but one that is done is never replaced by one that was stopped.

        Returns
        -------
        Path
            Where the run of this key lies.

        Raises
        ------
        StoreError
            One sentence, when it cannot be written: what is there is the old file or the new one, whole.
        ValueError
            When its description needs more than 1 MiB, as a curve of some 9,000 points would.
        """
        content = _to_bytes(stored)
        path = self._path(stored.key)
        try:
            self._examine(path, lambda file, status: None)  # what is no file at all must not stand in the way
            self._make_folder(path.parent)
            temporary = write_temporary(path.parent, content)
            try:
                with self._locked():
                    if stored.status == "done" or not self._has_done(path):
                        temporary.replace(path)
                        sync_folder(path.parent)
            finally:
                discard(temporary)
        except OSError as error:
            raise StoreError(f"the run {stored.key[:12]} could not be stored: {error.strerror or error}") from error
        self._tidy(path)
        return path

    def list(self) -> Summaries:
        """All runs, newest first, from their headers alone; a file that did not change is not read again."""
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
        newest = sorted(found, key=lambda path: (datetime.fromisoformat(found[path][1].created), path.name), reverse=True)
        return [replace(found[path][1], shipped=True) if path.stem in shipped else found[path][1] for path in newest]

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

    def _has_done(self, path: Path) -> bool:
        """Whether an undamaged run that is done lies there."""
        try:
            return _read_file(path, lambda file, status: _from_bytes(file.read(status.st_size), path.stem).status == "done")
        except (FileNotFoundError, LoadError):
            return False

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
