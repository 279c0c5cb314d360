"""What is said of one network made smaller: how few units will do, what it costs and gains, which neurons merged."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.intervals import Interval, median_interval
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.network import Neurons
from dropclust.findings.series import Curves, Series
from dropclust.findings.table3 import CONTROLS, CURVES, NAMES

if TYPE_CHECKING:
    from dropclust.core.methods import Choice, CurvePoint

TRIED = 8  # numbers of units on the curve, before the gap is closed
STEPS = 65_534  # of which a probability that is kept is a whole number; two bytes hold one more


# ---- how few units will do -------------------------------------------------------------------------------------------------


def fewest(choice: Choice) -> CurvePoint:
    """The fewest units left, of all numbers tried, within the tolerance; what the choice fell back to where none is.

    More clusters of each clustering do not always leave more units, so with "agreement" this may not be the fewest clusters.
    """
    enough = [point for point in choice.tried if point.accuracy >= choice.accuracy_before - choice.tolerance - 1e-12]
    tried = {point.units: point for point in choice.tried}
    return min(enough, key=lambda point: (point.width, point.units), default=tried[choice.units])


def widths(choice: Choice, width: int) -> tuple[int, ...]:
    """Units left at the numbers of `grid`, ascending: the same whatever the tolerance is."""
    return tuple(sorted({point.width for point in choice.tried if point.units in grid(width)}))


@lru_cache(maxsize=100)
def grid(width: int) -> tuple[int, ...]:
    """Numbers of units to try, evenly spaced in their logarithm from a twentieth of the width to all of it."""
    low = max(1, width // 20)
    numbers = np.geomspace(low, width, TRIED).round().astype(int).tolist()
    return tuple(sorted(set(numbers)))


def held_curves(choice: Choice, others: Mapping[str, Mapping[float, float]], method: str, left: int) -> Curves:
    """Held-out accuracy against the units that are left, the method's and the controls'; ``left`` is what a viewer chose."""
    reached: dict[float, float] = {}
    for point in sorted(choice.tried, key=lambda point: point.width):  # of equal widths the better
        reached[point.width] = max(point.accuracy, reached.get(point.width, 0.0))
    lines = [Series.plain(NAMES[method], reached, Meaning.MEASURED)]
    lines += [Series.plain(NAMES[name], accuracy, CURVES[name]) for name, accuracy in others.items()]
    points, kept = 100 * choice.tolerance, fewest(choice)
    allowed = f"at most {points:g} point{'' if points == 1 else 's'} of {choice.accuracy_before:.3f}"
    found = "no number of units tried loses"
    if _within(choice):
        found = f"{_kept(kept, method)} are the fewest of {len(choice.tried)} numbers tried that lose"
    brief = f"On the held-out images, which are to choose by (the test images prove it), {found} {allowed}."
    sentence = brief
    tried = {point.units: point for point in choice.tried}
    preferred: dict[int, list[str]] = {}
    for name, units in (("BIC", choice.bic_units), ("Calinski-Harabasz", choice.calinski_harabasz_units)):
        if units is not None:
            preferred.setdefault(units, []).append(name)
    if preferred and method not in CONTROLS:
        wanted = ", ".join(
            f"{' and '.join(names)} would keep {_kept(tried[units], method)}, with an accuracy of {tried[units].accuracy:.3f}"
            for units, names in preferred.items()
        )
        sentence += f" Criteria that the paper tried too look at weights alone: {wanted}."
    return Curves(
        "What is left with fewer units", "units left", "held-out accuracy", tuple(lines), sentence, marker=left,
        y_range=(0, 1), brief=brief,
    )  # fmt: skip


def _within(choice: Choice) -> bool:
    """Whether some number of units tried loses no more than the tolerance."""
    return choice.accuracy_before - fewest(choice).accuracy <= choice.tolerance + 1e-12  # a difference of shares is not exact


def _kept(point: CurvePoint, method: str) -> str:
    """Units left, and for a method whose width follows what they follow from."""
    return f"{point.width} units" + (f" (from {point.units} clusters of each clustering)" if method == "agreement" else "")


# ---- lost and gained -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answers:
    """What two networks say of the test images, in two bytes a probability: a server keeps one of these for every choice made.

    Parameters
    ----------
    levels
        Probabilities, the original's and the smaller one's, as whole steps of 1 / `STEPS`: uint16 ``[2, n, classes]``. The
        class that a network chooses has the highest level, and alone.
    truth
        What the images show: whole numbers ``[n]``.
    """

    levels: npt.NDArray[np.uint16]
    truth: npt.NDArray[Any]

    @classmethod
    def of(cls, before: npt.NDArray[Any], after: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Answers:
        """From both networks' probabilities, ``[n, classes]`` each, and what the images show, ``[n]``."""
        both = np.nan_to_num(np.stack([before, after]))  # a network of somebody's own may overflow
        levels = np.rint(both * STEPS).astype(np.uint16)
        # One step more for what is chosen: two probabilities may share a level, and the choice must stay what it was.
        chosen = both.argmax(2)[..., None]
        np.put_along_axis(levels, chosen, np.take_along_axis(levels, chosen, 2) + np.uint16(1), 2)
        return cls(levels, truth.astype(np.min_scalar_type(int(truth.max(initial=0)))))

    @property
    def chosen(self) -> npt.NDArray[np.int64]:
        """The class that each network gives each image: ``[2, n]``."""
        chosen: npt.NDArray[np.int64] = self.levels.argmax(2)
        return chosen

    def probabilities(self, image: int) -> npt.NDArray[np.float64]:
        """Of one image, by both: ``[2, classes]``, each true to 2 / `STEPS`."""
        return np.minimum(self.levels[:, image] / STEPS, 1.0)

    @cached_property
    def differing(self) -> npt.NDArray[np.int64]:
        """Images that the two networks classify differently, ascending."""
        before, after = self.chosen
        return np.flatnonzero(before != after)

    def first(self, n: int) -> Answers:
        """Those to the first images alone."""
        return Answers(self.levels[:, :n], self.truth[:n])


