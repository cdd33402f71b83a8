"""The server's addresses: what is there, what is not, and tiles of requests that were given up."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image as PILImage
from starlette.testclient import TestClient

from histocodec.decoder import Decoder
from histocodec.errors import FileError
from histocodec.geometry import Region
from histocodec.runtime.sandbox import Sandbox
from histocodec.viewer.app import Served, application
from histocodec.viewer.shown import Shown
from histocodec.viewer.slides import Named, Slides
from tests.runtime import hostile
from tests.viewer.inputs import damaged, running


@pytest.fixture(scope="module")
def hurt(container_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damaged(container_path, tmp_path_factory.mktemp("hurt") / "hurt.hc.tif")


@pytest.fixture(scope="module")
def client(all_tiers: Path, hurt: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    cut = tmp_path_factory.mktemp("cut") / "cut.hc.tif"
    cut.write_bytes(all_tiers.read_bytes()[:3000])
    slides = Slides.opened([str(all_tiers), str(hurt), str(cut)], Shown)
    served = Served(slides, quality=100, describe=lambda container: f"text on {container.path.name}")  # type: ignore[union-attr]
    with TestClient(application(served)) as opened:
        yield opened


def test_the_page_is_there_with_all_that_it_names(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son[a-z]+=|https?:", page.text)
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "page/openseadragon/openseadragon.min.js" in wanted
    for name in [*wanted]:
        if name.endswith(".js"):
            script = client.get(f"/{name}")
            assert script.headers["content-type"] == "text/javascript; charset=utf-8"
            wanted += [f"page/{other}" for other in re.findall(r'from "\./([a-z]+\.js)"', script.text)]
        assert client.get(f"/{name}").status_code == 200, name
    scripts = {file.name for file in (files("histocodec.viewer") / "page").iterdir() if file.name.endswith(".js")}
    pending = [name for name in scripts if f"page/{name}" not in wanted]
    for name in wanted:
        text = client.get(f"/{name}").text if name.endswith(".js") and "openseadragon" not in name else ""
        pending = [other for other in pending if f'"./{other}"' not in text]
    assert pending == []


def test_openseadragon_is_the_one_that_its_note_names() -> None:
    folder = files("histocodec.viewer") / "page" / "openseadragon"
    digest = hashlib.sha256((folder / "openseadragon.min.js").read_bytes()).hexdigest()
    assert digest in (folder / "README.txt").read_text()
    assert "Redistribution and use in source and binary forms" in (folder / "LICENSE.txt").read_text()


def test_nothing_else_is_there(client: TestClient) -> None:
    for path in (
        "/page/../shown.py",
        "/page/%2e%2e/shown.py",
        "/page/..%2fshown.py",
        "/page//etc/passwd",
        "/etc/passwd",
        "/slide/../../etc/passwd.dzi",
        "/slide/%2e%2e%2fslide.dzi",
        "/slide/nobody.dzi",
        "/slide/all-tiers/sharper.dzi",
        "/slide/all-tiers_files/11/6_0.jpeg",
        "/slide/all-tiers_files/12/0_0.jpeg",
        "/slide/all-tiers_files/11/-1_0.jpeg",
        "/slide/all-tiers_files/11/" + "9" * 5000 + "_0.jpeg",
        "/slide/all-tiers_files/11/0_0.png",
        "/slide/hurt/original_files/10/0_0.jpeg",
    ):
        assert client.get(path).status_code == 404, path
    assert client.post("/slides.json").status_code == 405


def test_a_tile_is_the_decoders(client: TestClient, all_tiers: Path) -> None:
    with Decoder(all_tiers) as decoder:
        expected = decoder.read(Region(1024, 256, 256, 256)).astype(int)
    for place, near in (("all-tiers_files", True), ("all-tiers/bounded_files", True), ("all-tiers/base_files", False)):
        answer = client.get(f"/slide/{place}/11/4_1.jpeg")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["server-timing"].startswith("tile;dur=")
        found = np.asarray(PILImage.open(io.BytesIO(answer.content))).astype(int)
        assert (np.abs(found - expected).mean() < 1.5) == near
    webp = client.get("/slide/all-tiers_files/11/5_4.webp")
    assert webp.headers["content-type"] == "image/webp"
    assert PILImage.open(io.BytesIO(webp.content)).size == (20, 76)


def test_a_browser_that_has_a_tile_is_told_so(client: TestClient) -> None:
    first = client.get("/slide/all-tiers_files/11/0_0.jpeg")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    again = client.get("/slide/all-tiers_files/11/0_0.jpeg", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/slide/all-tiers/original_files/11/0_0.jpeg", headers={"If-None-Match": tag})
    assert other.status_code == 200


def test_a_descriptor_names_the_form(client: TestClient) -> None:
    for path in ("/slide/all-tiers.dzi", "/slide/all-tiers/original.dzi"):
        assert 'Format="jpeg" Overlap="0" TileSize="256"' in client.get(path).text


def test_the_page_is_told_of_every_file(client: TestClient) -> None:
    told = client.get("/slides.json").json()
    whole, hurt, cut = told["slides"]
    assert (whole["name"], whole["title"]) == ("all-tiers", "all tiers.hc.tif")
    assert whole["text"] == "text on all tiers.hc.tif"
    assert "error" not in hurt
    assert "cut.hc.tif" in cut["error"]
    assert client.get("/slide/all-tiers/quality.json").json()["blocks"]
    assert client.get("/slide/all-tiers/regions.json").json()["features"]


def test_a_damaged_tile_is_a_sentence(client: TestClient) -> None:
    answer = client.get("/slide/hurt_files/11/0_0.jpeg")
    assert answer.status_code == 500
    assert "tile-checksum" in answer.json()["error"]
    assert client.get("/slide/cut.dzi").status_code == 500


def test_a_server_that_went_away_is_told_apart_from_damage(
    client: TestClient, all_tiers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: object) -> bytes:
        raise FileError("https://x.org/a.hc.tif", "the connection was lost")

    monkeypatch.setattr(Shown, "coded", gone)
    answer = client.get("/slide/all-tiers_files/11/3_3.jpeg")
    assert answer.status_code == 502
    assert "the connection was lost" in answer.json()["error"]


def test_a_request_that_is_given_up_costs_nothing(all_tiers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    go, coded = threading.Event(), Shown.coded

    def slow(self: Shown, way: str, level: int, region: Region, *more: object) -> bytes:
        made.append(region.x // 256)
        assert go.wait(20)
        return coded(self, way, level, region, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Shown, "coded", slow)
    monkeypatch.setattr("histocodec.viewer.app.core_count", lambda: 1)
    app = application(Served(Slides.opened([str(all_tiers)], Shown)))
    with running(app) as url:
        host, port = urlsplit(url).hostname, urlsplit(url).port
        asked = []
        for column in range(4):
            asked.append(socket.create_connection((host, port), timeout=20))
            address = f"/slide/all-tiers_files/11/{column}_0.jpeg"
            asked[-1].sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            time.sleep(0.2)
        asked[1].close()
        asked[3].close()
        time.sleep(0.5)
        go.set()
        for connection in (asked[0], asked[2]):
            assert connection.recv(12) == b"HTTP/1.1 200"
            connection.close()
        time.sleep(0.3)
    assert made == [0, 2]


def test_a_tile_that_kills_its_decoder_is_a_sentence_and_the_others_are_shown(container_path: Path) -> None:
    with Shown(str(container_path), sandbox=True) as shown:
        checksum = zlib.crc32(shown.container.tile(0, 0))
        shown.container._decoding.sandbox = Sandbox(partial(hostile.poisoned, checksum, hostile.segfault))
        slides = Slides([Named("slide", "slide", shown)])
        with TestClient(application(Served(slides))) as client:
            finest = shown.zoom.finest
            hit = client.get(f"/slide/slide/base_files/{finest}/0_0.jpeg")
            assert (hit.status_code, "failed in its sandbox: its process was ended by SIGSEGV" in hit.text) == (
                500,
                True,
            )
            assert client.get(f"/slide/slide/base_files/{finest}/4_0.jpeg").status_code == 200
