"""The engine against plain PyTorch: gradients, steps, whole runs, stacks, stops and failures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from dropclust.core import calibration, metrics, mnist, training
from dropclust.core import stack as stacking
from dropclust.core.cost import curve_steps
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.prediction import scaled_logits
from dropclust.core.spec import MAIN_RECIPES, NOISES, PRECISIONS, RECIPES, RunSpec
from dropclust.core.stack import Stack, batches, initial_weights
from dropclust.core.training import Point, Trained, fit, plan, run_stack, train
from tests.core import reference

SMALL = RunSpec(hidden=(13, 11, 7), batch_size=16, examples=16 * 30)
GRIDS = [(1, 1), (1, 3), (2, 1), (2, 3)]  # seeds x settings
SUBSETS = list(product([False, True], repeat=3))  # which layers are noisy


def grid(spec: RunSpec, seeds: int, settings: int, noisy: Sequence[bool] = (True, True, True)) -> list[list[RunSpec]]:
    """Seeds x settings; the first setting of several has no noise at all, the others more and more."""
    rates = [0.4] if settings == 1 else [0.6 * part / (settings - 1) for part in range(settings)]
    return [
        [replace(spec, seed=seed, dropout=tuple(rate * on for on in noisy)) for rate in rates] for seed in range(3, 3 + seeds)
    ]


def of_member(stack: Stack, tensors: list[Tensor], member: int) -> list[Tensor]:
    """One net's four weights ``[in, out]`` (layer 1 without its dead pixels) and four biases, of parameters or gradients."""
    seed, setting = divmod(member, stack.n_settings)
    h1 = stack.spec.hidden[0]
    layers = [tensors[seed][setting * h1 : (setting + 1) * h1], *(upper[member] for upper in tensors[stack.n_seeds :])]
    widths = [len(stack.live), *stack.spec.hidden]
    return [
        *(layer[:, :width].t() for layer, width in zip(layers, widths, strict=True)),
        *(layer[:, width] for layer, width in zip(layers, widths, strict=True)),
    ]


def noise_of_member(stack: Stack, noise: Sequence[Tensor | None], member: int) -> list[Tensor | None]:
    """One net's noise of one step: ``[B, h]`` or, for DropConnect, ``[in, out]`` a layer."""
    return [None if drawn is None else (drawn if drawn.ndim == 2 else drawn[member]).t() for drawn in noise]


def distance(a: Network, b: Network, start: list[Tensor] | None = None) -> float:
    """How far two networks are apart, as a share of how far the second has come from its initial weights."""
    start = initial_weights(b.spec) if start is None and b.spec else start
    apart = sum(float((x - y).square().sum()) for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True))
    moved = sum(float((x - y).square().sum()) for x, y in zip(b.weights, start, strict=True))
    return math.sqrt(apart / moved)


def same_bits(a: Network, b: Network) -> bool:
    return all(torch.equal(x, y) for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True))


# -- gradients ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noisy", SUBSETS, ids=lambda noisy: "layers " + ("".join("123"[i] for i in range(3) if noisy[i]) or "none")
)
@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
def test_gradients_are_those_of_autograd(kind: str, recipe: str, noisy: tuple[bool, ...], data: Data) -> None:
    for seeds, n_settings in GRIDS:
        stack = Stack(grid(replace(SMALL, noise=kind, recipe=recipe), seeds, n_settings, noisy), data)
        for member in range(seeds * n_settings):
            for number, bias in enumerate(of_member(stack, stack.parameters, member)[4:]):
                bias.normal_(0, 0.1, generator=torch.Generator().manual_seed(number))
        x, target = stack.next_batch()
        noise = stack.draw()
        assert [drawn is not None for drawn in noise] == [on and n_settings * 0.4 > 0 for on in noisy]
        stack.differentiate(x, target, noise)
        for member in range(seeds * n_settings):
            parts = [part.double().requires_grad_() for part in of_member(stack, stack.parameters, member)]
            own = [None if drawn is None else drawn.double() for drawn in noise_of_member(stack, noise, member)]
            seed = member // n_settings
            images = x[seed][:, : len(data.live)].double() / mnist.LEVELS
            logits = reference.noisy_logits(parts[:4], parts[4:], images, kind, own)
            reference.loss(logits, target[seed].argmin(0), recipe).backward()
            for part, gradient in zip(parts, of_member(stack, stack.gradients, member), strict=True):
                assert part.grad is not None
                assert float((gradient - part.grad).norm() / part.grad.norm()) < 1e-5


