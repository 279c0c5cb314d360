"""What tests compare with: the engine as plainly as PyTorch allows, and exact or exactly uniform values for permuted labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dropclust.core import similarity
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.spec import INPUTS, OUTPUTS, RunSpec

RECIPES = {  # written out again
    "modern": ("adam", 1e-3, "he"),
    "paper": ("sgd", 5e-5, "glorot"),
    "modern-rate-3e-4": ("adam", 3e-4, "he"),
    "modern-rate-3e-3": ("adam", 3e-3, "he"),
    "paper-rate-25e-6": ("sgd", 2.5e-5, "glorot"),
    "paper-rate-1e-4": ("sgd", 1e-4, "glorot"),
    "modern-glorot": ("adam", 1e-3, "glorot"),
    "modern-sgd": ("sgd", 5e-5, "he"),
}


class Perceptron(nn.Module):
    """784 -> three hidden layers with ReLU and torch's own dropout -> 10 logits."""

    def __init__(self, hidden: Sequence[int], dropout: Sequence[float], recipe: str) -> None:
        super().__init__()
        widths = [INPUTS, *hidden, OUTPUTS]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropouts = nn.ModuleList(nn.Dropout(rate) for rate in dropout)
        for layer in self.layers:
            if RECIPES[recipe][2] == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer, dropout in zip(self.layers[:-1], self.dropouts, strict=True):
            x = dropout(torch.relu(layer(x)))
        return self.layers[-1](x)


