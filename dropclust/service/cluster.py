"""Where runs are trained: a private Dask cluster on this machine, or somebody's real one. It knows no run and no queue.

The private cluster is a scheduler and one nanny a worker, each a process of its own. Dask's SubprocessCluster starts the same
processes, but gives them no environment, folder or log of their own: stderr goes to a pipe that nobody reads, and the
scheduler freezes when it is full; a file of the current folder named like a standard module stops it; a scheduler or
nanny that dies is not noticed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dropclust
from dropclust.core.paths import cache_folder
from dropclust.service.bounds import IDLE_SECONDS
from dropclust.service.pool import ONE_THREAD
from dropclust.service.preload import FOLDER
from dropclust.service.worker import sentence

PRELOAD = "dropclust.service.preload"

_START_SECONDS = 60.0  # for our scheduler to name its address
_REMOTE_SECONDS = 15.0  # for a real cluster to answer, which may be being started anew
_CALL_SECONDS = 10.0  # for any one question to a scheduler
_CLOSE_SECONDS = 5.0
_SHORT_SECONDS = 1.0  # for which there must be too few workers before another is started: it takes seconds of a core itself
_LOG_BYTES = 1_000_000
_DEATHS, _DEATHS_SECONDS = 5, 60.0  # nannies that may die in that time before the cluster is given up


class ClusterError(Exception):
    """The cluster cannot be used; its text is one sentence for people."""


class ClusterLost(ClusterError):
    """The cluster was there and is gone, with all that ran on it; a new one may work."""


class Cluster(ABC):
    """What a real cluster and a private one share: a client, and a few calls that never wait for ever."""

    def __init__(self) -> None:
        self.client: Any = None
        self._asides: list[threading.Thread] = []

    @abstractmethod
    def open(self, closing: threading.Event) -> None:
        """Start or reach the cluster; comes back early when ``closing`` is set. Raises `ClusterError`."""

    def check(self) -> None:
        """Raise `ClusterLost` when the cluster is gone; replace what can be replaced."""
        if self.client.status != "running":
            raise ClusterLost("the Dask scheduler is gone")

    def threads(self) -> int:
        """How many tasks the workers that are there now can run at once."""
        try:
            return sum(self.client.nthreads(callback_timeout=_CALL_SECONDS).values())
        except Exception as error:  # whatever a broken connection raises: there is no such cluster any more
            raise ClusterLost("the Dask scheduler does not answer") from error

    @abstractmethod
    def scale(self, needed: int) -> None:
        """See to it that so many tasks can run at once, as far as that is ours to decide; returns at once."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many workers there may be at most; None for what somebody else decides."""

    def tell(self, address: str, function: Callable[[str], object], argument: str) -> None:
        """Call a function in the worker process at ``address``, beside its running task; does not wait."""
        self._aside(lambda client: client.run(function, argument, workers=[address], on_error="ignore"))

    def kill(self, address: str, pid: int) -> None:
        """End the worker process at ``address`` whatever it does; its nanny starts another. Does not wait."""
        self._aside(lambda client: client.restart_workers([address], timeout=_CALL_SECONDS, raise_for_error=False))

    def close(self) -> None:
        """Let go of everything; safe to call more than once."""
        client, self.client = self.client, None
        for thread in self._asides:  # a connection that is just being made would outlive the client
            thread.join(_CLOSE_SECONDS)
        if client is not None:
            with contextlib.suppress(Exception):  # a dead scheduler cannot say goodbye
                client.close(timeout=_CLOSE_SECONDS)

    def _aside(self, call: Callable[[Any], object]) -> None:
        """Do it on a thread of its own: Dask's calls have no time limit, and a worker that hangs must not hold up the rest."""
        client = self.client

        def quietly() -> None:
            with contextlib.suppress(Exception):  # the worker is gone already, or the cluster is
                call(client)

        self._asides = [thread for thread in self._asides if thread.is_alive()]
        self._asides.append(threading.Thread(target=quietly, name="dropclust-aside", daemon=True))
        self._asides[-1].start()


