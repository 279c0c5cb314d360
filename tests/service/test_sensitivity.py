"""The claims under other choices: every experiment of every variant, resumed, a subset at a time, into one table."""

import pandas as pd
import pytest

from dropclust import experiments
from dropclust.experiments import results, sensitivity
from dropclust.experiments.claim import Claim, Rule
from dropclust.experiments.experiment import Experiment, Measured
from dropclust.experiments.sensitivity import ALL
from dropclust.service import sensitivity as measured
from tests.service.test_reproduce import Here

TWO = [variant for variant in ALL if variant.recipe == "modern"][:2]


class Small(Experiment):
    """One network a seed, not trained; its value is its seed, and a tenth where the recipe is not the main one."""

    title, question, section = "Small", "Is it so?", "0"

    def __init__(self, name):
        self.name, self.calls, self.broken, self.diverging = name, [], None, ()
        claim = Claim(f"{name}.so", "nowhere", "It is so.", self.value, "", 1.0, "because", Rule.MORE, "value")
        self.claims = (claim,)

    def value(self, tables):
        return tables[self.name].set_index("seed")["value"]

    def specs(self, settings):
        from dropclust.core.spec import RunSpec

        return [
            RunSpec(hidden=(2, 2, 2), examples=256 * (1 + seed), recipe=settings.recipe, seed=seed)
            for seed in settings.seed_range
        ]

    def measure(self, networks, data, settings):
        raise NotImplementedError

    def measure_group(self, specs, settings, threads=None, device="cpu"):
        [spec] = specs
        if (settings.recipe, spec.seed) == self.broken:
            raise RuntimeError("interrupted")
        if (settings.recipe, spec.seed) in self.diverging:
            raise ArithmeticError("diverged")
        self.calls.append((settings.recipe, spec.seed))
        value = spec.seed if settings.recipe == "modern" else 0.1
        return Measured({self.name: pd.DataFrame({"seed": [spec.seed], "value": [value]})}, ())


@pytest.fixture
def small(monkeypatch):
    made = {name: Small(name) for name in ("one", "two")}
    monkeypatch.setattr(experiments, "NAMES", tuple(made))
    monkeypatch.setattr(experiments, "get", made.__getitem__)
    return made


def test_every_claim_has_its_statistic_for_every_variant_and_seed(small, tmp_path):
    heard = []
    path = measured.measure(TWO, Here(), tmp_path, lambda done, total: heard.append((done, total)))
    assert path == tmp_path / "sensitivity.csv"
    found = results.read("sensitivity", tmp_path)
    assert found.command == "python -m dropclust reproduce sensitivity"
    assert len(found.table) == 2 * 2 * sensitivity.SEEDS
    values = found.table.groupby(["variant", "claim"])["value"].apply(list)
    for claim in ("one.so", "two.so"):
        assert values[TWO[0].name, claim] == list(range(sensitivity.SEEDS))
        assert values[TWO[1].name, claim] == [0.1] * sensitivity.SEEDS
    assert heard == [(done, 2 * 2 * sensitivity.SEEDS) for done in range(1, 2 * 2 * sensitivity.SEEDS + 1)]
    assert small["one"].calls[0][1] == sensitivity.SEEDS - 1  # the longest of all first
    assert not list((tmp_path / "parts" / "sensitivity").glob("*"))


def test_an_interruption_costs_the_groups_under_way(small, tmp_path):
    small["two"].broken = ("modern", 0)
    with pytest.raises(RuntimeError, match="interrupted"):
        measured.measure(TWO, Here(), tmp_path)
    assert not (tmp_path / "sensitivity.csv").exists()
    small["two"].broken = None
    measured.measure(TWO, Here(), tmp_path)
    for experiment in small.values():
        assert len(experiment.calls) == len(set(experiment.calls)) == 2 * sensitivity.SEEDS


def test_a_subset_leaves_the_others_in_the_table_and_replaces_its_own(small, tmp_path):
    measured.measure(TWO[:1], Here(), tmp_path)
    measured.measure(TWO[1:], Here(), tmp_path)
    measured.measure(TWO[1:], Here(), tmp_path)
    table = results.read("sensitivity", tmp_path).table
    assert table.groupby("variant").size().to_dict() == {variant.name: 2 * sensitivity.SEEDS for variant in TWO}


def test_a_change_that_makes_the_same_networks_of_both_recipes_is_trained_once(small, tmp_path):
    both = [variant for variant in ALL if variant.settings.recipe == "modern-sgd"]
    assert {variant.recipe for variant in both} == {"modern", "paper"}
    measured.measure(both, Here(), tmp_path)
    assert len(small["one"].calls) == sensitivity.SEEDS
    assert set(results.read("sensitivity", tmp_path).table["recipe"]) == {"modern", "paper"}


def test_what_diverges_has_no_rows_and_the_rest_stands(small, tmp_path):
    small["one"].diverging = [("modern", 1)]
    small["two"].diverging = [("modern", seed) for seed in range(sensitivity.SEEDS)]
    measured.measure(TWO[:1], Here(), tmp_path)
    table = results.read("sensitivity", tmp_path).table
    assert table["claim"].unique().tolist() == ["one.so"]
    assert table["seed"].tolist() == [seed for seed in range(sensitivity.SEEDS) if seed != 1]


def test_variants_are_chosen_by_a_part_of_their_name():
    assert sensitivity.chosen([]) == list(ALL)
    assert {variant.name for variant in sensitivity.chosen(["4 times"])} == {"4 times the images"}
    assert {variant.recipe for variant in sensitivity.chosen(["paper:"])} == {"paper"}
    with pytest.raises(ValueError, match=r"a variant must be one of modern: the coarse grid, unchanged; .*; got 'soup'"):
        sensitivity.chosen(["soup"])
