"""Writes decoded levels as a pyramidal TIFF or as one picture, labelled as what they are."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import tifffile
from PIL import Image as PILImage
from PIL.PngImagePlugin import PngInfo

from ..decoder import Decoder
from ..errors import RegionError, SettingsError
from ..format.associated import stored_associated
from ..format.descriptions import associated_description
from ..format.origin import scanned_part
from ..format.tiff_keywords import associated_image, tiled_image
from ..format.writer import AssociatedImage
from ..geometry import Image, Region, Size
from ..pixels.tile_codecs import QUALITY_SCALES
from ..pixels.tile_coder import TileCoder
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import StageProgress, silent
from ..version import software
from .coded_levels import TILE, CodedLevels, Part, needed_cache_bytes

Compression = Literal["jpeg", "deflate", "jp2k"]
"""Compression of the tiles of an exported TIFF."""
DEFAULT_QUALITY = {"jpeg": 85.0, "jp2k": 40.0}
"""Codec quality that is taken where none is given."""
_TIFF_COMPRESSION = {"jpeg": 7, "deflate": 8, "jp2k": 33005}
"""Compression tag of the TIFF."""
_MAX_PICTURE_PIXELS = 20_000 * 20_000
"""Most pixels of one picture, which is held in memory."""
_JPEG_QUALITY = 90
"""Quality of a .jpg where none is given."""
_MAX_JPEG_SIDE = 65_500
"""Longest side of a .jpg: libjpeg's own limit, a little under the format's."""


def export_tiff(
    decoder: Decoder,
    path: str | Path,
    *,
    compression: Compression = "jpeg",
    quality: float | None = None,
    level: int = 0,
    region: Region | None = None,
    associated: bool = True,
    overwrite: bool = False,
    progress: StageProgress = silent,
) -> None:
    """Write a tiled pyramidal BigTIFF, atomically; memory is bounded by a few rows of tiles.

    It is laid out as Aperio does, so that OpenSlide, tifffile and tiffslide find every level, label and macro.

    compression: `jpeg` (4:2:0) and `jp2k` at `quality` on their codec's scale, or lossless `deflate`. level: the finest
    level to write; the coarser ones follow. region: the part to write, in pixels of level 0; None for all.
    associated: keep the file's label, macro and thumbnail (of a region, a thumbnail of its own). Without, tifffile and
    tiffslide find only the levels that keep one factor.
    Raises RegionError, SettingsError, OutputError, ContainerError, GeneratorError.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, source=decoder.path)
    quality = _checked_quality(compression, quality)
    written_as = compression if compression == "deflate" else f"{compression} at quality {quality:g}"
    parts = _parts(decoder, level, region)
    images = _associated(decoder, parts[-1], whole=region is None) if associated else []
    # Two levels of one size would be taken for two focal planes.
    in_aperios_order = bool(images) and len({part.grid.size for part in parts}) == len(parts)
    code = partial(_compress, compression=compression, quality=quality)

    with (
        atomic_output(path, overwrite=overwrite) as out,
        CodedLevels(decoder, parts, code, path.parent, progress) as coded,
        tifffile.TiffWriter(out, bigtiff=True) as tiff,
    ):

        def write(pieces: Iterable[bytes], description: str, **keywords: Any) -> None:
            tiff.write(iter(pieces), description=description, software=software(), metadata=None, **keywords)

        def write_associated(image: AssociatedImage) -> None:
            description = associated_description(decoder.manifest, image.name, *image.size)
            write([image.jpeg], description, **associated_image(image.name, image.size))

        for number, part in enumerate(parts):
            if number == 1:
                for image in images[:1]:
                    write_associated(image)
            write(
                coded.tiles(number),
                _description(decoder, part, written_as, has_thumbnail=in_aperios_order),
                **tiled_image(part.grid, _TIFF_COMPRESSION[compression], mpp=decoder.mpp * part.downsample),
                # Aperio marks no level as reduced, and tifffile looks no further than the first that is.
                subfiletype=0 if number == 0 or in_aperios_order else 1,
                iccprofile=decoder.container.icc_profile if number == 0 else None,
            )
        for image in images[1 if len(parts) > 1 else 0 :]:
            write_associated(image)


def export_cache_bytes(decoder: Decoder, *, level: int = 0, region: Region | None = None) -> int:
    """Return the bytes of decoded pixels that `export_tiff` reads more than once: what its decoder's cache should hold.

    level, region: as there. Raises RegionError.
    """
    return needed_cache_bytes(decoder, _parts(decoder, level, region)[0])


