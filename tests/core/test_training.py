"""Training against plain PyTorch: whole runs, stacks, stops and failures."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from dropclust.core import metrics, training
from dropclust.core import stack as stacking
from dropclust.core.cost import curve_steps
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.prediction import scaled_logits
from dropclust.core.spec import MAIN_RECIPES, NOISES, PRECISIONS, RECIPES, RunSpec
from dropclust.core.stack import Stack, device_bytes, initial_weights
from dropclust.core.training import Diverged, Point, Trained, Training, fit, plan, run_stack, train
from tests.core import reference
from tests.core.stacks import (
    PLACES,
    SMALL,
    distance,
    grid,
    plain_run,
    poisoned,
    same_bits,
)

# -- whole runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
@pytest.mark.parametrize("place", PLACES)
def test_a_whole_run_is_that_of_a_plain_loop(
    place: dict[str, Any], kind: str, recipe: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "tensor_cores", nullcontext)  # which round more than is allowed here
    spec = replace(SMALL, noise=kind, recipe=recipe, dropout=(0.3, 0.0, 0.5), train_size=300, examples=16 * 40, seed=5)
    (run,) = run_stack(Stack([[spec]], data, **place), lambda share: False, lambda member, point: None, False)
    weights, biases, _ = plain_run(spec, data, **place)
    assert (run.status, run.steps, run.diverged_at) == ("done", 40, None)
    assert distance(run.network, Network(weights, biases, spec)) < 1e-3  # Adam divides rounding by small numbers


@pytest.mark.parametrize("kind", list(NOISES))
def test_how_many_steps_are_drawn_at_once_changes_nothing(kind: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = grid(replace(SMALL, noise=kind, train_size=100), 2, 2)
    runs = []
    for block in (1, 4_000, 10**6):
        monkeypatch.setattr(stacking, "_BLOCK", block)
        runs.append(run_stack(Stack(rows, data), lambda share: False, lambda member, point: None, False))
    for several in runs[1:]:
        assert all(same_bits(a.network, b.network) for a, b in zip(runs[0], several, strict=True))


def test_a_torch_without_onednn_trains_the_same_nets(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = NEIGHBOURS[:4]
    usual = fit(specs, data=data)
    monkeypatch.setattr(stacking, "_ONEDNN", False)
    for run, expected in zip(fit(specs, data=data), usual, strict=True):
        assert distance(run.network, expected.network) < 1e-3
        assert run.curve[-1].loss == pytest.approx(expected.curve[-1].loss, rel=1e-4)


@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
def test_what_fills_rows_up_stays_zero(kind: str, recipe: str, data: Data) -> None:
    stack = Stack(grid(replace(SMALL, noise=kind, recipe=recipe), 2, 2), data)
    run_stack(stack, lambda share: False, lambda member, point: None, False)
    widths = [*[len(data.live)] * 2, *SMALL.hidden]
    for weights, width in zip(stack.parameters, widths, strict=True):
        assert weights.shape[-1] % 8 == 0
        assert bool(weights[..., : width + 1].any())
        assert not bool(weights[..., width + 1 :].any())


def test_dead_pixels_keep_their_initial_weights_and_are_the_only_ones_left_out(data: Data) -> None:
    everything = Data(data.train_x, data.train_y, data.held_x, data.held_y, data.test_x, data.test_y)
    everything.__dict__["live"] = torch.arange(784)
    dead = torch.ones(784, dtype=torch.bool)
    dead[data.live] = False
    for recipe in MAIN_RECIPES:
        spec = replace(SMALL, recipe=recipe)
        fast, whole = (fit([spec], data=part, curve=False)[0].network for part in (data, everything))
        start = initial_weights(spec)[0]
        assert int(dead.sum()) == 67
        for network in (fast, whole):
            assert torch.equal(network.weights[0][dead], start[dead])
            assert not torch.equal(network.weights[0][~dead], start[~dead])
        assert distance(fast, whole) < 1e-4


# -- stacks -------------------------------------------------------------------------------------------------------------

NEIGHBOURS = [replace(SMALL, seed=seed, dropout=(rate, rate, rate)) for seed in (1, 2) for rate in (0.0, 0.3, 0.6)]
NEIGHBOURS += [replace(NEIGHBOURS[1], dropout=(0.3, 0.0, 0.1)), replace(NEIGHBOURS[1], noise="gaussian")]


@pytest.fixture(scope="module")
def alone(data: Data) -> list[Network]:
    return [fit([spec], data=data, curve=False)[0].network for spec in NEIGHBOURS]


@settings(max_examples=20, deadline=None)
@given(chosen=st.permutations(range(len(NEIGHBOURS))).flatmap(lambda order: st.integers(1, 8).map(lambda n: order[:n])),
       threads=st.integers(1, 3))  # fmt: skip
def test_a_net_does_not_depend_on_its_neighbours(chosen: list[int], threads: int, alone: list[Network], data: Data) -> None:
    runs = fit([NEIGHBOURS[index] for index in chosen], data=data, curve=False, threads=threads)
    assert [run.spec for run in runs] == [NEIGHBOURS[index] for index in chosen]
    for index, run in zip(chosen, runs, strict=True):
        assert run.network.spec == NEIGHBOURS[index]
        assert distance(run.network, alone[index]) < 1e-3


def test_nets_of_a_stack_are_different_nets(alone: list[Network]) -> None:
    for at, one in enumerate(alone):
        for other in alone[:at]:
            assert distance(one, other, start=initial_weights(NEIGHBOURS[0])) > 0.02


def test_the_same_stack_gives_the_same_bits(data: Data) -> None:
    first, second = (fit(NEIGHBOURS, data=data, curve=curve) for curve in (False, True))
    assert all(same_bits(a.network, b.network) for a, b in zip(first, second, strict=True))


def test_one_spec_many_specs_and_none(data: Data) -> None:
    twice = train([SMALL, SMALL])  # the same run asked for twice is trained as two, alike
    assert distance(twice[0], twice[1]) < 1e-4
    assert distance(train(SMALL)[0], twice[0]) < 1e-4
    assert train([]) == fit([], data=data) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_torchs_own_number_of_threads_is_left_as_it_was(threads: int, data: Data) -> None:
    before = torch.get_num_threads()
    fit(NEIGHBOURS[:3], data=data, curve=False, threads=threads)
    assert torch.get_num_threads() == before


KINDS = [RunSpec(**change) for change in (
    {}, {"hidden": (800, 100, 100)}, {"hidden": (9, 9, 9)}, {"batch_size": 4096}, {"noise": "gaussian"}, {"recipe": "paper"},
    {"precision": "bfloat16"}, {"train_size": 10_000}, {"examples": 10_000},
)]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    chosen=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=80),
    threads=st.integers(1, 8),
)
def test_a_plan_covers_each_run_once_and_keeps_its_limits(chosen: list[tuple[RunSpec, int, int]], threads: int) -> None:
    specs = [replace(spec, seed=seed, dropout=(rate / 10,) * 3) for spec, seed, rate in chosen]
    stacks = plan(specs, threads)
    assert sorted(index for rows in stacks for row in rows for index in row) == list(range(len(specs)))
    work = []
    for rows in stacks:
        flat = [specs[index] for row in rows for index in row]
        assert len({len(row) for row in rows}) == 1
        assert len({replace(spec, seed=0, dropout=(0, 0, 0)) for spec in flat}) == 1
        for row in rows:
            assert len({specs[index].seed for index in row}) == 1
        if len(flat) > 1:
            assert sum(spec.n_parameters for spec in flat) <= 1_100_000
            assert sum(spec.flops / spec.steps for spec in flat) <= 4e9
        alike = sum(replace(spec, seed=0, dropout=(0, 0, 0)) == replace(flat[0], seed=0, dropout=(0, 0, 0)) for spec in specs)
        assert len(flat) <= math.ceil(alike / threads)  # no thread gets more than its share while another waits
        work.append(sum(spec.flops for spec in flat))
    assert work == sorted(work, reverse=True)


def test_two_hundred_nets_become_stacks_of_about_ten_and_a_seeds_settings_stay_together() -> None:
    sizes = [sum(map(len, rows)) for rows in plan([RunSpec(seed=seed) for seed in range(200)], 1)]
    assert set(sizes) == {10, 11}
    together = plan([RunSpec(seed=seed, dropout=(rate / 10,) * 3) for rate in range(5) for seed in range(4)], 1)
    assert [[len(row) for row in rows] for rows in together] == [[5, 5], [5, 5]]


# -- watching and stopping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_the_curve_has_its_steps_and_ends_at_the_network(threads: int, data: Data) -> None:
    specs = [*NEIGHBOURS, RunSpec(hidden=(5, 4, 3), batch_size=100, examples=700)]
    seen: dict[int, list[Point]] = {index: [] for index in range(len(specs))}
    runs = fit(specs, data=data, threads=threads, on_point=lambda index, point: seen[index].append(point))
    held_x, held_y = data.held_x[:2_000], data.held_y[:2_000]
    for index, run in enumerate(runs):
        assert list(run.curve) == seen[index]
        assert [point.step for point in run.curve] == curve_steps(run.spec)
        assert [point.examples for point in run.curve] == [point.step * run.spec.batch_size for point in run.curve]
        assert all(a.seconds <= b.seconds for a, b in pairwise(run.curve))
        start = Network(initial_weights(run.spec), [torch.zeros(width) for width in run.spec.widths[1:]])
        for point, network in ((run.curve[0], start), (run.curve[-1], run.network)):
            logits = scaled_logits(network, held_x)
            assert point.loss == pytest.approx(metrics.cross_entropy(logits, held_y), rel=1e-5)
            assert point.accuracy == pytest.approx(metrics.accuracy(logits, held_y), abs=0.00051)  # one image of 2,000


@settings(max_examples=100, deadline=None)
@given(examples=st.integers(100, 400_000), batch=st.integers(20, 100), width=st.integers(1, 200))
def test_curve_steps_run_from_the_start_to_the_end_without_repeating(examples: int, batch: int, width: int) -> None:
    spec = RunSpec(hidden=(width,) * 3, batch_size=batch, examples=examples)
    steps = curve_steps(spec)
    assert (steps[0], steps[-1]) == (0, spec.steps)
    assert all(0 < b - a <= math.ceil(spec.steps / (len(steps) - 1)) for a, b in pairwise(steps))
    assert len(steps) == spec.steps + 1 or 41 <= len(steps) <= 401


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_progress_never_goes_back_and_ends_at_one(threads: int, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "POLL_SECONDS", 0.0)
    shares: list[float] = []
    fit(NEIGHBOURS, data=data, curve=False, threads=threads, on_step=shares.append)
    assert len(shares) > 2 * SMALL.steps
    assert all(0 <= a <= b for a, b in pairwise(shares))
    assert shares[-1] == 1.0
    told: list[float] = []
    train(SMALL, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


class StopAfter:
    """Says "stop" from its n-th asking on."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("asked", [0, 1, 7])
