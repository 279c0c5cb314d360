"""What is said of the neurons themselves while dropout is switched on or off: one network of each course, moment by moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.arrays import Ints
from dropclust.core.glance import named_like
from dropclust.core.similarity import adjusted_rand
from dropclust.core.spec import RunSpec
from dropclust.experiments import onset, results
from dropclust.experiments.onset import MAIN_CLUSTERS, OFF, OFF_ON, ON, ON_OFF
from dropclust.findings import words
from dropclust.findings.onset import NAMES

_BATCH = RunSpec().batch_size
# Until the switch a network that will be switched is the one that will not.
_UNTIL = {OFF: OFF, ON: ON, OFF_ON: OFF, ON_OFF: ON}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The h neurons of a layer at one moment.

    Parameters
    ----------
    clusters
        Of each neuron by incoming weights, ``[h]``; named like those of the moment before.
    agree, dead
        bool ``[h]``: the two clusterings agree on the neuron; it never fires on held-out images.
    twin
        The number of the neuron's twin, ``[h]``, its own where it has none.
    adjusted_rand
        Of the two clusterings.
    shades
        The neurons' pictures, ``[h, rows, columns]``, as `dropclust.core.tiles.shades_of` makes them.
    """

    clusters: Ints
    agree: npt.NDArray[np.bool_]
    dead: npt.NDArray[np.bool_]
    twin: Ints
    adjusted_rand: float
    shades: Ints

    @property
    def twins(self) -> int:
        """How many neurons have a twin."""
        return int((self.twin != np.arange(len(self.twin))).sum())


@dataclass(frozen=True, eq=False)
class Moments:
    """One network of each course over time.

    Parameters
    ----------
    recipe, layer
        Which.
    examples
        Images shown at each moment, rising.
    switch
        Images shown at the switch.
    courses
        By the course's name, a snapshot a moment.
    sentence
        What to see.
    command
        What makes the table again.
    """

    recipe: str
    layer: int
    examples: tuple[int, ...]
    switch: int
    courses: Mapping[str, tuple[Snapshot, ...]]
    sentence: str
    command: str

    def table(self) -> pd.DataFrame:
        """A row a course and moment."""
        return pd.DataFrame(
            [
                {
                    "course": NAMES[course], "images shown": shown, "neurons with a twin": each.twins,
                    "adjusted Rand index": round(each.adjusted_rand, 3), "neurons that never fire": int(each.dead.sum()),
                }
                for course, snapshots in self.courses.items()
                for shown, each in zip(self.examples, snapshots, strict=True)
            ]
        )  # fmt: skip


def read(recipe: str = "modern", layer: int = 2, root: Path | None = None) -> Moments:
    """Read what the stored table says of a layer, 1 or 2.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When there is no table, or it is damaged.
    """
    name = results.file_name(onset.NEURONS, recipe)
    found = results.read(name, root, ("course", "step", "layer", "neuron", "incoming", "outgoing", "twin", "picture"))
    return moments(found.table, recipe, layer, found.command)


def moments(table: pd.DataFrame, recipe: str, layer: int, command: str = "") -> Moments:
    """Work out what a table says.

    Raises
    ------
    ValueError
        When a course lacks a moment of the layer.
    """
    rows = table[table["layer"] == layer]
    parts = {
        (course, step): rows[(rows["course"] == course) & (rows["step"] == step)].sort_values("neuron")
        for course, step in dict.fromkeys(zip(rows["course"].tolist(), rows["step"].tolist(), strict=True))
    }
    steps = sorted({step for _, step in parts})
    switch = max(step for step in steps if (OFF_ON, step) not in parts)
    courses = {}
    for course, until in _UNTIL.items():
        snapshots: list[Snapshot] = []
        for step in steps:
            part = parts.get((until if step <= switch else course, step))
            if part is None:
                raise ValueError(f"the neurons of a course must be there at every moment; {NAMES[course]} lacks step {step:,}")
            snapshots.append(_snapshot(part, snapshots[-1].clusters if snapshots else None))
        courses[course] = tuple(snapshots)
    at = steps.index(switch)
    said = " ".join(
        f"{words.capital(NAMES[course])}: {shown[at].twins} neurons have a twin at the switch, {shown[-1].twins} at the end."
        for course, shown in courses.items()
    )
    about = f"{words.capital(recipe)} recipe, seed {onset.SHOWN_SEED}, layer {layer}, one network of each course."
    examples = tuple(step * _BATCH for step in steps)
    return Moments(recipe, layer, examples, switch * _BATCH, courses, f"{about} {said}", command)


def _snapshot(part: pd.DataFrame, before: Ints | None) -> Snapshot:
    incoming = part["incoming"].to_numpy(dtype=np.intp)
    own, twin = np.arange(len(part)), part["twin"].to_numpy(dtype=np.intp)
    return Snapshot(
        clusters=incoming if before is None else named_like(before, incoming, MAIN_CLUSTERS),
        agree=part["agree"].to_numpy(dtype=bool),
        dead=part["dead"].to_numpy(dtype=bool),
        twin=np.where(twin < 0, own, twin),
        adjusted_rand=adjusted_rand(incoming, part["outgoing"].to_numpy(dtype=np.intp)),
        shades=onset.pictures(part["picture"].tolist()),
    )
