"""Figure 3 as objects and figures: the power law refitted on any range of widths, its controls, what clusters would give."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dropclust.core.intervals import Interval, mean_interval, paired_difference
from dropclust.core.power_law import (
    Floats,
    PowerLaw,
    clustered_variance,
    fit_power_law,
    kappa_from_slope,
    slope_from_kappa,
)
from dropclust.experiments import figure3, paper, results
from dropclust.ui import charts, live
from dropclust.ui.charts import CHANCE, MEASURED, PAPER, SECOND, Series

MEASURES = MappingProxyType({"MSTD": "mstd", "MSTD / logit spread": "relative_mstd"})
SIDES = MappingProxyType({"incoming": "clusters", "outgoing": "clusters_outgoing"})
CONTROL = "none"
# In the order in which they are drawn, after the networks that were trained as they are sampled.
CONTROLS = MappingProxyType(
    {CONTROL: "trained without dropout", "all 0.5": "dropout 0.5 in all layers", figure3.UNTRAINED: "not trained"}
)
_ROLES = MappingProxyType({CONTROL: CHANCE, "all 0.5": SECOND, figure3.UNTRAINED: 3})
_MARKERS = ("circle", "square", "diamond", "triangle-up")
_DASHES = ("solid", "dash", "dot", "dashdot")
FEWEST = 3  # widths that a line needs to be judged
# Of logarithmic axes: two and five beside the tens, since the values span little more than one decade.
_TICKS = tuple(digit * 10.0**exponent for exponent in range(-3, 4) for digit in (1, 2, 5))
BEND = 0.05  # p value below which points are called bent


def _trained(rate: float) -> str:
    """The networks that were trained as they are sampled: with dropout of that rate in layer 1."""
    return f"first {rate:g}"


def range_refused(asked: Sequence[str], shown: tuple[int, int]) -> str:
    """One sentence where an address asks for a range of widths that there is not, of which ``shown`` was made; else none."""
    ends = [figure3.WIDTHS.index(int(text)) for text in asked if text in map(str, figure3.WIDTHS)]
    if not asked or (len(asked) == len(ends) == 2 and ends[0] <= ends[1]):
        return ""
    return (
        f"The fitted widths must be two of {', '.join(map(str, figure3.WIDTHS))}, the smaller first; the address gave "
        f"{' and '.join(asked)[:40]!r}. Shown instead: {shown[0]} to {shown[1]}."
    )


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


def _geometric(name: str, widths: Floats, values: Floats, role: int) -> Series:
    """Geometric mean over seeds ``[seeds, widths]`` at each width, with the Student t interval of the mean logarithm."""
    logs = [mean_interval(np.log(column[~np.isnan(column)])) for column in values.T]
    means, lows, highs = (tuple(math.exp(getattr(each, end)) for each in logs) for end in ("mean", "low", "high"))
    return Series(name, tuple(widths.tolist()), means, lows, highs, max((each.n for each in logs), default=0), role)


def line(table: pd.DataFrame, training: str, rate: float, column: str, low: float, high: float) -> Line:
    """One kind of network of one sampled rate, fitted on the widths from ``low`` to ``high``.

    A width at which some network has a value of 0, which has no logarithm, is left out, and so is a seed that lacks a width.
    """
    part = table[(table["trained"] == training) & (table["rate"] == rate)]
    wide = part.pivot(index="seed", columns="h", values=column).sort_index(axis=1).dropna(axis=1, how="all")
    seeds, widths, values = wide.index.to_numpy(int), wide.columns.to_numpy(float), wide.to_numpy(float)
    positive = ~(values <= 0).any(axis=0)
    widths, values, zeros = widths[positive], values[:, positive], widths[~positive]
    points = _geometric(CONTROLS.get(training, f"dropout {rate:g} in layer 1"), widths, values, _ROLES.get(training, MEASURED))
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


def _paired(one: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    seeds = sorted(set(one) & set(other))
    return paired_difference([one[seed] for seed in seeds], [other[seed] for seed in seeds]) if seeds else None


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


def power_figure(info: PowerChart, height: int = 430) -> go.Figure:
    """Draw points with their intervals and the fitted lines; widths that are not fitted have open markers."""
    figure, colours = go.Figure(), charts.palette()
    for number, each in enumerate(info.lines):
        colour, symbol = colours[each.points.role], _MARKERS[number % len(_MARKERS)]
        _points(figure, each, colour, symbol)
        if each.law:
            figure.add_scatter(
                x=each.chosen, y=each.law.mstd(each.chosen).tolist(), mode="lines", showlegend=False, hoverinfo="skip",
                line={"color": colour, "width": 3, "dash": _DASHES[number % len(_DASHES)]},
            )  # fmt: skip
    if info.paper:
        figure.add_scatter(
            x=list(info.paper), y=list(info.paper.values()), name="paper's line", mode="lines", hovertemplate="%{y:.3g}",
            line={"color": colours[PAPER], "width": 4, "dash": "longdash", "shape": "linear" if info.logarithmic else "spline"},
        )  # fmt: skip
    charts.lay_out(figure, info.title, "units of layer 1 (h)", info.y_title, height)
    if info.logarithmic:
        _logarithmic(figure, sorted({h for each in info.lines for h in each.points.x}))
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


def _points(figure: go.Figure, each: Line, colour: str, symbol: str) -> None:
    points = each.points
    bars = None
    if not all(map(math.isnan, points.low)):
        up = [high - mean for high, mean in zip(points.high, points.mean, strict=True)]
        down = [mean - low for low, mean in zip(points.low, points.mean, strict=True)]
        bars = {"type": "data", "array": up, "arrayminus": down, "width": 5, "thickness": 2}
    figure.add_scatter(
        x=points.x, y=points.mean, name=points.name, mode="markers", error_y=bars, hovertemplate="%{y:.3g}",
        marker={
            "symbol": [symbol if h in each.chosen else f"{symbol}-open" for h in points.x],
            "size": 11, "color": colour, "line": {"width": 2, "color": colour},
        },
    )  # fmt: skip


def _logarithmic(figure: go.Figure, widths: Sequence[float]) -> None:
    figure.update_xaxes(type="log", tickvals=list(widths), ticktext=[f"{h:g}" for h in widths])
    figure.update_yaxes(type="log", tickvals=list(_TICKS), ticktext=[f"{tick:g}" for tick in _TICKS])


def _slope_in_words(each: Line) -> str:
    """The slope with its interval, and what doubling the width does."""
    if each.law is None:
        return each.refused
    slope = each.law.slope
    return (
        f"{each.name[0].upper()}{each.name[1:]}: slope {slope.text(3)}: twice as many units multiply it by {2**slope.mean:.2f}"
    )


# ---- slopes ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slopes:
    """Each power law's slope, and the paper's where it has one."""

    title: str
    lines: tuple[Line, ...]  # all with a law
    paper: float | None
    sentence: str

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


def _short(interval: Interval, digits: int) -> str:
    """An interval where its level and number of seeds are said elsewhere."""
    if interval.n == 1:
        return f"{interval.mean:.{digits}f}"
    return f"{interval.mean:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def _seeds(n: int) -> str:
    return f"95 % intervals over {n} seeds" if n > 1 else "one seed: no interval"


def _slopes_sentence(lines: Sequence[Line]) -> str:
    laws = [(each.name, each.law.slope) for each in lines if each.law]
    listed = "; ".join(f"{name} {_short(slope, 3)}" for name, slope in laws)
    return f"Slopes of the fitted lines, {_seeds(max((slope.n for _, slope in laws), default=0))}: {listed}."


def slopes_figure(info: Slopes, height: int = 330) -> go.Figure:
    """Draw each slope with its interval, and the paper's, where it has one, as a line across."""
    figure, colours = go.Figure(), charts.palette()
    for number, each in enumerate(info.lines):
        assert each.law is not None
        slope = each.law.slope
        bars = {"type": "data", "array": [slope.high - slope.mean], "arrayminus": [slope.mean - slope.low], "width": 10}
        figure.add_scatter(
            x=[slope.mean], y=[each.name], mode="markers", error_x=None if math.isnan(slope.low) else bars, showlegend=False,
            marker={"symbol": _MARKERS[number % len(_MARKERS)], "size": 15, "color": colours[each.points.role]},
            hovertemplate="%{x:.3f}<extra></extra>",
        )  # fmt: skip
    if info.paper is not None:
        figure.add_scatter(
            x=[info.paper], y=["paper"], mode="markers", showlegend=False, hovertemplate="%{x:.3f}<extra></extra>",
            marker={"symbol": "star-diamond", "size": 17, "color": colours[PAPER]},
        )  # fmt: skip
        figure.add_vline(info.paper, line={"color": colours[PAPER], "width": 2, "dash": "dot"})
    figure.add_vline(0, line={"color": colours[CHANCE], "width": 2})
    charts.lay_out(figure, info.title, "log-log slope", "", height)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(hovermode="closest")
    return figure


