"""The ONNX format, written only: a network that any runtime of opset 17 runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dropclust.core.spec import INPUTS, OUTPUTS
from dropclust.service.files.common import MARK, Array, seal

OPSET, IR = 17, 8  # fixed, so that a file does not change with the onnx package; runtimes since 2022 read them


def pack(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """A model of input ``x`` [batch, 784] and output ``logits`` [batch, 10], both float32, its weights inside."""
    import onnx
    from onnx import helper, numpy_helper

    layers = len(tensors) // 2
    nodes, value = [], "x"
    for layer in range(layers):
        last = layer == layers - 1
        product = "logits" if last else f"sum.{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"weights.{layer}", f"biases.{layer}"], [product]))
        if not last:
            value = f"hidden.{layer}"
            nodes.append(helper.make_node("Relu", [product], [value]))
    graph = helper.make_graph(
        nodes,
        MARK,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", OUTPUTS])],
        [numpy_helper.from_array(np.ascontiguousarray(tensors[name], "<f4"), name) for name in sorted(tensors)],
    )
    model = helper.make_model(graph, producer_name=MARK, ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)])
    helper.set_model_props(model, {MARK: seal(facts, tensors)})
    return bytes(model.SerializeToString(deterministic=True))
