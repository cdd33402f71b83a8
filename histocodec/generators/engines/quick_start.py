"""An engine for whoever asks for a tile or two: numpy begins at once, a faster engine follows when it is worth it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...runtime.by_process import ByProcess
from ..package import Package
from ..self_test import SIDE, crc32_of_test_block
from .choice import Engine, contradicted
from .numpy_engine import NumpyEngine

_BY_NUMPY = 4
"""Small images that numpy computes: about the time that a faster engine takes to be imported and compiled."""


class QuickStart:
    """Computes the first few small images by numpy, and everything else by the engine that is chosen for the package.

    The bits are the same. Small are images of at most the test block's inner size, 64 base pixels a side.
    """

    def __init__(self, package: Package, choose: Callable[[], Engine]) -> None:
        """Take a package, and what chooses its engine: called when it is first needed.

        Raises InvalidPackage if the network computes another test block than the card states.
        """
        self._net, self._choose = package.net, choose
        self._numpy = NumpyEngine(self._net)
        if crc32_of_test_block(self._net, self._numpy) != package.card.test_block_crc32:
            raise contradicted(package)
        self._here = ByProcess(_Progress)

    @property
    def name(self) -> str:
        """Name of the engine that is chosen for the package."""
        return self._chosen().name

    @property
    def version(self) -> str:
        """Version of its library."""
        return self._chosen().version

    def kernel(self) -> str:
        """Return what it computes with."""
        return self._chosen().kernel()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size.

        Raises what the choice and the engines raise.
        """
        return (self._numpy if self._suffices(images) else self._chosen())(images)

    def _suffices(self, images: NDArray[np.uint8]) -> bool:
        """Return whether numpy is to compute a call."""
        here, net = self._here(), self._net
        count, height, width, _ = images.shape
        most = SIDE * net.scale if net.enlarges else SIDE
        if here.chosen is not None or count > 1 or max(net.output_size(height, width)) > most:
            return False
        with here.lock:
            here.left -= 1
            return here.left >= 0

    def _chosen(self) -> Engine:
        """Return the engine that is chosen; it is started if it was not needed yet."""
        here = self._here()
        with here.lock:
            if here.chosen is None:
                here.chosen = self._choose()
            return here.chosen


class _Progress:
    """How far one process has come."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.left = _BY_NUMPY
        self.chosen: Engine | None = None
