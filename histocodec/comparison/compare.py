"""Compares a slide with what its file decodes to, block by block: `compare()`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ..decoder import Decoder
from ..errors import PairMismatch, SettingsError
from ..format.descriptions import NOTICE, reconstruction_in
from ..format.entries import ErrorSummary, Summary, spread
from ..format.quality import summarise, summarise_errors
from ..geometry import Grid, Region, addresses_where
from ..pixels.floors import lowest_psnr, square_side
from ..pixels.score import PSNR_CAP_DB, score_block
from ..runtime.parallel import ordered_map
from ..runtime.progress import StageProgress, silent
from ..runtime.sampling import spread_sample
from ..source import Source

_MPP_TOLERANCE = 0.01
"""Share by which the micrometres per pixel of slide and file may differ."""
_FAR_BELOW_DB = 3.0
"""Difference of two mean PSNRs that no sampling explains: the blocks that were measured at encoding are a sample."""
_ROUNDING_DB = 0.01
"""Decibels that another machine's rounding may take off a floor (section 11.3 of the format)."""
_LISTED = 10
"""Number of blocks that `Comparison.facts` lists."""


@dataclass(frozen=True, slots=True)
class ComparedBlock:
    """The scores of one block, or of the part of it within the slide, against the original."""

    column: int
    row: int
    tissue: bool
    """True if the file's tissue map marks the block; glass is reconstructed without the network."""
    psnr_db: float
    """PSNR at full resolution, at most PSNR_CAP_DB."""
    ssim: float | None
    """SSIM at full resolution; None where the part within the slide is under 11 px high or wide."""
    colour_error: float
    """Mean CIE 1976 delta E*ab, both averaged to the base's resolution: the change of the stain, detail left
    aside. 0 is best."""
    consistency_db: float
    """PSNR, at most PSNR_CAP_DB, of the decoded block averaged to the base's resolution against the stored base: the
    agreement of prediction and base. The original takes no part in it."""
    lowest_db: float
    """PSNR of the worst square (`pixels.floors`), at most PSNR_CAP_DB; a floor is a bound on this."""
    in_region: bool
    """True if one of the file's regions of interest touches the block."""


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks of one kind, and the summaries of their scores."""

    name: str
    """The kind: `tissue`, `everything` or `regions of interest`."""
    what: str
    """The kind in words that follow a number of blocks, e.g. `of tissue`."""
    blocks: tuple[ComparedBlock, ...]
    """At least one block."""
    complete: bool
    """True if these are all blocks of that kind in the slide."""

    @property
    def psnr_db(self) -> Summary:
        """Summary of PSNR over the blocks."""
        return summarise([block.psnr_db for block in self.blocks])

    @property
    def ssim(self) -> Summary | None:
        """Summary of SSIM over the blocks that have one; None if none has."""
        found = [block.ssim for block in self.blocks if block.ssim is not None]
        return summarise(found) if found else None

    @property
    def colour_error(self) -> ErrorSummary:
        """Summary of the colour error over the blocks."""
        return summarise_errors([block.colour_error for block in self.blocks])

    @property
    def consistency_db(self) -> Summary:
        """Summary of the consistency over the blocks."""
        return summarise([block.consistency_db for block in self.blocks])

    @property
    def lowest_db(self) -> float:
        """PSNR of the worst square of all blocks."""
        return round(min(block.lowest_db for block in self.blocks), 4)

    @property
    def title(self) -> str:
        """Number and kind of the blocks, in words."""
        return f"{'all ' if self.complete else ''}{len(self.blocks)} blocks {self.what}"

    def facts(self) -> dict[str, object]:
        """Return the summaries as JSON values."""
        stated = partial(spread, count=len(self.blocks), complete=self.complete)
        with_ssim = sum(block.ssim is not None for block in self.blocks)
        return {
            "psnr_db": stated(self.psnr_db),
            "lowest_square_db": self.lowest_db,
            "ssim": spread(self.ssim, with_ssim, complete=self.complete),
            "colour_error": stated(self.colour_error),
            "consistency_db": stated(self.consistency_db),
        }


@dataclass(frozen=True)
class Comparison:
    """The scores of every block that was compared, summarised by groups: tissue first, since glass is easy."""

    slide: Path
    file: Path | str
    label: str
    """The generator of the full resolution, and what corrected it, as `format.descriptions` words it."""
    grid: Grid
    """The canonical grid over the full resolution: the slide cut into blocks."""
    selection: Literal["tissue", "all"]
    """The kind of blocks that was asked for."""
    candidates: int
    """Number of blocks of that kind in the slide."""
    seed: int
    """Seed of the random choice of blocks, if not all were compared."""
    blocks: tuple[ComparedBlock, ...]
    """The compared blocks, row by row; at least one."""
    square: int
    """Side in full pixels of the squares that floors are bounds for."""
    notes: tuple[str, ...]
    """Reasons to doubt the numbers, a sentence each."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """Tissue, then everything if that was asked for, then the regions of interest; only groups with blocks."""
        complete = len(self.blocks) == self.candidates
        some = self.selection == "tissue"
        kinds = {
            ("tissue", "of tissue"): [block for block in self.blocks if block.tissue],
            ("everything", "of tissue and glass"): [] if some else self.blocks,
            ("regions of interest", f"{'of tissue ' if some else ''}that a region of interest touches"): [
                block for block in self.blocks if block.in_region
            ],
        }
        return tuple(Group(*kind, tuple(blocks), complete) for kind, blocks in kinds.items() if blocks)

    @property
    def first(self) -> Group:
        """The group that is stated first: tissue, or everything where no tissue was compared."""
        return self.groups[0]

    @property
    def method(self) -> str:
        """The choice of blocks, in words."""
        kind = "blocks of tissue" if self.selection == "tissue" else "blocks"
        if len(self.blocks) == self.candidates:
            return f"all {self.candidates} {kind}"
        return f"{len(self.blocks)} of {self.candidates} {kind}, spread over the slide, drawn with seed {self.seed}"

    def region(self, block: ComparedBlock) -> Region:
        """Return the part of a block that was compared, in full pixels."""
        return self.grid.covered(block.column, block.row)

    def ranked(self) -> list[ComparedBlock]:
        """Return all blocks, that with the worst square first."""
        return sorted(self.blocks, key=lambda block: (block.lowest_db, block.row, block.column))

    def below(self, floor_db: float) -> list[ComparedBlock]:
        """Return the blocks with a square below a floor in dB, worst first.

        Raises SettingsError for a floor that is not finite.
        """
        if not math.isfinite(floor_db):
            raise SettingsError(f"expected a floor in dB, found {floor_db}")
        return [block for block in self.ranked() if block.lowest_db < floor_db]

    def block_facts(self, block: ComparedBlock) -> dict[str, object]:
        """Return a block's place in full pixels and its scores, as JSON values."""
        scores = {key: round(v, 4) if isinstance(v, float) else v for key, v in dataclasses.asdict(block).items()}
        del scores["column"], scores["row"]
        scores["lowest_square_db"] = scores.pop("lowest_db")
        return {**dataclasses.asdict(self.region(block)), **scores}

    def facts(self) -> dict[str, object]:
        """Return the summaries and the ten worst blocks, as JSON values by the keys of `compare --json`."""
        return {
            "slide": str(self.slide),
            "file": str(self.file),
            "size": list(self.grid.size),
            "level_0": self.label,
            "compared": self.method,
            "blocks": len(self.blocks),
            "block_size": self.grid.side,
            "square": self.square,
            "measured": self.first.title,
            **self.first.facts(),
            **{
                group.name.replace(" ", "_"): {"blocks": len(group.blocks), **group.facts()}
                for group in self.groups[1:]
            },
            "worst_blocks": [self.block_facts(block) for block in self.ranked()[:_LISTED]],
            "notes": list(self.notes),
            "notice": NOTICE,
        }


