"""The page Compress: Table 3 as objects and figures, and what a smaller network is, made once for all viewers."""

from __future__ import annotations

import io
import math
import statistics
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dropclust.core.intervals import Interval, equivalent, mean_interval, paired_difference
from dropclust.core.spec import OUTPUTS
from dropclust.experiments import paper, results, table3
from dropclust.service import files
from dropclust.ui import charts, live, runs
from dropclust.ui.charts import CHANCE, MEASURED, PAPER, SECOND

if TYPE_CHECKING:
    from dropclust.core.compression import Choice, Compressed, CurvePoint, Method
    from dropclust.core.network import Network
    from dropclust.service.stored import Stored

# The methods of core.compression, which imports torch, by the names that people read; the controls are the last three.
NAMES = {
    "paper": "the paper's",
    "fold": "fold",
    "least_squares": "fold + least squares",
    "agreement": "agreement",
    "srinivas_babu": "Srinivas & Babu",
    "neuron_merging": "Neuron Merging",
    "prune": "prune",
    "prune_least_squares": "prune + least squares",
    "random": "random clusters",
}
CONTROLS = ("prune", "prune_least_squares", "random")
TRAININGS = dict(zip(table3.TRAINED, ("without dropout", "with dropout in layer 1", "with dropout in all layers"), strict=True))
BEFORE = tuple(table3.UNITS)  # units of layer 1
REPORTED = "in the paper"
_AS_REPORTED = {0.0: "without dropout", table3.RATE: "with dropout, in which layers is not said"}
MARGIN = 0.5  # percentage points: losses that are surely closer than this are called equal
# The methods whose curves are drawn, and their colours' roles.
_CURVES = {"paper": MEASURED, "least_squares": SECOND, "prune": 3, "prune_least_squares": 4, "random": CHANCE}
_TICKS = (-20, -5, -1, 0, 1, 5, 10, 20, 40, 60, 80)


def named(names: Mapping[str, str], shown: str) -> str:
    """The key under which a name for people stands."""
    return next(key for key, name in names.items() if name == shown)


# ---- Table 3 -----------------------------------------------------------------------------------------------------------


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
                half = (row["high"] - row["low"]) / 2
                lost = f"{row['points lost']:.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")
                layers = row["trained"].partition(" in ")[2].removesuffix(" layers").replace(" ", "\N{NO-BREAK SPACE}")
                shown[-1]["points lost here"] = (before and f"{before}, ") + lost + (layers and f" ({layers})")
        return pd.DataFrame(shown).set_index("units") if shown else pd.DataFrame()


def _by_rate(trainings: Container[str]) -> dict[float, list[str]]:
    """Those of our trainings that may be what the paper reports, by its rate of dropout."""
    found = {
        rate: [name for name, rates in table3.TRAINED.items() if max(rates) == rate and name in trainings]
        for rate in _AS_REPORTED
    }
    return {rate: names for rate, names in found.items() if names}


def papers(trained: str, h: int) -> tuple[float, int, float]:
    """What the paper reports of networks so trained: accuracy before, units left, accuracy after."""
    return paper.TABLE_3[max(table3.TRAINED[trained])][h]


def _span(lost: Interval, digits: int = 1) -> str:
    """A mean with its interval, short enough for a cell."""
    text = f"{lost.mean:.{digits}f}"
    return text if math.isnan(lost.low) else f"{text} ({lost.low:.{digits}f} to {lost.high:.{digits}f})"


def _lost(table: pd.DataFrame, h: int) -> dict[tuple[str, str], pd.Series[float]]:
    """Percentage points of test accuracy lost, by method and training: a value a seed, in the order of seeds."""
    part = table[table["h"] == h].sort_values("seed")
    return {
        (str(method), str(trained)): (100 * (rows["accuracy_before"] - rows["accuracy"])).set_axis(rows["seed"])
        for (method, trained), rows in part.groupby(["method", "trained"], sort=False)
    }


def _paired(a: pd.Series[float], b: pd.Series[float]) -> tuple[list[float], list[float]]:
    """The values of the seeds that both have."""
    seeds = a.index.intersection(b.index)
    return a[seeds].tolist(), b[seeds].tolist()


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
                less += paired_difference(*_paired(lost["none"], lost[trained])).low > 0
    seeds = max((row["seeds"] for row in rows), default=0)
    sentence = (
        f"Percentage points of test accuracy; ±: half of the 95 % interval over {seeds} seeds. By the paper's own method a "
        f"network trained with dropout loses less than one trained without, beyond its interval paired by seed, in {less} of "
        f"{compared} comparisons; in the paper's numbers in {_papers_less()} of {len(BEFORE)}. The paper does not say which "
        f"layers its dropout of {table3.RATE:g} was in, so both are here."
    )
    return Again(tuple(rows), sentence)


