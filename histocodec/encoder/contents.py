"""The contents of the file: its manifest, and its bytes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..format.descriptions import RECONSTRUCTION, reconstruction_in
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
    QualityMapLayer,
    SlideEntry,
    level_sizes,
)
from ..format.layers import EnhancementPieces, coded_quality_map
from ..format.manifest import Manifest
from ..format.pieces import crc_table
from ..format.subifds import number_subifds
from ..format.writer import checksum_table, write_container
from ..generators.catalogue import card_of, known_names
from ..pixels.downsample import BoxDownsampler
from ..pixels.floors import square_side
from ..pixels.tile_codecs import TileCodec
from ..source import Source
from ..version import software
from .deidentify import deidentified_method, deidentified_properties
from .enhance import CodedEnhancement
from .job import Job
from .kept_original import KeptOriginal
from .measure import Measured

_DICOM_METHOD: dict[TileCodec, str] = {"jp2k": "ISO_15444_1", "av1": "ISO_23000_22", "jpeg": "ISO_10918_1"}
"""DICOM's terms for the codecs, by which a manifest states its own lossy step."""


def checksums_of(job: Job, level_tiles: Sequence[Iterable[bytes]], base_sums: NDArray[np.uint32]) -> bytes:
    """Return the main checksum table.

    level_tiles: the coded tiles of each level, that of the base first. base_sums: those of the decoded base, (tiles,).
    """
    return checksum_table(level_tiles, job.extras.associated, job.pyramid.tissue, job.extras.icc_profile, base_sums)


def manifest_of(
    job: Job,
    quality: float,
    tile_bytes: int,
    checksums: bytes,
    measured: Measured | None,
    enhancement: EnhancementLayer | None = None,
    original: KeptOriginal | None = None,
) -> Manifest:
    """Return what the file states about itself.

    quality: that of the base. tile_bytes: those of the base and its reduced levels. checksums: the main table.
    enhancement: as the layer will lie in the SubIFD after the other layers.
    """
    blocks = job.pyramid.blocks.shape
    places = number_subifds(
        job.settings.codec,
        quality_map=measured is not None,
        enhancement=enhancement is not None,
        original=original is not None,
    )
    assert places.tissue_map is not None
    quality_map = None
    if measured is not None and places.quality_map is not None:
        sums = hashlib.sha256(crc_table([coded_quality_map(measured[1])])).hexdigest()
        quality_map = QualityMapLayer(places.quality_map, (blocks.width, blocks.height), sums)
    layers = Layers(
        Layer(places.tissue_map, (blocks.width, blocks.height)),
        quality_map,
        enhancement,
        None if original is None else original.entry(places.original),
    )
    return Manifest(
        software=software(),
        tier=layers.tier,
        slide=_slide_entry(job, tile_bytes),
        base=_base_entry(job, quality),
        prediction=PredictionEntry(
            _generator_entry(job),
            job.pyramid.blocks.side,
        ),
        layers=layers,
        associated=tuple(image.name for image in job.extras.associated),
        checksums_sha256=hashlib.sha256(checksums).hexdigest(),
        quality=None if measured is None else measured[0],
        source=job.tie,
    )


def write_contents(
    out: IO[bytes],
    job: Job,
    manifest: Manifest,
    level_tiles: Sequence[Iterable[bytes]],
    checksums: bytes,
    base_sums: NDArray[np.uint32],
    measured: Measured | None,
    enhancement: EnhancementPieces | None = None,
    original: KeptOriginal | None = None,
) -> int:
    """Write the container; return its bytes without the original."""
    return write_container(
        out,
        manifest,
        level_tiles=level_tiles,
        checksums=checksums,
        base_sums=base_sums,
        tissue_map=job.pyramid.tissue,
        icc_profile=job.extras.icc_profile,
        package=job.extras.package,
        associated=job.extras.associated,
        quality_map=None if measured is None else measured[1],
        enhancement=enhancement,
        original=None if original is None else original.pieces,
    )


