"""Writers of formats, a module each: `write(levels, out)` turns levels of tiles into a file, or a folder."""
