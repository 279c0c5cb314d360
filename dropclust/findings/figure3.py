"""What is said of Figure 3: power laws on any range of widths, beside the controls that decide what a slope means."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from dropclust.core.intervals import Interval, mean_interval, paired_difference, side
from dropclust.core.power_law import (
    Floats,
    PowerLaw,
    clustered_variance,
    fit_power_law,
    kappa_from_slope,
    slope_from_kappa,
)
from dropclust.experiments import figure3, paper, results
from dropclust.experiments.pairing import paired
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.outside import as_text
from dropclust.findings.series import Series

MEASURES = MappingProxyType({"MSTD": "mstd", "MSTD / logit spread": "relative_mstd"})
SIDES = MappingProxyType({"incoming": "clusters", "outgoing": "clusters_outgoing"})
CONTROL = "none"
# In the order in which they are drawn, after the networks that were trained as they are sampled.
CONTROLS = MappingProxyType(
    {CONTROL: "trained without dropout", "all 0.5": "dropout 0.5 in all layers", figure3.UNTRAINED: "not trained"}
)
_MEANINGS = MappingProxyType({CONTROL: Meaning.NO_DROPOUT, "all 0.5": Meaning.DROPOUT, figure3.UNTRAINED: Meaning.UNTRAINED})
FEWEST = 3  # widths that a line needs to be judged
STRAIGHT = next(claim for claim in figure3.CLAIMS if claim.key == "figure3.power-law")
BEND = 0.05  # p value below which points are called bent


def _trained(rate: float) -> str:
    """The networks that were trained as they are sampled: with dropout of that rate in layer 1."""
    return f"first {rate:g}"


# ---- lines -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One kind of network: its geometric means over seeds at each width, and the power law on the widths chosen.

    ``law`` is None where there is none, and ``refused`` then says why. ``slopes`` has the slope of each seed's own line.
    """

    training: str
    points: Series
    chosen: tuple[float, ...]  # widths that are fitted
    law: PowerLaw | None
    slopes: Mapping[int, float]
    refused: str = ""

    @property
    def name(self) -> str:
        """For a viewer."""
        return self.points.name


def _geometric(name: str, widths: Floats, values: Floats, meaning: Meaning) -> Series:
    """Geometric mean over seeds ``[seeds, widths]`` at each width, with the Student t interval of the mean logarithm."""
    logs = [mean_interval(np.log(column[~np.isnan(column)])) for column in values.T]
    means, lows, highs = (tuple(math.exp(getattr(each, end)) for each in logs) for end in ("mean", "low", "high"))
    return Series(name, tuple(widths.tolist()), means, lows, highs, max((each.n for each in logs), default=0), meaning)


def line(table: pd.DataFrame, training: str, rate: float, column: str, low: float, high: float) -> Line:
    """One kind of network of one sampled rate, fitted on the widths from ``low`` to ``high``.

    A width at which some network has a value of 0, which has no logarithm, is left out, and so is a seed that lacks a width.
    """
    part = table[(table["trained"] == training) & (table["rate"] == rate)]
    wide = part.pivot(index="seed", columns="h", values=column).sort_index(axis=1).dropna(axis=1, how="all")
    seeds, widths, values = wide.index.to_numpy(int), wide.columns.to_numpy(float), wide.to_numpy(float)
    positive = ~(values <= 0).any(axis=0)
    widths, values, zeros = widths[positive], values[:, positive], widths[~positive]
    points = _geometric(
        CONTROLS.get(training, f"dropout {rate:g} in layer 1"), widths, values, _MEANINGS.get(training, Meaning.DROPOUT_FIRST)
    )
    inside = (widths >= low) & (widths <= high)
    whole = ~np.isnan(values[:, inside]).any(axis=1)
    chosen = tuple(widths[inside].tolist())
    if len(chosen) < FEWEST or not whole.any():
        refused = f"A line needs {FEWEST} widths or more, and from {low:g} to {high:g} there are {len(chosen)}."
        if len(zeros):
            refused += f" At {', '.join(f'{h:g}' for h in zeros)} the value is 0, which has no logarithm."
        return Line(training, points, chosen, None, {}, refused)
    fitted = values[whole][:, inside]  # [seeds, widths]
    slopes = [fit_power_law(chosen, own[None]).slope.mean for own in fitted]
    return Line(training, points, chosen, fit_power_law(chosen, fitted), dict(zip(seeds[whole].tolist(), slopes, strict=True)))


