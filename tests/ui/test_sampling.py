"""Sampling against scaling: verdicts on planted differences, estimates against exact values, sentences against literals."""

import dataclasses
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from dropclust.core import metrics, mnist, theory
from dropclust.core.network import Network
from dropclust.core.prediction import sample, scaled_logits
from dropclust.core.spec import MAIN_RECIPES, NOISES, RECIPES, RunSpec
from dropclust.experiments import figure1
from dropclust.service import tables
from dropclust.ui import charts, live, sampling
from dropclust.ui.sampling import MASKS, METRICS, Estimate
from tests.ui.test_pages import cache, finished, open_page, said, shipped  # noqa: F401

ACCURACY = METRICS["accuracy"]
SEEDS = 5
# Sampled - scaled in percentage points by rate, seed by seed: clearly better, clearly worse, equal, undecided, zero.
PLANTED = {
    0.0: (0.0,) * SEEDS,
    0.2: (0.5, 0.6, 0.7, 0.6, 0.6),
    0.4: (-0.04, -0.03, -0.02, -0.03, -0.03),
    0.6: (3.0, -3.0, 2.0, -2.0, 0.5),
}


def table(differences=PLANTED, noises=tuple(NOISES)) -> pd.DataFrame:
    """Scaled is 0.9 + seed / 100; one mask is a tenth of the rate below it; the other metrics grow with the rate."""
    rows = []
    for noise in noises:
        for rate, by_seed in differences.items():
            for seed, difference in enumerate(by_seed):
                scaled = 0.9 + seed / 100
                common = {"recipe": "modern", "seed": seed, "dropout": rate, "noise": noise}
                rows += [
                    common | {"prediction": "train", "accuracy": scaled - rate / 10},
                    common
                    | {"prediction": "scaled", "accuracy": scaled, "cross_entropy": 0.1 + rate, "calibration_error": 0.02},
                    common
                    | {
                        "prediction": "sampled",
                        "accuracy": scaled + difference / 100,
                        "cross_entropy": 0.1 + rate - difference / 10,
                        "calibration_error": 0.02 + difference / 100,
                    },
                ]
    return pd.DataFrame(rows)


# ---- Figure 1


def test_a_verdict_finds_what_was_planted():
    found = sampling.verdict(table(), "gaussian", ACCURACY)
    assert found.better == (0.2,)
    assert found.worse == (0.4,)
    assert found.equal == (0.4,)  # significantly worse, and by less than matters
    assert list(found.differences) == [0.2, 0.4, 0.6]  # without dropout the two are one network
    half = stats.t.ppf(0.975, SEEDS - 1) * np.std(PLANTED[0.6], ddof=1) / math.sqrt(SEEDS)
    assert found.differences[0.6].mean == pytest.approx(0.1)
    assert found.differences[0.6].high == pytest.approx(0.1 + half)


def test_where_lower_is_better_the_signs_turn():
    found = sampling.verdict(table(), "bernoulli", METRICS["cross_entropy"])
    assert (found.better, found.worse) == ((0.2,), (0.4,))  # a better accuracy was planted with a lower cross-entropy
    error = sampling.verdict(table(), "bernoulli", METRICS["calibration_error"])
    assert (error.better, error.worse) == ((0.4,), (0.2,))


def test_one_seed_decides_nothing():
    found = sampling.verdict(table({0.2: (5.0,)}), "bernoulli", ACCURACY)
    assert (found.better, found.worse, found.equal) == ((), (), ())
    sentence = sampling.figure_1(table({0.0: (0.0,), 0.2: (5.0,)}), "bernoulli", ACCURACY).difference.sentence
    assert sentence.startswith("Bernoulli, 1 seed, 1 rate above 0: by accuracy sampling is better at none, worse at none")
    assert "Furthest apart at 0.2: +5.00 percentage points (one seed: no interval)." in sentence


def test_seeds_are_paired_by_their_number_and_not_by_their_place():
    found = sampling.verdict(table().sample(frac=1, random_state=3), "gaussian", ACCURACY)
    assert found == sampling.verdict(table(), "gaussian", ACCURACY)


