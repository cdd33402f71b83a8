"""Writes docs/licences.md: every package that an install brings, and its licence, from what is installed here.

    python docs/licences.py

Run it in an environment with all extras (`pip install -c constraints.txt -e '.[dev]'`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

USERS = ("train", "remote", "mount", "export", "viewer", "cluster")
"""Extras that users install; the others are for development."""

PERMISSIVE = frozenset(
    {
        *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-1-Clause", "BSD-2-Clause"),
        *("BSD-3-Clause", "BSD-4.3TAHOE", "BSL-1.0", "CC0-1.0", "IJG", "ISC", "LicenseRef-Public-Domain", "MIT"),
        *("MIT-0", "MIT-CMU", "PSF-2.0", "Zlib", "blessing", "libpng-2.0", "libtiff"),
    }
)
"""Permit any use, with their notice."""
SHARED_LIBRARIES = frozenset({"LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "MPL-1.1", "MPL-2.0"})
"""Permit any use of a library as it is; who changes the library itself gives that change on."""
EXPECTED = PERMISSIVE | SHARED_LIBRARIES

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX names of what older packages say."""
_READ = {"pylibtiff": "BSD-3-Clause"}
"""Licences that the metadata only links to, read in the package's own file of it."""


def name_of(requirement: str) -> str:
    """Return the name of a distribution as registries compare it."""
    return re.sub(r"[-_.]+", "-", requirement).lower()


def licence_of(package: Distribution) -> str:
    """Return what a package states, as SPDX has it; raises ValueError if it states nothing that is known."""
    said, name = package.metadata, name_of(package.metadata["Name"])
    if "License-Expression" in said:
        return str(said["License-Expression"])
    kinds = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    stated = str((said.get_all("License") or [""])[0])
    short = stated.replace("BSD 2-Clause License", "BSD-2-Clause")
    if short in EXPECTED:  # more exact than a classifier
        return short
    known = [_CLASSIFIERS[kind] for kind in kinds if kind in _CLASSIFIERS]
    if known:
        return " OR ".join(known)
    if name in _READ:
        return _READ[name]
    raise ValueError(f"{name} states no licence that is known here: {kinds}, {short[:80]!r}")


def alternatives(licence: str) -> list[list[str]]:
    """Return the licences of an SPDX expression: all of the outer list, of each inner one any."""
    parts = re.split(r" AND (?![^(]*\))", licence)
    return [part.strip("()").split(" OR ") for part in parts]


def is_expected(licence: str) -> bool:
    """Return whether nothing in an SPDX expression asks for more than is listed here."""
    return all(EXPECTED.intersection(choice) for choice in alternatives(licence))


def needed(requirements: Iterable[str], extras: Iterable[str] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and extras of what a list of requirements asks for on this machine."""
    environments = [{"extra": extra} for extra in ("", *extras)]
    for line in requirements:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate(environment) for environment in environments):
            yield name_of(requirement.name), tuple(sorted(requirement.extras))


def direct(extra: str | None = None) -> list[str]:
    """Return the names of what pyproject.toml asks for, always or with an extra."""
    asked = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    return sorted({name for name, _ in needed(asked)} - {"histocodec"})


def brought(extras: Iterable[str]) -> set[str]:
    """Return the names of all that an install with some extras brings, what its packages need included."""
    asked = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    waiting, seen = list(needed(asked)), set[tuple[str, tuple[str, ...]]]()
    while waiting:
        name, chosen = waiting.pop()
        if (name, chosen) in seen or name == "histocodec":
            continue
        seen.add((name, chosen))
        try:
            waiting += needed(distribution(name).requires or [], chosen)
        except PackageNotFoundError:  # of an extra that another platform has
            continue
    return {name for name, _ in seen}


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    lines += ["## What histocodec asks for", "", "| package | for | licence |", "|---|---|---|"]
    shown = set[str]()
    for extra in (None, *USERS):
        for name in direct(extra):
            if name not in shown:
                shown.add(name)
                purpose = "always" if extra is None else f"`{extra}`"
                lines.append(f"| {name} | {purpose} | {licence_of(distribution(name))} |")
    lines += ["", "## What these bring", "", "| package | licence |", "|---|---|"]
    for name in sorted(brought(USERS) - shown):
        lines.append(f"| {name} | {licence_of(distribution(name))} |")
    lines += ["", "## For development", "", "| package | for | licence |", "|---|---|---|"]
    for extra in ("test", "lint", "docs", "dev"):
        for name in direct(extra):
            if name not in shown:
                shown.add(name)
                lines.append(f"| {name} | `{extra}` | {licence_of(distribution(name))} |")
    return "\n".join([*lines, TAIL])


HEAD = """# Licences

The code is Apache-2.0; weights and the viewer's OpenSeadragon have [licences of their own](weights.md), which the wheel
carries. Below is what an install brings beside it, as the packages themselves state it. This page is made by `python
docs/licences.py`; a test holds that every dependency is on it, and that none has a licence of another kind than these:

- **Permissive** (BSD, MIT, Apache-2.0, PSF, ISC and their like): any use, with their notice.
- **Of shared libraries** (LGPL of OpenSlide and libvips, MPL): any use of the library as it is; it is loaded, not
  changed, and can be replaced by another build.

None is under the GPL or the AGPL alone, and none forbids commercial use.
"""

TAIL = """
## Within the wheels

Some wheels hold libraries that are not Python's: imagecodecs (OpenJPEG, dav1d, libaom, libavif, libjpeg-turbo, libjxl
and others), openslide-bin and pyvips-binary (libtiff, GLib, cairo and others), OpenVINO (oneTBB, oneDNN). Their
licences lie in each wheel's `.dist-info/licenses`, or in a folder beside the library; openslide-bin states them above.
The system brings FUSE (`mount`), and what tests use: nginx, Chromium, dicom3tools.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
