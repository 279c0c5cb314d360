"""What Figure 2 says: how far models of other images differ, against no dropout, and sampled against scaled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.intervals import Interval, mean_interval, paired_difference, ratio_interval, side
from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments import figure2, results
from dropclust.findings import own, words
from dropclust.findings.meaning import NOISE, PREDICTION, Meaning
from dropclust.findings.own import OwnRun
from dropclust.findings.series import Curves, Series

OUTPUTS = {"logits": "", "probabilities": "_probs"}  # what a network's output is taken to be, and the columns' ending
PREDICTIONS = {"scaled": ("scaled",), "sampled": ("sampled",), "both": figure2.PREDICTIONS}
PLACES = {"3": "layer 3", "2 and 3": "layers 2 and 3"}
NAMES = {noise: name.split(" ")[0] for noise, name in NOISES.items()}
SOURCES = {"images": "images alone", "start": "start, order and noise alone", "both": "all of these"}
VANILLA = figure2.SILENT
_VALUE, _ERROR = "variance_pseudo_value", "monte_carlo_variance"
_SHARE = (figure2.MODELS - 1) / figure2.MODELS  # of a prediction's Monte Carlo variance that is in its pseudo-value
_COLUMNS = (
    "seed",
    "dropout",
    "noise",
    "layers",
    "prediction",
    "cross_entropy",
    _VALUE,
    f"{_VALUE}_probs",
    _ERROR,
    f"{_ERROR}_probs",
)
_FORMULA_COLUMNS = ("source", "dropout", "noise", "layers", "prediction", "models", "model_variance", "model_variance_probs")
_SOURCE_COLUMNS = ("source", "dropout", "layers", "prediction", "model", _VALUE, f"{_VALUE}_probs")
_ORDERS = 10.0  # a chart whose values differ by more than this factor has a logarithmic axis
_PAIRS = " pairs of noise and rate"


class Setting(NamedTuple):
    """One way to train models, and one to predict with them."""

    layers: str
    noise: str
    dropout: float
    prediction: str


class Case(NamedTuple):
    """Noise and rate, where the layers and the prediction are given."""

    noise: str
    rate: float

    @property
    def name(self) -> str:
        """For people."""
        return f"{NAMES[self.noise]} {self.rate:g}"


Values = Mapping[Setting, npt.NDArray[np.float64]]  # one column of the table: a value a seed, NaN where a seed has none


def values_of(table: pd.DataFrame, column: str) -> Values:
    """One column by setting, ``[seeds]``; settings without values, as of fewer than three models, are left out."""
    wide = table.pivot(index="seed", columns=list(Setting._fields), values=column).dropna(axis=1, how="all")
    return {Setting._make(setting): values for setting, values in zip(wide.columns, wide.to_numpy(dtype=float).T, strict=True)}


def _paired(*settings: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """The values of the seeds that all settings have."""
    there = np.isfinite(settings).all(0)
    return tuple(values[there] for values in settings)


def _ratio(over: npt.NDArray[np.float64], under: npt.NDArray[np.float64] | None = None) -> Interval:
    """Ratio of two settings' means, paired by seed, or one mean."""
    tops, bottoms = _paired(over, np.ones_like(over) if under is None else under)
    return ratio_interval(tops, bottoms)


