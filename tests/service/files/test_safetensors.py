"""Our safetensors files open elsewhere, those of others open here, and no header that lies and no flipped bit is believed."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.service.files import SUFFIXES, from_bytes, to_bytes
from dropclust.service.files.common import MAX_HEADER_BYTES
from tests.service.files.networks import PROOF, SPEC, arrays, equal, images, load_or_refuse, logits, network, refused


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_safetensors_of_other_floats(dtype: torch.dtype) -> None:
    tensors = {name: torch.from_numpy(array).to(dtype) for name, array in arrays(network()).items()}
    found = from_bytes(safetensors.torch.save(tensors), "net.safetensors")
    for layer in range(4):
        assert torch.equal(found.weights[layer], tensors[f"weights.{layer}"].float())
        assert torch.equal(found.biases[layer], tensors[f"biases.{layer}"].float())


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
        (tensors_file({"weight": entry(0, 4, dtype="I32")}, bytes(4)), "'weight' is 'I32'"),
        (tensors_file({"a": {**entry(0, 4), "dtype": ["F32"]}}, bytes(4)), "must hold tensors of type"),
        (tensors_file({"a": {**entry(0, 4), "more": 1}}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": {**entry(0, 4), "data_offsets": [0, 4, 8]}}, bytes(4)), "is not a tensor"),
        (tensors_file({"a": 5}), "is not a tensor"),
        (tensors_file({str(number): entry(0, 0) for number in range(129)}), "at most 128 tensors"),
        (tensors_file({"__metadata__": {"a": 1}}), "metadata is not a table of texts"),
        (tensors_file({"__metadata__": []}), "metadata is not a table of texts"),
        (tensors_file([]), "not a JSON object"),
        (tensors_file(b'{"a": 1, "a": 2}'), "not valid JSON"),
        (tensors_file(b'{"a": NaN}'), "not valid JSON"),
        (tensors_file(b"\xff\xfe{}"), "is not text"),
        (tensors_file(b"[" * 100_000), "not valid JSON"),
        (tensors_file(b'{"a":' * 100_000), "not valid JSON"),
        (tensors_file(b"1" * 100_000), "not valid JSON"),
        (tensors_file({"__metadata__": {"dropclust": '{"_sha256":1e999,"tensors_sha256":1}'}}), "is damaged"),
        (tensors_file({"__metadata__": {"other": '{"_sha256":"","format":"dropclust network 1"}'}}), "is damaged"),
    ],
)
def test_safetensors_headers_that_lie(data: bytes, match: str) -> None:
    refused(data, "net.safetensors", match)


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


def test_our_header_written_otherwise_is_ours_while_the_weights_are() -> None:
    """The same content in another order or with other spaces: description and weights have their own checksums."""
    content = to_bytes(network(), ".safetensors")
    turned = content.replace(b'"dtype":"F32","shape":[6]', b'"shape":[6],"dtype":"F32"')
    assert turned != content
    length = int.from_bytes(content[:8], "little") + 8
    longer = length.to_bytes(8, "little") + content[8:length] + b" " * 8 + content[length:]
    for data in (turned, longer):
        found = from_bytes(data, "net.safetensors")
        assert equal(found, network())
        assert found.spec == SPEC


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


@settings(max_examples=150, deadline=None)
@given(
    header=st.dictionaries(st.sampled_from(["a", "weights.0", "biases.0", "__metadata__"]), entries | json_values, max_size=4)
    | json_values,
    data=st.binary(max_size=100),
    suffix=st.sampled_from(SUFFIXES[:2]),
)
def test_any_safetensors_header(header: Any, data: bytes, suffix: str) -> None:
    load_or_refuse(tensors_file(header, data), f"net{suffix}")