def test_the_sentence_of_the_differences_is_computed():
    shown = sampling.figure_1(table(), "gaussian", ACCURACY)
    assert shown.difference.sentence == (
        "Gaussian, 5 seeds, 3 rates above 0: by accuracy sampling is better at 1 (0.2), worse at 1 (0.4), and not told apart "
        "from scaling at 1; equal within 0.1 percentage points at 1. Furthest apart at 0.2: +0.60 percentage points (95 % "
        "interval +0.51 to +0.69). Bernoulli: better at 1, worse at 1. DropConnect: better at 1, worse at 1."
    )
    assert [line.name for line in shown.difference.series] == ["Gaussian", "Bernoulli", "DropConnect"]
    assert shown.difference.series[0].mean == pytest.approx((0.0, 0.6, -0.03, 0.1))


def test_a_noise_keeps_its_colour_whichever_is_chosen():
    roles = [
        {line.name: line.role for line in sampling.figure_1(table(), noise, ACCURACY).difference.series} for noise in NOISES
    ]
    assert roles[0] == roles[1] == roles[2]
    assert len(set(roles[0].values())) == 3


def test_no_difference_is_not_called_one():
    flat = sampling.figure_1(table({0.0: (0.0,) * 3, 0.5: (0.0, 0.0, 0.0)}), "bernoulli", ACCURACY)
    assert "better at none, worse at none" in flat.difference.sentence
    assert "equal within 0.1 percentage points at 1" in flat.difference.sentence


def test_the_levels_hide_the_answer_until_it_is_guessed():
    whole = sampling.levels(table(), "bernoulli", ACCURACY)
    asked = sampling.levels(table(), "bernoulli", ACCURACY, answer=False)
    assert [line.name for line in whole.series] == ["one mask, as in training", "scaled", f"sampled, {figure1.SAMPLES} masks"]
    assert [line.name for line in asked.series] == ["one mask, as in training", "scaled"]
    assert whole.sentence == (
        "Bernoulli noise, 5 seeds: switching the noise off beats a single mask at 3 of 3 rates, by most at 0.6: 0.860 with one "
        "mask, 0.920 scaled, 0.921 sampled."
    )
    assert "sampled" not in asked.sentence


def test_a_metric_that_one_mask_does_not_have():
    shown = sampling.levels(table(), "bernoulli", METRICS["cross_entropy"])
    assert [line.name for line in shown.series] == ["scaled", f"sampled, {figure1.SAMPLES} masks"]
    assert "the scaled network's cross-entropy is best at 0: 0.100" in shown.sentence
    assert shown.y_range is None


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_the_zero_line_is_drawn_with_the_differences(metric):
    info = sampling.figure_1(table(), "dropconnect", metric).difference
    figure = sampling.difference_figure(info)
    [zero] = figure.layout.shapes
    assert zero.y0 == zero.y1 == 0
    assert [line.name for line in figure.data if line.name] == [line.name for line in info.series]


def test_a_guess_is_answered():
    found = sampling.verdict(table(), "bernoulli", ACCURACY)
    assert sampling.answered(1, found, ()) == (
        "You expected sampling to be better by accuracy at 1 of 3 rates of Bernoulli noise: right. It is better at 1 (0.2) and "
        "worse at 1 (0.4)."
    )
    assert "at 3 of 3 rates of Bernoulli noise: 2 too many." in sampling.answered(3, found, ())
    text = sampling.answered(0, found, (1, 2, 3))
    assert "at 0 of 3 rates of Bernoulli noise: 1 too few." in text
    assert text.endswith("3 earlier guesses of this class have the mean 2.0.")


# ---- one network, mask by mask


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
def last(images) -> sampling.Settling:
    return sampling.settle(small(), *images, (0.0, 0.0, 0.5), "bernoulli")


@pytest.fixture(scope="module")
def every(images) -> sampling.Settling:
    return sampling.settle(small(), *images, (0.3, 0.3, 0.3), "bernoulli")


