"""Hostile vectors whose quality map or enhancement layer is wrong."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard

from histocodec.format.pieces import crc_table
from tests.format.conformance.make_vectors.editing import (
    Collection,
    ManifestChange,
    change_manifest,
    compress,
    replaced,
    reseal,
    sha256,
)
from tests.format.conformance.make_vectors.painting import (
    coded,
)
from tests.format.conformance.make_vectors.recipes import (
    OTHER_WRITER,
    REGIONS_OF_INTEREST,
    SMALLEST,
)
from tests.format.conformance.surgery import (
    CHECKSUMS,
    LONG,
    MANIFEST,
    PREDICTION_SUMS,
    REGIONS,
    SHORT,
    STRIP_OFFSETS,
    TILE_LENGTHS,
    TILE_MODES,
    TILE_OFFSETS,
    UNDEFINED,
    Directory,
    entries,
    put_together,
    subdirectory_offsets,
    take_apart,
)


class HostileLayers(Collection):
    """Hostile files with all layers, each made from the other writer's file with one thing wrong."""

    def __init__(self, valid: dict[str, bytes]) -> None:
        super().__init__()
        self.valid = valid
        self.sound, self.bare, self.av1 = valid[OTHER_WRITER], valid[SMALLEST], valid["av1-x2-bounded"]

    def manifest(self, name: str, how: str, change: ManifestChange, source: bytes | None = None) -> None:
        """Add a file with a changed manifest."""
        directories = take_apart(self.sound if source is None else source)
        change_manifest(directories, change)
        self.add("manifest-invalid", name, put_together(directories), how)

    def rebuilt(
        self, name: str, change: Callable[[Directory], None], *, sealed: bool = True, source: bytes | None = None
    ) -> bytes:
        """Return a file with a layer's directory changed; sealed: and checksums of what it then holds."""
        directories = take_apart(self.sound if source is None else source)
        stated = json.loads(zstandard.decompress(directories[0].tags[MANIFEST][1]))["layers"][name]
        change(directories[0].subdirectories[stated["subifd"]])
        if sealed:
            reseal(directories, name)
        return put_together(directories)

    def with_tile(self, data: bytes, source: bytes | None = None) -> bytes:
        """Return a file with the third tile of the enhancement layer replaced, and its checksum with it."""
        return self.rebuilt("enhancement", lambda directory: directory.pieces.__setitem__(2, data), source=source)

    def believed(self, change: ManifestChange) -> bytes:
        """Return a file with a changed manifest that is sound for itself."""
        directories = take_apart(self.sound)
        change_manifest(directories, change)
        return put_together(directories)

    def patched(self, source: bytes, subifd: int, tag: int, value: bytes) -> bytes:
        """Return a file with the first bytes of the value of a tag of a SubIFD replaced in place."""
        _, place, _ = entries(source, subdirectory_offsets(source)[subifd])[tag]
        return replaced(source, place, value)


def layer(name: str, **changes: Any) -> ManifestChange:
    """Return the change of fields of a layer."""
    return lambda m: m["layers"][name].update(changes)


def quality(**changes: Any) -> ManifestChange:
    """Return the change of fields of `quality`."""
    return lambda m: m["quality"].update(changes)


def manifest_of_layers(made: HostileLayers) -> None:
    """Add files whose manifest says wrong things of layers or quality."""
    made.manifest(
        "bounded-without-layer", "tier bounded without a layer", lambda m: m.update(tier="bounded"), source=made.bare
    )
    made.manifest("layer-without-bounded", "a layer, but tier reconstructed", lambda m: m.update(tier="reconstructed"))
    made.manifest("same-subifd", "two layers in one SubIFD", layer("quality_map", subifd=0))
    made.manifest("layer-size", "an enhancement layer of another size", layer("enhancement", size=[520, 15]))
    made.manifest("quality-map-size", "a quality map of another size", layer("quality_map", size=[3, 2]))
    made.manifest("layer-codec", "an enhancement layer in jpegxl", layer("enhancement", codec="jpegxl"))
    made.manifest("layer-tiles", "enhancement.tiles is -1", layer("enhancement", tiles=-1))
    made.manifest("layer-subifd", "enhancement.subifd is 16", layer("enhancement", subifd=16))
    made.manifest("layer-checksums", "a layer's checksums_sha256 is text", layer("quality_map", checksums_sha256="?"))
    made.manifest(
        "layer-missing-field", "enhancement.tiles is missing", lambda m: m["layers"]["enhancement"].pop("tiles")
    )
    made.manifest("floor", "min_psnr_db is 101", layer("enhancement", min_psnr_db=101))
    made.manifest("roi-floor", "roi_psnr_db is text", layer("enhancement", roi_psnr_db="40"))
    summary = {"mean": 40, "percentile_5": 38, "worst": -1}
    made.manifest("layer-psnr", "a worst PSNR of -1 dB", layer("enhancement", psnr_db=summary))
    made.manifest("worst-block", "a worst block outside the grid", quality(worst_block=[3, 0]))
    made.manifest("worst-block-negative", "a worst block at -1", quality(worst_block=[0, -1]))
    made.manifest("half-width", "a half width of -0.1 dB", quality(psnr_half_width_db=-0.1))
    errors = {"mean": 1, "percentile_95": 2, "worst": 1001}
    made.manifest("colour-error", "a colour error of 1001", quality(colour_error=errors))
    made.manifest(
        "consistency", "a consistency without its worst", quality(consistency_db={"mean": 4, "percentile_5": 4})
    )


