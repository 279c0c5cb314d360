"""Table 1: accuracy against the batch size at a constant number of examples, with and without dropout."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dropclust.core.intervals import slopes
from dropclust.core.spec import RunSpec
from dropclust.experiments import paper
from dropclust.experiments.claim import Choice, Claim, Rule, Tables
from dropclust.experiments.experiment import Experiment, Settings, spec_of
from dropclust.experiments.pairing import by_seed_and

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = tuple(sorted(paper.TABLE_1))  # 0 and 0.4
BATCHES = tuple(paper.TABLE_1[0.4])  # 16 to 512
QUICK_BATCHES = (32, 128, 512)
PREDICTIONS = ("scaled", "sampled")
SAMPLES = 200  # the paper's
QUICK_SAMPLES = 50


# ---- what the paper claims ---------------------------------------------------------------------------------------------

OFF, ON = RATES
DEFAULT_PREDICTION = "sampled"  # the paper's Table 1 (c) names 200 samples


def _accuracies(tables: Tables, rate: float, prediction: str) -> pd.DataFrame:
    """Test accuracy in percent ``[seeds, batch sizes]``."""
    return 100 * by_seed_and(tables["table1"], "accuracy", "batch_size", dropout=rate, prediction=prediction)


def slope(tables: Tables, rate: float, prediction: str = DEFAULT_PREDICTION) -> pd.Series[float]:
    """Least-squares change of accuracy, in percentage points for every doubling of the batch."""
    wide = _accuracies(tables, rate, prediction)
    return pd.Series(slopes(np.log2(wide.columns.to_numpy(dtype=float)), wide.to_numpy()), index=wide.index)


def slope_difference(tables: Tables, prediction: str = DEFAULT_PREDICTION) -> pd.Series[float]:
    """Slope with dropout less slope without, paired by seed."""
    return slope(tables, ON, prediction) - slope(tables, OFF, prediction)


def level_difference(tables: Tables, rate: float, prediction: str = DEFAULT_PREDICTION) -> pd.Series[float]:
    """Our accuracy less the paper's, in percentage points, mean over its batch sizes."""
    wide = _accuracies(tables, rate, prediction)
    return (wide - 100 * pd.Series(paper.TABLE_1[rate]).reindex(wide.columns)).mean(axis=1)


def scatter_difference(tables: Tables, prediction: str = DEFAULT_PREDICTION) -> pd.Series[float]:
    """Scatter of accuracy about its straight line over doublings, with dropout less without, in percentage points."""

    def scatter(rate: float) -> pd.Series[float]:
        wide = _accuracies(tables, rate, prediction)
        doublings = np.log2(wide.columns.to_numpy(dtype=float))
        doublings = doublings - doublings.mean()
        fitted = np.outer(slopes(doublings, wide.to_numpy()), doublings)
        left = wide.sub(wide.mean(axis=1), axis=0) - fitted
        return (left.pow(2).sum(axis=1) / (len(doublings) - 2)).pow(0.5)

    return scatter(ON) - scatter(OFF)


def _scaled(statistic: Callable[..., pd.Series[float]]) -> tuple[Choice, ...]:
    return (Choice("scaled", partial(statistic, prediction="scaled")),)


_SLOPE_REASON = "A tenth of a point a doubling is half a point from a batch of 16 to one of 512."
_LEVEL_REASON = "Two points are less than the paper's own rows of one network scatter by with dropout."
CLAIMS = (
    Claim(
        "table1.level-with-dropout",
        "section 4.1.2, Table 1 (a)",
        f"With dropout {ON:g} the accuracies of the paper's table are reached.",
        partial(level_difference, rate=ON),
        "percentage points",
        2.0,
        _LEVEL_REASON,
        Rule.EQUAL,
        "accuracy here less accuracy in the paper, mean over batch sizes",
        choices=_scaled(partial(level_difference, rate=ON)),
    ),
    Claim(
        "table1.level-without-dropout",
        "section 4.1.2, Table 1 (b)",
        "Without dropout the accuracies of the paper's table are reached.",
        partial(level_difference, rate=OFF),
        "percentage points",
        2.0,
        _LEVEL_REASON,
        Rule.EQUAL,
        "accuracy here less accuracy in the paper, mean over batch sizes",
        choices=_scaled(partial(level_difference, rate=OFF)),
    ),
    Claim(
        "table1.rises-with-dropout",
        "section 4.1.2, Table 1 (a)",
        "With dropout, accuracy rises with the batch size.",
        partial(slope, rate=ON),
        "percentage points a doubling",
        0.1,
        _SLOPE_REASON,
        Rule.MORE,
        "change of accuracy with dropout",
        choices=_scaled(partial(slope, rate=ON)),
    ),
    Claim(
        "table1.rises-without-dropout",
        "section 4.1.2, Table 1 (b)",
        "Without dropout, accuracy rises with the batch size.",
        partial(slope, rate=OFF),
        "percentage points a doubling",
        0.1,
        _SLOPE_REASON,
        Rule.MORE,
        "change of accuracy without dropout",
        choices=_scaled(partial(slope, rate=OFF)),
    ),
    Claim(
        "table1.more-with-dropout",
        "section 4.1.2, Table 1",
        "A larger batch helps more where dropout is on.",
        slope_difference,
        "percentage points a doubling",
        0.1,
        _SLOPE_REASON,
        Rule.MORE,
        "change of accuracy with dropout less the change without",
        choices=_scaled(slope_difference),
    ),
    Claim(
        "table1.fluctuates-more",
        "section 4.1.2, Table 1",
        "From one batch size to the next, accuracy fluctuates more where dropout is on.",
        scatter_difference,
        "percentage points",
        0.5,
        "The paper's row with dropout strays by five points about its line, its row without by half a point.",
        Rule.MORE,
        "scatter about a straight line with dropout less the scatter without",
        choices=_scaled(scatter_difference),
    ),
)


class Table1(Experiment):
    """Test accuracy by batch size, paired by seed: the nets of one seed share initial weights and images (paper 4.1.2)."""

    name = "table1"
    title = "Table 1"
    question = "Does dropout want larger batches?"
    section = "4.1.2"
    claims = CLAIMS
    on_device = True
    masks = (SAMPLES, QUICK_SAMPLES)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every batch size, with and without dropout, for every seed; each sees as many examples as the others."""
        return [
            RunSpec(
                dropout=(rate, rate, rate),
                batch_size=batch,
                recipe=settings.recipe,
                seed=seed,
                examples=settings.examples,
                precision=settings.precision,
            )
            for seed in settings.seed_range
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
