"""One image under masks: against exact values of small networks; ready-made images; bins of confidence."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from dropclust.core import metrics, uncertainty
from dropclust.core.network import Network
from dropclust.core.prediction import sample, scaled_logits
from dropclust.core.spec import RunSpec
from dropclust.core.uncertainty import MIXES, Reading, calibration, mixed, read_images
from dropclust.experiments import table2
from dropclust.service.store import Store

ROOT = Path(__file__).resolve().parents[2]
IMAGE = np.random.default_rng(0).random(784).astype(np.float32)


def small(hidden=(4, 3), seed=0, spec=None, gain=3.0) -> Network:
    rng = np.random.default_rng(seed)
    widths = [784, *hidden, 10]
    weights = [
        torch.from_numpy((gain * rng.normal(size=pair) / math.sqrt(pair[0])).astype(np.float32))
        for pair in itertools.pairwise(widths)
    ]
    return Network(weights, [torch.from_numpy(rng.normal(size=n).astype(np.float32)) for n in widths[1:]], spec)


def every_mask(network: Network, image: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a network under each of its Bernoulli masks, float64 ``[masks, 10]``, and the masks' chances."""
    weights = [weight.double().numpy() for weight in network.weights]
    biases = [bias.double().numpy() for bias in network.biases]
    outputs, chances = [], []
    for kept in itertools.product((0, 1), repeat=sum(network.hidden)):
        x, left = image.astype(np.float64), list(kept)
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            mask, left = np.array(left[: len(bias)]), left[len(bias) :]
            x = np.maximum(x @ weight + bias, 0) * mask / (1 - rate)
        logits = x @ weights[-1] + biases[-1]
        outputs.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
        chances.append((1 - rate) ** sum(kept) * rate ** (len(kept) - sum(kept)))
    return np.array(outputs), np.array(chances)


def read(network: Network, image, *arguments, **named) -> Reading:
    [reading] = read_images(network, [image], *arguments, **named)
    return reading


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(-1)


@pytest.mark.parametrize("seed", range(3))
def test_a_reading_tends_to_what_all_masks_together_say(seed):
    network, n = small(seed=seed), 5_000
    probabilities, chances = every_mask(network, IMAGE, 0.5)
    info = read(network, IMAGE, n, 0.5, seed=seed)

    def error(values: np.ndarray) -> np.ndarray:
        """Four standard errors of a mean over n masks."""
        mean = chances @ values
        return 4 * np.sqrt(chances @ (values - mean) ** 2 / n) + 1e-6

    votes = np.eye(10)[probabilities.argmax(1)]
    assert (abs(np.array(info.mean) - chances @ probabilities) <= error(probabilities)).all()
    assert (abs(np.array(info.votes) - chances @ votes) <= error(votes)).all()
    geometric = np.exp(chances @ np.log(probabilities))
    np.testing.assert_allclose(info.geometric, geometric / geometric.sum(), atol=0.02)
    np.testing.assert_allclose(info.votes_error, np.sqrt(np.array(info.votes) * (1 - np.array(info.votes)) / n), rtol=1e-6)
    total, within = entropy(chances @ probabilities), chances @ entropy(probabilities)
    assert info.entropy == pytest.approx(total, abs=0.02)
    assert info.mutual_information == pytest.approx(total - within, abs=0.02)
    assert info.scaled == pytest.approx(scaled_logits(network, torch.from_numpy(IMAGE)[None]).softmax(1)[0].tolist())
    assert info.n_samples == n


def test_a_reading_is_what_core_says_of_the_image_with_the_networks_own_rates_and_noise():
    network = small((5, 4, 3), spec=RunSpec(hidden=(5, 4, 3), dropout=(0.2, 0.0, 0.6), noise="gaussian"))
    x = torch.from_numpy(IMAGE)[None]
    sampled = sample(network, x, 150, 7)
    info = read(network, IMAGE, 150, seed=7)
    assert info.votes == pytest.approx(sampled.votes[0].tolist())
    assert info.mean == pytest.approx(sampled.mean_probs[0].tolist())
    assert info.geometric == pytest.approx(sampled.log_probs.exp()[0].tolist())
    assert info.entropy == pytest.approx(float(metrics.predictive_entropy(sampled.mean_probs)))
    assert info.mutual_information == pytest.approx(float(metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy)))
    assert info.votes != read(network, IMAGE, 150, seed=8).votes
    assert info.votes != read(network, IMAGE, 150, 0.5, seed=7).votes
    plain = Network(network.weights, network.biases, RunSpec(hidden=(5, 4, 3), dropout=(0.2, 0.0, 0.6)))
    assert info.votes != read(plain, IMAGE, 150, seed=7).votes


