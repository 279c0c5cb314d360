"""Table 2: the clusterings of neurons by incoming and by outgoing weights, and how far they agree as dropout grows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.intervals import slopes
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper
from dropclust.experiments.claim import Choice, Claim, Control, Rule, Tables
from dropclust.experiments.experiment import Experiment, Settings, spec_of
from dropclust.experiments.pairing import by_seed_and, settings_of

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
# The paper does not say how it clustered. These are ways it may have: starts of k-means, None for Ward's linkage.
KINDS = {"k-means, 1 start": 1, "k-means, 4 starts": 4, "k-means, 30 starts": 30, "Ward's linkage": None}
KINDS_K = 10


def shown_spec(rate: float, recipe: str = "modern", seed: int = SHOWN_SEED) -> RunSpec:
    """The network of a rate; that of the default seed is kept."""
    return RunSpec(hidden=HIDDEN, dropout=(rate, rate, rate), recipe=recipe, seed=seed)


# ---- what the paper claims ---------------------------------------------------------------------------------------------

CLAIM_LAYER, CLAIM_CLUSTERS = 1, 10  # the paper names neither; all others are its choices
LEARNING_RATES = (0.2, 0.4, 0.6)  # the paper's at which three layers of 100 still learn under both recipes


def _index(tables: Tables, column: str, layer: int, k: int, width: int) -> pd.DataFrame:
    """A column of Table 2 ``[seeds, rates]``."""
    return by_seed_and(tables["table2"], column, "dropout", layer=layer, k=k, width=width)


def rise(
    tables: Tables, column: str = "rand", layer: int = CLAIM_LAYER, k: int = CLAIM_CLUSTERS, width: int = HIDDEN[0]
) -> pd.Series[float]:
    """Rise of an index from rate 0 to 0.8, along the straight line through the paper's rates."""
    wide = _index(tables, column, layer, k, width)
    rates = [rate for rate in settings_of(wide) if rate in paper.TABLE_2]
    return pd.Series((max(rates) - min(rates)) * slopes(rates, wide[rates].to_numpy(dtype=float)), index=wide.index)


def excess(
    tables: Tables,
    column: str = "adjusted_rand",
    layer: int = CLAIM_LAYER,
    k: int = CLAIM_CLUSTERS,
    width: int = HIDDEN[0],
) -> pd.Series[float]:
    """An index with dropout, mean over `LEARNING_RATES`, less the same without dropout."""
    wide = _index(tables, column, layer, k, width)
    return wide[list(LEARNING_RATES)].mean(axis=1) - wide[0.0]


def linkage_excess(tables: Tables, kind: str, layer: int = CLAIM_LAYER) -> pd.Series[float]:
    """The excess of the adjusted Rand index by another kind of clustering."""
    wide = by_seed_and(tables["table2-linkage"], "adjusted_rand", "dropout", layer=layer, kind=kind)
    return wide[list(LEARNING_RATES)].mean(axis=1) - wide[0.0]


def inequality(tables: Tables, layer: int = CLAIM_LAYER) -> pd.Series[float]:
    """How far the nearest neuron's incoming weights are from equal: its cosine less 1, at the highest learning rate."""
    return _index(tables, "nearest_cosine", layer, CLAIM_CLUSTERS, HIDDEN[0])[max(LEARNING_RATES)] - 1


def _elsewhere(statistic: Callable[..., pd.Series[float]], **fixed: object) -> tuple[Choice, ...]:
    """Every other number of clusters and layer, one at a time, and the wider network."""
    others = [(f"{k} clusters", {"k": k}) for k in CLUSTERS if k != CLAIM_CLUSTERS]
    others += [(f"layer {layer}", {"layer": layer}) for layer in LAYERS if layer != CLAIM_LAYER]
    others.append((f"{WIDE_HIDDEN[0]} units", {"width": WIDE_HIDDEN[0]}))
    return tuple(Choice(name, partial(statistic, **fixed, **changed)) for name, changed in others)


