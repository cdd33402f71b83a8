"""SHA-256 of files, in lists that `sha256sum` writes and checks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingsError
from ..runtime.digest import sha256_of

_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)", re.DOTALL)


_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a list."""

    digest: str
    """SHA-256 in hexadecimal, small letters."""
    name: str


def combined(digests: Sequence[str]) -> str | None:
    """Return what stands for a set of files: of one its digest, of several the digest of theirs in order; None of none.

    Examples:
        >>> combined(["ab"])
        'ab'
        >>> combined(["ab", "cd"])[:12]
        '5141648ccbe9'
    """
    if len(digests) < 2:
        return digests[0] if digests else None
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def written(line: Line) -> str:
    r"""Return a line as `sha256sum` writes it: a name with a line break or a backslash is escaped.

    Examples:
        >>> written(Line("0" * 64, "a.hc.tif"))[60:]
        '0000  a.hc.tif'
        >>> written(Line("0" * 64, "a\nb"))[61:]
        '0000  a\\nb'
    """
    escaped = line.name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != line.name else ""
    return f"{mark}{line.digest}  {escaped}"


def parsed(text: str, name: str = "manifest") -> Iterator[Line]:
    """Yield the lines of a list. name: for messages. Raises SettingsError for what is no such list."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.removesuffix("\r"))
        if found is None:
            raise SettingsError(f"{name}: line {number}: expected a SHA-256 and a name, as sha256sum writes them")
        meant = found["name"]
        if found["escaped"]:
            meant = re.sub(r"\\[\\nr]", lambda match: _ESCAPES[match[0]], meant)
        yield Line(found["digest"].lower(), meant)


def differing(lines: Iterable[Line], folder: Path) -> Iterator[tuple[Line, str | None]]:
    """Yield each line with what is wrong with its file; None if it is the same. Names are counted from `folder`."""
    for line in lines:
        try:
            same = sha256_of(folder / line.name) == line.digest
            yield line, None if same else "FAILED"
        except OSError as error:
            yield line, f"FAILED to read: {error}"
