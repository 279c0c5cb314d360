"""A cheap look at layers: planted copies are seen, names stay, and what is looked at again stays as it is."""

import numpy as np
import pytest

from dropclust.core import glance
from dropclust.core.clustering import cluster
from dropclust.core.glance import look, named_like
from dropclust.core.similarity import adjusted_rand, compare
from dropclust.core.twins import twins_of


def planted(copies=8, groups=4, noise=0.05, seed=0):
    """Two hidden layers whose neurons are noisy copies of few kinds, alike in what comes in and in what goes out."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(groups), copies)
    h = len(kinds)
    into, out = rng.normal(size=(30, groups)), rng.normal(size=(groups, h))
    weights = [
        into[:, kinds] + noise * rng.normal(size=(30, h)),
        out[kinds] + noise * rng.normal(size=(h, h)),
        rng.normal(size=(groups, 5))[kinds] + noise * rng.normal(size=(h, 5)),
    ]
    activations = [np.maximum(rng.normal(size=(60, groups))[:, kinds] + noise * rng.normal(size=(60, h)), 0)] * 2
    return weights, [np.zeros(h), np.zeros(h), np.zeros(5)], activations, kinds


def test_planted_copies_are_seen():
    weights, biases, activations, kinds = planted()
    first, second = look(weights, biases, activations, k=4)
    for seen in (first,):
        assert adjusted_rand(seen.incoming, kinds) == 1
        assert adjusted_rand(seen.outgoing, kinds) == 1
        assert seen.adjusted_rand == 1
        assert seen.agree.all()
        assert seen.low < 0.5 > seen.high
    assert second.twins == len(kinds)


def test_the_numbers_are_those_of_the_functions_that_measure_with_care():
    weights, biases, activations, _ = planted(noise=1.0)
    for seen, acts in zip(look(weights, biases, activations, k=4), activations, strict=True):
        careful = compare(seen.incoming, seen.outgoing)
        assert seen.adjusted_rand == pytest.approx(careful.adjusted_rand)
        found = twins_of(acts)
        assert seen.twins == found.number
        assert np.array_equal(seen.dead, found.dead)
        assert all(seen.twin[a] == b for a, b in enumerate(found.nearest) if found.correlation[a] > found.threshold)
        assert seen.low <= 0 <= seen.high


def test_a_second_look_at_the_same_network_changes_nothing():
    weights, biases, activations, _ = planted(noise=1.0)
    seen = look(weights, biases, activations, k=5)
    for turn in range(1, 4):
        again = look(weights, biases, activations, 5, seen, turn)
        settled = look(weights, biases, activations, 5, again, turn)
        for before, after in zip(again, settled, strict=True):
            assert np.array_equal(before.incoming, after.incoming)
            assert np.array_equal(before.outgoing, after.outgoing)
        seen = settled


def test_clusters_keep_their_names_when_neurons_move_a_little():
    weights, biases, activations, _ = planted()
    seen = look(weights, biases, activations, k=4)
    rng = np.random.default_rng(1)
    moved = [weight + 0.05 * rng.normal(size=weight.shape) for weight in weights]
    again = look(moved, biases, activations, 4, seen, 1)
    for before, after in zip(seen, again, strict=True):
        assert np.array_equal(before.incoming, after.incoming)


def test_a_fresh_clustering_takes_over_where_it_is_tighter():
    weights, biases, activations, kinds = planted()
    [first, second] = look(weights, biases, activations, k=4)
    stuck = np.where(kinds == 3, 2, kinds)  # one cluster has lost all its neurons, and Lloyd's algorithm never fills it again
    poor = glance.Glance(stuck, stuck, first.agree, 1.0, 0.0, 0.0, first.twin, first.dead)
    [kept, _] = look(weights, biases, activations, 4, (poor, second), turn=1)
    assert len(np.unique(kept.incoming)) == 3
    [better, _] = look(weights, biases, activations, 4, (poor, second), turn=0)
    assert adjusted_rand(better.incoming, kinds) == 1


@pytest.mark.parametrize("seed", range(10))
def test_names_are_in_range_and_the_clustering_the_same(seed):
    rng = np.random.default_rng(seed)
    before, labels = rng.integers(0, 6, 40), rng.integers(0, 6, 40)
    named = named_like(before, labels, 6)
    assert named.min() >= 0
    assert named.max() < 6
    assert adjusted_rand(named, labels) == 1
    assert (named == before).sum() >= (labels == before).sum()


def test_a_layer_narrower_than_k():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((9, 3), (3, 4), (4, 2))]
    activations = [np.maximum(rng.normal(size=(30, h)), 0) for h in (3, 4)]
    seen = look(weights, [np.zeros(3), np.zeros(4), np.zeros(2)], activations, k=10)
    assert [len(np.unique(each.incoming)) for each in seen] == [3, 4]
    assert look(weights, [np.zeros(3), np.zeros(4), np.zeros(2)], activations, 10, seen, 1)[0].adjusted_rand == 1


def test_dead_neurons_are_nobodys_twins():
    weights, biases, activations, _ = planted()
    activations[0] = activations[0].copy()
    activations[0][:, :3] = 0
    [first, _] = look(weights, biases, activations, k=4)
    assert first.dead.tolist()[:4] == [True, True, True, False]
    assert first.twin[:3].tolist() == [0, 1, 2]


def test_the_first_clustering_is_the_usual_one():
    weights, biases, activations, _ = planted(noise=0.6)
    [first, _] = look(weights, biases, activations, k=4)
    assert np.array_equal(first.incoming, cluster(weights[0].T, 4, n_init=glance.STARTS))
