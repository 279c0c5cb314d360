"""Figure 2: how far models trained on different images differ, against the rate, scaled and sampled."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import NOISES, RunSpec
from dropclust.experiments.claim import Choice, Claim, Control, Rule, Tables
from dropclust.experiments.experiment import Experiment, Settings, spec_of
from dropclust.experiments.pairing import by_seed_and, settings_of

if TYPE_CHECKING:
    from torch import Tensor

    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)
QUICK_RATES = (0.0, 0.4)
LAYERS = {"3": (0, 0, 1), "2 and 3": (0, 1, 1)}  # which hidden layers are dropped
PREDICTIONS = ("scaled", "sampled")
ARITHMETIC = "arithmetic"  # mean of the masks' probabilities, a control: section 3.1 takes the geometric one
TRAIN_SIZE = 10_000  # images of each model, as in the paper
MODELS = 10  # the paper's; here every seed is a model
SAMPLES = 100
QUICK_SAMPLES = 20
SILENT = next(iter(NOISES))  # the noise that a network without any is said to have
SOURCES = ("images", "start", "both")  # in what models differ; "start": initial weights, order of the images and noise
SOURCE_RATES = (0.0, 0.4)
QUICK_MODELS = 5  # of each source
MODELS_TABLE, SOURCES_TABLE = "figure2-models", "figure2-sources"


# ---- what the paper claims ---------------------------------------------------------------------------------------------

VANILLA = SILENT
COLUMNS = {"logits": "variance_pseudo_value", "probabilities": "variance_pseudo_value_probs"}
MONTE_CARLO = {"logits": "monte_carlo_variance", "probabilities": "monte_carlo_variance_probs"}


def _variance(tables: Tables, noise: str, place: str, prediction: str, output: str) -> dict[float, pd.Series[float]]:
    """Pseudo-values of the model variance by rate, with the Monte Carlo error of the masks taken out."""
    where = {"noise": noise, "layers": place, "prediction": prediction}
    wide = by_seed_and(tables["figure2"], COLUMNS[output], "dropout", **where)
    if prediction != "scaled":
        wide = wide - (MODELS - 1) / MODELS * by_seed_and(tables["figure2"], MONTE_CARLO[output], "dropout", **where)
    return {rate: wide[rate] for rate in settings_of(wide)}


def _mean(parts: Iterable[pd.Series[float]]) -> pd.Series[float]:
    """Mean over settings, seed by seed; none where there is no setting."""
    parts = list(parts)
    return pd.concat(parts, axis=1, join="inner").mean(axis=1) if parts else pd.Series(dtype=float)


def lower_with_dropout(
    tables: Tables, prediction: str = "sampled", output: str = "logits", places: Sequence[str] = tuple(LAYERS)
) -> pd.Series[float]:
    """How much lower the model variance is with vanilla dropout than without, in percent, mean over places and rates."""
    parts = []
    for place in places:
        by_rate = _variance(tables, VANILLA, place, prediction, output)
        none = by_rate.get(0.0, pd.Series(dtype=float))
        parts += [100 * (none - values) / none.mean() for rate, values in by_rate.items() if rate > 0]
    return _mean(parts)


def vanilla_lowest(tables: Tables, prediction: str = "sampled", output: str = "logits") -> pd.Series[float]:
    """How much lower vanilla dropout's model variance is than that of the lower of the other noises, in percent of none's."""

    def excess(other: str) -> pd.Series[float]:
        parts = []
        for place in LAYERS:
            own, others = (_variance(tables, noise, place, prediction, output) for noise in (VANILLA, other))
            parts += [100 * (others[rate] - own[rate]) / own[0.0].mean() for rate in own if rate > 0 and rate in others]
        return _mean(parts)

    return min((excess(noise) for noise in NOISES if noise != VANILLA), key=lambda values: float(values.mean()))


def lower_sampled(
    tables: Tables, place: str = "2 and 3", output: str = "logits", prediction: str = "sampled"
) -> pd.Series[float]:
    """How much lower the model variance is sampled than scaled, in percent, mean over rates; Monte Carlo error taken out."""
    sampled, scaled = (_variance(tables, VANILLA, place, way, output) for way in (prediction, "scaled"))
    return _mean(100 * (scaled[rate] - sampled[rate]) / scaled[rate].mean() for rate in scaled if rate > 0 and rate in sampled)


_PERCENT_REASON = "Five percent is less than the paper's chart, which prints no numbers, could show."
CLAIMS = (
    Claim(
        "figure2.lower-with-dropout",
        "section 4.2, Figure 2",
        "Models trained with dropout differ less from each other than models trained without: their model variance is lower.",
        lower_with_dropout,
        "percent",
        10.0,
        'The paper says "significantly lower" and prints no number; a tenth is the least that its chart could show.',
        Rule.MORE,
        "reduction of the model variance of logits, sampled, mean over rates and places",
        digits=0,
        choices=(
            Choice("of probabilities", partial(lower_with_dropout, output="probabilities")),
            Choice("scaled", partial(lower_with_dropout, prediction="scaled")),
            Choice("dropout in layer 3", partial(lower_with_dropout, places=("3",))),
            Choice("dropout in layers 2 and 3", partial(lower_with_dropout, places=("2 and 3",))),
        ),
    ),
    Claim(
        "figure2.vanilla-lowest",
        "section 4.2, Figure 2",
        "Vanilla dropout gives the lowest model variance of the three kinds of noise.",
        vanilla_lowest,
        "percent of the variance without dropout",
        5.0,
        _PERCENT_REASON,
        Rule.MORE,
        "model variance of the best other noise less that of vanilla dropout",
        digits=0,
        choices=(
            Choice("of probabilities", partial(vanilla_lowest, output="probabilities")),
            Choice("scaled", partial(vanilla_lowest, prediction="scaled")),
        ),
    ),
    Claim(
        "figure2.lower-sampled",
        "section 4.2, Figure 2",
        "With vanilla dropout, the model variance is lower sampled than scaled.",
        lower_sampled,
        "percent",
        5.0,
        _PERCENT_REASON,
        Rule.MORE,
        "reduction by sampling, dropout in layers 2 and 3, logits",
        digits=1,
        control=Control("dropout in layer 3 alone, where logits are linear in the mask", partial(lower_sampled, place="3")),
        choices=(
            Choice(
                "of probabilities",
                partial(lower_sampled, output="probabilities"),
                Control("dropout in layer 3 alone", partial(lower_sampled, place="3", output="probabilities")),
            ),
            Choice(
                "arithmetic mean of probabilities",
                partial(lower_sampled, output="probabilities", prediction=ARITHMETIC),
                Control(
                    "dropout in layer 3 alone",
                    partial(lower_sampled, place="3", output="probabilities", prediction=ARITHMETIC),
                ),
            ),
        ),
    ),
    Claim(
        "figure2.last-layer-exact",
        "ours, from section 3.1",
        "With dropout in the last hidden layer alone, sampling is scaling: equation 2 is exact there.",
        partial(lower_sampled, place="3"),
        "percent",
        5.0,
        _PERCENT_REASON,
        Rule.EQUAL,
        "reduction of the model variance of logits by sampling",
        digits=1,
        choices=(Choice("of probabilities", partial(lower_sampled, place="3", output="probabilities")),),
    ),
)


class Figure2(Experiment):
    """Model variance and cross-entropy of models that each saw 10,000 images of their own (paper 4.2).

    A group is one setting with all its seeds: its models. ``variance_pseudo_value`` is a seed's jackknife pseudo-value of the
    model variance, so that the mean over rows is the unbiased estimate of what the paper's formula gives for ten models on
    average, and the Student t interval over rows is the jackknife's (Tukey 1958; Efron and Stein 1981); differences of settings
    pair by seed. The paper's formula itself is in the table ``figure2-models``.

    Models of different seeds differ in more than their images: initial weights, order and noise are theirs as well. Without
    dropout and at a rate of 0.4, vanilla, the table ``figure2-sources`` sets beside them models that differ in their images
    alone (seed 0, the images of each seed) and models that do not differ in their images (each seed, the images of seed 0).
    """

    name = "figure2"
    title = "Figure 2"
    question = "Does dropout make networks agree?"
    section = "4.2"
    claims = CLAIMS
    on_device = True
    version = 2
    masks = (SAMPLES, QUICK_SAMPLES)

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every rate, noise and place of the noise, for every seed; without dropout they are one network.

        Where sources are told apart, the models that differ in one of them follow.
        """
        specs = []
        for rate in QUICK_RATES if settings.quick else RATES:
            for noise in NOISES if rate else (SILENT,):
                for mask in LAYERS.values() if rate else [LAYERS["3"]]:
                    models = [
                        RunSpec(
                            dropout=(rate * mask[0], rate * mask[1], rate * mask[2]),
                            noise=noise,
                            recipe=settings.recipe,
                            seed=seed,
                            train_size=TRAIN_SIZE,
                            examples=settings.examples,
                            precision=settings.precision,
                        )
                        for seed in settings.seed_range
                    ]
                    specs += models
                    if rate in SOURCE_RATES and noise == SILENT:
                        first, *others = models[: QUICK_MODELS if settings.quick else MODELS]
                        specs += [replace(first, subset_seed=other.seed) for other in others]
                        specs += [replace(other, subset_seed=first.seed) for other in others]
        return specs

    def group(self, spec: RunSpec) -> Hashable:
        """All models of one setting."""
        return spec.dropout, spec.noise

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a model and way to predict; models without dropout have rows for every noise and place.

        "sampled" is the paper's prediction, the geometric mean over masks (section 3.1), whose logits are the masks' mean
        logits; "arithmetic" is the mean of the masks' probabilities, which has no logits. ``variance_pseudo_value`` is of
        logits, ``variance_pseudo_value_probs`` of probabilities, NaN where there are fewer than three models.
        ``monte_carlo_variance`` (of logits) and ``monte_carlo_variance_probs`` are the variance that the finite number of masks
        leaves in one model's prediction, mean over images and outputs; for probabilities to first order, from two halves of the
        masks. A pseudo-value is larger by 9/10 of it, on average, than with endless masks.
        """
        from dropclust.core import metrics

        predicted = _predictions(tuple(networks), data, QUICK_SAMPLES if settings.quick else SAMPLES)
        own = [each for each in predicted if each.spec.subset_seed is None]
        rows = []
        for prediction in (*PREDICTIONS, ARITHMETIC):
            for each, values in zip(own, _pseudo_values(own, prediction), strict=True):
                log_probs = each.log_probs[prediction]
                scores = {
                    "accuracy": metrics.accuracy(log_probs, data.test_y),
                    "cross_entropy": metrics.cross_entropy(log_probs, data.test_y),
                }
                rows += [
                    {"recipe": settings.recipe, "seed": each.spec.seed, **place, "prediction": prediction, **scores, **values}
                    for place in _places(each.spec)
                ]
        return pd.DataFrame(rows)

    def details(self, networks: Sequence[Network], data: Data, settings: Settings) -> dict[str, pd.DataFrame]:
        """The paper's formula by setting, and what part of the variance is the images' doing.

        ``figure2-models`` has a row a setting, source, way to predict and number of models: all, and the first ten where there
        are more, as in the paper. ``figure2-sources`` has the columns of the main table for the models of each source, numbered
        from 0: number 0 is the same in all three, and number i has the images of the i-th seed, its start, or both.
        """
        predicted = _predictions(tuple(networks), data, QUICK_SAMPLES if settings.quick else SAMPLES)
        own = [each for each in predicted if each.spec.subset_seed is None]
        sets = {"both": own}
        if len(own) < len(predicted):
            first = own[0]
            sets["images"] = [first] + [
                p for p in predicted if p.spec.subset_seed is not None and p.spec.seed == first.spec.seed
            ]
            sets["start"] = [first] + [p for p in predicted if p.spec.subset_seed == first.spec.seed]
        models: list[dict[str, object]] = []
        sources: list[dict[str, object]] = []
        for source, members in sets.items():
            common = {"recipe": settings.recipe, "source": source}
            for prediction in (*PREDICTIONS, ARITHMETIC):
                for n in sorted({len(members), min(len(members), MODELS)}):
                    found = _model_variance(members[:n], prediction)
                    models += [common | place | {"prediction": prediction, **found} for place in _places(own[0].spec)]
                if len(sets) == 1:
                    continue
                some = members[: len(sets["images"])]
                for number, (each, values) in enumerate(zip(some, _pseudo_values(some, prediction), strict=True)):
                    drawn = each.spec.seed if each.spec.subset_seed is None else each.spec.subset_seed
                    facts = {"model": number, "seed": each.spec.seed, "subset_seed": drawn, "prediction": prediction}
                    sources += [common | place | facts | values for place in _places(each.spec) if place["noise"] == SILENT]
        tables = {MODELS_TABLE: pd.DataFrame(models)}
        return tables | {SOURCES_TABLE: pd.DataFrame(sources)} if sources else tables


def _places(spec: RunSpec) -> Iterator[dict[str, object]]:
    """Rate, noise and layers of a model, as its rows have them: without dropout it stands for every noise and place."""
    rate = max(spec.dropout)
    for noise in (spec.noise,) if rate else NOISES:
        for layers, mask in LAYERS.items():
            if not rate or spec.dropout == tuple(rate * on for on in mask):
                yield {"dropout": rate, "noise": noise, "layers": layers}


@dataclass(frozen=True, eq=False)
class _Predicted:
    """What one model predicts for the test images, by way to predict.

    ``logits`` and ``log_probs`` hold tensors ``[n, 10]``, ``monte_carlo`` the Monte Carlo variance of logits and of
    probabilities.
    """

    spec: RunSpec
    logits: dict[str, Tensor]
    log_probs: dict[str, Tensor]
    monte_carlo: dict[str, tuple[float, float]]


# `measure` and `details` are given the same networks one after the other: they are sampled once.
@lru_cache(maxsize=1)
def _predictions(networks: tuple[Network, ...], data: Data, n_samples: int) -> list[_Predicted]:
    """What every model predicts, with masks of its own: shared ones would move all together and hide their Monte Carlo error.

    The masks come in two halves h, which tell how far the mean over all of them is from that over endless ones: to first order
    its variance is the mean of (h1 - h2)^2 / 4.
    """
    import torch

    from dropclust.core.prediction import sample, scaled_logits

    found = []
    for number, network in enumerate(networks):
        halves = [sample(network, data.test_x, n_samples // 2, seed=2 * number + half) for half in (0, 1)]
        one, other = halves
        scaled = scaled_logits(network, data.test_x)
        mean_logits = (one.logit_mean + other.logit_mean) / 2
        mean_probs = (one.mean_probs + other.mean_probs) / 2
        over_masks = torch.stack([half.logit_std for half in halves]).square().mean().item()
        tiny = torch.finfo(mean_probs.dtype).tiny  # no mask gives such an image this class: its logarithm stays finite
        found.append(
            _Predicted(
                spec_of(network),
                {"scaled": scaled, "sampled": mean_logits},
                {
                    "scaled": scaled.log_softmax(1),
                    "sampled": mean_logits.log_softmax(1),
                    ARITHMETIC: mean_probs.clamp_min(tiny).log(),
                },
                {
                    "scaled": (0.0, 0.0),
                    "sampled": (over_masks / (2 * (n_samples // 2)), _quarter(one.log_probs.exp() - other.log_probs.exp())),
                    ARITHMETIC: (float("nan"), _quarter(one.mean_probs - other.mean_probs)),
                },
            )
        )
    return found


def _quarter(difference: Tensor) -> float:
    return difference.square().mean().item() / 4


def _stacked(models: Sequence[_Predicted], prediction: str) -> tuple[Tensor | None, Tensor]:
    """Logits, where a way to predict has any, and probabilities, ``[models, n, 10]``."""
    import torch

    logits = None if prediction == ARITHMETIC else torch.stack([each.logits[prediction] for each in models])
    return logits, torch.stack([each.log_probs[prediction].exp() for each in models])


def _pseudo_values(models: Sequence[_Predicted], prediction: str) -> list[dict[str, float]]:
    """Each model's pseudo-values and Monte Carlo variances, as columns."""
    logits, probs = _stacked(models, prediction)
    of_logits = [float("nan")] * len(models) if logits is None else pseudo_values(logits)
    return [
        {
            "variance_pseudo_value": by_logits,
            "variance_pseudo_value_probs": by_probs,
            "monte_carlo_variance": each.monte_carlo[prediction][0],
            "monte_carlo_variance_probs": each.monte_carlo[prediction][1],
        }
        for each, by_logits, by_probs in zip(models, of_logits, pseudo_values(probs), strict=True)
    ]


