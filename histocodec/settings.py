"""How to encode: what a user can choose, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .codecs import QUALITY_SCALES, TILE_CODECS, TileCodec
from .errors import SettingsError
from .parallel import core_count

Base = Literal["10x", "20x"]
"""Nominal magnification of a base."""

BASE_MPP: dict[Base, float] = {"10x": 1.0, "20x": 0.5}


@dataclass(frozen=True)
class EncodeSettings:
    """How to encode; checked on construction (SettingsError)."""

    base: Literal["10x", "20x", "auto"] = "10x"
    """Nominal magnification of the base: 1.0 or 0.5 um/px. `auto` tries both on a sample, which needs a ratio."""
    codec: TileCodec = "jp2k"
    ratio: float | None = 16.0
    """The output takes at most the source's bytes divided by this. None: `quality` decides."""
    quality: float | None = None
    """Base quality on the codec's scale; needs `ratio` None."""
    embed_generator: bool | None = None
    """None: embed when the package takes less than EMBED_SHARE of the output."""
    verify: Literal["sample", "all", "none"] = "sample"
    """Which tissue blocks to decode and measure against the source: `verify_blocks` of them, all, or none."""
    verify_blocks: int = 24
    deidentify: bool = False
    seed: int = 0
    """Draws the tiles that rate control and verification look at."""
    workers: int = field(default_factory=core_count)

    def __post_init__(self) -> None:
        if self.base not in (*BASE_MPP, "auto"):
            raise SettingsError(f"base must be one of {', '.join(BASE_MPP)}, auto, found {self.base}")
        if self.base == "auto" and self.ratio is None:
            raise SettingsError("base auto compares the bases at equal bytes: it needs a ratio, not a quality")
        if self.codec not in TILE_CODECS:
            raise SettingsError(f"codec must be one of {', '.join(TILE_CODECS)}, found {self.codec}")
        if (self.ratio is None) == (self.quality is None):
            raise SettingsError("give either a ratio or a quality")
        if self.ratio is not None and not 1 <= self.ratio <= 1000:
            raise SettingsError(f"the ratio must be 1 to 1000, found {self.ratio:g}")
        if self.quality is not None:
            QUALITY_SCALES[self.codec].check(self.quality)
        if self.verify not in ("sample", "all", "none"):
            raise SettingsError(f"verify must be sample, all or none, found {self.verify}")
        if self.workers < 1 or self.verify_blocks < 1:
            raise SettingsError("workers and verify_blocks must be at least 1")
