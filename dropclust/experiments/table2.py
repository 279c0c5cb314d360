"""Table 2: the clusterings of neurons by incoming and by outgoing weights, and how far they agree as dropout grows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments.experiment import Experiment, Settings, spec_of

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = tuple(round(0.05 * step, 2) for step in range(19))  # 0 to 0.9
QUICK_RATES = (0.0, 0.2, 0.4, 0.6, 0.8)  # the paper's
CLUSTERS = (5, 10, 20, 40)
LAYERS = (1, 2, 3)
HIDDEN = (100, 100, 100)
# At 0.8 three layers of 100 no longer learn, so that what the paper reports there is seen in a wider network too.
WIDE_HIDDEN = (500, 500, 500)
WIDE_RATES = QUICK_RATES
SHOWN_SEED = 0  # the seed whose networks are kept, for their neurons to be looked at
SAMPLES = 100


def shown_spec(rate: float, recipe: str = "modern", seed: int = SHOWN_SEED) -> RunSpec:
    """The network of a rate; that of the default seed is kept."""
    return RunSpec(hidden=HIDDEN, dropout=(rate, rate, rate), recipe=recipe, seed=seed)


class Table2(Experiment):
    """Rand index between the two clusterings, with what chance gives, by rate, layer and number of clusters."""

    name = "table2"
    title = "Table 2"
    question = "Do hidden neurons become copies of each other as the dropout rate grows?"
    section = "4.3.1"
    masks = (SAMPLES, SAMPLES)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every rate for every seed: nets of one seed share initial weights, images and draws."""
        shapes = {HIDDEN: QUICK_RATES} if settings.quick else {HIDDEN: RATES, WIDE_HIDDEN: WIDE_RATES}
        return [
            RunSpec(
                hidden=hidden,
                dropout=(rate, rate, rate),
                recipe=settings.recipe,
                seed=seed,
                examples=64_000 if settings.quick else 320_000,
                precision="float32" if hidden == HIDDEN else settings.precision,  # the shown ones in the reference
            )
            for hidden, rates in shapes.items()
            for seed in range(settings.seeds)
            for rate in rates
        ]

    def group(self, spec: RunSpec) -> Hashable:
        """The rates of one seed and width."""
        return spec.hidden, spec.seed

    def kept(self, settings: Settings) -> frozenset[str]:
        """The networks of one seed and the paper's width, unless quick."""
        if settings.quick:
            return frozenset()
        return frozenset(shown_spec(rate, settings.recipe).key for rate in RATES)

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a network, layer and number of clusters."""
        from dropclust.core import similarity
        from dropclust.core.metrics import accuracy
        from dropclust.core.prediction import hidden_activations, sample, scaled_logits

        rows = []
        for network in networks:
            spec = spec_of(network)
            scaled = accuracy(scaled_logits(network, data.test_x), data.test_y)
            sampled = accuracy(sample(network, data.test_x, SAMPLES).log_probs, data.test_y)
            activations = [a.numpy() for a in hidden_activations(network, data.held_x)]
            for layer in LAYERS:
                activation = activations[layer - 1]  # [5000, h]
                dead = similarity.dead(activation)
                for k in CLUSTERS:
                    found = similarity.neuron_similarity(network, layer, k, seed=spec.seed)
                    living = _living(network, layer, k, dead, spec.seed)
                    within, across = similarity.activation_correlation(activation, found.incoming_labels)
                    rows.append(
                        {
                            "recipe": settings.recipe,
                            "width": network.hidden[layer - 1],
                            "seed": spec.seed,
                            "dropout": spec.dropout[layer - 1],
                            "layer": layer,
                            "k": k,
                            "rand": found.rand,
                            "chance_rand": found.chance_rand,
                            "chance_low": found.chance_low,
                            "chance_high": found.chance_high,
                            "chance_rand_num": found.chance_rand_num,
                            "adjusted_rand": found.adjusted_rand,
                            "adjusted_mutual_info": found.adjusted_mutual_info,
                            "element_centric": found.element_centric,
                            "p_value": found.p_value,
                            "dead": int(dead.sum()),
                            "adjusted_rand_living": living,
                            "correlation_within": within,
                            "correlation_across": across,
                            "scaled_accuracy": scaled,
                            "sampled_accuracy": sampled,
                        }
                    )
        return pd.DataFrame(rows)

    def details(self, networks: Sequence[Network], data: Data, settings: Settings) -> dict[str, pd.DataFrame]:
        """The clusters of every neuron of the kept networks, for the picture: a row a rate, layer, k and neuron."""
        keys = self.kept(settings)
        frames = []
        for network in networks:
            spec = spec_of(network)
            if spec.key not in keys:
                continue
            frames += [neurons(network, data, layer, k) for layer in LAYERS for k in CLUSTERS]
        return {"table2-neurons": pd.concat(frames, ignore_index=True)} if frames else {}


def neurons(network: Network, data: Data, layer: int, k: int) -> pd.DataFrame:
    """The clusters of a layer's neurons, a row a neuron, and which of them never fire on the held-out images."""
    from dropclust.core import similarity
    from dropclust.core.prediction import hidden_activations

    spec = spec_of(network)
    dead = similarity.dead(hidden_activations(network, data.held_x)[layer - 1].numpy())
    found = similarity.neuron_similarity(network, layer, k, seed=spec.seed)
    return pd.DataFrame(
        {
            "dropout": spec.dropout[layer - 1],
            "layer": layer,
            "k": k,
            "neuron": range(len(dead)),
            "incoming": found.incoming_labels,
            "outgoing": found.outgoing_labels,
            "agree": similarity.agreement(found.incoming_labels, found.outgoing_labels).astype(int),
            "dead": dead.astype(int),
        }
    )


def _living(network: Network, layer: int, k: int, dead, seed: int) -> float:  # type: ignore[no-untyped-def]
    """Adjusted Rand of the neurons that ever fire, clustered anew; NaN when fewer than k are left."""
    from dropclust.core import similarity

    alive = ~dead
    if alive.sum() < max(k, 2):
        return float("nan")
    incoming = similarity.incoming(network.weights, network.biases, layer)[alive]
    outgoing = similarity.outgoing(network.weights, layer)[alive]
    return similarity.adjusted_rand(similarity.cluster(incoming, k, seed), similarity.cluster(outgoing, k, seed))


EXPERIMENT = Table2()
run = EXPERIMENT.run
