"""k-means label by label against scikit-learn's, its oracle: on noise, on copies, and on the layers of a trained network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from dropclust.core import k_means as module
from dropclust.core.clustering import incoming, outgoing
from dropclust.core.k_means import k_means
from dropclust.core.spec import RunSpec
from dropclust.core.training import train


def reference(points, weights, k, n_init, seed):
    """Labels of scikit-learn."""
    return KMeans(k, n_init=n_init, random_state=seed).fit(points, sample_weight=weights).labels_


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_labels_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, d = rng.integers(4, 120), rng.integers(1, 200)
    points = rng.normal(size=(n, d)) ** rng.choice([1, 3]) + 3 * rng.normal(size=(1, d))
    # No two weigh the same, or two neighbours could save equally much as a centre: a tie that rounding breaks there.
    weights, k, n_init = rng.uniform(1, 5, n), int(rng.integers(1, n)), int(rng.choice([1, 4, 9]))
    assert k_means(points, weights, k, n_init, seed).tolist() == reference(points, weights, k, n_init, seed).tolist()


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("k", [5, 10, 20])
def test_labels_of_a_trained_network_are_those_of_scikit_learn(layer, k):
    network = train(RunSpec(hidden=(60, 60, 60), dropout=(0.5, 0.5, 0.5), examples=12_800))[0]
    for vectors in (incoming(network.weights, network.biases, layer), outgoing(network.weights, layer)):
        weights = np.random.default_rng(0).uniform(1, 2, 60)
        assert k_means(vectors, weights, k, 30, 0).tolist() == reference(vectors, weights, k, 30, 0).tolist()


@pytest.mark.parametrize("values", [1, 1_000])
def test_neither_the_room_for_starts_nor_that_for_products_changes_a_label(values, monkeypatch):
    points = np.random.default_rng(0).normal(size=(50, 60))
    weights = np.ones(50, dtype=np.intp)
    expected = k_means(points, weights, 7, 10, 3).tolist()
    monkeypatch.setattr(module, "_VALUES", values)
    assert k_means(points, weights, 7, 10, 3).tolist() == expected
    monkeypatch.setattr(module, "_MAX_GRAM", 1)
    assert k_means(points, weights, 7, 10, 3).tolist() == expected


@pytest.mark.parametrize("chosen", [[0, 0, 0], [3, 5, 5], [7, 7, 2]])
def test_an_empty_cluster_takes_the_farthest_point_as_scikit_learn_has_it(chosen):
    rng = np.random.default_rng(0)
    points, weights = rng.normal(size=(12, 3)), rng.integers(1, 4, 12)
    labels, within = module._Space(points, weights.astype(float)).settle(np.array([chosen, [0, 4, 8]]), 3)
    for index, centres in enumerate([chosen, [0, 4, 8]]):
        theirs = KMeans(3, init=points[centres], n_init=1).fit(points, sample_weight=weights)
        assert labels[index].tolist() == theirs.labels_.tolist()
        assert within[index] == pytest.approx(theirs.inertia_, rel=1e-9)


def test_a_tie_of_two_candidates_goes_to_the_first_drawn():
    points = np.array([[0.0, 0], [9, 1], [9, -1]])  # the second and the third save the same as second centre
    space = module._Space(points, np.ones(3))
    for seed in range(40):
        numbers = np.random.RandomState(seed).random_sample(3)
        first = int(numbers[0] * 3)
        if first == 0:
            chosen = space.draw(2, 1, np.random.RandomState(seed))[0]
            assert chosen.tolist() == [0, 1 + int(numbers[1] >= 0.5)]


def test_more_starts_never_end_in_a_wider_clustering():
    points, weights = np.random.default_rng(1).normal(size=(80, 20)), np.ones(80, dtype=np.intp)

    def within(labels):
        return sum(((points[labels == label] - points[labels == label].mean(axis=0)) ** 2).sum() for label in np.unique(labels))

    spreads = [within(k_means(points, weights, 12, starts, 0)) for starts in (1, 2, 4, 8, 16, 32)]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(spreads))
    assert spreads[-1] < spreads[0]
