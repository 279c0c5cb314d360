"""Agreement of clusterings against enumeration, scikit-learn and naive versions; clusters of neurons against planted copies."""

import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, calinski_harabasz_score, rand_score

from dropclust.core import similarity
from dropclust.core.network import Network
from dropclust.core.similarity import (
    activation_correlation,
    adjusted_mutual_info,
    adjusted_rand,
    agreement,
    chance_band,
    choose_k,
    cluster,
    compare,
    dead,
    element_centric,
    expected_rand,
    expected_rand_num,
    incoming,
    match_labels,
    neuron_similarity,
    outgoing,
    p_value,
    rand_index,
    rand_std,
    shuffled_weights_similarity,
)

PAIRWISE = (rand_index, expected_rand, adjusted_rand, adjusted_mutual_info, element_centric)
examples = settings(max_examples=100, deadline=None)


def naive_rand(a, b):
    pairs = list(itertools.combinations(range(len(a)), 2))
    return sum((a[i] == a[j]) == (b[i] == b[j]) for i, j in pairs) / len(pairs)


def set_partitions(n, k):
    """All clusterings of n elements with exactly k clusters, labels in order of first appearance."""

    def grow(labels, used):
        if len(labels) == n:
            if used == k:
                yield tuple(labels)
            return
        for label in range(min(used + 1, k)):
            yield from grow([*labels, label], max(used, label + 1))

    yield from grow([], 0)


@st.composite
def labelled(draw, sides=2, least=1, most=40):
    n = draw(st.integers(least, most))
    return [np.array(draw(st.lists(st.integers(0, draw(st.integers(0, 8))), min_size=n, max_size=n))) for _ in range(sides)]


def planted(seed=0, prototypes=20, copies=5, noise=0.02):
    """A network whose first hidden layer is copies, in and out, of a few prototypes, in mixed order; and which is whose."""
    rng = np.random.default_rng(seed)
    whose = rng.permutation(np.repeat(np.arange(prototypes), copies))
    h = len(whose)
    w1 = rng.normal(size=(784, prototypes))[:, whose] + noise * rng.normal(size=(784, h))
    w2 = rng.normal(size=(prototypes, 100))[whose] + noise * rng.normal(size=(h, 100))
    weights = [w1, w2, rng.normal(size=(100, 100)), rng.normal(size=(100, 10))]
    biases = [rng.normal(size=w.shape[1]) for w in weights]
    as_tensors = [[torch.tensor(array, dtype=torch.float32) for array in arrays] for arrays in (weights, biases)]
    return Network(*as_tensors), whose


