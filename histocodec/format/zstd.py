"""zstd frames, as the container holds them: one frame, its content's size stated, with a checksum."""

from __future__ import annotations

import zstandard

from .pieces import Damaged


def compressed(data: bytes, level: int = 19) -> bytes:
    """Return one frame of `data`. level: zstd's own, 1 to 22."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data)


def decompressed(data: bytes, limit: int) -> bytes:
    """Return the content of exactly one frame, with its checksum and its content's size, which is at most `limit`.

    Raises Damaged.
    """
    try:
        frame = zstandard.get_frame_parameters(data)
        if not frame.has_checksum or not frame.content_size <= limit:
            raise Damaged(
                f"expected a frame with a checksum and of at most {limit} bytes, found one of {frame.content_size} "
                f"bytes {'with' if frame.has_checksum else 'without'} a checksum"
            )
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from error
