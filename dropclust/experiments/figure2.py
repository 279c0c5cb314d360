"""Figure 2: how far models trained on different images differ, against the rate, scaled and sampled."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments.experiment import Experiment, Settings, spec_of

if TYPE_CHECKING:
    from torch import Tensor

    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)
QUICK_RATES = (0.0, 0.4)
LAYERS = {"3": (0, 0, 1), "2 and 3": (0, 1, 1)}  # which hidden layers are dropped
PREDICTIONS = ("scaled", "sampled")
TRAIN_SIZE = 10_000  # images of each model, as in the paper
MODELS = 10  # the paper's; here every seed is a model
SAMPLES = 100
QUICK_SAMPLES = 20
SILENT = next(iter(NOISES))  # the noise that a network without any is said to have


class Figure2(Experiment):
    """Model variance and cross-entropy of models that each saw 10,000 images of their own (paper 4.2).

    A group is one setting with all its seeds: its models. A row's ``model_variance`` is the seed's jackknife pseudo-value, so
    that the mean over rows is the unbiased estimate of what the paper's formula gives for ten models on average, and the
    Student t interval over rows is the jackknife's (Tukey 1958; Efron and Stein 1981); differences of settings pair by seed.
    """

    name = "figure2"
    title = "Figure 2"
    question = "Does dropout make models trained on different images agree, and sampling more than scaling?"
    section = "4.2"
    masks = (SAMPLES, QUICK_SAMPLES)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every rate, noise and place of the noise, for every seed; without dropout they are one network."""
        return [
            RunSpec(
                dropout=(rate * mask[0], rate * mask[1], rate * mask[2]),
                noise=noise,
                recipe=settings.recipe,
                seed=seed,
                train_size=TRAIN_SIZE,
                examples=64_000 if settings.quick else 320_000,
                precision=settings.precision,
            )
            for rate in (QUICK_RATES if settings.quick else RATES)
            for noise in (NOISES if rate else (SILENT,))
            for mask in (LAYERS.values() if rate else [LAYERS["3"]])
            for seed in range(settings.seeds)
        ]

    def group(self, spec: RunSpec) -> Hashable:
        """All models of one setting."""
        return spec.dropout, spec.noise

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a model and way to predict; models without dropout have rows for every noise and place.

        ``mask_variance`` is the mean over images and logits of the variance over masks. The Monte Carlo error of the mean over
        masks adds 9/10 of it, divided by the number of masks, to the sampled ``model_variance``, on average. Model variance is
        NaN where there are fewer than three models.
        """
        import torch

        from dropclust.core import metrics
        from dropclust.core.prediction import sample, scaled_logits

        n_samples = QUICK_SAMPLES if settings.quick else SAMPLES
        specs = [spec_of(network) for network in networks]
        # Masks of its own for each model: shared ones would move all models together, and hide their Monte Carlo error.
        sampled = [
            sample(network, data.test_x, n_samples, seed=spec.seed) for network, spec in zip(networks, specs, strict=True)
        ]
        scaled = torch.stack([scaled_logits(network, data.test_x) for network in networks])  # [models, n, 10]
        logits = {"scaled": scaled, "sampled": torch.stack([each.logit_mean for each in sampled])}
        probs = {"scaled": scaled.softmax(2), "sampled": torch.stack([each.mean_probs for each in sampled])}
        log_probs = {"scaled": scaled.log_softmax(2), "sampled": torch.stack([each.log_probs for each in sampled])}
        rate = max(specs[0].dropout)
        layers = next(name for name, mask in LAYERS.items() if not rate or specs[0].dropout == tuple(rate * m for m in mask))
        rows = []
        for prediction in PREDICTIONS:
            of_logits, of_probs = (variance_shares(each[prediction]) for each in (logits, probs))
            for number, spec in enumerate(specs):
                predicted = log_probs[prediction][number]
                rows += [
                    {
                        "recipe": settings.recipe,
                        "seed": spec.seed,
                        "dropout": rate,
                        "noise": noise,
                        "layers": place,
                        "prediction": prediction,
                        "accuracy": metrics.accuracy(predicted, data.test_y),
                        "cross_entropy": metrics.cross_entropy(predicted, data.test_y),
                        "model_variance": of_logits[number],
                        "model_variance_probs": of_probs[number],
                        "mask_variance": sampled[number].logit_std.square().mean().item(),
                    }
                    for noise in ((spec.noise,) if rate else NOISES)
                    for place in ((layers,) if rate else LAYERS)
                ]
        return pd.DataFrame(rows)


def variance_shares(predictions: Tensor) -> list[float]:
    """Jackknife pseudo-values of the model variance of paper 4.2 for ten models, one a model.

    The variance over m models with divisor m - 1 is unbiased, and the paper's, with divisor 10 over ten models, is 9/10 of it
    on average: V = 9/10 of the unbiased. Model i's pseudo-value is m V - (m - 1) V without i; their mean is V exactly.

    Parameters
    ----------
    predictions
        ``[models, n, outputs]``; with fewer than three models, one of which cannot be left out, all are NaN.
    """
    models = len(predictions)
    if models < 3:
        return [float("nan")] * models
    squares = (predictions.double() - predictions.double().mean(0)).square().mean((1, 2))  # [models]
    total = squares.sum()
    # The sum of squares about the mean of the others is less by model i's own, times m / (m - 1).
    without = (total - squares * models / (models - 1)) / (models - 2)
    pseudo = models * total / (models - 1) - (models - 1) * without
    shares: list[float] = ((MODELS - 1) / MODELS * pseudo).tolist()
    return shares


EXPERIMENT = Figure2()
run = EXPERIMENT.run
