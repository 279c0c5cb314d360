"""The ONNX format: a chain of layers is read through the onnx package and never run; what is written runs anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dropclust.core.spec import INPUTS
from dropclust.service.files.common import MARK, Array, LoadError, check_count, is_ours, seal, short, still_ours, unseal
from dropclust.service.files.form import Activation, Affine, Stage
from dropclust.service.files.parts import Norm, Values, norm
from dropclust.service.files.raw import Raw

OPSET, IR = 17, 8  # fixed, so that a file does not change with the onnx package; runtimes since 2022 read them
_GELU_OPSET, _GELU_IR = 20, 9  # the first with Gelu
_MAX_NODES = 1_000

# activation -> the node that computes it, with its attributes
_WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}), "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}), "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}), "selu": ("Selu", {}), "softplus": ("Softplus", {}), "mish": ("Mish", {}),
    "softsign": ("Softsign", {}),
    "identity": ("Identity", {}),
}  # fmt: skip


def pack(facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """A model of input ``x`` [batch, 784] and output ``logits`` [batch, classes], both float32, its weights inside."""
    import onnx
    from onnx import helper, numpy_helper

    layers = len(tensors) // 2
    activation = str(facts["activation"])
    nodes, value = [], "x"
    for layer in range(layers):
        last = layer == layers - 1
        product = "logits" if last else f"sum.{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"weights.{layer}", f"biases.{layer}"], [product]))
        if not last:
            value = f"hidden.{layer}"
            nodes += _activation_nodes(activation, product, value)
    constants = {"relu6.low": np.float32(0), "relu6.high": np.float32(6)} if activation == "relu6" else {}
    graph = helper.make_graph(
        nodes,
        MARK,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", len(tensors[f"biases.{layers - 1}"])])],
        [
            numpy_helper.from_array(np.asarray(array, "<f4", order="C"), name)
            for name, array in sorted({**tensors, **constants}.items())
        ],
    )
    opset, ir = (_GELU_OPSET, _GELU_IR) if activation in {"gelu", "gelu_tanh", "mish"} else (OPSET, IR)
    model = helper.make_model(graph, producer_name=MARK, ir_version=ir, opset_imports=[helper.make_opsetid("", opset)])
    helper.set_model_props(model, {MARK: seal(facts, tensors)})
    return bytes(model.SerializeToString(deterministic=True))


def _activation_nodes(activation: str, value: str, result: str) -> list[Any]:
    from onnx import helper

    name, _, number = activation.partition(":")
    if name == "silu":
        return [
            helper.make_node("Sigmoid", [value], [f"{result}.gate"]),
            helper.make_node("Mul", [value, f"{result}.gate"], [result]),
        ]
    if name == "relu6":
        return [helper.make_node("Clip", [value, "relu6.low", "relu6.high"], [result])]
    kind, attributes = _WRITTEN[name]
    return [helper.make_node(kind, [value], [result], **(attributes | ({"alpha": float(number)} if number else {})))]


# ---- reading -------------------------------------------------------------------------------------------------------------

_GRID = np.concatenate([np.linspace(-12, 12, 481), np.geomspace(20, 500, 12), -np.geomspace(20, 500, 12)])
_SAME = 1e-4  # activations that agree to this over the grid are one: a tanh of float32, an erf written in pieces
_NOTHING = {"Identity", "Dropout", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze"}
_ENDS = {"Softmax", "LogSoftmax"}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide,
    "Pow": np.power, "Max": np.maximum, "Min": np.minimum,
}  # fmt: skip
_REFUSED = {
    "Conv": "a convolution", "ConvTranspose": "a convolution", "MaxPool": "pooling", "AveragePool": "pooling",
    "GlobalAveragePool": "pooling", "LayerNormalization": "a LayerNorm", "InstanceNormalization": "an InstanceNorm",
    "GroupNormalization": "a GroupNorm", "LSTM": "a recurrent layer", "GRU": "a recurrent layer", "RNN": "a recurrent layer",
    "PRelu": "a PReLU, whose slope was learned", "DequantizeLinear": "int8 weights, which need their scales",
    "QuantizeLinear": "int8 weights, which need their scales", "QLinearMatMul": "int8 weights, which need their scales",
    "MatMulInteger": "int8 weights, which need their scales", "DynamicQuantizeLinear": "int8 weights, which need their scales",
    "If": "a branch", "Loop": "a loop", "Scan": "a loop", "Attention": "an attention layer",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Flow:
    """What pictures have become: ``stages`` so far, then numbers that are a function of each of the last one's outputs.

    ``curve`` are that function's values on the grid; ``scale`` and ``shift`` say it where it is a straight line for each
    output, with a slope of its own.
    """

    stages: tuple[Stage, ...] = ()
    curve: Values | None = None
    scale: Values | None = None
    shift: Values | None = None
    ended: str = ""

    @property
    def is_plain(self) -> bool:
        return self.curve is None and self.scale is None

    @property
    def values(self) -> Values:
        return _GRID if self.curve is None else self.curve


def read(data: bytes) -> Raw:
    """The graph of an ONNX file as a chain of stages. To be called where onnx may be imported.

    Raises
    ------
    LoadError
        When it is no chain of layers that this project computes, or no whole ONNX file.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf and onnx have errors of their own
        raise LoadError("is no ONNX file, or is cut short") from error
    try:
        facts = _facts(model, data)
        graph = model.graph
        if len(graph.node) > _MAX_NODES:
            raise LoadError(f"must have at most {_MAX_NODES:,} nodes; it has {len(graph.node):,}")
        constants = _constants(graph)
        if facts is not None:
            return _own(facts, constants, data)
        return replace(_chain(graph, constants), changed=any(is_ours(item.value) for item in model.metadata_props))
    except LoadError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, ArithmeticError) as error:
        raise LoadError("is no ONNX file of a perceptron: one of its nodes lacks what it needs") from error


