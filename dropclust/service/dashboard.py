"""Starts the dashboard as it should be started: small packets at once, settings of the project, one page that opens."""

from __future__ import annotations

import os
import socket
from asyncio import base_events
from pathlib import Path

from dropclust.core.paths import app_folder
from dropclust.service import bounds
from dropclust.service.cluster import check_address


def start(port: int = 8501, address: str = "localhost", browser: bool = True) -> int:
    """Serve the dashboard until it is interrupted; returns 0.

    Parameters
    ----------
    port
        1 to 65535.
    address
        What to listen on: "localhost" for this machine alone, "0.0.0.0" for everybody who can reach it.
    browser
        Whether to open a browser window.

    Raises
    ------
    ValueError
        When the port is not one, or something else listens there, or the environment names a Dask scheduler that is not safe
        to use, or sets a bound to what is no bound.

    Examples
    --------
    >>> start(port=0)
    Traceback (most recent call last):
    ValueError: port must be a whole number from 1 to 65535; got 0
    """
    if isinstance(port, bool) or not 1 <= port <= 65_535:
        raise ValueError(f"port must be a whole number from 1 to 65535; got {port}")
    _check_free(port, address)
    bounds.check()
    if scheduler := os.environ.get("DROPCLUST_SCHEDULER"):
        check_address(scheduler)
    # Streamlit reads its settings from the folder it is started in.
    if named := os.environ.get("DROPCLUST_CACHE"):
        os.environ["DROPCLUST_CACHE"] = str(Path(named).resolve())
    os.chdir(app_folder())
    _send_at_once()
    from streamlit.web import bootstrap

    options = {"server.port": port, "server.address": address, "server.headless": not browser}
    bootstrap.load_config_options(flag_options=options)
    bootstrap.run(str(app_folder() / "app.py"), False, [], options)
    return 0


def _check_free(port: int, address: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ValueError(f"port must be one that is free on {address}; got {port} ({error.strerror})") from error


def _send_at_once() -> None:
    """Switch Nagle's algorithm off on the server's sockets, which costs 40 ms an answer.

    asyncio does it itself only for sockets made with the protocol number of TCP, and Streamlit makes its own with 0.
    """

    def nodelay(sock: socket.socket) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    base_events._set_nodelay = nodelay  # type: ignore[attr-defined]
