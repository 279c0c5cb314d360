"""What a chart shows, as an object, and its figure: functions named after the objects do all arithmetic, figures do none."""

from __future__ import annotations

import io
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dropclust.core.clustering import Choice
from dropclust.core.intervals import Interval, mean_interval
from dropclust.core.similarity import ShuffledWeights, Similarity
from dropclust.core.spec import TEST_IMAGES
from dropclust.experiments import paper

_CONFIG = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"
_MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "cross", "pentagon", "bowtie")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@cache
def palette() -> tuple[str, ...]:
    """The ten categorical colours of the app, as its configuration declares them."""
    with _CONFIG.open("rb") as file:
        return tuple(tomllib.load(file)["theme"]["chartCategoricalColors"])


# What a colour means is the same on every chart.
MEASURED, PAPER, CHANCE, SECOND = 0, 1, 9, 2


def tint(colour: str, opacity: float) -> str:
    """A colour ``#rrggbb`` made translucent."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


@dataclass(frozen=True)
class Series:
    """One line of a chart: a mean with its interval at each x; ``low`` and ``high`` are NaN where there is none."""

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    role: int  # position in the palette

    @classmethod
    def of(cls, name: str, table: pd.DataFrame, x: str, y: str, role: int) -> Series:
        """Mean and 95 % Student t interval of column ``y`` at each value of ``x``; missing values are left out."""
        groups = [(at, table.loc[table[x] == at, y].dropna()) for at in sorted(table[x].unique().tolist())]
        intervals = [(at, mean_interval(values.to_numpy())) for at, values in groups if len(values)]
        return cls(
            name,
            tuple(at for at, _ in intervals),
            tuple(each.mean for _, each in intervals),
            tuple(each.low for _, each in intervals),
            tuple(each.high for _, each in intervals),
            max((each.n for _, each in intervals), default=0),
            role,
        )

    def at(self, x: float) -> Interval:
        """Mean and interval at one of its x."""
        where = self.x.index(x)
        return Interval(self.mean[where], self.low[where], self.high[where], self.n, 0.95)


@dataclass(frozen=True)
class Curves:
    """A chart of lines over a common x.

    ``points`` are the paper's values, ``marker`` the x that a viewer has chosen, ``sentence`` what to see, also the alt text.
    """

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    sentence: str
    points: Mapping[float, float] | None = None
    marker: float | None = None
    y_range: tuple[float, float] | None = None

    def marked(self, x: float) -> Curves:
        """The same with the x that a viewer has chosen."""
        return replace(self, marker=x)

    def table(self) -> pd.DataFrame:
        """What the chart shows, a row an x."""
        columns: dict[str, dict[float, float]] = {}
        for line in self.series:
            for suffix, values in (("", line.mean), (" low", line.low), (" high", line.high)):
                if not all(map(math.isnan, values)):
                    columns[line.name + suffix] = dict(zip(line.x, values, strict=True))
        if self.points:
            columns["paper"] = dict(self.points)
        return pd.DataFrame(columns).rename_axis(self.x_title).sort_index().reset_index()


def curves(info: Curves, height: int = 380) -> go.Figure:
    """Draw lines with their intervals as bands; each line also has a marker shape and a dash of its own."""
    figure, colours = go.Figure(), palette()
    for number, line in enumerate(info.series):
        colour = colours[line.role % len(colours)]
        if not all(map(math.isnan, line.low)):
            figure.add_scatter(
                x=[*line.x, *reversed(line.x)],
                y=[*line.high, *reversed(line.low)],
                fill="toself",
                fillcolor=tint(colour, 0.18),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                mode="lines",
            )
        figure.add_scatter(
            x=line.x,
            y=line.mean,
            name=line.name,
            mode="lines+markers",
            line={"color": colour, "width": 3, "dash": _DASHES[number % len(_DASHES)]},
            marker={"symbol": _MARKERS[number % len(_MARKERS)], "size": 8},
            customdata=list(zip(line.low, line.high, strict=True)),
            hovertemplate="%{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})",
        )
    if info.points:
        figure.add_scatter(
            x=list(info.points),
            y=list(info.points.values()),
            name="paper",
            mode="markers",
            marker={"symbol": "star-diamond", "size": 15, "color": colours[PAPER]},
            hovertemplate="%{y:.3f}",
        )
    if info.marker is not None:
        figure.add_vline(info.marker, line={"color": colours[PAPER], "width": 2, "dash": "dot"})
    lay_out(figure, info.title, info.x_title, info.y_title, height)
    if info.y_range:
        figure.update_yaxes(range=info.y_range)
    return figure


def lay_out(figure: go.Figure, title: str, x_title: str, y_title: str, height: int) -> None:
    """Titles, sizes and legend, the same on every chart."""
    figure.update_layout(
        title={"text": title, "font": {"size": 20}},
        height=height,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        font={"size": 16},
        legend={"orientation": "h", "y": -0.28, "x": 0, "font": {"size": 15}},
        hovermode="x unified",
        uirevision="keep",
    )
    axis = {"title": {"font": {"size": 16}}, "tickfont": {"size": 15}, "automargin": True}
    figure.update_xaxes(title_text=x_title, **axis)
    figure.update_yaxes(title_text=y_title, **axis)


# ---- Table 2: similarity against the rate ------------------------------------------------------------------------------


def _part(table: pd.DataFrame, layer: int, k: int, width: int) -> pd.DataFrame:
    return table[(table["layer"] == layer) & (table["k"] == k) & (table["width"] == width)]


def rand_curves(table: pd.DataFrame, layer: int, k: int, width: int) -> Curves:
    """Rand index against the dropout rate, beside what chance gives and what the paper reports."""
    part = _part(table, layer, k, width)
    rand = Series.of("Rand index", part, "dropout", "rand", MEASURED)
    chance = Series.of("by chance", part, "dropout", "chance_rand", CHANCE)
    band = part.groupby("dropout", sort=True)[["chance_low", "chance_high"]].mean()
    chance = Series(
        f"{chance.name} (band: 95 % of permuted labels)", chance.x, chance.mean,
        tuple(band["chance_low"]), tuple(band["chance_high"]), chance.n, CHANCE,
    )  # fmt: skip
    means, wholes = (
        sum(value > high for value, high in zip(values, chance.high, strict=True)) for values in (rand.mean, rand.low)
    )
    best = max(rand.x, key=lambda x: rand.at(x).mean - chance.at(x).mean)
    sentence = (
        f"{part['recipe'].iloc[0].capitalize()} recipe, layer {layer}, {k} clusters, {rand.n} seeds: the mean Rand index lies "
        f"above the 95 % band of permuted labels at {f'{means} of {len(rand.x)} rates' if means else 'no rate'}"
        + (f", its whole 95 % interval at {wholes or 'none'}" if means and not math.isnan(max(rand.low)) else "")
        + f". It is furthest above chance at {best:g}: {rand.at(best).mean:.3f} against {chance.at(best).mean:.3f}."
    )
    return Curves(
        "Do the two clusterings agree?", "dropout rate", "Rand index", (rand, chance), sentence,
        paper.TABLE_2,
    )  # fmt: skip


def adjusted_curves(table: pd.DataFrame, layer: int, k: int, width: int) -> Curves:
    """Adjusted Rand index against the rate, of all neurons and of those that ever fire."""
    part = _part(table, layer, k, width)
    whole = Series.of("adjusted Rand, all neurons", part, "dropout", "adjusted_rand", MEASURED)
    living = Series.of("adjusted Rand, neurons that ever fire", part, "dropout", "adjusted_rand_living", SECOND)
    best = max(whole.x, key=lambda x: whole.at(x).mean)
    dead = part.groupby("dropout")["dead"].mean()
    sentence = (
        f"Adjusted Rand is {whole.at(whole.x[0]).mean:.2f} without dropout and greatest at {best:g}: "
        f"{whole.at(best).text(2)}. At {whole.x[-1]:g}, {dead.iloc[-1]:.0f} of {width} neurons never fire, on average over "
        "seeds."
    )
    return Curves(
        "Adjusted Rand: chance taken out", "dropout rate", "adjusted Rand index", (whole, living), sentence,
    )  # fmt: skip


def by_recipe(adjusted: Mapping[str, Curves]) -> str:
    """Say how far the two clusterings agree at best under each recipe, given its `adjusted_curves`."""
    told = []
    for recipe, info in adjusted.items():
        line = info.series[0]
        best = max(line.x, key=lambda x: line.at(x).mean)
        told.append(f"{recipe} recipe: {line.at(best).text(2)} at rate {best:g}")
    return f"Adjusted Rand at its greatest, {'; '.join(told)}."


def accuracy_curves(table: pd.DataFrame, width: int) -> Curves:
    """Test accuracy against the rate, scaled and sampled."""
    part = table[table["width"] == width].drop_duplicates(["seed", "dropout"])
    scaled = Series.of("scaled accuracy", part, "dropout", "scaled_accuracy", MEASURED)
    sampled = Series.of("sampled accuracy", part, "dropout", "sampled_accuracy", PAPER)
    best = max(scaled.x, key=lambda x: scaled.at(x).mean)
    lost = next((x for x in scaled.x if scaled.at(x).mean < 0.5), None)
    sentence = f"Test accuracy is best at {best:g}: {scaled.at(best).text()}"
    sentence += (
        f"; from {lost:g} on it is below one half: three layers of {width} hardly learn any more." if lost is not None else "."
    )
    return Curves(
        f"Accuracy on the {TEST_IMAGES:,} test images", "dropout rate", "accuracy", (scaled, sampled), sentence, y_range=(0, 1)
    )


# ---- neurons as pictures -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons of a layer as pictures of their weights, in the order of their clusters.

    ``pictures`` is ``[h, height, width]`` in [-1, 1], each neuron by its own largest weight; the other arrays have one entry a
    neuron: its number, the cluster by incoming and by outgoing weights, whether the two agree.
    """

    pictures: np.ndarray
    number: np.ndarray
    incoming: np.ndarray
    outgoing: np.ndarray
    agree: np.ndarray
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a neuron."""
        return pd.DataFrame(
            {
                "neuron": self.number, "cluster by incoming weights": self.incoming + 1,
                "cluster by outgoing weights": self.outgoing + 1, "agree": self.agree.astype(bool),
            }
        )  # fmt: skip


def pictures(weights: Sequence[np.ndarray], layer: int) -> np.ndarray:
    """A layer's neurons as pictures ``[h, height, width]`` in [-1, 1], each by its own largest weight.

    Layer 1: incoming weights as the 28 x 28 image they look at. Other layers: outgoing weights, as a strip.
    """
    if layer == 1:
        drawn = weights[0].T.reshape(-1, 28, 28)
    else:
        strips = weights[layer]  # [h, out]
        drawn = np.repeat(strips[:, None, :], 12, axis=1)
        drawn = np.repeat(drawn, max(1, 100 // strips.shape[1]), axis=2)
    return np.asarray(drawn / np.maximum(np.abs(drawn).max(axis=(1, 2), keepdims=True), 1e-12))


def neurons(
    weights: Sequence[np.ndarray],
    layer: int,
    incoming: Sequence[int],
    outgoing: Sequence[int],
    agree: Sequence[bool],
    dead: int | None = None,
) -> Neurons:
    """Sort a layer's neurons by cluster and turn their weights into pictures."""
    labels = np.asarray(incoming)
    order = np.lexsort((np.asarray(outgoing), labels))
    sizes = np.bincount(labels)
    agreeing = np.asarray(agree, bool)
    sentence = (
        f"{len(labels)} neurons in {len(sizes)} clusters by incoming weights, the largest of {sizes.max()}; the clustering by "
        f"outgoing weights agrees on {agreeing.sum()} of them"
        + ("." if dead is None else f". Never active on the held-out images: {dead}.")
        + " A frame has the colour of the cluster by incoming weights, and is broad where the other clustering agrees."
    )
    return Neurons(
        pictures(weights, layer)[order], order, labels[order], np.asarray(outgoing)[order], agreeing[order], sentence
    )


