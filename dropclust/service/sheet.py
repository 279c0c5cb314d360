"""The neurons of a layer as one small grey picture, ten in a row: what a browser gets about once a second."""

from __future__ import annotations

import io

import numpy as np

from dropclust.core.arrays import Floats, Ints
from dropclust.core.tiles import SHADES, shades_of

ACROSS = 10  # neurons side by side


def sheet(vectors: Floats) -> bytes:
    """All neurons of a layer as one picture, by their weights ``[h, d]``; see `written`."""
    return written(shades_of(vectors))


def written(shades: Ints, most: int = SHADES) -> bytes:
    """Pictures of few shades, a neuron each, as one picture.

    Parameters
    ----------
    shades
        ``[h, rows, columns]``, as `dropclust.core.tiles.shades_of` makes them.
    most
        The outermost shade, either way from 0.

    Returns
    -------
    bytes
        A lossless WebP: grey of 128 is 0, lighter is above it, 1 and 255 are the outermost shades.
    """
    from PIL import Image

    h, rows, columns = shades.shape
    page = np.full((-(-h // ACROSS) * ACROSS, rows, columns), 128, np.uint8)
    page[:h] = 128 + np.rint(shades * 127 / most)
    page = page.reshape(-1, ACROSS, rows, columns).transpose(0, 2, 1, 3).reshape(-1, ACROSS * columns)
    found = io.BytesIO()
    Image.fromarray(page).convert("RGB").save(found, "webp", lossless=True, method=1)
    return found.getvalue()


def levels(picture: bytes, h: int, rows: int, columns: int) -> Floats:
    """What `written` wrote: shades of h neurons ``[h, rows, columns]``, -1 to 1.

    Examples
    --------
    >>> shades = np.arange(-5, 5).reshape(5, 1, 2)
    >>> np.rint(5 * levels(written(shades), 5, 1, 2)).astype(int).ravel().tolist()
    [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4]
    """
    from PIL import Image

    page = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), np.float64)
    tiles = page.reshape(-1, rows, ACROSS, columns).transpose(0, 2, 1, 3).reshape(-1, rows, columns)
    return (tiles[:h] - 128) / 127
