"""The drag-to-see component: a rate slider under which neurons glide into clusters while the charts' markers move."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer
from streamlit.runtime import get_instance

from dropclust.ui.explorer.scene import Scene, build_scene

__all__ = ["Scene", "build_scene", "explorer"]


@cache
def _component() -> ComponentRenderer:
    """Register the component once a process, from the plain files beside this one."""
    html, css, js = (_text(name) for name in ("explorer.html", "explorer.css", "loader.js"))
    return st.components.v2.component("dropclust_explorer", html=html, css=css, js=js)


@cache
def _text(name: str) -> str:
    """A plain file beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def explorer(scene: Scene, start: int, key: str, veiled: bool = False) -> int:
    """Show a scene; dragging is answered in the browser, and the script runs again when the slider is let go.

    Parameters
    ----------
    scene
        What is shown. The browser fetches it by addresses that name its content, each once, and a picture when it is needed.
    start
        Index into ``scene.rates`` at which the slider first stands. Later values are of no effect until the component has
        been away from the page: the viewer's hand decides.
    key
        Name of the component in the session.
    veiled
        Hides how far the two clusterings agree, for a viewer who is asked to guess it first.

    Returns
    -------
    int
        Index into ``scene.rates`` of the rate that the viewer last let go at.

    Raises
    ------
    ValueError
        When ``start`` is no index of a rate.
    """
    last = len(scene.rates) - 1
    if not 0 <= start <= last:
        raise ValueError(f"start must be an index from 0 to {last}; got {start!r}")
    first = f"{key}-start"
    if key not in st.session_state:
        st.session_state[first] = start
    begun = st.session_state[first]
    result = _component()(
        key=key,
        data={"start": begun, "veiled": veiled, **_addresses(scene, key)},
        default={"index": begun},
        on_index_change=_heard,
    )
    return max(0, min(int(result.index), last))


def _addresses(scene: Scene, key: str) -> dict[str, Any]:
    """Where the scene's files are fetched; Streamlit keeps them as long as a session that asked for them is there."""
    files, base = scene.files, str(st.get_option("server.baseUrlPath")).strip("/")

    def address(content: bytes, kind: str, name: str) -> str:
        path = get_instance().media_file_mgr.add(content, kind, f"{key}-{name}")
        return f"/{base}{path}" if base else path

    return {
        "code": address(_text("explorer.js").encode(), "text/javascript", "code"),
        "layer": address(files.layer, "application/gzip", "layer"),
        "clusters": address(files.clusters, "application/gzip", "clusters"),
        "pictures": [address(content, "image/webp", f"picture-{rate}") for rate, content in enumerate(files.pictures)],
    }


def _heard() -> None:
    """Nothing to do: the rerun itself reads the index. Streamlit keeps a state only where it is listened to."""
