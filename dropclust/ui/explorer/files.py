"""The explorer's data as small files: text packed, and a picture a rate; it knows no page."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

ACROSS = 10  # neurons side by side in a picture
SHADES = 7  # of a picture, each way from 0: more make it larger and look the same


def packed(part: Mapping[str, Any]) -> bytes:
    """Plain lists, numbers and text as compressed JSON; equal parts, equal bytes.

    Raises
    ------
    ValueError
        When a number is not finite, which JSON does not have.

    Examples
    --------
    >>> json.loads(gzip.decompress(packed({"k": 10})))
    {'k': 10}
    """
    return gzip.compress(json.dumps(part, separators=(",", ":"), allow_nan=False).encode(), compresslevel=9, mtime=0)


def picture(levels: npt.NDArray[np.uint8]) -> bytes:
    """All neurons of one rate as one grey picture, ten in a row, without loss but for its number of shades.

    Parameters
    ----------
    levels
        A neuron's weights, ``[h, rows, columns]``: 128 is 0, 255 and 1 are the largest either way.

    Returns
    -------
    bytes
        A WebP; grey of 128 is 0, and each weight is at most half a shade off.
    """
    from PIL import Image

    h, rows, columns = levels.shape
    sheet = np.full((-(-h // ACROSS) * ACROSS, rows, columns), 128, np.uint8)
    shades = np.rint((levels.astype(float) - 128) * SHADES / 127)
    sheet[:h] = 128 + np.rint(shades * 127 / SHADES)
    sheet = sheet.reshape(-1, ACROSS, rows, columns).transpose(0, 2, 1, 3).reshape(-1, ACROSS * columns)
    written = io.BytesIO()
    Image.fromarray(sheet).convert("RGB").save(written, "webp", lossless=True, method=2)
    return written.getvalue()
