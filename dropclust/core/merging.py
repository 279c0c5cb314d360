"""How several neurons of a layer become one, or go: every way to merge or prune, as a plan for a smaller layer.

A way takes a `Layer`, the number of units wanted and a seed, and gives a `Plan`. It knows nothing of tables and choices
between numbers of units: those are `dropclust.core.compression`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropclust.core import clustering, mnist
from dropclust.core.metrics import accuracy
from dropclust.core.network import Network
from dropclust.core.noise import generator

Side = Literal["incoming", "outgoing"]
SIDES: tuple[Side, Side] = ("incoming", "outgoing")  # of two that do equally well, the first is chosen

# The linear search of the paper: outgoing means are multiplied by h / C times each of these, 1/32 to 4.
SCALES = tuple(2 ** (step / 4) for step in range(-20, 9))
# Every scale is tried on so many held-out images, and the best three of them on all.
SCALE_IMAGES = 1_000
# The ridge of a least-squares repair, as a multiple of the mean variance of the new activations.
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
REPAIR_IMAGES = 10_000  # the first so many training images; with all 55,000 held-out accuracy moved by 0.001 at most


@dataclass(frozen=True, eq=False)
class Plan:
    """A smaller layer in its canonical order: what `Layer` needs to judge it and to build the network."""

    w_in: Tensor  # [in, C]
    b_in: Tensor  # [C]
    w_out: Tensor  # [C, out]
    b_out: Tensor  # [out]
    labels: NDArray[np.int64]  # [h]
    kept: Tensor | None = None  # [C] where the new units are old neurons with new outgoing weights
    scale: float = 1.0
    chosen: Side | None = None
    ridge: float | None = None
    accuracy: float | None = None  # on held-out images, where it was needed to choose


class Layer:
    """One hidden layer of one network with its neurons in canonical order, and the images seen from it.

    The canonical order sorts neurons by all their weights, so that nothing below can depend on the order they came in;
    neurons that tie are equal in every weight.
    """

    def __init__(self, network: Network, layer: int, data: mnist.Data | None) -> None:
        self.network, self.layer = network, layer
        self.data = mnist.load() if data is None else data
        w_in, b_in, w_out = network.weights[layer - 1], network.biases[layer - 1], network.weights[layer]
        incoming = torch.cat([w_in, b_in[None]]).T.cpu().numpy()  # [h, in + 1]
        outgoing = w_out.cpu().numpy()  # [h, out]
        keys = [row.tobytes() for row in np.hstack([incoming, outgoing])]
        self.order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
        self.vectors: dict[Side, NDArray[np.float32]] = {"incoming": incoming[self.order], "outgoing": outgoing[self.order]}
        index = torch.from_numpy(self.order).to(network.device)
        self.w_in, self.b_in, self.w_out, self.b_out = w_in[:, index], b_in[index], w_out[index], network.biases[layer]
        self._labels: dict[tuple[Side, int, int], NDArray[np.int64]] = {}

    @property
    def width(self) -> int:
        """How many neurons the layer has, h."""
        return len(self.order)

    def labels(self, side: Side, units: int, seed: int) -> NDArray[np.int64]:
        """The k-means clustering of incoming or outgoing weights, computed once."""
        key = (side, units, seed)
        if key not in self._labels:
            self._labels[key] = _cluster(self.vectors[side], units, seed)
        return self._labels[key]

    def _below(self, x: Tensor) -> Tensor:
        """What the layer takes in, for images ``[n, 784]``: ``[n, in]``."""
        x = x.to(self.network.device)
        for weight, bias in zip(self.network.weights[: self.layer - 1], self.network.biases, strict=False):
            x = self.network.activate(x @ weight + bias)
        return x

    def above(self, following: Tensor) -> Tensor:
        """Logits from the inputs of the next layer, before its activation ``[n, out]``."""
        for weight, bias in zip(self.network.weights[self.layer + 1 :], self.network.biases[self.layer + 1 :], strict=True):
            following = self.network.activate(following) @ weight + bias
        return following

    @cached_property
    def held_below(self) -> Tensor:
        """What the layer takes in for the held-out images ``[n, in]``."""
        return self._below(self.data.held_x)

    @cached_property
    def held(self) -> Tensor:
        """Activations of the layer on held-out images ``[n, h]``."""
        return self.network.activate(self.held_below @ self.w_in + self.b_in)

    @cached_property
    def held_following(self) -> Tensor:
        """What the next layer takes in for them, before its activation ``[n, out]``."""
        return self.held @ self.w_out + self.b_out

    @cached_property
    def held_y(self) -> Tensor:
        """Their labels ``[n]``; a `ValueError` where the network has not an output for each of them."""
        if (labels := int(self.data.held_y.max()) + 1) > self.network.outputs:
            raise ValueError(
                f"what is chosen by accuracy needs an output for each of the {labels} labels; "
                f"the network has {self.network.outputs}"
            )
        return self.data.held_y.to(self.network.device)

    @cached_property
    def train_below(self) -> Tensor:
        """What the layer takes in for the training images of a repair ``[n, in]``."""
        return self._below(mnist.as_floats(self.data.train[:REPAIR_IMAGES]))

    @cached_property
    def train_following(self) -> Tensor:
        """What the next layer takes in for them, before its activation ``[n, out]``."""
        return self.network.activate(self.train_below @ self.w_in + self.b_in) @ self.w_out + self.b_out

    @cached_property
    def accuracy_before(self) -> float:
        """Share of the held-out images that the network as it is classifies correctly."""
        return self.score(self.held_following)

    @cached_property
    def merge_sequence(self) -> list[tuple[int, int]]:
        """Every merge (gone, into) of `srinivas_babu`, down to one neuron."""
        return _merge_sequence(self.vectors["incoming"], self.vectors["outgoing"])

    def held_activations(self, plan: Plan) -> Tensor:
        """Activations of the smaller layer on held-out images ``[n, C]``."""
        if plan.kept is not None:
            return self.held[:, plan.kept]
        return self.network.activate(self.held_below @ plan.w_in + plan.b_in)

    def score(self, following: Tensor) -> float:
        """Accuracy on the first held-out images, from what the next layer takes in for them ``[n, out]``."""
        return accuracy(self.above(following), self.held_y[: len(following)])

    def accuracy(self, plan: Plan) -> float:
        """Share of the held-out images that the network classifies correctly with the smaller layer."""
        if plan.accuracy is not None:
            return plan.accuracy
        return self.score(self.held_activations(plan) @ plan.w_out + plan.b_out)

    def network_of(self, plan: Plan) -> Network:
        """The network with the smaller layer."""
        weights, biases = list(self.network.weights), list(self.network.biases)
        weights[self.layer - 1 : self.layer + 1] = plan.w_in, plan.w_out
        biases[self.layer - 1 : self.layer + 1] = plan.b_in, plan.b_out
        return Network(weights, biases, self.network.spec, self.network.activation)


def paper(view: Layer, units: int, seed: int) -> Plan:
    """Mean incoming, mean outgoing, one scale by linear search (paper 4.4).

    The paper scales "both weights". ReLU is homogeneous, relu(a (x W + b)) = a relu(x W + b), so a factor a > 0 on incoming
    weights *and biases* and a factor c on outgoing weights act as the one factor a c on outgoing weights: one search covers
    every such pair. It does not cover a factor on incoming weights that leaves the biases as they are. The next layer's
    biases are not scaled: that layer has as many neurons as before. The scale is h / C (what equal clusters need) times 1/32
    to 4 in steps of a quarter of an octave: every one is tried on the first 1,000 held-out images, the best three on all of
    them; of equal accuracies the one nearest to h / C is taken.
    """

    def judged(following: Tensor, factors: Iterable[float]) -> list[tuple[float, float, float]]:
        """(accuracy, closeness to 1, factor), the best first."""
        scores = [(view.score(f * ratio * following + view.b_out), -abs(math.log(f)), f) for f in factors]
        return sorted(scores, reverse=True)

    ratio, plans = view.width / units, []
    for side in SIDES:
        plan = _folded(view, view.labels(side, units, seed), side)
        sizes = torch.from_numpy(np.bincount(plan.labels)).to(plan.w_out)
        mean_out = plan.w_out / sizes[:, None]
        following = view.held_activations(plan) @ mean_out
        finalists = judged(following[:SCALE_IMAGES], SCALES)[:3]
        reached, _, factor = judged(following, [factor for _, _, factor in finalists])[0]
        scale = factor * ratio
        plans.append(replace(plan, w_out=scale * mean_out, scale=scale, accuracy=reached))
    return _better(view, plans)


def fold(view: Layer, units: int, seed: int) -> Plan:
    """Mean incoming weights and biases, sums of outgoing weights, by the clustering that does better on held-out images."""
    return _better(view, [_folded(view, view.labels(side, units, seed), side) for side in SIDES])


def random_clusters(view: Layer, units: int, seed: int) -> Plan:
    """`fold` with the clusters' members drawn at random: a control."""
    shuffled = torch.randperm(view.width, generator=generator(seed, "random clusters")).numpy()
    return _better(view, [_folded(view, _relabelled(view.labels(side, units, seed)[shuffled]), side) for side in SIDES])


