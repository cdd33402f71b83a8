"""Encoding at the edges: it ends in a whole file within its budget, or in a clear error and without a trace."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import pytest

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import write_slide
from histocodec.encoder.pipeline import EncodeSettings, encode
from histocodec.encoder.plan import base_scale
from histocodec.encoder.rate import SEARCH_RANGES
from histocodec.encoder.settings import Base
from histocodec.errors import (
    BudgetError,
    GeneratorError,
    NoSpace,
    OutputError,
    OutputExists,
    SettingsError,
    SourceReadError,
    UnknownGenerator,
    UnsupportedResolution,
)
from histocodec.format.reader import Container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.runtime import scratch as spool
from histocodec.runtime.parallel import ordered_map
from histocodec.source import Source, open_source
from histocodec.validation import validate

BICUBIC = BicubicGenerator(4)
OLD = b"an older file" * 1000
QUICK = EncodeSettings(verify="none")


@dataclass
class ArraySource:
    """A Source of pixels in memory that fails after a number of reads."""

    image: Image
    size_bytes: int = 1_000_000
    mpp: float = 0.25
    reads_left: int | None = None
    associated: dict[str, Image] = field(default_factory=dict)
    path: Path = Path("array.svs")
    objective_power: float | None = 40.0
    vendor: str = "aperio"
    background: tuple[int, int, int] = (255, 255, 255)
    icc_profile: bytes | None = None
    properties: dict[str, str] = field(default_factory=dict)
    lossy_methods: tuple[str, ...] = ("ISO_10918_1",)
    notes: tuple[str, ...] = ()
    damaged: tuple[Region, ...] = ()

    @property
    def size(self) -> Size:
        return Size(self.image.shape[1], self.image.shape[0])

    @size.setter
    def size(self, size: Size) -> None:
        raise AttributeError(size)

    def read(self, region: Region) -> Image:
        if self.reads_left is not None:
            if self.reads_left == 0:
                raise SourceReadError(self.path, "cannot read: the disk was pulled out")
            self.reads_left -= 1
        return self.image[region.y : region.bottom, region.x : region.right].copy()

    def close(self) -> None:
        pass

    def __enter__(self) -> ArraySource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class PackagedGenerator:
    """Bicubic under another name, with a package: what embedding looks at, without a network."""

    name, scale, halo = "packaged-x4", 4, 2

    def __init__(self, size_bytes: int) -> None:
        self.package: bytes | None = np.random.default_rng(1).bytes(size_bytes)
        self.digest = f"sha256:{hashlib.sha256(self.package or b'').hexdigest()}"

    def __call__(self, base: Image) -> Image:
        return BICUBIC(base)


@pytest.fixture(scope="module")
def large_slide_path(tmp_path_factory: pytest.TempPathFactory, slide_image: Image) -> Path:
    """1900 x 1600 px: four base tiles, the last of them glass alone."""
    image = np.tile(slide_image, (2, 2, 1))[:1600, :1900]
    image[1024:, 1024:] = 243
    path = tmp_path_factory.mktemp("large") / "large.tif"
    write_slide(path, image)
    return path


@pytest.fixture
def slide(slide_path: Path) -> Iterator[Source]:
    with open_source(slide_path) as source:
        yield source


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "case.hc.tif"


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("histocodec-worker")]


# What was there before survives


@pytest.mark.parametrize("reads", range(4), ids=["at once", "half-way", "measuring", "measuring, later"])
def test_a_source_that_fails_leaves_the_old_file(slide_image: Image, out: Path, reads: int) -> None:
    out.write_bytes(OLD)
    source = ArraySource(slide_image, reads_left=reads)
    with pytest.raises(SourceReadError, match="the disk was pulled out"):
        encode(source, out, BICUBIC, overwrite=True)
    assert out.read_bytes() == OLD
    assert names(out.parent) == {out.name}
    assert not threads()


@pytest.mark.parametrize("stage", ["reading", "coding", "measuring"])
def test_ctrl_c_leaves_nothing(slide: Source, out: Path, stage: str) -> None:
    def interrupt(now: str, done: int, total: int) -> None:
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(slide, out, BICUBIC, progress=interrupt)
    assert not names(out.parent)
    assert not threads()  # which might read a source that the caller closes next


def test_no_work_outlives_a_ctrl_c_that_hits_the_start_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool has not noted such a thread, and does not wait for it; a slide that it reads must not be closed yet."""
    running, start = threading.Event(), threading.Thread.start

    def work(item: int) -> None:
        running.set()
        time.sleep(0.2)
        running.clear()

    def start_interrupted(thread: threading.Thread) -> None:
        start(thread)
        assert running.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(ordered_map(work, range(4), workers=2))
    assert not running.is_set()


