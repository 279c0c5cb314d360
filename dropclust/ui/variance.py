"""Figure 2 as objects and figures: how far models of other images differ, against no dropout and sampled against scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from scipy.special import stdtrit

from dropclust.core.intervals import Interval, mean_interval, paired_difference
from dropclust.core.spec import NOISES
from dropclust.experiments import figure2, results
from dropclust.experiments.experiment import Settings
from dropclust.service.stored import Summary
from dropclust.ui import charts, live, runs
from dropclust.ui.charts import CHANCE, MEASURED, SECOND, Curves, Series

COLUMNS = {"logits": "model_variance", "probabilities": "model_variance_probs"}
WAYS = {"scaled": ("scaled",), "sampled": ("sampled",), "both": figure2.PREDICTIONS}  # to predict, by the viewer's choice
PLACES = {"3": "layer 3", "2 and 3": "layers 2 and 3"}
NAMES = {noise: name.split(" ")[0] for noise, name in NOISES.items()}
VANILLA = figure2.SILENT
_ROLES = dict(zip(NOISES, (MEASURED, SECOND, 3), strict=True))
_DASHES = {"scaled": "solid", "sampled": "dash"}
_TICKS = [digit * 10.0**power for power in range(-6, 6) for digit in (1, 2, 5)]  # of a logarithmic axis
_ORDERS = 10.0  # a chart whose values differ by more than this factor has a logarithmic axis


def ratio_interval(over: npt.ArrayLike, under: npt.ArrayLike | None = None, level: float = 0.95) -> Interval:
    """Ratio of two means paired by seed, or one mean, with an interval that is never below zero.

    Delta method on the logarithm: log r +- t(1/2 + level/2; n-1) s / sqrt(n), where s is the standard deviation of
    over_i / mean(over) - under_i / mean(under). For jackknife pseudo-values it is the jackknife of the ratio's linear part.

    Parameters
    ----------
    over, under
        Numbers ``[n]``, one a seed, in the same order, with means above 0; ``under`` is 1 when it is None.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        The ends are NaN for one seed, and the ratio as well where a mean is not above 0.
    """
    a = np.asarray(over, dtype=float)
    b = np.ones_like(a) if under is None else np.asarray(under, dtype=float)
    n, tops, bottoms = len(a), float(a.mean()), float(b.mean())
    if min(tops, bottoms) <= 0:
        return Interval(math.nan, math.nan, math.nan, n, level)
    ratio = tops / bottoms
    if n == 1:
        return Interval(ratio, math.nan, math.nan, n, level)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float((a / tops - b / bottoms).std(ddof=1)) / math.sqrt(n)
    return Interval(ratio, ratio * math.exp(-half), ratio * math.exp(half), n, level)


# ---- what is drawn -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Own:
    """A stored run that belongs on a chart: its name, noise, rate and scaled test cross-entropy."""

    name: str
    noise: str
    rate: float
    cross_entropy: float


def own_runs(summaries: Iterable[Summary], recipe: str) -> dict[str, tuple[Own, ...]]:
    """The finished runs like those of Figure 2, whatever their rate, noise, seed and precision, by place of the noise."""
    template = figure2.EXPERIMENT.specs(Settings(recipe, 1))[0]
    found: dict[str, list[Own]] = {place: [] for place in PLACES}
    for each in summaries:
        spec, rate = each.spec, max(each.spec.dropout)
        free = {name: getattr(spec, name) for name in ("dropout", "noise", "seed", "precision")}
        if each.status != "done" or replace(template, **free) != spec:
            continue
        for place, mask in figure2.LAYERS.items():
            if spec.dropout == tuple(rate * on for on in mask):
                found[place].append(Own(runs.label(spec), spec.noise, rate, each.metrics["test_cross_entropy"]))
    return {place: tuple(own) for place, own in found.items()}


@dataclass(frozen=True)
class Chart:
    """Lines over the rate, a line a noise and way to predict.

    ``dashes`` has an entry a line, or none where the lines' own will do; ``level`` is where there is no difference;
    ``logarithmic`` and ``y_range`` describe the axis (decimal exponents where it is logarithmic); ``own`` are the stored runs.
    """

    curves: Curves
    dashes: tuple[str, ...]
    logarithmic: bool
    y_range: tuple[float, float] | None
    level: float | None = None
    own: tuple[Own, ...] = ()

    @property
    def sentence(self) -> str:
        """What to see."""
        if not self.own:
            return self.curves.sentence
        return f"{self.curves.sentence} Open markers: {len(self.own)} stored run{'s' if len(self.own) > 1 else ''}, scaled."

    def table(self) -> pd.DataFrame:
        """A row a rate, and below them a row a stored run."""
        if not self.own:
            return self.curves.table()
        x, y = self.curves.x_title, self.curves.y_title
        stored = [{x: each.rate, y: each.cross_entropy, "stored run": each.name} for each in self.own]
        return pd.concat([self.curves.table(), pd.DataFrame(stored)], ignore_index=True)


def _charts(
    y_title: str,
    sentences: Sequence[str],
    lines: Sequence[Sequence[tuple[str, Series]]],
    level: float | None = None,
) -> tuple[Chart, Chart]:
    """The two charts of a row, on one axis: where their values span orders of magnitude it is logarithmic."""
    every = [series for place in lines for _, series in place]
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
            Curves(f"Dropout in {PLACES[place]}", "dropout rate", y_title, tuple(series for _, series in part), sentence),
            tuple(dash for dash, _ in part if dash),
            logarithmic,
            span,
            level,
        )
        for place, sentence, part in zip(PLACES, sentences, lines, strict=True)
    )
    return left, right


def chart_figure(info: Chart) -> go.Figure:
    """Draw a chart: colour tells the noise, the dash how it is predicted, the marker both."""
    # On a phone the legend of many lines takes much of a chart's height.
    figure, colours = charts.curves(info.curves, 400 if len(info.curves.series) <= len(NOISES) else 500), charts.palette()
    for line, dash in zip(info.curves.series, info.dashes, strict=bool(info.dashes)):
        figure.update_traces(line_dash=dash, selector={"name": line.name})
    for noise in NOISES:
        mine = [each for each in info.own if each.noise == noise]
        if mine:
            figure.add_scatter(
                x=[each.rate for each in mine], y=[each.cross_entropy for each in mine], text=[each.name for each in mine],
                name=f"stored runs, {NAMES[noise]}", mode="markers", hovertemplate="%{y:.3f}: %{text}",
                marker={"symbol": "circle-open", "size": 15, "color": colours[_ROLES[noise]], "line": {"width": 3}},
            )  # fmt: skip
    if info.level is not None:
        figure.add_hline(info.level, line={"color": colours[CHANCE], "width": 2, "dash": "dot"})
    figure.update_yaxes(type="log" if info.logarithmic else "linear", range=info.y_range)
    if info.logarithmic:
        figure.update_yaxes(
            title_text=f"{info.curves.y_title} (log axis)", tickvals=_TICKS, ticktext=[f"{tick:g}" for tick in _TICKS]
        )
    return figure


# ---- one column of the table, by setting -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Values:
    """One column of Figure 2's table as ``[seeds, settings]``; a setting is (place, noise, rate, prediction)."""

    frame: pd.DataFrame

    @classmethod
    def of(cls, table: pd.DataFrame, column: str) -> Values:
        """Put each setting into a column; settings without values, as of fewer than three models, are left out."""
        keys = ["layers", "noise", "dropout", "prediction"]
        return cls(table.pivot(index="seed", columns=keys, values=column).dropna(axis=1))

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates, ascending."""
        return tuple(sorted(map(float, self.frame.columns.unique("dropout"))))

    @property
    def noises(self) -> tuple[str, ...]:
        """The noises, in the project's order."""
        return tuple(noise for noise in NOISES if noise in self.frame.columns.unique("noise"))

    def __contains__(self, setting: tuple[str, str, float, str]) -> bool:
        return setting in self.frame.columns

    def __getitem__(self, setting: tuple[str, str, float, str]) -> npt.NDArray[np.float64]:
        """One value a seed."""
        values: npt.NDArray[np.float64] = self.frame[setting].to_numpy(dtype=float)
        return values