def export_picture(
    decoder: Decoder,
    path: str | Path,
    *,
    quality: int | None = None,
    level: int = 0,
    region: Region | None = None,
    overwrite: bool = False,
) -> None:
    """Write a region of a level as .png or .jpg, atomically; the label is in its metadata.

    quality: of a .jpg, 1 to 100; 90 if None. region: in pixels of level 0; None for all. Raises as `export_tiff`;
    RegionError if the picture would be too large.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, source=decoder.path)
    part = _parts(decoder, level, region)[0]
    is_png = path.suffix.lower() == ".png"
    if quality is not None and (is_png or not 1 <= quality <= 100):
        raise SettingsError(
            "a PNG is lossless: it takes no quality" if is_png else f"quality {quality} is not 1 to 100"
        )
    pixels, longest = part.region.width * part.region.height, max(part.region.width, part.region.height)
    if pixels > _MAX_PICTURE_PIXELS or (longest > _MAX_JPEG_SIDE and not is_png):
        raise RegionError(f"{part.region.width} x {part.region.height} px are too many for one picture: write a .tif")
    written_as = "PNG, lossless" if is_png else f"JPEG at quality {quality or _JPEG_QUALITY}"
    description = _description(decoder, part, written_as)
    icc = decoder.container.icc_profile
    picture = PILImage.fromarray(decoder.read(part.region, level, keep=False))
    dots_per_inch = 25400 / (decoder.mpp * part.downsample)
    coded = io.BytesIO()  # Pillow does not say why it could not write to a disk
    if is_png:
        text = PngInfo()
        text.add_itxt("Description", description)
        text.add_text("Software", software())
        picture.save(coded, "PNG", pnginfo=text, icc_profile=icc, dpi=(dots_per_inch, dots_per_inch))
    else:
        # JFIF's 16-bit density cannot hold a microscope's; the description states the mpp.
        picture.save(coded, "JPEG", quality=quality or _JPEG_QUALITY, icc_profile=icc, comment=description.encode())
    with atomic_output(path, overwrite=overwrite) as out:
        out.write(coded.getbuffer())


def _associated(decoder: Decoder, coarsest: Part, *, whole: bool) -> list[AssociatedImage]:
    """Return the images beside the levels, the thumbnail first: readers of Aperio files expect it as second image."""
    is_own = whole and bool(decoder.manifest.associated)
    return stored_associated(
        decoder.container, thumbnail=None if is_own else decoder.read(coarsest.region, coarsest.level)
    )


def _parts(decoder: Decoder, level: int, region: Region | None) -> list[Part]:
    """Return the region at `level` and every coarser level, each rounded outwards and clipped. Raises RegionError."""
    if not 0 <= level < len(decoder.levels):
        raise RegionError(f"expected a level of 0 to {len(decoder.levels) - 1}, found {level}")
    full = Region(0, 0, *decoder.levels[0]) if region is None else region
    if not full.within(decoder.levels[0]):
        size = decoder.levels[0]
        raise RegionError(
            f"region {full.x},{full.y},{full.width},{full.height} does not lie within the slide of "
            f"{size.width} x {size.height} px"
        )
    parts = []
    for number in range(level, len(decoder.levels)):
        factor = decoder.downsamples[number]
        x, y = full.x // factor, full.y // factor
        outer = Region(x, y, max(1, -(-full.right // factor) - x), max(1, -(-full.bottom // factor) - y))
        clipped = outer.clipped(decoder.levels[number])
        if clipped is None:
            break
        parts.append(Part(number, factor, clipped))
        if max(clipped.width, clipped.height) <= TILE and number > level:
            break
    return parts


def _description(decoder: Decoder, part: Part, written_as: str, *, has_thumbnail: bool = False) -> str:
    """Return the ImageDescription of a part. written_as: the compression, in words."""
    region = part.region
    where = f"region {region.x},{region.y},{region.width},{region.height} of level {part.level}"
    return decoder.rendition.description(
        part.downsample, where, written_as=written_as, bounds=_bounds(decoder, part), has_thumbnail=has_thumbnail
    )


def _bounds(decoder: Decoder, part: Part) -> Region | None:
    """Return the slide's scanned part within the image, in its pixels; None if it lies outside or is not stated."""
    scanned = scanned_part(decoder.manifest.slide.properties)
    if scanned is None or min(scanned[2:]) <= 0:
        return None
    left, top = (-(-start // part.downsample) for start in scanned[:2])
    right, bottom = ((scanned[axis] + scanned[axis + 2]) // part.downsample for axis in (0, 1))
    if right <= left or bottom <= top:
        return None
    region = Region(left - part.region.x, top - part.region.y, right - left, bottom - top)
    return region.clipped(Size(part.region.width, part.region.height))


def _checked_quality(compression: Compression, quality: float | None) -> float:
    """Return the quality to code at, 0 for deflate. Raises SettingsError for one out of its range."""
    if compression not in _TIFF_COMPRESSION:
        raise SettingsError(f"compression must be one of {', '.join(_TIFF_COMPRESSION)}, found {compression}")
    if compression == "deflate":
        if quality is not None:
            raise SettingsError("deflate is lossless: it takes no quality")
        return 0.0
    return QUALITY_SCALES[compression].check(DEFAULT_QUALITY[compression] if quality is None else quality)


def _compress(tile: Image, compression: Compression, quality: float) -> bytes:
    """Code one tile of the TIFF."""
    if compression == "deflate":
        return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))
    return TileCoder(compression, jpeg_optimised=False).encode(tile, quality)
