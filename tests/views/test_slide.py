"""The openslide-like view: code written for OpenSlide runs on it unchanged."""

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
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image as PILImage

import histocodec
from histocodec import ReconstructedSlide, Region


@pytest.fixture
def slide(container_path: Path) -> Iterator[ReconstructedSlide]:
    with histocodec.open_slide(container_path) as opened:
        assert isinstance(opened, ReconstructedSlide)
        yield opened


def test_it_is_a_slide_of_the_sources_size(slide: ReconstructedSlide, slide_path: Path) -> None:
    assert isinstance(slide, openslide.AbstractSlide)
    with openslide.OpenSlide(slide_path) as source:
        assert slide.dimensions == source.dimensions
        assert slide.level_dimensions[0] == source.level_dimensions[0]
    assert slide.level_count == len(slide.level_dimensions) == len(slide.level_downsamples)
    assert slide.level_downsamples[:2] == (1.0, 4.0)


def test_properties_are_openslides_and_ours(slide: ReconstructedSlide) -> None:
    properties = slide.properties
    assert float(properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25)
    assert properties["histocodec.notice"] == "not for primary diagnosis"
    assert properties["histocodec.level[0]"].startswith("reconstructed by bicubic-x4 builtin:bicubic-x4")
    assert "ISO_10918_1" in properties["histocodec.lossy-history"]
    assert "ISO_15444_1" in properties["histocodec.lossy-history"]
    assert properties["openslide.level[0].width"] == str(slide.dimensions[0])
    assert properties["openslide.level-count"] == str(slide.level_count)


@pytest.mark.parametrize("level", [0, 1])
def test_read_region_is_rgba_and_transparent_outside(slide: ReconstructedSlide, level: int) -> None:
    width, _ = slide.level_dimensions[level]
    downsample = int(slide.level_downsamples[level])
    picture = slide.read_region(((width - 30) * downsample, -20 * downsample), level, (60, 50))
    assert picture.mode == "RGBA"
    pixels = np.asarray(picture)
    inside = pixels[20:, :30]
    assert (inside[..., 3] == 255).all()
    assert np.array_equal(inside[..., :3], slide.decoder.read(Region(width - 30, 0, 30, 30), level))
    assert not pixels[:20].any()
    assert not pixels[:, 30:].any()


def test_read_region_outside_altogether_is_transparent(slide: ReconstructedSlide) -> None:
    assert not np.asarray(slide.read_region((10**6, 10**6), 0, (5, 5))).any()


Slides = dict[str, openslide.AbstractSlide]


@pytest.fixture
def both(container_path: Path, slide_path: Path) -> Slides:
    """OpenSlide's own, and ours of the same picture."""
    return {"theirs": openslide.OpenSlide(slide_path), "ours": histocodec.open_slide(container_path)}


@pytest.mark.parametrize("which", ["theirs", "ours"])
@pytest.mark.parametrize(
    ("location", "level", "size"),
    [
        ((0, 0), 9, (5, 4)),
        ((0, 0), -1, (5, 4)),
        ((np.int64(5), np.int32(6)), np.int64(0), (np.uint8(5), np.int16(4))),
        (np.array([5, 6]), 0, np.array([5, 4])),
        ([5, 6], 1, [5, 4]),
        ((-(10**9), 10**9), 0, (5, 4)),
        ((0, 0), 0, (0, 4)),
        ((0, 0), 0, (0, 0)),
    ],
)
def test_odd_arguments_give_what_openslide_gives(
    both: Slides, which: str, location: Any, level: Any, size: Any
) -> None:
    picture = both[which].read_region(location, level, size)
    assert (picture.mode, picture.size) == ("RGBA", (int(size[0]), int(size[1])))
    if not 0 <= level < 2:
        assert not np.asarray(picture).any()


@pytest.mark.parametrize("which", ["theirs", "ours"])
@pytest.mark.parametrize(
    ("location", "level", "size", "errors"),
    [
        ((0, 0), 0, (-5, 5), openslide.OpenSlideError),
        ((0, 0), 9, (5, -5), openslide.OpenSlideError),
        ((0.5, 0), 0, (5, 5), (TypeError, ctypes.ArgumentError)),
        ((0, 0), 0.0, (5, 5), (TypeError, ctypes.ArgumentError)),
        ((0, 0), 0, (5.0, 5), (TypeError, ctypes.ArgumentError)),
        ((0, 0), 0, None, TypeError),
        ((0, 0), 0, (5,), IndexError),
    ],
)
def test_bad_arguments_raise_what_openslide_raises(
    both: Slides, which: str, location: Any, level: Any, size: Any, errors: Any
) -> None:
    with pytest.raises(errors):
        both[which].read_region(location, level, size)


