"""What a file is read as: a network, and the report of how; what the file does not say is found out on held-out images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dropclust.core.spec import INPUTS, RunSpec
from dropclust.service.files import look as first_look
from dropclust.service.files import order as order_of_layers
from dropclust.service.files import parts as parts_of_file
from dropclust.service.files.common import LoadError, canonical, short
from dropclust.service.files.form import Activation, Affine, Form, Stage, fold
from dropclust.service.files.order import Layout
from dropclust.service.files.parts import Linear, Norm, Parts
from dropclust.service.files.raw import Raw
from dropclust.service.files.scale import OF_FILE, PIXELS, InputScale, moments, named
from dropclust.service.files.tensors import network_of

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

CHANGED = "changed since it was written; its proof no longer applies"
# What other libraries call the activations of `dropclust.core.activation`.
_CALLED = {
    "logistic": "sigmoid", "swish": "silu", "linear": "identity", "none": "identity", "leakyrelu": "leaky_relu",
    "gelu_new": "gelu_tanh", "gelu_approximate": "gelu_tanh",
}  # fmt: skip
_MOST_FORMS = 200


@dataclass(frozen=True)
class Choices:
    """What a person says where a file does not, in the words of `Reading`; ``order`` names layers, "fc1,fc2,fc3"."""

    input_scale: str | None = None
    activation: str | None = None
    order: str | None = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return any(choice is not None for choice in (self.input_scale, self.activation, self.order))


@dataclass(frozen=True, eq=False)
class Reading:
    """A network as it was read, for pixels from 0 to 1, and how.

    Parameters
    ----------
    network
        With input scale and normalisations folded in.
    rows
        A row a layer: ``layer``, ``tensors``, ``shape``, ``lay``, ``folded``, from the first to the last.
    order_reason
        Why the layers stand as they do.
    input_scale, scale_reason
        What the network took before, and how that is known.
    activation, activation_reason
        What stands between the layers, and how that is known.
    accuracy_as_brought, accuracy
        On the held-out images, of pixels from 0 to 1 with the likeliest activation and order, and as read; None where not
        measured.
    tried
        Ways of a first look: input scale, activation, held-out accuracy; the best first.
    left_out
        Tensors and other things of the file that are no part of the network.
    notes
        What else is to be said.
    proof
        What this project wrote beside the weights, where it still applies.
    """

    network: Network
    rows: tuple[dict[str, Any], ...]
    order_reason: str
    input_scale: InputScale
    scale_reason: str
    activation: str
    activation_reason: str
    accuracy_as_brought: float | None = None
    accuracy: float | None = None
    tried: tuple[tuple[str, str, float], ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    proof: dict[str, Any] | None = None
    is_ours: bool = False

    def report(self) -> dict[str, Any]:
        """All of it but the network, as JSON values."""
        return {
            "layers": [dict(row) for row in self.rows],
            "hidden": list(self.network.hidden),
            "outputs": self.network.outputs,
            "parameters": self.network.n_parameters,
            "order": self.order_reason,
            "input_scale": self.input_scale.name,
            "input_scale_words": self.input_scale.words,
            "input_scale_reason": self.scale_reason,
            "activation": self.activation,
            "activation_reason": self.activation_reason,
            "accuracy_as_brought": self.accuracy_as_brought,
            "accuracy": self.accuracy,
            "tried": [list(way) for way in self.tried],
            "left_out": list(self.left_out),
            "notes": list(self.notes),
            "ours": self.is_ours,
        }


@dataclass(frozen=True, eq=False)
class _Possible:
    """All forms a file may have, the likeliest first, and what is known of them."""

    forms: tuple[Form, ...]
    order_reason: str  # "" where images decide
    norms_open: bool = False
    pixels: tuple[Any, Any] | None = None
    left_out: tuple[str, ...] = ()


def interpret(raw: Raw, choices: Choices, data: Data | None, measure: bool, name: str = "") -> Reading:
    """Read what a file holds as a network.

    Parameters
    ----------
    raw
        What its reader found.
    choices
        What a person said.
    data
        Images to look with; None takes what is likeliest.
    measure
        Whether to look where nothing is open, for the accuracies in the report.
    name
        The file's name. An activation that stands in it is the likeliest: ReLU, GELU and SiLU read a small network nearly
        alike, and images alone often cannot tell.

    Raises
    ------
    LoadError
        One sentence that names the first thing that does not fit.
    """
    if raw.facts is not None and not choices.any:
        return _ours(raw, data if measure else None)
    possible = _possible(raw, choices.order)
    known = _known_activation(possible.forms[0], raw, choices)
    hint = None if known else _hint(name)
    activations = [known[0]] if known else list(dict.fromkeys([*([hint] if hint else []), *first_look.ACTIVATIONS]))
    names = [choices.input_scale] if choices.input_scale else _scale_names(possible, data)
    scales = {scale.name: scale for scale in (_scale(name, possible.pixels, data) for name in names)}
    default = first_look.default_way(activations, scales)
    forms = possible.forms
    can_look = data is not None and len(forms[0].layers[-1].bias) == data.classes
    tried: tuple[tuple[first_look.Way, float], ...] = ()
    way, believed = default, False
    rivals: tuple[str, ...] = ()
    notes = [*raw.notes]
    if can_look and data is not None and (measure or len(forms) * len(activations) * len(scales) > 1):
        found = first_look.look(forms, activations, scales, data, default)
        way, believed, tried, rivals = found.way, found.believed, found.tried, found.rivals
        if not believed and not choices.any:
            notes.append(
                f"no way to read it classifies half of the {len(data.held):,} held-out images correctly: it was trained on "
                "other pictures, or takes them in another way"
            )
    elif data is not None and not can_look:
        notes.append(
            f"it has {len(forms[0].layers[-1].bias)} outputs and the images {data.classes} labels: accuracy needs one each"
        )
    form, scale, accuracy = forms[way.form], scales[way.scale], dict(tried)
    reading = _reading(raw, form, scale, way.activation, None)
    return replace(
        reading,
        order_reason=possible.order_reason
        or ("held-out accuracy" if believed else "the words in the names; nothing else tells"),
        scale_reason="as you chose" if choices.input_scale else _reason(believed),
        activation_reason=known[1]
        if known
        else "named in the file's name; no other is significantly better on held-out images"
        if way.activation == hint
        else f"likeliest, though not certain: held-out images cannot tell it from {' and '.join(rivals)}"
        if rivals
        else _reason(believed),
        accuracy_as_brought=accuracy.get(default),
        accuracy=accuracy.get(way),
        tried=tuple((each.scale, each.activation, share) for each, share in sorted(tried, key=lambda item: -item[1])),
        left_out=(*raw.left_out, *possible.left_out),
        notes=(*([CHANGED] if raw.changed else []), *notes, *form.notes),
    )


def _reason(believed: bool) -> str:
    return "found on held-out images" if believed else "as brought; nothing tells another"


def _scale_names(possible: _Possible, data: Data | None) -> list[str]:
    if data is None:
        return [PIXELS]
    return list(first_look.scale_names(OF_FILE if possible.pixels is not None else None))


def _scale(name: str, pixels: tuple[Any, Any] | None, data: Data | None) -> InputScale:
    return named(name, (lambda: _moments(data)), pixels)


def _moments(data: Data | None) -> tuple[Any, Any]:
    if data is None:
        raise LoadError("could not be read: its input scale needs the training images, and they are not there")
    return moments(data)


def _hint(name: str) -> str | None:
    """The activation that a file's name names, None where it names none or several."""
    words = re.sub(r"leaky[_-]?relu|(?<![a-z])leaky(?![a-z])", "leakyrelu", name.lower())
    known = {*first_look.ACTIVATIONS, *_CALLED, "selu", "softplus", "mish", "softsign", "relu6"} - {"none", "linear"}
    found = {_CALLED.get(word, word) for word in re.findall(r"[a-z]+6?", words) if word in known}
    return found.pop() if len(found) == 1 else None


