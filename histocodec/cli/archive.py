"""`archive` and `archive retry`: folders of slides become an archive, by a run that can be stopped and taken up."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from ..archive.catalogue import Catalogue
from ..archive.choices import Choices
from ..archive.cluster import LOCAL, Cluster
from ..archive.discovery import find
from ..archive.executor import Executor
from ..archive.forecast import SAMPLE, check_room, discard_estimates, forecast
from ..archive.journal import Journal
from ..archive.lock import ArchiveLock
from ..archive.pool import Pool
from ..archive.run import Limits, run
from ..archive.scan import scan
from ..archive.targets import make_folder
from ..runtime.parallel import core_count
from .archive_lines import Lines
from .archive_results import (
    export_command,
    report_command,
    restore_archive_command,
    status_command,
    verify_command,
)
from .encoding_options import (
    Base,
    Codec,
    Deidentify,
    Downsampling,
    EffortOption,
    EmbedGenerator,
    EncodingGenerator,
    KeepOriginal,
    MinPsnr,
    Quality,
    Ratio,
    StoreAll,
    Verify,
    WhenDamaged,
)
from .many import SOME_FAILED, selection_of
from .options import (
    Exclude,
    Include,
    Json,
    Mpp,
    Recursive,
    Resource,
    Scheduler,
    Seed,
    Workers,
    parsed_bytes,
    parsed_resources,
    path_argument,
    path_option,
    print_facts,
    say,
)
from .running import Interrupted

_FORECAST_FROM = 24
"""Slides from which a run begins with a sample of them: of fewer it would take a good part of the time."""


class ArchiveGroup(TyperGroup):
    """Takes what is no command for the sources of `archive run`."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Put `run` before arguments that begin with a source, or with an option of it."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(context, args)


archive_app = typer.Typer(
    name="archive",
    cls=ArchiveGroup,
    help="Encode folders of slides into an archive with a catalogue: histocodec archive SOURCE... --to DEST. A run "
    "that was stopped goes on where it was. (A source that is called like a command is written with ./ before it.)",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Dest = Annotated[Path, path_argument(help="The archive's folder.")]
Jobs = Annotated[int, typer.Option(min=1, metavar="N", help="Slides at the same time; they divide the cores.")]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help="Memory of all jobs together, as 6G: fewer run at a time, and one that grows beyond is ended.",
    ),
]
JsonLog = Annotated[
    Path | None, path_option(metavar="FILE", help="Append what happens to a log, a JSON object a line.")
]


@archive_app.command("run")
def run_command(
    sources: Annotated[
        list[str], typer.Argument(help="Slides, patterns, and folders of slides. They stay as they are.")
    ],
    to: Annotated[Path, path_option("--to", metavar="DEST", help="The archive's folder.")],
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the run would take, from a sample of the slides; write nothing.")
    ] = False,
    ratio: Ratio = None,
    quality: Quality = None,
    min_psnr: MinPsnr = None,
    keep_original: KeepOriginal = False,
    base: Base = None,
    codec: Codec = "av1",
    effort: EffortOption = "default",
    downsampling: Downsampling = None,
    generator: EncodingGenerator = None,
    embed_generator: EmbedGenerator = None,
    archive: StoreAll = False,
    deidentify: Deidentify = False,
    verify: Verify = "sample",
    on_damage: WhenDamaged = "refuse",
    mpp: Mpp = None,
    seed: Seed = 0,
    jobs: Jobs = 1,
    memory: Memory = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resource: Resource = None,
    files: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the files go, if not into DEST, which has the catalogue then."),
    ] = None,
    log: JsonLog = None,
    as_json: Json = False,
) -> None:
    """Encode what is new or has changed. Exit code 0: all done, 3: some slides failed, which are listed."""
    choices = Choices(
        ratio=ratio,
        quality=quality,
        base=base,
        codec=codec,
        effort=effort,
        downsampling=_package(downsampling),
        generator=_package(generator),
        min_psnr_db=min_psnr,
        keep_original=keep_original,
        embed_generator=embed_generator,
        archive=archive,
        deidentify=deidentify,
        verify=verify,
        on_damage=on_damage,
        mpp=mpp,
        seed=seed,
    )
    choices.check()  # what it refuses is refused before anything is looked at
    limits = limits_of(jobs, memory, workers)
    found = find(sources, "slides", selection_of(recursive, include, exclude))
    if dry_run:
        with (
            stoppable("nothing was written"),
            Catalogue.rehearsal(to) as catalogue,
            tempfile.TemporaryDirectory(prefix="histocodec-dry-run-") as folder,
            executor(limits, scheduler, parsed_resources(resource)) as pool,
        ):
            scanned = scan(catalogue, found, choices)
            foreseen = forecast(catalogue, pool, limits, Path(folder))
        new = {name: getattr(scanned, name) for name in ("new", "changed", "moved", "lost", "unchanged", "unreadable")}
        print_facts({"found": new, **foreseen.facts()}, as_json)
        return
    make_folder(to)
    with working(to, limits, scheduler, parsed_resources(resource), log) as (catalogue, pool, lines):
        if files is not None:
            catalogue.keep_files(files)
        lines.scanned(scan(catalogue, found, choices))
        if catalogue.files.path is not None:
            check_room(catalogue, to)
        if catalogue.count("waiting") >= _FORECAST_FROM:
            lines.foreseen(forecast(catalogue, pool, limits, to, sample=SAMPLE))
        _go(catalogue, pool, limits, lines, as_json)


