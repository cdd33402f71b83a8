"""The vectors of container v1: what is valid decodes to the stated pixels everywhere, what is hostile is refused."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
import time
from pathlib import Path
from typing import Any

import imagecodecs
import jsonschema
import numpy as np
import openslide
import pytest
import tifffile
import zstandard

from histocodec.decoder import Decoder
from histocodec.errors import CorruptContainer, HistocodecError, SettingsError
from histocodec.format.descriptions import OTHER_BASE
from histocodec.format.reader import Container
from histocodec.format.restoration import check_restored, restore
from histocodec.format.tags import PROBLEM_CODES
from histocodec.format.tiers import strip
from histocodec.geometry import Image, Region
from histocodec.pixels.residual import Mode
from histocodec.validation import validate
from tests.format.conformance.make_vectors.extended import KEPT_TAGS, LATER
from tests.format.conformance.make_vectors.recipes import LATER_REVISION
from tests.format.conformance.make_vectors.writing import VECTORS, libraries, make
from tests.format.conformance.second_decoder import Original, Refused, SecondDecoder
from tests.format.conformance.surgery import MANIFEST, take_apart

VALID = sorted((VECTORS / "valid").glob("*.hc.tif"))
INVALID: dict[str, dict[str, Any]] = json.loads((VECTORS / "invalid" / "index.json").read_text("utf-8"))["files"]
MADE_WITH: dict[str, str] = json.loads((VECTORS / "valid" / "index.json").read_text("utf-8"))["made_with"]
SCHEMA = json.loads((VECTORS.parent / "manifest.schema.json").read_text("utf-8"))

BASE_MISMATCHES = [name for name in INVALID if name.startswith("base-mismatch")]
"""What a reader shows with a warning; it refuses all the others."""

CODEC_TOLERANCE = 2
"""Two libraries' decoders of one codestream may differ by so much."""

NOT_JSON = "not yet a JSON value"
BEYOND_THE_SCHEMA = {
    **dict.fromkeys(["not-json", "nan", "infinity", "twice", "deep", "surrogate", "not-utf-8"], NOT_JSON),
    **dict.fromkeys(["float-for-whole"], "520.0 is an integer to JSON Schema"),
    **dict.fromkeys(["levels", "level-size", "other-scale", "map-size"], "follows from other fields"),
    **dict.fromkeys(
        ["layer-size", "quality-map-size", "worst-block", "same-subifd", "damaged-outside"], "follows from other fields"
    ),
    **dict.fromkeys(["bounded-without-layer", "layer-without-bounded"], "follows from other fields"),
    **dict.fromkeys(
        ["colour-missing", "colour-of-jp2k", "layer-colour-of-jpeg", "base-in-chain", "base-apart", "base-in-layer"],
        "follows from other fields",
    ),
    **dict.fromkeys(["renamed-builtin", "embedded-builtin"], "follows from the digest"),
    **dict.fromkeys(
        ["source-twice", "source-folder", "source-nameless", "source-bytes", "source-none", "source-identified"],
        "follows from other fields",
    ),
    **dict.fromkeys(["original-tier", "original-predictor", "original-colour"], "follows from other fields"),
}
"""`manifest-invalid` vectors that a schema cannot refuse."""


ORIGINALS = [path for path in VALID if "-original" in path.name]
"""Files that keep the source's own."""


def name_of(path: Path) -> str:
    return path.name.removesuffix(".hc.tif")


def sidecar(path: Path) -> dict[str, Any]:
    value = json.loads(path.with_name(f"{name_of(path)}.json").read_text("utf-8"))
    assert isinstance(value, dict)
    return value


def decoded_levels(path: Path, *, enhancement: bool = True) -> list[Image]:
    with Decoder(path, enhancement=enhancement) as decoder:
        return [decoder.read(Region(0, 0, *size), level) for level, size in enumerate(decoder.levels)]


def distance(a: Image, b: Image) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(np.int16) - b).max())


# ------------------------------------------------------------------------------------------------------------ valid


