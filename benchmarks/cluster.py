"""What a cluster makes of an archive: slides an hour by workers, and what each slide costs beside its encode.

python -m benchmarks.cluster --rows 1000000 --scratch scratch/            # the catalogue alone
python -m benchmarks.cluster --empty 100000 --scratch scratch/            # with tasks that do nothing
python -m benchmarks.cluster --workers 1 2 --slides 24 --scratch scratch/ # slides of 2048 px, encoded
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import msgspec

from benchmarks.archive import slides
from histocodec.archive.catalogue import Catalogue
from histocodec.archive.choices import Choices
from histocodec.archive.cluster import Cluster
from histocodec.archive.discovery import Selection, find
from histocodec.archive.records import Measured, Outcome, Task
from histocodec.archive.run import Ended, Limits, run
from histocodec.archive.scan import scan
from histocodec.archive.summary import summary
from histocodec.runtime.parallel import core_count

_MEASURED = Measured(
    source_sha256="0" * 64,
    output_sha256="0" * 64,
    output_bytes=1,
    base_bytes=1,
    reduced_bytes=0,
    enhancement_bytes=0,
    original_bytes=0,
    other_bytes=0,
    full_pixels=1,
    ratio=16.0,
    psnr_mean_db=38.0,
    psnr_5_db=34.0,
    psnr_lowest_db=30.0,
    generator="av1-x4",
    generator_digest="sha256:" + "0" * 64,
    notes="",
)


def nothing(task: bytes) -> bytes:
    """Be done at once: what a worker does where only the way there is measured."""
    number = msgspec.json.decode(task, type=Task).number
    now = "2026-01-01T00:00:00Z"
    return msgspec.json.encode(
        Outcome(
            number=number,
            seconds=1,
            cpu_seconds=1,
            peak_bytes=1,
            host="worker",
            began=now,
            ended=now,
            measured=_MEASURED,
        )
    )


def filled(folder: Path, count: int) -> Catalogue:
    """A catalogue of slides that nobody has."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    catalogue = Catalogue.create(folder)
    with catalogue.writing() as database:
        settings = catalogue.note_choices(Choices())
        database.executemany(
            "INSERT INTO slide (output, name_key, source, source_files, source_bytes, source_modified_ns, settings, "
            "state) VALUES (?, ?, ?, 1, 1000000000, 0, ?, 'waiting')",
            ((f"{n // 1000}/{n}.hc.tif",) * 2 + (f"/slides/{n // 1000}/{n}.svs", settings) for n in range(count)),
        )
    return catalogue


def catalogue_alone(folder: Path, count: int) -> dict[str, float]:
    """What the catalogue takes of each slide, and to be summed up."""
    with filled(folder, count) as catalogue:
        began = time.process_time()
        while (row := catalogue.claim()) is not None:
            told = nothing(msgspec.json.encode(Task(number=row["id"], kind="encode", source="", output="")))
            catalogue.finish(msgspec.json.decode(told, type=Outcome))
        alone = time.process_time() - began
        began = time.process_time()
        summary(catalogue)
        summed = time.process_time() - began
        size = (folder / "histocodec-archive.sqlite").stat().st_size
    return {
        "slides": count,
        "cpu_ms_a_slide": round(1000 * alone / count, 4),
        "bytes_a_slide": round(size / count, 1),
        "status_cpu_s": round(summed, 4),
    }


def empty(folder: Path, count: int) -> dict[str, float]:
    """What catalogue, client and scheduler take together of each slide, with tasks that do nothing."""
    with filled(folder, count) as catalogue, Cluster("local", processes=2, do=nothing) as cluster:
        cpu, began = time.process_time(), time.monotonic()
        done = sum(isinstance(event, Ended) for event in run(catalogue, cluster, Limits(cores=None)))
        together, wall = time.process_time() - cpu, time.monotonic() - began
    assert done == count
    return {
        "slides": count,
        "cpu_ms_a_slide": round(1000 * together / count, 4),
        "wall_ms_a_slide": round(1000 * wall / count, 4),
    }


def encoded(folder: Path, sources: Path, workers: int, choices: Choices) -> dict[str, float]:
    """Slides an hour of so many workers of one thread each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Catalogue.create(folder) as catalogue, Cluster("local", processes=workers) as cluster:
        scan(catalogue, find([sources], "slides", Selection()), choices)
        cpu, began = os.times(), time.monotonic()
        done = sum(isinstance(event, Ended) for event in run(catalogue, cluster, Limits(jobs=workers, cores=workers)))
        wall, after = time.monotonic() - began, os.times()
        told = summary(catalogue)
    return {
        "workers": workers,
        "slides_per_hour": round(3600 * done / wall, 1),
        "wall_s": round(wall, 1),
        "encode_cpu_s_a_slide": round(told.cpu_seconds / done, 3),
        "client_and_scheduler_cpu_s_a_slide": round((after.user + after.system - cpu.user - cpu.system) / done, 4),
    }


def main() -> None:
    """Print what is asked for as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="slides in a catalogue alone")
    parser.add_argument("--empty", type=int, help="tasks that do nothing, on a cluster")
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    parser.add_argument("--slides", type=int, default=24)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--codec", default="av1")
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    asked = parser.parse_args()
    result: dict[str, object] = {"cores": core_count()}
    if asked.rows:
        result["catalogue"] = catalogue_alone(asked.scratch / "rows", asked.rows)
    if asked.empty:
        result["empty"] = empty(asked.scratch / "empty", asked.empty)
    if asked.workers:
        sources = slides(asked.scratch, asked.slides, asked.size)
        choices = Choices(codec=asked.codec)
        result["encoded"] = [encoded(asked.scratch / "cluster", sources, workers, choices) for workers in asked.workers]
    print(json.dumps(result, indent=1))
    if asked.out is not None:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