# ---- the verdict -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Questions that decide what the slope means, each with its answer, and what follows.

    ``of`` says, a row, which networks an answer is of beside the main ones; empty where it is of those alone.
    """

    rows: tuple[tuple[str, str], ...]
    of: tuple[str, ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a question."""
        return pd.DataFrame(self.rows, columns=["question", "answer"])

    def showing(self, controls: Collection[str]) -> Verdict:
        """The same with only the answers that are of these controls; what follows stays."""
        kept = [(row, of) for row, of in zip(self.rows, self.of, strict=True) if not of or of in controls]
        return replace(self, rows=tuple(row for row, _ in kept), of=tuple(of for _, of in kept))


def _side(interval: Interval) -> int:
    """-1 where the whole interval lies below 0, 1 above, 0 where it holds 0 or there is none."""
    return -1 if interval.high < 0 else 1 if interval.low > 0 else 0


def _falls(each: Line) -> str:
    assert each.law is not None
    said = {-1: "Yes", 0: "Not shown", 1: "No, it rises"}[_side(each.law.slope)]
    return f"{said}: slope {each.law.slope.text(3)}, R² {each.law.r_squared:.2f}."


def _against(each: Line, control: Line) -> tuple[str, Interval | None]:
    difference = _paired(each.slopes, control.slopes)
    if difference is None:
        return "There are no seeds in common.", None
    said = {-1: "Yes, steeper", 0: "Not told apart", 1: "No, flatter"}[_side(difference)]
    return f"{said}: difference of slopes {difference.text(3)}, paired by seed.", difference


