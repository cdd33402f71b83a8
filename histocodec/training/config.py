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
from ..format.entries import LICENCE, NAME
from ..format.strict_json import MAX_WHOLE
from ..pixels.av1 import SPEED
from ..pixels.tile_codecs import QUALITY_SCALES, TileCodec

Share = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network, and the weights that it starts from."""

    architecture: Literal["plain", "rrdb"]
    """Network class, see `training.networks`."""
    hyperparameters: dict[str, int]
    """Arguments of that class."""
    while_training: dict[str, int] = {}
    """Hyperparameters that differ until the network is packaged, such as a halo of 0 where convolutions are padded."""
    start: str | None = None
    """Weights to start from: a package, or safetensors with the architecture's tensor names; or the name of a
    generator that ships. A path is relative to the data folder."""


class DataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data that are trained on, and those that are only measured. Paths are relative to the data folder."""

    train: dict[str, Share]
    """Tiles, slides or folders of them, each with its share of the draws."""
    measure: list[str] = []
    """Folders of tiles on which the finished generator is measured. The first is watched through training."""
    measure_crop: Annotated[int, Meta(ge=0)] = 0
    """Full pixels a side of the middle of each tile that is measured at the end; 0 for whole tiles."""
    mpp: Positive = 0.25
    """Micrometres per pixel; slides more than 30 % off are refused. Tiles do not state theirs."""
    downsampler: str | None = None
    """Downsampler that makes the bases, where it is neither the box average nor trained as well: the name of one that
    ships, or the path of a package."""
    patch: Annotated[int, Meta(ge=64, le=4096)] = 1024
    """Full pixels a side of a patch."""
    entropy_bits: Annotated[float, Meta(ge=0, le=8)] = 7.0
    """A patch is kept if the Shannon entropy of its grey histogram is above this; 0 keeps all but flat ones."""
    patches_per_slide: Count = 64
    """Most patches that are drawn of a slide; they stay in memory, patch^2 * 3 bytes each."""


class AugmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a patch beside the eight symmetries of the square: the probability of each, and its strength."""

    colour: Fraction = 0.5
    """Probability of a change of gain and gamma, of all channels together and of each."""
    resample: Fraction = 0.0
    """Probability of a change of size."""
    resample_range: tuple[Positive, Positive] = (0.83, 1.25)
    """Factor of the size: 0.25 um/px becomes 0.30 to 0.20."""
    blur: Fraction = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.3, 0.9)
    """Standard deviation of the blur in pixels."""
    sharpen: Fraction = 0.0
    """Probability of an unsharp mask, of the patches that were not blurred."""
    sharpen_percent: tuple[float, float] = (20.0, 90.0)
    """Strength of the unsharp mask in per cent."""
    noise: Fraction = 0.0
    """Probability of noise."""
    noise_levels: tuple[float, float] = (1.0, 5.0)
    """Standard deviation of the noise in 8-bit steps."""
    jpeg: Fraction = 0.0
    """Probability that the patch is JPEG-coded before it is used: a scanner's grid."""
    jpeg_quality: tuple[int, int] = (70, 95)
    """JPEG quality."""
    glass: Fraction = 0.0
    """Share of the draws that are bare glass: a flat light colour with a sensor's noise."""


class BaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way in which bases are coded."""

    codec: Literal["uncoded", "jp2k", "av1", "jpeg"]
    """Codec of the base."""
    share: Share
    """Weight of this way among all."""
    quality: tuple[float, float] = (0.0, 0.0)
    """Range of the codec quality, drawn uniformly, both ends included."""
    speed: Annotated[int, Meta(ge=0, le=10)] = SPEED
    """Speed of libaom for bases in `av1`."""

    @property
    def tile_codec(self) -> TileCodec | None:
        """Codec of the base; None for an uncoded one."""
        return None if self.codec == "uncoded" else self.codec


class LossConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The loss, L = pixel * L_pixel + perceptual * L_VGG + adversarial * L_GAN."""

    pixel: Share = 1.0
    """Weight of L_pixel."""
    error: Literal["l1", "rms"] = "l1"
    """L_pixel: the mean absolute error, or the mean over the crops of the root of the mean squared error, which is
    nearer to the PSNR that is reported: an easy crop weighs as much as a hard one."""
    perceptual: Share = 0.0
    """Weight of L_VGG."""
    perceptual_from_step: Annotated[int, Meta(ge=0)] = 0
    """First step with L_VGG."""
    perceptual_stages: Annotated[int, Meta(ge=1, le=5)] = 5
    """Stages of VGG. The first three see textures, the later ones shapes, for which a slide's crop is hardly large
    enough."""
    adversarial: Share = 0.0
    """Weight of L_GAN."""
    vgg: str | None = None
    """VGG16 or VGG19 weights with torchvision's names, as safetensors; relative to the data folder."""
    relativistic: bool = False
    """Relativistic average GAN (Jolicoeur-Martineau 2018) instead of the non-saturating one."""
    discriminator_features: Annotated[int, Meta(ge=4, le=256)] = 64
    """Channels of the discriminator's first convolution."""
    adversarial_from_step: Annotated[int, Meta(ge=0)] = 0
    """First step with L_GAN."""


class DownsamplerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A downsampler that is trained together with the generator; see `training.joint_downsampling`."""

    name: str
    """Name of its package."""
    features: Annotated[int, Meta(ge=1, le=256)] = 32
    """Channels of its convolutions."""
    learning_rate: Positive = 5e-4
    """Learning rate of Adam."""
    near: Share = 60.0
    """Weight of the mean squared difference to the box average (levels 0..1), beside a loss in units of log(error)."""
    near_coarse: Share = 1500.0
    """Weight of that difference between means over 4 x 4 base pixels: the colours and contrast seen at a glance."""


class ScheduleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps, batches and rates."""

    steps: Count
    """Steps of the whole run; the most that it can have where `seconds` decides."""
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    """Time for the steps of the whole run, over all the calls that it takes; 0: `steps` decides. At the end of the
    warm-up, the steps are planned from what its steps took, and kept: the learning rate ends with them."""
    batch: Count = 8
    """Crops of a step."""
    crop: Annotated[int, Meta(ge=8, le=256)] = 64
    """Base pixels a side of a training crop, halo aside."""
    expansion: Annotated[int, Meta(ge=0, le=16)] = 0
    """Width of the expansion that the body's convolutions train with, over their output channels; 0 for none. It does
    not ship."""
    optimiser: Literal["muon", "adam"] = "muon"
    """Optimiser of the convolutions."""
    learning_rate: Positive = 0.01
    """Learning rate of the optimiser that is named."""
    adam_learning_rate: Positive = 1e-3
    """Learning rate of Adam beside Muon, for the biases and the last convolution."""
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.0
    """Weight decay of Muon: each step takes `learning_rate * weight_decay` of the weights away, which keeps those of a
    long run from growing without end (benchmarks/NOTES.md)."""
    pool: Annotated[int, Meta(ge=0)] = 0
    """Crops that are held on the device and drawn from again and again, while other processes replace the oldest: a GPU
    asks for crops faster than they can be coded. 0: every crop is used once, in an order that the seed fixes. With a
    pool the order is the machine's, so a second run gives other weights, of equal quality."""
    draws_per_crop: Share = 0.0
    """How often a crop of the pool is drawn before those who make crops make another: they leave the cores to the
    steps. 0: they never wait."""
    final_share: Fraction = 1e-3
    """Share of the learning rate that is left at the end of the half cosine."""
    warmup_steps: Annotated[int, Meta(ge=0)] = 50
    """Steps in which the learning rate rises from zero."""
    restarts: list[int] = []
    """Steps, ascending, at which the learning rate is raised again (SGDR, Loshchilov and Hutter 2017)."""
    restart_share: Fraction = 0.6
    """Share of the last peak that each restart goes back to."""
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    """Decay of the exponential moving average of the weights; the average is what ships."""
    log_every: Count = 50
    """Steps between rows of the log."""
    watch_every: Count = 250
    """Steps between measurements on the watched tiles; each is logged."""
    watch_crop: Annotated[int, Meta(ge=64)] = 512
    """Full pixels a side of the middle of a watched tile that is measured."""
    save_every: Count = 100
    """Steps between checkpoints."""


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration of one run.

    Without a pool, the same configuration, data and machine give the same weights.
    """

    name: str
    """Name of the generator: letters, digits, spaces and ._+-, at most 64."""
    licence: str
    """Licence of the weights, which the data decide: a name as SPDX or Creative Commons have it, such as `CC BY 4.0`
    (`generators.licences` knows which permit any use), or a sentence."""
    network: NetworkConfig
    data: DataConfig
    schedule: ScheduleConfig
    bases: list[BaseConfig]
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    downsampler: DownsamplerConfig | None = None
    purpose: str = ""
    """A sentence for the model card."""
    generation: Annotated[int, Meta(ge=1, le=MAX_WHOLE)] = 1
    """Generation of the weights: higher for those that replace others. Files say which one they need."""
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
    """Check a configuration given as TOML tables. Raises SettingsError."""
    try:
        config = msgspec.convert(raw, TrainConfig)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}") from error
    for problem in _problems(config):
        raise SettingsError(f"{where}: {problem}")
    return config


def _problems(config: TrainConfig) -> list[str]:
    """List the problems that no single field's type can tell."""
    found = []
    if not NAME.fullmatch(config.name):
        found.append(f"name: letters, digits, spaces and ._+- expected, found {config.name!a:.80}")
    if not LICENCE.fullmatch(config.licence):
        found.append(f"licence: 1 to 200 printable characters of ASCII expected, found {config.licence!a:.80}")
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
            found.append(
                f"downsampler.name: letters, digits, spaces and ._+- expected, found {config.downsampler.name!a:.80}"
            )
        if config.downsampler.name == config.name:
            found.append("downsampler.name: another name than the generator's expected, since both are written")
        if any(base.share and base.codec != "av1" for base in config.bases):
            found.append("downsampler: it is trained with a stand-in for AV1, so all bases have to be coded as that")
        if not config.schedule.pool:
            found.append("downsampler: schedule.pool expected, since other processes make bases with it meanwhile")
    if config.loss.adversarial and config.schedule.crop % 8:
        found.append(f"schedule.crop: a multiple of 8 expected with an adversarial loss, found {config.schedule.crop}")
    ends = [0, *config.schedule.restarts, config.schedule.steps]
    if sorted(set(ends)) != ends:
        found.append(f"schedule.restarts: ascending steps between 0 and {config.schedule.steps} expected")
    if config.schedule.seconds and (config.schedule.restarts or not config.schedule.warmup_steps):
        found.append("schedule.seconds: a warm-up, to be timed, and no restarts expected with it")
    loss = config.loss
    if not loss.pixel + loss.perceptual + loss.adversarial:
        found.append("loss: all three weights are 0")
    if loss.perceptual and loss.vgg is None:
        found.append("loss.vgg: the perceptual loss needs the path of VGG weights")
    return found


def as_tables(config: TrainConfig) -> dict[str, Any]:
    """Return a configuration as JSON values, defaults included, as a run and a package record it."""
    tables: dict[str, Any] = json.loads(msgspec.json.encode(config))
    return tables
