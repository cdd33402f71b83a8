"""Small networks with random weights, for files that embed their generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from histocodec.generators.package import METADATA_KEY, Package, PackageCard

Shapes = dict[str, tuple[tuple[int, ...], int]]
"""Of the weights by layer: the shape, and the spread of the numbers in 1/1024."""


def network_package(kind: str = "plain") -> Package:
    """A small network with random weights that half precision holds exactly; `kind` names one of `NETWORKS`."""
    architecture, hyperparameters, scale, halo, shapes = NETWORKS[kind]
    rng = np.random.Generator(np.random.PCG64(4))

    def weights(shape: tuple[int, ...], spread: int) -> NDArray[np.float16]:
        return (rng.integers(-spread, spread + 1, shape) / 1024).astype(np.float16)

    tensors = {}
    for layer, (shape, spread) in shapes.items():
        tensors[f"{layer}.weight"] = weights(shape, spread)
        tensors[f"{layer}.bias"] = weights(shape[:1], 20 if layer == "tail" else 100)
    card = PackageCard(
        name=f"vector-{kind}-x{scale}",
        architecture=architecture,
        hyperparameters=hyperparameters,
        scale=scale,
        halo=halo,
        licence="Apache-2.0",
        training={"data": "none: random weights, to test decoders"},
    )
    return Package(save_tensors(tensors, metadata={METADATA_KEY: card.to_json()}))


def _plain_shapes(channels: int, scale: int) -> Shapes:
    body = ((channels, channels, 3, 3), 250)
    tail = ((3 * scale * scale, channels, 3, 3), 60)
    return {"head": ((channels, 3, 3, 3), 300), "body.0": body, "body.1": body, "tail": tail}


def _rrdb_shapes(features: int, growth: int) -> Shapes:
    square = ((features, features, 3, 3), 200)
    shapes: Shapes = {"conv_first": ((features, 3, 3, 3), 300)}
    for m, k in np.ndindex(3, 5):
        out = growth if k < 4 else features
        shapes[f"body.0.rdb{m + 1}.conv{k + 1}"] = ((out, features + k * growth, 3, 3), 200)
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), square)
    return {**shapes, "conv_last": ((3, features, 3, 3), 200)}


NETWORKS: dict[str, tuple[str, dict[str, int], int, int, Shapes]] = {
    "plain": ("plain", {"scale": 4, "channels": 4, "pairs": 1}, 4, 4, _plain_shapes(4, 4)),
    "rrdb": ("rrdb", {"blocks": 1, "features": 4, "growth": 3, "halo": 3}, 4, 3, _rrdb_shapes(4, 3)),
}
"""Architecture, hyperparameters, scale, halo and weights, by the name that recipes use."""
