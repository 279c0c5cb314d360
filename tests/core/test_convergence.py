"""Estimates from masks against exact values, and their errors against the scatter of other seeds."""

import math

import numpy as np
import pytest
import torch

from dropclust.core import convergence, metrics, theory
from dropclust.core.convergence import MASKS, Estimate, Settling, settle
from dropclust.core.network import Network
from dropclust.core.prediction import sample, scaled_logits
from dropclust.core.spec import NOISES, RunSpec
from tests.core.reference import enumerate_masks


def small(noise="bernoulli", hidden=(7, 6, 5), seed=0) -> Network:
    stream = torch.Generator().manual_seed(seed)
    spec = RunSpec(hidden=hidden, noise=noise)
    pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
    weights = [torch.randn(pair, generator=stream) * 1.5 / math.sqrt(pair[0]) for pair in pairs]
    return Network(weights, [torch.randn(n, generator=stream) * 0.3 for _, n in pairs], spec)


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(1)
    return torch.rand(20, 784, generator=stream), torch.randint(10, (20,), generator=stream)


@pytest.fixture(scope="module")
def last(images) -> Settling:
    return settle(small(), *images, (0.0, 0.0, 0.5), "bernoulli")


@pytest.fixture(scope="module")
def every(images) -> Settling:
    return settle(small(), *images, (0.3, 0.3, 0.3), "bernoulli")


def test_on_the_last_layer_truths_are_the_closed_forms(images, last):
    x, _ = images
    network = small()
    assert last.exact
    assert last.mstd.truth == pytest.approx(theory.last_layer_moments(network, x, 0.5).mstd, rel=1e-12)
    mean = theory.last_layer_moments(network, x, 0.5).mean[last.image, last.digit].item()
    assert last.logit.truth == pytest.approx(mean, rel=1e-12)
    assert last.logit.truth_error == last.mstd.truth_error == last.accuracy.truth_error == 0.0
    assert last.accuracy.truth == last.scaled_accuracy
    assert last.propagated == pytest.approx(last.mstd.truth)
    assert last.to_scaled == pytest.approx(last.to_limit, abs=1e-6)


def test_elsewhere_the_reference_is_near_all_masks_enumerated(images):
    x, y = images
    # All three layers have 2^18 masks, too many to run; the last two have 2^11.
    found = settle(small(), x, y, (0.0, 0.3, 0.3), "bernoulli")
    truth = enumerate_masks(small(), x, (0.0, 0.3, 0.3))
    assert not found.exact
    assert abs(found.mstd.truth - truth.mstd) < 4 * found.mstd.truth_error
    assert abs(found.logit.truth - truth.mean_logits[found.image, found.digit].item()) < 4 * found.logit.truth_error
    assert 0 < found.mstd.truth_error < found.mstd.error[-1]
    # What is left of the distance to scaling is real: the exact one, but for the distance of a thousand masks from all.
    gap = (truth.log_probs.exp() - scaled_logits(small(), x).softmax(1)).abs().sum(1).mean().item() / 2
    assert gap > 0
    assert abs(found.to_scaled[-1] - gap) < 2 * found.to_limit[-1]


def test_the_first_masks_are_those_of_sample(images, every):
    x, y = images
    for n in (2, 5, 10):
        found = sample(small(), x, n, 0, 0.3)
        at = MASKS.index(n)
        assert every.mstd.values[at] == pytest.approx(found.logit_std.mean().item(), rel=1e-5)
        assert every.logit.values[at] == pytest.approx(found.logit_mean[every.image, every.digit].item(), rel=1e-5, abs=1e-5)
        assert every.accuracy.values[at] == metrics.accuracy(found.log_probs, y)
        assert every.votes[at] == pytest.approx(found.votes[every.image, every.digit].item())
    gap = (found.log_probs.exp() - scaled_logits(small(), x).softmax(1)).abs()
    assert every.to_scaled[at] == pytest.approx(gap.sum(1).mean().item() / 2, rel=1e-3)
    assert every.most_to_scaled[at] == pytest.approx(gap.max().item(), rel=1e-3)
    assert math.isnan(every.mstd.values[0])


