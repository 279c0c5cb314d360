"""The package as somebody installs it: used from another folder, with the data it brought and a folder for the user's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN = "0" * 64  # a run of the builder's own, which must not be given away


@dataclass(frozen=True)
class Installed:
    """A wheel, the folder it was installed into, and another folder to work in."""

    wheel: Path
    site: Path
    home: Path
    elsewhere: Path

    def run(self, *arguments: str, **environment: str) -> str:
        """What a command prints, run from elsewhere by somebody who has nothing else of the project."""
        done = subprocess.run(
            arguments, cwd=self.elsewhere, env=self.environment | environment, capture_output=True, text=True, check=False,
            timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, program: str, **environment: str) -> str:
        """What a Python program prints."""
        return self.run(sys.executable, "-c", program, **environment)

    @property
    def environment(self) -> dict[str, str]:
        """A user's environment, with a home of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DROPCLUST", "XDG"))}
        return kept | {"PYTHONPATH": str(self.site), "HOME": str(self.home), "OMP_NUM_THREADS": "1"}

    @property
    def command(self) -> str:
        """The program that was installed."""
        return str(self.site / "bin" / "dropclust")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The project built from a copy, so that nothing is left here, and installed beside what this environment holds."""
    root = tmp_path_factory.mktemp("install")
    source = root / "source"
    source.mkdir()
    for name in ("app.py", "pyproject.toml", "requirements.txt", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("dropclust", "pages", ".streamlit", ".packaging", "cache"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "parts", "damaged"))
    own = source / "cache" / "runs" / OWN[:2] / f"{OWN}.safetensors"
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"mine")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", root, source], check=True, capture_output=True)
    [wheel] = root.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", root / "site", wheel], check=True, capture_output=True)
    for name in ("home", "elsewhere"):
        (root / name).mkdir()
    return Installed(wheel, root / "site", root / "home", root / "elsewhere")


def test_the_wheel_holds_the_app_and_the_shipped_data_and_nothing_of_the_builders(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = set(archive.namelist())
    shipped = {"app.py", ".streamlit/config.toml", "cache/runs/SHIPPED", "cache/results/table2-modern.csv"}
    shipped |= {f"pages/{page.name}" for page in (ROOT / "pages").glob("*.py")}
    shipped |= {f"cache/MNIST/raw/{file.name}" for file in (ROOT / "cache/MNIST/raw").glob("*.gz")}
    assert {f"dropclust/shipped/{name}" for name in shipped} <= names
    assert {f"dropclust/ui/{name}" for name in ("icon.png", "explorer/explorer.js", "drawing/drawing.js")} <= names
    assert not [name for name in names if OWN in name]
    assert not [name for name in names if name.startswith(("tests", "pages", "app"))]


def test_imported_elsewhere_it_reads_what_it_brought_and_writes_to_the_users_folder(installed: Installed) -> None:
    said = installed.python(
        "import dropclust\n"
        "from dropclust.core.paths import cache_folder\n"
        "from dropclust.experiments import table2\n"
        "from dropclust.experiments import results\n"
        "from dropclust.service.store import open_store\n"
        "print(dropclust.__file__, cache_folder(), sep='\\n')\n"
        "assert len(results.read('table2-modern').table) > 1000\n"
        "store = open_store()\n"
        "listed = store.list()\n"
        "assert listed and all(summary.shipped for summary in listed)\n"
        "shipped = store.get(table2.shown_spec(0.4).key)\n"
        "path = store.put(shipped)\n"
        "assert path.is_relative_to(cache_folder() / 'runs')\n"
        "assert len(store.list()) == len(listed)\n"
    ).split()
    assert said == [str(installed.site / "dropclust" / "__init__.py"), str(installed.home / ".local" / "share" / "dropclust")]


def test_a_folder_of_ones_own_can_be_named(installed: Installed, tmp_path: Path) -> None:
    program = "from dropclust.core.paths import cache_folder, find; print(cache_folder(), find('results', 'table2-modern.csv'))"
    shipped = installed.site / "dropclust" / "shipped" / "cache" / "results" / "table2-modern.csv"
    assert installed.python(program, DROPCLUST_CACHE=str(tmp_path)).split() == [str(tmp_path), str(shipped)]
    (tmp_path / "results").mkdir()
    shutil.copy(shipped, tmp_path / "results")
    assert installed.python(program, DROPCLUST_CACHE=str(tmp_path)).split()[1] == str(tmp_path / "results" / shipped.name)
    assert installed.python(program, XDG_DATA_HOME=str(tmp_path)).split()[0] == str(tmp_path / "dropclust")


def test_the_command_trains_and_evaluates(installed: Installed) -> None:
    trained = installed.run(installed.command, "train", "--hidden", "8", "6", "5", "--examples", "6400", "--out", "net.npz")
    assert trained.startswith("net.npz: ")
    evaluated = installed.run(installed.command, "evaluate", "net.npz")
    assert evaluated.splitlines()[-2:] == trained.splitlines()[-2:]


def test_the_command_opens_the_dashboard_with_the_projects_settings(installed: Installed) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [installed.command, "dashboard", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(command, cwd=installed.elsewhere, env=installed.environment, stdout=subprocess.DEVNULL)
    try:
        deadline, health = time.monotonic() + 60, None
        while health is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/_stcore/health") as answer:
                health = answer.read()
            time.sleep(0.1)
        assert health == b"ok"
    finally:
        server.terminate()
        server.wait(timeout=30)


SEE_EVERY_PAGE = """
import os
from dropclust.core.paths import app_folder
os.chdir(app_folder())
import streamlit as st
from streamlit.testing.v1 import AppTest
from dropclust.service.jobs import Jobs
from dropclust.ui import live
waiting = Jobs(live.store(), workers=1)
live.queue = lambda: waiting  # its workers are never started
for page in ["app.py", *sorted(map(str, (app_folder() / "pages").glob("*.py")))]:
    app = AppTest.from_file(str(app_folder() / page), default_timeout=120)
    app.query_params["guess"] = "off"
    app.run()
    assert app.title and not app.exception and not app.error and not app.warning, (page, app)
print(st.get_option("client.showErrorDetails"))
"""


def test_every_page_finds_its_data_and_settings(installed: Installed) -> None:
    assert installed.python(SEE_EVERY_PAGE) == "none\n"
