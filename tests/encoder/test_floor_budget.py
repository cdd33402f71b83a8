"""Regions of interest within a ratio: what they take, and what the rest loses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings
from histocodec.errors import BudgetError, RoiError, SettingsError
from histocodec.format.regions import RegionsOfInterest
from histocodec.geometry import Image, Size
from tests.encoder.inputs import encoded, psnr_by_block, square


def test_regions_fill_the_budget_and_cost_the_rest_what_the_note_says(
    tmp_path: Path, slide_path: Path, pixels: Image
) -> None:
    plain = encoded(slide_path, tmp_path / "plain.hc.tif", ratio=6.0)
    regions = square(Size(1100, 900), 700, 100, 60)
    report = encoded(
        slide_path, tmp_path / "roi.hc.tif", ratio=6.0, regions=regions, roi_psnr_db=32.0, rest_loss_db=2.0
    )
    budget = slide_path.stat().st_size / 6
    assert 0.99 * budget <= report.size_bytes <= budget  # so small a slide has few tiles to be filled with
    with Decoder(plain.path) as before, Decoder(report.path) as after:
        better, worse = psnr_by_block(before, pixels), psnr_by_block(after, pixels)
        loss = [better[address] - worse[address] for address in better if address != (1, 0)]
        stated = after.manifest.layers.enhancement
        assert stated is not None
        assert stated.rest_loss_db is not None
    assert max(loss) <= 2.0
    assert stated.rest_loss_db.worst == pytest.approx(max(loss), abs=1e-3)
    assert stated.rest_loss_db.mean == pytest.approx(np.mean(loss), abs=1e-3)
    (note,) = (note for note in report.notes if "cost the tissue outside" in note)
    assert f"{max(loss):.2f} dB at most" in note
    assert report.psnr_db == stated.tissue_psnr_db
    with pytest.raises(SettingsError, match="floor for all blocks"):
        EncodeSettings(codec="jp2k", ratio=None, regions=regions, roi_psnr_db=32.0)


def test_regions_that_would_ruin_the_rest_are_refused_with_what_would_do(tmp_path: Path, slide_path: Path) -> None:
    """What the sentence proposes does."""
    output = tmp_path / "roi.hc.tif"
    regions = square(Size(1100, 900), 700, 100, 60)
    options = {"ratio": 6.0, "regions": regions, "roi_psnr_db": 38.0, "enhancement_codec": "jpeg"}  # which is quick
    with pytest.raises(BudgetError, match=r"more than the 0\.6 dB that any block of it may lose") as caught:
        encoded(slide_path, output, **options, rest_loss_db=0.6)
    assert not output.exists()
    proposed = {
        name: float(value) for name, value in re.findall(r"--(rest-loss|roi-psnr|ratio) ([\d.]+)", str(caught.value))
    }
    assert {"rest-loss"} <= proposed.keys()
    names = {"rest-loss": "rest_loss_db", "roi-psnr": "roi_psnr_db", "ratio": "ratio"}
    for name, value in proposed.items():
        encoded(slide_path, tmp_path / f"{name}.hc.tif", **{**options, "rest_loss_db": 0.6, names[name]: value})


@pytest.mark.parametrize("codec", ["av1", "jpeg"])
def test_a_codec_of_whole_qualities_fills_the_budget_too(tmp_path: Path, codec: str) -> None:
    """Tiles that no region sees are coded one step finer while there is room, and the rest of it is the regions'."""
    slide, size = tmp_path / "slide.tif", Size(2600, 2100)
    write_slide(slide, tissue(size, seed=11))
    options = {"ratio": 16.0, "regions": square(size, 20, 20, 60), "roi_psnr_db": 36.0, "rest_loss_db": 5.0}
    report = encoded(slide, tmp_path / "x.hc.tif", codec=codec, **options)
    assert 0.99 <= report.size_bytes / (slide.stat().st_size / 16.0) <= 1  # a slide of four tiles, of AV1


def test_regions_on_glass_alone_are_mentioned(tmp_path: Path) -> None:
    image = np.full((1024, 1536, 3), 240, np.uint8)
    image[:512, :512] = tissue(Size(512, 512), seed=3)
    write_slide(tmp_path / "slide.tif", image)
    for x, mentioned in ((1200, True), (100, False)):
        regions = square(Size(1536, 1024), x, 100, 100)
        output = tmp_path / f"{x}.hc.tif"
        notes = encoded(
            tmp_path / "slide.tif", output, ratio=None, quality=28.0, regions=regions, roi_psnr_db=30.0
        ).notes
        assert any("touch glass alone" in note for note in notes) == mentioned


def test_regions_that_touch_nothing_are_an_error(tmp_path: Path, slide_path: Path) -> None:
    """Their bounds reach over the slide's corner, they do not."""
    ring = [[1050, 950], [1150, 950], [1150, 850], [1050, 950]]
    text = json.dumps({"type": "Polygon", "coordinates": [ring]}).encode()
    regions = RegionsOfInterest.from_geojson(text, Size(1100, 900))
    with pytest.raises(RoiError, match="no region of interest touches"):
        encoded(slide_path, tmp_path / "x.hc.tif", ratio=None, quality=28.0, regions=regions, roi_psnr_db=32.0)


def test_regions_outside_the_slide_are_mentioned(tmp_path: Path, slide_path: Path) -> None:
    inside, far = square(Size(1100, 900), 700, 100, 100), square(Size(5000, 5000), 3000, 3000, 50)
    regions = RegionsOfInterest((*inside.features, *far.features), Size(1100, 900))
    report = encoded(slide_path, tmp_path / "x.hc.tif", ratio=None, quality=28.0, regions=regions, roi_psnr_db=30.0)
    assert "1 of 2 regions of interest lie outside the slide" in report.notes
