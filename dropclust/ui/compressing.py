"""What the Compress page asks the workers for: networks made smaller, timed, proven, and their curves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import streamlit as st

from dropclust.core.spec import OUTPUTS
from dropclust.core.uncertainty import Image
from dropclust.findings.compressing import Answers
from dropclust.service import files, runs
from dropclust.service.bounds import MIB, UPLOAD_BYTES
from dropclust.service.plain import Plain
from dropclust.service.requests import Origin, Request
from dropclust.ui import live

if TYPE_CHECKING:
    from dropclust.core.methods import Choice
    from dropclust.findings.reading_file import ReadFile
    from dropclust.service.stored import Stored

AUTOMATIC = 200  # units: up to so many the curve is drawn without being asked for


@dataclass(frozen=True, eq=False)
class Source:
    """A network to make smaller, from the store or from a file.

    ``command`` is how a command line that shrinks it begins; ``input_scale`` is what it took before it was read.
    """

    network: Plain
    origin: Origin
    name: str
    command: str
    input_scale: str = "pixels"

    @property
    def digest(self) -> str:
        """SHA-256 of its weights."""
        return self.network.digest

    @classmethod
    def of(cls, network: Plain, name: str, command: str, input_scale: str = "pixels") -> Source:
        """A network that is in no store."""
        return cls(network, Origin.brought(network), name, command, input_scale)


@dataclass(frozen=True, eq=False)
class Smaller:
    """A network with one layer made smaller, as `dropclust.service.work.smaller` answers."""

    network: Plain
    labels: npt.NDArray[np.int64]
    proof: Mapping[str, Any]
    answers: Answers
    times: list[tuple[float, float]]


@st.cache_resource(show_spinner=False, max_entries=24)
def source_of(key: str, created: str, _stored: Stored) -> Source:
    """A stored run, ready to be made smaller; ``created`` tells it from another training of the same spec."""
    begins = f"{runs.command(_stored.spec)} && python -m dropclust compress net.safetensors "
    network = Plain(_stored.weights, _stored.biases, _stored.spec)
    return Source(network, live.origin(key), runs.label(_stored.spec), begins)


def read(
    content: bytes, name: str, input_scale: str | None = None, activation: str | None = None
) -> tuple[Plain, ReadFile] | None:
    """The network of an uploaded file, and how it was read; None while a worker reads it.

    Parameters
    ----------
    content, name
        The file.
    input_scale, activation
        What the viewer says of it; None where the file, or a look at held-out images, is to tell.

    Raises
    ------
    ValueError
        One sentence, whatever is wrong with the file.
    """
    if len(content) > (most := UPLOAD_BYTES.value()):
        raise ValueError(f"an uploaded file must have at most {most // MIB:,} MiB; this one has {len(content) / MIB:,.1f}")
    files.check_name(name)
    arguments = {"name": name, "input_scale": input_scale, "activation": activation}
    found = cast("tuple[Plain, ReadFile] | None", live.ask(Request("read_file", arguments, (), "Reading the file", content)))
    if found is not None and (outputs := len(found[0].biases[-1])) != OUTPUTS:
        raise ValueError(
            f"{name[:60]!r} has {outputs} outputs, and this page proves on MNIST's {OUTPUTS} digits; "
            "python -m dropclust compress takes other pictures with --data FOLDER"
        )
    return found


def compressed(source: Source, layer: int, units: int, method: str, seed: int) -> Smaller | None:
    """The network with one layer made smaller, and what is said and measured of it; None while it is waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    arguments = {"layer": layer, "units": units, "method": method, "seed": seed, "input_scale": source.input_scale}
    found = live.ask(Request("smaller", arguments, (source.origin,), "Merging neurons, and proving it"), 1_000, 0.3)
    return None if found is None else Smaller(**found)


def chosen(source: Source, layer: int, method: str, tolerance: float, seed: int) -> Choice | None:
    """The smallest number of units within a tolerance, in points, and all that were tried; None while it is waited for."""
    arguments = {"layer": layer, "method": method, "tolerance": tolerance, "seed": seed}
    request = Request("chosen_units", arguments, (source.origin,), "Trying other numbers of units")
    return cast("Choice | None", live.ask(request, 100))


def controls_of(
    source: Source, layer: int, method: str, seed: int, widths: tuple[int, ...]
) -> dict[str, dict[float, float]] | None:
    """Held-out accuracy of the controls, without the method itself, by units left; None while it is waited for."""
    arguments = {"layer": layer, "method": method, "seed": seed, "widths": widths}
    request = Request("controls_of", arguments, (source.origin,), "Trying the controls")
    return cast("dict[str, dict[float, float]] | None", live.ask(request, 440))


def clusters_for(source: Source, layer: int, units: int, seed: int) -> int | None:
    """Clusters of each clustering with which "agreement" leaves about so many units, not fewer; None while it is waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    arguments = {"layer": layer, "units": units, "seed": seed}
    request = Request("clusters_for", arguments, (source.origin,), "Looking for as many units")
    return cast("int | None", live.ask(request))


def picture(image: Image) -> bytes:
    """One test image as a PNG, white on black as MNIST has it."""
    from PIL import Image as Pillow

    pixels = (image.reshape(28, 28) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).resize((280, 280), Pillow.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()
