"""What is said of Figure 1: verdicts on planted differences, sentences against literals, the shipped tables."""

import math

import numpy as np
import pytest
from scipy import stats

from dropclust.core.spec import NOISES
from dropclust.experiments import results
from dropclust.findings import figure1
from dropclust.findings.figure1 import METRICS
from tests.findings.planted import PLANTED, SEEDS
from tests.findings.planted import figure1_table as table

ACCURACY = METRICS["accuracy"]


def test_a_verdict_finds_what_was_planted():
    found = figure1.compare(table(), "gaussian", ACCURACY)
    assert found.better == (0.2,)
    assert found.worse == (0.4,)
    assert found.equal == (0.4,)  # significantly worse, and by less than matters
    assert list(found.differences) == [0.2, 0.4, 0.6]  # without dropout the two are one network
    half = stats.t.ppf(0.975, SEEDS - 1) * np.std(PLANTED[0.6], ddof=1) / math.sqrt(SEEDS)
    assert found.differences[0.6].mean == pytest.approx(0.1)
    assert found.differences[0.6].high == pytest.approx(0.1 + half)


def test_where_lower_is_better_the_signs_turn():
    found = figure1.compare(table(), "bernoulli", METRICS["cross_entropy"])
    assert (found.better, found.worse) == ((0.2,), (0.4,))  # a better accuracy was planted with a lower cross-entropy
    assert figure1.compare(table(), "bernoulli", METRICS["brier"]).better == (0.2,)
    error = figure1.compare(table(), "bernoulli", METRICS["calibration_error"])
    assert (error.better, error.worse) == ((0.4,), (0.2,))


def test_one_seed_decides_nothing():
    found = figure1.compare(table({0.2: (5.0,)}), "bernoulli", ACCURACY)
    assert (found.better, found.worse, found.equal) == ((), (), ())
    sentence = figure1.figure1(table({0.0: (0.0,), 0.2: (5.0,)}), "bernoulli", ACCURACY).differences.sentence
    assert sentence.startswith(
        "Bernoulli noise, 1 rate above 0: by accuracy sampling is better at none, worse at none, with no significant "
        "difference at 1;"
    )
    assert "Largest difference, at 0.2: +5.00 percentage points (one seed: no interval)." in sentence


def test_seeds_are_paired_by_their_number_and_not_by_their_place():
    found = figure1.compare(table().sample(frac=1, random_state=3), "gaussian", ACCURACY)
    assert found == figure1.compare(table(), "gaussian", ACCURACY)


def test_the_sentence_of_the_differences_is_computed():
    shown = figure1.figure1(table(), "gaussian", ACCURACY)
    assert shown.differences.sentence == (
        "Gaussian noise, 3 rates above 0: by accuracy sampling is better at 1 (0.2), worse at 1 (0.4), with no significant "
        "difference at 1; equal within 0.1 percentage points at 1 (0.4). Largest difference, at 0.2: +0.60 percentage points "
        "(95 % interval +0.51 to +0.69, 5 seeds). Bernoulli: better at 1 (0.2), worse at 1 (0.4). DropConnect: better at 1 "
        "(0.2), worse at 1 (0.4). Each rate is judged alone, by its 95 % interval."
    )
    assert [line.name for line in shown.differences.series] == ["Gaussian", "Bernoulli", "DropConnect"]
    assert shown.differences.series[0].mean == pytest.approx((0.0, 0.6, -0.03, 0.1))


def test_a_noise_keeps_its_meaning_whichever_is_chosen():
    meanings = [
        {line.name: line.meaning for line in figure1.figure1(table(), noise, ACCURACY).differences.series} for noise in NOISES
    ]
    assert meanings[0] == meanings[1] == meanings[2]
    assert len(set(meanings[0].values())) == 3


def test_no_difference_is_not_called_one():
    flat = figure1.figure1(table({0.0: (0.0,) * 3, 0.5: (0.0, 0.0, 0.0)}), "bernoulli", ACCURACY)
    assert "better at none, worse at none" in flat.differences.sentence
    assert "equal within 0.1 percentage points at 1 (0.5)." in flat.differences.sentence


def test_the_levels_hide_the_answer_until_it_is_guessed():
    shown = figure1.figure1(table(), "bernoulli", ACCURACY)
    whole, asked = shown.levels, shown.question
    assert [line.name for line in whole.series] == ["one mask", "scaled", "sampled"]
    assert [line.name for line in asked.series] == ["one mask", "scaled"]
    assert whole.sentence == (
        "Bernoulli noise, 5 seeds: switching the noise off beats a single mask at 3 of 3 rates, by most at 0.6: 0.860 with one "
        "mask, 0.920 scaled, 0.921 sampled with 100 masks."
    )
    assert "sampled" not in asked.sentence


