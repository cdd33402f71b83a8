"""The extras of a file: label, macro and thumbnail, the ICC profile, and the generator if it is embedded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ..format.associated import code_associated
from ..format.writer import AssociatedImage
from ..format.zstd import compressed
from ..geometry import Image
from ..pixels.resampler import Generator
from ..source import Source
from .deidentify import deidentified_profile
from .settings import EMBED_SHARE, EncodeSettings


@dataclass(frozen=True)
class Extras:
    """The parts of one file that lie beside tiles and layers."""

    associated: Sequence[AssociatedImage] = ()
    associated_note: str | None = None
    """A sentence for the user, if an associated image had to give way."""
    icc_profile: bytes | None = None
    package: bytes | None = None
    """The generator's package, if it is embedded."""

    @property
    def package_cost(self) -> int:
        """Bytes that the embedded package takes in the file."""
        return 0 if self.package is None else len(compressed(self.package))

    def with_package_for(self, output_bytes: int, generator: Generator, *, embed: bool | None) -> Extras:
        """Return the extras with the package, if it belongs into an output of about this size.

        embed: the user's wish; None takes a package that is less than EMBED_SHARE of the output.
        """
        package = generator.package
        if embed is None:
            embed = package is not None and len(package) < EMBED_SHARE * output_bytes
        return dataclasses.replace(self, package=package if embed else None)


def collect_extras(source: Source, settings: EncodeSettings, thumbnail: Image, budget_bytes: int | None) -> Extras:
    """Collect what belongs into an output of this size, but for the package.

    thumbnail: (height, width, 3) uint8 RGB of the scan alone. budget_bytes: None for no bound.
    """
    associated, note = code_associated(
        source.associated, deidentify=settings.deidentify, fallback_thumbnail=thumbnail, budget_bytes=budget_bytes
    )
    profile = source.icc_profile
    if profile and settings.deidentify:
        profile = deidentified_profile(profile)
    return Extras(associated, note, profile)
