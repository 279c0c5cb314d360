"""Figure 2 against naive masks, and its jackknife against leaving each model out in earnest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dropclust.core import metrics
from dropclust.core.metrics import model_variance
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments import figure2
from dropclust.experiments.experiment import Settings
from tests.experiments.test_figure1 import log_softmax, naive_logits, random_network, scores

QUICK = Settings(quick=True)


@pytest.fixture(scope="module")
def images() -> Data:
    x, y = torch.rand(50, 784, generator=torch.Generator().manual_seed(3)), torch.arange(50) % 10
    return Data(x[:40], y[:40], x[:40], y[:40], x, y)


# ---- pseudo-values


def as_for_ten(predictions: torch.Tensor) -> float:
    """What the paper's formula gives for ten models on average, from any number of them: unbiased, times 9/10."""
    models = len(predictions)
    return metrics.model_variance(predictions) * models / (models - 1) * 9 / 10


@given(
    models=st.integers(3, 9), n=st.integers(1, 4), seed=st.integers(0, 10_000), scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 1e3]),
)  # fmt: skip
def test_pseudo_values_are_pseudo_values_of_leaving_one_model_out(models, n, seed, scale, offset):
    rng = torch.Generator().manual_seed(seed)
    predictions = scale * torch.randn(models, n, 10, generator=rng, dtype=torch.float64) + offset
    whole = as_for_ten(predictions)
    expected = []
    for left_out in range(models):
        others = torch.cat((predictions[:left_out], predictions[left_out + 1 :]))
        expected.append(models * whole - (models - 1) * as_for_ten(others))
    pseudo = figure2.pseudo_values(predictions)
    assert pseudo == pytest.approx(expected, rel=1e-6, abs=1e-8 * whole * models)
    assert np.mean(pseudo) == pytest.approx(whole, rel=1e-9)


def test_ten_models_have_the_papers_variance_on_average():
    # Independent standard normal predictions: the paper's divisor of ten gives 9/10 on average, whatever number is trained.
    rng = torch.Generator().manual_seed(0)
    for models in (3, 10, 20):
        found = [np.mean(figure2.pseudo_values(torch.randn(models, 5, 10, generator=rng))) for _ in range(200)]
        error = np.std(found, ddof=1) / math.sqrt(len(found))
        assert abs(np.mean(found) - 0.9) < 4 * error


def test_equal_models_have_no_variance_and_one_that_is_apart_has_the_largest_share():
    assert figure2.pseudo_values(torch.ones(4, 3, 10)) == [0.0] * 4
    predictions = torch.zeros(5, 3, 10)
    predictions[2] += 1
    pseudo = figure2.pseudo_values(predictions)
    assert max(range(5), key=pseudo.__getitem__) == 2


@pytest.mark.parametrize("models", [1, 2])
def test_of_fewer_than_three_models_none_can_be_left_out(models):
    pseudo = figure2.pseudo_values(torch.rand(models, 3, 10))
    assert len(pseudo) == models
    assert all(map(math.isnan, pseudo))


def test_the_interval_over_pseudo_covers():
    # Normal predictions of variance 1: in 95 % of all cases the Student t interval over ten pseudo-values holds 0.9. Over 600
    # repetitions the share of hits has a standard error of .9 points; the jackknife of a variance is a little short.
    rng, hits, repeats = torch.Generator().manual_seed(1), 0, 600
    for _ in range(repeats):
        pseudo = np.array(figure2.pseudo_values(torch.randn(10, 4, 10, generator=rng)))
        half = stats.t.ppf(0.975, 9) * pseudo.std(ddof=1) / math.sqrt(10)
        hits += abs(pseudo.mean() - 0.9) <= half
    assert 0.90 < hits / repeats < 0.99


# ---- rows


def models_of(dropout, noise="bernoulli", n=4, **fields) -> list[Network]:
    return [random_network(RunSpec(dropout=dropout, noise=noise, train_size=10_000, seed=seed, **fields)) for seed in range(n)]


