"""A file that is decoded in a sandbox has the pixels that it has without, and what kills the sandbox is an error."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import threading
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from histocodec.decoder import Decoder
from histocodec.errors import CorruptContainer, DecodingCrash
from histocodec.format.reader import Container
from histocodec.format.restoration import restore
from histocodec.geometry import Region, Size
from histocodec.runtime.confinement import Limits
from histocodec.runtime.sandbox import Sandbox
from histocodec.validation import validate
from histocodec.views.slide import open_slide
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.runtime import hostile

VALID = VECTORS / "valid"
TILE = "level 0 tile 0"


def all_that_is_decoded(container: Container) -> list[bytes]:
    """Digests of every tile, picture and segment."""
    layer, original = container.enhancement, container.original
    images = [container.decoded_tile(level, n) for level, grid in enumerate(container.grids) for n in range(grid.count)]
    images += [container.decoded_enhancement_tile(n) for n in np.flatnonzero(layer.modes).tolist()] if layer else []
    images += [container.associated_image(name) for name in container.manifest.associated]
    runs: list[bytes] = []
    if original is not None:
        images += [container.original_tile(n) for n in range(original.grid.count if original.grid else 0)]
        runs = [container.original_segment(n) for n in range(original.count)]
    assert all(image.flags.writeable for image in images)
    return [hashlib.sha256(run).digest() for run in (*(image.tobytes() for image in images), *runs)]


# Together: all codecs, turned colours, residual and native tiles, JPEG XL, deflate, zstd, pictures.
@pytest.mark.parametrize(
    "name",
    [
        "av1-x4-colour-bounded",
        "jp2k-x4-bounded",
        "jp2k-x4-original",
        "jp2k-x4-original-rgb",
        "jpeg-x2-original-deflate",
    ],
)
def test_a_sandbox_decodes_to_the_same(name: str) -> None:
    file = VALID / f"{name}.hc.tif"
    with Container(file) as plain, Container(file, sandbox=True) as apart:
        assert all_that_is_decoded(apart) == all_that_is_decoded(plain)


def test_what_is_damaged_is_said_in_the_same_words() -> None:
    found = [
        validate(VECTORS / "invalid" / "tile-damaged-small.hc.tif", deep=True, sandbox=sandbox)
        for sandbox in (False, True)
    ]
    assert found[0] == found[1] != []


def poisoned(file: Path, harm: str, limits: Limits | None = None) -> Decoder:
    """Open a file in JPEG 2000 in a sandbox whose codec does harm at the first tile of the base."""
    decoder = Decoder(file, sandbox=True)
    checksum = zlib.crc32(decoder.container.tile(0, 0))
    prepare = partial(hostile.poisoned, checksum, getattr(hostile, harm))
    decoder.container._decoding.sandbox = Sandbox(prepare, limits)
    return decoder


@pytest.mark.parametrize(
    ("harm", "reason"),
    [("segfault", "its process was ended by SIGSEGV"), ("spin", "it computed for more than 0.5 s")],
)
def test_a_tile_that_kills_its_decoder_is_an_error_and_the_others_are_decoded(
    container_path: Path, harm: str, reason: str
) -> None:
    with Decoder(container_path) as sound, poisoned(container_path, harm, Limits(cpu_s=0.5)) as decoder:
        with pytest.raises(DecodingCrash, match=f"{TILE}: what decodes it failed in its sandbox: {reason}") as error:
            decoder.read(Region(0, 0, 10, 10), 1)
        assert error.value.code == "tile-damaged"
        other = Region(256, 0, *(decoder.levels[1] - np.array([256, 0])).clip(max=19).tolist())
        assert np.array_equal(decoder.read(other, 1), sound.read(other, 1))
        assert not decoder.container.differing_tiles


def children() -> set[int]:
    """Return the processes that this one has started; other tests may have some."""
    return {process.pid for process in psutil.Process().children()}


def test_a_tile_whose_decoder_is_killed_from_outside_is_an_error_and_the_next_is_decoded(container_path: Path) -> None:
    with Decoder(container_path) as sound, poisoned(container_path, "stall") as decoder:
        before = children()
        decoder.container.decoded_tile(0, 1)  # starts the process
        (process,) = children() - before

        def kill() -> None:
            time.sleep(0.3)
            os.kill(process, signal.SIGKILL)

        killing = threading.Thread(target=kill)
        killing.start()
        with pytest.raises(DecodingCrash, match=f"{TILE}: .* ended by SIGKILL"):
            decoder.container.decoded_tile(0, 0)
        killing.join()
        assert np.array_equal(decoder.container.decoded_tile(0, 1), sound.container.decoded_tile(0, 1))


def test_a_problem_is_listed_and_the_search_goes_on(container_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Container(container_path) as container:
        checksum = zlib.crc32(container.tile(0, 0))
    monkeypatch.setattr("histocodec.format.decoding.load_codecs", partial(hostile.poisoned, checksum, hostile.leave))
    (problem,) = validate(container_path, deep=True, sandbox=True)
    assert (problem.code, problem.place) == ("tile-damaged", TILE)
    assert validate(container_path, deep=True) == []


def test_closing_and_pickling_keep_to_it(container_path: Path) -> None:
    before = children()
    with open_slide(container_path, sandbox=True) as slide:
        slide.read_region((0, 0), 1, (10, 10))
        assert len(children() - before) == 1
        with pickle.loads(pickle.dumps(slide)) as again:
            assert again.decoder.container.is_sandboxed
        with Decoder(slide.decoder, generator="bicubic") as beside:  # type: ignore[attr-defined]
            assert beside.container.is_sandboxed
    assert children() <= before


def test_a_source_is_restored_through_a_sandbox(tmp_path: Path) -> None:
    name = "jp2k-x4-original.hc.tif"
    plain, apart = (restore(VALID / name, tmp_path / f"{n}.tif", sandbox=bool(n))[0] for n in range(2))
    assert plain.read_bytes() == apart.read_bytes() != b""


def test_pixels_of_another_number_are_refused(container_path: Path) -> None:
    with Container(container_path, sandbox=True) as container:
        container._decoding.sandbox = Sandbox(hostile.prepare)
        short = partial(hostile.answer, bytes(11))
        with pytest.raises(ValueError, match="expected 12 samples from its sandbox, found 11"):
            container._decoding.image(Size(2, 2), short)  # type: ignore[arg-type]


def test_a_crash_is_damage_to_whoever_does_not_tell_them_apart() -> None:
    assert issubclass(DecodingCrash, CorruptContainer)
