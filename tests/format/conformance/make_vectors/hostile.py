"""All hostile vectors, in the order of their index."""

from __future__ import annotations

from tests.format.conformance.make_vectors import (
    hostile_codestreams,
    hostile_directories,
    hostile_generators,
    hostile_layers,
    hostile_manifests,
    hostile_originals,
    hostile_pieces,
)
from tests.format.conformance.make_vectors.editing import Vector
from tests.format.conformance.make_vectors.hostile_files import HostileFiles
from tests.format.conformance.make_vectors.hostile_layers import HostileLayers
from tests.format.conformance.make_vectors.hostile_originals import HostileOriginals

PARTS = (
    hostile_directories.not_bigtiff,
    hostile_manifests.no_manifest,
    hostile_manifests.manifest_damaged,
    hostile_manifests.manifest_invalid,
    hostile_manifests.later_version,
    hostile_directories.directory_mismatch,
    hostile_directories.tile_elsewhere,
    hostile_pieces.checksums_damaged,
    hostile_pieces.tile_damaged,
    hostile_pieces.base_apart,
    hostile_pieces.tissue_map_damaged,
    hostile_pieces.extras_damaged,
    hostile_generators.generator_damaged,
)
LAYER_PARTS = (
    hostile_layers.manifest_of_layers,
    hostile_layers.quality_map_damaged,
    hostile_layers.enhancement_damaged,
    hostile_layers.enhancement_tile_damaged,
    hostile_layers.prediction_mismatch,
)
LATER_PARTS = (
    hostile_manifests.wrong_downsampling,
    hostile_manifests.wrong_damage,
    hostile_manifests.wrong_generation,
    hostile_generators.unproven_networks,
    hostile_pieces.base_mismatch,
)

ORIGINAL_PARTS = (
    hostile_originals.wrong_sources,
    hostile_originals.wrong_lists,
    hostile_originals.wrong_segments,
    hostile_codestreams.lying_recipes,
)

LATEST_PARTS = (
    hostile_codestreams.lying_codestreams,
    hostile_codestreams.lying_numbers,
)


def invalid_vectors(valid: dict[str, bytes]) -> dict[str, Vector]:
    """Return hostile files by name, made from the valid ones."""
    files, layers, later, latest = HostileFiles(valid), HostileLayers(valid), HostileFiles(valid), HostileFiles(valid)
    for add_files in PARTS:
        add_files(files)
    for add_layers in LAYER_PARTS:
        add_layers(layers)
    for add_files in LATER_PARTS:
        add_files(later)
    originals = HostileOriginals(valid)
    for add_originals in ORIGINAL_PARTS:
        add_originals(originals)
    for add_files in LATEST_PARTS:
        add_files(latest)
    return files.files | layers.files | later.files | originals.files | latest.files
