"""Networks of every activation go through each format that is written and come back, here and elsewhere, the same."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from dropclust.core import mnist
from dropclust.core.activation import ACTIVATIONS, activation
from dropclust.core.compression import compress
from dropclust.core.methods import METHODS, methods_for
from dropclust.core.network import Network
from dropclust.core.prediction import sample, scaled_logits
from dropclust.service.files import SUFFIXES, Choices, InputScale, read_bytes, save, to_bytes
from dropclust.service.files.card import card
from dropclust.service.files.scale import moments, named
from tests.service.files import zoo
from tests.service.files.networks import network

NAMES = [*ACTIVATIONS, "leaky_relu:0.2", "elu:0.5"]
SCALES = ["pixels", "standardised", "minus1-to-1", "0-to-255", "z-scores", "pixels,transposed", "standardised,inverted"]


@cache
def brought(norm: str) -> Network:
    """A network trained with ReLU and brought, with a BatchNorm folded in or none."""
    return read_bytes(safetensors.torch.save(zoo.trained(norm=norm).state_dict()), "net.safetensors").network


def made(name: str, norm: str = "") -> Network:
    """The same with any activation."""
    found = brought(norm)
    return Network(found.weights, found.biases, activation=name)


def of(scale: str) -> InputScale:
    return named(scale, lambda: moments(mnist.load()))


def elsewhere(data: bytes, suffix: str, x: np.ndarray, name: str) -> np.ndarray:
    """Logits by onnxruntime, numpy or plain PyTorch."""
    if suffix == ".onnx":
        return np.asarray(onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0])
    if suffix == ".pt":
        state = torch.load(io.BytesIO(data), weights_only=True)
        layers: list[nn.Module] = []
        for number in range(0, 2 * len(state) // 2, 2):
            out, inputs = state[f"{number}.weight"].shape
            layers += [nn.Linear(inputs, out), zoo.MODULES[name]() if name in zoo.MODULES else Function(name)]
        module = nn.Sequential(*layers[:-1])
        module.load_state_dict(state)
        with torch.no_grad():
            return module(torch.from_numpy(x)).numpy()
    arrays = dict(np.load(io.BytesIO(data))) if suffix == ".npz" else safetensors.numpy.load(data)
    value = x
    for layer in range(4):
        value = value @ arrays[f"weights.{layer}"] + arrays[f"biases.{layer}"]
        value = activation(name)(torch.from_numpy(value)).numpy() if layer < 3 else value
    return value


class Function(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return activation(self.name)(x)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", ["pixels", "standardised"])
@pytest.mark.parametrize("norm", ["", "before"])
def test_there_and_back_with_every_activation(norm: str, scale: str, name: str, suffix: str) -> None:
    net, taken = made(name, norm=norm), of(scale)
    expected = zoo.of_network(net)
    assert np.abs(expected).max() < 2_000
    data = to_bytes(net, suffix, None, taken)
    choices = Choices(activation=name, input_scale=scale) if suffix == ".pt" else None
    back = read_bytes(data, f"net{suffix}", choices)
    assert (back.network.activation, back.input_scale.name) == (name, scale)
    np.testing.assert_allclose(zoo.of_network(back.network), expected, atol=1e-4, rtol=1e-5)
    x = mnist.load().test_x[:1_000]
    given = ((x.double().numpy() * taken.scale + taken.shift)[:, taken.taken]).astype(np.float32)
    np.testing.assert_allclose(elsewhere(data, suffix, given, name), expected, atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(scaled_logits(net, x).numpy(), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("scale", SCALES)
def test_there_and_back_with_every_input_scale(scale: str, suffix: str) -> None:
    """A file written for other pictures gives the same logits for them, and comes home for pixels from 0 to 1."""
    net, taken = made("relu", norm="after"), of(scale)
    expected = zoo.of_network(net)
    data = to_bytes(net, suffix, None, taken)
    x = mnist.load().test_x[:1_000].double().numpy()
    given = ((x * taken.scale + taken.shift)[:, taken.taken]).astype(np.float32)
    unit = 1e-4 if scale != "z-scores" else 2e-3  # some pixels are lit in one picture of 55,000, and divided by that
    np.testing.assert_allclose(elsewhere(data, suffix, given, "relu"), expected, atol=unit, rtol=1e-4)
    back = read_bytes(data, f"net{suffix}", Choices(input_scale=scale) if suffix == ".pt" else None)
    assert back.input_scale.name == scale
    np.testing.assert_allclose(zoo.of_network(back.network), expected, atol=unit, rtol=1e-4)


def test_a_network_of_another_activation_is_sampled_and_compressed_as_it_is() -> None:
    net = made("tanh")
    x = mnist.load().test_x[:50]
    spread = sample(net, x, 400, dropout=(0, 0, 0.01))
    np.testing.assert_allclose(spread.logit_mean.numpy(), zoo.of_network(net, 50), atol=0.2)
    for method in methods_for(net):
        small = compress(net, 1, 12, method).network
        assert small.activation == "tanh"
    whole = compress(net, 1, 16, "fold")
    np.testing.assert_allclose(zoo.of_network(whole.network, 50), zoo.of_network(net, 50), atol=1e-3)
    assert set(METHODS) - set(methods_for(net)) == {"neuron_merging"}
    with pytest.raises(
        ValueError, match=r"neuron_merging scales neurons, which is exact only where the activation .* the network has tanh"
    ):
        compress(net, 1, 12, "neuron_merging")


def test_the_card_says_what_the_network_takes_and_what_is_proved() -> None:
    text = card(
        network((8, 6, 5)), "small.onnx", "layer 1 of 16 units made 8", {"versions": {"torch": "2"}}, of("standardised")
    )
    for words in (
        "# small.onnx", "784-8-6-5-10", "relu", "standardised pixels", "Layer 1 of 16 units made 8.", "torch 2", "nn.ReLU()",
        "nn.Linear(784, 8)",
    ):  # fmt: skip
        assert words in text


def test_a_state_dict_loads_into_a_sequential(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    save(network((8, 6, 5)), path)
    state = torch.load(path, weights_only=True)
    assert list(state) == [f"{n}.{kind}" for n in (0, 2, 4, 6) for kind in ("weight", "bias")]
