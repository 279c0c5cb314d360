"""What the tests of stacks and of training share: small grids, one net of a stack, and a run as a plain loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product
from typing import Any

import pytest
import torch
from torch import Tensor

from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.spec import RECIPES, RunSpec
from dropclust.core.stack import Stack, batches, initial_weights
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
        *(layer[:, :width].t().cpu() for layer, width in zip(layers, widths, strict=True)),
        *(layer[:, width].cpu() for layer, width in zip(layers, widths, strict=True)),
    ]


def noise_of_member(stack: Stack, noise: Sequence[Tensor | None], member: int) -> list[Tensor | None]:
    """One net's noise of one step: ``[B, h]`` or, for DropConnect, ``[in, out]`` a layer."""
    return [None if drawn is None else (drawn if drawn.ndim == 2 else drawn[member]).t().cpu() for drawn in noise]


def distance(a: Network, b: Network, start: list[Tensor] | None = None) -> float:
    """How far two networks are apart, as a share of how far the second has come from its initial weights."""
    start = initial_weights(b.spec) if start is None and b.spec else start
    apart = sum(float((x - y).square().sum()) for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True))
    moved = sum(float((x - y).square().sum()) for x, y in zip(b.weights, start, strict=True))
    return math.sqrt(apart / moved)


def same_bits(a: Network, b: Network) -> bool:
    return all(torch.equal(x, y) for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases), strict=True))


def plain_run(spec: RunSpec, data: Data, **place: Any) -> tuple[list[Tensor], list[Tensor], int | None]:
    """A run as a plain loop over all 784 pixels, that borrows nothing but batches, initial weights and noise.

    Returns weights, biases and the first step whose gradient was not finite.
    """
    twin = Stack([[spec]], data, **place)
    weights = [weight.requires_grad_() for weight in initial_weights(spec)]
    biases = [torch.zeros(weight.shape[1], requires_grad=True) for weight in weights]
    optimiser = reference.optimiser(spec.recipe, [*weights, *biases])
    optimiser.param_groups[0]["lr"] = RECIPES[spec.recipe].learning_rate
    x = data.train_x
    for step, index in enumerate(islice(batches(spec), spec.steps), start=1):
        noise = noise_of_member(twin, twin.draw(), 0)
        optimiser.zero_grad()
        logits = reference.noisy_logits(weights, biases, x[index], spec.noise, noise)
        reference.loss(logits, data.train_y[index], spec.recipe).backward()
        if not all(bool(part.grad.isfinite().all()) for part in (*weights, *biases)):
            return weights, biases, step
        optimiser.step()
    return [weight.detach() for weight in weights], [bias.detach() for bias in biases], None


def poisoned(stack: Stack, member: int) -> Stack:
    """The stack with one net's second weights made so large that its products overflow."""
    for upper in stack.parameters[stack.n_seeds : stack.n_seeds + 2]:  # of layers 2 and 3
        upper[member].mul_(1e30)
    return stack


# Where a stack may lie, and in which of its two ways: the processor's; a GPU's, on the processor; a GPU's on a GPU.
PLACES = [
    pytest.param({}, id="processor"),
    pytest.param({"blocked": True}, id="blocked"),
    pytest.param({"device": torch.device("cuda", 0)}, id="cuda", marks=pytest.mark.cuda),
]