def _facts(model: Any, data: bytes) -> dict[str, Any] | None:
    props = {item.key: item.value for item in model.metadata_props}
    if not any(is_ours(text) for text in props.values()):
        if data.count(b'"tensors_sha256":') and data.count(b'"format":"dropclust '):
            raise LoadError("is damaged: its description is not where it was written")
        return None
    return unseal(props.get(MARK, ""))


def _own(facts: dict[str, Any], constants: dict[str, Values], data: bytes) -> Raw:
    """A file of ours: as it was written, or changed since, or with a flipped bit."""
    import onnx

    tensors = {
        name: np.asarray(values, np.float32) for name, values in constants.items() if name.startswith(("weights.", "biases."))
    }
    rest = {name: value for name, value in facts.items() if name != "tensors_sha256"}
    if still_ours(facts, tensors):
        try:
            written = pack(rest, tensors)
        except (KeyError, ValueError):
            written = b""
        if written == data:
            return Raw(tensors, facts=facts)
        if len(written) == len(data):
            differing = np.frombuffer(written, np.uint8) ^ np.frombuffer(data, np.uint8)
            if int(np.bitwise_count(differing).sum()) == 1:
                raise LoadError("is damaged: one bit is not as it was written")
    model = onnx.load_model_from_string(data)
    return replace(_chain(model.graph, constants), changed=True)


def _constants(graph: Any) -> dict[str, Values]:
    from onnx import TensorProto, numpy_helper

    check_count(int(np.prod([int(size) for size in tensor.dims], dtype=object)) for tensor in graph.initializer)
    found = {}
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data):
            raise LoadError(f"must hold its weights itself; {short(tensor.name)} is in another file")
        if any(size < 0 for size in tensor.dims):
            raise LoadError(f"must hold whole tensors; {short(tensor.name)} has a size below 0")
        found[tensor.name] = numpy_helper.to_array(tensor)
    return found


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _chain(graph: Any, constants: dict[str, Values]) -> Raw:
    """Follow the pictures through the graph, in the order of its nodes, which ONNX wants to be one of computation."""
    known: dict[str, Values | _Flow | str] = dict(constants)
    inputs = [item.name for item in graph.input if item.name not in constants]
    if len(inputs) != 1:
        raise LoadError(f"must take one input, the pictures; it takes {len(inputs)}")
    known[inputs[0]] = _Flow()
    for node in graph.node:
        made = _node(node, known)
        for name in node.output[:1]:
            if name in known:
                raise LoadError(f"must compute each value once; {short(name)} is computed twice")
            known[name] = made
        for name in node.output[1:]:
            known[name] = "what a node has beside its result"
    outputs = [known.get(item.name, "a value that no node before it computes") for item in graph.output]
    flows = [value for value in outputs if isinstance(value, _Flow)]
    if not flows:
        reasons = [value for value in outputs if isinstance(value, str)]
        raise LoadError(f"holds {reasons[0] if reasons else 'no output'}; a perceptron of fully connected layers is read")
    flow = flows[-1]
    stages = _closed(replace(flow, ended="")).stages
    notes = (f"the {flow.ended} at its end is left out: logits are what is computed",) if flow.ended else ()
    if stages and isinstance(stages[-1], Activation) and stages[-1].name == "identity":
        stages = stages[:-1]
    return Raw(stages=stages, notes=notes)


