"""The judge: what it says of a claim's null, of the paper's effect, of one seed, of nothing; and Holm's correction."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dropclust import experiments
from dropclust.experiments import results
from dropclust.experiments.claim import Claim, Control, Judgement, Rule, Verdict, holm, judge, p_at_bound, seeds_needed

TRIALS = 400
CLAIMS = [claim for name in experiments.NAMES for claim in experiments.get(name).claims]
OVER_SEEDS = [claim for claim in CLAIMS if claim.per == "seed"]


def claim(rule: Rule = Rule.MORE, control: float | None = None, **changed: object) -> Claim:
    """A claim about the column ``value``, with a control that is constant but for little."""
    made = Claim(
        "small.claim", "nowhere", "It is so.", lambda tables: tables["small"]["value"], "points", 1.0, "because", rule, "value"
    )
    if control is not None:
        changed["control"] = Control("others", lambda tables: control + 0.01 * (tables["small"]["value"] * 0 + 1).cumsum())
    return replace(made, **changed)


def judged(values: object, of: Claim) -> Judgement:
    [judgement] = judge([of], {"small": {"small": pd.DataFrame({"value": values})}})
    return judgement


def spread(mean: float, n: int = 20, deviation: float = 0.2, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=n)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize(
    ("rule", "mean", "verdict"),
    [
        (Rule.MORE, 1.5, Verdict.HOLDS),
        (Rule.MORE, 0.5, Verdict.NOT_SEEN),
        (Rule.MORE, -0.5, Verdict.NOT_SEEN),
        (Rule.MORE, -1.5, Verdict.OPPOSITE),
        (Rule.MORE, 1.01, Verdict.UNDECIDED),
        (Rule.AT_LEAST, 0.0, Verdict.HOLDS),
        (Rule.AT_LEAST, -0.5, Verdict.HOLDS),
        (Rule.AT_LEAST, -1.5, Verdict.OPPOSITE),
        (Rule.AT_LEAST, -1.01, Verdict.UNDECIDED),
        (Rule.EQUAL, 0.5, Verdict.HOLDS),
        (Rule.EQUAL, -0.5, Verdict.HOLDS),
        (Rule.EQUAL, 1.5, Verdict.NOT_SEEN),
        (Rule.EQUAL, -1.5, Verdict.NOT_SEEN),
        (Rule.EQUAL, 0.99, Verdict.UNDECIDED),
    ],
)
def test_each_rule_has_its_verdicts(rule, mean, verdict):
    judgement = judged(spread(mean), claim(rule))
    assert judgement.verdict is verdict
    assert (judgement.needed is None) == (verdict is not Verdict.UNDECIDED)


@pytest.mark.parametrize(("control", "verdict"), [(1.5, Verdict.CONTROL_TOO), (0.5, Verdict.HOLDS)])
def test_a_control_that_shows_it_too_takes_the_reason_away(control, verdict):
    judgement = judged(spread(1.5), claim(control=control))
    assert judgement.verdict is verdict
    assert judgement.control.mean == pytest.approx(control + 0.105)


def test_a_control_does_not_refute_what_is_not_seen():
    assert judged(spread(0.5), claim(control=1.5)).verdict is Verdict.NOT_SEEN


def test_one_seed_decides_nothing():
    judgement = judged([5.0], claim())
    assert judgement.verdict is Verdict.UNDECIDED
    assert math.isnan(judgement.p_value)
    assert judgement.needed is None


def test_no_rows_are_no_result_with_the_reason_and_do_not_count():
    made = claim()
    [nothing, something] = judge(
        [replace(made, key="absent.claim"), made],
        {"small": {"small": pd.DataFrame({"value": spread(1.5)})}},
        {"absent": "the table absent is not there"},
    )
    assert (nothing.verdict, nothing.why) == (Verdict.NO_RESULT, "the table absent is not there")
    assert (something.verdict, something.tests) == (Verdict.HOLDS, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_the_slow_way_round(p_values):
    """Adjusted p-value of i: the largest, over all p-values not above its own, of p times how many are not below p."""
    ordered = sorted(p_values)
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        rank = max(index for index, other in enumerate(ordered) if other == p)
        slow = max(min(1.0, (len(ordered) - index) * ordered[index]) for index in range(rank + 1))
        assert adjusted <= slow + 1e-12
        assert adjusted >= p


def test_holm_leaves_out_what_has_no_p_value():
    assert holm([math.nan, 0.01, 0.04])[1:] == [0.02, 0.04]


@given(st.integers(3, 30), st.integers(0, 99))
def test_the_p_value_is_scipys(n, seed):
    values = np.random.default_rng(seed).normal(0.3, 1, n)
    assert p_at_bound(values, claim()) == pytest.approx(stats.ttest_1samp(values, 1.0).pvalue)
    nearer = math.copysign(1.0, values.mean())
    assert p_at_bound(values, claim(Rule.EQUAL)) == pytest.approx(stats.ttest_1samp(values, nearer).pvalue)


def test_the_seeds_that_would_decide_do_so_in_four_of_five_cases():
    made, mean, deviation = claim(), 1.3, 1.0
    needed = seeds_needed(judged(spread(mean, deviation=deviation), made).estimate, spread(mean, deviation=deviation), made)
    draws = np.random.default_rng(1).normal(mean, deviation, (2_000, needed))
    found = np.mean([p_at_bound(row, made) < 0.05 and row.mean() > 1 for row in draws])
    assert abs(found - 0.8) < 4 * math.sqrt(0.16 / len(draws))


def test_more_seeds_than_there_are_would_decide_what_holms_correction_leaves_undecided():
    made = claim()
    tables = {"small": {"small": pd.DataFrame({"value": spread(1.12)})}}
    [alone] = judge([made], tables)
    one_of_many = judge([made] * 40, tables)[0]
    assert alone.verdict is Verdict.HOLDS
    assert one_of_many.verdict is Verdict.UNDECIDED
    assert one_of_many.needed > one_of_many.estimate.n
    few = {"small": {"small": pd.DataFrame({"value": [1.5, 2.5, 3.5]})}}
    [wide] = judge([made], few)
    assert wide.verdict is Verdict.UNDECIDED
    assert wide.needed > 3


def residuals(of: Claim) -> np.ndarray | None:
    """How the claim's shipped values lie about their mean, by the modern recipe; of the coarse grid if need be."""
    names = experiments.get(of.experiment).judged_tables
    tables = {}
    for name in names:
        files = [results.file_name(name, "modern", quick) for quick in (False, True)]
        there = [file for file in files if results.place(f"{file}.csv").exists()]
        if not there:
            return None
        tables[name] = results.read(there[0]).table
    [judgement] = judge([of], {of.experiment: tables})
    values = np.array(list(judgement.values.values()))
    return values - values.mean() if len(values) else None