def verdict(lines: Mapping[str, Line], main: str, paper_slope: float | None) -> Verdict:
    """What the slopes say, whatever is drawn.

    ``lines`` by training; without a law of the main line, or of the control trained without dropout, there is no verdict.
    """
    first, control = lines[main], lines.get(CONTROL)
    if first.law is None:
        return Verdict((), (), f"{first.refused} Without a line there is no verdict.")
    slope = first.law.slope
    bent = first.law.curvature_p_value
    rows = [
        ("Does it fall with width after dropout?", _falls(first)),
        (
            "Is that a straight line?",
            "One seed cannot say."
            if math.isnan(bent)
            else f"{'No: bent' if bent < BEND else 'No bend found'}, p = {bent:.2g} for no curvature"
            + ("; the slope hangs on the range." if bent < BEND else "."),
        ),
    ]
    if paper_slope is not None:
        inside = "One seed cannot say" if slope.n == 1 else "Yes" if slope.low <= paper_slope <= slope.high else "No"
        away = slope.mean - paper_slope
        question = f"Is the paper's slope, {paper_slope:.3f}, in its interval?"
        rows.append((question, f"{inside}: measured is {abs(away):.3f} {'above' if away > 0 else 'below'} it."))
    of = [""] * len(rows)
    if control is None or control.law is None:
        return Verdict(tuple(rows), tuple(of), "Without networks trained without dropout on this range there is no verdict.")
    rows.append(("Does it fall without dropout in training?", _falls(control)))
    told, difference = _against(first, control)
    rows.append(("Does dropout in layer 1 make it steeper?", told))
    of += [CONTROL] * 2
    everywhere, untrained = lines.get("all 0.5"), lines.get(figure3.UNTRAINED)
    if everywhere is not None and everywhere.law:
        rows.append(("Does dropout in all layers?", _against(everywhere, control)[0]))
        of.append("all 0.5")
    if untrained is not None and untrained.law:
        rows.append(("Does it fall untrained?", _falls(untrained)))
        of.append(figure3.UNTRAINED)
    return Verdict(tuple(rows), tuple(of), _follows(slope, control.law.slope, difference))


