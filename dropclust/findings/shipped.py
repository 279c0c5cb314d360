"""The verdicts as they were written down beside the tables, held against those that follow from the tables now."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dropclust.experiments import results
from dropclust.experiments.claim import Judgement, Verdict
from dropclust.findings.verdicts import Finding, Row, recipe_name

NAME = "verdicts.json"
TOLERANCE = 1e-6  # of a number, relative: tables keep seven digits

Record = Mapping[str, Mapping[str, Mapping[str, Any]]]  # claim, recipe, what was found


def record(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """What is written down: by claim and recipe the verdict, estimate, interval and number of the first and of fresh seeds."""
    return {row.claim.key: {recipe: _facts(finding) for recipe, finding in row.findings.items()} for row in rows}


def text(rows: Sequence[Row]) -> str:
    """The same as the JSON of the file."""
    return json.dumps(record(rows), indent=1, sort_keys=True) + "\n"


def read(root: Path | None = None) -> Record:
    """What was written down.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the file is missing or damaged.
    """
    path = results.place(NAME, root)
    again = "write it with: python -m dropclust claims --write"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise results.ResultError(f"the file {NAME} is not there; {again}") from None
    except (OSError, ValueError) as error:
        raise results.ResultError(f"the file {NAME} cannot be read ({error}); {again}") from error
    shaped = isinstance(found, dict) and all(
        isinstance(recipes, dict) and all(isinstance(facts, dict) for facts in recipes.values()) for recipes in found.values()
    )
    if not shaped:
        raise results.ResultError(f"the file {NAME} holds no verdicts; {again}")
    return dict(found)


def differences(written: Record, rows: Sequence[Row]) -> list[str]:
    """Where what was written down does not follow from the tables, one sentence each; empty when all of it does."""
    found = []
    now = record(rows)
    for key in dict.fromkeys([*written, *now]):
        for recipe in dict.fromkeys([*written.get(key, {}), *now.get(key, {})]):
            old, new = written.get(key, {}).get(recipe), now.get(key, {}).get(recipe)
            if not _same(old, new):
                found.append(f"{key}, {recipe_name(recipe)}: written down is {_said(old)}; the tables say {_said(new)}")
    return found


def _facts(finding: Finding) -> dict[str, Any]:
    """Of the seeds that decide, and of those looked at first where fresh ones do."""
    facts = _of(finding.judged)
    if finding.judged is not finding.first:
        facts |= {f"first_{name}": value for name, value in _of(finding.first).items()}
    return facts


def _of(judgement: Judgement) -> dict[str, Any]:
    estimate = judgement.estimate
    numbers = {"estimate": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {
        "verdict": judgement.verdict.value,
        "seeds": estimate.n,
        **{name: None if math.isnan(value) else float(f"{value:.7g}") for name, value in numbers.items()},
    }


def _same(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool:
    if old is None or new is None or old.keys() != new.keys():
        return False
    return all(
        math.isclose(old[name], value, rel_tol=TOLERANCE, abs_tol=1e-12)
        if isinstance(value, float) and isinstance(old[name], float | int)
        else old[name] == value
        for name, value in new.items()
    )


def _said(facts: Mapping[str, Any] | None) -> str:
    if facts is None:
        return "nothing"
    said = [
        str(verdict) if estimate is None or verdict == Verdict.NO_RESULT.value else f"{verdict}, {estimate:g}"
        for verdict, estimate in (
            (facts.get("verdict", "no verdict"), facts.get("estimate")),
            (facts.get("first_verdict"), facts.get("first_estimate")),
        )
        if verdict is not None
    ]
    return " (first seeds: ".join(said) + ")" * (len(said) - 1)
