"""The report on an encode: the file, its manifest, and what a user should know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..format.entries import Summary
from ..format.manifest import Manifest
from ..geometry import Size


@dataclass(frozen=True)
class EncodeReport:
    """The result of an encode: the file, its manifest, and what a user should know of it."""

    path: Path
    size_bytes: int
    """Bytes of the file."""
    tile_bytes: int
    """Bytes of the coded tiles of all levels."""
    manifest: Manifest
    notes: tuple[str, ...]
    """Sentences that a user should read."""
    original_bytes: int = 0
    """Bytes of the file that the original takes, which the ratio asked for does not count; 0 without it."""

    @property
    def source_bytes(self) -> int:
        """Bytes of the source's files."""
        return self.manifest.slide.source_bytes

    @property
    def full_size(self) -> Size:
        """Size in full pixels."""
        return Size(*self.manifest.slide.size)

    @property
    def psnr_db(self) -> Summary | None:
        """PSNR of the tissue as the file decodes to it, the enhancement layer included; None if none was measured.

        Its `worst` is the lowest that was measured: of all tissue if `manifest.quality.complete`.
        """
        layer, quality = self.manifest.layers.enhancement, self.manifest.quality
        if layer is not None and layer.tissue_psnr_db is not None:
            return layer.tissue_psnr_db
        return None if quality is None else quality.psnr_db

    @property
    def ratio_to_source(self) -> float:
        """Bytes of the source's files over bytes of the file."""
        return self.source_bytes / self.size_bytes

    @property
    def ratio_to_raw(self) -> float:
        """Bytes of 24-bit RGB at full resolution over bytes of the file."""
        return 3 * self.full_size.area / self.size_bytes

    @property
    def bits_per_full_pixel(self) -> float:
        """Bits of the file per full pixel; everything in the file counts."""
        return 8 * self.size_bytes / self.full_size.area
