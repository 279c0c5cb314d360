"""Figure 1: accuracy against the dropout rate for each kind of noise, as in training, scaled, and sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments.experiment import Experiment, Settings, spec_of

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = tuple(round(0.1 * step, 1) for step in range(9))  # 0 to 0.8
QUICK_RATES = (0.0, 0.2, 0.5)
PREDICTIONS = ("train", "scaled", "sampled")
SAMPLES = 100
QUICK_SAMPLES = 20
SILENT = next(iter(NOISES))  # the noise that a network without any is said to have


class Figure1(Experiment):
    """Accuracy, cross-entropy, Brier score and calibration of one network under three ways to predict (paper 4.1.1).

    All are measured on the test images, so that nothing but the way to predict differs: "train" keeps the noise on, one mask a
    prediction, as training does; "scaled" replaces every mask by its mean; "sampled" is the renormalised geometric mean over
    masks (paper 3.1).
    """

    name = "figure1"
    title = "Figure 1"
    question = "Does sampling predict better than scaling, and for which noise?"
    section = "4.1.1"

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every rate and noise for every seed; without dropout the noises are one network."""
        rates = QUICK_RATES if settings.quick else RATES
        return [
            RunSpec(
                dropout=(rate, rate, rate),
                noise=noise,
                recipe=settings.recipe,
                seed=seed,
                examples=64_000 if settings.quick else 320_000,
                precision=settings.precision,
            )
            for seed in range(settings.seeds)
            for rate in rates
            for noise in (NOISES if rate else (SILENT,))
        ]

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a network and way to predict; a network without dropout has rows for every noise."""
        from dropclust.core import metrics
        from dropclust.core.prediction import sample, scaled_logits

        rows = []
        for network in networks:
            spec = spec_of(network)
            sampled = sample(network, data.test_x, QUICK_SAMPLES if settings.quick else SAMPLES)
            # The share of masks that vote for the true class is the accuracy of one mask, averaged over masks.
            one_mask = sampled.votes.gather(1, data.test_y.unsqueeze(1)).mean().item()
            scores: dict[str, dict[str, float]] = {"train": {"accuracy": one_mask}}
            for prediction, log_probs in (
                ("scaled", scaled_logits(network, data.test_x).log_softmax(1)),
                ("sampled", sampled.log_probs),
            ):
                scores[prediction] = {
                    "accuracy": metrics.accuracy(log_probs, data.test_y),
                    "cross_entropy": metrics.cross_entropy(log_probs, data.test_y),
                    "brier": metrics.brier(log_probs.exp(), data.test_y),
                    "calibration_error": metrics.expected_calibration_error(log_probs.exp(), data.test_y),
                }
            rows += [
                {
                    "recipe": settings.recipe,
                    "seed": spec.seed,
                    "dropout": spec.dropout[0],
                    "noise": noise,
                    "prediction": prediction,
                    **scores[prediction],
                }
                for noise in ((spec.noise,) if spec.dropout[0] else NOISES)
                for prediction in PREDICTIONS
            ]
        return pd.DataFrame(rows)


EXPERIMENT = Figure1()
run = EXPERIMENT.run
