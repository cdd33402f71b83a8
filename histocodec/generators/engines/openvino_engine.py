"""The engine for CPUs: OpenVINO's 8-bit kernels, one block a thread.

The graph is built from the network directly. FakeQuantize nodes with 256 levels over 0..255 are what tells OpenVINO
that the values between layers are whole; it then computes in integers (VNNI, AMX, or vpmaddubsw under AVX2).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.by_process import ByProcess
from ..integer_net import LEAK_SHIFT, ZERO_POINT, IntegerNet
from .silent_openvino import openvino, ops

_SETTINGS = {
    # The default would be bfloat16 where the CPU has it, which is not exact.
    "INFERENCE_PRECISION_HINT": "f32",
    # Blocks run side by side on the caller's threads; a team within one would only wait for itself.
    "ENABLE_CPU_PINNING": False,
}


_KEPT_SHAPES = 8
"""Compiled graphs that stay in memory, the last used ones: each takes some megabytes for every thread that calls it."""


class OpenVinoEngine:
    """Computes a network by OpenVINO on the CPU. A graph is compiled for each size of input that is asked for."""

    name = "openvino"

    def __init__(self, net: IntegerNet, *, threads: int) -> None:
        """Take a network. threads: how many calls compute at the same time, each on a core."""
        self._net = net
        self._settings = _SETTINGS | {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
        self._here = ByProcess(_Graphs)  # a fork has none of OpenVINO's threads, and would wait for them

    @property
    def version(self) -> str:
        """Version of OpenVINO."""
        return str(openvino.__version__).partition("-")[0]

    def kernel(self) -> str:
        """Return OpenVINO's name for what computes a layer in the middle, as `brgconv_avx512_amx_I8`."""
        side = 16 + 2 * self._net.halo
        side *= 1 if self._net.enlarges else self._net.scale
        nodes = [node.get_rt_info() for node in self._compiled((1, side, side, 3)).model.get_runtime_model().get_ops()]
        names = [n["primitiveType"].astype(str) for n in nodes if n["layerType"].astype(str) == "Convolution"]
        return str(names[len(names) // 2])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size."""
        with self._compiled(images.shape).request() as request:
            out: NDArray[np.uint8] = request.infer({0: np.ascontiguousarray(images)}, share_inputs=True)[0]
        return out

    def _compiled(self, shape: tuple[int, ...]) -> _Compiled:
        """Return the graph for inputs of a shape."""
        here = self._here()
        with here.lock:
            if shape not in here.by_shape:
                while len(here.by_shape) >= _KEPT_SHAPES:
                    here.by_shape.popitem(last=False)
                here.by_shape[shape] = _Compiled(
                    here.core.compile_model(_graph(self._net, shape), "CPU", self._settings)
                )
            here.by_shape.move_to_end(shape)
            return here.by_shape[shape]


class _Graphs:
    """The compiled graphs of one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.core = openvino.Core()
        self.by_shape: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()


class _Compiled:
    """A compiled graph and its idle requests: there are as many as threads have called it at the same time."""

    def __init__(self, model: openvino.CompiledModel) -> None:
        self.model = model
        self._idle: list[openvino.InferRequest] = []

    @contextmanager
    def request(self) -> Iterator[openvino.InferRequest]:
        """Lend a request for one call."""
        try:
            request = self._idle.pop()  # lists are safe for threads
        except IndexError:
            request = self.model.create_infer_request()
        yield request
        self._idle.append(request)


def _graph(net: IntegerNet, shape: tuple[int, ...]) -> openvino.Model:
    """Build the graph for inputs of a shape, (n, height, width, 3)."""
    images = ops.parameter(list(shape), dtype=np.uint8)
    scale, halo, batch = net.scale, net.halo, shape[0]
    planes = ops.convert(ops.transpose(images, np.array([0, 3, 1, 2])), np.float32)
    if net.enlarges:
        x = planes
        added = ops.gather(_cropped(planes, halo), np.repeat(np.arange(3), scale * scale), np.array(1))
    else:
        x = ops.space_to_depth(planes, "depth_first", scale)
        cells = ops.avg_pool(planes, [scale, scale], [0, 0], [0, 0], [scale, scale], exclude_pad=False)
        added = _cropped(cells, halo)
    x = stream = _whole(x)
    for index, layer in enumerate(net.layers):
        step = np.exp2(-layer.shift.astype(np.float64))
        weight = ops.multiply(ops.convert(ops.constant(layer.weight), np.float32), _column(step))
        x = ops.convolution(x, weight, [1, 1], [0, 0], [0, 0], [1, 1])
        x = ops.add(x, _column(layer.bias * step, (1, -1, 1, 1)))
        if index == len(net.layers) - 1:
            break
        if net.adds_stream(index):
            x = ops.add(x, _cropped(stream, 2))
        x = ops.prelu(x, ops.constant(np.array([2.0**-LEAK_SHIFT], np.float32)))
        x = _whole(ops.add(x, ops.constant(np.float32(ZERO_POINT))))
        if index % 2 == 0:
            stream = x
    x = ops.convert(_whole(ops.add(x, added)), np.uint8)
    height, width = net.output_size(shape[1], shape[2])
    if net.enlarges:
        x = ops.reshape(x, np.array([batch, 3, scale, scale, height // scale, width // scale]), False)
        x = ops.transpose(x, np.array([0, 4, 2, 5, 3, 1]))
    else:
        x = ops.transpose(x, np.array([0, 2, 3, 1]))
    return openvino.Model([ops.reshape(x, np.array([batch, height, width, 3]), False)], [images], net.architecture)


def _whole(x: Any) -> Any:
    """Round half to even and clamp to 0..255."""
    low, high = np.float32(0), np.float32(255)
    return ops.fake_quantize(x, low, high, low, high, 256)


def _cropped(x: Any, margin: int) -> Any:
    """Take so many pixels off every side of (n, channels, height, width)."""
    begin, end, step = np.array([0, 0, margin, margin]), np.array([0, 0, -margin, -margin]), np.ones(4, np.int64)
    return ops.strided_slice(x, begin, end, step, [1, 1, 0, 0], [1, 1, 0, 0])


def _column(values: NDArray[np.number], shape: tuple[int, ...] = (-1, 1, 1, 1)) -> Any:
    return ops.constant(values.astype(np.float32).reshape(shape))
