"""Sentences for the user on a file that was encoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..format.descriptions import RECONSTRUCTION
from ..format.entries import OVERVIEW_CODEC
from ..format.manifest import Manifest
from ..generators.catalogue import known_names
from ..generators.licences import ANY_USE, use_of
from .coded_pyramid import OVERVIEW_QUALITY
from .job import Job


def notes_on(job: Job, manifest: Manifest, path: Path) -> Iterator[str]:
    """Yield a sentence for everything in a file that its user might not expect."""
    yield from _on_source(job, manifest)
    yield from _on_pixels(job, manifest)
    yield from _on_generator(job, manifest)
    yield from _on_identity(job, path)
    if job.settings.verify != "none" and manifest.quality is None:
        yield "nothing was measured: there is no block of tissue"


def _on_source(job: Job, manifest: Manifest) -> Iterator[str]:
    source, regions = job.source, job.settings.regions
    if regions is not None:
        yield from regions.notes
        if outside := regions.outside:
            yield f"{outside} of {len(regions.features)} regions of interest lie outside the slide"
    yield from source.notes
    if job.extras.associated_note:
        yield job.extras.associated_note
    if source.damaged:
        count = len(source.damaged)
        yield f"places of the slide that could not be read, and hold the background: {count}; info lists them"
    if any(step.method == RECONSTRUCTION for step in manifest.slide.lossy_history):
        yield "the source is itself a reconstruction: what was measured is the distance to that, not to the slide"


def _on_pixels(job: Job, manifest: Manifest) -> Iterator[str]:
    codec, overview, generator = job.settings.codec, job.overview, job.generator
    wanted = OVERVIEW_QUALITY[OVERVIEW_CODEC[codec]][0]
    if overview.quality != wanted:
        yield f"reduced levels coded at quality {overview.quality:g} in place of {wanted:g}, to fit the budget"
    if manifest.base.downsampling and codec != "av1":
        yield (
            f"the base, which other readers open, was made by {manifest.base.downsampling.name}: "
            "they show its pixels sharpened (without that: --downsampling box, the box average)"
        )
    if generator.digest.startswith("builtin:"):
        yield f"no learned generator: the full resolution is enlarged by {generator.name}, an interpolation"


def _on_generator(job: Job, manifest: Manifest) -> Iterator[str]:
    needed, package = manifest.prediction.generator, job.extras.package
    if needed.licence is not None and (use := use_of(needed.licence)) != ANY_USE:
        held = ", and so is this file, which holds them" if package else ""
        yield f"the weights of {needed.name}, which decoding needs, are under {needed.licence}{held}: {use}"
    if job.settings.archive:
        held = f"{needed.name}, {len(package)} bytes, is embedded" if package else f"{needed.name} is built in"
        yield f"an archive: {held}, and no other file is needed to read this one"


def _on_identity(job: Job, path: Path) -> Iterator[str]:
    source, extras, name = job.source, job.extras, job.generator.name
    if not job.settings.deidentify:
        return
    if extras.icc_profile is None and source.icc_profile:
        yield "the ICC profile left out: it could not be freed of what identifies the scanner"
    if source.path.stem.casefold().removesuffix(".ome") in path.name.casefold():
        yield f"the slide's own name is still in the name of the file, {path.name}"
    if name.removesuffix("-tuned") not in known_names():
        stated = (
            "holds the generator {}: see that its name and card"
            if extras.package
            else ("names the generator {} and its licence: see that they")
        )
        yield f"the file {stated.format(name)} identify nobody"
