"""Files of others are understood by the names and shapes of their tensors, and two networks have two digests."""

from __future__ import annotations

import io

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from dropclust.service.files import digest, from_bytes
from tests.service.files.networks import arrays, equal, images, logits, network, npz, refused


def test_the_digest_tells_networks_apart() -> None:
    assert digest(network(seed=0)) != digest(network(seed=1))
    assert digest(network(spec=None)) == digest(network())
    assert digest(network((8, 6, 5))) != digest(network((8, 5, 6)))


NAMES = {
    "own": {},
    "torch modules": {"weight": "fc{}.weight", "bias": "fc{}.bias", "first": 1, "turn": True},
    "torch sequential": {"weight": "net.{}.weight", "bias": "net.{}.bias", "turn": True},
    "torch beyond nine": {"weight": "net.{}.weight", "bias": "net.{}.bias", "first": 7, "turn": True},
    "a module that is called weight": {"weight": "weight.{}.weight", "bias": "weight.{}.bias", "turn": True},
    "capital letters": {"weight": "W{}", "bias": "b{}", "first": 1},
    "underscores": {"weight": "layer_{}_w", "bias": "layer_{}_b"},
    "scikit-learn": {"weight": "coefs_{}", "bias": "intercepts_{}"},
    "keras": {"weight": "dense_{}/kernel:0", "bias": "dense_{}/bias:0", "first": 9},
    "flax": {"weight": "Dense_{}.kernel", "bias": "Dense_{}.bias"},
    "torch names the other way round": {"weight": "fc{}.weight", "bias": "fc{}.bias"},
}


@pytest.mark.parametrize("hidden", [(7,), (8, 6, 5), (9, 9, 9), (784, 10, 10), (784, 784), (10, 10, 10, 10, 10, 10)])
@pytest.mark.parametrize("names", NAMES)
def test_files_of_others_are_understood(names: str, hidden: tuple[int, ...]) -> None:
    made = network(hidden)
    named = dict(sorted(arrays(made, **NAMES[names]).items(), reverse=True))  # type: ignore[arg-type]
    for data, suffix in (
        (safetensors.numpy.save(named), ".safetensors"),
        (npz(named), ".npz"),
        (npz(named, compress=True), ".npz"),
    ):
        found = from_bytes(data, f"net{suffix}")
        assert equal(found, made)
        assert found.spec is None


def test_a_torch_module_with_square_layers_is_understood() -> None:
    """The names are torch's own, and so is the orientation, also where the shapes of a layer do not tell."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(784, 20), torch.nn.ReLU(), torch.nn.Linear(20, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10)
    )
    found = from_bytes(safetensors.torch.save(module.state_dict(), {"format": "pt"}), "net.safetensors")
    with torch.no_grad():
        np.testing.assert_allclose(logits(found, images()), module(images()).numpy(), atol=1e-4, rtol=0)


def test_arrays_without_names_pair_in_order() -> None:
    made = network()
    file = io.BytesIO()
    np.savez(
        file, *(array for pair in zip(made.weights, made.biases, strict=True) for array in (pair[0].numpy(), pair[1].numpy()))
    )
    assert equal(from_bytes(file.getvalue(), "net.npz"), made)
    file = io.BytesIO()
    np.savez(file, *(w.numpy() for w in made.weights), *(b.numpy() for b in made.biases))
    assert equal(from_bytes(file.getvalue(), "net.npz"), made)


def test_a_bias_of_another_name_does_not_pair() -> None:
    named = arrays(network((8, 8)))
    named["other"] = named.pop("biases.1")
    refused(npz(named), "net.npz", "one weight matrix and one bias vector a layer, named alike")
