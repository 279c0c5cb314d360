"""How good, how sure and how scattered predictions are: tensors of predictions in, plain numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# How far the probabilities of a float32 softmax over a handful of classes may sum away from 1.
_SUM_TOLERANCE = 1e-4


def _finite(name: str, values: Tensor, shape: str, dims: int) -> Tensor:
    """The values in float64, refused when they have another number of dimensions, are none at all or are not finite."""
    if values.ndim != dims or 0 in values.shape:
        raise ValueError(f"{name} must be {shape} and not empty; got {list(values.shape)}")
    values = values.double()
    if not values.isfinite().all():
        raise ValueError(f"{name} must hold finite numbers only; got NaN or infinity")
    return values


def _probabilities(name: str, values: Tensor, shape: str, dims: int) -> Tensor:
    values = _finite(name, values, shape, dims)
    if values.min() < 0 or not ((values.sum(-1) - 1).abs() <= _SUM_TOLERANCE).all():
        raise ValueError(f"{name} must hold probabilities that sum to 1 over the classes; got other numbers")
    return values


def _classes(y: Tensor, name: str, predictions: Tensor) -> Tensor:
    n, classes = predictions.shape
    if y.is_floating_point() or y.dtype == torch.bool or y.shape != (n,):
        raise ValueError(f"y must be whole numbers, one a row of {name} ({n}); got {y.dtype} {list(y.shape)}")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"y must be classes from 0 to {classes - 1}; got {int(y.min())} to {int(y.max())}")
    return y.long()


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of images whose largest logit is their class, 0 to 1.

    Parameters
    ----------
    logits
        ``[n, classes]``; probabilities or their logarithms do as well. Of equal logits the first class counts.
    y
        True classes, whole numbers ``[n]``.

    Raises
    ------
    ValueError
        When a logit is NaN or infinite (such a row would otherwise count as a class), or shapes or classes do not fit.
    """
    checked = _finite("logits", logits, "[n, classes]", 2)
    return (checked.argmax(1) == _classes(y, "logits", checked)).double().mean().item()


def cross_entropy(logits: Tensor, y: Tensor) -> float:
    """Mean of minus the log probability of the true class, in nats (paper section 3).

    Parameters
    ----------
    logits
        ``[n, classes]``; normalised log probabilities give the same answer, for the softmax of them is themselves.
    y
        True classes, whole numbers ``[n]``.

    Raises
    ------
    ValueError
        When a logit is NaN or infinite, or shapes or classes do not fit.
    """
    checked = _finite("logits", logits, "[n, classes]", 2)
    return torch.nn.functional.cross_entropy(checked, _classes(y, "logits", checked)).item()


def brier(probs: Tensor, y: Tensor) -> float:
    """Brier score: mean over images of the squared distance from the probabilities to the truth, 0 (best) to 2.

    mean over i of sum over c of (p_ic - [y_i = c])^2, the form of Brier (1950), whose range ends at 2 and not at 1.

    Parameters
    ----------
    probs
        Probabilities ``[n, classes]``.
    y
        True classes, whole numbers ``[n]``.

    Raises
    ------
    ValueError
        When ``probs`` are no probabilities, or shapes or classes do not fit.
    """
    checked = _probabilities("probs", probs, "[n, classes]", 2)
    truth = torch.nn.functional.one_hot(_classes(y, "probs", checked), checked.shape[1])
    return (checked - truth).square().sum(1).mean().item()


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram as a table: a row a bin of confidence.

    Parameters
    ----------
    edges
        ``[bins + 1]``; bin b holds the images whose largest probability is above ``edges[b]`` and at most ``edges[b + 1]``.
    count
        Images in each bin, whole numbers ``[bins]``.
    confidence
        Mean largest probability in each bin ``[bins]``; NaN where the bin is empty.
    accuracy
        Share of them that are right ``[bins]``; NaN where the bin is empty.
    """

    edges: Tensor
    count: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def expected_calibration_error(self) -> float:
        """Mean over images of the gap between their bin's accuracy and confidence, 0 (best) to 1."""
        gaps = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return (gaps * self.count).sum().item() / int(self.count.sum())