def _difference(one: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    first, second = paired(pd.Series(one, dtype=float), pd.Series(other, dtype=float))
    return paired_difference(first, second) if len(first) else None


# ---- MSTD against width ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PowerChart:
    """MSTD against the width of layer 1, and the power laws, on linear or logarithmic axes.

    ``paper`` is the paper's line at each width, empty where it has none.
    """

    title: str
    y_title: str
    lines: tuple[Line, ...]
    paper: Mapping[float, float]
    logarithmic: bool
    sentence: str
    brief: str

    def table(self) -> pd.DataFrame:
        """A row a kind of network and width."""
        rows = [
            {
                "networks": each.name, "h": h, self.y_title: mean, "low": low, "high": high, "seeds": each.points.n,
                "fitted": float(each.law.mstd(h)) if each.law and h in each.chosen else math.nan,
            }
            for each in self.lines
            for h, mean, low, high in zip(each.points.x, each.points.mean, each.points.low, each.points.high, strict=True)
        ]  # fmt: skip
        rows += [{"networks": "paper's line", "h": h, self.y_title: value} for h, value in self.paper.items()]
        return pd.DataFrame(rows)


def _slope_in_words(each: Line) -> str:
    """The slope with its interval, and what doubling the width does."""
    if each.law is None:
        return each.refused
    slope = each.law.slope
    return f"{words.capital(each.name)}: slope {words.full(slope, 3)}: twice as many units multiply it by {2**slope.mean:.2f}"


# ---- slopes ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slopes:
    """Each power law's slope, and the paper's where it has one."""

    title: str
    lines: tuple[Line, ...]  # all with a law
    paper: float | None
    sentence: str

    @property
    def brief(self) -> str:
        """The first slope against the paper's, or alone, in at most 15 words."""
        if not self.lines or self.lines[0].law is None:
            return self.sentence
        slope = words.number(self.lines[0].law.slope.mean, 3)
        return f"Measured is a slope of {slope}." if self.paper is None else f"Measured is {slope}; the star is the paper's."

    def table(self) -> pd.DataFrame:
        """A row a kind of network."""
        return pd.DataFrame(
            [
                {
                    "networks": each.name, "slope": law.slope.mean, "low": law.slope.low, "high": law.slope.high,
                    "intercept (natural log)": law.intercept.mean, "R²": law.r_squared, "curvature": law.curvature.mean,
                    "p of no curvature": law.curvature_p_value, "seeds": law.slope.n, "widths": len(law.widths),
                }
                for each in self.lines
                if (law := each.law)
            ]
        )  # fmt: skip


def _slopes_sentence(lines: Sequence[Line]) -> str:
    laws = [(each.name, each.law.slope) for each in lines if each.law]
    listed = "; ".join(f"{name} {words.brief(slope, 3)}" for name, slope in laws)
    return f"Slopes of the fitted lines, {words.over(max((slope.n for _, slope in laws), default=0))}: {listed}."


# ---- the verdict -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Questions that decide what the slope means, each with its answer, and what follows.

    ``headline`` tells what follows in at most 15 words. ``about`` says, a row, which networks an answer is about beside the
    main ones; empty where it is about those alone.
    """

    rows: tuple[tuple[str, str], ...]
    about: tuple[str, ...]
    sentence: str
    headline: str

    def table(self) -> pd.DataFrame:
        """A row a question."""
        return pd.DataFrame(self.rows, columns=["question", "answer"])

    def showing(self, controls: Collection[str]) -> Verdict:
        """The same with only the answers about these controls; what follows stays."""
        kept = [(row, about) for row, about in zip(self.rows, self.about, strict=True) if not about or about in controls]
        return replace(self, rows=tuple(row for row, _ in kept), about=tuple(about for _, about in kept))


def _falls(each: Line) -> str:
    assert each.law is not None
    said = {-1: "Yes", 0: "Not shown", 1: "No, it rises"}[side(each.law.slope)]
    return f"{said}: slope {words.full(each.law.slope, 3)}, R² {each.law.r_squared:.2f}."


def _straight(law: PowerLaw) -> str:
    """Whether the points are bent, and whether by more than the paper's claim of a power law allows."""
    bent = law.curvature_p_value
    if math.isnan(bent):
        return "One seed cannot say."
    if bent >= BEND:
        return f"No bend found, {words.p_value(bent)} for no curvature."
    allowed = STRAIGHT.margin
    change = law.exponent_change
    if max(abs(change.low), abs(change.high)) < allowed:
        said, than = "Bent", ", but by less than"
    elif min(abs(change.low), abs(change.high)) > allowed and change.low * change.high > 0:
        said, than = "No: bent", ", and by more than"
    else:
        said, than = "Bent", "; these seeds cannot tell whether by less than"
    return (
        f"{said} ({words.p_value(bent)} for no curvature){than} the {allowed:g} that the claim of a power law allows: "
        f"a doubling of h changes the slope by {words.brief(change, STRAIGHT.digits, signed=True)}, which depends on the range."
    )


def _against(each: Line, control: Line) -> tuple[str, Interval | None]:
    difference = _difference(each.slopes, control.slopes)
    if difference is None:
        return "There are no seeds in common.", None
    said = {-1: "Yes, steeper", 0: "No significant difference", 1: "No, flatter"}[side(difference)]
    return f"{said}: difference of slopes {words.full(difference, 3)}, paired by seed.", difference


def verdict(lines: Mapping[str, Line], main: str, paper_slope: float | None) -> Verdict:
    """What the slopes say, whatever is drawn.

    ``lines`` by training; without a law of the main line, or of the control trained without dropout, there is no verdict.
    """
    first, control = lines[main], lines.get(CONTROL)
    if first.law is None:
        return Verdict((), (), f"{first.refused} Without a line there is no verdict.", "Too few widths for a line.")
    slope = first.law.slope
    rows = [
        ("Does it fall with width after dropout?", _falls(first)),
        ("Is that a straight line?", _straight(first.law)),
    ]
    if paper_slope is not None:
        inside = "One seed cannot say" if slope.n == 1 else "Yes" if slope.low <= paper_slope <= slope.high else "No"
        away = slope.mean - paper_slope
        question = f"Is the paper's slope, {paper_slope:.3f}, in its interval?"
        rows.append((question, f"{inside}: measured is {abs(away):.3f} {'above' if away > 0 else 'below'} it."))
    about = [""] * len(rows)
    if control is None or control.law is None:
        nothing = "Without networks trained without dropout on this range there is no verdict."
        return Verdict(tuple(rows), tuple(about), nothing, nothing)
    rows.append(("Does it fall without dropout in training?", _falls(control)))
    told, difference = _against(first, control)
    rows.append(("Does dropout in layer 1 make it steeper?", told))
    about += [CONTROL] * 2
    everywhere, untrained = lines.get("all 0.5"), lines.get(figure3.UNTRAINED)
    if everywhere is not None and everywhere.law:
        rows.append(("Does dropout in all layers?", _against(everywhere, control)[0]))
        about.append("all 0.5")
    if untrained is not None and untrained.law:
        rows.append(("Does it fall untrained?", _falls(untrained)))
        about.append(figure3.UNTRAINED)
    follows = _follows(slope, control.law.slope, difference)
    return Verdict(tuple(rows), tuple(about), follows, _headline(slope, control.law.slope, difference, follows))


def _headline(slope: Interval, control: Interval, difference: Interval | None, follows: str) -> str:
    """What follows, in at most 15 words."""
    if difference is None or 1 in (slope.n, difference.n):
        return follows
    if side(slope) != -1 or side(control) != -1:
        return f"{follows.partition(',')[0].partition(':')[0]}."
    if side(difference) == -1:
        return f"Without dropout it falls too; dropout adds {words.number(difference.mean, 3)} to the slope."
    return f"Networks that never saw dropout follow such a law too: slope {words.number(control.mean, 3)}."


def _follows(slope: Interval, control: Interval, difference: Interval | None) -> str:
    if slope.n == 1 or difference is None or difference.n == 1:
        return "One seed: no interval, and so no verdict."
    if side(slope) == 1:
        return "On this range it rises with width after dropout: there is no falling power law to explain."
    if side(slope) == 0:
        return "On this range a fall with width is not shown after dropout: there is no power law to explain."
    if side(control) != -1:
        return "On this range a fall is shown only for networks trained with dropout" + (
            ", and theirs is steeper: dropout makes it."
            if side(difference) == -1
            else ", but their slope is not significantly different from that of networks trained without: undecided."
        )
    if side(difference) == -1:
        return (
            "Networks that never saw dropout follow a falling power law too, though a flatter one: of the slope, only "
            f"{words.full(difference, 3)} can be dropout's doing."
        )
    steeper = "makes it flatter, not steeper" if side(difference) == 1 else "is not shown to make it steeper"
    return (
        f"Networks that never saw dropout follow a falling power law too, and dropout {steeper}: such a slope is no sign of "
        "clusters made by dropout."
    )


# ---- what clusters would give ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction:
    """MSTD that k ~ h^kappa clusters would give, corrected and as printed, through the middle of what was measured."""

    measured: Line
    y_title: str
    kappa: float
    corrected: tuple[float, ...]  # at the widths measured
    printed: tuple[float, ...]
    sentence: str
    brief: str

    def table(self) -> pd.DataFrame:
        """A row a width."""
        columns = {"h": self.measured.points.x, self.y_title: self.measured.points.mean}
        return pd.DataFrame({**columns, "corrected": self.corrected, "as printed": self.printed})


def prediction(measured: Line, y_title: str, kappa: float) -> Prediction:
    """Equation (4) by both readings of the chance that two neurons share a cluster, for one exponent kappa.

    The equation leaves a factor open: each line goes through the geometric mean of the widths that are fitted.
    """
    h = np.array(measured.points.x)
    seen = np.log(np.array(measured.points.mean))
    fitted = np.isin(h, measured.chosen) if measured.chosen else np.ones(len(h), bool)
    drawn = {}
    for chance in ("equal", "printed"):
        shape = np.log(clustered_variance(h, h**kappa, 1.0, chance, finite=False)) / 2  # of a standard deviation
        drawn[chance] = tuple(np.exp(shape + (seen - shape)[fitted].mean()).tolist())
    slopes = {chance: slope_from_kappa(kappa, chance) for chance in drawn}
    sentence = (
        f"With k ~ h^{kappa:.2f} clusters the slope would be {slopes['equal']:.3f} corrected and {slopes['printed']:.3f} as "
        "printed"
    )
    if measured.law:
        slope = measured.law.slope
        sentence += (
            f"; measured {words.full(slope, 3)}, which would mean kappa {kappa_from_slope(slope.mean):.2f} corrected and "
            f"{kappa_from_slope(slope.mean, 'printed'):.2f} as printed"
        )
    brief = f"By the corrected equation so many clusters give a slope of {slopes['equal']:.3f}."
    return Prediction(measured, y_title, kappa, drawn["equal"], drawn["printed"], sentence + ".", brief)


# ---- clusters that are there -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """Clusters found in layer 1 against its width, and the exponent kappa that they have and that the slope would mean.

    Kinds of network without any clusters have no exponent.

    ``kappas``: (name, kappa counted, kappa implied, counted less implied paired by seed) a kind of network.
    """

    lines: tuple[Line, ...]
    kappas: tuple[tuple[str, Interval, Interval, Interval], ...]
    weights: str  # a key of `SIDES`
    sentence: str
    brief: str

    def table(self) -> pd.DataFrame:
        """A row a kind of network and width."""
        return pd.DataFrame(
            [
                {"networks": each.name, "h": h, "clusters": mean, "low": low, "high": high, "seeds": each.points.n}
                for each in self.lines
                for h, mean, low, high in zip(each.points.x, each.points.mean, each.points.low, each.points.high, strict=True)
            ]
        )

    def formatted(self) -> pd.DataFrame:
        """The exponents for people, a row a kind of network."""
        return pd.DataFrame(
            {
                "kappa counted": [words.brief(counted, 2) for _, counted, _, _ in self.kappas],
                "kappa the slope would mean": [words.brief(implied, 2) for _, _, implied, _ in self.kappas],
                "counted less meant": [words.brief(difference, 2) for *_, difference in self.kappas],
            },
            index=[name for name, *_ in self.kappas],
        )


def counted(
    table: pd.DataFrame, laws: Mapping[str, Line], main: str, rate: float, weights: str, low: float, high: float
) -> Counted:
    """Count the clusters of each kind of network, and set their exponent beside the one its slope would mean (corrected)."""
    lines = {training: line(table, training, rate, SIDES[weights], low, high) for training in laws}
    kappas = []
    for training, each in lines.items():
        meant = {seed: kappa_from_slope(slope) for seed, slope in laws[training].slopes.items()}
        difference = _difference(each.slopes, meant)
        if each.law is not None and difference is not None and any(each.points.at(h).mean > 1 for h in each.chosen):
            kappas.append((each.name, each.law.slope, mean_interval(list(meant.values())), difference))
    part = table[(table["trained"] == main) & (table["rate"] == rate) & (table["h"] >= low) & (table["h"] <= high)]
    if (part[SIDES[weights]] <= 1).all():
        sentence = (
            f"By {weights} weights no clusters are found after dropout at any of these widths: clusters predict held-out "
            "weights no better than one mean does."
        )
        brief = "After dropout no clusters are found at any of these widths."
    else:
        first = lines[main].points
        inside = [h for h in first.x if low <= h <= high]
        sentence = (
            f"After dropout in layer 1, {first.at(inside[0]).mean:.1f} clusters are found by {weights} weights at "
            f"{inside[0]:g} units and {first.at(inside[-1]).mean:.1f} at {inside[-1]:g} (geometric means, {first.n} seeds)"
        )
        brief = f"The widest layer has {first.at(inside[-1]).mean:.1f} clusters, by {weights} weights."
        ours = [row for row in kappas if row[0] == lines[main].name]
        if ours:
            _, found, implied, difference = ours[0]
            than = {
                -1: "more than is counted",
                0: "not significantly different from what is counted",
                1: "less than is counted",
            }
            sentence += f": kappa {words.full(found, 2)}. The slope would mean {implied.mean:.2f}, {than[side(difference)]}"
        agreement = part["adjusted_rand"].dropna()
        sentence += "."
        if len(agreement):
            by_seed = part.drop_duplicates(["seed", "h"]).groupby("seed")["adjusted_rand"].mean().dropna()
            sentence += (
                " At the number chosen by incoming weights the two clusterings agree with an adjusted Rand index of "
                f"{words.full(mean_interval(by_seed.to_numpy()), 2)}."
            )
    return Counted(tuple(lines.values()), tuple(kappas), weights, sentence, brief)


# ---- all of it ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure3:
    """All that is said of one recipe, sampled rate, measure and range of widths; ``refused`` says why there is no line."""

    linear: PowerChart
    logarithmic: PowerChart
    slopes: Slopes
    verdict: Verdict
    counted: Mapping[str, Counted]  # by side
    main: Line
    y_title: str
    refused: str
    command: str

    @property
    def sentence(self) -> str:
        """What the slopes say of the paper's reading, and the slopes."""
        return f"{self.verdict.sentence} {self.slopes.sentence}"

    @property
    def headline(self) -> str:
        """The same in at most 15 words."""
        return self.verdict.headline

    def table(self) -> pd.DataFrame:
        """A row a kind of network: its slope."""
        return self.slopes.table()

    def showing(self, controls: Collection[str]) -> Figure3:
        """The same with only these controls in charts, captions and tables; the verdict's sentence stays."""

        def keep(lines: tuple[Line, ...]) -> tuple[Line, ...]:
            return tuple(each for each in lines if each.training in controls or each.training == self.main.training)

        lines, sloped = keep(self.linear.lines), keep(self.slopes.lines)
        names = {each.name for each in lines}
        return replace(
            self,
            linear=replace(self.linear, lines=lines),
            logarithmic=replace(self.logarithmic, lines=lines, sentence=_logarithmic_sentence(lines, self.slopes.paper)),
            slopes=replace(self.slopes, lines=sloped, sentence=_slopes_sentence(sloped)),
            verdict=self.verdict.showing(controls),
            counted={
                weights: replace(each, lines=keep(each.lines), kappas=tuple(row for row in each.kappas if row[0] in names))
                for weights, each in self.counted.items()
            },
        )


def find(table: pd.DataFrame, rate: float, measure: str, low: float, high: float, command: str = "") -> Figure3:
    """Everything that is said of the table, so that it is made once for all viewers.

    Parameters
    ----------
    table
        Figure 3's, of one recipe.
    rate
        Sampled rate of layer 1.
    measure
        A key of `MEASURES`.
    low, high
        The range of widths that is fitted, inclusive.
    command
        What makes the table again.
    """
    main = _trained(rate)
    there = set(table["trained"])
    lines = {
        training: line(table, training, rate, MEASURES[measure], low, high)
        for training in (main, *CONTROLS)
        if training in there
    }
    first = lines[main]
    plain = MEASURES[measure] == "mstd"
    theirs = {h: paper_mstd(h) for h in first.points.x} if plain else {}
    slope = paper.FIGURE_3["slope"] if plain else None
    y_title = "MSTD, logit units" if plain else "MSTD / spread of the logits"
    share = first.points.mean[-1] / first.points.mean[0]
    brief = f"From the narrowest to the widest layer {measure} goes to {words.percent(share)}."
    said = _linear_sentence(first, measure, rate, plain)
    linear = PowerChart(measure, y_title, tuple(lines.values()), theirs, False, said, brief)
    logarithmic = replace(
        linear, title=f"{measure}, log-log", logarithmic=True, sentence=_logarithmic_sentence(linear.lines, slope), brief=(
            f"Twice as many units multiply {measure} by {2**first.law.slope.mean:.2f}." if first.law else ""
        ),
    )  # fmt: skip
    with_law = tuple(each for each in linear.lines if each.law)
    return Figure3(
        linear,
        logarithmic,
        Slopes(f"Slopes of {measure}", with_law, slope, _slopes_sentence(with_law)),
        verdict(lines, main, slope),
        {weights: counted(table, lines, main, rate, weights, low, high) for weights in SIDES},
        first,
        y_title,
        first.refused,
        command,
    )


def read(
    recipe: str = "modern",
    root: Path | None = None,
    rate: float = max(figure3.SAMPLED_RATES),
    measure: str = "MSTD",
    low: float = min(figure3.WIDTHS),
    high: float = max(figure3.WIDTHS),
    controls: Collection[str] | None = None,
) -> Figure3:
    """Everything that is said of the shipped table.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the table; the shipped results when None.
    rate, measure, low, high
        As for `find`.
    controls
        Keys of `CONTROLS` that are shown; all when None.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    ValueError
        For a rate that was not sampled or an unknown measure.
    """
    for name, value, known in (("rate", rate, figure3.SAMPLED_RATES), ("measure", measure, tuple(MEASURES))):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}; got {value!r}")
    result = results.read(results.file_name(figure3.EXPERIMENT.name, recipe), root)
    found = find(result.table, rate, measure, low, high, result.command)
    return found if controls is None else found.showing(controls)


