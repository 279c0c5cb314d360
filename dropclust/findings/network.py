"""What is said about one network, or a few: its neurons and their clusters, its Rand index beside chance, how it learnt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.clustering import Choice
from dropclust.core.intervals import Interval, mean_interval
from dropclust.core.similarity import ShuffledWeights, Similarity
from dropclust.core.spec import RunSpec
from dropclust.core.tiles import SIDE, lines_of
from dropclust.findings import words

AGREE = (
    "Each cluster by incoming weights is paired with one by outgoing weights, so that as many neurons as possible agree; a "
    "neuron agrees when its own two clusters are such a pair."
)
STATES = {
    "waiting": "waiting",
    "training": "training",
    "stopping": "stopping: it keeps what it has learnt",
    "stopped": "stopped early",
    "done": "done",
    "lost": "its worker was lost",
    "restarted": "starting again",
    "failed": "failed",
}


def ended(state: str, message: str) -> str:
    """What happened to a run that ended before it was done, and what a viewer can do next.

    Parameters
    ----------
    state
        A key of `STATES`.
    message
        What the queue says of it.

    Examples
    --------
    >>> print(ended("failed", "diverged at step 12"))
    Failed: diverged at step 12, its weights grew beyond all numbers. Choose another recipe, batch size or seed, then Train.
    >>> print(ended("failed", "Its worker died 3 times, so it was given up."))
    Failed: its worker died 3 times, so it was given up. Press Train to try it again.
    >>> print(ended("stopped", "It was stopped by you after 5 of 2,500 steps."))
    Stopped early: it was stopped by you after 5 of 2,500 steps. What it had learnt is kept; Train starts it again.
    """
    told = f"{words.capital(STATES[state])}: {message[:1].lower()}{message[1:].rstrip('.')}"
    if message.startswith("diverged"):
        return f"{told}, its weights grew beyond all numbers. Choose another recipe, batch size or seed, then Train."
    kept = "What it had learnt is kept; Train starts it again."
    return f"{told}. {kept if state == 'stopped' else 'Press Train to try it again.'}"


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons of a layer as pictures of their weights or of what excites them, in the order of their clusters.

    ``pictures`` is ``[h, height, width]`` in [-1, 1], each neuron by its own largest number; the other arrays have one entry a
    neuron: its number, the cluster by incoming and by outgoing weights, whether the two agree, and whether it is never active,
    where that is known.
    """

    pictures: npt.NDArray[Any]
    number: npt.NDArray[Any]
    incoming: npt.NDArray[Any]
    outgoing: npt.NDArray[Any]
    agree: npt.NDArray[Any]
    sentence: str
    silent: npt.NDArray[Any] | None = None

    @property
    def brief(self) -> str:
        """On how many neurons the two clusterings agree, and what a frame means."""
        return f"Both clusterings agree on {int(self.agree.sum())} of {len(self.agree)} neurons: these have broad frames."

    def table(self) -> pd.DataFrame:
        """A row a neuron."""
        return pd.DataFrame(
            {
                "neuron": self.number, "cluster by incoming weights": self.incoming + 1,
                "cluster by outgoing weights": self.outgoing + 1, "agree": self.agree.astype(bool),
            }
        )  # fmt: skip


def pictures(weights: Sequence[npt.NDArray[Any]], layer: int) -> npt.NDArray[Any]:
    """A layer's neurons as pictures ``[h, height, width]`` in [-1, 1], each by its own largest weight.

    Layer 1: incoming weights as the 28 x 28 image they look at. Other layers: outgoing weights, in the lines of
    `dropclust.core.tiles.lines_of`, an entry a weight.
    """
    drawn = weights[0].T.reshape(-1, SIDE, SIDE) if layer == 1 else lines_of(weights[layer])
    return np.asarray(drawn / np.maximum(np.abs(drawn).max(axis=(1, 2), keepdims=True), 1e-12))


INK = "A tile shows the ink that excites the neuron: the held-out images' mean, weighted by its activity, less the mean of all."