def together(view: Layer, clusters: int, seed: int) -> NDArray[np.int64]:
    """Groups of neurons that are together in both clusterings, as one clustering: the paper's similar nodes (4.3.1).

    `dropclust.core.similarity.agreement` is something else: neurons on which both clusterings, their clusters matched one to
    one, agree.
    """
    incoming, outgoing = (view.labels(side, clusters, seed) for side in SIDES)
    return _relabelled(incoming * clusters + outgoing)


def agreement(view: Layer, units: int, seed: int) -> Plan:
    """`fold` with clusters that are together in both clusterings of ``units`` clusters each (paper section 5)."""
    return _folded(view, together(view, units, seed), None)


def clusters_for(view: Layer, width: int, seed: int) -> int:
    """Clusters of each clustering with which "agreement" keeps ``width`` units or more, and with one fewer does not.

    k clusters of each give at most k^2 units, and k or more. A ladder of half octaves finds where to look: few clusters are
    found fast, and all widths climb the same rungs.
    """
    if width == view.width:
        return width  # nothing merges, whatever the number of clusters

    def enough(clusters: int) -> bool:
        return int(together(view, clusters, seed).max()) + 1 >= width

    low = math.isqrt(width - 1)  # its square is below the width
    rungs = (round(2 ** (step / 2)) for step in range(2 * width.bit_length() + 1))
    for rung in rungs:
        if low < rung < width:
            if enough(rung):
                high = rung
                break
            low = rung
    else:
        high = width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def fold_and_repair(view: Layer, units: int, seed: int) -> Plan:
    """`fold`, then outgoing weights by least squares."""
    return _repaired(view, fold(view, units, seed))


