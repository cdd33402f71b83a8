"""One task: what is measured of an encode, an estimate, and what a verification finds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from histocodec.archive.records import Outcome, Task
from histocodec.archive.work import do_task
from histocodec.format.reader import Container
from histocodec.runtime.digest import sha256_of
from tests.archive.inputs import QUICK


def task(kind: str, source: Path, output: Path, **more: object) -> Task:
    facts = {"number": 7, "kind": kind, "source": str(source), "output": str(output), "choices": QUICK, **more}
    return Task(**facts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory, slide_path: Path) -> tuple[Path, Outcome]:
    path = tmp_path_factory.mktemp("work") / "slide.hc.tif"
    return path, do_task(task("encode", slide_path, path))


def test_an_encode_is_measured(encoded: tuple[Path, Outcome], slide_path: Path) -> None:
    path, found = encoded
    assert found.error is None
    assert found.measured is not None
    measured = found.measured
    assert measured.output_sha256 == sha256_of(path)
    assert measured.source_sha256 == sha256_of(slide_path)
    assert measured.output_bytes == path.stat().st_size
    with Container(path) as container:
        assert measured.base_bytes == container.tile_bytes(0)
        assert container.manifest.quality is not None
        assert measured.psnr_mean_db == container.manifest.quality.psnr_db.mean
    parts = measured.base_bytes + measured.reduced_bytes + measured.enhancement_bytes + measured.original_bytes
    assert parts + measured.other_bytes == measured.output_bytes
    assert found.peak_bytes is None or found.peak_bytes > 1 << 20
    assert msgspec.json.decode(msgspec.json.encode(found), type=Outcome) == found


def test_a_failure_is_an_outcome(tmp_path: Path) -> None:
    found = do_task(task("encode", tmp_path / "none.svs", tmp_path / "out.hc.tif"))
    assert (found.error_class, found.error) == ("MissingSource", f"{tmp_path / 'none.svs'}: no such file")
    assert found.traceback is None


def test_what_nobody_foresaw_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("histocodec.archive.work.open_source", broken)
    found = do_task(task("encode", tmp_path / "a.svs", tmp_path / "out.hc.tif"))
    assert (found.error_class, found.error) == ("ZeroDivisionError", "no reason was given")
    assert "in broken" in (found.traceback or "")


@pytest.mark.parametrize("changed", [{"ratio": 16.0, "quality": None}, {}])
def test_an_estimate(tmp_path: Path, slide_path: Path, changed: dict[str, object]) -> None:
    """By a sample, where there is a ratio; else by an encode that is thrown away."""
    choices = msgspec.structs.replace(QUICK, **changed)
    found = do_task(task("estimate", slide_path, tmp_path, choices=choices))
    assert found.error is None
    assert found.estimate is not None
    assert 0 < found.estimate.output_bytes < slide_path.stat().st_size
    if changed:
        assert found.estimate.ratio >= 16
    assert not list(tmp_path.iterdir())


def test_verification_finds_fault(encoded: tuple[Path, Outcome], slide_path: Path, tmp_path: Path) -> None:
    path, made = encoded
    assert made.measured is not None
    stated = {
        "output_sha256": made.measured.output_sha256,
        "source_sha256": made.measured.source_sha256,
        "psnr_mean_db": made.measured.psnr_mean_db,
    }
    good = do_task(task("verify", slide_path, path, against_source=True, deep=True, **stated))
    assert good.error is None
    other = tmp_path / "other.tif"
    other.write_bytes(slide_path.read_bytes() + b"\0")
    wrong_source = do_task(task("verify", other, path, against_source=True, **stated))
    assert "the source has other bytes" in (wrong_source.error or "")
    assert do_task(task("verify", other, path, **stated)).error is None, "nobody asked for the source"
    better = do_task(task("verify", slide_path, path, against_source=True, **(stated | {"psnr_mean_db": 60.0})))
    assert "its mean PSNR is" in (better.error or "")
    damaged = tmp_path / "damaged.hc.tif"
    data = bytearray(path.read_bytes())
    with Container(path) as container:
        tile = container.tile(0, 0)
    data[data.index(tile) + len(tile) // 2] ^= 255
    damaged.write_bytes(data)
    changed = do_task(task("verify", slide_path, damaged, **stated))
    assert "not those that were written" in (changed.error or "")
    invalid = do_task(task("verify", slide_path, damaged, **(stated | {"output_sha256": sha256_of(damaged)})))
    assert invalid.error_class == "ContainerError"
    assert "tile-checksum" in (invalid.error or "")
