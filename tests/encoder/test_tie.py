"""A file says what it was made of, to the bit, and when; a de-identified one nothing that names it."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.tie import SourceTie, _text_of, names_of, tie_as_long
from histocodec.errors import SourceReadError
from histocodec.format.reader import Container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.source import open_source
from histocodec.version import __version__, commit
from tests.encoder.inputs import ArraySource


@pytest.mark.parametrize("deidentify", [False, True])
def test_what_stands_in_for_a_tie_is_as_long(slide_path: Path, deidentify: bool) -> None:
    with open_source(slide_path) as slide, SourceTie(slide, deidentify=deidentify) as tie:
        found, stand_in = tie.result(), tie_as_long(slide, deidentify=deidentify)
    assert found is not None
    assert stand_in is not None
    assert stand_in.files[0].sha256 != found.files[0].sha256
    assert len(str(stand_in)) == len(str(found))
    assert tie_as_long(ArraySource(np.zeros((8, 8, 3), np.uint8)), deidentify=deidentify) is None


def test_a_file_says_what_it_was_made_of(slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    source, out = tmp_path / "case 7.tif", tmp_path / "case.hc.tif"
    source.write_bytes(slide_path.read_bytes())
    os.utime(source, (1_300_000_000, 1_300_000_000))
    before = int(time.time())
    with open_source(source) as slide:
        encode(slide, out, BicubicGenerator(4), EncodeSettings(verify="none"))
    with Container(out) as container:
        stated, software = container.manifest.source, container.manifest.software
    assert stated is not None
    (file,) = stated.files
    assert (file.name, file.bytes) == ("case 7.tif", source.stat().st_size)
    assert file.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert file.modified == "2011-03-13T07:06:40Z"
    encoded = datetime.strptime(stated.encoded, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert before <= encoded <= time.time()
    assert software.startswith(f"histocodec {__version__}")
    assert (commit() or "") in software


def test_a_deidentified_file_keeps_the_digest_alone(slide_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "case.hc.tif"
    with open_source(slide_path) as slide:
        encode(slide, out, BicubicGenerator(4), EncodeSettings(verify="none", deidentify=True))
    with Container(out) as container:
        stated = container.manifest.source
        assert slide_path.name.encode() not in container.manifest_json
    assert stated is not None
    (file,) = stated.files
    assert (file.name, file.modified) == (None, None)
    assert file.sha256 == hashlib.sha256(slide_path.read_bytes()).hexdigest()


def test_the_environment_may_set_the_time(slide_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    with open_source(slide_path) as slide, SourceTie(slide, deidentify=False) as tie:
        found = tie.result()
    assert found is not None
    assert found.encoded == "1970-01-02T00:00:00Z"


def test_a_source_that_is_not_on_disk_has_no_tie(slide_image: Image) -> None:
    with SourceTie(ArraySource(slide_image), deidentify=False) as tie:
        assert tie.result() is None


def test_a_source_that_vanishes_is_an_error(slide_image: Image, tmp_path: Path) -> None:
    source = ArraySource(slide_image, path=tmp_path / "a", files=(tmp_path / "a",))
    with SourceTie(source, deidentify=False) as tie, pytest.raises(SourceReadError, match="cannot be read"):
        tie.result()


def test_more_files_than_can_be_listed(slide_image: Image, tmp_path: Path) -> None:
    with SourceTie(ArraySource(slide_image, files=(tmp_path / "a",) * 1001), deidentify=False) as tie:
        assert tie.result() is None
        assert "of 1001 files" in tie.notes[0]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (["s/Data.dat"], ["s.mrxs", "s/Data.dat"]),
        (["s/a:b", "s/back\\slash", "s/line\nend"], ["s.mrxs", None, None, None]),
        (["s/A", "s/a"], ["s.mrxs", None, None]),
        (["s/" + 256 * "x"], ["s.mrxs", None]),
        (["s/\udc80"], ["s.mrxs", None]),
    ],
)
def test_names_that_other_systems_do_not_take_are_not_said(others: list[str], expected: list[str | None]) -> None:
    folder = Path("/data")
    assert names_of((folder / "s.mrxs", *(folder / name for name in others))) == expected


def test_a_region_is_still_read(slide_path: Path) -> None:
    """The thread that computes the tie reads the file by itself."""
    with open_source(slide_path) as slide, SourceTie(slide, deidentify=False) as tie:
        assert slide.read(Region(0, 0, 16, 16)).shape == (16, 16, 3)
        assert tie.result() is not None
        assert slide.size == Size(1100, 900)


def test_a_source_that_grows_meanwhile_is_refused(slide_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    path.write_bytes(slide_path.read_bytes())
    with open_source(path) as slide:
        with path.open("ab") as file:
            file.write(b"more")
        with SourceTie(slide, deidentify=False) as tie, pytest.raises(SourceReadError, match="changed while"):
            tie.result()


def test_a_time_of_four_digits() -> None:
    assert _text_of(-60_000_000_000.0) == "0068-09-03T13:20:00Z"
    assert _text_of(-100_000_000_000.0) is None


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut off": lambda path: os.truncate(path, 1000),
    "written over": lambda path: path.write_bytes(path.read_bytes()[::-1]),
    "replaced": lambda path: path.replace(path.with_name("away")) and path.write_bytes(b"another slide"),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("stage", ["reading", "coding", "measuring"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_is_never_tied_to_pixels_of_another(
    slide_path: Path, tmp_path: Path, stage: str, change: str
) -> None:
    path, out = tmp_path / "slide.tif", tmp_path / "out.hc.tif"
    shutil.copy(slide_path, path)
    changed: list[object] = []

    def meddle(now: str, done: int, total: int) -> None:
        if now == stage and not changed:
            changed.append(CHANGES[change](path))

    with open_source(path) as slide, pytest.raises(SourceReadError, match=r"slide\.tif: (changed|vanished|cannot)"):
        encode(slide, out, BicubicGenerator(4), EncodeSettings(codec="jp2k"), progress=meddle)
    assert changed
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.skipif(os.name != "posix", reason="links and rights of POSIX")
def test_a_link_or_other_rights_are_no_change(slide_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    shutil.copy(slide_path, path)
    with open_source(path) as slide, SourceTie(slide, deidentify=False) as tie:
        assert tie.result() is not None
        (tmp_path / "link").hardlink_to(path)
        path.chmod(0o600)
        tie.check()


@pytest.mark.skipif(os.name != "posix", reason="times that nobody can set")
def test_other_bytes_under_the_same_time_before_the_tie(slide_path: Path, tmp_path: Path) -> None:
    """The tie is of the new bytes, and the pixels may be of the old ones."""
    path = tmp_path / "slide.tif"
    shutil.copy(slide_path, path)
    before = path.stat()
    with open_source(path) as slide:
        time.sleep(0.02)
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with SourceTie(slide, deidentify=False) as tie, pytest.raises(SourceReadError, match="changed while"):
            tie.result()


@pytest.mark.skipif(os.name != "posix", reason="times that nobody can set")
def test_other_bytes_under_the_same_time(slide_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    shutil.copy(slide_path, path)
    before = path.stat()
    with open_source(path) as slide, SourceTie(slide, deidentify=False) as tie:
        assert tie.result() is not None
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(SourceReadError, match="changed while it was read"):
            tie.check()
