"""Networks as people write them are read as what they compute, or refused with what they are."""

from __future__ import annotations

import copy
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from dropclust.core import mnist
from dropclust.service.files import Choices, LoadError, Reading, read, read_bytes, to_bytes
from dropclust.service.files.reading import CHANGED
from tests.service.files import zoo
from tests.service.files.networks import network, npz, refused

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "networks"
FOUR = ["fc1", "fc2", "fc3", "fc4"]


def check(data: bytes, name: str, expected: np.ndarray, **reading: Any) -> Reading:
    """Read a file and compare its logits; also what the report says."""
    found = read_bytes(data, name)
    np.testing.assert_allclose(zoo.of_network(found.network, len(expected)), expected, atol=2e-4 * np.abs(expected).max())
    for key, value in reading.items():
        assert getattr(found, key) == value
    json.dumps(found.report())
    return found


def tensors(model: nn.Sequential) -> dict[str, Any]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


NAMES: dict[str, tuple[list[str], str]] = {
    "the last has no number": (["layers.0", "layers.1", "layers.2", "head"], "the numbers in the names"),
    "by place": (["input", "hidden1", "hidden2", "output"], "the numbers in the names"),
    "the first has no number": (["fc", "fc2", "fc3", "fc4"], "the numbers in the names"),
    "words": (["first", "second", "third", "output"], "held-out accuracy"),
    "words that lie about their place": (["last", "one", "head", "input"], "held-out accuracy"),
    "prefixes": ([f"module._orig_mod.model.{name}" for name in FOUR], "the numbers in the names"),
    "fc_in": (["fc_in", "fc_h1", "fc_h2", "fc_out"], "the numbers in the names"),
}


@pytest.mark.parametrize("case", NAMES)
def test_layers_stand_in_their_order(case: str) -> None:
    names, reason = NAMES[case]
    model = zoo.trained()
    check(safetensors.numpy.save(zoo.named(model, names)), "net.safetensors", zoo.logits(model), order_reason=reason)


def test_the_order_of_a_torch_file_is_kept_and_another_can_be_chosen() -> None:
    model = zoo.trained()
    state = {name: torch.from_numpy(value) for name, value in zoo.named(model, ["a", "d", "c", "b"]).items()}
    found = check(zoo.saved(state), "net.pt", zoo.logits(model), order_reason="the order in the file")
    assert found.accuracy is not None
    data = safetensors.torch.save(state)
    chosen = read_bytes(data, "net.safetensors", Choices(order="a,d,c,b"))
    assert chosen.order_reason == "as you chose"
    np.testing.assert_allclose(zoo.of_network(chosen.network), zoo.logits(model), atol=2e-3)
    with pytest.raises(LoadError, match="must name each once"):
        read_bytes(data, "net.safetensors", Choices(order="a,d"))
    with pytest.raises(LoadError, match="do not fit"):
        read_bytes(data, "net.safetensors", Choices(order="d,a,c,b"))


def with_bias_row(model: nn.Sequential, first: bool, turn: bool) -> dict[str, Any]:
    found = {}
    for number, layer in enumerate(zoo.linears(model), start=1):
        weight, bias = layer.weight.detach().numpy().T, layer.bias.detach().numpy()[None]
        array = np.concatenate([bias, weight] if first else [weight, bias])
        found[f"Theta{number}"] = np.ascontiguousarray(array.T if turn else array)
    return found


BIASES: dict[str, Callable[[nn.Sequential], dict[str, Any]]] = {
    "columns": lambda m: {n: v[:, None] if v.ndim == 1 else v for n, v in zoo.named(m, FOUR).items()},
    "rows": lambda m: {n: v[None] if v.ndim == 1 else v for n, v in zoo.named(m, FOUR, "_W", "_b", turn=True).items()},
    "last row": lambda m: with_bias_row(m, first=False, turn=False),
    "first column": lambda m: with_bias_row(m, first=True, turn=True),
    "W and b": lambda m: zoo.named(m, ["1", "2", "3", "4"], "_W", "_b"),
    "letters": lambda m: {
        name.replace(".weight", "").replace(".bias", "").replace("w", "b" if "bias" in name else "w"): value
        for name, value in zoo.named(m, ["wxh", "wha", "whb", "why"]).items()
    },
}


