"""A container cut anywhere, or with any byte changed, is refused, or is still the same."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from histocodec.decoder import Decoder
from histocodec.errors import HistocodecError
from histocodec.format.reader import Container
from histocodec.geometry import Region
from tests.format.conformance.make_vectors.recipes import OTHER_WRITER, SMALLEST
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.format.conformance.surgery import (
    CHECKSUMS,
    PREDICTION_SUMS,
    REGIONS,
    STRIP_LENGTHS,
    STRIP_OFFSETS,
    SUBIFDS,
    TILE_LENGTHS,
    TILE_MODES,
    TILE_OFFSETS,
    directory_offsets,
    entries,
    subdirectory_offsets,
)

FLIPS = (0x01, 0x80, 0xFF)

Facts = tuple[bytes, bytes | None, bytes, list[bytes]]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "damaged.hc.tif"


def facts(path: Path) -> Facts | None:
    """All that a file's pixels follow from, and its layers: manifest, profile, maps, every piece. None if refused."""
    try:
        with Container(path) as container:
            found = [container.tile(level, i) for level, grid in enumerate(container.grids) for i in range(grid.count)]
            found += [container.associated_jpeg(name) for name in container.manifest.associated]
            found += [container.package() or b"", container.base_sums.tobytes()]
            if container.quality_map is not None:
                found.append(container.quality_map.values.tobytes())
            if (layer := container.enhancement) is not None:
                found += [container.enhancement_tile(index) for index in range(layer.grid.count)]
                found += [layer.modes.tobytes(), layer.prediction_sums.tobytes(), layer.regions or b""]
            return container.manifest_json, container.icc_profile, container.tissue_map.tobytes(), found
    except HistocodecError:
        return None


def pixels(path: Path) -> list[bytes] | None:
    """Every level; None if the file is refused."""
    try:
        with Decoder(path) as decoder:
            return [decoder.read(Region(0, 0, *size), level).tobytes() for level, size in enumerate(decoder.levels)]
    except HistocodecError:
        return None


def sound(name: str, scratch: Path) -> tuple[bytes, Facts]:
    data = (VECTORS / "valid" / f"{name}.hc.tif").read_bytes()
    scratch.write_bytes(data)
    whole = facts(scratch)
    assert whole is not None
    return data, whole


def pieces(data: bytes) -> set[int]:
    """Places of the bytes of tiles, also of the enhancement layer, and of associated images."""
    places: set[int] = set()
    layers = [offset for offset in subdirectories(data) if TILE_OFFSETS in entries(data, offset)]
    for directory in directory_offsets(data) + layers:
        found = entries(data, directory)
        for tags in ((TILE_OFFSETS, TILE_LENGTHS), (STRIP_OFFSETS, STRIP_LENGTHS)):
            if tags[0] in found:
                for offset, length in zip(*(numbers(data, *found[tag]) for tag in tags), strict=True):
                    places.update(range(offset, offset + length))
    return places


def subdirectories(data: bytes) -> list[int]:
    return subdirectory_offsets(data) if SUBIFDS in entries(data, directory_offsets(data)[0]) else []


def numbers(data: bytes, kind: int, place: int, size: int) -> tuple[int, ...]:
    code = {3: "H", 4: "I", 16: "Q"}[kind]
    return struct.unpack_from(f"<{size // struct.calcsize(code)}{code}", data, place)


@pytest.mark.parametrize("name", [SMALLEST, OTHER_WRITER, "av1-x2-bounded"])
def test_a_file_cut_anywhere_is_refused(name: str, scratch: Path) -> None:
    data, whole = sound(name, scratch)
    for length in [*range(64), *range(64, len(data), 7), *range(len(data) - 64, len(data))]:
        scratch.write_bytes(data[:length])
        assert facts(scratch) in (None, whole), f"cut after {length} of {len(data)} bytes"
    scratch.write_bytes(data + b"what follows has no meaning")
    assert facts(scratch) == whole


@pytest.mark.parametrize(("name", "step"), [(SMALLEST, 3), ("av1-x2-1x1", 1), (OTHER_WRITER, 7)])
def test_a_byte_changed_in_the_structure_is_noticed_or_harmless(name: str, step: int, scratch: Path) -> None:
    """What is not of a tile or image: header, directories, manifest, checksums, profile, tissue map.

    Every byte of a small file; of the larger ones every third or seventh, which meets every byte of an entry.
    """
    data, whole = sound(name, scratch)
    skeleton = sorted(set(range(len(data))) - pieces(data))
    assert len(skeleton) > len(data) / 2
    for place in skeleton[::step]:
        for flip in FLIPS:
            scratch.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
            assert facts(scratch) in (None, whole), f"byte {place} xor {flip:#x}"


@pytest.mark.parametrize("name", [OTHER_WRITER, "av1-x2-bounded"])
def test_a_byte_changed_in_the_directory_of_a_layer_is_noticed_or_harmless(name: str, scratch: Path) -> None:
    """Every byte of every SubIFD and of what its tags hold; what its checksums are of is noticed always."""
    data, whole = sound(name, scratch)
    sealed = {CHECKSUMS, TILE_MODES, PREDICTION_SUMS, REGIONS}
    for offset in subdirectory_offsets(data):
        found = entries(data, offset)
        known = CHECKSUMS in found and (TILE_MODES in found or numbers(data, *found[258])[0] == 16)
        values = {place: tag for tag, (_, at, size) in found.items() for place in range(at, at + size)}
        for place in {*values, *range(offset, offset + 8 + 20 * len(found))}:
            for flip in FLIPS:
                scratch.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
                allowed = (None,) if known and values.get(place) in sealed else (None, whole)
                assert facts(scratch) in allowed, f"byte {place} xor {flip:#x}"


@pytest.mark.parametrize("name", [SMALLEST, OTHER_WRITER])
def test_pixels_do_not_change_either(name: str, scratch: Path) -> None:
    data, _ = sound(name, scratch)
    whole = pixels(scratch)
    for place in range(0, len(data), 23):
        scratch.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        assert pixels(scratch) in (None, whole), f"byte {place}"


@pytest.mark.parametrize("name", [SMALLEST, OTHER_WRITER, "av1-x2-bounded"])
def test_a_byte_changed_in_a_piece_is_noticed(name: str, scratch: Path) -> None:
    data, _ = sound(name, scratch)
    for place in sorted(pieces(data))[::11]:
        scratch.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        assert facts(scratch) is None, f"byte {place}"
