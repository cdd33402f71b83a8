"""Real-ESRGAN-class weights out of an ncnn `.bin` file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from histocodec.generators.rrdb import RRDBNet

_HALF = 0x01306B47
"""ncnn's flag for weights in half precision."""


def read_rrdb(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a 23-block RRDBNet, by the names that `RRDBNet` gives them, float32.

    The file holds, convolution by convolution in the order of the computation: a 4-byte flag, the weights (output,
    input, row, column) in half precision, padded to 4 bytes, and the biases in single precision.
    Raises ValueError if it is not of this network.
    """
    data, at = path.read_bytes(), 0
    network = RRDBNet(23, 64, 32, 0)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    order = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    tensors: dict[str, Tensor] = {}
    for name in order:
        if len(data) < at + 4 or struct.unpack_from("<I", data, at)[0] != _HALF:
            raise ValueError(f"{path}: no half-precision weights of {name} at byte {at}")
        shape = shapes[f"{name}.weight"]
        weight = np.frombuffer(data, "<f2", shape.numel(), at + 4).astype(np.float32)
        at += 4 + -(-2 * shape.numel() // 4) * 4
        tensors[f"{name}.weight"] = torch.from_numpy(weight).reshape(shape)
        tensors[f"{name}.bias"] = torch.from_numpy(np.frombuffer(data, "<f4", shape[0], at).copy())
        at += 4 * shape[0]
    if at != len(data):
        raise ValueError(f"{path}: {len(data) - at} bytes follow the last convolution")
    return tensors
