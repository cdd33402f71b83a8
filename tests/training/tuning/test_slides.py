"""Tuning to slides: the command, and slides without enough tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.decoder import Decoder
from histocodec.encoder import EncodeSettings, encode
from histocodec.encoder.pipeline import coded_tissue
from histocodec.encoder.tuned_generator import TissueBlocks
from histocodec.errors import SettingsError
from histocodec.format.reader import Container
from histocodec.generators.catalogue import load_generator
from histocodec.generators.package import Package
from histocodec.geometry import Region
from histocodec.pixels.resampler import Generator
from histocodec.runtime.progress import Progress, silent
from histocodec.source import open_source
from histocodec.training.tuning.slides import Collector, SlideTuner
from tests.training.tuning.inputs import fast, small_package


def test_a_tuned_decoder_travels_in_the_file(tissue_slide_path: Path, tmp_path: Path) -> None:
    start = load_generator(small_package())
    settings = EncodeSettings(codec="jp2k", ratio=None, quality=44.0)  # so many bytes that a package is cheap
    with open_source(tissue_slide_path) as source:
        plain = encode(source, tmp_path / "plain.hc.tif", start, settings)
        tuner = SlideTuner(fast(30))
        report = encode(source, tmp_path / "tuned.hc.tif", start, settings, tuner=tuner)
    assert "tuning small-x4 to the slide gained +" in report.notes[0]
    assert report.notes[0].endswith("it is embedded")
    assert report.manifest.quality is not None
    assert plain.manifest.quality is not None
    assert report.manifest.quality.psnr_db.mean > plain.manifest.quality.psnr_db.mean + 0.3
    assert report.manifest.prediction.generator.name == "small-x4-tuned"
    with Container(report.path) as container:
        assert container.manifest.prediction.generator.embedded
    with Decoder(report.path) as decoder:  # from the file alone: nobody else has this generator
        assert decoder.read(Region(0, 0, 300, 200)).shape == (200, 300, 3)


def test_a_scanner_s_blocks_are_those_that_an_encode_would_learn_from(tissue_slide_path: Path, tmp_path: Path) -> None:
    start = load_generator(small_package())
    settings = EncodeSettings(codec="jp2k", ratio=12.0)
    seen: list[Collector] = []

    def looks_on(generator: Generator, tissue: TissueBlocks, progress: Progress) -> None:
        seen.append(Collector(4, seed=1))
        seen[-1].collect(generator, tissue, progress)

    with open_source(tissue_slide_path) as source:
        encode(source, tmp_path / "x.hc.tif", start, settings, tuner=looks_on)
        with coded_tissue(source, start, settings, tmp_path, silent) as tissue:
            looks_on(start, tissue, silent)
    assert len(seen[0].learn) == 4
    for one, other in zip(seen[0].learn, seen[1].learn, strict=True):
        assert np.array_equal(one.base, other.base)
        assert np.array_equal(one.full, other.full)
    assert [path.name for path in tmp_path.iterdir()] == ["x.hc.tif"]


def test_too_little_tissue_to_tune_to(slide_path: Path, tmp_path: Path) -> None:
    with open_source(slide_path) as source:
        report = encode(
            source,
            tmp_path / "x.hc.tif",
            load_generator(small_package()),
            EncodeSettings(codec="jp2k"),
            tuner=SlideTuner(),
        )
    assert "too few blocks of tissue" in report.notes[0]


def test_the_commands(tissue_slide_path: Path, tmp_path: Path) -> None:
    start = tmp_path / "small.safetensors"
    start.write_bytes(small_package().data)
    out = tmp_path / "ours.safetensors"
    arguments = [
        "tune",
        str(tissue_slide_path),
        str(tissue_slide_path),
        "-o",
        str(out),
        "--steps",
        "20",
        "--generator",
        str(start),
        "--name",
        "ours",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "blocks held back" in result.output
    package = Package(out.read_bytes())
    assert package.card.name == "ours"
    assert package.card.training["steps"] == 20
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0  # the output exists
    coded = tmp_path / "slide.hc.tif"
    result = CliRunner().invoke(
        app,
        ["encode", str(tissue_slide_path), "-o", str(coded), "--generator", str(out), "--tune", "4", "--ratio", "6"],
    )
    assert result.exit_code == 0, result.output
    assert "tuning ours to the slide gained" in " ".join(result.output.split())


def test_tuning_needs_tissue(slide_path: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tune", str(slide_path), "-o", str(tmp_path / "x.safetensors")])
    assert isinstance(result.exception, SettingsError)
    assert "too few to tune to" in str(result.exception)
    assert not (tmp_path / "x.safetensors").exists()
