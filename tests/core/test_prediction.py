"""Scaling and sampling against plain loops, enumeration of every mask, and closed forms."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from dropclust.core import metrics, prediction
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.noise import generator, multiplier, quantised
from dropclust.core.prediction import Sampled, evaluate, hidden_activations, mstd, sample, scaled_logits
from dropclust.core.spec import NOISES, RunSpec
from dropclust.core.training import train
from tests.core.reference import noisy_logits, random_network

FIELDS = ("log_probs", "mean_probs", "logit_mean", "logit_std", "votes", "mean_entropy")
SUBSETS = [noisy for noisy in product([False, True], repeat=3) if any(noisy)]


@pytest.fixture(scope="module")
def trained() -> Network:
    """Trained briefly, with dropout everywhere."""
    return train(RunSpec(examples=128 * 300, seed=1))[0]


@pytest.fixture(scope="module")
def images(data: Data) -> Tensor:
    return data.test_x[:60]


def doubles(network: Network) -> tuple[list[Tensor], list[Tensor]]:
    return [weight.double() for weight in network.weights], [bias.double() for bias in network.biases]


def naive_logits(network: Network, x: Tensor, kind: str, rates: Sequence[float], n: int, seed: int) -> Tensor:
    """Logits ``[n, images, 10]``, float64: n forward passes of the whole network, each with masks laid out in full."""
    streams = [generator(seed, "sample", layer) for layer in range(1, len(rates) + 1)]
    passes = []
    for _ in range(n):
        noise: list[Tensor | None] = []
        for rate, stream, weight in zip(rates, streams, network.weights[1:], strict=True):
            shape = weight.shape if kind == "dropconnect" else weight.shape[:1]
            noise.append(multiplier(kind, shape, torch.tensor(rate), stream).double() if rate > 0 else None)
        passes.append(noisy_logits(*doubles(network), x.double(), kind, noise))
    return torch.stack(passes)


def statistics(logits: Tensor, weight: Tensor | None = None) -> Sampled:
    """All that `Sampled` holds, from logits ``[n, images, 10]``, by definition; with weights, over a whole distribution."""
    n = len(logits)
    weight = torch.full((n,), 1 / n, dtype=torch.float64) if weight is None else weight
    log_p = logits.log_softmax(2)

    def mean(values: Tensor) -> Tensor:
        return torch.einsum("n,n...->...", weight, values)

    geometric = mean(log_p).exp()
    largest = (logits == logits.amax(2, keepdim=True)).double()
    variance = mean(logits.square()) - mean(logits).square() if n == 1 else mean((logits - mean(logits)).square())
    std = (variance * n / (n - 1)).sqrt() if n > 1 else torch.full_like(variance, math.nan)
    return Sampled(
        log_probs=(geometric / geometric.sum(1, keepdim=True)).log(),
        mean_probs=mean(log_p.exp()),
        logit_mean=mean(logits),
        logit_std=std,
        votes=mean(largest / largest.sum(2, keepdim=True)),
        mean_entropy=mean(-(log_p.exp() * log_p).sum(2)),
        n_samples=n,
    )


def assert_same(got: Sampled, expected: Sampled, scale: float = 1.0) -> None:
    assert got.n_samples == expected.n_samples
    for field in FIELDS:
        a, b = getattr(got, field), getattr(expected, field)
        assert a.dtype == torch.float32
        # A sum of squares about another point than the mean: float32 leaves 3e-4 of the deviation from it in a small root.
        atol = scale * (1e-4 if field == "logit_std" else 2e-5)
        torch.testing.assert_close(a.double(), b.double(), rtol=1e-4, atol=atol, equal_nan=True, msg=f"{field} differs")


# -- scaled -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(9,), (20, 16, 12), (5, 4, 3, 2, 3, 4)], ids=str)
def test_the_scaled_network_is_the_plain_forward_pass(hidden: tuple[int, ...], data: Data) -> None:
    network, x = random_network(hidden), data.test_x[:2_500]  # more than a block of images
    expected = noisy_logits(*doubles(network), x.double(), "bernoulli", [None] * len(hidden))
    torch.testing.assert_close(scaled_logits(network, x).double(), expected, rtol=1e-4, atol=1e-5)
    activation = x.double()
    for got, weight, bias in zip(hidden_activations(network, x), *doubles(network), strict=False):
        activation = torch.relu(activation @ weight + bias)
        torch.testing.assert_close(got.double(), activation, rtol=1e-4, atol=1e-5)
    assert len(hidden_activations(network, x)) == len(hidden)


def test_evaluation_is_of_the_scaled_network_on_both_parts(trained: Network, data: Data) -> None:
    measured = evaluate(trained, data)
    losses = {"test_accuracy", "test_cross_entropy", "held_out_accuracy", "held_out_cross_entropy"}
    assert set(measured) == losses | {"dead_1", "dead_2", "dead_3"}
    logits = noisy_logits(trained.weights, trained.biases, data.test_x, "bernoulli", [None] * 3)
    assert measured["test_accuracy"] == pytest.approx(float((logits.argmax(1) == data.test_y).float().mean()), abs=2e-4)
    assert measured["held_out_cross_entropy"] == pytest.approx(
        metrics.cross_entropy(scaled_logits(trained, data.held_x), data.held_y)
    )
    biases = [bias.clone() for bias in trained.biases]
    biases[1][:] = -1e6
    biases[1][:93] = 1e6  # seven units of layer 2 that nothing wakes
    assert evaluate(Network(trained.weights, biases), data)["dead_2"] == 7


# -- sampled, against a plain loop with the same masks -------------------------------------------------------------------


@pytest.mark.parametrize(
    "noisy", SUBSETS, ids=lambda noisy: "layers " + "".join("123"[layer] for layer in range(3) if noisy[layer])
)
@pytest.mark.parametrize("kind", list(NOISES))
def test_sampling_is_a_plain_loop_over_masks(kind: str, noisy: tuple[bool, ...], images: Tensor) -> None:
    network = random_network((20, 16, 12), seed=2)
    rates = [rate * on for rate, on in zip((0.3, 0.5, 0.4), noisy, strict=True)]
    logits = naive_logits(network, images, kind, rates, 37, seed=11)
    for n in (1, 2, 8, 9, 37):  # the first k of n masks are those of a call with k
        assert_same(sample(network, images, n, seed=11, dropout=rates, noise=kind), statistics(logits[:n]))


@pytest.mark.parametrize("hidden", [(7,), (6, 5), (5, 4, 3, 4, 5, 6)], ids=str)
@pytest.mark.parametrize("kind", list(NOISES))
def test_networks_of_other_depths_are_sampled_too(kind: str, hidden: tuple[int, ...], images: Tensor) -> None:
    network, rates = random_network(hidden, seed=3), [0.4] * len(hidden)
    expected = statistics(naive_logits(network, images, kind, rates, 20, seed=0))
    assert_same(sample(network, images, 20, dropout=0.4, noise=kind), expected)


@pytest.mark.parametrize("kind", list(NOISES))
def test_masks_that_drop_a_whole_layer_leave_its_biases(kind: str, images: Tensor) -> None:
    network, rates = random_network((3, 2, 1), seed=4), [0.95, 0.95, 0.95]
    expected = statistics(naive_logits(network, images, kind, rates, 50, seed=0))
    assert_same(sample(network, images, 50, dropout=rates, noise=kind), expected, scale=10)


def test_a_trained_network_is_sampled_with_its_own_noise_and_rates(images: Tensor) -> None:
    spec = RunSpec(hidden=(20, 16, 12), dropout=(0.2, 0.0, 0.6), noise="gaussian")
    bare = random_network((20, 16, 12))
    own = sample(Network(bare.weights, bare.biases, spec), images, 10)
    assert_same(own, sample(bare, images, 10, dropout=spec.dropout, noise="gaussian"))
    assert not torch.equal(own.logit_mean, sample(bare, images, 10, dropout=spec.dropout).logit_mean)
    other = sample(Network(bare.weights, bare.biases, spec), images, 10, dropout=0.5, noise="bernoulli")
    assert_same(other, sample(bare, images, 10, dropout=[0.5] * 3))


def test_the_seed_decides_the_masks(images: Tensor) -> None:
    network = random_network((20, 16, 12))
    first, again, other = (sample(network, images, 5, seed=seed, dropout=0.4) for seed in (0, 0, 1))
    for field in FIELDS:
        assert torch.equal(getattr(first, field), getattr(again, field))
        assert not torch.equal(getattr(first, field), getattr(other, field))


@pytest.mark.parametrize(("masks", "block"), [(1, 1), (3, 7), (64, 60), (5, 2_000)])
def test_the_sizes_of_blocks_change_nothing(masks: int, block: int, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network((20, 16, 12))
    expected = sample(network, images, 21, dropout=0.4)
    monkeypatch.setattr(prediction, "_MASKS", masks)
    monkeypatch.setattr(prediction, "_IMAGES", block)
    assert_same(sample(network, images, 21, dropout=0.4), expected)


def test_an_image_is_predicted_as_it_would_be_alone(images: Tensor) -> None:
    network = random_network((20, 16, 12))
    together, alone = (sample(network, x, 21, dropout=0.4) for x in (images, images[17:18]))
    for field in FIELDS:
        torch.testing.assert_close(getattr(together, field)[17:18], getattr(alone, field), rtol=1e-4, atol=1e-5)


# -- sampled, against the exact distribution -------------------------------------------------------------------------------


def enumerated(network: Network, x: Tensor, kind: str, rates: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Logits ``[masks, images, 10]`` of every mask there is, and the probability of each mask."""
    quantised_rates = [float(quantised(torch.tensor(rate))) for rate in rates]
    shapes = [weight.shape if kind == "dropconnect" else weight.shape[:1] for weight in network.weights[1:]]
    sizes = [math.prod(shape) if rate > 0 else 0 for shape, rate in zip(shapes, rates, strict=True)]
    logits, chances = [], []
    for bits in product([0.0, 1.0], repeat=sum(sizes)):
        noise: list[Tensor | None] = []
        chance, left = 1.0, torch.tensor(bits, dtype=torch.float64)
        for shape, size, rate in zip(shapes, sizes, quantised_rates, strict=True):
            kept, left = left[:size], left[size:]
            noise.append(kept.view(shape) / (1 - rate) if size else None)
            chance *= rate ** int(size - kept.sum()) * (1 - rate) ** int(kept.sum())
        logits.append(noisy_logits(*doubles(network), x.double(), kind, noise))
        chances.append(chance)
    return torch.stack(logits), torch.tensor(chances, dtype=torch.float64)


