"""Scripts and styles go out as gzip, each made once a process: Streamlit sends its own as they are, three times as much."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LIMIT_BYTES = 16_000_000  # of all that is kept; Streamlit's files take 6 million
_FOLDER = "/static/"  # of files that are named for their content, and so never change
_ENDINGS = (".js", ".css", ".svg", ".json")
_LEVEL = 6  # 9 takes four times as long and saves one part in a hundred
_CONDITIONAL = frozenset({b"range", b"if-none-match", b"if-modified-since"})


class Compressed:
    """ASGI middleware: answers for files of the static folder are compressed at the first request, and kept.

    Parameters
    ----------
    app
        What answers.
    limit_bytes
        How much is kept; what comes later is compressed anew each time.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int = LIMIT_BYTES) -> None:
        self._app, self._limit, self._size = app, limit_bytes, 0
        self._kept: dict[str, tuple[Message, bytes]] = {}
        self._one_at_a_time = asyncio.Lock()  # a class that comes at once has each file compressed once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not _wanted(scope):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        found = self._kept.get(path)
        if found is None:
            async with self._one_at_a_time:
                found = self._kept.get(path) or await self._made(scope)
        start, body = found
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _made(self, scope: Scope) -> tuple[Message, bytes]:
        """What the app answers, compressed and kept where it is a whole file."""
        starts: list[Message] = []
        parts: list[bytes] = []

        async def listen(message: Message) -> None:
            if message["type"] == "http.response.start":
                starts.append(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app(scope, _patient(), listen)
        [start], body = starts, b"".join(parts)
        whole = {name.lower(): value for name, value in start["headers"]}.get(b"content-length") in (None, b"%d" % len(body))
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        if start["status"] != 200 or not whole or any(name.lower() == b"content-encoding" for name, _ in headers):
            return start, body
        body = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
        headers += [(b"content-encoding", b"gzip"), (b"content-length", str(len(body)).encode()), (b"vary", b"Accept-Encoding")]
        made = {**start, "headers": headers}, body
        if self._size + len(body) <= self._limit:
            self._size += len(body)
            self._kept[scope["path"]] = made
        return made


def _patient() -> Receive:
    """A viewer who asks and never goes away: what is made is for all, and must not end where the first one left the page."""
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


def _wanted(scope: Scope) -> bool:
    """Whether a request is for a file that is sent compressed."""
    if scope["type"] != "http" or scope["method"] != "GET" or _FOLDER not in scope["path"]:
        return False
    headers = dict(scope["headers"])
    takes = b"gzip" in headers.get(b"accept-encoding", b"")
    return takes and scope["path"].endswith(_ENDINGS) and not _CONDITIONAL & headers.keys()
