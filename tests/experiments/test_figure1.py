"""Figure 1 against a naive measurement, mask by mask in plain numpy, and a network whose every prediction is known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.noise import generator, multiplier
from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments import figure1
from dropclust.experiments.experiment import Settings

QUICK = Settings(quick=True)


@pytest.fixture(scope="module")
def images() -> Data:
    x, y = torch.rand(90, 784, generator=torch.Generator().manual_seed(1)), torch.arange(90) % 10
    return Data(x[:40], y[:40], x[:40], y[:40], x, y)


def random_network(spec: RunSpec, made_by: RunSpec | None = None) -> Network:
    """Narrow layers of a spec's seed, large enough that masks disagree; ``made_by`` is the spec it has, if another."""
    rng = np.random.default_rng(spec.seed)
    widths = (784, 12, 9, 7, 10)
    arrays = [rng.normal(size=shape) * 2 / math.sqrt(shape[0]) for shape in pairwise(widths)]
    biases = [rng.normal(size=width) for width in widths[1:]]
    return Network(*([torch.tensor(a, dtype=torch.float32) for a in part] for part in (arrays, biases)), made_by or spec)


def naive_logits(network: Network, x: torch.Tensor, samples: int, seed: int = 0) -> np.ndarray:
    """Logits ``[samples, n, 10]`` in float64, every mask a full pass of its own; one pass without noise for 0 samples."""
    spec = network.spec
    assert spec is not None
    weights, biases = ([t.double().numpy() for t in part] for part in (network.weights, network.biases))
    streams = [generator(seed, "sample", layer) for layer in (1, 2, 3)]
    passes = []
    for _ in range(samples or 1):
        a = x.double().numpy()
        for layer in range(4):
            weight = weights[layer]
            if layer and samples and spec.dropout[layer - 1]:
                rate = torch.tensor(spec.dropout[layer - 1])
                if spec.noise == "dropconnect":
                    weight = weight * multiplier(spec.noise, weight.shape, rate, streams[layer - 1]).double().numpy()
                else:
                    a = a * multiplier(spec.noise, weight.shape[:1], rate, streams[layer - 1]).double().numpy()
            a = a @ weight + biases[layer]
            if layer < 3:
                a = np.maximum(a, 0)
        passes.append(a)
    return np.stack(passes)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def scores(log_p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy, cross-entropy, Brier score and expected calibration error, image by image."""
    p = np.exp(log_p)
    brier, bins = 0.0, {}
    for row, label in zip(p, y, strict=True):
        brier += sum((value - (of == label)) ** 2 for of, value in enumerate(row)) / len(y)
        bins.setdefault(math.ceil(row.max() * 15), []).append((row.max(), row.argmax() == label))
    gaps = (len(b) / len(y) * abs(np.mean([c for c, _ in b]) - np.mean([right for _, right in b])) for b in bins.values())
    return {
        "accuracy": float((p.argmax(1) == y).mean()),
        "cross_entropy": float(-log_p[np.arange(len(y)), y].mean()),
        "brier": brier,
        "calibration_error": sum(gaps),
    }


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("settings", [QUICK, Settings()], ids=["quick", "full"])
def test_every_column_is_what_naive_masks_give(images, noise, settings):
    network = random_network(RunSpec(dropout=(0.3, 0.5, 0.2), noise=noise, seed=3))
    rows = figure1.EXPERIMENT.measure([network], images, settings).set_index("prediction")
    y, samples = images.test_y.numpy(), 20 if settings.quick else 100
    masks = naive_logits(network, images.test_x, samples)
    geometric = log_softmax(log_softmax(masks).mean(0))
    assert rows.loc["train", "accuracy"] == pytest.approx((masks.argmax(2) == y).mean(), abs=1e-6)
    assert rows.loc["train", ["cross_entropy", "brier", "calibration_error"]].isna().all()
    for prediction, log_p in (("scaled", log_softmax(naive_logits(network, images.test_x, 0)[0])), ("sampled", geometric)):
        for column, value in scores(log_p, y).items():
            assert rows.loc[prediction, column] == pytest.approx(value, rel=1e-4, abs=1e-6), (prediction, column)
    assert set(rows["noise"]) == {noise}
    assert set(rows["seed"]) == {3}
    assert set(rows["dropout"]) == {0.3}


def test_without_dropout_all_predictions_agree_and_every_noise_has_a_row(images):
    rows = figure1.EXPERIMENT.measure([random_network(RunSpec(dropout=(0, 0, 0), seed=5))], images, QUICK)
    assert sorted(zip(rows["noise"], rows["prediction"], strict=True)) == sorted(
        (noise, prediction) for noise in NOISES for prediction in ("train", "scaled", "sampled")
    )
    assert np.ptp(rows["accuracy"]) < 1e-6
    for column in ("cross_entropy", "brier", "calibration_error"):
        assert np.ptp(rows[column].dropna()) < 1e-6
        assert rows[column].notna().sum() == 6


def test_one_kept_neuron_decides_as_often_as_it_is_kept(images):
    # Each layer has one neuron of activation 1, from its bias alone, so that only the third layer's mask matters. Its neuron
    # gives class 1 a logit of 4, and class 0 has 2 without it: a mask is right on an image of class 1 exactly when it keeps
    # the neuron, at rate 0.4 in 60 % of all masks. Scaled, class 1 wins by 2; sampled, a mask's logit is 4 / 0.6 or 0.
    rate, samples = 0.4, 100
    shapes = ((784, 1), (1, 1), (1, 1), (1, 10))
    weights = [torch.zeros(shape) for shape in shapes]
    biases = [torch.ones(1), torch.ones(1), torch.ones(1), torch.zeros(10)]
    weights[3][0, 1], biases[3][0] = 4.0, 2.0
    network = Network(weights, biases, RunSpec(dropout=(rate,) * 3))
    ones = torch.ones(90, dtype=torch.int64)
    data = Data(images.train_x, images.train_y, images.held_x, images.held_y, images.test_x, ones)
    rows = figure1.EXPERIMENT.measure([network], data, Settings()).set_index("prediction")
    kept = rows.loc["train", "accuracy"]
    assert abs(kept - 0.6) < 4 * math.sqrt(0.6 * 0.4 / samples)
    assert kept * samples == pytest.approx(round(kept * samples), abs=1e-3)  # one mask is right on all images or on none
    assert rows.loc["scaled", "accuracy"] == rows.loc["sampled", "accuracy"] == 1.0
    assert rows.loc["scaled", "cross_entropy"] == pytest.approx(math.log(math.exp(4) + math.exp(2) + 8) - 4, rel=1e-5)
    logit = kept * 4 / 0.6
    expected = math.log(math.exp(logit) + math.exp(2) + 8) - logit
    assert rows.loc["sampled", "cross_entropy"] == pytest.approx(expected, rel=1e-4)


def test_the_grid_has_every_rate_and_noise_once():
    specs = figure1.EXPERIMENT.specs(Settings("paper", 2))
    assert len(specs) == 2 * (1 + 8 * 3)
    assert {(s.dropout[0], s.noise) for s in specs if s.seed == 1} == {(0.0, "bernoulli")} | {
        (round(rate / 10, 1), noise) for rate in range(1, 9) for noise in NOISES
    }
    assert all(len(set(s.dropout)) == 1 and s.recipe == "paper" and s.hidden == (100, 100, 100) for s in specs)
    assert [len(group) for group in figure1.EXPERIMENT.groups(Settings(seeds=2))] == [25, 25]
