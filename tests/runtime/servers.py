"""Real servers for the tests of remote files: nginx, and a wire in front of it that can be cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  log_format facts '$request_method $status $body_bytes_sent $uri';
  access_log {folder}/access.log facts;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port};
    location /files/ {{ alias {files}/; }}
    location /whole/ {{ alias {files}/; max_ranges 0; }}
    location /forbidden/ {{ return 403; }}
    location /busy/ {{ return 503; }}
    location /private/ {{ alias {files}/; if ($arg_token != "secret") {{ return 401; }} }}
  }}
}}
"""


@dataclass(frozen=True)
class Served:
    """A folder on a server."""

    files: Path
    """The folder, which a test may write to."""
    port: int
    log: Path

    def url(self, name: str, place: str = "files") -> str:
        return f"http://127.0.0.1:{self.port}/{place}/{name}"

    def requests(self) -> list[tuple[str, int, int]]:
        """Method, status and bytes of each request so far, in the order in which they ended."""
        lines = [line.split(" ") for line in self.log.read_text().splitlines()]
        return [(method, int(status), int(count)) for method, status, count, _ in lines]

    def requests_after(self, before: int, expected: int | None = None) -> list[tuple[str, int, int]]:
        """The requests but for the first `before`; nginx logs one a moment after its last byte has gone."""
        deadline = time.monotonic() + 2
        while len(self.requests()) < before + (expected or 0) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.requests()[before:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_nginx(folder: Path) -> Iterator[Served]:
    """Serve a new folder until the generator goes on; skip where there is no nginx."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    files, port = folder / "files", free_port()
    files.mkdir()
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, files=files, port=port))
    (folder / "access.log").touch()
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            else:
                raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()}")
            yield Served(files, port, folder / "access.log")
        finally:
            process.terminate()


class Wire:
    """A wire to a server, on a port of its own, that is cut after so many bytes of an answer.

    Each connection takes the next of `cuts`, and is whole when there is none left.
    """

    def __init__(self, to: int, cuts: list[int]) -> None:
        self._to, self._cuts = to, cuts
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                cut = self._cuts.pop(0) if self._cuts else None
                threading.Thread(target=self._carry, args=(client, cut), daemon=True).start()

    def _carry(self, client: socket.socket, cut: int | None) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server, contextlib.suppress(OSError):
            threading.Thread(target=_copy, args=(client, server, None), daemon=True).start()
            _copy(server, client, cut)
            client.shutdown(socket.SHUT_RDWR)
            server.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data if limit is None else data[:limit])
            if limit is not None:
                limit -= len(data)
                if limit <= 0:
                    return
