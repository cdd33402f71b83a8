"""The specification of container v1 and the code say the same: tables, limits, schema, and the worked example."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
import zlib
from collections.abc import Iterator
from typing import Any

import jsonschema
import numpy as np
import pytest
import zstandard

from histocodec.decoder import Decoder
from histocodec.format import bigtiff, strict_json, tags
from histocodec.format.manifest import Manifest, ManifestError
from histocodec.format.quality import _OFFSETS, _STEPS
from histocodec.generators import integer_net, self_test
from histocodec.generators.bicubic import _cubic_weights
from histocodec.generators.package import PackageCard
from histocodec.geometry import Region
from histocodec.pixels import jpeg_2000, jpeg_xl, tile_codecs
from histocodec.pixels.residual import Mode
from histocodec.pixels.tile_codecs import TILE_CODECS
from tests.format.conformance.make_vectors.networks import random_net
from tests.format.conformance.make_vectors.recipes import SMALLEST
from tests.format.conformance.make_vectors.writing import VECTORS
from tests.format.conformance.surgery import CHECKSUMS, MANIFEST, take_apart

SPEC = (VECTORS.parent / "spec.md").read_text("utf-8")
SCHEMA = json.loads((VECTORS.parent / "manifest.schema.json").read_text("utf-8"))
ALL_LAYERS = "jp2k-x4-bounded"
DOWNSAMPLING = "jp2k-x4-downsampling"
DAMAGED = "jp2k-x4-damaged"
GENERATION = "jp2k-x4-generation"
ORIGINAL = "jp2k-x4-original"
ORIGINAL_SET = "av1-x2-original-set"
EXAMPLE = VECTORS / "valid" / f"{SMALLEST}.hc.tif"


def section(number: str) -> str:
    """The text of a section, without its heading."""
    level = number.count(".") + 2
    found = re.search(
        rf"^{'#' * level} {re.escape(number)}\.? .*?\n(.*?)(?=^{'#' * level} |^## |\Z)", SPEC, re.MULTILINE | re.DOTALL
    )
    assert found, number
    return found[1]


def table(text: str, column: str) -> list[list[str]]:
    """The rows of the table whose first column is headed so."""
    found = re.search(rf"^\| {re.escape(column)} \|.*?\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, column
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in found[1].splitlines()]


def code(cell: str) -> str:
    """A cell that is one piece of code."""
    found = re.fullmatch(r"`(.*)`", cell)
    assert found, cell
    return found[1]


# ------------------------------------------------------------------------------------------------------------ tables


def test_problem_codes() -> None:
    assert {code(name): meaning for name, meaning, _ in table(section("8"), "code")} == tags.PROBLEM_CODES


def test_every_way_to_extend_the_format_has_its_vectors() -> None:
    """Section 12.2: what a reader does that does not know an addition. The vectors' own tests hold readers to it."""
    invalid = json.loads((VECTORS / "invalid/index.json").read_text("utf-8"))["files"]
    rows = table(section("12.2"), "addition")
    for addition, _, reader, cell in rows:
        for name in re.findall(r"`([\w/-]+)`", cell):
            assert (VECTORS / f"{name}.hc.tif").is_file(), addition
            if name.startswith("valid/"):
                assert reader == "MUST pass over it"
            else:
                codes = invalid[f"{name.removeprefix('invalid/')}.hc.tif"]["codes"]
                assert codes == re.findall(r"`([a-z-]+)`", reader), addition
    assert [row[0] for row in rows if not row[3]] == ["a problem code"]


def test_the_reader_in_pseudocode_names_every_code_and_only_keys_that_exist() -> None:
    text = section("14")
    assert [code for code in tags.PROBLEM_CODES if code not in text] == []
    assert set(re.findall(r"\bm\.([\w.]*\w)", text)) <= {*keys(Manifest), "prediction.generator"}


def keys(kind: Any, place: str = "") -> Iterator[str]:
    """`slide.size`, `base.levels[].size` ... of a dataclass."""
    for item, hint in ((item, typing.get_type_hints(kind)[item.name]) for item in dataclasses.fields(kind)):
        name = f"{place}{item.name}"
        inner = [hint, *typing.get_args(hint)]
        parts = next((part for part in inner if dataclasses.is_dataclass(part)), None)
        if parts is None:
            yield name
        elif typing.get_origin(hint) is tuple:
            yield name
            yield from keys(parts, f"{name}[].")
        else:
            if len(inner) > 1:  # or None
                yield name
            yield from keys(parts, f"{name}.")


