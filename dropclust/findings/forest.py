"""A claim's intervals over one axis: first seeds, fresh ones, the viewer's own, the control, other choices; small or whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dropclust.core.intervals import Interval
from dropclust.experiments.claim import Rule, Verdict
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.verdicts import ONCE, Finding, Own

_SHORT = {Verdict.CONTROL_TOO: "holds, control too", Verdict.UNDECIDED: "undecided"}
_MARGIN = 0.06  # of the axis, left free at either end


@dataclass(frozen=True)
class Mark:
    """One interval: its name, and what became of the claim there; None for a control, which is not judged."""

    name: str
    interval: Interval
    verdict: Verdict | None
    meaning: Meaning


@dataclass(frozen=True)
class Forest:
    """Intervals over one axis.

    ``zone`` is where the claim holds, as the axis shows it; ``low`` and ``high`` are the axis' ends.
    """

    title: str
    axis: str
    marks: tuple[Mark, ...]
    zone: tuple[float, float]
    low: float
    high: float
    digits: int
    unit: str
    per: str
    sentence: str

    def table(self) -> pd.DataFrame:
        """Every number, a row an interval."""
        return pd.DataFrame(
            [
                {
                    "measured on": mark.name, self.unit or "value": mark.interval.mean, "low": mark.interval.low,
                    "high": mark.interval.high, f"{self.per}s": mark.interval.n,
                    "verdict": mark.verdict.value if mark.verdict else "",
                }
                for mark in self.marks
            ]
        )  # fmt: skip

    def text(self, mark: Mark) -> str:
        """What is written beside an interval."""
        told = f"{mark.name}: {words.brief(mark.interval, self.digits, signed=True)}"
        return told if mark.verdict is None else f"{told}, {_SHORT.get(mark.verdict, mark.verdict.value)}"


def small(finding: Finding) -> Forest:
    """The interval that counts and its control's, for a table's cell."""
    return _forest(finding, _judged(finding)[:1] + _control(finding), finding.brief)


def forest(finding: Finding, own: Sequence[Own] = ()) -> Forest:
    """All intervals of a claim under one recipe."""
    yours = [Mark(each.name, each.judgement.estimate, each.judgement.verdict, Meaning.OWN_RUN) for each in own]
    others = [Mark(each.name, each.interval, each.verdict, Meaning.OTHER_CHOICE) for each in finding.variations]
    if (coarse := finding.coarse) is not None:
        others.append(Mark("the main choices on the coarse grid", coarse.interval, coarse.verdict, Meaning.MEASURED))
    marks = [*reversed(_judged(finding)), *yours, *_control(finding), *others]
    sentence = " ".join([finding.sentence, *(each.sentence for each in own)])
    return _forest(finding, marks, sentence)


def _judged(finding: Finding) -> list[Mark]:
    """The seeds that were judged, those that count first; what is derived stands once."""
    if not finding.seeded and not finding.judged.why:
        return [Mark(ONCE, finding.judged.estimate, finding.verdict, Meaning.MEASURED)]
    found = []
    if finding.fresh is not None and not finding.fresh.why:
        found.append(Mark("fresh seeds", finding.fresh.estimate, finding.fresh.verdict, Meaning.FRESH))
    if not finding.first.why:
        found.append(Mark("first seeds", finding.first.estimate, finding.first.verdict, Meaning.MEASURED))
    return found


def _control(finding: Finding) -> list[Mark]:
    control, of = finding.judged.control, finding.claim.control
    return [] if control is None or of is None else [Mark(f"control: {of.name}", control, None, Meaning.CONTROL)]


def _forest(finding: Finding, marks: Sequence[Mark], sentence: str) -> Forest:
    claim = finding.claim
    numbers = [0.0, claim.margin, -claim.margin]
    for mark in marks:
        numbers += [value for value in (mark.interval.mean, mark.interval.low, mark.interval.high) if math.isfinite(value)]
    low, high = min(numbers), max(numbers)
    free = _MARGIN * (high - low)
    low, high = low - free, high + free
    zone = (-claim.margin, claim.margin) if claim.rule is Rule.EQUAL else (claim.bound, high)
    axis = words.capital(f"{claim.what}{', ' if claim.unit else ''}{claim.unit}")
    return Forest(claim.statement, axis, tuple(marks), zone, low, high, claim.digits, claim.unit, claim.per, sentence)
