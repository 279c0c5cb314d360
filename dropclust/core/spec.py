"""What one training run is, as a value: validated at the door, written as JSON, named by a digest. It knows no torch."""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

from dropclust.core.checks import whole

INPUTS, OUTPUTS = 784, 10
MAX_OUTPUTS = 100  # of a network from elsewhere: EMNIST has up to 62 classes
TRAIN_IMAGES, HELD_OUT_IMAGES, TEST_IMAGES = 55_000, 5_000, 10_000

NOISES = {
    "bernoulli": "Bernoulli (vanilla dropout)",
    "gaussian": "Gaussian of equal variance",
    "dropconnect": "DropConnect",
}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, where the paper leaves it open: a named bundle of three choices.

    ``optimiser`` is "adam" (on a batch's mean loss; Kingma & Ba 2015, with betas .9 and .999 and epsilon 1e-8) or "sgd_sum"
    (plain SGD on a batch's summed loss, as section 4.1.2 of the paper writes its gradient). ``initialisation`` is "he"
    (normal of variance 2 / in; He et al. 2015) or "glorot" (uniform within sqrt(6 / (in + out)); Glorot & Bengio 2010).
    ``sentence`` says the choices to people.
    """

    name: str
    optimiser: str
    learning_rate: float
    initialisation: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


# The first two are the main ones. The paper names neither initialisation nor learning rate; each of the others changes one
# choice of a main one, the learning rate of another optimiser going with it, so that a claim can be seen to depend on it or
# not. "modern" with Glorot's initialisation is "paper" with Adam, and "paper" with He's is "modern" with SGD.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("modern", "adam", 1e-3, "he", "He initialisation, Adam at 1e-3"),
        Recipe(
            "paper", "sgd_sum", 5e-5, "glorot",
            "Glorot initialisation, plain SGD at 5e-5 on the summed loss, which reaches the paper's accuracies without dropout",
        ),
        Recipe("modern-rate-3e-4", "adam", 3e-4, "he", "He initialisation, Adam at 3e-4"),
        Recipe("modern-rate-3e-3", "adam", 3e-3, "he", "He initialisation, Adam at 3e-3"),
        Recipe(
            "paper-rate-25e-6", "sgd_sum", 2.5e-5, "glorot", "Glorot initialisation, plain SGD at 2.5e-5 on the summed loss"
        ),
        Recipe("paper-rate-1e-4", "sgd_sum", 1e-4, "glorot", "Glorot initialisation, plain SGD at 1e-4 on the summed loss"),
        Recipe("modern-glorot", "adam", 1e-3, "glorot", "Glorot initialisation, Adam at 1e-3"),
        Recipe("modern-sgd", "sgd_sum", 5e-5, "he", "He initialisation, plain SGD at 5e-5 on the summed loss"),
    )
}  # fmt: skip
MAIN_RECIPES = ("modern", "paper")

VARIANTS = {  # of a main recipe: those that differ from it in one choice
    "modern": ("modern-rate-3e-4", "modern-rate-3e-3", "modern-glorot", "modern-sgd"),
    "paper": ("paper-rate-25e-6", "paper-rate-1e-4", "modern-sgd", "modern-glorot"),
}
PRECISIONS = {
    "float32": "float32",
    "bfloat16": "bfloat16 products, float32 weights",
}

# Inclusive limits; the widgets, the address bar and the error sentences all read them from here.
LIMITS: dict[str, tuple[float, float]] = {
    "hidden": (1, 2_000),
    "dropout": (0.0, 0.95),
    "batch_size": (1, 4_096),
    "examples": (1, 3_000_000),
    "train_size": (100, TRAIN_IMAGES),
    "seed": (0, 2**31 - 1),
}
# A run is refused when two cores would need longer than this for it. The two rates are those of a slow laptop core
# pair, written down and not measured here, so that a spec is valid everywhere or nowhere; the time shown to a viewer
# comes from a calibration of the machine at hand instead (dropclust.core.cost.Calibration).
MAX_SECONDS = 120.0
MAX_PIECES = 1_000  # of a schedule
MAX_STEP_FLOPS = 1e10  # a tenth of a second: nothing hears "stop" within a step
_REFERENCE_FLOPS = 4.0e10
_REFERENCE_STEP_SECONDS = 4.0e-4


def _one_of(name: str, value: object, allowed: Iterable[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    return value


def _whole(name: str, value: object) -> int:
    low, high = LIMITS[name]
    return whole(name, value, int(low), int(high))


def _three(name: str, value: object) -> tuple[Any, Any, Any]:
    if isinstance(value, str) or not isinstance(value, Iterable) or len(items := tuple(value)) != 3:
        raise ValueError(f"{name} must be three numbers, one a hidden layer; got {value!r}")
    return items


def _rate(value: object, name: str) -> float:
    low, high = LIMITS["dropout"]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, (bool, str)) or not low <= number <= high:
        raise ValueError(f"{name} must be rates from {low:g} to {high:g}; got {value!r}")
    return round(number, 4) + 0.0  # +0.0 makes -0.0 the same run as 0.0


Rates = tuple[float, float, float]


def _rates(value: object, name: str = "dropout") -> Rates:
    one, two, three = _three(name, value)
    return _rate(one, name), _rate(two, name), _rate(three, name)


def _schedule(value: object, start: Rates, steps: int) -> tuple[tuple[int, Rates], ...]:
    """The pieces that change something, of a schedule that begins at ``start``."""
    pieces = None if isinstance(value, str) or not isinstance(value, Iterable) else list(islice(value, MAX_PIECES + 1))
    if pieces is None or not all(isinstance(piece, (list, tuple)) and len(piece) == 2 for piece in pieces):
        raise ValueError(f"schedule must be pieces of a step and the three rates from it on; got {str(value)[:80]}")
    if len(pieces) > MAX_PIECES:
        raise ValueError(f"schedule must have at most {MAX_PIECES:,} pieces; got more")
    if pieces and steps == 1:
        raise ValueError(f"schedule must be empty for a run of a single step; got {str(value)[:80]}")
    checked = [
        (whole("a step of schedule", step, 1, steps - 1), _rates(rates, "the rates of schedule")) for step, rates in pieces
    ]
    for (first, _), (second, _) in pairwise(checked):
        if second <= first:
            raise ValueError(f"schedule must go forward, each step after the one before; got {second:,} after {first:,}")
    before = [start, *(rates for _, rates in checked)]
    return tuple((step, rates) for (step, rates), now in zip(checked, before, strict=False) if rates != now)


@lru_cache(maxsize=10_000)
def _key(spec: RunSpec) -> str:
    return hashlib.sha256(spec.to_json().encode("ascii")).hexdigest()


@dataclass(frozen=True)
class RunSpec:
    """One training run on MNIST: everything that decides its result, and nothing else.

    Parameters
    ----------
    hidden
        Units of the three hidden layers, 1 to 2,000 each (paper section 3: "3 hidden layers").
    dropout
        Dropout rate of each hidden layer, 0 to 0.95, rounded to 4 decimals. With ``noise="dropconnect"`` it is the rate at
        which the weights leaving that layer are dropped.
    noise
        "bernoulli" (vanilla dropout), "gaussian" (multiplicative, of the same mean 1 and variance p/(1-p); Srivastava et
        al. 2014, section 10) or "dropconnect" (Wan et al. 2013; one weight mask a mini-batch).
    batch_size
        Images a step, 1 to 4,096 and at most ``train_size``.
    examples
        Images shown in all; ``examples // batch_size`` steps are made (Table 1 of the paper holds it at 320,000).
    train_size
        Images to learn from, 100 to 55,000; below 55,000 a random subset chosen by ``seed`` (paper 4.2).
    recipe
        A name of `RECIPES`: "modern" (He initialisation, Adam 1e-3), "paper" (Glorot uniform, plain SGD 5e-5 on the summed
        batch loss), or one that changes a single choice of these.
    seed
        Decides initial weights, data order, subset and noise, 0 to 2**31 - 1. Runs that differ only in their rates share all
        four (common random numbers).
    precision
        "float32", or "bfloat16": products in bfloat16, weights and their updates in float32. Of a network trained alone it is
        layer 1 whose products are.
    subset_seed
        Chooses the subset in place of ``seed``, so that runs may differ in their images alone. None, also when it makes no
        difference: equal to ``seed``, or all images are learnt from.
    schedule
        Rates that change while the network trains: pieces ``(step, rates)``, at most 1,000. ``dropout`` holds for the first
        steps, and each piece's rates, of the form of ``dropout``, from its step on. Steps are counted from 0; a piece's is at
        least 1 and before the run's end, and later than the piece's before it. A piece that changes nothing is left out, so
        that a constant schedule is the plain run.

    Raises
    ------
    ValueError
        One sentence naming the field, what is allowed and what was given; also when two cores would need longer than two
        minutes.
    """

    hidden: tuple[int, int, int] = (100, 100, 100)
    dropout: tuple[float, float, float] = (0.4, 0.4, 0.4)
    noise: str = "bernoulli"
    batch_size: int = 128
    examples: int = 320_000
    train_size: int = TRAIN_IMAGES
    recipe: str = "modern"
    seed: int = 0
    precision: str = "float32"
    subset_seed: int | None = None
    schedule: tuple[tuple[int, Rates], ...] = ()

    def __post_init__(self) -> None:
        checked = {
            "hidden": tuple(_whole("hidden", width) for width in _three("hidden", self.hidden)),
            "dropout": _rates(self.dropout),
            "noise": _one_of("noise", self.noise, NOISES),
            "recipe": _one_of("recipe", self.recipe, RECIPES),
            "precision": _one_of("precision", self.precision, PRECISIONS),
            **{name: _whole(name, getattr(self, name)) for name in ("batch_size", "examples", "train_size", "seed")},
        }
        if self.subset_seed is not None:
            chosen = whole("subset_seed", self.subset_seed, *map(int, LIMITS["seed"]))
            matters = chosen != self.seed and self.train_size < TRAIN_IMAGES
            checked["subset_seed"] = chosen if matters else None
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("train_size", "examples"):
            if self.batch_size > getattr(self, name):
                raise ValueError(f"batch_size must be at most {name} ({getattr(self, name):,}); got {self.batch_size:,}")
        object.__setattr__(self, "schedule", _schedule(self.schedule, self.dropout, self.steps))
        seconds = self.flops / _REFERENCE_FLOPS + self.steps * _REFERENCE_STEP_SECONDS
        if self.flops > self.steps * MAX_STEP_FLOPS:
            raise ValueError(
                f"a step must take less than {MAX_STEP_FLOPS / 1e9:g} billion operations, as it cannot be stopped half way, "
                f"and this one would take {self.flops / self.steps / 1e9:.0f}; choose narrower layers or smaller batches"
            )
        if seconds > MAX_SECONDS:
            raise ValueError(
                f"a run must take less than about {MAX_SECONDS:.0f} seconds on two cores, and this one would take about "
                f"{seconds:.0f}; choose narrower layers, fewer examples or larger batches"
            )

    @property
    def widths(self) -> tuple[int, int, int, int, int]:
        """Inputs, the three hidden layers, outputs."""
        return (INPUTS, *self.hidden, OUTPUTS)

    @property
    def steps(self) -> int:
        """Gradient steps made in all."""
        return self.examples // self.batch_size

    def rates_at(self, step: int) -> Rates:
        """Dropout rates of the three hidden layers in a step, counted from 0.

        Examples
        --------
        >>> run = RunSpec(dropout=(0, 0, 0), schedule=((1250, (0.5, 0.5, 0.5)),))
        >>> run.rates_at(1249), run.rates_at(1250)
        ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
        """
        at = bisect_right(self.schedule, step, key=lambda piece: piece[0])
        return self.schedule[at - 1][1] if at else self.dropout

    def until(self, step: int) -> RunSpec:
        """The run that ends where this one is after so many steps, 1 to its own number.

        Raises
        ------
        ValueError
            For another number of steps.
        """
        step = whole("step", step, 1, self.steps)
        pieces = tuple(piece for piece in self.schedule if piece[0] < step)
        return replace(self, examples=step * self.batch_size, schedule=pieces)

    @property
    def final_rates(self) -> Rates:
        """The rates of the last step: those of the trained network."""
        return self.schedule[-1][1] if self.schedule else self.dropout

    @property
    def flops(self) -> float:
        """Floating-point operations of the whole run: a multiply-add counts as two; forward, weight and input gradients."""
        products = [a * b for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)]
        return 2.0 * self.steps * self.batch_size * (2 * sum(products) + sum(products[1:]))

    @property
    def n_parameters(self) -> int:
        """Weights and biases of the network."""
        return sum((a + 1) * b for a, b in zip(self.widths[:-1], self.widths[1:], strict=True))

    def to_json(self) -> str:
        """Canonical JSON: sorted names, no spaces, so that equal specs give equal text on every Python.

        A ``subset_seed`` of None and an empty ``schedule`` are left out.
        """
        values = {name: value for name, value in asdict(self).items() if value is not None and value != ()}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            When the text is no JSON object, has a field that a run does not have, or a value that is not allowed.
        """
        try:
            values = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"a run's description must be a JSON object; got {str(text)[:80]!r}") from error
        names = [field.name for field in fields(cls)]
        if not isinstance(values, dict):
            raise ValueError(f"a run's description must be a JSON object; got {str(text)[:80]!r}")
        if unknown := sorted(set(values) - set(names)):
            raise ValueError(f"a run's description may hold {', '.join(names)}; got {', '.join(unknown)}")
        return cls(**values)

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON: 64 hex digits, the run's name in the store, the queue and the address bar."""
        return _key(self)
