"""The contest: histocodec minus the best peer at equal bytes and no more CPU, with intervals over images."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .curves import bjontegaard_rate, bootstrap, mean_of_means, value_at
from .measures import LOWER_IS_BETTER

GROUPS = {"dev/monuseg": ("dev/monuseg",), "foreign": ("foreign/tnbc", "foreign/brecahad")}
"""Sources whose means are averaged."""
RATIOS = (8.0, 12.0, 16.0, 24.0)
OURS = "histocodec "
DEFAULT = OURS + "by default"
"""What `histocodec encode` does unless told otherwise: the base that it chooses for an image at a ratio."""

Row = Mapping[str, Any]
Image = tuple[str, str]
"""Source and name of an image."""


class Table:
    """Values of all methods by image, looked up once."""

    def __init__(self, rows: Iterable[Row], default: Mapping[str, Any] | None = None) -> None:
        """Take rows, and what the default command chooses among, as `methods.default_methods` tells it."""
        self._default = default
        self._rows: dict[str, dict[Image, list[Row]]] = {}
        for row in rows:
            self._rows.setdefault(row["method"], {}).setdefault((row["source"], row["image"]), []).append(row)
        self._images = list(dict.fromkeys(image for own in self._rows.values() for image in own))

    @property
    def methods(self) -> list[str]:
        return list(self._rows)

    def images(self, sources: Sequence[str] | None = None) -> list[Image]:
        """Return all images of these sources, or of all, that any method was measured on."""
        return [image for image in self._images if sources is None or image[0] in sources]

    def points(self, method: str, image: Image, measure: str, axis: str = "ratio") -> list[tuple[float, float]]:
        """Return pairs of `axis` and value, of the rows that have one."""
        rows = self._rows.get(method, {}).get(image, [])
        return [(row[axis], row[measure]) for row in rows if row.get(measure) is not None]

    def values(self, method: str, sources: Sequence[str], measure: str, ratio: float) -> dict[Image, float]:
        """Return the values by image, where the method reaches the ratio."""
        found = {image: self._value(method, image, measure, ratio) for image in self.images(sources)}
        return {image: value for image, value in found.items() if value is not None}

    def _value(self, method: str, image: Image, measure: str, ratio: float) -> float | None:
        if method == DEFAULT:
            if self._default is None:
                return None
            method = self._by_default(self._default, image, ratio)
        return value_at(self.points(method, image, measure), ratio)

    def _by_default(self, default: Mapping[str, Any], image: Image, ratio: float) -> str:
        """Return the method that the encoder takes: by the quality of the 10x base, or where unsure by trying both."""
        named: tuple[str, str] = (default["10x"], default["20x"])
        quality, (low, high) = self._value(named[0], image, "quality", ratio), default["unsure"]
        if quality is None or not low <= quality <= high:
            return named[quality is not None and quality > high]
        coarse, fine = (self._value(method, image, "psnr_db", ratio) or 0.0 for method in named)
        return named[fine >= coarse + default["worth_db"]]


def by_source(values: Mapping[Image, float]) -> dict[str, list[float]]:
    """Group values by the source of their images."""
    found: dict[str, list[float]] = {}
    for (source, _), value in values.items():
        found.setdefault(source, []).append(value)
    return found


def mean(values: Mapping[Image, float]) -> float:
    """Return the mean of the sources' means."""
    return mean_of_means(by_source(values))


@dataclass(frozen=True)
class Difference:
    """One cell: ours minus a peer's, at one ratio, over the images of one group."""

    group: str
    ratio: float
    measure: str
    ours: str
    peer: str
    our_mean: float
    peer_mean: float
    our_cpu: float | None
    """Mean CPU seconds of encoding for each full megapixel."""
    peer_cpu: float | None
    low: float
    """Ends of the 95 % interval of the difference."""
    high: float
    images: int
    short: tuple[str, ...] = ()
    """Peers that do not reach the ratio on every image, and so are left out."""

    @property
    def value(self) -> float:
        return self.our_mean - self.peer_mean

    @property
    def ahead(self) -> bool:
        """True if histocodec is the better one."""
        return self.value < 0 if self.measure in LOWER_IS_BETTER else self.value > 0


