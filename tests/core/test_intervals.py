"""Intervals and tests of equality against scipy, simulation and their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dropclust.core import intervals
from dropclust.core.intervals import Interval, equivalent, mean_interval, paired_difference

numbers = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=2, max_size=30)
examples = settings(max_examples=200, deadline=None)


class TestMeanInterval:
    @given(numbers, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    @examples
    def test_equals_scipy(self, values, level):
        interval = mean_interval(values, level)
        assert interval.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)
        assert (interval.n, interval.level) == (len(values), level)
        if min(values) < max(values):
            low, high = stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
            assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)

    def test_known_value(self):
        # 1, 2, 3: mean 2, standard error 1/sqrt(3), and t(.975; 2) = 4.302653.
        interval = mean_interval([1, 2, 3])
        assert interval.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
        assert interval.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)

    @pytest.mark.parametrize(("n", "level"), [(2, 0.95), (5, 0.95), (20, 0.95), (5, 0.8)])
    def test_covers_the_true_mean_as_often_as_it_says(self, n, level):
        rng = np.random.default_rng(n)
        rounds = 4_000
        intervals = [mean_interval(rng.normal(3, 2, n), level) for _ in range(rounds)]
        covered = np.mean([interval.low <= 3 <= interval.high for interval in intervals])
        assert abs(covered - level) < 4 * math.sqrt(level * (1 - level) / rounds)

    def test_one_value_has_no_interval(self):
        interval = mean_interval([0.9])
        assert interval.mean == 0.9
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert interval.n == 1

    def test_equal_values_have_no_width(self):
        # Summed, three times 0.1 is not 0.3: neither mean nor ends may show it.
        assert np.mean([0.1] * 3) != 0.1
        assert mean_interval([0.1] * 3) == Interval(0.1, 0.1, 0.1, 3, 0.95)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ([], r"values must be a list of at least one number; got the shape \[0\]"),
            (3.0, r"values must be a list of at least one number; got the shape \[\]"),
            ([[1.0, 2.0]], r"values must be a list of at least one number; got the shape \[1, 2\]"),
            ([1.0, 2.0, math.nan], "values must be finite numbers; got nan at position 2"),
            ([1.0, -math.inf], "values must be finite numbers; got -inf at position 1"),
            (["a"], r"values must be numbers; got \['a'\]"),
        ],
    )
    def test_values_refused(self, values, words):
        with pytest.raises(ValueError, match=f"^{words}$"):
            mean_interval(values)

    @pytest.mark.parametrize("level", [0, 1, -0.1, 95, math.nan])
    def test_level_refused(self, level):
        with pytest.raises(ValueError, match=f"^level must be between 0 and 1, both excluded; got {level}$"):
            mean_interval([1, 2], level)


class TestText:
    def test_with_an_interval(self):
        assert Interval(0.9123, 0.9051, 0.9195, 20, 0.95).text() == "0.912 (95 % interval 0.905 to 0.919, 20 seeds)"
        assert Interval(-1, -2, 0, 3, 0.9).text(digits=1, of="pair") == "-1.0 (90 % interval -2.0 to 0.0, 3 pairs)"

    def test_one_seed(self):
        assert mean_interval([0.5]).text() == "0.500 (one seed: no interval)"
        assert mean_interval([0.5]).text(of="image") == "0.500 (one image: no interval)"


class TestPairedDifference:
    def test_is_the_interval_of_the_differences_and_leaves_out_what_pairs_share(self):
        rng = np.random.default_rng(0)
        shared = 100 * rng.normal(size=12)
        a, b = shared + rng.normal(size=12), shared + rng.normal(size=12)
        difference = paired_difference(a, b, level=0.9)
        assert difference == mean_interval(a - b, 0.9)
        low, high = stats.ttest_rel(a, b).confidence_interval(0.9)
        assert (difference.low, difference.high) == pytest.approx((low, high), rel=1e-9)
        assert difference.high - difference.low < 4
        assert paired_difference(b, a).mean == pytest.approx(-difference.mean)

    def test_unequal_lengths_refused(self):
        for call in (paired_difference, lambda a, b: equivalent(a, b, 1.0)):
            with pytest.raises(
                ValueError, match=r"^a and b must have one value a seed, in the same order; got 2 and 3 values$"
            ):
                call([1, 2], [1, 2, 3])
            with pytest.raises(ValueError, match=r"^b must be finite numbers; got nan at position 0$"):
                call([1, 2], [math.nan, 2])


class TestEquivalent:
    @given(numbers, st.floats(0.01, 100), st.sampled_from([0.01, 0.05, 0.2]), st.integers(0, 1000))
    @examples
    def test_equals_two_t_tests_of_scipy(self, a, margin, alpha, seed):
        a = np.array(a)
        b = a - np.random.default_rng(seed).normal(0.3, 1, len(a))
        verdict = equivalent(a, b, margin, alpha)
        not_below = stats.ttest_1samp(a - b, -margin, alternative="greater").pvalue
        not_above = stats.ttest_1samp(a - b, margin, alternative="less").pvalue
        assert verdict.p_value == pytest.approx(max(not_below, not_above), rel=1e-7, abs=1e-12)
        assert verdict.equivalent == (verdict.p_value < alpha)
        inside = -margin < verdict.difference.low and verdict.difference.high < margin
        assert verdict.equivalent == inside
        assert verdict.difference.level == pytest.approx(1 - 2 * alpha)
        assert verdict.difference.mean == pytest.approx(np.mean(a - b))

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_wrong_as_often_as_alpha_on_the_margin(self, sign):
        # With the true difference on the margin and little noise only one of the two tests can fail: exactly alpha.
        rng = np.random.default_rng(1)
        rounds = 4_000
        wrong = np.mean([equivalent(rng.normal(sign, 0.1, 8), np.zeros(8), margin=1.0).equivalent for _ in range(rounds)])
        assert abs(wrong - 0.05) < 4 * math.sqrt(0.05 * 0.95 / rounds)

    def test_finds_equality_with_enough_seeds_and_not_with_few(self):
        rng = np.random.default_rng(2)
        a, b = rng.normal(0, 0.01, (2, 40))
        assert equivalent(a, b, margin=0.01).equivalent
        assert not equivalent(a[:2], b[:2], margin=0.01).equivalent

    def test_equal_differences_decide_by_themselves(self):
        for offset, p_value in ((0.0, 0.0), (0.25, 0.0), (-0.25, 0.0), (0.5, 0.5), (-0.5, 0.5), (1.0, 1.0), (-1.0, 1.0)):
            verdict = equivalent([1 + offset, 2 + offset], [1, 2], margin=0.5)
            assert (verdict.p_value, verdict.equivalent) == (p_value, p_value == 0)
            assert verdict.difference == Interval(offset, offset, offset, 2, 0.9)

    def test_one_pair_shows_nothing(self):
        verdict = equivalent([1.0], [1.0], margin=10)
        assert math.isnan(verdict.p_value)
        assert not verdict.equivalent
        assert math.isnan(verdict.difference.low)

    @pytest.mark.parametrize("margin", [0, -1, math.inf, math.nan])
    def test_margin_refused(self, margin):
        with pytest.raises(ValueError, match=f"^margin must be between 0 and inf, both excluded; got {margin}$"):
            equivalent([1, 2], [1, 2], margin)

    @pytest.mark.parametrize("alpha", [0, 0.5, 1, math.nan])
    def test_alpha_refused(self, alpha):
        with pytest.raises(ValueError, match=f"^alpha must be between 0 and 0.5, both excluded; got {alpha}$"):
            equivalent([1, 2], [1, 2], 1.0, alpha)


def test_a_side_is_taken_only_by_the_whole_interval():
    assert [intervals.side(intervals.Interval(1, low, high, 9, 0.95), 1.0) for low, high in ((1.1, 2), (0, 0.9), (0, 2))] == [
        1, -1, 0,
    ]  # fmt: skip
    assert intervals.side(intervals.Interval(1, math.nan, math.nan, 1, 0.95)) == 0


@pytest.mark.parametrize("n", [1, 5, 6, 9, 25])
def test_the_medians_interval_covers_by_the_binomial_distribution(n):
    """The k-th smallest and largest of n enclose the median unless fewer than k fall on one side: 2 P(Binomial(n, 1/2) < k)."""
    found = intervals.median_interval(np.arange(n, dtype=float))
    outside = [2 * sum(math.comb(n, below) for below in range(k)) / 2**n for k in range(n)]
    best = max((k for k in range(1, n) if outside[k] <= 0.05), default=0)
    if not best:
        assert math.isnan(found.low)
    else:
        assert (found.low, found.high) == (best - 1, n - best)


def test_a_shares_interval_is_wilsons():
    share, n, z = 0.3, 20, 1.959963984540054
    middle, half = (share + z * z / 2 / n), z * math.sqrt(share * (1 - share) / n + z * z / 4 / n / n)
    found = intervals.share_interval(6, n)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (0.3, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
    )


def test_slopes_are_least_squares():
    x, y = np.array([0.0, 1.0, 4.0]), np.random.default_rng(0).normal(size=(5, 3))
    assert intervals.slopes(x, y) == pytest.approx(np.array([np.polyfit(x, row, 1)[0] for row in y]))


def test_a_slopes_interval_is_that_of_a_fit_by_hand():
    x, y = np.array([0.0, 1.0, 3.0, 4.0]), np.array([1.0, 2.0, 2.5, 5.0])
    slope, intercept = np.polyfit(x, y, 1)
    error = math.sqrt(((y - intercept - slope * x) ** 2).sum() / 2 / ((x - x.mean()) ** 2).sum())
    found = intervals.slope_interval(x, y)
    half = 4.302652729911275 * error  # Student t with two degrees of freedom
    assert (found.mean, found.low, found.high) == pytest.approx((slope, slope - half, slope + half))
    assert found.n == 4


def test_one_more_value_lies_in_the_prediction_interval_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2_000):
        *seen, more = rng.normal(3, 2, 6)
        found = intervals.prediction_interval(seen, 0.8)
        hits += found.low <= more <= found.high
    assert abs(hits / 2_000 - 0.8) < 4 * math.sqrt(0.16 / 2_000)
    assert math.isnan(intervals.prediction_interval([1.0]).low)


def test_a_deleted_residual_is_the_distance_from_the_line_through_the_others():
    x, y = np.array([0.0, 1.0, 3.0, 4.0, 7.0]), np.random.default_rng(0).normal(size=(3, 5))
    found = intervals.deleted_residuals(x, y)
    for row, at in np.ndindex(3, 5):
        others = np.arange(5) != at
        assert found[row, at] == pytest.approx(y[row, at] - np.polyval(np.polyfit(x[others], y[row, others], 1), x[at]))


def test_a_ratios_interval_is_the_delta_method_on_the_logarithm():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, 8), rng.uniform(3, 5, 8)
    found = intervals.ratio_interval(a, b)
    # The derivative of log(mean a / mean b) by each pair, which is what the delta method takes, by finite differences.
    step, influence = 1e-6, []
    for i in range(8):
        moved = [each + step * each * (np.arange(8) == i) for each in (a, b)]
        change = [np.log(each.mean()) - np.log(old.mean()) for each, old in zip(moved, (a, b), strict=True)]
        influence.append(8 * (change[0] - change[1]) / step)
    half = stats.t.ppf(0.975, 7) * np.std(influence, ddof=1) / math.sqrt(8)
    assert found.mean == pytest.approx(a.mean() / b.mean())
    assert found.low == pytest.approx(found.mean * math.exp(-half), rel=1e-4)
    assert found.high == pytest.approx(found.mean * math.exp(half), rel=1e-4)
    assert found.n == 8


def test_what_a_seed_does_to_both_leaves_a_ratio_alone():
    rng = np.random.default_rng(0)
    seeds = rng.uniform(1, 9, 10)
    ratio = intervals.ratio_interval(3 * seeds, seeds)
    assert (ratio.low, ratio.high) == pytest.approx((3, 3))
    alone = intervals.ratio_interval(seeds)
    assert alone.mean == pytest.approx(seeds.mean())
    assert alone.low < seeds.mean() < alone.high


def test_ratio_intervals_cover():
    # Ratio of mean squares of normal values, as variances are: 95 % of 500 intervals hold the true 1/4 (standard error: 1 %).
    rng, hits = np.random.default_rng(2), 0
    for _ in range(500):
        shared = rng.normal(size=(20, 40))
        a, b = (
            ((0.5 * (shared + rng.normal(size=shared.shape))) ** 2).mean(1),
            ((shared + rng.normal(size=shared.shape)) ** 2).mean(1),
        )
        found = intervals.ratio_interval(a, b)
        hits += found.low <= 0.25 <= found.high
    assert 0.91 < hits / 500 < 0.99


def test_a_ratio_without_spread_or_without_a_base_has_no_interval():
    one = intervals.ratio_interval([2.0], [4.0])
    assert one.mean == 0.5
    assert math.isnan(one.low)
    for a, b in (([1.0, 2.0], [0.0, 0.0]), ([-1.0, 0.5], [1.0, 1.0])):
        assert math.isnan(intervals.ratio_interval(a, b).mean)


class TestAgainstScipyStats:
    """`scipy.stats` is the oracle here; the library itself has the formulas, so as not to import it."""

    @given(
        st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        st.sampled_from([0.5, 0.9, 0.95, 0.999]),
    )
    @examples
    def test_share_is_wilsons(self, count_of, level):
        count, n = count_of
        wilson = stats.binomtest(count, n).proportion_ci(level, method="wilson")
        found = intervals.share_interval(count, n, level)
        assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)

    @pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (0, 0)])
    def test_share_refuses_what_is_no_count(self, count, n):
        with pytest.raises(ValueError, match="a count must be from 0 to n"):
            intervals.share_interval(count, n)

    @pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
    @pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 20, 21, 100, 501])
    def test_median_takes_the_order_statistics_of_the_quantile_test(self, n, level):
        values = np.random.default_rng(n).normal(size=n)
        theirs = stats.quantile_test(values).confidence_interval(level)
        found = intervals.median_interval(values, level)
        assert (found.mean, found.low, found.high) == pytest.approx((np.median(values), theirs.low, theirs.high), nan_ok=True)

    @given(st.integers(3, 30), st.integers(0, 10**6), st.sampled_from([0.5, 0.95, 0.999]))
    @examples
    def test_slope_is_linregress(self, n, seed, level):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=n), rng.normal(size=n)
        fit = stats.linregress(x, y)
        half = stats.t.ppf(0.5 + level / 2, n - 2) * fit.stderr
        found = intervals.slope_interval(x, y, level)
        assert (found.mean, found.low, found.high) == pytest.approx(
            (fit.slope, fit.slope - half, fit.slope + half), rel=1e-6, abs=1e-9
        )

    def test_a_slope_through_two_points_has_no_interval(self):
        found = intervals.slope_interval([0.0, 2.0], [1.0, 2.0])
        assert found.mean == 0.5
        assert math.isnan(found.low)
        assert math.isnan(found.high)

    def test_a_slope_refuses_one_x_alone(self):
        with pytest.raises(ValueError, match="two different x"):
            intervals.slope_interval([1.0, 1.0, 1.0], [0.0, 1.0, 2.0])