@archive_app.command("retry")
def retry_command(
    dest: Dest,
    jobs: Jobs = 1,
    memory: Memory = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resource: Resource = None,
    log: JsonLog = None,
    as_json: Json = False,
) -> None:
    """Try the slides again that failed, and go on with those that wait."""
    limits = limits_of(jobs, memory, workers)
    Catalogue.open(dest).close()
    with working(dest, limits, scheduler, parsed_resources(resource), log) as (catalogue, pool, lines):
        catalogue.retry()
        if catalogue.files.path is not None:
            check_room(catalogue, dest)
        _go(catalogue, pool, limits, lines, as_json)


archive_app.command("status")(status_command)
archive_app.command("report")(report_command)
archive_app.command("verify")(verify_command)
archive_app.command("restore")(restore_archive_command)
archive_app.command("export")(export_command)


def limits_of(jobs: int, memory: str | None, workers: int | None) -> Limits:
    """Return the limits that options state. Raises SettingsError."""
    limits = Limits(jobs, None if memory is None else parsed_bytes(memory))
    if workers is not None:
        limits.cores = min(core_count(), workers)
    return limits


def _package(name: str | None) -> str | None:
    """Return the name of a package; its path from the root, since a later run may begin elsewhere."""
    return str(Path(name).absolute()) if name is not None and Path(name).is_file() else name


def executor(
    limits: Limits, scheduler: str | None, resources: dict[str, float], inherited: Sequence[int] = ()
) -> Executor:
    """Start what does the work: processes, or the connection to a cluster. Raises ClusterError."""
    if scheduler is None:
        return Pool(memory_bytes=limits.memory_bytes, inherited=inherited)
    if scheduler != LOCAL:
        limits.cores = None
    return Cluster(scheduler, processes=limits.jobs, resources=resources)


@contextmanager
def working(
    dest: Path, limits: Limits, scheduler: str | None, resources: dict[str, float], log: Path | None
) -> Iterator[tuple[Catalogue, Executor, Lines]]:
    """Hold the archive while the block runs: its lock, its catalogue, its processes and its log."""
    with ExitStack() as stack:
        stack.enter_context(stoppable("the catalogue is right, and the same command goes on"))
        lock = stack.enter_context(ArchiveLock(dest))
        discard_estimates(dest)
        catalogue = stack.enter_context(Catalogue.create(dest))
        journal = stack.enter_context(Journal(log))
        pool = stack.enter_context(executor(limits, scheduler, resources, [lock.descriptor]))
        lines = stack.enter_context(Lines(journal))
        catalogue.take_up()
        try:
            yield catalogue, pool, lines
        except KeyboardInterrupt:
            journal.note("interrupted")
            raise


@contextmanager
def stoppable(kept: str) -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does. kept: what is said then. Raises Interrupted."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {kept}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _go(catalogue: Catalogue, pool: Executor, limits: Limits, lines: Lines, as_json: bool) -> None:
    """Do what waits; end with what became of the archive, and which slides failed."""
    lines.begin(catalogue)
    with closing(run(catalogue, pool, limits)) as events:
        for event in events:
            lines.event(event)
    total = lines.end(catalogue)
    if as_json:
        print_facts(total.facts(), as_json)
    else:
        states = total.states
        say(f"{states['done']} of {total.slides} slides done, {states['failed']} failed")
    if total.states["failed"]:
        typer.echo(f"histocodec: {total.states['failed']} of {total.slides} failed:", err=True)
        for row in catalogue.rows("state = 'failed'"):
            typer.echo(f"  {lines.failure(row)}", err=True)
        raise typer.Exit(SOME_FAILED)
