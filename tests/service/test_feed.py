"""The feed of live runs over real HTTP: who is sent what, who may do what, and that a viewer who goes is noticed."""

import contextlib
import json
import socket
import threading
import urllib.error
import urllib.request

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dropclust.service import feed
from tests.service.test_steering import Scene, a_look, until


class Server:
    """A server that answers the feed's routes below a base path."""

    def __init__(self, app):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", self.port, log_level="critical", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def close(self):
        self.server.force_exit = self.server.should_exit = True
        self.thread.join(30)

    def ask(self, path, body=None):
        """The status of an answer, and what it says."""
        try:
            with urllib.request.urlopen(self.url(path), body, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def server():
    made = Server(Starlette(routes=feed.routes("course")))
    yield made
    made.close()


@pytest.fixture
def scene(server):
    made = Scene()
    feed.watch(made.live)
    yield made
    made.live.close()


class Stream:
    """What a browser gets as long as it stays."""

    def __init__(self, server, name, layer=1):
        self.answer = urllib.request.urlopen(server.url(f"course/live-run/{name}?layer={layer}"), timeout=30)

    def next(self):
        while not (line := self.answer.readline()).startswith(b"data:"):
            assert line, "the stream ended"
        return json.loads(line.removeprefix(b"data:"))


def post(server, scene, token=None, **action):
    body = json.dumps({"token": scene.token if token is None else token, **action}).encode()
    status, said = server.ask(f"course/live-run/{scene.name}", body)
    return status, json.loads(said).get("sentence", "")


def test_a_viewer_is_sent_everything_and_then_what_changes(server, scene):
    attempt = scene.running()
    attempt.at(11, look=a_look(4))
    stream = Stream(server, scene.name, 2)
    assert stream.answer.headers["Content-Type"].startswith("text/event-stream")
    first = stream.next()
    assert (first["step"], first["layer"], first["look"]["twins"]) == (11, 2, 4)
    attempt.at(12, rates=(0.5, 0.5, 0.5), pieces=((12, (0.5, 0.5, 0.5)),))
    part = stream.next()
    assert "history" not in part
    assert (part["step"], part["from"], part["pieces"]) == (12, 0, [[12, [0.5, 0.5, 0.5]]])


def test_who_watches_is_counted(server, scene):
    scene.running()
    streams = [Stream(server, scene.name) for _ in range(3)]
    for stream in streams:
        stream.next()
    record = scene.live._records[scene.name]
    until(lambda: record.viewers == 3)
    scene.live._publish(record)
    for stream in streams:
        stream.answer.close()
    until(lambda: scene.live._publish(record) or record.viewers == 0)


def test_what_a_viewer_does_reaches_the_worker(server, scene):
    attempt = scene.running()
    assert post(server, scene, do="rates", rates=[0.5, 0.5, 0.5]) == (200, "")
    until(lambda: attempt.commands() == [{"n": 1, "do": "rates", "rates": [0.5, 0.5, 0.5]}])


def test_what_is_refused_is_a_sentence(server, scene):
    scene.running()
    assert post(server, scene, token="another", do="pause") == (409, "Whoever started this run steers it; you are watching.")
    assert post(server, scene, do="rates", rates=[2, 2, 2]) == (409, "dropout must be rates from 0 to 0.95; got 2.")
    scene.name = "0123456789abcdef"
    status, sentence = post(server, scene, do="pause")
    assert status == 404
    assert sentence.startswith("No live run of that name is known here")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'{"do": "play"}', b'{"token": 1, "do": "play"}', b"[" * 4000])
def test_what_is_no_wish_is_a_sentence(server, scene, body):
    scene.running()
    status, said = server.ask(f"course/live-run/{scene.name}", body)
    assert status == 400
    assert "must be a JSON object" in json.loads(said)["sentence"]


def test_what_is_too_long_is_not_read(server, scene):
    scene.running()
    assert server.ask(f"course/live-run/{scene.name}", b" " * 10_000)[0] == 413


def test_a_bad_link_has_no_stream_and_a_browser_does_not_ask_again(server, scene):
    scene.running()
    assert server.ask("course/live-run/0123456789abcdef") == (204, b"")
    assert server.ask(f"course/live-run/{scene.name}?layer=4")[0] == 400
    assert server.ask(f"course/live-run/{scene.name}?layer=abc")[0] == 400


def test_a_server_that_runs_already_answers_too():
    async def other(request):
        return PlainTextResponse("a page")

    server = Server(Starlette(routes=[Route("/{path:path}", other)]))
    scene = Scene()
    try:
        scene.running()
        feed.watch(scene.live)
        assert server.ask(f"live-run/{scene.name}") == (200, b"a page")
        feed.answer()
        feed.answer()
        assert server.ask("else") == (200, b"a page")
        assert post_at(server, scene) == 200
        assert server.ask("else") == (200, b"a page")
    finally:
        scene.live.close()
        server.close()


def post_at(server, scene):
    return server.ask(f"live-run/{scene.name}", json.dumps({"token": scene.token, "do": "pause"}).encode())[0]


def test_a_watcher_costs_little(server, scene):
    """Ten thousand bytes a second: four updates, and a picture of the largest kind every two seconds."""
    attempt = scene.running()
    stream = Stream(server, scene.name)
    stream.next()
    look = a_look()
    for part in look["layers"]:
        part |= {"clusters": "A" * 136, "twin": "A" * 136, "flags": "A" * 136}
    look["pictures"] = ["A" * 12_000] * 3
    sizes = []
    for step in range(20, 28):
        attempt.at(
            step, look={**look} if step % 8 == 0 else {name: value for name, value in look.items() if name != "pictures"}
        )
        line = stream.answer.readline()
        while not line.startswith(b"data:"):
            line = stream.answer.readline()
        sizes.append(len(line))
    assert sum(sizes) / 2 <= 10_000
    with contextlib.suppress(OSError):
        stream.answer.close()