class RemoteCluster(Cluster):
    """A Dask cluster that somebody else runs; certificates come from Dask's own configuration (distributed.comm.tls).

    Parameters
    ----------
    address
        As `check_address` allows it.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = check_address(address)

    def open(self, closing: threading.Event) -> None:
        """Connect; a scheduler that is being started anew is waited for."""
        deadline = time.monotonic() + _REMOTE_SECONDS
        while not closing.is_set():
            try:
                self.client = _connect(self.address, {"require_encryption": self.address.startswith("tls:")})
                return
            except Exception as error:  # refused, no such host, wrong or missing certificate, other version
                if time.monotonic() > deadline or not isinstance(error, OSError):
                    raise ClusterError(
                        f"no Dask scheduler could be used at {self.address}: {sentence(error).rstrip('.')}"
                    ) from error
            closing.wait(0.5)

    def scale(self, needed: int) -> None:
        """Nothing: a real cluster has the workers that it has."""

    @property
    def size(self) -> int | None:
        """None: whoever runs it decides."""
        return None


class PrivateCluster(Cluster):
    """Scheduler and workers on this machine, for this process alone: TLS with a throw-away key pair, loopback only.

    It starts with one worker. Others are started when there is more to do, and end when there was less for `IDLE_SECONDS`.

    Parameters
    ----------
    workers
        The most worker processes, one task and one thread each.
    preload
        The module, or path of a .py file, that each process runs first.
    """

    def __init__(self, workers: int, preload: str = PRELOAD) -> None:
        super().__init__()
        self.workers, self.preload = workers, preload
        self.folder = Path()
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nannies: dict[int, subprocess.Popen[bytes]] = {}
        self._leaving: list[subprocess.Popen[bytes]] = []  # nannies whose workers were let go
        self._needed_at = [float("-inf")] * workers  # when so many workers, less one, were needed last
        self._short_since: float | None = None
        self._address = ""
        self._security: dict[str, Any] = {}
        self._ever_had_workers = False
        self._deaths: deque[float] = deque(maxlen=_DEATHS)

    def open(self, closing: threading.Event) -> None:
        """Start the scheduler and one nanny, and connect; the worker comes by itself."""
        self.folder = _private_folder()
        self._security = _write_keys(self.folder)
        self.scheduler = self._start_scheduler()
        self._address = self._await_address(self.scheduler, closing)
        if closing.is_set():
            return
        self.nannies = {0: self._start_nanny(0)}
        try:
            self.client = _connect(self._address, self._security)
        except OSError as error:
            raise ClusterError(f"the scheduler of the background workers does not answer: {self._last_words()}") from error

    def check(self) -> None:
        """Raise `ClusterLost` when the scheduler is dead or the folder gone; start a new nanny for one that died."""
        super().check()
        if not (self.folder / "key.pem").exists():  # without its keys no worker can join any more
            raise ClusterLost("the folder with the keys of the background workers is gone")
        for number, nanny in self.nannies.items():
            if nanny.poll() is None:
                continue
            now = time.monotonic()
            often = len(self._deaths) == _DEATHS and now - self._deaths[0] < _DEATHS_SECONDS
            if often or not self._ever_had_workers:
                raise ClusterError(f"the background workers do not start: {self._last_words(number)}")
            self._deaths.append(now)
            self._close_process(nanny)
            self.nannies[number] = self._start_nanny(number)
        for log in self.folder.glob("*.log"):
            if log.stat().st_size > _LOG_BYTES:
                os.truncate(log, 0)  # the processes append, so they go on at its new end

    def threads(self) -> int:
        """How many tasks the workers that are there now can run at once."""
        threads = super().threads()
        self._ever_had_workers |= threads > 0
        return min(threads, len(self.nannies))  # one that is leaving gets nothing more to do

    @property
    def size(self) -> int | None:
        """As many as it was made for."""
        return self.workers

    def scale(self, needed: int) -> None:
        """Start what is needed and was not there for a second; end workers that were not needed for `IDLE_SECONDS`."""
        now = time.monotonic()
        needed = max(1, min(needed, self.workers))
        self._needed_at[:needed] = [now] * needed
        if needed <= len(self.nannies):
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        elif now - self._short_since >= _SHORT_SECONDS:
            self._short_since = None
            for number in [number for number in range(self.workers) if number not in self.nannies]:
                if len(self.nannies) < needed:
                    self.nannies[number] = self._start_nanny(number)
        kept = sum(now - last < IDLE_SECONDS.value() for last in self._needed_at)
        if kept < len(self.nannies):
            self._let_go(len(self.nannies) - kept)

    def _let_go(self, number: int) -> None:
        """End some workers that have nothing to do. Should one be given something this moment, Dask gives it to another."""
        try:
            workers = self.client.sync(self.client.scheduler.identity, callback_timeout=_CALL_SECONDS)["workers"]
            busy = self.client.sync(self.client.scheduler.processing, workers=None, callback_timeout=_CALL_SECONDS)
        except Exception as error:  # whatever a broken connection raises: there is no such cluster any more
            raise ClusterLost("the Dask scheduler does not answer") from error
        idle = {worker["name"]: address for address, worker in workers.items() if not busy.get(address)}
        leaving = {name: self.nannies.pop(name) for name in sorted(idle, reverse=True)[:number] if name in self.nannies}
        self._leaving = [nanny for nanny in self._leaving if nanny.poll() is None] + list(leaving.values())

        def end(client: Any) -> None:
            with contextlib.suppress(Exception):  # it goes all the same
                client.retire_workers(workers=[idle[name] for name in leaving], close_workers=True, remove=True)
            for nanny in leaving.values():
                self._end_nanny(nanny)

        if leaving:
            self._aside(end)

    @staticmethod
    def _end_nanny(nanny: subprocess.Popen[bytes]) -> None:
        """Wait until it has ended, or end it; not by closing its stdin, by which it would know that the app ends."""
        try:
            nanny.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            nanny.kill()
            nanny.wait()
        if nanny.stdin is not None:
            nanny.stdin.close()

    def kill(self, address: str, pid: int) -> None:
        """End a worker process; it is one of ours, so the kernel does it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows the second ends a process as the first does

    def close(self) -> None:
        """End all processes and remove the folder with the keys."""
        super().close()
        for process in (*self.nannies.values(), *self._leaving, *([self.scheduler] if self.scheduler else [])):
            self._close_process(process)
        self.nannies, self._leaving, self.scheduler = {}, [], None
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start_scheduler(self) -> subprocess.Popen[bytes]:
        return self._start(
            "scheduler",
            [],
            "distributed.Scheduler",
            {"port": 0, "dashboard_address": "127.0.0.1:0", "scheduler_file": str(self.folder / "scheduler.json")},
        )

    def _start_nanny(self, number: int) -> subprocess.Popen[bytes]:
        options = {"name": number, "nthreads": 1, "memory_limit": 0, "preload_nanny": [self.preload]}
        return self._start(
            f"worker-{number}", [self._address], "distributed.Nanny", options | {"local_directory": str(self.folder)}
        )

    def _start(self, name: str, arguments: list[str], cls: str, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        # Everybody on the machine can read a command line, so it holds the paths of the keys and not the keys.
        shared = {"host": "tls://127.0.0.1", "dashboard": False, "security": self._security, "preload": [self.preload]}
        spec = json.dumps({"cls": cls, "opts": shared | options})
        descriptor = os.open(self.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", "spec", *arguments, "--spec", spec],
                stdin=subprocess.PIPE,  # never written to: the children end when our end of it closes
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_environment(self.folder),
                start_new_session=True,  # Ctrl-C in the terminal is for the app, which ends them in order
            )

    def _await_address(self, scheduler: subprocess.Popen[bytes], closing: threading.Event) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while not closing.wait(0.02):
            with contextlib.suppress(OSError, ValueError):  # not there yet, or half written
                return str(json.loads((self.folder / "scheduler.json").read_text())["address"])
            if scheduler.poll() is not None or time.monotonic() > deadline:
                raise ClusterError(f"the scheduler of the background workers does not start: {self._last_words()}")
        return ""

    def _last_words(self, number: int | None = None) -> str:
        """Why a process ended, by its log: the first error there, for what follows is the fall of those above it."""
        log = self.folder / ("scheduler.log" if number is None else f"worker-{number}.log")
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "Error: " in line or line.endswith("Error")]
        return [*errors, *lines[-1:], "it ended without a word"][0][:300].rstrip(".")

    @staticmethod
    def _close_process(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check_address(address: str) -> str:
    """The address of a real scheduler, as it is safe to use one.

    Raises
    ------
    ValueError
        Unless it is tls://host:port; tcp:// is allowed when the environment says DROPCLUST_ALLOW_PLAINTEXT=1, for whoever
        reaches an open scheduler runs code on its workers.
    """
    plain = os.environ.get("DROPCLUST_ALLOW_PLAINTEXT") == "1"
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in (("tls", "tcp") if plain else ("tls",)) or not host or not port.isdecimal():
        raise ValueError(
            f"scheduler must be tls://host:port (or tcp://host:port with DROPCLUST_ALLOW_PLAINTEXT=1); got {address!r}"
        )
    return address


def _private_folder() -> Path:
    """A new folder that this user alone can read, for keys and logs: not where whatever cleans /tmp would end all training.

    It lies beside the runs; where nothing can be written there, among the temporary files after all.
    """
    folder = cache_folder() / "workers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix="dropclust-", dir=folder)  # mode 0700
    except OSError:
        made = tempfile.mkdtemp(prefix="dropclust-")
    return Path(made).resolve()


def _dask() -> Any:
    """Dask's distributed, imported late: it costs half a second that the first page need not wait for.

    Its tracebacks of connections that break are not for the terminal: the queue says in a sentence what happened.
    """
    if "distributed" not in sys.modules:
        config = importlib.import_module("dask.config")
        quiet = dict.fromkeys(("distributed", "distributed.client", "tornado.application"), "critical")
        config.set({"logging": config.get("logging", {}) or quiet})
    return importlib.import_module("distributed")


def _connect(address: str, security: dict[str, Any]) -> Any:
    dask = _dask()
    return dask.Client(address, security=dask.Security(**security), timeout=_CALL_SECONDS, set_as_default=False)


def _write_keys(folder: Path) -> dict[str, Any]:
    """One self-signed key pair for both ends of every connection, in files that only this user can read."""
    certificate, key = _key_pair()
    for name, content in (("ca", certificate), ("cert", certificate), ("key", key)):
        descriptor = os.open(folder / f"{name}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    security: dict[str, Any] = {"require_encryption": True, "tls_ca_file": str(folder / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        security[f"tls_{role}_cert"] = str(folder / "cert.pem")
        security[f"tls_{role}_key"] = str(folder / "key.pem")
    return security


def _key_pair() -> tuple[bytes, bytes]:
    """A certificate and its private key, as PEM.

    Dask's own (`Security.temporary`) is valid from the second of its making, so that no new worker gets in once the clock was
    set back; this one is valid from the day before.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dropclust")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("dropclust")]), critical=False)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _environment(folder: Path) -> dict[str, str]:
    """The environment of the children: ours, and what makes them safe and small."""
    home = str(Path(dropclust.__file__).resolve().parents[1])
    paths = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {
        **os.environ,
        FOLDER: str(folder),
        "TMPDIR": str(folder),  # so that what a killed worker leaves behind goes with the folder
        "PYTHONPATH": os.pathsep.join([home, *paths]),
        "DROPCLUST_CACHE": str(cache_folder().resolve()),
        **ONE_THREAD,
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
        "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
        # A run whose worker died comes back to the queue at once, which decides and tells what happens next.
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        # Dask has workers hand memory back at once: a step of training then asks for its images' room anew, which takes a
        # quarter longer. It also writes down a hundred times a second where each task is, for a dashboard that we do not open.
        "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{'MALLOC_TRIM_THRESHOLD_': None}",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    }