@pytest.mark.parametrize(
    ("kind", "hidden", "rates"),
    [
        ("bernoulli", (4, 3, 3), (0.5, 0.3, 0.4)),
        ("bernoulli", (10, 5, 4), (0.4, 0.0, 0.0)),
        ("bernoulli", (3, 10, 3), (0.0, 0.6, 0.0)),
        ("dropconnect", (3, 2, 2), (0.5, 0.3, 0.0)),  # 6 weights and 4
        ("dropconnect", (3, 3, 1), (0.0, 0.0, 0.4)),  # 10 weights
    ],
)
def test_sampling_tends_to_the_mean_over_every_mask(
    kind: str, hidden: tuple[int, ...], rates: tuple[float, ...], images: Tensor
) -> None:
    """All 2^10 masks; 4,000 are drawn; means, votes and variances lie within 4 standard errors."""
    network, x, n = random_network(hidden, seed=6), images[:5], 4_000
    logits, chance = enumerated(network, x, kind, rates)
    assert len(logits) == 2**10
    assert float(chance.sum()) == pytest.approx(1, abs=1e-12)
    got = sample(network, x, n, seed=0, dropout=rates, noise=kind)
    log_p = logits.log_softmax(2)
    largest = (logits == logits.amax(2, keepdim=True)).double()
    largest /= largest.sum(2, keepdim=True)

    def within(values: Tensor, estimate: Tensor) -> None:
        mean = torch.einsum("n,n...->...", chance, values)
        error = (torch.einsum("n,n...->...", chance, (values - mean).square()) / n).sqrt()
        assert float(((estimate.double() - mean).abs() - 4 * error).max()) < 1e-5
        assert float(error.max()) > 1e-4  # there was something to estimate

    within(logits, got.logit_mean)
    within(log_p.exp(), got.mean_probs)
    within(largest, got.votes)
    within(-(log_p.exp() * log_p).sum(2), got.mean_entropy)
    mean = torch.einsum("n,n...->...", chance, logits)
    within((logits - mean).square(), got.logit_std.square() * (n - 1) / n + (got.logit_mean - mean).square())
    # The renormalised geometric mean: of log p, differences between classes are estimated as means are.
    within(log_p - log_p[:, :, :1], got.log_probs - got.log_probs[:, :1])
    torch.testing.assert_close(got.log_probs.exp().sum(1), torch.ones(5))


