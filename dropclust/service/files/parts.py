"""Named tensors of anybody's file, sorted into layers, normalisations and the rest; it knows no format and no order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dropclust.core.spec import INPUTS
from dropclust.service.files.common import LoadError, short

Values = npt.NDArray[Any]

# The words of a name that say what a tensor is; the last that stands in a name counts.
_ROLES = {
    "mean": r"running_mean|moving_mean|mean_ema/~/average|mean_ema/average|(?<![a-z])mean(?![a-z])",
    "variance": r"running_var|moving_variance|var_ema/~/average|var_ema/average|(?<![a-z])var(?:iance)?(?![a-z])",
    "weight": r"weights?|kernels?|coefs?_?|theta|gamma|scale|(?<![a-z])w(?![a-z])",
    "bias": r"biases|bias|intercepts?_?|beta|offset|(?<![a-z])b(?![a-z])",
}
_ROLE = re.compile("|".join(f"(?P<{role}>{words})" for role, words in _ROLES.items()))
# What a checkpoint holds beside its network: the optimiser's state and averages, also of its weights; counters and settings.
_ASIDE = re.compile(
    r"num_batches_tracked|n_averaged|exp_avg|momentum|velocity|optimi[sz]er|(?<![a-z])(?:optim|opt_state|adam|sgd|ema|shadow)"
    r"(?![a-z])"
)
_SETTINGS = re.compile(
    r"(?<![a-z])(?:steps?|epochs?|iterations?|learning_rate|lr|seed|rng|loss(?:es)?|history|accuracy|acc|config|hparams|args|"
    r"hyper_parameters|counter|classes_?|labels?|best_loss|num_updates|decay)(?![a-z])"
)
_AVERAGES = re.compile(r"(?<![a-z])(?:ema|shadow)(?![a-z])")
_OTHERS = (
    (r"weight_[ih]h|recurrent|(?<![a-z])(?:lstm|gru|rnn)", "a recurrent layer"),
    (r"in_proj|(?<![a-z])(?:q|k|v|qkv|query|key|value)_?(?:proj)?[./]|attn|attention", "an attention layer"),
    (r"lora_", "a LoRA adapter, which is no whole network"),
    (r"embedding", "an embedding"),
    (r"layer_?norm|(?<![a-z])ln_?\d*[./]|group_?norm|rms_?norm|instance_?norm", "a LayerNorm"),
    (r"(?<![a-z])conv", "a convolution"),
)
_NORM_EPSILON = 1e-5  # of torch, Flax, Equinox and Haiku
_KERAS_EPSILON = 1e-3


@dataclass(frozen=True, eq=False)
class Linear:
    """A layer as the file has it: ``weight`` as it lies there, ``bias`` ``[out]`` or None, the names of its tensors."""

    name: str
    weight: Values
    bias: Values | None
    tensors: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Norm:
    """A BatchNorm at rest: ``x * scale + shift``, both float64 ``[n]``."""

    name: str
    scale: Values
    shift: Values
    tensors: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a file holds: ``left_out`` are names with the reason, ``pixels`` a mean and deviation for each input, if any."""

    linears: tuple[Linear, ...]
    norms: tuple[Norm, ...]
    left_out: tuple[str, ...] = ()
    pixels: tuple[Values, Values] | None = None


