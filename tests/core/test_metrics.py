"""Metrics against scikit-learn, numpy and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.metrics import accuracy_score, log_loss

from dropclust.core import metrics


def drawn(n: int = 200, classes: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=stream)
    return logits, torch.randint(classes, (n,), generator=stream)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 40), classes=st.integers(2, 12), seed=st.integers(0, 10_000))
def test_accuracy_and_cross_entropy_are_scikit_learns(n: int, classes: int, seed: int) -> None:
    logits, y = drawn(n, classes, seed)
    probs = logits.double().softmax(1).numpy()
    assert metrics.accuracy(logits, y) == pytest.approx(accuracy_score(y.numpy(), probs.argmax(1)), abs=1e-12)
    expected = log_loss(y.numpy(), probs, labels=np.arange(classes))
    assert metrics.cross_entropy(logits, y) == pytest.approx(expected, rel=1e-9)
    assert metrics.cross_entropy(logits.log_softmax(1), y) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_of_huge_logits_stays_finite() -> None:
    logits = torch.tensor([[1e30, 0.0], [0.0, 500.0]])
    assert metrics.cross_entropy(logits, torch.tensor([0, 0])) == pytest.approx(250.0)


def test_of_equal_logits_the_first_class_counts() -> None:
    assert metrics.accuracy(torch.zeros(2, 10), torch.tensor([0, 1])) == 0.5


def test_brier_is_the_mean_squared_distance() -> None:
    logits, y = drawn()
    probs = logits.softmax(1)
    naive = sum(sum((float(p) - (c == int(t))) ** 2 for c, p in enumerate(row)) for row, t in zip(probs, y, strict=True))
    assert metrics.brier(probs, y) == pytest.approx(naive / len(y), rel=1e-9)
    sure = torch.eye(10)
    assert metrics.brier(sure, torch.arange(10)) == 0.0
    assert metrics.brier(sure, (torch.arange(10) + 1) % 10) == 2.0


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_calibration_error_is_a_plain_loop_over_bins(bins: int) -> None:
    logits, y = drawn(500)
    probs = logits.double().softmax(1)
    confidence, right = probs.max(1).values.numpy(), (probs.argmax(1) == y).numpy()
    table, naive = metrics.reliability(probs, y, bins), 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        assert int(table.count[b]) == inside.sum()
        if inside.any():
            assert float(table.confidence[b]) == pytest.approx(confidence[inside].mean(), rel=1e-12)
            assert float(table.accuracy[b]) == pytest.approx(right[inside].mean(), rel=1e-12)
            naive += inside.sum() / len(y) * abs(right[inside].mean() - confidence[inside].mean())
        else:
            assert math.isnan(table.confidence[b])
            assert math.isnan(table.accuracy[b])
    assert metrics.expected_calibration_error(probs, y, bins) == pytest.approx(naive, rel=1e-9)


def test_calibration_error_at_its_ends_and_edges() -> None:
    y = torch.tensor([0, 0, 1, 1])
    always_sure = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    assert metrics.expected_calibration_error(always_sure, y) == pytest.approx(0.5)
    assert metrics.expected_calibration_error(torch.full((4, 2), 0.5), y, bins=2) == pytest.approx(0.0)
    halves = metrics.reliability(torch.full((4, 2), 0.5), y, bins=2)
    assert halves.count.tolist() == [4, 0]  # exactly an edge: the bin below
    assert metrics.reliability(always_sure, y, bins=2).count.tolist() == [0, 4]
    past_one_by_rounding = always_sure * (1 + 1e-6)
    assert metrics.reliability(past_one_by_rounding, y, bins=2).count.tolist() == [0, 4]


def test_entropy_is_scipys_and_takes_any_leading_shape() -> None:
    probs = drawn(12)[0].double().softmax(1).reshape(3, 4, 10)
    np.testing.assert_allclose(metrics.predictive_entropy(probs), scipy.stats.entropy(probs.numpy(), axis=-1), rtol=1e-10)
    assert metrics.predictive_entropy(torch.eye(3)).tolist() == [0.0, 0.0, 0.0]


def test_mutual_information_is_a_divergence_from_the_mean() -> None:
    probs = drawn(60)[0].double().softmax(1).reshape(6, 10, 10)  # [masks, n, classes]
    mean = probs.mean(0)
    naive = (probs * (probs / mean).log()).sum(-1).mean(0)  # mean Kullback-Leibler divergence from the mean
    np.testing.assert_allclose(metrics.mutual_information(probs), naive, rtol=1e-9)
    streamed = metrics.mutual_information(mean, metrics.predictive_entropy(probs).mean(0))
    np.testing.assert_allclose(streamed, naive, rtol=1e-9)


def test_mutual_information_at_its_ends() -> None:
    agreeing = torch.full((5, 2, 4), 0.25)
    assert metrics.mutual_information(agreeing).tolist() == [0.0, 0.0]
    same = drawn(500)[0].double().softmax(1).repeat(3, 1, 1)  # rounding alone would give some of them less than none
    assert metrics.mutual_information(same).min() >= 0
    each_sure_of_another = torch.eye(4)[:, None, :]  # [4 masks, 1, 4]
    assert metrics.mutual_information(each_sure_of_another).item() == pytest.approx(math.log(4))


def test_mutual_information_from_few_masks_is_too_low_by_what_its_docstring_says() -> None:
    n, alpha = 20, np.array([2.0, 3.0, 5.0])
    probs = torch.from_numpy(np.random.default_rng(0).dirichlet(alpha, (n, 20_000)))  # [masks, n, classes]
    mean, variance = alpha / 10, alpha / 10 * (1 - alpha / 10) / 11
    mean_entropy = digamma(11) - (mean * digamma(alpha + 1)).sum()  # of a Dirichlet draw, exactly
    exact = scipy.stats.entropy(mean) - mean_entropy
    told = (variance / mean).sum() / (2 * n)
    repeats = metrics.mutual_information(probs)
    error = (repeats.std() / math.sqrt(20_000)).item()
    assert told > 8 * error
    assert repeats.mean().item() == pytest.approx(exact - told, abs=4 * error)


def test_model_variance_is_the_papers_formula() -> None:
    predictions = np.random.default_rng(0).normal(size=(10, 7, 10))
    naive = 0.0
    for i in range(7):
        for output in range(10):
            centre = sum(predictions[k, i, output] for k in range(10)) / 10
            naive += sum((predictions[j, i, output] - centre) ** 2 for j in range(10)) / 10
    assert metrics.model_variance(torch.from_numpy(predictions)) == pytest.approx(naive / 70, rel=1e-12)
    assert metrics.model_variance(torch.from_numpy(predictions)) == pytest.approx(predictions.var(axis=0).mean(), rel=1e-12)


def test_model_variance_of_equal_models_is_zero_and_an_offset_changes_nothing() -> None:
    one = torch.randn(1, 5, 10, generator=torch.Generator().manual_seed(0))
    assert metrics.model_variance(one.repeat(4, 1, 1)) == 0.0
    assert metrics.model_variance(one) == 0.0
    two = torch.cat((one, one + 2))
    assert metrics.model_variance(two) == pytest.approx(1.0, rel=1e-6)
    assert metrics.model_variance(two + 3e3) == pytest.approx(1.0, rel=1e-3)


def test_sampled_models_carry_the_masks_error_that_the_docstring_names() -> None:
    random = np.random.default_rng(1)
    models, masks, n = 5, 20, 20_000
    draws = random.normal(0, 3, (models, masks, n, 1)).mean(axis=1)  # equal models, so all variance is the masks'
    expected = (models - 1) / models * 9 / masks
    assert metrics.model_variance(torch.from_numpy(draws)) == pytest.approx(expected, rel=0.02)


def test_errors_of_means_and_shares_are_what_repeated_sampling_shows() -> None:
    random = np.random.default_rng(2)
    values = random.exponential(size=(4_000, 50))
    assert metrics.mean_error(torch.tensor(1.0), 50).item() == pytest.approx(values.mean(axis=1).std(), rel=0.05)
    shares = random.binomial(50, 0.3, size=4_000) / 50
    assert metrics.share_error(torch.tensor(0.3), 50).item() == pytest.approx(shares.std(), rel=0.05)
    assert metrics.share_error(torch.tensor([0.0, 1.0]), 50).tolist() == [0.0, 0.0]


def test_jackknife_of_a_mean_is_its_textbook_error() -> None:
    values = torch.randn(60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    textbook = values.std().item() / math.sqrt(60)
    assert metrics.jackknife_error(values, lambda v: v.mean().item()) == pytest.approx(textbook, rel=1e-9)
    grouped = metrics.jackknife_error(values, lambda v: v.mean().item(), groups=6)
    means = values.reshape(6, 10).mean(1)
    assert grouped == pytest.approx(means.std().item() / math.sqrt(6), rel=1e-9)


def test_jackknife_of_mstd_is_what_repeated_sampling_shows() -> None:
    def mstd(logits: torch.Tensor) -> float:
        return logits.std(0).mean().item()

    stream = torch.Generator().manual_seed(3)
    # Images and outputs share a factor a mask, as they share masks in truth: they must not count as independent.
    logits = torch.randn(400, 80, 1, 1, generator=stream) * torch.tensor([1.0, 2.0])[:, None] + torch.randn(
        400, 80, 2, 3, generator=stream
    )
    seen = np.std([mstd(one) for one in logits], ddof=1)
    told = np.mean([metrics.jackknife_error(one, mstd, groups=20) for one in logits[:50]])
    assert told == pytest.approx(seen, rel=0.15)


NAN, ONE = torch.tensor([[0.1, math.nan]]), torch.tensor([0])
HALF = torch.tensor([[0.5, 0.5]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.accuracy(NAN, ONE), "logits must hold finite numbers only; got NaN or infinity"),
        (lambda: metrics.accuracy(torch.tensor([[math.inf, 0]]), ONE), "logits must hold finite"),
        (lambda: metrics.cross_entropy(NAN, ONE), "logits must hold finite"),
        (lambda: metrics.brier(NAN, ONE), "probs must hold finite"),
        (lambda: metrics.expected_calibration_error(NAN, ONE), "probs must hold finite"),
        (lambda: metrics.predictive_entropy(NAN), "probs must hold finite"),
        (lambda: metrics.mutual_information(NAN[None]), "probs must hold finite"),
        (lambda: metrics.mutual_information(HALF, torch.tensor([math.nan])), "mean_entropy must hold finite"),
        (lambda: metrics.mutual_information(HALF, torch.zeros(2)), r"mean_entropy must be one number a row of probs \(1\)"),
        (lambda: metrics.mutual_information(HALF), r"probs must be \[masks, n, classes\]"),
        (lambda: metrics.model_variance(NAN[None]), "predictions must hold finite"),
        (lambda: metrics.model_variance(HALF), r"predictions must be \[models, n, outputs\]"),
        (lambda: metrics.accuracy(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64)), "logits must be .* not empty"),
        (lambda: metrics.accuracy(HALF[0], ONE), r"logits must be \[n, classes\]"),
        (lambda: metrics.accuracy(HALF, torch.tensor([0, 1])), r"y must be whole numbers, one a row of logits \(1\)"),
        (lambda: metrics.accuracy(HALF, torch.tensor([0.0])), "y must be whole numbers"),
        (lambda: metrics.accuracy(HALF, torch.tensor([2])), "y must be classes from 0 to 1; got 2 to 2"),
        (lambda: metrics.cross_entropy(HALF, torch.tensor([-1])), "y must be classes from 0 to 1; got -1 to -1"),
        (lambda: metrics.brier(torch.tensor([[0.5, 0.6]]), ONE), "probs must hold probabilities that sum to 1"),
        (lambda: metrics.brier(torch.tensor([[1.5, -0.5]]), ONE), "probs must hold probabilities"),
        (lambda: metrics.predictive_entropy(torch.tensor([2.0, 3.0])), "probs must hold probabilities"),
        (lambda: metrics.reliability(HALF, ONE, bins=0), "bins must be a whole number from 1 to 1,000; got 0"),
        (lambda: metrics.mean_error(HALF, 0), "n_samples must be a whole number of at least 1; got 0"),
        (lambda: metrics.share_error(HALF, -1), "n_samples must be a whole number of at least 1; got -1"),
        (lambda: metrics.jackknife_error(torch.zeros(1, 2), float), r"groups must be 2 or more .* \(1\); got 1"),
        (lambda: metrics.jackknife_error(torch.zeros(9, 2), float, groups=2), r"groups must be .* \(9\); got 2"),
    ],
)
def test_bad_arguments_are_one_sentence(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
