"""Where tensors are computed: on the processor, or on a GPU through CUDA."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

DEVICES = ("auto", "cpu", "cuda")
VARIABLE = "DROPCLUST_DEVICE"  # what "auto" means, where it is set
CPU = torch.device("cpu")
# A process's first word to a GPU takes seconds; from about this work on, ten on two cores, it comes back.
_PAYS_FLOPS = 1e12


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
    _check("device", device)
    asked = device
    if device == "auto":
        asked = os.environ.get(VARIABLE) or "auto"
        _check(VARIABLE, asked)
    if asked == "cpu" or (asked == "auto" and (flops < _PAYS_FLOPS or not torch.cuda.is_available())):
        return CPU
    if not torch.cuda.is_available():
        raise ValueError("device must be auto or cpu where torch finds no GPU; got 'cuda'")
    return torch.device("cuda", torch.cuda.current_device())


def _check(name: str, device: object) -> None:
    if not isinstance(device, str) or device not in DEVICES:
        raise ValueError(f"{name} must be one of {', '.join(DEVICES)}; got {device!r}")


def name_of(device: torch.device) -> str:
    """What a record says: "cpu", or "cuda" with the GPU's name."""
    return "cpu" if device.type == "cpu" else f"{device.type} ({torch.cuda.get_device_name(device)})"


@contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """Let float32 products on a GPU keep 10 bits of each factor (TF32), as JAX does there; levels of pixels are exact in it.

    Not for what is measured, only for training, whose own noise is larger. Nothing changes on the processor.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before if device.type == "cpu" else "high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
