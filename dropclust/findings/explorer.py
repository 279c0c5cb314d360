"""What is said at each dropout rate while it is dragged: the numbers over seeds, and counts of the network that is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from dropclust.core.intervals import Interval
from dropclust.experiments.paper import TABLE_2
from dropclust.findings import words
from dropclust.findings.table2 import Table2
from dropclust.findings.words import bare

QUESTION = "Does dropout turn neurons into copies?"
# Each small chart's axis, the same whatever is chosen, so that two recipes can be told apart by eye.
AXES = MappingProxyType({"rand": (0.5, 1.0), "adjusted": (-0.05, 0.5), "twins": (0.0, 1.0), "accuracy": (0.0, 1.0)})


ASKED_RATE = 0.6


@dataclass(frozen=True)
class Question:
    """What a viewer is asked to guess: how many neurons have a twin at a rate.

    Parameters
    ----------
    text
        The question; what stands between double asterisks is shown bold.
    rate
        The rate that it is about.
    answered
        What is said of a guess, with ``{guess}`` and ``{answer}`` in their places.
    """

    text: str
    rate: float
    answered: str


def question(without: Reading) -> Question:
    """The question, from the reading of no dropout, which is shown beside it."""
    number = without.with_twin or 0
    have = f"{number or 'none'} of these {without.units} neurons {'have' if number > 1 else 'has'}"
    return Question(
        f"**Guess first.** Trained without **dropout** (neurons switched off at random while they learn), {have} a **twin** "
        f"that fires for the same images. How many will with dropout **{ASKED_RATE:g}**?",
        ASKED_RATE,
        "You expected {guess}; it is {answer}.",
    )


@dataclass(frozen=True)
class Reading:
    """What was measured at one rate: means over seeds with their 95 % intervals, and counts of the network that is shown.

    Parameters
    ----------
    rate
        Dropout rate, 0 to 1.
    rand
        Rand index of the two clusterings.
    chance, chance_low, chance_high
        What chance gives: expectation and 95 % band of one network's Rand index, means over seeds.
    adjusted
        Adjusted Rand index; chance gives 0.
    scaled, sampled
        Test accuracy of the scaled network and of sampling, 0 to 1.
    agree, dead
        Neurons of the shown network on which both clusterings agree, and neurons never active on the held-out images.
    agree_chance
        On how many they agree by chance: `dropclust.core.similarity.agreement_by_chance`.
    units
        Neurons of the layer.
    dead_mean
        Dead neurons, mean over seeds.
    twins
        Share of the living neurons that have a twin; None where the table does not have it.
    with_twin
        Neurons of the shown network that have a twin; None where its table does not say.
    both_groups, both_groups_pairs
        Of those, how many are in their twin's group both by incoming and by outgoing weights; and what share of all pairs of
        neurons is, 0 to 1: how probable it is of a neuron and another one picked at random.
    chance_twins, chance_twins_digit
        Neurons that would have a twin if each one's activations were dealt anew to the images, and to the images of each digit:
        `dropclust.core.twins.twins_by_chance`.
    """

    rate: float
    rand: Interval
    chance: float
    chance_low: float
    chance_high: float
    adjusted: Interval
    scaled: Interval
    sampled: Interval
    agree: int
    agree_chance: float
    dead: int
    units: int
    dead_mean: float
    twins: Interval | None = None
    with_twin: int | None = None
    both_groups: int = 0
    both_groups_pairs: float = math.nan
    chance_twins: int = 0
    chance_twins_digit: int = 0

    @cached_property
    def texts(self) -> dict[str, str]:
        """The sentences shown at this rate; what stands between double asterisks is shown large."""
        return {
            "finding": f"With dropout **{self.rate:.2f}**, {self._with_twin('**')}{self._and_dead}",
            "right": f"Digits read right: **{words.percent(self.scaled.mean, 1)}**",
            "rand": (
                f"Rand **{bare(self.rand.mean)}**, chance **{bare(self.chance)}** "
                f"(band {bare(self.chance_low)} to {bare(self.chance_high)})"
            ),
            "adjusted": f"adjusted Rand **{bare(self.adjusted.mean)}**{_plus_minus(self.adjusted)}",
            "accuracy": f"accuracy **{bare(self.scaled.mean, 3)}** scaled / **{bare(self.sampled.mean, 3)}** sampled",
            "accuracy-plain": f"digits read right **{words.percent(self.scaled.mean, 1)}**",
            "dead": f"dead neurons **{self.dead}** of {self.units}",
            "agree": f"agreeing **{self.agree}** of {self.units}, by chance **{self.agree_chance:.0f}**",
            "twins": (f"twins in {_networks(self.twins.n)}: {_percent(self.twins)}" if self.twins else "twins: no result here"),
            "chance": "" if self.with_twin is None else self._by_chance,
            "bridge": self._bridge,
            "counted": self._counted,
            "rand-note": _seeds(self.rand),
            "adjusted-note": f"rescaled: 0 is chance, 1 is perfect; {_seeds(self.adjusted)}",
            "accuracy-note": f"{_seeds(self.scaled, 1, _hundredths)}; sampled {words.number(100 * self.sampled.mean, 1)}"
            + ("" if math.isnan(self.sampled.low) else f", {_hundredths(self.sampled, 1)}"),  # per cent, as it stands above
            "twins-note": (
                f"mean share of the living neurons{_within(self.twins)}; the {self.units} neurons drawn are of one network"
                f"{f', {self.dead} of them dead' if self.dead else ''}"
                if self.twins
                else ""
            ),
            "dead-note": f"dead: never active on held-out images ({self.dead_mean:.1f} on average over seeds)",
        }

    def _with_twin(self, strong: str = "") -> str:
        """How many neurons have a twin, in words."""
        if self.with_twin is None:
            return "twins were not counted: no result here"
        have = "has" if self.with_twin == 1 else "have"
        return f"{strong}{self.with_twin}{strong} of {self.units} neurons {have} a twin"

    @property
    def _and_dead(self) -> str:
        """How many of the others are dead, which the share of the living leaves out."""
        if self.with_twin is None or not self.dead:
            return ""
        return f", {self.dead} {'is' if self.dead == 1 else 'are'} dead"

    @property
    def _by_chance(self) -> str:
        """How many would have a twin if neurons had nothing to do with each other."""
        return (
            f"**By chance {self.chance_twins}** would have one: so many are left when each neuron's activity is shuffled over "
            f"the images; **{self.chance_twins_digit}** when only over images of the same digit."
        )

    @property
    def _bridge(self) -> str:
        """What twins have to do with what the paper measures: its question, and what it finds of the twins."""
        asked = (
            "**Twins** act alike. **The paper asks:** do neurons grouped by what they **receive** (incoming weights) fall into "
            "the same groups as by what they **send** (outgoing)? Copies would."
        )
        if self.with_twin is None:
            return asked
        every = f"of all neurons, {100 * self.both_groups_pairs:.0f} in 100 share both with one picked at random"
        if not self.with_twin:
            return f"{asked} Here no neuron has a twin; {every}."
        one = f"the {self.with_twin} neurons with a twin" if self.with_twin > 1 else "the one neuron with a twin"
        verb = "shares" if self.both_groups == 1 else "share"
        rate = f", {100 * self.both_groups / self.with_twin:.0f} in 100" if self.with_twin > 1 else ""
        return f"{asked} Here **{self.both_groups}** of {one} {verb} both groups with it{rate}; {every}."

    @property
    def _counted(self) -> str:
        """What the Rand index is, and how much of it is chance."""
        part = "Most" if self.chance > self.rand.mean / 2 else "Some"
        return (
            f"The **Rand index** is the share of all pairs that both groupings treat alike, together or apart: "
            f"**{bare(self.rand.mean)}**. {part} of it is chance: groups dealt at random give **{bare(self.chance)}**. The "
            f"**adjusted Rand index**, **{bare(self.adjusted.mean)}**, is rescaled: 0 is chance, 1 is perfect. It is no share "
            "of neurons, and not the difference of the two."
        )

    @property
    def groups(self) -> tuple[str, str]:
        """What stands over the neurons that have a twin, and over the others."""
        alone = self.units - (self.with_twin or 0)
        dead = f", {self.dead} of them dead" if self.dead else ""
        return f"One network: {self.with_twin or 0} with a twin", f"{alone} without a twin{dead}"

    @property
    def finding(self) -> str:
        """The finding in one sentence, for those who hear it."""
        right = f"{words.percent(self.scaled.mean, 1)} of unseen digits are read right"
        return f"With dropout {self.rate:.2f}, {self._with_twin()}{self._and_dead}; {right}."

    @property
    def sentence(self) -> str:
        """All that is measured at the rate, in one sentence."""
        told = "; ".join(self.texts[name] for name in ("rand", "adjusted", "accuracy", "dead"))
        if self.with_twin is not None:
            told += f". With dropout {self.rate:.2f}, {self._with_twin()}"
        return f"Dropout rate {self.rate:.2f}: {told}.".replace("**", "")


def reading(said: Table2, rate: float, **shown: Any) -> Reading:
    """Put what Table 2 says at a rate beside counts of the network that is shown; these as in `Reading`."""
    rand, chance = (line.at(rate) for line in said.rand.series)
    scaled, sampled = (line.at(rate) for line in said.accuracy.series)
    twins = said.twins.series[0] if said.twins else None
    return Reading(
        rate=rate,
        rand=rand,
        chance=chance.mean,
        chance_low=chance.low,
        chance_high=chance.high,
        adjusted=said.adjusted.series[0].at(rate),
        scaled=scaled,
        sampled=sampled,
        dead_mean=said.dead[rate],
        twins=twins.at(rate) if twins and rate in twins.x else None,
        **shown,
    )


def alts(readings: Sequence[Reading], recipe: str, layer: int, k: int) -> dict[str, str]:
    """What each small chart shows, in words."""
    rates, seeds = [reading.rate for reading in readings], readings[0].rand.n
    where = f"{recipe} recipe, layer {layer}, {k} clusters, mean over {words.count(seeds, 'seed')}, against the dropout rate"

    def told(values: Sequence[float], digits: int = 2) -> str:
        spots = {"": 0, "highest ": int(np.nanargmax(values)), "at last ": -1}
        return ", ".join(f"{word}{bare(values[i], digits)} at {rates[i]:.2f}" for word, i in spots.items())

    def means(name: str) -> list[float]:
        return [getattr(reading, name).mean for reading in readings]

    chance = [reading.chance for reading in readings]
    paper = ", ".join(f"{bare(rand)} at {rate:.1f}" for rate, rand in TABLE_2.items())
    twins = [reading.twins.mean if reading.twins else math.nan for reading in readings]
    return {
        "rand": (
            f"Rand index, {where}: {told(means('rand'))}; chance gives {bare(min(chance))} to {bare(max(chance))}; "
            f"the paper reports {paper}."
        ),
        "adjusted": f"Adjusted Rand index, {where}: {told(means('adjusted'))}; chance gives 0.",
        "accuracy": f"Test accuracy, {where}: scaled {told(means('scaled'), 3)}; sampled {told(means('sampled'), 3)}.",
        "twins": "Twins: no result here."
        if all(map(math.isnan, twins))
        else f"Share of the living neurons that have a twin, {where}: {told(twins)}.",
    }


def _plus_minus(interval: Interval) -> str:
    return "" if math.isnan(interval.low) else f" ± {bare((interval.high - interval.low) / 2)}"


def _ends(interval: Interval, digits: int) -> str:
    return f"{bare(interval.low, digits)} to {bare(interval.high, digits)}"


def _hundredths(interval: Interval, digits: int) -> str:
    return f"{words.number(100 * interval.low, digits)} to {words.number(100 * interval.high, digits)}"


def _percent(interval: Interval) -> str:
    """A share's mean as a percentage, with half its interval; by no more digits than that allows."""
    half = (interval.high - interval.low) / 2
    if math.isnan(half):
        return f"**{words.percent(interval.mean)}**"
    digits = 0 if half >= 0.005 else 1
    return f"**{words.percent(interval.mean, digits)}** ± {words.number(100 * half, digits)}"


def _networks(n: int) -> str:
    return "one network" if n == 1 else f"{n} networks"


def _within(interval: Interval) -> str:
    return "" if math.isnan(interval.low) else f", 95 % interval {_hundredths(interval, 0)} %"


def _seeds(interval: Interval, digits: int = 2, ends: Callable[[Interval, int], str] = _ends) -> str:
    if math.isnan(interval.low):
        return "one seed: no interval"
    return f"{words.count(interval.n, 'seed')}, 95 % interval {ends(interval, digits)}"
