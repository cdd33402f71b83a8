"""A container that is being shown: its tiles in every way of showing it, none of which predicts anything twice."""

from __future__ import annotations

import hashlib
import io
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from PIL import Image as PILImage

from ..decoder import BICUBIC, Decoder
from ..errors import CorruptContainer, GeneratorError, SettingsError
from ..format.descriptions import NOTICE
from ..geometry import Image, Region
from ..pixels.downsample import downsample
from ..runtime.byte_source import Location
from ..runtime.closing import Closing
from ..runtime.tiled_image import CacheMemory
from ..version import __version__
from .deepzoom import DeepZoom, Format

Way = Literal["base", "bicubic", "reconstructed", "bounded", "original"]
"""A way of showing the full resolution; `base` shows each pixel of the base as a square."""

WAYS: tuple[Way, ...] = get_args(Way)

_LARGEST_STEP = 16
"""The most that `downsample` averages at once, along each axis."""


class Shown(Closing):
    """An open container and its Deep Zoom pyramid in several ways. Safe to use from several threads.

    The decoders of all ways share the file, its decoded tiles and the predictions, and so does whoever asks for
    neighbouring tiles: level 0 is read in cells on one grid. Coarser than the base, all ways are the stored levels.
    """

    def __init__(
        self,
        location: Location,
        *,
        device: str = "cpu",
        models: str | None = None,
        sandbox: bool = False,
        memory: CacheMemory | None = None,
    ) -> None:
        """Open a container, and find out in which ways it can be shown; the generator is loaded for it.

        device, models, sandbox: as for Decoder. memory: for decoded pixels, which others may share; None for some of
        its own. Raises FileError, ContainerError.
        """
        self._plain = Decoder(location, tier="reconstructed", device=device, models=models, sandbox=sandbox)
        self.container, self.manifest = self._plain.container, self._plain.manifest
        self.zoom = DeepZoom(self._plain.levels[0])
        self._digest = hashlib.sha256(self.container.manifest_json + self.container.base_sums.tobytes()).hexdigest()
        self.missing: dict[Way, str] = {}
        """Ways in which the file cannot be shown, each with a sentence on the reason."""
        self.decoders: dict[Way, Decoder] = {
            "base": self._plain,
            "bicubic": Decoder(self._plain, generator=BICUBIC),
        }
        try:
            _ = self._plain.generator
            self.decoders["reconstructed"] = self._plain
        except (GeneratorError, CorruptContainer) as error:
            self.missing["reconstructed"] = str(error)
        self._add("bounded", "The file has no enhancement layer.")
        self._add("original", "The file does not keep the original.")
        shared = self._plain.cache_memory if memory is None else memory
        for decoder in self.decoders.values():
            decoder.cache_memory = shared

    def _add(self, way: Literal["bounded", "original"], absent: str) -> None:
        """Add a decoder that goes further than the prediction, or the reason why there is none."""
        layers = self.manifest.layers
        if (layers.enhancement if way == "bounded" else layers.original) is None:
            self.missing[way] = absent
        elif way == "bounded" and "reconstructed" in self.missing:
            self.missing[way] = self.missing["reconstructed"]
        else:
            try:
                self.decoders[way] = Decoder(self._plain, tier=way)
            except (SettingsError, CorruptContainer) as error:
                self.missing[way] = str(error)

    @cached_property
    def best(self) -> Way:
        """The way in which the file is shown unless another is asked for: as `Decoder` decodes it, if that can be."""
        return next(way for way in ("bounded", "reconstructed", "bicubic") if way in self.decoders)

    def statement(self, way: Way) -> str:
        """Return what level 0 is in a way, in one clause."""
        if way == "base":
            return "each pixel of the stored base as a square"
        rendition = self.decoders[way].rendition
        return ", ".join([rendition.label, *rendition.enhancement_labels])

    def tag(self, way: Way, form: Format, quality: int) -> str:
        """Return a text that changes whenever the tiles of a way do: the `ETag` of them all."""
        stated = f"{__version__} {way} {self.statement(way)} {form} {quality} {self._digest}"
        return hashlib.sha256(stated.encode()).hexdigest()[:24]

    def coded(self, way: Way, level: int, region: Region, form: Format, quality: int) -> bytes:
        """Return a tile as JPEG (4:4:4) or WebP, which states within what it is and what it must not be used for.

        region: within that level. Raises CorruptContainer, FileError, GeneratorError.
        """
        coded, picture = io.BytesIO(), PILImage.fromarray(self.pixels(way, level, region))
        label = f"histocodec {__version__}: {self.statement(way)}; {NOTICE}"
        if form == "jpeg":
            picture.save(coded, "JPEG", quality=quality, subsampling=0, comment=label)
        else:
            stated = PILImage.Exif()
            stated[0x010E] = label  # ImageDescription
            picture.save(coded, "WEBP", quality=quality, method=2, exif=stated)
        return coded.getvalue()

    def pixels(self, way: Way, level: int, region: Region) -> Image:
        """Return a region of a level of the pyramid, (height, width, 3) uint8 RGB."""
        factor, scale = self.zoom.downsample(level), self.manifest.base.scale
        if factor >= scale:
            return self._stored(factor, region)
        decoder, full = self.decoders[way], region.scaled(factor).clipped(self.zoom.size)
        assert full is not None
        if way != "base":
            return downsample(decoder.read(full), factor) if factor > 1 else decoder.read(full)
        side = scale // factor
        left, top = region.x // side, region.y // side
        right, bottom = -(-region.right // side), -(-region.bottom // side)
        squares = decoder.read(Region(left, top, right - left, bottom - top), 1).repeat(side, 0).repeat(side, 1)
        y, x = region.y - top * side, region.x - left * side
        return np.ascontiguousarray(squares[y : y + region.height, x : x + region.width])

    def _stored(self, factor: int, region: Region) -> Image:
        """Return a region of a level that is not finer than the base. factor: full pixels per pixel of that level."""
        downsamples = self._plain.downsamples
        level = max(number for number, stored in enumerate(downsamples) if number and stored <= factor)
        left = factor // downsamples[level]
        part = region.scaled(left).clipped(self._plain.levels[level])
        assert part is not None
        image = self._plain.read(part, level)
        while left > 1:
            step = min(left, _LARGEST_STEP)
            image, left = downsample(image, step), left // step
        return image

    def close(self) -> None:
        """Release the file, and what was decoded of it."""
        for decoder in self.decoders.values():
            decoder.close()
