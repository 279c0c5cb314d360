"""Drawings are made once for equal content, kept up to a bound, and sent as plotly would send them."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
import plotly.io
import plotly.tools
import pytest

from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series
from dropclust.ui.figures import lines, once

CURVES = Curves("t", "x", "y", (Series("line", (0.0, 1.0), (1.0, 2.0), (0.5, 1.5), (1.5, 2.5), 20, Meaning.MEASURED),), "Seen.")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_KEPT", once.Kept())


def counted(calls: list[object]):
    def draw(info: object, height: int = 300) -> go.Figure:
        calls.append(info)
        return lines.curves(info, height)

    return draw


def test_equal_content_is_drawn_once_whoever_made_it():
    calls: list[object] = []
    draw = counted(calls)
    first = once.draw_once(draw, CURVES)
    assert once.draw_once(draw, replace(CURVES)) is first
    assert len(calls) == 1


@pytest.mark.parametrize("other", [replace(CURVES, sentence="Other."), CURVES.marked(0.5), replace(CURVES, points={0.0: 1.0})])
def test_other_content_is_another_drawing(other: Curves):
    calls: list[object] = []
    draw = counted(calls)
    assert once.draw_once(draw, CURVES) is not once.draw_once(draw, other)
    assert len(calls) == 2


def test_other_options_and_other_functions_are_other_drawings():
    calls: list[object] = []
    draw = counted(calls)
    assert once.draw_once(draw, CURVES, height=300) is not once.draw_once(draw, CURVES, height=301)
    assert once.draw_once(lines.curves, CURVES, height=300) is not once.draw_once(draw, CURVES, height=300)


def test_a_finished_figure_is_sent_as_plotly_sends_its_own():
    finished, own = once.draw_once(lines.curves, CURVES), lines.curves(CURVES)
    plain = plotly.tools.return_figure_from_figure_or_data(finished, validate_figure=True)
    assert plotly.io.to_json(plain, validate=False) == own.to_json()
    assert len(finished) == len(own.to_json())
    again = plotly.tools.return_figure_from_figure_or_data(finished, validate_figure=True)
    assert plotly.io.to_json(again, validate=False) == own.to_json()


def test_the_ones_asked_for_longest_ago_go_first():
    kept, made = once.Kept(limit_bytes=10), []

    def get(name: str) -> None:
        kept.get(name, lambda: made.append(name) or b"12345")

    for name in ("a", "b", "a", "c", "a", "b"):
        get(name)
    assert made == ["a", "b", "c", "b"]
    assert len(kept) == 2
    kept.clear()
    assert len(kept) == 0


def test_what_is_larger_than_the_bound_is_given_and_not_kept():
    kept = once.Kept(limit_bytes=3)
    assert kept.get("a", lambda: b"12345") == b"12345"
    assert len(kept) == 0


def test_what_fails_is_tried_again():
    kept = once.Kept()
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: b"1") == b"1"


def test_a_finished_figure_carries_what_is_sent_of_it():
    finished, own = once.draw_once(lines.curves, CURVES), lines.curves(CURVES)
    assert finished.to_dict().written == own.to_json()
