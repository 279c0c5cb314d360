"""A network as a value: what it refuses, in which words, and what it says of itself."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from dropclust.core.network import MAX_HIDDEN_LAYERS, Network
from dropclust.core.spec import RunSpec
from tests.core.reference import random_network


def parts(*hidden: int) -> tuple[list[Tensor], list[Tensor]]:
    widths = [784, *hidden, 10]
    return [torch.zeros(a, b) for a, b in pairwise(widths)], [torch.zeros(b) for b in widths[1:]]


@pytest.mark.parametrize("hidden", [(5,), (5, 4, 3), (2,) * 6], ids=str)
def test_one_to_six_hidden_layers_of_any_width_are_taken(hidden: tuple[int, ...]) -> None:
    network = Network(*parts(*hidden))
    assert network.hidden == hidden
    assert network.n_parameters == sum(t.numel() for group in parts(*hidden) for t in group)
    assert network.spec is None
    assert isinstance(network.weights, tuple)
    assert isinstance(network.biases, tuple)


def test_parameters_of_the_papers_network_are_counted() -> None:
    assert random_network((100, 100, 100)).n_parameters == RunSpec().n_parameters == 99_710


ONE_EACH = "a network must have one weight and one bias a layer and 1 to 6 hidden layers; got {} weights and {} biases"


@pytest.mark.parametrize(("n_weights", "n_biases"), [(0, 0), (1, 1), (8, 8), (4, 3), (3, 4)])
def test_layers_that_are_too_few_too_many_or_unpaired_are_refused(n_weights: int, n_biases: int) -> None:
    assert MAX_HIDDEN_LAYERS == 6
    weights, biases = parts(*[5] * 7)
    with pytest.raises(ValueError, match="one weight and one bias") as caught:
        Network(weights[:n_weights], biases[:n_biases])
    assert str(caught.value) == ONE_EACH.format(n_weights, n_biases)


FINITE = "layer {} must hold finite numbers only; got NaN or infinity"
TAKES = "layer {} must take {} inputs and have as many biases as outputs; got a weight {} and a bias {}"


@pytest.mark.parametrize(
    ("which", "layer", "tensor", "sentence"),
    [
        ("weight", 2, torch.zeros(5, 4, dtype=torch.float64), "weight of layer 2 must be a float32 tensor; got torch.float64"),
        ("bias", 1, torch.zeros(5, dtype=torch.int64), "bias of layer 1 must be a float32 tensor; got torch.int64"),
        ("weight", 1, np.zeros((784, 5), np.float32), "weight of layer 1 must be a float32 tensor; got float32"),
        ("bias", 3, [0.0] * 10, "bias of layer 3 must be a float32 tensor; got <class 'list'>"),
        ("weight", 1, torch.zeros(784), "weight of layer 1 must be [in, out]; got [784]"),
        ("weight", 2, torch.zeros(1, 5, 4), "weight of layer 2 must be [in, out]; got [1, 5, 4]"),
        ("weight", 1, torch.zeros(784, 0), "weight of layer 1 must be [in, out]; got [784, 0]"),
        ("bias", 2, torch.zeros(4, 1), "bias of layer 2 must be [out]; got [4, 1]"),
        ("bias", 2, torch.tensor(0.0), "bias of layer 2 must be [out]; got []"),
        ("weight", 1, torch.zeros(5, 784), TAKES.format(1, 784, [5, 784], [5])),
        ("weight", 2, torch.zeros(6, 4), TAKES.format(2, 5, [6, 4], [4])),
        ("bias", 2, torch.zeros(3), TAKES.format(2, 5, [5, 4], [3])),
        ("weight", 2, torch.full((5, 4), float("nan")), FINITE.format(2)),
        ("bias", 3, torch.tensor([0.0] * 9 + [float("inf")]), FINITE.format(3)),
        ("weight", 1, torch.full((784, 5), -float("inf")), FINITE.format(1)),
    ],
    ids=lambda value: None if isinstance(value, (Tensor, np.ndarray, list)) else str(value)[:50],
)
def test_a_bad_layer_is_refused_in_one_sentence(which: str, layer: int, tensor: object, sentence: str) -> None:
    weights, biases = parts(5, 4)
    (weights if which == "weight" else biases)[layer - 1] = tensor
    with pytest.raises(ValueError, match="layer") as caught:
        Network(weights, biases)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("outputs", [1, 101])
def test_one_output_or_too_many_are_refused(outputs: int) -> None:
    weights, biases = parts(5, 4)
    with pytest.raises(ValueError, match=rf"^the last layer must have 2 to 100 outputs; got {outputs}$"):
        Network([*weights[:2], torch.zeros(4, outputs)], [*biases[:2], torch.zeros(outputs)])


def test_other_outputs_and_activations_are_taken_and_kept() -> None:
    weights, biases = parts(5, 4)
    letters = Network([*weights[:2], torch.zeros(4, 26)], [*biases[:2], torch.zeros(26)], activation="tanh").to("cpu")
    assert (letters.outputs, letters.activation) == (26, "tanh")
    assert torch.equal(letters.activate(torch.tensor([0.5])), torch.tanh(torch.tensor([0.5])))
    with pytest.raises(ValueError, match="activation must be one of relu, "):
        Network(*parts(5), activation="maxout")


def test_it_is_frozen_and_moves_whole() -> None:
    network = random_network((3, 3, 3))
    with pytest.raises(FrozenInstanceError):
        network.spec = None
    spec = RunSpec(hidden=(3, 3, 3))
    moved = Network(network.weights, network.biases, spec).to("cpu")
    assert moved.spec == spec
    assert moved.device == torch.device("cpu")
    for before, after in zip((*network.weights, *network.biases), (*moved.weights, *moved.biases), strict=True):
        assert torch.equal(before, after)