def _model_variance(models: Sequence[_Predicted], prediction: str) -> dict[str, float]:
    """The paper's formula over some models, as columns."""
    from dropclust.core.metrics import model_variance

    logits, probs = _stacked(models, prediction)
    return {
        "models": len(models),
        "model_variance": float("nan") if logits is None else model_variance(logits),
        "model_variance_probs": model_variance(probs),
    }


def pseudo_values(predictions: Tensor) -> list[float]:
    """Jackknife pseudo-values of the model variance of paper 4.2 for ten models, one a model (Tukey 1958).

    The variance over m models with divisor m - 1 is unbiased, and the paper's, with divisor 10 over ten models, is 9/10 of it
    on average: V = 9/10 of the unbiased. Model i's pseudo-value is m V - (m - 1) V without i; their mean is V exactly.

    Parameters
    ----------
    predictions
        ``[models, n, outputs]``; with fewer than three models, one of which cannot be left out, all are NaN.

    Returns
    -------
    list of float
        One a model, in squared units of the predictions.
    """
    models = len(predictions)
    if models < 3:
        return [float("nan")] * models
    squares = (predictions.double() - predictions.double().mean(0)).square().mean((1, 2))  # [models]
    total = squares.sum()
    # The sum of squares about the mean of the others is less by model i's own, times m / (m - 1).
    without = (total - squares * models / (models - 1)) / (models - 2)
    pseudo = models * total / (models - 1) - (models - 1) * without
    values: list[float] = ((MODELS - 1) / MODELS * pseudo).tolist()
    return values


EXPERIMENT = Figure2()
run = EXPERIMENT.run
