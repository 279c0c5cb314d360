"""The ways to make a layer smaller, described, and what a search among numbers of units finds. It knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Method:
    """A way to make a layer smaller.

    Attributes
    ----------
    name
        What `compress` calls it.
    sentence
        What it does, in a sentence.
    source
        Where it comes from.
    exact
        What it merges back without any loss, when ``units`` is the number of different neurons: "copies" (equal neurons, any
        number of each), "scaled copies" (also neurons whose incoming weights and bias are a positive multiple of a
        neuron's that stays, where every one that stays has a larger L1 norm), or "" where nothing is promised.
    clusters
        Whether it starts from k-means clusterings, whose seed and criteria then matter.
    unit
        What ``units`` counts: "units" (the new width) or "clusters" (of each clustering; the width follows).
    control
        Whether it is there to be compared with.
    """

    name: str
    sentence: str
    source: str
    exact: Literal["", "copies", "scaled copies"]
    clusters: bool
    unit: Literal["units", "clusters"]
    control: bool

    @property
    def scales(self) -> bool:
        """Whether it moves a factor from incoming to outgoing weights, which needs an activation f(a z) = a f(z), as ReLU."""
        return self.exact == "scaled copies"


class Activated(Protocol):
    """What is asked of a network: the name of its activation."""

    @property
    def activation(self) -> str:
        """One of the names in `dropclust.core.activation`."""


def is_homogeneous(activation: str) -> bool:
    """Whether f(a z) = a f(z) for every a > 0, so that a factor can be moved from incoming to outgoing weights.

    Examples
    --------
    >>> is_homogeneous("relu"), is_homogeneous("leaky_relu:0.2"), is_homogeneous("tanh")
    (True, True, False)
    """
    return activation in {"relu", "identity"} or activation.startswith("leaky_relu")


def methods_for(network: Activated) -> list[str]:
    """The methods that a network can be compressed by: those that scale neurons need f(a z) = a f(z), as ReLU has it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> set(METHODS) - set(methods_for(SimpleNamespace(activation="tanh")))
    {'neuron_merging'}
    """
    return [name for name, method in METHODS.items() if not method.scales or is_homogeneous(network.activation)]


@dataclass(frozen=True)
class CurvePoint:
    """One number of units and what is left of the accuracy.

    Attributes
    ----------
    units, width
        As asked for, and the width it gave; they differ for "agreement" only.
    accuracy
        Share of the held-out images classified correctly.
    bic
        Bayesian information criterion of the clustering of incoming weights and biases into ``units``, on the scale of a log
        likelihood: higher is better. None where the method has no clustering or the clusters have no spread, as at h.
    calinski_harabasz
        The Calinski-Harabasz criterion of the same clustering: higher is better. None as above and for one cluster.
    """

    units: int
    width: int
    accuracy: float
    bic: float | None
    calinski_harabasz: float | None


@dataclass(frozen=True)
class Choice:
    """The smallest number of units that keeps the accuracy, and what the criteria would have chosen.

    Attributes
    ----------
    units, width, accuracy
        The number chosen, its width and its held-out accuracy.
    accuracy_before, tolerance
        ``accuracy`` is at least ``accuracy_before - tolerance``; where no number reached that, all h units are kept.
    tried
        Every number that was tried, ascending.
    bic_units, calinski_harabasz_units
        The numbers that the two criteria choose among those tried; None where the method has no clustering.
    """

    units: int
    width: int
    accuracy: float
    accuracy_before: float
    tolerance: float
    tried: tuple[CurvePoint, ...]
    bic_units: int | None
    calinski_harabasz_units: int | None


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="paper",
            sentence="Clusters incoming and outgoing weights, keeps the clustering that does better on held-out images, and "
            "gives each cluster the mean of both, with one scale chosen on held-out images.",
            source="Lin, Wang & Chen, Clustering Phenomena in Dropout (2019), section 4.4",
            exact="",
            clusters=True,
            unit="units",
            control=False,
        ),
        Method(
            name="fold",
            sentence="Clusters like the paper, but adds outgoing weights up, so that equal neurons merge without loss.",
            source="the paper's section 4.4 with sums for means: what members of a cluster do together",
            exact="copies",
            clusters=True,
            unit="units",
            control=False,
        ),
        Method(
            name="least_squares",
            sentence="Folds, then fits outgoing weights and the next biases to the original's activations on training images.",
            source="ridge regression (Hoerl & Kennard 1970) on the folded layer's activations",
            exact="copies",
            clusters=True,
            unit="units",
            control=False,
        ),
        Method(
            name="agreement",
            sentence="Merges only groups of neurons that are together in both clusterings, which the paper calls similar nodes "
            "(4.3.1); the width follows from how far the clusterings agree.",
            source="Lin, Wang & Chen (2019), section 5, future work",
            exact="copies",
            clusters=True,
            unit="clusters",
            control=False,
        ),
        Method(
            name="srinivas_babu",
            sentence="Merges one pair at a time, always the one that should change the next layer least, and adds outgoing "
            "weights up.",
            source="Srinivas & Babu, Data-free Parameter Pruning for Deep Neural Networks, BMVC 2015",
            exact="copies",
            clusters=False,
            unit="units",
            control=False,
        ),
        Method(
            name="neuron_merging",
            sentence="Keeps the neurons with the largest incoming weights (L1 norm); each other one joins the kept one of the "
            "most similar direction, in proportion to its length.",
            source="Kim et al., Neuron Merging: Compensating for Pruned Neurons, NeurIPS 2020, without its threshold",
            exact="scaled copies",
            clusters=False,
            unit="units",
            control=False,
        ),
        Method(
            name="prune",
            sentence="Keeps the neurons with the largest incoming weights (L1 norm) and drops the others.",
            source="magnitude pruning, as in Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017",
            exact="",
            clusters=False,
            unit="units",
            control=True,
        ),
        Method(
            name="prune_least_squares",
            sentence="Prunes, then makes the same least-squares repair as least_squares.",
            source="reconstruction after pruning (He, Zhang & Sun, Channel Pruning, ICCV 2017)",
            exact="",
            clusters=False,
            unit="units",
            control=True,
        ),
        Method(
            name="random",
            sentence="Folds random clusters of the same sizes as those of fold.",
            source="a control: what clusters of these sizes do without similarity",
            exact="",
            clusters=True,
            unit="units",
            control=True,
        ),
    )
}
