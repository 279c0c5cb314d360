"""What stands around every page: style, navigation, presentation mode, the link to a view, the next question, what is said."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import segno
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.scriptrunner import get_script_run_ctx

import dropclust.ui
from dropclust.findings.outside import as_text
from dropclust.findings.tour import STEPS
from dropclust.service import dashboard
from dropclust.service.parameter import Parameter
from dropclust.ui import state

PRESENT = Parameter("present", "Presentation mode", "0", ("0", "1"))
HIDE = "hide"  # names of controls that a link leaves out, with commas between: each keeps the value that the link gives it
state.declare(HIDE)
# In the session: pages change, these stay.
LED = "led here by the tour"  # to which page, and by which step
_PRESENTING, _HIDDEN, _SAID = "presenting", "hidden controls", "said aloud"
# Who presents sees them all the time, in the corner that no title reaches.
KEYS = (
    '<p class="lecture-keys"><b>P</b> or <b>Escape</b> ends the presentation · <b>L</b> link and QR code · '
    "<b>F</b> full screen · <b>Page Up</b>, <b>Page Down</b> other pages</p>"
)
ALONE = (
    "Only this machine can open this address: for a class, start the app with "
    "`python -m dropclust dashboard --address 0.0.0.0`."
)
_ICON = Path(dropclust.ui.__file__).with_name("icon.png").read_bytes()
_HERE_ALONE = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True)
class Entry:
    """A page, as the navigation shows it.

    Parameters
    ----------
    group
        See, Do or Check.
    file
        Its file in pages/ without ending, which is its address too.
    title
        Its name in the navigation.
    icon
        A Material icon's name.
    question
        What it answers: with it the page before leads here.
    """

    group: str
    file: str
    title: str
    icon: str
    question: str


class Shell:
    """The pages of the app, and what stands around the one that is shown.

    Parameters
    ----------
    entries
        In the order in which one leads to the next; the first is shown at the app's own address.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        context = get_script_run_ctx()
        # Copies, for Streamlit marks the page that it shows.
        script = context.pages_manager.main_script_path if context else ""
        self.pages = [copy.copy(page) for page in _pages(script, self.entries)]
        shown = context.page_script_hash if context else ""
        self._title = next((_title(page) for page in self.pages if page._script_hash == shown), "DropClust")

    def configure(self) -> None:
        """The browser's title, the app's icon and width: before the navigation, which else fetches an icon elsewhere."""
        st.set_page_config(self._title, page_icon=_ICON, layout="wide")

    def open(self) -> StreamlitPage:
        """Navigation, style and the browser's title; returns the page to run."""
        groups: dict[str, list[StreamlitPage]] = {}
        for entry, page in zip(self.entries, self.pages, strict=True):
            groups.setdefault(entry.group, []).append(page)
        page = st.navigation(groups, position="top")
        entry = self.entries[self._place(page)]
        if _title(page) != self._title:  # what was asked for is no page's address
            st.set_page_config(_title(page))
        enter()
        here = f'[data-testid="stHeader"]::after {{ content: "{entry.group}: {entry.title}"; }}'
        st.html(f"<style>{_style('shell.css')}{here}{_style('present.css') if presenting() else ''}</style>")
        if presenting():
            st.html(KEYS)
        return page

    def close(self, page: StreamlitPage) -> None:
        """What stands at a page's end: the next question, presentation mode, the link to what is seen."""
        place, on = self._place(page), presenting()
        kept = {PRESENT.name: "1"} if on else {}  # a page that is loaded again is still presented
        after, label, onward = (place + 1) % len(self.pages), "", kept
        before, back, backward = place - 1, "Back", kept
        led, step = st.session_state.get(LED, ("", 0))
        guided = led == self.entries[place].file
        if place == 0:  # back where the tour is: it leads on anew, or was ended
            st.session_state.pop(LED, None)
        if guided:  # the tour goes on where it led here from
            before, back, backward = 0, "Back to the tour", {**kept, "step": str(step)}
            if step < len(STEPS):
                after, label, onward = 0, f"On with the tour: {STEPS[step].title}", {**kept, "step": str(step + 1)}
        label = label or f"Next: {self.entries[after].question}"
        with st.container(key="shell-foot"):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.page_link(self.pages[after], label=label, icon=":material/arrow_forward:", query_params=onward)
                if on or guided:
                    with st.container(key="shell-back", width="content"):
                        st.page_link(self.pages[before], label=back, icon=":material/arrow_back:", query_params=backward)
                if on:
                    st.html('<button class="full-screen">Full screen <span class="key">(F)</span></button>', width="content")
                label = "End presentation :gray[(P)]" if on else "Present :gray[(P)]"
                st.button(label, key="shell-present", icon=":material/slideshow:", on_click=_toggle)
            _link()
            _say_unknown()
            # What the address bar is not told as one arrives, the script writes there.
            along = {name: st.query_params[name] for name in st.session_state.get(state.LAST, ()) if name in st.query_params}
            data = {"page": page.title, "said": st.session_state.get(_SAID) or "", "presenting": on, "along": along}
            # Its key is the page's: what one page said last is no news on the next.
            _component()(key=f"shell-unseen-{self.entries[place].file}", data=data, on_toggled_change=_toggle)

    def _place(self, page: StreamlitPage) -> int:
        return [each.url_path for each in self.pages].index(page.url_path)


