"""Where bytes come from: files, file objects, and what is neither."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import fsspec
import pytest

from histocodec.errors import FileError, MissingFile, SettingsError
from histocodec.runtime.byte_source import FileObject, LocalFile, byte_source, is_url

DATA = bytes(range(200))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a b.bin"
    path.write_bytes(DATA)
    return path


def test_a_path_of_any_kind_is_a_local_file(path: Path) -> None:
    for location in (path, str(path), os.fsencode(path), path.as_uri()):
        source = byte_source(location)
        assert isinstance(source, LocalFile)
        assert (source.size_bytes, source.read_at(10, 5), source.read_at(190, 50)) == (200, DATA[10:15], DATA[190:])
        assert source.read_at(500, 1) == b""
        assert source.location == path
        source.close()
        assert source.is_closed
        with pytest.raises(ValueError, match="closed"):
            source.read_at(0, 1)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="found an empty one"):
        byte_source("")
    with pytest.raises(MissingFile, match="No such file"):
        byte_source(tmp_path / "none")
    with pytest.raises(FileError, match="cannot be read"):
        byte_source(tmp_path)
    with pytest.raises(SettingsError, match="found int"):
        byte_source(5)  # type: ignore[arg-type]


def test_only_texts_with_a_scheme_are_urls() -> None:
    for text in ("https://host/a", "s3://bucket/a", "simplecache::s3://bucket/a", "memory://a", "S3://b/a"):
        assert is_url(text)
    for location in (
        "a.tif",
        "/a/b:c",
        "C:\\a",
        "C:/a",
        "a::b",
        b"https://host/a",
        Path("https://host/a"),
        io.BytesIO(),
    ):
        assert not is_url(location)


def test_an_open_file_is_read_and_stays_open(path: Path) -> None:
    file_system = fsspec.filesystem("memory")
    file_system.pipe("/folder/a.bin", DATA)
    with path.open("rb") as plain, path.open("rb", buffering=0) as raw, file_system.open("/folder/a.bin") as far:
        for file in (io.BytesIO(DATA), plain, raw, far):
            file.seek(7)
            source = byte_source(file)
            assert isinstance(source, FileObject)
            assert (source.size_bytes, source.read_at(10, 5), source.read_at(190, 50)) == (200, DATA[10:15], DATA[190:])
            source.expect([(0, 10)])
            with pytest.raises(TypeError, match="cannot be pickled"):
                _ = source.location
            source.close()
            assert source.is_closed
            assert not file.closed
            with pytest.raises(ValueError, match="closed"):
                source.read_at(0, 1)


def test_threads_share_the_position_of_an_open_file() -> None:
    source = byte_source(io.BytesIO(DATA * 50))
    wrong: list[int] = []

    def read(start: int) -> None:
        wrong.extend(at for at in range(start, 9000, 7) if source.read_at(at, 20) != (DATA * 50)[at : at + 20])

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "pread"), reason="this system reads at a position alone")
def test_the_position_of_an_open_file_on_a_disk_is_left_alone(path: Path) -> None:
    # Forked processes share it, and would move it under each other's hands.
    with path.open("rb") as file:
        source = byte_source(file)
        assert file.seek(7) == 7
        assert source.read_at(20, 5) == DATA[20:25]
        assert source.read_at(190, 50) == DATA[190:]
        assert (os.lseek(file.fileno(), 0, os.SEEK_CUR), file.tell()) == (7, 7)


def test_a_file_of_text_or_a_stream_is_refused(path: Path) -> None:
    with path.open(encoding="latin-1") as text, pytest.raises(SettingsError, match="found one of text"):
        byte_source(text)  # type: ignore[arg-type]
    receiving, sending = os.pipe()
    with os.fdopen(receiving, "rb") as stream, pytest.raises(FileError, match="cannot be read at any place"):
        byte_source(stream)
    os.close(sending)
    closed = io.BytesIO(DATA)
    closed.close()
    with pytest.raises(FileError, match="closed"):
        byte_source(closed)
