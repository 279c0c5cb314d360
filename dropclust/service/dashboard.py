"""Starts the dashboard as it should be started: small packets at once, settings of the project, no question to the internet."""

from __future__ import annotations

import ctypes
import errno
import importlib
import logging
import os
import secrets
import socket
import sys
import threading
import time
import webbrowser
from asyncio import base_events
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropclust.core.paths import app_folder
from dropclust.service import bounds
from dropclust.service.cluster import check_address
from dropclust.service.delivery import deliver_together
from dropclust.service.steady import find_out_once

if TYPE_CHECKING:
    from starlette.applications import Starlette

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")
KEPT_SECONDS = 30.0  # how long a file that no page shows any more stays for the browser that was told of it
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # numbers of glibc's mallopt
_LARGE_BYTES = 256 * 1024
_BROWSER_SECONDS = 60.0  # how long the server may take to start until the browser is opened all the same
# Linux, macOS and Windows: no such address here, no such family here.
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, 10049, 10047}


def start(
    port: int = 8501,
    address: str = "localhost",
    browser: bool = True,
    base_path: str = "",
    hosts: Sequence[str] = (),
    framed: bool = False,
) -> int:
    """Serve the dashboard until it is interrupted; returns 0.

    Parameters
    ----------
    port
        1 to 65535.
    address
        What to listen on: "localhost" for this machine alone, "0.0.0.0" for everybody who can reach it; an IPv6 address too.
    browser
        Whether to open a browser window.
    base_path
        Path below which a reverse proxy passes the app on, such as "course/dropclust"; empty for none.
    hosts
        Further names under which browsers reach it, such as a reverse proxy's. On localhost no others are answered, so that a
        foreign page whose name is made to point here gets nothing.
    framed
        Whether it stands in frames of other sites' pages, where files can be brought only so, and only by https.

    Raises
    ------
    ValueError
        When the port is not one, or something else listens there, when the address is not one of this machine, when the
        environment names a Dask scheduler that is not safe to use, or sets a bound to what is no bound.

    Examples
    --------
    >>> start(port=0)
    Traceback (most recent call last):
    ValueError: port must be a whole number from 1 to 65535; got 0
    >>> start(address="10.0.0.1:8501")
    Traceback (most recent call last):
    ValueError: address must be a name or IP address without a port, such as 0.0.0.0 (see --port); got '10.0.0.1:8501'
    """
    if isinstance(port, bool) or not 1 <= port <= 65_535:
        raise ValueError(f"port must be a whole number from 1 to 65535; got {port}")
    address = check_free(port, address)
    bounds.check()
    if scheduler := os.environ.get("DROPCLUST_SCHEDULER"):
        check_address(scheduler)
    # Streamlit reads its settings from the folder it is started in.
    if named := os.environ.get("DROPCLUST_CACHE"):
        os.environ["DROPCLUST_CACHE"] = str(Path(named).resolve())
    os.chdir(app_folder())
    _log_runs()
    give_memory_back()
    _send_at_once()
    ask_nobody()
    keep_files()
    look_up_alone()
    deliver_together()
    _leave_pages_to_the_router()
    from streamlit.web import bootstrap

    base_path = base_path.strip("/")
    options: dict[str, Any] = {
        "server.port": port,
        "server.address": address,
        # Streamlit's own way of opening a browser brings advertisements with it, on the page and in the terminal.
        "server.headless": True,
        "server.baseUrlPath": base_path,
        "logger.hideWelcomeMessage": True,
    }
    if framed:
        options["server.xsrfCookieSameSite"] = "none"
    if address in _LOOPBACK or hosts:
        options["server.allowedHosts"] = [*_LOOPBACK, *([] if address in (*_LOOPBACK, *_EVERYWHERE) else [address]), *hosts]
    bootstrap.load_config_options(flag_options=options)
    find_out_once()
    token = secrets.token_urlsafe(12)
    _answer_beside_the_pages(token, base_path)
    here = url(address, port, base_path)

    def welcome() -> None:
        _welcome(address, port, base_path, token, browser)

    threading.Thread(target=_when_it_answers, args=(here, welcome), name="welcome", daemon=True).start()
    bootstrap.run(str(app_folder() / "app.py"), False, [], options)
    return 0


