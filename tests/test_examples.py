"""The examples run, each on a small synthetic slide."""

from __future__ import annotations

import csv
import http.client
import importlib.util
import io
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import imagecodecs
import numpy as np
import pytest
from PIL import Image

import histocodec
from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from tests.places import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


def load(name: str) -> ModuleType:
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_short_and_tested() -> None:
    tested = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'load("{path.stem}")' in tested, path.name
        assert len(path.read_text().splitlines()) <= 60, path.name


@pytest.mark.parametrize("level", [0, 1])
def test_read_region(tmp_path: Path, container_path: Path, capsys: pytest.CaptureFixture[str], level: int) -> None:
    picture = tmp_path / "spot.png"
    load("read_region").main([str(container_path), "40,30,100,60", str(picture), "--level", str(level)])
    with histocodec.Decoder(container_path) as decoder:
        expected = decoder.read(histocodec.Region(40, 30, 100, 60), level)
    assert np.array_equal(np.asarray(Image.open(picture)), expected)
    assert ("bicubic-x4" if level == 0 else "stored") in capsys.readouterr().out


def test_encode_folder_goes_on_after_a_bad_slide_and_skips_what_is_there(tmp_path: Path, slide_path: Path) -> None:
    slides, archive = tmp_path / "slides", tmp_path / "archive"
    slides.mkdir()
    shutil.copy(slide_path, slides / "good.tif")
    (slides / "bad.svs").write_bytes(b"no slide")
    main = load("encode_folder").main
    assert main([str(slides), str(archive), "--ratio", "8"]) == 1
    written = archive / "good.tif.hc.tif"
    assert histocodec.validate(written) == []
    (row,) = csv.reader((archive / "report.csv").read_text().splitlines())
    assert row[0] == "good.tif"
    assert int(row[1]) >= 8 * int(row[2]) == 8 * written.stat().st_size
    before = written.stat().st_mtime_ns
    (slides / "bad.svs").unlink()
    assert main([str(slides), str(archive)]) == 0
    assert written.stat().st_mtime_ns == before


@pytest.fixture
def served(container_path: Path) -> Iterator[http.client.HTTPConnection]:
    with histocodec.Decoder(container_path) as decoder, load("tile_server").server(decoder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        yield connection
        connection.close()
        server.shutdown()
        thread.join()


def test_tile_server(served: http.client.HTTPConnection, container_path: Path) -> None:
    served.request("GET", "/0/4/3.png")
    answer = served.getresponse()
    tile = np.asarray(Image.open(io.BytesIO(answer.read())))
    with histocodec.Decoder(container_path) as decoder:
        assert np.array_equal(
            tile, decoder.read(histocodec.Region(1024, 768, 76, 132))
        )  # cut at the edge of 1100 x 900
    assert answer.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("path", ["/", "/9/0/0.png", "/0/5/0.png", "/0/0/99999.png", "/0/-1/0.png", "/0/0/0.png/.."])
def test_tile_server_has_nothing_else(served: http.client.HTTPConnection, path: str) -> None:
    served.request("GET", path)
    assert served.getresponse().status == 404


def test_train_your_scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slides, output = tmp_path / "slides", tmp_path / "ours-x4.safetensors"
    slides.mkdir()
    (slides / "tile.png").write_bytes(imagecodecs.png_encode(tissue(Size(512, 512), seed=1)))
    example = load("train_your_scanner")
    small = example.CONFIG.replace("batch = 8, crop = 64", "batch = 1, crop = 16, log_every = 1, warmup_steps = 1")
    assert small != example.CONFIG
    monkeypatch.setattr(example, "CONFIG", small)
    example.main([str(slides), str(output), "--steps", "2"])
    trained = histocodec.load_generator(output)
    assert (trained.name, trained.scale) == ("ours-x4", 4)
    assert trained.digest != histocodec.load_generator("jp2k-x4").digest


def test_no_example_needs_more_than_the_package_brings() -> None:
    allowed = {"histocodec", "PIL", "numpy", *sys.stdlib_module_names}
    for path in EXAMPLES.glob("*.py"):
        lines = [line.split() for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert {line[1].split(".")[0] for line in lines} <= allowed, path.name


def test_tile_server_says_that_a_tile_is_damaged(
    served: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise histocodec.HistocodecError("its bytes changed")

    monkeypatch.setattr(histocodec.Decoder, "read", damaged)
    served.request("GET", "/0/0/0.png")
    answer = served.getresponse()
    assert answer.status == 500
    assert b"its bytes changed" in answer.read()
