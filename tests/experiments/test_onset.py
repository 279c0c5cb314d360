"""Dropout switched on and off: which networks, when they are looked at, and what the claims make of made-up rows."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from dropclust import experiments
from dropclust.core import mnist, training
from dropclust.core.mnist import Data
from dropclust.core.spec import RunSpec
from dropclust.core.tiles import shades_of, shown_weights
from dropclust.core.training import fit
from dropclust.experiments import onset
from dropclust.experiments.claim import Verdict, judge
from dropclust.experiments.experiment import Settings
from dropclust.experiments.onset import OFF, OFF_ON, ON, ON_OFF, course_of, moments

FULL, QUICK = Settings(seeds=2), Settings(seeds=2, quick=True)
NONE, HALF = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)


def test_the_courses_of_a_seed_differ_in_their_rates_alone():
    specs = [spec for spec in onset.EXPERIMENT.specs(FULL) if spec.seed == 1]
    assert len(specs) == 11
    assert {replace(spec, dropout=NONE, schedule=(), noise="bernoulli", hidden=(100, 100, 100)) for spec in specs} == {
        RunSpec(dropout=NONE, seed=1, precision="bfloat16")
    }
    paper = [spec for spec in specs if spec.hidden == onset.HIDDEN]
    assert [course_of(spec) for spec in paper] == [
        (OFF, 0.0, "bernoulli"), (ON, 0.5, "bernoulli"), (OFF_ON, 0.5, "bernoulli"), (ON_OFF, 0.5, "bernoulli"),
        (OFF_ON, 0.2, "bernoulli"), (OFF_ON, 0.8, "bernoulli"), (OFF_ON, 0.5, "gaussian"),
    ]  # fmt: skip
    assert paper[2].schedule == ((1250, HALF),)
    assert paper[3].schedule == ((1250, NONE),)
    assert [course_of(spec)[0] for spec in onset.EXPERIMENT.specs(QUICK)] == [*onset.COURSES] * 2


def test_a_run_that_is_not_switched_yet_is_of_a_constant_course():
    switched = onset.EXPERIMENT.specs(FULL)[3]
    assert course_of(switched.until(1250)) == (ON, 0.5, "bernoulli")
    assert course_of(switched.until(1251)) == (ON_OFF, 0.5, "bernoulli")


def test_the_main_courses_are_looked_at_24_times_closest_after_the_switch():
    off, on, off_on, on_off, weak = onset.EXPERIMENT.specs(FULL)[:5]
    assert len(moments(off, False)) == 24
    assert moments(off, False) == moments(on, False)
    assert moments(off, False)[-1] == off.steps == 2500
    assert moments(off_on, False) == moments(on_off, False) == tuple(step for step in moments(off, False) if step > 1250)
    assert 1250 in moments(off, False)
    gaps = pd.Series(moments(off_on, False)).diff().dropna()
    assert gaps.is_monotonic_increasing
    assert set(moments(weak, False)) < set(moments(off, False))  # so that it can be compared
    assert set(moments(off, True)) <= set(moments(off, False))
    shares = {round(share * 1250) for share in onset.COMPRESSED}
    assert shares <= set(moments(off, False))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> tuple[Data, list[RunSpec]]:
    stream = torch.Generator().manual_seed(0)
    x, y = torch.rand(400, 784, generator=stream), torch.arange(400) % 10
    data = Data(x[:200], y[:200], x[200:300], y[200:300], x[300:], y[300:])
    monkeypatch.setattr(mnist, "load", lambda: data)
    monkeypatch.setattr(mnist, "subset", lambda seed, size: torch.arange(200))
    quick = [spec for spec in onset.EXPERIMENT.specs(replace(QUICK, examples=128 * 12)) if spec.seed == 0]
    return data, quick


def test_networks_are_measured_at_their_moments_as_if_trained_until_there(tiny):
    data, specs = tiny
    settings = replace(QUICK, seeds=1, examples=128 * 12)
    table = onset.EXPERIMENT.measure_group(specs, settings, 1, "cpu").tables["onset"]
    assert table.groupby("course")["step"].agg(["min", "max"]).loc[[OFF, OFF_ON]].to_numpy().tolist() == [[2, 12], [7, 12]]
    assert set(table["layer"]) == {1, 2}
    assert not table.drop(columns=["lost_paper", "lost_fold"]).isna().to_numpy().any()
    assert table["lost_paper"].notna().any()
    for course, spec in zip(onset.COURSES, specs, strict=True):
        (trained,) = fit([spec.until(8)], data=data, curve=False, device="cpu")
        alone = onset.EXPERIMENT.measure([trained.network], data, settings).set_index("layer")
        found = table[(table["course"] == course) & (table["step"] == 8)].set_index("layer")
        if len(found):
            for column in ("twins", "adjusted_rand_10", "effective_rank", "mstd"):
                assert found[column].to_numpy() == pytest.approx(alone[column].to_numpy(), abs=0.02)


def test_snapshots_are_the_networks_of_runs_that_end_there(tiny):
    data, specs = tiny
    for step, networks in training.snapshots(specs, [3, 8, 12], data=data, device="cpu"):
        assert [network.spec for network in networks] == [spec.until(step) for spec in specs]
        for spec, network in zip(specs, networks, strict=True):
            (alone,) = fit([spec.until(step)], data=data, curve=False, device="cpu")
            for ours, other in zip(network.weights, alone.network.weights, strict=True):
                torch.testing.assert_close(ours, other, atol=1e-3, rtol=0)


# ---- made-up rows ------------------------------------------------------------------------------------------------------------


def made_up(seeds: int = 6, **changes: float) -> pd.DataFrame:
    """A full table in which switching does what it is said to do, exactly but for a little noise."""
    effect = {"on": 0.4, "off": 0.2, "remembered": 0.3, "loss": 20.0} | changes
    rows = []
    for spec in onset.EXPERIMENT.specs(Settings(seeds=seeds)):
        course, rate, noise = course_of(spec)
        for step in moments(spec, False):
            after = max(0.0, (step - 1250) / 1250)
            soon = min(1.0, 5 * after)
            twins = {OFF: 0.0, ON: 0.5, OFF_ON: effect["on"] * soon, ON_OFF: 0.5 - (0.5 - effect["off"]) * soon}[course]
            rand = {OFF: 0.05, ON: 0.3, OFF_ON: 0.05 + 0.25 * soon, ON_OFF: 0.3 + (effect["remembered"] - 0.3) * soon}[course]
            lost = {OFF: 40.0, ON: 10.0, OFF_ON: 40 - effect["loss"] * soon, ON_OFF: 10 + 10 * soon}[course]
            for layer in onset.LAYERS:
                shift = ((spec.seed * 7 + step + layer) % 5 - 2) / 1000
                rows.append(
                    {
                        "seed": spec.seed, "width": spec.hidden[0], "course": course, "rate": rate,
                        "gaussian": int(noise == "gaussian"), "step": step, "layer": layer, "twins": twins + shift, "dead": 3,
                        "effective_rank": 20 + shift,
                        "adjusted_rand_10": rand + shift, "adjusted_rand_20": rand + shift, "adjusted_mutual_info_10": rand,
                        "adjusted_mutual_info_20": rand, "rand": 0.8, "chance_rand": 0.7, "chance_high": 0.73,
                        "correlation_within": 0.5, "correlation_across": 0.1, "lost_paper": lost, "lost_fold": lost,
                        "accuracy": 95.0, "mstd": 1.0,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame) -> dict[str, Verdict]:
    return {found.claim.key: found.verdict for found in judge(onset.CLAIMS, {"onset": {"onset": table}})}


def test_claims_hold_where_rows_show_them():
    assert set(verdicts(made_up()).values()) == {Verdict.HOLDS}


@pytest.mark.parametrize(
    ("changes", "claim", "verdict"),
    [
        ({"on": 0.0}, "onset.twins-form", Verdict.NOT_SEEN),
        ({"off": 0.5}, "onset.twins-melt", Verdict.NOT_SEEN),
        ({"off": 0.9}, "onset.twins-melt", Verdict.OPPOSITE),
        ({"remembered": 0.05}, "onset.agreement-remains", Verdict.NOT_SEEN),
        ({"loss": 0.0}, "onset.compression-follows", Verdict.NOT_SEEN),
        ({"loss": -20.0}, "onset.compression-follows", Verdict.OPPOSITE),
    ],
)
def test_and_do_not_where_they_do_not(changes, claim, verdict):
    assert verdicts(made_up(**changes))[claim] is verdict


def test_every_choice_has_rows_in_a_full_table():
    tables = {"onset": made_up(2)}
    for claim in onset.CLAIMS:
        for choice in claim.choices:
            assert len(choice.statistic(tables)) == 2, choice.name


def test_it_is_one_of_the_experiments():
    assert experiments.get("onset") is onset.EXPERIMENT
    assert all(spec.dropout in (NONE, HALF) for spec in onset.EXPERIMENT.specs(FULL))


def test_neurons_of_one_seed_are_kept_and_their_letters_are_their_shades(tiny, monkeypatch):
    data, specs = tiny
    monkeypatch.setattr(onset, "moments", lambda spec, quick: (3, 8, 12) if course_of(spec)[0] in (OFF, ON) else (8, 12))
    monkeypatch.setattr(onset, "SHOWN", (0.5, 2.0))
    settings = replace(FULL, seeds=1, examples=128 * 12)
    tables = onset.EXPERIMENT.measure_group(specs, settings, 1, "cpu").tables
    kept = tables[onset.NEURONS]
    assert {(course, step) for course, step in zip(kept["course"], kept["step"], strict=True)} == {
        (OFF, 3), (OFF, 12), (ON, 3), (ON, 12), (OFF_ON, 12), (ON_OFF, 12)
    }  # fmt: skip
    assert (kept.groupby(["course", "step", "layer"])["neuron"].agg(list).map(len) == 100).all()
    (network,) = [
        found for step, networks in training.snapshots(specs[:1], [12], data=data, device="cpu") for found in networks
    ]
    for layer in onset.LAYERS:
        rows = kept[(kept["course"] == OFF) & (kept["step"] == 12) & (kept["layer"] == layer)]
        shades = shades_of(shown_weights(network.weights, network.biases, layer))
        found = onset.pictures(rows["picture"].tolist())
        assert found.shape == shades.shape
        assert (abs(found - shades) <= 1).all()  # a network alone is the same but for rounding
    assert onset.NEURONS not in onset.EXPERIMENT.measure_group(specs, replace(settings, quick=True), 1, "cpu").tables


def test_letters_that_are_no_picture_are_refused():
    for letters in (["abc", "ab"], ["xyz"]):
        with pytest.raises(ValueError, match="letters from a to k"):
            onset.pictures(letters)
