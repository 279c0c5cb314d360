"""Networks as files to take home or bring along: safetensors, npz, ONNX. No pickle is opened, no torch before the end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from dropclust.core.spec import INPUTS, OUTPUTS, RunSpec

if TYPE_CHECKING:
    from dropclust.core.network import Network

Array = npt.NDArray[np.float32]

SUFFIXES = (".safetensors", ".npz", ".onnx")
ONNX_OPSET, ONNX_IR = 17, 8  # fixed, so that a file does not change with the onnx package; runtimes since 2022 read them
MAX_BYTES = 20 * 2**20  # an uploaded file
MAX_FILE_BYTES = 64 * 2**20  # a file on this machine, and a stored run
MAX_HEADER_BYTES = 2**20
MAX_PARAMETERS = 10_000_000  # 2000-2000-2000, the widest network of this project, has 9.6 million
MAX_TENSORS = 14  # seven layers
_MARK = "dropclust"  # the metadata key, and a word of the text under it: one flipped bit cannot hide both
_TEMPORARY = (".dropclust-", ".tmp")
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".dill")
_FLOATS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
# The header of a .npy as its format asks for it: keys in alphabetical order (numpy.lib.format).
_NPY = re.compile(
    rb"\{'descr': ?'([<>|=][a-zA-Z]\d{1,4})', ?'fortran_order': ?(True|False), ?'shape': ?\(([\d, ]{0,60})\),? ?\}\s*"
)
_PIECE = 2**17  # numbers unpacked at a time
_NPY_MAGIC_BYTES, _NPY_MAX_HEADER_BYTES = 8, 4096
# The word of a tensor's name that tells a weight from a bias; what is left names the layer.
_KIND = re.compile(r"weights?|biases|bias|kernels?|coefs?|intercepts?|(?<![a-z])[wb](?![a-z])", re.IGNORECASE)


class LoadError(ValueError):
    """A file that is not a network this project reads: one sentence says why."""


class SaveError(OSError):
    """A file that could not be written, with one sentence why; what is there is the old file or the new one, whole."""


def canonical(value: object) -> str:
    """JSON with sorted names and no spaces, ASCII only, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse_json(text: str) -> Any:
    """Read JSON as strictly as a file from outside deserves.

    Raises
    ------
    LoadError
        On text that is not JSON, on NaN and on a name that stands twice.
    """

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(members := dict(items)) != len(items):
            raise ValueError("a name stands twice")
        return members

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise LoadError("has a header or description that is not valid JSON") from error