def stated_keys() -> Iterator[str]:
    """Those of the table, and those that a row's range names of an object."""
    for key, kind, allowed, *_ in table(section("4"), "key"):
        yield code(key)
        inner = re.search(r"((?:`\w+`, )*`\w+`): ", allowed)
        if kind.startswith("object") and inner:
            yield from (f"{code(key)}.{name}" for name in re.findall(r"`(\w+)`", inner[1]))


def test_manifest_table_has_every_key() -> None:
    assert sorted(stated_keys()) == sorted(keys(Manifest))


def schema_keys(schema: dict[str, Any], place: str = "") -> Iterator[str]:
    while "$ref" in schema and "properties" not in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "items" in schema:
        yield from schema_keys(schema["items"], f"{place}[]")
    for name, inner in schema.get("properties", {}).items():
        yield f"{place}.{name}".lstrip(".")
        yield from schema_keys(inner, f"{place}.{name}".lstrip("."))


def test_schema_has_every_key() -> None:
    inner = {"slide", "base", "prediction", "prediction.generator", "layers", "quality.psnr_db", "quality.ssim"}
    assert set(schema_keys(SCHEMA)) - inner == set(keys(Manifest))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


Limits = dict[str, set[tuple[Any, ...]]]
"""By place, without the index in an array: what numbers and texts may be there."""


