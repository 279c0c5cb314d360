"""What stands between two layers: a closed set of functions, each by one name in files, on the command line and in proofs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

# Each takes a tensor of any shape and returns one of the same shape, without changing what it was given.
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "gelu": functional.gelu,
        "leaky_relu": functional.leaky_relu,  # slope 0.01 below 0, torch's own
        "elu": functional.elu,
        "silu": functional.silu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "selu": functional.selu,
        "softplus": functional.softplus,
        "mish": functional.mish,
        "softsign": functional.softsign,
        "relu6": functional.relu6,
        "identity": torch.clone,
    }
)
_SLOPED: Mapping[str, Callable[[Tensor, float], Tensor]] = {"leaky_relu": functional.leaky_relu, "elu": functional.elu}
_WITH_NUMBER = re.compile(r"(leaky_relu|elu):(\d{1,3}(?:\.\d{1,8})?)")


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of a name.

    Parameters
    ----------
    name
        One of `ACTIVATIONS`; or ``leaky_relu:0.2``, whose slope below 0 is that number and not 0.01; or ``elu:0.5``, which
        falls to minus that number and not to -1.

    Returns
    -------
    callable
        A tensor of any shape to another of the same shape.

    Raises
    ------
    ValueError
        One sentence that lists the names, when it is another.

    Examples
    --------
    >>> activation("leaky_relu:0.5")(torch.tensor([-2.0, 2.0])).tolist()
    [-1.0, 2.0]
    """
    if isinstance(name, str) and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    if isinstance(name, str) and (match := _WITH_NUMBER.fullmatch(name)):
        function, number = _SLOPED[match[1]], float(match[2])
        return lambda z: function(z, number)
    raise ValueError(
        f"activation must be one of {', '.join(ACTIVATIONS)}, or leaky_relu:0.2 and elu:0.5 with a number of their own; "
        f"got {str(name)[:40]!r}"
    )


def overwriting(name: str) -> Callable[[Tensor], Tensor]:
    """The same function as `activation`, allowed to write its result over what it is given: faster, for ReLU."""
    return torch.relu_ if name == "relu" else activation(name)
