"""The neurons of a layer as one small grey picture, ten in a row: what a browser gets about once a second."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

ACROSS = 10  # neurons side by side
SHADES = 5  # each way from 0: more make the picture larger and look the same
SIDE = 28  # of an image of MNIST
POOLED = 2  # pixels each way that become one


def lines_of(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fold each neuron's weights ``[h, d]`` into a small picture: ``[h, rows, columns]``.

    Weights of an image's pixels become 14 x 14, each the mean of four; more than 40 weights four lines; fewer one line.

    Examples
    --------
    >>> lines_of(np.ones((3, 784))).shape, lines_of(np.ones((3, 100))).shape, lines_of(np.ones((3, 10))).shape
    ((3, 14, 14), (3, 4, 25), (3, 1, 10))
    """
    h, d = vectors.shape
    if d == SIDE * SIDE:
        half = SIDE // POOLED
        pooled: npt.NDArray[np.float64] = vectors.reshape(h, half, POOLED, half, POOLED).mean(axis=(2, 4))
        return pooled
    rows = 4 if d > 40 else 1
    columns = -(-d // rows)
    folded = np.zeros((h, rows * columns))
    folded[:, :d] = vectors
    return folded.reshape(h, rows, columns)


def sheet(vectors: npt.NDArray[np.float64]) -> bytes:
    """All neurons of a layer as one picture.

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``.

    Returns
    -------
    bytes
        A lossless WebP: grey of 128 is 0, lighter is above it; the largest sizes, but for one in two hundred, are 1 and 255.
    """
    from PIL import Image

    tiles = lines_of(vectors)
    scale = max(float(np.quantile(np.abs(tiles), 0.995)), np.finfo(np.float64).tiny)
    shades = np.rint(np.clip(tiles / scale, -1, 1) * SHADES)
    h, rows, columns = tiles.shape
    page = np.full((-(-h // ACROSS) * ACROSS, rows, columns), 128, np.uint8)
    page[:h] = 128 + np.rint(shades * 127 / SHADES)
    page = page.reshape(-1, ACROSS, rows, columns).transpose(0, 2, 1, 3).reshape(-1, ACROSS * columns)
    written = io.BytesIO()
    Image.fromarray(page).convert("RGB").save(written, "webp", lossless=True, method=1)
    return written.getvalue()