def shown_elsewhere(path: Path) -> list[Image]:
    """The pixels of the main chain's levels: all that are stored, but for an AV1 base."""
    return decoded_levels(path)[2 if sidecar(path)["codec"] == "av1" else 1 :]


@pytest.mark.parametrize("path", VALID, ids=name_of)
class TestValid:
    def test_has_no_problem(self, path: Path) -> None:
        assert validate(path, deep=True) == []

    def test_says_what_its_sidecar_says(self, path: Path) -> None:
        expected = sidecar(path)
        with Decoder(path) as decoder:
            container = decoder.container
            levels = [[list(size), factor] for size, factor in zip(decoder.levels, decoder.downsamples, strict=True)]
            assert levels == [[level["size"], level["downsample"]] for level in expected["levels"]]
            assert decoder.mpp == expected["mpp"]
            assert decoder.manifest.base.codec == expected["codec"]
            assert decoder.generator.name == expected["generator"]
            assert container.tissue_map.tolist() == expected["tissue_map"]
            assert decoder.manifest.tier == expected["tier"]
            quality_map = container.quality_map
            assert (quality_map and quality_map.values.tolist()) == expected["quality_map"]
            profile = container.icc_profile
            assert (profile and hashlib.sha256(profile).hexdigest()) == expected["icc_profile_sha256"]
            sizes = {n: list(container.associated_image(n).shape[1::-1]) for n in decoder.manifest.associated}
            assert sizes == expected["associated"]

    def test_enhancement_layer_is_what_its_sidecar_says(self, path: Path) -> None:
        expected = sidecar(path)["enhancement"]
        with Decoder(path) as decoder:
            layer, stated = decoder.container.enhancement, decoder.manifest.layers.enhancement
            assert decoder.is_enhanced == (expected is not None)
            if layer is None or stated is None:
                assert expected is None
                return
            assert [stated.codec, layer.modes.tolist()] == [expected["codec"], expected["modes"]]
            assert [stated.min_psnr_db, stated.roi_psnr_db] == [expected["min_psnr_db"], expected["roi_psnr_db"]]
            regions = decoder.container.regions()
            assert (len(regions.features) if regions else 0) == expected["regions"]
        corrected, predicted = decoded_levels(path)[0], decoded_levels(path, enhancement=False)[0]
        for index in range(layer.grid.count):
            part = layer.grid.covered(*layer.grid.address(index))
            block = np.s_[part.y : part.bottom, part.x : part.right]
            assert np.array_equal(corrected[block], predicted[block]) == (layer.modes[index] == Mode.ABSENT)
        if libraries() == MADE_WITH and not sidecar(path)["level_0_rounding"]:
            assert hashlib.sha256(predicted.tobytes()).hexdigest() == expected["level_0_without_sha256"]

    def test_decodes_to_the_reference(self, path: Path) -> None:
        levels, expected = decoded_levels(path), sidecar(path)
        reference = imagecodecs.png_decode(path.with_name(f"{name_of(path)}.png").read_bytes())
        assert distance(levels[0], reference) <= CODEC_TOLERANCE
        if libraries() == MADE_WITH:
            first = 1 if expected["level_0_rounding"] else 0
            digests = [hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in levels]
            assert digests[first:] == [level["sha256"] for level in expected["levels"]][first:]
            assert distance(levels[0], reference) <= expected["level_0_rounding"]

    def test_a_second_decoder_agrees(self, path: Path) -> None:
        second, ours = SecondDecoder(path), decoded_levels(path)
        assert second.differing == []
        assert len(second.levels) == len(ours)
        for level, (a, b) in enumerate(zip(second.levels, ours, strict=True)):
            assert distance(a, b) <= (sidecar(path)["level_0_rounding"] if level == 0 else 0)
        before = SecondDecoder(path, enhancement=False).levels[0]
        assert distance(before, decoded_levels(path, enhancement=False)[0]) <= sidecar(path)["level_0_rounding"]
        with Container(path) as container:
            assert second.icc_profile == container.icc_profile
            assert (second.quality_map is None) == (container.quality_map is None)
            if second.quality_map is not None and container.quality_map is not None:
                ours_too = container.quality_map
                numbers = [ours_too.psnr_db, ours_too.ssim, ours_too.colour_error, ours_too.consistency_db]
                np.testing.assert_allclose(second.quality_map, np.stack(numbers, axis=-1), rtol=1e-6)
            for name, image in second.associated.items():
                np.testing.assert_array_equal(image, container.associated_image(name))

    def test_tifffile_reads_the_levels_that_others_can_show(self, path: Path) -> None:
        expected = shown_elsewhere(path)
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
            assert [page.shape[:2] for page in pages] == [pixels.shape[:2] for pixels in expected]
            for page, pixels in zip(pages, expected, strict=True):
                np.testing.assert_array_equal(page.asarray(), pixels)

    def test_openslide_opens_it(self, path: Path) -> None:
        expected, levels = sidecar(path), shown_elsewhere(path)
        first = expected["levels"][-len(levels)]["downsample"]
        with openslide.OpenSlide(path) as slide:
            assert slide.properties["openslide.vendor"] == "aperio"
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(expected["mpp"] * first, rel=1e-4)
            power = 10 * expected["levels"][1]["downsample"] / first
            assert float(slide.properties["openslide.objective-power"]) == pytest.approx(power, rel=1e-4)
            assert slide.level_dimensions == tuple(pixels.shape[1::-1] for pixels in levels)
            assert {n: list(slide.associated_images[n].size) for n in slide.associated_images} == expected["associated"]
            for level, pixels in enumerate(levels):
                shown = np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))
                tolerance = 64 if expected["codec"] == "jpeg" else CODEC_TOLERANCE  # OpenSlide repeats chroma
                assert distance(shown, pixels) <= tolerance

    def test_manifest_follows_the_schema(self, path: Path) -> None:
        with Container(path) as container:
            jsonschema.validate(json.loads(container.manifest_json), SCHEMA)


