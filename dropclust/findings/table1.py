"""What Table 1 says: accuracy by batch size, its trend seed by seed, and how far a single run strays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.intervals import (
    Interval,
    deleted_residuals,
    mean_interval,
    paired_difference,
    prediction_interval,
    side,
    slope_interval,
    slopes,
)
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper, results, table1
from dropclust.experiments.claim import judge
from dropclust.findings import own, words
from dropclust.findings.meaning import Meaning
from dropclust.findings.own import OwnRun
from dropclust.findings.series import Series
from dropclust.findings.verdicts import requirement

OFF, ON = table1.RATES  # no dropout, and the paper's rate
NAMES = {ON: f"dropout {ON:g}", OFF: "no dropout"}
MEANINGS = {ON: Meaning.DROPOUT, OFF: Meaning.NO_DROPOUT}
_WITH = {ON: f"with {NAMES[ON]}", OFF: "without dropout"}
_SHORT = {ON: f"{ON:g}", OFF: "none"}
_COLUMNS = ("recipe", "seed", "dropout", "batch_size", "steps", "prediction", "accuracy")
_SUMMED = "paper"  # the recipe whose steps go down the summed loss of a batch, not its mean
_STRAYED = 128  # the batch size whose accuracy in the paper falls out of its row
CLAIM = next(claim for claim in table1.CLAIMS if claim.key == "table1.more-with-dropout")
_UNIT = "percentage points for every doubling"


# ---- accuracy ------------------------------------------------------------------------------------------------------------


def own_runs(stored: Iterable[own.Stored], recipe: str, name: Callable[[RunSpec], str]) -> tuple[OwnRun, ...]:
    """The finished runs that differ from those of the table in batch size, seed and precision at most."""
    template = own.template_of(table1.EXPERIMENT, recipe)
    found = own.own_runs(stored, template, ("dropout", "batch_size", "seed", "precision"), name)
    return tuple(run for run in found if run.rate in table1.RATES and len(set(run.spec.dropout)) == 1)


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy against the batch size, a line a rate, with the paper's values and the stored runs as markers."""

    lines: tuple[Series, ...]
    rates: tuple[float, ...]  # of the lines
    paper: Mapping[float, Mapping[int, float]]
    own: tuple[OwnRun, ...]
    sentence: str
    brief: str

    def with_own(self, runs: tuple[OwnRun, ...]) -> Accuracy:
        """The same with stored runs."""
        if not runs:
            return self
        said = f" Open markers: {words.count(len(runs), 'stored run')} of one seed each, scaled."
        return replace(self, own=runs, sentence=self.sentence + said)

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
            [{"batch size": run.batch_size, NAMES[run.rate]: run.accuracy, "stored run": run.name} for run in self.own]
        )
        return means if stored.empty else pd.concat([means, stored], ignore_index=True)


def accuracy(table: pd.DataFrame, prediction: str, with_paper: bool = True) -> Accuracy:
    """Mean and Student t interval over seeds at every batch size, with dropout and without."""
    part = table[table["prediction"] == prediction]
    rates = tuple(rate for rate in (ON, OFF) if (part["dropout"] == rate).any())
    lines = tuple(
        Series.of(NAMES[rate], part[part["dropout"] == rate], "batch_size", "accuracy", MEANINGS[rate]) for rate in rates
    )
    reported = {rate: paper.TABLE_1[rate] if with_paper else {} for rate in rates}
    said = []
    for rate, line in zip(rates, lines, strict=True):
        first, last = int(line.x[0]), int(line.x[-1])
        start, end = words.number(line.mean[0], 3), words.number(line.mean[-1], 3)
        text = f"{_WITH[rate]} accuracy is {start} at batch {first} and {end} at {last}"
        if first in reported[rate] and last in reported[rate]:
            text += f" (paper: {words.number(reported[rate][first], 3)} and {words.number(reported[rate][last], 3)})"
        said.append(f"{text}, {_best(_by_batch(part, rate))}")
    seeds = words.count(max(line.n for line in lines), "seed")
    sentence = f"{words.capital('; '.join(said))}; {prediction}, {seeds}."
    if (table["recipe"] == _SUMMED).all():
        sentence += (
            " Under this recipe a step is plain SGD on the summed loss of its batch, so that the same number of examples moves "
            "the weights about equally far, whatever the batch size."
        )
    brief = f"{words.capital(_WITH[rates[0]])}: {_best(_by_batch(part, rates[0]))}."
    return Accuracy(lines, rates, reported, (), sentence, brief)