def quality_map_damaged(made: HostileLayers) -> None:
    """Add files whose quality map is damaged."""

    def quality_map(name: str, how: str, change: Callable[[Directory], None], *, sealed: bool = True) -> None:
        made.add("quality-map-damaged", name, made.rebuilt("quality_map", change, sealed=sealed), how)

    def strip(data: bytes) -> Callable[[Directory], None]:
        return lambda d: d.pieces.__setitem__(0, data)

    values = bytes(24)
    quality_map("other", "another map than was written", strip(compress(values)), sealed=False)
    quality_map("short", "a block too few", strip(compress(values[:16])))
    quality_map("odd", "half of a number too few", strip(compress(values[:23])))
    quality_map("half-a-block", "a block with a PSNR and no other number", strip(compress(b"\1" + values[1:])))
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
        change_manifest(directories, layer("quality_map", checksums_sha256=sha256(longer)))

    directories = take_apart(made.sound)
    of_two(directories)
    made.add(
        "quality-map-damaged", "long-table", put_together(directories), "two checksums, and the manifest names them"
    )
    other = made.believed(layer("quality_map", checksums_sha256="0" * 64))
    made.add("quality-map-damaged", "other-table", other, "not the checksums that the manifest names")
    beyond = made.believed(layer("quality_map", subifd=9))
    made.add("quality-map-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 9 of four")
    far = made.patched(made.sound, 2, STRIP_OFFSETS, struct.pack("<I", 2**31))
    made.add("quality-map-damaged", "far", far, "the map at 2^31")


def enhancement_damaged(made: HostileLayers) -> None:
    """Add files whose enhancement layer is damaged."""

    def enhancement(name: str, how: str, change: Callable[[Directory], None], *, sealed: bool = True) -> None:
        made.add("enhancement-damaged", name, made.rebuilt("enhancement", change, sealed=sealed), how)

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
    miscounted = made.believed(layer("enhancement", tiles=3))
    made.add("enhancement-damaged", "tiles-miscounted", miscounted, "the manifest says three tiles of two")
    sums = take_apart(made.sound)[0].subdirectories[0].tags[PREDICTION_SUMS][1]
    changed = bytes([sums[0] ^ 1]) + sums[1:]
    enhancement("predictions-changed", "another prediction's checksum", value(PREDICTION_SUMS, changed), sealed=False)
    enhancement("no-predictions", "no tag 65306", lambda d: d.tags.__delitem__(PREDICTION_SUMS))
    enhancement("predictions-short", "checksums of two predictions", value(PREDICTION_SUMS, sums[:8]))
    enhancement("predictions-odd", "a byte too few", value(PREDICTION_SUMS, sums[:-1]))
    enhancement("predictions-long", "checksums of four predictions", value(PREDICTION_SUMS, sums + bytes(4)))
    stray = sums[:4] + b"\1" + sums[5:]
    enhancement(
        "prediction-of-absent", "a prediction's checksum of a tile that is absent", value(PREDICTION_SUMS, stray)
    )
    enhancement("regions-changed", "other regions than were written", value(REGIONS, compress(b"{}")), sealed=False)
    dropped = made.rebuilt("enhancement", lambda d: d.tags.__delitem__(REGIONS), sealed=False)
    made.add("enhancement-damaged", "no-regions", dropped, "no tag 65305, but a checksum for it")
    enhancement("regions-bomb", "regions of 64 MiB and one byte", value(REGIONS, compress(bytes((1 << 26) + 1))))
    enhancement("regions-not-zstd", "regions that are no frame", value(REGIONS, REGIONS_OF_INTEREST))
    enhancement("no-table", "no tag 65303", lambda d: d.tags.__delitem__(CHECKSUMS), sealed=False)

    def table(change: Callable[[bytes], bytes]) -> bytes:
        """Another table, which the manifest names."""
        directories = take_apart(made.sound)
        kind, sums = directories[0].subdirectories[0].tags[CHECKSUMS]
        directories[0].subdirectories[0].tags[CHECKSUMS] = kind, change(sums)
        change_manifest(directories, layer("enhancement", checksums_sha256=sha256(change(sums))))
        return put_together(directories)

    made.add("enhancement-damaged", "short-table", table(lambda sums: sums[:-4]), "a checksum too few")
    stray = table(lambda sums: sums[:4] + b"\1" + sums[5:])
    made.add("enhancement-damaged", "checksum-of-absent", stray, "a checksum of a tile that is absent")
    other = made.believed(layer("enhancement", checksums_sha256="0" * 64))
    made.add("enhancement-damaged", "other-table", other, "not the checksums that the manifest names")
    beyond = made.believed(layer("enhancement", subifd=4))
    made.add("enhancement-damaged", "subifd-beyond", beyond, "the manifest names SubIFD 4 of four")

    def swap(m: dict[str, Any]) -> None:
        m["layers"]["enhancement"]["subifd"], m["layers"]["quality_map"]["subifd"] = 2, 0

    exchanged = made.believed(swap)
    made.add("enhancement-damaged", "exchanged", exchanged, "the two layers exchanged", "quality-map-damaged")
    wraps = made.patched(made.av1, 2, TILE_OFFSETS, struct.pack("<Q", 2**64 - 8))
    made.add("enhancement-damaged", "offset-wraps", wraps, "first tile at 2^64 - 8")
    header = made.patched(made.av1, 2, TILE_OFFSETS, struct.pack("<Q", 4))
    made.add("enhancement-damaged", "in-header", header, "first tile at 4, in the header")
    huge = made.patched(made.sound, 0, TILE_LENGTHS, struct.pack("<I", 2**32 - 1))
    made.add("enhancement-damaged", "length", huge, "first tile of 2^32 - 1 bytes")
    missing = made.patched(made.sound, 0, TILE_LENGTHS, bytes(4))
    made.add("enhancement-damaged", "tile-missing", missing, "first tile of no bytes")


