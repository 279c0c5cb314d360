"""What is said of Table 3: points of accuracy lost by every method and control, with dropout and without."""

from __future__ import annotations

import math
import statistics
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dropclust.core.intervals import Interval, equivalent, mean_interval, paired_difference, side
from dropclust.experiments import paper, results
from dropclust.experiments import table3 as experiment
from dropclust.experiments.pairing import by_seed, paired
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series

# The methods of core.compression, which imports torch, in words that need no explanation; the controls are the last three.
NAMES = {
    "paper": "the paper's merging",
    "fold": "merge and add up",
    "least_squares": "merge and refit",
    "agreement": "merge similar nodes",
    "srinivas_babu": "merge pair by pair",
    "neuron_merging": "merge by direction",
    "prune": "drop neurons",
    "prune_least_squares": "drop neurons and refit",
    "random": "merge at random",
}
CONTROLS = ("prune", "prune_least_squares", "random")
TRAININGS = dict(
    zip(experiment.TRAINED, ("without dropout", "with dropout in layer 1", "with dropout in all layers"), strict=True)
)
BEFORE = tuple(experiment.UNITS)  # units of layer 1
REPORTED = "in the paper"
_AS_REPORTED = {0.0: "without dropout", experiment.RATE: "with dropout, in which layers is not said"}
MARGIN = 0.5  # percentage points: losses that are surely closer than this are called equal
MEANINGS = {"none": Meaning.NO_DROPOUT, "first": Meaning.DROPOUT_FIRST, "all": Meaning.DROPOUT}  # of a training
# Of a method: those whose curves are drawn.
CURVES = {
    "paper": Meaning.METHOD_PAPER,
    "least_squares": Meaning.LEAST_SQUARES,
    "prune": Meaning.PRUNE,
    "prune_least_squares": Meaning.PRUNE_LEAST_SQUARES,
    "random": Meaning.RANDOM_CLUSTERS,
}
_TICKS = (-20, -5, -1, 0, 1, 5, 10, 20, 40, 60, 80)


