"""Label, macro and thumbnail of a slide: coded to fit their share of a byte budget, or taken from a file."""

from __future__ import annotations

import math

from ..geometry import Image, Size
from ..pixels.downsample import downsample
from ..pixels.tile_codecs import encode_tile
from .reader import Container
from .writer import AssociatedImage

NAMES = ("thumbnail", "label", "macro")
"""Names of the images that are kept, in this order: readers of Aperio files take the first one for the thumbnail."""

MAX_SIDE = 8192
"""Pixels a side above which an image is stored smaller: a reader need not ask for memory of more than its square."""

BUDGET_SHARE = 0.125
"""Share of a byte budget that these images may take: tissue is what a slide is for."""

_ATTEMPTS = [(shrink, quality) for shrink in (1, 2, 4) for quality in (80, 65, 50, 35)]
"""Factor by which an image is shrunk, and its codec quality, best first."""


def code_associated(
    images: dict[str, Image], *, deidentify: bool, fallback_thumbnail: Image, budget_bytes: int | None
) -> tuple[list[AssociatedImage], str | None]:
    """Code the images as JPEG at the best quality and size that take at most an eighth of the budget.

    images: name -> (height, width, 3) uint8 RGB. Returns them in file order, and a note for the user if anything had to
    give way.
    """
    kept = {name: images[name] for name in NAMES if name in images}
    if not kept:
        return [], None
    # A label names the patient, a macro shows the label, and what a source calls its thumbnail may show either: one
    # made of the base shows the scan alone.
    kept = {"thumbnail": fallback_thumbnail, **({} if deidentify else kept)}
    kept = {name: downsample(image, -(-max(image.shape) // MAX_SIDE)) for name, image in kept.items()}
    limit = math.inf if budget_bytes is None else budget_bytes * BUDGET_SHARE
    for shrink, quality in _ATTEMPTS:
        coded = [_code(name, downsample(image, shrink), quality) for name, image in kept.items()]
        if sum(len(image.jpeg) for image in coded) <= limit:
            if (shrink, quality) == _ATTEMPTS[0]:
                return coded, None
            size = f" and 1/{shrink} of their width" if shrink > 1 else ""
            return coded, f"{', '.join(kept)} stored at JPEG quality {quality}{size}, to fit the budget"
    return [], f"{', '.join(kept)} left out: they do not fit into an eighth of the budget"


def stored_associated(container: Container, *, thumbnail: Image | None = None) -> list[AssociatedImage]:
    """Return the images of a file as they are stored and in file order, so the thumbnail first.

    thumbnail: (height, width, 3) uint8 RGB to put in place of the file's; None keeps it. Raises CorruptContainer.
    """
    names = container.manifest.associated
    stored = [
        AssociatedImage(name, container.associated_size(name), container.associated_jpeg(name))
        for name in names
        if thumbnail is None or name != "thumbnail"
    ]
    return stored if thumbnail is None else [_code("thumbnail", thumbnail, _ATTEMPTS[0][1]), *stored]


def _code(name: str, image: Image, quality: int) -> AssociatedImage:
    return AssociatedImage(name, Size(image.shape[1], image.shape[0]), encode_tile(image, "jpeg", quality))
