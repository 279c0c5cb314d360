"""Figure 3: how the spread of sampled logits falls with the width of the first layer, and the controls that say why."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments.experiment import Experiment, Settings, spec_of

if TYPE_CHECKING:
    from dropclust.core.arrays import Floats
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

WIDTHS = (25, 50, 100, 200, 400, 800, 1600)  # of layer 1; layers 2 and 3 are as in the other experiments
QUICK_WIDTHS = (25, 50, 100, 200, 400)
UPPER = (100, 100)
TRAININGS = MappingProxyType(
    {"first 0.5": (0.5, 0.0, 0.0), "first 0.2": (0.2, 0.0, 0.0), "all 0.5": (0.5, 0.5, 0.5), "none": (0.0, 0.0, 0.0)}
)
UNTRAINED = "untrained"
SAMPLED_RATES = (0.2, 0.5)  # of layer 1, for every network
# Masks decide how exact an MSTD is; the images of a network share them, so that more images than these add little.
IMAGES = 1_000
MASKS = 200
QUICK_MASKS = 50
FEW = 8  # clusters: up to so many a miss is given a second try
# Seeds beyond these would make the quick run slow, and five give an interval.
QUICK_SEEDS = 5


class Figure3(Experiment):
    """MSTD by the width of layer 1, however the network was trained, and the clusters found in that layer.

    Every network is sampled with dropout on layer 1 alone, at both rates, those trained with dropout on all layers too, so that
    all rows of a rate compare. The networks of one seed and width share their initial weights, which are the untrained
    network, and their masks.
    """

    name = "figure3"
    title = "Figure 3"
    question = "Does the spread of sampled logits fall with width as clusters would have it, and only after dropout?"
    section = "4.3.2"
    version = 2

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every training and width for every seed (quick: 5 at most), the widest first so that no core idles at the end."""
        return [
            RunSpec(
                hidden=(width, *UPPER),
                dropout=dropout,
                recipe=settings.recipe,
                seed=seed,
                examples=64_000 if settings.quick else 320_000,
                precision=settings.precision,
            )
            for width in sorted(QUICK_WIDTHS if settings.quick else WIDTHS, reverse=True)
            for seed in range(min(settings.seeds, QUICK_SEEDS) if settings.quick else settings.seeds)
            for dropout in TRAININGS.values()
        ]

    def group(self, spec: RunSpec) -> Hashable:
        """The trainings of one seed and width."""
        return spec.seed, spec.hidden

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a training and sampled rate, and the same of the untrained network where the one trained without dropout is.

        ``mstd`` is in logit units, and ``relative_mstd`` is it over the standard deviation of the scaled network's ten logits
        (divisor 10), averaged over the same images. ``clusters`` and ``clusters_outgoing`` are the clusters found in layer 1
        by incoming and by outgoing weights (see `clusters_found`), ``adjusted_rand`` the agreement of the two clusterings at
        ``clusters``: NaN where that is 1, for a single cluster has nothing to agree on.
        """
        named = {dropout: name for name, dropout in TRAININGS.items()}
        rows = []
        for network in networks:
            name = named[spec_of(network).dropout]
            rows += _rows(network, name, data, settings)
            if name == "none":
                rows += _rows(_untrained(spec_of(network)), UNTRAINED, data, settings)
        return pd.DataFrame(rows)


def _untrained(spec: RunSpec) -> Network:
    import torch

    from dropclust.core.network import Network
    from dropclust.core.training import initial_weights

    weights = initial_weights(spec)
    return Network(weights, [torch.zeros(weight.shape[1]) for weight in weights], spec)


def _rows(network: Network, trained: str, data: Data, settings: Settings) -> list[dict[str, object]]:
    from dropclust.core import clustering, similarity
    from dropclust.core.prediction import mstd, scaled_logits

    seed, n_masks = spec_of(network).seed, QUICK_MASKS if settings.quick else MASKS
    images = data.test_x[:IMAGES]
    spread = float(scaled_logits(network, images).std(1, correction=0).mean())
    incoming = clustering.incoming(network.weights, network.biases, 1)
    outgoing = clustering.outgoing(network.weights, 1)
    clusters = clusters_found(incoming, seed)
    agreement = (
        similarity.adjusted_rand(clustering.cluster(incoming, clusters, seed), clustering.cluster(outgoing, clusters, seed))
        if clusters > 1
        else math.nan
    )
    rows: list[dict[str, object]] = []
    found: dict[str, object] = {
        "clusters": clusters,
        "clusters_outgoing": clusters_found(outgoing, seed),
        "adjusted_rand": agreement,
    }
    for rate in SAMPLED_RATES:
        spread_of_masks = mstd(network, images, n_masks, seed, (rate, 0.0, 0.0))
        rows.append(
            {
                "recipe": settings.recipe,
                "seed": seed,
                "h": network.hidden[0],
                "trained": trained,
                "rate": rate,
                "mstd": spread_of_masks,
                "relative_mstd": spread_of_masks / spread,
                **found,
            }
        )
    return rows


def clusters_found(vectors: Floats, seed: int = 0) -> int:
    """Clusters among a layer's neurons by the held-out choice of `clustering.choose_k`, of 1, 2, 4, 8 and so on.

    One cluster explains nothing of held-out weights: score 0. The search goes up and ends at the first number that is no
    better than the best so far; up to `FEW`, where a dip was seen once, at the second in a row. Large numbers cost the most:
    going on to a second miss everywhere costs half as much again, and gave the same number in all of 208 layers tried, of 25
    to 1,600 neurons.

    Parameters
    ----------
    vectors
        A row a neuron, ``[h, d]``.
    seed
        Decides the folds and the starts of k-means.
    """
    from dropclust.core import clustering

    best, score, misses, k = 1, 0.0, 0, 2
    # A fifth of the neurons is held out, and there cannot be more clusters than neurons left.
    while k <= 4 * len(vectors) // 5 and misses < (2 if k <= 2 * FEW else 1):  # the last number tried was half of k
        reached = clustering.choose_k(vectors, [k], seed=seed).scores[k]
        if reached > score:  # never for NaN, of neurons that are all equal
            best, score, misses = k, reached, 0
        else:
            misses += 1
        k *= 2
    return best


EXPERIMENT = Figure3()
run = EXPERIMENT.run
