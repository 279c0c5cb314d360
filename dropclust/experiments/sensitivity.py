"""Each claim under the choices that the paper leaves open, one change at a time: which networks that takes, and its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from dropclust import experiments
from dropclust.core.intervals import Interval, mean_interval
from dropclust.core.spec import MAIN_RECIPES, PRECISIONS, RECIPES, VARIANTS
from dropclust.experiments.claim import LEVEL, Claim, Tables, Verdict, judge
from dropclust.experiments.experiment import EXAMPLES, Settings

NAME = "sensitivity"
SEEDS = 5
UNCHANGED = "the coarse grid, unchanged"  # the main recipe itself, beside which its changes stand
FACTORS = (0.25, 4.0)  # of the images shown


@dataclass(frozen=True)
class Variant:
    """One change to a main recipe: its name for people, the main recipe, and the settings that make it."""

    name: str
    recipe: str
    settings: Settings

    @property
    def said(self) -> str:
        """Recipe and change: "modern: 4 times the images"."""
        return f"{self.recipe}: {self.name}"


def trained_in(precision: str) -> str:
    """The name of the variant that is trained in a precision."""
    return f"{precision} products"


def variants(recipe: str) -> list[Variant]:
    """Every change to a main recipe, on the coarse grid with the full number of images."""
    plain = Settings(recipe, SEEDS, quick=True, examples=EXAMPLES)
    found = [Variant(UNCHANGED, recipe, plain)]
    found += [Variant(RECIPES[name].sentence, recipe, replace(plain, recipe=name)) for name in VARIANTS[recipe]]
    found += [
        Variant(f"{factor:g} times the images", recipe, replace(plain, examples=round(factor * EXAMPLES))) for factor in FACTORS
    ]
    found += [
        Variant(trained_in(precision), recipe, replace(plain, precision=precision))
        for precision in PRECISIONS
        if precision != plain.precision
    ]
    return found


def rows(variant: Variant, tables: Mapping[str, Tables]) -> pd.DataFrame:
    """The statistic of every claim, a row a claim and seed, from the tables that a variant's networks gave."""
    found = []
    for name, of_experiment in tables.items():
        for claim in experiments.get(name).claims:
            [judgement] = judge([claim], {name: of_experiment})
            found += [
                {"recipe": variant.recipe, "variant": variant.name, "claim": claim.key, "seed": seed, "value": value}
                for seed, value in judgement.values.items()
            ]
    return pd.DataFrame(found, columns=["recipe", "variant", "claim", "seed", "value"])


@dataclass(frozen=True)
class Variation:
    """A claim under one other choice: its interval, and whether the claim stands there as it does by default."""

    name: str
    interval: Interval
    verdict: Verdict
    values: Mapping[int, float] = field(default_factory=dict)  # by seed


def on_rows(claim: Claim, tables: Tables) -> Iterator[Variation]:
    """The claim's own choices, on the rows that there are; those without rows are left out."""
    for choice in claim.choices:
        changed = replace(claim, statistic=choice.statistic, control=choice.control, choices=())
        [judgement] = judge([changed], {claim.experiment: tables})
        if not judgement.why:
            yield Variation(choice.name, judgement.estimate, judgement.verdict, judgement.values)


def on_networks(claim: Claim, recipe: str, table: pd.DataFrame) -> Iterator[Variation]:
    """The claim on networks that were trained otherwise, from the rows that `rows` made."""
    part = table[(table["claim"] == claim.key) & (table["recipe"] == recipe)]
    for name in part["variant"].unique():
        values = part.loc[part["variant"] == name].set_index("seed")["value"]
        changed = replace(claim, statistic=partial(_given, values), control=None, choices=())
        [judgement] = judge([changed], {claim.experiment: {}})
        yield Variation(str(name), mean_interval(values.to_numpy(), LEVEL), judgement.verdict, judgement.values)


def _given(values: pd.Series[float], _: Tables) -> pd.Series[float]:
    return values


ALL = tuple(variant for recipe in MAIN_RECIPES for variant in variants(recipe))


def chosen(parts: Sequence[str]) -> list[Variant]:
    """The variants whose main recipe, recipe or name has one of these texts; all without any.

    Raises
    ------
    ValueError
        When a text is in none.
    """
    found = []
    for part in parts:
        having = [variant for variant in ALL if part.lower() in variant.said.lower()]
        if not having:
            raise ValueError(f"a variant must be one of {'; '.join(variant.said for variant in ALL)}; got {part!r}")
        found += having
    return list(dict.fromkeys(found)) if parts else list(ALL)
