"""A server of its own, seen from the system: its processor time, its memory, what it has mapped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.browser.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
_EMPTY = "import streamlit as st\nst.set_page_config('Empty')\nst.title('Nothing')\n"
DASHBOARD = (sys.executable, "-m", "dropclust", "dashboard", "--port", "{port}", "--no-browser", "--address", "127.0.0.1")
_SAMPLE_SECONDS = 0.2


class Server:
    """A server of its own.

    Parameters
    ----------
    name
        What reports call it.
    command
        How it is started; ``{port}`` stands for its port.
    folder
        Where, and what it imports from.
    environment
        Variables of its own.
    """

    def __init__(self, name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name, self.port = name, free_port()
        self.process = subprocess.Popen(
            [part.format(port=self.port) for part in command], cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), **(environment or {})},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=5).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"{name} did not start") from None
                time.sleep(0.1)

    def seconds(self) -> float:
        """Processor time used so far, of all its threads and not of its children."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def running(self) -> int:
        """How many trainings run on its workers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=30) as answer:
            return int(json.load(answer)["queue"].get("training", 0))

    def resident(self) -> float:
        """MB that it has in memory now."""
        return resident(self.process.pid)

    def maps_torch(self) -> bool:
        """Whether it has mapped torch's library."""
        return "libtorch" in Path(f"/proc/{self.process.pid}/maps").read_text()

    def workers(self) -> list[int]:
        """The worker processes that it started."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in below if any("spawn_main" in part for part in child.cmdline())]

    def stop(self) -> None:
        """End it with all it started."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for child in psutil.wait_procs(below, 5)[1]:
            child.kill()


def empty_page(folder: Path) -> Server:
    """Streamlit serving a page with a title alone, to compare with; the page is written into the folder."""
    (folder / "empty.py").write_text(_EMPTY)
    command = [
        sys.executable, "-m", "streamlit", "run", f"{folder}/empty.py", "--server.port", "{port}",
        "--server.address", "127.0.0.1", "--server.headless", "true",
    ]  # fmt: skip
    return Server("empty", command, ROOT)


class Watch:
    """Looks at a server several times a second, on a thread of its own: ``most``, its memory in MB, and ``torch``."""

    def __init__(self, server: Server) -> None:
        self.server, self.most, self.torch = server, 0.0, False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.most = max(self.most, self.server.resident())
            self.torch |= self.server.maps_torch()


def resident(process: int) -> float:
    """MB that a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
