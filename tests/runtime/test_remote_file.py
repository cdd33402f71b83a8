"""Files on real servers: nginx with and without ranges, over wires that are cut, and an S3 server."""

from __future__ import annotations

import os
import pickle
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from histocodec.errors import ChangedFile, FileError, MissingFile
from histocodec.runtime import remote_file
from histocodec.runtime.range_cache import BLOCK_BYTES
from histocodec.runtime.remote_file import ATTEMPTS, RemoteFile, public_name
from histocodec.runtime.transports import MOST_WHOLE_BYTES
from tests.runtime.servers import Served, Wire, free_port, start_nginx

fsspec = pytest.importorskip("fsspec")
DATA = random.Random(0).randbytes(40 * BLOCK_BYTES + 100)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (pip install '.[remote]')")
    yield from start_nginx(tmp_path_factory.mktemp("nginx"))


@pytest.fixture
def served(server: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A server with the file `a.bin`, and short pauses between attempts."""
    monkeypatch.setattr(remote_file, "FIRST_PAUSE_S", 0.01)
    (server.files / "a.bin").write_bytes(DATA)
    os.utime(server.files / "a.bin", (1e9, 1e9))
    return server


def test_a_file_is_read_by_ranges(served: Served) -> None:
    before = len(served.requests())
    with RemoteFile(served.url("a.bin")) as file:
        assert file.size_bytes == len(DATA)
        assert file.read_at(5, 10) == DATA[5:15]  # came with the opening
        assert file.read_at(30 * BLOCK_BYTES, 100) == DATA[30 * BLOCK_BYTES :][:100]
        assert file.read_at(len(DATA) - 5, 100) == DATA[-5:]
        assert file.read_at(len(DATA) + 5, 100) == b""
        file.expect([(10 * BLOCK_BYTES, 5), (11 * BLOCK_BYTES, 5), (25 * BLOCK_BYTES, 5)])
        assert file.read_at(11 * BLOCK_BYTES, 5) == DATA[11 * BLOCK_BYTES :][:5]
    with pytest.raises(ValueError, match="closed"):
        file.read_at(0, 1)
    asked = served.requests_after(before, 5)
    assert [(method, status) for method, status, _ in asked] == [("GET", 206)] * 5
    assert sum(count for *_, count in asked) == 5 * BLOCK_BYTES + 100


def test_a_server_without_ranges_gives_a_short_file_once(served: Served) -> None:
    before = len(served.requests())
    with RemoteFile(served.url("a.bin", "whole")) as file:
        assert [file.read_at(at, 9) for at in (0, 300_000, len(DATA) - 3)] == [
            DATA[:9],
            DATA[300_000:300_009],
            DATA[-3:],
        ]
        file.expect([(0, len(DATA))])
    assert [request[:2] for request in served.requests_after(before, 1)] == [("GET", 200)]


def test_a_long_file_of_a_server_without_ranges_is_refused(served: Served) -> None:
    path = served.files / "long.bin"
    with path.open("wb") as file:
        file.truncate(4 * MOST_WHOLE_BYTES)
    before = len(served.requests())
    with pytest.raises(FileError, match=r"gives no parts of files, and all 268 MB of this .* only up to 64 MiB are"):
        RemoteFile(served.url("long.bin", "whole"))
    assert sum(count for *_, count in served.requests_after(before, 1)) < MOST_WHOLE_BYTES
    with RemoteFile(served.url("long.bin")) as far:
        assert far.read_at(3 * MOST_WHOLE_BYTES, 3) == bytes(3)
    path.unlink()


@pytest.mark.parametrize("cuts", [[0], [100], [3000, 40, 0]])
def test_a_wire_that_is_cut_is_tried_again(served: Served, cuts: list[int]) -> None:
    wire = Wire(served.port, list(cuts))
    try:
        with RemoteFile(f"http://127.0.0.1:{wire.port}/files/a.bin") as file:
            assert file.read_at(0, BLOCK_BYTES) == DATA[:BLOCK_BYTES]
        assert wire.connections == len(cuts) + 1
    finally:
        wire.close()


def test_a_wire_that_is_always_cut_fails_in_the_end(served: Served) -> None:
    wire = Wire(served.port, [500] * 50)
    try:
        with pytest.raises(FileError, match=f"a.bin: cannot be read after {ATTEMPTS} attempts: "):
            RemoteFile(f"http://127.0.0.1:{wire.port}/files/a.bin")
        assert wire.connections == ATTEMPTS
    finally:
        wire.close()


def test_what_a_server_refuses_is_said_and_not_tried_again(served: Served) -> None:
    before = len(served.requests())
    with pytest.raises(MissingFile, match=r"none.bin: no such file: the server answered 404 Not Found$") as missing:
        RemoteFile(served.url("none.bin"))
    assert isinstance(missing.value, FileNotFoundError)
    assert missing.value.path == served.url("none.bin")
    with pytest.raises(FileError, match="access was refused: the server answered 403 Forbidden; credentials"):
        RemoteFile(served.url("a.bin", "forbidden"))
    assert len(served.requests_after(before, 2)) == 2


def test_a_busy_server_is_asked_again(served: Served) -> None:
    before = len(served.requests())
    with pytest.raises(FileError, match=f"after {ATTEMPTS} attempts: the server answered 503 Service Unavailable"):
        RemoteFile(served.url("a.bin", "busy"))
    assert len(served.requests_after(before, ATTEMPTS)) == ATTEMPTS


def test_a_server_that_is_not_there(served: Served) -> None:
    with pytest.raises(FileError, match=f"after {ATTEMPTS} attempts: Connect"):
        RemoteFile(f"http://127.0.0.1:{free_port()}/a.bin")


@pytest.mark.parametrize("change", ["bytes", "length", "gone"])
def test_a_file_that_changes_is_an_error_and_never_a_mixture(served: Served, change: str) -> None:
    path = served.files / "changing.bin"
    path.write_bytes(DATA)
    os.utime(path, (1e9, 1e9))
    with RemoteFile(served.url("changing.bin")) as file:
        if change == "gone":
            path.unlink()
        else:
            path.write_bytes(DATA[::-1] if change == "bytes" else DATA[:-1])
        with pytest.raises(MissingFile if change == "gone" else ChangedFile):
            file.read_at(20 * BLOCK_BYTES, 5)
        assert file.read_at(0, 5) == DATA[:5]


def test_an_empty_file_is_one(served: Served) -> None:
    (served.files / "empty.bin").touch()
    with RemoteFile(served.url("empty.bin")) as file:
        assert file.size_bytes == 0
        assert file.read_at(0, 5) == b""


def test_secrets_stay_out_of_messages(served: Served) -> None:
    url = served.url("a.bin?token=secret", "private")
    with RemoteFile(url) as file:
        assert file.read_at(0, 4) == DATA[:4]
        assert file.name == served.url("a.bin", "private")
        assert file.location == url
    for refused in (served.url("none.bin?token=secret", "private"), served.url("a.bin?token=secret", "forbidden")):
        with pytest.raises(FileError) as error:
            RemoteFile(refused)
        assert "secret" not in str(error.value) + repr(error.value) + str(error.value.path)
        assert error.value.__suppress_context__ or error.value.__context__ is None
    for refused in ("https://me:secret@host/a.bin", "simplecache::https://me:secret@host/a.bin", "https://:secret@[h/"):
        with pytest.raises(FileError, match="a password in a URL ends up in logs") as error:
            RemoteFile(refused)
        assert "secret" not in str(error.value)
    assert public_name("simplecache::https://u:p@h/a?x=1#y") == "simplecache::https://h/a"


def test_a_child_process_reads_on_by_itself(served: Served) -> None:
    with RemoteFile(served.url("a.bin")) as file:
        assert file.read_at(0, 5) == DATA[:5]
        child = os.fork()
        if child == 0:
            try:
                same = file.read_at(20 * BLOCK_BYTES, 5) == DATA[20 * BLOCK_BYTES :][:5]
            except BaseException:
                same = False
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert file.read_at(30 * BLOCK_BYTES, 5) == DATA[30 * BLOCK_BYTES :][:5]


# ---------------------------------------------------------------------------------------------------------------- S3


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server with the bucket `slides`, and credentials in the environment."""
    pytest.importorskip("s3fs", reason="s3fs is not installed (pip install '.[remote]')")
    pytest.importorskip("moto", reason="moto, an S3 server, is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        file_system = fsspec.filesystem("s3")
        file_system.mkdir("slides")
        file_system.pipe("slides/a.bin", DATA)
        yield url
    server.stop()


def test_an_object_is_read_by_ranges(endpoint: str) -> None:
    with RemoteFile("s3://slides/a.bin") as file:
        assert file.size_bytes == len(DATA)
        assert file.read_at(30 * BLOCK_BYTES, 100) == DATA[30 * BLOCK_BYTES :][:100]
        assert file.read_at(len(DATA) - 5, 100) == DATA[-5:]


def test_an_object_that_is_not_there(endpoint: str) -> None:
    for url in ("s3://slides/none.bin", "s3://elsewhere/a.bin"):
        with pytest.raises(MissingFile, match="no such file: the server answered 404 Not Found"):
            RemoteFile(url)


def test_an_object_that_may_not_be_read(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    file_system = fsspec.filesystem("s3")
    file_system.clear_instance_cache()
    try:
        with pytest.raises(
            FileError, match=r"a.bin: no credentials were found; credentials are taken from the environ"
        ):
            RemoteFile("s3://slides/a.bin")
    finally:
        file_system.clear_instance_cache()


def test_an_object_that_changes_is_an_error(endpoint: str) -> None:
    file_system = fsspec.filesystem("s3")
    file_system.pipe("slides/changing.bin", DATA)
    with RemoteFile("s3://slides/changing.bin") as file:
        file_system.pipe("slides/changing.bin", DATA[::-1])
        with pytest.raises(ChangedFile, match="was replaced by another file"):
            file.read_at(20 * BLOCK_BYTES, 5)


def test_a_wire_to_an_object_that_is_cut_is_tried_again(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(int(endpoint.rpartition(":")[2]), [1500, 3000])
    monkeypatch.setattr(remote_file, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{wire.port}")
    file_system = fsspec.filesystem("s3")
    file_system.clear_instance_cache()
    try:
        with RemoteFile("s3://slides/a.bin") as file:
            assert file.read_at(0, BLOCK_BYTES) == DATA[:BLOCK_BYTES]
        assert wire.connections == 3
    finally:
        wire.close()
        file_system.clear_instance_cache()


def test_an_empty_object_is_one(endpoint: str) -> None:
    fsspec.filesystem("s3").pipe("slides/empty.bin", b"")
    with RemoteFile("s3://slides/empty.bin") as file:
        assert file.size_bytes == 0


# ------------------------------------------------------------------------------------------------------ other systems


def test_any_file_system_of_fsspec(tmp_path: Path) -> None:
    file_system = fsspec.filesystem("memory")
    file_system.pipe("/remote/a.bin", DATA)
    with RemoteFile("memory://remote/a.bin") as file:
        assert file.read_at(30 * BLOCK_BYTES, 100) == DATA[30 * BLOCK_BYTES :][:100]
        file_system.pipe("/remote/a.bin", DATA[:-1])
        with pytest.raises(ChangedFile):
            file.read_at(20 * BLOCK_BYTES, 5)
    with pytest.raises(MissingFile):
        RemoteFile("memory://remote/none.bin")
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    with RemoteFile(f"simplecache::file://{path}") as file:
        assert file.read_at(30 * BLOCK_BYTES, 100) == DATA[30 * BLOCK_BYTES :][:100]


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(FileError, match=r"no file system is known for nonsense://"):
        RemoteFile("nonsense://host/a.bin")


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(FileError, match=r"not installed.*: pip install 'histocodec\[remote\]'"):
        RemoteFile("https://host/a.bin")


def test_a_refusal_pickles() -> None:
    error = pickle.loads(pickle.dumps(ChangedFile("https://host/a.bin", "changed")))
    assert (str(error), error.path) == ("https://host/a.bin: changed", "https://host/a.bin")