def test_images_are_read_by_the_same_masks_as_one():
    network = small()
    images = [mixed(IMAGE, IMAGE[::-1], share) for share in MIXES]
    for image, reading in zip(images, read_images(network, images, 30, 0.5, seed=3), strict=True):
        one = read(network, image, 30, 0.5, seed=3)
        assert reading.votes == one.votes
        assert reading.scaled == pytest.approx(one.scaled, abs=1e-6)
        assert reading.mutual_information == pytest.approx(one.mutual_information, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"image": None}, "image must be 784 numbers from 0 to 1; got an empty canvas"),
        ({"image": np.zeros(783)}, r"image must be 784 numbers from 0 to 1; got an array \[783\] or other numbers"),
        ({"image": np.full(784, np.nan)}, "image must be 784 numbers from 0 to 1"),
        ({"image": np.full(784, 1.1)}, "image must be 784 numbers from 0 to 1"),
        ({"image": ["a"] * 784}, "image must be 784 numbers from 0 to 1"),
        ({"image": [[0.0], [1.0, 2.0]]}, "image must be 784 numbers from 0 to 1"),
        ({"image": np.zeros((2, 784))}, r"image must be 784 numbers from 0 to 1; got an array \[2, 784\]"),
        ({"n_samples": 0}, "n_samples must be a whole number from 1 to 100,000; got 0"),
        ({"n_samples": 1_000_000}, "n_samples must be a whole number from 1 to 100,000; got 1000000"),
        ({"dropout": 1}, "dropout must be one rate from 0 to 0.95 or 2 of them"),
        ({"dropout": None}, "dropout must be given for a network that does not know the rates"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_input_costs_one_sentence(arguments, said):
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        read(small(), **{"image": IMAGE, "n_samples": 5, "dropout": 0.5, **arguments})
    assert "\n" not in str(caught.value)


# ---- ready-made images


@pytest.fixture(scope="module")
def stored():
    found = Store(ROOT / "cache" / "runs").get(table2.shown_spec(0.4).key)
    assert found is not None
    return found


class Few:
    """The first test images, as much of MNIST as these functions look at."""

    def __init__(self, data, n):
        self.test_x, self.test_y = data.test_x[:n], data.test_y[:n]


def test_hard_images_are_those_of_greatest_mutual_information(stored, data):
    few, network = Few(data, 100), stored.network()
    found = uncertainty.hard_images(network, few, 5)
    disagreement = [
        read(network, few.test_x[i].numpy(), uncertainty.HARD_MASKS).mutual_information for i in range(len(few.test_x))
    ]
    assert list(found) == sorted(range(100), key=lambda i: -disagreement[i])[:5]
    assert disagreement[found[0]] > 0.3 > np.median(disagreement)
    assert uncertainty.hard_images(network, few, 5, dropout=0.1) != found


def test_a_typical_image_is_nearest_to_its_classs_mean(data):
    few = Few(data, 500)
    x, y = few.test_x.double().numpy(), few.test_y.numpy()
    for number, index in enumerate(uncertainty.typical_images(few)):
        distances = {i: np.linalg.norm(x[i] - x[y == number].mean(0)) for i in np.flatnonzero(y == number)}
        assert index == min(distances, key=distances.get)


def test_a_mixed_image_lies_on_the_way_pixel_by_pixel():
    other = IMAGE[::-1].copy()
    np.testing.assert_allclose(mixed(IMAGE, other, 0.25), 0.75 * IMAGE + 0.25 * other, atol=1e-6)
    assert mixed(IMAGE, other, 0.0).tolist() == IMAGE.tolist()


# ---- confidence against accuracy


def test_bins_hold_what_was_planted_with_wilsons_interval():
    """Ten images at confidence 0.95, nine of them right."""
    probs = torch.full((10, 10), 0.05 / 9)
    probs[:, 0] = 0.95
    y = torch.tensor([0] * 9 + [1])
    diagram = calibration({"scaled": probs, "sure": torch.eye(10)[y]}, y)
    first, second = diagram.bins
    assert (diagram.of("scaled"), diagram.of("sure"), diagram.images) == ((first,), (second,), 10)
    assert first.low < first.confidence <= first.high == 1.0
    assert (first.images, first.accuracy.mean, second.accuracy.mean) == (10, 0.9, 1.0)
    wilson = stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert (first.accuracy.low, first.accuracy.high) == pytest.approx((wilson.low, wilson.high))
    assert diagram.errors["scaled"] == pytest.approx(metrics.expected_calibration_error(probs, y))
    assert diagram.errors["sure"] == 0.0