def test_on_the_last_layer_truths_are_the_closed_forms(images, last):
    x, _ = images
    network = small()
    assert last.exact
    assert last.mstd.truth == pytest.approx(theory.last_layer_mstd(network, x, 0.5), rel=1e-12)
    mean = theory.last_layer_moments(network, x, 0.5).mean[last.image, last.digit].item()
    assert last.logit.truth == pytest.approx(mean, rel=1e-12)
    assert last.logit.truth_error == last.mstd.truth_error == last.accuracy.truth_error == 0.0
    assert last.accuracy.truth == last.scaled_accuracy
    assert last.propagated == pytest.approx(last.mstd.truth)
    assert last.to_scaled == pytest.approx(last.to_limit, abs=1e-6)


def test_elsewhere_the_reference_is_near_all_masks_enumerated(images):
    x, y = images
    # All three layers have 2^18 masks, too many to run; the last two have 2^11.
    found = sampling.settle(small(), x, y, (0.0, 0.3, 0.3), "bernoulli")
    truth = theory.enumerate_masks(small(), x, (0.0, 0.3, 0.3))
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
    found = sampling.settle(small(noise), *images, (0.0, 0.0, 0.4), noise)
    few, many = found.to_scaled[MASKS.index(10)], found.to_scaled[MASKS.index(1000)]
    assert 4 < few / many < 25  # 10 on average
    bands = zip(found.mstd.values[3:], map(found.mstd.band, range(3, 10)), strict=True)
    inside = sum(low <= value <= high for value, (low, high) in bands)
    assert inside >= 5  # of 7, each with a chance of 95 %


def test_the_image_is_the_one_that_masks_dispute_most(images, every):
    x, y = images
    votes = torch.stack([sample(small(), x, 10, seed, 0.3).votes for seed in range(100)]).mean(0)
    assert every.image == int(votes.amax(1).argmin())
    assert every.digit == int(y[every.image])
    assert every.votes[-1] == pytest.approx(votes[every.image, every.digit].item(), abs=1e-5)
    assert every.vote_error[-1] == pytest.approx(math.sqrt(every.votes[-1] * (1 - every.votes[-1]) / 1000), rel=1e-3)
    assert np.allclose(every.pixels, x[every.image])


def test_wide_layers_are_propagated_without_covariances(images, monkeypatch):
    assert sampling.settle(small(), *images, (0.0, 0.0, 0.4), "bernoulli").propagated_jointly is not None
    monkeypatch.setattr(sampling, "PROPAGATE_WIDTH", 6)
    found = sampling.settle(small(), *images, (0.3, 0.3, 0.3), "bernoulli")
    assert found.propagated_jointly is None
    sentence = sampling.settling(found, 50).mstd.sentence
    assert f"Without covariances, that is how neurons vary together, it gives {found.propagated:.3f} (" in sentence
    assert "With covariances" not in sentence


def test_propagation_in_parts_is_propagation(images, every):
    x, _ = images
    whole = theory.propagate_moments(small(), x, 0.3, covariance=True).variance.sqrt().mean().item()
    assert every.propagated_jointly == pytest.approx(whole, rel=1e-12)
    assert every.propagated == pytest.approx(theory.propagate_moments(small(), x, 0.3).variance.sqrt().mean().item())


def test_wide_networks_are_tried_on_fewer_images():
    assert sampling.images_for((100, 100, 100)) == sampling.IMAGES
    assert 20 < sampling.images_for((400, 400, 400)) < sampling.IMAGES
    assert sampling.images_for((2000, 2000, 2000)) == 20


@pytest.mark.parametrize(
    ("drop", "rates"), [("as trained", (0.1, 0.0, 0.5)), ("all layers", (0.3, 0.3, 0.3)), ("last layer", (0.0, 0.0, 0.3))]
)
def test_where_masks_are_put(drop, rates):
    assert sampling.rates_for(RunSpec(dropout=(0.1, 0.0, 0.5)), drop, 0.3) == rates


