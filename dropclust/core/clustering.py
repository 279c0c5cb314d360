"""Clusters among a layer's neurons: by k-means or Ward's linkage, and how many there are. It knows one clustering at a time.

Everything here works on numpy arrays and never imports torch; a `Network`'s tensors are turned into arrays at the door.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Floats, Ints, array, labels_of, seed_of
from dropclust.core.checks import whole
from dropclust.core.k_means import k_means

K_MEANS_STARTS = 4
CLUSTER_METHODS = ("k-means", "ward")


@dataclass(frozen=True)
class Choice:
    """A number of clusters and why.

    Parameters
    ----------
    k
        The candidate with the highest score; the smallest of equals, and the smallest of all when none could be scored.
    method
        The criterion.
    scores
        Score of each candidate, higher is better, NaN where the criterion is not defined.
    """

    k: int
    method: str
    scores: dict[int, float]


def incoming(weights: Sequence[Any], biases: Sequence[Any], layer: int, bias: bool = False) -> Floats:
    """Incoming weights of each neuron of a hidden layer (paper 4.3.1).

    Parameters
    ----------
    weights, biases
        A network's, ``[in, out]`` and ``[out]`` a layer, arrays or tensors.
    layer
        Hidden layer, counted from 1 as in the paper.
    bias
        Whether the bias is the last entry of each vector; the paper clusters weights only.

    Returns
    -------
    numpy.ndarray
        float64 ``[h, in]``, or ``[h, in + 1]`` with the bias.

    Raises
    ------
    ValueError
        When there is no such hidden layer.
    """
    layer = whole("layer", layer, 1, len(weights) - 1)
    vectors = array(f"weight of layer {layer}", weights[layer - 1], "[in, out]").T  # [h, in]
    if not bias:
        return vectors
    return np.column_stack([vectors, array(f"bias of layer {layer}", biases[layer - 1], "[out]")])  # [h, in + 1]


def outgoing(weights: Sequence[Any], layer: int) -> Floats:
    """Outgoing weights of each neuron of a hidden layer (paper 4.3.1).

    Parameters
    ----------
    weights
        A network's, ``[in, out]`` a layer, arrays or tensors.
    layer
        Hidden layer, counted from 1 as in the paper.

    Returns
    -------
    numpy.ndarray
        float64 ``[h, out]``.

    Raises
    ------
    ValueError
        When there is no such hidden layer.
    """
    layer = whole("layer", layer, 1, len(weights) - 1)
    return array(f"weight of layer {layer + 1}", weights[layer], "[in, out]")


@functools.cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def _distinct(vectors: Floats) -> tuple[Floats, Ints, Ints]:
    """Distinct rows in an order of their own, the one of each neuron ``[h]``, and how often each occurs."""
    rows = np.ascontiguousarray(vectors) + 0.0  # +0.0 makes -0.0 equal to 0.0 byte by byte
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()  # [h]
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    return rows[first], inverse, counts


def cluster(vectors: npt.ArrayLike, k: int, seed: int = 0, n_init: int = K_MEANS_STARTS, method: str = "k-means") -> Ints:
    """Cluster neurons: by k-means, the best of some starts of k-means++, or by Ward's linkage (paper 4.3.1 leaves both open).

    Equal vectors are one point that weighs as many: copies never part, and dead neurons with equal weights are one cluster
    or inside one. With k or fewer distinct vectors each is a cluster, so that fewer than k clusters come back; no cluster is
    ever empty. Points are sorted before they are clustered, so reordering the neurons reorders the labels and changes nothing
    else, and one seed used for two kinds of vectors links nothing between them. Another seed may find another
    local optimum.

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``.
    k
        Clusters wanted, 1 to h.
    seed
        Decides the starts of k-means; Ward's linkage has none.
    n_init
        Starts of k-means, 1 to 1,000.
    method
        "k-means", or "ward": neurons are joined step by step, the two clusters whose joining adds least to the variance
        within clusters first.

    Returns
    -------
    numpy.ndarray
        Labels ``[h]``, 0 to the number of clusters less one, largest cluster first.

    Raises
    ------
    ValueError
        For a k, seed, number of starts or method that is not allowed, and for vectors that are empty or not finite.

    References
    ----------
    Arthur and Vassilvitskii (2007), k-means++: the advantages of careful seeding, SODA. Ward (1963), Hierarchical grouping to
    optimize an objective function, JASA 58(301), doi:10.1080/01621459.1963.10500845.

    Examples
    --------
    >>> cluster([[0, 0], [5, 5], [0, 0.1], [5, 5.1], [0.1, 0]], k=2).tolist()
    [0, 1, 0, 1, 0]
    """
    if method not in CLUSTER_METHODS:
        raise ValueError(f"method must be one of {', '.join(CLUSTER_METHODS)}; got {method!r}")
    points, inverse, counts = _distinct(array("vectors", vectors, "[h, d]"))
    k, seed, n_init = whole("k", k, 1, len(inverse)), seed_of(seed), whole("n_init", n_init, 1, 1_000)
    if len(points) <= k:
        found = np.arange(len(points))
    elif method == "ward":
        from sklearn.cluster import AgglomerativeClustering

        # Copies are at no distance and are joined first, so that each distinct point is within one cluster.
        copies = AgglomerativeClustering(k, linkage="ward").fit(np.repeat(points, counts, axis=0)).labels_
        found = copies[np.cumsum(counts) - 1]  # of each distinct point
    else:
        # One thread: on a few hundred points a second one only waits, ten times as long when another process has the core.
        with _thread_pools().limit(limits=1):
            found = k_means(points, counts, k, n_init, seed)
    _, first, found = np.unique(found, return_index=True, return_inverse=True)
    order = np.lexsort((first, -np.bincount(found, weights=counts)))  # by size, equals by their first point
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[found][inverse]


def _clustered(vectors: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Ints]:
    rows, clusters = array("vectors", vectors, "[h, d]"), labels_of("labels", labels)
    if len(clusters) != len(rows):
        raise ValueError(f"labels must be one a neuron ({len(rows)}); got {len(clusters)}")
    return rows, np.unique(clusters, return_inverse=True)[1]


def _means(vectors: Floats, labels: Ints) -> Floats:
    members = (np.arange(labels.max() + 1)[:, None] == labels).astype(np.float64)  # [clusters, h]
    means: Floats = members @ vectors / members.sum(axis=1, keepdims=True)  # [clusters, d]
    return means


def _within(vectors: Floats, labels: Ints) -> float:
    """Sum of squares about the clusters' means; what is left of copies by rounding alone is none."""
    within = float(((vectors - _means(vectors, labels)[labels]) ** 2).sum())
    total = float(((vectors - vectors.mean(axis=0)) ** 2).sum())
    return within if within > 1e-12 * total else 0.0


