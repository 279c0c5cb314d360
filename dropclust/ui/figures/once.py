"""What was drawn, kept finished for all viewers: figures as plain data, pictures as bytes; it knows no page.

Building plotly's objects takes a hundred times as long as sending what they hold, and every viewer of a page sees the same.
"""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go
import plotly.io
from plotly.basedatatypes import BaseFigure

LIMIT_BYTES = 32_000_000  # some thousand figures
# How content is written for its digest: what is read-only to others is written as what it shows.
_WRITTEN = {**copyreg.dispatch_table, MappingProxyType: lambda shown: (dict, (dict(shown),))}


class Written(dict[str, Any]):
    """A figure's plain data with the JSON that plotly writes of it, which `dropclust.service.steady` lets be sent as it is."""

    written: str


class Finished(BaseFigure):  # type: ignore[misc]
    """A figure that is plain data already: `st.plotly_chart` takes it for a figure, and so neither builds nor checks it again.

    Parameters
    ----------
    figure
        Built and checked by plotly.
    """

    def __init__(self, figure: go.Figure) -> None:
        # Not BaseFigure's own, which would build all its objects.
        self.__dict__["_plain"] = plain = Written(figure.to_dict())
        plain.written = plotly.io.to_json(dict(plain), validate=False)

    def __len__(self) -> int:
        """Bytes of it as JSON."""
        return len(self.to_dict().written)

    def to_dict(self) -> Written:
        """The plain data, which must not be changed."""
        plain: Written = self.__dict__["_plain"]
        return plain


class Kept:
    """Drawings by what they depend on, up to so many bytes; the ones asked for longest ago go first.

    Parameters
    ----------
    limit_bytes
        How much all of them may hold, as JSON or PNG.

    Examples
    --------
    >>> kept = Kept(limit_bytes=5)
    >>> kept.get("a", lambda: b"123"), kept.get("a", lambda: b"never called"), len(kept)
    (b'123', b'123', 1)
    >>> kept.get("b", lambda: b"4567"), len(kept)
    (b'4567', 1)
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit, self._size = limit_bytes, 0
        self._lock = threading.Lock()
        self._made: OrderedDict[object, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def get(self, key: object, make: Callable[[], Any]) -> Any:
        """What stands under the key; where nothing does, what ``make`` makes, bytes or a figure."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        # Not under the lock: two viewers may draw the same at once, but nobody waits for somebody else's drawing.
        made = make()
        finished = Finished(made) if isinstance(made, go.Figure) else made
        with self._lock:
            if key not in self._made:
                self._made[key] = finished
                self._size += len(finished)
                while self._size > self._limit:
                    self._size -= len(self._made.popitem(last=False)[1])
        return finished

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._made.clear()
            self._size = 0


_KEPT = Kept()


def draw_once(draw: Callable[..., Any], info: object, then: Callable[[Any], Any] | None = None, **options: object) -> Any:
    """What ``draw(info, **options)`` draws, and ``then`` makes of it, kept for all viewers: equal content, the same drawing.

    Parameters
    ----------
    draw
        A function of a module, which makes a figure or a picture's bytes of its arguments alone.
    info
        What is drawn, of `dropclust.findings`: its content is the key, so that it may be made anew at every run of a page.
    then
        A function of a module that changes the drawing, such as one that makes it larger.

    Returns
    -------
    Finished or bytes
        For `st.plotly_chart` or `st.image`. It must not be changed.
    """
    key = draw.__module__, draw.__qualname__, then.__qualname__ if then else "", digest_of(info), digest(options)
    return _KEPT.get(key, lambda: then(draw(info, **options)) if then else draw(info, **options))


_digests: dict[int, tuple[weakref.ref[object], bytes]] = {}


def digest_of(info: object) -> bytes:
    """`digest`, of one object once: of a frozen dataclass, for what might be changed is looked at again."""
    number = id(info)
    known = _digests.get(number)
    if known is not None and known[0]() is info:
        return known[1]
    made = digest(info)
    parameters = getattr(type(info), "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        with suppress(TypeError):  # of slots without a place for it
            _digests[number] = weakref.ref(info, lambda gone: _forget(number, gone)), made
    return made


def _forget(number: int, gone: weakref.ref[object]) -> None:
    """Another object may have the number of one that is gone."""
    known = _digests.get(number)
    if known is not None and known[0] is gone:
        _digests.pop(number, None)


def digest(content: object) -> bytes:
    """A name for content, of 16 bytes: what differs has another, and what is made in the same way has the same.

    Examples
    --------
    >>> digest(("a", 1)) == digest(("a", 1)), digest(("a", 1)) == digest(("a", 2))
    (True, False)
    """
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=5)
    pickler.dispatch_table = _WRITTEN
    pickler.dump(content)
    return hashlib.blake2b(written.getbuffer(), digest_size=16).digest()
