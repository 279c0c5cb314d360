"""What the explorer shows of one layer and number of clusters: what is drawn, what is said of it, and both as files."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dropclust.experiments.paper import TABLE_2
from dropclust.findings import tour
from dropclust.findings.explorer import AXES, Reading, alts, reading
from dropclust.findings.meaning import Meaning
from dropclust.findings.table2 import Table2
from dropclust.service.drawn import Grouping, Layer, hundredths, parts_of_255
from dropclust.service.sheet import ACROSS
from dropclust.ui.explorer.files import packed
from dropclust.ui.style import style

# What the curves mean, so that they look as on every other chart.
MEANINGS = {
    "rand": Meaning.MEASURED,
    "chance": Meaning.CHANCE,
    "paper": Meaning.PAPER,
    "adjusted": Meaning.MEASURED,
    "twins": Meaning.TWINS,
    "scaled": Meaning.SCALED,
    "sampled": Meaning.SAMPLED,
    "now": Meaning.CHOSEN,
}


class Files(NamedTuple):
    """What the browser fetches: two parts of a scene as compressed JSON, and a picture a rate."""

    layer: bytes
    clusters: bytes
    pictures: tuple[bytes, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """All that the explorer shows of one layer and number of clusters, rate by rate.

    Parameters
    ----------
    recipe
        Training recipe of the networks.
    readings
        The numbers, one a rate, in the order of rates.
    neurons
        What is drawn whatever the number of clusters; the scenes of all numbers of clusters share it.
    grouping
        What is drawn of this number of clusters.
    """

    recipe: str
    readings: tuple[Reading, ...]
    neurons: Layer
    grouping: Grouping

    @property
    def layer(self) -> int:
        """Hidden layer counted from 1."""
        return self.neurons.number

    @property
    def k(self) -> int:
        """Clusters of each clustering."""
        return self.grouping.k

    @property
    def rates(self) -> tuple[float, ...]:
        """The dropout rates that the slider has."""
        return self.neurons.rates

    @property
    def units(self) -> int:
        """Neurons of the layer."""
        return self.neurons.units

    @property
    def layer_part(self) -> dict[str, Any]:
        """What depends on recipe, seed and layer alone, as plain lists, numbers and text."""
        return _layer_part(self.neurons, self.recipe)

    @property
    def clusters_part(self) -> dict[str, Any]:
        """What depends on the number of clusters as well: labels, places and what is said."""

        def curve(name: str) -> dict[str, list[float | None]]:
            intervals = [getattr(reading, name) for reading in self.readings]
            return {end: [_rounded(getattr(interval, end)) for interval in intervals] for end in ("mean", "low", "high")}

        chance = {"mean": "chance", "low": "chance_low", "high": "chance_high"}
        twins = curve("twins") if all(reading.twins for reading in self.readings) else None
        return {
            "k": self.k,
            "axes": {name: list(ends) for name, ends in AXES.items()},
            "texts": [reading.texts for reading in self.readings],
            "findings": [reading.finding for reading in self.readings],
            "sentences": [reading.sentence for reading in self.readings],
            "groups": [list(reading.groups) for reading in self.readings],
            "withTwin": [reading.with_twin for reading in self.readings],
            "steps": tour.told(self.readings),
            "alts": alts(self.readings, self.recipe, self.layer, self.k),
            "curves": {name: curve(name) for name in ("rand", "adjusted", "scaled", "sampled")}
            | {"chance": {end: [_rounded(getattr(r, field)) for r in self.readings] for end, field in chance.items()}}
            | {"twins": twins},
            "incoming": _base64(self.grouping.incoming),
            "outgoing": _base64(self.grouping.outgoing),
            "agree": _base64(self.grouping.agree),
            "layouts": [layout.sent() for layout in self.grouping.layouts],
        }

    @cached_property
    def files(self) -> Files:
        """All of it as files, made once: scenes of one layer share all but one."""
        return Files(_layer_file(self.neurons, self.recipe), packed(self.clusters_part), self.neurons.pictures)


def _layer_part(layer: Layer, recipe: str) -> dict[str, Any]:
    return {
        "layer": layer.number,
        "recipe": recipe,
        "units": layer.units,
        "copiesEach": layer.copies.shape[-1],
        "rates": list(layer.rates),
        "looks": {name: {"colour": style(of).colour, "dash": style(of).dash} for name, of in MEANINGS.items()},
        "paper": [[rate, rand] for rate, rand in TABLE_2.items()],
        "picture": {"rows": layer.shape[0], "columns": layer.shape[1], "across": ACROSS},
        "dead": _base64(layer.dead),
        "twin": None if layer.twin is None else _base64(layer.twin),
        "partner": _base64(layer.partner),
        "correlations": _base64(hundredths(layer.correlation)),
        "families": _base64(layer.families),
        "byDigit": _base64(parts_of_255(layer.by_digit)),
        "twinLayouts": [layout.sent() for layout in layer.layouts],
        "copies": _base64(layer.copies),
        "cosines": _base64(hundredths(layer.cosines)),
        "shuffled": np.round(layer.shuffled, 4).tolist(),
    }


@lru_cache(maxsize=12)  # layers of both recipes, and some of other seeds
def _layer_file(layer: Layer, recipe: str) -> bytes:
    return packed(_layer_part(layer, recipe))


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 5)


def _base64(values: npt.ArrayLike) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.uint8).tobytes()).decode("ascii")


def build_scene(said: Table2, neurons: Layer, grouping: Grouping) -> Scene:
    """Put what Table 2 says of a layer and number of clusters beside what is drawn of it.

    Raises
    ------
    ValueError
        One sentence, when a rate is drawn of which the table says nothing.
    """
    if missing := sorted(set(neurons.rates) - set(said.rand.series[0].x)):
        raise ValueError(f"the table must say something of every rate that is drawn; got nothing of {missing[0]:g}")
    own, twin = np.arange(neurons.units), neurons.twin
    pairs = neurons.units * (neurons.units - 1)
    readings = []
    for at, rate in enumerate(neurons.rates):
        labels = grouping.incoming[at], grouping.outgoing[at]
        both = np.logical_and(*(side[:, None] == side for side in labels))  # [h, h]: in one group by either side
        readings.append(
            reading(
                said,
                rate,
                agree=int(grouping.agree[at].sum()),
                agree_chance=float(grouping.agree_chance[at]),
                dead=int(neurons.dead[at].sum()),
                units=neurons.units,
                with_twin=None if twin is None else int((twin[at] != own).sum()),
                both_groups=0 if twin is None else int((both[own, twin[at]] & (twin[at] != own)).sum()),
                both_groups_pairs=(int(both.sum()) - neurons.units) / pairs,
                chance_twins=int(neurons.chance_twins[at]),
                chance_twins_digit=int(neurons.chance_twins_digit[at]),
            )
        )
    return Scene(said.recipe, tuple(readings), neurons, grouping)
