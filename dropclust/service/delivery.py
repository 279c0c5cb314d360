"""What a page says goes to its browser together, where Streamlit sends every element of it on a way of its own.

A page of a hundred elements is a hundred messages. For each of them Streamlit wakes its event loop, goes once around it, passes
eleven layers of middleware and asks the system to send. Nothing here changes what is sent, nor its order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

GATHERED_SECONDS = 0.01  # what a running page says within it goes on together, as often as Streamlit itself sends
MOST = 100  # messages that go on together: a browser's own queue holds five hundred, and is emptied in between
_UVICORN = "uvicorn.protocols.websockets.websockets_sansio_impl"  # what Streamlit's server speaks websockets with
_WIRE = "dropclust.wire"  # where a websocket's scope keeps the way out that no middleware lies in


def deliver_together() -> None:
    """Replace the steps between a page and the socket; for the process that serves pages, before it starts."""
    from streamlit.runtime import app_session, runtime
    from streamlit.web.server.starlette.starlette_websocket import StarletteSessionClient

    session: Any = app_session.AppSession
    whole: Any = runtime.Runtime
    client: Any = StarletteSessionClient
    if client._sender is not _sender:
        session._on_scriptrunner_event = _hear(session._handle_scriptrunner_event_on_event_loop)
        session.flush_browser_queue = _flush(session.flush_browser_queue)
        whole._enqueued_some_message = _enqueued
        whole._send_message = _send(whole._send_message)
        client._sender = _sender
        app_session._populate_theme_msg = _populated_once(app_session._populate_theme_msg)


def _hear(handle: Callable[..., None]) -> Callable[..., None]:
    """A session's ear for its script's thread: an element waits for those that follow it, all else goes on at once.

    Parameters
    ----------
    handle
        Streamlit's own handling of an event, on its event loop. An element passes by it, for it asks each of eight kinds of
        events whether it is theirs.
    """
    from streamlit.runtime.scriptrunner import ScriptRunnerEvent

    element = ScriptRunnerEvent.ENQUEUE_FORWARD_MSG

    def on_scriptrunner_event(self: Any, sender: Any, event: ScriptRunnerEvent, forward_msg: Any = None, **rest: Any) -> None:
        said: deque[tuple[Any, Any, Any, dict[str, Any]]] = self.__dict__.setdefault("_said", deque())
        said.append((sender, event, forward_msg, rest))

        def tell() -> None:
            self._tells = False  # before the queue is emptied: what is said from now on is told anew
            while said:
                sender, event, forward_msg, rest = said.popleft()
                if event is not element:
                    handle(self, sender, event, forward_msg, **rest)
                elif sender is self._scriptrunner:  # not one that was replaced and is still ending
                    self._enqueue_forward_msg(forward_msg)

        if event is not element:
            self._call_soon_on_event_loop(tell)
        elif not self.__dict__.get("_tells"):
            self._tells = True
            self._call_soon_on_event_loop(lambda: self._event_loop.call_later(GATHERED_SECONDS, tell) and None)

    return on_scriptrunner_event


class _Together(list[Any]):
    """Messages to one browser, in their order."""


def _flush(flush: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """A session's waiting messages by the hundred, for the loop that sends goes around once for each thing it is given."""

    def flush_browser_queue(self: Any) -> list[Any]:
        messages = flush(self)
        return [_Together(messages[at : at + MOST]) for at in range(0, len(messages), MOST)]

    return flush_browser_queue


def _send(send: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Streamlit's sending of a message, for several too."""

    def send_message(self: Any, session_info: Any, message: Any) -> None:
        for one in message if isinstance(message, _Together) else (message,):
            send(self, session_info, one)

    return send_message


def _enqueued(self: Any) -> None:
    """Tell the loop that sends, unless it knows: it takes all that waits when it comes round."""
    needed = self._get_async_objs().need_send_data
    if needed.is_set():
        return
    loop = self._get_async_objs().eventloop
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        needed.set()
    else:
        loop.call_soon_threadsafe(needed.set)


async def _sender(self: Any) -> None:
    """Send what waits for one browser, all of it in one write to the socket."""
    from starlette.websockets import WebSocketDisconnect

    queue: asyncio.Queue[bytes] = self._send_queue
    try:
        while True:
            payloads = [await queue.get()]
            while not queue.empty():
                payloads.append(queue.get_nowait())
            if not await _written(self._websocket.scope.get(_WIRE), payloads):
                for payload in payloads:
                    await self._websocket.send_bytes(payload)
    except (WebSocketDisconnect, OSError):
        pass  # the browser is gone
    finally:
        self._closed.set()


async def _written(protocol: Any, payloads: Sequence[bytes]) -> bool:
    """Write messages to a websocket, a frame each; whether it is one of uvicorn's that this is known of."""
    if protocol is None:
        return False
    await protocol.writable.wait()  # a browser that reads slowly is waited for, as with one message at a time
    if protocol.disconnected or protocol.close_sent or protocol.conn.state.name != "OPEN":
        raise ConnectionResetError
    for payload in payloads:
        protocol.conn.send_binary(payload)
    protocol.transport.write(b"".join(protocol.conn.data_to_send()))
    return True


class Wired:
    """ASGI middleware, the outermost: a websocket's scope learns the way out that no middleware lies in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on."""
        if scope["type"] == "websocket":
            protocol = getattr(send, "__self__", None)
            scope[_WIRE] = protocol if type(protocol).__module__ == _UVICORN else None
        await self._app(scope, receive, send)


def _populated_once(populate: Callable[..., None]) -> Callable[..., None]:
    """A theme's settings as a message, made once a section: every run of every page sends them, and they never change."""
    made: dict[str, Any] = {}

    def populate_theme(message: Any, section: str = "theme") -> None:
        if section not in made:
            empty = type(message)()
            populate(empty, section)
            made[section] = empty
        if made[section].ByteSize():
            message.MergeFrom(made[section])

    return populate_theme
