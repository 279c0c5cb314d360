"""The guided tour in seven steps: one sentence and one thing to do each; the page and the file to take home both read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dropclust.findings import words
from dropclust.findings.explorer import Reading
from dropclust.findings.words import bare

MERGED = 0.5  # rate of the network whose twins are merged on another page
READ_AGAIN = 0.9  # of the digits, from which on they are said to be read again
TWINS, PAPER = "twins", "paper"  # what the explorer shows: neurons that act alike, or what the paper measures


@dataclass(frozen=True)
class Step:
    """One step of the tour.

    Parameters
    ----------
    title
        In a few words.
    sentence
        What there is to see, said from the readings of all rates, by rate.
    do
        The one thing to do.
    rate
        Dropout rate at which the explorer stands; None leaves it.
    view
        `TWINS` or `PAPER`.
    done
        What is said at a rate at which that is done, in place of it; empty elsewhere.
    links
        Pages to go on to: what their link says, and their address below the app's own, with ``{layer}`` and ``{network}`` for
        what the explorer shows.
    """

    title: str
    sentence: Callable[[Mapping[float, Reading]], str]
    do: str
    rate: float | None = None
    view: str = TWINS
    done: Callable[[Reading], str] = lambda _: ""
    links: tuple[tuple[str, str], ...] = ()


def _without(by_rate: Mapping[float, Reading]) -> str:
    at = by_rate[0.0]
    return f"Without dropout {_have(at)} a twin, another one that fires for the same images."


def _half(by_rate: Mapping[float, Reading]) -> str:
    return f"Now every neuron was switched off half of the time while it learned: {_have(by_rate[0.5])} a twin."


def _too_much(by_rate: Mapping[float, Reading]) -> str:
    at, before = by_rate[0.8], by_rate[0.0]
    right = f"it reads {words.percent(at.scaled.mean)} of the digits right, {words.percent(before.scaled.mean)} without dropout"
    return f"At 0.8 the network no longer learns: {right}."


def _read_again(at: Reading) -> str:
    read = at.scaled.mean > READ_AGAIN
    return f"\N{CHECK MARK} Read again: more than {words.percent(READ_AGAIN)} of the digits." if read else ""


def _chance(by_rate: Mapping[float, Reading]) -> str:
    at = by_rate[0.5]
    gap = max(abs(one.rand.mean - one.chance) for one in by_rate.values())
    least = math.ceil(round(100 * gap, 6)) / 100  # no less, so that it is never more
    return (
        "Twins act alike; the paper asks if neurons are wired alike too: do incoming and outgoing weights group them the same? "
        f"Of all pairs {bare(at.rand.mean)} are treated alike (Rand index), {bare(at.chance)} by chance at 0.5, never more "
        f"than {bare(least)} apart; adjusted Rand {bare(at.adjusted.mean)} (0: chance, 1: perfect)."
    )


def _have(reading: Reading) -> str:
    n = reading.with_twin or 0
    return f"{n or 'none'} of {reading.units} neurons {'has' if n == 1 else 'have'}"


STEPS: tuple[Step, ...] = (
    Step(
        "No dropout",
        _without,
        "Point at a neuron, or tap it: it shows the ink that excites it, beside the neuron most like it.",
        0.0,
    ),
    Step("Half of them off", _half, "Point at a pair, or tap it: two neurons, one answer.", 0.5),
    Step("Too much", _too_much, "Drag back until the digits are read again.", 0.8, done=_read_again),
    Step("What chance alone would do", _chance, "Drag: the two stay together.", 0.5, PAPER),
    Step(
        "Switch it off again",
        lambda _: "Do the twins stay when dropout is taken away? A network that is still learning can tell.",
        "Open Live, let it learn with dropout 0.5, then switch dropout off.",
        0.5,
        links=(("Live", "live?layer={layer}"),),
    ),
    Step(
        "Merge the twins",
        lambda _: "If two neurons do one job, one of them can do it alone: merge them and see what the network loses.",
        "Open Compress and make a layer smaller.",
        MERGED,
        links=(("Compress", "compress?run={network}&compressed_layer={layer}"),),
    ),
    Step(
        "What the paper says, and what holds",
        lambda _: "Each claim was measured again on fresh networks; not all of them hold.",
        "Read the verdicts, then train a network of your own.",
        0.5,
        links=(("Does it hold?", "claims"), ("Train your own", "train?rate=0.5")),
    ),
)


def told(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """The steps as plain data, for a network's readings: what the explorer is given.

    Rates are indices into the readings; empty where a rate that a step speaks of was not measured.
    """
    by_rate = {reading.rate: reading for reading in readings}
    needed = {step.rate for step in STEPS if step.rate is not None}
    if not needed <= set(by_rate):
        return []
    rates = [reading.rate for reading in readings]
    return [
        {
            "title": step.title,
            "sentence": step.sentence(by_rate),
            "do": step.do,
            "done": [step.done(reading) for reading in readings],
            "index": None if step.rate is None else rates.index(step.rate),
            "view": step.view,
            "links": [list(link) for link in step.links],
        }
        for step in STEPS
    ]
