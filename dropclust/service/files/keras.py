"""Keras's formats, .keras and .h5, and HDF5 files of tensors: read through h5py, which is only needed here."""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dropclust.service.files.common import MAX_FILE_BYTES, MAX_HEADER_BYTES, LoadError, check_count, parse_json, short
from dropclust.service.files.form import Activation, Affine, Stage
from dropclust.service.files.parts import Norm, Values, kept, norm
from dropclust.service.files.raw import Raw

MEND = "model.save('net.keras') writes what is read here"
_MAX_OBJECTS = 2_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NOTHING = {
    "InputLayer", "Flatten", "Reshape", "Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization",
    "Identity",
}  # fmt: skip
_ACTIVATIONS = {
    "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "gelu": "gelu", "elu": "elu", "selu": "selu", "silu": "silu",
    "swish": "silu", "softplus": "softplus", "softsign": "softsign", "mish": "mish", "relu6": "relu6",
    "leaky_relu": "leaky_relu:0.2", "softmax": "softmax", "log_softmax": "softmax", "linear": "",
}  # fmt: skip


def need_h5py() -> None:
    """Import h5py.

    Raises
    ------
    LoadError
        When it is not installed, with the line that does it.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise LoadError("needs the package h5py to be read: python -m pip install h5py") from error


def read(data: bytes) -> Raw:
    """A Keras model as a chain of stages, or the tensors of any other HDF5 file. To be called where h5py may be imported.

    Raises
    ------
    LoadError
        When it is no chain of layers that this project computes, or no whole file.
    """
    try:
        if data[:2] == b"PK":
            config, weights = _members(data)
            return _in_file(weights, parse_json(config))
        if data[:8] != _SIGNATURE:
            raise LoadError("is no HDF5 file and no zip of Keras's")
        return _in_file(data, None)
    except LoadError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise LoadError("is no file of Keras's: the zip around its weights is damaged") from error
    except Exception as error:  # HDF5 reports damage by any of a dozen errors
        raise LoadError("is no HDF5 file of a perceptron, or is damaged") from error


def _members(data: bytes) -> tuple[str, bytes]:
    if data.count(b"PK\x01\x02") > 64:
        raise LoadError("is no file of Keras's: it holds too many members")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        if not {"config.json", "model.weights.h5"} <= set(sizes):
            raise LoadError(f"is no file of Keras's: it lacks config.json or model.weights.h5; {MEND}")
        if sizes["config.json"] > MAX_HEADER_BYTES or sizes["model.weights.h5"] > MAX_FILE_BYTES:
            raise LoadError("holds more than a perceptron's weights and configuration")
        return archive.read("config.json").decode("utf-8", "replace"), archive.read("model.weights.h5")


def _in_file(data: bytes, config: Any) -> Raw:
    import h5py

    with h5py.File(io.BytesIO(data), "r") as file:
        datasets = dict(_datasets(file))
        declared = config
        if declared is None and "model_config" in file.attrs:
            text = file.attrs["model_config"]
            declared = parse_json(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
        network = kept(datasets)
        wanted = {name: item for name, item in datasets.items() if name in network and item.dtype.kind in "fiub"}
        check_count(math.prod(item.shape) for item in wanted.values())
        tensors = {_written(file, name): _values(item) for name, item in wanted.items()}
        left_out = tuple(name for name in datasets if name not in wanted)
    if declared is None:
        return Raw(_named(tensors), left_out=left_out)
    return Raw(stages=tuple(_stages(declared, tensors)), left_out=left_out)


def _datasets(group: Any, path: str = "", depth: int = 0, count: list[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Every array of the file itself: links to other files are refused, before they are followed."""
    import h5py

    count = [0] if count is None else count
    for name in group:
        count[0] += 1
        if count[0] > _MAX_OBJECTS or depth > 12:
            raise LoadError(f"must hold at most {_MAX_OBJECTS:,} groups and arrays")
        shown = f"{path}/{name}" if path else name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise LoadError(f"must hold its arrays itself; {short(shown)} is a link")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise LoadError(f"must hold its arrays itself; {short(shown)} is in another file")
            yield shown, item
        elif isinstance(item, h5py.Group):
            yield from _datasets(item, shown, depth + 1, count)


def _written(file: Any, name: str) -> str:
    """The name of an array with its layer's own name where Keras has filed it under the class of the layer."""
    parts = name.split("/")
    if "vars" in parts[:-1]:
        at = parts.index("vars")
        called = file["/".join(parts[: at + 1])].attrs.get("name")
        if isinstance(called, (str, bytes)) and at:
            parts[at - 1] = called if isinstance(called, str) else called.decode("utf-8", "replace")
    return "/".join(parts)


def _values(item: Any) -> Values:
    values = np.asarray(item[()])
    with np.errstate(all="ignore"):
        return values.astype(np.float32) if values.dtype.kind == "f" else values