_TEST = "On images that neither training nor any choice made here has seen: they prove what was chosen."
_HELD = (
    "On images kept apart to choose by: how many units, which method. What was chosen by them looks a little too good on them."
)


@dataclass(frozen=True)
class Effect:
    """A network and the smaller one made of it: what was lost, and what was gained."""

    rows: tuple[dict[str, Any], ...]  # the original, the smaller one
    left: tuple[int, int]  # neurons of the layer: left, and before
    held: float  # the same change on the held-out images, on which choices are made; in percentage points
    change: Interval  # accuracy after less before, over the same images
    speed: Interval  # how many times as fast: median of the pairs
    brief: str  # in one short sentence
    sentence: str  # all of it

    @property
    def numbers(self) -> tuple[words.Number, ...]:
        """What was lost and what was gained, one by one."""
        original, smaller = self.rows
        accuracy, held = (f"{smaller[f'{of} accuracy']:.4f}" for of in ("test", "held-out"))
        less = 100 * (smaller["parameters"] / original["parameters"] - 1)  # of the bytes, too: four a parameter
        return (
            words.Number("Neurons left", f"{self.left[0]} of {self.left[1]}"),
            words.Number("Test accuracy", accuracy, _TEST, f"{100 * self.change.mean:+.2f} points", "normal"),
            words.Number("Held-out accuracy", held, _HELD, f"{self.held:+.2f} points", "normal"),
            words.Number("Speed", f"{self.speed.mean:.2f} x", change=words.ends(self.speed)),
            words.Number("Parameters", f"{smaller['parameters']:,}", change=f"{less:+.0f} %", better="inverse"),
        )

    def table(self) -> pd.DataFrame:
        """A row a network."""
        return pd.DataFrame(self.rows)


def effect(proof: Mapping[str, Any], found: Answers, times: Sequence[tuple[float, float]], images: int) -> Effect:
    """Compare a network with the smaller one.

    Parameters
    ----------
    proof
        As `dropclust.service.proof.compression_proof` makes it.
    found
        What both say of the test images.
    times
        Seconds of a pass over ``images`` images, pair by pair: the original's, the smaller one's.
    images
        How many images a pass is over.
    """
    before, after = found.chosen == found.truth
    worse, better = int((before & ~after).sum()), int((after & ~before).sum())
    change, n = Interval(**proof["change"]), len(found.truth)
    medians = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    speed = median_interval([a / b for a, b in times])
    rows = tuple(
        {
            "network": name, "hidden units": " - ".join(map(str, proof[f"hidden{of}"])), "parameters": proof[f"parameters{of}"],
            "bytes": proof[f"bytes{of}"], "test accuracy": proof[f"accuracy{of}"],
            "held-out accuracy": proof[f"held_out_accuracy{of}"], "wrong": int((~right).sum()), "milliseconds": milliseconds,
        }
        for name, of, right, milliseconds in zip(
            ("original", "smaller"), ("_before", ""), (before, after), medians, strict=True
        )
    )  # fmt: skip
    layer = proof["layer"]
    left, h = proof["hidden"][layer - 1], proof["hidden_before"][layer - 1]
    held = 100 * (proof["held_out_accuracy"] - proof["held_out_accuracy_before"])
    sentence = (
        f"Hidden layer {layer} keeps {left} of {h} neurons. Test accuracy goes from {proof['accuracy_before']:.4f} to "
        f"{proof['accuracy']:.4f}: {100 * change.mean:+.2f} points (95 % interval {100 * change.low:+.2f} to "
        f"{100 * change.high:+.2f}: Student t on the differences over the same {n:,} images). On the held-out images, on which "
        f"choices are made, the change is {held:+.2f} points. Of the test images {worse:,} are newly misclassified "
        f"and {better:,} newly classified correctly. A pass over {images:,} images takes {medians[1]:.1f} ms in "
        f"place of {medians[0]:.1f}: {speed.mean:.2f} times as fast (median of {len(times)} pairs, 95 % interval "
        f"{words.ends(speed)}), on one thread of this machine."
    )
    brief = (
        f"With {left} of {h} neurons in layer {layer} it reads {100 * proof['accuracy']:.1f} % of the test images right; "
        f"with all, {100 * proof['accuracy_before']:.1f} %."
    )
    return Effect(rows, (left, h), held, change, speed, brief, sentence)


