"""Proves that the files of an archive are what was written, and still decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .catalogue import Catalogue, Row
from .executor import Executor, Lost
from .records import Outcome, Task
from .run import Ended, Limits, failed
from .selecting import chosen


def verify(
    catalogue: Catalogue,
    pool: Executor,
    limits: Limits,
    *,
    names: Sequence[str] = (),
    deep: bool = False,
    against_source: bool = False,
) -> Iterator[Ended]:
    """Verify the slides that are done, on several processes; each one's outcome is noted in the catalogue.

    names: of some slides, as `chosen` takes them. deep: decode every tile. against_source: measure against the source
    once more. Raises MissingFile for a name that fits no slide.
    """
    rows = _numbers(catalogue, names)
    more = True
    while True:
        while more and len(pool.busy) < (pool.slots or limits.jobs_within(None)):
            row = next(rows, None)
            more = row is not None
            if row is not None:
                pool.submit(
                    Task(
                        number=row["id"],
                        kind="verify",
                        source=row["source"],
                        output=catalogue.output(row),
                        choices=catalogue.choices(row["settings"]),
                        threads=limits.threads(limits.jobs),
                        output_sha256=row["output_sha256"],
                        source_sha256=row["source_sha256"],
                        psnr_mean_db=row["psnr_mean_db"],
                        deep=deep,
                        against_source=against_source,
                    )
                )
        if not pool.busy:
            return
        told = pool.next(3600)
        outcome = failed(told) if isinstance(told, Lost) else told
        if isinstance(outcome, Outcome):
            catalogue.note_verified(outcome)
            yield Ended(catalogue.row(outcome.number), outcome)


def _numbers(catalogue: Catalogue, names: Sequence[str]) -> Iterator[Row]:
    """Yield the slides as they are when it is their turn: what is noted meanwhile must not move the cursor."""
    if names:
        yield from list(chosen(catalogue, names))
        return
    last = 0
    while (row := next(catalogue.rows("state = 'done' AND id > ?", (last,), "id LIMIT 1"), None)) is not None:
        last = row["id"]
        yield row
