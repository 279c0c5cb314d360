"""What is said of one network made smaller, against literals and naive counts."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import compression
from dropclust.core.intervals import Interval
from dropclust.core.methods import Choice, CurvePoint
from dropclust.core.network import Network
from dropclust.findings import compressing


def made(hidden, seed=0) -> Network:
    rng, pairs = np.random.default_rng(seed), list(pairwise([784, *hidden, 10]))
    weights = [torch.tensor(rng.normal(size=pair) / math.sqrt(pair[0]), dtype=torch.float32) for pair in pairs]
    return Network(weights, [torch.tensor(rng.normal(size=n) / 5, dtype=torch.float32) for _, n in pairs])


def answers(n: int = 100, lost: int = 7, gained: int = 3) -> compressing.Answers:
    """Of n images 60 are classified correctly at first; then ``lost`` of these are not, and ``gained`` of the others are."""
    truth = np.arange(n) % 10
    wrong = (truth + 1) % 10
    first = np.where(np.arange(n) < 60, truth, wrong)
    second = first.copy()
    second[:lost] = wrong[:lost]
    second[60 : 60 + gained] = truth[60 : 60 + gained]
    before, after = (np.full((n, 10), 0.01, np.float32) for _ in range(2))
    before[np.arange(n), first] = 0.91
    after[np.arange(n), second] = 0.91
    return compressing.Answers.of(before, after, truth)


@given(st.integers(0, 10**6), st.sampled_from([2, 10, 47, 300]), st.sampled_from([0.01, 1.0, 30.0]))
@settings(max_examples=60, deadline=None)
def test_kept_probabilities_are_true_to_a_step_and_choices_exactly(seed, classes, sharpness):
    rng = np.random.default_rng(seed)
    logits = (sharpness * rng.normal(size=(2, 40, classes))).astype(np.float32)
    logits[:, :5] = 0  # all alike: the first is chosen
    logits[:, 5, : classes // 2] = 1 + 1e-7 * rng.normal(size=classes // 2)  # nearly alike
    before, after = (torch.tensor(part).softmax(1).numpy() for part in logits)
    truth = rng.integers(0, classes, 40)
    kept = compressing.Answers.of(before, after, truth)
    assert kept.chosen.tolist() == [before.argmax(1).tolist(), after.argmax(1).tolist()]
    assert kept.truth.tolist() == truth.tolist()
    for image in range(40):
        assert np.abs(kept.probabilities(image) - [before[image], after[image]]).max() < 2 / compressing.STEPS
    assert kept.differing.tolist() == np.flatnonzero(before.argmax(1) != after.argmax(1)).tolist()
    assert kept.first(7).chosen.tolist() == kept.chosen[:, :7].tolist()


def test_a_network_that_overflows_is_kept_and_chooses_the_first_class():
    kept = compressing.Answers.of(np.full((3, 10), np.nan), np.full((3, 10), 0.1), np.arange(3))
    assert kept.chosen[0].tolist() == [0, 0, 0]
    assert np.isfinite(kept.probabilities(0)).all()


def test_what_is_lost_and_gained_is_counted_on_the_same_images():
    proof = {
        "change": {"mean": -0.04, "low": -0.1, "high": 0.02, "n": 100, "level": 0.95}, "accuracy_before": 0.6, "accuracy": 0.56,
        "hidden_before": [30, 20], "hidden": [12, 20], "parameters_before": 2000, "parameters": 1000, "bytes_before": 8000,
        "bytes": 4000, "layer": 1, "held_out_accuracy_before": 0.62, "held_out_accuracy": 0.61,
    }  # fmt: skip
    info = compressing.effect(proof, answers(), [(0.004, 0.002)] * 15, 2_000)
    assert info.table()["wrong"].tolist() == [40, 44]
    assert info.table()["hidden units"].tolist() == ["30 - 20", "12 - 20"]
    assert info.table()["milliseconds"].tolist() == pytest.approx([4.0, 2.0])
    assert (info.speed.mean, info.speed.low, info.speed.high) == pytest.approx((2.0, 2.0, 2.0))
    assert info.table()["held-out accuracy"].tolist() == [0.62, 0.61]
    assert info.left == (12, 30)
    assert info.held == pytest.approx(-1.0)
    assert info.sentence.startswith("Hidden layer 1 keeps 12 of 30 neurons. Test accuracy goes from 0.6000 to 0.5600: ")
    assert "On the held-out images, on which choices are made, the change is -1.00 points." in info.sentence
    assert "-4.00 points (95 % interval -10.00 to +2.00: Student t" in info.sentence
    assert "Of the test images 7 are newly misclassified and 3 newly classified correctly." in info.sentence
    assert "A pass over 2,000 images takes 2.0 ms in place of 4.0: 2.00 times as fast (median of 15 pairs" in info.sentence
    assert [(number.name, number.value, number.change, number.better) for number in info.numbers] == [
        ("Neurons left", "12 of 30", "", "off"),
        ("Test accuracy", "0.5600", "-4.00 points", "normal"),
        ("Held-out accuracy", "0.6100", "-1.00 points", "normal"),
        ("Speed", "2.00 x", "2.00 to 2.00", "off"),
        ("Parameters", "1,000", "-50 %", "inverse"),
    ]


def test_the_next_difference_comes_round():
    found = answers()
    assert found.differing.tolist() == [0, 1, 2, 3, 4, 5, 6, 60, 61, 62]
    assert compressing.next_differing(found, 0) == 1
    assert compressing.next_differing(found, 6) == 60
    assert compressing.next_differing(found, 62) == 0
    assert compressing.next_differing(answers(lost=0, gained=0), 17) == 17


def test_a_digit_is_classified_by_both():
    info = compressing.digit(answers(), 4)
    assert info.truth == 4
    assert info.sentence == (
        "Test image 4 shows a 4. The original says 4 (91.0%), the smaller network 5 (91.0%). They differ on 10 of 100 test "
        "images."
    )


def choice(**changes) -> Choice:
    tried = tuple(CurvePoint(units, units, accuracy, 1.0, 2.0) for units, accuracy in ((5, 0.5), (20, 0.955), (100, 0.96)))
    return dataclasses.replace(Choice(20, 20, 0.955, 0.96, 0.01, tried, 5, 20), **changes)


def test_the_curve_says_how_few_units_will_do():
    info = compressing.held_curves(choice(), {"random": {5: 0.1, 100: 0.96}}, "paper", 40)
    assert info.marker == 40
    assert [(line.name, line.x, line.mean) for line in info.series] == [
        ("the paper's merging", (5, 20, 100), (0.5, 0.955, 0.96)),
        ("merge at random", (5, 100), (0.1, 0.96)),
    ]
    assert info.brief == (
        "On the held-out images, which are to choose by (the test images prove it), 20 units are the fewest of 3 numbers "
        "tried that lose at most 1 point of 0.960."
    )
    assert info.sentence == (
        f"{info.brief} Criteria that the paper tried too look at weights alone: BIC would keep 5 units, with an accuracy of "
        "0.500, Calinski-Harabasz would keep 20 "
        "units, with an accuracy of 0.955."
    )
    assert info.x_title == "units left"
    agreed = compressing.held_curves(choice(calinski_harabasz_units=5), {}, "paper", 40).sentence
    assert agreed.endswith("alone: BIC and Calinski-Harabasz would keep 5 units, with an accuracy of 0.500.")
    assert "BIC" not in compressing.held_curves(choice(), {}, "random", 40).sentence


def test_the_curve_says_when_no_number_will_do():
    none = tuple(dataclasses.replace(point, accuracy=0.9 * point.accuracy) for point in choice().tried)
    lost = choice(units=100, accuracy=0.864, tried=none, bic_units=None, calinski_harabasz_units=None)
    info = compressing.held_curves(lost, {}, "agreement", 40)
    assert info.sentence == info.brief
    assert info.brief == (
        "On the held-out images, which are to choose by (the test images prove it), no number of units tried loses at most "
        "1 point of 0.960."
    )
    assert compressing.fewest(lost).units == 100


def lost(held: float) -> compressing.Effect:
    """With so many points lost, or gained, on the held-out images."""
    none = Interval(0.0, 0.0, 0.0, 0.95, 2)
    return compressing.Effect((), (12, 30), held, none, none, "", "")


@pytest.mark.parametrize(("held", "tolerance", "said"), [
    (-1.0, 1.0, ""),
    (0.3, 0.5, ""),
    (-1.88, 1.0, "On held-out images it loses 1.88 points, and you allow 1 (set below): keep 20 units."),
])  # fmt: skip
def test_what_loses_more_than_is_allowed_says_so_and_what_does_not(held, tolerance, said):
    info = lost(held)
    assert compressing.beyond(info, tolerance, choice(tolerance=tolerance / 100)) == said
    assert compressing.beyond(info, tolerance, None) == said.split(":")[0] + "." * bool(said)


def test_nothing_is_offered_where_no_number_of_units_will_do():
    none = tuple(dataclasses.replace(point, accuracy=0.9 * point.accuracy) for point in choice().tried)
    said = compressing.beyond(lost(-3.0), 1.0, choice(units=100, accuracy=0.864, tried=none))
    assert said == "On held-out images it loses 3.00 points, and you allow 1 (set below)."


def test_agreement_is_drawn_and_chosen_at_the_units_that_are_left():
    tried = tuple(
        CurvePoint(clusters, width, accuracy, None, None)
        for clusters, width, accuracy in ((5, 12, 0.6), (10, 40, 0.951), (11, 38, 0.952), (12, 40, 0.949), (100, 100, 0.96))
    )
    found = choice(units=10, width=40, accuracy=0.951, tried=tried, bic_units=5, calinski_harabasz_units=5)
    assert compressing.fewest(found).units == 11  # fewer units from more clusters
    assert compressing.widths(found, 100) == (12, 40, 100)  # those of the grid, whatever else a tolerance made it try
    info = compressing.held_curves(found, {}, "agreement", 40)
    assert (info.series[0].x, info.series[0].mean) == ((12, 38, 40, 100), (0.6, 0.952, 0.951, 0.96))
    assert (info.x_title, info.marker) == ("units left", 40)
    assert ", 38 units (from 11 clusters of each clustering) are the fewest of 5 numbers tried that lose at most" in info.brief
    assert "would keep 12 units (from 5 clusters of each clustering), with an accuracy of 0.600." in info.sentence


@pytest.mark.parametrize("method", ["agreement", "fold"])
def test_the_x_of_a_curve_are_the_widths_of_the_compressed_networks(data, method):
    network = made((30, 20, 15))
    found = compression.choose_units(network, 1, method, 0.01, 0, data, compressing.grid(30))
    small = {point.units: compression.compress(network, 1, point.units, method, 0, data) for point in found.tried}
    info = compressing.held_curves(found, {}, method, 30)
    assert info.series[0].x == tuple(sorted({each.network.hidden[0] for each in small.values()}))
    for x, accuracy in zip(info.series[0].x, info.series[0].mean, strict=True):
        assert accuracy == pytest.approx(max(each.accuracy for each in small.values() if each.network.hidden[0] == x))
    tried = compressing.widths(found, 30)
    assert set(tried) == {small[units].network.hidden[0] for units in compressing.grid(30)}
    if method == "agreement":
        assert tried != compressing.grid(30)


@pytest.mark.parametrize("width", [1, 2, 7, 100, 1600])
def test_the_numbers_tried_go_up_to_the_width(width):
    numbers = compressing.grid(width)
    assert numbers[-1] == width
    assert numbers[0] == max(1, width // 20)
    assert all(a < b for a, b in pairwise(numbers))


def tiles(weights) -> np.ndarray:
    """Layer 1's neurons as pictures, each by its own largest weight."""
    drawn = weights[0].T.reshape(-1, 28, 28)
    return drawn / np.abs(drawn).max(axis=(1, 2), keepdims=True)


