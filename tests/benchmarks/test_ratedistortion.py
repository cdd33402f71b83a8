"""The rate-distortion benchmark: codecs, the search for qualities, curves, the contest. Synthetic images only."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from benchmarks.ratedistortion import codecs, contest, curves, history, ladder, measures, methods, tables, tiles
from benchmarks.ratedistortion.methods import Coded, Coder, Method
from histocodec import EncodeSettings, load_generator
from histocodec.encoder.base_choice import UNSURE
from histocodec.generators.catalogue import default_package
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Image
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import psnr, ssim
from histocodec.pixels.tile_codecs import TileCodec, encode_tile
from histocodec.pixels.tile_coder import TileCoder
from histocodec.training.evaluate import centre


def picture(height: int = 128, width: int = 160, seed: int = 0) -> Image:
    """Soft blobs of stain with a little noise: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = sum(np.cos((a * x + b * y) / 9 + c) for a, b, c in rng.uniform(-1, 1, (6, 3)))
    colours = np.array([200, 130, 180]) + 14 * np.asarray(waves)[..., None] * np.array([1.0, 1.6, 0.8])
    found: Image = np.clip(colours + rng.normal(0, 3, colours.shape), 0, 255).astype(np.uint8)
    return found


ALL_CODECS = [
    codecs.avif(6),
    codecs.avif(6, "iq"),
    codecs.jpeg_xl(),
    codecs.jpeg("420"),
    codecs.jpeg_2000(),
    codecs.shipped("jp2k"),
    codecs.shipped("av1"),
    codecs.shipped("av1", 4),
]


@pytest.mark.parametrize("codec", ALL_CODECS, ids=lambda codec: codec.name)
def test_a_codec_comes_back_in_shape_and_better_for_more_bytes(codec: codecs.Codec) -> None:
    image = picture(300, 270)
    assert list(codec.qualities) == sorted(codec.qualities)
    found = []
    for step in (0.3, 0.5, 0.8):
        data = codec.encode(image, codec.qualities[int(step * (len(codec.qualities) - 1))])
        made = codec.decode(data, 300, 270)
        assert made.shape == image.shape
        assert made.dtype == np.uint8
        found.append((len(data), psnr(image, made)))
    assert found == sorted(found)
    assert found[0][0] < found[-1][0]
    assert found[-1][1] > 30


def points(codec: codecs.Codec, image: Image) -> list[tuple[float, float]]:
    """Bytes that count and PSNR, at some qualities."""
    found = []
    for quality in (30, 45, 60):
        data = codec.encode(image, quality)
        found.append((float(codec.counted(data)), psnr(image, codec.decode(data, *image.shape[:2]))))
    return found


def test_tune_psnr_takes_effect_and_slower_speeds_take_fewer_bytes() -> None:
    image = picture(256, 256)
    tuned = curves.bjontegaard_rate(points(codecs.avif(6, "iq"), image), points(codecs.avif(6), image))
    slower = curves.bjontegaard_rate(points(codecs.shipped("av1"), image), points(codecs.shipped("av1", 4), image))
    assert tuned is not None
    assert tuned < -0.02
    assert slower is not None
    assert slower < -0.02


def test_what_all_tiles_of_a_slide_share_is_not_counted() -> None:
    image = picture(128, 128)
    file, tile = codecs.avif(6).encode(image, 50), codecs.shipped("av1").encode(image, 50)
    assert 200 < len(file) - codecs.avif(6).counted(file) < 400
    assert file[-codecs.avif(6).counted(file) :].startswith(b"\x12\x00\x0a")  # the picture's own first units
    assert len(tile) - codecs.shipped("av1").counted(tile) == 1 + 8 * 12
    assert codecs.jpeg_2000().counted(b"whole") == 5


def test_the_scanner_is_plain_libjpeg_at_75() -> None:
    image = picture()
    assert codecs.scanner_bytes(image) == len(imagecodecs.jpeg8_encode(image, level=75, subsampling="420"))
    assert codecs.scanner_bytes(image) > len(codecs.jpeg("420").encode(image, 75))


