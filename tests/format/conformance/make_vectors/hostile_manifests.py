"""Hostile vectors whose manifest is missing, damaged, or says what cannot be."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import tifffile
import zstandard

from tests.format.conformance.make_vectors.editing import (
    ManifestChange,
    compress,
)
from tests.format.conformance.make_vectors.hostile_files import HostileFiles
from tests.format.conformance.make_vectors.painting import (
    painted,
)
from tests.format.conformance.make_vectors.recipes import (
    COLOUR,
    LAYER_COLOUR,
    RECIPES,
)
from tests.format.conformance.surgery import (
    LONG,
    MANIFEST,
    UNDEFINED,
    Directory,
    take_apart,
)


def no_manifest(made: HostileFiles) -> None:
    """Add files without a manifest."""
    made.add("no-manifest", "tag-dropped", made.drop_tag(MANIFEST), "no tag 65301")
    plain = io.BytesIO()
    tifffile.imwrite(plain, painted(16, 16, 1), bigtiff=True, byteorder="<", metadata=None, software=False)
    made.add("no-manifest", "other-tiff", plain.getvalue(), "a BigTIFF of somebody else's")


def manifest_damaged(made: HostileFiles) -> None:
    """Add files whose manifest's frame is damaged."""
    made.add("manifest-damaged", "bit-flip", made.flipped(MANIFEST, at=200), "a bit flipped in the frame")
    bomb = bytearray(compress(bytes(1 << 24)))
    made.add(
        "manifest-damaged",
        "bomb",
        made.with_tag(MANIFEST, compress(bytes((1 << 24) + 1))),
        "a frame of 16 MiB and one byte of zeros",
    )
    at = bomb.index(struct.pack("<I", 1 << 24))
    bomb[at : at + 4] = struct.pack("<I", 1 << 10)
    liar = made.with_tag(MANIFEST, bytes(bomb))
    made.add("manifest-damaged", "lying-bomb", liar, "a frame of 16 MiB that states 1 KiB")
    json_bytes = zstandard.decompress(take_apart(made.sound)[0].tags[MANIFEST][1])
    for name, frame, how in (
        ("no-checksum", compress(json_bytes, checksum=False), "a frame without a checksum"),
        ("no-size", compress(json_bytes, size=False), "a frame that does not state its content's size"),
        ("trailing-bytes", compress(json_bytes) + b"\0", "a byte after the frame"),
        ("not-zstd", zlib.compress(json_bytes), "zlib in place of zstd"),
    ):
        made.add("manifest-damaged", name, made.with_tag(MANIFEST, frame), how)
    made.add("manifest-damaged", "ascii-numbers", made.set_tag(0, MANIFEST, LONG, 1, 2, 3), "tag 65301 holds numbers")


