"""A network and its named tensors: which name means which layer, and which way round a weight lies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dropclust.core.spec import INPUTS, OUTPUTS, RunSpec
from dropclust.service.files.common import Array, LoadError, short, tensor_digest

if TYPE_CHECKING:
    from dropclust.core.network import Network

# The word of a tensor's name that tells a weight from a bias; what is left names the layer.
_KIND = re.compile(r"weights?|biases|bias|kernels?|coefs?|intercepts?|(?<![a-z])[wb](?![a-z])", re.IGNORECASE)


def _natural(name: str) -> list[Any]:
    """A key that sorts fc2 before fc10: digits compare as numbers, by length first."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(digits := part.lstrip("0")), digits) if odd % 2 else part for odd, part in enumerate(parts)]


def _layer_name(name: str) -> str:
    """The name without its last word for weight or bias, if it has one."""
    kinds = list(_KIND.finditer(name))
    return name[: kinds[-1].start()] + name[kinds[-1].end() :] if kinds else name


def layers_of(tensors: Mapping[str, Array]) -> tuple[list[Array], list[Array]]:
    """Sort named tensors into weights ``[in, out]`` and biases ``[out]``, first layer first.

    A weight belongs to the bias of the same name but for the word (``fc1.weight`` and ``fc1.bias``, ``W1`` and ``b1``,
    ``weights.0`` and ``biases.0``); where no name has such a word (``arr_0``, ``arr_1``) they pair in order. Layers stand in
    the order of their names, digits as numbers. All weights of a file lie the same way round: as they are when they lead
    from 784 to 10 like that, and else transposed, which is how torch stores ``fc1.weight``, ``[out, in]``. As 784 is not 10,
    no chain of layers fits both ways, so that a square weight is turned as its neighbours are: torch's names always
    mean ``[out, in]``.

    Raises
    ------
    LoadError
        When the tensors do not pair up or do not lead from 784 inputs to 10 outputs.

    Examples
    --------
    >>> weights, biases = layers_of({"fc1.weight": np.zeros((10, 784), np.float32), "fc1.bias": np.zeros(10, np.float32)})
    >>> weights[0].shape, biases[0].shape
    ((784, 10), (10,))
    """
    nameless = not any(_KIND.search(name) for name in tensors)
    ranked: dict[int, dict[str, Array]] = {1: {}, 2: {}}
    for name in sorted(tensors, key=lambda name: _natural(_layer_name(name))):
        ranked.setdefault(tensors[name].ndim, {})[_layer_name(name)] = tensors[name]
    vectors, matrices = ranked[1], ranked[2]
    paired = len(vectors) == len(matrices) if nameless else vectors.keys() == matrices.keys()
    if not paired or len(vectors) + len(matrices) != len(tensors):  # unequal: a name stands twice, or a third rank
        raise LoadError(
            "must hold one weight matrix and one bias vector a layer, named alike (fc1.weight and fc1.bias); "
            f"got {short(*sorted(tensors, key=_natural))}"
        )
    weights, biases = list(matrices.values()), list(vectors.values())
    for turned in (weights, [weight.T for weight in weights]):
        widths = [INPUTS, *(weight.shape[1] for weight in turned)]
        if widths[:-1] == [weight.shape[0] for weight in turned] and widths[-1] == OUTPUTS:
            return turned, biases
    shapes = ", ".join("x".join(map(str, weight.shape)) for weight in weights)
    raise LoadError(f"must lead from {INPUTS} inputs to {OUTPUTS} outputs, each layer fitting the next; got weights {shapes}")


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


def digest(network: Described) -> str:
    """SHA-256 of weights and biases, 64 hex digits: the same for a network in any of the three formats.

    Examples
    --------
    >>> import torch
    >>> from dropclust import Network
    >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
    >>> len(digest(network))
    64
    """
    return tensor_digest(tensors_of(network))


def network_of(weights: Iterable[Array], biases: Iterable[Array], spec: RunSpec | None) -> Network:
    """A core network with its own memory from arrays ``[in, out]`` and ``[out]``; this is where torch is imported."""
    import torch

    from dropclust.core.network import Network

    return Network(
        [torch.from_numpy(np.array(weight, np.float32, order="C")) for weight in weights],
        [torch.from_numpy(np.array(bias, np.float32)) for bias in biases],
        spec,
    )