def _line(name: str, points: Mapping[float, Interval], noise: str) -> Series:
    seeds = max((each.n for each in points.values()), default=0)
    means, lows, highs = (tuple(getattr(each, end) for each in points.values()) for end in ("mean", "low", "high"))
    return Series(name, tuple(points), means, lows, highs, seeds, _ROLES[noise])


def _name(noise: str, way: str, ways: Sequence[str]) -> str:
    return f"{NAMES[noise]}, {way}" if len(ways) > 1 else NAMES[noise]


def _sides(intervals: Iterable[Interval], level: float, pairs: str = " pairs of noise and rate") -> str:
    """At how many settings the whole interval lies below a level, above it, or neither."""
    ends = [(each.low, each.high) for each in intervals]
    below, above = sum(high < level for _, high in ends), sum(low > level for low, _ in ends)
    rest = len(ends) - below - above
    return f"lower at {below} of {len(ends)}{pairs}, higher at {above}" + (f", not told apart at {rest}" if rest else "")


# ---- model variance ------------------------------------------------------------------------------------------------------


def _to_none(values: Values, place: str, way: str) -> dict[tuple[str, float], Interval]:
    """Model variance with dropout over that without, by noise and rate, paired by seed."""
    return {
        (noise, rate): ratio_interval(values[place, noise, rate, way], values[place, noise, 0.0, way])
        for noise, rate in product(values.noises, values.rates)
        if rate > 0 and (place, noise, rate, way) in values and (place, noise, 0.0, way) in values
    }


