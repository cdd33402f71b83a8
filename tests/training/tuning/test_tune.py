"""Decoders tuned to slides: what is learned, what is kept, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from histocodec.cli import app
from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.encoder.pipeline import EncodeSettings, encode
from histocodec.encoder.tuned_decoder import TissueBlocks, TunedGenerator
from histocodec.errors import SettingsError
from histocodec.format.reader import Container
from histocodec.format.zstd import compressed
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.generators.catalogue import load_generator
from histocodec.generators.networks import PlainNet, RRDBNet
from histocodec.generators.package import Package, PackageCard
from histocodec.generators.torch_runner import network_of, package_bytes, round_weights
from histocodec.geometry import Region, Size
from histocodec.pixels.degrade import degrade
from histocodec.pixels.resampler import Generator
from histocodec.runtime.progress import Progress
from histocodec.source import open_source
from histocodec.training.tuning.slides import SlideTuner
from histocodec.training.tuning.tune import Pair, TuneSettings, tune


def small_package(**card: object) -> Package:
    """An untrained network of few channels that starts as repetition: there is much to learn."""
    torch.manual_seed(4)
    network = PlainNet(4, 16, 1)
    for parameter in network.tail.parameters():
        parameter.data.zero_()
    return Package(
        package_bytes(
            network,
            PackageCard("small-x4", "plain", {"scale": 4, "channels": 16, "pairs": 1}, 4, 4, "CC0-1.0", **card),  # type: ignore[arg-type]
        )
    )


def fast(steps: int) -> TuneSettings:
    """For a network that has learned nothing yet."""
    return TuneSettings(seconds=60, steps=steps, crop=32, learning_rate=0.002, adam_learning_rate=5e-4)


def pairs(count: int, seed: int) -> list[Pair]:
    """Blocks of 32 base pixels of synthetic tissue, uncoded."""
    found = []
    for k in range(count):
        full = tissue(Size(160, 160), seed=seed + k)
        base = degrade(full, 4, None)
        found.append(Pair(np.ascontiguousarray(base), full[16:-16, 16:-16]))
    return found


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough for 16 whole blocks of 512 px, and more."""
    path = tmp_path_factory.mktemp("tuning") / "slide.tif"
    write_slide(path, tissue(Size(2600, 2600), seed=3))
    return path


def test_tuning_gains_on_blocks_that_it_never_saw() -> None:
    start = small_package()
    tuned = tune(start, pairs(6, 10), pairs(2, 30), fast(40))
    assert tuned.gain_db > 0.5
    assert tuned.held_back == 2
    assert tuned.package.card.name == "small-x4-tuned"
    assert tuned.package.card.training["tuned_from"] == start.digest
    assert tuned.package.card.training["steps"] == tuned.steps == 40
    assert tuned.package.card.measured["held_back"]["psnr_db"] == tuned.after_db


