"""Networks as files to take home or bring along: safetensors, npz, ONNX. No pickle is opened, no torch before the end."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropclust.core.spec import RunSpec
from dropclust.service import atomic
from dropclust.service.files import npz, onnx, safetensors
from dropclust.service.files.common import MAX_FILE_BYTES, MAX_TENSORS, LoadError, canonical, short
from dropclust.service.files.tensors import Described, digest, layers_of, network_of, tensors_of

if TYPE_CHECKING:
    from dropclust.core.network import Network

__all__ = [
    "MAX_BYTES",
    "MAX_TENSORS",
    "SUFFIXES",
    "Described",
    "LoadError",
    "SaveError",
    "check_name",
    "digest",
    "from_bytes",
    "load",
    "load_with_proof",
    "save",
    "tensors_of",
    "to_bytes",
]

SUFFIXES = (".safetensors", ".npz", ".onnx")
MAX_BYTES = 20 * 2**20  # an uploaded file
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".dill")


class SaveError(OSError):
    """A file that could not be written, with one sentence why; what is there is the old file or the new one, whole."""


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

    Examples
    --------
    >>> import torch
    >>> from dropclust import Network
    >>> network = Network([torch.zeros(784, 5), torch.zeros(5, 10)], [torch.zeros(5), torch.zeros(10)])
    >>> to_bytes(network, ".npz") == to_bytes(network, ".npz")
    True
    >>> to_bytes(network, ".pt")
    Traceback (most recent call last):
    ValueError: the suffix of a network's file must be one of .safetensors, .npz, .onnx; got '.pt'
    """
    writers = dict(zip(SUFFIXES, (safetensors.pack, npz.pack, onnx.pack), strict=True))
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
    content = to_bytes(network, path.suffix.lower(), proof)
    try:
        atomic.write(path, content)
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
    return load_with_proof(path)[0]


def load_with_proof(path: str | Path) -> tuple[Network, dict[str, Any] | None]:
    """Read a network as `load` does, and the proof that this project wrote beside it, where it did.

    Raises
    ------
    LoadError
        As `load` does; `save` has an example.
    """
    path = Path(path)
    check_name(path.name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise LoadError(f"{short(path.name)} must be a file; it is a folder or a device")
        if status.st_size > MAX_FILE_BYTES:
            raise LoadError(f"{short(path.name)} must have at most {MAX_FILE_BYTES:,} bytes; it has {status.st_size:,}")
        with path.open("rb") as file:
            data = file.read(status.st_size)
    except LoadError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise LoadError(f"{short(str(path))} could not be read: {getattr(error, 'strerror', None) or error}") from error
    return _network(data, path.name)


def from_bytes(data: bytes, name: str) -> Network:
    """Read an uploaded file: `load` for at most 20 MiB of bytes whose format is told by the suffix of ``name``.

    Raises
    ------
    LoadError
        One sentence, whatever is wrong with it.

    Examples
    --------
    >>> from_bytes(b"hello", "net.h5")
    Traceback (most recent call last):
    dropclust.service.files.common.LoadError: 'net.h5' must be a .safetensors or .npz file to be read
    """
    check_name(name)
    if len(data) > MAX_BYTES:
        raise LoadError(f"{short(name)} must have at most {MAX_BYTES:,} bytes to be uploaded; it has {len(data):,}")
    return _network(data, name)[0]


def check_name(name: str) -> None:
    """Refuse a file by its name; raises `LoadError`."""
    suffix = Path(name).suffix.lower()
    if suffix in _PICKLES:
        raise LoadError(
            f"{short(name)} is not opened: a {suffix} file may be a pickle, which can run programs when it is read; "
            "save the network as .safetensors or .npz"
        )
    if suffix not in SUFFIXES[:2]:
        raise LoadError(f"{short(name)} must be a .safetensors or .npz file to be read")


def _network(data: bytes, name: str) -> tuple[Network, dict[str, Any] | None]:
    try:
        if (data[:1] == b"\x80" and data[8:9] != b"{") or (data[:2] == b"PK" and b"data.pkl" in data):
            raise LoadError("is a pickle, which can run programs when it is read, and is not opened")
        tensors, facts = (npz if Path(name).suffix.lower() == ".npz" else safetensors).read(data)
        weights, biases = layers_of(tensors)
        spec = None if facts is None or facts.get("spec") is None else RunSpec.from_json(canonical(facts["spec"]))
        proof = None if facts is None else facts.get("proof")
        return network_of(weights, biases, spec), proof if isinstance(proof, dict) else None
    except LoadError as error:
        raise LoadError(f"{short(name)} {error}") from error
    except ValueError as error:
        raise LoadError(f"{short(name)} holds what is no network of this project: {error}") from error
