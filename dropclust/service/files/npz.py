"""The .npz format, a zip of numpy arrays: read piece by piece, within limits, and never as a pickle."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
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
    check_tensors,
    seal,
    short,
    unseal,
)

# The header of a .npy as its format asks for it: keys in alphabetical order (numpy.lib.format).
_NPY = re.compile(
    rb"\{'descr': ?'([<>|=][a-zA-Z]\d{1,4})', ?'fortran_order': ?(True|False), ?'shape': ?\(([\d, ]{0,60})\),? ?\}\s*"
)
_PIECE = 2**17  # numbers unpacked at a time
_NPY_MAGIC_BYTES, _NPY_MAX_HEADER_BYTES = 8, 4096


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


def read(data: bytes) -> tuple[dict[str, Array], dict[str, Any] | None]:
    """Arrays by name as float32, and the facts that this project wrote among them, None for another's file.

    Raises
    ------
    LoadError
        When it is no readable zip of arrays, holds too much, or is ours and damaged.
    """
    # Every entry of a zip's directory begins with these four bytes, so that counting them bounds the directory unread.
    if data.count(b"PK\x01\x02") > 2 * MAX_TENSORS:
        raise LoadError(f"must hold at most {MAX_TENSORS + 1} arrays; its directory lists more")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            heads = {member.filename: _npy_head(archive, member) for member in members}
            check_count(math.prod(shape) for _, _, shape, _ in heads.values())
            arrays = {
                member.filename.removesuffix(".npy"): _npy_array(archive, member, *heads[member.filename]) for member in members
            }
    except LoadError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise LoadError("is no readable npz: the zip around its arrays is damaged or of another kind") from error
    text = arrays.pop(MARK, None)
    if text is None and b'"format":"dropclust ' in data:
        raise LoadError("is damaged: its directory does not list the description that it holds")
    if text is None:
        return arrays, None
    facts = unseal(text.tobytes().decode("latin-1"))
    check_tensors(facts, arrays)
    return arrays, facts


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


def _npy_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, str, tuple[int, ...], int]:
    """Numpy dtype, order ("C" or "F"), shape, and where the numbers begin; read without unpacking the numbers."""
    shown = short(member.filename)
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
    is_text = member.filename == f"{MARK}.npy"
    if descr[1:] not in (("u1",) if is_text else ("f2", "f4", "f8")):
        raise LoadError(f"must hold float16, float32 or float64 arrays; {shown} is {descr}")
    shape = tuple(int(number) for number in numbers.replace(" ", "").split(",") if number)
    begin = _NPY_MAGIC_BYTES + width + length
    if begin + int(descr[2:]) * math.prod(shape) != member.file_size:
        raise LoadError(f"must hold whole arrays; {shown} does not have the bytes that its shape needs")
    return descr, "F" if fortran else "C", shape, begin


def _npy_array(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, descr: str, order: Any, shape: tuple[int, ...], begin: int
) -> npt.NDArray[Any]:
    """The numbers as float32 (a text as bytes), unpacked piece by piece so that they lie in memory once."""
    dtype = np.dtype(descr)
    values: npt.NDArray[Any] = np.empty(math.prod(shape), dtype if dtype == np.uint8 else np.float32)
    with archive.open(member) as file:
        file.read(begin)
        for start in range(0, values.size, _PIECE):
            part = values[start : start + _PIECE]
            content = file.read(dtype.itemsize * part.size)
            if len(content) != dtype.itemsize * part.size:
                raise LoadError(f"must hold whole arrays; {short(member.filename)} is cut short")
            with np.errstate(all="ignore"):
                part[:] = np.frombuffer(content, dtype)
        file.read(1)  # at the end the zip's own checksum is looked at
    return values.reshape(shape, order=order)
