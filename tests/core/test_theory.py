"""Theory against brute force: every mask by a plain loop, integrals, Monte Carlo in standard errors, and each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import log_softmax

from dropclust.core import metrics, theory
from dropclust.core.network import Network
from dropclust.core.prediction import sample
from tests.core.reference import enumerate_masks, every_run

EXACT = 1e-9


def small(*hidden: int, seed: int = 0) -> Network:
    """A random network whose few units are mostly alive on random images."""
    stream = torch.Generator().manual_seed(seed)
    widths = (784, *hidden, 10)
    pairs = list(itertools.pairwise(widths))
    weights = [torch.randn(a, b, generator=stream) * math.sqrt((6 if a == 784 else 2) / a) for a, b in pairs]
    return Network(weights, [1 + 0.3 * torch.randn(b, generator=stream) for _, b in pairs])


def images(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 784, generator=torch.Generator().manual_seed(seed))


def arrays(network: Network) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [w.double().numpy() for w in network.weights], [b.double().numpy() for b in network.biases]


def moments(chances: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [n, d] and covariance [n, d, d] of values [masks, n, d]."""
    mean = np.einsum("m,mnd->nd", chances, values)
    return mean, np.einsum("m,mnd,mne->nde", chances, values - mean, values - mean)


def scaled(network: Network, x: torch.Tensor) -> np.ndarray:
    return every_run(network, x, [0.0] * len(network.hidden), "bernoulli")[1][0]


# Every dropped set of three layers, unequal rates, one and two hidden layers: (hidden, dropout, noise).
ENUMERATED = [
    ((4, 3, 3), (0.3, 0.0, 0.0), "bernoulli"),
    ((3, 4, 3), (0.0, 0.5, 0.0), "bernoulli"),
    ((5, 6, 10), (0.0, 0.0, 0.4), "bernoulli"),
    ((4, 3, 3), (0.3, 0.6, 0.0), "bernoulli"),
    ((4, 20, 3), (0.2, 0.0, 0.7), "bernoulli"),
    ((4, 3, 3), (0.3, 0.2, 0.6), "bernoulli"),
    ((5,), (0.5,), "bernoulli"),
    ((3, 4), (0.1, 0.95), "bernoulli"),
    ((2, 3, 3), (0.3, 0.0, 0.0), "dropconnect"),
    ((3, 4, 1), (0.0, 0.0, 0.4), "dropconnect"),
    ((3, 2, 2), (0.4, 0.2, 0.0), "dropconnect"),
    ((4, 3, 3), (0.0, 0.0, 0.0), "dropconnect"),
]


@pytest.mark.parametrize(("hidden", "dropout", "noise"), ENUMERATED[:-1])
def test_sampling_lies_around_the_enumeration(hidden, dropout, noise) -> None:
    network, x, n = small(*hidden), images(2), 4_000
    exact, seen = enumerate_masks(network, x, dropout, noise), sample(network, x, n, 1, dropout, noise)
    for told, mean, error in (
        (exact.mean_logits, seen.logit_mean, metrics.mean_error(exact.std_logits, n)),
        (exact.votes, seen.votes, metrics.share_error(exact.votes, n)),
    ):
        assert ((told - mean).abs() <= 4.5 * error + 1e-5).all()  # the last is float32's rounding
    np.testing.assert_allclose(exact.mstd, seen.logit_std.mean().item(), rtol=0.08)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), p=st.floats(0.05, 0.9), noise=st.sampled_from(["bernoulli", "dropconnect"]))
def test_last_layer_closed_forms_are_the_enumeration(seed: int, p: float, noise: str) -> None:
    network, x = small(6, 5, 10 if noise == "bernoulli" else 1, seed=seed), images(seed=seed)  # 2^10 masks either way
    exact = enumerate_masks(network, x, (0, 0, p), noise)
    told = theory.last_layer_moments(network, x, p)
    np.testing.assert_allclose(told.mean, exact.mean_logits, atol=EXACT)
    np.testing.assert_allclose(told.variance, exact.std_logits.square(), atol=EXACT)
    assert told.mstd == pytest.approx(exact.mstd, abs=EXACT)