def manifest_invalid(made: HostileFiles) -> None:
    """Add files whose manifest is no JSON of ours, or has a wrong field."""

    def manifest_text(text: Callable[[str], str]) -> bytes:
        def change(directories: list[Directory]) -> None:
            old = zstandard.decompress(directories[0].tags[MANIFEST][1]).decode()
            directories[0].tags[MANIFEST] = UNDEFINED, compress(text(old).encode("utf-8", "surrogatepass"))

        return made.rebuilt(change, source=made.bare)

    made.add("manifest-invalid", "not-json", manifest_text(lambda text: text[:-1]), "the last brace is missing")
    made.add(
        "manifest-invalid", "nan", manifest_text(lambda t: t.replace('"mpp":0.25', '"mpp":NaN')), "slide.mpp is NaN"
    )
    made.add(
        "manifest-invalid",
        "infinity",
        manifest_text(lambda t: t.replace('"mpp":0.25', '"mpp":1e999')),
        "slide.mpp is 1e999",
    )
    made.add("manifest-invalid", "twice", manifest_text(lambda t: t[:-1] + ',"version":1}'), "a key twice in an object")
    made.add("manifest-invalid", "deep", manifest_text(lambda t: "[" * 100_000), "100 000 nested arrays")
    made.add(
        "manifest-invalid",
        "surrogate",
        manifest_text(lambda t: t.replace("painted.seed", "\\ud800")),
        "half a surrogate pair",
    )
    made.add(
        "manifest-invalid",
        "not-utf-8",
        manifest_text(lambda t: t.replace("painted.seed", "\ud800")),
        "bytes that are not UTF-8",
    )
    made.manifest("array", "requires is an object", lambda m: m.update(requires={}))
    made.manifest("requires-object", "requires lists an object", lambda m: m.update(requires=[{}]))
    made.manifest("other-format", "another format", lambda m: m.update(format="zip"))
    made.manifest("no-version", "no version", lambda m: m.pop("version"))
    made.manifest("version-zero", "version 0", lambda m: m.update(version=0))
    made.manifest("missing-field", "slide.mpp is missing", lambda m: m["slide"].pop("mpp"))
    made.manifest("text-for-number", 'slide.mpp is "0.25"', lambda m: m["slide"].update(mpp="0.25"))
    made.manifest("true-for-number", "base.scale is true", lambda m: m["base"].update(scale=True))
    made.manifest("float-for-whole", "slide.size has 520.0", lambda m: m["slide"].update(size=[1025.0, 3]))
    made.manifest("huge-slide", "a slide of 10^9 x 10^9 px", lambda m: m["slide"].update(size=[10**9, 10**9]))
    made.manifest("huge-number", "a slide of 10^400 px", lambda m: m["slide"].update(size=[10**400, 3]))
    made.manifest("empty-slide", "a slide of 0 x 3 px", lambda m: m["slide"].update(size=[0, 3]))
    made.manifest("mpp-zero", "slide.mpp is 0", lambda m: m["slide"].update(mpp=0))
    made.manifest("no-history", "slide.lossy_history is empty", lambda m: m["slide"].update(lossy_history=[]))
    made.manifest("scale-three", "base.scale is 3", lambda m: m["base"].update(scale=3))
    made.manifest("unknown-codec", "base.codec is jpegxl", lambda m: m["base"].update(codec="jpegxl"))
    made.manifest("odd-tile", "base.tile is 100", lambda m: m["base"].update(tile=100))
    made.manifest("huge-tile", "base.tile is 2^53", lambda m: m["base"].update(tile=2**53))
    made.manifest("odd-block", "prediction.block is 1", lambda m: m["prediction"].update(block=1))
    made.manifest("halo", "generator.halo is -1", lambda m: m["prediction"]["generator"].update(halo=-1))
    made.manifest("digest", "generator.digest is md5:0", lambda m: m["prediction"]["generator"].update(digest="md5:0"))
    made.manifest(
        "no-builtin", "a built-in that is none", lambda m: m["prediction"]["generator"].update(digest="builtin:ai")
    )
    made.manifest(
        "name", "a generator's name with |", lambda m: m["prediction"]["generator"].update(name="x|AppMag = 99")
    )
    made.manifest(
        "subifd", "tissue_map.subifd is -1", lambda m: m["layers"]["tissue_map"].update(subifd=-1), source=made.sound
    )
    made.manifest("checksums", "checksums_sha256 is text", lambda m: m.update(checksums_sha256="?"))
    made.manifest("first-associated", "a label without a thumbnail before it", lambda m: m.update(associated=["label"]))
    made.manifest("same-associated", "two of one name", lambda m: m.update(associated=["thumbnail"] * 2))
    many = [{"method": "", "ratio": None, "derivation": ""}] * 1001
    made.manifest("many-items", "1001 lossy steps", lambda m: m["slide"].update(lossy_history=many))
    made.manifest("tier", "an unknown tier", lambda m: m.update(tier="perfect"))
    made.manifest(
        "levels", "a level too many", lambda m: m["base"]["levels"].append({"size": [5, 1], "downsample": 64})
    )
    made.manifest("level-size", "a level of another size", lambda m: m["base"]["levels"][1].update(size=[64, 1]))
    made.manifest("other-scale", "generator.scale is 2", lambda m: m["prediction"]["generator"].update(scale=2))
    made.manifest(
        "map-size", "a map of another size", lambda m: m["layers"]["tissue_map"].update(size=[3, 2]), source=made.sound
    )
    made.manifest(
        "renamed-builtin", "bicubic by another name", lambda m: m["prediction"]["generator"].update(name="super-x4")
    )
    made.manifest("embedded-builtin", "bicubic embedded", lambda m: m["prediction"]["generator"].update(embedded=True))


