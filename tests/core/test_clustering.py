"""Clusters of neurons against planted ones, naive versions and scikit-learn; the choice of their number."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, calinski_harabasz_score

from dropclust.core import clustering
from dropclust.core.clustering import bic, calinski_harabasz, choose_k, cluster, incoming, outgoing
from tests.core.test_similarity import planted, set_partitions


class TestVectors:
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
            for call in (lambda n: incoming(w, b, n), lambda n: outgoing(w, n)):
                with pytest.raises(ValueError, match=f"^layer must be a whole number from 1 to 3; got {layer}$"):
                    call(layer)


class TestCluster:
    def test_finds_planted_clusters_largest_first(self):
        rng = np.random.default_rng(0)
        whose = rng.permutation(np.repeat([0, 1, 2], [30, 20, 10]))
        vectors = np.eye(3)[whose] + 0.01 * rng.normal(size=(60, 3))
        assert cluster(vectors, 3).tolist() == whose.tolist()

    @pytest.mark.parametrize("k", [2, 10, 40])
    @pytest.mark.parametrize("repeated", [False, True])
    def test_finds_the_clusters_of_scikit_learn(self, k, repeated):
        vectors = np.random.default_rng(k).normal(size=(100, 30))
        vectors = vectors[np.arange(100) % 60] if repeated else vectors
        points, inverse, counts = np.unique(vectors.view("V240").ravel(), return_inverse=True, return_counts=True)
        points = points.view(np.float64).reshape(len(points), 30)  # the order in which equal vectors are counted
        for seed in range(3):
            for n_init in (1, 4):
                reference = KMeans(k, n_init=n_init, random_state=seed).fit(points, sample_weight=counts).labels_
                assert adjusted_rand_score(reference[inverse], cluster(vectors, k, seed, n_init)) == 1

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
        squares = {labels: clustering._within(vectors, np.array(labels)) for labels in set_partitions(8, 3)}
        assert clustering._within(vectors, cluster(vectors, 3)) == pytest.approx(min(squares.values()), rel=1e-9)

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
        squares = [clustering._within(vectors, cluster(vectors, 8, n_init=n)) for n in (1, 30)]
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
        scores = [clustering._held_out(side, 3, 0) for side in (vectors, vectors[:, ::-1])]
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

    def test_criteria_refuse_labels_of_another_length(self):
        for criterion in (bic, calinski_harabasz):
            with pytest.raises(ValueError, match=r"^labels must be one a neuron \(3\); got 2$"):
                criterion(np.eye(3), [0, 1])

    def test_what_rounding_leaves_of_copies_is_no_spread(self):
        vectors = np.repeat(np.random.default_rng(0).normal(size=(3, 5)), 7, axis=0)
        labels = np.repeat([0, 1, 2], 7)
        assert bic(vectors, labels) == calinski_harabasz(vectors, labels) == math.inf
