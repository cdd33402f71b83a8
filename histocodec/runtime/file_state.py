"""What a file is at a moment, without reading it: by this it is seen that somebody has written to it since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of a file. Two that are equal are of the same bytes, as far as an operating system can tell."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    """Time at which bytes, name, links or rights changed, which nobody can set; on Windows, that of creation."""
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Look at a file. Raises OSError."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def is_written_over(self, before: FileState) -> bool:
        """Tell whether bytes were written since `before`; False leaves open that another file has the name."""
        return (self.size_bytes, self.modified_ns) != (before.size_bytes, before.modified_ns)
