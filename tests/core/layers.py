"""Small networks and images for tests of merging and compression, and what both compare with."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from dropclust.core import clustering, mnist
from dropclust.core.network import Network
from dropclust.core.prediction import hidden_activations, scaled_logits
from dropclust.core.spec import RunSpec


def make_network(hidden: tuple[int, ...] = (14, 9, 7), seed: int = 0, spec: RunSpec | None = None) -> Network:
    """Random weights about the size of trained ones, and biases that matter."""
    stream = torch.Generator().manual_seed(seed)
    widths = (784, *hidden, 10)
    weights = [torch.randn(a, b, generator=stream) * (2 / a) ** 0.5 for a, b in pairwise(widths)]
    biases = [torch.randn(b, generator=stream) * 0.3 for b in widths[1:]]
    return Network(weights, biases, spec)


def make_data(network: Network, seed: int = 0, held: int = 200, noise: float = 0.0) -> mnist.Data:
    """Random images with the network's own answers as labels; a test set that spoils whatever it touches."""
    stream = torch.Generator().manual_seed(seed)
    train_x, held_x = (torch.rand(n, 784, generator=stream) for n in (400, held))
    labels = [scaled_logits(network, x).argmax(1) for x in (train_x, held_x)]
    wrong = torch.rand(held, generator=stream) < noise
    labels[1] = torch.where(wrong, (labels[1] + 1) % 10, labels[1])
    return mnist.Data(train_x, labels[0], held_x, labels[1], torch.full((10, 784), torch.nan), torch.full((10,), -1))


def images(seed: int = 99) -> torch.Tensor:
    return torch.rand(100, 784, generator=torch.Generator().manual_seed(seed))


def with_layer(network: Network, layer: int, w_in, b_in, w_out) -> Network:
    weights, biases = list(network.weights), list(network.biases)
    weights[layer - 1], biases[layer - 1], weights[layer] = w_in, b_in, w_out
    return Network(weights, biases, network.spec)


def copied(network: Network, layer: int, scaled: bool, seed: int = 0, copies: int | None = None):
    """Each neuron 1 to 9 times in mixed order, the copies 0.1 to 0.6 as large when scaled; and whose copy each one is."""
    rng = np.random.default_rng(seed)
    h = network.hidden[layer - 1]
    counts = rng.integers(1, 10, h) if copies is None else np.full(h, copies)
    family = np.repeat(np.arange(h), counts)
    scale = np.where(np.diff(family, prepend=-1) > 0, 1.0, rng.uniform(0.1, 0.6, len(family)) if scaled else 1.0)
    mixed = rng.permutation(len(family))
    index, factor = torch.from_numpy(family[mixed]), torch.from_numpy(scale[mixed]).float()
    weights, biases = network.weights, network.biases
    big = with_layer(
        network, layer, weights[layer - 1][:, index] * factor, biases[layer - 1][index] * factor, weights[layer][index]
    )
    return big, index


def permuted(network: Network, layer: int, order) -> Network:
    order = torch.as_tensor(order)
    weights, biases = network.weights, network.biases
    return with_layer(network, layer, weights[layer - 1][:, order], biases[layer - 1][order], weights[layer][order])


def next_inputs(network: Network, layer: int, x: torch.Tensor) -> torch.Tensor:
    """What the layer after ``layer`` takes in, in float64."""
    activation = hidden_activations(network, x)[layer - 1].double()
    return activation @ network.weights[layer].double() + network.biases[layer].double()


def same_network(a: Network, b: Network, atol: float = 0.0) -> bool:
    pairs = zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True)
    return all(x.shape == y.shape and torch.allclose(x, y, rtol=0, atol=atol) for x, y in pairs)


def vectors(network: Network, layer: int) -> dict[str, np.ndarray]:
    return {
        "incoming": clustering.incoming(network.weights, network.biases, layer, bias=True),
        "outgoing": clustering.outgoing(network.weights, layer),
    }


def together(labels) -> np.ndarray:
    """Which pairs of neurons share a unit: a clustering without its names."""
    labels = np.asarray(labels)
    return labels[:, None] == labels


def naive_fold(network: Network, layer: int, labels) -> Network:
    w_in, b_in, w_out = network.weights[layer - 1], network.biases[layer - 1], network.weights[layer]
    groups = [[i for i, label in enumerate(labels) if label == c] for c in range(max(labels) + 1)]
    return with_layer(
        network,
        layer,
        torch.stack([torch.stack([w_in[:, i] for i in group]).mean(0) for group in groups], dim=1),
        torch.stack([torch.stack([b_in[i] for i in group]).mean() for group in groups]),
        torch.stack([torch.stack([w_out[i] for i in group]).sum(0) for group in groups]),
    )