def _follows(slope: Interval, control: Interval, difference: Interval | None) -> str:
    if slope.n == 1 or difference is None or difference.n == 1:
        return "One seed: no interval, and so no verdict."
    if _side(slope) == 1:
        return "On this range it rises with width after dropout: there is no falling power law to explain."
    if _side(slope) == 0:
        return "On this range a fall with width is not shown after dropout: there is no power law to explain."
    if _side(control) != -1:
        return "On this range a fall is shown only for networks trained with dropout" + (
            ", and theirs is steeper: dropout makes it."
            if _side(difference) == -1
            else ", but their slope is not told apart from that of networks trained without: undecided."
        )
    if _side(difference) == -1:
        return (
            "Networks that never saw dropout follow a falling power law too, though a flatter one: of the slope, only "
            f"{difference.text(3)} can be dropout's doing."
        )
    return (
        "Networks that never saw dropout follow a falling power law too, and dropout is not shown to make it steeper"
        + (", but flatter" if _side(difference) == 1 else "")
        + ": such a slope is no sign of clusters made by dropout."
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
            f"; measured {slope.text(3)}, which would mean kappa {kappa_from_slope(slope.mean):.2f} corrected and "
            f"{kappa_from_slope(slope.mean, 'printed'):.2f} as printed"
        )
    return Prediction(measured, y_title, kappa, drawn["equal"], drawn["printed"], sentence + ".")


def prediction_figure(info: Prediction, height: int = 430) -> go.Figure:
    """Draw the measured points and both lines on logarithmic axes."""
    figure, colours = go.Figure(), charts.palette()
    points = info.measured.points
    _points(figure, info.measured, colours[points.role], _MARKERS[0])
    for name, values, role, dash in (
        ("(4) corrected: 1/k", info.corrected, SECOND, "solid"),
        ("(4) as printed: k/h", info.printed, PAPER, "dash"),
    ):
        figure.add_scatter(
            x=points.x, y=values, name=name, mode="lines", line={"color": colours[role], "width": 3, "dash": dash},
            hovertemplate="%{y:.3g}",
        )  # fmt: skip
    charts.lay_out(figure, f"If there were h^{info.kappa:.2f} clusters", "units of layer 1 (h)", info.y_title, height)
    _logarithmic(figure, points.x)
    return figure


