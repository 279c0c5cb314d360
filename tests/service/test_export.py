"""Files to take home give the same logits elsewhere; a file from outside becomes a network or one sentence, no more."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import pickle
import random
import re
import socket
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import mnist
from dropclust.core.network import Network
from dropclust.core.paths import cache_folder
from dropclust.core.spec import RunSpec
from dropclust.service.export import (
    MAX_BYTES,
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    ONNX_IR,
    ONNX_OPSET,
    SUFFIXES,
    LoadError,
    SaveError,
    digest,
    from_bytes,
    load,
    save,
    to_bytes,
)
from tests.service import faults, fuzz_load

HIDDEN = (8, 6, 5)
SPEC = RunSpec(hidden=HIDDEN, seed=3)
PROOF = {"method": "fold", "units": 6, "accuracy": [0.9, 0.875], "note": "ümlaut \u2028"}
ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def network(hidden: tuple[int, ...] = HIDDEN, seed: int = 0, spec: RunSpec | None = SPEC) -> Network:
    generator = torch.Generator().manual_seed(seed)
    widths = (784, *hidden, 10)
    weights = [torch.randn(a, b, generator=generator) / a**0.5 for a, b in itertools.pairwise(widths)]
    return Network(weights, [torch.randn(b, generator=generator) for b in widths[1:]], spec)


def logits(net: Network, x: torch.Tensor) -> np.ndarray:
    """The obvious forward pass, in float64."""
    value = x.double()
    for layer, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        value = value @ weight.double() + bias.double()
        value = value.relu() if layer < len(net.weights) - 1 else value
    return value.numpy()


def images(n: int = 100) -> torch.Tensor:
    return torch.rand(n, 784, generator=torch.Generator().manual_seed(1))


def equal(one: Network, other: Network) -> bool:
    return one.hidden == other.hidden and all(
        torch.equal(a, b) for a, b in zip(one.weights + one.biases, other.weights + other.biases, strict=True)
    )


def arrays(
    net: Network, weight: str = "weights.{}", bias: str = "biases.{}", first: int = 0, turn: bool = False
) -> dict[str, Any]:
    """Weights and biases under names of any fashion; ``turn`` stores weights [out, in]."""
    named = {}
    for layer, (w, b) in enumerate(zip(net.weights, net.biases, strict=True), start=first):
        named[weight.format(layer)] = np.ascontiguousarray(w.numpy().T if turn else w.numpy())
        named[bias.format(layer)] = b.numpy()
    return named


def npz(named: dict[str, Any], compress: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **named)
    return file.getvalue()


def refused(data: bytes, name: str, match: str = ".") -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(LoadError, match=match) as caught:
        from_bytes(data, name)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert 20 < len(sentence) < 600
    return sentence


# Taking home


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


def test_the_digest_tells_networks_apart() -> None:
    assert digest(network(seed=0)) != digest(network(seed=1))
    assert digest(network(spec=None)) == digest(network())
    assert digest(network((8, 6, 5))) != digest(network((8, 5, 6)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_networks_give_equal_bytes(suffix: str) -> None:
    assert to_bytes(network(), suffix, PROOF) == to_bytes(network(), suffix, dict(reversed(PROOF.items())))
    assert to_bytes(network(), suffix, PROOF) != to_bytes(network(), suffix, {**PROOF, "units": 7})


def test_safetensors_in_plain_torch() -> None:
    tensors = safetensors.torch.load(to_bytes(network(), ".safetensors", PROOF))
    modules: list[torch.nn.Module] = []
    for layer in range(4):
        linear = torch.nn.Linear(*tensors[f"weights.{layer}"].shape)
        linear.load_state_dict({"weight": tensors[f"weights.{layer}"].T, "bias": tensors[f"biases.{layer}"]})
        modules += [linear, torch.nn.ReLU()]
    with torch.no_grad():
        found = torch.nn.Sequential(*modules[:-1])(images()).numpy()
    np.testing.assert_allclose(found, logits(network(), images()), atol=1e-4, rtol=0)


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


@pytest.mark.parametrize("hidden", [(7,), (8, 6, 5), (12, 11, 10, 9, 8, 7)])
def test_onnx_in_onnxruntime(hidden: tuple[int, ...]) -> None:
    content = to_bytes(network(hidden), ".onnx", PROOF)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", ONNX_OPSET)]
    assert model.ir_version == ONNX_IR
    assert json.loads({item.key: item.value for item in model.metadata_props}["dropclust"])["proof"] == PROOF
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("x", ["batch", 784], "tensor(float)")
    assert (made.name, made.shape, made.type) == ("logits", ["batch", 10], "tensor(float)")
    for n in (1, 100):
        (found,) = session.run(None, {"x": images(n).numpy()})
        np.testing.assert_allclose(found, logits(network(hidden), images(n)), atol=1e-4, rtol=0)


def readme_lines(word: str) -> str:
    """The indented lines of the README among which ``word`` stands."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", README.read_text(encoding="utf-8"), re.MULTILINE)
    [found] = [block for block in blocks if word in block]
    return textwrap.dedent(found)


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
    with pytest.raises(ValueError, match=r"must be one of \.safetensors, \.npz, \.onnx; got '\.pt'"):
        save(network(), tmp_path / "net.pt")
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


