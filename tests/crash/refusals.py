"""Places that take nothing: disks of every small size, read-only ones, folders of others; archives on such disks."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .children import Child, Ended, command, run
from .judge import look, problems, problems_after, problems_of_message
from .moments import Subject
from .tally import Tally

NAMESPACE = "CRASH_NAMESPACE"
"""Variable of the environment: set where mounts are this process's own."""
_NOBODY = 65534
_ROOM = "64m"


def small_disks(subject: Subject, count: int) -> Tally:
    """Run a command on real disks of sizes between nothing and enough, and again once there is room."""
    tally, words = Tally(), subject.command.words(subject.material)
    subject.prepare()
    least = _kibibytes(subject.folder / "out")
    run(subject.folder, words)
    most = 2 * _kibibytes(subject.folder / "out") + 64
    for number in range(count):
        size = least + 4 + (most - least) * number // count // 4 * 4
        with _prepared(subject):
            _mount(subject.folder / "out", "-t", "tmpfs", "-o", f"size={size}k,mode=755", "tmpfs")
            subject.command.lay_before(subject.material, subject.folder)
            ended = run(subject.folder, words)
            stopped = look(subject.folder)
            wrong = list(problems(ended, subject.before, stopped, subject.whole))
            subprocess.run(["mount", "-o", f"remount,size={_ROOM}", subject.folder / "out"], check=True)
            again = run(subject.folder, words)
            if again.code == 3:
                again = run(subject.folder, ("archive", "retry", "out"))
            wrong += problems_after(again, stopped, look(subject.folder), subject.whole)
        tally.counts["small disks"] += 1
        tally.counts["done" if ended.code == 0 else "refused"] += 1
        tally.findings += [f"a disk of {size} KiB: {problem}" for problem in wrong]
    return tally


def read_only(subject: Subject) -> Tally:
    """Run a command where the folder of its outputs, or that of temporary files, cannot be written to."""
    tally, words = Tally(), subject.command.words(subject.material)

    def refused(kind: str, ended: Ended) -> None:
        after = look(subject.folder)
        wrong = [*problems(ended, subject.before, after, subject.whole), *problems_of_message(ended)]
        if ended.code == 0 and subject.command.name != "archive verify":
            wrong.append("it said that all was done")
        tally.counts[kind] += 1
        tally.findings += [f"{kind}: {problem}" for problem in wrong]

    with _prepared(subject):
        out = subject.folder / "out"
        _mount(out, "--bind", out)
        subprocess.run(["mount", "-o", "remount,ro,bind", out], check=True)
        refused("read-only disk", run(subject.folder, words))
    if _may_become_nobody():
        with _prepared(subject):
            (subject.folder / "tmp").chmod(0o777)
            refused("folder of another user", command(subject.folder, words, before=_become_nobody).wait())
    return tally


def read_only_archive(material: Path, folder: Path) -> Tally:
    """Read an archive on a read-only disk, as a run left it and as one that was killed did."""
    tally = Tally()
    for kind in ("closed", "killed"):
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("out", "tmp"):
            (folder / name).mkdir(parents=True)
        archived = folder / "archived"
        shutil.copytree(material / "archived", archived)
        if kind == "killed":
            Child(folder, lambda: _write_and_die(archived)).wait()  # noqa: B023  (it is waited for)
        _mount(archived, "--bind", archived)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", archived], check=True)
            for words in (
                ("status", "archived"),
                ("report", "archived", "--csv", "out/a.csv"),
                ("verify", "archived"),
                ("restore", "archived", "--to", "out", "--all"),
                ("export", "archived", "--to", "out"),
            ):
                ended = run(folder, ("archive", *words))
                tally.counts[f"read-only archive, {kind}"] += 1
                if ended.code:
                    tally.findings.append(f"read-only archive, {kind}: {words[0]}: {ended.code}: {ended.said[-200:]}")
        finally:
            subprocess.run(["umount", "-l", archived], check=True)
    return tally


def _write_and_die(folder: Path) -> None:
    from histocodec.archive.catalogue import Catalogue

    catalogue = Catalogue.open(folder)
    catalogue.database.execute("UPDATE slide SET notes = 'of the last transaction'")
    os.kill(os.getpid(), 9)


@contextmanager
def _prepared(subject: Subject) -> Iterator[None]:
    subject.prepare()
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", subject.folder / "out"], capture_output=True, check=False)


def _mount(target: Path, *words: object) -> None:
    subprocess.run(["mount", *map(str, words), target], check=True)


def _kibibytes(folder: Path) -> int:
    return sum(-(-file.stat().st_size // 4096) * 4 for file in folder.rglob("*") if file.is_file())


def _may_become_nobody() -> bool:
    """Tell whether this is root, and there are other users as well."""
    return os.geteuid() == 0 and "4294967295" in Path("/proc/self/uid_map").read_text()


def _become_nobody() -> None:
    importlib.import_module("zoneinfo")  # nobody may be kept from Python's own folder
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