class TestChance:
    @pytest.mark.parametrize(
        ("a", "b"),
        [
            ([0, 0, 1], [0, 1, 1]),
            ([0, 0, 1, 1], [0, 0, 0, 1]),
            ([0, 1, 2, 3, 4], [0, 0, 0, 0, 0]),
            ([0, 0, 0, 1, 1], [0, 1, 1, 2, 2]),
            ([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1]),
            ([0, 0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 2, 0]),
            ([0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 0, 0, 0, 1, 2, 3]),
        ],
    )
    def test_expectation_and_deviation_equal_those_over_all_permutations(self, a, b):
        values = np.array([naive_rand(a, permuted) for permuted in itertools.permutations(b)])
        assert expected_rand(a, b) == pytest.approx(values.mean(), abs=1e-12)
        assert rand_std(a, b) == pytest.approx(values.std(), abs=1e-7)  # of a variance that cancels to rounding
        assert rand_std(b, a) == pytest.approx(rand_std(a, b), abs=1e-15)

    @pytest.mark.parametrize(("n", "k_a", "k_b"), [(100, 10, 10), (100, 5, 20), (30, 2, 25)])
    def test_expectation_and_deviation_against_10000_random_pairs(self, n, k_a, k_b):
        rng = np.random.default_rng(n + k_a)
        a, b = rng.integers(0, k_a, n), rng.integers(0, k_b, n) ** 2 // k_b
        values = np.array([rand_index(rng.permutation(a), b) for _ in range(10_000)])
        assert abs(values.mean() - expected_rand(a, b)) < 4 * values.std() / 100
        # The standard error of a standard deviation, from the fourth moment.
        spread = values.std()
        kurtosis = ((values - values.mean()) ** 4).mean() / spread**4
        assert abs(spread - rand_std(a, b)) < 4 * spread * math.sqrt((kurtosis - 1) / 4 / 10_000)

    def test_expectation_for_equal_clusters_tends_to_the_closed_form(self):
        for k in (4, 5, 8, 10, 20):
            a = np.arange(100_000) % k
            assert expected_rand(a, a) == pytest.approx(1 - 2 / k + 2 / k**2, abs=1e-4)

    @pytest.mark.parametrize("n", range(2, 9))
    def test_num_model_equals_enumeration_of_all_clusterings(self, n):
        together = {}
        for k in range(1, n + 1):
            clusterings = list(set_partitions(n, k))
            together[k] = Fraction(sum(labels[0] == labels[1] for labels in clusterings), len(clusterings))
        for k_a, k_b in itertools.product(together, repeat=2):
            # By symmetry every pair of elements is together as often as the first two, so one pair gives the expectation.
            exact = together[k_a] * together[k_b] + (1 - together[k_a]) * (1 - together[k_b])
            assert expected_rand_num(n, k_a, k_b) == pytest.approx(float(exact), abs=1e-14)

    def test_num_model_equals_the_mean_over_all_pairs_of_clusterings(self):
        first, second = list(set_partitions(6, 2)), list(set_partitions(6, 3))
        mean = np.mean([naive_rand(a, b) for a in first for b in second])
        assert expected_rand_num(6, 2, 3) == pytest.approx(mean, abs=1e-12)

    def test_num_model_is_exact_for_wide_layers(self):
        # Of 1,600 elements in few clusters nearly all clusterings have equal ones: Q = 1/k, to a relative k (1 - 1/k)^n.
        q = 1 / 40
        assert expected_rand_num(1600, 40, 40) == pytest.approx(q * q + (1 - q) ** 2, abs=1e-12)
        # With one cluster less than elements exactly one of the n (n-1)/2 pairs is together.
        q = 2 / (1600 * 1599)
        assert expected_rand_num(1600, 1599, 1) == pytest.approx(q, abs=1e-15)

    def test_band_holds_95_percent_of_permuted_labels(self):
        # The band of 999 permutations holds 95 % of further ones and, as the Rand index is discrete, ties on top.
        rng = np.random.default_rng(5)
        inside, rounds = 0, 2_000
        for seed in range(rounds):
            a, b = rng.integers(0, 10, 100), rng.integers(0, 10, 100)
            low, high = chance_band(a, b, n=199, seed=seed)
            inside += low <= rand_index(a, b) <= high
        assert inside / rounds > 0.95 - 4 * math.sqrt(0.95 * 0.05 / rounds)
        assert inside / rounds < 0.98

    def test_band_lies_about_the_expectation_by_two_deviations(self):
        rng = np.random.default_rng(6)
        a, b = rng.integers(0, 10, 100), rng.integers(0, 10, 100)
        low, high = chance_band(a, b, n=20_000)
        # Quantiles of 20,000 draws are good to a few percent of a deviation, and the law is only nearly normal.
        assert (low - expected_rand(a, b)) / rand_std(a, b) == pytest.approx(-1.96, abs=0.25)
        assert (high - expected_rand(a, b)) / rand_std(a, b) == pytest.approx(1.96, abs=0.25)

    def test_ends_of_the_band_leave_out_a_fortieth_of_the_places_on_each_side(self):
        rng = np.random.default_rng(0)
        for n, low, high in ((39, 0, 38), (79, 1, 77), (999, 24, 974)):
            assert similarity._band(rng.permutation(n)) == (low, high)
            assert (high - low) / (n + 1) == 0.95  # of n + 1 exchangeable values one falls between these two so often

    def test_another_seed_draws_other_permutations(self):
        a, b = np.random.default_rng(0).integers(0, 10, (2, 100))
        assert len({p_value(a, b, seed=seed) for seed in range(5)}) > 1
        assert p_value(a, b, seed=3) == p_value(a, b, seed=3)

    def test_drawing_in_pieces_draws_from_the_same_law(self, monkeypatch):
        rng = np.random.default_rng(7)
        a, b = rng.integers(0, 10, 100), rng.integers(0, 10, 100)
        monkeypatch.setattr(similarity, "CELLS_AT_ONCE", 750)  # seven tables of 100 cells a piece
        pair = similarity._Pair.of("a", a, "b", b)
        values = pair.rand(pair.permuted(5_000, seed=0))
        assert len(values) == 5_000
        assert abs(values.mean() - expected_rand(a, b)) < 4 * rand_std(a, b) / math.sqrt(5_000)
        assert values.std() == pytest.approx(rand_std(a, b), rel=0.06)  # 4 standard errors of a spread, were it normal: .04
        pieces = values[:4_998].reshape(-1, 7)
        assert len(np.unique(pieces, axis=0)) == len(pieces)


