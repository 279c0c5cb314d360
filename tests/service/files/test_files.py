"""A network goes into a file and comes back; a file from outside becomes a network or one sentence, no more."""

from __future__ import annotations

import errno
import io
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import mnist
from dropclust.core.paths import cache_folder
from dropclust.service.files import MAX_BYTES, SUFFIXES, LoadError, SaveError, digest, from_bytes, load, save, to_bytes
from dropclust.service.files.common import MAX_FILE_BYTES, MAX_HEADER_BYTES
from tests.readme import readme_lines
from tests.service import faults, fuzz_load
from tests.service.files.networks import PROOF, SPEC, arrays, equal, load_or_refuse, logits, network, npz, refused

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
@pytest.mark.parametrize("hidden", [(7,), (8, 6, 5), (12, 11, 10, 9, 8, 7), (784, 10, 10)])
def test_what_was_saved_is_loaded(tmp_path: Path, suffix: str, hidden: tuple[int, ...]) -> None:
    for spec, proof in ((SPEC, PROOF), (None, None)):
        made = network(hidden, spec=spec)
        path = tmp_path / f"net{suffix.upper()}"
        save(made, path, proof)
        assert path.read_bytes() == to_bytes(made, suffix, proof)
        for found in (load(path), load(str(path)), from_bytes(path.read_bytes(), path.name)):
            assert equal(made, found)
            assert found.spec == spec
            assert digest(found) == digest(made)
            found.weights[0].add_(1)  # its memory is its own, and can be written


@pytest.mark.parametrize("suffix", SUFFIXES[:3])
def test_equal_networks_give_equal_bytes(suffix: str) -> None:
    assert to_bytes(network(), suffix, PROOF) == to_bytes(network(), suffix, dict(reversed(PROOF.items())))
    assert to_bytes(network(), suffix, PROOF) != to_bytes(network(), suffix, {**PROOF, "units": 7})


@pytest.mark.parametrize("hidden", [(40, 30, 20), (30, 20)])
def test_the_lines_of_the_readme_and_onnx_give_the_same_logits_on_test_images(
    hidden: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = mnist.load().test_x
    monkeypatch.chdir(tmp_path)
    net = network(hidden, spec=None)
    for suffix in SUFFIXES:
        save(net, f"small{suffix}", PROOF)
    Path("cache").symlink_to(cache_folder(), target_is_directory=True)
    names: dict[str, Any] = {}
    exec(readme_lines('np.load("small.npz")'), names)
    exec(readme_lines('load_file("small.safetensors")'), names)
    session = onnxruntime.InferenceSession("small.onnx", providers=["CPUExecutionProvider"])
    expected = logits(net, x)
    assert names["logits"].shape == (10_000, 10)
    assert np.array_equal(names["x"], x.numpy())
    for found in (names["logits"], names["model"](x).detach().numpy(), session.run(None, {"x": x.numpy()})[0]):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_bad_arguments_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be one of \.safetensors, \.npz, \.onnx, \.pt; got '\.bin'"):
        save(network(), tmp_path / "net.bin")
    with pytest.raises(ValueError, match=r"got 'npz'"):
        to_bytes(network(), "npz")
    for proof in ({"accuracy": float("nan")}, {"net": object()}, [1, 2], 5):
        with pytest.raises(ValueError, match="proof must be a dict of JSON values without NaN"):
            save(network(), tmp_path / "net.npz", proof)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a network's description must fit in"):
        to_bytes(network(), ".safetensors", {"long": "x" * MAX_HEADER_BYTES})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_the_nth_system_call_of_a_save_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    old, new = network(seed=1), network(seed=2)
    for number in range(1, 100):
        path = tmp_path / str(number) / "net.safetensors"
        path.parent.mkdir()
        save(old, path)
        error = None
        with faults.failing(monkeypatch, number, code) as made:
            try:
                save(new, path)
            except SaveError as caught:
                error = str(caught)
        assert error in (None, f"{str(path)!r} could not be written: {os.strerror(code)}")
        assert equal(load(path), new) or (error and equal(load(path), old))
        assert list(path.parent.iterdir()) == [path]
        if number > len(made):
            assert error is None
            break
    else:
        pytest.fail("the save never ended")
    assert number > 5


def test_a_save_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faults.failing(monkeypatch, 0, 0, ("write", "fsync", "replace")) as made:
        save(network(), tmp_path / "net.npz")
    assert made == ["write", "fsync", "replace", "fsync"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="could not be written: No such file or directory"):
        save(network(), tmp_path / "nowhere" / "net.npz")
    (tmp_path / "net.npz").mkdir()
    with pytest.raises(SaveError, match="could not be written: Is a directory"):
        save(network(), tmp_path / "net.npz")
    assert list(tmp_path.iterdir()) == [tmp_path / "net.npz"]


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda named: named | {"biases.1": np.full(6, np.nan, np.float32)}, "layer 2 must hold finite numbers only"),
        (lambda named: named | {"weights.0": np.full((784, 8), 1e300)}, "layer 1 must hold finite numbers only"),
        (
            lambda named: named | {"weights.0": np.ones((100, 8), np.float32)},
            "784 inputs to 10 outputs.*got weights 100x8, 8x6",
        ),
        (lambda named: named | {"weights.1": np.ones((7, 6), np.float32)}, "784 inputs to 10 outputs.*784x8, 7x6"),
        (lambda named: named | {"weights.3": np.ones((5, 101), np.float32)}, "784 inputs to 10 outputs.*5x101"),
        (lambda named: named | {"biases.1": np.ones(7, np.float32)}, "as many biases as outputs"),
        (lambda named: named | {"biases.1": np.ones((6, 1, 1), np.float32)}, "."),
        (lambda named: named | {"bias": np.ones(3, np.float32)}, "named alike"),
        (lambda named: named | {"weights.0": np.ones((784, 8), np.int32)}, "weights.0.* is "),
        (
            lambda named: {"other" if name == "biases.2" else name: array for name, array in named.items()},
            "'other' could be the bias of 'weights.2' and is named otherwise",
        ),
        (lambda named: {}, "784 inputs to 10 outputs"),
        (
            lambda named: {"weights.0": np.ones((784, 10), np.float32), "biases.0": np.ones(10, np.float32)},
            "1 to 6 hidden layers",
        ),
        (
            lambda named: (
                {"w0": np.ones((784, 0), np.float32), "w1": np.ones((0, 10), np.float32)}
                | {"b0": np.ones(0), "b1": np.ones(10)}
            ),
            "layer 1",
        ),
        (
            lambda named: {f"w{n}": np.ones((9, 9), np.float32) for n in range(8)} | {f"b{n}": np.ones(9) for n in range(8)},
            "1 to 6 hidden layers",
        ),
    ],
)
def test_networks_that_are_none_are_refused(
    suffix: str, change: Callable[[dict[str, Any]], dict[str, Any]], match: str
) -> None:
    named = {name: np.asarray(array) for name, array in change(arrays(network())).items()}
    data = npz(named) if suffix == ".npz" else safetensors.numpy.save(named)
    assert refused(data, f"net{suffix}", match).startswith(f"'net{suffix}' ")


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".PKL"])
def test_a_pickle_is_refused_by_name_and_never_opened(tmp_path: Path, suffix: str) -> None:
    refused(b"", f"net{suffix}", "is not opened: .* file may be a pickle")
    with pytest.raises(LoadError, match="is not opened"):
        load(tmp_path / f"there is no such file{suffix}")


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_a_pickle_is_refused_by_content(suffix: str) -> None:
    torch_file = io.BytesIO()
    torch.save(network().weights, torch_file)
    refused(torch_file.getvalue(), f"net{suffix}", "is a pickle")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        refused(pickle.dumps(Bomb(), protocol), f"net{suffix}", "is a pickle")


