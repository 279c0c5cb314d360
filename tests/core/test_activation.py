"""Each name of an activation is the function that torch's module of that name computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dropclust.core.activation import ACTIVATIONS, activation, overwriting
from dropclust.core.methods import is_homogeneous

MODULES: dict[str, nn.Module] = {
    "relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "gelu": nn.GELU(), "leaky_relu": nn.LeakyReLU(),
    "elu": nn.ELU(), "silu": nn.SiLU(), "gelu_tanh": nn.GELU("tanh"), "selu": nn.SELU(), "softplus": nn.Softplus(),
    "mish": nn.Mish(), "softsign": nn.Softsign(), "relu6": nn.ReLU6(), "identity": nn.Identity(),
    "leaky_relu:0.2": nn.LeakyReLU(0.2), "elu:0.5": nn.ELU(0.5),
}  # fmt: skip
Z = torch.linspace(-9, 9, 1001).reshape(7, -1)


def test_every_name_has_its_module() -> None:
    assert set(ACTIVATIONS) == {name for name in MODULES if ":" not in name}


@pytest.mark.parametrize("name", MODULES)
def test_it_computes_what_the_module_does_and_changes_nothing(name: str) -> None:
    given = Z.clone()
    torch.testing.assert_close(activation(name)(given), MODULES[name](Z), rtol=0, atol=0)
    assert torch.equal(given, Z)
    torch.testing.assert_close(overwriting(name)(given), MODULES[name](Z), rtol=0, atol=0)
    doubled = torch.equal(activation(name)(2 * Z), 2 * activation(name)(Z))
    assert doubled == is_homogeneous(name)


@pytest.mark.parametrize("name", ["", "Relu", "leaky_relu:", "leaky_relu:-1", "gelu:2", "elu:1e9", None, 3])
def test_another_name_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match=r"^activation must be one of relu, tanh, .*; got "):
        activation(name)  # type: ignore[arg-type]