def _by_batch(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Accuracy ``[seeds, batch sizes]`` of the seeds that have every batch size."""
    part = table[table["dropout"] == rate]
    return part.pivot(index="seed", columns="batch_size", values="accuracy").dropna()


def _best(accuracies: pd.DataFrame) -> str:
    """The best batch size of ``[seeds, batch sizes]``, if differences paired by seed show that it beats every other."""
    best = accuracies.mean().idxmax() if len(accuracies) else None
    others = [accuracies[size] for size in accuracies if size != best]
    if others and all(side(paired_difference(accuracies[best], other)) > 0 for other in others):
        return f"best at {best:g}"
    return "no batch size shown to be best"


# ---- the trend -----------------------------------------------------------------------------------------------------------


def _doublings(batches: pd.Index) -> npt.NDArray[np.float64]:
    """Batch sizes on a scale where one more is a doubling."""
    logarithms: npt.NDArray[np.float64] = np.log2(batches.to_numpy(dtype=float))
    return logarithms


@dataclass(frozen=True)
class Trend:
    """Change of accuracy for every doubling of the batch, in percentage points: (name, ours, the paper's or None) a row.

    ``verdict`` says what became of the paper's claim, ``headline`` the same in at most 15 words.
    """

    rows: tuple[tuple[str, Interval, Interval | None], ...]
    verdict: str
    headline: str
    sentence: str

    @property
    def brief(self) -> str:
        """What a larger batch does with dropout, in at most 15 words."""
        change = words.number(self.rows[0][1].mean, 2, signed=True)
        return f"With dropout, each doubling changes accuracy by {change} percentage points."

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


def trend(table: pd.DataFrame, prediction: str, with_paper: bool = True) -> Trend | None:
    """Slopes fitted seed by seed, their difference paired by seed, and the same of the paper's single runs.

    None where there is nothing to fit: one batch size, or no seed that has every batch size both with dropout and without.
    """
    part = table[table["prediction"] == prediction]
    on, off = _by_batch(part, ON), _by_batch(part, OFF)
    seeds = on.index.intersection(off.index)
    if not len(seeds) or min(on.shape[1], off.shape[1]) < 2:
        return None
    with_, without = (slopes(_doublings(values.columns), 100 * values.loc[seeds]) for values in (on, off))
    ours = (mean_interval(with_), mean_interval(without), paired_difference(with_, without))
    names = (NAMES[ON], NAMES[OFF], "difference")
    verdict = _verdict(*ours)
    if len(seeds) > 1:
        verdict += f" {_judged(pd.Series(with_ - without, index=seeds))}"
    headline = _headline(*ours)
    sentence = (
        f"Each doubling of the batch changes accuracy by {_points(ours[0])} with {NAMES[ON]}, by {_points(ours[1])} without, "
        f"{prediction}; the difference is paired by seed."
    )
    if not with_paper:
        return Trend(tuple((name, slope, None) for name, slope in zip(names, ours, strict=True)), verdict, headline, sentence)
    reported = pd.DataFrame(dict(paper.TABLE_1))
    theirs = tuple(
        slope_interval(_doublings(row.index), 100 * row.to_numpy())
        for row in (reported[ON], reported[OFF], reported[ON] - reported[OFF])
    )
    sentence += " Paper: lines fitted to its Table 1, one run a cell, with the intervals that the scatter about them gives"
    rows, verdict = tuple(zip(names, ours, theirs, strict=True)), f"{verdict} {_compared(ours[2], theirs[2])}"
    info = Trend(rows, verdict, headline, f"{sentence}.")
    low, high = info.y_range
    if any(slope.low < low or slope.high > high for slope in theirs):
        return replace(info, sentence=f"{sentence}, which run off the chart.")
    return info


def _points(slope: Interval) -> str:
    return words.full(slope, 2, signed=True, unit="percentage points")


def _verdict(with_: Interval, without: Interval, difference: Interval) -> str:
    """What a larger batch does where dropout is on."""
    if side(difference) > 0 and with_.mean > 0:
        what = "a larger batch helps more where dropout is on"
    elif side(difference) > 0:
        what = "a larger batch costs less where dropout is on, but it does not help there either"
    elif side(difference) < 0:
        does = "helps less" if with_.mean > 0 else "costs more" if without.mean < 0 else "costs accuracy"
        what = f"a larger batch {does} where dropout is on"
    elif math.isnan(difference.low):
        what = "one seed cannot tell whether a larger batch helps more where dropout is on"
    else:
        what = "there is no significant difference in what a larger batch does with dropout and without"
    return f"Here {what}: the difference is {words.full(difference, 2, signed=True, unit=_UNIT)}."


def _judged(differences: pd.Series[float]) -> str:
    """What becomes of the paper's claim, that a larger batch helps more where dropout is on, in the words of the verdicts."""
    [found] = judge([replace(CLAIM, statistic=lambda _: differences, choices=())], {})
    return f"The paper's claim, that it helps more, asks for {requirement(CLAIM)}. By these seeds: {found.verdict.value}."


def _headline(with_: Interval, without: Interval, difference: Interval) -> str:
    """The verdict in at most 15 words: what a doubling does more, or less, where dropout is on."""
    if math.isnan(difference.low):
        return "One seed cannot tell whether a larger batch helps more with dropout."
    if side(difference) == 0:
        return "A larger batch does no more with dropout than without it."
    does = {1: "helps more" if with_.mean > 0 else "costs less", -1: "helps less" if with_.mean > 0 else "costs more"}
    points = words.number(difference.mean, 2, signed=True)
    return f"A larger batch {does[side(difference)]} with dropout: {points} percentage points a doubling."


def _compared(ours: Interval, theirs: Interval) -> str:
    """Our fit to the paper's table, and how its interval lies to ours."""
    low, high = (ours.mean, ours.mean) if math.isnan(ours.low) else (ours.low, ours.high)
    if theirs.low <= low and high <= theirs.high:
        lies = "contains ours"
    else:
        lies = "overlaps ours" if low <= theirs.high and theirs.low <= high else "lies apart from ours"
    fitted = words.full(theirs, 2, "batch size", signed=True)
    return (
        f"The paper prints no such number; fitted by us to its Table 1 it is {fitted}: its interval "
        f"{'shows' if side(theirs) > 0 else 'does not show'} its claim and {lies}."
    )


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
    away = deleted_residuals(_doublings(accuracies.columns), 100 * accuracies.to_numpy(dtype=float))
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
    brief: str

    def table(self) -> pd.DataFrame:
        """A row a batch size: mean and standard deviation over seeds, lowest and highest seed, the paper's."""
        ours = pd.DataFrame({"batch size": self.batches, "away": self.away}).groupby("batch size")["away"]
        found = ours.agg(["mean", "std", "min", "max", "count"]).rename(columns={"count": "seeds"})
        return (found.assign(paper=pd.Series(self.paper)) if self.paper else found).reset_index()


def spread(table: pd.DataFrame, prediction: str, with_paper: bool = True) -> Spread | None:
    """How far single runs stray, ours and the paper's; None for fewer than three batch sizes."""
    part = table[table["prediction"] == prediction]
    values = _by_batch(part, ON)
    if values.shape[0] < 1 or values.shape[1] < 3:
        return None
    away = strays(mixed(values))
    paper_away = strays(pd.DataFrame([paper.TABLE_1[ON]])).iloc[0]
    # A run's seed, in the order of the runs.
    seeds = mixed(pd.DataFrame(dict.fromkeys(values.columns, values.index)))
    sentence = f"Each dot is a run's distance from the line through runs of the other batch sizes, with {NAMES[ON]}."
    if with_paper:
        distance = float(paper_away[_STRAYED])
        sentence = (
            f"The paper's {words.number(paper.TABLE_1[ON][_STRAYED], 3)} at batch {_STRAYED} lies "
            f"{words.number(abs(distance), 1)} percentage points {'below' if distance < 0 else 'above'} the line through its "
            "other values."
        )
    if _STRAYED in away.columns:
        calm = _by_batch(part, OFF)
        without = strays(mixed(calm))[_STRAYED] if calm.shape[1] > 2 and _STRAYED in calm.columns else None
        theirs = float(paper_away[_STRAYED]) if with_paper else None
        sentence += " " + _against_seeds(values[_STRAYED], away[_STRAYED], without, theirs)
    return Spread(
        tuple(int(size) for size in away.columns for _ in range(len(away))),
        tuple(seeds.to_numpy().ravel(order="F").tolist()),
        tuple(away.to_numpy().ravel(order="F").tolist()),
        dict(zip(paper.TABLE_1[ON], paper_away.tolist(), strict=True)) if with_paper else {},
        sentence,
        f"A single run strays from the line by {words.number(float(away.std().mean()))} percentage points."
        if len(away) > 1
        else "One seed says nothing about how far runs stray.",
    )


def _against_seeds(
    values: pd.Series[float], ours: pd.Series[float], without: pd.Series[float] | None, theirs: float | None
) -> str:
    """How far our runs stray, where one more would lie, and whether the paper's run lies there."""
    n = len(ours)
    if n < 2:
        return "One seed says nothing about how far runs stray."
    sentence = (
        f"Of our {n} runs at batch {_STRAYED}, each against runs of other seeds, the distance is "
        f"{words.number(float(ours.mean()), 2, signed=True)} on average, with a standard deviation of "
        f"{words.number(float(ours.std()))}"
        + (f" ({words.number(float(without.std()))} without dropout)" if without is not None and len(without) > 1 else "")
    )
    lowest, highest = (words.number(float(end), 3) for end in (values.min(), values.max()))
    ends = f"Of our seeds at {_STRAYED}, the lowest accuracy is {lowest}, the highest {highest}."
    if theirs is None:
        return f"{sentence}. {ends}"
    if ours.std() == 0:
        return f"{sentence}: no spread to measure it by."
    one_more = prediction_interval(ours)
    outside = "within" if one_more.low <= theirs <= one_more.high else "outside"
    return (
        f"{sentence}: the paper's run is {outside} what a single run does here, {words.ends(one_more, 2, signed=True)} in 95 % "
        f"of cases. {ends}"
    )


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
        rows = []
        for batch, steps, cells in self.rows:
            row = {"batch": f"{batch}", "steps": f"{steps:,}"}
            for rate, (reported, ours) in cells.items():
                if reported is not None:
                    row[f"paper, {_SHORT[rate]}"] = words.number(reported, 3)
                row[f"ours, {_SHORT[rate]}"] = words.plus_minus(ours, 4)
            rows.append(row)
        return pd.DataFrame(rows, columns=None if rows else ["batch"]).set_index("batch")


def again(table: pd.DataFrame, prediction: str, with_paper: bool = True) -> Again:
    """Ours in the paper's form, and the paper's values."""
    lines = accuracy(table, prediction)
    by_rate = dict(zip(lines.rates, lines.lines, strict=True))
    steps = table.drop_duplicates("batch_size").set_index("batch_size")["steps"]
    rows = tuple(
        (
            batch,
            int(steps[batch]),
            {
                rate: (paper.TABLE_1[rate][batch] if with_paper else None, line.at(batch))
                for rate, line in by_rate.items()
                if batch in line.x
            },
        )
        for batch in paper.TABLE_1[ON]
        if batch in steps.index
    )
    if not rows:
        return Again(rows, "None of the paper's batch sizes was measured.")
    seeds = words.count(max(line.n for line in lines.lines), "seed")
    sentence = f"±: half the 95 % Student t interval over {seeds}"
    gaps = [100 * (ours.mean - reported) for _, _, cells in rows for reported, ours in cells.values() if reported is not None]
    if gaps:
        above = sum(gap > 0 for gap in gaps)
        low, high = (words.number(end, 1, signed=True) for end in (min(gaps), max(gaps)))
        sentence = (
            f"Ours is above the paper's in {above} of {len(gaps)} cells; ours minus the paper's is {low} to {high} percentage "
            f"points. {sentence}; the paper has one run a cell"
        )
    return Again(rows, f"{sentence}.")


# ---- all of it -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table1:
    """All that is said of one recipe and way to predict, and the command that makes the table again."""

    accuracy: Accuracy
    trend: Trend | None
    spread: Spread | None
    again: Again
    command: str = ""

    @property
    def sentence(self) -> str:
        """What became of the paper's claim; accuracy alone where there is no trend to tell."""
        return self.trend.verdict if self.trend else self.accuracy.sentence

    @property
    def headline(self) -> str:
        """The same in at most 15 words."""
        return self.trend.headline if self.trend else self.accuracy.brief

    def table(self) -> pd.DataFrame:
        """A row a batch size, ours and the paper's."""
        return self.again.table()


def find(table: pd.DataFrame, prediction: str = "sampled", with_paper: bool = True, command: str = "") -> Table1:
    """Everything that is said of a table, beside the paper's values or without them."""
    chosen = table, prediction, with_paper
    return Table1(accuracy(*chosen), trend(*chosen), spread(*chosen), again(*chosen), command)


def read(recipe: str = "modern", root: Path | None = None, prediction: str = "sampled", with_paper: bool = True) -> Table1:
    """Everything that is said of the shipped table.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the table; the shipped results when None.
    prediction
        "scaled" or "sampled".
    with_paper
        Whether the paper's values stand beside ours.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing, damaged or another version's.
    """
    found = results.read(results.file_name(table1.EXPERIMENT.name, recipe), root, _COLUMNS)
    return find(found.table, prediction, with_paper, found.command)
