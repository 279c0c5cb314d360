"""A network as plain arrays: what the app holds of it and sends to a worker, for the app's process never loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dropclust.core.spec import RunSpec
from dropclust.service.files.common import Array
from dropclust.service.files.tensors import Described, activation_of, digest, network_of, tensors_of

if TYPE_CHECKING:
    from dropclust.core.network import Network


@dataclass(frozen=True, eq=False)
class Plain:
    """What a `dropclust.Network` is, without torch.

    Parameters
    ----------
    weights
        One float32 array ``[in, out]`` a layer.
    biases
        One float32 array ``[out]`` a layer.
    spec
        The run that made it; None for a network from elsewhere.
    activation
        What stands after each hidden layer, by its name in `dropclust.core.activation`.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    spec: RunSpec | None = None
    activation: str = "relu"

    @classmethod
    def of(cls, network: Described) -> Plain:
        """The same network as arrays of its own.

        Examples
        --------
        >>> import torch
        >>> from dropclust import Network
        >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
        >>> Plain.of(network).hidden, Plain.of(network).n_parameters
        ((5,), 3985)
        """
        tensors = tensors_of(network)
        layers = range(len(tensors) // 2)
        weights, biases = (tuple(np.array(tensors[f"{kind}.{i}"]) for i in layers) for kind in ("weights", "biases"))
        return cls(weights, biases, network.spec, activation_of(network))

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return tuple(weight.shape[1] for weight in self.weights[:-1])

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum(array.size for array in (*self.weights, *self.biases))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of weights, biases and activation, 64 hex digits (`dropclust.service.files.digest`)."""
        return digest(self)

    def network(self) -> Network:
        """The network, ready to be used; imports torch."""
        return network_of(self.weights, self.biases, self.spec, self.activation)
