"""What comes back out of an archive: originals, and files at a tier, elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import msgspec
import pytest

from histocodec.archive.catalogue import Catalogue
from histocodec.archive.checksums import parsed
from histocodec.archive.export import SUMS, export
from histocodec.archive.originals import restore_originals
from histocodec.archive.records import Task
from histocodec.archive.selecting import chosen
from histocodec.archive.work import do_task
from histocodec.errors import MissingFile, NoSpace
from histocodec.format.reader import Container
from tests.archive.inputs import QUICK, catalogued, write_slides

KEPT = msgspec.structs.replace(QUICK, keep_original=True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides with their originals, and one without."""
    folder = tmp_path_factory.mktemp("export")
    write_slides(folder / "in", 3)
    catalogue, _ = catalogued(folder / "archive", folder / "in", choices=KEPT)
    with catalogue:
        while (row := catalogue.claim()) is not None:
            Path(catalogue.output(row)).parent.mkdir(exist_ok=True)
            done = do_task(
                Task(
                    number=row["id"],
                    kind="encode",
                    source=row["source"],
                    output=catalogue.output(row),
                    choices=QUICK if row["id"] == 3 else KEPT,
                )
            )
            assert done.error is None
            catalogue.finish(done)
    return folder / "archive"


@pytest.fixture
def catalogue(archive: Path) -> Iterator[Catalogue]:
    with Catalogue.open(archive) as opened:
        yield opened


def test_names_and_patterns(catalogue: Catalogue) -> None:
    def places(*names: str) -> list[str]:
        return [row["output"] for row in chosen(catalogue, names)]

    assert places() == ["a/slide-000.hc.tif", "b/slide-001.hc.tif", "c/slide-002.hc.tif"]
    assert places("slide-001") == places("slide-001.tif") == places("b/*") == ["b/slide-001.hc.tif"]
    assert places(str(catalogue.row(1)["source"]), "c/slide-002.hc.tif") == [
        "a/slide-000.hc.tif",
        "c/slide-002.hc.tif",
    ]
    with pytest.raises(MissingFile, match="fits slide-9, other"):
        places("slide-9", "slide-001", "other")


def test_originals_come_back(catalogue: Catalogue, tmp_path: Path) -> None:
    found = {row["id"]: (paths, error) for row, paths, error in restore_originals(catalogue, [], tmp_path)}
    for number in (1, 2):
        (path,) = found[number][0]
        source = Path(catalogue.row(number)["source"])
        assert path == tmp_path / "ab"[number - 1] / source.name
        assert path.read_bytes() == source.read_bytes()
    assert "keeps no original" in (found[3][1] or "")
    assert not (tmp_path / "c").exists()


def test_restoring_goes_on_where_it_was_stopped(catalogue: Catalogue, tmp_path: Path) -> None:
    """What is there already, and the same, is left alone; another file of that name is not replaced."""
    (_, (path,), _), *_ = list(restore_originals(catalogue, [], tmp_path))
    before = path.stat().st_ino
    found = {row["id"]: (paths, error) for row, paths, error in restore_originals(catalogue, [], tmp_path)}
    assert found[1] == ((path,), None)
    assert path.stat().st_ino == before
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    other = path.read_bytes()
    ((_, paths, error),) = restore_originals(catalogue, ["a/*"], tmp_path)
    assert not paths
    assert "exists already" in (error or "")
    assert path.read_bytes() == other
    assert [error for *_, error in restore_originals(catalogue, ["a/*"], tmp_path, overwrite=True)] == [None]


def test_a_full_disk_ends_it(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path, target: Path, **__: object) -> None:
        raise NoSpace(target, "the disk is full")

    monkeypatch.setattr("histocodec.archive.originals.restore", full)
    told = [error or "" for *_, error in restore_originals(catalogue, [], tmp_path)]
    assert told[0].endswith(": the disk is full")
    assert told[1:] == ["not begun, as the disk is full"] * 2
    monkeypatch.setattr("histocodec.archive.export.FarFolder.send", lambda _, file, place: full(file, place))
    with pytest.raises(NoSpace):
        list(export(catalogue, [], tmp_path / "far", None))


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_files_arrive_at_a_tier(catalogue: Catalogue, tmp_path: Path, where: str) -> None:
    to = str(tmp_path / "far") if where == "disk" else f"memory://{tmp_path.name}"
    sent = list(export(catalogue, [], to, "reconstructed"))
    assert [each.error for each in sent] == [None] * 3
    assert [each.was_there for each in sent] == [False] * 3
    read = fsspec.filesystem("file" if where == "disk" else "memory").cat_file
    root = to.removeprefix("memory:/")
    lines = {line.name: line.digest for line in parsed(read(f"{root}/{SUMS}").decode())}
    assert set(lines) == {row["output"] for row in catalogue.rows()}
    for name, digest in lines.items():
        data = read(f"{root}/{name}")
        assert hashlib.sha256(data).hexdigest() == digest
        (tmp_path / "one.hc.tif").write_bytes(data)
        with Container(tmp_path / "one.hc.tif") as container:
            assert container.manifest.tier == "reconstructed"
    assert lines["c/slide-002.hc.tif"] == catalogue.row(3)["output_sha256"], "nothing had to be taken off"
    assert [each.was_there for each in export(catalogue, ["a/*"], to, "reconstructed")] == [True]


def test_a_file_that_changed_is_not_sent(catalogue: Catalogue, archive: Path, tmp_path: Path) -> None:
    with catalogue.writing() as database:
        database.execute("UPDATE slide SET output_sha256 = 'of another' WHERE id = 2")
    sent = {each.row["id"]: each.error for each in export(catalogue, [], tmp_path / "far", None)}
    assert "not those that were written" in (sent[2] or "")
    assert sent[1] is sent[3] is None
    assert not (tmp_path / "far" / "b").exists()
    with catalogue.writing() as database:
        digest = hashlib.sha256((archive / "b" / "slide-001.hc.tif").read_bytes()).hexdigest()
        database.execute("UPDATE slide SET output_sha256 = ? WHERE id = 2", (digest,))


def test_other_bytes_at_the_far_end_are_noticed(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(_: object, file: Path, place: object) -> None:
        (tmp_path / "arrived").write_bytes(file.read_bytes()[:-1])

    monkeypatch.setattr("histocodec.archive.export.FarFolder.send", lossy)
    monkeypatch.setattr("histocodec.archive.export.FarFolder.sha256", lambda *_: "another")
    assert {"other bytes arrived" in (each.error or "") for each in export(catalogue, [], tmp_path / "far", None)} == {
        True
    }
