"""What is compared: a coder that makes bytes of an image, and a way back to full resolution."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
from PIL import Image as PILImage

import histocodec
from histocodec import BicubicGenerator, Generator, load_generator
from histocodec.generators.catalogue import DEFAULTS, FOR_AV1, downsampler_for, find_package, load_downsampler
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Image
from histocodec.pixels.downsample import downsample, shrink
from histocodec.pixels.tile_codecs import TILE_CODECS, TileCodec
from histocodec.pixels.tile_coder import TILES

from . import codecs
from .codecs import TILE_INDEX_BYTES, Codec

Family = Literal["direct", "by hand", "histocodec"]

CHECKSUM_BYTES = 4
"""The container's checksum table holds a CRC-32 for each base tile."""
SLIDE_TISSUE_PIXELS = 1e9
"""Full pixels of tissue of the slide that a tuned generator travels with: 1 Gpx, 62 mm^2 at 0.25 um/px."""
GENERATORS = ("fidelity-x4", "fidelity-x2", "avif-x4", "avif-x2")
SHIPPED_MODULES = (
    *("pixels/colour", "pixels/downsample", "pixels/even_quality", "pixels/tile_codecs", "pixels/tile_coder"),
    *("generators/bicubic", "generators/integer_net", "generators/predict"),
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
    overhead_bytes: int
    """Bytes of the container for these tiles."""

    @property
    def stream_bytes(self) -> int:
        return sum(map(len, self.streams))

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
    thinned: bool = False
    """True for a coder so slow that only some images and ratios are coded, see `tiles.THINNED`."""
    downsampler: str | None = None
    """Name of the downsampler that shrinks; None for the mean of scale x scale pixels."""

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
        return Coded(streams, height, width, self.tile_overhead * len(streams))

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


Restore = Callable[[Image, str], Image]
"""A function from coded pixels and the image's source to full resolution, which may reach beyond the image."""


@dataclass(frozen=True)
class Method:
    """One curve of the benchmark."""

    name: str
    family: Family
    coder: Coder
    restore: Restore = field(default=lambda coded, source: coded)
    slow_measures: bool = False
    """True if the measures that take a second each are worked out."""
    generators: Mapping[str, str] = field(default_factory=dict)
    """Digest of the generator by source; "" stands for all others."""
    tuned_bytes: Mapping[str, int] = field(default_factory=dict)
    """Bytes, by source, of a package that was tuned to it and must travel with its slides."""

    def generator_bytes(self, source: str, full_pixels: int) -> float:
        """Return an image's share of the package's bytes: 0 for one that ships, which every reader has."""
        return self.tuned_bytes.get(source, 0) * full_pixels / SLIDE_TISSUE_PIXELS

    def key(self, source: str) -> str:
        """Return a digest that changes whenever a measurement of this source's images may have."""
        parts = [self.name, self.generators.get(source, self.generators.get("", "")), imagecodecs.__version__]
        if self.family == "histocodec":
            parts.append(_shipped_code())
        if self.coder.downsampler is not None:
            parts.append(find_package(self.coder.downsampler, "downsampler").digest)
        return hashlib.sha256("|".join([*parts, _own_code()]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class GeneratorChoice:
    """A generator for every image, or one of its own for each source."""

    package: str
    """Name of a shipped package, or path."""
    tuned: tuple[tuple[str, str], ...] = ()
    """Pairs of source and path: packages that are tuned to a source, for whose other images `package` stands."""

    @classmethod
    def parse(cls, text: str) -> GeneratorChoice:
        """Parse `NAME_OR_PATH`, or `NAME_OR_PATH@FILE.json` with a JSON object of source -> package path."""
        package, _, tuned = text.partition("@")
        return cls(package, tuple(json.loads(Path(tuned).read_text()).items()) if tuned else ())

    def suits(self, codec: TileCodec) -> bool:
        """Tell if bases of this codec are measured with it: defaults are, with the codecs that they are defaults of."""
        others = DEFAULTS if codec == "av1" else FOR_AV1
        return self.name not in others.values()

    @property
    def name(self) -> str:
        return self.package if self.package.startswith("bicubic") else find_package(self.package).card.name

    @property
    def label(self) -> str:
        return self.name + ("+tuned" if self.tuned else "")


def all_methods(generators: Sequence[GeneratorChoice]) -> list[Method]:
    """Return the methods of the full benchmark."""
    s6, s3 = codecs.avif(6), codecs.avif(3)
    fast = Coder(s6)
    methods = [
        Method("JPEG 4:2:0", "direct", Coder(codecs.jpeg("420"))),
        Method("JPEG 4:4:4", "direct", Coder(codecs.jpeg("444"))),
        Method("JPEG 2000", "direct", Coder(codecs.jpeg_2000()), slow_measures=True),
        Method("HTJ2K", "direct", Coder(codecs.htj2k())),
        Method("JP2-WSI-like", "direct", Coder(codecs.jp2_wsi())),
        Method("WebP", "direct", Coder(codecs.webp())),
        Method("JPEG XL", "direct", Coder(codecs.jpeg_xl())),
        Method("AVIF s6", "direct", fast, slow_measures=True),
        Method("AVIF s3", "direct", Coder(s3, borrows=fast, thinned=True)),
    ]
    for scale in (2, 4):
        shrunk = Coder(s6, scale)
        slow = Coder(s3, scale, borrows=shrunk, thinned=True)
        methods += [
            _by_hand(shrunk, "bicubic", slow_measures=True),
            _by_hand(shrunk, "Lanczos", slow_measures=scale == 2),
            _by_hand(slow, "bicubic"),
            _by_hand(slow, "Lanczos"),
            _by_hand(Coder(codecs.jpeg_xl(), scale), "bicubic", slow_measures=scale == 2),
            _by_hand(Coder(codecs.jpeg_xl(), scale), "Lanczos"),
        ]
    for choice in generators:
        methods += [_histocodec(choice, name) for name in TILE_CODECS if choice.suits(name)]
    return methods


QUICK = ("JPEG 2000", "AVIF s6", "AVIF s6 /2 bicubic", "AVIF s6 /4 bicubic")
"""Peers of a quick run, which leaves out histocodec's JPEG bases as well."""


def quick_methods(methods: Sequence[Method]) -> list[Method]:
    return [m for m in methods if m.name in QUICK or (m.family == "histocodec" and " jpeg " not in m.name)]


def _by_hand(coder: Coder, kernel: str, *, slow_measures: bool = False) -> Method:
    resampling = {"bicubic": PILImage.Resampling.BICUBIC, "Lanczos": PILImage.Resampling.LANCZOS}[kernel]
    name = f"{coder.codec.name} /{coder.scale} {kernel}"
    restore = partial(_enlarged, coder.scale, resampling)
    return Method(name, "by hand", coder, restore, slow_measures=slow_measures)


def _enlarged(scale: int, resampling: PILImage.Resampling, shrunk: Image, source: str) -> Image:
    height, width = shrunk.shape[:2]
    return np.array(PILImage.fromarray(shrunk).resize((width * scale, height * scale), resampling))


def _histocodec(choice: GeneratorChoice, codec: TileCodec) -> Method:
    """Build a method that codes as `histocodec.encode`: its tiles, each with place in the index and checksum."""
    loaded = {"": load_generator(choice.package)} | {source: load_generator(path) for source, path in choice.tuned}
    scale = loaded[""].scale
    if any(generator.scale != scale for generator in loaded.values()):
        raise ValueError(f"{choice.label}: its packages enlarge by different scales")
    downsampler = downsampler_for(loaded[""], scale)
    base = Coder(
        codecs.shipped(codec),
        scale,
        TILES[codec],
        TILE_INDEX_BYTES + CHECKSUM_BYTES,
        downsampler=downsampler.name if downsampler.halo else None,
    )
    name = f"histocodec {codec} {40 // scale}x {choice.label}"
    return Method(
        name,
        "histocodec",
        base,
        partial(_reconstructed, loaded),
        slow_measures=codec != "jpeg",
        generators={source: generator.digest for source, generator in loaded.items()},
        tuned_bytes={source: _travelling_bytes(loaded[source]) for source, _ in choice.tuned},
    )


def _travelling_bytes(generator: Generator) -> int:
    return 0 if isinstance(generator, BicubicGenerator) else len(generator.package or b"")


def _reconstructed(loaded: Mapping[str, Generator], base: Image, source: str) -> Image:
    return reconstruct(loaded.get(source, loaded[""]), base)


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
