"""Table 3 on networks of exact copies, which every method that promises to must compress without loss."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from dropclust.core.compression import METHODS, compress
from dropclust.core.metrics import accuracy
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.prediction import scaled_logits
from dropclust.experiments import paper, table3
from dropclust.experiments.experiment import Settings

EXACT = [name for name, method in METHODS.items() if method.exact == "copies"]


def planted(h: int, trained: str, seed: int = 0, scaled: bool = False) -> Network:
    """A layer 1 of as many different neurons as the paper keeps of ``h``, each once or more; scaled: more than once smaller."""
    rng = np.random.default_rng(h + seed)
    families = table3.UNITS[h]
    copies = np.append(np.arange(families), rng.integers(0, families, h - families))
    factor = np.append(np.ones(families), rng.uniform(0.1, 0.6, h - families) if scaled else np.ones(h - families))
    mixed = rng.permutation(h)
    copies, factor = copies[mixed], factor[mixed]
    widths = (784, families, *table3.UPPER, 10)
    weights = [rng.normal(size=pair) * (2 / pair[0]) ** 0.5 for pair in pairwise(widths)]
    biases = [rng.normal(size=width) * 0.3 for width in widths[1:]]
    weights[0], biases[0], weights[1] = weights[0][:, copies] * factor, biases[0][copies] * factor, weights[1][copies]
    spec = table3.shown_spec(h, trained, seed=seed)
    return Network(*([torch.tensor(a, dtype=torch.float32) for a in arrays] for arrays in (weights, biases)), spec)


def answered(network: Network) -> Data:
    """Images of a few random pixels with the network's own answers; of the test images one in five has a wrong one."""
    x = (torch.rand(300, 784, generator=torch.Generator().manual_seed(1)) < 0.03).float()
    y = scaled_logits(network, x).argmax(1)
    test_y = torch.where(torch.arange(100) % 5 == 0, (y[200:] + 1) % 10, y[200:])
    return Data(x[:100], y[:100], x[100:200], y[100:200], x[200:], test_y)


EQUAL, SCALED = planted(400, "none"), planted(400, "all", seed=3, scaled=True)


@pytest.fixture(scope="module")
def rows():
    measured = [table3.EXPERIMENT.measure([network], answered(network), Settings("paper")) for network in (EQUAL, SCALED)]
    return pd.concat(measured, ignore_index=True)


def test_a_row_a_network_and_method_at_the_papers_units(rows):
    expected = [(0, "none", method) for method in METHODS] + [(3, "all", method) for method in METHODS]
    assert list(zip(rows["seed"], rows["trained"], rows["method"], strict=True)) == expected
    assert set(rows["recipe"]) == {"paper"}
    assert set(rows["h"]) == {400}
    assert set(rows["units"]) == {paper.TABLE_3[0.5][400][1]} == {162}


def test_copies_go_without_loss_by_the_methods_that_promise_it(rows):
    found = rows[(rows["seed"] == 0) & rows["method"].isin(EXACT)]
    assert found["method"].tolist() == EXACT
    assert set(found["width"]) == {162}
    assert found["accuracy_before"].tolist() == found["accuracy"].tolist() == [0.8] * len(EXACT)  # of the test images
    assert found["held_out_accuracy_before"].tolist() == found["held_out_accuracy"].tolist() == [1.0] * len(EXACT)
    random = rows[(rows["seed"] == 0) & (rows["method"] == "random")]
    assert (random["held_out_accuracy"] < 0.9).all()


def test_scaled_copies_go_without_loss_by_the_method_that_promises_it(rows):
    found = rows[rows["seed"] == 3].set_index("method")
    assert METHODS["neuron_merging"].exact == "scaled copies"
    assert found.loc["neuron_merging", ["accuracy_before", "accuracy", "held_out_accuracy"]].tolist() == [0.8, 0.8, 1.0]
    assert found.loc["prune", "held_out_accuracy"] < 1


def test_a_row_is_what_compress_gives_and_the_test_images_say(rows):
    data = answered(SCALED)
    before = accuracy(scaled_logits(SCALED, data.test_x), data.test_y)
    for row in rows[rows["seed"] == 3].itertuples():
        units = row.units if np.isnan(row.clusters) else int(row.clusters)
        found = compress(SCALED, 1, units, row.method, seed=3, data=data)
        after = accuracy(scaled_logits(found.network, data.test_x), data.test_y)
        assert (row.accuracy_before, row.accuracy) == (before, after)
        assert (row.held_out_accuracy_before, row.held_out_accuracy) == (found.accuracy_before, found.accuracy)
        assert row.width == found.network.hidden[0]