def beyond(info: Effect, tolerance: float, choice: Choice | None) -> str:
    """What a viewer must know where more is lost than may be; nothing where it is not.

    Parameters
    ----------
    info
        What was lost.
    tolerance
        What the viewer allows to be lost on the held-out images, in points.
    choice
        How few units were found to lose no more; None before it is known.

    Examples
    --------
    >>> from types import SimpleNamespace as Of
    >>> beyond(Of(held=-1.88), 1.0, None), beyond(Of(held=-0.92), 1.0, None)
    ('On held-out images it loses 1.88 points, and you allow 1 (set below).', '')
    """
    if -info.held <= tolerance + 1e-9:  # a difference of shares is not exact
        return ""
    said = f"On held-out images it loses {-info.held:.2f} points, and you allow {tolerance:g} (set below)"
    return f"{said}: keep {fewest(choice).width} units." if choice and _within(choice) else f"{said}."


# ---- which neurons merged --------------------------------------------------------------------------------------------------

TILES = 240  # pictures on a sheet


@dataclass(frozen=True, eq=False)
class Merges:
    """New neurons as pictures, each followed by the old ones it was made of, at most `TILES` in all.

    ``pictures`` ``[tiles, height, width]`` in [-1, 1]; ``number`` is the old neuron's, -1 of a new one; ``unit`` the new unit
    that a tile belongs to. ``labels`` ``[h]`` are the new units of all old neurons, -1 where one was dropped.
    """

    pictures: npt.NDArray[np.floating[Any]]
    number: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    brief: str
    sentence: str
    labels: npt.NDArray[np.int64]

    @property
    def neurons(self) -> Neurons:
        """As a sheet of tiles shows them: the new ones have a broad frame, and a unit's tiles one colour."""
        return Neurons(self.pictures, self.number, self.unit, self.unit, self.number < 0, self.sentence)

    def table(self) -> pd.DataFrame:
        """A row an old neuron."""
        sizes = np.bincount(self.labels[self.labels >= 0])
        return pd.DataFrame(
            {
                "neuron": np.arange(len(self.labels)),
                "new unit": [str(label) if label >= 0 else "dropped" for label in self.labels],
                "made of": [sizes[label] if label >= 0 else 0 for label in self.labels],
            }
        )


def merges(old: npt.NDArray[Any], new: npt.NDArray[Any], labels: npt.NDArray[np.int64], shows: str) -> Merges:
    """The new neurons made of most old ones first, as many as a sheet holds.

    Parameters
    ----------
    old, new
        Pictures of the layer's neurons before and after, ``[h, height, width]`` and ``[C, height, width]``.
    labels
        The new unit of each old neuron, integers ``[h]``, -1 where it was dropped.
    shows
        What a tile shows, a sentence: `dropclust.findings.network.tile_shows`.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=len(new))
    drawn: list[npt.NDArray[Any]] = []
    number: list[int] = []
    unit: list[int] = []
    for label in np.argsort(-sizes, kind="stable").tolist():
        members = np.flatnonzero(labels == label).tolist()
        if drawn and len(drawn) + 1 + len(members) > TILES:
            break
        members = members[: TILES - 1]
        drawn += [new[label], *old[members]]
        number += [-1, *members]
        unit += [label] * (1 + len(members))
    several, dropped, shown = int((sizes > 1).sum()), int((labels < 0).sum()), len(set(unit))
    begin = f"{len(labels)} neurons become {len(new)}. "
    counts = f"Made of two or more: {several}, the largest of {sizes.max()}. " if several else "Each of these is an old one. "
    counts += f"Dropped: {dropped}. " if dropped else ""
    look = (
        ("Each new neuron" if shown == len(new) else f"Each of the first {shown} new neurons")
        + " has a broad frame, and those it was made of follow it in the same colour. "
        + shows
    )
    return Merges(np.stack(drawn), np.array(number), np.array(unit), begin + look, begin + counts + look, labels)


# ---- one digit through both ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Digit:
    """What both networks say of one test image."""

    before: npt.NDArray[np.float64]  # [classes]
    after: npt.NDArray[np.float64]
    truth: int
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a digit."""
        return pd.DataFrame({"digit": range(len(self.before)), "original": self.before, "smaller": self.after})


def digit(found: Answers, image: int) -> Digit:
    """One test image through both."""
    (before, after), truth = found.probabilities(image), int(found.truth[image])
    said = [f"{int(each.argmax())} ({each.max():.1%})" for each in (before, after)]
    return Digit(
        before, after, truth,
        f"Test image {image:,} shows a {truth}. The original says {said[0]}, the smaller network {said[1]}. They differ on "
        f"{len(found.differing):,} of {len(found.truth):,} test images.",
    )  # fmt: skip


def next_differing(found: Answers, image: int) -> int:
    """The next test image that the two networks classify differently, from the first again after the last; itself if none."""
    differing = found.differing
    if not len(differing):
        return image
    after = differing[differing > image]
    return int(after[0] if len(after) else differing[0])
