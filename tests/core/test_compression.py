"""Compression against copies that must merge without loss, slower versions written out, and what it may not look at."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import clustering, mnist
from dropclust.core.compression import (
    METHODS,
    RIDGES,
    SCALES,
    accuracy_curve,
    choose_units,
    compress,
    compress_layers,
    least_squares,
    side_by_side,
)
from dropclust.core.metrics import accuracy
from dropclust.core.network import Network
from dropclust.core.prediction import hidden_activations, scaled_logits
from dropclust.core.spec import RunSpec

torch.set_num_threads(1)

COPYING = [name for name, method in METHODS.items() if method.exact]
LOSSY = [name for name, method in METHODS.items() if not method.exact]
REPAIRED = {"least_squares": "fold", "prune_least_squares": "prune"}


def make_network(hidden: tuple[int, ...] = (14, 9, 7), seed: int = 0, spec: RunSpec | None = None) -> Network:
    """Random weights about the size of trained ones, and biases that matter."""
    stream = torch.Generator().manual_seed(seed)
    widths = (784, *hidden, 10)
    weights = [torch.randn(a, b, generator=stream) * (2 / a) ** 0.5 for a, b in pairwise(widths)]
    biases = [torch.randn(b, generator=stream) * 0.3 for b in widths[1:]]
    return Network(weights, biases, spec)


def make_data(network: Network, seed: int = 0, held: int = 200, noise: float = 0.0) -> mnist.Data:
    """Random images with the network's own answers as labels; a test set that spoils whatever it touches."""
    stream = torch.Generator().manual_seed(seed)
    train_x, held_x = (torch.rand(n, 784, generator=stream) for n in (400, held))
    labels = [scaled_logits(network, x).argmax(1) for x in (train_x, held_x)]
    wrong = torch.rand(held, generator=stream) < noise
    labels[1] = torch.where(wrong, (labels[1] + 1) % 10, labels[1])
    return mnist.Data(train_x, labels[0], held_x, labels[1], torch.full((10, 784), torch.nan), torch.full((10,), -1))


def images(seed: int = 99) -> torch.Tensor:
    return torch.rand(100, 784, generator=torch.Generator().manual_seed(seed))


def with_layer(network: Network, layer: int, w_in, b_in, w_out) -> Network:
    weights, biases = list(network.weights), list(network.biases)
    weights[layer - 1], biases[layer - 1], weights[layer] = w_in, b_in, w_out
    return Network(weights, biases, network.spec)


def copied(network: Network, layer: int, scaled: bool, seed: int = 0, copies: int | None = None):
    """Each neuron 1 to 9 times in mixed order, the copies 0.1 to 0.6 as large when scaled; and whose copy each one is."""
    rng = np.random.default_rng(seed)
    h = network.hidden[layer - 1]
    counts = rng.integers(1, 10, h) if copies is None else np.full(h, copies)
    family = np.repeat(np.arange(h), counts)
    scale = np.where(np.diff(family, prepend=-1) > 0, 1.0, rng.uniform(0.1, 0.6, len(family)) if scaled else 1.0)
    mixed = rng.permutation(len(family))
    index, factor = torch.from_numpy(family[mixed]), torch.from_numpy(scale[mixed]).float()
    weights, biases = network.weights, network.biases
    big = with_layer(
        network, layer, weights[layer - 1][:, index] * factor, biases[layer - 1][index] * factor, weights[layer][index]
    )
    return big, index


def permuted(network: Network, layer: int, order) -> Network:
    order = torch.as_tensor(order)
    weights, biases = network.weights, network.biases
    return with_layer(network, layer, weights[layer - 1][:, order], biases[layer - 1][order], weights[layer][order])


def next_inputs(network: Network, layer: int, x: torch.Tensor) -> torch.Tensor:
    """What the layer after ``layer`` takes in, in float64."""
    activation = hidden_activations(network, x)[layer - 1].double()
    return activation @ network.weights[layer].double() + network.biases[layer].double()


def same_network(a: Network, b: Network, atol: float = 0.0) -> bool:
    pairs = zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True)
    return all(x.shape == y.shape and torch.allclose(x, y, rtol=0, atol=atol) for x, y in pairs)


def vectors(network: Network, layer: int) -> dict[str, np.ndarray]:
    return {
        "incoming": clustering.incoming(network.weights, network.biases, layer, bias=True),
        "outgoing": clustering.outgoing(network.weights, layer),
    }


def together(labels) -> np.ndarray:
    """Which pairs of neurons share a unit: a clustering without its names."""
    labels = np.asarray(labels)
    return labels[:, None] == labels


