"""Synthetic H&E-like tissue at 40x (0.25 um/px), and slides of it: for `histocodec demo` and for tests.

Everything is painted as stain concentrations and turned into light at the end by Beer and Lambert's law, as in a
microscope: transmitted = glass * 10 ** -(concentration * stain). It looks like tissue; it is no tissue, and measures
taken on it say nothing about real slides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import SettingsError
from ..geometry import Image, Size, TileGrid
from ..pixels.downsample import downsample

Field = NDArray[np.floating]
"""height x width; float32 throughout."""

GLASS_RGB = (243.0, 242.0, 244.0)

# Optical density per unit of concentration in R, G, B. Haematoxylin and eosin: Ruifrok & Johnston 2001. Their eosin
# hardly absorbs blue and turns magenta when it stands alone, so that eosin is carried with some of their third
# vector, as most scanners see it. Red cells are eosin on haemoglobin's absorption of blue.
_HAEMATOXYLIN = np.array([0.650, 0.704, 0.286])
_EOSIN = 0.80 * np.array([0.072, 0.990, 0.105]) + 0.42 * np.array([0.268, 0.570, 0.776])
_ERYTHROCYTE = 0.62 * np.array([0.072, 0.990, 0.105]) + 0.62 * np.array([0.268, 0.570, 0.776])
_STAINS = np.stack([_HAEMATOXYLIN, _EOSIN, _ERYTHROCYTE]).astype(np.float32)


def tissue(size: Size, seed: int) -> Image:
    """Paint tissue on glass: about half of the area each.

    Returns (height, width, 3) uint8 RGB at 0.25 um/px. The same size and seed give the same pixels.
    Raises SettingsError if a side is under 64 px.
    """
    if min(size) < 64:
        raise SettingsError(f"synthetic tissue needs at least 64 px a side, found {size.width} x {size.height}")
    rng = np.random.default_rng(seed)
    slab = _Slab.grown(size, rng)
    _place_vessels(slab, rng)
    _place_glands(slab, rng)
    _place_cells(slab, rng)
    return _expose(slab, rng)


def write_slide(path: str | Path, image: Image, *, mpp: float = 0.25, jpeg_quality: int = 80, tile: int = 256) -> None:
    """Write `image` as a scanner would: a tiled pyramidal TIFF in JPEG 4:2:0, each level half of the one before.

    image: (height, width, 3) uint8 RGB. mpp: micrometres per pixel. The pyramid ends when a level fits into one tile.
    """
    resolution = (1e4 / mpp, 1e4 / mpp)
    with tifffile.TiffWriter(path) as tiff:
        level, reduced = image, False
        while True:
            tiff.write(
                _jpeg_tiles(level, tile, jpeg_quality),
                shape=level.shape,
                dtype=np.uint8,
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                tile=(tile, tile),
                subfiletype=int(reduced),
                resolution=resolution,
                resolutionunit="CENTIMETER",
                metadata=None,
                software="histocodec.synthetic",
            )
            if max(level.shape[:2]) <= tile:
                return
            level, reduced = downsample(level, 2), True
            resolution = (resolution[0] / 2, resolution[1] / 2)


def _jpeg_tiles(image: Image, tile: int, quality: int) -> Iterator[bytes]:
    """Codestreams in row-major order; a tile that reaches beyond the image repeats its last row and column."""
    grid = TileGrid(Size(image.shape[1], image.shape[0]), tile)
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        pixels = image[part.y : part.bottom, part.x : part.right]
        pixels = np.pad(pixels, ((0, tile - part.height), (0, tile - part.width), (0, 0)), mode="edge")
        yield bytes(imagecodecs.jpeg_encode(pixels, level=quality, subsampling="420"))


@dataclass(frozen=True, slots=True)
class _Slab:
    """The section that is being painted. All fields have the shape of the image."""

    stains: NDArray[np.float32]
    """3 x height x width: concentrations of haematoxylin, eosin and erythrocytes."""
    depth: Field
    """Above 0 within the tissue, growing inwards; about 1 deep inside."""
    epithelium: Field
    """Above 0 in cellular sheets, below 0 in fibrous stroma."""
    crowd: Field
    """Above 1 where lymphocytes gather."""
    along: Field
    """The coordinate across the fibres, px: its contours are the fibres."""
    chromatin: Field
    """Fine texture that nuclei are cut from."""
    taken: NDArray[np.bool_]
    """Where no further cell may be placed; one entry per 8 x 8 px."""

    @classmethod
    def grown(cls, size: Size, rng: np.random.Generator) -> _Slab:
        """The ground: outline, stroma, epithelial sheets; no cells."""
        depth = _rough(size, ((600, 1.0), (210, 0.45), (70, 0.16), (18, 0.06), (6, 0.02)), rng)
        depth -= np.float32(np.median(depth))
        epithelium = _rough(size, ((260, 1.0), (60, 0.3), (14, 0.1)), rng)
        epithelium -= np.float32(0.35)
        angle = rng.uniform(0, math.pi)
        y, x = np.ogrid[: size.height, : size.width]
        along = _rough(size, ((420, 330.0), (130, 55.0), (24, 3.0)), rng)
        along += (math.cos(angle) * x + math.sin(angle) * y).astype(np.float32)

        grain, mottle, patches = _noise(size, 3, rng), _noise(size, 9, rng), _noise(size, 90, rng)
        stains = np.zeros((3, size.height, size.width), np.float32)
        haematoxylin, eosin, _ = stains
        eosin += _stroma(along, grain, mottle, patches, rng)
        haematoxylin += np.float32(0.05) * eosin
        inside = _step(epithelium, 0.05)
        eosin += inside * (0.24 * np.exp(0.20 * mottle + 0.17 * grain + 0.14 * patches) - eosin)
        haematoxylin += inside * 0.13 * np.exp(0.25 * mottle + 0.20 * grain + 0.15 * patches)
        cover = _step(depth, 0.012)
        # The rim of a section is pressed and takes a little more stain.
        cover *= 1 + 0.12 * np.exp(-np.square(depth / 0.06))
        stains *= cover

        taken = np.zeros(size.divided(8)[::-1], np.bool_)
        chromatin = _rough(Size(512, 512), ((4, 1.0), (7, 0.6)), rng)
        return cls(stains, depth, epithelium, _noise(size, 170, rng), along, chromatin, taken)

    @property
    def size(self) -> Size:
        return Size(self.depth.shape[1], self.depth.shape[0])

    def is_taken(self, x: float, y: float) -> bool:
        return bool(self.taken[int(y) // 8, int(x) // 8])

    def fibre_angle(self, x: float, y: float) -> float:
        """Direction of the fibres at a point, radians."""
        row, column = min(int(y), self.size.height - 5), min(int(x), self.size.width - 5)
        here = self.along[row, column]
        return math.atan2(self.along[row + 4, column] - here, self.along[row, column + 4] - here) + math.pi / 2

    def spots(self, pitch: float, rng: np.random.Generator) -> list[tuple[float, float]]:
        """Points of a jittered grid that lie in the tissue, in random order."""
        y, x = np.meshgrid(np.arange(pitch / 2, self.size.height, pitch), np.arange(pitch / 2, self.size.width, pitch))
        points = np.stack([x.ravel(), y.ravel()], axis=1)
        points += rng.uniform(-0.36 * pitch, 0.36 * pitch, points.shape)
        points = np.clip(points, 0, np.array(self.size) - 1)
        inside = self.depth[points[:, 1].astype(int), points[:, 0].astype(int)] > 0.05
        points = rng.permutation(points[inside])
        return [(float(x), float(y)) for x, y in points]


@dataclass(frozen=True, slots=True)
class _Oval:
    """A window on the slab around an ellipse with an uneven rim."""

    rows: slice
    columns: slice
    radius: Field
    """1 on the rim, 0 in the centre."""
    around: NDArray[np.complex64]
    """Unit vector from the centre, in the ellipse's own frame stretched to a circle."""
    inner: float
    """The smaller semi-axis, px: radius * inner is about a distance in px."""

    @classmethod
    def drawn(
        cls,
        slab: _Slab,
        centre: tuple[float, float],
        axes: tuple[float, float],
        angle: float,
        rng: np.random.Generator,
        *,
        reach: float = 1.3,
        uneven: float = 0.06,
    ) -> _Oval:
        """axes: semi-axes in px. reach: the window's half side, in larger axes."""
        half = math.ceil(reach * max(axes)) + 2
        left, top = int(centre[0]) - half, int(centre[1]) - half
        rows = slice(max(top, 0), min(top + 2 * half + 1, slab.size.height))
        columns = slice(max(left, 0), min(left + 2 * half + 1, slab.size.width))
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(centre[1]))[:, None]
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(centre[0]))[None, :]
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        u, v = (cos * x + sin * y) / np.float32(axes[0]), (cos * y - sin * x) / np.float32(axes[1])
        radius = np.sqrt(u * u + v * v) + np.float32(1e-6)
        # Powers of a unit vector stand for multiples of its angle: cheaper than cosines of them.
        around = ((u + np.complex64(1j) * v) / radius).astype(np.complex64, copy=False)
        second = around * around
        third = second * around
        rim = np.ones_like(radius)
        for order, power in ((2, second), (3, third), (5, third * second)):
            size, phase = 2 / order * uneven * rng.uniform(0.3, 1.0), rng.uniform(0, 2 * math.pi)
            rim += np.float32(size * math.cos(phase)) * power.real - np.float32(size * math.sin(phase)) * power.imag
        return cls(rows, columns, radius / rim, around, min(axes))

    def filled(self, at: float = 1.0, softness: float = 0.9) -> Field:
        """1 within `at` times the rim, 0 without; softness in px."""
        return _step((np.float32(at) - self.radius) * np.float32(self.inner), softness)

    def ring(self, at: float, width: float) -> Field:
        """A Gaussian ridge of `width` px (standard deviation) at `at` times the rim."""
        ridge: Field = np.exp(
            np.float32(-0.5) * np.square((self.radius - np.float32(at)) * np.float32(self.inner / width))
        )
        return ridge

    def is_free(self, slab: _Slab) -> bool:
        """Whether nothing has been placed within the oval."""
        inside = self.radius[::8, ::8] < 1.15
        taken = slab.taken[self.rows.start // 8 :, self.columns.start // 8 :]
        return not (inside & taken[: inside.shape[0], : inside.shape[1]]).any()

    def grain(self, slab: _Slab, rng: np.random.Generator) -> Field:
        """Fine texture for this window; unit variance, about."""
        height, width = self.radius.shape
        row = int(rng.integers(0, slab.chromatin.shape[0] - height))
        column = int(rng.integers(0, slab.chromatin.shape[1] - width))
        return slab.chromatin[row : row + height, column : column + width]

    def take(self, slab: _Slab, at: float) -> None:
        """Keep other cells out of the oval grown to `at` times its rim."""
        rows, columns = np.nonzero(self.radius < at)
        slab.taken[(rows + self.rows.start) // 8, (columns + self.columns.start) // 8] = True


def _stroma(along: Field, grain: Field, mottle: Field, patches: Field, rng: np.random.Generator) -> Field:
    """Eosin of the fibrous ground: bundles, fibrils and threads along the contours of `along`, torn where loose."""
    strands = _noise(Size(along.shape[1], along.shape[0]), 36, rng)
    bundles, fibrils, threads = (_profile(along, cell, rng) for cell in (34, 9, 4))
    eosin = 0.19 * bundles + (0.12 + 0.05 * strands) * fibrils + 0.10 * threads
    eosin += 0.14 * patches + 0.14 * mottle + 0.09 * grain
    eosin = 0.27 * np.exp(eosin, out=eosin)
    # Shrinkage tears tissue along its fibres.
    loose = _step(-(bundles + 0.6 * fibrils + 0.3 * threads) - 1.1 - 0.6 * patches + 0.5 * mottle, 0.5)
    eosin *= 1 - 0.9 * loose
    return eosin


def _place_nucleus(
    slab: _Slab,
    centre: tuple[float, float],
    axes: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
    *,
    density: float,
    vesicular: float,
) -> None:
    """density: haematoxylin of the nucleus. vesicular: 0 for solid chromatin, 1 for an open nucleus with a rim."""
    oval = _Oval.drawn(slab, centre, axes, angle, rng, reach=1.25)
    body = oval.filled()
    texture = oval.grain(slab, rng)
    chromatin = (1 - 0.42 * vesicular) * np.exp(np.float32(0.20 + 0.16 * vesicular) * texture)
    chromatin += np.float32(0.25 + 0.45 * vesicular) * oval.ring(1 - 1.6 / oval.inner, 1.1)
    if vesicular > 0.5:
        for _ in range(int(rng.integers(1, 3))):
            bearing, away = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.45) * oval.inner
            x = centre[0] + away * math.cos(bearing) - oval.columns.start
            y = centre[1] + away * math.sin(bearing) - oval.rows.start
            rows, columns = np.ogrid[: body.shape[0], : body.shape[1]]
            squared = np.square(rows - np.float32(y)) + np.square(columns - np.float32(x))
            chromatin += 0.8 * np.exp(-squared.astype(np.float32) / np.float32(2 * rng.uniform(1.5, 2.6) ** 2))
    haematoxylin, eosin, _ = slab.stains[:, oval.rows, oval.columns]
    haematoxylin += body * (np.float32(density) * chromatin - 0.6 * haematoxylin)
    eosin += body * (np.float32(0.26 * density) - 0.5 * eosin)


def _place_cells(slab: _Slab, rng: np.random.Generator) -> None:
    """Single cells wherever glands and vessels leave room: sheets of epithelium, fibroblasts, lymphocytes."""
    epithelial = []
    for x, y in slab.spots(27, rng):
        if slab.is_taken(x, y):
            continue
        sheet, crowd = slab.epithelium[int(y), int(x)], slab.crowd[int(y), int(x)]
        chance = rng.random()
        if crowd > 1.15 and chance < 0.8:
            radius = rng.uniform(11.5, 14)
            axes = (radius, radius * rng.uniform(0.85, 1.0))
            angle = rng.uniform(0, math.pi)
            _place_nucleus(slab, (x, y), axes, angle, rng, density=rng.uniform(0.65, 0.9), vesicular=0.25)
        elif sheet > 0.05 and chance < 0.72:
            long = rng.uniform(13.5, 20)
            axes = (long, long * rng.uniform(0.62, 0.95))
            angle = rng.uniform(0, math.pi)
            epithelial.append(((x, y), axes, angle))
            body = _Oval.drawn(slab, (x, y), (axes[0] + 8, axes[1] + 9), angle, rng, uneven=0.2)
            gap = body.ring(1.0, 2.2) * np.clip(0.3 + body.grain(slab, rng), 0, 1)
            slab.stains[:2, body.rows, body.columns] *= 1 - np.float32(rng.uniform(0.3, 0.9)) * gap
        elif sheet < 0 and chance < 0.27:
            axes = (rng.uniform(13, 24), rng.uniform(4.0, 8.0))
            angle = slab.fibre_angle(x, y) + rng.normal(0, 0.2)
            _place_nucleus(slab, (x, y), axes, angle, rng, density=rng.uniform(0.5, 0.85), vesicular=0.25)
    # After all the gaps between cells, which must not cut through a neighbour's nucleus.
    for centre, axes, angle in epithelial:
        density, vesicular = rng.uniform(0.36, 0.7), rng.uniform(0.3, 1.0)
        _place_nucleus(slab, centre, axes, angle, rng, density=density, vesicular=vesicular)


def _place_glands(slab: _Slab, rng: np.random.Generator) -> None:
    """Rings of columnar epithelium around a lumen."""
    for x, y in slab.spots(150, rng):
        lumen, height = rng.uniform(14, 60), rng.uniform(44, 66)
        if slab.depth[int(y), int(x)] < 0.3 or rng.random() < 0.3:
            continue
        stretch, angle = rng.uniform(1.0, 1.7), rng.uniform(0, math.pi)
        axes = ((lumen + height) * stretch, lumen + height)
        oval = _Oval.drawn(slab, (x, y), axes, angle, rng, reach=1.2, uneven=0.11)
        if not oval.is_free(slab):
            continue
        haematoxylin, eosin, _ = slab.stains[:, oval.rows, oval.columns]
        grain = oval.grain(slab, rng)
        within = lumen / (lumen + height)
        hollow = _step((within - oval.radius) * oval.inner + 2.2 * grain, 2.5)
        apical = np.clip((oval.radius - within) / (1 - within), 0, 1)
        cells = round(2 * math.pi * 0.75 * (axes[0] + axes[1]) / 2 / 24)
        border = np.exp(-np.square(np.sin(0.5 * cells * np.angle(oval.around) + 0.35 * grain) / 0.13))
        texture = np.exp(np.float32(0.13) * grain) * (1 - 0.22 * border)
        wall = oval.filled(softness=1.5)
        eosin += wall * ((0.20 + 0.09 * apical) * texture - 0.85 * eosin)
        haematoxylin += wall * ((0.07 + 0.11 * apical) * texture - haematoxylin)
        eosin += 0.14 * oval.ring(1.01, 1.6) + 0.10 * oval.ring(within, 1.8)
        eosin *= 1 - 0.93 * hollow
        haematoxylin *= 1 - 0.98 * hollow
        oval.take(slab, 1.1)
        _line(slab, (x, y), axes, angle, rng, at=1 - 19 / axes[1], spacing=20)


def _line(
    slab: _Slab,
    centre: tuple[float, float],
    axes: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
    *,
    at: float,
    spacing: float,
) -> None:
    """Columnar nuclei, standing on the ellipse `at` times `axes`, `spacing` px apart."""
    mean = at * (axes[0] + axes[1]) / 2
    for bearing in np.arange(0, 2 * math.pi, spacing / mean):
        along = float(bearing) + rng.normal(0, 0.12 * spacing / mean)
        sunk = at * rng.uniform(0.88, 1.03) - (rng.uniform(0.12, 0.25) if rng.random() < 0.3 else 0.0)
        u, v = sunk * axes[0] * math.cos(along), sunk * axes[1] * math.sin(along)
        x = centre[0] + math.cos(angle) * u - math.sin(angle) * v
        y = centre[1] + math.sin(angle) * u + math.cos(angle) * v
        if not (0 <= x < slab.size.width and 0 <= y < slab.size.height):
            continue
        outward = math.atan2(axes[0] * math.sin(along), axes[1] * math.cos(along)) + angle
        shape = (rng.uniform(13, 19), rng.uniform(8.5, 12))
        density, vesicular = rng.uniform(0.45, 0.8), rng.uniform(0.2, 0.9)
        turned = outward + rng.normal(0, 0.2)
        _place_nucleus(slab, (x, y), shape, turned, rng, density=density, vesicular=vesicular)


def _place_vessels(slab: _Slab, rng: np.random.Generator) -> None:
    """Capillaries: a thin wall with flat nuclei, red cells inside."""
    for x, y in slab.spots(260, rng):
        axes = (rng.uniform(40, 95), rng.uniform(22, 40))
        if slab.depth[int(y), int(x)] < 0.15 or slab.epithelium[int(y), int(x)] > -0.1 or rng.random() < 0.3:
            continue
        angle = slab.fibre_angle(x, y)
        oval = _Oval.drawn(slab, (x, y), axes, angle, rng, reach=1.3, uneven=0.08)
        if not oval.is_free(slab):
            continue
        slab.stains[:, oval.rows, oval.columns] *= 1 - 0.96 * oval.filled(softness=1.5)
        slab.stains[1, oval.rows, oval.columns] += 0.26 * oval.ring(1.08, 2.4)
        for _ in range(int(axes[0] * axes[1] / 330)):
            bearing, away = rng.uniform(0, 2 * math.pi), 0.72 * math.sqrt(rng.random())
            u, v = away * axes[0] * math.cos(bearing), away * axes[1] * math.sin(bearing)
            spot = (x + math.cos(angle) * u - math.sin(angle) * v, y + math.sin(angle) * u + math.cos(angle) * v)
            _place_erythrocyte(slab, spot, rng)
        for bearing in rng.uniform(0, 2 * math.pi, int(rng.integers(3, 7))):
            u, v = 1.1 * axes[0] * math.cos(bearing), 1.1 * axes[1] * math.sin(bearing)
            spot = (x + math.cos(angle) * u - math.sin(angle) * v, y + math.sin(angle) * u + math.cos(angle) * v)
            if 0 <= spot[0] < slab.size.width and 0 <= spot[1] < slab.size.height:
                tangent = angle + math.atan2(axes[1] * math.cos(bearing), -axes[0] * math.sin(bearing))
                shape = (rng.uniform(14, 21), rng.uniform(4, 6))
                _place_nucleus(slab, spot, shape, tangent, rng, density=0.85, vesicular=0.1)
        oval.take(slab, 1.3)


def _place_erythrocyte(slab: _Slab, centre: tuple[float, float], rng: np.random.Generator) -> None:
    """A biconcave disc of about 7 um, pressed a little."""
    if not (0 <= centre[0] < slab.size.width and 0 <= centre[1] < slab.size.height):
        return
    axes = (rng.uniform(12, 14.5), rng.uniform(9, 13))
    oval = _Oval.drawn(slab, centre, axes, rng.uniform(0, math.pi), rng)
    body = oval.filled()
    red = slab.stains[2, oval.rows, oval.columns]
    disc = np.float32(rng.uniform(0.38, 0.55)) * (0.8 + 0.3 * np.square(np.minimum(oval.radius, 1)))
    red += body * (disc - 0.8 * red)


def _expose(slab: _Slab, rng: np.random.Generator) -> Image:
    """Light through the slab: absorption, a lens that blurs by about 0.8 px, a sensor's noise of about one step."""
    size = slab.size
    out = np.empty((size.height, size.width, 3), np.uint8)
    ink = slab.stains.reshape(3, -1)
    # Nats in place of decades: exp is much faster than a power of ten.
    nats = -math.log(10) * _STAINS
    strip = 256
    for top in range(0, size.height, strip):
        bottom = min(top + strip, size.height)
        upper, lower = max(top - 2, 0), min(bottom + 2, size.height)
        part = ink[:, upper * size.width : lower * size.width]
        for channel in range(3):
            density = part[0] * nats[0, channel]
            density += part[1] * nats[1, channel]
            density += part[2] * nats[2, channel]
            light = np.exp(density, out=density).reshape(lower - upper, size.width)
            light = np.pad(light, ((2 - (top - upper), 2 - (lower - bottom)), (2, 2)), mode="edge")
            light = _blur(light)
            light *= np.float32(GLASS_RGB[channel])
            light += np.float32(1.1) * rng.standard_normal(light.shape, dtype=np.float32)
            out[top:bottom, :, channel] = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return out


_TAPS = np.exp(-0.5 * (np.arange(-2, 3) / 0.8) ** 2)
_TAPS = (_TAPS / _TAPS.sum()).astype(np.float32)


def _blur(x: Field) -> Field:
    """Separable Gaussian of 0.8 px; 2 px less on every side."""
    rows = _TAPS[2] * x[2:-2]
    rows += _TAPS[1] * (x[1:-3] + x[3:-1])
    rows += _TAPS[0] * (x[:-4] + x[4:])
    out: Field = _TAPS[2] * rows[:, 2:-2]
    out += _TAPS[1] * (rows[:, 1:-3] + rows[:, 3:-1])
    out += _TAPS[0] * (rows[:, :-4] + rows[:, 4:])
    return out


def _step(x: Field, softness: float) -> Field:
    """0 below -softness, 1 above softness, a cubic between."""
    t: Field = np.clip(x * np.float32(0.5 / softness) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def _noise(size: Size, cell: int, rng: np.random.Generator) -> Field:
    """Smooth noise of zero mean and unit variance: random values every `cell` px, a cubic B-spline between."""
    rows, columns = -(-size.height // cell), -(-size.width // cell)
    knots = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32)
    weights = _spline_weights(cell)
    tall = np.empty((rows, cell, columns + 3), np.float32)
    for phase, (a, b, c, d) in enumerate(weights):
        tall[:, phase] = a * knots[:-3] + b * knots[1:-2] + c * knots[2:-1] + d * knots[3:]
    tall = tall.reshape(rows * cell, columns + 3)[: size.height]
    out = np.empty((size.height, columns, cell), np.float32)
    for phase, (a, b, c, d) in enumerate(weights):
        out[:, :, phase] = a * tall[:, :-3] + b * tall[:, 1:-2] + c * tall[:, 2:-1] + d * tall[:, 3:]
    return out.reshape(size.height, columns * cell)[:, : size.width]


def _rough(size: Size, octaves: tuple[tuple[int, float], ...], rng: np.random.Generator) -> Field:
    """Sum of smooth noises, each (cell in px, standard deviation)."""
    total: Field = np.zeros((size.height, size.width), np.float32)
    for cell, amplitude in octaves:
        total += np.float32(amplitude) * _noise(size, cell, rng)
    return total


def _profile(across: Field, cell: int, rng: np.random.Generator) -> Field:
    """Smooth noise that depends on the coordinate across the fibres alone: random values about every `cell` px."""
    table = _noise(Size(4096 * 8, 1), 8, rng)[0] * np.float32(1 / 0.69)
    profile: Field = table[(across * np.float32(8 / cell)).astype(np.int32) & (table.size - 1)]
    return profile


def _spline_weights(cell: int) -> NDArray[np.float32]:
    """cell x 4: uniform cubic B-spline at the centres of `cell` px, scaled to keep unit variance in two axes."""
    t = ((np.arange(cell) + 0.5) / cell)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    weights /= math.sqrt(float(np.mean(np.sum(weights**2, axis=1))))
    return weights.astype(np.float32)