def merges(before, after, labels) -> compressing.Merges:
    return compressing.merges(tiles(before), tiles(after), labels, "A tile is its weights.")


def test_merged_neurons_are_followed_by_what_they_are_made_of():
    before = [np.arange(784 * 5, dtype=float).reshape(784, 5), np.ones((5, 10))]
    after = [np.ones((784, 2)), np.ones((2, 10))]
    info = merges(before, after, np.array([1, 0, 1, -1, 1]))
    assert info.number.tolist() == [-1, 0, 2, 4, -1, 1]
    assert info.neurons.agree.tolist() == [True, False, False, False, True, False]  # which have a broad frame
    assert info.brief == (
        "5 neurons become 2. Each new neuron has a broad frame, and those it was made of follow it in the same colour. A tile "
        "is its weights."
    )
    assert info.unit.tolist() == [1, 1, 1, 1, 0, 0]
    assert np.array_equal(info.pictures[1], tiles(before)[0])
    assert np.array_equal(info.pictures[0], np.ones((28, 28)))
    assert info.sentence == (
        "5 neurons become 2. Made of two or more: 1, the largest of 3. Dropped: 1. Each new neuron has a broad frame, and "
        "those it was made of follow it in the same colour. A tile is its weights."
    )
    kept = merges(before, after, np.array([1, 0, -1, -1, -1]))
    assert kept.sentence.startswith("5 neurons become 2. Each of these is an old one. Dropped: 3.")
    assert info.table()["new unit"].tolist() == ["1", "0", "1", "dropped", "1"]
    assert info.table()["made of"].tolist() == [3, 1, 3, 0, 3]


def test_a_sheet_holds_only_so_many_pictures():
    rng = np.random.default_rng(0)
    before, after = [rng.normal(size=(784, 900)), np.ones((900, 10))], [rng.normal(size=(784, 300)), np.ones((300, 10))]
    info = merges(before, after, np.arange(900) % 300)
    assert len(info.pictures) == compressing.TILES
    assert "Each of the first 60 new neurons" in info.sentence
    alone = merges(before, [after[0][:, :1], np.ones((1, 10))], np.zeros(900, int))
    assert len(alone.pictures) == compressing.TILES
    assert len(alone.table()) == 900
