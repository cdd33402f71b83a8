"""OME-TIFF as tifffile, OpenSlide and an OME-XML validator see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from histocodec.decoder import Decoder
from histocodec.encoder import EncodeSettings, encode
from histocodec.format.descriptions import reconstruction_in
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Region
from histocodec.pixels.metrics import psnr
from histocodec.source import open_source
from histocodec.views.export import export_slide
from histocodec.views.levels import Compression
from tests.views.conftest import PROFILE, whole

ome_types = pytest.importorskip("ome_types", reason="ome-types is not installed (histocodec[export])")


@pytest.mark.parametrize("compression", ["jpeg", "jp2k", "lossless"])
def test_tifffile_finds_levels_and_images(full: Decoder, tmp_path: Path, compression: Compression) -> None:
    out = tmp_path / "out.ome.tif"
    export_slide(full, out, compression=compression)
    with tifffile.TiffFile(out) as tiff:
        assert tiff.is_ome
        assert tiff.is_bigtiff
        slide, *beside = tiff.series
        assert [series.name for series in tiff.series] == ["slide", "thumbnail", "label", "macro"]
        assert len(slide.levels) == len(full.levels) == 3
        assert len(tiff.pages) == 4  # the coarser levels are no pages of their own
        for level, found in enumerate(slide.levels):
            assert psnr(found.asarray(), whole(full, level)) > (99 if compression == "lossless" else 29)
        for series in beside:
            assert np.array_equal(series.asarray(), full.container.associated_image(series.name))
        assert tiff.pages[0].iccprofile == PROFILE  # type: ignore[union-attr]


def test_the_header_is_valid_and_says_all(full: Decoder, tmp_path: Path) -> None:
    export_slide(full, tmp_path / "out.ome.tif")
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        xml = tiff.ome_metadata
    ome = ome_types.from_xml(xml, validate=True)
    image = ome.images[0]
    assert image.pixels.physical_size_x == image.pixels.physical_size_y == pytest.approx(0.25)
    assert image.pixels.physical_size_x_unit.value == "µm"
    assert (image.pixels.size_x, image.pixels.size_y, image.pixels.size_c) == (*full.levels[0], 3)
    assert image.pixels.channels[0].samples_per_pixel == 3
    assert ome.instruments[0].objectives[0].id == image.objective_settings.id
    assert ome.instruments[0].objectives[0].nominal_magnification == 40
    assert image.description.startswith("histocodec decoded: reconstructed by bicubic-x4 builtin:bicubic-x4; measured")
    assert "then written as jpeg at quality 85; not for primary diagnosis" in image.description
    (annotation,) = ome.structured_annotations.map_annotations
    assert image.annotation_refs[0].id == annotation.id
    facts = {pair.k: pair.value for pair in annotation.value.ms}
    assert facts["label"] == "reconstructed by bicubic-x4 builtin:bicubic-x4"
    assert facts["notice"] == "not for primary diagnosis"
    assert "ISO_15444_1" in facts["lossy history"]
    assert facts["tier"] == "reconstructed"


def test_a_coarser_level_does_not_pass_for_a_reconstruction(full: Decoder, tmp_path: Path) -> None:
    export_slide(full, tmp_path / "out.ome.tif", level=1)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        description = ome_types.from_xml(tiff.ome_metadata).images[0].description
        assert len(tiff.series[0].levels) == 2
    assert "the stored base" in description
    assert "reconstructed" not in description
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        assert reconstruction_in({"tiff.ImageDescription": tiff.ome_metadata or ""}) is None


def test_openslide_sees_the_finest_level(full: Decoder, tmp_path: Path) -> None:
    out = tmp_path / "out.ome.tif"
    export_slide(full, out, compression="lossless", region=Region(300, 200, 1001, 777))
    with openslide.OpenSlide(out) as slide:
        assert slide.dimensions == (1001, 777)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        pixels = np.asarray(slide.read_region((0, 0), 0, (1001, 777)).convert("RGB"))
    assert np.array_equal(pixels, full.read(Region(300, 200, 1001, 777)))


def test_without_what_stands_beside(full: Decoder, tmp_path: Path) -> None:
    export_slide(full, tmp_path / "out.ome.tif", associated=False)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        assert [series.name for series in tiff.series] == ["slide"]


def test_encoded_again_it_is_still_a_reconstruction(full: Decoder, tmp_path: Path) -> None:
    export_slide(full, tmp_path / "out.ome.tif")
    with open_source(tmp_path / "out.ome.tif") as source:
        assert set(source.associated) == {"thumbnail", "label", "macro"}
        settings = EncodeSettings(codec="jp2k", ratio=None, quality=30, verify="none")
        report = encode(source, tmp_path / "again.hc.tif", BicubicGenerator(4), settings)
    first = report.manifest.slide.lossy_history[0]
    assert (first.method, first.derivation) == ("reconstruction", "reconstructed by bicubic-x4 builtin:bicubic-x4")
