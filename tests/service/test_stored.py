"""A run as it is kept: made of what training returned, every field checked by name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dropclust.core.network import Network
from dropclust.core.spec import RunSpec
from dropclust.core.training import Point, Trained
from dropclust.service.files import load
from dropclust.service.store import Store
from dropclust.service.stored import Stored
from tests.service.faults import run


def test_from_trained_and_back_to_a_network(tmp_path: Path) -> None:
    store, made = Store(tmp_path), run(5)
    network = Network([torch.from_numpy(w) for w in made.weights], [torch.from_numpy(b) for b in made.biases], made.spec)
    trained = Trained(made.spec, network, (Point(10, 1280, 0.5, 0.75, 1.25),), 10, 2.5, "stopped", None)
    stored = Stored.from_trained(trained, {"accuracy": 0.5})
    assert stored.curve == [{"step": 10, "examples": 1280, "loss": 0.5, "accuracy": 0.75, "seconds": 1.25}]
    assert (stored.status, stored.steps, stored.seconds, stored.metrics) == ("stopped", 10, 2.5, {"accuracy": 0.5})
    assert stored.created.endswith("+00:00")
    assert {"dropclust", "python", "numpy", "torch"} <= set(stored.versions)
    path = store.put(stored)
    found = store.get(stored.key)
    assert found is not None
    for again in (found.network(), load(path)):
        assert again.spec == made.spec
        assert all(
            torch.equal(a, b) for a, b in zip(again.weights + again.biases, network.weights + network.biases, strict=True)
        )
    with pytest.raises(ValueError, match="must have a network to be stored; got a run that diverged"):
        Stored.from_trained(replace(trained, network=None, status="diverged"), {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "diverged"),
        ("steps", -1),
        ("steps", 1.0),
        ("seconds", math.nan),
        ("seconds", "1"),
        ("created", "yesterday"),
        ("created", "2026-01-02T03:04:05"),
        ("created", "2026-01-02T03:04:05+01:00"),
        ("metrics", {"accuracy": "high"}),
        ("metrics", {"accuracy": True}),
        ("curve", [{"step": 1}]),
        ("curve", "none"),
        ("versions", {"torch": 2}),
    ],
)
def test_a_field_of_another_kind_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be .*; got ") as caught:
        run(**{field: value})
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_kind_or_value_are_refused() -> None:
    stored = run()
    with pytest.raises(ValueError, match="must have the spec's widths"):
        replace(stored, weights=stored.weights[:3])
    with pytest.raises(ValueError, match="must have the spec's widths"):
        replace(stored, spec=RunSpec(hidden=(8, 6, 4)))
    with pytest.raises(ValueError, match=r"biases\.0 must be float32 and finite"):
        replace(stored, biases=(stored.biases[0].astype(np.float64), *stored.biases[1:]))
    with pytest.raises(ValueError, match=r"weights\.3 must be float32 and finite"):
        replace(stored, weights=(*stored.weights[:3], np.full((5, 10), np.nan, np.float32)))
