"""What a file will hold beside its tiles, and so how many bytes are left for those."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import BudgetError
from ..format.associated import code_associated
from ..format.descriptions import RECONSTRUCTION, stated_reconstruction
from ..format.entries import (
    BaseEntry,
    DownsamplingEntry,
    EnhancementLayer,
    ErrorSummary,
    GeneratorEntry,
    Layer,
    Layers,
    LossyStep,
    PredictionEntry,
    QualityEntry,
    QualityMapLayer,
    SlideEntry,
    Summary,
    level_sizes,
)
from ..format.layers import EnhancementPieces, coded_quality_map
from ..format.manifest import SOFTWARE, Manifest
from ..format.pieces import crc_table
from ..format.quality import MAP_CHANNELS, QualityMap
from ..format.writer import AssociatedImage, checksum_table, write_container
from ..format.zstd import compressed
from ..generators.catalogue import known_names
from ..pixels.downsample import BLOCK, BoxDownsampler
from ..pixels.resampler import Generator
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder
from ..runtime.progress import Progress
from ..source import Source
from .coded_pyramid import CodedOverview, CodedPyramid, code_within
from .deidentify import deidentified_method, deidentified_profile, deidentified_properties
from .settings import EncodeSettings
from .uncoded_pyramid import UncodedPyramid

EMBED_SHARE = 0.01
"""A generator whose package takes less than this share of the output is embedded, unless told otherwise."""

_DICOM_METHOD: dict[TileCodec, str] = {"jp2k": "ISO_15444_1", "avif": "ISO_23000_22", "jpeg": "ISO_10918_1"}
Measured = tuple[QualityEntry, QualityMap]
"""What was measured of the prediction, summed up and block by block."""

_OVERHEAD_SLACK = 512
"""Numbers in the manifest may take a few more digits than the placeholders."""

_LAYER_SLACK = 96
"""The same where the layer is known: a budget with a floor is to be filled to half a percent."""


@dataclass(frozen=True)
class Draft:
    """Everything of the output that does not depend on how the tiles were coded."""

    source: Source
    settings: EncodeSettings
    generator: Generator
    pyramid: UncodedPyramid
    scale: int
    coder: TileCoder
    overview: CodedOverview
    associated: Sequence[AssociatedImage] = ()
    associated_note: str | None = None
    package: bytes | None = None
    """The generator's package, if it is embedded."""

    def fitted(self, budget: int | None) -> Draft:
        """The same, with the associated images and the package that belong into an output of this size."""
        associated, note = code_associated(
            self.source.associated,
            deidentify=self.settings.deidentify,
            fallback_thumbnail=self.pyramid.coarsest(),
            budget_bytes=budget,
        )
        file = dataclasses.replace(self, associated=associated, associated_note=note)
        return file if budget is None else file.with_package_for(budget)

    def with_package_for(self, output_bytes: int) -> Draft:
        """The same, with the package if it belongs into an output of about this size."""
        package, embed = self.generator.package, self.settings.embed_generator
        if embed is None:
            embed = package is not None and len(package) < EMBED_SHARE * output_bytes
        return dataclasses.replace(self, package=package if embed else None)

    def with_tuned(self, generator: Generator) -> Draft:
        """The same, with a generator that has to be embedded, since nobody else has it."""
        settings = dataclasses.replace(self.settings, embed_generator=True)
        return dataclasses.replace(self, generator=generator, settings=settings, package=generator.package)

    @property
    def package_cost(self) -> int:
        """Bytes that the embedded package takes."""
        return 0 if self.package is None else len(compressed(self.package))

    @property
    def downsampling(self) -> DownsamplingEntry | None:
        """What made the base; None for the box average."""
        made = self.pyramid.downsampler
        return None if isinstance(made, BoxDownsampler) else DownsamplingEntry(made.name, made.digest)

    @property
    def first_layer(self) -> int:
        """SubIFD of the first layer: an AVIF base, which others cannot read, takes the one before."""
        return int(self.settings.codec == "avif")

    @property
    def icc_profile(self) -> bytes | None:
        profile = self.source.icc_profile
        return deidentified_profile(profile) if profile and self.settings.deidentify else profile

    def checksums(self, level_tiles: Sequence[Iterable[bytes]]) -> bytes:
        return checksum_table(level_tiles, self.associated, self.pyramid.tissue, self.icc_profile)

    def manifest(
        self,
        quality: float,
        tile_bytes: int,
        checksums: bytes,
        measured: Measured | None,
        enhancement: EnhancementLayer | None = None,
    ) -> Manifest:
        """tile_bytes: of the base and its reduced levels. checksums: of the main table. enhancement: as it will lie in
        the SubIFD after the other layers."""
        source, settings, generator = self.source, self.settings, self.generator
        raw_bytes = 3 * source.size.area
        downsampling = self.downsampling
        how = f"downsampled by {downsampling.name}," if downsampling else "averaged"
        damaged = tuple((place.x, place.y, place.width, place.height) for place in source.damaged)
        ours = LossyStep(
            _DICOM_METHOD[settings.codec],
            round(raw_bytes / tile_bytes, 2),
            f"{how} {self.scale} x {self.scale} to one and coded as {settings.codec}"
            + (f", background in place of what is damaged ({len(damaged)} times)" if damaged else ""),
        )
        base_size, blocks = source.size.divided(self.scale), self.pyramid.blocks.shape
        quality_map = None
        if measured is not None:
            sums = hashlib.sha256(crc_table([coded_quality_map(measured[1])])).hexdigest()
            quality_map = QualityMapLayer(self.first_layer + 1, (blocks.width, blocks.height), sums)
        properties = deidentified_properties(source.properties) if settings.deidentify else source.properties
        return Manifest(
            software=SOFTWARE,
            tier="reconstructed" if enhancement is None else "bounded",
            slide=SlideEntry(
                size=(source.size.width, source.size.height),
                mpp=source.mpp,
                objective_power=source.objective_power,
                vendor=source.vendor,
                background=source.background,
                source_bytes=source.size_bytes,
                deidentified=settings.deidentify,
                properties=properties,
                lossy_history=(*_earlier_steps(source, deidentify=settings.deidentify), ours),
                damaged=damaged or None,
            ),
            base=BaseEntry(
                self.scale,
                settings.codec,
                quality,
                self.pyramid.grids[0].tile,
                level_sizes(base_size, self.pyramid.grids[0].tile),
                0 if self.first_layer else None,
                self.coder.colour.numbers if self.coder.colour else None,
                downsampling,
            ),
            prediction=PredictionEntry(
                GeneratorEntry(
                    generator.name, generator.digest, generator.scale, generator.halo, self.package is not None
                ),
                BLOCK,
            ),
            layers=Layers(Layer(self.first_layer, (blocks.width, blocks.height)), quality_map, enhancement),
            associated=tuple(image.name for image in self.associated),
            checksums_sha256=hashlib.sha256(checksums).hexdigest(),
            quality=None if measured is None else measured[0],
        )

    def write(
        self,
        out: IO[bytes],
        manifest: Manifest,
        level_tiles: Sequence[Iterable[bytes]],
        checksums: bytes,
        measured: Measured | None,
        enhancement: EnhancementPieces | None = None,
    ) -> None:
        write_container(
            out,
            manifest,
            level_tiles=level_tiles,
            checksums=checksums,
            tissue_map=self.pyramid.tissue,
            icc_profile=self.icc_profile,
            package=self.package,
            associated=self.associated,
            quality_map=None if measured is None else measured[1],
            enhancement=enhancement,
        )

    def overhead_bytes(self, layer: tuple[EnhancementLayer, EnhancementPieces] | None = None) -> int:
        """Bytes of everything but the tiles: what a file with tiles of one byte takes, and a little slack.

        layer: what is stated of an enhancement layer, in as many digits as it will have, and its pieces.
        """
        counts = [grid.count for grid in self.pyramid.grids]
        tiles = [[b"\0"] * count for count in counts]
        checksums = self.checksums(tiles)
        out, measured = io.BytesIO(), self._stand_in()
        facts, pieces, slack = None, None, _OVERHEAD_SLACK
        if layer is not None:
            facts, pieces, slack = layer[0], dataclasses.replace(layer[1], tile=lambda index: b"\0"), _LAYER_SLACK
            counts.append(facts.tiles)
        manifest = self.manifest(99.99, self.source.size.area // 10 + 1, checksums, measured, facts)
        self.write(out, manifest, tiles, checksums, measured, pieces)
        return len(out.getvalue()) - sum(counts) + slack

    def _stand_in(self) -> Measured | None:
        """What takes as many bytes as whatever will be measured."""
        if self.settings.verify == "none":
            return None
        high, low = Summary(99.9999, 99.9999, 99.9999), Summary(-0.9999, -0.9999, -0.9999)
        error = ErrorSummary(99.9999, 99.9999, 99.9999)
        facts = QualityEntry("sample", 9999, 9999, high, low, 99.9999, 99.9999, error, high, (0, 0))
        # Random numbers stand in: measured ones compress a little.
        shape = self.pyramid.tissue.shape
        values = np.zeros((*shape, MAP_CHANNELS), np.uint16)
        tissue = np.argwhere(self.pyramid.tissue)
        rng = np.random.default_rng(0)
        every = self.settings.verify == "all" or self.settings.has_floor
        some = tissue if every else rng.permutation(tissue)[: self.settings.verify_blocks]
        values[some[:, 0], some[:, 1]] = rng.integers(0, 1 << 16, (len(some), MAP_CHANNELS))
        return facts, QualityMap(values)


def _earlier_steps(source: Source, *, deidentify: bool) -> list[LossyStep]:
    """What the source's pixels went through. Only their last size is known, so only the last step has a ratio."""
    described = (source.properties.get(key, "") for key in ("tiff.ImageDescription", "ImageDescription"))
    known = known_names() if deidentify else None  # whoever trains a generator may name it after a patient
    origins = filter(None, (stated_reconstruction(text, known=known) for text in described))
    steps = [LossyStep(RECONSTRUCTION, None, origin) for origin in islice(origins, 1)]
    for number, method in enumerate(source.lossy_methods, 1):
        ratio = round(3 * source.size.area / source.size_bytes, 2) if number == len(source.lossy_methods) else None
        steps.append(
            LossyStep(deidentified_method(method) if deidentify else method, ratio, "as the source was stored")
        )
    return steps


def code_draft_within(file: Draft, budget: int, folder: Path, progress: Progress) -> CodedPyramid:
    """The best coding that fits; a BudgetError speaks of the whole file."""
    overhead, settings = file.overhead_bytes(), file.settings
    try:
        return code_within(
            file.pyramid,
            file.overview,
            file.coder,
            budget - overhead,
            seed=settings.seed,
            folder=folder,
            workers=settings.workers,
            progress=progress,
        )
    except BudgetError as error:
        ratio = _possible_ratio(file, error.needed_bytes)
        raise BudgetError(
            budget,
            error.needed_bytes + overhead,
            f"{file.source.path}: a ratio of {settings.ratio:g} allows {budget} bytes. The base at its lowest quality "
            f"takes {error.needed_bytes} and everything else {overhead}: "
            + (f"--ratio {ratio:g} can be met" if ratio else "no ratio can be met, but --quality sets none"),
        ) from error


def _possible_ratio(file: Draft, tile_bytes: int) -> float | None:
    """The highest ratio, in tenths, whose budget holds tiles of `tile_bytes` and all that such a budget admits."""
    needed = tile_bytes + file.overhead_bytes()
    while True:
        ratio = math.floor(10 * file.source.size_bytes / needed) / 10
        if ratio < 1:
            return None
        budget = int(file.source.size_bytes / ratio)
        # A larger budget admits better associated images, and perhaps the generator: it needs more itself.
        needed = tile_bytes + file.fitted(budget).overhead_bytes()
        if needed <= budget:
            return ratio
