"""A run as people see it: its name, how far it is, and the command and the address that make it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from dropclust.core.spec import NOISES, TRAIN_IMAGES, Rates, RunSpec
from dropclust.findings.network import STATES

if TYPE_CHECKING:
    import pandas as pd

    from dropclust.service.jobs import Run
    from dropclust.service.stored import Stored, Summary

NAMED_CHANGES = 2  # of a schedule: more are counted


def rates(spec: RunSpec) -> str:
    """A run's rates: one when all layers share it; of a schedule, how they change."""
    text = _rates(spec.dropout)
    if len(spec.schedule) > NAMED_CHANGES:
        return f"{text}, changed {len(spec.schedule):,} times"
    return ", then ".join([text, *(f"{_rates(rates)} from step {step:,}" for step, rates in spec.schedule)])


def _rates(values: Rates) -> str:
    return " / ".join(f"{rate:.4g}" for rate in (values if len(set(values)) > 1 else values[:1]))


@lru_cache(maxsize=10_000)
def label(spec: RunSpec, seed: bool = True) -> str:
    """A run's name for people: what differs from the default run, and always rates, widths and seed."""
    default = RunSpec()
    parts = [f"dropout {rates(spec)}", "-".join(map(str, spec.hidden))]
    if spec.noise != default.noise and (any(spec.dropout) or spec.schedule):
        parts.append(NOISES[spec.noise].split(" ")[0])
    if spec.batch_size != default.batch_size:
        parts.append(f"batch {spec.batch_size}")
    if spec.recipe != default.recipe:
        parts.append(f"{spec.recipe} recipe")
    if spec.examples != default.examples:
        parts.append(f"{spec.examples:,} examples")
    if spec.train_size != TRAIN_IMAGES:
        parts.append(f"{spec.train_size:,} images")
    if spec.subset_seed is not None:
        parts.append(f"images of seed {spec.subset_seed}")
    if spec.precision != default.precision:
        parts.append(spec.precision)
    if seed:
        parts.append(f"seed {spec.seed}")
    return ", ".join(parts)


def title(run: Stored | Summary, seed: bool = True) -> str:
    """A finished run's name: its label, and where it was stopped if it was."""
    name = label(run.spec, seed)
    return name if run.status == "done" else f"{name}, stopped after {run.steps * run.spec.batch_size:,} examples"


def table(finished: Sequence[Summary]) -> pd.DataFrame:
    """Finished runs as a table for people, each a link that opens it."""
    import pandas as pd

    return pd.DataFrame(
        {
            "run": [f"[{title(run)}](?run={run.key})" for run in finished],
            "test accuracy": [f"{run.metrics.get('test_accuracy', math.nan):.4f}" for run in finished],
            "status": [STATES[run.status] for run in finished],
            "finished": [run.created[:16].replace("T", " ") for run in finished],
            "shipped": ["yes" if run.shipped else "" for run in finished],
        }
    )


def alike(stored_runs: Iterable[Stored]) -> dict[str, list[Stored]]:
    """Runs that differ in their seed alone, under the name they share; one that was stopped elsewhere is another kind."""
    groups: dict[str, list[Stored]] = {}
    for each in stored_runs:
        groups.setdefault(title(each, seed=False), []).append(each)
    return groups


def standing(run: Run, expected: float | None) -> tuple[str, float]:
    """What to say of a run that is on its way, and the share of it that is done, 0 to 1."""
    share = min(run.steps / run.spec.steps, 1.0) if run.spec.steps else 0.0
    text = f"**{label(run.spec)}**: {STATES[run.state]}"
    if run.state == "waiting" and run.position:
        text += f", number {run.position} in the queue"
    elif run.state in ("training", "stopping"):
        text += f", step {run.steps:,} of {run.spec.steps:,}"
        if expected and share < 1 and run.state == "training":
            text += f", about {max(1, round(expected * (1 - share)))} s left"
    if run.message:
        text += f". {run.message}"
    return text, share


def command(spec: RunSpec) -> str:
    """The command line that trains this run."""
    default, words = RunSpec(), ["python -m dropclust train"]
    words.append("--hidden " + " ".join(map(str, spec.hidden)))
    words.append("--dropout " + " ".join(f"{rate:g}" for rate in spec.dropout))
    for name in ("noise", "batch_size", "examples", "train_size", "recipe", "precision", "subset_seed"):
        if getattr(spec, name) != getattr(default, name):
            words.append(f"--{name.replace('_', '-')} {getattr(spec, name)}")
    if spec.schedule:
        pieces = (f"{step}:{','.join(f'{rate:g}' for rate in rates)}" for step, rates in spec.schedule)
        words.append(f"--schedule {' '.join(pieces)}")
    return " ".join([*words, f"--seed {spec.seed} --out net.safetensors"])


def train_link(spec: RunSpec) -> str:
    """Address of the Train page with a run's settings, as a link on another page writes it; the precision is Train's own."""
    default, query = RunSpec(), {}
    if len(set(spec.dropout)) == 1:
        query["rate"] = f"{spec.dropout[0]:g}"
    else:
        query |= {"each": "true"} | {f"rate{layer}": f"{rate:g}" for layer, rate in enumerate(spec.dropout, start=1)}
    query |= {
        f"width{layer}": str(width)
        for layer, (width, usual) in enumerate(zip(spec.hidden, default.hidden, strict=True), start=1)
        if width != usual
    }
    fields = {"batch": "batch_size", "examples": "examples", "images": "train_size", "recipe": "recipe", "seed": "seed"}
    query |= {name: str(getattr(spec, of)) for name, of in fields.items() if getattr(spec, of) != getattr(default, of)}
    if spec.noise != default.noise:
        query["noise"] = NOISES[spec.noise].split(" ")[0]
    return f"train?{urlencode(query)}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{seconds / 60:.1f} min"
