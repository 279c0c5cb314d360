"""Clustering Phenomena in Dropout, to touch: public names, imported lazily so that reading a result loads no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropclust import experiments as experiments
    from dropclust import findings as findings
    from dropclust.core.compression import Compressed as Compressed
    from dropclust.core.compression import compress as compress
    from dropclust.core.metrics import model_variance as model_variance
    from dropclust.core.network import Network as Network
    from dropclust.core.prediction import mstd as mstd
    from dropclust.core.prediction import sample as sample
    from dropclust.core.prediction import scaled_logits as scaled_logits
    from dropclust.core.similarity import Similarity as Similarity
    from dropclust.core.similarity import neuron_similarity as neuron_similarity
    from dropclust.core.spec import RunSpec as RunSpec
    from dropclust.core.training import train as train
    from dropclust.core.twins import Twins as Twins
    from dropclust.core.twins import twins as twins
    from dropclust.service.files import load as load
    from dropclust.service.files import save as save

__version__ = "0.1.0"

_HOME = {
    "RunSpec": "dropclust.core.spec",
    "Network": "dropclust.core.network",
    "train": "dropclust.core.training",
    "scaled_logits": "dropclust.core.prediction",
    "sample": "dropclust.core.prediction",
    "mstd": "dropclust.core.prediction",
    "model_variance": "dropclust.core.metrics",
    "neuron_similarity": "dropclust.core.similarity",
    "Similarity": "dropclust.core.similarity",
    "twins": "dropclust.core.twins",
    "Twins": "dropclust.core.twins",
    "compress": "dropclust.core.compression",
    "Compressed": "dropclust.core.compression",
    "save": "dropclust.service.files",
    "load": "dropclust.service.files",
}

__all__ = [*_HOME, "experiments", "findings"]


def __getattr__(name: str) -> Any:
    if name in ("experiments", "findings"):
        return importlib.import_module(f"dropclust.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dropclust' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