def test_a_file_that_begins_like_a_pickle_and_is_none_is_loaded() -> None:
    """A header of 128 bytes more than a multiple of 256 begins with the byte with which every pickle begins."""
    files = [to_bytes(network(), ".safetensors", {"note": "x" * 8 * n}) for n in range(32)]
    pickle_like = [data for data in files if data[:1] == b"\x80"]
    assert pickle_like
    for data in pickle_like:
        assert equal(from_bytes(data, "net.safetensors"), network())


def test_other_formats_are_refused(tmp_path: Path) -> None:
    for name in ("net.tflite", "net", "", "net.npy", "net.safetensors.gz", ".npz"):
        refused(b"x", name, r"must be a file of one of these kinds to be read: \.safetensors, \.npz, \.onnx, \.pt, ")
    refused(to_bytes(network(), ".npz"), "net.safetensors")
    refused(to_bytes(network(), ".safetensors"), "net.npz")
    refused(b"", "net.safetensors")
    refused(b"", "net.npz")
    refused(b"x", "a" * 10_000 + ".npz")
    refused(b"x", "line\nbreak\x1b[31m.npz")


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(tmp_path / "socket.npz"))
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    for name in ("pipe.npz", "folder.npz", "socket.npz", "zero.npz"):
        with pytest.raises(LoadError, match=f"^'{name}' must be a file; it is a folder or a device$"):
            load(tmp_path / name)
    for name, why in (
        ("none.npz", "No such file"),
        ("loop.npz", "symbolic links"),
        ("nul\0.npz", "null"),
        ("x" * 300 + ".npz", "too long"),
    ):
        with pytest.raises(LoadError, match=f"^[^\n]* could not be read: [^\n]*{why}[^\n]*$"):
            load(tmp_path / name)


def test_size_limits(tmp_path: Path) -> None:
    refused(b"\0" * (MAX_BYTES + 1), "net.npz", "must have at most 67,108,864 bytes to be uploaded; it has 67,108,865")
    path = tmp_path / "net.safetensors"
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)
    with pytest.raises(LoadError, match="must have at most 67,108,864 bytes; it has 67,108,865"):
        load(path)


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_one_flipped_bit_under_our_description_is_refused(suffix: str) -> None:
    """The zip's own checksum is right, only ours is not."""
    if suffix == ".npz":
        with np.load(io.BytesIO(to_bytes(network(), suffix))) as file:
            named = dict(file)
        named["biases.0"] = named["biases.0"].copy()
        named["biases.0"].view(np.uint32)[2] ^= 2**13
        data = npz(named)
    else:
        content = to_bytes(network(), suffix)
        data = content[:-1] + bytes([content[-1] ^ 1])
    refused(data, f"net{suffix}", "is damaged: its weights do not match their checksum")


def test_importing_this_loads_neither_torch_nor_onnx() -> None:
    program = "import sys; import dropclust.service.files; assert not {'torch', 'onnx', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_a_little_fuzzing_finds_only_load_errors() -> None:
    tally = fuzz_load.fuzz(files=1500, seed=0)
    assert sum(tally.values()) == 1500
    assert tally["refused"] > 1000
    assert tally["accepted"] > 20


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["net.npz", "net.safetensors"]), st.sampled_from([b"", b"PK\x03\x04", b"\x80"]))
def test_any_bytes(data: bytes, name: str, start: bytes) -> None:
    load_or_refuse(start + data, name)
