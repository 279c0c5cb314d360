"""Figure 2's charts against planted variances and literals; the page, with and without its results."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from scipy import stats

from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments import figure2, results
from dropclust.service import tables
from dropclust.service.store import Store
from dropclust.ui import charts, live, variance
from tests.ui.test_batch import open_page, said

VALUES = {"bernoulli": 0.5, "gaussian": 0.8, "dropconnect": 1.5}  # model variance with noise over that without


def table(models=6, sampling=0.9, masks=2.0, noise=0.02, recipe="modern", span=1.0) -> pd.DataFrame:
    """Model variance 4 without dropout and 4 times a planted ratio with it; sampled, ``sampling`` of that and masks' error.

    Pseudo-values scatter about it with a part that all settings of a seed share; ``span`` multiplies the highest rate's.
    """
    rng = np.random.default_rng(3)
    share = 0.9 / figure2.SAMPLES
    rows = []
    for seed in range(models):
        shared = 1 + 10 * noise * rng.normal()
        for noise_, place, rate, way in itertools.product(NOISES, figure2.LAYERS, figure2.RATES, figure2.PREDICTIONS):
            if way == figure2.PREDICTIONS[0]:
                common = 0.0 if rate == 0 else noise * rng.normal()
            own = shared + common + (0.0 if rate == 0 else noise / 10 * rng.normal())
            value = 4 * own * (VALUES[noise_] if rate else 1) * (span if rate == 0.8 else 1)
            here = masks if rate else 0.0
            if way == "sampled" and rate:
                value = value * (sampling if place == "2 and 3" else 1) + share * here
            rows.append(
                {
                    "recipe": recipe, "seed": seed, "dropout": rate, "noise": noise_, "layers": place, "prediction": way,
                    "accuracy": 0.9, "cross_entropy": 0.3 + 0.1 * rate * VALUES[noise_] + 0.01 * shared,
                    "model_variance": value if models > 2 else math.nan,
                    "model_variance_probs": value / 1000 if models > 2 else math.nan, "mask_variance": here,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def column(data: pd.DataFrame, place: str, noise: str, rate: float, way: str, name="model_variance") -> np.ndarray:
    where = (data["layers"] == place) & (data["noise"] == noise) & (data["dropout"] == rate) & (data["prediction"] == way)
    return data[where].sort_values("seed")[name].to_numpy()


# ---- ratios


def test_a_ratios_interval_is_the_delta_method_on_the_logarithm():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, 8), rng.uniform(3, 5, 8)
    found = variance.ratio_interval(a, b)
    # The derivative of log(mean a / mean b) by each pair, which is what the delta method takes, by finite differences.
    step, influence = 1e-6, []
    for i in range(8):
        moved = [each + step * each * (np.arange(8) == i) for each in (a, b)]
        change = [np.log(each.mean()) - np.log(old.mean()) for each, old in zip(moved, (a, b), strict=True)]
        influence.append(8 * (change[0] - change[1]) / step)
    half = stats.t.ppf(0.975, 7) * np.std(influence, ddof=1) / math.sqrt(8)
    assert found.mean == pytest.approx(a.mean() / b.mean())
    assert found.low == pytest.approx(found.mean * math.exp(-half), rel=1e-4)
    assert found.high == pytest.approx(found.mean * math.exp(half), rel=1e-4)
    assert found.n == 8


def test_what_a_seed_does_to_both_leaves_a_ratio_alone():
    rng = np.random.default_rng(0)
    seeds = rng.uniform(1, 9, 10)
    ratio = variance.ratio_interval(3 * seeds, seeds)
    assert (ratio.low, ratio.high) == pytest.approx((3, 3))
    alone = variance.ratio_interval(seeds)
    assert alone.mean == pytest.approx(seeds.mean())
    assert alone.low < seeds.mean() < alone.high


def test_ratio_intervals_cover():
    # Ratio of mean squares of normal values, as variances are: 95 % of 500 intervals hold the true 1/4 (standard error: 1 %).
    rng, hits = np.random.default_rng(2), 0
    for _ in range(500):
        shared = rng.normal(size=(20, 40))
        a, b = (
            ((0.5 * (shared + rng.normal(size=shared.shape))) ** 2).mean(1),
            ((shared + rng.normal(size=shared.shape)) ** 2).mean(1),
        )
        found = variance.ratio_interval(a, b)
        hits += found.low <= 0.25 <= found.high
    assert 0.91 < hits / 500 < 0.99


def test_a_ratio_without_spread_or_without_a_base_has_no_interval():
    one = variance.ratio_interval([2.0], [4.0])
    assert one.mean == 0.5
    assert math.isnan(one.low)
    for a, b in (([1.0, 2.0], [0.0, 0.0]), ([-1.0, 0.5], [1.0, 1.0])):
        assert math.isnan(variance.ratio_interval(a, b).mean)


# ---- model variance


@pytest.mark.parametrize("of", variance.COLUMNS)
def test_model_variance_is_the_mean_of_pseudo_values(of):
    data = table()
    pair = variance.variance_charts(data, "both", of)
    for info, place in zip(pair, figure2.LAYERS, strict=True):
        assert info.curves.title == f"Dropout in {variance.PLACES[place]}"
        lines = {line.name: line for line in info.curves.series}
        assert len(lines) == 6
        for noise, way in itertools.product(NOISES, figure2.PREDICTIONS):
            line = lines[f"{variance.NAMES[noise]}, {way}"]
            assert line.x == figure2.RATES
            assert line.n == 6
            for rate, mean, low, high in zip(line.x, line.mean, line.low, line.high, strict=True):
                values = column(data, place, noise, rate, way, variance.COLUMNS[of])
                assert mean == pytest.approx(values.mean())
                relative = stats.t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6) / mean
                assert math.log(high / mean) == pytest.approx(relative)
                assert math.log(mean / low) == pytest.approx(relative)


def test_the_sentence_counts_what_lies_below_no_dropout_by_pairs():
    # The seeds' common scatter is ten times their own and would hide Gaussian's .8 if settings were not paired.
    info, _ = variance.variance_charts(table(noise=0.02), "scaled", "logits")
    assert info.sentence.startswith(
        "Dropout in layer 3. Scaled, model variance of logits is lower at 8 of 12 pairs of noise and rate, higher at 4, "
        "compared with no dropout; lowest with Bernoulli 0."
    )
    assert info.curves.series[1].low[1] < info.curves.series[0].high[0]  # unpaired they overlap
    unsure = table()
    where = (unsure["noise"] == "gaussian") & (unsure["dropout"] > 0)
    unsure.loc[where, "model_variance"] = 4 + np.random.default_rng(1).normal(size=where.sum())
    info, _ = variance.variance_charts(unsure, "scaled", "logits")
    assert "is lower at 4 of 12 pairs of noise and rate, higher at 4, not told apart at 4, compared" in info.sentence


def test_values_that_span_orders_of_magnitude_have_a_logarithmic_axis():
    plain, _ = variance.variance_charts(table(), "scaled", "logits")
    assert not plain.logarithmic
    left, right = variance.variance_charts(table(span=0.01), "scaled", "logits")
    assert left.logarithmic
    assert left.y_range == right.y_range
    low, high = left.y_range
    ends = [value for line in left.curves.series for value in (*line.low, *line.high)]
    assert low < math.log10(min(ends)) < math.log10(max(ends)) < high
    figure = variance.chart_figure(left)
    assert figure.layout.yaxis.type == "log"
    assert tuple(figure.layout.yaxis.range) == left.y_range
    assert variance.chart_figure(plain).layout.yaxis.type == "linear"


def test_dashes_tell_sampled_from_scaled_and_colour_the_noise():
    info, _ = variance.variance_charts(table(), "both", "logits")
    lines = [trace for trace in variance.chart_figure(info).data if trace.mode == "lines+markers"]
    assert {(line.name.split(", ")[1], line.line.dash) for line in lines} == {("scaled", "solid"), ("sampled", "dash")}
    assert len({(line.name.split(", ")[0], line.line.color) for line in lines}) == 3
    assert len({line.marker.symbol for line in lines}) == 6
    assert {line.line.color for line in lines} <= set(charts.palette())


def test_the_table_of_ratios_holds_every_setting():
    data = table()
    info = variance.ratios_to_none(data, "both", "logits")
    assert len(info.rows) == 2 * 2 * 3 * 4
    for place, noise, rate, way, ratio in info.rows:
        expected = variance.ratio_interval(column(data, place, noise, rate, way), column(data, place, noise, 0.0, way))
        assert ratio == expected
    shown = info.formatted()
    first = info.rows[0][-1]
    assert shown.loc["layer 3, Bernoulli, scaled", "0.2"] == f"{first.mean:.2f} ({first.low:.2f} to {first.high:.2f})"
    assert "6 models a setting" in info.sentence
    assert "delta method" in info.sentence
    assert info.sentence.endswith("6 models a setting; each of the 48 intervals holds by itself.")
    assert info.table()["ratio to no dropout"].tolist() == [row[-1].mean for row in info.rows]


# ---- sampled against scaled


def test_the_masks_monte_carlo_error_is_taken_out_of_logits():
    # Planted: sampled is scaled plus 9/10 of the masks' variance over the samples in layer 3, and .9 of it in layers 2 and 3.
    data = table(masks=40.0, noise=0.0)
    for info, ratio in zip(variance.sampling_charts(data, "logits"), (1.0, 0.9), strict=True):
        lines = {line.name: line for line in info.curves.series}
        for noise in NOISES:
            clean, raw = lines[variance.NAMES[noise]], lines[f"{variance.NAMES[noise]}, as measured"]
            assert clean.x == raw.x == figure2.RATES[1:]
            assert clean.mean == pytest.approx([ratio] * 4)
            error = 0.9 * 40 / figure2.SAMPLES / (4 * VALUES[noise])
            assert raw.mean == pytest.approx([ratio + error] * 4)
        assert info.level == 1.0


def test_in_the_last_layer_sampling_is_scaling_and_the_page_says_what_was_measured():
    left, right = variance.sampling_charts(table(masks=40.0, noise=0.01), "logits")
    assert "logits are linear in the mask" in left.sentence
    raw = [mean for line in left.curves.series if "measured" in line.name for mean in line.mean]
    assert f"Measured, the ratio is {min(raw):.3f} to {max(raw):.3f}" in left.sentence
    clean = [line for line in left.curves.series if "measured" not in line.name]
    holds = sum(low <= 1 <= high for line in clean for low, high in zip(line.low, line.high, strict=True))
    assert f"1 is in its 95 % interval at {holds} of 12 pairs" in left.sentence
    assert "sampled model variance of logits is lower at 12 of 12" in right.sentence
    assert "taken out" in right.sentence
    # Of probabilities nothing of the kind holds, and the variance over masks is not known: nothing is taken out.
    data = table(masks=40.0)
    left, _ = variance.sampling_charts(data, "probabilities")
    none, _ = variance.sampling_charts(data.assign(mask_variance=0.0), "probabilities")
    assert [line.mean for line in left.curves.series] == [line.mean for line in none.curves.series]
    assert len(left.curves.series) == 3
    assert "linear" not in left.sentence
    assert "taken out" not in left.sentence


# ---- claims


def counts(data: pd.DataFrame, prediction="sampled", of="logits") -> list[str]:
    return [seen for _, seen in variance.claims(data, prediction, of).rows]


def test_claims_are_counted_over_places_and_rates():
    data = table(noise=0.01, models=8)
    about = variance.claims(data, "sampled", "logits").about
    assert "vanilla dropout, which the charts call Bernoulli" in about
    assert "the 8 pairs of layers and rate" in about
    assert "model variance of logits is so by its 95 % interval over 8 models" in about
    none, lowest, scaled = counts(data)
    assert none == "sampled, lower at 8 of 8, higher at 0."
    assert lowest == "sampled, lowest at 8 of 8, another is lower at 0."
    # Planted in layers 2 and 3 alone.
    assert scaled.startswith("lower at 4 of 8, higher at 0, not told apart at 4")


def test_claims_are_about_what_is_chosen():
    data = table(noise=0.01)
    # With the two ways swapped for probabilities alone, sampling is the higher one there.
    swapped = data.replace({"prediction": {"sampled": "scaled", "scaled": "sampled"}})
    data["model_variance_probs"] = (
        4 * (data["dropout"] > 0) * (data["prediction"] == "scaled") + swapped["model_variance_probs"]
    )
    assert (
        counts(data, "both", "probabilities")[0]
        == "scaled, lower at 0 of 8, higher at 8; sampled, lower at 8 of 8, higher at 0."
    )
    assert counts(data, "scaled", "probabilities")[0] == "scaled, lower at 0 of 8, higher at 8."
    assert counts(data, "scaled", "logits")[0] == "scaled, lower at 8 of 8, higher at 0."
    assert "of probabilities" in variance.claims(data, "both", "probabilities").about


@pytest.mark.parametrize("of", variance.COLUMNS)
@pytest.mark.parametrize("masks", [0.0, 40.0])
def test_the_verdict_counts_what_the_chart_draws(of, masks):
    # 40: the masks' Monte Carlo error alone lifts all that was measured of logits above scaled.
    data = table(masks=masks, noise=0.01)
    drawn = variance.NAMES["bernoulli"]
    lines = [line for info in variance.sampling_charts(data, of) for line in info.curves.series if line.name == drawn]
    ends = [pair for line in lines for pair in zip(line.low, line.high, strict=True)]
    below, above = sum(high < 1 for _, high in ends), sum(low > 1 for low, _ in ends)
    assert len(ends) == 8
    seen = counts(data, of=of)[2]
    assert seen.startswith(f"lower at {below} of 8, higher at {above}")
    assert seen.endswith("Monte Carlo error of the 100 masks taken out.") == (of == "logits")
    assert below >= 4 or (of == "probabilities" and masks)


def test_vanilla_is_not_the_lowest_where_one_noise_is_lower():
    # Gaussian then has the planted .5 and vanilla dropout .8, still less than DropConnect.
    swapped = table(noise=0.01).replace({"noise": {"bernoulli": "gaussian", "gaussian": "bernoulli"}})
    none, lowest, _ = counts(swapped)
    assert none == "sampled, lower at 8 of 8, higher at 0."
    assert lowest == "sampled, lowest at 0 of 8, another is lower at 8."


def test_claims_that_do_not_hold_are_not_made():
    swapped = table(noise=0.01, sampling=1.2).replace({"noise": {"bernoulli": "dropconnect", "dropconnect": "bernoulli"}})
    none, lowest, scaled = counts(swapped)
    assert none == "sampled, lower at 0 of 8, higher at 8."
    assert lowest == "sampled, lowest at 0 of 8, another is lower at 8."
    assert scaled.startswith("lower at 0 of 8, higher at 4")


# ---- cross-entropy and stored runs


def test_cross_entropy_is_compared_by_pairs_of_seeds():
    data = table()
    info, _ = variance.cross_entropy_charts(data, "scaled")
    line = info.curves.series[2]
    values = column(data, "3", "dropconnect", 0.6, "scaled", "cross_entropy")
    assert line.name == "DropConnect"
    assert line.mean[3] == pytest.approx(values.mean())
    assert line.high[3] - line.mean[3] == pytest.approx(stats.t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6))
    assert "cross-entropy is lower at 0 of 12 pairs of noise and rate, higher at 12" in info.sentence
    assert "lowest with Bernoulli 0.2" in info.sentence


def stored(spec: RunSpec, status="done") -> SimpleNamespace:
    return SimpleNamespace(spec=spec, status=status, metrics={"test_cross_entropy": 0.25})


def test_a_stored_run_is_shown_where_it_belongs_and_nowhere_else():
    def spec(*dropout: float, **changes) -> RunSpec:
        return RunSpec(dropout=dropout, **({"train_size": 10_000} | changes))

    summaries = [
        stored(spec(0, 0, 0.3)), stored(spec(0, 0.5, 0.5, noise="gaussian", seed=7)), stored(spec(0, 0, 0)),
        stored(spec(0.4, 0.4, 0.4)), stored(spec(0, 0.2, 0.4)), stored(spec(0, 0, 0.3, train_size=55_000)),
        stored(spec(0, 0, 0.3, recipe="paper")), stored(spec(0, 0, 0.3, seed=1), "stopped"),
    ]  # fmt: skip
    own = variance.own_runs(summaries, "modern")
    assert [(each.rate, each.noise) for each in own["3"]] == [(0.3, "bernoulli"), (0.0, "bernoulli")]
    assert [(each.rate, each.noise) for each in own["2 and 3"]] == [(0.5, "gaussian"), (0.0, "bernoulli")]
    info = variance.Chart(**vars(variance.cross_entropy_charts(table(), "scaled")[0]) | {"own": own["3"]})
    drawn = {trace.name: trace for trace in variance.chart_figure(info).data if trace.name}
    assert drawn["stored runs, Bernoulli"].x == (0.3, 0.0)
    assert drawn["stored runs, Bernoulli"].y == (0.25, 0.25)
    assert info.table()["stored run"].notna().sum() == 2
    assert info.sentence.endswith("Open markers: 2 stored runs, scaled.")


@pytest.mark.parametrize("models", [1, 2, 3])
@pytest.mark.parametrize("prediction", variance.WAYS)
@pytest.mark.parametrize("rates", [(0.0,), (0.4,), figure2.QUICK_RATES])
def test_every_odd_table_is_drawn(models, prediction, rates):
    data = table(models=models)
    shown = variance.figure_2(data[data["dropout"].isin(rates)], prediction, "logits")
    assert (shown.claims is not None) == (models > 2 and len(rates) > 1)
    for info in (*shown.variance, *shown.sampling, *shown.cross_entropy):
        assert info.sentence
        figure = variance.chart_figure(info)
        assert figure.layout.xaxis.title.text == "dropout rate"
        for line in info.curves.series:
            assert tuple(next(trace for trace in figure.data if trace.name == line.name).y) == line.mean
    if models < 3:
        models_said = "1 model of each kind" if models == 1 else "2 models of each kind"
        assert models_said in shown.variance[0].sentence


# ---- the page


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder with a made-up Figure 2 and no run."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    st.cache_data.clear()
    st.cache_resource.clear()
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    tables.write(tmp_path / "results", "figure2-modern", table(), {"command": "make figure2"})
    yield tmp_path
    st.cache_data.clear()
    st.cache_resource.clear()


def test_the_page_counts_the_claims_and_links_to_training(cache):
    app = open_page("variance.py")
    text = said(app)
    shown = variance.figure_2(results.read("figure2-modern").table, "sampled", "logits")
    assert not app.error
    assert not app.warning
    claims = (shown.claims.about, *(f"- {claim} **{seen}**" for claim, seen in shown.claims.rows))
    for sentence in (*claims, shown.variance[0].sentence, shown.sampling[1].sentence, shown.cross_entropy[0].sentence):
        assert sentence in text
    assert "[0.4](train?each=true&rate1=0&rate2=0.4&rate3=0.4&images=10000)" in text


def test_the_address_chooses_what_is_compared(cache):
    text = said(open_page("variance.py", variance_of="probabilities", ways="both"))
    shown = variance.figure_2(results.read("figure2-modern").table, "both", "probabilities")
    assert shown.variance[1].sentence in text
    assert "Model variance of must be one of logits, probabilities; the address gave 'odds'" in said(
        open_page("variance.py", variance_of="odds")
    )


def test_a_missing_table_costs_one_sentence(cache):
    app = open_page("variance.py", recipe="paper")
    assert "The table figure2-paper is not there; make it again with: python -m dropclust reproduce figure2." in said(app)
    assert app.title
