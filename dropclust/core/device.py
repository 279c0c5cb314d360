"""Where tensors are computed: on the processor, or on a GPU through CUDA. Imports no torch until it is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
VARIABLE = "DROPCLUST_DEVICE"  # what "auto" means, where it is set
# A process's first word to a GPU takes seconds; from about this work on, ten seconds of two cores, it comes back. Once it was
# said, a GPU pays from a quarter of a second of a core.
_FIRST_FLOPS, _LATER_FLOPS = 1e12, 1e10


def choose(device: str, flops: float) -> torch.device:
    """The device for a piece of work.

    Parameters
    ----------
    device
        "cpu", "cuda", or "auto": what the environment's DROPCLUST_DEVICE says, and otherwise CUDA where there is a GPU and
        the work is large enough for one.
    flops
        Floating-point operations of the work.

    Raises
    ------
    ValueError
        For another name, and for "cuda" where there is none.
    """
    import torch

    asked = check("device", device)
    if asked == "auto":
        asked = check(VARIABLE, os.environ.get(VARIABLE) or "auto")
    if asked == "auto":
        greeted = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        pays = flops >= (_LATER_FLOPS if greeted else _FIRST_FLOPS)
        asked = "cuda" if pays and torch.cuda.is_available() else "cpu"
    if asked == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError("device must be auto or cpu where torch finds no GPU; got 'cuda'")
    return torch.device("cuda", torch.cuda.current_device())


def check(name: str, device: object) -> str:
    """The name of a device as it was given.

    Raises
    ------
    ValueError
        When it is none of `DEVICES`.
    """
    if not isinstance(device, str) or device not in DEVICES:
        raise ValueError(f"{name} must be one of {', '.join(DEVICES)}; got {device!r}")
    return device


def name_of(device: torch.device) -> str:
    """What a record says: "cpu", or "cuda" with the GPU's name."""
    import torch

    return "cpu" if device.type == "cpu" else f"{device.type} ({torch.cuda.get_device_name(device)})"


@contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """Let float32 products on a GPU keep 10 bits of each factor (TF32), as JAX does there; levels of pixels are exact in it.

    For training, whose own noise is larger, and not for what is measured. Nothing changes on the processor.
    """
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before if device.type == "cpu" else "high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
