"""Mutated files for `load`: `python -m tests.service.fuzz_load --seconds 60` counts what became of them, format by format.

Readers that have a process of their own are called in this one, so that what they raise is seen, and none looks at images;
that of HDF5 is called in a fork with a child's limits.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import random
import resource
import struct
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from unittest import mock

import numpy as np
import safetensors.numpy
import torch

from dropclust.core.network import Network
from dropclust.core.spec import RunSpec
from dropclust.service import files as files_of_people
from dropclust.service.files import LoadError, child, from_bytes, onnx, to_bytes, torch_file
from dropclust.service.files.raw import Raw, pack, unpack
from tests.service.files import keras_files

SUFFIXES = (".safetensors", ".npz", ".onnx", ".pt", ".keras", ".h5")

_LIMITED, _RAISED = 71, 70  # exit codes of a fork


class Limited(LoadError):
    """A reader that its limits ended, or a crash of its library: a viewer reads one sentence."""


# What a reader of zip, npy or JSON looks for.
WORDS = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\x93NUMPY", b"'<f4'", b"'|O'", b"F32", b"F64", b"BF16"]
WORDS += [b"(784, 8)", b"[784,8]", b"[1e999]", b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"dropclust", b"weights", b"{", b"[", b"-1"]


def corpus() -> list[tuple[str, bytes]]:
    """Real files: our own and others', both formats, compressed too."""
    generator = torch.Generator().manual_seed(0)
    files = []
    for hidden in ((3, 2, 4), (2,), (4, 4, 4, 4, 4, 4)):
        widths = (784, *hidden, 10)
        weights = [torch.randn(a, b, generator=generator) for a, b in itertools.pairwise(widths)]
        biases = [torch.randn(b, generator=generator) for b in widths[1:]]
        spec = RunSpec(hidden=hidden) if len(hidden) == 3 else None
        network = Network(weights, biases, spec)
        files += [(f"own{suffix}", to_bytes(network, suffix, {"a": 1})) for suffix in (".safetensors", ".npz")]
        named = {f"fc{layer}.weight": np.ascontiguousarray(weight.numpy().T) for layer, weight in enumerate(weights)}
        named |= {f"fc{layer}.bias": bias.numpy() for layer, bias in enumerate(biases)}
        files.append(("other.safetensors", safetensors.numpy.save(named)))
        for dtype in (np.float16, np.float64):
            arrays = {name: array.astype(dtype) for name, array in named.items()}
            files.append(("other.safetensors", safetensors.numpy.save(arrays)))
            for write in (np.savez, np.savez_compressed):
                write(file := io.BytesIO(), **arrays)
                files.append(("other.npz", file.getvalue()))
        layers = [(weight.numpy(), bias.numpy()) for weight, bias in zip(weights, biases, strict=True)]
        files += [("own.onnx", to_bytes(network, ".onnx", {"a": 1})), ("own.pt", to_bytes(network, ".pt"))]
        files.append(("other.onnx", foreign_onnx(named)))
        files += [
            ("other.h5", hdf5(named)),
            ("model.h5", keras_files.hdf5(layers)),
            ("model.keras", keras_files.zipped(layers)),
        ]
    return files


