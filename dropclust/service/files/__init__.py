"""Networks as files to take home or bring along, in the formats people have. Nothing in a file is ever run."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from dropclust.service import atomic
from dropclust.service.files import child, npz, onnx, safetensors, torch_file
from dropclust.service.files.common import MAX_FILE_BYTES, MAX_TENSORS, LoadError, canonical, flip_code, float32, short
from dropclust.service.files.raw import Raw
from dropclust.service.files.reading import Choices, Reading, interpret
from dropclust.service.files.scale import PIXELS, InputScale
from dropclust.service.files.tensors import Described, activation_of, digest, tensors_of

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

__all__ = [
    "LINES",
    "MAX_BYTES",
    "MAX_TENSORS",
    "READABLE",
    "SUFFIXES",
    "Choices",
    "Described",
    "InputScale",
    "LoadError",
    "Reading",
    "SaveError",
    "check_name",
    "digest",
    "from_bytes",
    "load",
    "load_with_proof",
    "read",
    "read_bytes",
    "save",
    "tensors_of",
    "to_bytes",
]

SUFFIXES = (".safetensors", ".npz", ".onnx", ".pt")  # written, none of them with torch
READABLE = (*SUFFIXES, ".pth", ".keras", ".h5", ".hdf5")
MAX_BYTES = MAX_FILE_BYTES  # an uploaded file: what Train makes can be brought back
_IN_A_CHILD = {".onnx": "onnx", ".pt": "torch", ".pth": "torch", ".keras": "keras", ".h5": "keras", ".hdf5": "keras"}
# Where a network was trained -> the line that writes what is read here.
LINES: Mapping[str, str] = MappingProxyType(
    {
        "PyTorch": "torch.save(model.state_dict(), 'net.pt')",
        "Keras": "model.save('net.keras')",
        "scikit-learn": "np.savez('net.npz', *model.coefs_, *model.intercepts_, activation=model.activation)",
        "JAX": "np.savez('net.npz', *jax.tree_util.tree_leaves(params))",
    }
)
_PICKLED = {
    ".ckpt": "PyTorch", ".bin": "PyTorch", ".dill": "PyTorch", ".pkl": "scikit-learn", ".pickle": "scikit-learn",
    ".joblib": "scikit-learn", ".skops": "scikit-learn", ".msgpack": "JAX", ".eqx": "JAX",
}  # fmt: skip


class SaveError(OSError):
    """A file that could not be written, with one sentence why; what is there is the old file or the new one, whole."""


def to_bytes(
    network: Described,
    suffix: str,
    proof: Mapping[str, Any] | None = None,
    input_scale: InputScale | None = None,
) -> bytes:
    """The file that `save` writes, as bytes.

    Parameters
    ----------
    network
        The network to write.
    suffix
        ".safetensors" (tensors ``weights.0`` to ``biases.3``, weights ``[in, out]``), ".npz" (arrays of the same names),
        ".onnx" (opset 20; input ``x`` [batch, 784], output ``logits`` [batch, 10], both float32; weights inside) or ".pt" (the
        state dict of an ``nn.Sequential``: ``0.weight`` [out, in], ``0.bias``, ``2.weight`` ..).
        In each but the last, spec, proof, activation and input scale stand as one JSON text named ``dropclust``, in npz as an
        array of its bytes.
    proof
        What is known about the network, as JSON values, or None.
    input_scale
        What the file's network takes for a picture; None: pixels from 0 to 1.

    Raises
    ------
    ValueError
        One sentence, when the suffix is another or the proof is not JSON.

    Examples
    --------
    >>> import torch
    >>> from dropclust import Network
    >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
    >>> to_bytes(network, ".npz") == to_bytes(network, ".npz")
    True
    >>> to_bytes(network, ".bin")
    Traceback (most recent call last):
    ValueError: the suffix of a network's file must be one of .safetensors, .npz, .onnx, .pt; got '.bin'
    """
    if suffix not in SUFFIXES:
        raise ValueError(f"the suffix of a network's file must be one of {', '.join(SUFFIXES)}; got {suffix!r}")
    try:
        proof = None if proof is None else json.loads(canonical(dict(proof)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"proof must be a dict of JSON values without NaN; got {str(proof)[:80]!r}") from error
    spec = None if network.spec is None else json.loads(network.spec.to_json())
    tensors = tensors_of(network)
    if input_scale is not None and input_scale.name != PIXELS:
        weight, bias = input_scale.unfolded(tensors["weights.0"], tensors["biases.0"])
        tensors |= {"weights.0": np.ascontiguousarray(float32(weight)), "biases.0": float32(bias)}
    facts = {
        "format": "dropclust network 1",
        "spec": spec,
        "proof": proof,
        "activation": activation_of(network),
        "input_scale": PIXELS if input_scale is None else input_scale.name,
        "flip_code": flip_code(tensors),
    }
    if suffix == ".pt":
        return torch_file.pack(tensors)
    if suffix == ".onnx":
        return onnx.pack(facts, tensors)
    return npz.pack(facts, tensors) if suffix == ".npz" else safetensors.pack(facts, tensors)


def save(
    network: Described,
    path: str | Path,
    proof: Mapping[str, Any] | None = None,
    input_scale: InputScale | None = None,
) -> None:
    """Write a network to a file, whole or not at all; `to_bytes` says what is in it.

    Parameters
    ----------
    network
        The network to write.
    path
        Where to; its suffix (.safetensors, .npz, .onnx, .pt) decides the format. A file that is there is replaced.
    proof
        What is known about the network, as JSON values, or None.
    input_scale
        What the file's network takes for a picture; None: pixels from 0 to 1.

    Raises
    ------
    ValueError
        One sentence, when the suffix is another or the proof is not JSON.
    SaveError
        One sentence, when the file cannot be written; what is there is the old file or the new one, whole.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from dropclust import Network
    >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(network, f"{folder}/net.npz", {"note": "all zeros"})
    ...     load_with_proof(f"{folder}/net.npz")[1]
    {'note': 'all zeros'}
    """
    path = Path(path)
    content = to_bytes(network, path.suffix.lower(), proof, input_scale)
    try:
        atomic.write(path, content)
    except OSError as error:
        raise SaveError(f"{str(path)!r} could not be written: {error.strerror or error}") from error


def load(path: str | Path) -> Network:
    """Read a network from a file of this project or of anybody else.

    Parameters
    ----------
    path
        A file of at most 64 MiB that holds a perceptron with 784 inputs and one to six hidden layers, in one of the formats
        of `READABLE`. What it does not say (the order of equal layers, what it takes for a picture, its activation) is found
        out on held-out images: `read` tells how. Float16, bfloat16 and float64 become float32.

    Returns
    -------
    Network
        For pixels from 0 to 1; with its ``spec`` where this project wrote the file, and None otherwise.

    Raises
    ------
    LoadError
        One sentence, whatever is wrong with the file.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from dropclust import Network
    >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(network, f"{folder}/net.safetensors")
    ...     load(f"{folder}/net.safetensors").hidden
    (5,)
    """
    return _read_path(path, Choices(), None, measure=False).network


def load_with_proof(path: str | Path) -> tuple[Network, dict[str, Any] | None]:
    """Read a network as `load` does, and the proof that this project wrote beside it, where it did and where it still applies.

    Raises
    ------
    LoadError
        As `load` does; `save` has an example.
    """
    reading = _read_path(path, Choices(), None, measure=False)
    return reading.network, reading.proof


def read(path: str | Path, choices: Choices | None = None, data: Data | None = None) -> Reading:
    """Read a network as `load` does, with the report of how, and its accuracy on held-out images.

    Parameters
    ----------
    path
        The file.
    choices
        What a person says where the file does not.
    data
        Images to look with; None takes MNIST's.

    Raises
    ------
    LoadError
        As `load` does, and when a choice is none of those there are.
    """
    return _read_path(path, choices or Choices(), data, measure=True)


def _read_path(path: str | Path, choices: Choices, data: Data | None, measure: bool) -> Reading:
    path = Path(path)
    check_name(path.name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise LoadError(f"{short(path.name)} must be a file; it is a folder or a device")
        if status.st_size > MAX_FILE_BYTES:
            raise LoadError(f"{short(path.name)} must have at most {MAX_FILE_BYTES:,} bytes; it has {status.st_size:,}")
        with path.open("rb") as file:
            content = file.read(status.st_size)
    except LoadError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise LoadError(f"{short(str(path))} could not be read: {getattr(error, 'strerror', None) or error}") from error
    return _reading(content, path.name, choices, data, measure)


def from_bytes(data: bytes, name: str) -> Network:
    """Read an uploaded file: `load` for at most 64 MiB of bytes whose format is told by the suffix of ``name``.

    Raises
    ------
    LoadError
        One sentence, whatever is wrong with it.

    Examples
    --------
    >>> from_bytes(b"", "net.safetensors")
    Traceback (most recent call last):
    dropclust.service.files.common.LoadError: 'net.safetensors' is no safetensors file: its header must have 2 to 1,048,576 \