@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
def test_bfloat16_products_give_nearly_the_same_gradients(kind: str, recipe: str, data: Data) -> None:
    """bfloat16 keeps 8 bits: a rounding of up to 0.4 %, so that about 1 in 400 units falls on the other side of ReLU's corner.

    A share e of such units costs sqrt(2 e) of the gradient's norm, 7 %; 10 % is allowed. A net alone has layer 1 in bfloat16.
    """
    spec = replace(SMALL, hidden=(100, 100, 100), batch_size=128, noise=kind, recipe=recipe)
    for seeds, n_settings, upper in ((2, 2, torch.bfloat16), (1, 1, torch.float32)):
        stacks = [Stack(grid(replace(spec, precision=p), seeds, n_settings), data) for p in ("float32", "bfloat16")]
        for stack in stacks:
            stack.differentiate(*stack.next_batch(), stack.draw())
        assert [part.dtype for part in stacks[1].gradients] == [torch.bfloat16] * seeds + [upper] * 3
        for exact, rough in zip(stacks[0].gradients, stacks[1].gradients, strict=True):
            assert 1e-4 < float((rough.float() - exact).norm() / exact.norm()) < 0.10


def test_bfloat16_learns_as_float32_does(data: Data) -> None:
    """Rounding of products is much less than what another seed changes (a standard deviation of .006 here)."""
    spec = RunSpec(examples=128 * 200)
    exact, rough = fit([spec, replace(spec, precision="bfloat16")], data=data, curve=False)
    accuracies = [metrics.accuracy(scaled_logits(run.network, data.test_x), data.test_y) for run in (exact, rough)]
    assert rough.network.weights[0].dtype == torch.float32
    assert min(accuracies) > 0.88
    assert abs(accuracies[0] - accuracies[1]) < 0.01


# -- what goes into a step ----------------------------------------------------------------------------------------------


def test_a_step_sees_the_images_and_labels_of_its_batch(data: Data) -> None:
    stack = Stack(grid(SMALL, 2, 1), data)
    orders = [list(islice(batches(row[0]), 3)) for row in stack.grid]
    for step in range(3):
        x, target = stack.next_batch()
        for seed, order in enumerate(orders):
            assert torch.equal(x[seed], data.train_lit[order[step]])
            assert torch.equal(target[seed].argmin(0), data.train_y[order[step]])
            assert torch.equal(target[seed].sum(0), torch.full((16,), -1 / 16))
            assert int((target[seed] == 0).sum()) == 16 * 9


