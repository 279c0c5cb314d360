"""Compression against copies that must merge without loss and labels that must fit, and what it may not look at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import clustering
from dropclust.core.compression import (
    METHODS,
    choose_units,
    compress,
    side_by_side,
)
from dropclust.core.metrics import accuracy
from dropclust.core.prediction import scaled_logits
from dropclust.core.spec import RunSpec
from tests.core.layers import (
    copied,
    images,
    make_data,
    make_network,
    permuted,
    same_network,
    together,
    vectors,
    with_layer,
)

torch.set_num_threads(1)

COPYING = [name for name, method in METHODS.items() if method.exact]
REPAIRED = {"least_squares", "prune_least_squares"}
LOSSY = [name for name, method in METHODS.items() if not method.exact]


# What is promised


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("method", COPYING)
def test_copies_merge_back_without_loss(method, layer):
    small = make_network()
    big, family = copied(small, layer, scaled=METHODS[method].exact == "scaled copies", seed=layer)
    units = small.hidden[layer - 1]
    found = compress(big, layer, units, method, data=make_data(big))
    assert found.network.hidden == small.hidden
    assert np.array_equal(together(found.labels), together(family))
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(big, images()), rtol=0, atol=1e-4)
    assert found.accuracy == found.accuracy_before == 1.0


@pytest.mark.parametrize("method", LOSSY)
def test_a_method_that_promises_nothing_does_lose_on_copies(method):
    big, _ = copied(make_network(), 1, scaled=False)
    found = compress(big, 1, 14, method, data=make_data(big))
    assert (scaled_logits(found.network, images()) - scaled_logits(big, images())).abs().max() > 1e-2


def test_equal_numbers_of_copies_merge_without_loss_by_the_papers_method():
    small = make_network()
    big, _ = copied(small, 1, scaled=False, copies=4)
    found = compress(big, 1, 14, "paper", data=make_data(big))
    assert found.scale == 4.0
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(big, images()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["fold", "least_squares", "agreement"])
def test_more_units_than_different_neurons_still_lose_nothing(method):
    big, _ = copied(make_network(), 2, scaled=False)
    units = (9 + big.hidden[1]) // 2
    found = compress(big, 2, units, method, data=make_data(big))
    assert found.network.hidden[1] == units or method == "agreement"
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(big, images()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"paper"}))
def test_all_units_kept_change_nothing(method):
    network = make_network()
    found = compress(network, 2, 9, method, data=make_data(network))
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(network, images()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("layer", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_labels_and_widths_fit(method, layer):
    network = make_network(spec=RunSpec())
    before = [tensor.clone() for tensor in (*network.weights, *network.biases)]
    found = compress(network, layer, 4, method, seed=3, data=make_data(network))
    labels, width = found.labels, found.network.hidden[layer - 1]
    assert labels.shape == (network.hidden[layer - 1],)
    assert labels.dtype == torch.int64
    assert set(labels.tolist()) - {-1} == set(range(width))
    assert (-1 in labels) == method.startswith("prune")
    assert 4 <= width <= network.hidden[layer - 1] if method == "agreement" else width == 4
    assert (found.method, found.layer, found.units, found.seed) == (method, layer, 4, 3)
    assert found.network.spec == network.spec
    assert (found.scale == 1.0) == (method != "paper")
    assert (found.chosen in ("incoming", "outgoing")) == (method in ("paper", "fold", "least_squares", "random"))
    assert all(torch.equal(a, b) for a, b in zip(before, (*network.weights, *network.biases), strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_reported_accuracies_are_those_of_the_networks(method):
    network = make_network()
    data = make_data(network, noise=0.3)
    found = compress(network, 2, 5, method, data=data)
    assert found.accuracy_before == accuracy(scaled_logits(network, data.held_x), data.held_y)
    assert found.accuracy == pytest.approx(accuracy(scaled_logits(found.network, data.held_x), data.held_y), abs=1 / 200)


@settings(max_examples=80, deadline=None)
@given(method=st.sampled_from(sorted(METHODS)), layer=st.integers(1, 2), seed=st.integers(0, 2**31 - 1), draw=st.data())
def test_the_order_of_neurons_does_not_matter(method, layer, seed, draw):
    small = make_network((8, 6), seed % 1000)
    network, _ = copied(small, layer, scaled=True, seed=seed, copies=2) if seed % 2 else (small, None)
    h = network.hidden[layer - 1]
    order = draw.draw(st.permutations(range(h)))
    units, data = draw.draw(st.integers(1, h)), make_data(network, seed=seed % 1000, held=60, noise=0.2)
    here = compress(network, layer, units, method, seed, data)
    there = compress(permuted(network, layer, order), layer, units, method, seed, data)
    assert same_network(here.network, there.network)
    assert torch.equal(here.labels[torch.tensor(order)], there.labels)
    assert (here.scale, here.chosen, here.ridge, here.accuracy) == (there.scale, there.chosen, there.ridge, there.accuracy)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_decides_everything(method):
    network = make_network((40, 9))
    data = make_data(network)
    first, again, other = (compress(network, 1, 11, method, seed, data) for seed in (5, 5, 6))
    assert same_network(first.network, again.network)
    assert torch.equal(first.labels, again.labels)
    if not METHODS[method].clusters:
        assert same_network(first.network, other.network)
    if method == "random":
        assert not same_network(first.network, other.network)


@pytest.mark.parametrize("method", METHODS)
def test_dead_neurons_are_merged_like_others(method):
    network = make_network()
    w_in, b_in, w_out = network.weights[0].clone(), network.biases[0].clone(), network.weights[1]
    w_in[:, ::2], b_in[::2] = 0, 0
    b_in[1] = -1e4  # never active, but not equal to the others
    dead = with_layer(network, 1, w_in, b_in, w_out)
    for units in (1, 5, 14):
        assert 1 <= compress(dead, 1, units, method, data=make_data(dead)).network.hidden[0] <= 14


# What may be looked at


@pytest.mark.parametrize("method", METHODS)
def test_only_held_out_images_choose_and_only_repairs_see_training_images(method):
    network = make_network()
    data = make_data(network)
    parts = {"held_x": data.held_x, "held_y": data.held_y}
    if method in REPAIRED:
        parts["train"] = data.train
    seen = SimpleNamespace(**parts)  # anything else would raise AttributeError
    assert same_network(compress(network, 1, 6, method, data=seen).network, compress(network, 1, 6, method, data=data).network)


@pytest.mark.parametrize("method", METHODS)
def test_a_spoiled_test_set_spoils_nothing(method):
    network = make_network()
    data = make_data(network)
    assert data.test_x.isnan().all()
    chosen = choose_units(network, 1, method, 0.05, data=data)
    assert all(np.isfinite(point.accuracy) for point in chosen.tried)
    assert scaled_logits(compress(network, 1, 6, method, data=data).network, images()).isfinite().all()


# Curves and choices


@pytest.mark.parametrize("hidden", [(6,), (5, 6, 5, 6, 5, 6)])
def test_the_last_of_any_number_of_layers(hidden):
    network = make_network(hidden)
    found = compress(network, len(hidden), 3, "fold", data=make_data(network))
    assert found.network.hidden == (*hidden[:-1], 3)


def tried(network, method, units, seed, data):
    """What is tried when every number is good enough: the numbers asked for, and those below the smallest."""
    choice = choose_units(network, 1, method, 1.0, seed, data, units)
    return [point for point in choice.tried if point.units in units]


@pytest.mark.parametrize("method", METHODS)
def test_a_curve_is_compress_at_every_number(method):
    network = make_network((20, 9))
    data = make_data(network, noise=0.1)
    curve = tried(network, method, [11, 3, 20, 3], 1, data)
    assert [point.units for point in curve] == [3, 11, 20]
    for point in curve:
        found = compress(network, 1, point.units, method, 1, data)
        assert (point.width, point.accuracy) == (found.network.hidden[0], found.accuracy)


def same_result(a, b) -> bool:
    facts = ("method", "layer", "units", "seed", "scale", "chosen", "ridge", "accuracy_before", "accuracy")
    alike = all(getattr(a, fact) == getattr(b, fact) for fact in facts)
    return alike and same_network(a.network, b.network) and torch.equal(a.labels, b.labels)


def test_methods_side_by_side_are_compress_each_alone():
    network = make_network(spec=RunSpec())
    data = make_data(network, noise=0.2)
    found = side_by_side(network, 1, [3, 9, 14], seed=4, data=data)
    assert list(found) == [(method, width) for width in (3, 9, 14) for method in METHODS]
    for (method, width), result in found.items():
        assert same_result(result, compress(network, 1, result.units, method, 4, data))
        if METHODS[method].unit == "units":
            assert result.units == result.network.hidden[0] == width
    few = side_by_side(network, 1, [9], ["prune", "agreement"], seed=4, data=data)
    assert list(few) == [("prune", 9), ("agreement", 9)]
    assert all(same_result(result, found[key]) for key, result in few.items())


@pytest.mark.parametrize("seed", range(3))
def test_agreement_has_the_width_wanted_and_one_cluster_fewer_has_not(seed):
    network = make_network((40, 9), seed)
    data = make_data(network)

    def width_of(clusters: int) -> int:
        return compress(network, 1, clusters, "agreement", seed, data).network.hidden[0]

    for (_, width), result in side_by_side(network, 1, range(1, 41), ["agreement"], seed, data).items():
        assert result.network.hidden[0] >= width
        if width == 40:  # nothing merges, and the search is left out
            assert result.units == 40
        elif result.units > 1:
            assert width_of(result.units - 1) < width


@pytest.mark.parametrize("method", ["fold", "random"])
def test_criteria_are_those_of_the_clustering_of_incoming_weights(method):
    network = make_network((20, 9))
    curve = tried(network, method, [1, 4, 19, 20], 3, make_data(network))
    rows = vectors(network, 1)["incoming"]
    bic, harabasz = (clustering.choose_k(rows, [1, 4, 19], name, 3).scores for name in ("bic", "calinski_harabasz"))
    assert [point.bic for point in curve[:3]] == pytest.approx([bic[k] for k in (1, 4, 19)])
    assert [point.calinski_harabasz for point in curve[1:3]] == pytest.approx([harabasz[k] for k in (4, 19)])
    assert curve[0].calinski_harabasz is None
    assert (curve[3].bic, curve[3].calinski_harabasz) == (None, None)
    assert all(point.bic is None for point in tried(network, "prune", [4, 9], 0, make_data(network)))


@pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("method", METHODS)
def test_the_number_chosen_passes_and_one_fewer_does_not(method, tolerance):
    network = make_network((20, 9))
    data = make_data(network)
    choice = choose_units(network, 1, method, tolerance, seed=1, data=data)
    found = compress(network, 1, choice.units, method, 1, data)
    assert (choice.width, choice.accuracy) == (found.network.hidden[0], found.accuracy)
    assert choice.accuracy >= choice.accuracy_before - tolerance - 1e-12
    accuracies = {point.units: point.accuracy for point in choice.tried}
    assert list(accuracies) == sorted(accuracies)
    if choice.units > 1:
        assert accuracies[choice.units - 1] < choice.accuracy_before - tolerance
    assert (choice.bic_units is None) == (not METHODS[method].clusters)
    if choice.bic_units is not None:
        assert choice.bic_units == max((p for p in choice.tried if p.bic is not None), key=lambda p: p.bic).units
        scored = [p for p in choice.tried if p.calinski_harabasz is not None]
        assert choice.calinski_harabasz_units == max(scored, key=lambda p: p.calinski_harabasz).units


def test_a_tolerance_of_everything_leaves_one_unit_and_numbers_to_try_may_be_given():
    network = make_network((20, 9))
    data = make_data(network)
    assert choose_units(network, 1, "fold", 1.0, data=data).units == 1
    for first in (1, 20):
        choice = choose_units(network, 1, "prune", 0.02, data=data, units_list=[first])
        assert {first, 20, 10} <= {point.units for point in choice.tried}
        assert choice.accuracy >= choice.accuracy_before - 0.02
        assert choice.units > 1


# Bad input


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"layer": 0}, r"layer must be a whole number from 1 to 3; got 0"),
        ({"layer": 4}, r"layer must be a whole number from 1 to 3; got 4"),
        ({"layer": 1.0}, r"layer must be a whole number from 1 to 3; got 1\.0"),
        ({"units": 0}, r"units must be a whole number from 1 to 14; got 0"),
        ({"units": 15}, r"units must be a whole number from 1 to 14; got 15"),
        ({"units": True}, r"units must be a whole number from 1 to 14; got True"),
        ({"units": "9"}, r"units must be a whole number from 1 to 14; got '9'"),
        ({"method": "shrink"}, r"method must be one of paper, fold, .*, random; got 'shrink'"),
        ({"method": None}, r"method must be one of .*; got None"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 2,147,483,647; got -1"),
    ],
)
def test_bad_arguments_are_named_in_one_sentence(arguments, sentence):
    network = make_network()
    good = {"layer": 1, "units": 5, "method": "prune", "seed": 0}
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        compress(network, **(good | arguments), data=make_data(network))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda n, d: choose_units(n, 1, "fold", -0.1, data=d), r"tolerance must be a share from 0 to 1; got -0\.1"),
        (lambda n, d: choose_units(n, 1, "fold", float("nan"), data=d), r"tolerance must be a share from 0 to 1; got nan"),
        (lambda n, d: choose_units(n, 1, "fold", "1%", data=d), r"tolerance must be a share from 0 to 1; got '1%'"),
        (lambda n, d: choose_units(n, 1, "fold", data=d, units_list=[0]), r"units_list must be .* from 1 to 14; got 0"),
    ],
)
def test_bad_arguments_of_the_others_are_named_too(call, sentence):
    network = make_network()
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        call(network, make_data(network))


def test_every_method_says_what_it_is():
    assert list(METHODS) == [
        "paper", "fold", "least_squares", "agreement", "srinivas_babu", "neuron_merging", "prune", "prune_least_squares",
        "random",
    ]  # fmt: skip
    for name, method in METHODS.items():
        assert method.name == name
        assert method.sentence.endswith(".")
        assert method.source
