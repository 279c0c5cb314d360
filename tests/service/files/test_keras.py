"""Files of Keras are read with their activation and compute what the model computes; damage and links cost one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest

from dropclust.service.files import read_bytes
from tests.service.files import keras_files, zoo
from tests.service.files.networks import refused


def layers(name: str = "relu") -> list[tuple[np.ndarray, np.ndarray]]:
    return [(each.weight.detach().numpy().T, each.bias.detach().numpy()) for each in zoo.linears(zoo.trained(name))]


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "elu", "silu"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_as_keras_saves_it(name: str, suffix: str) -> None:
    write = keras_files.zipped if suffix == ".keras" else keras_files.hdf5
    found = read_bytes(write(layers(name), name), f"net{suffix}")
    expected = zoo.logits(zoo.trained(name))
    np.testing.assert_allclose(zoo.of_network(found.network), expected, atol=1e-4 * np.abs(expected).max())
    assert (found.activation, found.activation_reason) == (name, "declared by the file")
    assert found.order_reason == "the graph in the file"
    assert "softmax" in " ".join(found.notes)
    assert any("adam" in name or "optimizer" in name for name in found.left_out)


def changed(name: str, config: dict[str, Any], kind: str = "Dense") -> bytes:
    """The zip with its first layer of a kind made another."""
    with (
        zipfile.ZipFile(io.BytesIO(keras_files.zipped(layers()))) as before,
        zipfile.ZipFile(file := io.BytesIO(), "w") as after,
    ):
        for member in before.namelist():
            content = before.read(member)
            if member == "config.json":
                model = json.loads(content)
                layer = next(layer for layer in model["config"]["layers"] if layer["class_name"] == kind)
                layer["class_name"] = name
                layer["config"] |= config
                content = json.dumps(model).encode()
            after.writestr(member, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "config", "match"),
    [
        ("Conv2D", {}, "a layer 'Conv2D'"),
        ("Dense", {"activation": "softmax"}, "a softmax before its last layer"),
        ("Dense", {"activation": "hard_swish"}, "activation 'hard_swish'"),
        ("Dense", {"name": "elsewhere"}, "kernel and bias of every Dense"),
    ],
)
def test_a_model_that_is_no_perceptron_is_refused_by_name(name: str, config: dict[str, Any], match: str) -> None:
    refused(changed(name, config), "net.keras", match)


def test_damage_and_links_to_other_files_are_refused() -> None:
    data = keras_files.hdf5(layers())
    for cut in (0, 7, 8, 600, len(data) // 2, len(data) - 2_000):
        refused(data[:cut], "net.h5")
    refused(keras_files.zipped(layers())[:-400], "net.keras", "zip")
    refused(b"PK\x05\x06" + bytes(18), "net.keras", "lacks config.json")
    with h5py.File(file := io.BytesIO(), "w") as written:
        written["fc1.weight"] = h5py.ExternalLink("/etc/passwd", "/weights")
    refused(file.getvalue(), "net.h5", "is a link")
    with h5py.File(file := io.BytesIO(), "w") as written:
        written.create_dataset("fc1.weight", (784, 10), np.float32, external=[("/etc/passwd", 0, 784 * 40)])
    refused(file.getvalue(), "net.h5", "in another file")
    with h5py.File(file := io.BytesIO(), "w") as written:  # 10^12 numbers in a file of 800 bytes
        written.create_dataset("fc1.weight", (10**6, 10**6), np.float32, chunks=(1_000, 1_000))
    refused(file.getvalue(), "net.h5", "at most 10,000,000")
