"""The tiles task: every method on every image, one row for each target ratio it reaches."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fidelity import centre_mask
from benchmarks.nuclei import Mask, read_mask
from histocodec import BicubicGenerator
from histocodec.generators.predict import reconstruct
from histocodec.geometry import Image
from histocodec.pixels.metrics import psnr
from histocodec.training.data.patches import TILE_SUFFIXES, read_image
from histocodec.training.evaluate import centre

from .codecs import scanner_bytes
from .contest import GROUPS
from .history import history
from .ladder import NEARLY_FULL, TARGET_RATIOS, ladder
from .measures import SLOW, Measurer
from .methods import Candidate, Coded, Coder, Method, all_methods, quick_methods

SOURCES = {
    "dev/monuseg": 1,
    "dev/tcga_mitosis": 1,
    "dev/misc_hoverfast": 1,
    "foreign/tnbc": 3,
    "foreign/brecahad": 2,
}
"""Steps through the tiles of a folder: 1 for every one, 2 for every second, 3 for every third."""
QUICK_SOURCES = {"dev/monuseg": 5, "foreign/tnbc": 9, "foreign/brecahad": 4}
LARGEST = 768
"""Full pixels a side of the middle that is taken of larger tiles."""
MIDDLE = 512
"""Full pixels a side of the middle that the slow measures see."""
SLOW_RATIOS = (6.0, 12.0, 16.0, 24.0)
"""Target ratios of the slow measures; 8 lies between the first two."""
FURTHER = 2
"""Steps at a time by which a coder with borrowed qualities goes on where its bytes do not fit the least budget."""

CONTESTED = {source for sources in GROUPS.values() for source in sources}

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Rows by method."""


@dataclass(frozen=True)
class Plan:
    """The settings of a run, for a worker, which builds the methods itself."""

    data: Path
    weights: Path
    candidates: tuple[Candidate, ...] = ()
    quick: bool = False

    def methods(self) -> list[Method]:
        found = all_methods(self.candidates)
        return quick_methods(found) if self.quick else found

    def images(self) -> list[tuple[str, Path]]:
        """Return source and path of every image."""
        found = []
        for source, step in (QUICK_SOURCES if self.quick else SOURCES).items():
            paths = sorted(p for p in (self.data / source).iterdir() if p.suffix in TILE_SUFFIXES)[::step]
            found += [(source, path) for path in paths]
        return found

    @property
    def side(self) -> int:
        return MIDDLE if self.quick else LARGEST