class TestPValue:
    @staticmethod
    def of_random_pairs(count, ties, n=100, k=10):
        rng = np.random.default_rng(11)
        return np.array(
            [p_value(rng.integers(0, k, n), rng.integers(0, k, n), seed=seed, ties=ties) for seed in range(count)]
        )  # [count]

    def test_uniform_under_the_null_with_ties_drawn(self):
        assert kstest(self.of_random_pairs(300, "random"), "uniform").pvalue > 0.01

    def test_never_too_small_under_the_null_with_ties_against(self):
        p = self.of_random_pairs(1_000, "against")
        for level in (0.01, 0.05, 0.1, 0.25, 0.5):
            assert (p <= level).mean() < level + 4 * math.sqrt(level * (1 - level) / len(p))
        # A tie costs at most the chance of one value of the Rand index, which here is some 4 %.
        assert kstest(p, "uniform").statistic < 0.04 + 1.63 / math.sqrt(len(p))

    def test_equals_the_exact_share_of_all_permutations(self):
        a, b = [0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 2]
        observed = naive_rand(a, b)
        exact = np.mean([naive_rand(a, permuted) >= observed - 1e-12 for permuted in itertools.permutations(b)])
        assert p_value(a, b, n=100_000) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 100_000))

    def test_smallest_for_copies_and_one_where_nothing_can_change(self):
        a = np.arange(100) % 10
        assert p_value(a, a, n=999) == 1 / 1000
        assert p_value(a, np.zeros(100, int), n=99) == 1
        assert p_value(a, np.arange(100), n=99) == 1

    def test_ties_drawn_are_between_better_and_as_good(self):
        a = np.arange(100) % 10
        drawn = {p_value(a, np.zeros(100, int), n=9, seed=seed, ties="random") for seed in range(200)}
        assert drawn == {rank / 10 for rank in range(1, 11)}


class TestAgreementOfTwoClusterings:
    @given(labelled(least=2))
    @examples
    def test_equal_to_scikit_learn_and_to_counting_pairs(self, sides):
        a, b = sides
        assert rand_index(a, b) == pytest.approx(rand_score(a, b), abs=1e-12)
        assert rand_index(a, b) == pytest.approx(naive_rand(a, b), abs=1e-12)
        assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)
        assert adjusted_mutual_info(a, b) == pytest.approx(adjusted_mutual_info_score(a, b), abs=1e-12)

    @given(labelled())
    @examples
    def test_symmetric_and_within_bounds(self, sides):
        a, b = sides
        for measure in PAIRWISE:
            assert measure(a, b) == pytest.approx(measure(b, a), abs=1e-9)
            assert measure(a, b) <= 1 + 1e-9
        for measure in (rand_index, expected_rand, element_centric):
            assert measure(a, b) >= 0

    @given(labelled(sides=1))
    @examples
    def test_one_for_equal_clusterings(self, sides):
        (a,) = sides
        for measure in (rand_index, adjusted_rand, adjusted_mutual_info, element_centric):
            assert measure(a, a) == pytest.approx(1, abs=1e-9)

    @given(labelled(), st.permutations(range(9)), st.randoms(use_true_random=False))
    @examples
    def test_names_of_clusters_and_order_of_neurons_do_not_matter(self, sides, names, random):
        a, b = sides
        order = random.sample(range(len(a)), len(a))
        renamed = 7 * np.array(names)[a] - 3
        for measure in (*PAIRWISE, rand_std):
            assert measure(renamed[order], b[order]) == pytest.approx(measure(a, b), abs=1e-9)

    @given(labelled(least=2))
    @examples
    def test_adjusted_is_rand_with_chance_taken_out(self, sides):
        a, b = sides
        assume(expected_rand(a, b) < 1)
        by_hand = (rand_index(a, b) - expected_rand(a, b)) / (1 - expected_rand(a, b))
        assert adjusted_rand(a, b) == pytest.approx(by_hand, abs=1e-9)

    @given(labelled(most=12), st.sampled_from([0.5, 0.9]))
    @examples
    def test_element_centric_equals_its_definition_by_pagerank(self, sides, alpha):
        def ranks(labels):
            """Personalised PageRank of each neuron on the graph that joins neurons through their cluster."""
            share = (labels[:, None] == labels) / (labels[:, None] == labels).sum(axis=1)  # [n, n], rows sum to 1
            return (1 - alpha) * np.linalg.inv(np.eye(len(labels)) - alpha * share)

        a, b = sides
        naive = 1 - np.abs(ranks(a) - ranks(b)).sum(axis=1) / (2 * alpha)  # [n]
        assert element_centric(a, b) == pytest.approx(naive.mean(), abs=1e-9)

    def test_nearly_one_cluster_against_one_cluster_is_zero_when_adjusted(self):
        a, b = np.zeros(100, int), np.array([1] + [0] * 99)
        assert rand_index(a, b) == pytest.approx(0.98)
        assert adjusted_rand(a, b) == 0
        assert adjusted_mutual_info(a, b) == pytest.approx(0, abs=1e-12)

    def test_single_neuron_agrees(self):
        single = compare([4], [7])
        assert (single.rand, single.chance_rand, single.chance_rand_num, single.adjusted_rand) == (1, 1, 1, 1)
        assert (single.chance_low, single.chance_high, single.p_value, rand_std([4], [7])) == (1, 1, 1, 0)

    def test_compare_is_its_parts(self):
        rng = np.random.default_rng(2)
        a, b = rng.integers(0, 6, 60), rng.integers(0, 4, 60)
        both = compare(a, b, seed=9)
        assert both.rand == rand_index(a, b)
        assert both.chance_rand == expected_rand(a, b)
        assert (both.chance_low, both.chance_high) == chance_band(a, b, seed=9)
        assert both.chance_rand_num == expected_rand_num(60, 6, 4)
        assert both.adjusted_rand == adjusted_rand(a, b)
        assert both.adjusted_mutual_info == adjusted_mutual_info(a, b)
        assert both.element_centric == element_centric(a, b)
        assert both.p_value == p_value(a, b, seed=9)
        assert both.incoming_labels.tolist() == a.tolist()
        assert both.outgoing_labels.tolist() == b.tolist()
        with pytest.raises(ValueError, match="read-only"):
            both.incoming_labels[0] = 1
        a[0] += 1  # the caller's own labels stay the caller's
        assert both.incoming_labels[0] != a[0]

    @pytest.mark.parametrize("measure", [*PAIRWISE, rand_std, chance_band, p_value, compare, match_labels, agreement])
    def test_refused(self, measure):
        with pytest.raises(ValueError, match="must be of equal length; got 2 and 3"):
            measure([0, 1], [0, 1, 2])
        for wrong in ([], [0.0, 1.0], [[0, 1]], ["a", "b"], [True, False]):
            with pytest.raises(ValueError, match="must be a whole number a neuron"):
                measure(wrong, [0, 1])

    def test_numbers_refused(self):
        for call, words in (
            (lambda: p_value([0, 1], [0, 1], n=0), "n must be a whole number from 1 to 1,000,000; got 0"),
            (lambda: p_value([0, 1], [0, 1], seed=-1), "seed must be a whole number from 0 to 4,294,967,295; got -1"),
            (lambda: p_value([0, 1], [0, 1], ties="none"), "ties must be against or random; got 'none'"),
            (lambda: chance_band([0, 1], [0, 1], n=2.5), "n must be a whole number from 1 to 1,000,000; got 2.5"),
            (lambda: expected_rand_num(5, 6, 1), "k_a must be a whole number from 1 to 5; got 6"),
            (lambda: expected_rand_num(5, 1, 0), "k_b must be a whole number from 1 to 5; got 0"),
            (lambda: expected_rand_num(True, 1, 1), "n must be a whole number from 1 to 1,000,000; got True"),
        ):
            with pytest.raises(ValueError, match=f"^{words}$"):
                call()


