"""A smaller network from a larger one (paper 4.4): by which method, down to how many units, at what cost in accuracy.

How neurons merge is `dropclust.core.merging`'s. Everything is chosen on held-out images; the test set is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropclust.core import clustering, merging, mnist
from dropclust.core.checks import whole
from dropclust.core.merging import Layer, Plan, Side
from dropclust.core.network import Network
from dropclust.core.spec import LIMITS


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
    plan: Callable[[Layer, int, int], Plan] = field(repr=False)


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

    Examples
    --------
    See `compress`.
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
    FileNotFoundError
        When ``data`` is None and MNIST is not in the cache folder.

    Examples
    --------
    A layer of 20 neurons, each there twice, folds to 20 units without loss:

    >>> import torch
    >>> from dropclust import Network, compress
    >>> stream = torch.Generator().manual_seed(0)
    >>> first, second, last = (torch.randn(shape, generator=stream) for shape in ((784, 20), (20, 30), (30, 10)))
    >>> weights = [first.repeat(1, 2), second.repeat(2, 1), last]
    >>> network = Network(weights, [torch.zeros(weight.shape[1]) for weight in weights])
    >>> found = compress(network, layer=1, units=20, method="fold")
    >>> found.network.hidden, found.accuracy == found.accuracy_before
    ((20, 30), True)
    >>> torch.equal(found.labels[:20], found.labels[20:])  # each neuron went where its copy went
    True
    """
    chosen, seed = _method(method), _seed(seed)
    view = Layer(network, _layer(network, layer), data)
    return _compressed(view, chosen, _units("units", units, view.width), seed)


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
    chosen, seed = [_method(name) for name in (METHODS if methods is None else methods)], _seed(seed)
    view = Layer(network, _layer(network, layer), data)
    wanted = [_units("widths", width, view.width) for width in widths]
    return {
        (method.name, width): _compressed(
            view, method, width if method.unit == "units" else merging.clusters_for(view, width, seed), seed
        )
        for width in wanted
        for method in chosen
    }


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
    chosen, seed = _method(method), _seed(seed)
    view = Layer(network, _layer(network, layer), data)
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


def _compressed(view: Layer, method: Method, units: int, seed: int) -> Compressed:
    plan = method.plan(view, units, seed)
    labels = torch.empty(view.width, dtype=torch.int64)
    labels[torch.from_numpy(view.order)] = torch.from_numpy(plan.labels)
    return Compressed(
        network=view.network_of(plan),
        labels=labels,
        method=method.name,
        layer=view.layer,
        units=units,
        seed=seed,
        scale=plan.scale,
        chosen=plan.chosen,
        ridge=plan.ridge,
        accuracy_before=view.accuracy_before,
        accuracy=view.accuracy(plan),
    )


def _criteria(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """BIC and Calinski-Harabasz of a clustering; None where they are not defined, or where clusters have no spread."""
    bic, harabasz = clustering.bic(vectors, labels), clustering.calinski_harabasz(vectors, labels)
    return bic if math.isfinite(bic) else None, harabasz if math.isfinite(harabasz) else None


def _point(view: Layer, method: Method, units: int, seed: int) -> CurvePoint:
    plan = method.plan(view, units, seed)
    bic, harabasz = None, None
    if method.clusters:
        bic, harabasz = _criteria(view.vectors["incoming"], view.labels("incoming", units, seed))
    return CurvePoint(units, len(plan.b_in), view.accuracy(plan), bic, harabasz)


def _method(name: object) -> Method:
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]


def _seed(value: object) -> int:
    return whole("seed", value, *map(int, LIMITS["seed"]))


def _layer(network: Network, value: object) -> int:
    return whole("layer", value, 1, len(network.hidden))


def _units(name: str, value: object, width: int) -> int:
    return whole(name, value, 1, width)


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
            plan=merging.paper,
        ),
        Method(
            name="fold",
            sentence="Clusters like the paper, but adds outgoing weights up, so that equal neurons merge without loss.",
            source="the paper's section 4.4 with sums for means: what members of a cluster do together",
            exact="copies",
            clusters=True,
            unit="units",
            control=False,
            plan=merging.fold,
        ),
        Method(
            name="least_squares",
            sentence="Folds, then fits outgoing weights and the next biases to the original's activations on training images.",
            source="ridge regression (Hoerl & Kennard 1970) on the folded layer's activations",
            exact="copies",
            clusters=True,
            unit="units",
            control=False,
            plan=merging.fold_and_repair,
        ),
        Method(
            name="agreement",
            sentence="Merges only groups of neurons that are together in both clusterings, which the paper calls similar nodes "
            "(4.3.1); the width follows from how far the clusterings agree.",
            source="Lin, Wang & Chen (2019), section 5, future work",
            exact="copies",
            clusters=True,
            unit="clusters",
            control=False,
            plan=merging.agreement,
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
            plan=merging.srinivas_babu,
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
            plan=merging.neuron_merging,
        ),
        Method(
            name="prune",
            sentence="Keeps the neurons with the largest incoming weights (L1 norm) and drops the others.",
            source="magnitude pruning, as in Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017",
            exact="",
            clusters=False,
            unit="units",
            control=True,
            plan=merging.prune,
        ),
        Method(
            name="prune_least_squares",
            sentence="Prunes, then makes the same least-squares repair as least_squares.",
            source="reconstruction after pruning (He, Zhang & Sun, Channel Pruning, ICCV 2017)",
            exact="",
            clusters=False,
            unit="units",
            control=True,
            plan=merging.prune_and_repair,
        ),
        Method(
            name="random",
            sentence="Folds random clusters of the same sizes as those of fold.",
            source="a control: what clusters of these sizes do without similarity",
            exact="",
            clusters=True,
            unit="units",
            control=True,
            plan=merging.random_clusters,
        ),
    )
}
