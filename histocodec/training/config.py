"""The configuration of a training run: a TOML file, checked against these types, ranges and names.

Unknown keys are errors: a misspelt setting must not train for a night with its default.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..errors import SettingsError
from ..format.entries import NAME
from ..pixels.tile_codecs import QUALITY_SCALES, TileCodec

Share = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which network, and what it starts from."""

    architecture: Literal["plain", "rrdb"]
    hyperparameters: dict[str, int]
    while_training: dict[str, int] = {}
    """Hyperparameters that differ until the network is packaged, such as a halo of 0 where convolutions are padded."""
    start: str | None = None
    """Weights to start from: a model package, or safetensors with the architecture's tensor names; or the name of a
    generator that ships. A path is relative to the data folder."""


class DataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is trained on, and what is only measured. Paths are relative to the data folder."""

    train: dict[str, Share]
    """Tiles, slides or folders of them, each with its share of the draws."""
    measure: list[str] = []
    """Folders of tiles on which the finished generator is measured. The first is watched through training."""
    measure_crop: Annotated[int, Meta(ge=0)] = 0
    """Full pixels a side of the middle of each tile that is measured at the end; 0 for whole tiles."""
    mpp: Positive = 0.25
    """Micrometres per pixel; slides more than 30 % off are refused. Tiles do not state theirs."""
    downsampler: str | None = None
    """What makes the bases, if it is not the box average and is not trained as well: the name of one that ships, or the
    path of a package."""
    patch: Annotated[int, Meta(ge=64, le=4096)] = 1024
    """Full pixels a side."""
    entropy_bits: Annotated[float, Meta(ge=0, le=8)] = 7.0
    """A patch is kept if the Shannon entropy of its grey histogram is above this; 0 keeps all but flat ones."""
    patches_per_slide: Count = 64
    """At most so many are drawn of a slide; they stay in memory, patch^2 * 3 bytes each."""


class AugmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a patch, beside the eight symmetries of the square: with which probability, and how much."""

    colour: Fraction = 0.5
    """Gain and gamma, of all channels together and of each."""
    resample: Fraction = 0.0
    resample_range: tuple[Positive, Positive] = (0.83, 1.25)
    """0.25 um/px becomes 0.30 to 0.20."""
    blur: Fraction = 0.0
    blur_sigma: tuple[float, float] = (0.3, 0.9)
    sharpen: Fraction = 0.0
    """Of the patches that were not blurred."""
    sharpen_percent: tuple[float, float] = (20.0, 90.0)
    noise: Fraction = 0.0
    noise_levels: tuple[float, float] = (1.0, 5.0)
    """Standard deviation in 8-bit steps."""
    jpeg: Fraction = 0.0
    jpeg_quality: tuple[int, int] = (70, 95)
    """The patch is JPEG-coded before it is used: a scanner's grid."""
    glass: Fraction = 0.0
    """Of the draws that are bare glass: a flat light colour with a sensor's noise."""


class BaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way that bases are coded: how often, and with which qualities (uniform, both ends included)."""

    codec: Literal["uncoded", "jp2k", "avif", "jpeg"]
    share: Share
    quality: tuple[float, float] = (0.0, 0.0)

    @property
    def tile_codec(self) -> TileCodec | None:
        return None if self.codec == "uncoded" else self.codec


class LossConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """L = pixel * L_pixel + perceptual * L_VGG + adversarial * L_GAN."""

    pixel: Share = 1.0
    error: Literal["l1", "rms"] = "l1"
    """L_pixel: the mean absolute error, or the mean over the crops of the root of the mean squared error, which is
    nearer to the PSNR that is reported: an easy crop weighs as much as a hard one."""
    perceptual: Share = 0.0
    perceptual_from_step: Annotated[int, Meta(ge=0)] = 0
    perceptual_stages: Annotated[int, Meta(ge=1, le=5)] = 5
    """Of VGG; the first three see textures, the later ones shapes, for which a slide's crop is hardly large enough."""
    adversarial: Share = 0.0
    vgg: str | None = None
    """VGG16 or VGG19 weights with torchvision's names, as safetensors; relative to the data folder."""
    relativistic: bool = False
    """Relativistic average GAN (Jolicoeur-Martineau 2018) instead of the non-saturating one."""
    discriminator_features: Annotated[int, Meta(ge=4, le=256)] = 64
    adversarial_from_step: Annotated[int, Meta(ge=0)] = 0


class DownsamplerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A downsampler that is trained together with the generator; see `histocodec.training.downsampling`."""

    name: str
    """Of its package."""
    features: Annotated[int, Meta(ge=1, le=256)] = 32
    learning_rate: Positive = 5e-4
    near: Share = 60.0
    """Of the mean squared difference to the box average (levels 0..1), beside a loss in units of log(error)."""
    near_coarse: Share = 1500.0
    """The same of means over 4 x 4 base pixels: colours and contrast of what anyone would see at a glance."""


class ScheduleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps, batches and rates."""

    steps: Count
    batch: Count = 8
    crop: Annotated[int, Meta(ge=8, le=256)] = 64
    """Base pixels a side of a training crop, halo aside."""
    expansion: Annotated[int, Meta(ge=0, le=16)] = 0
    """Of the body's convolutions while they train, times their output channels; 0 for none. Nothing of it ships."""
    optimiser: Literal["muon", "adam"] = "muon"
    learning_rate: Positive = 0.01
    """Of the optimiser that is named."""
    adam_learning_rate: Positive = 1e-3
    """With muon: of the biases and the last convolution, which Adam trains."""
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.0
    """With muon: each step takes `learning_rate * weight_decay` of the weights away, which keeps a long run's from
    growing without end (benchmarks/NOTES.md)."""
    pool: Annotated[int, Meta(ge=0)] = 0
    """Crops that are held on the device and drawn from again and again, while other processes replace the oldest: a GPU
    asks for crops faster than they can be coded. 0: every crop is used once, in an order that the seed fixes. With a
    pool the order is the machine's, so a second run gives other weights, of equal quality."""
    final_share: Fraction = 1e-3
    """Of the learning rate that is left at the end of the half cosine."""
    warmup_steps: Annotated[int, Meta(ge=0)] = 50
    restarts: list[int] = []
    """Steps, ascending, at which the learning rate is raised again (SGDR, Loshchilov and Hutter 2017)."""
    restart_share: Fraction = 0.6
    """Of the last peak that each restart goes back to."""
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    """Decay of the exponential moving average of the weights; the average is what ships."""
    log_every: Count = 50
    watch_every: Count = 250
    """Steps between measurements on the watched tiles; each is logged."""
    watch_crop: Annotated[int, Meta(ge=64)] = 512
    """Full pixels a side of the middle of a watched tile that is measured."""
    save_every: Count = 100


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run, completely: the same configuration, data and machine give the same weights."""

    name: str
    """Of the generator: letters, digits and ._+-, at most 64."""
    licence: str
    """Of the weights; the data decide."""
    network: NetworkConfig
    data: DataConfig
    schedule: ScheduleConfig
    bases: list[BaseConfig]
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    downsampler: DownsamplerConfig | None = None
    purpose: str = ""
    """A sentence for the model card."""
    seed: Annotated[int, Meta(ge=0)] = 1


def load_config(path: Path) -> TrainConfig:
    """Read and check a configuration. Raises SettingsError, which names the key and what was expected."""
    if path.is_fifo():  # reading it would wait for a writer
        raise SettingsError(f"{path}: expected a TOML file, found a pipe")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    return parse_config(raw, str(path))


def parse_config(raw: dict[str, Any], where: str = "configuration") -> TrainConfig:
    """A configuration from its TOML tables. Raises SettingsError."""
    try:
        config = msgspec.convert(raw, TrainConfig)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}") from error
    for problem in _problems(config):
        raise SettingsError(f"{where}: {problem}")
    return config


def _problems(config: TrainConfig) -> list[str]:
    """What no single field's type can say."""
    found = []
    if not NAME.fullmatch(config.name):
        found.append(f"name: letters, digits and ._+- expected, found {config.name!a:.80}")
    if both := set(config.data.train) & set(config.data.measure):
        found.append(f"data.measure: {', '.join(sorted(both))} would be trained on as well")
    if not config.data.train or not sum(config.data.train.values()):
        found.append("data.train: at least one tile, slide or folder with a share above 0 expected")
    if not config.bases or not sum(base.share for base in config.bases):
        found.append("bases: at least one way of coding with a share above 0 expected")
    for base in config.bases:
        if base.tile_codec is not None:
            for quality in base.quality:
                try:
                    QUALITY_SCALES[base.tile_codec].check(quality)
                except SettingsError as error:
                    found.append(f"bases: {base.codec}: {error}")
            if base.quality[0] > base.quality[1]:
                found.append(f"bases: {base.codec}: quality from low to high expected, found {base.quality}")
    for name in ("resample_range", "blur_sigma", "sharpen_percent", "noise_levels", "jpeg_quality"):
        low, high = getattr(config.augment, name)
        if not 0 <= low <= high or (name == "jpeg_quality" and not 1 <= low <= high <= 100):
            found.append(f"augment.{name}: from low to high expected, found {[low, high]}")
    if config.schedule.weight_decay and config.schedule.optimiser != "muon":
        found.append("schedule.weight_decay: it is Muon's; 0 expected with another optimiser")
    if config.downsampler is not None:
        if config.data.downsampler is not None:
            found.append("data.downsampler: none expected where one is trained")
        if not NAME.fullmatch(config.downsampler.name):
            found.append(f"downsampler.name: letters, digits and ._+- expected, found {config.downsampler.name!a:.80}")
        if config.downsampler.name == config.name:
            found.append("downsampler.name: another name than the generator's expected, since both are written")
        if any(base.share and base.codec != "avif" for base in config.bases):
            found.append("downsampler: it is trained with a stand-in for AVIF, so all bases have to be coded as that")
        if not config.schedule.pool:
            found.append("downsampler: schedule.pool expected, since other processes make bases with it meanwhile")
    if config.loss.adversarial and config.schedule.crop % 8:
        found.append(f"schedule.crop: a multiple of 8 expected with an adversarial loss, found {config.schedule.crop}")
    ends = [0, *config.schedule.restarts, config.schedule.steps]
    if sorted(set(ends)) != ends:
        found.append(f"schedule.restarts: ascending steps between 0 and {config.schedule.steps} expected")
    loss = config.loss
    if not loss.pixel + loss.perceptual + loss.adversarial:
        found.append("loss: all three weights are 0")
    if loss.perceptual and loss.vgg is None:
        found.append("loss.vgg: the perceptual loss needs the path of VGG weights")
    return found


def as_tables(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON values, defaults included: what a run and a package record."""
    tables: dict[str, Any] = json.loads(msgspec.json.encode(config))
    return tables
