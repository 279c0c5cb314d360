"""What a call once made, kept for all viewers of this process and the same object for all: nobody may change it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

Asked = ParamSpec("Asked")
Made = TypeVar("Made")

_forget: list[Callable[[], None]] = []


def shared(most: int) -> Callable[[Callable[Asked, Made]], Callable[Asked, Made]]:
    """Keep what a function returns, by its arguments; of so many the ones made longest ago go first.

    Arguments must be hashable; those whose names begin with an underscore do not tell one call from another. Who asks for what
    another is just having made waits for it; what raises is not kept. ``clear`` of what is returned forgets all that it keeps,
    `forget` what all such functions keep.

    It is `st.cache_resource` without the text that it makes of every argument, which costs more than all else that a page of
    ours does to find what is kept.

    Examples
    --------
    >>> @shared(most=2)
    ... def square(side, _unit="m"):
    ...     print("made")
    ...     return side * side
    >>> square(3), square(side=3, _unit="km")
    made
    (9, 9)
    >>> forget()
    >>> square(3)
    made
    9
    """

    def wrap(function: Callable[Asked, Made]) -> Callable[Asked, Made]:
        signature = inspect.signature(function)
        plain = sum(not name.startswith("_") for name in signature.parameters) == len(signature.parameters)
        kept: dict[Hashable, Made] = {}
        making: dict[Hashable, Lock] = {}
        lock = Lock()  # of both

        def key_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
            if plain and not kwargs and len(args) == len(signature.parameters):
                return args
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            told = ((name, value) for name, value in bound.arguments.items() if not name.startswith("_"))
            return tuple(tuple(sorted(value.items())) if isinstance(value, dict) else value for _, value in told)

        @wraps(function)
        def call(*args: Asked.args, **kwargs: Asked.kwargs) -> Made:
            key = key_of(args, kwargs)
            with suppress(KeyError):
                return kept[key]
            with lock:
                mine = making.setdefault(key, Lock())
            with mine:
                with suppress(KeyError):  # another has just made it
                    return kept[key]
                try:
                    made = function(*args, **kwargs)
                    with lock:
                        kept[key] = made
                        while len(kept) > most:
                            kept.pop(next(iter(kept)))
                finally:
                    with lock:
                        making.pop(key, None)
                return made

        call.clear = kept.clear  # type: ignore[attr-defined]
        _forget.append(kept.clear)
        return call

    return wrap


def forget() -> None:
    """Forget all that is kept, as if this process had just begun."""
    for clear in _forget:
        clear()