def natural(name: str) -> list[Any]:
    """A key that sorts fc before fc2 before fc10: digits compare as numbers, by length first."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(digits := part.lstrip("0")), digits) if odd % 2 else part for odd, part in enumerate(parts)]


def is_aside(name: str) -> bool:
    """Whether a name says that its tensor is no part of a network: a counter, or state of an optimiser."""
    plain = _plain(name)
    return _ASIDE.search(plain) is not None or (_SETTINGS.search(plain) is not None and not is_weight(name))


def kept(names: Iterable[str]) -> set[str]:
    """The names that may be of the network; averages of weights are, where the file holds no other weights."""
    names = list(names)
    plain = {name for name in names if not is_aside(name)}
    if any(is_weight(name) for name in plain):
        return plain
    return plain | {name for name in names if _AVERAGES.search(_plain(name)) and is_weight(name)}


def is_weight(name: str) -> bool:
    """Whether a name says that its tensor is a weight or a bias of a layer."""
    return _role(name)[1] != ""


def _plain(name: str) -> str:
    return re.sub(r":0$", "", name).lower()


def _role(name: str) -> tuple[str, str]:
    """The layer's name and the tensor's role, "" where no word tells one."""
    plain = re.sub(r"^(?:params|batch_stats|state|variables)[./]", "", _plain(name))
    found = list(_ROLE.finditer(plain))
    if not found:
        return plain, ""
    last = found[-1]
    group = re.sub(r"[./_\-\s\[\]']*\Z", "", plain[: last.start()]) + re.sub(r"\A[./\-\s\[\]']*", "", plain[last.end() :])
    return group.strip("._/- "), str(last.lastgroup)


@dataclass
class _Group:
    name: str
    weight: tuple[str, Values] | None = None
    bias: tuple[str, Values] | None = None
    mean: tuple[str, Values] | None = None
    variance: tuple[str, Values] | None = None
    notes: list[str] = field(default_factory=list)


def sort(tensors: Mapping[str, Values]) -> Parts:
    """Sort named tensors into the parts of a perceptron.

    A weight belongs to the bias of the same name but for the word (``fc1.weight`` and ``fc1.bias``, ``W1`` and ``b1``,
    ``weights.0`` and ``biases.0``); where no name has such a word (``arr_0``, ``arr_1``) they pair in their order.

    Raises
    ------
    LoadError
        One sentence that names the first tensor that belongs to no perceptron: a convolution, a LayerNorm, int8 weights.
    """
    tensors, notes = _joined(tensors)
    wanted, left_out = _told_apart(tensors)
    for name in wanted:
        _refuse_others(name, wanted[name])
    if not any(_role(name)[1] for name in wanted):
        named = _letters(wanted)
        if named is None:
            return Parts(_in_order(wanted), (), tuple(left_out))
        wanted = named
    groups: dict[str, _Group] = {}
    loose: dict[str, Values] = {}
    for name, values in wanted.items():
        group_name, role = _role(name)
        if not role:
            loose[name] = values
            continue
        group = groups.setdefault(group_name, _Group(group_name))
        if getattr(group, role) is not None:
            other = getattr(group, role)[0]
            raise LoadError(f"must hold one {role} a layer; {short(other)} and {short(name)} are of the same one")
        setattr(group, role, (name, values))
        group.notes += notes.get(name, [])
    return _parts(groups, loose, left_out)


def _joined(tensors: Mapping[str, Values]) -> tuple[dict[str, Values], dict[str, list[str]]]:
    """Tensors that torch's pruning and weight normalisation hold in pieces, made whole."""
    joined, notes = dict(tensors), dict[str, list[str]]()

    def take(*names: str) -> list[Values]:
        return [np.asarray(joined.pop(name), np.float64) for name in names]

    for name in list(tensors):
        if name.endswith("_orig") and f"{name[:-5]}_mask" in joined and name in joined:
            base = name[:-5]
            values, mask = take(name, f"{base}_mask")
            if values.shape != mask.shape:
                raise LoadError(f"must hold masks of their weights' shape; {short(base)} has another")
            joined[base] = values * mask
            notes[base] = ["pruning mask multiplied"]
        for g, v, base in (
            (".parametrizations.weight.original0", ".parametrizations.weight.original1", ".weight"),
            (".weight_g", ".weight_v", ".weight"),
        ):
            prefix = name.removesuffix(g)
            if name.endswith(g) and prefix + v in joined:
                length, direction = take(name, prefix + v)
                if direction.ndim != 2 or length.size != len(direction):
                    raise LoadError(f"must hold one length a row of a normalised weight; {short(prefix)} has {length.size}")
                norm = np.linalg.norm(direction, axis=1, keepdims=True)
                joined[prefix + base] = direction * (length.reshape(-1, 1) / np.maximum(norm, 1e-300))
                notes[prefix + base] = ["weight normalisation multiplied out"]
    return joined, notes


