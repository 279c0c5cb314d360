"""Figure 2's findings against planted variances and literals."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropclust.core.intervals import ratio_interval
from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments import figure2 as experiment
from dropclust.experiments import results
from dropclust.findings import figure2
from dropclust.findings.meaning import Meaning
from dropclust.service import tables

VALUES = {"bernoulli": 0.5, "gaussian": 0.8, "dropconnect": 1.5}  # model variance with noise over that without
SOURCES = {"images": 0.4, "start": 0.7, "both": 1.0}  # model variance by what models differ in, over that of all
ENDS = {"logits": "", "probabilities": "_probs"}


def table(models=6, sampling=0.9, masks=2.0, noise=0.02, recipe="modern", span=1.0) -> pd.DataFrame:
    """Model variance 4 without dropout and 4 times a planted ratio with it; sampled, ``sampling`` of that and masks' error.

    Pseudo-values scatter about it with a part that all settings of a seed share; ``span`` multiplies the highest rate's. Of
    probabilities all is a thousandth of that, and the arithmetic mean has .8 of the scaled one's.
    """
    rng = np.random.default_rng(3)
    ways = (*experiment.PREDICTIONS, experiment.ARITHMETIC)
    rows = []
    for seed in range(models):
        shared = 1 + 10 * noise * rng.normal()
        for noise_, place, rate, way in itertools.product(NOISES, experiment.LAYERS, experiment.RATES, ways):
            if way == experiment.PREDICTIONS[0]:
                common = 0.0 if rate == 0 else noise * rng.normal()
            if way != experiment.ARITHMETIC:
                own = shared + common + (0.0 if rate == 0 else noise / 10 * rng.normal())
            value = 4 * own * (VALUES[noise_] if rate else 1) * (span if rate == 0.8 else 1)
            error = masks / experiment.SAMPLES if rate and way != "scaled" else 0.0
            if way == "sampled" and rate:
                value = value * (sampling if place == "2 and 3" else 1) + 0.9 * error
            if way == experiment.ARITHMETIC and rate:
                value = value * 0.8 + 0.9 * error
            logits = models > 2 and way != experiment.ARITHMETIC
            rows.append(
                {
                    "recipe": recipe, "seed": seed, "dropout": rate, "noise": noise_, "layers": place, "prediction": way,
                    "accuracy": 0.9, "cross_entropy": 0.3 + 0.1 * rate * VALUES[noise_] + 0.01 * shared,
                    "variance_pseudo_value": value if logits else math.nan,
                    "variance_pseudo_value_probs": value / 1000 if models > 2 else math.nan,
                    "monte_carlo_variance": error if way != experiment.ARITHMETIC else math.nan,
                    "monte_carlo_variance_probs": error / 1000,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def models_table(sizes=(12, 10)) -> pd.DataFrame:
    """The paper's formula: 1 plus a hundredth of the number of models, times 2 when sampled, a thousandth of probabilities."""
    return pd.DataFrame(
        [
            {
                "recipe": "modern", "source": source, "dropout": rate, "noise": noise, "layers": layers, "prediction": way,
                "models": size, "model_variance": value if way != experiment.ARITHMETIC else math.nan,
                "model_variance_probs": value / 1000,
            }
            for source, noise, layers, rate, way, size in itertools.product(
                SOURCES, NOISES, experiment.LAYERS, (0.0, 0.4), (*experiment.PREDICTIONS, experiment.ARITHMETIC), sizes
            )
            for value in [(1 + size / 100) * (2 if way == "sampled" else 1)]
        ]
    )  # fmt: skip


