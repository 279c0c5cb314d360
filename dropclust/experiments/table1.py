"""Table 1: accuracy against the batch size at a constant number of examples, with and without dropout."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments import paper
from dropclust.experiments.experiment import Experiment, Settings, spec_of

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = tuple(sorted(paper.TABLE_1))  # 0 and 0.4
BATCHES = tuple(paper.TABLE_1[0.4])  # 16 to 512
QUICK_BATCHES = (32, 128, 512)
PREDICTIONS = ("scaled", "sampled")
SAMPLES = 200  # the paper's
QUICK_SAMPLES = 50


class Table1(Experiment):
    """Test accuracy by batch size, paired by seed: the nets of one seed share initial weights and images (paper 4.1.2)."""

    name = "table1"
    title = "Table 1"
    question = "Does a larger batch help more where dropout is on?"
    section = "4.1.2"
    masks = (SAMPLES, QUICK_SAMPLES)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every batch size, with and without dropout, for every seed; each sees as many examples as the others."""
        return [
            RunSpec(
                dropout=(rate, rate, rate),
                batch_size=batch,
                recipe=settings.recipe,
                seed=seed,
                examples=64_000 if settings.quick else 320_000,
                precision=settings.precision,
            )
            for seed in range(settings.seeds)
            for batch in (QUICK_BATCHES if settings.quick else BATCHES)
            for rate in RATES
        ]

    def group(self, spec: RunSpec) -> Hashable:
        """Five seeds of one batch size: a stack takes equal batches, and small ones want many nets a step."""
        return spec.batch_size, spec.seed // 5

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a network and way to predict."""
        from dropclust.core import metrics
        from dropclust.core.prediction import sample, scaled_logits

        rows = []
        for network in networks:
            spec = spec_of(network)
            sampled = sample(network, data.test_x, QUICK_SAMPLES if settings.quick else SAMPLES).log_probs
            for prediction, logits in zip(PREDICTIONS, (scaled_logits(network, data.test_x), sampled), strict=True):
                rows.append(
                    {
                        "recipe": settings.recipe,
                        "seed": spec.seed,
                        "dropout": spec.dropout[0],
                        "batch_size": spec.batch_size,
                        "steps": spec.steps,
                        "prediction": prediction,
                        "accuracy": metrics.accuracy(logits, data.test_y),
                        "cross_entropy": metrics.cross_entropy(logits, data.test_y),
                    }
                )
        return pd.DataFrame(rows)


EXPERIMENT = Table1()
run = EXPERIMENT.run