@settings(max_examples=30, deadline=None)
@given(size=st.integers(100, 400), batch=st.integers(1, 100), seed=st.integers(0, 2**31 - 1))
def test_an_epoch_shows_each_image_of_the_subset_at_most_once_and_the_rest_waits(size: int, batch: int, seed: int) -> None:
    spec = RunSpec(train_size=size, batch_size=batch, examples=size, seed=seed)
    chosen = set(mnist.subset(seed, size).tolist())
    stream, whole = batches(spec), size // batch
    epochs = [torch.cat(list(islice(stream, whole))).tolist() for _ in range(2)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == whole * batch
        assert set(epoch) <= chosen
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_initial_weights_have_the_spread_of_their_recipe(recipe: str) -> None:
    for layer, (n_in, n_out) in enumerate(pairwise(RunSpec().widths)):
        drawn = initial_weights(RunSpec(recipe=recipe))[layer]
        assert drawn.shape == (n_in, n_out)
        n, bound = n_in * n_out, math.sqrt(6 / (n_in + n_out))
        if reference.RECIPES[recipe][2] == "he":
            assert abs(float(drawn.mean())) < 4 * math.sqrt(2 / n_in / n)
            assert abs(float(drawn.var()) / (2 / n_in) - 1) < 4 * math.sqrt(2 / n)  # variance of a normal's variance
            assert stats.kstest(drawn.flatten().numpy() / math.sqrt(2 / n_in), "norm").pvalue > 1e-4
        else:
            assert bound * (1 - 20 / n) < float(drawn.abs().max()) <= bound
            assert abs(float(drawn.var()) / (bound**2 / 3) - 1) < 4 * math.sqrt(0.8 / n)


# -- common random numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(NOISES))
def test_nets_of_one_seed_share_everything_but_their_rates(kind: str, data: Data) -> None:
    low, high = (replace(SMALL, noise=kind, dropout=(rate, rate, rate), seed=8) for rate in (0.2, 0.6))
    one, other, both = (Stack([row], data) for row in ([low], [high], [low, high]))
    for a, b in zip(initial_weights(low), initial_weights(high), strict=True):
        assert torch.equal(a, b)
    square = Stack([[replace(low, hidden=(10, 10, 10))]], data).draw()
    assert not torch.equal(square[0].flatten(), square[1].flatten())  # each layer draws for itself
    for _ in range(3):
        x = [stack.next_batch()[0] for stack in (one, other, both)]
        assert torch.equal(x[0][0], x[1][0])
        assert torch.equal(x[0][0], x[2][0])
        alone, stronger, together = one.draw(), other.draw(), both.draw()
        for layer in range(3):
            weak, strong = (noise_of_member(both, together, member)[layer] for member in (0, 1))
            assert torch.equal(weak, noise_of_member(one, alone, 0)[layer])  # a neighbour moves no draw
            assert torch.equal(strong, noise_of_member(other, stronger, 0)[layer])
            if kind == "gaussian":  # the same normal draws, stretched by sqrt(1.5) / sqrt(0.25)
                torch.testing.assert_close(strong - 1, (weak - 1) * 6**0.5, rtol=1e-4, atol=1e-5)
            else:
                assert bool(((weak == 0) <= (strong == 0)).all())  # a higher rate drops a superset
                assert int((weak == 0).sum()) < int((strong == 0).sum())


@pytest.mark.parametrize("kind", list(NOISES))
def test_a_layers_draws_do_not_depend_on_which_other_layers_are_noisy_or_how_wide_the_first_is(kind: str, data: Data) -> None:
    all_three = replace(SMALL, noise=kind, dropout=(0.5, 0.5, 0.5))
    others = [replace(all_three, dropout=(0, 0.5, 0.5)), replace(all_three, dropout=(0.3, 0.5, 0.5), hidden=(9, 11, 7))]
    expected = Stack([[all_three]], data).draw()
    for other in others:
        for layer in (1, 2):
            assert torch.equal(Stack([[other]], data).draw()[layer], expected[layer])


# -- updates and whole runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_updates_are_those_of_torchs_optimisers(recipe: str, data: Data) -> None:
    stack = Stack(grid(replace(SMALL, recipe=recipe), 2, 2), data)
    twins = [part.clone().requires_grad_() for part in stack.parameters]
    optimiser = reference.optimiser(recipe, twins)
    stream = torch.Generator().manual_seed(0)
    for _ in range(5):
        for gradient, twin in zip(stack.gradients, twins, strict=True):
            gradient.normal_(0, 1, generator=stream)
            twin.grad = gradient.clone()
        stack.update()
        optimiser.step()
    for part, twin in zip(stack.parameters, twins, strict=True):
        torch.testing.assert_close(part, twin.detach(), rtol=1e-6, atol=1e-8)


def plain_run(spec: RunSpec, data: Data, scale: float = 1.0) -> tuple[list[Tensor], list[Tensor], int | None]:
    """A run as a plain loop over all 784 pixels, that borrows nothing but batches, initial weights and noise.

    Returns weights, biases and the first step whose gradient was not finite.
    """
    twin = Stack([[spec]], data)
    weights = [(scale * weight).requires_grad_() for weight in initial_weights(spec)]
    biases = [torch.zeros(weight.shape[1], requires_grad=True) for weight in weights]
    optimiser = reference.optimiser(spec.recipe, [*weights, *biases])
    optimiser.param_groups[0]["lr"] = RECIPES[spec.recipe].learning_rate
    for step, index in enumerate(islice(batches(spec), spec.steps), start=1):
        noise = noise_of_member(twin, twin.draw(), 0)
        optimiser.zero_grad()
        logits = reference.noisy_logits(weights, biases, data.train_x[index], spec.noise, noise)
        reference.loss(logits, data.train_y[index], spec.recipe).backward()
        if not all(bool(part.grad.isfinite().all()) for part in (*weights, *biases)):
            return weights, biases, step
        optimiser.step()
    return [weight.detach() for weight in weights], [bias.detach() for bias in biases], None


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
def test_a_whole_run_is_that_of_a_plain_loop(kind: str, recipe: str, data: Data) -> None:
    spec = replace(SMALL, noise=kind, recipe=recipe, dropout=(0.3, 0.0, 0.5), train_size=300, examples=16 * 40, seed=5)
    (run,) = fit([spec], data=data, curve=False)
    weights, biases, _ = plain_run(spec, data)
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


def poisoned(stack: Stack, member: int) -> Stack:
    """The stack with one net's second weights made so large that its products overflow."""
    for layer in (2, 3):
        of_member(stack, stack.parameters, member)[layer - 1].mul_(1e30)
    return stack


@pytest.mark.parametrize("sick", range(4))
@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
def test_healthy_neighbours_of_a_run_that_blows_up_do_not_notice(sick: int, recipe: str, data: Data) -> None:
    rows = grid(replace(SMALL, recipe=recipe), 2, 2)

    def run(stack: Stack) -> list[Trained]:
        return run_stack(stack, lambda share: False, lambda member, point: None, True)

    healthy, mixed = run(Stack(rows, data)), run(poisoned(Stack(rows, data), sick))
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


# -- the expected time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "expected"), [(0.7, "bfloat16"), (0.95, "float32"), (8.0, "float32")])
def test_a_trial_picks_the_reference_unless_bfloat16_saves_a_tenth(
    ratio: float, expected: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    def imagined(specs: list[RunSpec], **_: object) -> list[Trained]:
        [precision] = {spec.precision for spec in specs}
        first = precision not in runs  # first times count for nothing
        runs.append(precision)
        seconds = (ratio if precision == "bfloat16" else 1.0) * (1 if not first else 0.01 if ratio > 1 else 100)
        return [Trained(spec, None, (), spec.steps, seconds, "done") for spec in specs]

    monkeypatch.setattr(calibration, "fit", imagined)
    assert calibration.faster_precision(data) == expected
    assert runs == ["float32", "bfloat16"] * (len(runs) // 2)  # taking turns


def test_a_trial_trains(data: Data) -> None:
    assert calibration.faster_precision(data) in PRECISIONS


def test_a_calibration_finds_the_two_numbers_of_a_machine_that_has_them(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def imagined(specs: list[RunSpec], **_: object) -> list[Trained]:
        return [Trained(spec, None, (), spec.steps, spec.flops / 50e9 + spec.steps * 2e-4, "done") for spec in specs]

    monkeypatch.setattr(calibration, "fit", imagined)
    found = calibration.calibrate(data)
    assert found.flops_per_second == pytest.approx(50e9, rel=1e-6)
    assert found.step_seconds == pytest.approx(2e-4, rel=1e-6)
    spec = RunSpec()
    curve = len(curve_steps(spec)) * 2_000 * 2 * 99_400
    assert found.seconds(spec) == pytest.approx((spec.flops + curve) / 50e9 + 2_500 * 2e-4, rel=1e-6)


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
