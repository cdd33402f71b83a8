"""Tune to whole slides: choose blocks to learn from, with the base that an encoder codes for them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...encoder import EncodeSettings
from ...encoder.pipeline import coded_tissue
from ...encoder.tuned_generator import TissueBlocks, TunedGenerator
from ...errors import SettingsError
from ...generators.catalogue import load_generator
from ...generators.package import Package
from ...generators.predict import read_with_halo
from ...pixels.resampler import Generator
from ...runtime.progress import Progress, silent, stage
from ...runtime.sampling import spread_sample
from ...source import Source
from .tune import Tuned, TuneSettings, TuningBlock, tune

MOST_BLOCKS = 192
"""Blocks that are held in memory: 150 MB with jp2k-x4."""

HELD_BACK = 8
"""Blocks for one that is held back."""

FEWEST_BLOCKS = 16
"""Blocks of tissue below which nothing is tuned."""


class Collector:
    """Blocks of one slide or several, to learn from and held back."""

    def __init__(self, most: int, seed: int) -> None:
        """Begin with no blocks. most: blocks of a slide that are kept. seed: draws those that are held back."""
        self.learn: list[TuningBlock] = []
        self.held_back: list[TuningBlock] = []
        self._most, self._seed = most, seed

    def collect(self, generator: Generator, tissue: TissueBlocks, progress: Progress) -> list[tuple[int, int]]:
        """Keep blocks that are spread over the slide; return the addresses of those that are held back."""
        chosen = spread_sample(tissue.addresses, self._most, self._seed)
        rng = np.random.default_rng([self._seed, 3])
        apart = {int(k) for k in rng.permutation(len(chosen))[: len(chosen) // HELD_BACK]}
        for k, (column, row) in enumerate(chosen):
            region = tissue.grid.region(column, row)
            base = read_with_halo(tissue.read_base, tissue.grid.size, region, generator.halo)
            full = tissue.read_full(region.scaled(generator.scale))
            (self.held_back if k in apart else self.learn).append(TuningBlock(np.ascontiguousarray(base), full))
            progress("collecting", k + 1, len(chosen))
        return [chosen[k] for k in sorted(apart)]


class SlideTuner:
    """An `encoder.tuned_generator.Tuner`: for `encode(..., tuner=SlideTuner())`."""

    def __init__(self, settings: TuneSettings | None = None, *, device: str = "cpu") -> None:
        """Take the settings; None for the defaults. device: as torch names it."""
        self.settings, self.device = settings or TuneSettings(), device

    def __call__(self, generator: Generator, tissue: TissueBlocks, progress: Progress) -> TunedGenerator | None:
        """Tune to a slide's blocks; None if it has too few. Raises SettingsError if `generator` cannot be tuned."""
        start = _package_of(generator)
        if len(tissue.addresses) < FEWEST_BLOCKS:
            return None
        collector = Collector(MOST_BLOCKS, self.settings.seed)
        held_back = collector.collect(generator, tissue, progress)
        tuned = _tuned(start, collector, self.settings, self.device, progress)
        return TunedGenerator(load_generator(tuned.package, device=self.device), held_back, tuned.gain_db)


def tune_to_slides(
    sources: Sequence[Source],
    generator: Generator,
    settings: TuneSettings,
    encoding: EncodeSettings,
    *,
    name: str | None = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Tuned:
    """Tune one generator for a scanner: to blocks of several slides, each with its base coded as `encoding` says.

    folder: holds a slide's base meanwhile; None for the system's temporary folder. Raises what `encode` and `tune`
    raise, and SettingsError if there are too few blocks of tissue.
    """
    start = _package_of(generator)
    collector = Collector(-(-MOST_BLOCKS // len(sources)), settings.seed)
    with tempfile.TemporaryDirectory(prefix="histocodec-tune-", dir=folder) as temporary:
        for source in sources:
            with coded_tissue(source, generator, encoding, Path(temporary), progress) as tissue:
                collector.collect(generator, tissue, progress)
    if len(collector.learn) + len(collector.held_back) < FEWEST_BLOCKS:
        raise SettingsError(
            f"{len(collector.learn)} blocks of tissue in {len(sources)} slides are too few to tune to: "
            f"at least {FEWEST_BLOCKS} expected"
        )
    return _tuned(start, collector, settings, device, progress, name)


def _package_of(generator: Generator) -> Package:
    """Return a generator's package. Raises SettingsError if it has none."""
    if generator.package is None:
        raise SettingsError(f"{generator.name} is no network: there is nothing to tune")
    return Package(generator.package)


def _tuned(
    start: Package,
    collector: Collector,
    settings: TuneSettings,
    device: str,
    progress: Progress,
    name: str | None = None,
) -> Tuned:
    return tune(
        start,
        collector.learn,
        collector.held_back,
        settings,
        name=name,
        device=device,
        progress=stage(progress, "tuning"),
    )