def naive_fold(network: Network, layer: int, labels) -> Network:
    w_in, b_in, w_out = network.weights[layer - 1], network.biases[layer - 1], network.weights[layer]
    groups = [[i for i, label in enumerate(labels) if label == c] for c in range(max(labels) + 1)]
    return with_layer(
        network,
        layer,
        torch.stack([torch.stack([w_in[:, i] for i in group]).mean(0) for group in groups], dim=1),
        torch.stack([torch.stack([b_in[i] for i in group]).mean() for group in groups]),
        torch.stack([torch.stack([w_out[i] for i in group]).sum(0) for group in groups]),
    )


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
        parts["train_x"] = data.train_x
    seen = SimpleNamespace(**parts)  # anything else would raise AttributeError
    assert same_network(compress(network, 1, 6, method, data=seen).network, compress(network, 1, 6, method, data=data).network)


@pytest.mark.parametrize("method", METHODS)
def test_a_spoiled_test_set_spoils_nothing(method):
    network = make_network()
    data = make_data(network)
    assert data.test_x.isnan().all()
    chosen = choose_units(network, 1, method, 0.05, data=data)
    curve = accuracy_curve(network, 1, method, [2, 14], data=data)
    assert all(np.isfinite(point.accuracy) for point in (*curve, *chosen.tried))
    assert scaled_logits(compress(network, 1, 6, method, data=data).network, images()).isfinite().all()


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
    data = SimpleNamespace(train_x=train_x, held_x=data.held_x, held_y=data.held_y)
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


# Several layers, curves and choices


def test_layers_one_after_another():
    network = make_network()
    data = make_data(network)
    steps = compress_layers(network, [(3, 4), (1, 6)], "fold", 2, data)
    first = compress(network, 3, 4, "fold", 2, data)
    second = compress(first.network, 1, 6, "fold", 2, data)
    assert steps[-1].network.hidden == (6, 9, 4)
    assert same_network(steps[0].network, first.network)
    assert same_network(steps[1].network, second.network)
    assert (steps[0].layer, steps[1].layer, len(steps)) == (3, 1, 2)


@pytest.mark.parametrize("hidden", [(6,), (5, 6, 5, 6, 5, 6)])
def test_the_last_of_any_number_of_layers(hidden):
    network = make_network(hidden)
    found = compress(network, len(hidden), 3, "fold", data=make_data(network))
    assert found.network.hidden == (*hidden[:-1], 3)


@pytest.mark.parametrize("method", METHODS)
def test_a_curve_is_compress_at_every_number(method):
    network = make_network((20, 9))
    data = make_data(network, noise=0.1)
    curve = accuracy_curve(network, 1, method, [11, 3, 20, 3], seed=1, data=data)
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
    curve = accuracy_curve(network, 1, method, [1, 4, 19, 20], seed=3, data=make_data(network))
    rows = vectors(network, 1)["incoming"]
    bic, harabasz = (clustering.choose_k(rows, [1, 4, 19], name, 3).scores for name in ("bic", "calinski_harabasz"))
    assert [point.bic for point in curve[:3]] == pytest.approx([bic[k] for k in (1, 4, 19)])
    assert [point.calinski_harabasz for point in curve[1:3]] == pytest.approx([harabasz[k] for k in (4, 19)])
    assert curve[0].calinski_harabasz is None
    assert (curve[3].bic, curve[3].calinski_harabasz) == (None, None)
    assert all(point.bic is None for point in accuracy_curve(network, 1, "prune", [4, 9], data=make_data(network)))


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
        (lambda n, d: accuracy_curve(n, 1, "fold", [], data=d), r"units_list must hold at least one number of units; got none"),
        (lambda n, d: accuracy_curve(n, 1, "fold", [3, 15], data=d), r"units_list must be .* from 1 to 14; got 15"),
        (lambda n, d: choose_units(n, 1, "fold", -0.1, data=d), r"tolerance must be a share from 0 to 1; got -0\.1"),
        (lambda n, d: choose_units(n, 1, "fold", float("nan"), data=d), r"tolerance must be a share from 0 to 1; got nan"),
        (lambda n, d: choose_units(n, 1, "fold", "1%", data=d), r"tolerance must be a share from 0 to 1; got '1%'"),
        (lambda n, d: choose_units(n, 1, "fold", data=d, units_list=[0]), r"units_list must be .* from 1 to 14; got 0"),
        (lambda n, d: compress_layers(n, [], data=d), r"layers must be pairs .*, at least one and each layer once; got \[\]"),
        (lambda n, d: compress_layers(n, [(1, 5), (1, 3)], data=d), r"layers must be pairs .*; got \[\(1, 5\), \(1, 3\)\]"),
        (lambda n, d: compress_layers(n, [(1, 5), (2, 10)], data=None), r"units must be a whole number from 1 to 9; got 10"),
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
