"""What a line, a bar or a marker stands for: a closed set. Colour, dash and marker follow from it, where they are drawn."""

from __future__ import annotations

from enum import Enum


class Meaning(Enum):
    """What a mark of a chart stands for; the value names it for a viewer.

    Examples
    --------
    >>> Meaning.CHANCE.value
    'by chance'
    """

    MEASURED = "measured"  # the quantity that the chart is about, where nothing below says more
    CHANCE = "by chance"
    PAPER = "paper"
    CHOSEN = "chosen by the viewer"  # the place on an axis that a control points at
    GUESS = "your guess"
    OTHERS_GUESS = "earlier guesses"
    OWN_RUN = "stored runs"
    EXACT = "exact"  # from a formula or by enumeration, no Monte Carlo error
    LIMIT = "many masks"  # what stands for the truth where no formula gives it
    CONTROL = "control"
    FRESH = "fresh seeds"
    OTHER_CHOICE = "another choice"
    CLAIM = "where the claim holds"
    THEORY = "as derived"
    THEORY_CORRECTED = "as derived, corrected"

    # How a network was trained.
    DROPOUT = "with dropout"
    DROPOUT_FIRST = "with dropout in layer 1"
    NO_DROPOUT = "without dropout"
    UNTRAINED = "not trained"
    DROPOUT_LAST = "with dropout in the last layer"
    SWITCHED_ON = "dropout switched on"
    SWITCHED_OFF = "dropout switched off"

    # The noise.
    BERNOULLI = "Bernoulli noise"
    GAUSSIAN = "Gaussian noise"
    DROPCONNECT = "DropConnect"

    # How a network predicts.
    SCALED = "scaled"
    SAMPLED = "sampled"  # the renormalised geometric mean over masks (paper 3.1)
    ARITHMETIC = "arithmetic mean of the masks"
    ONE_MASK = "one mask"
    PROPAGATED = "propagated moments"
    VOTES = "votes of the masks"

    # Agreement of two clusterings, and likeness of neurons.
    LIVING = "neurons that are ever active"
    MUTUAL_INFORMATION = "adjusted mutual information"
    ELEMENT_CENTRIC = "element-centric similarity"
    WITHIN = "within a cluster"
    ACROSS = "across clusters"
    TWINS = "twins"
    TWINS_LOOSE = "twins, correlation above .8"
    TWINS_STRICT = "twins, correlation above .95"

    # How a layer was compressed.
    METHOD_PAPER = "the paper's method"
    LEAST_SQUARES = "least squares"
    PRUNE = "pruning"
    PRUNE_LEAST_SQUARES = "pruning with least squares"
    RANDOM_CLUSTERS = "random clusters"
    BEFORE = "before compression"
    AFTER = "after compression"


NOISE = {"bernoulli": Meaning.BERNOULLI, "gaussian": Meaning.GAUSSIAN, "dropconnect": Meaning.DROPCONNECT}
PREDICTION = {"train": Meaning.ONE_MASK, "scaled": Meaning.SCALED, "sampled": Meaning.SAMPLED}
