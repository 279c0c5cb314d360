"""Table 3: what is left of the accuracy when copies are merged, with and without dropout, by every method and control."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from dropclust.core.spec import RunSpec
from dropclust.experiments import paper
from dropclust.experiments.claim import Choice, Claim, Control, Rule, Tables
from dropclust.experiments.experiment import Experiment, Settings, spec_of
from dropclust.experiments.pairing import by_seed

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network

RATE = max(paper.TABLE_3)  # 0.5
UNITS = MappingProxyType({h: units for h, (_, units, _) in paper.TABLE_3[RATE].items()})  # 400 -> 162 .. 700 -> 177
UPPER = (100, 100)
# The paper does not say where the dropout is: in the layer that is compressed, or in all.
TRAINED = MappingProxyType({"none": (0.0, 0.0, 0.0), "first": (RATE, 0.0, 0.0), "all": (RATE, RATE, RATE)})
QUICK_WIDTHS = (min(UNITS), max(UNITS))
QUICK_SEEDS = 3
LAYER = 1
# The whole curve is drawn for the widest layer and the first seeds: a point of it costs as much as a row of the table.
CURVE_WIDTH = max(UNITS)
CURVE_UNITS = (10, 18, 32, 56, 100, UNITS[CURVE_WIDTH], 310, CURVE_WIDTH)
CURVE_SEEDS = 5
QUICK_CURVE_UNITS = (10, 56, UNITS[CURVE_WIDTH])
QUICK_CURVE_SEEDS = 1
SHOWN_SEED = 0  # the seed whose networks are kept, to be compressed on the page
SHOWN = ("none", "all")


def shown_spec(
    h: int,
    trained: str,
    recipe: str = "modern",
    seed: int = SHOWN_SEED,
    examples: int = 320_000,
    precision: str = Settings().precision,
) -> RunSpec:
    """The network with h units in layer 1, trained as `TRAINED` says."""
    return RunSpec(
        hidden=(h, *UPPER), dropout=TRAINED[trained], recipe=recipe, seed=seed, examples=examples, precision=precision
    )


# ---- what the paper claims ---------------------------------------------------------------------------------------------

WIDEST = max(UNITS)


def points_lost(tables: Tables, method: str, trained: str, h: int = WIDEST) -> pd.Series[float]:
    """Percentage points of test accuracy lost by a method."""
    where = {"method": method, "trained": trained, "h": h}
    before, after = (by_seed(tables["table3"], column, **where) for column in ("accuracy_before", "accuracy"))
    return 100 * (before - after)


def kept(tables: Tables, method: str = "paper", trained: str = "all", h: int = WIDEST) -> pd.Series[float]:
    """The same with its sign turned, so that more is better."""
    return -points_lost(tables, method, trained, h)


def protection(tables: Tables, method: str = "paper", trained: str = "all", h: int = WIDEST) -> pd.Series[float]:
    """Points lost without dropout less points lost with it: the difference of the two differences."""
    return points_lost(tables, method, "none", h) - points_lost(tables, method, trained, h)


def advantage(tables: Tables, worse: str, better: str, trained: str = "all", h: int = WIDEST) -> pd.Series[float]:
    """Points that one method loses more than another on the same networks."""
    return points_lost(tables, worse, trained, h) - points_lost(tables, better, trained, h)


def _elsewhere(
    statistic: Callable[..., pd.Series[float]], control: Callable[..., pd.Series[float]] | None = None, name: str = ""
) -> tuple[Choice, ...]:
    """Every other width, and dropout in the compressed layer alone."""
    changes: list[tuple[str, dict[str, object]]] = [(f"{h} units", {"h": h}) for h in UNITS if h != WIDEST]
    changes.append(("dropout in layer 1 alone", {"trained": "first"}))
    return tuple(
        Choice(what, partial(statistic, **change), Control(name, partial(control, **change)) if control else None)
        for what, change in changes
    )


_PAPERS_LOSS = round(max(100 * (before - after) for before, _, after in paper.TABLE_3[RATE].values()), 1)
_PRUNING = "plain pruning, which merges nothing"
_GAP_REASON = "The paper's own networks of 400 to 700 units differ by 1.5 points before compression."
CLAIMS = (
    Claim(
        "table3.cheap-with-dropout",
        "section 4.4, Table 3 (a)",
        f"The paper's method makes a layer of {WIDEST} units trained with dropout a quarter as wide at little cost.",
        kept,
        "percentage points",
        _PAPERS_LOSS,
        'What the paper calls "negligible" is its own largest loss with dropout.',
        Rule.AT_LEAST,
        "accuracy after less accuracy before",
        digits=1,
        control=Control("networks trained without dropout", partial(kept, trained="none")),
        choices=_elsewhere(kept),
    ),
    Claim(
        "table3.dropout-protects",
        "section 4.4, Table 3",
        "By the paper's method dropout makes a network lose less: it made copies, which can be merged.",
        protection,
        "percentage points",
        2.0,
        _GAP_REASON,
        Rule.MORE,
        "points lost without dropout less points lost with it",
        digits=1,
        control=Control(_PRUNING, partial(protection, method="prune")),
        choices=_elsewhere(protection, partial(protection, method="prune"), _PRUNING),
    ),
    Claim(
        "table3.dropout-protects-best-method",
        "section 4.4, Table 3, with a least-squares repair",
        "By the best method a network trained with dropout still loses less than one trained without.",
        partial(protection, method="least_squares"),
        "percentage points",
        2.0,
        _GAP_REASON,
        Rule.MORE,
        "points lost without dropout less points lost with it",
        digits=1,
        control=Control("pruning with the same repair", partial(protection, method="prune_least_squares")),
        choices=_elsewhere(partial(protection, method="least_squares")),
    ),
    Claim(
        "table3.likeness-matters",
        "ours, from section 4.4",
        "After dropout, merging neurons that are alike loses less than merging them at random.",
        partial(advantage, worse="random", better="fold"),
        "percentage points",
        2.0,
        _GAP_REASON,
        Rule.MORE,
        "points lost by random clusters less points lost by clusters of weights, both folded",
        digits=1,
        control=Control("networks trained without dropout", partial(advantage, worse="random", better="fold", trained="none")),
        choices=_elsewhere(partial(advantage, worse="random", better="fold")),
    ),
    Claim(
        "table3.agreement-better",
        "section 5, the second of its future works",
        "Merging only the neurons on which both clusterings agree loses less than the paper's method.",
        partial(advantage, worse="paper", better="agreement"),
        "percentage points",
        0.5,
        "Half a point is 50 of the 10,000 test images.",
        Rule.MORE,
        "points lost by the paper's method less points lost by merging where both agree",
        digits=1,
        control=Control(
            "folding, which adds outgoing weights but asks for no agreement", partial(advantage, worse="paper", better="fold")
        ),
        choices=_elsewhere(partial(advantage, worse="paper", better="agreement")),
    ),
)


class Table3(Experiment):
    """Test accuracy before and after compression of layer 1, by width, training and method (paper 4.4).

    Everything that a method chooses it chooses on held-out images. Methods are compared at equal width: for "agreement", whose
    width follows from its number of clusters, that number is the one whose width comes nearest to the paper's from above.
    """

    name = "table3"
    title = "Table 3"
    question = "Can a layer trained with dropout lose more of its neurons than one trained without?"
    section = "4.4"
    claims = CLAIMS
    on_device = True
    version = 2

    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every width and training for every seed; those of one seed share images, and of one width initial weights."""
        seeds, widths = settings.seed_range, tuple(UNITS)
        if settings.quick:
            seeds, widths = seeds[:QUICK_SEEDS], QUICK_WIDTHS
        return [
            shown_spec(h, trained, settings.recipe, seed, settings.examples, settings.precision)
            for seed in seeds
            for h in widths
            for trained in TRAINED
        ]

    def measuring(self, spec: RunSpec, settings: Settings) -> float:
        """Seconds of a core: almost all of them go to clustering."""
        seeds = settings.seed_range[: QUICK_CURVE_SEEDS if settings.quick else CURVE_SEEDS]
        return 30.0 if spec.hidden[LAYER - 1] == CURVE_WIDTH and spec.seed in seeds else 3.0

    def group(self, spec: RunSpec) -> Hashable:
        """The trainings of one seed and width."""
        return spec.seed, spec.hidden

    def kept(self, settings: Settings) -> frozenset[str]:
        """The widest networks of one seed, with dropout in all layers and without, unless quick.

        Of the default recipe alone: each is 2.5 MB, and they travel with the project.
        """
        if settings.quick or settings.recipe != Settings().recipe:
            return frozenset()
        return frozenset(
            shown_spec(CURVE_WIDTH, trained, settings.recipe, precision=settings.precision).key for trained in SHOWN
        )

    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """A row a network and method, at the paper's number of units.

        ``twins`` is the share of layer 1's living neurons that have a twin before compression (`dropclust.core.twins`),
        ``clusters`` the number of clusters of each clustering, which for "agreement" is not the width.
        ``held_out_accuracy`` is that of the images on which choices were made.
        """
        return _rows(networks, lambda h: [UNITS[h]], data, settings)

    def details(self, networks: Sequence[Network], data: Data, settings: Settings) -> dict[str, pd.DataFrame]:
        """Accuracy against units for the widest networks of the first seeds: a row a network, method and number of units."""
        seeds = settings.seed_range[: QUICK_CURVE_SEEDS if settings.quick else CURVE_SEEDS]
        units = QUICK_CURVE_UNITS if settings.quick else CURVE_UNITS
        wide = [n for n in networks if n.hidden[LAYER - 1] == CURVE_WIDTH and spec_of(n).seed in seeds]
        return {"table3-curve": _rows(wide, lambda _: units, data, settings)} if wide else {}