def tile_shows(weights: Sequence[npt.NDArray[Any]], layer: int) -> str:
    """What a tile of `pictures` shows, said to who looks at it.

    Examples
    --------
    >>> weights = [np.ones((784, 3)), np.ones((3, 100)), np.ones((100, 10))]
    >>> print(tile_shows(weights, 1))
    A tile is a neuron's weights from the 28 x 28 pixels of an image: orange above 0, blue below, palest near 0.
    >>> print(tile_shows(weights, 2))
    A tile is a neuron's weights to the 10 outputs, side by side: orange above 0, blue below, palest near 0.
    """
    if layer == 1:
        ends = f"from the {SIDE} x {SIDE} pixels of an image"
    else:
        lines, n = lines_of(weights[layer][:1]).shape[1], weights[layer].shape[1]
        after = "output" if layer == len(weights) - 1 else "neuron"
        into = words.count(n, after) + (f" of layer {layer + 1}" if after == "neuron" else "")
        ends = f"to the {into}, {f'in {lines} lines' if lines > 1 else 'side by side'}"
    return f"A tile is a neuron's weights {ends}: orange above 0, blue below, palest near 0."


def neurons(
    weights: Sequence[npt.NDArray[Any]],
    layer: int,
    incoming: Sequence[int],
    outgoing: Sequence[int],
    agree: Sequence[bool],
    dead: int | None = None,
    silent: Sequence[int] = (),
    ink: npt.NDArray[np.uint8] | None = None,
) -> Neurons:
    """Sort a layer's neurons by cluster, each by the ``ink`` that excites it (`Firing.ink`), and else by its weights."""
    labels = np.asarray(incoming)
    order = np.lexsort((np.asarray(outgoing), labels))
    sizes = np.bincount(labels)
    agreeing = np.asarray(agree, bool)
    sentence = (
        f"{len(labels)} neurons in {len(sizes)} clusters by incoming weights, the largest of {sizes.max()}; the clustering by "
        f"outgoing weights agrees on {agreeing.sum()} of them"
        + ("." if dead is None else f". Never active on the held-out images: {dead}.")
        + " A frame has the colour of the cluster by incoming weights, and is broad where the other clustering agrees."
        + (" Crossed out: those that never fire. " if silent else " ")
        + (tile_shows(weights, layer) if ink is None else INK)
    )
    drawn = pictures(weights, layer) if ink is None else ink / 255
    return Neurons(
        drawn[order], order, labels[order], np.asarray(outgoing)[order], agreeing[order], sentence,
        np.isin(order, silent),
    )  # fmt: skip


@dataclass(frozen=True)
class Nulls:
    """An index beside what it is where there are no copies: rows of (name, value, low, high), NaN where there is no band."""

    what: str
    rows: tuple[tuple[str, float, float, float], ...]
    sentence: str
    brief: str

    def table(self) -> pd.DataFrame:
        """A row an index."""
        return pd.DataFrame(self.rows, columns=["", self.what, "low", "high"])


def nulls(found: Similarity, shuffled: ShuffledWeights) -> Nulls:
    """The Rand index of a network beside three answers to what chance gives."""
    nan = math.nan
    rows = (
        ("this network", found.rand, nan, nan),
        ("permuted labels", found.chance_rand, found.chance_low, found.chance_high),
        ("any clusterings of as many clusters", found.chance_rand_num, nan, nan),
        ("shuffled weights, clustered again", shuffled.rand, shuffled.rand_low, shuffled.rand_high),
    )
    beats = [name for name, _, _, high in rows[1:] if found.rand > high]
    rand, evenly = words.number(found.rand, 3), words.number(found.chance_rand_num, 3)
    indices = [words.number(value, 3) for value in (found.adjusted_rand, found.adjusted_mutual_info, found.element_centric)]
    sentence = (
        f"The Rand index of {rand} lies "
        + (f"above the 95 % band of {' and of '.join(beats)}" if beats else "above no band that chance gives")
        + f"; {rows[2][0]} give {evenly} on average, {'less' if found.rand > found.chance_rand_num else 'not less'}. With "
        f"chance taken out: adjusted Rand {indices[0]}, adjusted mutual information {indices[1]}, element-centric {indices[2]} "
        f"(chance not taken out); {words.p_value(found.p_value)} against permuted labels."
    )
    held = words.number(found.rand, 2)
    brief = f"A Rand index of {held} lies above {len(beats)} of 2 bands that chance gives."
    return Nulls("Rand index", rows, sentence, brief)