# Bringing along

NAMES = {
    "own": {},
    "torch modules": {"weight": "fc{}.weight", "bias": "fc{}.bias", "first": 1, "turn": True},
    "torch sequential": {"weight": "net.{}.weight", "bias": "net.{}.bias", "turn": True},
    "torch beyond nine": {"weight": "net.{}.weight", "bias": "net.{}.bias", "first": 7, "turn": True},
    "a module that is called weight": {"weight": "weight.{}.weight", "bias": "weight.{}.bias", "turn": True},
    "capital letters": {"weight": "W{}", "bias": "b{}", "first": 1},
    "underscores": {"weight": "layer_{}_w", "bias": "layer_{}_b"},
    "scikit-learn": {"weight": "coefs_{}", "bias": "intercepts_{}"},
    "keras": {"weight": "dense_{}/kernel:0", "bias": "dense_{}/bias:0", "first": 9},
    "flax": {"weight": "Dense_{}.kernel", "bias": "Dense_{}.bias"},
    "torch names the other way round": {"weight": "fc{}.weight", "bias": "fc{}.bias"},
}


@pytest.mark.parametrize("hidden", [(7,), (8, 6, 5), (9, 9, 9), (784, 10, 10), (784, 784), (10, 10, 10, 10, 10, 10)])
@pytest.mark.parametrize("names", NAMES)
def test_files_of_others_are_understood(names: str, hidden: tuple[int, ...]) -> None:
    made = network(hidden)
    named = dict(sorted(arrays(made, **NAMES[names]).items(), reverse=True))  # type: ignore[arg-type]
    for data, suffix in (
        (safetensors.numpy.save(named), ".safetensors"),
        (npz(named), ".npz"),
        (npz(named, compress=True), ".npz"),
    ):
        found = from_bytes(data, f"net{suffix}")
        assert equal(found, made)
        assert found.spec is None