@pytest.mark.parametrize("budget", [1, 9.9, 10, 11, 57, 640, 5000, 1e9])
def test_the_ladder_takes_the_highest_step_that_fits(budget: float) -> None:
    sizes = [10 * 1.07**step + 3 * (step // 7) for step in range(101)]
    fitting = [step for step, size in enumerate(sizes) if size <= budget]
    assert ladder.highest_fitting({}, 101, sizes.__getitem__, budget) == (fitting[-1] if fitting else None)


def test_the_ladder_measures_little_and_nothing_twice() -> None:
    asked: list[int] = []

    def size_of(step: int) -> float:
        asked.append(step)
        return 10 * math.exp(step / 20)

    known: dict[int, float] = {}
    steps = ladder.ladder(known, 101, size_of, [1000.0, 300.0, 100.0, 100.4, 30.0, 5.0])
    assert steps == [92, 68, 46, 21]
    assert len(asked) == len(set(asked)) == len(known) < 25


def test_a_fine_scale_ends_when_the_budget_is_nearly_full() -> None:
    sizes: dict[int, float] = {}
    step = ladder.highest_fitting(sizes, 10_000, lambda s: 100 + s, 5000, enough=0.99)
    assert step is not None
    assert 4950 <= 100 + step <= 5000
    assert len(sizes) < 25


def test_values_lie_on_the_line_over_log_bytes_and_never_beyond_the_ends() -> None:
    points = [(16.0, 20.0), (4.0, 30.0), (32.0, 18.0)]
    assert curves.value_at(points, 8.0) == pytest.approx(25.0)  # 8 is half-way from 4 to 16 in log
    assert curves.value_at(points, 16.0) == pytest.approx(20.0)
    assert curves.value_at(points, 32.0) == 18.0
    assert curves.value_at(points, 3.9) is None
    assert curves.value_at(points, 33.0) is None
    assert curves.value_at([], 8.0) is None
    assert curves.value_at([(8.0, 1.0)], 8.0) == 1.0


def test_the_bootstrap_is_seeded_and_knows_simple_cases() -> None:
    assert curves.bootstrap({"a": [2.0, 2.0], "b": [4.0]}) == (3.0, 3.0)
    assert curves.mean_of_means({"a": [1.0, 3.0], "b": [6.0]}) == 4.0
    draws = {"a": list(np.random.default_rng(1).normal(5, 2, 400))}
    low, high = curves.bootstrap(draws, seed=3)
    assert (low, high) == curves.bootstrap(draws, seed=3) != curves.bootstrap(draws, seed=4)
    # The mean of 400 values of deviation 2 has one of 0.1: 1.96 of it to each side.
    assert high - low == pytest.approx(2 * 1.96 * 0.1, rel=0.15)
    assert low < np.mean(draws["a"]) < high


def test_bjontegaard_rates_against_hand_computed_ones() -> None:
    reference = [(0.1, 20.0), (0.2, 25.0), (0.4, 30.0)]
    halved = [(rate / 2, value) for rate, value in reference]
    assert curves.bjontegaard_rate(reference, reference) == pytest.approx(0)
    assert curves.bjontegaard_rate(reference, halved) == pytest.approx(-0.5)
    assert curves.bjontegaard_rate(halved, reference) == pytest.approx(1.0)
    # The same rate at 20, half of it at 25: log 2 / 2 less on the mean over the values both reach.
    assert curves.bjontegaard_rate(reference, [(0.1, 20.0), (0.1 + 1e-9, 25.0)]) == pytest.approx(2**-0.5 - 1, abs=1e-6)
    assert curves.bjontegaard_rate(reference, [(0.1, 31.0), (0.2, 33.0)]) is None
    assert curves.bjontegaard_rate(reference, [*halved, (0.15, 24.0)]) == pytest.approx(-0.5)


def test_ms_ssim_has_its_known_properties() -> None:
    image = picture(192, 200)
    soft = np.repeat(np.repeat(downsample(image, 2), 2, 0), 2, 1)
    assert measures.ms_ssim(image, image) == pytest.approx(1.0)
    assert measures.ms_ssim(image, soft) == pytest.approx(measures.ms_ssim(soft, image))
    # Loss at the finest scale alone weighs .0448 of what SSIM makes of it.
    assert ssim(image, soft) < measures.ms_ssim(image, soft) < 1
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 20, image.shape), 0, 255).astype(np.uint8)
    assert measures.ms_ssim(image, noisy) < measures.ms_ssim(image, soft)
    with pytest.raises(ValueError, match="176"):
        measures.ms_ssim(image[:100], image[:100])


