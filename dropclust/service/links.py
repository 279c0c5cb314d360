"""Links that open the Train page with the settings of an experiment's runs, as text that a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlencode

from dropclust.core.spec import RunSpec
from dropclust.experiments import figure2, table1
from dropclust.findings import figure2 as figure2_findings
from dropclust.findings import table1 as table1_findings
from dropclust.findings import words
from dropclust.findings.own import OwnRun, template_of
from dropclust.service import runs


def to_table1(own: Sequence[OwnRun], recipe: str) -> str:
    """A link for every rate and batch size of Table 1; to the stored runs where there are some."""
    stored: dict[tuple[float, int], list[str]] = {}
    for run in own:
        stored.setdefault((run.rate, run.batch_size), []).append(run.key)
    lines = []
    for rate, name in table1_findings.NAMES.items():
        links = [
            f"[{size} (stored)](train?{urlencode({'run': stored[rate, size]}, doseq=True)})"
            if (rate, size) in stored
            else f"[{size}]({_of_table1(recipe, rate, size)})"
            for size in table1.BATCHES
        ]
        lines.append(f"{words.capital(name)}, batch " + ", ".join(links))
    return "\n\n".join(lines)


@lru_cache(maxsize=1_000)
def _of_table1(recipe: str, rate: float, size: int) -> str:
    spec = template_of(table1.EXPERIMENT, recipe)
    rates = (rate, rate, rate)
    return runs.train_link(replace(spec, dropout=rates, precision=RunSpec().precision, batch_size=size))


@lru_cache(maxsize=32)
def to_figure2(recipe: str) -> str:
    """A link for every place and rate of Figure 2."""
    first = template_of(figure2.EXPERIMENT, recipe)
    lines = []
    for place, mask in figure2.LAYERS.items():
        specs = {
            rate: replace(first, dropout=(rate * mask[0], rate * mask[1], rate * mask[2]), precision=RunSpec().precision)
            for rate in figure2.RATES
        }
        links = ", ".join(f"[{rate:g}]({runs.train_link(spec)})" for rate, spec in specs.items())
        lines.append(f"Dropout in {figure2_findings.PLACES[place]}, rate {links}")
    return "\n\n".join(lines)