def test_twins_are_those_of_the_layer_before_it_is_compressed(rows):
    for seed, network in ((0, EQUAL), (3, SCALED)):
        held = answered(network).held_x.numpy()
        active = np.maximum(held @ network.weights[0].numpy() + network.biases[0].numpy(), 0)
        living = active[:, active.max(axis=0) > 0]
        alike = np.corrcoef(living.T) - 2 * np.eye(living.shape[1])
        found = rows.loc[rows["seed"] == seed, "twins"].unique()
        assert found == pytest.approx([(alike.max(axis=1) > 0.9).mean()])
        assert found[0] > 0.5  # most of these neurons are there twice or more


def test_clusters_are_counted_where_a_method_has_any(rows):
    counted = rows[rows["clusters"].notna()]
    assert set(counted["method"]) == {"paper", "fold", "least_squares", "agreement", "random"}
    others = counted[counted["method"] != "agreement"]
    assert (others["clusters"] == others["units"]).all()


def test_the_curve_is_of_the_widest_networks_of_the_first_seeds():
    settings, wide = Settings(quick=True), planted(700, "first")
    networks, data = [EQUAL, wide, planted(700, "first", seed=table3.QUICK_CURVE_SEEDS)], answered(wide)
    curve = table3.EXPERIMENT.details(networks, data, settings)["table3-curve"]
    assert set(zip(curve["seed"], curve["h"], curve["trained"], strict=True)) == {(0, 700, "first")}
    expected = [(units, method) for units in table3.QUICK_CURVE_UNITS for method in METHODS]
    assert list(zip(curve["units"], curve["method"], strict=True)) == expected
    assert (curve["width"] >= curve["units"]).all()
    assert (curve["width"] == curve["units"])[curve["method"] != "agreement"].all()
    # with as many units as there are different neurons nothing is lost, and with ten something is
    exact = curve[curve["method"].isin(EXACT)]
    lost = exact["accuracy_before"] - exact["accuracy"]
    assert (lost[exact["units"] == 177] == 0).all()
    assert (lost[exact["units"] == 10] > 0).all()
    assert table3.EXPERIMENT.details([EQUAL], data, settings) == {}


def test_the_grid_is_the_papers():
    specs = table3.EXPERIMENT.specs(Settings("paper", seeds=2))
    assert {spec.hidden for spec in specs} == {(h, 100, 100) for h in paper.TABLE_3[0.0]}
    assert {spec.dropout for spec in specs} == {(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.5, 0.5, 0.5)}
    assert len(specs) == 2 * 4 * 3
    assert {spec.precision for spec in specs} == {"bfloat16"}
    assert dict(table3.UNITS) == {h: units for h, (_, units, _) in paper.TABLE_3[0.0].items()}
    assert set(table3.UNITS.values()) & set(table3.CURVE_UNITS)
    assert (min(table3.CURVE_UNITS), max(table3.CURVE_UNITS)) == (10, 700)


def test_trainings_of_one_seed_and_width_are_one_group():
    groups = table3.EXPERIMENT.groups(Settings(seeds=2))
    assert len(groups) == 8
    for group in groups:
        assert len({(spec.seed, spec.hidden) for spec in group}) == 1
        assert [spec.dropout for spec in group] == list(table3.TRAINED.values())


def test_the_networks_that_are_kept_are_those_to_open():
    settings = Settings("modern", seeds=3)
    expected = {table3.shown_spec(700, trained).key for trained in ("none", "all")}
    assert table3.EXPERIMENT.kept(settings) == expected
    assert expected <= {spec.key for spec in table3.EXPERIMENT.specs(settings)}
    assert table3.EXPERIMENT.kept(Settings("paper", seeds=3)) == frozenset()
    assert table3.EXPERIMENT.kept(Settings(quick=True)) == frozenset()


def test_quick_has_two_widths_and_three_seeds_at_most():
    specs = table3.EXPERIMENT.specs(Settings(seeds=20, quick=True))
    assert {spec.hidden[0] for spec in specs} == {400, 700}
    assert {spec.seed for spec in specs} == {0, 1, 2}
    assert {spec.seed for spec in table3.EXPERIMENT.specs(Settings(seeds=1, quick=True))} == {0}
    assert {(spec.examples, spec.precision) for spec in specs} == {(64_000, "float32")}
