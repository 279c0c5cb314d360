"""A real browser, and a Streamlit server of one's own that is gone at the end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
# No sandbox, so that a container's root can run it; the rest keeps a browser from asking anything of the network by itself.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 60
expect.set_options(timeout=60_000)  # Playwright's own five seconds are less than a busy machine needs

Serve = Callable[[Path, Mapping[str, str]], str]


def chromium(playwright: Playwright) -> str | None:
    """Path of the system's Chromium where Playwright has none of its own; None where it has."""
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return None if Path(playwright.chromium.executable_path).exists() else system


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium: Playwright's own where it is installed, else the system's.

    No longer than a module: while it lives, Playwright's event loop counts as running in this thread, and no other can.
    """
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(playwright), args=CHROMIUM_ARGUMENTS)
        yield started
        started.close()


def free_port() -> int:
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start ``streamlit run`` on a script, in a process group that is killed at the module's end; gives the page's address.

    No longer: each server has workers of a gigabyte, and those of all modules together are more than a small machine has.
    """
    groups: list[subprocess.Popen[bytes]] = []

    def start(script: Path, environment: Mapping[str, str]) -> str:
        port, log = free_port(), tmp_path_factory.mktemp("server") / "log.txt"
        settings = {
            "server.port": port,
            "server.address": "127.0.0.1",
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false",
        }
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "streamlit",
                    "run",
                    str(script),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        groups.append(server)
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                    return address
            except OSError:
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')}") from None
                time.sleep(0.1)

    yield start
    for server in groups:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
