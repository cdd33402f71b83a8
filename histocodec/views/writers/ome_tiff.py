"""Writes OME-TIFF: the coarser levels in SubIFDs of the finest, label and macro as images of their own."""

from __future__ import annotations

from typing import IO

import tifffile

from ...format.tiff_keywords import associated_image, tiled_image
from ...version import software
from ..coded_levels import CodedLevels
from ..levels import Levels
from .ome_xml import ome_xml
from .tiff import TIFF_COMPRESSION


def write(levels: Levels, out: IO[bytes]) -> None:
    """Write the levels to an open file."""
    with CodedLevels(levels) as coded, tifffile.TiffWriter(out, bigtiff=True) as tiff:
        for number, part in enumerate(levels.parts):
            finest = number == 0
            tiff.write(
                coded.tiles(number),
                description=ome_xml(levels) if finest else levels.statement(part).encode("ascii", "replace"),
                software=software(),
                metadata=None,
                subifds=len(levels.parts) - 1 if finest else None,
                subfiletype=0 if finest else 1,
                iccprofile=levels.icc_profile if finest else None,
                **tiled_image(part.grid, TIFF_COMPRESSION[levels.coding.compression], mpp=levels.mpp(part)),
            )
        for image in levels.associated:
            tiff.write(iter([image.jpeg]), metadata=None, **associated_image(image.name, image.size))