def naive_halves(networks: list[Network], x: torch.Tensor, samples: int) -> list[list[np.ndarray]]:
    """Logits of each network's masks, in two halves with seeds of their own, ``[samples / 2, n, 10]`` each."""
    return [
        [naive_logits(network, x, samples // 2, 2 * number + half) for half in (0, 1)]
        for number, network in enumerate(networks)
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(logits))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("dropout", "layers"), [((0, 0, 0.6), "3"), ((0, 0.4, 0.4), "2 and 3")])
def test_every_column_is_what_naive_masks_give(images, noise, dropout, layers):
    networks = models_of(dropout, noise)
    rows = figure2.EXPERIMENT.measure(networks, images, QUICK)
    assert len(rows) == 12
    assert set(zip(rows["layers"], rows["dropout"], rows["noise"], strict=True)) == {(layers, max(dropout), noise)}
    halves = naive_halves(networks, images.test_x, figure2.QUICK_SAMPLES)
    masks = [np.concatenate(each) for each in halves]
    scaled = np.stack([naive_logits(network, images.test_x, 0)[0] for network in networks])  # [models, n, 10]
    logits = {"scaled": scaled, "sampled": np.stack([each.mean(0) for each in masks])}
    log_p = {
        "scaled": log_softmax(scaled),
        "sampled": np.stack([log_softmax(log_softmax(each).mean(0)) for each in masks]),  # geometric mean, renormalised
        "arithmetic": np.stack([np.log(softmax(each).mean(0)) for each in masks]),
    }

    def quarter(mean):
        return [((mean(one) - mean(other)) ** 2).mean() / 4 for one, other in halves]

    # Two halves' own variances, averaged: the mean logits of the halves differ, and a variance over all would count that.
    monte_carlo = {
        "sampled": [np.mean([half.var(0, ddof=1).mean() for half in each]) / figure2.QUICK_SAMPLES for each in halves]
    }
    monte_carlo_probs = {
        "sampled": quarter(lambda half: softmax(log_softmax(half).mean(0))),
        "arithmetic": quarter(lambda half: softmax(half).mean(0)),
    }
    for prediction in ("scaled", "sampled", "arithmetic"):
        part = rows[rows["prediction"] == prediction].sort_values("seed")
        assert part["seed"].tolist() == [0, 1, 2, 3]
        probs = np.exp(log_p[prediction])
        for column, of in (("variance_pseudo_value", logits.get(prediction)), ("variance_pseudo_value_probs", probs)):
            if of is None:
                assert part[column].isna().all()  # a mean of probabilities has no logits
                continue
            population = of.var(0).mean()  # the paper's divisor: the number of models
            assert part[column].mean() == pytest.approx(population * 4 / 3 * 9 / 10, rel=1e-4)
            expected = figure2.pseudo_values(torch.tensor(of))
            assert part[column].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-4 * population)
        for column in ("accuracy", "cross_entropy"):
            expected = [scores(each, images.test_y.numpy())[column] for each in log_p[prediction]]
            assert part[column].tolist() == pytest.approx(expected, rel=1e-4)
        if prediction == "scaled":
            assert (part[["monte_carlo_variance", "monte_carlo_variance_probs"]] == 0).all(axis=None)
            continue
        assert part["monte_carlo_variance_probs"].tolist() == pytest.approx(monte_carlo_probs[prediction], rel=1e-3)
        if prediction in monte_carlo:
            assert part["monte_carlo_variance"].tolist() == pytest.approx(monte_carlo[prediction], rel=1e-3)


def linear_network(spec: RunSpec, means: np.ndarray) -> Network:
    """One neuron of activation 1 in the last hidden layer and nothing else: its logits are ``means``, scaled."""
    weights = [torch.zeros(784, 1), torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor(means[None], dtype=torch.float32)]
    return Network(weights, [torch.ones(1), torch.ones(1), torch.ones(1), torch.zeros(10)], spec)


@pytest.fixture(scope="module")
def linear(images) -> tuple[list[Network], pd.DataFrame]:
    """A hundred models whose dropout is in the last hidden layer alone, and their rows."""
    rng = np.random.default_rng(4)
    networks = [
        linear_network(RunSpec(dropout=(0, 0, 0.5), train_size=10_000, seed=seed), rng.normal(size=10)) for seed in range(100)
    ]
    return networks, figure2.EXPERIMENT.measure(networks, images, Settings())


