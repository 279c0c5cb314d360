"""The work behind the Compress page, done once for all viewers: networks made smaller, timed, proven, and their curves."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from dropclust.findings.compressing import Answers, grid
from dropclust.findings.table3 import CONTROLS
from dropclust.service import files
from dropclust.ui import live, runs

if TYPE_CHECKING:
    from dropclust.core.compression import Choice, Compressed, Method
    from dropclust.core.network import Network
    from dropclust.service.stored import Stored

WIDE = 400  # units: work on wider layers takes seconds and much memory, so that it is done one piece at a time
AUTOMATIC = 200  # units: up to so many the curve is drawn without being asked for
PAIRS = 15  # passes of each network that are timed
TIMED_IMAGES = 2_000


@dataclass(frozen=True, eq=False)
class Source:
    """A network to make smaller, from the store or from a file; ``command`` is how a command line that shrinks it begins."""

    digest: str
    network: Network
    name: str
    command: str

    @classmethod
    def of(cls, network: Network, name: str, command: str) -> Source:
        """Name a network by the digest of its weights."""
        return cls(files.digest(network), network, name, command)


@st.cache_resource(show_spinner=False, max_entries=24)
def source_of(key: str, created: str, _stored: Stored) -> Source:
    """A stored run, ready to be made smaller; ``created`` tells it from another training of the same spec."""
    name = runs.label(_stored.spec)
    return Source.of(_stored.network(), name, f"{runs.command(_stored.spec)} && python -m dropclust compress net.safetensors ")


@st.cache_resource(show_spinner=False)
def _turn() -> threading.Lock:
    return threading.Lock()


@contextmanager
def _at_work(network: Network, layer: int) -> Iterator[None]:
    """Wide layers one after another, narrow ones at once: nobody with a small network waits for somebody with a large one."""
    live.one_thread()
    if network.hidden[layer - 1] <= WIDE:
        yield
        return
    with _turn():
        yield


def methods() -> Mapping[str, Method]:
    """The methods with what they do and where they come from; imports torch."""
    from dropclust.core.compression import METHODS

    return METHODS


@st.cache_resource(show_spinner="Merging neurons", max_entries=24)
def compressed(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> Compressed:
    """The network with one layer made smaller.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core.compression import compress

    with _at_work(_network, layer):
        return compress(_network, layer, units, method, seed)


@st.cache_data(show_spinner="Trying other numbers of units", max_entries=200)
def chosen(digest: str, layer: int, method: str, tolerance: float, seed: int, _network: Network) -> Choice:
    """The smallest number of units within a tolerance, in points, and all that were tried."""
    from dropclust.core.compression import choose_units

    with _at_work(_network, layer):
        numbers = grid(_network.hidden[layer - 1])
        return choose_units(_network, layer, method, tolerance / 100, seed, units_list=numbers)


@st.cache_data(show_spinner="Trying the controls", max_entries=200)
def controls_of(
    digest: str, layer: int, method: str, seed: int, widths: tuple[int, ...], _network: Network
) -> dict[str, dict[float, float]]:
    """Held-out accuracy of the controls, without the method itself, by units left: at the widths of what they control."""
    from dropclust.core.compression import side_by_side

    names = [name for name in CONTROLS if name != method]
    found: dict[str, dict[float, float]] = {name: {} for name in names}
    with _at_work(_network, layer):
        for (name, units), smaller in side_by_side(_network, layer, widths, names, seed).items():
            found[name][units] = smaller.accuracy
    return found


@st.cache_data(show_spinner="Looking for as many units", max_entries=200)
def clusters_for(digest: str, layer: int, units: int, seed: int, _network: Network) -> int:
    """Clusters of each clustering with which "agreement" leaves about so many units, and not fewer.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core.compression import side_by_side

    with _at_work(_network, layer):
        return side_by_side(_network, layer, [units], ["agreement"], seed)["agreement", units].units


@st.cache_resource(show_spinner="Classifying the test images", max_entries=32)
def answers(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> Answers:
    """What both networks say of the test images.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core import mnist
    from dropclust.core.prediction import scaled_logits

    data, small = mnist.load(), compressed(digest, layer, units, method, seed, _network).network
    before, after = (scaled_logits(network, data.test_x).softmax(1).cpu().numpy() for network in (_network, small))
    return Answers(before, after, data.test_y.numpy())


@st.cache_data(show_spinner="Timing both networks", max_entries=200)
def passes(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> list[tuple[float, float]]:
    """Seconds of a pass over 2,000 test images through the original and the smaller network, pair by pair."""
    from dropclust.core import mnist
    from dropclust.core.prediction import scaled_logits

    small = compressed(digest, layer, units, method, seed, _network).network
    x = mnist.load().test_x[:TIMED_IMAGES]
    return timed(lambda: scaled_logits(_network, x), lambda: scaled_logits(small, x))


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


@st.cache_data(show_spinner="Proving it", max_entries=200)
def proof(digest: str, layer: int, units: int, method: str, seed: int, _network: Network) -> dict[str, Any]:
    """What is written into the files of the smaller network.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from dropclust.core import mnist
    from dropclust.service.proof import compression_proof

    return compression_proof(_network, compressed(digest, layer, units, method, seed, _network), mnist.load())


@st.cache_data(show_spinner=False, max_entries=500)
def picture(image: int) -> bytes:
    """One test image as a PNG, white on black as MNIST has it.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    from PIL import Image

    from dropclust.core import mnist

    pixels = (mnist.load().test_x[image].reshape(28, 28) * 255).round().byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((280, 280), Image.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()
