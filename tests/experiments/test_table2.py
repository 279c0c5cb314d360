"""Table 2 on networks whose similarity is known."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper, table2
from dropclust.experiments.experiment import Settings


def planted(rate: float) -> Network:
    """Three layers of 100: twenty prototypes, each five times, in and out; the third neuron of each layer never fires."""
    rng = np.random.default_rng(7)
    copies = np.repeat(np.arange(20), 5)
    widths = (784, 100, 100, 100, 10)
    weights = [rng.normal(size=pair) for pair in pairwise(widths)]
    for layer in range(3):
        weights[layer] = weights[layer][:, copies]  # columns: incoming weights of the layer's neurons
        weights[layer + 1] = weights[layer + 1][copies]  # rows: their outgoing weights
    biases = [np.zeros(width) for width in widths[1:]]
    for layer in range(3):
        biases[layer][2] = -1e6
    spec = RunSpec(dropout=(rate, rate, rate))
    return Network(*([torch.tensor(a, dtype=torch.float32) for a in arrays] for arrays in (weights, biases)), spec)


@pytest.fixture(scope="module")
def images() -> Data:
    x, y = torch.rand(60, 784, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 10
    return Data(x, y, x[:40], y[:40], x, y)


@pytest.fixture(scope="module")
def rows(images):
    return table2.EXPERIMENT.measure([planted(0.2)], images, Settings())


def test_where_no_neuron_is_dead_the_living_ones_are_all(images):
    network = planted(0.2)
    network = Network([weight.abs() for weight in network.weights], network.biases, network.spec)
    network = Network(network.weights, [torch.zeros_like(bias) for bias in network.biases], network.spec)
    rows = table2.EXPERIMENT.measure([network], images, Settings())
    assert set(rows["dead"]) == {0}
    nobody = np.zeros(100, dtype=bool)
    for row in rows.itertuples():
        assert row.adjusted_rand_living == table2._living(network, row.layer, row.k, nobody, network.spec.seed)


def test_a_row_a_layer_and_number_of_clusters(rows):
    assert list(zip(rows["layer"], rows["k"], strict=True)) == [(layer, k) for layer in (1, 2, 3) for k in table2.CLUSTERS]
    assert set(rows["dropout"]) == {0.2}


def test_planted_copies_are_found_at_their_number_of_clusters(rows):
    # Layers 2 and 3 are copied in and out without noise, so that both clusterings see the same twenty vectors.
    found = rows[(rows["k"] == 20)].set_index("layer")
    assert found["adjusted_rand"].tolist() == [1.0, 1.0, 1.0]
    assert found["rand"].tolist() == [1.0, 1.0, 1.0]
    assert (found["chance_rand"] < 0.95).all()
    assert (found["p_value"] <= 0.001).all()


def silent(network: Network, x: torch.Tensor) -> list[list[int]]:
    """Neurons of each layer that no image wakes, by plain numpy."""
    found, a = [], x.double().numpy()
    for weight, bias in zip(network.weights[:3], network.biases[:3], strict=True):
        a = np.maximum(a @ weight.double().numpy() + bias.double().numpy(), 0)
        found.append([neuron for neuron in range(a.shape[1]) if not a[:, neuron].any()])
    return found


def test_the_dead_are_counted_and_left_out(rows, images):
    expected = [len(neurons) for neurons in silent(planted(0.2), images.held_x)]
    assert all(expected)
    assert rows.groupby("layer")["dead"].unique().map(list).tolist() == [[n] for n in expected]
    assert rows[rows["k"] == 20]["adjusted_rand_living"].tolist() == [1.0, 1.0, 1.0]


def test_copies_fire_together(rows):
    found = rows[rows["k"] == 20]
    assert (found["correlation_within"] > 0.999).all()
    assert (found["correlation_across"] < 0.9).all()


def test_the_shown_neurons_are_those_of_the_table(images):
    network = planted(table2.RATES[3])
    details = table2.EXPERIMENT.details([network], images, Settings())["table2-neurons"]
    assert len(details) == 3 * len(table2.CLUSTERS) * 100
    one = details[(details["layer"] == 2) & (details["k"] == 20)]
    assert one["neuron"].tolist() == list(range(100))
    assert one["agree"].all()
    assert one["neuron"][one["dead"] == 1].tolist() == silent(network, images.held_x)[1]
    # five copies share a cluster
    assert all(len(set(one["incoming"].iloc[at : at + 5])) == 1 for at in range(0, 100, 5))


def test_every_planted_copy_has_a_twin(rows):
    # The third neuron is silenced, so that the other four of its prototype are still twins of each other.
    for name in ("twins", "twins_80", "twins_95"):
        assert rows.groupby("layer")[name].unique().map(list).tolist() == [[1.0], [1.0], [1.0]], name
    assert rows["nearest_cosine"].to_numpy() == pytest.approx(1, abs=1e-6)
    assert (rows["effective_rank"] < 20.01).all()  # twenty prototypes
    assert rows.groupby("layer")["effective_rank"].nunique().tolist() == [1, 1, 1]


def test_the_twin_of_each_neuron_is_a_copy_of_it(images):
    layer = table2.neurons(planted(0.2), images, 2, 20)
    living = layer[layer["dead"] == 0]
    assert (living["twin"] // 5 == living["neuron"] // 5).all()
    assert (living["twin"] != living["neuron"]).all()
    assert (living["twin_correlation"] > 0.999).all()
    assert set(layer["twin"][layer["dead"] == 1]) == {-1}
    assert layer["twin_correlation"][layer["dead"] == 1].isna().all()


def test_other_ways_to_cluster_are_measured_at_the_papers_rates(images, rows):
    networks = [planted(0.2), planted(0.25)]
    found = table2.EXPERIMENT.details(networks, images, Settings(quick=True))["table2-linkage"]
    assert set(found["dropout"]) == {0.2}
    assert list(zip(found["layer"], found["kind"], strict=True)) == [(a, kind) for a in (1, 2, 3) for kind in table2.KINDS]
    same = found[found["kind"] == "k-means, 4 starts"]["adjusted_rand"].tolist()
    assert same == rows[rows["k"] == table2.KINDS_K]["adjusted_rand"].tolist()


def test_networks_that_are_not_kept_have_no_details(images):
    network = planted(0.4321)
    assert table2.EXPERIMENT.details([network], images, Settings()) == {}
    assert table2.EXPERIMENT.kept(Settings(quick=True)) == frozenset()


def test_the_grid_covers_the_papers_rates():
    assert set(paper.TABLE_2) <= set(table2.RATES)
    assert set(paper.TABLE_2) == set(table2.WIDE_RATES)
    keys = {spec.key for spec in table2.EXPERIMENT.specs(Settings(seeds=1))}
    assert {table2.shown_spec(rate).key for rate in table2.RATES} <= keys
