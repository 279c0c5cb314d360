"""`claims` as somebody types it: what failed first, filters, what is checked, and that it loads no torch."""

import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from dropclust import __main__ as command_line
from dropclust.experiments import results
from dropclust.findings import shipped, verdicts
from dropclust.service import tables


def blocks(text):
    first, *rest = text.strip().split("\n\n")
    return first, [block.splitlines() for block in rest]


def test_both_recipes_are_printed_what_failed_first(capsys):
    assert command_line.main(["claims"]) == 0
    summary, claims = blocks(capsys.readouterr().out)
    rows = verdicts.worst_first(verdicts.rows(with_variations=False))
    assert summary == verdicts.summary(rows)
    assert [claim[0] for claim in claims] == [row.claim.key for row in rows]
    for row, (_, statement, *recipes) in zip(rows, claims, strict=True):
        assert statement.strip() == row.claim.statement
        said = [f"{verdicts.recipe_name(recipe)}: {finding.brief}" for recipe, finding in row.findings.items()]
        assert [line.strip() for line in recipes] == said


def test_filters_leave_what_was_asked_for(capsys):
    assert command_line.main(["claims", "--recipe", "paper", "--verdict", "holds"]) == 0
    summary, claims = blocks(capsys.readouterr().out)
    assert summary.startswith("Paper's recipe")
    assert "Modern" not in summary
    assert claims
    for _, _, line in claims:
        assert line.strip().startswith("paper's recipe: holds: ")


@pytest.mark.parametrize("arguments", [["--recipe", "bread"], ["--verdict", "perhaps"]])
def test_what_is_not_a_choice_costs_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["claims", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_loads_no_torch(subprocess_environment):
    program = (
        "import sys; from dropclust.__main__ import main; main(['claims']); assert 'torch' not in sys.modules; "
        "assert 'distributed' not in sys.modules and 'streamlit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=subprocess_environment, capture_output=True)


def test_a_changed_value_makes_the_check_fail_and_names_each_claim(tmp_path, monkeypatch, capsys):
    assert command_line.main(["claims", "--check"]) == 0
    shutil.copytree(results.folder(), tmp_path / "results")
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    assert command_line.main(["claims", "--check"]) == 0
    assert not capsys.readouterr().out
    found = results.read("table1-modern")
    found.table.loc[(found.table["dropout"] == 0.4) & (found.table["seed"] == 3), "accuracy"] -= 0.1
    tables.write(results.folder(), "table1-modern", found.table, found.conditions)
    assert command_line.main(["claims", "--check"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("table1.level-with-dropout, modern recipe: written down is not seen, ") for line in said)
    assert said[-1].startswith("README.md does not say what the tables say")
    assert not any("paper's recipe" in line for line in said)
    assert command_line.main(["claims", "--write"]) == 0
    assert capsys.readouterr().out.strip() == str(results.place(shipped.NAME))


def test_reproduce_ends_with_its_findings(monkeypatch, capsys):
    monkeypatch.setattr("dropclust.service.pool.processes", lambda workers, device: nullcontext())
    monkeypatch.setattr("dropclust.service.reproduce.reproduce", lambda *_, **__: [Path("figure1-modern.csv")])
    assert command_line.main(["reproduce", "figure1", "--precision", "float32"]) == 0
    path, *said = capsys.readouterr().out.splitlines()
    assert path == "figure1-modern.csv"
    found = verdicts.judged(["figure1"], "modern")
    assert said == [f"{finding.claim.statement} {finding.sentence}" for finding in found]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["figure1", "--only", "paper"], "--only is for sensitivity alone; got figure1"),
        (["sensitivity", "--only", "soup"], "a variant must be one of modern: the coarse grid"),
        (["sensitivity", "figure1"], "an experiment must be one of"),
    ],
)
def test_what_sensitivity_does_not_know_costs_one_line(arguments, sentence, capsys):
    assert command_line.main(["reproduce", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_report_is_written(tmp_path, capsys):
    assert command_line.main(["claims", "--report", str(tmp_path / "claims.html")]) == 0
    assert "Not reproduced" in (tmp_path / "claims.html").read_text(encoding="utf-8")