# ---- clusters that are there -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """Clusters found in layer 1 against its width, and the exponent kappa that they have and that the slope would mean.

    Kinds of network without any clusters have no exponent.

    ``kappas``: (name, kappa counted, kappa implied, counted less implied paired by seed) a kind of network.
    """

    lines: tuple[Line, ...]
    kappas: tuple[tuple[str, Interval, Interval, Interval], ...]
    side: str
    sentence: str

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
                "kappa counted": [_short(counted, 2) for _, counted, _, _ in self.kappas],
                "kappa the slope would mean": [_short(implied, 2) for _, _, implied, _ in self.kappas],
                "counted less meant": [_short(difference, 2) for *_, difference in self.kappas],
            },
            index=[name for name, *_ in self.kappas],
        )


def counted(
    table: pd.DataFrame, laws: Mapping[str, Line], main: str, rate: float, side: str, low: float, high: float
) -> Counted:
    """Count the clusters of each kind of network, and set their exponent beside the one its slope would mean (corrected)."""
    lines = {training: line(table, training, rate, SIDES[side], low, high) for training in laws}
    kappas = []
    for training, each in lines.items():
        slopes = laws[training].slopes
        implied = {seed: kappa_from_slope(slope) for seed, slope in slopes.items()}
        difference = _paired(each.slopes, implied)
        if each.law is not None and difference is not None and any(each.points.at(h).mean > 1 for h in each.chosen):
            kappas.append((each.name, each.law.slope, mean_interval(list(implied.values())), difference))
    part = table[(table["trained"] == main) & (table["rate"] == rate) & (table["h"] >= low) & (table["h"] <= high)]
    if (part[SIDES[side]] <= 1).all():
        sentence = (
            f"By {side} weights no clusters are found after dropout at any of these widths: held-out weights are predicted no "
            "better by clusters than by one mean."
        )
    else:
        first = lines[main].points
        inside = [h for h in first.x if low <= h <= high]
        sentence = (
            f"After dropout in layer 1, {first.at(inside[0]).mean:.1f} clusters are found by {side} weights at "
            f"{inside[0]:g} units and {first.at(inside[-1]).mean:.1f} at {inside[-1]:g} (geometric means, {first.n} seeds)"
        )
        ours = [row for row in kappas if row[0] == lines[main].name]
        if ours:
            _, found, implied_kappa, difference = ours[0]
            told = {-1: "more than is counted", 0: "not told apart from what is counted", 1: "less than is counted"}
            sentence += f": kappa {found.text(2)}. The slope would mean {implied_kappa.mean:.2f}, {told[_side(difference)]}"
        agreement = part["adjusted_rand"].dropna()
        sentence += "."
        if len(agreement):
            by_seed = part.drop_duplicates(["seed", "h"]).groupby("seed")["adjusted_rand"].mean().dropna()
            sentence += (
                " At the number chosen by incoming weights the two clusterings agree with an adjusted Rand index of "
                f"{mean_interval(by_seed.to_numpy()).text(2)}."
            )
    return Counted(tuple(lines.values()), tuple(kappas), side, sentence)


def counted_figure(info: Counted, height: int = 430) -> go.Figure:
    """Draw the clusters found on logarithmic axes."""
    figure, colours = go.Figure(), charts.palette()
    for number, each in enumerate(info.lines):
        _points(figure, each, colours[each.points.role], _MARKERS[number % len(_MARKERS)])
        figure.update_traces(mode="markers+lines", line={"width": 2}, selector={"name": each.name})
    charts.lay_out(figure, f"Clusters by {info.side} weights", "units of layer 1 (h)", "clusters found", height)
    _logarithmic(figure, sorted({h for each in info.lines for h in each.points.x}))
    figure.update_yaxes(range=[-0.1, None], autorangeoptions={"clipmin": 0.8})
    return figure


# ---- all of it ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PowerCharts:
    """All that is shown of one recipe, sampled rate, measure and range of widths; ``refused`` says why there is no line."""

    linear: PowerChart
    logarithmic: PowerChart
    slopes: Slopes
    verdict: Verdict
    counted: Mapping[str, Counted]  # by side
    main: Line
    y_title: str
    refused: str

    def showing(self, controls: Collection[str]) -> PowerCharts:
        """The same with only these controls in charts, captions and tables; the bold verdict stays."""

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
                side: replace(each, lines=keep(each.lines), kappas=tuple(row for row in each.kappas if row[0] in names))
                for side, each in self.counted.items()
            },
        )


def figure_3(table: pd.DataFrame, rate: float, of: str, low: float, high: float) -> PowerCharts:
    """Everything at once, so that it is made once for all viewers.

    Parameters
    ----------
    table
        Figure 3's, of one recipe.
    rate
        Sampled rate of layer 1.
    of
        A key of `MEASURES`.
    low, high
        The range of widths that is fitted, inclusive.
    """
    main = _trained(rate)
    there = set(table["trained"])
    lines = {
        training: line(table, training, rate, MEASURES[of], low, high) for training in (main, *CONTROLS) if training in there
    }
    first = lines[main]
    plain = MEASURES[of] == "mstd"
    widths = first.points.x
    theirs = {h: paper_mstd(h) for h in widths} if plain else {}
    slope = paper.FIGURE_3["slope"] if plain else None
    y_title = "MSTD, logit units" if plain else "MSTD / spread of the logits"
    linear = PowerChart(of, y_title, tuple(lines.values()), theirs, False, _linear_sentence(first, of, rate, plain))
    logarithmic = replace(
        linear, title=f"{of}, log-log", logarithmic=True, sentence=_logarithmic_sentence(tuple(lines.values()), slope)
    )
    with_law = tuple(each for each in lines.values() if each.law)
    return PowerCharts(
        linear,
        logarithmic,
        Slopes(f"Slopes of {of}", with_law, slope, _slopes_sentence(with_law)),
        verdict(lines, main, slope),
        {side: counted(table, lines, main, rate, side, low, high) for side in SIDES},
        first,
        y_title,
        first.refused,
    )


def paper_mstd(h: float, base: float = math.e) -> float:
    """The paper's line (Figure 3) at a width, with its logarithm's base taken to be ``base``, which it does not state."""
    return float(base ** (paper.FIGURE_3["intercept"] + paper.FIGURE_3["slope"] * math.log(h, base)))


def base_note() -> str:
    """The paper's line, and what its unstated base would change."""
    slope, intercept, r_squared = (paper.FIGURE_3[name] for name in ("slope", "intercept", "r_squared"))
    higher = paper_mstd(1, 10) / paper_mstd(1)
    return (
        f"The paper's line is log MSTD = {slope} log h + {intercept} (R² {r_squared}); it does not state the base of its log. "
        f"Drawn: natural; with base 10 it would be {higher:.2f} times as high. The slope is the same in any base."
    )


