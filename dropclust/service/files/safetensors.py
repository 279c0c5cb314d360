"""The safetensors format, written and read with numpy alone: equal content gives equal bytes, and every bit is checked."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from dropclust.service.files.common import (
    MARK,
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    Array,
    LoadError,
    check_count,
    float32,
    is_ours,
    parse_json,
    seal,
    short,
    still_ours,
    unseal,
)
from dropclust.service.files.parts import Values, is_aside, is_weight, kept
from dropclust.service.files.raw import Raw

_FLOATS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
_OTHERS = {"I8": "|i1", "U8": "|u1", "BOOL": "|b1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4", "I64": "<i8"}
_OTHERS |= {"U64": "<u8", "F8_E4M3": "|u1", "F8_E5M2": "|u1"}  # beside the weights: counters, masks
_ITEM = {dtype: np.dtype(code) for dtype, code in (_FLOATS | _OTHERS).items()}


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file: ``entries`` are name -> (dtype, shape, begin, end), bytes counted after the header."""

    raw: bytes
    metadata: dict[str, str]
    entries: dict[str, tuple[str, tuple[int, ...], int, int]]

    @property
    def data_begins(self) -> int:
        """Where in the file the tensors begin, in bytes."""
        return 8 + len(self.raw)


def _header_bytes(shapes: Mapping[str, tuple[int, ...]], text: str) -> bytes:
    """The one header that this project writes for float32 tensors of these shapes, padded to a multiple of 8 bytes."""
    header: dict[str, Any] = {"__metadata__": {MARK: text}}
    begin = 0
    for name in sorted(shapes):
        end = begin + 4 * math.prod(shapes[name])
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [begin, end]}
        begin = end
    raw = json.dumps(header, separators=(",", ":")).encode("ascii")
    return raw + b" " * (-len(raw) % 8)


