"""Makes `formats/container/v1/vectors` anew: `python -m tests.format.conformance.make_vectors [folder]`.

Valid files come from the writer of `histocodec`, one from `surgery.put_together`, a second writer; hostile files are
made from valid ones, each with one thing wrong. What the layers hold is painted, not found by the encoder. The same
versions of the libraries that `valid/index.json` names give the same bytes, as long as the writer words and lays out
files as it does. Vectors are made anew when the format changes, and then its CHANGELOG says which, and why.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import zstandard
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from histocodec.decoder import Decoder
from histocodec.format.entries import LEVEL_STEP, OVERVIEW_CODEC
from histocodec.format.layers import EnhancementPieces, coded_fingerprints, coded_quality_map, crc_table
from histocodec.format.manifest import (
    BaseEntry,
    DownsamplingEntry,
    EnhancementLayer,
    ErrorSummary,
    GeneratorEntry,
    Layer,
    Layers,
    LossyStep,
    Manifest,
    PredictionEntry,
    QualityEntry,
    QualityMapLayer,
    SlideEntry,
    Summary,
    level_sizes,
)
from histocodec.format.quality import QualityMap
from histocodec.format.reader import Container
from histocodec.format.writer import AssociatedImage, checksum_table, write_container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.package import METADATA_KEY, Package, PackageCard
from histocodec.generators.predict import predict
from histocodec.geometry import Image, Region, Size, TileGrid
from histocodec.pixels.downsample import downsample
from histocodec.pixels.residual import FINGERPRINT_LENGTH, TOLERANCE, Mode, fingerprint
from histocodec.pixels.score import BlockScore
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tissue import tissue_blocks
from tests.format.conformance.surgery import (
    ASCII,
    CHECKSUMS,
    FINGERPRINTS,
    GENERATOR,
    ICC_PROFILE,
    LONG,
    MANIFEST,
    REGIONS,
    SHORT,
    STRIP_LENGTHS,
    STRIP_OFFSETS,
    TILE_LENGTHS,
    TILE_MODES,
    TILE_OFFSETS,
    UNDEFINED,
    Directory,
    directory_offsets,
    entries,
    put_together,
    subdirectory_offsets,
    take_apart,
)
from tests.places import REPOSITORY

VECTORS = REPOSITORY / "formats/container/v1/vectors"
SOFTWARE = "histocodec conformance vectors"
TILE, BLOCK = 128, 64
FAKE_PROFILE = b"not a profile, but stored as one: " + bytes(range(64))
QUALITY: dict[TileCodec, int] = {"jp2k": 30, "avif": 60, "jpeg": 75}
METHOD: dict[TileCodec, str] = {"jp2k": "ISO_15444_1", "avif": "ISO_23000_22", "jpeg": "ISO_10918_1"}
SMALLEST = "jp2k-x4-520x16"
"""The valid file that most hostile ones are made from, and that the specification walks through."""
OTHER_WRITER = "other-writer"
"""The same slide with all layers: those with a hostile layer are made from it."""


# ---------------------------------------------------------------------------------------------------- valid files


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """The enhancement layer of a valid vector."""

    codec: TileCodec
    modes: tuple[int, ...]
    """Of each block, row by row."""
    regions: bytes | None = None
    min_psnr_db: float | None = None
    roi_psnr_db: float | None = None
    colour: tuple[int, ...] | None = None
    """Of residual tiles and of native ones."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A valid vector."""

    size: tuple[int, int]
    scale: int
    codec: TileCodec
    note: str
    associated: tuple[str, ...] = ()
    profile: bool = False
    tissue_map: bool = True
    generator: str = "bicubic"
    colour: tuple[int, ...] | None = None
    enhancement: Enhancement | None = None
    measured: tuple[tuple[int, int], ...] = ()
    """Blocks of which the quality map has numbers; without any there is no map."""
    downsampling: DownsamplingEntry | None = None
    damaged: tuple[tuple[int, int, int, int], ...] | None = None


LAYER_COLOUR = (15000, 750, -2250, 128 << 16, -500, 16384, 4000, 129 << 16, 1750, -3000, 17500, 8400001)
"""Of residual tiles."""

REGIONS_OF_INTEREST = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[[20, 8], [300.5, 8], [300.5, 40], [20, 8]]]},
                "properties": {"name": "µ: a region\n|AppMag = 99"},
            },
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [70, 12]}, "properties": None},
        ],
    },
    ensure_ascii=False,
).encode()
COLOUR = (17500, -2250, 3000, 128 << 16, 1250, 16000, -7500, 120 << 16, -10000, 2000, 16384, 9000001)
"""Of an AVIF base; some colours leave 0 to 255."""
AS_PAINTED = (16384, 0, 0, 128 << 16, 0, 16384, 0, 128 << 16, 0, 0, 16384, 128 << 16)
"""Of an AVIF base whose samples are those of RGB, times four."""

RECIPES = {
    SMALLEST: Recipe(
        (520, 16),
        4,
        "jp2k",
        "two tiles and a reduced level; a tissue map with glass; thumbnail and label; an ICC profile",
        ("thumbnail", "label"),
        profile=True,
    ),
    "jp2k-x4-560x520": Recipe((560, 520), 4, "jp2k", "base of 2 x 2 tiles, a reduced level, glass at the right"),
    "jp2k-x2-300x200": Recipe(
        (300, 200), 2, "jp2k", "scale 2; two tiles side by side; all associated images", ("thumbnail", "label", "macro")
    ),
    "jpeg-x4-300x200": Recipe((300, 200), 4, "jpeg", "one JPEG tile; a thumbnail alone", ("thumbnail",), profile=True),
    "jpeg-x2-3x1025": Recipe((3, 1025), 2, "jpeg", "a slide three pixels wide, sides that 2 does not divide"),
    "avif-x4-300x200": Recipe(
        (300, 200), 4, "avif", "one AVIF tile in its SubIFD", ("thumbnail", "label"), profile=True, colour=AS_PAINTED
    ),
    "avif-x2-1x1": Recipe((1, 1), 2, "avif", "a slide of one pixel", colour=AS_PAINTED),
    "jp2k-x4-1025x3": Recipe((1025, 3), 4, "jp2k", "a base one pixel high", tissue_map=False),
    "jp2k-x4-embedded": Recipe(
        (540, 60), 4, "jp2k", "an embedded `plain` network, two blocks of tissue, one of glass", generator="plain"
    ),
    "jp2k-x4-rrdb": Recipe((540, 60), 4, "jp2k", "an embedded `rrdb` network", generator="rrdb"),
    "avif-x4-colour": Recipe(
        (300, 200),
        4,
        "avif",
        "a base whose colours are transformed back; some leave 0 to 255",
        colour=COLOUR,
    ),
    "jp2k-x4-bounded": Recipe(
        (1077, 60),
        4,
        "jp2k",
        "an enhancement layer over an embedded network and glass: residual, native and absent tiles of both; a quality "
        "map; regions of interest; both floors; edge tiles reach beyond the slide",
        generator="plain",
        enhancement=Enhancement("jp2k", (1, 2, 0, 1, 0), REGIONS_OF_INTEREST, min_psnr_db=34.0, roi_psnr_db=38.5),
        measured=((0, 0), (2, 0), (3, 0)),
    ),
    "avif-x2-bounded": Recipe(
        (300, 200),
        2,
        "avif",
        "an enhancement layer in AVIF over bicubic; three columns and two rows of blocks; no floor, no quality map",
        colour=AS_PAINTED,
        enhancement=Enhancement("avif", (1, 0, 2, 0, 1, 1)),
    ),
    "avif-x4-colour-bounded": Recipe(
        (70, 30),
        4,
        "avif",
        "an enhancement layer in JPEG of one tile, most of it beyond the slide, over a base of transformed colours",
        tissue_map=False,
        colour=COLOUR,
        enhancement=Enhancement("jpeg", (1,), min_psnr_db=30.0),
    ),
    "jp2k-x4-layer-colour": Recipe(
        (300, 24),
        4,
        "jp2k",
        "an enhancement layer in AVIF whose colours are transformed back: a residual tile and a native one",
        tissue_map=False,
        enhancement=Enhancement("avif", (1, 2), min_psnr_db=30.0, colour=(*LAYER_COLOUR, *COLOUR)),
    ),
    "jp2k-x4-downsampling": Recipe(
        (70, 30),
        4,
        "jp2k",
        "a base that says what made it, which no reader has or needs",
        tissue_map=False,
        downsampling=DownsamplingEntry("vector-downsampler-x4", f"sha256:{'0123456789abcdef' * 4}"),
    ),
    "jp2k-x4-damaged": Recipe(
        (70, 30),
        4,
        "jp2k",
        "a slide of which two tiles could not be read, as its manifest says",
        tissue_map=False,
        damaged=((0, 0, 16, 16), (64, 16, 6, 14)),
    ),
}


