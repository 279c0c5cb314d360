"""Scripts as gzip: the same bytes, made once, and only where a browser takes them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from dropclust.service.compressed import Compressed

SCRIPT = b"let twins = 0;" * 1000


class Files:
    """An app that serves one script in two parts, and counts how often it is asked."""

    def __init__(self, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status, self.headers, self.asked, self.half = status, headers, 0, False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        headers = [(b"content-length", str(len(SCRIPT)).encode()), (b"content-type", b"text/javascript"), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": SCRIPT[:100], "more_body": True})
        await send({"type": "http.response.body", "body": b"" if self.half else SCRIPT[100:]})


def get(app: Any, path: str = "/static/js/a.js", times: int = 1, method: str = "GET", **headers: str) -> tuple[Any, Any, bytes]:
    """Status, headers and body of the last of so many requests at once."""
    sent: list[list[Any]] = []

    async def ask() -> None:
        messages: list[Any] = []
        sent.append(messages)

        async def send(message: Any) -> None:
            messages.append(message)

        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await app({"type": "http", "method": method, "path": path, "headers": named}, None, send)

    async def all_of_them() -> None:
        await asyncio.gather(*(ask() for _ in range(times)))

    asyncio.run(all_of_them())
    start, *bodies = sent[-1]
    return start["status"], dict(start["headers"]), b"".join(body["body"] for body in bodies)


def test_a_browser_that_takes_gzip_gets_the_same_bytes_in_fewer():
    status, headers, body = get(Compressed(Files()), accept_encoding="gzip, deflate, br")
    assert status == 200
    assert gzip.decompress(body) == SCRIPT
    assert len(body) < len(SCRIPT) / 10
    assert headers[b"content-length"] == str(len(body)).encode()
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"vary"] == b"Accept-Encoding"
    assert headers[b"content-type"] == b"text/javascript"


def test_a_file_is_whole_although_the_first_who_asked_has_left():
    """Starlette ends an answer where its viewer leaves; half a script, once kept, would be everybody's."""

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(SCRIPT), 1000):
            await asyncio.sleep(0)
            yield SCRIPT[at : at + 1000]

    async def files(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(parts(), media_type="text/javascript")(scope, receive, send)

    async def left() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/static/js/a.js", "headers": [(b"accept-encoding", b"gzip")]}
    app = Compressed(files)
    for _ in range(2):
        sent.clear()
        asyncio.run(app(scope, left, send))
        assert gzip.decompress(sent[-1]["body"]) == SCRIPT


def test_half_a_file_is_not_kept():
    files = Files()
    files.half = True
    app = Compressed(files)
    _, headers, body = get(app, accept_encoding="gzip")
    assert b"content-encoding" not in headers
    assert body == SCRIPT[:100]
    files.half = False
    assert gzip.decompress(get(app, accept_encoding="gzip")[2]) == SCRIPT


def test_a_class_that_comes_at_once_has_it_made_once():
    files = Files()
    assert gzip.decompress(get(Compressed(files), times=30, accept_encoding="gzip")[2]) == SCRIPT
    assert files.asked == 1


@pytest.mark.parametrize(
    "request_", [
        {},
        {"accept_encoding": "br"},
        {"accept_encoding": "gzip", "range": "bytes=0-9"},
        {"accept_encoding": "gzip", "if_none_match": '"a"'},
        {"accept_encoding": "gzip", "method": "HEAD"},
        {"accept_encoding": "gzip", "path": "/static/media/a.woff2"},
        {"accept_encoding": "gzip", "path": "/_stcore/health"},
    ],
)  # fmt: skip
def test_all_else_goes_through_as_it_is(request_: dict[str, str]):
    _, headers, body = get(Compressed(Files()), **request_)
    assert body == SCRIPT
    assert b"content-encoding" not in headers


@pytest.mark.parametrize("files", [Files(status=404), Files(headers=((b"content-encoding", b"br"),))])
def test_what_is_no_file_or_compressed_already_is_left_alone_and_not_kept(files: Files):
    app = Compressed(files)
    for _ in range(2):
        assert get(app, accept_encoding="gzip")[2] == SCRIPT
    assert files.asked == 2


def test_no_more_is_kept_than_the_limit():
    files = Files()
    app = Compressed(files, limit_bytes=10)
    for _ in range(2):
        assert gzip.decompress(get(app, accept_encoding="gzip")[2]) == SCRIPT
    assert files.asked == 2
