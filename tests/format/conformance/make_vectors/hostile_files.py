"""A collection of hostile files, and the changes that make them from valid ones."""

from __future__ import annotations

from tests.format.conformance.make_vectors.editing import (
    ChainChange,
    Collection,
    ManifestChange,
    change_manifest,
    recompute_checksums,
    replaced,
)
from tests.format.conformance.make_vectors.recipes import (
    SMALLEST,
)
from tests.format.conformance.surgery import (
    UNDEFINED,
    directory_offsets,
    entries,
    put_together,
    take_apart,
)


class HostileFiles(Collection):
    """Hostile files, each made from a valid one with one thing wrong: from the smallest unless another is given."""

    def __init__(self, valid: dict[str, bytes]) -> None:
        super().__init__()
        self.valid = valid
        self.sound, self.bare = valid[SMALLEST], valid["jp2k-x4-1025x3"]
        self.embedded, self.av1 = valid["jp2k-x4-embedded"], valid["av1-x4-colour"]

    def rebuilt(self, change: ChainChange, *, sums: bool = False, source: bytes | None = None) -> bytes:
        """Return a file with its directories changed; sums: and checksums of what they then hold."""
        directories = take_apart(self.sound if source is None else source)
        change(directories)
        if sums:
            recompute_checksums(directories)
            change_manifest(directories, lambda manifest: None)
        return put_together(directories)

    def patched(self, tag: int, value: bytes, *, at: int = 0, directory: int = 0) -> bytes:
        """Return the file with bytes of the value of a tag of a directory of the main chain replaced in place."""
        _, place, _ = entries(self.sound, directory_offsets(self.sound)[directory])[tag]
        return replaced(self.sound, place + at, value)

    def flipped(self, tag: int, *, at: int = 0, source: bytes | None = None) -> bytes:
        """Return a file with a bit of the value of a tag of the first directory flipped."""
        source = self.sound if source is None else source
        _, place, size = entries(source, directory_offsets(source)[0])[tag]
        return replaced(source, place + at % size, bytes([source[place + at % size] ^ 1]))

    def manifest(
        self,
        name: str,
        how: str,
        change: ManifestChange,
        code: str = "manifest-invalid",
        source: bytes | None = None,
    ) -> None:
        """Add a file with a changed manifest: one without layers unless another is given."""
        source = self.bare if source is None else source
        self.add(code, name, self.rebuilt(lambda d: change_manifest(d, change), source=source), how)

    def set_tag(self, directory: int, tag: int, kind: int, *values: int) -> bytes:
        """Return the file with other numbers in a tag."""
        return self.rebuilt(lambda directories: directories[directory].set(tag, kind, *values))

    def with_tag(self, tag: int, data: bytes, source: bytes | None = None) -> bytes:
        """Return a file with other bytes in a tag of the first directory."""
        return self.rebuilt(lambda directories: directories[0].tags.__setitem__(tag, (UNDEFINED, data)), source=source)

    def drop_tag(self, tag: int) -> bytes:
        """Return the file without a tag of the first directory."""
        return self.rebuilt(lambda directories: directories[0].tags.__delitem__(tag))

    def with_piece(self, directory: int, index: int, data: bytes) -> bytes:
        """Return the file with a tile or strip replaced, and its checksum with it."""
        return self.rebuilt(lambda d: d[directory].pieces.__setitem__(index, data), sums=True)
