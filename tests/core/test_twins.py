"""Twins and correlations against numpy's own and planted copies; nearest cosine and effective rank against exact values."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import mnist, twins
from dropclust.core.network import Network
from dropclust.core.twins import activation_correlation, dead, effective_rank, nearest_cosine, twins_by_chance, twins_of
from tests.core.test_similarity import labelled, planted

examples = settings(max_examples=60, deadline=None)


@st.composite
def layers(draw):
    """Activations of 2 to 12 neurons, some of them copies with noise, some dead, some never changing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    h, n = int(rng.integers(2, 13)), int(rng.integers(3, 40))
    prototypes = rng.normal(size=(n, max(1, h // 2)))
    values = np.maximum(
        prototypes[:, rng.integers(0, prototypes.shape[1], h)] + 0.5 * rng.random(h) * rng.normal(size=(n, h)), 0
    )
    values[:, rng.random(h) < 0.15] = 0
    values[:, rng.random(h) < 0.1] = 0.25  # active, and never changing
    return values, rng


def by_pairs(values, threshold):
    """Twins, pair by pair with numpy's correlation."""
    living = [j for j in range(values.shape[1]) if values[:, j].max() > 0]
    pairs = []
    for i in living:
        for j in living:
            if i < j and np.ptp(values[:, i]) and np.ptp(values[:, j]):
                r = np.corrcoef(values[:, i], values[:, j])[0, 1]
                if r > threshold:
                    pairs.append((i, j))
    share = len({i for pair in pairs for i in pair}) / len(living) if living else math.nan
    return share, set(pairs)


@given(layers(), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
@examples
def test_equal_to_counting_pair_by_pair(layer, threshold):
    values, _ = layer
    found = twins_of(values, threshold)
    share, pairs = by_pairs(values, threshold)
    assert found.share == pytest.approx(share, nan_ok=True)
    assert {tuple(pair) for pair in found.pairs.tolist()} == pairs
    assert found.share_above(threshold) == pytest.approx(found.share, nan_ok=True)
    assert found.dead.tolist() == [not column.any() for column in values.T]
    assert found.living == (~found.dead).sum()
    assert found.number == len({i for pair in pairs for i in pair})


@given(layers())
@examples
def test_strength_and_order_of_neurons_do_not_matter(layer):
    values, rng = layer
    found = twins_of(values)
    scaled = twins_of(values * 10.0 ** rng.uniform(-3, 3, values.shape[1]))
    assert scaled.share == pytest.approx(found.share, nan_ok=True)
    assert {tuple(pair) for pair in scaled.pairs.tolist()} == {tuple(pair) for pair in found.pairs.tolist()}
    order = rng.permutation(values.shape[1])
    moved = twins_of(values[:, order])
    assert moved.share == pytest.approx(found.share, nan_ok=True)
    assert {frozenset(order[pair]) for pair in moved.pairs} == {frozenset(pair) for pair in found.pairs.tolist()}
    assert moved.correlation == pytest.approx(found.correlation[order], abs=1e-9, nan_ok=True)
    images = rng.permutation(len(values))
    assert twins_of(values[images]).share == pytest.approx(found.share, nan_ok=True)


@given(layers(), st.floats(0, 0.99), st.floats(0, 0.99))
@examples
def test_a_stricter_threshold_never_finds_more(layer, one, other):
    values, _ = layer
    found = twins_of(values)
    loose, strict = (found.share_above(threshold) for threshold in sorted((one, other)))
    assert math.isnan(loose) == math.isnan(strict)
    assert not strict > loose


def test_the_nearest_of_each_neuron():
    a, b = np.array([0, 1, 2, 3, 0, 1.0]), np.array([5, 0, 0, 1, 0, 2.0])
    found = twins_of(np.column_stack([a, 0 * a, b, 2 * a, a + 0.1 * b]))
    assert found.nearest[:4].tolist() == [3, -1, 4, 0]
    assert found.nearest[4] in (0, 3)  # which are the same but for their strength
    assert found.correlation[[0, 3]] == pytest.approx(1)
    assert math.isnan(found.correlation[1])
    assert found.pairs.tolist()[0] == [0, 3]  # most alike first
    assert found.share == pytest.approx(3 / 4)


def test_degenerate_layers():
    for nothing in (np.zeros((4, 3)), np.zeros((1, 1))):
        found = twins_of(nothing)
        assert math.isnan(found.share)
        assert math.isnan(found.share_above(0.5))
        assert (len(found.pairs), found.living, found.dead.all()) == (0, 0, True)
    for lone in (np.array([[1.0], [2.0]]), np.ones((3, 2)), np.ones((1, 5))):  # living, with nobody to correlate with
        found = twins_of(lone)
        assert found.share == 0
        assert found.nearest.tolist() == [-1] * lone.shape[1]
    with pytest.raises(ValueError, match="read-only"):
        found.nearest[0] = 1


class TestByChance:
    def test_copies_are_none_once_each_is_dealt_anew(self):
        values = np.repeat(np.random.default_rng(3).random((400, 1)), 6, axis=1)
        assert len(twins_of(values).pairs) == 15
        assert twins_by_chance(values) == 0
        assert twins_by_chance(values) == twins_by_chance(values, np.full(400, 7))

    def test_what_fires_for_whole_kinds_is_alike_still_and_nothing_is_changed(self):
        kinds = np.arange(400) % 4
        values = np.stack([(kinds == 1) * 2.0, (kinds == 1) * 3.0, (kinds == 2) * 1.0, np.zeros(400)], axis=1)
        before = values.copy()
        assert twins_by_chance(values, kinds) == 2
        assert twins_by_chance(values) == 0
        np.testing.assert_array_equal(values, before)

    def test_kinds_are_one_an_image(self):
        with pytest.raises(ValueError, match=r"kinds must be one an image \(5\); got 4"):
            twins_by_chance(np.ones((5, 2)), np.zeros(4, dtype=int))


@pytest.mark.parametrize(
    ("activations", "threshold", "words"),
    [
        (np.zeros(3), 0.9, r"activations must be an array \[n, h\] that is not empty; got the shape \[3\]"),
        ([[math.inf]], 0.9, "activations must hold finite numbers only; got NaN or infinity"),
        ([[1.0]], 1, "threshold must be a number from 0 to below 1; got 1"),
        ([[1.0]], -0.1, r"threshold must be a number from 0 to below 1; got -0\.1"),
        ([[1.0]], True, "threshold must be a number from 0 to below 1; got True"),
        ([[1.0]], math.nan, "threshold must be a number from 0 to below 1; got nan"),
        ([[1.0]], "0.9", r"threshold must be a number from 0 to below 1; got '0\.9'"),
    ],
)
def test_refused(activations, threshold, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        twins_of(activations, threshold)


class TestNetwork:
    @pytest.mark.parametrize("seed", range(3))
    def test_all_planted_copies_are_twins_and_none_of_the_shuffled(self, seed):
        network, whose = planted(seed)
        found = twins.twins(network, layer=1)
        living = ~found.dead
        assert found.share == 1.0
        assert all(whose[i] == whose[j] for i, j in found.pairs)
        assert living.sum() > 50
        rng = np.random.default_rng(seed)
        shuffled = torch.tensor(rng.permuted(network.weights[0].numpy(), axis=0))  # each neuron's own weights in another order
        assert twins.twins(Network([shuffled, *network.weights[1:]], network.biases), layer=1).share == 0.0

    def test_they_are_those_of_the_held_out_images(self):
        network, _ = planted()
        x = mnist.load().held_x
        activations = torch.relu(
            torch.relu(x @ network.weights[0] + network.biases[0]) @ network.weights[1] + network.biases[1]
        )
        found, plain = twins.twins(network, layer=2, threshold=0.5), twins_of(activations, 0.5)
        assert found.correlation == pytest.approx(plain.correlation, abs=1e-5, nan_ok=True)

    @pytest.mark.parametrize("layer", [0, 4, 1.0, "1"])
    def test_another_layer_is_refused(self, layer):
        network, _ = planted()
        with pytest.raises(ValueError, match=r"^layer must be a whole number from 1 to 3; got"):
            twins.twins(network, layer)


class TestNearestCosine:
    def test_exact(self):
        assert nearest_cosine(np.repeat(np.eye(3), 2, axis=0)) == 1
        assert nearest_cosine(np.eye(4)) == 0
        assert nearest_cosine([[1, 0], [-1, 0]]) == -1
        assert nearest_cosine([[1, 0], [0, 1], [1, 1], [0, 0]]) == pytest.approx(math.sqrt(0.5))
        assert math.isnan(nearest_cosine([[1.0, 2.0], [0, 0]]))

    @given(st.integers(0, 2**32 - 1))
    @examples
    def test_equal_to_every_pair_and_blind_to_length(self, seed):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(rng.integers(2, 9), 4))
        directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        largest = [max(np.delete(directions, i, axis=0) @ directions[i]) for i in range(len(rows))]
        assert nearest_cosine(rows) == pytest.approx(np.median(largest))
        assert nearest_cosine(rows * 10.0 ** rng.uniform(-3, 3, (len(rows), 1))) == pytest.approx(np.median(largest))


class TestEffectiveRank:
    @pytest.mark.parametrize("shape", [(50, 6), (5, 9)])
    def test_equal_to_its_definition_by_singular_values(self, shape):
        values = np.random.default_rng(0).normal(size=shape) * np.geomspace(1, 100, shape[1])
        shares = np.linalg.svd(values - values.mean(axis=0), compute_uv=False)
        shares = shares[shares > 1e-9] / shares.sum()
        assert effective_rank(values) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-6)

    def test_copies_add_no_direction(self):
        values = np.random.default_rng(0).normal(size=(200, 4))
        assert effective_rank(values[:, [0, 0, 0]] * [1, 2, 3] + 7) == pytest.approx(1)
        assert effective_rank(np.repeat(values, 5, axis=1)) == pytest.approx(effective_rank(values), rel=1e-5)
        assert 3.5 < effective_rank(values) <= 4

    def test_strength_as_a_whole_does_not_matter(self):
        values = np.random.default_rng(0).normal(size=(20, 4))
        assert effective_rank(1e-3 * values) == pytest.approx(effective_rank(values))

    def test_nothing_varies(self):
        assert math.isnan(effective_rank(np.ones((3, 4))))
        assert math.isnan(effective_rank(np.zeros((3, 4))))


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