CLAIMS = (
    Claim(
        "table2.rand-rises",
        "section 4.3.1, Table 2",
        "The Rand index of the two clusterings rises with the dropout rate.",
        rise,
        "",
        0.05,
        "A change in the balance of cluster sizes alone moves the Rand index by up to .2; a quarter of that is nothing.",
        Rule.MORE,
        f"rise from rate 0 to {max(paper.TABLE_2):g} along the fitted line",
        digits=3,
        control=Control("clusterings with permuted labels", partial(rise, column="chance_rand")),
        choices=_elsewhere(rise),
    ),
    Claim(
        "table2.corrected-rises",
        "section 4.3.1, Table 2, with chance taken out",
        "With chance taken out, the two clusterings agree more with dropout than without.",
        excess,
        "",
        0.05,
        "Two or three neurons of a hundred that change their cluster move the index by so much.",
        Rule.MORE,
        f"adjusted Rand index at rates {LEARNING_RATES[0]:g} to {LEARNING_RATES[-1]:g} less the index without dropout",
        digits=3,
        choices=(
            *_elsewhere(excess),
            Choice("neurons that are ever active", partial(excess, column="adjusted_rand_living")),
            Choice("adjusted mutual information", partial(excess, column="adjusted_mutual_info")),
            *(Choice(kind, partial(linkage_excess, kind=kind)) for kind in KINDS),
        ),
    ),
    Claim(
        "table2.twins-rise",
        "ours, from section 4.3",
        "Neurons act alike after dropout: more living neurons have a twin than without dropout.",
        partial(excess, column="twins", layer=2),
        "of the living neurons",
        0.05,
        "One neuron in twenty is what a viewer could count.",
        Rule.MORE,
        f"share with a twin in layer 2 at rates {LEARNING_RATES[0]:g} to {LEARNING_RATES[-1]:g} less the share without dropout",
        digits=3,
        choices=(
            Choice("layer 1", partial(excess, column="twins", layer=1)),
            Choice("layer 3", partial(excess, column="twins", layer=3)),
            Choice("correlation above .8", partial(excess, column="twins_80", layer=2)),
            Choice("correlation above .95", partial(excess, column="twins_95", layer=2)),
            Choice(f"{WIDE_HIDDEN[0]} units", partial(excess, column="twins", layer=2, width=WIDE_HIDDEN[0])),
        ),
    ),
    Claim(
        "table2.copies-equal",
        "section 4.3, replicating similar nodes",
        "The similar neurons are copies: the nearest neuron has the same incoming weights.",
        inequality,
        "",
        0.1,
        "Weights of cosine .9 and above would be called equal by eye.",
        Rule.EQUAL,
        f"median cosine with the nearest neuron at rate {max(LEARNING_RATES):g} less 1",
        digits=3,
        choices=tuple(Choice(f"layer {layer}", partial(inequality, layer=layer)) for layer in LAYERS if layer != CLAIM_LAYER),
    ),
)


class Table2(Experiment):
    """Rand index between the two clusterings, with what chance gives, by rate, layer and number of clusters."""

    name = "table2"
    title = "Table 2"
    question = "Do hidden neurons become alike as the dropout rate grows?"
    section = "4.3.1"
    claims = CLAIMS
    on_device = True
    version = 2
    masks = (SAMPLES, SAMPLES)

    @property
    def judged_tables(self) -> tuple[str, ...]:
        """Names of the tables that the claims read."""
        return self.name, "table2-linkage"

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every rate for every seed: nets of one seed share initial weights, images and draws."""
        shapes = {HIDDEN: QUICK_RATES} if settings.quick else {HIDDEN: RATES, WIDE_HIDDEN: WIDE_RATES}
        return [
            RunSpec(
                hidden=hidden,
                dropout=(rate, rate, rate),
                recipe=settings.recipe,
                seed=seed,
                examples=settings.examples,
                precision="float32" if hidden == HIDDEN else settings.precision,  # the shown ones in the reference
            )
            for hidden, rates in shapes.items()
            for seed in settings.seed_range
            for rate in rates
        ]

    def measuring(self, spec: RunSpec, settings: Settings) -> float:
        """Seconds of a core: almost all of them go to clustering."""
        del settings
        return spec.hidden[0] / 150

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
        from dropclust.core import clustering, similarity
        from dropclust.core.metrics import accuracy
        from dropclust.core.prediction import hidden_activations, sample, scaled_logits
        from dropclust.core.twins import activation_correlation, effective_rank, nearest_cosine, twins_of

        rows = []
        for network in networks:
            spec = spec_of(network)
            scaled = accuracy(scaled_logits(network, data.test_x), data.test_y)
            sampled = accuracy(sample(network, data.test_x, SAMPLES).log_probs, data.test_y)
            activations = [a.cpu().numpy() for a in hidden_activations(network, data.held_x)]
            for layer in LAYERS:
                activation = activations[layer - 1]  # [5000, h]
                twins = twins_of(activation)
                dead = twins.dead
                alive = clustering.incoming(network.weights, network.biases, layer)[~dead]  # [living, in]
                cosine = nearest_cosine(alive) if len(alive) else float("nan")
                rank = effective_rank(activation)
                for k in CLUSTERS:
                    found = similarity.neuron_similarity(network, layer, k, seed=spec.seed)
                    # Where no neuron is dead the living ones are all, which were clustered already.
                    living = _living(network, layer, k, dead, spec.seed) if dead.any() else found.adjusted_rand
                    within, across = activation_correlation(activation, found.incoming_labels)
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
                            "twins": twins.share,
                            "twins_80": twins.share_above(0.8),
                            "twins_95": twins.share_above(0.95),
                            "nearest_cosine": cosine,
                            "effective_rank": rank,
                            "scaled_accuracy": scaled,
                            "sampled_accuracy": sampled,
                        }
                    )
        return pd.DataFrame(rows)

    def details(self, networks: Sequence[Network], data: Data, settings: Settings) -> dict[str, pd.DataFrame]:
        """Clusters and twins of every neuron of the kept networks, and what other ways to cluster find at the paper's rates."""
        keys = self.kept(settings)
        shown = [neurons(network, data, layer, k) for network in networks if spec_of(network).key in keys for layer, k in _GRID]
        frames = {
            "table2-neurons": shown,
            "table2-linkage": [linkage(network, settings.recipe) for network in networks if _at_papers_rate(network)],
        }
        return {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items() if parts}


