"""Weights of neurons as small pictures of few shades. It knows no file format and no screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.arrays import Floats, Ints
from dropclust.core.clustering import incoming, outgoing

SHADES = 5  # each way from 0: more make a picture larger and look the same
SIDE = 28  # of an image of MNIST
POOLED = 2  # pixels each way that become one


def shown_weights(weights: Sequence[Any], biases: Sequence[Any], layer: int) -> Floats:
    """The weights that a neuron of a hidden layer is drawn by, ``[h, d]``: incoming ones of pixels, else outgoing ones."""
    return incoming(weights, biases, 1) if layer == 1 else outgoing(weights, layer)


def lines_of(vectors: Floats) -> Floats:
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


def shades_of(vectors: Floats) -> Ints:
    """A layer's weights ``[h, d]`` as pictures of few shades, ``[h, rows, columns]``.

    0 is 0; the largest weights of the layer, but for one in two hundred, are `SHADES` either way.

    Examples
    --------
    >>> shades_of(np.array([[1.0, -1.0, 0.0, 0.5]])).tolist()
    [[[5, -5, 0, 2]]]
    """
    tiles = lines_of(vectors)
    scale = max(float(np.quantile(np.abs(tiles), 0.995)), np.finfo(np.float64).tiny)
    return np.rint(np.clip(tiles / scale, -1, 1) * SHADES).astype(np.intp)
