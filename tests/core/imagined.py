"""A device that is imagined: tensors that say they lie elsewhere, and refuse to meet those that do not, as a GPU's would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta")


class There(torch.Tensor):
    """A tensor whose numbers lie here and that says it lies there."""

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> There:
        return torch.Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype, device=ELSEWHERE
        )

    def __init__(self, here: torch.Tensor) -> None:
        self.here = here

    def __repr__(self) -> str:
        return f"There({self.here!r})"

    def tolist(self):
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


class _Gpu(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _call(function, args, kwargs or {})


def _call(function, args, kwargs):
    leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = any(isinstance(leaf, There) for leaf in leaves)
    name = function.overloadpacket.__name__
    copies = name in ("_to_copy", "copy_", "_copy_from")
    if there and not copies:
        wrong = [leaf for leaf in leaves if not isinstance(leaf, There) and leaf.ndim and name != "index"]
        if wrong:
            raise RuntimeError(f"{name}: tensors on two devices")
    asked = kwargs.get("device")
    if asked is not None:
        there = torch.device(asked).type == ELSEWHERE.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif name == "copy_":
        there = isinstance(args[0], There)
    elif name == "_local_scalar_dense":
        there = False
    found = function(*tree_map(_here, args), **tree_map(_here, kwargs))
    if not there:
        return found
    if (name.endswith("_") and not name.endswith("__")) or "out" in kwargs:
        return args[0] if "out" not in kwargs else kwargs["out"]
    return tree_map(lambda leaf: There(leaf) if isinstance(leaf, torch.Tensor) else leaf, found)


def _here(leaf):
    return leaf.here if isinstance(leaf, There) else leaf


@contextmanager
def imagined_gpu() -> Iterator[torch.device]:
    """Within it ``tensor.to(device)`` gives a tensor that is there."""
    with _Gpu():
        yield ELSEWHERE