def variance_charts(table: pd.DataFrame, prediction: str, of: str) -> tuple[Chart, Chart]:
    """Model variance against the rate, for noise in layer 3 and in layers 2 and 3."""
    values, ways = Values.of(table, COLUMNS[of]), WAYS[prediction]
    lines, sentences = [], []
    for place in PLACES:
        part, said = [], []
        for way in ways:
            for noise in values.noises:
                points = {
                    rate: ratio_interval(values[place, noise, rate, way])
                    for rate in values.rates
                    if (place, noise, rate, way) in values
                }
                part.append((_DASHES[way] if len(ways) > 1 else "", _line(_name(noise, way, ways), points, noise)))
            ratios = _to_none(values, place, way)
            if ratios:
                least = min(ratios, key=lambda setting: ratios[setting].mean)
                said.append(
                    f"{way.capitalize()}, model variance of {of} is {_sides(ratios.values(), 1)}, compared with no dropout; "
                    f"lowest with {NAMES[least[0]]} {least[1]:g}, at {ratios[least].text(2, 'model')} of it."
                )
        lines.append(part)
        sentences.append(f"Dropout in {PLACES[place]}. {' '.join(said)}" if said else _too_few(table))
    return _charts(f"model variance of {of}", sentences, lines)


def _too_few(table: pd.DataFrame) -> str:
    models = table["seed"].nunique()
    return f"{models} model{'s' if models > 1 else ''} of each kind: nothing can be compared, for a variance needs three."


# ---- sampled against scaled ------------------------------------------------------------------------------------------------


def _sampled_to_scaled(table: pd.DataFrame, place: str, of: str) -> tuple[dict[tuple[str, float], Interval], ...]:
    """Model variance sampled over scaled by noise and rate: with the masks' Monte Carlo error taken out, and as measured.

    Of probabilities the variance over masks is not known, and both are as measured.
    """
    values, masks = Values.of(table, COLUMNS[of]), Values.of(table, "mask_variance")
    share = (figure2.MODELS - 1) / figure2.MODELS / figure2.SAMPLES if of == "logits" else 0.0
    clean, raw = {}, {}
    for noise, rate in product(values.noises, values.rates):
        sampled, scaled = ((place, noise, rate, way) for way in ("sampled", "scaled"))
        if rate > 0 and sampled in values and scaled in values:
            raw[noise, rate] = ratio_interval(values[sampled], values[scaled])
            clean[noise, rate] = ratio_interval(values[sampled] - share * masks[sampled], values[scaled])
    return clean, raw


def sampling_charts(table: pd.DataFrame, of: str) -> tuple[Chart, Chart]:
    """Model variance sampled over scaled against the rate: 1 where the two agree.

    The mean over S masks adds 9/10 of the variance over masks, divided by S, to the model variance of logits: it is taken out,
    model by model, and what was measured is drawn beside it. Of probabilities the variance over masks is not known.
    """
    noises = Values.of(table, COLUMNS[of]).noises
    lines, sentences = [], []
    for place in PLACES:
        best, raw = _sampled_to_scaled(table, place, of)
        kinds = [("solid", "", best), ("dot", ", as measured", raw)] if of == "logits" else [("", "", best)]
        lines.append(
            [
                (
                    dash,
                    _line(
                        f"{NAMES[noise]}{suffix}", {rate: each for (of_, rate), each in found.items() if of_ == noise}, noise
                    ),
                )
                for dash, suffix, found in kinds
                for noise in noises
            ]
        )
        sentences.append(_sampling_sentence(best, raw, place, of) if raw else _too_few(table))
    return _charts("sampled / scaled", sentences, lines, level=1.0)


