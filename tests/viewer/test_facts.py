"""What the page is told is what the file holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from histocodec.decoder import Decoder
from histocodec.encoder import EncodeSettings
from histocodec.geometry import Size
from histocodec.viewer.facts import facts_of, quality_of, regions_of, worst_places
from histocodec.viewer.shown import Shown
from tests.viewer.inputs import REGIONS, encoded


def test_facts_are_those_of_the_manifest(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown:
        facts = json.loads(json.dumps(facts_of(shown)))
        assert (facts["size"], facts["mpp"], facts["scale"], facts["finest"]) == ([1300, 1100], 0.25, 4, 11)
        assert facts["best"] == "bounded"
        assert facts["notice"] == "not for primary diagnosis"
        ways = {way["key"]: way for way in facts["ways"]}
        assert list(ways) == ["base", "bicubic", "reconstructed", "bounded", "original"]
        with Decoder(all_tiers) as decoder:
            assert ways["bounded"]["statement"].startswith(decoder.rendition.label)
            assert ways["bounded"]["quality"] == decoder.rendition.quality_label
        assert ways["original"]["statement"] == "original: the pixels of the source as it stored them"
        rows = {title: dict(rows) for title, rows in ((part["title"], part["rows"]) for part in facts["sections"])}
        assert rows["Slide"]["Size"] == "1300 × 1100 px"
        assert rows["Reconstruction"]["Digest"] == "builtin:bicubic-x4"
        assert rows["File"]["Bytes"].endswith("and its original")
        assert "31" not in rows["Enhancement layer"]["Promise"]
        assert "33 dB" in rows["Enhancement layer"]["Promise"]


def test_the_worst_come_first_and_are_places_of_blocks(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown:
        places, found = worst_places(shown), shown.container.quality_map
        assert found is not None
        psnr_db = [place["psnr_db"] for place in places]
        assert psnr_db == sorted(psnr_db)
        assert len(places) == found.measured.sum()
        first = places[0]
        assert first["side"] == 512
        column, row = int(first["x"]) // 512, int(first["y"]) // 512
        assert round(float(found.psnr_db[row, column]), 2) == first["psnr_db"]
        assert first["psnr_db"] == round(float(np.nanmin(found.psnr_db)), 2)


def test_the_quality_map_is_told_block_by_block(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown:
        told, found = quality_of(shown), shown.container.quality_map
        assert found is not None
        assert (told["side"], told["complete"], told["without_layer"]) == (512, True, True)
        for column, row, psnr_db, ssim in told["blocks"]:
            assert abs(found.psnr_db[row, column] - psnr_db) <= 0.005
            assert abs(found.ssim[row, column] - ssim) <= 0.0005
        assert len(told["blocks"]) == found.measured.sum()
        low, high = told["range_db"]
        assert np.nanmin(found.psnr_db) <= low < high


def test_regions_are_told_as_they_came(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown:
        assert regions_of(shown) == REGIONS


def test_a_file_of_which_nothing_was_measured_says_so(tmp_path: Path) -> None:
    chosen = EncodeSettings(codec="jp2k", ratio=None, quality=30, verify="none")
    with Shown(encoded(tmp_path, "bare", Size(300, 300), chosen)) as shown:
        facts = facts_of(shown)
        assert (facts["worst"], facts["has_quality_map"], facts["has_regions"]) == ([], False, False)
        assert quality_of(shown) == {"blocks": []}
        assert regions_of(shown)["features"] == []
        (measured,) = [part["rows"] for part in facts["sections"] if part["title"] == "Measured fidelity"]
        assert measured == [("Blocks", "none measured when the file was made")]


def test_a_file_whose_segments_lie_over_all_of_it_is_told_without_a_share(all_tiers: Path) -> None:
    with Shown(all_tiers) as shown:
        original = shown.container.original
        assert original is not None
        for size_bytes in (original.total_bytes, original.total_bytes - 1):
            shown.container.size_bytes = size_bytes
            assert "of the source" not in facts_of(shown)["summary"]