def clustered(
    weights: Sequence[npt.NDArray[Any]], layer: int, found: Similarity, agree: Sequence[bool], firing: Firing | None, dead: int
) -> Neurons:
    """A layer's neurons by the two clusterings that were ``found``; with what they do on images, once that is known.

    Until then ``dead`` is how many are never active.
    """
    labels = found.incoming_labels.tolist(), found.outgoing_labels.tolist()
    if firing is None:
        return neurons(weights, layer, *labels, agree, dead)
    return neurons(weights, layer, *labels, agree, firing.dead, firing.silent, firing.ink)


@dataclass(frozen=True)
class Chosen:
    """Which number of clusters each criterion prefers; ``scores`` by criterion and number, higher is better."""

    scores: Mapping[str, Mapping[int, float]]
    best: Mapping[str, int]
    sentence: str

    @property
    def brief(self) -> str:
        """Whether the criteria agree."""
        n = len(set(self.best.values()))
        return f"{len(self.best)} criteria, {words.count(n, 'number')} of clusters: they {'agree' if n == 1 else 'disagree'}."

    def table(self) -> pd.DataFrame:
        """A row a number of clusters."""
        return pd.DataFrame(self.scores).rename_axis("clusters").reset_index()


def chosen(choices: Mapping[str, Choice]) -> Chosen:
    """The criteria's choices side by side."""
    best = {name: choice.k for name, choice in choices.items()}
    kinds = len(set(best.values()))
    sentence = "Incoming weights, number of clusters by " + ", by ".join(f"{name}: {k}" for name, k in best.items())
    sentence += ". They agree." if kinds == 1 else ". They do not agree, as the paper found (section 4.4)."
    return Chosen({name: choice.scores for name, choice in choices.items()}, best, sentence)


@dataclass(frozen=True)
class Firing:
    """What the neurons of a layer do on the held-out images.

    Parameters
    ----------
    dead, units
        Neurons that are never active, of how many.
    within, across
        Mean correlation of the activations of two neurons of one cluster, and of two of different ones; NaN for no such pair.
    with_twin
        Living neurons that have a twin.
    cosine
        `dropclust.core.twins.nearest_cosine` of the living neurons' incoming weights; NaN where it is not defined.
    silent
        Numbers of the neurons that are never active.
    ink
        The ink that excites each neuron, uint8 ``[h, 28, 28]``: `dropclust.core.receptive.exciting`.
    """

    dead: int
    units: int
    within: float
    across: float
    with_twin: int
    cosine: float
    silent: tuple[int, ...] = ()
    ink: npt.NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)

    @property
    def brief(self) -> str:
        """How many have a twin, in at most 15 words."""
        return f"{self.with_twin} of {words.count(self.units - self.dead, 'living neuron')} have a twin."

    @property
    def sentence(self) -> str:
        """How many have a twin, and how unlike their weights are all the same."""
        living = self.units - self.dead
        text = (
            f"{self.with_twin} of {words.count(living, 'living neuron')} have a twin: another one whose activations on the "
            "held-out images correlate above .9 with theirs."
        )
        if not math.isnan(self.cosine):
            text += (
                f" Their weights are not equal: the nearest other neuron's incoming weights have a cosine of "
                f"{words.number(self.cosine)}, in the median; copies would have 1."
            )
        return text


def numbers(found: Similarity | None, firing: Firing | None) -> tuple[words.Number, ...]:
    """A layer's numbers, of its clusters and of its neurons' activations; nothing of what is not known."""
    shown: list[words.Number] = []
    if found:
        shown = [
            words.Number("Rand index", f"{found.rand:.3f}"),
            words.Number("Rand by chance", f"{found.chance_rand:.3f}", "Expectation under permuted labels, exact."),
            words.Number("Adjusted Rand", f"{found.adjusted_rand:.3f}", "0 is chance, 1 is equal."),
        ]
    if firing:
        apart = f"Of two neurons of one cluster; of two of different ones {words.number(firing.across)}."
        shown += [
            words.Number("Twins", f"{firing.with_twin} of {firing.units - firing.dead}", firing.sentence),
            words.Number("Never fire", f"{firing.dead} of {firing.units}", "On the held-out images. Dead copies say nothing."),
            words.Number("Correlation", words.number(firing.within), apart),
        ]
    return tuple(shown)


Named = tuple[str, Sequence[Mapping[str, Any]]]  # a run's name and the points of its curve