def _known_activation(form: Form, raw: Raw, choices: Choices) -> tuple[str, str] | None:
    """The activation where nobody needs to look, with the reason."""
    from dropclust.core.activation import activation

    for name, reason in (
        (choices.activation, "as you chose"),
        (form.activation or None, "declared by the file"),
        (raw.declared.get("activation"), "declared by the file"),
    ):
        if name is None:
            continue
        called = _CALLED.get(name.lower(), name.lower())
        try:
            activation(called)
        except ValueError as error:
            raise LoadError(f"could not be computed: {error}") from error
        return called, reason
    return None


# ---- our own files -------------------------------------------------------------------------------------------------------


def _ours(raw: Raw, data: Data | None) -> Reading:
    """A file of this project as it was written: nothing is open."""
    facts = raw.facts or {}
    proof = facts.get("proof")
    spec = None if facts.get("spec") is None else RunSpec.from_json(canonical(facts["spec"]))
    names = sorted(raw.tensors, key=parts_of_file.natural)
    layers = len(names) // 2
    if sorted(names) != sorted(f"{kind}.{layer}" for kind in ("weights", "biases") for layer in range(layers)):
        raise LoadError("is damaged: its tensors are not named as this project names them")
    stages = _chained(
        [
            Affine(
                f"layer {layer + 1}", raw.tensors[f"weights.{layer}"], raw.tensors[f"biases.{layer}"],
                (f"weights.{layer}", f"biases.{layer}"),
            )
            for layer in range(layers)
        ]
    )  # fmt: skip
    if any(stage.weight.ndim != 2 or stage.bias.ndim != 1 for stage in stages if isinstance(stage, Affine)):
        raise LoadError("is damaged: its weights are no matrices or its biases no vectors")
    activation = str(facts.get("activation", "relu"))
    scale = named(str(facts.get("input_scale", PIXELS)), lambda: _moments(data))
    form = fold(stages)
    accuracy = None if data is None else first_look.held_out_accuracy(form, scale, activation, data)
    return replace(
        _reading(raw, form, scale, activation, spec),
        order_reason="as this project numbers layers",
        scale_reason="declared by the file",
        activation_reason="declared by the file",
        accuracy_as_brought=accuracy,
        accuracy=accuracy,
        proof=proof if isinstance(proof, dict) else None,
        is_ours=True,
    )