class TestMatching:
    @given(labelled(most=20))
    @examples
    def test_overlap_is_the_largest_of_all_assignments(self, sides):
        reference, labels = sides
        names = np.unique(labels)
        assume(len(names) <= 5)
        targets = [*np.unique(reference), *range(100, 100 + len(names))]  # staying alone is allowed
        assume(len(targets) <= 9)
        best = max(
            sum(np.sum((labels == name) & (reference == target)) for name, target in zip(names, chosen, strict=True))
            for chosen in itertools.permutations(targets, len(names))
        )
        matched = match_labels(reference, labels)
        assert np.sum(matched == reference) == best
        assert rand_index(matched, labels) == 1
        assert agreement(reference, labels).sum() == best

    @given(labelled(sides=1), st.permutations(range(9)))
    @examples
    def test_a_renamed_clustering_gets_its_names_back(self, sides, names):
        (a,) = sides
        assert match_labels(a, np.array(names)[a]).tolist() == a.tolist()
        assert agreement(a, np.array(names)[a]).all()

    def test_clusters_without_partner_get_new_labels(self):
        matched = match_labels([5, 5, 5, 2, 2, 2], [0, 0, 1, 2, 2, 3])
        assert matched.tolist() == [5, 5, 6, 2, 2, 7]
        assert agreement([5, 5, 5, 2, 2, 2], [0, 0, 1, 2, 2, 3]).tolist() == [True, True, False] * 2

    def test_fewer_clusters_than_the_reference(self):
        assert match_labels([0, 0, 1, 2, 2, 2], [1, 1, 1, 0, 0, 0]).tolist() == [0, 0, 0, 2, 2, 2]

    def test_greed_would_be_worse(self):
        # Taking the largest overlap first (3) leaves 0 for the rest; the best assignment gives 2 + 2.
        reference, labels = [0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0, 0]
        assert agreement(reference, labels).tolist() == [False, False, False, True, True, True, True]


