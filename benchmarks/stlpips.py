"""ST-LPIPS: a learned perceptual distance that forgives shifts of a pixel (Ghildyal and Liu, ECCV 2022).

Features of an AlexNet whose first convolution has a stride of 1 and whose reductions blur first; each pixel's feature
vector scaled to length 1, squared differences weighted by channel, averaged over the pixels, summed over five layers.
0 for equal images; larger is worse. Written after the paper; the weights (BSD-2-Clause) are not part of this project.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from histocodec.geometry import Image

_CONVOLUTIONS = ((1, 0, 2), (2, 5, 2), (3, 9, 1), (4, 11, 1), (5, 13, 1))
"""Convolutions: slice, number within the network, padding."""


class PerceptualDistance:
    """ST-LPIPS with the AlexNet trunk."""

    def __init__(self, path: Path) -> None:
        """Load the weights. path: safetensors with `net.sliceN.M.*`, `linN.model.1.weight` and `scaling_layer.*`."""
        self._tensors = load_file(path)

    @torch.inference_mode()
    def __call__(self, a: Image, b: Image) -> float:
        """Compare two (height, width, 3) uint8 RGB images of one size, at least 64 px a side."""
        total = 0.0
        for layer, (x, y) in enumerate(zip(self._features(a), self._features(b), strict=True)):
            difference = (functional.normalize(x, dim=1, eps=1e-10) - functional.normalize(y, dim=1, eps=1e-10)) ** 2
            total += float(functional.conv2d(difference, self._tensors[f"lin{layer}.model.1.weight"]).mean())
        return total

    def _features(self, image: Image) -> list[Tensor]:
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = (x - self._tensors["scaling_layer.shift"]) / self._tensors["scaling_layer.scale"]
        found = []
        for slice_number, index, padding in _CONVOLUTIONS:
            name = f"net.slice{slice_number}.{index}"
            if slice_number in (2, 3):
                x = _blurred_half(functional.max_pool2d(x, 3, stride=1))
            x = functional.conv2d(x, self._tensors[name + ".weight"], self._tensors[name + ".bias"], padding=padding)
            x = functional.relu(_blurred_half(x) if slice_number == 1 else x)
            found.append(x)
        return found


def _blurred_half(x: Tensor) -> Tensor:
    """Return every second pixel of the image blurred by (1, 2, 1) / 4 each way, two pixels mirrored at the edges."""
    channels = x.shape[1]
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = (row[:, None] * row).expand(channels, 1, 3, 3)
    return functional.conv2d(functional.pad(x, [2, 2, 2, 2], mode="reflect"), kernel, stride=2, groups=channels)