@lru_cache(maxsize=8)
def _pages(script: str, entries: tuple[Entry, ...]) -> tuple[StreamlitPage, ...]:
    """The pages beside a router's script, looked for once: that their files are there takes a tenth of a rerun to see."""
    return tuple(
        st.Page(f"pages/{entry.file}.py", title=entry.title, icon=f":material/{entry.icon}:", default=entry is entries[0])
        for entry in entries
    )


def _title(page: StreamlitPage) -> str:
    """What the browser calls a page."""
    return f"{page.title} · DropClust"


@cache
def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def _style(name: str) -> str:
    """A style sheet in one line, without its comments: every run sends it, and Streamlit goes through each of its lines."""
    return " ".join(re.sub(r"/\*.*?\*/", "", _read(name), flags=re.DOTALL).split())


@cache
def _component() -> ComponentRenderer:
    """Register the component once a process."""
    return st.components.v2.component("dropclust_shell", js=_read("shell.js"))


def enter() -> None:
    """Take from the address how the app is shown; a session keeps it from page to page."""
    st.session_state[_SAID] = ""
    if PRESENT.name in st.query_params:
        state.check([PRESENT])
        st.session_state[_PRESENTING] = state.value(PRESENT) == "1"
    if HIDE in st.query_params:
        names = {name.strip() for text in st.query_params.get_all(HIDE) for name in text.split(",")}
        st.session_state[_HIDDEN] = frozenset(names - {""})


def presenting() -> bool:
    """Whether the app is shown to a room."""
    return bool(st.session_state.get(_PRESENTING, False))


def hidden(name: str) -> bool:
    """Whether the link leaves a control out."""
    return name in st.session_state.get(_HIDDEN, ())


def say(sentence: str) -> None:
    """Name what a page finds: a screen reader hears the first such sentence when a control has changed it."""
    if not st.session_state.get(_SAID):
        st.session_state[_SAID] = sentence


def _toggle() -> None:
    on = not presenting()
    st.session_state[_PRESENTING] = on
    state.put(PRESENT, "1" if on else "0")


def _say_unknown() -> None:
    """Once a page has run, its controls are known; what the link hides beside them is said, and once."""
    unknown = sorted(st.session_state.get(_HIDDEN, frozenset()) - state.declared())
    if unknown and not st.session_state.get("unknown hidden said"):
        st.session_state["unknown hidden said"] = True
        listed = ", ".join(name[:40] for name in unknown[:5])
        st.warning(f"{as_text(f'hide names {listed}')}, which no control here is called.", icon=":material/link_off:")


def address(page: str, query: dict[str, list[str]], listens: str | None, lan: str | None) -> str:
    """The address of a view as another machine reaches it.

    Parameters
    ----------
    page
        What the browser that asks calls this page.
    query
        What the address shall hold.
    listens
        What the server listens on.
    lan
        This machine's address in its network, where it has one.

    Examples
    --------
    >>> address("http://localhost:8501/train", {"rate": ["0.4"]}, "0.0.0.0", "10.0.0.7")
    'http://10.0.0.7:8501/train?rate=0.4'
    >>> address("http://localhost:8501/", {}, "localhost", "10.0.0.7")
    'http://localhost:8501/'
    """
    parts = urlsplit(page)
    place = parts.netloc
    if parts.hostname in _HERE_ALONE and listens in _EVERYWHERE and lan:
        place = lan + (f":{parts.port}" if parts.port else "")
    return urlunsplit((parts.scheme, place, parts.path, urlencode(query, doseq=True), ""))


def qr(text: str) -> str:
    """A QR code as SVG, black on white in any theme, as wide as it may be.

    Examples
    --------
    >>> qr("http://localhost:8501")[:4]
    '<svg'
    """
    written = io.BytesIO()
    segno.make(text, error="m").save(
        written, kind="svg", border=4, dark="#000", light="#fff", omitsize=True, xmldecl=False, svgns=True, nl=False
    )
    return written.getvalue().decode()


def _link() -> None:
    """The link to what is seen, as text and as a QR code for a room: made when it is opened."""
    folded = st.expander("Link to this view :gray[(L)]", icon=":material/qr_code_2:", key="shell-link", on_change="rerun")
    if not folded.open:
        return
    with folded:
        # Who scans the code of a lecture is no lecturer.
        query: dict[str, list[str]] = {name: st.query_params.get_all(name) for name in st.query_params if name != PRESENT.name}
        left, right = st.columns([3, 2])
        with right:
            if st.toggle("Opens in presentation mode", key="shell-link-present"):
                query[PRESENT.name] = ["1"]
            names = st.multiselect(
                "Leave out", sorted(st.session_state.get("controls seen", {}).items()), format_func=lambda item: item[1],
                key="shell-link-hide", placeholder="Controls that keep the value they have", width="stretch",
            )  # fmt: skip
            if names:
                query[HIDE] = [",".join(name for name, _ in names)]
            place = address(str(st.context.url or ""), query, st.get_option("server.address"), dashboard.lan_address())
            st.code(place, language=None, wrap_lines=True)
            if urlsplit(place).hostname in _HERE_ALONE:
                st.warning(ALONE)
        with left:  # on a phone it comes first
            st.image(qr(place), alt="QR code of the link", width=420)


def saw(parameter: Any) -> None:
    """Remember that the page has a control, so that a link can leave it out."""
    st.session_state.setdefault("controls seen", {})[parameter.name] = parameter.label
