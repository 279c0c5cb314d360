"""What the explorer draws, worked out once: what neurons answer to, their families, clusters and places, and its files."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.clustering import incoming, outgoing
from dropclust.core.receptive import Images, activations, answers
from dropclust.core.similarity import agreement_by_chance, match_labels
from dropclust.core.twins import twins_by_chance
from dropclust.experiments.paper import TABLE_2
from dropclust.findings import tour
from dropclust.findings.explorer import AXES, Reading, alts, reading
from dropclust.findings.meaning import Meaning
from dropclust.findings.table2 import Table2
from dropclust.ui.explorer.files import ACROSS, packed, picture
from dropclust.ui.figures.once import draw_once
from dropclust.ui.style import style

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

MAX_UNITS = 256  # a neuron's number is sent as one byte, a family's too
LONER = MAX_UNITS - 1  # the family of a neuron that has no twin
COPIES = 3  # most alike neurons told of a neuron, each way
# What the curves mean, so that they look as on every other chart.
MEANINGS = {
    "rand": Meaning.MEASURED,
    "chance": Meaning.CHANCE,
    "paper": Meaning.PAPER,
    "adjusted": Meaning.MEASURED,
    "twins": Meaning.TWINS,
    "scaled": Meaning.SCALED,
    "sampled": Meaning.SAMPLED,
    "now": Meaning.CHOSEN,
}
ASPECTS = (1.4, 0.8)  # width over height of the field: beside the charts, and above them on a phone

# Lengths of the field's layout in cells; a cell holds one tile and the gap around it.
_PAD = 0.12  # from a region's edge to its cells
_GAP_X = 0.22  # between two regions of a row
_GAP_Y = 0.46  # above each row of regions, where the clusters' numbers stand
_EDGE = 0.06  # left, right and below, so that a region's outline is not cut
_TILE = 0.9
# Of the twins' layout: a family lies in a frame, under it arcs join each neuron to its twin.
_LABEL = 0.5  # a line that says what stands below it
_ARC = 0.3  # under a family
_BREAK = 0.45  # between those that have a twin and the others
_ACROSS = 6  # members of a family side by side


class Weights(Protocol):
    """A network as far as its picture needs it: arrays ``[in, out]`` and ``[out]`` a layer."""

    @property
    def weights(self) -> Sequence[Any]:
        """One array ``[in, out]`` a layer."""

    @property
    def biases(self) -> Sequence[Any]:
        """One array ``[out]`` a layer."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything lies in a field of one shape; lengths in units of the field's width, y downwards.

    Parameters
    ----------
    aspect
        Width over height of the field.
    tile
        Side of a tile at each rate, ``[rates]``.
    tiles
        Upper left corner of each neuron's tile, ``[rates, h, 2]``.
    regions
        Left, top, width and height of each cluster's or family's region, ``[rates, k, 4]``; zeros for one that is empty.
    labels
        Where lines of text begin, ``[rates, lines, 2]``; empty for clusters.
    """

    aspect: float
    tile: Floats
    tiles: Floats
    regions: Floats
    labels: Floats

    def sent(self) -> dict[str, Any]:
        """As plain numbers, a list a rate."""

        def flat(values: Floats) -> list[list[float]]:
            return np.round(values, 4).reshape(len(values), -1).tolist()

        return {
            "aspect": self.aspect,
            "tile": np.round(self.tile, 4).tolist(),
            "tiles": flat(self.tiles),
            "regions": flat(self.regions),
            "labels": flat(self.labels),
        }


@dataclass(frozen=True, eq=False)
class Look:
    """What the neurons of a layer answer to, as far as it is shown; of one rate. It does not depend on clusters.

    Parameters
    ----------
    picture
        The ink that excites a neuron, ``[h, 28, 28]``: 128 is as much as in the mean image, 255 the neuron's own most.
    by_digit
        Mean activation for each digit, of the neuron's own largest, ``[h, 10]``, 0 to 1.
    nearest, correlation
        The neuron whose activations correlate most with its own, its own number where nothing does; and how far. ``[h]``.
    chance_twins, chance_twins_digit
        How many have a twin by chance, and among neurons that fire for the same digits: `dropclust.core.twins.twins_by_chance`.
    """

    picture: Bytes
    by_digit: Floats
    nearest: Ints
    correlation: Floats
    chance_twins: int
    chance_twins_digit: int


def look(network: Weights, layer: int, images: Images) -> Look:
    """Look at a layer's neurons with some images.

    Raises
    ------
    ValueError
        For a layer that the network does not have.
    """
    active = activations(network.weights, network.biases, layer, images.pixels)
    found = answers(active, images)
    by_digit = found.by_digit.astype(float)
    most = np.maximum(by_digit.max(axis=1, keepdims=True), np.finfo(float).tiny)
    return Look(
        _picture(found.ink), by_digit / most, found.nearest, found.correlation.astype(float),
        twins_by_chance(active), twins_by_chance(active, images.digits),
    )  # fmt: skip


class Files(NamedTuple):
    """What the browser fetches: two parts of a scene as compressed JSON, and a picture a rate."""

    layer: bytes
    clusters: bytes
    pictures: tuple[bytes, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """All that the explorer shows of one layer and number of clusters, rate by rate.

    Parameters
    ----------
    layer, k
        Hidden layer counted from 1, and clusters of each clustering.
    recipe
        Training recipe of the networks.
    readings
        The numbers, one a rate, in the order of rates.
    pictures
        The ink that excites a neuron, ``[h, 28, 28]`` for each rate: 128 is as much as in the mean image, 255 the neuron's own
        most. The scenes of all numbers of clusters share them.
    by_digit
        Mean activation for each digit, of the neuron's own largest, ``[rates, h, 10]``, 0 to 1.
    incoming, outgoing
        Cluster of each neuron by incoming and by outgoing weights, ``[rates, h]``, 0 to k-1. Names are matched: those of
        neighbouring rates so that colours do not jump, and those of the two clusterings so that equal names mean agreement.
    agree, dead
        ``[rates, h]``: both clusterings agree on the neuron; it is never active on the held-out images.
    copies, cosines
        The `COPIES` neurons nearest by cosine of incoming (index 0) and outgoing (1) weights, nearest first, and the
        cosines: ``[2, rates, h, COPIES]``.
    twin
        The neuron's twin, ``[rates, h]``, its own number where it has none; None where it was not measured.
    partner, correlation
        The neuron whose activations on held-out images correlate most with its own: its twin where it has one; its own
        number where nothing correlates; and how far. Both ``[rates, h]``.
    families
        ``[rates, h]``: neurons joined by twins, however many steps away, have one number; `LONER` for one without a twin.
        Numbers follow those of the rate before, so that colours do not jump.
    shuffled
        The nearest one's cosine, mean over neurons, when each neuron's own weights are shuffled: ``[2, rates]``.
    layouts, twin_layouts
        Places by clusters and by families, one for each of `ASPECTS`.
    """

    layer: int
    k: int
    recipe: str
    readings: tuple[Reading, ...]
    pictures: tuple[Bytes, ...]
    by_digit: Floats
    incoming: Ints
    outgoing: Ints
    agree: Bools
    dead: Bools
    copies: Ints
    cosines: Floats
    twin: Ints | None
    partner: Ints
    correlation: Floats
    families: Ints
    shuffled: Floats
    layouts: tuple[Layout, ...]
    twin_layouts: tuple[Layout, ...]

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """The dropout rates that the slider has."""
        return tuple(reading.rate for reading in self.readings)

    @property
    def units(self) -> int:
        """Neurons of the layer."""
        return int(self.incoming.shape[1])

    @property
    def layer_part(self) -> dict[str, Any]:
        """What depends on recipe, seed and layer alone, as plain lists, numbers and text."""
        return {
            "layer": self.layer,
            "recipe": self.recipe,
            "units": self.units,
            "copiesEach": self.copies.shape[-1],
            "rates": list(self.rates),
            "looks": {name: {"colour": style(of).colour, "dash": style(of).dash} for name, of in MEANINGS.items()},
            "paper": [[rate, rand] for rate, rand in TABLE_2.items()],
            "picture": {"rows": self.pictures[0].shape[1], "columns": self.pictures[0].shape[2], "across": ACROSS},
            "dead": _base64(self.dead),
            "twin": None if self.twin is None else _base64(self.twin),
            "partner": _base64(self.partner),
            "correlations": _base64(_hundredths(self.correlation)),
            "families": _base64(self.families),
            "byDigit": _base64(np.rint(255 * self.by_digit)),
            "twinLayouts": [layout.sent() for layout in self.twin_layouts],
            "copies": _base64(self.copies),
            "cosines": _base64(_hundredths(self.cosines)),
            "shuffled": np.round(self.shuffled, 4).tolist(),
        }

    @property
    def clusters_part(self) -> dict[str, Any]:
        """What depends on the number of clusters as well: labels, places and what is said."""

        def curve(name: str) -> dict[str, list[float | None]]:
            intervals = [getattr(reading, name) for reading in self.readings]
            return {end: [_rounded(getattr(interval, end)) for interval in intervals] for end in ("mean", "low", "high")}

        chance = {"mean": "chance", "low": "chance_low", "high": "chance_high"}
        twins = curve("twins") if all(reading.twins for reading in self.readings) else None
        return {
            "k": self.k,
            "axes": {name: list(ends) for name, ends in AXES.items()},
            "texts": [reading.texts for reading in self.readings],
            "findings": [reading.finding for reading in self.readings],
            "sentences": [reading.sentence for reading in self.readings],
            "groups": [list(reading.groups) for reading in self.readings],
            "withTwin": [reading.with_twin for reading in self.readings],
            "steps": tour.told(self.readings),
            "alts": alts(self.readings, self.recipe, self.layer, self.k),
            "curves": {name: curve(name) for name in ("rand", "adjusted", "scaled", "sampled")}
            | {"chance": {end: [_rounded(getattr(r, field)) for r in self.readings] for end, field in chance.items()}}
            | {"twins": twins},
            "incoming": _base64(self.incoming),
            "outgoing": _base64(self.outgoing),
            "agree": _base64(self.agree),
            "layouts": [layout.sent() for layout in self.layouts],
        }

    @cached_property
    def files(self) -> Files:
        """All of it as files, made once: scenes of one layer share all but one."""
        pictures = tuple(draw_once(picture, levels) for levels in self.pictures)
        return Files(packed(self.layer_part), packed(self.clusters_part), pictures)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 5)


def _hundredths(values: Floats) -> Floats:
    """Numbers from -1 to 1 as whole ones from 0 to 200."""
    return np.rint(100 * values) + 100


def _base64(values: npt.ArrayLike) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.uint8).tobytes()).decode("ascii")


def _free(labels: Ints, taken: Ints, k: int) -> Ints:
    """Give labels of k and more the smallest names that neither they nor ``taken`` use."""
    above = np.unique(labels[labels >= k])
    free = np.setdiff1d(np.arange(k), np.union1d(labels, taken))[: len(above)]
    names = np.arange(max(k, int(labels.max()) + 1))
    names[above] = free
    return names[labels]


def _match(first: Ints, second: Ints, k: int) -> tuple[Ints, Ints]:
    """Name the clusters of each rate like those of the rate before, and the second clustering's like the first's."""
    firsts: list[Ints] = []
    seconds: list[Ints] = []
    for labels, others in zip(first, second, strict=True):
        raw, inverse = np.unique(labels, return_inverse=True)
        if max(len(raw), len(np.unique(others))) > k:
            raise ValueError(f"neurons must have at most k = {k} clusters; got {max(len(raw), len(np.unique(others)))}")
        named = _free(match_labels(firsts[-1], inverse), inverse[:0], k) if firsts else inverse
        # Matched as they were measured: where assignments tie, agreement then is the table's own.
        matched = match_labels(inverse, others)
        names = np.empty(len(raw), dtype=np.intp)
        names[inverse] = named
        beyond = matched >= len(raw)
        seconds.append(_free(np.where(beyond, matched + k, names[np.minimum(matched, len(raw) - 1)]), named, k))
        firsts.append(named)
    return np.stack(firsts), np.stack(seconds)


def _nearest(vectors: Floats, count: int) -> tuple[Ints, Floats]:
    """The ``count`` other rows of largest cosine, nearest first, and the cosines; 0 for a row of zeros. Both ``[h, count]``."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    cosines = np.clip(unit @ unit.T, -1, 1)  # [h, h]
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(cosines, order, axis=1)


