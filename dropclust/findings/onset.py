"""What is said of dropout that is switched on or off while a network trains: curves over time, and how soon half is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from dropclust.core.intervals import Interval, mean_interval
from dropclust.core.spec import RunSpec
from dropclust.experiments import onset, results
from dropclust.experiments.onset import OFF, OFF_ON, ON, ON_OFF, RATE, Setting
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series

NAMES = MappingProxyType(
    {
        OFF: "no dropout throughout",
        ON: "dropout throughout",
        OFF_ON: "switched on at half",
        ON_OFF: "switched off at half",
    }
)
_MEANINGS = MappingProxyType(
    {OFF: Meaning.NO_DROPOUT, ON: Meaning.DROPOUT, OFF_ON: Meaning.SWITCHED_ON, ON_OFF: Meaning.SWITCHED_OFF}
)
# What is drawn over time: its name for people, digits, and what it is a share or a number of.
QUANTITIES = MappingProxyType(
    {
        "twins": ("share of living neurons with a twin", 3),
        "adjusted_rand_10": ("adjusted Rand index, 10 clusters", 3),
        "adjusted_rand_20": ("adjusted Rand index, 20 clusters", 3),
        "effective_rank": ("effective rank of the activations", 1),
        "dead": ("neurons that never fire", 1),
        "accuracy": ("test accuracy, scaled (%)", 2),
        "mstd": (f"MSTD at rate {RATE:g} (logit units)", 2),
        "lost_paper": ("points lost to a quarter of the units, paper's method", 1),
    }
)


class NothingOfIt(ValueError):
    """A table without the networks asked for, as that of the coarse grid is."""


ANSWERS = ("they agree more", "they agree less", "nothing changes")


@dataclass(frozen=True)
class Change:
    """What switching does to one quantity: from the switch to the end, and how soon half of it is done.

    ``half`` is in examples after the switch; it has no values where the change is not of one sign over the seeds.
    """

    course: str
    before: Interval
    after: Interval
    change: Interval
    half: Interval | None


@dataclass(frozen=True)
class Onset:
    """All that is said of one recipe, layer and setting.

    Parameters
    ----------
    recipe, layer, seeds
        Which rows it is about.
    charts
        By column, curves over the examples shown, with the switch marked.
    changes
        By column, what switching on and switching off did.
    sentence
        The main finding.
    measured
        Keys of `NAMES`: the courses that the rows are of.
    quick
        Whether the rows are of the coarse grid, for want of the full one.
    command
        What makes the table again.
    """

    recipe: str
    layer: int
    seeds: int
    charts: Mapping[str, Curves]
    changes: Mapping[str, tuple[Change, ...]]
    sentence: str
    measured: tuple[str, ...] = ()
    quick: bool = False
    command: str = ""

    @property
    def courses(self) -> str:
        """The courses that were measured, in words."""
        return ", ".join(NAMES[course] for course in self.measured)

    @property
    def before_switch(self) -> Curves:
        """The agreement of the two clusterings until the switch, beside the whole time and what chance gives in it.

        It is what somebody sees who guesses what the switch will do.
        """
        chart = self.charts[f"adjusted_rand_{onset.MAIN_CLUSTERS}"]
        switch = chart.marker or math.inf
        courses = [line.until(switch) for line in chart.series if line.meaning is not Meaning.CHANCE]
        courses = [line for line in courses if len(line.x) > 1]  # one that begins at the switch has nothing before it
        chance = [line for line in chart.series if line.meaning is Meaning.CHANCE]
        ends = ", ".join(f"{words.number(line.mean[-1], 3)} {line.name}" for line in courses)
        sentence = f"Until the switch, adjusted Rand index of layer {self.layer}: {ends}. What comes then?"
        return replace(chart, series=(*courses, *chance), sentence=sentence, brief=sentence)

    def table(self) -> pd.DataFrame:
        """A row a quantity and course."""
        return pd.DataFrame(
            [
                {
                    "": QUANTITIES[column][0], "course": NAMES[each.course], "at the switch": each.before.mean,
                    "at the end": each.after.mean, "change": each.change.mean, "low": each.change.low, "high": each.change.high,
                    "half after (examples)": each.half.mean if each.half else math.nan, "seeds": each.change.n,
                }
                for column, changes in self.changes.items()
                for each in changes
            ]
        )  # fmt: skip

    def formatted(self) -> pd.DataFrame:
        """The same for people."""
        rows = []
        for column, changes in self.changes.items():
            name, digits = QUANTITIES[column]
            rows += [
                {
                    "": name,
                    "course": NAMES[each.course],
                    "at the switch": words.brief(each.before, digits),
                    "at the end": words.brief(each.after, digits),
                    "change": words.brief(each.change, digits, signed=True),
                    "half of it after": f"{each.half.mean:,.0f} examples" if each.half else "not to be told",
                }
                for each in changes
            ]
        return pd.DataFrame(rows).set_index("")


def read(recipe: str = "modern", root: Path | None = None, layer: int = 2, setting: Setting | None = None) -> Onset:
    """Read what the stored table says; that of the coarse grid where there is no full one.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the tables; the shipped ones when None.
    layer
        Hidden layer, 1 or 2.
    setting
        Width, rate and noise; those of the paper's network and a rate of 0.5 when None.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When there is no table, or it is damaged.
    NothingOfIt
        When it has no such rows.
    """
    name = onset.EXPERIMENT.name
    file, quick = results.file_name(name, recipe), False
    if not results.place(f"{file}.csv", root).exists() and not root:
        quick_file = results.file_name(name, recipe, quick=True)
        if results.place(f"{quick_file}.csv", root).exists():
            file, quick = quick_file, True
    found = results.read(file, root, ("course", "twins", "adjusted_rand_10"))
    return findings(found.table, recipe, layer, setting or Setting(), quick, found.command)


def findings(table: pd.DataFrame, recipe: str, layer: int, setting: Setting, quick: bool = False, command: str = "") -> Onset:
    """Work out what a table says.

    Raises
    ------
    NothingOfIt
        When the table has no rows of the layer and setting.
    """
    switch = int(table["step"].max()) // 2
    courses = {course: setting.rows(table, course, layer) for course in onset.COURSES}
    courses = {course: rows for course, rows in courses.items() if len(rows)}
    if OFF not in courses or len(courses) < 2:
        raise NothingOfIt(f"table must have rows of layer {layer} and {setting}; got none")
    # Until the switch a network that will be switched is the one that will not: its line begins there.
    for course, until in ((OFF_ON, OFF), (ON_OFF, ON)):
        if course in courses and until in courses:
            at_switch = courses[until][courses[until]["step"] == switch]
            courses[course] = pd.concat([at_switch, courses[course]], ignore_index=True)
    seeds = int(table["seed"].nunique())
    about = f"{words.capital(recipe)} recipe, layer {layer}, {words.count(seeds, 'seed')}"
    charts, changes = {}, {}
    for column, (name, digits) in QUANTITIES.items():
        if column not in table:
            continue
        found = tuple(_change(courses[course], course, column, switch) for course in (OFF_ON, ON_OFF) if course in courses)
        changes[column] = found
        said = "; ".join(
            f"{NAMES[each.course]}: {words.number(each.before.mean, digits)} at the switch, "
            f"{words.brief(each.after, digits)} at the end" for each in found
        )  # fmt: skip
        lines = [
            Series.of(
                NAMES[course], rows.assign(examples=rows["step"] * _BATCH).dropna(subset=[column]), "examples", column,
                _MEANINGS[course],
            )
            for course, rows in courses.items()
        ]  # fmt: skip
        if column == f"adjusted_rand_{onset.MAIN_CLUSTERS}":
            lines.append(_chance(courses[OFF]))
        charts[column] = Curves(
            words.capital(name), "examples shown", name, tuple(lines), f"{about}. {words.capital(said)}.",
            marker=float(switch * _BATCH),
        )  # fmt: skip
    noise = "dropout" if setting.noise == "bernoulli" else f"{words.capital(setting.noise)} noise"
    return Onset(recipe, layer, seeds, charts, changes, _sentence(about, noise, changes), tuple(courses), quick, command)


_BATCH = RunSpec().batch_size


def _chance(rows: pd.DataFrame) -> Series:
    """The upper end of the band in which the adjusted Rand index of permuted labels lies in 95 % of cases."""
    upper = (rows["chance_high"] - rows["chance_rand"]) / (1 - rows["chance_rand"])
    mean = upper.groupby(rows["step"] * _BATCH).mean()
    return Series.plain("upper end of chance (95 %)", {float(x): float(y) for x, y in mean.items()}, Meaning.CHANCE)  # type: ignore[arg-type]


def _change(rows: pd.DataFrame, course: str, column: str, switch: int) -> Change:
    wide = rows.dropna(subset=[column]).pivot(index="seed", columns="step", values=column).sort_index(axis=1).dropna()
    steps, values = wide.columns.to_numpy(float), wide.to_numpy(float)
    first, last = values[:, 0], values[:, -1]
    change = mean_interval(last - first)
    halves = [_half(steps - switch, row) for row in values] if change.low > 0 or change.high < 0 else []
    reached = [half * _BATCH for half in halves if not math.isnan(half)]
    return Change(
        course, mean_interval(first), mean_interval(last), change, mean_interval(np.array(reached)) if reached else None
    )


def _half(steps: np.ndarray, values: np.ndarray) -> float:
    """Steps after the switch at which half of a change is first done, between moments along a straight line."""
    if values[-1] == values[0]:
        return math.nan
    done = (values - values[0]) / (values[-1] - values[0])
    at = int(np.argmax(done >= 0.5))
    low, high = done[at - 1], done[at]
    return float(steps[at - 1] + (0.5 - low) / (high - low) * (steps[at] - steps[at - 1]))


def _sentence(about: str, noise: str, changes: Mapping[str, tuple[Change, ...]]) -> str:
    """The finding first, then how sure."""
    said = []
    for column, what in (("twins", "the share of neurons with a twin"), ("adjusted_rand_10", "the adjusted Rand index")):
        for each in changes[column]:
            verb = "rises" if each.change.low > 0 else "falls" if each.change.high < 0 else "is not shown to change"
            done = "switched on" if each.course == OFF_ON else "switched off"
            soon = f", half of it after {each.half.mean:,.0f} examples" if each.half else ""
            said.append(f"When {noise} is {done}, {what} {verb}: {words.brief(each.change, 3, signed=True)}{soon}.")
    return f"{about}. " + " ".join(said)


def answer(said: Onset) -> str:
    """Which of `ANSWERS` is right for the adjusted Rand index once dropout is switched off; "" where it never was."""
    off = next((each for each in said.changes["adjusted_rand_10"] if each.course == ON_OFF), None)
    if off is None:
        return ""
    return ANSWERS[0] if off.change.low > 0 else ANSWERS[1] if off.change.high < 0 else ANSWERS[2]
