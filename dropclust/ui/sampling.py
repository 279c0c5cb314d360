"""Sampling against scaling: what the page shows of Figure 1, of one network mask by mask, and of its confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from dropclust.core.intervals import Interval, equivalent, paired_difference
from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments import results
from dropclust.experiments.figure1 import SAMPLES
from dropclust.findings.guess import Guesses
from dropclust.ui import charts, live
from dropclust.ui.charts import CHANCE, MEASURED, PAPER, SECOND, Curves, Series

if TYPE_CHECKING:
    from torch import Tensor

    from dropclust.core.network import Network

TRAIN, PROPAGATED = 4, 3  # colours of the palette that no other page has given a meaning
# A colour, and so a meaning, has one dash and one marker on all charts of the page: MEASURED is scaled, PAPER sampled.
_STYLES = {
    MEASURED: ("solid", "circle"),
    PAPER: ("dash", "square"),
    SECOND: ("dot", "diamond"),
    TRAIN: ("dashdot", "triangle-up"),
    PROPAGATED: ("longdash", "x"),
    CHANCE: ("dash", "star"),
}
CALIBRATION = (
    "Expected calibration error: how far the confidence of an answer lies from the share of such answers that is right, on "
    "average over images. 0 would be as often right as sure."
)


def noise_name(noise: str) -> str:
    """A noise in one word."""
    return NOISES[noise].split(" ")[0]


def curves_figure(info: Curves, height: int = 400) -> go.Figure:
    """Draw curves, each in the one line style that its meaning has on this page."""
    figure = charts.curves(info, height)
    for line in info.series:
        dash, symbol = _STYLES[line.role]
        figure.update_traces(line_dash=dash, marker_symbol=symbol, selector={"name": line.name})
    return figure


# ---- Figure 1: three ways to predict against the rate --------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """A figure of Figure 1's table: how it is written, the unit of its differences, and when two of them count as equal."""

    column: str
    name: str
    axis: str
    unit: str
    scale: float  # from the table's unit to that of differences
    margin: float  # in the unit of differences
    digits: int  # of differences
    higher_is_better: bool


METRICS = {
    each.column: each
    for each in (
        Metric("accuracy", "accuracy", "accuracy", "percentage points", 100, 0.1, 2, True),
        Metric("cross_entropy", "cross-entropy", "cross-entropy, nats", "nats", 1, 0.01, 3, False),
        Metric("calibration_error", "calibration error", "expected calibration error", "percentage points", 100, 0.5, 2, False),
    )
}


@dataclass(frozen=True)
class Verdict:
    """Sampling against scaling at each rate above 0, by differences paired by seed.

    ``better`` and ``worse`` are the rates whose 95 % interval lies on one side of zero, ``equal`` those that two one-sided
    tests find equal within the metric's margin (a rate may be in both); ``differences`` holds sampled - scaled by rate.
    """

    noise: str
    metric: Metric
    differences: Mapping[float, Interval]
    better: tuple[float, ...]
    worse: tuple[float, ...]
    equal: tuple[float, ...]


def _paired(table: pd.DataFrame, noise: str, metric: Metric) -> pd.DataFrame:
    """A row a rate and seed: ``scaled``, ``sampled`` and ``difference``, in the unit of the metric's differences."""
    part = table[(table["noise"] == noise) & table["prediction"].isin(["scaled", "sampled"])]
    wide = part.pivot_table(index=["dropout", "seed"], columns="prediction", values=metric.column) * metric.scale
    return wide.assign(difference=wide["sampled"] - wide["scaled"]).reset_index()


def _by_rate(table: pd.DataFrame) -> dict[float, pd.DataFrame]:
    """The rows of each rate above 0."""
    return {rate: table[table["dropout"] == rate] for rate in sorted(table["dropout"].unique().tolist()) if rate > 0}


def verdict(table: pd.DataFrame, noise: str, metric: Metric) -> Verdict:
    """At which rates sampling is better, worse, or equal within the margin."""
    found = _by_rate(_paired(table, noise, metric))
    differences = {at: paired_difference(part["sampled"], part["scaled"]) for at, part in found.items()}
    above = tuple(at for at, each in differences.items() if each.low > 0)
    below = tuple(at for at, each in differences.items() if each.high < 0)
    equal = tuple(at for at, part in found.items() if equivalent(part["sampled"], part["scaled"], metric.margin).equivalent)
    better, worse = (above, below) if metric.higher_is_better else (below, above)
    return Verdict(noise, metric, differences, better, worse, equal)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _at(rates: Sequence[float]) -> str:
    """How many rates, and which: "2 (0.1 and 0.2)"."""
    if not rates:
        return "none"
    *first, last = (f"{rate:g}" for rate in rates)
    return f"{len(rates)} ({', '.join(first) + ' and ' if first else ''}{last})"


