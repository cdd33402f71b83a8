"""Finds the pictures of a TIFF, and the slide among them: by names and NewSubfileType, never by size alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tifffile

from ..errors import SettingsError, UnreadableSource
from ..geometry import Size
from ._levels import looks_reduced
from ._ome import OmeImage, associated_role

_LEAST_DOWNSAMPLE = 1.5
"""Least factor between a picture and a level of it."""
_LONGEST_NAME = 64
"""Most characters of a text that is taken for a name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the main chain that is no level of another."""

    series: int
    """Number to ask for it by: of the Image in OME-XML, else of the directory."""
    name: str
    pages: tuple[int, ...]
    """Position of its directory, or those of its three grey planes: red, green, blue."""
    size: Size
    ome: OmeImage | None = None

    def __str__(self) -> str:
        name = f" '{self.name}'" if self.name else ""
        return f"{self.series}{name} ({self.size.width} x {self.size.height} px)"


IsReduced = Callable[[Picture, Picture], bool]
"""is_reduced(small, large): True if the one is a level of the other."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures that a file holds."""

    slides: tuple[Picture, ...]
    """Candidates for the slide, the largest first. More than one: nothing says which of them is meant."""
    associated: dict[str, int]
    """Position of the directory of label, macro and thumbnail, as far as they are there."""
    others: tuple[Picture, ...] = ()
    """Pictures that can be asked for as well: associated images."""

    def chosen(self, path: Path, series: int | None) -> Picture:
        """Return the one picture, or the one that is asked for. Raises UnreadableSource and SettingsError."""
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
    """Name the pictures in a sentence, at most ten of them."""
    some = ", ".join(str(picture) for picture in sorted(pictures, key=lambda picture: picture.series)[:10])
    return f"{some}, ..." if len(pictures) > 10 else some


def find_pictures(
    tiff: tifffile.TiffFile,
    pages: Sequence[tifffile.TiffPage],
    ome: Sequence[OmeImage],
    *,
    tiled_alone: bool = False,
) -> Pictures:
    """Find the pictures of a file whose main chain is `pages`, at least one.

    ome: the images that an OME-XML header lists, believed as far as they fit the pages. tiled_alone: True if strips are
    for associated images, as in Aperio's files.
    """

    def is_reduced(small: Picture, large: Picture) -> bool:
        return _can_be_level(small, large) and looks_reduced(tiff, pages[large.pages[0]], pages[small.pages[0]])

    fitting = [image for image in ome if _fits(image, pages)]
    if fitting:
        return _ome_pictures(fitting, is_reduced)
    places = [place for place, page in enumerate(pages) if page.is_tiled or not tiled_alone]
    return _plain_pictures(pages, places or range(len(pages)), is_reduced)


def _fits(image: OmeImage, pages: Sequence[tifffile.TiffPage]) -> bool:
    """Tell whether the pages of an image are there and of its size."""
    return all(place < len(pages) and _size(pages[place]) == image.size for place in image.planes)


def _ome_pictures(images: Sequence[OmeImage], is_reduced: IsReduced) -> Pictures:
    """Sort the images of an OME-XML header into slides and associated images, by their names."""
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
    """Sort pages into slides and associated images, by NewSubfileType and short descriptions."""
    every = [Picture(place, "", (place,), _size(pages[place])) for place in places]
    full = [picture for picture in every if not pages[picture.pages[0]].subfiletype & 0b1101]
    named = {picture: role for picture in full if (role := _stated_role(pages[picture.pages[0]]))}
    slides = [picture for picture in full if picture not in named] or full or every
    named = {picture: role for picture, role in named.items() if picture not in slides}
    associated = {role: picture.pages[0] for picture, role in reversed(named.items())}
    return Pictures(_without_levels(slides, is_reduced), associated, tuple(named))


def _stated_role(page: tifffile.TiffPage) -> str | None:
    """Return the associated image that the name of a page, or its short description, speaks of."""
    texts = [page.tags.valueof(tag) for tag in ("PageName", "ImageDescription")]
    roles = [associated_role(text) for text in texts if isinstance(text, str) and len(text) <= _LONGEST_NAME]
    return next((role for role in roles if role is not None), None)


def _without_levels(pictures: Sequence[Picture], is_reduced: IsReduced) -> tuple[Picture, ...]:
    """Return the pictures that are no level of another one, the largest first; equal ones in their order."""
    found: list[Picture] = []
    for picture in sorted(pictures, key=lambda picture: -picture.size.area):
        if not any(is_reduced(picture, larger) for larger in found):
            found.append(picture)
    return tuple(found)


def _can_be_level(small: Picture, large: Picture) -> bool:
    """Tell whether one picture can be the other, reduced: its proportions to a pixel, its spacing if both state one."""
    low, high = _LEAST_DOWNSAMPLE, float("inf")
    for less, more in ((small.size.width, large.size.width), (small.size.height, large.size.height)):
        low, high = max(low, more / (less + 1)), min(high, more / (less - 1) if less > 1 else high)
    if low > high:
        return False
    finer, coarser = (picture.ome.spacing if picture.ome else None for picture in (large, small))
    return finer is None or coarser is None or 0.9 * low <= coarser[0] / finer[0] <= 1.1 * high


def _size(page: tifffile.TiffPage) -> Size:
    """Return the size of a page in pixels."""
    return Size(page.imagewidth, page.imagelength)