def tensor_digest(tensors: Mapping[str, Array]) -> str:
    """SHA-256 over names, shapes and little-endian float32 bytes, in the order of the names: 64 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(canonical([name, list(tensors[name].shape)]).encode("ascii"))
        digest.update(np.ascontiguousarray(tensors[name], "<f4").tobytes())
    return digest.hexdigest()


def seal(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """Canonical JSON of ``facts`` with two digests more: of the tensors and, sorted first, of all the rest of the JSON.

    They find damage, not forgery: whoever changes a file on purpose can write new digests.
    """
    rest = canonical({**facts, "tensors_sha256": tensor_digest(tensors)})
    return _sealed(hashlib.sha256(rest.encode("ascii")).hexdigest(), rest)


def _sealed(sha256: str, rest: str) -> str:
    return f'{{"_sha256":"{sha256}",{rest[1:]}'


def unseal(text: str) -> dict[str, Any]:
    """Read the facts back that `seal` wrote, ``tensors_sha256`` among them, and check the JSON's own digest.

    Raises
    ------
    LoadError
        When any character is not as it was written.
    """
    begins = len(_sealed("0" * 64, "{"))
    rest = "{" + text[begins:]
    if text != _sealed(hashlib.sha256(rest.encode("utf-8", "replace")).hexdigest(), rest):
        raise LoadError("is damaged: its description does not match its checksum")
    facts = parse_json(rest)
    if not isinstance(facts.get("tensors_sha256"), str):
        raise LoadError("is damaged: its description names no checksum of the weights")
    return dict(facts)


def check_tensors(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    """Raise `LoadError` unless the tensors are those that were sealed."""
    if tensor_digest(tensors) != facts["tensors_sha256"]:
        raise LoadError("is damaged: its weights do not match their checksum")


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
    header: dict[str, Any] = {"__metadata__": {_MARK: text}}
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
        raise LoadError(
            f"must hold at most {MAX_TENSORS} tensors, a weight and a bias for each of seven layers; got {len(header)}"
        )
    entries = {name: _entry(name, value) for name, value in header.items()}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        if entry[2] != end:
            raise LoadError(f"is no safetensors file: tensor {_short(name)} overlaps another or leaves a gap before it")
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
        raise LoadError(f"is no safetensors file: the header's entry for {_short(name)} is not a tensor") from error
    if dtype not in _FLOATS:
        raise LoadError(f"must hold tensors of type {', '.join(_FLOATS)}; {_short(name)} is {_short(dtype)}")
    if len(shape) > 2 or end - begin != np.dtype(_FLOATS[dtype]).itemsize * math.prod(shape):
        raise LoadError(f"must hold whole matrices and vectors; {_short(name)} does not have the bytes that its shape needs")
    return dtype, tuple(shape), begin, end


def own_facts(header: Header) -> dict[str, Any] | None:
    """The facts of a file that this project wrote, None for another's.

    Raises
    ------
    LoadError
        When it is ours and any bit of its header is not as it was written.
    """
    if not any(_MARK in text for item in header.metadata.items() for text in item):
        return None
    text = header.metadata.get(_MARK, "")
    facts = unseal(text)
    if header.raw != _header_bytes({name: entry[1] for name, entry in header.entries.items()}, text):
        raise LoadError("is damaged: its header is not as it was written")
    return facts


def read_tensors(header: Header, data: bytes) -> dict[str, Array]:
    """All tensors of the file ``data`` as float32; those that are float32 already share its memory and are read-only.

    Raises
    ------
    LoadError
        On more than ten million numbers.
    """
    _check_count(math.prod(shape) for _, shape, _, _ in header.entries.values())
    view = memoryview(data)[header.data_begins :]
    tensors = {}
    for name, (dtype, shape, begin, end) in header.entries.items():
        raw = np.frombuffer(view[begin:end], _FLOATS[dtype])
        if dtype == "BF16":  # the upper half of a float32
            raw = (raw.astype("<u4") << 16).view("<f4")
        tensors[name] = _float32(raw).reshape(shape)
    return tensors


def _float32(values: npt.NDArray[Any]) -> Array:
    with np.errstate(all="ignore"):  # what overflows becomes infinite, and `Network` refuses it
        return values.astype(np.float32, copy=False)


def _check_count(counts: Iterable[int]) -> None:
    if (count := sum(counts)) > MAX_PARAMETERS:
        raise LoadError(f"must hold at most {MAX_PARAMETERS:,} numbers; got {count:,}")


def _pack_npz(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {name: np.ascontiguousarray(tensors[name], "<f4") for name in sorted(tensors)}
    arrays[_MARK] = np.frombuffer(seal(facts, tensors).encode("ascii"), np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980 whenever it is written: equal networks, equal bytes
            member.create_system = 3
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(member, content.getvalue())
    return file.getvalue()


def _read_npz(data: bytes) -> tuple[dict[str, Array], dict[str, Any] | None]:
    # Every entry of a zip's directory begins with these four bytes, so that counting them bounds the directory unread.
    if data.count(b"PK\x01\x02") > 2 * MAX_TENSORS:
        raise LoadError(f"must hold at most {MAX_TENSORS + 1} arrays; its directory lists more")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            heads = {member.filename: _npy_head(archive, member) for member in members}
            _check_count(math.prod(shape) for _, _, shape, _ in heads.values())
            arrays = {
                member.filename.removesuffix(".npy"): _npy_array(archive, member, *heads[member.filename]) for member in members
            }
    except LoadError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise LoadError("is no readable npz: the zip around its arrays is damaged or of another kind") from error
    text = arrays.pop(_MARK, None)
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
        raise LoadError(f"must hold arrays only (.npy), each once and at most {MAX_TENSORS + 1}; got {_short(*names)}")
    if (declared := sum(member.file_size for member in members)) > 8 * MAX_PARAMETERS + 2 * MAX_HEADER_BYTES:
        raise LoadError(f"must unpack to at most {MAX_PARAMETERS:,} numbers; it declares {declared:,} bytes")
    if any(
        member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members
    ):
        raise LoadError("must be stored or deflated, as numpy writes it; got another compression or a password")


def _npy_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, str, tuple[int, ...], int]:
    """Numpy dtype, order ("C" or "F"), shape, and where the numbers begin; read without unpacking the numbers."""
    shown = _short(member.filename)
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
    is_text = member.filename == f"{_MARK}.npy"
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
                raise LoadError(f"must hold whole arrays; {_short(member.filename)} is cut short")
            with np.errstate(all="ignore"):
                part[:] = np.frombuffer(content, dtype)
        file.read(1)  # at the end the zip's own checksum is looked at
    return values.reshape(shape, order=order)


def _pack_onnx(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    import onnx
    from onnx import helper, numpy_helper

    layers = len(tensors) // 2
    nodes, value = [], "x"
    for layer in range(layers):
        last = layer == layers - 1
        product = "logits" if last else f"sum.{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"weights.{layer}", f"biases.{layer}"], [product]))
        if not last:
            value = f"hidden.{layer}"
            nodes.append(helper.make_node("Relu", [product], [value]))
    graph = helper.make_graph(
        nodes,
        _MARK,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", OUTPUTS])],
        [numpy_helper.from_array(np.ascontiguousarray(tensors[name], "<f4"), name) for name in sorted(tensors)],
    )
    model = helper.make_model(
        graph, producer_name=_MARK, ir_version=ONNX_IR, opset_imports=[helper.make_opsetid("", ONNX_OPSET)]
    )
    helper.set_model_props(model, {_MARK: seal(facts, tensors)})
    return bytes(model.SerializeToString(deterministic=True))


def _natural(name: str) -> list[Any]:
    """A key that sorts fc2 before fc10: digits compare as numbers, by length first."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(digits := part.lstrip("0")), digits) if odd % 2 else part for odd, part in enumerate(parts)]


