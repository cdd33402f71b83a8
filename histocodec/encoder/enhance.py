"""The enhancement layer as it is made: every block is decoded, measured, and lifted if it falls short of its floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import RoiError
from ..format.entries import QualityEntry, Summary
from ..format.layers import EnhancementPieces, coded_fingerprints
from ..format.quality import QualityMap, summarise
from ..format.zstd import compressed
from ..generators.bicubic import BicubicGenerator
from ..generators.predict import ReadBase, predict
from ..geometry import Image, TileGrid
from ..pixels.floors import lowest_psnr
from ..pixels.metrics import psnr
from ..pixels.residual import FINGERPRINT_LENGTH, EnhancedTile, EnhancementCoder, Mode, enhance_to, fingerprint
from ..pixels.score import PSNR_CAP_DB, SSIM_SIDE, BlockScore, score_block
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.scratch import CodeSpool
from .coded_pyramid import CodedPyramid
from .draft import Draft
from .measure import quality_entry

Address = tuple[int, int]
Floors = NDArray[np.float64]
"""(rows, columns) in dB: the PSNR that every square of a block has to reach; 0 where nothing is asked for."""


def block_floors(file: Draft) -> Floors:
    """What the settings ask of each block of the canonical grid. Raises RoiError if no region touches any."""
    settings, blocks = file.settings, file.pyramid.blocks
    floors = np.full((blocks.shape.height, blocks.shape.width), settings.min_psnr_db or 0.0)
    if settings.regions is not None:
        assert settings.roi_psnr_db is not None
        floors[touched_blocks(file)] = settings.roi_psnr_db
    return floors


def touched_blocks(file: Draft) -> NDArray[np.bool_]:
    """(rows, columns): which blocks of the canonical grid a region of interest touches. Raises RoiError if none."""
    blocks, regions = file.pyramid.blocks, file.settings.regions
    found = np.zeros((blocks.shape.height, blocks.shape.width), np.bool_)
    for column, row in regions.tiles(full_grid(file)) if regions is not None else ():
        found[row, column] = True
    if not found.any():
        raise RoiError(
            f"no region of interest touches the slide of {file.source.size.width} x {file.source.size.height} px"
        )
    return found


def full_grid(file: Draft) -> TileGrid:
    """The canonical grid over the full resolution."""
    return TileGrid(file.source.size, file.pyramid.blocks.tile * file.scale)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the slide, as source and as a decoder predicts it."""

    source: Image
    """The part within the slide."""
    prediction: Image
    """All of the block."""
    base: Image
    """The decoded base below `source`."""

    @property
    def within(self) -> Image:
        """The prediction, as far as it lies within the slide."""
        return self.prediction[: self.source.shape[0], : self.source.shape[1]]


class BlockReader:
    """Blocks of a slide, predicted as a decoder does from a base that was coded in some way."""

    def __init__(self, file: Draft, read_base: ReadBase) -> None:
        self._file, self._read_base = file, read_base
        self._bicubic = BicubicGenerator(file.scale)

    def __call__(self, address: Address) -> Block:
        """address: (column, row) on the canonical grid."""
        column, row = address
        pyramid = self._file.pyramid
        generator = self._file.generator if pyramid.tissue[row, column] else self._bicubic
        return Block(
            source=self._file.source.read(full_grid(self._file).covered(column, row)),
            prediction=predict(generator, self._read_base, pyramid.blocks, column, row),
            base=self._read_base(pyramid.blocks.covered(column, row)),
        )

    def bicubic_db(self, address: Address, source: Image) -> float:
        """PSNR of plain bicubic on the same block, capped."""
        made = predict(self._bicubic, self._read_base, self._file.pyramid.blocks, *address)
        return min(PSNR_CAP_DB, psnr(source, made[: source.shape[0], : source.shape[1]]))


@dataclass(frozen=True, slots=True)
class _Made:
    """What became of one block. All PSNR are capped."""

    address: Address
    tile: EnhancedTile | None
    predicted_db: float
    psnr_db: float
    """As decoded."""
    lowest_db: float
    """Of its worst square, as decoded."""
    fingerprint: NDArray[np.int32] | None
    score: tuple[BlockScore, float] | None
    """Of the prediction, and the PSNR of bicubic; of blocks of tissue; None of glass and of slivers."""


