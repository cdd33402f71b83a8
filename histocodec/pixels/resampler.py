"""The protocols of generators and downsamplers, which change the resolution of pixels by a whole number."""

from __future__ import annotations

from typing import Protocol

from ..geometry import Image


class Resampler(Protocol):
    """A map from pixels to pixels of another resolution. Must be deterministic, and safe to call from many threads."""

    @property
    def name(self) -> str:
        """Name, as the manifest states it."""
        ...

    @property
    def scale(self) -> int:
        """Full pixels per base pixel, each axis."""
        ...

    @property
    def halo(self) -> int:
        """Base pixels of context needed on every side, each `scale` full ones wide."""
        ...

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hexadecimal digits of the package, or `builtin:` and a name that the format defines."""
        ...


class Generator(Resampler, Protocol):
    """A map from the base to the full resolution, in encoder and decoder alike."""

    @property
    def package(self) -> bytes | None:
        """The package that a file may embed; None if there is none."""
        ...

    @property
    def is_exact(self) -> bool:
        """True if the format defines its pixels to the bit, on every machine."""
        ...

    def __call__(self, base: Image, /) -> Image:
        """Enlarge (h + 2 halo, w + 2 halo, 3) uint8 RGB to (h * scale, w * scale, 3) uint8 RGB."""
        ...


class Downsampler(Resampler, Protocol):
    """A map from full pixels to base pixels; only encoders use it."""

    def __call__(self, image: Image, /) -> Image:
        """Shrink ((h + 2 halo) * scale, (w + 2 halo) * scale, 3) uint8 RGB to (h, w, 3) uint8 RGB."""
        ...
