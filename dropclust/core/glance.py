"""A cheap look at a network's layers, several times a second while it trains: each look goes on from the one before.

Everything here works on numpy arrays and never imports torch. A look is less than the experiments measure: few starts of
k-means, few permutations, and on part of the held-out images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Floats, Ints
from dropclust.core.clustering import cluster, incoming, outgoing
from dropclust.core.similarity import adjusted_rand, agreement, expected_rand, match_labels, permuted
from dropclust.core.twins import twins_of

STARTS = 2  # of k-means, for one layer a look
PERMUTATIONS = 99  # of labels behind the band that chance gives
CALM = 0.02  # by which share a fresh clustering must be tighter than what the last one became, to take its place
ROUNDS = 12  # of Lloyd's algorithm, from the last clustering


@dataclass(frozen=True, eq=False)
class Glance:
    """What was seen of a hidden layer of h neurons.

    Parameters
    ----------
    incoming, outgoing
        Cluster of each neuron by incoming and by outgoing weights (paper 4.3.1), ``[h]``, 0 to k-1; clusters keep the names of
        the look before.
    agree
        bool ``[h]``: the two clusterings agree on the neuron, as `dropclust.core.similarity.agreement` has it.
    adjusted_rand
        Of the two clusterings; 0 is what chance gives.
    low, high
        Band that holds 95 % of it when labels are permuted.
    twin
        The neuron that acts most like each, where their activations correlate above .9, ``[h]``; else the neuron itself.
    dead
        bool ``[h]``: never active on these images.
    """

    incoming: Ints
    outgoing: Ints
    agree: npt.NDArray[np.bool_]
    adjusted_rand: float
    low: float
    high: float
    twin: Ints
    dead: npt.NDArray[np.bool_]

    @property
    def twins(self) -> int:
        """How many neurons have a twin."""
        return int((self.twin != np.arange(len(self.twin))).sum())


def look(
    weights: Sequence[Any],
    biases: Sequence[Any],
    activations: Sequence[npt.ArrayLike],
    k: int = 10,
    before: Sequence[Glance] = (),
    turn: int = 0,
) -> tuple[Glance, ...]:
    """Look at all hidden layers of a network.

    Parameters
    ----------
    weights, biases
        Of each layer, ``[in, out]`` and ``[out]``, arrays or tensors.
    activations
        Of each hidden layer on some images, after ReLU, ``[n, h]``.
    k
        Clusters of each clustering; layers narrower than this have as many clusters as neurons.
    before
        What the last look saw; without it every layer is clustered afresh.
    turn
        The number of this look: one layer after the other is clustered afresh, and the new clustering is taken where it is
        tighter than what has become of the last one.

    Returns
    -------
    tuple of Glance
        One a hidden layer.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.normal(size=shape) for shape in ((6, 8), (8, 8), (8, 4))]
    >>> seen = look(weights, [np.zeros(8), np.zeros(8), np.zeros(4)], [rng.random((20, 8))] * 2, k=3)
    >>> len(seen), seen[0].twins, int(seen[0].incoming.max())
    (2, 0, 2)
    """
    return tuple(
        _layer(
            incoming(weights, biases, number), outgoing(weights, number), acts, k,
            before[number - 1] if before else None, not before or turn % len(activations) == number - 1,
        )
        for number, acts in enumerate(activations, start=1)
    )  # fmt: skip


def _layer(into: Floats, out: Floats, activations: npt.ArrayLike, k: int, before: Glance | None, fresh: bool) -> Glance:
    k = min(k, len(into))
    first, second = (
        _clustered(vectors, k, None if before is None else labels, fresh)
        for vectors, labels in zip((into, out), (before.incoming, before.outgoing) if before else (None, None), strict=True)
    )
    expected, band = expected_rand(first, second), permuted(first, second, PERMUTATIONS)
    above = max(1 - expected, np.finfo(np.float64).tiny)
    found = twins_of(activations)
    own = np.arange(len(into))
    return Glance(
        incoming=first,
        outgoing=second,
        agree=agreement(first, second),
        adjusted_rand=adjusted_rand(first, second),
        low=(band.low - expected) / above,
        high=(band.high - expected) / above,
        twin=np.where(np.nan_to_num(found.correlation) > found.threshold, found.nearest, own),
        dead=found.dead,
    )


def _clustered(vectors: Floats, k: int, before: Ints | None, fresh: bool) -> Ints:
    """Labels ``[h]``, 0 to k-1, named like those before."""
    if before is None:
        return cluster(vectors, k, n_init=STARTS)
    labels = _refined(vectors, before, k)
    if fresh:
        other = cluster(vectors, k, n_init=STARTS)
        if _within(vectors, other, k) < (1 - CALM) * _within(vectors, labels, k):
            labels = other
    return named_like(before, labels, k)


def named_like(before: Ints, labels: Ints, k: int) -> Ints:
    """The same clustering with names 0 to k-1, shared with the clustering before as far as they can be.

    Examples
    --------
    >>> named_like(np.array([2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 2]), 3).tolist()
    [2, 2, 0, 0, 1]
    """
    matched = match_labels(before, labels)
    above = np.unique(matched[matched >= k])
    names = np.arange(max(k, int(matched.max()) + 1))
    names[above] = np.setdiff1d(np.arange(k), matched)[: len(above)]
    return names[matched]


def _means(vectors: Floats, labels: Ints, k: int) -> tuple[Floats, Ints]:
    members = (labels[:, None] == np.arange(k)).astype(np.float64)  # [h, k]
    sizes = members.sum(axis=0)
    return members.T @ vectors / np.maximum(sizes, 1)[:, None], sizes


def _refined(vectors: Floats, labels: Ints, k: int) -> Ints:
    """Lloyd's algorithm from a clustering; a cluster that loses all its neurons stays empty."""
    for _ in range(ROUNDS):
        centres, sizes = _means(vectors, labels, k)
        distances = (centres**2).sum(axis=1) - 2 * vectors @ centres.T  # [h, k], without each neuron's own length
        distances[:, sizes == 0] = np.inf
        nearest = distances.argmin(axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
    return labels


def _within(vectors: Floats, labels: Ints, k: int) -> float:
    """Sum of squares about the clusters' means."""
    centres, sizes = _means(vectors, labels, k)
    return float((vectors**2).sum() - (sizes * (centres**2).sum(axis=1)).sum())