def test_what_is_not_known_is_not_taken_along(tmp_path: Path) -> None:
    """Section 12.2: whoever writes a file anew cannot know whether it still holds."""
    path, out = VECTORS / "valid" / f"{LATER_REVISION}.hc.tif", tmp_path / "out.hc.tif"
    strip(path, out)
    first = take_apart(out.read_bytes())[0]
    assert LATER not in zstandard.decompress(first.tags[MANIFEST][1]).decode()
    assert len(first.subdirectories) == len(take_apart(path.read_bytes())[0].subdirectories) - 2
    assert KEPT_TAGS.start not in first.tags
    before, after = decoded_levels(path, enhancement=False), decoded_levels(out)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("path", ORIGINALS, ids=name_of)
class TestOriginals:
    def test_the_files_come_back(self, path: Path, tmp_path: Path) -> None:
        expected, second = sidecar(path)["original"], Original(path).files()
        written = restore(path, tmp_path / "restored")
        folder = written[0].parent if len(written) > 1 else tmp_path
        assert [file["name"] for file in expected["files"]] == list(second)
        for file, place in zip(expected["files"], written, strict=True):
            assert len(written) == 1 or place.relative_to(folder).as_posix() == file["name"]
            assert hashlib.sha256(place.read_bytes()).hexdigest() == file["sha256"]
            assert second[file["name"]] == place.read_bytes()

    def test_its_pixels_are_those_that_a_second_decoder_gets(self, path: Path) -> None:
        expected = sidecar(path)["original"].get("pixels_sha256")
        if expected is None:
            with pytest.raises(SettingsError, match="it can be restored, and no more"):
                Decoder(path, tier="original")
            return
        with Decoder(path, tier="original") as decoder:
            pixels = decoder.read(Region(0, 0, *decoder.levels[0]))
            assert decoder.rendition.label.startswith("original: ")
        np.testing.assert_array_equal(Original(path).pixels(), pixels)
        if libraries() == MADE_WITH:
            assert hashlib.sha256(pixels.tobytes()).hexdigest() == expected

    def test_other_readers_show_what_they_can(self, path: Path) -> None:
        with tifffile.TiffFile(path) as tiff:
            pages = tiff.pages.first.pages
            assert pages is not None
            page = pages[-1]
            assert isinstance(page, tifffile.TiffPage)
            with Container(path) as container:
                tiles = container.original.layer.tiles if container.original else None
            if tiles is None:
                assert page.shape == (1, 1)
            elif name_of(path) == "jp2k-x4-original":  # stored in two ways
                assert page.compression == 65311
            else:
                with Decoder(path, tier="original") as decoder:
                    pixels = decoder.read(Region(0, 0, *decoder.levels[0]))
                # A decoder of JPEG XL does not give what one of JPEG gives, to the bit.
                apart = np.abs(page.asarray().astype(np.int16) - pixels).mean()
                assert apart <= (0 if tiles.codec == "deflate" else 1.5)


