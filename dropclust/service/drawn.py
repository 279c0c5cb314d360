"""What the explorer draws of a layer, as arrays: made by a worker, or shipped for the networks that are shown first.

A layer's neurons are drawn alike whatever the number of clusters; what depends on that is a `Grouping`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core import field
from dropclust.core.arrays import Floats, Ints
from dropclust.core.clustering import incoming, outgoing
from dropclust.core.field import ASPECTS, MAX_UNITS, Bools, Layout
from dropclust.core.receptive import Images, activations, answers, held_out
from dropclust.core.similarity import agreement_by_chance, match_labels
from dropclust.core.twins import twins_by_chance
from dropclust.experiments import results, table2
from dropclust.service import atomic
from dropclust.service.sheet import written
from dropclust.service.store import Store

Bytes = npt.NDArray[np.uint8]

COPIES = 3  # most alike neurons told of a neuron, each way
SHADES = 7  # of a picture, each way from 0: more make it larger and look the same
FORMAT = 1  # of the files
_PROOF = 32  # bytes of a SHA-256
_FINE = 10_000  # a length in a file is a whole number of these parts of the field's width, as the browser gets it


class Weights(Protocol):
    """A network as far as its picture needs it: arrays ``[in, out]`` and ``[out]`` a layer."""

    @property
    def weights(self) -> Sequence[Any]:
        """One array ``[in, out]`` a layer."""

    @property
    def biases(self) -> Sequence[Any]:
        """One array ``[out]`` a layer."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the neurons of a layer answer to, as far as it is shown; of one rate. It does not depend on clusters.

    Parameters
    ----------
    picture
        The ink that excites a neuron, ``[h, 28, 28]``: 128 is as much as in the mean image, 255 the neuron's own most.
    by_digit
        Mean activation for each digit, of the neuron's own largest, ``[h, 10]``, 0 to 1.
    nearest, correlation
        The neuron whose activations correlate most with its own, its own number where nothing does; and how far. ``[h]``.
    chance_twins, chance_twins_digit
        How many have a twin by chance, and among neurons that fire for the same digits: `dropclust.core.twins.twins_by_chance`.
    """

    picture: Bytes
    by_digit: Floats
    nearest: Ints
    correlation: Floats
    chance_twins: int
    chance_twins_digit: int


def look(network: Weights, layer: int, images: Images) -> Look:
    """Look at a layer's neurons with some images.

    Raises
    ------
    ValueError
        For a layer that the network does not have.
    """
    active = activations(network.weights, network.biases, layer, images.pixels)
    found = answers(active, images)
    by_digit = found.by_digit.astype(float)
    most = np.maximum(by_digit.max(axis=1, keepdims=True), np.finfo(float).tiny)
    return Look(
        _picture(found.ink), by_digit / most, found.nearest, found.correlation.astype(float),
        twins_by_chance(active), twins_by_chance(active, images.digits),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layer:
    """What is drawn of a layer's neurons whatever their clusters.

    Parameters
    ----------
    number
        Hidden layer counted from 1.
    rates
        Dropout rates of the networks, rising.
    pictures
        The ink that excites each neuron, a WebP a rate: `picture`.
    shape
        Rows and columns of one neuron's picture.
    by_digit
        Mean activation for each digit, of the neuron's own largest, ``[rates, h, 10]``, 0 to 1.
    dead
        ``[rates, h]``: it is never active on the held-out images.
    twin
        The neuron's twin, ``[rates, h]``, its own number where it has none; None where it was not measured.
    partner, correlation
        The neuron whose activations on held-out images correlate most with its own: its twin where it has one; its own
        number where nothing correlates; and how far. Both ``[rates, h]``.
    families
        ``[rates, h]``: neurons joined by twins, however many steps away, have one number; `LONER` for one without a twin.
        Numbers follow those of the rate before, so that colours do not jump.
    copies, cosines
        The `COPIES` neurons nearest by cosine of incoming (index 0) and outgoing (1) weights, nearest first, and the
        cosines: ``[2, rates, h, COPIES]``.
    shuffled
        The nearest one's cosine, mean over neurons, when each neuron's own weights are shuffled: ``[2, rates]``.
    chance_twins, chance_twins_digit
        ``[rates]``: how many have a twin by chance, as in `Look`.
    layouts
        Places by families, one for each of `ASPECTS`.
    """

    number: int
    rates: tuple[float, ...]
    pictures: tuple[bytes, ...]
    shape: tuple[int, int]
    by_digit: Floats
    dead: Bools
    twin: Ints | None
    partner: Ints
    correlation: Floats
    families: Ints
    copies: Ints
    cosines: Floats
    shuffled: Floats
    chance_twins: Ints
    chance_twins_digit: Ints
    layouts: tuple[Layout, ...]

    @property
    def units(self) -> int:
        """Neurons of the layer."""
        return int(self.dead.shape[1])


@dataclass(frozen=True, eq=False)
class Grouping:
    """A layer's neurons in one number of clusters.

    Parameters
    ----------
    k
        Clusters of each clustering.
    incoming, outgoing
        Cluster of each neuron by incoming and by outgoing weights, ``[rates, h]``, 0 to k-1. Names are matched: those of
        neighbouring rates so that colours do not jump, and those of the two clusterings so that equal names mean agreement.
    agree
        ``[rates, h]``: both clusterings agree on the neuron.
    agree_chance
        ``[rates]``: on how many they agree by chance: `dropclust.core.similarity.agreement_by_chance`.
    layouts
        Places by clusters, one for each of `ASPECTS`.
    """

    k: int
    incoming: Ints
    outgoing: Ints
    agree: Bools
    agree_chance: Floats
    layouts: tuple[Layout, ...]


def picture(levels: Bytes) -> bytes:
    """All neurons of one rate as one grey picture, ten in a row, without loss but for its number of shades.

    Parameters
    ----------
    levels
        A neuron's weights, ``[h, rows, columns]``: 128 is 0, 255 and 1 are the largest either way.

    Returns
    -------
    bytes
        A WebP; grey of 128 is 0, and each weight is at most half a shade off.
    """
    return written(np.rint((levels.astype(float) - 128) * SHADES / 127).astype(np.intp), SHADES)


def draw(
    neurons: pd.DataFrame,
    networks: Mapping[float, Weights],
    looks: Mapping[float, Look],
    layer: int,
    k: int,
    among: Sequence[float] | None = None,
) -> tuple[Layer, Grouping]:
    """Work out what is drawn of a layer and number of clusters.

    Parameters
    ----------
    neurons
        The experiment's ``table2-neurons``: a row a rate, layer, k and neuron of the network that is shown.
    networks
        The shown network of each rate.
    looks
        What that layer's neurons answer to, of each of these rates.
    layer, k
        Hidden layer, 1 to 3, and clusters.
    among
        Rates that may be drawn; None for all.

    Returns
    -------
    Layer, Grouping
        Of the rates that all have.

    Raises
    ------
    ValueError
        One sentence, when they have no rate in common for this layer and k, or when a rate's neurons are not those of its
        network.
    """
    frames = _frames(neurons, networks, layer, k, among)
    return _layer(frames, networks, looks, layer), _grouping(frames, k)


def _frames(
    neurons: pd.DataFrame, networks: Mapping[float, Weights], layer: int, k: int, among: Sequence[float] | None
) -> dict[float, pd.DataFrame]:
    """The rows of each rate that is drawn, by the neurons' numbers."""
    neurons = neurons[(neurons["layer"] == layer) & (neurons["k"] == k)]
    clustered = dict(iter(neurons.groupby(neurons["dropout"].round(4))))
    shown = _rounded(networks)
    rates = sorted(set(clustered) & set(shown) & set(clustered if among is None else among))
    if not rates:
        raise ValueError(f"table, neurons and networks must share a rate for layer {layer} and k {k}; got none in common")
    frames = {float(rate): clustered[rate].sort_values("neuron") for rate in rates}
    h = np.shape(shown[rates[0]].weights[layer - 1])[1]
    for rate, frame in frames.items():
        units = np.shape(shown[rate].weights[layer - 1])[1]
        if not COPIES < units <= MAX_UNITS or units != h or frame["neuron"].tolist() != list(range(h)):
            raise ValueError(
                f"neurons must number those of the network at rate {rate:g} from 0, each once, {COPIES + 1} to {MAX_UNITS} of "
                f"them; got {len(frame)} for a layer of {units}"
            )
    return frames


