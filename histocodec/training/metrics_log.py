"""The log of a training run: a JSON object a line, each with its step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..runtime.files import atomic_output, writing_errors

Row = dict[str, float]
"""Numbers of one step by name; `step` is among them."""


@dataclass(frozen=True, slots=True)
class MetricsLog:
    """The rows of a `metrics.jsonl`, which need not exist yet."""

    path: Path

    def append(self, row: Row) -> None:
        """Write one row behind the others. Raises OutputError."""
        with writing_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        """Read all rows, but for a last line that a kill has cut."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("}\n")]

    def drop_after(self, step: int) -> None:
        """Remove rows of later steps: what was logged after a checkpoint is about to be logged again.

        Raises OutputError.
        """
        if self.path.exists():
            kept = [row for row in self.rows() if row["step"] <= step]
            with atomic_output(self.path, overwrite=True) as file:
                file.write("".join(json.dumps(row) + "\n" for row in kept).encode())
