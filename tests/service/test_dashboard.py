"""The started app: what it refuses to start with, and that a foreign page neither gets in nor keeps anybody waiting."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropclust.service import dashboard, overview
from dropclust.service.jobs import Jobs

ROOT = Path(__file__).resolve().parents[2]
# Runs in the server's process before all else: writes down where it connects to, and lets nothing out.
WATCH = """
import os, socket
connect, ask = socket.socket.connect, socket.getaddrinfo
def told(line):
    with open(os.environ["CONNECTS"], "a") as file: file.write(line + "\\n")
def watched(self, address):
    if self.type & socket.SOCK_STREAM and isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        told(f"connect {address}")
        raise OSError("no way out")
    return connect(self, address)
def looked_up(host, *rest, **named):
    if host not in (None, "localhost", "127.0.0.1", "0.0.0.0", "::1"):
        told(f"look up {host}")
        raise socket.gaierror("no way out")
    return ask(host, *rest, **named)
socket.socket.connect, socket.getaddrinfo = watched, looked_up
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """The dashboard in a process of its own, whose way out is watched."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port, self.connects, self.log = free_port(), folder / "connects.txt", folder / "log.txt"
        (folder / "sitecustomize.py").write_text(WATCH)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "CONNECTS": str(self.connects),
            "DROPCLUST_CACHE": str(folder),
        }
        command = [sys.executable, "-m", "dropclust", "dashboard", "--no-browser", "--port", str(self.port), *arguments]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self, path: str = "") -> None:
        deadline = time.monotonic() + 60
        while "For you alone" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self.log.read_text()}")
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.status, answer.read()

    def upgrade(self, path: str = "/_stcore/stream", **headers: str) -> int:
        """Ask for a websocket; the status of the answer, 101 when it is opened."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in {
            "Host": f"localhost:{self.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
            **headers,
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    def asked(self) -> list[str]:
        return self.connects.read_text().splitlines() if self.connects.exists() else []

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    try:
        started.wait()
        yield started
    finally:
        started.close()


