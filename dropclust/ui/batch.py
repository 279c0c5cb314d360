"""Table 1 as objects and figures: accuracy by batch size, its trend seed by seed, and how far a single run strays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from scipy.special import stdtrit

from dropclust.core.intervals import Interval, mean_interval, paired_difference
from dropclust.core.spec import TEST_IMAGES
from dropclust.experiments import paper, results, table1
from dropclust.experiments.experiment import Settings
from dropclust.service.stored import Summary
from dropclust.ui import charts, live, runs
from dropclust.ui.charts import CHANCE, MEASURED, PAPER, SECOND, Series

OFF, ON = table1.RATES  # no dropout, and the paper's rate
NAMES = {ON: f"dropout {ON:g}", OFF: "no dropout"}
_WITH = {ON: f"with {NAMES[ON]}", OFF: "without dropout"}
_SHORT = {ON: f"{ON:g}", OFF: "none"}
_ROLES = {ON: MEASURED, OFF: SECOND}
_PAPER_SYMBOLS = {ON: "star-diamond", OFF: "star-diamond-open"}
_OWN_SYMBOLS = {ON: "circle-open", OFF: "square-open"}
_SUMMED = "paper"  # the recipe whose steps go down the summed loss of a batch, not its mean
_STRAYED = 128  # the batch size whose accuracy in the paper falls out of its row


# ---- accuracy ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Own:
    """A stored run that belongs on the chart: its name, rate, batch size, scaled test accuracy and key."""

    name: str
    rate: float
    batch: int
    accuracy: float
    key: str


def own_runs(summaries: Iterable[Summary], recipe: str) -> tuple[Own, ...]:
    """The finished runs that differ from those of the table in batch size, seed and precision at most."""
    templates = {spec.dropout: spec for spec in table1.EXPERIMENT.specs(Settings(recipe, 1))}
    found = []
    for each in summaries:
        spec = each.spec
        template = templates.get(spec.dropout)
        if template is None or each.status != "done":
            continue
        free = {name: getattr(spec, name) for name in ("batch_size", "seed", "precision")}
        if not any(spec.dropout):
            free["noise"] = spec.noise  # which noise is not put on makes no difference
        if replace(template, **free) == spec:
            found.append(Own(runs.label(spec), spec.dropout[0], spec.batch_size, each.metrics["test_accuracy"], each.key))
    return tuple(found)


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy against the batch size, a line a rate, with the paper's values and the stored runs as markers."""

    lines: tuple[Series, ...]
    rates: tuple[float, ...]  # of the lines
    paper: Mapping[float, Mapping[int, float]]
    own: tuple[Own, ...]
    sentence: str

    def with_own(self, own: tuple[Own, ...]) -> Accuracy:
        """The same with stored runs."""
        if not own:
            return self
        said = f" Open markers: {len(own)} stored run{'s' if len(own) > 1 else ''} of one seed each, scaled."
        return replace(self, own=own, sentence=self.sentence + said)

    def table(self) -> pd.DataFrame:
        """A row a batch size, and below them a row a stored run."""
        columns: dict[str, dict[float, float]] = {}
        for rate, line in zip(self.rates, self.lines, strict=True):
            for suffix, values in (("", line.mean), (" low", line.low), (" high", line.high)):
                columns[f"{NAMES[rate]}{suffix}"] = dict(zip(line.x, values, strict=True))
            if self.paper[rate]:
                columns[f"paper, {NAMES[rate]}"] = {float(batch): value for batch, value in self.paper[rate].items()}
        means = pd.DataFrame(columns).rename_axis("batch size").sort_index().reset_index()
        stored = pd.DataFrame(
            [{"batch size": each.batch, NAMES[each.rate]: each.accuracy, "stored run": each.name} for each in self.own]
        )
        return means if stored.empty else pd.concat([means, stored], ignore_index=True)


