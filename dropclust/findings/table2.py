"""What Table 2 says: how far two clusterings of neurons agree beyond chance, and how many neurons act alike, by rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from dropclust.core.intervals import side
from dropclust.core.spec import TEST_IMAGES
from dropclust.experiments import paper, results, table2
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series

_INDEX = (-0.05, 0.7)  # what the axis of an index spans at least, so that recipes, layers and k can be compared
NAME = table2.EXPERIMENT.name
WIDTH = table2.HIDDEN[0]  # units of the paper's layers
# What independent clusterings of k equal clusters give: E[Rand] = 1 - 2/k + 2/k^2.
EQUAL_CLUSTERS = {k: 1 - 2 / k + 2 / k**2 for k in range(4, 11)}


@dataclass(frozen=True)
class Again:
    """Table 2 made again: the paper's five rates with our Rand, chance, adjusted Rand and twins."""

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
                f"{row['dropout']:.1f}": {name: words.number(row[name], digits.get(name, 3)) for name in list(row)[1:]}
                for row in self.rows
            }
        ).rename_axis("dropout")


@dataclass(frozen=True)
class Table2:
    """All that is said of one recipe, layer, number of clusters and width.

    Parameters
    ----------
    recipe, layer, k, width
        Which rows it is about.
    rand, adjusted, accuracy, corrected, firing
        Charts against the dropout rate.
    twins
        Share of the living neurons that have a twin, likewise; None where the table does not have it.
    dead
        Neurons that are never active, mean over seeds, by rate.
    again
        The paper's five rates.
    """

    recipe: str
    layer: int
    k: int
    width: int
    rand: Curves
    adjusted: Curves
    accuracy: Curves
    corrected: Curves
    firing: Curves
    twins: Curves | None
    dead: Mapping[float, float]
    again: Again

    @property
    def sentence(self) -> str:
        """The experiment's main finding."""
        return " ".join(info.sentence for info in (self.rand, self.adjusted, self.twins) if info)

    @property
    def headline(self) -> str:
        """In at most 15 words: at how many rates the two clusterings agree beyond chance."""
        adjusted = self.adjusted.series[0]
        beyond = sum(side(adjusted.at(x)) == 1 for x in adjusted.x)
        return f"The two clusterings agree beyond chance at {beyond} of {words.count(len(adjusted.x), 'dropout rate')}."

    def table(self) -> pd.DataFrame:
        """A row for each of the paper's rates."""
        return self.again.table()


def read(recipe: str = "modern", root: Path | None = None, layer: int = 1, k: int = 10, width: int = WIDTH) -> Table2:
    """Read what the stored table says.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the tables; the shipped ones when None.
    layer, k, width
        Hidden layer, number of clusters and units of a layer, of those that the experiment has.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table is missing or damaged.
    ValueError
        When it has no such rows.

    Examples
    --------
    >>> read().rand.sentence.startswith("Modern recipe, layer 1, 10 clusters, 20 seeds: ")
    True
    """
    return findings(results.read(results.file_name(NAME, recipe), root).table, layer, k, width)


def findings(table: pd.DataFrame, layer: int, k: int, width: int = WIDTH) -> Table2:
    """Work out what a table says.

    Parameters
    ----------
    table
        Rows of `dropclust.experiments.table2` under one recipe.
    layer, k, width
        As in `read`.

    Raises
    ------
    ValueError
        When the table has no such rows, or mixes recipes.
    """
    table = table.assign(dropout=table["dropout"].round(4))
    part = table[(table["layer"] == layer) & (table["k"] == k) & (table["width"] == width)]
    if part.empty:
        raise ValueError(f"table must have rows of layer {layer}, {k} clusters and width {width}; got none")
    recipes = part["recipe"].unique()
    if len(recipes) != 1:
        raise ValueError(f"table must be of one recipe; got {', '.join(map(str, recipes))}")
    return Table2(
        str(recipes[0]), layer, k, width,
        rand_curves(part), adjusted_curves(part), accuracy_curves(part), corrected_curves(part), firing_curves(part),
        twins_curves(part), _dead(part), paper_table(part),
    )  # fmt: skip