@dataclass(frozen=True)
class Figure1Charts:
    """What is shown of one noise and metric: the levels, the paired differences of all noises, the verdict on the one."""

    levels: Curves
    difference: Curves
    verdict: Verdict


def figure_1(table: pd.DataFrame, noise: str, metric: Metric) -> Figure1Charts:
    """Everything of one noise and metric."""
    verdicts = [verdict(table, each, metric) for each in sorted(NOISES, key=lambda each: each != noise)]
    return Figure1Charts(levels(table, noise, metric), _difference_curves(table, metric, verdicts), verdicts[0])


def levels(table: pd.DataFrame, noise: str, metric: Metric, answer: bool = True) -> Curves:
    """A metric against the rate, as in training (one mask), scaled and, unless it is still to be guessed, sampled."""
    part = table[table["noise"] == noise]
    ways = (
        ("one mask, as in training", "train", TRAIN),
        ("scaled", "scaled", MEASURED),
        (f"sampled, {SAMPLES} masks", "sampled", PAPER),
    )
    series = {
        way: Series.of(name, part[part["prediction"] == way], "dropout", metric.column, role)
        for name, way, role in ways
        if part.loc[part["prediction"] == way, metric.column].notna().any()
    }
    shown = tuple(line for way, line in series.items() if answer or way != "sampled")
    scaled = series["scaled"]
    sentence = f"{noise_name(noise)} noise, {_count(scaled.n, 'seed')}: "
    if "train" in series:
        wide = part.pivot_table(index=["dropout", "seed"], columns="prediction", values=metric.column).reset_index()
        gains = {at: paired_difference(each["scaled"], each["train"]) for at, each in _by_rate(wide).items()}
        most = max(gains, key=lambda at: gains[at].mean)
        sentence += (
            f"switching the noise off beats a single mask at {sum(each.low > 0 for each in gains.values())} of {len(gains)} "
            f"rates, by most at {most:g}: {series['train'].at(most).mean:.3f} with one mask, {scaled.at(most).mean:.3f} scaled"
            + (f", {series['sampled'].at(most).mean:.3f} sampled." if answer else ".")
        )
    else:
        best = (max if metric.higher_is_better else min)(scaled.x, key=lambda x: scaled.at(x).mean)
        sentence += f"the scaled network's {metric.name} is best at {best:g}: {scaled.at(best).text()}."
    axis = metric.axis if metric.column != "accuracy" else "accuracy on the test images"
    return Curves(
        f"{metric.name.capitalize()} against the rate", "dropout rate", axis, shown, sentence,
        y_range=(0, 1) if metric.column == "accuracy" else None,
    )  # fmt: skip


def _difference_curves(table: pd.DataFrame, metric: Metric, verdicts: Sequence[Verdict]) -> Curves:
    """Sampled - scaled by seed for all noises, the chosen one first."""
    roles = dict(zip(NOISES, (MEASURED, SECOND, PROPAGATED), strict=True))
    series = tuple(
        Series.of(noise_name(each.noise), _paired(table, each.noise, metric), "dropout", "difference", roles[each.noise])
        for each in verdicts
    )
    chosen, *others = verdicts
    n = next(iter(chosen.differences.values())).n
    rates = len(chosen.differences)
    sentence = (
        f"{noise_name(chosen.noise)}, {_count(n, 'seed')}, {_count(rates, 'rate')} above 0: by {metric.name} sampling is "
        f"better at {_at(chosen.better)}, worse at {_at(chosen.worse)}, and not told apart from scaling at "
        f"{rates - len(chosen.better) - len(chosen.worse)}; equal within {metric.margin:g} {metric.unit} at "
        f"{len(chosen.equal)}. "
    )
    largest = max(chosen.differences, key=lambda at: abs(chosen.differences[at].mean))
    sentence += f"Furthest apart at {largest:g}: {_signed(chosen.differences[largest], metric)}. "
    sentence += " ".join(
        f"{noise_name(each.noise)}: better at {len(each.better)}, worse at {len(each.worse)}." for each in others
    )
    side = "above" if metric.higher_is_better else "below"
    return Curves("Sampled less scaled", "dropout rate", f"{metric.unit} ({side} 0: better)", series, sentence)