def _told_apart(tensors: Mapping[str, Values]) -> tuple[dict[str, Values], list[str]]:
    """What may be of the network, and the names of the rest."""
    wanted, left_out = {}, []
    network = kept(tensors)
    for name, values in tensors.items():
        kind = values.dtype.kind
        if name not in network or (values.ndim == 0 and not is_weight(name)) or (kind != "f" and not is_weight(name)):
            left_out.append(name)
        elif kind != "f" and values.ndim >= 1:
            what = "int8 weights, which need their scales" if values.dtype.itemsize == 1 else f"weights of type {values.dtype}"
            raise LoadError(f"holds {what} ({short(name)}); write the network with weights of type float32")
        elif values.ndim == 0:
            left_out.append(name)
        else:
            wanted[name] = values
    return wanted, left_out


def _refuse_others(name: str, values: Values) -> None:
    for words, what in _OTHERS:
        if re.search(words, _plain(name)) and not (what == "a convolution" and values.ndim < 3):
            raise LoadError(f"holds {what} ({short(name)}); a perceptron of fully connected layers is read")
    if values.ndim in (3, 4, 5):
        shape = "x".join(map(str, values.shape))
        raise LoadError(f"holds a convolution ({short(name)} of shape {shape}); a perceptron of fully connected layers is read")
    if values.ndim > 2:
        raise LoadError(f"must hold matrices and vectors; {short(name)} has {values.ndim} dimensions")


def _letters(tensors: Mapping[str, Values]) -> dict[str, Values] | None:
    """Names such as Wxh and bxh, wh and bh, written as weight and bias where each bias has a weight; None where not."""
    renamed = {}
    for name, values in tensors.items():
        match = re.fullmatch(r"([wb])_?([a-z0-9_]{1,8})", _plain(name))
        if match is None:
            return None
        renamed[f"{match[2]}.{'weight' if match[1] == 'w' else 'bias'}"] = values
    return renamed if len(renamed) == len(tensors) else None


def _in_order(tensors: Mapping[str, Values]) -> tuple[Linear, ...]:
    """Tensors whose names tell nothing: matrices in their order, vectors beside them where there is one each."""
    names = sorted(tensors, key=natural)
    matrices = [name for name in names if tensors[name].ndim == 2 and min(tensors[name].shape) > 1]
    rest = [name for name in names if name not in matrices]
    if rest and len(rest) != len(matrices):
        raise LoadError(
            "must hold one weight matrix and one bias vector a layer, named alike (fc1.weight and fc1.bias); "
            f"got {short(*names)}"
        )
    biases: list[Values | None] = [tensors[name].reshape(-1) for name in rest] or [None] * len(matrices)
    found = zip(matrices, biases, rest or [""] * len(matrices), strict=True)
    return tuple(Linear(name, tensors[name], bias, (name, other) if other else (name,)) for name, bias, other in found)