@pytest.mark.parametrize("which", ["theirs", "ours"])
def test_after_closing_everything_raises(both: Slides, which: str) -> None:
    slide = both[which]
    slide.read_region((0, 0), 0, (5, 5))
    slide.close()
    if which == "ours":
        slide.close()  # where OpenSlide raises
    uses: list[Callable[[], object]] = [
        lambda: slide.read_region((0, 0), 0, (5, 5)),
        lambda: slide.dimensions,
        lambda: slide.level_count,
        lambda: slide.level_downsamples,
        lambda: slide.properties[openslide.PROPERTY_NAME_VENDOR],
        lambda: dict(slide.associated_images),
        lambda: slide.get_thumbnail((5, 5)),
        lambda: slide.get_best_level_for_downsample(4),
    ]
    for use in uses:
        with pytest.raises(ctypes.ArgumentError):
            use()
    assert type(slide).__name__ in repr(slide)


def test_a_closed_slide_is_a_closed_file_too(slide: ReconstructedSlide) -> None:
    decoder = slide.decoder
    decoder.read(Region(0, 0, 5, 5))
    with slide:
        pass
    with pytest.raises(ValueError, match="closed"):
        slide.read_region((0, 0), 0, (5, 5))
    with pytest.raises(ValueError, match="closed"):  # although the pixels are in its cache
        decoder.read(Region(0, 0, 5, 5))


def test_the_cache_can_be_set(slide: ReconstructedSlide) -> None:
    slide.read_region((0, 0), 0, (1100, 900))
    slide.set_cache(openslide.OpenSlideCache(1 << 20))
    assert slide.decoder.cache_bytes == 1 << 20
    shared = openslide.OpenSlideCache(1 << 20)
    with histocodec.open_slide(slide.decoder.path) as other:
        for one in (slide, other):
            one.set_cache(shared)
        assert isinstance(other, ReconstructedSlide)
        assert other.decoder.cache_memory is slide.decoder.cache_memory
    with pytest.raises(TypeError, match="Not a cache object"):
        slide.set_cache(1 << 20)  # type: ignore[arg-type]


# Opening


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_a_path_may_be_anything_that_openslide_takes(
    container_path: Path, slide_path: Path, kind: Callable[[str], Any]
) -> None:
    with histocodec.open_slide(kind(str(container_path))) as slide:
        assert isinstance(slide, ReconstructedSlide)
    with histocodec.open_slide(kind(str(slide_path))) as slide:
        assert isinstance(slide, openslide.OpenSlide)
    assert ReconstructedSlide.detect_format(kind(str(container_path))) == "histocodec"


def test_a_mixed_cohort_needs_one_call(container_path: Path, slide_path: Path, tmp_path: Path) -> None:
    PILImage.new("RGB", (50, 40)).save(tmp_path / "flat.png")
    for path, size in ((container_path, (1100, 900)), (slide_path, (1100, 900)), (tmp_path / "flat.png", (50, 40))):
        with histocodec.open_slide(path, generator="bicubic") as slide:
            assert slide.dimensions == size
    with histocodec.open_slide(slide_path) as ours, openslide.OpenSlide(slide_path) as theirs:
        assert dict(ours.properties) == dict(theirs.properties)
        assert ours.read_region((5, 5), 0, (50, 50)) == theirs.read_region((5, 5), 0, (50, 50))


def test_what_cannot_be_opened(tmp_path: Path, container_path: Path) -> None:
    (tmp_path / "link.hc.tif").symlink_to("nowhere.hc.tif")
    (tmp_path / "notes.svs").write_text("no slide")
    for name in ("none.hc.tif", "none.svs", "link.hc.tif"):
        with pytest.raises(FileNotFoundError, match="No such file"):
            histocodec.open_slide(tmp_path / name)
        with pytest.raises(FileNotFoundError), histocodec.Decoder(tmp_path / name):
            pass
    for path in ("", tmp_path):
        with pytest.raises(OSError, match=r"empty|directory"):
            histocodec.open_slide(path)
    with pytest.raises(openslide.OpenSlideUnsupportedFormatError, match="not-bigtiff"):
        histocodec.open_slide(tmp_path / "notes.svs")
    with pytest.raises(FileNotFoundError):
        histocodec.open_source(tmp_path / "none.svs")
    assert ReconstructedSlide.detect_format(tmp_path / "none.hc.tif") is None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow has its say as well
