"""What became of the paper's claims: every claim judged by the shipped rows, in words that all screens and reports repeat."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import pandas as pd

from dropclust import experiments
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import results, sensitivity
from dropclust.experiments.claim import ALPHA, Claim, Judgement, Rule, Tables, Verdict, judge
from dropclust.experiments.experiment import FRESH_SEED
from dropclust.experiments.sensitivity import Variation
from dropclust.findings import words
from dropclust.findings.outside import as_text

RECIPE_NAMES = {"modern": "modern recipe", "paper": "paper's recipe"}
QUICK = "of the coarse grid"
ONCE = "computed once, without seeds"
# What was not reproduced is said first. The shape says the verdict again, for whoever does not see colours.
SHAPES = {
    Verdict.OPPOSITE: "▼",
    Verdict.NOT_SEEN: "○",
    Verdict.UNDECIDED: "?",
    Verdict.CONTROL_TOO: "◐",
    Verdict.HOLDS: "●",
    Verdict.NO_RESULT: "–",
}
# As `dropclust.experiments.claim.judge` decides it.
MEANS = {
    Verdict.OPPOSITE: "surely the other way round",
    Verdict.NOT_SEEN: "surely not what the claim asks",
    Verdict.UNDECIDED: "these seeds cannot tell",
    Verdict.CONTROL_TOO: "it does not show the paper's reason",
    Verdict.HOLDS: "surely what the claim asks",
    Verdict.NO_RESULT: "its table is not there",
}
ORDER = tuple(SHAPES)
_OWN = re.compile(r"-from-(\d+)(-quick)?$")


@dataclass(frozen=True)
class Finding:
    """One claim under one recipe, judged by the seeds that were looked at first and by fresh ones.

    ``fresh`` is None where there are no fresh seeds. Its verdict counts where it has one: margins were chosen after a look at
    the first seeds and before the fresh ones were run. ``command`` makes the table that was judged; ``quick`` says that it is
    of the coarse grid, for want of the full one. ``variations`` are the other choices; ``equal`` names those whose values are
    the main result's own, seed by seed, and so are none; ``coarse`` is the main result on the grid of networks trained
    otherwise.
    """

    claim: Claim
    recipe: str
    first: Judgement
    fresh: Judgement | None
    variations: tuple[Variation, ...] = ()
    equal: tuple[str, ...] = ()
    coarse: Variation | None = None
    command: str = ""
    quick: bool = False

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
        """Verdict and number: "holds: +0.39 percentage points (+0.23 to +0.55, 20 seeds)", and what the first seeds say."""
        return "; ".join(filter(None, [f"{self.verdict.value}: {self.number}", self.beside]))

    @property
    def seeded(self) -> bool:
        """Whether seeds make its values; what is derived is the same in every table."""
        return self.claim.per == "seed"

    @property
    def beside(self) -> str:
        """What the seeds looked at first say, where fresh ones decide."""
        if self.judged is self.first or self.first.why or not self.seeded:
            return ""
        said = words.brief(self.first.estimate, self.claim.digits, signed=True)
        return f"first seeds: {'the same' if self.first.verdict is self.verdict else self.first.verdict.value}, {said}"

    @property
    def number(self) -> str:
        """Mean, interval and seeds; for want of them, why there are none."""
        judged = self.judged
        if judged.why:
            return judged.why
        text = _estimate(judged, words.count(judged.estimate.n, self.claim.per))
        if not self.seeded:
            return f"{text}, {ONCE}"
        return f"{text}, {QUICK}" if self.quick else text

    @property
    def sentence(self) -> str:
        """The finding, how sure, how measured."""
        judged, claim = self.judged, self.claim
        recipe = words.capital(recipe_name(self.recipe))
        if judged.why:
            return f"{recipe}: no result here, for {judged.why}."
        text = (
            f"{recipe}: {self.verdict.value}. {words.capital(claim.what)}: {self.number}. "
            f"The claim asks for {requirement(claim)}"
        )
        if judged.tests > 1:
            which = f"the {judged.tests} claims with fresh seeds" if judged is self.fresh else f"{judged.tests} claims"
            text += f" ({words.p_value(judged.p_adjusted)} after Holm's correction over {which})"
        text += "."
        if judged.control is not None and claim.control is not None:
            text += f" The same of {claim.control.name}: {words.brief(judged.control, claim.digits, signed=True)}."
        if judged is not self.first and not self.first.why and self.seeded:
            text += f" The seeds looked at first say: {self.first.verdict.value}, {_estimate(self.first)}."
        if judged.needed:
            most = 1_000
            needed = f"more than {most:,}" if judged.needed > most else f"about {judged.needed:,}"
            text += f" To decide it, {needed} {claim.per}s are needed."
        if self.variations or self.equal:
            text += f" {self.stability}"
        return text

    @property
    def stability(self) -> str:
        """On how many other choices that the paper leaves open the verdict stands."""
        same = sum(variation.verdict is self.verdict for variation in self.variations)
        choices = words.count(len(self.variations), "other choice")
        text = f"The verdict is the same under {same} of {choices} that the paper leaves open." if self.variations else ""
        if self.coarse is not None:
            seeds = words.count(self.coarse.interval.n, self.claim.per)
            text += (
                f" Networks trained otherwise are of the coarse grid, {seeds}; there the main choices themselves give: "
                f"{self.coarse.verdict.value}, {words.brief(self.coarse.interval, self.claim.digits, signed=True)}."
            )
        if self.equal:
            text += f" Not counted, for {'its' if len(self.equal) == 1 else 'their'} numbers are the main result's own: "
            text += f"{words.listed(self.equal)}."
        return text.lstrip()

    def values(self) -> pd.DataFrame:
        """The raw rows: the claim's statistic by seed, of all seeds that were judged; of what is derived, once."""
        sets = {"first seeds": self.first, "fresh seeds": self.fresh} if self.seeded else {ONCE: self.judged}
        return pd.DataFrame(
            [
                {"set": name, self.claim.per: at, self.claim.unit or "value": value}
                for name, judgement in sets.items()
                if judgement is not None
                for at, value in judgement.values.items()
            ],
            columns=["set", self.claim.per, self.claim.unit or "value"],
        )