def _rounded(by_rate: Mapping[float, Any]) -> dict[float, Any]:
    return {round(float(rate), 4): value for rate, value in by_rate.items()}


def _column(frames: Mapping[float, pd.DataFrame], name: str) -> Ints:
    return np.stack([frame[name].to_numpy(dtype=np.intp) for frame in frames.values()])  # [rates, h]


def _grouping(frames: Mapping[float, pd.DataFrame], k: int) -> Grouping:
    """What depends on the number of clusters."""
    first, second = _match(_column(frames, "incoming"), _column(frames, "outgoing"), k)
    agree = _column(frames, "agree").astype(bool)
    chance = np.array([agreement_by_chance(*labels) for labels in zip(first, second, strict=True)])
    layouts = tuple(field.cluster_layout(first, agree, k, aspect) for aspect in ASPECTS)
    return Grouping(k, first, second, agree, chance, layouts)


def _layer(
    frames: Mapping[float, pd.DataFrame], networks: Mapping[float, Weights], looks: Mapping[float, Look], layer: int
) -> Layer:
    """What is drawn whatever the number of clusters: the rows say which neurons are dead, and which are twins."""
    shown, look_at = _rounded(networks), _rounded(looks)
    into = [incoming(shown[rate].weights, shown[rate].biases, layer) for rate in frames]
    out = [outgoing(shown[rate].weights, layer) for rate in frames]
    near = [[_nearest(vectors, COPIES) for vectors in side] for side in (into, out)]
    looked = [look_at[rate] for rate in frames]
    partner = np.stack([found.nearest for found in looked])
    correlation = np.stack([found.correlation for found in looked])
    own, dead, twin = np.broadcast_to(np.arange(partner.shape[1]), partner.shape), _column(frames, "dead").astype(bool), None
    if all("twin" in frame for frame in frames.values()):
        listed = _column(frames, "twin")
        twin = np.where(listed < 0, own, listed)
        measured = [frame["twin_correlation"].to_numpy(dtype=float) for frame in frames.values()]
        partner = np.where(twin != own, twin, partner)
        correlation = np.where(twin != own, np.nan_to_num(np.stack(measured)), correlation)
    families = field.families_of(own if twin is None else twin)
    return Layer(
        number=layer,
        rates=tuple(frames),
        pictures=tuple(picture(found.picture) for found in looked),
        shape=(int(looked[0].picture.shape[1]), int(looked[0].picture.shape[2])),
        by_digit=np.stack([found.by_digit for found in looked]),
        dead=dead,
        twin=twin,
        partner=partner,
        correlation=correlation,
        families=families,
        copies=np.stack([np.stack([ids for ids, _ in side]) for side in near]),
        cosines=np.stack([np.stack([cosines for _, cosines in side]) for side in near]),
        shuffled=np.array([[_nearest_shuffled(vectors) for vectors in side] for side in (into, out)]),
        chance_twins=np.array([found.chance_twins for found in looked]),
        chance_twins_digit=np.array([found.chance_twins_digit for found in looked]),
        layouts=tuple(field.family_layout(families, partner, dead, aspect) for aspect in ASPECTS),
    )