def optimiser(recipe: str, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Torch's own."""
    kind, rate, _ = RECIPES[recipe]
    return torch.optim.Adam(parameters, lr=rate, fused=True) if kind == "adam" else torch.optim.SGD(parameters, lr=rate)


def loss(logits: Tensor, labels: Tensor, recipe: str) -> Tensor:
    """Cross-entropy: its mean over the batch, or its sum as section 4.1.2 of the paper writes it."""
    return nn.functional.cross_entropy(logits, labels, reduction="mean" if RECIPES[recipe][0] == "adam" else "sum")


def train_plain(spec: RunSpec, data: Data) -> Network:
    """Train as everybody does: a module, an optimiser, shuffled batches, torch's global random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = Perceptron(spec.hidden, spec.dropout, spec.recipe)
        step = optimiser(spec.recipe, list(model.parameters()))
        x, left = data.train_x, spec.steps
        while left:
            for index in torch.randperm(len(x)).split(spec.batch_size)[:left]:
                step.zero_grad()
                loss(model(x[index]), data.train_y[index], spec.recipe).backward()
                step.step()
                left -= 1
    return Network(
        [layer.weight.detach().t().contiguous() for layer in model.layers],
        [layer.bias.detach().clone() for layer in model.layers],
        spec,
    )


def noisy_logits(
    weights: Sequence[Tensor], biases: Sequence[Tensor], x: Tensor, kind: str, noise: Sequence[Tensor | None]
) -> Tensor:
    """Logits with given noise: a multiplier for each hidden layer's activations, or of the weights leaving it."""
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if number > 0:
            x = torch.relu(x)
            multiplier = noise[number - 1]
            if multiplier is not None and kind == "dropconnect":
                weight = weight * multiplier
            elif multiplier is not None:
                x = x * multiplier
        x = x @ weight + bias
    return x


def random_network(hidden: Sequence[int], seed: int = 0, scale: float = 1.0) -> Network:
    """A network nobody trained, of He's weights and small random biases."""
    stream = torch.Generator().manual_seed(seed)
    widths = [INPUTS, *hidden, OUTPUTS]
    weights = [scale * (2 / a) ** 0.5 * torch.randn(a, b, generator=stream) for a, b in pairwise(widths)]
    return Network(weights, [0.1 * torch.randn(b, generator=stream) for b in widths[1:]])


def outcomes(p: float, n: int) -> Iterator[tuple[float, npt.NDArray[np.float64]]]:
    """Every mask of n entries with its chance, scaled to mean 1; one of ones where nothing is dropped."""
    for kept in itertools.product((0, 1), repeat=n if p else 0):
        chance = math.prod(1 - p if one else p for one in kept)
        yield chance, np.array(kept) / (1 - p) if p else np.ones(n)


def every_run(
    network: Network, x: Tensor, dropout: Sequence[float], noise: str = "bernoulli"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Chances ``[masks]`` and logits ``[masks, n, 10]`` of every mask of a small network, one mask after another."""
    weights = [weight.double().numpy() for weight in network.weights]
    biases = [bias.double().numpy() for bias in network.biases]
    shapes = [w.shape if noise == "dropconnect" else w.shape[:1] for w in weights[1:]]
    chances, logits = [], []
    for drawn in itertools.product(*(outcomes(p, math.prod(shape)) for p, shape in zip(dropout, shapes, strict=True))):
        a = x.double().numpy() @ weights[0] + biases[0]
        for (_, mask), shape, w, b in zip(drawn, shapes, weights[1:], biases[1:], strict=True):
            a, mask = np.maximum(a, 0), mask.reshape(shape)
            a = a @ (w * mask) + b if noise == "dropconnect" else (a * mask) @ w + b
        chances.append(math.prod(chance for chance, _ in drawn))
        logits.append(a)
    return np.array(chances), np.stack(logits)


@dataclass(frozen=True, eq=False)
class Exact:
    """What sampling tends to with ever more masks. All float64 tensors ``[n, 10]``, ``mean_entropy`` ``[n]``.

    Mean and standard deviation of the logits; arithmetic mean of the probabilities; log of their geometric mean, normalised
    (paper 3.1); the chance that a mask's largest logit is this class, which equal logits share; mean entropy of one mask.
    """

    mean_logits: Tensor
    std_logits: Tensor
    mean_probs: Tensor
    log_probs: Tensor
    votes: Tensor
    mean_entropy: Tensor

    @property
    def mstd(self) -> float:
        """Paper section 3.2."""
        return self.std_logits.mean().item()


def enumerate_masks(network: Network, x: Tensor, dropout: Sequence[float], noise: str = "bernoulli") -> Exact:
    """Run every mask of a small network and weigh it by its chance."""
    chances, logits = every_run(network, x, dropout, noise)

    def mean(values: npt.NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.tensordot(chances, values, axes=1))

    log_p = torch.from_numpy(logits).log_softmax(-1).numpy()
    centre = mean(logits)
    winners = logits == logits.max(-1, keepdims=True)
    return Exact(
        mean_logits=centre,
        std_logits=mean((logits - centre.numpy()) ** 2).sqrt(),
        mean_probs=mean(np.exp(log_p)),
        log_probs=mean(log_p).log_softmax(-1),
        votes=mean(winners / winners.sum(-1, keepdims=True)),
        mean_entropy=mean(-(np.exp(log_p) * log_p).sum(-1)),
    )


def rand_std(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Standard deviation of the Rand index when the labels of one side are permuted, exact for the actual cluster sizes.

    Write T for the ordered pairs together in both, P and Q for those together in each, and P3 and Q3 for the ordered
    triples. Two ordered pairs are the same two neurons, share one, or share none, so that over permutations
    ``E[T^2] = 2PQ/(n)_2 + 4 P3 Q3/(n)_3 + (P^2-2P-4P3)(Q^2-2Q-4Q3)/(n)_4`` with ``(n)_r = n(n-1)...(n-r+1)``, and the Rand
    index is a constant plus ``T / (n)_2 * 2``.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.

    References
    ----------
    Fowlkes and Mallows (1983), A method for comparing two hierarchical clusterings, JASA 78(383), section 2,
    doi:10.1080/01621459.1983.10478008.
    """
    pair = similarity._Pair.of("a", a, "b", b)
    n = len(pair.first)
    if n < 2:
        return 0.0
    sides = []
    for sizes in (pair.table.sum(1), pair.table.sum(0)):
        twos, threes = (sum(math.perm(int(size), r) for size in sizes) for r in (2, 3))
        sides.append((twos, threes, twos**2 - 2 * twos - 4 * threes))
    (p, p3, p4), (q, q3, q4) = sides
    terms = ((2, 2 * p * q), (3, 4 * p3 * q3), (4, p4 * q4))
    second_moment = sum(Fraction(term, math.perm(n, r)) for r, term in terms if n >= r)
    variance = second_moment - Fraction(p * q, math.perm(n, 2)) ** 2
    return math.sqrt(variance) / pair.pairs


def p_value_ties_drawn(a: npt.ArrayLike, b: npt.ArrayLike, n: int = 999, seed: int = 0) -> float:
    """As `similarity.permuted`, but equals are put in a random order: exactly uniform for unrelated clusterings."""
    pair = similarity._Pair.of("a", a, "b", b)
    drawn = pair.permuted(n, seed)
    equal = int(np.random.default_rng([seed, 1]).integers((drawn == pair.both).sum() + 1))
    return (1 + int((drawn > pair.both).sum()) + equal) / (n + 1)


@dataclass(frozen=True)
class Simulated:
    """An average over simulated layers.

    Parameters
    ----------
    variance
        Mean square of the layers' means.
    standard_error
        Monte Carlo standard error of ``variance``.
    """

    variance: float
    standard_error: float


def simulate_clustered_variance(h: int, k: int, sigma: float, draws: int = 100_000, seed: int = 0) -> Simulated:
    """Draw layers of clustered neurons and measure the variance of their mean: what `power_law.clustered_variance` says.

    Neuron i of cluster c is sqrt(sigma) Z_c + sqrt(1 - sigma) E_i with independent standard normal Z and E: variance 1,
    covariance sigma within a cluster and 0 across, as the paper supposes.

    Parameters
    ----------
    h
        Neurons, 2 or more.
    k
        Clusters of equal size, a divisor of h.
    sigma
        Covariance within a cluster, 0 to 1.
    draws
        Layers drawn, 2 or more; the relative standard error is about sqrt(2 / draws).
    seed
        Of the random draws.
    """
    assert h % k == 0
    random = np.random.default_rng(seed)
    squares = np.empty(draws)
    step = max(1, 2**22 // h)  # 32 MiB of float64 at once
    for begin in range(0, draws, step):
        n = min(step, draws - begin)
        neurons = random.standard_normal((n, k, h // k)) * math.sqrt(1 - sigma)
        neurons += random.standard_normal((n, k, 1)) * math.sqrt(sigma)
        squares[begin : begin + n] = neurons.mean(axis=(1, 2)) ** 2
    return Simulated(float(squares.mean()), float(squares.std(ddof=1) / math.sqrt(draws)))