def _linear_sentence(first: Line, of: str, rate: float, plain: bool) -> str:
    points = first.points
    ends = f"from {points.at(points.x[0]).mean:.2f} at {points.x[0]:g} units to {points.at(points.x[-1]).mean:.2f} at "
    theirs = f" The paper's line goes from {paper_mstd(points.x[0]):.2f} to {paper_mstd(points.x[-1]):.2f}." if plain else ""
    return (
        f"Sampled with dropout {rate:g} in layer 1, the {of} of networks trained so goes {ends}{points.x[-1]:g} (geometric "
        f"means; {_seeds(points.n)}).{theirs}"
    )


def _logarithmic_sentence(lines: Sequence[Line], paper_slope: float | None) -> str:
    first, control = lines[0], next((each for each in lines if each.training == CONTROL), None)
    sentence = f"{_slope_in_words(first)}."
    if first.law is None:
        return first.refused
    if control is not None and control.law is not None:
        sentence += f" {control.name[0].upper()}{control.name[1:]}: {control.law.slope.text(3)}."
    if paper_slope is not None:
        sentence += f" Paper: {paper_slope:.3f}."
    return sentence


@st.cache_resource(show_spinner=False, max_entries=200)
def figure_3_of(recipe: str, rate: float, of: str, low: float, high: float) -> PowerCharts:
    """What is shown of the shipped Figure 3 on a range of widths, made once for all viewers.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    """
    return figure_3(live.result(results.file_name("figure3", recipe)).table, rate, of, low, high)
