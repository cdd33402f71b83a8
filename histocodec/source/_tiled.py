"""Reads the TIFF and OME-TIFF that OpenSlide and libvips do not, tile by tile or strip by strip, through tifffile."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tifffile

from ..errors import UnreadableSource
from ..geometry import Image, Region
from ._reader import OnDamage, Reader, over
from ._resolution import resolved_mpp
from ._segments import LONGEST_SEGMENT_PX, Segments
from ._tiff import TiffMetadata

_ASSOCIATED_ALPHA = (1,)
"""ExtraSamples of an alpha channel with which the colours are multiplied already."""


@dataclass(kw_only=True, eq=False)
class TiledReader(Reader):
    """A TIFF of which only the tiles or strips that a region touches are read."""

    segments: Segments = field(repr=False)
    is_premultiplied: bool = False

    def _pixels(self, region: Region) -> Image:
        if self.segments.samples == 3:
            return self.segments.read(region, self.background)
        rgba = self.segments.read(region, (0, 0, 0, 0))
        return over(rgba, self.background, premultiplied=self.is_premultiplied)

    def _release(self) -> None:
        self.segments.close()


def open_tiled(path: Path, tiff: TiffMetadata, mpp: float | None, on_damage: OnDamage) -> TiledReader | None:
    """Open a TIFF, or return None if tifffile has no decoder for it.

    Raises UnreadableSource, MissingResolution and UnsupportedResolution.
    """
    if not tiff.is_rgb_when_decoded:
        return None
    file = tifffile.TiffFile(path)
    try:
        pages = [page for page in (file.pages[place] for place in tiff.pages) if isinstance(page, tifffile.TiffPage)]
        segments = Segments(file, pages)
        if not segments.has_decoder:
            file.close()
            return None
        if segments.cell.area > LONGEST_SEGMENT_PX:
            raise UnreadableSource(
                path,
                f"expected strips of at most {LONGEST_SEGMENT_PX} px, found {segments.cell.width} x "
                f"{segments.cell.height} px, which would have to be held in memory at once; write it with tiles "
                "(tiffcp -t)",
            )
        return TiledReader(
            path=path,
            size=tiff.size,
            mpp=resolved_mpp(path, mpp, [tiff.ome_spacing, tiff.tag_spacing]),
            objective_power=tiff.objective_power,
            vendor=tiff.vendor,
            icc_profile=tiff.icc_profile,
            properties=tiff.properties,
            associated=tiff.associated,
            lossy_methods=tiff.lossy_methods,
            files=(path,),
            on_damage=on_damage,
            cell=segments.cell,
            segments=segments,
            is_premultiplied=pages[0].extrasamples == _ASSOCIATED_ALPHA,
        )
    except BaseException:
        file.close()
        raise
