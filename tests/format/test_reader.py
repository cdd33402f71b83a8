"""An open container: whole when it is constructed, or refused with every problem that can be reached."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path

import pytest

from histocodec.errors import CorruptContainer, FileError, MissingFile
from histocodec.format.reader import Container
from tests.format.conformance.make_vectors.recipes import SMALLEST
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.format.conformance.surgery import ICC_PROFILE, take_apart

PATH = VECTORS / "valid" / f"{SMALLEST}.hc.tif"


def flipped(data: bytes, part: bytes) -> bytes:
    """The file with a bit of the middle of `part` changed."""
    place = data.index(part) + len(part) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_damage_of_several_parts_is_reported_together(tmp_path: Path) -> None:
    data = PATH.read_bytes()
    first = take_apart(data)[0]
    damaged = flipped(flipped(data, first.tags[ICC_PROFILE][1]), first.subdirectories[0].pieces[0])
    path = tmp_path / "damaged.hc.tif"
    path.write_bytes(damaged)
    with pytest.raises(CorruptContainer) as refused:
        Container(path)
    assert [problem.code for problem in refused.value.problems] == ["tissue-map-damaged", "icc-profile-damaged"]


def test_damage_of_a_piece_is_found_when_it_is_read(tmp_path: Path) -> None:
    data = PATH.read_bytes()
    path = tmp_path / "damaged.hc.tif"
    path.write_bytes(flipped(data, take_apart(data)[0].pieces[1]))
    with Container(path) as container:
        assert container.tile(0, 0) == take_apart(data)[0].pieces[0]
        with pytest.raises(CorruptContainer, match="level 0 tile 1: its bytes changed") as refused:
            container.decoded_tile(0, 1)
        assert refused.value.code == "tile-checksum"


def test_what_is_stored_is_returned_as_it_is() -> None:
    directories = take_apart(PATH.read_bytes())
    with Container(PATH) as container:
        assert container.associated_jpeg("thumbnail") == directories[1].pieces[0]
        assert container.associated_jpeg("label") == directories[3].pieces[0]
        assert container.tile_bytes(0) == sum(map(len, directories[0].pieces))
        assert container.icc_profile == directories[0].tags[ICC_PROFILE][1]
        for ask in (container.associated_size, container.associated_jpeg, container.associated_image):
            with pytest.raises(KeyError):
                ask("macro")


def test_the_base_is_compared_with_what_the_encoder_decoded() -> None:
    with Container(PATH) as container:
        assert [zlib.crc32(container.decoded_tile(0, k).tobytes()) for k in (0, 1)] == container.base_sums.tolist()
        container.decoded_tile(1, 0)
        assert container.differing_tiles == frozenset()
        assert not container.base_differs()
    with Container(VECTORS / "invalid" / "base-mismatch-av1.hc.tif") as container:
        assert container.base_differs()
        assert container.differing_tiles == {0}
    with Container(VECTORS / "invalid" / "tile-damaged-zeros.hc.tif") as container:
        assert not container.base_differs()  # a damaged tile is another matter


def test_a_pickle_opens_the_file_again() -> None:
    with Container(PATH) as container, pickle.loads(pickle.dumps(container)) as again:
        assert again.location == container.location
        assert again.tile(1, 0) == container.tile(1, 0)


def test_a_closed_file_cannot_be_read() -> None:
    container = Container(PATH)
    container.close()
    container.close()
    assert container.is_closed
    with pytest.raises(ValueError, match="closed"):
        container.tile(0, 0)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        Container(tmp_path / "none.hc.tif")
    with pytest.raises(MissingFile, match="an empty one"):
        Container("")
    with pytest.raises(FileError, match="cannot be read"):
        Container(tmp_path)
