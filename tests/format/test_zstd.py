"""zstd frames: what was compressed comes back; a frame that is not as the format wants it is refused."""

from __future__ import annotations

import pytest
import zstandard

from histocodec.format.pieces import Damaged
from histocodec.format.zstd import compressed, decompressed

DATA = b"the same again and again " * 40


def test_a_frame_gives_its_content_back() -> None:
    frame = compressed(DATA)
    assert len(frame) < len(DATA) / 4
    assert decompressed(frame, len(DATA)) == DATA
    assert decompressed(compressed(b""), 0) == b""


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"no frame at all",
        compressed(DATA)[:-1],
        compressed(DATA) + b"\0",
        compressed(DATA)[:-4] + bytes(4),
        zstandard.ZstdCompressor(write_checksum=False).compress(DATA),
        zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(DATA),
    ],
    ids=["empty", "other", "cut", "longer", "checksum", "no checksum", "no size"],
)
def test_another_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(Damaged):
        decompressed(frame, len(DATA))


def test_a_frame_larger_than_expected_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(Damaged, match=f"at most {len(DATA) - 1} bytes, found one of {len(DATA)}"):
        decompressed(compressed(DATA), len(DATA) - 1)
