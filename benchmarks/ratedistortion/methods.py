"""What is compared: a coder that makes bytes of an image, and a way back to full resolution."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import imagecodecs
import numpy as np
import PIL
from PIL import Image as PILImage
from PIL import _avif, features

import histocodec
from histocodec import EncodeSettings, load_generator
from histocodec.encoder.base_choice import UNSURE, WORTH_DB
from histocodec.generators.catalogue import default_package, downsampler_for, find_package, load_downsampler
from histocodec.generators.package import Package
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Image
from histocodec.pixels.downsample import downsample, shrink
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TILES

from . import codecs
from .codecs import TILE_INDEX_BYTES, Codec, Tune

Family = Literal["direct", "by hand", "histocodec"]

CHECKSUM_BYTES = 4
"""The container's checksum table holds a CRC-32 for each base tile."""
SPEEDS: dict[int, tuple[int, ...]] = {
    scale: tuple(EncodeSettings(effort=effort).base_speed(scale) for effort in ("best", "default")) for scale in (4, 2)
}
"""Speeds of libaom by scale that AV1 bases are measured at; the last one is that of the default effort."""
PEER_SPEEDS: dict[int, tuple[int, ...]] = {1: (6,), 2: (6, 5, 4), 4: (6, 5, 4, 3)}
"""Speeds of libaom by scale that peers are measured at, down to the first that takes longer than any base of ours."""
CODECS: tuple[TileCodec, ...] = ("jp2k", "av1")
BY_SCALE = {4: "10x", 2: "20x"}
SHIPPED_MODULES = (
    *("pixels/av1", "pixels/colour", "pixels/downsample", "pixels/even_quality", "pixels/tile_codecs"),
    *("pixels/tile_coder", "generators/bicubic", "generators/integer_net", "generators/predict"),
)
"""Modules of the package on which a measurement depends: a change of one is measured anew."""


@dataclass(frozen=True)
class Coded:
    """An image as bytes."""

    streams: tuple[bytes, ...]
    """Tiles in row-major order."""
    height: int
    """Height of the coded image, which may be shrunk."""
    width: int
    stream_bytes: int
    """Bytes of the tiles that count, see `Codec.counted`."""
    overhead_bytes: int
    """Bytes of the container for these tiles."""

    @property
    def total_bytes(self) -> int:
        return self.stream_bytes + self.overhead_bytes


