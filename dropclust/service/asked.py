"""What pages ask the workers about one network or image: each question with its answer's type, and what is read meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dropclust.core.spec import RunSpec
from dropclust.core.uncertainty import Image
from dropclust.experiments.figure1 import SAMPLES
from dropclust.service.requests import Origin, Request

if TYPE_CHECKING:
    import pandas as pd

    from dropclust.core.clustering import Choice
    from dropclust.core.convergence import Settling
    from dropclust.core.similarity import ShuffledWeights, Similarity
    from dropclust.findings.network import Firing
    from dropclust.findings.reading import Answers
    from dropclust.findings.reliability import Reliability
    from dropclust.findings.series import Curves
    from dropclust.service.drawn import Grouping, Layer

IMAGES = 500  # test images that masks are tried on


def similarity(network: Origin, layer: int, k: int, bias: bool = False) -> Request[tuple[Similarity, list[bool]]]:
    """How far the two clusterings of a layer agree, and on which neurons."""
    return Request("similarity", {"layer": layer, "k": k, "bias": bias}, (network,), "Clustering")


def shuffled(network: Origin, layer: int, k: int, bias: bool) -> Request[ShuffledWeights]:
    """What agreement is left in a layer when each neuron's own weights are shuffled."""
    label = "Shuffling each neuron's weights and clustering again"
    return Request("shuffled", {"layer": layer, "k": k, "bias": bias}, (network,), label)


def choices(network: Origin, layer: int, candidates: Sequence[int]) -> Request[dict[str, Choice]]:
    """The number of clusters that each criterion prefers for a layer's incoming weights."""
    label = "Choosing the number of clusters in three ways"
    return Request("choices", {"layer": layer, "candidates": tuple(candidates)}, (network,), label)


def firing(network: Origin, layer: int, k: int, bias: bool) -> Request[Firing]:
    """What a layer's neurons do on the held-out images: the dead, twins, correlation within clusters."""
    return Request("firing", {"layer": layer, "k": k, "bias": bias}, (network,), "Looking which neurons fire together")


def neurons(networks: Sequence[Origin], layer: int, k: int) -> Request[pd.DataFrame]:
    """The clusters of a layer's neurons in several networks."""
    return Request("neurons", {"layer": layer, "k": k}, tuple(networks), "Laying out the neurons")


def drawing(networks: Sequence[Origin], layer: int, k: int) -> Request[tuple[Layer, Grouping]]:
    """What the explorer draws of a layer in several networks, one a rate."""
    return Request("drawing", {"layer": layer, "k": k}, tuple(networks), "Laying out the neurons")


def images_for(hidden: Sequence[int]) -> int:
    """How many test images a network is tried on: fewer for a wide one, so that all take seconds."""
    products = hidden[0] * hidden[1] + hidden[1] * hidden[2] + hidden[2] * 10
    return min(IMAGES, max(20, 4 * IMAGES * 21_000 // products))  # 21,000: those of three layers of a hundred


def settling(network: Origin, spec: RunSpec, rates: tuple[float, ...]) -> Request[Settling]:
    """How a run's predictions settle with the number of masks at these rates."""
    arguments = {"images": images_for(spec.hidden), "rates": rates, "noise": spec.noise}
    return Request("settling", arguments, (network,), "Drawing masks, a thousand and more")


def confidence(network: Origin, spec: RunSpec, rates: tuple[float, ...]) -> Request[Reliability]:
    """The reliability diagram of a run: scaled, and with masks at the rates the two means of their probabilities."""
    arguments = {"images": 20 * images_for(spec.hidden), "rates": rates, "n_samples": SAMPLES}
    return Request("confidence", arguments, (network,), f"Predicting all test images with {SAMPLES} masks")


def test_images() -> Request[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], tuple[int, ...]]]:
    """MNIST's test images: their levels, their digits, and the index of a typical one of each."""
    return Request("test_images", {}, label="Fetching the test images")


def hard_images(network: Origin, n: int, rate: float | None) -> Request[tuple[int, ...]]:
    """The places of the test images about which the masks disagree most."""
    label = "Looking for the test images about which the masks disagree most"
    return Request("hard_images", {"n": n, "rate": rate}, (network,), label)


def reading(network: Origin, image: Image, n_samples: int, rate: float | None) -> Request[Answers]:
    """What a network and its masks say of one image; ``rate`` is that of the masks, None for the network's own."""
    arguments = {"n_samples": n_samples, "rate": rate}
    return Request("reading", arguments, (network,), "Classifying it", np.asarray(image, np.float32).tobytes())


def turning(
    network: Origin, way: npt.NDArray[np.float32], digits: tuple[int, int], n_samples: int, rate: float | None
) -> Request[Curves]:
    """How the answer turns along the ``way`` from one digit to another, images float32 ``[n, 784]``."""
    arguments = {"digits": digits, "n_samples": n_samples, "rate": rate}
    return Request("turning", arguments, (network,), "Classifying the way", way.tobytes())
