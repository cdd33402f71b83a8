"""A container that behaves as an openslide slide: code written for OpenSlide reads it unchanged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import openslide
from PIL import Image as PILImage

from ..codecs import Image
from ..decode import Decoder
from ..errors import ContainerError
from ..generator import Generator
from ..geometry import Region
from ..labels import NOTICE, enhancement_label, history_label, quality_label, reconstruction_label


class ReconstructedSlide(openslide.AbstractSlide):
    """An `openslide.AbstractSlide` on a Decoder: level 0 is reconstructed, the other levels are stored."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self._profile = decoder.container.icc_profile
        self._properties = MappingProxyType(_properties(decoder))

    @classmethod
    def detect_format(cls, filename: str | bytes | os.PathLike[Any]) -> str | None:
        """`"histocodec"` for a container, else None."""
        try:
            with Decoder(os.fsdecode(filename)):
                return "histocodec"
        except ContainerError:
            return None

    def close(self) -> None:
        """Release the file."""
        self.decoder.close()

    @property
    def level_count(self) -> int:
        """Number of levels: the reconstructed one and those stored."""
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
        return self._properties

    @property
    def associated_images(self) -> Mapping[str, PILImage.Image]:
        """Thumbnail, label and macro, as far as the file has them; decoded when asked for."""
        return _AssociatedImages(self.decoder)

    def get_best_level_for_downsample(self, downsample: float) -> int:
        """The coarsest level that is at least as fine as `downsample`."""
        levels = [level for level, factor in enumerate(self.level_downsamples) if factor <= downsample]
        return max(levels, default=0)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> PILImage.Image:
        """An RGBA picture of `size`; what lies outside the slide is transparent, as in OpenSlide.

        location: top left corner in pixels of level 0. size: (width, height) in pixels of `level`.
        Raises openslide.OpenSlideError for a level that does not exist or a negative size, and as Decoder.read.
        """
        if not 0 <= level < self.level_count:
            raise openslide.OpenSlideError(f"level {level} does not exist: there are {self.level_count}")
        width, height = size
        if width < 0 or height < 0:
            raise openslide.OpenSlideError(f"Size {size} must be non-negative")
        picture = PILImage.new("RGBA", size, (0, 0, 0, 0))
        if width == 0 or height == 0:
            return picture
        downsample = self.decoder.downsamples[level]
        region = Region(location[0] // downsample, location[1] // downsample, width, height)
        part = region.clipped(self.decoder.levels[level])
        if part is not None:
            pixels = PILImage.fromarray(self.decoder.read(part, level))
            picture.paste(pixels, (part.x - region.x, part.y - region.y))
        if self._profile is not None:
            picture.info["icc_profile"] = self._profile
        return picture


class _AssociatedImages(Mapping[str, PILImage.Image]):
    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def __getitem__(self, name: str) -> PILImage.Image:
        if name not in self._decoder.manifest.associated:
            raise KeyError(name)
        image: Image = self._decoder.container.associated_image(name)
        return PILImage.fromarray(image).convert("RGBA")

    def __iter__(self) -> Any:
        return iter(self._decoder.manifest.associated)

    def __len__(self) -> int:
        return len(self._decoder.manifest.associated)


def _properties(decoder: Decoder) -> dict[str, str]:
    manifest = decoder.manifest
    slide, generator, bicubic = manifest.slide, manifest.prediction.generator, decoder.is_bicubic
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
        "histocodec.level[0]": reconstruction_label(manifest, bicubic=bicubic),
        "histocodec.generator": generator.name,
        "histocodec.generator-digest": generator.digest,
        "histocodec.quality": quality_label(manifest, bicubic=bicubic, enhanced=decoder.is_enhanced),
        "histocodec.lossy-history": history_label(manifest),
        "histocodec.base-codec": manifest.base.codec,
        "histocodec.base-quality": f"{manifest.base.quality:g}",
        "histocodec.base-mpp": f"{manifest.base_mpp:.10g}",
        "histocodec.software": manifest.software,
    }
    if slide.objective_power is not None:
        properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER] = f"{slide.objective_power:g}"
    for label in enhancement_label(manifest, applied=decoder.is_enhanced):
        properties["histocodec.enhancement"] = label
    for level, (size, downsample) in enumerate(zip(decoder.levels, decoder.downsamples, strict=True)):
        tile = decoder.tile_size if level == 0 else manifest.base.tile
        properties |= {
            f"openslide.level[{level}].width": str(size.width),
            f"openslide.level[{level}].height": str(size.height),
            f"openslide.level[{level}].downsample": str(downsample),
            f"openslide.level[{level}].tile-width": str(tile),
            f"openslide.level[{level}].tile-height": str(tile),
        }
    return properties


def open_slide(
    path: str | Path,
    *,
    generator: Generator | str | Path | None = None,
    device: str = "cpu",
    enhancement: bool = True,
) -> ReconstructedSlide:
    """Open a container in place of `openslide.OpenSlide(path)`. Raises ContainerError.

    generator, device, enhancement: as for Decoder.
    """
    return ReconstructedSlide(Decoder(path, generator=generator, device=device, enhancement=enhancement))