def test_a_torch_module_with_square_layers_is_understood() -> None:
    """The names are torch's own, and so is the orientation, also where the shapes of a layer do not tell."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(784, 20), torch.nn.ReLU(), torch.nn.Linear(20, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10)
    )
    found = from_bytes(safetensors.torch.save(module.state_dict(), {"format": "pt"}), "net.safetensors")
    with torch.no_grad():
        np.testing.assert_allclose(logits(found, images()), module(images()).numpy(), atol=1e-4, rtol=0)


def test_arrays_without_names_pair_in_order() -> None:
    made = network()
    file = io.BytesIO()
    np.savez(
        file, *(array for pair in zip(made.weights, made.biases, strict=True) for array in (pair[0].numpy(), pair[1].numpy()))
    )
    assert equal(from_bytes(file.getvalue(), "net.npz"), made)
    file = io.BytesIO()
    np.savez(file, *(w.numpy() for w in made.weights), *(b.numpy() for b in made.biases))
    assert equal(from_bytes(file.getvalue(), "net.npz"), made)


def test_a_bias_of_another_name_does_not_pair() -> None:
    named = arrays(network((8, 8)))
    named["other"] = named.pop("biases.1")
    refused(npz(named), "net.npz", "one weight matrix and one bias vector a layer, named alike")


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", ">f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_of_other_floats_and_orders(dtype: str, order: Any) -> None:
    made = network()
    named = {name: np.asarray(array, dtype, order=order) for name, array in arrays(made).items()}
    found = from_bytes(npz(named), "net.npz")
    for layer in range(4):
        np.testing.assert_array_equal(found.weights[layer].numpy(), named[f"weights.{layer}"].astype(np.float32))
        np.testing.assert_array_equal(found.biases[layer].numpy(), named[f"biases.{layer}"].astype(np.float32))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_safetensors_of_other_floats(dtype: torch.dtype) -> None:
    tensors = {name: torch.from_numpy(array).to(dtype) for name, array in arrays(network()).items()}
    found = from_bytes(safetensors.torch.save(tensors), "net.safetensors")
    for layer in range(4):
        assert torch.equal(found.weights[layer], tensors[f"weights.{layer}"].float())
        assert torch.equal(found.biases[layer], tensors[f"biases.{layer}"].float())


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
        (lambda named: named | {"weights.3": np.ones((5, 11), np.float32)}, "784 inputs to 10 outputs.*5x11"),
        (lambda named: named | {"biases.1": np.ones(7, np.float32)}, "as many biases as outputs"),
        (lambda named: named | {"biases.1": np.ones((6, 1, 1), np.float32)}, "."),
        (lambda named: named | {"extra": np.ones(3, np.float32)}, "named alike"),
        (lambda named: named | {"step": np.float32(3)}, "named alike"),
        (lambda named: named | {"weights.0": np.ones((784, 8), np.int32)}, "weights.0.* is "),
        (lambda named: {name: array for name, array in named.items() if name != "biases.2"}, "named alike"),
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
            "at most 1[45]",
        ),
    ],
)
def test_networks_that_are_none_are_refused(
    suffix: str, change: Callable[[dict[str, Any]], dict[str, Any]], match: str
) -> None:
    named = {name: np.asarray(array) for name, array in change(arrays(network())).items()}
    data = npz(named) if suffix == ".npz" else safetensors.numpy.save(named)
    assert refused(data, f"net{suffix}", match).startswith(f"'net{suffix}' ")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".PT"])
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


def test_python_objects_in_an_npz_are_refused() -> None:
    for array in (np.array([Bomb()], dtype=object), np.array([(1, None)], dtype=[("a", "f4"), ("b", "O")])):
        refused(npz(arrays(network()) | {"objects": array}), "net.npz", "holds Python objects, a pickle, and is not opened")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    for name in ("net.onnx", "net.h5", "net", "", "net.npy", "net.safetensors.gz", ".npz"):
        refused(b"x", name, r"must be a \.safetensors or \.npz file to be read")
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
    refused(b"\0" * (MAX_BYTES + 1), "net.npz", "must have at most 20,971,520 bytes to be uploaded; it has 20,971,521")
    path = tmp_path / "net.safetensors"
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)
    with pytest.raises(LoadError, match="must have at most 67,108,864 bytes; it has 67,108,865"):
        load(path)


# Hostile headers


def tensors_file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(begin: int, end: int, shape: list[Any] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (struct.pack("<Q", 4 * 2**30) + b"{}", "declares 4,294,967,296"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "declares 18,446,744,073,709,551,615"),
        (struct.pack("<Q", MAX_HEADER_BYTES) + b"{}", "is cut short"),
        (b"\1\0\0", "is no safetensors file"),
        (tensors_file({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "'b' overlaps another or leaves a gap"),
        (tensors_file({"a": entry(0, 8), "b": entry(0, 8)}, bytes(8)), "'b' overlaps"),
        (tensors_file({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16)), "'b' overlaps another or leaves a gap"),
        (tensors_file({"a": entry(4, 8)}, bytes(8)), "'a' overlaps another or leaves a gap"),
        (tensors_file({"a": entry(0, 8)}, bytes(12)), "must have .* bytes by its header"),
        (tensors_file({"a": entry(0, 8)}, bytes(4)), "must have .* bytes by its header"),
        (tensors_file({"a": entry(0, 8, [2, 2])}, bytes(8)), "does not have the bytes"),
        (tensors_file({"a": entry(8, 0, [2])}), "does not have the bytes"),
        (tensors_file({"a": entry(0, 4, [-1, -1])}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": entry(0, 4, [True])}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": entry(0, 4, [1.0])}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": entry(0, 2**40, [2**38])}), "is not a tensor"),
        (tensors_file({"a": entry(0, 0, [0] * 100_000)}), "does not have the bytes"),
        (tensors_file({"a": entry(0, 4, dtype="I32")}, bytes(4)), "'a' is 'I32'"),
        (tensors_file({"a": {**entry(0, 4), "dtype": ["F32"]}}, bytes(4)), "must hold tensors of type"),
        (tensors_file({"a": {**entry(0, 4), "more": 1}}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": {**entry(0, 4), "data_offsets": [0, 4, 8]}}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": 5}), "is not a tensor"),
        (tensors_file({str(number): entry(0, 0) for number in range(15)}), "at most 14 tensors"),
        (tensors_file({"__metadata__": {"a": 1}}), "metadata is not a table of texts"),
        (tensors_file({"__metadata__": []}), "metadata is not a table of texts"),
        (tensors_file([]), "not a JSON object"),
        (tensors_file(b'{"a": 1, "a": 2}'), "not valid JSON"),
        (tensors_file(b'{"a": NaN}'), "not valid JSON"),
        (tensors_file(b"\xff\xfe{}"), "is not text"),
        (tensors_file(b"[" * 100_000), "not valid JSON"),
        (tensors_file(b'{"a":' * 100_000), "not valid JSON"),
        (tensors_file(b"1" * 100_000), "not valid JSON"),
        (tensors_file({"__metadata__": {"dropclust": "{}"}}), "is damaged"),
        (tensors_file({"__metadata__": {"dropclust": '{"_sha256":1e999}'}}), "is damaged"),
        (tensors_file({"__metadata__": {"from": "dropclust"}}), "is damaged"),
    ],
)
def test_safetensors_headers_that_lie(data: bytes, match: str) -> None:
    refused(data, "net.safetensors", match)


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
    refused(zipped({f"{number}.npy": b"" for number in range(16)}), "net.npz", "must hold arrays only")
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


# Damage in our own files


def test_no_flipped_bit_of_our_safetensors_is_accepted() -> None:
    content = to_bytes(network((1, 1, 1)), ".safetensors", {"method": "fold"})
    begins = 8 + int.from_bytes(content[:8], "little")
    bits = [*range(8 * begins), *random.Random(0).sample(range(8 * begins, 8 * len(content)), 1000)]
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(bytes(flipped), "net.safetensors")
    for length in range(len(content)):
        refused(content[:length], "net.safetensors")


def test_our_header_written_otherwise_is_refused() -> None:
    """The same content in another order or with other spaces is not what was written."""
    content = to_bytes(network(), ".safetensors")
    refused(
        content.replace(b'"dtype":"F32","shape":[6]', b'"shape":[6],"dtype":"F32"'), "net.safetensors", "not as it was written"
    )
    length = int.from_bytes(content[:8], "little") + 8
    longer = length.to_bytes(8, "little") + content[8:length] + b" " * 8 + content[length:]
    refused(longer, "net.safetensors", "not as it was written")


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


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_other_weights_under_our_description_are_refused(suffix: str) -> None:
    """The zip's own checksum is right, only ours is not."""
    if suffix == ".npz":
        with np.load(io.BytesIO(to_bytes(network(), suffix))) as file:
            named = dict(file)
        named["biases.0"] = named["biases.0"] + 1
        data = npz(named)
    else:
        content = to_bytes(network(), suffix)
        data = content[:-1] + bytes([content[-1] ^ 1])
    refused(data, f"net{suffix}", "is damaged: its weights do not match their checksum")