def field_limits(hint: Any, place: str = "", rules: tuple[Any, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What the fields of the dataclasses say."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        yield from field_limits(inner[0], place, (*rules, *inner[1:]))
    elif origin in (types.UnionType, typing.Union):
        yield from field_limits(inner[0], place, rules)
    elif origin is tuple:
        for part in inner:
            yield from field_limits(part, f"{place}[]", rules)
    elif dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        for item in dataclasses.fields(hint):
            yield from field_limits(hints[item.name], f"{place}.{item.name}".lstrip("."), rules)
    elif origin is typing.Literal:
        yield place, ("one of", *inner)
    elif hint in (int, float):
        most = strict_json.MAX_WHOLE if hint is int else math.inf
        limit: tuple[Any, ...] = ("from", -most, "to", most)
        for rule in rules:
            match rule:
                case strict_json.Range(low, high):
                    limit = ("from", low, "to", high)
                case strict_json.Above(low):
                    limit = ("above", low, "to", most)
                case strict_json.OneOf():
                    limit = ("one of", *rule.allowed)
        yield place, limit
    elif hint is str:
        for rule in rules:
            yield place, ("like", rule.form)


def schema_limits(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What the schema says of the same places."""
    stated = [schema]
    while "$ref" in stated[-1]:
        stated.append(SCHEMA["$defs"][stated[-1]["$ref"].rpartition("/")[2]])
    whole: dict[str, Any] = {key: value for part in reversed(stated) for key, value in part.items()}
    kinds = whole.get("type", [])
    for name, inner in whole.get("properties", {}).items():
        yield from schema_limits(inner, f"{place}.{name}".lstrip("."))
    for inner in [*whole.get("prefixItems", []), *([whole["items"]] if "items" in whole else [])]:
        yield from schema_limits(inner, f"{place}[]")
    if "enum" in whole:
        yield place, ("one of", *whole["enum"])
    elif "const" not in whole and ("integer" in kinds or "number" in kinds):
        most = strict_json.MAX_WHOLE if "integer" in kinds else math.inf
        high = whole.get("maximum", most)
        if "exclusiveMinimum" in whole:
            yield place, ("above", whole["exclusiveMinimum"], "to", high)
        else:
            yield place, ("from", whole.get("minimum", -most), "to", high)
    elif "pattern" in whole:
        yield place, ("like", re.sub(r"^\^\(?|\)?\$$", "", whole["pattern"]))


def collected(limits: Iterator[tuple[str, tuple[Any, ...]]]) -> Limits:
    found: Limits = {}
    for place, limit in limits:
        found.setdefault(place, set()).add(limit)
    return found


def test_schema_and_fields_state_the_same_ranges() -> None:
    fields, schema = collected(field_limits(Manifest)), collected(schema_limits(SCHEMA))
    assert fields.pop("version")  # 1, says the schema; what a reader makes of others is section 12's
    assert len(fields) > 60
    assert fields == schema


def test_limits() -> None:
    stated = {row[0]: int(row[1]) for row in table(section("9"), "limit")}
    assert stated == {
        "directories of the main chain": bigtiff.MAX_DIRECTORIES,
        "entries of a directory": bigtiff.MAX_ENTRIES,
        "bytes of the manifest, compressed or not": tags.MAX_JSON_BYTES,
        "a side of the slide, in full pixels": tags.MAX_SIDE,
        "associated images": tags.MAX_ASSOCIATED,
        "items of an array of the manifest": strict_json.MAX_ITEMS,
        "SubIFDs": tags.MAX_SUBIFDS,
        "bytes of an ImageDescription": tags.MAX_DESCRIPTION_BYTES,
        "bytes of a tile": tags.MAX_TILE_BYTES,
        "pixels of an associated image": tags.MAX_ASSOCIATED_PIXELS,
        "a side of an associated image": tags.MAX_ASSOCIATED_SIDE,
        "bytes of an associated image": tags.MAX_ASSOCIATED_BYTES,
        "bytes of the ICC profile": tags.MAX_PROFILE_BYTES,
        "bytes of a tile of the enhancement layer": tags.MAX_TILE_BYTES,
        "bytes of the regions of interest, compressed or not": tags.MAX_REGIONS_BYTES,
        "segments of the original": tags.MAX_SEGMENTS,
        "bytes of a segment, as it is stored and as it is restored": tags.MAX_SEGMENT_BYTES,
        "pixels of a segment in JPEG XL": jpeg_xl.MAX_JPEG_PIXELS,
        "scans of a JPEG": tile_codecs.MAX_SCANS,
        "tiles of a JPEG 2000 codestream": jpeg_2000.MAX_TILES,
        "precincts of one": jpeg_2000.MAX_PRECINCTS,
        "code-blocks of one": jpeg_2000.MAX_BLOCKS,
        "packets of one": jpeg_2000.MAX_PACKETS,
        "headers of the original, and recipes, each": tags.MAX_SHARED,
        "bytes of each of them": tags.MAX_SHARED_BYTES,
        "bytes of a generator's package, compressed or not": tags.MAX_PACKAGE_BYTES,
    }
    beyond = {row[2] for row in table(section("9"), "limit")} - {"as what it is", "as what it is, see below"}
    assert {code(cell) for cell in beyond} <= set(tags.PROBLEM_CODES)


def test_codecs() -> None:
    stated = {code(row[0]): int(row[1]) for row in table(section("3"), "`base.codec`")}
    assert stated == tags.COMPRESSION
    assert list(stated) == list(TILE_CODECS)


def test_private_tags() -> None:
    assert {name: int(tag) for tag, name, *_ in table(section("11.2"), "tag") if tag.startswith("653")} == {
        "checksums": tags.Tag.Checksums,
        "modes": tags.Tag.TileModes,
        "regions of interest": tags.Tag.Regions,
        "prediction checksums": tags.Tag.PredictionChecksums,
    }
    original = {int(tag): name for tag, name, *_ in table(section("11.5"), "tag")}
    assert original == {
        tags.Tag.Checksums: "checksums",
        tags.Tag.OriginalSegments: "list of segments",
        tags.Tag.OriginalData: "data",
    }
    of_file = {int(tag) for tag, _ in table(section("2.5"), "tag")}
    assert of_file == {tags.Tag.Manifest, tags.Tag.Generator, tags.Tag.Checksums, tags.Tag.BaseChecksums}


def test_tags_have_the_names_of_the_specification() -> None:
    stated: dict[int, str] = {}
    for numbers, names, *_ in table(section("2.3"), "tag") + table(section("2.4"), "tag"):
        if re.fullmatch("[A-Za-z, ]+", names) and names != "private":
            stated |= zip(map(int, numbers.split(", ")), names.split(", "), strict=True)
    assert {tag.value: tag.name for tag in tags.Tag if tag < 65301} == {
        number: name
        for number, name in stated.items()
        if number != 278  # RowsPerStrip, which no reader needs
    }


def test_modes() -> None:
    stated = ", ".join(f"{mode.value} {mode.name.lower()}" for mode in Mode)
    assert f"a byte a tile: {stated}" in section("11.2")


def test_networks_in_whole_numbers() -> None:
    """The numbers of sections 7.2 to 7.4 are those of the code; that the formulas are, the second decoder shows."""
    network, proof, block = section("7.2"), section("7.3"), section("7.4")
    assert f"`channels` *C* (1 to {integer_net.MAX_CHANNELS}), `pairs` *P* (0 to {integer_net.MAX_PAIRS})" in network
    assert f"of which {integer_net.ZERO_POINT} means zero" in network
    assert f"k + {integer_net.LEAK_SHIFT}) + {integer_net.ZERO_POINT})" in network
    assert f"max({1 << integer_net.LEAK_SHIFT} * n[o, y, u], n[o, y, u])" in network
    assert f"0 <= shift[o] <= {integer_net.MAX_SHIFT}." in proof
    assert f"< 2^{integer_net.SUM_LIMIT.bit_length() - 1}, where" in proof
    assert (
        f"add up to {integer_net.PAIR_LIMIT} at most, and those below zero to -{integer_net.PAIR_LIMIT} at least"
        in proof
    )
    assert f"*a* = {self_test.SIDE} + 2 halo" in block
    types = re.search(r"`.weight` of type `(\w+)`, a `.bias` of type `(\w+)` and a `.shift` of type `(\w+)`", network)
    assert types
    names = {"I8": np.int8, "I32": np.int32, "U8": np.uint8}
    layer = random_net("plain").layers[0]
    assert [np.dtype(names[name]) for name in types.groups()] == [
        a.dtype for a in (layer.weight, layer.bias, layer.shift)
    ]


def test_the_card_has_the_fields_of_the_specification() -> None:
    stated = {name for row in table(section("7.1"), "key") for name in re.findall(r"`(\w+)`", row[0])}
    assert stated == {item.name for item in dataclasses.fields(PackageCard)}


def test_legend_of_the_quality_map() -> None:
    for (number, what, _), step, less in zip(table(section("11.1"), "sample"), _STEPS, _OFFSETS, strict=True):
        assert what.endswith(f" = (*v* - 1) / {step:g}" + (f" - {less:g}" if less else "")), number


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_weights(scale: int) -> None:
    rows = [row for row in table(section("6.3"), "scale") if row[0] == str(scale)]
    weights, shift = _cubic_weights(scale)
    assert [[int(weight) for weight in row[2].split(",")] for row in rows] == weights.tolist()
    assert rows[0][3].endswith(f"2^{shift}")


# ---------------------------------------------------------------------------------------------------- worked example


def test_worked_example_bytes() -> None:
    data = EXAMPLE.read_bytes()
    text = section("13")
    assert f"`vectors/valid/{EXAMPLE.name}`: {len(data)} bytes" in text
    rows = table(text, "offset")
    assert len(rows) > 20
    for offset, content, meaning in rows:
        expected = bytes.fromhex(code(content))
        assert data[int(offset) :][: len(expected)] == expected, (offset, meaning)
    first = take_apart(data)[0]
    sums = np.frombuffer(first.tags[CHECKSUMS][1], "<u4")
    stated = next(meaning for _, _, meaning in rows if meaning.startswith("CRC-32"))
    assert re.findall(r"\b[0-9A-F]{8}\b", stated) == [f"{zlib.crc32(piece):08X}" for piece in first.pieces]
    assert zlib.crc32(first.pieces[0]) == sums[0]
    assert f"`{hashlib.sha256(first.tags[CHECKSUMS][1]).hexdigest()}`" in text
    text_bytes = zstandard.decompress(first.tags[MANIFEST][1])
    assert f"= {len(text_bytes)} bytes of JSON" in text
    beginning = re.search(r"```json\n(.*)\n```", text)
    assert beginning
    assert text_bytes.decode().startswith(beginning[1])


def test_worked_example_pixel() -> None:
    text = section("13")
    with Decoder(EXAMPLE) as decoder:
        full_x, full_y, sample = 9, 6, 1
        assert f"Full pixel ({full_x}, {full_y}), green" in text
        base = decoder.read(Region(0, 0, *decoder.levels[1]), 1)[..., sample].astype(int)
        pixel = int(decoder.read(Region(full_x, full_y, 1, 1))[0, 0, sample])
    weights, shift = _cubic_weights(4)
    down, across = weights[full_y % 4].tolist(), weights[full_x % 4].tolist()
    rows = table(text, "row")
    assert rows == [
        [str(y), ", ".join(map(str, values)), str(int(values @ across))]
        for y in range(full_y // 4 - 2, full_y // 4 + 3)
        for values in [base[max(y, 0), full_x // 4 - 2 : full_x // 4 + 3]]
    ]
    t = sum(weight * int(row[2]) for weight, row in zip(down, rows, strict=True))
    assert f"*t* = {t};" in text
    assert f"2^{2 * shift} = {(t + 2 ** (2 * shift - 1)) / 2 ** (2 * shift):.2f}" in text
    assert (t + 2 ** (2 * shift - 1)) >> (2 * shift) == pixel
    assert f"the\nsample is {pixel}." in text or f"the sample is {pixel}." in text


def test_links_within_the_specification() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)", SPEC, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([^)]*)\)", SPEC)) <= headings
    numbers = set(re.findall(r"^#+ ([0-9.]+[0-9]|[0-9]+)\.? ", SPEC, re.MULTILINE))
    assert set(re.findall(r"[Ss]ections? ([0-9]+(?:\.[0-9])?)", SPEC)) <= numbers


# -------------------------------------------------------------------------------------------------- schema and reader


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value within a JSON value."""
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*place, key))


REPLACEMENTS: list[Any] = [None, True, "", "x\n", "x|y", "thumbnail", -1, 0, 0.5, 2, 3, 256, 2**22, 2**53 + 1, 1e301]
REPLACEMENTS += [[], [1, 1], [1, 1, 1], {}, {"x": "y"}, {"x": 1}]

ACROSS_FIELDS = re.compile(
    r"expected \d+ levels|expected the base's|expected a pixel a block|expected bicubic-x|a built-in generator has no"
    r'|expected "(reconstructed|bounded|original)" with|two of base and layers in one SubIFD|an av1 base lies in'
    r"|expected files of|names and dates of files|two files of one name|an original without the files"
    r"|several files, and one|expected none with|expected rgb with|expected twelve numbers for av1"
    r"|expected that of the slide|expected one of \d+ x \d+ blocks|expected a place within"
)
"""How the sentences begin that are about several fields: a schema cannot know."""


def stored_manifest(name: str) -> bytes:
    return zstandard.decompress(take_apart((VECTORS / "valid" / f"{name}.hc.tif").read_bytes())[0].tags[MANIFEST][1])


@pytest.mark.parametrize("name", [SMALLEST, ALL_LAYERS, DOWNSAMPLING, DAMAGED, GENERATION, ORIGINAL, ORIGINAL_SET])
def test_schema_and_reader_agree_on_every_field(name: str) -> None:
    """Each value of a manifest, replaced by values of every kind."""
    text = stored_manifest(name)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    disagreements = []
    for place in places(json.loads(text)):
        for replacement in REPLACEMENTS:
            value = json.loads(text)
            target = value
            for key in place[:-1]:
                target = target[key]
            target[place[-1]] = replacement
            sentences: list[str] = []
            try:
                Manifest.from_json(json.dumps(value).encode())
            except ManifestError as error:
                sentences = [sentence for _, sentence in error.problems]
            beyond = [sentence for sentence in sentences if ACROSS_FIELDS.match(sentence)]
            agree = len(sentences) == len(beyond) if validator.is_valid(value) else bool(sentences)
            if not agree:
                disagreements.append((place, str(replacement)[:40], sentences))
    assert disagreements == []


@pytest.mark.parametrize("vector", [SMALLEST, ALL_LAYERS, DOWNSAMPLING, DAMAGED, GENERATION, ORIGINAL, ORIGINAL_SET])
def test_json_schema_is_strict_about_what_is_missing(vector: str) -> None:
    """Every key that the table does not call optional is required, by schema and reader."""
    text = stored_manifest(vector)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    optional = {code(row[0]) for row in table(section("4"), "key") if row[2].startswith("optional")}
    for place in places(json.loads(text)):
        if isinstance(place[-1], int) or (place[:2] == ("slide", "properties") and len(place) == 3):
            continue
        value = json.loads(text)
        target = value
        for key in place[:-1]:
            target = target[key]
        del target[place[-1]]
        name = ".".join("[]" if isinstance(key, int) else key for key in place).replace(".[]", "[]")
        assert validator.is_valid(value) == (name in optional), name
        try:
            Manifest.from_json(json.dumps(value).encode())
            taken = True
        except ManifestError as error:
            taken = all(ACROSS_FIELDS.match(sentence) for _, sentence in error.problems)
        assert taken == (name in optional), name