def _free(labels: Ints, taken: Ints, k: int) -> Ints:
    """Give labels of k and more the smallest names that neither they nor ``taken`` use."""
    above = np.unique(labels[labels >= k])
    free = np.setdiff1d(np.arange(k), np.union1d(labels, taken))[: len(above)]
    names = np.arange(max(k, int(labels.max()) + 1))
    names[above] = free
    return names[labels]


def _match(first: Ints, second: Ints, k: int) -> tuple[Ints, Ints]:
    """Name the clusters of each rate like those of the rate before, and the second clustering's like the first's."""
    firsts: list[Ints] = []
    seconds: list[Ints] = []
    for labels, others in zip(first, second, strict=True):
        raw, inverse = np.unique(labels, return_inverse=True)
        if max(len(raw), len(np.unique(others))) > k:
            raise ValueError(f"neurons must have at most k = {k} clusters; got {max(len(raw), len(np.unique(others)))}")
        named = _free(match_labels(firsts[-1], inverse), inverse[:0], k) if firsts else inverse
        # Matched as they were measured: where assignments tie, agreement then is the table's own.
        matched = match_labels(inverse, others)
        names = np.empty(len(raw), dtype=np.intp)
        names[inverse] = named
        beyond = matched >= len(raw)
        seconds.append(_free(np.where(beyond, matched + k, names[np.minimum(matched, len(raw) - 1)]), named, k))
        firsts.append(named)
    return np.stack(firsts), np.stack(seconds)