def _nearest_shuffled(vectors: Floats) -> float:
    """Cosine of a neuron and the nearest other, mean over neurons, when each one's weights are shuffled, by a fixed seed."""
    shuffled = np.random.default_rng(0).permuted(vectors, axis=1)
    return float(_nearest(shuffled, 1)[1].mean())


def _picture(ink: npt.NDArray[np.float32]) -> Bytes:
    """Quantise what excites the neurons of one rate, ``[h, d]``, each by its own most ink: ``[h, side, side]``."""
    h, d = ink.shape
    side = math.isqrt(d)
    most = np.maximum(ink.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    levels: Bytes = (np.rint(np.clip(ink / most, -1, 1) * 127) + 128).astype(np.uint8)
    return levels.reshape(h, side, side)


def _families(twin: Ints) -> Ints:
    """Number the families of each rate, ``[rates, h]``, by the numbers that most of their members had at the rate before."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rates, h = twin.shape
    named = np.full((rates, h), LONER)
    for rate in range(rates):
        first = np.flatnonzero(twin[rate] != np.arange(h))
        if not len(first):
            continue
        joined = coo_array((np.ones(len(first)), (first, twin[rate, first])), shape=(h, h))
        of = connected_components(joined, directed=False)[1]
        before = named[rate - 1] if rate else named[rate]
        members = [np.flatnonzero(of == family) for family in np.unique(of[first])]
        taken: set[int] = set()
        for group in sorted(members, key=len, reverse=True):
            wished = [int(name) for name in before[group] if name != LONER and name not in taken]
            free = next(name for name in range(h) if name not in taken and name not in before)
            name = max(set(wished), key=lambda old: (wished.count(old), -old)) if wished else free
            taken.add(name)
            named[rate, group] = name
    return named


def _chain(group: Ints, twin: Ints) -> Ints:
    """The members of a family in an order in which twins stand side by side as far as they can: depth first along the links."""
    beside: dict[int, set[int]] = {int(neuron): set() for neuron in group}
    for neuron in beside:
        if (other := int(twin[neuron])) in beside:
            beside[neuron].add(other)
            beside[other].add(neuron)
    start = min(beside, key=lambda neuron: (len(beside[neuron]), neuron))
    seen: list[int] = []
    waiting = [start]
    while waiting:
        neuron = waiting.pop()
        if neuron in seen:
            continue
        seen.append(neuron)
        waiting += sorted(beside[neuron] - set(seen), key=lambda other: (-len(beside[other]), -other))
    return np.array(seen)


class _Shelf(NamedTuple):
    """Families side by side: their depth in tiles, and members in order."""

    depth: int
    chains: list[Ints]


def _wide(chain: Ints, depth: int) -> float:
    """Cells that a family takes across."""
    return -(-len(chain) // depth) + 2 * _PAD


def _shelves(chains: Sequence[Ints], width: float) -> list[_Shelf] | None:
    """Put families onto shelves, large ones first, each where it first fits; None where one is too wide for any."""
    shelves: list[_Shelf] = []
    for chain in sorted(chains, key=len, reverse=True):
        depth = -(-len(chain) // _ACROSS)
        if _wide(chain, depth) > width:
            return None
        for shelf in shelves:
            taken = sum(_wide(other, shelf.depth) + _GAP_X for other in shelf.chains)
            if shelf.depth == depth and taken + _wide(chain, depth) <= width:
                shelf.chains.append(chain)
                break
        else:
            shelves.append(_Shelf(depth, [chain]))
    return shelves


def _heights(shelves: Sequence[_Shelf], loners: int, width: float) -> tuple[float, float]:
    """Cells down that the families take with their label, and the others with theirs."""
    above = sum(shelf.depth + 2 * _PAD + _ARC for shelf in shelves)
    below = -(-loners // int(width)) if loners else 0
    return (above + _LABEL if shelves else 0.0), (below + _LABEL if loners else 0.0)


def _twin_layout(families: Ints, twin: Ints, dead: Bools, aspect: float) -> Layout:
    """Place families above and the others below them, the dead last, moving as little as possible from rate to rate.

    At each rate tiles are as large as can be.
    """
    rates, h = families.shape
    cells, tiles, labels = np.zeros(rates), np.zeros((rates, h, 2)), np.full((rates, 2, 2), -1.0)
    regions = np.zeros((rates, max(1, int(families[families != LONER].max(initial=0)) + 1), 4))
    for rate in range(rates):
        alone = families[rate] == LONER
        names = np.unique(families[rate, ~alone])
        chains = [_chain(np.flatnonzero(families[rate] == name), twin[rate]) for name in names]
        low, high = 0.0, 1.0
        while high - low > 0.0005:
            middle = (low + high) / 2
            low, high = (middle, high) if _twins_fit(chains, int(alone.sum()), middle, aspect) else (low, middle)
        cells[rate] = cell = low
        width, height = 1 / cell - 2 * _EDGE, 1 / (cell * aspect)
        shelves = _shelves(chains, width) or []
        above, below = _heights(shelves, int(alone.sum()), width)
        top = 0.0
        if shelves:
            labels[rate, 0] = _EDGE, 0.0
            top = _LABEL
        for shelf in shelves:
            left = _EDGE
            for chain in sorted(shelf.chains, key=lambda chain: int(families[rate, chain[0]])):
                columns = -(-len(chain) // shelf.depth)
                regions[rate, families[rate, chain[0]]] = left, top, columns + 2 * _PAD, shelf.depth + 2 * _PAD
                line, place = np.divmod(np.arange(len(chain)), columns)
                tiles[rate, chain] = np.stack([left + _PAD + place, top + _PAD + line], axis=1)
                left += columns + 2 * _PAD + _GAP_X
            top += shelf.depth + 2 * _PAD + _ARC
        if below:
            top += min(1.0, max(_BREAK, height - above - below - _EDGE)) if above else 0
            labels[rate, 1] = _EDGE, top
            before = tiles[rate - 1] / cell if rate else None
            _place_loners(tiles[rate], before, alone, dead[rate], top + _LABEL, int(width))
        tiles[rate] = (tiles[rate] + (1 - _TILE) / 2) * cell
    cells = cells[:, None, None]
    return Layout(aspect, cells.ravel() * _TILE, tiles, regions * cells, np.where(labels < 0, -1, labels * cells))


def _twins_fit(chains: Sequence[Ints], loners: int, cell: float, aspect: float) -> bool:
    """Whether all of it fits into the field with cells of this side, in units of the field's width."""
    width = 1 / cell - 2 * _EDGE
    shelves = _shelves(chains, width) if width >= 1 else None
    if shelves is None:
        return False
    above, below = _heights(shelves, loners, width)
    return above + below + (_BREAK if above and below else 0) + _EDGE <= 1 / (cell * aspect)


def _place_loners(tiles: Floats, before: Floats | None, alone: Bools, dead: Bools, top: float, across: int) -> None:
    """Fill lines with the neurons that have no twin, the dead last, each as near as can be to where it was before."""
    from scipy.optimize import linear_sum_assignment

    line, place = np.divmod(np.arange(int(alone.sum())), across)
    slots = np.stack([_EDGE + place, top + line], axis=1)  # [loners, 2]
    living, gone = np.flatnonzero(alone & ~dead), np.flatnonzero(alone & dead)
    for group, places in ((living, slots[: len(living)]), (gone, slots[len(living) :])):
        if before is not None and len(group):
            moves = ((before[group, None] - places[None]) ** 2).sum(axis=-1)
            places = places[linear_sum_assignment(moves)[1]]
        tiles[group] = places


def _lines(sizes: Sequence[int], columns: float) -> int | None:
    """Fewest lines of cells in which regions of these sizes stand side by side within so many cells; None if they cannot."""
    room = columns - len(sizes) * 2 * _PAD - (len(sizes) - 1) * _GAP_X
    if room < len(sizes):
        return None
    lines = max(1, math.ceil(sum(sizes) / room))
    while sum(-(-size // lines) for size in sizes) > room:
        lines += 1
    return lines


def _fits(rows: Sequence[Ints], sizes: Ints, cell: float, aspect: float) -> bool:
    """Whether all rates' regions fit into the field with cells of this side, in units of the field's width."""
    for counts in sizes.tolist():
        height = _EDGE
        for row in rows:
            present = [counts[label] for label in row if counts[label]]
            if not present:
                continue
            lines = _lines(present, 1 / cell - 2 * _EDGE)
            if lines is None:
                return False
            height += lines + 2 * _PAD + _GAP_Y
        if height > 1 / (cell * aspect):
            return False
    return True


def _rows(sizes: Ints, aspect: float) -> tuple[list[Ints], float]:
    """Split the clusters into rows, the same at every rate, so that cells can be as large as possible; and their side."""
    k = sizes.shape[1]
    best: tuple[list[Ints], float] = ([], 0.0)
    for count in range(1, k + 1):
        rows = [np.asarray(row) for row in np.array_split(np.arange(k), count)]
        if best[1] and not _fits(rows, sizes, best[1] * 1.01, aspect):
            continue
        low, high = best[1], 1.0
        while high - low > 0.0005:
            middle = (low + high) / 2
            low, high = (middle, high) if _fits(rows, sizes, middle, aspect) else (low, middle)
        best = (rows, low)
    return best


def _layout(labels: Ints, agree: Bools, k: int, aspect: float) -> Layout:
    """Place every cluster in its row and every neuron in its cluster, moving as little as possible from rate to rate."""
    from scipy.optimize import linear_sum_assignment

    rates, h = labels.shape
    sizes = np.stack([np.bincount(row, minlength=k) for row in labels])
    rows, cell = _rows(sizes, aspect)
    width, height = 1 / cell - 2 * _EDGE, 1 / (cell * aspect) - _EDGE  # in cells, as all that follows
    regions, tiles = np.zeros((rates, k, 4)), np.zeros((rates, h, 2))
    for rate in range(rates):
        shelves = [[label for label in row if sizes[rate, label]] for row in rows]
        shelves = [shelf for shelf in shelves if shelf]
        depths = [_lines(sizes[rate, shelf].tolist(), width) or 1 for shelf in shelves]
        spare_y = (height - sum(depth + 2 * _PAD + _GAP_Y for depth in depths)) / len(shelves)
        top = 0.0
        for shelf, depth in zip(shelves, depths, strict=True):
            top += _GAP_Y + spare_y / 2
            columns = [-(-int(sizes[rate, label]) // depth) for label in shelf]
            taken = sum(columns) + len(shelf) * 2 * _PAD
            space = (width - taken) / (len(shelf) + 1)
            left = _EDGE + space
            for label, across in zip(shelf, columns, strict=True):
                count = int(sizes[rate, label])
                down = -(-count // across)
                regions[rate, label] = left, top, across + 2 * _PAD, down + 2 * _PAD
                line, place = np.divmod(np.arange(count), across)
                slots = np.stack([left + _PAD + place, top + _PAD + line], axis=1)  # [count, 2]
                members = np.flatnonzero(labels[rate] == label)
                solid = members[agree[rate, members]]
                # Agreeing neurons come first, so that the solid part of a cluster is seen to grow.
                for group, places in (
                    (solid, slots[: len(solid)]),
                    (np.setdiff1d(members, solid), slots[len(solid) :]),
                ):
                    if rate and len(group):
                        moves = ((tiles[rate - 1, group, None] - places[None]) ** 2).sum(axis=-1)  # [group, places]
                        places = places[linear_sum_assignment(moves)[1]]
                    tiles[rate, group] = places
                left += across + 2 * _PAD + space
            top += depth + 2 * _PAD + spare_y / 2
    tile = np.full(rates, cell * _TILE)
    return Layout(aspect, tile, (tiles + (1 - _TILE) / 2) * cell, regions * cell, np.zeros((rates, 0, 2)))


def build_scene(
    said: Table2, neurons: pd.DataFrame, networks: Mapping[float, Weights], looks: Mapping[float, Look], layer: int, k: int
) -> Scene:
    """Work out what the explorer shows of a layer and number of clusters.

    Parameters
    ----------
    said
        What Table 2 says of that layer and number of clusters.
    neurons
        The experiment's ``table2-neurons``: a row a rate, layer, k and neuron of the network that is shown.
    networks
        The shown network of each rate.
    looks
        What that layer's neurons answer to, of each of these rates.
    layer, k
        Hidden layer, 1 to 3, and clusters.

    Returns
    -------
    Scene
        Of the rates that all three have.

    Raises
    ------
    ValueError
        One sentence, when the three have no rate in common for this layer and k, or when a rate's neurons are not those of its
        network.
    """
    neurons = neurons[(neurons["layer"] == layer) & (neurons["k"] == k)]
    shown = {round(float(rate), 4): network for rate, network in networks.items()}
    look_at = {round(float(rate), 4): found for rate, found in looks.items()}
    clustered = dict(iter(neurons.groupby(neurons["dropout"].round(4))))
    rates = sorted(set(said.rand.series[0].x) & set(clustered) & set(shown))
    if not rates:
        raise ValueError(f"table, neurons and networks must share a rate for layer {layer} and k {k}; got none in common")

    frames = [clustered[rate].sort_values("neuron") for rate in rates]
    into = [incoming(shown[rate].weights, shown[rate].biases, layer) for rate in rates]
    out = [outgoing(shown[rate].weights, layer) for rate in rates]
    h = len(into[0])
    for rate, frame, vectors in zip(rates, frames, into, strict=True):
        if not COPIES < len(vectors) <= MAX_UNITS or len(vectors) != h or frame["neuron"].tolist() != list(range(h)):
            raise ValueError(
                f"neurons must number those of the network at rate {rate:g} from 0, each once, {COPIES + 1} to {MAX_UNITS} of "
                f"them; got {len(frame)} for a layer of {len(vectors)}"
            )

    def column(name: str) -> Ints:
        return np.stack([frame[name].to_numpy(dtype=np.intp) for frame in frames])  # [rates, h]

    first, second = _match(column("incoming"), column("outgoing"), k)
    agree, dead = column("agree").astype(bool), column("dead").astype(bool)
    near = [[_nearest(vectors, COPIES) for vectors in side] for side in (into, out)]
    own = np.arange(h)
    twin = np.where(column("twin") < 0, own, column("twin")) if "twin" in neurons else None
    looked = [look_at[rate] for rate in rates]
    partner = np.stack([found.nearest for found in looked])
    correlation = np.stack([found.correlation for found in looked])
    if twin is not None:
        measured = np.nan_to_num(np.stack([frame["twin_correlation"].to_numpy(dtype=float) for frame in frames]))
        partner, correlation = np.where(twin != own, twin, partner), np.where(twin != own, measured, correlation)
    families = _families(np.broadcast_to(own, first.shape) if twin is None else twin)
    readings = []
    for at, rate in enumerate(rates):
        labels = first[at], second[at]
        both = np.logical_and(*(side[:, None] == side for side in labels))  # [h, h]: in one group by either side
        readings.append(
            reading(
                said,
                rate,
                agree=int(agree[at].sum()),
                agree_chance=agreement_by_chance(*labels),
                dead=int(dead[at].sum()),
                units=h,
                with_twin=None if twin is None else int((twin[at] != own).sum()),
                both_groups=0 if twin is None else int((both[own, twin[at]] & (twin[at] != own)).sum()),
                both_groups_pairs=(int(both.sum()) - h) / (h * (h - 1)),
                chance_twins=looked[at].chance_twins,
                chance_twins_digit=looked[at].chance_twins_digit,
            )
        )
    return Scene(
        layer=layer,
        k=k,
        recipe=said.recipe,
        readings=tuple(readings),
        pictures=tuple(found.picture for found in looked),
        by_digit=np.stack([found.by_digit for found in looked]),
        incoming=first,
        outgoing=second,
        agree=agree,
        dead=dead,
        copies=np.stack([np.stack([ids for ids, _ in side]) for side in near]),
        cosines=np.stack([np.stack([cosines for _, cosines in side]) for side in near]),
        twin=twin,
        partner=partner,
        correlation=correlation,
        families=families,
        shuffled=np.array([[_nearest_shuffled(vectors) for vectors in side] for side in (into, out)]),
        layouts=tuple(_layout(first, agree, k, aspect) for aspect in ASPECTS),
        twin_layouts=tuple(_twin_layout(families, partner, dead, aspect) for aspect in ASPECTS),
    )
