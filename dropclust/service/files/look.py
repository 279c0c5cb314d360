"""A first look: what accuracy a network has under each way to read what its file does not say, and which way is proposed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dropclust.service.files.form import Form
from dropclust.service.files.scale import BY_PIXEL, PIXELS, SCALES, InputScale

if TYPE_CHECKING:
    from torch import Tensor

    from dropclust.core.mnist import Data

# What is tried, the commonest first; others are computed where the file or a person names them.
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "leaky_relu", "elu", "silu")
# Scales so near to a commoner one, and so rare, that a badly trained network would be taken for one: only by hand.
_BY_HAND = ("centred", "mean-centred", "pixel-centred")
TURNED = ("", ",inverted", ",transposed", ",inverted,transposed")
BELIEVED = 0.5  # a share of held-out images: what is below it was not trained on these pictures, or is read as another
SURE = 3.5  # standard deviations of a paired sign test; ReLU read as its neighbour GELU was seen to win by up to 3.1
_SCREENED, _FEWEST, _FINALISTS = 500, 100, 12  # images, then ways
_PIECE = 2_000  # images at a time
_BUDGET = 4e10  # multiplications of a screening; four times as many decide among the finalists


@dataclass(frozen=True)
class Way:
    """One way to read a file: which form of its layers, on which input scale, with which activation."""

    form: int
    scale: str
    activation: str


@dataclass(frozen=True)
class Look:
    """The way that is proposed; ``tried`` are the best ways with their held-out accuracy, "as brought" first.

    ``believed`` tells whether the best way reaches half of the images, and ``rivals`` are activations that these cannot tell
    from the one that is proposed.
    """

    way: Way
    tried: tuple[tuple[Way, float], ...]
    believed: bool
    rivals: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Held-out accuracy of the way that is proposed."""
        return dict(self.tried)[self.way]


def scale_names(of_file: str | None = None) -> tuple[str, ...]:
    """All input scales that are tried, the commonest first."""
    bases = [name for name in (*SCALES, *([of_file] if of_file else []), *BY_PIXEL) if name not in _BY_HAND]
    return tuple(base + turned for turned in TURNED for base in bases)


def look(forms: Sequence[Form], activations: Sequence[str], scales: Mapping[str, InputScale], data: Data, default: Way) -> Look:
    """Choose among ways to read a file by the images it says the most of.

    All ways are tried on a few held-out images; the best of them on all of these and on training images, which a network has
    learned: the true way is the one that reads them best. Test images are never looked at. A way is taken before a commoner
    one only where it is significantly better, image by image. Neighbours such as ReLU, GELU and SiLU often cannot be told apart
    so: the likelihood of the labels and the gradient at the weights do no better, for a network of ReLU that was trained
    briefly was seen to be likelier, and nearer to an optimum, when it was read with GELU. Then the look says so.

    Parameters
    ----------
    forms
        The layers as they can be put together, the likeliest first, each leading from 784 to 10.
    activations
        Names to try, the likeliest first.
    scales
        Input scales to try, by name, the likeliest first.
    data
        Images and labels.
    default
        What is taken where no way reaches half of the held-out images.
    """
    names, costs = list(scales), _cost(forms[0])
    few = _images(_SCREENED, len(names) * len(activations) * costs)
    screened: dict[Way, float] = {}

    def screen(numbers: Sequence[int], tried_scales: Sequence[str], tried: Sequence[str], n: int) -> None:
        for form, name in itertools.product(numbers, tried_scales):
            ways = [way for activation in tried if (way := Way(form, name, activation)) not in screened]
            for way, right in zip(ways, _right(forms[form], scales[name], ways, data.held_x[:n], data.held_y[:n]), strict=True):
                screened[way] = float(right.mean())

    n = _FEWEST
    if few < _FEWEST:  # a wide network: scales first, by few activations
        screen([0], names, activations[:2], n)
        leading = [way.scale for way in sorted(screened, key=lambda way: -screened[way])]
        screen([0], list(dict.fromkeys(leading))[:3], activations, n)
    else:
        screen(range(len(forms)) if few >= _FEWEST * len(forms) else [0], names, activations, n)
    if few < _FEWEST * len(forms) and len(forms) > 1:
        best = sorted(screened, key=lambda way: -screened[way])[:3]
        for way in best:
            screen(range(len(forms)), [way.scale], [way.activation], n)
        if max(screened.values()) < BELIEVED and len(forms) * len(names) * costs * n < 4 * _BUDGET:
            screen(range(len(forms)), [name for name in names if "," not in name], activations[:3], n)
        ahead = max(screened, key=lambda way: screened[way])
        screen([ahead.form], names if few >= _FEWEST else [ahead.scale], activations, n)
    if max(screened.values()) < BELIEVED / 2:
        finalists = []  # an untrained network: nothing is worth a closer look
    else:
        finalists = _ahead(screened, 4 * _FINALISTS, 0.25)
        if few >= _SCREENED:
            screened.clear()
            for way in finalists:
                screen([way.form], [way.scale], [way.activation], _SCREENED)
        finalists = _ahead(screened, _FINALISTS, 0.1)
    finalists = list(dict.fromkeys([*finalists, default]))
    return _decide(forms, activations, scales, data, default, finalists, costs)


