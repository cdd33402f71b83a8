"""The log of a run: a JSON object a line, with the time, for programs to follow."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

from ..errors import OutputError
from ..runtime.closing import Closing
from ..runtime.files import writing_errors


class Journal(Closing):
    """A log that lines are appended to; each is on disk before the run goes on."""

    def __init__(self, path: Path | None) -> None:
        """Open it; None writes nothing. Raises OutputError for a file that is something else."""
        self._path, self._file = path, None
        if path is None:
            return
        with writing_errors(path):
            if path.exists():
                if not path.is_file():
                    raise OutputError(path, "is no file, expected the name of a log to write")
                with path.open("rb") as begun:
                    if begun.read(9) not in (b"", b'{"time": '):
                        raise OutputError(path, "exists already and is no log of histocodec archive; it stays as it is")
            self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, event: str, **facts: object) -> None:
        """Write a line."""
        if self._file is None or self._path is None:
            return
        said = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        with writing_errors(self._path):
            self._file.write(json.dumps(said, ensure_ascii=True) + "\n")

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # of a line that `note` could not write, and said so
                self._file.close()
