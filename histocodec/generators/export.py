"""Packages and their model cards, written into a folder: what lies beside an archive, so that it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputExists, UnknownGenerator
from ..format.reader import Container
from ..runtime.files import atomic_output, check_output, writing_errors
from ..runtime.progress import StageProgress, silent
from .catalogue import DEFAULT_NAMES, FOLDERS, MODELS_FOLDER, shipped_paths
from .folders import SUFFIX, find_in_folders, folders_of, places
from .package import Package


@dataclass(frozen=True)
class Exportable:
    """A package with its model card."""

    package: Package
    page: bytes | None
    """Model card, Markdown; None if there is none."""

    @classmethod
    def read(cls, path: Path) -> Exportable:
        """Read a package, and the model card beside it. Raises InvalidPackage."""
        page = path.with_suffix(".md")
        return cls(Package.read(path), page.read_bytes() if page.is_file() else None)

    @property
    def files(self) -> dict[str, bytes]:
        """Contents of its files, by name. Raises InvalidPackage."""
        name = self.package.card.name
        page = {} if self.page is None else {f"{name}.md": self.page}
        return {f"{name}{SUFFIX}": self.package.data, **page}


def of_defaults() -> list[Exportable]:
    """Read what slides are encoded with unless told otherwise: generators, and the downsamplers of their bases."""
    return of_names(DEFAULT_NAMES)


def of_all() -> list[Exportable]:
    """Read everything that ships, generators and downsamplers."""
    return [Exportable.read(path) for kind in FOLDERS for path in shipped_paths(kind).values()]


def of_names(names: Sequence[str]) -> list[Exportable]:
    """Read shipped packages, each generator with the downsampler of its bases. Raises UnknownGenerator."""
    downsamplers = shipped_paths("downsampler")
    shipped = shipped_paths() | downsamplers
    found = []
    for name in names:
        if name not in shipped:
            raise UnknownGenerator(f"no package {name} ships, expected one of {', '.join(shipped)}")
        named = Exportable.read(shipped[name])
        found.append(named)
        if (own := named.package.card.downsampler) in downsamplers:
            found.append(Exportable.read(downsamplers[own]))
    return found


def of_file(path: Path, models: Path | None = None) -> Exportable | None:
    """Read the package that decoding a container takes from elsewhere; None if it holds it, or needs none.

    models: a folder to look into beside the usual ones. Raises ContainerError, UnknownGenerator.
    """
    with Container(path) as container:
        needed, folders = container.manifest.prediction.generator, folders_of(container.absolute_path, models)
    if needed.embedded or needed.digest.startswith("builtin:"):
        return None
    found = find_in_folders(needed.digest, (MODELS_FOLDER, *folders))
    if found is None:
        raise UnknownGenerator(
            f"{path} needs generator {needed.stated}, which is not among those that ship, nor in {places(folders)}"
        )
    return Exportable.read(found)


def export_packages(
    folder: Path, packages: Sequence[Exportable], *, progress: StageProgress = silent
) -> dict[Path, bool]:
    """Write packages and their model cards into a folder, which is made if the one around it is there.

    Each file is written whole or not at all, and none is replaced: one that is there with the same content stays, one
    with another content ends the export before anything is written. Returns the files in the order in which they were
    written, and whether each is new. Raises OutputExists, OutputError, InvalidPackage.
    """
    contents: dict[Path, bytes] = {}
    for package in packages:
        for name, data in package.files.items():
            path = folder / name
            if contents.setdefault(path, data) != data:
                raise OutputExists(path, "two packages of this name: export them into two folders")
    new = {path: not _is_there(path, data) for path, data in contents.items()}
    with writing_errors(folder):
        folder.mkdir(exist_ok=True)
    for path in contents:
        if new[path]:
            check_output(path, overwrite=False)
    for done, (path, data) in enumerate(contents.items(), 1):
        if new[path]:
            with atomic_output(path, overwrite=False) as file:
                file.write(data)
        progress(done, len(contents))
    return new


def _is_there(path: Path, data: bytes) -> bool:
    """Tell whether a file is there with this content. Raises OutputExists if it has another."""
    if not path.is_file():
        return False
    with writing_errors(path):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return True
    raise OutputExists(path, "exists already with another content; nothing was written")
