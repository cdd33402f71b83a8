"""The settings of an encode: everything that a user can choose, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import SettingsError
from ..format.regions import RegionsOfInterest
from ..pixels.downsample import BOX
from ..pixels.residual import HIGHEST_FLOOR_DB
from ..pixels.tile_codecs import QUALITY_SCALES, TILE_CODECS, TileCodec
from ..runtime.parallel import core_count

Magnification = Literal["10x", "20x"]
"""The nominal magnification of a base."""

BASE_MPP: dict[Magnification, float] = {"10x": 1.0, "20x": 0.5}
"""Micrometres per base pixel that each base aims at."""

Effort = Literal["fast", "default", "best"]
"""How much encoder time the bytes of AV1 tiles are worth."""

_BASE_SPEEDS: dict[Effort, dict[int, int]] = {
    "fast": {4: 8, 2: 9},
    "default": {4: 6, 2: 6},
    "best": {4: 3, 2: 4},
}
"""Speed of libaom for the tiles of an AV1 base, by its scale. By default an encode is to take no longer than libvips
takes to JPEG 2000; speed 5 takes three times what 6 does for 2 to 4 % of the bytes, speed 3 ten times for 7 to 9 %."""

_LAYER_SPEEDS: dict[Effort, int] = {"fast": 6, "default": 6, "best": 4}
"""Speed of libaom for the tiles of an enhancement layer. Each of them is coded several times in search of its floor."""

EMBED_SHARE = 0.02
"""A generator whose package takes less than this share of the output is embedded, unless told otherwise."""


@dataclass(frozen=True)
class EncodeSettings:
    """Everything that a user can choose; checked on construction (SettingsError)."""

    base: Literal["10x", "20x", "auto"] | None = None
    """Nominal magnification of the base: 1.0 or 0.5 um/px. `auto` takes 20x where the ratio leaves a 10x base
    more quality than it can use, as a sample tells. None: `auto` where that is possible, else 10x."""
    codec: TileCodec = "av1"
    """Codec of the base's tiles. Other programs see the base of `jp2k` and `jpeg`, and of `av1` the overview alone."""
    effort: Effort = "default"
    """Time for the search for fewer bytes in AV1 tiles, of base and layer. The other codecs know one effort."""
    downsampling: str | None = None
    """The maker of the base: `box`, the average, or a downsampler by the name of a shipped one or by path. None: the
    one that the generator was trained with, as its package says. It runs on the CPU, whatever the generator's device:
    with one rounding, wherever a slide is encoded."""
    ratio: float | None = 16.0
    """The output takes at most the source's bytes divided by this. None: `quality` decides."""
    quality: float | None = None
    """Base quality on the codec's scale; tiles of two qualities where it lies between them. It needs `ratio` None. Both
    None, with a floor: what takes the fewest bytes."""
    embed_generator: bool | None = None
    """True embeds the generator's package, False does not, None does if it takes less than EMBED_SHARE of the
    output, or for an archive."""
    archive: bool = False
    """True embeds all that it takes to read the file: the generator's package, whatever its share. A built-in generator
    needs none."""
    verify: Literal["sample", "all", "none"] = "sample"
    """The tissue blocks to decode and measure against the source: a random sample of them, all, or none."""
    verify_blocks: int = 400
    """Maximum number of blocks in a sample."""
    verify_within_db: float = 1.0
    """A sample ends sooner once the mean PSNR of all tissue is known to within so much, with 95 % confidence."""
    min_psnr_db: float | None = None
    """PSNR in dB that every square of 256 px of the decoded file reaches; the block of one that falls short gets a
    tile of the enhancement layer."""
    regions: RegionsOfInterest | None = None
    """Regions of interest; they go with `roi_psnr_db`."""
    roi_psnr_db: float | None = None
    """PSNR in dB that every square of a block reaches that a region of interest touches."""
    rest_loss_db: float = 1.0
    """With regions and a ratio: the most that a block of tissue outside the regions may lose against the same file
    without regions. What would cost more is refused."""
    enhancement_codec: TileCodec | None = None
    """Codec of the enhancement layer. None: `av1` for an AV1 base, else `jp2k`."""
    deidentify: bool = False
    """True keeps of the source's metadata what is known to identify nobody."""
    keep_original: bool = False
    """True keeps the source's files in the file, to be restored byte for byte. The ratio counts the rest."""
    seed: int = 0
    """Seed of every random choice: tiles for rate control, blocks to measure."""
    workers: int = field(default_factory=core_count)
    """Number of threads."""

    def __post_init__(self) -> None:
        if self.base not in (None, *BASE_MPP, "auto"):
            raise SettingsError(f"base must be one of {', '.join(BASE_MPP)}, auto, found {self.base}")
        if self.base == "auto" and self.ratio is None:
            raise SettingsError("base auto goes by the bytes that are there: it needs a ratio, not a quality")
        if self.base == "auto" and self.downsampling not in (None, BOX):
            raise SettingsError(
                f"base auto chooses between two scales, and downsampler {self.downsampling} has one: choose a base"
            )
        if self.codec not in TILE_CODECS:
            raise SettingsError(f"codec must be one of {', '.join(TILE_CODECS)}, found {self.codec}")
        if self.effort not in _BASE_SPEEDS:
            raise SettingsError(f"effort must be one of {', '.join(_BASE_SPEEDS)}, found {self.effort}")
        if self.ratio is not None and self.quality is not None:
            raise SettingsError("give either a ratio or a quality")
        if self.ratio is None and self.quality is None and self.min_psnr_db is None:
            raise SettingsError(
                "give a ratio or a quality, or a floor for all blocks, which is met with the fewest bytes"
            )
        if self.archive and self.embed_generator is False:
            raise SettingsError("an archive holds its generator: it cannot go without embedding it")
        self._check_floors()
        if self.ratio is not None and not 1 <= self.ratio <= 1000:
            raise SettingsError(f"the ratio must be 1 to 1000, found {self.ratio:g}")
        if self.quality is not None:
            QUALITY_SCALES[self.codec].check(self.quality, of_tile=False)
        if self.verify not in ("sample", "all", "none"):
            raise SettingsError(f"verify must be sample, all or none, found {self.verify}")
        if self.keep_original and self.deidentify:
            raise SettingsError(
                "keep_original with deidentify: the original is the scanner's own file, with label, names and dates in "
                "it; de-identify the slide first, or do without the one or the other"
            )
        if self.workers < 1 or self.verify_blocks < 1:
            raise SettingsError("workers and verify_blocks must be at least 1")

    @property
    def has_floor(self) -> bool:
        """True if the file gets an enhancement layer."""
        return self.min_psnr_db is not None or self.regions is not None

    @property
    def codec_of_enhancement(self) -> TileCodec:
        """The codec of the enhancement layer that is used."""
        return self.enhancement_codec or ("av1" if self.codec == "av1" else "jp2k")

    def base_speed(self, scale: int) -> int:
        """Return libaom's speed for the tiles of an AV1 base of a scale."""
        return _BASE_SPEEDS[self.effort][scale]

    @property
    def layer_speed(self) -> int:
        """Speed of libaom for the tiles of an AV1 enhancement layer."""
        return _LAYER_SPEEDS[self.effort]

    def _check_floors(self) -> None:
        for name, floor_db in (("min_psnr_db", self.min_psnr_db), ("roi_psnr_db", self.roi_psnr_db)):
            if floor_db is not None and not 10 <= floor_db <= HIGHEST_FLOOR_DB:
                raise SettingsError(
                    f"{name}: a floor is 10 to {HIGHEST_FLOOR_DB:g} dB, found {floor_db:g}: beyond that no lossy tile "
                    "of 8 bits can promise it"
                )
        if (self.regions is None) != (self.roi_psnr_db is None):
            raise SettingsError("regions of interest and their floor (roi_psnr_db) go together")
        if self.roi_psnr_db is not None and self.roi_psnr_db <= (self.min_psnr_db or 0):
            raise SettingsError("the floor of the regions of interest must be above that of everything else")
        if not self.rest_loss_db > 0:
            raise SettingsError(f"rest_loss_db: expected more than 0 dB, found {self.rest_loss_db:g}")
        if self.enhancement_codec is not None and not self.has_floor:
            raise SettingsError("an enhancement codec without a floor: there is nothing to enhance")
        if self.has_floor and self.base == "auto":
            raise SettingsError("base auto knows bases without an enhancement layer: choose one with a floor")
