"""Files that are sent to a folder or server, and read back."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

import fsspec
import pytest

from histocodec.errors import FileError, NoSpace, OutputError
from histocodec.runtime.far_folder import FarFolder

PLACE = PurePosixPath("inner/file.bin")


@pytest.fixture(params=["disk", "memory"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> FarFolder:
    return FarFolder(tmp_path / "far" if request.param == "disk" else f"memory://{tmp_path.name}/far/")


def test_what_is_sent_can_be_read_back(far: FarFolder, tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert far.sha256(PLACE) is None
    for content in (b"first", b"second, and longer"):
        file.write_bytes(content)
        far.send(file, PLACE)
        assert far.sha256(PLACE) == hashlib.sha256(content).hexdigest()
    assert far.where(PLACE).endswith("/far/inner/file.bin")


def test_a_server_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = FarFolder("memory://refused")
    (tmp_path / "file").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("a secret that a library would tell")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "put_file", refuse)
    with pytest.raises(OutputError, match="cannot be written: PermissionError") as caught:
        far.send(tmp_path / "file", PLACE)
    assert "secret" not in str(caught.value)
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "open", refuse)
    with pytest.raises(OutputError, match="cannot be read back"):
        far.sha256(PLACE)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match="cannot be made"):
        FarFolder(tmp_path / "file").send(tmp_path / "file", PLACE)


def test_no_such_file_system() -> None:
    with pytest.raises(FileError, match="no file system is known"):
        FarFolder("nonsense://bucket")


def test_a_disk_that_fills_up_while_a_file_is_fetched(far: FarFolder, tmp_path: Path) -> None:
    """The disk is to blame, and not the server."""
    resource = pytest.importorskip("resource")
    (tmp_path / "file").write_bytes(bytes(300_000))
    far.send(tmp_path / "file", PLACE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(NoSpace, match="fetched: the file system"):
            far.fetch(PLACE, tmp_path / "fetched")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