@pytest.mark.parametrize("case", BIASES)
def test_biases_of_any_shape(case: str) -> None:
    model = zoo.trained()
    check(npz(BIASES[case](model)), "net.npz", zoo.logits(model))


def test_no_biases_are_zeros() -> None:
    model = zoo.trained(bias=False)
    found = check(safetensors.numpy.save(zoo.named(model, FOUR)), "net.safetensors", zoo.logits(model))
    assert all("no bias in the file: zeros" in row["folded"] for row in found.rows)


@pytest.mark.parametrize("norm", ["before", "after"])
@pytest.mark.parametrize("named", ["sequential", "names"])
def test_batch_norm_is_folded(norm: str, named: str) -> None:
    model = zoo.trained(norm=norm)
    state = tensors(model)
    if named == "names":  # where no number says what stands before what
        linear = [n for n, layer in enumerate(model) if isinstance(layer, nn.Linear)]
        norms = [n for n, layer in enumerate(model) if isinstance(layer, nn.BatchNorm1d)]
        new = {str(n): f"fc{k}" for k, n in enumerate(linear)} | {str(n): f"bn{k}" for k, n in enumerate(norms)}
        state = {f"{new[name.split('.')[0]]}.{name.split('.')[1]}": value for name, value in state.items()}
    found = check(safetensors.numpy.save(state), "net.safetensors", zoo.logits(model))
    assert sum(name.endswith("num_batches_tracked") for name in found.left_out) == 3
    folded = [row["folded"] for row in found.rows]
    assert all("BatchNorm" in text for text in (folded[:3] if norm == "before" else folded[1:]))


@pytest.mark.parametrize("given", [given for given in zoo.GIVEN if given not in {"pixels", "0.01-to-1"}])
def test_the_input_scale_is_found_and_folded(given: str) -> None:
    model = zoo.trained(given=given)
    found = read_bytes(safetensors.torch.save(model.state_dict()), "net.safetensors")
    assert found.input_scale.name == given
    expected = zoo.logits(model, given)
    np.testing.assert_allclose(zoo.of_network(found.network), expected, atol=5e-4 * np.abs(expected).max())
    assert found.accuracy is not None
    assert found.accuracy > 0.8
    chosen = read_bytes(safetensors.torch.save(model.state_dict()), "net.safetensors", Choices(input_scale="0.01-to-1"))
    assert (chosen.input_scale.name, chosen.scale_reason) == ("0.01-to-1", "as you chose")


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "elu"])
def test_the_activation_is_found(name: str) -> None:
    model = zoo.trained(name)
    check(safetensors.torch.save(model.state_dict()), "net.safetensors", zoo.logits(model), activation=name)


@pytest.mark.parametrize("name", ["gelu", "silu", "leaky_relu"])
def test_an_activation_that_images_can_hardly_tell_is_taken_by_name(name: str) -> None:
    model = zoo.trained(name)
    data = safetensors.torch.save(model.state_dict())
    check(data, f"mnist-{name}.safetensors", zoo.logits(model), activation=name)
    found = read_bytes(data, "net.safetensors", Choices(activation=name))
    assert (found.activation, found.activation_reason) == (name, "as you chose")
    declared = read_bytes(safetensors.torch.save(model.state_dict(), {"activation": name}), "net.safetensors")
    assert (declared.activation, declared.activation_reason) == (name, "declared by the file")
    with pytest.raises(LoadError, match="activation must be one of"):
        read_bytes(data, "net.safetensors", Choices(activation="maxout"))


@pytest.mark.parametrize("name", ["relu", "gelu", "silu"])
def test_what_images_cannot_tell_is_said(name: str) -> None:
    found = read_bytes(safetensors.torch.save(zoo.trained(name).state_dict()), "net.safetensors")
    others = re.fullmatch(r"likeliest, though not certain: held-out images cannot tell it from (.*)", found.activation_reason)
    possible = [found.activation, *(others[1].split(" and ") if others else [])]
    assert name in possible
    assert others or found.activation_reason == "found on held-out images"