def compare(
    source: Source,
    decoder: Decoder,
    *,
    blocks: Literal["tissue", "all"] = "tissue",
    count: int | None = None,
    seed: int = 0,
    progress: StageProgress = silent,
) -> Comparison:
    """Measure how close what a file decodes to is to the slide that it was made of.

    blocks: of the file's canonical grid, those that its tissue map marks (`tissue`) or all; at the edges the part that
    lies within the slide. count: as many of them, spread over the slide; None for all. seed: of that choice. PSNR, SSIM
    and colour error are those of `pixels.metrics`. Works on all cores, with a bounded number of blocks in memory.

    Raises PairMismatch if the sizes differ, or the micrometres per pixel by more than 1 %; SettingsError for a `count`
    below 1 or a slide without such blocks; SourceReadError; and what `Decoder.read` raises.
    """
    _check_pair(source, decoder)
    if blocks not in ("tissue", "all"):
        raise SettingsError(f"expected blocks of tissue or all, found {blocks}")
    if decoder.is_original:
        raise SettingsError(f"{decoder.path}: its original is the slide: verify-source compares the two, byte for byte")
    if count is not None and count < 1:
        raise SettingsError(f"expected a count of at least 1, found {count}")
    tissue_map = decoder.container.tissue_map
    wanted = tissue_map != 0 if blocks == "tissue" else np.ones_like(tissue_map, np.bool_)
    candidates = addresses_where(wanted)
    if not candidates:
        raise SettingsError(f"{decoder.path} marks no block as tissue: compare all blocks")
    chosen = candidates if count is None else spread_sample(candidates, count, seed)
    grid = Grid(decoder.levels[0], decoder.block_size)
    regions, square = decoder.container.regions(), _square(decoder)
    touched = regions.blocks(grid) if regions is not None else set()
    scores: list[ComparedBlock] = []
    for score in ordered_map(partial(_score, source, decoder, grid, touched), chosen, workers=decoder.threads):
        scores.append(score)
        progress(len(scores), len(chosen))
    return Comparison(
        slide=source.path,
        file=decoder.path,
        label=", ".join([decoder.rendition.label, *decoder.rendition.enhancement_labels]),
        grid=grid,
        selection=blocks,
        candidates=len(candidates),
        seed=seed,
        blocks=tuple(scores),
        square=square,
        notes=(*_doubts(source, decoder, scores), *_broken_promises(decoder, scores)),
    )


