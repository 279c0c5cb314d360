"""Figure 1: accuracy against the dropout rate for each kind of noise, as in training, scaled, and sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments.claim import Choice, Claim, Rule, Tables
from dropclust.experiments.experiment import Experiment, Settings, spec_of
from dropclust.experiments.pairing import by_seed_and, settings_of

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = tuple(round(0.1 * step, 1) for step in range(9))  # 0 to 0.8
QUICK_RATES = (0.0, 0.2, 0.5)
PREDICTIONS = ("train", "scaled", "sampled")
SAMPLES = 100
QUICK_SAMPLES = 20
SILENT = next(iter(NOISES))  # the noise that a network without any is said to have


# ---- what the paper claims ---------------------------------------------------------------------------------------------

HIGH_RATE = 0.5  # the paper's "higher dropout rates", from the upper end of the usual range (section 1) on


def _accuracies(tables: Tables, prediction: str, noise: str) -> pd.DataFrame:
    """Test accuracy in percent ``[seeds, rates above 0]``."""
    wide = by_seed_and(tables["figure1"], "accuracy", "dropout", prediction=prediction, noise=noise)
    return 100 * wide[[rate for rate in settings_of(wide) if rate > 0]]


def gain_over_training(tables: Tables, noise: str = SILENT) -> pd.Series[float]:
    """Percentage points by which the worse of scaling and sampling beats one mask, mean over rates above 0."""
    one_mask, scaled, sampled = (_accuracies(tables, prediction, noise) for prediction in PREDICTIONS)
    return (scaled - one_mask).mean(axis=1).combine((sampled - one_mask).mean(axis=1), min)


def sampling_gain(tables: Tables, low: float = 0.0, high: float = 1.0, noise: str = SILENT) -> pd.Series[float]:
    """Percentage points by which sampling beats scaling, mean over rates above 0 from ``low`` to ``high``, excluded."""
    gains = _accuracies(tables, "sampled", noise) - _accuracies(tables, "scaled", noise)
    return gains[[rate for rate in settings_of(gains) if low <= rate < high]].mean(axis=1)


def gain_at_high_rates(tables: Tables, noise: str = SILENT) -> pd.Series[float]:
    """How much more sampling gains at rates from `HIGH_RATE` on than below, in percentage points."""
    return sampling_gain(tables, low=HIGH_RATE, noise=noise) - sampling_gain(tables, high=HIGH_RATE, noise=noise)


def _by_noise(statistic: Callable[..., pd.Series[float]]) -> tuple[Choice, ...]:
    others = [noise for noise in NOISES if noise != SILENT]
    return tuple(Choice(f"{NOISES[noise].split(' ')[0]} noise", partial(statistic, noise=noise)) for noise in others)


CLAIMS = (
    Claim(
        "figure1.better-than-training",
        "section 4.1.1, Figure 1",
        "At test time, scaled or sampled, a network classifies more images correctly than with one mask as in training.",
        gain_over_training,
        "percentage points",
        0.5,
        "Half a point is 50 of the 10,000 test images: below that nobody would speak of significantly better.",
        Rule.MORE,
        "gain of the worse of the two over one mask, mean over rates",
        choices=_by_noise(gain_over_training),
    ),
    Claim(
        "figure1.sampling-at-least-scaling",
        "section 4.1.1, Figure 1",
        "Sampling predicts at least as well as scaling.",
        sampling_gain,
        "percentage points",
        0.1,
        "A tenth of a point is 10 of the 10,000 test images, less than two trainings of one network differ by.",
        Rule.AT_LEAST,
        "accuracy sampled less accuracy scaled, mean over rates",
        choices=_by_noise(sampling_gain),
    ),
    Claim(
        "figure1.sampling-more-at-high-rates",
        "section 4.1.1, Figure 1",
        f"Sampling gains more over scaling at dropout rates of {HIGH_RATE:g} and above than below.",
        gain_at_high_rates,
        "percentage points",
        0.1,
        "A tenth of a point is 10 of the 10,000 test images, less than two trainings of one network differ by.",
        Rule.MORE,
        "gain at the high rates less gain at the low ones",
        choices=_by_noise(gain_at_high_rates),
    ),
    Claim(
        "figure1.scaling-close",
        "section 3.1, equation 2",
        f"At the usual rates, below {HIGH_RATE:g}, scaling the weights gives what sampling gives.",
        partial(sampling_gain, high=HIGH_RATE),
        "percentage points",
        0.1,
        "A tenth of a point is 10 of the 10,000 test images, less than two trainings of one network differ by.",
        Rule.EQUAL,
        "accuracy sampled less accuracy scaled, mean over the usual rates",
        choices=_by_noise(partial(sampling_gain, high=HIGH_RATE)),
    ),
)


class Figure1(Experiment):
    """Accuracy, cross-entropy, Brier score and calibration of one network under three ways to predict (paper 4.1.1).

    All are measured on the test images, so that nothing but the way to predict differs: "train" keeps the noise on, one mask a
    prediction, as training does; "scaled" replaces every mask by its mean; "sampled" is the renormalised geometric mean over
    masks (paper 3.1).
    """

    name = "figure1"
    title = "Figure 1"
    question = "Does sampling predict better than scaling?"
    section = "4.1.1"
    claims = CLAIMS
    on_device = True
    masks = (SAMPLES, QUICK_SAMPLES)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every rate and noise for every seed; without dropout the noises are one network."""
        rates = QUICK_RATES if settings.quick else RATES
        return [
            RunSpec(
                dropout=(rate, rate, rate),
                noise=noise,
                recipe=settings.recipe,
                seed=seed,
                examples=settings.examples,
                precision=settings.precision,
            )
            for seed in settings.seed_range
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
