"""The drawing canvas on Python's side: what a browser may send, and what is kept of it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from dropclust.ui import drawing

ONE = [0.0] * 783 + [0.5]


def test_an_image_comes_through_in_float32():
    image = drawing.checked(ONE)
    assert image is not None
    assert image.dtype == np.float32
    assert image.tolist() == ONE


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        [0.0] * 784,  # no ink
        [0] * 784,
        ONE[1:],
        [*ONE, 0.5],
        [*ONE[1:], 1.0001],
        [*ONE[1:], -0.0001],
        [*ONE[1:], math.nan],
        [*ONE[1:], math.inf],
        [*ONE[1:], 10**400],
        [*ONE[1:], True],
        [*ONE[1:], "0.5"],
        [*ONE[1:], None],
        [*ONE[1:], [0.5]],
        [ONE],
        "0" * 784,
        dict.fromkeys(range(784), 0.5),
        7,
    ],
    ids=lambda message: repr(message)[-30:],
)
def test_what_is_no_image_is_none(message):
    assert drawing.checked(message) is None


json_like = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
)


@given(json_like, some.integers(0, 782))
def test_any_message_gives_an_image_or_none(strange, at):
    assert drawing.checked(strange) is None
    image = drawing.checked([*ONE[:at], strange, *ONE[at + 1 :]])
    good = type(strange) in (int, float) and 0 <= strange <= 1
    assert (image is not None) == good
    if image is not None:
        assert image[at] == np.float32(strange)


@pytest.mark.parametrize("state", [{}, {"pixels": None}, {"pixels": "x"}, {"other": 1}])
def test_a_tampered_message_empties_the_canvas(monkeypatch, state):
    session: dict[str, Any] = {"canvas": state, "canvas-kept": drawing.checked(ONE)}
    monkeypatch.setattr(drawing, "st", SimpleNamespace(session_state=session))
    drawing._keep("canvas")
    assert session["canvas-kept"] is None
    session["canvas"] = {"pixels": ONE}
    drawing._keep("canvas")
    assert session["canvas-kept"].tolist() == ONE


def page() -> None:
    """Say what the canvas holds."""
    import streamlit as st

    from dropclust.ui.drawing import draw

    image = draw("canvas")
    st.write("nothing" if image is None else f"{image.dtype} {image.shape} {image.sum():.2f}")


@pytest.mark.parametrize(("kept", "said"), [(None, "nothing"), (ONE, "float32 (784,) 0.50")])
def test_a_canvas_shows_what_was_kept(kept, said):
    app = AppTest.from_function(page)
    if kept is not None:
        app.session_state["canvas-kept"] = drawing.checked(kept)
    assert [each.value for each in app.run().markdown] == [said]
