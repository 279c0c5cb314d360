"""What is said of Figure 1: three ways to predict at each dropout rate, and sampling against scaling, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.intervals import Interval, equivalent, mean_interval, paired_difference, side
from dropclust.core.spec import NOISES
from dropclust.experiments import results
from dropclust.experiments.figure1 import EXPERIMENT, SAMPLES
from dropclust.experiments.pairing import by_seed, paired
from dropclust.findings import words
from dropclust.findings.meaning import NOISE, PREDICTION
from dropclust.findings.series import Curves, Series

ONE_MASK = "one mask, as in training"


@dataclass(frozen=True)
class Metric:
    """A column of Figure 1's table: how it is written, the unit of its differences, and when two of them count as equal."""

    column: str
    name: str
    axis: str
    unit: str
    scale: float  # from the table's unit to that of differences
    margin: float  # in the unit of differences
    levels: tuple[float, float]  # what its axis spans at least, so that noises and recipes can be compared
    differences: tuple[float, float]  # and that of differences
    digits: int  # of differences
    higher_is_better: bool


METRICS = {
    metric.column: metric
    for metric in (
        # 10 of the 10,000 test images.
        Metric(
            "accuracy", "accuracy", "accuracy on the test images", "percentage points", 100, 0.1, (0, 1), (-3.6, 3), 2, True
        ),
        # The right class is given 1 % more or less, as a geometric mean over images.
        Metric("cross_entropy", "cross-entropy", "cross-entropy, nats", "nats", 1, 0.01, (0, 2.3), (-0.13, 0.06), 3, False),
        # What 10 images that turn from surely right to surely wrong add.
        Metric("brier", "Brier score", "Brier score, 0 to 2", "score points", 1, 0.002, (0, 0.9), (-0.05, 0.03), 4, False),
        # Half a percentage point of confidence, as it is written without digits.
        Metric(
            "calibration_error",
            "calibration error",
            "expected calibration error",
            "percentage points",
            100,
            0.5,
            (0, 0.4),
            (-10, 10),
            2,
            False,
        ),
    )
}


def noise_name(noise: str) -> str:
    """A noise in one word.

    Examples
    --------
    >>> noise_name("bernoulli")
    'Bernoulli'
    """
    return NOISES[noise].split(" ")[0]


@dataclass(frozen=True)
class Comparison:
    """Sampling against scaling at each rate above 0, for one noise and metric.

    Parameters
    ----------
    noise, metric
        Of which.
    differences
        Sampled - scaled by rate, paired by seed, in the metric's unit of differences.
    better, worse
        The rates at which sampling is better or worse with its whole 95 % interval.
    equal
        The rates at which two one-sided tests find the two equal within the metric's margin; such a rate may be better or
        worse as well.
    """

    noise: str
    metric: Metric
    differences: Mapping[float, Interval]
    better: tuple[float, ...]
    worse: tuple[float, ...]
    equal: tuple[float, ...]


def compare(table: pd.DataFrame, noise: str, metric: Metric) -> Comparison:
    """At which rates sampling is better, worse, or equal within the margin."""
    pairs = {rate: _pairs(table, noise, metric, rate) for rate in _rates(table)}
    differences = {rate: paired_difference(sampled, scaled) for rate, (sampled, scaled) in pairs.items()}
    better = 1 if metric.higher_is_better else -1
    return Comparison(
        noise,
        metric,
        differences,
        tuple(rate for rate, difference in differences.items() if side(difference) == better),
        tuple(rate for rate, difference in differences.items() if side(difference) == -better),
        tuple(rate for rate, (sampled, scaled) in pairs.items() if equivalent(sampled, scaled, metric.margin).equivalent),
    )


