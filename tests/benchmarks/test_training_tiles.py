"""The parcel of training tiles: unpacked, it is what `histocodec train --data` reads."""

from __future__ import annotations

import tarfile
from pathlib import Path

from benchmarks.training_tiles import packed, write_pack
from histocodec.pixels.metrics import psnr
from histocodec.training.data.patches import collect_patches, read_image
from tests.training.inputs import config, write_data

TOML = """
name = "tiny-x4"
licence = "CC0-1.0"
network = { architecture = "plain", hyperparameters = { scale = 4, channels = 8, pairs = 1 } }
data = { train = { train = 1.0 }, measure = ["dev"], measure_crop = 128 }
schedule = { steps = 6 }
bases = [{ codec = "uncoded", share = 1.0 }]
"""


def test_what_was_packed_can_be_trained_on(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    (tmp_path / "tiny.toml").write_text(TOML)
    tiles = packed([tmp_path / "tiny.toml"], tmp_path / "data", 1.0, {"train": 2}, 1)
    megapixels, size = write_pack(tmp_path / "tiles.tar", tiles)
    assert size == (tmp_path / "tiles.tar").stat().st_size
    with tarfile.open(tmp_path / "tiles.tar") as archive:
        assert archive.getnames() == ["train/0.jxl", "train/2.jxl", "dev/0.jxl"]
        archive.extractall(tmp_path / "there", filter="data")
    assert megapixels == (2 * 400 * 400 + 128 * 128) / 1e6
    assert read_image(tmp_path / "there" / "dev" / "0.jxl").shape == (128, 128, 3)
    assert psnr(*(read_image(tmp_path / root) for root in ("data/train/0.png", "there/train/0.jxl"))) > 30
    assert len(collect_patches(config().data, tmp_path / "there", 1).kept) == 1  # the other one is glass
