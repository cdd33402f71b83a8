"""Decoding what is compressed in a file: here or, of a file that is not trusted, in processes of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import imagecodecs
import numpy as np

from ..geometry import Image, Size
from ..pixels.tile_codecs import TileError
from ..runtime.closing import Closing
from ..runtime.sandbox import Killed, Refused, Sandbox
from .pieces import Damaged

T = TypeVar("T")

_LOADED_LATE = ("jpeg2k_decode", "avif_decode", "jpeg8_decode", "jpegxl_decode_jpeg", "lzw_decode")
"""Functions that imagecodecs loads when they are first asked for, which is too late for a process that is confined."""


class Crashed(Damaged):
    """What decodes bytes of a file crashed on them, or took more time or memory than it may."""


class Decoding(Closing):
    """Calls what decodes the tiles, pictures and segments of one file. Safe to use from several threads.

    All of it raises Damaged for what cannot be decoded, and in a sandbox Crashed for what it did not survive.
    """

    def __init__(self, *, sandbox: bool) -> None:
        """Decode in this process, or in a sandbox, whose processes start when there is something to decode."""
        self.sandbox = Sandbox(load_codecs) if sandbox else None

    def image(self, size: Size, decode: Callable[[], Image]) -> Image:
        """Return what `decode` returns, (height, width, 3) uint8 RGB of `size`. decode: can be pickled."""
        if self.sandbox is None:
            return _sound(decode)
        data = self._apart(self.sandbox, decode, 3 * size.area)
        if len(data) != 3 * size.area:
            raise Crashed(f"expected {3 * size.area} samples from its sandbox, found {len(data)}")
        return np.frombuffer(data, np.uint8).reshape(size.height, size.width, 3)

    def data(self, most_bytes: int, decode: Callable[[], bytes]) -> bytes:
        """Return what `decode` returns, at most so many bytes. decode: can be pickled."""
        return _sound(decode) if self.sandbox is None else bytes(self._apart(self.sandbox, decode, most_bytes))

    def close(self) -> None:
        """End what was started."""
        if self.sandbox is not None:
            self.sandbox.close()

    def _apart(self, sandbox: Sandbox, decode: Callable[[], bytes | Image], most_bytes: int) -> bytearray:
        try:
            return sandbox.run(decode, most_bytes)
        except Refused as error:
            raise Damaged(str(error)) from error
        except Killed as error:
            raise Crashed(f"what decodes it failed in its sandbox: {error}") from error


def load_codecs() -> None:
    """Load whatever decoding takes, this module's own functions and those of others that are called with it."""
    from ..pixels import jpeg_xl, residual, tile_coder  # noqa: F401
    from . import original_pixels, zstd  # noqa: F401

    for name in _LOADED_LATE:
        getattr(imagecodecs, name)


def _sound(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except TileError as error:
        raise Damaged(str(error)) from error