def paper_mstd(h: float, base: float = math.e) -> float:
    """The paper's line (Figure 3) at a width, with its logarithm's base taken to be ``base``, which it does not state."""
    return float(base ** (paper.FIGURE_3["intercept"] + paper.FIGURE_3["slope"] * math.log(h, base)))


def range_refused(asked: Sequence[str], shown: tuple[int, int]) -> str:
    """One sentence where an address asks for a range of widths that there is not, of which ``shown`` was made; else none."""
    ends = [figure3.WIDTHS.index(int(text)) for text in asked if text in map(str, figure3.WIDTHS)]
    if not asked or (len(asked) == len(ends) == 2 and ends[0] <= ends[1]):
        return ""
    return (
        f"The fitted widths must be two of {', '.join(map(str, figure3.WIDTHS))}, the smaller first; the address gave "
        f"{as_text(repr(' and '.join(asked)[:40]))}. Shown instead: {shown[0]} to {shown[1]}."
    )


def base_note() -> str:
    """The paper's line, and what its unstated base would change."""
    slope, intercept, r_squared = (paper.FIGURE_3[name] for name in ("slope", "intercept", "r_squared"))
    higher = paper_mstd(1, 10) / paper_mstd(1)
    return (
        f"The paper's line is log MSTD = {slope} log h + {intercept} (R² {r_squared}); it does not state the base of its log. "
        f"Drawn: natural; with base 10 it would be {higher:.2f} times as high. The slope is the same in any base."
    )


def _linear_sentence(first: Line, measure: str, rate: float, plain: bool) -> str:
    points = first.points
    ends = f"from {points.at(points.x[0]).mean:.2f} at {points.x[0]:g} units to {points.at(points.x[-1]).mean:.2f} at "
    theirs = f" The paper's line goes from {paper_mstd(points.x[0]):.2f} to {paper_mstd(points.x[-1]):.2f}." if plain else ""
    return (
        f"Sampled with dropout {rate:g} in layer 1, the {measure} of networks trained so goes {ends}{points.x[-1]:g} "
        f"(geometric means; {words.over(points.n)}).{theirs}"
    )


def _logarithmic_sentence(lines: Sequence[Line], paper_slope: float | None) -> str:
    first, control = lines[0], next((each for each in lines if each.training == CONTROL), None)
    sentence = f"{_slope_in_words(first)}."
    if first.law is None:
        return first.refused
    if control is not None and control.law is not None:
        sentence += f" {words.capital(control.name)}: {words.full(control.law.slope, 3)}."
    if paper_slope is not None:
        sentence += f" Paper: {paper_slope:.3f}."
    return sentence