def enhancement_entry(
    job: Job, enhancement: CodedEnhancement, rest_loss: ErrorSummary | None, *, has_map: bool
) -> EnhancementLayer:
    """Return what the manifest states of the layer. has_map: True if a quality map lies in the SubIFD before it."""
    return dataclasses.replace(
        stated_enhancement(job, enhancement, has_map=has_map),
        lowest_db=enhancement.lowest_db,
        psnr_db=enhancement.psnr_db,
        tissue_psnr_db=enhancement.tissue_psnr_db,
        rest_loss_db=rest_loss,
    )


def stated_enhancement(job: Job, enhancement: CodedEnhancement, *, has_map: bool) -> EnhancementLayer:
    """Return what the manifest states of the layer before anything is measured."""
    pieces, settings = enhancement.pieces, job.settings
    place = number_subifds(settings.codec, quality_map=has_map, enhancement=True).enhancement
    assert place is not None
    return EnhancementLayer(
        subifd=place,
        size=(pieces.grid.size.width, pieces.grid.size.height),
        checksums_sha256=hashlib.sha256(pieces.checksums).hexdigest(),
        codec=enhancement.coder.codec,
        colour=enhancement.coder.colour,
        tiles=enhancement.tiles,
        square=square_side(pieces.grid.side),
        min_psnr_db=settings.min_psnr_db,
        roi_psnr_db=settings.roi_psnr_db,
        regions_origin=None if settings.regions is None else settings.regions.origin,
    )


def _generator_entry(job: Job) -> GeneratorEntry:
    generator, card = job.generator, card_of(job.generator)
    return GeneratorEntry(
        generator.name,
        generator.digest,
        generator.scale,
        generator.halo,
        embedded=job.extras.package is not None,
        generation=None if card is None else card.generation,
        licence=None if card is None else card.licence,
    )


def _slide_entry(job: Job, tile_bytes: int) -> SlideEntry:
    source, settings, downsampling = job.source, job.settings, _downsampling(job)
    how = f"downsampled by {downsampling.name}," if downsampling else "averaged"
    damaged = tuple((place.x, place.y, place.width, place.height) for place in source.damaged)
    ours = LossyStep(
        _DICOM_METHOD[settings.codec],
        round(3 * source.size.area / tile_bytes, 2),
        f"{how} {job.scale} x {job.scale} to one and coded as {settings.codec}"
        + (f" at speed {job.coder.speed} of libaom" if settings.codec == "av1" else "")
        + (f", background in place of what is damaged ({len(damaged)} times)" if damaged else ""),
    )
    return SlideEntry(
        size=(source.size.width, source.size.height),
        mpp=source.mpp,
        objective_power=source.objective_power,
        vendor=source.vendor,
        background=source.background,
        source_bytes=source.size_bytes,
        deidentified=settings.deidentify,
        properties=deidentified_properties(source.properties) if settings.deidentify else source.properties,
        lossy_history=(*_earlier_steps(source, deidentify=settings.deidentify), ours),
        damaged=damaged or None,
    )


def _base_entry(job: Job, quality: float) -> BaseEntry:
    grid, colour = job.pyramid.grids[0], job.coder.colour
    return BaseEntry(
        scale=job.scale,
        codec=job.settings.codec,
        quality=quality,
        tile=grid.side,
        levels=level_sizes(grid.size, grid.side),
        subifd=number_subifds(job.settings.codec).base,
        colour=colour.numbers if colour else None,
        downsampling=_downsampling(job),
    )


def _downsampling(job: Job) -> DownsamplingEntry | None:
    """Return what made the base; None for the box average."""
    made = job.pyramid.downsampler
    return None if isinstance(made, BoxDownsampler) else DownsamplingEntry(made.name, made.digest)


def _earlier_steps(source: Source, *, deidentify: bool) -> list[LossyStep]:
    """List what the source's pixels went through. Only their last size is known, so only the last step has a ratio."""
    # Whoever trains a generator may name it after a patient.
    origin = reconstruction_in(source.properties, known=known_names() if deidentify else None)
    steps = [] if origin is None else [LossyStep(RECONSTRUCTION, None, origin)]
    for number, method in enumerate(source.lossy_methods, 1):
        ratio = round(3 * source.size.area / source.size_bytes, 2) if number == len(source.lossy_methods) else None
        steps.append(
            LossyStep(deidentified_method(method) if deidentify else method, ratio, "as the source was stored")
        )
    return steps