def test_sampling_the_last_layer_adds_its_monte_carlo_error_and_nothing_else(linear):
    # A logit is mean * mask, a mask 0 or 1 / q: its variance over masks is mean^2 p / q, the mean square of means is 1.
    networks, rows = linear
    wide = rows.pivot(index="seed", columns="prediction", values="variance_pseudo_value")
    error = rows[rows["prediction"] == "sampled"].set_index("seed")["monte_carlo_variance"]
    squares = np.array([np.mean(network.weights[3].numpy() ** 2) for network in networks])
    assert error.mean() * figure2.SAMPLES == pytest.approx(squares.mean() * 0.5 / (1 - 0.5), rel=0.03)
    assert wide["scaled"].mean() == pytest.approx(0.9, abs=4 * math.sqrt(2 / 1_000))
    excess = wide["sampled"] - wide["scaled"] - 0.9 * error
    assert abs(excess.mean()) < 4 * excess.std(ddof=1) / math.sqrt(100)
    assert excess.std(ddof=1) > 0


def test_with_the_last_layer_alone_the_geometric_mean_scales_and_the_arithmetic_one_does_not(linear):
    """Section 3.1: the softmax of the mean logits is the scaled network's; the mean of probabilities is less extreme."""
    _, rows = linear
    wide = rows.pivot(index="seed", columns="prediction", values="variance_pseudo_value_probs")
    error = rows[rows["prediction"] == "sampled"].set_index("seed")["monte_carlo_variance_probs"]
    gap = wide["sampled"] - 0.9 * error - wide["scaled"]
    assert abs(gap.mean()) < 4 * gap.std(ddof=1) / math.sqrt(100)
    assert abs(gap.mean()) < 0.05 * wide["scaled"].mean()
    assert wide["arithmetic"].mean() < 0.95 * wide["scaled"].mean()


def test_models_without_dropout_stand_for_every_noise_and_place(images):
    rows = figure2.EXPERIMENT.measure(models_of((0, 0, 0), n=3), images, QUICK)
    for column in ("variance_pseudo_value", "variance_pseudo_value_probs"):
        settings = rows.dropna(subset=column).groupby(["noise", "layers", "prediction"])[column].apply(tuple)
        assert len(settings) == 3 * 2 * (2 if column == "variance_pseudo_value" else 3)
        assert all(values == pytest.approx(settings.iloc[0], rel=1e-4) for values in settings)
    assert (rows[["monte_carlo_variance", "monte_carlo_variance_probs"]].fillna(0) == 0).all(axis=None)


def test_two_models_have_no_pseudo_value(images):
    rows = figure2.EXPERIMENT.measure(models_of((0, 0, 0.2), n=2), images, QUICK)
    assert rows[["variance_pseudo_value", "variance_pseudo_value_probs"]].isna().all(axis=None)
    assert rows["cross_entropy"].notna().all()


# ---- further tables


@pytest.mark.parametrize("dropout", [(0, 0, 0), (0, 0.4, 0.4)])
def test_the_papers_formula_is_the_public_functions_over_all_models_and_over_ten(images, dropout):
    networks = models_of(dropout, n=12)
    models = figure2.EXPERIMENT.details(networks, images, QUICK)["figure2-models"]
    places = 6 if not any(dropout) else 1
    assert len(models) == 3 * 2 * places
    halves = naive_halves(networks, images.test_x, figure2.QUICK_SAMPLES)
    logits = {
        "scaled": np.stack([naive_logits(network, images.test_x, 0)[0] for network in networks]),
        "sampled": np.stack([np.concatenate(each).mean(0) for each in halves]),
    }
    probs = {name: softmax(each) for name, each in logits.items()}
    probs["arithmetic"] = np.stack([softmax(np.concatenate(each)).mean(0) for each in halves])
    assert set(models["source"]) == {"both"}
    for row in models.to_dict("records"):
        assert row["models"] in (10, 12)
        assert row["dropout"] == max(dropout)
        of_probs = model_variance(torch.tensor(probs[row["prediction"]][: row["models"]]))
        assert row["model_variance_probs"] == pytest.approx(of_probs, rel=1e-4)
        if row["prediction"] == "arithmetic":
            assert math.isnan(row["model_variance"])
        else:
            of_logits = model_variance(torch.tensor(logits[row["prediction"]][: row["models"]]))
            assert row["model_variance"] == pytest.approx(of_logits, rel=1e-4)


