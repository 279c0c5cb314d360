"""What can be chosen of a run before it is trained: its parameters in the address, their widgets, and the specs they make."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dropclust.core.spec import NOISES, TRAIN_IMAGES, RunSpec
from dropclust.service.parameter import Parameter, within
from dropclust.ui import controls, live

DEFAULT = RunSpec()
EACH = Parameter("each", "A rate for each layer", False, (False, True), show=lambda on: str(on).lower())
RATE = Parameter("rate", "Dropout rate", DEFAULT.dropout[0], step=0.05, **within("dropout"))
LAYER_RATES = [
    Parameter(f"rate{layer}", f"Dropout rate, layer {layer}", DEFAULT.dropout[layer - 1], step=0.05, **within("dropout"))
    for layer in (1, 2, 3)
]
WIDTHS = [
    Parameter(f"width{layer}", f"Units, layer {layer}", DEFAULT.hidden[layer - 1], step=10, typed=True, **within("hidden"))
    for layer in (1, 2, 3)
]
BATCH = Parameter("batch", "Batch size", DEFAULT.batch_size, step=1, typed=True, **within("batch_size"))
AMOUNT = Parameter(
    "examples", "Examples shown", DEFAULT.examples, step=10_000, typed=True, **within("examples"),
    help=f"How many images the network sees in all, repeats counted: {TRAIN_IMAGES:,} are one epoch.",
)  # fmt: skip
SIZE = Parameter(
    "images", "Training images", TRAIN_IMAGES, step=1_000, typed=True, **within("train_size"),
    help="How many different images it learns from, drawn at random by its seed.",
)  # fmt: skip
NOISE = Parameter(
    "noise", "Noise", DEFAULT.noise, tuple(NOISES), show=lambda noise: NOISES[noise].split(" ")[0],
    help="Bernoulli, the paper's vanilla dropout: a unit is kept or dropped. Gaussian: it is multiplied by noise of the same "
    "variance. DropConnect: weights are dropped instead of units.",
)  # fmt: skip
RECIPE = controls.RECIPE
SEEDS = Parameter(
    "seeds", "Seeds", 1, step=1, low=1, high=8, typed=True,
    help="So many networks alike, but for initial weights, order of the images and noise: their spread gives the interval.",
)  # fmt: skip
FIRST = Parameter(
    "seed", "First seed", 0, step=1, typed=True, **within("seed"),
    help="The others follow it. The same seed gives the same network.",
)  # fmt: skip
FURTHER = [EACH, *WIDTHS, BATCH, AMOUNT, SIZE, NOISE, RECIPE, SEEDS, FIRST]  # what stands behind a line
PARAMETERS = [EACH, RATE, *LAYER_RATES, *WIDTHS, BATCH, AMOUNT, SIZE, NOISE, RECIPE, SEEDS, FIRST]


def chosen_specs(rates: DeltaGenerator, all_made: bool = True) -> list[RunSpec]:
    """The controls, those of the dropout rate in ``rates`` and the others here; returns one spec a seed.

    Without the others, unless all are to be made: each then has its default.

    Raises
    ------
    ValueError
        When the fields do not make a run together.
    """
    if not all_made:
        with rates:
            rate = controls.drag(RATE)
        return [replace(DEFAULT, dropout=(rate, rate, rate))]
    apart = st.toggle(EACH.label, EACH.default, key=EACH.name, bind="query-params")
    with rates:
        dropout = [controls.drag(rate) for rate in LAYER_RATES] if apart else [controls.drag(RATE)] * 3
    hidden = [_in(column, width) for column, width in zip(st.columns(3), WIDTHS, strict=True)]
    left, right = st.columns(2)
    batch, amount = _in(left, BATCH), _in(right, AMOUNT)
    noise, recipe = controls.choose(NOISE), controls.choose(RECIPE)
    seeds = controls.number(SEEDS)
    first, size = controls.number(FIRST), controls.number(SIZE)
    if not SEEDS.low <= seeds <= SEEDS.high:
        raise ValueError(f"{SEEDS.label} must be a whole number from {SEEDS.low} to {SEEDS.high}; got {seeds:,}")
    return [
        RunSpec(
            hidden=tuple(hidden), dropout=tuple(dropout), noise=noise, batch_size=batch, examples=amount, train_size=size,
            recipe=recipe, seed=seed,
        )
        for seed in range(first, first + seeds)
    ]  # fmt: skip


def in_words(error: ValueError) -> str:
    """A spec's refusal, its fields named as their widgets are."""
    labels = {
        "hidden": "Units", "batch_size": BATCH.label, "examples": AMOUNT.label, "train_size": SIZE.label, "seed": FIRST.label,
    }  # fmt: skip
    text = re.sub(rf"\b({'|'.join(labels)})\b", lambda found: labels[found[0]].lower(), str(error))
    return f"{text[:1].upper()}{text[1:]}."


def expected_seconds(specs: list[RunSpec]) -> float | None:
    """Until the last of these is done, were the queue empty; None before the machine was calibrated."""
    speed = live.calibration()
    return None if speed is None else sum(map(speed.seconds, specs)) / min(len(specs), live.queue().workers)


def _in(column: DeltaGenerator, parameter: Parameter) -> Any:
    """A number in a column."""
    with column:
        return controls.number(parameter)
