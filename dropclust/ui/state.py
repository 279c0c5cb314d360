"""What a page's address may hold: each parameter declared once, checked in one place, and said in one sentence when wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypedDict

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state import get_session_state
from streamlit.runtime.state.query_params import EMBED_QUERY_PARAMS_KEYS

from dropclust.core.spec import LIMITS
from dropclust.ui.outside import as_text

_LARGEST = 2.0**53  # beyond it a browser's numbers are no longer whole
_NAMED = 5  # unknown parameters that a sentence names
_declared = {"run"}  # names that some page's address may hold, of all pages that were opened in this process


@dataclass(frozen=True)
class Parameter:
    """A piece of a page's state that the address bar holds.

    Parameters
    ----------
    name
        In the address, and key of its widget.
    label
        What a viewer reads.
    default
        Its value when the address says nothing.
    options
        The values allowed; empty when ``low`` and ``high`` say what is.
    low, high, step
        Inclusive limits and step of a number.
    show
        How a value is written for a viewer, and in the address.
    typed
        A number that is typed and may lie outside its limits: its page then says what is allowed, and what was typed stays.
    aliases
        Names that it had in older addresses: read as its own when the address does not have that.
    """

    name: str
    label: str
    default: Any
    options: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    show: Callable[[Any], str] = str
    help: str | None = None
    typed: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _declared.update((self.name, *self.aliases))

    def parse(self, text: str) -> Any:
        """The value that a text of the address stands for.

        Raises
        ------
        ValueError
            One sentence: what is allowed, what was given.
        """
        for option in self.options:
            if text in (self.show(option), str(option)):
                return option
        kind = type(self.default)
        if not self.options:
            try:
                value = kind(text)
            except ValueError:
                value = None
            if value is not None and not abs(value) < _LARGEST:  # nan is not either
                value = None
            limits = None if self.low is None or self.high is None else (self.low, self.high)
            if value is not None and limits and (self.typed or limits[0] <= value <= limits[1]):
                return value
        elif kind is float:  # 0.40 for 0.4
            try:
                number = float(text)
            except ValueError:
                number = None
            for option in self.options:
                if number is not None and abs(option - number) < 1e-9:
                    return option
        raise ValueError(f"{self.label} must be {self._allowed()}; the address gave {text[:40]!r}")

    def _allowed(self) -> str:
        if not self.options:
            return f"from {self.low:,} to {self.high:,}"
        shown = [self.show(option) for option in self.options]
        if len(shown) > 8 and self.step:
            return f"from {shown[0]} to {shown[-1]} in steps of {self.step:g}"
        return f"one of {', '.join(shown)}"


def declare(*names: str) -> None:
    """Let every page's address hold further names than its parameters'."""
    _declared.update(names)


def declared() -> frozenset[str]:
    """All names that some page's address may hold, of the pages that were opened in this process."""
    return frozenset(_declared)


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
    name_unknown({*_declared, *also})
    check(parameters)


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


def name_unknown(known: set[str]) -> None:
    """Say once a session what the address holds that no page asks for; what another page left there is of no interest."""
    said: set[str] = st.session_state.setdefault("unknown parameters said", set())
    names = [name for name in st.query_params if name not in known]
    for name in names:
        drop(name)
    if new := [name for name in names if name not in said]:
        said.update(new)
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
    if new == parameter.default:
        st.query_params.pop(parameter.name, None)
    else:
        st.query_params[parameter.name] = parameter.show(new)


class Limits(TypedDict):
    """The two limits of a number, as `Parameter` takes them."""

    low: float
    high: float


def within(name: str) -> Limits:
    """The limits of a field of a run."""
    low, high = LIMITS[name]
    return {"low": low, "high": high}
