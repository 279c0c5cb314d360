"""What the Compress page asks the workers for and gets as one thing: pictures brought along, networks made smaller."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dropclust.core.uncertainty import Image
from dropclust.service import runs
from dropclust.service.compressing import Images, Smaller, Source, read_images
from dropclust.service.plain import Plain
from dropclust.service.shared import shared
from dropclust.ui import live

if TYPE_CHECKING:
    from dropclust.service.stored import Stored

AUTOMATIC = 200  # units: up to so many the curve is drawn without being asked for


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
    request = read_images(uploaded)
    found = live.ask(request)
    name = uploaded[0][0] if len(uploaded) == 1 else f"{uploaded[0][0]} and {len(uploaded) - 1} files with it"
    return None if found is None else Images(name, request.content, request.stamp, **found)


def compressed(source: Source, layer: int, units: int, method: str, seed: int, height: int = 64) -> Smaller | None:
    """The network with one layer made smaller, and what is said and measured of it; None while it is waited for.

    Raises
    ------
    FileNotFoundError
        When MNIST is not there.
    """
    request = source.smaller(layer, units, method, seed)
    found = live.ask(request, height, 0.3, last=True)
    return None if found is None else Smaller(request.key, **found)


def picture(image: Image) -> bytes:
    """One test image as a PNG, white on black as MNIST has it."""
    from PIL import Image as Pillow

    pixels = (image.reshape(28, 28) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).resize((280, 280), Pillow.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()
