"""Neurons that act alike on images: twins, correlation within clusters, the dead, and how many directions a layer uses.

Everything here works on numpy arrays; torch is imported only by `twins`, which runs a network on the held-out images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Floats, Ints, array, labels_of
from dropclust.core.checks import whole

if TYPE_CHECKING:
    from dropclust.core.network import Network

THRESHOLD = 0.9


@dataclass(frozen=True, eq=False)
class Twins:
    """Which neurons of a layer act alike on some images.

    Two living neurons are twins when the Pearson correlation of their activations over the images is above the threshold.
    This needs no number of clusters, no clustering and no chance level: unrelated neurons have none.

    Parameters
    ----------
    share
        Share of the living neurons that have a twin, 0 to 1; NaN when none is living.
    pairs
        The twins, integers ``[pairs, 2]`` with the smaller number first, most alike first. Read-only, as all arrays here.
    dead
        bool ``[h]``: True for a neuron that is never active on these images. It is nobody's twin.
    nearest
        The living neuron most correlated with each one, ``[h]``; -1 for a dead neuron and for one without any correlation.
    correlation
        That correlation, ``[h]``, -1 to 1; NaN where nearest is -1. A living neuron that never changes has no correlation.
    threshold
        What a correlation must exceed.

    Examples
    --------
    >>> found = twins_of([[1, 2, 0], [0, 0, 1], [2, 4, 0], [1, 2, 3]])
    >>> found.number, found.living, found.nearest.tolist(), found.share_above(0.95) == found.share
    (2, 3, [1, 0, 0], True)
    """

    share: float
    pairs: Ints
    dead: npt.NDArray[np.bool_]
    nearest: Ints
    correlation: Floats
    threshold: float

    @property
    def living(self) -> int:
        """How many neurons are ever active."""
        return int((~self.dead).sum())

    @property
    def number(self) -> int:
        """How many neurons have a twin."""
        return int((self.correlation > self.threshold).sum())

    def share_above(self, threshold: float) -> float:
        """Share of the living neurons that have a twin by another threshold; NaN when none is living."""
        return _share(self.dead, self.correlation, threshold)


def _share(never: npt.NDArray[np.bool_], correlation: Floats, threshold: float) -> float:
    living = correlation[~never]
    return float((living > threshold).mean()) if living.size else math.nan


def _threshold(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise ValueError(f"threshold must be a number from 0 to below 1; got {value!r}")
    return float(value)


def dead(activations: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell which neurons are never active on these images.

    Parameters
    ----------
    activations
        After ReLU, ``[n, h]``; array or tensor.

    Returns
    -------
    numpy.ndarray
        bool ``[h]``: True where no activation is above 0.

    Raises
    ------
    ValueError
        For activations that are none, or not finite.
    """
    never: npt.NDArray[np.bool_] = array("activations", activations, "[n, h]").max(axis=0) <= 0
    return never


def twins_of(activations: npt.ArrayLike, threshold: float = THRESHOLD) -> Twins:
    """Find the neurons of a layer that act alike, from their activations.

    Parameters
    ----------
    activations
        After ReLU, ``[n, h]``: a row an image, a column a neuron; array or tensor.
    threshold
        Two living neurons are twins when their activations correlate above this, 0 to below 1.

    Returns
    -------
    Twins
        Multiplying a neuron's activations by a positive number changes nothing in it.

    Raises
    ------
    ValueError
        For activations that are none or not finite, or a threshold that is not allowed.

    Examples
    --------
    The second neuron is three times the first; the third is of its own kind, and the fourth is dead.

    >>> found = twins_of([[1, 3, 0, 0], [0, 0, 2, 0], [2, 6, 1, 0], [0, 0, 1, 0]])
    >>> found.share, found.pairs.tolist(), found.dead.tolist()
    (0.6666666666666666, [[0, 1]], [False, False, False, True])
    """
    values, threshold = array("activations", activations, "[n, h]"), _threshold(threshold)
    never, h = dead(values), values.shape[1]
    related = ~never & (values.min(axis=0) < values.max(axis=0))
    numbers = np.flatnonzero(related)
    centred = values[:, related] - values[:, related].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=0)
    alike = np.clip(centred.T @ centred, -1, 1)  # [related, related]
    nearest, correlation = np.full(h, -1, dtype=np.intp), np.full(h, math.nan)
    if len(numbers) > 1:
        others = alike.copy()
        np.fill_diagonal(others, -np.inf)
        nearest[numbers], correlation[numbers] = numbers[others.argmax(axis=0)], others.max(axis=0)
    first, second = np.nonzero(np.triu(alike > threshold, k=1))
    order = np.argsort(-alike[first, second], kind="stable")
    pairs = np.column_stack([numbers[first], numbers[second]])[order]  # [pairs, 2]
    for part in (pairs, never, nearest, correlation):
        part.setflags(write=False)
    return Twins(_share(never, correlation, threshold), pairs, never, nearest, correlation, threshold)