@dataclass(frozen=True)
class Again:
    """Table 3 made again: the paper's results, each once, and ours by its own method."""

    rows: tuple[dict[str, Any], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a result of the paper, and one a width and training of ours; losses in percentage points."""
        return pd.DataFrame(self.rows)

    def formatted(self) -> pd.DataFrame:
        """The losses for people: a row a result of the paper, with all of ours that may be the same."""
        shown = []
        for row in self.rows:
            if row["measured"] == REPORTED:
                shown.append(
                    {
                        "units": f"{row['units']} to {row['units left']}", "dropout": f"{row['dropout']:g}",
                        "points lost in the paper": f"{row['points lost']:.1f}", "points lost here": "",
                    }
                )  # fmt: skip
            else:
                before = shown[-1]["points lost here"]
                lost = words.plus_minus(Interval(row["points lost"], row["low"], row["high"], row["seeds"], 0.95), 1)
                layers = row["trained"].partition(" in ")[2].removesuffix(" layers").replace(" ", "\N{NO-BREAK SPACE}")
                shown[-1]["points lost here"] = (before and f"{before}, ") + lost + (layers and f" ({layers})")
        return pd.DataFrame(shown).set_index("units") if shown else pd.DataFrame()


def _by_rate(trainings: Container[str]) -> dict[float, list[str]]:
    """Those of our trainings that may be what the paper reports, by its rate of dropout."""
    found = {
        rate: [name for name, rates in experiment.TRAINED.items() if max(rates) == rate and name in trainings]
        for rate in _AS_REPORTED
    }
    return {rate: names for rate, names in found.items() if names}


def papers(trained: str, h: int) -> tuple[float, int, float]:
    """What the paper reports of networks so trained: accuracy before, units left, accuracy after."""
    return paper.TABLE_3[max(experiment.TRAINED[trained])][h]


def _lost(table: pd.DataFrame, h: int) -> dict[tuple[str, str], pd.Series[float]]:
    """Percentage points of test accuracy lost, by method and training: a value a seed."""
    part = table[table["h"] == h].assign(lost=lambda rows: 100 * (rows["accuracy_before"] - rows["accuracy"]))
    kinds = part[["method", "trained"]].drop_duplicates().itertuples(index=False)
    return {(method, trained): by_seed(part, "lost", method=method, trained=trained) for method, trained in kinds}


def _difference(a: pd.Series[float], b: pd.Series[float]) -> Interval:
    """Points lost by the first less those lost by the second, paired by seed."""
    first, second = paired(a, b)
    return paired_difference(first, second)


def again(table: pd.DataFrame) -> Again:
    """Every width and training by the paper's method, beside the paper's numbers."""
    rows: list[dict[str, Any]] = []
    less = compared = 0
    for h in BEFORE:
        lost = {trained: values for (method, trained), values in _lost(table, h).items() if method == "paper"}
        for rate, trainings in _by_rate(lost).items():
            before, units, after = papers(trainings[0], h)
            what = {"units": h, "units left": units, "dropout": rate}
            rows.append(
                {
                    "measured": REPORTED, **what, "trained": _AS_REPORTED[rate], "accuracy before": before, "after": after,
                    "points lost": 100 * (before - after), "low": math.nan, "high": math.nan, "seeds": 1,
                }
            )  # fmt: skip
            for trained in trainings:
                part = table[(table["h"] == h) & (table["trained"] == trained) & (table["method"] == "paper")]
                ours = mean_interval(lost[trained].to_numpy())
                rows.append(
                    {
                        "measured": "here", **what, "trained": TRAININGS[trained],
                        "accuracy before": float(part["accuracy_before"].mean()), "after": float(part["accuracy"].mean()),
                        "points lost": ours.mean, "low": ours.low, "high": ours.high, "seeds": ours.n,
                    }
                )  # fmt: skip
        for trained in ("first", "all"):
            if "none" in lost and trained in lost:
                compared += 1
                less += _difference(lost["none"], lost[trained]).low > 0
    seeds = max((row["seeds"] for row in rows), default=0)
    sentence = (
        f"Percentage points of test accuracy; ±: half of the 95 % interval over {seeds} seeds. By the paper's own method a "
        f"network trained with dropout loses significantly less than one trained without (paired by seed) in {less} of "
        f"{compared} comparisons; in the paper's numbers in {_papers_less()} of {len(BEFORE)}. The paper does not say which "
        f"layers its dropout of {experiment.RATE:g} was in, so both are here."
    )
    return Again(tuple(rows), sentence)


def _papers_less() -> int:
    """At how many widths the paper's network with dropout loses less than the one without."""
    loss = {rate: {h: before - after for h, (before, _, after) in rows.items()} for rate, rows in paper.TABLE_3.items()}
    return sum(loss[experiment.RATE][h] < loss[0.0][h] for h in BEFORE)


@dataclass(frozen=True)
class Loss:
    """One method on networks of one training: ``lost`` in percentage points, and where it stands on the chart."""

    method: str
    trained: str
    lost: Interval
    width: float  # mean units left
    row: float
    at: float
    minus: float
    plus: float


@dataclass(frozen=True)
class Reported:
    """One loss that the paper reports, in percentage points, and where it stands: between our trainings that it may be."""

    trained: str
    lost: float
    row: float
    at: float


@dataclass(frozen=True)
class Losses:
    """What every method loses at one width, on networks of every training; ``ticks`` are positions and their points."""

    title: str
    rows: tuple[Loss, ...]
    reported: tuple[Reported, ...]
    methods: tuple[tuple[int, str], ...]
    ticks: tuple[tuple[float, int], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a method and training, and one a result that the paper reports."""
        ours = [
            {
                "method": NAMES[row.method], "trained": TRAININGS[row.trained], "points lost": row.lost.mean,
                "low": row.lost.low, "high": row.lost.high, "units left": row.width, "seeds": row.lost.n,
            }
            for row in self.rows
        ]  # fmt: skip
        papers = [
            {"method": f"{NAMES['paper']}, {REPORTED}", "trained": row.trained, "points lost": row.lost}
            for row in self.reported
        ]
        return pd.DataFrame(ours + papers)


def place(points: float) -> float:
    """Where a loss stands: a root spreads the small ones, of which there are many, and keeps the large ones on the chart."""
    return math.copysign(math.sqrt(abs(points)), points)


def losses(table: pd.DataFrame, h: int) -> Losses:
    """Every method and control at one width."""
    lost, part = _lost(table, h), table[table["h"] == h]
    methods = [method for method in NAMES if any(method == found for found, _ in lost)]
    shifts = {trained: 0.26 * (number - 1) for number, trained in enumerate(TRAININGS)}
    rows = []
    for row, method in enumerate(methods):
        for trained, shift in shifts.items():
            if (method, trained) not in lost:
                continue
            interval = mean_interval(lost[method, trained].to_numpy())
            at, low, high = (place(value) for value in (interval.mean, interval.low, interval.high))
            width = part.loc[(part["method"] == method) & (part["trained"] == trained), "width"].mean()
            rows.append(Loss(method, trained, interval, float(width), row + shift, at, at - low, high - at))
    reported = []
    for rate, trainings in _by_rate([trained for method, trained in lost if method == "paper"]).items():
        before, _, after = papers(trainings[0], h)
        middle = methods.index("paper") + statistics.mean(shifts[trained] for trained in trainings)
        reported.append(Reported(_AS_REPORTED[rate], 100 * (before - after), middle, place(100 * (before - after))))
    seen = [place(bound) for row in rows for bound in (row.lost.mean, row.lost.low, row.lost.high) if not math.isnan(bound)]
    ticks = [(place(points), points) for points in _TICKS if seen and min(seen) - 1 <= place(points) <= max(seen) + 1]
    units = experiment.UNITS[h]
    left = {name: statistics.mean(row.width for row in rows if row.method == name) for name in methods}
    wider = [
        f' With the method "{NAMES[name]}" {mean:.0f} units are left on average: its clusters do not give every number.'
        for name, mean in left.items()
        if mean > units
    ]
    return Losses(
        f"From {h} to {units} units", tuple(rows), tuple(reported),
        tuple((row, NAMES[method]) for row, method in enumerate(methods)), tuple(ticks),
        _verdict(lost, h, units) + "".join(wider),
    )  # fmt: skip


def _verdict(lost: Mapping[tuple[str, str], pd.Series[float]], h: int, units: int) -> str:
    """Whether dropout helps the paper's method, and whether pruning with the same repair does as well as clustering."""
    means = {key: mean_interval(values.to_numpy()) for key, values in lost.items()}
    trainings = [trained for trained in TRAININGS if ("paper", trained) in lost]
    if not trainings:
        return f"No network of {h} units was measured."
    sentence = ""
    if {"none", "all"} <= set(trainings):
        change = _difference(lost["paper", "all"], lost["paper", "none"])
        than = {-1: "less than without", 0: "neither significantly less nor more than without", 1: "more than without"}
        sentence += f"With dropout in all layers the paper's method loses {than[side(change)]}: {_points(change)}"
        sentence += ", paired by seed. " if change.n > 1 else ", one seed. "
        if {("prune", "none"), ("prune", "all")} <= lost.keys():
            pruned = _difference(lost["prune", "all"], lost["prune", "none"])
            sentence += f"By plain pruning, which merges nothing, that difference is {_points(pruned)}" + (
                ": such a gap needs no clusters. " if side(pruned) == side(change) == -1 else ". "
            )
    repaired = [t for t in trainings if {("least_squares", t), ("prune_least_squares", t)} <= lost.keys()]
    if repaired:
        beaten = equal = 0
        for trained in repaired:
            repair = lost["prune_least_squares", trained]
            beaten += _difference(lost["paper", trained], repair).low > 0
            clustered, other = paired(lost["least_squares", trained], repair)
            equal += equivalent(clustered, other, MARGIN).equivalent
        both = [words.brief(means[method, repaired[-1]], 1) for method in ("least_squares", "prune_least_squares")]
        sentence += (
            f"Pruning with a least-squares repair, where nothing is clustered, loses less than the paper's method in {beaten} "
            f"of {len(repaired)} trainings, and as much as clustering with the same repair, within {MARGIN:g} points, in "
            f"{equal} of {len(repaired)}: {both[0]} clustered and {both[1]} pruned, {TRAININGS[repaired[-1]]}. "
        )
    said = ", ".join(f"{words.brief(means['paper', trained], 1)} {TRAININGS[trained]}" for trained in trainings)
    seeds = words.count(means["paper", trainings[0]].n, "seed")
    return f"{sentence}{h} to {units} units, {seeds}. Points lost by the paper's method: {said}."


def _points(difference: Interval) -> str:
    ends = "" if math.isnan(difference.low) else f" ({words.ends(difference, 1, signed=True)})"
    return f"{words.number(difference.mean, 1, signed=True)} points{ends}"


def kept_curves(table: pd.DataFrame, trained: str) -> Curves:
    """Test accuracy against the units that are left, for the paper's method, the repair and the controls."""
    h = experiment.CURVE_WIDTH
    part = table[(table["h"] == h) & (table["trained"] == trained)]
    lines = tuple(
        Series.of(NAMES[method], part[part["method"] == method], "units", "accuracy", role)
        for method, role in CURVES.items()
        if (part["method"] == method).any()
    )
    enough: dict[float, list[str]] = {}
    for line in lines:
        enough.setdefault(_enough(dict(zip(line.x, line.mean, strict=True)), 0.01), []).append(line.name)
    sentence = f"Layer 1 of {h} units, trained {TRAININGS[trained]}: "
    if lines:
        sentence += "of the numbers tried, within one point of its own accuracy " + ", ".join(
            (f"from {units:g} units on" if units < h else f"only with all {h}") + f" ({', '.join(enough[units])})"
            for units in sorted(enough)
        )
        sentence += f"; {words.count(lines[0].n, 'seed')}."
    else:
        sentence += "nothing was measured."
    _, units, after = papers(trained, h)
    return Curves(
        f"{h} units, {TRAININGS[trained]}", "units left", "test accuracy", lines, sentence, {units: after}, y_range=(0, 1)
    )  # fmt: skip


def _enough(accuracy: Mapping[float, float], tolerance: float) -> float:
    """The smallest number of units from which on the accuracy stays within a tolerance of that of the largest number."""
    numbers = sorted(accuracy, reverse=True)
    best = numbers[0]
    for units in numbers:
        if accuracy[units] < accuracy[numbers[0]] - tolerance:
            break
        best = units
    return best


@dataclass(frozen=True)
class Table3:
    """All that is said of one recipe: the table made again, every method at one width, and the curve of one training."""

    again: Again
    losses: Losses
    curves: Curves
    command: str

    @property
    def sentence(self) -> str:
        """What dropout does for the paper's method, and what pruning does as well."""
        return self.losses.sentence

    def table(self) -> pd.DataFrame:
        """A row a result of the paper, and one a width and training of ours."""
        return self.again.table()


def find(table: pd.DataFrame, curve: pd.DataFrame, h: int, trained: str, command: str = "") -> Table3:
    """Everything that is said of the tables.

    Parameters
    ----------
    table, curve
        Table 3's and its curve's, of one recipe.
    h
        Units of layer 1 before, of `BEFORE`: for `Table3.losses`.
    trained
        A key of `TRAININGS`: for `Table3.curves`.
    command
        What makes the tables again.
    """
    return Table3(again(table), losses(table, h), kept_curves(curve, trained), command)


def read(recipe: str = "modern", root: Path | None = None, h: int = experiment.CURVE_WIDTH, trained: str = "all") -> Table3:
    """Everything that is said of the shipped tables.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the tables; the shipped results when None.
    h, trained
        As for `find`.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When a table is missing or damaged.
    ValueError
        For units or a training that there are not.
    """
    for name, value, known in (("h", h, BEFORE), ("trained", trained, tuple(TRAININGS))):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}; got {value!r}")
    name = experiment.EXPERIMENT.name
    table, curve = (results.read(results.file_name(each, recipe), root) for each in (name, f"{name}-curve"))
    return find(table.table, curve.table, h, trained, table.command)
