"""The discriminator of adversarial training."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class UNetDiscriminator(nn.Module):
    """A U-Net with spectral normalisation that judges every pixel (Real-ESRGAN, Wang et al. 2021).

    Three halvings by convolutions with a stride of 2, three enlargements by bilinear interpolation, sums across.
    features: channels of the first convolution; the deepest has eight times as many.
    """

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        f = features
        self.first = nn.Conv2d(3, f, 3, padding=1)
        self.down = nn.ModuleList(_normalised(nn.Conv2d(f << k, f << (k + 1), 4, 2, 1, bias=False)) for k in range(3))
        self.up = nn.ModuleList(
            _normalised(nn.Conv2d(f << (k + 1), f << k, 3, padding=1, bias=False)) for k in reversed(range(3))
        )
        self.smooth = nn.ModuleList(_normalised(nn.Conv2d(f, f, 3, padding=1, bias=False)) for _ in range(2))
        self.last = nn.Conv2d(f, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return (n, 1, h, w) logits of realness for (n, 3, h, w) RGB in 0..1, h and w multiples of 8."""
        levels = [functional.leaky_relu(self.first(image), 0.2)]
        for down in self.down:
            levels.append(functional.leaky_relu(down(levels[-1]), 0.2))
        x = levels.pop()
        for up in self.up:
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = functional.leaky_relu(up(x), 0.2) + levels.pop()
        for smooth in self.smooth:
            x = functional.leaky_relu(smooth(x), 0.2)
        out: Tensor = self.last(x)
        return out


def _normalised(conv: nn.Conv2d) -> nn.Module:
    return spectral_norm(conv)