def _ahead(screened: Mapping[Way, float], most: int, within: float) -> list[Way]:
    """The best ways, as many as ``most``, whose accuracy is within so much of the best one's."""
    top = max(screened.values())
    return [way for way in sorted(screened, key=lambda way: -screened[way]) if screened[way] > top - within][:most]


def _decide(
    forms: Sequence[Form], activations: Sequence[str], scales: Mapping[str, InputScale], data: Data, default: Way,
    finalists: list[Way], costs: float,
) -> Look:  # fmt: skip
    from dropclust.core.mnist import as_floats

    names = list(scales)
    finalists.sort(key=lambda way: (way.form, names.index(way.scale), activations.index(way.activation)))
    n = _images(len(data.train), len(finalists) * costs / 4) if len(finalists) > 1 else 0
    right: dict[Way, np.ndarray] = {}
    held = len(data.held) if n >= 1_000 or len(finalists) == 1 else 1_000
    for way in finalists:
        parts = [
            _right(forms[way.form], scales[way.scale], [way], x, y)[0]
            for x, y in ((data.held_x[:held], data.held_y[:held]), (as_floats(data.train[:n]), data.train_y[:n]))
            if len(x)
        ]
        right[way] = np.concatenate(parts)
    best = max(finalists, key=lambda way: int(right[way].sum()))
    chosen = next(way for way in finalists if not _worse(right[way], right[best]))
    tried = sorted(((way, float(right[way][:held].mean())) for way in finalists), key=lambda item: -item[1])
    accuracy = dict(tried)
    tried.sort(key=lambda item: item[0] != default)
    if accuracy[chosen] < BELIEVED:
        return Look(default, tuple(tried), False)
    rivals = [
        way.activation
        for way in finalists
        if way != chosen and (way.form, way.scale) == (chosen.form, chosen.scale) and not _worse(right[way], right[best])
    ]
    return Look(chosen, tuple(tried), True, tuple(rivals))


def _worse(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether one way reads significantly fewer images than another, by a sign test on those where they differ."""
    lost, won = int((other & ~one).sum()), int((one & ~other).sum())
    return lost - won > SURE * math.sqrt(lost + won)


def held_out_accuracy(form: Form, scale: InputScale, activation: str, data: Data) -> float | None:
    """Accuracy on the held-out images, None where the outputs are not their labels."""
    if len(form.layers[-1].bias) != data.classes:
        return None
    [right] = _right(form, scale, [Way(0, scale.name, activation)], data.held_x, data.held_y)
    return float(right.mean())


def default_way(activations: Sequence[str], scales: Mapping[str, InputScale]) -> Way:
    """How a file is read where nothing else is known: as it was brought, with the commonest activation."""
    return Way(0, PIXELS if PIXELS in scales else next(iter(scales)), activations[0])


def _cost(form: Form) -> float:
    """Multiplications of one image through the layers above the first, and a share of the first, which ways have in common."""
    first, *above = (layer.weight.size for layer in form.layers)
    return sum(above) + first / len(ACTIVATIONS)


def _images(most: int, cost: float) -> int:
    return int(min(most, _BUDGET / max(cost, 1)))


def _right(form: Form, scale: InputScale, ways: Sequence[Way], x: Tensor, y: Tensor) -> list[np.ndarray]:
    """For each activation which images are read as their label, bool ``[n]``."""
    import torch

    right: list[list[np.ndarray]] = [[] for _ in ways]
    for images, labels in zip(torch.split(x, _PIECE), torch.split(y, _PIECE), strict=True):
        for number, logits in enumerate(_logits(form, scale, [way.activation for way in ways], images)):
            right[number].append((logits.argmax(1) == labels).numpy())
    return [np.concatenate(parts) for parts in right]


def _logits(form: Form, scale: InputScale, activations: Sequence[str], images: Tensor) -> Iterator[Tensor]:
    """For each activation the logits ``[n, classes]``; the first layer's product is made once."""
    import torch

    from dropclust.core.activation import activation

    first, *above = form.layers
    with np.errstate(all="ignore"):
        weight, bias = (torch.from_numpy(part.astype(np.float32)) for part in scale.folded(first.weight, first.bias))
    layers = [(torch.from_numpy(np.array(layer.weight)), torch.from_numpy(np.array(layer.bias))) for layer in above]
    z = torch.addmm(bias, images, weight)
    for name in activations:
        function, value = activation(name), z
        for w, b in layers:
            value = torch.addmm(b, function(value), w)
        yield value