def neuron_sheet(info: Neurons) -> bytes:
    """Draw the neurons as a sheet of tiles, a PNG; tiles are framed in the colour of their cluster.

    A neuron on which the two clusterings agree has a broad frame, another a thin one.
    """
    from PIL import Image

    n, height, width = info.pictures.shape
    columns = min(20 if width == height else 5, n)
    rows, gap = math.ceil(n / columns), 4
    cell_h, cell_w = height + 2 * gap, width + 2 * gap
    sheet = np.zeros((rows * cell_h, columns * cell_w, 4), np.uint8)
    colours = [tuple(int(c[at : at + 2], 16) for at in (1, 3, 5)) for c in palette()]
    for i in range(n):
        top, left = (i // columns) * cell_h, (i % columns) * cell_w
        tile = np.zeros((cell_h, cell_w, 4), np.uint8)
        frame = tile[1:-1, 1:-1]
        frame[...] = (*colours[info.incoming[i] % len(colours)], 255)
        if not info.agree[i]:
            frame[1:-1, 1:-1] = 0  # a thin frame
        tile[gap:-gap, gap:-gap] = diverging(info.pictures[i])
        sheet[top : top + cell_h, left : left + cell_w] = tile
    buffer = io.BytesIO()
    Image.fromarray(sheet).resize((sheet.shape[1] * 2, sheet.shape[0] * 2), Image.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()


def diverging(picture: np.ndarray) -> np.ndarray:
    """Numbers in [-1, 1] as RGBA: blue below 0, white at 0, orange above: the palette's first two colours."""
    low, high = (np.array([int(c[at : at + 2], 16) for at in (1, 3, 5)], float) for c in palette()[:2])
    share = np.abs(picture)[..., None]
    ends = np.where(picture[..., None] < 0, low, high)
    rgb = 255 * (1 - share) + ends * share
    return np.concatenate([rgb, np.full_like(share, 255)], axis=-1).astype(np.uint8)


# ---- runs that learn -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Learning:
    """Held-out loss and accuracy of some runs over the examples they have seen; ``names`` tells runs apart."""

    names: tuple[str, ...]
    examples: tuple[tuple[int, ...], ...]
    loss: tuple[tuple[float, ...], ...]
    accuracy: tuple[tuple[float, ...], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a point of a run."""
        rows = [
            {"run": name, "examples": at, "held-out loss": loss, "held-out accuracy": accuracy}
            for name, *columns in zip(self.names, self.examples, self.loss, self.accuracy, strict=True)
            for at, loss, accuracy in zip(*columns, strict=True)
        ]
        return pd.DataFrame(rows, columns=["run", "examples", "held-out loss", "held-out accuracy"])


def learning(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Learning:
    """What the curves of named runs show."""
    curves_ = [[point for point in curve if math.isfinite(point["loss"])] for _, curve in runs]
    last = [curve[-1]["accuracy"] for curve in curves_ if curve]
    sentence = "No point has been measured yet."
    if last:
        sentence = f"Held-out accuracy now: {last[0]:.3f}" if len(last) == 1 else (
            f"Held-out accuracy now: {min(last):.3f} to {max(last):.3f} over {len(last)} runs"
        )  # fmt: skip
        seen = sorted({curve[-1]["examples"] for curve in curves_ if curve})
        sentence += f", after {' to '.join(f'{n:,}' for n in (seen if len(seen) == 1 else (seen[0], seen[-1])))} examples."
    return Learning(
        tuple(name for name, _ in runs),
        tuple(tuple(point["examples"] for point in curve) for curve in curves_),
        tuple(tuple(point["loss"] for point in curve) for curve in curves_),
        tuple(tuple(point["accuracy"] for point in curve) for curve in curves_),
        sentence,
    )


def learning_figure(info: Learning, what: str, total: int, height: int = 340) -> go.Figure:
    """Draw ``what`` ("loss" or "accuracy") of every run over the examples seen; the x axis spans all that will be seen."""
    figure, colours = go.Figure(), palette()
    for number, name in enumerate(info.names):
        figure.add_scatter(
            x=info.examples[number], y=getattr(info, what)[number], name=name, mode="lines",
            line={"color": colours[number % len(colours)], "width": 3, "dash": _DASHES[number // len(colours) % len(_DASHES)]},
            hovertemplate="%{y:.4f}",
        )  # fmt: skip
    unit = "cross-entropy, nats" if what == "loss" else "share of images read rightly"
    lay_out(figure, f"Held-out {what}", "examples seen", unit, height)
    figure.update_xaxes(range=[0, total])
    named = len(info.names) if len(info.names) > 1 else 0
    # A line a run, below the axis: the legend makes the chart higher, never the plot smaller.
    figure.update_layout(
        showlegend=named > 0, height=height + 24 * named, margin={"b": 60 + 24 * named},
        legend={"orientation": "v", "yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 14}},
    )  # fmt: skip
    if what == "accuracy":
        figure.update_yaxes(range=[0, 1])
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


# ---- one network against what chance gives -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Nulls:
    """An index beside what it is where there are no copies: rows of (name, value, low, high), NaN where there is no band."""

    what: str
    rows: tuple[tuple[str, float, float, float], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row an index."""
        return pd.DataFrame(self.rows, columns=["", self.what, "low", "high"])


def nulls(found: Similarity, shuffled: ShuffledWeights) -> Nulls:
    """The Rand index of a network beside three answers to what chance gives."""
    nan = math.nan
    rows = (
        ("this network", found.rand, nan, nan),
        ("permuted labels", found.chance_rand, found.chance_low, found.chance_high),
        ("any clusterings of as many clusters", found.chance_rand_num, nan, nan),
        ("shuffled weights, clustered again", shuffled.rand, shuffled.rand_low, shuffled.rand_high),
    )
    beats = [name for name, _, _, high in rows[1:] if found.rand > high]
    sentence = f"The Rand index of {found.rand:.3f} lies " + (
        f"above the 95 % band of {' and of '.join(beats)}" if beats else "above no band that chance gives"
    )
    anyhow = found.chance_rand_num
    sentence += f"; {rows[2][0]} give {anyhow:.3f} on average, {'less' if found.rand > anyhow else 'not less'}"
    sentence += (
        f". With chance taken out: adjusted Rand {found.adjusted_rand:.3f}, adjusted mutual information "
        f"{found.adjusted_mutual_info:.3f}, element-centric {found.element_centric:.3f} (chance not taken out); "
        f"p = {found.p_value:.3f} against permuted labels."
    )
    return Nulls("Rand index", rows, sentence)


def nulls_figure(info: Nulls, height: int = 300) -> go.Figure:
    """Draw each row as a point with its band."""
    figure, colours = go.Figure(), palette()
    for number, (name, value, low, high) in enumerate(info.rows):
        error = None if math.isnan(low) else {"type": "data", "array": [high - value], "arrayminus": [value - low], "width": 10}
        figure.add_scatter(
            x=[value], y=[name], mode="markers", error_x=error, showlegend=False, hovertemplate="%{x:.3f}<extra></extra>",
            marker={"size": 15, "symbol": _MARKERS[number], "color": colours[CHANCE if number else MEASURED]},
        )  # fmt: skip
    lay_out(figure, "", info.what, "", height)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(hovermode="closest", margin={"t": 10})
    return figure


@dataclass(frozen=True)
class Chosen:
    """Which number of clusters each criterion prefers; ``scores`` by criterion and number, higher is better."""

    scores: Mapping[str, Mapping[int, float]]
    best: Mapping[str, int]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a number of clusters."""
        return pd.DataFrame(self.scores).rename_axis("clusters").reset_index()


def chosen(choices: Mapping[str, Choice]) -> Chosen:
    """The criteria's choices side by side."""
    best = {name: choice.k for name, choice in choices.items()}
    kinds = len(set(best.values()))
    sentence = "Incoming weights, number of clusters by " + ", by ".join(f"{name}: {k}" for name, k in best.items())
    sentence += ". They agree." if kinds == 1 else ". They do not agree, as the paper found (section 4.4)."
    return Chosen({name: choice.scores for name, choice in choices.items()}, best, sentence)


@dataclass(frozen=True)
class Paper2:
    """Table 2 made again: the paper's five rates with our Rand, chance and adjusted Rand."""

    rows: tuple[dict[str, Any], ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a rate."""
        return pd.DataFrame(self.rows)

    def formatted(self) -> pd.DataFrame:
        """The same for people, laid out as in the paper: a column a rate."""
        digits = {"paper": 2, "dead": 1}
        return pd.DataFrame(
            {
                f"{row['dropout']:.1f}": {name: f"{row[name]:.{digits.get(name, 3)}f}" for name in list(row)[1:]}
                for row in self.rows
            }
        ).rename_axis("dropout")


def paper_table_2(table: pd.DataFrame, layer: int, k: int, width: int) -> Paper2:
    """The paper's rates, its Rand index and ours beside what chance gives."""
    part = _part(table, layer, k, width)
    series = {
        name: Series.of(name, part, "dropout", column, MEASURED)
        for name, column in (
            ("Rand", "rand"), ("by chance, permuted labels", "chance_rand"), ("by chance, any clusterings", "chance_rand_num"),
            ("adjusted Rand", "adjusted_rand"), ("of those that ever fire", "adjusted_rand_living"), ("dead", "dead"),
            ("test accuracy", "scaled_accuracy"),
        )
    }  # fmt: skip
    rows = tuple(
        {"dropout": rate, "paper": value, **{name: line.at(rate).mean for name, line in series.items() if rate in line.x}}
        for rate, value in paper.TABLE_2.items()
    )
    rising = sum(a["Rand"] < b["Rand"] for a, b in pairwise(rows))
    excess = max(rows, key=lambda row: row["Rand"] - row["by chance, permuted labels"])
    reached = sorted(set(paper.TABLE_2.values()) & {value for value in paper.TABLE_2.values() if _by_chance(value)})
    single = max(sum(round(abs(value - each), 4) <= 0.01 for value in paper.TABLE_2.values()) for each in _EQUAL.values())
    sentence = (
        f"{part['recipe'].iloc[0].capitalize()} recipe: Rand rises at {rising} of {len(rows) - 1} steps between the paper's "
        f"rates. Its excess over chance is greatest at {excess['dropout']:g}: {excess['Rand']:.3f} against "
        f"{excess['by chance, permuted labels']:.3f}. Permuted labels keep the clusters' sizes; any clusterings are both drawn "
        f"evenly among all of {k} clusters. {len(reached)} of the paper's {len(paper.TABLE_2)} values lie in the range that "
        f"independent clusterings of {min(_EQUAL)} to {max(_EQUAL)} equal clusters give; a single number of clusters, the same "
        f"at every rate, comes within 0.01 of at most {single} of them."
    )
    return Paper2(rows, sentence)


# What independent clusterings of k equal clusters give: E[Rand] = 1 - 2/k + 2/k^2.
_EQUAL = {k: 1 - 2 / k + 2 / k**2 for k in range(4, 11)}


def _by_chance(value: float) -> bool:
    """Whether a Rand index lies between those of 4 and of 10 equal clusters."""
    return min(_EQUAL.values()) <= value <= max(_EQUAL.values())


def corrected_curves(table: pd.DataFrame, layer: int, k: int, width: int) -> Curves:
    """Three indices of agreement against the rate."""
    part = _part(table, layer, k, width)
    names = (("adjusted Rand", "adjusted_rand"), ("adjusted mutual information", "adjusted_mutual_info"),
             ("element-centric (chance not taken out)", "element_centric"))  # fmt: skip
    series = tuple(Series.of(name, part, "dropout", column, role) for role, (name, column) in enumerate(names))
    best = {line.name: max(line.x, key=lambda x, line=line: line.at(x).mean) for line in series[:2]}  # type: ignore[misc]
    sentence = "With chance taken out, agreement is greatest at " + ", ".join(
        f"{rate:g} ({name})" for name, rate in best.items()
    )
    return Curves("Agreement, chance taken out", "dropout rate", "index", series, sentence + ".")


def firing_curves(table: pd.DataFrame, layer: int, k: int, width: int) -> Curves:
    """Whether copies fire together: correlation of activations within and across clusters by incoming weights."""
    part = _part(table, layer, k, width)
    within = Series.of("within a cluster", part, "dropout", "correlation_within", MEASURED)
    across = Series.of("across clusters", part, "dropout", "correlation_across", CHANCE)
    gap = max(within.x, key=lambda x: within.at(x).mean - across.at(x).mean if x in across.x else -math.inf)
    sentence = (
        f"Neurons of one cluster fire together most, compared with those of other clusters, at {gap:g}: correlation "
        f"{within.at(gap).mean:.2f} within against {round(across.at(gap).mean, 2) + 0.0:.2f} across, on held-out images."
    )
    return Curves("Do copies fire together?", "dropout rate", "correlation of activations", (within, across), sentence)


@dataclass(frozen=True)
class Table2Charts:
    """All that is shown of one layer, number of clusters and width of Table 2."""

    rand: Curves
    adjusted: Curves
    accuracy: Curves
    corrected: Curves
    firing: Curves
    again: Paper2


def table_2(table: pd.DataFrame, layer: int, k: int, width: int) -> Table2Charts:
    """Everything at once, so that it is made once for all viewers."""
    makers = (rand_curves, adjusted_curves, corrected_curves, firing_curves)
    rand, adjusted, corrected, firing = (make(table, layer, k, width) for make in makers)
    return Table2Charts(rand, adjusted, accuracy_curves(table, width), corrected, firing, paper_table_2(table, layer, k, width))