def test_masks_checkpoints_and_normalised_weights() -> None:
    model = zoo.trained()
    expected = zoo.logits(model)
    state = tensors(model)
    pruned = {name.replace("weight", "weight_orig"): value for name, value in state.items()}
    pruned |= {name.replace("weight", "weight_mask"): np.ones_like(state[name]) for name in state if "weight" in name}
    found = check(safetensors.numpy.save(pruned), "net.safetensors", expected)
    assert found.rows[0]["folded"] == "pruning mask multiplied"
    checkpoint = {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(16, 784), "step": torch.tensor(5)}}, "param_groups": [{"lr": 0.1}]},
        "args": {"hidden": [16]},
    }
    found = check(zoo.saved(checkpoint), "net.pth", expected)
    assert "optimizer.state.0.exp_avg" in found.left_out
    averaged = {f"ema_model.module.{name}": value for name, value in model.state_dict().items()} | {"step": torch.tensor(3)}
    check(zoo.saved(averaged), "net.pt", expected)
    normalised = {}
    for name, value in state.items():
        if name.endswith("weight"):
            normalised[f"{name}_g"] = np.linalg.norm(value, axis=1, keepdims=True)
            normalised[f"{name}_v"] = 3 * value
        else:
            normalised[name] = value
    check(npz(normalised), "net.npz", expected)


def test_settings_and_counters_beside_the_weights_are_left_out_by_name() -> None:
    model = zoo.trained("tanh")
    named = zoo.named(model, FOUR) | {
        "layer_sizes": np.array([784, 16, 16, 16, 10]), "epoch": np.int64(3), "train_losses": np.ones(7, np.float32),
        "activation": np.array("tanh"), "note": np.array(["a", "b"]),
    }  # fmt: skip
    found = check(npz(named), "net.npz", zoo.logits(model), activation="tanh", activation_reason="declared by the file")
    assert set(found.left_out) == {"layer_sizes", "epoch", "train_losses", "note"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_of_torch(dtype: torch.dtype) -> None:
    model = copy.deepcopy(zoo.trained()).to(dtype)
    check(zoo.saved(model.state_dict()), "net.pt", zoo.logits(model))


def old_header(data: bytes) -> bytes:
    """The npz as numpy wrote it under Python 2: lengths with an L."""
    return data.replace(b"(784, 16), }  ", b"(784L, 16L), }").replace(b"(16, 16), }  ", b"(16L, 16L), }")


def test_an_npz_of_python_2() -> None:
    import io
    import zipfile

    model = zoo.trained()
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(npz(zoo.named(model, FOUR, turn=True)))) as before,
        zipfile.ZipFile(file, "w") as after,
    ):
        for name in before.namelist():
            after.writestr(name, old_header(before.read(name)))
    assert b"784L" in file.getvalue()
    check(file.getvalue(), "net.npz", zoo.logits(model))


# ---- ONNX ----------------------------------------------------------------------------------------------------------------


def exported(model: nn.Module, **options: Any) -> bytes:
    import io

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 784),),
            file,
            dynamo=False,
            dynamic_axes={"input": {0: "n"}},
            input_names=["input"],
            **options,
        )
    return file.getvalue()


class Scaled(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.model((x.flatten(1) - 0.1307) / 0.3081), 1)


@pytest.mark.parametrize("name", zoo.MODULES)
@pytest.mark.parametrize("opset", [13, 20])
def test_onnx_as_torch_exports_it(name: str, opset: int) -> None:
    model = zoo.trained(name)
    check(exported(model, opset_version=opset), "net.onnx", zoo.logits(model), activation=name)


@pytest.mark.parametrize("norm", ["before", "after"])
def test_onnx_with_batch_norm(norm: str) -> None:
    model = zoo.trained(norm=norm)
    check(exported(model, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False), "net.onnx", zoo.logits(model))


def test_onnx_with_its_input_scale_and_softmax() -> None:
    model = zoo.trained(given="standardised")
    found = check(exported(Scaled(model)), "net.onnx", zoo.logits(model, "standardised"))
    assert found.input_scale.name == "pixels"
    assert "softmax" in " ".join(found.notes)


