"""One slide on its way into one file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..format.entries import SourceEntry
from ..generators.predict import ReadBase
from ..pixels.resampler import Generator
from ..pixels.tile_coder import TileCoder
from ..runtime.resources import Resources
from ..source import Source
from .block_floors import Floors, block_floors
from .blocks import BlockReader
from .coded_pyramid import CodedOverview
from .extras import Extras, collect_extras
from .plan import Plan
from .settings import EncodeSettings
from .uncoded_pyramid import UncodedPyramid


@dataclass(frozen=True)
class Job:
    """All that coding a slide's tiles depends on, and nothing that depends on how they were coded."""

    source: Source
    settings: EncodeSettings
    resources: Resources
    budget_bytes: int | None
    """Bytes that the file may take; None for no bound."""
    generator: Generator
    pyramid: UncodedPyramid
    overview: CodedOverview
    coder: TileCoder
    """Coder of the base's tiles."""
    floors: Floors | None
    """The floor of each block; None if the settings ask for none."""
    embed: bool | None
    """The user's wish for the generator's package; None leaves it to its size."""
    extras: Extras = field(default_factory=Extras)
    tie: SourceEntry | None = None
    """What the file states of the source's files; None for a source that is not on disk."""

    @classmethod
    def of(cls, plan: Plan, pyramid: UncodedPyramid, overview: CodedOverview, resources: Resources) -> Job:
        """Fit the rest to the slide: colours, floors and extras. Raises RoiError if no region touches the slide."""
        settings = plan.settings
        floors = block_floors(settings, pyramid) if settings.has_floor else None
        job = cls(
            plan.source,
            settings,
            resources,
            plan.budget_bytes,
            plan.load_generator(),
            pyramid,
            overview,
            TileCoder.fitted(settings.codec, pyramid.pixels_all_over(), speed=settings.base_speed(plan.scale)),
            floors,
            True if settings.archive else settings.embed_generator,
        )
        return job.fitted(plan.budget_bytes)

    @property
    def scale(self) -> int:
        """Full pixels per base pixel."""
        return self.pyramid.scale

    def fitted(self, budget_bytes: int | None) -> Job:
        """Return the job with the extras that belong into an output of this size; None for no bound."""
        extras = collect_extras(self.source, self.settings, self.pyramid.coarsest(), budget_bytes)
        job = dataclasses.replace(self, extras=extras)
        return job if budget_bytes is None else job.with_package_for(budget_bytes)

    def with_package_for(self, output_bytes: int) -> Job:
        """Return the job with the generator's package, if it belongs into an output of about this size."""
        extras = self.extras.with_package_for(output_bytes, self.generator, embed=self.embed)
        return dataclasses.replace(self, extras=extras)

    def with_tuned(self, generator: Generator) -> Job:
        """Return the job with a generator that has to be embedded, since nobody else has it."""
        extras = dataclasses.replace(self.extras, package=generator.package)
        return dataclasses.replace(self, generator=generator, embed=True, extras=extras)

    def blocks(self, read_base: ReadBase) -> BlockReader:
        """Return the reader of the slide's blocks, as predicted from a base that was coded in some way."""
        return BlockReader(self.source, self.generator, self.pyramid, read_base)