def prune(view: Layer, units: int, seed: int) -> Plan:
    """Keep the neurons with the largest incoming weights as they are."""
    del seed
    labels = np.full(view.width, -1)
    kept = _strongest(view, units)
    labels[kept] = np.arange(units)
    return _kept(view, kept, view.w_out[torch.from_numpy(kept).to(view.w_out.device)], labels)


def prune_and_repair(view: Layer, units: int, seed: int) -> Plan:
    """`prune`, then outgoing weights by least squares."""
    return _repaired(view, prune(view, units, seed))


def neuron_merging(view: Layer, units: int, seed: int) -> Plan:
    """Neurons that go join the kept one of the most similar direction, in proportion to their length (Kim et al. 2020)."""
    del seed
    incoming = view.vectors["incoming"].astype(np.float64)
    norms = np.linalg.norm(incoming, axis=1)
    kept = _strongest(view, units)
    unit_length = incoming / np.where(norms > 0, norms, 1)[:, None]
    labels = (unit_length @ unit_length[kept].T).argmax(1)
    labels[kept] = np.arange(units)  # also where two that stay have one direction
    ratio = norms / np.where(norms[kept] > 0, norms[kept], 1)[labels]
    w_out = np.zeros((units, view.w_out.shape[1]))
    np.add.at(w_out, labels, ratio[:, None] * view.vectors["outgoing"])
    return _kept(view, kept, torch.from_numpy(w_out).to(view.w_out), labels)


