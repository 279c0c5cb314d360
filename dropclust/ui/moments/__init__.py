"""Neurons over the time of training: a time slider under which those of four networks move together."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer
from streamlit.runtime import get_instance

from dropclust.core.arrays import Ints
from dropclust.findings.moments import Moments, Snapshot
from dropclust.findings.onset import NAMES
from dropclust.service.sheet import written
from dropclust.ui.explorer.files import packed
from dropclust.ui.steer import neurons, text

__all__ = ["file", "moments"]


@cache
def _component() -> ComponentRenderer:
    """Register the component once a process: neurons are drawn as a live run's are."""
    folder = Path(__file__).parent
    html, css, js = ((folder / f"moments.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("dropclust_moments", html=html, css=text("steer.css") + css, js=neurons() + js)


def file(info: Moments) -> bytes:
    """All that the browser shows, as compressed JSON; equal findings, equal bytes."""
    return packed(
        {
            "layer": info.layer,
            "examples": list(info.examples),
            "switch": info.switch,
            "courses": [
                {"name": NAMES[course], "looks": [_sent(snapshot) for snapshot in snapshots]}
                for course, snapshots in info.courses.items()
            ],
        }
    )


def _sent(seen: Snapshot) -> dict[str, Any]:
    """A look as a live run sends it, and its picture."""
    return {
        "clusters": _base64(seen.clusters),
        "twin": _base64(seen.twin),
        "flags": _base64(seen.agree * 1 + seen.dead * 2),
        "twins": seen.twins,
        "adjusted": round(seen.adjusted_rand, 3),
        "picture": base64.b64encode(written(seen.shades)).decode("ascii"),
    }


def _base64(values: Ints | npt.NDArray[np.int64]) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode("ascii")


def moments(content: bytes, key: str) -> None:
    """Show what `file` made. The browser fetches it by an address that names its content, once; moving is answered there.

    Parameters
    ----------
    content
        Of `file`.
    key
        Name of the component in the session.
    """
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    path = get_instance().media_file_mgr.add(content, "application/gzip", f"{key}-file")
    _component()(key=key, data={"file": f"/{base}{path}" if base else path})