def _node(node: Any, known: Mapping[str, Any]) -> Values | _Flow | str:
    """What a node gives: a constant, a flow, or words for what cannot be computed."""
    from onnx import TensorProto, helper

    kind = node.op_type
    if node.domain not in ("", "ai.onnx", "com.microsoft"):
        return f"a node of another kind, {short(node.domain + '.' + kind)}"
    attributes = _attributes(node)
    if kind == "Constant":
        value = attributes.get("value")
        if value is None:
            value = next(iter(attributes.values()))
            return np.asarray(value, np.float32 if "float" in next(iter(attributes)) else None)
        if value.data_location == TensorProto.EXTERNAL:
            raise LoadError("must hold its weights itself; a constant is in another file")
        return _constants(helper.make_graph([], "", [], [], [value])).popitem()[1]
    missing = [name for name in node.input if name and name not in known]
    if missing:
        raise LoadError(f"must compute values before they are used, without a cycle; {short(missing[0])} is not there yet")
    given = [known[name] for name in node.input if name]
    if kind in _REFUSED:
        return f"{_REFUSED[kind]} (node {short(node.name or kind)})"
    broken = next((value for value in given if isinstance(value, str)), None)
    first = given[0] if given else "a node without input"
    if isinstance(first, _Flow) and kind in _NOTHING:
        return first
    if broken is not None:
        return broken
    if all(isinstance(value, np.ndarray) for value in given):
        return _constant(kind, [np.asarray(value) for value in given], attributes)
    if kind in {"Gemm", "MatMul", "FusedMatMul"}:
        return _product(node, given, attributes)
    if kind == "BatchNormalization":
        flow = _opened(first)
        gamma, beta, mean, variance = (np.asarray(value, np.float64).reshape(-1) for value in given[1:5])
        epsilon = float(attributes.get("epsilon", 1e-5))
        return _Flow((*flow.stages, norm(node.name, gamma, beta, mean, variance, epsilon, tuple(node.input[1:5]))))
    if kind in _ENDS and isinstance(first, _Flow):
        return replace(_closed(first), ended=kind.lower())
    return _elementwise(node, kind, given, attributes)


def _constant(kind: str, given: list[Values], attributes: Mapping[str, Any]) -> Values | str:
    if kind in {"Identity", "Cast", "Dropout"}:
        return given[0]
    if kind == "Transpose":
        return np.transpose(given[0], attributes.get("perm"))
    if kind in {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}:
        return given[0].reshape([int(size) for size in given[1]]) if kind == "Reshape" else np.squeeze(given[0])
    if kind in _ARITHMETIC and len(given) == 2 and max(value.size for value in given) <= 10_000_000:
        return np.asarray(_ARITHMETIC[kind](given[0], given[1]))
    if kind in {"Sqrt", "Reciprocal", "Neg"}:
        return {"Sqrt": np.sqrt, "Reciprocal": np.reciprocal, "Neg": np.negative}[kind](given[0])
    return f"a constant made by {short(kind)}"


def _product(node: Any, given: Sequence[Any], attributes: Mapping[str, Any]) -> _Flow | str:
    """Gemm or MatMul of a flow with a constant matrix."""
    first, weight = given[:2]
    turned = bool(attributes.get("transB", 0))
    if not isinstance(first, _Flow) and isinstance(weight, _Flow):
        return f"a product with the pictures on its right ({short(node.name or node.op_type)})"
    if not isinstance(weight, np.ndarray) or weight.ndim != 2 or weight.dtype.kind != "f" or attributes.get("transA"):
        return f"a product that is no layer ({short(node.name or node.op_type)})"
    lay = "[out, in]" if turned else "[in, out]"
    weight = (weight.T if turned else weight) * float(attributes.get("alpha", 1.0))
    bias = np.zeros(weight.shape[1])
    if len(given) > 2:
        if not isinstance(given[2], np.ndarray):
            return f"a bias that is computed ({short(node.name or node.op_type)})"
        bias = np.broadcast_to(given[2].reshape(-1), weight.shape[1]) * float(attributes.get("beta", 1.0))
    flow = _opened(first, weight.shape[0])
    names = tuple(name for name in node.input[1:] if name)
    return _Flow((*flow.stages, Affine(node.name or names[0], weight, bias, names, lay)))


