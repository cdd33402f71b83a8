"""Harnesses of the container: its directories, its manifest, what its layers hold, its tiles, its original."""

from __future__ import annotations

import contextlib
import json
import random
import struct
from collections.abc import Callable
from typing import Any

from histocodec.generators.catalogue import load_generator
from tests.format.conformance.make_vectors.networks import network_package
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.format.conformance.surgery import (
    BASE_SUMS,
    CHECKSUMS,
    ICC_PROFILE,
    LONG,
    LONG8,
    PREDICTION_SUMS,
    SHORT,
    TILE_MODES,
    UNDEFINED,
    Directory,
    directory_offsets,
    subdirectory_offsets,
)
from tests.fuzz import mutation
from tests.fuzz.anatomy import Anatomy, Segment, directories, framed
from tests.fuzz.codestreams import changed_stream
from tests.fuzz.judge import Judge
from tests.fuzz.mutation import NUMBERS, Random, changed_bytes, changed_json, changed_list, number_near
from tests.fuzz.regions import changed_regions

Change = Callable[[Random, Anatomy], None]
"""A change to a container's parts, in place."""


def sound_files(*words: str) -> list[bytes]:
    """Return the valid vectors with one of these words in their name, or all of them that can be taken apart."""
    paths = sorted((VECTORS / "valid").glob("*.hc.tif"))
    # A network in floats, which takes seconds to be imported, where it is asked for.
    chosen = [path for path in paths if (any(w in path.name for w in words) if words else "rrdb" not in path.name)]
    # It has a tag of a type of which nobody knows how many bytes it takes.
    return [path.read_bytes() for path in chosen if not path.name.startswith("later-revision")]