def enhancement_tile_damaged(made: HostileLayers) -> None:
    """Add files with a damaged tile of the enhancement layer."""
    for name, source, index in (("residual", made.sound, 0), ("native", made.av1, 2)):
        stated = json.loads(zstandard.decompress(take_apart(source)[0].tags[MANIFEST][1]))["layers"]["enhancement"]
        place = take_apart(source)[0].subdirectories[stated["subifd"]].pieces[index]
        at = source.index(place) + len(place) - 9
        flip = replaced(source, at, bytes([source[at] ^ 1]))
        made.add("tile-checksum", f"{name}-bit-flip", flip, f"a bit flipped in a {name} tile")
    grey = np.full((256, 256, 3), 128, np.uint8)
    for name, data, how in (
        ("residual-zeros", bytes(64), "a residual tile of zeros, with its checksum"),
        ("residual-small", coded(grey[:128, :128], "jp2k"), "a residual tile of 128 x 128 px, with its checksum"),
        ("residual-other-codec", coded(grey, "av1"), "a residual tile in AV1 for jp2k, with its checksum"),
    ):
        made.add("tile-damaged", name, made.with_tile(data), how)
    made.add(
        "tile-damaged",
        "native-zeros",
        made.with_tile(bytes(64), made.av1),
        "a native tile of zeros, with its checksum",
    )


def prediction_mismatch(made: HostileLayers) -> None:
    """Add files that were made for another prediction."""

    def mispredicted(source: bytes, index: int) -> bytes:
        """Return a file that states another checksum of the prediction under a tile."""

        def change(directory: Directory) -> None:
            values = np.frombuffer(directory.tags[PREDICTION_SUMS][1], "<u4").copy()
            values[index] ^= 1
            directory.tags[PREDICTION_SUMS] = UNDEFINED, values.tobytes()

        return made.rebuilt("enhancement", change, source=source)

    network, floats = made.valid["jp2k-x4-bounded"], made.valid["jp2k-x4-rrdb"]
    made.add("prediction-mismatch", "network", mispredicted(network, 0), "a checksum of another network's block")
    made.add("prediction-mismatch", "bicubic", mispredicted(made.sound, 2), "a checksum of another block of glass")
    made.add("prediction-mismatch", "edge", mispredicted(made.av1, 5), "a checksum of another block at the edge")

    def over_floats(directory: Directory) -> None:
        directory.tags[TILE_MODES] = UNDEFINED, bytes([1, 0, 1])

    over = made.rebuilt("enhancement", over_floats, source=floats)
    made.add("prediction-mismatch", "rrdb", over, "a residual tile over what an `rrdb` network predicts")
