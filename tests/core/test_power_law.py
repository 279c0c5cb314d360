"""The power law against counts of pairs, covariance matrices, simulated neurons, scipy's line, and a thousand trials."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dropclust.core import power_law
from tests.core.reference import simulate_clustered_variance


@pytest.mark.parametrize(("h", "k"), [(6, 1), (6, 2), (6, 3), (6, 6), (20, 4)])
def test_the_chance_of_a_shared_cluster_is_a_count_of_pairs(h: int, k: int) -> None:
    pairs = list(itertools.permutations([i % k for i in range(h)], 2))
    assert float(power_law.same_cluster_chance(h, k)) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs), abs=1e-12)
    assert float(power_law.same_cluster_chance(h, k, finite=False)) == pytest.approx(1 / k)
    assert float(power_law.same_cluster_chance(h, k, "printed")) == pytest.approx(k / h)


@settings(max_examples=50, deadline=None)
@given(k=st.integers(1, 9), size=st.integers(1, 9), sigma=st.floats(0, 1))
def test_the_variance_of_the_mean_is_the_sum_of_the_covariance_matrix(k: int, size: int, sigma: float) -> None:
    h = max(k * size, 2)
    k = k if h == k * size else 1
    block = np.full((h // k, h // k), sigma)
    covariance = np.kron(np.eye(k), block)
    np.fill_diagonal(covariance, 1.0)
    expected = covariance.sum() / h**2
    assert float(power_law.clustered_variance(h, k, sigma)) == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(sigma / k + (1 - sigma) / h, rel=1e-9)


def test_the_leading_terms_of_both_readings() -> None:
    h, k, sigma = np.array([1e8, 1e9]), np.array([1e3, 2e3]), 0.4
    for chance, leading in (("equal", sigma / k), ("printed", sigma * k / h)):
        np.testing.assert_allclose(power_law.clustered_variance(h, k, sigma, chance, finite=False), leading, rtol=1e-12)
        np.testing.assert_allclose(power_law.clustered_variance(h, k, sigma, chance), leading + 1 / h, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(kappa=st.floats(0.05, 0.9), chance=st.sampled_from(sorted(power_law.CHANCES)))
def test_a_slope_is_what_the_variance_shows_and_gives_kappa_back(kappa: float, chance: str) -> None:
    h = np.array([1e6, 1e9])
    low, high = np.log(power_law.clustered_variance(h, h**kappa, 0.5, chance, finite=False)) / 2  # the standard deviation's
    slope = power_law.slope_from_kappa(kappa, chance)
    assert (high - low) / math.log(1e3) == pytest.approx(slope, abs=1e-9)
    assert power_law.kappa_from_slope(slope, chance) == pytest.approx(kappa, abs=1e-12)


def test_the_papers_slope_by_both_readings() -> None:
    assert power_law.kappa_from_slope(-0.3541) == pytest.approx(0.7082)
    assert power_law.kappa_from_slope(-0.3541, "printed") == pytest.approx(0.2918)
    assert power_law.kappa_from_slope(-0.25) == power_law.kappa_from_slope(-0.25, "printed") == 0.5


CLUSTERED = [
    (10, 2, 0.5),
    (20, 2, 0.9),
    (24, 3, 0.3),
    (24, 12, 0.8),
    (30, 5, 1.0),
    (40, 4, 0.6),
    (48, 16, 0.9),
    (60, 4, 0.2),
    (60, 20, 0.7),
    (80, 10, 0.9),
]


@pytest.mark.parametrize(("h", "k", "sigma"), CLUSTERED)
def test_simulated_neurons_agree_with_the_corrected_formula_and_not_with_the_printed_one(h: int, k: int, sigma: float) -> None:
    seen = simulate_clustered_variance(h, k, sigma, draws=150_000, seed=h * k)
    assert seen.standard_error / seen.variance == pytest.approx(math.sqrt(2 / 150_000), rel=0.1)
    corrected = float(power_law.clustered_variance(h, k, sigma))
    assert abs(seen.variance / corrected - 1) < 0.02
    assert abs(seen.variance - corrected) < 4 * seen.standard_error
    for finite in (True, False):
        assert abs(seen.variance / float(power_law.clustered_variance(h, k, sigma, "printed", finite)) - 1) > 0.02


def test_a_simulation_is_its_seed() -> None:
    one, again, other = (simulate_clustered_variance(10, 2, 0.5, draws=100, seed=seed) for seed in (1, 1, 2))
    assert one == again != other


WIDTHS = np.array([25, 50, 100, 200, 400, 800, 1600])


def synthetic(random: np.random.Generator, seeds: int, bend: float = 0.0) -> np.ndarray:
    """MSTD = 1.1 h^-0.35 with noise of the seed and of each point, [seeds, widths]."""
    x = np.log(WIDTHS)
    level = random.normal(0, 0.1, (seeds, 1)) + random.normal(0, 0.03, (seeds, 1)) * (x - x.mean())
    bent = bend * (x - x.mean()) ** 2
    return 1.1 * WIDTHS**-0.35 * np.exp(level + bent + random.normal(0, 0.05, (seeds, len(x))))


def test_the_fit_covers_the_true_slope_and_finds_no_bend_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    fits = [power_law.fit_power_law(WIDTHS, synthetic(random, 10)) for _ in range(1_000)]
    covered = np.mean([fit.slope.low <= -0.35 <= fit.slope.high for fit in fits])
    assert 0.93 <= covered <= 0.97  # 2.9 standard errors either side
    assert 0.93 <= np.mean([fit.intercept.low <= math.log(1.1) <= fit.intercept.high for fit in fits]) <= 0.97
    assert 0.03 <= np.mean([fit.curvature_p_value < 0.05 for fit in fits]) <= 0.07


def test_the_fit_is_least_squares_of_the_mean_logarithm() -> None:
    mstd = synthetic(np.random.default_rng(1), 5)
    fit = power_law.fit_power_law(WIDTHS, mstd)
    line = stats.linregress(np.log(WIDTHS), np.log(mstd).mean(axis=0))
    assert fit.slope.mean == pytest.approx(line.slope, rel=1e-9)
    assert fit.intercept.mean == pytest.approx(line.intercept, rel=1e-9)
    assert fit.r_squared == pytest.approx(line.rvalue**2, rel=1e-9)
    slopes = [stats.linregress(np.log(WIDTHS), np.log(row)).slope for row in mstd]
    low, high = stats.t.interval(0.95, 4, np.mean(slopes), stats.sem(slopes))
    assert (fit.slope.low, fit.slope.high) == pytest.approx((low, high), rel=1e-9)
    assert fit.slope.n == 5
    bends = [np.polyfit(np.log(WIDTHS), np.log(row), 2)[0] for row in mstd]
    assert fit.curvature.mean == pytest.approx(np.mean(bends), rel=1e-6)
    assert fit.curvature_p_value == pytest.approx(stats.ttest_1samp(bends, 0).pvalue, rel=1e-6)
    assert fit.widths == tuple(WIDTHS)
    np.testing.assert_allclose(fit.mstd([100, 1000]), np.exp(line.intercept) * np.array([100, 1000]) ** line.slope, rtol=1e-9)


def test_a_bend_is_found_where_r_squared_sees_nothing() -> None:
    fit = power_law.fit_power_law(WIDTHS, synthetic(np.random.default_rng(2), 10, bend=0.03))
    assert fit.r_squared > 0.98
    assert fit.curvature_p_value < 1e-3
    assert fit.curvature.low < 0.03 < fit.curvature.high


def test_points_on_a_line_are_not_bent_by_rounding() -> None:
    fit = power_law.fit_power_law(WIDTHS, np.outer([1.0, 1.0, 1.0], 1.1 * WIDTHS**-0.35))
    assert fit.slope.mean == pytest.approx(-0.35, abs=1e-12)
    assert fit.r_squared == pytest.approx(1.0)
    assert fit.curvature_p_value == 1.0
    bent = power_law.fit_power_law(WIDTHS, np.outer([1.0, 1.0], np.exp(np.log(WIDTHS) ** 2)))
    assert bent.curvature_p_value < 1e-9


def test_one_seed_gives_a_line_and_no_interval() -> None:
    fit = power_law.fit_power_law(WIDTHS, 1.1 * WIDTHS[None] ** -0.35)
    assert fit.slope.mean == pytest.approx(-0.35, abs=1e-12)
    assert fit.intercept.mean == pytest.approx(math.log(1.1), abs=1e-12)
    assert all(map(math.isnan, (fit.slope.low, fit.slope.high, fit.curvature.low, fit.curvature_p_value)))


STRAIGHT = np.ones((3, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: power_law.same_cluster_chance(1, 1), "h must be 2 neurons or more; got 1"),
        (lambda: power_law.same_cluster_chance([10, math.nan], 2), "h must be 2 neurons or more; got nan"),
        (lambda: power_law.clustered_variance([10, 4], 5, 0.5), "k must be from 1 cluster to as many .*; got 5"),
        (lambda: power_law.clustered_variance(10, 0.5, 0.5), "k must be from 1 cluster to as many .*; got 0.5"),
        (lambda: power_law.clustered_variance(10, 5, 1.5), "sigma must be from 0 to 1; got 1.5"),
        (lambda: power_law.clustered_variance(10, 5, 0.5, "half"), "chance must be one of equal, printed; got 'half'"),
        (lambda: power_law.kappa_from_slope(-0.3, "half"), "chance must be one of equal, printed; got 'half'"),
        (lambda: power_law.slope_from_kappa(0.3, "half"), "chance must be one of equal, printed; got 'half'"),
        (lambda: power_law.fit_power_law([50, 100, 50], STRAIGHT), "h must hold at least three different widths .*; got 2"),
        (lambda: power_law.fit_power_law([0, 100, 50], STRAIGHT), "h must be widths of 1 or more; got 0"),
        (lambda: power_law.fit_power_law([[1, 2, 3]], STRAIGHT), r"h must be a list of widths; got \[1, 3\]"),
        (lambda: power_law.fit_power_law([1, 2, 3], STRAIGHT[:0]), r"mstd_by_seed must be \[seeds, 3\], .*; got \[0, 3\]"),
        (lambda: power_law.fit_power_law([1, 2, 3, 4], STRAIGHT), r"mstd_by_seed must be \[seeds, 4\], .*; got \[3, 3\]"),
        (lambda: power_law.fit_power_law([1, 2, 3], STRAIGHT[0]), r"mstd_by_seed must be \[seeds, 3\], .*; got \[3\]"),
        (
            lambda: power_law.fit_power_law([1, 2, 3], STRAIGHT * [1, 0, 1]),
            "mstd_by_seed must be finite .*; got 0",
        ),
        (
            lambda: power_law.fit_power_law([1, 2, 3], STRAIGHT * math.nan),
            "mstd_by_seed must be finite .*; got nan",
        ),
    ],
)
def test_bad_arguments_are_one_sentence(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_refit_needs_no_torch() -> None:
    code = "import sys; from dropclust.core import power_law; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