def _layer_name(name: str) -> str:
    """The name without its last word for weight or bias, if it has one."""
    kinds = list(_KIND.finditer(name))
    return name[: kinds[-1].start()] + name[kinds[-1].end() :] if kinds else name


def layers_of(tensors: Mapping[str, Array]) -> tuple[list[Array], list[Array]]:
    """Sort named tensors into weights ``[in, out]`` and biases ``[out]``, first layer first.

    A weight belongs to the bias of the same name but for the word (``fc1.weight`` and ``fc1.bias``, ``W1`` and ``b1``,
    ``weights.0`` and ``biases.0``); where no name has such a word (``arr_0``, ``arr_1``) they pair in order. Layers stand in
    the order of their names, digits as numbers. All weights of a file lie the same way round: as they are when they lead
    from 784 to 10 like that, and else transposed, which is how torch stores ``fc1.weight``, ``[out, in]``. As 784 is not 10,
    no chain of layers fits both ways, so that a square weight is turned as its neighbours are: torch's names always
    mean ``[out, in]``.

    Raises
    ------
    LoadError
        When the tensors do not pair up or do not lead from 784 inputs to 10 outputs.
    """
    nameless = not any(_KIND.search(name) for name in tensors)
    ranked: dict[int, dict[str, Array]] = {1: {}, 2: {}}
    for name in sorted(tensors, key=lambda name: _natural(_layer_name(name))):
        ranked.setdefault(tensors[name].ndim, {})[_layer_name(name)] = tensors[name]
    vectors, matrices = ranked[1], ranked[2]
    paired = len(vectors) == len(matrices) if nameless else vectors.keys() == matrices.keys()
    if not paired or len(vectors) + len(matrices) != len(tensors):  # unequal: a name stands twice, or a third rank
        raise LoadError(
            "must hold one weight matrix and one bias vector a layer, named alike (fc1.weight and fc1.bias); "
            f"got {_short(*sorted(tensors, key=_natural))}"
        )
    weights, biases = list(matrices.values()), list(vectors.values())
    for turned in (weights, [weight.T for weight in weights]):
        widths = [INPUTS, *(weight.shape[1] for weight in turned)]
        if widths[:-1] == [weight.shape[0] for weight in turned] and widths[-1] == OUTPUTS:
            return turned, biases
    shapes = ", ".join("x".join(map(str, weight.shape)) for weight in weights)
    raise LoadError(f"must lead from {INPUTS} inputs to {OUTPUTS} outputs, each layer fitting the next; got weights {shapes}")


