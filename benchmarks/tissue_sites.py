"""The organ of a TCGA tile, from the tissue source site in its barcode (TCGA code tables: source site to study)."""

from __future__ import annotations

_ORGANS = {
    "2Z": "kidney",
    "44": "lung",
    "69": "lung",
    "A6": "colon",
    "AC": "breast",
    "AO": "breast",
    "CU": "bladder",
    "EJ": "prostate",
    "FG": "brain",
    "GL": "kidney",
    "HC": "prostate",
    "HT": "brain",
    "IZ": "kidney",
    "ZF": "bladder",
}


def organ(tile: str) -> str | None:
    """Return the organ of a TCGA barcode, `TCGA-2Z-A9J9-01A-01-TS1` -> `kidney`; None for other names and sites."""
    parts = tile.split("-")
    return _ORGANS.get(parts[1]) if len(parts) > 2 and parts[0] == "TCGA" else None
