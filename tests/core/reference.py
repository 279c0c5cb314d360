"""What tests compare with: the engine as plainly as PyTorch allows, and exact or exactly uniform values for permuted labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


class Perceptron(nn.Module):
    """784 -> three hidden layers with ReLU and torch's own dropout -> 10 logits."""

    def __init__(self, hidden: Sequence[int], dropout: Sequence[float], recipe: str) -> None:
        super().__init__()
        widths = [INPUTS, *hidden, OUTPUTS]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropouts = nn.ModuleList(nn.Dropout(rate) for rate in dropout)
        for layer in self.layers:
            if recipe == "modern":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer, dropout in zip(self.layers[:-1], self.dropouts, strict=True):
            x = dropout(torch.relu(layer(x)))
        return self.layers[-1](x)


def optimiser(recipe: str, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Torch's own, with the rates of the two recipes written out again."""
    if recipe == "modern":
        return torch.optim.Adam(parameters, lr=1e-3, fused=True)
    return torch.optim.SGD(parameters, lr=5e-5)


def loss(logits: Tensor, labels: Tensor, recipe: str) -> Tensor:
    """Cross-entropy: its mean over the batch, or its sum as section 4.1.2 of the paper writes it."""
    return nn.functional.cross_entropy(logits, labels, reduction="mean" if recipe == "modern" else "sum")


def train_plain(spec: RunSpec, data: Data) -> Network:
    """Train as everybody does: a module, an optimiser, shuffled batches, torch's global random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model = Perceptron(spec.hidden, spec.dropout, spec.recipe)
        step = optimiser(spec.recipe, list(model.parameters()))
        left = spec.steps
        while left:
            for index in torch.randperm(len(data.train_x)).split(spec.batch_size)[:left]:
                step.zero_grad()
                loss(model(data.train_x[index]), data.train_y[index], spec.recipe).backward()
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
