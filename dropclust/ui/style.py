"""How a meaning looks: one colour, one dash and one marker each, on all charts."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from dropclust.core.paths import app_folder
from dropclust.findings.meaning import Meaning


@cache
def palette() -> tuple[str, ...]:
    """The ten categorical colours of the app, as its configuration declares them."""
    with (app_folder() / ".streamlit" / "config.toml").open("rb") as file:
        return tuple(tomllib.load(file)["theme"]["chartCategoricalColors"])


BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, WINE, OLIVE, TEAL, GREY = range(10)  # the palette's order

INK = 0.7  # how much of a colour letters have: more would be too pale on one of the grounds


@dataclass(frozen=True)
class Style:
    """Colour ``#rrggbb``, dash and marker symbol, as plotly names the last two."""

    colour: str
    dash: str
    marker: str

    def tint(self, opacity: float) -> str:
        """The colour made translucent."""
        return tint(self.colour, opacity)


def tint(colour: str, opacity: float) -> str:
    """A colour ``#rrggbb`` made translucent."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def ink(colour: str) -> str:
    """A colour ``#rrggbb`` mixed with that of the page's text, in CSS: letters of it are read in light and in dark."""
    return f"color-mix(in srgb, {colour} {100 * INK:.0f}%, currentColor)"


# Dash and marker together tell each meaning from all others, without the colour: in grey, and to eyes that mix colours up.
_STYLES = MappingProxyType(
    {
        Meaning.MEASURED: (BLUE, "solid", "circle"),
        Meaning.CHANCE: (GREY, "dash", "line-ns"),
        Meaning.PAPER: (VERMILION, "longdash", "star-diamond"),
        Meaning.CHOSEN: (VERMILION, "dot", "line-ns-open"),
        Meaning.GUESS: (PINK, "dot", "triangle-up"),
        Meaning.OTHERS_GUESS: (PINK, "dash", "circle-open"),
        Meaning.OWN_RUN: (PINK, "dashdot", "square-open"),
        Meaning.EXACT: (OLIVE, "dashdot", "diamond"),
        Meaning.LIMIT: (OLIVE, "longdash", "diamond-open"),
        Meaning.CONTROL: (ORANGE, "dash", "square-cross"),
        Meaning.FRESH: (GREEN, "dashdot", "diamond-tall"),
        Meaning.OTHER_CHOICE: (GREY, "solid", "diamond-open"),
        Meaning.CLAIM: (GREEN, "solid", "line-ns"),
        Meaning.THEORY: (VERMILION, "dash", "x"),
        Meaning.THEORY_CORRECTED: (GREEN, "solid", "cross"),
        Meaning.DROPOUT: (BLUE, "solid", "square"),
        Meaning.DROPOUT_FIRST: (SKY, "dashdot", "diamond-wide"),
        Meaning.NO_DROPOUT: (ORANGE, "dot", "x"),
        Meaning.UNTRAINED: (GREY, "longdash", "triangle-up"),
        Meaning.DROPOUT_LAST: (TEAL, "dash", "diamond-open"),
        Meaning.SWITCHED_ON: (GREEN, "dashdot", "star-triangle-up"),
        Meaning.SWITCHED_OFF: (WINE, "dash", "star-triangle-down"),
        Meaning.BERNOULLI: (BLUE, "solid", "diamond"),
        Meaning.GAUSSIAN: (ORANGE, "dash", "triangle-down"),
        Meaning.DROPCONNECT: (WINE, "dot", "pentagon"),
        Meaning.SCALED: (GREEN, "solid", "triangle-down"),
        Meaning.SAMPLED: (BLUE, "dash", "square-open"),
        Meaning.ARITHMETIC: (SKY, "dot", "hexagon"),
        Meaning.ONE_MASK: (ORANGE, "dashdot", "triangle-up"),
        Meaning.PROPAGATED: (WINE, "longdash", "x"),
        Meaning.VOTES: (ORANGE, "dash", "triangle-up-open"),
        Meaning.LIVING: (SKY, "longdash", "square"),
        Meaning.MUTUAL_INFORMATION: (TEAL, "dash", "bowtie"),
        Meaning.ELEMENT_CENTRIC: (OLIVE, "dot", "diamond"),
        Meaning.WITHIN: (BLUE, "solid", "hexagon"),
        Meaning.ACROSS: (GREY, "dot", "hexagon-open"),
        Meaning.TWINS: (WINE, "solid", "star"),
        Meaning.TWINS_LOOSE: (PINK, "dot", "triangle-left"),
        Meaning.TWINS_STRICT: (OLIVE, "dash", "triangle-right"),
        Meaning.METHOD_PAPER: (BLUE, "solid", "star-square"),
        Meaning.LEAST_SQUARES: (GREEN, "dash", "square"),
        Meaning.PRUNE: (ORANGE, "dashdot", "triangle-up-open"),
        Meaning.PRUNE_LEAST_SQUARES: (WINE, "dot", "triangle-down-open"),
        Meaning.RANDOM_CLUSTERS: (GREY, "longdash", "cross"),
        Meaning.BEFORE: (GREY, "longdash", "circle"),
        Meaning.AFTER: (BLUE, "solid", "triangle-up"),
    }
)


def style(meaning: Meaning) -> Style:
    """How a meaning looks."""
    colour, dash, marker = _STYLES[meaning]
    return Style(palette()[colour], dash, marker)