@pytest.mark.parametrize("noise", ["bernoulli", "dropconnect"])
def test_last_layer_covariance_is_the_brute_force_sum(noise: str) -> None:
    network, x = small(6, 5, 8 if noise == "bernoulli" else 1), images()
    mean, covariance = moments(*every_run(network, x, (0, 0, 0.3), noise))
    told = theory.propagate_moments(network, x, (0, 0, 0.3), noise, covariance=True)
    np.testing.assert_allclose(told.mean, mean, atol=EXACT)
    np.testing.assert_allclose(told.covariance, covariance, atol=EXACT)
    assert (told.covariance[:, 0, 1:].abs().max().item() > 0.01) == (noise == "bernoulli")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), p=st.floats(0.05, 0.9))
def test_the_geometric_mean_of_last_layer_masks_is_the_scaled_network(seed: int, p: float) -> None:
    network, x = small(6, 5, 10, seed=seed), images(seed=seed)
    exact = enumerate_masks(network, x, (0, 0, p))
    np.testing.assert_allclose(exact.log_probs, log_softmax(scaled(network, x), axis=-1), atol=EXACT)
    assert (exact.mean_probs - exact.log_probs.exp()).abs().max() > 1e-4  # the arithmetic mean is another prediction


@pytest.mark.parametrize(("hidden", "dropout", "noise"), ENUMERATED)
def test_the_geometric_mean_is_the_softmax_of_the_mean_logits_whatever_is_dropped(hidden, dropout, noise) -> None:
    exact = enumerate_masks(small(*hidden), images(), dropout, noise)
    np.testing.assert_allclose(theory.geometric_mean_limit(exact.mean_logits), exact.log_probs, atol=EXACT)


def test_with_earlier_layers_dropped_scaling_is_not_the_limit_of_sampling() -> None:
    network, x = small(4, 3, 3), images()
    exact = enumerate_masks(network, x, (0.5, 0.0, 0.0))
    assert np.abs(exact.mean_logits.numpy() - scaled(network, x)).max() > 0.01


def test_exact_entropies_give_an_exact_mutual_information() -> None:
    exact = enumerate_masks(small(4, 3, 3), images(), (0.3, 0.2, 0.6))
    information = metrics.mutual_information(exact.mean_probs, exact.mean_entropy)
    assert (information > 1e-3).all()


