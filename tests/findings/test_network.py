"""What is said about one network, against literals."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from dropclust.core import similarity
from dropclust.core.clustering import Choice
from dropclust.core.spec import RunSpec
from dropclust.findings import network, words


def finished(spec, accuracy, status="done"):
    return SimpleNamespace(spec=spec, metrics={"test_accuracy": accuracy, "test_cross_entropy": 0.1}, status=status)


def test_neurons_are_sorted_by_cluster_and_scaled_by_their_own_largest_weight():
    weights = [np.arange(784 * 4, dtype=np.float32).reshape(784, 4), np.eye(4, 3, dtype=np.float32)]
    info = network.neurons(weights, 1, [1, 0, 1, 0], [0, 0, 1, 1], [True, False, True, False], dead=1)
    assert info.number.tolist() == [1, 3, 0, 2]
    assert info.incoming.tolist() == [0, 0, 1, 1]
    assert info.agree.tolist() == [False, False, True, True]
    assert info.pictures.shape == (4, 28, 28)
    assert np.allclose(np.abs(info.pictures).max((1, 2)), 1)
    assert info.pictures[0, 0, 1] == pytest.approx(weights[0][1, 1] / weights[0][-1, 1])
    assert info.sentence == (
        "4 neurons in 2 clusters by incoming weights, the largest of 2; the clustering by outgoing weights agrees on 2 of "
        "them. Never active on the held-out images: 1. A frame has the colour of the cluster by incoming weights, and is broad "
        "where the other clustering agrees. A tile is a neuron's weights from the 28 x 28 pixels of an image: orange above 0, "
        "blue below, palest near 0."
    )
    assert info.table()["neuron"].tolist() == [1, 3, 0, 2]


def test_neurons_of_later_layers_are_their_outgoing_weights_in_lines():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((784, 6), (6, 8), (8, 100), (100, 10))]
    four, one = network.pictures(weights, 2), network.pictures(weights, 3)
    assert (four.shape, one.shape) == ((8, 4, 25), (100, 1, 10))
    for drawn, sent in ((four, weights[2]), (one, weights[3])):
        expected = sent / np.abs(sent).max(axis=1, keepdims=True)
        np.testing.assert_allclose(drawn.reshape(sent.shape), expected)
    assert network.tile_shows(weights, 2) == (
        "A tile is a neuron's weights to the 100 neurons of layer 3, in 4 lines: orange above 0, blue below, palest near 0."
    )
    labels = [0] * 8
    assert network.neurons(weights, 2, labels, labels, labels, silent=[1]).sentence.endswith(
        "Crossed out: those that never fire. " + network.tile_shows(weights, 2)
    )
    ink = np.arange(32, dtype=np.uint8).reshape(8, 2, 2)
    seen = network.neurons(weights, 2, [1, 0] * 4, labels, labels, ink=ink)
    np.testing.assert_array_equal(seen.pictures, ink[[1, 3, 5, 7, 0, 2, 4, 6]] / 255)
    assert seen.sentence.endswith(network.INK)


def test_a_neuron_of_zeros_is_drawn():
    weights = [np.zeros((784, 2), np.float32), np.zeros((2, 10), np.float32)]
    assert not network.neurons(weights, 1, [0, 0], [0, 0], [True, True]).pictures.any()


def test_a_network_is_put_beside_what_chance_gives():
    labels = np.repeat([0, 1], 10)
    found = similarity.compare(labels, labels)
    weak = similarity.ShuffledWeights(0.5, 0.4, 0.6, 0.0, -0.1, 0.1, 39)
    info = network.nulls(found, weak)
    assert info.rows[0][1] == 1.0
    assert info.sentence.startswith(
        "The Rand index of 1.000 lies above the 95 % band of permuted labels and of shuffled weights, clustered again; any "
        f"clusterings of as many clusters give {found.chance_rand_num:.3f} on average, less. With chance taken out:"
    )
    strong = dataclasses.replace(weak, rand_high=1.0)
    assert "permuted labels; any" in network.nulls(found, strong).sentence
    crossed = similarity.compare(labels, np.tile([0, 1], 10))
    low = network.nulls(crossed, strong).sentence
    assert "above no band that chance gives" in low
    assert crossed.rand < crossed.chance_rand_num
    assert f"give {crossed.chance_rand_num:.3f} on average, not less." in low


def test_twins_of_a_network_are_counted_among_the_living():
    firing = network.Firing(5, 100, 0.3, 0.0, 26, 0.47)
    assert firing.sentence == (
        "26 of 95 living neurons have a twin: another one whose activations on the held-out images correlate above .9 with "
        "theirs. Their weights are not equal: the nearest other neuron's incoming weights have a cosine of 0.47, in the "
        "median; copies would have 1."
    )
    assert "cosine" not in dataclasses.replace(firing, cosine=math.nan).sentence


def test_the_numbers_of_a_layer_are_those_that_are_known():
    firing = network.Firing(5, 100, 0.3, 0.02, 26, 0.47)
    assert network.numbers(None, None) == ()
    assert [(number.name, number.value) for number in network.numbers(None, firing)] == [
        ("Twins", "26 of 95"), ("Never fire", "5 of 100"), ("Correlation", "0.30"),
    ]  # fmt: skip
    found = SimpleNamespace(rand=0.8, chance_rand=0.75, adjusted_rand=0.2)
    assert [number.value for number in network.numbers(found, firing)[:3]] == ["0.800", "0.750", "0.200"]


def test_criteria_that_disagree_are_said_to():
    choices = {name: Choice(k, name, {2: 1.0, 5: 0.5}) for name, k in (("a", 2), ("b", 5))}
    assert network.chosen(choices).sentence.endswith("They do not agree, as the paper found (section 4.4).")
    assert network.chosen({"a": choices["a"]}).sentence.endswith("They agree.")
    assert network.chosen(choices).table()["clusters"].tolist() == [2, 5]


def test_learning_curves_leave_out_what_is_not_a_number():
    points = [
        {"step": 0, "examples": 0, "loss": 2.3, "accuracy": 0.1, "seconds": 0.0},
        {"step": 5, "examples": 640, "loss": math.nan, "accuracy": 0.1, "seconds": 0.1},
        {"step": 9, "examples": 1152, "loss": 0.5, "accuracy": 0.9, "seconds": 0.2},
    ]
    info = network.learning([("a", points), ("b", [])])
    assert info.examples == ((0, 1152), ())
    assert info.sentence == "Held-out accuracy now: 0.900, after 1,152 examples."
    assert info.table().to_dict("list")["held-out loss"] == [2.3, 0.5]
    empty = network.learning([])
    assert empty.sentence == "No point has been measured yet."
    assert list(empty.table().columns) == ["run", "examples", "held-out loss", "held-out accuracy"]


def test_an_outcome_is_a_mean_with_its_interval():
    info = network.outcome("x", [finished(RunSpec(seed=seed), 0.9 + seed / 100) for seed in (2, 0, 1)])
    assert info.accuracy.mean == pytest.approx(0.91)
    assert info.table()["seed"].tolist() == [0, 1, 2]
    assert info.sentence == "Test accuracy 0.9100 (95 % interval 0.8852 to 0.9348, 3 seeds), cross-entropy 0.100 nats."
    one = network.outcome("x", [finished(RunSpec(), 0.9, "stopped")])
    assert "one seed: no interval" in one.sentence
    assert one.table()["status"].tolist() == ["stopped early"]


def test_outcomes_stand_side_by_side():
    both = network.Outcomes(
        (
            network.outcome("worse", [finished(RunSpec(seed=seed), 0.8) for seed in (0, 1)]),
            network.outcome("better", [finished(RunSpec(dropout=(0.1, 0.0, 0.25)), 0.9)]),
        )
    )
    assert both.sentence == "Of 2 kinds of runs the highest mean test accuracy is 0.9000: better."
    assert both.overview()["run"].tolist() == ["worse", "better"]
    assert both.overview()["test accuracy"].tolist() == [words.full(kind.accuracy, 4) for kind in both.kinds]
    assert both.table()["run"].tolist() == ["worse", "worse", "better"]
    assert both.table()["test accuracy"].tolist() == [0.8, 0.8, 0.9]