def _signed(difference: Interval, metric: Metric) -> str:
    mean, low, high = (f"{value:+.{metric.digits}f}" for value in (difference.mean, difference.low, difference.high))
    spread = "one seed: no interval" if difference.n == 1 else f"95 % interval {low} to {high}"
    return f"{mean} {metric.unit} ({spread})"


def difference_figure(info: Curves, height: int = 380) -> go.Figure:
    """Draw differences with the line where there is none."""
    figure = curves_figure(info, height)
    figure.add_hline(0, line={"color": charts.palette()[CHANCE], "width": 3, "dash": "dash"})
    return figure


def answered(guess: int, found: Verdict, others: Sequence[float]) -> str:
    """A guess at how many rates sampling is better, the answer, and what the class guessed before."""
    right = len(found.better)
    how = "right" if guess == right else f"{abs(guess - right)} too {'many' if guess > right else 'few'}"
    sentence = (
        f"You expected sampling to be better by {found.metric.name} at {guess} of {len(found.differences)} rates of "
        f"{noise_name(found.noise)} noise: {how}. It is better at {_at(found.better)} and worse at {_at(found.worse)}."
    )
    if others:
        sentence += f" {len(others)} earlier guesses of this class have the mean {sum(others) / len(others):.1f}."
    return sentence


@st.cache_resource(show_spinner=False)
def guesses(recipe: str, noise: str, metric: str) -> Guesses:
    """At how many rates the viewers of this process expected sampling to be better: of one question, all that its key says."""
    return Guesses()


