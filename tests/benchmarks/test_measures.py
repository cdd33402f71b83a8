"""The benchmark's own measures: nuclei, ST-LPIPS, peers' weights; and that its tables are those of its results."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fidelity, pareto
from benchmarks.ncnn import read_rrdb
from benchmarks.nuclei import WEIGHTS, Mask, NucleiJudge, read_mask, score_nuclei
from benchmarks.stlpips import PerceptualDistance
from benchmarks.tissue_sites import organ
from histocodec.demo.synthetic import tissue
from histocodec.generators.rrdb import RRDBNet
from histocodec.geometry import Size
from histocodec.training.data.patches import read_image
from tests.places import FindData

STLPIPS = "../weights/stlpips_alex.safetensors"
"""Beside the data."""


def squares(*corners: tuple[int, int], side: int = 10) -> Mask:
    mask = np.zeros((64, 64), bool)
    for y, x in corners:
        mask[y : y + side, x : x + side] = True
    return mask


def test_equal_masks_agree_and_empty_ones_too() -> None:
    mask = squares((2, 2), (30, 30))
    assert score_nuclei(mask, mask).dice == 1
    assert score_nuclei(mask, mask).object_f1 == 1
    nothing = np.zeros_like(mask)
    assert score_nuclei(nothing, nothing).object_f1 == 1
    assert score_nuclei(nothing, mask).dice == 0
    assert score_nuclei(mask, nothing).object_f1 == 0


def test_objects_count_if_they_overlap_by_more_than_half() -> None:
    truth = squares((2, 2), (30, 30))
    # Shifted by 3 of 10 px: 70 px shared of 130; by 4: 60 of 140.
    assert score_nuclei(squares((2, 5), (30, 30)), truth).object_f1 == 1
    assert score_nuclei(squares((2, 6), (30, 30)), truth).object_f1 == pytest.approx(1 / 2)
    assert score_nuclei(squares((2, 2)), truth).object_f1 == pytest.approx(2 / 3)
    assert score_nuclei(squares((2, 6), (30, 30)), truth).dice == pytest.approx(160 / 200)


def test_specks_are_no_objects_and_diagonal_neighbours_are_two() -> None:
    truth = squares((2, 2))
    speckled = truth | squares((50, 50), side=5)  # 25 px
    assert score_nuclei(speckled, truth).object_f1 == 1
    assert score_nuclei(squares((2, 2), (12, 12)), truth).object_f1 == pytest.approx(2 / 3)


def test_the_judge_finds_nuclei_and_fewer_in_a_blurred_image(find_data: FindData) -> None:
    (path, *_) = sorted(find_data("dev/monuseg").glob("*.jxl"))
    image, truth = read_image(path)[:512, :512], read_mask(find_data(f"dev/monuseg_nuclei/{path.stem}.png"))
    judge = NucleiJudge()
    sharp = score_nuclei(judge.segment(image), truth[:512, :512])
    coarse = image[4::8, 4::8].repeat(8, 0).repeat(8, 1)
    blurred = score_nuclei(judge.segment(coarse), truth[:512, :512])
    assert sharp.dice > 0.6
    assert sharp.object_f1 > blurred.object_f1


def test_the_judge_takes_any_size() -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    assert NucleiJudge().segment(tissue(Size(75, 66), seed=1)).shape == (66, 75)


def test_stlpips_is_zero_for_equal_images_and_grows(find_data: FindData) -> None:
    distance = PerceptualDistance(find_data(STLPIPS))
    image = tissue(Size(128, 96), seed=2)
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 1, image.shape)
    noisy = [np.clip(image + sigma * noise, 0, 255).astype(np.uint8) for sigma in (4, 30)]
    assert distance(image, image) == 0
    assert 0 < distance(image, noisy[0]) < distance(image, noisy[1])
    assert distance(image, np.roll(image, 1, 1)) < distance(image, noisy[1])


def test_stlpips_is_that_of_its_authors(find_data: FindData) -> None:
    """0.00221255: what the package stlpips-pytorch 0.0.2 gives for these images (network alex, shift_tolerant)."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (129, 150, 3)).astype(np.uint8)
    b = np.clip(a.astype(int) + rng.integers(-40, 40, a.shape), 0, 255).astype(np.uint8)
    assert PerceptualDistance(find_data(STLPIPS))(a, b) == pytest.approx(0.0022125526, abs=2e-8)


def test_organs_of_barcodes() -> None:
    assert organ("TCGA-AC-A2FO-01A-01-TS1") == "breast"
    assert organ("TCGA-QQ-0000") is None
    assert organ("01_1") is None


def test_ncnn_weights_are_read_in_the_order_of_the_computation(tmp_path: Path) -> None:
    network, parts = RRDBNet(23, 64, 32, 0), []
    for name, value in network.state_dict().items():
        if name.endswith(".weight"):
            parts += [struct.pack("<I", 0x01306B47), value.half().numpy().tobytes()]
        else:
            parts.append(value.numpy().tobytes())
    (tmp_path / "net.bin").write_bytes(b"".join(parts))
    found = read_rrdb(tmp_path / "net.bin")
    for name, value in network.state_dict().items():
        assert torch.allclose(found[name], value, atol=1e-3)
    for broken in (b"".join(parts) + b"more", b"none"):
        (tmp_path / "broken.bin").write_bytes(broken)
        with pytest.raises(ValueError, match="broken"):
            read_rrdb(tmp_path / "broken.bin")


@pytest.mark.parametrize(("results", "table"), [(fidelity.RESULTS, fidelity.tables), (pareto.RESULTS, pareto.table)])
def test_the_tables_are_those_of_the_results(results: Path, table: object) -> None:
    assert callable(table)
    assert results.with_suffix(".md").read_text() == table(json.loads(results.read_text()))
    assert results.with_suffix(".png").is_file()