def planted(exact: bool) -> sampling.Settling:
    """Numbers chosen by hand: the estimate of 100 masks lies inside its band, that of 10 outside."""
    n = len(MASKS)
    error = tuple(1 / math.sqrt(masks) for masks in MASKS)
    values = tuple(2.5 if masks == 10 else 2.1 if masks == 100 else 2.0 for masks in MASKS)
    line = Estimate(values, (2.0,) * n, error, 2.0, 0.0 if exact else 0.02)
    worse = Estimate((0.5,) * n, (0.4, *(0.6,) * (n - 1)), (0.01,) * n, 0.6, 0.0)
    mstd = dataclasses.replace(line, values=(math.nan, *values[1:]))
    gap = tuple(0.5 / math.sqrt(masks) for masks in MASKS)
    return sampling.Settling(
        exact, 20, 7, 8, (0.0,) * 784, line, mstd, worse, 0.61, (0.5,) * n, (0.1,) * n,
        gap if exact else tuple(0.1 + each for each in gap), gap, (0.3,) * n, 1.0, 2.2,
    )  # fmt: skip


def test_sentences_against_an_exact_value():
    shown = sampling.settling(planted(exact=True), 100)
    assert shown.logit.sentence == (
        "Test image 7, an 8, is the one of the first 20 whose leading answer gets the fewest votes. Its logit for 8 is 2.10 ± "
        "0.20 from 100 masks, inside the band, and exactly 2.00. 50% ± 20% of the masks call it an 8."
    )
    assert shown.mstd.sentence == (
        "A logit's spread over masks, on average (MSTD), is 2.100 ± 0.200 from 100 masks, inside the band, and exactly 2.000."
    )
    assert shown.gap.sentence.endswith("all of it is Monte Carlo error: in the limit the two are equal.")
    assert [line.name for line in shown.gap.series] == ["to the scaled network", "falling as Monte Carlo error does"]
    assert shown.numbers[1][:2] == ("Spread (MSTD)", "2.100 ± 0.200")
    assert all(about.endswith(".") for _, _, about in shown.numbers)
    # From the exact curve 0.5 / sqrt(n) the guide is that curve.
    assert shown.gap.series[1].mean == pytest.approx(shown.gap.series[0].mean)


def test_sentences_against_other_masks():
    shown = sampling.settling(planted(exact=False), 100)
    assert "inside the band, and 2.000 ± 0.040 by 2,000 other masks." in shown.mstd.sentence
    assert shown.mstd.sentence.endswith(
        "With covariances, that is how neurons vary together, it gives 2.200 (+10.0%), without 1.000 (-50.0%)."
    )
    assert shown.accuracy.sentence == (
        "100 masks together read 0.500 of 20 test images rightly; groups of as many read 0.600 ± 0.020; in the limit it is "
        "0.600 ± 0.000 by 2,000 other masks, and scaled 0.610. Few masks are not only less sure but worse: one alone "
        "differs from the limit by -20.00 ± 0.40 percentage points, on average."
    )
    assert "At 1,000 masks that is 7.3 times what is left of Monte Carlo error: the two ways to predict do differ." in (
        shown.gap.sentence
    )


@pytest.mark.parametrize(
    ("alone", "error", "truth_error", "worse", "gap"),
    [
        (0.6592, 0.0005, 0.0, True, "-0.08 ± 0.02"),  # equal in three digits, and real
        (0.6592, 0.0025, 0.0, False, "-0.08 ± 0.10"),  # the same, within two errors of a mean over 25 masks
        (0.6592, 0.0005, 0.0005, False, "-0.08 ± 0.10"),  # the limit itself is not known so well
        (0.66, 0.0, 0.0, False, "+0.00 ± 0.00"),
        (math.nextafter(0.66, 0.0), 0.0, 0.0, False, "+0.00 ± 0.00"),  # rounding is no difference
        (0.67, 0.0005, 0.0, False, "+1.00 ± 0.02"),  # one alone is better
    ],
)
def test_few_masks_are_called_worse_only_where_it_shows(alone, error, truth_error, worse, gap):
    n = len(MASKS)
    line = Estimate((0.66,) * n, (alone, *(0.66,) * (n - 1)), (error,) * n, 0.66, truth_error)
    shown = sampling.settling(dataclasses.replace(planted(exact=True), accuracy=line), 1000).accuracy
    assert ("but worse" in shown.sentence) == worse
    assert ("not seen to be worse" in shown.sentence) != worse
    assert f"by {gap} percentage points" in shown.sentence
    assert "better" not in shown.title