def _sampling_sentence(
    ratios: Mapping[tuple[str, float], Interval], raw: Mapping[tuple[str, float], Interval], place: str, of: str
) -> str:
    noise, rate = max(ratios, key=lambda setting: abs(ratios[setting].mean - 1))
    furthest = f"the ratio is furthest from 1 with {NAMES[noise]} {rate:g}: {ratios[noise, rate].text(3, 'model')}"
    error = f"with the Monte Carlo error of its {figure2.SAMPLES} masks taken out, "
    if (place, of) == ("3", "logits"):
        holds = sum(each.low <= 1 <= each.high for each in ratios.values())
        return (
            "With dropout in the last hidden layer alone, logits are linear in the mask, so that their mean over all masks is "
            "the scaled network's, and sampling differs by Monte Carlo error only. Measured, the ratio is "
            f"{min(each.mean for each in raw.values()):.3f} to {max(each.mean for each in raw.values()):.3f}; {error}1 is in "
            f"its 95 % interval at {holds} of {len(ratios)} pairs of noise and rate, and {furthest}."
        )
    return (
        f"Dropout in {PLACES[place]}: {error if of == 'logits' else ''}sampled model variance of {of} is "
        f"{_sides(ratios.values(), 1)}, compared with scaled; {furthest}."
    )


# ---- cross-entropy -------------------------------------------------------------------------------------------------------


def cross_entropy_charts(table: pd.DataFrame, prediction: str) -> tuple[Chart, Chart]:
    """Test cross-entropy against the rate, for noise in layer 3 and in layers 2 and 3."""
    values, ways = Values.of(table, "cross_entropy"), WAYS[prediction]
    lines, sentences = [], []
    for place in PLACES:
        part, said = [], []
        for way in ways:
            found = {
                (noise, rate): values[place, noise, rate, way]
                for noise, rate in product(values.noises, values.rates)
                if (place, noise, rate, way) in values
            }
            for noise in values.noises:
                points = {rate: mean_interval(each) for (of, rate), each in found.items() if of == noise}
                part.append((_DASHES[way] if len(ways) > 1 else "", _line(_name(noise, way, ways), points, noise)))
            gaps = {
                (noise, rate): paired_difference(each, found[noise, 0.0])
                for (noise, rate), each in found.items()
                if rate > 0 and (noise, 0.0) in found
            }
            if gaps:
                least = min(gaps, key=lambda setting: gaps[setting].mean)
                said.append(
                    f"{way.capitalize()}, cross-entropy is {_sides(gaps.values(), 0)}, compared with no dropout, paired by "
                    f"seed; lowest with {NAMES[least[0]]} {least[1]:g}: {mean_interval(found[least]).text(3)} nats, without "
                    f"dropout {found[least[0], 0.0].mean():.3f}."
                )
        lines.append(part)
        sentences.append(f"Dropout in {PLACES[place]}. {' '.join(said)}" if said else "Nothing to compare with no dropout.")
    return _charts("cross-entropy, nats", sentences, lines)


