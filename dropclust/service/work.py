"""What the workers do for pages: the one list of functions that may be asked for, and how one is run and answered.

The app imports this file to name `perform` to Dask, so it loads no torch until a function runs. Answers are plain data: numpy
arrays, and dataclasses of modules that import no torch, for the app has to unpickle them.
"""

from __future__ import annotations

import os
import pickle
import time
import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dropclust.service.plain import Plain
from dropclust.service.requests import Origin
from dropclust.service.worker import sentence

if TYPE_CHECKING:
    import pandas as pd

    from dropclust.core.clustering import Choice as ChosenClusters
    from dropclust.core.convergence import Settling
    from dropclust.core.methods import Choice
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network
    from dropclust.core.similarity import ShuffledWeights, Similarity
    from dropclust.findings.compressing import Answers as BothAnswers
    from dropclust.findings.network import Firing
    from dropclust.findings.reading import Answers
    from dropclust.findings.reading_file import ReadFile
    from dropclust.findings.reliability import Reliability
    from dropclust.findings.series import Curves
    from dropclust.service.drawn import Grouping, Layer
    from dropclust.service.files.scale import InputScale

Rates = float | Sequence[float] | None

OPENED = 8  # networks that a worker keeps open
PAIRS = 15  # passes of each network that are timed
TIMED_IMAGES = 2_000
SHOWN_IMAGES = 10_000  # of a viewer's pictures, that a page may show


def perform(
    function: str, arguments: dict[str, Any], networks: tuple[Origin, ...], content: bytes, attempt: str, topic: str
) -> dict[str, Any]:
    """Answer one request; a Dask task.

    Parameters
    ----------
    function, arguments, networks, content
        As in `dropclust.service.requests.Request`.
    attempt, topic
        What it is called on the Dask topic on which it tells where it runs; "" tells nothing.

    Returns
    -------
    dict
        ``answer``, and ``bytes``, its size; where it cannot be answered ``error``, the kind, and ``message``, one sentence.
    """
    if topic:
        from distributed import get_worker

        here = get_worker()
        here.log_event(topic, {"attempt": attempt, "address": here.address, "pid": os.getpid()})
    try:
        answer = FUNCTIONS[function](*map(_opened, networks), **arguments, **({"content": content} if content else {}))
    except Exception as error:
        kind = next((known for known in (FileNotFoundError, LookupError, ValueError) if isinstance(error, known)), Exception)
        if kind is Exception or isinstance(error, KeyError):
            kind = Exception
            traceback.print_exc()  # the whole story, in the worker's own log
        return {"error": kind.__name__, "message": str(error) if kind is LookupError else sentence(error)}
    return {"answer": answer, "bytes": len(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))}


@lru_cache(maxsize=OPENED)
def _opened(origin: Origin) -> Network:
    return origin.read().network()


def _images(content: bytes) -> list[npt.NDArray[np.float32]]:
    """Images float32 ``[n, 784]`` from their bytes."""
    return list(np.frombuffer(content, np.float32).reshape(-1, 784))


# ---- images


def test_images() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], tuple[int, ...]]:
    """MNIST's test images: levels uint8 ``[n, 784]``, classes uint8 ``[n]``, and the index of a typical one of each class."""
    from dropclust.core import mnist, uncertainty

    data = mnist.load()
    levels = (data.test_x * mnist.LEVELS).round().byte().numpy()
    return levels, data.test_y.byte().numpy(), uncertainty.typical_images(data)


def hard_images(network: Network, n: int, rate: Rates) -> tuple[int, ...]:
    """The test images about which the masks disagree most (`dropclust.core.uncertainty.hard_images`)."""
    from dropclust.core import mnist, uncertainty

    return uncertainty.hard_images(network, mnist.load(), n, rate)


def reading(network: Network, n_samples: int, rate: Rates, content: bytes) -> Answers:
    """What a network and its masks say of one image."""
    from dropclust.core import uncertainty
    from dropclust.findings.reading import answers

    return answers(*uncertainty.read_images(network, _images(content), n_samples, rate))


def turning(network: Network, digits: Sequence[int], n_samples: int, rate: Rates, content: bytes) -> Curves:
    """How the answer turns on the way between two digits, image by image."""
    from dropclust.core import uncertainty
    from dropclust.findings.reading import turning as curves

    start, to = digits
    return curves(uncertainty.read_images(network, _images(content), n_samples, rate), (start, to))


# ---- neurons


def similarity(network: Network, layer: int, k: int, bias: bool) -> tuple[Similarity, list[bool]]:
    """How far the two clusterings of a layer agree, and on which neurons."""
    from dropclust.core.similarity import agreement, neuron_similarity

    found = neuron_similarity(network, layer, k, bias=bias)
    return found, agreement(found.incoming_labels, found.outgoing_labels).tolist()


