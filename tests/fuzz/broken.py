"""A harness with every fault that there is, for the tests of what must notice them."""

from __future__ import annotations

import os
import random
import time

from histocodec.pixels.tile_codecs import TileError
from tests.fuzz.harness import said

KINDS = (b"crash", b"hang", b"memory", b"wrong", b"sound", b"odd")


class Broken:
    """Does what its input says."""

    name = "broken"

    def seeds(self) -> list[bytes]:
        """Return a sound one."""
        return [b"sound"]

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Return any other."""
        return rng.choice(KINDS)

    def run(self, data: bytes) -> str:
        """Do it."""
        match data:
            case b"crash":
                os.abort()
            case b"hang":
                while True:
                    time.process_time()
            case b"memory":
                try:
                    bytearray(3 << 30)
                except MemoryError as error:  # as a codec's error is turned into one of a tile
                    return _refused(error)
            case b"wrong":
                raise AssertionError("pixels that changed")
            case b"odd":
                return str([][0])
        return "fine"


def _refused(cause: Exception) -> str:
    try:
        raise TileError("damaged") from cause
    except TileError as error:
        return said(error)