def twins(network: Network, layer: int, threshold: float = THRESHOLD) -> Twins:
    """Find the neurons of a layer that act alike on the held-out images: the last 5,000 of the training set, never trained on.

    Activations are taken with the noise off. Acting alike is less than being equal: the weights of twins differ, see
    `nearest_cosine`.

    Parameters
    ----------
    network
        The trained network.
    layer
        Hidden layer, counted from 1 as in the paper.
    threshold
        Two living neurons are twins when their activations correlate above this, 0 to below 1.

    Returns
    -------
    Twins
        ``.share`` of the living neurons that have one, ``.pairs``, ``.dead``.

    Raises
    ------
    ValueError
        For a layer or a threshold that is not allowed.

    Examples
    --------
    A network that nobody trained has no twins.

    >>> import torch
    >>> from dropclust import Network, twins
    >>> stream = torch.Generator().manual_seed(0)
    >>> weights = [torch.randn(size, generator=stream) for size in ((784, 50), (50, 50), (50, 50), (50, 10))]
    >>> network = Network(weights, [torch.zeros(w.shape[1]) for w in weights])
    >>> twins(network, layer=1).share
    0.0
    """
    from dropclust.core import mnist
    from dropclust.core.prediction import hidden_activations

    layer = whole("layer", layer, 1, len(network.hidden))
    return twins_of(hidden_activations(network, mnist.load().held_x)[layer - 1], threshold)


def twins_by_chance(activations: npt.ArrayLike, kinds: npt.ArrayLike | None = None, seed: int = 0) -> int:
    """How many neurons have a twin once each neuron's activations are dealt anew to the images, by its own permutation.

    What is left is how often and how strongly each neuron fires, not for which images.

    Parameters
    ----------
    activations
        After ReLU, ``[n, h]``; array or tensor.
    kinds
        What each image shows, ``[n]``: activations are then dealt among the images of one kind, so that each neuron still
        fires for the same kinds. None deals them among all.
    seed
        Of the permutations.

    Raises
    ------
    ValueError
        For activations that are none or not finite, and for kinds of another length.

    Examples
    --------
    Two equal neurons; dealt among the images of a kind, of which there is one each, nothing changes.

    >>> fires = np.eye(50)[0]
    >>> twins_by_chance(np.stack([fires, fires], axis=1)), twins_by_chance(np.stack([fires, fires], axis=1), np.arange(50))
    (0, 2)
    """
    values = array("activations", activations, "[n, h]").T.copy()  # [h, n]: a neuron's activations side by side
    groups = labels_of("kinds", kinds) if kinds is not None else np.zeros(values.shape[1], dtype=np.intp)
    if len(groups) != values.shape[1]:
        raise ValueError(f"kinds must be one an image ({values.shape[1]}); got {len(groups)}")
    rng = np.random.default_rng(seed)
    for group in np.unique(groups):
        images = np.flatnonzero(groups == group)
        values[:, images] = rng.permuted(values[:, images], axis=1)
    return int((np.nan_to_num(twins_of(values.T).correlation) > THRESHOLD).sum())


