"""What is said of settling estimates: numbers chosen by hand, sentences against literals."""

import dataclasses
import math

import pytest

from dropclust.core.convergence import MASKS, Estimate
from dropclust.findings.settling import settled
from tests.findings.planted import settling as planted


def test_sentences_against_an_exact_value():
    shown = settled(planted(exact=True), 100)
    assert shown.logit.sentence == (
        "From 100 masks the logit for 8 is 2.10 ± 0.20, inside the band; with ever more masks it is exactly 2.00. 50 ± 20 % of "
        "the masks call it an 8. Test image 7, an 8, is the one of the first 20 of which the scaled "
        "network is least sure."
    )
    assert shown.mstd.sentence == (
        "From 100 masks a logit's spread is, on average (MSTD), 2.100 ± 0.200, inside the band; with ever more masks it is "
        "exactly 2.000."
    )
    assert shown.gap.sentence.endswith("all of it is Monte Carlo error: in the limit the two are equal.")
    assert [line.name for line in shown.gap.series] == ["to the scaled network", "falling as Monte Carlo error does"]
    assert (shown.numbers[1].name, shown.numbers[1].value) == ("Spread (MSTD)", "2.100 ± 0.200")
    assert all(number.about.endswith(".") for number in shown.numbers)
    # From the exact curve 0.5 / sqrt(n) the guide is that curve.
    assert shown.gap.series[1].mean == pytest.approx(shown.gap.series[0].mean)


def test_sentences_against_other_masks():
    shown = settled(planted(exact=False), 100)
    assert "inside the band; with ever more masks it is 2.000 ± 0.040 by 2,000 other masks." in shown.mstd.sentence
    assert shown.mstd.sentence.endswith(
        "With covariances, that is how neurons vary together, it gives 2.200 (+10.0 %), without 1.000 (-50.0 %)."
    )
    assert shown.accuracy.sentence == (
        "100 masks together classify 0.500 of 20 test images correctly; groups of as many classify 0.600 ± 0.020. With ever "
        "more masks it is 0.600 ± 0.000 by 2,000 other masks, scaled 0.610. Few masks are not only less sure but worse: one "
        "alone differs from the limit by -20.00 ± 0.40 percentage points, on average."
    )
    assert "At 1,000 masks that is 7.3 times what is left of Monte Carlo error: sampling and scaling do differ." in (
        shown.gap.sentence
    )


@pytest.mark.parametrize(
    ("alone", "error", "truth_error", "worse", "gap"),
    [
        (0.6592, 0.0005, 0.0, True, "-0.08 ± 0.02"),  # equal in three digits, and real
        (0.6592, 0.0025, 0.0, False, "-0.08 ± 0.10"),  # the same, within two errors of a mean over 25 masks
        (0.6592, 0.0005, 0.0005, False, "-0.08 ± 0.10"),  # the limit itself is not known so well
        (0.66, 0.0, 0.0, False, "0.00 ± 0.00"),
        (math.nextafter(0.66, 0.0), 0.0, 0.0, False, "0.00 ± 0.00"),  # rounding is no difference
        (0.67, 0.0005, 0.0, False, "+1.00 ± 0.02"),  # one alone is better
    ],
)
def test_few_masks_are_called_worse_only_where_it_shows(alone, error, truth_error, worse, gap):
    n = len(MASKS)
    line = Estimate((0.66,) * n, (alone, *(0.66,) * (n - 1)), (error,) * n, 0.66, truth_error)
    shown = settled(dataclasses.replace(planted(exact=True), accuracy=line), 1000).accuracy
    assert ("but worse" in shown.sentence) == worse
    assert ("not seen to be worse" in shown.sentence) != worse
    assert f"by {gap} percentage points" in shown.sentence
    assert "better" not in shown.title


def test_an_estimate_outside_its_band_is_not_called_inside():
    wild = planted(exact=True)
    narrow = dataclasses.replace(wild, mstd=dataclasses.replace(wild.mstd, error=(0.1,) * len(MASKS)))
    assert "outside the band" in settled(narrow, 10).mstd.sentence


def test_one_mask_has_no_spread():
    shown = settled(planted(exact=True), 1)
    assert shown.mstd.sentence == (
        "One mask has no spread. With ever more masks a logit's spread is, on average (MSTD), exactly 2.000."
    )
    assert (shown.numbers[1].name, shown.numbers[1].value) == ("Spread (MSTD)", "none")
    assert shown.accuracy.sentence.startswith(
        "One mask classifies 0.500 of 20 test images correctly; single masks classify 0.400"
    )


@pytest.mark.parametrize(("vote", "said"), [(1.0, "The mask calls it an 8."), (0.0, "The mask calls it something else.")])
def test_one_mask_has_one_answer(vote, said):
    found = dataclasses.replace(planted(exact=True), votes=(vote,) * len(MASKS))
    assert settled(found, 1).logit.sentence.startswith(
        f"From one mask the logit for 8 is 2.00 ± 2.00, inside the band; with ever more masks it is exactly 2.00. {said}"
    )


def test_wide_layers_are_said_to_be_propagated_without_covariances():
    sentence = settled(dataclasses.replace(planted(exact=False), propagated_jointly=None), 50).mstd.sentence
    assert sentence.endswith("Without covariances, that is how neurons vary together, it gives 1.000 (-50.0 %).")
    assert "With covariances" not in sentence


def test_masks_that_all_predict_the_same_cost_no_division_by_zero():
    zeros = (0.0,) * len(MASKS)
    still = Estimate(zeros, zeros, zeros, 0.0, 0.0)
    found = dataclasses.replace(planted(exact=False), mstd=still, to_scaled=zeros, to_limit=zeros, most_to_scaled=zeros)
    shown = settled(found, 100)
    assert shown.gap.sentence.endswith("All masks predict the same.")
    assert "it gives 2.200, without 1.000." in shown.mstd.sentence


def test_another_number_of_masks_costs_one_sentence():
    with pytest.raises(ValueError, match=r"masks must be one of 1, 2, 5, .*, 1000; got 3"):
        settled(planted(exact=True), 3)
