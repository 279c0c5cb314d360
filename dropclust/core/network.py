"""A trained multilayer perceptron as a value: weights, biases and, where known, the run that made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropclust.core.activation import activation as activation_named
from dropclust.core.spec import INPUTS, MAX_OUTPUTS, RunSpec

MAX_HIDDEN_LAYERS = 6


@dataclass(frozen=True, eq=False)
class Network:
    """A perceptron 784 -> hidden layers, each with the same activation -> logits, 10 for MNIST.

    Parameters
    ----------
    weights
        One float32 tensor ``[in, out]`` a layer, 784 in at the first and 2 to 100 out at the last; one to six hidden
        layers. What compares with MNIST's labels wants 10 outputs, and says so.
    biases
        One float32 tensor ``[out]`` a layer.
    spec
        The run that made it, or None for a network from elsewhere. Its widths may differ from the network's own where the
        network was compressed afterwards.
    activation
        What stands after each hidden layer, one of the names in `dropclust.core.activation`; all that Train makes has ReLU.

    Raises
    ------
    ValueError
        One sentence naming the layer, what is allowed and what was given: shape, dtype or a value that is not finite.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    spec: RunSpec | None = None
    activation: str = "relu"

    def __init__(
        self, weights: Sequence[Tensor], biases: Sequence[Tensor], spec: RunSpec | None = None, activation: str = "relu"
    ) -> None:
        activation_named(activation)
        weights, biases = tuple(weights), tuple(biases)
        if len(weights) != len(biases) or not 2 <= len(weights) <= MAX_HIDDEN_LAYERS + 1:
            raise ValueError(
                f"a network must have one weight and one bias a layer and 1 to {MAX_HIDDEN_LAYERS} hidden layers; "
                f"got {len(weights)} weights and {len(biases)} biases"
            )
        width = INPUTS
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
            for what, tensor, dims in (("weight", weight, 2), ("bias", bias, 1)):
                if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
                    raise ValueError(
                        f"{what} of layer {number} must be a float32 tensor; got {getattr(tensor, 'dtype', type(tensor))}"
                    )
                if tensor.ndim != dims or 0 in tensor.shape:
                    raise ValueError(
                        f"{what} of layer {number} must be {'[in, out]' if dims == 2 else '[out]'}; got {list(tensor.shape)}"
                    )
            if weight.shape[0] != width or bias.shape[0] != weight.shape[1]:
                raise ValueError(
                    f"layer {number} must take {width} inputs and have as many biases as outputs; "
                    f"got a weight {list(weight.shape)} and a bias {list(bias.shape)}"
                )
            if not (weight.isfinite().all() and bias.isfinite().all()):
                raise ValueError(f"layer {number} must hold finite numbers only; got NaN or infinity")
            width = weight.shape[1]
        if not 2 <= width <= MAX_OUTPUTS:
            raise ValueError(f"the last layer must have 2 to {MAX_OUTPUTS} outputs; got {width}")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)
        object.__setattr__(self, "spec", spec)
        object.__setattr__(self, "activation", activation)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return tuple(weight.shape[1] for weight in self.weights[:-1])

    @property
    def outputs(self) -> int:
        """Logits, 10 for MNIST."""
        return self.weights[-1].shape[1]

    @property
    def activate(self) -> Callable[[Tensor], Tensor]:
        """The function of its activation, which leaves what it is given unchanged."""
        return activation_named(self.activation)

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum(tensor.numel() for tensor in (*self.weights, *self.biases))

    @property
    def device(self) -> torch.device:
        """Where its tensors lie."""
        return self.weights[0].device

    def to(self, device: torch.device | str) -> Network:
        """The same network on another device."""
        return Network([w.to(device) for w in self.weights], [b.to(device) for b in self.biases], self.spec, self.activation)