def _estimate(judgement: Judgement, seeds: str = "") -> str:
    """Mean, unit and interval, and over how many seeds."""
    claim, interval = judgement.claim, judgement.estimate
    mean = words.number(interval.mean, claim.digits, signed=True)
    where = ", ".join(filter(None, [words.ends(interval, claim.digits, signed=True), seeds]))
    return f"{mean}{' ' if claim.unit else ''}{claim.unit} ({where})"


def requirement(claim: Claim) -> str:
    """What the rule asks for, in words."""
    margin = words.amount(claim.margin, claim.unit)
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
    number: int = 0  # by which a page calls it, from 1: the paper's claims first, then by their `outcomes`

    @property
    def verdicts(self) -> str:
        """The claim and its verdicts, in words."""
        told = (f"{words.capital(recipe_name(recipe))}: {finding.verdict.value}." for recipe, finding in self.findings.items())
        return f"{self.claim.statement} {' '.join(told)}"

    @property
    def shapes(self) -> str:
        """Its verdicts' shapes, a recipe each."""
        return "".join(SHAPES[finding.verdict] for finding in self.findings.values())

    @property
    def sentence(self) -> str:
        """The claim and what became of it under every recipe."""
        told = (f"{recipe_name(recipe)}, {finding.brief}" for recipe, finding in self.findings.items())
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
        reason; the others stand. Where an experiment has no table but one of the coarse grid, that is judged and said to be so.

    Examples
    --------
    >>> for finding in claims("modern", with_variations=False)[:1]:
    ...     print(finding.claim.key, "-", finding.verdict.value)
    figure1.better-than-training - holds
    """
    first, fresh = _read(experiments.NAMES, recipe, 0, root, None), _read(experiments.NAMES, recipe, FRESH_SEED, root, False)
    every = [claim for name in experiments.NAMES for claim in experiments.get(name).claims]
    firsts = judge(every, first.tables, first.reasons)
    freshes: Sequence[Judgement | None] = judge(every, fresh.tables, fresh.reasons) if fresh.tables else [None] * len(every)
    found = []
    for claim, judgement, confirmed in zip(every, firsts, freshes, strict=True):
        name = claim.experiment
        confirms = confirmed is not None and not confirmed.why
        command = (fresh if confirms else first).commands.get(name, _command(name, recipe))
        quick = not confirms and name in first.quick
        finding = Finding(claim, recipe, judgement, confirmed, command=command, quick=quick)
        found.append(with_choices(finding, root, first) if with_variations else finding)
    return found


def judged(
    names: Sequence[str], recipe: str, first_seed: int = 0, quick: bool = False, root: Path | None = None
) -> list[Finding]:
    """The claims of some experiments, judged together by one set of tables and no other.

    Parameters
    ----------
    names
        Experiments.
    recipe, first_seed, quick
        Which tables, as `dropclust.experiments.results.file_name` names them.
    root
        Their folder; the shipped one when None.
    """
    read = _read(names, recipe, first_seed, root, quick)
    every = [claim for name in names for claim in experiments.get(name).claims]
    return [
        Finding(claim, recipe, judgement, None, command=read.commands.get(claim.experiment, ""), quick=quick)
        for claim, judgement in zip(every, judge(every, read.tables, read.reasons), strict=True)
    ]


def with_choices(finding: Finding, root: Path | None = None, read: _Read | None = None) -> Finding:
    """The finding with its claim judged under the other choices that the paper leaves open, on the first seeds.

    What is the main result itself is no other choice: the same networks on the coarse grid, networks of the precision in which
    it was trained, and a choice that gives the same value for every seed.
    """
    claim, main = finding.claim, finding.first.values
    if read is None:
        read = _read([claim.experiment], finding.recipe, 0, root, None)
    found = list(sensitivity.on_rows(claim, read.tables.get(claim.experiment, {})))
    with contextlib.suppress(results.ResultError):  # nobody has trained networks otherwise
        found += sensitivity.on_networks(claim, finding.recipe, _sensitivity(root))
    coarse = next((each for each in found if each.name == sensitivity.UNCHANGED), None)
    own = {sensitivity.trained_in(precision) for precision in read.precisions.get(claim.experiment, "").split(", ")}
    others = [each for each in found if each.name not in {sensitivity.UNCHANGED, *own}]
    equal = [each.name for each in others if each.values and each.values.items() <= main.items()]
    kept = tuple(each for each in others if each.name not in equal)
    return replace(finding, variations=kept, equal=tuple(equal), coarse=coarse)


def recipe_name(recipe: str) -> str:
    """A recipe as sentences name it."""
    return RECIPE_NAMES.get(recipe, f"recipe {recipe}")


def rows(root: Path | None = None, with_variations: bool = True) -> list[Row]:
    """Every claim under both recipes."""
    found = {recipe: claims(recipe, root, with_variations) for recipe in MAIN_RECIPES}
    shown = [Row(findings[0].claim, dict(zip(found, findings, strict=True))) for findings in zip(*found.values(), strict=True)]
    groups = [group for claims in by_author(worst_first(shown)).values() for group in outcomes(claims).values()]
    numbers = {row.claim.key: n for n, row in enumerate(chain(*groups), 1)}
    return [replace(row, number=numbers[row.claim.key]) for row in shown]


def refused(asked: Sequence[str], found: Sequence[Row]) -> str:
    """One sentence where an address asks for a claim that there is not; else none."""
    keys = [row.claim.key for row in found]
    if not asked or asked[-1] in keys:
        return ""
    return (
        f"A claim must be one of the {len(keys)} below, by its key, such as {keys[0]}; the address gave "
        f"{as_text(repr(asked[-1][:60]))}. Shown instead: all of them."
    )


def worst_first(found: Sequence[Row]) -> list[Row]:
    """Rows in the order of `ORDER`, by the first recipe under which least was seen."""
    return sorted(found, key=lambda row: min(ORDER.index(finding.verdict) for finding in row.findings.values()))


def chosen(
    found: Sequence[Row],
    recipes: Sequence[str] = MAIN_RECIPES,
    wanted: Collection[Verdict] = tuple(Verdict),
    experiment: str = "",
) -> list[Row]:
    """The rows of an experiment, or of all, with some of their recipes, where one of these has a verdict that is wanted."""
    shown = [
        replace(row, findings={recipe: row.findings[recipe] for recipe in recipes})
        for row in found
        if experiment in ("", row.claim.experiment)
    ]
    return [row for row in shown if any(finding.verdict in wanted for finding in row.findings.values())]


def count(findings: Sequence[Finding]) -> dict[Verdict, int]:
    """How many claims have each verdict, in the order in which they are said."""
    return {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in ORDER}


def claim_said(found: Sequence[Row], key: str, recipe: str) -> str:
    """What became of one claim, for the page of its experiment."""
    row = next(row for row in found if row.claim.key == key)
    finding = row.findings[recipe]
    by = "" if finding.judged is finding.first else ", by fresh seeds, which this page does not show"
    return f"{row.claim.statement} {words.capital(recipe_name(recipe))}{by}: {finding.brief}."


def summary(found: Sequence[Row], recipes: Sequence[str] = MAIN_RECIPES) -> str:
    """How the claims fare, one sentence a recipe, what was not reproduced first."""
    told = []
    for recipe in recipes:
        findings = [row.findings[recipe] for row in found]
        counts = (f"{verdict.value} {n}" for verdict, n in count(findings).items() if n)
        told.append(f"{words.capital(recipe_name(recipe))}, {words.count(len(findings), 'claim')}: {'; '.join(counts)}.")
    return " ".join(told)


def headlines(found: Sequence[Row], recipes: Sequence[str] = MAIN_RECIPES) -> str:
    """How the paper's claims fare, and then our own: a `headline` each, where there are such."""
    return " ".join(headline(rows, recipes, whose) for whose, rows in by_author(found).items())


