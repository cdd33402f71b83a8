"""The page in a real Chromium: it loads, pans, switches, and always says what is shown."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from histocodec.encoder import EncodeSettings
from histocodec.errors import FileError
from histocodec.geometry import Region, Size
from histocodec.viewer.app import Served, application
from histocodec.viewer.deepzoom import Format
from histocodec.viewer.shown import Shown, Way
from histocodec.viewer.slides import Slides
from tests.viewer.inputs import damaged, encoded, running

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")

NOTICE = "Not for primary diagnosis"
READY = (
    "Boolean(window.histocodec && histocodec.panes.length && "
    "histocodec.panes.every(pane => pane.slide.error || pane.isLoaded()))"
)


class Browser:
    """A page in Chromium, and all that it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self._heard("error", str(error)))

    def _heard(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.settle()

    def until(self, expression: str) -> None:
        """Wait until an expression is true. The page's policy forbids what would wait for it within."""
        end = time.monotonic() + 60
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until every tile that is wanted is there."""
        self.until(READY)
        self.page.wait_for_timeout(500)  # an animation may want others
        self.until(READY)

    def press(self, keys: str) -> None:
        for key in keys.split():
            self.page.keyboard.press(key)
        self.settle()

    def go(self, x: float, y: float, zoom: float, pane: int = 0) -> None:
        self.page.evaluate(f"histocodec.panes[{pane}].go({{x: {x}, y: {y}, zoom: {zoom}}})")
        self.settle()

    def statement(self, pane: int = 0) -> str:
        return str(self.page.locator(".statement").nth(pane).inner_text())

    def place(self, pane: int = 0) -> dict[str, float]:
        place: dict[str, float] = self.page.evaluate(f"histocodec.panes[{pane}].place()")
        return place

    def colour(self, x: float, y: float) -> tuple[int, ...]:
        """The colour of a pixel of the stage, as OpenSeadragon drew it; x and y are shares of it."""
        found = self.page.evaluate(
            "([x, y]) => { const canvas = document.querySelector('.view .openseadragon-canvas canvas');"
            "return [...canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1).data]; }",
            [x, y],
        )
        return tuple(found[:3])

    def drawn(self, colour: tuple[int, int, int]) -> bool:
        """Tell whether something of a colour is drawn over the slide."""
        found: bool = self.page.evaluate(
            "wanted => { const canvas = document.querySelector('.marks'); if (canvas.hidden) return false;"
            "const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
            "for (let i = 0; i < data.length; i += 4)"
            "  if (data[i + 3] === 255 && wanted.every((value, n) => data[i + n] === value)) return true;"
            "return false; }",
            list(colour),
        )
        return found


Open = Callable[..., Browser]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Open files in a new page; at the end the page must have complained of nothing."""
    contexts, servers, opened = [], [], []

    def open_it(*locations: Path, fragment: str = "") -> Browser:
        server = running(application(Served(Slides.opened([str(path) for path in locations], Shown))))
        url = server.__enter__()
        servers.append(server)
        context = chromium.new_context(viewport={"width": 1300, "height": 800})
        contexts.append(context)
        browser = Browser(context.new_page())
        opened.append(browser)
        browser.open(url + fragment)
        return browser

    yield open_it
    for context in contexts:
        context.close()
    for server in servers:
        server.__exit__(None, None, None)
    assert [browser.complaints for browser in opened] == [[] for _ in opened]


def test_it_loads_and_says_what_it_shows(open_page: Open, all_tiers: Path) -> None:
    browser = open_page(all_tiers)
    assert browser.page.title() == "all tiers.hc.tif - histocodec"
    text = browser.page.locator("#side").inner_text()
    assert "1300 × 1100 px" in text
    assert "<b>field</b>" in text  # what a file says is text, and no more
    assert browser.drawn((200, 0, 0))  # the region of interest, in its own colour
    browser.press("r")
    assert not browser.drawn((200, 0, 0))
    browser.press("r")
    assert browser.page.locator(".rule").inner_text().count("µm") == 2
    for keys in ("0", "z", "1", "2", "3", "4", "d", "Shift+3", "q", "f"):
        browser.press(keys)
        said = browser.statement()
        assert NOTICE in said
        assert "reconstructed by bicubic-x4" in said.lower(), keys
    browser.press("d 5 z")
    assert "the pixels of the source as it stored them" in browser.statement()
    assert NOTICE in browser.statement()


def test_a_coarse_view_says_that_it_is_the_base(open_page: Open, all_tiers: Path) -> None:
    browser = open_page(all_tiers)
    browser.go(650, 550, 0.2)
    assert browser.statement().startswith("At this magnification: the base as it is stored.")
    browser.go(650, 550, 1)
    assert browser.statement().startswith("Reconstructed by")
    assert browser.page.locator(".power").inner_text() == "40×"


def test_it_pans_and_asks_for_the_tiles_that_come_into_view(open_page: Open, tmp_path: Path) -> None:
    chosen = EncodeSettings(codec="jp2k", base="10x", ratio=None, quality=30, verify="none")
    browser = open_page(encoded(tmp_path, "wide", Size(3000, 2400), chosen))
    browser.go(600, 700, 1)
    asked: list[str] = []
    browser.page.on("request", lambda request: asked.append(request.url))
    before = browser.place()
    for _ in range(2):
        browser.page.mouse.move(500, 400)
        browser.page.mouse.down()
        for x in range(500, 90, -40):
            browser.page.mouse.move(x, 400)
        browser.page.wait_for_timeout(200)
        browser.page.mouse.up()
        browser.settle()
    after = browser.place()
    assert after["x"] > before["x"] + 700
    assert abs(after["zoom"] - 1) < 0.01
    tiles = [url for url in asked if "/reconstructed_files/12/" in url]
    assert tiles
    assert len(set(tiles)) == len(tiles)


def test_ways_differ_and_the_divider_parts_them(open_page: Open, all_tiers: Path) -> None:
    browser = open_page(all_tiers, fragment="#at=512,512,4&show=base")
    spot = (0.61, 0.43)
    seen = {}
    for key, way in enumerate(("base", "bicubic", "reconstructed", "bounded", "original"), 1):
        browser.press(str(key))
        assert browser.page.evaluate("histocodec.panes[0].way(histocodec.state.way)") == way
        seen[way] = [browser.colour(x / 20, spot[1]) for x in range(1, 20)]
    assert seen["base"] != seen["bicubic"] != seen["original"]
    assert seen["bicubic"] == seen["reconstructed"]  # the generator of this file is bicubic
    browser.press("2 d Shift+5")
    across = [browser.colour(x / 20, spot[1]) for x in range(1, 20)]
    assert across[:8] == seen["bicubic"][:8]
    assert across[11:] == seen["original"][11:]
    assert browser.page.locator(".caption").all_inner_texts() == ["Bicubic", "Original"]

    box = browser.page.locator(".grip").bounding_box()
    browser.page.mouse.move(box["x"] + 7, 300)
    browser.page.mouse.down()
    browser.page.mouse.move(box["x"] - 300, 320, steps=5)
    browser.page.mouse.up()
    browser.settle()
    across = [browser.colour(x / 20, spot[1]) for x in range(1, 20)]
    assert across[:3] == seen["bicubic"][:3]
    assert across[7:] == seen["original"][7:]
    browser.page.keyboard.down(" ")
    browser.settle()
    assert [browser.colour(x / 20, spot[1]) for x in range(1, 20)] == seen["original"]
    browser.page.keyboard.up(" ")


def test_the_small_map_leads_to_a_place(open_page: Open, all_tiers: Path) -> None:
    browser = open_page(all_tiers)
    browser.press("z")
    box = browser.page.locator(".minimap").bounding_box()
    browser.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    browser.settle()
    place = browser.place()
    assert abs(place["x"] - 0.75 * 1300) < 12
    assert abs(place["y"] - 0.25 * 1100) < 12
    assert place["zoom"] == pytest.approx(1)


def test_tiles_that_left_the_view_are_not_made(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = EncodeSettings(codec="jp2k", base="10x", ratio=None, quality=30, verify="none")
    browser = open_page(encoded(tmp_path, "wide", Size(4000, 3200), chosen))
    made: list[tuple[int, int]] = []
    coded = Shown.coded

    def slow(self: Shown, way: Way, level: int, region: Region, form: Format, quality: int) -> bytes:
        if way != "base":
            made.append((level, region.x))
            time.sleep(0.3)
        return coded(self, way, level, region, form, quality)

    monkeypatch.setattr(Shown, "coded", slow)
    pane = "histocodec.panes[0]"
    browser.page.evaluate(f"{pane}.go({{x: 600, y: 600, zoom: 1}}, true)")
    browser.page.wait_for_timeout(250)
    browser.page.evaluate(f"{pane}.go({{x: 3400, y: 2600, zoom: 1}}, true)")
    browser.settle()
    left = [x for level, x in made if x * 2 ** (12 - level) < 1500]
    right = [x for level, x in made if x * 2 ** (12 - level) >= 1500]
    assert len(right) >= 12  # all that the new place shows
    assert len(left) <= 6  # those that had begun: the old place shows as many as the new one


def test_a_link_leads_to_the_same_place(open_page: Open, all_tiers: Path) -> None:
    browser = open_page(all_tiers)
    browser.press("3 d q")
    browser.go(700, 400, 1.5)
    browser.page.wait_for_timeout(400)
    url = browser.page.url
    assert "#at=700,400,1.5&show=reconstructed&against=bicubic&divider=0.500&quality=1" in url
    again = open_page(all_tiers, fragment="#" + url.partition("#")[2])
    place = again.place()
    assert (round(place["x"]), round(place["y"]), round(place["zoom"], 3)) == (700, 400, 1.5)
    assert again.page.evaluate("[histocodec.state.divided, histocodec.state.quality]") == [True, True]
    assert again.page.locator(".legend").is_visible()


def test_the_worst_places_are_a_list_to_jump_to(open_page: Open, all_tiers: Path) -> None:
    browser = open_page(all_tiers)
    worst = browser.page.evaluate("histocodec.panes[0].slide.worst")
    browser.page.locator(".places").first.locator("button").nth(1).click()
    browser.settle()
    for index, key in ((1, None), (2, "n"), (1, "p")):
        if key:
            browser.press(key)
        place, aim = browser.place(), worst[index]
        assert abs(place["x"] - aim["x"] - 256) < 2
        assert abs(place["y"] - aim["y"] - 256) < 2


def test_several_files_move_in_step_and_a_damaged_one_is_a_message(
    open_page: Open, all_tiers: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.hc.tif").write_bytes(all_tiers.read_bytes()[:3000])
    browser = open_page(all_tiers, all_tiers, tmp_path / "cut.hc.tif")
    assert "This file cannot be shown" in browser.page.locator(".message").inner_text()
    assert "cut.hc.tif" in browser.page.locator(".message").inner_text()
    browser.go(700, 500, 1.25)
    one, other = browser.place(0), browser.place(1)
    assert max(abs(one[name] - other[name]) for name in one) < 1
    assert NOTICE in browser.statement(1)
    browser.press("d")
    for pane in (0, 1):  # nothing of what must be said is cut off
        assert browser.page.locator(".statement").nth(pane).evaluate("e => e.scrollHeight <= e.clientHeight")
    browser.press("d l")
    browser.go(300, 300, 2)
    assert abs(browser.place(1)["x"] - 700) < 1


class ForeignPage(BaseHTTPRequestHandler):
    """A page of somebody else, with an OpenSeadragon of its own, that shows the Deep Zoom of its address."""

    def do_GET(self) -> None:
        script = (files("histocodec.viewer") / "page/openseadragon/openseadragon.min.js").read_bytes()
        page = b"""<!doctype html><div id="v" style="width: 600px; height: 500px"></div><script src="/osd.js"></script>
            <script>window.failed = "";
            window.viewer = OpenSeadragon({id: "v", drawer: "canvas", crossOriginPolicy: "Anonymous",
                showNavigationControl: false, tileSources: decodeURIComponent(location.search.slice(1))});
            viewer.addHandler("open-failed", event => { window.failed = event.message; });</script>"""
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if self.path == "/osd.js" else "text/html")
        self.end_headers()
        self.wfile.write(script if self.path == "/osd.js" else page)

    def log_message(self, *arguments: object) -> None:
        pass


def test_other_pages_show_a_slide_where_they_may(chromium: Any, all_tiers: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), ForeignPage) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{foreign.server_port}"
        for origins in ((origin,), ()):
            app = application(Served(Slides.opened([str(all_tiers)], Shown)))
            with running(app, origins=origins) as url, chromium.new_page() as page:
                browser = Browser(page)
                page.goto(f"{origin}/?{url}slide/all-tiers/original.dzi")
                if not origins:
                    browser.until("window.failed !== ''")
                    continue
                browser.until("viewer.world.getItemCount() === 1 && viewer.world.getItemAt(0).getFullyLoaded()")
                drawn = page.evaluate(
                    "[...document.querySelector('.openseadragon-canvas canvas').getContext('2d')"
                    ".getImageData(300, 250, 1, 1).data]"  # raises if pixels may not be read
                )
                assert drawn[3] == 255
                assert page.evaluate("viewer.world.getItemAt(0).getContentSize().x") == 1300
        foreign.shutdown()


def test_a_server_that_goes_away_and_comes_back_is_told_and_asked_again(
    open_page: Open, all_tiers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = open_page(all_tiers)

    def gone(*arguments: object) -> bytes:
        raise FileError("https://x.org/a.hc.tif", "the connection was lost")

    with monkeypatch.context() as broken:
        broken.setattr(Shown, "coded", gone)
        browser.page.keyboard.press("2")
        browser.until("!document.querySelector('.trouble').hidden")
        assert "the connection was lost" in browser.page.locator(".trouble").inner_text()
    browser.until("document.querySelector('.trouble').hidden")
    browser.settle()
    assert browser.page.evaluate("histocodec.panes[0].broken.size") == 0
    assert all("502" in complaint for complaint in browser.complaints)  # Chromium itself notes these
    browser.complaints.clear()


def test_a_damaged_tile_is_told_and_marked(open_page: Open, container_path: Path, tmp_path: Path) -> None:
    browser = open_page(damaged(container_path, tmp_path / "hurt.hc.tif"))
    browser.until("!document.querySelector('.trouble').hidden")
    assert "tile-checksum" in browser.page.locator(".trouble").inner_text()
    assert browser.page.evaluate("histocodec.panes[0].broken.size") > 0
    assert all("500" in complaint for complaint in browser.complaints)  # Chromium itself notes these
    browser.complaints.clear()