UNSHOWN = "original-damaged-pixels.hc.tif"
"""Its files come back, and one of its tiles is no picture."""


@pytest.mark.parametrize("name", [name for name in INVALID if name.startswith("original-damaged") and name != UNSHOWN])
class TestDamagedOriginals:
    def test_nothing_is_restored(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CorruptContainer, match="original-damaged"):
            restore(VECTORS / "invalid" / name, tmp_path / "restored")
        assert list(tmp_path.iterdir()) == []

    def test_the_other_tiers_read(self, name: str) -> None:
        path = VECTORS / "invalid" / name
        assert decoded_levels(path)

    def test_a_second_decoder_refuses_it(self, name: str) -> None:
        with pytest.raises((Refused, IndexError, struct.error, zstandard.ZstdError)):
            Original(VECTORS / "invalid" / name).files()


def test_an_original_that_comes_back_and_cannot_be_shown(tmp_path: Path) -> None:
    path = VECTORS / "invalid" / UNSHOWN
    restore(path, tmp_path / "restored")
    assert [*Original(path).files().values()] == [(tmp_path / "restored").read_bytes()]
    with Decoder(path, tier="original") as decoder, pytest.raises(CorruptContainer, match="original-damaged"):
        decoder.read(Region(0, 0, *decoder.levels[0]))


def test_vectors_are_what_their_script_makes(tmp_path: Path) -> None:
    """In what they say and decode to: how the writer words and lays out a file may change without changing a vector."""
    make(tmp_path)
    for folder in ("valid", "invalid"):
        made = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        kept = {path.name: path.read_bytes() for path in (VECTORS / folder).iterdir()}
        assert made.keys() == kept.keys()
        # Level 0 of a network may round otherwise elsewhere.
        networks = {name_of(path) for path in VALID if sidecar(path)["level_0_rounding"]}
        same = {name for name in made if made[name] == kept[name] or name.partition(".")[0] in networks}
        if libraries() == MADE_WITH:
            assert [name for name in made if not name.endswith(".hc.tif") and name not in same] == []


# ---------------------------------------------------------------------------------------------------------- invalid


def read_everything(path: Path) -> None:
    """All that a reader can ask a file for. Raises what the first thing raises."""
    with Container(path) as container:
        if container.manifest.layers.original is not None:
            check_restored(container, workers=1)
    with Decoder(path) as decoder:
        assert decoder.generator.scale
        for level, size in enumerate(decoder.levels):
            decoder.read(Region(0, 0, *size), level)
        for name in decoder.manifest.associated:
            decoder.container.associated_image(name)
        original = decoder.container.original
        if original is not None and original.grid is not None:
            with Decoder(path, tier="original") as shown:
                shown.read(Region(0, 0, *shown.levels[0]))


@functools.cache
def find_engines() -> None:
    """Load what computes networks."""
    for name in ("jp2k-x4-embedded", "jp2k-x4-rrdb"):
        decoded_levels(VECTORS / "valid" / f"{name}.hc.tif", enhancement=False)


