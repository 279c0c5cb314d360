"""Table 1 against a naive measurement, its grid against the paper's, and its examples, which must not vary."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dropclust.core import stack
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper, table1
from dropclust.experiments.experiment import Settings
from tests.experiments.test_figure1 import log_softmax, naive_logits, random_network, scores


@pytest.fixture(scope="module")
def images() -> Data:
    x, y = torch.rand(70, 784, generator=torch.Generator().manual_seed(2)), torch.arange(70) % 10
    return Data(x[:40], y[:40], x[:40], y[:40], x, y)


@pytest.mark.parametrize(("settings", "samples"), [(Settings(), 200), (Settings(quick=True), 50)], ids=["full", "quick"])
def test_every_column_is_what_naive_masks_give(images, settings, samples):
    networks = [
        random_network(RunSpec(dropout=(rate,) * 3, batch_size=batch, examples=6_400, seed=seed))
        for seed, rate, batch in ((0, 0.4, 16), (1, 0.0, 64), (2, 0.4, 500))
    ]
    rows = table1.EXPERIMENT.measure(networks, images, settings)
    assert rows["prediction"].tolist() == ["scaled", "sampled"] * 3
    y = images.test_y.numpy()
    for number, network in enumerate(networks):
        spec = network.spec
        masks = naive_logits(network, images.test_x, samples)
        expected = {
            "scaled": log_softmax(naive_logits(network, images.test_x, 0)[0]),
            "sampled": log_softmax(log_softmax(masks).mean(0)),
        }
        for prediction, log_p in expected.items():
            [row] = rows[(rows["seed"] == number) & (rows["prediction"] == prediction)].to_dict("records")
            naive = scores(log_p, y)
            assert row["accuracy"] == pytest.approx(naive["accuracy"], abs=1e-9)
            assert row["cross_entropy"] == pytest.approx(naive["cross_entropy"], rel=1e-4)
            assert (row["recipe"], row["dropout"], row["batch_size"]) == ("modern", spec.dropout[0], spec.batch_size)
            assert row["steps"] == 6_400 // spec.batch_size


def test_a_network_that_is_always_right_and_one_that_never_is(images):
    # The label is written in the first ten pixels, and every layer hands it on; the second network hands on its neighbour's.
    x = torch.zeros(70, 784)
    x[torch.arange(70), images.test_y] = 1
    data = Data(images.train_x, images.train_y, images.held_x, images.held_y, x, images.test_y)
    through = [torch.eye(784, 10), torch.eye(10), torch.eye(10), 30 * torch.eye(10)]
    wrong = [*through[:3], through[3].roll(1, 1)]
    spec = RunSpec(dropout=(0, 0, 0))
    for weights, accuracy, loss in ((through, 1.0, math.log1p(9 * math.exp(-30))), (wrong, 0.0, 30 + math.log1p(9e-13))):
        network = Network(weights, [torch.zeros(10)] * 4, spec)
        rows = table1.EXPERIMENT.measure([network], data, Settings(quick=True))
        assert rows["accuracy"].tolist() == [accuracy] * 2
        assert rows["cross_entropy"].tolist() == pytest.approx([loss] * 2, abs=1e-6)


def test_the_grid_is_the_papers_with_its_steps():
    specs = table1.EXPERIMENT.specs(Settings("paper", 3))
    assert len(specs) == 3 * 6 * 2
    for spec in specs:
        assert spec.batch_size in paper.TABLE_1[spec.dropout[0]]
        assert spec.steps * spec.batch_size == 320_000
        assert (spec.hidden, spec.recipe, spec.noise) == ((100, 100, 100), "paper", "bernoulli")
    printed = {16: 20_000, 32: 10_000, 64: 5_000, 128: 2_500, 256: 1_250, 512: 625}
    assert {spec.batch_size: spec.steps for spec in specs} == printed


def test_a_group_is_one_batch_size_and_five_seeds_with_and_without_dropout():
    groups = table1.EXPERIMENT.groups(Settings(seeds=7))
    assert sorted(map(len, groups)) == [4] * 6 + [10] * 6
    for group in groups:
        assert len({spec.batch_size for spec in group}) == 1
        assert len({spec.seed // 5 for spec in group}) == 1
        assert {spec.seed for spec in group if spec.dropout[0]} == {spec.seed for spec in group if not spec.dropout[0]}


def test_nets_of_one_seed_start_alike_and_see_the_same_images_whatever_their_batch():
    specs = [spec for spec in table1.EXPERIMENT.specs(Settings(seeds=2)) if spec.seed == 1]
    other = next(spec for spec in table1.EXPERIMENT.specs(Settings(seeds=2)) if spec.seed == 0)
    first = None
    for spec in specs:
        stream = stack.batches(spec)
        seen = torch.cat([next(stream) for _ in range(2_048 // spec.batch_size)])
        weights = stack.initial_weights(spec)
        if first is None:
            first = seen, weights
            continue
        assert torch.equal(seen, first[0])
        assert all(torch.equal(a, b) for a, b in zip(weights, first[1], strict=True))
    assert not torch.equal(next(stack.batches(other)), first[0][: other.batch_size])


def test_rounding_of_a_stack_does_not_mix_rows(images):
    # Two networks measured together give the rows that each gives alone.
    networks = [random_network(RunSpec(dropout=(0.4,) * 3, seed=seed)) for seed in (8, 9)]
    together = table1.EXPERIMENT.measure(networks, images, Settings(quick=True))
    alone = [table1.EXPERIMENT.measure([network], images, Settings(quick=True)) for network in networks]
    assert np.array_equal(together["cross_entropy"], np.concatenate([rows["cross_entropy"] for rows in alone]))
