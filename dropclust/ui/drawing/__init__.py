"""A canvas to draw a digit on, by mouse, finger or arrow keys: it gives the digit as MNIST would hold it."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from dropclust.core.spec import INPUTS

__all__ = ["draw"]


@cache
def _component() -> ComponentRenderer:
    """Register the component once a process, from the plain files beside this one."""
    folder = Path(__file__).parent
    html, css, js = ((folder / f"drawing.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("dropclust_drawing", html=html, css=css, js=js)


def draw(key: str) -> npt.NDArray[np.float32] | None:
    """Show the canvas; the script runs again when a stroke ends.

    The browser scales the drawing into a box of 20 x 20 pixels, keeping its aspect ratio, and moves its centre of mass to where
    MNIST puts it in 28 x 28 (LeCun, Cortes & Burges, The MNIST database). A drawing is kept while the component is away.

    Parameters
    ----------
    key
        Name of the component in the session.

    Returns
    -------
    numpy.ndarray or None
        float32 ``[784]`` in [0, 1], ink is 1, as `core.mnist` holds images; None while the canvas is empty.
    """
    pixels: npt.NDArray[np.float32] | None = st.session_state.get(_kept(key))
    _component()(
        key=key,
        data={"start": [] if pixels is None else [round(value, 3) for value in pixels.tolist()]},
        default={"pixels": None},
        on_pixels_change=partial(_keep, key),
    )
    return pixels


def checked(message: Any) -> npt.NDArray[np.float32] | None:
    """An image from what a browser sent, which may be anything; None when it is no image, or one without ink."""
    if not isinstance(message, list) or len(message) != INPUTS:
        return None
    if not all(type(value) in (int, float) and 0 <= value <= 1 for value in message):  # NaN fails both
        return None
    return np.array(message, dtype=np.float32) if any(message) else None


def _kept(key: str) -> str:
    """Where a drawing lies in the session: Streamlit forgets a component's own state when it is not shown."""
    return f"{key}-kept"


def _keep(key: str) -> None:
    st.session_state[_kept(key)] = checked(st.session_state[key].get("pixels"))