def closed_form(network: Network, x: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Mean ``[n, 10]`` and covariance ``[n, 10, 10]`` of the logits under dropout on the last hidden layer only.

    E = V a + c and Cov = p / (1 - p) sum_i V_i V_i' a_i^2, V the weights leaving the layer, a its activations.
    """
    p = float(quantised(torch.tensor(rate)))
    activation = hidden_activations(network, x)[-1].double()
    weight, bias = network.weights[-1].double(), network.biases[-1].double()
    return activation @ weight + bias, p / (1 - p) * torch.einsum("ij,ik,ni->njk", weight, weight, activation.square())


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_noise_on_the_last_layer_has_its_closed_form(kind: str, trained: Network, images: Tensor) -> None:
    """The covariance shows as the variance of logits of the same network with its outputs rotated."""
    n, rate = 2_000, 0.5
    rotation = torch.from_numpy(stats.ortho_group.rvs(10, random_state=0))
    turned = Network(
        [*trained.weights[:-1], (trained.weights[-1].double() @ rotation).float()],
        [*trained.biases[:-1], (trained.biases[-1].double() @ rotation).float()],
    )
    for network, turn in ((trained, torch.eye(10, dtype=torch.float64)), (turned, rotation)):
        mean, covariance = closed_form(trained, images, rate)
        mean, variance = mean @ turn, torch.einsum("njk,ja,ka->na", covariance, turn, turn)
        got = sample(network, images, n, dropout=[0, 0, rate], noise=kind)
        assert float(((got.logit_mean - mean).abs() / (variance / n).sqrt()).max()) < 4
        # A sum over a hundred units is nearly normal, so its sample variance strays by sqrt(2 / n).
        assert float((got.logit_std.square() / variance - 1).abs().max()) < 4.5 * math.sqrt(2 / n)  # 600 of them


def test_mstd_has_its_closed_form_on_the_last_layer(trained: Network, data: Data) -> None:
    x = data.test_x[:500]
    _, covariance = closed_form(trained, x, 0.5)
    exact = float(covariance.diagonal(dim1=1, dim2=2).sqrt().mean())
    assert mstd(trained, x, 2_000, dropout=[0, 0, 0.5]) == pytest.approx(exact, rel=0.01)


def test_mstd_is_the_mean_of_the_standard_deviations(images: Tensor) -> None:
    network = random_network((20, 16, 12))
    logits = naive_logits(network, images, "bernoulli", [0.4] * 3, 30, seed=5)
    assert mstd(network, images, 30, seed=5, dropout=0.4) == pytest.approx(float(logits.std(0, correction=1).mean()), rel=1e-4)


def test_the_geometric_mean_is_the_softmax_of_the_mean_logits(trained: Network, images: Tensor) -> None:
    """Log softmax differs from the logits by a number that all classes share, and renormalising removes it."""
    for kind in NOISES:
        got = sample(trained, images, 50, noise=kind)
        torch.testing.assert_close(got.log_probs, got.logit_mean.log_softmax(1), rtol=1e-4, atol=1e-4)
        assert float((got.mean_probs - got.log_probs.exp()).abs().max()) > 0.01  # the arithmetic mean is another


def test_with_the_last_layer_dropped_sampling_tends_to_scaling_as_one_over_root_n(trained: Network, images: Tensor) -> None:
    scaled = scaled_logits(trained, images).softmax(1)
    counts = (50, 200, 800, 3_200)
    gaps = [
        np.mean(
            [float((sample(trained, images, n, seed, [0, 0, 0.5]).log_probs.exp() - scaled).abs().max()) for seed in range(4)]
        )
        for n in counts
    ]
    slope = float(np.polyfit(np.log(counts), np.log(gaps), 1)[0])
    assert -0.65 < slope < -0.35
    assert gaps[-1] < 0.03
    noisy_everywhere = sample(trained, images, 3_200, 0, 0.5).log_probs.exp()
    assert float((noisy_everywhere - scaled).abs().max()) > 3 * gaps[-1]  # with lower layers dropped a gap remains


# -- the edges ----------------------------------------------------------------------------------------------------------


def test_probabilities_and_votes_sum_to_one(trained: Network, data: Data) -> None:
    got = sample(trained, data.test_x[:300], 33)
    ones = torch.ones(300)
    for shares in (got.votes, got.mean_probs, got.log_probs.exp()):
        assert shares.shape == (300, 10)
        torch.testing.assert_close(shares.sum(1), ones, rtol=1e-5, atol=1e-5)
        assert float(shares.min()) >= 0
    assert bool((got.logit_std > 0).all())
    assert bool(((got.mean_entropy >= 0) & (got.mean_entropy <= math.log(10) + 1e-5)).all())


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_tied_vote_is_shared(rate: float, images: Tensor) -> None:
    bare = random_network((8, 8, 8))
    weight, bias = bare.weights[-1].clone(), bare.biases[-1].clone()
    weight[:, 7], bias[7] = weight[:, 3], bias[3]
    twins = sample(Network([*bare.weights[:-1], weight], [*bare.biases[:-1], bias]), images, 40, dropout=rate).votes
    assert torch.equal(twins[:, 3], twins[:, 7])
    assert float(twins[:, 3].max()) > 0
    flat = Network([*bare.weights[:-1], torch.zeros(8, 10)], [*bare.biases[:-1], torch.zeros(10)])
    torch.testing.assert_close(sample(flat, images, 40, dropout=rate).votes, torch.full((60, 10), 0.1))


def test_one_sample_is_one_network(images: Tensor) -> None:
    network = random_network((20, 16, 12))
    got = sample(network, images, 1, dropout=0.4)
    assert bool(got.logit_std.isnan().all())
    assert set(got.votes.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(got.log_probs, got.mean_probs.log(), rtol=1e-4, atol=1e-5)
    assert bool(sample(network, images, 1, dropout=0.0).logit_std.isnan().all())


@pytest.mark.parametrize("kind", list(NOISES))
def test_without_any_rate_every_sample_is_the_scaled_network(kind: str, images: Tensor) -> None:
    network = random_network((20, 16, 12))
    logits = scaled_logits(network, images).double()
    assert_same(sample(network, images, 5, dropout=0, noise=kind), statistics(logits.expand(5, -1, -1)))
    assert mstd(network, images, 5, dropout=0.0) == 0.0


def test_results_can_be_changed_in_place_and_enter_a_gradient(images: Tensor) -> None:
    network = random_network((5, 4, 3))
    for rate in (0.0, 0.4):
        got = sample(network, images, 3, dropout=rate)
        got.log_probs.exp_()
        scale = torch.ones(1, requires_grad=True)
        (got.logit_mean * scale).sum().backward()
        assert scale.grad is not None


def test_images_and_network_are_left_as_they_were(images: Tensor) -> None:
    network = random_network((20, 16, 12))
    before = [tensor.clone() for tensor in (images, *network.weights, *network.biases)]
    for kind in NOISES:
        sample(network, images, 9, dropout=0.4, noise=kind)
    scaled_logits(network, images)
    assert all(torch.equal(a, b) for a, b in zip(before, (images, *network.weights, *network.biases), strict=True))


RATES = "dropout must be one rate from 0 to 0.95 or 3 of them, one a hidden layer; got {}"
MASKS = "n_samples must be a whole number from 1 to 100,000; got {}"
SEED = "seed must be a whole number from 0 to 2,147,483,647; got {}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        *(({"n_samples": n}, MASKS.format(repr(n))) for n in (0, -1, 10**6, 2.5, 200.0, "200", None)),
        *(({"seed": seed}, SEED.format(seed)) for seed in (-1, 2**31, 0.5, None, True)),
        *(({"dropout": rate}, RATES.format(rate)) for rate in (1, 1.0, -0.1, 0.96, float("nan"), float("inf"), True)),
        *(({"dropout": rates}, RATES.format(rates)) for rates in ([], [0.5], [0.5] * 4, (0.4, 0.4, 1.0), [0.4, None, 0.4])),
        ({"dropout": "0.4"}, RATES.format("'0.4'")),
        ({"dropout": None}, "dropout must be given for a network that does not know the rates it was trained with; got None"),
        *(({"noise": noise}, f"noise must be one of {', '.join(NOISES)}; got {noise!r}") for noise in ("uniform", "", [])),
        ({"x": torch.zeros(2, 28, 28)}, "x must be float32 images [n, 784], one or more; got torch.float32 [2, 28, 28]"),
        ({"x": torch.zeros(0, 784)}, "x must be float32 images [n, 784], one or more; got torch.float32 [0, 784]"),
        ({"x": torch.zeros(1, 784).log() * 0}, "x must hold pixels from 0 to 1; got values from nan to nan"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:12] + value[-25:],
)  # fmt: skip
def test_a_bad_argument_is_refused_in_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    network = random_network((5, 4, 3))
    for function in (sample, mstd):
        with pytest.raises(ValueError, match=r"must") as caught:
            function(**{"network": network, "x": torch.zeros(1, 784), "dropout": 0.4, **arguments})
        assert str(caught.value) == sentence
    if "x" in arguments:
        for forward in (scaled_logits, hidden_activations):
            with pytest.raises(ValueError, match=r"^x must"):
                forward(network, arguments["x"])


def test_a_spread_needs_two_samples() -> None:
    with pytest.raises(
        ValueError, match=r"^n_samples must be a whole number from 2 to 100,000 for a standard deviation; got 1$"
    ):
        mstd(random_network((5, 4, 3)), torch.zeros(1, 784), 1, dropout=0.4)


@pytest.mark.parametrize("rates", [0.5, np.float64(0.5), np.full(3, 0.5), np.float32(0.5), [np.float32(0.5)] * 3], ids=repr)
def test_the_kind_of_number_does_not_matter(rates: object, images: Tensor) -> None:
    network = random_network((5, 4, 3))
    got = sample(network, images, np.int64(4), np.int64(2), rates)
    assert_same(got, sample(network, images, 4, 2, (0.5, 0.5, 0.5)))


# -- memory -------------------------------------------------------------------------------------------------------------

MEMORY = """
import sys, threading, psutil, torch
from dropclust.core.prediction import sample
from tests.core.reference import random_network
torch.set_num_threads(1)
network, x = random_network((100, 100, 100)), torch.rand(10_000, 784)
sample(network, x[:2_500], 9, dropout=0.4)
me, over = psutil.Process(), threading.Event()
before = peak = me.memory_info().rss
def watch():
    global peak
    while not over.wait(0.001):
        peak = max(peak, me.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
sample(network, x, int(sys.argv[1]), dropout=0.4)
over.set()
watcher.join()
print((peak - before) / 2**20)
"""


def test_memory_does_not_grow_with_the_number_of_masks(subprocess_environment: dict[str, str]) -> None:
    """10,000 images: at most 400 MB above the data for 1,000 masks, and no more than for 50 but for a tenth of that."""
    few, many = (
        float(subprocess.run([sys.executable, "-c", MEMORY, str(n)], env=subprocess_environment, capture_output=True, text=True,
                             check=True).stdout)
        for n in (50, 1_000)
    )  # fmt: skip
    assert 0 < few < 400
    assert many < 400
    assert many - few < 40


# -- a GPU --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [(0.5, 0.0, 0.0), (0.0, 0.3, 0.6), (0.4, 0.4, 0.4)])
@pytest.mark.parametrize("kind", list(NOISES))
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_models_multiplied_together_are_those_drawn_one_by_one(
    name: str, kind: str, rates: tuple[float, ...], data: Data
) -> None:
    network, x = replace(random_network((12, 20, 9)), activation=name), data.test_x[:50]
    first = next(layer for layer, rate in enumerate(rates, start=1) if rate > 0)
    below = prediction._activations(network, x, first)[-1]

    def streams() -> list[torch.Generator]:
        return [generator(5, "sample", layer) for layer in (1, 2, 3)]

    together = prediction._logits_of_many(below, network, first, list(rates), kind, streams(), 7)
    own = streams()
    thinned = [prediction._thin(network, first, list(rates), kind, own) for _ in range(7)]
    one_by_one = [prediction._upper_logits(below.t(), kept, layers, network.activate) for kept, layers in thinned]
    torch.testing.assert_close(together, torch.stack(one_by_one), rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("kind", list(NOISES))
def test_a_gpu_samples_what_the_processor_samples(kind: str, data: Data) -> None:
    network = random_network((60, 40, 50))
    here, there = (
        sample(network, data.test_x, 70, seed=2, dropout=0.4, noise=kind, device=device) for device in ("cpu", "cuda")
    )
    for name in ("log_probs", "mean_probs", "logit_mean", "logit_std", "mean_entropy"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), rtol=1e-3, atol=1e-4)
    assert float((there.votes - here.votes).abs().mean()) < 1e-3
    assert mstd(network, data.test_x[:500], 20, dropout=0.4, device="cuda") == pytest.approx(
        mstd(network, data.test_x[:500], 20, dropout=0.4, device="cpu"), rel=1e-3
    )
    measured = [evaluate(network, data, device=device) for device in ("cpu", "cuda")]
    assert measured[1] == pytest.approx(measured[0], abs=1e-3)