def _width(stages: Sequence[Stage]) -> int | None:
    for stage in reversed(stages):
        if isinstance(stage, Affine):
            return int(stage.weight.shape[1])
        if isinstance(stage, Norm):
            return len(stage.scale)
    return None


def _opened(flow: Any, width: int | None = None) -> _Flow:
    """A flow whose numbers are its last stage's outputs, so that a layer can follow."""
    if not isinstance(flow, _Flow):
        raise LoadError("holds a constant where the pictures should be; a perceptron of fully connected layers is read")
    return _closed(flow, width)


def _closed(flow: _Flow, width: int | None = None) -> _Flow:
    """What stands since the last stage, written as stages: an activation, or a straight line as a normalisation."""
    if flow.ended:
        raise LoadError(f"holds a layer after its {flow.ended}; a perceptron of fully connected layers is read")
    if flow.is_plain:
        return flow
    wide = _width(flow.stages) or width or INPUTS
    if flow.scale is not None and flow.shift is not None:
        scale, shift = (np.broadcast_to(np.asarray(part, np.float64).reshape(-1), wide) for part in (flow.scale, flow.shift))
        return _Flow((*flow.stages, Norm("", scale, shift, ())))
    line = _line(flow.values)
    if line is not None:
        return _Flow((*flow.stages, Norm("", np.full(wide, line[0]), np.full(wide, line[1]), ())))
    return _Flow((*flow.stages, Activation(_recognised(flow.values))))


def _line(values: Values) -> tuple[float, float] | None:
    """Slope and height of values that are a straight line over the grid."""
    slope, height = np.polyfit(_GRID, values, 1)
    return (float(slope), float(height)) if np.allclose(slope * _GRID + height, values, rtol=1e-6, atol=1e-6) else None


def _recognised(values: Values) -> str:
    """The activation that has these values over the grid, by its name."""
    curves = _curves()
    below = _GRID < 0
    for name, curve in curves.items():
        if np.allclose(curve, values, rtol=_SAME, atol=_SAME):
            return name
    slope = float(values[np.argmin(np.abs(_GRID + 8))] / -8)
    if np.allclose(values, np.where(below, slope * _GRID, _GRID), rtol=1e-4, atol=1e-5) and 0 < slope < 1:
        return f"leaky_relu:{round(slope, 6):g}"
    lowest = float(-values[below].min())
    if lowest > 0 and np.allclose(
        values, np.where(below, lowest * np.expm1(np.minimum(_GRID, 0)), _GRID), rtol=1e-3, atol=1e-4
    ):
        return f"elu:{round(lowest, 4):g}"
    raise LoadError("holds an activation that is not computed here; relu, tanh, sigmoid, gelu, leaky_relu, elu and silu are")


def _sigmoid(z: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -700, 700))))


def _erf(z: Values) -> Values:
    from math import erf

    return np.array([erf(number) for number in z])


def _softplus(z: Values) -> Values:
    return np.asarray(np.logaddexp(0, z))


def _gelu(z: Values, approximate: bool = False) -> Values:
    if approximate:
        return np.asarray(0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))))
    return np.asarray(0.5 * z * (1 + _erf(z / np.sqrt(2))))


def _selu(z: Values) -> Values:
    return np.asarray(1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0))))


def _curves() -> dict[str, Values]:
    """All activations over the grid, in float64 and without torch."""
    z = _GRID
    return {
        "relu": np.maximum(z, 0), "tanh": np.tanh(z), "sigmoid": _sigmoid(z), "gelu": _gelu(z), "gelu_tanh": _gelu(z, True),
        "leaky_relu": np.where(z > 0, z, 0.01 * z), "elu": np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        "silu": z * _sigmoid(z), "selu": _selu(z), "softplus": _softplus(z), "mish": z * np.tanh(_softplus(z)),
        "softsign": z / (1 + np.abs(z)), "relu6": np.clip(z, 0, 6),
    }  # fmt: skip