_GRID = [(layer, k) for layer in LAYERS for k in CLUSTERS]


def _at_papers_rate(network: Network) -> bool:
    return network.hidden == HIDDEN and spec_of(network).dropout[0] in QUICK_RATES


def linkage(network: Network, recipe: str) -> pd.DataFrame:
    """How far the two clusterings agree when neurons are clustered in other ways: a row a layer and kind of clustering."""
    from dropclust.core import clustering, similarity

    spec, rows = spec_of(network), []
    for layer in LAYERS:
        sides = clustering.incoming(network.weights, network.biases, layer), clustering.outgoing(network.weights, layer)
        for kind, starts in KINDS.items():
            how = {"method": "ward"} if starts is None else {"n_init": starts}
            labels = [clustering.cluster(side, KINDS_K, spec.seed, **how) for side in sides]
            rows.append(
                {
                    "recipe": recipe,
                    "width": network.hidden[layer - 1],
                    "seed": spec.seed,
                    "dropout": spec.dropout[layer - 1],
                    "layer": layer,
                    "k": KINDS_K,
                    "kind": kind,
                    "adjusted_rand": similarity.adjusted_rand(*labels),
                }
            )
    return pd.DataFrame(rows)


def neurons(network: Network, data: Data, layer: int, k: int) -> pd.DataFrame:
    """Clusters and twin of a layer's neurons, a row a neuron, and which of them never fire on the held-out images.

    ``twin`` is the number of the living neuron whose activations correlate most with its own, -1 when that is not above .9;
    ``twin_correlation`` is that correlation, NaN for a dead neuron.
    """
    import numpy as np

    from dropclust.core import similarity
    from dropclust.core.prediction import hidden_activations
    from dropclust.core.twins import twins_of

    spec = spec_of(network)
    twins = twins_of(hidden_activations(network, data.held_x)[layer - 1])
    dead = twins.dead
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
            "twin": np.where(twins.correlation > twins.threshold, twins.nearest, -1),
            "twin_correlation": twins.correlation.round(6),
        }
    )


def _living(network: Network, layer: int, k: int, dead, seed: int) -> float:  # type: ignore[no-untyped-def]
    """Adjusted Rand of the neurons that ever fire, clustered anew; NaN when fewer than k are left."""
    from dropclust.core import clustering, similarity

    alive = ~dead
    if alive.sum() < max(k, 2):
        return float("nan")
    incoming = clustering.incoming(network.weights, network.biases, layer)[alive]
    outgoing = clustering.outgoing(network.weights, layer)[alive]
    return similarity.adjusted_rand(clustering.cluster(incoming, k, seed), clustering.cluster(outgoing, k, seed))


EXPERIMENT = Table2()
run = EXPERIMENT.run