def accuracy(table: pd.DataFrame, prediction: str, beside: bool = True) -> Accuracy:
    """Mean and Student t interval over seeds at every batch size, with dropout and without; ``beside`` the paper's or not."""
    part = table[table["prediction"] == prediction]
    rates = tuple(rate for rate in (ON, OFF) if (part["dropout"] == rate).any())
    lines = tuple(
        Series.of(NAMES[rate], part[part["dropout"] == rate], "batch_size", "accuracy", _ROLES[rate]) for rate in rates
    )
    reported = {rate: paper.TABLE_1[rate] if beside else {} for rate in rates}
    said = []
    for rate, line in zip(rates, lines, strict=True):
        first, last = line.x[0], line.x[-1]
        text = f"{_WITH[rate]} accuracy is {line.mean[0]:.3f} at batch {first:g} and {line.mean[-1]:.3f} at {last:g}"
        if first in reported[rate] and last in reported[rate]:
            text += f" (paper: {reported[rate][int(first)]:.3f} and {reported[rate][int(last)]:.3f})"
        said.append(f"{text}, {_best(_by_seed(part, rate))}")
    n = max(line.n for line in lines)
    sentence = "; ".join(said)
    sentence = f"{sentence[:1].upper()}{sentence[1:]}; {prediction}, {n} seed{'s' if n > 1 else ''}."
    if (table["recipe"] == _SUMMED).all():
        sentence += (
            " Under this recipe a step is plain SGD on the summed loss of its batch, so that the same number of examples moves "
            "the weights about equally far, whatever the batch size."
        )
    return Accuracy(lines, rates, reported, (), sentence)


def _best(accuracies: pd.DataFrame) -> str:
    """The best batch size of ``[seeds, batch sizes]``, if differences paired by seed show that it beats every other."""
    best = accuracies.mean().idxmax() if len(accuracies) else None
    others = [accuracies[size] for size in accuracies if size != best]
    if others and all(paired_difference(accuracies[best], other).low > 0 for other in others):
        return f"best at {best:g}"
    return "no batch size shown to be best"


def accuracy_figure(info: Accuracy, height: int = 460) -> go.Figure:
    """Draw the lines over a logarithmic axis, the paper's values and the stored runs as markers of their own shape."""
    title = f"Accuracy on the {TEST_IMAGES:,} test images"
    figure = charts.curves(charts.Curves(title, "batch size", "accuracy", info.lines, info.sentence), height)
    colours = charts.palette()
    for rate in info.rates:
        if info.paper[rate]:
            figure.add_scatter(
                x=list(info.paper[rate]), y=list(info.paper[rate].values()), name=f"paper, {NAMES[rate]}", mode="markers",
                marker={"symbol": _PAPER_SYMBOLS[rate], "size": 15, "color": colours[PAPER], "line": {"width": 2}},
                hovertemplate="%{y:.3f}",
            )  # fmt: skip
        mine = [each for each in info.own if each.rate == rate]
        if mine:
            figure.add_scatter(
                x=[each.batch for each in mine], y=[each.accuracy for each in mine], text=[each.name for each in mine],
                name=f"stored runs, {NAMES[rate]}", mode="markers", hovertemplate="%{y:.3f}: %{text}",
                marker={"symbol": _OWN_SYMBOLS[rate], "size": 15, "color": colours[3], "line": {"width": 3}},
            )  # fmt: skip
    _batch_axis(figure, info.lines[0].x)
    return figure


def _batch_axis(figure: go.Figure, batches: Sequence[float]) -> None:
    labels = [f"{batch:g}" for batch in batches]
    figure.update_xaxes(type="log", tickvals=list(batches), ticktext=labels, title_text="batch size (log axis)")


# ---- the trend -----------------------------------------------------------------------------------------------------------