@dataclass(frozen=True)
class Learning:
    """Held-out loss and accuracy of some runs over the examples they have seen; ``names`` tells runs apart.

    The last ``before`` of them are what was shown before, to compare with.
    """

    names: tuple[str, ...]
    examples: tuple[tuple[int, ...], ...]
    loss: tuple[tuple[float, ...], ...]
    accuracy: tuple[tuple[float, ...], ...]
    sentence: str
    before: int = 0

    def table(self) -> pd.DataFrame:
        """A row a point of a run."""
        rows = [
            {"run": name, "examples": at, "held-out loss": loss, "held-out accuracy": accuracy}
            for name, *columns in zip(self.names, self.examples, self.loss, self.accuracy, strict=True)
            for at, loss, accuracy in zip(*columns, strict=True)
        ]
        return pd.DataFrame(rows, columns=["run", "examples", "held-out loss", "held-out accuracy"])


def learning(runs: Sequence[Named], before: Sequence[Named] = ()) -> Learning:
    """What the curves of named runs show, beside those that were shown before."""
    finite = [[point for point in curve if math.isfinite(point["loss"])] for _, curve in runs]
    last = [curve[-1]["accuracy"] for curve in finite if curve]
    sentence = "No point has been measured yet."
    if last:
        sentence = f"Held-out accuracy now: {last[0]:.3f}" if len(last) == 1 else (
            f"Held-out accuracy now: {min(last):.3f} to {max(last):.3f} over {len(last)} runs"
        )  # fmt: skip
        seen = sorted({curve[-1]["examples"] for curve in finite if curve})
        sentence += f", after {' to '.join(f'{n:,}' for n in (seen if len(seen) == 1 else (seen[0], seen[-1])))} examples."
    runs = [*runs, *((f"before: {name}", curve) for name, curve in before)]
    finite = [[point for point in curve if math.isfinite(point["loss"])] for _, curve in runs]
    return Learning(
        tuple(name for name, _ in runs),
        tuple(tuple(point["examples"] for point in curve) for curve in finite),
        tuple(tuple(point["loss"] for point in curve) for curve in finite),
        tuple(tuple(point["accuracy"] for point in curve) for curve in finite),
        sentence,
        len(before),
    )


class Finished(Protocol):
    """A finished run as far as words about it need it."""

    @property
    def spec(self) -> RunSpec:
        """What was asked for."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it reached: ``test_accuracy``, ``test_cross_entropy`` (nats)."""

    @property
    def status(self) -> str:
        """Of `STATES`."""


@dataclass(frozen=True)
class Outcome:
    """What some finished runs of one kind reached on the test images, one value a seed."""

    name: str
    accuracy: Interval
    cross_entropy: Interval
    values: tuple[tuple[int, float, float, str], ...]  # seed, accuracy, cross-entropy, status
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a seed."""
        return pd.DataFrame(self.values, columns=["seed", "test accuracy", "test cross-entropy", "status"])


def outcome(name: str, stored: Iterable[Finished]) -> Outcome:
    """Mean and Student t interval over the seeds of some finished runs."""
    values = tuple(
        (run.spec.seed, run.metrics["test_accuracy"], run.metrics["test_cross_entropy"], STATES[run.status])
        for run in sorted(stored, key=lambda run: run.spec.seed)
    )
    accuracy, loss = (mean_interval([value[column] for value in values]) for column in (1, 2))
    return Outcome(
        name,
        accuracy,
        loss,
        values,
        f"Test accuracy {words.full(accuracy, 4)}, cross-entropy {words.number(loss.mean, 3)} nats.",
    )


@dataclass(frozen=True)
class Outcomes:
    """What several kinds of finished runs reached, side by side."""

    kinds: tuple[Outcome, ...]

    @property
    def sentence(self) -> str:
        """Which kind is ahead."""
        best = max(self.kinds, key=lambda kind: kind.accuracy.mean)
        return f"Of {len(self.kinds)} kinds of runs the highest mean test accuracy is {best.accuracy.mean:.4f}: {best.name}."

    def overview(self) -> pd.DataFrame:
        """A row a kind, as text."""
        return pd.DataFrame(
            {
                "run": [kind.name for kind in self.kinds],
                "test accuracy": [words.full(kind.accuracy, 4) for kind in self.kinds],
                "cross-entropy, nats": [words.number(kind.cross_entropy.mean, 3) for kind in self.kinds],
            }
        )

    def table(self) -> pd.DataFrame:
        """A row a network."""
        return pd.concat([kind.table().assign(run=kind.name) for kind in self.kinds], ignore_index=True)