def test_an_estimate_outside_its_band_is_not_called_inside():
    wild = planted(exact=True)
    narrow = dataclasses.replace(wild, mstd=dataclasses.replace(wild.mstd, error=(0.1,) * len(MASKS)))
    assert "outside the band" in sampling.settling(narrow, 10).mstd.sentence


def test_one_mask_has_no_spread():
    shown = sampling.settling(planted(exact=True), 1)
    assert shown.mstd.sentence == ("One mask has no spread; over masks a logit's spread is, on average (MSTD), exactly 2.000.")
    assert shown.numbers[1][:2] == ("Spread (MSTD)", "none")
    assert shown.accuracy.sentence.startswith("One mask reads 0.500 of 20 test images rightly; single masks read 0.400")


@pytest.mark.parametrize(("vote", "said"), [(1.0, "The mask calls it an 8."), (0.0, "The mask calls it something else.")])
def test_one_mask_has_one_answer(vote, said):
    found = dataclasses.replace(planted(exact=True), votes=(vote,) * len(MASKS))
    assert sampling.settling(found, 1).logit.sentence.endswith(f"from one mask, inside the band, and exactly 2.00. {said}")


def test_a_band_is_two_errors_of_estimate_and_truth():
    line = Estimate((1.0,), (2.0,), (0.3,), 2.0, 0.4)
    assert line.band(0) == pytest.approx((1.0, 3.0))


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("exact", [True, False])
def test_every_number_of_masks_is_drawn_where_it_lies(masks, exact):
    shown = sampling.settling(planted(exact), masks)
    for info in (shown.logit, shown.mstd, shown.accuracy, shown.gap):
        figure = sampling.settling_figure(info, log_y=info is shown.gap)
        [marker] = figure.layout.shapes
        assert marker.x0 == masks
        assert figure.layout.xaxis.type == "log"
        assert info.table()["number of masks"].tolist() == list(MASKS)
        assert isinstance(info, charts.Curves)


def styles(figure) -> dict[str, tuple[str, str, str]]:
    return {
        line.name: (line.line.color, line.line.dash, line.marker.symbol)
        for line in figure.data
        if line.type == "scatter" and line.name
    }


def test_scaled_and_sampled_look_the_same_on_all_charts():
    everywhere = [styles(sampling.curves_figure(sampling.levels(table(), "bernoulli", metric))) for metric in METRICS.values()]
    everywhere.append(styles(sampling.curves_figure(sampling.levels(table(), "bernoulli", ACCURACY, answer=False))))
    settling = sampling.settling(planted(exact=False), 10)
    everywhere += [styles(sampling.settling_figure(info)) for info in (settling.logit, settling.mstd, settling.accuracy)]
    info = sampling.reliable(dict.fromkeys(("scaled", "sampled (geometric mean)", "arithmetic mean"), torch.eye(10)), DIGITS)
    everywhere.append(styles(sampling.reliability_figure(info)))
    looks = {
        meaning: {style for chart in everywhere for name, style in chart.items() if name.startswith(begins)}
        for meaning, begins in (("scaled", "scaled"), ("sampled", ("sampled", "the first masks")), ("one mask", "one mask"))
    }
    assert [len(styles) for styles in looks.values()] == [1, 1, 1]
    assert len({dash for found in looks.values() for _, dash, _ in found}) == 3
    for chart in everywhere:
        assert len(set(chart.values())) == len(chart)  # told apart


def test_a_noise_keeps_its_line_whichever_is_chosen():
    drawn = [styles(sampling.difference_figure(sampling.figure_1(table(), noise, ACCURACY).difference)) for noise in NOISES]
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn[0].values())) == 3


# ---- how far confidence can be trusted

DIGITS = torch.arange(10)


