"""The SHA-256 of a file, read in pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import file_error
from .progress import StageProgress, silent

_CHUNK_BYTES = 1 << 20


def sha256_of(path: str | Path, progress: StageProgress = silent) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises FileError."""
    try:
        with Path(path).open("rb") as file:
            digest, done, total = hashlib.sha256(), 0, Path(path).stat().st_size
            while data := file.read(_CHUNK_BYTES):
                digest.update(data)
                done += len(data)
                progress(done, total)
    except OSError as error:
        raise file_error(path, error) from error
    return digest.hexdigest()
