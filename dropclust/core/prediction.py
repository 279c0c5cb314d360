"""What a trained network says of images: scaled, or sampled with the noise still on (paper 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from dropclust.core import metrics
from dropclust.core.activation import overwriting
from dropclust.core.checks import whole
from dropclust.core.device import choose
from dropclust.core.mnist import Data, check_images
from dropclust.core.network import Network
from dropclust.core.noise import generator, multiplier
from dropclust.core.spec import LIMITS, NOISES

MAX_SAMPLES = 100_000
_IMAGES = 2_000  # images a product: an activation of a hundred units then stays in a core's own cache
_MASKS = 8  # masks whose logits are gathered before their statistics are taken together
_DEVICE_VALUES = 2**26  # activations of one layer that a GPU holds at once, over masks and images


@dataclass(frozen=True, eq=False)
class Sampled:
    """Statistics of a network's predictions over ``n_samples`` masks, each mask one network for all images.

    All are float32 ``[n, 10]``: ``log_probs`` the renormalised geometric mean of the probabilities, as a logarithm (paper
    3.1), ``mean_probs`` their arithmetic mean, ``logit_mean`` and ``logit_std`` (n_samples - 1 in the denominator; NaN for one
    sample) of the logits, ``votes`` the share of masks whose largest logit it is (a tie is shared). ``mean_entropy`` ``[n]``
    is the mean entropy of one mask's probabilities, in nats.
    """

    log_probs: Tensor
    mean_probs: Tensor
    logit_mean: Tensor
    logit_std: Tensor
    votes: Tensor
    mean_entropy: Tensor
    n_samples: int

    def to(self, device: torch.device | str) -> Sampled:
        """The same on another device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def hidden_activations(network: Network, x: Tensor) -> list[Tensor]:
    """Activations ``[n, h]`` of every hidden layer, with the noise off and nothing to scale (its mean is 1).

    Raises
    ------
    ValueError
        When ``x`` is not float32 ``[n, 784]`` in [0, 1].
    """
    return _activations(network, check_images(x), len(network.hidden))


def scaled_logits(network: Network, x: Tensor) -> Tensor:
    """Logits ``[n, 10]`` of the scaled network, paper 3.1: every mask replaced by its mean, which is 1 for all noises here.

    Raises
    ------
    ValueError
        When ``x`` is not float32 ``[n, 784]`` in [0, 1].
    """
    # In pieces, so that memory does not grow with the number of images.
    return torch.cat(
        [
            torch.addmm(network.biases[-1], _activations(network, part, len(network.hidden))[-1], network.weights[-1])
            for part in torch.split(check_images(x), _IMAGES)
        ]
    )


def evaluate(network: Network, data: Data, device: str = "auto") -> dict[str, float]:
    """Measure the scaled network, on a device as `dropclust.core.device.choose` has it.

    Returns ``test_accuracy`` and ``held_out_accuracy`` (shares), ``test_cross_entropy`` and ``held_out_cross_entropy`` (nats),
    and ``dead_1``, ``dead_2`` ..: how many neurons of each hidden layer are never active on the held-out images.

    Raises
    ------
    ValueError
        When the network's outputs are not as many as the labels.
    """
    if network.outputs != data.classes:
        raise ValueError(f"accuracy needs an output for each of the {data.classes} labels; the network has {network.outputs}")
    images = len(data.test) + 2 * len(data.held)
    where = choose(device, 2.0 * images * network.n_parameters)
    network, data, measured = network.to(where), data.on(where), {}
    for part, x, y in (("test", data.test_x, data.test_y), ("held_out", data.held_x, data.held_y)):
        logits = scaled_logits(network, x)
        measured[f"{part}_accuracy"] = metrics.accuracy(logits, y)
        measured[f"{part}_cross_entropy"] = metrics.cross_entropy(logits, y)
    for layer, activation in enumerate(hidden_activations(network, data.held_x), start=1):
        measured[f"dead_{layer}"] = float((activation.amax(0) <= 0).sum())
    return measured


def _activations(network: Network, x: Tensor, layers: int) -> list[Tensor]:
    activations, activate = [], overwriting(network.activation)
    for weight, bias in zip(network.weights[:layers], network.biases[:layers], strict=True):
        x = activate(torch.addmm(bias, x, weight))
        activations.append(x)
    return activations


