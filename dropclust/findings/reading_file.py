"""What is said of a file that was brought: how it was read, and how well the network does, as a sentence and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_WAYS = 5  # of a first look, that are shown


@dataclass(frozen=True)
class ReadFile:
    """A report of `dropclust.service.files.Reading` in words.

    ``sentence`` is the finding; ``facts`` are pairs of what and how, with the reason for each; ``layers`` and ``ways`` are
    rows of tables: a layer with its tensors, and a way to read the file with its accuracy on the held-out images.
    ``input_scale`` is the name of what the network took before it was read.
    """

    sentence: str
    facts: tuple[tuple[str, str], ...]
    layers: tuple[dict[str, Any], ...]
    ways: tuple[dict[str, Any], ...]
    input_scale: str

    def table(self) -> pd.DataFrame:
        """A row a layer: its tensors, its shape, how its weight lay in the file, what was folded into it."""
        import pandas as pd

        return pd.DataFrame(list(self.layers), columns=["layer", "tensors", "shape", "in the file", "folded in"])

    def tried(self) -> pd.DataFrame:
        """A row a way to read the file, the best first."""
        import pandas as pd

        return pd.DataFrame(list(self.ways), columns=["input", "activation", "held-out accuracy"])

    def lines(self) -> list[str]:
        """All of it as lines of text, for a terminal."""
        text = [self.sentence, *(f"{what}: {how}" for what, how in self.facts)]
        for row in self.layers:
            folded = f"; {row['folded in']}" if row["folded in"] else ""
            text.append(f"layer {row['layer']}: {row['shape']} from {row['tensors']}, {row['in the file']}{folded}")
        text += [f"tried: {row['input']}, {row['activation']}: {row['held-out accuracy']}" for row in self.ways]
        return text


def read_file(report: Mapping[str, Any]) -> ReadFile:
    """Say how a file was read.

    Parameters
    ----------
    report
        What `dropclust.service.files.Reading.report` gives.

    Examples
    --------
    >>> report = {
    ...     "layers": [], "hidden": [24], "outputs": 10, "parameters": 19090, "order": "only this order fits the shapes",
    ...     "input_scale": "standardised", "input_scale_words": "standardised pixels", "activation": "tanh",
    ...     "input_scale_reason": "found on held-out images", "activation_reason": "found on held-out images",
    ...     "accuracy_as_brought": 0.102, "accuracy": 0.974, "tried": [], "left_out": [], "notes": [], "ours": False}
    >>> read_file(report).sentence
    'A perceptron 784-24-10 with tanh and 19,090 parameters: as brought 10.2 %, standardised 97.4 % of the held-out images.'
    """
    widths = "-".join(map(str, (784, *report["hidden"], report["outputs"])))
    network = f"A perceptron {widths} with {report['activation']} and {report['parameters']:,} parameters"
    facts = [
        ("order of layers", report["order"]),
        ("it takes", f"{report['input_scale_words']} ({report['input_scale_reason']})"),
        ("activation", f"{report['activation']} ({report['activation_reason']})"),
    ]
    if report["left_out"]:
        facts.append(("left out", _few(report["left_out"])))
    facts += [("note", note) for note in report["notes"]]
    layers = tuple(
        {
            "layer": row["layer"], "tensors": row["tensors"], "shape": row["shape"], "in the file": row["lay"],
            "folded in": row["folded"],
        }
        for row in report["layers"]
    )  # fmt: skip
    ways = tuple(
        {"input": scale, "activation": activation, "held-out accuracy": f"{accuracy:.4f}"}
        for scale, activation, accuracy in report["tried"][:_WAYS]
    )
    return ReadFile(f"{network}{_accuracy(report)}.", tuple(facts), layers, ways, report["input_scale"])


def _accuracy(report: Mapping[str, Any]) -> str:
    before, after = report["accuracy_as_brought"], report["accuracy"]
    if after is None:
        return "; its accuracy on MNIST was not measured"
    if report["input_scale"] == "pixels" or before is None:
        if before is None or before == after:
            return f": {100 * after:.1f} % of the held-out images classified correctly"
        return f": with ReLU {100 * before:.1f} %, with {report['activation']} {100 * after:.1f} % of the held-out images"
    return f": as brought {100 * before:.1f} %, {report['input_scale']} {100 * after:.1f} % of the held-out images"


def _few(names: list[str], most: int = 8) -> str:
    shown = ", ".join(name[:60] for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
