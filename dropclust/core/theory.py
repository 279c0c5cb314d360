"""Exact and approximate answers to set beside sampling: closed forms, enumeration, moment propagation, the power law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor

from dropclust.core.intervals import Interval, mean_interval
from dropclust.core.mnist import check_images
from dropclust.core.network import Network
from dropclust.core.spec import LIMITS, NOISES

MAX_MASK_BITS = 16
# Numbers held at once while masks are enumerated or covariances propagated: 32 MiB of float64.
_CHUNK = 2**22

Floats = npt.NDArray[np.float64]


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
        a = (a @ weight + bias).relu()
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
    parts = [_propagate_covariances(layers, part, noise) for part in torch.split(start, max(1, _CHUNK // widest**2))]
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


CHANCES = {
    "equal": "1/k, k equal clusters",
    "printed": "k/h, as printed in the paper",
}


def _chance(chance: str) -> str:
    if chance not in CHANCES:
        raise ValueError(f"chance must be one of {', '.join(CHANCES)}; got {chance!r}")
    return chance


def _numbers(name: str, values: npt.ArrayLike, low: float, high: npt.ArrayLike, allowed: str) -> Floats:
    """The values as float64, refused when one of them lies outside ``low`` to ``high`` or is no number."""
    numbers = np.asarray(values, dtype=np.float64)
    inside = (numbers >= low) & (numbers <= np.asarray(high, dtype=np.float64))
    if not inside.all():
        wrong = np.broadcast_to(numbers, inside.shape)[~inside]
        raise ValueError(f"{name} must be {allowed}; got {float(wrong[0]):g}")
    return numbers


def _layer(h: npt.ArrayLike, k: npt.ArrayLike) -> tuple[Floats, Floats]:
    neurons = _numbers("h", h, 2, 1e12, "2 neurons or more")
    return neurons, _numbers("k", k, 1, neurons, "from 1 cluster to as many as there are neurons")


def same_cluster_chance(h: npt.ArrayLike, k: npt.ArrayLike, chance: str = "equal", finite: bool = True) -> Floats:
    """Chance that two different neurons of a layer share a cluster (between equations (3) and (4) of the paper).

    With k clusters of h / k neurons each, h / k - 1 of the h - 1 others share a neuron's cluster:
    (h/k - 1) / (h - 1), which tends to 1/k. The paper prints k/h, which grows with the number of clusters although more
    clusters mean fewer neighbours.

    Parameters
    ----------
    h
        Neurons, 2 or more; numbers or arrays that broadcast against ``k``.
    k
        Clusters, 1 to h; need not be whole.
    chance
        "equal" (k equal clusters) or "printed".
    finite
        With "equal": (h/k - 1) / (h - 1), or its limit 1/k.

    Raises
    ------
    ValueError
        When ``h``, ``k`` or ``chance`` is not allowed.
    """
    neurons, clusters = _layer(h, k)
    if _chance(chance) == "printed":
        return clusters / neurons
    return (neurons / clusters - 1) / (neurons - 1) if finite else 1 / clusters


def clustered_variance(
    h: npt.ArrayLike, k: npt.ArrayLike, sigma: npt.ArrayLike, chance: str = "equal", finite: bool = True
) -> Floats:
    """Var(h; k, sigma): variance of the mean of h clustered neurons, equations (3) and (4) of the paper.

    The neurons' outputs have mean 0 and variance 1, covariance sigma within a cluster and 0 across. Of the h^2 pairs (i, j)
    in the squared mean, h have i = j and h (h - 1) do not, so with P the chance that two neurons share a cluster

        Var = 1/h + (1 - 1/h) P sigma                                  (3)
            = (1 - sigma)/h + sigma/k      for k equal clusters, exactly
            -> sigma/k ~ h^-kappa          for k ~ h^kappa and large h

    whereas with the printed P = k/h, Var -> sigma k/h ~ h^(kappa - 1)  (4). (The printed (3) has 2/h^2 times a sum over
    j != k, which would count pairs twice; its last step is right.)

    Parameters
    ----------
    h
        Neurons, 2 or more; numbers or arrays that broadcast against ``k`` and ``sigma``.
    k
        Clusters, 1 to h; need not be whole (h ** kappa).
    sigma
        Covariance of two neurons of one cluster, 0 to 1.
    chance
        "equal" (corrected) or "printed", as in `same_cluster_chance`.
    finite
        The exact value for this h, or the leading term P sigma alone.

    Raises
    ------
    ValueError
        When ``h``, ``k``, ``sigma`` or ``chance`` is not allowed.
    """
    neurons, _ = _layer(h, k)
    pairs = same_cluster_chance(h, k, chance, finite) * _numbers("sigma", sigma, 0, 1, "from 0 to 1")
    return 1 / neurons + (1 - 1 / neurons) * pairs if finite else pairs


def slope_from_kappa(kappa: float, chance: str = "equal") -> float:
    """Slope of log MSTD against log h that k ~ h^kappa clusters would give: half that of `clustered_variance` at large h.

    Parameters
    ----------
    kappa
        Exponent of the number of clusters; the paper wants it in (0, 1).
    chance
        "equal": -kappa / 2. "printed": (kappa - 1) / 2.

    Raises
    ------
    ValueError
        When ``chance`` is not allowed.
    """
    return -kappa / 2 if _chance(chance) == "equal" else (kappa - 1) / 2


def kappa_from_slope(slope: float, chance: str = "equal") -> float:
    """Exponent kappa of the number of clusters, k ~ h^kappa, that a slope of log MSTD against log h would mean.

    MSTD is a standard deviation, so MSTD ~ h^slope is Var ~ h^(2 slope). Corrected, Var ~ 1/k ~ h^-kappa, hence
    kappa = -2 slope; as printed, Var ~ k/h ~ h^(kappa - 1), hence kappa = 1 + 2 slope. The paper's slope -0.354 means
    0.71 by the first and 0.29 by the second; both agree only at a slope of -1/4.

    Parameters
    ----------
    slope
        Of log MSTD on log h.
    chance
        "equal" (corrected) or "printed".

    Returns
    -------
    float
        Outside (0, 1) the slope is not one that clusters in the paper's sense can give.

    Raises
    ------
    ValueError
        When ``chance`` is not allowed.
    """
    return -2 * slope if _chance(chance) == "equal" else 1 + 2 * slope


@dataclass(frozen=True)
class Simulated:
    """An average over simulated layers.

    Parameters
    ----------
    variance
        Mean square of the layers' means.
    standard_error
        Monte Carlo standard error of ``variance``.
    """

    variance: float
    standard_error: float


def simulate_clustered_variance(h: int, k: int, sigma: float, draws: int = 100_000, seed: int = 0) -> Simulated:
    """Draw layers of clustered neurons and measure the variance of their mean, to judge `clustered_variance` by.

    Neuron i of cluster c is sqrt(sigma) Z_c + sqrt(1 - sigma) E_i with independent standard normal Z and E: variance 1,
    covariance sigma within a cluster and 0 across, as the paper supposes.

    Parameters
    ----------
    h
        Neurons, 2 or more.
    k
        Clusters of equal size, a divisor of h.
    sigma
        Covariance within a cluster, 0 to 1.
    draws
        Layers drawn, 2 or more; the relative standard error is about sqrt(2 / draws).
    seed
        Of the random draws.

    Raises
    ------
    ValueError
        When ``k`` does not divide ``h``, or a number is out of range.
    """
    _layer(h, k)
    if h % k:
        raise ValueError(f"k must divide h, for the clusters are of equal size; got {k} clusters of {h} neurons")
    _numbers("sigma", sigma, 0, 1, "from 0 to 1")
    if draws < 2:
        raise ValueError(f"draws must be a whole number of at least 2; got {draws}")
    random = np.random.default_rng(seed)
    squares = np.empty(draws)
    step = max(1, _CHUNK // h)
    for begin in range(0, draws, step):
        n = min(step, draws - begin)
        neurons = random.standard_normal((n, k, h // k)) * math.sqrt(1 - sigma)
        neurons += random.standard_normal((n, k, 1)) * math.sqrt(sigma)
        squares[begin : begin + n] = neurons.mean(axis=(1, 2)) ** 2
    return Simulated(float(squares.mean()), float(squares.std(ddof=1) / math.sqrt(draws)))


@dataclass(frozen=True)
class PowerLaw:
    """A straight line through log MSTD against log h, and how sure it is.

    Parameters
    ----------
    slope
        Exponent a of MSTD = c h^a: mean over seeds, with its interval.
    intercept
        log c, natural logarithm: mean over seeds, with its interval. (The paper's 0.0958 does not say its base.)
    r_squared
        Of the line through the seeds' mean log MSTD, 0 to 1. Near 1 it does not say that the points lie straight.
    curvature
        Coefficient of (log h)^2 when it is fitted too: mean over seeds, with its interval.
    curvature_p_value
        Of no curvature, Student t over seeds, two-sided. Small: the points are bent, and the exponent depends on the range.
    widths
        The h fitted, in rising order.
    """

    slope: Interval
    intercept: Interval
    r_squared: float
    curvature: Interval
    curvature_p_value: float
    widths: tuple[float, ...]

    def mstd(self, h: npt.ArrayLike) -> Floats:
        """The line's MSTD at widths ``h``: exp(intercept) h^slope."""
        line: Floats = self.intercept.mean + self.slope.mean * np.log(np.asarray(h, dtype=np.float64))
        return np.exp(line)


def fit_power_law(h: npt.ArrayLike, mstd_by_seed: npt.ArrayLike) -> PowerLaw:
    """Fit MSTD = c h^a by ordinary least squares of log MSTD on log h, seed by seed (paper Figure 3).

    Each seed gives a line of its own, and the intervals are Student's over seeds (for one seed, NaN ends and p value). Points
    of one seed lean on each other, so residuals about one line would promise too much, and a bootstrap over few seeds covers
    too little. Since all seeds have the same widths, the mean of their slopes is the slope of their mean log MSTD.

    Parameters
    ----------
    h
        Widths ``[w]``, 1 or more each, three or more different ones.
    mstd_by_seed
        MSTD ``[seeds, w]``, above 0.

    Raises
    ------
    ValueError
        When there are fewer than three different widths, an MSTD that is not above 0 (sampling at rate 0 gives that, and it
        has no logarithm), or shapes do not fit.
    """
    widths = _numbers("h", h, 1, 1e12, "widths of 1 or more")
    mstd = np.asarray(mstd_by_seed, dtype=np.float64)
    if widths.ndim != 1:
        raise ValueError(f"h must be a list of widths; got {list(widths.shape)}")
    if len(distinct := np.unique(widths)) < 3:
        raise ValueError(f"h must hold at least three different widths for a line to be judged; got {len(distinct)}")
    if mstd.ndim != 2 or mstd.shape[1] != len(widths) or len(mstd) == 0:
        raise ValueError(f"mstd_by_seed must be [seeds, {len(widths)}], a column a width; got {list(mstd.shape)}")
    if not (np.isfinite(mstd).all() and (mstd > 0).all()):
        raise ValueError(
            "mstd_by_seed must be finite and above 0, for zero has no logarithm (nothing varies at rate 0); "
            f"got {np.min(mstd):g}"
        )
    x, y = np.log(widths), np.log(mstd)  # [w], [seeds, w]
    middle = x.mean()
    slopes = y @ (x - middle) / np.square(x - middle).sum()  # [seeds]
    intercepts = y.mean(axis=1) - slopes * middle
    curvatures = np.polynomial.polynomial.polyfit(x - middle, y.T, 2)[2]  # [seeds]
    slope, intercept, curvature = (mean_interval(values) for values in (slopes, intercepts, curvatures))
    mean = y.mean(axis=0)
    around_mean = np.square(mean - mean.mean()).sum()
    around_line = np.square(mean - intercept.mean - slope.mean * x).sum()
    return PowerLaw(
        slope=slope,
        intercept=intercept,
        r_squared=float(1 - around_line / around_mean) if around_mean > 0 else 0.0,  # a flat line explains nothing
        curvature=curvature,
        curvature_p_value=_p_value_of_zero(curvatures),
        widths=tuple(float(width) for width in distinct),
    )


def _p_value_of_zero(values: Floats) -> float:
    """Two-sided Student t test that the mean is 0; NaN for one value, which cannot say."""
    if len(values) < 2:
        return math.nan
    # Points on a straight line leave only rounding, equal in every seed, which the test would take for a sure bend.
    if np.abs(values).max() < 1e-10:
        return 1.0
    error = values.std(ddof=1) / math.sqrt(len(values))
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1)) if error > 0 else 0.0
