"""Fewer neurons from more: neurons of a hidden layer are merged or dropped, and those that stay take over their work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropclust.core import mnist, similarity
from dropclust.core.activation import is_homogeneous
from dropclust.core.checks import whole
from dropclust.core.metrics import accuracy
from dropclust.core.network import Network
from dropclust.core.noise import generator
from dropclust.core.spec import LIMITS

Side = Literal["incoming", "outgoing"]
SIDES: tuple[Side, Side] = ("incoming", "outgoing")  # of two that do equally well, the first is chosen

# The linear search of the paper: outgoing means are multiplied by h / C times each of these, 1/32 to 4.
SCALES = tuple(2 ** (step / 4) for step in range(-20, 9))
# Every scale is tried on so many held-out images, and the best three of them on all.
SCALE_IMAGES = 1_000
# The ridge of a least-squares repair, as a multiple of the mean variance of the new activations.
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
REPAIR_IMAGES = 10_000  # the first so many training images; with all 55,000 held-out accuracy moved by 0.001 at most


@dataclass(frozen=True)
class Method:
    """A way to make a layer smaller.

    Attributes
    ----------
    name
        What `compress` calls it.
    sentence
        What it does, in a sentence.
    source
        Where it comes from.
    exact
        What it merges back without any loss, when ``units`` is the number of different neurons: "copies" (equal neurons, any
        number of each), "scaled copies" (also neurons whose incoming weights and bias are a positive multiple of a
        neuron's that stays, where every one that stays has a larger L1 norm), or "" where nothing is promised.
    clusters
        Whether it starts from k-means clusterings, whose seed and criteria then matter.
    unit
        What ``units`` counts: "units" (the new width) or "clusters" (of each clustering; the width follows).
    control
        Whether it is there to be compared with.
    """

    name: str
    sentence: str
    source: str
    exact: Literal["", "copies", "scaled copies"]
    clusters: bool
    unit: Literal["units", "clusters"]
    control: bool
    plan: Callable[[_Layer, int, int], _Plan] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Compressed:
    """A network with one layer made smaller, and how that was done.

    Attributes
    ----------
    network
        The smaller network. It keeps the original's spec: the run that its weights come from.
    labels
        int64 ``[h]``: the new unit that each old neuron went into, or -1 where it was dropped.
    method, layer, units, seed
        As asked for. With "agreement" ``units`` counts clusters; the width is ``network.hidden[layer - 1]``.
    scale
        What the mean outgoing weights were multiplied by ("paper"); 1 for all other methods.
    chosen
        Which clustering did better on held-out images; None where there was no such choice.
    ridge
        The ridge chosen on held-out images, as a multiple of the mean variance; None where no repair was made or none helped.
    accuracy_before, accuracy
        Share of the held-out images classified correctly by the original and by the smaller network. Choices were made on
        these images, so the second flatters a little: report the test set.
    """

    network: Network
    labels: Tensor
    method: str
    layer: int
    units: int
    seed: int
    scale: float
    chosen: Side | None
    ridge: float | None
    accuracy_before: float
    accuracy: float


@dataclass(frozen=True)
class CurvePoint:
    """One number of units and what is left of the accuracy.

    Attributes
    ----------
    units, width
        As asked for, and the width it gave; they differ for "agreement" only.
    accuracy
        Share of the held-out images classified correctly.
    bic
        Bayesian information criterion of the clustering of incoming weights and biases into ``units``, on the scale of a log
        likelihood: higher is better. None where the method has no clustering or the clusters have no spread, as at h.
    calinski_harabasz
        The Calinski-Harabasz criterion of the same clustering: higher is better. None as above and for one cluster.
    """

    units: int
    width: int
    accuracy: float
    bic: float | None
    calinski_harabasz: float | None


@dataclass(frozen=True)
class Choice:
    """The smallest number of units that keeps the accuracy, and what the criteria would have chosen.

    Attributes
    ----------
    units, width, accuracy
        The number chosen, its width and its held-out accuracy.
    accuracy_before, tolerance
        ``accuracy`` is at least ``accuracy_before - tolerance``; where no number reached that, all h units are kept.
    tried
        Every number that was tried, ascending.
    bic_units, calinski_harabasz_units
        The numbers that the two criteria choose among those tried; None where the method has no clustering.
    """

    units: int
    width: int
    accuracy: float
    accuracy_before: float
    tolerance: float
    tried: tuple[CurvePoint, ...]
    bic_units: int | None
    calinski_harabasz_units: int | None


def compress(
    network: Network, layer: int, units: int, method: str = "paper", seed: int = 0, data: mnist.Data | None = None
) -> Compressed:
    """Make one hidden layer smaller (paper section 4.4).

    The result does not depend on the order of the layer's neurons, and is the same for the same seed. Everything that is
    chosen is chosen on ``data.held_x``; the repairs of "least_squares" and "prune_least_squares" are fitted to the first
    10,000 images of ``data.train_x``; the test set is never looked at.

    Parameters
    ----------
    network
        Any network; its weights are not changed.
    layer
        Which hidden layer, 1 for the first.
    units
        Width wanted, 1 to the layer's width; for "agreement" the number of clusters of each clustering.
    method
        One of `METHODS`.
    seed
        Decides the clusterings (k-means starts) and the random clusters, 0 to 2**31 - 1.
    data
        Images; MNIST from the cache folder when None.

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    chosen, seed = _method(method, network), _seed(seed)
    view = _Layer(network, _layer(network, layer), data)
    return view.compressed(chosen, _units("units", units, view.width), seed)


def side_by_side(
    network: Network,
    layer: int,
    widths: Iterable[int],
    methods: Iterable[str] | None = None,
    seed: int = 0,
    data: mnist.Data | None = None,
) -> dict[tuple[str, int], Compressed]:
    """Make one hidden layer as small by every method, at each of several widths, for the methods to be compared.

    What methods and widths have in common (activations, clusterings, the order in which a greedy method merges) is computed
    once. For "agreement", whose width follows, the number of clusters is searched: more clusters give more units, not
    strictly so, and the one taken has at least the width wanted where one cluster fewer, which was tried, has not.

    Parameters
    ----------
    widths
        Widths wanted, 1 to the layer's width.
    methods
        Some of `METHODS`; all when None.
    network, layer, seed, data
        As for `compress`.

    Returns
    -------
    dict
        By method and width wanted, what `compress` returns for the same arguments; its ``units`` are what to give to
        `compress`, the width wanted or, for "agreement", the number of clusters.

    Raises
    ------
    ValueError
        As for `compress`.
    """
    chosen, seed = [_method(name, network) for name in (methods_for(network) if methods is None else methods)], _seed(seed)
    view = _Layer(network, _layer(network, layer), data)
    wanted = [_units("widths", width, view.width) for width in widths]
    return {
        (method.name, width): view.compressed(
            method, width if method.unit == "units" else _clusters_for(view, width, seed), seed
        )
        for width in wanted
        for method in chosen
    }


def compress_layers(
    network: Network,
    layers: Sequence[tuple[int, int]],
    method: str = "paper",
    seed: int = 0,
    data: mnist.Data | None = None,
) -> tuple[Compressed, ...]:
    """Make several hidden layers smaller, one after another in the order given.

    Parameters
    ----------
    layers
        Pairs of layer and units, each layer once. Each step starts from the network of the step before; the last one's
        network is the result.
    network, method, seed, data
        As for `compress`.

    Raises
    ------
    ValueError
        As for `compress`; every pair is checked before anything is computed.
    """
    _method(method, network)
    pairs = [(_layer(network, layer), units) for layer, units in layers]
    pairs = [(layer, _units("units", units, network.hidden[layer - 1])) for layer, units in pairs]
    if not pairs or len({layer for layer, _ in pairs}) < len(pairs):
        raise ValueError(f"layers must be pairs (layer, units), at least one and each layer once; got {list(layers)}")
    steps: list[Compressed] = []
    for layer, units in pairs:
        steps.append(compress(steps[-1].network if steps else network, layer, units, method, seed, data))
    return tuple(steps)


def accuracy_curve(
    network: Network,
    layer: int,
    method: str,
    units_list: Iterable[int],
    seed: int = 0,
    data: mnist.Data | None = None,
) -> tuple[CurvePoint, ...]:
    """Held-out accuracy against the number of units, ascending and each number once.

    Each accuracy is that of `compress` with the same arguments. What does not depend on the number of units (activations,
    the order in which a greedy method merges) is computed once.

    Raises
    ------
    ValueError
        As for `compress`.
    """
    chosen, seed = _method(method, network), _seed(seed)
    view = _Layer(network, _layer(network, layer), data)
    wanted = sorted({_units("units_list", units, view.width) for units in units_list})
    if not wanted:
        raise ValueError("units_list must hold at least one number of units; got none")
    return tuple(_point(view, chosen, units, seed) for units in wanted)


def choose_units(
    network: Network,
    layer: int,
    method: str = "paper",
    tolerance: float = 0.01,
    seed: int = 0,
    data: mnist.Data | None = None,
    units_list: Iterable[int] | None = None,
) -> Choice:
    """Find the smallest number of units whose held-out accuracy is within a tolerance of the original's (paper 4.4).

    The paper searches linearly. Here the numbers of ``units_list`` are tried, and then the gap below the smallest that
    passes is halved until it is closed: the number returned passes, and one unit fewer was tried and does not. Accuracy is
    not quite monotone in the number of units, so a smaller number that passes by luck may be missed.

    Parameters
    ----------
    tolerance
        Largest loss of held-out accuracy, a share from 0 to 1: 0.01 is one percentage point.
    units_list
        Numbers to try first, beside h itself; 16 from 1 to h, evenly spaced in their logarithm, when None.
    network, layer, method, seed, data
        As for `compress`.

    Raises
    ------
    ValueError
        As for `compress`.
    """
    chosen, seed = _method(method, network), _seed(seed)
    view = _Layer(network, _layer(network, layer), data)
    if isinstance(tolerance, (bool, str)) or not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance must be a share from 0 to 1; got {tolerance!r}")
    numbers = np.geomspace(1, view.width, 16).round().astype(int).tolist() if units_list is None else units_list
    first = {_units("units_list", units, view.width) for units in numbers} | {view.width}
    tried = {units: _point(view, chosen, units, seed) for units in first}

    def passes(units: int) -> bool:
        if units not in tried:
            tried[units] = _point(view, chosen, units, seed)
        return tried[units].accuracy >= view.accuracy_before - tolerance - 1e-12  # a difference of shares is not exact

    high = min((units for units in sorted(tried) if passes(units)), default=view.width)
    low = max((units for units in tried if units < high), default=0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    best = tried[high]
    points = tuple(tried[units] for units in sorted(tried))
    bic = {point.units: point.bic for point in points if point.bic is not None}
    harabasz = {point.units: point.calinski_harabasz for point in points if point.calinski_harabasz is not None}
    return Choice(
        units=high,
        width=best.width,
        accuracy=best.accuracy,
        accuracy_before=view.accuracy_before,
        tolerance=float(tolerance),
        tried=points,
        bic_units=max(bic, key=bic.__getitem__, default=None),
        calinski_harabasz_units=max(harabasz, key=harabasz.__getitem__, default=None),
    )


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
        Inputs of the next layer in the original network, before its ReLU, ``[n, out]``.
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


@dataclass(frozen=True, eq=False)
class _Plan:
    """A smaller layer in its canonical order: what `_Layer` needs to judge it and to build the network."""

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


class _Layer:
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
        """Logits from the inputs of the next layer, before its ReLU ``[n, out]``."""
        for weight, bias in zip(self.network.weights[self.layer + 1 :], self.network.biases[self.layer + 1 :], strict=True):
            following = self.network.activate(following) @ weight + bias
        return following

    @cached_property
    def held_below(self) -> Tensor:
        return self._below(self.data.held_x)

    @cached_property
    def held(self) -> Tensor:
        """Activations of the layer on held-out images ``[n, h]``."""
        return self.network.activate(self.held_below @ self.w_in + self.b_in)

    @cached_property
    def held_following(self) -> Tensor:
        return self.held @ self.w_out + self.b_out

    @cached_property
    def held_y(self) -> Tensor:
        if self.network.outputs != self.data.classes:
            raise ValueError(
                f"what is chosen by accuracy needs an output for each of the {self.data.classes} labels; "
                f"the network has {self.network.outputs}"
            )
        return self.data.held_y.to(self.network.device)

    @cached_property
    def train_below(self) -> Tensor:
        return self._below(self.data.train_x[:REPAIR_IMAGES])

    @cached_property
    def train_following(self) -> Tensor:
        return self.network.activate(self.train_below @ self.w_in + self.b_in) @ self.w_out + self.b_out

    @cached_property
    def accuracy_before(self) -> float:
        return self.score(self.held_following)

    @cached_property
    def merge_sequence(self) -> list[tuple[int, int]]:
        return _merge_sequence(self.vectors["incoming"], self.vectors["outgoing"])

    def held_activations(self, plan: _Plan) -> Tensor:
        """Activations of the smaller layer on held-out images ``[n, C]``."""
        return (
            self.held[:, plan.kept] if plan.kept is not None else self.network.activate(self.held_below @ plan.w_in + plan.b_in)
        )

    def score(self, following: Tensor) -> float:
        """Accuracy on the first held-out images, from what the next layer takes in for them ``[n, out]``."""
        return accuracy(self.above(following), self.held_y[: len(following)])

    def accuracy(self, plan: _Plan) -> float:
        if plan.accuracy is not None:
            return plan.accuracy
        return self.score(self.held_activations(plan) @ plan.w_out + plan.b_out)

    def compressed(self, method: Method, units: int, seed: int) -> Compressed:
        """What `compress` returns."""
        plan = method.plan(self, units, seed)
        labels = torch.empty(self.width, dtype=torch.int64)
        labels[torch.from_numpy(self.order)] = torch.from_numpy(plan.labels)
        return Compressed(
            network=self.network_of(plan),
            labels=labels,
            method=method.name,
            layer=self.layer,
            units=units,
            seed=seed,
            scale=plan.scale,
            chosen=plan.chosen,
            ridge=plan.ridge,
            accuracy_before=self.accuracy_before,
            accuracy=self.accuracy(plan),
        )

    def network_of(self, plan: _Plan) -> Network:
        weights, biases = list(self.network.weights), list(self.network.biases)
        weights[self.layer - 1 : self.layer + 1] = plan.w_in, plan.w_out
        biases[self.layer - 1 : self.layer + 1] = plan.b_in, plan.b_out
        return Network(weights, biases, self.network.spec, self.network.activation)


def _paper(view: _Layer, units: int, seed: int) -> _Plan:
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


def _fold(view: _Layer, units: int, seed: int) -> _Plan:
    return _better(view, [_folded(view, view.labels(side, units, seed), side) for side in SIDES])


def _random(view: _Layer, units: int, seed: int) -> _Plan:
    shuffled = torch.randperm(view.width, generator=generator(seed, "random clusters")).numpy()
    return _better(view, [_folded(view, _relabelled(view.labels(side, units, seed)[shuffled]), side) for side in SIDES])


def _together(view: _Layer, clusters: int, seed: int) -> NDArray[np.int64]:
    """Neurons that are together in both clusterings, as one clustering."""
    incoming, outgoing = (view.labels(side, clusters, seed) for side in SIDES)
    return _relabelled(incoming * clusters + outgoing)


def _agreement(view: _Layer, units: int, seed: int) -> _Plan:
    return _folded(view, _together(view, units, seed), None)


def _clusters_for(view: _Layer, width: int, seed: int) -> int:
    """Clusters of each clustering with which "agreement" keeps ``width`` units or more, and with one fewer does not.

    k clusters of each give at most k^2 units, and k or more. A ladder of half octaves finds where to look: few clusters are
    found fast, and all widths climb the same rungs.
    """
    if width == view.width:
        return width  # nothing merges, whatever the number of clusters

    def enough(clusters: int) -> bool:
        return int(_together(view, clusters, seed).max()) + 1 >= width

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


def _least_squares(view: _Layer, units: int, seed: int) -> _Plan:
    return _repaired(view, _fold(view, units, seed))


def _prune(view: _Layer, units: int, seed: int) -> _Plan:
    del seed
    labels = np.full(view.width, -1)
    kept = _strongest(view, units)
    labels[kept] = np.arange(units)
    return _kept(view, kept, view.w_out[torch.from_numpy(kept).to(view.w_out.device)], labels)


def _prune_least_squares(view: _Layer, units: int, seed: int) -> _Plan:
    return _repaired(view, _prune(view, units, seed))


def _neuron_merging(view: _Layer, units: int, seed: int) -> _Plan:
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


def _srinivas_babu(view: _Layer, units: int, seed: int) -> _Plan:
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


def _better(view: _Layer, plans: Sequence[_Plan]) -> _Plan:
    """The plan with the best held-out accuracy, the first of equals."""
    return max((replace(plan, accuracy=view.accuracy(plan)) for plan in plans), key=view.accuracy)


def _folded(view: _Layer, labels: NDArray[np.int64], side: Side | None) -> _Plan:
    """Mean incoming weights and biases, sum of outgoing weights: exact where the members of a cluster are equal."""
    members = torch.nn.functional.one_hot(torch.from_numpy(labels)).to(view.w_in.device, torch.float64)  # [h, C]
    means = members / members.sum(0)
    return _Plan(
        w_in=(view.w_in.double() @ means).float(),
        b_in=(view.b_in.double() @ means).float(),
        w_out=(members.T @ view.w_out.double()).float(),
        b_out=view.b_out,
        labels=labels,
        chosen=side,
    )


def _kept(view: _Layer, kept: NDArray[np.int64], w_out: Tensor, labels: NDArray[np.int64]) -> _Plan:
    index = torch.from_numpy(kept).to(view.w_in.device)
    return _Plan(view.w_in[:, index], view.b_in[index], w_out, view.b_out, labels, kept=index)


def _repaired(view: _Layer, plan: _Plan) -> _Plan:
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


def _cluster(vectors: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int64]:
    """Exactly k clusters of rows, numbered as they first appear; equal rows are together unless fewer than k differ."""
    labels = _relabelled(similarity.cluster(vectors, k, seed))
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


def _strongest(view: _Layer, units: int) -> NDArray[np.int64]:
    """Positions of the neurons with the largest L1 norm of incoming weights and bias, ascending; of equal norms the first."""
    norms = np.abs(view.vectors["incoming"].astype(np.float64)).sum(1)
    return np.sort((-norms).argsort(kind="stable")[:units])


def _criteria(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """BIC and Calinski-Harabasz of a clustering that is already there, as `similarity.choose_k` defines them, or None.

    W and B are the sums of squares within and between k clusters of n rows of d entries. BIC = log L - (k + d k) / 2 log n,
    with one spherical Gaussian a cluster, all of variance W / (d (n - k)); Calinski-Harabasz = (B / (k - 1)) / (W / (n - k)).
    """
    x = vectors.astype(np.float64)
    (n, d), sizes = x.shape, np.bincount(labels)
    k, within = len(sizes), float(_squares_within(x, labels).sum())
    between = float(((x - x.mean(0)) ** 2).sum()) - within
    if k == n or within <= 1e-12 * (within + between):
        return None, None
    variance = within / (d * (n - k))
    log_likelihood = (sizes * np.log(sizes / n)).sum() - n * d / 2 * math.log(2 * math.pi * variance) - d * (n - k) / 2
    bic = float(log_likelihood - (k + k * d) / 2 * math.log(n))
    return bic, between / (k - 1) / (within / (n - k)) if k > 1 else None


def _point(view: _Layer, method: Method, units: int, seed: int) -> CurvePoint:
    plan = method.plan(view, units, seed)
    bic, harabasz = None, None
    if method.clusters:
        bic, harabasz = _criteria(view.vectors["incoming"], view.labels("incoming", units, seed))
    return CurvePoint(units, len(plan.b_in), view.accuracy(plan), bic, harabasz)


def methods_for(network: Network) -> list[str]:
    """The methods that a network can be compressed by: those that scale neurons need f(a z) = a f(z), as ReLU has it."""
    return [name for name in METHODS if name not in _SCALING or is_homogeneous(network.activation)]


def _method(name: object, network: Network) -> Method:
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    if name not in methods_for(network):
        raise ValueError(f"method {name} scales neurons, which is exact for ReLU alone; the network has {network.activation}")
    return METHODS[name]


def _seed(value: object) -> int:
    return whole("seed", value, *map(int, LIMITS["seed"]))


def _layer(network: Network, value: object) -> int:
    return whole("layer", value, 1, len(network.hidden))


def _units(name: str, value: object, width: int) -> int:
    return whole(name, value, 1, width)


_SCALING = frozenset({"neuron_merging"})  # methods whose exactness needs f(a z) = a f(z)
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="paper",
            sentence="Clusters incoming and outgoing weights, keeps the clustering that does better on held-out images, and "
            "gives each cluster the mean of both, with one scale chosen on held-out images.",
            source="Lin, Wang & Chen, Clustering Phenomena in Dropout (2019), section 4.4",
            exact="",
            clusters=True,
            unit="units",
            control=False,
            plan=_paper,
        ),
        Method(
            name="fold",
            sentence="Clusters like the paper, but adds outgoing weights up, so that equal neurons merge without loss.",
            source="the paper's section 4.4 with sums for means: what members of a cluster do together",
            exact="copies",
            clusters=True,
            unit="units",
            control=False,
            plan=_fold,
        ),
        Method(
            name="least_squares",
            sentence="Folds, then fits outgoing weights and the next biases to the original's activations on training images.",
            source="ridge regression (Hoerl & Kennard 1970) on the folded layer's activations",
            exact="copies",
            clusters=True,
            unit="units",
            control=False,
            plan=_least_squares,
        ),
        Method(
            name="agreement",
            sentence="Merges only neurons that are together in both clusterings; the width follows from how far they agree.",
            source="Lin, Wang & Chen (2019), section 5, future work",
            exact="copies",
            clusters=True,
            unit="clusters",
            control=False,
            plan=_agreement,
        ),
        Method(
            name="srinivas_babu",
            sentence="Merges one pair at a time, always the one that should change the next layer least, and adds outgoing "
            "weights up.",
            source="Srinivas & Babu, Data-free Parameter Pruning for Deep Neural Networks, BMVC 2015",
            exact="copies",
            clusters=False,
            unit="units",
            control=False,
            plan=_srinivas_babu,
        ),
        Method(
            name="neuron_merging",
            sentence="Keeps the neurons with the largest incoming weights (L1 norm); each other one joins the kept one of the "
            "most similar direction, in proportion to its length.",
            source="Kim et al., Neuron Merging: Compensating for Pruned Neurons, NeurIPS 2020, without its threshold",
            exact="scaled copies",
            clusters=False,
            unit="units",
            control=False,
            plan=_neuron_merging,
        ),
        Method(
            name="prune",
            sentence="Keeps the neurons with the largest incoming weights (L1 norm) and drops the others.",
            source="magnitude pruning, as in Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017",
            exact="",
            clusters=False,
            unit="units",
            control=True,
            plan=_prune,
        ),
        Method(
            name="prune_least_squares",
            sentence="Prunes, then makes the same least-squares repair as least_squares.",
            source="reconstruction after pruning (He, Zhang & Sun, Channel Pruning, ICCV 2017)",
            exact="",
            clusters=False,
            unit="units",
            control=True,
            plan=_prune_least_squares,
        ),
        Method(
            name="random",
            sentence="Folds random clusters of the same sizes as those of fold.",
            source="a control: what clusters of these sizes do without similarity",
            exact="",
            clusters=True,
            unit="units",
            control=True,
            plan=_random,
        ),
    )
}