def best(
    table: Table, methods: Iterable[str], sources: Sequence[str], measure: str, ratio: float, images: Iterable[Image]
) -> tuple[str | None, list[str]]:
    """Return the method of the best mean over exactly these images, and those that miss the ratio on some of them."""
    wanted = set(images)
    means, short = {}, []
    for method in methods:
        values = table.values(method, sources, measure, ratio)
        if wanted and wanted <= values.keys():
            means[method] = mean({image: values[image] for image in wanted})
        elif values:
            short.append(method)
    if not means:
        return None, short
    choose = min if measure in LOWER_IS_BETTER else max
    return choose(means, key=means.__getitem__), short


def cpu_seconds(table: Table, method: str, sources: Sequence[str], ratio: float) -> float | None:
    """Return the mean CPU seconds of encoding a full megapixel at a ratio; None if no image was measured so."""
    values = table.values(method, sources, "encode_cpu", ratio)
    return mean(values) if values else None


def admitted(table: Table, ours: str, peers: Iterable[str], sources: Sequence[str], ratio: float) -> list[str]:
    """Return the peers that a setting of ours is compared with, under the rule of CPU.

    Of peers that differ in nothing but their speed: the fastest that takes at least as much CPU as we do, and all that
    are faster still. Where even the slowest that was measured takes less, all of them.
    """
    our_cpu = cpu_seconds(table, ours, sources, ratio)
    families: dict[str, dict[str, float]] = {}
    for peer in peers:
        families.setdefault(_SPEED.sub("", peer), {})[peer] = cpu_seconds(table, peer, sources, ratio) or 0.0
    found = []
    for cpu in families.values():
        enough = [seconds for seconds in cpu.values() if our_cpu is not None and seconds >= our_cpu]
        most = min(enough, default=math.inf)
        found += [peer for peer, seconds in cpu.items() if seconds <= most]
    return found


_SPEED = re.compile(r" s\d+")


def contest(table: Table, group: str, ratio: float, measure: str, *, ours: str = OURS) -> Difference | None:
    """Compare histocodec's best setting with its best peer, by one measure at one ratio.

    ours: beginning of the names of the settings to choose from, or DEFAULT. Our setting is the one of the best mean
    PSNR over the group's images, whatever is measured; the peer is the best in the measure itself of those that are
    `admitted`. Only methods that reach the ratio on every image count. None if one side has nothing.
    """
    sources = GROUPS[group]
    images = table.images(sources)
    settings = [DEFAULT] if ours == DEFAULT else [m for m in table.methods if m.startswith(ours)]
    chosen, _ = best(table, settings, sources, "psnr_db", ratio, images)
    if chosen is None:
        return None
    peers = admitted(table, chosen, [m for m in table.methods if not m.startswith(OURS)], sources, ratio)
    peer, short = best(table, peers, sources, measure, ratio, images)
    our_values = table.values(chosen, sources, measure, ratio)
    if peer is None or not our_values.keys() >= set(images):
        return None
    peer_values = table.values(peer, sources, measure, ratio)
    low, high = bootstrap(by_source({image: our_values[image] - peer_values[image] for image in images}))
    return Difference(
        group,
        ratio,
        measure,
        chosen,
        peer,
        mean(our_values),
        mean(peer_values),
        cpu_seconds(table, chosen, sources, ratio),
        cpu_seconds(table, peer, sources, ratio),
        low,
        high,
        len(images),
        tuple(short),
    )


def least_gain(table: Table, method: str, source: str, ratio: float) -> tuple[float, str] | None:
    """Return the least gain in dB over bicubic from the same base on any image of a source, and the image's name."""
    made, plain = (table.values(method, (source,), name, ratio) for name in ("psnr_db", "bicubic_psnr_db"))
    gains = [(made[image] - plain[image], image[1]) for image in made if image in plain]
    return min(gains, default=None)


@dataclass(frozen=True)
class RateDelta:
    """Bjontegaard delta rate of a setting over PSNR: the bytes it saves at equal PSNR, negative for fewer."""

    group: str
    ours: str
    reference: str
    share: float
    low: float
    high: float
    images: int
    """Number of images on which both share a range of PSNR."""


def rate_delta(table: Table, group: str, ours: str, reference: str) -> RateDelta | None:
    """Return the mean over a group (mean of the sources' means) of each image's delta; None if no image has one."""
    found = {}
    for image in table.images(GROUPS[group]):
        theirs, own = (table.points(m, image, "psnr_db", "bpp") for m in (reference, ours))
        delta = bjontegaard_rate(theirs, own) if theirs and own else None
        if delta is not None:
            found[image] = delta
    if not found:
        return None
    low, high = bootstrap(by_source(found))
    return RateDelta(group, ours, reference, mean(found), low, high, len(found))
