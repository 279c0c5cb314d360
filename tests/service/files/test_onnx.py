"""An .onnx file gives the same logits in onnxruntime."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from dropclust.service.files import to_bytes
from dropclust.service.files.onnx import IR, OPSET
from tests.service.files.networks import PROOF, images, logits, network


@pytest.mark.parametrize("hidden", [(7,), (8, 6, 5), (12, 11, 10, 9, 8, 7)])
def test_onnx_in_onnxruntime(hidden: tuple[int, ...]) -> None:
    content = to_bytes(network(hidden), ".onnx", PROOF)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR
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