def _named(tensors: Mapping[str, Values]) -> dict[str, Values]:
    """Keras's numbered variables of a layer, by what they are; other names stay."""
    layers: dict[str, list[str]] = {}
    for name in tensors:
        if match := re.fullmatch(r"(.*)/vars/(\d+)", name):
            layers.setdefault(match[1], []).append(name)
    renamed = dict(tensors)
    for layer, names in layers.items():
        names.sort(key=lambda name: int(name.rsplit("/", 1)[1]))
        roles = ("kernel", "bias") if tensors[names[0]].ndim >= 2 else ("gamma", "beta", "moving_mean", "moving_variance")
        for name, role in zip(names, roles, strict=False):
            renamed[f"{layer}/{role}"] = renamed.pop(name)
    return renamed


# ---- a model's configuration ---------------------------------------------------------------------------------------------


def _stages(config: Any, tensors: Mapping[str, Values]) -> Iterator[Stage]:
    """The layers of a model, in the order in which they follow each other."""
    width: int | None = None
    stages: list[Stage] = []
    for layer in _layers(config):
        kind, own = str(layer.get("class_name")), layer.get("config")
        if not isinstance(own, Mapping):
            raise LoadError(f"has a layer without configuration ({short(kind)})")
        name = str(own.get("name", kind))
        if kind in _NOTHING:
            continue
        if kind == "Dense":
            affine = _dense(name, own, tensors)
            width = affine.weight.shape[1]
            stages += [affine, *_activation(own.get("activation"), name)]
        elif kind == "BatchNormalization":
            stages.append(_batch_norm(name, own, tensors))
        elif kind == "Rescaling":
            wide = width or _inputs(config, tensors)
            stages.append(Norm(name, np.full(wide, float(own.get("scale", 1))), np.full(wide, float(own.get("offset", 0))), ()))
        elif kind == "Normalization":
            stages.append(_normalisation(name, own, tensors, width or _inputs(config, tensors)))
        elif kind == "Activation":
            stages += _activation(own.get("activation"), name)
        elif kind in {"ReLU", "LeakyReLU", "ELU", "Softmax"}:
            stages += _layer_activation(kind, own, name)
        else:
            raise LoadError(f"holds a layer {short(kind)} ({short(name)}); a perceptron of Dense layers is read")
    softmax = [number for number, stage in enumerate(stages) if isinstance(stage, Activation) and stage.name == "softmax"]
    if softmax and softmax != [len(stages) - 1]:
        raise LoadError("holds a softmax before its last layer; a perceptron is read")
    yield from stages


def _layers(config: Any) -> list[Mapping[str, Any]]:
    """The layers of a Sequential model, or of a functional one that is a chain."""
    try:
        kind, layers = config["class_name"], config["config"]["layers"]
    except (KeyError, TypeError) as error:
        raise LoadError(f"holds no Sequential or functional model of Keras's; {MEND}") from error
    if not isinstance(layers, list) or len(layers) > 200 or not all(isinstance(layer, Mapping) for layer in layers):
        raise LoadError("holds no list of layers")
    if kind == "Sequential":
        return layers
    follows: dict[str, Mapping[str, Any]] = {}
    first = None
    for layer in layers:
        before = set(re.findall(r'"keras_history": \["([^"]{1,200})"', _text(layer.get("inbound_nodes"))))
        if not before:
            before = set(re.findall(r'\[\[?"([^"]{1,200})", 0, 0', _text(layer.get("inbound_nodes"))))
        if not before:
            first = layer
            continue
        if len(before) > 1 or (name := before.pop()) in follows:
            raise LoadError("holds a model with branches; a perceptron is read")
        follows[name] = layer
    ordered: list[Mapping[str, Any]] = []
    while first is not None and len(ordered) <= len(layers):
        ordered.append(first)
        first = follows.get(str(first.get("name") or first.get("config", {}).get("name")))
    if len(ordered) != len(layers):
        raise LoadError("holds a model whose layers do not follow each other; a perceptron is read")
    return ordered


def _text(value: Any) -> str:
    import json

    return json.dumps(value)


def _inputs(config: Any, tensors: Mapping[str, Values]) -> int:
    """Inputs of the first Dense layer."""
    for layer in _layers(config):
        if layer.get("class_name") == "Dense":
            return int(_of_layer(str(layer["config"].get("name")), tensors)[0][1].shape[0])
    raise LoadError("holds no Dense layer")