def shuffled(network: Network, layer: int, k: int, bias: bool) -> ShuffledWeights:
    """What agreement is left when each neuron's own weights are shuffled."""
    from dropclust.core.clustering import incoming, outgoing
    from dropclust.core.similarity import shuffled_weights_similarity

    vectors = incoming(network.weights, network.biases, layer, bias), outgoing(network.weights, layer)
    return shuffled_weights_similarity(*vectors, k)


def choices(network: Network, layer: int, candidates: Sequence[int]) -> dict[str, ChosenClusters]:
    """The number of clusters of incoming weights that each criterion prefers."""
    from dropclust.core.clustering import choose_k, incoming

    vectors = incoming(network.weights, network.biases, layer)
    names = {"held-out vectors": "held_out", "Calinski-Harabasz": "calinski_harabasz", "BIC": "bic"}
    return {name: choose_k(vectors, tuple(candidates), method) for name, method in names.items()}


def firing(network: Network, layer: int, k: int, bias: bool) -> Firing:
    """What a layer's neurons do on the held-out images: the dead, twins, correlation within clusters."""
    from dropclust.core import mnist
    from dropclust.core.clustering import cluster, incoming
    from dropclust.core.prediction import hidden_activations
    from dropclust.core.receptive import exciting
    from dropclust.core.twins import activation_correlation, nearest_cosine, twins_of
    from dropclust.findings.network import Firing

    images = mnist.load().held_x
    activations = hidden_activations(network, images)[layer - 1].numpy()
    vectors, twins = incoming(network.weights, network.biases, layer, bias), twins_of(activations)
    within, across = activation_correlation(activations, cluster(vectors, k))
    cosine = nearest_cosine(vectors[~twins.dead]) if twins.living else float("nan")
    return Firing(
        int(twins.dead.sum()), len(twins.dead), within, across, twins.number, cosine,
        tuple(np.flatnonzero(twins.dead).tolist()), exciting(activations, images.numpy()),
    )  # fmt: skip


def neurons(*networks: Network, layer: int, k: int) -> pd.DataFrame:
    """Clusters and twins of a layer's neurons in several networks (`dropclust.experiments.table2.neurons`)."""
    import pandas as pd

    from dropclust.core import mnist
    from dropclust.experiments import table2

    return pd.concat([table2.neurons(network, mnist.load(), layer, k) for network in networks], ignore_index=True)


def drawing(*networks: Network, layer: int, k: int) -> tuple[Layer, Grouping]:
    """What the explorer draws of a layer in several networks, one a rate (`dropclust.service.drawn.draw`)."""
    from dropclust.core.receptive import held_out
    from dropclust.experiments.experiment import spec_of
    from dropclust.service import drawn

    by_rate = {spec_of(network).dropout[layer - 1]: network for network in networks}
    looks = {rate: drawn.look(network, layer, held_out()) for rate, network in by_rate.items()}
    return drawn.draw(neurons(*networks, layer=layer, k=k), by_rate, looks, layer, k)


# ---- masks


def settling(network: Network, images: int, rates: Sequence[float], noise: str) -> Settling:
    """How predictions of the first test images settle with the number of masks."""
    from dropclust.core import mnist
    from dropclust.core.convergence import settle

    data = mnist.load()
    return settle(network, data.test_x[:images], data.test_y[:images], rates, noise)


def confidence(network: Network, images: int, rates: Sequence[float], n_samples: int) -> Reliability:
    """The reliability diagram: scaled, and with masks at the rates the two means of their probabilities."""
    from dropclust.core import mnist
    from dropclust.core.prediction import sample, scaled_logits
    from dropclust.core.uncertainty import calibration
    from dropclust.findings.reliability import PREDICTIONS, reliability

    data = mnist.load()
    x, y = data.test_x[:images], data.test_y[:images]
    probs = [scaled_logits(network, x).softmax(1)]
    if any(rates):
        sampled = sample(network, x, n_samples, dropout=rates)
        probs += [sampled.log_probs.exp(), sampled.mean_probs]
    return reliability(calibration(dict(zip(PREDICTIONS, probs, strict=False)), y))


# ---- smaller networks: of MNIST, or of the pictures that `dropclust.service.files.images.packed` made ``content`` of


def _data(content: bytes) -> Data:
    from dropclust.core import mnist
    from dropclust.service.files import images

    return images.opened(content) if content else mnist.load()


