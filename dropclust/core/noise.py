"""The three noises of mean 1 that the paper's "dropout types" may be, and the random streams they are drawn from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

_LEVELS = 2**16  # a rate is a threshold on 16 random bits: four draws for each 64-bit number


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random stream of its own for one purpose of one seed.

    Streams are independent of each other: what one layer draws never moves another layer's masks, the data order or the
    initial weights, so that nets of one seed stay comparable whatever else differs between them. The numbers are the device's:
    a Mersenne twister's on the processor, Philox's (Salmon et al. 2011) on a GPU.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def draws(noise: str, shape: Sequence[int], stream: torch.Generator, steps: int, room: Tensor | None = None) -> Tensor:
    """What the noise of some steps is made of: normal draws for "gaussian", else uniform ones, ``[steps, *shape]``.

    On the processor steps drawn together are those that would have been drawn one by one. Uniform draws are int16, every value
    as likely: drawing is a large part of a small network's step, and torch's generator makes 64 bits at a time. ``room`` is
    where to draw them, of `draws_room`; a new tensor when None.
    """
    room = draws_room(noise, shape, steps, stream.device) if room is None else room
    if noise == "gaussian":
        room.normal_(generator=stream)
    else:
        room.random_(-(2**63), None, generator=stream)
    return shaped_draws(noise, shape, room)


def draws_room(noise: str, shape: Sequence[int], steps: int, device: torch.device | str) -> Tensor:
    """An empty tensor for `draws` of so many steps."""
    n = math.prod(shape)
    if noise == "gaussian":  # torch makes them sixteen at a time, and otherwise where a tensor ends within sixteen
        return torch.empty(steps, -(-n // 16) * 16, device=device)
    return torch.empty(steps, -(-n // 4), dtype=torch.int64, device=device)


def shaped_draws(noise: str, shape: Sequence[int], room: Tensor) -> Tensor:
    """The draws in one room or in many, ``[..., steps, *shape]``."""
    drawn = room if noise == "gaussian" else room.view(torch.int16)
    return drawn[..., : math.prod(shape)].view(*drawn.shape[:-1], *shape)


def uniform(shape: Sequence[int], stream: torch.Generator) -> Tensor:
    """Uniform draws for `bernoulli`: int16 of the given shape."""
    return draws("bernoulli", shape, stream, 1)[0]


def quantised(rate: Tensor) -> Tensor:
    """The rate that 16 bits draw exactly: the nearest multiple of 2^-16. A rate of 0 stays 0."""
    return (rate * _LEVELS).round() / _LEVELS


def bernoulli(draws: Tensor, rate: Tensor, out: Tensor | None = None) -> Tensor:
    """Masks of vanilla dropout, of mean 1: 0 where dropped, 1 / (1 - rate) where kept (Srivastava et al. 2014).

    Parameters
    ----------
    draws
        What `uniform` drew. The same draws at a higher rate drop a superset.
    rate
        float32 rates that broadcast against ``draws``, 0 up to but not including 1.
    out
        Where to write them; a new tensor when None.
    """
    rate = quantised(rate)
    threshold = (rate * _LEVELS - _LEVELS // 2).to(draws.dtype)
    if out is None:
        out = torch.empty(torch.broadcast_shapes(draws.shape, rate.shape))  # type: ignore[no-untyped-call]
    # Into floats at once: a comparison that makes booleans is not vectorised in torch and takes four times as long.
    return torch.ge(draws, threshold, out=out).mul_(1 / (1 - rate))


def gaussian(normal: Tensor, rate: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiplicative Gaussian noise of mean 1 and dropout's variance p / (1 - p) (Srivastava et al. 2014, section 10).

    Parameters
    ----------
    normal
        Standard normal draws. The same draws at a higher rate stray further the same way.
    rate
        float32 rates that broadcast against ``normal``, 0 up to but not including 1.
    out
        Where to write it; a new tensor when None.
    """
    return torch.mul(normal, (rate / (1 - rate)).sqrt(), out=out).add_(1)


def multiplier(noise: str, shape: Sequence[int], rate: Tensor, stream: torch.Generator) -> Tensor:
    """One draw of a noise: float32 of ``shape`` broadcast against ``rate``, of mean 1.

    For "dropconnect" the shape is that of the weights, and the values are those of `bernoulli`.
    """
    if noise == "gaussian":
        return gaussian(torch.empty(*shape).normal_(generator=stream), rate)
    return bernoulli(uniform(shape, stream), rate)