def _flat(values: Values) -> Values:
    """A bias or a statistic as a vector: also [n, 1] and [1, n]."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _parts(groups: Mapping[str, _Group], loose: Mapping[str, Values], left_out: list[str]) -> Parts:
    linears: list[Linear] = []
    norms: list[Norm] = []
    vectors: list[tuple[str, Values]] = []
    pixels: dict[str, Values] = {}
    for name in groups:  # in the order of the file
        group = groups[name]
        if group.mean is not None and group.variance is not None:
            norms.append(_norm(group))
        elif group.mean is not None or group.variance is not None:
            [(tensor, values)] = [item for item in (group.mean, group.variance) if item is not None]
            pixels["mean" if group.mean else "variance"] = _flat(values)
            left_out.append(tensor)
        elif group.weight is not None and group.weight[1].ndim == 2:
            bias = None if group.bias is None else _flat(group.bias[1])
            if bias is not None and bias.ndim != 1:
                raise LoadError(f"must hold a bias vector a layer; {short(group.bias[0])} is a matrix")  # type: ignore[index]
            tensors = (group.weight[0], *([group.bias[0]] if group.bias else []))
            linears.append(Linear(name, group.weight[1], bias, tensors, tuple(group.notes)))
        elif group.weight is not None:
            tensor, values = group.weight
            what = (
                "a PReLU, whose slope was learned" if values.size == 1 else "a LayerNorm, or a BatchNorm without its statistics"
            )
            raise LoadError(f"holds {what} ({short(tensor)}); a perceptron with BatchNorm or none is read")
        elif group.bias is not None:
            vectors.append((group.bias[0], _flat(group.bias[1])))
    for tensor, values in loose.items():
        if values.ndim == 2 and min(values.shape) > 1:
            left_out.append(tensor)
        elif "std" in _plain(tensor) and values.size == INPUTS:
            pixels["deviation"] = _flat(values)
            left_out.append(tensor)
        else:
            vectors.append((tensor, _flat(values)))
    linears = _with_loose_biases(linears, vectors, left_out)
    if not linears:
        raise LoadError(
            "must hold one weight matrix and one bias vector a layer, named alike (fc1.weight and fc1.bias), that lead from "
            f"{INPUTS} inputs to 10 outputs; got {short(*groups, *loose) or 'no tensor'}"
        )
    return Parts(tuple(linears), tuple(norms), tuple(left_out), _pixels(pixels))


def _with_loose_biases(linears: list[Linear], vectors: Iterable[tuple[str, Values]], left_out: list[str]) -> list[Linear]:
    """A vector that no name pairs must belong to no layer: one of a layer's width beside a layer without bias is refused."""
    without = [linear for linear in linears if linear.bias is None]
    for tensor, values in vectors:
        fitting = [linear for linear in without if values.ndim == 1 and len(values) in linear.weight.shape]
        if fitting and values.size > 1:
            raise LoadError(
                "must hold one weight matrix and one bias vector a layer, named alike (fc1.weight and fc1.bias); "
                f"{short(tensor)} could be the bias of {short(fitting[0].tensors[0])} and is named otherwise"
            )
        if is_weight(tensor):
            raise LoadError(
                "must hold one weight matrix and one bias vector a layer, named alike (fc1.weight and fc1.bias); "
                f"{short(tensor)} belongs to no matrix"
            )
        left_out.append(tensor)
    return linears


def _norm(group: _Group) -> Norm:
    items = [item for item in (group.weight, group.bias, group.mean, group.variance) if item is not None]
    names = tuple(name for name, _ in items)
    flat = [_flat(values).astype(np.float64) for _, values in items]
    if any(values.shape != flat[0].shape or values.ndim != 1 for values in flat):
        raise LoadError(f"must hold a BatchNorm's vectors in one length; those of {short(group.name)} differ")
    mean, variance = flat[-2:]
    scale = _flat(group.weight[1]).astype(np.float64) if group.weight else np.ones_like(mean)
    shift = _flat(group.bias[1]).astype(np.float64) if group.bias else np.zeros_like(mean)
    if not (np.isfinite(variance).all() and (variance >= 0).all()):
        raise LoadError(f"must hold variances of 0 or more; {short(names[-1])} holds others")
    epsilon = _KERAS_EPSILON if any("moving_" in name for name in names) else _NORM_EPSILON
    return norm(group.name, scale, shift, mean, variance, epsilon, names)


def norm(
    name: str, gamma: Values, beta: Values, mean: Values, variance: Values, epsilon: float, tensors: tuple[str, ...]
) -> Norm:
    """The BatchNorm ``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` at rest."""
    scale = gamma / np.sqrt(variance + epsilon)
    return Norm(name, scale, beta - mean * scale, tensors)


def _pixels(found: Mapping[str, Values]) -> tuple[Values, Values] | None:
    """Mean and deviation of every pixel, where the file holds both."""
    if "mean" not in found or found["mean"].shape != (INPUTS,):
        return None
    deviation = found.get("deviation")
    if deviation is None and "variance" in found:
        deviation = np.sqrt(np.maximum(found["variance"].astype(np.float64), 0))
    if deviation is None or deviation.shape != (INPUTS,):
        return None
    return found["mean"].astype(np.float64), np.where(deviation > 0, deviation, 1.0).astype(np.float64)
