"""Which way round weights lie and in which order layers stand: shapes decide, then names or the file, and then images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dropclust.core.spec import INPUTS, MAX_OUTPUTS, OUTPUTS
from dropclust.service.files.common import LoadError, short
from dropclust.service.files.parts import Linear, Values, natural

MAX_LAYERS = 7
_PLACES = (  # words that tell a place from the first layer to the last, where no number does
    r"(?<![a-z])(?:in|inp|input|first|one|stem)(?![a-z])",
    r"second|two(?![a-z])|hidden",
    r"third|three",
    r"fourth|four(?![a-z])",
    r"fifth|five",
    r"(?<![a-z])(?:out|output|last|final|head|logits|classifier)(?![a-z])",
)

BIAS_ROWS = ("", "last", "first")  # where in the weight matrix the biases stand, if they do


@dataclass(frozen=True)
class Layout:
    """How weights lie: ``turned`` is [out, in], and ``bias_row`` where in the inputs the bias stands."""

    turned: bool
    bias_row: str = ""

    @property
    def words(self) -> str:
        """For a report."""
        extra = f", the {self.bias_row} input being the bias" if self.bias_row else ""
        return ("[out, in]" if self.turned else "[in, out]") + extra

    def shape(self, linear: Linear) -> tuple[int, int]:
        """Inputs and outputs of a layer."""
        rows, columns = linear.weight.shape[::-1] if self.turned else linear.weight.shape
        return rows - bool(self.bias_row), columns

    def arrays(self, linear: Linear) -> tuple[Values, Values]:
        """Weight ``[in, out]`` and bias ``[out]``, as they are in the file or as float64 zeros."""
        weight = linear.weight.T if self.turned else linear.weight
        if self.bias_row == "last":
            return weight[:-1], weight[-1]
        if self.bias_row == "first":
            return weight[1:], weight[0]
        return weight, np.zeros(weight.shape[1]) if linear.bias is None else linear.bias


@dataclass(frozen=True)
class Orders:
    """Possible orders of layers, the likeliest first; ``decided`` says why the first is right, and is "" where images must."""

    layouts: tuple[Layout, ...]
    orders: tuple[tuple[int, ...], ...]
    decided: str


def orders(linears: Sequence[Linear], in_file_order: bool = False) -> Orders:
    """All orders in which each layer fits the next, from 784 inputs to the outputs.

    Parameters
    ----------
    linears
        Layers in the order of the file.
    in_file_order
        Whether the order of the file was its writer's: safetensors sorts by name, torch and npz keep what they were given.

    Raises
    ------
    LoadError
        When no order fits.
    """
    if not 1 <= len(linears) <= MAX_LAYERS:
        raise LoadError(
            f"must have one weight and one bias a layer and 1 to {MAX_LAYERS - 1} hidden layers; got {len(linears)}"
        )
    found: dict[Layout, list[tuple[int, ...]]] = {}
    for layout in (Layout(turned, row) for row in BIAS_ROWS for turned in (False, True)):
        if layout.bias_row and any(linear.bias is not None for linear in linears):
            continue
        if trails := list(_trails([layout.shape(linear) for linear in linears])):
            found[layout] = trails
    if not found:
        raise LoadError(_why_not(linears))
    # 784 outputs are no classes: what leads to ten is preferred where the shapes allow both.
    best = min(found, key=lambda layout: (_outputs(layout, linears, found[layout][0]) != OUTPUTS, bool(layout.bias_row)))
    _check_biases(best, linears, found[best][0])
    layouts = [best] if not best.bias_row else [best, Layout(best.turned, "first" if best.bias_row == "last" else "last")]
    return _ranked(linears, tuple(layouts), found[best], in_file_order)


def _outputs(layout: Layout, linears: Sequence[Linear], order: Sequence[int]) -> int:
    return layout.shape(linears[order[-1]])[1]


def _trails(shapes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Orders of all layers in which each takes what the one before gives, from 784 inputs on."""

    def grow(order: tuple[int, ...], width: int) -> Iterator[tuple[int, ...]]:
        if len(order) == len(shapes):
            if 2 <= width <= MAX_OUTPUTS:
                yield order
            return
        for index, (inputs, outputs) in enumerate(shapes):
            if index not in order and inputs == width:
                yield from grow((*order, index), outputs)

    yield from grow((), INPUTS)


def _why_not(linears: Sequence[Linear]) -> str:
    shapes = ", ".join("x".join(map(str, linear.weight.shape)) for linear in linears)
    if len(linears) == 1 and INPUTS in linears[0].weight.shape:
        return "must have 1 to 6 hidden layers; it has none"
    return f"must lead from {INPUTS} inputs to {OUTPUTS} outputs, each layer fitting the next; got weights {shapes}"


def _check_biases(layout: Layout, linears: Sequence[Linear], order: Sequence[int]) -> None:
    for number, index in enumerate(order, start=1):
        linear, (inputs, outputs) = linears[index], layout.shape(linears[index])
        if linear.bias is not None and len(linear.bias) != outputs:
            raise LoadError(
                f"must have as many biases as outputs in each layer; layer {number} ({short(linear.name)}) takes {inputs} "
                f"inputs, gives {outputs} and has {len(linear.bias)} biases"
            )


def _ranked(
    linears: Sequence[Linear], layouts: tuple[Layout, ...], trails: list[tuple[int, ...]], in_file_order: bool
) -> Orders:
    if len(trails) == 1:
        return Orders(layouts, tuple(trails), "only this order fits the shapes")
    moved = [index for index in range(len(linears)) if len({trail.index(index) for trail in trails}) > 1]
    names = [linears[index].name for index in moved]
    numbered = len({re.sub(r"\d+", "", name).strip("._/- ") for name in names}) == 1
    ranks = {index: rank for rank, index in enumerate(sorted(range(len(linears)), key=lambda i: natural(linears[i].name)))}
    decided = "the numbers in the names" if numbered else ""
    if not numbered and in_file_order:
        ranks, decided = {index: index for index in range(len(linears))}, "the order in the file"
    elif not numbered:
        ranks = {
            index: rank
            for rank, index in enumerate(
                sorted(range(len(linears)), key=lambda i: (_place(linears[i].name), natural(linears[i].name)))
            )
        }
    trails.sort(key=lambda trail: [ranks[index] for index in trail])
    return Orders(layouts, tuple(trails), decided)


def _place(name: str) -> int:
    for place, words in enumerate(_PLACES):
        if re.search(words, name):
            return place
    return 1
