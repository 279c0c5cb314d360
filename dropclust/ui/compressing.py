"""What the Compress page asks the workers for: networks made smaller, timed, proven, and their curves."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from dropclust.core.spec import OUTPUTS
from dropclust.core.uncertainty import Image
from dropclust.findings.compressing import Answers
from dropclust.service import files, runs
from dropclust.service.bounds import MIB, UPLOAD_BYTES
from dropclust.service.files.images import packed
from dropclust.service.plain import Plain
from dropclust.service.requests import Origin, Request
from dropclust.ui import live
from dropclust.ui.shared import shared

if TYPE_CHECKING:
    from dropclust.core.methods import Choice
    from dropclust.findings.reading_file import ReadFile
    from dropclust.service.files.scale import InputScale
    from dropclust.service.stored import Stored

AUTOMATIC = 200  # units: up to so many the curve is drawn without being asked for


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
        image: Image = self.levels[index].astype(np.float32) / np.float32(255)
        return image


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

    def request(self, function: str, arguments: dict[str, Any], label: str) -> Request:
        """A question about this network, on its images."""
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


@shared(most=24)
def source_of(key: str, created: str, _stored: Stored) -> Source:
    """A stored run, ready to be made smaller; ``created`` tells it from another training of the same spec."""
    begins = f"{runs.command(_stored.spec)} && python -m dropclust compress net.safetensors "
    network = Plain(_stored.weights, _stored.biases, _stored.spec)
    return Source(network, live.origin(key), runs.label(_stored.spec), begins)


def images_of(uploaded: Sequence[tuple[str, bytes]]) -> Images | None:
    """A viewer's pictures, from the names and contents of their files; None while a worker reads them.

    Raises
    ------
    ValueError
        One sentence, whatever is wrong with them.
    """
    size = sum(len(content) for _, content in uploaded)
    if size > (most := UPLOAD_BYTES.value()):
        raise ValueError(f"uploaded pictures must have at most {most // MIB:,} MiB; these have {size / MIB:,.1f}")
    content = packed(uploaded)
    stamp = hashlib.sha256(content).hexdigest()
    found = live.ask(Request("read_images", {}, (), "Reading the pictures", content, stamp))
    if found is None:
        return None
    name = uploaded[0][0] if len(uploaded) == 1 else f"{uploaded[0][0]} and {len(uploaded) - 1} files with it"
    return Images(name, content, stamp, **found)


def read(
    content: bytes,
    name: str,
    input_scale: str | None = None,
    activation: str | None = None,
    order: str | None = None,
    images: Images | None = None,
) -> tuple[Plain, ReadFile, InputScale] | None:
    """The network of an uploaded file, how it was read, and what it took; None while a worker reads it.

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
        One sentence, whatever is wrong with the file.
    """
    if len(content) > (most := UPLOAD_BYTES.value()):
        raise ValueError(f"an uploaded file must have at most {most // MIB:,} MiB; this one has {len(content) / MIB:,.1f}")
    files.check_name(name)
    arguments = {
        "name": name, "size": len(content), "input_scale": input_scale, "activation": activation, "order": order,
    }  # fmt: skip
    beside = b"" if images is None else images.content
    request = Request("read_file", arguments, (), "Reading the file", content + beside)
    found = cast("tuple[Plain, ReadFile, InputScale] | None", live.ask(request))
    if found is not None and images is None and (outputs := len(found[0].biases[-1])) != OUTPUTS:
        raise ValueError(
            f"{name[:60]!r} has {outputs} outputs, and this page proves on MNIST's {OUTPUTS} digits unless it is given other "
            "pictures, below; python -m dropclust compress takes them with --data FOLDER"
        )
    return found


def compressed(source: Source, layer: int, units: int, method: str, seed: int, height: int = 64) -> Smaller | None:
    """The network with one layer made smaller, and what is said and measured of it; None while it is waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    arguments = {
        "layer": layer, "units": units, "method": method, "seed": seed,
        "input_scale": "pixels" if source.input_scale is None else source.input_scale.name,
        "images": "MNIST" if source.images is None else source.images.name,
    }  # fmt: skip
    request = source.request("smaller", arguments, "Merging neurons, and proving it")
    found = live.ask(request, height, 0.3, last=True)
    return None if found is None else Smaller(request.key, **found)


def chosen(source: Source, layer: int, method: str, tolerance: float, seed: int, height: int = 64) -> Choice | None:
    """The smallest number of units within a tolerance, in points, and all that were tried; None while it is waited for."""
    arguments = {"layer": layer, "method": method, "tolerance": tolerance, "seed": seed}
    request = source.request("chosen_units", arguments, "Trying other numbers of units")
    return cast("Choice | None", live.ask(request, height, last=True))


def controls_of(
    source: Source, layer: int, method: str, seed: int, widths: tuple[int, ...], height: int = 64
) -> dict[str, dict[float, float]] | None:
    """Held-out accuracy of the controls, without the method itself, by units left; None while it is waited for."""
    arguments = {"layer": layer, "method": method, "seed": seed, "widths": widths}
    request = source.request("controls_of", arguments, "Trying the controls")
    return cast("dict[str, dict[float, float]] | None", live.ask(request, height, last=True))


def clusters_for(source: Source, layer: int, units: int, seed: int) -> int | None:
    """Clusters of each clustering with which "agreement" leaves about so many units, not fewer; None while it is waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    arguments = {"layer": layer, "units": units, "seed": seed}
    return cast("int | None", live.ask(source.request("clusters_for", arguments, "Looking for as many units")))


def picture(image: Image) -> bytes:
    """One test image as a PNG, white on black as MNIST has it."""
    from PIL import Image as Pillow

    pixels = (image.reshape(28, 28) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).resize((280, 280), Pillow.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()
