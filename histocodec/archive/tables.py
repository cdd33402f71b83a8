"""Writes a catalogue as a table, or as JSON: a row a slide, one after the other."""

from __future__ import annotations

import csv
import json
from typing import TextIO

from .catalogue import Catalogue, Row
from .summary import summary

_HIDDEN = ("id", "name_key", "owns_output")
"""Columns that only the catalogue itself has a use for."""
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of texts that a spreadsheet would compute."""


def slide_facts(row: Row) -> dict[str, object]:
    """Return what the catalogue has of a slide, as JSON values."""
    return {name: row[name] for name in row.keys() if name not in _HIDDEN}  # noqa: SIM118 (a row gives its values)


def write_csv(catalogue: Catalogue, out: TextIO) -> None:
    """Write a table with a heading."""
    columns = [row[1] for row in catalogue.database.execute("PRAGMA table_info(slide)") if row[1] not in _HIDDEN]
    table = csv.DictWriter(out, columns)
    table.writeheader()
    for row in catalogue.rows():
        table.writerow({name: _plain(value) for name, value in slide_facts(row).items()})


def write_json(catalogue: Catalogue, out: TextIO) -> None:
    """Write an object with the sums, and a list of slides with their settings."""
    settings = {
        digest: json.loads(chosen)
        for digest, chosen in catalogue.database.execute("SELECT digest, chosen FROM settings")
    }
    out.write(
        f'{{"totals": {json.dumps(summary(catalogue).facts())},\n"settings": {json.dumps(settings)},\n"slides": ['
    )
    out.writelines(
        ("," if number else "") + "\n" + json.dumps(slide_facts(row)) for number, row in enumerate(catalogue.rows())
    )
    out.write("\n]}\n")


def _plain(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula: names of files come from anywhere."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
