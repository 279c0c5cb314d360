"""What was seen, as README tells it: what was not reproduced first, then every claim with its verdict, all from the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dropclust.experiments import paper
from dropclust.experiments.claim import Verdict
from dropclust.findings import words
from dropclust.findings.verdicts import HOW, RECIPE_NAMES, SHAPES, Finding, Row, requirement, summary, worst_first

BEGIN, END = "<!-- claims -->", "<!-- /claims -->"
COMMAND = "python -m dropclust claims --readme"


def not_reproduced(rows: Sequence[Row]) -> list[str]:
    """The numbers of the paper that were not met, one sentence each: its accuracies with dropout, its MSTD, its slope."""
    told = []
    for key, sentence in _NUMBERS.items():
        findings = [row.findings for row in rows if row.claim.key == key]
        if findings and any(finding.verdict is not Verdict.HOLDS for finding in findings[0].values()):
            told.append(sentence(list(findings[0].values())))
    return told


def markdown(rows: Sequence[Row]) -> str:
    """README's section, between its two marks.

    Examples
    --------
    >>> from dropclust.findings.verdicts import rows
    >>> markdown(rows(with_variations=False)).splitlines()[0]
    '<!-- claims -->'
    """
    lines = [BEGIN, "", f"Written by `{COMMAND}` from the tables in `cache/results/`.", ""]
    if missed := not_reproduced(rows):
        lines += ["**Not reproduced:**", "", *(f"- {sentence}" for sentence in missed), ""]
    lines += [
        summary(rows),
        HOW,
        "",
        f"| claim | {' | '.join(RECIPE_NAMES.values())} |",
        "| --- " * (1 + len(RECIPE_NAMES)) + "|",
    ]
    for row in worst_first(rows):
        cells = (_cell(row.findings[recipe]) for recipe in RECIPE_NAMES)
        asked = f"{row.claim.statement} *{words.capital(row.claim.place)}; asked for: {requirement(row.claim)}*"
        lines.append(f"| {asked} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", END])


def between(text: str, begin: str = BEGIN, end: str = END) -> str:
    """The part of a text from one mark to the other, both included.

    Raises
    ------
    ValueError
        When the text has not each mark once, in this order.
    """
    start, stop = text.find(begin), text.find(end)
    if text.count(begin) != 1 or text.count(end) != 1 or stop < start:
        raise ValueError(
            f"the text must have the marks {begin} and {end} once each; it has {text.count(begin)} and {text.count(end)}"
        )
    return text[start : stop + len(end)]


def put(text: str, section: str, begin: str = BEGIN, end: str = END) -> str:
    """The text with what stands between its marks replaced by a section that has them too.

    Examples
    --------
    >>> put("a <!-- claims -->old<!-- /claims --> b", "<!-- claims -->new<!-- /claims -->")
    'a <!-- claims -->new<!-- /claims --> b'
    """
    return text.replace(between(text, begin, end), section)


def _cell(finding: Finding) -> str:
    if finding.judged.why:
        return f"{SHAPES[finding.verdict]} {finding.verdict.value}"
    return f"{SHAPES[finding.verdict]} {finding.brief}"


def _ours(findings: Sequence[Finding], number: Callable[[Finding], str]) -> str:
    """One number a recipe, in words."""
    return words.listed(
        f"{'no result here' if finding.judged.why else number(finding)} under the {RECIPE_NAMES[finding.recipe]}"
        for finding in findings
    )


def _accuracies(findings: Sequence[Finding]) -> str:
    theirs = paper.TABLE_1[0.4].values()
    mean = sum(theirs) / len(theirs)
    ours = _ours(findings, lambda finding: f"{mean + finding.judged.estimate.mean / 100:.3f}")
    return (
        f"The accuracies of the paper's Table 1 with dropout 0.4 are {min(theirs):.3f} to {max(theirs):.3f}, on average "
        f"{mean:.3f}. Ours are on average {ours}."
    )


def _level(findings: Sequence[Finding]) -> str:
    ours = _ours(findings, lambda finding: f"{2**finding.judged.estimate.mean:.1f} times that size")
    return f"The size of MSTD is given by the paper's line in Figure 3. Ours is {ours}."


def _slope(findings: Sequence[Finding]) -> str:
    theirs = paper.FIGURE_3["slope"]

    def number(finding: Finding) -> str:
        control = finding.judged.control
        alone = "" if control is None else f" ({theirs + control.mean:.3f} in networks trained without dropout)"
        return f"{theirs + finding.judged.estimate.mean:.3f}{alone}"

    return f"The slope of MSTD on logarithmic axes is {theirs:.3f} in the paper. Ours is {_ours(findings, number)}."


_NUMBERS: dict[str, Callable[[Sequence[Finding]], str]] = {
    "table1.level-with-dropout": _accuracies,
    "figure3.level": _level,
    "figure3.exponent": _slope,
}
