"""What is said of the claims: from whole tables, quick ones, missing, damaged and foreign ones, fresh seeds, one seed."""

import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from dropclust import experiments
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import results, sensitivity
from dropclust.experiments.claim import Verdict
from dropclust.experiments.experiment import FRESH_SEED
from dropclust.findings import account, forest, shipped, verdicts
from dropclust.service import tables

KEY = "figure1.better-than-training"


@pytest.fixture
def root(tmp_path):
    """A copy of the shipped tables, without fresh seeds."""
    return shutil.copytree(results.folder(), tmp_path / "results", ignore=shutil.ignore_patterns(f"*-from-{FRESH_SEED}.*"))


def rewrite(root, name, change, new_name=None):
    """Change a table and write it with conditions that fit it."""
    found = results.read(name, root)
    tables.write(root, new_name or name, change(found.table.copy()), found.conditions)


def finding(root, key=KEY, recipe="modern"):
    return next(found for found in verdicts.claims(recipe, root, with_variations=False) if found.claim.key == key)


def test_every_claim_is_there_under_both_recipes_with_a_sentence_and_a_table():
    rows = verdicts.rows()
    assert [row.claim for row in rows] == [claim for name in experiments.NAMES for claim in experiments.get(name).claims]
    for row in rows:
        assert list(row.findings) == list(MAIN_RECIPES)
        for found in row.findings.values():
            assert found.verdict.value in found.sentence
            assert row.claim.statement in row.sentence
            sets = [found.first, *([found.fresh] if found.fresh else [])]
            if not found.seeded:  # what is derived is computed once
                assert found.fresh is None or found.fresh.values == found.first.values
                sets = [found.judged]
            assert len(found.values()) == sum(judgement.estimate.n for judgement in sets)
            assert found.command.startswith(f"python -m dropclust reproduce {row.claim.experiment} --recipe {found.recipe}")


def test_what_failed_stands_first():
    ordered = verdicts.worst_first(verdicts.rows(with_variations=False))
    worst = [min(verdicts.ORDER.index(found.verdict) for found in row.findings.values()) for row in ordered]
    assert worst == sorted(worst)


def test_a_missing_table_is_no_result_with_the_command_and_the_rest_stands(root):
    before = verdicts.claims("paper", root, with_variations=False)
    (root / "figure1-paper.csv").unlink()
    after = verdicts.claims("paper", root, with_variations=False)
    for old, new in zip(before, after, strict=True):
        if old.claim.experiment == "figure1":
            assert new.verdict is Verdict.NO_RESULT
            assert "python -m dropclust reproduce figure1 --recipe paper" in new.sentence
        else:
            assert new.judged.estimate == old.judged.estimate or math.isnan(old.judged.estimate.mean)


