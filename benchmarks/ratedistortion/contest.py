"""The contest: histocodec's best setting minus the best peer at equal bytes, with intervals over images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .curves import bjontegaard_rate, bootstrap, mean_of_means, value_at
from .measures import LOWER_IS_BETTER

GROUPS = {"dev/monuseg": ("dev/monuseg",), "foreign": ("foreign/tnbc", "foreign/brecahad")}
"""Sources whose means are averaged."""
RATIOS = (8.0, 12.0, 16.0, 24.0)
MEASURES = ("psnr_db", "ssim", "stlpips", "nuclei_f1")
OURS = "histocodec "
SLOWER = "AVIF s3"
"""Peers of more effort than histocodec's own AV1, speed 6: compared apart."""
REFERENCE = "AVIF s6"

Row = Mapping[str, Any]
Image = tuple[str, str]
"""Source and name of an image."""


class Table:
    """Values of all methods by image, looked up once."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[str, dict[Image, list[Row]]] = {}
        for row in rows:
            self._rows.setdefault(row["method"], {}).setdefault((row["source"], row["image"]), []).append(row)
        self._images = list(dict.fromkeys(image for own in self._rows.values() for image in own))

    @property
    def methods(self) -> list[str]:
        return list(self._rows)

    def images(self, sources: Sequence[str]) -> list[Image]:
        """Return all images of these sources that any method was measured on."""
        return [image for image in self._images if image[0] in sources]

    def points(self, method: str, image: Image, measure: str, axis: str = "ratio") -> list[tuple[float, float]]:
        """Return pairs of `axis` and value, of the rows that have one."""
        rows = self._rows.get(method, {}).get(image, [])
        return [(row[axis], row[measure]) for row in rows if row[measure] is not None]

    def values(self, method: str, sources: Sequence[str], measure: str, ratio: float) -> dict[Image, float]:
        """Return the values by image, where the method reaches the ratio."""
        found = {
            image: value_at(self.points(method, image, measure), ratio)
            for image in self._rows.get(method, {})
            if image[0] in sources
        }
        return {image: value for image, value in found.items() if value is not None}


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
    low: float
    """Ends of the 95 % interval of the difference."""
    high: float
    images: int
    short: tuple[str, ...] = ()
    """Peers that do not reach the ratio on every image, and so do not count."""

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


def contest(
    table: Table, group: str, ratio: float, measure: str, *, ours: str = OURS, slower: bool = False
) -> Difference | None:
    """Compare histocodec's best setting with its best peer, by one measure at one ratio.

    ours: beginning of the names of the settings to choose from. slower: against the peers of more effort instead.
    Our setting is the one of the best mean PSNR over the group's images, whatever is measured; the peer is the best in
    the measure itself. Only methods that reach the ratio on every image count: the thinned peers on every image that
    any of them was coded on. None if one side has nothing.
    """
    sources = GROUPS[group]
    peers = [m for m in table.methods if not m.startswith(OURS) and m.startswith(SLOWER) == slower]
    settings = [m for m in table.methods if m.startswith(ours)]
    images = table.images(sources)
    chosen, _ = best(table, settings, sources, "psnr_db", ratio, images)
    if chosen is None:
        return None
    if slower:
        seen = {image for m in peers for image in images if table.points(m, image, "psnr_db")}
        images = [image for image in images if image in seen]
    peer, short = best(table, peers, sources, measure, ratio, images)
    if peer is None:
        return None
    our_values, peer_values = (table.values(m, sources, measure, ratio) for m in (chosen, peer))
    if not our_values.keys() >= set(images):
        return None
    differences = {image: our_values[image] - peer_values[image] for image in images}
    low, high = bootstrap(by_source(differences))
    return Difference(
        group,
        ratio,
        measure,
        chosen,
        peer,
        mean({image: our_values[image] for image in images}),
        mean({image: peer_values[image] for image in images}),
        low,
        high,
        len(images),
        tuple(short),
    )


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
