"""What a hidden neuron answers to: the ink that excites it, and how strongly each digit does; numpy alone, never torch."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.checks import whole
from dropclust.core.paths import find
from dropclust.core.spec import HELD_OUT_IMAGES, INPUTS, OUTPUTS

Singles = npt.NDArray[np.float32]

_HEADER = {"images": 16, "labels": 8}  # bytes of an IDX file before its numbers


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures to look at a network's neurons with: ``pixels`` float32 ``[n, 784]`` in [0, 1], ``digits`` ``[n]`` 0 to 9."""

    pixels: Singles
    digits: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answers:
    """What the neurons of a layer answer to.

    Parameters
    ----------
    ink
        ``[h, 784]``: the mean image weighted by the neuron's activation, less the mean of all images. This is the
        spike-triggered average of neuroscience (Chichilnisky 2001, "A simple white noise analysis of neuronal light
        responses"). Above 0: ink there goes with more activity. Zeros for a neuron that is never active.
    by_digit
        ``[h, 10]``: mean activation over the images of each digit; 0 or more.
    nearest
        ``[h]``: the other neuron whose activations correlate most with its own; its own number where nothing correlates.
    correlation
        That correlation, -1 to 1; 0 where nothing correlates.
    """

    ink: Singles
    by_digit: Singles
    nearest: npt.NDArray[np.intp]
    correlation: Singles


def held_out(root: Path | None = None) -> Images:
    """The last 5,000 of MNIST's training images, which no network is trained on.

    Parameters
    ----------
    root
        Folder that holds ``MNIST/raw``; by default the project's cache folder.

    Raises
    ------
    FileNotFoundError
        When one of the two files is missing or damaged.
    """
    return _held_out((root or find("MNIST").parent).resolve())


@cache
def _held_out(root: Path) -> Images:
    pixels = _last(root, "images", INPUTS).reshape(-1, INPUTS)
    return Images(pixels.astype(np.float32) / np.float32(255), _last(root, "labels", 1))


def _last(root: Path, kind: str, size: int) -> npt.NDArray[np.uint8]:
    path = root / "MNIST" / "raw" / f"train-{kind}-idx{3 if size > 1 else 1}-ubyte.gz"
    try:
        with gzip.open(path) as file:
            numbers = np.frombuffer(file.read(), np.uint8, offset=_HEADER[kind])
    except (OSError, EOFError, ValueError) as error:
        raise FileNotFoundError(f"the MNIST file {path.name} is missing or damaged in {path.parent} ({error})") from error
    return numbers[-HELD_OUT_IMAGES * size :].copy()


def activations(weights: Sequence[Any], biases: Sequence[Any], layer: int, pixels: Singles) -> Singles:
    """What a hidden layer's neurons put out, with the noise off and ReLU between the layers: ``[n, h]``.

    Parameters
    ----------
    weights, biases
        Arrays ``[in, out]`` and ``[out]`` a layer.
    layer
        Hidden layer, counted from 1.
    pixels
        ``[n, 784]`` in [0, 1].

    Raises
    ------
    ValueError
        For a layer that the network does not have.

    Examples
    --------
    >>> activations([np.eye(2), np.eye(2)], [np.array([0, -1]), np.zeros(2)], 1, np.float32([[0.5, 0.5]])).tolist()
    [[0.5, 0.0]]
    """
    for at in range(whole("layer", layer, 1, len(weights) - 1)):
        pixels = np.maximum(pixels @ np.asarray(weights[at], np.float32) + np.asarray(biases[at], np.float32), 0)
    return pixels


def ink_of(active: Singles, pixels: Singles) -> Singles:
    """The ink that excites each neuron, as `Answers.ink` has it: ``[h, 784]``.

    Parameters
    ----------
    active
        Activations after ReLU on the images, ``[n, h]``.
    pixels
        The images, ``[n, 784]`` in [0, 1].

    Examples
    --------
    >>> ink_of(np.float32([[1, 0], [0, 0]]), np.float32([[1, 0], [0, 1]])).tolist()
    [[0.5, -0.5], [0.0, 0.0]]
    """
    sums = active.sum(axis=0)[:, None]  # [h, 1]
    means = np.divide(active.T @ pixels, sums, where=sums > 0, out=np.zeros((len(sums), pixels.shape[1]), np.float32))
    return np.where(sums > 0, means - pixels.mean(axis=0), np.float32(0))


def exciting(active: Singles, pixels: Singles) -> npt.NDArray[np.uint8]:
    """The ink that excites each neuron as a picture, each by its own most: ``[h, side, side]``, 0 where there is none, to 255.

    Arguments as `ink_of` has them, of square images.

    Examples
    --------
    >>> images = np.float32([[1, 0, 0, 0], [0, 1, 0, 0]])
    >>> exciting(np.float32([[1, 0], [0, 0]]), images).tolist()
    [[[255, 0], [0, 0]], [[0, 0], [0, 0]]]
    """
    ink = np.maximum(ink_of(active, pixels), 0)
    most = np.maximum(ink.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    side = math.isqrt(pixels.shape[1])
    levels: npt.NDArray[np.uint8] = np.rint(255 * (ink / most)).astype(np.uint8)
    return levels.reshape(-1, side, side)


def answers(active: Singles, images: Images) -> Answers:
    """Look what each neuron answers to.

    Parameters
    ----------
    active
        Activations after ReLU on the images, ``[n, h]``.
    images
        The images, n of them.

    Examples
    --------
    The first neuron fires for the first image alone, and the second three times as strongly for the same; the third never.

    >>> images = Images(np.float32([[1, 0], [0, 1]]), np.uint8([7, 1]))
    >>> found = answers(np.float32([[1, 3, 0], [0, 0, 0]]), images)
    >>> found.ink.tolist(), found.by_digit[1].tolist()[7], found.nearest.tolist(), found.correlation.tolist()
    ([[0.5, -0.5], [0.5, -0.5], [0.0, 0.0]], 3.0, [1, 0, 2], [1.0, 1.0, 0.0])
    """
    living = active.sum(axis=0) > 0  # [h]
    counts = np.bincount(images.digits, minlength=OUTPUTS).astype(np.float32)  # [10]
    of_digit = (images.digits == np.arange(OUTPUTS)[:, None]).astype(np.float32)  # [10, n]
    by_digit = (of_digit @ active).T / np.maximum(counts, 1)
    centred = active - active.mean(axis=0)
    spread = np.linalg.norm(centred, axis=0)
    changing = living & (active.min(axis=0) < active.max(axis=0))
    centred = np.divide(centred, spread, where=changing, out=np.zeros_like(centred))
    alike = np.clip(centred.T @ centred, -1, 1)  # [h, h]
    alike[:, ~changing] = -2
    np.fill_diagonal(alike, -2)
    nearest, own = alike.argmax(axis=1), np.arange(len(living))
    nearest[~changing] = own[~changing]
    correlation = np.where(nearest == own, np.float32(0), alike[own, nearest])
    return Answers(ink_of(active, images.pixels), by_digit, nearest, np.maximum(correlation, -1))