@pytest.mark.parametrize("of", OVER_SEEDS, ids=lambda of: of.key)
def test_under_its_null_a_claim_holds_in_at_most_five_of_a_hundred_trials(of):
    """The null at its worst: a mean on the bound, with the spread of the shipped values, and no correction to help."""
    left = residuals(of)
    assert left is not None
    draws = np.random.default_rng(0).normal(0, left.std(ddof=1), (TRIALS, len(left)))
    at_bound = of.bound if of.rule is not Rule.EQUAL else of.margin
    made = replace(of, statistic=lambda tables: tables["rows"]["value"], control=None, choices=())
    verdicts = [judge([made], {of.experiment: {"rows": pd.DataFrame({"value": at_bound + row})}})[0].verdict for row in draws]
    assert sum(verdict is Verdict.HOLDS for verdict in verdicts) <= 0.05 * TRIALS


# The effect as the paper has it, fitted to its tables; where it prints no number, what its words would need to be seen on its
# charts, else three times the margin. In the claim's unit.
EFFECTS = {
    "figure1.sampling-at-least-scaling": 0.5,
    "figure1.sampling-more-at-high-rates": 1.0,
    "table1.rises-with-dropout": 0.97,
    "table1.rises-without-dropout": 0.51,
    "table1.more-with-dropout": 0.46,
    "table1.fluctuates-more": 4.5,
    "figure2.lower-with-dropout": 60.0,
    "figure2.vanilla-lowest": 50.0,
    "table2.rand-rises": 0.15,
    "table2.corrected-rises": 0.15,
    "table3.likeness-matters": 10.0,
    "onset.soon": 0.1,
    "onset.compression-follows": 20.0,
}


@pytest.mark.parametrize("of", OVER_SEEDS, ids=lambda of: of.key)
def test_under_the_papers_effect_a_claim_holds_in_most_trials_even_after_holm(of):
    """Twenty seeds, the spread of the shipped values, and the worst that Holm's correction can ask: all tests counted."""
    left = residuals(of)
    assert left is not None
    effect = {Rule.MORE: EFFECTS.get(of.key, 3 * of.margin), Rule.AT_LEAST: EFFECTS.get(of.key, 0.0), Rule.EQUAL: 0.0}[of.rule]
    draws = np.random.default_rng(0).normal(effect, left.std(ddof=1), (TRIALS, 20))
    found = [p_at_bound(row, of) * len(CLAIMS) < 0.05 and of.shows(mean_of(row)) for row in draws]
    assert np.mean(found) >= 0.8


def mean_of(row):
    from dropclust.core.intervals import mean_interval

    return mean_interval(row)


def test_claims_have_keys_of_their_own_and_belong_to_their_experiment():
    assert len({of.key for of in CLAIMS}) == len(CLAIMS)
    for name in experiments.NAMES:
        assert {of.experiment for of in experiments.get(name).claims} == {name}


def test_a_margin_must_be_something():
    with pytest.raises(ValueError, match=r"margin of small.claim must be above 0; got 0"):
        claim(margin=0)