def graph(nodes: list[Any], constants: dict[str, np.ndarray], inputs: int = 1) -> bytes:
    values = [helper.make_tensor_value_info(f"x{n}" if n else "x", TensorProto.FLOAT, ["n", 784]) for n in range(inputs)]
    made = helper.make_graph(
        nodes, "g", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return bytes(helper.make_model(made).SerializeToString())


def test_onnx_that_is_no_perceptron_is_refused() -> None:
    w, v = np.ones((784, 10), np.float32), np.ones((10, 10), np.float32)
    node = helper.make_node
    for nodes, constants, match in (
        ([node("Conv", ["x", "w"], ["y"])], {"w": w}, "a convolution"),
        ([node("MatMul", ["x", "w"], ["a"]), node("LayerNormalization", ["a", "v"], ["y"])], {"w": w, "v": v}, "a LayerNorm"),
        ([node("MatMul", ["z", "w"], ["y"]), node("Relu", ["y"], ["z"])], {"w": w}, "without a cycle"),
        (
            [node("MatMul", ["x", "w"], ["a"]), node("Cos", ["a"], ["b"]), node("MatMul", ["b", "v"], ["y"])],
            {"w": w, "v": v},
            "Cos",
        ),
        (
            [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["x", "w"], ["b"]), node("Add", ["a", "b"], ["y"])],
            {"w": w},
            "a branch",
        ),
        ([node("MatMul", ["x", "w"], ["y"])], {"w": w}, "hidden layers"),
        ([node("MatMul", ["x", "w"], ["y"])], {"w": w.astype(np.int8)}, "no layer"),
        ([node("DequantizeLinear", ["w", "v"], ["d"]), node("MatMul", ["x", "d"], ["y"])], {"w": w, "v": v[0]}, "int8"),
    ):
        refused(graph(nodes, constants), "net.onnx", match)
    outside = onnx.load_from_string(graph([node("MatMul", ["x", "w"], ["y"])], {"w": w}))
    outside.graph.initializer[0].data_location = TensorProto.EXTERNAL
    outside.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    refused(outside.SerializeToString(), "net.onnx", "must hold its weights itself")
    refused(graph([node("MatMul", ["x", "w"], ["y"])], {"w": w}, inputs=2), "net.onnx", "one input")
    refused(b"\x08\x09hello", "net.onnx")
    refused(exported(zoo.trained())[:-500], "net.onnx")


# ---- torch ---------------------------------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self) -> Any:
        return os.abort, ()


def test_a_pt_that_is_more_than_tensors_is_refused() -> None:
    import io

    model = zoo.trained()
    refused(zoo.saved(model), "net.pt", r"a whole module or other objects.*torch\.save\(model\.state_dict\(\)")
    refused(zoo.saved({"a": Bomb()}), "net.pt", "whole module or other objects")
    script = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(model, torch.zeros(1, 784)), script)
    refused(script.getvalue(), "net.pt", "TorchScript")
    data = zoo.saved(model.state_dict())
    refused(data[:-200], "net.pt", "damaged|could not")
    refused(b"no torch file", "net.pt", r"torch\.save")
    flipped = bytearray(data)
    flipped[data.index(b"data/0") + 3000] ^= 1
    refused(bytes(flipped), "net.pt", "does not match its checksum")