class TestCluster:
    def test_finds_planted_clusters_largest_first(self):
        rng = np.random.default_rng(0)
        whose = rng.permutation(np.repeat([0, 1, 2], [30, 20, 10]))
        vectors = np.eye(3)[whose] + 0.01 * rng.normal(size=(60, 3))
        assert cluster(vectors, 3).tolist() == whose.tolist()

    @given(st.integers(0, 2**32 - 1), st.integers(1, 12))
    @settings(max_examples=40, deadline=None)
    def test_follows_the_order_of_neurons(self, seed, k):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(12, 3)).round(rng.integers(0, 3))  # often with equal rows
        order = rng.permutation(12)
        labels = cluster(vectors, k, seed)
        assert cluster(vectors[order], k, seed).tolist() == labels[order].tolist()
        sizes = np.bincount(labels)
        assert (sizes > 0).all()
        assert (np.diff(sizes) <= 0).all()
        distinct = len(np.unique(vectors, axis=0))
        assert len(sizes) == min(k, distinct)
        for i, j in itertools.combinations(range(12), 2):
            if (vectors[i] == vectors[j]).all():
                assert labels[i] == labels[j]

    def test_best_of_several_starts_is_close_to_the_best_partition(self):
        vectors = np.random.default_rng(1).normal(size=(8, 2))
        squares = {labels: similarity._within(vectors, np.array(labels)) for labels in set_partitions(8, 3)}
        assert similarity._within(vectors, cluster(vectors, 3)) == pytest.approx(min(squares.values()), rel=1e-9)

    @given(st.integers(0, 2**32 - 1), st.integers(1, 8))
    @settings(max_examples=40, deadline=None)
    def test_wards_linkage_joins_what_adds_least_within(self, seed, k):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(8, 3))
        groups = [[i] for i in range(8)]
        while len(groups) > k:

            def joined(i, j):
                return [g for number, g in enumerate(groups) if number not in (i, j)] + [groups[i] + groups[j]]  # noqa: B023

            def within(parts):
                return sum(((vectors[g] - vectors[g].mean(axis=0)) ** 2).sum() for g in parts)

            groups = min((joined(i, j) for i, j in itertools.combinations(range(len(groups)), 2)), key=within)
        labels = cluster(vectors, k, seed, method="ward")
        assert {frozenset(np.flatnonzero(labels == label)) for label in set(labels)} == set(map(frozenset, groups))
        order = rng.permutation(8)
        assert cluster(vectors[order], k, method="ward").tolist() == labels[order].tolist()

    def test_wards_linkage_keeps_copies_together(self):
        vectors = np.repeat([[0.0], [1.0], [2.2], [9.0]], [50, 50, 1, 3], axis=0)
        assert cluster(vectors, 2, method="ward").tolist() == [0] * 101 + [1] * 3
        assert len(set(cluster(vectors, 4, method="ward"))) == len(set(cluster(vectors, 9, method="ward"))) == 4

    def test_more_starts_are_never_worse(self):
        vectors = np.random.default_rng(2).normal(size=(60, 5))
        squares = [similarity._within(vectors, cluster(vectors, 8, n_init=n)) for n in (1, 30)]
        assert squares[1] < squares[0]

    def test_copies_weigh_as_many_as_they_are(self):
        # Three points on a line: the outer gap is the wider one, but cutting the other saves the 50 copies their distance.
        line = np.array([0.0, 1.0, 2.2])[:, None]
        assert cluster(line, 2).tolist() == [0, 0, 1]
        assert cluster(np.repeat(line, [50, 50, 1], axis=0), 2).tolist() == [1] * 50 + [0] * 51

    def test_degenerate_vectors(self):
        assert cluster(np.zeros((7, 4)), 5).tolist() == [0] * 7
        assert cluster([[0.0, -0.0], [-0.0, 0.0], [1, 1]], 3).tolist() == [0, 0, 1]
        assert sorted(cluster(np.eye(6), 6)) == list(range(6))
        assert cluster(np.random.default_rng(0).normal(size=(9, 2)), 1).tolist() == [0] * 9
        assert cluster([[3.0]], 1).tolist() == [0]

    def test_points_that_differ_by_rounding_alone_are_fewer_clusters(self):
        # Next to a point so far away the others are the same one: two clusters of the five wanted, and no warning.
        vectors = np.append(1e12, 1 + 1e-10 * np.arange(10))[:, None]
        assert cluster(vectors, 5).tolist() == [1] + [0] * 10

    def test_same_seed_same_labels_whatever_was_drawn_before(self):
        vectors = np.random.default_rng(3).normal(size=(300, 20))
        before = cluster(vectors, 10, seed=4)
        np.random.seed(1)  # noqa: NPY002
        np.random.random(10)  # noqa: NPY002
        assert (cluster(vectors, 10, seed=4) == before).all()
        assert any((cluster(vectors, 10, seed=seed) != before).any() for seed in range(5, 8))

    @pytest.mark.parametrize(
        ("vectors", "k", "words"),
        [
            (np.zeros((4, 2)), 5, "k must be a whole number from 1 to 4; got 5"),
            (np.zeros((4, 2)), 0, "k must be a whole number from 1 to 4; got 0"),
            (np.zeros((4, 2)), 2.0, r"k must be a whole number from 1 to 4; got 2\.0"),
            (np.zeros(4), 1, r"vectors must be an array \[h, d\] that is not empty; got the shape \[4\]"),
            (np.zeros((0, 4)), 1, r"vectors must be an array \[h, d\] that is not empty; got the shape \[0, 4\]"),
            ([[0.0, math.nan]], 1, "vectors must hold finite numbers only; got NaN or infinity"),
            ([["a", "b"]], 1, r"vectors must be an array \[h, d\] of numbers; got .*"),
        ],
    )
    def test_refused(self, vectors, k, words):
        with pytest.raises(ValueError, match=f"^{words}$"):
            cluster(vectors, k)

    def test_ways_refused(self):
        with pytest.raises(ValueError, match=r"^method must be one of k-means, ward; got 'single'$"):
            cluster(np.eye(3), 2, method="single")
        with pytest.raises(ValueError, match=r"^n_init must be a whole number from 1 to 1,000; got 0$"):
            cluster(np.eye(3), 2, n_init=0)


