"""Writes a pyramidal BigTIFF as Aperio lays it out: OpenSlide, tifffile and tiffslide find levels, label and macro."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import tifffile

from ...format.descriptions import associated_description
from ...format.tiff_keywords import associated_image, tiled_image
from ...format.writer import AssociatedImage
from ...version import software
from ..coded_levels import CodedLevels
from ..levels import Compression, Levels

TIFF_COMPRESSION: dict[Compression, int] = {"jpeg": 7, "lossless": 8, "jp2k": 33005}
"""Compression tag."""


def write(levels: Levels, out: IO[bytes]) -> None:
    """Write the levels to an open file."""
    manifest, parts, images = levels.decoder.manifest, levels.parts, levels.associated
    # Two levels of one size would be taken for two focal planes.
    in_aperios_order = bool(images) and len({part.size for part in parts}) == len(parts)
    with CodedLevels(levels) as coded, tifffile.TiffWriter(out, bigtiff=True) as tiff:

        def put(pieces: Iterable[bytes], description: str, **keywords: Any) -> None:
            tiff.write(iter(pieces), description=description, software=software(), metadata=None, **keywords)

        def put_associated(image: AssociatedImage) -> None:
            description = associated_description(manifest, image.name, *image.size)
            put([image.jpeg], description, **associated_image(image.name, image.size))

        for number, part in enumerate(parts):
            if number == 1:
                for image in images[:1]:
                    put_associated(image)
            put(
                coded.tiles(number),
                levels.description(part, has_thumbnail=in_aperios_order),
                **tiled_image(part.grid, TIFF_COMPRESSION[levels.coding.compression], mpp=levels.mpp(part)),
                # Aperio marks no level as reduced, and tifffile looks no further than the first that is.
                subfiletype=0 if number == 0 or in_aperios_order else 1,
                iccprofile=levels.icc_profile if number == 0 else None,
            )
        for image in images[1 if len(parts) > 1 else 0 :]:
            put_associated(image)