def activation_correlation(activations: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[float, float]:
    """Mean Pearson correlation of the activations of two neurons of one cluster, and of two of different clusters.

    Neurons whose activation never changes on these images, dead ones above all, have no correlation and are left out.

    Parameters
    ----------
    activations
        After ReLU, ``[n, h]``; array or tensor.
    labels
        Cluster of each neuron, integers ``[h]``.

    Returns
    -------
    tuple
        Within clusters and across, each a mean over pairs, -1 to 1; NaN where there is no such pair.

    Raises
    ------
    ValueError
        For activations that are none or not finite, and for labels of another length.
    """
    values, clusters = array("activations", activations, "[n, h]"), labels_of("labels", labels)
    if len(clusters) != values.shape[1]:
        raise ValueError(f"labels must be one a neuron ({values.shape[1]}); got {len(clusters)}")
    varies = values.min(axis=0) < values.max(axis=0)
    values, clusters = values[:, varies], clusters[varies]
    values = values - values.mean(axis=0)
    values /= np.linalg.norm(values, axis=0)  # the product of two columns is now their correlation
    members = (clusters[:, None] == np.unique(clusters)).astype(np.float64)  # [h, clusters]
    # A sum of unit columns has a squared length of as many, plus twice the correlations of all their pairs.
    within = (((values @ members) ** 2).sum() - len(clusters)) / 2
    everything = ((values.sum(axis=1) ** 2).sum() - len(clusters)) / 2
    pairs_within, pairs = int(sum(math.comb(int(size), 2) for size in members.sum(axis=0))), math.comb(len(clusters), 2)
    return (
        float(within / pairs_within) if pairs_within else math.nan,
        float((everything - within) / (pairs - pairs_within)) if pairs > pairs_within else math.nan,
    )


def nearest_cosine(vectors: npt.ArrayLike) -> float:
    """Median over neurons of the largest cosine that their weights make with another neuron's: 1 for copies.

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``, such as `dropclust.core.similarity.incoming` gives.

    Returns
    -------
    float
        -1 to 1. Vectors of zeros have no direction and are left out; NaN when fewer than two are left.

    Raises
    ------
    ValueError
        For vectors that are none or not finite.

    Examples
    --------
    >>> nearest_cosine([[1, 0], [2, 0], [0, 1]])
    1.0
    """
    rows: Any = array("vectors", vectors, "[h, d]")
    length = np.linalg.norm(rows, axis=1)
    rows = rows[length > 0] / length[length > 0, None]
    if len(rows) < 2:
        return math.nan
    cosines = np.clip(rows @ rows.T, -1, 1)  # [h, h]
    np.fill_diagonal(cosines, -np.inf)
    return float(np.median(cosines.max(axis=0)))


def effective_rank(activations: npt.ArrayLike) -> float:
    """How many directions a layer uses: exp of the entropy of the singular values, as shares of their sum.

    Each neuron's mean over the images is taken out first, so that a direction counts when something varies along it.

    Parameters
    ----------
    activations
        ``[n, h]``: a row an image, a column a neuron; array or tensor.

    Returns
    -------
    float
        1 for a layer whose neurons all rise and fall together, h for one whose neurons are unrelated and equally strong; NaN
        when nothing varies.

    Raises
    ------
    ValueError
        For activations that are none or not finite.

    References
    ----------
    Roy and Vetterli (2007), The effective rank: a measure of effective dimensionality, EUSIPCO, 606-610.

    Examples
    --------
    >>> round(effective_rank([[1, 0], [-1, 0], [0, 1], [0, -1]]), 6)
    2.0
    """
    values = array("activations", activations, "[n, h]")
    values = values - values.mean(axis=0)
    # Squares of the singular values, from the product of the neurons with each other: as many as neurons, not images.
    squares = np.linalg.eigvalsh(values.T @ values if values.shape[1] <= len(values) else values @ values.T)
    squares = squares[squares > squares.max() * len(squares) * np.finfo(np.float64).eps]
    if not squares.size or squares.max() <= 0:
        return math.nan
    shares = np.sqrt(squares)
    shares /= shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
