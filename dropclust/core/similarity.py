"""Are neurons copies of one another: two clusterings of a layer, how far they agree, and how far chance alone would go.

Everything here works on numpy arrays and never imports torch; a `Network`'s tensors are turned into arrays at the door.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dropclust.core.checks import whole

AGREEMENT_DRAWS = 39  # permutations of labels behind what chance gives of agreement

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

K_MEANS_STARTS = 4
CLUSTER_METHODS = ("k-means", "ward")
PERMUTATIONS = 999
CELLS_AT_ONCE = 4_000_000  # of permuted contingency tables, 8 bytes each
# With as few draws as this the smallest and the largest span 95 %: of 40 exchangeable values the new one is neither the
# smallest nor the largest in 38 cases.
SHUFFLES = 39


class Layers(Protocol):
    """What is needed of a network here: a `Network` has it, and so has a stored run that never saw torch."""

    @property
    def weights(self) -> Sequence[Any]:
        """One ``[in, out]`` a layer."""

    @property
    def biases(self) -> Sequence[Any]:
        """One ``[out]`` a layer."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """How far the clustering by incoming and the one by outgoing weights agree on a layer of h neurons.

    Parameters
    ----------
    rand
        Rand index, 0 to 1 (paper 4.3.1, Table 2). Mostly chance: read it next to the chance figures only.
    chance_rand
        Its exact expectation when the labels of one side are permuted (sizes of clusters kept).
    chance_low, chance_high
        Band that holds 95 % of the Rand indices of permuted labels.
    chance_rand_num
        Its exact expectation for two clusterings drawn evenly among all with as many clusters as these have.
    adjusted_rand
        Rand index with chance taken out: 0 expected under permuted labels, 1 for equal clusterings.
    adjusted_mutual_info
        Mutual information with chance taken out, 0 and 1 likewise.
    element_centric
        Element-centric similarity, above 0 to 1; chance is not taken out.
    p_value
        Share of permuted labels that agree at least as well, ties counted against.
    incoming_labels, outgoing_labels
        Cluster of each neuron, integers ``[h]``, read-only; 0 is the largest cluster of each.
    """

    rand: float
    chance_rand: float
    chance_low: float
    chance_high: float
    chance_rand_num: float
    adjusted_rand: float
    adjusted_mutual_info: float
    element_centric: float
    p_value: float
    incoming_labels: Ints
    outgoing_labels: Ints


@dataclass(frozen=True)
class ShuffledWeights:
    """Agreement of the two clusterings after shuffling each neuron's weights: means and 95 % bands over the draws."""

    rand: float
    rand_low: float
    rand_high: float
    adjusted_rand: float
    adjusted_rand_low: float
    adjusted_rand_high: float
    draws: int


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


def _seed(value: object) -> int:
    return whole("seed", value, 0, 2**32 - 1)


def _array(name: str, value: Any, shape: str) -> Floats:
    if hasattr(value, "detach"):  # a torch tensor, on whatever device
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array {shape} of numbers; got {str(value)[:80]}") from error
    if array.ndim != len(shape.split(",")) or not array.size:
        raise ValueError(f"{name} must be an array {shape} that is not empty; got the shape {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers only; got NaN or infinity")
    return array


def _labels(name: str, value: npt.ArrayLike) -> Ints:
    labels = np.asarray(value)
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} must be a whole number a neuron, for at least one neuron; got {labels.dtype} of shape {list(labels.shape)}"
        )
    return labels.astype(np.intp)


