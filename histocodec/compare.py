"""compare(): a slide against what its file decodes to, tile by tile."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from .decode import Decoder
from .errors import PairMismatch, SettingsError
from .facts import ErrorSummary, Summary
from .geometry import Region, TileGrid
from .labels import NOTICE, enhancement_label, reconstruction_label, stated_reconstruction
from .parallel import core_count, ordered_map
from .quality import score_block, summarise, summarise_errors
from .sampling import spread_sample
from .source import Source

_MPP_TOLERANCE = 0.01
_FAR_BELOW_DB = 3.0
"""The blocks that were measured when the file was made are a sample: their mean is not off by this much."""
_LISTED = 10
"""Tiles that `Comparison.facts` lists."""


@dataclass(frozen=True, slots=True)
class TileScore:
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scores of every tile that was compared, and what they come to."""

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
    tiles: tuple[TileScore, ...]
    """Row by row; at least one."""
    psnr_db: Summary
    ssim: Summary | None
    """Over the tiles that have one; None if there is none."""
    colour_error: ErrorSummary
    consistency_db: Summary
    notes: tuple[str, ...]
    """What makes the numbers doubtful, a sentence each."""

    @property
    def method(self) -> str:
        """Which tiles were compared, in words."""
        kind = "tiles of tissue" if self.selection == "tissue" else "tiles"
        if len(self.tiles) == self.candidates:
            return f"all {self.candidates} {kind}"
        return f"{len(self.tiles)} of {self.candidates} {kind}, spread over the slide, drawn with seed {self.seed}"

    def region(self, tile: TileScore) -> Region:
        """What was compared of a tile, in full pixels."""
        return self.grid.covered(tile.column, tile.row)

    def ranked(self) -> list[TileScore]:
        """All tiles, that of the lowest PSNR first."""
        return sorted(self.tiles, key=lambda tile: (tile.psnr_db, tile.row, tile.column))

    def below(self, floor_db: float) -> list[TileScore]:
        """The tiles whose PSNR is below a floor, worst first. Raises SettingsError if the floor is not finite."""
        if not math.isfinite(floor_db):
            raise SettingsError(f"expected a floor in dB, found {floor_db}")
        return [tile for tile in self.ranked() if tile.psnr_db < floor_db]

    def tile_facts(self, tile: TileScore) -> dict[str, object]:
        """A tile's place in full pixels and its scores, as JSON values."""
        scores = {key: round(v, 4) if isinstance(v, float) else v for key, v in dataclasses.asdict(tile).items()}
        del scores["column"], scores["row"]
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
            "psnr_db": dataclasses.asdict(self.psnr_db),
            "ssim": None if self.ssim is None else dataclasses.asdict(self.ssim),
            "colour_error": dataclasses.asdict(self.colour_error),
            "consistency_db": dataclasses.asdict(self.consistency_db),
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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Measure how close what a file decodes to is to the slide that it was made of.

    tiles: blocks of the file's canonical grid; `tissue` for those that its tissue map marks, at the edges with the part
    that lies within the slide. count: as many of them, spread over the slide; None for all. PSNR, SSIM and colour error
    as `histocodec.metrics` defines them; TileScore says of what. Works on all cores, a bounded number of tiles in
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
    grid = TileGrid(decoder.levels[0], decoder.tile_size)
    scores: list[TileScore] = []
    for score in ordered_map(partial(_score, source, decoder, grid), chosen, workers=core_count()):
        scores.append(score)
        progress(len(scores), len(chosen))
    ssims = [score.ssim for score in scores if score.ssim is not None]
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
        psnr_db=summarise([score.psnr_db for score in scores]),
        ssim=summarise(ssims) if ssims else None,
        colour_error=summarise_errors([score.colour_error for score in scores]),
        consistency_db=summarise([score.consistency_db for score in scores]),
        notes=tuple(_doubts(source, decoder, grid, scores)),
    )


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


def _score(source: Source, decoder: Decoder, grid: TileGrid, address: tuple[int, int]) -> TileScore:
    column, row = address
    part = grid.covered(column, row)
    scale = decoder.manifest.base.scale
    stored = decoder.read(TileGrid(decoder.levels[1], grid.tile // scale).covered(column, row), 1)
    score = score_block(source.read(part), decoder.read(part), stored, scale)
    return TileScore(column, row, bool(decoder.container.tissue_map[row, column]), **dataclasses.asdict(score))


def _doubts(source: Source, decoder: Decoder, grid: TileGrid, scores: Sequence[TileScore]) -> list[str]:
    """What speaks against the slide being the one that the file was made of."""
    doubts = []
    described = (source.properties.get(key, "") for key in ("tiff.ImageDescription", "ImageDescription"))
    origin = next(filter(None, map(stated_reconstruction, described)), None)
    if origin:
        doubts.append(f"the slide is itself no original; it says of itself: {origin.strip()}")
    quality = decoder.manifest.quality
    # As when the file was made: tissue that lies within the slide entirely.
    alike = [s.psnr_db for s in scores if s.tissue and grid.region(s.column, s.row).within(grid.size)]
    if quality is not None and alike:
        # With an enhancement layer it is more, which only makes this test milder.
        stated = quality.bicubic_psnr_db if decoder.is_bicubic else quality.psnr_db.mean
        found = sum(alike) / len(alike)
        if found < stated - _FAR_BELOW_DB:
            doubts.append(
                f"the mean PSNR of whole tiles of tissue is {found:.2f} dB, and was {stated:.2f} dB when the file was "
                "made: the slide may be another one"
            )
    return doubts