bytes and declares 0
    """
    _check_upload(data, name)
    return _reading(data, name, Choices(), None, measure=False).network


def read_bytes(data: bytes, name: str, choices: Choices | None = None, images: Data | None = None) -> Reading:
    """Read an uploaded file as `read` does a path.

    Raises
    ------
    LoadError
        One sentence, whatever is wrong with it.
    """
    _check_upload(data, name)
    return _reading(data, name, choices or Choices(), images, measure=True)


def _check_upload(data: bytes, name: str) -> None:
    check_name(name)
    if len(data) > MAX_BYTES:
        raise LoadError(f"{short(name)} must have at most {MAX_BYTES:,} bytes to be uploaded; it has {len(data):,}")


def check_name(name: str) -> None:
    """Refuse a file by its name; raises `LoadError`."""
    suffix = Path(name).suffix.lower()
    if suffix in _PICKLED:
        raise LoadError(
            f"{short(name)} is not opened: a {suffix} file may be a pickle, which can run programs when it is read; "
            f"{LINES[_PICKLED[suffix]]} writes what is read here"
        )
    if suffix not in READABLE:
        raise LoadError(f"{short(name)} must be a file of one of these kinds to be read: {', '.join(READABLE)}")


def _reading(content: bytes, name: str, choices: Choices, data: Data | None, measure: bool) -> Reading:
    suffix = Path(name).suffix.lower()
    try:
        with np.errstate(all="ignore"):  # what overflows becomes infinite, and `Network` refuses it
            raw = _raw(content, suffix)
            images = data if data is not None else _mnist() if measure or raw.facts is None or choices.any else None
            return interpret(raw, choices, images, measure, name)
    except LoadError as error:
        raise LoadError(f"{short(name)} {error}") from error
    except ValueError as error:
        raise LoadError(f"{short(name)} holds what is no network of this project: {error}") from error


def _raw(content: bytes, suffix: str) -> Raw:
    if suffix in _IN_A_CHILD:
        return child.read(_IN_A_CHILD[suffix], content)
    if (content[:1] == b"\x80" and content[8:9] != b"{") or (content[:2] == b"PK" and b"data.pkl" in content):
        raise LoadError(
            "is a pickle, which can run programs when it is read, and is not opened; a file of torch's is named .pt"
        )
    return npz.read(content) if suffix == ".npz" else safetensors.read(content)


def _mnist() -> Data | None:
    """MNIST, or None where it is not there: a file is then read as it was brought."""
    from dropclust.core import mnist

    try:
        return mnist.load()
    except FileNotFoundError:
        return None