def _function(kind: str, attributes: Mapping[str, Any]) -> Callable[[Values], Values] | None:
    alpha = attributes.get("alpha")
    functions: dict[str, Callable[[Values], Values]] = {
        "Relu": lambda z: np.maximum(z, 0), "Tanh": np.tanh, "Sigmoid": _sigmoid, "Erf": _erf, "Softplus": _softplus,
        "Exp": np.exp, "Neg": np.negative, "Sqrt": np.sqrt, "Abs": np.abs, "Reciprocal": np.reciprocal,
        "Softsign": lambda z: z / (1 + np.abs(z)),
        "LeakyRelu": lambda z: np.where(z > 0, z, (0.01 if alpha is None else alpha) * z),
        "Elu": lambda z: np.where(z > 0, z, (1.0 if alpha is None else alpha) * np.expm1(np.minimum(z, 0))),
        "Selu": _selu, "Mish": lambda z: z * np.tanh(_softplus(z)), "Swish": lambda z: z * _sigmoid(z * (alpha or 1.0)),
        "Gelu": lambda z: _gelu(z, attributes.get("approximate", b"none") == b"tanh"), "FastGelu": lambda z: _gelu(z, True),
        "QuickGelu": lambda z: z * _sigmoid((1.702 if alpha is None else alpha) * z),
    }  # fmt: skip
    return functions.get(kind)


def _elementwise(node: Any, kind: str, given: Sequence[Any], attributes: Mapping[str, Any]) -> _Flow | str:
    shown = short(node.name or kind)
    if any(isinstance(value, _Flow) and value.ended for value in given):
        return f"a node after its softmax ({shown})"
    if kind == "Clip" and isinstance(given[0], _Flow) and all(isinstance(value, np.ndarray) for value in given[1:]):
        low, high = (float(given[n]) if len(given) > n else limit for n, limit in ((1, -np.inf), (2, np.inf)))
        flow = _as_function(given[0])
        return replace(flow, curve=np.clip(flow.values, low, high))
    if (function := _function(kind, attributes)) is not None and isinstance(given[0], _Flow):
        flow = _as_function(given[0])
        with np.errstate(all="ignore"):
            return replace(flow, curve=function(flow.values))
    if kind not in _ARITHMETIC or len(given) != 2:
        return f"a node that is not computed here, {short(kind)}"
    one, other = given
    if isinstance(one, _Flow) and isinstance(other, _Flow):
        if one.stages != other.stages or one.scale is not None or other.scale is not None:
            return f"a branch: two values are joined at {shown}"
        with np.errstate(all="ignore"):
            return replace(one, curve=_ARITHMETIC[kind](one.values, other.values))
    flow, constant, turned = (one, other, False) if isinstance(one, _Flow) else (other, one, True)
    return _with_constant(kind, flow, np.asarray(constant, np.float64), turned, shown)


def _as_function(flow: _Flow) -> _Flow:
    """A flow that a function may follow: a slope of each output's own becomes a stage first, an activation stays a curve."""
    return _closed(flow) if flow.scale is not None else flow


def _with_constant(kind: str, flow: _Flow, constant: Values, turned: bool, shown: str) -> _Flow | str:
    if constant.size == 1:
        number = float(constant.reshape(-1)[0])
        if flow.scale is None:
            with np.errstate(all="ignore"):
                made = _ARITHMETIC[kind](number, flow.values) if turned else _ARITHMETIC[kind](flow.values, number)
            return replace(flow, curve=made)
        constant = np.full(1, number)
    if kind not in {"Add", "Sub", "Mul", "Div"} or (kind == "Div" and turned):
        return f"an operation with a vector that is no normalisation ({shown})"
    last = flow.stages[-1] if flow.stages else None
    if kind == "Add" and flow.is_plain and isinstance(last, Affine) and constant.size == last.weight.shape[1]:
        bias = last.bias + constant.reshape(-1)
        return _Flow((*flow.stages[:-1], replace(last, bias=bias)))
    if flow.scale is None:  # a curve so far: a line may go on, an activation ends here
        line = _line(flow.values)
        if line is None:
            flow = _closed(flow)
            line = (1.0, 0.0)
        flow = _Flow(flow.stages, None, np.array([line[0]]), np.array([line[1]]))
    vector = constant.reshape(-1)
    scale, shift = flow.scale, flow.shift
    assert scale is not None and shift is not None  # noqa: PT018
    if kind == "Mul":
        scale, shift = scale * vector, shift * vector
    elif kind == "Div":
        scale, shift = scale / vector, shift / vector
    elif kind == "Add":
        shift = shift + vector
    else:
        scale, shift = (-scale, vector - shift) if turned else (scale, shift - vector)
    size = max(scale.size, shift.size)
    return replace(flow, scale=np.broadcast_to(scale, size), shift=np.broadcast_to(shift, size))
