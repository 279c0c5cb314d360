"""A finished run as it is kept, and the bytes of its file; read with numpy alone, without torch."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dropclust.core.spec import RunSpec
from dropclust.service.files.common import Array, LoadError, canonical, check_tensors
from dropclust.service.files.safetensors import Header, is_as_written, own_facts, pack, read_header, read_tensors
from dropclust.service.files.tensors import network_of, tensors_of
from dropclust.service.versions import versions

if TYPE_CHECKING:
    from dropclust.core.network import Network
    from dropclust.core.training import Trained

FORMAT = "dropclust run 1"
STATUSES = ("done", "stopped")
POINT = ("step", "examples", "loss", "accuracy", "seconds")
_FACTS = {"format", "spec", "curve", "metrics", "status", "steps", "seconds", "created", "versions", "tensors_sha256"}


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

    @cached_property
    def key(self) -> str:
        """The spec's key: 64 hex digits."""
        return self.spec.key


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


def to_bytes(stored: Stored) -> bytes:
    """A run as the bytes of its file: its weights as tensors, everything else as one sealed JSON text.

    Raises
    ------
    ValueError
        When its description needs more than 1 MiB.
    """
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
    if facts is not None and not is_as_written(header):
        raise LoadError("is damaged: its header is not as it was written")
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


def from_bytes(data: bytes, key: str) -> Stored:
    """Read the file of run ``key`` and check every byte of it.

    Raises
    ------
    LoadError
        When it is damaged, or holds no run or another.
    """
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


def read_summary(file: IO[bytes], size: int, key: str) -> Summary:
    """What the header of the file of run ``key`` tells; the weights are not looked at.

    Raises
    ------
    LoadError
        When the header is damaged, or is of no run or of another.
    """
    facts = _checked(read_header(file, size), key)
    names = ("spec", "status", "metrics", "steps", "seconds", "created")
    return Summary(**{name: facts[name] for name in names}, bytes=size, shipped=False)
