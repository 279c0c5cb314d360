"""Exact and approximate answers to set beside sampling: closed forms, enumeration, moment propagation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropclust.core.mnist import check_images
from dropclust.core.network import Network
from dropclust.core.spec import LIMITS, NOISES

MAX_MASK_BITS = 16
_CHUNK = 2**22  # numbers held at once while masks are enumerated: 32 MiB of float64
_COVARIANCES = 2**19  # the same while covariances are propagated: 4 MiB stay in a core's own cache, six times faster


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
    """Mean and variance over masks of the outputs of a layer, image by image.

    Parameters
    ----------
    mean
        float64 ``[n, outputs]``.
    variance
        float64 ``[n, outputs]``: over the distribution of masks, not of a sample of them.
    covariance
        float64 ``[n, outputs, outputs]`` with ``variance`` on its diagonal, or None where it was not asked for.
    """

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None = None


def _noisy_product(a: Tensor, weight: Tensor, bias: Tensor, p: float, noise: str, covariance: bool) -> Moments:
    scale = p / (1 - p)
    variance = scale * (a.square() @ weight.square())
    if not covariance:
        full = None
    elif noise == "dropconnect":
        full = torch.diag_embed(variance)
    else:
        full = scale * torch.einsum("ni,ij,ik->njk", a.square(), weight, weight)
    return Moments(a @ weight + bias, variance, full)


def last_layer_moments(network: Network, x: Tensor, p: float, noise: str = "bernoulli") -> Moments:
    """Exact mean and covariance of the logits when only the last hidden layer is dropped.

    With activations a of that layer, weights V and biases c of the output, and noise of mean 1 and variance p / (1 - p):

    - E[logit_j] = sum over i of a_i V_ij + c_j, which is the scaled network;
    - Bernoulli and Gaussian, where all outputs see one noise a unit: Cov[j, k] = p / (1 - p) sum over i of a_i^2 V_ij V_ik;
    - DropConnect, where every weight has its own: the same variances, Cov[j, k] = 0 for j != k.

    Parameters
    ----------
    network
        Any network; n and the memory for ``[n, 10, 10]`` float64 are the only limits.
    x
        Images, float32 ``[n, 784]`` in [0, 1].
    p
        Dropout rate of the last hidden layer, 0 to 0.95; the other layers are not dropped.
    noise
        "bernoulli", "gaussian" or "dropconnect".

    Raises
    ------
    ValueError
        When ``x``, ``p`` or ``noise`` is not allowed.
    """
    a = _activations(network, x, len(network.hidden))
    return _noisy_product(a, *_layers(network)[-1], _rate("p", p), _known(noise), covariance=True)


def last_layer_mstd(network: Network, x: Tensor, p: float, noise: str = "bernoulli") -> float:
    """Exact mean sampling standard deviation (paper section 3.2) when only the last hidden layer is dropped.

    The mean over images and logits of the square root of the variance that `last_layer_moments` gives; it is the same for
    all three noises. From n masks, a sample's standard deviation (ddof=1) is on average a little smaller, by about 1 / 4n.

    Parameters
    ----------
    network, x, p, noise
        As in `last_layer_moments`.

    Raises
    ------
    ValueError
        As in `last_layer_moments`.
    """
    a = _activations(network, x, len(network.hidden))
    moments = _noisy_product(a, *_layers(network)[-1], _rate("p", p), _known(noise), covariance=False)
    return moments.variance.sqrt().mean().item()


def first_layer_moments(network: Network, x: Tensor, p: float, noise: str = "bernoulli", covariance: bool = False) -> Moments:
    """Exact moments of the second layer's pre-activations when the first hidden layer is dropped, whatever follows.

    The formulas are those of `last_layer_moments`, with the first hidden layer's activations and the second layer's weights.
    The noise passes a ReLU afterwards, so nothing as simple holds for the logits: see `propagate_moments`.

    Parameters
    ----------
    network, x, noise
        As in `last_layer_moments`.
    p
        Dropout rate of the first hidden layer, 0 to 0.95.
    covariance
        Whether to give the covariance too; it needs ``[n, units, units]`` float64, 80 kB an image for 100 units.

    Raises
    ------
    ValueError
        As in `last_layer_moments`.
    """
    a = _activations(network, x, 1)
    return _noisy_product(a, *_layers(network)[1], _rate("p", p), _known(noise), covariance)


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


@dataclass(frozen=True, eq=False)
class Exact:
    """What sampling tends to with ever more masks, found by running all of them. All float64.

    Parameters
    ----------
    mean_logits, std_logits
        ``[n, classes]``: mean and standard deviation of the logits over the distribution of masks.
    mean_probs
        ``[n, classes]``: arithmetic mean of the probabilities.
    log_probs
        ``[n, classes]``: log of their geometric mean, normalised (paper section 3.1).
    votes
        ``[n, classes]``: chance that a mask's largest logit is this class; equal logits share it.
    mean_entropy
        ``[n]``: mean of the entropy of one mask's prediction, in nats (for `dropclust.core.metrics.mutual_information`).
    n_masks
        Masks run.
    """

    mean_logits: Tensor
    std_logits: Tensor
    mean_probs: Tensor
    log_probs: Tensor
    votes: Tensor
    mean_entropy: Tensor
    n_masks: int

    @property
    def mstd(self) -> float:
        """Mean of ``std_logits`` over images and logits (paper section 3.2)."""
        return self.std_logits.mean().item()


def enumerate_masks(network: Network, x: Tensor, dropout: Sequence[float] | float, noise: str = "bernoulli") -> Exact:
    """Exact answers for a small network: every mask is run, weighted by its probability.

    Parameters
    ----------
    network
        A network with at most 16 things to mask: units of the dropped layers (Bernoulli), or weights leaving them
        (DropConnect).
    x
        Images, float32 ``[n, 784]`` in [0, 1]; time and masks multiply, memory does not grow with the masks.
    dropout
        Rates, one for all hidden layers or one a layer, 0 to 0.95; layers at 0 are not dropped and cost nothing.
    noise
        "bernoulli" or "dropconnect".

    Raises
    ------
    ValueError
        When there are more than 2^16 masks, the noise is Gaussian, or ``x``, ``dropout`` or ``noise`` is not allowed.
    """
    rates = _rates(network, dropout)
    if _known(noise) == "gaussian":
        raise ValueError("noise must be bernoulli or dropconnect, whose masks can be counted; got gaussian")
    layers, first = _layers(network), _first_dropped(rates)
    shapes = [tuple(weight.shape) if noise == "dropconnect" else (weight.shape[0],) for weight, _ in layers[1:]]
    bits = [math.prod(shape) if rate > 0 else 0 for shape, rate in zip(shapes, rates, strict=True)]
    total = sum(bits)
    if total > MAX_MASK_BITS:
        raise ValueError(
            f"network must have at most {MAX_MASK_BITS} units or weights to mask, for all masks are run; got {total}"
        )
    keep = torch.cat([torch.full((n,), 1 - rate, dtype=torch.float64) for n, rate in zip(bits, rates, strict=True)])
    keep = keep.to(network.device)  # [total], the chance that each stays

    a = _activations(network, x, first)[None]  # [1, n, h], the same for all masks
    scaled = _logits(layers, a, first, [None] * len(rates), noise)[0]  # [n, classes]
    sums = _Sums(scaled)
    widest = max(weight.shape[1] for weight, _ in layers[first:])
    step = max(1, _CHUNK // (len(x) * max(widest, a.shape[2])))
    for begin in range(0, 2**total, step):
        numbers = torch.arange(begin, min(begin + step, 2**total), device=keep.device)
        kept = (numbers[:, None] >> torch.arange(total, device=keep.device)) & 1  # [m, total]
        chance = torch.where(kept == 1, keep, 1 - keep).prod(1)  # [m]
        masks = [
            mask.reshape(-1, *shape) if rate > 0 else None
            for mask, shape, rate in zip(torch.split(kept / keep, bits, dim=1), shapes, rates, strict=True)
        ]
        sums.add(_logits(layers, a, first, masks, noise), chance)
    return sums.exact(2**total)


def _logits(
    layers: list[tuple[Tensor, Tensor]], a: Tensor, hidden_layer: int, masks: Sequence[Tensor | None], noise: str
) -> Tensor:
    """Logits ``[m, n, classes]`` from a hidden layer's activations ``[1, n, h]``, under m masks a layer or none."""
    for number in range(hidden_layer, len(layers)):
        (weight, bias), mask = layers[number], masks[number - 1]
        if mask is None:
            a = a @ weight + bias
        elif noise == "dropconnect":
            a = a @ (weight * mask) + bias  # [1 or m, n, in] @ [m, in, out]
        else:
            a = (a * mask[:, None, :]) @ weight + bias
        if number < len(layers) - 1:
            a = a.relu()
    return a


