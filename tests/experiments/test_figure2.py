"""Figure 2 against naive masks, and its jackknife against leaving each model out in earnest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dropclust.core import metrics
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
def test_shares_are_pseudo_values_of_leaving_one_model_out(models, n, seed, scale, offset):
    rng = torch.Generator().manual_seed(seed)
    predictions = scale * torch.randn(models, n, 10, generator=rng, dtype=torch.float64) + offset
    whole = as_for_ten(predictions)
    expected = []
    for left_out in range(models):
        others = torch.cat((predictions[:left_out], predictions[left_out + 1 :]))
        expected.append(models * whole - (models - 1) * as_for_ten(others))
    shares = figure2.variance_shares(predictions)
    assert shares == pytest.approx(expected, rel=1e-6, abs=1e-8 * whole * models)
    assert np.mean(shares) == pytest.approx(whole, rel=1e-9)


def test_ten_models_have_the_papers_variance_on_average():
    # Independent standard normal predictions: the paper's divisor of ten gives 9/10 on average, whatever number is trained.
    rng = torch.Generator().manual_seed(0)
    for models in (3, 10, 20):
        found = [np.mean(figure2.variance_shares(torch.randn(models, 5, 10, generator=rng))) for _ in range(200)]
        error = np.std(found, ddof=1) / math.sqrt(len(found))
        assert abs(np.mean(found) - 0.9) < 4 * error


def test_equal_models_have_no_variance_and_one_that_is_apart_has_the_largest_share():
    assert figure2.variance_shares(torch.ones(4, 3, 10)) == [0.0] * 4
    predictions = torch.zeros(5, 3, 10)
    predictions[2] += 1
    shares = figure2.variance_shares(predictions)
    assert max(range(5), key=shares.__getitem__) == 2


@pytest.mark.parametrize("models", [1, 2])
def test_of_fewer_than_three_models_none_can_be_left_out(models):
    shares = figure2.variance_shares(torch.rand(models, 3, 10))
    assert len(shares) == models
    assert all(map(math.isnan, shares))


def test_the_interval_over_shares_covers():
    # Normal predictions of variance 1: in 95 % of all cases the Student t interval over ten pseudo-values holds 0.9. Over 600
    # repetitions the share of hits has a standard error of .9 points; the jackknife of a variance is a little short.
    rng, hits, repeats = torch.Generator().manual_seed(1), 0, 600
    for _ in range(repeats):
        shares = np.array(figure2.variance_shares(torch.randn(10, 4, 10, generator=rng)))
        half = stats.t.ppf(0.975, 9) * shares.std(ddof=1) / math.sqrt(10)
        hits += abs(shares.mean() - 0.9) <= half
    assert 0.90 < hits / repeats < 0.99


# ---- rows


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("dropout", "layers"), [((0, 0, 0.6), "3"), ((0, 0.4, 0.4), "2 and 3")])
def test_every_column_is_what_naive_masks_give(images, noise, dropout, layers):
    networks = [random_network(RunSpec(dropout=dropout, noise=noise, train_size=10_000, seed=seed)) for seed in range(4)]
    rows = figure2.EXPERIMENT.measure(networks, images, QUICK)
    assert len(rows) == 8
    assert set(zip(rows["layers"], rows["dropout"], rows["noise"], strict=True)) == {(layers, max(dropout), noise)}
    masks = [naive_logits(network, images.test_x, 20, seed) for seed, network in enumerate(networks)]
    scaled = np.stack([naive_logits(network, images.test_x, 0)[0] for network in networks])  # [models, n, 10]
    logits = {"scaled": scaled, "sampled": np.stack([each.mean(0) for each in masks])}
    probs = {
        "scaled": np.exp(log_softmax(scaled)),
        "sampled": np.stack([np.exp(log_softmax(each)).mean(0) for each in masks]),
    }
    log_p = {
        "scaled": log_softmax(scaled),
        "sampled": np.stack([log_softmax(log_softmax(each).mean(0)) for each in masks]),
    }
    for prediction in ("scaled", "sampled"):
        part = rows[rows["prediction"] == prediction].sort_values("seed")
        assert part["seed"].tolist() == [0, 1, 2, 3]
        for column, of in (("model_variance", logits), ("model_variance_probs", probs)):
            population = of[prediction].var(0).mean()  # the paper's divisor: the number of models
            assert part[column].mean() == pytest.approx(population * 4 / 3 * 9 / 10, rel=1e-4)
            assert part[column].tolist() == pytest.approx(
                figure2.variance_shares(torch.tensor(of[prediction])), rel=1e-3, abs=1e-4 * population
            )
        for column in ("accuracy", "cross_entropy"):
            expected = [scores(each, images.test_y.numpy())[column] for each in log_p[prediction]]
            assert part[column].tolist() == pytest.approx(expected, rel=1e-4)
        over_masks = [each.var(0, ddof=1).mean() for each in masks]
        assert part["mask_variance"].tolist() == pytest.approx(over_masks, rel=1e-4)


def linear_network(spec: RunSpec, means: np.ndarray) -> Network:
    """One neuron of activation 1 in the last hidden layer and nothing else: its logits are ``means``, scaled."""
    weights = [torch.zeros(784, 1), torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor(means[None], dtype=torch.float32)]
    return Network(weights, [torch.ones(1), torch.ones(1), torch.ones(1), torch.zeros(10)], spec)


def test_sampling_the_last_layer_adds_its_monte_carlo_error_and_nothing_else(images):
    # A logit is mean * mask, a mask 0 or 1 / q: its variance over masks is mean^2 p / q, the mean square of means is 1.
    rate, models = 0.5, 100
    rng = np.random.default_rng(4)
    networks = [
        linear_network(RunSpec(dropout=(0, 0, rate), train_size=10_000, seed=seed), rng.normal(size=10))
        for seed in range(models)
    ]
    rows = figure2.EXPERIMENT.measure(networks, images, Settings())
    wide = rows.pivot(index="seed", columns="prediction", values="model_variance")
    masks = rows[rows["prediction"] == "sampled"].set_index("seed")["mask_variance"]
    squares = np.array([np.mean(network.weights[3].numpy() ** 2) for network in networks])
    assert masks.mean() == pytest.approx(squares.mean() * rate / (1 - rate), rel=0.03)
    assert wide["scaled"].mean() == pytest.approx(0.9, abs=4 * math.sqrt(2 / (models * 10)))
    excess = wide["sampled"] - wide["scaled"] - 0.9 * masks / figure2.SAMPLES
    assert abs(excess.mean()) < 4 * excess.std(ddof=1) / math.sqrt(models)
    assert excess.std(ddof=1) > 0


def test_models_without_dropout_stand_for_every_noise_and_place(images):
    networks = [random_network(RunSpec(dropout=(0, 0, 0), train_size=10_000, seed=seed)) for seed in range(3)]
    rows = figure2.EXPERIMENT.measure(networks, images, QUICK)
    settings = rows.groupby(["noise", "layers", "prediction"])["model_variance"].apply(tuple)
    assert len(settings) == 3 * 2 * 2
    assert all(values == pytest.approx(settings.iloc[0], rel=1e-4) for values in settings)
    assert (rows["mask_variance"] == 0).all()


def test_two_models_have_no_share(images):
    networks = [random_network(RunSpec(dropout=(0, 0, 0.2), train_size=10_000, seed=seed)) for seed in range(2)]
    rows = figure2.EXPERIMENT.measure(networks, images, QUICK)
    assert rows[["model_variance", "model_variance_probs"]].isna().all(axis=None)
    assert rows["cross_entropy"].notna().all()


# ---- grid


def test_the_grid_drops_layer_3_or_layers_2_and_3_of_models_with_images_of_their_own():
    specs = figure2.EXPERIMENT.specs(Settings("paper", 2))
    assert len(specs) == 2 * (1 + 4 * 3 * 2)
    assert all(spec.train_size == 10_000 and spec.dropout[0] == 0 and spec.recipe == "paper" for spec in specs)
    places = {(spec.dropout[1] > 0, spec.dropout[2] > 0) for spec in specs}
    assert places == {(False, False), (False, True), (True, True)}
    assert {max(spec.dropout) for spec in specs} == {0.0, 0.2, 0.4, 0.6, 0.8}


def test_a_group_is_all_models_of_one_setting():
    groups = figure2.EXPERIMENT.groups(Settings(seeds=4))
    assert len(groups) == 25
    for group in groups:
        assert [spec.seed for spec in group] == [0, 1, 2, 3]
        assert len({(spec.dropout, spec.noise) for spec in group}) == 1