def test_reliability_counts_what_was_planted():
    """Ten images at confidence 0.95, nine right; ten at 0.55, five right."""
    probs = torch.full((20, 10), 0.05 / 9)
    probs[:, 0] = 0.95
    probs[10:] = 0.05
    probs[10:, 0] = 0.55
    y = torch.tensor([0] * 9 + [1] + [0] * 5 + [1] * 5)
    info = sampling.reliable({"scaled": probs, "sure": torch.eye(10)[y]}, y)
    low, high = info.bins[0], info.bins[1]
    assert (low.images, low.accuracy, high.images, high.accuracy) == (10, 0.5, 10, 0.9)
    assert high.confidence == pytest.approx(0.95)
    assert info.errors == pytest.approx({"scaled": 0.05, "sure": 0.0})
    assert info.sentence == (
        "Expected calibration error, percentage points: scaled 5.00, sure 0.00; sure is best calibrated. Of 20 test images 10 "
        "(scaled), 20 (sure) have a confidence above 90%."
    )
    wilson = stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert (high.low, high.high) == pytest.approx((wilson.low, wilson.high), rel=1e-6)
    assert info.table()["images"].tolist() == [10, 10, 20]


def test_one_way_to_predict_is_not_called_best():
    info = sampling.reliable({"scaled": torch.eye(10)}, torch.arange(10))
    assert "best" not in info.sentence
    [only] = info.bins
    assert (only.accuracy, only.high) == pytest.approx((1.0, 1.0))
    assert only.low == pytest.approx(stats.binomtest(10, 10).proportion_ci(method="wilson").low)


def test_bins_of_a_few_images_are_counted_and_not_drawn_as_points():
    probs = torch.full((12, 10), 0.05 / 9)
    probs[:, 0] = 0.95
    probs[0] = 0.05
    probs[0, 0] = 0.55
    info = sampling.reliable({"scaled": probs}, torch.zeros(12, dtype=torch.int64))
    points, bars = sampling.reliability_figure(info).data[1:]
    assert list(points.x) == pytest.approx([0.95])
    assert list(bars.y) == [1, 11]


# ---- the page


@pytest.fixture
def page(shipped, monkeypatch, data):  # noqa: F811
    """The shipped results, a Figure 1 of planted differences, and few images, so that masks are drawn fast."""
    monkeypatch.setattr(mnist, "load", lambda root=None: data)
    for recipe in ("modern", "paper"):
        made_by = {"command": f"python -m dropclust reproduce figure1 --recipe {recipe}"}
        tables.write(shipped / "results", f"figure1-{recipe}", table(PLANTED if recipe == "modern" else FLAT), made_by)
    monkeypatch.setattr(sampling, "images_for", lambda hidden: 20)
    return shipped


FLAT = {0.0: (0.0,) * SEEDS, 0.2: (0.0,) * SEEDS}


def button(app, label):
    return next(each for each in app.button if each.label.startswith(label))


def test_the_page_asks_first_and_tells_afterwards(page):
    app = open_page("sample.py")
    assert "Guess first." in said(app)
    assert "sampling is better at" not in said(app)
    next(each for each in app.slider if each.label == "Rates at which sampling is better").set_value(3)
    button(app, "That is my guess").click().run()
    assert "Guess first." not in said(app)
    assert [each.value for each in app.success] == [
        "You expected sampling to be better by accuracy at 3 of 3 rates of Bernoulli noise: 2 too many. It is better at 1 "
        "(0.2) and worse at 1 (0.4)."
    ]
    assert "by accuracy sampling is better at 1 (0.2), worse at 1 (0.4)" in said(app)


def choose(app, parameter, value):
    next(each for each in app.segmented_control if each.key == parameter).set_value(value).run()


def guess(app, value):
    next(each for each in app.slider if each.label == "Rates at which sampling is better").set_value(value)
    button(app, "That is my guess").click().run()


