"""A stack against plain PyTorch: gradients, what goes into a step, common random numbers, updates, and a GPU's way."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dropclust.core import metrics, mnist
from dropclust.core.mnist import Data
from dropclust.core.prediction import scaled_logits
from dropclust.core.spec import MAIN_RECIPES, NOISES, PRECISIONS, RECIPES, RunSpec
from dropclust.core.stack import Stack, batches, initial_weights
from dropclust.core.training import fit, run_stack
from tests.core import reference
from tests.core.stacks import (
    GRIDS,
    PLACES,
    SMALL,
    SUBSETS,
    distance,
    grid,
    noise_of_member,
    of_member,
)

# -- gradients ----------------------------------------------------------------------------------------------------------


def give_biases(stack: Stack, member: int) -> None:
    """Set one net's biases, which start at 0, to small random numbers."""
    seed, setting = divmod(member, stack.n_settings)
    h1 = stack.spec.hidden[0]
    layers = [stack.parameters[seed][setting * h1 : (setting + 1) * h1]]
    layers += [upper[member] for upper in stack.parameters[stack.n_seeds :]]
    for number, (layer, width) in enumerate(zip(layers, [len(stack.live), *stack.spec.hidden], strict=True)):
        drawn = torch.empty(len(layer)).normal_(0, 0.1, generator=torch.Generator().manual_seed(number))
        layer[:, width] = drawn.to(layer.device)


@pytest.mark.parametrize(
    "noisy", SUBSETS, ids=lambda noisy: "layers " + ("".join("123"[i] for i in range(3) if noisy[i]) or "none")
)
@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
@pytest.mark.parametrize("place", PLACES)
def test_gradients_are_those_of_autograd(
    place: dict[str, Any], kind: str, recipe: str, noisy: tuple[bool, ...], data: Data
) -> None:
    for seeds, n_settings in GRIDS:
        stack = Stack(grid(replace(SMALL, noise=kind, recipe=recipe), seeds, n_settings, noisy), data, **place)
        for member in range(seeds * n_settings):
            give_biases(stack, member)
        x, target = stack.next_batch()
        noise = stack.draw()
        assert [drawn is not None for drawn in noise] == [on and n_settings * 0.4 > 0 for on in noisy]
        stack.differentiate(x, target, noise)
        for member in range(seeds * n_settings):
            parts = [part.double().requires_grad_() for part in of_member(stack, stack.parameters, member)]
            own = [None if drawn is None else drawn.double() for drawn in noise_of_member(stack, noise, member)]
            seed = member // n_settings
            images = x[seed][:, : len(data.live)].double().cpu() / mnist.LEVELS
            logits = reference.noisy_logits(parts[:4], parts[4:], images, kind, own)
            reference.loss(logits, target[seed].argmin(0).cpu(), recipe).backward()
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


@pytest.mark.parametrize("place", PLACES)
def test_a_step_sees_the_images_and_labels_of_its_batch(place: dict[str, Any], data: Data) -> None:
    stack = Stack(grid(SMALL, 2, 1), data, **place)
    orders = [list(islice(batches(row[0]), 20)) for row in stack.grid]
    for step in range(20):
        x, target = stack.next_batch()
        for seed, order in enumerate(orders):
            assert torch.equal(x[seed].cpu(), data.train_lit[order[step]])
            assert torch.equal(target[seed].argmin(0).cpu(), data.train_y[order[step]])
            assert torch.equal(target[seed].sum(0).cpu(), torch.full((16,), -1 / 16))
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
@pytest.mark.parametrize("place", PLACES)
def test_nets_of_one_seed_share_everything_but_their_rates(place: dict[str, Any], kind: str, data: Data) -> None:
    low, high = (replace(SMALL, noise=kind, dropout=(rate, rate, rate), seed=8) for rate in (0.2, 0.6))
    one, other, both = (Stack([row], data, **place) for row in ([low], [high], [low, high]))
    for a, b in zip(initial_weights(low), initial_weights(high), strict=True):
        assert torch.equal(a, b)
    square = Stack([[replace(low, hidden=(10, 10, 10))]], data, **place).draw()
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
@pytest.mark.parametrize("place", PLACES)
def test_a_layers_draws_do_not_depend_on_which_other_layers_are_noisy_or_how_wide_the_first_is(
    place: dict[str, Any], kind: str, data: Data
) -> None:
    all_three = replace(SMALL, noise=kind, dropout=(0.5, 0.5, 0.5))
    others = [replace(all_three, dropout=(0, 0.5, 0.5)), replace(all_three, dropout=(0.3, 0.5, 0.5), hidden=(9, 11, 7))]
    expected = Stack([[all_three]], data, **place).draw()
    for other in others:
        for layer in (1, 2):
            assert torch.equal(Stack([[other]], data, **place).draw()[layer], expected[layer])