def by_author(found: Sequence[Row]) -> dict[str, list[Row]]:
    """The paper's claims and our own, as far as there are such, by what stands before their number."""
    whose = {"the paper's ": False, "our own ": True}
    return {name: rows for name, ours in whose.items() if (rows := [row for row in found if row.claim.ours is ours])}


def outcomes(found: Sequence[Row], recipes: Sequence[str] = MAIN_RECIPES) -> dict[str, list[Row]]:
    """Claims by what became of them, in words with their number: "15 fail in one or both trainings"; the failed first.

    Each stands once, by the worst of its verdicts; what became of none is left out.
    """
    where = " in one or both trainings" if len(recipes) > 1 else ""
    words_of = {
        (Verdict.OPPOSITE, Verdict.NOT_SEEN): (f"fails{where}", f"fail{where}"),
        (Verdict.UNDECIDED,): ("undecided", "undecided"),
        (Verdict.HOLDS,): ("holds", "hold"),
        (Verdict.CONTROL_TOO,): ("holds in controls too", "hold in controls too"),
        (Verdict.NO_RESULT,): ("has no result", "have no result"),
    }
    told = {}
    for verdicts, (one, many) in words_of.items():
        if rows := [row for row in found if min((row.findings[at].verdict for at in recipes), key=ORDER.index) in verdicts]:
            told[f"{len(rows)} {one if len(rows) == 1 else many}"] = rows
    return told


