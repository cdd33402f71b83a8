"""A tile source of large_image, and so of Girder: the entry point `large_image.source`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import HistocodecError, MissingFile
from ..views.dispatch import open_container
from .classes import on_demand


def _tile_source() -> type:
    """Build the class on those of large_image."""
    from large_image.cache_util import LruCacheMetaclass, methodcache
    from large_image.constants import TILE_FORMAT_NUMPY, SourcePriority
    from large_image.exceptions import TileSourceError, TileSourceFileNotFoundError
    from large_image.tilesource import FileTileSource

    class HistocodecFileTileSource(FileTileSource, metaclass=LruCacheMetaclass):  # type: ignore[misc, metaclass]
        """Tiles of a container: level 0 is reconstructed, what is coarser is averaged from stored levels."""

        cacheName = "tilesource"
        name = "histocodec"
        extensions = {  # noqa: RUF012  # noqa: RUF012
            None: SourcePriority.LOW,
            "hc": SourcePriority.PREFERRED,
            "tif": SourcePriority.PREFERRED,  # others would show a container's overview
            "tiff": SourcePriority.PREFERRED,
        }
        mimeTypes = {None: SourcePriority.FALLBACK, "image/tiff": SourcePriority.PREFERRED}  # noqa: RUF012

        def __init__(self, path: Any, **keywords: Any) -> None:
            """Open a container. Raises TileSourceError for what is none, or damaged."""
            super().__init__(path, **keywords)
            place = str(self._getLargeImagePath())
            try:
                self._slide = open_container(place)
            except MissingFile as error:
                raise TileSourceFileNotFoundError(place) from error
            except HistocodecError as error:
                raise TileSourceError(str(error)) from error
            self.sizeX, self.sizeY = self._slide.dimensions
            self.tileWidth = self.tileHeight = self._slide.decoder.block_size
            tiles = max(self.sizeX / self.tileWidth, self.sizeY / self.tileHeight)
            self.levels = max(1, int(np.ceil(np.log2(tiles))) + 1)

        def getNativeMagnification(self) -> dict[str, float]:
            """Return magnification and millimetres per pixel of the full resolution."""
            slide = self._slide.decoder.manifest.slide
            return {
                "magnification": slide.objective_power or 10 / slide.mpp,
                "mm_x": slide.mpp / 1000,
                "mm_y": slide.mpp / 1000,
            }

        def getInternalMetadata(self, **_: Any) -> dict[str, dict[str, str]]:
            """Return the properties: what the file says of itself, and that it is a reconstruction."""
            return {"histocodec": dict(self._slide.properties)}

        def getAssociatedImagesList(self) -> list[str]:
            """Return the names of label, macro and thumbnail, as far as there are any."""
            return sorted(self._slide.associated_images)

        def _getAssociatedImage(self, name: str) -> Any:
            return self._slide.associated_images.get(name)

        def _nonemptyLevelsList(self, frame: int = 0) -> list[bool | None]:
            stored = self._slide.level_downsamples
            return [True if float(self._factor(z)) in stored else None for z in range(self.levels)]

        def _factor(self, z: int) -> int:
            """Return the full pixels per pixel of a level of large_image, which counts from the coarsest."""
            return int(2 ** (self.levels - 1 - z))

        @methodcache()  # type: ignore[untyped-decorator]
        def getTile(
            self,
            x: int,
            y: int,
            z: int,
            pilImageAllowed: bool = False,
            numpyAllowed: bool = False,
            **keywords: Any,
        ) -> Any:
            """Return a tile, in the form that was asked for."""
            self._xyzInRange(x, y, z)
            factor = self._factor(z)
            level = self._slide.get_best_level_for_downsample(factor)
            reduced = factor // int(self._slide.level_downsamples[level])
            corner = x * self.tileWidth * factor, y * self.tileHeight * factor
            try:
                picture = self._slide.read_region(corner, level, (self.tileWidth * reduced, self.tileHeight * reduced))
            except HistocodecError as error:
                raise TileSourceError(str(error)) from error
            return self._outputTile(
                np.asarray(picture.reduce(reduced)),
                TILE_FORMAT_NUMPY,
                x,
                y,
                z,
                pilImageAllowed,
                numpyAllowed,
                **keywords,
            )

    return HistocodecFileTileSource


__getattr__ = on_demand(__name__, {"HistocodecFileTileSource": _tile_source})