def test_a_stopped_run_keeps_what_was_learnt_and_makes_no_step_more(
    asked: int, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "POLL_SECONDS", 0.0)  # asked after every step, and once before the first
    specs = [replace(SMALL, dropout=(rate, rate, rate)) for rate in (0.0, 0.5)]
    shares: list[float] = []
    runs = fit(specs, data=data, threads=1, should_stop=StopAfter(asked), on_step=shares.append)
    assert [(run.status, run.steps, run.diverged_at) for run in runs] == [("stopped", asked, None)] * 2
    assert shares[-1] == asked / SMALL.steps
    for run in runs:
        shorter = replace(run.spec, examples=SMALL.batch_size * asked) if asked else None
        expected = train(shorter)[0].weights if shorter else initial_weights(run.spec)
        for weight, same in zip(run.network.weights, expected, strict=True):
            torch.testing.assert_close(weight, same, rtol=1e-4, atol=1e-6)
        assert [point.step for point in run.curve] == [step for step in curve_steps(run.spec) if step < asked]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stop_ends_the_stacks_that_wait_as_well(threads: int, data: Data) -> None:
    specs = [replace(SMALL, hidden=(width, 5, 5), examples=16 * 20_000) for width in range(1, 13)]  # twelve stacks
    stopper = StopAfter(5)
    runs = fit(specs, data=data, threads=threads, should_stop=stopper)
    assert {run.status for run in runs} == {"stopped"}
    assert sum(run.steps == 0 for run in runs) >= len(specs) - 5
    assert all(0 < run.steps < run.spec.steps for run in runs if run.steps)
    assert any(run.steps for run in runs)
    assert -stopper.left <= len(specs)  # once it said so, each stack asked at most once


