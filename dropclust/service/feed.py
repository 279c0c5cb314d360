"""What the server answers about live runs: a stream of what can be seen of one, and what its viewers do to it.

A viewer's stream is one long answer (server-sent events), which costs the server a fraction of a page's rerun; it ends when the
browser goes away, so that it also says who watches.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dropclust.service.bounds import BoundReached
from dropclust.service.steering import LAYERS, NotAllowed

if TYPE_CHECKING:
    from dropclust.service.steering import Steering

PATH = "live-run"
_LOOK_SECONDS = 0.06  # between two looks whether there is something new
_QUIET_SECONDS = 10.0  # after which a stream says that it is still there
_MOST_BYTES = 4_096  # of what a viewer asks for
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # a proxy must not hold the stream back

_lock = threading.Lock()
_steering: Steering | None = None  # the live runs of this process, once a page has asked for them


def watch(steering: Steering) -> None:
    """Name the live runs that this process serves."""
    global _steering
    with _lock:
        _steering = steering


def end_all() -> int:
    """Ask all live runs to end; returns how many that is."""
    return 0 if _steering is None else _steering.end_all()


def routes(base_path: str = "") -> list[Route]:
    """The routes below a base path, which has no slashes at its ends."""
    before = f"/{base_path}" if base_path else ""
    return [
        Route(f"{before}/{PATH}/{{name}}", _stream, methods=["GET"]),
        Route(f"{before}/{PATH}/{{name}}", _act, methods=["POST"]),
    ]


def answer(base_path: str = "") -> None:
    """Let a server that runs already answer the `routes` too, from its next request on.

    The dashboard's own command adds them before it starts; a server that `streamlit run` started has no such moment.
    """
    applications: Any = importlib.import_module("starlette.applications").Starlette
    call = applications.__call__
    if call.__name__ == "once":  # asked before, and no request came since
        return

    async def once(app: Any, scope: Any, receive: Any, send: Any) -> None:
        applications.__call__ = call
        if not any(getattr(route, "endpoint", None) is _act for route in app.router.routes):
            app.router.routes[:0] = routes(base_path)  # before Streamlit's, which take every path
        await call(app, scope, receive, send)

    applications.__call__ = once


async def _stream(request: Request) -> Response:
    steering, name, layer = _steering, request.path_params["name"], request.query_params.get("layer", "1")
    if steering is None or not steering.exists(name):
        return Response(status_code=204, headers=_HEADERS)  # which tells a browser not to ask again
    if layer not in {str(number) for number in range(1, LAYERS + 1)}:
        return _refused(f"layer must be from 1 to {LAYERS}; got {layer[:40]!r}", 400)
    return StreamingResponse(_events(steering, name, int(layer)), media_type="text/event-stream", headers=_HEADERS)


async def _events(steering: Steering, name: str, layer: int) -> AsyncIterator[str]:
    version, quiet = 0, 0.0
    try:
        steering.enter(name)
    except LookupError:
        return
    try:
        while steering.exists(name):
            version, texts = steering.frames(name, layer, version)
            if texts:
                quiet = 0.0
                yield "".join(f"data:{text}\n\n" for text in texts)
            elif quiet > _QUIET_SECONDS:
                quiet = 0.0
                yield ":\n\n"  # a comment; without one a browser that is gone would not be noticed
            await asyncio.sleep(_LOOK_SECONDS)
            quiet += _LOOK_SECONDS
    finally:
        steering.leave(name)


async def _act(request: Request) -> Response:
    steering = _steering
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return _refused(f"what is asked of a live run must have at most {_MOST_BYTES:,} bytes", 413)
    try:
        action = json.loads(body)
        token = action["token"]
        if steering is None or not isinstance(token, str):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        return _refused("What is asked of a live run must be a JSON object with a token and what to do.", 400)
    try:
        # The lock is held for moments only, but a store may write for longer.
        await asyncio.to_thread(steering.act, request.path_params["name"], token, action)
    except LookupError as error:
        return _refused(str(error.args[0]), 404)
    except (NotAllowed, BoundReached) as error:
        return _refused(str(error), 409)
    return JSONResponse({}, headers=_HEADERS)


def _refused(sentence: str, status: int) -> Response:
    return JSONResponse({"sentence": sentence}, status, _HEADERS)
