"""A page's address: its parameters checked in one place, said in one sentence when wrong, and taken along to other pages."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import get_session_state
from streamlit.runtime.state.query_params import EMBED_QUERY_PARAMS_KEYS

from dropclust.findings.outside import as_text
from dropclust.service.parameter import DECLARED, Parameter

SAID_SECONDS = 20.0  # how long what an address holds in vain is named
LAST = "chosen last"  # of the session: by name, what this page had of `REMEMBERED` in its last run
_NAMED = 5  # unknown parameters that a sentence names
REMEMBERED = ("rate", "recipe")  # what a viewer chose goes along to the next page that has it


def declare(*names: str) -> None:
    """Let every page's address hold further names than its parameters'."""
    DECLARED.update(names)


def declared() -> frozenset[str]:
    """All names that some page's address may hold, of the pages that were opened in this process."""
    return frozenset(DECLARED)


def enter(parameters: Sequence[Parameter], also: Iterable[str] = ()) -> None:
    """What a page calls first: the router has run, and the address holds nothing that the page cannot show.

    Parameters
    ----------
    parameters
        What the page's address may hold, checked here.
    also
        Names of further parameters that the page or a block of it checks itself, where it knows what is allowed.
    """
    # Until st.navigation first ran in a process, Streamlit takes the folder pages/ for a navigation of its own, and a link
    # straight to a page would show it without the router's, and lose what is asked of its fragments.
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
    arrived = _arrive({*(parameter.name for parameter in parameters), *also})
    name_unknown({*DECLARED, *also})
    check(parameters)
    remember(parameters, arrived)


def check(parameters: Sequence[Parameter]) -> None:
    """Say what is wrong in the address, before the widgets are made: none of them ever sees what is refused here."""
    for parameter in parameters:
        rename(parameter)
        texts = st.query_params.get_all(parameter.name)
        try:
            values = [parameter.parse(text) for text in texts]
        except ValueError as error:
            instead = parameter.show(parameter.default)
            st.warning(f"{as_text(str(error))}. Shown instead: {instead}.", icon=":material/link_off:")
            drop(parameter.name)
            continue
        if not values:
            continue
        if values[-1] == parameter.default:
            drop(parameter.name)  # else its widget does, by an entry in the browser's history that shows the same again
        else:
            _see(parameter.name, parameter.show(values[-1]))


def _arrive(own: Set[str]) -> bool:
    """Whether this is the first run of a page that the viewer came to, with all that its address holds of its ``own`` names.

    What a widget of the page that was left is called, Streamlit takes out of the new page's address too. And when a menu leaves
    a page, Streamlit adds it to the browser's history without its widgets' parameters: Back finds what they were.
    """
    if (context := get_script_run_ctx()) is None:
        return False
    page, asked, back = context.page_script_hash, parse_qs(context.query_string), context.is_history_navigation
    left: dict[str, dict[str, list[str]]] = st.session_state.setdefault("addresses", {})
    if st.session_state.get("arrived on") == page:
        left[page] = asked
        return False
    st.session_state["arrived on"] = page
    if back and not own & asked.keys():
        asked = left.get(page, {})
    left[page] = asked
    _unbind(names := own if back else REMEMBERED)
    with get_session_state().query_params() as parameters:
        for name in names:
            if name in asked and name not in parameters:
                _see(name, asked[name][-1])
        if back:
            parameters._send_query_param_msg()
    return True


def go(page: str, query: Mapping[str, Sequence[str]]) -> None:
    """Open another page of the app, the session along, with these parameters: those too that a widget holds on this page."""
    _unbind(query)
    st.switch_page(page, query_params=query)


def _unbind(names: Iterable[str]) -> None:
    with get_session_state().query_params() as parameters:
        for name in names:
            if binding := parameters.get_binding_for_param(name):
                parameters.unbind_widget(binding.widget_id)


def remember(parameters: Sequence[Parameter], arrived: bool) -> None:
    """Take what a viewer chose of `REMEMBERED` along to another page that has it; what its address says wins.

    A choice is made by a widget, by the address, or by `put`. Back and Forward go where the viewer was, and change nothing.
    """
    chosen: dict[str, Any] = st.session_state.setdefault("chosen", {})
    last: dict[str, Any] = {} if arrived else st.session_state.get(LAST, {})
    now, taken = {}, {}
    for parameter in parameters:
        name = parameter.name
        if name not in REMEMBERED:
            continue
        now[name] = widget, address = st.session_state.get(name), tuple(st.query_params.get_all(name))
        if arrived and name in chosen and not address and not by_history():
            with suppress(ValueError):  # a value that this page does not have
                st.session_state[name] = parameter.parse(parameter.show(chosen[name]))
                if chosen[name] != parameter.default:
                    taken[name] = parameter.show(chosen[name])
        elif not arrived and widget is not None and widget != last.get(name, (None,))[0]:
            chosen[name] = widget
        elif address and address != last.get(name, (None, ()))[1]:
            chosen[name] = value(parameter)
    st.session_state[LAST] = now
    st.session_state["along"] = set(taken) if arrived else st.session_state.get("along", set())
    for name, text in taken.items():
        _see(name, text)
    if taken:
        st.query_params.update(taken)  # which tells the address bar


