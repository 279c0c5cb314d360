"""The paper's symbols and words beside the code's, as data."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dropclust.findings import words

BEGIN, END = "<!-- glossary -->", "<!-- /glossary -->"
OURS = "ours"


@dataclass(frozen=True)
class Term:
    """A word, and what it is.

    Parameters
    ----------
    term
        The word.
    symbol
        What the paper writes for it, or empty.
    place
        Where the paper says it, or `OURS`.
    code
        The module, a colon, and the name in it.
    sentence
        What it is, in one plain sentence.
    """

    term: str
    symbol: str
    place: str
    code: str
    sentence: str

    @property
    def written(self) -> str:
        """Symbol and place: "M, section 1"."""
        return ", ".join(filter(None, [self.symbol, self.place]))

    @property
    def source(self) -> str:
        """Whose word it is: "the paper's M, section 1"."""
        return "not the paper's word" if self.place == OURS else f"the paper's {self.written}"

    @property
    def name(self) -> str:
        """What the code calls it, as one writes it."""
        return self.code.replace(":", ".")


TERMS = (
    Term("dropout rate", "p", "section 1", "dropclust:RunSpec.dropout", "The chance that a hidden unit is dropped, by layer."),
    Term(
        "mask", "M", "section 1", "dropclust.core.noise:multiplier",
        "What each unit's output is multiplied by: for vanilla dropout 0 where it is dropped, drawn anew for every image.",
    ),
    Term(
        "model distribution", "script M", "section 1", "dropclust:RunSpec.noise",
        "How masks are drawn: Bernoulli (vanilla dropout), Gaussian, or weights dropped in place of units (DropConnect).",
    ),
    Term(
        "output", "o(x; M)", "section 1", "dropclust.core.prediction:Sampled.votes",
        "What a network with one mask answers to an image; the votes say which share of the masks answers with each digit.",
    ),
    Term(
        "scaled", "o(x; E[M])", "section 3.1, equation 2", "dropclust:scaled_logits",
        "One pass with every mask replaced by its mean, as is usual at test time.",
    ),
    Term(
        "sampled", "exp(mean of log o(x; M))", "section 3.1", "dropclust:sample",
        "The geometric mean of the answers of many masks, made to sum to one.",
    ),
    Term(
        "loss", "l(o, y)", "section 1", "dropclust.core.metrics:cross_entropy",
        "Minus the logarithm of the probability given to the true digit, in nats, mean over images.",
    ),
    Term(
        "batch size", "n", "section 4.1.2, Table 1", "dropclust:RunSpec.batch_size", "How many images one gradient step sees.",
    ),
    Term(
        "model variance", "Var with index theta", "section 4.2, Figure 2", "dropclust:model_variance",
        "How far the predictions of ten models differ, each trained on 10,000 images of its own: variance over models, mean "
        "over images and outputs.",
    ),
    Term(
        "MSTD", "MSTD", "section 3.2", "dropclust:mstd",
        "Mean sampling standard deviation: how far a logit moves from mask to mask, mean over images and logits.",
    ),
    Term(
        "width", "h", "section 4.3.2, Figure 3", "dropclust:RunSpec.hidden", "How many neurons a hidden layer has.",
    ),
    Term(
        "clusters in theory", "k", "section 4.3.2, equation 4", "dropclust.core.power_law:same_cluster_chance",
        "In how many equal groups the h neurons of a layer are supposed to fall.",
    ),
    Term(
        "kappa", "kappa", "section 4.3.2", "dropclust.core.power_law:kappa_from_slope",
        "The power of h with which the number of clusters grows, between 0 and 1.",
    ),
    Term(
        "covariance within a cluster", "sigma", "section 4.3.2, equation 4", "dropclust.core.power_law:clustered_variance",
        "How strongly two neurons of one cluster vary together; neurons of different clusters are supposed not to.",
    ),
    Term(
        "similar nodes", "", "section 4.3.1", "dropclust:compress",
        "Neurons that share a cluster by incoming and by outgoing weights alike; the method agreement merges these alone.",
    ),
    Term(
        "Rand index", "", "section 4.3.1, Table 2", "dropclust.core.similarity:Similarity.rand",
        "The share of pairs of neurons that both clusterings put together, or both apart; chance alone gives much of it.",
    ),
    Term(
        "adjusted Rand index", "", OURS, "dropclust.core.similarity:Similarity.adjusted_rand",
        "The Rand index with chance taken out: 0 by chance, 1 when the clusterings are equal.",
    ),
    Term(
        "twins", "", OURS, "dropclust:twins",
        "Two neurons of a layer that act alike: their activations on the same images correlate above .9; shares are of the "
        "living neurons.",
    ),
    Term(
        "compressed units", "C", "section 4.4, Table 3", "dropclust:compress",
        "How many units are left of a layer when each cluster becomes one.",
    ),
    Term(
        "pruning", "", OURS, "dropclust:compress",
        "Neurons are dropped, those with the smallest incoming weights first, and none is merged.",
    ),
    Term(
        "refitting", "", OURS, "dropclust:compress",
        "Outgoing weights are fitted again by least squares, so that fewer neurons pass on what all of them did.",
    ),
    Term(
        "held-out images", "", OURS, "dropclust.core.mnist:Data.held_x",
        "Images that no network learns from: all choices are made on them, so that the test images only prove.",
    ),
    Term(
        "recipe", "", OURS, "dropclust:RunSpec.recipe",
        "Optimiser, learning rate and initial weights, which the paper does not give.",
    ),
)  # fmt: skip


def explained(*names: str) -> str:
    """These words, a paragraph each with what the paper writes for it and where, as Markdown.

    Raises
    ------
    KeyError
        For a word that the glossary lacks.

    Examples
    --------
    >>> explained("dropout rate")
    "**dropout rate** (the paper's p, section 1): The chance that a hidden unit is dropped, by layer."
    """
    terms = {term.term: term for term in TERMS}
    return "\n\n".join(f"**{name}** ({terms[name].source}): {words.capital(terms[name].sentence)}" for name in names)


def table() -> pd.DataFrame:
    """The terms, a row each."""
    return pd.DataFrame(
        [
            {"term": term.term, "in the paper": term.written, "in the code": term.name, "what it is": term.sentence}
            for term in TERMS
        ]
    )


def markdown() -> str:
    """The terms as README holds them, between its marks.

    Examples
    --------
    >>> markdown().splitlines()[4]
    '| dropout rate | p, section 1 | `dropclust.RunSpec.dropout` | The chance that a hidden unit is dropped, by layer. |'
    """
    lines = [BEGIN, "", "| term | in the paper | in the code | what it is |", "| --- | --- | --- | --- |"]
    lines += [f"| {term.term} | {term.written} | `{term.name}` | {words.capital(term.sentence)} |" for term in TERMS]
    return "\n".join([*lines, "", END])