def srinivas_babu(view: Layer, units: int, seed: int) -> Plan:
    """Merge one pair at a time, the one that should change the next layer least (Srinivas and Babu 2015)."""
    del seed
    w_out, owner = view.vectors["outgoing"].astype(np.float64), np.arange(view.width)
    merges = view.merge_sequence[: view.width - units]
    for gone, into in merges:
        w_out[into] += w_out[gone]
    for gone, into in reversed(merges):  # by now `into` knows where it went itself
        owner[gone] = owner[into]
    kept = np.flatnonzero(owner == np.arange(view.width))
    return _kept(view, kept, torch.from_numpy(w_out[kept]).to(view.w_out), np.searchsorted(kept, owner))


def _merge_sequence(incoming: NDArray[np.float32], outgoing: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Every merge (gone, into) down to one neuron, always of the smallest saliency |v_gone|^2 |u_into - u_gone|^2.

    ``incoming`` u ``[h, in + 1]``, ``outgoing`` v ``[h, out]``; v of the survivor grows by that of the one gone. Distances
    never change, so each neuron's nearest is kept and looked up again only when that one goes.
    """
    u, v = incoming.astype(np.float64), outgoing.astype(np.float64)
    u -= u.mean(0)
    squares = (u**2).sum(1)
    distance = np.maximum(squares[:, None] + squares - 2 * u @ u.T, 0)
    np.fill_diagonal(distance, np.inf)
    nearest, gap, energy = distance.argmin(1), distance.min(1), (v**2).sum(1)
    saliency = energy * gap
    merges = []
    for _ in range(len(u) - 1):
        gone = int(saliency.argmin())
        into = int(nearest[gone])
        merges.append((gone, into))
        v[into] += v[gone]
        energy[into] = v[into] @ v[into]
        distance[gone], distance[:, gone] = np.inf, np.inf
        orphans = np.flatnonzero((nearest == gone) & np.isfinite(saliency))
        nearest[orphans], gap[orphans] = distance[orphans].argmin(1), distance[orphans].min(1)
        changed = np.append(orphans, into)
        saliency[changed] = energy[changed] * gap[changed]
        saliency[gone] = np.inf
    return merges


def _better(view: Layer, plans: Sequence[Plan]) -> Plan:
    """The plan with the best held-out accuracy, the first of equals."""
    return max((replace(plan, accuracy=view.accuracy(plan)) for plan in plans), key=view.accuracy)


def _folded(view: Layer, labels: NDArray[np.int64], side: Side | None) -> Plan:
    """Mean incoming weights and biases, sum of outgoing weights: exact where the members of a cluster are equal."""
    members = torch.nn.functional.one_hot(torch.from_numpy(labels)).to(view.w_in.device, torch.float64)  # [h, C]
    means = members / members.sum(0)
    return Plan(
        w_in=(view.w_in.double() @ means).float(),
        b_in=(view.b_in.double() @ means).float(),
        w_out=(members.T @ view.w_out.double()).float(),
        b_out=view.b_out,
        labels=labels,
        chosen=side,
    )


def _kept(view: Layer, kept: NDArray[np.int64], w_out: Tensor, labels: NDArray[np.int64]) -> Plan:
    index = torch.from_numpy(kept).to(view.w_in.device)
    return Plan(view.w_in[:, index], view.b_in[index], w_out, view.b_out, labels, kept=index)


def _repaired(view: Layer, plan: Plan) -> Plan:
    """The plan with outgoing weights and next biases by least squares, fitted to training images.

    The ridge is the one with the smallest held-out error, the mean square of the difference that the next layer takes in,
    and the plan as it came is among the candidates: the held-out error is never above that of the plan without repair.
    """

    def error(weight: Tensor, bias: Tensor) -> float:
        return (z @ weight.double() + bias.double() - view.held_following).square().mean().item()

    z = view.held_activations(plan).double()
    best, lowest = plan, error(plan.w_out, plan.b_out)
    train_z = view.network.activate(view.train_below @ plan.w_in + plan.b_in)
    for ridge, weight, bias in least_squares(train_z, view.train_following, RIDGES):
        candidate = replace(plan, w_out=weight.float(), b_out=bias.float(), ridge=ridge, accuracy=None)
        if (reached := error(candidate.w_out, candidate.b_out)) < lowest:
            best, lowest = candidate, reached
    return best


def least_squares(z: Tensor, y: Tensor, ridges: Sequence[float]) -> list[tuple[float, Tensor, Tensor]]:
    """Outgoing weights and next biases that best give back the next layer's inputs from new activations.

        W = (Z'Z + lam I)^-1 Z'Y,   b = mean(y) - mean(z) W,   Z and Y centred, lam = ridge * mean of the diagonal of Z'Z

    With Y = H W2 + b2 this is the map from new to old activations H by ridge regression, followed by the old W2 and b2.
    Where columns of H are orthonormal and Z = H R (R: means over clusters), no ridge gives the sums of `fold`.

    Parameters
    ----------
    z
        New activations ``[n, C]``.
    y
        Inputs of the next layer in the original network, before its activation, ``[n, out]``.
    ridges
        Multiples of the mean variance, 0 or more.

    Returns
    -------
    list of (float, Tensor, Tensor)
        The ridge, W ``[C, out]`` and b ``[out]`` in float64, for each ridge whose system has a Cholesky factor: without a
        ridge, units that are never active leave none.
    """
    z, y = z.double(), y.double()
    z_mean, y_mean = z.mean(0), y.mean(0)
    z = z - z_mean
    gram, cross = z.T @ z, z.T @ (y - y_mean)  # [C, C], [C, out]
    solutions = []
    for ridge in ridges:
        shifted = gram.clone()
        shifted.diagonal().add_(ridge * gram.diagonal().mean())
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if not failed:
            weight = torch.cholesky_solve(cross, factor)
            solutions.append((ridge, weight, y_mean - z_mean @ weight))
    return solutions


def _cluster(vectors: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int64]:
    """Exactly k clusters of rows, numbered as they first appear; equal rows are together unless fewer than k differ."""
    labels = _relabelled(clustering.cluster(vectors, k, seed))
    if (found := labels.max() + 1) < k:
        # The rows farthest from their centres found clusters of their own; one, the nearest, stays behind in each.
        distance = _squares_within(vectors, labels)
        inner = np.lexsort((distance, labels))  # cluster by cluster, the nearest to its centre first
        distance[inner[np.unique(labels[inner], return_index=True)[1]]] = -1
        labels[(-distance).argsort(kind="stable")[: k - found]] = np.arange(found, k)
        labels = _relabelled(labels)
    return labels


def _squares_within(vectors: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared distance of each row from the mean of its cluster ``[h]``."""
    x, sizes = vectors.astype(np.float64), np.bincount(labels)
    sums = np.zeros((len(sizes), x.shape[1]))
    np.add.at(sums, labels, x)
    return np.asarray(((x - (sums / sizes[:, None])[labels]) ** 2).sum(1), dtype=np.float64)


def _relabelled(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters numbered 0, 1, ... in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first.argsort().argsort()[inverse], dtype=np.int64)


def _strongest(view: Layer, units: int) -> NDArray[np.int64]:
    """Positions of the neurons with the largest L1 norm of incoming weights and bias, ascending; of equal norms the first."""
    norms = np.abs(view.vectors["incoming"].astype(np.float64)).sum(1)
    return np.sort((-norms).argsort(kind="stable")[:units])