class CodedEnhancement:
    """The layer's tiles on disk, and what was measured on the way. A context manager that frees the disk."""

    def __init__(
        self,
        file: Draft,
        coded: CodedPyramid,
        floors: Floors,
        coder: EnhancementCoder,
        folder: Path,
        progress: Progress,
    ) -> None:
        """Decodes and measures every block that has a floor. Raises SettingsError for one that cannot be met."""
        grid, settings = full_grid(file), file.settings
        self.coder = coder
        self._file, self._floors, self._grid = file, floors, grid
        self._modes = np.zeros(grid.count, np.uint8)
        self._fingerprints = np.zeros((grid.count, FINGERPRINT_LENGTH), np.int32)
        regions = settings.regions
        if regions is not None and settings.deidentify:
            regions = regions.without_properties()
        self._regions = None if regions is None else compressed(regions.to_geojson())
        self._read = BlockReader(file, coded.decoded_base().read)
        self._measurable = set(file.pyramid.tissue_blocks(SSIM_SIDE))
        self.predicted_db: Floors = np.full(floors.shape, np.nan)
        """(rows, columns): PSNR of each block's prediction, capped; NaN where nothing was measured yet."""
        self.decoded_db: Floors = np.full(floors.shape, np.nan)
        """The same as decoded."""
        self._lowest_db: Floors = np.full(floors.shape, np.nan)
        self._scores: dict[Address, tuple[BlockScore, float]] = {}
        self._codes = CodeSpool(grid, folder)
        try:
            self._work([index for index in range(grid.count) if floors.flat[index] > 0], progress)
        except BaseException:
            self._codes.close()
            raise

    def measure_rest(self, progress: Progress) -> None:
        """Decode and measure the blocks that have no floor: what follows speaks of all of them."""
        self._work([index for index in range(self._grid.count) if np.isnan(self.predicted_db.flat[index])], progress)

    def _work(self, indexes: list[int], progress: Progress) -> None:
        for done, made in enumerate(ordered_map(self._make, indexes, workers=self._file.settings.workers), 1):
            column, row = made.address
            index = self._grid.index(column, row)
            self.predicted_db[row, column], self.decoded_db[row, column] = made.predicted_db, made.psnr_db
            self._lowest_db[row, column] = made.lowest_db
            if made.tile is not None:
                self._modes[index] = made.tile.mode
                self._codes.put(index, made.tile.data)
            if made.fingerprint is not None:
                self._fingerprints[index] = made.fingerprint
            if made.score is not None:
                self._scores[made.address] = made.score
            progress("enhancing", done, len(indexes))

    def _make(self, index: int) -> _Made:
        address = self._grid.address(index)
        block, floor_db = self._read(address), float(self._floors[address[1], address[0]])
        predicted_db, lowest_db = (
            min(PSNR_CAP_DB, measure(block.source, block.within)) for measure in (psnr, lowest_psnr)
        )
        score = None
        if address in self._measurable:
            bicubic_db = self._read.bicubic_db(address, block.source)
            score = score_block(block.source, block.within, block.base, self._file.scale), bicubic_db
        if lowest_db >= floor_db:
            return _Made(address, None, predicted_db, predicted_db, lowest_db, None, score)
        tile = enhance_to(block.source, block.prediction, floor_db, self.coder)
        check = fingerprint(block.prediction) if tile.mode is Mode.RESIDUAL else None
        decoded_db, lowest_db = (min(PSNR_CAP_DB, value) for value in (tile.psnr_db, tile.lowest_db))
        return _Made(address, tile, predicted_db, decoded_db, lowest_db, check, score)

    @property
    def psnr_db(self) -> Summary:
        """Of every block of the decoded file, tissue and glass."""
        return summarise(self.decoded_db.ravel().tolist())

    @property
    def tissue_psnr_db(self) -> Summary | None:
        """Of every block of tissue of the decoded file; None if there is none."""
        tissue = self.decoded_db[self._file.pyramid.tissue > 0].tolist()
        return summarise(tissue) if tissue else None

    @property
    def lowest_db(self) -> float:
        """PSNR of the worst square of the decoded file."""
        return round(float(self._lowest_db.min()), 4)

    @property
    def measured(self) -> tuple[QualityEntry, QualityMap] | None:
        """Of the prediction, on all blocks of tissue but slivers; None if there are none, or nothing was asked for."""
        if not self._scores or self._file.settings.verify == "none":
            return None
        addresses = sorted(self._scores, key=lambda address: address[::-1])
        scores = [(address, self._scores[address][0]) for address in addresses]
        bicubic_db = [self._scores[address][1] for address in addresses]
        facts = quality_entry(scores, bicubic_db, method="all", block_size=self._grid.tile, population=len(scores))
        return facts, QualityMap.of(self._file.pyramid.blocks, scores)

    @property
    def tiles(self) -> int:
        """Number of blocks that are corrected."""
        return int(np.count_nonzero(self._modes))

    @property
    def total_bytes(self) -> int:
        """Of the tiles."""
        return self._codes.total_bytes

    @cached_property  # of what is complete
    def pieces(self) -> EnhancementPieces:
        """All of it, to be written."""
        return EnhancementPieces.of(
            self._grid, self._modes, self._codes.get, coded_fingerprints(self._fingerprints), self._regions
        )

    def close(self) -> None:
        """Free the disk."""
        self._codes.close()

    def __enter__(self) -> CodedEnhancement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
