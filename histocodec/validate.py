"""validate(): every problem of a file, each with its code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .container import Container
from .decode import Decoder
from .errors import ContainerError, CorruptContainer, GeneratorError, Problem, UnknownGenerator


def validate(
    path: str | Path, *, deep: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Problem]:
    """The problems of a file; none for a good one. Codes as `container.PROBLEM_CODES` and the specification list them.

    Checks the structure and the manifest, every checksum, and that the generator is at hand and is the one that is
    named. deep: decodes every stored tile and image as well. A structure that cannot be followed ends the search, since
    nothing behind it can be found.
    """
    try:
        container = Container(path)
    except ContainerError as error:
        return list(error.problems)
    problems: list[Problem] = []
    with container:
        total = sum(grid.count for grid in container.grids)
        done = 0
        for level, grid in enumerate(container.grids):
            for index in range(grid.count):
                try:
                    if deep:
                        container.decoded_tile(level, index)
                    else:
                        container.tile(level, index)
                except CorruptContainer as error:
                    problems += error.problems
                done += 1
                progress(done, total)
        for name in container.manifest.associated:
            try:
                if deep:
                    container.associated_image(name)
                else:
                    container.associated_jpeg(name)
            except CorruptContainer as error:
                problems += error.problems
    with Decoder(path) as decoder:
        try:
            decoder.generator  # noqa: B018  (loading it is the check)
        except CorruptContainer as error:
            problems += error.problems
        except GeneratorError as error:
            code = "generator-unknown" if isinstance(error, UnknownGenerator) else "generator-damaged"
            problems.append(Problem(code, "prediction.generator", str(error)))
    return problems
