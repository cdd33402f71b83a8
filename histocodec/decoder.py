"""The decoder: from a container and its generator to pixels of any level."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from .errors import CorruptContainer, GeneratorMismatch, Problem, RegionError, SettingsError, UnknownGenerator
from .format.descriptions import OTHER_BASE, Rendition
from .format.entries import GeneratorEntry, Tier
from .format.pieces import image_crc32
from .format.reader import Container
from .generators.bicubic import BicubicGenerator
from .generators.catalogue import load_generator
from .generators.folders import MODELS_VARIABLE, folders_of, places
from .generators.package import Package
from .generators.predict import BlockPredictor
from .geometry import Address, Grid, Image, Region, Size
from .pixels.resampler import Generator
from .pixels.residual import Mode, add_residual
from .runtime.by_process import ByProcess
from .runtime.byte_source import Location
from .runtime.closing import Closing
from .runtime.divided_image import DividedImage, Parts
from .runtime.parallel import core_count, ordered_map, thread_count
from .runtime.tiled_image import CacheMemory, TileCache, TiledImage

BICUBIC = "bicubic"
"""The generator's name that asks for enlargement without a network; what comes out is then labelled so."""

_loading = ByProcess(threading.Lock)
"""Held while a generator is loaded: threads that begin together must not each build one."""


