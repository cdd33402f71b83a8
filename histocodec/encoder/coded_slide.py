"""A slide whose tiles are coded, ready to be measured and written."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.entries import ErrorSummary
from ..runtime.closing import Closing
from .coded_pyramid import CodedPyramid
from .enhance import CodedEnhancement
from .job import Job


@dataclass(frozen=True)
class CodedSlide(Closing):
    """A job and its coded tiles, on disk; closing it frees the disk."""

    job: Job
    base: CodedPyramid
    enhancement: CodedEnhancement | None = None
    """The layer that lifts blocks to their floors; None if there are none."""
    rest_loss: ErrorSummary | None = None
    """Loss in dB of the blocks of tissue outside the regions of interest, against the same file without regions; None
    without a budget."""
    notes: tuple[str, ...] = ()
    """Sentences for the user on how it was coded."""

    def close(self) -> None:
        """Free the disk."""
        if self.enhancement is not None:
            self.enhancement.close()
        self.base.close()