class _Sums:
    """Sums over masks, each weighted by its chance; logits are taken from the scaled ones so that squares do not cancel."""

    def __init__(self, scaled: Tensor) -> None:
        self.scaled = scaled
        self.shift, self.square, self.probs, self.log_probs, self.votes = (torch.zeros_like(scaled) for _ in range(5))
        self.entropy = torch.zeros_like(scaled[:, 0])

    def add(self, logits: Tensor, chance: Tensor) -> None:
        """Add the logits ``[m, n, classes]`` of masks that come up with ``chance`` ``[m]``."""
        shift, log_probs = logits - self.scaled, logits.log_softmax(-1)
        winners = (logits == logits.amax(-1, keepdim=True)).double()
        for total, values in (
            (self.shift, shift),
            (self.square, shift.square()),
            (self.probs, log_probs.exp()),
            (self.log_probs, log_probs),
            (self.votes, winners / winners.sum(-1, keepdim=True)),
            (self.entropy, -(log_probs.exp() * log_probs).sum(-1)),
        ):
            total += torch.tensordot(chance, values, dims=1)

    def exact(self, n_masks: int) -> Exact:
        return Exact(
            mean_logits=self.scaled + self.shift,
            std_logits=(self.square - self.shift.square()).clamp_min(0).sqrt(),
            mean_probs=self.probs,
            log_probs=self.log_probs.log_softmax(-1),
            votes=self.votes,
            mean_entropy=self.entropy,
            n_masks=n_masks,
        )


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
    they differ only there.

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
        When ``x``, ``dropout`` or ``noise`` is not allowed.
    """
    rates = _rates(network, dropout)
    _known(noise)
    first = _first_dropped(rates)
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
