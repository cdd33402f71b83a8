"""The original that a container keeps, as the slide to compare its reconstruction with."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from ..decoder import Decoder
from ..geometry import Image, Region
from ..runtime.file_state import FileState


class KeptSource:
    """A Source of the original's pixels: what `compare()` takes where the slide itself is not at hand."""

    def __init__(self, path: str | Path) -> None:
        """Open a container. Raises SettingsError if it keeps no original that can be read as pixels, and as Decoder."""
        self._decoder = Decoder(path, tier="original")
        slide = self._decoder.manifest.slide
        self.path, self.files, self.states = Path(self._decoder.path), tuple[Path, ...](), tuple[FileState, ...]()
        self.size, self.mpp, self.objective_power = self._decoder.levels[0], slide.mpp, slide.objective_power
        self.vendor, self.background, self.icc_profile = (
            slide.vendor,
            slide.background,
            self._decoder.container.icc_profile,
        )
        self.properties, self.associated = slide.properties, dict[str, Image]()
        self.lossy_methods = tuple(step.method for step in slide.lossy_history[:-1])
        self.size_bytes, self.notes = slide.source_bytes, tuple[str, ...]()

    @property
    def damaged(self) -> tuple[Region, ...]:
        """Nothing: what is kept was read, tile by tile."""
        return ()

    def read(self, region: Region) -> Image:
        """Read a region in full pixels, as `Source.read` does. Raises RegionError, CorruptContainer."""
        return self._decoder.read(region)

    def close(self) -> None:
        """Release the file."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
