"""Tables on disk: whole, with their conditions, and refused in one sentence when damaged."""

import json

import pandas as pd
import pytest

from dropclust.experiments import results
from dropclust.service import tables

TABLE = pd.DataFrame({"seed": [0, 1], "rand": [0.123456789012, 2.0], "name": ["a", "b, c"]})


def test_a_table_comes_back_with_its_conditions(tmp_path):
    path = tables.write(tmp_path, "small-modern", TABLE, {"command": "make it", "seeds": 2})
    found = results.read("small-modern", tmp_path)
    pd.testing.assert_frame_equal(found.table, TABLE.assign(rand=[0.1234568, 2.0]))
    assert found.command == "make it"
    assert found.conditions["rows"] == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small-modern.csv", "small-modern.json"]
    before = path.read_bytes()
    tables.write(tmp_path, "small-modern", TABLE, {"command": "make it", "seeds": 2})
    assert path.read_bytes() == before


def test_quick_tables_have_names_of_their_own():
    assert results.file_name("table2", "paper") == "table2-paper"
    assert results.file_name("table2", "paper", quick=True) == "table2-paper-quick"


def damage_nothing(path):
    path.unlink()


def damage_a_digit(path):
    path.write_bytes(path.read_bytes().replace(b"0.1234568", b"0.1234569"))


def damage_conditions(path):
    path.with_suffix(".json").write_text("{")


def damage_kind_of_conditions(path):
    path.with_suffix(".json").write_text("[]")


def damage_digest(path):
    facts = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(facts | {"sha256": "0" * 64}))


@pytest.mark.parametrize(
    "damage", [damage_nothing, damage_a_digit, damage_conditions, damage_kind_of_conditions, damage_digest]
)
def test_a_missing_or_damaged_table_costs_one_sentence_and_names_the_command(tmp_path, damage):
    damage(tables.write(tmp_path, "small-modern", TABLE, {"command": "make it"}))
    with pytest.raises(results.ResultError, match=r"^the table small-modern .*python -m dropclust reproduce small$"):
        results.read("small-modern", tmp_path)


@pytest.mark.parametrize("name", ["../secret", "a/b", "", "A", "x" * 65])
def test_a_name_never_becomes_a_path_elsewhere(tmp_path, name):
    with pytest.raises(results.ResultError, match="name must be small letters"):
        results.read(name, tmp_path)


def test_a_table_of_another_version_is_refused_with_the_column_it_lacks(tmp_path):
    tables.write(tmp_path, "small-modern", pd.DataFrame({"seed": [0], "old": [1.0]}), {"command": "x"})
    assert results.read("small-modern", tmp_path, ("seed", "old")).table["old"].tolist() == [1.0]
    with pytest.raises(results.ResultError) as caught:
        results.read("small-modern", tmp_path, ("seed", "new"))
    assert str(caught.value) == (
        "the table small-modern has no column new: another version made it; "
        "make it again with: python -m dropclust reproduce small"
    )