def test_ms_ssim_of_a_shift_in_brightness_is_the_luminance_term_of_the_fifth_scale() -> None:
    a, b = np.full((176, 176, 3), 100, np.uint8), np.full((176, 176, 3), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    luminance = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    assert measures.ms_ssim(a, b) == pytest.approx(luminance**0.1333, abs=1e-3)


def test_a_jpeg_grid_is_found_and_nothing_else_taken_for_one() -> None:
    image = picture(256, 256)
    born = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(image, level=80, subsampling="420"))
    assert history.history("x", image) == "other"
    assert history.history("x", born) == "jpeg-born"
    assert history.history("x", born[3:, 5:]) == "jpeg-born"
    assert history.history("dev/monuseg", born) == "jpeg2000-born"


def test_a_tiled_coder_cuts_counts_and_joins() -> None:
    image = picture(300, 260)
    coder = Coder(codecs.shipped("jpeg"), 1, 256, 20)
    coded = coder.encode(image, 95)
    assert len(coded.streams) == 4
    assert coded.streams[1][1:] == encode_tile(np.ascontiguousarray(image[:256, 256:]), "jpeg", 95)
    assert coded.total_bytes == sum(len(stream) - 1 for stream in coded.streams) + 80
    assert psnr(image, coder.decode(coded)) > 34


def ours(codec: TileCodec, scale: int) -> list[Method]:
    """Methods with the default generator of a base."""
    digest = default_package(scale, codec).digest
    found = [m for m in methods.all_methods() if m.generator and f" {codec} {methods.BY_SCALE[scale]} " in m.name]
    assert {m.generator.digest for m in found if m.generator} == {digest}
    return found


def test_histocodec_is_charged_index_and_checksums() -> None:
    image = picture(512, 512)
    by_speed = dict(zip(methods.SPEEDS[4], ours("av1", 4), strict=True))
    for speed, method in by_speed.items():
        base = method.coder.shrunk(image)
        assert base.shape == (128, 128, 3)
        coded = method.coder.encode(base, 60)
        colour = TileCoder.fitted("av1", base[::2, ::2]).colour
        assert coded.stream_bytes == len(TileCoder("av1", colour, speed=speed).encode(base, 60))
        assert coded.overhead_bytes == 8 + 8 + 4
        assert method.restore(method.coder.decode(coded)).shape == image.shape
    assert len({method.key() for method in by_speed.values()}) == len(by_speed)


def test_the_default_command_is_among_the_methods() -> None:
    default, settings = methods.default_methods(), EncodeSettings()
    names = [default["10x"], default["20x"]]
    assert default["unsure"] == UNSURE[settings.codec]
    assert all(name.startswith(f"histocodec {settings.codec} ") for name in names)
    everything, quick = methods.all_methods(), methods.quick_methods(methods.all_methods())
    assert set(names) <= {m.name for m in quick} < {m.name for m in everything}
    assert set(methods.QUICK) < {m.name for m in quick}


def test_a_candidate_is_compared_beside_the_default(tmp_path: Path) -> None:
    package = default_package(4, "av1")
    path = tmp_path / "mine" / f"{package.card.name}.safetensors"
    path.parent.mkdir()
    path.write_bytes(package.data)
    candidate = methods.Candidate.parse(f"{path}@box")
    assert (candidate.package, candidate.downsampler) == (str(path), "box")
    found = [m for m in methods.all_methods([candidate]) if " mine/" in m.name]
    name = f"mine/{package.card.name}"
    assert [m.name for m in found] == [f"histocodec av1 10x s{speed} {name}" for speed in methods.SPEEDS[4]]
    image = picture(128, 128)
    assert np.array_equal(found[0].coder.shrunk(image), downsample(image, 4))
    assert len(methods.all_methods([candidate])) == len(methods.all_methods()) + len(found)


class NoNetworks(measures.Measurer):
    """The slow measures are not what is tested here."""

    def __init__(self) -> None:
        pass

    def slow(self, original: Image, made: Image, truth: object) -> dict[str, float | None]:
        assert original.shape == made.shape
        return {"stlpips": 0.5}


def subject(image: Image) -> tiles.Subject:
    return tiles.Subject(
        "a", "foreign/tnbc", image, centre(image, tiles.MIDDLE), None, "other", codecs.scanner_bytes(image)
    )