def _dead(part: pd.DataFrame) -> dict[float, float]:
    line = _line(part, "", "dead", Meaning.MEASURED)
    return dict(zip(line.x, line.mean, strict=True))


def _line(part: pd.DataFrame, name: str, column: str, meaning: Meaning) -> Series:
    return Series.of(name, part, "dropout", column, meaning)


def _greatest(line: Series) -> float:
    return max(line.x, key=lambda x: line.at(x).mean)


def _at(rate: float) -> str:
    return f"at {rate:g}" if rate else "without dropout"


def rand_curves(part: pd.DataFrame) -> Curves:
    """Rand index beside what chance gives and what the paper reports; what is said of chance is tested over seeds.

    The drawn band holds 95 % of the Rand indices of one network's permuted labels. A mean over seeds is no such network, so
    whether the clusterings agree beyond chance is asked of adjusted Rand, whose expectation by chance is 0.
    """
    rand = _line(part, "Rand index", "rand", Meaning.MEASURED)
    chance = _line(part, "by chance (band: 95 % of one network's permuted labels)", "chance_rand", Meaning.CHANCE)
    band = part.groupby("dropout", sort=True)[["chance_low", "chance_high"]].mean()
    chance = Series(
        chance.name, chance.x, chance.mean, tuple(band["chance_low"]), tuple(band["chance_high"]), chance.n, Meaning.CHANCE
    )
    adjusted = _line(part, "", "adjusted_rand", Meaning.MEASURED)
    sides = [side(adjusted.at(x)) for x in adjusted.x]
    if all(math.isnan(low) for low in adjusted.low):
        told = "this alone does not show whether the two clusterings agree beyond chance"
    elif 1 in sides:
        told = f"the two clusterings agree beyond chance at {sides.count(1)} of {words.count(len(sides), 'dropout rate')}"
        told += " (the 95 % interval of adjusted Rand over seeds lies above 0)"
    else:
        told = "at no dropout rate do the two clusterings agree beyond chance (adjusted Rand over seeds against 0)"
    if -1 in sides:
        told += f", and less than by chance at {sides.count(-1)}"
    best = max(rand.x, key=lambda x: rand.at(x).mean - chance.at(x).mean)
    sentence = (
        f"{_whose(part)}: {told}. The Rand index is furthest above chance {_at(best)}: {words.number(rand.at(best).mean, 3)} "
        f"against {words.number(chance.at(best).mean, 3)}."
    )
    return Curves(
        "Do the two clusterings agree?", "dropout rate", "Rand index", (rand, chance), sentence, paper.TABLE_2,
        y_range=(0.45, 1), brief=f"The Rand index is furthest above chance {_at(best)}.",
    )  # fmt: skip


def _whose(part: pd.DataFrame) -> str:
    recipe, layer, k = (part[name].iloc[0] for name in ("recipe", "layer", "k"))
    seeds = words.count(part["seed"].nunique(), "seed")
    return f"{words.capital(str(recipe))} recipe, layer {layer}, {words.count(int(k), 'cluster')}, {seeds}"


def adjusted_curves(part: pd.DataFrame) -> Curves:
    """Adjusted Rand index, of all neurons and of those that are ever active."""
    whole = _line(part, "adjusted Rand, all neurons", "adjusted_rand", Meaning.MEASURED)
    living = _line(part, "adjusted Rand, neurons that ever fire", "adjusted_rand_living", Meaning.LIVING)
    best, first, last = _greatest(whole), whole.x[0], whole.x[-1]
    dead, width = part.loc[part["dropout"] == last, "dead"].mean(), part["width"].iloc[0]
    sentence = (
        f"Adjusted Rand is greatest {_at(best)}: {words.full(whole.at(best), 2)}; {_at(first)} it is "
        f"{words.number(whole.at(first).mean)}. At {last:g}, {dead:.0f} of {width} neurons never fire, on average over seeds."
    )
    return Curves(
        "Adjusted Rand: chance taken out", "dropout rate", "adjusted Rand index", (whole, living), sentence,
        y_spans=_INDEX, brief=f"Adjusted Rand is greatest {_at(best)}: {words.number(whole.at(best).mean)}.",
    )  # fmt: skip


