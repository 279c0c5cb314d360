"""How far two clusterings of a layer's neurons agree, and how far chance alone would go (paper 4.3.1, Table 2).

Everything here works on numpy arrays and never imports torch; a `Network`'s tensors are turned into arrays at the door.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Ints, array, labels_of, seed_of
from dropclust.core.checks import whole
from dropclust.core.clustering import cluster, incoming, outgoing

AGREEMENT_DRAWS = 39  # permutations of labels behind what chance gives of agreement
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

    Examples
    --------
    >>> found = compare([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1])
    >>> round(found.rand, 3), round(found.chance_rand, 3), round(found.adjusted_rand, 3)
    (0.667, 0.507, 0.324)
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
        first, second = labels_of(name_a, a), labels_of(name_b, b)
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
    names = np.unique(labels_of("reference", reference))
    rows, columns = linear_sum_assignment(pair.table, maximize=True)
    new = np.full(pair.table.shape[1], -1, dtype=np.intp)
    new[columns] = names[rows]
    alone = np.setdiff1d(np.arange(len(new)), columns)
    new[alone] = names[-1] + 1 + np.arange(len(alone))
    return new[pair.second]


def agreement(incoming_labels: npt.ArrayLike, outgoing_labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell on which neurons two clusterings agree, their clusters matched one to one by `match_labels`.

    The paper's similar nodes (4.3.1) are something else, and usually more: neurons that are together in both clusterings,
    whatever their clusters are matched to. Chance is not taken out: some neurons always agree, and all do when both sides
    are one cluster.

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
    agree: npt.NDArray[np.bool_] = match_labels(incoming_labels, outgoing_labels) == labels_of(
        "incoming_labels", incoming_labels
    )
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


class Permuted(NamedTuple):
    """What chance gives of a Rand index, by permuting the labels of one side.

    ``low`` and ``high`` hold 95 % of the Rand indices of permuted labels; they are equal when permuting can change nothing, as
    with a single cluster. ``p_value`` is one-sided, ``(1 + #{permuted >= observed}) / (n + 1)``: a permutation that agrees just
    as well counts as better, so that for unrelated clusterings ``P(p <= x) <= x``.
    """

    low: float
    high: float
    p_value: float


def permuted(a: npt.ArrayLike, b: npt.ArrayLike, n: int = PERMUTATIONS, seed: int = 0) -> Permuted:
    """Permute the labels of one side many times: the band of the Rand index, and how often it is as high as the observed one.

    Under permutations cluster sizes stay, so the Rand index, the adjusted one and the number of pairs together in both are the
    same statistic.

    Parameters
    ----------
    a, b
        Labels, integers ``[n]``.
    n
        Permutations, 1 to 1,000,000; below 39 the band is too narrow, and the smallest p-value possible is ``1 / (n + 1)``.
    seed
        Decides the permutations.

    Raises
    ------
    ValueError
        For a number of permutations or a seed that is not allowed.

    Examples
    --------
    >>> permuted([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]).p_value < 0.06
    True
    """
    pair = _Pair.of("a", a, "b", b)
    drawn = pair.permuted(whole("n", n, 1, 1_000_000), seed_of(seed))
    return Permuted(*_band(pair.rand(drawn)), (1 + int((drawn >= pair.both).sum())) / (len(drawn) + 1))


def compare(incoming_labels: npt.ArrayLike, outgoing_labels: npt.ArrayLike, seed: int = 0) -> Similarity:
    """Everything about the agreement of two given clusterings of a layer, from 999 permutations.

    Parameters
    ----------
    incoming_labels, outgoing_labels
        Integers ``[h]``.
    seed
        Decides the permutations.

    Returns
    -------
    Similarity
        With the labels as given, copied.

    Raises
    ------
    ValueError
        For labels that are not whole numbers, none, or of unequal length.
    """
    pair = _Pair.of("incoming_labels", incoming_labels, "outgoing_labels", outgoing_labels)
    low, high, p_value = permuted(incoming_labels, outgoing_labels, seed=seed)
    labels = [labels_of("labels", side) for side in (incoming_labels, outgoing_labels)]
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
        p_value=p_value,
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

    Returns
    -------
    Similarity
        The indices of agreement, what chance gives, and the labels.

    Raises
    ------
    ValueError
        For a layer, k or seed that is not allowed.

    Examples
    --------
    Twenty neurons of random weights: what the two clusterings agree on is chance.

    >>> rng = np.random.default_rng(0)
    >>> from types import SimpleNamespace
    >>> network = SimpleNamespace(weights=[rng.normal(size=(784, 20)), rng.normal(size=(20, 10))], biases=[np.zeros(20)] * 2)
    >>> found = neuron_similarity(network, layer=1, k=5)
    >>> found.chance_low <= found.rand <= found.chance_high, found.p_value > 0.05
    (True, True)
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
    sides = array("incoming_vectors", incoming_vectors, "[h, in]"), array("outgoing_vectors", outgoing_vectors, "[h, out]")
    draws = whole("draws", draws, 1, 10_000)
    rng = np.random.default_rng(seed_of(seed))
    scores = np.empty((draws, 2))
    for draw in range(draws):
        labels = [cluster(rng.permuted(side, axis=1), k, seed) for side in sides]
        scores[draw] = rand_index(*labels), adjusted_rand(*labels)
    rand, adjusted = scores.T
    return ShuffledWeights(float(rand.mean()), *_band(rand), float(adjusted.mean()), *_band(adjusted), draws)
