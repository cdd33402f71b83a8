"""The blocks of a slide: as they are, and as a decoder predicts them from a base that was coded in some way."""

from __future__ import annotations

from dataclasses import dataclass

from ..generators.predict import BlockPredictor, ReadBase
from ..geometry import Address, Image
from ..pixels.resampler import Generator
from ..pixels.score import BlockScore, capped_psnr, score_block
from ..source import Source
from .uncoded_pyramid import UncodedPyramid


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the slide, as source and as prediction, (height, width, 3) uint8 RGB each."""

    source: Image
    """The part within the slide."""
    prediction: Image
    """The whole block."""
    base: Image
    """The decoded base below `source`."""

    @property
    def within(self) -> Image:
        """The prediction, as far as it lies within the slide."""
        return self.prediction[: self.source.shape[0], : self.source.shape[1]]

    @property
    def psnr_db(self) -> float:
        """PSNR of the prediction within the slide, capped."""
        return capped_psnr(self.source, self.within)


class BlockReader:
    """Reads and predicts the blocks of one slide. Safe to call from several threads."""

    def __init__(self, source: Source, generator: Generator, pyramid: UncodedPyramid, read_base: ReadBase) -> None:
        """Take what a block is read and predicted from. read_base: reads regions of the decoded base."""
        self._source, self._grid, self._read_base = source, pyramid.full_blocks, read_base
        self._predict = BlockPredictor(lambda: generator, generator.scale, read_base, pyramid.blocks, pyramid.tissue)

    def __call__(self, address: Address) -> Block:
        """Return the block at (column, row) of the canonical grid."""
        return Block(
            source=self._source.read(self._grid.covered(*address)),
            prediction=self._predict(*address),
            base=self._read_base(self._predict.blocks.covered(*address)),
        )

    def score(self, address: Address, block: Block) -> tuple[BlockScore, float]:
        """Return the score of a block's prediction, and the PSNR of bicubic from the same base, capped."""
        height, width = block.source.shape[:2]
        bicubic = self._predict.bicubic(*address)[:height, :width]
        score = score_block(block.source, block.within, block.base, self._predict.scale)
        return score, capped_psnr(block.source, bicubic)
