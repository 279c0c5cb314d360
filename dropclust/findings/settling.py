"""What is said of one network mask by mask: how its predictions settle with the number of masks, as curves and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dropclust.core.convergence import MASKS, REFERENCE, REPEATS, Estimate, Settling
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series
from dropclust.findings.words import Number


@dataclass(frozen=True)
class Settled:
    """What is said of a network at one number of masks: four charts, and the numbers in them."""

    logit: Curves
    mstd: Curves
    accuracy: Curves
    gap: Curves
    numbers: tuple[Number, ...]


def settled(settling: Settling, masks: int) -> Settled:
    """Everything that is said of one number of masks.

    Raises
    ------
    ValueError
        When ``masks`` is none of `dropclust.core.convergence.MASKS`.
    """
    if masks not in MASKS:
        raise ValueError(f"masks must be one of {', '.join(map(str, MASKS))}; got {masks!r}")
    at = MASKS.index(masks)
    numbers = (
        Number(
            "One logit",
            _with_error(settling.logit, at, 2),
            f"Test image {settling.image}'s, for its true class {settling.digit}.",
        ),
        Number(
            "Spread (MSTD)",
            "none" if math.isnan(settling.mstd.values[at]) else _with_error(settling.mstd, at, 3),
            "Mean sampling standard deviation: how far a logit scatters from mask to mask, on average over logits and images.",
        ),
        Number(
            "Accuracy",
            _with_error(settling.accuracy, at, 3),
            "The share of these images that the masks together classify correctly.",
        ),
        Number(
            "Distance to scaled",
            words.number(settling.to_scaled[at], 4),
            "How far sampled probabilities lie from the scaled network's, 0 to 1 (total variation), on average over images.",
        ),
    )
    return Settled(_logit(settling, at), _mstd(settling, at), _accuracy(settling, at), _gap(settling, at), numbers)


def _line(name: str, values: Sequence[float], meaning: Meaning) -> Series:
    return Series.plain(name, dict(zip(MASKS, values, strict=True)), meaning)


def _flat(name: str, value: float, meaning: Meaning) -> Series:
    return _line(name, (value,) * len(MASKS), meaning)


def _curves(
    settling: Settling,
    line: Estimate,
    at: int,
    titles: tuple[str, str],
    sentence: str,
    band: str | None = None,
    more: Sequence[Series] = (),
    brief: str = "",
) -> Curves:
    """The first masks and, around the centre of groups of as many, the band of two standard errors."""
    low, high = zip(*(line.band(i) for i in range(len(MASKS))), strict=True)
    band = band or ("exact" if settling.exact else f"{REFERENCE:,} other masks")
    name, meaning = f"{band} (band: 2 standard errors)", Meaning.EXACT if settling.exact else Meaning.LIMIT
    around = Series(name, MASKS, line.centre, low, high, 1, meaning)
    series = (_line("the first masks", line.values, Meaning.SAMPLED), around, *more)
    return Curves(titles[0], "number of masks", titles[1], series, sentence, marker=MASKS[at], brief=brief)


def _with_error(line: Estimate, at: int, digits: int) -> str:
    return words.give_or_take(line.values[at], 2 * line.error[at], digits)


def _masks(at: int) -> str:
    return "one mask" if MASKS[at] == 1 else words.count(MASKS[at], "mask")


def _where(line: Estimate, at: int) -> str:
    return f"{'inside' if line.inside(at) else 'outside'} the band"


def _limit(settling: Settling, line: Estimate, digits: int) -> str:
    if settling.exact:
        return f"exactly {words.number(line.truth, digits)}"
    return f"{words.give_or_take(line.truth, 2 * line.truth_error, digits)} by {REFERENCE:,} other masks"


def _logit(settling: Settling, at: int) -> Curves:
    line, digit = settling.logit, words.a_digit(settling.digit)
    vote, error = settling.votes[at], 2 * settling.vote_error[at]
    if MASKS[at] == 1:
        called = f"The mask calls it {digit if vote else 'something else'}."
    else:
        called = f"{words.give_or_take(100 * vote, 100 * error, 0)} % of the masks call it {digit}."
    sentence = (
        f"From {_masks(at)} the logit for {settling.digit} is {_with_error(line, at, 2)}, {_where(line, at)}; with ever more "
        f"masks it is {_limit(settling, line, 2)}. {called} Test image {settling.image}, {digit}, is the one of the first "
        f"{settling.images} of which the scaled network is least sure."
    )
    return _curves(settling, line, at, ("One logit settles", f"logit for {settling.digit}"), sentence, brief=called)


def _mstd(settling: Settling, at: int) -> Curves:
    line, limit = settling.mstd, _limit(settling, settling.mstd, 3)
    if math.isnan(line.values[at]):
        sentence = f"One mask has no spread. With ever more masks a logit's spread is, on average (MSTD), {limit}."
    else:
        sentence = (
            f"From {_masks(at)} a logit's spread is, on average (MSTD), {_with_error(line, at, 3)}, {_where(line, at)}; with "
            f"ever more masks it is {limit}."
        )
    more: tuple[Series, ...] = ()
    if not settling.exact:  # there moment propagation is exact too
        alone, jointly = settling.propagated, settling.propagated_jointly
        how, best = ("without", alone) if jointly is None else ("with", jointly)
        more = (_flat("without any mask (moment propagation)", best, Meaning.PROPAGATED),)
        sentence += (
            " Moment propagation draws no mask: it carries each neuron's mean and variance from layer to layer. "
            f"{words.capital(how)} covariances, that is how neurons vary together, it gives {_beside(best, line.truth)}"
            + (f", without {_beside(alone, line.truth)}." if jointly is not None else ".")
        )
    brief = f"With ever more masks a logit's spread is {words.number(line.truth, 3)}."
    return _curves(settling, line, at, ("The spread settles", "spread of logits (MSTD)"), sentence, more=more, brief=brief)


def _beside(value: float, truth: float) -> str:
    text = words.number(value, 3)
    return f"{text} ({words.percent(value / truth - 1, 1, signed=True)})" if truth else text


def _accuracy(settling: Settling, at: int) -> Curves:
    line = settling.accuracy
    who, others = (
        ("One mask classifies", "single masks classify")
        if MASKS[at] == 1
        else (f"{words.count(MASKS[at], 'mask')} together classify", "groups of as many classify")
    )
    sentence = (
        f"{who} {words.number(line.values[at], 3)} of {settling.images} test images correctly; {others} "
        f"{words.give_or_take(line.centre[at], 2 * line.error[at], 3)}. With ever more masks it is "
        f"{_limit(settling, line, 3)}, scaled {words.number(settling.scaled_accuracy, 3)}. {_one_alone(line)}"
    )
    scaled = _flat(Meaning.SCALED.value, settling.scaled_accuracy, Meaning.SCALED)
    brief = f"{who} {words.percent(line.values[at], 1)} of the images correctly."
    return _curves(settling, line, at, ("Accuracy settles", "accuracy"), sentence, "groups of as many", (scaled,), brief)


def _one_alone(accuracy: Estimate) -> str:
    """Whether single masks, on average over `REPEATS` of them, are worse than the limit, by more than twice its error."""
    difference = 100 * (accuracy.centre[0] - accuracy.truth)
    error = 200 * math.hypot(accuracy.error[0] / math.sqrt(REPEATS), accuracy.truth_error)
    worse = difference < -error and round(difference, 2) < 0  # two digits show it, and no rounding error is called one
    return (
        f"Few masks are {'not only less sure but worse' if worse else 'less sure, but not seen to be worse'}: one alone "
        f"differs from the limit by {words.give_or_take(difference, error, 2, signed=True)} percentage points, on average."
    )


def _gap(settling: Settling, at: int) -> Curves:
    masks_of_limit = math.inf if settling.exact else REFERENCE
    shape = [math.sqrt(1 / n + 1 / masks_of_limit) for n in MASKS]
    monte_carlo = [settling.to_limit[-1] * height / shape[-1] for height in shape]
    series = (
        _line("to the scaled network", settling.to_scaled, Meaning.SCALED),
        *(() if settling.exact else (_line("to its own limit", settling.to_limit, Meaning.LIMIT),)),
        _line("falling as Monte Carlo error does", monte_carlo, Meaning.CHANCE),
    )
    sentence = (
        f"Sampled with {_masks(at)}, probabilities differ from the scaled network's by "
        f"{words.number(settling.to_scaled[at], 4)} on average (total variation), a single one by at most "
        f"{words.number(settling.most_to_scaled[at], 3)}. "
    )
    if settling.exact:
        sentence += "With masks on the last hidden layer alone all of it is Monte Carlo error: in the limit the two are equal."
    elif not settling.to_limit[-1]:
        sentence += "All masks predict the same."
    else:
        ratio = settling.to_scaled[-1] / settling.to_limit[-1]
        verdict = "sampling and scaling do differ." if ratio > 2 else "most of it may be chance."
        sentence += (
            f"At {words.count(MASKS[-1], 'mask')} that is {words.number(ratio, 1)} times what is left of Monte Carlo error: "
            f"{verdict}"
        )
    title = "How far sampling is from scaling"
    brief = f"Sampled and scaled probabilities differ by {words.number(settling.to_scaled[at], 4)} on average."
    return Curves(title, "number of masks", "distance of probabilities", series, sentence, marker=MASKS[at], brief=brief)
