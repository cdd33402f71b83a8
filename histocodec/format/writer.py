"""Writing a container: everything that was coded, in one sequential pass.

`formats/container/v1/spec.md` is normative.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..geometry import Size
from ..pixels.tile_codecs import TileCodec
from .descriptions import associated_description, enhancement_description, stored_description
from .layers import EnhancementPieces, coded_quality_map, crc_table
from .manifest import Manifest
from .quality import MAP_CHANNELS, MAP_LEGEND, QualityMap
from .tags import (
    COMPRESSION,
    COMPRESSION_ZSTD,
    TAG_CHECKSUMS,
    TAG_FINGERPRINTS,
    TAG_GENERATOR,
    TAG_MANIFEST,
    TAG_REGIONS,
    TAG_TILE_MODES,
)
from .zstd import compressed


@dataclass(frozen=True, slots=True)
class AssociatedImage:
    """A label, macro or thumbnail as one JPEG."""

    name: str
    size: Size
    jpeg: bytes


def checksum_table(
    level_tiles: Sequence[Iterable[bytes]],
    associated: Sequence[AssociatedImage],
    tissue_map: NDArray[np.uint8] | None,
    icc_profile: bytes | None,
) -> bytes:
    """CRC-32 of every piece of the file that has no checksum of its own, as little-endian uint32.

    In order: the tiles, level after level in TIFF order; the associated images; the tissue map; the ICC profile. One of
    the last two that is not there counts as no bytes, whose CRC-32 is 0.
    """
    tissue = b"" if tissue_map is None else _coded_tissue_map(tissue_map)
    pieces = chain(chain.from_iterable(level_tiles), (image.jpeg for image in associated), (tissue, icc_profile or b""))
    return crc_table(pieces)


def _coded_tissue_map(tissue_map: NDArray[np.uint8]) -> bytes:
    return compressed(np.ascontiguousarray(tissue_map).tobytes())


def write_container(
    file: IO[bytes],
    manifest: Manifest,
    *,
    level_tiles: Sequence[Iterable[bytes]],
    checksums: bytes,
    tissue_map: NDArray[np.uint8] | None,
    icc_profile: bytes | None,
    package: bytes | None,
    associated: Sequence[AssociatedImage],
    quality_map: QualityMap | None = None,
    enhancement: EnhancementPieces | None = None,
) -> None:
    """Write everything in one sequential pass.

    level_tiles: for each level of the manifest its coded tiles in TIFF order. checksums: `checksum_table` of the same.
    tissue_map: (rows, columns) uint8, one a block, 1 tissue, 0 glass. package: the generator to embed. The layers are
    SubIFDs in the order tissue map, quality map, enhancement, as far as they are there.
    Raises ManifestError for a manifest that no reader would take.
    """
    base = manifest.base
    json_bytes = manifest.to_json()
    Manifest.from_json(json_bytes)
    private = [(TAG_MANIFEST, compressed(json_bytes)), (TAG_CHECKSUMS, checksums)]
    if package is not None:
        private.append((TAG_GENERATOR, compressed(package)))
    private.sort()
    apart = base.subifd is not None
    subifds = apart + sum(layer is not None for layer in (tissue_map, quality_map, enhancement))
    first = int(apart)
    """The level that begins the main chain."""

    with tifffile.TiffWriter(file, bigtiff=True, byteorder="<") as tiff:

        def write_level(index: int) -> None:
            level, codec = base.levels[index], base.level_codecs[index]
            mpp = manifest.base_mpp * level.downsample
            tiff.write(
                iter(level_tiles[index]),
                shape=(level.size[1], level.size[0], 3),
                dtype=np.uint8,
                tile=(base.tile, base.tile),
                photometric="ycbcr" if codec == "jpeg" else "rgb",
                subsampling=((1, 1) if index else (2, 2)) if codec == "jpeg" else None,
                planarconfig="contig",
                compression=_tifffile_compression(codec),
                subfiletype=1 if index > first else 0,
                subifds=subifds if index == first else 0,
                description=stored_description(manifest, index),
                resolution=(10000 / mpp, 10000 / mpp),
                resolutionunit="CENTIMETER",
                software=manifest.software,
                iccprofile=icc_profile if index == first else None,
                extratags=[_private(tag, data) for tag, data in private] if index == first else (),
                metadata=None,
            )

        def write_associated(image: AssociatedImage) -> None:
            tiff.write(
                iter([image.jpeg]),
                shape=(image.size.height, image.size.width, 3),
                dtype=np.uint8,
                rowsperstrip=image.size.height,
                photometric="ycbcr",
                subsampling=(2, 2),
                planarconfig="contig",
                compression=7,
                subfiletype={"label": 1, "macro": 9}.get(image.name, 0),
                description=associated_description(manifest, image.name, *image.size),
                software=manifest.software,
                metadata=None,
            )

        def write_enhancement(layer: EnhancementPieces, codec: TileCodec) -> None:
            tags = [
                (TAG_CHECKSUMS, layer.checksums),
                (TAG_TILE_MODES, layer.modes.tobytes()),
                *([(TAG_REGIONS, layer.regions)] if layer.regions is not None else []),
                (TAG_FINGERPRINTS, layer.fingerprints),
            ]
            mpp = manifest.slide.mpp
            tiff.write(
                iter(layer.tiles()),
                shape=(layer.grid.size.height, layer.grid.size.width, 3),
                dtype=np.uint8,
                tile=(layer.grid.tile, layer.grid.tile),
                photometric="ycbcr" if codec == "jpeg" else "rgb",
                subsampling=(2, 2) if codec == "jpeg" else None,
                planarconfig="contig",
                compression=_tifffile_compression(codec),
                description=enhancement_description(manifest),
                resolution=(10000 / mpp, 10000 / mpp),
                resolutionunit="CENTIMETER",
                software=manifest.software,
                extratags=[_private(tag, data) for tag, data in tags],
                metadata=None,
            )

        write_level(first)
        if apart:
            write_level(0)
        if tissue_map is not None:
            tiff.write(
                iter([_coded_tissue_map(tissue_map)]),
                shape=tissue_map.shape,
                dtype=np.uint8,
                photometric="minisblack",
                compression=COMPRESSION_ZSTD,
                rowsperstrip=tissue_map.shape[0],
                description="histocodec tissue map: 1 tissue, 0 glass",
                software=manifest.software,
                metadata=None,
            )
        if quality_map is not None:
            strip = coded_quality_map(quality_map)
            tiff.write(
                iter([strip]),
                shape=quality_map.values.shape,
                dtype=np.uint16,
                photometric="minisblack",
                planarconfig="contig",
                extrasamples=["unspecified"] * (MAP_CHANNELS - 1),
                compression=COMPRESSION_ZSTD,
                rowsperstrip=quality_map.values.shape[0],
                description=f"histocodec quality map: {MAP_LEGEND}",
                software=manifest.software,
                extratags=[_private(TAG_CHECKSUMS, crc_table([strip]))],
                metadata=None,
            )
        if enhancement is not None:
            assert manifest.layers.enhancement is not None
            write_enhancement(enhancement, manifest.layers.enhancement.codec)
        # Readers of Aperio files take the second directory for the thumbnail.
        for image in associated[:1]:
            write_associated(image)
        for index in range(first + 1, len(base.levels)):
            write_level(index)
        for image in associated[1:]:
            write_associated(image)

    layer = manifest.layers.enhancement
    _correct_compression(
        file,
        [
            subifd
            for codec, subifd in ((base.codec, base.subifd), (layer.codec, layer.subifd) if layer else ("", None))
            if codec == "avif" and subifd is not None
        ],
    )


def _private(tag: int, data: bytes) -> tuple[int, int, int, bytes, bool]:
    """As tifffile takes a tag of type UNDEFINED."""
    return tag, 7, len(data), data, True


def _tifffile_compression(codec: TileCodec) -> int:
    """tifffile knows no number for AVIF: it is told of JPEG 2000, and `_correct_compression` sets it right."""
    return COMPRESSION["jp2k" if codec == "avif" else codec]


def _correct_compression(file: IO[bytes], subifds: Sequence[int]) -> None:
    """Set the compression tag of some SubIFDs to AVIF's."""
    if not subifds:
        return
    file.seek(0)  # tifffile takes the position for the file's beginning
    with tifffile.TiffFile(file, mode="r+") as tiff:
        first = tiff.pages.first
        assert first.pages is not None
        for subifd in subifds:
            page = first.pages[subifd]
            assert isinstance(page, tifffile.TiffPage)
            page.tags["Compression"].overwrite(COMPRESSION["avif"])
    file.seek(0, 2)
