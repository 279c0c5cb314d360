"""What a page's address may hold: each parameter declared once, checked in one place, and said in one sentence when wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from dropclust.core.spec import LIMITS


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


def enter(parameters: Sequence[Parameter]) -> None:
    """What a page calls first: the router has run, and the address holds nothing that the page cannot show."""
    # Until st.navigation first ran in a process, Streamlit takes the folder pages/ for a navigation of its own, and a link
    # straight to a page would show it without the router's, and lose what is asked of its fragments.
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
    check(parameters)


def check(parameters: Sequence[Parameter]) -> None:
    """Say what is wrong in the address, before the widgets are made: they take what is right and drop the rest in silence."""
    for parameter in parameters:
        rename(parameter)
        for text in st.query_params.get_all(parameter.name):
            try:
                parameter.parse(text)
            except ValueError as error:
                instead = parameter.show(parameter.default)
                st.warning(f"{error}. Shown instead: {instead}.", icon=":material/link_off:")


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


def within(name: str) -> dict[str, float]:
    """The limits of a field of a run, as `Parameter` takes them."""
    low, high = LIMITS[name]
    return {"low": low, "high": high}