# -- updates and whole runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("place", PLACES)
def test_updates_are_those_of_torchs_optimisers(place: dict[str, Any], recipe: str, data: Data) -> None:
    stack = Stack(grid(replace(SMALL, recipe=recipe), 2, 2), data, **place)
    twins = [part.clone().requires_grad_() for part in stack.parameters]
    optimiser = reference.optimiser(recipe, twins)
    stream = torch.Generator(stack.device).manual_seed(0)
    for _ in range(5):
        for gradient, twin in zip(stack.gradients, twins, strict=True):
            gradient.normal_(0, 1, generator=stream)
            twin.grad = gradient.clone()
        stack.update()
        optimiser.step()
    for part, twin in zip(stack.parameters, twins, strict=True):
        torch.testing.assert_close(part, twin.detach(), rtol=1e-6, atol=1e-8)


# -- a GPU's way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", list(MAIN_RECIPES))
@pytest.mark.parametrize("kind", list(NOISES))
def test_a_blocked_stack_trains_the_nets_of_a_plain_one(kind: str, recipe: str, data: Data) -> None:
    """On the processor both draw the same noise, so that only rounding parts them; 37 steps are two blocks and a part."""
    spec = replace(SMALL, noise=kind, recipe=recipe, examples=16 * 37)
    for seeds, n_settings in GRIDS:
        rows = grid(spec, seeds, n_settings)
        plain, blocked = (
            run_stack(Stack(rows, data, blocked=way), lambda share: False, lambda member, point: None, True)
            for way in (False, True)
        )
        for expected, got in zip(plain, blocked, strict=True):
            assert (got.status, got.steps, got.device) == ("done", 37, "cpu")
            assert [point.step for point in got.curve] == [point.step for point in expected.curve]
            assert distance(got.network, expected.network) < 1e-3


@pytest.mark.parametrize("place", PLACES[1:])
@pytest.mark.parametrize("kind", list(NOISES))
def test_bfloat16_products_of_a_blocked_stack_are_as_rough_as_a_plain_ones(
    kind: str, place: dict[str, Any], data: Data
) -> None:
    spec = replace(SMALL, hidden=(100, 100, 100), batch_size=128, noise=kind)
    for seeds, n_settings in GRIDS:
        stacks = [Stack(grid(replace(spec, precision=p), seeds, n_settings), data, **place) for p in PRECISIONS]
        for stack in stacks:
            stack.differentiate(*stack.next_batch(), stack.draw())
        for exact, rough in zip(stacks[0].gradients, stacks[1].gradients, strict=True):
            assert 1e-4 < float((rough.float() - exact).norm() / exact.norm()) < 0.10


def test_advancing_stops_at_the_end_of_a_block_or_where_it_is_told(data: Data) -> None:
    stack = Stack(grid(replace(SMALL, examples=16 * 40), 1, 2), data, blocked=True)
    assert [stack.advance(most) for most in (5, 100, 100)] == [5, 11, 16]
    assert stack.done == 32
    assert [Stack(grid(SMALL, 1, 2), data).advance(most) for most in (1, 100)] == [1, 1]


@pytest.mark.cuda
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", list(NOISES))
def test_graphs_make_the_steps_that_single_calls_make(kind: str, precision: str, data: Data) -> None:
    """The same stack twice: by graphs of blocks and of single steps, and call by call. Plain SGD keeps rounding small."""
    spec = replace(SMALL, noise=kind, precision=precision, recipe="paper", examples=16 * 100)
    for seeds, n_settings in GRIDS:
        by_graphs, by_calls = (Stack(grid(spec, seeds, n_settings), data, torch.device("cuda", 0)) for _ in range(2))
        with torch.inference_mode(), by_graphs.queue():
            while by_graphs.done < 80:  # blocks whole and in parts
                by_graphs.advance(16 if by_graphs.done < 48 else 5)
        with torch.inference_mode():
            for _ in range(80):
                by_calls.differentiate(*by_calls.next_batch(), by_calls.draw())
                by_calls.update()
        for a, b in zip(by_graphs.networks(), by_calls.networks(), strict=True):
            assert distance(a, b) < (1e-3 if precision == "float32" else 0.05)


@pytest.mark.cuda
def test_noise_on_a_gpu_has_mean_1_and_the_variance_of_its_rate(data: Data) -> None:
    for kind in NOISES:
        stack = Stack([[RunSpec(noise=kind, dropout=(0.4, 0.4, 0.4))]], data, torch.device("cuda", 0))
        drawn = torch.stack([stack.draw()[0].double() for _ in range(64)])
        n, variance = drawn.numel(), 0.4 / 0.6
        assert abs(float(drawn.mean()) - 1) < 4 * (variance / n) ** 0.5
        assert float(drawn.var()) == pytest.approx(variance, rel=0.02)
        assert abs(float(torch.corrcoef(drawn.flatten(1)[:2])[0, 1])) < 4.5 / drawn[0].numel() ** 0.5
