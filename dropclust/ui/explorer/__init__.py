"""The drag-to-see component: a rate slider under which neurons glide together while the charts' markers move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from dropclust.findings.explorer import Question
from dropclust.findings.tour import PAPER, STEPS, TWINS
from dropclust.service.media import Together
from dropclust.ui.explorer.scene import Scene, build_scene

__all__ = ["SKIPPED", "Scene", "Seen", "build_scene", "explorer"]

SKIPPED = -1  # in place of a guess
_served: WeakKeyDictionary[Scene, Together] = WeakKeyDictionary()


@dataclass(frozen=True)
class Seen:
    """What the explorer shows.

    Parameters
    ----------
    index
        Into the scene's rates.
    view
        Neurons that act alike, `tour.TWINS`, or what the paper measures, `tour.PAPER`.
    step
        Of the tour, from 1; 0 when it is not taken.
    guess
        How many neurons the viewer guessed, `SKIPPED`, or None before either.
    go
        Address, below the app's own, of the page that the viewer goes on to; empty for none.
    """

    index: int
    view: str = TWINS
    step: int = 0
    guess: int | None = None
    go: str = ""


@cache
def _component() -> ComponentRenderer:
    """Register the component once a process, from the plain files beside this one."""
    html, css, js = (text(name) for name in ("explorer.html", "explorer.css", "loader.js"))
    return st.components.v2.component("dropclust_explorer", html=html, css=css, js=js)


@cache
def text(name: str) -> str:
    """A plain file beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def script() -> str:
    """The explorer's own script, with what it shares with others that draw neurons (``looks.js``) before it."""
    return text("looks.js") + text("explorer.js")


def explorer(
    scene: Scene, start: Seen, key: str, question: Question | None = None, present: bool = False, network: str = ""
) -> Seen:
    """Show a scene; dragging is answered in the browser, and the script runs again when the slider is let go.

    Parameters
    ----------
    scene
        What is shown. The browser fetches it by addresses that name its content, each once, and a picture when it is needed.
    start
        How it first stands. Later values are of no effect until the component has been away from the page: the viewer's hand
        decides.
    key
        Name of the component in the session.
    question
        What the viewer is asked to guess before anything that answers it is shown; heeded when the component comes to the page.
    present
        Larger, for a lecture; the tour's links lead on in it.
    network
        Key of the network at `tour.MERGED`, which the tour's link to Compress carries; empty when nothing is stored.

    Returns
    -------
    Seen
        What the viewer last let go at.

    Raises
    ------
    ValueError
        When ``start`` has no index of a rate.
    """
    last = len(scene.rates) - 1
    if not 0 <= start.index <= last:
        raise ValueError(f"start must have an index from 0 to {last}; got {start.index!r}")
    first = f"{key}-start"
    if key not in st.session_state:
        st.session_state[first] = start
    begun: Seen = st.session_state[first]
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    result = _component()(
        key=key,
        data={
            "start": {"index": begun.index, "view": begun.view, "step": begun.step},
            "ask": question and {
                "text": question.text, "answered": question.answered, "index": _index(scene, question.rate),
            },
            "present": present,
            "network": network,
            "links": f"/{base}/" if base else "/",
            **_addresses(scene, key, base),
        },
        default={"seen": {"index": begun.index, "view": begun.view, "step": begun.step, "guess": None}},
        on_seen_change=_heard,
        on_go_change=_heard,
    )  # fmt: skip
    return replace(_seen(result.seen, last), go=str(result.go or ""))


def _seen(told: Any, last: int) -> Seen:
    """What the browser says, as far as it can be."""
    index, step, guess = (told[name] for name in ("index", "step", "guess"))
    return Seen(
        max(0, min(int(index), last)),
        PAPER if told["view"] == PAPER else TWINS,
        max(0, min(int(step), len(STEPS))),
        None if guess is None else max(SKIPPED, int(guess)),
    )


def _index(scene: Scene, rate: float) -> int:
    return min(range(len(scene.rates)), key=lambda at: abs(scene.rates[at] - rate))


def _addresses(scene: Scene, key: str, base: str) -> dict[str, Any]:
    """Where the scene's files are fetched; Streamlit keeps them as long as a session that asked for them is there."""
    paths = _together(scene).paths(key)
    code, layer, clusters, *pictures = (f"/{base}{path}" for path in paths) if base else paths
    # No list: Streamlit tries whether one is a table.
    return {"code": code, "layer": layer, "clusters": clusters, "pictures": tuple(pictures)}


def _together(scene: Scene) -> Together:
    """A scene's files, as they are served."""
    if scene not in _served:
        files = scene.files
        _served[scene] = Together(
            [
                (script().encode(), "text/javascript"),
                (files.layer, "application/gzip"),
                (files.clusters, "application/gzip"),
                *((content, "image/webp") for content in files.pictures),
            ]
        )
    return _served[scene]


def _heard() -> None:
    """Nothing to do: the rerun itself reads what is seen. Streamlit keeps a state only where it is listened to."""
