"""Where neurons lie in a field, rate by rate: twins side by side, or clusters in rows, moving as little as they can."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Floats, Ints

Bools = npt.NDArray[np.bool_]

MAX_UNITS = 256  # a neuron's number is sent as one byte, a family's too
LONER = MAX_UNITS - 1  # the family of a neuron that has no twin
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


def families_of(twin: Ints) -> Ints:
    """Number the families of each rate, neurons joined by twins, as most of their members were numbered at the rate before.

    Parameters
    ----------
    twin
        Each neuron's twin, ``[rates, h]``, its own number where it has none.

    Returns
    -------
    numpy.ndarray
        ``[rates, h]``; `LONER` for a neuron without a twin.
    """
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


def family_layout(families: Ints, twin: Ints, dead: Bools, aspect: float) -> Layout:
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


def cluster_layout(labels: Ints, agree: Bools, k: int, aspect: float) -> Layout:
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