@st.cache_resource(show_spinner=False, max_entries=50)
def figure_1_of(recipe: str, noise: str, metric: str) -> Figure1Charts:
    """What is shown of the shipped Figure 1, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return figure_1(live.result(results.file_name("figure1", recipe)).table, noise, METRICS[metric])


# ---- one network, mask by mask -------------------------------------------------------------------------------------------

DROPS = ("as trained", "all layers", "last layer")


def rates_for(spec: RunSpec, drop: str, rate: float) -> tuple[float, float, float]:
    """The rates a network is sampled with: its own, or one rate on all hidden layers or on the last alone."""
    return {"as trained": spec.dropout, "all layers": (rate, rate, rate), "last layer": (0.0, 0.0, rate)}[drop]


IMAGES = 500  # test images that masks are tried on
BLOCK, BLOCKS = 10, 100  # masks are drawn in blocks, each with a seed of its own: blocks are what errors are found from
REFERENCE = 2_000  # masks, others than the first thousand, that stand for the truth where no formula gives it
MASKS = (1, 2, 5, *(BLOCK * n for n in (1, 2, 5, 10, 20, 50, BLOCKS)))
JACKKNIFE_GROUPS = 20
REPEATS = 25  # groups of as many masks, for the accuracy
PROPAGATE_WIDTH = 200  # up to this width covariances are carried along; the work grows with its cube


@dataclass(frozen=True)
class Estimate:
    """A figure taken from the first masks, one value a number of `MASKS`, and what it tends to with ever more of them.

    ``centre`` is its mean over groups of as many masks, and ``error`` its Monte Carlo standard error around that;
    ``truth_error`` is that of ``truth``, 0 where a formula gives it exactly.
    """

    values: tuple[float, ...]
    centre: tuple[float, ...]
    error: tuple[float, ...]
    truth: float
    truth_error: float

    def band(self, at: int) -> tuple[float, float]:
        """Two standard errors around the centre, those of the truth among them."""
        half = 2 * math.hypot(self.error[at], self.truth_error)
        return self.centre[at] - half, self.centre[at] + half


@dataclass(frozen=True)
class Settling:
    """How predictions of one network settle with the number of masks.

    ``exact`` says whether the truths are formulas or a reference of `REFERENCE` other masks. ``logit`` and ``votes`` are of the
    true class ``digit`` of test image ``image``, of those tried the one whose leading answer gets the fewest votes;
    ``vote_error`` goes with ``votes``.
    ``to_scaled`` and ``to_limit`` are mean distances (total variation) of the sampled probabilities from the scaled network's
    and from their own limit, ``most_to_scaled`` the largest difference of any one probability. ``propagated`` is MSTD by
    moment propagation without covariances, ``propagated_jointly`` with them (None where layers are too wide for it).
    """

    exact: bool
    images: int
    image: int
    digit: int
    pixels: tuple[float, ...]
    logit: Estimate
    mstd: Estimate
    accuracy: Estimate
    scaled_accuracy: float
    votes: tuple[float, ...]
    vote_error: tuple[float, ...]
    to_scaled: tuple[float, ...]
    to_limit: tuple[float, ...]
    most_to_scaled: tuple[float, ...]
    propagated: float
    propagated_jointly: float | None


def settle(network: Network, x: Tensor, y: Tensor, rates: Sequence[float], noise: str) -> Settling:
    """Sample a network with the rates given, and set the first 1 to 1,000 masks beside what ever more of them would give.

    Parameters
    ----------
    network
        Any network.
    x, y
        Images ``[n, 784]`` and their classes ``[n]``.
    rates
        One a hidden layer, at least one above 0.
    noise
        As `dropclust.core.prediction.sample` takes it.
    """
    import torch

    from dropclust.core import metrics, theory
    from dropclust.core.prediction import sample, scaled_logits

    def drawn(n: int, seed: int) -> Tensor:
        found = sample(network, x, n, seed, rates, noise)
        # One mask has no spread: its squares about the mean are 0.
        return torch.stack((found.logit_mean, found.logit_std.square().nan_to_num(0.0) * (n - 1), found.votes)).double()

    def joined(blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[n, 10]`` of the logits of blocks ``[blocks, 3, n, 10]`` taken together."""
        means, squares = blocks[:, 0], blocks[:, 1]
        total = squares.sum(0) + BLOCK * (means - means.mean(0)).square().sum(0)
        return means.mean(0), (total / (BLOCK * len(blocks) - 1)).sqrt()

    blocks = torch.stack([drawn(BLOCK, seed) for seed in range(BLOCKS)])  # [blocks, 3, n, 10]
    few = {n: torch.stack([drawn(n, seed) for seed in range(REPEATS)]) for n in MASKS if n < BLOCK}  # these begin the blocks
    means, stds, votes = [], [], []
    for n in MASKS:
        if n < BLOCK:
            mean, square, vote = few[n][0]
            std = (square / (n - 1)).sqrt() if n > 1 else torch.full_like(square, math.nan)
        else:
            (mean, std), vote = joined(blocks[: n // BLOCK]), blocks[: n // BLOCK, 2].mean(0)
        means.append(mean)
        stds.append(std)
        votes.append(vote)

    exact = not any(rates[:-1])
    scaled = scaled_logits(network, x).double()
    if exact:
        moments = theory.last_layer_moments(network, x, rates[-1], noise)
        limit, limit_std, of_truth = moments.mean, moments.variance.sqrt(), math.inf
        limit_mstd = theory.last_layer_mstd(network, x, rates[-1], noise)
    else:
        reference = sample(network, x, REFERENCE, BLOCKS, rates, noise)  # a seed that no block has
        limit, limit_std, of_truth = reference.logit_mean.double(), reference.logit_std.double(), REFERENCE
        limit_mstd = limit_std.mean().item()

    def estimate(values: Sequence[float], truth: float, error: float) -> Estimate:
        """``error`` is that of all masks drawn; it falls with the square root of their number."""
        errors = tuple(error * math.sqrt(MASKS[-1] / n) for n in MASKS)
        return Estimate(tuple(values), (truth,) * len(MASKS), errors, truth, error * math.sqrt(MASKS[-1] / of_truth))

    def accuracies() -> Estimate:
        # Right or wrong is a step: leaving a block out seldom moves it, so that the jackknife would find no error. And few
        # masks are worse, not only less sure. So groups of as many masks are looked at: of few, groups of their own; of
        # many, blocks drawn with replacement.
        stream, groups = torch.Generator().manual_seed(0), []
        for n in MASKS:
            if n < BLOCK:
                groups.append(few[n][:, 0])
            else:
                picked = torch.randint(BLOCKS, (REPEATS, n // BLOCK), generator=stream)
                groups.append(torch.stack([blocks[each, 0].mean(0) for each in picked]))
        found = torch.tensor([[metrics.accuracy(mean, y) for mean in group] for group in groups], dtype=torch.float64)
        error = found.std(1)
        values = tuple(metrics.accuracy(mean, y) for mean in means)
        of_limit = error[-1].item() * math.sqrt(MASKS[-1] / of_truth)
        return Estimate(values, tuple(found.mean(1).tolist()), tuple(error.tolist()), metrics.accuracy(limit, y), of_limit)

    image = int(votes[-1].amax(1).argmin())
    digit = int(y[image])
    share = torch.stack([vote[image, digit] for vote in votes])
    # The rule of section 3.1 from mean logits: what any number of masks gives, renormalised, and its limit.
    probs = [theory.geometric_mean_limit(mean).exp() for mean in means]
    of_scaled, of_limit = scaled.softmax(1), theory.geometric_mean_limit(limit).exp()
    return Settling(
        exact=exact,
        images=len(x),
        image=image,
        digit=digit,
        pixels=tuple(x[image].tolist()),
        logit=estimate(
            [mean[image, digit].item() for mean in means],
            limit[image, digit].item(),
            metrics.mean_error(limit_std[image, digit], MASKS[-1]).item(),
        ),
        mstd=estimate(
            [std.mean().item() for std in stds],
            limit_mstd,
            metrics.jackknife_error(blocks, lambda part: joined(part)[1].mean().item(), JACKKNIFE_GROUPS),
        ),
        accuracy=accuracies(),
        scaled_accuracy=metrics.accuracy(scaled, y),
        votes=tuple(share.tolist()),
        vote_error=tuple(metrics.share_error(each, n).item() for each, n in zip(share, MASKS, strict=True)),
        to_scaled=tuple(_distance(each, of_scaled) for each in probs),
        to_limit=tuple(_distance(each, of_limit) for each in probs),
        most_to_scaled=tuple((each - of_scaled).abs().max().item() for each in probs),
        propagated=_propagated_mstd(network, x, rates, noise, covariance=False),
        propagated_jointly=(
            _propagated_mstd(network, x, rates, noise, covariance=True) if max(network.hidden) <= PROPAGATE_WIDTH else None
        ),
    )


def _propagated_mstd(network: Network, x: Tensor, rates: Sequence[float], noise: str, covariance: bool) -> float:

    from dropclust.core import theory

    return theory.propagate_moments(network, x, rates, noise, covariance).variance.sqrt().mean().item()


def _distance(p: Tensor, q: Tensor) -> float:
    """Total variation of two sets of probabilities ``[n, classes]``, 0 to 1, on average over images."""
    return (p - q).abs().sum(1).mean().item() / 2


def images_for(hidden: Sequence[int]) -> int:
    """How many test images a network is tried on: fewer for a wide one, so that all take seconds."""
    products = hidden[0] * hidden[1] + hidden[1] * hidden[2] + hidden[2] * 10
    return min(IMAGES, max(20, 4 * IMAGES * 21_000 // products))  # 21,000: those of three layers of a hundred


@st.cache_data(show_spinner="Drawing masks, a thousand and more", max_entries=500)
def settled(key: str, rates: tuple[float, ...]) -> Settling:
    """How a stored run's predictions settle.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    LookupError
        When the run is not.
    """
    network, noise, x, y = _opened(key)
    n = images_for(network.hidden)
    return settle(network, x[:n], y[:n], rates, noise)


def _opened(key: str) -> tuple[Network, str, Tensor, Tensor]:
    """A stored run's network and noise, and the test images with their classes."""
    from dropclust.core import mnist

    live.one_thread()
    stored, data = live.store().get(key), mnist.load()
    if stored is None:
        raise LookupError(f"the run {key[:12]} is not in the store")
    return stored.network(), stored.spec.noise, data.test_x, data.test_y


@dataclass(frozen=True)
class SettlingCharts:
    """The four charts of a network and number of masks; ``numbers`` are names, values at that number and what they are."""

    logit: Curves
    mstd: Curves
    accuracy: Curves
    gap: Curves
    numbers: tuple[tuple[str, str, str], ...]


def settling(found: Settling, masks: int) -> SettlingCharts:
    """Everything that is shown of one number of masks, one of `MASKS`."""
    at = MASKS.index(masks)
    numbers = (
        ("One logit", _with_error(found.logit, at, 2), f"Test image {found.image}'s, for its true class {found.digit}."),
        (
            "Spread (MSTD)",
            _with_error(found.mstd, at, 3),
            "Mean sampling standard deviation: how far a logit scatters from mask to mask, on average over logits and images.",
        ),
        ("Accuracy", _with_error(found.accuracy, at, 3), "The share of these images that the masks together read rightly."),
        (
            "Distance to scaled",
            f"{found.to_scaled[at]:.4f}",
            "How far sampled probabilities lie from the scaled network's, 0 to 1 (total variation), on average over images.",
        ),
    )
    return SettlingCharts(
        _logit_curves(found, at), _mstd_curves(found, at), _settling_accuracy(found, at), _gap_curves(found, at), numbers
    )


_NONE = (math.nan,) * len(MASKS)


def _line(name: str, values: Sequence[float], role: int, low: Sequence[float] = _NONE, high: Sequence[float] = _NONE) -> Series:
    return Series(name, MASKS, tuple(values), tuple(low), tuple(high), 1, role)


def _flat(name: str, value: float, role: int) -> Series:
    return _line(name, (value,) * len(MASKS), role)


def _with_error(line: Estimate, at: int, digits: int) -> str:
    if math.isnan(line.values[at]):
        return "none"
    return f"{line.values[at]:.{digits}f} ± {2 * line.error[at]:.{digits}f}"


def _plural(masks: int) -> str:
    return "one mask" if masks == 1 else f"{masks:,} masks"


def _in_band(line: Estimate, at: int) -> str:
    low, high = line.band(at)
    return "inside the band" if low <= line.values[at] <= high else "outside the band"


def _truth(found: Settling, line: Estimate, digits: int) -> str:
    if found.exact:
        return f"exactly {line.truth:.{digits}f}"
    return f"{line.truth:.{digits}f} ± {2 * line.truth_error:.{digits}f} by {REFERENCE:,} other masks"


def _settling_curves(
    found: Settling, line: Estimate, title: str, y_title: str, sentence: str, at: int, more: Sequence[Series] = ()
) -> Curves:
    """The first masks and, around the truth, the band of two standard errors."""
    low, high = zip(*(line.band(i) for i in range(len(MASKS))), strict=True)
    truth = "exact" if found.exact else f"{REFERENCE:,} other masks"
    series = (
        _line("the first masks", line.values, PAPER),
        _line(f"{truth} (band: 2 standard errors)", line.centre, SECOND, low, high),
        *more,
    )
    return Curves(title, "number of masks", y_title, series, sentence, marker=MASKS[at])


def _logit_curves(found: Settling, at: int) -> Curves:
    line, digit = found.logit, f"{'an' if found.digit == 8 else 'a'} {found.digit}"
    if MASKS[at] == 1:
        called = f"The mask calls it {digit if found.votes[at] else 'something else'}."
    else:
        called = f"{found.votes[at]:.0%} ± {2 * found.vote_error[at]:.0%} of the masks call it {digit}."
    sentence = (
        f"Test image {found.image}, {digit}, is the one of the first {found.images} whose leading answer gets the fewest "
        f"votes. Its logit for {found.digit} is {_with_error(line, at, 2)} from {_plural(MASKS[at])}, {_in_band(line, at)}, "
        f"and {_truth(found, line, 2)}. {called}"
    )
    return _settling_curves(found, line, "One logit settles", f"logit for {found.digit}", sentence, at)


def _mstd_curves(found: Settling, at: int) -> Curves:
    line = found.mstd
    if math.isnan(line.values[at]):
        sentence = f"One mask has no spread; over masks a logit's spread is, on average (MSTD), {_truth(found, line, 3)}"
    else:
        sentence = (
            f"A logit's spread over masks, on average (MSTD), is {_with_error(line, at, 3)} from {_plural(MASKS[at])}, "
            f"{_in_band(line, at)}, and {_truth(found, line, 3)}"
        )
    more: tuple[Series, ...] = ()
    if not found.exact:  # there moment propagation is exact too
        how = "without" if found.propagated_jointly is None else "with"
        best = found.propagated if found.propagated_jointly is None else found.propagated_jointly
        more = (_flat("without any mask (moment propagation)", best, PROPAGATED),)
        sentence += (
            ". Moment propagation draws no mask: it carries each neuron's mean and variance from layer to layer. "
            f"{how.capitalize()} covariances, that is how neurons vary together, it gives {best:.3f} "
            f"({best / line.truth - 1:+.1%})"
        )
        if found.propagated_jointly is not None:
            sentence += f", without {found.propagated:.3f} ({found.propagated / line.truth - 1:+.1%})"
    return _settling_curves(found, line, "The spread settles", "spread of logits (MSTD)", sentence + ".", at, more)


def _settling_accuracy(found: Settling, at: int) -> Curves:
    line = found.accuracy
    low, high = zip(*(line.band(i) for i in range(len(MASKS))), strict=True)
    who, others = ("One mask reads", "single masks") if MASKS[at] == 1 else (
        f"{MASKS[at]:,} masks together read", "groups of as many"
    )  # fmt: skip
    sentence = (
        f"{who} {line.values[at]:.3f} of {found.images} test images rightly; {others} read {line.centre[at]:.3f} ± "
        f"{2 * line.error[at]:.3f}; in the limit it is {_truth(found, line, 3)}, and scaled {found.scaled_accuracy:.3f}. "
        f"{_one_alone(line)}"
    )
    series = (
        _line("the first masks", line.values, PAPER),
        _line("groups of as many (band: 2 standard errors)", line.centre, SECOND, low, high),
        _flat("scaled", found.scaled_accuracy, MEASURED),
    )
    return Curves("Accuracy settles", "number of masks", "accuracy", series, sentence, marker=MASKS[at])


def _one_alone(accuracy: Estimate) -> str:
    """Whether single masks, on average over `REPEATS` of them, are worse than the limit, by more than twice its error."""
    more = 100 * (accuracy.centre[0] - accuracy.truth)
    half = 200 * math.hypot(accuracy.error[0] / math.sqrt(REPEATS), accuracy.truth_error)
    worse = more < -half and round(more, 2) < 0  # two digits tell it, and no rounding error is told
    return (
        f"Few masks are {'not only less sure but worse' if worse else 'less sure, but not seen to be worse'}: one alone "
        f"differs from the limit by {round(more, 2) + 0.0:+.2f} ± {half:.2f} percentage points, on average."
    )


def _gap_curves(found: Settling, at: int) -> Curves:
    of_truth = math.inf if found.exact else REFERENCE
    shape = [math.sqrt(1 / n + 1 / of_truth) for n in MASKS]
    series = (
        _line("to the scaled network", found.to_scaled, MEASURED),
        *(() if found.exact else (_line("to its own limit", found.to_limit, SECOND),)),
        _line("falling as Monte Carlo error does", [found.to_limit[-1] * each / shape[-1] for each in shape], CHANCE),
    )
    sentence = (
        f"Sampled with {_plural(MASKS[at])}, probabilities differ from the scaled network's by {found.to_scaled[at]:.4f} on "
        f"average (total variation), a single one by at most {found.most_to_scaled[at]:.3f}. "
    )
    if found.exact:
        sentence += "With masks on the last hidden layer alone all of it is Monte Carlo error: in the limit the two are equal."
    else:
        left = found.to_scaled[-1] / found.to_limit[-1]
        sentence += f"At {MASKS[-1]:,} masks that is {left:.1f} times what is left of Monte Carlo error: " + (
            "the two ways to predict do differ." if left > 2 else "most of it may be chance."
        )
    return Curves(
        "How far sampling is from scaling", "number of masks", "distance of probabilities", series, sentence, marker=MASKS[at]
    )


def settling_figure(info: Curves, height: int = 400, log_y: bool = False) -> go.Figure:
    """Draw curves over the number of masks, which is spread logarithmically."""
    figure = curves_figure(info, height)
    figure.update_xaxes(type="log", tickvals=[1, 10, 100, 1000], ticktext=["1", "10", "100", "1,000"])
    if log_y:
        figure.update_yaxes(type="log", dtick=1)
    return figure


# ---- how far confidence can be trusted -----------------------------------------------------------------------------------

BINS = 10
DRAWN = 10  # images that a bin needs to be drawn as a point: the interval of fewer spans half the axis


@dataclass(frozen=True)
class Bin:
    """A bin of confidence of one way to predict; ``low`` and ``high`` are the 95 % Wilson interval of the accuracy."""

    prediction: str
    confidence_from: float
    confidence_to: float
    images: int
    confidence: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliable:
    """A reliability diagram of several ways to predict; ``errors`` is the expected calibration error by way."""

    bins: tuple[Bin, ...]
    errors: Mapping[str, float]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a way and a bin that holds images."""
        return pd.DataFrame([vars(each) for each in self.bins])


def reliable(predictions: Mapping[str, Tensor], y: Tensor) -> Reliable:
    """Bins and calibration errors of probabilities ``[n, classes]`` by way to predict."""
    from dropclust.core import metrics

    bins, errors = [], {}
    for name, probs in predictions.items():
        found = metrics.reliability(probs, y, BINS)
        errors[name] = found.expected_calibration_error
        edges = found.edges.tolist()
        rows = zip(edges[:-1], edges[1:], found.count.tolist(), found.confidence.tolist(), found.accuracy.tolist(), strict=True)
        bins += [Bin(name, *row, *_wilson(row[4], row[2])) for row in rows if row[2]]
    best = min(errors, key=lambda name: errors[name])
    sure = {
        name: sum(each.images for each in bins if each.prediction == name and each.confidence_to > 0.999) for name in errors
    }
    sentence = "Expected calibration error, percentage points: " + ", ".join(
        f"{name} {100 * error:.2f}" for name, error in errors.items()
    )
    if len(errors) > 1:
        sentence += f"; {best} is best calibrated"
    sentence += f". Of {len(y):,} test images " + ", ".join(f"{n:,} ({name})" for name, n in sure.items())
    sentence += f" have a confidence above {1 - 1 / BINS:.0%}."
    return Reliable(tuple(bins), errors, sentence)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson 1927), which stays within 0 and 1 where few or all are right."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


@st.cache_data(show_spinner=f"Predicting all test images with {SAMPLES} masks", max_entries=500)
def reliability(key: str, rates: tuple[float, ...]) -> Reliable:
    """The reliability diagram of a stored run: scaled, and with masks at the rates the two means of their probabilities.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    LookupError
        When the run is not.
    """
    from dropclust.core.prediction import sample, scaled_logits

    network, _, x, y = _opened(key)
    n = 20 * images_for(network.hidden)
    x, y = x[:n], y[:n]
    predictions = {"scaled": scaled_logits(network, x).softmax(1)}
    if any(rates):
        sampled = sample(network, x, SAMPLES, dropout=rates)
        predictions |= {"sampled (geometric mean)": sampled.log_probs.exp(), "arithmetic mean": sampled.mean_probs}
    return reliable(predictions, y)


def reliability_figure(info: Reliable, height: int = 560) -> go.Figure:
    """Draw accuracy against confidence with the line on which they are equal, and below it how many images each bin holds."""
    colours = charts.palette()
    roles = dict(zip(info.errors, (MEASURED, PAPER, SECOND), strict=False))
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as often right as sure: perfectly calibrated",
        line={"color": colours[CHANCE], "width": 3, "dash": "dash"}, hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    for name, role in roles.items():
        dash, symbol = _STYLES[role]
        part = [each for each in info.bins if each.prediction == name]
        points = [each for each in part if each.images >= DRAWN]
        figure.add_scatter(
            x=[each.confidence for each in points], y=[each.accuracy for each in points], name=name, mode="lines+markers",
            line={"color": colours[role], "width": 3, "dash": dash},
            marker={"symbol": symbol, "size": 10},
            error_y={
                "type": "data", "array": [each.high - each.accuracy for each in points],
                "arrayminus": [each.accuracy - each.low for each in points], "width": 4, "thickness": 1.5,
            },
            hovertemplate="%{y:.3f}", row=1, col=1,
        )  # fmt: skip
        figure.add_bar(
            x=[(each.confidence_from + each.confidence_to) / 2 for each in part], y=[each.images for each in part], name=name,
            marker={"color": colours[role]}, showlegend=False, hovertemplate="%{y:,}", row=2, col=1,
        )  # fmt: skip
    charts.lay_out(figure, "", "confidence (largest probability)", "", height)
    figure.update_xaxes(title_text="", row=1, col=1)
    figure.update_yaxes(title_text="share that is right", range=[0, 1.02], row=1, col=1)
    figure.update_yaxes(title_text="images", type="log", dtick=1, row=2, col=1)
    figure.update_layout(legend={"y": -0.2}, margin={"t": 10}, bargap=0.1)
    return figure
