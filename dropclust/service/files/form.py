"""A perceptron as a chain of stages, folded exactly into weights, biases and one activation, with every step told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dropclust.service.files.common import Array, LoadError, float32, short
from dropclust.service.files.parts import Norm, Values


@dataclass(frozen=True, eq=False)
class Affine:
    """A layer ``x @ weight + bias``: ``[in, out]`` and ``[out]``; ``lay`` says how its weight lay in the file."""

    name: str
    weight: Values
    bias: Values
    tensors: tuple[str, ...] = ()
    lay: str = "[in, out]"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Activation:
    """A function of `dropclust.core.activation`, or "" where nothing tells which."""

    name: str = ""


Stage = Affine | Norm | Activation


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer after folding, and what of the file is in it."""

    weight: Array
    bias: Array
    name: str
    tensors: tuple[str, ...]
    lay: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Form:
    """Layers with one activation between them; "" is one that the file does not name."""

    layers: tuple[Layer, ...]
    activation: str
    notes: tuple[str, ...] = ()


@dataclass
class _Open:
    """A layer to which something may still be folded."""

    affine: Affine
    weight: Values
    bias: Values
    notes: list[str] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)


def fold(stages: Sequence[Stage]) -> Form:
    """Fold every BatchNorm, and layers with nothing between them, into their neighbours.

    After a layer, ``(x W + b) s + t = x (W s) + (b s + t)``; before one, ``(x s + t) W + b = x (s W) + (t W + b)``.

    Raises
    ------
    LoadError
        When activations differ between layers, or the stages lead nowhere.
    """
    layers: list[_Open] = []
    activations: list[str] = []
    waiting: list[Norm] = []  # normalisations that follow an activation, or the input
    notes: list[str] = []
    after_activation = True
    for stage in stages:
        if isinstance(stage, Activation):
            if after_activation and layers:
                raise LoadError("must have one activation between two layers; it has two")
            if not layers:
                raise LoadError("must begin with a layer; it begins with an activation")
            activations.append(stage.name)
            after_activation = True
        elif isinstance(stage, Norm):
            if after_activation:
                waiting.append(stage)
            else:
                _check_width(stage, layers[-1].weight.shape[1])
                layers[-1].weight, layers[-1].bias = (
                    layers[-1].weight * stage.scale,
                    layers[-1].bias * stage.scale + stage.shift,
                )
                layers[-1].notes.append(f"BatchNorm {stage.name or ''} after it folded in".replace("  ", " "))
                layers[-1].tensors += stage.tensors
        else:
            opened = _Open(stage, stage.weight.astype(np.float64), stage.bias.astype(np.float64), list(stage.notes))
            opened.tensors += stage.tensors
            for norm in reversed(waiting):
                _check_width(norm, opened.weight.shape[0])
                opened.bias = opened.bias + norm.shift @ opened.weight
                opened.weight = norm.scale[:, None] * opened.weight
                opened.notes.append(f"BatchNorm {norm.name or ''} before it folded in".replace("  ", " "))
                opened.tensors += norm.tensors
            waiting = []
            if layers and opened.weight.shape[0] != layers[-1].weight.shape[1]:
                raise LoadError(
                    f"must have layers that fit each other; {short(stage.name)} takes {opened.weight.shape[0]} inputs and is "
                    f"given {layers[-1].weight.shape[1]}"
                )
            if layers and not after_activation:  # two layers with nothing between are one
                below = layers.pop()
                opened.bias = below.bias @ opened.weight + opened.bias
                opened.weight = below.weight @ opened.weight
                opened.notes.append(f"{below.affine.name} multiplied in, as no activation stands between")
                opened.tensors = [*below.tensors, *opened.tensors]
            layers.append(opened)
            after_activation = False
    if waiting:
        raise LoadError("must end with a layer; it ends with a BatchNorm after an activation")
    if len(activations) == len(layers) and layers:
        last = activations.pop()
        notes.append(f"the {last} after the last layer is left out: logits are what is computed")
    if len(set(activations)) > 1:
        raise LoadError(f"must have the same activation after every hidden layer; it has {', '.join(activations)}")
    with np.errstate(all="ignore"):
        folded = tuple(
            Layer(
                float32(layer.weight), float32(layer.bias), layer.affine.name, tuple(layer.tensors), layer.affine.lay,
                tuple(layer.notes),
            )
            for layer in layers
        )  # fmt: skip
    return Form(folded, activations[0] if activations else "", tuple(notes))


def _check_width(norm: Norm, width: int) -> None:
    if len(norm.scale) != width:
        raise LoadError(f"must have a BatchNorm as wide as its layer; {short(norm.name)} has {len(norm.scale)} and not {width}")
