"""Which SubIFD of the first directory is which: the order in which a writer puts them."""

from __future__ import annotations

from dataclasses import dataclass

from ..pixels.tile_codecs import TileCodec


@dataclass(frozen=True, slots=True)
class SubIfds:
    """Positions in the SubIFDs tag of the first directory, from 0; None for what is not there."""

    base: int | None
    tissue_map: int | None
    quality_map: int | None
    enhancement: int | None
    original: int | None = None

    @property
    def count(self) -> int:
        """Number of SubIFDs but for the original's, which is written behind all others."""
        return sum(place is not None for place in (self.base, self.tissue_map, self.quality_map, self.enhancement))


def number_subifds(
    codec: TileCodec,
    *,
    tissue_map: bool = True,
    quality_map: bool = False,
    enhancement: bool = False,
    original: bool = False,
) -> SubIfds:
    """Return where a writer puts an AV1 base, which other readers cannot show, and the layers that are there.

    codec: that of the base.
    """
    present = (codec == "av1", tissue_map, quality_map, enhancement, original)
    return SubIfds(*(sum(present[:place]) if there else None for place, there in enumerate(present)))
