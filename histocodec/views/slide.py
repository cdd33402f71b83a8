"""Lets a container behave as an openslide slide: code written for OpenSlide reads it unchanged."""

from __future__ import annotations

import ctypes
import operator
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import openslide
from PIL import Image as PILImage

from ..decoder import Decoder
from ..errors import ContainerError, FileError, HistocodecError, NotAContainer
from ..format.descriptions import NOTICE, is_stored_description
from ..format.entries import Tier
from ..geometry import Image, Region
from ..pixels.resampler import Generator
from ..runtime.byte_source import Location, is_url
from ..runtime.tiled_image import CacheMemory


class ClosedSlide(ctypes.ArgumentError, ValueError):
    """A slide was used after `close`: an error as OpenSlide raises it then, and a ValueError as of any closed file."""


class UnsupportedSlide(HistocodecError, openslide.OpenSlideUnsupportedFormatError):
    """The file is neither a container, nor a slide for OpenSlide, nor an image for Pillow."""


class ReconstructedSlide(openslide.AbstractSlide):
    """An `openslide.AbstractSlide` on a Decoder: level 0 is reconstructed, the other levels are stored.

    It is pickled by its path and opened again, also in worker processes. After `close` everything raises ClosedSlide.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self._decoder = decoder
        self._filename = os.fspath(decoder.path)
        self._profile = decoder.container.icc_profile
        self._properties: Mapping[str, str] | None = None

    def __reduce__(self) -> tuple[type[ReconstructedSlide], tuple[Decoder]]:
        return ReconstructedSlide, (self.decoder,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._filename!r})"

    @classmethod
    def detect_format(cls, filename: Location) -> str | None:
        """Return `"histocodec"` for a container, else None."""
        try:
            with Decoder(filename):
                return "histocodec"
        except (ContainerError, FileError):
            return None

    @property
    def decoder(self) -> Decoder:
        """The decoder of the pixels. Raises ClosedSlide."""
        if self._decoder.container.is_closed:
            raise ClosedSlide(f"{self._filename}: the slide was closed")
        return self._decoder

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        self._decoder.close()

    @property
    def level_count(self) -> int:
        """Number of levels: the reconstructed one and the stored ones."""
        return len(self.decoder.levels)

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of every level in its own pixels."""
        return tuple((size.width, size.height) for size in self.decoder.levels)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level 0 pixels per pixel of every level."""
        return tuple(float(downsample) for downsample in self.decoder.downsamples)

    @property
    def properties(self) -> Mapping[str, str]:
        """OpenSlide's standard properties, the source's own, and `histocodec.*`."""
        decoder = self.decoder
        if self._properties is None:  # a label says whether the base is the encoder's: a tile of it has to be decoded
            self._properties = MappingProxyType(_properties(decoder))
        return self._properties

    @property
    def associated_images(self) -> Mapping[str, PILImage.Image]:
        """Thumbnail, label and macro, as far as the file has them; decoded when they are asked for."""
        return _AssociatedImages(self.decoder)

    def get_best_level_for_downsample(self, downsample: float) -> int:
        """Return the coarsest level that is at least as fine as `downsample`."""
        levels = [level for level, factor in enumerate(self.level_downsamples) if factor <= downsample]
        return max(levels, default=0)

    def read_region(self, location: Sequence[int], level: int, size: Sequence[int]) -> PILImage.Image:
        """Read an RGBA picture of `size`: transparent outside the slide, and all over for a level that is not there.

        location: top left corner in pixels of level 0. size: (width, height) in pixels of `level`. Both are any
        sequence of whole numbers, such as an array. Raises openslide.OpenSlideError for a negative size, TypeError for
        other than whole numbers, ClosedSlide, and as Decoder.read.
        """
        decoder = self.decoder
        x, y, level = operator.index(location[0]), operator.index(location[1]), operator.index(level)
        width, height = operator.index(size[0]), operator.index(size[1])
        if width < 0 or height < 0:
            raise openslide.OpenSlideError(f"negative width ({width}) or negative height ({height}) not allowed")
        picture = PILImage.new("RGBA", (width, height), (0, 0, 0, 0))
        if self._profile is not None:
            picture.info["icc_profile"] = self._profile
        if width and height and 0 <= level < self.level_count:
            downsample = decoder.downsamples[level]
            region = Region(x // downsample, y // downsample, width, height)
            part = region.clipped(decoder.levels[level])
            if part is not None:
                pixels = PILImage.fromarray(decoder.read(part, level))
                picture.paste(pixels, (part.x - region.x, part.y - region.y))
        return picture

    def set_cache(self, cache: openslide.OpenSlideCache) -> None:
        """Keep decoded pixels in the bytes that `cache` has, which all slides share that it is set for.

        They are not shared with slides that OpenSlide decodes. Raises TypeError.
        """
        if not isinstance(cache, openslide.OpenSlideCache):
            raise TypeError("Not a cache object")
        self.decoder.cache_memory = memory_of_cache(cache._openslide_cache, cache._capacity)


def memory_of_cache(cache: object, capacity_bytes: int) -> CacheMemory:
    """Return the memory that stands in for a cache of OpenSlide's lower level, always the same for one."""
    with _changing:
        return _memories.setdefault(cache, CacheMemory(capacity_bytes))


_memories: weakref.WeakKeyDictionary[object, CacheMemory] = weakref.WeakKeyDictionary()
_changing = threading.Lock()


