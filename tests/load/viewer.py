"""A browser session over its websocket, as the server sees one: it names the messages it holds, presses widgets, asks again."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import time
import uuid
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PATIENCE = 600.0  # seconds for one run of a page, on a machine that is busy with other things
PRESSED = ("button_group", "slider", "bidi_component")


class Viewer:
    """One browser session of one page.

    Parameters
    ----------
    port
        Of the server on this machine.
    page
        The last part of its address; "" for the first page.
    seed
        Of what it presses.
    query
        What its address says.
    """

    def __init__(self, port: int, page: str, seed: int = 0, query: str = "") -> None:
        self.port, self.page, self.random, self.query = port, page, random.Random(seed), query
        self.held: set[str] = set()
        self.widgets: dict[str, Any] = {}  # by id, the elements that can be pressed
        self.values: dict[str, dict[str, Any]] = {}  # by id, what a widget was set to: field of its state -> value
        self.polls: dict[str, float] = {}  # fragments that ask to be run again, and after how many seconds
        self.errors: list[str] = []
        self.texts: list[str] = []  # of the last run
        self.received = 0  # bytes of the last run
        self.session = ""
        self.page_hash = ""

    async def open(self) -> float:
        """Connect and run the page; returns the seconds until it was there."""
        origin = f"http://127.0.0.1:{self.port}"
        address = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        self.socket = await websockets.connect(
            address, subprotocols=["streamlit"], max_size=None, origin=origin, open_timeout=PATIENCE
        )
        return await self.run()

    async def close(self) -> None:
        """Leave, as who closes the tab does."""
        await self.socket.close()

    async def run(self, fragment: str = "", trigger: str = "") -> float:
        """Ask for a run of the page, or of one fragment, and read until it has ended; returns the seconds."""
        asked = BackMsg()
        if self.page_hash:  # else what a run asks to be run again is the first page
            asked.rerun_script.page_script_hash = self.page_hash
        else:
            asked.rerun_script.page_name = self.page
        asked.rerun_script.query_string = self.query
        asked.rerun_script.fragment_id = fragment
        asked.rerun_script.cached_message_hashes.extend(self.held)
        for name, fields in self.values.items():
            state = asked.rerun_script.widget_states.widgets.add(id=name)
            for field, value in fields.items():
                if isinstance(value, list):
                    getattr(state, field).data.extend(value)
                else:
                    setattr(state, field, value)
        if trigger:
            asked.rerun_script.widget_states.widgets.add(id=trigger, trigger_value=True)
        began = time.perf_counter()
        await self.send(asked)
        self.received, self.texts = 0, []
        while not await self._read():
            pass
        return time.perf_counter() - began

    async def send(self, message: BackMsg) -> None:
        """Send one message."""
        await self.socket.send(message.SerializeToString())

    async def receive(self) -> ForwardMsg:
        """The next message."""
        raw = await asyncio.wait_for(self.socket.recv(), PATIENCE)
        self.received += len(raw)
        message = ForwardMsg()
        message.ParseFromString(raw)
        return message

    async def _read(self) -> bool:
        """Read one message; whether the run has ended with it."""
        message = await self.receive()
        kind = message.WhichOneof("type")
        if message.metadata.cacheable:
            self.held.add(message.hash)
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id or self.session
            if not message.metadata.run.fragment_ids:  # the whole page is made anew
                self.widgets, self.polls = {}, {}
        elif kind == "navigation":
            self.page_hash = message.navigation.page_script_hash
        elif kind == "auto_rerun":
            self.polls[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "page_not_found":
            self.errors.append(f"no page {self.page!r}")
        elif kind == "delta":
            self._see(message.delta.new_element)
        return kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN

    def _see(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.errors.append(f"{self.page}: {element.exception.type} {element.exception.message}")
        elif kind == "alert":
            self.texts.append(element.alert.body)
        elif kind == "markdown":
            self.texts.append(element.markdown.body)
        elif kind in (*PRESSED, "button", "number_input", "file_uploader"):
            self.widgets[getattr(element, kind).id] = element

    def named(self, label: str) -> str:
        """The id of the widget with a label."""
        elements = ((name, getattr(element, element.WhichOneof("type"))) for name, element in self.widgets.items())
        return next(name for name, widget in elements if getattr(widget, "label", None) == label)

    async def press(self) -> float:
        """Change one widget and wait for the page; returns the seconds. On the explorer's page mostly its rate is dragged."""
        names = [name for name, element in self.widgets.items() if self._choices(element)]
        explorers = [name for name in names if "explorer" in name]
        if not names:
            return await self.run()
        name = self.random.choice(explorers if explorers and self.random.random() < 0.8 else names)
        field, choices = self._choices(self.widgets[name])
        self.values[name] = {field: self.random.choice(choices)}
        return await self.run()

    @staticmethod
    def _choices(element: Any) -> tuple[str, list[Any]] | None:
        """What a widget can be set to: the field of its state, and values."""
        kind = element.WhichOneof("type")
        widget = getattr(element, kind)
        if kind == "button_group" and len(widget.options) > 1:
            return "string_array_value", [[option.content] for option in widget.options]
        if kind == "slider" and widget.options:
            return "string_array_value", [[option] * len(widget.default) for option in widget.options]
        if kind == "slider" and widget.max > widget.min and len(widget.default) == 1:
            return "double_array_value", [[widget.min], [widget.max]]
        if kind == "bidi_component" and "explorer" in widget.id:
            return "json_value", [json.dumps({"index": index}) for index in range(19)]
        return None

    async def think(self, seconds: float) -> None:
        """Look at the page for about so long; what asks to be run again meanwhile is, as a browser does it."""
        until = time.perf_counter() + self.random.uniform(0.5, 1.5) * seconds
        while (left := until - time.perf_counter()) > 0:
            fragment = next(iter(self.polls), None)
            await asyncio.sleep(min(left, max(self.polls[fragment], 0.05)) if fragment is not None else left)
            if fragment is not None and fragment in self.polls:
                await self.run(fragment)

    async def settled(self) -> None:
        """Wait until nothing on the page asks to be run again."""
        until = time.perf_counter() + PATIENCE
        while self.polls:
            if time.perf_counter() > until:
                raise TimeoutError(f"{self.page} still waits for {self.texts[-1:]}")
            await self.think(0.3)

    async def upload(self, uploader: str, name: str, content: bytes) -> float:
        """Bring a file, and wait for the page; returns the seconds."""
        asked = BackMsg()
        asked.file_urls_request.request_id = uuid.uuid4().hex
        asked.file_urls_request.file_names.append(name)
        asked.file_urls_request.session_id = self.session
        await self.send(asked)
        while (message := await self.receive()).WhichOneof("type") != "file_urls_response":
            pass
        [urls] = message.file_urls_response.file_urls
        await asyncio.to_thread(self._put, urls.upload_url, name, content)
        info = {"file_id": urls.file_id, "name": name, "size": len(content)}
        asked = BackMsg()
        asked.rerun_script.page_name = self.page
        asked.rerun_script.cached_message_hashes.extend(self.held)
        state = asked.rerun_script.widget_states.widgets.add(id=uploader)
        added = state.file_uploader_state_value.uploaded_file_info.add(**info)
        added.file_urls.CopyFrom(urls)
        began = time.perf_counter()
        await self.send(asked)
        self.texts = []
        while not await self._read():
            pass
        return time.perf_counter() - began

    def _put(self, place: str, name: str, content: bytes) -> None:
        """Send the file as a form, with the token against forged requests that the server's cookie names."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/_stcore/health")
        answer = connection.getresponse()
        answer.read()
        cookie = (answer.getheader("Set-Cookie") or "").split(";")[0]
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        body = f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Cookie": cookie}
        headers["X-Xsrftoken"] = cookie.partition("=")[2]
        connection.request("PUT", place, body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"the upload of {name} was answered with {answer.status}")
