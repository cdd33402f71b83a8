"""Writes decoded levels in a format that other programs read, which the name of the output chooses."""

from __future__ import annotations

from pathlib import Path

from ..decoder import Decoder
from ..geometry import Region
from ..runtime.progress import StageProgress, silent
from .formats import format_of
from .level_tiles import needed_cache_bytes
from .levels import Compression, Levels, associated_of, coding_of, parts_of


def export_slide(
    decoder: Decoder,
    path: str | Path,
    *,
    compression: Compression | None = None,
    quality: float | None = None,
    level: int = 0,
    region: Region | None = None,
    associated: bool = True,
    overwrite: bool = False,
    progress: StageProgress = silent,
) -> None:
    """Write a slide, atomically, in the format of its name; memory is bounded by a few rows of tiles.

    path: `.tif` for a pyramidal TIFF as Aperio lays it out, `.ome.tif` for OME-TIFF, `.zarr` for a folder in OME-Zarr
    0.5, `.dcm` for a folder of DICOM whole slide instances. compression: `jpeg` (4:2:0) and `jp2k` at `quality` on
    their codec's scale, or `lossless`; None for the format's own. level: the finest level to write; the coarser ones
    follow. region: the part to write, in pixels of level 0; None for all. associated: keep the file's label, macro and
    thumbnail (of a region, a thumbnail of its own). Of a `.tif` without them, tifffile and tiffslide find only the
    levels that keep one factor. overwrite: replace what is there; of a folder only one that an export made.
    Raises RegionError, SettingsError (also for a library that is not installed), OutputError, ContainerError,
    GeneratorError.
    """
    path = Path(path)
    chosen = format_of(path)
    write = chosen.writer()
    chosen.check(path, overwrite=overwrite, source=decoder.path)
    coding = coding_of(chosen.checked(compression), quality, chosen.lossless)
    parts = parts_of(decoder, level, region, chosen.tile)
    images = associated_of(decoder, parts, whole=region is None) if associated else ()
    with chosen.output(path, overwrite=overwrite) as out:
        write(Levels(decoder, parts, coding, images, path.parent, progress), out)


def export_cache_bytes(decoder: Decoder, path: str | Path, *, level: int = 0, region: Region | None = None) -> int:
    """Return the bytes of decoded pixels that `export_slide` reads more than once: what a decoder's cache should hold.

    path, level, region: as there. Raises RegionError, SettingsError.
    """
    return needed_cache_bytes(decoder, parts_of(decoder, level, region, format_of(Path(path)).tile)[0])