def _papers_less() -> int:
    """At how many widths the paper's network with dropout loses less than the one without."""
    loss = {rate: {h: before - after for h, (before, _, after) in rows.items()} for rate, rows in paper.TABLE_3.items()}
    return sum(loss[table3.RATE][h] < loss[0.0][h] for h in BEFORE)


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
    units = table3.UNITS[h]
    left = {name: statistics.mean(row.width for row in rows if row.method == name) for name in methods}
    wider = [
        f" With {NAMES[name]} {mean:.0f} units are left on average: its clusters do not give every number."
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
    said = ", ".join(f"{_span(means['paper', trained])} {TRAININGS[trained]}" for trained in trainings)
    sentence = f"{h} to {units} units, {means['paper', trainings[0]].n} seeds. Points lost by the paper's method: {said}."
    if {"none", "all"} <= set(trainings):
        change = paired_difference(*_paired(lost["paper", "all"], lost["paper", "none"]))
        surely = "less" if change.high < 0 else "more" if change.low > 0 else "neither surely less nor surely more"
        sentence += f" With dropout in all layers it loses {surely} than without: {change.mean:+.1f} points" + (
            f" ({change.low:+.1f} to {change.high:+.1f}, paired by seed)." if change.n > 1 else ", one seed."
        )
    repaired = [t for t in trainings if {("least_squares", t), ("prune_least_squares", t)} <= lost.keys()]
    if repaired:
        beaten = equal = 0
        for trained in repaired:
            pruned = lost["prune_least_squares", trained]
            beaten += paired_difference(*_paired(lost["paper", trained], pruned)).low > 0
            equal += equivalent(*_paired(lost["least_squares", trained], pruned), margin=MARGIN).equivalent
        both = [_span(means[method, repaired[-1]]) for method in ("least_squares", "prune_least_squares")]
        sentence += (
            f" Pruning with a least-squares repair, where nothing is clustered, loses less than the paper's method in {beaten} "
            f"of {len(repaired)} trainings, and as much as clustering with the same repair, within {MARGIN:g} points, in "
            f"{equal} of {len(repaired)}: {both[0]} clustered and {both[1]} pruned, {TRAININGS[repaired[-1]]}."
        )
    return sentence


def losses_figure(info: Losses, height: int = 640) -> go.Figure:
    """Draw a row a method, a point with its interval a training, and what the paper reports as stars."""
    figure, colours = go.Figure(), charts.palette()
    roles = dict(zip(TRAININGS, ((CHANCE, "x"), (SECOND, "square"), (MEASURED, "circle")), strict=True))
    for trained, (role, symbol) in roles.items():
        rows = [row for row in info.rows if row.trained == trained]
        figure.add_scatter(
            x=[row.at for row in rows], y=[row.row for row in rows], name=TRAININGS[trained], mode="markers",
            marker={"symbol": symbol, "size": 12, "color": colours[role]},
            error_x={
                "type": "data", "symmetric": False, "array": [row.plus for row in rows],
                "arrayminus": [row.minus for row in rows], "width": 5,
            },
            customdata=[_span(row.lost, 2) for row in rows],
            hovertemplate="%{customdata} points lost",
        )  # fmt: skip
    figure.add_scatter(
        x=[row.at for row in info.reported], y=[row.row for row in info.reported], name="reported in the paper", mode="markers",
        marker={"symbol": "star-diamond", "size": 15, "color": colours[PAPER]},
        customdata=[(row.lost, row.trained) for row in info.reported],
        hovertemplate="%{customdata[0]:.1f} points lost %{customdata[1]}",
    )  # fmt: skip
    charts.lay_out(figure, info.title, "points lost (root scale)", "", height)
    figure.update_layout(hovermode="closest", legend={"y": -0.16})
    figure.update_xaxes(tickvals=[at for at, _ in info.ticks], ticktext=[str(points) for _, points in info.ticks])
    figure.update_yaxes(
        tickvals=[row for row, _ in info.methods],
        ticktext=[name.replace(" + ", " +<br>").replace(" & ", "<br>& ") for _, name in info.methods],
        autorange="reversed",
    )
    return figure


def kept_curves(table: pd.DataFrame, trained: str) -> charts.Curves:
    """Test accuracy against the units that are left, for the paper's method, the repair and the controls."""
    h = table3.CURVE_WIDTH
    part = table[(table["h"] == h) & (table["trained"] == trained)]
    lines = tuple(
        charts.Series.of(NAMES[method], part[part["method"] == method], "units", "accuracy", role)
        for method, role in _CURVES.items()
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
        sentence += f"; {lines[0].n} seeds." if lines[0].n > 1 else "; one seed."
    else:
        sentence += "nothing was measured."
    _, units, after = papers(trained, h)
    return charts.Curves(
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


@st.cache_resource(show_spinner=False, max_entries=100)
def table_3(recipe: str, h: int, trained: str) -> tuple[Again, Losses, charts.Curves, str]:
    """What is shown of the shipped Table 3, and the command behind it.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When a table is missing or damaged.
    """
    found = live.result(results.file_name("table3", recipe))
    curve = live.result(results.file_name("table3-curve", recipe))
    return again(found.table), losses(found.table, h), kept_curves(curve.table, trained), found.command


# ---- one network ---------------------------------------------------------------------------------------------------------

WIDE = 400  # units: work on wider layers takes seconds and much memory, so that it is done one piece at a time
AUTOMATIC = 200  # units: up to so many the curve is drawn without being asked for
PAIRS = 15  # passes of each network that are timed
TIMED_IMAGES = 2_000
TRIED = 8  # numbers of units on the curve, before the gap is closed


@dataclass(frozen=True, eq=False)
class Source:
    """A network to make smaller, from the store or from a file; ``command`` is how a command line that shrinks it begins."""

    digest: str
    network: Network
    name: str
    command: str

    @classmethod
    def of(cls, network: Network, name: str, command: str) -> Source:
        """Name a network by the digest of its weights."""
        return cls(files.digest(network), network, name, command)


@st.cache_resource(show_spinner=False, max_entries=24)
def source_of(key: str, created: str, _stored: Stored) -> Source:
    """A stored run, ready to be made smaller; ``created`` tells it from another training of the same spec."""
    name = runs.label(_stored.spec)
    return Source.of(_stored.network(), name, f"{runs.command(_stored.spec)} && python -m dropclust compress net.safetensors ")


@st.cache_resource(show_spinner=False)
def _turn() -> threading.Lock:
    return threading.Lock()


@contextmanager
def _at_work(network: Network, layer: int) -> Iterator[None]:
    """Wide layers one after another, narrow ones at once: nobody with a small network waits for somebody with a large one."""
    live.one_thread()
    if network.hidden[layer - 1] <= WIDE:
        yield
        return
    with _turn():
        yield


def methods() -> Mapping[str, Method]:
    """The methods with what they do and where they come from; imports torch."""
    from dropclust.core.compression import METHODS

    return METHODS


@st.cache_resource(show_spinner="Merging neurons", max_entries=24)
def compressed(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> Compressed:
    """The network with one layer made smaller.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core.compression import compress

    with _at_work(_network, layer):
        return compress(_network, layer, units, method, seed)


@st.cache_data(show_spinner="Trying other numbers of units", max_entries=200)
def chosen(digest: str, layer: int, method: str, tolerance: float, seed: int, _network: Network) -> Choice:
    """The smallest number of units within a tolerance, in points, and all that were tried."""
    from dropclust.core.compression import choose_units

    with _at_work(_network, layer):
        numbers = grid(_network.hidden[layer - 1])
        return choose_units(_network, layer, method, tolerance / 100, seed, units_list=numbers)


@st.cache_data(show_spinner="Trying the controls", max_entries=200)
def controls_of(
    digest: str, layer: int, method: str, seed: int, widths: tuple[int, ...], _network: Network
) -> dict[str, dict[int, float]]:
    """Held-out accuracy of the controls, without the method itself, by units left: at the widths of what they control."""
    from dropclust.core.compression import side_by_side

    names = [name for name in CONTROLS if name != method]
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    with _at_work(_network, layer):
        for (name, units), smaller in side_by_side(_network, layer, widths, names, seed).items():
            found[name][units] = smaller.accuracy
    return found


@st.cache_data(show_spinner="Looking for as many units", max_entries=200)
def clusters_for(digest: str, layer: int, units: int, seed: int, _network: Network) -> int:
    """Clusters of each clustering with which "agreement" leaves about so many units, and not fewer.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core.compression import side_by_side

    with _at_work(_network, layer):
        return side_by_side(_network, layer, [units], ["agreement"], seed)["agreement", units].units


def fewest(choice: Choice) -> CurvePoint:
    """The fewest units left, of all numbers tried, within the tolerance; what the choice fell back to where none is.

    More clusters of each clustering do not always leave more units, so with "agreement" this may not be the fewest clusters.
    """
    enough = [point for point in choice.tried if point.accuracy >= choice.accuracy_before - choice.tolerance - 1e-12]
    tried = {point.units: point for point in choice.tried}
    return min(enough, key=lambda point: (point.width, point.units), default=tried[choice.units])


def widths(choice: Choice, width: int) -> tuple[int, ...]:
    """Units left at the numbers of `grid`, ascending: the same whatever the tolerance is."""
    return tuple(sorted({point.width for point in choice.tried if point.units in grid(width)}))


def grid(width: int) -> tuple[int, ...]:
    """Numbers of units to try, evenly spaced in their logarithm from a twentieth of the width to all of it."""
    low = max(1, width // 20)
    numbers = np.geomspace(low, width, TRIED).round().astype(int).tolist()
    return tuple(sorted(set(numbers)))


def held_curves(choice: Choice, others: Mapping[str, Mapping[int, float]], method: str, left: int) -> charts.Curves:
    """Held-out accuracy against the units that are left, the method's and the controls'; ``left`` is what a viewer chose."""
    reached: dict[int, float] = {}
    for point in sorted(choice.tried, key=lambda point: point.width):  # of equal widths the better
        reached[point.width] = max(point.accuracy, reached.get(point.width, 0.0))
    lines = [_line(NAMES[method], reached, MEASURED)]
    lines += [_line(NAMES[name], accuracy, _CURVES[name]) for name, accuracy in others.items()]
    points, kept = 100 * choice.tolerance, fewest(choice)
    allowed = f"at most {points:g} point{'' if points == 1 else 's'} of {choice.accuracy_before:.3f}"
    sentence = f"On the held-out images {_kept(kept, method)} are the fewest found that lose {allowed}."
    if choice.accuracy_before - kept.accuracy > choice.tolerance + 1e-12:  # a difference of shares is not exact
        sentence = f"On the held-out images no number of units tried loses {allowed}."
    tried = {point.units: point for point in choice.tried}
    preferred: dict[int, list[str]] = {}
    for name, units in (("BIC", choice.bic_units), ("Calinski-Harabasz", choice.calinski_harabasz_units)):
        if units is not None:
            preferred.setdefault(units, []).append(name)
    if preferred and method not in CONTROLS:
        wanted = ", ".join(
            f"{' and '.join(names)} would keep {_kept(tried[units], method)}, with an accuracy of {tried[units].accuracy:.3f}"
            for units, names in preferred.items()
        )
        sentence += f" Criteria that the paper tried too look at weights alone: {wanted}."
    return charts.Curves(
        "What is left with fewer units", "units left", "held-out accuracy", tuple(lines), sentence, marker=left, y_range=(0, 1)
    )


def _kept(point: CurvePoint, method: str) -> str:
    """Units left, and for a method whose width follows what they follow from."""
    return f"{point.width} units" + (f" (from {point.units} clusters of each clustering)" if method == "agreement" else "")


def _line(name: str, accuracy: Mapping[int, float], role: int) -> charts.Series:
    nothing = (math.nan,) * len(accuracy)
    return charts.Series(name, tuple(accuracy), tuple(accuracy.values()), nothing, nothing, 1, role)


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities float32 ``[n, 10]`` of both networks for the test images, and the digits that they show ``[n]``."""

    before: npt.NDArray[np.float32]
    after: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]

    @property
    def differing(self) -> npt.NDArray[np.int64]:
        """Images that the two networks read differently, ascending."""
        return np.flatnonzero(self.before.argmax(1) != self.after.argmax(1))


@st.cache_resource(show_spinner="Reading the test images", max_entries=32)
def answers(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> Answers:
    """What both networks say of the test images.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core import mnist
    from dropclust.core.prediction import scaled_logits

    data, small = mnist.load(), compressed(digest, layer, units, method, seed, _network).network
    before, after = (scaled_logits(network, data.test_x).softmax(1).cpu().numpy() for network in (_network, small))
    return Answers(before, after, data.test_y.numpy())


@st.cache_data(show_spinner="Timing both networks", max_entries=200)
def passes(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> list[tuple[float, float]]:
    """Seconds of a pass over 2,000 test images through the original and the smaller network, pair by pair."""
    from dropclust.core import mnist
    from dropclust.core.prediction import scaled_logits

    small = compressed(digest, layer, units, method, seed, _network).network
    x = mnist.load().test_x[:TIMED_IMAGES]
    return timed(lambda: scaled_logits(_network, x), lambda: scaled_logits(small, x))


def timed(first: Callable[[], object], second: Callable[[], object], pairs: int = PAIRS) -> list[tuple[float, float]]:
    """Seconds of both, pair by pair; who goes first takes turns, and a first pair to warm up is left out."""

    def seconds(call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    found = []
    for pair in range(pairs + 1):
        if pair % 2:
            b, a = seconds(second), seconds(first)
        else:
            a, b = seconds(first), seconds(second)
        found.append((a, b))
    return found[1:]


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Median and its distribution-free interval by order statistics, which covers it in at least ``level`` of all cases.

    Of n independent values the k-th smallest and k-th largest enclose the median unless fewer than k fall on one of its sides:
    2 P(Binomial(n, 1/2) < k). The largest k with at most 1 - ``level`` is taken; NaN ends where there is none (n below 6).
    """
    ordered, n = sorted(values), len(values)
    outside, k = 0.0, 0
    while outside + 2 * math.comb(n, k) / 2**n <= 1 - level:
        outside += 2 * math.comb(n, k) / 2**n
        k += 1
    low, high = (ordered[k - 1], ordered[n - k]) if k else (math.nan, math.nan)
    return statistics.median(ordered), low, high


@st.cache_data(show_spinner="Proving it", max_entries=200)
def proof(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> dict[str, Any]:
    """What is written into the files of the smaller network.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core import mnist
    from dropclust.service.proof import compression_proof

    return compression_proof(_network, compressed(digest, layer, units, method, seed, _network), mnist.load())


@dataclass(frozen=True)
class Effect:
    """A network and the smaller one made of it: what was lost, and what was gained."""

    rows: tuple[dict[str, Any], ...]  # the original, the smaller one
    left: tuple[int, int]  # neurons of the layer: left, and before
    held: float  # the same change on the held-out images, on which choices are made; in percentage points
    change: Interval  # accuracy after less before, over the same images
    speed: tuple[float, float, float]  # how many times as fast: median of pairs and its interval
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a network."""
        return pd.DataFrame(self.rows)


def effect(proof: Mapping[str, Any], found: Answers, times: Sequence[tuple[float, float]]) -> Effect:
    """Compare a network with the smaller one: what the proof says, image by image, and pass by pass."""
    before, after = (probabilities.argmax(1) == found.truth for probabilities in (found.before, found.after))
    worse, better = int((before & ~after).sum()), int((after & ~before).sum())
    change, n = Interval(**proof["change"]), len(found.truth)
    medians = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    speed = median_interval([a / b for a, b in times])
    rows = tuple(
        {
            "network": name, "hidden units": " - ".join(map(str, proof[f"hidden{of}"])), "parameters": proof[f"parameters{of}"],
            "bytes": proof[f"bytes{of}"], "test accuracy": proof[f"accuracy{of}"],
            "held-out accuracy": proof[f"held_out_accuracy{of}"], "wrong": int((~right).sum()), "milliseconds": milliseconds,
        }
        for name, of, right, milliseconds in zip(
            ("original", "smaller"), ("_before", ""), (before, after), medians, strict=True
        )
    )  # fmt: skip
    layer = proof["layer"]
    left, h = proof["hidden"][layer - 1], proof["hidden_before"][layer - 1]
    held = 100 * (proof["held_out_accuracy"] - proof["held_out_accuracy_before"])
    sentence = (
        f"Hidden layer {layer} keeps {left} of {h} neurons. Test accuracy goes from {proof['accuracy_before']:.4f} to "
        f"{proof['accuracy']:.4f}: {100 * change.mean:+.2f} points (95 % interval {100 * change.low:+.2f} to "
        f"{100 * change.high:+.2f}: Student t on the differences over the same {n:,} images). On the held-out images, on which "
        f"choices are made, the change is {held:+.2f} points. {worse:,} test images are read wrongly that were read rightly, "
        f"and {better:,} rightly that were read wrongly. A pass over {TIMED_IMAGES:,} images takes {medians[1]:.1f} ms in "
        f"place of {medians[0]:.1f}: {speed[0]:.2f} times as fast (median of {len(times)} pairs, 95 % interval "
        f"{speed[1]:.2f} to {speed[2]:.2f}), on one thread of this machine."
    )
    return Effect(rows, (left, h), held, change, speed, sentence)


# ---- which neurons merged ------------------------------------------------------------------------------------------------

TILES = 240  # pictures on a sheet


@dataclass(frozen=True, eq=False)
class Merges(charts.Neurons):
    """New neurons, each followed by the old ones it was made of; a new one has ``agree`` and the number -1.

    ``labels`` ``[h]`` are the new units of all old neurons, -1 where one was dropped.
    """

    labels: np.ndarray

    def table(self) -> pd.DataFrame:
        """A row an old neuron."""
        sizes = np.bincount(self.labels[self.labels >= 0])
        return pd.DataFrame(
            {
                "neuron": np.arange(len(self.labels)),
                "new unit": [str(label) if label >= 0 else "dropped" for label in self.labels],
                "made of": [sizes[label] if label >= 0 else 0 for label in self.labels],
            }
        )


def merges(before: Sequence[np.ndarray], after: Sequence[np.ndarray], layer: int, labels: np.ndarray) -> Merges:
    """The new neurons made of most old ones first, as many as a sheet holds; ``before`` and ``after`` are all weights."""
    old, new = charts.pictures(before, layer), charts.pictures(after, layer)
    sizes = np.bincount(labels[labels >= 0], minlength=len(new))
    drawn: list[np.ndarray] = []
    number: list[int] = []
    unit: list[int] = []
    for label in np.argsort(-sizes, kind="stable").tolist():
        members = np.flatnonzero(labels == label).tolist()
        if drawn and len(drawn) + 1 + len(members) > TILES:
            break
        members = members[: TILES - 1]
        drawn += [new[label], *old[members]]
        number += [-1, *members]
        unit += [label] * (1 + len(members))
    several, dropped, shown = int((sizes > 1).sum()), int((labels < 0).sum()), len(set(unit))
    sentence = (
        f"{len(labels)} neurons become {len(new)}. "
        + (f"Made of two or more: {several}, the largest of {sizes.max()}. " if several else "Each of these is an old one. ")
        + (f"Dropped: {dropped}. " if dropped else "")
        + ("Each new neuron" if shown == len(new) else f"Each of the first {shown} new neurons")
        + " has a broad frame, and those it was made of follow it in the same colour."
    )
    tiles, units = np.array(number), np.array(unit)
    return Merges(np.stack(drawn), tiles, units, units, tiles < 0, sentence, labels)


# ---- one digit through both ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Digit:
    """What both networks say of one test image."""

    before: npt.NDArray[np.float32]  # [10]
    after: npt.NDArray[np.float32]
    truth: int
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a digit."""
        return pd.DataFrame({"digit": range(OUTPUTS), "original": self.before, "smaller": self.after})


def digit(found: Answers, image: int) -> Digit:
    """One test image, 0 to 9,999, through both."""
    before, after, truth = found.before[image], found.after[image], int(found.truth[image])
    said = [f"{int(each.argmax())} ({each.max():.1%})" for each in (before, after)]
    return Digit(
        before, after, truth,
        f"Test image {image:,} shows a {truth}. The original reads {said[0]}, the smaller network {said[1]}. They differ on "
        f"{len(found.differing):,} of {len(found.truth):,} test images.",
    )  # fmt: skip


def next_differing(found: Answers, image: int) -> int:
    """The next test image that the two networks read differently, from the first again after the last; itself if none."""
    differing = found.differing
    if not len(differing):
        return image
    after = differing[differing > image]
    return int(after[0] if len(after) else differing[0])


def digit_figure(info: Digit, height: int = 340) -> go.Figure:
    """Draw both networks' probabilities as bars side by side."""
    figure, colours = go.Figure(), charts.palette()
    for name, values, role, shape in (("original", info.before, CHANCE, ""), ("smaller", info.after, MEASURED, "/")):
        figure.add_bar(
            x=list(range(OUTPUTS)), y=values, name=name, hovertemplate="%{y:.3f}",
            marker={"color": colours[role], "pattern": {"shape": shape}},
        )  # fmt: skip
    charts.lay_out(figure, f"A {info.truth}, read by both", "digit", "probability", height)
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(range=[0, 1])
    figure.update_layout(barmode="group")
    return figure


@st.cache_data(show_spinner=False, max_entries=500)
def picture(image: int) -> bytes:
    """One test image as a PNG, white on black as MNIST has it.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from PIL import Image

    from dropclust.core import mnist

    pixels = (mnist.load().test_x[image].reshape(28, 28) * 255).round().byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((280, 280), Image.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()