def tested(found: Sequence[Row]) -> str:
    """Over how many claims Holm's correction goes where that is not all of them, and which are left out."""
    without = [row for row in found if all(finding.judged is not finding.fresh for finding in row.findings.values())]
    if not without or len(without) == len(found):
        return ""
    names = words.listed(sorted({experiments.get(row.claim.experiment).title for row in without}))
    return (
        f"The {len(found) - len(without)} claims with fresh seeds are corrected together; the other {len(without)} "
        f"({names}) have none, and are judged by their first seeds, corrected over all {len(found)}."
    )


def tiles_read(found: Sequence[Row]) -> str:
    """How to read tiles, of which each has a claim's number and the shapes of its verdicts."""
    there = {finding.verdict for row in found for finding in row.findings.values()}
    shapes = "; ".join(
        f"{SHAPES[verdict]}\N{NO-BREAK SPACE}{verdict.value}: {MEANS[verdict]}" for verdict in ORDER if verdict in there
    )
    by = words.listed(f"by the {recipe_name(recipe)}" for recipe in (found[0].findings if found else ()))
    return f"A tile is a claim: its number in the table below, then its verdict in networks trained {by}. {shapes}."


def headline(found: Sequence[Row], recipes: Sequence[str] = MAIN_RECIPES, whose: str = "") -> str:
    """How the claims fare, in at most 20 words: their `outcomes`, whose counts add up to the number of claims.

    ``whose`` stands before that number.
    """
    of = f"{whose}{words.count(len(found), 'claim')}"
    begin = words.capital(of) if len(recipes) > 1 else f"{words.capital(recipe_name(recipes[0]))}, {of}"
    return f"{begin}: {'; '.join(outcomes(found, recipes))}."


