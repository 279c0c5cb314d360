"""A network that is to be made smaller, and what the workers are asked for it; files that viewers bring for that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dropclust.core.spec import OUTPUTS
from dropclust.core.uncertainty import Image
from dropclust.findings.compressing import Answers
from dropclust.findings.reading import pixels
from dropclust.service import files
from dropclust.service.bounds import MIB, UPLOAD_BYTES
from dropclust.service.files.images import packed
from dropclust.service.plain import Plain
from dropclust.service.requests import Origin, Request

if TYPE_CHECKING:
    from dropclust.core.methods import Choice
    from dropclust.findings.reading_file import ReadFile
    from dropclust.service.files.scale import InputScale


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures of the viewer's own, to choose and to prove on.

    ``content`` are their files (`dropclust.service.files.images.packed`), told from others by ``stamp``; ``levels`` uint8
    ``[n, 784]`` and ``labels`` ``[n]`` of the first test images; ``train``, ``held_out`` and ``test`` say how many there are.
    """

    name: str
    content: bytes
    stamp: str
    train: int
    held_out: int
    test: int
    classes: int
    levels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def pixels(self, index: int) -> Image:
        """One test image, float32 ``[784]`` in [0, 1]."""
        return pixels(self.levels[index])


@dataclass(frozen=True, eq=False)
class Source:
    """A network to make smaller, from the store or from a file.

    ``command`` is how a command line that shrinks it begins; ``input_scale`` is what it took before it was read, None where
    that is pixels from 0 to 1; ``images`` are what is chosen and proved on, None for MNIST's.
    """

    network: Plain
    origin: Origin
    name: str
    command: str
    input_scale: InputScale | None = None
    images: Images | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of its weights."""
        return self.network.digest

    @classmethod
    def of(cls, network: Plain, name: str, command: str, input_scale: InputScale | None = None) -> Source:
        """A network that is in no store."""
        return cls(network, Origin.brought(network), name, command, input_scale)

    def smaller(self, layer: int, units: int, method: str, seed: int) -> Request[dict[str, Any]]:
        """One layer made smaller, proved and timed: the fields of `Smaller`."""
        arguments = {
            "layer": layer, "units": units, "method": method, "seed": seed,
            "input_scale": "pixels" if self.input_scale is None else self.input_scale.name,
            "images": "MNIST" if self.images is None else self.images.name,
        }  # fmt: skip
        return self._request("smaller", arguments, "Merging neurons, and proving it")

    def chosen_units(self, layer: int, method: str, tolerance: float, seed: int) -> Request[Choice]:
        """The smallest number of units within a tolerance, in points, and all that were tried."""
        arguments = {"layer": layer, "method": method, "tolerance": tolerance, "seed": seed}
        return self._request("chosen_units", arguments, "Trying other numbers of units")

    def controls_of(
        self, layer: int, method: str, seed: int, widths: tuple[int, ...]
    ) -> Request[dict[str, dict[float, float]]]:
        """Held-out accuracy of the controls, without the method itself, by units left."""
        arguments = {"layer": layer, "method": method, "seed": seed, "widths": widths}
        return self._request("controls_of", arguments, "Trying the controls")

    def clusters_for(self, layer: int, units: int, seed: int) -> Request[int]:
        """Clusters of each clustering with which "agreement" leaves about so many units, not fewer."""
        return self._request("clusters_for", {"layer": layer, "units": units, "seed": seed}, "Looking for as many units")

    def _request(self, function: str, arguments: dict[str, Any], label: str) -> Request[Any]:
        if self.images is None:
            return Request(function, arguments, (self.origin,), label)
        return Request(function, arguments, (self.origin,), label, self.images.content, self.images.stamp)


@dataclass(frozen=True, eq=False)
class Smaller:
    """A network with one layer made smaller, as `dropclust.service.work.smaller` answers; ``key`` is the request's."""

    key: str
    network: Plain
    labels: npt.NDArray[np.int64]
    proof: Mapping[str, Any]
    answers: Answers
    times: list[tuple[float, float]]
    timed_images: int


def read_images(uploaded: Sequence[tuple[str, bytes]]) -> Request[dict[str, Any]]:
    """A viewer's pictures, from the names and contents of their files: what `Images` holds of them besides name and content.

    Raises
    ------
    ValueError
        One sentence, when they are too large or cannot be told apart.
    """
    size = sum(len(content) for _, content in uploaded)
    if size > (most := UPLOAD_BYTES.value()):
        raise ValueError(f"uploaded pictures must have at most {most // MIB:,} MiB; these have {size / MIB:,.1f}")
    content = packed(uploaded)
    return Request("read_images", {}, (), "Reading the pictures", content, hashlib.sha256(content).hexdigest())


def read_file(
    content: bytes,
    name: str,
    input_scale: str | None = None,
    activation: str | None = None,
    order: str | None = None,
    images: Images | None = None,
) -> Request[tuple[Plain, ReadFile, InputScale]]:
    """The network of an uploaded file, how it was read, and what it took.

    Parameters
    ----------
    content, name
        The file.
    input_scale, activation, order
        What the viewer says of it; None where the file, or a look at held-out images, is to tell.
    images
        What to look at; None for MNIST's.

    Raises
    ------
    ValueError
        One sentence, when the file is too large, or its name none that can be read.
    """
    if len(content) > (most := UPLOAD_BYTES.value()):
        raise ValueError(f"an uploaded file must have at most {most // MIB:,} MiB; this one has {len(content) / MIB:,.1f}")
    files.check_name(name)
    arguments = {
        "name": name, "size": len(content), "input_scale": input_scale, "activation": activation, "order": order,
    }  # fmt: skip
    return Request("read_file", arguments, (), "Reading the file", content + (b"" if images is None else images.content))


def check_outputs(network: Plain, name: str, images: Images | None) -> None:
    """Raise `ValueError`, with one sentence, for a file's network that does not tell as many classes as the images have."""
    outputs = len(network.biases[-1])
    if images is not None and outputs != images.classes:
        raise ValueError(f"{name[:60]!r} has {outputs} outputs and your pictures {images.classes} labels")
    if images is None and outputs != OUTPUTS:
        raise ValueError(
            f"{name[:60]!r} has {outputs} outputs, and this page proves on MNIST's {OUTPUTS} digits unless it is given other "
            "pictures, below; python -m dropclust compress takes them with --data FOLDER"
        )