@dataclass(frozen=True)
class Subject:
    """One image, with the middle and the mask that the slow measures take."""

    name: str
    source: str
    full: Image
    middle: Image
    truth: Mask | None
    """Mask of the nuclei of the middle."""
    history: str
    scanner_bytes: int

    @classmethod
    def read(cls, source: str, path: Path, side: int) -> Subject:
        """Read an image. side: see `LARGEST`; further cut to a multiple of 4."""
        whole = read_image(path)
        full = centre(whole, side)
        full = np.ascontiguousarray(full[: full.shape[0] // 4 * 4, : full.shape[1] // 4 * 4])
        mask_path = path.parent.with_name(path.parent.name + "_nuclei") / f"{path.stem}.png"
        truth = centre_mask(centre_mask(read_mask(mask_path), side), MIDDLE) if mask_path.is_file() else None
        middle = np.ascontiguousarray(centre(full, MIDDLE))
        # A grid shows best in the whole tile.
        return cls(path.stem, source, full, middle, truth, history(source, whole), scanner_bytes(full))


class Encodes:
    """The encodes of one image by one coder, by step of its qualities."""

    def __init__(self, coder: Coder, full: Image) -> None:
        self.coder = coder
        self._shrunk = coder.shrunk(full)  # a network's first run, which prepares its engine, does not count
        started = time.process_time()
        coder.shrunk(full)
        self._shrink_s = time.process_time() - started
        self._made: dict[int, tuple[Coded, float]] = {}
        self._sizes: dict[int, float] = {}

    def coded(self, step: int) -> tuple[Coded, float]:
        """Return the bytes, and the CPU seconds (user and system) that it took to shrink and code."""
        if step not in self._made:
            started = time.process_time()
            coded = self.coder.encode(self._shrunk, self.coder.codec.qualities[step])
            self._made[step] = coded, self._shrink_s + time.process_time() - started
        return self._made[step]

    def steps(self, budgets: Sequence[float]) -> list[int]:
        """Return the highest step that fits each budget; see `ladder`."""
        codec = self.coder.codec
        enough = 1.0 if codec.whole else NEARLY_FULL
        return ladder(self._sizes, len(codec.qualities), self.size, budgets, enough=enough)

    def size(self, step: int) -> float:
        return self.coded(step)[0].total_bytes


def measure(subject: Subject, methods: Sequence[Method], measurer: Measurer, *, quick: bool = False) -> Rows:
    """Measure rows by method. methods: share a coder, or borrow from it. quick: without the slow measures."""
    kept: dict[Coder, Encodes] = {}

    def encodes(coder: Coder) -> Encodes:
        if coder not in kept:
            kept[coder] = Encodes(coder, subject.full)
        return kept[coder]

    found: Rows = {}
    budgets = [subject.scanner_bytes / target for target in TARGET_RATIOS]
    for method in methods:
        coder = method.coder
        steps = encodes(coder.borrows or coder).steps(budgets)
        if coder.borrows is not None and steps and encodes(coder.borrows).size(steps[-1]) <= budgets[-1]:
            while encodes(coder).size(steps[-1]) > budgets[-1] and steps[-1] >= FURTHER:
                steps.append(steps[-1] - FURTHER)
        slow = _slow_steps(steps, encodes(coder), subject) if method.slow_measures and not quick else set()
        found[method.name] = [
            _row(subject, method, encodes(coder), step, measurer, slow=step in slow) for step in steps
        ]
    return found


def _slow_steps(steps: Sequence[int], encodes: Encodes, subject: Subject) -> set[int]:
    """Return of these steps the highest that fit the ratios of SLOW_RATIOS."""
    chosen: set[int] = set()
    if subject.source in CONTESTED:
        for target in SLOW_RATIOS:
            fitting = [s for s in steps if encodes.size(s) <= subject.scanner_bytes / target]
            chosen |= {max(fitting)} if fitting else set()
    return chosen


def _row(
    subject: Subject,
    method: Method,
    encodes: Encodes,
    step: int,
    measurer: Measurer,
    *,
    slow: bool,
) -> Row:
    coded, encode_s = encodes.coded(step)
    height, width = subject.full.shape[:2]
    started = time.process_time()
    base = method.coder.decode(coded)
    made = method.restore(base)[:height, :width]
    decode_s = time.process_time() - started
    megapixels = height * width / 1e6
    row: Row = {
        "image": subject.name,
        "source": subject.source,
        "history": subject.history,
        "method": method.name,
        "quality": method.coder.codec.qualities[step],
        "bytes": {"base": coded.stream_bytes, "overhead": coded.overhead_bytes},
        "bpp": round(8 * coded.total_bytes / (height * width), 5),
        "ratio": round(subject.scanner_bytes / coded.total_bytes, 4),
        **measurer.fast(subject.full, made),
        **dict.fromkeys(SLOW),
        "encode_cpu": round(encode_s / megapixels, 4),
        "decode_cpu": round(decode_s / megapixels, 4),
    }
    if method.family == "histocodec":
        plain = reconstruct(BicubicGenerator(method.coder.scale), base)[:height, :width]
        row["bicubic_psnr_db"] = round(psnr(subject.full, plain), 4)
    if slow:
        row |= measurer.slow(subject.middle, np.ascontiguousarray(centre(made, MIDDLE)), subject.truth)
    return row


def chains(methods: Sequence[Method]) -> list[list[Method]]:
    """Group methods that share a coder, or lend to one another: their encodes are made once."""
    grouped: dict[Coder, list[Method]] = {}
    for method in methods:
        grouped.setdefault(method.coder.borrows or method.coder, []).append(method)
    return list(grouped.values())


class Cache:
    """Rows that were measured, one line of JSON for each image and method; a cut line at the end is ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[tuple[str, str, str], list[Row]] = {}
        text = path.read_text() if path.is_file() else ""
        self._cut = text != "" and not text.endswith("\n")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            self._rows[entry["source"], entry["image"], entry["key"]] = entry["rows"]

    def get(self, source: str, image: str, key: str) -> list[Row] | None:
        return self._rows.get((source, image, key))

    def put(self, source: str, image: str, key: str, rows: list[Row]) -> None:
        self._rows[source, image, key] = rows
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(
                "\n" * self._cut + json.dumps({"source": source, "image": image, "key": key, "rows": rows}) + "\n"
            )
        self._cut = False


def run(plan: Plan, cache: Cache, workers: int) -> list[Row]:
    """Measure all rows, by image and then in the order of the methods; what the cache has is not measured again."""
    methods, images = plan.methods(), plan.images()

    keys = {method.name: f"{method.key()}-{plan.side}{'-quick' * plan.quick}" for method in methods}
    jobs: list[tuple[str, Path, list[str]]] = []
    for source, path in images:
        for chain in chains(methods):
            names = [m.name for m in chain if cache.get(source, path.stem, keys[m.name]) is None]
            if names:
                jobs.append((source, path, names))
    if jobs:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_prepare, initargs=(plan,)) as pool:
            running = {pool.submit(_job, *job): job for job in jobs}
            for done, future in enumerate(as_completed(running), 1):
                source, path, _ = running[future]
                for name, rows in future.result().items():
                    cache.put(source, path.stem, keys[name], rows)
                print(f"\r{done} of {len(jobs)}: {source} {path.stem:40}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    rows = []
    for source, path in images:
        for method in methods:
            rows += cache.get(source, path.stem, keys[method.name]) or []
    return rows


_worker: dict[str, Any] = {}


def _prepare(plan: Plan) -> None:
    """Prepare a worker: one thread, the networks, the methods."""
    torch.set_num_threads(1)
    weights = plan.weights / "stlpips_alex.safetensors"
    methods: Mapping[str, Method] = {method.name: method for method in plan.methods()}
    _worker.update(plan=plan, methods=methods, measurer=Measurer(weights if weights.is_file() else None))


@lru_cache(maxsize=1)
def _subject(source: str, path: Path, side: int) -> Subject:
    return Subject.read(source, path, side)


def _job(source: str, path: Path, names: Sequence[str]) -> Rows:
    plan: Plan = _worker["plan"]
    subject = _subject(source, path, plan.side)
    return measure(subject, [_worker["methods"][name] for name in names], _worker["measurer"], quick=plan.quick)