def gaussian_runs(network: Network, x: torch.Tensor, layer: int, p: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pre-activations after a hidden layer with Gaussian noise, and the logits: [n, images, units] each."""
    weights, biases = arrays(network)
    a = x.double().numpy()
    for w, b in zip(weights[:layer], biases[:layer], strict=True):
        a = np.maximum(a @ w + b, 0)
    noise = 1 + math.sqrt(p / (1 - p)) * np.random.default_rng(0).standard_normal((n, *a.shape))
    first = z = (a * noise) @ weights[layer] + biases[layer]
    for w, b in zip(weights[layer + 1 :], biases[layer + 1 :], strict=True):
        z = np.maximum(z, 0) @ w + b
    return first, z


def standard_errors(told: np.ndarray, values: np.ndarray) -> float:
    """Largest distance from the mean of independent values [n, ...], in standard errors."""
    error = values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return float((np.abs(np.asarray(told) - values.mean(axis=0)) / error).max())


def test_gaussian_moments_are_what_sampling_shows() -> None:
    network, x, p = small(8, 6, 7), images(2), 0.4
    values, _ = gaussian_runs(network, x, 3, p, 100_000)
    told = theory.last_layer_moments(network, x, p)
    away = values - told.mean.numpy()
    assert standard_errors(told.mean, values) < 4.5  # the largest of at most 200 figures
    covariance = theory.propagate_moments(network, x, (0, 0, p), "gaussian", covariance=True).covariance
    assert standard_errors(covariance, np.einsum("mnj,mnk->mnjk", away, away)) < 4.5


def test_relu_moments_are_the_integrals() -> None:
    means, variances = torch.tensor([-3.0, -0.5, 0.0, 0.7, 4.0]).double(), torch.tensor([0.5, 2.0, 1.0, 0.3, 9.0]).double()
    told_mean, told_variance = theory.relu_moments(means, variances)
    for mean, variance, told_m, told_v in zip(means, variances, told_mean, told_variance, strict=True):
        normal = stats.norm(float(mean), math.sqrt(float(variance)))
        first, second = (
            integrate.quad(lambda z, n=normal, k=k: z**k * n.pdf(z), 0, normal.ppf(1 - 1e-16), epsabs=1e-13)[0] for k in (1, 2)
        )
        assert float(told_m) == pytest.approx(first, abs=1e-10)
        assert float(told_v) == pytest.approx(second - first**2, abs=1e-10)


def test_relu_moments_at_their_ends() -> None:
    mean = torch.tensor([-2.0, 0.0, 3.0, 1e6, -1e6, 1e6], dtype=torch.float64)
    variance = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1e-300], dtype=torch.float64)
    told_mean, told_variance = theory.relu_moments(mean, variance)
    assert told_mean.tolist() == [0.0, 0.0, 3.0, 1e6, 0.0, 1e6]
    assert told_variance.tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 1e-300]


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian", "dropconnect"])
@pytest.mark.parametrize("covariance", [False, True])
def test_propagation_is_exact_for_the_last_layer(noise: str, covariance: bool) -> None:
    network, x = small(12, 9, 7), images()
    told = theory.propagate_moments(network, x, (0, 0, 0.3), noise, covariance)
    exact = theory.last_layer_moments(network, x, 0.3)
    np.testing.assert_allclose(told.mean, exact.mean, atol=EXACT)
    np.testing.assert_allclose(told.variance, exact.variance, atol=EXACT)
    assert (told.covariance is not None) == covariance


@pytest.mark.parametrize("covariance", [False, True])
def test_propagation_without_dropout_is_the_scaled_network(covariance: bool) -> None:
    network, x = small(12, 9, 7), images()
    told = theory.propagate_moments(network, x, (0, 0, 0), covariance=covariance)
    np.testing.assert_allclose(told.mean, scaled(network, x), atol=EXACT)
    assert told.variance.abs().max() == 0


def test_propagation_through_one_gaussian_layer_is_what_sampling_shows() -> None:
    # The second pre-activation is exactly Gaussian here, so the mean is exact and only the series of the variance is cut off.
    network, x, p = small(30, 12), images(3), 0.3
    _, logits = gaussian_runs(network, x, 1, p, 100_000)
    full = theory.propagate_moments(network, x, (p, 0), "gaussian", covariance=True)
    assert standard_errors(full.mean, logits) < 4.5
    np.testing.assert_allclose(full.variance, logits.var(axis=0), rtol=0.03)  # 0.5 % of it is Monte Carlo error
    diagonal = theory.propagate_moments(network, x, (p, 0), "gaussian")
    assert standard_errors(diagonal.mean, logits) < 4.5
    off = np.abs(diagonal.variance.numpy() / logits.var(axis=0) - 1).max()
    assert off > 0.1  # what leaving covariances out costs


def test_independent_units_propagate_as_well_without_covariances() -> None:
    # DropConnect leaves the second layer's units uncorrelated, so that there the two ways agree.
    network, x = small(30, 12), images(3)
    full = theory.propagate_moments(network, x, (0.3, 0.2), "dropconnect", covariance=True)
    diagonal = theory.propagate_moments(network, x, (0.3, 0.2), "dropconnect")
    np.testing.assert_allclose(full.variance, diagonal.variance, rtol=1e-9)
    np.testing.assert_allclose(full.mean, diagonal.mean, rtol=1e-9)


def test_a_pair_of_centred_units_has_the_covariance_of_the_arccosine_kernel() -> None:
    # Two first units of activation 1 feed two second ones, whose biases take the mean away: variance 1, correlation rho.
    for rho in (-0.8, -0.3, 0.2, 0.6):
        first = torch.zeros(784, 2)
        mix = torch.tensor([[1.0, rho], [0.0, math.sqrt(1 - rho**2)]])
        out = torch.zeros(2, 10)
        out[0, 0] = out[1, 1] = 1.0
        network = Network([first, mix, out], [torch.ones(2), -mix.sum(0), torch.zeros(10)])
        told = theory.propagate_moments(network, torch.zeros(1, 784), (0.5, 0), "gaussian", covariance=True)
        kernel = (math.sqrt(1 - rho**2) + rho * (math.pi / 2 + math.asin(rho)) - 1) / (2 * math.pi)
        assert told.covariance[0, 0, 0].item() == pytest.approx(0.5 - 0.5 / math.pi, rel=1e-6)
        assert told.covariance[0, 0, 1].item() == pytest.approx(rho / 4 + rho**2 / (4 * math.pi), abs=1e-7)
        cut_off = 1 / 4 - 3 / (4 * math.pi)  # what two terms miss at rho = 1; the rest of the series starts at rho^4
        assert told.covariance[0, 0, 1].item() == pytest.approx(kernel, abs=cut_off * rho**4 + 1e-7)


def test_splitting_the_images_changes_no_propagated_moment(monkeypatch) -> None:
    network, x = small(6, 5, 4), images(7)
    whole = theory.propagate_moments(network, x, (0.2, 0.4, 0.1), covariance=True)
    monkeypatch.setattr(theory, "_COVARIANCES", 2 * 6**2)
    parts = theory.propagate_moments(network, x, (0.2, 0.4, 0.1), covariance=True)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-12)
    assert whole.covariance.shape == (7, 10, 10)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian", "dropconnect"])
def test_propagation_with_every_layer_dropped_is_near_sampling(noise: str) -> None:
    p, network, x = 0.2, small(60, 50, 40), images(3)
    weights, biases = arrays(network)
    random = np.random.default_rng(0)
    logits = []
    for _ in range(4_000):
        a = x.double().numpy() @ weights[0] + biases[0]
        for w, b in zip(weights[1:], biases[1:], strict=True):
            shape = w.shape if noise == "dropconnect" else (len(w),)
            mask = (random.random(shape) >= p) / (1 - p)
            if noise == "gaussian":
                mask = 1 + math.sqrt(p / (1 - p)) * random.standard_normal(shape)
            a = np.maximum(a, 0)
            a = a @ (w * mask) + b if noise == "dropconnect" else (a * mask) @ w + b
        logits.append(a)
    seen = np.stack(logits)
    told = theory.propagate_moments(network, x, (p, p, p), noise, covariance=True)
    assert np.abs(told.mean.numpy() - seen.mean(axis=0)).max() < 0.1 * seen.std()
    np.testing.assert_allclose(told.variance.sqrt(), seen.std(axis=0), rtol=0.08)  # 1.1 % of it is Monte Carlo error


NETWORK, X = small(4, 3, 3), images(2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.last_layer_moments(NETWORK, X, 1.0), "p must be a rate from 0 to 0.95; got 1.0"),
        (lambda: theory.last_layer_moments(NETWORK, X, math.nan), "p must be a rate from 0 to 0.95; got nan"),
        (lambda: theory.last_layer_moments(NETWORK, X, -0.1), "p must be a rate from 0 to 0.95; got -0.1"),
        (lambda: theory.last_layer_moments(NETWORK, X[0], 0.5), r"x must be float32 images \[n, 784\]"),
        (lambda: theory.propagate_moments(NETWORK, X[:0], 0.5), r"x must be float32 images \[n, 784\]"),
        (lambda: theory.propagate_moments(NETWORK, X * math.nan, 0.5), "x must hold pixels from 0 to 1"),
        (
            lambda: theory.propagate_moments(NETWORK, X, (0.5, 0.5)),
            r"dropout must be one rate or one a hidden layer \(3\); got 2",
        ),
        (lambda: theory.propagate_moments(NETWORK, X, "abc"), "dropout must be a rate from 0 to 0.95; got 'a'"),
        (lambda: theory.propagate_moments(NETWORK, X, (0.5, 0.5, 1)), "dropout must be a rate from 0 to 0.95; got 1"),
        (lambda: theory.propagate_moments(NETWORK, X, (0.5, 0, 0), "salt"), "noise must be one of bernoulli, .*; got 'salt'"),
    ],
)
def test_bad_arguments_are_one_sentence(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