def _of_layer(name: str, tensors: Mapping[str, Values]) -> list[tuple[str, Values]]:
    """The variables of a layer, in their order; kernel before bias, gamma, beta, mean, variance."""
    numbered = [(path, values) for path, values in tensors.items() if re.search(rf"(?:^|/){re.escape(name)}/vars/\d+$", path)]
    if numbered:
        return sorted(numbered, key=lambda item: int(item[0].rsplit("/", 1)[1]))
    order = ("kernel", "gamma", "bias", "beta", "moving_mean", "mean", "moving_variance", "variance")

    def word(path: str) -> str:
        return re.sub(r":\d+$", "", path.rsplit("/", 1)[-1])

    found = [
        (path, values)
        for path, values in tensors.items()
        if word(path) in order and name in path.split("/")[:-1] and not path.startswith("optimizer")
    ]
    return sorted(found, key=lambda item: order.index(word(item[0])))


def _dense(name: str, own: Mapping[str, Any], tensors: Mapping[str, Values]) -> Affine:
    found = _of_layer(name, tensors)
    wanted = 2 if own.get("use_bias", True) else 1
    if len(found) > wanted and any("quantized" in path or values.dtype.kind in "iu" for path, values in found):
        raise LoadError(f"holds int8 weights, which need their scales ({short(name)}); save the model before it is quantised")
    if len(found) != wanted or found[0][1].ndim != 2 or found[0][1].dtype.kind != "f":
        raise LoadError(f"must hold kernel and bias of every Dense layer; {short(name)} has {len(found)} arrays")
    kernel = found[0][1]
    bias = found[1][1].reshape(-1) if wanted == 2 else np.zeros(kernel.shape[1], np.float32)
    if len(bias) != kernel.shape[1]:
        raise LoadError(f"must have as many biases as outputs; {short(name)} gives {kernel.shape[1]} and has {len(bias)}")
    notes = () if wanted == 2 else ("no bias in the file: zeros",)
    return Affine(name, kernel, bias, tuple(path for path, _ in found), "[in, out]", notes)


def _batch_norm(name: str, own: Mapping[str, Any], tensors: Mapping[str, Values]) -> Norm:
    found = _of_layer(name, tensors)
    scales, centres = bool(own.get("scale", True)), bool(own.get("center", True))
    if len(found) != 2 + scales + centres or any(values.shape != found[0][1].shape for _, values in found):
        raise LoadError(f"must hold the statistics of every BatchNormalization; {short(name)} has {len(found)} arrays")
    vectors = [values.astype(np.float64).reshape(-1) for _, values in found]
    mean, variance = vectors[-2:]
    gamma = vectors[0] if scales else np.ones_like(mean)
    beta = vectors[int(scales)] if centres else np.zeros_like(mean)
    return norm(name, gamma, beta, mean, variance, float(own.get("epsilon", 1e-3)), tuple(path for path, _ in found))


def _normalisation(name: str, own: Mapping[str, Any], tensors: Mapping[str, Values], width: int) -> Norm:
    """Keras's Normalization of its inputs, with mean and variance from the weights or the configuration."""
    found = [values for _, values in _of_layer(name, tensors)][:2]
    parts = found if len(found) == 2 else [np.asarray(own.get(key), np.float64) for key in ("mean", "variance")]
    mean, variance = (np.asarray(part, np.float64).reshape(-1) for part in parts)
    if not {mean.size, variance.size} <= {1, width} or not (np.isfinite(variance).all() and (variance >= 0).all()):
        raise LoadError(f"must hold mean and variance of every Normalization; those of {short(name)} do not fit")
    scale = 1 / np.maximum(np.sqrt(np.broadcast_to(variance, width)), 1e-7)
    return Norm(name, scale, -np.broadcast_to(mean, width) * scale, ())


def _activation(declared: Any, layer: str) -> list[Stage]:
    """The stage of an activation that a layer names, none for a straight line."""
    if isinstance(declared, Mapping):
        own = declared.get("config")
        declared = own if isinstance(own, str) else (own or {}).get("name") if isinstance(own, Mapping) else None
        declared = declared or "unknown"
    if declared is None:
        return []
    name = _ACTIVATIONS.get(str(declared))
    if name is None:
        raise LoadError(f"holds the activation {short(str(declared))} ({short(layer)}), which is not computed here")
    return [Activation(name)] if name else []


def _layer_activation(kind: str, own: Mapping[str, Any], name: str) -> list[Stage]:
    if kind == "Softmax":
        return [Activation("softmax")]
    if kind == "ELU":
        alpha = float(own.get("alpha", 1.0))
        return [Activation("elu" if alpha == 1 else f"elu:{alpha:g}")]
    slope = float(own.get("negative_slope", own.get("alpha", 0.3 if kind == "LeakyReLU" else 0.0)) or 0.0)
    highest, threshold = own.get("max_value"), float(own.get("threshold") or 0)
    if kind == "ReLU" and highest == 6 and not slope and not threshold:
        return [Activation("relu6")]
    if highest is not None or threshold:
        raise LoadError(f"holds a ReLU with a threshold or a largest value ({short(name)}), which is not computed here")
    return [Activation("relu" if not slope else "leaky_relu" if slope == 0.01 else f"leaky_relu:{slope:g}")]
