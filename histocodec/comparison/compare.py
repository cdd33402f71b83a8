"""compare(): a slide against what its file decodes to, tile by tile."""

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
from ..format.descriptions import NOTICE, enhancement_label, reconstruction_label, stated_reconstruction
from ..format.entries import ErrorSummary, Summary, spread
from ..format.quality import summarise, summarise_errors
from ..geometry import Region, TileGrid
from ..pixels.floors import lowest_psnr, square_side
from ..pixels.score import PSNR_CAP_DB, score_block
from ..runtime.parallel import core_count, ordered_map
from ..runtime.progress import StageProgress, silent
from ..runtime.sampling import spread_sample
from ..source import Source

_MPP_TOLERANCE = 0.01
_FAR_BELOW_DB = 3.0
"""The blocks that were measured when the file was made are a sample: their mean is not off by this much."""
_ROUNDING_DB = 0.01
"""What another machine's rounding may take off a floor (section 11.3 of the format)."""
_LISTED = 10
"""Tiles that `Comparison.facts` lists."""


@dataclass(frozen=True, slots=True)
class ComparedBlock:
    """How close one tile, or the part of it within the slide, is to the original."""

    column: int
    row: int
    tissue: bool
    """By the file's tissue map. A tile without is reconstructed without the network."""
    psnr_db: float
    """At full resolution, at most PSNR_CAP_DB."""
    ssim: float | None
    """At full resolution; None where the part within the slide is under 11 px high or wide."""
    colour_error: float
    """Mean CIE 1976 delta E*ab, both averaged to the base's resolution: what became of the stain, detail left aside.
    0 is best."""
    consistency_db: float
    """PSNR, at most PSNR_CAP_DB, of the decoded tile averaged to the base's resolution against the stored base: whether
    what was predicted agrees with what is stored. The original takes no part in it."""
    lowest_db: float
    """PSNR of its worst square (`floors`), at most PSNR_CAP_DB: what a floor is held against."""
    in_region: bool
    """Whether one of the file's regions of interest touches it."""


@dataclass(frozen=True, slots=True)
class Group:
    """What tiles of one kind come to."""

    name: str
    """`tissue`, `everything` or `regions of interest`."""
    what: str
    """That in words, after a number of tiles."""
    tiles: tuple[ComparedBlock, ...]
    """At least one."""
    complete: bool
    """Whether these are all of that kind in the slide."""

    @property
    def psnr_db(self) -> Summary:
        return summarise([tile.psnr_db for tile in self.tiles])

    @property
    def ssim(self) -> Summary | None:
        """Over the tiles that have one; None if there is none."""
        found = [tile.ssim for tile in self.tiles if tile.ssim is not None]
        return summarise(found) if found else None

    @property
    def colour_error(self) -> ErrorSummary:
        return summarise_errors([tile.colour_error for tile in self.tiles])

    @property
    def consistency_db(self) -> Summary:
        return summarise([tile.consistency_db for tile in self.tiles])

    @property
    def lowest_db(self) -> float:
        """PSNR of the worst square of all."""
        return round(min(tile.lowest_db for tile in self.tiles), 4)

    @property
    def title(self) -> str:
        """How many of what, in words."""
        return f"{'all ' if self.complete else ''}{len(self.tiles)} tiles {self.what}"

    def facts(self) -> dict[str, object]:
        """As JSON values."""
        stated = partial(spread, count=len(self.tiles), complete=self.complete)
        with_ssim = sum(tile.ssim is not None for tile in self.tiles)
        return {
            "psnr_db": stated(self.psnr_db),
            "lowest_square_db": self.lowest_db,
            "ssim": spread(self.ssim, with_ssim, complete=self.complete),
            "colour_error": stated(self.colour_error),
            "consistency_db": stated(self.consistency_db),
        }