def bic(vectors: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Bayesian information criterion of a clustering: ``log L - (k-1 + dk + 1)/2 log h``; higher is better (paper 4.4).

    L is the likelihood of round Gaussians of one variance, each neuron belonging to its own cluster; variance and likelihood
    are in all d dimensions, where the source's formulas mix one and d. In hundreds of dimensions it favours few clusters.

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``.
    labels
        Cluster of each neuron, ``[h]``.

    Returns
    -------
    float
        NaN for a cluster a neuron, infinite when clusters have no spread.

    References
    ----------
    Pelleg and Moore (2000), X-means: extending k-means with efficient estimation of the number of clusters, ICML.
    """
    rows, clusters = _clustered(vectors, labels)
    (h, d), sizes = rows.shape, np.bincount(clusters)
    if len(sizes) == h:
        return math.nan
    variance = _within(rows, clusters) / (d * (h - len(sizes)))
    if not variance:
        return math.inf
    log_likelihood = (sizes * np.log(sizes / h)).sum() - h * d / 2 * math.log(2 * math.pi * variance) - d * (h - len(sizes)) / 2
    parameters = (len(sizes) - 1) + d * len(sizes) + 1
    return float(log_likelihood - parameters / 2 * math.log(h))


def calinski_harabasz(vectors: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Variance between over variance within clusters, each by its degrees of freedom; higher is better (paper 4.4).

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``.
    labels
        Cluster of each neuron, ``[h]``.

    Returns
    -------
    float
        NaN for one cluster and for a cluster a neuron, infinite when clusters have no spread.

    References
    ----------
    Calinski and Harabasz (1974), A dendrite method for cluster analysis, Communications in Statistics 3(1),
    doi:10.1080/03610927408827101.
    """
    rows, clusters = _clustered(vectors, labels)
    h, found = len(clusters), int(clusters.max()) + 1
    if not 1 < found < h:
        return math.nan
    within, total = _within(rows, clusters), _within(rows, np.zeros_like(clusters))
    return (total - within) / (found - 1) / (within / (h - found)) if within else math.inf


def _held_out(vectors: Floats, k: int, seed: int) -> float:
    h, d = vectors.shape
    folds = min(5, h)
    if d < 2 or k > h - math.ceil(h / folds):
        return math.nan
    rng = np.random.default_rng(seed)
    neurons, halves = np.array_split(rng.permutation(h), folds), np.array_split(rng.permutation(d), 2)
    missed = spread = 0.0
    for held in neurons:
        rest = np.delete(vectors, held, axis=0)
        for given, hidden in (halves, halves[::-1]):
            labels = cluster(rest[:, hidden], k, seed)
            centres = _means(rest, labels)  # [clusters, d]
            shown = centres[:, given]
            nearest = ((shown**2).sum(axis=1) - 2 * vectors[held][:, given] @ shown.T).argmin(axis=1)  # [held]
            truth = vectors[held][:, hidden]
            missed += float(((truth - centres[nearest][:, hidden]) ** 2).sum())
            spread += float(((truth - rest[:, hidden].mean(axis=0)) ** 2).sum())
    return 1 - missed / spread if spread else math.nan


_CRITERIA: dict[str, Callable[[Floats, int, int], float]] = {
    "held_out": _held_out,
    "calinski_harabasz": lambda vectors, k, seed: calinski_harabasz(vectors, cluster(vectors, k, seed)),
    "bic": lambda vectors, k, seed: bic(vectors, cluster(vectors, k, seed)),
}


def choose_k(vectors: npt.ArrayLike, candidates: Iterable[int], method: str = "held_out", seed: int = 0) -> Choice:
    """Choose the number of clusters of a layer's neurons from their weights alone (paper 4.4: BIC and Calinski-Harabasz).

    The order of neurons does not matter. Fewer distinct vectors than k give fewer clusters, and the score of those.

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``.
    candidates
        Numbers of clusters, 1 to h.
    method
        "held_out": a fifth of the neurons is held out, and half of the weights; the other neurons are clustered by those
        weights, each held-out neuron joins the nearest centre by the other half, and its held-out weights are predicted as that
        centre's. The score is the share of their variance so explained, 5 x 2 folds: 1 is perfect, 0 no better than one
        cluster. Weights of neighbouring pixels go together, which favours larger k. NaN for vectors of one entry, for k above
        the neurons that are not held out, and when all vectors are equal.
        "calinski_harabasz", "bic": see the functions of these names, of the clustering that `cluster` finds.
    seed
        Decides the folds and the starts of k-means.

    Raises
    ------
    ValueError
        For no candidates, one outside 1 to h, an unknown method, or vectors that are empty or not finite.

    References
    ----------
    Fu and Perry (2020), Estimating the number of clusters using cross-validation, Journal of Computational and Graphical
    Statistics 29(1), doi:10.1080/10618600.2019.1647846.
    """
    if method not in _CRITERIA:
        raise ValueError(f"method must be one of {', '.join(_CRITERIA)}; got {method!r}")
    points, inverse, counts = _distinct(array("vectors", vectors, "[h, d]"))
    wanted, seed = sorted({whole("candidates", k, 1, len(inverse)) for k in candidates}), seed_of(seed)
    if not wanted:
        raise ValueError("candidates must be at least one number of clusters; got none")
    scores = {k: _CRITERIA[method](np.repeat(points, counts, axis=0), k, seed) for k in wanted}
    best = max(scores, key=lambda k: -math.inf if math.isnan(scores[k]) else scores[k])
    return Choice(best, method, scores)
