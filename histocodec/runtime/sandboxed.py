"""The process within a sandbox: it is confined, and then does one piece of work after the other.

`sandbox` starts it. What it reads is pickled calls, since it trusts whoever started it; what it writes is plain bytes,
since nobody trusts it.
"""

from __future__ import annotations

import os
import pickle
import signal
from typing import BinaryIO

from .confinement import confine
from .sandbox import REPLY, REQUEST, Status

_LONGEST_REASON = 1000


def main() -> None:
    """Get ready, give up what can be given up, and work until nobody asks any more."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)  # a library that prints must not answer
        prepare, limits = pickle.loads(_received(requests))
        prepare()
        _answer(replies, Status.DONE, " ".join(confine(limits.memory_bytes)).encode())
        has_timer = hasattr(signal, "setitimer")
        while asked := _received(requests):
            if has_timer:  # its signal ends the process, wherever that is
                signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
            status, result = _done(asked)
            if has_timer:
                signal.setitimer(signal.ITIMER_PROF, 0)
            _answer(replies, status, result)


def _received(requests: BinaryIO) -> bytes:
    """Return what is asked for; b"" if nobody asks any more."""
    head = requests.read(REQUEST.size)
    return requests.read(*REQUEST.unpack(head)) if len(head) == REQUEST.size else b""


def _done(asked: bytes) -> tuple[Status, bytes | memoryview]:
    """Do a piece of work; return how it went, and the bytes of its result or the reason."""
    try:
        return Status.DONE, memoryview(pickle.loads(asked)()).cast("B")
    except ValueError as error:
        return Status.REFUSED, str(error).encode()[:_LONGEST_REASON]
    except Exception as error:
        return Status.FAILED, f"{type(error).__name__}: {error}".encode()[:_LONGEST_REASON]


def _answer(replies: BinaryIO, status: Status, result: bytes | memoryview) -> None:
    replies.write(REPLY.pack(status, len(result)))
    replies.write(result)
    replies.flush()


if __name__ == "__main__":
    main()
