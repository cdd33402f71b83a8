"""Which pictures a TIFF holds, and which one is the slide: what names and NewSubfileType say, never size alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tifffile

from ..errors import SettingsError, UnreadableSource
from ..geometry import Size
from ._levels import looks_reduced
from ._ome import ASSOCIATED_NAMES, OmeImage, associated_role

_LEAST_DOWNSAMPLE = 1.5
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the main chain that is no level of another."""

    series: int
    """The number to ask for it by: of the Image in OME-XML, else of the directory."""
    name: str
    pages: tuple[int, ...]
    """Its directory, or those of its three grey planes: red, green, blue."""
    size: Size
    ome: OmeImage | None = None

    def __str__(self) -> str:
        name = f" '{self.name}'" if self.name else ""
        return f"{self.series}{name} ({self.size.width} x {self.size.height} px)"


IsReduced = Callable[[Picture, Picture], bool]
"""(small, large) -> whether the one is a level of the other."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a file holds."""

    slides: tuple[Picture, ...]
    """The largest first. More than one: nothing says which of them is meant."""
    associated: dict[str, int]
    """Label, macro and thumbnail, by the position of their directory."""
    others: tuple[Picture, ...] = ()
    """What can be asked for as well: associated images."""

    def chosen(self, path: Path, series: int | None) -> Picture:
        """The one picture, or the one that is asked for. Raises UnreadableSource and SettingsError."""
        if series is None:
            if len(self.slides) > 1:
                raise UnreadableSource(
                    path,
                    f"expected one picture, found {len(self.slides)}, neither a level of another: "
                    f"{_listed(self.slides)}; choose one with --series",
                )
            return self.slides[0]
        every = (*self.slides, *self.others)
        for picture in every:
            if picture.series == series:
                return picture
        raise SettingsError(f"{path}: there is no series {series}; the pictures are {_listed(every)}")


def _listed(pictures: Sequence[Picture]) -> str:
    some = ", ".join(str(picture) for picture in sorted(pictures, key=lambda picture: picture.series)[:10])
    return f"{some}, ..." if len(pictures) > 10 else some


def find_pictures(
    tiff: tifffile.TiffFile,
    pages: Sequence[tifffile.TiffPage],
    ome: Sequence[OmeImage],
    *,
    tiled_alone: bool = False,
) -> Pictures:
    """The pictures of a file whose main chain is `pages`, at least one.

    ome: what an OME-XML header lists, believed as far as it fits the pages. tiled_alone: whether strips are for
    associated images, as in Aperio's files.
    """

    def is_reduced(small: Picture, large: Picture) -> bool:
        return _can_be_level(small, large) and looks_reduced(tiff, pages[large.pages[0]], pages[small.pages[0]])

    fitting = [image for image in ome if _fits(image, pages)]
    if fitting:
        return _ome_pictures(fitting, is_reduced)
    places = [place for place, page in enumerate(pages) if page.is_tiled or not tiled_alone]
    return _plain_pictures(pages, places or range(len(pages)), is_reduced)


def _fits(image: OmeImage, pages: Sequence[tifffile.TiffPage]) -> bool:
    return all(place < len(pages) and _size(pages[place]) == image.size for place in image.planes)


def _ome_pictures(images: Sequence[OmeImage], is_reduced: IsReduced) -> Pictures:
    every = [Picture(image.series, image.name, image.planes, image.size, image) for image in images]
    named = [picture for picture in every if picture.ome is not None and picture.ome.role is not None]
    slides = [picture for picture in every if picture not in named]
    if not slides:
        slides, named = every, []
    associated: dict[str, int] = {}
    for picture in named:
        assert picture.ome is not None
        assert picture.ome.role is not None
        associated.setdefault(picture.ome.role, picture.pages[0])
    return Pictures(_without_levels(slides, is_reduced), associated, tuple(named))


def _plain_pictures(pages: Sequence[tifffile.TiffPage], places: Sequence[int], is_reduced: IsReduced) -> Pictures:
    every = [Picture(place, "", (place,), _size(pages[place])) for place in places]
    full = [picture for picture in every if not pages[picture.pages[0]].subfiletype & 0b1101]
    named = {picture: role for picture in full if (role := _stated_role(pages[picture.pages[0]]))}
    slides = [picture for picture in full if picture not in named] or full or every
    named = {picture: role for picture, role in named.items() if picture not in slides}
    associated = {role: picture.pages[0] for picture, role in reversed(named.items())}
    return Pictures(_without_levels(slides, is_reduced), associated, tuple(named))


def _stated_role(page: tifffile.TiffPage) -> str | None:
    """What a short description of a page, or its name, says that it is."""
    texts = [page.tags.valueof(tag) for tag in ("PageName", "ImageDescription")]
    roles = [associated_role(text) for text in texts if isinstance(text, str) and len(text) <= _LONGEST_NAME]
    return next((role for role in roles if role in ASSOCIATED_NAMES), None)


def _without_levels(pictures: Sequence[Picture], is_reduced: IsReduced) -> tuple[Picture, ...]:
    """Those that are no level of another one, the largest first; of equal ones, in their order."""
    found: list[Picture] = []
    for picture in sorted(pictures, key=lambda picture: -picture.size.area):
        if not any(is_reduced(picture, larger) for larger in found):
            found.append(picture)
    return tuple(found)


def _can_be_level(small: Picture, large: Picture) -> bool:
    """Whether one picture can be the other, reduced: of its proportions, to a pixel, and as coarse as that makes it."""
    low, high = _LEAST_DOWNSAMPLE, float("inf")
    for less, more in ((small.size.width, large.size.width), (small.size.height, large.size.height)):
        low, high = max(low, more / (less + 1)), min(high, more / (less - 1) if less > 1 else high)
    if low > high:
        return False
    finer, coarser = (picture.ome.spacing if picture.ome else None for picture in (large, small))
    return finer is None or coarser is None or 0.9 * low <= coarser[0] / finer[0] <= 1.1 * high


def _size(page: tifffile.TiffPage) -> Size:
    return Size(page.imagewidth, page.imagelength)
