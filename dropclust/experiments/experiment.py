"""The shape all experiments share: which networks, which measurement, which table. It knows neither store nor cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from dropclust.core.checks import whole
from dropclust.core.spec import LIMITS, PRECISIONS, RECIPES, TEST_IMAGES, RunSpec
from dropclust.experiments.claim import Claim

if TYPE_CHECKING:
    from dropclust.core.mnist import Data
    from dropclust.core.network import Network
    from dropclust.core.training import Trained

MAX_SEEDS = 100
FRESH_SEED = 100  # the first of the seeds that confirm what seeds 0 to 19 were looked at for
EXAMPLES, QUICK_EXAMPLES = 320_000, 64_000


@dataclass(frozen=True)
class Settings:
    """How much of an experiment to run.

    Parameters
    ----------
    recipe
        A name of `RECIPES`; the full grids are of "modern" and "paper".
    seeds
        How many seeds, 1 to 100: ``first_seed`` and those that follow it.
    quick
        A coarser grid and fewer examples: minutes instead of an hour, for a look and for tests.
    precision
        What the networks are trained in, of `PRECISIONS`. When left out, float32 if quick and bfloat16 products with float32
        master weights otherwise: over 20 paired seeds of the default network the two are equal in test accuracy within 0.1
        percentage points and not different in adjusted Rand index (``python -m tests.benchmarks --only precision``), and
        where the processor has bfloat16 a full grid takes two thirds of the hours.
    first_seed
        The first seed, 0 or more. Seeds from `FRESH_SEED` on were never looked at when a margin was chosen.
    examples
        Images shown to a network; when left out, 64,000 if quick and 320,000, the paper's, otherwise.

    Raises
    ------
    ValueError
        One sentence naming the field, what is allowed and what was given.
    """

    recipe: str = "modern"
    seeds: int = 20
    quick: bool = False
    precision: str = ""
    first_seed: int = 0
    examples: int = 0

    def __post_init__(self) -> None:
        if not self.examples:
            object.__setattr__(self, "examples", QUICK_EXAMPLES if self.quick else EXAMPLES)
        if not self.precision:
            object.__setattr__(self, "precision", "float32" if self.quick else "bfloat16")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}")
        if self.recipe not in RECIPES:
            raise ValueError(f"recipe must be one of {', '.join(RECIPES)}; got {self.recipe!r}")
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, int) or not 1 <= self.seeds <= MAX_SEEDS:
            raise ValueError(f"seeds must be a whole number from 1 to {MAX_SEEDS}; got {self.seeds!r}")
        last = int(LIMITS["seed"][1]) - MAX_SEEDS
        object.__setattr__(self, "first_seed", whole("first_seed", self.first_seed, 0, last))
        object.__setattr__(self, "examples", whole("examples", self.examples, *map(int, LIMITS["examples"])))

    @property
    def seed_range(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)


@dataclass(frozen=True, eq=False)
class Measured:
    """What came of one group of networks: its rows of each table, and the runs that are kept, with their metrics."""

    tables: Mapping[str, pd.DataFrame]
    kept: Sequence[tuple[Trained, Mapping[str, float]]]


class Experiment(ABC):
    """One table or figure of the paper.

    A subclass is imported by pages that must not load torch, so it imports torch inside `measure` only.
    """

    name: ClassVar[str]  # on the command line and in file names
    title: ClassVar[str]  # as the paper numbers it
    question: ClassVar[str]  # one sentence
    section: ClassVar[str]  # of the paper
    claims: ClassVar[tuple[Claim, ...]] = ()  # what the paper says that its rows can judge
    masks: ClassVar[tuple[int, int] | None] = None  # that a network is sampled with, in a full grid and in a quick one
    on_device: ClassVar[bool] = False  # whether `measure` and `details` take networks and images that lie on a GPU
    on_the_way: ClassVar[bool] = False  # whether networks are measured while they train: `measure_group` then does both
    version: ClassVar[int] = 1  # grows when the measurement changes, so that half-made tables of before are not mixed in

    @property
    def judged_tables(self) -> tuple[str, ...]:
        """Names of the tables that the claims read."""
        return (self.name,)

    @abstractmethod
    def specs(self, settings: Settings) -> list[RunSpec]:
        """Every network the experiment needs."""

    @abstractmethod
    def measure(self, networks: Sequence[Network], data: Data, settings: Settings) -> pd.DataFrame:
        """Tidy rows, one a network and setting, of networks that belong together (see `group`)."""

    def measuring(self, spec: RunSpec, settings: Settings) -> float:
        """About how many seconds of a core it takes to measure one network: what takes longest is begun first."""
        del spec, settings
        return 0.1

    def group(self, spec: RunSpec) -> Hashable:
        """Networks with equal groups are trained and measured together; by default those of one seed."""
        return spec.seed

    def kept(self, settings: Settings) -> frozenset[str]:
        """Keys of the runs that are kept for people to look into; none by default."""
        return frozenset()

    def details(self, networks: Sequence[Network], data: Data, settings: Settings) -> dict[str, pd.DataFrame]:
        """Further tables by name, of the same networks; none by default."""
        return {}

    def groups(self, settings: Settings) -> list[list[RunSpec]]:
        """The specs, a list a group, in their order."""
        groups: dict[Hashable, list[RunSpec]] = {}
        for spec in self.specs(settings):
            groups.setdefault(self.group(spec), []).append(spec)
        return list(groups.values())

    def measure_group(
        self, specs: Sequence[RunSpec], settings: Settings, threads: int | None = None, device: str = "auto"
    ) -> Measured:
        """Train one group here and measure it.

        Raises
        ------
        dropclust.core.training.Diverged
            When a network's weights stopped being finite.
        """
        from dropclust.core import training

        return self.measure_trained(
            training.fit(specs, curve=self.curved(specs, settings), threads=threads, device=device), settings
        )

    def curved(self, specs: Sequence[RunSpec], settings: Settings) -> bool:
        """Whether some of the runs are kept, and so need the curve of their training."""
        return not self.kept(settings).isdisjoint(spec.key for spec in specs)

    def measure_trained(self, trained: Sequence[Trained], settings: Settings) -> Measured:
        """Measure one group that was trained here or elsewhere.

        Raises
        ------
        dropclust.core.training.Diverged
            When a network's weights stopped being finite.
        """
        from dropclust.core import mnist, prediction, training
        from dropclust.core.device import choose

        data, keys, networks = mnist.load(), self.kept(settings), []
        for each in trained:
            if each.network is None:
                raise training.Diverged(f"run {each.spec.key[:8]} of {self.name} diverged at step {each.diverged_at}")
            networks.append(each.network)
        where = choose("auto" if self.on_device else "cpu", sum(map(self._flops, networks)))
        there, lit = [network.to(where) for network in networks], data.on(where)
        tables = {self.name: self.measure(there, lit, settings), **self.details(there, lit, settings)}
        kept = [
            (each, prediction.evaluate(network, data))
            for each, network in zip(trained, networks, strict=True)
            if each.spec.key in keys
        ]
        return Measured(tables, kept)

    def _flops(self, network: Network) -> float:
        """Of the products that a full measurement takes, about."""
        return 2.0 * TEST_IMAGES * network.n_parameters * max(self.masks or (1,))

    def run(
        self,
        recipe: str = "modern",
        seeds: int = 20,
        quick: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> pd.DataFrame:
        """Train and measure everything here, group after group, and return the table.

        A full grid is trained in the precision that a short trial finds faster here. ``progress`` hears the share of the
        groups that are done, 0 to 1.

        Raises
        ------
        ValueError
            For a recipe or a number of seeds that is not allowed.
        """
        settings = Settings(recipe, seeds, quick)
        if not quick:
            from dropclust.core.calibration import faster_precision

            settings = replace(settings, precision=faster_precision())
        groups, tables = self.groups(settings), []
        for number, specs in enumerate(groups, start=1):
            tables.append(self.measure_group(specs, settings).tables[self.name])
            if progress:
                progress(number / len(groups))
        return pd.concat(tables, ignore_index=True)


def spec_of(network: Network) -> RunSpec:
    """The run that made a network.

    Raises
    ------
    ValueError
        When it came from elsewhere.
    """
    if network.spec is None:
        raise ValueError("network must know the run that made it; got one without a spec")
    return network.spec
