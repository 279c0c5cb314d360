"""When copies form: dropout switched on or off at half of the training, in networks that are the same until then."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import Rates, RunSpec
from dropclust.experiments.claim import Choice, Claim, Rule, Tables
from dropclust.experiments.experiment import Experiment, Measured, Settings, spec_of
from dropclust.experiments.pairing import by_seed

if TYPE_CHECKING:
    from dropclust.core.arrays import Ints
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

OFF, ON, OFF_ON, ON_OFF = "off", "on", "off-on", "on-off"
COURSES = (OFF, ON, OFF_ON, ON_OFF)
RATE = 0.5
OTHER_RATES = (0.2, 0.8)  # switched on as well
HIDDEN, WIDE_HIDDEN = (100, 100, 100), (200, 200, 200)
LAYERS = (1, 2)
CLUSTERS = (10, 20)
MAIN_CLUSTERS = 10
MASKS, MASK_IMAGES = 50, 1_000  # of MSTD, at `RATE` for every network
PART = 4  # a layer is compressed to its width over this

# As shares of the steps until the switch: 24 moments, closest after it; and fewer for what stands beside the main courses.
BEFORE = (0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
AFTER = (
    1.008, 1.016, 1.032, 1.048, 1.08, 1.12, 1.16, 1.2, 1.28, 1.36, 1.44, 1.52, 1.6, 1.7, 1.8, 1.9, 2.0,
)  # fmt: skip
COARSE = (0.4, 1.0, 1.048, 1.2, 1.44, 2.0)
COMPRESSED = (1.0, 1.048, 1.2, 1.44, 2.0)  # moments at which layers are compressed too, where they are measured
SOON = 1.2
# The seed and moments at which the neurons themselves are kept, of the main courses, for people to look at.
SHOWN_SEED = 0
SHOWN = (0.1, 0.4, 1.0, 1.016, 1.048, 1.12, 1.2, 1.44, 2.0)
NEURONS = "onset-neurons"
_LETTERS = "abcdefghijk"  # of the shades from the most negative to the most positive


def course_of(spec: RunSpec) -> tuple[str, float, str]:
    """Course, rate and noise of a run, or of one that ends where another is: a run that was not switched yet is constant."""
    first, now = max(spec.dropout) > 0, max(spec.final_rates) > 0
    course = (ON if first else OFF) if not spec.schedule else ON_OFF if first else OFF_ON
    rate = max(*spec.dropout, *(max(rates) for _, rates in spec.schedule))
    return course, rate, spec.noise if first or now else "bernoulli"


def moments(spec: RunSpec, quick: bool) -> tuple[int, ...]:
    """Steps after which a run is looked at; one that is switched only once it was."""
    course, rate, noise = course_of(spec)
    main = spec.hidden == HIDDEN and rate in (0, RATE) and noise == "bernoulli" and not quick
    shares = (*BEFORE, *AFTER) if main else COARSE
    switch = spec.steps // 2
    found = {min(round(share * switch), spec.steps) for share in shares}
    return tuple(sorted(step for step in found if step > 0 and (course in (OFF, ON) or step > switch)))


# ---- what we claim -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """Which networks: their width, the rate that is switched, and the noise."""

    width: int = HIDDEN[0]
    rate: float = RATE
    noise: str = "bernoulli"

    def __str__(self) -> str:
        return f"{self.width} units, rate {self.rate:g}, {self.noise} noise"

    def rows(self, table: pd.DataFrame, course: str, layer: int) -> pd.DataFrame:
        """The rows of a course; one without dropout throughout has neither rate nor noise."""
        rate, noise = (0.0, "bernoulli") if course == OFF else (self.rate, self.noise)
        wanted = {"course": course, "layer": layer, "width": self.width, "rate": rate, "gaussian": int(noise == "gaussian")}
        found = pd.Series(True, index=table.index)
        for name, value in wanted.items():
            found &= table[name] == value
        return table[found]


DEFAULT = Setting()


def _at(tables: Tables, column: str, course: str, share: float, layer: int, setting: Setting) -> pd.Series[float]:
    """A column by seed, at a moment as a share of the steps until the switch."""
    table = tables["onset"]
    step = round(share * (table["step"].max() // 2))
    return by_seed(setting.rows(table, course, layer), column, step=step)


def switched_on(tables: Tables, column: str = "twins", layer: int = 2, setting: Setting = DEFAULT) -> pd.Series[float]:
    """At the end: a network whose dropout was switched on, less the same one without dropout throughout."""
    return _at(tables, column, OFF_ON, 2, layer, setting) - _at(tables, column, OFF, 2, layer, setting)


def switched_off(tables: Tables, column: str = "twins", layer: int = 2, setting: Setting = DEFAULT) -> pd.Series[float]:
    """A network at the end, whose dropout was switched off, less the same one at the switch."""
    return _at(tables, column, ON_OFF, 2, layer, setting) - _at(tables, column, ON, 1, layer, setting)


def remains(tables: Tables, column: str = "twins", layer: int = 2, setting: Setting = DEFAULT) -> pd.Series[float]:
    """At the end: a network whose dropout was switched off, less the same one without dropout throughout."""
    return _at(tables, column, ON_OFF, 2, layer, setting) - _at(tables, column, OFF, 2, layer, setting)


def less(statistic: Callable[..., pd.Series[float]], tables: Tables, **options: object) -> pd.Series[float]:
    """A statistic whose claim points downwards."""
    return -statistic(tables, **options)


def soon(tables: Tables, column: str = "twins", layer: int = 2, setting: Setting = DEFAULT) -> pd.Series[float]:
    """The rise from the switch to a tenth of the training later, less half of the rise until the end."""
    start = _at(tables, column, OFF, 1, layer, setting)
    early, late = (_at(tables, column, OFF_ON, share, layer, setting) - start for share in (SOON, 2))
    return early - late / 2


_LAYER_1 = ("layer 1", {"layer": 1})
_WIDE = (f"{WIDE_HIDDEN[0]} units", {"setting": Setting(width=WIDE_HIDDEN[0])})
_RATES = [(f"rate {rate:g}", {"setting": Setting(rate=rate)}) for rate in OTHER_RATES]
_GAUSSIAN = ("Gaussian noise of equal variance", {"setting": Setting(noise="gaussian")})
_AGREEMENT = [(f"{k} clusters", {"column": f"adjusted_rand_{k}"}) for k in CLUSTERS if k != MAIN_CLUSTERS]
_AGREEMENT.append(("adjusted mutual information", {"column": f"adjusted_mutual_info_{MAIN_CLUSTERS}"}))
_MAIN_AGREEMENT = f"adjusted_rand_{MAIN_CLUSTERS}"
_COUNTABLE = "One neuron in twenty is what a viewer could count."
_FEW_MOVE = "Two or three neurons of a hundred that change their cluster move the index by so much."


def _choices(statistic: Callable[..., pd.Series[float]], *changes: tuple[str, Mapping[str, object]]) -> tuple[Choice, ...]:
    return tuple(Choice(name, partial(statistic, **changed)) for name, changed in changes)


_agreement_on = partial(switched_on, column=_MAIN_AGREEMENT)
_agreement_remains = partial(remains, column=_MAIN_AGREEMENT)
_twins_off = partial(less, switched_off)
_loss_on = partial(less, switched_on, column="lost_paper", layer=1)

CLAIMS = (
    Claim(
        "onset.twins-form",
        "ours, from section 4.3",
        "Dropout that is switched on makes twins, even in a network that has learnt without it.",
        switched_on,
        "of the living neurons",
        0.05,
        _COUNTABLE,
        Rule.MORE,
        "share with a twin in layer 2 at the end, less the share of the same network without dropout throughout",
        digits=3,
        choices=_choices(switched_on, _LAYER_1, *_RATES, _GAUSSIAN, _WIDE),
    ),
    Claim(
        "onset.agreement-forms",
        "ours, from section 4.3.1",
        "Dropout that is switched on makes the two clusterings agree more.",
        _agreement_on,
        "",
        0.05,
        _FEW_MOVE,
        Rule.MORE,
        "adjusted Rand index of layer 2 at the end, less that of the same network without dropout throughout",
        digits=3,
        choices=_choices(_agreement_on, _LAYER_1, *_AGREEMENT, *_RATES, _GAUSSIAN, _WIDE),
    ),
    Claim(
        "onset.twins-melt",
        "ours, from section 4.3",
        "Twins go again once dropout is switched off.",
        _twins_off,
        "of the living neurons",
        0.05,
        _COUNTABLE,
        Rule.MORE,
        "share with a twin in layer 2 at the switch, less the share at the end of training without dropout",
        digits=3,
        choices=_choices(_twins_off, _LAYER_1, _WIDE),
    ),
    Claim(
        "onset.agreement-remains",
        "ours, from section 4.3.1",
        "Weights remember: long after dropout is switched off, the two clusterings agree more than if it had never been on.",
        _agreement_remains,
        "",
        0.05,
        _FEW_MOVE,
        Rule.MORE,
        "adjusted Rand index of layer 2 at the end, dropout off since half, less that of the same network without dropout",
        digits=3,
        choices=_choices(_agreement_remains, _LAYER_1, *_AGREEMENT, _WIDE),
    ),
    Claim(
        "onset.soon",
        "ours",
        "Half of the twins that dropout makes are there within a tenth of the whole training after the switch.",
        soon,
        "of the living neurons",
        0.02,
        "Two neurons of a hundred.",
        Rule.MORE,
        "rise of the share with a twin in layer 2 within a tenth of the training, less half of the rise until the end",
        digits=3,
        choices=_choices(soon, _LAYER_1, ("adjusted Rand index", {"column": _MAIN_AGREEMENT}), *_RATES, _GAUSSIAN, _WIDE),
    ),
    Claim(
        "onset.compression-follows",
        "ours, from section 4.4",
        "A network in which dropout was switched on can be compressed with less loss.",
        _loss_on,
        "points",
        1.0,
        "One point of accuracy is what the paper's own table of compression can tell apart.",
        Rule.MORE,
        "test accuracy lost when layer 1 is compressed to a quarter by the paper's method: without dropout, less after "
        "the switch",
        choices=_choices(_loss_on, ("layer 2", {"layer": 2}), ("folding", {"column": "lost_fold"}), *_RATES, _GAUSSIAN, _WIDE),
    ),
)


class Onset(Experiment):
    """Twins, agreement of the two clusterings and what hangs on them, over time, for dropout switched on, off or never."""

    name = "onset"
    title = "When copies form"
    question = "When do copies form, and do they go?"
    section = "4.3"
    claims = CLAIMS
    on_device = True
    on_the_way = True
    version = 2
    masks = (MASKS, MASKS)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """All courses of each seed and width, to their end."""
        none: Rates = (0.0, 0.0, 0.0)
        found = []
        for seed in settings.seed_range:
            for hidden in (HIDDEN,) if settings.quick else (HIDDEN, WIDE_HIDDEN):
                off = RunSpec(
                    hidden=hidden, dropout=none, recipe=settings.recipe, seed=seed, examples=settings.examples,
                    precision=settings.precision,
                )  # fmt: skip

                def switched(rate: float, noise: str = off.noise, off: RunSpec = off) -> RunSpec:
                    return replace(off, schedule=((off.steps // 2, (rate, rate, rate)),), noise=noise)

                on = replace(off, dropout=(RATE, RATE, RATE))
                found += [off, on, switched(RATE), replace(on, schedule=((on.steps // 2, none),))]
                if hidden == HIDDEN and not settings.quick:
                    found += [*map(switched, OTHER_RATES), switched(RATE, "gaussian")]
        return found

    def measuring(self, spec: RunSpec, settings: Settings) -> float:
        """Seconds of a core: almost all of them go to clustering."""
        return spec.hidden[0] / 400 * len(moments(spec, settings.quick))

    def group(self, spec: RunSpec) -> Hashable:
        """The courses of one seed and width."""
        return spec.hidden, spec.seed

    def measure_group(
        self, specs: Sequence[RunSpec], settings: Settings, threads: int | None = None, device: str = "auto"
    ) -> Measured:
        """Train a group, and look at its networks at all their moments."""
        from dropclust.core import mnist, training

        data = mnist.load()
        wanted = {spec.key: moments(spec, settings.quick) for spec in specs}
        steps = sorted({step for found in wanted.values() for step in found})
        rows, shown = [], []
        for step, networks in training.snapshots(specs, steps, data=data, threads=threads, device=device):
            looked_at = [network for spec, network in zip(specs, networks, strict=True) if step in wanted[spec.key]]
            if looked_at:
                rows.append(self.measure(looked_at, data, settings))
                chosen = [network for network in looked_at if is_shown(network, settings)]
                shown += [neurons(network, data, layer) for network in chosen for layer in LAYERS]
        tables = {self.name: rows} | ({NEURONS: shown} if shown and not settings.quick else {})
        return Measured({name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}, ())

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a network and layer, of networks as they are where their runs end."""
        from dropclust.core.compression import compress
        from dropclust.core.metrics import accuracy
        from dropclust.core.prediction import hidden_activations, mstd, scaled_logits
        from dropclust.core.similarity import neuron_similarity
        from dropclust.core.twins import activation_correlation, effective_rank, twins_of

        switch, rows = settings.examples // RunSpec().batch_size // 2, []
        compressed = {round(share * switch) for share in COMPRESSED}
        for network in networks:
            spec = spec_of(network)
            course, rate, noise = course_of(spec)
            facts = {
                "seed": spec.seed, "width": spec.hidden[0], "course": course, "rate": rate,
                "gaussian": int(noise == "gaussian"), "step": spec.steps,
            }  # fmt: skip
            whole = {
                "accuracy": 100 * accuracy(scaled_logits(network, data.test_x), data.test_y),
                "mstd": mstd(network, data.test_x[:MASK_IMAGES], MASKS, dropout=RATE, noise="bernoulli"),
            }
            activations = [a.cpu().numpy() for a in hidden_activations(network, data.held_x)]
            for layer in LAYERS:
                activation = activations[layer - 1]  # [5000, h]
                twins = twins_of(activation)
                row: dict[str, object] = {
                    **facts, "layer": layer, "twins": twins.share, "dead": int(twins.dead.sum()),
                    "effective_rank": effective_rank(activation),
                }  # fmt: skip
                for k in CLUSTERS:
                    similar = neuron_similarity(network, layer, k, seed=spec.seed)
                    row[f"adjusted_rand_{k}"] = similar.adjusted_rand
                    row[f"adjusted_mutual_info_{k}"] = similar.adjusted_mutual_info
                    if k == MAIN_CLUSTERS:
                        row |= {"rand": similar.rand, "chance_rand": similar.chance_rand, "chance_high": similar.chance_high}
                        within, across = activation_correlation(activation, similar.incoming_labels)
                        row |= {"correlation_within": within, "correlation_across": across}
                for method in ("paper", "fold"):
                    lost = float("nan")
                    if spec.steps in compressed:
                        smaller = compress(network, layer, spec.hidden[layer - 1] // PART, method, spec.seed, data)
                        lost = 100 * (smaller.accuracy_before - smaller.accuracy)
                    row[f"lost_{method}"] = lost
                rows.append(row | whole)
        return pd.DataFrame(rows).round({column: 1 if column == "effective_rank" else 3 for column in rows[0]})


def is_shown(network: Network, settings: Settings) -> bool:
    """Whether the neurons of a network are kept: at some moments of the main courses of one seed."""
    spec = spec_of(network)
    _, rate, noise = course_of(spec)
    main = spec.hidden == HIDDEN and rate in (0, RATE) and noise == "bernoulli" and spec.seed == SHOWN_SEED
    return main and spec.steps in {round(share * (settings.examples // spec.batch_size // 2)) for share in SHOWN}


def neurons(network: Network, data: Data, layer: int) -> pd.DataFrame:
    """Clusters, twin and picture of a layer's neurons, a row a neuron.

    ``twin`` is the number of the living neuron whose activations correlate most with its own, -1 when that is not above .9.
    ``picture`` has a letter for each of its weights, which `pictures` reads.
    """
    import numpy as np

    from dropclust.core import similarity
    from dropclust.core.prediction import hidden_activations
    from dropclust.core.tiles import SHADES, shades_of, shown_weights
    from dropclust.core.twins import twins_of

    spec = spec_of(network)
    twins = twins_of(hidden_activations(network, data.held_x)[layer - 1])
    found = similarity.neuron_similarity(network, layer, MAIN_CLUSTERS, seed=spec.seed)
    shades = shades_of(shown_weights(network.weights, network.biases, layer)) + SHADES
    return pd.DataFrame(
        {
            "course": course_of(spec)[0],
            "step": spec.steps,
            "layer": layer,
            "neuron": range(len(twins.dead)),
            "incoming": found.incoming_labels,
            "outgoing": found.outgoing_labels,
            "agree": similarity.agreement(found.incoming_labels, found.outgoing_labels).astype(int),
            "dead": twins.dead.astype(int),
            "twin": np.where(np.nan_to_num(twins.correlation) > twins.threshold, twins.nearest, -1),
            "picture": ["".join(_LETTERS[shade] for shade in picture.ravel()) for picture in shades],
        }
    )


def pictures(letters: Sequence[str]) -> Ints:
    """The shades of neurons' pictures, ``[h, rows, columns]``, as `dropclust.core.tiles.shades_of` made them.

    Raises
    ------
    ValueError
        When a letter is none of a picture, or two pictures are not of one size.
    """
    import numpy as np

    from dropclust.core.tiles import POOLED, SHADES, SIDE

    if len({len(each) for each in letters}) != 1 or not set("".join(letters)) <= set(_LETTERS):
        raise ValueError(f"pictures must be of one size and have letters from {_LETTERS[0]} to {_LETTERS[-1]} alone")
    shades = np.array([[_LETTERS.index(letter) for letter in each] for each in letters]) - SHADES
    pixels = (SIDE // POOLED) ** 2
    rows = SIDE // POOLED if shades.shape[1] == pixels else 4 if shades.shape[1] > 40 else 1
    return shades.reshape(len(shades), rows, -1)


EXPERIMENT = Onset()
run = EXPERIMENT.run