@dataclass(frozen=True)
class Comparison:
    """The scores of every tile that was compared, and what they come to: of tissue first, since glass is easy."""

    slide: Path
    file: Path
    label: str
    """Who reconstructed the full resolution, and what corrected it, as `labels` says it."""
    grid: TileGrid
    """The slide in full pixels, cut into the blocks in which the file is decoded."""
    selection: Literal["tissue", "all"]
    """Which tiles were asked for."""
    candidates: int
    """Tiles of that kind in the slide."""
    seed: int
    """Drew those that were compared, if not all were."""
    tiles: tuple[ComparedBlock, ...]
    """Row by row; at least one."""
    square: int
    """Full pixels a side of the squares that a floor is held against."""
    notes: tuple[str, ...]
    """What makes the numbers doubtful, a sentence each."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """Tissue, then everything if that was asked for, then the file's regions of interest; those that have tiles."""
        complete = len(self.tiles) == self.candidates
        some = self.selection == "tissue"
        kinds = {
            ("tissue", "of tissue"): [tile for tile in self.tiles if tile.tissue],
            ("everything", "of tissue and glass"): [] if some else self.tiles,
            ("regions of interest", f"{'of tissue ' if some else ''}that a region of interest touches"): [
                tile for tile in self.tiles if tile.in_region
            ],
        }
        return tuple(Group(*kind, tuple(tiles), complete) for kind, tiles in kinds.items() if tiles)

    @property
    def first(self) -> Group:
        """What is stated first: the tissue, or everything where no tissue was compared."""
        return self.groups[0]

    @property
    def method(self) -> str:
        """Which tiles were compared, in words."""
        kind = "tiles of tissue" if self.selection == "tissue" else "tiles"
        if len(self.tiles) == self.candidates:
            return f"all {self.candidates} {kind}"
        return f"{len(self.tiles)} of {self.candidates} {kind}, spread over the slide, drawn with seed {self.seed}"

    def region(self, tile: ComparedBlock) -> Region:
        """What was compared of a tile, in full pixels."""
        return self.grid.covered(tile.column, tile.row)

    def ranked(self) -> list[ComparedBlock]:
        """All tiles, that with the worst square first."""
        return sorted(self.tiles, key=lambda tile: (tile.lowest_db, tile.row, tile.column))

    def below(self, floor_db: float) -> list[ComparedBlock]:
        """The tiles that have a square below a floor in PSNR, worst first. Raises SettingsError if it is not finite."""
        if not math.isfinite(floor_db):
            raise SettingsError(f"expected a floor in dB, found {floor_db}")
        return [tile for tile in self.ranked() if tile.lowest_db < floor_db]

    def tile_facts(self, tile: ComparedBlock) -> dict[str, object]:
        """A tile's place in full pixels and its scores, as JSON values."""
        scores = {key: round(v, 4) if isinstance(v, float) else v for key, v in dataclasses.asdict(tile).items()}
        del scores["column"], scores["row"]
        scores["lowest_square_db"] = scores.pop("lowest_db")
        return {**dataclasses.asdict(self.region(tile)), **scores}

    def facts(self) -> dict[str, object]:
        """What the comparison came to, and the ten worst tiles, as JSON values."""
        return {
            "slide": str(self.slide),
            "file": str(self.file),
            "size": list(self.grid.size),
            "level_0": self.label,
            "compared": self.method,
            "tiles": len(self.tiles),
            "tile_size": self.grid.tile,
            "square": self.square,
            "measured": self.first.title,
            **self.first.facts(),
            **{group.name.replace(" ", "_"): {"tiles": len(group.tiles), **group.facts()} for group in self.groups[1:]},
            "worst_tiles": [self.tile_facts(tile) for tile in self.ranked()[:_LISTED]],
            "notes": list(self.notes),
            "notice": NOTICE,
        }


def compare(
    source: Source,
    decoder: Decoder,
    *,
    tiles: Literal["tissue", "all"] = "tissue",
    count: int | None = None,
    seed: int = 0,
    progress: StageProgress = silent,
) -> Comparison:
    """Measure how close what a file decodes to is to the slide that it was made of.

    tiles: blocks of the file's canonical grid; `tissue` for those that its tissue map marks, at the edges with the part
    that lies within the slide. count: as many of them, spread over the slide; None for all. PSNR, SSIM and colour error
    as `pixels.metrics` defines them; ComparedBlock says of what. Works on all cores, a bounded number of tiles in
    memory.

    Raises PairMismatch if the sizes differ, or the micrometres per pixel by more than 1 %; SettingsError for a `count`
    below 1 or a slide without such tiles; SourceReadError; and what `Decoder.read` raises.
    """
    _check_pair(source, decoder)
    if tiles not in ("tissue", "all"):
        raise SettingsError(f"expected tiles of tissue or all, found {tiles}")
    if count is not None and count < 1:
        raise SettingsError(f"expected a count of at least 1, found {count}")
    tissue_map = decoder.container.tissue_map
    wanted = tissue_map != 0 if tiles == "tissue" else np.ones_like(tissue_map)
    candidates = [(int(column), int(row)) for row, column in np.argwhere(wanted)]
    if not candidates:
        raise SettingsError(f"{decoder.path} marks no tile as tissue: compare all tiles")
    chosen = candidates if count is None else spread_sample(candidates, count, seed)
    grid = TileGrid(decoder.levels[0], decoder.block_size)
    regions, square = decoder.container.regions(), _square(decoder)
    touched = regions.tiles(grid) if regions is not None else set()
    scores: list[ComparedBlock] = []
    for score in ordered_map(partial(_score, source, decoder, grid, touched), chosen, workers=core_count()):
        scores.append(score)
        progress(len(scores), len(chosen))
    return Comparison(
        slide=source.path,
        file=decoder.path,
        label=", ".join(
            [
                reconstruction_label(decoder.manifest, bicubic=decoder.is_bicubic),
                *enhancement_label(decoder.manifest, applied=decoder.is_enhanced),
            ]
        ),
        grid=grid,
        selection=tiles,
        candidates=len(candidates),
        seed=seed,
        tiles=tuple(scores),
        square=square,
        notes=(*_doubts(source, decoder, scores), *_broken_promises(decoder, scores)),
    )


def _square(decoder: Decoder) -> int:
    """Full pixels a side of what the file's floors hold on; of a file without, what they would."""
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
    source: Source, decoder: Decoder, grid: TileGrid, touched: set[tuple[int, int]], address: tuple[int, int]
) -> ComparedBlock:
    column, row = address
    part = grid.covered(column, row)
    scale = decoder.manifest.base.scale
    stored = decoder.read(TileGrid(decoder.levels[1], grid.tile // scale).covered(column, row), 1)
    original, decoded = source.read(part), decoder.read(part)
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
    """Of a file with floors, those that do not hold here."""
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
    """What speaks against the slide being the one that the file was made of."""
    doubts = []
    described = (source.properties.get(key, "") for key in ("tiff.ImageDescription", "ImageDescription"))
    origin = next(filter(None, map(stated_reconstruction, described)), None)
    if origin:
        doubts.append(f"the slide is itself no original; it says of itself: {origin.strip()}")
    quality = decoder.manifest.quality
    # As when the file was made.
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
