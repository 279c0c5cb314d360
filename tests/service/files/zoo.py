"""Small networks trained on MNIST by plain torch, written in the ways that people write theirs."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dropclust.core import mnist
from dropclust.core.activation import activation

HIDDEN = (16, 16, 16)
MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
    "silu": nn.SiLU,
}  # fmt: skip
GIVEN: dict[str, Callable[[Tensor], Tensor]] = {
    "pixels": lambda x: x,
    "standardised": lambda x: (x - 0.1307) / 0.3081,
    "minus1-to-1": lambda x: (x - 0.5) / 0.5,
    "0-to-255": lambda x: x * 255,
    "0.01-to-1": lambda x: x * 0.99 + 0.01,
    "pixels,inverted": lambda x: 1 - x,
    "pixels,transposed": lambda x: x.reshape(-1, 28, 28).transpose(1, 2).reshape(-1, 784),
    "z-scores": lambda x: (x - pixel_moments()[0]) / pixel_moments()[1],
}


@cache
def pixel_moments() -> tuple[Tensor, Tensor]:
    x = mnist.load().train_x
    deviation = x.double().std(0, correction=0)
    return x.double().mean(0).float(), torch.where(deviation > 0, deviation, 1.0).float()


@cache
def trained(
    name: str = "relu", given: str = "pixels", norm: str = "", bias: bool = True, hidden: tuple[int, ...] = HIDDEN
) -> nn.Sequential:
    """A Sequential that classifies most digits correctly; ``norm`` is "", "before" or "after" the activation."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    widths = (784, *hidden)
    for a, b in itertools.pairwise(widths):
        middle: list[nn.Module] = [MODULES[name]()]
        if norm:
            middle.insert(0 if norm == "before" else 1, nn.BatchNorm1d(b))
        layers += [nn.Linear(a, b, bias=bias), *middle]
    model = nn.Sequential(*layers, nn.Linear(hidden[-1], 10, bias=bias))
    data, optimiser = mnist.load(), torch.optim.Adam(model.parameters(), 4e-3)
    x = data.train_x  # all of it made floats, once
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-3, total_steps=700)
    for step in range(700):
        rows = slice(100 * (step % 550), 100 * (step % 550) + 100)
        loss = nn.functional.cross_entropy(model(GIVEN[given](x[rows])), data.train_y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def logits(model: nn.Module, given: str = "pixels", n: int = 1_000) -> np.ndarray:
    """What the model says of test images, in float64 and on its own input scale."""
    import copy

    with torch.no_grad():
        return copy.deepcopy(model).double()(GIVEN[given](mnist.load().test_x[:n]).double()).numpy()


def of_network(network: Any, n: int = 1_000) -> np.ndarray:
    """The obvious forward pass of a network of ours on pixels from 0 to 1, in float64."""
    value = mnist.load().test_x[:n].double()
    function = activation(network.activation)
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        value = value @ weight.double() + bias.double()
        value = function(value) if layer < len(network.weights) - 1 else value
    return value.numpy()


def saved(value: Any) -> bytes:
    torch.save(value, file := io.BytesIO())
    return file.getvalue()


def linears(model: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in model if isinstance(layer, nn.Linear)]


def named(
    model: nn.Sequential, names: list[str], weight: str = ".weight", bias: str = ".bias", turn: bool = False
) -> dict[str, Any]:
    """Weights and biases as arrays under the names of the layers."""
    found = {}
    for name, layer in zip(names, linears(model), strict=True):
        array = layer.weight.detach().numpy()
        found[name + weight] = np.ascontiguousarray(array.T if turn else array)
        if layer.bias is not None:
            found[name + bias] = layer.bias.detach().numpy()
    return found