FOREIGN = {
    "other columns": lambda table: pd.DataFrame({"seed": [1, 2], "colour": ["red", "blue"]}),
    "no rows": lambda table: table.iloc[:0],
    "words for numbers": lambda table: table.assign(accuracy="high"),
    "every row twice": lambda table: pd.concat([table, table]),
    "no column": lambda table: table.iloc[:, :0],
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_table_is_no_result_and_the_rest_stands(root, change):
    rewrite(root, "figure1-modern", change)
    assert finding(root).verdict is Verdict.NO_RESULT
    assert finding(root, "table1.level-with-dropout").verdict is Verdict.NOT_SEEN


def test_a_damaged_table_is_no_result_with_the_reason(root):
    path = root / "figure1-modern.csv"
    path.write_bytes(path.read_bytes()[:-10])
    assert "the table figure1-modern is damaged" in finding(root).sentence


def test_an_empty_folder_has_no_result_for_any_claim(tmp_path):
    found = verdicts.rows(tmp_path)
    assert {finding.verdict for row in found for finding in row.findings.values()} == {Verdict.NO_RESULT}
    assert "no result here" in account.markdown(found)


def test_one_seed_is_undecided_without_an_interval(root):
    rewrite(root, "figure1-modern", lambda table: table[table["seed"] == 0])
    found = finding(root)
    assert found.verdict is Verdict.UNDECIDED
    assert "no interval, 1 seed" in found.sentence


def test_quick_tables_stand_in_for_full_ones_and_are_said_to_be_quick(root):
    full = finding(root)
    for suffix in (".csv", ".json"):
        (root / f"figure1-modern{suffix}").rename(root / f"figure1-modern-quick{suffix}")
    found = finding(root)
    assert found.quick
    assert found.verdict is full.verdict
    assert verdicts.QUICK in found.brief
    assert verdicts.QUICK in found.sentence
    assert verdicts.QUICK not in finding(root, "table1.level-with-dropout").brief


def test_fresh_seeds_decide_and_the_first_ones_stand_beside_them(root):
    rewrite(root, "figure1-modern", lambda table: table.assign(seed=table["seed"] + 100), "figure1-modern-from-100")
    found = finding(root)
    assert found.judged is found.fresh
    assert list(found.fresh.values) == list(range(100, 120))
    assert "The seeds looked at first say" in found.sentence
    assert "20 seeds); first seeds: the same, +4.01 (" in found.brief
    assert found.values().groupby("set").size().to_dict() == {"first seeds": 20, "fresh seeds": 20}
    assert finding(root, "table1.level-with-dropout").judged.why == ""


def test_networks_trained_otherwise_stand_among_the_other_choices(root):
    rows = [
        {"recipe": "modern", "variant": "half the images", "claim": KEY, "seed": seed, "value": 4 + seed / 100}
        for seed in range(5)
    ]
    tables.write(root, sensitivity.NAME, pd.DataFrame(rows), {"command": "python -m dropclust reproduce sensitivity"})
    found = verdicts.with_choices(finding(root), root)
    [other] = [variation for variation in found.variations if variation.name == "half the images"]
    assert other.verdict is Verdict.HOLDS
    assert other.interval.mean == pytest.approx(4.02)
    assert "other choices that the paper leaves open" in found.sentence


def test_the_main_result_itself_is_no_other_choice():
    for row in verdicts.rows():
        for found in row.findings.values():
            names = [variation.name for variation in found.variations]
            assert sensitivity.UNCHANGED not in names
            assert sensitivity.trained_in("bfloat16") not in names  # as the shipped networks were trained
            for variation in found.variations:
                shared = {seed: found.first.values.get(seed) for seed in variation.values}
                assert variation.values != shared
            assert not set(found.equal) & set(names)
            if names:
                assert f"of {len(names)} other choice" in found.stability
            for name in found.equal:
                assert name in found.stability
                assert name in found.sentence


def test_a_choice_that_gives_the_main_results_own_values_is_named_and_not_counted():
    found = next(row for row in verdicts.rows() if row.claim.key == "table2.corrected-rises").findings["modern"]
    assert found.equal == ("k-means, 4 starts",)  # of which the main table is
    assert "Not counted, for its numbers are the main result's own: k-means, 4 starts." in found.stability
    assert found.coarse is not None
    assert "there the main choices themselves give: holds" in found.stability
    marks = [mark.name for mark in forest.forest(found).marks]
    assert len(marks) == len(set(marks)) == 3 + len(found.variations)


def test_without_another_choice_none_is_counted():
    found = next(row for row in verdicts.rows() if row.claim.key == "figure3.clusters-explain").findings["paper"]
    assert found.variations == ()
    assert found.stability.startswith("Not counted, for its numbers are the main result's own: clusters by outgoing weights")


def test_what_is_derived_stands_once_and_says_that_it_has_no_seeds():
    row = next(row for row in verdicts.rows(with_variations=False) if row.claim.key == "figure3.derivation")
    for found in row.findings.values():
        assert found.brief.endswith("7 widths), computed once, without seeds")
        assert "seeds looked at first" not in found.sentence
        assert [mark.name for mark in forest.forest(found).marks] == [verdicts.ONCE]
        assert set(found.values()["set"]) == {verdicts.ONCE}


def test_one_of_a_unit_is_in_the_singular():
    found = next(row for row in verdicts.rows(with_variations=False) if row.claim.key == "onset.compression-follows")
    assert verdicts.requirement(found.claim) == "more than 1 point"
    for row in verdicts.rows(with_variations=False):
        assert not re.search(
            r"(?<![\d.])1 (percentage )?(points|doublings|seeds|widths)\b", row.sentence + verdicts.requirement(row.claim)
        )


def test_every_verdict_that_is_there_is_explained_beside_the_tiles():
    rows = verdicts.rows(with_variations=False)
    read = verdicts.tiles_read(rows)
    for verdict in {found.verdict for row in rows for found in row.findings.values()}:
        assert f"{verdict.value}: {verdicts.MEANS[verdict]}" in read
    assert set(verdicts.MEANS) == set(Verdict)


def test_it_is_said_that_other_pages_show_the_first_seeds():
    assert "The pages of the experiments show the seeds looked at first" in verdicts.HOW


def test_a_claim_that_there_is_not_costs_one_sentence_that_says_what_is_allowed():
    rows = verdicts.rows(with_variations=False)
    assert verdicts.refused([], rows) == verdicts.refused([KEY], rows) == ""
    said = verdicts.refused(["nope"], rows)
    assert "'nope'" in said
    assert f"one of the {len(rows)} below" in said
    assert rows[0].claim.key in said
    assert "![" not in verdicts.refused(["![a](b)"], rows)


def test_one_set_of_tables_is_judged_by_itself(root):
    found = verdicts.judged(["figure1"], "modern", root=root)
    assert [one.claim.experiment for one in found] == ["figure1"] * len(experiments.get("figure1").claims)
    assert found[0].judged.estimate == finding(root).first.estimate
    assert {one.verdict for one in verdicts.judged(["figure1"], "modern", 100, root=root)} == {Verdict.NO_RESULT}


def test_rows_are_chosen_by_recipe_verdict_and_experiment():
    rows = verdicts.rows(with_variations=False)
    assert verdicts.chosen(rows) == rows
    for row in verdicts.chosen(rows, ["paper"], {Verdict.HOLDS}, "figure1"):
        assert row.claim.experiment == "figure1"
        assert [found.verdict for found in row.findings.values()] == [Verdict.HOLDS]


# ---- what is written down


def test_what_is_written_down_follows_from_the_tables_until_one_value_changes(root, tmp_path):
    def of(root):
        return verdicts.rows(root, with_variations=False)

    (root / shipped.NAME).write_text(shipped.text(of(root)))
    section = account.markdown(of(root))
    assert shipped.differences(shipped.read(root), of(root)) == []

    def change(table):
        where = table.index[(table["prediction"] == "sampled") & (table["dropout"] == 0.4) & (table["noise"] == "bernoulli")][0]
        table.loc[where, "accuracy"] -= 0.2
        return table

    rewrite(root, "figure1-modern", change)
    differing = shipped.differences(shipped.read(root), of(root))
    assert any(sentence.startswith("figure1.scaling-close, modern recipe") for sentence in differing)
    assert account.markdown(of(root)) != section


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"b": 1}}'])
def test_a_damaged_file_of_verdicts_costs_one_sentence(tmp_path, text):
    (tmp_path / shipped.NAME).write_text(text)
    with pytest.raises(results.ResultError, match="claims --write"):
        shipped.read(tmp_path)