def _reading(raw: Raw, form: Form, scale: InputScale, activation: str, spec: RunSpec | None) -> Reading:
    weights, biases = [layer.weight for layer in form.layers], [layer.bias for layer in form.layers]
    if scale.name != PIXELS:
        if weights[0].shape[0] != INPUTS:
            raise LoadError(f"must take {INPUTS} inputs; it takes {weights[0].shape[0]}")
        weights[0], biases[0] = scale.folded(weights[0], biases[0])  # type: ignore[assignment]
    try:
        network = network_of(weights, biases, spec, activation)
    except ValueError as error:
        raise LoadError(f"holds what is no network of this project: {error}") from error
    rows = tuple(
        {
            "layer": number,
            "tensors": ", ".join(name[:60] for name in layer.tensors) or layer.name[:60],
            "shape": f"{layer.weight.shape[0]} to {layer.weight.shape[1]}",
            "lay": layer.lay,
            "folded": "; ".join([*layer.notes, *([f"input: {scale.words}"] if number == 1 and scale.name != PIXELS else [])]),
        }
        for number, layer in enumerate(form.layers, start=1)
    )
    return Reading(network, rows, "", scale, "", activation, "")


# ---- the files of others -------------------------------------------------------------------------------------------------


def _possible(raw: Raw, chosen_order: str | None) -> _Possible:
    if raw.stages:
        if chosen_order is not None:
            raise LoadError("says itself in which order its layers stand, and no other can be chosen")
        return _Possible((fold(raw.stages),), "the graph in the file")
    parts = parts_of_file.sort(raw.tensors)
    found = order_of_layers.orders(parts.linears, raw.in_file_order)
    orders, reason = found.orders, found.decided
    if chosen_order is not None:
        orders, reason = (_chosen(chosen_order, parts.linears, orders),), "as you chose"
    if reason:
        orders = orders[:1]
    forms: list[Form] = []
    for order in orders:
        for layout in found.layouts:
            for placement in _placements(parts, order, layout):
                forms.append(fold(placement))
                if len(forms) > _MOST_FORMS:
                    raise LoadError("must tell by its names in which order its layers stand; too many orders fit: give --order")
    return _Possible(tuple(forms), reason, bool(parts.norms), parts.pixels, parts.left_out)


