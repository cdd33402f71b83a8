"""The source's files come back whole under their names, or not at all: also after a kill, and from damaged bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import (
    CorruptContainer,
    HistocodecError,
    MissingFile,
    NoSpace,
    OutputError,
    OutputExists,
    PairMismatch,
    SettingsError,
)
from histocodec.format import restoration
from histocodec.format.reader import Container
from histocodec.format.restoration import restore, verify_source
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.source import open_source
from tests.format.conformance.make_vectors.originals import of_several_files
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.places import REPOSITORY

SET = VECTORS / "valid/av1-x2-original-set.hc.tif"
KILLS = int(os.environ.get("HISTOCODEC_KILLS", "8"))
"""Moments at which an encode, and a restore, are killed; more take longer, and find rarer ones."""


@pytest.fixture(scope="module")
def kept(slide_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "case.hc.tif"
    with open_source(slide_path) as source:
        encode(source, path, BicubicGenerator(4), EncodeSettings(ratio=None, quality=28, keep_original=True))
    return path


def test_one_file(kept: Path, slide_path: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert restore(kept, tmp_path / "a.tif", progress=lambda *p: told.append(p)) == (tmp_path / "a.tif",)
    assert (tmp_path / "a.tif").read_bytes() == slide_path.read_bytes()
    assert told[-1][0] == told[-1][1] == len(told)
    folder = tmp_path / "folder"
    folder.mkdir()
    assert restore(kept, folder) == (folder / "slide.tif",)
    copy = tmp_path / "case.hc.tif"
    copy.write_bytes(kept.read_bytes())
    assert restore(copy) == (tmp_path / "slide.tif",)
    with pytest.raises(OutputExists):
        restore(copy)
    restore(copy, overwrite=True)
    with pytest.raises(OutputError, match="the file that is being read"):
        restore(copy, copy, overwrite=True)
    assert copy.read_bytes() == kept.read_bytes()


def test_several_files_appear_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    paths = restore(SET, folder)
    expected = {n: b"".join(one.restored for one in segments) for n, segments in of_several_files().files.items()}
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths} == expected
    assert sorted(tmp_path.iterdir()) == [folder]
    with pytest.raises(OutputExists, match="is not empty"):
        restore(SET, folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    restore(SET, empty)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file"):
        restore(SET, tmp_path / "file")
    with pytest.raises(OutputError, match="does not exist"):
        restore(SET, tmp_path / "nowhere" / "case")


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    stray = tmp_path / ".case.partial" / "case"
    stray.mkdir(parents=True)
    (stray / "Data0000.dat").write_bytes(b"half")
    (tmp_path / ".case.partial.lock").touch()
    restore(SET, tmp_path / "case")
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_a_set_that_is_damaged_leaves_nothing(tmp_path: Path) -> None:
    data = bytearray(SET.read_bytes())
    with Container(SET) as container:
        assert container.original is not None
        start, length = container.original.pieces.extents[-1].tolist()
    data[start + length // 2] ^= 4
    path = tmp_path / "damaged.hc.tif"
    path.write_bytes(data)
    with pytest.raises(CorruptContainer, match=r"segment 4 of 5: its bytes changed"):
        restore(path, tmp_path / "case")
    assert list(tmp_path.iterdir()) == [path]


def test_a_flipped_bit_anywhere_in_the_layer_is_found(kept: Path, tmp_path: Path) -> None:
    """And never more than the original is lost."""
    data, path = kept.read_bytes(), tmp_path / "flipped.hc.tif"
    with Container(kept) as container:
        original = container.original
        assert original is not None
        start = int(original.pieces.extents[0, 0])
        last = sum(original.pieces.extents[-1].tolist())
        table = container.tile(0, 0)
    rng = random.Random(7)
    places = [rng.randrange(start, last) for _ in range(40)] + [rng.randrange(last, len(data)) for _ in range(40)]
    refused = list[tuple[int, str]]()
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        output = tmp_path / "restored"
        try:
            restore(path, output)
        except HistocodecError as error:
            refused.append((place, str(error)))
            assert not output.exists()
        else:  # a bit that nothing reads, such as of a resolution
            assert place >= last
            output.unlink()
        try:
            with Container(path) as container:
                assert container.tile(0, 0) == table
        except CorruptContainer:  # the offsets of all layers lie at the end
            assert place >= len(data) - 64
    assert len(refused) >= 40
    for place, said in refused:
        number = int(sum(original.pieces.extents[:, 0] <= place)) - 1
        assert place >= last or f"segment {number} of {original.count}" in said


def test_a_file_without_an_original(container_path: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="keeps no original: it is of tier reconstructed"):
        restore(container_path, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_there_must_be_room(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, needed_bytes: int) -> None:
        assert needed_bytes > 100_000
        raise NoSpace(path, "full")

    monkeypatch.setattr(restoration, "check_space", full)
    with pytest.raises(NoSpace):
        restore(kept, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_verify_source(kept: Path, container_path: Path, slide_path: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.tif"
    renamed.write_bytes(slide_path.read_bytes())
    for path in (kept, container_path):
        assert verify_source(path, renamed).files[0].name == "slide.tif"
    data = bytearray(renamed.read_bytes())
    data[len(data) // 2] ^= 1
    renamed.write_bytes(data)
    with pytest.raises(PairMismatch, match="by SHA-256"):
        verify_source(kept, renamed)
    renamed.write_bytes(data[:-1])
    with pytest.raises(PairMismatch, match="bytes, its source had"):
        verify_source(kept, renamed)
    with pytest.raises(MissingFile):
        verify_source(kept, tmp_path / "missing.tif")
    with pytest.raises(SettingsError, match="does not state what it was made of"):
        verify_source(VECTORS / "valid/jp2k-x4-520x16.hc.tif", renamed)


def test_verify_several_files(tmp_path: Path) -> None:
    paths = restore(SET, tmp_path / "case")
    assert len(verify_source(SET, paths[0]).files) == 4
    paths[3].write_bytes(b"another")
    with pytest.raises(PairMismatch, match=r"Slidedat\.ini has 7 bytes"):
        verify_source(SET, paths[0])
    paths[3].unlink()
    with pytest.raises(MissingFile):
        verify_source(SET, paths[0])


HELPER = """
import os, sys
from pathlib import Path
from histocodec.encoder import EncodeSettings, encode
from histocodec.format.restoration import restore
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.source import open_source
slide, kept, target = map(Path, sys.argv[2:])
settings = EncodeSettings(ratio=None, quality=28, verify="none", keep_original=True, workers=2)
def work():
    if sys.argv[1] == "restore":
        restore(kept, target, overwrite=True)
    else:
        with open_source(slide) as source:
            encode(source, target, BicubicGenerator(4), settings, overwrite=True)
