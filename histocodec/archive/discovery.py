"""Finds the files that a user means: by name, by pattern, and in folders, those of one slide together."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

from ..errors import MissingFile
from ..runtime.byte_source import is_url
from ..runtime.far_folder import FarFolder
from ..source import files_together, slides_among

CONTAINER = ".hc.tif"
"""The end of a container's name."""
SLIDES = (
    *(".svs", ".tif", ".tiff", ".btf", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".bif", ".svslide", ".czi", ".dcm"),
)
"""Ends of the names that are slides in a folder; a picture that states no resolution has to be asked for."""

Kind = Literal["slides", "containers"]
"""What is looked for in folders: slides, or files that histocodec wrote."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of folders and patterns are meant. Files that are named are meant in any case."""

    recursive: bool = False
    """True looks into folders within folders."""
    include: tuple[str, ...] = ()
    """Patterns of names, or of paths within the folder, one of which must fit; none: by the end of the name."""
    exclude: tuple[str, ...] = ()
    """Patterns none of which may fit; of folders, too."""

    def takes(self, place: PurePosixPath, kind: Kind) -> bool:
        """Return whether a file at a place within its folder is meant."""
        if place.name.startswith(".") or self.excludes(place):
            return False
        if self.include:
            return any(_fits(place, pattern) for pattern in self.include)
        name = place.name.lower()
        is_container = name.endswith(CONTAINER)
        return is_container if kind == "containers" else not is_container and name.endswith(SLIDES)

    def excludes(self, place: PurePosixPath) -> bool:
        """Return whether a file or folder is left out."""
        return any(_fits(place, pattern) for pattern in self.exclude)


@dataclass(frozen=True, slots=True)
class Found:
    """A slide, or a file that histocodec wrote."""

    location: Path | str
    """The file to open; a text if it is a URL."""
    place: PurePosixPath
    """Its path within the folder that it was found in; of a file that was named, its name."""
    files: tuple[Path, ...]
    """All files that belong to it, that one first; none of a URL."""

    def output(self, folder: Path, end: str) -> Path:
        """Return the same place in another folder, with another end of the name."""
        # What is no slide because it is a container already gets a name of its own, and is refused where it is opened.
        bare = bare_name(self.place) if end != CONTAINER else self.place.name.removesuffix(self.place.suffix)
        return folder.joinpath(*self.place.parent.parts, bare + end)

    @property
    def elsewhere(self) -> Path | str:
        """What another process opens it by: its path from the root, or its URL."""
        return self.location if isinstance(self.location, str) else self.location.absolute()

    @property
    def beside(self) -> Path:
        """The folder that it lies in."""
        return Path(self.location).parent


def bare_name(path: PurePath) -> str:
    """Return a file's name without its end, `.hc.tif` being one.

    Examples:
        >>> bare_name(PurePosixPath("a/case.1.hc.tif")), bare_name(PurePosixPath("a/case.1.svs"))
        ('case.1', 'case.1')
    """
    if path.name.lower().endswith(CONTAINER):
        return path.name[: -len(CONTAINER)]
    return path.name.removesuffix(path.suffix)


def is_one_file(sources: Iterable[str | Path]) -> bool:
    """Return whether a single file or URL is named: no folder, and no pattern."""
    named = list(sources)
    if len(named) == 1 and is_url(named[0]):
        return not str(named[0]).endswith("/")
    return len(named) == 1 and not (Path(named[0]).is_dir() or _is_pattern(str(named[0])))


def find(sources: Iterable[str | Path], kind: Kind, selection: Selection) -> Iterator[Found]:
    """Yield what is meant by files, URLs, patterns and folders, in their order and sorted within.

    A file that is named is taken whatever its name ends in, and need not be there. One that is meant twice comes twice:
    nothing is remembered here, so that memory does not grow with what is found. Raises MissingFile for a folder or
    pattern that has nothing of the kind.
    """
    for source in sources:
        count = 0
        for count, found in enumerate(_found(source, kind, selection), 1):  # noqa: B007
            yield found
        if not count:
            what = "slides" if kind == "slides" else "files that histocodec wrote (.hc.tif)"
            hint = "" if selection.recursive else "; --recursive looks into the folders within"
            raise MissingFile(source, f"expected {what}, found none{hint}")


def _found(source: str | Path, kind: Kind, selection: Selection) -> Iterator[Found]:
    if is_url(source):
        yield from _on_server(str(source), kind, selection)
        return
    together: Callable[[Path], tuple[Path, ...]] = files_together if kind == "slides" else lambda path: (path,)
    path = Path(source)
    if path.is_dir():
        yield from _in_folder(path, path, kind, selection)
    elif _is_pattern(str(source)):
        for name in sorted(glob.glob(str(source), recursive=selection.recursive)):  # noqa: PTH207 (of a whole path)
            each = Path(name)
            if each.is_dir():
                yield from _in_folder(each, each.parent, kind, selection)
            elif selection.takes(PurePosixPath(each.name), kind) and not _is_data_of_a_set(each):
                yield Found(each, PurePosixPath(each.name), together(each))
    else:
        yield Found(path, PurePosixPath(path.name), together(path) if path.exists() else (path,))


def _on_server(url: str, kind: Kind, selection: Selection) -> Iterator[Found]:
    """Yield a URL, or what is in the folder that it leads to if it ends with a slash. Raises FileError."""
    if not url.endswith("/"):
        yield Found(url, PurePosixPath(PurePosixPath(url).name), ())
        return
    folder = FarFolder(url)
    for file in folder.files(recursive=selection.recursive):
        within = [*file.place.parents][:-1]
        if selection.takes(file.place, kind) and not any(map(selection.excludes, within)):
            yield Found(folder.where(file.place), file.place, ())


def _in_folder(folder: Path, root: Path, kind: Kind, selection: Selection) -> Iterator[Found]:
    """Yield what a folder has; places are counted from `root`. Links to folders are not followed: they may go round."""
    files: list[Path] = []
    folders: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            place = PurePosixPath(path.relative_to(root).as_posix())
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and not selection.excludes(place):
                    folders.append(path)
            elif entry.is_file() and selection.takes(place, kind):
                files.append(path)
    sets = slides_among(sorted(files)) if kind == "slides" else ((file,) for file in sorted(files))
    for together in sets:
        yield Found(together[0], PurePosixPath(together[0].relative_to(root).as_posix()), together)
    if selection.recursive:
        of_slides = {file.with_suffix("") for file in files if file.suffix.lower() == ".mrxs"}
        for inner in sorted(folders):
            if inner not in of_slides:
                yield from _in_folder(inner, root, kind, selection)


def _is_data_of_a_set(path: Path) -> bool:
    """Return whether a file lies in the folder that an MRXS slide has beside it."""
    return path.parent.with_name(f"{path.parent.name}.mrxs").is_file()


def _is_pattern(text: str) -> bool:
    """Return whether a text is a pattern, and not the name of a file that has such characters."""
    return glob.has_magic(text) and not Path(text).exists()


def _fits(place: PurePosixPath, pattern: str) -> bool:
    return fnmatch(place.name, pattern) or fnmatch(str(place), pattern)
