"""What was drawn, kept finished for all viewers: figures as plain data, pictures as bytes; it knows no page.

Building plotly's objects takes a hundred times as long as sending what they hold, and every viewer of a page sees the same.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import plotly.io
from plotly.basedatatypes import BaseFigure

from dropclust.service.digest import digest, digest_of

LIMIT_BYTES = 32_000_000  # some thousand figures


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
