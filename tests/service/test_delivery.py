"""What a page says reaches its browser whole and in order, and together: against Streamlit's own steps, one at a time."""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session, runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.runtime import Runtime
from streamlit.runtime.scriptrunner import ScriptRunnerEvent as Event
from streamlit.web.server.starlette.starlette_websocket import StarletteSessionClient

from dropclust.service import delivery

ELEMENT = Event.ENQUEUE_FORWARD_MSG


class Session:
    """A session that notes what it hears, and how often its loop is woken."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._event_loop, self._scriptrunner, self.heard, self.woken = loop, "runner", [], 0

    def _call_soon_on_event_loop(self, callback: Any) -> None:
        self.woken += 1
        self._event_loop.call_soon_threadsafe(callback)

    def _enqueue_forward_msg(self, message: Any) -> None:
        self.heard.append(message)

    def handle(self, sender: Any, event: Event, forward_msg: Any = None, **rest: Any) -> None:
        self.heard.append((event, rest))


def test_a_thread_is_heard_in_its_order_and_its_elements_wake_the_loop_rarely() -> None:
    hear = delivery._hear(Session.handle)

    async def listen() -> Session:
        session, ended = Session(asyncio.get_running_loop()), asyncio.Event()

        def page() -> None:
            hear(session, "runner", event=Event.SCRIPT_STARTED, page_script_hash="h")
            for number in range(1_000):
                hear(session, "runner", event=ELEMENT, forward_msg=number)
            hear(session, "runner", event=Event.SCRIPT_STOPPED_WITH_SUCCESS)
            session._event_loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=page).start()
        await ended.wait()
        return session

    session = asyncio.run(listen())
    assert session.heard == [
        (Event.SCRIPT_STARTED, {"page_script_hash": "h"}),
        *range(1_000),
        (Event.SCRIPT_STOPPED_WITH_SUCCESS, {}),
    ]
    assert session.woken < 500


def test_an_element_that_nothing_follows_is_heard_too_and_one_of_a_replaced_runner_is_not() -> None:
    hear = delivery._hear(Session.handle)

    async def listen() -> list[Any]:
        session = Session(asyncio.get_running_loop())
        hear(session, "runner", ELEMENT, "last")
        hear(session, "the runner before", ELEMENT, "late")
        assert not session.heard
        await asyncio.sleep(3 * delivery.GATHERED_SECONDS)
        return session.heard

    assert asyncio.run(listen()) == ["last"]


@pytest.mark.parametrize("count", [0, 1, 2, 100, 101, 250])
def test_what_waits_goes_by_the_hundred_in_its_order(count: int) -> None:
    sent: list[int] = []
    send = delivery._send(lambda self, session_info, message: sent.append(message))
    groups = delivery._flush(lambda self: list(range(count)))(None)
    assert max(map(len, groups), default=0) <= delivery.MOST
    assert len(groups) == -(-count // delivery.MOST)
    for group in groups:
        send(None, None, group)
    assert sent == list(range(count))
    send(None, None, "one alone")
    assert sent[-1] == "one alone"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_loop_that_sends_is_told_once_from_any_thread(elsewhere: bool) -> None:
    async def tell() -> bool:
        needed = asyncio.Event()
        told = SimpleNamespace(_get_async_objs=lambda: SimpleNamespace(need_send_data=needed, eventloop=loop))
        loop = asyncio.get_running_loop()
        for _ in range(3):
            await (asyncio.to_thread(delivery._enqueued, told) if elsewhere else asyncio.sleep(0, delivery._enqueued(told)))
        await asyncio.wait_for(needed.wait(), 10)
        return needed.is_set()

    assert asyncio.run(tell())


class Wire:
    """The socket's side of a websocket: frames are marked, writes noted."""

    def __init__(self) -> None:
        self.writable, self.disconnected, self.close_sent = asyncio.Event(), False, False
        self.writable.set()
        self.frames: list[bytes] = []
        self.writes: list[bytes] = []
        self.conn = self.transport = self
        self.state = SimpleNamespace(name="OPEN")

    def send_binary(self, payload: bytes) -> None:
        self.frames.append(b"<" + payload + b">")

    def data_to_send(self) -> list[bytes]:
        frames, self.frames = self.frames, []
        return frames

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def send_all(wire: Wire | None, payloads: list[bytes], gone: bool = False) -> tuple[list[bytes], bool]:
    """What a client's sender sends one by one, and whether the client is closed in the end."""
    one_by_one: list[bytes] = []

    async def run() -> bool:
        async def send_bytes(payload: bytes) -> None:
            if gone:
                raise ConnectionResetError
            one_by_one.append(payload)

        client = SimpleNamespace(
            _send_queue=asyncio.Queue(), _closed=asyncio.Event(),
            _websocket=SimpleNamespace(scope={delivery._WIRE: wire} if wire else {}, send_bytes=send_bytes),
        )  # fmt: skip
        for payload in payloads:
            client._send_queue.put_nowait(payload)
        task = asyncio.create_task(delivery._sender(client))
        await asyncio.sleep(0.01)
        closed = client._closed.is_set()
        task.cancel()
        return closed

    closed = asyncio.run(run())
    return one_by_one, closed


