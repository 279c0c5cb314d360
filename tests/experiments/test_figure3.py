"""Figure 3's measurements on networks whose MSTD, spread and clusters are planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dropclust.core import clustering, stack
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.prediction import mstd
from dropclust.core.spec import RunSpec
from dropclust.experiments import figure3
from dropclust.experiments.experiment import Settings

H, COPIES = 60, 10  # six prototypes, ten copies of each


def planted(dropout: tuple[float, float, float]) -> Network:
    """Layer 1 made of copies, above it only units that are always on: logits are linear in the mask of layer 1."""
    rng = np.random.default_rng(3)
    kind = np.repeat(np.arange(H // COPIES), COPIES)
    weights = [
        rng.normal(size=(784, H // COPIES))[:, kind] / 28,
        rng.normal(size=(H // COPIES, 100))[kind] / 8,
        rng.normal(size=(100, 100)) / 10,
        rng.normal(size=(100, 10)) / 10,
    ]
    biases = [np.full(H, 1.0), np.full(100, 100.0), np.full(100, 1000.0), np.zeros(10)]
    spec = RunSpec(hidden=(H, 100, 100), dropout=dropout, seed=5)
    return Network(*([torch.tensor(a, dtype=torch.float32) for a in arrays] for arrays in (weights, biases)), spec)


def exact(network: Network, x: torch.Tensor, p: float) -> tuple[float, float]:
    """MSTD at a rate of layer 1 and mean spread of the scaled logits, in closed form for units that are always on."""
    w, b = ([t.double().numpy() for t in ts] for ts in (network.weights, network.biases))
    a = np.maximum(x.double().numpy() @ w[0] + b[0], 0)  # [n, h]
    upper = w[1] @ w[2] @ w[3]  # [h, 10]
    logits = a @ upper + (b[1] @ w[2] + b[2]) @ w[3]
    std = np.sqrt(p / (1 - p) * np.square(a) @ np.square(upper))
    return float(std.mean()), float(logits.std(axis=1).mean())


@pytest.fixture(scope="module")
def images() -> Data:
    x, y = torch.rand(60, 784, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 10
    return Data(x, y, x[:40], y[:40], x, y)


@pytest.fixture(scope="module")
def rows(images):
    networks = [planted(dropout) for dropout in figure3.TRAININGS.values()]
    return figure3.EXPERIMENT.measure(networks, images, Settings()).set_index(["trained", "rate"])


def test_a_row_a_training_and_rate_and_the_untrained_network_too(rows):
    trainings = {*figure3.TRAININGS, figure3.UNTRAINED}
    assert set(rows.index) == {(trained, rate) for trained in trainings for rate in figure3.SAMPLED_RATES}
    assert not rows.index.duplicated().any()
    assert set(rows["h"]) == {H}
    assert set(rows["seed"]) == {5}
    assert set(rows["recipe"]) == {"modern"}


@pytest.mark.parametrize("rate", figure3.SAMPLED_RATES)
def test_mstd_is_the_closed_form_of_a_network_that_is_linear_in_its_mask(rows, images, rate):
    network = planted((0.0, 0.0, 0.0))
    told, spread = exact(network, images.test_x, rate)
    # One logit's standard deviation over 200 masks has a relative standard error of 1 / sqrt(400); ten outputs of rank
    # six average some of it away.
    assert rows.loc[("none", rate), "mstd"] == pytest.approx(told, rel=4 * 0.05 / math.sqrt(3))
    assert rows.loc[("none", rate), "relative_mstd"] == pytest.approx(rows.loc[("none", rate), "mstd"] / spread, rel=1e-3)


def test_a_higher_rate_varies_by_the_root_of_its_odds(rows):
    # sqrt(p / (1 - p)) is 1 at one half and 1/2 at one fifth.
    trained = rows.drop(figure3.UNTRAINED, level="trained")["mstd"].unstack("rate")
    assert (trained[0.5] / trained[0.2]).tolist() == pytest.approx([2.0] * 4, rel=0.15)


def test_whatever_the_training_only_layer_1_is_dropped_when_sampling(rows):
    # All four have the same weights and seed, so the same masks of layer 1 give the same MSTD.
    assert rows.drop(figure3.UNTRAINED, level="trained")["mstd"].unstack("trained").nunique(axis=1).tolist() == [1, 1]


def test_the_untrained_network_is_where_the_runs_of_its_seed_start(rows, images):
    spec = planted((0.0, 0.0, 0.0)).spec
    weights = stack.initial_weights(spec)
    start = Network(weights, [torch.zeros(w.shape[1]) for w in weights], spec)
    for rate in figure3.SAMPLED_RATES:
        told = mstd(start, images.test_x, figure3.MASKS, spec.seed, (rate, 0.0, 0.0))
        assert rows.loc[(figure3.UNTRAINED, rate), "mstd"] == pytest.approx(told)
    assert rows.loc[(figure3.UNTRAINED, 0.2), "clusters"] == 1


def test_planted_clusters_agree_and_a_single_cluster_has_nothing_to_agree_on(rows):
    trained = rows.loc["all 0.5"]
    # Six prototypes: eight clusters are enough for all of them, and k-means finds no more clusters than there are.
    assert set(trained["clusters"]) == {8}
    assert set(trained["clusters_outgoing"]) == {8}
    assert set(trained["adjusted_rand"]) == {1.0}
    assert rows.loc[figure3.UNTRAINED, "adjusted_rand"].isna().all()


@pytest.mark.parametrize("k", [2, 4, 16])
def test_as_many_clusters_are_found_as_were_planted(k):
    rng = np.random.default_rng(k)
    centres = rng.normal(size=(k, 200))
    vectors = np.repeat(centres, 128 // k, axis=0) + 0.3 * rng.normal(size=(128, 200))
    assert figure3.clusters_found(vectors) == k


@pytest.mark.parametrize("scores", [{2: -1.0, 4: 0.1, 8: 0.05, 16: 0.2, 32: 0.1, 64: 0.9}, {2: -1.0, 4: -1.0, 8: 0.9}])
def test_a_dip_among_few_clusters_ends_nothing_and_later_the_first_does(monkeypatch, scores):
    tried = []

    def choose_k(vectors, candidates, seed):
        tried.extend(candidates)
        return clustering.Choice(candidates[0], "held_out", {k: scores[k] for k in candidates})

    monkeypatch.setattr(clustering, "choose_k", choose_k)
    found = figure3.clusters_found(np.eye(100))
    assert (found, tried) == ((16, [2, 4, 8, 16, 32]) if 64 in scores else (1, [2, 4]))


def test_where_nothing_is_planted_there_is_one_cluster():
    rng = np.random.default_rng(0)
    assert figure3.clusters_found(rng.normal(size=(100, 150))) == 1
    assert figure3.clusters_found(np.ones((20, 30))) == 1
    assert figure3.clusters_found(rng.normal(size=(2, 30))) == 1


def test_the_grid_doubles_the_width_and_quick_stays_quick():
    full, quick = (figure3.EXPERIMENT.specs(Settings(seeds=20, quick=quick)) for quick in (False, True))
    assert {spec.hidden for spec in full} == {(25 * 2**i, 100, 100) for i in range(7)}
    assert {spec.seed for spec in full} == set(range(20))
    assert {spec.seed for spec in quick} == set(range(figure3.QUICK_SEEDS))
    assert {spec.seed for spec in figure3.EXPERIMENT.specs(Settings(seeds=2, quick=True))} == {0, 1}
    assert sum(spec.flops for spec in quick) < sum(spec.flops for spec in full) / 4
    assert len(figure3.EXPERIMENT.groups(Settings(seeds=3))) == 3 * 7
    assert all(len(group) == 4 for group in figure3.EXPERIMENT.groups(Settings(seeds=3)))
