"""The noises: mean 1 and the stated variance exactly, nested masks, streams that do not know each other."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dropclust.core import noise
from dropclust.core.noise import bernoulli, draws, gaussian, generator, multiplier, quantised, uniform

LEVELS = torch.arange(-(2**15), 2**15).float()  # every value that a draw can have, each as likely
RATES = st.integers(0, 9_500).map(lambda part: part / 10_000)  # as a run has them: to 4 decimals


@settings(max_examples=100, deadline=None)
@given(rate=RATES)
def test_over_all_levels_a_mask_has_mean_1_and_variance_p_over_1_minus_p_exactly(rate: float) -> None:
    p = torch.tensor(rate)
    values = bernoulli(LEVELS, p)
    q = float(quantised(p))
    dropped = int((values == 0).sum())
    assert dropped == round(rate * 2**16)  # the rate itself, to the nearest of 65,536
    assert abs(q - rate) <= 2**-17
    assert values.unique().numel() == (1 if dropped == 0 else 2)
    values = values.double()
    assert float(values.mean()) == pytest.approx(1, abs=1e-7)  # the rounding of one float32 reciprocal
    assert float(values.var(correction=0)) == pytest.approx(q / (1 - q), rel=1e-6, abs=1e-12)


def test_a_rate_of_0_changes_nothing() -> None:
    assert torch.equal(bernoulli(LEVELS, torch.tensor(0.0)), torch.ones(2**16))
    assert torch.equal(gaussian(LEVELS, torch.tensor(0.0)), torch.ones(2**16))


@settings(max_examples=100, deadline=None)
@given(rates=st.lists(RATES, min_size=2, max_size=6), seed=st.integers(0, 1_000))
def test_a_higher_rate_drops_a_superset_of_the_same_draws(rates: list[float], seed: int) -> None:
    draws = uniform([50, 7], generator(seed, "test"))
    kept = [bernoulli(draws, torch.tensor(rate)) > 0 for rate in sorted(rates)]
    for low, high in pairwise(kept):
        assert bool((high <= low).all())


def test_rates_broadcast_against_draws() -> None:
    draws = uniform([1, 400, 30], generator(0, "test"))
    rates = torch.tensor([0.0, 0.25, 0.5]).view(3, 1, 1)
    together = bernoulli(draws, rates)
    assert together.shape == (3, 400, 30)
    for row, rate in zip(together, rates.flatten(), strict=True):
        assert torch.equal(row, bernoulli(draws[0], rate))


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 100))
def test_draws_have_the_shape_asked_for_and_are_16_bit_numbers(shape: list[int], seed: int) -> None:
    draws = uniform(shape, generator(seed, "test"))
    assert list(draws.shape) == shape
    assert draws.dtype == torch.int16
    assert torch.equal(draws, uniform(shape, generator(seed, "test")))


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(["bernoulli", "gaussian", "dropconnect"]),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    parts=st.lists(st.integers(1, 7), min_size=1, max_size=4),
)
def test_steps_drawn_together_are_those_drawn_one_by_one(kind: str, shape: list[int], parts: list[int]) -> None:
    together, apart = generator(0, kind), generator(0, kind)
    at_once = torch.cat([draws(kind, shape, together, steps) for steps in parts])
    one_by_one = torch.cat([draws(kind, shape, apart, 1) for _ in range(sum(parts))])
    assert list(at_once.shape) == [sum(parts), *shape]
    assert at_once.dtype == (torch.float32 if kind == "gaussian" else torch.int16)
    assert torch.equal(at_once, one_by_one)


def test_normal_draws_of_many_steps_are_standard_normal() -> None:
    """The p-values of many streams must be uniform: one alone may be small by chance."""
    chances = []
    for seed in range(60):
        drawn = draws("gaussian", [5, 7], generator(seed, "test"), 5_000).double()
        chances += [float(stats.kstest(drawn[:, row, column].numpy(), "norm").pvalue) for row, column in ((0, 0), (4, 6))]
        for other in (drawn[:, 4, 6], drawn[:, 0, 1]):
            assert abs(float((drawn[:, 0, 0] * other).mean())) < 4.5 / 5_000**0.5  # 120 of them
        assert abs(float((drawn[:-1] * drawn[1:]).mean())) < 4.5 / drawn.numel() ** 0.5
    assert stats.kstest(chances, "uniform").pvalue > 0.001


def test_every_level_is_drawn_as_often_as_any_other() -> None:
    n, bins = 2**21, 2**12
    draws = uniform([n], generator(0, "test")).long()
    counts = ((draws + 32768) / (2**16 / bins)).floor().long().bincount(minlength=bins)
    assert len(counts) == bins
    chi2 = float(((counts - n / bins) ** 2 / (n / bins)).sum())
    assert abs(chi2 - (bins - 1)) < 4 * (2 * (bins - 1)) ** 0.5  # chi-squared: mean k, variance 2 k
    low_bits = (draws + 32768) % 16
    assert float((low_bits.bincount() - n / 16).abs().max()) < 4 * (n / 16 * 15 / 16) ** 0.5


def test_neighbouring_draws_are_not_correlated() -> None:
    draws = uniform([2**20], generator(1, "test")).double() / 2**15
    for lag in range(1, 9):  # four draws are made from one number
        assert abs(float((draws[:-lag] * draws[lag:]).mean()) / (1 / 3)) < 4 / 2**10


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_gaussian_noise_is_1_plus_a_normal_of_dropouts_variance(rate: float) -> None:
    z = torch.tensor([-2.0, 0.0, 1.0])
    expected = [1 + value * (rate / (1 - rate)) ** 0.5 for value in (-2.0, 0.0, 1.0)]
    assert gaussian(z, torch.tensor(rate)).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "dropconnect"])
@pytest.mark.parametrize("rate", [0.2, 0.4, 0.8])
def test_every_noise_has_mean_1_and_the_same_variance(kind: str, rate: float) -> None:
    n = 2**20
    values = multiplier(kind, [2**10, 2**10], torch.tensor(rate), generator(0, kind)).double()
    variance = rate / (1 - rate)
    assert values.shape == (2**10, 2**10)
    assert abs(float(values.mean()) - 1) < 4 * (variance / n) ** 0.5
    fourth = float(((values - 1) ** 4).mean())
    assert abs(float(values.var()) - variance) < 4 * ((fourth - variance**2) / n) ** 0.5 + 2**-15
    if kind == "gaussian":
        assert values.unique().numel() > 1_000
    else:
        assert values.unique().tolist() == pytest.approx([0, 1 / (1 - rate)], rel=1e-4)


# -- streams ------------------------------------------------------------------------------------------------------------


def test_a_stream_is_named_by_its_seed_and_purpose_on_every_machine() -> None:
    digest = hashlib.sha256(b"7/noise/2").digest()
    assert generator(7, "noise", 2).initial_seed() == int.from_bytes(digest[:8], "little") // 2
    assert generator(0, "order").initial_seed() == 3278857439845718984


def test_streams_of_other_seeds_layers_and_purposes_are_other_streams() -> None:
    names = [(seed, what, layer) for seed in range(40) for what in ("noise", "weights", "sample") for layer in (1, 2, 3)]
    names += [(11, "x", 1), (1, "1", "x", 1)]  # names that would be one if they were merely joined
    assert len({generator(*name).initial_seed() for name in names}) == len(names)


def test_streams_are_not_correlated() -> None:
    n = 2**16
    draws = torch.stack([uniform([n], generator(seed, "noise", layer)) for seed in range(4) for layer in (1, 2, 3)])
    correlations = torch.corrcoef(draws.double()) - torch.eye(12)
    assert float(correlations.abs().max()) < 4.5 / n**0.5  # 66 pairs


def test_drawing_from_one_stream_moves_no_other() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    second = generator(0, "noise", 2)
    uniform([1_000], generator(0, "noise", 1))
    assert torch.equal(uniform([9], second), uniform([9], generator(0, "noise", 2)))
    assert torch.equal(torch.get_rng_state(), before)


def test_levels_are_those_of_sixteen_bits() -> None:
    assert noise.quantised(torch.tensor([0.0, 2**-16, 0.5, 0.4])).tolist() == [0.0, 2**-16, 0.5, 26_214 / 65_536]