class TestNetwork:
    def test_vectors_of_a_layer(self):
        network, _ = planted()
        w, b = [t.numpy() for t in network.weights], [t.numpy() for t in network.biases]
        for layer in (1, 2, 3):
            for weights, biases in ((network.weights, network.biases), (w, b)):
                assert (incoming(weights, biases, layer) == w[layer - 1].T).all()
                assert (outgoing(weights, layer) == w[layer]).all()
                with_bias = incoming(weights, biases, layer, bias=True)
                assert (with_bias[:, :-1] == w[layer - 1].T).all()
                assert (with_bias[:, -1] == b[layer - 1]).all()
        for layer in (0, 4):
            for call in (lambda n: incoming(w, b, n), lambda n: outgoing(w, n), lambda n: neuron_similarity(network, n, 5)):
                with pytest.raises(ValueError, match=f"^layer must be a whole number from 1 to 3; got {layer}$"):
                    call(layer)

    @pytest.mark.parametrize("seed", range(10))
    def test_copies_are_found(self, seed):
        network, whose = planted(seed)
        found = neuron_similarity(network, layer=1, k=20, seed=seed)
        assert found.adjusted_rand == 1
        assert found.adjusted_mutual_info == pytest.approx(1)
        assert rand_index(found.incoming_labels, whose) == 1
        assert found.p_value == 1 / 1000
        assert found.rand > found.chance_high

    def test_shuffled_copies_are_not(self):
        network, _ = planted()
        sides = incoming(network.weights, network.biases, 1), outgoing(network.weights, 1)
        null = shuffled_weights_similarity(*sides, k=20)
        assert null.draws == 39
        assert null.adjusted_rand_low < 0 < null.adjusted_rand_high < 0.15
        # 39 draws of a spread that their own range gives: a mean of zero to within 4 standard errors.
        spread = (null.adjusted_rand_high - null.adjusted_rand_low) / 4
        assert abs(null.adjusted_rand) < 4 * spread / math.sqrt(39)
        assert null.rand_low <= null.rand <= null.rand_high

    def test_outgoing_weights_of_other_neurons_are_not(self):
        network, _ = planted()
        order = np.random.default_rng(0).permutation(100)
        moved = [network.weights[0], network.weights[1][torch.tensor(order)], *network.weights[2:]]
        found = neuron_similarity(Network(moved, network.biases), layer=1, k=20)
        deviation = rand_std(found.incoming_labels, found.outgoing_labels) / (1 - found.chance_rand)
        assert abs(found.adjusted_rand) < 4 * deviation
        assert found.p_value > 0.01

    def test_shuffling_keeps_what_comes_from_size(self):
        # Half of the neurons have larger weights on both sides: shuffling cannot take that agreement away, and it must show.
        rng = np.random.default_rng(0)
        size = np.repeat([1.0, 0.01], 20)[:, None]
        sides = size * rng.normal(loc=1, size=(40, 30)), size * rng.normal(loc=1, size=(40, 20))
        assert shuffled_weights_similarity(*sides, k=2, draws=5).adjusted_rand_low > 0.8

    def test_seed_layer_and_bias_matter_and_labels_are_those_of_cluster(self):
        network, _ = planted()
        for bias in (False, True):
            found = neuron_similarity(network, layer=2, k=7, seed=3, bias=bias)
            vectors = incoming(network.weights, network.biases, 2, bias=bias)
            assert (found.incoming_labels == cluster(vectors, 7, seed=3)).all()
            assert (found.outgoing_labels == cluster(outgoing(network.weights, 2), 7, seed=3)).all()
        loud = Network(network.weights, [1_000 * bias for bias in network.biases])
        plain, biased = (neuron_similarity(loud, layer=2, k=7, bias=bias) for bias in (False, True))
        assert rand_index(plain.incoming_labels, biased.incoming_labels) < 1

    def test_unrelated_sides_clustered_with_one_seed_agree_by_chance_only(self):
        rng = np.random.default_rng(8)
        p = []
        for seed in range(150):
            labels = [cluster(rng.normal(size=(30, 6)), 5, seed) for _ in range(2)]
            p.append(p_value(*labels, n=199, seed=seed, ties="random"))
        assert kstest(p, "uniform").pvalue > 0.01

    def test_needs_no_torch(self):
        script = """
import sys
import numpy as np
from dropclust.core.similarity import *
from dropclust.core import similarity as s
rng = np.random.default_rng(0)
w = [rng.normal(size=(8, 30)), rng.normal(size=(30, 4))]
b = [np.zeros(30), np.zeros(4)]
i, o = s.incoming(w, b, 1, bias=True), s.outgoing(w, 1)
found = s.compare(s.cluster(i, 5), s.cluster(o, 5))
s.shuffled_weights_similarity(i, o, 5, draws=2)
s.choose_k(i, [2, 3])
s.activation_correlation(np.maximum(i.T, 0), s.match_labels(found.incoming_labels, found.outgoing_labels))
assert "torch" not in sys.modules, "torch was imported"
print(found.rand)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert 0 < float(done.stdout) < 1


class TestActivations:
    def test_dead(self):
        activations = np.array([[0.0, 0.0, 1.0, -0.0], [0.0, 2.0, 0.0, -1.0]])
        assert dead(activations).tolist() == [True, False, False, True]
        assert dead(torch.tensor(activations)).tolist() == [True, False, False, True]
        for wrong in (np.zeros((0, 3)), np.zeros(3), np.full((2, 2), math.nan)):
            with pytest.raises(ValueError, match=r"^activations must"):
                dead(wrong)

    @given(labelled(sides=1, least=2, most=12), st.integers(0, 1000))
    @examples
    def test_correlation_equals_the_mean_over_pairs(self, sides, seed):
        (labels,) = sides
        rng = np.random.default_rng(seed)
        activations = np.maximum(rng.normal(size=(20, len(labels))), 0)
        activations[:, rng.random(len(labels)) < 0.2] = 0
        activations[:, rng.random(len(labels)) < 0.1] = 0.1  # active, and never changing
        pairs = {True: [], False: []}
        for i, j in itertools.combinations(range(len(labels)), 2):
            if np.ptp(activations[:, i]) and np.ptp(activations[:, j]):
                pairs[labels[i] == labels[j]].append(np.corrcoef(activations[:, i], activations[:, j])[0, 1])
        expected = [np.mean(pairs[same]) if pairs[same] else math.nan for same in (True, False)]
        assert activation_correlation(activations, labels) == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert activation_correlation(torch.tensor(activations), labels) == pytest.approx(expected, abs=1e-9, nan_ok=True)

    def test_copies_fire_together(self):
        rng = np.random.default_rng(0)
        activations = np.maximum(rng.normal(size=(200, 2)), 0)[:, [0, 0, 1, 1]] * [1, 3, 1, 5]
        within, across = activation_correlation(activations, [0, 0, 1, 1])
        assert within == pytest.approx(1)
        assert abs(across) < 4 / math.sqrt(200)

    def test_no_pairs(self):
        def of(activations, labels):
            return activation_correlation(np.array(activations, dtype=float), labels)

        assert np.isnan(of([[1, 2], [2, 1]], [0, 1])).tolist() == [True, False]
        assert np.isnan(of([[1, 2], [2, 1]], [0, 0])).tolist() == [False, True]
        for nothing in (of([[0, 0], [0, 0]], [0, 0]), of([[1], [2]], [0]), of([[1, 2]], [0, 0])):
            assert np.isnan(nothing).all()
        with pytest.raises(ValueError, match=r"^labels must be one a neuron \(2\); got 1$"):
            of([[1, 2], [2, 1]], [0])


class TestChooseK:
    @staticmethod
    def blobs(k, d=30, each=10, noise=0.3, seed=0):
        rng = np.random.default_rng(seed)
        whose = rng.permutation(np.repeat(np.arange(k), each))
        return rng.normal(size=(k, d))[whose] + noise * rng.normal(size=(k * each, d))

    @pytest.mark.parametrize("method", ["held_out", "calinski_harabasz", "bic"])
    @pytest.mark.parametrize("k", [3, 6])
    def test_finds_the_planted_number(self, method, k):
        choice = choose_k(self.blobs(k), [2, 3, 4, 5, 6, 7, 9], method)
        assert (choice.k, choice.method) == (k, method)
        assert list(choice.scores) == [2, 3, 4, 5, 6, 7, 9]
        assert choice.scores[k] == max(choice.scores.values())

    @pytest.mark.parametrize("method", ["held_out", "bic"])
    def test_finds_no_clusters_in_noise(self, method):
        assert choose_k(np.random.default_rng(0).normal(size=(80, 20)), [1, 2, 5, 10], method).k == 1

    def test_held_out_score_is_the_share_explained(self):
        scores = choose_k(self.blobs(6, noise=0.01), [1, 3, 6, 48, 49]).scores
        assert scores[1] == pytest.approx(0, abs=1e-12)
        assert 0.2 < scores[3] < scores[6] < 1
        assert scores[6] == pytest.approx(1, abs=1e-3)
        assert not math.isnan(scores[48])
        assert math.isnan(scores[49])  # 48 of 60 neurons are not held out
        scores = choose_k(self.blobs(6)[:58], [46, 47]).scores
        assert not math.isnan(scores[46])
        assert math.isnan(scores[47])  # the larger folds of 58 neurons hold 12 out

    def test_held_out_predicts_each_half_from_the_other(self):
        rng = np.random.default_rng(0)
        vectors = np.column_stack([rng.integers(0, 3, 40) + 0.1 * rng.normal(size=40), 10 * rng.normal(size=40)])
        scores = [similarity._held_out(side, 3, 0) for side in (vectors, vectors[:, ::-1])]
        assert scores[0] == pytest.approx(scores[1], rel=1e-12)

    def test_calinski_harabasz_equals_scikit_learn(self):
        vectors = self.blobs(4)
        for k, score in choose_k(vectors, [2, 4, 9], "calinski_harabasz", seed=5).scores.items():
            # Clustering does not depend on the order of neurons, so the labels are the same.
            assert score == pytest.approx(calinski_harabasz_score(vectors, cluster(vectors, k, 5)), rel=1e-9)

    def test_bic_equals_the_likelihood_summed_point_by_point(self):
        vectors = self.blobs(4, d=3)
        (h, d), k = vectors.shape, 5
        labels = cluster(vectors, k)
        means = np.array([vectors[labels == label].mean(axis=0) for label in range(k)])
        variance = sum(np.sum((x - means[label]) ** 2) for x, label in zip(vectors, labels, strict=True)) / (d * (h - k))
        total = 0.0
        for x, label in zip(vectors, labels, strict=True):
            density = math.exp(-np.sum((x - means[label]) ** 2) / (2 * variance)) / (2 * math.pi * variance) ** (d / 2)
            total += math.log(np.mean(labels == label) * density)
        expected = total - ((k - 1) + d * k + 1) / 2 * math.log(h)
        assert choose_k(vectors, [k], "bic").scores[k] == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("method", ["held_out", "calinski_harabasz", "bic"])
    def test_order_of_neurons_and_of_candidates_does_not_matter(self, method):
        vectors = self.blobs(3)
        order = np.random.default_rng(1).permutation(len(vectors))
        assert choose_k(vectors[order], [4, 2, 3, 3], method) == choose_k(vectors, [2, 3, 4], method)

    def test_degenerate(self):
        same, points = np.ones((6, 4)), np.repeat(np.eye(3), 4, axis=0)
        for method in ("held_out", "calinski_harabasz"):
            choice = choose_k(same, [2, 3], method)
            assert choice.k == 2
            assert all(math.isnan(score) for score in choice.scores.values())
        assert choose_k(same, [1, 2], "bic").scores == {1: math.inf, 2: math.inf}
        for method in ("calinski_harabasz", "bic"):
            choice = choose_k(points, [2, 3, 4], method)  # no spread within three clusters, and a fourth is never found
            assert (choice.k, choice.scores[3], choice.scores[4]) == (3, math.inf, math.inf)
        assert math.isnan(choose_k(points, [1], "calinski_harabasz").scores[1])
        for method in ("calinski_harabasz", "bic"):
            assert math.isnan(choose_k(np.eye(5), [5], method).scores[5])
        assert math.isnan(choose_k(np.arange(9.0)[:, None], [2]).scores[2])
        assert math.isnan(choose_k([[1.0, 2.0]], [1]).scores[1])

    @pytest.mark.parametrize(
        ("candidates", "method", "words"),
        [
            ([], "bic", "candidates must be at least one number of clusters; got none"),
            ([2, 7], "bic", "candidates must be a whole number from 1 to 6; got 7"),
            ([2], "aic", "method must be one of held_out, calinski_harabasz, bic; got 'aic'"),
        ],
    )
    def test_refused(self, candidates, method, words):
        with pytest.raises(ValueError, match=f"^{words}$"):
            choose_k(np.eye(6), candidates, method)