def _short(*names: str) -> str:
    """Names from outside, fit for one line of text."""
    text = ", ".join(ascii(name[:60]) for name in names[:6])
    return text + (f" and {len(names) - 6} more" if len(names) > 6 else "")


class Described(Protocol):
    """What is written of a network: a `Network` has it, and so has a stored run that never saw torch."""

    @property
    def weights(self) -> Sequence[Any]:
        """One ``[in, out]`` a layer, tensor or array."""

    @property
    def biases(self) -> Sequence[Any]:
        """One ``[out]`` a layer, tensor or array."""

    @property
    def spec(self) -> RunSpec | None:
        """The run that made it."""


def tensors_of(network: Described) -> dict[str, Array]:
    """``weights.0`` to ``biases.n`` as float32 arrays on the CPU, weights ``[in, out]``."""
    return {
        f"{kind}.{layer}": np.ascontiguousarray(
            tensor if isinstance(tensor, np.ndarray) else tensor.detach().cpu().numpy(), "<f4"
        )
        for kind, tensors in (("weights", network.weights), ("biases", network.biases))
        for layer, tensor in enumerate(tensors)
    }


def digest(network: Described) -> str:
    """SHA-256 of weights and biases, 64 hex digits: the same for a network in any of the three formats."""
    return tensor_digest(tensors_of(network))