def test_a_damaged_container_never_passes_for_a_slide_at_its_bases_resolution(
    container_path: Path, tmp_path: Path
) -> None:
    data = container_path.read_bytes()
    for keep in range(1, len(data), len(data) // 40):
        (tmp_path / "cut.hc.tif").write_bytes(data[:keep])
        with pytest.raises(histocodec.HistocodecError):
            histocodec.open_slide(tmp_path / "cut.hc.tif")


# Workers


def _sum_of(slide: openslide.AbstractSlide) -> int:
    return int(np.asarray(slide.read_region((301, 203), 0, (300, 300))).sum())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_slide_reaches_worker_processes(
    container_path: Path, slide_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    monkeypatch.chdir(container_path.parent)
    with (
        histocodec.open_slide(container_path.name, generator="bicubic") as ours,
        histocodec.open_slide(slide_path) as svs,
    ):
        expected = [_sum_of(slide) for slide in (ours, svs)]
        monkeypatch.chdir("/")
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(_sum_of, [ours, svs]) == expected


def test_a_slide_is_pickled_with_its_settings(container_path: Path) -> None:
    with histocodec.open_slide(container_path, generator="bicubic", enhancement=False) as slide:
        assert isinstance(slide, ReconstructedSlide)
        slide.set_cache(openslide.OpenSlideCache(1 << 20))
        for again in (pickle.loads(pickle.dumps(slide)), copy.deepcopy(slide)):
            with again:
                assert isinstance(again, ReconstructedSlide)
                assert again.decoder.cache_bytes == 1 << 20
                assert again.decoder.is_bicubic
                assert dict(again.properties) == dict(slide.properties)


def test_a_fork_does_not_wait_for_threads_that_it_lacks(slide: ReconstructedSlide) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    expected = _sum_of(slide)
    with slide.decoder.cache_memory._lock:  # as a thread that is reading
        child = multiprocessing.get_context("fork").Process(target=_sum_of, args=(slide,))
        child.start()
        child.join(30)
        alive = child.is_alive()
        child.kill()
    assert not alive
    assert _sum_of(slide) == expected


def test_errors_reach_the_parent_of_a_worker(tmp_path: Path) -> None:
    (tmp_path / "no.hc.tif").write_bytes(b"nothing")
    with pytest.raises(histocodec.HistocodecError) as caught, histocodec.Decoder(tmp_path / "no.hc.tif"):
        pass
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.problems) == (type(caught.value), str(caught.value), caught.value.problems)  # type: ignore[attr-defined]


def test_best_level_is_chosen_as_openslide_does(slide: ReconstructedSlide, slide_path: Path) -> None:
    assert [slide.get_best_level_for_downsample(d) for d in (0.5, 1, 3.9, 4, 5)] == [0, 0, 0, 1, 1]


def test_deep_zoom_works_unchanged(slide: ReconstructedSlide) -> None:
    zoom = DeepZoomGenerator(slide, tile_size=254, overlap=1)
    tile = np.asarray(zoom.get_tile(zoom.level_count - 1, (1, 1)))
    assert np.array_equal(tile, slide.decoder.read(Region(253, 253, 256, 256)))
    assert slide.get_thumbnail((100, 100)).size[0] == 100


def test_detect_format(container_path: Path, slide_path: Path) -> None:
    assert ReconstructedSlide.detect_format(container_path) == "histocodec"
    assert ReconstructedSlide.detect_format(slide_path) is None


def test_a_slide_by_its_url_or_of_an_open_file(container_path: Path, slide_path: Path) -> None:
    fsspec.filesystem("memory").pipe(
        {f"/views/{path.name}": path.read_bytes() for path in (container_path, slide_path)}
    )
    url = f"memory://views/{container_path.name}"
    with histocodec.open_slide(container_path) as near, histocodec.open_slide(url) as far:
        assert isinstance(far, ReconstructedSlide)
        assert repr(far) == f"ReconstructedSlide({url!r})"
        expected = near.read_region((100, 50), 0, (300, 200))
        assert far.read_region((100, 50), 0, (300, 200)) == expected
        with pickle.loads(pickle.dumps(far)) as again:
            assert again.read_region((100, 50), 0, (300, 200)) == expected
    with container_path.open("rb") as file:
        with histocodec.open_slide(file) as slide:
            assert slide.read_region((100, 50), 0, (300, 200)) == expected
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(slide)
        assert not file.closed
    with slide_path.open("rb") as file:
        for location in (f"memory://views/{slide_path.name}", file):
            with pytest.raises(openslide.OpenSlideUnsupportedFormatError, match="are read from disks alone"):
                histocodec.open_slide(location)
    assert ReconstructedSlide.detect_format(url) == "histocodec"


def test_the_file_itself_opens_in_openslide_at_the_base(slide: ReconstructedSlide, container_path: Path) -> None:
    with openslide.OpenSlide(container_path) as base:
        assert base.level_dimensions == slide.level_dimensions[1:]
        assert float(base.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(1.0)
        assert float(base.properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER]) == pytest.approx(10)
        for level, size in enumerate(base.level_dimensions):
            theirs = np.asarray(base.read_region((0, 0), level, size).convert("RGB"))
            assert np.array_equal(theirs, slide.decoder.read(Region(0, 0, *size), level + 1))
