"""How what is taken from random masks settles with their number, beside what ever more masks give. It knows no words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from dropclust.core.network import Network

BLOCK, BLOCKS = 10, 100  # masks are drawn in blocks, each with a seed of its own: errors come from differences between blocks
REFERENCE = 2_000  # masks, others than the first thousand, that stand for the truth where no formula gives it
MASKS = (1, 2, 5, *(BLOCK * n for n in (1, 2, 5, 10, 20, 50, BLOCKS)))
JACKKNIFE_GROUPS = 20
REPEATS = 25  # groups of as many masks, for the accuracy
PROPAGATE_WIDTH = 200  # up to this width covariances are propagated; the work grows with its cube


@dataclass(frozen=True)
class Estimate:
    """A quantity taken from the first masks, one value a number of `MASKS`, and its limit with ever more of them.

    Parameters
    ----------
    values
        From the first 1, 2, 5, ... masks; NaN where so few give none.
    centre
        Its mean over groups of as many masks.
    error
        Its Monte Carlo standard error around ``centre``.
    truth
        Its limit: exact by a formula, or from `REFERENCE` other masks.
    truth_error
        Monte Carlo standard error of ``truth``; 0 where it is exact.
    """

    values: tuple[float, ...]
    centre: tuple[float, ...]
    error: tuple[float, ...]
    truth: float
    truth_error: float

    def band(self, at: int) -> tuple[float, float]:
        """Two standard errors around the centre, those of the truth among them.

        Examples
        --------
        >>> Estimate((1.0,), (2.0,), (3.0,), 2.0, 4.0).band(0)
        (-8.0, 12.0)
        """
        half = 2 * math.hypot(self.error[at], self.truth_error)
        return self.centre[at] - half, self.centre[at] + half

    def inside(self, at: int) -> bool:
        """Whether the value of the first masks lies inside the band."""
        low, high = self.band(at)
        return low <= self.values[at] <= high


@dataclass(frozen=True)
class Settling:
    """How the predictions of one network settle with the number of masks.

    Parameters
    ----------
    exact
        Whether the limits are formulas, or a reference of `REFERENCE` other masks.
    images
        How many images the averages are over.
    image, digit, pixels
        The image of which the scaled network is least sure, whatever the masks: its place, its class and its 784 pixels.
    logit
        Of that image, for its class.
    mstd
        Mean sampling standard deviation (paper section 3.2), over all images.
    accuracy
        Of the geometric mean over masks (paper section 3.1).
    scaled_accuracy
        Of the scaled network.
    votes, vote_error
        Share of masks that call the image its class, and its Monte Carlo standard error; one a number of `MASKS`.
    to_scaled, to_limit
        Mean distance (total variation, 0 to 1) of the sampled probabilities from the scaled network's, and from their own
        limit; one a number of `MASKS`.
    most_to_scaled
        The largest difference of any one probability from the scaled network's.
    propagated, propagated_jointly
        MSTD by moment propagation without covariances, and with them (None where layers are too wide for it).
    """

    exact: bool
    images: int
    image: int
    digit: int
    pixels: tuple[float, ...]
    logit: Estimate
    mstd: Estimate
    accuracy: Estimate
    scaled_accuracy: float
    votes: tuple[float, ...]
    vote_error: tuple[float, ...]
    to_scaled: tuple[float, ...]
    to_limit: tuple[float, ...]
    most_to_scaled: tuple[float, ...]
    propagated: float
    propagated_jointly: float | None


def settle(network: Network, x: Tensor, y: Tensor, rates: Sequence[float], noise: str) -> Settling:
    """Sample a network, and set what the first 1 to 1,000 masks give beside the limit of ever more of them.

    With masks on the last hidden layer alone the limits are exact (`dropclust.core.theory.last_layer_moments`); otherwise they
    come from `REFERENCE` masks that are none of the thousand.

    Parameters
    ----------
    network
        Any network.
    x
        Images, float32 ``[n, 784]`` in [0, 1].
    y
        Their classes, whole numbers ``[n]``.
    rates
        Dropout rates, one a hidden layer, at least one above 0.
    noise
        "bernoulli", "gaussian" or "dropconnect".

    Raises
    ------
    ValueError
        When no rate is above 0, and as `dropclust.core.prediction.sample`.
    """
    import torch

    from dropclust.core import metrics, theory
    from dropclust.core.prediction import sample, scaled_logits

    if not any(rates):
        raise ValueError(f"rates must have one above 0, for without dropout all masks are one; got {tuple(rates)}")

    def drawn(n: int, seed: int) -> Tensor:
        sampled = sample(network, x, n, seed, rates, noise)
        # One mask has no spread: its squares about the mean are 0.
        squares = sampled.logit_std.square().nan_to_num(0.0) * (n - 1)
        return torch.stack((sampled.logit_mean, squares, sampled.votes)).double()

    blocks = torch.stack([drawn(BLOCK, seed) for seed in range(BLOCKS)])  # [blocks, 3, n, 10]
    # Groups of fewer masks than a block has; they begin the blocks.
    few = {n: torch.stack([drawn(n, seed) for seed in range(REPEATS)]) for n in MASKS if n < BLOCK}  # [repeats, 3, n, 10]
    first = [_joined(few[n][:1], n) if n < BLOCK else _joined(blocks[: n // BLOCK], BLOCK) for n in MASKS]
    means, spreads, votes = zip(*first, strict=True)

    exact, masks_of_limit = not any(rates[:-1]), math.inf
    if exact:
        moments = theory.last_layer_moments(network, x, rates[-1])
        limit, limit_std = moments.mean, moments.variance.sqrt()
    else:
        reference = sample(network, x, REFERENCE, BLOCKS, rates, noise)  # a seed that no block has
        limit, limit_std, masks_of_limit = reference.logit_mean.double(), reference.logit_std.double(), REFERENCE

    def estimate(values: Sequence[float], truth: float, error: float) -> Estimate:
        """``error`` is that of all masks drawn; it falls with the square root of their number."""
        errors = tuple(error * math.sqrt(MASKS[-1] / n) for n in MASKS)
        return Estimate(tuple(values), (truth,) * len(MASKS), errors, truth, error * math.sqrt(MASKS[-1] / masks_of_limit))

    centres, errors = _accuracies(few, blocks, y)
    scaled = scaled_logits(network, x).double()
    of_scaled = scaled.softmax(1)
    image = int(of_scaled.amax(1).argmin())  # the same for all rates, so that choices of masks can be compared
    digit = int(y[image])
    shares = torch.stack([vote[image, digit] for vote in votes])
    # The rule of section 3.1 from mean logits: what any number of masks gives, renormalised, and its limit.
    probs = [theory.geometric_mean_limit(mean).exp() for mean in means]
    of_limit = theory.geometric_mean_limit(limit).exp()
    joint = max(network.hidden) <= PROPAGATE_WIDTH
    return Settling(
        exact=exact,
        images=len(x),
        image=image,
        digit=digit,
        pixels=tuple(x[image].tolist()),
        logit=estimate(
            [mean[image, digit].item() for mean in means],
            limit[image, digit].item(),
            metrics.mean_error(limit_std[image, digit], MASKS[-1]).item(),
        ),
        mstd=estimate(
            [spread.mean().item() for spread in spreads],
            limit_std.mean().item(),
            metrics.jackknife_error(blocks, lambda part: _joined(part, BLOCK)[1].mean().item(), JACKKNIFE_GROUPS),
        ),
        accuracy=Estimate(
            tuple(metrics.accuracy(mean, y) for mean in means),
            centres,
            errors,
            metrics.accuracy(limit, y),
            errors[-1] * math.sqrt(MASKS[-1] / masks_of_limit),
        ),
        scaled_accuracy=metrics.accuracy(scaled, y),
        votes=tuple(shares.tolist()),
        vote_error=tuple(metrics.share_error(share, n).item() for share, n in zip(shares, MASKS, strict=True)),
        to_scaled=tuple(_distance(p, of_scaled) for p in probs),
        to_limit=tuple(_distance(p, of_limit) for p in probs),
        most_to_scaled=tuple((p - of_scaled).abs().max().item() for p in probs),
        propagated=theory.propagate_moments(network, x, rates, noise).mstd,
        propagated_jointly=theory.propagate_moments(network, x, rates, noise, covariance=True).mstd if joint else None,
    )


def _joined(groups: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of logits, and votes, ``[n, 10]``: groups of ``size`` masks taken together.

    ``groups`` ``[groups, 3, n, 10]`` hold mean logits, squares about them, and votes. One mask's deviation is NaN.
    """
    means, squares, votes = groups.unbind(1)
    mean = means.mean(0)
    total = squares.sum(0) + size * (means - mean).square().sum(0)
    return mean, (total / (size * len(groups) - 1)).sqrt(), votes.mean(0)  # 0 / 0 is NaN


def _accuracies(few: dict[int, Tensor], blocks: Tensor, y: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the accuracy over groups of as many masks, one a number of `MASKS`.

    Right or wrong is a step: leaving a block out seldom moves it, so that the jackknife would find no error. And few masks are
    worse, not only less sure. So groups are looked at: of few masks, groups of their own; of many, blocks drawn with
    replacement.
    """
    import torch

    from dropclust.core import metrics

    stream, accuracies = torch.Generator().manual_seed(0), []
    for n in MASKS:
        if n < BLOCK:
            means = few[n][:, 0]
        else:
            picked = torch.randint(BLOCKS, (REPEATS, n // BLOCK), generator=stream)
            means = torch.stack([blocks[which, 0].mean(0) for which in picked])
        accuracies.append([metrics.accuracy(mean, y) for mean in means])
    table = torch.tensor(accuracies, dtype=torch.float64)  # [numbers, repeats]
    return tuple(table.mean(1).tolist()), tuple(table.std(1).tolist())


def _distance(p: Tensor, q: Tensor) -> float:
    """Total variation of two sets of probabilities ``[n, classes]``, 0 to 1, on average over images."""
    return (p - q).abs().sum(1).mean().item() / 2