def _difference(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Interval:
    """Difference of two settings' means, paired by seed."""
    a, b = _paired(first, second)
    return paired_difference(a, b)


def _mean(values: npt.NDArray[np.float64]) -> Interval:
    """Mean of a setting over its seeds."""
    return mean_interval(values[np.isfinite(values)])


def _cases(values: Values, layers: str, prediction: str, with_none: bool = False) -> dict[Case, Setting]:
    """The settings of a place and prediction in the order of noises and rates, without dropout or with."""
    found = sorted(
        (setting for setting in values if (setting.layers, setting.prediction) == (layers, prediction)),
        key=lambda setting: (list(NOISES).index(setting.noise), setting.dropout),
    )
    return {Case(setting.noise, setting.dropout): setting for setting in found if setting.dropout > 0 or with_none}


# ---- what is drawn -------------------------------------------------------------------------------------------------------


def own_runs(stored: Iterable[own.Stored], recipe: str, name: Callable[[RunSpec], str]) -> dict[str, tuple[OwnRun, ...]]:
    """The finished runs like those of Figure 2, whatever their rate, noise, seeds and precision, by place of the noise."""
    template = own.template_of(figure2.EXPERIMENT, recipe)
    found = own.own_runs(stored, template, ("dropout", "noise", "seed", "subset_seed", "precision"), name)
    return {
        place: tuple(run for run in found if run.spec.dropout == tuple(run.rate * on for on in mask))
        for place, mask in figure2.LAYERS.items()
    }


@dataclass(frozen=True)
class Chart:
    """Lines over the rate, a line a noise, and where ``kinds`` are given a noise and kind: its prediction, or how measured.

    ``level`` is where there is no difference; ``logarithmic`` and ``y_range`` describe the axis (decimal exponents where it is
    logarithmic); ``own`` are the stored runs.
    """

    curves: Curves
    kinds: tuple[Meaning, ...]
    logarithmic: bool
    y_range: tuple[float, float] | None
    level: float | None = None
    own: tuple[OwnRun, ...] = ()

    def with_own(self, runs: tuple[OwnRun, ...]) -> Chart:
        """The same with stored runs."""
        return replace(self, own=runs)

    @property
    def sentence(self) -> str:
        """What to see."""
        if not self.own:
            return self.curves.sentence
        return f"{self.curves.sentence} Open markers: {words.count(len(self.own), 'stored run')}, scaled."

    @property
    def brief(self) -> str:
        """The same in at most 15 words."""
        return self.curves.brief

    def table(self) -> pd.DataFrame:
        """A row a rate, and below them a row a stored run."""
        if not self.own:
            return self.curves.table()
        x, y = self.curves.x_title, self.curves.y_title
        stored = [{x: run.rate, y: run.cross_entropy, "stored run": run.name} for run in self.own]
        return pd.concat([self.curves.table(), pd.DataFrame(stored)], ignore_index=True)


class _Line(NamedTuple):
    """A line of a chart, and its kind where the chart has several."""

    series: Series
    kind: Meaning | None


def _lines(intervals: Mapping[Case, Interval], kind: Meaning | None = None, suffix: str = "") -> list[_Line]:
    """A line a noise."""
    return [
        _Line(
            Series.from_intervals(
                NAMES[noise] + suffix,
                {case.rate: interval for case, interval in intervals.items() if case.noise == noise},
                NOISE[noise],
            ),
            kind,
        )
        for noise in dict.fromkeys(case.noise for case in intervals)
    ]


def _charts(
    y_title: str, said: Sequence[tuple[str, str]], lines: Sequence[Sequence[_Line]], level: float | None = None
) -> tuple[Chart, Chart]:
    """The two charts of a row, on one axis: where their values span orders of magnitude it is logarithmic.

    ``said`` is a sentence and the same in brief, a chart.
    """
    every = [line.series for place in lines for line in place]
    means = [value for series in every for value in series.mean]
    ends = [value for series in every for value in (*series.low, *series.high) if math.isfinite(value)] + means
    logarithmic = bool(means) and min(ends) > 0 and max(means) / min(means) > _ORDERS
    span = None
    if means:
        low, high = (math.log10(min(ends)), math.log10(max(ends))) if logarithmic else (min(ends), max(ends))
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        span = low - room, high + room
    left, right = (
        Chart(
            Curves(
                f"Dropout in {PLACES[place]}", "dropout rate", y_title, tuple(line.series for line in part), sentence,
                brief=brief,
            ),
            tuple(line.kind for line in part if line.kind),
            logarithmic,
            span,
            level,
        )
        for place, (sentence, brief), part in zip(PLACES, said, lines, strict=True)
    )  # fmt: skip
    return left, right


# ---- model variance ------------------------------------------------------------------------------------------------------


def _to_none(values: Values, layers: str, prediction: str) -> dict[Case, Interval]:
    """Model variance with dropout over that without, by noise and rate, paired by seed."""
    return {
        case: _ratio(values[setting], values[setting._replace(dropout=0.0)])
        for case, setting in _cases(values, layers, prediction).items()
        if setting._replace(dropout=0.0) in values
    }


def variance_charts(table: pd.DataFrame, prediction: str, output: str) -> tuple[Chart, Chart]:
    """Model variance against the rate, for noise in layer 3 and in layers 2 and 3."""
    values, predictions = values_of(table, _VALUE + OUTPUTS[output]), PREDICTIONS[prediction]
    lines: list[list[_Line]] = []
    sentences = []
    for layers in PLACES:
        part, said, brief = [], [], ""
        for how in predictions:
            cases = _cases(values, layers, how, with_none=True)
            part += _lines({case: _ratio(values[at]) for case, at in cases.items()}, *_kind(how, predictions))
            ratios = _to_none(values, layers, how)
            if ratios:
                least = min(ratios, key=lambda case: ratios[case].mean)
                said.append(
                    f"{words.capital(how)}, model variance of {output} is {words.sides(ratios.values(), 1, _PAIRS)}, compared "
                    f"with no dropout; lowest with {least.name}, at {words.full(ratios[least], 2, 'model')} of it."
                )
                brief = f"Lowest with {NAMES[least.noise]} noise: {words.percent(ratios[least].mean)} of that without dropout."
        lines.append(part)
        sentences.append((f"Dropout in {PLACES[layers]}. {' '.join(said)}" if said else _too_few(table), brief))
    return _charts(f"model variance of {output}", sentences, lines)


def _kind(prediction: str, predictions: Sequence[str]) -> tuple[Meaning | None, str]:
    """Kind and suffix of the lines of one of several predictions."""
    return (PREDICTION[prediction], f", {prediction}") if len(predictions) > 1 else (None, "")


def _too_few(table: pd.DataFrame) -> str:
    models = words.count(table["seed"].nunique(), "model")
    return f"{models} of each kind: nothing can be compared, for a variance needs three."


# ---- sampled against scaled ------------------------------------------------------------------------------------------------


def _to_scaled(values: Values, layers: str, prediction: str, errors: Values | None = None) -> dict[Case, Interval]:
    """Model variance over that of the scaled network by noise and rate, paired by seed.

    ``errors`` are the Monte Carlo variances of the predictions, which are taken out model by model; None leaves them in.
    """
    ratios = {}
    for case, setting in _cases(values, layers, prediction).items():
        scaled = setting._replace(prediction="scaled")
        if scaled in values:
            variance = values[setting] if errors is None else values[setting] - _SHARE * errors[setting]
            ratios[case] = _ratio(variance, values[scaled])
    return ratios


def sampling_charts(table: pd.DataFrame, output: str) -> tuple[Chart, Chart]:
    """Model variance sampled over scaled against the rate: 1 where the two agree.

    The mean over S masks adds 9/10 of the variance over masks, divided by S, to the model variance: it is taken out, model by
    model. Beside it stand, of logits, what was measured, and of probabilities a control: the arithmetic mean of the masks.
    """
    values, errors = (values_of(table, name + OUTPUTS[output]) for name in (_VALUE, _ERROR))
    lines: list[list[_Line]] = []
    sentences = []
    for layers in PLACES:
        clean, control = (_to_scaled(values, layers, how, errors) for how in ("sampled", figure2.ARITHMETIC))
        raw = _to_scaled(values, layers, "sampled")
        part = _lines(clean, Meaning.LIMIT)
        if output == "logits":
            part += _lines(raw, Meaning.MEASURED, ", as measured")
        lines.append(part + _lines(control, Meaning.ARITHMETIC, ", arithmetic mean"))
        lower = sum(side(ratio, 1) < 0 for ratio in clean.values())
        brief = f"Sampled variance is lower than scaled at {lower} of {len(clean)}{_PAIRS}."
        sentences.append((_sampling_sentence(clean, raw, control, layers, output), brief) if raw else (_too_few(table), ""))
    return _charts("sampled / scaled", sentences, lines, level=1.0)


def _sampling_sentence(
    clean: Mapping[Case, Interval], raw: Mapping[Case, Interval], control: Mapping[Case, Interval], layers: str, output: str
) -> str:
    case = max(clean, key=lambda case: abs(clean[case].mean - 1))
    furthest = f"the ratio is furthest from 1 with {case.name}: {words.full(clean[case], 3, 'model')}"
    error = f"with the Monte Carlo error of its {figure2.SAMPLES} masks taken out, "
    mean = ""
    if control:
        mean = (
            " The arithmetic mean of the masks' probabilities, a control that the paper does not take, is "
            f"{words.sides(control.values(), 1, _PAIRS)}."
        )
    if layers == "3":
        holds = sum(side(interval, 1) == 0 for interval in clean.values())
        low, high = (words.number(end(interval.mean for interval in raw.values()), 3) for end in (min, max))
        return (
            "With dropout in the last hidden layer alone logits are linear in the mask, so that their mean over all masks, and "
            "with it the geometric mean of the probabilities (section 3.1), is the scaled network's: sampling differs by Monte "
            f"Carlo error only. Measured, the ratio is {low} to {high}; {error}1 is in its 95 % interval at {holds} of "
            f"{len(clean)}{_PAIRS}, and {furthest}.{mean}"
        )
    return (
        f"Dropout in {PLACES[layers]}: {error}sampled model variance of {output} is "
        f"{words.sides(clean.values(), 1, _PAIRS)}, compared with scaled; {furthest}.{mean}"
    )


# ---- cross-entropy -------------------------------------------------------------------------------------------------------


def cross_entropy_charts(table: pd.DataFrame, prediction: str) -> tuple[Chart, Chart]:
    """Test cross-entropy against the rate, for noise in layer 3 and in layers 2 and 3."""
    values, predictions = values_of(table, "cross_entropy"), PREDICTIONS[prediction]
    lines: list[list[_Line]] = []
    sentences = []
    for layers in PLACES:
        part, said, brief = [], [], ""
        for how in predictions:
            losses = {case: values[at] for case, at in _cases(values, layers, how, with_none=True).items()}
            part += _lines({case: _mean(loss) for case, loss in losses.items()}, *_kind(how, predictions))
            differences = {
                case: _difference(loss, losses[case._replace(rate=0.0)])
                for case, loss in losses.items()
                if case.rate > 0 and case._replace(rate=0.0) in losses
            }
            if differences:
                least = min(differences, key=lambda case: differences[case].mean)
                without = words.number(_mean(losses[least._replace(rate=0.0)]).mean, 3)
                said.append(
                    f"{words.capital(how)}, cross-entropy is {words.sides(differences.values(), 0, _PAIRS)}, compared with no "
                    f"dropout, paired by seed; lowest with {least.name}: "
                    f"{words.full(_mean(losses[least]), 3, unit='nats')}, without dropout {without}."
                )
                brief = f"Lowest with {NAMES[least.noise]} noise: {words.number(_mean(losses[least]).mean, 3)} nats."
        lines.append(part)
        sentence = f"Dropout in {PLACES[layers]}. {' '.join(said)}" if said else "Nothing to compare with no dropout."
        sentences.append((sentence, brief))
    return _charts("cross-entropy, nats", sentences, lines)


# ---- tables ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratios:
    """Model variance with dropout over that without: (setting, ratio) a row."""

    rows: tuple[tuple[Setting, Interval], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a setting."""
        return pd.DataFrame(
            [
                {
                    "dropout in": PLACES[at.layers], "noise": NAMES[at.noise], "rate": at.dropout, "prediction": at.prediction,
                    "ratio to no dropout": ratio.mean, "low": ratio.low, "high": ratio.high, "models": ratio.n,
                }
                for at, ratio in self.rows
            ]
        )  # fmt: skip

    def formatted(self) -> pd.DataFrame:
        """The same for people: a row a place, noise and prediction, a column a rate."""
        return _by_rate((at, words.brief(ratio)) for at, ratio in self.rows)


def _by_rate(texts: Iterable[tuple[Setting, str]]) -> pd.DataFrame:
    """Texts by setting: a row a place, noise and prediction, a column a rate."""
    cells: dict[str, dict[str, str]] = {}
    for at, text in texts:
        cells.setdefault(f"{PLACES[at.layers]}, {NAMES[at.noise]}, {at.prediction}", {})[f"{at.dropout:g}"] = text
    return pd.DataFrame.from_dict(cells, orient="index")


def ratios_to_none(table: pd.DataFrame, prediction: str, output: str) -> Ratios:
    """Every setting's model variance over that without dropout."""
    values = values_of(table, _VALUE + OUTPUTS[output])
    rows = tuple(
        (Setting(layers, case.noise, case.rate, how), ratio)
        for layers, how in product(PLACES, PREDICTIONS[prediction])
        for case, ratio in _to_none(values, layers, how).items()
    )
    sentence = (
        f"Model variance of {output} over that without dropout: below 1, models agree more. In brackets: 95 % interval, delta "
        "method on the logarithm of the ratio of mean jackknife pseudo-values, paired by seed"
        + (f", {rows[0][1].n} models a setting; each of the {len(rows)} intervals holds by itself." if rows else ".")
    )
    return Ratios(rows, sentence)


@dataclass(frozen=True)
class Formula:
    """The paper's own number of section 4.2, population variance over the models: (setting, models, variance) a row."""

    rows: tuple[tuple[Setting, int, float], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a setting and number of models."""
        return pd.DataFrame(
            [
                {
                    "dropout in": PLACES[at.layers], "noise": NAMES[at.noise], "rate": at.dropout, "prediction": at.prediction,
                    "models": models, "model variance": variance,
                }
                for at, models, variance in self.rows
            ]
        )  # fmt: skip

    def formatted(self) -> pd.DataFrame:
        """Of as many models as in the paper, or of all where there are fewer, for people."""
        fewest = min((models for _, models, _ in self.rows), default=0)
        return _by_rate((at, f"{variance:.3g}") for at, models, variance in self.rows if models == fewest)


def formula(models: pd.DataFrame, prediction: str, output: str) -> Formula:
    """The paper's formula by setting, as `dropclust.model_variance` gives it, of the table ``figure2-models``."""
    part = models[(models["source"] == "both") & models["prediction"].isin(PREDICTIONS[prediction])]
    rows = tuple(
        (Setting(*(row[field] for field in Setting._fields)), int(row["models"]), row[f"model_variance{OUTPUTS[output]}"])
        for row in part.to_dict("records")
    )
    sizes = words.listed(sorted({count for _, count, _ in rows}))
    return Formula(
        rows,
        f"Model variance of {output} as section 4.2 writes it: the variance over models, divided by their number, mean over "
        f"images and outputs. Shown is that of the first {min((count for _, count, _ in rows), default=0)} models; the numbers "
        f"hold {sizes} models. It has no interval: the charts draw what it is for {figure2.MODELS} models on average.",
    )


# ---- in what models differ -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """Model variance of vanilla dropout by what the models differ in: (layers or None, rate, source, variance) a row.

    ``layers`` is None without dropout, where the place makes no difference.
    """

    rows: tuple[tuple[str | None, float, str, Interval], ...]
    output: str
    prediction: str
    sentence: str
    brief: str

    @property
    def lines(self) -> dict[str, dict[str, Interval]]:
        """Variance by source, a line a rate and place."""
        found: dict[str, dict[str, Interval]] = {}
        for layers, rate, source, variance in self.rows:
            name = f"dropout {rate:g} in {PLACES[layers]}" if layers else "no dropout"
            found.setdefault(name, {})[SOURCES[source]] = variance
        return found

    def table(self) -> pd.DataFrame:
        """A row a setting and source."""
        return pd.DataFrame(
            [
                {
                    "dropout in": PLACES[layers] if layers else "", "rate": rate, "models differ in": SOURCES[source],
                    f"model variance of {self.output}": variance.mean, "low": variance.low, "high": variance.high,
                    "models": variance.n,
                }
                for layers, rate, source, variance in self.rows
            ]
        )  # fmt: skip


def sources(table: pd.DataFrame, prediction: str, output: str) -> Sources | None:
    """Which part of model variance is the images' doing, of the table ``figure2-sources``; None for fewer than three models.

    The interval is over the models of one source, which share what they do not differ in: seed 0's.
    """
    how, column = PREDICTIONS[prediction][-1], _VALUE + OUTPUTS[output]
    keys = ["layers", "dropout", "source"]
    wide = table[table["prediction"] == how].pivot(index="model", columns=keys, values=column).dropna(axis=1)
    first, rates = next(iter(PLACES)), sorted(map(float, wide.columns.unique("dropout")))
    values = {
        (layers, rate, source): wide[layers, rate, source].to_numpy()
        for rate in rates
        for layers in (PLACES if rate else [first])
        for source in SOURCES
        if (layers, rate, source) in wide
    }
    if not values:
        return None
    rows = tuple((at[0] if at[1] else None, at[1], at[2], _ratio(found)) for at, found in values.items())
    said, brief = [], ""
    if all((first, 0.0, source) in values for source in SOURCES):
        shares = {source: _ratio(values[first, 0.0, source], values[first, 0.0, "both"]) for source in ("images", "start")}
        said.append(
            f"Without dropout, models that differ in their {SOURCES['images']} have {_of(shares['images'])} of the model "
            f"variance of {output} of models that differ in all, those that differ in {SOURCES['start']} "
            f"{_of(shares['start'])}"
        )
        brief = f"Other images alone make {words.percent(shares['images'].mean)} of the model variance without dropout."
    for (layers, rate, source), found in values.items():
        if rate and source == "images" and (first, 0.0, source) in values:
            ratio = _ratio(found, values[first, 0.0, source])
            said.append(
                f"with dropout {rate:g} in {PLACES[layers]}, model variance at other {SOURCES['images']} is {_of(ratio)} of "
                "that without dropout"
            )
    models = words.count(max(row[3].n for row in rows), "model")
    said.append(f"{how}, 95 % intervals, {models} a point; what models do not differ in is that of seed 0")
    return Sources(rows, output, how, f"{words.capital('; '.join(said))}.", brief)


def _of(ratio: Interval) -> str:
    return f"{words.percent(ratio.mean)} ({words.number(100 * ratio.low, 0)} to {words.number(100 * ratio.high, 0)})"


# ---- what became of the claims ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """What section 4.2 says of vanilla dropout and what is seen: (statement, count) a row, and what the counts are of.

    ``headline`` tells the first of them in at most 15 words.
    """

    about: str
    rows: tuple[tuple[str, str], ...]
    headline: str


def counts(table: pd.DataFrame, prediction: str, output: str) -> Counts | None:
    """The paper's three statements, counted with the intervals that the charts draw; None for fewer than three models."""
    values, errors = (values_of(table, name + OUTPUTS[output]) for name in (_VALUE, _ERROR))
    predictions = PREDICTIONS[prediction]
    lower: dict[str, list[Interval]] = {how: [] for how in predictions}
    to_others: dict[str, list[tuple[Interval, ...]]] = {how: [] for how in predictions}
    to_scaled: list[Interval] = []
    for layers in PLACES:
        clean = _to_scaled(values, layers, "sampled", errors)
        to_scaled += [ratio for case, ratio in clean.items() if case.noise == VANILLA]
        for how in predictions:
            for case, ratio in _to_none(values, layers, how).items():
                if case.noise != VANILLA:
                    continue
                lower[how].append(ratio)
                vanilla = Setting(layers, VANILLA, case.rate, how)
                others = [vanilla._replace(noise=noise) for noise in NOISES if noise != VANILLA]
                if all(other in values for other in others):
                    ratios = (_ratio(values[vanilla], values[other]) for other in others)
                    to_others[how].append(tuple(ratios))
    if not to_scaled or not all(lower.values()):
        return None
    lowest = []
    for how, found in to_others.items():
        best = sum(all(side(ratio, 1) < 0 for ratio in ratios) for ratios in found)
        beaten = sum(any(side(ratio, 1) > 0 for ratio in ratios) for ratios in found)
        lowest.append(f"{how}, lowest at {best} of {len(found)}, another is lower at {beaten}")
    return Counts(
        f"The paper says three things of vanilla dropout, which the charts call {NAMES[VANILLA]}. Of the {len(to_scaled)} "
        f"pairs of layers and rate, counted are those where the model variance of {output} is so by its 95 % interval over "
        f"{to_scaled[0].n} models:",
        (
            (
                "It is lower than without dropout:",
                "; ".join(f"{how}, {words.sides(found, 1)}" for how, found in lower.items()) + ".",
            ),
            (f"It is the lowest of the {len(NOISES)} noises:", "; ".join(lowest) + "."),
            (
                "It is lower sampled than scaled:",
                f"{words.sides(to_scaled, 1)}, with the Monte Carlo error of the {figure2.SAMPLES} masks taken out.",
            ),
        ),
        f"Vanilla dropout lowers model variance in {sum(side(ratio, 1) < 0 for ratio in lower[predictions[-1]])} of "
        f"{len(lower[predictions[-1]])} pairs of layers and rate.",
    )


# ---- all of it -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure2:
    """All that is said of one recipe, prediction and kind of output; pairs are (layer 3, layers 2 and 3).

    ``formula`` and ``sources`` are None where their tables cannot be read, and ``missing`` says why.
    """

    counts: Counts | None
    variance: tuple[Chart, Chart]
    ratios: Ratios
    sampling: tuple[Chart, Chart]
    cross_entropy: tuple[Chart, Chart]
    formula: Formula | None = None
    sources: Sources | None = None
    missing: tuple[str, ...] = ()
    command: str = ""

    @property
    def sentence(self) -> str:
        """What became of the paper's three statements; with too few models to tell, why."""
        if self.counts is None:
            return self.variance[0].sentence
        return " ".join([self.counts.about, *(f"{statement} {seen}" for statement, seen in self.counts.rows)])

    @property
    def headline(self) -> str:
        """The first of them in at most 15 words."""
        return self.counts.headline if self.counts else self.variance[0].sentence

    def table(self) -> pd.DataFrame:
        """Model variance with dropout over that without, a row a setting."""
        return self.ratios.table()


def find(table: pd.DataFrame, prediction: str = "sampled", output: str = "logits") -> Figure2:
    """Everything that is said of the main table."""
    return Figure2(
        counts(table, prediction, output),
        variance_charts(table, prediction, output),
        ratios_to_none(table, prediction, output),
        sampling_charts(table, output),
        cross_entropy_charts(table, prediction),
    )


def read(recipe: str = "modern", root: Path | None = None, prediction: str = "sampled", output: str = "logits") -> Figure2:
    """Everything that is said of the shipped tables.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the tables; the shipped results when None.
    prediction
        "scaled", "sampled" or "both".
    output
        "logits" or "probabilities": the paper does not say which it takes the variance of.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the main table is missing, damaged or another version's.
    """
    main = results.read(results.file_name(figure2.EXPERIMENT.name, recipe), root, _COLUMNS)
    found, missing = replace(find(main.table, prediction, output), command=main.command), []
    try:
        models = results.read(results.file_name(figure2.MODELS_TABLE, recipe), root, _FORMULA_COLUMNS).table
        found = replace(found, formula=formula(models, prediction, output))
    except results.ResultError as error:
        missing.append(str(error))
    try:
        differing = results.read(results.file_name(figure2.SOURCES_TABLE, recipe), root, _SOURCE_COLUMNS).table
        found = replace(found, sources=sources(differing, prediction, output))
    except results.ResultError as error:
        missing.append(str(error))
    return replace(found, missing=tuple(missing))