for _ in sys.stdin:  # each line asks for a process that works until it is killed
    child = os.fork()
    if child == 0:
        while True:
            work()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("what", ["encode", "restore"])
def test_kill_9_at_any_moment(what: str, kept: Path, slide_path: Path, tmp_path: Path) -> None:
    """Under the final name there is a whole and right file or none, and the source is as it was."""
    slide, target = tmp_path / "slide.tif", tmp_path / "target.tif"
    slide.write_bytes(slide_path.read_bytes())
    os.utime(slide, (1_300_000_000, 1_300_000_000))
    rng, seen = random.Random(3), set[bool]()
    with subprocess.Popen(
        [sys.executable, "-c", HELPER, what, slide, kept, target],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    ) as helper:  # fmt: skip
        assert helper.stdin is not None
        assert helper.stdout is not None
        longest = 0.0
        for number in range(KILLS):
            print(file=helper.stdin, flush=True)
            child = int(helper.stdout.readline())
            if number == 0:  # is let through, to know how long it takes
                start = time.monotonic()
                while not target.exists():
                    time.sleep(0.01)
                longest = 1.5 * (time.monotonic() - start)
            time.sleep(rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
            assert helper.stdout.readline() == "gone\n"
            seen.add(target.exists())
            if target.exists() and what == "restore":
                assert target.read_bytes() == slide.read_bytes()
            elif target.exists():
                restore(target, tmp_path / "again.tif", overwrite=True)
                assert (tmp_path / "again.tif").read_bytes() == slide.read_bytes()
            target.unlink(missing_ok=True)
            assert slide.read_bytes() == slide_path.read_bytes()
            assert slide.stat().st_mtime == 1_300_000_000
        helper.stdin.close()
    assert True in seen
    leftovers = {path.name for path in tmp_path.iterdir()} - {"slide.tif", "again.tif"}
    assert leftovers <= {".target.tif.partial"}, "which the next writer of that name takes over"
