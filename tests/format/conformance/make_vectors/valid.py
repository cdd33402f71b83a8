"""Valid vectors: from the writer of `histocodec`, and one from a second writer."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histocodec.decoder import Decoder
from histocodec.format.entries import (
    LEVEL_STEP,
    OVERVIEW_CODEC,
    BaseEntry,
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
from histocodec.format.layers import EnhancementPieces, coded_quality_map, stored_sums
from histocodec.format.manifest import Manifest
from histocodec.format.original import OriginalPieces
from histocodec.format.pieces import crc_table, image_crc32
from histocodec.format.quality import QualityMap
from histocodec.format.writer import AssociatedImage, checksum_table, write_container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.predict import predict
from histocodec.geometry import Grid, Image, Size
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.downsample import downsample
from histocodec.pixels.residual import Mode
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TileCoder
from histocodec.pixels.tissue import tissue_blocks
from tests.format.conformance.make_vectors.editing import (
    change_manifest,
    compress,
    reseal,
    sha256,
)
from tests.format.conformance.make_vectors.extended import by_a_later_revision
from tests.format.conformance.make_vectors.networks import NETWORKS, network_package
from tests.format.conformance.make_vectors.originals import ORIGINALS, Original
from tests.format.conformance.make_vectors.painting import (
    QUALITY,
    coded,
    painted,
    painted_native,
    painted_quality_map,
    painted_residual,
)
from tests.format.conformance.make_vectors.recipes import (
    BLOCK,
    LATER_REVISION,
    OTHER_WRITER,
    RECIPES,
    REGIONS_OF_INTEREST,
    SMALLEST,
    TILE,
    Enhancement,
    Recipe,
)
from tests.format.conformance.surgery import (
    CHECKSUMS,
    LONG,
    PREDICTION_SUMS,
    REGIONS,
    SHORT,
    TILE_MODES,
    UNDEFINED,
    Directory,
    put_together,
    take_apart,
)

SOFTWARE = "histocodec conformance vectors"
FAKE_PROFILE = b"not a profile, but stored as one: " + bytes(range(64))
METHOD: dict[TileCodec, str] = {"jp2k": "ISO_15444_1", "av1": "ISO_23000_22", "jpeg": "ISO_10918_1"}


def valid_vectors() -> dict[str, tuple[bytes, str]]:
    """Name -> file, what it is."""
    files = {name: (build(recipe, seed), recipe.note) for seed, (name, recipe) in enumerate(RECIPES.items(), 1)}
    files[OTHER_WRITER] = (
        by_another_writer(files[SMALLEST][0]),
        "by another writer: layers in another order, one of them unknown, unknown manifest keys, equal pieces stored "
        "once, LONG indexes",
    )
    files[LATER_REVISION] = (
        by_a_later_revision(files["jp2k-x4-bounded"][0]),
        "by a later revision: unknown keys in every object of the manifest and in the generator's card, a further "
        "layer of an unknown compression, unknown tags, some of a type that does not exist",
    )
    return files


def build(
    recipe: Recipe,
    seed: int,
    *,
    changed_original: Callable[[Original], Original] = lambda made: made,
    changed_pieces: Callable[[OriginalPieces], OriginalPieces] = lambda made: made,
) -> bytes:
    """The file of a recipe. changed_original, changed_pieces: what is done to its original before it is written."""
    full, scale = Size(*recipe.size), recipe.scale
    base = painted(*full.divided(scale), seed)
    levels = level_sizes(full.divided(scale), TILE)
    pictures = [base]
    for _ in levels[1:]:
        pictures.append(downsample(pictures[-1], LEVEL_STEP))
    reduced = OVERVIEW_CODEC[recipe.codec]
    tiles = [_tiles(base, recipe.codec), *(_tiles(picture, reduced, chroma="444") for picture in pictures[1:])]
    associated = [_associated(name, seed) for name in recipe.associated]
    blocks = Grid(full.divided(scale), BLOCK)
    package = network_package(recipe.generator, recipe.generation or 1) if recipe.generator in NETWORKS else None
    tissue_map = _map(base, blocks) if recipe.tissue_map else None
    profile = FAKE_PROFILE if recipe.profile else None
    decoder = TileCoder(recipe.codec, ColourTransform(recipe.colour) if recipe.colour else None)
    decoded = [decoder.decode(tile, height=TILE, width=TILE) for tile in tiles[0]]
    base_sums = np.array([image_crc32(tile) for tile in decoded], np.uint32)
    checksums = checksum_table(tiles, associated, tissue_map, profile, base_sums)
    generator = GeneratorEntry(f"bicubic-x{scale}", f"builtin:bicubic-x{scale}", scale, 2, embedded=False)
    if package is not None:
        generator = GeneratorEntry(package.card.name, package.digest, scale, package.card.halo, embedded=True)
    if package is not None and recipe.generation is not None:
        generator = dataclasses.replace(generator, generation=recipe.generation, licence=package.card.licence)
    measured = QualityEntry(
        "sample", 2, BLOCK * scale, Summary(29.5, 28.25, 28.0), Summary(0.875, 0.8125, 0.8), bicubic_psnr_db=28.5
    )
    if recipe.measured:
        measured = dataclasses.replace(
            measured,
            blocks=len(recipe.measured),
            psnr_half_width_db=0.25,
            colour_error=ErrorSummary(1.5, 2.75, 3.0),
            consistency_db=Summary(45.0, 41.5, 41.0),
            worst_block=recipe.measured[-1],
        )
    quality_map = painted_quality_map(blocks, recipe.measured) if recipe.measured else None
    enhancement = None
    if recipe.enhancement is not None:
        without = build(dataclasses.replace(recipe, enhancement=None, measured=(), original=None), seed)
        enhancement = painted_enhancement(recipe.enhancement, full, without, seed)
    original = None if recipe.original is None else changed_original(ORIGINALS[recipe.original]())
    original_pieces = None if original is None else changed_pieces(original.pieces())
    layers = _layers(recipe, blocks, quality_map, enhancement)
    if original is not None and original_pieces is not None:
        entry = original.layer(len(layers.present) + int(recipe.codec == "av1"), original_pieces)
        layers = dataclasses.replace(layers, original=entry)
    how = f"downsampled by {recipe.downsampling.name}," if recipe.downsampling else "averaged"
    manifest = Manifest(
        software=SOFTWARE,
        tier=layers.tier,
        slide=SlideEntry(
            size=recipe.size,
            mpp=0.25 if scale == 4 else 0.5,
            objective_power=40.0 if scale == 4 else None,
            vendor="painted",
            background=(255, 255, 255),
            source_bytes=3 * full.area if original is None else sum(file.bytes for file in original.source.files),
            deidentified=False,
            properties={"painted.seed": str(seed), "painted.µ": "a key and a value beyond ASCII: µm²"},
            lossy_history=(
                LossyStep("ISO_10918_1", 12.5, "as the source was stored"),
                LossyStep(METHOD[recipe.codec], None, f"{how} {scale} x {scale} to one and coded as {recipe.codec}"),
            ),
            damaged=recipe.damaged,
        ),
        base=BaseEntry(
            scale,
            recipe.codec,
            QUALITY[recipe.codec],
            TILE,
            levels,
            0 if recipe.codec == "av1" else None,
            recipe.colour,
            recipe.downsampling,
        ),
        prediction=PredictionEntry(generator, BLOCK),
        layers=layers,
        associated=recipe.associated,
        checksums_sha256=hashlib.sha256(checksums).hexdigest(),
        quality=measured if recipe.profile or recipe.measured else None,
        source=None if original is None else original.source,
    )
    out = io.BytesIO()
    write_container(
        out,
        manifest,
        level_tiles=tiles,
        checksums=checksums,
        base_sums=base_sums,
        tissue_map=tissue_map,
        icc_profile=profile,
        package=package.data if package is not None else None,
        associated=associated,
        quality_map=quality_map,
        enhancement=enhancement,
        original=original_pieces,
    )
    return out.getvalue()


def _layers(recipe: Recipe, blocks: Grid, quality_map: QualityMap | None, pieces: EnhancementPieces | None) -> Layers:
    """What the manifest says of them. The writer numbers them as they come."""
    numbers = iter(range(int(recipe.codec == "av1"), 4))
    size = (blocks.shape.width, blocks.shape.height)
    tissue = Layer(next(numbers), size) if recipe.tissue_map else None
    quality, enhancement = None, None
    if quality_map is not None:
        quality = QualityMapLayer(next(numbers), size, sha256(crc_table([coded_quality_map(quality_map)])))
    if recipe.enhancement is not None and pieces is not None:
        stated = recipe.enhancement
        enhancement = EnhancementLayer(
            next(numbers),
            recipe.size,
            sha256(pieces.checksums),
            stated.codec,
            int(np.count_nonzero(pieces.modes)),
            stated.min_psnr_db,
            stated.roi_psnr_db,
            Summary(39.25, 36.5, 35.75),
            stated.colour,
        )
    return Layers(tissue, quality, enhancement)


def painted_enhancement(recipe: Enhancement, full: Size, without: bytes, seed: int) -> EnhancementPieces:
    """A layer whose tiles are painted. without: the file without it, whose predictions it is for."""
    modes = np.array(recipe.modes, np.uint8)
    sums, side = prediction_sums(without, modes)

    def tile(index: int) -> bytes:
        picture = painted_native if modes[index] == Mode.NATIVE else painted_residual
        return coded(picture(side, seed + index), recipe.codec, ten_bits=recipe.colour is not None)

    regions = None if recipe.regions is None else compress(recipe.regions)
    return EnhancementPieces.of(Grid(full, side), modes, tile, sums, regions)


def prediction_sums(data: bytes, modes: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], int]:
    """Of a file's predicted blocks where there is a residual, else zeros; and full pixels a side of a block."""
    found = np.zeros(modes.size, np.uint32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prediction.hc.tif"
        path.write_bytes(data)
        with Decoder(path) as decoder:
            blocks = Grid(decoder.levels[1], BLOCK)
            for index in np.flatnonzero(modes == Mode.RESIDUAL).tolist():
                column, row = blocks.address(index)
                glass = not decoder.container.tissue_map[row, column]
                generator = BicubicGenerator(decoder.generator.scale) if glass else decoder.generator
                block = predict(generator, lambda region: decoder.read(region, 1), blocks, column, row)
                found[index] = image_crc32(block)
            return found, decoder.block_size


def _tiles(picture: Image, codec: TileCodec, chroma: str = "420") -> list[bytes]:
    grid = Grid(Size(picture.shape[1], picture.shape[0]), TILE)
    codes = []
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        tile = picture[part.y : part.bottom, part.x : part.right]
        padding = ((0, TILE - part.height), (0, TILE - part.width), (0, 0))
        codes.append(coded(np.pad(tile, padding, mode="edge"), codec, ten_bits=codec == "av1", chroma=chroma))
    return codes


def _associated(name: str, seed: int) -> AssociatedImage:
    size = {"thumbnail": Size(16, 8), "label": Size(8, 8), "macro": Size(24, 8)}[name]
    return AssociatedImage(name, size, coded(painted(*size, seed + len(name)), "jpeg"))


def _map(base: Image, blocks: Grid) -> NDArray[np.uint8]:
    padding = ((0, -base.shape[0] % BLOCK), (0, -base.shape[1] % BLOCK), (0, 0))
    return tissue_blocks(np.pad(base, padding, mode="edge"), blocks.side)


def by_another_writer(data: bytes) -> bytes:
    """Return a file that another writer could make.

    It stores equal pieces once, its indexes are LONG, its directories stand at the end, its layers in another order,
    and one of them, like some keys, is such as no reader of this version has heard of.
    """
    directories = take_apart(data)
    first = directories[0]
    modes = np.array([1, 0, 1], np.uint8)
    sums, side = prediction_sums(data, modes)
    tile = coded(painted_residual(side, 1), "jp2k")
    enhancement = Directory({}, [tile, b"", tile])
    for tag, number in ((256, 520), (257, 16), (322, side), (323, side)):
        enhancement.set(tag, LONG, number)
    for tag, number in ((259, 33005), (262, 2), (277, 3)):
        enhancement.set(tag, SHORT, number)
    enhancement.set(258, SHORT, 8, 8, 8)
    enhancement.tags[TILE_MODES] = UNDEFINED, modes.tobytes()
    enhancement.tags[PREDICTION_SUMS] = UNDEFINED, stored_sums(sums)
    enhancement.tags[REGIONS] = UNDEFINED, compress(REGIONS_OF_INTEREST)
    (tissue_map,) = first.subdirectories
    values = painted_quality_map(Grid(Size(130, 4), BLOCK), [(1, 0)]).values
    quality_map = Directory(dict(tissue_map.tags), [compress(values.astype("<u2").tobytes())])
    quality_map.set(258, SHORT, 16, 16, 16, 16)
    quality_map.set(277, SHORT, 4)
    stain_map = Directory({**tissue_map.tags, CHECKSUMS: (UNDEFINED, crc_table(tissue_map.pieces))}, tissue_map.pieces)
    first.subdirectories = [enhancement, stain_map, quality_map, tissue_map]

    def change(manifest: dict[str, Any]) -> None:
        manifest["tier"] = "bounded"
        manifest["layers"] = {
            "enhancement": {"subifd": 0, "size": [520, 16], "codec": "jp2k", "tiles": 2, "min_psnr_db": 32, "more": []},
            "quality_map": {"subifd": 2, "size": [3, 1], "unit": "of a later revision"},
            "tissue_map": {"subifd": 3, "size": [3, 1]},
            "stain_map": {"subifd": 1, "what": "a layer of a later revision"},
        }
        manifest["a key of a later revision"] = [None, {}]
        manifest["slide"]["another"] = 1

    change_manifest(directories, change)
    for name in ("enhancement", "quality_map"):
        reseal(directories, name)
    return put_together(directories)
