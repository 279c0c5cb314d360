"""Every way to merge, against slower versions of it written out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import clustering
from dropclust.core.compression import compress
from dropclust.core.merging import RIDGES, SCALES, least_squares
from dropclust.core.metrics import accuracy
from dropclust.core.network import Network
from dropclust.core.prediction import hidden_activations, scaled_logits
from tests.core.layers import (
    copied,
    images,
    make_data,
    make_network,
    naive_fold,
    next_inputs,
    same_network,
    together,
    vectors,
    with_layer,
)

torch.set_num_threads(1)

REPAIRED = {"least_squares": "fold", "prune_least_squares": "prune"}


# Slower versions


@pytest.mark.parametrize("layer", [1, 2])
def test_fold_against_loops(layer):
    network = make_network()
    data = make_data(network, noise=0.2)
    found = compress(network, layer, 5, "fold", seed=2, data=data)
    folded = {}
    for side, rows in vectors(network, layer).items():
        labels = clustering.cluster(rows, 5, 2)
        folded[side] = naive_fold(network, layer, labels)
        if side == found.chosen:
            assert np.array_equal(together(found.labels), together(labels))
    scores = {side: accuracy(scaled_logits(net, data.held_x), data.held_y) for side, net in folded.items()}
    assert found.accuracy == scores[found.chosen] == max(scores.values())
    expected = naive_fold(network, layer, found.labels.tolist())
    assert same_network(found.network, expected, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_papers_method_against_a_search_over_everything(seed):
    network = make_network(seed=seed)
    data = make_data(network, seed, noise=0.2)
    found = compress(network, 1, 5, "paper", seed, data)
    scores = {}
    for side, rows in vectors(network, 1).items():
        labels = clustering.cluster(rows, 5, seed)
        folded = naive_fold(network, 1, labels)
        mean = folded.weights[1] / torch.from_numpy(np.bincount(labels))[:, None]
        for factor in SCALES:
            net = with_layer(folded, 1, folded.weights[0], folded.biases[0], (mean * factor * 14 / 5).float())
            scores[side, factor] = accuracy(scaled_logits(net, data.held_x), data.held_y)
    best = max(scores.values())
    factor = min((key[1] for key in scores if key[1] * 14 / 5 == found.scale), default=0.0)
    assert found.accuracy == pytest.approx(best, abs=1e-12)
    assert scores[found.chosen, factor] == best
    if found.chosen == "outgoing":
        assert max(score for (side, _), score in scores.items() if side == "incoming") < best
    ties = [abs(np.log(f)) for (side, f), score in scores.items() if side == found.chosen and score == best]
    assert abs(np.log(factor)) == pytest.approx(min(ties), abs=1e-12)


def test_a_factor_on_incoming_weights_and_biases_is_one_on_outgoing_weights():
    network = make_network()
    w_in, b_in, w_out = network.weights[0], network.biases[0], network.weights[1]
    inner = with_layer(network, 1, 3 * w_in, 3 * b_in, w_out / 2)
    outer = with_layer(network, 1, w_in, b_in, 1.5 * w_out)
    torch.testing.assert_close(scaled_logits(inner, images()), scaled_logits(outer, images()), rtol=1e-4, atol=1e-4)


def test_agreement_merges_those_together_in_both_clusterings():
    big, _ = copied(make_network((12, 9)), 1, scaled=True, copies=3)
    found = compress(big, 1, 6, "agreement", seed=1, data=make_data(big))
    incoming, outgoing = (together(clustering.cluster(rows, 6, 1)) for rows in vectors(big, 1).values())
    assert np.array_equal(together(found.labels), incoming & outgoing)
    assert 6 <= found.network.hidden[0] < 36
    assert same_network(found.network, naive_fold(big, 1, found.labels.tolist()), atol=1e-6)


def test_random_clusters_have_the_sizes_of_the_clustering():
    network = make_network((30, 9))
    found = compress(network, 1, 7, "random", seed=4, data=make_data(network))
    labels = clustering.cluster(vectors(network, 1)[found.chosen], 7, 4)
    assert sorted(np.bincount(found.labels)) == sorted(np.bincount(labels))
    assert not np.array_equal(together(found.labels), together(labels))
    assert same_network(found.network, naive_fold(network, 1, found.labels.tolist()), atol=1e-6)


def naive_srinivas_babu(network: Network, layer: int, units: int) -> tuple[Network, list[int]]:
    """Every saliency anew at every step."""
    u = dict(enumerate(vectors(network, layer)["incoming"]))
    v = {i: row.copy() for i, row in enumerate(vectors(network, layer)["outgoing"])}
    owner = list(range(len(u)))
    while len(v) > units:
        saliency = {(i, j): (v[j] @ v[j]) * ((u[i] - u[j]) @ (u[i] - u[j])) for i in v for j in v if i != j}
        into, gone = min(saliency, key=saliency.__getitem__)
        v[into] += v.pop(gone)
        owner = [into if i == gone else i for i in owner]
    kept = sorted(v)
    w_out = torch.from_numpy(np.array([v[i] for i in kept])).float()
    weights, biases = network.weights[layer - 1], network.biases[layer - 1]
    return with_layer(network, layer, weights[:, kept], biases[kept], w_out), owner


@pytest.mark.parametrize("units", [1, 3, 8, 17])
@pytest.mark.parametrize("layer", [1, 2])
def test_srinivas_babu_against_every_saliency_anew(layer, units):
    network = make_network((18, 20), seed=units)
    found = compress(network, layer, units, "srinivas_babu", data=make_data(network))
    expected, owner = naive_srinivas_babu(network, layer, units)
    assert np.array_equal(together(found.labels), together(owner))
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(expected, images()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("units", [1, 4, 11])
@pytest.mark.parametrize("layer", [1, 2])
def test_neuron_merging_against_loops(layer, units):
    network = make_network((14, 12), seed=units)
    lengths = torch.randn(network.hidden[layer - 1], generator=torch.Generator().manual_seed(units)).exp()
    w_in, b_in = network.weights[layer - 1] * lengths, network.biases[layer - 1] * lengths
    network = with_layer(network, layer, w_in, b_in, network.weights[layer])
    rows = vectors(network, layer)
    u, v = rows["incoming"], rows["outgoing"].copy()
    kept = sorted(sorted(range(len(u)), key=lambda i: -np.abs(u[i]).sum())[:units])
    owner = list(range(len(u)))
    for i in set(range(len(u))) - set(kept):
        owner[i] = max(kept, key=lambda j: u[i] @ u[j] / np.linalg.norm(u[i]) / np.linalg.norm(u[j]))
        v[owner[i]] += np.linalg.norm(u[i]) / np.linalg.norm(u[owner[i]]) * v[i]
    weights, biases = network.weights[layer - 1], network.biases[layer - 1]
    expected = with_layer(network, layer, weights[:, kept], biases[kept], torch.from_numpy(v[kept]).float())
    found = compress(network, layer, units, "neuron_merging", data=make_data(network))
    assert np.array_equal(together(found.labels), together(owner))
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(expected, images()), rtol=1e-4, atol=1e-4)


def test_neuron_merging_gives_every_kept_copy_a_unit_of_its_own():
    big, _ = copied(make_network(), 1, scaled=True)
    found = compress(big, 1, 40, "neuron_merging", data=make_data(big))
    assert set(found.labels.tolist()) == set(range(40))
    torch.testing.assert_close(scaled_logits(found.network, images()), scaled_logits(big, images()), rtol=0, atol=1e-4)


def test_prune_keeps_the_largest_as_they_are():
    network = make_network()
    rows = vectors(network, 1)["incoming"]
    kept = sorted(sorted(range(14), key=lambda i: -np.abs(rows[i]).sum())[:5])
    found = compress(network, 1, 5, "prune", data=make_data(network))
    assert (found.labels >= 0).nonzero().flatten().tolist() == kept
    order = [int((found.labels == unit).nonzero()) for unit in range(5)]
    expected = with_layer(network, 1, network.weights[0][:, order], network.biases[0][order], network.weights[1][order])
    assert same_network(found.network, expected)


# The least-squares repair


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("method", REPAIRED)
def test_the_repair_against_its_formula_written_out(method, layer):
    network = make_network((14, 9, 11))
    data = make_data(network)
    plain, found = (compress(network, layer, 5, name, data=data) for name in (REPAIRED[method], method))
    assert torch.equal(plain.labels, found.labels)
    # As published: map new activations to old ones, then go on with the old weights.
    h = hidden_activations(network, data.train_x)[layer - 1].double().numpy()
    z = hidden_activations(plain.network, data.train_x)[layer - 1].double().numpy()
    w, b = network.weights[layer].double().numpy(), network.biases[layer].double().numpy()
    zc, hc = z - z.mean(0), h - h.mean(0)
    errors = {None: (next_inputs(plain.network, layer, data.held_x) - next_inputs(network, layer, data.held_x)).square().mean()}
    networks = {None: plain.network}
    for ridge in RIDGES:
        a = np.linalg.inv(zc.T @ zc + ridge * np.trace(zc.T @ zc) / 5 * np.eye(5)) @ zc.T @ hc
        weights, biases = list(plain.network.weights), list(plain.network.biases)
        weights[layer] = torch.from_numpy(a @ w).float()
        biases[layer] = torch.from_numpy(b + (h.mean(0) - z.mean(0) @ a) @ w).float()
        networks[ridge] = Network(weights, biases)
        errors[ridge] = (
            (next_inputs(networks[ridge], layer, data.held_x) - next_inputs(network, layer, data.held_x)).square().mean()
        )
    assert found.ridge == min(errors, key=errors.__getitem__)
    assert found.ridge is not None
    assert same_network(found.network, networks[found.ridge], atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    method=st.sampled_from(sorted(REPAIRED)),
    layer=st.integers(1, 2),
    units=st.integers(1, 6),
    seed=st.integers(0, 10_000),
    train=st.sampled_from(["like", "few", "dark", "other"]),
)
def test_the_repair_is_never_worse_on_held_out_images(method, layer, units, seed, train):
    network = make_network((8, 6), seed)
    data = make_data(network, seed, held=60)
    train_x = {
        "like": data.train_x,
        "few": data.train_x[:3],
        "dark": torch.zeros(50, 784),  # all images equal: nothing to fit
        "other": (data.train_x > 0.97).float(),
    }[train]
    data = SimpleNamespace(train=train_x, held_x=data.held_x, held_y=data.held_y)
    plain, found = (compress(network, layer, units, name, seed, data) for name in (REPAIRED[method], method))
    target = next_inputs(network, layer, data.held_x)
    before, after = ((next_inputs(c.network, layer, data.held_x) - target).square().mean().item() for c in (plain, found))
    assert after <= before * (1 + 1e-5) + 1e-10  # activations are float32 and come in another order here


def test_least_squares_of_all_units_without_ridge_is_the_layer_as_it_was():
    network = make_network()
    h = hidden_activations(network, images())[0]
    h = h[:, h.std(0) > 0]
    w, b = torch.randn(h.shape[1], 9, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    [(ridge, weight, bias)] = least_squares(h, h.double() @ w + b, [0.0])
    assert ridge == 0.0
    torch.testing.assert_close(weight, w, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(bias, b, rtol=1e-6, atol=1e-6)


def test_least_squares_of_uncorrelated_neurons_without_ridge_is_fold():
    stream = torch.Generator().manual_seed(1)
    x = torch.randn(50, 12, generator=stream, dtype=torch.float64)
    h = torch.linalg.qr(x - x.mean(0))[0]  # the Gram matrix of its centred columns is the identity
    w, b = torch.randn(12, 4, generator=stream, dtype=torch.float64), torch.randn(4, generator=stream, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 0, 1, 3, 3, 2, 0, 1, 1])
    members = torch.nn.functional.one_hot(labels).double()
    [(_, weight, bias)] = least_squares(h @ (members / members.sum(0)), h @ w + b, [0.0])
    torch.testing.assert_close(weight, members.T @ w)
    torch.testing.assert_close(bias, b)


def test_least_squares_leaves_out_what_has_no_solution():
    z = torch.rand(20, 3)
    z[:, 1] = 0
    assert [ridge for ridge, _, _ in least_squares(z, torch.rand(20, 2), [0.0, 1e-3])] == [1e-3]
