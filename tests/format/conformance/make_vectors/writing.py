"""The folder of vectors and its indexes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import tifffile
import zstandard

from tests.format.conformance.make_vectors.expectation import expectation
from tests.format.conformance.make_vectors.hostile import invalid_vectors
from tests.format.conformance.make_vectors.recipes import (
    SMALLEST,
)
from tests.format.conformance.make_vectors.valid import valid_vectors
from tests.places import REPOSITORY

VECTORS = REPOSITORY / "formats/container/v1/vectors"
"""The committed vectors."""


def libraries() -> dict[str, str]:
    """What the bytes of the vectors depend on."""
    versions = imagecodecs.version(dict)
    codecs = {name: str(versions[name]) for name in ("openjpeg", "libavif", "libjpeg_turbo", "libjxl")}
    return {"tifffile": tifffile.__version__, "zstandard": zstandard.__version__, **codecs}


def make(folder: Path) -> None:
    """Write all vectors into `folder`, which loses what it held."""
    for name in ("valid", "invalid"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).iterdir():
            old.unlink()
    valid = valid_vectors()
    index: dict[str, Any] = {}
    for name, (data, note) in valid.items():
        path = folder / "valid" / f"{name}.hc.tif"
        path.write_bytes(data)
        _write_json(path.with_name(f"{name}.json"), expectation(path, note))
        index[name] = note
    _write_json(folder / "valid" / "index.json", {"made_with": libraries(), "files": index})
    index = {}
    for name, (data, codes, how) in invalid_vectors({name: data for name, (data, _) in valid.items()}).items():
        (folder / "invalid" / f"{name}.hc.tif").write_bytes(data)
        index[f"{name}.hc.tif"] = {"codes": codes, "made": how}
    _write_json(folder / "invalid" / "index.json", {"made_from": f"{SMALLEST}.hc.tif", "files": index})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