def chosen(name: str, default: Any) -> Any:
    """What the viewer last chose of `REMEMBERED`, on whatever page; the default before."""
    return st.session_state.get("chosen", {}).get(name, default)


def name_unknown(known: set[str]) -> None:
    """Say once a session what the address holds that no page asks for; what another page left there is of no interest.

    It stands for a while, for a page may run again before anybody has read it.
    """
    said: dict[str, float] = st.session_state.setdefault("unknown parameters said", {})
    now = time.monotonic()
    for name in [name for name in st.query_params if name not in known]:
        drop(name)
        said.setdefault(name, now)
    if new := [name for name, since in said.items() if since == now or now - since < SAID_SECONDS]:
        listed = ", ".join(repr(name[:40]) for name in new[:_NAMED])
        more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        st.warning(
            f"{as_text(f'The address holds {listed}{more}')}, which this page does not know: nothing depends on it.",
            icon=":material/link_off:",
        )


def by_history() -> bool:
    """Whether the viewer came to what the address holds by the browser's Back or Forward."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def linked() -> frozenset[str]:
    """What the address names, values that are the default too, which `check` forgets; not what came along from another page."""
    asked = parse_qs(context.query_string if (context := get_script_run_ctx()) else "")
    return frozenset({*st.query_params, *asked} - st.session_state.get("along", set()))


def drop(name: str) -> None:
    """Forget a parameter of the address for this run of the page, so that no widget takes it.

    The address bar keeps it, for taking it out there would add an entry to the browser's history that shows the same page
    again; a viewer who changes the widget overwrites it.
    """
    _see(name, None)


def _see(name: str, text: str | None) -> None:
    """Let this run see a parameter as if the address held ``text``, or nothing.

    A widget takes its value from what stood in the address when the run began, which Streamlit keeps beside
    `st.query_params` and lets nobody change.
    """
    if name.lower() in EMBED_QUERY_PARAMS_KEYS:
        return
    with get_session_state().query_params() as parameters:
        if text is None:
            parameters._initial_query_params.pop(name, None)
            parameters.discard_param_no_forward_msg(name)
        else:
            parameters._initial_query_params[name] = [text]
            parameters.set_with_no_forward_msg(name, text)


def rename(parameter: Parameter) -> None:
    """Move what an older address calls by another name to the parameter's own, unless that is there too."""
    for old in parameter.aliases:
        texts = st.query_params.get_all(old)
        st.query_params.pop(old, None)
        if texts and parameter.name not in st.query_params:
            st.query_params[parameter.name] = texts
            with suppress(ValueError):  # its widget takes from the address only what stood there when the session began
                st.session_state[parameter.name] = parameter.parse(texts[-1])


def value(parameter: Parameter) -> Any:
    """The parameter's value, for what is not a Streamlit widget: from the address, or its default."""
    try:
        return parameter.parse(st.query_params[parameter.name])
    except (KeyError, ValueError):
        return parameter.default


def put(parameter: Parameter, new: Any) -> None:
    """Write a parameter into the address; its default leaves the address clean."""
    if parameter.name in REMEMBERED:
        st.session_state.setdefault("chosen", {})[parameter.name] = new
    if new == parameter.default:
        st.query_params.pop(parameter.name, None)
    else:
        st.query_params[parameter.name] = parameter.show(new)


def put_all(values: Mapping[Parameter, Any]) -> None:
    """Write several parameters into the address, as one entry of the browser's history; what widgets hold there stays."""
    wanted = {p.name: [] if new == p.default else [p.show(new)] for p, new in values.items()}
    if any(st.query_params.get_all(name) != texts for name, texts in wanted.items()):
        # `st.query_params` takes several only as all of the address, and refuses that where a widget holds a part of it.
        with get_session_state().query_params() as parameters:
            for name, texts in wanted.items():
                parameters.discard_param_no_forward_msg(name)
                if texts:
                    parameters.set_with_no_forward_msg(name, texts)
            parameters._send_query_param_msg()


def asks(parameter: Parameter) -> bool:
    """Whether a page may ask for a guess: unless its address says no, or the viewer skipped a question, on whatever page."""
    return bool(value(parameter) == "on") and not st.session_state.get("asks no more", False)


def ask_no_more() -> None:
    """The viewer skipped a question: none is asked in this session, on no page."""
    st.session_state["asks no more"] = True