@pytest.mark.parametrize(
    ("parameter", "first", "other", "told"),
    [
        ("recipe", "modern", "paper", "by accuracy at 0 of 1 rates of Bernoulli noise"),
        ("noise", "bernoulli", "dropconnect", "by accuracy at 0 of 3 rates of DropConnect noise"),
        ("metric", "accuracy", "calibration_error", "by calibration error at 0 of 3 rates of Bernoulli noise"),
    ],
)
def test_a_guess_is_of_the_question_it_was_asked_for(page, parameter, first, other, told):
    app = open_page("sample.py")
    guess(app, 3)
    choose(app, parameter, other)
    assert "Guess first." in said(app)
    assert not app.success
    assert "sampling is better at" not in said(app)
    guess(app, 0)
    [answer] = [each.value for each in app.success]
    assert told in answer
    assert "earlier guesses" not in answer  # of this question there are none
    choose(app, parameter, first)
    [answer] = [each.value for each in app.success]
    assert "by accuracy at 3 of 3 rates of Bernoulli noise: 2 too many." in answer
    assert "earlier guesses" not in answer
    choose(app, parameter, other)
    assert told in app.success[0].value


def test_a_class_sees_the_others_guesses_of_the_same_question(page):
    app = open_page("sample.py")
    sampling.guesses("modern", "bernoulli", "accuracy").add(2)
    sampling.guesses("modern", "gaussian", "accuracy").add(0)
    guess(app, 3)
    sampling.guesses("modern", "bernoulli", "accuracy").add(1)  # of somebody who guesses later
    assert app.run().success[0].value.endswith("2 earlier guesses of this class have the mean 1.5.")


def test_a_skipped_guess_is_not_answered_and_nothing_more_is_asked(page):
    app = open_page("sample.py")
    button(app, "Skip").click().run()
    assert not app.success
    assert "by accuracy sampling is better at 1 (0.2)" in said(app)
    assert app.query_params["guess"] == "off"
    choose(app, "recipe", "paper")
    assert "Guess first." not in said(app)
    assert not app.success


def test_a_link_that_says_not_to_ask_asks_no_question(page):
    app = open_page("sample.py", guess="off")
    for parameter, other in (("recipe", "paper"), ("noise", "gaussian"), ("metric", "cross_entropy")):
        choose(app, parameter, other)
        assert "Guess first." not in said(app)


def test_the_page_says_what_its_words_mean(page):
    app = open_page("sample.py", guess="off")
    text = said(app)
    assert "geometric mean of the probabilities that they give (section 3.1), which is meant by *sampled* on this page" in text
    assert "What is chosen above is of Figure 1 alone." in text
    labels = [each.label for kind in (app.select_slider, app.number_input) for each in kind]
    assert len(labels) == len(set(labels)) == 2
    [recipe] = [each for each in app.segmented_control if each.key == "recipe"]
    assert "README" not in recipe.help
    modern, paper = (recipe.help.partition(name)[2].partition(". ")[0] for name in ("Modern: ", "Paper: "))
    rates = [float(re.search(r"at (\de-\d)", text).group(1)) for text in (modern, paper)]
    assert rates == [RECIPES[name].learning_rate for name in MAIN_RECIPES]
    assert {each.label: each.help for each in app.metric}["Spread (MSTD)"].startswith("Mean sampling standard deviation")
    assert sampling.CALIBRATION.partition(": ")[2].capitalize() in text


def test_recipe_noise_and_metric_choose_what_is_shown(page):
    app = open_page("sample.py", guess="off", recipe="paper", noise="DropConnect", metric="cross-entropy")
    assert "DropConnect, 5 seeds, 1 rate above 0: by cross-entropy sampling is better at none, worse at none" in said(app)


def test_the_number_of_masks_changes_the_numbers(page):
    app = open_page("sample.py", guess="off", masks="10")
    few = {each.label: each.value for each in app.metric}["Spread (MSTD)"]
    assert "from 10 masks" in said(app)
    next(each for each in app.select_slider if each.label == "Masks in these charts").set_value(1000).run()
    many = {each.label: each.value for each in app.metric}["Spread (MSTD)"]
    assert "from 1,000 masks" in said(app)
    assert float(many.split("±")[1]) == pytest.approx(float(few.split("±")[1]) / 10, abs=0.002)