def test_rows_fit_their_targets_and_add_up() -> None:
    image = picture(192, 256)
    fast = Coder(codecs.jpeg_2000())
    whole = Method("whole", "direct", fast, slow_measures=True)
    own = subject(image)
    found = tiles.measure(own, [whole], NoNetworks())
    for target, row in zip(ladder.TARGET_RATIOS, found["whole"], strict=True):
        assert target <= row["ratio"] < 1.25 * target
        assert row["bytes"]["base"] * 8 / image.shape[0] / image.shape[1] == pytest.approx(row["bpp"], abs=1e-5)
        assert row["encode_cpu"] > 0
        assert "bicubic_psnr_db" not in row
    assert [row["psnr_db"] for row in found["whole"]] == sorted((r["psnr_db"] for r in found["whole"]), reverse=True)
    measured = [row["ratio"] for row in found["whole"] if row["stlpips"] is not None]
    assert len(measured) == len(tiles.SLOW_RATIOS)
    assert not any(row["stlpips"] for row in tiles.measure(own, [whole], NoNetworks(), quick=True)["whole"])


def test_a_coder_that_borrows_qualities_goes_on_to_where_its_bytes_fit() -> None:
    image = picture(64, 64)
    least = codecs.scanner_bytes(image) / 64
    cheap = codecs.Codec(
        "cheap",
        lambda image, quality: bytes(int(least * 1.08**quality)),
        lambda data, height, width: np.zeros((height, width, 3), np.uint8),
        tuple(float(q) for q in range(60)),
        whole=True,
    )
    lender = Coder(cheap)
    dearer = Coder(dataclasses.replace(cheap, counted=lambda data: len(data) * 4 // 3), borrows=lender)
    lending, borrowing = Method("lending", "direct", lender), Method("borrowing", "direct", dearer)
    found = tiles.measure(subject(image), [lending, borrowing], NoNetworks(), quick=True)
    taken, theirs = ([row["quality"] for row in found[name]] for name in ("lending", "borrowing"))
    assert theirs == [*taken, *(taken[-1] - tiles.FURTHER * (k + 1) for k in range(len(theirs) - len(taken)))]
    assert found["borrowing"][-1]["ratio"] >= ladder.TARGET_RATIOS[-1] > found["borrowing"][-2]["ratio"]
    assert [len(chain) for chain in tiles.chains([lending, borrowing])] == [2]


def test_rows_of_ours_have_bicubic_from_the_same_base() -> None:
    (method,) = (m for m in ours("jp2k", 4))
    image = picture(192, 256)
    (first, *_) = tiles.measure(subject(image), [method], NoNetworks(), quick=True)[method.name]
    base = method.coder.decode(method.coder.encode(method.coder.shrunk(image), first["quality"]))
    made = reconstruct(load_generator("bicubic-x4"), base)
    assert first["bicubic_psnr_db"] == pytest.approx(psnr(image, made), abs=1e-3)


def test_the_cache_resumes_and_forgets_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "tiles.jsonl"
    cache = tiles.Cache(path)
    cache.put("s", "a", "k1", [{"ratio": 3}])
    cache.put("s", "b", "k1", [])
    path.write_text(path.read_text() + '{"source": "s", "ima')
    again = tiles.Cache(path)
    assert again.get("s", "a", "k1") == [{"ratio": 3}]
    assert again.get("s", "b", "k1") == []
    assert again.get("s", "a", "k2") is None
    again.put("s", "c", "k1", [{"ratio": 4}])
    assert tiles.Cache(path).get("s", "c", "k1") == [{"ratio": 4}]


def rows(method: str, values: dict[str, float], *, source: str = "dev/monuseg", most: float = 32.0) -> list[Any]:
    """Straight curves: at ratio 4 each image has its value, at 32 six less; up to the ratio `most`."""
    found = []
    for image, value in values.items():
        for ratio in (4.0, 8.0, 16.0, 32.0):
            if ratio <= most:
                at = value - 2 * math.log2(ratio / 4)
                measured = {"psnr_db": at, "ssim": at / 100, "stlpips": 1 - at / 100, "nuclei_f1": None}
                row = {"image": image, "source": source, "history": "other", "method": method, "ratio": ratio}
                found.append({**row, "bpp": 4 / ratio, "ms_ssim": None, "ciede2000": None, **measured})
    return found


OURS_10, OURS_20 = "histocodec av1 10x g", "histocodec jp2k 20x g"


def with_cpu(found: list[Any], seconds: float, bicubic: float = 1.0) -> list[Any]:
    return [{**row, "encode_cpu": seconds, "bicubic_psnr_db": row["psnr_db"] - bicubic} for row in found]


def test_the_contest_takes_the_best_setting_and_the_best_peer_that_reach_every_image() -> None:
    table = contest.Table(
        rows(OURS_10, {"a": 30.0, "b": 32.0})
        + rows(OURS_20, {"a": 33.0, "b": 28.0})
        + rows("AVIF s6", {"a": 29.0, "b": 30.5})
        + rows("strong but short", {"a": 40.0}) + rows("strong but short", {"b": 40.0}, most=8.0)
    )  # fmt: skip
    cell = contest.contest(table, "dev/monuseg", 12.0, "psnr_db")
    assert cell is not None
    assert (cell.ours, cell.peer, cell.images, cell.short) == (OURS_10, "AVIF s6", 2, ("strong but short",))
    assert cell.our_mean == pytest.approx(31 - 2 * math.log2(3))
    assert cell.value == pytest.approx(1.25)
    assert [cell.low, cell.high] == pytest.approx([1.0, 1.5])
    assert cell.ahead
    assert (cell.our_cpu, cell.peer_cpu) == (None, None)
    distance = contest.contest(table, "dev/monuseg", 12.0, "stlpips")
    assert distance is not None
    assert distance.value == pytest.approx(-0.0125)
    assert distance.ahead
    jp2k = contest.contest(table, "dev/monuseg", 12.0, "psnr_db", ours="histocodec jp2k")
    assert jp2k is not None
    assert jp2k.value == pytest.approx(30.5 - 29.75)
    at_8 = contest.contest(table, "dev/monuseg", 8.0, "psnr_db")
    assert at_8 is not None
    assert at_8.peer == "strong but short"
    assert contest.contest(table, "dev/monuseg", 12.0, "nuclei_f1") is None


@pytest.mark.parametrize(
    ("our_cpu", "peer", "peer_cpu"),
    [
        (0.2, "AVIF s5 /2 bicubic", 0.3),  # the fastest of its kind that takes as much is allowed, but no slower one
        (0.3, "AVIF s5 /2 bicubic", 0.3),
        (0.5, "AVIF s4 /2 bicubic", 0.9),
        (2.0, "AVIF s4 /2 bicubic", 0.9),  # where even the slowest takes less, all count
        (0.05, "AVIF s7 /2 bicubic", 0.1),  # a faster one that is better counts as well
    ],
)
def test_a_peer_may_spend_what_we_spend(our_cpu: float, peer: str, peer_cpu: float) -> None:
    strengths = {"s7": (30.0, 0.1), "s6": (29.0, 0.15), "s5": (30.5, 0.3), "s4": (31.0, 0.9)}
    table = contest.Table(
        with_cpu(rows(OURS_10, {"a": 32.0}), our_cpu)
        + [
            row
            for speed, (value, seconds) in strengths.items()
            for row in with_cpu(rows(f"AVIF {speed} /2 bicubic", {"a": value}), seconds)
        ]
        + with_cpu(rows("JPEG 2000", {"a": 28.0}), 0.02)
    )
    cell = contest.contest(table, "dev/monuseg", 8.0, "psnr_db")
    assert cell is not None
    assert cell.peer == peer
    assert [cell.our_cpu, cell.peer_cpu] == pytest.approx([our_cpu, peer_cpu])


@pytest.mark.parametrize(("quality", "taken"), [(70.0, 33.0), (40.0, 30.0), (55.0, 33.0)])
def test_the_default_goes_by_the_quality_of_the_10x_base_or_where_unsure_by_psnr(quality: float, taken: float) -> None:
    own = [{**row, "quality": quality} for row in rows(OURS_10, {"a": 30.0}) + rows(OURS_20, {"a": 33.0})]
    table = contest.Table(own, {"10x": OURS_10, "20x": OURS_20, "unsure": (50.0, 60.0), "worth_db": 0.1})
    assert table.values(contest.DEFAULT, ["dev/monuseg"], "psnr_db", 4.0) == {("dev/monuseg", "a"): taken}


def test_the_default_has_the_values_of_what_it_takes_for_each_image() -> None:
    own = with_cpu(rows(OURS_10, {"a": 30.0, "b": 32.0}), 0.5) + with_cpu(rows(OURS_20, {"a": 33.0, "b": 38.0}), 0.3)
    own = [{**row, "quality": 70.0 if row["image"] == "a" else 40.0} for row in own]
    own += with_cpu(rows("AVIF s6", {"a": 29.0, "b": 30.5}), 1.0)
    table = contest.Table(own, {"10x": OURS_10, "20x": OURS_20, "unsure": (50.0, 60.0), "worth_db": 0.1})
    cell = contest.contest(table, "dev/monuseg", 8.0, "psnr_db", ours=contest.DEFAULT)
    assert cell is not None
    assert cell.ours == contest.DEFAULT
    assert cell.our_mean == pytest.approx(32.5 - 2)
    assert cell.our_cpu == pytest.approx(0.4)
    assert contest.contest(contest.Table(own), "dev/monuseg", 8.0, "psnr_db", ours=contest.DEFAULT) is None


def test_the_worst_image_is_named() -> None:
    own = with_cpu(rows(OURS_10, {"a": 30.0}), 1, 0.7) + with_cpu(rows(OURS_10, {"b": 32.0}), 1, -0.2)
    table = contest.Table(own + rows("AVIF s6", {"a": 29.0, "b": 30.5}))
    least = contest.least_gain(table, OURS_10, "dev/monuseg", 8.0)
    assert least is not None
    assert (round(least[0], 6), least[1]) == (-0.2, "b")
    assert contest.least_gain(table, "AVIF s6", "dev/monuseg", 8.0) is None
    assert "| dev/monuseg | av1 10x g | **-0.20** (b) |" in tables.worst_table(table)


def test_foreign_sources_count_alike_however_many_images_they_have() -> None:
    tnbc, brecahad = "foreign/tnbc", "foreign/brecahad"
    table = contest.Table(
        rows(OURS_10, {"a": 30.0, "b": 30.0, "c": 30.0}, source=tnbc)
        + rows(OURS_10, {"d": 40.0}, source=brecahad)
        + rows("AVIF s6", {"a": 29.0, "b": 29.0, "c": 29.0}, source=tnbc)
        + rows("AVIF s6", {"d": 42.0}, source=brecahad)
    )
    cell = contest.contest(table, "foreign", 8.0, "psnr_db")
    assert cell is not None
    assert cell.our_mean == pytest.approx(33.0)
    assert cell.value == pytest.approx(-0.5)
    assert not cell.ahead
    delta = contest.rate_delta(table, "foreign", OURS_10, "AVIF s6")
    assert delta is not None
    # A dB takes half of log 2 here: one dB better is 2^-1/2 of the bytes, two worse twice as many.
    assert delta.share == pytest.approx(((2**-0.5 - 1) + (2.0 - 1)) / 2)


def test_tables_show_the_contest_and_leave_out_what_is_not_reached() -> None:
    own = with_cpu(rows(OURS_10, {"a": 30.0, "b": 32.0}), 0.5)
    own += with_cpu(rows("AVIF s6", {"a": 29.0, "b": 30.5}, most=16.0), 1.0)
    results = {
        "rows": own,
        "default": {"10x": OURS_10, "20x": OURS_20, "unsure": (50.0, 60.0), "worth_db": 0.1},
        "environment": {"libraries": {"libaom": "3.14.1"}},
    }
    text = tables.report(results)
    assert "Encoders: libaom 3.14.1." in text
    for name in ("by default", "av1 10x g"):
        assert f"| 12x | {name} | 27.83 | 0.50 | AVIF s6 | 26.58 | 1.00 | **+1.25** (+1.00 to +1.50) |" in text
    assert "| AVIF s6 | 27.75 | 26.58 | 25.75 | - |" in text
    assert "| AVIF s6 | 1.00 | 1.00 | 1.00 | - |" in text
    assert "| 12x | SSIM | 0.2783 | **+0.0125** (+0.0100 to +0.0150) | av1 10x g | 0.2783 | AVIF s6 |" in text
    assert "| dev/monuseg (2) | 16x | 27.00 dB (av1 10x g) | 25.75 dB (AVIF s6)" in tables.summary(results)
    assert "| 27.00 dB (by default) | 25.75 dB (AVIF s6)" in tables.summary(results, contest.DEFAULT)


def test_the_encoders_are_named_with_their_versions() -> None:
    versions = methods.encoder_versions()
    assert {"Pillow", "libavif of Pillow", "libaom of Pillow", "imagecodecs"} < versions.keys()
    assert all(version[0].isdigit() for version in versions.values())


def test_coded_bytes_are_the_streams_and_the_overhead() -> None:
    assert Coded((b"abc", b"de"), 1, 1, 5, 40).total_bytes == 45
