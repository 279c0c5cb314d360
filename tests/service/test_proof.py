"""The proof of a compression against numbers worked out by hand, and its one line against proofs that nobody here wrote."""

import copy
import hashlib
import itertools
import json
import math

import numpy as np
import pytest
import torch

from dropclust.core.compression import METHODS, Compressed, compress
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.service import files
from dropclust.service.proof import compression_proof, sentence


def network(hidden=(9, 7), seed=0) -> Network:
    stream = torch.Generator().manual_seed(seed)
    widths = (784, *hidden, 10)
    weights = [torch.randn(a, b, generator=stream) * (2 / a) ** 0.5 for a, b in itertools.pairwise(widths)]
    return Network(weights, [torch.randn(b, generator=stream) * 0.3 for b in widths[1:]])


@pytest.fixture(scope="module")
def data() -> Data:
    stream = torch.Generator().manual_seed(1)
    x = (torch.rand(400, 784, generator=stream) < 0.03).float()
    y = torch.randint(0, 10, (400,), generator=stream)
    return Data(x[:100], y[:100], x[100:200], y[100:200], x[200:], y[200:])


@pytest.fixture(scope="module")
def made(data) -> tuple[Network, Compressed]:
    original = network()
    return original, compress(original, 1, 4, "fold", seed=2, data=data)


def right(net: Network, data: Data) -> list[int]:
    value = data.test_x.double().numpy()
    for weight, bias in zip(net.weights[:-1], net.biases[:-1], strict=True):
        value = np.maximum(value @ weight.double().numpy() + bias.double().numpy(), 0)
    logits = value @ net.weights[-1].double().numpy() + net.biases[-1].double().numpy()
    return (logits.argmax(1) == data.test_y.numpy()).astype(int).tolist()


def test_what_is_proved_is_what_the_test_images_say(made, data):
    original, found = made
    proof = compression_proof(original, found, data)
    before, after = right(original, data), right(found.network, data)
    assert before != after
    assert proof["test_images"] == 200
    assert proof["accuracy_before"] == sum(before) / 200
    assert proof["accuracy"] == sum(after) / 200
    change = [b - a for a, b in zip(before, after, strict=True)]
    mean = sum(change) / 200
    half = 1.971957 * math.sqrt(sum((c - mean) ** 2 for c in change) / 199 / 200)  # Student t, 199 degrees of freedom
    assert proof["change"] == {
        "mean": pytest.approx(mean), "low": pytest.approx(mean - half, abs=1e-7), "high": pytest.approx(mean + half, abs=1e-7),
        "n": 200, "level": 0.95,
    }  # fmt: skip
    assert (proof["held_out_accuracy_before"], proof["held_out_accuracy"]) == (found.accuracy_before, found.accuracy)


def test_what_was_asked_for_and_what_came_of_it(made, data):
    proof = compression_proof(*made, data)
    expected = {
        "proof": "compression", "method": "fold", "layer": 1, "units": 4, "seed": 2, "scale": 1.0, "ridge": None,
        "hidden_before": [9, 7], "hidden": [4, 7],
        "parameters_before": 785 * 9 + 10 * 7 + 8 * 10, "parameters": 785 * 4 + 5 * 7 + 8 * 10,
        "bytes_before": 4 * (785 * 9 + 10 * 7 + 8 * 10), "bytes": 4 * (785 * 4 + 5 * 7 + 8 * 10),
    }  # fmt: skip
    assert {key: proof[key] for key in expected} == expected
    assert proof["chosen"] in ("incoming", "outgoing")
    assert set(proof["versions"]) == {"dropclust", "python", "numpy", "torch"}


def test_the_original_is_named_by_the_sha256_of_its_tensors(made, data):
    original, _ = made
    digest = hashlib.sha256()
    tensors = {f"biases.{n}": b for n, b in enumerate(original.biases)}
    tensors |= {f"weights.{n}": w for n, w in enumerate(original.weights)}
    for name in sorted(tensors):
        digest.update(json.dumps([name, list(tensors[name].shape)], separators=(",", ":")).encode())
        digest.update(tensors[name].numpy().astype("<f4").tobytes())
    assert compression_proof(*made, data)["original_sha256"] == digest.hexdigest()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_proof_travels_with_the_file(suffix, method, data, tmp_path):
    original = network()
    found = compress(original, 2, 3, method, data=data)
    proof, path = compression_proof(original, found, data), tmp_path / f"small{suffix}"
    files.save(found.network, path, proof)
    loaded, read = files.load_with_proof(path)
    assert read == proof
    assert loaded.hidden == found.network.hidden
    assert sentence(read) == sentence(proof)
    files.save(original, path)
    assert files.load_with_proof(path)[1] is None


def test_the_line_says_it_all(made, data):
    proof = compression_proof(*made, data) | {
        "accuracy_before": 0.98, "accuracy": 0.9702, "parameters_before": 123_456, "original_sha256": "0123456789abcdef",
        "change": {"mean": -0.0098, "low": -0.0123, "high": -0.0073, "n": 10_000, "level": 0.95},
    }  # fmt: skip
    assert sentence(proof) == (
        "layer 1 of 9 units made 4 by fold (seed 2): test accuracy 0.9800 before, 0.9702 after, change -0.0098 (95 % interval "
        "-0.0123 to -0.0073, 10000 images); 123,456 parameters before, 3,255 after; made of the weights 0123456789ab"
    )


@pytest.mark.parametrize("key", ["layer", "seed", "hidden", "hidden_before", "method", "change", "accuracy", "original_sha256"])
@pytest.mark.parametrize("value", [None, "two\nlines", [], {}, {"mean": "x"}, -99])
def test_a_proof_that_nobody_here_wrote_has_no_line_or_one(key, value, made, data):
    proof = copy.deepcopy(compression_proof(*made, data))
    proof[key] = value
    assert "\n" not in (sentence(proof) or "")
    del proof[key]
    assert sentence(proof) is None


@pytest.mark.parametrize("proof", [None, {}, {"metrics": {"test_accuracy": 0.9}}, {"proof": "of the pudding"}])
def test_another_proof_has_no_line(proof):
    assert sentence(proof) is None