def test_foreign_pages_are_refused_hold_up_nobody_and_the_internet_is_not_asked(server: Server):
    """Ten at once; while they are answered, health is as quick as ever. Streamlit alone would ask for its outside address."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(server.upgrade(Origin="http://stranger.example"))) for _ in range(10)
    ]
    server.get("/_stcore/health")
    for thread in threads:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in threads) or len(waits) < 10:
        began = time.perf_counter()
        assert server.get("/_stcore/health") == (200, b"ok")
        waits.append(time.perf_counter() - began)
    for thread in threads:
        thread.join()
    assert statuses == [403] * 10
    assert server.asked() == []
    assert sorted(waits)[len(waits) // 2] < 0.05
    assert max(waits) < 1.0  # a question to the internet takes two seconds at least, and nobody is answered meanwhile


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_is_let_in(server: Server, host: str):
    assert server.upgrade(Host=f"{host}:{server.port}", Origin=f"http://{host}:{server.port}") == 101


def test_a_foreign_name_that_was_made_to_point_here_is_refused(server: Server):
    assert server.upgrade(Host="stranger.example", Origin="http://stranger.example") == 403


def test_scripts_go_out_compressed(server: Server):
    page = server.get("/")[1].decode()
    [script] = re.findall(r'src="\./(static/js/index\.[^"]+\.js)"', page)
    address = f"http://127.0.0.1:{server.port}/{script}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        plain = answer.read()
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept-Encoding": "gzip"}), timeout=30) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        sent = answer.read()
    assert gzip.decompress(sent) == plain
    assert len(sent) < len(plain) / 2


def test_healthz_tells_the_state_without_a_name(server: Server):
    status, body = server.get("/healthz")
    assert status == 200
    assert json.loads(body) == {"status": "idle", "sessions": 0, "queue": {}, "workers": 0, "failure": None}


def test_one_line_tells_a_person_where_it_is_and_how_to_stop_it(server: Server):
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("DropClust")]
    assert lines == [f"DropClust is at http://localhost:{server.port}. Stop it with Ctrl-C."]


def test_the_teachers_panel_is_there_for_whoever_has_the_token_alone(server: Server):
    [line] = [line for line in server.log.read_text().splitlines() if line.startswith("For you alone")]
    path = line[line.index("/teacher?") :]
    status, body = server.get(path)
    assert status == 200
    assert "Open pages" in body.decode()
    for wrong in ("/teacher", "/teacher?token=", f"{path[:-1]}"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            server.get(wrong)
    address = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(urllib.request.Request(address + path, b"", method="POST"), timeout=30) as answer:
        assert b"Stop all runs" in answer.read()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(urllib.request.Request(f"{address}/teacher", b"", method="POST"), timeout=30)


def test_for_a_class_it_starts_without_the_internet_and_a_proxys_name_is_let_in(tmp_path: Path):
    served = Server(tmp_path, "--address", "0.0.0.0", "--base-path", "/course/dropclust/", "--host", "school.example")
    try:
        served.wait()
        text = served.log.read_text()
        assert f"DropClust is at http://localhost:{served.port}/course/dropclust, " in text
        assert "for the class at http" in text or "in no network" in text
        assert served.asked() == []
        assert served.get("/course/dropclust/_stcore/health") == (200, b"ok")
        assert json.loads(served.get("/course/dropclust/healthz")[1])["status"] == "idle"
        stream = "/course/dropclust/_stcore/stream"
        assert served.upgrade(stream, Host="school.example", Origin="https://school.example") == 101
        assert served.upgrade(stream, Host="stranger.example", Origin="https://stranger.example") == 403
    finally:
        served.close()


# ---- addresses


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "0.0.0.0"])
def test_an_address_of_this_machine_is_taken(address: str):
    assert dashboard.check_free(free_port(), address) == address


@pytest.mark.parametrize("address", ["::1", "[::1]", "::"])
def test_ipv6_is_taken_where_there_is_some(address: str):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        with pytest.raises(ValueError, match=r"^address must be one of this machine"):
            dashboard.check_free(free_port(), address)
    else:
        assert dashboard.check_free(free_port(), address) == address.strip("[]")


@pytest.mark.parametrize("address", ["localhost:8501", "http://localhost", "127.0.0.1:80", "", " ", "a/b"])
def test_what_is_no_address_is_not_taken_for_a_port_in_use(address: str):
    with pytest.raises(ValueError, match=r"^address must be a name or IP address without a port"):
        dashboard.check_free(free_port(), address)


@pytest.mark.parametrize("address", ["192.0.2.77", "300.1.1.1", "no-such-name.invalid"])
def test_an_address_of_another_machine_is_not_taken_for_a_port_in_use(address: str, monkeypatch: pytest.MonkeyPatch):
    known = socket.getaddrinfo

    def without_network(host: str, *rest: object) -> object:
        if host[0].isdigit() and host.count(".") == 3 and not host.startswith("300"):
            return known(host, *rest)
        raise socket.gaierror("not known")

    monkeypatch.setattr(socket, "getaddrinfo", without_network)
    with pytest.raises(ValueError, match=r"^address must be one of this machine"):
        dashboard.check_free(free_port(), address)


def test_a_port_in_use_is_said_to_be_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match=r"^port must be one that is free on localhost"):
            dashboard.check_free(taken.getsockname()[1], "localhost")


def test_the_address_in_the_network_is_none_of_this_machine_alone():
    found = dashboard.lan_address()
    assert found is None or not found.startswith("127.")


# ---- overview


class NoStore:
    """A store that has nothing."""

    def get(self, key: str) -> None:
        """Nothing."""

    def put(self, stored: object) -> None:
        """Nothing."""


class Still(Jobs):
    """A queue that never starts a cluster."""

    def start(self) -> None:
        """Nothing."""


def test_the_overview_counts_runs_and_stop_all_stops_them(monkeypatch: pytest.MonkeyPatch):
    from dropclust.core.spec import RunSpec

    monkeypatch.setattr(overview, "_queue", None)
    assert overview.stop_all() == 0
    queue = Still(NoStore(), workers=2)
    overview.watch(queue)
    for seed in range(3):
        queue.submit(RunSpec(seed=seed))
    assert overview.overview() == {
        "status": "starting", "sessions": 0, "queue": {"waiting": 3}, "workers": 0, "failure": None,
    }  # fmt: skip
    assert overview.stop_all() == 3
    assert overview.overview()["queue"] == {"stopped": 3}


def test_a_run_that_ends_is_a_line_in_the_terminal(capsys, monkeypatch):
    ours = logging.getLogger("dropclust")
    monkeypatch.setattr(ours, "handlers", [])
    before = ours.level
    try:
        dashboard._log_runs()
        logging.getLogger("dropclust.service.jobs").info("run 0123456789ab done: 3 of 2,500 steps in 0.0 s.")
    finally:
        ours.setLevel(before)
    assert capsys.readouterr().err.endswith(" run 0123456789ab done: 3 of 2,500 steps in 0.0 s.\n")


@pytest.mark.parametrize("what", ["made on a press", "a picture"])
def test_a_file_outlives_others_runs_for_a_while(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.runtime.media_file_manager import MediaFileManager, MediaFileMetadata
    from streamlit.runtime.media_file_storage import MediaFileStorageError
    from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

    monkeypatch.setattr(MediaFileMetadata, "mark_for_delete", MediaFileMetadata.mark_for_delete)  # put back at the end
    monkeypatch.setattr(MediaFileMetadata, "kind", MediaFileMetadata.kind)
    dashboard.keep_files()
    storage = MemoryMediaFileStorage("/media")
    manager = MediaFileManager(storage)
    if what == "a picture":
        made = manager.add(b"weights", "image/webp", "a place")
        manager.clear_session_refs()  # as its page does when it runs again
    else:
        made = manager.execute_deferred(manager.add_deferred(lambda: b"weights", None, "a button", "net.npz"))
    name = made.split("?")[0].rsplit("/", 1)[1]
    for _ in range(20):  # ends of runs
        manager.remove_orphaned_files()
    assert storage.get_file(name).content == b"weights"
    monkeypatch.setattr(dashboard, "KEPT_SECONDS", 0)
    for _ in range(2):
        manager.remove_orphaned_files()
    with pytest.raises(MediaFileStorageError):
        storage.get_file(name)


def test_a_field_looks_up_its_own_value_and_who_goes_through_all_of_them_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.runtime.state import SessionState
    from streamlit.runtime.state.safe_session_state import SafeSessionState

    monkeypatch.setattr(SafeSessionState, "filtered_state", SafeSessionState.__dict__["filtered_state"])  # put back at the end
    state = SessionState()
    state["a"], state["nothing"] = 1, None
    safe = SafeSessionState(state, lambda: None)
    before = dict(safe.filtered_state)
    for _ in range(2):
        dashboard.look_up_alone()
    seen = safe.filtered_state
    assert dict(seen) == before == {"a": 1, "nothing": None}
    assert len(seen) == 2
    monkeypatch.setattr(SessionState, "filtered_state", property(lambda self: pytest.fail("all of it was copied")))
    assert safe.filtered_state["a"] == 1
    assert "nothing" in safe.filtered_state
    assert "b" not in safe.filtered_state
