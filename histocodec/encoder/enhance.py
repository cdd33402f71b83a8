"""The enhancement layer as it is made: every block is decoded, measured, and lifted if it falls short of its floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..format.entries import Summary
from ..format.layers import EnhancementPieces
from ..format.pieces import image_crc32
from ..format.quality import summarise
from ..format.zstd import compressed
from ..geometry import Address
from ..pixels.floors import lowest_psnr
from ..pixels.residual import EnhancedTile, EnhancementCoder, Mode, enhance_to
from ..pixels.score import PSNR_CAP_DB, SSIM_SIDE, BlockScore
from ..runtime.closing import Closing
from ..runtime.scratch import CodeSpool
from .block_floors import Floors
from .coded_pyramid import CodedPyramid
from .job import Job
from .measure import Measured, Scores, measured_of


@dataclass(frozen=True, slots=True)
class _Made:
    """One block after its work: its correction and its measures; every PSNR is capped."""

    address: Address
    tile: EnhancedTile | None
    """The correction; None of a block that meets its floor."""
    predicted_db: float
    """PSNR of the prediction."""
    psnr_db: float
    """PSNR as decoded."""
    lowest_db: float
    """PSNR of the worst square, as decoded."""
    checksum: int
    """CRC-32 of the prediction that a residual corrects; 0 without a residual."""
    score: tuple[BlockScore, float] | None
    """The prediction's score and the PSNR of bicubic, of blocks of tissue; None of glass and of slivers."""


class CodedEnhancement(Closing):
    """The layer's tiles on disk, and what was measured on the way; closing it frees the disk."""

    def __init__(self, job: Job, base: CodedPyramid, floors: Floors, coder: EnhancementCoder) -> None:
        """Decode and measure every block that has a floor. Raises SettingsError for one that cannot be met."""
        grid, settings = job.pyramid.full_blocks, job.settings
        self.coder = coder
        self._job, self._floors, self._grid = job, floors, grid
        self._modes = np.zeros(grid.count, np.uint8)
        self._checksums = np.zeros(grid.count, np.uint32)
        regions = settings.regions
        if regions is not None and settings.deidentify:
            regions = regions.without_properties()
        self._regions = None if regions is None else compressed(regions.to_geojson())
        self._read = job.blocks(base.decoded_base().read)
        self._measurable = set(job.pyramid.tissue_blocks(SSIM_SIDE))
        self.predicted_db: Floors = np.full(floors.shape, np.nan)
        """(rows, columns): PSNR of each block's prediction, capped; NaN where nothing was measured yet."""
        self.decoded_db: Floors = np.full(floors.shape, np.nan)
        """(rows, columns): PSNR of each block as decoded, capped; NaN where nothing was measured yet."""
        self._lowest_db: Floors = np.full(floors.shape, np.nan)
        self._scores: dict[Address, tuple[BlockScore, float]] = {}
        self._codes = CodeSpool(grid, job.resources.folder)
        try:
            self._work([index for index in range(grid.count) if floors.flat[index] > 0])
        except BaseException:
            self._codes.close()
            raise

    def measure_rest(self) -> None:
        """Decode and measure the blocks that have no floor: what follows speaks of all of them."""
        self._work([index for index in range(self._grid.count) if np.isnan(self.predicted_db.flat[index])])

    def _work(self, indexes: list[int]) -> None:
        for made in self._job.resources.map(self._make, indexes, "enhancing"):
            column, row = made.address
            index = self._grid.index(column, row)
            self.predicted_db[row, column], self.decoded_db[row, column] = made.predicted_db, made.psnr_db
            self._lowest_db[row, column] = made.lowest_db
            if made.tile is not None:
                self._modes[index] = made.tile.mode
                self._codes.put(index, made.tile.data)
            self._checksums[index] = made.checksum
            if made.score is not None:
                self._scores[made.address] = made.score

    def _make(self, index: int) -> _Made:
        address = self._grid.address(index)
        block, floor_db = self._read(address), float(self._floors[address[1], address[0]])
        predicted_db, lowest_db = block.psnr_db, min(PSNR_CAP_DB, lowest_psnr(block.source, block.within))
        score = self._read.score(address, block) if address in self._measurable else None
        if lowest_db >= floor_db:
            return _Made(address, None, predicted_db, predicted_db, lowest_db, 0, score)
        tile = enhance_to(block.source, block.prediction, floor_db, self.coder)
        checksum = image_crc32(block.prediction) if tile.mode is Mode.RESIDUAL else 0
        decoded_db, lowest_db = (min(PSNR_CAP_DB, value) for value in (tile.psnr_db, tile.lowest_db))
        return _Made(address, tile, predicted_db, decoded_db, lowest_db, checksum, score)

    @property
    def psnr_db(self) -> Summary:
        """The PSNR of every block of the decoded file, tissue and glass."""
        return summarise(self.decoded_db.ravel().tolist())

    @property
    def tissue_psnr_db(self) -> Summary | None:
        """The PSNR of every block of tissue of the decoded file; None if there is none."""
        tissue = self.decoded_db[self._job.pyramid.tissue > 0].tolist()
        return summarise(tissue) if tissue else None

    @property
    def lowest_db(self) -> float:
        """The PSNR of the worst square of the decoded file."""
        return round(float(self._lowest_db.min()), 4)

    @property
    def measured(self) -> Measured | None:
        """The measures of the prediction, on all blocks of tissue but slivers; None if nothing was asked for."""
        if not self._scores or self._job.settings.verify == "none":
            return None
        addresses = sorted(self._scores, key=lambda address: address[::-1])
        scores: Scores = [(address, *self._scores[address]) for address in addresses]
        return measured_of(self._job, scores, method="all", population=len(scores))

    @property
    def tiles(self) -> int:
        """The number of blocks that are corrected."""
        return int(np.count_nonzero(self._modes))

    @property
    def total_bytes(self) -> int:
        """The bytes of the tiles."""
        return self._codes.total_bytes

    @cached_property  # the layer does not change once it is built
    def pieces(self) -> EnhancementPieces:
        """The whole layer, ready to be written."""
        return EnhancementPieces.of(self._grid, self._modes, self._codes.get, self._checksums, self._regions)

    def close(self) -> None:
        """Free the disk."""
        self._codes.close()