def test_a_claim_that_is_gone_or_new_is_named():
    rows = verdicts.rows(with_variations=False)
    written = shipped.record(rows)
    gone = {"figure9.gone": written.pop(KEY)} | written
    differing = shipped.differences(gone, rows)
    assert any(sentence.startswith("figure9.gone") and sentence.endswith("the tables say nothing") for sentence in differing)
    assert any(sentence.startswith(KEY) and "written down is nothing" in sentence for sentence in differing)


# ---- README's section


def test_the_numbers_that_were_not_met_are_those_of_the_tables():
    rows = verdicts.rows(with_variations=False)
    said = " ".join(account.not_reproduced(rows))
    for recipe in MAIN_RECIPES:
        table = results.read(results.file_name("table1", recipe, first_seed=FRESH_SEED)).table  # fresh seeds decide
        accuracy = table.query("dropout == 0.4 and prediction == 'sampled'").groupby("batch_size")["accuracy"].mean().mean()
        assert f"{accuracy:.3f} under the {verdicts.RECIPE_NAMES[recipe]}" in said
    assert said.startswith("The accuracies of the paper's Table 1 with dropout 0.4 are 0.697 to 0.836")


def test_every_claim_has_a_row_in_the_section():
    section = account.markdown(verdicts.rows(with_variations=False))
    for name in experiments.NAMES:
        for claim in experiments.get(name).claims:
            assert section.count(f"| {claim.statement} ") == 1


@pytest.mark.parametrize(
    "text", ["", "<!-- claims -->", "<!-- /claims --><!-- claims -->", "<!-- claims -->" * 2 + "<!-- /claims -->"]
)
def test_a_text_without_its_marks_is_refused(text):
    with pytest.raises(ValueError, match="once each"):
        account.between(text)


def test_the_estimate_is_a_mean_of_the_values():
    found = finding(None)
    assert found.judged.estimate.mean == pytest.approx(np.mean(list(found.judged.values.values())))


def floats(table, value):
    return table.assign(**{column: value for column in table.columns if table[column].dtype.kind == "f"})


BROKEN = FOREIGN | {
    "no numbers": lambda table: floats(table, math.nan),
    "infinite": lambda table: floats(table, math.inf),
    "words everywhere": lambda table: floats(table, "high"),
    "half of the rows": lambda table: table.sample(frac=0.5, random_state=0),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_no_table_of_any_experiment_breaks_a_claim(root, change):
    for path in root.glob("*-modern.csv"):
        rewrite(root, path.stem, change)
    for found in verdicts.claims("modern", root):
        assert found.sentence
        assert forest.forest(found).sentence == found.sentence
