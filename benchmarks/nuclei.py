"""Judge reconstructions by the nuclei that a segmentation finds in them: what a pathologist counts must survive.

    python -m benchmarks.nuclei --data DATA      # trains the judge again (minutes) and writes nuclei.safetensors

A small U-Net, trained on the original tiles of `train/monuseg` alone, segments originals and reconstructions of
`dev/monuseg`; both are compared with the annotators' masks. What counts is how much lower a reconstruction comes out
than the original does: the judge itself is no state of the art.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from skimage.measure import label
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.mosaic import default_data
from histocodec.geometry import Image
from histocodec.training.config import AugmentConfig
from histocodec.training.data.augment import augment, turned
from histocodec.training.data.patches import read_image

WEIGHTS = Path(__file__).parent / "nuclei.safetensors"
Mask = NDArray[np.bool_]

_WIDTHS = (16, 32, 64, 128)
_SMALLEST = 30
"""Pixels of the smallest object that counts: 2 um^2 at 0.25 um/px."""


class NucleiNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of four levels: (n, 3, h, w) RGB in 0..1 -> (n, 1, h, w) logits of nucleus.

    h and w must be multiples of 8.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *_WIDTHS)
        self.down = nn.ModuleList(_pair(a, b) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(_pair(a + b, a) for a, b in itertools.pairwise(_WIDTHS))
        self.last = nn.Conv2d(_WIDTHS[0], 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = image * 2 - 1
        levels = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            levels.append(x)
        levels.pop()
        for block in reversed(self.up):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([levels.pop(), x], 1))
        out: Tensor = self.last(x)
        return out


def _pair(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class NucleiJudge:
    """The trained U-Net."""

    def __init__(self, path: Path = WEIGHTS) -> None:
        self._network = NucleiNet()
        weights = {key: value.float() for key, value in load_file(path).items()}
        missing, unknown = self._network.load_state_dict(weights, strict=False)
        if unknown or not all(name.endswith("num_batches_tracked") for name in missing):  # which only training needs
            raise ValueError(f"{path}: weights of another network")
        self._network.eval()

    @torch.inference_mode()
    def segment(self, image: Image) -> Mask:
        """Segment (height, width, 3) uint8 RGB at 0.25 um/px.

        Returns (height, width) bool, True where a nucleus is likelier than not.
        """
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="reflect")
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        return np.asarray((self._network(x)[0, 0] > 0).numpy())[:height, :width]


@dataclass(frozen=True, slots=True)
class NucleiScore:
    """Agreement of a segmentation with the annotators' mask."""

    dice: float
    """Dice, 2 |A and B| / (|A| + |B|) of the nuclei's pixels."""
    object_f1: float
    """F1, 2 TP / (objects found + objects annotated)."""


def score_nuclei(found: Mask, truth: Mask) -> NucleiScore:
    """Compare two masks of one shape.

    Objects are 4-connected components of at least 30 px, in both masks. One that is found is a true positive if its
    intersection over union with one that is annotated is above 1/2; there can be no more than one such.
    """
    total = found.sum() + truth.sum()
    dice = float(2 * (found & truth).sum() / total) if total else 1.0
    a, b = _objects(found), _objects(truth)
    count_a, count_b = int(a.max()), int(b.max())
    if not count_a + count_b:
        return NucleiScore(dice, 1.0)
    shared = np.bincount((a * (count_b + 1) + b).ravel(), minlength=(count_a + 1) * (count_b + 1))
    shared = shared.reshape(count_a + 1, count_b + 1)[1:, 1:]
    area_a, area_b = (np.bincount(x.ravel(), minlength=n + 1)[1:] for x, n in ((a, count_a), (b, count_b)))
    hits = int((shared / (area_a[:, None] + area_b[None] - shared) > 0.5).sum())
    return NucleiScore(dice, 2 * hits / (count_a + count_b))


def _objects(mask: Mask) -> NDArray[np.int64]:
    labels = label(mask, connectivity=1)
    areas = np.bincount(labels.ravel())
    kept = areas >= _SMALLEST
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    return np.asarray(numbers[labels], np.int64)


def read_mask(path: Path) -> Mask:
    """Read a mask picture, True where it is not 0."""
    mask = imagecodecs.imread(path)
    return np.asarray((mask if mask.ndim == 2 else mask[..., 0]) > 0)


def train_judge(data: Path, steps: int, seed: int = 1) -> NucleiNet:
    """Train on `train/monuseg`: binary cross-entropy and soft Dice, Adam, half a cosine of rates."""
    paths = sorted((data / "train" / "monuseg").glob("*.jxl"))
    images = [read_image(path) for path in paths]
    masks = [read_mask(data / "train" / "monuseg_nuclei" / f"{path.stem}.png") for path in paths]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = NucleiNet()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    settings = AugmentConfig(colour=0.7, blur=0.2, noise=0.2)
    for step in range(steps):
        batch = [_crop(images, masks, settings, rng) for _ in range(4)]
        x = torch.stack([image for image, _ in batch])
        truth = torch.stack([mask for _, mask in batch])
        logits = network(x)
        chance = torch.sigmoid(logits)
        dice = 1 - (2 * (chance * truth).sum() + 1) / (chance.sum() + truth.sum() + 1)
        loss = functional.binary_cross_entropy_with_logits(logits, truth) + dice
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1} of {steps}, loss {loss.item():.4f}", file=sys.stderr, flush=True)
    return network


def _crop(
    images: list[Image], masks: list[Mask], settings: AugmentConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a random 256 px crop and its mask, turned and mirrored alike."""
    index, side = int(rng.integers(len(images))), 256
    y, x = (int(rng.integers(length - side + 1)) for length in masks[index].shape)
    # As one image of four channels, they turn together.
    both = np.dstack([images[index], masks[index].astype(np.uint8)])[y : y + side, x : x + side]
    both = turned(both, rng)
    changed = augment(np.ascontiguousarray(both[..., :3]), settings, rng)
    return (
        torch.tensor(changed).permute(2, 0, 1).float() / 255,
        torch.from_numpy(np.ascontiguousarray(both[..., 3]))[None].float(),
    )


def main() -> int:
    """Train the judge and print its scores on the originals of the development tiles."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nuclei", description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--steps", type=int, default=350)
    options = parser.parse_args()
    network = train_judge(options.data, options.steps)
    save_file({k: v.half() for k, v in network.state_dict().items() if v.is_floating_point()}, WEIGHTS)
    judge = NucleiJudge()
    for path in sorted((options.data / "dev" / "monuseg").glob("*.jxl")):
        truth = read_mask(options.data / "dev" / "monuseg_nuclei" / f"{path.stem}.png")
        print(path.stem, score_nuclei(judge.segment(read_image(path)), truth))
    return 0


if __name__ == "__main__":
    sys.exit(main())
