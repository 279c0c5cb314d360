"""A smaller network from a larger one (paper 4.4): by which method, down to how many units, at what cost in accuracy.

How neurons merge is `dropclust.core.merging`'s. Everything is chosen on held-out images; the test set is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropclust.core import clustering, merging, mnist
from dropclust.core.checks import whole
from dropclust.core.merging import Layer, Plan, Side
from dropclust.core.methods import METHODS, Choice, CurvePoint, Method, methods_for
from dropclust.core.network import Network
from dropclust.core.spec import LIMITS


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
        One of `METHODS`; one that scales neurons wants an activation that scales with them, as ReLU does (`methods_for`).
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
    chosen, seed = _method(method, network), _seed(seed)
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
        Some of `METHODS`; all that `methods_for` the network when None.
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
    chosen, seed = _method(method, network), _seed(seed)
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
    plan = PLANS[method.name](view, units, seed)
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
    plan = PLANS[method.name](view, units, seed)
    bic, harabasz = None, None
    if method.clusters:
        bic, harabasz = _criteria(view.vectors["incoming"], view.labels("incoming", units, seed))
    return CurvePoint(units, len(plan.b_in), view.accuracy(plan), bic, harabasz)


def _method(name: object, network: Network) -> Method:
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    if name not in methods_for(network):
        raise ValueError(
            f"method {name} scales neurons, which is exact only where the activation scales with them, as ReLU does; "
            f"the network has {network.activation}"
        )
    return METHODS[name]


def _seed(value: object) -> int:
    return whole("seed", value, *map(int, LIMITS["seed"]))


def _layer(network: Network, value: object) -> int:
    return whole("layer", value, 1, len(network.hidden))


def _units(name: str, value: object, width: int) -> int:
    return whole(name, value, 1, width)


PLANS: dict[str, Callable[[Layer, int, int], Plan]] = {
    "paper": merging.paper,
    "fold": merging.fold,
    "least_squares": merging.fold_and_repair,
    "agreement": merging.agreement,
    "srinivas_babu": merging.srinivas_babu,
    "neuron_merging": merging.neuron_merging,
    "prune": merging.prune,
    "prune_least_squares": merging.prune_and_repair,
    "random": merging.random_clusters,
}
