"""Agreement of clusterings against enumeration, scikit-learn and naive versions; of a network's against planted copies."""

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
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, rand_score

from dropclust.core import similarity
from dropclust.core.clustering import cluster, incoming, outgoing
from dropclust.core.network import Network
from dropclust.core.similarity import (
    adjusted_mutual_info,
    adjusted_rand,
    agreement,
    compare,
    element_centric,
    expected_rand,
    expected_rand_num,
    match_labels,
    neuron_similarity,
    permuted,
    rand_index,
    shuffled_weights_similarity,
)
from tests.core.reference import p_value_ties_drawn, rand_std

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
            low, high = permuted(a, b, n=199, seed=seed)[:2]
            inside += low <= rand_index(a, b) <= high
        assert inside / rounds > 0.95 - 4 * math.sqrt(0.95 * 0.05 / rounds)
        assert inside / rounds < 0.98

    def test_band_lies_about_the_expectation_by_two_deviations(self):
        rng = np.random.default_rng(6)
        a, b = rng.integers(0, 10, 100), rng.integers(0, 10, 100)
        low, high, _ = permuted(a, b, n=20_000)
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


def p_value(a, b, n=999, seed=0):
    return permuted(a, b, n, seed).p_value


class TestPValue:
    @staticmethod
    def of_random_pairs(count, p_value, n=100, k=10):
        rng = np.random.default_rng(11)
        return np.array([p_value(rng.integers(0, k, n), rng.integers(0, k, n), seed=seed) for seed in range(count)])  # [count]

    def test_uniform_under_the_null_with_ties_drawn(self):
        assert kstest(self.of_random_pairs(300, p_value_ties_drawn), "uniform").pvalue > 0.01

    def test_never_too_small_under_the_null_with_ties_against(self):
        p = self.of_random_pairs(1_000, p_value)
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
        drawn = {p_value_ties_drawn(a, np.zeros(100, int), n=9, seed=seed) for seed in range(200)}
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
        assert (both.chance_low, both.chance_high) == permuted(a, b, seed=9)[:2]
        assert both.chance_rand_num == expected_rand_num(60, 6, 4)
        assert both.adjusted_rand == adjusted_rand(a, b)
        assert both.adjusted_mutual_info == adjusted_mutual_info(a, b)
        assert both.element_centric == element_centric(a, b)
        assert both.p_value == permuted(a, b, seed=9).p_value
        assert both.incoming_labels.tolist() == a.tolist()
        assert both.outgoing_labels.tolist() == b.tolist()
        with pytest.raises(ValueError, match="read-only"):
            both.incoming_labels[0] = 1
        a[0] += 1  # the caller's own labels stay the caller's
        assert both.incoming_labels[0] != a[0]

    @pytest.mark.parametrize("measure", [*PAIRWISE, rand_std, permuted, compare, match_labels, agreement])
    def test_refused(self, measure):
        with pytest.raises(ValueError, match="must be of equal length; got 2 and 3"):
            measure([0, 1], [0, 1, 2])
        for wrong in ([], [0.0, 1.0], [[0, 1]], ["a", "b"], [True, False]):
            with pytest.raises(ValueError, match="must be a whole number a neuron"):
                measure(wrong, [0, 1])

    def test_numbers_refused(self):
        for call, words in (
            (lambda: permuted([0, 1], [0, 1], n=0), "n must be a whole number from 1 to 1,000,000; got 0"),
            (lambda: permuted([0, 1], [0, 1], seed=-1), "seed must be a whole number from 0 to 4,294,967,295; got -1"),
            (lambda: permuted([0, 1], [0, 1], n=2.5), "n must be a whole number from 1 to 1,000,000; got 2.5"),
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


class TestNetwork:
    @pytest.mark.parametrize("layer", [0, 4])
    def test_another_layer_is_refused(self, layer):
        with pytest.raises(ValueError, match=f"^layer must be a whole number from 1 to 3; got {layer}$"):
            neuron_similarity(planted()[0], layer, 5)

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
            p.append(p_value_ties_drawn(*labels, n=199, seed=seed))
        assert kstest(p, "uniform").pvalue > 0.01

    def test_needs_no_torch(self):
        script = """
import sys
import numpy as np
from dropclust.core import clustering as c, similarity as s, twins as t
rng = np.random.default_rng(0)
w = [rng.normal(size=(8, 30)), rng.normal(size=(30, 4))]
b = [np.zeros(30), np.zeros(4)]
i, o = c.incoming(w, b, 1, bias=True), c.outgoing(w, 1)
found = s.compare(c.cluster(i, 5), c.cluster(o, 5))
s.shuffled_weights_similarity(i, o, 5, draws=2)
c.choose_k(i, [2, 3])
t.twins_of(np.maximum(i.T, 0))
t.activation_correlation(np.maximum(i.T, 0), s.match_labels(found.incoming_labels, found.outgoing_labels))
assert "torch" not in sys.modules, "torch was imported"
print(found.rand)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert 0 < float(done.stdout) < 1
