"""Writing a container: everything that was coded, in one sequential pass.

`formats/container/v1/spec.md` is normative.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..geometry import Size
from ..pixels.tile_codecs import TileCodec
from .descriptions import associated_description, enhancement_description, stored_description
from .directories import level_grids
from .gathered import GatheredTiff
from .layers import EnhancementPieces, coded_quality_map, coded_tissue_map, stored_sums
from .manifest import Manifest, ManifestError
from .original import OriginalPieces
from .original_writing import append_original
from .pieces import crc_table
from .quality import MAP_CHANNELS, MAP_LEGEND, QualityMap
from .subifds import number_subifds
from .tags import COMPRESSION, Tag
from .tiff_keywords import SUBSAMPLING_420, SUBSAMPLING_444, associated_image, map_image, private_tags, tiled_image
from .zstd import compressed

TISSUE_LEGEND = "1 tissue, 0 glass"


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
    base_sums: NDArray[np.uint32],
) -> bytes:
    """Return the CRC-32 of every piece of the file that has no checksum of its own, as little-endian uint32.

    In order: the tiles, level after level in TIFF order; the associated images; the tissue map; the ICC profile; the
    checksums of the decoded base. A map or profile that is not there counts as no bytes, whose CRC-32 is 0.
    """
    tissue = b"" if tissue_map is None else coded_tissue_map(tissue_map)
    last = (tissue, icc_profile or b"", stored_sums(base_sums))
    return crc_table(chain(chain.from_iterable(level_tiles), (image.jpeg for image in associated), last))


def write_container(
    file: IO[bytes],
    manifest: Manifest,
    *,
    level_tiles: Sequence[Iterable[bytes]],
    checksums: bytes,
    base_sums: NDArray[np.uint32],
    tissue_map: NDArray[np.uint8] | None,
    icc_profile: bytes | None,
    package: bytes | None,
    associated: Sequence[AssociatedImage],
    quality_map: QualityMap | None = None,
    enhancement: EnhancementPieces | None = None,
    original: OriginalPieces | None = None,
) -> int:
    """Write everything in one sequential pass: tiles as they come, and behind them all that opening the file reads.

    Returns the bytes of the file without the original, which comes last of all.

    level_tiles: for each level of the manifest its coded tiles in TIFF order. checksums: `checksum_table` of the same.
    base_sums: (tiles,) `image_crc32` of each tile of the base as it is decoded.
    tissue_map: (rows, columns) uint8, one a block, 1 tissue, 0 glass. package: the generator to embed. The layers are
    SubIFDs in the order of `number_subifds`, as far as they are there.
    Raises ManifestError for a manifest that no reader would take, or that states other SubIFDs.
    """
    json_bytes = manifest.to_json()
    Manifest.from_json(json_bytes)
    of_file = [
        (Tag.Manifest, compressed(json_bytes)),
        (Tag.Generator, None if package is None else compressed(package)),
        (Tag.Checksums, checksums),
        (Tag.BaseChecksums, stored_sums(base_sums)),
    ]
    subifds = number_subifds(
        manifest.base.codec,
        tissue_map=tissue_map is not None,
        quality_map=quality_map is not None,
        enhancement=enhancement is not None,
        original=original is not None,
    )
    if manifest.subifds != subifds:
        raise ManifestError([("layers", f"expected base and layers in {subifds}, found {manifest.subifds}")])
    first = 0 if subifds.base is None else 1
    with GatheredTiff(file) as tiff:
        images = _Images(tiff, manifest)
        images.write_level(
            first, level_tiles[first], subifds=subifds.count, iccprofile=icc_profile, extratags=private_tags(of_file)
        )
        if subifds.base is not None:
            images.write_level(0, level_tiles[0])
        if tissue_map is not None:
            images.write_tissue_map(tissue_map)
        if quality_map is not None:
            images.write_quality_map(quality_map)
        if enhancement is not None:
            images.write_enhancement(enhancement)
        # Readers of Aperio files take the second directory for the thumbnail.
        for image in associated[:1]:
            images.write_associated(image)
        for level in range(first + 1, len(level_tiles)):
            images.write_level(level, level_tiles[level])
        for image in associated[1:]:
            images.write_associated(image)
    _correct_compression(file, manifest)
    size_bytes = file.seek(0, io.SEEK_END)
    if original is not None:
        append_original(file, manifest, original)
    return size_bytes


class _Images:
    """Writes the images of a container, one after the other."""

    def __init__(self, tiff: GatheredTiff, manifest: Manifest) -> None:
        self._tiff = tiff
        self._manifest = manifest

    def write_level(self, level: int, tiles: Iterable[bytes], **of_first: Any) -> None:
        """Write a stored level. of_first: further keywords of the first directory."""
        base = self._manifest.base
        mpp = self._manifest.base_mpp * base.levels[level].downsample
        compression = _tifffile_compression(base.level_codecs[level])
        subsampling = SUBSAMPLING_444 if level else SUBSAMPLING_420
        self._write(
            tiles,
            stored_description(self._manifest, level),
            **tiled_image(level_grids(self._manifest)[level], compression, mpp=mpp, subsampling=subsampling),
            subfiletype=1 if level > (0 if base.subifd is None else 1) else 0,
            **of_first,
        )

    def write_associated(self, image: AssociatedImage) -> None:
        """Write an associated image as one strip."""
        description = associated_description(self._manifest, image.name, *image.size)
        self._write([image.jpeg], description, **associated_image(image.name, image.size))

    def write_tissue_map(self, tissue_map: NDArray[np.uint8]) -> None:
        """Write the SubIFD of the tissue map. tissue_map: (rows, columns) uint8."""
        keywords = map_image(tissue_map.shape, np.uint8)
        self._write(coded_tissue_map(tissue_map), f"histocodec tissue map: {TISSUE_LEGEND}", **keywords)

    def write_quality_map(self, quality_map: QualityMap) -> None:
        """Write the SubIFD of the quality map, with its checksum."""
        strip = coded_quality_map(quality_map)
        self._write(
            strip,
            f"histocodec quality map: {MAP_LEGEND}",
            **map_image(quality_map.values.shape, np.uint16),
            planarconfig="contig",
            extrasamples=["unspecified"] * (MAP_CHANNELS - 1),
            extratags=private_tags([(Tag.Checksums, crc_table([strip]))]),
        )

    def write_enhancement(self, layer: EnhancementPieces) -> None:
        """Write the SubIFD of the enhancement layer, with its modes, regions and checksums."""
        stated = self._manifest.layers.enhancement
        assert stated is not None
        tags = [
            (Tag.Checksums, layer.checksums),
            (Tag.TileModes, layer.modes.tobytes()),
            (Tag.Regions, layer.regions),
            (Tag.PredictionChecksums, stored_sums(layer.prediction_sums)),
        ]
        self._write(
            layer.tiles(),
            enhancement_description(self._manifest),
            **tiled_image(layer.grid, _tifffile_compression(stated.codec), mpp=self._manifest.slide.mpp),
            extratags=private_tags(tags),
        )

    def _write(self, pieces: Iterable[bytes] | bytes, description: str, **keywords: Any) -> None:
        """Write an image of pieces, or of one that is read whenever the file is opened."""
        keywords |= {"description": description, "software": self._manifest.software, "metadata": None}
        if isinstance(pieces, bytes):
            self._tiff.write_beside(pieces, **keywords)
        else:
            self._tiff.write(pieces, **keywords)


def _tifffile_compression(codec: TileCodec) -> int:
    """Return the number to give to tifffile, which refuses AV1's: JPEG 2000's, until `_correct_compression`."""
    return COMPRESSION["jp2k" if codec == "av1" else codec]


def _correct_compression(file: IO[bytes], manifest: Manifest) -> None:
    """Set the compression of the SubIFDs that hold AV1, which tifffile has written as JPEG 2000."""
    places = [(manifest.base.codec, manifest.base.subifd)]
    if manifest.layers.enhancement is not None:
        places.append((manifest.layers.enhancement.codec, manifest.layers.enhancement.subifd))
    wrong = [subifd for codec, subifd in places if codec == "av1" and subifd is not None]
    if not wrong:
        return
    file.seek(0)  # tifffile takes the position for the file's beginning
    with tifffile.TiffFile(file, mode="r+") as tiff:
        pages = tiff.pages.first.pages
        assert pages is not None
        for subifd in wrong:
            page = pages[subifd]
            assert isinstance(page, tifffile.TiffPage)
            page.tags["Compression"].overwrite(COMPRESSION["av1"])
    file.seek(0, 2)