def foreign_onnx(named: dict[str, np.ndarray]) -> bytes:
    """A graph of MatMul, Add and Sigmoid times itself, as an exporter writes SiLU."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, value, layers = [], "x", len(named) // 2
    for layer in range(layers):
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Add", [f"m{layer}", f"fc{layer}.bias"], [f"a{layer}"]))
        nodes.append(helper.make_node("Sigmoid", [f"a{layer}"], [f"s{layer}"]))
        nodes.append(helper.make_node("Mul", [f"a{layer}", f"s{layer}"], [f"h{layer}"]))
        value = f"h{layer}"
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(array.T), name.replace("fc", "w").removesuffix(".weight"))
        if name.endswith("weight")
        else numpy_helper.from_array(array, name)
        for name, array in named.items()
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 784])]
    outputs = [helper.make_tensor_value_info(f"a{layers - 1}", TensorProto.FLOAT, ["n", 10])]
    return bytes(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, constants)).SerializeToString())


def hdf5(named: dict[str, np.ndarray]) -> bytes:
    """An HDF5 file of arrays."""
    import h5py

    with h5py.File(file := io.BytesIO(), "w") as written:
        for name, array in named.items():
            written.create_dataset(name, data=array, compression="gzip")
    return file.getvalue()


def _here(kind: str, data: bytes) -> Raw:
    """What a child does: in this process, also that its answer travels; for HDF5, which may loop for ever, in a fork of it."""
    return _forked(data) if kind == "keras" else unpack(pack({"onnx": onnx.read, "torch": torch_file.read}[kind](data)))


def _forked(data: bytes) -> Raw:
    """`child.main` in a fork, with its limits, so that no file waits for an interpreter to start."""
    with TemporaryFile() as given, TemporaryFile() as answer:
        given.write(data)
        given.seek(0)
        if (pid := os.fork()) == 0:
            try:
                for number, file in ((0, given.fileno()), (1, answer.fileno()), (2, os.open(os.devnull, os.O_WRONLY))):
                    os.dup2(file, number)
                sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
                child.main("keras")
            except MemoryError:
                os._exit(_LIMITED)
            finally:
                os._exit(_RAISED)
        _, status = os.waitpid(pid, 0)
        answer.seek(0)
        said = answer.read()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and said[:1] == b"+":
        return unpack(said[1:])
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and said[:1] == b"-":
        raise LoadError(said[1:].decode())
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _RAISED:
        raise AssertionError("the reader raised something else than LoadError")
    raise Limited(f"ended by status {status}")


def _places(data: bytes) -> list[int]:
    """Where the structure of a file is: beginnings, ends, headers of a zip's members."""
    found = [0, 8, len(data)]
    for word in (b"PK", b"NUMPY", b'"', b"'"):
        begin = data.find(word)
        while begin >= 0 and len(found) < 500:
            found.append(begin)
            begin = data.find(word, begin + 1)
    return found


def _near(random_: random.Random, data: bytes) -> int:
    """A position, most often in or after the structure and not among the weights."""
    if random_.random() < 0.8:
        return min(max(random_.choice(_places(data)) + random_.randrange(-4, 60), 0), len(data))
    return random_.randrange(len(data) + 1)


def flip(random_: random.Random, data: bytes) -> bytes:
    """One bit flipped."""
    at = min(_near(random_, data), len(data) - 1)
    return data[:at] + bytes([data[at] ^ 1 << random_.randrange(8)]) + data[at + 1 :] if data else data


def cut(random_: random.Random, data: bytes) -> bytes:
    """A part gone, or all after a place."""
    at = _near(random_, data)
    return data[:at] + (data[at + random_.randrange(200) :] if random_.random() < 0.5 else b"")


def insert(random_: random.Random, data: bytes) -> bytes:
    """A word that means something put in or written over."""
    at, word = _near(random_, data), random_.choice(WORDS)
    return data[:at] + word + data[at + (len(word) if random_.random() < 0.5 else 0) :]


