"""Exact and approximate answers to set beside sampling: closed forms for the last layer, moment propagation for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropclust.core.mnist import check_images
from dropclust.core.network import Network
from dropclust.core.spec import LIMITS, NOISES

_COVARIANCES = 2**19  # numbers held at once while covariances are propagated: 4 MiB stay in a core's own cache


def _rate(name: str, value: float) -> float:
    low, high = LIMITS["dropout"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} must be a rate from {low:g} to {high:g}; got {value!r}")
    return float(value)


def _rates(network: Network, dropout: Sequence[float] | float) -> list[float]:
    layers = len(network.hidden)
    rates = list(dropout) if isinstance(dropout, Sequence) else [dropout] * layers
    if len(rates) != layers:
        raise ValueError(f"dropout must be one rate or one a hidden layer ({layers}); got {len(rates)}")
    return [_rate("dropout", rate) for rate in rates]


def _known(noise: str) -> str:
    if noise not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}; got {noise!r}")
    return noise


def _layers(network: Network) -> list[tuple[Tensor, Tensor]]:
    return [(weight.double(), bias.double()) for weight, bias in zip(network.weights, network.biases, strict=True)]


def _first_dropped(rates: Sequence[float]) -> int:
    """The first hidden layer (1 is the first) that is dropped, the last where none is: up to there all masks agree."""
    return next((number for number, rate in enumerate(rates, start=1) if rate > 0), len(rates))


def _activations(network: Network, x: Tensor, hidden_layer: int) -> Tensor:
    """Activations of a hidden layer (1 is the first) without noise, float64 ``[n, units]``."""
    a = check_images(x).double()
    for weight, bias in _layers(network)[:hidden_layer]:
        a = network.activate(a @ weight + bias)
    return a


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance over masks of a network's logits, image by image.

    Parameters
    ----------
    mean
        float64 ``[n, classes]``.
    variance
        float64 ``[n, classes]``: over the distribution of masks, not of a sample of them.
    covariance
        float64 ``[n, classes, classes]`` with ``variance`` on its diagonal, or None where it was not asked for.
    """

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None = None

    @property
    def mstd(self) -> float:
        """Mean over images and logits of the standard deviation over masks (paper section 3.2).

        From n masks, a sample's standard deviation (ddof=1) is on average a little smaller, by about 1 / 4n of it.
        """
        return self.variance.sqrt().mean().item()


def last_layer_moments(network: Network, x: Tensor, p: float) -> Moments:
    """Exact mean and variance of the logits when only the last hidden layer is dropped.

    With activations a of that layer, weights V and biases c of the output, and noise of mean 1 and variance p / (1 - p):

    - E[logit_j] = sum over i of a_i V_ij + c_j, which is the scaled network;
    - Var[logit_j] = p / (1 - p) sum over i of a_i^2 V_ij^2.

    Both are the same for Bernoulli, Gaussian and DropConnect noise, which differ in the covariances of the logits alone:
    `propagate_moments` gives those, and is exact here too.

    Parameters
    ----------
    network
        Any network.
    x
        Images, float32 ``[n, 784]`` in [0, 1].
    p
        Dropout rate of the last hidden layer, 0 to 0.95; the other layers are not dropped.

    Raises
    ------
    ValueError
        When ``x`` or ``p`` is not allowed.
    """
    a, (weight, bias) = _activations(network, x, len(network.hidden)), _layers(network)[-1]
    rate = _rate("p", p)
    return Moments(a @ weight + bias, rate / (1 - rate) * (a.square() @ weight.square()))


def geometric_mean_limit(mean_logits: Tensor) -> Tensor:
    """Log of what the paper's sampling rule tends to with ever more masks: log softmax of the mean logits.

    Section 3.1 predicts exp(mean over masks of log o). With o = softmax(logits), log o is the logits less a number that all
    classes share, which renormalising takes away. So whatever the noise and the layers dropped, the limit is
    softmax(E[logits]). With only the last hidden layer dropped E[logits] is the scaled network's own (`last_layer_moments`):
    there equation (2) holds exactly and any gap between sampling and scaling is Monte Carlo error.

    Parameters
    ----------
    mean_logits
        Mean over masks of the logits ``[n, classes]``.

    Returns
    -------
    Tensor
        Normalised log probabilities ``[n, classes]``.
    """
    return mean_logits.log_softmax(-1)