def test_a_metric_that_one_mask_does_not_have():
    shown = figure1.figure1(table(), "bernoulli", METRICS["cross_entropy"]).levels
    assert [line.name for line in shown.series] == ["scaled", "sampled"]
    assert "the scaled network's cross-entropy is best at 0: 0.100" in shown.sentence
    assert shown.y_range is None


def test_a_guess_is_answered():
    found = figure1.compare(table(), "bernoulli", ACCURACY)
    assert figure1.answered(1, found, ()) == "You expected 1 of 3 rates by accuracy with Bernoulli noise: right."
    assert figure1.answered(3, found, ()) == "You expected 3 of 3 rates by accuracy with Bernoulli noise: 2 too many."
    assert figure1.answered(0, found, (1, 2, 3)) == (
        "You expected 0 of 3 rates by accuracy with Bernoulli noise: 1 too few. 3 viewers before guessed 2.0 on average."
    )
    beside = figure1.figure1(table()).differences.sentence  # which rates they are
    assert beside.startswith("Bernoulli noise, 3 rates above 0: by accuracy sampling is better at 1 (0.2), worse at 1 (0.4), ")


# ---- over all rates


def test_the_three_ways_are_compared_over_all_rates():
    """One mask is a tenth of the rate below scaled, at 0.2, 0.4 and 0.6; sampled is above it by the planted mean."""
    whole = figure1.overall(table(), "gaussian")
    gains = [np.mean([PLANTED[rate][seed] for rate in (0.2, 0.4, 0.6)]) for seed in range(SEEDS)]
    assert whole.accuracy["scaled"].mean == pytest.approx(0.92)
    assert whole.accuracy["train"].mean == pytest.approx(0.88)
    assert whole.accuracy["sampled"].mean == pytest.approx(0.92 + np.mean(gains) / 100)
    values = [0.9 + seed / 100 + gain / 100 for seed, gain in enumerate(gains)]
    above = stats.t.ppf(0.975, SEEDS - 1) * np.std(values, ddof=1) / math.sqrt(SEEDS)
    assert whole.accuracy["sampled"].high == pytest.approx(np.mean(values) + above)
    assert whole.over_one_mask.mean == pytest.approx(4.0)
    half = stats.t.ppf(0.975, SEEDS - 1) * np.std(gains, ddof=1) / math.sqrt(SEEDS)
    assert whole.over_scaled.low == pytest.approx(np.mean(gains) - half)
    assert whole.sentence == (
        "Gaussian noise, on average over 3 rates above 0: accuracy is 0.880 (0.860 to 0.900) with one mask, as in training, "
        "0.920 (0.900 to 0.940) scaled and 0.922 (0.902 to 0.942) sampled. Scaling is more accurate than one mask: +4.00 "
        "percentage points (95 % interval +4.00 to +4.00, 5 seeds). Sampling shows no significant difference from scaling: "
        f"{np.mean(gains):+.2f} percentage points (95 % interval {np.mean(gains) - half:+.2f} to {np.mean(gains) + half:+.2f}, "
        "5 seeds)."
    )
    assert whole.table()["prediction"].tolist() == ["train", "scaled", "sampled"]


def test_a_seed_that_lacks_a_rate_is_left_out_of_the_average():
    rows = table()
    part = rows[~((rows["seed"] == 3) & (rows["dropout"] == 0.4) & (rows["prediction"] == "scaled"))]
    assert figure1.overall(part, "gaussian").over_scaled.n == SEEDS - 1


# ---- the shipped tables


@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_the_shipped_table_is_read(recipe):
    shown = figure1.read(recipe)
    assert shown.sentence == f"{shown.overall.sentence} {shown.differences.sentence}"
    assert len(shown.comparison.differences) == 8
    columns = shown.table().columns
    assert {"dropout rate", "scaled", "sampled - scaled, Bernoulli"} <= set(columns)
    assert len(shown.table()) == 9


def test_no_shipped_sentence_says_from_where_on_sampling_is_better():
    for recipe in ("modern", "paper"):
        for noise in NOISES:
            assert " on by" not in (text := figure1.read(recipe, noise=noise).sentence)
            assert "from 0." not in text.replace("from scaling", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"noise": "salt"}, "noise must be one of bernoulli, gaussian, dropconnect; got 'salt'"),
        ({"metric": "f"}, "metric must be one of accuracy, cross_entropy, brier, calibration_error; got 'f'"),
    ],
)
def test_what_is_not_known_costs_one_sentence(arguments, said):
    with pytest.raises(ValueError, match=said):
        figure1.read(**arguments)


def test_a_missing_table_costs_one_sentence(tmp_path):
    with pytest.raises(results.ResultError, match="the table figure1-modern is not there; make it again with"):
        figure1.read(root=tmp_path)