def by_recipe(adjusted: Mapping[str, Curves]) -> str:
    """Say how far the two clusterings agree at best under each recipe, given its `adjusted_curves`."""
    told = []
    for recipe, info in adjusted.items():
        line = info.series[0]
        best = _greatest(line)
        told.append(f"{recipe} recipe: {words.full(line.at(best), 2)} at rate {best:g}")
    return f"Adjusted Rand at its greatest, {'; '.join(told)}."


def accuracy_curves(part: pd.DataFrame) -> Curves:
    """Test accuracy, scaled and sampled."""
    scaled = _line(part, "scaled accuracy", "scaled_accuracy", Meaning.SCALED)
    sampled = _line(part, "sampled accuracy", "sampled_accuracy", Meaning.SAMPLED)
    best, width = _greatest(scaled), part["width"].iloc[0]
    lost = next((x for x in scaled.x if scaled.at(x).mean < 0.5), None)
    sentence = f"Test accuracy is best {_at(best)}: {words.full(scaled.at(best))}" + (
        f"; from {lost:g} on it is below one half: three layers of {width} hardly learn any more." if lost is not None else "."
    )
    title = f"Accuracy on the {TEST_IMAGES:,} test images"
    return Curves(title, "dropout rate", "accuracy", (scaled, sampled), sentence, y_range=(0, 1))


def corrected_curves(part: pd.DataFrame) -> Curves:
    """Three indices of agreement."""
    series = (
        _line(part, "adjusted Rand", "adjusted_rand", Meaning.MEASURED),
        _line(part, "adjusted mutual information", "adjusted_mutual_info", Meaning.MUTUAL_INFORMATION),
        _line(part, "element-centric (chance not taken out)", "element_centric", Meaning.ELEMENT_CENTRIC),
    )
    best = words.listed(f"{_greatest(line):g} ({line.name})" for line in series[:2])
    sentence = f"With chance taken out, agreement is greatest at {best}."
    brief = f"Chance taken out, agreement is greatest {_at(_greatest(series[0]))}."
    return Curves("Agreement, chance taken out", "dropout rate", "index", series, sentence, y_spans=_INDEX, brief=brief)


def firing_curves(part: pd.DataFrame) -> Curves:
    """Correlation of activations within and across clusters by incoming weights."""
    within = _line(part, "within a cluster", "correlation_within", Meaning.WITHIN)
    across = _line(part, "across clusters", "correlation_across", Meaning.ACROSS)
    gap = max(within.x, key=lambda x: within.at(x).mean - across.at(x).mean if x in across.x else -math.inf)
    sentence = (
        f"Neurons of one cluster fire together most, compared with those of other clusters, {_at(gap)}: correlation "
        f"{words.number(within.at(gap).mean)} within against {words.number(across.at(gap).mean)} across, on held-out images."
    )
    return Curves(
        "Do clusters fire together?", "dropout rate", "correlation of activations", (within, across), sentence,
        y_spans=(-0.1, 1), brief=f"Neurons of one cluster fire together most {_at(gap)}.",
    )  # fmt: skip