def test_importing_this_loads_neither_torch_nor_onnx() -> None:
    program = "import sys; import dropclust.service.export; assert not {'torch', 'onnx', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_a_little_fuzzing_finds_only_load_errors() -> None:
    tally = fuzz_load.fuzz(files=1500, seed=0)
    assert sum(tally.values()) == 1500
    assert tally["refused"] > 1000
    assert tally["loaded"] > 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64", "I32"]) | json_values,
        "shape": st.lists(st.integers(-1, 800), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(-1, 100), min_size=2, max_size=2) | json_values,
    }
)


NAMES_ALLOWED = st.characters(codec="ascii", exclude_characters="\0")


def load_or_refuse(data: bytes, name: str) -> None:
    try:
        assert from_bytes(data, name).weights[0].shape[0] == 784
    except LoadError as error:
        assert "\n" not in str(error)  # noqa: PT017


@settings(max_examples=150, deadline=None)
@given(
    header=st.dictionaries(st.sampled_from(["a", "weights.0", "biases.0", "__metadata__"]), entries | json_values, max_size=4)
    | json_values,
    data=st.binary(max_size=100),
    suffix=st.sampled_from(SUFFIXES[:2]),
)
def test_any_safetensors_header(header: Any, data: bytes, suffix: str) -> None:
    load_or_refuse(tensors_file(header, data), f"net{suffix}")


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


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["net.npz", "net.safetensors"]), st.sampled_from([b"", b"PK\x03\x04", b"\x80"]))
def test_any_bytes(data: bytes, name: str, start: bytes) -> None:
    load_or_refuse(start + data, name)
