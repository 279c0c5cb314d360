"""What a network takes for a picture, when it does not take pixels from 0 to 1: an exact part of its first layer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from dropclust.core.spec import INPUTS
from dropclust.service.files.common import LoadError

if TYPE_CHECKING:
    from dropclust.core.mnist import Data

Vector = npt.NDArray[np.float64]

PIXELS = "pixels"
_SIDE = 28
_PIECE = 5_000  # images whose float64 lie in memory at a time
# name -> (pixels from 0 to 1 are multiplied by, then added), and what it is called in a sentence.
SCALES: dict[str, tuple[float, float, str]] = {
    PIXELS: (1.0, 0.0, "pixels from 0 to 1"),
    "standardised": (1 / 0.3081, -0.1307 / 0.3081, "standardised pixels, Normalize((0.1307,), (0.3081,))"),
    "minus1-to-1": (2.0, -1.0, "pixels from -1 to 1, Normalize((0.5,), (0.5,))"),
    "0-to-255": (255.0, 0.0, "levels from 0 to 255"),
    "0.01-to-1": (0.99, 0.01, "pixels from 0.01 to 1"),
    "centred": (1.0, -0.5, "pixels from -0.5 to 0.5"),
    "mean-centred": (1.0, -0.1307, "pixels less their mean, 0.1307"),
}
BY_PIXEL = {
    "z-scores": "z-scores of each pixel over the training images",
    "pixel-centred": "each pixel less its mean over the training images",
}
OF_FILE = "z-scores-of-the-file"
TURNS = ("inverted", "transposed")
_NUMBERS = re.compile(r"normalize:(\d*\.?\d+):(\d*\.?\d+)")
_ALLOWED = (
    f"{', '.join([*SCALES, *BY_PIXEL])} or normalize:MEAN:DEVIATION, each with ,inverted or ,transposed after it where it is so"
)


@dataclass(frozen=True, eq=False)
class InputScale:
    """What is done to pixels ``[784]`` from 0 to 1 before the network sees them: ``(x * scale + shift)[taken]``."""

    name: str
    scale: Vector
    shift: Vector
    taken: npt.NDArray[np.int64]

    def folded(self, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> tuple[Vector, Vector]:
        """First layer for pixels from 0 to 1, of one ``[784, out]``, ``[out]`` for pixels as they were given to it."""
        straight = np.empty(weight.shape, np.float64)
        straight[self.taken] = weight
        return self.scale[:, None] * straight, bias + self.shift @ straight

    def unfolded(self, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> tuple[Vector, Vector]:
        """The reverse of `folded`: a first layer for pixels as they were given to the network that was brought."""
        straight = weight.astype(np.float64) / self.scale[:, None]
        return straight[self.taken], bias - self.shift @ straight

    @property
    def words(self) -> str:
        """What the network takes, as a part of a sentence."""
        return describe(self.name)


def describe(name: str) -> str:
    """A scale's name as a part of a sentence."""
    base, *turns = name.split(",")
    if base in SCALES:
        text = SCALES[base][2]
    elif match := _NUMBERS.fullmatch(base):
        text = f"pixels less {match[1]}, divided by {match[2]}"
    else:
        text = BY_PIXEL.get(base, "z-scores by the mean and deviation in the file")
    said = {"inverted": "black on white", "transposed": "rows and columns exchanged"}
    return ", ".join([text, *(said[turn] for turn in turns)])


def named(
    name: str,
    pixel_moments: Callable[[], tuple[Vector, Vector]] | None = None,
    of_file: tuple[Vector, Vector] | None = None,
) -> InputScale:
    """The scale of a name.

    Parameters
    ----------
    name
        One of `SCALES` or `BY_PIXEL`, or ``normalize:MEAN:DEVIATION``; then ``,inverted`` (black on white) and ``,transposed``
        (columns of a picture first, as MATLAB has it) where it is so.
    pixel_moments
        Gives mean and deviation of each pixel, float64 ``[784]``, of pixels from 0 to 1; asked for where the name needs it.
    of_file
        The same as a file brought them.

    Raises
    ------
    LoadError
        When there is no such name, or what it needs is not there.
    """
    base, *turns = name.strip().lower().split(",")
    if len(set(turns)) != len(turns) or not set(turns) <= set(TURNS):
        raise LoadError(f"input scale must be one of {_ALLOWED}; got {name[:60]!r}")
    if base in SCALES:
        factor, offset, _ = SCALES[base]
        scale, shift = np.full(INPUTS, factor), np.full(INPUTS, offset)
    elif (match := _NUMBERS.fullmatch(base)) and float(match[2]) > 0:
        scale, shift = np.full(INPUTS, 1 / float(match[2])), np.full(INPUTS, -float(match[1]) / float(match[2]))
    elif base in BY_PIXEL and pixel_moments is not None:
        mean, deviation = pixel_moments()
        scale = 1 / np.where(deviation > 0, deviation, 1.0) if base == "z-scores" else np.ones(INPUTS)
        shift = -mean * scale
    elif base == OF_FILE and of_file is not None:
        mean, deviation = of_file
        levels = 255.0 if mean.max() > 1 else 1.0  # their unit is that of the pixels they were taken of
        scale, shift = levels / deviation, -mean / deviation
    else:
        raise LoadError(f"input scale must be one of {_ALLOWED}; got {name[:60]!r}")
    if "inverted" in turns:  # what follows is done to 1 - x
        scale, shift = -scale, shift + scale
    taken = np.arange(INPUTS).reshape(_SIDE, _SIDE)
    return InputScale(
        ",".join([base, *(turn for turn in TURNS if turn in turns)]), scale, shift,
        np.ascontiguousarray(taken.T if "transposed" in turns else taken).reshape(-1),
    )  # fmt: skip


_MOMENTS: WeakKeyDictionary[Data, tuple[Vector, Vector]] = WeakKeyDictionary()


def moments(data: Data) -> tuple[Vector, Vector]:
    """Mean and deviation of each pixel over the training images, float64 ``[784]``, computed once for each set of images."""
    if data not in _MOMENTS:
        from dropclust.core.mnist import as_floats

        # One part at a time as floats: all of them are 170 MB.
        parts = [data.train[begin : begin + _PIECE] for begin in range(0, len(data.train), _PIECE)]
        mean = np.sum([as_floats(part).numpy().sum(0, dtype=np.float64) for part in parts], axis=0) / len(data.train)
        square = np.sum([np.square(as_floats(part).numpy() - mean).sum(0) for part in parts], axis=0) / len(data.train)
        _MOMENTS[data] = mean, np.sqrt(square)
    return _MOMENTS[data]
