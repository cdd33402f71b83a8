"""Tiers: the layer comes off and goes back on, byte for byte, and only where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder import EncodeSettings, encode
from histocodec.errors import CorruptContainer, OutputError, OutputExists, PairMismatch, SettingsError
from histocodec.format.descriptions import Rendition
from histocodec.format.reader import Container
from histocodec.format.tiers import enhance, strip
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.source import open_source
from histocodec.validation import validate
from tests.format.conformance.make_vectors.recipes import LATER_REVISION, OTHER_WRITER
from tests.format.conformance.make_vectors.writing import VECTORS

Make = Callable[[str, float, TileCodec], Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Bounded files of one slide, by name, base quality and codec."""
    folder = tmp_path_factory.mktemp("tiers")
    slide = folder / "slide.tif"
    write_slide(slide, tissue(Size(600, 540), seed=11))

    def made(name: str, quality: float, codec: TileCodec) -> Path:
        path = folder / f"{name}.hc.tif"
        if not path.exists():
            settings = EncodeSettings(codec=codec, effort="fast", ratio=None, quality=quality, min_psnr_db=33.0)
            with open_source(slide) as source:
                encode(source, path, BicubicGenerator(4), settings)
        return path

    return made


def _all(path: Path, **options: bool) -> Image:
    with Decoder(path, **options) as decoder:  # type: ignore[arg-type]
        return decoder.read(Region(0, 0, *decoder.levels[0]))


@pytest.mark.parametrize(("codec", "quality"), [("jp2k", 28.0), ("av1", 40.0), ("jpeg", 50.0)])
def test_strip_and_enhance_are_the_identity_on_bytes(
    make: Make, tmp_path: Path, codec: TileCodec, quality: float
) -> None:
    full = make(codec, quality, codec)
    small, again = tmp_path / "small.hc.tif", tmp_path / "again.hc.tif"
    assert strip(full, small) == small.stat().st_size < full.stat().st_size
    assert validate(small, deep=True) == []
    with Container(small) as container:
        assert container.manifest.tier == "reconstructed"
        assert container.enhancement is None
        assert container.quality_map is not None
    assert np.array_equal(_all(small), _all(full, enhancement=False))
    assert not np.array_equal(_all(small), _all(full))
    assert enhance(small, full, again) == full.stat().st_size
    assert again.read_bytes() == full.read_bytes()


@pytest.mark.parametrize("codec", ["jp2k", "av1"])
def test_an_original_comes_off_by_itself_or_with_the_layer_below(make: Make, tmp_path: Path, codec: TileCodec) -> None:
    bounded = make(codec, 28.0 if codec == "jp2k" else 40.0, codec)
    full, again = tmp_path / "full.hc.tif", tmp_path / "again.hc.tif"
    settings = EncodeSettings(
        codec=codec,
        effort="fast",
        ratio=None,
        quality=28.0 if codec == "jp2k" else 40.0,
        min_psnr_db=33.0,
        keep_original=True,
    )
    with open_source(bounded.parent / "slide.tif") as source:
        encode(source, full, BicubicGenerator(4), settings)
    without, small = tmp_path / "bounded.hc.tif", tmp_path / "small.hc.tif"
    strip(full, without)
    assert without.read_bytes() == bounded.read_bytes()
    strip(full, small, "reconstructed")
    for lower in (without, small):
        assert validate(lower, deep=True) == []
        enhance(lower, full, again, overwrite=True)
        assert again.read_bytes() == full.read_bytes()
    enhance(small, without, again, overwrite=True)
    assert again.read_bytes() == bounded.read_bytes()
    with pytest.raises(SettingsError, match="has no layer to give"):
        enhance(full, without, tmp_path / "none.hc.tif")


def test_a_damaged_original_stays_where_it_is(tmp_path: Path) -> None:
    """The other tiers come off it; nothing else takes it over."""
    full, small = VECTORS / "invalid/original-damaged-bit-flip.hc.tif", tmp_path / "small.hc.tif"
    strip(full, small)
    assert validate(small, deep=True) == []
    with pytest.raises(CorruptContainer, match="original segment 0"):
        enhance(small, full, tmp_path / "out.hc.tif")
    assert not (tmp_path / "out.hc.tif").exists()


def test_a_tier_that_a_file_does_not_have_cannot_be_left(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="without the original it is of tier reconstructed"):
        strip(VECTORS / "valid/jp2k-x4-original.hc.tif", tmp_path / "out.hc.tif", "bounded")