def test_a_stop_asked_for_at_the_last_step_leaves_a_finished_run(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "POLL_SECONDS", 0.0)
    (run,) = fit([SMALL], data=data, should_stop=StopAfter(SMALL.steps))
    assert (run.status, run.steps) == ("done", SMALL.steps)
    assert [point.step for point in run.curve] == curve_steps(SMALL)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("callback", ["on_point", "on_step", "should_stop"])
def test_an_error_in_a_callback_comes_out_and_ends_the_other_stacks(callback: str, threads: int, data: Data) -> None:
    long = [replace(SMALL, hidden=(width, 5, 5), examples=16 * 40_000) for width in (5, 6, 7)]
    failed, steps = [], {}

    def fails_once(*_: object) -> bool:
        if not failed:
            failed.append(True)
            raise OSError("the disk is full")
        return False

    def watches(index: int, point: Point) -> None:
        steps[index] = point.step
        if callback == "on_point" and point.step:
            fails_once()

    with pytest.raises(OSError, match=r"^the disk is full$"):
        fit(
            long,
            data=data,
            threads=threads,
            **{"on_point": watches, callback: watches if callback == "on_point" else fails_once},
        )
    assert all(step < long[0].steps / 2 for step in steps.values())


# -- divergence ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_a_run_that_blows_up_says_at_which_step(rate: float, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "paper", replace(RECIPES["paper"], learning_rate=rate))
    spec = RunSpec(recipe="paper", dropout=(0.2, 0.2, 0.2), batch_size=100, examples=100 * 60)
    _, _, step = plain_run(spec, data)
    seen: list[Point] = []
    (run,) = fit([spec], data=data, on_point=lambda _, point: seen.append(point))
    assert step is not None
    assert (run.status, run.network, run.diverged_at, run.steps) == ("diverged", None, step, step)
    assert all(math.isfinite(point.loss) for point in seen)
    assert list(run.curve) == seen
    with pytest.raises(training.Diverged, match=f"^run {spec.key[:8]} diverged at step {step}$"):
        train([spec])