def test_the_viewers_own_run_dropped_on_its_last_layer_has_exact_values(page, data):
    one = finished(hidden=(9, 8, 7), dropout=(0.0, 0.0, 0.5), noise="gaussian")
    live.store().put(one)
    app = open_page("sample.py", guess="off", run=one.key)
    text = said(app)
    exact = theory.last_layer_mstd(one.network(), data.test_x[:20], 0.5, "gaussian")
    assert f"and exactly {exact:.3f}." in text
    assert "in the limit the two are equal" in text
    assert "A control" not in text
    assert one.key in app.query_params["run"]


def test_masks_on_the_last_layer_alone_are_a_control(page):
    text = said(open_page("sample.py", guess="off", drop="last layer", rate="0.5"))
    assert "A control: trained with dropout 0.4, sampled with other masks." in text
    assert "in the limit the two are equal" in text


def test_a_network_without_dropout_has_nothing_to_sample_and_can_be_sampled_as_a_control(page):
    one = finished(hidden=(9, 8, 7), dropout=(0.0, 0.0, 0.0))
    live.store().put(one)
    app = open_page("sample.py", guess="off", run=one.key)
    assert "Without dropout every mask is the same, so there is nothing to sample." in said(app)
    assert "masks together read" not in said(app)
    assert "scaled" in said(app)
    button(app, "Sample it at 0.4 on all layers").click().run()
    assert "A control: trained with dropout 0, sampled with other masks." in said(app)
    assert "50 masks together read" in said(app)


def test_a_rate_of_zero_has_nothing_to_sample_either(page):
    app = open_page("sample.py", guess="off", drop="all layers", rate="0")
    assert "there is nothing to sample" in said(app)
    assert not [each for each in app.button if each.label.startswith("Sample it")]


def test_what_cannot_be_costs_one_sentence_each(page):
    app = open_page(
        "sample.py", guess="off", masks="0", rate="1", noise="laplace", metric="f", drop="first", recipe="x", run="0" * 64
    )
    assert [each.value for each in app.warning] == [
        "Recipe must be one of modern, paper; the address gave 'x'. Shown instead: modern.",
        "Noise must be one of Bernoulli, Gaussian, DropConnect; the address gave 'laplace'. Shown instead: Bernoulli.",
        "Measured by must be one of accuracy, cross-entropy, calibration error; the address gave 'f'. Shown instead: accuracy.",
        "Masks on must be one of as trained, all layers, last layer; the address gave 'first'. Shown instead: as trained.",
        "Dropout rate must be from 0.0 to 0.95; the address gave '1'. Shown instead: 0.4.",
        "Masks in these charts must be one of 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000; the address gave '0'. Shown instead: "
        "50.",
        "No run 000000000000 is known here. Shown instead: another.",
    ]
    assert "50 masks together read" in said(app)


def test_a_million_masks_cost_one_sentence(page):
    app = open_page("sample.py", guess="off", masks="1000000")
    [warning] = app.warning
    assert "the address gave '1000000'. Shown instead: 50." in warning.value


def test_without_figure_1_the_networks_are_still_there(page):
    (page / "results" / "figure1-modern.csv").unlink()
    text = said(open_page("sample.py", guess="off"))
    assert "The table figure1-modern is not there" in text
    assert "50 masks together read" in text


def test_without_images_the_page_says_which_file_is_missing(page, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("DROPCLUST_CACHE", str(page))
    (page / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    text = said(open_page("sample.py", guess="off"))
    assert "Masks need images: the MNIST file t10k-labels-idx1-ubyte.gz is missing" in text
    assert "by accuracy sampling is better" in text


def test_without_any_run_the_page_points_to_training(cache):  # noqa: F811
    assert "No network is stored yet: train one on the Train page." in said(open_page("sample.py", guess="off"))


def test_opening_a_run_that_is_gone_is_an_error_of_its_own(page):
    with pytest.raises(LookupError, match="the run 000000000000 is not in the store"):
        sampling.settled("0" * 64, (0.0, 0.0, 0.5))
