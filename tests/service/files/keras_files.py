"""Files of a Sequential model in the layout of Keras 3.15, written with h5py: `model.keras` and the older `model.h5`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

Layers = Sequence[tuple[np.ndarray, np.ndarray]]  # of each a kernel [in, out] and a bias [out]


def _names(layers: Layers) -> list[str]:
    return [f"dense_{number}" if number else "dense" for number in range(len(layers))]


def _policy(in_zip: bool) -> dict[str, Any]:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    return policy | ({"shared_object_id": 140377511726544} if in_zip else {})


def _layer(kind: str, config: dict[str, Any], shape: list[int | None] | None, in_zip: bool) -> dict[str, Any]:
    if not in_zip:
        return {"class_name": kind, "config": config}
    built = {"build_config": {"input_shape": shape}} if shape else {}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None, **built}


def config(layers: Layers, activation: str = "relu", last: str = "softmax", in_zip: bool = True) -> dict[str, Any]:
    """A model's configuration: Flatten, Dense layers with Dropout after the first, as ``config.json`` has it."""
    common: dict[str, Any] = {"trainable": True, "dtype": _policy(in_zip)}

    def started(kind: str, own: dict[str, Any]) -> dict[str, Any]:
        return {"module": "keras.initializers", "class_name": kind, "config": own, "registered_name": None}

    found = [
        _layer(
            "InputLayer",
            {
                "batch_shape": [None, 28, 28], "dtype": "float32", "sparse": False, "ragged": False, "name": "input_layer",
                "optional": False,
            },
            None, in_zip,
        ),
        _layer("Flatten", {"name": "flatten", **common, "data_format": "channels_last"}, [None, 28, 28], in_zip),
    ]  # fmt: skip
    for number, (name, (kernel, bias)) in enumerate(zip(_names(layers), layers, strict=True)):
        dense = {
            "name": name, **common, "units": len(bias), "activation": activation if number < len(layers) - 1 else last,
            "use_bias": True,
            "kernel_initializer": started("GlorotUniform", {"seed": None, "input_axes": None, "output_axes": None}),
            "bias_initializer": started("Zeros", {}), "kernel_regularizer": None, "bias_regularizer": None,
            "kernel_constraint": None, "bias_constraint": None, "quantization_config": None,
        }  # fmt: skip
        found.append(_layer("Dense", dense, [None, len(kernel)], in_zip))
        if number == 0:
            drop = {"name": "dropout", **common, "rate": 0.2, "seed": None, "noise_shape": None}
            found.append(_layer("Dropout", drop, None, in_zip))
    model = {
        "class_name": "Sequential",
        "config": {"name": "sequential", **common, "layers": found, "build_input_shape": [None, 28, 28]},
    }
    if not in_zip:
        return model
    return {"module": "keras", **model, "registered_name": None, "build_config": {"input_shape": [None, 28, 28]}}


def zipped(layers: Layers, activation: str = "relu") -> bytes:
    """What ``model.save("net.keras")`` writes: two texts and an HDF5 file in a zip that compresses nothing."""
    with h5py.File(weights := io.BytesIO(), "w") as file:
        for name in ["flatten", "dropout"]:
            file.create_group(f"layers/{name}/vars").attrs["name"] = name
        for name, arrays in zip(_names(layers), layers, strict=True):
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            for number, array in enumerate(arrays):
                group.create_dataset(str(number), data=array)
        # Its optimiser has moments of every weight, in their shapes.
        group = file.create_group("optimizer/vars")
        group.attrs["name"] = "adam"
        moments = [array for arrays in layers for array in arrays for _ in range(2)]
        for number, array in enumerate([np.int32(700), np.float32(0.001), *moments]):
            group.create_dataset(str(number), data=np.zeros_like(array) if number > 1 else array)
        file.create_group("vars").attrs["name"] = "sequential"
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-11-26@16:01:09"}))
        archive.writestr("config.json", json.dumps(config(layers, activation)))
        archive.writestr("model.weights.h5", weights.getvalue())
    return file.getvalue()


def hdf5(layers: Layers, activation: str = "relu") -> bytes:
    """What ``model.save("net.h5")`` writes."""
    names = _names(layers)
    with h5py.File(file := io.BytesIO(), "w") as written:
        written.attrs["backend"], written.attrs["keras_version"] = "torch", "3.15.1"
        written.attrs["model_config"] = json.dumps(config(layers, activation, in_zip=False))
        model = written.create_group("model_weights")
        model.attrs["backend"], model.attrs["keras_version"] = "torch", "3.15.1"
        model.attrs["layer_names"] = ["flatten", names[0], "dropout", *names[1:]]
        for name in ("flatten", "dropout", "top_level_model_weights"):
            model.create_group(name).attrs["weight_names"] = np.zeros(0)
        for name, arrays in zip(names, layers, strict=True):
            group = model.create_group(name)
            group.attrs["weight_names"] = [f"sequential/{name}/{kind}" for kind in ("kernel", "bias")]
            for kind, array in zip(("kernel", "bias"), arrays, strict=True):
                group.create_dataset(f"sequential/{name}/{kind}", data=array)
                for moment in ("momentum", "velocity"):
                    of_optimiser = f"optimizer_weights/adam/sequential_{name}_{kind}_{moment}"
                    written.create_dataset(of_optimiser, data=np.zeros_like(array))
        written.create_dataset("optimizer_weights/adam/iteration", data=np.int32(700))
        written.create_dataset("optimizer_weights/adam/learning_rate", data=np.float32(0.001))
        written["optimizer_weights"].attrs["weight_names"] = ["adam/iteration", "adam/learning_rate"]
    return file.getvalue()