def _normal(ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Density of the standard normal at ``ratio``, and the chances to lie below and above it."""
    density = (-ratio.square() / 2).exp() / math.sqrt(2 * math.pi)
    return density, torch.special.ndtr(ratio), torch.special.ndtr(-ratio)


def _ratio(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation (1 where it is 0, for division) and mean over it, held where the normal has long run out."""
    std = torch.where(variance > 0, variance, 1.0).sqrt()
    return std, (mean / std).clamp(-1e3, 1e3)


def relu_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and variance of max(0, z) for Gaussian z (Frey and Hinton 1999).

    With r = mean / std, Phi the normal distribution and phi its density:
    E = mean Phi(r) + std phi(r), and Var = std^2 (Phi(r) + r^2 Phi(r) Phi(-r) + r phi(r) (1 - 2 Phi(r)) - phi(r)^2),
    a form that does not subtract large squares.

    Parameters
    ----------
    mean, variance
        Of z, any equal shapes, float64; where the variance is 0, z is its mean.

    Returns
    -------
    tuple
        Mean and variance of max(0, z), in the same shape.
    """
    std, r = _ratio(mean, variance)
    density, below, above = _normal(r)
    random = variance > 0
    out_mean = torch.where(random, mean * below + std * density, mean.relu())
    out = variance * (below + r.square() * below * above + r * density * (above - below) - density.square())
    return out_mean, out.clamp_min(0)


def _relu_joint_moments(mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of max(0, z) for Gaussian z ``[n, h]``: exact but off the diagonal, there two terms of a series."""
    variance = covariance.diagonal(dim1=1, dim2=2)
    out_mean, out_variance = relu_moments(mean, variance)
    std, r = _ratio(mean, variance)
    density, below, _ = _normal(r)
    bend = density / std  # E[relu''(z)], the density of z at 0; and below is E[relu'(z)]
    first = below[:, :, None] * below[:, None, :] * covariance  # 0, as it must be, where z does not vary
    second = bend[:, :, None] * bend[:, None, :] * covariance.square() / 2
    return out_mean, torch.diagonal_scatter(first + second, out_variance, dim1=1, dim2=2)


def propagate_moments(
    network: Network, x: Tensor, dropout: Sequence[float] | float, noise: str = "bernoulli", covariance: bool = False
) -> Moments:
    """Approximate mean and variance over masks of the logits, layer by layer, in one pass (Wang and Manning 2013).

    Two assumptions, and where they bite:

    - Pre-activations are Gaussian, so that `relu_moments` holds. Sums over many units nearly are; with a few units, or rates
      near 1, they are not.
    - Units of a layer vary independently (``covariance=False``, as in the 2013 paper). They do not: behind a dropped layer all
      see the same masks, and similar neurons move together, so the spread of a trained network's logits comes out far too
      small. With ``covariance=True`` covariances are carried along, through a ReLU by the first two terms of Mehler's series.

    Exact, both ways, with only the last hidden layer dropped. Without covariances the three noises give equal numbers, since
    they differ only there: Bernoulli and Gaussian noise is one number a unit, which all outputs share, DropConnect's is one a
    weight.

    Parameters
    ----------
    network
        Any network.
    x
        Images, float32 ``[n, 784]`` in [0, 1].
    dropout
        Rates, one for all hidden layers or one a layer, 0 to 0.95.
    noise
        "bernoulli", "gaussian" or "dropconnect".
    covariance
        Whether to carry covariances: n h^3 multiplications a layer instead of n h^2.

    Returns
    -------
    Moments
        Of the logits; its covariance is None where covariances were not carried.

    Raises
    ------
    ValueError
        When ``x``, ``dropout`` or ``noise`` is not allowed, or the moments would have to pass an activation other than ReLU.
    """
    rates = _rates(network, dropout)
    _known(noise)
    first = _first_dropped(rates)
    if first < len(rates) and network.activation != "relu":
        raise ValueError(f"moments pass through ReLU alone; the network has {network.activation} above a dropped layer")
    layers = list(zip(_layers(network)[first:], rates[first - 1 :], strict=True))
    start = _activations(network, x, first)
    if not covariance:
        return _propagate_variances(layers, start)
    widest = max(network.hidden[first - 1 :])
    parts = [_propagate_covariances(layers, part, noise) for part in torch.split(start, max(1, _COVARIANCES // widest**2))]
    means, covariances = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return Moments(means, covariances.diagonal(dim1=1, dim2=2).clamp_min(0), covariances)  # rounding may go below 0


_Noisy = list[tuple[tuple[Tensor, Tensor], float]]  # weight and bias of a layer, and the rate of the units that feed it


def _propagate_variances(layers: _Noisy, mean: Tensor) -> Moments:
    variance = torch.zeros_like(mean)
    for number, ((weight, bias), rate) in enumerate(layers):
        if number:
            mean, variance = relu_moments(mean, variance)
        noise = rate / (1 - rate) * (variance + mean.square())  # what the masks add to each unit's variance
        mean, variance = mean @ weight + bias, (variance + noise) @ weight.square()
    return Moments(mean, variance)


def _propagate_covariances(layers: _Noisy, mean: Tensor, noise: str) -> tuple[Tensor, Tensor]:
    covariance = torch.zeros(*mean.shape, mean.shape[1], dtype=mean.dtype, device=mean.device)
    for number, ((weight, bias), rate) in enumerate(layers):
        if number:
            mean, covariance = _relu_joint_moments(mean, covariance)
        added = rate / (1 - rate) * (covariance.diagonal(dim1=1, dim2=2) + mean.square())  # [n, in]
        if noise == "dropconnect":
            covariance = weight.T @ covariance @ weight + torch.diag_embed(added @ weight.square())
        else:
            covariance = weight.T @ (covariance + torch.diag_embed(added)) @ weight  # [n, out, out]
        mean = mean @ weight + bias
    return mean, covariance
