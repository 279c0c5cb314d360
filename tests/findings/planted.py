"""Results with planted answers, which the tests of findings, figures and pages share."""

import dataclasses
import math

import numpy as np
import pandas as pd

from dropclust.core.convergence import MASKS, Estimate, Settling
from dropclust.core.spec import NOISES
from dropclust.core.uncertainty import Reading

SEEDS = 5
# Sampled - scaled in percentage points by rate, seed by seed: clearly better, clearly worse, equal, undecided, zero.
PLANTED = {
    0.0: (0.0,) * SEEDS,
    0.2: (0.5, 0.6, 0.7, 0.6, 0.6),
    0.4: (-0.04, -0.03, -0.02, -0.03, -0.03),
    0.6: (3.0, -3.0, 2.0, -2.0, 0.5),
}


def figure1_table(differences=PLANTED, noises=tuple(NOISES)) -> pd.DataFrame:
    """Scaled is 0.9 + seed / 100; one mask is a tenth of the rate below it; cross-entropy grows with the rate."""
    rows = []
    for noise in noises:
        for rate, by_seed in differences.items():
            for seed, difference in enumerate(by_seed):
                scaled = 0.9 + seed / 100
                common = {"recipe": "modern", "seed": seed, "dropout": rate, "noise": noise}
                rows += [
                    common | {"prediction": "train", "accuracy": scaled - rate / 10},
                    common
                    | {
                        "prediction": "scaled",
                        "accuracy": scaled,
                        "cross_entropy": 0.1 + rate,
                        "brier": 0.2,
                        "calibration_error": 0.02,
                    },
                    common
                    | {
                        "prediction": "sampled",
                        "accuracy": scaled + difference / 100,
                        "cross_entropy": 0.1 + rate - difference / 10,
                        "brier": 0.2 - difference / 100,
                        "calibration_error": 0.02 + difference / 100,
                    },
                ]
    return pd.DataFrame(rows)


def settling(exact: bool) -> Settling:
    """Numbers chosen by hand: the estimate of 100 masks lies inside its band, that of 10 outside."""
    n = len(MASKS)
    error = tuple(1 / math.sqrt(masks) for masks in MASKS)
    values = tuple(2.5 if masks == 10 else 2.1 if masks == 100 else 2.0 for masks in MASKS)
    line = Estimate(values, (2.0,) * n, error, 2.0, 0.0 if exact else 0.02)
    worse = Estimate((0.5,) * n, (0.4, *(0.6,) * (n - 1)), (0.01,) * n, 0.6, 0.0)
    mstd = dataclasses.replace(line, values=(math.nan, *values[1:]))
    gap = tuple(0.5 / math.sqrt(masks) for masks in MASKS)
    return Settling(
        exact, 20, 7, 8, (0.0,) * 784, line, mstd, worse, 0.61, (0.5,) * n, (0.1,) * n,
        gap if exact else tuple(0.1 + each for each in gap), gap, (0.3,) * n, 1.0, 2.2,
    )  # fmt: skip


def reading_of(masks, scaled) -> Reading:
    """The reading where the masks' probabilities of classes 0 and 1, and the scaled network's, are these."""

    def whole(p):
        return np.array([*p, *[(1 - sum(p)) / 8] * 8])

    def entropy(p):
        return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)

    probs = np.stack([whole(p) for p in masks])
    mean, geometric = probs.mean(0), np.exp(np.log(np.maximum(probs, 1e-30)).mean(0))
    votes = np.eye(10)[probs.argmax(1)].mean(0)
    rows = (whole(scaled), geometric / geometric.sum(), mean, votes, np.sqrt(votes * (1 - votes) / len(masks)))
    total = float(entropy(mean))
    return Reading(*(tuple(row.tolist()) for row in rows), total, total - float(entropy(probs).mean()), len(masks))