def _log_runs() -> None:
    """A line in the terminal for each run that ends, beside what the app warns of."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    ours = logging.getLogger("dropclust")
    ours.setLevel(logging.INFO)
    ours.handlers[:] = [handler]


def give_memory_back() -> None:
    """Let all threads take memory from one place, and give large pieces back to the system at once (glibc; nothing elsewhere).

    Each run of a page is a thread. glibc gives threads places of their own, eight a core, and each keeps the most that a run
    ever took of it: a class in an hour made hundreds of megabytes of that.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for parameter, value in (_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, 2 * _LARGE_BYTES):
        mallopt(parameter, value)


def ask_nobody() -> None:
    """Keep Streamlit from asking the internet for this machine's address, each time for seconds in which nobody is served.

    It does so when it starts, and whenever a page of another site opens a connection to it.
    """
    from streamlit import net_util

    net_util.get_external_ip = lambda: None
    net_util.get_internal_ip = lan_address


def keep_files() -> None:
    """Keep a file until the browser has come for it, `KEPT_SECONDS` at least: one made on a press, and a page's pictures.

    Streamlit forgets the one when a second run has ended since, anybody's and a fragment's too, and the others at once when a
    run ends while their own page is between the beginning of its run and them. Where a class watches pages that run by
    themselves those are milliseconds, and the browser then finds nothing.
    """
    from streamlit.runtime.media_file_manager import MediaFileMetadata
    from streamlit.runtime.media_file_storage import MediaFileKind

    def mark_for_delete(self: Any) -> None:
        now = time.monotonic()
        self._unused_since = getattr(self, "_unused_since", now)
        self._is_marked_for_delete = now - self._unused_since >= KEPT_SECONDS

    MediaFileMetadata.mark_for_delete = mark_for_delete  # type: ignore[method-assign]
    # What a picture is to the manager alone, which deletes at once what is no download; how it is sent is kept elsewhere.
    MediaFileMetadata.kind = property(lambda _: MediaFileKind.DOWNLOADABLE)  # type: ignore[method-assign, assignment]


class _Looked(Mapping[str, Any]):
    """A session's state as its fields see it: what is asked for is looked up, all of it only for who goes through it."""

    def __init__(self, state: Any, whole: Callable[[Any], Mapping[str, Any]]) -> None:
        self._state, self._whole = state, whole

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole(self._state))

    def __len__(self) -> int:
        return len(self._whole(self._state))


def look_up_alone() -> None:
    """Let a number field look up its own value in the session's state, of which Streamlit makes a copy for each, at every run.

    The eight fields of one page cost a sixth of its rerun.
    """
    from streamlit.runtime.state.safe_session_state import SafeSessionState

    whole: Any = SafeSessionState.__dict__["filtered_state"].fget
    if whole.__module__ == __name__:
        return  # done before

    def filtered_state(self: Any) -> Mapping[str, Any]:
        return _Looked(self, whole)

    SafeSessionState.filtered_state = property(filtered_state)  # type: ignore[method-assign, assignment]


