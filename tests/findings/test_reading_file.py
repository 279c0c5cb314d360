"""What is said of a file is what its report holds, in the sentence, in the tables and on a terminal."""

from __future__ import annotations

from typing import Any

from dropclust.findings.reading_file import read_file

REPORT: dict[str, Any] = {
    "layers": [
        {"layer": 1, "tensors": "fc1.weight, fc1.bias", "shape": "784 to 24", "lay": "[out, in]", "folded": "BatchNorm bn1"},
        {"layer": 2, "tensors": "fc2.weight, fc2.bias", "shape": "24 to 10", "lay": "[out, in]", "folded": ""},
    ],
    "hidden": [24], "outputs": 10, "parameters": 19_090, "order": "only this order fits the shapes",
    "input_scale": "standardised", "input_scale_words": "standardised pixels", "input_scale_reason": "found on held-out images",
    "activation": "relu", "activation_reason": "as brought; nothing tells another", "accuracy_as_brought": 0.102,
    "accuracy": 0.974, "tried": [["standardised", "relu", 0.974], ["pixels", "relu", 0.102]],
    "left_out": [f"optimizer.{n}" for n in range(12)], "notes": ["changed since it was written"], "ours": False,
}  # fmt: skip


def test_the_sentence_has_both_accuracies() -> None:
    found = read_file(REPORT)
    assert found.sentence == (
        "A perceptron 784-24-10 with relu and 19,090 parameters: as brought 10.2 %, standardised 97.4 % of the held-out images."
    )
    as_it_is = read_file({**REPORT, "input_scale": "pixels", "accuracy_as_brought": 0.974})
    assert as_it_is.sentence.endswith(": 97.4 % of the held-out images classified correctly.")
    unknown = read_file({**REPORT, "accuracy": None, "accuracy_as_brought": None})
    assert unknown.sentence.endswith("was not measured.")


def test_tables_and_lines_hold_all_of_it() -> None:
    found = read_file(REPORT)
    assert list(found.table()["folded in"]) == ["BatchNorm bn1", ""]
    assert list(found.tried()["held-out accuracy"]) == ["0.9740", "0.1020"]
    text = "\n".join(found.lines())
    for words in (
        "only this order fits the shapes", "standardised pixels (found on held-out images)", "and 4 more",
        "note: changed since it was written", "layer 1: 784 to 24 from fc1.weight, fc1.bias, [out, in]; BatchNorm bn1",
    ):  # fmt: skip
        assert words in text
    assert read_file({**REPORT, "layers": [], "tried": []}).table().empty
