"""What a call once made, kept for all viewers of this process and the same object for all: nobody may change it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import streamlit as st

Asked = ParamSpec("Asked")
Made = TypeVar("Made")


def shared(most: int) -> Callable[[Callable[Asked, Made]], Callable[Asked, Made]]:
    """Keep what a function returns, by its arguments; of so many the ones made longest ago go first.

    It is `st.cache_resource`, which asks for a function's signature at every call that does not name its arguments: half the
    price of finding what is kept, and a page of ours finds a dozen at every rerun. ``clear`` of what is returned forgets all.
    """

    def wrap(function: Callable[Asked, Made]) -> Callable[Asked, Made]:
        # No spinner, which would move what stands there.
        kept: Any = st.cache_resource(show_spinner=False, max_entries=most)(function)
        names = tuple(inspect.signature(function).parameters)

        @wraps(function)
        def call(*args: Asked.args, **kwargs: Asked.kwargs) -> Made:
            made: Made = kept(**dict(zip(names, args, strict=False)), **kwargs)
            return made

        call.clear = kept.clear  # type: ignore[attr-defined]
        return call

    return wrap
