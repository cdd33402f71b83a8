"""Tiers of one file: the enhancement layer taken off, and put back, without decoding anything.

An archive keeps the bounded file and sends the small one; whoever has both halves has the whole, byte for byte.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

from ..errors import PairMismatch, SettingsError
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import StageProgress, silent
from .associated import stored_associated
from .entries import Layers, number_subifds
from .layers import EnhancementPieces
from .manifest import Manifest
from .reader import Container
from .writer import write_container


def strip(path: str | Path, output: str | Path, *, overwrite: bool = False, progress: StageProgress = silent) -> int:
    """Write the file without its enhancement layer, atomically; return the bytes of what was written.

    Everything else stays as it is: base, generator, quality map, labels. Raises SettingsError for a file without such a
    layer, ContainerError for a damaged one, OutputError.
    """
    path, output = Path(path), Path(output)
    check_output(output, overwrite=overwrite, source=path)
    with Container(path) as container:
        if container.enhancement is None:
            raise SettingsError(f"{path} has no enhancement layer: it is of tier {container.manifest.tier} already")
        return _rewritten(container, without_enhancement(container.manifest), None, output, overwrite, progress)


def enhance(
    small: str | Path,
    full: str | Path,
    output: str | Path,
    *,
    overwrite: bool = False,
    progress: StageProgress = silent,
) -> int:
    """Put the enhancement layer of `full` on `small`, atomically; return the bytes of what was written.

    small: a file as `strip` makes it of `full`, or of another file with the very same base. A stripped file and the one
    that it was made of give that one, byte for byte. Raises SettingsError if `small` has a layer already or `full`
    has none, PairMismatch if they are not of one encoding, ContainerError, OutputError.
    """
    small, full, output = Path(small), Path(full), Path(output)
    check_output(output, overwrite=overwrite, source=small)
    check_output(output, overwrite=overwrite, source=full)
    with Container(small) as receiver, Container(full) as donor:
        if receiver.enhancement is not None:
            raise SettingsError(f"{small} has an enhancement layer already")
        if donor.enhancement is None:
            raise SettingsError(f"{full} has no enhancement layer to give")
        found, expected = renumbered(receiver.manifest), without_enhancement(donor.manifest)
        if found != expected:
            raise PairMismatch(full, small, _first_difference(found, expected))
        return _rewritten(receiver, renumbered(donor.manifest), donor, output, overwrite, progress)


def without_enhancement(manifest: Manifest) -> Manifest:
    """Return what a manifest says once the layer is gone."""
    layers = Layers(manifest.layers.tissue_map, manifest.layers.quality_map)
    return renumbered(dataclasses.replace(manifest, tier="reconstructed", layers=layers))


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
    donor: Container | None,
    output: Path,
    overwrite: bool,
    progress: StageProgress,
) -> int:
    """Write the pieces of `container` under another manifest, with the layer of `donor`; return the bytes written."""
    grids = container.grids
    total = sum(grid.count for grid in grids) + (donor.enhancement.grid.count if donor and donor.enhancement else 0)
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
            enhancement=None if donor is None else layer_of(donor),
        )
        return out.seek(0, io.SEEK_END)