def pack(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """A sealed safetensors file; equal content gives equal bytes.

    Raises
    ------
    ValueError
        When the facts need more than 1 MiB of header.
    """
    header = _header_bytes({name: tensor.shape for name, tensor in tensors.items()}, seal(facts, tensors))
    if len(header) > MAX_HEADER_BYTES:
        raise ValueError(f"a network's description must fit in {MAX_HEADER_BYTES:,} bytes; got {len(header):,}")
    data = (np.ascontiguousarray(tensors[name], "<f4").tobytes() for name in sorted(tensors))
    return b"".join([len(header).to_bytes(8, "little"), header, *data])


def read_header(file: IO[bytes], size: int) -> Header:
    """Read the header of a safetensors file of ``size`` bytes, and nothing after it.

    Raises
    ------
    LoadError
        When it is cut short, declares too much, or its tensors overlap, leave gaps or do not fill the file.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= MAX_HEADER_BYTES:
        raise LoadError(f"is no safetensors file: its header must have 2 to {MAX_HEADER_BYTES:,} bytes and declares {length:,}")
    raw = file.read(length)
    if len(raw) != length:
        raise LoadError(f"is cut short: its header must have {length:,} bytes and has {len(raw):,}")
    try:
        header = parse_json(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise LoadError("is no safetensors file: its header is not text") from error
    if not isinstance(header, dict):
        raise LoadError("is no safetensors file: its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise LoadError("is no safetensors file: its metadata is not a table of texts")
    if len(header) > MAX_TENSORS:
        raise LoadError(f"must hold at most {MAX_TENSORS} tensors; got {len(header)}")
    entries = {name: _entry(name, value) for name, value in header.items()}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        if entry[2] != end:
            raise LoadError(f"is no safetensors file: tensor {short(name)} overlaps another or leaves a gap before it")
        end = entry[3]
    if 8 + length + end != size:
        raise LoadError(f"must have {8 + length + end:,} bytes by its header and has {size:,}")
    return Header(raw, metadata, entries)


def _entry(name: str, value: object) -> tuple[str, tuple[int, ...], int, int]:
    try:
        if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
            raise ValueError
        dtype, shape, (begin, end) = str(value["dtype"]), value["shape"], value["data_offsets"]
        if not all(type(number) is int and 0 <= number <= MAX_FILE_BYTES for number in (*shape, begin, end)):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise LoadError(f"is no safetensors file: the header's entry for {short(name)} is not a tensor") from error
    if dtype not in _ITEM or (
        dtype not in _FLOATS and is_weight(name) and not is_aside(name) and len(shape) > 0 and not name.endswith("_mask")
    ):
        scaled = "int8 weights need their scales: " if dtype in {"I8", "U8"} else ""
        raise LoadError(f"must hold tensors of type {', '.join(_FLOATS)}; {scaled}{short(name)} is {short(dtype)}")
    if len(shape) > 8 or end - begin != _ITEM[dtype].itemsize * math.prod(shape):
        raise LoadError(f"must hold whole matrices and vectors; {short(name)} does not have the bytes that its shape needs")
    return dtype, tuple(shape), begin, end


def own_facts(header: Header) -> dict[str, Any] | None:
    """The facts of a file that this project wrote, None for another's, also for one that merely mentions us.

    Raises
    ------
    LoadError
        When it is ours and its description is not as it was written.
    """
    if not any(is_ours(value) for value in header.metadata.values()):
        return None
    return unseal(header.metadata.get(MARK, ""))


def is_as_written(header: Header) -> bool:
    """Whether every bit of the header is as this project writes it; where a stored run's is not, it is damaged."""
    shapes = {name: entry[1] for name, entry in header.entries.items()}
    return header.raw == _header_bytes(shapes, header.metadata.get(MARK, ""))


def read_tensors(header: Header, data: bytes) -> dict[str, Array]:
    """All floats of the file ``data`` as float32; those that are float32 already share its memory and are read-only.

    Raises
    ------
    LoadError
        On more than ten million numbers.
    """
    network = kept(header.entries)
    named = {name: entry for name, entry in header.entries.items() if name in network}
    check_count(math.prod(shape) for _, shape, _, _ in named.values())
    view = memoryview(data)[header.data_begins :]
    tensors: dict[str, Values] = {}
    for name, (dtype, shape, begin, end) in named.items():
        raw = np.frombuffer(view[begin:end], _ITEM[dtype])
        if dtype == "BF16":  # the upper half of a float32
            raw = (raw.astype("<u4") << 16).view("<f4")
        tensors[name] = (float32(raw) if dtype in _FLOATS else raw).reshape(shape)
    return tensors


def read(data: bytes) -> Raw:
    """Tensors by name, and the facts that this project wrote beside them, None for another's file.

    Raises
    ------
    LoadError
        When it is no safetensors file, holds too much, or is ours and damaged.
    """
    header = read_header(io.BytesIO(data), len(data))
    facts = own_facts(header)
    tensors = read_tensors(header, data)
    aside = tuple(name for name in header.entries if name not in tensors)
    if facts is None:
        return Raw(tensors, left_out=aside, declared=header.metadata)
    if still_ours(facts, tensors):
        return Raw(tensors, facts=facts)
    if _is_one_bit_off(header):
        raise LoadError("is damaged: its header is not as it was written, by one bit")
    return Raw(tensors, left_out=aside, changed=True)


def _is_one_bit_off(header: Header) -> bool:
    """Whether the header becomes one of ours when a single bit of a tensor's name is turned back."""
    by_place = sorted(header.entries.values(), key=lambda entry: entry[2:])
    layers = len(by_place) // 2
    names = [f"{kind}.{layer}" for kind in ("biases", "weights") for layer in range(layers)]
    if len(names) != len(by_place):
        return False
    ours = _header_bytes({name: entry[1] for name, entry in zip(names, by_place, strict=True)}, header.metadata.get(MARK, ""))
    if len(ours) != len(header.raw):
        return False
    return sum((one ^ other).bit_count() for one, other in zip(ours, header.raw, strict=True)) == 1
