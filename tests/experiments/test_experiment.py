"""The shape all experiments share, seen with a small one."""

from dataclasses import replace

import pandas as pd
import pytest

from dropclust import experiments
from dropclust.core.spec import RECIPES, RunSpec
from dropclust.experiments.experiment import FRESH_SEED, Experiment, Settings


class Small(Experiment):
    """Two rates, narrow layers, few examples."""

    name, title, question, section = "small", "Small", "Does it run?", "0"

    def specs(self, settings):
        return [
            RunSpec(hidden=(5, 4, 3), dropout=(rate, 0, 0), examples=2_560, recipe=settings.recipe, seed=seed)
            for seed in range(settings.seeds)
            for rate in (0.0, 0.5)
        ]

    def measure(self, networks, data, settings):
        return pd.DataFrame([{"seed": n.spec.seed, "dropout": n.spec.dropout[0], "units": n.hidden[0]} for n in networks])

    def kept(self, settings):
        return frozenset([self.specs(settings)[0].key])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"recipe": "old"}, r"recipe must be one of modern, paper, modern-rate-3e-4, .*; got 'old'"),
        ({"seeds": 0}, r"seeds must be a whole number from 1 to 100; got 0"),
        ({"seeds": 101}, r"seeds must be a whole number from 1 to 100; got 101"),
        ({"seeds": True}, r"seeds must be a whole number from 1 to 100; got True"),
        ({"seeds": 2.0}, r"seeds must be a whole number from 1 to 100; got 2.0"),
        ({"precision": "float16"}, r"precision must be one of float32, bfloat16; got 'float16'"),
    ],
)
def test_settings_say_what_is_allowed(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**arguments)


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_precision_asked_for_is_the_networks_but_for_those_that_are_shown(name):
    experiment, seen = experiments.get(name), set()
    for settings in (Settings(seeds=1), Settings(seeds=1, precision="float32"), Settings(seeds=1, quick=True)):
        specs = experiment.specs(settings)
        reference = {spec.key for spec in specs if name == "table2" and spec.hidden == (100, 100, 100)}
        assert {spec.precision for spec in specs if spec.key not in reference} <= {settings.precision}
        assert {spec.precision for spec in specs if spec.key in reference} <= {"float32"}
        seen |= {spec.precision for spec in specs}
    assert seen == {"float32", "bfloat16"}


def test_networks_of_one_seed_are_one_group():
    groups = Small().groups(Settings(seeds=3))
    assert [[spec.seed for spec in group] for group in groups] == [[0, 0], [1, 1], [2, 2]]


def test_a_group_is_measured_and_its_kept_run_comes_with_curve_and_metrics():
    small, settings = Small(), Settings(seeds=1)
    measured = small.measure_group(small.groups(settings)[0], settings)
    assert measured.tables["small"]["dropout"].tolist() == [0.0, 0.5]
    [(trained, metrics)] = measured.kept
    assert trained.spec == small.specs(settings)[0]
    assert trained.curve[-1].examples == 2_560
    assert 0 <= metrics["test_accuracy"] <= 1


def test_run_returns_all_rows_and_tells_its_progress(monkeypatch):
    from dropclust.core import calibration

    heard, used = [], []
    small = Small()
    monkeypatch.setattr(calibration, "faster_precision", lambda: "float32")
    monkeypatch.setattr(small, "groups", lambda settings: used.append(settings) or Small().groups(settings))
    table = small.run(seeds=2, progress=heard.append)
    assert used == [Settings(seeds=2, precision="float32")]  # what the trial said
    assert list(zip(table["seed"], table["dropout"], strict=True)) == [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5)]
    assert heard == [0.5, 1.0]


def test_a_network_that_diverges_stops_the_experiment_with_its_step(monkeypatch):
    from dropclust.core import training

    monkeypatch.setitem(RECIPES, "paper", replace(RECIPES["paper"], learning_rate=1e30))
    small, settings = Small(), Settings("paper", 1)
    with pytest.raises(training.Diverged, match=r"of small diverged at step \d+"):
        small.measure_group(small.groups(settings)[0], settings)


@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_experiment_has_the_shape(name):
    experiment = experiments.get(name)
    assert experiment.name == name
    assert experiment.question.endswith("?")
    full, quick = (experiment.specs(Settings(seeds=2, quick=quick)) for quick in (False, True))
    assert sum(spec.flops for spec in quick) < sum(spec.flops for spec in full) / 4
    for specs in (full, quick):
        assert len({spec.key for spec in specs}) == len(specs)
    assert experiment.kept(Settings(seeds=2)) <= {spec.key for spec in full}
    assert getattr(experiments, name).run == experiment.run


def test_an_unknown_experiment_is_named():
    with pytest.raises(ValueError, match=r"an experiment must be one of .*table2.*; got 'table9'"):
        experiments.get("table9")
    with pytest.raises(AttributeError):
        _ = experiments.table9


@pytest.mark.parametrize("name", experiments.NAMES)
def test_other_seeds_are_the_same_networks_of_other_seeds(name):
    experiment = experiments.get(name)
    first = experiment.specs(Settings(seeds=2, quick=True))
    fresh = experiment.specs(Settings(seeds=2, quick=True, first_seed=FRESH_SEED))

    def later(spec):
        images = None if spec.subset_seed is None else spec.subset_seed + FRESH_SEED
        return replace(spec, seed=spec.seed + FRESH_SEED, subset_seed=images)

    assert {later(spec) for spec in first} == set(fresh)