def test_blocks_are_joined_as_one_sample(images, every):
    """Twenty masks are the first two blocks: their mean and spread are those of all twenty together."""
    x, _ = images
    drawn = [
        torch.stack([sample(small(), x, n, seed, 0.3).logit_mean.double() * n for n in range(1, 11)]) for seed in (0, 1)
    ]  # running sums, for the first n of a call are those of a call with n
    single = torch.cat([torch.diff(sums, dim=0, prepend=torch.zeros_like(sums[:1])) for sums in drawn])
    at = MASKS.index(20)
    assert every.mstd.values[at] == pytest.approx(single.std(0).mean().item(), rel=1e-3)
    assert every.logit.values[at] == pytest.approx(single.mean(0)[every.image, every.digit].item(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", ["logit", "mstd"])
def test_errors_are_those_that_other_seeds_show(images, last, name):
    """The standard error at 100 masks against the scatter of 60 independent estimates; it is itself uncertain by 9 %."""
    x, _ = images
    others = [sample(small(), x, 100, 1000 + seed, (0.0, 0.0, 0.5)) for seed in range(60)]
    values = {
        "logit": [each.logit_mean[last.image, last.digit].item() for each in others],
        "mstd": [each.logit_std.mean().item() for each in others],
    }[name]
    scatter = np.std(values, ddof=1)
    error = getattr(last, name).error[MASKS.index(100)]
    assert error == pytest.approx(scatter, rel=0.6)  # jackknife over 20 groups 16 %, the scatter 9 %: over 3 errors
    assert getattr(last, name).error[0] == pytest.approx(10 * error)


def test_the_error_of_an_accuracy_is_found_where_a_jackknife_would_find_none(images, last):
    x, y = images
    found = [metrics.accuracy(sample(small(), x, 5, 500 + seed, (0.0, 0.0, 0.5)).logit_mean, y) for seed in range(60)]
    at = MASKS.index(5)
    error = np.std(found, ddof=1)
    assert last.accuracy.error[at] == pytest.approx(error, rel=0.6)  # 25 groups: 14 %, 60: 9 %
    spread = 4 * error * math.sqrt(1 / 25 + 1 / 60)
    assert last.accuracy.centre[at] == pytest.approx(np.mean(found), abs=spread)


@pytest.mark.parametrize("noise", NOISES)
def test_the_gap_to_scaling_shrinks_like_monte_carlo_error(images, noise):
    found = settle(small(noise), *images, (0.0, 0.0, 0.4), noise)
    few, many = found.to_scaled[MASKS.index(10)], found.to_scaled[MASKS.index(1000)]
    assert 4 < few / many < 25  # 10 on average
    bands = zip(found.mstd.values[3:], map(found.mstd.band, range(3, 10)), strict=True)
    inside = sum(low <= value <= high for value, (low, high) in bands)
    assert inside >= 5  # of 7, each with a chance of 95 %


def test_the_image_is_the_one_of_which_scaling_is_least_sure_whatever_the_masks(images, last, every):
    x, y = images
    image = int(scaled_logits(small(), x).softmax(1).amax(1).argmin())
    assert last.image == every.image == image
    digit = int(y[image])
    votes = torch.stack([sample(small(), x, 10, seed, 0.3).votes for seed in range(100)]).mean(0)
    assert every.digit == digit
    assert every.votes[-1] == pytest.approx(votes[image, digit].item(), abs=1e-5)
    assert every.vote_error[-1] == pytest.approx(math.sqrt(every.votes[-1] * (1 - every.votes[-1]) / 1000), rel=1e-3)
    assert np.allclose(every.pixels, x[image])


def test_wide_layers_are_propagated_without_covariances(images, monkeypatch):
    assert settle(small(), *images, (0.0, 0.0, 0.4), "bernoulli").propagated_jointly is not None
    monkeypatch.setattr(convergence, "PROPAGATE_WIDTH", 6)
    assert settle(small(), *images, (0.3, 0.3, 0.3), "bernoulli").propagated_jointly is None


def test_propagation_in_parts_is_propagation(images, every):
    x, _ = images
    whole = theory.propagate_moments(small(), x, 0.3, covariance=True).variance.sqrt().mean().item()
    assert every.propagated_jointly == pytest.approx(whole, rel=1e-12)
    assert every.propagated == pytest.approx(theory.propagate_moments(small(), x, 0.3).variance.sqrt().mean().item())


def test_a_band_is_two_errors_of_estimate_and_truth():
    line = Estimate((1.0,), (2.0,), (0.3,), 2.0, 0.4)
    assert line.band(0) == pytest.approx((1.0, 3.0))
    assert Estimate((1.1,), (2.0,), (0.3,), 2.0, 0.4).inside(0)
    assert not Estimate((0.9,), (2.0,), (0.3,), 2.0, 0.4).inside(0)


def test_without_dropout_nothing_can_settle(images):
    with pytest.raises(ValueError, match=r"rates must have one above 0, .* got \(0.0, 0.0, 0.0\)"):
        settle(small(), *images, (0.0, 0.0, 0.0), "bernoulli")
