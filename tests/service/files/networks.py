"""What the tests of the file formats share: small networks, files of others, and the one sentence of a refusal."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from dropclust.core.network import Network
from dropclust.core.spec import RunSpec
from dropclust.service.files import LoadError, from_bytes

HIDDEN = (8, 6, 5)
SPEC = RunSpec(hidden=HIDDEN, seed=3)
PROOF = {"method": "fold", "units": 6, "accuracy": [0.9, 0.875], "note": "ümlaut \u2028"}


def network(hidden: tuple[int, ...] = HIDDEN, seed: int = 0, spec: RunSpec | None = SPEC) -> Network:
    generator = torch.Generator().manual_seed(seed)
    widths = (784, *hidden, 10)
    weights = [torch.randn(a, b, generator=generator) / a**0.5 for a, b in itertools.pairwise(widths)]
    return Network(weights, [torch.randn(b, generator=generator) for b in widths[1:]], spec)


def logits(net: Network, x: torch.Tensor) -> np.ndarray:
    """The obvious forward pass, in float64."""
    value = x.double()
    for layer, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        value = value @ weight.double() + bias.double()
        value = value.relu() if layer < len(net.weights) - 1 else value
    return value.numpy()


def images(n: int = 100) -> torch.Tensor:
    return torch.rand(n, 784, generator=torch.Generator().manual_seed(1))


def equal(one: Network, other: Network) -> bool:
    return one.hidden == other.hidden and all(
        torch.equal(a, b) for a, b in zip(one.weights + one.biases, other.weights + other.biases, strict=True)
    )


def arrays(
    net: Network, weight: str = "weights.{}", bias: str = "biases.{}", first: int = 0, turn: bool = False
) -> dict[str, Any]:
    """Weights and biases under names of any fashion; ``turn`` stores weights [out, in]."""
    named = {}
    for layer, (w, b) in enumerate(zip(net.weights, net.biases, strict=True), start=first):
        named[weight.format(layer)] = np.ascontiguousarray(w.numpy().T if turn else w.numpy())
        named[bias.format(layer)] = b.numpy()
    return named


def npz(named: dict[str, Any], compress: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **named)
    return file.getvalue()


def refused(data: bytes, name: str, match: str = ".") -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(LoadError, match=match) as caught:
        from_bytes(data, name)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert 20 < len(sentence) < 600
    return sentence


def load_or_refuse(data: bytes, name: str) -> None:
    try:
        assert from_bytes(data, name).weights[0].shape[0] == 784
    except LoadError as error:
        assert "\n" not in str(error)  # noqa: PT017
