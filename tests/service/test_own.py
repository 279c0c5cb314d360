"""An experiment of one's own is found in its file; what is no experiment costs one sentence."""

import sys
from pathlib import Path

import pytest

from dropclust import experiments
from dropclust.service import own

MINE = """
import pandas as pd
from dropclust import RunSpec
from dropclust.experiments.experiment import Experiment

class Mine(Experiment):
    name, title, question, section = "mine", "Mine", "Is it mine?", "own"

    def specs(self, settings):
        return [RunSpec(seed=seed) for seed in range(settings.seeds)]

    def measure(self, networks, data, settings):
        return pd.DataFrame({"seed": [network.spec.seed for network in networks]})

EXPERIMENT = Mine()
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file, imported afresh and forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = []

    def write(text, name="my_experiment.py"):
        path = tmp_path / name
        path.write_text(text)
        names.append(path.stem)
        return str(path)

    yield write
    for name in names:
        if getattr(sys.modules.get(name), "__file__", "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("last", ["EXPERIMENT = Mine()", "EXPERIMENT = Mine"])
def test_a_file_is_an_experiment(write, last):
    path = write(MINE.replace("EXPERIMENT = Mine()", last))
    found = own.experiment(path)
    assert found.name == "mine"
    assert type(found).__module__ == "my_experiment"
    assert own.files(["table2", path]) == [Path(path)]


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_papers_experiments_are_found_by_name(name):
    assert own.experiment(name) is experiments.get(name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 / 0", r"cannot be run: ZeroDivisionError: division by zero"),
        ("def", r"cannot be run: SyntaxError: "),
        ("import nothing_of_this_name", r"cannot be run: ModuleNotFoundError: "),
        ("", r"must have an EXPERIMENT that is an Experiment; got NoneType"),
        ("EXPERIMENT = 5", r"must have an EXPERIMENT that is an Experiment; got int"),
        (MINE.replace("def measure", "def weigh").replace("Mine()", "Mine"), r"must be complete: .*abstract"),
        (MINE.replace('"mine", ', '"table2", '), r"must have a name of its own, .*; got 'table2'"),
        (MINE.replace('"mine", ', '"../mine", '), r"must have a name of its own, .*; got '../mine'"),
        (
            MINE.replace(', section = "mine", "Mine", "Is it mine?", "own"', ' = "mine", "Mine", "Is it mine?"'),
            r"must have a section",
        ),
    ],
)
def test_a_file_that_is_no_experiment_costs_one_sentence(write, text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        own.experiment(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["random.py", "__main__.py", "my-experiment.py", "9.py", ".py"])
def test_a_file_that_cannot_be_imported_by_its_name_is_refused(write, name):
    with pytest.raises(ValueError, match="must have a module's name that no other module has"):
        own.experiment(write(MINE, name))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"the file of an experiment must be there; got 'nowhere/mine\.py'"):
        own.experiment("nowhere/mine.py")