def reliability(probs: Tensor, y: Tensor, bins: int = 15) -> Reliability:
    """How often predictions of each confidence are right (Guo et al. 2017, section 2).

    Parameters
    ----------
    probs
        Probabilities ``[n, classes]``.
    y
        True classes, whole numbers ``[n]``.
    bins
        Bins of equal width over 0 to 1, 1 to 1,000.

    Raises
    ------
    ValueError
        When ``probs`` are no probabilities, shapes or classes do not fit, or ``bins`` is out of range.
    """
    checked = _probabilities("probs", probs, "[n, classes]", 2)
    if not 1 <= bins <= 1_000:
        raise ValueError(f"bins must be a whole number from 1 to 1,000; got {bins}")
    confidence, predicted = checked.max(1)
    right = (predicted == _classes(y, "probs", checked)).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=checked.device)
    # Rounding may take a probability just past 1: it stays in the last bin.
    bin_of = (torch.bucketize(confidence, edges) - 1).clamp(0, bins - 1)
    count = torch.bincount(bin_of, minlength=bins)
    sums = [torch.bincount(bin_of, weights=values, minlength=bins) for values in (confidence, right)]
    return Reliability(edges, count, *(total / count for total in sums))


def expected_calibration_error(probs: Tensor, y: Tensor, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of confidence, 0 (best) to 1 (Guo et al. 2017, equation 3).

    It falls with fewer bins and rises with fewer images, for a bin's accuracy is noisy: compare only equal ``bins`` and n.

    Parameters
    ----------
    probs, y, bins
        As in `reliability`.

    Raises
    ------
    ValueError
        As in `reliability`.
    """
    return reliability(probs, y, bins).expected_calibration_error


def predictive_entropy(probs: Tensor) -> Tensor:
    """Entropy of each prediction in nats, 0 (sure) to log of the number of classes: all the doubt there is.

    Parameters
    ----------
    probs
        Probabilities ``[..., classes]``.

    Returns
    -------
    Tensor
        float64 ``[...]``.

    Raises
    ------
    ValueError
        When ``probs`` are no probabilities.
    """
    checked = _probabilities("probs", probs, "[..., classes]", max(probs.ndim, 1))
    return -torch.xlogy(checked, checked).sum(-1)


def mutual_information(probs: Tensor, mean_entropy: Tensor | None = None) -> Tensor:
    """What is left of the doubt because masks disagree, in nats: BALD (Houlsby et al. 2011; Gal et al. 2017).

    I = H(mean over masks of p) - mean over masks of H(p): zero when every mask says the same, however unsure, and large when
    each is sure of another class. From n masks it comes out too low, by about 1 / 2n times the sum over classes of
    (variance over masks / mean) of the class's probability, at most (classes - 1) / 2n; and never above log n.

    Parameters
    ----------
    probs
        Probabilities of every mask ``[masks, n, classes]``; or, with ``mean_entropy``, their mean over masks
        ``[n, classes]``, for those who add up as they go.
    mean_entropy
        Mean over masks of `predictive_entropy` ``[n]``.

    Returns
    -------
    Tensor
        float64 ``[n]``, never negative.

    Raises
    ------
    ValueError
        When ``probs`` are no probabilities or shapes do not fit.
    """
    if mean_entropy is None:
        checked = _probabilities("probs", probs, "[masks, n, classes]", 3)
        probs, mean_entropy = checked.mean(0), predictive_entropy(checked).mean(0)
    total = predictive_entropy(_probabilities("probs", probs, "[n, classes] where mean_entropy is given", 2))
    known = _finite("mean_entropy", mean_entropy, "[n]", 1)
    if known.shape != total.shape:
        raise ValueError(f"mean_entropy must be one number a row of probs ({len(total)}); got {list(known.shape)}")
    return (total - known).clamp_min(0)  # entropy is concave, so only rounding goes below


def model_variance(predictions: Tensor) -> float:
    """Model variance of the paper's section 4.2: how far models trained on other examples differ.

    The mean over images and outputs of the population variance over models (divisor: the number of models).

    What the printed formula leaves open, and what is done here:

    - The mean over masks stands inside the square, so masks are averaged first and their own scatter is not counted. Hand in
      one prediction a model: its mean over masks, or its scaled network. A mean over S masks still carries their Monte Carlo
      error, which adds (models - 1) / models times the mean variance over masks / S.
    - Whether ``o`` is logits or probabilities: section 3.2 says "output logits", section 3.1 takes the logarithm of ``o``. Both
      work here; they are on different scales, and a confident model has large logits, so say which.
    - Its inner sum runs over the 10 models; the average over the 10 outputs stands only in the words of section 3.2. Both are
      taken.
    - It divides by the 10 models and not by 9, which is too low by a tenth on average; multiply by models / (models - 1) for
      the unbiased one.

    Parameters
    ----------
    predictions
        ``[models, n, outputs]``.

    Returns
    -------
    float
        In squared units of the predictions; 0 for one model.

    Raises
    ------
    ValueError
        When there are not three dimensions or a prediction is not finite.
    """
    return _finite("predictions", predictions, "[models, n, outputs]", 3).var(0, correction=0).mean().item()


def mean_error(std: Tensor, n_samples: int) -> Tensor:
    """Monte Carlo standard error of a mean over masks: std / sqrt(n_samples).

    Parameters
    ----------
    std
        Standard deviation over masks, any shape: the sample's (ddof=1) or the exact one.
    n_samples
        Masks the mean was taken over, at least 1.

    Raises
    ------
    ValueError
        When ``n_samples`` is below 1.
    """
    return std / math.sqrt(_at_least_one(n_samples))


def share_error(share: Tensor, n_samples: int) -> Tensor:
    """Monte Carlo standard error of a share of masks, such as the votes for a class: sqrt(share (1 - share) / n_samples).

    It is 0 where all masks agreed, which n masks that agree do not prove: up to about 3 / n may still think otherwise.

    Parameters
    ----------
    share
        0 to 1, any shape.
    n_samples
        Masks counted, at least 1.

    Raises
    ------
    ValueError
        When ``n_samples`` is below 1.
    """
    return (share * (1 - share) / _at_least_one(n_samples)).sqrt()


def jackknife_error(samples: Tensor, statistic: Callable[[Tensor], float], groups: int | None = None) -> float:
    """Monte Carlo standard error of a smooth figure taken from masks: MSTD, or the Brier score of their mean.

    Not of an accuracy: right or wrong is a step, and leaving a few masks out seldom moves an image across it.

    Delete-a-group jackknife (Efron and Stein 1981): the figure is taken without one group of masks at a time, and
    error^2 = (G - 1) / G times the sum over groups of (figure without it - mean of those)^2. It covers what no formula
    for one logit does: images and outputs share masks, so their errors do not average away.

    Parameters
    ----------
    samples
        ``[masks, ...]``, independent draws along the first dimension.
    statistic
        Takes some of the samples ``[fewer masks, ...]``, gives a number.
    groups
        How many groups of equal size to leave out in turn, 2 or more, a divisor of the number of masks; None leaves out one
        mask at a time. Fewer are faster and make the error itself less certain, by about 1 / sqrt(2 (groups - 1)).

    Raises
    ------
    ValueError
        When ``groups`` is below 2 or does not divide the number of masks, or there is only one mask.
    """
    n = len(samples)
    groups = n if groups is None else groups
    if groups < 2 or n % groups:
        raise ValueError(f"groups must be 2 or more and divide the number of masks ({n}); got {groups}")
    size = n // groups
    without = torch.tensor(
        [statistic(torch.cat((samples[: g * size], samples[(g + 1) * size :]))) for g in range(groups)], dtype=torch.float64
    )
    return ((groups - 1) * without.var(correction=0)).sqrt().item()


def _at_least_one(n_samples: int) -> int:
    if n_samples < 1:
        raise ValueError(f"n_samples must be a whole number of at least 1; got {n_samples}")
    return n_samples
