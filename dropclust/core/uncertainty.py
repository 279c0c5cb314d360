"""How sure a network is of an image, and with what right: its masks' answers and doubt, its confidence against its accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dropclust.core.intervals import Interval, share_interval
from dropclust.core.spec import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from torch import Tensor

    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

Image = npt.NDArray[np.float32]

MASKS = 200  # the paper's
HARD_MASKS = 100  # for each of all test images
MIXES = tuple(round(0.05 * step, 2) for step in range(21))


# ---- images under the masks of a network ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a network says of one image; a row of numbers has one a class.

    Parameters
    ----------
    scaled
        Probabilities of the scaled network.
    geometric, mean
        Renormalised geometric mean (paper section 3.1) and arithmetic mean of the masks' probabilities.
    votes, votes_error
        Share of masks whose answer it is, and its Monte Carlo standard error.
    entropy
        Of ``mean``, in nats: all the doubt there is.
    mutual_information
        The part of it that is there because masks disagree, in nats (`dropclust.core.metrics.mutual_information`).
    n_samples
        How many masks.
    """

    scaled: tuple[float, ...]
    geometric: tuple[float, ...]
    mean: tuple[float, ...]
    votes: tuple[float, ...]
    votes_error: tuple[float, ...]
    entropy: float
    mutual_information: float
    n_samples: int


def read_images(
    network: Network,
    images: Sequence[npt.ArrayLike | None],
    n_samples: int = MASKS,
    dropout: Sequence[float] | float | None = None,
    seed: int = 0,
) -> list[Reading]:
    """Classify images in every way, with the same masks for all.

    Parameters
    ----------
    network
        The trained network; its own noise, Bernoulli for one from elsewhere.
    images
        Each 784 numbers in [0, 1], ink is 1; None, an empty canvas, is refused.
    n_samples, dropout, seed
        As `dropclust.core.prediction.sample` takes them.

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    import torch

    from dropclust.core import metrics
    from dropclust.core.prediction import sample, scaled_logits

    x = torch.from_numpy(np.stack([_checked(image) for image in images]))
    sampled = sample(network, x, n_samples, seed, dropout)
    classes: list[Tensor] = [  # [n, 10] each
        scaled_logits(network, x).softmax(1),
        sampled.log_probs.exp(),
        sampled.mean_probs,
        sampled.votes,
        metrics.share_error(sampled.votes.double(), n_samples),
    ]
    entropy = metrics.predictive_entropy(sampled.mean_probs.double()).tolist()
    information = metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy).tolist()
    readings = []
    for at in range(len(x)):
        scaled, geometric, mean, votes, error = (tuple(values[at].double().tolist()) for values in classes)
        readings.append(Reading(scaled, geometric, mean, votes, error, entropy[at], information[at], n_samples))
    return readings


def _checked(image: npt.ArrayLike | None) -> Image:
    if image is None:
        raise ValueError(f"image must be {INPUTS} numbers from 0 to 1; got an empty canvas")
    try:
        values = np.asarray(image, dtype=np.float32)
    except (TypeError, ValueError):
        values = np.empty(0, np.float32)
    if values.shape != (INPUTS,) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"image must be {INPUTS} numbers from 0 to 1; got an array {list(values.shape)} or other numbers")
    return values


def hard_images(network: Network, data: Data, n: int, dropout: Sequence[float] | float | None = None) -> tuple[int, ...]:
    """Test images about which a network's masks disagree most: indices by mutual information, the greatest first.

    Parameters
    ----------
    network
        The trained network.
    data
        MNIST.
    n
        How many.
    dropout
        As `dropclust.core.prediction.sample` takes it.

    Raises
    ------
    ValueError
        As `dropclust.core.prediction.sample`.
    """
    from dropclust.core import metrics
    from dropclust.core.prediction import sample

    sampled = sample(network, data.test_x, HARD_MASKS, dropout=dropout)
    information = metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy)
    return tuple(information.argsort(descending=True, stable=True)[:n].tolist())


def typical_images(data: Data) -> tuple[int, ...]:
    """For each digit the index of the test image that is nearest to the mean of its class."""
    nearest = []
    for digit in range(OUTPUTS):
        members = (data.test_y == digit).nonzero().flatten()
        images = data.test_x[members]
        nearest.append(int(members[(images - images.mean(0)).square().sum(1).argmin()]))
    return tuple(nearest)


def mixed(first: Image, second: Image, share: float) -> Image:
    """An image ``[784]`` that is ``share`` of the way from the first to the second, pixel by pixel.

    Examples
    --------
    >>> mixed(np.array([0.0, 1.0], np.float32), np.array([1.0, 1.0], np.float32), 0.25).tolist()
    [0.25, 1.0]
    """
    image: Image = ((1 - share) * first + share * second).astype(np.float32)
    return image.clip(0, 1)


# ---- confidence against accuracy -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """The images on which a prediction's confidence, its largest probability, lies above ``low`` and at most at ``high``.

    ``accuracy`` is the share of them that are classified correctly, with its 95 % Wilson interval.
    """

    prediction: str
    low: float
    high: float
    images: int
    confidence: float
    accuracy: Interval


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram of several ways to predict: the bins that hold images, and each way's calibration error, 0 to 1."""

    bins: tuple[Bin, ...]
    errors: Mapping[str, float]
    images: int

    def of(self, prediction: str) -> tuple[Bin, ...]:
        """The bins of one way to predict."""
        return tuple(one for one in self.bins if one.prediction == prediction)


def calibration(predictions: Mapping[str, Tensor], y: Tensor) -> Calibration:
    """Bins of confidence and the expected calibration error of several ways to predict (Guo et al. 2017).

    Parameters
    ----------
    predictions
        Probabilities ``[n, classes]`` by the name of the way to predict.
    y
        True classes, whole numbers ``[n]``.

    Raises
    ------
    ValueError
        As `dropclust.core.metrics.reliability`.
    """
    from dropclust.core import metrics

    bins, errors = [], {}
    for name, probs in predictions.items():
        diagram = metrics.reliability(probs, y)
        errors[name] = diagram.expected_calibration_error
        edges, counts = diagram.edges.tolist(), diagram.count.tolist()
        rows = zip(edges[:-1], edges[1:], counts, diagram.confidence.tolist(), diagram.accuracy.tolist(), strict=True)
        bins += [
            Bin(name, low, high, n, confidence, share_interval(round(accuracy * n), n))
            for low, high, n, confidence, accuracy in rows
            if n
        ]
    return Calibration(tuple(bins), errors, len(y))
