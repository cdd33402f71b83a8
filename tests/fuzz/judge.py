"""What must hold of every container, sound or not: it is refused by an error of the tree, or it is read as it stands.

Nothing is believed of the file under test but its bytes. What was once decoded is remembered by all that it depends on:
where a changed file holds the same tile, or predicts a block from the same pixels by the same network, it must be the
same again.
"""

from __future__ import annotations

import io
import json
import zlib
from typing import Any

import numpy as np

from histocodec.cli.info import container_info, render
from histocodec.decoder import Decoder
from histocodec.errors import ContainerError, CorruptContainer, GeneratorError, HistocodecError, SettingsError
from histocodec.format.restoration import check_restored
from histocodec.geometry import Region
from histocodec.pixels.residual import Mode
from histocodec.validation import validate
from histocodec.viewer.facts import facts_of, quality_of, regions_of
from histocodec.viewer.shown import Shown
from tests.format.conformance.surgery import MANIFEST, Directory, take_apart
from tests.fuzz.anatomy import unframed
from tests.fuzz.harness import Wrong, said

MOST_BLOCKS, MOST_TILES = 8, 24
"""Blocks and tiles that are decoded of one file."""
_GENERATOR_CODES = {"generator-unknown", "generator-damaged"}


class Judge:
    """Reads containers, and remembers what it saw."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[Any, ...], int] = {}
        self._blocks: dict[tuple[Any, ...], int] = {}

    def judge(self, data: bytes) -> str:
        """Read a file: most of them block by block, some also against what validation says of them. Raises Wrong."""
        try:
            decoder = Decoder(io.BytesIO(data))
        except HistocodecError as error:
            outcome = said(error)
            if isinstance(error, ContainerError) and {p.code for p in validate(io.BytesIO(data))} != {
                p.code for p in error.problems
            }:
                raise Wrong("validate finds other problems than opening") from error
            return outcome
        with decoder:
            self._stands_as_stored(decoder, data)
            chance = zlib.crc32(data) % 8
            found = self._read(decoder, blocks=chance < 5)
            if chance < 2 and self._is_small(decoder):
                self._agrees(found, data)
            if chance in (2, 3):
                found |= self._facts(data, decoder)
        return "opened " + " ".join(sorted(found))[:100]

    @staticmethod
    def _is_small(decoder: Decoder) -> bool:
        tiles = sum(grid.count for grid in decoder.container.grids)
        return tiles <= MOST_TILES and decoder._blocks.count <= MOST_BLOCKS

    # -------------------------------------------------------------------------------------------------- stored bytes

    def _stands_as_stored(self, decoder: Decoder, data: bytes) -> None:
        """Compare what the reader takes for manifest and tiles with what another one finds in the directories."""
        try:
            chain = take_apart(data)
            manifest = unframed(chain[0].tags[MANIFEST][1])
        except Exception:  # that one reads sound files alone
            return
        container = decoder.container
        if manifest != container.manifest_json:
            raise Wrong("another manifest than the one that is stored")
        for level, directory in enumerate(_levels(chain, json.loads(manifest))):
            if len(directory.pieces) != container.grids[level].count:
                raise Wrong("other tiles than those that are stored")
            for index in {0, len(directory.pieces) // 2, len(directory.pieces) - 1}:
                try:
                    found = container.tile(level, index)
                except CorruptContainer:
                    continue
                if found != directory.pieces[index]:
                    raise Wrong("another tile than the one that is stored")

    # --------------------------------------------------------------------------------------------------------- pixels

    def _read(self, decoder: Decoder, *, blocks: bool) -> set[str]:
        """Read all of a small file, parts of a large one; return what was said, by code."""
        container, manifest, found = decoder.container, decoder.manifest, set[str]()
        base = manifest.base
        for level, grid in enumerate(container.grids):
            for index in _some(grid.count, MOST_TILES):
                try:
                    tile = container.decoded_tile(level, index)
                except CorruptContainer as error:
                    found.add(_code(error))
                    continue
                colour = base.colour if level == 0 else None
                key = (base.level_codecs[level], colour, base.tile, container.tile(level, index))
                self._same(self._tiles, key, tile, "a tile")
                part = grid.covered(*grid.address(index))
                read = decoder.read(part, level + 1)
                if not np.array_equal(read, tile[: part.height, : part.width]):
                    raise Wrong("a level that is not made of its tiles")
        if blocks:
            for index in _some(decoder._blocks.count, MOST_BLOCKS):
                found |= self._read_block(decoder, index)
        for name in manifest.associated:
            try:
                image = container.associated_image(name)
            except CorruptContainer as error:
                found.add(_code(error))
            else:
                self._same(self._tiles, ("associated", container.associated_jpeg(name)), image, "an associated image")
        found |= self._read_original(decoder)
        try:
            container.regions()
        except CorruptContainer as error:
            found.add(_code(error))
        return found

    def _read_block(self, decoder: Decoder, index: int) -> set[str]:
        grid, layer = decoder._full.grid, decoder.container.enhancement
        column, row = grid.address(index)
        place = grid.covered(column, row)
        try:
            block = decoder.read(place)
        except GeneratorError as error:
            said(error)
            return {"generator"}
        except CorruptContainer as error:
            return {_code(error)}
        manifest = decoder.manifest
        scale, side = manifest.base.scale, manifest.prediction.block
        is_tissue = bool(decoder.container.tissue_map[row, column])
        mode = Mode.ABSENT if layer is None else Mode(int(layer.modes[index]))
        key: tuple[Any, ...] = (scale, side, mode, place.width, place.height)
        if layer is not None and mode is not Mode.ABSENT:
            key += (layer.coder.codec, layer.coder.colour, layer.tile(index))
        if mode is not Mode.NATIVE:
            halo = manifest.prediction.generator.halo if is_tissue else 2
            seen = Region(column * side, row * side, side, side).grown(halo)
            size = decoder.levels[1]
            inside = seen.clipped(size)
            assert inside is not None
            edges = (inside.x - seen.x, inside.y - seen.y, seen.right - inside.right, seen.bottom - inside.bottom)
            digest = manifest.prediction.generator.digest if is_tissue else "bicubic"
            key += (digest, edges, decoder.read(inside, 1).tobytes())
        self._same(self._blocks, key, block, "a block")
        return set()

    def _same(self, known: dict[tuple[Any, ...], int], key: tuple[Any, ...], image: Any, what: str) -> None:
        """Compare an image with what came of the same before. Raises Wrong."""
        checksum = zlib.crc32(np.ascontiguousarray(image).data)
        if len(known) > 4000:  # the first are those of the sound files
            for late in list(known)[2000:]:
                del known[late]
        digest = tuple(zlib.crc32(part) if isinstance(part, bytes) else part for part in key)
        if known.setdefault(digest, checksum) != checksum:
            raise Wrong(f"{what} of other pixels than the same bytes gave before")

    def _read_original(self, decoder: Decoder) -> set[str]:
        container = decoder.container
        try:
            original = container.original
            if original is None:
                return set()
            for index in _some(len(original.tile_numbers), 8):
                container.original_tile(index)
            check_restored(container, workers=1)
        except (CorruptContainer, SettingsError) as error:
            said(error)
            return {getattr(error, "code", "no original")}
        return {"restored"}

    # ------------------------------------------------------------------------------------------------------ agreement

    def _agrees(self, found: set[str], data: bytes) -> None:
        """Compare what reading met with what validation says. Raises Wrong."""
        problems = {problem.code for problem in validate(io.BytesIO(data), deep=True)}
        met = {code for code in found if "-" in code}
        quiet = {"base-mismatch"}  # said by a warning
        if "generator" in found and not problems & _GENERATOR_CODES:
            raise Wrong("validation is content with a generator that nothing can be predicted with")
        if missed := met - problems - _GENERATOR_CODES:
            raise Wrong(f"validation says nothing of {sorted(missed)}")
        if problems and not found - {"restored"} and (unmet := problems - quiet - _GENERATOR_CODES):
            raise Wrong(f"all could be read of a file with {sorted(unmet)}")

    def _facts(self, data: bytes, decoder: Decoder) -> set[str]:
        """Have all said that programs and the viewer say of a file."""
        container = decoder.container
        found = set[str]()
        try:
            text = render(container_info(container))
        except CorruptContainer as error:
            found.add(_code(error))
        else:
            if any(ord(character) < 32 and character != "\n" for character in text):
                raise Wrong("control characters of a file in what is printed")
        with Shown(io.BytesIO(data)) as shown:
            for tell in (facts_of, quality_of, regions_of):
                try:
                    json.dumps(tell(shown), allow_nan=False).encode()
                except CorruptContainer as error:
                    found.add(_code(error))
            region = Region(0, 0, 16, 16).clipped(shown.zoom.size)
            assert region is not None
            for way in shown.decoders:
                try:
                    shown.coded(way, shown.zoom.finest, region, "jpeg", 80)
                except (CorruptContainer, GeneratorError) as error:
                    said(error)
        return found


def _levels(chain: list[Directory], manifest: dict[str, Any]) -> list[Directory]:
    """Return the directories of the levels as section 2.2 of the specification arranges them."""
    early = min(1, len(manifest["associated"]))
    late = len(manifest["associated"]) - early
    levels = [chain[0], *chain[1 + early : len(chain) - late]]
    subifd = manifest["base"].get("subifd")
    return levels if subifd is None else [chain[0].subdirectories[subifd], *levels]


def _code(error: CorruptContainer) -> str:
    said(error)
    return error.code


def _some(count: int, most: int) -> list[int]:
    """Return all of so many positions, or the first, the last and some between."""
    return list(range(count)) if count <= most else sorted({0, 1, count // 3, count // 2, count - 2, count - 1})