def _nearest(vectors: Floats, count: int) -> tuple[Ints, Floats]:
    """The ``count`` other rows of largest cosine, nearest first, and the cosines; 0 for a row of zeros. Both ``[h, count]``."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    cosines = np.clip(unit @ unit.T, -1, 1)  # [h, h]
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(cosines, order, axis=1)


def _nearest_shuffled(vectors: Floats) -> float:
    """Cosine of a neuron and the nearest other, mean over neurons, when each one's weights are shuffled, by a fixed seed."""
    shuffled = np.random.default_rng(0).permuted(vectors, axis=1)
    return float(_nearest(shuffled, 1)[1].mean())


def _picture(ink: npt.NDArray[np.float32]) -> Bytes:
    """Quantise what excites the neurons of one rate, ``[h, d]``, each by its own most ink: ``[h, side, side]``."""
    h, d = ink.shape
    side = math.isqrt(d)
    most = np.maximum(ink.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    levels: Bytes = (np.rint(np.clip(ink / most, -1, 1) * 127) + 128).astype(np.uint8)
    return levels.reshape(h, side, side)


# ---- as a file ---------------------------------------------------------------------------------------------------------------

# Of what the browser gets in hundredths, or of 255 parts, a file holds that: a drawing looks the same from a file.
_WHOLE = ("dead", "partner", "families", "copies", "chance_twins", "chance_twins_digit")
_LABELS = ("incoming", "outgoing", "agree")


def hundredths(values: Floats) -> Bytes:
    """Numbers from -1 to 1 as whole ones from 0 to 200, as the browser gets them."""
    return (np.rint(100 * values) + 100).astype(np.uint8)


def parts_of_255(values: Floats) -> Bytes:
    """Numbers from 0 to 1 as whole ones from 0 to 255, as the browser gets them."""
    return np.rint(255 * values).astype(np.uint8)


def packed(layer: Layer, groupings: Sequence[Grouping], table: str) -> bytes:
    """A layer with its groupings as one file: the SHA-256 of an npz without pickles, and that; equal drawings, equal bytes.

    Parameters
    ----------
    table
        SHA-256 of the table of neurons that it was made of.
    """
    about = {"format": FORMAT, "table": table, "layer": layer.number, "shape": layer.shape, "k": [g.k for g in groupings]}
    arrays: dict[str, npt.NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "rates": np.array(layer.rates),
        "pictures": np.frombuffer(b"".join(layer.pictures), np.uint8),
        "ends": np.cumsum([len(content) for content in layer.pictures]),
        "by_digit": parts_of_255(layer.by_digit),
        "correlation": hundredths(layer.correlation),
        "cosines": hundredths(layer.cosines),
        "shuffled": layer.shuffled,
        **{name: getattr(layer, name).astype(np.uint8) for name in _WHOLE},
        **_places("family", layer.layouts),
    }
    if layer.twin is not None:
        arrays["twin"] = layer.twin.astype(np.uint8)
    for grouping in groupings:
        arrays |= {f"{name}-{grouping.k}": getattr(grouping, name).astype(np.uint8) for name in _LABELS}
        arrays[f"agree_chance-{grouping.k}"] = grouping.agree_chance
        arrays |= _places(f"cluster-{grouping.k}", grouping.layouts)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return hashlib.sha256(content.getvalue()).digest() + content.getvalue()


def unpacked(content: bytes) -> tuple[Layer, dict[int, Grouping], str]:
    """What `packed` made: the layer, its groupings by their number of clusters, and the table's SHA-256.

    Raises
    ------
    ValueError
        For anything else, and for what another version wrote, in one sentence.
    """
    proof, inside = content[:_PROOF], content[_PROOF:]
    refused = "a drawing must be a whole file that this version of dropclust wrote"
    if hashlib.sha256(inside).digest() != proof:
        raise ValueError(refused)
    try:
        with np.load(io.BytesIO(inside), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays["about"].tobytes())
        if about["format"] != FORMAT:
            raise ValueError(refused)
        ends = [0, *arrays["ends"].tolist()]
        pictures, whole = arrays["pictures"].tobytes(), {name: arrays[name].astype(np.intp) for name in _WHOLE}
        layer = Layer(
            number=about["layer"],
            rates=tuple(arrays["rates"].tolist()),
            pictures=tuple(pictures[start:end] for start, end in pairwise(ends)),
            shape=tuple(about["shape"]),
            by_digit=arrays["by_digit"] / 255,
            twin=arrays["twin"].astype(np.intp) if "twin" in arrays else None,
            correlation=(arrays["correlation"].astype(float) - 100) / 100,
            cosines=(arrays["cosines"].astype(float) - 100) / 100,
            shuffled=arrays["shuffled"],
            layouts=_layouts("family", arrays),
            **{**whole, "dead": whole["dead"].astype(bool)},
        )
        groupings = {
            k: Grouping(
                k, arrays[f"incoming-{k}"].astype(np.intp), arrays[f"outgoing-{k}"].astype(np.intp),
                arrays[f"agree-{k}"].astype(bool), arrays[f"agree_chance-{k}"], _layouts(f"cluster-{k}", arrays),
            )
            for k in about["k"]
        }  # fmt: skip
        return layer, groupings, str(about["table"])
    except KeyError as error:
        raise ValueError(refused) from error


def _places(name: str, layouts: Sequence[Layout]) -> dict[str, npt.NDArray[np.int16]]:
    """Layouts in whole parts of the field's width."""
    return {
        f"{name}-{aspect:g}-{part}": np.rint(np.round(getattr(layout, part), 4) * _FINE).astype(np.int16)
        for aspect, layout in zip(ASPECTS, layouts, strict=True)
        for part in ("tile", "tiles", "regions", "labels")
    }


def _layouts(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Layout, ...]:
    parts = ("tile", "tiles", "regions", "labels")
    return tuple(Layout(aspect, *(arrays[f"{name}-{aspect:g}-{part}"] / _FINE for part in parts)) for aspect in ASPECTS)


# ---- of the networks that are shown first ----------------------------------------------------------------------------------


def file_name(recipe: str, layer: int) -> str:
    """Name of a layer's file, beside the tables."""
    return f"explorer-{recipe}-{layer}.drawing"


def shipped(recipe: str, layer: int) -> tuple[Layer, dict[int, Grouping]] | None:
    """What is drawn of the networks of the seed that is shown first; None where that was not made of the table of today.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table of neurons is missing or damaged.
    """
    table = results.read(results.file_name("table2-neurons", recipe)).conditions["sha256"]
    try:
        found, groupings, made_of = unpacked(results.place(file_name(recipe, layer)).read_bytes())
    except (OSError, ValueError):
        return None
    return (found, groupings) if made_of == table else None


def make(recipe: str, store: Store) -> list[Path]:
    """Draw the networks of the seed that is shown first and write a file a layer beside the tables.

    Parameters
    ----------
    recipe
        Training recipe.
    store
        Where the networks are.

    Raises
    ------
    dropclust.experiments.results.ResultError
        When the table of neurons is missing or damaged.
    FileNotFoundError
        When MNIST is not there.
    ValueError
        When a network is not stored.
    """
    table = results.read(results.file_name("table2-neurons", recipe))
    stored = {rate: store.get(table2.shown_spec(rate, recipe).key) for rate in table2.RATES}
    networks = {rate: network for rate, network in stored.items() if network is not None}
    if len(networks) < len(stored):
        raise ValueError(f"networks of the {recipe} recipe must all be stored; {len(stored) - len(networks)} are missing")
    files = []
    for layer in table2.LAYERS:
        looks = {rate: look(network, layer, held_out()) for rate, network in networks.items()}
        frames = {k: _frames(table.table, networks, layer, k, None) for k in table2.CLUSTERS}
        drawn = _layer(frames[table2.CLUSTERS[0]], networks, looks, layer)  # the same whatever the number of clusters
        groupings = [_grouping(frames[k], k) for k in table2.CLUSTERS]
        files.append(results.folder() / file_name(recipe, layer))
        atomic.write(files[-1], packed(drawn, groupings, table.conditions["sha256"]))
    return files
