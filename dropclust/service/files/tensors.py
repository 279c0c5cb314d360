"""A network and the named tensors that this project writes of it: ``weights.0`` to ``biases.3``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dropclust.core.spec import RunSpec
from dropclust.service.files.common import Array, tensor_digest

if TYPE_CHECKING:
    from dropclust.core.network import Network


class Described(Protocol):
    """What is written of a network: a `Network` has it, and so has a stored run that never saw torch."""

    @property
    def weights(self) -> Sequence[Any]:
        """One ``[in, out]`` a layer, tensor or array."""

    @property
    def biases(self) -> Sequence[Any]:
        """One ``[out]`` a layer, tensor or array."""

    @property
    def spec(self) -> RunSpec | None:
        """The run that made it."""


def tensors_of(network: Described) -> dict[str, Array]:
    """``weights.0`` to ``biases.n`` as float32 arrays on the CPU, weights ``[in, out]``."""
    return {
        f"{kind}.{layer}": np.ascontiguousarray(
            tensor if isinstance(tensor, np.ndarray) else tensor.detach().cpu().numpy(), "<f4"
        )
        for kind, tensors in (("weights", network.weights), ("biases", network.biases))
        for layer, tensor in enumerate(tensors)
    }


def activation_of(network: Described) -> str:
    """The name of its activation; a stored run was trained here, and has ReLU."""
    return str(getattr(network, "activation", "relu"))


def digest(network: Described) -> str:
    """SHA-256 of weights and biases, and of the activation where it is not ReLU; 64 hex digits, the same in any format.

    Examples
    --------
    >>> import torch
    >>> from dropclust import Network
    >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
    >>> len(digest(network))
    64
    """
    weights = tensor_digest(tensors_of(network))
    name = activation_of(network)
    return weights if name == "relu" else hashlib.sha256(f"{weights} {name}".encode("ascii")).hexdigest()


def network_of(weights: Iterable[Array], biases: Iterable[Array], spec: RunSpec | None, activation: str = "relu") -> Network:
    """A core network with its own memory from arrays ``[in, out]`` and ``[out]``; this is where torch is imported."""
    import torch

    from dropclust.core.network import Network

    return Network(
        [torch.from_numpy(np.array(weight, np.float32, order="C")) for weight in weights],
        [torch.from_numpy(np.array(bias, np.float32)) for bias in biases],
        spec,
        activation,
    )