def test_the_paper_s_formula_fits_the_pseudo_values(images):
    networks = models_of((0, 0, 0.4), n=10)
    rows = figure2.EXPERIMENT.measure(networks, images, QUICK)
    models = figure2.EXPERIMENT.details(networks, images, QUICK)["figure2-models"]
    means = rows.groupby("prediction")["variance_pseudo_value_probs"].mean()
    formula = models.set_index("prediction")["model_variance_probs"]
    assert means.to_dict() == pytest.approx(formula.to_dict())  # over ten models they are the same number


@pytest.mark.parametrize("dropout", [(0, 0, 0), (0, 0, 0.4)])
def test_the_sources_are_images_start_and_both(images, dropout):
    [specs] = [
        group for group in figure2.EXPERIMENT.groups(Settings(seeds=12))
        if (group[0].dropout, group[0].noise) == (dropout, "bernoulli")
    ]  # fmt: skip
    networks = [random_network(replace(spec, seed=number), spec) for number, spec in enumerate(specs)]
    tables = figure2.EXPERIMENT.details(networks, images, QUICK)
    sources, models = tables["figure2-sources"], tables["figure2-models"]
    assert set(sources["noise"]) == {"bernoulli"}
    assert set(sources["layers"]) == ({"3", "2 and 3"} if not any(dropout) else {"3"})
    sources = sources[sources["layers"] == "3"]
    expected = {
        "images": [(0, number) for number in range(10)],
        "start": [(number, 0) for number in range(10)],
        "both": [(number, number) for number in range(10)],
    }
    by_spec = {(spec.seed, spec.seed if spec.subset_seed is None else spec.subset_seed): network
               for spec, network in zip(specs, networks, strict=True)}  # fmt: skip
    for source, members in expected.items():
        part = sources[(sources["source"] == source) & (sources["prediction"] == "scaled")]
        assert part["model"].tolist() == list(range(10))
        assert list(zip(part["seed"], part["subset_seed"], strict=True)) == members
        logits = torch.stack([torch.tensor(naive_logits(by_spec[of], images.test_x, 0)[0]) for of in members])
        assert part["variance_pseudo_value"].tolist() == pytest.approx(figure2.pseudo_values(logits), rel=1e-3)
        formula = models[(models["source"] == source) & (models["prediction"] == "scaled") & (models["models"] == 10)]
        assert formula["model_variance"].iloc[0] == pytest.approx(model_variance(logits), rel=1e-4)
    assert len(figure2.EXPERIMENT.measure(networks, images, QUICK)["seed"].unique()) == 12  # the others are no rows there


# ---- grid


def test_the_grid_drops_layer_3_or_layers_2_and_3_of_models_with_images_of_their_own():
    specs = [spec for spec in figure2.EXPERIMENT.specs(Settings("paper", 2)) if spec.subset_seed is None]
    assert len(specs) == 2 * (1 + 4 * 3 * 2)
    assert all(spec.train_size == 10_000 and spec.dropout[0] == 0 and spec.recipe == "paper" for spec in specs)
    places = {(spec.dropout[1] > 0, spec.dropout[2] > 0) for spec in specs}
    assert places == {(False, False), (False, True), (True, True)}
    assert {max(spec.dropout) for spec in specs} == {0.0, 0.2, 0.4, 0.6, 0.8}


@pytest.mark.parametrize(("seeds", "quick", "extra"), [(1, False, 0), (3, False, 2), (20, False, 9), (20, True, 4)])
def test_sources_are_told_apart_without_dropout_and_with_vanilla_dropout_at_0_4(seeds, quick, extra):
    specs = figure2.EXPERIMENT.specs(Settings(seeds=seeds, quick=quick))
    others = [spec for spec in specs if spec.subset_seed is not None]
    assert len(others) == 3 * 2 * extra
    assert {spec.noise for spec in others} <= {"bernoulli"}
    assert {spec.dropout for spec in others} == ({(0, 0, 0), (0, 0, 0.4), (0, 0.4, 0.4)} if extra else set())
    assert all(0 in (spec.seed, spec.subset_seed) for spec in others)


def test_a_group_is_all_models_of_one_setting():
    groups = figure2.EXPERIMENT.groups(Settings(seeds=4))
    assert len(groups) == 25
    for group in groups:
        assert [spec.seed for spec in group if spec.subset_seed is None] == [0, 1, 2, 3]
        assert len({(spec.dropout, spec.noise) for spec in group}) == 1