class Containers:
    """Whole files, read as a decoder, a validator and the viewer read them."""

    def __init__(self, name: str, changes: tuple[Change, ...], *words: str, raw: bool = False) -> None:
        self.name, self._changes, self._words, self._raw = name, changes, words, raw
        self._judge = Judge()
        if "rrdb" in words:
            load_generator(network_package("rrdb"))  # imports torch, which no input is to be charged with

    def seeds(self) -> list[bytes]:
        """Return the valid vectors that have what is changed here."""
        return sound_files(*self._words)

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change some parts, and put all together so that every checksum fits."""
        for attempt in (data, rng.choice(self.seeds())):
            try:
                anatomy = Anatomy(attempt)
                for _ in range(rng.choice((1, 1, 1, 2, 3))):
                    with contextlib.suppress(KeyError, TypeError, ValueError, IndexError, AttributeError, struct.error):
                        rng.choice(self._changes)(rng, anatomy)
                whole = anatomy.whole(predictions=rng.random() < 0.3)
            except Exception:  # changed so much that it cannot be put together: begin anew
                continue
            return raw_changed(rng, whole) if self._raw and rng.random() < 0.7 else whole
        return changed_bytes(rng, data, pool)

    def run(self, data: bytes) -> str:
        """Read it in every way."""
        return self._judge.judge(data)


# --------------------------------------------------------------------------------------------------------- directories


def raw_changed(rng: Random, data: bytes) -> bytes:
    """Change entries of directories where they lie: types, counts, offsets, the chain. No checksum is of these."""
    out = bytearray(data)
    offsets = directory_offsets(data)
    with contextlib.suppress(KeyError):
        offsets += subdirectory_offsets(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        directory = rng.choice(offsets)
        (count,) = struct.unpack_from("<Q", out, directory)
        if not 0 < count < 65 or directory + 16 + 20 * count > len(out):
            continue
        at = directory + 8 + 20 * rng.randrange(count)
        match rng.randrange(9):
            case 0:
                struct.pack_into("<H", out, at, rng.choice((254, 256, 273, 330, 65301, 65535, rng.getrandbits(16))))
            case 1:
                struct.pack_into("<H", out, at + 2, rng.choice((*range(20), 65535)))
            case 2:
                struct.pack_into("<Q", out, at + 4, number_near(rng, struct.unpack_from("<Q", out, at + 4)[0]))
            case 3 | 4:
                value = struct.unpack_from("<Q", out, at + 12)[0]
                value = rng.choice((*offsets, len(data), len(data) - 1, number_near(rng, value)))
                struct.pack_into("<Q", out, at + 12, value & (2**64 - 1))
            case 5:
                struct.pack_into("<Q", out, directory, number_near(rng, count))
            case 6:
                following = directory + 8 + 20 * count
                struct.pack_into("<Q", out, following, rng.choice((*offsets, 0, 8, number_near(rng, directory))))
            case 7:
                struct.pack_into("<Q", out, 8, rng.choice((*offsets, number_near(rng, directory))))
            case _:
                other = directory + 8 + 20 * rng.randrange(count)
                out[at : at + 20], out[other : other + 20] = out[other : other + 20], out[at : at + 20]
    return bytes(out)


def change_tag(rng: Random, anatomy: Anatomy) -> None:
    """Give a tag another value, of another type or length, or take it away."""
    directory = rng.choice(list(directories(anatomy.chain)))
    tag = rng.choice(list(directory.tags))
    kind, value = directory.tags[tag]
    match rng.randrange(6):
        case 0:
            del directory.tags[tag]
        case 1:
            directory.tags[tag] = rng.choice((1, 2, SHORT, LONG, UNDEFINED, LONG8)), value + bytes(-len(value) % 8)
        case 2:
            directory.tags[tag] = kind, changed_bytes(rng, value)
        case 3:
            directory.tags[rng.choice((1, 254, 274, 317, 338, 347, 40000, 65310))] = kind, value
        case _:
            number = number_near(rng, directory.number(tag), 32)
            directory.set(tag, rng.choice((SHORT, LONG, LONG8)) if number < 65536 else LONG, number)


def change_chain(rng: Random, anatomy: Anatomy) -> None:
    """Exchange, repeat or drop directories and SubIFDs, or pieces of them."""
    way = rng.randrange(3)
    if way == 0:
        tail = anatomy.chain[1:]
        changed_list(rng, tail, lambda one: rng.choice(tail))
        anatomy.chain[1:] = tail[:70]
    elif way == 1:
        changed_list(rng, anatomy.chain[0].subdirectories, lambda one: rng.choice(anatomy.chain))
    else:
        pieces = rng.choice(list(directories(anatomy.chain))).pieces
        changed_list(rng, pieces, lambda one: rng.choice((b"", one[:5], one + b"\0")))


# ------------------------------------------------------------------------------------------------------------ manifest


def change_manifest(rng: Random, anatomy: Anatomy) -> None:
    """Change values of the manifest, by kind and by size."""
    found = changed_json(rng, anatomy.manifest)
    anatomy.manifest = found if isinstance(found, dict) else {"format": "histocodec", "version": found}


def change_named(rng: Random, anatomy: Anatomy) -> None:
    """Change numbers of which others follow: sizes, scales, sides of tiles and blocks, codecs, digests."""
    m = anatomy.manifest
    way: list[Callable[[], Any]] = [
        lambda: m["base"].update(tile=rng.choice((128, 256, 512, 1024))),
        lambda: m["base"].update(scale=rng.choice((2, 4))),
        lambda: m["base"].update(codec=rng.choice(("jp2k", "av1", "jpeg"))),
        lambda: m["prediction"].update(block=rng.choice((64, 128, 256))),
        lambda: m["prediction"]["generator"].update(digest=f"builtin:bicubic-x{rng.choice((2, 4))}"),
        lambda: m["prediction"]["generator"].update(halo=rng.choice((0, 1, 2, 4, 64, 65))),
        lambda: m["prediction"]["generator"].update(embedded=rng.random() < 0.5),
        lambda: m["base"].update(colour=[rng.randint(-(1 << 26), 1 << 26) for _ in range(12)]),
        lambda: m["slide"].update(mpp=rng.choice((0.01, 100, 0.25, 5e-324, 1e300))),
        lambda: m["slide"].update(objective_power=rng.choice((5e-324, 1e-310, 1e299, None, 40.0))),
        lambda: m["slide"].update(properties={rng.choice(mutation.TEXTS): rng.choice(mutation.TEXTS)}),
        lambda: m["slide"].update(source_bytes=rng.choice(NUMBERS)),
        lambda: m.update(associated=rng.sample(["thumbnail", "label", "macro", "a", "b"], rng.randrange(5))),
        lambda: m.update(requires=[rng.choice(mutation.TEXTS)]),
        lambda: m.update(version=rng.choice(NUMBERS)),
        lambda: m["layers"]["enhancement"].update(square=rng.choice((1, 2, 64, 256, 3))),
        lambda: m["layers"]["enhancement"].update(colour=[rng.randint(-(1 << 26), 1 << 26) for _ in range(24)]),
        lambda: m["layers"].update({rng.choice(("tissue_map", "enhancement", "quality_map")): None}),
    ]
    rng.choice(way)()


def change_size(rng: Random, anatomy: Anatomy) -> None:
    """Make it a slide of another size, sound in all other things."""
    sides = (1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 1000, 1024, 1025, 2049, 4096, 70000, 1 << 20, 1 << 22)
    width = rng.choice(sides)
    anatomy.resize(width, rng.choice(sides[:12] if width < 3000 else sides[:4]))


def change_text(rng: Random, anatomy: Anatomy) -> None:
    """Change the text of the manifest itself: keys twice, other spellings, a few bytes."""
    text = json.dumps(anatomy.manifest)
    way = rng.randrange(4)
    if way == 0:
        at = text.find("{", rng.randrange(len(text) // 2)) + 1
        text = text[:at] + rng.choice(('"format":"histocodec",', '"size":[1,1],', '"a":NaN,', '"a":1e999,')) + text[at:]
    elif way == 1:
        text = text.replace(
            rng.choice(("1", "4", '"', ":", "e")), rng.choice(("1", "00", "\\ud800", "\\u0000", "'")), 1
        )
    else:
        text = changed_bytes(rng, text.encode()).decode("latin-1")
    anatomy.manifest = json.loads(text)


# -------------------------------------------------------------------------------------------------------------- layers


def change_map(rng: Random, anatomy: Anatomy) -> None:
    """Change what tissue or quality map hold."""
    name = rng.choice([name for name in ("tissue_map", "quality_map") if name in anatomy.contents])
    content = anatomy.contents[name]
    if rng.random() < 0.6:  # values alone: the file stays sound
        most = 2 if name == "tissue_map" else 256
        content = bytes(rng.randrange(most) for _ in range(min(len(content), 4096)))
    anatomy.contents[name] = content if rng.random() < 0.6 else changed_bytes(rng, content)


def change_modes(rng: Random, anatomy: Anatomy) -> None:
    """Change modes of the enhancement layer, with tiles where there is one, or without."""
    layer = anatomy.layer("enhancement")
    assert layer is not None
    modes = bytearray(layer.tags[TILE_MODES][1])
    some = [piece for piece in layer.pieces if piece] or [b"x"]
    if rng.random() < 0.15:
        modes = bytearray(changed_bytes(rng, bytes(modes)))
    else:
        at = rng.randrange(len(modes))
        modes[at] = rng.choice((0, 1, 2, 2, 1, 3))
        layer.pieces[at] = rng.choice(some) if modes[at] else b""
        sums = bytearray(layer.tags[PREDICTION_SUMS][1])
        if modes[at] != 1:
            sums[4 * at : 4 * at + 4] = bytes(4)
        layer.tags[PREDICTION_SUMS] = UNDEFINED, bytes(sums)
    layer.tags[TILE_MODES] = UNDEFINED, bytes(modes)
    if rng.random() < 0.9:
        anatomy.manifest["layers"]["enhancement"]["tiles"] = sum(map(bool, modes))


def change_sums(rng: Random, anatomy: Anatomy) -> None:
    """Change checksums of predictions or of the base, profile, or their lengths."""
    layer = anatomy.layer("enhancement")
    places: list[tuple[Directory, int]] = [(anatomy.chain[0], BASE_SUMS), (anatomy.chain[0], ICC_PROFILE)]
    if layer is not None:
        places += [(layer, PREDICTION_SUMS), (layer, CHECKSUMS)]
    directory, tag = rng.choice(places)
    directory.tags[tag] = UNDEFINED, changed_bytes(rng, directory.tags.get(tag, (0, b""))[1])


def change_roi(rng: Random, anatomy: Anatomy) -> None:
    """Change the regions of interest."""
    anatomy.contents["regions"] = changed_regions(rng, anatomy.contents["regions"])


def change_frame(rng: Random, anatomy: Anatomy) -> None:
    """Change a compressed frame itself: its header states a size, a window, a dictionary, a checksum."""
    layer = rng.choice([d for d in anatomy.chain[0].subdirectories if d.pieces])
    at = rng.randrange(len(layer.pieces))
    frame = framed(rng.choice((b"", b"\0", b"\1" * 3, bytes(70000))))
    layer.pieces[at] = rng.choice((changed_bytes(rng, layer.pieces[at]), changed_bytes(rng, frame), frame * 2))
    anatomy.contents.pop("tissue_map", None)
    anatomy.contents.pop("quality_map", None)


# --------------------------------------------------------------------------------------------------------------- tiles


def change_tile(rng: Random, anatomy: Anatomy) -> None:
    """Change one codestream by its structure, of base, reduced level, enhancement layer or associated image."""
    holders = [*anatomy.levels(), *anatomy.associated()]
    if (layer := anatomy.layer("enhancement")) is not None:
        holders.append(layer)
    directory = rng.choice(holders)
    at = rng.choice([at for at, piece in enumerate(directory.pieces) if piece])
    directory.pieces[at] = changed_stream(rng, directory.pieces[at])


def exchange_tiles(rng: Random, anatomy: Anatomy) -> None:
    """Put a sound tile in the place of another, of this level or of another one."""
    holders = [*anatomy.levels(), *anatomy.associated()]
    source, target = rng.choice(holders), rng.choice(holders)
    target.pieces[rng.randrange(len(target.pieces))] = rng.choice(source.pieces)


# ------------------------------------------------------------------------------------------------------------ original


def change_segments(rng: Random, anatomy: Anatomy) -> None:
    """Change the list of segments: kinds, headers, recipes, lengths, order."""
    original = anatomy.original
    assert original is not None
    match rng.randrange(8):
        case 0:
            changed_list(rng, original.segments, lambda one: Segment(rng.randrange(4), 0, 0, one.length, one.stored))
        case 1:
            one = rng.choice(original.segments)
            one.length = number_near(rng, one.length, 32)
        case 2:
            one = rng.choice(original.segments)
            one.header, one.recipe = rng.randrange(3), rng.randrange(3)
        case 3:
            one = rng.choice(original.segments)
            one.kind = rng.randrange(4)
        case 4:
            changed_list(rng, original.headers, lambda run: changed_bytes(rng, run))
        case 5:
            changed_list(rng, original.recipes, lambda run: changed_bytes(rng, run))
        case 6:
            changed_list(rng, original.tiles, lambda number: rng.randrange(len(original.segments)))
        case _:
            tiles = anatomy.manifest["layers"]["original"]["tiles"]
            tiles.update(
                rng.choice(
                    (
                        {"codec": rng.choice(("jpeg", "jp2k", "deflate", "lzw", "none"))},
                        {"side": rng.choice((1, 16, 32, 33, 64, 4096))},
                        {"predictor": True},
                        {"colour": "rgb"},
                    )
                )
            )
    if rng.random() < 0.7:
        anatomy.mend_source()


def change_segment(rng: Random, anatomy: Anatomy) -> None:
    """Change what a segment holds, by its structure."""
    original = anatomy.original
    assert original is not None
    one = rng.choice(original.segments)
    one.stored = (
        framed(changed_bytes(rng, b"\0" * 50))
        if one.kind == 1 and rng.random() < 0.5
        else changed_stream(rng, one.stored)
    )
    if not one.stored:
        one.stored = b"\0"
    if rng.random() < 0.8:
        anatomy.mend_source()


def change_names(rng: Random, anatomy: Anatomy) -> None:
    """Change names, dates and sizes of the source's files."""
    file = rng.choice(anatomy.manifest["source"]["files"])
    key = rng.choice(("name", "modified", "bytes", "sha256"))
    texts = (
        "../a",
        "a/../b",
        "/a",
        "a//b",
        "con",
        "a:b",
        "a\\b",
        ".",
        "..",
        "a/.",
        "A" * 256,
        "case/data0000.dat",
        "é",
        "é",
    )
    file[key] = rng.choice((rng.choice(texts), mutation.other_scalar(rng, file.get(key)), "2026-02-31T24:61:60Z"))


def all_harnesses() -> dict[str, Callable[[], Containers]]:
    """Return what builds each harness of this module, by its name."""
    return {
        "directory": lambda: Containers("directory", (change_tag, change_chain, change_size), raw=True),
        "manifest": lambda: Containers(
            "manifest", (change_manifest, change_manifest, change_named, change_size, change_text)
        ),
        "layers": lambda: Containers(
            "layers",
            (change_map, change_modes, change_sums, change_roi, change_frame, change_tile, change_named),
            *("bounded", "other-writer", "rrdb", "layer-colour", "original-set", "520x16"),
        ),
        "tiles": lambda: Containers("tiles", (change_tile, change_tile, exchange_tiles, change_named)),
        "original": lambda: Containers(
            "original", (change_segments, change_segment, change_segment, change_names), "original"
        ),
    }
