"""Tiles are the decoder's pixels in every way of showing them, and nothing is predicted twice."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from histocodec.decoder import Decoder
from histocodec.format.entries import Tier
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.downsample import downsample
from histocodec.pixels.residual import Mode
from histocodec.runtime.tiled_image import CacheMemory
from histocodec.viewer.deepzoom import TILE
from histocodec.viewer.shown import WAYS, Shown, Way
from tests.viewer.inputs import with_all_tiers


def whole(shown: Shown, way: Way, level: int) -> Image:
    """Put the tiles of a level together."""
    size = shown.zoom.size_of(level)
    out = np.zeros((size.height, size.width, 3), np.uint8)
    for row in range(-(-size.height // TILE)):
        for column in range(-(-size.width // TILE)):
            part = shown.zoom.tile(level, column, row)
            assert part is not None
            out[part.y : part.bottom, part.x : part.right] = shown.pixels(way, level, part)
    return out


@pytest.mark.parametrize("way", ["bicubic", "reconstructed", "bounded", "original"])
def test_the_last_level_is_what_a_decoder_reads(all_tiers: Path, way: Way) -> None:
    tier: Tier | None = None if way == "bicubic" else way  # type: ignore[assignment]
    with Shown(all_tiers) as shown, Decoder(all_tiers, tier=tier, generator=None if tier else "bicubic") as decoder:
        read = decoder.read(Region(0, 0, *decoder.levels[0]))
        finest = shown.zoom.finest
        assert np.array_equal(whole(shown, way, finest), read)
        assert np.array_equal(whole(shown, way, finest - 1), downsample(read, 2))


def test_the_base_is_shown_as_squares(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown, Decoder(all_tiers) as decoder:
        base = decoder.read(Region(0, 0, *decoder.levels[1]), 1)
        finest = shown.zoom.finest
        for level, side in ((finest, 4), (finest - 1, 2), (finest - 2, 1)):
            size = shown.zoom.size_of(level)
            squares = base.repeat(side, 0).repeat(side, 1)[: size.height, : size.width]
            assert np.array_equal(whole(shown, "base", level), squares)


def test_coarser_than_the_base_all_ways_are_the_stored_levels(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown, Decoder(all_tiers) as decoder:
        base = decoder.read(Region(0, 0, *decoder.levels[1]), 1)
        level = shown.zoom.finest - 4
        for way in WAYS:
            assert np.array_equal(whole(shown, way, level), downsample(base, 4))
        assert whole(shown, "base", 0).shape == (1, 1, 3)


def test_what_a_file_lacks_is_said(container_path: Path, all_tiers: Path) -> None:
    with Shown(container_path) as shown:
        assert shown.missing == {
            "bounded": "The file has no enhancement layer.",
            "original": "The file does not keep the original.",
        }
        assert shown.best == "reconstructed"
    with Shown(all_tiers) as shown:
        assert shown.missing == {}
        assert shown.best == "bounded"


def test_a_file_whose_generator_is_nowhere_is_shown_by_bicubic(
    container_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from histocodec import decoder
    from histocodec.errors import UnknownGenerator

    def nowhere(*args: object) -> None:
        raise UnknownGenerator("it is nowhere")

    monkeypatch.setattr(decoder, "_named_generator", nowhere)
    with Shown(container_path) as shown:
        assert shown.missing["reconstructed"] == "it is nowhere"
        assert shown.best == "bicubic"
        assert shown.pixels("bicubic", shown.zoom.finest, Region(0, 0, 256, 256)).shape == (256, 256, 3)


def test_nothing_is_predicted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    predict = BicubicGenerator.__call__

    def counted(self: BicubicGenerator, image: Image) -> Image:
        seen.append((image.shape[0] - 2 * self.halo) * (image.shape[1] - 2 * self.halo))
        return predict(self, image)

    file = with_all_tiers(tmp_path, Size(1024, 1024))
    monkeypatch.setattr(BicubicGenerator, "__call__", counted)
    with Shown(file) as shown:
        layer, finest = shown.container.enhancement, shown.zoom.finest
        assert layer is not None
        assert {int(mode) for mode in layer.modes} == {Mode.ABSENT, Mode.RESIDUAL}  # blocks of both kinds
        base_pixels = 256 * 256
        whole(shown, "reconstructed", finest)
        assert sum(seen) == base_pixels
        for way, level in (
            ("reconstructed", finest - 1),  # coarser, of the same predictions
            ("bounded", finest),
            ("bounded", finest - 1),
            ("reconstructed", finest),
            ("base", finest),
            ("bounded", finest - 3),
        ):
            whole(shown, way, level)  # type: ignore[arg-type]
        assert sum(seen) == base_pixels
        whole(shown, "bicubic", finest)  # another generator, though here it is the same one
        assert sum(seen) == 2 * base_pixels
    seen.clear()
    with Shown(file) as shown:  # from coarse to fine, as a user comes
        for level in (finest - 1, finest):
            for way in ("bounded", "reconstructed"):
                whole(shown, way, level)  # type: ignore[arg-type]
        assert sum(seen) == base_pixels


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_a_tile_says_what_it_is(all_tiers: Path, form: str) -> None:
    with Shown(all_tiers) as shown:
        region = shown.zoom.tile(shown.zoom.finest, 0, 0)
        assert region is not None
        coded = shown.coded("reconstructed", shown.zoom.finest, region, form, 95)  # type: ignore[arg-type]
        picture = PILImage.open(io.BytesIO(coded))
        assert picture.size == (256, 256)
        label = picture.info["comment"].decode() if form == "jpeg" else picture.getexif()[0x010E]
        assert "reconstructed by bicubic-x4" in label
        assert label.endswith("not for primary diagnosis")
        pixels = np.asarray(picture.convert("RGB"), np.float64)
        assert np.abs(pixels - shown.pixels("reconstructed", shown.zoom.finest, region)).mean() < 3


def test_files_share_the_memory_for_decoded_pixels(all_tiers: Path, container_path: Path) -> None:
    """However many files a server shows, in whatever ways, they have so many bytes together."""
    memory = CacheMemory(200_000)
    with Shown(all_tiers, memory=memory) as one, Shown(container_path, memory=memory) as other:
        assert {id(decoder.cache_memory) for shown in (one, other) for decoder in shown.decoders.values()} == {
            id(memory)
        }
        expected: dict[object, Image] = {}
        for _ in range(2):
            for shown in (one, other):
                for way in shown.decoders:
                    pixels = shown.pixels(way, shown.zoom.finest, Region(0, 0, 256, 256))
                    assert np.array_equal(expected.setdefault((shown, way), pixels), pixels)
                    assert memory.used_bytes <= memory.capacity_bytes
        one.close()
        assert memory.used_bytes > 0
    assert memory.used_bytes == 0, "what was decoded of a file goes with it"


def test_the_tag_tells_ways_and_forms_and_files_apart(all_tiers: Path, container_path: Path) -> None:
    with Shown(all_tiers) as one, Shown(container_path) as other:
        tags = [one.tag(way, "jpeg", 90) for way in WAYS]
        tags += [one.tag("base", "webp", 90), one.tag("base", "jpeg", 91), other.tag("base", "jpeg", 90)]
        assert len(set(tags)) == len(tags)
        assert one.tag("base", "jpeg", 90) == tags[0]