@pytest.mark.filterwarnings("ignore:engine .* is left out:RuntimeWarning")  # a lying card is why
class TestInvalid:
    @pytest.mark.parametrize("name", INVALID)
    def test_gives_its_code(self, name: str) -> None:
        codes = {problem.code for problem in validate(VECTORS / "invalid" / name, deep=True)}
        assert codes == set(INVALID[name]["codes"])
        assert name.startswith(INVALID[name]["codes"][0])

    @pytest.mark.parametrize("name", [name for name in INVALID if name not in BASE_MISMATCHES])
    def test_is_refused_at_once(self, name: str) -> None:
        find_engines()  # whose import would count as reading
        start = time.perf_counter()
        with pytest.raises(HistocodecError) as refusal:
            read_everything(VECTORS / "invalid" / name)
        assert time.perf_counter() - start < 2
        assert "\n" not in str(refusal.value).strip()


NO_NETWORK = [f"{name}.hc.tif" for name in ("bit-flip", "missing", "no-package", "huge-network", "deep-network")]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in INVALID
        if name.startswith(("prediction-mismatch", "tile-checksum", "generator-damaged"))
        and name.removeprefix("generator-damaged-") not in NO_NETWORK
    ],
)
def test_a_second_decoder_refuses_it(name: str) -> None:
    with pytest.raises(Refused):
        SecondDecoder(VECTORS / "invalid" / name)


@pytest.mark.parametrize("name", BASE_MISMATCHES)
def test_a_base_that_decodes_otherwise_is_shown_with_one_warning(name: str) -> None:
    path = VECTORS / "invalid" / name
    with Decoder(path) as decoder:
        assert decoder.container.differing_tiles == frozenset()
        with pytest.warns(RuntimeWarning, match=OTHER_BASE) as warned:
            shown = [decoder.read(Region(0, 0, *size), level) for level, size in enumerate(decoder.levels)]
        assert len(shown) == len(decoder.levels)
        assert len(warned) == 1
        assert sorted(decoder.container.differing_tiles) == SecondDecoder(path).differing != []
        assert OTHER_BASE in decoder.rendition.label


@pytest.mark.parametrize("name", BASE_MISMATCHES)
def test_a_base_that_decodes_otherwise_is_known_before_it_is_shown(name: str) -> None:
    with Decoder(VECTORS / "invalid" / name) as decoder:
        longest = max(range(decoder.container.grids[0].count), key=lambda k: len(decoder.container.tile(0, k)))
        known = longest in SecondDecoder(Path(decoder.path)).differing
        assert (OTHER_BASE in decoder.rendition.description(1, "all", written_as="nothing")) == known
        assert (OTHER_BASE in decoder.rendition.description(4, "all", written_as="nothing")) == known
        assert OTHER_BASE not in decoder.rendition.description(32, "all", written_as="nothing")


@pytest.mark.parametrize("name", [name for name in INVALID if name.startswith("prediction-mismatch")])
def test_what_was_predicted_otherwise_is_shown_without_its_correction(name: str) -> None:
    path = VECTORS / "invalid" / name
    assert decoded_levels(path, enhancement=False)
    with Decoder(path) as decoder, pytest.raises(CorruptContainer, match="prediction-mismatch"):
        decoder.read(Region(0, 0, *decoder.levels[0]))


@pytest.mark.parametrize("name", [name for name in INVALID if name.startswith("manifest-invalid-")])
def test_schema_refuses_what_it_can(name: str) -> None:
    reason = BEYOND_THE_SCHEMA.get(name.removeprefix("manifest-invalid-").removesuffix(".hc.tif"))
    if reason != NOT_JSON:
        data = take_apart((VECTORS / "invalid" / name).read_bytes())[0].tags[MANIFEST][1]
        manifest = json.loads(zstandard.decompress(data))
        assert jsonschema.Draft202012Validator(SCHEMA).is_valid(manifest) == (reason is not None)


def test_every_code_has_a_vector() -> None:
    assert {code for entry in INVALID.values() for code in entry["codes"]} == set(PROBLEM_CODES)
    assert set(INVALID) == {path.name for path in (VECTORS / "invalid").glob("*.hc.tif")}