def to_bytes(network: Described, suffix: str, proof: Mapping[str, Any] | None = None) -> bytes:
    """The file that `save` writes, as bytes.

    Parameters
    ----------
    network
        The network to write.
    suffix
        ".safetensors" (tensors ``weights.0`` to ``biases.3``, weights ``[in, out]``), ".npz" (arrays of the same names) or
        ".onnx" (opset 17; input ``x`` [batch, 784], output ``logits`` [batch, 10], both float32; weights inside).
        In each, spec and proof stand as one JSON text named ``dropclust``, in npz as an array of its bytes.
    proof
        What is known about the network, as JSON values, or None.

    Raises
    ------
    ValueError
        One sentence, when the suffix is another or the proof is not JSON.
    """
    writers = dict(zip(SUFFIXES, (pack, _pack_npz, _pack_onnx), strict=True))
    if suffix not in writers:
        raise ValueError(f"the suffix of a network's file must be one of {', '.join(SUFFIXES)}; got {suffix!r}")
    try:
        proof = None if proof is None else json.loads(canonical(dict(proof)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"proof must be a dict of JSON values without NaN; got {str(proof)[:80]!r}") from error
    spec = None if network.spec is None else json.loads(network.spec.to_json())
    return writers[suffix]({"format": "dropclust network 1", "spec": spec, "proof": proof}, tensors_of(network))


def save(network: Described, path: str | Path, proof: Mapping[str, Any] | None = None) -> None:
    """Write a network to a file, whole or not at all; `to_bytes` says what is in it.

    Parameters
    ----------
    network
        The network to write.
    path
        Where to; its suffix (.safetensors, .npz, .onnx) decides the format. A file that is there is replaced.
    proof
        What is known about the network, as JSON values, or None.

    Raises
    ------
    ValueError
        One sentence, when the suffix is another or the proof is not JSON.
    SaveError
        One sentence, when the file cannot be written; what is there is the old file or the new one, whole.
    """
    path = Path(path)
    content = to_bytes(network, path.suffix.lower(), proof)
    try:
        temporary = write_temporary(path.parent, content)
        try:
            temporary.replace(path)
        except BaseException:
            discard(temporary)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise SaveError(f"{str(path)!r} could not be written: {error.strerror or error}") from error


def load(path: str | Path) -> Network:
    """Read a network from a file of this project or of anybody else.

    Parameters
    ----------
    path
        A .safetensors or .npz file of at most 64 MiB that holds a perceptron with ReLU, 784 inputs, one to six hidden layers
        and 10 outputs; `layers_of` says which names and orientations are understood. Float16, bfloat16 and float64
        become float32.

    Returns
    -------
    Network
        With its ``spec`` where this project wrote the file, and None otherwise.

    Raises
    ------
    LoadError
        One sentence, whatever is wrong with the file. A pickle is refused by its name and by its first bytes, never opened.
    """
    return load_with_proof(path)[0]


def load_with_proof(path: str | Path) -> tuple[Network, dict[str, Any] | None]:
    """Read a network as `load` does, and the proof that this project wrote beside it, where it did.

    Raises
    ------
    LoadError
        As `load` does.
    """
    path = Path(path)
    _check_name(path.name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise LoadError(f"{_short(path.name)} must be a file; it is a folder or a device")
        if status.st_size > MAX_FILE_BYTES:
            raise LoadError(f"{_short(path.name)} must have at most {MAX_FILE_BYTES:,} bytes; it has {status.st_size:,}")
        with path.open("rb") as file:
            data = file.read(status.st_size)
    except LoadError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise LoadError(f"{_short(str(path))} could not be read: {getattr(error, 'strerror', None) or error}") from error
    return _network(data, path.name)


def from_bytes(data: bytes, name: str) -> Network:
    """Read an uploaded file: `load` for at most 20 MiB of bytes whose format is told by the suffix of ``name``.

    Raises
    ------
    LoadError
        One sentence, whatever is wrong with it.
    """
    _check_name(name)
    if len(data) > MAX_BYTES:
        raise LoadError(f"{_short(name)} must have at most {MAX_BYTES:,} bytes to be uploaded; it has {len(data):,}")
    return _network(data, name)[0]


def _check_name(name: str) -> None:
    suffix = Path(name).suffix.lower()
    if suffix in _PICKLES:
        raise LoadError(
            f"{_short(name)} is not opened: a {suffix} file may be a pickle, which can run programs when it is read; "
            "save the network as .safetensors or .npz"
        )
    if suffix not in SUFFIXES[:2]:
        raise LoadError(f"{_short(name)} must be a .safetensors or .npz file to be read")


def _network(data: bytes, name: str) -> tuple[Network, dict[str, Any] | None]:
    try:
        if (data[:1] == b"\x80" and data[8:9] != b"{") or (data[:2] == b"PK" and b"data.pkl" in data):
            raise LoadError("is a pickle, which can run programs when it is read, and is not opened")
        if Path(name).suffix.lower() == ".npz":
            tensors, facts = _read_npz(data)
        else:
            header = read_header(io.BytesIO(data), len(data))
            facts = own_facts(header)
            tensors = read_tensors(header, data)
            if facts is not None:
                check_tensors(facts, tensors)
        weights, biases = layers_of(tensors)
        spec = None if facts is None or facts.get("spec") is None else RunSpec.from_json(canonical(facts["spec"]))
        proof = None if facts is None else facts.get("proof")
        return network_of(weights, biases, spec), proof if isinstance(proof, dict) else None
    except LoadError as error:
        raise LoadError(f"{_short(name)} {error}") from error
    except ValueError as error:
        raise LoadError(f"{_short(name)} holds what is no network of this project: {error}") from error


def network_of(weights: Iterable[Array], biases: Iterable[Array], spec: RunSpec | None) -> Network:
    """A core network with its own memory from arrays ``[in, out]`` and ``[out]``; this is where torch is imported."""
    import torch

    from dropclust.core.network import Network

    return Network(
        [torch.from_numpy(np.array(weight, np.float32, order="C")) for weight in weights],
        [torch.from_numpy(np.array(bias, np.float32)) for bias in biases],
        spec,
    )


def write_temporary(folder: Path, content: bytes) -> Path:
    """Write bytes to a new file ``.dropclust-*.tmp`` in ``folder``, down to the disk, ready to be renamed.

    Raises
    ------
    OSError
        As the system says; the file is gone then.
    """
    path = folder / f"{_TEMPORARY[0]}{os.getpid()}-{secrets.token_hex(8)}{_TEMPORARY[1]}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        discard(path)
        raise
    return path


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of one that `write_temporary` makes."""
    return path.name.startswith(_TEMPORARY[0]) and path.name.endswith(_TEMPORARY[1])


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder last through a power cut, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a temporary file if that can be done."""
    with contextlib.suppress(OSError):
        path.unlink()