class _Pair(NamedTuple):
    """Two clusterings of n neurons, labels made 0..c-1, and how many pairs of neurons each puts together."""

    first: Ints  # [n]
    second: Ints  # [n]
    table: Ints  # [clusters of the first, clusters of the second]
    both: int
    in_first: int
    in_second: int
    pairs: int

    @classmethod
    def of(cls, name_a: str, a: npt.ArrayLike, name_b: str, b: npt.ArrayLike) -> _Pair:
        first, second = _labels(name_a, a), _labels(name_b, b)
        if len(first) != len(second):
            raise ValueError(f"{name_a} and {name_b} must be of equal length; got {len(first)} and {len(second)}")
        first, second = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
        shape = (int(first.max()) + 1, int(second.max()) + 1)
        table = np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1]).reshape(shape)
        return cls(first, second, table, *map(_pairs, (table, table.sum(1), table.sum(0), np.array([len(first)]))))

    def rand(self, both: Any) -> Any:
        """Rand index, if so many pairs were together in both: a number or an array of them. A lone neuron agrees."""
        return 1 - (self.in_first + self.in_second - 2 * both) / max(self.pairs, 1)

    def permuted(self, n: int, seed: int) -> Ints:
        """Pairs together in both after permuting the labels of one side, n times: ``[n]``."""
        from scipy.stats import random_table

        rows, columns = self.table.sum(1), self.table.sum(0)
        rng = np.random.default_rng(seed)
        chunk = max(1, CELLS_AT_ONCE // self.table.size)
        both = []
        for start in range(0, n, chunk):
            # Boyett's method shuffles the labels themselves, so that these are tables of permuted labels.
            tables = random_table.rvs(rows, columns, size=min(chunk, n - start), method="boyett", random_state=rng)
            counts = tables.astype(np.intp).reshape(-1, self.table.size)  # [chunk, cells]
            both.append((np.einsum("ij,ij->i", counts, counts) - len(self.first)) // 2)
        return np.concatenate(both)


def _pairs(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _band(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Ends that hold 95 % of what the values were drawn from, exactly so with 39 or 999 values and no ties."""
    low, high = np.quantile(values, 0.025, method="lower"), np.quantile(values, 0.975, method="higher")
    return float(low), float(high)


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
    vectors = _array(f"weight of layer {layer}", weights[layer - 1], "[in, out]").T  # [h, in]
    if not bias:
        return vectors
    return np.column_stack([vectors, _array(f"bias of layer {layer}", biases[layer - 1], "[out]")])  # [h, in + 1]


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
    return _array(f"weight of layer {layer + 1}", weights[layer], "[in, out]")


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
    points, inverse, counts = _distinct(_array("vectors", vectors, "[h, d]"))
    k, seed, n_init = whole("k", k, 1, len(inverse)), _seed(seed), whole("n_init", n_init, 1, 1_000)
    if len(points) <= k:
        found = np.arange(len(points))
    elif method == "ward":
        from sklearn.cluster import AgglomerativeClustering

        # Copies are at no distance and are joined first, so that each distinct point is within one cluster.
        copies = AgglomerativeClustering(k, linkage="ward").fit(np.repeat(points, counts, axis=0)).labels_
        found = copies[np.cumsum(counts) - 1]  # of each distinct point
    else:
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        # One thread: on a few hundred points a second one only waits, ten times as long when another process has the core,
        # and its sums come in any order. Points that differ by rounding alone may fill fewer clusters, which is allowed here.
        with _thread_pools().limit(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(k, n_init=n_init, random_state=seed).fit(points, sample_weight=counts).labels_
    _, first, found = np.unique(found, return_index=True, return_inverse=True)
    order = np.lexsort((first, -np.bincount(found, weights=counts)))  # by size, equals by their first point
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[found][inverse]


def match_labels(reference: npt.ArrayLike, labels: npt.ArrayLike) -> Ints:
    """Relabel a clustering so that it shares as many labels as possible with another (Hungarian method).

    So that colours do not jump between neighbouring dropout rates. Each cluster takes the label of at most one reference
    cluster; the total overlap is the largest possible, and which of several equally good assignments is taken depends on
    the order of labels only. A cluster left without partner gets a new label above all of the reference's; a reference label
    that nobody overlaps may be used again.

    Parameters
    ----------
    reference, labels
        Integers ``[h]``.

    Returns
    -------
    numpy.ndarray
        Labels ``[h]``: the same clustering as ``labels`` under other names.

    Raises
    ------
    ValueError
        For labels that are not whole numbers, none, or of unequal length.
    """
    from scipy.optimize import linear_sum_assignment

    pair = _Pair.of("reference", reference, "labels", labels)
    names = np.unique(_labels("reference", reference))
    rows, columns = linear_sum_assignment(pair.table, maximize=True)
    new = np.full(pair.table.shape[1], -1, dtype=np.intp)
    new[columns] = names[rows]
    alone = np.setdiff1d(np.arange(len(new)), columns)
    new[alone] = names[-1] + 1 + np.arange(len(alone))
    return new[pair.second]


def agreement(incoming_labels: npt.ArrayLike, outgoing_labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell which neurons are in matching clusters of both clusterings: the paper's "similar nodes" (4.3.1).

    Clusters are matched by `match_labels`. Chance is not taken out: some neurons always agree, and all do when
    both sides are one cluster.

    Parameters
    ----------
    incoming_labels, outgoing_labels
        Integers ``[h]``.

    Returns
    -------
    numpy.ndarray
        bool ``[h]``.

    Raises
    ------
    ValueError
        For labels that are not whole numbers, none, or of unequal length.
    """
    agree: npt.NDArray[np.bool_] = match_labels(incoming_labels, outgoing_labels) == _labels("incoming_labels", incoming_labels)
    return agree


def agreement_by_chance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """On how many neurons two clusterings agree when the labels of one are permuted: mean over draws by a fixed seed.

    Parameters
    ----------
    first, second
        Labels, integers ``[h]``.

    Returns
    -------
    float
        A number of neurons, 0 to h, over `AGREEMENT_DRAWS` permutations; clusters are matched anew in each.

    Raises
    ------
    ValueError
        As `agreement` does.
    """
    rng = np.random.default_rng(0)
    return float(np.mean([agreement(first, rng.permutation(second)).sum() for _ in range(AGREEMENT_DRAWS)]))


def rand_index(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Rand index: the share of pairs of neurons that both clusterings treat alike, together or apart.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.

    Returns
    -------
    float
        0 to 1; 1 for equal clusterings, and for a single neuron, which has no pairs.

    Raises
    ------
    ValueError
        For labels that are not whole numbers, none, or of unequal length; so do all functions of two clusterings here.

    References
    ----------
    Rand (1971), Objective criteria for the evaluation of clustering methods, JASA 66(336), doi:10.1080/01621459.1971.10482356.
    """
    pair = _Pair.of("a", a, "b", b)
    return float(pair.rand(pair.both))


def expected_rand(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Expectation of the Rand index when the labels of one side are permuted, exact for the actual cluster sizes.

    ``p q + (1-p)(1-q)``, with p and q the shares of pairs that each clustering puts together. For k equal clusters on both
    sides and many neurons it tends to ``1 - 2/k + 2/k^2``.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.

    References
    ----------
    Hubert and Arabie (1985), Comparing partitions, Journal of Classification 2, doi:10.1007/BF01908075.
    """
    pair = _Pair.of("a", a, "b", b)
    together, apart = pair.in_first * pair.in_second, (pair.pairs - pair.in_first) * (pair.pairs - pair.in_second)
    return (together + apart) / pair.pairs**2 if pair.pairs else 1.0


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
    pair = _Pair.of("a", a, "b", b)
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


@functools.lru_cache(maxsize=4096)
def _together_num(n: int, k: int) -> float:
    """Chance that two of n elements are together in a clustering drawn evenly among those with exactly k clusters."""

    def onto(size: int) -> int:  # k! S(size, k): the ways to put elements into k named clusters, none empty
        return sum((-1) ** (k - j) * math.comb(k, j) * j**size for j in range(1, k + 1))

    return onto(n - 1) / onto(n)


def expected_rand_num(n: int, k_a: int, k_b: int) -> float:
    """Expectation of the Rand index of two clusterings drawn evenly among all with exactly k_a and k_b clusters.

    ``Qa Qb + (1-Qa)(1-Qb)`` with ``Q = S(n-1, k) / S(n, k)``, S being Stirling numbers of the second kind, in whole numbers. It
    differs from `expected_rand` in that cluster sizes vary as well.

    Parameters
    ----------
    n
        Neurons, 1 to 1,000,000.
    k_a, k_b
        Clusters of each side, 1 to n.

    Raises
    ------
    ValueError
        For numbers outside these limits.

    References
    ----------
    Gates and Ahn (2017), The impact of random models on clustering similarity, JMLR 18(87).
    """
    n = whole("n", n, 1, 1_000_000)
    k_a, k_b = whole("k_a", k_a, 1, n), whole("k_b", k_b, 1, n)
    if n == 1:
        return 1.0
    q_a, q_b = _together_num(n, k_a), _together_num(n, k_b)
    return q_a * q_b + (1 - q_a) * (1 - q_b)


def adjusted_rand(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Rand index with chance taken out: ``(rand - expected) / (1 - expected)``, expectation as in `expected_rand`.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.

    Returns
    -------
    float
        1 for equal clusterings, 0 expected for unrelated ones, below 0 for less than chance. When one side is a single cluster
        and the other is not it is 0, however nearly equal they are.

    References
    ----------
    Hubert and Arabie (1985), Comparing partitions, Journal of Classification 2, doi:10.1007/BF01908075.
    """
    pair = _Pair.of("a", a, "b", b)
    chance = 2 * pair.in_first * pair.in_second
    most = (pair.in_first + pair.in_second) * pair.pairs - chance
    # Nothing above chance is possible only when both sides are one cluster or both are all apart: equal clusterings.
    return (2 * pair.both * pair.pairs - chance) / most if most else 1.0


def adjusted_mutual_info(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Mutual information of two clusterings with chance taken out, as a share of the mean of their entropies.

    scikit-learn's, with the permutation model and the arithmetic mean.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.

    Returns
    -------
    float
        1 for equal clusterings, 0 expected for unrelated ones.

    References
    ----------
    Vinh, Epps and Bailey (2010), Information theoretic measures for clusterings comparison, JMLR 11(95).
    """
    from sklearn.metrics import adjusted_mutual_info_score

    pair = _Pair.of("a", a, "b", b)
    return float(adjusted_mutual_info_score(pair.first, pair.second))


def element_centric(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Element-centric similarity of two flat clusterings: mean over neurons of ``|A and B| / max(|A|, |B|)``.

    A and B are a neuron's clusters. The general definition compares the personalised PageRanks that each clustering gives a
    neuron; in clusters without overlap or hierarchy these are even over the cluster, the damping cancels, and this remains.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.

    Returns
    -------
    float
        Above 0, to 1 for equal clusterings. Chance is not taken out.

    References
    ----------
    Gates, Wood, Hetrick and Ahn (2019), Element-centric clustering comparison unifies overlaps and hierarchy, Scientific
    Reports 9, 8574, doi:10.1038/s41598-019-44892-y.
    """
    pair = _Pair.of("a", a, "b", b)
    larger = np.maximum(pair.table.sum(1)[:, None], pair.table.sum(0)[None, :])  # [clusters, clusters]
    return float((pair.table**2 / larger).sum() / len(pair.first))


def chance_band(a: npt.ArrayLike, b: npt.ArrayLike, n: int = PERMUTATIONS, seed: int = 0) -> tuple[float, float]:
    """Band that holds 95 % of the Rand indices of permuted labels.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.
    n
        Permutations, 1 to 1,000,000; below 39 the band is too narrow.
    seed
        Decides the permutations.

    Returns
    -------
    tuple
        Low and high end; equal when permuting can change nothing, as with a single cluster.
    """
    pair = _Pair.of("a", a, "b", b)
    return _band(pair.rand(pair.permuted(whole("n", n, 1, 1_000_000), _seed(seed))))


def p_value(a: npt.ArrayLike, b: npt.ArrayLike, n: int = PERMUTATIONS, seed: int = 0, ties: str = "against") -> float:
    """How often permuted labels agree at least as well, one-sided: ``(1 + #{permuted >= observed}) / (n + 1)``.

    Under permutations cluster sizes stay, so the Rand index, the adjusted one and the number of pairs together in both are the
    same statistic.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.
    n
        Permutations, 1 to 1,000,000; the smallest p-value possible is ``1 / (n + 1)``.
    seed
        Decides the permutations, and the ties when drawn.
    ties
        "against": a permutation that agrees just as well counts as better, so that for unrelated clusterings
        ``P(p <= x) <= x``. "random": equals are put in a random order, so that p is exactly uniform on
        ``1/(n+1), ..., 1`` then.

    Returns
    -------
    float
        Above 0, to 1; 1 with ties against when permuting can change nothing, as with a single cluster.

    Raises
    ------
    ValueError
        For a number of permutations, a seed or a way with ties that is not allowed.
    """
    if ties not in ("against", "random"):
        raise ValueError(f"ties must be against or random; got {ties!r}")
    pair = _Pair.of("a", a, "b", b)
    n, seed = whole("n", n, 1, 1_000_000), _seed(seed)
    drawn = pair.permuted(n, seed)
    equal = int((drawn == pair.both).sum())
    if ties == "random":
        equal = int(np.random.default_rng([seed, 1]).integers(equal + 1))
    return (1 + int((drawn > pair.both).sum()) + equal) / (n + 1)


def compare(incoming_labels: npt.ArrayLike, outgoing_labels: npt.ArrayLike, seed: int = 0) -> Similarity:
    """Everything about the agreement of two given clusterings of a layer, from 999 permutations.

    Parameters
    ----------
    incoming_labels, outgoing_labels
        Integers ``[h]``.
    seed
        Decides the permutations.

    Raises
    ------
    ValueError
        For labels that are not whole numbers, none, or of unequal length.
    """
    pair = _Pair.of("incoming_labels", incoming_labels, "outgoing_labels", outgoing_labels)
    drawn = pair.permuted(PERMUTATIONS, _seed(seed))
    low, high = _band(pair.rand(drawn))
    labels = [_labels("labels", side) for side in (incoming_labels, outgoing_labels)]
    for side in labels:
        side.setflags(write=False)
    return Similarity(
        rand=float(pair.rand(pair.both)),
        chance_rand=expected_rand(*labels),
        chance_low=low,
        chance_high=high,
        chance_rand_num=expected_rand_num(len(pair.first), *pair.table.shape),
        adjusted_rand=adjusted_rand(*labels),
        adjusted_mutual_info=adjusted_mutual_info(*labels),
        element_centric=element_centric(*labels),
        p_value=(1 + int((drawn >= pair.both).sum())) / (PERMUTATIONS + 1),
        incoming_labels=labels[0],
        outgoing_labels=labels[1],
    )


def neuron_similarity(network: Layers, layer: int, k: int, seed: int = 0, bias: bool = False) -> Similarity:
    """Cluster a layer's neurons by incoming and by outgoing weights, and compare the two clusterings (paper 4.3.1, Table 2).

    The paper does not give its k, on which the Rand index depends more than on anything else. Neurons that never fire may be
    alike for no reason that matters; to leave them out, give `compare` clusterings of the others' vectors.

    Parameters
    ----------
    network
        A `Network`, or anything else with ``weights`` ``[in, out]`` and ``biases`` ``[out]``, arrays or tensors.
    layer
        Hidden layer, counted from 1 as in the paper.
    k
        Clusters of each clustering, 1 to the width of the layer; fewer are found where fewer vectors differ.
    seed
        Decides the starts of k-means and the permutations.
    bias
        Whether the incoming vectors include the bias; the paper clusters weights only.

    Raises
    ------
    ValueError
        For a layer, k or seed that is not allowed.
    """
    vectors = incoming(network.weights, network.biases, layer, bias)
    return compare(cluster(vectors, k, seed), cluster(outgoing(network.weights, layer), k, seed), seed)


def shuffled_weights_similarity(
    incoming_vectors: npt.ArrayLike, outgoing_vectors: npt.ArrayLike, k: int, draws: int = SHUFFLES, seed: int = 0
) -> ShuffledWeights:
    """Agreement left when each neuron's own weights are shuffled, incoming and outgoing apart, and clustered again.

    Shuffling keeps what a neuron's weights are and loses where they are: what agreement remains comes from some neurons having
    larger or otherwise other weights, not from neurons being copies.

    Parameters
    ----------
    incoming_vectors, outgoing_vectors
        A row a neuron, ``[h, in]`` and ``[h, out]``.
    k
        Clusters of each clustering, 1 to h.
    draws
        Shuffles, 1 to 10,000. Of 39 the smallest and the largest span 95 %; of fewer, less.
    seed
        Decides the shuffles and the starts of k-means.

    Raises
    ------
    ValueError
        For vectors of unequal number, or a k, number of draws or seed that is not allowed.

    References
    ----------
    Filan, Casper, Hod, Wild, Critch and Russell (2021), Clusterability in neural networks, arXiv:2103.03386.
    """
    sides = _array("incoming_vectors", incoming_vectors, "[h, in]"), _array("outgoing_vectors", outgoing_vectors, "[h, out]")
    draws = whole("draws", draws, 1, 10_000)
    rng = np.random.default_rng(_seed(seed))
    scores = np.empty((draws, 2))
    for draw in range(draws):
        labels = [cluster(rng.permuted(side, axis=1), k, seed) for side in sides]
        scores[draw] = rand_index(*labels), adjusted_rand(*labels)
    rand, adjusted = scores.T
    return ShuffledWeights(float(rand.mean()), *_band(rand), float(adjusted.mean()), *_band(adjusted), draws)


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
    never: npt.NDArray[np.bool_] = _array("activations", activations, "[n, h]").max(axis=0) <= 0
    return never


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
    values, clusters = _array("activations", activations, "[n, h]"), _labels("labels", labels)
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
    pairs_within, pairs = _pairs(members.sum(axis=0).astype(np.intp)), math.comb(len(clusters), 2)
    return (
        float(within / pairs_within) if pairs_within else math.nan,
        float((everything - within) / (pairs - pairs_within)) if pairs > pairs_within else math.nan,
    )


def _means(vectors: Floats, labels: Ints) -> Floats:
    members = (np.arange(labels.max() + 1)[:, None] == labels).astype(np.float64)  # [clusters, h]
    means: Floats = members @ vectors / members.sum(axis=1, keepdims=True)  # [clusters, d]
    return means


def _within(vectors: Floats, labels: Ints) -> float:
    return float(((vectors - _means(vectors, labels)[labels]) ** 2).sum())


def _calinski_harabasz(vectors: Floats, k: int, seed: int) -> float:
    labels = cluster(vectors, k, seed)
    h, found = len(labels), int(labels.max()) + 1
    if not 1 < found < h:
        return math.nan
    within, total = _within(vectors, labels), _within(vectors, np.zeros_like(labels))
    return (total - within) / (found - 1) / (within / (h - found)) if within else math.inf


def _bic(vectors: Floats, k: int, seed: int) -> float:
    labels = cluster(vectors, k, seed)
    (h, d), sizes = vectors.shape, np.bincount(labels)
    if len(sizes) == h:
        return math.nan
    variance = _within(vectors, labels) / (d * (h - len(sizes)))
    if not variance:
        return math.inf
    log_likelihood = (sizes * np.log(sizes / h)).sum() - h * d / 2 * math.log(2 * math.pi * variance) - d * (h - len(sizes)) / 2
    parameters = (len(sizes) - 1) + d * len(sizes) + 1
    return float(log_likelihood - parameters / 2 * math.log(h))


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
    "calinski_harabasz": _calinski_harabasz,
    "bic": _bic,
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
        "calinski_harabasz": variance between over variance within clusters, each by its degrees of freedom. NaN for one
        cluster and for a cluster a neuron, infinite when clusters have no spread.
        "bic": log-likelihood of round Gaussians of one variance, a point belonging to its own cluster, less
        ``(k-1 + dk + 1)/2 log h``; variance and likelihood in all d dimensions, where the source's formulas mix one and d. In
        hundreds of dimensions it favours few clusters. NaN for a cluster a neuron, infinite when clusters have no spread.
    seed
        Decides the folds and the starts of k-means.

    Raises
    ------
    ValueError
        For no candidates, one outside 1 to h, an unknown method, or vectors that are empty or not finite.

    References
    ----------
    Fu and Perry (2020), Estimating the number of clusters using cross-validation, Journal of Computational and Graphical
    Statistics 29(1), doi:10.1080/10618600.2019.1647846. Calinski and Harabasz (1974), A dendrite method for cluster analysis,
    Communications in Statistics 3(1), doi:10.1080/03610927408827101. Pelleg and Moore (2000), X-means, ICML.
    """
    if method not in _CRITERIA:
        raise ValueError(f"method must be one of {', '.join(_CRITERIA)}; got {method!r}")
    points, inverse, counts = _distinct(_array("vectors", vectors, "[h, d]"))
    wanted, seed = sorted({whole("candidates", k, 1, len(inverse)) for k in candidates}), _seed(seed)
    if not wanted:
        raise ValueError("candidates must be at least one number of clusters; got none")
    scores = {k: _CRITERIA[method](np.repeat(points, counts, axis=0), k, seed) for k in wanted}
    best = max(scores, key=lambda k: -math.inf if math.isnan(scores[k]) else scores[k])
    return Choice(best, method, scores)
