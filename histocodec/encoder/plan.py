"""The decisions that are made before the slide is read: the base, who predicts from it, how many bytes there are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import GeneratorError, SettingsError, UnsupportedResolution
from ..format.origin import check_origin
from ..generators.catalogue import default_generator, default_package, downsampler_for, load_generator
from ..generators.package import Package
from ..pixels.resampler import Downsampler, Generator
from ..runtime.progress import Progress
from ..source import Source
from .base_choice import Candidate, choose_base
from .settings import BASE_MPP, Base, EncodeSettings


@dataclass(frozen=True)
class Plan:
    """Every choice that is made before the slide is read."""

    source: Source
    settings: EncodeSettings
    """The user's, with the base decided."""
    scale: int
    """Full pixels per base pixel."""
    downsampler: Downsampler
    load_generator: Callable[[], Generator]
    """Gives the generator, and waits for it if it is still being loaded."""
    budget: int | None
    """Bytes that the file may take; None for no bound."""
    notes: tuple[str, ...] = ()
    """Sentences for the user on what was decided."""

    @property
    def scratch_bytes(self) -> int:
        """Bytes of disk that the uncoded base and its reduced levels take, and a little more."""
        raw_bytes = self.source.size.divided(self.scale).area * 3
        return raw_bytes + raw_bytes // 4


def base_scale(source: Source, base: Base = "10x") -> int:
    """Return the full pixels per base pixel: the power of two that brings the slide nearest to the base's resolution.

    Raises UnsupportedResolution unless that is 2 or 4.
    """
    exponent = math.log2(BASE_MPP[base] / source.mpp)
    if round(exponent) not in (1, 2):
        low, high = BASE_MPP[base] / 2**2.5, BASE_MPP[base] / 2**0.5
        raise UnsupportedResolution(
            source.path,
            f"{source.mpp:g} um/px is out of range: a {base} base is made from slides of {low:.3g} to {high:.3g} um/px",
        )
    return int(2 ** round(exponent))


def make_plan(
    source: Source, generator: Generator | None, settings: EncodeSettings, *, tuned: bool, progress: Progress
) -> Plan:
    """Decide on everything that the slide's pixels need not be coded for.

    generator: None for the default one, which is loaded while the source is read: importing torch takes seconds.
    tuned: the generator will be tuned to the slide. Raises SettingsError, GeneratorError, UnsupportedResolution,
    SourceReadError.
    """
    if settings.base == "auto" and generator is not None:
        raise SettingsError(f"base auto compares the default generators: {generator.name} decides on one by itself")
    if settings.regions is not None:
        check_origin(settings.regions.origin, source.properties)
    budget = None if settings.ratio is None else int(source.size_bytes / settings.ratio)
    notes: tuple[str, ...] = ()
    if settings.base == "auto":
        settings, note = _with_better_base(source, settings, progress)
        notes = (note,)
    assert settings.base != "auto"
    scale = base_scale(source, settings.base)
    if generator is not None and generator.scale != scale:
        raise GeneratorError(
            f"generator {generator.name} enlarges {generator.scale} times, the base of {source.path.name} needs {scale}"
        )
    if settings.embed_generator and generator is not None and generator.package is None:
        raise SettingsError(f"{generator.name} has no package that could be embedded")
    if tuned and settings.embed_generator is False:
        raise SettingsError("a tuned decoder exists nowhere but in its file: it has to be embedded")
    if generator is None:
        package = default_package(scale, settings.codec)
        downsampler, load = downsampler_for(package, scale, settings.downsampling), _loading(package)
    else:
        downsampler, load = downsampler_for(generator, scale, settings.downsampling), lambda: generator
    return Plan(source, settings, scale, downsampler, load, budget, notes)


def _with_better_base(source: Source, settings: EncodeSettings, progress: Progress) -> tuple[EncodeSettings, str]:
    """Return the settings with the base that a sample of the tissue speaks for, and a sentence on why."""
    candidates: dict[Base, Candidate] = {}
    for base in BASE_MPP:
        try:
            scale = base_scale(source, base)
        except UnsupportedResolution as error:
            refused = error
            continue
        generator = default_generator(scale, settings.codec)
        candidates[base] = Candidate(generator, downsampler_for(generator, scale, settings.downsampling))
    if not candidates:
        raise refused
    assert settings.ratio is not None
    budget = int(source.size_bytes / settings.ratio)
    choice = choose_base(
        source,
        candidates,
        settings.codec,
        budget,
        seed=settings.seed,
        workers=settings.workers,
        progress=progress,
    )
    if len(choice.psnr_db) > 1:
        compared = " and ".join(f"{base} {psnr_db:.2f} dB" for base, psnr_db in choice.psnr_db.items())
        why = f"{compared} on {choice.patches} patches of tissue, at equal bytes"
    else:
        alone = len(candidates) == 1 or bool(choice.psnr_db)
        why = "no other base is possible" if alone else "no tissue to compare them on"
    return dataclasses.replace(settings, base=choice.base), f"base {choice.base}: {why}"


def _loading(package: Package) -> Callable[[], Generator]:
    """Begin to load a generator in a thread of its own; the result waits for it."""
    loader = ThreadPoolExecutor(1, thread_name_prefix="histocodec-loader")
    loading = loader.submit(load_generator, package)
    loader.shutdown(wait=False)
    return loading.result
