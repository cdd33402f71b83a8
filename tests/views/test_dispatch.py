"""OpenSlide's own Python calls read containers, and everything else as they did."""

from __future__ import annotations

import copy
import ctypes
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import openslide
import pytest
from openslide import OpenSlide, lowlevel, open_slide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image as PILImage

import histocodec
from histocodec.errors import SettingsError, UnreadableSource
from tests.places import REPOSITORY


@pytest.fixture
def installed() -> Iterator[None]:
    histocodec.install_openslide(generator="bicubic")
    yield
    histocodec.uninstall_openslide()


class Derived(OpenSlide):
    """As others derive from it, with more arguments and attributes."""

    def __init__(self, filename: str | Path, stain: str) -> None:
        super().__init__(filename)
        self.stain = stain

    def corner(self) -> PILImage.Image:
        return self.read_region((0, 0), 0, (40, 30))


@pytest.mark.usefixtures("installed")
class TestContainers:
    @pytest.mark.parametrize("opening", [openslide.OpenSlide, openslide.open_slide, OpenSlide, open_slide])
    def test_they_are_slides_of_openslide(self, opening: Callable[[Path], Any], container_path: Path) -> None:
        with opening(container_path) as slide, histocodec.open_slide(container_path, generator="bicubic") as ours:
            assert type(slide) is openslide.OpenSlide
            assert isinstance(slide, openslide.AbstractSlide)
            assert slide.dimensions == ours.dimensions == (1100, 900)
            assert slide.level_dimensions == ours.level_dimensions
            assert slide.level_downsamples == ours.level_downsamples
            assert dict(slide.properties) == dict(ours.properties)
            assert slide.properties["histocodec.notice"] == "not for primary diagnosis"
            assert set(slide.associated_images) == set(ours.associated_images)
            for wanted in (0.5, 1, 3.9, 4, 100):
                assert slide.get_best_level_for_downsample(wanted) == ours.get_best_level_for_downsample(wanted)
            for location, level in (((301, 203), 0), ((-20, 850), 0), ((40, 80), 1), ((0, 0), 9)):
                size = (120, 90)
                assert slide.read_region(location, level, size) == ours.read_region(location, level, size)
            assert slide.get_thumbnail((100, 100)) == ours.get_thumbnail((100, 100))

    def test_their_format_is_known(self, container_path: Path, slide_path: Path) -> None:
        assert OpenSlide.detect_format(container_path) == "histocodec"
        assert OpenSlide.detect_format(slide_path) == "generic-tiff"
        assert OpenSlide.detect_format(Path(__file__)) is None

    def test_a_class_that_others_derived(self, container_path: Path) -> None:
        with Derived(container_path, stain="H&E") as slide, OpenSlide(container_path) as plain:
            again = pickle.loads(pickle.dumps(slide))
            assert (type(again), again.stain) == (Derived, "H&E")
            assert again.corner() == slide.corner() == plain.read_region((0, 0), 0, (40, 30))

    def test_the_lower_level(self, container_path: Path) -> None:
        with OpenSlide(container_path) as slide:
            expected = slide.read_region((-5, 7), 0, (60, 50))
        handle = lowlevel.open(str(container_path))
        buffer = (60 * 50 * ctypes.c_uint32)()
        lowlevel._read_region(handle, buffer, -5, 7, 0, 60, 50)
        assert lowlevel._load_image(buffer, (60, 50)) == expected
        assert lowlevel.get_level_dimensions(handle, 9) == (-1, -1)
        assert lowlevel.get_level_downsample(handle, 9) == -1
        assert lowlevel.get_property_value(handle, b"openslide.level-count") == "3"
        assert lowlevel.get_property_value(handle, "nothing") is None
        assert lowlevel.get_error(handle) is None
        assert lowlevel.read_icc_profile.available
        lowlevel.close(handle)
        with pytest.raises(ctypes.ArgumentError):
            lowlevel.get_level_count(handle)

    def test_openslides_own_deep_zoom(self, container_path: Path) -> None:
        with OpenSlide(container_path) as slide:
            zoom = DeepZoomGenerator(slide, tile_size=254, overlap=1, limit_bounds=True)
            tile = zoom.get_tile(zoom.level_count - 1, (1, 1))
            assert tile == slide.read_region((253, 253), 0, (256, 256)).convert("RGB")
            assert zoom.get_dzi("png").count('Width="1100"') == 1

    def test_a_copy_is_opened_by_itself(self, container_path: Path) -> None:
        slide = OpenSlide(container_path)
        again = copy.deepcopy(slide)
        slide.close()
        with again:
            assert np.asarray(again.read_region((0, 0), 0, (20, 20)))[..., 3].min() == 255

    def test_what_nothing_refers_to_is_closed(self, container_path: Path) -> None:
        slide: Any = OpenSlide(container_path)
        decoder = slide._osr._slide.decoder
        del slide
        assert decoder.container.is_closed

    def test_label_macro_and_profile(self) -> None:
        vectors = sorted((REPOSITORY / "formats/container/v1/vectors/valid").glob("*.tif"))
        vector = next(path for path in vectors if _has_pictures(path))
        with OpenSlide(vector) as slide, histocodec.open_slide(vector, generator="bicubic") as ours:
            assert slide.associated_images
            for name, picture in slide.associated_images.items():
                assert picture == ours.associated_images[name]
                assert lowlevel.get_associated_image_dimensions(slide._osr, name) == picture.size
            assert lowlevel.get_associated_image_dimensions(slide._osr, "none") == (-1, -1)
            assert "none" not in slide.associated_images
            assert slide.read_region((0, 0), 0, (5, 5)).info == ours.read_region((0, 0), 0, (5, 5)).info

    def test_a_url(self, container_path: Path) -> None:
        fsspec.filesystem("memory").pipe("/dispatch/a.hc.tif", container_path.read_bytes())
        with OpenSlide("memory://dispatch/a.hc.tif") as slide:
            assert slide.dimensions == (1100, 900)
        with pytest.raises(openslide.OpenSlideError, match="No such file"):
            OpenSlide("memory://dispatch/none.hc.tif")

    def test_a_damaged_one_is_an_error_of_openslide(self, container_path: Path, tmp_path: Path) -> None:
        data = container_path.read_bytes()
        cut = tmp_path / "cut.hc.tif"
        for keep in range(1, len(data), len(data) // 20):
            cut.write_bytes(data[:keep])
            with pytest.raises(openslide.OpenSlideError):  # never a slide at the base's resolution
                OpenSlide(cut)

    def test_a_damaged_tile_is_an_error_of_openslide_and_the_next_tile_is_read(
        self, container_path: Path, tmp_path: Path
    ) -> None:
        with histocodec.Container(container_path) as container:
            tile = container.tile(0, 0)
        data = bytearray(container_path.read_bytes())
        data[data.find(tile) + len(tile) // 2] ^= 0xFF
        (tmp_path / "damaged.hc.tif").write_bytes(data)
        with OpenSlide(tmp_path / "damaged.hc.tif") as slide:
            with pytest.raises(openslide.OpenSlideError, match="damaged"):
                slide.read_region((0, 0), 0, (50, 50))
            with pytest.raises(openslide.OpenSlideError, match="damaged"):
                slide.read_region((0, 0), 1, (50, 50))

    def test_sources_are_read_as_their_files_store_them(self, container_path: Path, slide_path: Path) -> None:
        with pytest.raises(UnreadableSource, match="histocodec"):
            histocodec.open_source(container_path)
        with histocodec.open_source(slide_path) as source:
            assert source.vendor == "generic-tiff"

    def test_slides_share_the_bytes_of_a_cache(self, container_path: Path) -> None:
        cache = openslide.OpenSlideCache(1 << 20)
        with OpenSlide(container_path) as one, OpenSlide(container_path) as other:
            for slide in (one, other):
                slide.set_cache(cache)
            handles = [slide._osr for slide in (one, other)]
            memories = [handle._slide.decoder.cache_memory for handle in handles]  # type: ignore[attr-defined]
        assert memories[0] is memories[1]
        assert memories[0].capacity_bytes == 1 << 20

    def test_the_settings_hold_for_slides_opened_afterwards(self, container_path: Path) -> None:
        with OpenSlide(container_path) as first:
            histocodec.install_openslide(tier="bounded")
            with pytest.raises(openslide.OpenSlideError, match="no enhancement layer"):
                OpenSlide(container_path)
            histocodec.install_openslide(generator="bicubic")
            assert pickle.loads(pickle.dumps(first))._osr._slide.decoder.is_bicubic


@pytest.mark.usefixtures("installed")
def test_everything_else_is_read_as_before(slide_path: Path, tmp_path: Path) -> None:
    PILImage.new("RGB", (50, 40)).save(tmp_path / "flat.png")
    with open_slide(tmp_path / "flat.png") as flat:
        assert type(flat) is openslide.ImageSlide
    with OpenSlide(slide_path) as slide:
        slide.set_cache(openslide.OpenSlideCache(1 << 20))
        during = slide.read_region((5, 5), 0, (50, 50)), dict(slide.properties), slide.level_dimensions
    for path in (tmp_path / "none.svs", Path(__file__), tmp_path, ""):
        with pytest.raises(openslide.OpenSlideUnsupportedFormatError, match="Unsupported or missing"):
            OpenSlide(path)
        assert OpenSlide.detect_format(path) is None
    for no_path in (None, 5):
        for call in (OpenSlide, OpenSlide.detect_format):
            with pytest.raises(ctypes.ArgumentError):
                call(no_path)  # type: ignore[arg-type]
    histocodec.uninstall_openslide()
    with OpenSlide(slide_path) as slide:
        assert during == (slide.read_region((5, 5), 0, (50, 50)), dict(slide.properties), slide.level_dimensions)


def test_after_uninstalling_openslide_reads_everything_itself(container_path: Path) -> None:
    before = {name: value for name, value in vars(lowlevel).items() if callable(value)}
    histocodec.install_openslide(generator="bicubic")
    histocodec.install_openslide(generator="bicubic")
    histocodec.uninstall_openslide()
    histocodec.uninstall_openslide()
    assert {name: value for name, value in vars(lowlevel).items() if callable(value)} == before
    with OpenSlide(container_path) as base:
        assert base.dimensions == (275, 225)


def test_an_openslide_that_is_built_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(lowlevel, "get_level_count")
    before = lowlevel.open
    with pytest.raises(SettingsError, match="has no get_level_count"):
        histocodec.install_openslide()
    assert lowlevel.open is before


def _has_pictures(path: Path) -> bool:
    with histocodec.Container(path) as container:
        return bool(container.manifest.associated) and container.icc_profile is not None


# Workers


def _sum_of(slide: openslide.AbstractSlide) -> int:
    return int(np.asarray(slide.read_region((301, 203), 0, (300, 300))).sum())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_slide_reaches_worker_processes(container_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    monkeypatch.chdir(container_path.parent)
    with OpenSlide(container_path.name) as slide:
        expected = _sum_of(slide)
        os.chdir("/")
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(_sum_of, [slide]) == [expected]