def painted(width: int, height: int, seed: int) -> Image:
    """A picture for a base: a smooth ground, some discs and, at the right, flat glass. Integers alone."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    image = np.empty((height, width, 3), np.int64)
    image[:] = (225, 180, 205)
    image += ((x * 3 + y * 2 + seed * 17) % 64 // 8)[..., None]
    state = seed
    for _ in range(3 + width * height // 1500):
        state = (state * 1103515245 + 12345) % 2**31
        column, row, radius = state % (width + 1), state // 977 % (height + 1), 2 + state // 31 % 5
        inside = (x - column) ** 2 + (y - row) ** 2 <= radius**2
        image[inside] = (110 + state % 50, 70 + state // 7 % 50, 140 + state // 11 % 40)
    image[:, (width + 1) // 2 :] = (243, 242, 244)
    return image.astype(np.uint8)


Shapes = dict[str, tuple[tuple[int, ...], int]]
"""Of the weights by layer: the shape, and the spread of the numbers in 1/1024."""


def network_package(kind: str = "plain") -> Package:
    """A small network with random weights that half precision holds exactly; `kind` names one of `_NETWORKS`."""
    architecture, hyperparameters, scale, halo, shapes = _NETWORKS[kind]
    rng = np.random.Generator(np.random.PCG64(4))

    def weights(shape: tuple[int, ...], spread: int) -> NDArray[np.float16]:
        return (rng.integers(-spread, spread + 1, shape) / 1024).astype(np.float16)

    tensors = {}
    for layer, (shape, spread) in shapes.items():
        tensors[f"{layer}.weight"] = weights(shape, spread)
        tensors[f"{layer}.bias"] = weights(shape[:1], 20 if layer == "tail" else 100)
    card = PackageCard(
        name=f"vector-{kind}-x{scale}",
        architecture=architecture,
        hyperparameters=hyperparameters,
        scale=scale,
        halo=halo,
        licence="Apache-2.0",
        training={"data": "none: random weights, to test decoders"},
    )
    return Package(save_tensors(tensors, metadata={METADATA_KEY: card.to_json()}))


def _plain_shapes(channels: int, scale: int) -> Shapes:
    body = ((channels, channels, 3, 3), 250)
    tail = ((3 * scale * scale, channels, 3, 3), 60)
    return {"head": ((channels, 3, 3, 3), 300), "body.0": body, "body.1": body, "tail": tail}


def _rrdb_shapes(features: int, growth: int) -> Shapes:
    square = ((features, features, 3, 3), 200)
    shapes: Shapes = {"conv_first": ((features, 3, 3, 3), 300)}
    for m, k in np.ndindex(3, 5):
        out = growth if k < 4 else features
        shapes[f"body.0.rdb{m + 1}.conv{k + 1}"] = ((out, features + k * growth, 3, 3), 200)
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), square)
    return {**shapes, "conv_last": ((3, features, 3, 3), 200)}


_NETWORKS: dict[str, tuple[str, dict[str, int], int, int, Shapes]] = {
    "plain": ("plain", {"scale": 4, "channels": 4, "pairs": 1}, 4, 4, _plain_shapes(4, 4)),
    "rrdb": ("rrdb", {"blocks": 1, "features": 4, "growth": 3, "halo": 3}, 4, 3, _rrdb_shapes(4, 3)),
}
"""Architecture, hyperparameters, scale, halo and weights, by the name that recipes use."""


def build(recipe: Recipe, seed: int) -> bytes:
    """The file of a recipe."""
    full, scale = Size(*recipe.size), recipe.scale
    base = painted(*full.divided(scale), seed)
    levels = level_sizes(full.divided(scale), TILE)
    pictures = [base]
    for _ in levels[1:]:
        pictures.append(downsample(pictures[-1], LEVEL_STEP))
    reduced = OVERVIEW_CODEC[recipe.codec]
    tiles = [_tiles(base, recipe.codec), *(_tiles(picture, reduced, chroma="444") for picture in pictures[1:])]
    associated = [_associated(name, seed) for name in recipe.associated]
    blocks = TileGrid(full.divided(scale), BLOCK)
    package = network_package(recipe.generator) if recipe.generator in _NETWORKS else None
    tissue_map = _map(base, blocks) if recipe.tissue_map else None
    profile = FAKE_PROFILE if recipe.profile else None
    checksums = checksum_table(tiles, associated, tissue_map, profile)
    generator = GeneratorEntry(f"bicubic-x{scale}", f"builtin:bicubic-x{scale}", scale, 2, embedded=False)
    if package is not None:
        generator = GeneratorEntry(package.card.name, package.digest, scale, package.card.halo, embedded=True)
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
        without = build(dataclasses.replace(recipe, enhancement=None, measured=()), seed)
        enhancement = painted_enhancement(recipe.enhancement, full, without, seed)
    how = f"downsampled by {recipe.downsampling.name}," if recipe.downsampling else "averaged"
    manifest = Manifest(
        software=SOFTWARE,
        tier="reconstructed" if recipe.enhancement is None else "bounded",
        slide=SlideEntry(
            size=recipe.size,
            mpp=0.25 if scale == 4 else 0.5,
            objective_power=40.0 if scale == 4 else None,
            vendor="painted",
            background=(255, 255, 255),
            source_bytes=3 * full.area,
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
            0 if recipe.codec == "avif" else None,
            recipe.colour,
            recipe.downsampling,
        ),
        prediction=PredictionEntry(generator, BLOCK),
        layers=_layers(recipe, blocks, quality_map, enhancement),
        associated=recipe.associated,
        checksums_sha256=hashlib.sha256(checksums).hexdigest(),
        quality=measured if recipe.profile or recipe.measured else None,
    )
    out = io.BytesIO()
    write_container(
        out,
        manifest,
        level_tiles=tiles,
        checksums=checksums,
        tissue_map=tissue_map,
        icc_profile=profile,
        package=package.data if package is not None else None,
        associated=associated,
        quality_map=quality_map,
        enhancement=enhancement,
    )
    return out.getvalue()


def _layers(
    recipe: Recipe, blocks: TileGrid, quality_map: QualityMap | None, pieces: EnhancementPieces | None
) -> Layers:
    """What the manifest says of them. The writer numbers them as they come."""
    numbers = iter(range(int(recipe.codec == "avif"), 4))
    size = (blocks.shape.width, blocks.shape.height)
    tissue = Layer(next(numbers), size) if recipe.tissue_map else None
    quality, enhancement = None, None
    if quality_map is not None:
        quality = QualityMapLayer(next(numbers), size, _sha256(crc_table([coded_quality_map(quality_map)])))
    if recipe.enhancement is not None and pieces is not None:
        stated = recipe.enhancement
        enhancement = EnhancementLayer(
            next(numbers),
            recipe.size,
            _sha256(pieces.checksums),
            stated.codec,
            int(np.count_nonzero(pieces.modes)),
            stated.min_psnr_db,
            stated.roi_psnr_db,
            Summary(39.25, 36.5, 35.75),
            stated.colour,
        )
    return Layers(tissue, quality, enhancement)


def painted_quality_map(blocks: TileGrid, measured: Sequence[tuple[int, int]]) -> QualityMap:
    """Of each measured block other numbers; they describe nothing."""
    scores = [BlockScore(31.25 + n, 0.8 + n / 100, 1.5 + n / 10, 44.5 - n) for n in range(len(measured))]
    return QualityMap.of(blocks, zip(measured, scores, strict=True))


def painted_enhancement(recipe: Enhancement, full: Size, without: bytes, seed: int) -> EnhancementPieces:
    """A layer whose tiles are painted. without: the file without it, whose predictions it is for."""
    modes = np.array(recipe.modes, np.uint8)
    prints, side = fingerprints(without, modes)

    def tile(index: int) -> bytes:
        picture = painted_native if modes[index] == Mode.NATIVE else painted_residual
        return coded(picture(side, seed + index), recipe.codec, ten_bits=recipe.colour is not None)

    regions = None if recipe.regions is None else compress(recipe.regions)
    return EnhancementPieces.of(TileGrid(full, side), modes, tile, coded_fingerprints(prints), regions)


def painted_native(side: int, seed: int) -> Image:
    """What a native tile shows, in whole numbers: smooth, with an edge in it."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64)
    image = np.stack([200 - x // 8, 120 + y // 4, 180 - (x + y) // 16], axis=-1)
    image[y > x + seed % 16] -= 40
    painting: Image = image.astype(np.uint8)
    return painting


def painted_residual(side: int, seed: int) -> Image:
    """What a residual tile holds, in whole numbers: small differences, and two bars that leave 0 to 255."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64)
    image = np.stack([128 + (x * k + y * 3 + seed * 7) % 128 // 16 - 4 for k in (1, 2, 3)], axis=-1)
    image[:, 4:12] = 20
    image[:, 20:28] = 240
    painting: Image = image.astype(np.uint8)
    return painting


def fingerprints(data: bytes, modes: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """Of a file's predicted blocks where there is a residual, else zeros; and full pixels a side of a block."""
    found = np.zeros((modes.size, FINGERPRINT_LENGTH), np.int32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prediction.hc.tif"
        path.write_bytes(data)
        with Decoder(path) as decoder:
            blocks = TileGrid(decoder.levels[1], BLOCK)
            for index in np.flatnonzero(modes == Mode.RESIDUAL).tolist():
                column, row = blocks.address(index)
                glass = not decoder.container.tissue_map[row, column]
                generator = BicubicGenerator(decoder.generator.scale) if glass else decoder.generator
                block = predict(generator, lambda region: decoder.read(region, 1), blocks, column, row)
                found[index] = fingerprint(block)
            return found, decoder.block_size


def coded(image: Image, codec: TileCodec, *, ten_bits: bool = False, chroma: str = "420") -> bytes:
    """A codestream. Not the encoder's own way: how that is tuned must not change a vector.

    ten_bits: an `avif` tile of four times these samples, for a colour transform. chroma: how `jpeg` subsamples it.
    """
    image = np.ascontiguousarray(image)
    match codec:
        case "jp2k":
            return bytes(imagecodecs.jpeg2k_encode(image, level=QUALITY[codec], codecformat="j2k", numthreads=1))
        case "avif":
            planes, bits = (image.astype(np.uint16) * 4, 10) if ten_bits else (image, 8)
            file = imagecodecs.avif_encode(
                planes,
                level=QUALITY[codec],
                speed=6,
                bitspersample=bits,
                pixelformat="444",
                matrix=0,
                numthreads=1,
            )
            return bytes(file[file.index(b"mdat") + 4 :])
        case "jpeg":
            return bytes(imagecodecs.jpeg_encode(image, level=QUALITY[codec], subsampling=chroma, optimize=True))


def _tiles(picture: Image, codec: TileCodec, chroma: str = "420") -> list[bytes]:
    grid = TileGrid(Size(picture.shape[1], picture.shape[0]), TILE)
    codes = []
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        tile = picture[part.y : part.bottom, part.x : part.right]
        padding = ((0, TILE - part.height), (0, TILE - part.width), (0, 0))
        codes.append(coded(np.pad(tile, padding, mode="edge"), codec, ten_bits=codec == "avif", chroma=chroma))
    return codes


def _associated(name: str, seed: int) -> AssociatedImage:
    size = {"thumbnail": Size(16, 8), "label": Size(8, 8), "macro": Size(24, 8)}[name]
    return AssociatedImage(name, size, coded(painted(*size, seed + len(name)), "jpeg"))


def _map(base: Image, blocks: TileGrid) -> NDArray[np.uint8]:
    padding = ((0, -base.shape[0] % BLOCK), (0, -base.shape[1] % BLOCK), (0, 0))
    return tissue_blocks(np.pad(base, padding, mode="edge"), blocks.tile)


def by_another_writer(data: bytes) -> bytes:
    """A file with everything that a later revision may add, by another writer: equal pieces once, LONG indexes,
    directories at the end, layers in another order and one of them, like some keys, that no reader of this version has
    heard of. Its fingerprints are a little off, as they may be."""
    directories = take_apart(data)
    first = directories[0]
    modes = np.array([1, 0, 1], np.uint8)
    prints, side = fingerprints(data, modes)
    prints[modes == Mode.RESIDUAL] += int((TOLERANCE * 3 * side * side) ** 0.5) - 4
    tile = coded(painted_residual(side, 1), "jp2k")
    enhancement = Directory({}, [tile, b"", tile])
    for tag, number in ((256, 520), (257, 16), (322, side), (323, side)):
        enhancement.set(tag, LONG, number)
    for tag, number in ((259, 33005), (262, 2), (277, 3)):
        enhancement.set(tag, SHORT, number)
    enhancement.set(258, SHORT, 8, 8, 8)
    enhancement.tags[TILE_MODES] = UNDEFINED, modes.tobytes()
    enhancement.tags[FINGERPRINTS] = UNDEFINED, compress(prints.astype("<i4").tobytes())
    enhancement.tags[REGIONS] = UNDEFINED, compress(REGIONS_OF_INTEREST)
    (tissue_map,) = first.subdirectories
    values = painted_quality_map(TileGrid(Size(130, 4), BLOCK), [(1, 0)]).values
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


def valid_vectors() -> dict[str, tuple[bytes, str]]:
    """Name -> file, what it is."""
    files = {name: (build(recipe, seed), recipe.note) for seed, (name, recipe) in enumerate(RECIPES.items(), 1)}
    files[OTHER_WRITER] = (
        by_another_writer(files[SMALLEST][0]),
        "by another writer: layers in another order, one of them unknown, unknown manifest keys, equal pieces stored "
        "once, LONG indexes, fingerprints as far off as they may be",
    )
    return files


def expectation(path: Path, note: str) -> dict[str, Any]:
    """What a decoder must get from a valid file; level 0 goes to a PNG beside it."""
    with Decoder(path) as decoder:
        levels = []
        for level, size in enumerate(decoder.levels):
            pixels = decoder.read(Region(0, 0, *size), level)
            if level == 0:
                path.with_name(path.name.removesuffix(".hc.tif") + ".png").write_bytes(_png(pixels))
            digest = hashlib.sha256(pixels.tobytes()).hexdigest()
            levels.append({"size": list(size), "downsample": decoder.downsamples[level], "sha256": digest})
        container = decoder.container
        return {
            "what": note,
            "mpp": decoder.mpp,
            "codec": decoder.manifest.base.codec,
            "generator": decoder.manifest.prediction.generator.name,
            "level_0_rounding": 0 if decoder.manifest.prediction.generator.digest.startswith("builtin:") else 1,
            "levels": levels,
            "tissue_map": container.tissue_map.tolist(),
            "associated": {name: _size(container.associated_image(name)) for name in decoder.manifest.associated},
            "icc_profile_sha256": None if container.icc_profile is None else _sha256(container.icc_profile),
            "tier": decoder.manifest.tier,
            "quality_map": None if container.quality_map is None else container.quality_map.values.tolist(),
            "enhancement": _enhancement_expectation(path, container),
        }


def _enhancement_expectation(path: Path, container: Container) -> dict[str, Any] | None:
    layer, stated = container.enhancement, container.manifest.layers.enhancement
    if layer is None or stated is None:
        return None
    regions = container.regions()
    with Decoder(path, enhancement=False) as decoder:
        predicted = decoder.read(Region(0, 0, *decoder.levels[0]))
    return {
        "codec": stated.codec,
        "modes": layer.modes.tolist(),
        "min_psnr_db": stated.min_psnr_db,
        "roi_psnr_db": stated.roi_psnr_db,
        "regions": 0 if regions is None else len(regions.features),
        "level_0_without_sha256": _sha256(predicted.tobytes()),
    }


def _png(pixels: Image) -> bytes:
    return bytes(imagecodecs.png_encode(pixels, level=9))


def _size(image: Image) -> list[int]:
    return [image.shape[1], image.shape[0]]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -------------------------------------------------------------------------------------------------- hostile files


def compress(data: bytes, *, checksum: bool = True, size: bool = True) -> bytes:
    """One zstd frame."""
    parameters = zstandard.ZstdCompressor(level=19, write_checksum=checksum, write_content_size=size)
    return parameters.compress(data)


def change_manifest(directories: list[Directory], change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the manifest and, since it is meant to be believed, the checksum of the checksums."""
    first = directories[0]
    manifest = json.loads(zstandard.decompress(first.tags[MANIFEST][1]))
    if CHECKSUMS in first.tags:
        manifest["checksums_sha256"] = _sha256(first.tags[CHECKSUMS][1])
    change(manifest)
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    first.tags[MANIFEST] = UNDEFINED, compress(text.encode())


def recompute_checksums(directories: list[Directory]) -> None:
    """The table that belongs to pieces that were replaced."""
    stored = json.loads(zstandard.decompress(directories[0].tags[MANIFEST][1]))
    subifd = stored["base"].get("subifd")
    apart = [] if subifd is None else [directories[0].subdirectories[subifd]]
    pieces = [piece for directory in (*apart, *directories) if 322 in directory.tags for piece in directory.pieces]
    pieces += [piece for directory in directories if 322 not in directory.tags for piece in directory.pieces]
    unsealed = [d for d in directories[0].subdirectories if CHECKSUMS not in d.tags and d not in apart]
    pieces += [*(piece for directory in unsealed for piece in directory.pieces)] or [b""]
    pieces.append(directories[0].tags.get(ICC_PROFILE, (UNDEFINED, b""))[1])
    directories[0].tags[CHECKSUMS] = UNDEFINED, crc_table(pieces)


def reseal(directories: list[Directory], name: str) -> None:
    """Make the table of a layer, and the manifest's digest of it, those of what the layer holds now."""
    manifest = json.loads(zstandard.decompress(directories[0].tags[MANIFEST][1]))
    layer = directories[0].subdirectories[manifest["layers"][name]["subifd"]]
    pieces = list(layer.pieces)
    if name == "enhancement":
        pieces += [layer.tags.get(tag, (UNDEFINED, b""))[1] for tag in (TILE_MODES, FINGERPRINTS, REGIONS)]
    table = crc_table(pieces)
    layer.tags[CHECKSUMS] = UNDEFINED, table
    change_manifest(directories, lambda m: m["layers"][name].update(checksums_sha256=_sha256(table)))


def invalid_vectors(valid: dict[str, bytes]) -> dict[str, tuple[bytes, tuple[str, ...], str]]:
    """Name -> file, the codes that it must give, how it was made. The name starts with the first code."""
    sound, bare, embedded = valid[SMALLEST], valid["jp2k-x4-1025x3"], valid["jp2k-x4-embedded"]
    files: dict[str, tuple[bytes, tuple[str, ...], str]] = {}

    def add(code: str, name: str, data: bytes, how: str, *also: str) -> None:
        files[f"{code}-{name}"] = data, (code, *also), how

    def rebuilt(change: Callable[[list[Directory]], None], *, sums: bool = False, source: bytes = sound) -> bytes:
        directories = take_apart(source)
        change(directories)
        if sums:
            recompute_checksums(directories)
            change_manifest(directories, lambda manifest: None)
        return put_together(directories)

    def patched(tag: int, value: bytes, *, at: int = 0, directory: int = 0, source: bytes = sound) -> bytes:
        """Bytes of the value of a tag of a directory of the main chain, replaced in place."""
        _, place, _ = entries(source, directory_offsets(source)[directory])[tag]
        return _replaced(source, place + at, value)

    def flipped(tag: int, *, at: int = 0, source: bytes = sound) -> bytes:
        _, place, size = entries(source, directory_offsets(source)[0])[tag]
        return _replaced(source, place + at % size, bytes([source[place + at % size] ^ 1]))

    def manifest(
        name: str,
        how: str,
        change: Callable[[dict[str, Any]], None],
        code: str = "manifest-invalid",
        source: bytes = bare,
    ) -> None:
        add(code, name, rebuilt(lambda directories: change_manifest(directories, change), source=source), how)

    def manifest_text(text: Callable[[str], str]) -> bytes:
        def change(directories: list[Directory]) -> None:
            old = zstandard.decompress(directories[0].tags[MANIFEST][1]).decode()
            directories[0].tags[MANIFEST] = UNDEFINED, compress(text(old).encode("utf-8", "surrogatepass"))

        return rebuilt(change, source=bare)

    def set_tag(directory: int, tag: int, kind: int, *values: int) -> bytes:
        return rebuilt(lambda directories: directories[directory].set(tag, kind, *values))

    def drop_tag(tag: int) -> bytes:
        return rebuilt(lambda directories: directories[0].tags.__delitem__(tag))

    def piece(directory: int, index: int, data: bytes) -> Callable[[list[Directory]], None]:
        return lambda directories: directories[directory].pieces.__setitem__(index, data)

    second, last = directory_offsets(sound)[1], directory_offsets(sound)[-1]
    end_of_last = last + 8 + 20 * struct.unpack_from("<Q", sound, last)[0]

    # not-bigtiff
    add("not-bigtiff", "empty", b"", "no bytes")
    add("not-bigtiff", "png", _png(painted(8, 8, 1)), "a PNG")
    classic = io.BytesIO()
    tifffile.imwrite(classic, painted(16, 16, 1), bigtiff=False, metadata=None, software=False)
    add("not-bigtiff", "classic-tiff", classic.getvalue(), "a classic TIFF")
    add("not-bigtiff", "big-endian", b"MM\0\x2b\0\x08\0\0" + sound[8:], "the header says big-endian")
    add("not-bigtiff", "cut-in-directory", sound[: second + 50], "cut in the second directory")
    add(
        "not-bigtiff",
        "loop",
        _replaced(sound, end_of_last, struct.pack("<Q", 16)),
        "the last directory leads to the first",
    )
    add("not-bigtiff", "far-directory", _replaced(sound, 8, struct.pack("<Q", 2**63)), "first directory at 2^63")
    add("not-bigtiff", "many-entries", _replaced(sound, 16, struct.pack("<Q", 2**60)), "2^60 entries in a directory")
    add("not-bigtiff", "unsorted", _replaced(sound, 16 + 8 + 20, struct.pack("<H", 200)), "tags not in ascending order")

    # no-manifest
    add("no-manifest", "tag-dropped", drop_tag(MANIFEST), "no tag 65301")
    plain = io.BytesIO()
    tifffile.imwrite(plain, painted(16, 16, 1), bigtiff=True, byteorder="<", metadata=None, software=False)
    add("no-manifest", "other-tiff", plain.getvalue(), "a BigTIFF of somebody else's")

    # manifest-damaged
    add("manifest-damaged", "bit-flip", flipped(MANIFEST, at=200), "a bit flipped in the frame")
    bomb = bytearray(compress(bytes(1 << 24)))
    add(
        "manifest-damaged",
        "bomb",
        rebuilt(lambda d: d[0].tags.__setitem__(MANIFEST, (UNDEFINED, compress(bytes((1 << 24) + 1))))),
        "a frame of 16 MiB and one byte of zeros",
    )
    at = bomb.index(struct.pack("<I", 1 << 24))
    bomb[at : at + 4] = struct.pack("<I", 1 << 10)
    liar = rebuilt(lambda d: d[0].tags.__setitem__(MANIFEST, (UNDEFINED, bytes(bomb))))
    add("manifest-damaged", "lying-bomb", liar, "a frame of 16 MiB that states 1 KiB")
    json_bytes = zstandard.decompress(take_apart(sound)[0].tags[MANIFEST][1])
    for name, frame, how in (
        ("no-checksum", compress(json_bytes, checksum=False), "a frame without a checksum"),
        ("no-size", compress(json_bytes, size=False), "a frame that does not state its content's size"),
        ("trailing-bytes", compress(json_bytes) + b"\0", "a byte after the frame"),
        ("not-zstd", zlib.compress(json_bytes), "zlib in place of zstd"),
    ):
        add("manifest-damaged", name, rebuilt(lambda d, f=frame: d[0].tags.__setitem__(MANIFEST, (UNDEFINED, f))), how)  # type: ignore[misc]
    add("manifest-damaged", "ascii-numbers", set_tag(0, MANIFEST, LONG, 1, 2, 3), "tag 65301 holds numbers")

    # manifest-invalid
    add("manifest-invalid", "not-json", manifest_text(lambda text: text[:-1]), "the last brace is missing")
    add("manifest-invalid", "nan", manifest_text(lambda t: t.replace('"mpp":0.25', '"mpp":NaN')), "slide.mpp is NaN")
    add(
        "manifest-invalid",
        "infinity",
        manifest_text(lambda t: t.replace('"mpp":0.25', '"mpp":1e999')),
        "slide.mpp is 1e999",
    )
    add("manifest-invalid", "twice", manifest_text(lambda t: t[:-1] + ',"version":1}'), "a key twice in an object")
    add("manifest-invalid", "deep", manifest_text(lambda t: "[" * 100_000), "100 000 nested arrays")
    add(
        "manifest-invalid",
        "surrogate",
        manifest_text(lambda t: t.replace("painted.seed", "\\ud800")),
        "half a surrogate pair",
    )
    add(
        "manifest-invalid",
        "not-utf-8",
        manifest_text(lambda t: t.replace("painted.seed", "\ud800")),
        "bytes that are not UTF-8",
    )
    manifest("array", "requires is an object", lambda m: m.update(requires={}))
    manifest("requires-object", "requires lists an object", lambda m: m.update(requires=[{}]))
    manifest("other-format", "another format", lambda m: m.update(format="zip"))
    manifest("no-version", "no version", lambda m: m.pop("version"))
    manifest("version-zero", "version 0", lambda m: m.update(version=0))
    manifest("missing-field", "slide.mpp is missing", lambda m: m["slide"].pop("mpp"))
    manifest("text-for-number", 'slide.mpp is "0.25"', lambda m: m["slide"].update(mpp="0.25"))
    manifest("true-for-number", "base.scale is true", lambda m: m["base"].update(scale=True))
    manifest("float-for-whole", "slide.size has 520.0", lambda m: m["slide"].update(size=[1025.0, 3]))
    manifest("huge-slide", "a slide of 10^9 x 10^9 px", lambda m: m["slide"].update(size=[10**9, 10**9]))
    manifest("huge-number", "a slide of 10^400 px", lambda m: m["slide"].update(size=[10**400, 3]))
    manifest("empty-slide", "a slide of 0 x 3 px", lambda m: m["slide"].update(size=[0, 3]))
    manifest("mpp-zero", "slide.mpp is 0", lambda m: m["slide"].update(mpp=0))
    manifest("no-history", "slide.lossy_history is empty", lambda m: m["slide"].update(lossy_history=[]))
    manifest("scale-three", "base.scale is 3", lambda m: m["base"].update(scale=3))
    manifest("unknown-codec", "base.codec is jpegxl", lambda m: m["base"].update(codec="jpegxl"))
    manifest("odd-tile", "base.tile is 100", lambda m: m["base"].update(tile=100))
    manifest("huge-tile", "base.tile is 2^53", lambda m: m["base"].update(tile=2**53))
    manifest("odd-block", "prediction.block is 1", lambda m: m["prediction"].update(block=1))
    manifest("halo", "generator.halo is -1", lambda m: m["prediction"]["generator"].update(halo=-1))
    manifest("digest", "generator.digest is md5:0", lambda m: m["prediction"]["generator"].update(digest="md5:0"))
    manifest(
        "no-builtin", "a built-in that is none", lambda m: m["prediction"]["generator"].update(digest="builtin:ai")
    )
    manifest("name", "a generator's name with |", lambda m: m["prediction"]["generator"].update(name="x|AppMag = 99"))
    manifest("subifd", "tissue_map.subifd is -1", lambda m: m["layers"]["tissue_map"].update(subifd=-1), source=sound)
    manifest("checksums", "checksums_sha256 is text", lambda m: m.update(checksums_sha256="?"))
    manifest("first-associated", "a label without a thumbnail before it", lambda m: m.update(associated=["label"]))
    manifest("same-associated", "two of one name", lambda m: m.update(associated=["thumbnail"] * 2))
    many = [{"method": "", "ratio": None, "derivation": ""}] * 1001
    manifest("many-items", "1001 lossy steps", lambda m: m["slide"].update(lossy_history=many))
    manifest("tier", "an unknown tier", lambda m: m.update(tier="perfect"))
    manifest("levels", "a level too many", lambda m: m["base"]["levels"].append({"size": [5, 1], "downsample": 64}))
    manifest("level-size", "a level of another size", lambda m: m["base"]["levels"][1].update(size=[64, 1]))
    manifest("other-scale", "generator.scale is 2", lambda m: m["prediction"]["generator"].update(scale=2))
    manifest("map-size", "a map of another size", lambda m: m["layers"]["tissue_map"].update(size=[3, 2]), source=sound)
    manifest(
        "renamed-builtin", "bicubic by another name", lambda m: m["prediction"]["generator"].update(name="super-x4")
    )
    manifest("embedded-builtin", "bicubic embedded", lambda m: m["prediction"]["generator"].update(embedded=True))

    # later-version
    manifest("two", "version 2", lambda m: m.update(version=2), "later-version")
    manifest("two-other-fields", "version 2 with other fields", _as_version_two, "later-version")
    avif, numbers = valid["avif-x4-colour"], list(RECIPES["avif-x4-colour"].colour or ())
    eleven, far = numbers[:11], [*numbers[:11], 1 << 27]
    manifest("colour-of-eleven", "a colour of 11 numbers", lambda m: m["base"].update(colour=eleven), source=avif)
    manifest("colour-far", "a colour's number out of range", lambda m: m["base"].update(colour=far), source=avif)
    manifest(
        "colour-missing", "an AVIF base without a colour transform", lambda m: m["base"].pop("colour"), source=avif
    )
    manifest("base-in-chain", "an AVIF base in no SubIFD", lambda m: m["base"].pop("subifd"), source=avif)
    manifest("base-apart", "a JPEG 2000 base in a SubIFD", lambda m: m["base"].update(subifd=1))
    manifest("base-subifd", "base.subifd is 16", lambda m: m["base"].update(subifd=16), source=avif)
    manifest("base-in-layer", "base and tissue map in one SubIFD", lambda m: m["base"].update(subifd=1), source=avif)
    manifest(
        "colour-of-jp2k",
        "a colour transform where other readers look",
        lambda m: m["base"].update(colour=numbers),
    )
    layered, layer_numbers = valid["jp2k-x4-layer-colour"], [*LAYER_COLOUR, *COLOUR]

    def layer_colour(numbers: list[int]) -> Callable[[dict[str, Any]], None]:
        return lambda m: m["layers"]["enhancement"].update(colour=numbers)

    few, too_far = layer_colour(layer_numbers[:12]), layer_colour([*layer_numbers[:23], 1 << 27])
    manifest("layer-colour-of-twelve", "a layer's colour of 12 numbers", few, source=layered)
    manifest("layer-colour-far", "a layer's colour with a number out of range", too_far, source=layered)
    of_jpeg = valid["avif-x4-colour-bounded"]
    manifest("layer-colour-of-jpeg", "a layer's colour for JPEG", layer_colour(layer_numbers), source=of_jpeg)
    manifest("requires", "requires a feature", lambda m: m.update(requires=["wavelets"]), "later-version")

    # directory-mismatch
    add("directory-mismatch", "width", set_tag(0, 256, LONG, 131), "ImageWidth 131 for 130")
    add("directory-mismatch", "compression", set_tag(0, 259, SHORT, 7), "Compression says JPEG")
    add("directory-mismatch", "unknown-compression", set_tag(0, 259, SHORT, 65310), "Compression says AVIF")
    add("directory-mismatch", "photometric", set_tag(0, 262, SHORT, 6), "PhotometricInterpretation says YCbCr")
    add("directory-mismatch", "bits", set_tag(0, 258, SHORT, 8, 8, 16), "BitsPerSample 8, 8, 16")
    add("directory-mismatch", "tile-size", set_tag(2, 322, LONG, 64), "TileWidth 64")
    add("directory-mismatch", "resolution", set_tag(0, 296, SHORT, 2), "pixels an inch for pixels a centimetre")
    add("directory-mismatch", "type", set_tag(0, 256, SHORT, 130, 1), "ImageWidth holds two numbers")
    described = take_apart(sound)[0].tags[270][1].replace(b"AppMag = 10", b"AppMag = 40")
    lie = rebuilt(lambda d: d[0].tags.__setitem__(270, (ASCII, described)))
    add("directory-mismatch", "description", lie, "ImageDescription says 40x")
    add("directory-mismatch", "directory-missing", rebuilt(lambda d: d.__delitem__(-1)), "no directory for the label")
    add("directory-mismatch", "directory-extra", rebuilt(lambda d: d.append(d[1])), "the thumbnail twice")
    add("directory-mismatch", "order", rebuilt(lambda d: d.insert(1, d.pop(2))), "level 1 before the thumbnail")
    add("directory-mismatch", "tile-count", rebuilt(lambda d: d[0].pieces.append(b"x")), "three tiles for two")
    add("directory-mismatch", "huge-label", set_tag(3, 256, LONG, 2**31), "a label 2^31 px wide")

    # tile-missing, tile-outside-file
    add("tile-missing", "zero-length", patched(TILE_LENGTHS, bytes(4), at=4), "the second tile has no bytes")
    add("tile-outside-file", "cut", sound[: directory_offsets(sound)[-1] + 400], "cut in the label")
    add("tile-outside-file", "offset", patched(TILE_OFFSETS, struct.pack("<Q", 2**40)), "first tile at 2^40")
    add(
        "tile-outside-file",
        "offset-wraps",
        patched(TILE_OFFSETS, struct.pack("<Q", 2**64 - 8)),
        "first tile at 2^64 - 8",
    )
    add("tile-outside-file", "in-header", patched(TILE_OFFSETS, struct.pack("<Q", 4)), "first tile at 4, in the header")
    add(
        "tile-outside-file",
        "length",
        patched(TILE_LENGTHS, struct.pack("<I", 2**32 - 1)),
        "first tile of 2^32 - 1 bytes",
    )
    add(
        "tile-outside-file", "label", patched(STRIP_OFFSETS, struct.pack("<Q", 2**50), directory=3), "the label at 2^50"
    )
    add("tile-outside-file", "label-length", patched(STRIP_LENGTHS, bytes(8), directory=3), "the label has no bytes")

    # checksums-damaged
    add("checksums-damaged", "bit-flip", flipped(CHECKSUMS, at=5), "a bit flipped in the table")
    add("checksums-damaged", "missing", drop_tag(CHECKSUMS), "no tag 65303")

    def shorter(directories: list[Directory]) -> None:
        directories[0].tags[CHECKSUMS] = UNDEFINED, directories[0].tags[CHECKSUMS][1][:-4]
        change_manifest(directories, lambda m: None)

    add("checksums-damaged", "short", rebuilt(shorter), "a checksum too few, and the manifest names that table")

    # tile-checksum, tile-damaged
    place = take_apart(sound)[0].pieces[0]
    add(
        "tile-checksum",
        "bit-flip",
        _replaced(sound, sound.index(place) + 150, bytes([place[150] ^ 1])),
        "a bit flipped in a tile",
    )
    add("tile-checksum", "swapped", rebuilt(lambda d: d[0].pieces.reverse()), "the two tiles of level 0 swapped")
    grey = np.full((TILE, TILE, 3), 200, np.uint8)
    add("tile-damaged", "zeros", rebuilt(piece(0, 0, bytes(64)), sums=True), "a tile of zeros, with its checksum")
    add(
        "tile-damaged",
        "cut",
        rebuilt(piece(0, 0, place[:60]), sums=True),
        "a tile cut in its header, with its checksum",
    )
    small = coded(grey[:64, :64], "jp2k")
    add("tile-damaged", "small", rebuilt(piece(0, 0, small), sums=True), "a tile of 64 x 64 px, with its checksum")
    big = _replaced(coded(grey, "jp2k"), 8, struct.pack(">2I", 10**9, 10**9))
    add("tile-damaged", "huge", rebuilt(piece(0, 0, big), sums=True), "a tile of 10^9 x 10^9 px, with its checksum")
    jpeg = coded(grey, "jpeg")
    add(
        "tile-damaged",
        "other-codec",
        rebuilt(piece(0, 0, jpeg), sums=True),
        "a JPEG tile in a jp2k file, with its checksum",
    )
    one = bytes(imagecodecs.jpeg2k_encode(grey[..., 0], level=30, codecformat="j2k", numthreads=1))
    add("tile-damaged", "grey", rebuilt(piece(0, 0, one), sums=True), "a tile of one component, with its checksum")
    countless = _replaced(coded(grey, "jp2k"), 40, struct.pack(">H", 16384))
    add(
        "tile-damaged",
        "components",
        rebuilt(piece(0, 0, countless), sums=True),
        "a tile of 16384 components, with its checksum",
    )
    marker = "a tile whose coding style is destroyed, with its checksum"
    broken = _replaced(place, place.index(b"\xff\x52"), b"\xff\x30")
    add("tile-damaged", "no-coding-style", rebuilt(piece(0, 0, broken), sums=True), marker)

    # a base in a SubIFD
    def apart(change: Callable[[Directory], None], *, sums: bool = True) -> bytes:
        def changed(directories: list[Directory]) -> None:
            change(directories[0].subdirectories[0])

        return rebuilt(changed, sums=sums, source=avif)

    eight, ten = coded(grey, "avif"), coded(grey, "avif", ten_bits=True)
    add("tile-damaged", "avif-zeros", apart(lambda d: d.pieces.__setitem__(0, bytes(64))), "an AVIF tile of zeros")
    add("tile-damaged", "avif-8-bits", apart(lambda d: d.pieces.__setitem__(0, eight)), "an AVIF tile of 8 bits")
    boxed = bytes(imagecodecs.avif_encode(grey, level=60, pixelformat="444", numthreads=1))
    add("tile-damaged", "avif-boxes", apart(lambda d: d.pieces.__setitem__(0, boxed)), "an AVIF tile with its boxes")
    small = coded(grey[:64, :64], "avif", ten_bits=True)
    add("tile-damaged", "avif-small", apart(lambda d: d.pieces.__setitem__(0, small)), "an AVIF tile of 64 x 64 px")
    cut = ten[: len(ten) // 2]
    add("tile-damaged", "avif-cut", apart(lambda d: d.pieces.__setitem__(0, cut)), "half of an AVIF tile")
    wide = apart(lambda d: d.set(256, LONG, 76), sums=False)
    add("directory-mismatch", "base-width", wide, "the base's directory says 76 px for 75")
    visible = apart(lambda d: d.set(259, SHORT, 33005), sums=False)
    add("directory-mismatch", "base-compression", visible, "the base's directory says JPEG 2000")
    beyond = rebuilt(lambda d: change_manifest(d, lambda m: m["base"].update(subifd=5)), source=avif)
    add("directory-mismatch", "base-beyond", beyond, "the manifest looks for the base in SubIFD 5 of two")

    # tissue-map-damaged
    def tissue_map(data: bytes) -> bytes:
        return rebuilt(lambda d: d[0].subdirectories[0].pieces.__setitem__(0, data), sums=True)

    add("tissue-map-damaged", "value", tissue_map(compress(b"\1\2\0")), "a block that is 2")
    add("tissue-map-damaged", "short", tissue_map(compress(b"\1\0")), "a block too few")
    add("tissue-map-damaged", "bomb", tissue_map(compress(bytes(1 << 26))), "64 MiB for three blocks")
    add(
        "tissue-map-damaged",
        "no-checksum",
        tissue_map(compress(b"\1\1\0", checksum=False)),
        "a frame without a checksum",
    )
    swapped = rebuilt(lambda d: d[0].subdirectories[0].pieces.__setitem__(0, compress(b"\0\1\1")))
    add("tissue-map-damaged", "other", swapped, "another map in place of the one that was written")
    no_map = rebuilt(lambda d: d[0].subdirectories.clear())
    add("tissue-map-damaged", "no-subifd", no_map, "no SubIFD")
    beyond = rebuilt(lambda d: change_manifest(d, lambda m: m["layers"]["tissue_map"].update(subifd=5)))
    add("tissue-map-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 5 of one")
    sub = rebuilt(lambda d: d[0].subdirectories[0].set(256, LONG, 4))
    add("tissue-map-damaged", "width", sub, "a map four blocks wide for three")
    unnamed = rebuilt(lambda d: change_manifest(d, lambda m: m["layers"].pop("tissue_map")))
    add("tissue-map-damaged", "unnamed", unnamed, "a checksum for a map that the manifest does not name")

    # associated-damaged, icc-profile-damaged
    label = take_apart(sound)[3].pieces[0]
    add(
        "associated-damaged",
        "bit-flip",
        _replaced(sound, sound.index(label) + len(label) - 9, bytes([label[-9] ^ 1])),
        "a bit flipped in the label",
    )
    huge = _replaced(label, label.index(b"\xff\xc0") + 5, struct.pack(">2H", 65000, 65000))
    add("associated-damaged", "huge", rebuilt(piece(3, 0, huge), sums=True), "a label of 65000 x 65000 px by its JPEG")
    add(
        "associated-damaged", "zeros", rebuilt(piece(3, 0, bytes(64)), sums=True), "a label of zeros, with its checksum"
    )
    add("icc-profile-damaged", "bit-flip", flipped(ICC_PROFILE, at=20), "a bit flipped in the profile")
    add("icc-profile-damaged", "missing", drop_tag(ICC_PROFILE), "no tag 34675, but a checksum for it")
    extra = rebuilt(lambda d: d[0].tags.__setitem__(ICC_PROFILE, (UNDEFINED, b"profile")), source=embedded)
    add("icc-profile-damaged", "added", extra, "a profile that was not there when the file was written")

    # generator-damaged, generator-unknown
    def generator(package: bytes, *, named: bool) -> bytes:
        def change(directories: list[Directory]) -> None:
            directories[0].tags[GENERATOR] = UNDEFINED, compress(package)
            if named:
                digest = f"sha256:{_sha256(package)}"
                change_manifest(directories, lambda m: m["prediction"]["generator"].update(digest=digest))

        return rebuilt(change, source=embedded)

    package = network_package().data
    other = _replaced(package, len(package) - 1, bytes([package[-1] ^ 1]))
    add("generator-damaged", "swapped", generator(other, named=False), "another package than the manifest names")
    add("generator-damaged", "bit-flip", flipped(GENERATOR, at=3000, source=embedded), "a bit flipped in the frame")
    dropped = rebuilt(lambda d: d[0].tags.__delitem__(GENERATOR), source=embedded)
    add("generator-damaged", "missing", dropped, "no tag 65302")
    add(
        "generator-damaged",
        "no-package",
        generator(b"garbage", named=True),
        "a package that is none, named by its digest",
    )
    for name, old, new, how in (
        ("huge-network", '\\"channels\\": 4', '\\"channels\\": 500', "a network of 500 channels with the weights of 4"),
        ("deep-network", '\\"pairs\\": 1', '\\"pairs\\": 999999999', "a network of 10^9 pairs"),
        ("other-architecture", '\\"plain\\"', '\\"pickle\\"', "an architecture that does not exist"),
        ("other-halo", '\\"halo\\": 4', '\\"halo\\": 2', "a card whose halo is not the network's"),
    ):
        changed = _card_replaced(package, old, new)
        add("generator-damaged", name, generator(changed, named=True), how)
    infinite = bytearray(package)
    infinite[-2:] = struct.pack("<e", float("inf"))
    add("generator-damaged", "infinite", generator(bytes(infinite), named=True), "a weight that is infinite")
    nobody = {"digest": "sha256:" + "0123456789abcdef" * 4, "name": "nobody", "embedded": False, "halo": 10}
    manifest(
        "nobody", "a digest that nobody has", lambda m: m["prediction"]["generator"].update(nobody), "generator-unknown"
    )
    return files | hostile_layers(valid) | hostile_downsampling(valid["jp2k-x4-downsampling"]) | hostile_damage(valid)


def hostile_layers(valid: dict[str, bytes]) -> dict[str, tuple[bytes, tuple[str, ...], str]]:
    """The same of the quality map and the enhancement layer."""
    sound, bare = valid[OTHER_WRITER], valid[SMALLEST]
    files: dict[str, tuple[bytes, tuple[str, ...], str]] = {}

    def add(code: str, name: str, data: bytes, how: str, *also: str) -> None:
        files[f"{code}-{name}"] = data, (code, *also), how

    def manifest(name: str, how: str, change: Callable[[dict[str, Any]], None], source: bytes = sound) -> None:
        directories = take_apart(source)
        change_manifest(directories, change)
        add("manifest-invalid", name, put_together(directories), how)

    def rebuilt(name: str, change: Callable[[Directory], None], *, sealed: bool = True, source: bytes = sound) -> bytes:
        """With a layer's directory changed; sealed: and its checksums those of what it then holds."""
        directories = take_apart(source)
        stated = json.loads(zstandard.decompress(directories[0].tags[MANIFEST][1]))["layers"][name]
        change(directories[0].subdirectories[stated["subifd"]])
        if sealed:
            reseal(directories, name)
        return put_together(directories)

    def believed(change: Callable[[dict[str, Any]], None]) -> bytes:
        """With a manifest that is sound for itself."""
        directories = take_apart(sound)
        change_manifest(directories, change)
        return put_together(directories)

    def patched(source: bytes, subifd: int, tag: int, value: bytes) -> bytes:
        """The first bytes of the value of a tag of a SubIFD, replaced in place."""
        _, place, _ = entries(source, subdirectory_offsets(source)[subifd])[tag]
        return _replaced(source, place, value)

    # manifest-invalid
    def layer(name: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
        return lambda m: m["layers"][name].update(changes)

    def quality(**changes: Any) -> Callable[[dict[str, Any]], None]:
        return lambda m: m["quality"].update(changes)

    manifest("bounded-without-layer", "tier bounded without a layer", lambda m: m.update(tier="bounded"), source=bare)
    manifest("layer-without-bounded", "a layer, but tier reconstructed", lambda m: m.update(tier="reconstructed"))
    manifest("same-subifd", "two layers in one SubIFD", layer("quality_map", subifd=0))
    manifest("layer-size", "an enhancement layer of another size", layer("enhancement", size=[520, 15]))
    manifest("quality-map-size", "a quality map of another size", layer("quality_map", size=[3, 2]))
    manifest("layer-codec", "an enhancement layer in jpegxl", layer("enhancement", codec="jpegxl"))
    manifest("layer-tiles", "enhancement.tiles is -1", layer("enhancement", tiles=-1))
    manifest("layer-subifd", "enhancement.subifd is 16", layer("enhancement", subifd=16))
    manifest("layer-checksums", "a layer's checksums_sha256 is text", layer("quality_map", checksums_sha256="?"))
    manifest("layer-missing-field", "enhancement.tiles is missing", lambda m: m["layers"]["enhancement"].pop("tiles"))
    manifest("floor", "min_psnr_db is 101", layer("enhancement", min_psnr_db=101))
    manifest("roi-floor", "roi_psnr_db is text", layer("enhancement", roi_psnr_db="40"))
    summary = {"mean": 40, "percentile_5": 38, "worst": -1}
    manifest("layer-psnr", "a worst PSNR of -1 dB", layer("enhancement", psnr_db=summary))
    manifest("worst-block", "a worst block outside the grid", quality(worst_block=[3, 0]))
    manifest("worst-block-negative", "a worst block at -1", quality(worst_block=[0, -1]))
    manifest("half-width", "a half width of -0.1 dB", quality(psnr_half_width_db=-0.1))
    errors = {"mean": 1, "percentile_95": 2, "worst": 1001}
    manifest("colour-error", "a colour error of 1001", quality(colour_error=errors))
    manifest("consistency", "a consistency without its worst", quality(consistency_db={"mean": 4, "percentile_5": 4}))

    # quality-map-damaged
    def quality_map(name: str, how: str, change: Callable[[Directory], None], *, sealed: bool = True) -> None:
        add("quality-map-damaged", name, rebuilt("quality_map", change, sealed=sealed), how)

    def strip(data: bytes) -> Callable[[Directory], None]:
        return lambda d: d.pieces.__setitem__(0, data)

    values = bytes(24)
    quality_map("other", "another map than was written", strip(compress(values)), sealed=False)
    quality_map("short", "a block too few", strip(compress(values[:16])))
    quality_map("odd", "half of a number too few", strip(compress(values[:23])))
    quality_map("bomb", "64 MiB for three blocks", strip(compress(bytes(1 << 26))))
    quality_map("no-checksum", "a frame without a checksum", strip(compress(values, checksum=False)))
    quality_map("empty", "a strip without bytes", strip(b""))
    quality_map("bits", "BitsPerSample 8", lambda d: d.set(258, SHORT, 8, 8, 8, 8))
    quality_map("samples", "three samples a pixel", lambda d: d.set(277, SHORT, 3))
    quality_map("compression", "Compression says none", lambda d: d.set(259, SHORT, 1))
    quality_map("width", "a map four blocks wide for three", lambda d: d.set(256, LONG, 4))
    quality_map("no-table", "no tag 65303", lambda d: d.tags.__delitem__(CHECKSUMS), sealed=False)
    longer = crc_table([b"", b""])

    def of_two(directories: list[Directory]) -> None:
        directories[0].subdirectories[2].tags[CHECKSUMS] = UNDEFINED, longer
        change_manifest(directories, layer("quality_map", checksums_sha256=_sha256(longer)))

    directories = take_apart(sound)
    of_two(directories)
    add("quality-map-damaged", "long-table", put_together(directories), "two checksums, and the manifest names them")
    other = believed(layer("quality_map", checksums_sha256="0" * 64))
    add("quality-map-damaged", "other-table", other, "not the checksums that the manifest names")
    beyond = believed(layer("quality_map", subifd=9))
    add("quality-map-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 9 of four")
    far = patched(sound, 2, STRIP_OFFSETS, struct.pack("<I", 2**31))
    add("quality-map-damaged", "far", far, "the map at 2^31")

    # enhancement-damaged
    def enhancement(name: str, how: str, change: Callable[[Directory], None], *, sealed: bool = True) -> None:
        add("enhancement-damaged", name, rebuilt("enhancement", change, sealed=sealed), how)

    def value(tag: int, data: bytes) -> Callable[[Directory], None]:
        return lambda d: d.tags.__setitem__(tag, (UNDEFINED, data))

    enhancement("width", "ImageWidth 519 for 520", lambda d: d.set(256, LONG, 519))
    enhancement("bits", "BitsPerSample 8, 8, 16", lambda d: d.set(258, SHORT, 8, 8, 16))
    enhancement("samples", "four samples a pixel", lambda d: d.set(277, SHORT, 4))
    enhancement("compression", "Compression says JPEG", lambda d: d.set(259, SHORT, 7))
    enhancement("tile-size", "TileWidth 128", lambda d: d.set(322, LONG, 128))
    enhancement("tile-count", "four tiles for three", lambda d: d.pieces.append(b""))
    enhancement("mode-three", "a mode of 3", value(TILE_MODES, b"\1\0\3"))
    enhancement("modes-short", "two modes for three tiles", value(TILE_MODES, b"\1\0"))
    enhancement("no-modes", "no tag 65304", lambda d: d.tags.__delitem__(TILE_MODES))
    enhancement("modes-changed", "another mode than was written", value(TILE_MODES, b"\1\0\2"), sealed=False)
    enhancement("mode-without-tile", "a mode for a tile that is absent", value(TILE_MODES, b"\0\1\1"))
    enhancement("tile-without-mode", "a tile whose mode says absent", value(TILE_MODES, b"\1\0\0"))
    miscounted = believed(layer("enhancement", tiles=3))
    add("enhancement-damaged", "tiles-miscounted", miscounted, "the manifest says three tiles of two")
    prints = zstandard.decompress(take_apart(sound)[0].subdirectories[0].tags[FINGERPRINTS][1])
    changed = bytes([prints[0] ^ 1]) + prints[1:]
    enhancement("fingerprints-changed", "changed fingerprints", value(FINGERPRINTS, compress(changed)), sealed=False)
    enhancement("no-fingerprints", "no tag 65306", lambda d: d.tags.__delitem__(FINGERPRINTS))
    enhancement("fingerprints-short", "fingerprints of two tiles", value(FINGERPRINTS, compress(prints[:32])))
    enhancement("fingerprints-odd", "a byte too few", value(FINGERPRINTS, compress(prints[:-1])))
    cut = compress(prints)[:-8]
    enhancement("fingerprints-cut", "a frame without its end", value(FINGERPRINTS, cut))
    enhancement("fingerprints-bomb", "1 MiB for three tiles", value(FINGERPRINTS, compress(bytes(1 << 20))))
    enhancement("fingerprints-long", "a frame longer than it may be", value(FINGERPRINTS, compress(bytes(1 << 26))))
    bomb = compress(bytes(1 << 24))
    liar = bomb.replace(struct.pack("<I", 1 << 24), struct.pack("<I", 48), 1)
    enhancement("fingerprints-lying", "a frame of 16 MiB that states 48 bytes", value(FINGERPRINTS, liar))
    unsummed = compress(prints, checksum=False)
    enhancement("fingerprints-no-checksum", "a frame without a checksum", value(FINGERPRINTS, unsummed))
    stray = compress(prints[:16] + b"\1" + prints[17:])
    enhancement("fingerprints-of-absent", "a fingerprint of a tile that is absent", value(FINGERPRINTS, stray))
    enhancement("regions-changed", "other regions than were written", value(REGIONS, compress(b"{}")), sealed=False)
    dropped = rebuilt("enhancement", lambda d: d.tags.__delitem__(REGIONS), sealed=False)
    add("enhancement-damaged", "no-regions", dropped, "no tag 65305, but a checksum for it")
    enhancement("regions-bomb", "regions of 64 MiB and one byte", value(REGIONS, compress(bytes((1 << 26) + 1))))
    enhancement("regions-not-zstd", "regions that are no frame", value(REGIONS, REGIONS_OF_INTEREST))
    enhancement("no-table", "no tag 65303", lambda d: d.tags.__delitem__(CHECKSUMS), sealed=False)

    def table(change: Callable[[bytes], bytes]) -> bytes:
        """Another table, which the manifest names."""
        directories = take_apart(sound)
        kind, sums = directories[0].subdirectories[0].tags[CHECKSUMS]
        directories[0].subdirectories[0].tags[CHECKSUMS] = kind, change(sums)
        change_manifest(directories, layer("enhancement", checksums_sha256=_sha256(change(sums))))
        return put_together(directories)

    add("enhancement-damaged", "short-table", table(lambda sums: sums[:-4]), "a checksum too few")
    stray = table(lambda sums: sums[:4] + b"\1" + sums[5:])
    add("enhancement-damaged", "checksum-of-absent", stray, "a checksum of a tile that is absent")
    other = believed(layer("enhancement", checksums_sha256="0" * 64))
    add("enhancement-damaged", "other-table", other, "not the checksums that the manifest names")
    beyond = believed(layer("enhancement", subifd=4))
    add("enhancement-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 4 of four")

    def swap(m: dict[str, Any]) -> None:
        m["layers"]["enhancement"]["subifd"], m["layers"]["quality_map"]["subifd"] = 2, 0

    exchanged = believed(swap)
    add("enhancement-damaged", "exchanged", exchanged, "the two layers exchanged", "quality-map-damaged")
    avif = valid["avif-x2-bounded"]
    wraps = patched(avif, 2, TILE_OFFSETS, struct.pack("<Q", 2**64 - 8))
    add("enhancement-damaged", "offset-wraps", wraps, "first tile at 2^64 - 8")
    header = patched(avif, 2, TILE_OFFSETS, struct.pack("<Q", 4))
    add("enhancement-damaged", "in-header", header, "first tile at 4, in the header")
    huge = patched(sound, 0, TILE_LENGTHS, struct.pack("<I", 2**32 - 1))
    add("enhancement-damaged", "length", huge, "first tile of 2^32 - 1 bytes")
    missing = patched(sound, 0, TILE_LENGTHS, bytes(4))
    add("enhancement-damaged", "tile-missing", missing, "first tile of no bytes")

    # tile-checksum, tile-damaged
    for name, source, index in (("residual", sound, 0), ("native", avif, 2)):
        stated = json.loads(zstandard.decompress(take_apart(source)[0].tags[MANIFEST][1]))["layers"]["enhancement"]
        place = take_apart(source)[0].subdirectories[stated["subifd"]].pieces[index]
        at = source.index(place) + len(place) - 9
        flip = _replaced(source, at, bytes([source[at] ^ 1]))
        add("tile-checksum", f"{name}-bit-flip", flip, f"a bit flipped in a {name} tile")
    grey = np.full((256, 256, 3), 128, np.uint8)
    for name, data, how in (
        ("residual-zeros", bytes(64), "a residual tile of zeros, with its checksum"),
        ("residual-small", coded(grey[:128, :128], "jp2k"), "a residual tile of 128 x 128 px, with its checksum"),
        ("residual-other-codec", coded(grey, "avif"), "a residual tile in AVIF for jp2k, with its checksum"),
    ):
        add("tile-damaged", name, rebuilt("enhancement", lambda d, data=data: d.pieces.__setitem__(2, data)), how)  # type: ignore[misc]
    native = rebuilt("enhancement", lambda d: d.pieces.__setitem__(2, bytes(64)), source=avif)
    add("tile-damaged", "native-zeros", native, "a native tile of zeros, with its checksum")

    # prediction-mismatch
    def mispredicted(source: bytes, by: int) -> bytes:
        def change(directory: Directory) -> None:
            values = np.frombuffer(zstandard.decompress(directory.tags[FINGERPRINTS][1]), "<i4").copy()
            values[:FINGERPRINT_LENGTH] += by
            directory.tags[FINGERPRINTS] = UNDEFINED, compress(values.tobytes())

        return rebuilt("enhancement", change, source=source)

    network = valid["jp2k-x4-bounded"]
    add("prediction-mismatch", "network", mispredicted(network, 200), "a fingerprint of another network's block")
    add("prediction-mismatch", "bicubic", mispredicted(sound, 8), "a fingerprint a little further off than it may be")
    add("prediction-mismatch", "extreme", mispredicted(avif, -(2**31)), "a fingerprint 2^31 off")
    return files


def hostile_downsampling(sound: bytes) -> dict[str, tuple[bytes, tuple[str, ...], str]]:
    """As `invalid_vectors`, with a wrong `base.downsampling`."""

    def stating(value: Any) -> bytes:
        directories = take_apart(sound)
        change_manifest(directories, lambda m: m["base"].update(downsampling=value))
        return put_together(directories)

    name, digest = "vector-downsampler-x4", f"sha256:{'0123456789abcdef' * 4}"
    made: dict[str, tuple[Any, str]] = {
        "text": (name, "base.downsampling is a string"),
        "no-digest": ({"name": name}, "a downsampling without a digest"),
        "digest": ({"name": name, "digest": "builtin:box"}, "a downsampling whose digest is no SHA-256"),
        "name": ({"name": "x|AppMag = 99", "digest": digest}, "a downsampling's name with |"),
    }
    return {
        f"manifest-invalid-downsampling-{kind}": (stating(value), ("manifest-invalid",), how)
        for kind, (value, how) in made.items()
    }


def hostile_damage(valid: dict[str, bytes]) -> dict[str, tuple[bytes, tuple[str, ...], str]]:
    """As `invalid_vectors`, with a wrong `slide.damaged`."""

    def stating(value: Any) -> bytes:
        directories = take_apart(valid["jp2k-x4-damaged"])
        change_manifest(directories, lambda m: m["slide"].update(damaged=value))
        return put_together(directories)

    made: dict[str, tuple[Any, str]] = {
        "text": ("all of it", "slide.damaged is a string"),
        "numbers": ([[0, 0, 16]], "a damaged place of three numbers"),
        "empty": ([[0, 0, 0, 16]], "a damaged place of no width"),
        "outside": ([[64, 16, 7, 14]], "a damaged place that reaches beyond the slide"),
    }
    return {
        f"manifest-invalid-damaged-{kind}": (stating(value), ("manifest-invalid",), how)
        for kind, (value, how) in made.items()
    }


def _as_version_two(manifest: dict[str, Any]) -> None:
    manifest.clear()
    manifest.update(format="histocodec", version=2, layout="another one")


def _replaced(data: bytes, at: int, by: bytes) -> bytes:
    return data[:at] + by + data[at + len(by) :]


def _card_replaced(package: bytes, old: str, new: str) -> bytes:
    (length,) = struct.unpack_from("<Q", package)
    header = package[8 : 8 + length].rstrip()
    assert old.encode() in header
    header = header.replace(old.encode(), new.encode())
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + package[8 + length :]


# ------------------------------------------------------------------------------------------------------------ all


def libraries() -> dict[str, str]:
    """What the bytes of the vectors depend on."""
    versions = imagecodecs.version(dict)
    codecs = {name: str(versions[name]) for name in ("openjpeg", "libavif", "libjpeg_turbo")}
    return {"tifffile": tifffile.__version__, "zstandard": zstandard.__version__, **codecs}


def make(folder: Path) -> None:
    """Write all vectors into `folder`, which loses what it held."""
    for name in ("valid", "invalid"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).iterdir():
            old.unlink()
    valid = valid_vectors()
    index: dict[str, Any] = {}
    for name, (data, note) in valid.items():
        path = folder / "valid" / f"{name}.hc.tif"
        path.write_bytes(data)
        _write_json(path.with_name(f"{name}.json"), expectation(path, note))
        index[name] = note
    _write_json(folder / "valid" / "index.json", {"made_with": libraries(), "files": index})
    index = {}
    for name, (data, codes, how) in invalid_vectors({name: data for name, (data, _) in valid.items()}).items():
        (folder / "invalid" / f"{name}.hc.tif").write_bytes(data)
        index[f"{name}.hc.tif"] = {"codes": codes, "made": how}
    _write_json(folder / "invalid" / "index.json", {"made_from": f"{SMALLEST}.hc.tif", "files": index})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    make(Path(arguments[0]) if arguments else VECTORS)


if __name__ == "__main__":
    main(sys.argv[1:])