def _by_seed(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Accuracy ``[seeds, batch sizes]`` of the seeds that have every batch size."""
    part = table[table["dropout"] == rate]
    return part.pivot(index="seed", columns="batch_size", values="accuracy").dropna()


def _slopes(accuracies: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Least-squares change of each row, in percentage points for every doubling of the column's number."""
    doublings = np.log2(accuracies.columns.to_numpy(dtype=float))
    doublings -= doublings.mean()
    slopes: npt.NDArray[np.float64] = 100 * accuracies.to_numpy(dtype=float) @ doublings / (doublings @ doublings)
    return slopes


def fitted_slope(values: Mapping[int, float]) -> Interval:
    """Percentage points for every doubling in one row of single runs, with the interval that its scatter about the line gives.

    Student t with two degrees of freedom fewer than there are batch sizes; it takes the trend to be a straight line.
    """
    row = pd.DataFrame([values])
    slope = float(_slopes(row)[0])
    x = np.log2(row.columns.to_numpy(dtype=float))
    y = 100 * row.to_numpy(dtype=float)[0]
    left = (y - y.mean()) - slope * (x - x.mean())
    half = float(stdtrit(len(x) - 2, 0.975)) * math.sqrt(left @ left / (len(x) - 2) / ((x - x.mean()) @ (x - x.mean())))
    return Interval(slope, slope - half, slope + half, len(x), 0.95)


@dataclass(frozen=True)
class Trend:
    """Change of accuracy for every doubling of the batch, in percentage points: (name, ours, the paper's or None) a row.

    ``verdict`` says what became of the paper's claim.
    """

    rows: tuple[tuple[str, Interval, Interval | None], ...]
    verdict: str
    sentence: str

    @property
    def y_range(self) -> tuple[float, float]:
        """What the chart spans: ours with their intervals and the paper's without, which would leave nothing to see of ours."""
        ends = [0.0]
        for _, ours, theirs in self.rows:
            ends += [end for end in (ours.mean, ours.low, ours.high) if math.isfinite(end)]
            ends += [theirs.mean] if theirs else []
        room = 0.1 * (max(ends) - min(ends))
        return min(ends) - room, max(ends) + room

    def table(self) -> pd.DataFrame:
        """A row a slope."""
        return pd.DataFrame(
            [
                {
                    "percentage points a doubling": name, "ours": ours.mean, "low": ours.low, "high": ours.high,
                    "seeds": ours.n,
                }
                | ({"paper": theirs.mean, "paper low": theirs.low, "paper high": theirs.high} if theirs else {})
                for name, ours, theirs in self.rows
            ]
        )  # fmt: skip


def trend(table: pd.DataFrame, prediction: str, beside: bool = True) -> Trend | None:
    """Slopes fitted seed by seed, their difference paired by seed, and ``beside`` them the same of the paper's single runs.

    None where there is nothing to fit: one batch size, or no seed that has every batch size both with dropout and without.
    """
    part = table[table["prediction"] == prediction]
    on, off = _by_seed(part, ON), _by_seed(part, OFF)
    seeds = on.index.intersection(off.index)
    if not len(seeds) or min(on.shape[1], off.shape[1]) < 2:
        return None
    with_, without = _slopes(on.loc[seeds]), _slopes(off.loc[seeds])
    ours = (mean_interval(with_), mean_interval(without), paired_difference(with_, without))
    names = (NAMES[ON], NAMES[OFF], "difference")
    verdict = _verdict(*ours)
    sentence = (
        f"Each doubling of the batch changes accuracy by {_signed(ours[0])} percentage points with {NAMES[ON]}, by "
        f"{_signed(ours[1])} without, {prediction}; the difference is paired by seed."
    )
    if not beside:
        return Trend(tuple((name, each, None) for name, each in zip(names, ours, strict=True)), verdict, sentence)
    reported = [paper.TABLE_1[rate] for rate in (ON, OFF)]
    gap = {batch: reported[0][batch] - reported[1][batch] for batch in reported[0]}
    theirs = tuple(fitted_slope(row) for row in (*reported, gap))
    sentence += " Paper: lines fitted to its Table 1, one run a cell, with the intervals that the scatter about them gives"
    info = Trend(tuple(zip(names, ours, theirs, strict=True)), f"{verdict} {_beside(ours[2], theirs[2])}", f"{sentence}.")
    low, high = info.y_range
    if any(each.low < low or each.high > high for each in theirs):
        return replace(info, sentence=f"{sentence}, which run off the chart.")
    return info


def _signed(interval: Interval, of: str = "seed") -> str:
    if interval.n == 1:
        return f"{interval.mean:+.2f} (one {of}: no interval)"
    return f"{interval.mean:+.2f} (95 % interval {interval.low:+.2f} to {interval.high:+.2f}, {interval.n} {of}s)"


def _verdict(with_: Interval, without: Interval, difference: Interval) -> str:
    """What the paper's claim, that a larger batch helps more where dropout is on, comes to."""
    if difference.low > 0 and with_.mean > 0:
        what = "a larger batch helps more where dropout is on, as the paper says"
    elif difference.low > 0:
        what = "a larger batch costs less where dropout is on, but it does not help there either"
    elif difference.high < 0:
        does = "helps less" if with_.mean > 0 else "costs more" if without.mean < 0 else "costs accuracy"
        what = f"a larger batch {does} where dropout is on, the contrary of what the paper says"
    elif math.isnan(difference.low):
        what = "one seed cannot tell whether a larger batch helps more where dropout is on"
    else:
        what = "a larger batch does the same with dropout as without, as far as can be told"
    return f"Here {what}: the difference is {_signed(difference)} percentage points for every doubling."


def _beside(ours: Interval, theirs: Interval) -> str:
    """Our fit to the paper's table, and how its interval lies to ours."""
    low, high = (ours.mean, ours.mean) if math.isnan(ours.low) else (ours.low, ours.high)
    if theirs.low <= low and high <= theirs.high:
        lies = "holds ours"
    else:
        lies = "overlaps ours" if low <= theirs.high and theirs.low <= high else "lies apart from ours"
    return (
        f"The paper prints no such number; fitted by us to its Table 1 it is {_signed(theirs, 'batch size')}, which "
        f"{'shows' if theirs.low > 0 else 'does not show'} its claim and {lies}."
    )


def trend_figure(info: Trend, height: int = 460) -> go.Figure:
    """Draw ours and the paper's slopes as points with their intervals, and no effect as a line."""
    figure, colours = go.Figure(), charts.palette()
    names, ours, theirs = zip(*info.rows, strict=True)
    for who, points, symbol, role in (("ours", ours, "circle", MEASURED), ("paper, fitted", theirs, "star-diamond", PAPER)):
        if None in points:
            continue
        figure.add_scatter(
            x=names, y=[each.mean for each in points], name=who, mode="markers",
            marker={"symbol": symbol, "size": 15, "color": colours[role]},
            error_y={
                "type": "data", "array": [each.high - each.mean for each in points],
                "arrayminus": [each.mean - each.low for each in points], "width": 10, "thickness": 3,
            },
            hovertemplate="%{y:+.2f}",
        )  # fmt: skip
    figure.add_hline(0, line={"color": colours[CHANCE], "width": 2, "dash": "dot"})
    charts.lay_out(figure, "What a doubling of the batch does", "", "percentage points", height)
    figure.update_layout(scattermode="group")
    figure.update_yaxes(range=info.y_range)
    return figure


# ---- what a single run does ----------------------------------------------------------------------------------------------


def strays(accuracies: pd.DataFrame) -> pd.DataFrame:
    """How far each value lies from the straight line, over doublings, through the other values of its row.

    Parameters
    ----------
    accuracies
        A row a run of all batch sizes, a column a batch size; at least three columns.

    Returns
    -------
    DataFrame
        Percentage points, of the same shape; below the line is negative.
    """
    x, y = np.log2(accuracies.columns.to_numpy(dtype=float)), 100 * accuracies.to_numpy(dtype=float)
    away = np.empty_like(y)
    for at in range(len(x)):
        others = np.arange(len(x)) != at
        line = np.polyfit(x[others], y[:, others].T, 1)  # [2, rows]: slope and intercept
        away[:, at] = y[:, at] - (line[0] * x[at] + line[1])
    return pd.DataFrame(away, index=accuracies.index, columns=accuracies.columns)


def mixed(values: pd.DataFrame) -> pd.DataFrame:
    """The same values in other rows: row r takes column c from row r + c, counted round.

    Runs of one seed share weights and images whatever their batch size, and so stray together; runs made one by one, as the
    paper's may have been, do not. With as many seeds as columns, all batch sizes of a row then have different seeds.
    """
    return pd.DataFrame({column: np.roll(values[column], -at) for at, column in enumerate(values)}, index=values.index)


@dataclass(frozen=True)
class Spread:
    """How far each batch size lies from the line through the others, with dropout: ours and the paper's.

    ``batches``, ``seeds`` and ``away`` have an entry a run, ``paper`` one a batch size, in percentage points. The runs that a
    line goes through have different seeds.
    """

    batches: tuple[int, ...]
    seeds: tuple[int, ...]
    away: tuple[float, ...]
    paper: Mapping[int, float]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a batch size: mean and standard deviation over seeds, lowest and highest seed, the paper's."""
        ours = pd.DataFrame({"batch size": self.batches, "away": self.away}).groupby("batch size")["away"]
        found = ours.agg(["mean", "std", "min", "max", "count"]).rename(columns={"count": "seeds"})
        return (found.assign(paper=pd.Series(self.paper)) if self.paper else found).reset_index()


def spread(table: pd.DataFrame, prediction: str, beside: bool = True) -> Spread | None:
    """How far single runs stray, and ``beside`` that the paper's; None for fewer than three batch sizes."""
    part = table[table["prediction"] == prediction]
    values = _by_seed(part, ON)
    if values.shape[0] < 1 or values.shape[1] < 3:
        return None
    away = strays(mixed(values))
    paper_away = strays(pd.DataFrame([paper.TABLE_1[ON]])).iloc[0]
    # A run's seed, in the order of the runs.
    seeds = mixed(pd.DataFrame(dict.fromkeys(values.columns, values.index)))
    sentence = f"Each dot is a run's distance from the line through runs of the other batch sizes, with {NAMES[ON]}."
    if beside:
        sentence = (
            f"The paper's {paper.TABLE_1[ON][_STRAYED]:.3f} at batch {_STRAYED} lies {abs(paper_away[_STRAYED]):.1f} "
            f"percentage points {'below' if paper_away[_STRAYED] < 0 else 'above'} the line through its other values."
        )
    if _STRAYED in away.columns:
        calm = _by_seed(part, OFF)
        without = strays(mixed(calm))[_STRAYED] if calm.shape[1] > 2 and _STRAYED in calm.columns else None
        sentence += " " + _against_seeds(
            values[_STRAYED], away[_STRAYED], without, float(paper_away[_STRAYED]) if beside else None
        )
    return Spread(
        tuple(int(size) for size in away.columns for _ in range(len(away))),
        tuple(seeds.to_numpy().ravel(order="F").tolist()),
        tuple(away.to_numpy().ravel(order="F").tolist()),
        dict(zip(paper.TABLE_1[ON], paper_away.tolist(), strict=True)) if beside else {},
        sentence,
    )


def _against_seeds(values: pd.Series, ours: pd.Series, without: pd.Series | None, theirs: float | None) -> str:
    """How far our runs stray; the paper's distance in standard deviations, and whether one more run could be there."""
    n = len(ours)
    if n < 2:
        return "One seed says nothing about how far runs stray."
    deviation = float(ours.std())
    sentence = (
        f"Of our {n} runs at batch {_STRAYED}, each against runs of other seeds, the distance is {ours.mean():+.2f} on "
        f"average, with a standard deviation of {deviation:.2f}"
        + (f" ({without.std():.2f} without dropout)" if without is not None and len(without) > 1 else "")
    )
    ends = f"Of our seeds at {_STRAYED}, the lowest accuracy is {values.min():.3f}, the highest {values.max():.3f}."
    if theirs is None:
        return f"{sentence}. {ends}"
    if deviation == 0:
        return f"{sentence}: no spread to measure it by."
    # One more run lies within this many standard deviations of the mean of n in 95 % of all cases.
    limit = float(stdtrit(n - 1, 0.975)) * math.sqrt(1 + 1 / n)
    away = (theirs - float(ours.mean())) / deviation
    verdict = "outside what a single run does here" if abs(away) > limit else "within what a single run does here"
    return f"{sentence}: the paper's is {abs(away):.1f} standard deviations away, {verdict} (95 %: {limit:.1f}). {ends}"


def spread_figure(info: Spread, height: int = 420) -> go.Figure:
    """Draw every seed as a dot and the paper's values as markers."""
    figure, colours = go.Figure(), charts.palette()
    figure.add_scatter(
        x=info.batches, y=info.away, text=info.seeds, name="our runs, a seed each", mode="markers",
        marker={"symbol": "circle", "size": 9, "color": charts.tint(colours[MEASURED], 0.6)},
        hovertemplate="seed %{text}: %{y:+.2f}<extra></extra>",
    )  # fmt: skip
    if info.paper:
        figure.add_scatter(
            x=list(info.paper), y=list(info.paper.values()), name="paper", mode="markers",
            marker={"symbol": "star-diamond", "size": 15, "color": colours[PAPER]}, hovertemplate="%{y:+.1f}",
        )  # fmt: skip
    figure.add_hline(0, line={"color": colours[CHANCE], "width": 2, "dash": "dot"})
    title = f"Off the line, {NAMES[ON]}"
    charts.lay_out(figure, title, "batch size", "percentage points", height)
    figure.update_layout(hovermode="closest")
    _batch_axis(figure, sorted({*info.batches, *info.paper}))
    return figure


# ---- the table in the paper's form -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Again:
    """Table 1 in the paper's form: a row a batch size of (batch, steps, {rate: (the paper's or None, ours)})."""

    rows: tuple[tuple[int, int, Mapping[float, tuple[float | None, Interval]]], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """Numbers, a row a batch size."""
        return pd.DataFrame(
            [
                {"batch": batch, "steps": steps}
                | {
                    f"{who}, {NAMES[rate]}": value
                    for rate, (reported, ours) in cells.items()
                    for who, value in (("paper", reported), ("ours", ours.mean), ("low", ours.low), ("high", ours.high))
                    if value is not None
                }
                for batch, steps, cells in self.rows
            ]
        )

    def formatted(self) -> pd.DataFrame:
        """The same for people."""
        return pd.DataFrame(
            [
                {"batch": f"{batch}", "steps": f"{steps:,}"}
                | {
                    f"{who}, {_SHORT[rate]}": text
                    for rate, (reported, ours) in cells.items()
                    for who, text in (("paper", "" if reported is None else f"{reported:.3f}"), ("ours", _cell(ours)))
                    if text
                }
                for batch, steps, cells in self.rows
            ]
        ).set_index("batch")


def _cell(interval: Interval) -> str:
    if interval.n == 1:
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} ± {interval.high - interval.mean:.4f}"


def again(table: pd.DataFrame, prediction: str, beside: bool = True) -> Again:
    """Ours in the paper's form, and ``beside`` them the paper's values."""
    lines = accuracy(table, prediction)
    by_rate = dict(zip(lines.rates, lines.lines, strict=True))
    steps = table.drop_duplicates("batch_size").set_index("batch_size")["steps"]
    rows = tuple(
        (
            batch,
            int(steps[batch]),
            {
                rate: (paper.TABLE_1[rate][batch] if beside else None, line.at(batch))
                for rate, line in by_rate.items()
                if batch in line.x
            },
        )
        for batch in paper.TABLE_1[ON]
        if batch in steps.index
    )
    if not rows:
        return Again(rows, "None of the paper's batch sizes was measured.")
    sentence = f"±: half the 95 % Student t interval over {max(line.n for line in lines.lines)} seeds"
    gaps = [100 * (ours.mean - own) for _, _, cells in rows for own, ours in cells.values() if own is not None]
    if gaps:
        above = sum(gap > 0 for gap in gaps)
        sentence = (
            f"Ours is above the paper's in {above} of {len(gaps)} cells; ours minus the paper's is {min(gaps):+.1f} to "
            f"{max(gaps):+.1f} percentage points. {sentence}; the paper has one run a cell"
        )
    return Again(rows, f"{sentence}.")


# ---- all of it -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BatchCharts:
    """All that is shown of one recipe and way to predict."""

    accuracy: Accuracy
    trend: Trend | None
    spread: Spread | None
    again: Again


def table_1(table: pd.DataFrame, prediction: str, beside: bool = True) -> BatchCharts:
    """Everything at once, with the paper's values ``beside`` ours or without, so that it is made once for all viewers."""
    chosen = table, prediction, beside
    return BatchCharts(accuracy(*chosen), trend(*chosen), spread(*chosen), again(*chosen))


@st.cache_resource(show_spinner=False, max_entries=8)
def table_1_of(recipe: str, prediction: str, beside: bool) -> BatchCharts:
    """What is shown of the shipped Table 1, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return table_1(live.result(results.file_name("table1", recipe)).table, prediction, beside)