def lan_address() -> str | None:
    """The address of this machine in its local network; None when it has none. Nothing is sent to find it.

    The address that the system would use for the way out comes first; without one, the first private address of any network
    device that is up.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: a datagram's connect only looks up the route
            found = str(probe.getsockname()[0])
            if not ip_address(found).is_loopback:
                return found
        except OSError:
            pass
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    every = [
        each.address
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
        for each in addresses
        if each.family == socket.AF_INET
    ]
    usable = [each for each in every if not ip_address(each).is_loopback and not ip_address(each).is_link_local]
    return min(usable, key=lambda each: not ip_address(each).is_private, default=None)


def url(address: str, port: int, base_path: str = "") -> str:
    """What to type into a browser on this machine.

    Examples
    --------
    >>> url("0.0.0.0", 8501), url("::1", 8502, "course")
    ('http://localhost:8501', 'http://[::1]:8502/course')
    """
    host = "localhost" if address in _EVERYWHERE else address
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}" + (f"/{base_path}" if base_path else "")


def check_free(port: int, address: str) -> str:
    """See that the server will be able to listen; returns the address without the brackets of an IPv6 one.

    Raises
    ------
    ValueError
        One sentence, which tells a port that is taken from an address that this machine does not have, and both from what is
        no address at all.
    """
    bare = address.removeprefix("[").removesuffix("]")
    try:
        family = socket.AF_INET6 if ip_address(bare).version == 6 else socket.AF_INET
    except ValueError:
        if ":" in bare or "/" in bare or not bare.strip():
            raise ValueError(
                f"address must be a name or IP address without a port, such as 0.0.0.0 (see --port); got {address!r}"
            ) from None
        family = socket.AF_INET  # as Streamlit takes names
    try:
        place = socket.getaddrinfo(bare, port, family, socket.SOCK_STREAM)[0][4]
    except OSError as error:
        raise ValueError(f"address must be one of this machine, such as localhost or 0.0.0.0; got {address!r}") from error
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name != "nt":  # where it would find a port free that is not
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if error.errno in _NOT_HERE:
            raise ValueError(
                f"address must be one of this machine, such as localhost or 0.0.0.0; got {address!r} ({error.strerror})"
            ) from error
        raise ValueError(f"port must be one that is free on {address}; got {port} ({error.strerror})") from error
    return bare


def _welcome(address: str, port: int, base_path: str, token: str, browser: bool) -> None:
    """What a person at the terminal needs, and the browser."""
    here = url(address, port, base_path)
    said = f"DropClust is at {here}"
    if address in _EVERYWHERE:
        lan = lan_address()
        said += f", for the class at {url(lan, port, base_path)}" if lan else ", and this machine is in no network"
    print(f"{said}. Stop it with Ctrl-C.")
    print(f"For you alone, who is there, what trains, and stop it all: {here}/teacher?token={token}", flush=True)
    if browser:
        webbrowser.open(here)


def _when_it_answers(place: str, then: Callable[[], None]) -> None:
    """Wait for the server on a thread of its own: it takes the process's main thread until the end."""
    from urllib.request import urlopen

    deadline = time.monotonic() + _BROWSER_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{place}/_stcore/health", timeout=5):
                break
        except OSError:
            time.sleep(0.05)
    then()


def _answer_beside_the_pages(token: str, base_path: str) -> None:
    """Let the server answer `teacher.routes` and `feed.routes` too, and send its scripts compressed."""
    from dropclust.service import feed, teacher
    from dropclust.service.compressed import Compressed
    from dropclust.service.delivery import Wired

    starlette_server: Any = importlib.import_module("streamlit.web.server.starlette.starlette_server")
    create = starlette_server.create_starlette_app

    def with_ours(runtime: Any) -> Starlette:
        app: Starlette = create(runtime)
        # Before Streamlit's, which take every path.
        app.router.routes[:0] = [*teacher.routes(token, base_path), *feed.routes(base_path)]
        app.add_middleware(Compressed)
        app.add_middleware(Wired)
        return app

    starlette_server.create_starlette_app = with_ours


def _leave_pages_to_the_router() -> None:
    """Say before anybody comes that app.py routes, which Streamlit learns only when it first runs.

    Until then it takes the folder pages/ for a navigation of its own, and the first viewer's page would run twice.
    """
    from streamlit.runtime.pages_manager import PagesManager

    PagesManager.uses_pages_directory = False


def _send_at_once() -> None:
    """Switch Nagle's algorithm off on the server's sockets, which costs 40 ms an answer.

    asyncio does it itself only for sockets made with the protocol number of TCP, and Streamlit makes its own with 0.
    """

    def nodelay(sock: socket.socket) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    base_events._set_nodelay = nodelay  # type: ignore[attr-defined]
