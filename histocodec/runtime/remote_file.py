"""A file on a server, read by ranges: tried again where that helps, refused when it is no longer the one opened."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable

from ..errors import ChangedFile, FileError
from .by_process import ByProcess
from .byte_source import Extent
from .closing import Closing
from .range_cache import BLOCK_BYTES, RangeCache
from .transports import Answer, Failed, Transport, connect

ATTEMPTS = 5
"""How often a request is made before its failure counts."""
FIRST_PAUSE_S = 0.2
"""Seconds before the second attempt; each further pause is twice as long."""
LONGEST_PAUSE_S = 10.0
"""Most seconds to wait before the next attempt, also where a server asks for more."""
_PASSWORD = re.compile(r"://[^/?#]*:[^/?#]*@")


class RemoteFile(Closing):
    """A file at a URL. Its first bytes are asked for at once, and say how long it is."""

    def __init__(self, url: str) -> None:
        """Open it. Raises FileError."""
        self.location = url
        """The URL with all that it says, which may be a secret."""
        self.name = public_name(url)
        if _PASSWORD.search(url):
            raise FileError(
                self.name, "a password in a URL ends up in logs; give it by the environment (docs/remote.md says how)"
            )
        self._transport: ByProcess[Transport] = ByProcess(lambda: connect(url, self.name))
        answer = self._asked(lambda: self._transport().get(0, BLOCK_BYTES))
        self._identity = answer.identity
        self.size_bytes = answer.size
        self._whole = answer.data if answer.is_whole else None
        self._is_closed = False

        def cache() -> RangeCache:
            made = RangeCache(self._fetch, self.size_bytes)
            made.put(answer.data)
            return made

        self._cache = ByProcess(cache)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the file's end. Raises FileError, ValueError after `close`."""
        if self._is_closed:
            raise ValueError("read of closed file")
        length = min(length, self.size_bytes - offset)
        if self._whole is not None:
            return self._whole[offset : offset + max(length, 0)]
        return self._cache().read_at(offset, length)

    def expect(self, extents: Iterable[Extent]) -> None:
        """Fetch what will be read soon, neighbours together. Raises as `read_at`."""
        if self._is_closed:
            raise ValueError("read of closed file")
        if self._whole is None:
            self._cache().expect(extents)

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._is_closed

    def close(self) -> None:
        """Forget what was read; connections stay open for other files, as fsspec has it."""
        self._is_closed = True
        self._whole = None
        self._cache = ByProcess(lambda: RangeCache(self._fetch, self.size_bytes))

    def _fetch(self, offset: int, length: int) -> bytes:
        """Return bytes from the file that was opened. Raises ChangedFile if there is another one now, FileError."""
        answer = self._asked(lambda: self._transport().get(offset, length))
        if answer.identity != self._identity or answer.size != self.size_bytes:
            raise ChangedFile(self.name, "was replaced by another file while it was open; open it again")
        if answer.is_whole:
            return answer.data[offset : offset + length]
        if len(answer.data) != length:
            raise FileError(self.name, f"expected {length} bytes from {offset}, found {len(answer.data)}")
        return answer.data

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer, with longer and longer pauses. Raises FileError."""
        for attempt in range(1, ATTEMPTS):
            try:
                return ask()
            except Failed as failure:
                pause = FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # not all clients at once
                time.sleep(min(max(pause, failure.wait_s), LONGEST_PAUSE_S))
        try:
            return ask()
        except Failed as failure:
            raise FileError(self.name, f"cannot be read after {ATTEMPTS} attempts: {failure}") from None


def public_name(url: str) -> str:
    """Return a URL as messages may have it: without user, password and query, which can be secrets.

    Examples:
        >>> public_name("https://me:secret@host/slides/a.hc.tif?signature=secret")
        'https://host/slides/a.hc.tif'
    """
    return "::".join(_public_part(part) for part in url.split("::"))


def _public_part(part: str) -> str:
    scheme, separator, rest = part.partition("://")
    place, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"