def sample(
    network: Network,
    x: Tensor,
    n_samples: int = 200,
    seed: int = 0,
    dropout: Sequence[float] | float | None = None,
    noise: str | None = None,
    device: str = "auto",
) -> Sampled:
    """Predict with the noise on, many times (paper 3.1: "drawing n model samples").

    A mask is a model: the same for all images. What precedes the first noisy layer is computed once; a Bernoulli mask is
    folded into the weights as a thinner network, without the dropped units; statistics are summed as they come, so that
    memory does not grow with the number of masks. The first k of n samples are those of a call with k, and the masks on a
    GPU, where many are multiplied at once, are those of the processor.

    Parameters
    ----------
    network
        The trained network.
    x
        Images, float32 ``[n, 784]`` in [0, 1].
    n_samples
        Masks to draw, 1 to 100,000 (the paper takes 200).
    seed
        Decides the masks.
    dropout
        Rates, one for all hidden layers or one a layer; None takes those the network was trained with.
    noise
        "bernoulli", "gaussian" or "dropconnect"; None takes the network's own, and Bernoulli for one from elsewhere.
    device
        "cpu", "cuda", or "auto" as `dropclust.core.device.choose` has it.

    Returns
    -------
    Sampled
        Means and spreads over the masks, where ``x`` lies.

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    check_images(x)
    n_samples, rates, noise = _checked(network, n_samples, seed, dropout, noise)
    noisy = [layer for layer, rate in enumerate(rates, start=1) if rate > 0]
    first = noisy[0] if noisy else len(rates)
    upper = sum(weight.numel() for weight in network.weights[first:])
    home = x.device
    where = home if device == "auto" and home.type != "cpu" else choose(device, 2.0 * n_samples * len(x) * upper)
    network, x = network.to(where), x.to(where)
    with torch.no_grad():  # not inference_mode: what that returns cannot be changed in place afterwards
        # Until the first noisy layer nothing differs between masks.
        below = torch.cat([_activations(network, part, first)[-1] for part in torch.split(x, _IMAGES)])  # [n, h_first]
        reference = scaled_logits(network, x).t().contiguous()  # [10, n]; deviations from it are summed: no cancellation
        if not noisy:
            return _settled(reference.t(), n_samples).to(home)
        streams = [generator(seed, "sample", layer) for layer in range(1, len(rates) + 1)]
        total, activate = _Totals(reference), overwriting(network.activation)
        if x.device.type != "cpu":
            most = max(1, _DEVICE_VALUES // (len(x) * max(network.hidden)))
            for start in range(0, n_samples, most):
                total.add(_logits_of_many(below, network, first, rates, noise, streams, min(most, n_samples - start)), 0)
            return total.finish(n_samples).to(home)
        for start in range(0, n_samples, _MASKS):
            thinned = [_thin(network, first, rates, noise, streams) for _ in range(min(_MASKS, n_samples - start))]
            for at in range(0, len(x), _IMAGES):
                part = below[at : at + _IMAGES].t().contiguous()  # [h_first, m]
                logits = torch.stack([_upper_logits(part, kept, layers, activate) for kept, layers in thinned])  # [S, 10, n]
                total.add(logits, at)
        return total.finish(n_samples)


def mstd(
    network: Network,
    x: Tensor,
    n_samples: int = 200,
    seed: int = 0,
    dropout: Sequence[float] | float | None = None,
    noise: str | None = None,
    device: str = "auto",
) -> float:
    """Mean sampling standard deviation, paper 3.2: the spread of a logit over masks, averaged over logits and images.

    Takes what `sample` takes, with ``n_samples`` of at least 2; returns logit units.

    Raises
    ------
    ValueError
        As `sample`, and when ``n_samples`` is 1.
    """
    if n_samples == 1:
        raise ValueError(f"n_samples must be a whole number from 2 to {MAX_SAMPLES:,} for a standard deviation; got 1")
    return float(sample(network, x, n_samples, seed, dropout, noise, device).logit_std.mean())


def _checked(
    network: Network, n_samples: int, seed: int, dropout: Sequence[float] | float | None, noise: str | None
) -> tuple[int, list[float], str]:
    layers, (low, high) = len(network.hidden), LIMITS["dropout"]
    n_samples = whole("n_samples", n_samples, 1, MAX_SAMPLES)
    whole("seed", seed, *map(int, LIMITS["seed"]))
    if dropout is None:
        if network.spec is None:
            raise ValueError("dropout must be given for a network that does not know the rates it was trained with; got None")
        dropout = network.spec.final_rates
    try:
        rates: list[Any] = list(dropout)  # type: ignore[arg-type]
    except TypeError:  # one number
        rates = [dropout] * layers
    good = all(type(r) is not bool and issubclass(type(r), Real) and low <= r <= high for r in rates)
    if len(rates) != layers or not good:
        raise ValueError(
            f"dropout must be one rate from {low:g} to {high:g} or {layers} of them, one a hidden layer; got {dropout!r}"
        )
    if noise is None:
        noise = network.spec.noise if network.spec else "bernoulli"
    if not isinstance(noise, str) or noise not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}; got {noise!r}")
    return n_samples, [float(rate) for rate in rates], noise


def _thin(
    network: Network, first: int, rates: list[float], noise: str, streams: list[torch.Generator]
) -> tuple[Tensor | None, list[tuple[Tensor, Tensor]]]:
    """What is left of hidden layer ``first`` in one random model, None for all, and the layers above as (weight, bias) pairs.

    Bernoulli: dropped units are cut out, rows and columns.
    """
    masks: dict[int, Tensor] = {}
    weights = dict(enumerate(network.weights[first:], start=first))  # by the hidden layer they leave
    for layer, weight in weights.items():
        if (rate := rates[layer - 1]) > 0:
            shape = weight.shape if noise == "dropconnect" else weight.shape[:1]
            mask = multiplier(noise, shape, torch.tensor(rate), streams[layer - 1]).to(weight.device)
            weights[layer] = weight * (mask if noise == "dropconnect" else mask.unsqueeze(1))
            masks[layer] = mask
    left = {layer: mask.nonzero().flatten() for layer, mask in masks.items()} if noise == "bernoulli" else {}
    layers: list[tuple[Tensor, Tensor]] = []
    for layer, weight in weights.items():
        bias = network.biases[layer]
        if (kept := left.get(layer)) is not None:
            weight = weight.index_select(0, kept)
        if (kept := left.get(layer + 1)) is not None:
            weight, bias = weight.index_select(1, kept), bias.index_select(0, kept)
        layers.append((weight, bias))
    return left.get(first), layers


def _upper_logits(
    activation: Tensor, kept: Tensor | None, layers: list[tuple[Tensor, Tensor]], activate: Callable[[Tensor], Tensor]
) -> Tensor:
    """Logits ``[10, n]`` from the activations ``[h, n]`` below the first of the given layers.

    Units before images: few units are multiplied faster so, those that are left are rows, and a softmax along a short last
    dimension is not vectorised.
    """
    if kept is not None:
        activation = activation.index_select(0, kept)
    for weight, bias in layers[:-1]:
        activation = activate(torch.addmm(bias.unsqueeze(1), weight.t(), activation))
    weight, bias = layers[-1]
    return torch.addmm(bias.unsqueeze(1), weight.t(), activation)


def _logits_of_many(
    below: Tensor, network: Network, first: int, rates: list[float], noise: str, streams: list[torch.Generator], n: int
) -> Tensor:
    """Logits ``[n, 10, images]`` of so many random models at once, from the activations of hidden layer ``first``.

    Each mask multiplies the weights that leave its layer, so that a layer of all models is one batched product.
    """
    masks: dict[int, list[Tensor]] = {layer: [] for layer in range(first, len(rates) + 1) if rates[layer - 1] > 0}
    for _ in range(n):  # in the order in which models are drawn one by one
        for layer, drawn in masks.items():
            shape = network.weights[layer].shape if noise == "dropconnect" else (network.weights[layer].shape[0], 1)
            drawn.append(multiplier(noise, shape, torch.tensor(rates[layer - 1]), streams[layer - 1]))
    activation, activate = below.expand(n, -1, -1), overwriting(network.activation)  # [n, images, h]
    for layer in range(first, len(rates) + 1):
        weight, bias = network.weights[layer].expand(n, -1, -1), network.biases[layer]
        if layer in masks:
            weight = weight * torch.stack(masks[layer]).to(weight.device)
        if layer == len(rates):
            break
        activation = activate(torch.baddbmm(bias, activation, weight))
    return torch.baddbmm(bias.unsqueeze(1), weight.mT, activation.mT)


class _Totals:
    """Sums over masks, each ``[10, n]``."""

    def __init__(self, reference: Tensor) -> None:
        self.reference = reference
        self.deviation, self.square, self.log_p, self.p, self.votes = (torch.zeros_like(reference) for _ in range(5))
        self.entropy = torch.zeros_like(reference[0])

    def add(self, logits: Tensor, at: int) -> None:
        """Count the logits ``[S, 10, m]`` of the images from ``at`` on."""
        here = slice(at, at + logits.shape[2])
        top = logits.amax(1, keepdim=True)
        winners = (logits - top).ge_(0)  # ones at the largest, in floats: comparing into booleans is not vectorised
        winners.div_(winners.sum(1, keepdim=True))
        log_p = logits.log_softmax(1)
        p = log_p.exp()
        deviation = logits - self.reference[:, here]
        self.votes[:, here] += winners.sum(0)
        self.log_p[:, here] += log_p.sum(0)
        self.p[:, here] += p.sum(0)
        self.entropy[here] -= p.mul_(log_p).sum((0, 1))
        self.deviation[:, here] += deviation.sum(0)
        self.square[:, here] += deviation.square_().sum(0)

    def finish(self, n: int) -> Sampled:
        mean = self.deviation / n
        # The sum of squares about the mean; rounding may take it below 0 where there is no spread.
        about = (self.square - self.deviation * mean).clamp_min_(0)
        std = (about / (n - 1)).sqrt() if n > 1 else torch.full_like(about, math.nan)
        log_p = (self.log_p / n).log_softmax(0)
        log_p, p, logit_mean, std, votes = (
            t.t().contiguous() for t in (log_p, self.p / n, self.reference + mean, std, self.votes / n)
        )
        return Sampled(log_p, p, logit_mean, std, votes, self.entropy / n, n)


def _settled(logits: Tensor, n: int) -> Sampled:
    """What sampling gives when no rate is above 0: every model is the same."""
    log_p = logits.log_softmax(1)
    winners = (logits == logits.amax(1, keepdim=True)).float()
    std = torch.zeros_like(logits) if n > 1 else torch.full_like(logits, math.nan)
    entropy = -(log_p.exp() * log_p).sum(1)
    return Sampled(log_p, log_p.exp(), logits.contiguous(), std, winners / winners.sum(1, keepdim=True), entropy, n)