def _square(decoder: Decoder) -> int:
    """Return the side in full pixels of the squares of the file's floors; of a file without floors, the default."""
    layer = decoder.manifest.layers.enhancement
    return square_side(decoder.block_size) if layer is None else square_side(decoder.block_size, layer.square)


def _check_pair(source: Source, decoder: Decoder) -> None:
    """Raise PairMismatch if the file cannot have been made of the slide."""
    expected = decoder.levels[0]
    if source.size != expected:
        raise PairMismatch(
            source.path,
            decoder.path,
            f"expected a slide of {expected.width} x {expected.height} px, "
            f"found {source.size.width} x {source.size.height} px",
        )
    if abs(source.mpp / decoder.mpp - 1) > _MPP_TOLERANCE:
        raise PairMismatch(source.path, decoder.path, f"expected {decoder.mpp:.4g} um/px, found {source.mpp:.4g} um/px")


def _score(
    source: Source, decoder: Decoder, grid: Grid, touched: set[tuple[int, int]], address: tuple[int, int]
) -> ComparedBlock:
    """Decode one block and score it. touched: addresses of the blocks that a region of interest touches."""
    column, row = address
    part = grid.covered(column, row)
    scale = decoder.manifest.base.scale
    stored = decoder.read(Grid(decoder.levels[1], grid.side // scale).covered(column, row), 1)
    original, decoded = source.read(part), decoder.read(part, keep=False)
    score = score_block(original, decoded, stored, scale)
    return ComparedBlock(
        column=column,
        row=row,
        tissue=bool(decoder.container.tissue_map[row, column]),
        **dataclasses.asdict(score),
        lowest_db=min(PSNR_CAP_DB, lowest_psnr(original, decoded, _square(decoder))),
        in_region=address in touched,
    )


def _broken_promises(decoder: Decoder, scores: Sequence[ComparedBlock]) -> list[str]:
    """Return a sentence for each floor that the file states and that does not hold here."""
    layer = decoder.manifest.layers.enhancement
    if layer is None or not decoder.is_enhanced:
        return []
    promises = {
        "": (layer.min_psnr_db, [score.lowest_db for score in scores]),
        " in the regions of interest": (layer.roi_psnr_db, [score.lowest_db for score in scores if score.in_region]),
    }
    return [
        f"the file promises {floor_db:g} dB on every square of {_square(decoder)} px{where}, and one has "
        f"{min(found):.2f} dB: the slide may be another one"
        for where, (floor_db, found) in promises.items()
        if floor_db is not None and found and min(found) < floor_db - _ROUNDING_DB
    ]


def _doubts(source: Source, decoder: Decoder, scores: Sequence[ComparedBlock]) -> list[str]:
    """Return a sentence for each sign that the file was made of another slide."""
    doubts = []
    origin = reconstruction_in(source.properties)
    if origin:
        doubts.append(f"the slide is itself a reconstruction: {origin.strip()}")
    quality = decoder.manifest.quality
    # The blocks that are measured at encoding too.
    alike = [s.psnr_db for s in scores if s.tissue and s.ssim is not None]
    if quality is not None and alike:
        # With an enhancement layer it is more, which only makes this test milder.
        stated = quality.bicubic_psnr_db if decoder.is_bicubic else quality.psnr_db.mean
        found = sum(alike) / len(alike)
        if found < stated - _FAR_BELOW_DB:
            doubts.append(
                f"the mean PSNR of tissue is {found:.2f} dB, and was {stated:.2f} dB when the file was "
                "made: the slide may be another one"
            )
    return doubts