def test_a_stripped_file_is_what_an_encode_without_a_floor_writes(make: Make, tmp_path: Path) -> None:
    """But for what was measured: with a floor that is every block."""
    full, small = make("jp2k", 28.0, "jp2k"), tmp_path / "small.hc.tif"
    strip(full, small)
    with Container(small) as stripped, Container(full) as whole:
        assert stripped.checksums == whole.checksums
        assert stripped.manifest.quality == whole.manifest.quality
        assert stripped.manifest.base == whole.manifest.base


def test_layers_that_another_writer_put_elsewhere_come_off_and_back_on(tmp_path: Path) -> None:
    full, small, again = (
        VECTORS / "valid" / f"{OTHER_WRITER}.hc.tif",
        tmp_path / "small.hc.tif",
        tmp_path / "again.hc.tif",
    )
    strip(full, small)
    assert validate(small, deep=True) == []
    assert np.array_equal(_all(small), _all(full, enhancement=False))
    enhance(small, full, again)
    assert validate(again, deep=True) == []
    assert np.array_equal(_all(again), _all(full))


def test_what_cannot_be_stripped_or_enhanced(make: Make, tmp_path: Path) -> None:
    full, small = make("jp2k", 28.0, "jp2k"), tmp_path / "small.hc.tif"
    strip(full, small)
    output = tmp_path / "out.hc.tif"
    with pytest.raises(SettingsError, match="has nothing above tier reconstructed"):
        strip(small, output)
    with pytest.raises(SettingsError, match="has no layer to give: it is of tier bounded"):
        enhance(full, full, output)
    with pytest.raises(SettingsError, match="has no layer to give: it is of tier reconstructed"):
        enhance(small, small, output)
    assert not output.exists()
    with pytest.raises(OutputExists):
        strip(full, small)
    for source in (full, small):
        with pytest.raises(OutputError):
            enhance(small, full, source)
    assert validate(full) == []


def test_a_pair_of_two_encodings_is_refused(make: Make, tmp_path: Path) -> None:
    full, other = make("jp2k", 28.0, "jp2k"), make("finer", 31.0, "jp2k")
    small, output = tmp_path / "small.hc.tif", tmp_path / "out.hc.tif"
    strip(other, small)
    with pytest.raises(PairMismatch, match="would correct another prediction"):
        enhance(small, full, output)
    assert not output.exists()


def test_a_layer_on_a_base_that_was_changed_is_found(make: Make, tmp_path: Path) -> None:
    data = bytearray(make("jp2k", 28.0, "jp2k").read_bytes())
    with Container(make("jp2k", 28.0, "jp2k")) as container:
        offset = data.index(container.tile(0, 0))
    data[offset + 150] ^= 255
    path = tmp_path / "changed.hc.tif"
    path.write_bytes(data)
    with pytest.raises(CorruptContainer) as caught:
        _all(path)
    assert caught.value.code == "tile-checksum"
    with pytest.raises(CorruptContainer):
        strip(path, tmp_path / "out.hc.tif")
    assert not (tmp_path / "out.hc.tif").exists()


def test_a_decoder_says_which_tier_it_gave(make: Make) -> None:
    with Decoder(make("jp2k", 28.0, "jp2k")) as decoder:
        said = Rendition(decoder.manifest).description(1, "all", written_as="nothing")
        assert "corrected by the file's enhancement layer, no square of 256 px below 33 dB as decoded" in said
        assert "measured on all blocks of tissue" in said
        said = Rendition(decoder.manifest, enhanced=False).description(1, "all", written_as="nothing")
        assert "without the file's enhancement layer" in said
        assert "tissue blocks" in said


def test_what_a_later_revision_added_is_said_to_be_gone(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later, small = VECTORS / "valid" / f"{LATER_REVISION}.hc.tif", tmp_path / "small.hc.tif"
    with Container(later) as container:
        assert {"layers.stain_map", "base.levels.0.of a later revision", "tag 65319"} <= {*container.passed_over}
    strip(later, small)
    assert f"{later} has what this version does not know, and {small} has not: " in capsys.readouterr().err
    with Container(small) as container:
        assert container.passed_over == ()
    strip(make("known", 28.0, "jp2k"), small, overwrite=True)
    assert not capsys.readouterr().err