def test_the_same_seed_and_steps_give_the_same_package() -> None:
    first, second, other = (
        tune(small_package(), pairs(3, 10), pairs(1, 30), TuneSettings(seconds=60, steps=8, crop=16, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first.package.digest == second.package.digest != other.package.digest


def test_the_time_limit_holds() -> None:
    import time

    began = time.monotonic()
    tuned = tune(small_package(), pairs(3, 10), pairs(1, 30), TuneSettings(seconds=3, crop=16))
    assert time.monotonic() - began < 8  # a busy machine may stretch a step
    assert tuned.steps >= 1


def test_a_time_limit_cuts_a_stated_number_of_steps() -> None:
    tuned = tune(small_package(), pairs(3, 10), pairs(1, 30), TuneSettings(seconds=1, steps=10**6, crop=16))
    assert 0 < tuned.steps < 10**6


def test_what_cannot_be_tuned() -> None:
    rrdb = RRDBNet(1, 4, 4, 2)
    card = PackageCard("crisp-x4", "rrdb", {"blocks": 1, "features": 4, "growth": 4, "halo": 2}, 4, 2, "CC0-1.0")
    with pytest.raises(SettingsError, match="texture"):
        tune(Package(package_bytes(rrdb, card)), pairs(1, 1), pairs(1, 2), TuneSettings())
    with pytest.raises(SettingsError, match="nothing to tune on: 0 blocks"):
        tune(small_package(), [], pairs(1, 2), TuneSettings())
    with pytest.raises(SettingsError, match="name has 1 to 64 letters"):
        tune(small_package(), pairs(1, 1), pairs(1, 2), TuneSettings(), name="ours/x4")
    with pytest.raises(SettingsError, match="bicubic-x4 is no network"):
        SlideTuner()(BicubicGenerator(4), *[None] * 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [3, 7, 11])
def test_rounded_weights_are_few_and_held_exactly(bits: int) -> None:
    network = network_of(small_package())
    network.get_parameter("body.0.bias").data.fill_(0.12345)
    before = {name: value.clone() for name, value in network.named_parameters()}
    round_weights(network, bits)
    again = network_of(Package(package_bytes(network, small_package().card)))
    for name, value in network.named_parameters():
        if value.dim() == 4:
            assert torch.equal(value, dict(again.named_parameters())[name])  # half precision loses nothing more
            for channel, original in zip(value, before[name], strict=True):
                assert len(channel.unique()) < 2**bits
                assert (channel - original).abs().max() <= original.abs().max() / (2 ** (bits - 1) - 1) + 2.0**-24
        else:
            assert torch.equal(value, before[name])
    sizes = [len(compressed(package_bytes(network_of(small_package()), small_package().card)))]
    sizes.append(len(compressed(package_bytes(network, small_package().card))))
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    "values", [{"weight_bits": 1}, {"weight_bits": 12}, {"seconds": 0.0}, {"seconds": float("nan")}, {"steps": 0}]
)
def test_settings_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        TuneSettings(**values)  # type: ignore[arg-type]


def test_a_tuned_decoder_travels_in_the_file(slide: Path, tmp_path: Path) -> None:
    start = load_generator(small_package())
    settings = EncodeSettings(ratio=None, quality=44.0)  # so many bytes that a package is cheap
    with open_source(slide) as source:
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


class Pretended:
    """A tuner whose result and claimed gain are given."""

    def __init__(self, package: Package, gain_db: float) -> None:
        self.package, self.gain_db = package, gain_db

    def __call__(self, generator: Generator, tissue: TissueBlocks, progress: Progress) -> TunedGenerator:
        return TunedGenerator(load_generator(self.package), tissue.addresses[:4], self.gain_db)


@pytest.mark.parametrize(
    ("gain_db", "says"), [(-0.1, "gained -0.10 dB"), (0.01, "less than its"), (0.9, "it is embedded")]
)
def test_without_a_budget_the_gain_must_exceed_its_price(
    slide: Path, tmp_path: Path, gain_db: float, says: str
) -> None:
    settings = EncodeSettings(ratio=None, quality=32.0, verify="none")
    with open_source(slide) as source:
        pretended = Pretended(small_package(measured={"x": 1}), gain_db)
        report = encode(source, tmp_path / "x.hc.tif", load_generator(small_package()), settings, tuner=pretended)
    assert says in report.notes[0]
    assert report.manifest.prediction.generator.embedded == (gain_db == 0.9)


def test_under_a_budget_both_files_are_measured(slide: Path, tmp_path: Path) -> None:
    """What claims a gain but is no better must not cost the base anything."""
    settings = EncodeSettings(ratio=8)
    better = tune(small_package(), pairs(6, 10), pairs(2, 30), TuneSettings(seconds=60, steps=40, crop=32)).package
    with open_source(slide) as source:
        start = load_generator(small_package())
        shipped = encode(source, tmp_path / "shipped.hc.tif", start, settings)
        no_better = Pretended(small_package(measured={"x": 1}), 0.5)
        same = encode(source, tmp_path / "same.hc.tif", start, settings, tuner=no_better)
        tuned = encode(source, tmp_path / "tuned.hc.tif", start, settings, tuner=Pretended(better, 0.5))
        assert same.size_bytes == shipped.size_bytes
        assert "small-x4 stays" in same.notes[0]
        assert tuned.size_bytes <= source.size_bytes / 8
        assert "with its own bytes counted; it is embedded" in tuned.notes[0]


def test_no_room_for_a_tuned_decoder(slide: Path, tmp_path: Path) -> None:
    large = PlainNet(4, 200, 2)
    card = PackageCard("large-x4", "plain", {"scale": 4, "channels": 200, "pairs": 2}, 4, 6, "CC0-1.0")
    with open_source(slide) as source:
        tuner = Pretended(Package(package_bytes(large, card)), 0.5)
        report = encode(source, tmp_path / "x.hc.tif", load_generator(small_package()), tuner=tuner)
        assert "there is no room for it" in report.notes[0]
        assert report.size_bytes <= source.size_bytes / 16


def test_too_little_tissue_to_tune_to(slide_path: Path, tmp_path: Path) -> None:
    with open_source(slide_path) as source:
        report = encode(source, tmp_path / "x.hc.tif", load_generator(small_package()), tuner=SlideTuner())
    assert "too few blocks of tissue" in report.notes[0]


def test_a_tuned_decoder_cannot_stay_behind(slide_path: Path, tmp_path: Path) -> None:
    settings = EncodeSettings(embed_generator=False)
    with open_source(slide_path) as source, pytest.raises(SettingsError, match="has to be embedded"):
        encode(source, tmp_path / "x.hc.tif", load_generator(small_package()), settings, tuner=SlideTuner())
    assert not (tmp_path / "x.hc.tif").exists()


def test_the_commands(slide: Path, tmp_path: Path) -> None:
    start = tmp_path / "small.safetensors"
    start.write_bytes(small_package().data)
    out = tmp_path / "ours.safetensors"
    arguments = [
        "tune",
        str(slide),
        str(slide),
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
        app, ["encode", str(slide), "-o", str(coded), "--generator", str(out), "--tune", "4", "--ratio", "6"]
    )
    assert result.exit_code == 0, result.output
    assert "tuning ours to the slide gained" in " ".join(result.output.split())


def test_tuning_needs_tissue(slide_path: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tune", str(slide_path), "-o", str(tmp_path / "x.safetensors")])
    assert isinstance(result.exception, SettingsError)
    assert "too few to tune to" in str(result.exception)
    assert not (tmp_path / "x.safetensors").exists()
