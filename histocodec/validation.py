"""Every problem of a file, each with its code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from .decoder import Decoder
from .errors import ContainerError, CorruptContainer, GeneratorError, Problem, UnknownGenerator
from .format.original import StoredOriginal
from .format.reader import Container
from .format.restoration import check_restored
from .pixels.residual import Mode
from .runtime.byte_source import Location
from .runtime.parallel import ordered_map
from .runtime.progress import StageProgress, silent


def validate(
    location: Location,
    *,
    deep: bool = False,
    models: str | Path | None = None,
    sandbox: bool = False,
    progress: StageProgress = silent,
) -> list[Problem]:
    """Return the problems of a file; none for a good one. Their codes are those of `format.tags.PROBLEM_CODES`.

    Checks the structure and the manifest, every checksum, and that the generator is at hand and is the one that is
    named. deep: decodes every stored tile and image as well, to see whether the base has the pixels that it had at the
    encoder; predicts each block that has a residual, to see whether it is what the encoder predicted; restores the
    original, and decodes its tiles. models: a folder of packages, and sandbox, as for Decoder. A structure that cannot
    be followed ends the search, since nothing behind it can be found.
    """
    try:
        decoder = Decoder(location, models=models, sandbox=sandbox)
    except ContainerError as error:
        return list(error.problems)
    with decoder:
        container = decoder.container

        layer = container.enhancement
        original, problems = None, list[Problem]()
        try:
            original = container.original
        except CorruptContainer as error:
            problems += error.problems

        def check(piece: tuple[int, int] | int | str) -> Sequence[Problem]:
            """Check a tile by level and index, one of the enhancement layer by index, an associated image by name."""
            try:
                if isinstance(piece, int):
                    _check_enhancement(decoder, piece, deep=deep)
                elif isinstance(piece, str):
                    (container.associated_image if deep else container.associated_jpeg)(piece)
                else:
                    (container.decoded_tile if deep else container.tile)(*piece)
            except CorruptContainer as error:
                return error.problems
            return ()

        def check_segment(index: int) -> Sequence[Problem]:
            """Check a segment of the original."""
            try:
                container.stored_segment(index)
            except CorruptContainer as error:
                return error.problems
            return ()

        tiles = ((level, index) for level, grid in enumerate(container.grids) for index in range(grid.count))
        total = sum(grid.count for grid in container.grids) + len(container.manifest.associated)
        corrected = np.flatnonzero(layer.modes).tolist() if layer else []
        total += len(corrected)
        segments = range(0 if original is None else original.count)
        total += len(segments)
        pieces: Iterator[tuple[int, int] | int | str] = chain(tiles, corrected, container.manifest.associated)
        for done, found in enumerate(ordered_map(check, pieces, workers=decoder.threads), 1):
            problems += found
            progress(done, total)
        if count := len(container.differing_tiles):
            sentence = (
                f"{count} of {container.grids[0].count} tiles have other pixels here than they had at the encoder"
            )
            problems.append(Problem("base-mismatch", "level 0", sentence))
        for done, found in enumerate(
            ordered_map(check_segment, segments, workers=decoder.threads), total - len(segments)
        ):
            problems += found
            progress(done + 1, total)
        if deep and original is not None and not any(problem.code == "original-damaged" for problem in problems):
            problems += _restoring(container, decoder.threads) or _showing(container, original, decoder.threads)
        try:
            container.regions()
        except CorruptContainer as error:
            problems += error.problems
        try:
            decoder.generator  # noqa: B018  (loading it is the check)
        except CorruptContainer as error:
            problems += error.problems
        except GeneratorError as error:
            code = "generator-unknown" if isinstance(error, UnknownGenerator) else "generator-damaged"
            problems.append(Problem(code, "prediction.generator", str(error)))
    return problems


def _restoring(container: Container, workers: int) -> Sequence[Problem]:
    """Restore the original without keeping it; return what is wrong with it."""
    try:
        check_restored(container, workers=workers)
    except CorruptContainer as error:
        return error.problems
    return ()


def _showing(container: Container, original: StoredOriginal, workers: int) -> Sequence[Problem]:
    """Decode the tiles of an original, if they can be shown; each that is stored once."""
    _, firsts = np.unique(original.tile_numbers, return_index=True)

    def check(index: int) -> Sequence[Problem]:
        try:
            container.original_tile(index)
        except CorruptContainer as error:
            return error.problems
        return ()

    return [problem for found in ordered_map(check, firsts.tolist(), workers=workers) for problem in found]


def _check_enhancement(decoder: Decoder, index: int, *, deep: bool) -> None:
    """Raise CorruptContainer for a tile of the enhancement layer that cannot be used."""
    layer = decoder.container.enhancement
    assert layer is not None
    if not deep:
        decoder.container.enhancement_tile(index)
    elif layer.modes[index] == Mode.NATIVE:
        decoder.container.decoded_enhancement_tile(index)
    else:
        try:
            decoder.read(layer.grid.covered(*layer.grid.address(index)), keep=False)
        except GeneratorError:  # is reported once, for the whole file
            decoder.container.decoded_enhancement_tile(index)
