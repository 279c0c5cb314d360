"""Made-up results of Table 2 whose truth is known: neurons that turn into copies of prototypes as the rate grows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from dropclust.core.receptive import Images
from dropclust.core.similarity import agreement
from dropclust.experiments.table2 import RATES
from dropclust.findings.table2 import findings
from dropclust.service.drawn import draw, look
from dropclust.ui.explorer import Scene, build_scene

UNITS = 100


def _images() -> Images:
    """Blots of ink, as smooth as digits are, and made-up digits."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:28, 0:28]
    at, wide = rng.uniform(6, 22, size=(300, 2, 1, 1)), rng.uniform(3, 6, size=(300, 1, 1))
    blots = np.exp(-((x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2) / (2 * wide**2))
    return Images(blots.reshape(300, -1).astype(np.float32), (np.arange(300) % 10).astype(np.uint8))


IMAGES = _images()


def prototypes(k: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth pictures of 28 x 28, one a cluster: a bright and a dark spot each."""
    y, x = np.mgrid[0:28, 0:28]

    def spot() -> np.ndarray:
        cx, cy = rng.uniform(6, 22, size=2)
        return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)

    return np.stack([(spot() - spot()).ravel() for _ in range(k)])  # [k, 784]


def scene(table: pd.DataFrame, neurons: pd.DataFrame, networks: dict[float, SimpleNamespace], layer: int, k: int) -> Scene:
    """What the explorer shows of such results."""
    looks = {rate: look(network, layer, IMAGES) for rate, network in networks.items()}
    said = findings(table, layer, k)
    return build_scene(said, *draw(neurons, networks, looks, layer, k, said.rand.series[0].x))


def make(
    layer: int = 1, k: int = 10, rates: tuple[float, ...] = RATES, seeds: int = 20, recipe: str = "modern"
) -> tuple[pd.DataFrame, pd.DataFrame, dict[float, SimpleNamespace]]:
    """A table, its neurons and networks, all by a fixed seed; the clusterings agree best at 0.6."""
    rng = np.random.default_rng(7)
    shapes = [(784, UNITS), (UNITS, UNITS), (UNITS, UNITS), (UNITS, 10)]
    spots = prototypes(k, rng)
    noise = [rng.normal(size=(out, into)) for into, out in shapes]  # [h, in] a layer
    belongs = rng.integers(k, size=UNITS)
    elsewhere = rng.permutation(belongs)
    change, dies = rng.random(UNITS), rng.random(UNITS)
    rows, frames, networks = [], [], {}
    for rate in rates:
        copied = np.clip(1 - abs(rate - 0.6) / 0.6, 0, 1)
        incoming = np.where(change < 0.25 * copied + 0.7, belongs, (belongs + 1) % k)
        outgoing = np.where(change < copied * 0.8, incoming, elsewhere)
        dead = dies < max(0.0, rate - 0.3)
        # The nearest living neuron of the same prototype is a twin, for a share that grows with the copying.
        same = (belongs[:, None] == belongs) & ~np.eye(UNITS, dtype=bool) & ~dead
        nearest, with_twin = same.argmax(axis=1), same.any(axis=1) & ~dead & (change < 0.8 * copied)
        name = rng.permutation(k)  # k-means names its clusters anew at every rate
        weights = []
        for layer_at, (into, _) in enumerate(shapes):
            own = 0.1 * noise[layer_at]
            if layer_at < 3:
                shared = spots if layer_at == 0 else np.sin(np.outer(1 + np.arange(k), np.arange(into)))
                own = own * (1.2 - copied) + 0.5 * copied * shared[belongs]
            weights.append(own.T.astype(np.float32))
        networks[rate] = SimpleNamespace(
            weights=tuple(weights), biases=tuple(np.zeros(out, dtype=np.float32) for _, out in shapes)
        )
        frames.append(
            pd.DataFrame(
                {
                    "dropout": rate,
                    "layer": layer,
                    "k": k,
                    "neuron": np.arange(UNITS),
                    "incoming": name[incoming],
                    "outgoing": outgoing,
                    "agree": agreement(name[incoming], outgoing).astype(int),
                    "dead": dead.astype(int),
                    "twin": np.where(with_twin, nearest, -1),
                    "twin_correlation": np.where(dead, np.nan, np.where(with_twin, 0.95, 0.4)),
                }
            )
        )
        for seed in range(seeds):
            adjusted = 0.45 * copied + rng.normal(0, 0.03)
            accuracy = 0.97 - 0.3 * max(0.0, rate - 0.6) ** 1.5 + rng.normal(0, 0.002)
            rows.append(
                {
                    "recipe": recipe,
                    "width": UNITS,
                    "seed": seed,
                    "dropout": rate,
                    "layer": layer,
                    "k": k,
                    "rand": 0.76 + 0.22 * adjusted,
                    "chance_rand": 0.75,
                    "chance_low": 0.73,
                    "chance_high": 0.77,
                    "chance_rand_num": 0.8,
                    "adjusted_rand": adjusted,
                    "adjusted_mutual_info": adjusted,
                    "element_centric": 0.4,
                    "p_value": 0.01,
                    "dead": int(dead.sum()),
                    "adjusted_rand_living": adjusted,
                    "correlation_within": 0.3,
                    "correlation_across": 0.0,
                    "twins": float(np.clip(0.8 * copied + rng.normal(0, 0.02), 0, 1)),
                    "twins_80": 0.9 * copied,
                    "twins_95": 0.5 * copied,
                    "nearest_cosine": 0.3 + 0.3 * copied,
                    "effective_rank": 60 - 40 * copied,
                    "scaled_accuracy": accuracy,
                    "sampled_accuracy": accuracy + 0.002,
                }
            )
    return pd.DataFrame(rows), pd.concat(frames, ignore_index=True), networks


def coarser(
    table: pd.DataFrame, neurons: pd.DataFrame, networks: dict[float, SimpleNamespace]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[float, SimpleNamespace]]:
    """The same networks in half as many clusters, each of two before."""
    halved = neurons.assign(k=neurons["k"] // 2, incoming=neurons["incoming"] // 2, outgoing=neurons["outgoing"] // 2)
    for rate in networks:
        rows = halved["dropout"] == rate
        agree = agreement(halved.loc[rows, "incoming"].to_numpy(), halved.loc[rows, "outgoing"].to_numpy())
        halved.loc[rows, "agree"] = agree.astype(int)
    return table.assign(k=table["k"] // 2), halved, networks