@pytest.mark.parametrize(("after", "factor", "diverges"), [(7, 1e25, 8), (58, 1e25, 59), (60, math.inf, 60), (60, 1.0, None)])
def test_the_step_is_the_first_whose_gradient_is_not_finite(
    after: int, factor: float, diverges: int | None, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are blown up after a given update; after the very last one only the network itself can show it."""
    original, made = Stack.update, []

    def update(stack: Stack) -> None:
        original(stack)
        made.append(True)
        if len(made) == after:
            for weight in stack.parameters[:4]:
                weight.mul_(factor)

    monkeypatch.setattr(Stack, "update", update)
    (run,) = fit([replace(SMALL, examples=16 * 60)], data=data)
    assert (run.diverged_at, run.network is None) == (diverges, diverges is not None)
    assert (run.status, run.steps) == (("done", 60) if diverges is None else ("diverged", diverges))
    expected = [step for step in curve_steps(run.spec) if diverges is None or step < after]
    assert [point.step for point in run.curve] == expected


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sick", range(4))
@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
def test_healthy_neighbours_of_a_run_that_blows_up_do_not_notice(
    place: dict[str, Any], sick: int, recipe: str, data: Data
) -> None:
    rows = grid(replace(SMALL, recipe=recipe), 2, 2)

    def run(stack: Stack) -> list[Trained]:
        return run_stack(stack, lambda share: False, lambda member, point: None, True)

    healthy, mixed = run(Stack(rows, data, **place)), run(poisoned(Stack(rows, data, **place), sick))
    for member, (expected, got) in enumerate(zip(healthy, mixed, strict=True)):
        if member == sick:
            assert (got.status, got.diverged_at, got.steps, got.network, got.curve) == ("diverged", 1, 1, None, ())
        else:
            assert (got.status, got.steps) == ("done", SMALL.steps)
            assert same_bits(got.network, expected.network)
            assert [(p.loss, p.accuracy) for p in got.curve] == [(p.loss, p.accuracy) for p in expected.curve]


def test_a_stack_whose_every_net_blew_up_ends_at_once(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "POLL_SECONDS", 0.0)
    shares: list[float] = []
    stack = poisoned(Stack([[SMALL]], data), 0)
    (run,) = run_stack(stack, lambda share: bool(shares.append(share)), lambda member, point: None, True)
    assert (run.status, run.diverged_at) == ("diverged", 1)
    assert len(shares) == 3  # at the start, after the one step, at the end


# -- the proof: the engine's nets are those of the plain module -----------------------------------------------------------


def layer_2_similarity(network: Network) -> float:
    """Adjusted Rand index between k-means of incoming and of outgoing weights of the second hidden layer."""
    incoming, outgoing = network.weights[1].t().numpy(), network.weights[2].numpy()
    labels = [KMeans(10, n_init=4, random_state=0).fit_predict(rows) for rows in (incoming, outgoing)]
    return float(adjusted_rand_score(*labels))


def power_of_equivalence(deviations: tuple[float, float], n: int, margin: float) -> float:
    """Chance that two one-sided 5 % t tests show two equal means to be within the margin (Schuirmann 1987)."""
    error = math.sqrt(sum(d**2 for d in deviations) / n)
    freedom = 2 * (n - 1)
    return max(0.0, 2 * float(stats.t.cdf(margin / error - stats.t.ppf(0.95, freedom), freedom)) - 1)


def test_thirty_seeds_of_the_engine_and_of_the_plain_module_have_the_same_distribution(data: Data) -> None:
    """Test accuracy and layer-2 adjusted Rand over 30 seeds each, independent samples, torch's own dropout on one side.

    Difference: Welch's t and Mann-Whitney's U, two-sided, neither below p = .01 (by chance 1 in 100 each, if equal).
    Equality: two one-sided Welch tests at 5 % within .003 of accuracy and .025 of adjusted Rand; their power, computed
    from the spread at hand, must be at least .9, or equality would not have been shown by a pass.
    """
    specs = [RunSpec(examples=128 * 312, seed=seed) for seed in range(30)]
    samples = []
    for networks in (train(specs), [reference.train_plain(spec, data) for spec in specs]):
        accuracy = [metrics.accuracy(scaled_logits(network, data.test_x), data.test_y) for network in networks]
        samples.append(np.array([accuracy, [layer_2_similarity(network) for network in networks]]))
    for engine, plain, margin in zip(*samples, (0.003, 0.025), strict=True):
        assert stats.ttest_ind(engine, plain, equal_var=False).pvalue > 0.01
        assert stats.mannwhitneyu(engine, plain).pvalue > 0.01
        assert stats.ttest_ind(engine + margin, plain, equal_var=False, alternative="greater").pvalue < 0.05
        assert stats.ttest_ind(engine - margin, plain, equal_var=False, alternative="less").pvalue < 0.05
        assert power_of_equivalence((engine.std(ddof=1), plain.std(ddof=1)), 30, margin) > 0.9


# -- devices ------------------------------------------------------------------------------------------------------------


def test_a_run_says_where_it_was_trained_and_its_key_does_not(data: Data) -> None:
    (run,) = fit([SMALL], data=data, curve=False, device="cpu")
    assert run.device == "cpu"
    assert "device" not in SMALL.to_json()


def test_a_gpus_stack_is_as_large_as_its_memory_allows() -> None:
    specs = [RunSpec(seed=seed, dropout=(rate / 100,) * 3) for seed in range(20) for rate in range(19)]
    [whole] = plan(specs, 1, room=1e12)
    assert [len(row) for row in whole] == [19] * 20
    cut = plan(specs, 1, room=100 * device_bytes(specs[0]))
    assert max(sum(map(len, rows)) for rows in cut) <= 100
    assert sorted(index for rows in cut for row in rows for index in row) == list(range(380))
    assert plan([RunSpec(hidden=(2000, 100, 100), examples=1_000)], 1, room=1.0) == [[[0]]]  # one net at least


@pytest.mark.parametrize(("device", "sentence"), [
    ("gpu", "device must be one of auto, cpu, cuda; got 'gpu'"),
    (None, "device must be one of auto, cpu, cuda; got None"),
])  # fmt: skip
def test_another_device_is_refused(device: Any, sentence: str, data: Data) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        train(SMALL, device=device)


@pytest.mark.cuda
def test_nets_from_a_gpu_lie_on_the_processor_and_learn_what_the_processors_learn(data: Data) -> None:
    """Test accuracy of 20 seeds each, paired: another noise of the same distribution, the same weights and images."""
    specs = [RunSpec(examples=128 * 312, seed=seed, precision=precision) for precision in PRECISIONS for seed in range(20)]
    accuracies = []
    for device in ("cpu", "cuda"):
        runs = fit(specs, data=data, curve=False, device=device)
        assert {run.network.device.type for run in runs} == {"cpu"}
        assert {run.device.partition(" ")[0] for run in runs} == {device}
        accuracies.append([metrics.accuracy(scaled_logits(run.network, data.test_x), data.test_y) for run in runs])
    apart = np.subtract(*accuracies)
    for part in (apart[:20], apart[20:]):
        assert stats.ttest_1samp(part, 0).pvalue > 0.001
        assert abs(part.mean()) < 0.003


@pytest.mark.cuda
def test_a_net_on_a_gpu_does_not_depend_on_its_neighbours(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "tensor_cores", nullcontext)  # whose rounding depends on the size of a product
    together = fit(NEIGHBOURS, data=data, curve=False, device="cuda")
    for spec, run in zip(NEIGHBOURS, together, strict=True):
        (single,) = fit([spec], data=data, curve=False, device="cuda")
        assert distance(run.network, single.network) < 1e-3


@pytest.mark.cuda
def test_a_run_on_a_gpu_stops_soon_and_keeps_what_was_learnt(data: Data) -> None:
    spec = replace(SMALL, examples=16 * 150_000)
    (run,) = fit([spec], data=data, curve=True, device="cuda", should_stop=StopAfter(3))
    assert run.status == "stopped"
    assert 0 < run.steps < spec.steps / 2
    assert run.network is not None


# -- rates that change while a network trains ---------------------------------------------------------------------------

ON, OFF = (0.5, 0.3, 0.6), (0.0, 0.0, 0.0)
COURSE = replace(SMALL, train_size=300, examples=16 * 60, seed=5, dropout=OFF)


def advance_to(step: int, *stacks: Stack) -> None:
    for stack in stacks:
        with torch.inference_mode(), stack.queue():
            while stack.done < step:
                stack.advance(step - stack.done)


def alone_in_a_stack(spec: RunSpec, data: Data, **place: Any) -> Network:
    (run,) = run_stack(Stack([[spec]], data, **place), lambda share: False, lambda member, point: None, False)
    return run.network


@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
@pytest.mark.parametrize("place", PLACES)
def test_runs_that_share_rates_until_a_step_are_the_same_to_the_bit_until_then(
    place: dict[str, Any], kind: str, recipe: str, data: Data
) -> None:
    plain = replace(COURSE, noise=kind, recipe=recipe)
    on = replace(plain, schedule=((37, ON),))
    on_and_off = replace(on, schedule=((37, ON), (52, OFF)))
    stacks = [Stack([[spec]], data, **place) for spec in (plain, on, on_and_off)]
    for first, second, until in [(0, 1, 37), (1, 2, 52)]:
        advance_to(until, stacks[first], stacks[second])
        assert same_bits(stacks[first].networks()[0], stacks[second].networks()[0])
    advance_to(38, stacks[0])
    advance_to(53, *stacks[1:])
    assert not same_bits(stacks[1].networks()[0], stacks[2].networks()[0])
    whole = alone_in_a_stack(replace(plain, dropout=ON), data, **place)
    early = alone_in_a_stack(replace(plain, schedule=((1, ON),)), data, **place)
    assert not same_bits(whole, early)  # the first step has no noise


@pytest.mark.parametrize("kind", list(NOISES))
@pytest.mark.parametrize("place", PLACES)
def test_the_noise_of_a_step_is_that_of_the_runs_rate_at_it(place: dict[str, Any], kind: str, data: Data) -> None:
    """Whatever the step in a block: the draws are those of runs that have the rate from the start."""
    changed = replace(COURSE, noise=kind, schedule=((3, ON), (20, (0.2, 0.0, 0.0)), (21, OFF), (33, ON)))
    constant = {rates: Stack([[replace(COURSE, noise=kind, dropout=rates)]], data, **place)
                for rates in (ON, (0.2, 0.0, 0.0))}  # fmt: skip
    stack = Stack([[changed]], data, **place)
    for step in range(40):
        noise, others = stack.draw(), {rates: other.draw() for rates, other in constant.items()}
        rates = changed.rates_at(step)
        for layer in range(3):
            if rates[layer]:
                assert torch.equal(noise[layer], others[rates][layer])
            else:
                assert torch.equal(noise[layer], torch.ones_like(noise[layer]))


@pytest.mark.parametrize("place", PLACES)
def test_nets_of_different_schedules_train_together_as_alone(
    place: dict[str, Any], data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "tensor_cores", nullcontext)  # whose rounding depends on the size of a product
    schedules = [(), ((30, ON),), ((11, ON), (45, OFF)), tuple((step, (step % 2 / 2,) * 3) for step in range(1, 60))]
    row = [replace(COURSE, schedule=schedule) for schedule in schedules]
    rows = [row, [replace(spec, seed=6) for spec in row]]
    assert len(plan([spec for row in rows for spec in row], 1)) == 1
    together = run_stack(Stack(rows, data, **place), lambda share: False, lambda member, point: None, False)
    for run in together:
        assert distance(run.network, alone_in_a_stack(run.spec, data, **place)) < 1e-3


@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_thirty_changes_by_hand_trained_again_from_the_spec_give_the_same_bits(
    device: str, kind: str, recipe: str, data: Data
) -> None:
    random = np.random.default_rng(3)
    run = Training(replace(COURSE, noise=kind, recipe=recipe, examples=16 * 400), data, device)
    networks = {}
    for _ in range(30):
        run.rates = tuple(random.choice([0, 0, 0.2, 0.5, 0.8], 3))
        assert run.step(random.integers(1, 9)) > 0
        networks[run.step_number] = run.network()
    for number in (max(networks), sorted(networks)[10]):
        spec = networks[number].spec
        assert spec.examples == 16 * number
        assert RunSpec.from_json(spec.to_json()) == spec
        (again,) = fit([spec], data=data, curve=False, device=device)
        assert same_bits(again.network, networks[number])
    assert len(run.so_far.schedule) > 20


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_goes_on_from_its_own_description(precision: str, data: Data) -> None:
    first = Training(replace(COURSE, precision=precision), data)
    first.step(23)
    first.rates = ON
    first.step(5)
    second = Training(first.spec, data)
    assert second.step(28) == 28
    assert second.rates == ON
    assert same_bits(first.network(), second.network())
    for run in (first, second):
        run.rates = OFF
        assert run.step(1_000) == 32
        assert run.finished
    assert same_bits(first.network(), second.network())
    assert first.so_far == first.spec == replace(COURSE, precision=precision, schedule=((23, ON), (28, OFF)))
    assert first.step(1) == 0


def test_rates_set_twice_before_a_step_are_the_last_and_those_set_back_were_never_set(data: Data) -> None:
    run = Training(replace(COURSE, schedule=((40, ON),)), data)
    run.rates = ON
    assert (run.spec.dropout, run.spec.schedule) == (ON, ())
    run.rates = OFF
    run.step(10)
    run.rates = ON
    run.rates = OFF
    run.step(40)
    assert run.so_far == replace(COURSE, examples=16 * 50)
    assert same_bits(run.network(), alone_in_a_stack(run.so_far, data))
    loss, accuracy = run.held_out()
    assert (loss > 0, 0 <= accuracy <= 1) == (True, True)


def test_what_a_run_cannot_do_is_said_and_changes_nothing(data: Data) -> None:
    run = Training(COURSE, data)
    with pytest.raises(ValueError, match="must have made a step"):
        _ = run.so_far
    assert run.network().spec == COURSE
    run.step(3)
    for rates, sentence in [((0.5, 0.5), "three numbers"), ((0.5, 0.5, 0.96), "from 0 to 0.95"), (ON + ON, "three numbers")]:
        with pytest.raises(ValueError, match=sentence):
            run.rates = rates
    for n in (0, -1, 1.5):
        with pytest.raises(ValueError, match="n must be a whole number from 1"):
            run.step(n)
    assert run.rates == OFF
    run.step(57)
    with pytest.raises(ValueError, match="a step of schedule must be a whole number from 1 to 59; got 60"):
        run.rates = ON
    assert same_bits(run.network(), alone_in_a_stack(COURSE, data))


def test_a_run_that_blew_up_has_no_network(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Training(COURSE, data)
    run.step(2)
    poisoned_weights = run._stack._master
    poisoned_weights.fill_(float("nan"))
    run.step(1)
    with pytest.raises(Diverged, match="diverged within 3 steps"):
        run.network()
    assert math.isnan(run.held_out()[0])