# ---- ratios as a table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratios:
    """Model variance with dropout over that without: (place, noise, rate, prediction, ratio) a row."""

    rows: tuple[tuple[str, str, float, str, Interval], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a setting."""
        return pd.DataFrame(
            [
                {
                    "dropout in": PLACES[place], "noise": NAMES[noise], "rate": rate, "prediction": way,
                    "ratio to no dropout": ratio.mean, "low": ratio.low, "high": ratio.high, "models": ratio.n,
                }
                for place, noise, rate, way, ratio in self.rows
            ]
        )  # fmt: skip

    def formatted(self) -> pd.DataFrame:
        """The same for people: a row a place, noise and way to predict, a column a rate."""
        cells: dict[str, dict[str, str]] = {}
        for place, noise, rate, way, ratio in self.rows:
            text = f"{ratio.mean:.2f}" if ratio.n == 1 else f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            cells.setdefault(f"{PLACES[place]}, {NAMES[noise]}, {way}", {})[f"{rate:g}"] = text
        return pd.DataFrame.from_dict(cells, orient="index")


def ratios_to_none(table: pd.DataFrame, prediction: str, of: str) -> Ratios:
    """Every setting's model variance over that without dropout."""
    values = Values.of(table, COLUMNS[of])
    rows = tuple(
        (place, noise, rate, way, ratio)
        for place, way in product(PLACES, WAYS[prediction])
        for (noise, rate), ratio in _to_none(values, place, way).items()
    )
    sentence = (
        f"Model variance of {of} over that without dropout: below 1, models agree more. In brackets: 95 % interval, delta "
        "method on the logarithm of the ratio of mean jackknife pseudo-values, paired by seed"
        + (f", {rows[0][-1].n} models a setting; each of the {len(rows)} intervals holds by itself." if rows else ".")
    )
    return Ratios(rows, sentence)


# ---- what became of the claims ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claims:
    """What section 4.2 claims of vanilla dropout and what is seen: (claim, count) a row, and what the counts are of."""

    about: str
    rows: tuple[tuple[str, str], ...]


def claims(table: pd.DataFrame, prediction: str, of: str) -> Claims | None:
    """The paper's three claims, counted with the intervals that the charts draw; None for fewer than three models."""
    values, ways = Values.of(table, COLUMNS[of]), WAYS[prediction]
    none: dict[str, list[Interval]] = {way: [] for way in ways}
    others: dict[str, list[tuple[Interval, ...]]] = {way: [] for way in ways}
    scaled: list[Interval] = []
    for place in PLACES:
        scaled += [each for (noise, _), each in _sampled_to_scaled(table, place, of)[0].items() if noise == VANILLA]
        for way in ways:
            for (noise, rate), ratio in _to_none(values, place, way).items():
                rest = [(place, other, rate, way) for other in NOISES if other != VANILLA]
                if noise == VANILLA:
                    none[way].append(ratio)
                    if all(setting in values for setting in rest):
                        own = values[place, VANILLA, rate, way]
                        others[way].append(tuple(ratio_interval(own, values[setting]) for setting in rest))
    if not scaled or not all(none.values()):
        return None
    lowest = {way: sum(all(each.high < 1 for each in pair) for pair in found) for way, found in others.items()}
    beaten = {way: sum(any(each.low > 1 for each in pair) for pair in found) for way, found in others.items()}
    masks = f", with the Monte Carlo error of the {figure2.SAMPLES} masks taken out" if of == "logits" else ""
    return Claims(
        f"The paper says three things of vanilla dropout, which the charts call {NAMES[VANILLA]}. Of the {len(scaled)} pairs "
        f"of layers and rate, counted are those where the model variance of {of} is so by its 95 % interval over {scaled[0].n} "
        "models:",
        (
            (
                "It is lower than without dropout:",
                "; ".join(f"{way}, {_sides(found, 1, '')}" for way, found in none.items()) + ".",
            ),
            (
                f"It is the lowest of the {len(NOISES)} noises:",
                "; ".join(
                    f"{way}, lowest at {lowest[way]} of {len(found)}, another is lower at {beaten[way]}"
                    for way, found in others.items()
                )
                + ".",
            ),
            ("It is lower sampled than scaled:", f"{_sides(scaled, 1, '')}{masks}."),
        ),
    )


# ---- all of it -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VarianceCharts:
    """All that is shown of one recipe, way to predict and kind of prediction; pairs are (layer 3, layers 2 and 3)."""

    claims: Claims | None
    variance: tuple[Chart, Chart]
    ratios: Ratios
    sampling: tuple[Chart, Chart]
    cross_entropy: tuple[Chart, Chart]


def figure_2(table: pd.DataFrame, prediction: str, of: str) -> VarianceCharts:
    """Everything at once, so that it is made once for all viewers."""
    return VarianceCharts(
        claims(table, prediction, of),
        variance_charts(table, prediction, of),
        ratios_to_none(table, prediction, of),
        sampling_charts(table, of),
        cross_entropy_charts(table, prediction),
    )


@st.cache_resource(show_spinner=False, max_entries=24)
def figure_2_of(recipe: str, prediction: str, of: str) -> VarianceCharts:
    """What is shown of the shipped Figure 2, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return figure_2(live.result(results.file_name("figure2", recipe)).table, prediction, of)
