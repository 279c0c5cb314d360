"""What a reader found in a file, before anybody asks what it means: named tensors, or a chain of stages; and how it travels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dropclust.service.files.common import LoadError
from dropclust.service.files.form import Activation, Affine, Stage
from dropclust.service.files.parts import Norm, Values


@dataclass(frozen=True, eq=False)
class Raw:
    """Tensors or stages of one file.

    Parameters
    ----------
    tensors
        By name, in the order of the file; empty where the file holds a graph.
    stages
        The graph as a chain from the pictures to the logits, where the file holds one.
    in_file_order
        Whether the order of the tensors was their writer's.
    facts
        What this project wrote in it, where it did and where the weights are still those.
    changed
        Whether this project wrote it and somebody changed it since.
    left_out
        Names that the reader did not look at.
    notes
        What it did on the way, for the report.
    declared
        Texts that the file has beside its tensors, by name; "activation" is looked at.
    """

    tensors: Mapping[str, Values] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    in_file_order: bool = False
    facts: dict[str, Any] | None = None
    changed: bool = False
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    declared: Mapping[str, str] = field(default_factory=dict)


def pack(raw: Raw) -> bytes:
    """A `Raw` as bytes for another process: a JSON header, then the numbers."""
    arrays: list[Values] = []

    def place(values: Values) -> int:
        arrays.append(np.ascontiguousarray(values))
        return len(arrays) - 1

    stages: list[dict[str, Any]] = []
    for stage in raw.stages:
        if isinstance(stage, Activation):
            stages.append({"kind": "activation", "name": stage.name})
        elif isinstance(stage, Norm):
            stages.append(
                {
                    "kind": "norm",
                    "name": stage.name,
                    "arrays": [place(stage.scale), place(stage.shift)],
                    "tensors": stage.tensors,
                }
            )  # fmt: skip
        else:
            stages.append(
                {
                    "kind": "affine", "name": stage.name, "arrays": [place(stage.weight), place(stage.bias)],
                    "tensors": stage.tensors, "lay": stage.lay, "notes": stage.notes,
                }
            )  # fmt: skip
    tensors = [[name, place(values)] for name, values in raw.tensors.items()]
    header = json.dumps(
        {
            "tensors": tensors, "stages": stages, "in_file_order": raw.in_file_order, "facts": raw.facts,
            "changed": raw.changed, "left_out": raw.left_out, "notes": raw.notes,
            "declared": dict(raw.declared),
            "arrays": [[array.dtype.str, array.shape] for array in arrays],
        }
    ).encode("ascii")  # fmt: skip
    return b"".join([len(header).to_bytes(8, "little"), header, *(array.tobytes() for array in arrays)])


def unpack(data: bytes) -> Raw:
    """What `pack` wrote; the arrays share the memory of ``data``.

    Raises
    ------
    LoadError
        When it is cut short.
    """
    begin = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:begin])
        arrays = []
        for text, shape in header["arrays"]:
            dtype = np.dtype(text)
            size = dtype.itemsize * math.prod(shape)
            arrays.append(np.frombuffer(data[begin : begin + size], dtype).reshape(shape))
            begin += size
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError("could not be read: its reader stopped half way") from error
    return Raw(
        {name: arrays[index] for name, index in header["tensors"]},
        tuple(_stage(stage, arrays) for stage in header["stages"]),
        header["in_file_order"], header["facts"], header["changed"], tuple(header["left_out"]), tuple(header["notes"]),
        header["declared"],
    )  # fmt: skip


def _stage(stage: Mapping[str, Any], arrays: list[Values]) -> Stage:
    if stage["kind"] == "activation":
        return Activation(stage["name"])
    first, second = (arrays[index] for index in stage["arrays"])
    if stage["kind"] == "norm":
        return Norm(stage["name"], first, second, tuple(stage["tensors"]))
    return Affine(stage["name"], first, second, tuple(stage["tensors"]), stage["lay"], tuple(stage["notes"]))