class Decoder(Closing):
    """Reads regions of any level of a container. Safe to use from several threads; a context manager.

    Level 0 is the full resolution, reconstructed on all cores in blocks of the file's canonical grid or parts of them,
    and kept in a cache; the others are the stored pyramid. What a pixel is never depends on the region, the order or
    the thread in which it was asked for. A pickle of it holds the path or URL with the settings, and opens the file
    again.
    """

    def __init__(
        self,
        location: Location | Decoder,
        *,
        generator: Generator | str | Path | None = None,
        device: str = "cpu",
        enhancement: bool = True,
        tier: Tier | None = None,
        models: str | Path | None = None,
        sandbox: bool = False,
        cache_bytes: int = 256 << 20,
    ) -> None:
        """Open a container; the generator is loaded when the first pixel of level 0 is asked for.

        location: a path, a URL (`https://`, `s3://` or another that fsspec knows), or a binary file that is open; or a
        decoder, to read its file in another way beside it: file and stored tiles are then shared, and where `generator`
        is None its generator and what it predicts; only level 0 has a cache of its own. Closing one closes both.
        generator: None for the one that the file names; `"bicubic"` to do without a network; else a package's
        name or path, or a Generator, which must be the one that the file names. enhancement: False stops before the
        enhancement layer, if the file has one; bicubic cannot be corrected by it. tier: how far to go: `reconstructed`
        (as enhancement False), `bounded`, or `original`, the source's own pixels at level 0; None for `bounded` where
        the file has it. models: a folder of packages, which is searched for the file's generator if it is neither
        embedded nor ships, before those that the environment variable HISTOCODEC_MODELS names, and the folder `models`
        beside the file. sandbox: True for a file that is not trusted, as for Container; of a decoder its own holds.
        cache_bytes: for decoded pixels.
        Raises FileError, ContainerError, SettingsError for a tier that the file does not reach.
        """
        enhancement = enhancement and tier != "reconstructed"
        beside = location if isinstance(location, Decoder) else None
        self.container: Container = (
            location.container if isinstance(location, Decoder) else Container(location, sandbox=sandbox)
        )
        self.path = self.container.path
        self.manifest = self.container.manifest
        self._device = device
        self._wanted = generator.absolute() if isinstance(generator, Path) else generator
        self._predicting = beside if generator is None else None
        """The decoder whose generator is used, and whose predictions are as far as it does not correct them."""
        if self._predicting is not None:
            self._wanted = self._predicting._wanted
        self._wants_enhancement, self.tier = enhancement, tier
        self._models = None if models is None else Path(models).absolute()
        self._loaded: Generator | None = None
        self._first_warning = threading.Lock()
        scale = self.manifest.base.scale
        self._enhancement = self.container.enhancement if enhancement and not self.is_bicubic else None
        self._blocks = Grid(self.container.grids[0].size, self.manifest.prediction.block)
        full_grid = Grid(Size(*self.manifest.slide.size), self._blocks.side * scale)
        self._cache = TileCache(cache_bytes)
        self._stored: list[TiledImage] = self._stored_images() if beside is None else beside._stored
        self._predict = BlockPredictor(
            lambda: self.generator, scale, self._stored[0].read, self._blocks, self.container.tissue_map
        )
        self._full = DividedImage(
            full_grid,
            self._reconstruct,
            Parts(self._part, scale, self._kind, self._expect_full),
            self._cache,
            lambda: self.threads,
        )
        self.levels: tuple[Size, ...] = (full_grid.size, *(image.grid.size for image in self._stored))
        """Pixel sizes, level 0 first."""
        self.downsamples: tuple[int, ...] = (1, *(scale * level.downsample for level in self.manifest.base.levels))
        """Full pixels per pixel of each level, each axis."""
        self.mpp: float = self.manifest.slide.mpp
        """Micrometres per pixel of level 0."""
        self._original = self._original_image() if tier == "original" else None
        self.block_size = full_grid.side if self._original is None else self._original.grid.side
        """Full pixels a side of a block of the canonical grid, or of a tile of the original: the cheapest unit to read
        level 0 in."""
        if tier == "bounded" and not self.is_enhanced:
            raise SettingsError(f"{self.path}: no enhancement layer to apply: {self._why_not_bounded()}")

    def __reduce__(self) -> tuple[Callable[..., Decoder], tuple[Path | str]]:
        again = partial(
            Decoder,
            generator=self._wanted,
            device=self._device,
            enhancement=self._wants_enhancement,
            models=self._models,
            tier=self.tier,
            sandbox=self.container.is_sandboxed,
            cache_bytes=self.cache_bytes,
        )
        return again, (self.container.location,)

    @property
    def cache_bytes(self) -> int:
        """Bytes of memory for decoded pixels; can be set, then for all decoders that share it."""
        return self.cache_memory.capacity_bytes

    @cache_bytes.setter
    def cache_bytes(self, count: int) -> None:
        self.cache_memory.resize(count)

    @property
    def cache_memory(self) -> CacheMemory:
        """The memory for decoded pixels.

        Set to that of another decoder, it is shared: what was used least recently goes first, whichever has it.
        """
        return self._cache.memory

    @cache_memory.setter
    def cache_memory(self, memory: CacheMemory) -> None:
        self._cache.memory = memory

    @property
    def is_bicubic(self) -> bool:
        """True if bicubic stands in for the file's generator: what is decoded must then be labelled so."""
        return self._wanted == BICUBIC

    @property
    def is_enhanced(self) -> bool:
        """True if an enhancement layer is applied."""
        return self._enhancement is not None and not self.is_original

    @property
    def is_original(self) -> bool:
        """True if level 0 is the source's own, and nothing is predicted."""
        return self.tier == "original"

    @property
    def rendition(self) -> Rendition:
        """The statement on what level 0 is, which files and pictures of its pixels carry."""
        return Rendition(
            self.manifest,
            bicubic=self.is_bicubic,
            enhanced=self.is_enhanced,
            other_base=self.container.base_differs(),
            original=self.is_original,
        )

    @property
    def generator(self) -> Generator:
        """The generator in use, loaded now if it was not yet.

        Raises UnknownGenerator, GeneratorMismatch, InvalidPackage, CorruptContainer.
        """
        if self._predicting is not None:
            return self._predicting.generator
        if self._loaded is None:
            with _loading():
                if self._loaded is None:
                    self._loaded = _find_generator(self.container, self._wanted, self._device, self._models)
        return self._loaded

    @property
    def threads(self) -> int:
        """Number of threads that keep the generator's device busy, each with a block."""
        return thread_count(self._device)

    def read(self, region: Region, level: int = 0, *, keep: bool = True) -> Image:
        """Read a region within a level, (height, width, 3) uint8 RGB; a large one on all cores.

        keep: False where no block of level 0 is asked for again soon: they do not go into the cache.
        Raises RegionError, CorruptContainer for a damaged tile, ValueError after `close`, and what `generator` raises.
        """
        if self.container.is_closed:
            raise ValueError(f"{self.path}: was closed")
        if not 0 <= level < len(self.levels):
            raise RegionError(f"expected a level of 0 to {len(self.levels) - 1}, found {level}")
        if level:
            return self._stored[level - 1].read(region)
        return self._full.read(region, keep=keep) if self._original is None else self._original.read(region)

    def read_many(self, regions: Iterable[Region], level: int = 0) -> Iterator[Image]:
        """Read many regions as `read` does, on all cores; yield them in order, a bounded number ahead of the caller."""
        return ordered_map(lambda region: self.read(region, level), regions, workers=self.threads)

    def clear_cache(self) -> None:
        """Forget all decoded pixels."""
        self._cache.clear()
        self._full.forget()

    def close(self) -> None:
        """Release the file, and what was decoded of it."""
        self.clear_cache()
        self.container.close()

    def _stored_images(self) -> list[TiledImage]:
        return [
            TiledImage(
                grid,
                partial(self._stored_tile, level),
                self._cache,
                name=level + 1,
                threads=core_count,
                expect=partial(self._expect_stored, level),
            )
            for level, grid in enumerate(self.container.grids)
        ]

    def _original_image(self) -> TiledImage:
        """Return level 0 as the source stored it. Raises SettingsError if it cannot be read from the file."""
        original = self.container.original
        if original is None or original.grid is None:
            reason = "the file keeps none" if original is None else "it can be restored, and no more (see restore)"
            raise SettingsError(f"{self.path}: no pixels of the original: {reason}")
        grid = original.grid
        return TiledImage(
            grid,
            lambda column, row: self.container.original_tile(grid.index(column, row)),
            self._cache,
            name=-1,
            threads=core_count,
        )

    def _why_not_bounded(self) -> str:
        if self.is_bicubic:
            return "bicubic cannot be corrected by it"
        return "the file has none, it is not of tier bounded" if self._wants_enhancement else "it was not asked for"

    def _kind(self, column: int, row: int) -> int | None:
        """Return 1 for tissue and 0 for glass; None for a block of which no part can be made alone."""
        layer = self._enhancement
        is_predicted = layer is None or layer.modes[self._blocks.index(column, row)] == Mode.ABSENT
        # The checksum of a prediction is one of a whole block.
        kind = int(self.container.tissue_map[row, column])
        return kind if is_predicted and self._predict.is_exact(column, row) else None

    def _part(self, region: Region) -> Image:
        scale, other = self.manifest.base.scale, self._uncorrected
        inside = region.clipped(self._full.grid.size)
        if other is not None and inside is not None:
            beyond = ((0, region.height - inside.height), (0, region.width - inside.width), (0, 0))
            return np.pad(other._full.read(inside), beyond)
        return self._predict.part(
            Region(region.x // scale, region.y // scale, region.width // scale, region.height // scale)
        )

    def _reconstruct(self, column: int, row: int) -> Image:
        layer, index = self._enhancement, self._blocks.index(column, row)
        mode = Mode.ABSENT if layer is None else Mode(int(layer.modes[index]))
        if mode is Mode.NATIVE:
            return self.container.decoded_enhancement_tile(index)
        other = self._uncorrected
        predicted = self._predict(column, row) if other is None else other._full.block(column, row)
        if layer is None or mode is Mode.ABSENT:
            return predicted
        self._check_prediction(column, row, predicted, int(layer.prediction_sums[index]))
        return add_residual(predicted, self.container.decoded_enhancement_tile(index))

    @property
    def _uncorrected(self) -> Decoder | None:
        """The decoder that has the predictions already, if there is one beside this one."""
        other = self._predicting
        return other if other is not None and other._enhancement is None and other._original is None else None

    def _check_prediction(self, column: int, row: int, predicted: Image, checksum: int) -> None:
        """Raise CorruptContainer unless a whole block is predicted as the encoder did it, so that a residual fits."""
        if self.container.tissue_map[row, column] and not self.generator.is_exact:
            sentence = f"no residual can correct what {self.generator.name} predicts: machines differ in it"
        elif image_crc32(predicted) != checksum:
            sentence = "this decoder predicts it otherwise than the encoder did"
            if self.container.differing_tiles:
                sentence += f", {OTHER_BASE}"
        else:
            return
        raise CorruptContainer(self.path, [Problem("prediction-mismatch", f"block {column}, {row}", sentence)])

    def _expect_stored(self, level: int, tiles: list[Address]) -> None:
        """Have the tiles of a level come together, if they come from far away."""
        grid = self.container.grids[level]
        self.container.expect(level, (grid.index(*tile) for tile in tiles))

    def _expect_full(self, areas: list[Region]) -> None:
        """Have all that the prediction of some areas takes come together: tiles of the base, and those that correct."""
        base, halo = self._stored[0], self.manifest.prediction.generator.halo
        scale = self.manifest.base.scale
        covers = [Region(area.x // scale, area.y // scale, area.width // scale, area.height // scale) for area in areas]
        parts = [part for cover in covers if (part := cover.grown(halo).clipped(base.grid.size)) is not None]
        tiles = {tile: None for part in parts for tile in base.grid.touching(part) if not base.piece(*tile).is_kept}
        self._expect_stored(0, list(tiles))
        if self._enhancement is not None:
            inner = [part for cover in covers if (part := cover.clipped(base.grid.size)) is not None]
            blocks = {self._blocks.index(*block) for part in inner for block in self._blocks.touching(part)}
            self.container.expect_enhancement(blocks)

    def _stored_tile(self, level: int, column: int, row: int) -> Image:
        tile = self.container.decoded_tile(level, self.container.grids[level].index(column, row))
        if self.container.differing_tiles and self._first_warning.acquire(blocking=False):
            warnings.warn(f"{self.path} is decoded {OTHER_BASE}", RuntimeWarning, stacklevel=2)
        return tile


def _find_generator(
    container: Container, wanted: Generator | str | Path | None, device: str, models: Path | None
) -> Generator:
    """Load the generator that is wanted, and check that it is the one that the file names."""
    named = container.manifest.prediction.generator
    if wanted == BICUBIC:
        return BicubicGenerator(named.scale)
    if wanted is None:
        found = _named_generator(container, named, device, models)
    elif isinstance(wanted, (str, Path)):
        found = load_generator(wanted, device=device)
    else:
        found = wanted
    identity = (named.name, named.digest, named.scale, named.halo)
    if (found.name, found.digest, found.scale, found.halo) != identity:
        raise GeneratorMismatch(
            f"{container.path} names generator {named.name} {named.digest} (x{named.scale}, halo {named.halo}), "
            f"found {found.name} {found.digest} (x{found.scale}, halo {found.halo})"
        )
    return found


def _named_generator(container: Container, named: GeneratorEntry, device: str, models: Path | None) -> Generator:
    """Load the generator that the file names: embedded, built in, one of those that ship, or one of a folder."""
    data = container.package()
    if data is not None:
        return load_generator(Package(data), device=device)
    folders = folders_of(container.absolute_path, models)
    try:
        return load_generator(named.digest, device=device, folders=folders)
    except UnknownGenerator as error:
        raise UnknownGenerator(
            f"{container.path} needs generator {named.stated}, which is neither embedded in it, nor among those that "
            f"ship, nor in {places(folders)}: get its package, and say where it is (--generator PATH; "
            f"or its folder: --models, {MODELS_VARIABLE})"
        ) from error
