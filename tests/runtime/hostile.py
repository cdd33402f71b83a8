"""What bytes of an attacker may make of a process, and what is asked of one that is confined. Runs in sandboxes."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import threading
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs

from histocodec.format.decoding import load_codecs


def prepare() -> None:
    """Have this module loaded."""


def answer(data: bytes) -> bytes:
    return data


def answer_a_number() -> Any:
    return 3


def process() -> bytes:
    return b"%d" % os.getpid()


def refuse() -> bytes:
    raise ValueError("no picture of mine")


def segfault() -> bytes:
    return ctypes.string_at(0)


def spin() -> bytes:
    while True:
        pass


def stall() -> bytes:
    """Wait for ever, without computing."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    return b""


def gulp() -> bytes:
    return bytes(8 << 30)


def leave() -> bytes:
    os._exit(7)


def attempt(what: Callable[[], object]) -> bytes:
    """Return what became of an attempt."""
    try:
        what()
    except (OSError, ValueError) as error:
        return str(error).encode()
    return b"done"


ESCAPES: dict[str, Callable[[Path], Callable[[], object]]] = {
    "read a file": lambda file: partial(open, file, "rb"),
    "write a file": lambda file: partial(open, file, "ab"),
    "open a connection": lambda _: partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM),
    "remove a file": lambda file: partial(os.unlink, file),
    "rename a file": lambda file: partial(os.rename, file, f"{file}.gone"),
    "start a program": lambda _: partial(os.execv, "/bin/true", ["true"]),
    "fork": lambda _: os.fork,
    "signal a process": lambda _: partial(os.kill, os.getppid(), signal.SIGCONT),
    "lift its limits": lambda _: partial(resource.setrlimit, resource.RLIMIT_NOFILE, (99, 99)),
}
"""Ways out of a process, given a file that is there."""

BY_DESCRIPTORS = ("read a file", "write a file", "open a connection")
"""Those that end where no descriptor can be had."""


def poisoned(checksum: int, harm: Callable[[], bytes]) -> None:
    """Load the codecs as usual, of which that of JPEG 2000 does harm at the codestream of a checksum."""
    load_codecs()
    sound = imagecodecs.jpeg2k_decode

    def decode(data: bytes, **options: Any) -> Any:
        return harm() if zlib.crc32(data) == checksum else sound(data, **options)

    imagecodecs.jpeg2k_decode = decode  # type: ignore[assignment]