def _chosen(text: str, linears: Sequence[Linear], orders: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    wanted = [name.strip().lower() for name in text.split(",")]
    named_by = [{linear.name.lower(), *(tensor.lower() for tensor in linear.tensors)} for linear in linears]
    chosen = tuple(next((index for index, names in enumerate(named_by) if name in names), -1) for name in wanted)
    if sorted(chosen) != list(range(len(linears))):
        raise LoadError(f"has the layers {short(*(linear.name for linear in linears))}; the order must name each once")
    if chosen not in orders:
        raise LoadError("has layers that do not fit each other in the order that was chosen")
    return chosen


def _chained(affines: Sequence[Affine]) -> list[Stage]:
    stages: list[Stage] = []
    for affine in affines:
        stages += [affine, Activation()]
    return stages[:-1]


def _placements(parts: Parts, order: Sequence[int], layout: Layout) -> list[list[Stage]]:
    """The layers with their normalisations before or after the activation, the likelier first; one where there are none."""
    linears = [parts.linears[index] for index in order]
    affines = []
    for linear in linears:
        weight, bias = layout.arrays(linear)
        without = [] if linear.bias is not None or layout.bias_row else ["no bias in the file: zeros"]
        affines.append(Affine(linear.name, weight, bias, linear.tensors, layout.words, (*linear.notes, *without)))
    if not parts.norms:
        return [_chained(affines)]
    follows = _followed(linears, parts.norms, [affine.weight.shape[1] for affine in affines])
    placements = []
    for after in (False, True):
        stages: list[Stage] = []
        for number, affine in enumerate(affines):
            if number == 0:
                stages += [norm for norm, layer in follows if layer == -1]
            norms = [norm for norm, layer in follows if layer == number]
            last = number == len(affines) - 1
            stages.append(affine)
            if after and not last:
                stages += [Activation(), *norms]
            elif not last:
                stages += [*norms, Activation()]
            else:
                stages += norms
        placements.append(stages)
    return placements[::-1] if _numbers_say_after(linears, follows) else placements


def _followed(linears: Sequence[Linear], norms: Sequence[Norm], widths: Sequence[int]) -> list[tuple[Norm, int]]:
    """Each normalisation with the number of the layer that it follows, -1 for the input."""
    ordered = sorted(norms, key=lambda norm: parts_of_file.natural(norm.name))
    free = list(range(len(linears)))
    found: list[tuple[Norm, int]] = []
    numbers = [_number(linear.name) for linear in linears]
    same_series = {_series(name) for name in [*(linear.name for linear in linears), *(norm.name for norm in norms)]}
    for norm in ordered:
        width, number = len(norm.scale), _number(norm.name)
        fitting = [layer for layer in free if widths[layer] == width]
        if width == INPUTS and not found and (not fitting or len(norms) > len(linears) - 1):
            found.append((norm, -1))
            continue
        if len(same_series) == 1 and number is not None:  # one row of modules, as in nn.Sequential
            fitting = [layer for layer in fitting if (numbers[layer] or 0) < number][-1:]
        elif number is not None and len(norms) < len(linears) - 1:
            fitting = [layer for layer in fitting if numbers[layer] == number] or fitting
        if not fitting:
            raise LoadError(f"must have every BatchNorm beside a layer of its width; {short(norm.name)} has {width}")
        found.append((norm, fitting[0]))
        free.remove(fitting[0])
    return found


def _number(name: str) -> int | None:
    digits = re.findall(r"\d{1,6}", name)
    return int(digits[-1]) if digits else None


def _series(name: str) -> str:
    """The name without its last number: the same for all modules of one nn.Sequential."""
    return re.sub(r"\d+(?=\D*$)", "", name)


def _numbers_say_after(linears: Sequence[Linear], follows: Sequence[tuple[Norm, int]]) -> bool:
    """Whether the numbers of one nn.Sequential leave room for an activation between a layer and its normalisation."""
    if len({_series(name) for name in [*(linear.name for linear in linears), *(norm.name for norm, _ in follows)]}) != 1:
        return False
    gaps = {(_number(norm.name) or 0) - (_number(linears[layer].name) or 0) for norm, layer in follows if layer >= 0}
    return bool(gaps) and min(gaps) >= 2