def _rows(
    networks: Sequence[Network], units_of: Callable[[int], Iterable[int]], data: Data, settings: Settings
) -> pd.DataFrame:
    """Each network compressed to each of the numbers of units that belong to its width, by every method."""
    from dropclust.core.compression import side_by_side
    from dropclust.core.methods import METHODS
    from dropclust.core.metrics import accuracy
    from dropclust.core.prediction import hidden_activations, scaled_logits
    from dropclust.core.twins import twins_of

    names = {rates: name for name, rates in TRAINED.items()}
    rows = []
    for network in networks:
        made, h = spec_of(network), network.hidden[LAYER - 1]
        before = accuracy(scaled_logits(network, data.test_x), data.test_y)
        twins = twins_of(hidden_activations(network, data.held_x)[LAYER - 1]).share
        for (method, units), found in side_by_side(network, LAYER, units_of(h), seed=made.seed, data=data).items():
            after = accuracy(scaled_logits(found.network, data.test_x), data.test_y)
            rows.append(
                {
                    "recipe": settings.recipe,
                    "seed": made.seed,
                    "h": h,
                    "trained": names[made.dropout],
                    "twins": twins,
                    "method": method,
                    "units": units,
                    "width": found.network.hidden[LAYER - 1],
                    "clusters": found.units if METHODS[method].clusters else None,
                    "accuracy_before": before,
                    "accuracy": after,
                    "held_out_accuracy_before": found.accuracy_before,
                    "held_out_accuracy": found.accuracy,
                }
            )
    return pd.DataFrame(rows)


EXPERIMENT = Table3()
run = EXPERIMENT.run
