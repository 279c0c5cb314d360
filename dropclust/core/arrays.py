"""What functions of arrays check at their door, and the types they speak of: numpy arrays; a torch tensor becomes one here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.checks import whole

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def seed_of(value: object) -> int:
    """A seed, 0 to 4,294,967,295; ValueError for anything else."""
    return whole("seed", value, 0, 2**32 - 1)


def array(name: str, value: Any, shape: str) -> Floats:
    """An argument as a float64 array that is finite, not empty, and of as many axes as ``shape`` names, such as "[h, d]".

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    if hasattr(value, "detach"):  # a torch tensor, on whatever device
        value = value.detach().cpu().numpy()
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array {shape} of numbers; got {str(value)[:80]}") from error
    if numbers.ndim != len(shape.split(",")) or not numbers.size:
        raise ValueError(f"{name} must be an array {shape} that is not empty; got the shape {list(numbers.shape)}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must hold finite numbers only; got NaN or infinity")
    return numbers


def labels_of(name: str, value: npt.ArrayLike) -> Ints:
    """An argument as cluster labels, a whole number a neuron.

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    labels = np.asarray(value)
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} must be a whole number a neuron, for at least one neuron; got {labels.dtype} of shape {list(labels.shape)}"
        )
    return labels.astype(np.intp)