# ---- refusals by name ----------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a convolution": ({"conv.weight": np.ones((4, 1, 3, 3), np.float32)}, "a convolution"),
    "a LayerNorm": ({"norm.weight": np.ones(16, np.float32), "norm.bias": np.ones(16, np.float32)}, "a LayerNorm"),
    "a PReLU": ({"act.weight": np.ones(1, np.float32)}, "PReLU"),
    "int8": ({"fc1.weight": np.ones((16, 784), np.int8)}, "int8 weights need their scales"),
    "attention": ({"attn.in_proj_weight": np.ones((48, 16), np.float32)}, "attention"),
    "recurrent": ({"rnn.weight_hh_l0": np.ones((16, 16), np.float32)}, "recurrent"),
    "LoRA": ({"fc1.lora_A.weight": np.ones((4, 784), np.float32)}, "LoRA"),
    "too many": ({f"t{n}": np.ones(1, np.float32) for n in range(300)}, "at most 12[89]"),
    "a bias too long": ({"fc1.bias": np.ones(17, np.float32)}, "as many biases as outputs"),
    "NaN": ({"fc1.bias": np.full(16, np.nan, np.float32)}, "finite"),
    "no order": ({"fc9.weight": np.ones((7, 5), np.float32)}, "784 inputs to 10 outputs"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_what_is_no_perceptron_is_refused_by_name(case: str, suffix: str) -> None:
    extra, match = REFUSED[case]
    named = zoo.named(zoo.trained(), FOUR) | extra
    refused(npz(named) if suffix == ".npz" else safetensors.numpy.save(named), f"net{suffix}", match)


@pytest.mark.parametrize("name", ["m.ckpt", "m.pkl", "m.joblib", "m.msgpack", "m.eqx", "m.skops"])
def test_a_refused_kind_names_the_line_that_mends_it(name: str) -> None:
    assert "writes what is read here" in refused(b"", name, "is not opened")


# ---- our own, changed elsewhere ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".onnx"])
def test_our_own_file_changed_elsewhere_is_read_as_anybodys(suffix: str) -> None:
    made = read_bytes(safetensors.torch.save(zoo.trained().state_dict()), "net.safetensors").network
    data = to_bytes(made, suffix, {"a": 1})
    if suffix == ".safetensors":
        named = safetensors.numpy.load(data)
        begins = 8 + int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8:begins])["__metadata__"]
        tuned = safetensors.numpy.save({name: value * np.float32(1.01) for name, value in named.items()}, metadata)
        half = safetensors.numpy.save({name: value.astype(np.float16) for name, value in named.items()}, metadata)
        changed = [tuned, half]
    elif suffix == ".npz":
        import io

        with np.load(io.BytesIO(data)) as file:
            named = dict(file)
        changed = [npz({name: value if name == "dropclust" else value * np.float32(1.01) for name, value in named.items()})]
    else:
        model = onnx.load_from_string(data)
        for tensor in model.graph.initializer:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
        changed = [model.SerializeToString()]
    whole = read_bytes(data, f"net{suffix}")
    assert whole.is_ours
    assert whole.proof == {"a": 1}
    for content in changed:
        found = read_bytes(content, f"net{suffix}")
        assert CHANGED in found.notes
        assert found.proof is None
        assert not found.is_ours


def test_a_mere_mention_of_us_is_no_description() -> None:
    model = zoo.trained()
    for metadata in ({"from": "dropclust"}, {"dropclust": "1.0"}):
        found = read_bytes(safetensors.torch.save(model.state_dict(), metadata), "net.safetensors")
        assert found.notes == ()


def test_other_outputs_are_read_and_say_what_they_cannot() -> None:
    wide = {f"{kind}{n}": v for n, (a, b) in enumerate(((784, 20), (20, 26))) for kind, v in
            (("W", np.ones((a, b), np.float32)), ("b", np.ones(b, np.float32)))}  # fmt: skip
    found = read_bytes(npz(wide), "letters.npz")
    assert found.network.outputs == 26
    assert found.accuracy is None
    assert "26 outputs" in " ".join(found.notes)


def test_an_untrained_network_stays_as_it_was_brought() -> None:
    made = network((9, 9, 9))
    found = read_bytes(npz({f"W{n}": w.numpy() for n, w in enumerate(made.weights)}), "net.npz")
    assert (found.input_scale.name, found.activation) == ("pixels", "relu")
    assert "half of the" in " ".join(found.notes)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample networks beside this checkout")
@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*") if path.suffix != ".json"))
def test_the_samples_have_their_accuracy(name: str) -> None:
    expected = json.loads((SAMPLES / "expected.json").read_text())[name]
    if expected.get("refused"):
        with pytest.raises(LoadError, match="a convolution"):
            read(SAMPLES / name)
        return
    data = mnist.load()
    found = zoo.of_network(read(SAMPLES / name).network, len(data.test_x)).argmax(1)
    assert abs(float((found == data.test_y.numpy()).mean()) - expected["accuracy"]) <= 0.0005