HOW = (
    "Each claim is one number a seed, held against a margin by Student's t at a level of "
    f"{100 * ALPHA:g} % after Holm's correction over all claims of a recipe; differences are paired by seed. The margins were "
    f"chosen after a look at seeds 0 to 19; seeds from {FRESH_SEED} on were run afterwards, and decide where there are such. "
    "The pages of the experiments show the seeds looked at first, so that their numbers differ a little from these. "
    "Intervals are each claim's own, without that correction: one can lie beyond the margin while the claim is undecided."
)


@dataclass(frozen=True)
class Own:
    """What a viewer's own seeds say of a claim, judged by itself."""

    claim: Claim
    first_seed: int
    quick: bool
    judgement: Judgement
    command: str

    @property
    def name(self) -> str:
        """Which seeds: "your seeds 1000 to 1004, of the coarse grid"."""
        last = self.first_seed + self.judgement.estimate.n - 1
        return f"your seeds {self.first_seed} to {last}{f', {QUICK}' if self.quick else ''}"

    @property
    def sentence(self) -> str:
        """What they say."""
        seeds = words.capital(self.name) + ("," if self.quick else "")
        return f"{seeds} say: {self.judgement.verdict.value}, {_estimate(self.judgement)}."


def own(claim: Claim, recipe: str, root: Path) -> list[Own]:
    """What a viewer's own seeds say of a claim, the latest first; sets that cannot judge it are left out.

    Parameters
    ----------
    claim, recipe
        Which claim.
    root
        Folder of the viewer's own tables.
    """
    found = []
    for path in sorted(root.glob(f"{results.file_name(claim.experiment, recipe)}-from-*.csv")):
        if parts := _OWN.search(path.stem):
            first_seed, quick = int(parts[1]), bool(parts[2])
            read = _read([claim.experiment], recipe, first_seed, root, quick)
            [judgement] = judge([claim], read.tables, read.reasons)
            if not judgement.why:
                found.append(Own(claim, first_seed, quick, judgement, read.commands[claim.experiment]))
    return sorted(found, key=lambda own: -own.first_seed)


@dataclass(frozen=True)
class _Read:
    """Tables by experiment and name, why others are not there, what makes them again, their precision, which are coarse."""

    tables: Mapping[str, Tables]
    reasons: Mapping[str, str]
    commands: Mapping[str, str]
    precisions: Mapping[str, str]
    quick: frozenset[str]


def _read(names: Sequence[str], recipe: str, first_seed: int, root: Path | None, quick: bool | None) -> _Read:
    """Read what the claims of some experiments are judged by; ``quick`` None takes the coarse grid for want of the full one."""
    tables: dict[str, dict[str, pd.DataFrame]] = {}
    reasons: dict[str, str] = {}
    commands: dict[str, str] = {}
    precisions: dict[str, str] = {}
    coarse = set()
    for name in names:
        full, short = (results.file_name(name, recipe, of, first_seed) for of in (False, True))
        there, short_there = (results.place(f"{file}.csv", root).exists() for file in (full, short))
        take = (not there and short_there) if quick is None else quick
        for table in experiments.get(name).judged_tables:
            try:
                read = results.read(results.file_name(table, recipe, take, first_seed), root)
            except results.ResultError as error:
                reasons.setdefault(name, str(error))
            else:
                tables.setdefault(name, {})[table] = read.table
                commands.setdefault(name, str(read.conditions.get("command", "")))
                precisions.setdefault(name, str(read.conditions.get("precision", "")))
                coarse |= {name} if take else set()
    return _Read(tables, reasons, commands, precisions, frozenset(coarse))


def _sensitivity(root: Path | None) -> pd.DataFrame:
    return results.read(sensitivity.NAME, root, ("recipe", "variant", "claim", "seed", "value")).table


def _command(experiment: str, recipe: str) -> str:
    return f"python -m dropclust reproduce {experiment} --recipe {recipe}"
