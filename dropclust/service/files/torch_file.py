"""The .pt format, torch's zip of tensors: read by torch itself, tensors alone; written as a state dict, without torch."""

from __future__ import annotations

import io
import pickle  # its instructions, to be written; nothing is ever run
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dropclust.service.files.common import Array, LoadError, check_count, short
from dropclust.service.files.parts import Values, kept
from dropclust.service.files.raw import Raw

MEND = "torch.save(model.state_dict(), 'net.pt') writes what is read here"
_MAX_DEPTH, _MAX_ITEMS = 6, 2_000
_ZIP_HEADER = 30  # bytes before a member's name


def pack(tensors: Mapping[str, Array]) -> bytes:
    """A state dict for ``torch.nn.Sequential``, as torch writes it and without it; equal content gives equal bytes.

    Layers stand at 0, 2, 4 .. with an activation between, weights ``[out, in]``.
    """
    state: dict[str, Array] = {}
    for layer in range(len(tensors) // 2):
        state[f"{2 * layer}.weight"] = np.ascontiguousarray(tensors[f"weights.{layer}"].T, "<f4")
        state[f"{2 * layer}.bias"] = np.ascontiguousarray(tensors[f"biases.{layer}"], "<f4")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        members = {"data.pkl": _listed(state), "byteorder": b"little"}
        members |= {f"data/{number}": array.tobytes() for number, array in enumerate(state.values())}
        for name, content in (members | {"version": b"3\n"}).items():
            member = zipfile.ZipInfo(f"net/{name}")  # its date is 1980 whenever it is written
            member.create_system = 3
            # torch maps the numbers where they lie, and wants them at multiples of 64 bytes: the header is padded to one.
            begins = file.tell() + _ZIP_HEADER + len(member.filename) + 4
            member.extra = b"FB" + (-begins % 64).to_bytes(2, "little") + b"Z" * (-begins % 64)
            archive.writestr(member, content)
    return file.getvalue()


def _listed(state: Mapping[str, Array]) -> bytes:
    """The list of tensors in a .pt, in the few instructions that torch's own reader takes: of each storage, shape, strides."""

    def text(value: str) -> bytes:
        return pickle.BINUNICODE + len(value.encode()).to_bytes(4, "little") + value.encode()

    def whole(*values: int) -> bytes:
        return b"".join(pickle.BININT + value.to_bytes(4, "little") for value in values)

    def grouped(*parts: bytes) -> bytes:
        return pickle.MARK + b"".join(parts) + pickle.TUPLE

    def called(module: str, name: str) -> bytes:
        return pickle.GLOBAL + f"{module}\n{name}\n".encode()

    no_hooks = called("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    parts = [pickle.PROTO + b"\x02", pickle.EMPTY_DICT, pickle.MARK]
    for number, (name, array) in enumerate(state.items()):
        storage = grouped(text("storage"), called("torch", "FloatStorage"), text(str(number)), text("cpu"), whole(array.size))
        strides = [stride // array.itemsize for stride in array.strides]
        taken = grouped(
            storage + pickle.BINPERSID, whole(0), grouped(whole(*array.shape)), grouped(whole(*strides)), pickle.NEWFALSE,
            no_hooks,
        )  # fmt: skip
        parts += [text(name), called("torch._utils", "_rebuild_tensor_v2"), taken, pickle.REDUCE]
    return b"".join([*parts, pickle.SETITEMS, pickle.STOP])


def read(data: bytes) -> Raw:
    """Tensors by name; everything else in the file is named as left out. To be called where torch may be imported.

    Raises
    ------
    LoadError
        When it is TorchScript, holds anything that torch does not take for tensors, or is damaged.
    """
    import torch

    is_zip = data[:2] == b"PK"
    if is_zip:
        _check_zip(data)
    with TemporaryDirectory(prefix="dropclust-pt-") as folder:
        path = Path(folder) / "net.pt"
        path.write_bytes(data)
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        except Exception as error:  # torch names no errors of its own: what is no tensor file ends in a dozen kinds
            raise LoadError(_why(error)) from error
        tensors, left_out = {}, []
        items = list(_flat(found, ""))
        network = kept(name for name, value in items if isinstance(value, torch.Tensor))
        for name, value in items:
            if isinstance(value, torch.Tensor) and name in network:
                tensors[name] = value
            else:
                left_out.append(name)
        if not tensors:
            raise LoadError(f"holds no tensors by name; {MEND}")
        _check(tensors)
        arrays = {name: _array(name, value) for name, value in tensors.items()}
    return Raw(arrays, in_file_order=True, left_out=tuple(left_out))


def _check_zip(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [re.sub(r"^[^/]*/", "", member.filename) for member in archive.infolist()]
            if "constants.pkl" in names or any(name.startswith("code/") for name in names):
                raise LoadError(f"holds TorchScript, which is a program; {MEND}")
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise LoadError("is no file of torch's: a member of its zip is compressed")
            damaged = archive.testzip()  # torch maps the file and does not look at the checksums
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, LoadError):
            raise
        raise LoadError("is no file of torch's: the zip around its tensors is damaged") from error
    if damaged is not None:
        raise LoadError(f"is damaged: {short(damaged)} does not match its checksum")


def _why(error: Exception) -> str:
    found = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
    if found or "Unsupported" in str(error) or "weights_only" in str(error).lower():
        what = f" ({short(found[1])})" if found else ""
        return f"holds more than tensors{what}: a whole module or other objects, which are not opened; {MEND}"
    return f"could not be read by torch as tensors; {MEND}"


def _flat(value: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Everything in nested dicts and lists, with the path to it as its name."""
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        yield prefix or "0", value
        return
    if len(items) > _MAX_ITEMS:
        raise LoadError(f"must hold at most {_MAX_ITEMS:,} things by name; it holds {len(items):,}")
    for name, item in items:
        yield from _flat(item, f"{prefix}.{name}" if prefix else name, depth + 1)


def _check(tensors: Mapping[str, Any]) -> None:
    import torch

    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.is_complex():
            raise LoadError(f"must hold plain tensors; {short(name)} is sparse, quantised or complex")
    check_count(value.numel() for value in tensors.values())


def _array(name: str, value: Any) -> Values:
    value = value.detach()
    array: Values = (value.float() if value.is_floating_point() else value).numpy()
    return np.array(array)