def later_version(made: HostileFiles) -> None:
    """Add files of later versions, and wrong colours and places of a base."""
    made.manifest("two", "version 2", lambda m: m.update(version=2), "later-version")
    made.manifest("two-other-fields", "version 2 with other fields", _as_version_two, "later-version")
    numbers = list(RECIPES["av1-x4-colour"].colour or ())
    eleven, far = numbers[:11], [*numbers[:11], 1 << 27]
    made.manifest(
        "colour-of-eleven", "a colour of 11 numbers", lambda m: m["base"].update(colour=eleven), source=made.av1
    )
    made.manifest(
        "colour-far", "a colour's number out of range", lambda m: m["base"].update(colour=far), source=made.av1
    )
    made.manifest(
        "colour-missing", "an AV1 base without a colour transform", lambda m: m["base"].pop("colour"), source=made.av1
    )
    made.manifest("base-in-chain", "an AV1 base in no SubIFD", lambda m: m["base"].pop("subifd"), source=made.av1)
    made.manifest("base-apart", "a JPEG 2000 base in a SubIFD", lambda m: m["base"].update(subifd=1))
    made.manifest("base-subifd", "base.subifd is 16", lambda m: m["base"].update(subifd=16), source=made.av1)
    made.manifest(
        "base-in-layer", "base and tissue map in one SubIFD", lambda m: m["base"].update(subifd=1), source=made.av1
    )
    made.manifest(
        "colour-of-jp2k",
        "a colour transform where other readers look",
        lambda m: m["base"].update(colour=numbers),
    )
    layered, layer_numbers = made.valid["jp2k-x4-layer-colour"], [*LAYER_COLOUR, *COLOUR]

    def layer_colour(numbers: list[int]) -> ManifestChange:
        return lambda m: m["layers"]["enhancement"].update(colour=numbers)

    few, too_far = layer_colour(layer_numbers[:12]), layer_colour([*layer_numbers[:23], 1 << 27])
    made.manifest("layer-colour-of-twelve", "a layer's colour of 12 numbers", few, source=layered)
    made.manifest("layer-colour-far", "a layer's colour with a number out of range", too_far, source=layered)
    of_jpeg = made.valid["av1-x4-colour-bounded"]
    made.manifest("layer-colour-of-jpeg", "a layer's colour for JPEG", layer_colour(layer_numbers), source=of_jpeg)
    made.manifest("requires", "requires a feature", lambda m: m.update(requires=["wavelets"]), "later-version")
    made.manifest(
        "requires-codec",
        "requires a feature, with a codec and a tier that go with it",
        _with_a_feature,
        "later-version",
    )


def _with_a_feature(manifest: dict[str, Any]) -> None:
    manifest.update(requires=["wavelets"], tier="refined")
    manifest["base"].update(codec="wavelets")


def _as_version_two(manifest: dict[str, Any]) -> None:
    manifest.clear()
    manifest.update(format="histocodec", version=2, layout="another one")


def wrong_downsampling(made: HostileFiles) -> None:
    """Add files with a wrong `base.downsampling`."""
    name, digest = "vector-downsampler-x4", f"sha256:{'0123456789abcdef' * 4}"
    wrong: dict[str, tuple[Any, str]] = {
        "text": (name, "base.downsampling is a string"),
        "no-digest": ({"name": name}, "a downsampling without a digest"),
        "digest": ({"name": name, "digest": "builtin:box"}, "a downsampling whose digest is no SHA-256"),
        "name": ({"name": "x|AppMag = 99", "digest": digest}, "a downsampling's name with |"),
    }
    for kind, (value, how) in wrong.items():
        change = setting("base", downsampling=value)
        made.manifest(f"downsampling-{kind}", how, change, source=made.valid["jp2k-x4-downsampling"])


def wrong_damage(made: HostileFiles) -> None:
    """Add files with a wrong `slide.damaged`."""
    wrong: dict[str, tuple[Any, str]] = {
        "text": ("all of it", "slide.damaged is a string"),
        "numbers": ([[0, 0, 16]], "a damaged place of three numbers"),
        "empty": ([[0, 0, 0, 16]], "a damaged place of no width"),
        "outside": ([[64, 16, 7, 14]], "a damaged place that reaches beyond the slide"),
    }
    for kind, (value, how) in wrong.items():
        made.manifest(f"damaged-{kind}", how, setting("slide", damaged=value), source=made.valid["jp2k-x4-damaged"])


def wrong_generation(made: HostileFiles) -> None:
    """Add files with a wrong generation or licence of their generator."""
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "generation-zero": ({"generation": 0}, "a generation of 0"),
        "generation-text": ({"generation": "2"}, "a generation that is a string"),
        "licence-empty": ({"licence": ""}, "a licence of no characters"),
        "licence-lines": ({"licence": "CC BY 4.0\nfor any use"}, "a licence of two lines"),
    }
    for name, (fields, how) in wrong.items():
        change = partial(_with_generator, fields)
        made.manifest(name, how, change, source=made.valid["jp2k-x4-generation"])


def _with_generator(fields: dict[str, Any], manifest: dict[str, Any]) -> None:
    manifest["prediction"]["generator"].update(fields)


def setting(part: str, **fields: Any) -> ManifestChange:
    """Return the change of fields of a part of the manifest."""
    return lambda manifest: manifest[part].update(fields)