@dataclass(frozen=True)
class Coder:
    """Shrinking, cutting and coding, with all settings but the quality."""

    codec: Codec
    scale: int = 1
    """Full pixels per coded pixel, each axis."""
    tile: int | None = None
    """Coded pixels a side of a tile; None codes the image in one piece."""
    tile_overhead: int = 0
    """Bytes of the container for each tile."""
    borrows: Coder | None = None
    """Coder whose choice of qualities a slow one takes, instead of searching its own."""
    downsampler: str | None = None
    """Name or path of the downsampler that shrinks; None for the mean of scale x scale pixels."""

    @property
    def name(self) -> str:
        return f"{self.codec.name} /{self.scale} {self.tile or 'whole'}"

    def shrunk(self, image: Image) -> Image:
        if self.downsampler is not None:
            return shrink(image, load_downsampler(self.downsampler, self.scale))
        return downsample(image, self.scale) if self.scale > 1 else image

    def encode(self, shrunk: Image, quality: float) -> Coded:
        """Code (height, width, 3) uint8 RGB, as `shrunk` gives it, tile by tile."""
        height, width = shrunk.shape[:2]
        streams = tuple(
            self.codec.encode(np.ascontiguousarray(shrunk[y : y + h, x : x + w]), quality)
            for y, x, h, w in self._places(height, width)
        )
        counted = sum(map(self.codec.counted, streams))
        return Coded(streams, height, width, counted, self.tile_overhead * len(streams))

    def decode(self, coded: Coded) -> Image:
        """Decode (height, width, 3) uint8 RGB, still shrunk."""
        out = np.empty((coded.height, coded.width, 3), np.uint8)
        for (y, x, h, w), stream in zip(self._places(coded.height, coded.width), coded.streams, strict=True):
            out[y : y + h, x : x + w] = self.codec.decode(stream, h, w)
        return out

    def _places(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        side = self.tile or max(height, width)
        return [
            (y, x, min(side, height - y), min(side, width - x))
            for y in range(0, height, side)
            for x in range(0, width, side)
        ]


Restore = Callable[[Image], Image]
"""A function from coded pixels to full resolution, which may reach beyond the image."""


@dataclass(frozen=True)
class Method:
    """One curve of the benchmark."""

    name: str
    family: Family
    coder: Coder
    restore: Restore = lambda coded: coded
    slow_measures: bool = False
    """True if the measures that take a second each are worked out."""
    generator: Package | None = None
    """The generator's package, of histocodec's own."""

    def key(self) -> str:
        """Return a digest that changes whenever a measurement may have."""
        parts = [self.name, *encoder_versions().values(), _own_code()]
        if self.generator is not None:
            parts += [self.generator.digest, _shipped_code()]
        if self.coder.downsampler is not None:
            parts.append(find_package(self.coder.downsampler, "downsampler").digest)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Candidate:
    """A generator that is compared with the defaults."""

    package: str
    """Name of a shipped package, or path."""
    downsampler: str | None = None
    """Name or path of the downsampler that makes its bases; None for the one that the package names."""

    @property
    def label(self) -> str:
        """Name in the tables: with the folder, as a network in training is often called what it will replace."""
        return "/".join(Path(self.package).parts[-2:]).removesuffix(".safetensors")

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """Parse `NAME_OR_PATH`, or `NAME_OR_PATH@DOWNSAMPLER`."""
        package, _, downsampler = text.partition("@")
        return cls(package, downsampler or None)


def all_methods(candidates: Sequence[Candidate] = ()) -> list[Method]:
    """Return the methods of the full benchmark: peers, histocodec with its defaults, and with candidates in AV1."""
    methods = [
        Method("JPEG 4:2:0", "direct", Coder(codecs.jpeg("420"))),
        Method("JPEG 2000", "direct", Coder(codecs.jpeg_2000()), slow_measures=True),
        Method("JPEG XL", "direct", Coder(codecs.jpeg_xl())),
    ]
    for tune in get_args(Tune):
        for scale, speeds in PEER_SPEEDS.items():
            fastest = Coder(codecs.avif(speeds[0], tune), scale)
            for speed in speeds:
                coder = fastest if speed == speeds[0] else Coder(codecs.avif(speed, tune), scale, borrows=fastest)
                methods += _peers(coder, tune)
    for codec in CODECS:
        for scale in SPEEDS:
            methods += _histocodec(default_package(scale, codec), codec)
    for candidate in candidates:
        package = find_package(candidate.package)
        methods += _histocodec(package, "av1", candidate.label, candidate.downsampler)
    return list({method.name: method for method in methods}.values())


def default_methods() -> dict[str, Any]:
    """Return what `histocodec encode` takes when it is asked for a ratio alone.

    The names of two methods by their base; `unsure`, the qualities of the 10x base between which it tries both; and
    `worth_db`, the gain from which it takes the 20x base then.
    """
    codec = EncodeSettings().codec
    named = {base: _histocodec(default_package(scale, codec), codec)[-1].name for scale, base in BY_SCALE.items()}
    return {**named, "unsure": UNSURE[codec], "worth_db": WORTH_DB}


QUICK = (
    *("JPEG 2000", "AVIF s6", "AVIF s6 /2 bicubic", "AVIF s5 /2 bicubic"),
    *("AVIF s6 /4 Lanczos", "AVIF s5 /4 Lanczos", "AVIF s3 /4 Lanczos"),
)
"""Peers of a quick run."""


def quick_methods(methods: Sequence[Method]) -> list[Method]:
    """Return the methods of a quick run: the peers that are hardest to beat by PSNR, AV1 bases, what is the default."""
    wanted = (*QUICK, *default_methods().values())
    return [m for m in methods if m.name in wanted or (m.family == "histocodec" and " av1 " in m.name)]


def encoder_versions() -> dict[str, str]:
    """Return the versions of the libraries that make what is compared."""
    libraries = dict(part.rsplit("-", 1) for part in imagecodecs.version().split(", ") if "-" in part)
    aom = re.search(r"aom \[enc\]:v?([^ ,]+)", str(_avif.codec_versions()))
    return {
        "Pillow": PIL.__version__,
        "libavif of Pillow": features.version("avif") or "?",
        "libaom of Pillow": aom[1] if aom else "?",
        "imagecodecs": imagecodecs.__version__,
        **{f"{name} of imagecodecs": libraries.get(name, "?") for name in ("libavif", "openjpeg", "libjxl")},
    }


def _peers(coder: Coder, tune: Tune) -> list[Method]:
    """Return what is done with AVIF at one resolution and speed: direct, or shrunk and enlarged by Pillow."""
    if coder.scale == 1:
        return [Method(coder.codec.name, "direct", coder, slow_measures=True)]
    # At a quarter, and to the eye at a half as well, Lanczos is always the better one.
    kernels = ("bicubic", "Lanczos") if coder.scale == 2 and tune == "psnr" else ("Lanczos",)
    return [
        Method(
            f"{coder.codec.name} /{coder.scale} {kernel}",
            "by hand",
            coder,
            partial(_enlarged, coder.scale, PILImage.Resampling[kernel.upper()]),
            slow_measures=kernel == "Lanczos" and (coder.scale == 2 or coder.codec is codecs.avif(6)),
        )
        for kernel in kernels
    ]


def _enlarged(scale: int, resampling: PILImage.Resampling, shrunk: Image) -> Image:
    height, width = shrunk.shape[:2]
    return np.array(PILImage.fromarray(shrunk).resize((width * scale, height * scale), resampling))


def _histocodec(
    package: Package, codec: TileCodec, label: str | None = None, downsampler: str | None = None
) -> list[Method]:
    """Return methods that code as `histocodec.encode`, one a speed: its tiles, each with place in index and checksum.

    label: name of the generator in the tables; None for the one on its card. downsampler: as `Candidate.downsampler`.
    """
    scale = package.card.scale
    shrinks = downsampler_for(package, scale, downsampler)
    coder = Coder(
        codecs.shipped(codec),
        scale,
        TILES[codec],
        TILE_INDEX_BYTES + CHECKSUM_BYTES,
        downsampler=(downsampler or shrinks.name) if shrinks.halo else None,
    )
    coders = {"": coder}
    if codec == "av1":
        *slower, usual = SPEEDS[scale]
        lender = dataclasses.replace(coder, codec=codecs.shipped(codec, usual))
        at = {speed: dataclasses.replace(coder, codec=codecs.shipped(codec, speed), borrows=lender) for speed in slower}
        coders = {f"s{speed}": coder for speed, coder in {**at, usual: lender}.items()}
    found = []
    for speed, coder in coders.items():
        name = [codec, BY_SCALE[scale], *filter(None, [speed]), label or package.card.name]
        restore = partial(_reconstructed, package)
        slow = codec == "av1" or BY_SCALE[scale] == "10x"
        found.append(
            Method("histocodec " + " ".join(name), "histocodec", coder, restore, slow_measures=slow, generator=package)
        )
    return found


def _reconstructed(package: Package, base: Image) -> Image:
    return reconstruct(load_generator(package), base)


@cache  # one answer for a whole run, whatever is edited meanwhile
def _shipped_code() -> str:
    """Return a digest that changes with the code that makes bases and runs generators."""
    root = Path(histocodec.__file__).parent
    return _digest(root / f"{name}.py" for name in SHIPPED_MODULES)


@cache
def _own_code() -> str:
    """Return a digest that changes with the code that codes and measures."""
    return _digest(Path(__file__).parent / name for name in ("codecs.py", "measures.py"))


def _digest(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