def sources_table(models=6) -> pd.DataFrame:
    """Model variance 4 times what the source has, half of it with dropout in layer 3 and a quarter in layers 2 and 3."""
    rng = np.random.default_rng(9)
    rows = []
    for source, layers, rate, way in itertools.product(SOURCES, experiment.LAYERS, (0.0, 0.4), experiment.PREDICTIONS):
        for model in range(models):
            value = 4 * SOURCES[source] * (1 if not rate else 0.5 if layers == "3" else 0.25) * (1 + 0.05 * rng.normal())
            rows.append(
                {
                    "recipe": "modern", "source": source, "dropout": rate, "noise": "bernoulli", "layers": layers,
                    "model": model, "seed": 0 if source == "images" else model, "prediction": way,
                    "subset_seed": 0 if source == "start" else model,
                    "variance_pseudo_value": value if models > 2 else math.nan,
                    "variance_pseudo_value_probs": value / 1000 if models > 2 else math.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def write(root, main=None, name="modern") -> None:
    """The three tables, as `reproduce` writes them."""
    for table_name, content in (
        ("figure2", table() if main is None else main), ("figure2-models", models_table()), ("figure2-sources", sources_table())
    ):  # fmt: skip
        tables.write(root, f"{table_name}-{name}", content, {"command": f"make {table_name}"})


def column(data: pd.DataFrame, place: str, noise: str, rate: float, way: str, name="variance_pseudo_value") -> np.ndarray:
    where = (data["layers"] == place) & (data["noise"] == noise) & (data["dropout"] == rate) & (data["prediction"] == way)
    return data[where].sort_values("seed")[name].to_numpy()


# ---- model variance


@pytest.mark.parametrize("of", ENDS)
def test_model_variance_is_the_mean_of_pseudo_values(of):
    data = table()
    pair = figure2.variance_charts(data, "both", of)
    for info, place in zip(pair, experiment.LAYERS, strict=True):
        assert info.curves.title == f"Dropout in {figure2.PLACES[place]}"
        lines = {line.name: line for line in info.curves.series}
        assert len(lines) == 6
        assert info.kinds == (Meaning.SCALED,) * 3 + (Meaning.SAMPLED,) * 3
        for noise, way in itertools.product(NOISES, experiment.PREDICTIONS):
            line = lines[f"{figure2.NAMES[noise]}, {way}"]
            assert line.x == experiment.RATES
            assert line.n == 6
            for rate, mean, low, high in zip(line.x, line.mean, line.low, line.high, strict=True):
                values = column(data, place, noise, rate, way, "variance_pseudo_value" + ENDS[of])
                assert mean == pytest.approx(values.mean())
                relative = stats.t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6) / mean
                assert math.log(high / mean) == pytest.approx(relative)
                assert math.log(mean / low) == pytest.approx(relative)


def test_the_sentence_counts_what_lies_below_no_dropout_by_pairs():
    # The seeds' common scatter is ten times their own and would hide Gaussian's .8 if settings were not paired.
    info, _ = figure2.variance_charts(table(noise=0.02), "scaled", "logits")
    assert info.sentence.startswith(
        "Dropout in layer 3. Scaled, model variance of logits is lower at 8 of 12 pairs of noise and rate, higher at 4, "
        "compared with no dropout; lowest with Bernoulli 0."
    )
    assert info.curves.series[1].low[1] < info.curves.series[0].high[0]  # unpaired they overlap
    unsure = table()
    where = (unsure["noise"] == "gaussian") & (unsure["dropout"] > 0)
    unsure.loc[where, "variance_pseudo_value"] = 4 + np.random.default_rng(1).normal(size=where.sum())
    info, _ = figure2.variance_charts(unsure, "scaled", "logits")
    assert "is lower at 4 of 12 pairs of noise and rate, higher at 4, no significant difference at 4, compared" in info.sentence


def test_values_that_span_orders_of_magnitude_have_a_logarithmic_axis():
    plain, _ = figure2.variance_charts(table(), "scaled", "logits")
    assert not plain.logarithmic
    left, right = figure2.variance_charts(table(span=0.01), "scaled", "logits")
    assert left.logarithmic
    assert left.y_range == right.y_range
    low, high = left.y_range
    ends = [value for line in left.curves.series for value in (*line.low, *line.high)]
    assert low < math.log10(min(ends)) < math.log10(max(ends)) < high


def test_the_table_of_ratios_holds_every_setting():
    data = table()
    info = figure2.ratios_to_none(data, "both", "logits")
    assert len(info.rows) == 2 * 2 * 3 * 4
    for at, ratio in info.rows:
        where = at.layers, at.noise
        expected = ratio_interval(column(data, *where, at.dropout, at.prediction), column(data, *where, 0.0, at.prediction))
        assert ratio == expected
    shown = info.formatted()
    first = info.rows[0][-1]
    assert shown.loc["layer 3, Bernoulli, scaled", "0.2"] == f"{first.mean:.2f} ({first.low:.2f} to {first.high:.2f})"
    assert "6 models a setting" in info.sentence
    assert "delta method" in info.sentence
    assert info.sentence.endswith("6 models a setting; each of the 48 intervals holds by itself.")
    assert info.table()["ratio to no dropout"].tolist() == [row[-1].mean for row in info.rows]


# ---- sampled against scaled


@pytest.mark.parametrize("of", ENDS)
def test_the_masks_monte_carlo_error_is_taken_out(of):
    # Planted: sampled is scaled plus 9/10 of the masks' variance over the samples in layer 3, and .9 of it in layers 2 and 3.
    data = table(masks=40.0, noise=0.0)
    for info, ratio in zip(figure2.sampling_charts(data, of), (1.0, 0.9), strict=True):
        lines = {line.name: line for line in info.curves.series}
        other = ", as measured" if of == "logits" else ", arithmetic mean"
        assert len(lines) == 6
        for noise in NOISES:
            clean, beside = lines[figure2.NAMES[noise]], lines[figure2.NAMES[noise] + other]
            assert clean.x == beside.x == experiment.RATES[1:]
            assert clean.mean == pytest.approx([ratio] * 4)
            error = 0.9 * 40 / experiment.SAMPLES / (4 * VALUES[noise])
            # The control's Monte Carlo error is taken out as well.
            assert beside.mean == pytest.approx([ratio + error if of == "logits" else 0.8] * 4)
        assert info.kinds == (Meaning.LIMIT,) * 3 + (Meaning.MEASURED if of == "logits" else Meaning.ARITHMETIC,) * 3
        assert info.level == 1.0


@pytest.mark.parametrize("of", ENDS)
def test_in_the_last_layer_sampling_is_scaling_and_the_page_says_what_was_measured(of):
    data = table(masks=40.0, noise=0.01)
    left, right = figure2.sampling_charts(data, of)
    assert "logits are linear in the mask" in left.sentence
    raw = [
        (column(data, "3", noise, rate, "sampled").mean() / column(data, "3", noise, rate, "scaled").mean())
        for noise, rate in itertools.product(NOISES, experiment.RATES[1:])
    ]
    assert f"Measured, the ratio is {min(raw):.3f} to {max(raw):.3f}" in left.sentence
    clean = [line for line in left.curves.series if "," not in line.name]
    holds = sum(low <= 1 <= high for line in clean for low, high in zip(line.low, line.high, strict=True))
    assert f"1 is in its 95 % interval at {holds} of 12 pairs" in left.sentence
    assert f"sampled model variance of {of} is lower at 12 of 12" in right.sentence
    assert "taken out" in right.sentence
    control = "The arithmetic mean of the masks' probabilities, a control that the paper does not take, is lower at 12 of 12"
    assert (control in left.sentence) == (control in right.sentence) == (of == "probabilities")


# ---- claims


def counts(data: pd.DataFrame, prediction="sampled", of="logits") -> list[str]:
    return [seen for _, seen in figure2.counts(data, prediction, of).rows]


def test_claims_are_counted_over_places_and_rates():
    data = table(noise=0.01, models=8)
    about = figure2.counts(data, "sampled", "logits").about
    assert "vanilla dropout, which the charts call Bernoulli" in about
    assert "the 8 pairs of layers and rate" in about
    assert "model variance of logits is so by its 95 % interval over 8 models" in about
    none, lowest, scaled = counts(data)
    assert none == "sampled, lower at 8 of 8, higher at 0."
    assert lowest == "sampled, lowest at 8 of 8, another is lower at 0."
    # Planted in layers 2 and 3 alone.
    assert scaled.startswith("lower at 4 of 8, higher at 0, no significant difference at 4")


def test_claims_are_about_what_is_chosen():
    data = table(noise=0.01)
    # With the two ways swapped for probabilities alone, sampling is the higher one there.
    swapped = data.replace({"prediction": {"sampled": "scaled", "scaled": "sampled"}})
    data["variance_pseudo_value_probs"] = (
        4 * (data["dropout"] > 0) * (data["prediction"] == "scaled") + swapped["variance_pseudo_value_probs"]
    )
    assert (
        counts(data, "both", "probabilities")[0]
        == "scaled, lower at 0 of 8, higher at 8; sampled, lower at 8 of 8, higher at 0."
    )
    assert counts(data, "scaled", "probabilities")[0] == "scaled, lower at 0 of 8, higher at 8."
    assert counts(data, "scaled", "logits")[0] == "scaled, lower at 8 of 8, higher at 0."
    assert "of probabilities" in figure2.counts(data, "both", "probabilities").about


@pytest.mark.parametrize("of", ENDS)
@pytest.mark.parametrize("masks", [0.0, 40.0])
def test_the_verdict_counts_what_the_chart_draws(of, masks):
    # 40: the masks' Monte Carlo error alone lifts all that was measured above scaled.
    data = table(masks=masks, noise=0.01)
    drawn = figure2.NAMES["bernoulli"]
    lines = [line for info in figure2.sampling_charts(data, of) for line in info.curves.series if line.name == drawn]
    ends = [pair for line in lines for pair in zip(line.low, line.high, strict=True)]
    below, above = sum(high < 1 for _, high in ends), sum(low > 1 for low, _ in ends)
    assert len(ends) == 8
    seen = counts(data, of=of)[2]
    assert seen.startswith(f"lower at {below} of 8, higher at {above}")
    assert seen.endswith("Monte Carlo error of the 100 masks taken out.")
    assert below >= 4


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
    info, _ = figure2.cross_entropy_charts(data, "scaled")
    line = info.curves.series[2]
    values = column(data, "3", "dropconnect", 0.6, "scaled", "cross_entropy")
    assert line.name == "DropConnect"
    assert line.mean[3] == pytest.approx(values.mean())
    assert line.high[3] - line.mean[3] == pytest.approx(stats.t.ppf(0.975, 5) * values.std(ddof=1) / math.sqrt(6))
    assert "cross-entropy is lower at 0 of 12 pairs of noise and rate, higher at 12" in info.sentence
    assert "lowest with Bernoulli 0.2" in info.sentence


def stored(spec: RunSpec, status="done") -> SimpleNamespace:
    return SimpleNamespace(key=spec.key, spec=spec, status=status, metrics={"test_accuracy": 0.9, "test_cross_entropy": 0.25})


def test_a_stored_run_is_shown_where_it_belongs_and_nowhere_else():
    def spec(*dropout: float, **changes) -> RunSpec:
        return RunSpec(dropout=dropout, **({"train_size": 10_000} | changes))

    summaries = [
        stored(spec(0, 0, 0.3)), stored(spec(0, 0.5, 0.5, noise="gaussian", seed=7)), stored(spec(0, 0, 0)),
        stored(spec(0.4, 0.4, 0.4)), stored(spec(0, 0.2, 0.4)), stored(spec(0, 0, 0.3, train_size=55_000)),
        stored(spec(0, 0, 0.2, subset_seed=5)), stored(spec(0, 0, 0.3, recipe="paper")),
        stored(spec(0, 0, 0.3, seed=1), "stopped"),
    ]  # fmt: skip
    own = figure2.own_runs(summaries, "modern", str)
    assert [(each.rate, each.spec.noise) for each in own["3"]] == [(0.3, "bernoulli"), (0.0, "bernoulli"), (0.2, "bernoulli")]
    assert [(each.rate, each.spec.noise) for each in own["2 and 3"]] == [(0.5, "gaussian"), (0.0, "bernoulli")]
    info = figure2.cross_entropy_charts(table(), "scaled")[0].with_own(own["3"][:2])
    assert info.table()["stored run"].notna().sum() == 2
    assert info.sentence.endswith("Open markers: 2 stored runs, scaled.")


# ---- further tables


@pytest.mark.parametrize("of", ENDS)
def test_the_papers_formula_is_shown_of_as_many_models_as_in_the_paper(of):
    info = figure2.formula(models_table(), "sampled", of)
    scale = 1 if of == "logits" else 1000
    assert len(info.rows) == 3 * 2 * 2 * 2
    assert {(models, round(value * scale, 6)) for _, models, value in info.rows} == {(12, 2.24), (10, 2.2)}
    shown = info.formatted()
    assert shown.loc["layer 3, Bernoulli, sampled", "0.4"] == ("2.2" if of == "logits" else "0.0022")
    assert "the first 10 models; the numbers hold 10 and 12 models" in info.sentence
    assert set(info.table()["models"]) == {10, 12}
    assert len(figure2.formula(models_table(sizes=(4,)), "both", of).formatted()) == 3 * 2 * 2


@pytest.mark.parametrize("of", ENDS)
def test_the_share_of_each_source_is_found(of):
    data = sources_table()
    info = figure2.sources(data, "both", of)
    assert info.prediction == "sampled"
    assert list(info.lines) == ["no dropout", "dropout 0.4 in layer 3", "dropout 0.4 in layers 2 and 3"]
    scale = 1 if of == "logits" else 1000
    for (name, points), expected in zip(info.lines.items(), (1, 0.5, 0.25), strict=True):
        assert list(points) == list(figure2.SOURCES.values())
        for point, source in zip(points.values(), SOURCES, strict=True):
            assert point.mean * scale == pytest.approx(4 * SOURCES[source] * expected, rel=0.1), name
            assert point.low < point.mean < point.high
    part = data.query("prediction == 'sampled' and layers == '3' and dropout == 0.0").pivot(
        index="model", columns="source", values="variance_pseudo_value" + ENDS[of]
    )
    share = ratio_interval(part["images"], part["both"])
    text = f"{100 * share.mean:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"
    assert f"Without dropout, models that differ in their images alone have {text} of the model variance" in info.sentence
    assert "with dropout 0.4 in layers 2 and 3, model variance at other images alone is 2" in info.sentence
    assert info.sentence.endswith("sampled, 95 % intervals, 6 models a point; what models do not differ in is that of seed 0.")
    assert len(info.table()) == 9


def test_of_two_models_no_source_is_told_from_another():
    assert figure2.sources(sources_table(models=2), "sampled", "logits") is None


def test_a_table_that_is_missing_leaves_the_rest(tmp_path):
    write(tmp_path)
    whole = figure2.read("modern", tmp_path)
    assert whole.missing == ()
    assert whole.command == "make figure2"
    assert whole.sentence == figure2.find(table()).sentence
    assert whole.formula is not None
    assert whole.sources is not None
    (tmp_path / "figure2-sources-modern.csv").unlink()
    tables.write(tmp_path, "figure2-models-modern", models_table().drop(columns="models"), {"command": "x"})
    part = figure2.read("modern", tmp_path)
    assert part.formula is None
    assert part.sources is None
    assert part.missing == (
        "the table figure2-models-modern has no column models: another version made it; "
        "make it again with: python -m dropclust reproduce figure2",
        "the table figure2-sources-modern is not there; make it again with: python -m dropclust reproduce figure2",
    )
    old = table().rename(columns={"variance_pseudo_value": "model_variance"})
    write(tmp_path, old)
    with pytest.raises(results.ResultError, match="has no column variance_pseudo_value: another version made it"):
        figure2.read("modern", tmp_path)


@pytest.mark.parametrize("models", [1, 2, 3])
@pytest.mark.parametrize("prediction", figure2.PREDICTIONS)
@pytest.mark.parametrize("rates", [(0.0,), (0.4,), experiment.QUICK_RATES])
def test_of_every_odd_table_something_is_said(models, prediction, rates):
    data = table(models=models)
    found = figure2.find(data[data["dropout"].isin(rates)], prediction, "logits")
    assert (found.counts is not None) == (models > 2 and len(rates) > 1)
    assert found.sentence
    for info in (*found.variance, *found.sampling, *found.cross_entropy, found.ratios):
        assert info.sentence
        info.table()
    found.ratios.formatted()
    if models < 3:
        models_said = "1 model of each kind" if models == 1 else "2 models of each kind"
        assert models_said in found.sentence
