"""The decisions that are made before the slide is scanned: the base, its generator, and the bytes that there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import GeneratorError, SettingsError
from ..generators.catalogue import default_package, downsampler_for, load_generator
from ..generators.package import Package
from ..pixels.resampler import Downsampler, Generator
from ..runtime.progress import Progress
from ..source import Source
from .base_choice import TissueSample, decide_base, usual_base
from .settings import EncodeSettings


@dataclass(frozen=True)
class Plan:
    """Every choice that is made before the slide is scanned."""

    source: Source
    settings: EncodeSettings
    """The user's, with the base decided."""
    scale: int
    """Full pixels per base pixel."""
    downsampler: Downsampler
    load_generator: Callable[[], Generator]
    """Gives the generator, and waits for it if it is still being loaded."""
    budget_bytes: int | None
    """Bytes that the file may take; None for no bound."""
    notes: tuple[str, ...] = ()
    """Sentences for the user on what was decided."""

    @property
    def scratch_bytes(self) -> int:
        """Bytes of disk that the uncoded base and its reduced levels take, and a little more."""
        raw_bytes = self.source.size.divided(self.scale).area * 3
        return raw_bytes + raw_bytes // 4


def make_plan(
    source: Source,
    generator: Generator | None,
    settings: EncodeSettings,
    *,
    tuned: bool,
    progress: Progress,
    sample: TissueSample | None = None,
) -> Plan:
    """Decide on scale, downsampler, generator and budget before the slide is scanned.

    generator: None for the default one, which is loaded while the source is read: importing torch takes seconds.
    tuned: the generator will be tuned to the slide. sample: as `decide_base` takes it. Raises SettingsError,
    GeneratorError, UnsupportedResolution, SourceReadError.
    """
    if settings.base is None:
        settings = dataclasses.replace(settings, base=usual_base(source, settings, own_generator=generator is not None))
    if settings.base == "auto" and generator is not None:
        raise SettingsError(f"base auto knows the default generators: {generator.name} decides on one by itself")
    budget_bytes = None if settings.ratio is None else int(source.size_bytes / settings.ratio)
    scale, base, notes = decide_base(source, settings, budget_bytes, progress, sample)
    if generator is not None and generator.scale != scale:
        raise GeneratorError(
            f"generator {generator.name} enlarges {generator.scale} times, the base of {source.path.name} needs {scale}"
        )
    builtin = generator is not None and generator.digest.startswith("builtin:")
    must_embed = settings.embed_generator or (settings.archive and not builtin)
    if must_embed and generator is not None and generator.package is None:
        raise SettingsError(f"{generator.name} has no package that could be embedded")
    if tuned and settings.embed_generator is False:
        raise SettingsError("a tuned generator exists nowhere but in its file: it has to be embedded")
    if generator is None:
        package = default_package(scale, settings.codec)
        downsampler, load = downsampler_for(package, scale, settings.downsampling), _loading(package)
    else:
        downsampler, load = downsampler_for(generator, scale, settings.downsampling), lambda: generator
    return Plan(source, dataclasses.replace(settings, base=base), scale, downsampler, load, budget_bytes, notes)


def _loading(package: Package) -> Callable[[], Generator]:
    """Begin to load a generator in a thread of its own; the result waits for it."""
    loader = ThreadPoolExecutor(1, thread_name_prefix="histocodec-loader")
    loading = loader.submit(load_generator, package)
    loader.shutdown(wait=False)
    return loading.result
