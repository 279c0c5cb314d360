"""Files made to harm: each costs one sentence, and its reader no more than a child's memory and time."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dropclust.service.files import LoadError, child, keras, to_bytes, torch_file
from dropclust.service.files.onnx import read as read_onnx
from tests.service.files import keras_files, zoo
from tests.service.files.networks import network, refused
from tests.service.files.test_keras import layers

ROOT = Path(__file__).resolve().parents[3]


def one_sentence(read: Callable[[bytes], Any], data: bytes, match: str) -> None:
    with pytest.raises(LoadError, match=match) as caught:
        read(data)
    assert "\n" not in str(caught.value)


def limited(line: str) -> subprocess.CompletedProcess[bytes]:
    program = f"from dropclust.service.files import child; child.SECONDS = 0; {line}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=ROOT)


def test_a_reader_has_300_mib_above_the_file_and_20_seconds() -> None:
    assert (child.MEMORY >> 20, child.SECONDS) == (300, 20)
    assert limited("child._limit(0); bytes(200 << 20)").returncode == 0
    assert b"MemoryError" in limited("child._limit(0); bytes(310 << 20)").stderr
    assert limited("child._limit(200 << 20); bytes(310 << 20)").returncode == 0
    assert limited("child._limit(0)\nwhile True: pass").returncode in {-signal.SIGXCPU, -signal.SIGKILL}


def test_a_reader_that_needs_too_much_is_one_sentence() -> None:
    """Two constants of 100,000 numbers that make a matrix of ten thousand millions."""
    tall, flat = np.ones((100_000, 1), np.float32), np.ones((1, 100_000), np.float32)
    refused(graph([helper.make_node("Add", ["a", "b"], ["c"])], {"a": tall, "b": flat}), "net.onnx", "more than 300 MiB")


def graph(nodes: list[Any], constants: dict[str, np.ndarray]) -> bytes:
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 784])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return bytes(helper.make_model(made).SerializeToString())


def declaring(dims: list[int]) -> bytes:
    """A weight that says it is larger than the file."""
    model = onnx.load_from_string(graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((784, 10), np.float32)}))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    return bytes(model.SerializeToString())


def test_hostile_onnx() -> None:
    one_sentence(read_onnx, declaring([784, 10**9]), "at most 10,000,000")
    one_sentence(read_onnx, declaring([784, 100]), "lacks what it needs")
    one_sentence(read_onnx, declaring([784, -1]), "a size below 0|at most")
    many = [helper.make_node("Relu", [f"v{n}" if n else "x"], [f"v{n + 1}"]) for n in range(1_001)]
    one_sentence(read_onnx, graph(many, {}), "at most 1,000 nodes")
    one_sentence(read_onnx, graph([helper.make_node("Relu", ["y"], ["y"])], {}), "without a cycle")
    huge = helper.make_node("ConstantOfShape", ["s"], ["w"])
    shape = {"s": np.array([10**6, 10**6])}
    one_sentence(read_onnx, graph([huge, helper.make_node("MatMul", ["x", "w"], ["y"])], shape), "ConstantOfShape")
    loop = helper.make_node("Loop", ["", "", "x"], ["y"], body=helper.make_graph([], "body", [], []))
    one_sentence(read_onnx, graph([loop], {}), "a loop")


def written(fill: Callable[[h5py.File], Any]) -> bytes:
    with h5py.File(file := io.BytesIO(), "w") as made:
        fill(made)
    return file.getvalue()


def around(make: h5py.File) -> None:
    make.create_group("a")["again"] = make["/"]


def test_hostile_hdf5() -> None:
    def zeros(make: h5py.File) -> None:
        make.create_dataset("fc1.weight", (784, 20_000), np.float32, compression="gzip", chunks=(784, 20_000))

    def crowd(make: h5py.File) -> None:
        for number in range(3_000):
            make.create_group(str(number))

    one_sentence(keras.read, written(zeros), "at most 10,000,000")
    one_sentence(keras.read, written(around), "groups and arrays")
    one_sentence(keras.read, written(crowd), "groups and arrays")
    one_sentence(keras.read, written(lambda make: make.update({"a": h5py.SoftLink("/a")})), "is a link")


def test_hostile_zips_of_keras() -> None:
    def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        with zipfile.ZipFile(file := io.BytesIO(), "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return file.getvalue()

    both = {"config.json": b"{}", "model.weights.h5": bytes(70 << 20)}
    one_sentence(keras.read, zipped(both), "more than a perceptron's")
    one_sentence(keras.read, zipped({"config.json": b" " * (2 << 20), "model.weights.h5": b""}), "more than a perceptron's")
    one_sentence(keras.read, zipped({str(n): b"" for n in range(100)}), "too many members")
    one_sentence(keras.read, zipped({"config.json": b"[" * 100_000, "model.weights.h5": b""}), ".")
    with zipfile.ZipFile(io.BytesIO(keras_files.zipped(layers()))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    one_sentence(keras.read, zipped(members | {"config.json": b'{"class_name": "Lambda"}'}), "Sequential or functional")


def test_hostile_pt() -> None:
    state = zoo.saved({"fc1.weight": torch.ones(4, 784)})
    with (
        zipfile.ZipFile(io.BytesIO(state)) as before,
        zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for name in before.namelist():
            after.writestr(name, before.read(name))
    one_sentence(torch_file.read, file.getvalue(), "is compressed")
    one_sentence(torch_file.read, zoo.saved({str(n): torch.ones(1) for n in range(2_100)}), "at most 2,000 things")
    one_sentence(torch_file.read, zoo.saved({"fc1.weight": torch.ones(1).expand(5_000, 5_000)}), "at most 10,000,000")
    one_sentence(torch_file.read, zoo.saved({"fc1.weight": torch.eye(3).to_sparse()}), "sparse|more than tensors")
    one_sentence(torch_file.read, zoo.saved([1, 2]), "holds no tensors by name")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".keras", ".h5"])
def test_numbers_that_are_none_are_refused_in_every_format(suffix: str, value: float) -> None:
    found = [(weight.copy(), bias.copy()) for weight, bias in layers()]
    found[1][0][2, 3] = value
    if suffix == ".pt":
        state = {f"{n}.weight": torch.from_numpy(weight.T) for n, (weight, _) in enumerate(found)}
        data = zoo.saved(state | {f"{n}.bias": torch.from_numpy(bias) for n, (_, bias) in enumerate(found)})
    elif suffix == ".onnx":
        nodes, taken = [], "x"
        for n in range(4):
            nodes.append(helper.make_node("Gemm", [taken, f"w{n}", f"b{n}"], [f"s{n}" if n < 3 else "y"]))
            nodes += [helper.make_node("Relu", [f"s{n}"], [f"h{n}"])] if n < 3 else []
            taken = f"h{n}"
        constants = {f"w{n}": weight for n, (weight, _) in enumerate(found)} | {f"b{n}": b for n, (_, b) in enumerate(found)}
        data = graph(nodes, constants)
    else:
        data = (keras_files.zipped if suffix == ".keras" else keras_files.hdf5)(found)
    refused(data, f"net{suffix}", "finite")


def test_a_network_of_ours_in_every_format_is_read_in_a_child_too() -> None:
    """The limits leave room for the largest network that Train makes."""
    wide = network((2_000, 2_000, 2_000), spec=None)
    for suffix, kind, first in ((".pt", "torch", "0.weight"), (".onnx", "onnx", "weights.0")):
        tensors = child.read(kind, to_bytes(wide, suffix)).tensors
        weight = tensors[first].T if suffix == ".pt" else tensors[first]
        assert np.array_equal(weight, wide.weights[0].numpy())
