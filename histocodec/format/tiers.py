"""Tiers of one file: the original and the enhancement layer taken off, and put back, without decoding anything.

An archive keeps the whole file and sends the small one; whoever has both halves has the whole, byte for byte.
"""

from __future__ import annotations

import dataclasses
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from ..errors import PairMismatch, SettingsError
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import StageProgress, silent
from .associated import stored_associated
from .entries import Layers, Tier
from .layers import EnhancementPieces
from .manifest import Manifest
from .original import OriginalPieces
from .reader import Container
from .subifds import number_subifds
from .writer import write_container

LOG = logging.getLogger("histocodec")

_RANK: dict[Tier, int] = {tier: rank for rank, tier in enumerate(get_args(Tier))}


def strip(
    path: str | Path,
    output: str | Path,
    tier: Tier | None = None,
    *,
    overwrite: bool = False,
    progress: StageProgress = silent,
) -> int:
    """Write the file without the layers above a tier, atomically; return the bytes of what was written.

    tier: what is left: `reconstructed`, without the enhancement layer, or `bounded`, with it. None: the next lower one.
    Everything else stays as it is: base, generator, quality map, labels; but for what a later revision of the format
    added, which is dropped, and logged as a warning. Raises SettingsError for a file that has
    nothing above that tier, or does not reach it, ContainerError for a damaged one, OutputError.
    """
    path, output = Path(path), Path(output)
    check_output(output, overwrite=overwrite, source=path)
    with Container(path) as container:
        found = container.manifest
        if tier is None:
            tier = stripped(found, "bounded").tier if found.tier == "original" else "reconstructed"
        manifest = stripped(found, tier)
        if manifest.layers.tier != tier:
            raise SettingsError(f"{path} has no enhancement layer: without the original it is of tier reconstructed")
        if manifest.tier == found.tier:
            raise SettingsError(f"{path} has nothing above tier {tier}: it is of tier {found.tier} already")
        enhancement = container if manifest.layers.enhancement is not None else None
        return _rewritten(container, manifest, enhancement, None, output, overwrite, progress)


def enhance(
    small: str | Path,
    full: str | Path,
    output: str | Path,
    *,
    overwrite: bool = False,
    progress: StageProgress = silent,
) -> int:
    """Put the layers of `full` that `small` lacks on it, atomically; return the bytes of what was written.

    What a later revision of the format added is dropped, and logged as a warning.

    small: a file as `strip` makes it of `full`, or of another file with the very same base. A stripped file and the one
    that it was made of give that one, byte for byte. Raises SettingsError if `full` has no layer that `small` has not,
    PairMismatch if they are not of one encoding, ContainerError, OutputError.
    """
    small, full, output = Path(small), Path(full), Path(output)
    check_output(output, overwrite=overwrite, source=small)
    check_output(output, overwrite=overwrite, source=full)
    with Container(small) as receiver, Container(full) as donor:
        given = donor.manifest
        if _RANK[given.tier] <= _RANK[receiver.manifest.tier]:
            raise SettingsError(
                f"{full} has no layer to give: it is of tier {given.tier}, and {small} of {receiver.manifest.tier}"
            )
        found, expected = renumbered(receiver.manifest), stripped(given, receiver.manifest.tier)
        if found != expected:
            raise PairMismatch(full, small, _first_difference(found, expected))
        enhancement = donor if given.layers.enhancement is not None else None
        original = donor if given.layers.original is not None else None
        return _rewritten(receiver, renumbered(given), enhancement, original, output, overwrite, progress)


def stripped(manifest: Manifest, tier: Tier) -> Manifest:
    """Return what a manifest says once everything above a tier is gone."""
    layers = manifest.layers
    if tier != "original":
        layers = dataclasses.replace(layers, original=None)
    if tier == "reconstructed":
        layers = dataclasses.replace(layers, enhancement=None)
    return renumbered(dataclasses.replace(manifest, tier=layers.tier, layers=layers))


def renumbered(manifest: Manifest) -> Manifest:
    """Return a manifest whose base and layers lie in the SubIFDs where this package puts them: others may differ."""
    named = {item.name: getattr(manifest.layers, item.name) for item in dataclasses.fields(manifest.layers)}
    present = {name: layer for name, layer in named.items() if layer is not None}
    places = number_subifds(manifest.base.codec, **{name: name in present for name in named})
    base = dataclasses.replace(manifest.base, subifd=places.base)
    moved = {name: dataclasses.replace(layer, subifd=getattr(places, name)) for name, layer in present.items()}
    return dataclasses.replace(manifest, base=base, layers=Layers(**moved))


def _first_difference(found: Manifest, expected: Manifest) -> str:
    if found.checksums_sha256 != expected.checksums_sha256:
        return "their bases, images or maps are not the same bytes, so the residuals would correct another prediction"
    names = [
        item.name for item in dataclasses.fields(found) if getattr(found, item.name) != getattr(expected, item.name)
    ]
    return f"their manifests differ in {', '.join(names)}"


def _rewritten(
    container: Container,
    manifest: Manifest,
    enhancement: Container | None,
    original: Container | None,
    output: Path,
    overwrite: bool,
    progress: StageProgress,
) -> int:
    """Write the pieces of `container` under another manifest; return the bytes written.

    enhancement, original: the files whose layers go with it.
    """
    grids = container.grids
    total = sum(grid.count for grid in grids)
    total += enhancement.enhancement.grid.count if enhancement and enhancement.enhancement else 0
    total += original.original.count if original and original.original else 0
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    def tiles(level: int) -> Iterator[bytes]:
        for index in range(grids[level].count):
            step()
            yield container.tile(level, index)

    def layer_of(donor: Container) -> EnhancementPieces:
        assert donor.enhancement is not None

        def tile(index: int) -> bytes:
            step()
            return donor.enhancement_tile(index)

        return dataclasses.replace(donor.enhancement.pieces, tile=tile)

    def original_of(donor: Container) -> OriginalPieces:
        assert donor.original is not None

        def segment(index: int) -> bytes:
            step()
            return donor.stored_segment(index)

        return dataclasses.replace(donor.original.written, stored=segment)

    for file in dict.fromkeys(filter(None, (container, enhancement, original))):
        if file.passed_over:
            # The specification, 12.2: nobody can know whether that still holds of another file.
            listed = ", ".join(ascii(name[:60]) for name in file.passed_over[:10])
            LOG.warning("%s has what this version does not know, and %s has not: %s", file.path, output, listed)
    has_map = manifest.layers.tissue_map is not None
    with atomic_output(output, overwrite=overwrite) as out:
        write_container(
            out,
            manifest,
            level_tiles=[tiles(level) for level in range(len(grids))],
            checksums=container.checksums,
            base_sums=container.base_sums,
            tissue_map=container.tissue_map if has_map else None,
            icc_profile=container.icc_profile,
            package=container.package(),
            associated=stored_associated(container),
            quality_map=container.quality_map,
            enhancement=None if enhancement is None else layer_of(enhancement),
            original=None if original is None else original_of(original),
        )
        return out.seek(0, io.SEEK_END)
