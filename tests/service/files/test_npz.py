"""Our .npz files open in plain numpy, those of others open here, and no zip or array that lies is unpacked."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.service.files import LoadError, digest, from_bytes, to_bytes
from tests.service.files.networks import PROOF, SPEC, arrays, equal, images, load_or_refuse, logits, network, npz, refused


def test_npz_in_plain_numpy() -> None:
    with np.load(io.BytesIO(to_bytes(network(), ".npz", PROOF)), allow_pickle=False) as file:
        value = images().numpy()
        for layer in range(4):
            value = value @ file[f"weights.{layer}"] + file[f"biases.{layer}"]
            value = np.maximum(value, 0) if layer < 3 else value
        facts = json.loads(bytes(file["dropclust"]))
    np.testing.assert_allclose(value, logits(network(), images()), atol=1e-4, rtol=0)
    assert facts["proof"] == PROOF
    assert facts["spec"] == json.loads(SPEC.to_json())
    assert facts["tensors_sha256"] == digest(network())


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", ">f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_of_other_floats_and_orders(dtype: str, order: Any) -> None:
    made = network()
    named = {name: np.asarray(array, dtype, order=order) for name, array in arrays(made).items()}
    found = from_bytes(npz(named), "net.npz")
    for layer in range(4):
        np.testing.assert_array_equal(found.weights[layer].numpy(), named[f"weights.{layer}"].astype(np.float32))
        np.testing.assert_array_equal(found.biases[layer].numpy(), named[f"biases.{layer}"].astype(np.float32))


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


def test_python_objects_in_an_npz_are_refused() -> None:
    for array in (np.array([Bomb()], dtype=object), np.array([(1, None)], dtype=[("a", "f4"), ("b", "O")])):
        refused(npz(arrays(network()) | {"objects": array}), "net.npz", "holds Python objects, a pickle, and is not opened")


def declaring(data: bytes, member: str, size: int) -> bytes:
    """The same zip with another unpacked size in a member's two headers."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(member)
        central = data.index(b"PK\1\2", archive.start_dir)
    changed = bytearray(data)
    while changed[central + 46 : central + 46 + len(member)] != member.encode():
        central = data.index(b"PK\1\2", central + 1)
    changed[central + 24 : central + 28] = size.to_bytes(4, "little")
    changed[info.header_offset + 22 : info.header_offset + 26] = size.to_bytes(4, "little")
    return bytes(changed)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (50000, 50000), }"), "does not have the bytes"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", bytes(12)), "does not have the bytes"),
        (npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", bytes(8)), "is <i4"),
        (npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", bytes(16)), "is <c8"),
        (npy("{'descr': '|V4', 'fortran_order': False, 'shape': (2,), }", bytes(8)), "is .V4"),
        (npy("{'descr': '<U4', 'fortran_order': False, 'shape': (2,), }", bytes(32)), "is <U4"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", bytes(8)), "holds Python objects"),
        (npy("__import__('os').abort()"), "has another header"),
        (npy("(" * 4000), "has another header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "has another header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }" + "x" * 60_000), "has another header"),
        (npy("{}", version=2)[:8] + b"\xff\xff\xff\xff", "has another header"),
        (npy("{}", version=4), "is none"),
        (b"", "is none"),
        (b"hello", "is none"),
    ],
)
def test_npy_headers_that_lie(content: bytes, match: str) -> None:
    refused(zipped({"weights.0.npy": content}), "net.npz", match)


def test_an_npz_that_declares_ten_gigabytes_is_not_unpacked() -> None:
    huge = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2500000000,), }")
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("weights.0.npy", huge)
        archive.infolist()[0].file_size = 10 * 2**30
    refused(file.getvalue(), "net.npz", "declares 10,737,418,240 bytes")
    refused(declaring(npz(arrays(network())), "weights.0.npy", 2**32 - 2), "net.npz", "it declares 4,294,")
    refused(declaring(npz(arrays(network())), "weights.0.npy", 10**7), "net.npz")


def test_a_compressed_bomb_is_not_unpacked() -> None:
    """80 MB of zeros are small when deflated: refused by what they declare; and what declares less is cut there."""
    bomb = zipped(
        {"weights.0.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (20000000,), }", bytes(80_000_000))}, 8
    )
    assert len(bomb) < 200_000
    assert "at most 10,000,000 numbers; got 20,000,000" in refused(bomb, "net.npz")
    refused(declaring(bomb, "weights.0.npy", 1000), "net.npz")


def test_members_that_are_no_arrays_or_too_many_are_refused() -> None:
    good = arrays(network())
    plain = {f"{name}.npy": npz_member for name, npz_member in ((n, _npy_bytes(a)) for n, a in good.items())}
    assert equal(from_bytes(zipped(plain), "net.npz"), network())
    for extra in ("readme.txt", "weights.0", "../../evil", "folder/"):
        refused(zipped(plain | {extra: b"x"}), "net.npz", "must hold arrays only")
    refused(zipped({f"{number}.npy": b"" for number in range(130)}), "net.npz", "must hold arrays only")
    refused(zipped({f"{number}.npy": b"" for number in range(5000)}), "net.npz", "its directory lists more")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file := io.BytesIO(zipped(plain)), "a") as archive:
        archive.writestr("weights.0.npy", plain["weights.0.npy"])
    refused(file.getvalue(), "net.npz", "each once")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(zipped(plain, method), "net.npz", "another compression")
    locked = bytearray(zipped(plain))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(signature) + offset] |= 1
    refused(bytes(locked), "net.npz", "a password")


def _npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def test_no_flipped_bit_of_our_npz_changes_the_network() -> None:
    """A zip has bits that say nothing (dates, attributes): the rest is noticed."""
    made = network((1, 1, 1))
    content = to_bytes(made, ".npz")
    refusals = 0
    directory = 8 * content.index(b"PK\1\2")
    bits = [*range(directory, 8 * len(content)), *random.Random(0).sample(range(directory), 2000)]
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = from_bytes(bytes(flipped), "net.npz")
        except LoadError:
            refusals += 1
        else:
            assert equal(found, made)
            assert found.spec == made.spec
    assert refusals > len(bits) // 2
    for length in range(len(content)):
        refused(content[:length], "net.npz")


NAMES_ALLOWED = st.characters(codec="ascii", exclude_characters="\0")


@settings(max_examples=150, deadline=None)
@given(
    members=st.dictionaries(
        st.sampled_from(["a.npy", "weights.0.npy", "dropclust.npy", "b"]) | st.text(NAMES_ALLOWED, min_size=1, max_size=8),
        st.binary(max_size=50)
        | st.builds(
            lambda descr, fortran, shape, data: npy(
                f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}", data
            ),
            st.sampled_from(["<f4", "<f8", ">f2", "|u1", "|O", "<U3"]) | st.text(st.characters(max_codepoint=127), max_size=4),
            st.booleans(),
            st.lists(st.integers(-1, 9) | st.just(2**62), max_size=3).map(tuple),
            st.binary(max_size=50),
        ),
        max_size=4,
    ),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_any_zip(members: dict[str, bytes], method: int) -> None:
    load_or_refuse(zipped(members, method), "net.npz")
