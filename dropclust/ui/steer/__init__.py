"""The live run on a page: controls, neurons and strips in one component, which the server feeds beside Streamlit's reruns."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from dropclust.findings.meaning import Meaning
from dropclust.service.feed import PATH
from dropclust.ui.explorer import text as of_explorer
from dropclust.ui.style import style

__all__ = ["neurons", "steer", "text"]

# What the strips mean, so that they look as on every other chart.
MEANINGS = {
    "rate": Meaning.DROPOUT,
    "acted": Meaning.CHOSEN,
    "adjusted": Meaning.MEASURED,
    "chance": Meaning.CHANCE,
    "twins": Meaning.TWINS,
    "accuracy": Meaning.SCALED,
}


@cache
def _component() -> ComponentRenderer:
    """Register the component once a process, from the plain files beside this one."""
    js = neurons() + text("steer.js")
    return st.components.v2.component("dropclust_steer", html=text("steer.html"), css=text("steer.css"), js=js)


def neurons() -> str:
    """The script that every component has first that draws neurons so, as ``steer.css`` is its style."""
    return of_explorer("looks.js") + text("neurons.js")


@cache
def text(name: str) -> str:
    """A plain file beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def steer(name: str, token: str, key: str, layer: int, present: bool = False) -> None:
    """Show a live run: it is steered and seen without a rerun of the page.

    Parameters
    ----------
    name
        The run.
    token
        What whoever started it steers it with, and the browser keeps for a reload; empty for everybody else.
    key
        Name of the component in the session.
    layer
        The hidden layer, from 1, whose neurons are seen first.
    present
        Whether it stands on a lecture's screen.
    """
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    looks = {name: {"colour": style(of).colour, "dash": style(of).dash} for name, of in MEANINGS.items()}
    before = f"/{base}/" if base else "/"
    run = {"name": name, "token": token, "layer": layer, "base": before, "feed": f"{before}{PATH}/{name}"}
    _component()(key=key, data={**run, "looks": looks, "present": present})
