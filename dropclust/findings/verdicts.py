"""What became of the paper's claims: every claim judged by the shipped rows, in words that all screens and reports repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dropclust import experiments
from dropclust.core.intervals import Interval
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import results, sensitivity
from dropclust.experiments.claim import ALPHA, Claim, Judgement, Rule, Tables, Verdict, judge
from dropclust.experiments.experiment import FRESH_SEED
from dropclust.experiments.sensitivity import Variation
from dropclust.findings import words

RECIPE_NAMES = {"modern": "modern recipe", "paper": "paper's recipe"}
# What was not reproduced is said first.
ORDER = (
    Verdict.OPPOSITE, Verdict.NOT_SEEN, Verdict.UNDECIDED, Verdict.CONTROL_TOO, Verdict.HOLDS, Verdict.NO_RESULT,
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One claim under one recipe, judged by the seeds that were looked at first and by fresh ones.

    ``fresh`` is None where there are no fresh seeds. Its verdict counts where it has one: margins were chosen after a look at
    the first seeds and before the fresh ones were run.
    """

    claim: Claim
    recipe: str
    first: Judgement
    fresh: Judgement | None
    variations: tuple[Variation, ...] = ()
    command: str = ""

    @property
    def judged(self) -> Judgement:
        """The judgement that counts: of fresh seeds where there are some."""
        return self.fresh if self.fresh is not None and not self.fresh.why else self.first

    @property
    def verdict(self) -> Verdict:
        """What became of the claim."""
        return self.judged.verdict

    @property
    def brief(self) -> str:
        """Verdict and number: "holds: +0.39 percentage points (+0.23 to +0.55)"."""
        judged = self.judged
        if judged.why:
            return f"{Verdict.NO_RESULT.value}: {judged.why}"
        return f"{self.verdict.value}: {_estimate(judged)}"

    @property
    def sentence(self) -> str:
        """The finding, how sure, how measured."""
        judged, claim = self.judged, self.claim
        if judged.why:
            return f"{words.capital(RECIPE_NAMES[self.recipe])}: no result here, for {judged.why}."
        seeds = words.count(judged.estimate.n, claim.per)
        text = (
            f"{words.capital(RECIPE_NAMES[self.recipe])}: {self.verdict.value}. {_estimate(judged, seeds)}: {claim.what}. "
            f"The claim asks for {requirement(claim)}"
        )
        if judged.tests > 1:
            text += f" ({words.p_value(judged.p_adjusted)} after Holm's correction over {judged.tests} claims)"
        text += "."
        if judged.control is not None and claim.control is not None:
            text += f" The same of {claim.control.name}: {words.brief(judged.control, claim.digits, signed=True)}."
        if judged is not self.first and not self.first.why:
            text += f" The seeds looked at first say: {self.first.verdict.value}, {_estimate(self.first)}."
        if judged.needed:
            most = 1_000
            needed = f"more than {most:,}" if judged.needed > most else f"about {judged.needed:,}"
            text += f" To decide it, {needed} {claim.per}s are needed."
        if self.variations:
            text += f" {self.stability}"
        return text

    @property
    def stability(self) -> str:
        """On how many other choices that the paper leaves open the verdict stands."""
        same = sum(variation.verdict is self.verdict for variation in self.variations)
        choices = words.count(len(self.variations), "other choice")
        return f"The verdict is the same under {same} of {choices} that the paper leaves open."

    def table(self) -> pd.DataFrame:
        """Every number behind it, a row a set of seeds, control or other choice."""
        rows: list[tuple[str, Interval, Verdict | None]] = []
        if not self.first.why:
            rows.append(("first seeds", self.first.estimate, self.first.verdict))
        if self.fresh is not None and not self.fresh.why:
            rows.append(("fresh seeds", self.fresh.estimate, self.fresh.verdict))
        if self.judged.control is not None and self.claim.control is not None:
            rows.append((f"control: {self.claim.control.name}", self.judged.control, None))
        rows += [(variation.name, variation.interval, variation.verdict) for variation in self.variations]
        return pd.DataFrame(
            [
                {
                    "measured on": name, self.claim.unit or "value": interval.mean, "low": interval.low, "high": interval.high,
                    f"{self.claim.per}s": interval.n, "verdict": verdict.value if verdict else "",
                }
                for name, interval, verdict in rows
            ]
        )  # fmt: skip


def _estimate(judgement: Judgement, seeds: str = "") -> str:
    """Mean, unit and interval, and over how many seeds."""
    claim, interval = judgement.claim, judgement.estimate
    mean = words.number(interval.mean, claim.digits, signed=True)
    where = ", ".join(filter(None, [words.ends(interval, claim.digits, signed=True), seeds]))
    return f"{mean}{' ' if claim.unit else ''}{claim.unit} ({where})"