@dataclass(frozen=True)
class Overall:
    """Accuracy of the three ways to predict with one noise, on average over all rates above 0.

    Parameters
    ----------
    noise
        Of which.
    accuracy
        Mean and interval over seeds by the way to predict: "train" (one mask), "scaled", "sampled".
    over_one_mask, over_scaled
        Scaled - one mask, and sampled - scaled, in percentage points, paired by seed.
    sentence
        What to see.
    """

    noise: str
    accuracy: Mapping[str, Interval]
    over_one_mask: Interval
    over_scaled: Interval
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a way to predict."""
        rows = [(way, interval.mean, interval.low, interval.high, interval.n) for way, interval in self.accuracy.items()]
        return pd.DataFrame(rows, columns=["prediction", "accuracy", "low", "high", "seeds"])


def overall(table: pd.DataFrame, noise: str) -> Overall:
    """Each seed's accuracy is averaged over the rates above 0 first; seeds that lack one are left out."""
    rates = _rates(table)
    ways = {
        way: pd.concat([by_seed(table, "accuracy", noise=noise, prediction=way, dropout=rate) for rate in rates], axis=1)
        .dropna()
        .mean(axis=1)
        for way in PREDICTION
    }
    train, scaled, sampled = paired(*ways.values())
    accuracy = {way: mean_interval(values) for way, values in zip(ways, (train, scaled, sampled), strict=True)}
    over_one_mask, over_scaled = paired_difference(100 * scaled, 100 * train), paired_difference(100 * sampled, 100 * scaled)
    unit = METRICS["accuracy"].unit
    sentence = (
        f"{noise_name(noise)} noise, on average over {words.count(len(rates), 'rate')} above 0: accuracy is "
        f"{words.brief(accuracy['train'], 3)} with {ONE_MASK}, {words.brief(accuracy['scaled'], 3)} scaled and "
        f"{words.brief(accuracy['sampled'], 3)} sampled. Scaling {_against(over_one_mask)} one mask: "
        f"{words.full(over_one_mask, 2, signed=True, unit=unit)}. Sampling {_against(over_scaled)} scaling: "
        f"{words.full(over_scaled, 2, signed=True, unit=unit)}."
    )
    return Overall(noise, accuracy, over_one_mask, over_scaled, sentence)


def _against(difference: Interval) -> str:
    verdicts = {1: "is more accurate than", -1: "is less accurate than", 0: "shows no significant difference from"}
    return verdicts[side(difference)]


@dataclass(frozen=True)
class Figure1:
    """What is said of one noise and metric.

    Parameters
    ----------
    question
        The metric against the rate without what is to be guessed.
    levels
        The metric against the rate in every way to predict.
    differences
        Sampled - scaled against the rate, of all noises.
    comparison
        Sampling against scaling, rate by rate.
    overall
        The three ways' accuracy over all rates.
    """

    question: Curves
    levels: Curves
    differences: Curves
    comparison: Comparison
    overall: Overall

    @property
    def sentence(self) -> str:
        """The main finding."""
        return f"{self.overall.sentence} {self.differences.sentence}"

    @property
    def headline(self) -> str:
        """The main finding in at most 15 words."""
        better, rates = len(self.comparison.better), len(self.comparison.differences)
        return f"Sampling beats scaling by {self.comparison.metric.name} at {better} of {words.count(rates, 'dropout rate')}."

    def table(self) -> pd.DataFrame:
        """A row a rate: every way to predict, and the differences."""
        x = self.levels.x_title
        differences = self.differences.table().set_index(x).add_prefix("sampled - scaled, ").reset_index()
        return self.levels.table().merge(differences, how="outer", on=x)


def figure1(table: pd.DataFrame, noise: str = "bernoulli", metric: Metric = METRICS["accuracy"]) -> Figure1:
    """Everything of one noise and metric, from the experiment's table."""
    return Figure1(
        _levels(table, noise, metric, answer=False),
        _levels(table, noise, metric, answer=True),
        _differences(table, noise, metric),
        compare(table, noise, metric),
        overall(table, noise),
    )


