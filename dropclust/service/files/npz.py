"""The .npz format, a zip of numpy arrays: read piece by piece, within limits, and never as a pickle."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.service.files.common import (
    MARK,
    MAX_HEADER_BYTES,
    MAX_PARAMETERS,
    MAX_TENSORS,
    Array,
    LoadError,
    check_count,
    is_ours,
    seal,
    short,
    still_ours,
    unseal,
)
from dropclust.service.files.parts import Values, is_weight, kept
from dropclust.service.files.raw import Raw

# The header of a .npy as its format asks for it: keys in alphabetical order (numpy.lib.format); Python 2 wrote 784L.
_NPY = re.compile(
    rb"\{'descr': ?'([<>|=][a-zA-Z]\d{1,4})', ?'fortran_order': ?(True|False), ?'shape': ?\(([\dL, ]{0,60})\),? ?\}\s*"
)
_FLOATS = ("f2", "f4", "f8")
_WHOLE = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")  # beside the weights: counters, masks, settings
_PIECE = 2**17  # numbers unpacked at a time
_NPY_MAGIC_BYTES, _NPY_MAX_HEADER_BYTES = 8, 4096
_LONGEST_WORD = 64


def pack(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """A sealed .npz; equal content gives equal bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {name: np.ascontiguousarray(tensors[name], "<f4") for name in sorted(tensors)}
    arrays[MARK] = np.frombuffer(seal(facts, tensors).encode("ascii"), np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980 whenever it is written: equal networks, equal bytes
            member.create_system = 3
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(member, content.getvalue())
    return file.getvalue()


def read(data: bytes) -> Raw:
    """Arrays by name, floats as float32, and the facts that this project wrote among them, None for another's file.

    Raises
    ------
    LoadError
        When it is no readable zip of arrays, holds too much, or is ours and damaged.
    """
    # Every entry of a zip's directory begins with these four bytes, so that counting them bounds the directory unread.
    if data.count(b"PK\x01\x02") > 2 * MAX_TENSORS:
        raise LoadError(f"must hold at most {MAX_TENSORS + 1} arrays; its directory lists more")
    arrays: dict[str, Values] = {}
    declared: dict[str, str] = {}
    left_out: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            network = kept(member.filename.removesuffix(".npy") for member in members)
            heads = {
                member.filename: _npy_head(archive, member) if member.filename.removesuffix(".npy") in network else None
                for member in members
            }
            whole = [head for head in heads.values() if head is not None]
            check_count(math.prod(head.shape) for head in whole)
            for member in members:
                name, head = member.filename.removesuffix(".npy"), heads[member.filename]
                if head is None:
                    left_out.append(name)
                elif head.is_text:
                    declared[name] = _npy_text(archive, member, head)
                else:
                    arrays[name] = _npy_array(archive, member, head)
    except LoadError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise LoadError("is no readable npz: the zip around its arrays is damaged or of another kind") from error
    description = arrays.pop(MARK, np.zeros(0, np.uint8))
    text = description.tobytes().decode("latin-1") if description.dtype == np.uint8 else ""
    if not is_ours(text):
        if b'"format":"dropclust ' in data and b'"tensors_sha256":' in data:
            raise LoadError("is damaged: its directory does not list the description that it holds")
        return Raw(arrays, in_file_order=True, left_out=tuple(left_out), declared=declared)
    facts = unseal(text)
    if still_ours(facts, arrays):
        return Raw(arrays, facts=facts)
    return Raw(arrays, left_out=tuple(left_out), changed=True)


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or len(names) > MAX_TENSORS + 1 or not all(name.endswith(".npy") for name in names):
        raise LoadError(f"must hold arrays only (.npy), each once and at most {MAX_TENSORS + 1}; got {short(*names)}")
    if (declared := sum(member.file_size for member in members)) > 8 * MAX_PARAMETERS + 2 * MAX_HEADER_BYTES:
        raise LoadError(f"must unpack to at most {MAX_PARAMETERS:,} numbers; it declares {declared:,} bytes")
    if any(
        member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members
    ):
        raise LoadError("must be stored or deflated, as numpy writes it; got another compression or a password")


@dataclass(frozen=True)
class _Head:
    """What a .npy says of itself; ``begin`` is where the numbers do."""

    dtype: np.dtype[Any]
    order: Any
    shape: tuple[int, ...]
    begin: int

    @property
    def is_text(self) -> bool:
        return self.dtype.kind in "US"


def _npy_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Head | None:
    """The head of an array, read without unpacking the numbers; None where it is no part of a network."""
    shown, name = short(member.filename), member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        magic = file.read(_NPY_MAGIC_BYTES)
        if magic not in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"\x93NUMPY\x03\x00"):
            raise LoadError(f"must hold arrays as numpy writes them; {shown} is none")
        width = 2 if magic[6] == 1 else 4
        length = int.from_bytes(file.read(width), "little")
        text = file.read(min(length, _NPY_MAX_HEADER_BYTES))
    if b"O'" in text and b"'descr'" in text:
        raise LoadError(f"must hold numbers; {shown} holds Python objects, a pickle, and is not opened")
    match = _NPY.fullmatch(text)
    if match is None:
        raise LoadError(f"must hold plain arrays of numbers; {shown} has another header")
    descr, fortran, numbers = match[1].decode("ascii"), match[2] == b"True", match[3].decode("ascii")
    shape = tuple(int(number) for number in numbers.replace(" ", "").replace("L", "").split(",") if number)
    is_needed = is_weight(name) and not name.endswith("_mask")
    if descr[1:] not in _FLOATS and is_needed and shape != ():
        scaled = "int8 weights need their scales: " if descr[1:] in {"i1", "u1"} else ""
        raise LoadError(f"must hold float16, float32 or float64 arrays; {scaled}{shown} is {descr}")
    is_word = descr[1] in "US" and shape == () and int(descr[2:]) <= _LONGEST_WORD
    if not (descr[1:] in (*_FLOATS, *_WHOLE) or is_word):
        return None
    begin = _NPY_MAGIC_BYTES + width + length
    dtype = np.dtype(descr)
    if begin + dtype.itemsize * math.prod(shape) != member.file_size:
        raise LoadError(f"must hold whole arrays; {shown} does not have the bytes that its shape needs")
    return _Head(dtype, "F" if fortran else "C", shape, begin)


def _npy_text(archive: zipfile.ZipFile, member: zipfile.ZipInfo, head: _Head) -> str:
    """A word that stands as an array of its own, such as an activation's name."""
    with archive.open(member) as file:
        file.read(head.begin)
        word = np.frombuffer(file.read(head.dtype.itemsize), head.dtype)[0]
    return word.decode("latin-1") if isinstance(word, bytes) else str(word)


def _npy_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, head: _Head) -> Values:
    """The numbers, floats as float32, unpacked piece by piece so that they lie in memory once."""
    values: Values = np.empty(math.prod(head.shape), np.float32 if head.dtype.kind == "f" else head.dtype)
    with archive.open(member) as file:
        file.read(head.begin)
        for start in range(0, values.size, _PIECE):
            part = values[start : start + _PIECE]
            content = file.read(head.dtype.itemsize * part.size)
            if len(content) != head.dtype.itemsize * part.size:
                raise LoadError(f"must hold whole arrays; {short(member.filename)} is cut short")
            with np.errstate(all="ignore"):
                part[:] = np.frombuffer(content, head.dtype)
        file.read(1)  # at the end the zip's own checksum is looked at
    return values.reshape(head.shape, order=head.order)
