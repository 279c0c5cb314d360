"""What is said in brief: at most 15 words, computed, for every shipped table and chart."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from dropclust.core.intervals import side
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import results
from dropclust.experiments.claim import Verdict
from dropclust.findings import figure1, figure2, table2, verdicts

MOST = 15
CHARTS = {
    "figure1": ("levels", "differences", "question"),
    "table1": ("accuracy", "trend", "spread"),
    "figure2": ("variance", "sampling", "cross_entropy", "sources"),
    "table2": ("rand", "adjusted", "corrected", "twins", "firing"),
    "figure3": ("linear", "logarithmic", "slopes"),
}


def short(text: str) -> bool:
    return 3 <= len(text.split()) <= MOST and text.endswith(".") and "nan" not in text


@pytest.mark.parametrize("recipe", MAIN_RECIPES)
@pytest.mark.parametrize("name", CHARTS)
def test_the_finding_and_every_chart_is_told_in_few_words(name, recipe):
    found = import_module(f"dropclust.findings.{name}").read(recipe)
    assert short(found.headline), found.headline
    for chart in CHARTS[name]:
        shown = getattr(found, chart)
        for info in shown if isinstance(shown, tuple) else (shown,):
            assert short(info.brief), info.brief


def test_what_is_told_is_counted():
    found = figure1.read("paper", noise="gaussian", metric="brier")
    better, rates = len(found.comparison.better), len(found.comparison.differences)
    assert found.headline == f"Sampling beats scaling by Brier score at {better} of {rates} dropout rates."
    said = table2.read(layer=3, k=5)
    line = said.adjusted.series[0]
    assert f" {sum(side(line.at(x)) == 1 for x in line.x)} of {len(line.x)} " in said.headline
    seen = figure2.read().counts.rows[0][1]
    assert f"lower at {figure2.read().headline.split(' in ')[1].split(' ')[0]} of 8" in seen


def test_of_the_claims_those_that_fail_are_counted_first_each_by_its_worst_recipe():
    rows = verdicts.rows(with_variations=False)
    for recipes in (["modern"], ["paper"], list(MAIN_RECIPES)):
        text = verdicts.headline(rows, recipes)
        assert len(text.split()) <= 18
        claims, failed, undecided, held, in_controls = map(int, re.findall(r"\d+", text))
        seen = [{row.findings[recipe].verdict for recipe in recipes} for row in rows]
        assert claims == len(rows)
        assert failed == sum(bool(each & {Verdict.OPPOSITE, Verdict.NOT_SEEN}) for each in seen)
        assert undecided == sum(Verdict.UNDECIDED in each and not each & {Verdict.OPPOSITE, Verdict.NOT_SEEN} for each in seen)
        assert held == sum(each == {Verdict.HOLDS} for each in seen)
        assert in_controls == sum(Verdict.CONTROL_TOO in each and each <= {Verdict.CONTROL_TOO, Verdict.HOLDS} for each in seen)
        assert failed + undecided + held + in_controls == claims


@pytest.mark.parametrize("recipes", [["modern"], ["paper"], list(MAIN_RECIPES)], ids="-".join)
def test_the_papers_claims_and_our_own_are_counted_apart(recipes):
    rows = verdicts.rows(with_variations=False)
    text = verdicts.headlines(rows, recipes)
    theirs, ours = text.split(". ")
    assert len(theirs.split()) <= 20
    for said, whose, kept in ((f"{theirs}.", "the paper's", False), (ours, "our own", True)):
        of = [row for row in rows if row.claim.place.startswith("ours") is kept]
        assert f"{whose} {len(of)} claims: " in said[0].lower() + said[1:]
        assert re.sub(f"{whose} ", "", said, flags=re.IGNORECASE) == verdicts.headline(of, recipes)
    assert verdicts.headlines(rows[:1], recipes) == verdicts.headline(rows[:1], recipes, "the paper's ")


def test_which_claims_holms_correction_leaves_out_is_told(tmp_path):
    shipped = results.place("table1-modern.csv").parent
    for path in shipped.glob("*.*"):
        if not path.name.startswith("onset-") or "from-100" not in path.name:
            (tmp_path / path.name).symlink_to(path)
    rows = verdicts.rows(tmp_path, with_variations=False)
    fresh = [row for row in rows if all(finding.judged is finding.fresh for finding in row.findings.values())]
    assert 0 < len(fresh) < len(rows)
    assert f"The {len(fresh)} claims with fresh seeds" in verdicts.tested(rows)
    assert f"the other {len(rows) - len(fresh)} (" in verdicts.tested(rows)
    assert verdicts.tested(fresh) == ""
    assert {finding.judged.tests for row in fresh for finding in row.findings.values()} == {len(fresh)}
    assert f"over the {len(fresh)} claims with fresh seeds)" in fresh[0].findings["modern"].sentence


def test_every_shipped_claim_is_judged_by_fresh_seeds():
    rows = verdicts.rows(with_variations=False)
    assert all(finding.judged is finding.fresh for row in rows for finding in row.findings.values())
    assert verdicts.tested(rows) == ""


def test_claims_without_a_result_are_counted_too(tmp_path):
    rows = verdicts.rows(tmp_path, with_variations=False)
    assert verdicts.headline(rows, ["modern"]).endswith(f" {len(rows)} have no result.")
    assert verdicts.headline(rows[:1], ["modern"]) == "Modern recipe, 1 claim: 1 has no result."


@pytest.mark.parametrize("recipes", [["modern"], ["paper"], list(MAIN_RECIPES)], ids="-".join)
def test_the_headline_counts_groups_of_claims_each_once_and_their_numbers_run_through_them(recipes):
    rows = verdicts.chosen(verdicts.worst_first(verdicts.rows(with_variations=False)), recipes)
    groups = [
        (what, group)
        for claims in verdicts.by_author(rows).values()
        for what, group in verdicts.outcomes(claims, recipes).items()
    ]
    assert [int(what.split()[0]) for what, _ in groups] == [len(group) for _, group in groups]
    assert all(what in verdicts.headlines(rows, recipes) for what, _ in groups)
    numbers = [row.number for _, group in groups for row in group]
    assert sorted(numbers) == list(range(1, len(rows) + 1))
    if len(recipes) > 1:
        assert numbers == sorted(numbers)
    assert all("trainings" in what for what, _ in groups if "fail" in what) == (len(recipes) > 1)
