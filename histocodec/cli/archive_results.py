"""`archive status`, `report`, `verify`, `restore` and `export`: what became of slides, and what comes back of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..archive.catalogue import Catalogue
from ..archive.cluster import LOCAL, Cluster
from ..archive.export import export
from ..archive.originals import restore_originals
from ..archive.pool import Pool
from ..archive.run import Limits
from ..archive.summary import summary
from ..archive.verification import verify
from ..errors import OutputExists
from ..runtime.files import atomic_output, check_output
from ..runtime.parallel import core_count
from ..runtime.progress import stage
from .many import Failures, end_of_many
from .options import (
    Json,
    Log,
    Overwrite,
    Resource,
    Scheduler,
    Verbose,
    Workers,
    parsed_resources,
    path_argument,
    path_option,
    print_facts,
    say,
)
from .running import LOG, running

Dest = Annotated[Path, path_argument(help="The archive's folder.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(help="Slides, by name of source or file, by path, or by pattern. Default: all that are done."),
]


def status_command(dest: Dest, as_json: Json = False) -> None:
    """Say how many slides are in which state, and what those that are done took and reached."""
    with Catalogue.open(dest) as catalogue:
        print_facts(summary(catalogue).facts(), as_json)


def report_command(
    dest: Dest,
    html: Annotated[Path | None, path_option(help="A page with histograms and the worst slides as pictures.")] = None,
    csv: Annotated[Path | None, path_option(help="A table, a row a slide.")] = None,
    json: Annotated[Path | None, path_option(help="The sums, and all of each slide.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write what became of each slide as a page, as a table, or as JSON."""
    from ..archive.tables import write_csv, write_json

    if html is csv is json is None:
        raise typer.BadParameter("say what to write: --html, --csv or --json")
    asked = [path for path in (html, csv, json) if path is not None]
    for path in asked:
        check_output(path, overwrite=overwrite)
    with Catalogue.open(dest) as catalogue:
        for place, write in ((csv, write_csv), (json, write_json)):
            if place is not None:
                with atomic_output(place, overwrite=overwrite) as out:
                    text = io.TextIOWrapper(out, "utf-8", errors="backslashreplace", newline="", write_through=True)
                    write(catalogue, text)
                    text.detach()
        if html is not None:
            from ..archive.page import page  # imports matplotlib

            with atomic_output(html, overwrite=overwrite) as out:
                out.write(page(catalogue))
    for path in asked:
        say(f"{path}: {path.stat().st_size} bytes")


def verify_command(
    dest: Dest,
    names: Names = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every stored tile.")] = False,
    against_source: Annotated[
        bool, typer.Option("--against-source", help="Compare with the sources, and measure some blocks again.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Files at the same time.")] = 1,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resource: Resource = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Prove that the files are what was written, valid, and decode. Exit code 3 if some are not; they are listed."""
    failures: Failures = []
    count = 0
    limits = Limits(jobs)
    resources = parsed_resources(resource)
    with (
        running(verbose, log, workers) as progress,
        Catalogue.open(dest) as catalogue,
        Pool() if scheduler is None else Cluster(scheduler, processes=jobs, resources=resources) as pool,
    ):
        limits.cores = core_count() if scheduler in (None, LOCAL) else None
        total = catalogue.count("done")
        for ended in verify(catalogue, pool, limits, names=names or (), deep=deep, against_source=against_source):
            count += 1
            progress("verifying", count, max(total, count))
            if ended.outcome.error is not None:
                failures.append((ended.row["output"], f"{ended.outcome.error} [{ended.outcome.error_class}]"))
    say(f"{count - len(failures)} of {count} files verified")
    end_of_many(failures, count)


def restore_archive_command(
    dest: Dest,
    to: Annotated[Path, path_option("--to", metavar="DIR", help="Where the slides go, with the archive's folders.")],
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="All slides.")] = False,
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Write slides that were archived with --keep-original, byte for byte. Exit code 3 if some cannot be."""
    if bool(names) == every:
        raise typer.BadParameter("name the slides, or say --all")
    failures: Failures = []
    count = 0
    with running(verbose, log, workers, lost="what was restored stays") as progress, Catalogue.open(dest) as catalogue:
        for row, paths, error in restore_originals(
            catalogue, names or (), to, overwrite=overwrite, progress=stage(progress, "restoring")
        ):
            count += 1
            if error is not None:
                failures.append((row["output"], error))
            else:
                say(f"{paths[0]}: {sum(path.stat().st_size for path in paths)} bytes, the same as were encoded")
    end_of_many(failures, count)


def export_command(
    dest: Dest,
    to: Annotated[str, typer.Option("--to", metavar="DIR_OR_URL", help="Where the files go, with their folders.")],
    names: Names = None,
    tier: Annotated[
        Literal["reconstructed", "bounded"] | None,
        typer.Option(help="What is left: reconstructed (the small file), or bounded. Default: all of it."),
    ] = None,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Send files elsewhere, without what is above a tier, read them back there, and write a list of their SHA-256."""
    failures: Failures = []
    count = size = kept = 0
    if "://" not in to and (Path(to) / "histocodec-archive.sqlite").exists():
        raise OutputExists(to, "is an archive itself: another one's files would mix with its own")
    with running(verbose, log, workers, lost="what was sent stays") as progress, Catalogue.open(dest) as catalogue:
        total = catalogue.count("done")
        for sent in export(catalogue, names or (), to, tier):
            count, size, kept = count + 1, size + sent.size_bytes, kept + sent.was_there
            progress("sending", count, max(total, count))
            LOG.debug("%s: %d bytes", sent.row["output"], sent.size_bytes)
            if sent.error is not None:
                failures.append((sent.row["output"], sent.error))
    there = f", {kept} of them there already" if kept else ""
    say(f"{to}: {count - len(failures)} files, {size} bytes, all read back{there}; their digests are in SHA256SUMS")
    end_of_many(failures, count)
