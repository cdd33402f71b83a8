"""Hostile vectors whose codestreams say one thing to a reader and another to a library, or cost out of proportion."""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Callable

import PIL.Image

from histocodec.generators.integer_net import tensors_of
from tests.format.conformance.make_vectors.editing import change_manifest, replaced
from tests.format.conformance.make_vectors.hostile_files import HostileFiles
from tests.format.conformance.make_vectors.hostile_generators import with_package
from tests.format.conformance.make_vectors.hostile_originals import HostileOriginals
from tests.format.conformance.make_vectors.hostile_pieces import GREY
from tests.format.conformance.make_vectors.networks import packed, plain_card, random_net
from tests.format.conformance.make_vectors.originals import Original
from tests.format.conformance.make_vectors.painting import coded
from tests.format.conformance.surgery import Directory

_FRAME = b"\xff\xc0"
_HEADER_BYTES = 19
"""Length of the header of a JPEG's frame of three components."""


def lying_codestreams(made: HostileFiles) -> None:
    """Add files with a tile of which a library finds another size, or more work, than a look at its head tells."""

    def tile(name: str, data: bytes, how: str, source: str, of: Callable[[list[Directory]], Directory]) -> None:
        def change(directories: list[Directory]) -> None:
            of(directories).pieces[0] = data

        made.add("tile-damaged", name, made.rebuilt(change, sums=True, source=made.valid[source]), how)

    jpeg, jp2k, av1 = "jpeg-x4-300x200", "jp2k-x4-520x16", "av1-x4-colour"
    tile("jpeg-two-sizes", two_sizes(), "a JPEG of 65500 x 65500 px behind a marker that has no length", jpeg, _first)
    tile("jpeg-scans", many_scans(101), "a progressive JPEG of 101 scans", jpeg, _first)
    small = replaced(coded(GREY, "jp2k"), 24, struct.pack(">2I", 2, 2))
    tile("jp2k-tiles", small, "a codestream of 4096 tiles of 2 x 2 px", jp2k, _first)
    two = two_pictures()
    tile("av1-two-headers", two, "an AV1 tile whose one frame follows a second header, of 64 x 64 px", av1, _apart)


def lying_numbers(made: HostileFiles) -> None:
    """Add files with numbers or values of kinds that arithmetic does not expect."""

    def vanishing(directories: list[Directory]) -> None:
        change_manifest(directories, lambda m: m["slide"].update(objective_power=5e-324))

    made.add("directory-mismatch", "power-vanishes", made.rebuilt(vanishing), "an objective power of 5e-324")
    card = dataclasses.replace(plain_card("plain"), hyperparameters=["scale", "channels", "pairs"])  # type: ignore[arg-type]
    listed = with_package(made, packed(tensors_of(random_net("plain")), card).data)
    made.add("generator-damaged", "hyperparameters", listed, "a card whose hyperparameters are an array")


def lying_recipes(made: HostileOriginals) -> None:
    """Add files whose original takes long to be restored, or comes back and cannot be shown."""

    def scans(original: Original) -> Original:
        return dataclasses.replace(original, recipes=(recipe_of(101),))

    made.built("recipe-scans", "a recipe of 101 scans", scans)

    def blank(original: Original) -> Original:
        files = {
            name: tuple(
                dataclasses.replace(one, stored=bytes(50), restored=bytes(50)) if one.tiles == (1,) else one
                for one in segments
            )
            for name, segments in original.files.items()
        }
        return dataclasses.replace(original, files=files)

    made.built("pixels", "a tile of 50 zeros, with the digest of the file that has it", blank)


def two_sizes() -> bytes:
    """A JPEG whose reader takes the marker RST0 for one with a length, and so sees another frame than libraries do."""
    sound = coded(GREY, "jpeg")
    at = sound.index(_FRAME)
    frame = sound[at : at + _HEADER_BYTES]
    huge = frame[:5] + struct.pack(">2H", 65500, 65500) + frame[9:]
    # The length that is read there is the next marker, FFC0; so many bytes further on stands the frame that fits.
    hidden = 0xFFC0 - len(huge)
    comment = b"\xff\xfe" + struct.pack(">H", hidden - 2 + len(frame)) + bytes(hidden - 4) + frame
    return sound[:2] + b"\xff\xd0" + huge + comment + sound[2:at] + sound[at + len(frame) :]


def many_scans(count: int) -> bytes:
    """A progressive JPEG with its last scan so often that there are `count` of them."""
    file = io.BytesIO()
    PIL.Image.fromarray(GREY).save(file, "JPEG", progressive=True, quality=80)
    data = file.getvalue()
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * (count - data.count(b"\xff\xda")) + data[end:]


def two_pictures() -> bytes:
    """An AV1 tile with the head of a whole one, behind it that of a small one, and the small one's frame."""
    whole, small = (coded(picture, "av1", ten_bits=True) for picture in (GREY, GREY[:64, :64]))
    return whole[: 4 + whole[3]] + small[2:]


def recipe_of(scans: int) -> bytes:
    """The beginning of a recipe that names the markers of so many scans, six bits each."""
    bits = 0
    for place, marker in enumerate([*[0x1A] * scans, 0x19]):
        bits |= marker << (1 + 6 * place)
    return bits.to_bytes(128, "little")


def _first(directories: list[Directory]) -> Directory:
    return directories[0]


def _apart(directories: list[Directory]) -> Directory:
    return directories[0].subdirectories[0]