def read(recipe: str = "modern", root: Path | None = None, noise: str = "bernoulli", metric: str = "accuracy") -> Figure1:
    """Read the shipped table and say what it shows.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the table; the shipped results when None.
    noise
        One of `dropclust.core.spec.NOISES`.
    metric
        A column, one of `METRICS`.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    ValueError
        For a noise or a metric that is not known.
    """
    for name, value, known in (("noise", noise, NOISES), ("metric", metric, METRICS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
    return figure1(results.read(results.file_name(EXPERIMENT.name, recipe), root).table, noise, METRICS[metric])


def answered(guess: int, comparison: Comparison, others: Sequence[float]) -> str:
    """A guess at how many rates sampling is better, how far it is off, and what the class guessed before.

    It is short, for it stands above a chart that shall still be seen; the chart beside it says at which rates sampling is
    better.
    """
    right = len(comparison.better)
    how = "right" if guess == right else f"{abs(guess - right)} too {'many' if guess > right else 'few'}"
    asked = f"by {comparison.metric.name} with {noise_name(comparison.noise)} noise"
    sentence = f"You expected {guess} of {words.count(len(comparison.differences), 'rate')} {asked}: {how}."
    if others:
        mean = words.number(sum(others) / len(others), 1)
        sentence += f" {words.count(len(others), 'viewer')} before guessed {mean} on average."
    return sentence


def _rates(table: pd.DataFrame) -> list[float]:
    """The rates above 0."""
    return [rate for rate in sorted(table["dropout"].unique().tolist()) if rate > 0]


def _pairs(
    table: pd.DataFrame, noise: str, metric: Metric, rate: float, first: str = "sampled", second: str = "scaled"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A metric's values under two ways to predict, paired by seed, in the unit of its differences."""
    values = (by_seed(table, metric.column, noise=noise, prediction=way, dropout=rate) for way in (first, second))
    a, b = paired(*values)
    return metric.scale * a, metric.scale * b


def _levels(table: pd.DataFrame, noise: str, metric: Metric, answer: bool) -> Curves:
    """A metric against the rate, as in training (one mask), scaled and, unless it is still to be guessed, sampled."""
    part = table[table["noise"] == noise]
    names = {"train": "one mask", "scaled": "scaled", "sampled": "sampled"}
    lines = {
        way: Series.of(names[way], part[part["prediction"] == way], "dropout", metric.column, meaning)
        for way, meaning in PREDICTION.items()
        if part.loc[part["prediction"] == way, metric.column].notna().any()
    }
    scaled, begin = lines["scaled"], f"{noise_name(noise)} noise, {words.count(lines['scaled'].n, 'seed')}: "
    if "train" in lines:
        gains = {rate: paired_difference(*_pairs(table, noise, metric, rate, "scaled", "train")) for rate in _rates(part)}
        most = max(gains, key=lambda rate: gains[rate].mean)
        better = sum(side(gain) == 1 for gain in gains.values())
        brief = f"Switching the noise off beats a single mask at {better} of {words.count(len(gains), 'rate')}."
        one, off, sampled = (words.number(line.at(most).mean, 3) for line in lines.values())
        sentence = (
            f"{begin}switching the noise off beats a single mask at {better} of "
            f"{words.count(len(gains), 'rate')}, by most at {most:g}: {one} with one mask, {off} scaled"
        ) + (f", {sampled} sampled with {SAMPLES} masks." if answer else ".")
    else:
        best = (max if metric.higher_is_better else min)(scaled.x, key=lambda x: scaled.at(x).mean)
        sentence = f"{begin}the scaled network's {metric.name} is best at {best:g}: {words.full(scaled.at(best))}."
        brief = f"Scaled, {metric.name} is best at dropout {best:g}."
    return Curves(
        f"{words.capital(metric.name)} against the rate",
        "dropout rate",
        metric.axis,
        tuple(line for way, line in lines.items() if answer or way != "sampled"),
        sentence,
        y_range=(0, 1) if metric.column == "accuracy" else None,
        y_spans=metric.levels,
        brief=brief,
    )


def _differences(table: pd.DataFrame, noise: str, metric: Metric) -> Curves:
    """Sampled - scaled by seed for all noises, the chosen one first."""
    noises = sorted(NOISES, key=lambda other: other != noise)
    at = sorted(table["dropout"].unique().tolist())
    series = tuple(
        Series.from_intervals(
            noise_name(other),
            {rate: paired_difference(*_pairs(table, other, metric, rate)) for rate in at},
            NOISE[other],
        )
        for other in noises
    )
    chosen, *others = (compare(table, other, metric) for other in noises)
    differences, rates = chosen.differences, len(chosen.differences)
    largest = max(differences, key=lambda rate: abs(differences[rate].mean))
    undecided = rates - len(chosen.better) - len(chosen.worse)
    sentence = (
        f"{noise_name(noise)} noise, {words.count(rates, 'rate')} above 0: by {metric.name} sampling is better at "
        f"{words.which(chosen.better)}, worse at {words.which(chosen.worse)}, with no significant difference at {undecided}; "
        f"equal within {metric.margin:g} {metric.unit} at {words.which(chosen.equal)}. Largest difference, at {largest:g}: "
        f"{words.full(differences[largest], metric.digits, signed=True, unit=metric.unit)}. "
    ) + " ".join(
        f"{noise_name(other.noise)}: better at {words.which(other.better)}, worse at {words.which(other.worse)}."
        for other in others
    )
    sentence += " Each rate is judged alone, by its 95 % interval."
    side_of_better = "above" if metric.higher_is_better else "below"
    y_title = f"{metric.unit} ({side_of_better} 0: better)"
    gain = differences[largest].mean if metric.higher_is_better else -differences[largest].mean
    brief = (
        f"At most, sampling {'gains' if gain > 0 else 'costs'} {words.number(abs(gain), metric.digits)} {metric.unit}, at "
        f"dropout {largest:g}."
    )
    title = "Sampled less scaled"
    return Curves(title, "dropout rate", y_title, series, sentence, y_spans=metric.differences, brief=brief)