class OrdinarySlide(openslide.OpenSlide):
    """An `openslide.OpenSlide` that is pickled by its path and opened again, so that it reaches worker processes."""

    def __init__(self, filename: str | bytes | os.PathLike[Any]) -> None:
        super().__init__(filename)
        self._place = os.path.abspath(filename)  # noqa: PTH100  (a path of bytes stays one)

    def __reduce__(self) -> tuple[type[OrdinarySlide], tuple[str | bytes]]:
        return OrdinarySlide, (self._place,)


class _AssociatedImages(Mapping[str, PILImage.Image]):
    """The associated images by name, decoded when they are asked for."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def __getitem__(self, name: str) -> PILImage.Image:
        if name not in self._decoder.manifest.associated:
            raise KeyError(name)
        image: Image = self._decoder.container.associated_image(name)
        return PILImage.fromarray(image).convert("RGBA")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict(self)!r}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoder.manifest.associated)

    def __len__(self) -> int:
        return len(self._decoder.manifest.associated)


def _properties(decoder: Decoder) -> dict[str, str]:
    """Return the source's properties with the geometry, the label and the quality of the container."""
    manifest = decoder.manifest
    slide, generator, rendition = manifest.slide, manifest.prediction.generator, decoder.rendition
    # The source's geometry would contradict ours; its own properties under the vendor's prefix stay.
    properties = {k: v for k, v in slide.properties.items() if not k.startswith("openslide.level")}
    properties |= {
        openslide.PROPERTY_NAME_VENDOR: slide.vendor,
        openslide.PROPERTY_NAME_MPP_X: f"{slide.mpp:.10g}",
        openslide.PROPERTY_NAME_MPP_Y: f"{slide.mpp:.10g}",
        openslide.PROPERTY_NAME_BACKGROUND_COLOR: "{:02X}{:02X}{:02X}".format(*slide.background),
        "openslide.level-count": str(len(decoder.levels)),
        "histocodec.tier": manifest.tier,
        "histocodec.notice": NOTICE,
        "histocodec.level[0]": rendition.label,
        "histocodec.generator": generator.name,
        "histocodec.generator-digest": generator.digest,
        "histocodec.quality": rendition.quality_label,
        "histocodec.lossy-history": rendition.history,
        "histocodec.base-codec": manifest.base.codec,
        "histocodec.base-quality": f"{manifest.base.quality:g}",
        # Not `...mpp`: wsidata takes every property that ends so for the resolution of level 0.
        "histocodec.base-micrometres-per-pixel": f"{manifest.base_mpp:.10g}",
        "histocodec.software": manifest.software,
    }
    if slide.objective_power is not None:
        properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER] = f"{slide.objective_power:g}"
    for label in rendition.enhancement_labels:
        properties["histocodec.enhancement"] = label
    for level, (size, downsample) in enumerate(zip(decoder.levels, decoder.downsamples, strict=True)):
        tile = decoder.block_size if level == 0 else manifest.base.tile
        properties |= {
            f"openslide.level[{level}].width": str(size.width),
            f"openslide.level[{level}].height": str(size.height),
            f"openslide.level[{level}].downsample": str(downsample),
            f"openslide.level[{level}].tile-width": str(tile),
            f"openslide.level[{level}].tile-height": str(tile),
        }
    return properties


def open_slide(
    path: Location,
    *,
    generator: Generator | str | Path | None = None,
    device: str = "cpu",
    enhancement: bool = True,
    models: str | Path | None = None,
    tier: Tier | None = None,
    sandbox: bool = False,
) -> openslide.AbstractSlide:
    """Open a slide in place of `openslide.open_slide(path)`: a container as ReconstructedSlide, others as there.

    So one call opens a mixed cohort: slides of OpenSlide's formats come as OrdinarySlide, other images as
    `openslide.ImageSlide`. path: text, bytes or a path; of a container also a URL, or a binary file that is open.
    generator, device, enhancement, models, tier, sandbox: as for Decoder, for containers.
    Raises SettingsError for a tier that a container does not reach, OSError (such as FileNotFoundError) for a file that
    cannot be read, ContainerError for a damaged container, UnsupportedSlide for a file that nobody knows, and what
    OpenSlide raises for a damaged slide.
    """
    try:
        decoder = Decoder(
            path,
            generator=generator,
            device=device,
            enhancement=enhancement,
            models=models,
            tier=tier,
            sandbox=sandbox,
        )
        return ReconstructedSlide(decoder)
    except NotAContainer as error:
        foreign = error
    if is_url(path) or not isinstance(path, (str, bytes, os.PathLike)):
        sentence = f"no histocodec file ({foreign.problems[0]}); slides of other formats are read from disks alone"
        raise UnsupportedSlide(f"{foreign.path}: {sentence}") from foreign
    try:
        slide = OrdinarySlide(path)
    except openslide.OpenSlideUnsupportedFormatError:
        return _image(path, foreign)
    if is_stored_description(slide.properties.get("tiff.ImageDescription", "")):
        slide.close()  # a container too damaged to be known as one: its base must not pass for the slide
        raise foreign
    return slide


def _image(path: str | bytes | os.PathLike[Any], foreign: NotAContainer) -> openslide.ImageSlide:
    """Open an image through Pillow. Raises UnsupportedSlide."""
    try:
        return openslide.ImageSlide(path)
    except OSError:  # Pillow's UnidentifiedImageError is one
        raise UnsupportedSlide(
            f"{foreign.path}: no slide that OpenSlide knows, no image, and no histocodec file ({foreign.problems[0]})"
        ) from foreign
