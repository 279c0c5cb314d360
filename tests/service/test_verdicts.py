"""What is shipped says what the tables say: the verdicts beside them, and README."""

import shutil

from dropclust.experiments import results
from dropclust.findings import account, verdicts
from dropclust.service import verdicts as written

ROWS = verdicts.rows(with_variations=False)


def test_the_shipped_verdicts_and_readme_follow_from_the_shipped_tables():
    assert written.differences(ROWS) == []


def test_readme_says_what_the_tables_say():
    assert account.between(written.README.read_text(encoding="utf-8")) == account.markdown(ROWS)


def test_what_was_written_is_in_order_and_what_was_typed_is_found(tmp_path):
    readme = shutil.copy(written.README, tmp_path / "README.md")
    assert written.write(ROWS, tmp_path) == results.place("verdicts.json", tmp_path)
    assert written.write_readme(ROWS, readme) == readme
    assert written.differences(ROWS, tmp_path, readme) == []
    readme.write_text(readme.read_text().replace("opposite:", "holds:", 1))
    assert written.differences(ROWS, tmp_path, readme) == [
        "README.md does not say what the tables say; write it with: python -m dropclust claims --readme"
    ]
    readme.write_text("nothing")
    [sentence] = written.differences(ROWS, tmp_path, readme)
    assert sentence.startswith("README.md: the text must have the marks")


def test_verdicts_that_were_not_written_down_are_said(tmp_path):
    [sentence] = written.differences(ROWS, tmp_path, tmp_path / "README.md")
    assert "python -m dropclust claims --write" in sentence
