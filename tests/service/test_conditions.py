"""What a table says of how it was made: true of every shipped one, and enough to make it again."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dropclust import __main__ as command_line
from dropclust import experiments
from dropclust.experiments import results, sensitivity, table2
from dropclust.experiments.experiment import Settings
from dropclust.findings import shipped
from dropclust.service import conditions

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(
    path.stem
    for path in (ROOT / "cache" / "results").glob("*.json")
    if path.name != shipped.NAME and path.stem != sensitivity.NAME
)
QUANTILE = 4  # standard errors that a row trained again may lie from the shipped one; nobody is refused by chance


def test_a_command_of_a_full_grid_says_its_precision():
    full = "python -m dropclust reproduce counted --recipe modern --seeds 20"
    assert conditions.command("counted", Settings()) == f"{full} --precision bfloat16"
    assert conditions.command("counted", Settings(precision="float32")) == f"{full} --precision float32"
    assert conditions.command("counted", Settings(quick=True)) == f"{full} --quick"
    assert conditions.command("counted", Settings(quick=True, precision="bfloat16")) == f"{full} --quick --precision bfloat16"


@pytest.mark.parametrize(("seeds", "text"), [((3,), "3"), ((1, 0, 2), "0 to 2"), ((0, 5), "0, 5"), ((100, 101), "100 to 101")])
def test_seeds_are_said_by_their_ends(seeds, text):
    assert conditions._span(seeds) == text


def test_conditions_that_name_no_seeds_stand_in_nobodys_way():
    assert [conditions.n_seeds(facts) for facts in ({}, {"settings": 5}, {"settings": {"seeds": "all"}})] == [0, 0, 0]
    assert conditions.n_seeds({"settings": {"seeds": 20}}) == 20


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_conditions_are_those_of_todays_specs(name):
    found = results.read(name, ROOT / "cache" / "results")
    facts = found.conditions
    experiment, settings = experiments.get(facts["experiment"]), Settings(**facts["settings"])
    specs = experiment.specs(settings)
    expected = conditions.conditions(experiment, experiment.name, settings, specs, 0.0)
    for fact in ("settings", "command", "networks", "seeds", "masks", "precision"):
        assert facts[fact] == expected[fact], fact
    assert facts["rows"] == len(found.table)
    assert {"python", "torch", "numpy", "dropclust"} == set(facts["versions"])
    assert settings.recipe in name.split("-")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_command_of_a_shipped_table_asks_for_its_own_settings(name):
    facts = json.loads((ROOT / "cache" / "results" / f"{name}.json").read_text())
    _, _, program, *arguments = shlex.split(facts["command"])
    assert program == "dropclust"
    parsed = command_line._parser().parse_args(arguments)
    assert parsed.names == [facts["experiment"]]
    [recipe] = parsed.recipe
    precision = "" if parsed.quick and parsed.precision == "auto" else parsed.precision  # a coarse grid has its own
    asked = Settings(recipe, parsed.seeds, parsed.quick, precision, parsed.first_seed)
    assert asked == Settings(**facts["settings"])


def test_shipped_rows_come_out_again():
    """Two networks of Table 2, trained here: each measure lies within 4 standard errors of the shipped row.

    The standard error of one network is the spread of that measure over the shipped seeds, for other rounding on another
    machine makes another network of the same distribution, and on the same machine the same one.
    """
    facts = results.read("table2-modern", ROOT / "cache" / "results")
    settings, rates = Settings(**facts.conditions["settings"]), (0.2, 0.5)
    specs = [
        spec
        for spec in table2.EXPERIMENT.specs(settings)
        if spec.seed == 0 and spec.hidden == table2.HIDDEN and spec.dropout[0] in rates
    ]
    assert len(specs) == len(rates)
    again = table2.EXPERIMENT.measure_group(specs, settings, threads=1).tables["table2"].query("k == 10")
    shipped = facts.table.query("width == 100 and k == 10 and dropout in @rates")
    where = ["dropout", "layer"]
    measures = ["scaled_accuracy", "sampled_accuracy", "rand", "adjusted_rand", "correlation_within"]
    errors = shipped.groupby(where)[measures].std()
    one, other = (table.set_index(where)[measures].sort_index() for table in (again, shipped.query("seed == 0")))
    pd.testing.assert_index_equal(one.index, other.index)
    assert np.all((one - other).abs() <= QUANTILE * errors), (one - other) / errors