def number(random_: random.Random, data: bytes) -> bytes:
    """A binary number written over: small, huge or at a limit."""
    at, kind = _near(random_, data), random_.choice(["<H", "<I", "<Q"])
    limit = 256 ** struct.calcsize(kind)
    value = random_.choice([0, 1, limit - 1, limit // 2, limit - 2, random_.randrange(limit), random_.randrange(256)])
    return data[:at] + struct.pack(kind, value) + data[at + struct.calcsize(kind) :]


def digits(random_: random.Random, data: bytes) -> bytes:
    """A digit of a header made another, or many."""
    found = [at for at in range(min(len(data), 3000)) if data[at : at + 1].isdigit()]
    if not found:
        return data
    at = random_.choice(found)
    return data[:at] + random_.choice([b"0", b"9", b"-1", b"99999999999", b"1e9", b"9" * 5000]) + data[at + 1 :]


def repeat(random_: random.Random, data: bytes) -> bytes:
    """A piece of the file copied elsewhere in it, up to many times."""
    begin, at = _near(random_, data), _near(random_, data)
    return data[:at] + data[begin : begin + random_.randrange(1, 300)] * random_.choice([1, 1, 2, 100]) + data[at:]


def bomb(random_: random.Random, data: bytes) -> bytes:
    """A small deflated npz that unpacks to much, under headers that may or may not say so."""
    count = random_.choice([10**5, 9_999_000, 10_000_001, 2 * 10**7])
    shape = random_.choice([f"({count},)", f"({count // 784}, 784)", "(784, 8)"])
    header = f"{{'descr': '<f{random_.choice([2, 4, 8])}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        rest = random_.choice([2, 4, 8]) * count
        with archive.open("weights.0.npy", "w") as member:
            member.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
            for begin in range(0, rest, 2**20):  # in pieces: the memory to be measured is the reader's
                member.write(bytes(min(2**20, rest - begin)))
    return flip(random_, file.getvalue()) if random_.random() < 0.5 else file.getvalue()


def splice(random_: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """The beginning of one file and the end of another."""
    return data[: _near(random_, data)] + other[_near(random_, other) :]


def inside(random_: random.Random, data: bytes) -> bytes:
    """A member of a zip changed, under a checksum that is right; another file stays as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file := io.BytesIO(), "w") as after:
            members = {name: before.read(name) for name in before.namelist()}
            name = random_.choice(list(members))
            members[name] = random_.choice(MUTATIONS)(random_, members[name])
            for member, content in members.items():
                after.writestr(member, content)
    except Exception:
        return data
    return file.getvalue()


MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [
    flip, flip, cut, insert, insert, number, number, digits, repeat, splice,
]  # fmt: skip


def fuzz(files: int | None = None, seconds: float | None = None, seed: int = 0, suffix: str = "") -> Counter[str]:
    """Give mutated files to `from_bytes`, so many or for so many seconds of a processor; count what became of them.

    Any exception but `LoadError`, and any sentence of two lines, ends it.
    """
    random_, tally = random.Random(seed), Counter[str]()
    asked = [suffix] if suffix else [".npz", ".safetensors", ".onnx", ".pt"]
    originals = [(name, data) for name, data in corpus() if name.endswith(tuple(asked))]
    ends = None if seconds is None else spent() + seconds
    with (
        mock.patch.object(child, "read", _here),
        mock.patch.object(child, "SECONDS", 1),
        mock.patch.object(files_of_people, "_mnist", return_value=None),
    ):
        while (files is None or tally.total() < files) and (ends is None or spent() < ends):
            name, data = random_.choice(originals)
            if ends is not None and suffix in ("", ".npz") and random_.random() < 0.002:
                name, data = "bomb.npz", bomb(random_, data)
            else:
                other = random_.choice(originals)[1]
                if data[:2] == b"PK" and random_.random() < 0.5:
                    data = inside(random_, data)
                for _ in range(random_.choice([0, 1, 2]) if data[:2] == b"PK" else random_.choice([1, 1, 1, 2, 4, 16])):
                    mutation = random_.choice(MUTATIONS)
                    data = splice(random_, data, other) if mutation is splice else mutation(random_, data)
            try:
                from_bytes(data, name)
            except LoadError as error:
                if "\n" in str(error) or len(str(error)) > 1000:
                    raise AssertionError(f"not one sentence: {error}") from error
                tally["ended by a limit" if isinstance(error.__cause__, Limited) else "refused"] += 1
            except BaseException as error:
                with NamedTemporaryFile(prefix="fuzz-", suffix=f"-{name}", delete=False) as kept:
                    kept.write(data)
                error.add_note(f"the file that did it: {kept.name}; {tally.total():,} before it")
                raise
            else:
                tally["accepted"] += 1
    return tally


def spent() -> float:
    """Seconds of a processor that this process and its forks took."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def resident() -> int:
    """MiB of memory that this process holds now."""
    import gc

    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


def main() -> None:
    """Fuzz one format after the other; for each print the tally, and how much more memory is held after than before."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of a processor, for each format (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suffix", choices=SUFFIXES, action="append", help="of one format alone (default: each)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for suffix in given.suffix or SUFFIXES:
        fuzz(files=200, seed=given.seed, suffix=suffix)
        before, peak = resident(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        tally = fuzz(seconds=given.seconds, seed=given.seed + 1, suffix=suffix)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - peak
        print(
            f"{suffix}: {tally.total():,} files in {given.seconds:g} s of a processor: {dict(tally)}, no other exception; "
            f"{resident() - before} MiB kept, peak memory grew by {grown} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