def twins_curves(part: pd.DataFrame) -> Curves | None:
    """Share of the living neurons that have a twin, by three thresholds; None for a table made before twins were measured."""
    if "twins" not in part:
        return None
    twins = _line(part, "correlation above .9", "twins", Meaning.TWINS)
    others = (
        _line(part, Meaning.TWINS_LOOSE.value.removeprefix("twins, "), "twins_80", Meaning.TWINS_LOOSE),
        _line(part, Meaning.TWINS_STRICT.value.removeprefix("twins, "), "twins_95", Meaning.TWINS_STRICT),
    )
    best, first = _greatest(twins), twins.x[0]
    sentence = (
        f"Twins are most frequent {_at(best)}: {words.percent(twins.at(best).mean)} of the living neurons have another whose "
        f"activations on held-out images correlate above .9 with theirs"
    )
    if not math.isnan(twins.at(best).low):
        low, high = (words.number(100 * end, 0) for end in (twins.at(best).low, twins.at(best).high))
        sentence += f" (95 % interval {low} to {high} %, {words.count(twins.n, 'seed')})"
    sentence += f"; {_at(first)} {words.percent(twins.at(first).mean)}." if first != best else "."
    cosine = _line(part, "", "nearest_cosine", Meaning.MEASURED)
    if best in cosine.x:
        sentence += (
            f" They act alike, and their weights are not equal: the nearest other neuron's incoming weights have a cosine of "
            f"{words.number(cosine.at(best).mean)}, in the median; copies would have 1."
        )
    title, y_title = "Twins: neurons that act alike", "share of the living neurons"
    brief = f"At most {words.percent(twins.at(best).mean)} of the living neurons have a twin, {_at(best)}."
    return Curves(title, "dropout rate", y_title, (twins, *others), sentence, y_range=(0, 1), brief=brief)


def paper_table(part: pd.DataFrame) -> Again:
    """The paper's rates, its Rand index and ours beside what chance gives."""
    columns = {
        "Rand": "rand", "by chance, permuted labels": "chance_rand", "by chance, any clusterings": "chance_rand_num",
        "adjusted Rand": "adjusted_rand", "of those that ever fire": "adjusted_rand_living", "twins": "twins", "dead": "dead",
        "test accuracy": "scaled_accuracy",
    }  # fmt: skip
    series = {name: _line(part, name, column, Meaning.MEASURED) for name, column in columns.items() if column in part}
    rows = tuple(
        {"dropout": rate, "paper": value, **{name: line.at(rate).mean for name, line in series.items() if rate in line.x}}
        for rate, value in paper.TABLE_2.items()
    )
    return Again(rows, _paper_sentence([row for row in rows if "Rand" in row], part))


def _paper_sentence(rows: list[dict[str, Any]], part: pd.DataFrame) -> str:
    values = paper.TABLE_2.values()
    reached = sum(min(EQUAL_CLUSTERS.values()) <= value <= max(EQUAL_CLUSTERS.values()) for value in values)
    single = max(sum(round(abs(value - equal), 4) <= 0.01 for value in values) for equal in EQUAL_CLUSTERS.values())
    papers = (
        f"{reached} of the paper's {len(values)} values lie in the range that independent clusterings of {min(EQUAL_CLUSTERS)} "
        f"to {max(EQUAL_CLUSTERS)} equal clusters give; a single number of clusters, the same at every rate, comes within 0.01 "
        f"of at most {single} of them."
    )
    if not rows:
        return papers
    rising = sum(a["Rand"] < b["Rand"] for a, b in pairwise(rows))
    excess = max(rows, key=lambda row: row["Rand"] - row["by chance, permuted labels"])
    return (
        f"{words.capital(str(part['recipe'].iloc[0]))} recipe: Rand rises at {rising} of {len(rows) - 1} steps between the "
        f"paper's rates. Its excess over chance is greatest at {excess['dropout']:g}: {words.number(excess['Rand'], 3)} "
        f"against {words.number(excess['by chance, permuted labels'], 3)}. Permuted labels keep the clusters' sizes; any "
        f"clusterings are both drawn evenly among all of {words.count(int(part['k'].iloc[0]), 'cluster')}. {papers}"
    )