def read_images(content: bytes) -> dict[str, Any]:
    """What a viewer's pictures are: ``train``, ``held_out``, ``test``: how many; ``classes``; the first test images.

    Those as `SHOWN_IMAGES` levels uint8 ``[n, 784]`` and labels int64 ``[n]``.
    """
    from dropclust.core.mnist import LEVELS

    data = _data(content)
    return {
        "train": len(data.train),
        "held_out": len(data.held),
        "test": len(data.test),
        "classes": data.classes,
        "levels": (data.test_x[:SHOWN_IMAGES] * LEVELS).round().byte().numpy(),
        "labels": data.test_y[:SHOWN_IMAGES].numpy(),
    }


def read_file(
    name: str, size: int, input_scale: str | None = None, activation: str | None = None, order: str | None = None,
    content: bytes = b"",
) -> tuple[Plain, ReadFile, InputScale]:  # fmt: skip
    """The network of an uploaded file, how it was read, and what it took; None where the file, or a look, is to tell.

    The file is the first ``size`` bytes of ``content``; pictures other than MNIST's may follow.
    """
    from dropclust.findings.reading_file import read_file as said
    from dropclust.service import files

    data = _data(content[size:]) if len(content) > size else None
    reading = files.read_bytes(content[:size], name, files.Choices(input_scale, activation, order), data)
    return Plain.of(reading.network), said(reading.report()), reading.input_scale


def smaller(
    network: Network, layer: int, units: int, method: str, seed: int, input_scale: str = "pixels", images: str = "MNIST",
    content: bytes = b"",
) -> dict[str, Any]:  # fmt: skip
    """A network with one layer made smaller; for the proof ``input_scale``, what it took before it was read, and ``images``.

    ``network`` (`Plain`), ``labels`` int64 ``[h]``, ``proof`` (`dropclust.service.proof`), ``answers`` of both to the test
    images, ``times``: seconds of a pass over ``timed_images`` images through both, pair by pair.
    """
    from dropclust.core.compression import compress
    from dropclust.core.prediction import scaled_logits
    from dropclust.service.proof import compression_proof

    data = _data(content)
    made = compress(network, layer, units, method, seed, data)
    x = data.test_x[:TIMED_IMAGES]
    return {
        "network": Plain.of(made.network),
        "labels": made.labels.numpy(),
        "proof": compression_proof(network, made, data, input_scale, images),
        "answers": both_answers(network, made.network, data),
        "times": timed(lambda: scaled_logits(network, x), lambda: scaled_logits(made.network, x)),
        "timed_images": len(x),
    }


def both_answers(before: Network, after: Network, data: Data) -> BothAnswers:
    """What two networks say of the test images."""
    from dropclust.core.prediction import scaled_logits
    from dropclust.findings.compressing import Answers

    first, second = (scaled_logits(network, data.test_x).softmax(1).cpu().numpy() for network in (before, after))
    return Answers.of(first, second, data.test_y.numpy())


def timed(first: Callable[[], object], second: Callable[[], object], pairs: int = PAIRS) -> list[tuple[float, float]]:
    """Seconds of both, pair by pair; who goes first takes turns, and a first pair to warm up is left out."""

    def seconds(call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    found = []
    for pair in range(pairs + 1):
        if pair % 2:
            b, a = seconds(second), seconds(first)
        else:
            a, b = seconds(first), seconds(second)
        found.append((a, b))
    return found[1:]


def chosen_units(network: Network, layer: int, method: str, tolerance: float, seed: int, content: bytes = b"") -> Choice:
    """The smallest number of units within a tolerance, in points, and all that were tried."""
    from dropclust.core.compression import choose_units
    from dropclust.findings.compressing import grid

    tried = grid(network.hidden[layer - 1])
    return choose_units(network, layer, method, tolerance / 100, seed, _data(content), units_list=tried)


def controls_of(
    network: Network, layer: int, method: str, seed: int, widths: Sequence[int], content: bytes = b""
) -> dict[str, dict[float, float]]:
    """Held-out accuracy of the controls, without the method itself, by units left: at the widths of what they control."""
    from dropclust.core.compression import side_by_side
    from dropclust.findings.table3 import CONTROLS

    names = [name for name in CONTROLS if name != method]
    found: dict[str, dict[float, float]] = {name: {} for name in names}
    for (name, units), made in side_by_side(network, layer, widths, names, seed, _data(content)).items():
        found[name][units] = made.accuracy
    return found


def clusters_for(network: Network, layer: int, units: int, seed: int, content: bytes = b"") -> int:
    """Clusters of each clustering with which "agreement" leaves about so many units, and not fewer."""
    from dropclust.core.compression import side_by_side

    return side_by_side(network, layer, [units], ["agreement"], seed, _data(content))["agreement", units].units


FUNCTIONS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            test_images,
            hard_images,
            reading,
            turning,
            similarity,
            shuffled,
            choices,
            firing,
            neurons,
            drawing,
            settling,
            confidence,
            read_images,
            read_file,
            smaller,
            chosen_units,
            controls_of,
            clusters_for,
        )
    }
)