def requirement(claim: Claim) -> str:
    """What the rule asks for, in words."""
    margin = f"{claim.margin:g} {claim.unit}".strip()
    if claim.rule is Rule.MORE:
        return f"more than {margin}"
    if claim.rule is Rule.AT_LEAST:
        return f"no less than -{margin}"
    return f"zero within {margin}"


@dataclass(frozen=True)
class Row:
    """One claim with its findings under every recipe: what the page, the command line and README show."""

    claim: Claim
    findings: Mapping[str, Finding]

    @property
    def sentence(self) -> str:
        """The claim and what became of it under every recipe."""
        told = (f"{RECIPE_NAMES[recipe]}, {finding.brief}" for recipe, finding in self.findings.items())
        return f"{self.claim.statement} {words.capital('; '.join(told))}."


def claims(recipe: str = "modern", root: Path | None = None, with_variations: bool = True) -> list[Finding]:
    """Every claim under one recipe, judged by the tables that are there.

    Parameters
    ----------
    recipe
        "modern" or "paper".
    root
        Folder of the tables; the shipped ones when None.
    with_variations
        Whether each claim is judged under the other choices as well, which takes a few times as long.

    Returns
    -------
    list of Finding
        In the order of the experiments. A claim whose table is missing, damaged or of another shape has no result, with the
        reason; the others stand.

    Examples
    --------
    >>> for finding in claims("modern", with_variations=False)[:1]:
    ...     print(finding.claim.key, "-", finding.verdict.value)
    figure1.better-than-training - holds
    """
    first, reasons = _tables(recipe, 0, root)
    fresh, no_fresh = _tables(recipe, FRESH_SEED, root)
    every = [claim for name in experiments.NAMES for claim in experiments.get(name).claims]
    firsts = judge(every, first, reasons)
    freshes: Sequence[Judgement | None] = judge(every, fresh, no_fresh) if fresh else [None] * len(every)
    return [
        Finding(
            claim,
            recipe,
            judgement,
            confirmed,
            tuple(_variations(claim, recipe, first, root)) if with_variations else (),
            _command(claim.experiment, recipe),
        )
        for claim, judgement, confirmed in zip(every, firsts, freshes, strict=True)
    ]


def rows(root: Path | None = None, with_variations: bool = True) -> list[Row]:
    """Every claim under both recipes."""
    found = {recipe: claims(recipe, root, with_variations) for recipe in MAIN_RECIPES}
    return [Row(findings[0].claim, dict(zip(found, findings, strict=True))) for findings in zip(*found.values(), strict=True)]


def worst_first(found: Sequence[Row]) -> list[Row]:
    """Rows in the order of `ORDER`, by the first recipe under which least was seen."""
    return sorted(found, key=lambda row: min(ORDER.index(finding.verdict) for finding in row.findings.values()))


def count(findings: Sequence[Finding]) -> dict[Verdict, int]:
    """How many claims have each verdict, in the order in which they are said."""
    return {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in ORDER}


def summary(found: Sequence[Row]) -> str:
    """How the claims fare, one sentence a recipe, what was not reproduced first; and how far a verdict may be trusted."""
    told = []
    for recipe in MAIN_RECIPES:
        findings = [row.findings[recipe] for row in found]
        counts = (f"{n} {verdict.value}" for verdict, n in count(findings).items() if n)
        told.append(f"{words.capital(RECIPE_NAMES[recipe])}, {words.count(len(findings), 'claim')}: {', '.join(counts)}.")
    return " ".join(told)


HOW = (
    "Each claim is one number a seed, held against a margin by Student's t at a level of "
    f"{100 * ALPHA:g} % after Holm's correction over all claims of a recipe; differences are paired by seed. The margins were "
    f"chosen after a look at seeds 0 to 19; seeds from {FRESH_SEED} on were run afterwards, and decide where there are such."
)


def _tables(recipe: str, first_seed: int, root: Path | None) -> tuple[Mapping[str, Tables], dict[str, str]]:
    """By experiment its tables by name, and why others are not there."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    reasons: dict[str, str] = {}
    for name in experiments.NAMES:
        for table in experiments.get(name).judged_tables:
            try:
                read = results.read(results.file_name(table, recipe, first_seed=first_seed), root)
            except results.ResultError as error:
                reasons.setdefault(name, str(error))
            else:
                found.setdefault(name, {})[table] = read.table
    return found, reasons


def _variations(claim: Claim, recipe: str, tables: Mapping[str, Tables], root: Path | None) -> list[Variation]:
    found = list(sensitivity.on_rows(claim, tables.get(claim.experiment, {})))
    try:
        table = results.read(sensitivity.NAME, root).table
    except results.ResultError:
        return found
    return found + list(sensitivity.on_networks(claim, recipe, table))


def _command(experiment: str, recipe: str) -> str:
    return f"python -m dropclust reproduce {experiment} --recipe {recipe} --first-seed {FRESH_SEED}"
