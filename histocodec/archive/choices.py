"""What the slides of an archive are encoded with: chosen once, kept with the catalogue, compared when it goes on."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from ..encoder.settings import Effort, EncodeSettings, Magnification
from ..errors import SettingsError
from ..generators.catalogue import find_package, known_names
from ..pixels.downsample import BOX
from ..pixels.tile_codecs import TileCodec
from ..source import OnDamage


class Choices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The settings of every slide of a run, as `encode` takes them."""

    ratio: float | None = None
    """None: 16, unless a quality or a floor is given."""
    quality: float | None = None
    base: Magnification | Literal["auto"] | None = None
    codec: TileCodec = "av1"
    effort: Effort = "default"
    downsampling: str | None = None
    generator: str | None = None
    """Name or path of a package."""
    min_psnr_db: float | None = None
    keep_original: bool = False
    embed_generator: bool | None = None
    archive: bool = False
    """True embeds the generator, whatever its share."""
    deidentify: bool = False
    verify: Literal["sample", "all", "none"] = "sample"
    on_damage: OnDamage = "refuse"
    mpp: float | None = None
    seed: int = 0

    def settings(self) -> EncodeSettings:
        """Return the settings of an encode. Raises SettingsError."""
        chosen = self.ratio
        if self.ratio is self.quality is self.min_psnr_db is None:
            chosen = EncodeSettings.ratio
        return EncodeSettings(
            ratio=chosen,
            quality=self.quality,
            base=self.base,
            codec=self.codec,
            effort=self.effort,
            downsampling=self.downsampling,
            min_psnr_db=self.min_psnr_db,
            keep_original=self.keep_original,
            embed_generator=self.embed_generator,
            archive=self.archive,
            deidentify=self.deidentify,
            verify=self.verify,
            seed=self.seed,
        )

    def check(self) -> None:
        """Raise SettingsError, UnknownGenerator or InvalidPackage for what no slide can be encoded with."""
        self.settings()
        if self.generator is not None and self.generator not in known_names():
            find_package(self.generator)
        if self.downsampling not in (None, BOX):
            find_package(self.downsampling, "downsampler")

    @property
    def expected_ratio(self) -> float | None:
        """Bytes of a source over those of its file, without the original; None where a quality or floor decides."""
        if self.ratio is self.quality is self.min_psnr_db is None:
            return EncodeSettings.ratio
        return self.ratio

    def to_json(self) -> str:
        """Return them as text; what is as usual is left out, so that a later field changes no digest."""
        return msgspec.json.encode(self, order="sorted").decode()

    @classmethod
    def from_json(cls, text: str) -> Choices:
        """Read what `to_json` wrote. Raises SettingsError for what a later version may have written."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise SettingsError(f"the settings in the catalogue cannot be read: {error}") from error

    @property
    def digest(self) -> str:
        """SHA-256 of the text: the same for the same settings."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
