"""Has OpenSlide's own Python calls read containers, so that a program written for it need not be changed.

The choice is made where a file becomes a handle, in `openslide.lowlevel.open`: every class of openslide-python, every
class that others derive from them, and every program that calls the lower level goes through it, whenever and however
it imported the name that it uses. What is not a container gets OpenSlide's handle and goes OpenSlide's way. A
container gets a `ContainerHandle`, and the functions of `openslide.lowlevel` hand it to the method of their name. So
the type of a slide stays `openslide.OpenSlide`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from openslide import OpenSlideError, lowlevel
from PIL import Image as PILImage

from ..decoder import Decoder
from ..errors import FileError, HistocodecError, NotAContainer, SettingsError
from ..format.descriptions import is_stored_description
from ..format.entries import Tier
from ..runtime.byte_source import Location, is_url
from ..source.as_stored import AsStored
from .slide import ReconstructedSlide, memory_of_cache

SETTINGS_VARIABLE = "HISTOCODEC_OPENSLIDE"
"""The environment variable by which a program is given the settings, keywords of `install_openslide`, as JSON."""

_PLAIN = "_histocodec_plain"
"""Attribute of a function that dispatches: the one of OpenSlide in whose place it stands."""

_CAPACITY = "_histocodec_capacity"
"""Attribute of a cache of OpenSlide: its bytes."""

_settings: dict[str, Any] = {}
"""How containers are opened, as keywords of Decoder."""


class UnreadableSlide(HistocodecError, OpenSlideError):
    """A container that is damaged, lacks its generator, or cannot be reached: programs for OpenSlide expect its error.

    The cause has the facts.
    """


class ContainerHandle:
    """What `openslide.lowlevel.open` returns for a container; each method stands for the function of its name.

    It is pickled by the container's path and the settings, and then dispatches where it arrives. Closes the file when
    nothing refers to it any more, as OpenSlide's handles do.
    """

    def __init__(self, slide: ReconstructedSlide) -> None:
        self._slide = slide

    def __reduce__(self) -> tuple[Callable[..., ContainerHandle], tuple[ReconstructedSlide]]:
        return _arrived, (self._slide,)

    def __del__(self) -> None:
        self._slide.close()

    def close(self) -> None:
        """Release the file."""
        self._slide.close()

    def get_level_count(self) -> int:
        """Return the number of levels, the reconstructed one included."""
        return self._slide.level_count

    def get_level_dimensions(self, level: int) -> tuple[int, int]:
        """Return (width, height) of a level; -1 each for one that is not there."""
        return self._slide.level_dimensions[level] if 0 <= level < self._slide.level_count else (-1, -1)

    def get_level_downsample(self, level: int) -> float:
        """Return the pixels of level 0 per pixel of a level; -1 for one that is not there."""
        return self._slide.level_downsamples[level] if 0 <= level < self._slide.level_count else -1.0

    def get_best_level_for_downsample(self, downsample: float) -> int:
        """Return the coarsest level that is at least as fine as `downsample`."""
        return self._slide.get_best_level_for_downsample(downsample)

    def read_region(self, x: int, y: int, level: int, width: int, height: int) -> PILImage.Image:
        """Return an RGBA picture; x and y in pixels of level 0."""
        picture = self._slide.read_region((x, y), level, (width, height))
        picture.info.clear()  # the profile is put there by whoever asked OpenSlide for it
        return picture

    def _read_region(self, buffer: Any, x: int, y: int, level: int, width: int, height: int) -> None:
        """Fill a C array of uint32 with premultiplied ARGB, as the library itself does."""
        rgba = np.asarray(self.read_region(x, y, level, width, height)).astype(np.uint32)
        # Alpha is 255 or, where all else is 0 as well, 0: premultiplied already.
        argb = rgba[..., 3] << 24 | rgba[..., 0] << 16 | rgba[..., 1] << 8 | rgba[..., 2]
        np.frombuffer(buffer, np.uint32, argb.size)[:] = argb.ravel()

    def get_icc_profile_size(self) -> int:
        """Return the bytes of the ICC profile, 0 without one."""
        return len(self.read_icc_profile() or b"")

    def read_icc_profile(self) -> bytes | None:
        """Return the ICC profile."""
        return self._slide.decoder.container.icc_profile

    def get_error(self) -> None:
        """Return None: an error is raised when it happens, and the slide can be used further."""

    def get_property_names(self) -> list[str]:
        """Return the names of all properties."""
        return sorted(self._slide.properties)

    def get_property_value(self, name: str | bytes) -> str | None:
        """Return a property; None if there is none of that name."""
        return self._slide.properties.get(_text(name))

    def get_associated_image_names(self) -> list[str]:
        """Return the names of label, macro and thumbnail, as far as there are any."""
        return sorted(self._slide.associated_images)

    def get_associated_image_dimensions(self, name: str | bytes) -> tuple[int, int]:
        """Return (width, height) of an associated image; -1 each for one that is not there."""
        decoder = self._slide.decoder
        if _text(name) not in decoder.manifest.associated:
            return -1, -1
        size = decoder.container.associated_size(_text(name))
        return size.width, size.height

    def read_associated_image(self, name: str | bytes) -> PILImage.Image:
        """Return an associated image, RGBA."""
        return self._slide.associated_images[_text(name)]

    def get_associated_image_icc_profile_size(self, name: str | bytes) -> int:
        """Return 0: associated images have no profile of their own."""
        return 0

    def read_associated_image_icc_profile(self, name: str | bytes) -> None:
        """Return None: associated images have no profile of their own."""

    def set_cache(self, cache: Any) -> None:
        """Keep decoded pixels in as many bytes, which the containers share that it is set for.

        Does nothing for a cache that was made before the installation: OpenSlide does not tell its size.
        """
        capacity = getattr(cache, _CAPACITY, None)
        if capacity is not None:
            self._slide.decoder.cache_memory = memory_of_cache(cache, capacity)


_METHODS = [name for name in vars(ContainerHandle) if not name.startswith("__")]
"""Functions of `openslide.lowlevel` that take a handle and have a meaning for containers."""
_OTHERS = ("open", "detect_vendor", "cache_create")
"""Those that take none."""
_changing = threading.Lock()


def install_openslide(
    *,
    generator: str | Path | None = None,
    device: str = "cpu",
    models: str | Path | None = None,
    tier: Tier | None = None,
) -> None:
    """Have `openslide.OpenSlide`, `openslide.open_slide` and all that is built on them read containers too.

    For this process, the slides that are opened from now on, and processes that are forked from it; `histocodec run`
    does it for a whole program. Everything else is read as before, and names that were imported before dispatch as
    well. A slide of a container can be pickled. A container that cannot be read raises UnreadableSlide, an
    OpenSlideError. A second call changes the settings.

    generator, device, models, tier: as for Decoder. Raises SettingsError if this OpenSlide is built otherwise than any
    that is known.
    """
    with _changing:
        _settings.clear()
        _settings.update(generator=generator, device=device, models=models, tier=tier)
        if hasattr(lowlevel.open, _PLAIN):
            return
        missing = [name for name in (*_OTHERS, *_METHODS) if not hasattr(lowlevel, name)]
        if missing:
            raise SettingsError(f"openslide-python {lowlevel.get_version()} has no {', '.join(missing)} to dispatch")
        _replace("open", _opening(lowlevel.open))
        _replace("detect_vendor", _detecting(lowlevel.detect_vendor))
        _replace("cache_create", _noting(lowlevel.cache_create))
        for name in _METHODS:
            _replace(name, _dispatching(getattr(ContainerHandle, name), getattr(lowlevel, name)))


def uninstall_openslide() -> None:
    """Have OpenSlide read everything itself again. Slides of containers that are open cannot be used any more."""
    with _changing:
        for name in (*_OTHERS, *_METHODS):
            setattr(lowlevel, name, getattr(getattr(lowlevel, name), _PLAIN, getattr(lowlevel, name)))


def install_from_environment() -> None:
    """Install with the settings that the environment has for this process."""
    install_openslide(**json.loads(os.environ.get(SETTINGS_VARIABLE, "{}")))


def open_container(filename: Location) -> ReconstructedSlide:
    """Open a container with the settings that are installed, if any. Raises as Decoder."""
    return ReconstructedSlide(Decoder(filename, **_settings))


def _replace(name: str, function: Callable[..., Any]) -> None:
    plain = getattr(lowlevel, name)
    setattr(function, _PLAIN, plain)
    function.available = plain.available  # type: ignore[attr-defined]  # asked for before a function is called
    setattr(lowlevel, name, function)


def _opening(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @_as_openslide
    def open_any(filename: Any) -> Any:
        if not _may_be_ours(filename):
            return plain(filename)
        try:
            return ContainerHandle(open_container(filename))
        except NotAContainer as error:
            foreign = error
        except FileError:
            if is_url(filename):
                raise
            return plain(filename)  # which says that there is no such file, as before
        handle = plain(filename)
        if is_stored_description(lowlevel.get_property_value(handle, "tiff.ImageDescription") or ""):
            lowlevel.close(handle)  # a container too damaged to be known as one: its base must not pass for the slide
            raise foreign
        return handle

    return open_any


def _may_be_ours(filename: object) -> bool:
    """Return whether a file name is to be looked at; what is none raises what OpenSlide raises."""
    return isinstance(filename, (str, bytes, os.PathLike)) and not isinstance(filename, AsStored)


def _detecting(plain: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    def detect(filename: Any) -> str | None:
        ours = ReconstructedSlide.detect_format(filename) if _may_be_ours(filename) else None
        return ours or plain(filename)

    return detect


def _noting(plain: Callable[[int], Any]) -> Callable[[int], Any]:
    def create(capacity: int) -> Any:
        cache = plain(capacity)
        setattr(cache, _CAPACITY, capacity)
        return cache

    return create


def _dispatching(own: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    translated = _as_openslide(own)

    def dispatch(slide: Any, *arguments: Any) -> Any:
        return (translated if isinstance(slide, ContainerHandle) else plain)(slide, *arguments)

    return dispatch


def _as_openslide(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function raise what is wrong with a container as an error of OpenSlide."""

    @wraps(function)
    def translated(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OpenSlideError:
            raise
        except HistocodecError as error:
            raise UnreadableSlide(str(error)) from error

    return translated


def _arrived(slide: ReconstructedSlide) -> ContainerHandle:
    """Build a handle in a process that it was sent to, where nothing may have been installed yet."""
    if not hasattr(lowlevel.open, _PLAIN):
        install_openslide()
    return ContainerHandle(slide)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
