"""Writing a container: everything that was coded, in one sequential pass.

`formats/container/v1/spec.md` is normative.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import tifffile
import zstandard
from numpy.typing import NDArray

from .geometry import Size
from .labels import associated_description, stored_description
from .layout import (
    COMPRESSION,
    COMPRESSION_ZSTD,
    TAG_CHECKSUMS,
    TAG_GENERATOR,
    TAG_MANIFEST,
)
from .manifest import MAX_JSON_BYTES, Manifest, ManifestError


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
    sums = [zlib.crc32(data) for tiles in level_tiles for data in tiles]
    sums += [zlib.crc32(image.jpeg) for image in associated]
    sums += [zlib.crc32(b"" if tissue_map is None else _coded_tissue_map(tissue_map)), zlib.crc32(icc_profile or b"")]
    return np.array(sums, "<u4").tobytes()


def compressed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=19, write_checksum=True).compress(data)


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
) -> None:
    """Write everything in one sequential pass.

    level_tiles: for each level of the manifest its coded tiles in TIFF order. checksums: `checksum_table` of the same.
    tissue_map: (rows, columns) uint8, one a block, 1 tissue, 0 glass. package: the generator to embed.
    Raises ManifestError for a manifest that no reader would take.
    """
    base = manifest.base
    json_bytes = manifest.to_json()
    if len(json_bytes) > MAX_JSON_BYTES:
        raise ManifestError([("manifest", f"{len(json_bytes)} bytes of JSON, at most {MAX_JSON_BYTES} are allowed")])
    Manifest.from_json(json_bytes)
    private = [(TAG_MANIFEST, compressed(json_bytes)), (TAG_CHECKSUMS, checksums)]
    if package is not None:
        private.append((TAG_GENERATOR, compressed(package)))
    private.sort()
    # tifffile knows no number for AVIF: it is told of JPEG 2000, and the tag is corrected below.
    compression = 33005 if base.codec == "avif" else COMPRESSION[base.codec]
    offsets: list[int] = []

    with tifffile.TiffWriter(file, bigtiff=True, byteorder="<") as tiff:

        def write_level(index: int) -> None:
            level = base.levels[index]
            mpp = manifest.base_mpp * level.downsample
            offsets.append(file.tell())
            tiff.write(
                iter(level_tiles[index]),
                shape=(level.size[1], level.size[0], 3),
                dtype=np.uint8,
                tile=(base.tile, base.tile),
                photometric="ycbcr" if base.codec == "jpeg" else "rgb",
                subsampling=(2, 2) if base.codec == "jpeg" else None,
                planarconfig="contig",
                compression=compression,
                subfiletype=0 if index == 0 else 1,
                subifds=1 if index == 0 and tissue_map is not None else 0,
                description=stored_description(manifest, index),
                resolution=(10000 / mpp, 10000 / mpp),
                resolutionunit="CENTIMETER",
                software=manifest.software,
                iccprofile=icc_profile if index == 0 else None,
                extratags=[(tag, 7, len(data), data, True) for tag, data in private] if index == 0 else (),
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
        # Readers of Aperio files take the second directory for the thumbnail.
        for image in associated[:1]:
            write_associated(image)
        for index in range(1, len(base.levels)):
            write_level(index)
        for image in associated[1:]:
            write_associated(image)

    if base.codec == "avif":
        _correct_compression(file, COMPRESSION["avif"])


def _correct_compression(file: IO[bytes], compression: int) -> None:
    """Set the compression tag of every tiled directory of the main chain."""
    file.seek(0)  # tifffile takes the position for the file's beginning
    with tifffile.TiffFile(file, mode="r+") as tiff:
        for page in tiff.pages:
            assert isinstance(page, tifffile.TiffPage)
            if page.is_tiled:
                page.tags["Compression"].overwrite(compression)
    file.seek(0, 2)