def test_what_waits_for_a_browser_is_one_write_and_a_frame_each() -> None:
    wire = Wire()
    assert send_all(wire, [b"a", b"b", b"c"]) == ([], False)
    assert wire.writes == [b"<a><b><c>"]
    assert send_all(None, [b"a", b"b"]) == ([b"a", b"b"], False)


@pytest.mark.parametrize("ended", ["disconnected", "close_sent", "closing"])
def test_a_browser_that_is_gone_closes_its_client(ended: str) -> None:
    wire = Wire()
    setattr(wire, ended, True)
    if ended == "closing":  # its close frame has come, and ours is on its way
        wire.state.name = "CLOSING"
    assert send_all(wire, [b"a"]) == ([], True)
    assert not wire.writes
    assert send_all(None, [b"a"], gone=True) == ([], True)


def test_a_browser_that_reads_slowly_is_waited_for() -> None:
    wire = Wire()
    wire.writable.clear()
    assert send_all(wire, [b"a"]) == ([], False)
    assert not wire.writes


def test_only_uvicorns_own_way_out_is_taken() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope.get(delivery._WIRE))

    kind = import_module(delivery._UVICORN).WebSocketsSansIOProtocol
    protocol = kind.__new__(kind)

    async def connect() -> None:
        wired: Any = delivery.Wired(app)
        await wired({"type": "websocket"}, None, protocol.send)
        await wired({"type": "websocket"}, None, Wire().write)
        await wired({"type": "http"}, None, protocol.send)

    asyncio.run(connect())
    assert seen == [protocol, None, None]


@pytest.mark.parametrize("section", ["theme", "theme.light", "theme.dark", "theme.sidebar"])
def test_a_theme_is_the_same_message_and_made_once(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"primaryColor": "#123456", "baseFontSize": 18} if section != "theme.sidebar" else {"font": None}
    asked: list[str] = []

    def options(name: str) -> dict[str, Any]:
        asked.append(name)
        return settings

    monkeypatch.setattr(app_session.config, "get_options_for_section", options)
    populate, expected = app_session._populate_theme_msg, CustomThemeConfig()
    populate(expected, section)
    asked.clear()
    once = delivery._populated_once(populate)
    for _ in range(3):
        message = ForwardMsg()
        once(message.new_session.custom_theme, section)
        assert message.new_session.custom_theme.SerializeToString() == expected.SerializeToString()
        assert message.new_session.HasField("custom_theme") is (section != "theme.sidebar")
    assert asked == [section]


def test_the_steps_it_replaces_are_there_and_are_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in (
        (AppSession, "_on_scriptrunner_event"), (AppSession, "flush_browser_queue"), (Runtime, "_enqueued_some_message"),
        (Runtime, "_send_message"), (StarletteSessionClient, "_sender"), (app_session, "_populate_theme_msg"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    delivery.deliver_together()
    first = AppSession._on_scriptrunner_event
    delivery.deliver_together()
    assert AppSession._on_scriptrunner_event is first
    assert runtime.Runtime._enqueued_some_message is delivery._enqueued
