"""Serves the page at an address of this machine until it is stopped, and opens it in a browser."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

from ..errors import SettingsError
from .guard import Guard

LOOPBACK = "127.0.0.1"
_MOST_CONNECTIONS = 1024


def bound(host: str, port: int) -> socket.socket:
    """Return a socket at an address of this machine. port: 0 takes one that is free.

    Raises SettingsError, with the way out, for a port that is taken or an address that is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingsError(f"--host {host}: no address of this machine: {error.strerror or error}") from error
    taken = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two programs have one port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(128)
    except OSError as error:
        taken.close()
        raise SettingsError(
            f"port {port} of {host} cannot be had: {error.strerror or error}. Is another viewer running? "
            "Choose another one by --port, or --port 0 for any that is free"
        ) from error
    return taken


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone.

    Examples:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serves_others(host: str, names: Sequence[str]) -> bool:
    """Return whether others than this machine can ask a server. names: that it goes by, as behind another server.

    Examples:
        >>> serves_others("127.0.0.1", ()), serves_others("::", ()), serves_others("127.0.0.1", ["slides.example.org"])
        (False, True, True)
    """
    return bool(names) or not is_loopback(host)


def url_of(taken: socket.socket) -> str:
    """Return the address of the page as a browser on this machine takes it."""
    host, port = taken.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(
    app: ASGIApp,
    host: str,
    *,
    names: Sequence[str] = (),
    origins: Sequence[str] = (),
    ready: Callable[[], None] = lambda: None,
) -> uvicorn.Server:
    """Make a server of an application; `run(sockets=[taken])` serves until it is told to stop, by a signal or so.

    host: as it was asked for. names: others that the server goes by. origins: whose pages may read tiles. ready: called
    once requests are answered.
    """
    guard = Guard(app, tuple(name.lower() for name in (host, *names)), not is_loopback(host), tuple(origins))
    config = uvicorn.Config(
        guard,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        http="h11",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
    )
    return _Server(config, ready)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def open_browser(url: str) -> None:
    """Open an address in the user's browser, if this machine has a screen. Does not wait for it."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
