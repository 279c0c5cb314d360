"""The card beside a network's file: what it is, what it takes, what it was made of and what is proved of it, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from dropclust.core.spec import INPUTS
from dropclust.service.files.scale import PIXELS, InputScale, describe
from dropclust.service.files.tensors import Described, activation_of, digest, tensors_of


def card(
    network: Described,
    name: str,
    proved: str | None = None,
    proof: Mapping[str, Any] | None = None,
    input_scale: InputScale | None = None,
) -> str:
    """A model card as Markdown.

    Parameters
    ----------
    network
        The network in the file.
    name
        The file's name.
    proved
        The proof in words, as `dropclust.service.proof.sentence` says it, or None.
    proof
        The proof itself; its versions are named.
    input_scale
        What the file's network takes for a picture; None: pixels from 0 to 1.
    """
    tensors = tensors_of(network)
    layers = len(tensors) // 2
    widths = [INPUTS, *(len(tensors[f"biases.{layer}"]) for layer in range(layers))]
    activation = activation_of(network)
    taken = describe(PIXELS if input_scale is None else input_scale.name)
    lines = [
        f"# {name}",
        "",
        f"A perceptron {'-'.join(map(str, widths))} with {sum(tensor.size for tensor in tensors.values()):,} parameters; "
        f"{activation} stands after each hidden layer, and the last gives logits.",
        "",
        f"- It takes {INPUTS} numbers a picture of 28 x 28, row by row: {taken}.",
        f"- SHA-256 of its weights, biases and activation, for pixels from 0 to 1: `{digest(network)}`.",
    ]
    if proved is not None:
        lines += ["", "## What is proved of it", "", f"{proved[:1].upper()}{proved[1:]}."]
    versions = (proof or {}).get("versions")
    if isinstance(versions, Mapping):
        lines += [
            "",
            "Measured with " + ", ".join(f"{package} {version}" for package, version in sorted(versions.items())) + ".",
        ]
    modules = ", activation, ".join(f"nn.Linear({a}, {b})" for a, b in pairwise(widths))
    lines += [
        "",
        "## Use",
        "",
        "A `.pt` file is the state dict of this module, where `activation` is "
        f"{_MODULES.get(activation.partition(':')[0], activation)}:",
        "",
        f"    nn.Sequential({modules})",
        "",
        "An `.onnx` file takes `x` and gives `logits`; a `.safetensors` or `.npz` file holds `weights.0` [in, out], `biases.0` "
        "and so on.",
        "",
    ]
    return "\n".join(lines)


_MODULES = {
    "relu": "`nn.ReLU()`", "tanh": "`nn.Tanh()`", "sigmoid": "`nn.Sigmoid()`", "gelu": "`nn.GELU()`",
    "gelu_tanh": '`nn.GELU("tanh")`', "leaky_relu": "`nn.LeakyReLU()` with its slope", "elu": "`nn.ELU()` with its alpha",
    "silu": "`nn.SiLU()`", "selu": "`nn.SELU()`", "softplus": "`nn.Softplus()`", "mish": "`nn.Mish()`",
    "softsign": "`nn.Softsign()`", "relu6": "`nn.ReLU6()`", "identity": "`nn.Identity()`",
}  # fmt: skip