def test_an_output_that_exists_is_refused_before_the_source_is_read(slide_image: Image, out: Path) -> None:
    out.write_bytes(OLD)
    with pytest.raises(OutputExists):
        encode(ArraySource(slide_image, reads_left=0), out, BICUBIC)
    assert out.read_bytes() == OLD


def test_overwrite_replaces(slide: Source, out: Path, container_path: Path) -> None:
    out.write_bytes(OLD)
    encode(slide, out, BICUBIC, overwrite=True)
    assert out.read_bytes() == container_path.read_bytes()


def test_a_slide_is_never_replaced_by_its_own_container(slide_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "case.tif"
    shutil.copy(slide_path, copy)
    with open_source(copy) as source, pytest.raises(OutputError, match="is the file that is being read"):
        encode(source, copy, BICUBIC, overwrite=True)
    assert copy.read_bytes() == slide_path.read_bytes()


ENCODE_SLOWLY = """
    import importlib, io, sys, time
    from histocodec.format.writer import write_container
    from histocodec.generators.bicubic import BicubicGenerator
    from histocodec.source import open_source

    def progress(stage, done, total):
        print(stage, flush=True)
        time.sleep(0.05)

    def write_slowly(file, *arguments, **options):
        if not isinstance(file, io.BytesIO):  # which is only weighed
            file.write(b"half of a file" * 1000)
            file.flush()
            print("writing", flush=True)
            time.sleep(60)
        write_container(file, *arguments, **options)

    importlib.import_module("histocodec.encoder.draft").write_container = write_slowly
    module = importlib.import_module("histocodec.encoder.pipeline")  # the package's attribute is the function
    with open_source(sys.argv[1]) as source:
        module.encode(source, sys.argv[2], BicubicGenerator(4), progress=progress)
"""


@pytest.mark.parametrize("stage", ["reading", "coding", "measuring", "writing"])
def test_kill_9_leaves_no_container_and_nothing_after_the_next_run(
    slide_path: Path, out: Path, stage: str, container_path: Path
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(ENCODE_SLOWLY), str(slide_path), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == stage for line in process.stdout)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert names(out.parent) == ({f".{out.name}.partial"} if stage == "writing" else set())
    with open_source(slide_path) as source:
        encode(source, out, BICUBIC)
    assert names(out.parent) == {out.name}
    assert out.read_bytes() == container_path.read_bytes()


# No room


@pytest.mark.parametrize("limit", [50_000, 250_000], ids=["first tile", "second tile"])
def test_a_disk_that_fills_up_while_reading(slide: Source, out: Path, limit: int) -> None:
    out.write_bytes(OLD)
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(NoSpace):
            encode(slide, out, BICUBIC, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == OLD
    assert names(out.parent) == {out.name}


def test_a_disk_that_fills_up_while_writing(slide: Source, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("histocodec.encoder.draft")
    real = module.write_container

    def write_half(file: IO[bytes], *arguments: object, **options: object) -> None:
        if hasattr(file, "name"):
            file.write(b"half of a file")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, *arguments, **options)

    monkeypatch.setattr(module, "write_container", write_half)
    out.write_bytes(OLD)
    with pytest.raises(NoSpace, match="the disk is full"):
        encode(slide, out, BICUBIC, QUICK, overwrite=True)
    assert out.read_bytes() == OLD
    assert names(out.parent) == {out.name}


def test_a_disk_that_is_still_full_when_temporary_files_are_closed(
    slide_image: Image, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing one writes what is left in its buffer, and fails once more."""
    close = spool._AnonymousFile.close

    def close_on_a_full_disk(file: spool._AnonymousFile) -> None:
        close(file)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spool._AnonymousFile, "close", close_on_a_full_disk)
    with pytest.raises(NoSpace):
        encode(ArraySource(slide_image, reads_left=2), out, BICUBIC)
    assert not names(out.parent)


def test_too_little_room_is_noticed_before_reading(
    slide_image: Image, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=200_000))
    with pytest.raises(NoSpace, match=r"needs about 0\.2 MB of free disk, found 0\.2 MB"):
        encode(ArraySource(slide_image, reads_left=0), out, BICUBIC)


FILL_DISKS = """
    import subprocess, sys
    from pathlib import Path
    from histocodec.encoder.pipeline import EncodeSettings, encode
    from histocodec.errors import NoSpace
    from histocodec.generators.bicubic import BicubicGenerator
    from histocodec.source import open_source

    folder = Path(sys.argv[2])
    out, old = folder / "case.hc.tif", b"an older file" * 100
    full = written = 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], check=True)
    with open_source(sys.argv[1]) as source:
        for kilobytes in range(100, 1000, 60):
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", folder], check=True)
            out.write_bytes(old)
            try:
                encode(source, out, BicubicGenerator(4), EncodeSettings(verify="none"), overwrite=True)
                written += 1
            except NoSpace:
                assert out.read_bytes() == old
                full += 1
            assert [entry.name for entry in folder.iterdir()] == [out.name]
    print(full, written)
"""


def test_disks_of_every_size(slide_path: Path, tmp_path: Path) -> None:
    """Real full disks, in a mount namespace that ends with the process."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = ["sh", "-c", f"mount -t tmpfs tmpfs {tmp_path} && mount -o remount,size=100k {tmp_path}"]
    if not shutil.which("unshare") or subprocess.run([*unshare, *probe], capture_output=True, check=False).returncode:
        pytest.skip("this system lets the tests mount no file system")
    command = [*unshare, sys.executable, "-c", textwrap.dedent(FILL_DISKS), str(slide_path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    full, written = map(int, done.stdout.split())
    assert full >= 3
    assert written >= 3


# The budget


@pytest.mark.parametrize(
    ("codec", "ratio"),
    # JPEG's own tables do not let so small a slide reach 64.
    [
        (codec, ratio)
        for codec in ("jp2k", "avif", "jpeg")
        for ratio in (8, 16, 32, 64)
        if (codec, ratio) != ("jpeg", 64)
    ],
)
def test_the_ratio_is_kept_and_used(large_slide_path: Path, out: Path, codec: TileCodec, ratio: int) -> None:
    settings = dataclasses.replace(QUICK, codec=codec, ratio=ratio)
    with open_source(large_slide_path) as source:
        report = encode(source, out, BICUBIC, settings)
    budget = large_slide_path.stat().st_size / ratio
    assert report.size_bytes == out.stat().st_size <= budget
    best = SEARCH_RANGES[codec][1]
    assert report.size_bytes >= 0.8 * budget or report.manifest.base.quality == best


@pytest.mark.parametrize("codec", ["jp2k", "avif", "jpeg"])
@pytest.mark.parametrize("extras", [False, True], ids=["bare", "with label and generator"])
def test_a_ratio_that_cannot_be_met_names_one_that_can(
    slide_image: Image, out: Path, codec: TileCodec, extras: bool
) -> None:
    source = ArraySource(slide_image, size_bytes=250_000)
    generator = PackagedGenerator(60) if extras else BICUBIC
    if extras:
        source.associated = {"label": slide_image[:300, :300], "macro": slide_image[::2, ::2]}
    settings = dataclasses.replace(QUICK, codec=codec, ratio=900)
    with pytest.raises(BudgetError) as caught:
        encode(source, out, generator, settings)
    assert caught.value.needed_bytes > caught.value.budget_bytes == 277
    assert not names(out.parent)
    named = re.search(r"--ratio (\S+) can be met", str(caught.value))
    assert named is not None
    ratio = float(named[1])
    report = encode(source, out, generator, dataclasses.replace(settings, ratio=ratio))
    assert report.size_bytes <= 250_000 / ratio


def test_a_slide_too_small_for_any_ratio_is_told_so(slide_image: Image, out: Path) -> None:
    source = ArraySource(slide_image[:40, :40], size_bytes=900)
    with pytest.raises(BudgetError, match="no ratio can be met, but --quality sets none"):
        encode(source, out, BICUBIC)
    assert encode(source, out, BICUBIC, EncodeSettings(ratio=None, quality=40)).size_bytes > 900


@pytest.mark.parametrize(("codec", "low", "high"), [("jp2k", 24.5, 40), ("avif", 20, 80), ("jpeg", 20, 90)])
def test_quality_decides_where_no_ratio_is_given(
    slide: Source, out: Path, codec: TileCodec, low: float, high: float
) -> None:
    sizes = []
    for quality in (low, high):
        settings = dataclasses.replace(QUICK, codec=codec, ratio=None, quality=quality)
        report = encode(slide, out, BICUBIC, settings, overwrite=True)
        assert report.manifest.base.quality == quality
        sizes.append(report.tile_bytes)
    assert sizes[0] < sizes[1] / 2


# The same input, the same bytes


@pytest.mark.parametrize("codec", ["jp2k", "avif", "jpeg"])
def test_the_same_slide_gives_the_same_bytes(slide_path: Path, out: Path, codec: TileCodec) -> None:
    files = []
    for workers in (1, 4):
        settings = EncodeSettings(codec=codec, workers=workers, verify_blocks=2)
        with open_source(slide_path) as source:
            encode(source, out, BICUBIC, settings, overwrite=True)
        files.append(out.read_bytes())
    assert files[0] == files[1]


# Unusual slides


def test_glass_alone_costs_next_to_nothing(out: Path) -> None:
    glass = np.random.default_rng(0).integers(240, 246, (1500, 2100, 3), dtype=np.uint8)
    report = encode(ArraySource(glass, size_bytes=200_000), out, BICUBIC)
    assert report.manifest.quality is None
    assert any("no block of tissue" in note for note in report.notes)
    assert report.tile_bytes < 300 * 6
    assert not validate(out, deep=True)
    with Decoder(out) as decoder:
        assert not decoder.container.tissue_map.any()
        whole = decoder.read(Region(0, 0, *decoder.levels[0]))
    assert np.abs(whole.mean((0, 1)) - glass.mean((0, 1))).max() < 2.1
    assert int(np.ptp(whole)) <= 6


@pytest.mark.parametrize(("codec", "ratio"), [("jp2k", 16), ("jp2k", 64), ("avif", 64), ("jpeg", 16)])
def test_glass_keeps_its_colour_beside_tissue(
    large_slide_path: Path, out: Path, codec: TileCodec, ratio: float
) -> None:
    """At the tissue's quality, a glass tile is free to be coded as any grey; the seams would be seen."""
    with open_source(large_slide_path) as source:
        encode(source, out, BICUBIC, dataclasses.replace(QUICK, codec=codec, ratio=ratio))
        glass = source.read(Region(1100, 1100, 700, 400)).mean((0, 1))
    with Decoder(out) as decoder:
        decoded = decoder.read(Region(1100, 1100, 700, 400)).mean((0, 1))
    assert np.abs(decoded - glass).max() < 2.1


@pytest.mark.parametrize("codec", ["jp2k", "avif", "jpeg"])
@pytest.mark.parametrize("size", [Size(9, 1500), Size(2300, 3), Size(1, 1)], ids=str)
def test_slides_of_a_few_pixels_across(slide_image: Image, out: Path, codec: TileCodec, size: Size) -> None:
    image = np.resize(slide_image, (size.height, size.width, 3))
    report = encode(ArraySource(image), out, BICUBIC, EncodeSettings(codec=codec))
    assert report.full_size == size
    assert not validate(out, deep=True)
    with Decoder(out) as decoder:
        assert decoder.levels[0] == size
        assert decoder.read(Region(0, 0, *size)).shape == image.shape


@pytest.mark.parametrize(
    ("base", "mpp", "scale"),
    [("10x", 0.18, 4), ("10x", 0.25, 4), ("10x", 0.35, 4), ("10x", 0.36, 2), ("10x", 0.7, 2), ("20x", 0.25, 2)],
)
def test_the_scale_brings_a_slide_to_the_base(slide_image: Image, base: Base, mpp: float, scale: int) -> None:
    assert base_scale(ArraySource(slide_image, mpp=mpp), base) == scale


@pytest.mark.parametrize(("base", "mpp"), [("10x", 0.17), ("10x", 0.72), ("10x", 10.0), ("20x", 0.5)])
def test_a_resolution_out_of_range(slide_image: Image, out: Path, base: Base, mpp: float) -> None:
    settings = EncodeSettings(base=base)
    with pytest.raises(UnsupportedResolution, match=f"{mpp:g} um/px is out of range: a {base} base is made from"):
        encode(ArraySource(slide_image, mpp=mpp), out, BICUBIC, settings)
    assert not names(out.parent)


# Generators


def test_a_generator_of_another_scale(slide: Source, out: Path) -> None:
    with pytest.raises(GeneratorError, match=r"bicubic-x2 enlarges 2 times, the base of slide\.tif needs 4"):
        encode(slide, out, BicubicGenerator(2))
    assert not names(out.parent)


def test_a_built_in_generator_cannot_be_embedded(slide: Source, out: Path) -> None:
    with pytest.raises(SettingsError, match="bicubic-x4 has no package that could be embedded"):
        encode(slide, out, BICUBIC, EncodeSettings(embed_generator=True))
    assert not names(out.parent)


@pytest.mark.parametrize(
    ("embed", "package_bytes", "embedded"),
    [(None, 60, True), (None, 400, False), (True, 400, True), (False, 60, False)],
)
def test_a_generator_is_embedded_if_it_is_small_or_if_asked(
    slide: Source, out: Path, embed: bool | None, package_bytes: int, embedded: bool
) -> None:
    generator = PackagedGenerator(package_bytes)
    report = encode(slide, out, generator, dataclasses.replace(QUICK, embed_generator=embed))
    assert report.manifest.prediction.generator.embedded == embedded
    assert report.size_bytes <= slide.size_bytes / 16
    with Container(out) as container:
        assert container.package() == (generator.package if embedded else None)


def test_a_file_whose_generator_is_not_at_hand_still_shows_its_base(slide: Source, out: Path) -> None:
    encode(slide, out, PackagedGenerator(60), dataclasses.replace(QUICK, embed_generator=False))
    with Decoder(out) as decoder:
        assert decoder.read(Region(0, 0, 64, 64), 1).shape == (64, 64, 3)
        with pytest.raises(UnknownGenerator, match=r"packaged-x4 sha256:.*--generator PATH"):
            decoder.read(Region(0, 0, 64, 64), 0)
    assert [problem.code for problem in validate(out)] == ["generator-unknown"]


def test_verify_all_measures_every_block_of_tissue_those_at_the_edges_too(slide: Source, out: Path) -> None:
    report = encode(slide, out, BICUBIC, EncodeSettings(ratio=None, quality=30, verify="all", verify_blocks=1))
    assert report.manifest.quality is not None
    assert report.manifest.quality.method == "all"
    assert report.manifest.quality.blocks == (-(-slide.size.width // 512)) * (-(-slide.size.height // 512))
